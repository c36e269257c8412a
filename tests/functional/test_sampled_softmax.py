"""Sampled softmax: what the sheet says of it, the full softmax as its limit, and what is refused."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sheet import holds
from strategies import frozen, loss_weights, masks, normal, rows, scales

from minirec import functional as F

N, C = 3, 7


@given(rows(2, 3), rows(2, 3, 5), masks(2, 3, 5), loss_weights(2, 3), scales)
def test_the_sheet_holds(
    positive: np.ndarray, negatives: np.ndarray, keep: np.ndarray, weight: list, scale: float
) -> None:
    positive, negatives = frozen(scale * positive), frozen(scale * negatives)
    # The logarithm of a rounded sum: where it is near 0, its error is not small beside it.
    size = 1 + max(np.abs(positive).max(), np.abs(negatives).max())
    holds("sampled_softmax", positive, negatives, keep, *weight, scale=size)


@given(rows(N), rows(N, 5))
def test_the_sheet_holds_without_a_mask(positive: np.ndarray, negatives: np.ndarray) -> None:
    size = 1 + max(np.abs(positive).max(), np.abs(negatives).max())
    holds("sampled_softmax", positive, negatives, scale=size, skip=("blind to negatives that are not kept",))


@given(normal(N, C), hnp.arrays(np.int64, N, elements=st.integers(0, C - 1)), loss_weights(N))
def test_with_all_other_classes_it_is_the_full_softmax(
    x: np.ndarray, targets: np.ndarray, weight: list
) -> None:
    each = np.arange(N)
    loss, cache = F.sampled_softmax_forward(x[each, targets], x, np.arange(C) != targets[:, None], *weight)
    wanted, of_wanted = F.cross_entropy_forward(x, targets, *weight)
    assert loss == pytest.approx(wanted, rel=1e-14, abs=0)
    dpositive, dx = F.sampled_softmax_backward(-0.7, cache)
    dx[each, targets] += dpositive
    np.testing.assert_allclose(
        dx, F.cross_entropy_backward(-0.7, of_wanted), rtol=0, atol=1e-15, equal_nan=False
    )


def test_by_hand() -> None:
    positive, negatives = frozen([math.log(2.0), 0.0]), frozen([[0.0, 0.0], [math.log(3.0), 5.0]])
    keep = frozen([[True, True], [True, False]])
    loss, cache = F.sampled_softmax_forward(positive, negatives, keep, frozen([1.0, 3.0]))
    assert loss == pytest.approx(0.25 * math.log(2) + 0.75 * math.log(4), rel=1e-14)
    dpositive, dnegatives = F.sampled_softmax_backward(4.0, cache)
    assert dpositive == pytest.approx([-1 / 2, -9 / 4], rel=1e-14)
    assert dnegatives.tolist() == [pytest.approx([1 / 4, 1 / 4]), pytest.approx([9 / 4, 0.0])]


def test_far_out() -> None:
    for positive, negatives, loss in ((1e4, [0.0, -1e4], 0.0), (0.0, [1e4, -1e4], 1e4), (-1e4, [1e4], 2e4)):
        assert F.sampled_softmax_forward(frozen([positive]), frozen([negatives]))[0] == loss


def test_a_mask_of_numbers_is_refused() -> None:
    with pytest.raises(TypeError, match=r"mask must be boolean .* got dtype float64"):
        F.sampled_softmax_forward(np.zeros(3), np.zeros((3, 2)), np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"mask of shape \(3,\) does not broadcast .* \(3, 2\)"):
        F.sampled_softmax_forward(np.zeros(3), np.zeros((3, 2)), np.ones(3, dtype=bool))


@pytest.mark.parametrize("shape", [(3, 2), (2, 1), (3, 1, 2)])
def test_shapes_that_would_be_broadcast_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError,
        match=re.escape(f"without the last axis must have equal shapes, got (2, 3) and {shape[:-1]}"),
    ):
        F.sampled_softmax_forward(np.zeros((2, 3)), np.zeros(shape))


def test_whole_numbers_are_computed_in_double_precision() -> None:
    whole = np.array([3, -2], dtype=np.int8), np.array([[1, 0, 2], [4, -1, 0]], dtype=np.int8)
    loss, cache = F.sampled_softmax_forward(*whole)
    wanted, of_wanted = F.sampled_softmax_forward(*(a.astype(float) for a in whole))
    assert loss == wanted
    assert loss > 0
    for found, expected in zip(
        F.sampled_softmax_backward(1.0, cache), F.sampled_softmax_backward(1.0, of_wanted), strict=True
    ):
        assert found.dtype == np.float64
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("weight", [None, frozen([0.5, 0.0]), frozen([True, False]), frozen([2, 1])])
def test_single_precision_stays_whatever_the_weights_and_the_upstream_are(weight: np.ndarray | None) -> None:
    rng = np.random.default_rng(0)
    scores = (rng.standard_normal(shape).astype(np.float32) for shape in (2, (2, 3)))
    loss, cache = F.sampled_softmax_forward(*scores, None, weight)
    assert loss.dtype == np.float32
    for gradient in F.sampled_softmax_backward(np.float64(0.3), cache):
        assert gradient.dtype == np.float32


def test_no_rows_give_loss_zero() -> None:
    for weight in (None, np.zeros(0)):
        loss, cache = F.sampled_softmax_forward(np.zeros(0), np.zeros((0, 3)), None, weight)
        assert loss == 0
        assert isinstance(loss, np.float64)
        assert [g.shape for g in F.sampled_softmax_backward(1.0, cache)] == [(0,), (0, 3)]


def test_a_weight_of_one_row_counts_for_every_row() -> None:
    rng = np.random.default_rng(0)
    scores, weight = (rng.standard_normal((2, 3)), rng.standard_normal((2, 3, 5))), np.array([1.0, 0.0, 3.0])
    loss, cache = F.sampled_softmax_forward(*scores, None, weight)
    wanted, of_wanted = F.sampled_softmax_forward(*scores, None, np.stack([weight, weight]))
    assert loss == wanted
    for found, expected in zip(
        F.sampled_softmax_backward(1.0, cache), F.sampled_softmax_backward(1.0, of_wanted), strict=True
    ):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_weights_that_are_none_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="weights must not be negative or NaN or infinite"):
        F.sampled_softmax_forward(np.zeros(3), np.zeros((3, 2)), None, np.array([1.0, wrong, 1.0]))
