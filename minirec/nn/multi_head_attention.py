"""Multi-head attention (Vaswani et al. 2017, section 3.2.2): H attentions side by side in H subspaces.

    head_h = Attention(query W_q^h, key W_k^h, value W_v^h),    y = [head_1; …; head_H] W_o

The H projections are the column blocks of one matrix: project once, then split the columns.
"""

from typing import NamedTuple

import numpy as np

from minirec import functional as F
from minirec.functional import Array, AttentionCache, LinearCache
from minirec.nn.linear import glorot_uniform
from minirec.nn.module import Grads, Module


def split_heads(x: Array, heads: int) -> Array:
    """(..., T, D) -> (..., H, T, K): head h gets the columns h K .. (h + 1) K − 1, K = D / H"""
    *lead, T, D = x.shape
    if D % heads:
        raise ValueError(f"width {D} is not divisible by {heads} heads")
    return x.reshape(*lead, T, heads, D // heads).swapaxes(-2, -3)


def merge_heads(x: Array) -> Array:
    """(..., H, T, K) -> (..., T, D), the inverse of split_heads"""
    *lead, H, T, K = x.shape
    return x.swapaxes(-2, -3).reshape(*lead, T, H * K)


class MultiHeadAttentionCache(NamedTuple):
    query: LinearCache
    key: LinearCache
    value: LinearCache
    attention: AttentionCache  # attention.p (..., H, Tq, Tk) are the weights
    output: LinearCache


class MultiHeadAttention(Module):
    """y (..., Tq, D) from query (..., Tq, D), key (..., Tk, D), value (..., Tk, D).

    All weights are (D, D), all biases (D,). mask is broadcastable to (..., H, Tq, Tk), True = may attend.
    A key masked for all its queries cannot reach the output, even if it is NaN; but the gradients of W_k and
    W_v sum over all keys, so there NaN needs finite inputs (padding rows are 0).
    b_k never receives gradient: it adds the same number to all scores of a query, and softmax ignores that.
    """

    def __init__(self, rng: np.random.Generator, width: int, heads: int) -> None:
        if heads < 1 or width % heads:
            raise ValueError(f"width {width} is not divisible by {heads} heads")
        self.W_q, self.b_q = glorot_uniform(rng, width, width), np.zeros(width)
        self.W_k, self.b_k = glorot_uniform(rng, width, width), np.zeros(width)
        self.W_v, self.b_v = glorot_uniform(rng, width, width), np.zeros(width)
        self.W_o, self.b_o = glorot_uniform(rng, width, width), np.zeros(width)
        self.heads = heads

    def project_kv(
        self, key: Array, value: Array | None = None
    ) -> tuple[Array, Array, tuple[LinearCache, LinearCache]]:
        """k, v (..., H, T, K), what queries attend to, and their caches; without value, both are of key."""
        k, of_k = F.linear_forward(key, self.W_k, self.b_k)  # (..., T, D)
        v, of_v = F.linear_forward(key if value is None else value, self.W_v, self.b_v)  # (..., T, D)
        return split_heads(k, self.heads), split_heads(v, self.heads), (of_k, of_v)

    def attend(
        self, query: Array, k: Array, v: Array, mask: Array | None = None
    ) -> tuple[Array, tuple[LinearCache, AttentionCache, LinearCache]]:
        """y (..., Tq, D) from query (..., Tq, D) and k, v of project_kv, and the caches of its three steps.

        k and v may be kept: later queries attend to them without projecting the keys again.
        """
        q, of_q = F.linear_forward(query, self.W_q, self.b_q)  # (..., Tq, D)
        q = split_heads(q, self.heads)  # (..., H, Tq, K)
        a, of_attention = F.attention_forward(q, k, v, mask)  # (..., H, Tq, K)
        y, of_y = F.linear_forward(merge_heads(a), self.W_o, self.b_o)  # (..., Tq, D)
        return y, (of_q, of_attention, of_y)

    def forward(
        self, query: Array, key: Array, value: Array, mask: Array | None = None
    ) -> tuple[Array, MultiHeadAttentionCache]:
        k, v, of_kv = self.project_kv(key, value)  # (..., H, Tk, K)
        y, (of_q, of_attention, of_y) = self.attend(query, k, v, mask)  # (..., Tq, D)
        return y, MultiHeadAttentionCache(of_q, *of_kv, of_attention, of_y)

    def backward(self, dy: Array, cache: MultiHeadAttentionCache) -> tuple[tuple[Array, Array, Array], Grads]:
        da, dW_o, db_o = F.linear_backward(dy, cache.output)
        dq, dk, dv = F.attention_backward(split_heads(da, self.heads), cache.attention)
        dquery, dW_q, db_q = F.linear_backward(merge_heads(dq), cache.query)
        dkey, dW_k, db_k = F.linear_backward(merge_heads(dk), cache.key)
        dvalue, dW_v, db_v = F.linear_backward(merge_heads(dv), cache.value)
        grads = {
            "W_q": dW_q, "b_q": db_q, "W_k": dW_k, "b_k": db_k,
            "W_v": dW_v, "b_v": db_v, "W_o": dW_o, "b_o": db_o,
        }  # fmt: skip
        return (dquery, dkey, dvalue), grads
