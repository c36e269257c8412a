"""The synthetic shop: the default data set, whose truth is known, so that scores have a known best.

The laws stand in `shop_world.py`, the best possible scores in `shop_oracle.py`, words and pictures in
`shop_products.py`. Here they become one data set: products, users, and events with time and rating.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirec.data.interactions import Interactions
from minirec.data.shop_oracle import BestPossible, best_possible, posterior_matrix
from minirec.data.shop_products import CATEGORIES, LOOKS, Product, make_products
from minirec.data.shop_world import (
    World,
    appetites,
    draw_counts,
    draw_histories,
    draw_successors,
    next_item_matrix,
)

Array = NDArray[Any]

MIN_EVENTS = 5  # per user
OPENING_DAY = 1_704_067_200  # 2024-01-01 00:00 UTC, in seconds
AGE_GROUPS = ("under 25", "25 to 39", "40 to 59", "60 and over")
AGE_SHARE = 0.3  # share of the variance of taste that the age group explains
RATING_CENTER, RATING_TASTE, RATING_QUALITY, RATING_NOISE = 3.0, 0.3, 0.5, 0.6
FIRST_NAMES = (
    "Ada Amir Anouk Ben Bruna Chen Clara Dario Dele Edith Emil Fatima Finn Grete Hana Hugo Ines Ivo Jamal "
    "June Kaito Lena Lior Maeve Marek Mina Nadia Nils Olga Omar Paula Pia Quentin Ravi Rosa Sami Selma "
    "Tariq Tess Uma Viktor Wanda Xenia Yara Yusuf Zoe"
).split()


class User(NamedTuple):
    id: str
    name: str
    age_group: str
    favorite_categories: tuple[str, str]  # the two that the planted taste rates highest
    favorite_look: str


def synthetic(
    n_users: int = 600,
    n_items: int = 300,
    n_events: int = 20_000,
    *,
    seed: int | np.random.Generator = 0,
    sequence_strength: float = 0.25,
    taste_strength: float = 2.2,
    popularity_strength: float = 0.8,
    noise: float = 0.05,
) -> Shop:
    """A shop with known truth; the same seed gives the same shop.

    >>> shop = synthetic(n_users=7, n_items=53, n_events=101, seed=0)
    >>> len(shop.interactions), shop.interactions.n_users, shop.interactions.n_items
    (101, 7, 53)

    What is in it, and whom it favors:

    - popularity: the r-th item has weight (r + 5)^-popularity_strength. `Popularity` finds this, and all
      others do too;
    - taste: each user likes some categories and looks, exp(taste_strength · affinity) as much as the
      average. It favors whoever learns users or item-to-item similarity: factorization, EASE, ItemKNN;
    - sequence: with probability sequence_strength the next item is one of three that go with the last item
      (two times in three) or with the one before. As nobody meets an item twice, it decides more often
      when a user has used up the favorites. It favors whoever looks at the order: a Markov chain gets much
      of it by counting pairs. The item before the last needs more than a first-order chain, and taste and
      order together need a model of both, such as a Transformer over the history;
    - noise: this share of what the sequence does not decide is uniform. It favors nobody;
    - text, picture and profile: they tell category and look, and the age group explains some of the taste.
      They favor content models for items and users without events.

    Left out on purpose: nothing drifts over time, sessions (runs of events with short gaps) do not change
    the law, and ratings depend on taste and quality only.

    The number of events of a user, at least 5, is drawn without looking at the items. Strengths of 0 switch
    a part off. Timestamps are whole seconds since 1970, strictly increasing within a user; ratings are
    1 to 5. Raises ValueError for sizes or strengths that cannot be.

    Time and memory grow with n_events and n_users x (48 lines + longest history): 100,000 users, 10,000
    items and 1,000,000 events take 2 to 5 seconds and 350 MB.
    """
    _check(n_users, n_items, n_events, sequence_strength, taste_strength, popularity_strength, noise)
    rngs = np.random.default_rng(seed).spawn(6)
    # items: category, look, popularity, quality, what goes with what
    rng = rngs[0]
    categories = rng.permutation(n_items) % len(CATEGORIES)
    looks = (rng.random(n_items) * len(LOOKS)).astype(np.int64)
    weight = (rng.permutation(n_items) + 6.0) ** -popularity_strength
    popularity = weight / weight.sum()
    quality = rng.standard_normal(n_items)
    successors = draw_successors(rng, categories, len(CATEGORIES))
    # users: taste (U, 8 + 6), one number per category and per look, each N(0, 1)
    rng = rngs[1]
    ages = (rng.random(n_users) * len(AGE_GROUPS)).astype(np.int64)
    of_age = rng.standard_normal((len(AGE_GROUPS), len(CATEGORIES) + len(LOOKS)))
    centers, spread = math.sqrt(AGE_SHARE) * of_age, math.sqrt(1 - AGE_SHARE)
    taste = centers[ages] + spread * rng.standard_normal((n_users, centers.shape[1]))
    # line c · 6 + l is category c in look l
    line = categories * len(LOOKS) + looks
    of_category = np.eye(len(CATEGORIES)).repeat(len(LOOKS), axis=1)
    features = np.vstack([of_category, np.tile(np.eye(len(LOOKS)), len(CATEGORIES))])
    appetite = appetites(taste, features, taste_strength, popularity, line)
    world = World(
        popularity=popularity,
        line=line,
        features=features,
        taste_strength=taste_strength,
        centers=centers,
        spread=spread,
        appetite=appetite,
        successors=successors,
        sequence_strength=sequence_strength,
        noise=noise,
    )
    # events
    high = min(n_items // 2, max(MIN_EVENTS, math.ceil(6 * n_events / n_users)))
    counts = draw_counts(rngs[2], n_users, n_events, MIN_EVENTS, high)
    items = draw_histories(rngs[3], world, counts)
    users = np.repeat(np.arange(n_users), counts)
    means = _mean_ratings(world, taste, quality, users, items)
    ratings = np.clip(np.rint(means + RATING_NOISE * rngs[4].standard_normal(n_events)), 1, 5)
    times = _draw_times(rngs[4], counts)
    # people and products
    user_ids, item_ids = _ids("u", n_users), _ids("p", n_items)
    products = make_products(rngs[5], categories, looks, item_ids)
    interactions = _log(user_ids, products, users, items, ratings, times)
    return Shop(interactions, products, _profiles(rngs[5], user_ids, ages, taste), taste, quality, world)


class Shop:
    """A synthetic shop. Users and items are counted as in `interactions`: index 17 is `products[17]`.

    interactions   every event, in the order of time; all products are in its id map, sold or not
    products       list of Product; users: list of User
    taste          (U, 8 + 6) the planted taste: categories, then looks; quality: (I,)
    world          the laws: popularity, appetites, successors, strengths
    """

    def __init__(
        self,
        interactions: Interactions,
        products: list[Product],
        users: list[User],
        taste: Array,
        quality: Array,
        world: World,
    ) -> None:
        self.interactions, self.products, self.users = interactions, products, users
        self.taste, self.quality, self.world = taste, quality, world

    def next_item_probabilities(self, user: int, history: Sequence[int] | Array) -> Array:
        """The true distribution of the next item, (I,), for internal indices; `history` is oldest first."""
        return self.next_item_matrix(np.array([user]), [np.asarray(history, dtype=np.int64)])[0]

    def next_item_matrix(self, users: Sequence[int] | Array, histories: Sequence[Array]) -> Array:
        """The true distributions (B, I) of the next items of users (B,) after B histories, oldest first.

        Exactly 0 at the items of a history. Raises ValueError unless there is one history per user, and
        IndexError for an index out of range.
        """
        listed = np.asarray(users, dtype=np.int64)
        if len(listed) != len(histories):
            raise ValueError(f"{len(listed)} users but {len(histories)} histories: one history per user")
        _check_indices("user", listed, len(self.users))
        return next_item_matrix(self.world, listed, self._checked(histories))

    def next_item_matrix_without_taste(
        self, histories: Sequence[Array], *, rng: int | np.random.Generator = 0, steps: int = 1500
    ) -> Array:
        """(B, I): P(next item | history) for one who knows the laws of the shop, but not who the user is.

        This is what a model that sees histories only can aim for. See `shop_oracle.posterior_matrix`; about
        two seconds for the default shop.
        """
        return posterior_matrix(self.world, self._checked(histories), rng=rng, steps=steps)

    def best_possible(
        self, test: Interactions, histories: Sequence[Array], k: int = 10, *, know_taste: bool = True
    ) -> BestPossible:
        """What the best ranking of all unseen items reaches on test events.

        test: a part of `interactions`, each row one event to predict; histories: for every user (U of them)
        the items before it, oldest first. Ranking by the true probabilities maximizes expected NDCG@k and
        HR@k. `ndcg` and `hit_rate` are measured on the test items, ties by expectation; `expected_*` average
        over the true distribution instead, so they carry no luck. With know_taste=False the ranking is by
        `next_item_matrix_without_taste`. Raises ValueError for k < 1, no rows, or a test item that is in the
        history.
        """
        truth = self.next_item_matrix
        if know_taste:
            return best_possible(truth, truth, test, histories, k)
        return best_possible(truth, lambda _, h: self.next_item_matrix_without_taste(h), test, histories, k)

    def _checked(self, histories: Sequence[Array]) -> list[Array]:
        arrays = [np.asarray(h, dtype=np.int64) for h in histories]
        for array in arrays:
            _check_indices("item", array, len(self.products))
        return arrays

    def expected_ratings(self, users: Array, items: Array) -> Array:
        """(N,) the exact mean of the rating that a user gives to an item: nothing has a smaller RMSE.

        A rating is a normal number rounded to 1 .. 5, so its mean is 1 + Σ_{r=1..4} P(number > r + 1/2).
        """
        means = _mean_ratings(self.world, self.taste, self.quality, np.asarray(users), np.asarray(items))
        z = (np.arange(1.5, 5.0) - means[:, None]) / (RATING_NOISE * math.sqrt(2))
        erfc = np.frompyfunc(math.erfc, 1, 1)
        return 1.0 + 0.5 * np.asarray(erfc(z), dtype=np.float64).sum(axis=1)


def _mean_ratings(world: World, taste: Array, quality: Array, users: Array, items: Array) -> Array:
    """(N,) before noise and rounding. The affinity is computed per row: (N, L), never U x I."""
    affinity = (taste[users] * world.features.T[world.line[items]]).sum(axis=1)
    return np.asarray(
        RATING_CENTER + RATING_TASTE * world.taste_strength * affinity + RATING_QUALITY * quality[items]
    )


def _check_indices(kind: str, values: Array, n: int) -> None:
    if values.size and (values.min() < 0 or values.max() >= n):
        bad = values[(values < 0) | (values >= n)][0]
        raise IndexError(f"{kind} index {bad} is out of range: allowed are 0 to {n - 1}")


def _check(n_users: int, n_items: int, n_events: int, *strengths: float) -> None:
    if n_users < 1 or n_items < 2 * MIN_EVENTS:
        raise ValueError(
            f"n_users = {n_users}, n_items = {n_items}: at least 1 user and {2 * MIN_EVENTS} items"
        )
    low, high = MIN_EVENTS * n_users, (n_items // 2) * n_users
    if not low <= n_events <= high:
        raise ValueError(
            f"n_events = {n_events}: {n_users} users and {n_items} items allow {low} to {high} "
            f"({MIN_EVENTS} per user, at most half of the items)"
        )
    for name, value, below in zip(
        ("sequence_strength", "taste_strength", "popularity_strength", "noise"),
        strengths,
        (1.0, 10.0, 10.0, 1.0),
        strict=True,
    ):
        if not 0 <= value < below:
            raise ValueError(f"{name} = {value}: must be at least 0 and below {below:g}")


def _ids(letter: str, n: int) -> list[str]:
    width = max(4, len(str(n - 1)))  # all of one width, so that the order of the text is the order of numbers
    return [f"{letter}{i:0{width}d}" for i in range(n)]


def _draw_times(rng: np.random.Generator, counts: Array) -> Array:
    """(N,) seconds: users begin within half a year; a fifth of the events open a session days later."""
    n = int(counts.sum())
    u = rng.random((2, n))
    pause = np.where(u[0] < 0.2, 86_400 * (0.5 + 12 * u[1]), 30 + 600 * u[1]).astype(np.int64)
    first = np.cumsum(counts) - counts
    elapsed = np.cumsum(pause)
    begin = (rng.random(len(counts)) * 182 * 86_400).astype(np.int64)
    return OPENING_DAY + elapsed + np.repeat(begin - elapsed[first], counts)


def _profiles(rng: np.random.Generator, ids: list[str], ages: Array, taste: Array) -> list[User]:
    liked = np.argsort(-taste[:, : len(CATEGORIES)], axis=1, kind="stable")[:, :2].tolist()
    look = np.argmax(taste[:, len(CATEGORIES) :], axis=1).tolist()
    first = (rng.random(len(ids)) * len(FIRST_NAMES)).astype(np.int64).tolist()
    last = (rng.random(len(ids)) * 26).astype(np.int64).tolist()
    return [
        User(
            ids[u],
            f"{FIRST_NAMES[first[u]]} {chr(65 + last[u])}.",
            AGE_GROUPS[age],
            (CATEGORIES[liked[u][0]].name, CATEGORIES[liked[u][1]].name),
            LOOKS[look[u]].name,
        )
        for u, age in enumerate(ages.tolist())
    ]


def _log(
    user_ids: list[str], products: list[Product], users: Array, items: Array, ratings: Array, times: Array
) -> Interactions:
    """All events in the order of time; all products are in the id map."""
    # One extra row per product, dropped again, puts the unsold on the map.
    order = np.lexsort((users, times))
    shelf = np.arange(len(products))
    everything = Interactions(
        [user_ids[u] for u in users[order].tolist()] + [user_ids[0]] * len(shelf),
        [products[i].id for i in np.concatenate([items[order], shelf]).tolist()],
        np.concatenate([ratings[order], np.full(len(shelf), 3.0)]),
        np.concatenate([times[order], np.full(len(shelf), OPENING_DAY)]),
        titles={p.id: p.title for p in products},
    )
    return everything.select(np.arange(len(items)))
