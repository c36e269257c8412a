"""Splits of a log of events: which ones a model learns from, and which are kept back to judge it."""

from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.interactions import events, example, without


class Log:
    """N events, one row each, as our code wants them to be told: what it reads of its own class.

    `rows` (N,) are the numbers that the rows had in the whole.
    """

    ratings: None = None

    def __init__(
        self, users: Array, items: Array, timestamps: Array | None, n_users: int, n_items: int, rows: Array
    ) -> None:
        self.users, self.items, self.timestamps, self.rows = users, items, timestamps, rows
        self.n_users, self.n_items = n_users, n_items

    def __len__(self) -> int:
        return len(self.users)

    def select(self, rows: Any) -> "Log":
        times = None if self.timestamps is None else self.timestamps[rows]
        return Log(self.users[rows], self.items[rows], times, self.n_users, self.n_items, self.rows[rows])

    def order(self) -> Array:
        times = np.zeros(len(self)) if self.timestamps is None else self.timestamps
        return np.array(sorted(range(len(self)), key=lambda n: (self.users[n], times[n], n)), dtype=np.int64)

    def histories(self) -> list[Array]:
        newest_last = self.order()
        return [self.items[newest_last[self.users[newest_last] == u]] for u in range(self.n_users)]


def leave_one_out(users: Any, items: Any, timestamps: Any, n_users: int, n_items: int) -> Any:
    """User by user, in time and then in the file: the last one to test, the one before to validation.

    Of three or more; the others to train. The numbers of the rows of each part, rising.
    """
    train, valid, test = [], [], []
    for u in range(n_users):
        mine = [n for n in range(len(users)) if users[n] == u]
        if timestamps is not None:
            mine = sorted(mine, key=lambda n: (timestamps[n], n))
        kept = len(mine) - 2 if len(mine) >= 3 else len(mine)
        train += mine[:kept]
        valid += mine[kept : kept + 1]
        test += mine[kept + 1 :]
    return tuple(np.array(sorted(part), dtype=np.int64) for part in (train, valid, test))


# How ours is called: it takes an object that holds the events, and returns three of them.


def split(ours: Any, users: Any, items: Any, timestamps: Any, n_users: int, n_items: int) -> Any:
    parts = ours(Log(users, items, timestamps, n_users, n_items, np.arange(len(users))))
    return tuple(part.rows for part in parts)


def _times(place: Place) -> Any:
    """(N,) the time of each row, and 0 where there are no times."""
    users, _, timestamps, *_ = place.args
    return np.zeros(len(users)) if timestamps is None else timestamps


def every_row_in_one_part(place: Place, rng: Rng) -> float:
    rows = np.concatenate(place(*place.args))
    return relative_gap(np.sort(rows), np.arange(len(place.args[0])))


def one_of_each_for_users_of_three(place: Place, rng: Rng) -> float:
    users, n_users = place.args[0], place.args[3]
    three = np.bincount(users, minlength=n_users) >= 3
    _, *kept = place(*place.args)
    return max(relative_gap(np.bincount(users[part], minlength=n_users), 1 * three) for part in kept)


def nothing_learned_from_later_than_judged(place: Place, rng: Rng) -> float:
    """Pairs of a user's own rows in the wrong order: train before validation before test."""
    users, times, parts = place.args[0], _times(place), place(*place.args)
    moments = [[(users[n], times[n], n) for n in part] for part in parts]
    pairs = [(a, b) for i, j in ((0, 1), (0, 2), (1, 2)) for a in moments[i] for b in moments[j]]
    return float(sum(a[0] == b[0] and a > b for a, b in pairs))


def in_the_order_of_the_file(place: Place, rng: Rng) -> float:
    return float(sum((np.diff(part) <= 0).sum() for part in place(*place.args)))


def blind_to_the_items(place: Place, rng: Rng) -> float:
    users, items, *rest = place.args
    return relative_gap(place(users, rng.permutation(items), *rest), place(*place.args))


def blind_to_the_names_of_the_users(place: Place, rng: Rng) -> float:
    users, items, timestamps, n_users, n_items = place.args
    return relative_gap(
        place(rng.permutation(n_users)[users], items, timestamps, n_users, n_items), place(*place.args)
    )


def blind_to_the_clock(place: Place, rng: Rng) -> float | None:
    """Another origin and unit of time, and another clock for each user."""
    users, items, timestamps, n_users, n_items = place.args
    if timestamps is None:
        return None
    clocks = 2 * timestamps + rng.permutation(n_users)[users]
    return relative_gap(place(users, items, clocks, n_users, n_items), place(*place.args))


def blind_to_the_order_of_the_rows(place: Place, rng: Rng) -> float | None:
    """Where no two events of a user have the same time."""
    users, items, timestamps, *sizes = place.args
    if timestamps is None or len(set(zip(users, timestamps, strict=True))) < len(users):
        return None
    order = rng.permutation(len(users))
    moved = place(users[order], items[order], timestamps[order], *sizes)
    return relative_gap([np.sort(order[part]) for part in moved], place(*place.args))


def _log(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without ratings: no split reads them."""
    users, items, _, timestamps, n_users, n_items = given
    return users, items, timestamps, n_users, n_items


def few_events(rng: Rng) -> tuple[Any, ...]:
    """Users with 2, 1, 0, 3 and 4 events."""
    users = rng.permutation(np.repeat(np.arange(5), [2, 1, 0, 3, 4]))
    return users, rng.integers(0, 7, 10), rng.integers(0, 5, 10), 5, 7


def equal_times(rng: Rng) -> tuple[Any, ...]:
    users, items, _, *sizes = _log(events(rng))
    return users, items, rng.integers(0, 3, len(users)), *sizes


FORMULAS = (
    Formula(
        name="leave_one_out",
        meaning="The newest event of each user is kept back to test, the one before it to validate.",
        latex=r"""\text{event } n \text{ is for }
\text{test where } k_n = 0, \quad \text{validation where } k_n = 1, \quad \text{train else}; \qquad
k_n = |\{m : u_m = u_n,\ (t_n, n) < (t_m, m)\}|, \quad
\text{and } k_n = 2 \text{ for users of fewer than 3 events}""",
        source="the document, section 9.3 (evaluation); Kang & McAuley 2018, section IV.A",
        ours="minirec.data.splits.leave_one_out",
        definition=leave_one_out,
        value=split,
        places={
            "example": lambda rng: (
                np.array([0, 1, 0, 1, 0, 0]), np.array([2, 0, 1, 1, 3, 0]), np.array([5, 1, 2, 4, 5, 3]),
                2, 4,
            ),
            "users and times in any order": lambda rng: _log(events(rng)),
            "equal times": equal_times,
            "no times": lambda rng: _log(without(events(rng), 3)),
            "few events": few_events,
            "nobody has three": lambda rng: (*_log(example(rng))[:2], np.array([3, 1, 2, 0]), 4, 3),
        },
        properties=(
            Property("each row in exactly one part", every_row_in_one_part, 0.0),
            Property("one of each for whoever has three, else none", one_of_each_for_users_of_three, 0.0),
            Property("train before validation before test", nothing_learned_from_later_than_judged, 0.0),
            Property("in the order of the file", in_the_order_of_the_file, 0.0),
            Property("blind to the items", blind_to_the_items, 0.0),
            Property("blind to the names of the users", blind_to_the_names_of_the_users, 0.0),
            Property("blind to the clock", blind_to_the_clock, 0.0),
            Property("blind to the order of the rows", blind_to_the_order_of_the_rows, 0.0),
        ),
    ),
)  # fmt: skip
