"""The squared error: against the definition, weights, and one rating by hand."""

import numpy as np
import pytest
from hypothesis import given
from strategies import frozen, normal, rows

from minirec import functional as F


def reference(prediction: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[float, np.ndarray]:
    total, loss, gradient = weight.sum(), 0.0, np.zeros(prediction.shape)
    for place in np.ndindex(*prediction.shape):
        error = prediction[place] - target[place]
        loss += weight[place] * error**2 / total
        gradient[place] = 2 * weight[place] * error / total
    return loss, gradient


@given(rows(3, 5), rows(3, 5), normal(3, 5))
def test_equals_the_definition(prediction: np.ndarray, target: np.ndarray, w: np.ndarray) -> None:
    for weight in (None, frozen(np.abs(w) + 0.1)):
        loss, cache = F.squared_error_forward(prediction, target, weight)
        expected, gradient = reference(prediction, target, np.ones((3, 5)) if weight is None else weight)
        assert loss == pytest.approx(expected, rel=1e-12)
        found = F.squared_error_backward(-0.5, cache)
        np.testing.assert_allclose(found, -0.5 * gradient, rtol=1e-12, atol=1e-300, equal_nan=False)
        assert loss >= 0


def test_by_hand() -> None:
    loss, cache = F.squared_error_forward(frozen([3.0, 5.0]), frozen([4.0, 2.0]), frozen([1.0, 3.0]))
    assert loss == (1 * 1 + 3 * 9) / 4
    assert F.squared_error_backward(2.0, cache).tolist() == [-1.0, 9.0]


def test_a_perfect_prediction_has_no_loss_and_no_gradient() -> None:
    x = frozen(np.random.default_rng(0).standard_normal((3, 5)))
    loss, cache = F.squared_error_forward(x, x)
    assert loss == 0
    assert (F.squared_error_backward(1.0, cache) == 0).all()


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
