"""Histories as rectangles of ids, as sequence models read them. Only here are items shifted by one.

Id 0 is padding and item i is id i + 1. Sequences are padded on the left, so the newest item stands last;
the newest `length` items are kept.
"""

from collections.abc import Sequence

import numpy as np

from minirec.data.interactions import Array, Interactions


def pad_histories(histories: Sequence[Array], length: int) -> Array:
    """(B, length) ids from B arrays of item indices, oldest first."""
    ids = np.zeros((len(histories), length), dtype=np.int64)
    for row, history in zip(ids, histories, strict=True):
        kept = np.asarray(history, dtype=np.int64)[-length:]
        if kept.size:
            row[-kept.size :] = kept + 1
    return ids


def positions(ids: Array) -> Array:
    """(B, T) the place of each id counted from the oldest kept item, 0 at padding: padding shifts nothing."""
    return np.maximum(np.cumsum(ids != 0, axis=-1) - 1, 0)


def next_items(histories: Sequence[Array], length: int) -> tuple[Array, Array]:
    """Inputs and targets (B, length): after each of the newest `length` + 1 items the next is to be named.

    Where there is nothing before it, and at padding, the target is 0.
    """
    ids = pad_histories(histories, length + 1)
    return ids[:, :-1], np.where(ids[:, :-1] != 0, ids[:, 1:], 0)


def trimmed(ids: Array) -> int:
    """How many columns on the left of ids (B, T) are padding in every row; at least one column is left."""
    used = (ids != 0).any(axis=0)
    return int(np.argmax(used)) if used.any() else ids.shape[1] - 1


class Prefixes:
    """Every event of every user with the items strictly before it: the examples of next-item models.

    Attributes, one entry per example: `users`, `targets` (item indices), `ratings` (or None). An event that
    repeats an item which the user has met before is not an example: nobody needs to be told of it again.
    """

    def __init__(self, train: Interactions, length: int) -> None:
        order = train.order()
        self.length = length
        self._items = train.items[order]
        users = train.users[order]
        starts = np.searchsorted(users, np.arange(train.n_users))
        first = np.zeros(len(order), dtype=bool)
        first[np.unique(users * np.int64(train.n_items) + self._items, return_index=True)[1]] = True
        self._places = np.flatnonzero(first)
        self._starts = starts[users[self._places]]
        self.users = users[self._places]
        self.targets = self._items[self._places]
        self.ratings = None if train.ratings is None else train.ratings[order][self._places]

    def __len__(self) -> int:
        return len(self._places)

    def sources(self, rows: Array) -> Array:
        """(len(rows), length) ids of the items before each of these examples."""
        places = self._places[rows, None] - np.arange(self.length, 0, -1)  # (B, T)
        inside = places >= self._starts[rows, None]
        return np.where(inside, self._items[np.where(inside, places, 0)] + 1, 0)
