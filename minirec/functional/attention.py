"""Scaled dot-product attention (Vaswani et al. 2017; section 4.2 of the document).

    Attention(Q, K, V) = softmax(Q Kᵀ / √K) V

Each query takes a weighted mean of the values; the weights say how well its query matches each key.
"""

import math
from typing import NamedTuple

import numpy as np

from minirec.functional import softmax
from minirec.functional.arguments import Array, check_mask

BLOCK = 40  # queries


class AttentionCache(NamedTuple):
    q: Array  # (..., Tq, K)
    k: Array  # (..., Tk, K)
    v: Array  # (..., Tk, V)
    p: Array  # (..., Tq, Tk), the attention weights
    blocks: list[tuple[slice, slice]]  # some queries, and the keys that they may see


def attention_forward(
    q: Array, k: Array, v: Array, mask: Array | None = None
) -> tuple[Array, AttentionCache]:
    """y = p v,  p = softmax(q kᵀ / √K).    q (..., Tq, K), k (..., Tk, K), v (..., Tk, V) -> y (..., Tq, V)

    mask (..., Tq, Tk) or broadcastable to it, True = may attend. A query that may attend to nothing gives
    zeros. A masked key has exactly no influence, whatever finite numbers it holds.
    """
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(f"keys and values must have equal sizes, got {k.shape[-2]} and {v.shape[-2]}")
    shape = (*q.shape[:-1], k.shape[-2])  # (..., Tq, Tk)
    if mask is not None:
        check_mask(mask, shape)
        # 0 · NaN is NaN: a key that no query may see is replaced by 0, so that nothing in it can leak.
        visible = np.asarray(np.any(np.atleast_2d(mask), axis=-2))[..., None]  # (..., Tk, 1)
        if not visible.all():
            k, v = np.where(visible, k, 0), np.where(visible, v, 0)
    scale = 1.0 / math.sqrt(q.shape[-1])
    blocks = query_blocks(mask, *shape[-2:])
    mask = None if mask is None else np.broadcast_to(mask, shape)
    k_T = k.swapaxes(-1, -2).copy()  # in the order in which the product reads it, once for all blocks
    p = np.zeros(shape, dtype=np.result_type(q, k, scale))
    y = np.zeros((*q.shape[:-1], v.shape[-1]), dtype=np.result_type(p, v))
    for queries, keys in blocks:
        s = (q[..., queries, :] * scale) @ k_T[..., keys]
        seen = None if mask is None else mask[..., queries, keys]
        p[..., queries, keys], _ = softmax.softmax_forward(s, seen)
        y[..., queries, :] = p[..., queries, keys] @ v[..., keys, :]
    return y, AttentionCache(q, k, v, p, blocks)


def attention_backward(dy: Array, cache: AttentionCache) -> tuple[Array, Array, Array]:
    """ds = p ⊙ (dp − Σ p ⊙ dp) with dp = dy vᵀ;    dq = ds k / √K,  dk = dsᵀ q / √K,  dv = pᵀ dy"""
    scale = 1.0 / math.sqrt(cache.q.shape[-1])
    dq, dk, dv = (np.zeros(x.shape, dtype=np.result_type(dy, *cache[:3])) for x in cache[:3])
    v_T = cache.v.swapaxes(-1, -2).copy()
    for queries, keys in cache.blocks:
        q, k, p = cache.q[..., queries, :], cache.k[..., keys, :], cache.p[..., queries, keys]
        dv[..., keys, :] += p.swapaxes(-1, -2) @ dy[..., queries, :]
        dp = dy[..., queries, :] @ v_T[..., keys]
        ds = softmax.softmax_backward(dp, softmax.SoftmaxCache(p)) * scale
        dq[..., queries, :] = ds @ k
        dk[..., keys, :] += ds.swapaxes(-1, -2) @ q
    return dq, dk, dv


def query_blocks(mask: Array | None, Tq: int, Tk: int) -> list[tuple[slice, slice]]:
    """Queries in blocks, each with the keys up to the last one that any of them may see.

    Under a causal mask the first block sees few keys: of 200 x 200 scores 40 % are never computed.
    """
    last = np.full(Tq, Tk)
    if mask is not None:
        anyone = np.any(np.atleast_2d(mask), axis=tuple(range(mask.ndim - 2)))
        last = (np.broadcast_to(anyone, (Tq, Tk)) * np.arange(1, Tk + 1)).max(axis=1)
    return [
        (slice(start, start + BLOCK), slice(max(1, int(last[start : start + BLOCK].max()))))
        for start in range(0, Tq, BLOCK)
    ]
