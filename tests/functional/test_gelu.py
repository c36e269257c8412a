"""GELU: against the tanh form in loops, the exact form, and its symmetry."""

import math

import numpy as np
from hypothesis import given
from strategies import degenerate, frozen, normal

from minirec import functional as F


def gelu(x: np.ndarray) -> np.ndarray:
    return F.gelu_forward(x)[0]


@given(normal(3, 5, scale=3.0))
def test_equals_the_definition(x: np.ndarray) -> None:
    expected = [
        [0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) for v in row] for row in x
    ]
    np.testing.assert_allclose(gelu(x), expected, rtol=1e-13, atol=1e-15, equal_nan=False)


def test_is_within_5e_4_of_the_exact_form() -> None:
    x = np.linspace(-6, 6, 2001)
    exact = np.array([v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])
    assert 1e-4 < np.max(np.abs(gelu(x) - exact)) < 5e-4


@given(degenerate(3, 5))
def test_gelu_of_x_minus_gelu_of_minus_x_is_x(x: np.ndarray) -> None:
    np.testing.assert_allclose(gelu(x) - gelu(-x), x, rtol=1e-15, atol=1e-300, equal_nan=False)


@given(degenerate(3, 5))
def test_slopes_at_x_and_minus_x_add_up_to_one(x: np.ndarray) -> None:
    one = np.ones_like(x)
    total = F.gelu_backward(one, F.gelu_forward(x)[1]) + F.gelu_backward(one, F.gelu_forward(-x)[1])
    np.testing.assert_allclose(total, 1.0, rtol=0, atol=1e-14, equal_nan=False)


def test_tails_and_zero() -> None:
    assert gelu(frozen([0.0, 1e3, -1e3, 1e30])).tolist() == [0.0, 1e3, 0.0, 1e30]
    slope = F.gelu_backward(frozen([1.0, 1.0, 1.0]), F.gelu_forward(frozen([0.0, 1e3, -1e3]))[1])
    assert slope.tolist() == [0.5, 1.0, 0.0]
