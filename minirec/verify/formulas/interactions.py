"""The interaction matrix of section 4.1: who met what, how densely, how each row and column is rated.

And popularity, the simplest thing to read off it. What is not stored is absent, written NaN here; absent is
not zero.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Formula, Property, Rng
from minirec.verify.formulas.properties import interaction as own


class Events(NamedTuple):
    """N events, as our code wants them to be told: what it reads of its own class of interactions."""

    users: Array  # (N,)
    items: Array  # (N,)
    ratings: Array | None  # (N,)
    timestamps: Array | None  # (N,)
    n_users: int
    n_items: int
    titles: None = None

    @property
    def user_ids(self) -> list[int]:
        return list(range(self.n_users))

    @property
    def item_ids(self) -> list[int]:
        return list(range(self.n_items))

    @property
    def user_index(self) -> dict[int, int]:
        return {u: u for u in self.user_ids}

    @property
    def item_index(self) -> dict[int, int]:
        return {i: i for i in self.item_ids}

    def histories(self) -> list[Array]:
        return [self.items[self.users == u] for u in self.user_ids]


class Stored(NamedTuple):
    """A matrix whose zeros are absent: what our code reads of its own class of sparse matrices."""

    entries: Array  # (U, I)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.entries.shape

    @property
    def rows(self) -> Array:
        return np.nonzero(self.entries)[0]

    @property
    def indices(self) -> Array:
        return np.nonzero(self.entries)[1]

    @property
    def values(self) -> Array:
        return self.entries[np.nonzero(self.entries)]

    @property
    def T(self) -> "Stored":
        return Stored(self.entries.T)

    def row(self, u: int) -> tuple[Array, Array]:
        met = np.flatnonzero(self.entries[u])
        return met, self.entries[u, met]

    def row_counts(self) -> Array:
        return np.count_nonzero(self.entries, axis=1)

    def column_counts(self) -> Array:
        return np.count_nonzero(self.entries, axis=0)


def interaction_matrix(
    users: Any, items: Any, ratings: Any, timestamps: Any, n_users: int, n_items: int
) -> Any:
    """Event by event: the newest rating of a pair, the later row where times are equal; else a count."""
    R = np.full((n_users, n_items), math.nan)
    newest: dict[tuple[int, int], float] = {}
    for n in range(len(users)):
        cell, time = (int(users[n]), int(items[n])), 0.0 if timestamps is None else float(timestamps[n])
        if ratings is None:
            R[cell] = 1.0 if math.isnan(R[cell]) else R[cell] + 1.0
        elif cell not in newest or time >= newest[cell]:
            R[cell], newest[cell] = ratings[n], time
    return R


def density(users: Any, items: Any, ratings: Any, timestamps: Any, n_users: int, n_items: int) -> float:
    """The share of the pairs (u, i) that met."""
    met = [
        any(users[n] == u and items[n] == i for n in range(len(users)))
        for u in range(n_users)
        for i in range(n_items)
    ]
    return sum(met) / (n_users * n_items)


def interaction_means(
    users: Any, items: Any, ratings: Any, timestamps: Any, n_users: int, n_items: int, empty: float
) -> Any:
    """The mean of what is stored in each row, and in each column; `empty` where nothing is."""
    R = interaction_matrix(users, items, ratings, timestamps, n_users, n_items)

    def mean(entries: list[float]) -> float:
        stored = [r for r in entries if not math.isnan(r)]
        return math.fsum(stored) / len(stored) if stored else empty

    rows = [mean([float(R[u, i]) for i in range(n_items)]) for u in range(n_users)]
    columns = [mean([float(R[u, i]) for u in range(n_users)]) for i in range(n_items)]
    return np.array(rows), np.array(columns)


def popularity(users: Any, items: Any, n_users: int, n_items: int) -> Any:
    """The number of events of each item, the same for every user."""
    s = np.zeros((n_users, n_items))
    for u in range(n_users):
        for n in range(len(items)):
            s[u, items[n]] += 1.0
    return s


# How ours is called: the mathematics takes events, our code an object that holds them.


def stored(
    ours: Any, users: Any, items: Any, ratings: Any, timestamps: Any, n_users: int, n_items: int
) -> Any:
    R = ours.from_interactions(Events(users, items, ratings, timestamps, n_users, n_items))
    return R.dense(fill=math.nan)


def stored_density(
    ours: Any, users: Any, items: Any, ratings: Any, timestamps: Any, n_users: int, n_items: int
) -> Any:
    return ours.from_interactions(Events(users, items, ratings, timestamps, n_users, n_items)).density


def stored_means(
    ours: Any, users: Any, items: Any, ratings: Any, timestamps: Any, n_users: int, n_items: int, empty: float
) -> Any:
    R = ours.from_interactions(Events(users, items, ratings, timestamps, n_users, n_items))
    return R.row_means(empty), R.column_means(empty)


def fitted(ours: Any, users: Any, items: Any, n_users: int, n_items: int) -> Any:
    model = ours().fit(Events(users, items, None, None, n_users, n_items), progress=False)
    return model.score(np.arange(n_users))


def events(rng: Rng, n: int = 23, n_users: int = 5, n_items: int = 7) -> tuple[Any, ...]:
    """Events with repeats; the last user and the last item have none."""
    users, items = rng.integers(0, n_users - 1, n), rng.integers(0, n_items - 1, n)
    users[-1], items[-1] = users[0], items[0]
    return users, items, rng.integers(1, 6, n).astype(np.float64), rng.permutation(n), n_users, n_items


def example(rng: Rng) -> tuple[Any, ...]:
    """User A rates items 1, 2, 3 with 5, 3, 1, a second user the first with 4."""
    return np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0]), np.array([5.0, 3.0, 1.0, 4.0]), None, 2, 3


def without(given: tuple[Any, ...], *which: int) -> tuple[Any, ...]:
    """The same events without ratings (2) or times (3)."""
    return tuple(None if i in which else value for i, value in enumerate(given))


def full(rng: Rng) -> tuple[Any, ...]:
    """Every user has met every item."""
    users, items = np.repeat(np.arange(3), 5), np.tile(np.arange(5), 3)
    return users, items, rng.integers(1, 6, 15).astype(np.float64), None, 3, 5


def equal_times(rng: Rng) -> tuple[Any, ...]:
    users, items, ratings, _, *sizes = events(rng)
    return users, items, ratings, rng.integers(0, 3, len(users)), *sizes


PLACES = {
    "example": example,
    "ratings and times": events,
    "equal times": equal_times,
    "no times": lambda rng: without(events(rng), 3),
    "no ratings": lambda rng: without(events(rng), 2),
    "neither": lambda rng: without(events(rng), 2, 3),
    "every cell": full,
    "one event": lambda rng: (np.array([1]), np.array([2]), np.array([4.0]), np.array([9]), 2, 3),
}
SOURCE = "the document, section 4.1"

FORMULAS = (
    Formula(
        name="interaction_matrix",
        meaning="The newest rating of an item by a user, or how often they met; absent where they did not.",
        latex=r"R_{ui} = r_{n^*}, \quad n^* = \arg\max_{n:\, u_n = u,\, i_n = i} (t_n, n); "
        r"\qquad \text{without ratings } R_{ui} = |\{n : u_n = u,\, i_n = i\}|",
        source=SOURCE,
        ours="minirec.data.InteractionMatrix",
        definition=interaction_matrix,
        value=stored,
        places=PLACES,
        properties=(
            Property("an entry for each pair that met, and no other", own.one_entry_per_pair, 0.0),
            Property("transposed when users and items change places", own.turned_when_roles_change, 0.0),
            Property("blind to the order of the rows", own.rows_have_no_order, 0.0),
            Property("relabeled with the users and items", own.relabeling_moves_rows_and_columns, 0.0),
            Property("as many events as there were", own.counts_add_up_to_the_events, 0.0),
        ),
    ),
    Formula(
        name="density",
        meaning="The share of all pairs of user and item that met.",
        latex=r"\frac{|\{(u, i) : R_{ui} \text{ is stored}\}|}{U I}",
        source=SOURCE,
        ours="minirec.data.InteractionMatrix",
        definition=density,
        value=stored_density,
        places=PLACES,
        properties=(
            Property("between 0 and 1", own.between_zero_and_one, 0.0),
            Property("blind to repeated events", own.blind_to_repeats, 0.0),
            Property("diluted by an item that nobody met", own.diluted_by_a_new_item, 1e-15),
        ),
    ),
    Formula(
        name="interaction_means",
        meaning="The mean rating that each user gave and that each item got, over what is stored.",
        latex=r"\bar R_u = \frac{1}{|I_u|} \sum_{i \in I_u} R_{ui}, \qquad "
        r"\bar R_i = \frac{1}{|U_i|} \sum_{u \in U_i} R_{ui}; "
        r"\qquad \text{a given number where nothing is stored}",
        source=SOURCE,
        ours="minirec.data.InteractionMatrix",
        definition=interaction_means,
        value=stored_means,
        places={
            name: lambda rng, make=make: (*make(rng), 2.5) for name, make in PLACES.items()  # type: ignore[misc]
        },
        properties=(
            Property("shifted with the ratings, where any is stored", own.shifted_with_the_ratings, 1e-15),
            Property("exchanged when users and items change places", own.means_change_places_with_roles, 0.0),
        ),
    ),
    Formula(
        name="popularity",
        meaning="The score of an item is how often it was taken, by whomever.",
        latex=r"s_{ui} = |\{n : i_n = i\}|",
        source="the baseline of every comparison; for section 9.2 of the document, of whom nothing is known",
        ours="minirec.models.Popularity",
        definition=popularity,
        value=fitted,
        places={
            "example": lambda rng: (np.array([0, 0, 1]), np.array([2, 0, 2]), 2, 3),
            "repeats": lambda rng: tuple(events(rng)[i] for i in (0, 1, 4, 5)),
        },
        properties=(
            Property("the same for everybody", own.same_for_everybody, 0.0),
            Property("as many events as there were", own.conserved, 0.0),
            Property("one more for one more event", own.one_more_event_is_one_more, 0.0),
            Property("relabeled with the users and items", own.relabeling_moves_rows_and_columns, 0.0),
        ),
    ),
)  # fmt: skip
