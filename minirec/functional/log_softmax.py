"""The logarithm of softmax, computed without ever taking the logarithm of a rounded probability.

y_i = x_i − log Σ_j e^{x_j}
"""

import math
from typing import NamedTuple

import numpy as np

from minirec.functional import reductions
from minirec.functional.arguments import Array, check_mask


class LogSoftmaxCache(NamedTuple):
    y: Array  # (..., n)


def log_softmax_forward(x: Array, mask: Array | None = None) -> tuple[Array, LogSoftmaxCache]:
    """y = x − log Σ e^x over the last axis.    x (..., n), mask (..., n) True = keep  ->  y (..., n)

    Masked entries and entries of −∞ give −∞, the logarithm of probability 0; so does a whole row with
    nothing left.
    """
    if x.shape[-1] == 0:
        raise ValueError(f"log_softmax over an empty axis: the last axis of shape {x.shape} has no entries")
    if mask is not None:
        check_mask(mask, x.shape)
        x = x.astype(np.result_type(x, 1.0))  # a copy
        np.copyto(x, -math.inf, where=~mask)
    peak = reductions.row_maxima(x.real)
    shifted = x - np.where(peak == -math.inf, 0, peak)
    total = reductions.row_sums(np.exp(shifted))
    y = shifted - np.log(np.where(total == 0, 1, total))
    return y, LogSoftmaxCache(y)


def log_softmax_backward(dy: Array, cache: LogSoftmaxCache) -> Array:
    """dx = dy − p Σ dy,  p = e^y;  exactly 0 where y is the constant −∞"""
    y = cache.y
    dy = np.where(y == -math.inf, 0, dy)
    return dy - np.exp(y) * reductions.row_sums(dy)
