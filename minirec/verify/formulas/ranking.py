"""Ranking metrics: how good an order of the candidates is, given which items turned out to be relevant.

Each is defined for one order, best first. Where scores tie it is the mean over all orders that the scores
allow, each as likely as the next (McSherry & Najork 2008). The properties are in properties/ranking.py.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.drawing import normal, short
from minirec.verify.formulas.properties import ranking as P

EXACT = 1e-13  # rounding of sums of some ten terms of size 1


def orders(scores: Any) -> Iterator[list[int]]:
    """Every order of the candidates (score above −∞) that the scores allow, best first."""
    levels = sorted({float(score) for score in scores if score > -math.inf}, reverse=True)
    blocks = [[i for i in range(len(scores)) if scores[i] == level] for level in levels]
    for arranged in itertools.product(*(itertools.permutations(block) for block in blocks)):
        yield [i for block in arranged for i in block]


def mean_over_orders(scores: Any, value: Callable[[list[int]], float]) -> float:
    """The mean of value(order)."""
    values = [value(order) for order in orders(scores)]
    return math.fsum(values) / len(values)


def precision(scores: Any, relevant: Any, k: int) -> float:
    """Relevant items among the first k, over k."""
    R = {int(i) for i in relevant}
    return mean_over_orders(scores, lambda order: sum(i in R for i in order[:k]) / k)


def recall(scores: Any, relevant: Any, k: int) -> float:
    """Relevant items among the first k, over |R|."""
    R = {int(i) for i in relevant}
    return mean_over_orders(scores, lambda order: sum(i in R for i in order[:k]) / len(R))


def hit_rate(scores: Any, relevant: Any, k: int) -> float:
    """1 if any of the first k is relevant, else 0."""
    R = {int(i) for i in relevant}
    return mean_over_orders(scores, lambda order: float(any(i in R for i in order[:k])))


def mrr(scores: Any, relevant: Any, k: int) -> float:
    """1 / rank of the first relevant item, 0 where it stands beyond k."""
    R = {int(i) for i in relevant}

    def reciprocal(order: list[int]) -> float:
        ranks = [rank for rank, i in enumerate(order, start=1) if i in R and rank <= k]
        return 1.0 / min(ranks) if ranks else 0.0

    return mean_over_orders(scores, reciprocal)


def ndcg(scores: Any, relevant: Any, k: int, gains: Any = None) -> float:
    """Σ gain / log2(rank + 1) over the first k, over the same sum for the k largest gains in order."""
    gain = {int(i): 1.0 if gains is None else float(gains[j]) for j, i in enumerate(relevant)}
    ideal = sorted(gain.values(), reverse=True)[:k]
    largest = math.fsum(g / math.log2(rank + 1) for rank, g in enumerate(ideal, start=1))

    def dcg(order: list[int]) -> float:
        ranked = enumerate(order[:k], start=1)
        return math.fsum(gain[i] / math.log2(rank + 1) for rank, i in ranked if i in gain)

    return mean_over_orders(scores, dcg) / largest


def map_at(scores: Any, relevant: Any, k: int) -> float:
    """The sum over relevant ranks p ≤ k of the precision at p, over min(|R|, k)."""
    R = {int(i) for i in relevant}

    def average(order: list[int]) -> float:
        hits = [p for p in range(1, min(k, len(order)) + 1) if order[p - 1] in R]
        return math.fsum(sum(i in R for i in order[:p]) / p for p in hits) / min(len(R), k)

    return mean_over_orders(scores, average)


def auc(scores: Any, relevant: Any) -> float:
    """Pairs (relevant item, other candidate) in the right order, over all pairs.

    A relevant item that is not a candidate loses its pairs.
    """
    R = {int(i) for i in relevant}

    def share(order: list[int]) -> float:
        rank = {i: p for p, i in enumerate(order)}
        others = [i for i in order if i not in R]
        won = sum(i in rank and rank[i] < rank[j] for i in R for j in others)
        return won / (len(R) * len(others))

    return mean_over_orders(scores, share)


def times_k_is_recall_times_relevant(place: Place, rng: Rng) -> float:
    _, relevant, k = place.args
    return relative_gap(place(*place.args) * k, recall(*place.args) * len(relevant), float(len(relevant)))


def at_most_the_hit_rate(place: Place, rng: Rng) -> float:
    return max(0.0, place(*place.args) - hit_rate(*place.args))


def equals_recall_for_one_relevant_item(place: Place, rng: Rng) -> float:
    scores, relevant, k = place.args
    return max(relative_gap(place(scores, [i], k), recall(scores, [i], k), 1.0) for i in relevant)


RANKINGS: dict[str, Callable[[Rng], tuple[Any, ...]]] = {
    "example": lambda rng: (short(rng, 5), np.array([0, 3]), 2),
    "ties, among relevant items too": lambda rng: (
        np.array([2.0, 1, 2, 1, 2, 1, 3]), rng.permutation(7)[:3], 3,
    ),
    "all the same": lambda rng: (np.full(5, 0.3), rng.permutation(5)[:2], 3),
    "some are no candidates": lambda rng: (
        np.array([1.0, -np.inf, 2.0, 1.0, -np.inf, 1.0, 0.0]), rng.permutation([1, 3, 6]), 2,
    ),
    "one relevant item": lambda rng: (normal(rng, 7), rng.permutation(7)[:1], 4),
    "k beyond the items": lambda rng: (np.array([1.0, 1, 2, 2, 0]), rng.permutation(5)[:3], 11),
    "a long list without ties": lambda rng: (rng.permutation(97) / 8, rng.permutation(97)[:7], 13),
}  # fmt: skip
EXTREME: dict[str, Callable[[Rng], tuple[Any, ...]]] = {  # AUC has no pair to compare there
    "everything is relevant": lambda rng: (np.array([1.0, 1, 2, 2, 0]), rng.permutation(5), 3),
    "nothing is a candidate": lambda rng: (np.full(5, -np.inf), rng.permutation(5)[:2], 3),
}
GRADED: dict[str, Callable[[Rng], tuple[Any, ...]]] = {
    "gains": lambda rng: (normal(rng, 7), rng.permutation(7)[:5], 4, np.array([1.0, 3.0, 0.0, 2.0, 1.0])),
    "more gains than k, in no order": lambda rng: (
        np.array([3.0, 9, 1, 7, 5, 2, 8]), np.array([0, 2, 3, 5, 6, 4]), 3, np.array([1.0, 2, 5, 3, 8, 4]),
    ),
    "gains and ties": lambda rng: (
        np.array([2.0, 1, 2, 1, 2, 1, 3]), rng.permutation(7)[:3], 3, np.array([1.0, 2.0, 4.0]),
    ),
    "gains, little is found": lambda rng: (
        -np.arange(11.0), np.array([9, 3, 10, 8]), 5, np.array([2.0, 1.0, 3.0, 0.5]),
    ),
}  # fmt: skip


def _without_k(draw: Callable[[Rng], tuple[Any, ...]]) -> Callable[[Rng], tuple[Any, ...]]:
    return lambda rng: draw(rng)[:2]


COMMON = (  # to all ranking metrics
    Property("between 0 and 1", P.between_zero_and_one, 0.0),
    Property("the same under other item numbers", P.the_names_of_the_items_do_not_matter, EXACT),
    Property("the same under monotone transforms of the scores", P.only_the_order_of_the_scores_matters, 0.0),
    Property("never lowered by a relevant item moving up", P.a_relevant_item_moving_up_lowers_nothing, EXACT),
)  # fmt: skip
BELOW = Property("blind to items below all relevant ones", P.an_item_below_changes_nothing, EXACT)
IDEAL = Property("1 for the ideal order", P.the_ideal_order_gives_one, EXACT)
RISES = Property("never lowered by a larger k", P.a_larger_k_lowers_nothing, EXACT)


FORMULAS = (
    Formula(
        name="precision",
        meaning="The share of the k recommended items that are relevant, the mean over orders of tied items.",
        latex=r"P@k = \mathbb{E}_{\pi}\, \frac{1}{k} \sum_{p=1}^{k} [\pi_p \in R]",
        source="the document, section 9.3; ties: McSherry & Najork 2008",
        ours="minirec.metrics.precision",
        definition=precision,
        places=RANKINGS | EXTREME,
        properties=(
            *COMMON,
            BELOW,
            Property("min(|R|, k) / k for the ideal order", P.the_ideal_order_finds_as_many_as_fit, EXACT),
            Property("recall · |R| when taken times k", times_k_is_recall_times_relevant, EXACT),
            Property(
                "|R| min(k, I) / (I k) for a constant scorer",
                P.chance(lambda n, r, k, m: r * m / n / k),
                EXACT,
            ),
        ),
    ),
    Formula(
        name="recall",
        meaning="The share of the relevant items that are recommended, the mean over orders of tied items.",
        latex=r"R@k = \mathbb{E}_{\pi}\, \frac{1}{|R|} \sum_{p=1}^{k} [\pi_p \in R]",
        source="the document, section 9.3; ties: McSherry & Najork 2008",
        ours="minirec.metrics.recall",
        definition=recall,
        places=RANKINGS | EXTREME,
        properties=(
            *COMMON,
            BELOW,
            RISES,
            Property("complete at k = I", P.at_all_items_every_candidate_is_found, 0.0),
            Property(
                "min(|R|, k) / |R| for the ideal order", P.the_ideal_order_finds_the_share_that_fits, EXACT
            ),
            Property("min(k, I) / I for a constant scorer", P.chance(lambda n, r, k, m: m / n), EXACT),
        ),
    ),
    Formula(
        name="hit_rate",
        meaning="Whether any of the k recommended items is relevant; under ties the probability of that.",
        latex=r"\mathrm{HR}@k = \mathbb{E}_{\pi} [\, \{\pi_1, \dots, \pi_k\} \cap R \neq \emptyset \,]",
        source="Deshpande & Karypis 2004; the share of users is the mean over users",
        ours="minirec.metrics.hit_rate",
        definition=hit_rate,
        places=RANKINGS | EXTREME,
        properties=(
            *COMMON,
            BELOW,
            RISES,
            IDEAL,
            Property("recall for one relevant item", equals_recall_for_one_relevant_item, EXACT),
            Property(
                "1 − C(I − |R|, k) / C(I, k) for a constant scorer",
                P.chance(lambda n, r, k, m: 1.0 - math.comb(n - r, m) / math.comb(n, m)),
                EXACT,
            ),
        ),
    ),
    Formula(
        name="mrr",
        meaning="One over the rank of the first relevant item, 0 where that rank is beyond k.",
        latex=r"\mathrm{MRR}@k = \mathbb{E}_{\pi}\, \max_{p \le k} \frac{[\pi_p \in R]}{p}",
        source="Voorhees 1999 (TREC-8); ties: McSherry & Najork 2008",
        ours="minirec.metrics.mrr",
        definition=mrr,
        places=RANKINGS | EXTREME,
        properties=(
            *COMMON,
            BELOW,
            RISES,
            IDEAL,
            Property("at most the hit rate", at_most_the_hit_rate, EXACT),
            Property("1 / rank for one relevant item", P.one_over_the_rank_for_one_item, EXACT),
        ),
    ),
    Formula(
        name="ndcg",
        meaning="The gains of the first k items, discounted by rank, over the same sum for the ideal order.",
        latex=r"\mathrm{NDCG}@k = \mathbb{E}_{\pi} \frac{\sum_{p=1}^{k} g_{\pi_p} / \log_2(p + 1)}"
        r"{\sum_{p=1}^{\min(|R|, k)} g^{*}_p / \log_2(p + 1)}",
        source="the document, section 9.3; Järvelin & Kekäläinen 2002; ties: McSherry & Najork 2008",
        ours="minirec.metrics.ndcg",
        definition=ndcg,
        places=RANKINGS | EXTREME | GRADED,
        properties=(
            *COMMON,
            BELOW,
            IDEAL,
            Property(
                "1 / log2(rank + 1) for one relevant item", P.one_over_the_log_of_the_rank_for_one_item, EXACT
            ),
            Property("binary where all gains are equal", P.gains_that_are_all_equal_are_gains_of_one, EXACT),
            Property("the same in any unit of the gains", P.the_unit_of_the_gains_does_not_matter, EXACT),
        ),
    ),
    Formula(
        name="map_at",
        meaning="Average precision: the mean, over the relevant items, of the precision at their ranks.",
        latex=r"\mathrm{AP}@k = \mathbb{E}_{\pi} \frac{1}{\min(|R|, k)} \sum_{p=1}^{k} [\pi_p \in R]\,"
        r"\frac{1}{p} \sum_{q=1}^{p} [\pi_q \in R]",
        source="Manning, Raghavan & Schütze 2008, section 8.4; ties: McSherry & Najork 2008",
        ours="minirec.metrics.map_at",
        definition=map_at,
        places=RANKINGS | EXTREME,
        properties=(
            *COMMON,
            BELOW,
            IDEAL,
            Property("1 / rank for one relevant item", P.one_over_the_rank_for_one_item, EXACT),
        ),
    ),
    Formula(
        name="auc",
        meaning="The share of pairs (relevant item, other candidate) in the right order; a tie is one half.",
        latex=r"\mathrm{AUC} = \frac{1}{|R|\,|N|} \sum_{i \in R} \sum_{j \in N}"
        r"\left( [s_i > s_j] + \tfrac{1}{2} [s_i = s_j] \right)",
        source="Hanley & McNeil 1982; Mann & Whitney 1947",
        ours="minirec.metrics.auc",
        definition=auc,
        places={name: _without_k(draw) for name, draw in RANKINGS.items()},
        properties=(
            *COMMON,
            Property("1 for the ideal order", P.the_ideal_order_gives_one, 0.0),
            Property("the rank formula", P.the_rank_formula, EXACT),
            Property("1 − AUC for the opposite scores", P.the_opposite_scores_give_the_rest, EXACT),
            Property("one half for a constant scorer", P.chance(lambda n, r, k, m: 0.5), EXACT),
        ),
    ),
)
