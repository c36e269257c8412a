"""How sure a mean over users is: its resamples, the test by flipped signs, and many tests at once."""

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.drawing import normal, short

EXACT = 1e-13  # rounding of sums of some ten terms of size 1


def bootstrap_means(values: Any, rng: int, resamples: int) -> Any:
    """Of each resample: the mean of U draws, with replacement, from the U rows of `values`."""
    U = len(values)
    draws = np.random.default_rng(rng).integers(0, U, (resamples, U))
    means = np.zeros((resamples, *values.shape[1:]))
    for r in range(resamples):
        for at in np.ndindex(*values.shape[1:]):
            means[(r, *at)] = math.fsum(values[(draws[r, u], *at)] for u in range(U)) / U
    return means


def permutation_p_value(differences: Any) -> float:
    """The share of all 2^U patterns of signs whose sum is as far from 0 as the observed one, or farther.

    As far: up to 1e-12 of all differences together, since .1 + .2 and .3 are not the same number.
    """
    exact = [Fraction(float(d)) for d in differences]
    observed = abs(sum(exact, Fraction(0))) - sum(map(abs, exact)) / 10**12
    reached = [
        abs(sum((sign * d for sign, d in zip(signs, exact, strict=True)), Fraction(0))) >= observed
        for signs in itertools.product((1, -1), repeat=len(exact))
    ]
    return sum(reached) / len(reached)


def holm(p_values: Any) -> Any:
    """Step down: the i-th smallest of m becomes the largest (m − j + 1) p_j of j = 1 .. i, at most 1."""
    p = [float(x) for x in p_values]
    order = sorted(range(len(p)), key=lambda n: p[n])
    corrected = np.zeros(len(p))
    for i in range(len(p)):
        steps = [(len(p) - j) * p[order[j]] for j in range(i + 1)]
        corrected[order[i]] = min(1.0, max(steps))
    return corrected


# What must hold of the resamples


def between_the_smallest_and_the_largest_value(place: Place, rng: Rng) -> float:
    values, found = place.args[0], place(*place.args)
    over = np.maximum(found - values.max(axis=0), values.min(axis=0) - found)
    return max(0.0, float(over.max())) / (float(np.abs(values).max()) or 1.0)


def linear_in_the_values(place: Place, rng: Rng) -> float:
    """The users are drawn without a look at the values."""
    values, *rest = place.args
    size = float(np.abs(values).max()) + 1.0
    return relative_gap(place(3.0 * values - 1.0, *rest), 3.0 * place(*place.args) - 1.0, size)


def centered_with_the_spread_of_a_mean(place: Place, rng: Rng) -> float | None:
    """Mean x̄ and variance σ² / U over many resamples: 5 standard errors of each are not exceeded."""
    values, seed, _ = place.args
    U, n = len(values), 4000
    spread = values.std(axis=0) / math.sqrt(U)
    if not (spread > 0).all():
        return None
    means = place(values, seed, n)
    off = np.abs(means.mean(axis=0) - values.mean(axis=0)) / (spread / math.sqrt(n))
    # The kurtosis of a mean of U draws from U numbers is at most 4: s is sure to a share of √¾ / √n.
    wide = np.abs(means.std(axis=0) / spread - 1.0) * math.sqrt(n)
    return float(max(off.max(), wide.max()))


# What must hold of the test


def the_same_in_another_order_and_with_all_signs_flipped(place: Place, rng: Rng) -> float:
    (d,) = place.args
    return abs(place(-rng.permutation(d)) - place(d))


def the_same_in_another_unit(place: Place, rng: Rng) -> float:
    (d,) = place.args
    return abs(place(1024.0 * d) - place(d))


def users_without_a_difference_decide_nothing(place: Place, rng: Rng) -> float:
    (d,) = place.args
    return abs(place(rng.permutation(np.append(d, np.zeros(37)))) - place(d))


def two_patterns_where_all_agree(place: Place, rng: Rng) -> float | None:
    """All differences of one sign: the observed sum and its opposite are the only ones that far from 0."""
    (d,) = place.args
    positive = np.abs(d[d != 0])
    return abs(place(positive) - 2.0 / 2 ** len(positive)) if len(positive) else None


# What must hold of the correction


def the_closed_test(place: Place, rng: Rng) -> float:
    """An effect is found if every set of tests with it is: each set S is tested as |S| min_S p (Bonferroni).

    The sets are all 2^m: Holm's way through the sorted list is a shortcut (Marcus, Peritz & Gabriel 1976).
    """
    (p,) = place.args
    expected = np.zeros(len(p))
    for size in range(1, len(p) + 1):
        for S in itertools.combinations(range(len(p)), size):
            whole = min(1.0, size * min(float(p[n]) for n in S))
            for n in S:
                expected[n] = max(expected[n], whole)
    return relative_gap(place(p), expected)


def what_the_walk_rejects(place: Place, rng: Rng) -> float:
    """At level α: from the smallest on, while p ≤ α / (the number of tests left)."""
    (p,), wrong = place.args, 0
    for level in rng.random(20):
        found, left = set(), sorted(range(len(p)), key=lambda n: p[n])
        while left and Fraction(float(p[left[0]])) <= Fraction(float(level)) / len(left):
            found.add(left.pop(0))
        wrong += set(np.flatnonzero(place(p) <= level).tolist()) != found
    return float(wrong)


