"""Bayesian personalized ranking (Rendle et al. 2009): an item taken should score above one not taken.

L = −Σ w log σ(s⁺ − s⁻) / Σ w
"""

from typing import Any, NamedTuple

import numpy as np

from minirec.functional import sigmoid
from minirec.functional.arguments import Array, check_same_shape, counted, floats, shares


class BprCache(NamedTuple):
    d: Array  # (...), s⁺ − s⁻
    share: Any  # (...) or a number, w / Σ w


def bpr_forward(positive: Array, negative: Array, weight: Array | None = None) -> tuple[Any, BprCache]:
    """L = −Σ w log σ(s⁺ − s⁻) / Σ w.    positive s⁺, negative s⁻, weight (...)  ->  a number

    What has the weight 0 may be anything, NaN included: it has no influence.
    """
    check_same_shape("positive and negative", positive, negative)
    positive, negative = floats(positive), floats(negative)
    share = shares(weight, positive)
    d = counted(share, positive) - counted(share, negative)
    # −log σ(d) = max(−d, 0) + log(1 + e^{−|d|}): no exponent is positive, finite for every d.
    ell = np.where(d.real < 0, -d, 0) + np.log1p(np.exp(np.where(d.real < 0, d, -d)))
    return (share * ell).sum(), BprCache(d, share)


def bpr_backward(dloss: Any, cache: BprCache) -> tuple[Array, Array]:
    """dpositive = −dL · w σ(−d) / Σ w,    dnegative = −dpositive,    d = s⁺ − s⁻"""
    wrong, _ = sigmoid.sigmoid_forward(-cache.d)
    dpositive = (-dloss * cache.share * wrong).astype(wrong.dtype, copy=False)
    return dpositive, -dpositive
