"""Splits: which interactions a model is fitted on, and which are kept back to judge it.

Every interaction lands in exactly one part. The parts keep the id maps of the whole, so their indices mean
the same users and items, and their rows keep the order of the file.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirec.data.interactions import Interactions

Array = NDArray[Any]


def leave_one_out(x: Interactions) -> tuple[Interactions, Interactions, Interactions]:
    """Train, validation and test: each user's last event is test, the one before it validation.

    "Last" is by timestamp, and between equal timestamps by row, so the order of the file decides ties.
    Without timestamps the order of the rows is the order in time. Users with fewer than 3 events are
    training only.
    """
    order = x.order()  # (N,) by user, then time, then row
    counts = np.bincount(x.users, minlength=x.n_users)
    ends = np.cumsum(counts)[counts >= 3]
    part = np.zeros(len(x), dtype=np.int64)
    part[order[ends - 2]] = 1
    part[order[ends - 1]] = 2
    train, valid, test = (x.select(part == p) for p in range(3))
    return train, valid, test


def global_temporal(
    x: Interactions, valid_from: float, test_from: float
) -> tuple[Interactions, Interactions, Interactions]:
    """Train: before `valid_from`; validation: from then on, before `test_from`; test: from then on.

    One clock for all users, so that nothing from the future is learned. A part may be empty.
    Raises ValueError without timestamps, for cuts that are not finite, and for `valid_from` > `test_from`.
    """
    if x.timestamps is None:
        raise ValueError("a temporal split needs timestamps, and these interactions have none")
    for name, cut in (("valid_from", valid_from), ("test_from", test_from)):
        if not math.isfinite(cut):
            raise ValueError(f"{name} = {cut} is not finite: give it in the unit of the timestamps")
    if valid_from > test_from:
        raise ValueError(f"valid_from = {valid_from} lies after test_from = {test_from}: swap them")
    before_valid, before_test = x.timestamps < valid_from, x.timestamps < test_from
    return x.select(before_valid), x.select(~before_valid & before_test), x.select(~before_test)


def temporal_cuts(x: Interactions, valid: float = 0.1, test: float = 0.1) -> tuple[float, float]:
    """(valid_from, test_from) for `global_temporal`: the last `test` of all events, and `valid` before them.

    Events are ordered by time. Those with the time of a cut all belong to the later part, so parts can be
    somewhat larger than asked for.
    Raises ValueError without timestamps or events, and for shares that are not between 0 and 1 together.
    """
    if x.timestamps is None:
        raise ValueError("a temporal split needs timestamps, and these interactions have none")
    if len(x) == 0:
        raise ValueError("a temporal split needs at least one event")
    if not (valid > 0 and test > 0 and valid + test < 1):
        raise ValueError(f"shares valid = {valid} and test = {test} must be above 0, and below 1 together")
    times = np.sort(x.timestamps)
    first_valid, first_test = (round((1 - share) * len(x)) for share in (valid + test, test))
    return float(times[min(first_valid, len(x) - 1)]), float(times[min(first_test, len(x) - 1)])


def known_users(train: Interactions, part: Interactions) -> Interactions:
    """The rows of `part` whose users have an event in `train`: nothing is known of the others."""
    return part.select(np.bincount(train.users, minlength=train.n_users)[part.users] > 0)


def random_split(
    x: Interactions, fraction: float, rng: np.random.Generator | int
) -> tuple[Interactions, Interactions]:
    """Train and test; `fraction` is the share of test, rounded to whole interactions.

    Raises ValueError for a fraction outside (0, 1).
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction = {fraction} must lie between 0 and 1: it is the share of the test part")
    test = np.zeros(len(x), dtype=np.bool_)
    test[np.random.default_rng(rng).permutation(len(x))[: round(fraction * len(x))]] = True
    return x.select(~test), x.select(test)


def k_fold(
    x: Interactions, k: int, rng: np.random.Generator | int
) -> list[tuple[Interactions, Interactions]]:
    """k pairs of train and test: every interaction is tested exactly once, the folds differ by at most one.

    Raises TypeError where k is not an integer, ValueError for k < 2 and for more folds than interactions.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"k must be an integer, got {k!r}")
    if not 2 <= k <= len(x):
        raise ValueError(f"k = {k} folds of {len(x)} interactions: allowed are 2 to {len(x)}")
    fold = np.empty(len(x), dtype=np.int64)
    fold[np.random.default_rng(rng).permutation(len(x))] = np.arange(len(x)) % k
    return [(x.select(fold != f), x.select(fold == f)) for f in range(k)]
