"""Ten thousand rankings, each metric against its definition averaged over every order that ties allow.

The definitions here know one thing only: a list of items in order. They share no code and no algebra with
minirec.metrics, and use exact fractions where a metric is rational.

Compared by hand, once, with ranx 0.3.21 and pytrec_eval-terrier 0.5.11 on 2,000 rankings of 2 to 39 items, at
k = 1, 5, 10 and 60. Without ties precision, recall, hit rate and NDCG are equal to 9e-16, and so is the MRR
of ranx; that of trec_eval has no cut-off. MAP@k differs by definition: they divide by |R|, minirec by
min(|R|, k); times min(|R|, k) / |R| it is equal to 8e-16. With ties each of the two takes one order, so that
one user's NDCG@10 can be .5 off: ranx that of an unstable sort, trec_eval that of the documents' names,
backwards (a constant scorer gets 1 or 0, by the name of the relevant one).
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest

from minirec import metrics

CASES = 10_000
LARGEST = 5040  # orders of one ranking that are gone through: 7!
EXACT = 1e-12  # sums of at most some ten terms of size 1 in float64


def orders(scores: Sequence[float]) -> Iterator[list[int]]:
    """Every list, best first, in which no item stands before one with a higher score; -inf is in none."""
    levels = sorted({score for score in scores if score != -math.inf}, reverse=True)
    blocks = [[i for i, score in enumerate(scores) if score == level] for level in levels]
    for choice in itertools.product(*(itertools.permutations(block) for block in blocks)):
        yield [item for block in choice for item in block]


def precision(ranked: list[int], relevant: set[int], k: int) -> Fraction:
    return Fraction(sum(item in relevant for item in ranked[:k]), k)


def recall(ranked: list[int], relevant: set[int], k: int) -> Fraction:
    return Fraction(len(relevant.intersection(ranked[:k])), len(relevant))


def hit_rate(ranked: list[int], relevant: set[int], k: int) -> Fraction:
    return Fraction(int(not relevant.isdisjoint(ranked[:k])))


def mrr(ranked: list[int], relevant: set[int], k: int) -> Fraction:
    for rank in range(1, min(k, len(ranked)) + 1):
        if ranked[rank - 1] in relevant:
            return Fraction(1, rank)
    return Fraction(0)


def map_at(ranked: list[int], relevant: set[int], k: int) -> Fraction:
    total = Fraction(0)
    for rank in range(1, min(k, len(ranked)) + 1):
        if ranked[rank - 1] in relevant:
            total += precision(ranked[:rank], relevant, rank)
    return total / min(len(relevant), k)


def auc(ranked: list[int], relevant: set[int], k: int) -> Fraction:
    """A relevant item that is not ranked loses against all others."""
    others = [item for item in ranked if item not in relevant]
    place = {item: rank for rank, item in enumerate(ranked)}
    won = sum(place.get(item, math.inf) < place[other] for item in relevant for other in others)
    return Fraction(won, len(relevant) * len(others))


def ndcg(ranked: list[int], relevant: set[int], k: int, gains: dict[int, float] | None = None) -> float:
    gain = gains or dict.fromkeys(relevant, 1.0)
    found = [gain.get(item, 0.0) for item in ranked]
    return dcg(found, k) / dcg(sorted(gain.values(), reverse=True), k)


def dcg(gains: list[float], k: int) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:k], 1))


DEFINITIONS = {
    "precision": precision,
    "recall": recall,
    "hit_rate": hit_rate,
    "mrr": mrr,
    "map_at": map_at,
    "ndcg": ndcg,
}


def cases(seed: int, n: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Rankings of 1 to 9 items: without ties, with a few, all tied, with items that are no candidates."""
    rng = np.random.default_rng(seed)
    made = 0
    while made < n:
        size = int(rng.integers(1, 10))
        levels = rng.normal(size=int(rng.integers(1, size + 1)))
        scores = rng.choice(levels, size) if rng.random() < 0.7 else rng.normal(size=size)
        if rng.random() < 0.3:
            scores[rng.random(size) < 0.3] = -np.inf
        tied = np.unique(scores[scores > -np.inf], return_counts=True)[1]
        if math.prod(math.factorial(int(t)) for t in tied) <= LARGEST / (1 + 20 * (made % 50 > 0)):
            made += 1
            relevant = rng.permutation(size)[: rng.integers(1, size + 1)]
            yield scores, relevant, int(rng.integers(1, size + 4))


def mean(values: list[Fraction]) -> float:
    return float(sum(values, Fraction(0)) / len(values))


@pytest.mark.parametrize("part", range(10))
def test_every_metric_is_the_mean_of_its_definition_over_all_orders(part):
    ties = several = beyond = not_candidates = 0
    for scores, relevant, k in cases(part, CASES // 10):
        lists = list(orders(scores.tolist()))
        wanted = set(relevant.tolist())
        for name, definition in DEFINITIONS.items():
            values = [definition(ranked, wanted, k) for ranked in lists]
            exact = math.fsum(values) / len(values) if name == "ndcg" else mean(values)
            got = getattr(metrics, name)(scores, relevant, k)
            assert abs(got - exact) <= EXACT, (name, scores, relevant, k, got, exact)
        if set(lists[0]) - wanted:
            exact = mean([auc(ranked, wanted, k) for ranked in lists])
            assert abs(metrics.auc(scores, relevant) - exact) <= EXACT, ("auc", scores, relevant)
        ties += len(lists) > 1
        several += len(relevant) > 1
        beyond += k > len(lists[0])
        not_candidates += bool(np.isinf(scores).any())
    assert min(ties, several, beyond, not_candidates) > CASES // 100  # of each kind there are enough


def test_graded_ndcg_is_the_mean_of_its_definition_over_all_orders():
    rng = np.random.default_rng(11)
    for scores, relevant, k in cases(12, CASES // 10):
        gains = rng.choice([0.0, 0.5, 1.0, 3.0], len(relevant))
        gains[0] = 2.0
        by_item = dict(zip(relevant.tolist(), gains.tolist(), strict=True))
        lists = list(orders(scores.tolist()))
        exact = math.fsum(ndcg(ranked, set(by_item), k, by_item) for ranked in lists) / len(lists)
        assert abs(metrics.ndcg(scores, relevant, k, gains=gains) - exact) <= EXACT
