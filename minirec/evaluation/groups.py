"""Users in groups: how good is a model for those with short histories, and for unpopular items?

A group is an array of user indices with a name. `history_lengths` and `held_out_popularity` give a number per
user, `group_users` cuts users by any such number, and `group_means` reads an evaluation by group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirec.data.interactions import Interactions
from minirec.evaluation import significance
from minirec.evaluation.protocol import Evaluation, item_users

Array = NDArray[Any]


class GroupMean(NamedTuple):
    """The mean of one metric over the users of a group, with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    users: int  # for whom the metric is defined


def history_lengths(seen: Interactions) -> Array:
    """(U,) how many events each user has in `seen`, as in the training part."""
    lengths: Array = np.bincount(seen.users, minlength=seen.n_users)
    return lengths


def held_out_popularity(train: Interactions, test: Interactions) -> Array:
    """(U,) in how many training users' histories a user's test item is; the mean where there are several.

    NaN for users without a test item.
    """
    events = np.bincount(test.users, minlength=test.n_users)
    total = np.bincount(test.users, weights=item_users(train)[test.items], minlength=test.n_users)
    mean: Array = np.where(events > 0, total / np.maximum(events, 1), np.nan)
    return mean


def group_users(
    values: Array, users: Sequence[int] | Array, edges: Sequence[float] | Array | None = None
) -> dict[str, Array]:
    """{name: user indices}: `users` cut by their `values` (U,) into groups of edge <= value < next edge.

    `edges` are the cuts; None: the quartiles of the values of `users`. Groups without users are left out, and
    so are users whose value is NaN.

    >>> group_users(np.array([3, 8, 5, 40]), users=[0, 1, 3], edges=[5, 20])
    {'under 5': array([0]), '5 to under 20': array([1]), '20 and more': array([3])}
    """
    users = np.asarray(users)
    own = np.asarray(values, dtype=np.float64)[users]
    users, own = users[~np.isnan(own)], own[~np.isnan(own)]
    if edges is None:
        edges = np.ceil(np.quantile(own, [0.25, 0.5, 0.75])) if len(own) else []
    cuts = np.unique(np.asarray(edges, dtype=np.float64))
    place = cuts.searchsorted(own, "right")  # a value on a cut belongs above it
    found = {}
    for j, name in enumerate(_names(cuts)):
        if np.any(place == j):
            found[name] = users[place == j]
    return found


def group_means(
    evaluation: Evaluation, parts: Mapping[str, Array], metric: str, rng: Any = 0
) -> dict[str, GroupMean]:
    """The mean of `metric` over the users of each group, with its interval and how many users it is over.

    Users of a group who were not evaluated do not count; a group of which none was is left out.
    """
    values = evaluation.per_user(metric)
    means = {}
    for name, users in parts.items():
        own = values[np.isin(evaluation.users, users)]
        own = own[~np.isnan(own)]
        if len(own):
            bounds = significance.interval(significance.bootstrap_means(own, rng))
            means[name] = GroupMean(float(own.mean()), *bounds, len(own))
    return means


def _names(cuts: Array) -> list[str]:
    if len(cuts) == 0:
        return ["all"]
    texts = [f"{cut:g}" for cut in cuts]
    between = [f"{low} to under {high}" for low, high in pairwise(texts)]
    return [f"under {texts[0]}", *between, f"{texts[-1]} and more"]
