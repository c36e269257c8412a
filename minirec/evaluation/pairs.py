"""Two models over the same users: the difference with its interval, and whether chance could have made it.

Users differ far more than models do, so a difference user by user says more than two separate intervals.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirec.evaluation import significance
from minirec.evaluation.protocol import Evaluation

Array = NDArray[Any]


def paired_difference(
    a: Evaluation, b: Evaluation, metric: str, rng: Any = 0, level: float = 0.95
) -> tuple[float, float, float]:
    """The mean of a - b over the same users, and its bootstrap interval: (difference, low, high).

    Raises ValueError if the users, the cut-off or the protocol differ.
    """
    difference = _differences(a, b, metric)
    means = significance.bootstrap_means(difference, rng)
    return float(difference.mean()), *significance.interval(means, level)


def paired_p_value(a: Evaluation, b: Evaluation, metric: str, rng: Any = 0) -> float:
    """The two-sided p value of "a and b are equally good", by the paired permutation test over users.

    Raises ValueError if the users, the cut-off or the protocol differ.
    """
    return significance.permutation_p_value(_differences(a, b, metric), rng)


def _differences(a: Evaluation, b: Evaluation, metric: str) -> Array:
    if not np.array_equal(a.users, b.users) or (a.k, a.protocol) != (b.k, b.protocol):
        raise ValueError(
            f"a paired difference needs the same users and protocol, got k = {a.k}, {a.protocol!r} "
            f"and k = {b.k}, {b.protocol!r}"
        )
    both: Array = a.per_user(metric) - b.per_user(metric)
    return significance.defined(both)
