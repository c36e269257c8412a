"""The logistic function: against the definition, its symmetry, and both tails."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from strategies import degenerate, frozen, normal, rows

from minirec import functional as F


def sigmoid(x: np.ndarray) -> np.ndarray:
    return F.sigmoid_forward(x)[0]


@given(rows(3, 5))
def test_equals_the_definition(x: np.ndarray) -> None:
    # 1 + e^{-x} as a fraction, so that the reference loses nothing to the addition.
    expected = [[float(1 / (1 + Fraction(math.exp(-v)))) for v in row] for row in x]
    np.testing.assert_allclose(sigmoid(x), expected, rtol=1e-14, atol=0, equal_nan=False)


@given(degenerate(3, 5))
def test_symmetric_about_one_half(x: np.ndarray) -> None:
    np.testing.assert_allclose(sigmoid(x) + sigmoid(-x), 1.0, rtol=0, atol=1e-15, equal_nan=False)


@given(rows(3, 5))
def test_is_half_a_hyperbolic_tangent(x: np.ndarray) -> None:
    np.testing.assert_allclose(sigmoid(x), 0.5 + 0.5 * np.tanh(x / 2), rtol=0, atol=1e-15, equal_nan=False)


def test_tails_without_a_warning() -> None:
    assert sigmoid(frozen([0.0, 800.0, -800.0, 1e308, -1e308])).tolist() == [0.5, 1.0, 0.0, 1.0, 0.0]
    small = sigmoid(frozen([-700.0]))[0]  # all digits kept where the other tail has long been 1
    assert small == math.exp(-700.0)


@given(normal(3, 5), normal(3, 5))
def test_backward_is_the_product_of_both_probabilities(x: np.ndarray, dy: np.ndarray) -> None:
    dx = F.sigmoid_backward(dy, F.sigmoid_forward(x)[1])
    np.testing.assert_allclose(dx, dy * sigmoid(x) * sigmoid(-x), rtol=1e-13, atol=0, equal_nan=False)
