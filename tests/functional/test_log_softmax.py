"""Log-softmax: the formula sheet at drawn rows, scales and masks, and exact results."""

import math

import numpy as np
import pytest
from hypothesis import given
from sheet import holds
from strategies import frozen, masks, normal, rows, scales

from minirec import functional as F


def log_softmax(x: np.ndarray) -> np.ndarray:
    return F.log_softmax_forward(x)[0]


@given(rows(3, 5), masks(3, 5), scales)
def test_the_sheet_holds(x: np.ndarray, mask: np.ndarray, scale: float) -> None:
    for x2 in (x, frozen(x * scale)):
        size = 1.0 + float(np.abs(x2).max())  # log Σ has an error of its own, x or no x
        holds("log_softmax", x2, tolerance=1e-15, scale=size)
        holds("log_softmax", x2, mask, tolerance=1e-15, scale=size)


@given(normal(2, 3, 7), masks(3, 7), masks(2, 1, 7))
def test_the_sheet_holds_for_minus_infinity_and_broadcast_masks(
    x: np.ndarray, mask: np.ndarray, hidden: np.ndarray
) -> None:
    holds("log_softmax", x, mask)
    holds("log_softmax", frozen(np.where(hidden, -np.inf, x)))
    holds("log_softmax", frozen(np.where(hidden, -np.inf, x)), mask)


def test_small_probabilities_keep_their_digits() -> None:
    assert log_softmax(frozen([1e4, 0.0, -1e4])).tolist() == [0.0, -1e4, -2e4]  # softmax would say log 0
    assert log_softmax(frozen([[5.0]])).tolist() == [[0.0]]
    assert log_softmax(np.zeros((0, 5))).shape == (0, 5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, np.complex128])
def test_a_mask_keeps_the_dtype(dtype: type) -> None:
    x = np.array([[0.5, 1.5, -1.0]]).astype(dtype)
    y, _ = F.log_softmax_forward(x, np.array([True, False, True]))
    assert y.dtype == dtype


def test_whole_numbers_are_taken_as_floats_under_a_mask() -> None:
    y, _ = F.log_softmax_forward(np.array([[0, 9, 0]]), np.array([True, False, True]))
    assert y.dtype == np.float64
    assert y.tolist() == [[-math.log(2), -math.inf, -math.log(2)]]
