"""The interaction matrix R (U, I) in compressed sparse rows, written out in NumPy.

Row u holds the items of user u. What is not stored is absent, and absent is not zero: means and counts look
only at what is stored. Splits, negative sampling, metrics and the factorization models read from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from minirec.data.interactions import Interactions

Array = NDArray[Any]

DENSE_LIMIT = 20_000_000  # entries: 160 MB in float64
BLOCK = 1 << 20  # numbers that a product holds at once: 8 MB


class InteractionMatrix:
    """A sparse matrix of `shape` (U, I) with n stored entries.

    indptr    (U + 1,) row u has the entries indptr[u] up to, but without, indptr[u + 1]
    indices   (n,) the column of each entry, rising within a row
    values    (n,) the value of each entry: a rating, or a number of events

    The three arrays are read-only views. Raises ValueError where they do not describe a matrix.

    >>> R = InteractionMatrix([0, 2, 2, 3], [0, 2, 2], [5.0, 3.0, 1.0], (3, 4))
    >>> R.dense()
    array([[5., 0., 3., 0.],
           [0., 0., 0., 0.],
           [0., 0., 1., 0.]])
    >>> R.row_means(), R.T.row(2)
    (array([4., 0., 1.]), (array([0, 2]), array([3., 1.])))
    """

    indptr: Array
    indices: Array
    values: Array
    shape: tuple[int, int]
    __array_ufunc__ = None  # so that `ndarray @ matrix` comes to __rmatmul__

    def __init__(
        self,
        indptr: Sequence[int] | Array,
        indices: Sequence[int] | Array,
        values: Sequence[float] | Array,
        shape: tuple[int, int],
    ) -> None:
        self.shape = int(shape[0]), int(shape[1])
        self.indptr = _frozen(np.asarray(indptr, dtype=np.int64))
        self.indices = _frozen(np.asarray(indices, dtype=np.int64))
        self.values = _frozen(np.asarray(values))
        self._check()
        # Row and column of an entry as one number. Sorted, so that one binary search finds any entry.
        self._keys = self.rows * self.shape[1] + self.indices
        if np.any(np.diff(self._keys) <= 0):
            raise ValueError("the columns of a row must rise: sort `indices` in each row, join repeated ones")
        self._left: Array | None = None
        self._transposed: InteractionMatrix | None = None

    @classmethod
    def from_interactions(cls, x: Interactions) -> InteractionMatrix:
        """R from interactions: (n_users, n_items), one entry for each pair of user and item that met.

        With ratings, the newest rating of a repeated pair counts (the later timestamp; between equal ones, or
        without timestamps, the later row). Without ratings the value is the number of events.
        """
        keys = x.users * x.n_items + x.items  # (N,)
        order = np.argsort(keys, kind="stable") if x.timestamps is None else np.lexsort((x.timestamps, keys))
        ordered = keys[order]
        last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], np.ones(min(len(ordered), 1), np.bool_)))
        if x.ratings is None:
            values = np.diff(last, prepend=-1).astype(np.float64)
        else:
            values = x.ratings[order[last]]
        users, items = x.users[order[last]], x.items[order[last]]
        return cls(_pointers(users, x.n_users), items, values, (x.n_users, x.n_items))

    @property
    def nnz(self) -> int:
        """n, the number of stored entries."""
        return len(self.indices)

    @property
    def density(self) -> float:
        """n / (U I), the share of the matrix that is stored; 0 for a matrix without cells."""
        cells = self.shape[0] * self.shape[1]
        return self.nnz / cells if cells else 0.0

    @property
    def rows(self) -> Array:
        """(n,) the row of each entry."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    @property
    def T(self) -> InteractionMatrix:
        """The transposed matrix (I, U): row i holds the users of item i. Made once, then kept."""
        if self._transposed is None:
            # A stable sort by column keeps the rows rising within each column: compressed sparse columns.
            order = np.argsort(self.indices, kind="stable")
            pointers = _pointers(self.indices, self.shape[1])
            columns, rows = self.shape[1], self.shape[0]
            turned = InteractionMatrix(pointers, self.rows[order], self.values[order], (columns, rows))
            turned._transposed = self
            self._transposed = turned
        return self._transposed

    def row(self, u: int) -> tuple[Array, Array]:
        """Columns (rising) and values of row u, as read-only views. IndexError outside 0 .. U - 1."""
        if not 0 <= u < self.shape[0]:
            raise IndexError(f"row {u} is out of range: allowed are 0 to {self.shape[0] - 1}")
        here = slice(self.indptr[u], self.indptr[u + 1])
        return self.indices[here], self.values[here]

    def row_counts(self) -> Array:
        """(U,) the number of entries in each row."""
        return np.diff(self.indptr)

    def column_counts(self) -> Array:
        """(I,) the number of entries in each column."""
        return np.bincount(self.indices, minlength=self.shape[1])

    def row_means(self, empty: float = 0.0) -> Array:
        """(U,) the mean of the stored entries of each row; `empty` for a row that stores nothing."""
        return _means(self.rows, self.values, self.shape[0], empty)

    def column_means(self, empty: float = 0.0) -> Array:
        """(I,) the mean of the stored entries of each column; `empty` for a column that stores nothing."""
        return _means(self.indices, self.values, self.shape[1], empty)

    def dense(
        self,
        rows: Sequence[int] | Array | None = None,
        columns: Sequence[int] | Array | None = None,
        *,
        fill: float = 0.0,
        limit: int = DENSE_LIMIT,
    ) -> Array:
        """The given rows and columns (all where None; repeats allowed) as an array, absent entries `fill`.

        Raises ValueError when the result has more than `limit` entries, IndexError for a row or column
        that is not there.
        """
        r = np.arange(self.shape[0]) if rows is None else as_indices("row", rows, self.shape[0])
        c = np.arange(self.shape[1]) if columns is None else as_indices("column", columns, self.shape[1])
        if len(r) * len(c) > limit:
            raise ValueError(
                f"{len(r)} rows x {len(c)} columns are {len(r) * len(c):,} dense entries, more than "
                f"the limit of {limit:,}: ask for fewer rows or columns at once, or raise `limit`"
            )
        kept, back = np.unique(c, return_inverse=True)
        place = np.full(self.shape[1], -1)
        place[kept] = np.arange(len(kept))
        block = np.full((len(r), len(kept)), fill, dtype=np.result_type(self.values, type(fill)))
        counts = self.row_counts()[r]
        entries = _ranges(self.indptr[r], counts)
        line, column = np.repeat(np.arange(len(r)), counts), place[self.indices[entries]]
        block[line[column >= 0], column[column >= 0]] = self.values[entries][column >= 0]
        return block if columns is None else block[:, back]

    def contains(self, users: Any, items: Any) -> Array:
        """For each pair (user, item), True where an entry is stored. The two arrays broadcast.

        One binary search over all entries per pair. Raises IndexError for an index that is not there.
        """
        rows, columns = as_indices("user", users, self.shape[0]), as_indices("item", items, self.shape[1])
        wanted = rows * self.shape[1] + columns
        if self.nnz == 0:
            return np.zeros(wanted.shape, dtype=np.bool_)
        found = np.searchsorted(self._keys, wanted)
        hit: Array = self._keys[np.minimum(found, self.nnz - 1)] == wanted
        return hit

    def absent_columns(self, rows: Any, ranks: Any) -> Array:
        """The column of absent entry number `ranks` (0 is the leftmost) of each row. The arrays broadcast.

        With the stored columns s_0 < s_1 < ... of a row, s_j - j absent entries stand left of s_j. So the
        absent entry number r is in column r + #{j: s_j - j <= r}, and a binary search counts that set.
        Raises IndexError where a row has no absent entry of that number.
        """
        rows = as_indices("row", rows, self.shape[0])
        ranks = np.asarray(ranks)
        rows, ranks = np.broadcast_arrays(rows, ranks)
        free = self.shape[1] - self.row_counts()[rows]
        bad = np.flatnonzero((ranks < 0) | (ranks >= free))
        if bad.size:
            u, r, most = rows.flat[bad[0]], ranks.flat[bad[0]], free.flat[bad[0]]
            raise IndexError(f"row {u} has {most} absent entries, number {r} is not among them")
        width = self.shape[1] + 1
        if self._left is None:  # made once: training asks again for every batch
            left = self.indices - (np.arange(self.nnz) - self.indptr[self.rows])
            self._left = self.rows * width + left
        before = np.searchsorted(self._left, rows * width + ranks, side="right")
        return ranks + before - self.indptr[rows]

    def __matmul__(self, dense: Array) -> Array:
        """R (U, I) @ dense (I,) or (I, d) -> (U,) or (U, d), in the dtype of a floating `dense`."""
        dense = np.asarray(dense)
        if dense.ndim not in (1, 2) or dense.shape[0] != self.shape[1]:
            raise ValueError(f"cannot multiply: matrix {self.shape} @ array {dense.shape}")
        if dense.ndim == 1:
            product: Array = (self @ dense[:, None])[:, 0]
            return product
        values = self.values.astype(dense.dtype) if np.issubdtype(dense.dtype, np.inexact) else self.values
        out = np.zeros((self.shape[0], dense.shape[1]), dtype=np.result_type(values, dense))
        filled = np.flatnonzero(self.row_counts())  # reduceat would give an empty row its right neighbor
        starts = np.append(self.indptr[filled], self.nnz)
        step = max(1, BLOCK // max(1, dense.shape[1]))
        first = 0
        while first < len(filled):  # as many whole rows as fit into a block, at least one
            stop = max(first + 1, int(np.searchsorted(starts, starts[first] + step, side="right")) - 1)
            here = slice(starts[first], starts[stop])
            terms = values[here, None] * dense[self.indices[here]]
            out[filled[first:stop]] = np.add.reduceat(terms, starts[first:stop] - starts[first], axis=0)
            first = stop
        return out

    def __rmatmul__(self, dense: Array) -> Array:
        """dense (U,) or (d, U) @ R (U, I) -> (I,) or (d, I)."""
        dense = np.asarray(dense)
        if dense.ndim not in (1, 2) or dense.shape[-1] != self.shape[0]:
            raise ValueError(f"cannot multiply: array {dense.shape} @ matrix {self.shape}")
        return (self.T @ dense.T).T

    def __repr__(self) -> str:
        return f"InteractionMatrix({self.shape[0]} x {self.shape[1]}, {self.nnz:,} entries)"

    def _check(self) -> None:
        (rows, columns), n = self.shape, len(self.indices)
        if self.indptr.shape != (rows + 1,):
            raise ValueError(f"indptr must have shape ({rows + 1},) for {rows} rows, got {self.indptr.shape}")
        if self.values.shape != self.indices.shape or self.values.ndim != 1:
            shapes = f"{self.indices.shape} and {self.values.shape}"
            raise ValueError(f"indices and values must be flat and of one length, got {shapes}")
        if self.indptr[0] != 0 or self.indptr[-1] != n or np.any(np.diff(self.indptr) < 0):
            raise ValueError(f"indptr must rise from 0 to {n}, the number of entries")
        if n and (self.indices.min() < 0 or self.indices.max() >= columns):
            bad = int(np.argmax((self.indices < 0) | (self.indices >= columns)))
            allowed = f"allowed are 0 to {columns - 1}"
            raise ValueError(f"indices[{bad}] = {self.indices[bad]} is out of range: {allowed}")


def _frozen(array: Array) -> Array:
    view = array.view()  # the caller's own array stays writable
    view.flags.writeable = False
    return view


def _pointers(rows: Array, count: int) -> Array:
    """(count + 1,) where each row begins once the entries are sorted by row."""
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])


def _means(places: Array, values: Array, count: int, empty: float) -> Array:
    counts = np.bincount(places, minlength=count)
    sums = np.bincount(places, weights=values, minlength=count)
    return np.where(counts > 0, sums / np.maximum(counts, 1), empty)


def _ranges(starts: Array, lengths: Array) -> Array:
    """The numbers start .. start + length - 1 of every range, one after the other."""
    shift = np.cumsum(lengths) - lengths
    return np.repeat(starts - shift, lengths) + np.arange(int(lengths.sum()))


def as_indices(name: str, values: Any, count: int) -> Array:
    """As int64. TypeError unless integers, IndexError outside 0 .. count - 1 (-1 would be the last)."""
    positions = np.asarray(values)
    if positions.size == 0:
        return positions.astype(np.int64)
    if not np.issubdtype(positions.dtype, np.integer):
        raise TypeError(f"{name} indices must be integers, got dtype {positions.dtype}")
    bad = np.flatnonzero((positions < 0) | (positions >= count))
    if bad.size:
        first = positions.flat[bad[0]]
        raise IndexError(f"{name} index {first} is out of range: allowed are 0 to {count - 1}")
    return positions.astype(np.int64)
