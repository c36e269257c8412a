"""The rectified linear unit, the nonlinearity of the feed-forward layer in Vaswani et al. 2017.

y = max(x, 0)
"""

from typing import NamedTuple

import numpy as np

from minirec.functional.arguments import Array


class ReluCache(NamedTuple):
    positive: Array  # (...), boolean


def relu_forward(x: Array) -> tuple[Array, ReluCache]:
    """y = max(x, 0).    x (...)  ->  y (...).    NaN stays NaN."""
    return np.maximum(x, 0), ReluCache(x.real > 0)


def relu_backward(dy: Array, cache: ReluCache) -> Array:
    """dx = dy · 1[x > 0]; the derivative at the kink x = 0 is taken to be 0."""
    return dy * cache.positive
