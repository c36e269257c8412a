"""Softmax: the formula sheet at drawn rows, scales and masks, exact results, and faults."""

import numpy as np
import pytest
from hypothesis import given
from sheet import holds
from strategies import frozen, masks, normal, rows, scales

from minirec import functional as F

EPS = np.finfo(np.float64).eps


def softmax(x: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    return F.softmax_forward(x, mask)[0]


@given(rows(3, 5), masks(3, 5), scales)
def test_the_sheet_holds(x: np.ndarray, mask: np.ndarray, scale: float) -> None:
    holds("softmax", x)
    holds("softmax", x, mask)
    holds("softmax", frozen(x * scale), mask)


@given(normal(2, 3, 7), masks(3, 7), masks(2, 1, 7))
def test_the_sheet_holds_for_minus_infinity_and_broadcast_masks(
    x: np.ndarray, mask: np.ndarray, hidden: np.ndarray
) -> None:
    holds("softmax", x, mask)
    holds("softmax", frozen(np.where(hidden, -np.inf, x)))
    holds("softmax", frozen(np.where(hidden, -np.inf, x)), mask)


def test_extreme_scores_give_exact_results_without_a_warning() -> None:
    assert softmax(frozen([1e4, 0.0, -1e4])).tolist() == [1.0, 0.0, 0.0]
    apart = frozen([[1e300, -1e300, 0.0], [1e-300, 0.0, 0.0], [-1e4, -1e4, -1e4]])
    expected = [[1, 0, 0], [1 / 3] * 3, [1 / 3] * 3]
    np.testing.assert_allclose(softmax(apart), expected, rtol=4 * EPS, atol=0, equal_nan=False)
    holds("softmax", apart)


@pytest.mark.parametrize("shape", [(7,), (1, 7), (3, 7), (1, 1, 7), (2, 1, 7)])
def test_masks_are_broadcast(shape: tuple[int, ...]) -> None:
    x = frozen(np.random.default_rng(0).standard_normal((2, 3, 7)))
    mask = frozen(np.random.default_rng(1).random(shape) < 0.6)
    assert np.array_equal(softmax(x, mask), softmax(x, np.array(np.broadcast_to(mask, x.shape))))


def test_small_shapes() -> None:
    assert softmax(frozen([[3.0], [-1e9]])).tolist() == [[1.0], [1.0]]
    assert softmax(np.zeros((0, 5))).shape == (0, 5)
    assert softmax(np.zeros((2, 0, 5))).shape == (2, 0, 5)


@pytest.mark.parametrize(
    ("x", "mask", "error", "words"),
    [
        (np.zeros((3, 0)), None, ValueError, ["softmax over an empty axis", "(3, 0)"]),
        (np.zeros((3, 5)), np.ones((3, 5)), TypeError, ["mask must be boolean", "float64"]),
        (np.zeros((3, 5)), np.ones(5, dtype=int), TypeError, ["mask must be boolean", "int64"]),
        (np.zeros((3, 5)), np.ones(3, dtype=bool), ValueError, ["mask of shape (3,) does not broadcast"]),
    ],
)
@pytest.mark.parametrize("function", [F.softmax_forward, F.log_softmax_forward])
def test_faults(function, x, mask, error, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error) as caught:
        function(x, mask)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, np.complex128])
def test_a_mask_keeps_the_dtype(dtype: type) -> None:
    x = np.array([[0.5, 1.5, -1.0]]).astype(dtype)
    y, _ = F.softmax_forward(x, np.array([True, False, True]))
    assert y.dtype == dtype


def test_whole_numbers_are_taken_as_floats_under_a_mask() -> None:
    y, _ = F.softmax_forward(np.array([[0, 9, 0]]), np.array([True, False, True]))
    assert y.dtype == np.float64
    assert y.tolist() == [[0.5, 0.0, 0.5]]
