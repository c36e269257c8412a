"""Softmax over the last axis: scores become weights that are positive and sum to 1.

    p_i = e^{x_i} / Σ_j e^{x_j}

It stands inside attention (section 4.2 of the document) and inside cross-entropy.
"""

import math
from typing import NamedTuple

import numpy as np

from minirec.functional import reductions
from minirec.functional.arguments import Array, check_mask


class SoftmaxCache(NamedTuple):
    p: Array  # (..., n)


def softmax_forward(x: Array, mask: Array | None = None) -> tuple[Array, SoftmaxCache]:
    """p = e^x / Σ e^x over the last axis.    x (..., n), mask (..., n) True = keep  ->  p (..., n)

    Masked entries and entries of −∞ get exactly 0, the others what they would get alone. A row with
    nothing left is all zeros.
    """
    if x.shape[-1] == 0:
        raise ValueError(f"softmax over an empty axis: the last axis of shape {x.shape} has no entries")
    if mask is not None:
        check_mask(mask, x.shape)
        x = x.astype(np.result_type(x, 1.0))  # a copy
        np.copyto(x, -math.inf, where=~mask)
    # e^x overflows from 710 on; a shift changes nothing, so the largest entry of each row is moved to 0.
    peak = reductions.row_maxima(x.real)
    e = np.exp(x - np.where(peak == -math.inf, 0, peak))
    total = reductions.row_sums(e)
    p = e / np.where(total == 0, 1, total)
    return p, SoftmaxCache(p)


def softmax_backward(dp: Array, cache: SoftmaxCache) -> Array:
    """dx = p ⊙ (dp − Σ p ⊙ dp), which is dp (diag p − p pᵀ) without building the matrix"""
    p = cache.p
    return p * (dp - reductions.row_sums(p * dp))
