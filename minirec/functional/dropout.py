"""Dropout (Srivastava et al. 2014): while training, each number is set to 0 with probability `rate`.

    y = x ⊙ keep / (1 − rate),    keep ~ Bernoulli(1 − rate)

The division keeps the mean, so that evaluation is the identity.
"""

from typing import NamedTuple

import numpy as np

from minirec.functional.arguments import Array


class DropoutCache(NamedTuple):
    factor: Array | None  # (...), 0 or 1 / (1 − rate); None: nothing was dropped


def dropout_forward(x: Array, rate: float, rng: np.random.Generator | None) -> tuple[Array, DropoutCache]:
    """y = x ⊙ keep / (1 − rate).    x (...)  ->  y (...).    rng None or rate 0: the identity"""
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"dropout rate must be in [0, 1), got {rate}")
    if rng is None or rate == 0.0:
        return x, DropoutCache(None)
    keep = rng.random(x.shape, dtype=np.float32) >= rate
    factor = keep.astype(x.real.dtype) * (1.0 / (1.0 - rate))
    return x * factor, DropoutCache(factor)


def dropout_backward(dy: Array, cache: DropoutCache) -> Array:
    """dx = dy ⊙ keep / (1 − rate), with the same keep"""
    return dy if cache.factor is None else dy * cache.factor
