"""Attention over distances and a memory (Dai et al. 2019): the layers of Transformer-XL.

    z = [SG(memory); h],    q = h W_q,    k, v = z W_k, z W_v,    r = R W_r,    R sinusoids of the distance

SG stops gradients: the memory is what an earlier call computed, and it is a constant here. W_k, W_v and the
norm in front of them still get the gradients of what they make of it.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from minirec import functional as F
from minirec.functional import Array, LinearCache, RelativeAttentionCache
from minirec.nn.feed_forward import FeedForward
from minirec.nn.layer_norm import LayerNorm
from minirec.nn.linear import glorot_uniform
from minirec.nn.module import Grads, Module, prefixed
from minirec.nn.multi_head_attention import merge_heads, split_heads
from minirec.nn.residual import ResidualCache, check_norm, residual_backward, residual_forward

NO_BIAS: Any = 0


class RelativeMultiHeadAttentionCache(NamedTuple):
    query: LinearCache
    key: LinearCache
    value: LinearCache
    distance: LinearCache
    attention: RelativeAttentionCache  # attention.p (..., H, Tq, Tk) are the weights
    output: LinearCache


class RelativeMultiHeadAttention(Module):
    """y (..., Tq, D) from query (..., Tq, D), key (..., Tk, D), which holds the values too, and u, w (H, K).

    The Tq last keys stand where the queries stand; no query sees a later one. All weights are (D, D), without
    biases: u and w, which layers share, are those of the queries, and one of the keys or of the distances
    would add the same number to all scores of a query. mask is broadcastable to (..., H, Tq, Tk), True = may
    attend.
    """

    def __init__(self, rng: np.random.Generator, width: int, heads: int) -> None:
        if heads < 1 or width % heads:
            raise ValueError(f"width {width} is not divisible by {heads} heads")
        self.W_q = glorot_uniform(rng, width, width)
        self.W_k = glorot_uniform(rng, width, width)
        self.W_v = glorot_uniform(rng, width, width)
        self.W_r = glorot_uniform(rng, width, width)
        self.W_o = glorot_uniform(rng, width, width)
        self.heads = heads

    def forward(
        self, query: Array, key: Array, u: Array, w: Array, mask: Array | None = None
    ) -> tuple[Array, RelativeMultiHeadAttentionCache]:
        R = sinusoids(key.shape[-2], key.shape[-1], key.real.dtype)  # (Tk, D)
        q, of_q = F.linear_forward(query, self.W_q, NO_BIAS)  # (..., Tq, D)
        k, of_k = F.linear_forward(key, self.W_k, NO_BIAS)  # (..., Tk, D)
        v, of_v = F.linear_forward(key, self.W_v, NO_BIAS)  # (..., Tk, D)
        r, of_r = F.linear_forward(R, self.W_r, NO_BIAS)  # (Tk, D)
        q, k, v, r = (split_heads(x, self.heads) for x in (q, k, v, r))  # (..., H, T, K), r (H, Tk, K)
        a, of_attention = F.relative_attention_forward(q, k, v, r, u, w, mask)  # (..., H, Tq, K)
        y, of_y = F.linear_forward(merge_heads(a), self.W_o, NO_BIAS)  # (..., Tq, D)
        return y, RelativeMultiHeadAttentionCache(of_q, of_k, of_v, of_r, of_attention, of_y)

    def backward(
        self, dy: Array, cache: RelativeMultiHeadAttentionCache
    ) -> tuple[tuple[Array, Array, Array, Array], Grads]:
        da, dW_o, _ = F.linear_backward(dy, cache.output)
        dq, dk, dv, dr, du, dw = F.relative_attention_backward(split_heads(da, self.heads), cache.attention)
        dquery, dW_q, _ = F.linear_backward(merge_heads(dq), cache.query)
        of_key, dW_k, _ = F.linear_backward(merge_heads(dk), cache.key)
        of_value, dW_v, _ = F.linear_backward(merge_heads(dv), cache.value)
        _, dW_r, _ = F.linear_backward(merge_heads(dr), cache.distance)  # R is a constant
        grads = {"W_q": dW_q, "W_k": dW_k, "W_v": dW_v, "W_r": dW_r, "W_o": dW_o}
        return (dquery, of_key + of_value, du, dw), grads


@functools.lru_cache(maxsize=64)
def sinusoids(length: int, width: int, dtype: np.dtype[Any]) -> Array:
    """(length, width) one row per distance 0 .. length − 1, read-only: all calls get the same array."""
    R = F.sinusoidal_positions(length, width).astype(dtype)
    R.flags.writeable = False
    return R


class RelativeBlockCache(NamedTuple):
    attention: ResidualCache
    feed_forward: ResidualCache


class RelativeBlock(Module):
    """Attention to the memory and to itself, then feed-forward.    x (B, T, D), u, w (H, K)  ->  y (B, T, D)

    memory (B, M, D) are inputs of this block from before x, or None. It is a constant: backward gives dx, du
    and dw. mask is broadcastable to (B, H, T, M + T), True = may attend; later places are hidden anyway. The
    norm, "pre", "post" or "first" (residual.py), and the dropout are those of an EncoderBlock.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        width: int,
        heads: int,
        hidden: int,
        *,
        norm: str = "pre",
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        check_norm(norm)
        self.attention = RelativeMultiHeadAttention(rng, width, heads)
        self.norm1 = LayerNorm(width)
        self.feed_forward = FeedForward(rng, width, hidden, activation)
        self.norm2 = LayerNorm(width)
        self.norm, self.dropout = norm, dropout

    def forward(
        self,
        x: Array,
        u: Array,
        w: Array,
        mask: Array | None = None,
        *,
        memory: Array | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[Array, RelativeBlockCache]:
        def attend(z: Array) -> tuple[Array, Any]:
            key, of_norm = z, None
            if memory is not None:
                m = memory.astype(z.dtype, copy=False)
                m, of_norm = self.norm1.forward(m) if self.norm != "post" else (m, None)
                key = np.concatenate([m, z], axis=-2)  # (B, M + T, D)
            y, of_attention = self.attention.forward(z, key, u, w, mask)
            return y, (of_norm, of_attention)

        x, of_attention = residual_forward(x, attend, self.norm1, self.norm, self.dropout, rng)
        x, of_feed_forward = residual_forward(
            x, self.feed_forward.forward, self.norm2, self.norm, self.dropout, rng
        )
        return x, RelativeBlockCache(of_attention, of_feed_forward)

    def backward(self, dy: Array, cache: RelativeBlockCache) -> tuple[tuple[Array, Array, Array], Grads]:
        dx, feed_forward, norm2 = residual_backward(
            dy, self.feed_forward.backward, self.norm2, self.norm, cache.feed_forward
        )

        def attend_backward(dz: Array, of_both: Any) -> tuple[Array, Any]:
            of_norm, of_attention = of_both
            (dquery, dkey, du, dw), attention = self.attention.backward(dz, of_attention)
            M = dkey.shape[-2] - dquery.shape[-2]
            # SG: what came back to the memory ends here, behind the norm, whose gamma and beta it moves.
            norm_of_memory = self.norm1.backward(dkey[..., :M, :], of_norm)[1] if of_norm is not None else {}
            return dquery + dkey[..., M:, :], (attention, norm_of_memory, du, dw)

        dx, (attention, norm_of_memory, du, dw), norm1 = residual_backward(
            dx, attend_backward, self.norm1, self.norm, cache.attention
        )
        norm1 = {name: g + norm_of_memory[name] if norm_of_memory else g for name, g in norm1.items()}
        grads = prefixed("attention", attention) | prefixed("norm1", norm1)
        grads |= prefixed("feed_forward", feed_forward) | prefixed("norm2", norm2)
        return (dx, du, dw), grads
