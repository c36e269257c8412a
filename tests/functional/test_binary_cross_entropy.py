"""Binary cross-entropy: against the definition, its symmetry, and logits far out."""

import math

import numpy as np
import pytest
from hypothesis import given
from strategies import degenerate, frozen, normal

from minirec import functional as F


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@given(normal(3, 5, scale=3.0), normal(3, 5), normal(3, 5))
def test_equals_the_definition(x: np.ndarray, t: np.ndarray, w: np.ndarray) -> None:
    y = frozen(np.clip(0.5 + t, 0, 1))  # about a third of them exactly 0 or 1
    for weight in (None, frozen(np.abs(w) + 0.1)):
        loss, cache = F.binary_cross_entropy_forward(x, y, weight)
        gradient = F.binary_cross_entropy_backward(2.0, cache)
        share = np.ones((3, 5)) / 15 if weight is None else weight / weight.sum()
        expected = 0.0
        for place in np.ndindex(3, 5):
            p = sigmoid(x[place])
            expected -= share[place] * (y[place] * math.log(p) + (1 - y[place]) * math.log(1 - p))
            assert gradient[place] == pytest.approx(2 * share[place] * (p - y[place]), abs=1e-14)
        assert loss == pytest.approx(expected, rel=1e-9)  # 1 − p loses digits in the reference
        assert loss >= 0


@given(degenerate(3, 5, bound=1000.0), normal(3, 5))
def test_symmetric_under_x_to_minus_x_and_y_to_one_minus_y(x: np.ndarray, t: np.ndarray) -> None:
    y = np.clip(0.5 + t, 0, 1)
    one, of_one = F.binary_cross_entropy_forward(x, y)
    other, of_other = F.binary_cross_entropy_forward(-x, 1 - y)
    assert other == pytest.approx(one, rel=1e-12, abs=1e-13)
    a, b = F.binary_cross_entropy_backward(1.0, of_one), F.binary_cross_entropy_backward(1.0, of_other)
    np.testing.assert_allclose(b, -a, rtol=0, atol=1e-15, equal_nan=False)


@pytest.mark.parametrize(
    ("x", "y", "loss", "gradient"),
    [
        (0.0, 1.0, math.log(2), -0.5),
        (0.0, 0.5, math.log(2), 0.0),
        (800.0, 1.0, 0.0, 0.0),
        (800.0, 0.0, 800.0, 1.0),
        (-800.0, 1.0, 800.0, -1.0),
        (-800.0, 0.0, 0.0, 0.0),
        (-40.0, 0.0, math.exp(-40), math.exp(-40)),
    ],
)
def test_by_hand_and_finite_far_out(x: float, y: float, loss: float, gradient: float) -> None:
    found, cache = F.binary_cross_entropy_forward(frozen([x]), frozen([y]))
    assert found == pytest.approx(loss, rel=1e-12)
    assert F.binary_cross_entropy_backward(1.0, cache)[0] == pytest.approx(gradient, rel=1e-12)


def test_targets_of_any_type_keep_float32() -> None:
    x = frozen(np.array([3.5, -4.5], dtype=np.float32))
    for y in (np.array([1, 0]), np.array([True, False]), np.array([1.0, 0.0])):
        loss, cache = F.binary_cross_entropy_forward(x, y)
        assert loss.dtype == np.float32
        assert F.binary_cross_entropy_backward(np.float32(1), cache).dtype == np.float32


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.zeros(3), np.array([0.0, 1.5, 0.0]), "targets[1] = 1.5, must be in [0, 1]"),
        (np.zeros(3), np.array([0.0, 0.0, -1.0]), "targets[2] = -1.0, must be in [0, 1]"),
        (np.zeros(3), np.array([np.nan, 2.0, 0.0]), "targets[0] = nan, must be in [0, 1]"),
        (np.zeros((1, 2)), np.array([[0, 7]]), "targets[0, 1] = 7, must be in [0, 1]"),
        (np.zeros(3), np.zeros((3, 1)), "logits and targets must have equal shapes, got (3,) and (3, 1)"),
    ],
)
def test_faults(x: np.ndarray, y: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        F.binary_cross_entropy_forward(x, y)
    assert words in str(caught.value)
