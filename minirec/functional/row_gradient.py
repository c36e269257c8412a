"""The gradient of a table of which only some rows were read: those rows, and nothing for the others.

A batch reads a few thousand rows of a table, whatever its length. Its gradient as an array would be zero
almost everywhere, and to make it, add it up and use it would cost as much as the whole table is long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minirec.functional.arguments import Array


@dataclass(frozen=True, eq=False)
class RowGradient:
    """The gradient of a table of `shape` (n, D): `values[i]` for row `rows[i]`, 0 for all others.

    rows (R,) are unique and sorted, values (R, D). It can be added to an array or to another RowGradient and
    multiplied by a number.
    """

    rows: Array
    values: Array
    shape: tuple[int, ...]

    __array_ufunc__ = None  # array + RowGradient is our own sum, not one per entry of the array

    def dense(self) -> Array:
        """(n, D) the same gradient as an array."""
        dense = np.zeros(self.shape, dtype=self.values.dtype)
        dense[self.rows] = self.values
        return dense

    def without(self, row: int) -> RowGradient:
        """The same with 0 for `row`."""
        keep = self.rows != row
        return RowGradient(self.rows[keep], self.values[keep], self.shape)

    def __add__(self, other: RowGradient | Array) -> RowGradient | Array:
        if isinstance(other, RowGradient):
            return add_row_gradients([self, other])
        if other.shape != self.shape:
            raise ValueError(f"gradients of tables of shapes {self.shape} and {other.shape} cannot be added")
        total = other.astype(np.result_type(other, self.values))
        total[self.rows] += self.values
        return total

    __radd__ = __add__

    def __mul__(self, factor: float) -> RowGradient:
        return RowGradient(self.rows, self.values * factor, self.shape)

    __rmul__ = __mul__


def sum_by_row(ids: Array, values: Array, shape: tuple[int, ...]) -> RowGradient:
    """Σ of the values that share an id, as the gradient of a table.    ids (N,), values (N, D), shape (n, D)

    The values are sorted by id. In each group of equals the second is added to the first, the fourth to the
    third and so on, then the third to the first, ...: log₂ of the largest group passes, each without a loop.
    """
    order = np.argsort(ids, kind="stable")
    ids, sums = ids[order], values.take(order, axis=0)
    begins = np.ones(len(ids), dtype=bool)  # a group of equals
    begins[1:] = ids[1:] != ids[:-1]
    first = np.flatnonzero(begins)
    size = np.diff(first, append=len(ids))
    place = np.arange(len(ids)) - np.repeat(first, size)  # 0, 1, 2, ... in each group
    step = 1
    while step <= place.max(initial=0):
        right = np.flatnonzero(place % (2 * step) == step)
        sums[right - step] += sums[right]
        step *= 2
    return RowGradient(ids[first], sums.take(first, axis=0), shape)


def add_row_gradients(gradients: Sequence[RowGradient]) -> RowGradient:
    """The sum of gradients of one table; ValueError where their tables have different shapes."""
    if len({g.shape for g in gradients}) > 1:
        shapes = ", ".join(str(g.shape) for g in gradients)
        raise ValueError(f"gradients of tables of shapes {shapes} cannot be added")
    rows, values = (np.concatenate([getattr(g, part) for g in gradients]) for part in ("rows", "values"))
    return sum_by_row(rows, values, gradients[0].shape)
