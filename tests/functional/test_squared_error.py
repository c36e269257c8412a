"""The squared error: what the sheet says of it, one rating by hand, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from sheet import holds
from strategies import frozen, loss_weights, rows, scales

from minirec import functional as F


@given(rows(3, 5), rows(3, 5), loss_weights(3, 5), scales)
def test_the_sheet_holds(prediction: np.ndarray, target: np.ndarray, weight: list, scale: float) -> None:
    holds("squared_error", frozen(scale * prediction), frozen(scale * target), *weight)


def test_by_hand() -> None:
    loss, cache = F.squared_error_forward(frozen([3.0, 5.0]), frozen([4.0, 2.0]), frozen([1.0, 3.0]))
    assert loss == (1 * 1 + 3 * 9) / 4
    assert F.squared_error_backward(2.0, cache).tolist() == [-1.0, 9.0]


def test_whole_numbers_as_targets_keep_float32() -> None:
    x = frozen(np.array([3.5, 4.5], dtype=np.float32))
    loss, cache = F.squared_error_forward(x, np.array([4, 2]))
    assert loss.dtype == np.float32
    assert F.squared_error_backward(np.float32(1), cache).dtype == np.float32


def test_shapes_that_would_be_broadcast_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"prediction and target must have equal shapes, got \(3,\) and \(3, 1\)"
    ):
        F.squared_error_forward(np.zeros(3), np.zeros((3, 1)))
