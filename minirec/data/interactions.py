"""Interactions: who met which item, and when. This is what every recommender is fitted on.

External ids (text from files, numbers from Python) are mapped to 0 .. U - 1 and 0 .. I - 1 here, once; all
other code works with these internal indices. Sorted ids get rising indices, so the order of the rows does
not matter to the mapping.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from minirec.data.matrix import InteractionMatrix

Array = NDArray[Any]
Id = Hashable
NO_IDS = frozenset({float, complex, bool, type(None), list, bytes})  # equal to others, or of no use as a name


class Description(NamedTuple):
    """What `Interactions.describe` counts; `str()` says it in one line."""

    n_users: int
    n_items: int
    n_interactions: int
    density: float  # distinct pairs of user and item over n_users x n_items
    first: float | None  # the smallest timestamp; None without timestamps
    last: float | None
    tied_share: float | None  # the share of a user's consecutive events with equal timestamps
    ratings: tuple[float, float] | None  # the smallest and the largest

    def __str__(self) -> str:
        parts = [
            f"{self.n_users:,} users x {self.n_items:,} items x {self.n_interactions:,} interactions",
            f"density {100 * self.density:.2f} %",
        ]
        if self.ratings is not None:
            parts.append(f"ratings {self.ratings[0]:g} to {self.ratings[1]:g}")
        if self.first is not None and self.last is not None:
            parts.append(f"{_moment(self.first)} to {_moment(self.last)}")
        if self.tied_share is not None:
            parts.append(f"{100 * self.tied_share:.1f} % of a user's consecutive events share a timestamp")
        return ", ".join(parts)


class Interactions:
    """N interactions, one row each.

    users, items   external ids, N of each, all of one type that can be sorted: `str`, `int`, a date
    ratings        N finite numbers, or None for events without a rating
    timestamps     N finite numbers (seconds since 1970), or None: then the rows are in the order of time
    titles         {external item id: title}, only for printing

    Attributes: `users`, `items` are (N,) internal indices; `user_ids`, `item_ids` give back the external id
    of an index; `user_index`, `item_index` are the other way round.
    Raises ValueError for unequal lengths or numbers that are not finite, TypeError for mixed ids or for
    ratings and timestamps that are not numbers.

    >>> x = Interactions(["ann", "bob", "ann"], ["tea", "tea", "ham"], ratings=[5, 3, 1])
    >>> print(x.describe())
    2 users x 2 items x 3 interactions, density 75.00 %, ratings 1 to 5
    >>> x.items, x.item_ids
    (array([1, 1, 0]), ['ham', 'tea'])
    """

    users: Array
    items: Array
    ratings: Array | None
    timestamps: Array | None
    user_ids: list[Id]
    item_ids: list[Id]
    user_index: dict[Id, int]
    item_index: dict[Id, int]
    titles: dict[Id, str]

    def __init__(
        self,
        users: Sequence[Id] | Array,
        items: Sequence[Id] | Array,
        ratings: Sequence[float] | Array | None = None,
        timestamps: Sequence[float] | Array | None = None,
        *,
        titles: Mapping[Any, str] | None = None,
    ) -> None:
        self.user_ids, self.user_index, self.users = _map_ids("user", users)
        self.item_ids, self.item_index, self.items = _map_ids("item", items)
        if len(self.users) != len(self.items):
            raise ValueError(f"{len(self.users)} users but {len(self.items)} items: one of each per row")
        self.ratings = None if ratings is None else _numbers("ratings", ratings, len(self.users), None)
        self.timestamps = None
        if timestamps is not None:
            self.timestamps = _numbers("timestamps", timestamps, len(self.users), np.int64)
        self.titles = dict(titles or {})

    @property
    def n_users(self) -> int:
        """U, the number of users in the id map (a part of a split keeps the map of the whole)."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """I, the number of items in the id map."""
        return len(self.item_ids)

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        return f"Interactions({self.n_users:,} users, {self.n_items:,} items, {len(self):,} rows)"

    def select(self, rows: Array | slice) -> Interactions:
        """The given rows (indices, a boolean array or a slice), with the same id maps and titles."""
        part = object.__new__(Interactions)
        part.__dict__.update(self.__dict__)
        part.users, part.items = self.users[rows], self.items[rows]
        part.ratings = None if self.ratings is None else self.ratings[rows]
        part.timestamps = None if self.timestamps is None else self.timestamps[rows]
        return part

    def order(self) -> Array:
        """(N,) row numbers sorted by user, then time, then row: a stable order."""
        if self.timestamps is None:
            return np.argsort(self.users, kind="stable")
        return np.lexsort((self.timestamps, self.users))

    def histories(self) -> list[Array]:
        """One array of item indices per user, oldest first; equal timestamps keep the order of the rows."""
        items = self.items[self.order()]
        ends = np.cumsum(np.bincount(self.users, minlength=self.n_users))
        return np.split(items, ends)[:-1]

    def matrix(self) -> InteractionMatrix:
        """The interaction matrix R (U, I) in compressed sparse rows."""
        from minirec.data.matrix import InteractionMatrix

        return InteractionMatrix.from_interactions(self)

    def describe(self) -> Description:
        """Sizes, density, range of time, ties in time and range of ratings."""
        pairs = len(np.unique(self.users * self.n_items + self.items))
        cells = self.n_users * self.n_items
        first = last = tied = None
        if self.timestamps is not None and len(self):
            first, last = self.timestamps.min().item(), self.timestamps.max().item()
            order = self.order()
            same_user = np.diff(self.users[order]) == 0
            same_time = np.diff(self.timestamps[order]) == 0
            tied = float(np.sum(same_user & same_time) / max(1, int(np.sum(same_user))))
        scale = None
        if self.ratings is not None and len(self):
            scale = float(self.ratings.min()), float(self.ratings.max())
        density = pairs / cells if cells else 0.0
        return Description(self.n_users, self.n_items, len(self), density, first, last, tied, scale)

    def digest(self) -> str:
        """A SHA-256 in hexadecimal over ids, rows in order, ratings and timestamps, to label results with.

        Titles do not count. The same on every platform.
        """
        hashed = hashlib.sha256(json.dumps([self.user_ids, self.item_ids], default=repr).encode())
        for column in (self.users, self.items, self.ratings, self.timestamps):
            kind = "none" if column is None else column.dtype.newbyteorder("<").str
            hashed.update(f"{kind} {len(self)}\n".encode())
            if column is not None:
                hashed.update(column.astype(kind).tobytes())
        return hashed.hexdigest()


def concatenate(first: Interactions, second: Interactions) -> Interactions:
    """All rows of `first`, then all rows of `second`; both must be parts of one split (the same id maps)."""
    if first.user_ids is not second.user_ids or first.item_ids is not second.item_ids:
        raise ValueError("only parts of the same interactions can be joined: their id maps differ")
    joined = first.select(slice(None))
    joined.users = np.concatenate([first.users, second.users])
    joined.items = np.concatenate([first.items, second.items])
    for name in ("ratings", "timestamps"):
        a, b = getattr(first, name), getattr(second, name)
        if (a is None) != (b is None):
            raise ValueError(f"one part has {name} and the other has none: they cannot be joined")
        setattr(joined, name, None if a is None else np.concatenate([a, b]))
    return joined


def _map_ids(kind: str, values: Sequence[Id] | Array) -> tuple[list[Id], dict[Id, int], Array]:
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{kind} ids must be a sequence with one id per row, got the text {values!r}")
    listed: list[Any] = values.tolist() if isinstance(values, np.ndarray) else list(values)
    listed = [value.item() if isinstance(value, np.generic) else value for value in listed]
    kinds = [type(value) for value in listed]
    if len(set(kinds)) > 1 or not NO_IDS.isdisjoint(kinds):
        names = " and ".join(sorted(t.__name__ for t in set(kinds)))
        row = next(i for i, t in enumerate(kinds) if t in NO_IDS or t is not kinds[0])
        where = f"row {row} has {listed[row]!r}"
        raise TypeError(
            f"{kind} ids must be of one type, such as str or int, got {names} ({where}): convert them first"
        )
    try:
        ids: list[Id] = sorted(set(listed))
    except TypeError as error:
        raise TypeError(f"{kind} ids of type {kinds[0].__name__} can be no ids: {error}") from None
    index = {value: i for i, value in enumerate(ids)}
    return ids, index, np.fromiter((index[v] for v in listed), dtype=np.int64, count=len(listed))


def _numbers(name: str, values: Any, count: int, integer: type | None) -> Array:
    """`values` as float64; integers as `integer` where that is given."""
    given = np.asarray(values)
    if given.size == 0:
        given = given.astype(np.float64)
    if given.dtype.kind not in "iuf":  # NumPy would read text such as "1_000" as a number, and True as 1
        raise TypeError(f"{name} must be numbers, got dtype {given.dtype}")
    if given.shape != (count,):
        raise ValueError(f"{name} must have one number per row: {count} rows, got shape {given.shape}")
    bad = np.flatnonzero(~np.isfinite(given))
    if bad.size:
        raise ValueError(f"{name}[{bad[0]}] = {given[bad[0]]} is not finite: remove or repair this row")
    if integer is None or given.dtype.kind == "f":
        return given.astype(np.float64)
    if given.size and given.max() > np.iinfo(integer).max:
        raise ValueError(f"{name} reach {given.max()}, more than a 64-bit integer holds")
    return given.astype(integer)


def _moment(timestamp: float) -> str:
    """A date where the number can be one (seconds, the years 1973 to 2286), else the number."""
    if not 1e8 <= timestamp < 1e10:
        return f"time {timestamp:.0f}"
    return str(np.datetime64(int(timestamp), "s").astype("datetime64[D]"))
