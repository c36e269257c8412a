"""Properties of ranking metrics: bounds, the ideal order, chance, one relevant item, what must not matter.

The arguments of a place are scores (I,), relevant items and, for all but AUC, k; NDCG may have gains.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minirec.verify.formula import Place, Rng, relative_gap


def between_zero_and_one(place: Place, rng: Rng) -> float:
    value = place(*place.args)
    return max(0.0, -value, value - 1.0)


def _candidates(scores: Any) -> Any:
    return np.flatnonzero(scores > -np.inf)


def the_names_of_the_items_do_not_matter(place: Place, rng: Rng) -> float:
    """The items are renumbered, and the relevant ones named in another order."""
    scores, relevant, *rest = place.args
    new, again = rng.permutation(len(scores)), rng.permutation(len(relevant))
    moved = np.empty_like(scores)
    moved[new] = scores
    rest = [np.asarray(more)[again] if np.ndim(more) else more for more in rest]
    return relative_gap(place(moved, new[relevant][again], *rest), place(*place.args), 1.0)


def only_the_order_of_the_scores_matters(place: Place, rng: Rng) -> float | None:
    """Each distinct score is replaced by another one, increasing."""
    scores, *rest = place.args
    inside = _candidates(scores)
    if len(inside) == 0:
        return None
    moved = np.full(len(scores), -np.inf)
    levels, level = np.unique(scores[inside], return_inverse=True)
    moved[inside] = np.cumsum(0.1 + rng.random(len(levels)))[level] - 3.0
    return relative_gap(place(moved, *rest), place(*place.args))


def a_relevant_item_moving_up_lowers_nothing(place: Place, rng: Rng) -> float:
    """The most relevant one: an item of less gain could push one of more gain down."""
    scores, relevant, *rest = place.args
    j = int(rng.integers(len(relevant))) if len(rest) < 2 else int(np.argmax(rest[1]))
    others = np.unique(np.append(scores[scores >= scores[relevant[j]]], 0.0))
    other = float(rng.choice(others[np.isfinite(others)]))
    lowered = 0.0
    for to in (other, other + 1.0):  # beside another item, or above it
        moved = scores.astype(np.float64)
        moved[relevant[j]] = max(to, moved[relevant[j]])
        lowered = max(lowered, place(*place.args) - place(moved, relevant, *rest))
    return lowered


def an_item_below_changes_nothing(place: Place, rng: Rng) -> float | None:
    """One more candidate, below every relevant candidate and not relevant."""
    scores, relevant, *rest = place.args
    if not np.isfinite(scores[relevant]).all():
        return None
    lowest = float(scores[relevant].min())
    return relative_gap(
        place(np.append(scores, np.nextafter(lowest, -np.inf)), relevant, *rest), place(*place.args), 1.0
    )


def a_larger_k_lowers_nothing(place: Place, rng: Rng) -> float:
    scores, relevant, k = place.args
    steps = (place(scores, relevant, j) - place(scores, relevant, j + 1) for j in (1, k, k + 1))
    return max(0.0, *steps)


def at_all_items_every_candidate_is_found(place: Place, rng: Rng) -> float:
    """The recall at I is the share of relevant items that are candidates: 1 where all are."""
    scores, relevant, _ = place.args
    inside = sum(scores[i] > -math.inf for i in relevant) / len(relevant)
    return relative_gap(place(scores, relevant, len(scores)), inside, 1.0)


def _ideal(place: Place) -> Any:
    """Scores that put the relevant items first, those of larger gain above."""
    scores, relevant, *rest = place.args
    gains = rest[1] if len(rest) > 1 else np.ones(len(relevant))
    ideal = -1.0 - np.arange(float(len(scores)))
    ideal[relevant] = 1.0 + gains
    return ideal


def the_ideal_order_gives_one(place: Place, rng: Rng) -> float | None:
    return relative_gap(place(_ideal(place), *place.args[1:]), 1.0)


def the_ideal_order_finds_as_many_as_fit(place: Place, rng: Rng) -> float:
    _, relevant, k = place.args
    return relative_gap(place(_ideal(place), relevant, k) * k, float(min(len(relevant), k)))


def the_ideal_order_finds_the_share_that_fits(place: Place, rng: Rng) -> float:
    _, relevant, k = place.args
    return relative_gap(place(_ideal(place), relevant, k) * len(relevant), float(min(len(relevant), k)))


def _one_relevant_item(place: Place, value: Callable[[int], float]) -> float:
    """Each relevant item alone: the mean of value(rank) over the ranks ≤ k that ties leave it."""
    scores, relevant, k, *_ = place.args
    gaps = []
    for i in relevant:
        above, tied = sum(s > scores[i] for s in scores), sum(s == scores[i] for s in scores)
        ranks = range(above + 1, above + tied + 1) if scores[i] > -math.inf else range(0)
        expected = math.fsum(value(rank) for rank in ranks if rank <= k) / tied
        gaps.append(relative_gap(place(scores, [i], k), expected, 1.0))
    return max(gaps)


def one_over_the_log_of_the_rank_for_one_item(place: Place, rng: Rng) -> float:
    return _one_relevant_item(place, lambda rank: 1.0 / math.log2(rank + 1))


def one_over_the_rank_for_one_item(place: Place, rng: Rng) -> float:
    return _one_relevant_item(place, lambda rank: 1.0 / rank)


def chance(expected: Callable[[int, int, int, int], float]) -> Callable[[Place, Rng], float]:
    """A constant scorer gets `expected(I, |R|, k, min(k, I))`."""

    def a_constant_scorer_gets_it(place: Place, rng: Rng) -> float:
        scores, relevant, *rest = place.args
        n, k = len(scores), rest[0] if rest else len(scores)
        value = place(np.full(n, 0.7), relevant, *rest)
        return relative_gap(value, expected(n, len(relevant), k, min(k, n)), 1.0)

    return a_constant_scorer_gets_it


def gains_that_are_all_equal_are_gains_of_one(place: Place, rng: Rng) -> float:
    scores, relevant, k, *_ = place.args
    return relative_gap(
        place(scores, relevant, k, np.full(len(relevant), 2.5)), place(scores, relevant, k), 1.0
    )


def the_unit_of_the_gains_does_not_matter(place: Place, rng: Rng) -> float | None:
    scores, relevant, k, *gains = place.args
    if not gains:
        return None
    return relative_gap(place(scores, relevant, k, 3.7 * gains[0]), place(*place.args), 1.0)


def the_rank_formula(place: Place, rng: Rng) -> float:
    """(Σ ranks of R − |R| (|R| + 1) / 2) / (|R| (n − |R|)); rank 1 is the worst, ties share the mean rank."""
    scores, relevant = place.args
    ranked = sorted({*map(int, relevant), *map(int, np.flatnonzero(scores > -np.inf))})
    ranks = [
        sum(scores[j] < scores[i] for j in ranked) + (sum(scores[j] == scores[i] for j in ranked) + 1) / 2
        for i in relevant
    ]
    R, n = len(relevant), len(ranked)
    return relative_gap(place(*place.args), (math.fsum(ranks) - R * (R + 1) / 2) / (R * (n - R)), 1.0)


def the_opposite_scores_give_the_rest(place: Place, rng: Rng) -> float | None:
    scores, relevant = place.args
    if not np.isfinite(scores).all():
        return None
    return relative_gap(place(-scores, relevant), 1.0 - place(scores, relevant), 1.0)
