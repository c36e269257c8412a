"""Dropout: the identity in evaluation, unbiased in training, and the same entries on the way back."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import frozen, normal, seeds

from minirec import functional as F


@given(normal(5, 7), normal(5, 7), seeds)
def test_no_generator_or_rate_zero_is_the_identity(x: np.ndarray, dy: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for rate, generator in ((0.7, None), (0.0, None), (0.0, rng)):
        y, cache = F.dropout_forward(x, rate, generator)
        assert np.array_equal(y, x)
        assert np.array_equal(F.dropout_backward(dy, cache), dy)


@given(normal(5, 7), normal(5, 7), seeds, st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_an_entry_is_dropped_or_scaled_and_its_gradient_alike(
    x: np.ndarray, dy: np.ndarray, seed: int, rate: float
) -> None:
    y, cache = F.dropout_forward(x, rate, np.random.default_rng(seed))
    dx = F.dropout_backward(dy, cache)
    for place in np.ndindex(5, 7):
        assert y[place] == 0 or y[place] == pytest.approx(x[place] / (1 - rate), rel=1e-15)
        assert (dx[place] == 0) == (y[place] == 0)
        assert dx[place] == 0 or dx[place] == pytest.approx(dy[place] / (1 - rate), rel=1e-15)


def test_the_same_generator_gives_the_same_entries_and_another_one_others() -> None:
    x = frozen(np.ones((31, 37)))
    first, again, other = (F.dropout_forward(x, 0.5, np.random.default_rng(seed))[0] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    rng = np.random.default_rng(3)
    F.dropout_forward(x, 0.5, rng)
    assert not np.array_equal(F.dropout_forward(x, 0.5, rng)[0], first)  # the second call draws anew


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_kept_and_the_mean_are_right(rate: float) -> None:
    n = 200_000
    y, _ = F.dropout_forward(np.ones(n), rate, np.random.default_rng(0))
    four_errors = 4 * math.sqrt(rate * (1 - rate) / n)
    assert (y != 0).mean() == pytest.approx(1 - rate, abs=four_errors)
    assert y.mean() == pytest.approx(1.0, abs=four_errors / (1 - rate))


def test_float32_draws_the_entries_of_float64() -> None:
    x = np.ones((31, 37))
    wide, _ = F.dropout_forward(x, 0.3, np.random.default_rng(0))
    narrow, _ = F.dropout_forward(x.astype(np.float32), 0.3, np.random.default_rng(0))
    assert np.array_equal(wide == 0, narrow == 0)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, math.nan, math.inf])
@pytest.mark.parametrize("rng", [None, np.random.default_rng(0)])
def test_faults(rate: float, rng: np.random.Generator | None) -> None:
    with pytest.raises(ValueError, match=r"dropout rate must be in \[0, 1\), got"):
        F.dropout_forward(np.ones(3), rate, rng)


def test_each_number_has_its_own_chance():
    y, _ = F.dropout_forward(np.ones((200, 7, 5)), 0.5, np.random.default_rng(0))
    assert len(np.unique(y.reshape(200, 35), axis=0)) == 200  # no two rows share a mask
    assert len(np.unique(y.reshape(1400, 5).T, axis=0)) == 5  # no two columns do
