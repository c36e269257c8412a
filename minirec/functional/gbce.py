"""Generalized binary cross-entropy (Petrov & Macdonald 2023): one item taken against k that were not.

ell = −[β log σ(s⁺) + Σ_j log(1 − σ(s⁻_j))] / (k + 1),    L = Σ w ell / Σ w

Few negatives out of many items make a model too sure of every score, since most items are never shown to it
as not taken. A positive that counts β < 1 takes this back: t = 1 in `gbce_beta` fully, t = 0 not at all.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from minirec.functional import sigmoid
from minirec.functional.arguments import Array, check_same_shape, counted, floats, shares


class GbceCache(NamedTuple):
    positive: Array  # (...)
    negatives: Array  # (..., k)
    beta: float
    share: Any  # (...) or a number, w / Σ w


def gbce_beta(k: int, n_items: int, t: float) -> float:
    """β = α (t (1 − 1/α) + 1/α) = 1 − t + t α,    α = k / (I − 1), how often another item is drawn.

    Petrov & Macdonald 2023. Raises ValueError for k < 1, I < 2, and t outside [0, 1].
    """
    if k < 1 or n_items < 2:
        raise ValueError(f"gbce_beta needs k of at least 1 and n_items of at least 2, got {k} and {n_items}")
    if not 0 <= t <= 1:
        raise ValueError(f"t must be in [0, 1], got {t}")
    return 1.0 - t + t * k / (n_items - 1)


def gbce_forward(
    positive: Array, negatives: Array, beta: float, weight: Array | None = None
) -> tuple[Any, GbceCache]:
    """L = mean of [β log(1 + e^{−s⁺}) + Σ_j log(1 + e^{s⁻_j})] / (k + 1).

    positive s⁺, weight (...), negatives s⁻ (..., k), beta a number  ->  a number
    This is the definition with −log σ(x) = log(1 + e^{−x}) and 1 − σ(x) = σ(−x): finite for every x.
    Raises ValueError for a beta that is negative or not finite.
    """
    check_same_shape("positive and negatives without the last axis", positive, negatives[..., 0])
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta must be a number of at least 0, got {beta}")
    positive, negatives = floats(positive), floats(negatives)
    share = shares(weight, positive)
    positive = counted(share, positive)
    if weight is not None:
        negatives = counted(share[..., None], negatives)
    ell = (beta * _softplus(-positive) + _softplus(negatives).sum(axis=-1)) / (negatives.shape[-1] + 1)
    return (share * ell).sum(), GbceCache(positive, negatives, beta, share)


def gbce_backward(dloss: Any, cache: GbceCache) -> tuple[Array, Array]:
    """dpositive = −dL · w β σ(−s⁺) / (k + 1) / Σ w,    dnegatives = dL · w σ(s⁻) / (k + 1) / Σ w"""
    positive, negatives, beta, share = cache
    scale = dloss / (negatives.shape[-1] + 1)
    wrong, _ = sigmoid.sigmoid_forward(-positive)
    dpositive = (-scale * beta * share * wrong).astype(wrong.dtype, copy=False)
    dnegatives, _ = sigmoid.sigmoid_forward(negatives)
    dnegatives *= np.asarray(scale * share)[..., None]
    return dpositive, dnegatives


def _softplus(x: Array) -> Array:
    """log(1 + e^x) = max(x, 0) + log(1 + e^{−|x|}): no exponent is positive."""
    return np.where(x.real > 0, x, 0) + np.log1p(np.exp(np.where(x.real > 0, -x, x)))
