"""The laws of the synthetic shop: how the next item of a user comes about, as a formula and as a sampler.

Used by `minirec.data.shop`, which dresses this up as products, profiles and ratings. The sampler draws from
exactly the distribution that `next_item_matrix` writes down, so the best possible score is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SUCCESSOR_WEIGHTS = (0.6, 0.25, 0.15)  # the three items that go with an item, from the closest
RECENCY_WEIGHTS = (0.65, 0.35)  # pull of the last item and of the one before
PATIENCE = 40  # rounds of rejection before the exact distribution is written out


class World(NamedTuple):
    """All that decides which item comes next. U users, I items, G lines (a line: category and look)."""

    popularity: Array  # (I,) shares, sum 1
    line: Array  # (I,) the line of each item
    features: Array  # (L, G) 0 or 1: which of the L numbers of a taste (categories, then looks) a line has
    taste_strength: float
    centers: Array  # (A, L) the mean taste of each age group; all are as frequent
    spread: float  # standard deviation of a taste around the center of its group
    appetite: Array  # (U, G) `appetites` of the planted tastes
    successors: Array  # (I, 3) the items that go with an item, distinct, never the item itself
    sequence_strength: float
    noise: float


def next_item_matrix(world: World, users: Array, histories: Sequence[Array]) -> Array:
    """P(next item | user, history): (B, I), rows sum to 1, exactly 0 at the items of the history.

        p(i) ∝ [i not seen] · (s · follows(i) + (1 − s) · ((1 − n) · popularity(i) · appetite(u, i) + n / I))
        follows(i) = Σ over the last two items j of recency(j) · closeness(j → i)

    s is `sequence_strength`, n is `noise`. Without a history s counts as 0; with one item it has all of the
    recency. A user who has seen everything gets a row of zeros.
    users (B,) indices; histories: B arrays of item indices, oldest first. Memory: a few arrays (B, I).
    """
    n_items = len(world.popularity)
    rows = np.arange(len(users))
    lengths = np.array([len(h) for h in histories], dtype=np.int64)
    taste = world.popularity * world.appetite[users][:, world.line]  # (B, I)
    p = (1 - world.noise) * taste + world.noise / n_items
    p *= np.where(lengths > 0, 1 - world.sequence_strength, 1.0)[:, None]
    for back, recency in enumerate(RECENCY_WEIGHTS):
        has = rows[lengths > back]
        item = np.array([histories[b][-1 - back] for b in has], dtype=np.int64)
        pull = np.where((lengths[has] == 1) & (back == 0), 1.0, recency) * world.sequence_strength
        # The three successors of an item are distinct, so no cell is addressed twice in this addition.
        p[has[:, None], world.successors[item]] += pull[:, None] * np.array(SUCCESSOR_WEIGHTS)
    if lengths.sum():
        p[np.repeat(rows, lengths), np.concatenate(histories)] = 0.0
    total = p.sum(axis=1, keepdims=True)
    return p / np.where(total > 0, total, 1.0)


def appetites(taste: Array, features: Array, strength: float, popularity: Array, line: Array) -> Array:
    """(U, G) from taste (U, L): exp(strength · affinity), scaled: Σ_i popularity(i) · appetite(u, i) = 1.

    The affinity of a user for a line is the sum of the taste for its category and for its look.
    """
    appetite = np.exp(strength * (taste @ features))
    mass = np.bincount(line, weights=popularity, minlength=features.shape[1])  # (G,)
    return np.asarray(appetite / (appetite @ mass)[:, None])


def draw_successors(rng: np.random.Generator, categories: Array, n_categories: int) -> Array:
    """(I, 3): two items of the category that goes with the item's own (the next one), one of its own.

    Drawn again until the three are distinct and none is the item itself; where a category is too small
    for that, from the whole catalogue.
    """
    n_items, width = len(categories), len(SUCCESSOR_WEIGHTS)
    by_category = np.argsort(categories, kind="stable")
    sizes = np.bincount(categories, minlength=n_categories)
    starts = np.cumsum(sizes) - sizes
    wanted = np.stack([(categories + 1) % n_categories, (categories + 1) % n_categories, categories], axis=1)
    successors = np.empty((n_items, width), dtype=np.int64)
    todo, attempt = np.arange(n_items), 0
    while todo.size:
        start, size = starts[wanted[todo]], sizes[wanted[todo]]
        if attempt >= PATIENCE or not sizes.all():
            start, size = np.zeros_like(start), np.full_like(size, n_items)
        successors[todo] = by_category[start + (rng.random(size.shape) * size).astype(np.int64)]
        s = np.sort(np.concatenate([successors[todo], todo[:, None]], axis=1), axis=1)
        todo, attempt = todo[(s[:, 1:] == s[:, :-1]).any(axis=1)], attempt + 1
    return successors


def draw_counts(rng: np.random.Generator, n_users: int, n_events: int, low: int, high: int) -> Array:
    """(U,) events per user between low and high, sum exactly n_events: log-normal, and blind to the items.

    Were a user's length to depend on what they met, the last event of a user would not follow the law of
    the others, and the best possible score would be unknown.
    """
    weight = np.exp(0.7 * rng.standard_normal(n_users))
    spare = n_events - low * n_users
    counts = np.minimum(low + (spare * weight / weight.sum()).astype(np.int64), high)
    missing = n_events - int(counts.sum())
    order = rng.permutation(n_users)
    while missing > 0:
        lucky = order[counts[order] < high][:missing]
        counts[lucky] += 1
        missing -= len(lucky)
    return counts


def draw_histories(rng: np.random.Generator, world: World, counts: Array) -> Array:
    """(N,) items, user after user, oldest first: step t of all users is drawn at once.

    An item that the user has seen is refused and drawn again, which is what the renormalization in
    `next_item_matrix` says. A user who is refused `PATIENCE` times is drawn from the written-out row.
    Time and memory grow with N and with U x the longest history, never with U x I.
    """
    n_users, longest = len(counts), int(counts.max())
    order = np.argsort(-counts, kind="stable")  # long histories first: the active users are a prefix
    active = np.searchsorted(-counts[order], -np.arange(longest), side="left")
    met = np.full((n_users, longest), -1, dtype=np.int32)
    sampler = _Sampler(world)
    for t in range(longest):
        todo = np.arange(active[t])
        for _ in range(PATIENCE):
            items = sampler.propose(rng, order[todo], met[todo, max(t - 2, 0) : t])
            fresh = ~(met[todo, :t] == items[:, None]).any(axis=1)
            met[todo[fresh], t] = items[fresh]
            todo = todo[~fresh]
            if not todo.size:
                break
        for block in np.array_split(todo, len(todo) // 256 + 1):
            p = next_item_matrix(world, order[block], list(met[block, :t].astype(np.int64)))
            below = np.cumsum(p, axis=1) <= rng.random(len(block))[:, None]
            # Rounding may leave the last sum under the draw: then the last item that is possible.
            last = p.shape[1] - 1 - np.argmax(p[:, ::-1] > 0, axis=1)
            met[block, t] = np.minimum(below.sum(axis=1), last)
    return met[np.argsort(order)][np.arange(longest) < counts[:, None]].astype(np.int64)


class _Sampler:
    """Draws from the law without the rule about seen items, by tables of size I and U x G."""

    def __init__(self, world: World) -> None:
        self.world = world
        n_lines = world.appetite.shape[1]
        self.by_line = np.argsort(world.line, kind="stable")  # items, line after line
        mass = np.bincount(world.line, weights=world.popularity, minlength=n_lines)  # (G,)
        self.ends = np.cumsum(np.bincount(world.line, minlength=n_lines))
        self.within = np.cumsum(world.popularity[self.by_line])
        self.mass, self.start = mass, np.cumsum(mass) - mass
        lines = np.cumsum(world.appetite * mass, axis=1)  # (U, G)
        self.lines = lines / lines[:, -1:]
        self.closeness = np.cumsum(SUCCESSOR_WEIGHTS)[:-1]

    def propose(self, rng: np.random.Generator, users: Array, recent: Array) -> Array:
        """(B,) items for users (B,) whose last items are recent (B, 0 to 2), oldest first."""
        world, n_items = self.world, len(self.world.popularity)
        u = rng.random((4, len(users)))
        # Taste: first a line, then an item of it. Lines without items have no mass and are never hit.
        line = (self.lines[users] <= u[0][:, None]).sum(axis=1)
        place = np.searchsorted(self.within, self.start[line] + u[1] * self.mass[line], side="right")
        items = self.by_line[np.minimum(place, self.ends[line] - 1)]
        items = np.where(u[2] < world.noise, (u[1] * n_items).astype(np.int64), items)
        if recent.shape[1] == 0:
            return items
        # Where the sequence decides, u[0] and u[1] are not needed for taste: they pick item and successor.
        before = (u[0] >= RECENCY_WEIGHTS[0]) & (recent.shape[1] > 1)
        source = np.where(before, recent[:, 0], recent[:, -1])
        follower = world.successors[source, np.searchsorted(self.closeness, u[1], side="right")]
        return np.where(u[3] < world.sequence_strength, follower, items)
