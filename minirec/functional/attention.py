"""Scaled dot-product attention (Vaswani et al. 2017; section 4.2 of the document).

    Attention(Q, K, V) = softmax(Q Kᵀ / √K) V

Each query takes a weighted mean of the values; the weights say how well its query matches each key.
"""

import math
from typing import NamedTuple

import numpy as np

from minirec.functional import softmax
from minirec.functional.arguments import Array, check_mask


class AttentionCache(NamedTuple):
    q: Array  # (..., Tq, K)
    k: Array  # (..., Tk, K)
    v: Array  # (..., Tk, V)
    p: Array  # (..., Tq, Tk), the attention weights


def attention_forward(
    q: Array, k: Array, v: Array, mask: Array | None = None
) -> tuple[Array, AttentionCache]:
    """y = p v,  p = softmax(q kᵀ / √K).    q (..., Tq, K), k (..., Tk, K), v (..., Tk, V) -> y (..., Tq, V)

    mask (..., Tq, Tk) or broadcastable to it, True = may attend. A query that may attend to nothing gives
    zeros. A masked key has exactly no influence, whatever finite numbers it holds.
    """
    if mask is not None:
        check_mask(mask, (*q.shape[:-1], k.shape[-2]))
        # 0 · NaN is NaN: a key that no query may see is replaced by 0, so that nothing in it can leak.
        visible = np.asarray(np.any(np.atleast_2d(mask), axis=-2))[..., None]  # (..., Tk, 1)
        if not visible.all():
            k, v = np.where(visible, k, 0), np.where(visible, v, 0)
    scale = 1.0 / math.sqrt(q.shape[-1])
    s = (q * scale) @ k.swapaxes(-1, -2)  # (..., Tq, Tk)
    p, _ = softmax.softmax_forward(s, mask)
    return p @ v, AttentionCache(q, k, v, p)


def attention_backward(dy: Array, cache: AttentionCache) -> tuple[Array, Array, Array]:
    """ds = p ⊙ (dp − Σ p ⊙ dp) with dp = dy vᵀ;    dq = ds k / √K,  dk = dsᵀ q / √K,  dv = pᵀ dy"""
    q, k, v, p = cache
    scale = 1.0 / math.sqrt(q.shape[-1])
    dv = p.swapaxes(-1, -2) @ dy  # (..., Tk, V)
    dp = dy @ v.swapaxes(-1, -2)  # (..., Tq, Tk)
    ds = softmax.softmax_backward(dp, softmax.SoftmaxCache(p))
    dq = ds @ k * scale  # (..., Tq, K)
    dk = ds.swapaxes(-1, -2) @ (q * scale)  # (..., Tk, K)
    return dq, dk, dv
