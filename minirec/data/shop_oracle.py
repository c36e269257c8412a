"""The best possible scores in the synthetic shop, for one who knows every taste and for one who does not.

Used by `minirec.data.shop`. The first ranks by the true probabilities. The second knows the laws of the shop
but of a user only the history, and averages over all tastes that could have led to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirec.data.interactions import Interactions
from minirec.data.shop_world import RECENCY_WEIGHTS, SUCCESSOR_WEIGHTS, World, appetites

Array = NDArray[Any]
Matrix = Callable[[Array, Sequence[Array]], Array]  # users (B,), B histories -> (B, I)


class BestPossible(NamedTuple):
    """What a ranking by probabilities reaches. `expected_*` is the exact mean over the true next items."""

    ndcg: float
    hit_rate: float
    expected_ndcg: float
    expected_hit_rate: float
    n_users: int
    k: int

    def __str__(self) -> str:
        return (
            f"best possible NDCG@{self.k} {self.ndcg:.4f} (expected {self.expected_ndcg:.4f}), "
            f"HR@{self.k} {self.hit_rate:.4f} (expected {self.expected_hit_rate:.4f}), {self.n_users} users"
        )


def best_possible(
    truth: Matrix, scores: Matrix, test: Interactions, histories: Sequence[Array], k: int
) -> BestPossible:
    """Measure the ranking by `scores` on test events and in expectation over `truth`: Shop.best_possible."""
    if k < 1 or len(test) == 0:
        raise ValueError(f"nothing to measure: k = {k} (at least 1), {len(test)} test events (at least 1)")
    if len(histories) != test.n_users:
        raise ValueError(
            f"{len(histories)} histories for {test.n_users} users: give one per user of the id map"
        )
    sums = np.zeros(4)
    for rows in np.array_split(np.arange(len(test)), len(test) // 1024 + 1):
        users, items = test.users[rows], test.items[rows]
        before = [histories[u] for u in users]
        for b, history in enumerate(before):
            if np.any(np.asarray(history) == items[b]):
                raise ValueError(
                    f"test row {rows[b]}: user {test.user_ids[users[b]]!r} has {test.item_ids[items[b]]!r} "
                    "in the history already: give the histories before the test events"
                )
        p = truth(users, before)
        q = p if scores is truth else scores(users, before)
        q = np.where(p > 0, q, -np.inf)  # seen items are not candidates
        for i, earned in enumerate(expected_metrics(q, k)):
            sums[i] += earned[np.arange(len(rows)), items].sum()
            sums[i + 2] += (earned * p).sum()
    ndcg, hit_rate, expected_ndcg, expected_hit_rate = (sums / len(test)).tolist()
    return BestPossible(ndcg, hit_rate, expected_ndcg, expected_hit_rate, len(test), k)


def expected_metrics(scores: Array, k: int) -> tuple[Array, Array]:
    """NDCG@k and HR@k, each (B, I): what a row of scores (B, I) earns if that item is the one relevant one.

    With one relevant item NDCG@k is 1 / log2(rank + 1) and HR@k is 1 up to rank k, else 0. Equal scores share
    the mean of their ranks' values: the expectation over random orders of the tied items. -inf is no
    candidate and earns 0.
    """
    n_rows, n = scores.shape
    rows = np.arange(n_rows)[:, None]
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = scores[rows, order]
    starts = np.ones((n_rows, n), dtype=bool)
    starts[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    run = np.cumsum(starts) - 1  # which run of equal scores a cell is in, counted through all rows
    first = np.flatnonzero(starts)
    length = np.diff(np.append(first, n_rows * n))
    first %= n
    earned = []
    for values in (1.0 / np.log2(np.arange(2, n + 2)), np.ones(n)):
        values[k:] = 0.0
        total = np.concatenate([[0.0], np.cumsum(values)])
        share = (total[first + length] - total[first]) / length
        out = np.empty((n_rows, n))
        out[rows, order] = np.where(ranked == -np.inf, 0.0, share[run].reshape(n_rows, n))
        earned.append(out)
    return earned[0], earned[1]


class Paths(NamedTuple):
    """What the histories fix whatever the taste: for N events, row after row, and for the B next places."""

    rows: Array  # (N,) whose event
    items: Array  # (N,)
    starts: Array  # (B,) first event of each row
    ends: Array  # (B,)
    hit: Array  # (N,) share of the sequence in the probability of the event, before normalization
    free: Array  # (N,) the same for all items unseen before the event
    free_next: Array  # (B,) the same for the place to be filled
    rest: Array  # (N,) what is not the sequence: 1 - s, or 1 at the first event
    rest_next: Array  # (B,)


def posterior_matrix(
    world: World,
    histories: Sequence[Array],
    *,
    rng: int | np.random.Generator = 0,
    steps: int = 1500,
) -> Array:
    """P(next item | history) for one who knows the laws but not the taste: (B, I), 0 at seen items.

    The mean of `next_item_matrix` over the posterior of the taste, by random-walk Metropolis: one chain per
    history, all moved at once, the first third thrown away while the step size adapts to an acceptance of a
    quarter (Metropolis et al. 1953; Gelman et al. 1996). More steps come closer to the exact mean. What it
    scores is a lower bound of the best that any learner from histories can expect, up to luck.
    Time: steps x total length of the histories; memory: that length plus (B, I).
    """
    rng = np.random.default_rng(rng)
    paths = follow_paths(world, [np.asarray(h, dtype=np.int64) for h in histories])
    n_rows, n_numbers = len(histories), world.features.shape[0]
    taste = np.zeros((n_rows, n_numbers))
    value, appetite, mass = log_posterior(world, paths, taste)
    size = np.full(n_rows, 0.3)
    mean_appetite, mean_weight = np.zeros_like(appetite), np.zeros(n_rows)
    for step in range(steps):
        moved = taste + size[:, None] * rng.standard_normal(taste.shape)
        new = log_posterior(world, paths, moved)
        accept = np.log1p(-rng.random(n_rows)) < new[0] - value
        taste = np.where(accept[:, None], moved, taste)
        appetite = np.where(accept[:, None], new[1], appetite)
        value, mass = np.where(accept, new[0], value), np.where(accept, new[2], mass)
        if step < steps // 3:
            size *= np.exp(0.1 * (accept - 0.25))
        else:
            mean_appetite += appetite / mass[:, None]
            mean_weight += 1.0 / mass
    # On unseen items a prediction is (sequence + rest · ((1 − n) · popularity · appetite + n / I)) / mass.
    # It is linear in appetite / mass and in 1 / mass: their means over the chain are all that is needed.
    n_items = len(world.popularity)
    p = (1 - world.noise) * world.popularity * mean_appetite[:, world.line]
    p += world.noise / n_items * mean_weight[:, None]
    p *= paths.rest_next[:, None]
    for b, history in enumerate(histories):
        for item, pull in _pulls(history):
            p[b, world.successors[item]] += (
                world.sequence_strength * pull * np.array(SUCCESSOR_WEIGHTS) * mean_weight[b]
            )
        p[b, history] = 0.0
    total = p.sum(axis=1, keepdims=True)
    return np.asarray(p / np.where(total > 0, total, 1.0))


def _pulls(history: Array) -> list[tuple[int, float]]:
    """The last items, and how much of the sequence each decides."""
    if len(history) == 1:
        return [(int(history[0]), 1.0)]
    return [(int(i), w) for i, w in zip(history[::-1][:2], RECENCY_WEIGHTS, strict=False)]


def follow_paths(world: World, histories: list[Array]) -> Paths:
    """Sort out, without a loop over events, what each event owes to the sequence."""
    lengths = np.array([len(h) for h in histories], dtype=np.int64)
    n_rows, n_items, s = len(lengths), len(world.popularity), world.sequence_strength
    ends = np.cumsum(lengths)
    starts = ends - lengths
    items = np.concatenate([*histories, np.zeros(0, dtype=np.int64)])
    rows = np.repeat(np.arange(n_rows), lengths)
    # One place more than events in each row: the next item.
    row = np.repeat(np.arange(n_rows), lengths + 1)
    time = np.arange(len(row)) - np.repeat(starts + np.arange(n_rows), lengths + 1)
    is_event = time < lengths[row]
    keys = rows * n_items + items
    order = np.argsort(keys)
    when = (np.arange(len(items)) - starts[rows])[order]
    keys = keys[order]
    actual = np.full(len(row), -1)
    actual[is_event] = items
    hit, free = np.zeros(len(row)), np.zeros(len(row))
    for back, recency in enumerate(RECENCY_WEIGHTS):
        has = np.flatnonzero(time > back)
        source = items[starts[row[has]] + time[has] - 1 - back]
        pull = s * np.where((time[has] == 1) & (back == 0), 1.0, recency)
        for rank, closeness in enumerate(SUCCESSOR_WEIGHTS):
            follower = world.successors[source, rank]
            wanted = row[has] * n_items + follower
            place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            seen = (keys[place] == wanted) & (when[place] < time[has])
            free[has] += np.where(seen, 0.0, pull * closeness)
            hit[has] += np.where(follower == actual[has], pull * closeness, 0.0)
    rest = np.where(time > 0, 1 - s, 1.0)
    return Paths(
        rows,
        items,
        starts,
        ends,
        hit[is_event],
        free[is_event],
        free[~is_event],
        rest[is_event],
        rest[~is_event],
    )


def log_posterior(world: World, paths: Paths, taste: Array) -> tuple[Array, Array, Array]:
    """Log posterior (B,) but for a constant, appetites (B, G), mass of the unseen at the next place (B,)."""
    n_rows = len(taste)
    appetite = appetites(taste, world.features, world.taste_strength, world.popularity, world.line)
    liking = world.popularity[paths.items] * appetite[paths.rows, world.line[paths.items]]
    q = (1 - world.noise) * liking + world.noise / len(world.popularity)  # (N,)
    so_far = np.concatenate([[0.0], np.cumsum(q)])
    # Rounding may push a mass that has run out below 0; every item left keeps it above this floor.
    seen = so_far[:-1] - so_far[paths.starts][paths.rows]
    mass = np.maximum(paths.rest * (1 - seen) + paths.free, 1e-12)
    log_p = np.log(paths.rest * q + paths.hit) - np.log(mass)
    likelihood = np.bincount(paths.rows, weights=log_p, minlength=n_rows)
    distance = ((taste[:, None, :] - world.centers) ** 2).sum(axis=2) / (-2 * world.spread**2)  # (B, A)
    top = distance.max(axis=1)
    prior = top + np.log(np.exp(distance - top[:, None]).sum(axis=1))
    mass_next = paths.rest_next * (1 - so_far[paths.ends] + so_far[paths.starts]) + paths.free_next
    return likelihood + prior, appetite, np.maximum(mass_next, 1e-12)
