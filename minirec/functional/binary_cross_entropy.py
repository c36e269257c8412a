"""Binary cross-entropy on logits: is this item one that the user took, or not?

L = −Σ w [y log σ(x) + (1 − y) log(1 − σ(x))] / Σ w
"""

from typing import Any, NamedTuple

import numpy as np

from minirec.functional import sigmoid
from minirec.functional.arguments import Array, check_same_shape, counted, floats, precision, shares


class BinaryCrossEntropyCache(NamedTuple):
    logits: Array  # (...)
    targets: Array  # (...)
    share: Any  # (...) or a number, w / Σ w


def binary_cross_entropy_forward(
    logits: Array, targets: Array, weight: Array | None = None
) -> tuple[Any, BinaryCrossEntropyCache]:
    """L = mean of max(x, 0) − x y + log(1 + e^{−|x|}).    logits x, targets y in [0, 1], weight (...)

    This is −y log σ(x) − (1 − y) log σ(−x), written so that no exponent is positive: finite for every x.
    Raises ValueError for a target outside [0, 1] whose weight is not 0.
    """
    check_same_shape("logits and targets", logits, targets)
    logits = floats(logits)
    share = shares(weight, logits)
    targets = counted(share, targets)
    wrong = ~((targets >= 0) & (targets <= 1))  # so that NaN is wrong too
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"targets{list(where)} = {targets[where]}, must be in [0, 1]")
    targets = targets.astype(precision(logits), copy=False)  # integers would turn float32 into float64
    x = counted(share, logits)
    positive = np.where(x.real > 0, x, 0)
    minus_abs = np.where(x.real > 0, -x, x)
    ell = positive - x * targets + np.log1p(np.exp(minus_abs))
    return (share * ell).sum(), BinaryCrossEntropyCache(x, targets, share)


def binary_cross_entropy_backward(dloss: Any, cache: BinaryCrossEntropyCache) -> Array:
    """dlogits = dL · w (σ(x) − y) / Σ w"""
    y, _ = sigmoid.sigmoid_forward(cache.logits)
    return (dloss * cache.share * (y - cache.targets)).astype(y.dtype, copy=False)
