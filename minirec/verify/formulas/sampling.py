"""Negative sampling: which items are drawn for a user who has not met them, and how often.

Two right samplers may use the same random numbers in different ways. So what is compared is not the numbers
drawn but what many of them show: how often each item came, and how often two draws were the same one.
"""

import math
from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.interactions import Stored
from minirec.verify.formulas.modules import own_rng

FAR = 6.0  # standard errors: beyond it is no chance
NEVER, SELDOM, RIGHT, OFTEN = 0.0, 0.5, 1.0, 2.0


class Seen(Stored):
    """A matrix whose zeros are absent, with what our samplers ask of their own class of sparse matrices."""

    @property
    def indptr(self) -> Array:
        return np.concatenate([[0], np.cumsum(self.row_counts())])

    @property
    def nnz(self) -> int:
        return int(np.count_nonzero(self.entries))

    def contains(self, users: Any, items: Any) -> Array:
        return np.asarray(self.entries[users, items] != 0)

    def dense(self, rows: Any = None, columns: Any = None, *, fill: float = 0.0) -> Array:
        chosen = self.entries if rows is None else self.entries[rows]
        chosen = chosen if columns is None else chosen[:, columns]
        return np.where(chosen != 0, chosen, fill)

    def absent_columns(self, rows: Any, ranks: Any) -> Array:
        if np.any((ranks < 0) | (ranks >= self.shape[1] - self.row_counts()[rows])):
            raise IndexError("there are not so many absent entries in the row")
        return np.argsort(self.entries != 0, axis=1, kind="stable")[rows, ranks]


def sample_negatives(rng: Any, users: Any, n: int, seen: Any) -> Any:
    """For each user of the batch: every item without an entry comes once in k draws, where there are k.

    Two draws of a row, and the same draw of two rows of the user, are the same item once in k as well.
    """
    asked = sorted({int(u) for u in users})
    often = np.zeros((len(asked), seen.shape[1]))
    for row, u in enumerate(asked):
        for i in range(seen.shape[1]):
            if seen[u, i] == 0:
                often[row, i] = RIGHT
    return often, np.full(len(asked), RIGHT), np.full(len(asked), RIGHT)


# How ours is called, and what its draws show.


def shown(ours: Any, rng: Any, users: Any, n: int, seen: Any) -> Any:
    """For each user: how often each item came, neighbors in a row agreed, the same place of two rows agreed.

    Each against once in k: NEVER, SELDOM, RIGHT or OFTEN. The shape alone where it is not (B, n), and the
    smallest and the largest where they are no items.
    """
    drawn = np.asarray(ours(rng, users, n, Seen(seen)))
    if drawn.shape != (len(users), n):
        return np.array(drawn.shape)
    if drawn.min() < 0 or drawn.max() >= seen.shape[1]:
        return drawn.min(), drawn.max()
    often, beside, below = [], [], []
    for u in sorted({int(u) for u in users}):
        mine, k = drawn[users == u], int((seen[u] == 0).sum())
        often.append([against((mine == i).ravel(), k) for i in range(seen.shape[1])])
        beside.append(against((mine[:, 1:] == mine[:, :-1]).ravel(), k))
        below.append(against((mine[1:] == mine[:-1]).ravel(), k))
    return np.array(often), np.array(beside), np.array(below)


def against(hits: Any, k: int) -> float:
    """How often something happened, against once in k; RIGHT where it was never tried."""
    if not hits.size:
        return RIGHT
    error = math.sqrt((1.0 / k) * (1.0 - 1.0 / k) / hits.size)
    far = float(hits.mean()) - 1.0 / k
    if not hits.any():
        return NEVER
    return RIGHT if abs(far) <= FAR * error + 1e-12 else SELDOM if far < 0 else OFTEN


# Properties


def nothing_that_was_met(place: Place, rng: Rng) -> float:
    _, users, _, seen = place.args
    return float(np.count_nonzero(place(*place.args)[0][seen[np.unique(users)] != 0]))


def blind_to_how_often_they_met(place: Place, rng: Rng) -> float:
    given, users, n, seen = place.args
    return relative_gap(place(given, users, n, 3 * seen), place(*place.args))


def relabeled_with_the_items(place: Place, rng: Rng) -> float:
    given, users, n, seen = place.args
    other = rng.permutation(seen.shape[1])
    often, *rest = place(*place.args)
    return relative_gap(place(given, users, n, seen[:, other]), (often[:, other], *rest))


def blind_to_the_order_of_the_users(place: Place, rng: Rng) -> float:
    given, users, n, seen = place.args
    return relative_gap(place(given, users[::-1].copy(), n, seen), place(*place.args))


def the_one_that_is_left(place: Place, rng: Rng) -> float:
    """Whoever has met all items but one gets that one in every draw."""
    given, users, n, seen = place.args
    left = rng.integers(0, seen.shape[1], len(seen))
    all_but_one = 1 - np.eye(seen.shape[1], dtype=np.int64)[left]
    often, *_ = place(given, users, n, all_but_one)
    return relative_gap(often, 1.0 - all_but_one[np.unique(users)])


def met(rng: Rng, *counts: int, items: int = 11) -> Any:
    """For each user so many items that were met, once or more often, at random."""
    seen = np.zeros((len(counts), items), dtype=np.int64)
    for row, count in zip(seen, counts, strict=True):
        row[rng.permutation(items)[:count]] = rng.integers(1, 4, count)
    return seen


def at_the_ends(*, first: bool) -> Any:
    """Who met the four first, or the four last, of seven items."""
    return np.array([[1, 1, 1, 1, 0, 0, 0] if first else [0, 0, 0, 1, 1, 1, 1]])


def batch(rng: Rng, times: int, *users: int) -> Any:
    """Each user so many times, in any order."""
    return rng.permutation(np.repeat(np.array(users), times))


FORMULAS = (
    Formula(
        name="sample_negatives",
        meaning="Items that a user has not met, each as likely as the next, each draw for itself.",
        latex=r"\mathrm{Pr}(i_{bj} = i) = \frac{[R_{u_b i} = 0]}{|\{i' : R_{u_b i'} = 0\}|}, "
        r"\quad \text{whatever the other draws are}",
        source="Rendle et al. 2009, section 4.2; Kang & McAuley 2018, section III.E",
        ours="minirec.data.sampling.sample_negatives",
        definition=sample_negatives,
        value=shown,
        places={
            "example": lambda rng: (own_rng(rng), np.array([1, 0]), 3, np.array([[1, 0, 2], [1, 3, 0]])),
            "many rows": lambda rng: (own_rng(rng), batch(rng, 400, 0, 2, 3), 5, met(rng, 6, 3, 1, 9)),
            "many in a row": lambda rng: (own_rng(rng), np.array([2, 0, 2]), 2000, met(rng, 5, 3, 7)),
            "one in a row": lambda rng: (own_rng(rng), batch(rng, 2000, 1), 1, met(rng, 3, 0)),
            "the first were met": lambda rng: (own_rng(rng), batch(rng, 400, 0), 3, at_the_ends(first=True)),
            "the last were met": lambda rng: (7, batch(rng, 400, 0), 3, at_the_ends(first=False)),
        },
        properties=(
            Property("nothing that was met", nothing_that_was_met, 0.0),
            Property("blind to how often they met", blind_to_how_often_they_met, 0.0),
            Property("relabeled with the items", relabeled_with_the_items, 0.0),
            Property("blind to the order of the users", blind_to_the_order_of_the_users, 0.0),
            Property("the one that is left, where one is left", the_one_that_is_left, 0.0),
        ),
    ),
)  # fmt: skip
