"""Attention over distances (Dai et al. 2019, section 3.3): a score knows how far back its key stands.

    A_ij = [(q_i + u) · k_j + (q_i + w) · r_{i + M − j}] / √K  for j ≤ i + M,    y = softmax(A) V

M keys stand before the first query, and i + M − j is the distance from query i back to key j. So what is
learned depends on no absolute place, and queries may read keys of an earlier segment.
"""

import math
from typing import NamedTuple

import numpy as np

from minirec.functional import softmax
from minirec.functional.arguments import Array, check_mask


class RelativeAttentionCache(NamedTuple):
    q: Array  # (..., Tq, K)
    k: Array  # (..., Tk, K)
    v: Array  # (..., Tk, V)
    r: Array  # (..., R, K)
    u: Array  # (..., K)
    w: Array  # (..., K)
    p: Array  # (..., Tq, Tk), the attention weights


def relative_attention_forward(
    q: Array, k: Array, v: Array, r: Array, u: Array, w: Array, mask: Array | None = None
) -> tuple[Array, RelativeAttentionCache]:
    """y = softmax(A) v,  A_ij = [(q_i + u) · k_j + (q_i + w) · r_{i + M − j}] / √K.    y (..., Tq, V)

    q (..., Tq, K), k (..., Tk, K), v (..., Tk, V), M = Tk − Tq ≥ 0; r (..., R, K), one row per distance
    0 .. R − 1, R ≥ Tk; u, w (..., K); the leading axes of these three are broadcastable to those of q.
    No query sees a later key; mask (..., Tq, Tk) or broadcastable to it, True = may attend, hides others.
    A query that may attend to nothing gives zeros. A hidden key has exactly no influence.
    """
    Tq, Tk = q.shape[-2], k.shape[-2]
    if not v.shape[-2] == Tk >= Tq:
        raise ValueError(
            f"there must be as many values as keys and at least as many as queries, got {Tq} queries, "
            f"{Tk} keys and {v.shape[-2]} values"
        )
    if r.shape[-2] < Tk:
        raise ValueError(f"r must have one row per distance 0 to {Tk - 1}, got {r.shape[-2]} rows")
    shape = (*q.shape[:-1], Tk)
    seen = distances(Tq, Tk) >= 0  # (Tq, Tk)
    if mask is not None:
        check_mask(mask, shape)
        seen = seen & mask
        # 0 · NaN is NaN: a key that no query may see is replaced by 0, so that nothing in it can leak.
        visible = np.asarray(seen.any(axis=-2))[..., None]  # (..., Tk, 1)
        if not visible.all():
            k, v = np.where(visible, k, 0), np.where(visible, v, 0)
    scale = 1.0 / math.sqrt(q.shape[-1])
    by_key = ((q + u[..., None, :]) * scale) @ k.swapaxes(-1, -2)  # (..., Tq, Tk)
    by_distance = ((q + w[..., None, :]) * scale) @ r[..., :Tk, :].swapaxes(-1, -2)  # (..., Tq, Tk)
    A = by_key + exchange_keys_and_distances(by_distance)
    p, _ = softmax.softmax_forward(A, np.broadcast_to(seen, shape))
    return p @ v, RelativeAttentionCache(q, k, v, r, u, w, p)


def relative_attention_backward(
    dy: Array, cache: RelativeAttentionCache
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """dA = p ⊙ (dp − Σ p ⊙ dp) / √K with dp = dy vᵀ,  dB_{i, i + M − j} = dA_ij:    dq = dA k + dB r,

    dk = dAᵀ (q + u),  dv = pᵀ dy,  dr = dBᵀ (q + w),  du = Σ_i dA k,  dw = Σ_i dB r
    """
    q, k, v, r, u, w, p = cache
    Tk = k.shape[-2]
    scale = 1.0 / math.sqrt(q.shape[-1])
    dv = p.swapaxes(-1, -2) @ dy
    dA = softmax.softmax_backward(dy @ v.swapaxes(-1, -2), softmax.SoftmaxCache(p)) * scale
    dB = exchange_keys_and_distances(dA)  # (..., Tq, Tk)
    du = dA @ k  # (..., Tq, K), to be summed over the queries
    dw = dB @ r[..., :Tk, :]
    dk = dA.swapaxes(-1, -2) @ (q + u[..., None, :])
    dr = np.zeros(r.shape, dtype=dB.dtype)
    dr[..., :Tk, :] = summed_to(dB.swapaxes(-1, -2) @ (q + w[..., None, :]), (*r.shape[:-2], Tk, r.shape[-1]))
    return du + dw, dk, dv, dr, summed_to(du.sum(axis=-2), u.shape), summed_to(dw.sum(axis=-2), w.shape)


def distances(Tq: int, Tk: int) -> Array:
    """(Tq, Tk) how far back from query i key j stands, i + M − j with M = Tk − Tq; below 0: later than it."""
    return np.arange(Tq)[:, None] + (Tk - Tq) - np.arange(Tk)


def exchange_keys_and_distances(x: Array) -> Array:
    """y_ij = x_{i, (i + M − j) mod Tk}.    x, y (..., Tq, Tk): by query and distance -> by query and key

    j -> i + M − j leads from a key to its distance, and from a distance back to its key. It is its own
    inverse: the same exchange takes a gradient back, and nothing is to be added up, since each entry is read
    once. Keys later than the query read, by the modulus, distances that no other key of this query has; what
    they find there is masked.
    """
    *lead, Tq, Tk = x.shape
    place = np.arange(Tq)[:, None] * Tk + distances(Tq, Tk) % Tk  # of (i, i + M − j), the rows end to end
    return x.reshape(*lead, Tq * Tk).take(place, axis=-1)


def summed_to(x: Array, shape: tuple[int, ...]) -> Array:
    """x summed over the axes along which an array of this shape was repeated."""
    x = x.sum(axis=tuple(range(x.ndim - len(shape))))
    repeated = tuple(i for i, n in enumerate(shape) if n == 1)
    return np.asarray(x.sum(axis=repeated, keepdims=True)) if repeated else x
