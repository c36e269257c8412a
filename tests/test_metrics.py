"""minirec.metrics against a brute force that averages the plain definitions over every order of the items."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirec import metrics

EXACT = 1e-12  # sums of fewer than 50 terms of size 1 in float64


# The definitions, written for one order of the candidates (best first), without ties.


def list_precision(order, relevant, k):
    return sum(item in relevant for item in order[:k]) / k


def list_recall(order, relevant, k):
    return sum(item in relevant for item in order[:k]) / len(relevant)


def list_hit_rate(order, relevant, k):
    return float(any(item in relevant for item in order[:k]))


def list_mrr(order, relevant, k):
    for rank, item in enumerate(order[:k], start=1):
        if item in relevant:
            return 1 / rank
    return 0.0


def list_map(order, relevant, k):
    found, total = 0, 0.0
    for rank, item in enumerate(order[:k], start=1):
        if item in relevant:
            found += 1
            total += found / rank
    return total / min(len(relevant), k)


def list_ndcg(order, relevant, k, gains=None):
    gains = dict.fromkeys(relevant, 1.0) if gains is None else gains
    dcg = sum(gains.get(item, 0.0) / math.log2(rank + 1) for rank, item in enumerate(order[:k], start=1))
    best = sorted(gains.values(), reverse=True)[:k]
    return dcg / sum(gain / math.log2(rank + 1) for rank, gain in enumerate(best, start=1))


def list_auc(order, relevant, k):
    others = [item for item in order if item not in relevant]
    place = {item: rank for rank, item in enumerate(order)}
    right = sum(place.get(a, math.inf) < place[b] for a in relevant for b in others)
    return right / (len(relevant) * len(others))


DEFINITIONS = {
    "precision": list_precision,
    "recall": list_recall,
    "hit_rate": list_hit_rate,
    "mrr": list_mrr,
    "map_at": list_map,
    "ndcg": list_ndcg,
}


def orders(scores):
    """Every order of the candidates that the scores allow."""
    candidates = [i for i in range(len(scores)) if scores[i] > -math.inf]
    for order in itertools.permutations(candidates):
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order)):
            yield order


def brute(definition, scores, relevant, k, **more):
    relevant = [int(i) for i in relevant]
    values = [definition(order, relevant, k, **more) for order in orders(scores)]
    return sum(values) / len(values)


def random_case(seed, levels=3, removed=0.15, size=6):
    """Six items, so at most 720 orders; few levels, so most cases have ties, also among relevant items."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, size).astype(float)
    scores[rng.random(size) < removed] = -np.inf
    scores[rng.integers(size)] = 1.0  # at least one candidate
    relevant = rng.permutation(size)[: rng.integers(1, size + 1)]
    return rng, scores, relevant, int(rng.integers(1, size + 3))


@pytest.mark.parametrize("name", DEFINITIONS)
def test_equals_the_mean_over_every_order(name):
    for seed in range(150):
        _, scores, relevant, k = random_case(seed, levels=1 + seed % 4)
        got = getattr(metrics, name)(scores, relevant, k)
        want = brute(DEFINITIONS[name], scores, relevant, k)
        assert abs(got - want) <= EXACT, (scores, relevant, k)


def test_auc_equals_the_mean_over_every_order():
    checked = 0
    for seed in range(150):
        _, scores, relevant, _ = random_case(seed, levels=1 + seed % 4)
        if set(np.flatnonzero(scores > -np.inf)) <= set(relevant):
            continue
        checked += 1
        assert abs(metrics.auc(scores, relevant) - brute(list_auc, scores, relevant, None)) <= EXACT
    assert checked > 100


def test_graded_ndcg_equals_the_mean_over_every_order():
    for seed in range(100):
        rng, scores, relevant, k = random_case(seed)
        gains = rng.integers(0, 4, len(relevant)) + (np.arange(len(relevant)) == 0)
        by_item = {int(i): float(g) for i, g in zip(relevant, gains, strict=True)}
        want = brute(list_ndcg, scores, relevant, k, gains=by_item)
        assert abs(metrics.ndcg(scores, relevant, k, gains=gains) - want) <= EXACT


