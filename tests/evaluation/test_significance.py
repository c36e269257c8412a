"""minirec.evaluation.significance against the sheet, and what only larger numbers of users can show."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen

from minirec.evaluation import significance
from minirec.evaluation.significance import holm, permutation_p_value

differences = st.lists(st.integers(-5, 5), min_size=1, max_size=9)


@given(differences, st.sampled_from([1.0, 0.1, 1e-9, 1e6]))
def test_permutation_p_value(whole, unit):
    # integers make equal sums, in units that round each of them differently
    holds("permutation_p_value", frozen(unit * np.array(whole, dtype=float)))


def test_one_user_more_or_less_decides_between_counting_and_drawing():
    d = np.random.default_rng(0).normal(0.4, 1.0, 13)
    exact = permutation_p_value(d, flips=2**13)
    assert exact == permutation_p_value(d, rng=5, flips=2**13)  # counted: the seed says nothing
    assert (exact * 2**13) % 2 == 0  # a pattern and its opposite are equally far from 0
    drawn = permutation_p_value(d, rng=5, flips=8000)
    assert drawn != exact
    assert abs(drawn - exact) < 4 * math.sqrt(exact * (1 - exact) / 2**13)
    assert drawn == permutation_p_value(d, rng=5, flips=8000)
    assert drawn != permutation_p_value(d, rng=6, flips=8000)


def test_drawn_p_values_count_the_observed_pattern():
    assert permutation_p_value(np.full(101, 0.3), flips=499) == 1 / 500
    assert permutation_p_value(np.full(101, -0.3), flips=499) == 1 / 500
    # 51 times +1, 50 times -1: no sum of 101 signs is nearer to 0, so that every pattern reaches it
    assert permutation_p_value(np.where(np.arange(101) % 2, -1.0, 1.0), flips=499) == 1.0


def test_the_memory_of_many_users_is_held_in_parts(monkeypatch):
    d = np.random.default_rng(1).normal(0.1, 1.0, 97)
    monkeypatch.setattr(significance, "HELD", 97 * 7)
    parts = permutation_p_value(d, rng=3, flips=2_003)
    drawn = np.random.default_rng(3)
    reached = 0
    for size in [7] * 286 + [1]:
        signs = np.where(drawn.integers(0, 2, (size, 97), dtype=np.int8), -1.0, 1.0)
        reached += sum(abs(math.fsum(row * d)) >= abs(math.fsum(d)) for row in signs)
    assert parts == (1 + reached) / 2_004


def test_p_is_uniform_where_there_is_no_difference():
    """1,000 data sets of equal models: p <= alpha in a share alpha of them, within 4 standard errors."""
    rng = np.random.default_rng(2)
    p = np.array([permutation_p_value(rng.normal(size=29), rng, flips=199) for _ in range(1000)])
    for alpha in (0.05, 0.2, 0.5):
        assert abs(np.mean(p <= alpha) - alpha) < 4 * math.sqrt(alpha * (1 - alpha) / 1000)


def test_p_agrees_with_the_normal_approximation():
    d = np.random.default_rng(4).normal(0.07, 1.0, 1009)
    z = abs(d.sum()) / math.sqrt((d**2).sum())
    normal = math.erfc(z / math.sqrt(2))
    assert 0.005 < normal < 0.2
    assert abs(permutation_p_value(d, flips=20_000) - normal) < 4 * math.sqrt(normal / 20_000) + 0.002


@pytest.mark.parametrize(
    ("values", "flips", "words"),
    [
        ([], 10, r"shape \(0,\)"),
        ([[1.0, 2.0]], 10, r"shape \(1, 2\)"),
        ([1.0, np.nan], 10, r"differences\[1\] = nan"),
        ([1.0, 2.0, -np.inf], 10, r"differences\[2\] = -inf"),
        ([1.0], 0, "flips = 0"),
    ],
)
def test_faults(values, flips, words):
    with pytest.raises(ValueError, match=words):
        permutation_p_value(np.array(values), flips=flips)


def test_holm_by_hand():
    # sorted .004 .01 .03 .04 .5 times 5 4 3 2 1: .02 .04 .09 .08 .5, and never less than the one before
    corrected = holm([0.5, 0.01, 0.04, 0.004, 0.03])
    assert np.allclose(corrected, [0.5, 0.04, 0.09, 0.02, 0.09], rtol=1e-15, atol=0)
    assert holm([0.4, 0.7]).tolist() == [0.8, 0.8]
    assert holm([0.6, 0.9, 0.6]).tolist() == [1.0, 1.0, 1.0]  # never above 1
    assert np.allclose(holm([0.01, 0.01]), 0.02, rtol=1e-15, atol=0)
    assert holm([0.03]).tolist() == [0.03]
    assert holm([]).tolist() == []


def test_holm_is_wrong_anywhere_in_a_share_alpha_at_most():
    p = np.random.default_rng(5).random((2000, 8))  # eight true null hypotheses, 2,000 times
    wrong = np.mean([holm(row).min() <= 0.05 for row in p])
    assert 0.03 < wrong < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 2000)  # of independent ones 1 - (1 - .05 / 8)^8
    assert np.mean(p.min(axis=1) <= 0.05) > 0.3


@pytest.mark.parametrize("p", [[0.1, 1.5], [-0.1], [np.nan, 0.2], [[0.1]], 0.1])
def test_holm_takes_probabilities_only(p):
    with pytest.raises(ValueError, match="numbers from 0 to 1"):
        holm(p)


def test_an_interval_is_where_the_middle_of_the_means_lies():
    means = np.arange(101.0)
    assert significance.interval(means, 0.9) == pytest.approx((5.0, 95.0), rel=1e-14)
    assert significance.interval(means) == pytest.approx((2.5, 97.5), rel=1e-14)
    with pytest.raises(ValueError, match="level = 0"):
        significance.interval(means, 0.0)


def test_not_a_number_means_not_defined():
    assert significance.defined(np.array([np.nan, 2.0, np.nan, 3.0])).tolist() == [2.0, 3.0]
    with pytest.raises(ValueError, match="not defined for any"):
        significance.defined(np.full(3, np.nan))
