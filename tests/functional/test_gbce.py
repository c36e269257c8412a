"""Generalized binary cross-entropy: what the sheet says of it, values by hand, and what is refused."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, loss_weights, normal, rows, scales

from minirec import functional as F


@given(rows(3, 5), rows(3, 5, 2), st.sampled_from([0.0, 0.25, 1.0, 3.0]), loss_weights(3, 5), scales)
def test_the_sheet_holds(
    positive: np.ndarray, negatives: np.ndarray, beta: float, weight: list, scale: float
) -> None:
    holds("gbce", frozen(scale * positive), frozen(scale * negatives), beta, *weight)


@given(st.integers(1, 300), st.integers(2, 5000), st.floats(0, 1))
def test_the_sheet_holds_of_beta(k: int, n_items: int, t: float) -> None:
    # The definition subtracts numbers of size 1 for a β that may be as small as α.
    holds("gbce_beta", k, n_items, t, scale=1.0)


@given(normal(3), normal(3, 5), loss_weights(3))
def test_with_t_0_it_is_the_mean_binary_cross_entropy_over_all_logits(
    positive: np.ndarray, negatives: np.ndarray, weight: list
) -> None:
    logits = np.concatenate([positive[:, None], negatives], axis=1)
    targets = np.arange(6) == np.zeros((3, 1))
    wanted, of_wanted = F.binary_cross_entropy_forward(
        logits, targets.astype(float), *(w[:, None] for w in weight)
    )
    loss, cache = F.gbce_forward(positive, negatives, F.gbce_beta(5, 100, 0.0), *weight)
    assert loss == pytest.approx(wanted, rel=1e-14, abs=0)
    dpositive, dnegatives = F.gbce_backward(-0.7, cache)
    found = np.concatenate([dpositive[:, None], dnegatives], axis=1)
    np.testing.assert_allclose(
        found, F.binary_cross_entropy_backward(-0.7, of_wanted), rtol=0, atol=1e-16, equal_nan=False
    )


@pytest.mark.parametrize(
    ("positive", "negatives", "loss", "slopes"),
    [
        (0.0, [0.0, 0.0], 0.75 * math.log(2), [-0.25 / 6, 1 / 6, 1 / 6]),
        (-800.0, [800.0, -800.0], (0.25 * 800 + 800) / 3, [-0.25 / 3, 1 / 3, 0.0]),
        (40.0, [-40.0, -40.0], 0.75 * math.exp(-40), [-0.25 / 3 * math.exp(-40), *[math.exp(-40) / 3] * 2]),
    ],
)
def test_by_hand_and_finite_far_out(
    positive: float, negatives: list[float], loss: float, slopes: list[float]
) -> None:
    found, cache = F.gbce_forward(frozen([positive]), frozen([negatives]), 0.25)
    assert found == pytest.approx(loss, rel=1e-12, abs=0)
    dpositive, dnegatives = F.gbce_backward(1.0, cache)
    assert [*dpositive, *dnegatives[0]] == pytest.approx(slopes, rel=1e-12, abs=0)


def test_beta_by_hand() -> None:
    assert F.gbce_beta(256, 1025, 0.75) == 0.4375  # α = 1/4
    assert F.gbce_beta(4, 3, 0.5) == 1.5  # more draws than other items: each is drawn twice
    assert F.gbce_beta(1, 11, 1.0) == 0.1


@pytest.mark.parametrize(
    ("k", "n_items", "t", "words"),
    [
        (0, 5, 0.5, "needs k of at least 1 and n_items of at least 2, got 0 and 5"),
        (1, 1, 0.5, "needs k of at least 1 and n_items of at least 2, got 1 and 1"),
        (1, 5, -0.1, r"t must be in \[0, 1\], got -0.1"),
        (1, 5, 1.1, r"t must be in \[0, 1\], got 1.1"),
        (1, 5, math.nan, r"t must be in \[0, 1\], got nan"),
    ],
)
def test_settings_that_give_no_beta_are_refused(k: int, n_items: int, t: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        F.gbce_beta(k, n_items, t)


@pytest.mark.parametrize("beta", [-0.5, math.inf, math.nan])
def test_a_beta_that_is_no_weight_is_refused(beta: float) -> None:
    with pytest.raises(ValueError, match=f"beta must be a number of at least 0, got {beta}"):
        F.gbce_forward(np.zeros(3), np.zeros((3, 2)), beta)


@pytest.mark.parametrize("shape", [(3, 2), (2, 1), (3, 1, 2)])
def test_shapes_that_would_be_broadcast_are_refused(shape: tuple[int, ...]) -> None:
    positive = np.zeros((2, 3))
    with pytest.raises(
        ValueError,
        match=re.escape(f"without the last axis must have equal shapes, got (2, 3) and {shape[:-1]}"),
    ):
        F.gbce_forward(positive, np.zeros(shape), 0.5)


def test_whole_numbers_are_computed_in_double_precision() -> None:
    whole = np.array([3, -2], dtype=np.int8), np.array([[1, 0, 2], [4, -1, 0]], dtype=np.int8)
    loss, cache = F.gbce_forward(*whole, 0.5)
    wanted, of_wanted = F.gbce_forward(*(a.astype(float) for a in whole), 0.5)
    assert loss == wanted
    assert loss > 0
    for found, expected in zip(F.gbce_backward(1.0, cache), F.gbce_backward(1.0, of_wanted), strict=True):
        assert found.dtype == np.float64
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("weight", [None, frozen([0.5, 0.0]), frozen([True, False]), frozen([2, 1])])
def test_single_precision_stays_whatever_the_weights_and_the_upstream_are(weight: np.ndarray | None) -> None:
    rng = np.random.default_rng(0)
    scores = (rng.standard_normal(shape).astype(np.float32) for shape in (2, (2, 3)))
    loss, cache = F.gbce_forward(*scores, 0.5, weight)
    assert loss.dtype == np.float32
    for gradient in F.gbce_backward(np.float64(0.3), cache):
        assert gradient.dtype == np.float32


def test_no_rows_give_loss_zero() -> None:
    for weight in (None, np.zeros(0)):
        loss, cache = F.gbce_forward(np.zeros(0), np.zeros((0, 3)), 0.5, weight)
        assert loss == 0
        assert isinstance(loss, np.float64)
        assert [g.shape for g in F.gbce_backward(1.0, cache)] == [(0,), (0, 3)]


def test_a_weight_of_one_row_counts_for_every_row() -> None:
    rng = np.random.default_rng(0)
    scores, weight = (rng.standard_normal((2, 3)), rng.standard_normal((2, 3, 5))), np.array([1.0, 0.0, 3.0])
    loss, cache = F.gbce_forward(*scores, 0.5, weight)
    wanted, of_wanted = F.gbce_forward(*scores, 0.5, np.stack([weight, weight]))
    assert loss == wanted
    for found, expected in zip(F.gbce_backward(1.0, cache), F.gbce_backward(1.0, of_wanted), strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_weights_that_are_none_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="weights must not be negative or NaN or infinite"):
        F.gbce_forward(np.zeros(3), np.zeros((3, 2)), 0.5, np.array([1.0, wrong, 1.0]))
