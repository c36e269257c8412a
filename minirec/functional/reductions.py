"""Sums and maxima along rows and columns, in the form that is fast on many short rows.

    Σ_j x_ij = (x 1)_i,    Σ_i x_ij = (1ᵀ x)_j

A product with a vector of ones reads x once, at the speed of memory; `x.sum(axis=-1)` starts anew for every
row, which on rows of 64 numbers takes about six times as long.
"""

import numpy as np

from minirec.functional.arguments import Array


def row_sums(x: Array) -> Array:
    """Σ over the last axis, which stays as an axis of length 1.    x (..., n)  ->  (..., 1)"""
    # The order of a sum depends on the layout, so there is one: equal arrays have equal sums, bit by bit.
    # Equal rows at two places of an array may differ by a rounding, since the product takes rows in groups.
    return (np.ascontiguousarray(x) @ np.ones(x.shape[-1], dtype=x.dtype))[..., None]


def row_maxima(x: Array) -> Array:
    """The largest entry along the last axis, which stays with length 1.    x (..., n), n > 0  ->  (..., 1)"""
    return x.reshape(-1, x.shape[-1]).max(axis=-1).reshape(*x.shape[:-1], 1)  # two axes: faster than four


def column_sums(x: Array) -> Array:
    """Σ over all axes but the last.    x (..., n)  ->  (n,)"""
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    return np.ones(len(rows), dtype=x.dtype) @ rows
