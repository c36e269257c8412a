"""How sure is a mean over users, and is it other than zero? The bootstrap, and the test by flipped signs.

Both take one number per user, since the events of one user are not independent, and assume nothing about
their distribution: most are 0, a few are near 1. `holm` corrects for several such tests. NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

RESAMPLES = 2000  # of the bootstrap: the ends of a 95 % interval are then sure to about 3 % of its width
FLIPS = 10_000  # of the permutation test: the smallest p value that it can give is 1 / (FLIPS + 1)
HELD = 2_000_000  # random numbers held at once, so memory stays at some tens of MB


def bootstrap_means(values: Array, rng: Any = 0, resamples: int = RESAMPLES) -> Array:
    """(resamples, ...) means over users of `values` (U, ...), each of U users drawn with replacement."""
    generator = np.random.default_rng(rng)
    size = max(1, HELD // max(1, values.size))
    means = []
    for start in range(0, resamples, size):
        draws = generator.integers(0, len(values), (min(size, resamples - start), len(values)))
        means.append(values[draws].mean(axis=1))
    return np.concatenate(means)


def interval(means: Array, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval (low, high) of bootstrap means (Efron 1979)."""
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: the level of an interval is between 0 and 1, as in 0.95")
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def permutation_p_value(differences: Array, rng: Any = 0, flips: int = FLIPS) -> float:
    """How often |Σ ±d| reaches |Σ d| when each user's sign is a coin: the two-sided p value of a mean of 0.

    If two models are equally good, each user's difference d (U,) could as well have the other sign (Fisher
    1935). Where there are no more than `flips` patterns of signs, all are counted and p is exact. Else that
    many are drawn, and p = (1 + n) / (1 + flips), with n patterns that reach it: the observed one counts
    too, so p is never 0 (Phipson & Smyth 2010). Differences of 0 decide nothing, and are left out.

    Raises ValueError for differences that are not finite, not one number per user, or for flips < 1.
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or d.size == 0:
        raise ValueError(f"differences must be one number per user, shape (U,), got shape {d.shape}")
    if not np.isfinite(d).all():
        user = int(np.flatnonzero(~np.isfinite(d))[0])
        raise ValueError(f"differences[{user}] = {d[user]} is not finite: leave this user out")
    if flips < 1:
        raise ValueError(f"flips = {flips}: at least one pattern of signs is drawn")
    d = d[d != 0]
    # A pattern that is equal by mathematics must count, whatever its rounding: .1 + .2 is not .3.
    least = abs(d.sum()) - 1e-12 * np.abs(d).sum()
    if len(d) < 63 and 2 ** len(d) <= flips:
        patterns = np.arange(2 ** len(d))[:, None] >> np.arange(len(d)) & 1  # (2^U, U)
        return float(np.mean(np.abs((1.0 - 2.0 * patterns) @ d) >= least))
    generator = np.random.default_rng(rng)
    reached = 0
    size = max(1, HELD // len(d))
    for start in range(0, flips, size):
        signs = 1.0 - 2.0 * generator.integers(0, 2, (min(size, flips - start), len(d)), dtype=np.int8)
        reached += int(np.count_nonzero(np.abs(signs @ d) >= least))
    return (1 + reached) / (1 + flips)


def holm(p_values: Sequence[float] | Array) -> Array:
    """(m,) p values corrected for their number: what stays below α is wrong anywhere with chance α at most.

    Of the sorted p_1 <= ... <= p_m, the i-th becomes max_{j <= i} min(1, (m - j + 1) p_j) (Holm 1979). Valid
    however the tests depend on each other. Raises ValueError for what is no list of numbers from 0 to 1.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not np.all((p >= 0) & (p <= 1)):
        raise ValueError(f"p values are a list of numbers from 0 to 1, got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    corrected = np.zeros_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def defined(values: Array) -> Array:
    """`values` without NaN, which stands for "not defined for this user"; ValueError if nothing is left."""
    kept = values[~np.isnan(values)]
    if len(kept) == 0:
        raise ValueError("the metric is not defined for any of the users")
    return kept
