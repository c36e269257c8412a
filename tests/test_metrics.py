"""minirec.metrics against the formula sheet, for whatever is drawn; a few figures by hand; faults."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, lay_out, rows, seeds

from minirec import metrics
from minirec.verify.formulas import SHEET
from minirec.verify.formulas.properties.ranking import between_zero_and_one

EXACT = 1e-12  # sums of fewer than 50 terms of size 1 in float64
AT_K = ("precision", "recall", "hit_rate", "mrr", "map_at", "ndcg")
LAYOUTS = ("C", "strided", "negative stride")  # "broadcast" would name one item twice


@st.composite
def rankings(draw):
    """Up to six items, so at most 720 orders; few levels, so most draws have ties; -inf among them."""
    n = draw(st.integers(1, 6))
    levels = draw(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=4, unique=True))
    scores = draw(st.lists(st.sampled_from([*levels, -math.inf]), min_size=n, max_size=n))
    relevant = draw(st.permutations(range(n)))[: draw(st.integers(1, n))]
    layout = draw(st.sampled_from(LAYOUTS))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    scores = lay_out(np.array(scores, dtype), layout)
    return scores, lay_out(np.array(relevant), layout), draw(st.integers(1, n + 3))


@pytest.mark.parametrize("name", AT_K)
@given(case=rankings())
def test_metrics_of_a_ranking(name, case):
    holds(name, *case)


@given(rankings())
def test_auc(case):
    scores, relevant, _ = case
    assume(not set(np.flatnonzero(scores > -np.inf)) <= set(relevant))
    holds("auc", scores, relevant)


@given(rankings(), st.data())
def test_graded_ndcg(case, data):
    n = len(case[1])
    gains = data.draw(st.lists(st.sampled_from([0.0, 0.3, 1.0, 2.0, 7.0]), min_size=n, max_size=n))
    assume(any(gains))
    holds("ndcg", *case, frozen(gains))


@pytest.mark.parametrize("name", [*AT_K, "auc"])
@given(seed=seeds, k=st.integers(1, 101))
def test_a_long_list_of_few_ties(name, seed, k):
    rng = np.random.default_rng(seed)
    scores = rng.permutation(97).astype(np.float32)
    scores[rng.permutation(97)[:6]] = scores[rng.permutation(97)[:6]]
    arguments = frozen(scores), frozen(rng.permutation(97)[: rng.integers(1, 12)])
    holds(name, *arguments, *([] if name == "auc" else [k]))


@pytest.mark.parametrize("name", AT_K)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
@example(n=11, r=11, k=7)
@example(n=10, r=10, k=10)
def test_rounding_never_ends_outside_0_to_1(name, n, r, k):
    # far more orders than a definition can go through
    place = SHEET[name].at((np.append(np.ones(n), 0.0), np.arange(min(r, n)), k))
    assert between_zero_and_one(place, np.random.default_rng(0)) == 0


def test_graded_ndcg_by_hand():
    # order 2, 0, 1 with gains 1, 3, 0: DCG = 1 + 3 / log2(3), ideal = 3 + 1 / log2(3)
    got = metrics.ndcg(np.array([2.0, 1.0, 3.0]), [2, 0], 3, gains=[1, 3])
    assert abs(got - (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))) <= EXACT
    # a gain is taken as it is: with 2^gain - 1 the second would count 7 times
    assert metrics.ndcg(np.array([2.0, 1.0, 3.0]), [2, 0], 3, gains=[2, 2]) == 1.0


def test_an_item_that_is_not_a_candidate_is_never_found_and_counts():
    scores = np.array([3.0, -np.inf, 1.0, 2.0])
    for k in (1, 3, 4, 9):
        assert metrics.recall(scores, [0, 1], k) == 0.5
        assert metrics.hit_rate(scores, [1], k) == metrics.ndcg(scores, [1], k) == 0
        assert metrics.mrr(scores, [1], k) == metrics.map_at(scores, [1], k) == 0
    assert metrics.auc(scores, [1]) == 0
    assert metrics.auc(scores, [0, 1]) == 0.5  # item 0 wins both of its pairs, item 1 loses both


def test_plain_lists_are_taken_as_arrays():
    for name in AT_K:
        metric = getattr(metrics, name)
        assert metric([1, 3, 2], [0, 1], 2) == metric(np.array([1.0, 3.0, 2.0]), np.array([0, 1]), 2), name
    assert metrics.auc([1, 3, 2], [0, 1]) == 0.5
    assert metrics.rmse([1, 2], [1, 4]) == math.sqrt(2)
    assert metrics.mae([1, 2], [1, 4]) == 1


def test_large_ties_stay_exact():
    # 1000 tied items, 300 of them relevant: the products must neither overflow nor go below zero
    scores, relevant = np.zeros(1000), np.arange(300)
    assert metrics.hit_rate(scores, relevant, 701) == 1.0
    assert abs(metrics.hit_rate(scores, relevant, 2) - (1 - 0.7 * 699 / 999)) <= EXACT
    assert 0.3 < metrics.mrr(scores, relevant, 1000) < 1
    assert abs(metrics.map_at(scores, relevant, 1) - 0.3) <= EXACT


@pytest.mark.parametrize(
    ("scores", "relevant", "k", "error", "words"),
    [
        ([1.0, np.nan], [0], 1, ValueError, r"scores\[1\] = nan"),
        ([np.nan, 1.0], [1], 1, ValueError, r"scores\[0\] = nan"),
        ([1.0, np.nan, np.inf], [0], 1, ValueError, r"scores\[1\] = nan"),
        ([1.0, np.inf], [0], 1, ValueError, r"scores\[1\] = inf.*-inf for not a candidate"),
        ([[1.0, 2.0]], [0], 1, ValueError, r"shape \(1, 2\)"),
        ([], [0], 1, ValueError, r"shape \(0,\)"),
        ([1.0, 2.0], [], 1, ValueError, "at least one item"),
        ([1.0, 2.0], [0, 1, 0], 1, ValueError, "item 0 more than once"),
        ([1.0, 2.0], [[0], [1]], 1, ValueError, r"shape \(2, 1\)"),
        ([1.0, 2.0], [0, 7, 5], 1, IndexError, "item 7: allowed are 0 to 1"),
        ([1.0, 2.0], [2], 1, IndexError, "item 2: allowed are 0 to 1"),
        ([1.0, 2.0], [0, -1], 1, IndexError, "item -1: allowed are 0 to 1"),
        ([1.0, 2.0], [True, False], 1, TypeError, "bool"),
        ([1.0, 2.0], [0.0], 1, TypeError, "float64"),
        ([1.0, 2.0], [0], 0, ValueError, "k = 0"),
        ([1.0, 2.0], [0], -3, ValueError, "k = -3"),
        ([1.0, 2.0], [0], True, TypeError, "k = True"),
        ([1.0, 2.0], [0], np.True_, TypeError, "k = True"),
        ([1.0, 2.0], [0], 1.5, TypeError, "float"),
    ],
)
def test_faults(scores, relevant, k, error, words):
    for name in AT_K:
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
        ([1, np.inf], "inf"),
    ],
)
def test_faults_of_gains(gains, words):
    with pytest.raises(ValueError, match=words):
        metrics.ndcg(np.arange(3.0), [0, 1], 2, gains=gains)


@pytest.mark.parametrize("name", ["rmse", "mae"])
@given(prediction=rows(5, 3), truth=rows(5, 3))
def test_errors_of_ratings(name, prediction, truth):
    holds(name, prediction, truth)


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
        ([1.0, np.nan, np.inf], [1.0, 2.0, 3.0], r"prediction\[1\] = nan"),
        ([1.0, 2.0], [np.inf, 2.0], r"truth\[0\] = inf"),
    ],
)
def test_faults_of_rmse_and_mae(prediction, truth, words):
    for metric in (metrics.rmse, metrics.mae):
        with pytest.raises(ValueError, match=words):
            metric(np.array(prediction), np.array(truth))


lists = st.lists(st.lists(st.integers(0, 6), max_size=4), max_size=5)


@given(lists, st.integers(7, 11))
def test_coverage(recommended, n_items):
    holds("coverage", recommended, n_items)


@given(lists, st.lists(st.integers(0, 11), min_size=7, max_size=7), st.integers(11, 13))
def test_novelty(recommended, counts, n_users):
    assume(any(recommended))
    holds("novelty", recommended, frozen(counts), n_users)


def test_coverage_counts_distinct_items():
    assert metrics.coverage([[0, 1], [1, 2], []], 7) == 3 / 7
    assert metrics.coverage(np.array([[0, 4], [4, 0]]), 5) == 2 / 5
    assert metrics.coverage([], 5) == 0
    assert metrics.coverage([[0]], 1) == 1


def test_novelty_is_the_mean_self_information():
    counts = [8, 4, 1, 0]
    assert metrics.novelty([[0], [0]], counts, 8) == 0  # everybody has it
    assert metrics.novelty([[0, 1], [2]], counts, 8) == (0 + 1 + 3) / 3
    assert metrics.novelty([[3]], counts, 8) == 3  # an item that nobody has counts as one user's


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: metrics.coverage([[0, 5]], 5), IndexError, "items 0 to 4"),
        (lambda: metrics.coverage([[0], [-1, 2]], 5), IndexError, r"recommended\[1\]"),
        (lambda: metrics.coverage([[0.0]], 5), TypeError, "float64"),
        (lambda: metrics.coverage([[0]], 0), ValueError, "n_items = 0"),
        (lambda: metrics.novelty([[]], [1, 2], 3), ValueError, "at least one recommended"),
        (lambda: metrics.novelty([[0]], [4, 2], 3), ValueError, "0 to n_users = 3"),
        (lambda: metrics.novelty([[0]], [-1, 2], 3), ValueError, "0 to n_users = 3"),
        (lambda: metrics.novelty([[0]], [[1, 2]], 3), ValueError, "one number per item"),
        (lambda: metrics.novelty([[2]], [1, 2], 3), IndexError, "items 0 to 1"),
    ],
)
def test_faults_of_lists(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("relevant", [[3, 3], [0, 3, 3], [1, 0, 3, 3]])
def test_an_item_twice_is_an_error_wherever_it_stands(relevant: list[int]) -> None:
    with pytest.raises(ValueError, match="3"):
        metrics.recall(np.array([0.5, 0.1, 0.4, 0.9]), relevant, 2)