def test_graded_ndcg_by_hand():
    # order 2, 0, 1 with gains 1, 3, 0: DCG = 1 + 3 / log2(3), ideal = 3 + 1 / log2(3)
    got = metrics.ndcg(np.array([2.0, 1.0, 3.0]), [2, 0], 3, gains=[1, 3])
    assert abs(got - (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))) <= EXACT
    # a gain is taken as it is: with 2^gain - 1 the second would count 7 times
    assert metrics.ndcg(np.array([2.0, 1.0, 3.0]), [2, 0], 3, gains=[2, 2]) == 1.0


@pytest.mark.parametrize("k", [1, 2, 3, 5, 7, 10])
def test_without_ties_the_plain_definition_holds_for_a_long_list(k):
    rng = np.random.default_rng(3)
    for _ in range(20):
        scores = rng.permutation(97).astype(np.float32)
        relevant = rng.permutation(97)[: rng.integers(1, 12)]
        order = np.argsort(-scores).tolist()
        for name, definition in DEFINITIONS.items():
            want = definition(order, relevant.tolist(), k)
            assert abs(getattr(metrics, name)(scores, relevant, k) - want) <= EXACT, name


def test_auc_is_the_rank_formula():
    rng = np.random.default_rng(5)
    scores, relevant = rng.normal(size=89), rng.permutation(89)[:7]
    rank = np.argsort(np.argsort(scores)) + 1  # 1 = worst
    want = (rank[relevant].sum() - 7 * 8 / 2) / (7 * (89 - 7))
    assert abs(metrics.auc(scores, relevant) - want) <= EXACT


@pytest.mark.parametrize("k", [1, 3, 10, 23, 40])
def test_a_constant_scorer_gets_chance(k):
    n, r, m = 23, 3, min(k, 23)
    scores, relevant = np.full(n, 0.7), [4, 0, 22]
    none = math.comb(n - r, m) / math.comb(n, m)
    assert abs(metrics.recall(scores, relevant, k) - m / n) <= EXACT
    assert abs(metrics.precision(scores, relevant, k) - r * m / n / k) <= EXACT
    assert abs(metrics.hit_rate(scores, relevant, k) - (1 - none)) <= EXACT
    assert abs(metrics.hit_rate(scores, [0], k) - m / n) <= EXACT
    assert abs(metrics.auc(scores, relevant) - 0.5) <= EXACT
    one = sum(1 / math.log2(rank + 1) for rank in range(1, m + 1)) / n
    assert abs(metrics.ndcg(scores, [0], k) - one) <= EXACT


def test_the_place_in_the_list_does_not_decide_a_tie():
    scores = np.array([1.0, 2.0, 1.0, 1.0, 0.0])
    for name in DEFINITIONS:
        values = {getattr(metrics, name)(scores, [i], 2) for i in (0, 2, 3)}
        assert len(values) == 1, name
        assert 0 < values.pop() < 1, name


cases = st.integers(0, 2**32 - 1).map(lambda seed: random_case(seed, levels=1 + seed % 5, size=11))


@given(cases)
def test_bounds_and_relations(case):
    _, scores, relevant, k = case
    value = {name: getattr(metrics, name)(scores, relevant, k) for name in DEFINITIONS}
    assert all(0 <= v <= 1 for v in value.values())
    assert value["mrr"] <= value["hit_rate"] + EXACT
    assert abs(value["precision"] * k - value["recall"] * len(relevant)) <= EXACT
    inside = np.isfinite(scores[relevant]).mean()
    assert metrics.recall(scores, relevant, k) <= metrics.recall(scores, relevant, k + 1) + EXACT
    assert metrics.recall(scores, relevant, len(scores)) == inside
    assert metrics.hit_rate(scores, relevant, len(scores)) == float(inside > 0)


@given(cases)
def test_monotone_transforms_change_nothing(case):
    _, scores, relevant, k = case
    for transform in (np.exp2, lambda s: 8 * s - 3, np.arctan):
        with np.errstate(invalid="ignore"):
            moved = np.where(np.isfinite(scores), transform(scores), -np.inf)
        for name in DEFINITIONS:
            metric = getattr(metrics, name)
            assert metric(moved, relevant, k) == metric(scores, relevant, k), name


