"""The logistic function, which turns a score into a probability.

y = σ(x) = 1 / (1 + e⁻ˣ)
"""

from typing import NamedTuple

import numpy as np

from minirec.functional.arguments import Array


class SigmoidCache(NamedTuple):
    y: Array  # (...)


def sigmoid_forward(x: Array) -> tuple[Array, SigmoidCache]:
    """y = 1 / (1 + e⁻ˣ).    x (...)  ->  y (...)"""
    # The exponent is never positive, so nothing overflows and small values keep all their digits:
    # for x < 0 the same quotient is written e^x / (1 + e^x).
    e = np.exp(np.where(x.real >= 0, -x, x))
    y = np.where(x.real >= 0, 1.0, e) / (1.0 + e)
    return y, SigmoidCache(y)


def sigmoid_backward(dy: Array, cache: SigmoidCache) -> Array:
    """dx = dy · y (1 − y)"""
    y = cache.y
    return dy * y * (1.0 - y)