def between_p_and_bonferroni(place: Place, rng: Rng) -> float:
    """And the smallest is corrected for all m, the largest at least for itself."""
    (p,) = place.args
    q, most = place(p), np.minimum(1.0, len(p) * p)
    if len(p) == 0:
        return float(q.size)
    return float((q < p).any() or (q > most).any() or q[np.argmin(p)] != most[np.argmin(p)])


def never_in_another_order_than_p(place: Place, rng: Rng) -> float:
    (p,) = place.args
    q = place(p)
    return float(sum(p[i] <= p[j] and q[i] > q[j] for i in range(len(p)) for j in range(len(p))))


def moved_with_the_tests(place: Place, rng: Rng) -> float:
    (p,) = place.args
    order = rng.permutation(len(p))
    return relative_gap(place(p[order]), place(p)[order])


def one_more_test_that_shows_nothing(place: Place, rng: Rng) -> float:
    """A further p of 1 makes nothing smaller, and what is not capped at 1 larger where p is above 0."""
    (p,) = place.args
    before, after = place(p), place(np.append(p, 1.0))[:-1]
    return float((after < before).any() or ((after == before) & (0 < before) & (before < 1)).any())


FORMULAS = (
    Formula(
        name="bootstrap_means",
        meaning="Means over users drawn with replacement: their quantiles are the interval of a mean or of "
        "a paired difference.",
        latex=r"\bar{x}^{*}_b = \frac{1}{U} \sum_{u=1}^{U} x_{n_{bu}}, \quad "
        r"n_{bu} \sim \mathrm{uniform}\{1, \dots, U\}",
        source="Efron 1979",
        ours="minirec.evaluation.significance.bootstrap_means",
        definition=bootstrap_means,
        places={
            "example": lambda rng: (short(rng, 3), 1, 2),
            "one number per user": lambda rng: (normal(rng, 23), int(rng.integers(1000)), 7),
            "three numbers per user": lambda rng: (1.0 + normal(rng, 11, 3), int(rng.integers(1000)), 5),
        },
        properties=(
            Property(
                "between the smallest and the largest value",
                between_the_smallest_and_the_largest_value,
                EXACT,
            ),
            Property("linear in the values", linear_in_the_values, EXACT),
            Property("centered, with the spread of a mean", centered_with_the_spread_of_a_mean, 5.0),
        ),
    ),
    Formula(
        name="permutation_p_value",
        meaning="How often the mean difference of two equally good models is as far from 0 as the observed "
        "one: each user's difference could have had the other sign.",
        latex=r"p = \frac{1}{2^U} \sum_{s \in \{-1, 1\}^U} "
        r"\left[ \left| \sum_u d_u \right| \le \left| \sum_u s_u d_u \right| \right]",
        source="Fisher 1935",
        ours="minirec.evaluation.significance.permutation_p_value",
        definition=permutation_p_value,
        places={
            "example": lambda rng: (np.array([0.5, -0.25, 1.0]),),
            "seven users": lambda rng: (0.5 + normal(rng, 7),),
            "many of equal size": lambda rng: (rng.integers(-2, 4, 11) / 10.0,),
            "no difference": lambda rng: (np.zeros(5),),
        },
        properties=(
            Property("the same under -1", the_same_in_another_order_and_with_all_signs_flipped, 0.0),
            Property("the same in another unit", the_same_in_another_unit, 0.0),
            Property("users without a difference", users_without_a_difference_decide_nothing, 0.0),
            Property("2 / 2^U where all agree", two_patterns_where_all_agree, 0.0),
        ),
    ),
    Formula(
        name="holm",
        meaning="The p values of m tests, corrected: what stays below α is wrong anywhere with chance α at "
        "most.",
        latex=r"\hat{p}_{(i)} = \max_{j \le i} \min(1, (m - j + 1)\, p_{(j)}), "
        r"\quad p_{(1)} \le \dots \le p_{(m)}",
        source="Holm 1979",
        ours="minirec.evaluation.significance.holm",
        definition=holm,
        places={
            "example": lambda rng: (np.array([0.01, 0.04, 0.03]),),
            "seven tests": lambda rng: (rng.random(7) ** 3,),
            "many small": lambda rng: (rng.random(5) / 10,),
            "equal ones": lambda rng: (rng.permutation([0.05, 0.05, 0.01, 0.2, 0.2, 0.2]),),
            "large ones": lambda rng: (0.4 + rng.random(5) / 2,),
            "0 and 1": lambda rng: (rng.permutation([0.0, 0.3, 1.0]),),
            "one test": lambda rng: (rng.random(1),),
            "no test": lambda rng: (np.zeros(0),),
        },
        properties=(
            Property("what Bonferroni says of all sets of tests", the_closed_test, 0.0),
            Property("at most α where the walk down the list rejects", what_the_walk_rejects, 0.0),
            Property("between p and m p, the smallest m p", between_p_and_bonferroni, 0.0),
            Property("in the order of p", never_in_another_order_than_p, 0.0),
            Property("moved with the tests", moved_with_the_tests, 0.0),
            Property("larger for one more test", one_more_test_that_shows_nothing, 0.0),
        ),
    ),
)