@given(cases)
def test_relabelling_the_items_changes_nothing(case):
    rng, scores, relevant, k = case
    new = rng.permutation(len(scores))
    moved = np.empty_like(scores)
    moved[new] = scores
    for name in DEFINITIONS:
        metric = getattr(metrics, name)
        assert abs(metric(moved, new[relevant], k) - metric(scores, relevant, k)) <= EXACT, name


@given(cases)
def test_moving_a_relevant_item_up_never_lowers_ndcg(case):
    rng, scores, relevant, k = case
    better = scores.copy()
    better[rng.choice(relevant)] += 1.0
    assert metrics.ndcg(better, relevant, k) >= metrics.ndcg(scores, relevant, k) - EXACT


@pytest.mark.parametrize("k", [1, 2, 3, 5, 40])
def test_the_ideal_order_gives_one(k):
    scores, relevant = np.arange(13.0), [12, 11, 10]
    for name in ("ndcg", "map_at", "mrr", "hit_rate"):
        assert abs(getattr(metrics, name)(scores, relevant, k) - 1) <= EXACT, name
    assert metrics.auc(scores, relevant) == 1
    assert metrics.precision(scores, relevant, k) == min(k, 3) / k


@pytest.mark.parametrize("rank", [1, 2, 5, 7, 8])
def test_one_relevant_item(rank):
    scores = -np.arange(11.0)
    k, item = 7, rank - 1
    inside = float(rank <= k)
    assert abs(metrics.ndcg(scores, [item], k) - inside / math.log2(rank + 1)) <= EXACT
    assert metrics.recall(scores, [item], k) == metrics.hit_rate(scores, [item], k) == inside
    assert abs(metrics.mrr(scores, [item], k) - inside / rank) <= EXACT
    assert abs(metrics.map_at(scores, [item], k) - inside / rank) <= EXACT


def test_an_item_that_is_not_a_candidate_is_never_found_and_counts():
    scores = np.array([3.0, -np.inf, 1.0, 2.0])
    for k in (1, 3, 4, 9):
        assert metrics.recall(scores, [0, 1], k) == 0.5
        assert metrics.hit_rate(scores, [1], k) == metrics.ndcg(scores, [1], k) == 0
        assert metrics.mrr(scores, [1], k) == metrics.map_at(scores, [1], k) == 0
    assert metrics.auc(scores, [1]) == 0
    assert metrics.auc(scores, [0, 1]) == 0.5  # item 0 wins both of its pairs, item 1 loses both


def test_no_candidate_at_all_finds_nothing():
    scores = np.full(5, -np.inf)
    for name in DEFINITIONS:
        assert getattr(metrics, name)(scores, [1, 3], 2) == 0, name


def test_large_ties_stay_exact():
    # 1000 tied items, 300 of them relevant: the products must neither overflow nor go below zero
    scores, relevant = np.zeros(1000), np.arange(300)
    assert metrics.hit_rate(scores, relevant, 701) == 1.0
    assert abs(metrics.hit_rate(scores, relevant, 2) - (1 - 0.7 * 699 / 999)) <= EXACT
    assert 0.3 < metrics.mrr(scores, relevant, 1000) < 1
    assert abs(metrics.map_at(scores, relevant, 1) - 0.3) <= EXACT


def test_arguments_are_not_written():
    scores, relevant = np.array([1.0, 3.0, 1.0]), np.array([2, 0])
    scores.flags.writeable = relevant.flags.writeable = False
    for name in DEFINITIONS:
        getattr(metrics, name)(scores, relevant, 2)
    metrics.auc(scores, relevant)


@pytest.mark.parametrize(
    ("scores", "relevant", "k", "error", "words"),
    [
        ([1.0, np.nan], [0], 1, ValueError, r"scores\[1\] = nan"),
        ([np.nan, 1.0], [1], 1, ValueError, r"scores\[0\] = nan"),
        ([1.0, np.inf], [0], 1, ValueError, r"scores\[1\] = inf.*-inf for not a candidate"),
        ([[1.0, 2.0]], [0], 1, ValueError, r"shape \(1, 2\)"),
        ([], [0], 1, ValueError, r"shape \(0,\)"),
        ([1.0, 2.0], [], 1, ValueError, "at least one item"),
        ([1.0, 2.0], [0, 1, 0], 1, ValueError, "item 0 more than once"),
        ([1.0, 2.0], [2], 1, IndexError, "item 2: allowed are 0 to 1"),
        ([1.0, 2.0], [0, -1], 1, IndexError, "item -1: allowed are 0 to 1"),
        ([1.0, 2.0], [True, False], 1, TypeError, "bool"),
        ([1.0, 2.0], [0.0], 1, TypeError, "float64"),
        ([1.0, 2.0], [0], 0, ValueError, "k = 0"),
        ([1.0, 2.0], [0], -3, ValueError, "k = -3"),
        ([1.0, 2.0], [0], True, TypeError, "k = True"),
        ([1.0, 2.0], [0], 1.5, TypeError, "float"),
    ],
)
def test_faults(scores, relevant, k, error, words):
    for name in DEFINITIONS:
        with pytest.raises(error, match=words):
            getattr(metrics, name)(np.array(scores), relevant, k)


def test_auc_needs_a_pair():
    with pytest.raises(ValueError, match="not relevant"):
        metrics.auc(np.array([1.0, -np.inf, 2.0]), [0, 2])


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ([1.0], "one per relevant item: 2"),
        ([1.0, -1.0], "at least 0"),
        ([0, 0], "not all 0"),
        ([1, np.nan], "nan"),
    ],
)
def test_faults_of_gains(gains, words):
    with pytest.raises(ValueError, match=words):
        metrics.ndcg(np.arange(3.0), [0, 1], 2, gains=gains)


def test_rmse_and_mae_by_hand():
    prediction, truth = np.array([1.0, 2.0, 5.0]), np.array([1.0, 4.0, 4.0])
    assert abs(metrics.rmse(prediction, truth) - math.sqrt(5 / 3)) <= EXACT
    assert metrics.mae(prediction, truth) == 1.0
    assert metrics.rmse(truth, truth) == metrics.mae(truth, truth) == 0


@pytest.mark.parametrize(
    ("prediction", "truth", "words"),
    [
        ([1.0], [1.0, 2.0], "equal shapes"),
        ([[1.0, 2.0]], [1.0, 2.0], "equal shapes"),
        ([], [], "at least one"),
        ([1.0, np.nan], [1.0, 2.0], r"prediction\[1\] = nan"),
        ([1.0, 2.0], [np.inf, 2.0], r"truth\[0\] = inf"),
    ],
)
def test_faults_of_rmse_and_mae(prediction, truth, words):
    for metric in (metrics.rmse, metrics.mae):
        with pytest.raises(ValueError, match=words):
            metric(np.array(prediction), np.array(truth))


def test_coverage_counts_distinct_items():
    assert metrics.coverage([[0, 1], [1, 2], []], 7) == 3 / 7
    assert metrics.coverage(np.array([[0, 4], [4, 0]]), 5) == 2 / 5
    assert metrics.coverage([], 5) == 0


def test_novelty_is_the_mean_self_information():
    counts = [8, 4, 1, 0]
    assert metrics.novelty([[0], [0]], counts, 8) == 0  # everybody has it
    assert metrics.novelty([[0, 1], [2]], counts, 8) == (0 + 1 + 3) / 3
    assert metrics.novelty([[3]], counts, 8) == 3  # an item that nobody has counts as one user's


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: metrics.coverage([[0, 5]], 5), IndexError, "items 0 to 4"),
        (lambda: metrics.coverage([[0], [-1]], 5), IndexError, r"recommended\[1\]"),
        (lambda: metrics.coverage([[0.0]], 5), TypeError, "float64"),
        (lambda: metrics.coverage([[0]], 0), ValueError, "n_items = 0"),
        (lambda: metrics.novelty([[]], [1, 2], 3), ValueError, "at least one recommended"),
        (lambda: metrics.novelty([[0]], [4, 2], 3), ValueError, "0 to n_users = 3"),
        (lambda: metrics.novelty([[0]], [-1, 2], 3), ValueError, "0 to n_users = 3"),
        (lambda: metrics.novelty([[2]], [1, 2], 3), IndexError, "items 0 to 1"),
    ],
)
def test_faults_of_lists(call, error, words):
    with pytest.raises(error, match=words):
        call()
