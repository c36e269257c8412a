"""minirec.verify.differences against derivatives that are known in closed form."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import Polynomial
from sheet import holds
from strategies import rows

from minirec.verify import differences


@pytest.mark.parametrize(
    ("method", "order"), [(differences.central_difference, 2.0), (differences.richardson, 4.0)]
)
def test_the_error_falls_with_the_stated_order(method: Callable[..., Any], order: float) -> None:
    coarse = abs(method(np.exp, 0.3, h=0.2) - math.exp(0.3))
    fine = abs(method(np.exp, 0.3, h=0.1) - math.exp(0.3))
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.02)


@pytest.mark.parametrize(
    ("method", "tolerance"),
    [
        (differences.central_difference, 1e-9),  # eps / h = 2e-11, times the size of f
        (differences.richardson, 1e-11),
        (differences.complex_step, 1e-15),
    ],
)
def test_sine_has_the_cosine_as_its_derivative(method: Callable[..., Any], tolerance: float) -> None:
    x = np.linspace(-2.0, 2.0, 7)
    assert np.max(np.abs(method(np.sin, x) - np.cos(x))) <= tolerance


@given(rows(4), rows(3, 5), rows(3, 5), st.sampled_from([0.01, 0.125, 1.0]))
def test_central_difference(coefficients: np.ndarray, x: np.ndarray, direction: np.ndarray, h: float) -> None:
    f = Polynomial(coefficients)
    largest = 1.0 + max(float(np.abs(a).max()) for a in (coefficients, x, direction))
    holds("central_difference", f, x, direction, h, scale=largest**4 / h)


def test_a_direction_gives_the_sum_of_its_partial_derivatives() -> None:
    A = np.random.default_rng(0).standard_normal((3, 5))
    v = np.array([1.0, -2.0, 0.0, 0.5, 3.0])
    for method in (differences.central_difference, differences.richardson, differences.complex_step):
        np.testing.assert_allclose(method(lambda x: A @ x, np.ones(5), v), A @ v, rtol=1e-9, equal_nan=False)


@pytest.mark.parametrize("method", ["differences", "complex"])
def test_jacobian_has_a_row_per_output_and_a_column_per_input(method: str) -> None:
    A = np.random.default_rng(1).standard_normal((3, 5))
    x = np.array([0.1, -20.0, 300.0, 0.0, 1.0])
    expected = A * (2 * x)
    found = differences.jacobian(lambda z: A @ (z * z), x, method)
    assert found.shape == (3, 5)
    # Rounding: eps · |f| / h with |f| = 9e4 and h = 3e-3.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-8, equal_nan=False)


def test_a_method_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="method must be"):
        differences.jacobian(np.exp, np.ones(3), "forward")


def test_taylor_remainders_have_order_two_and_order_one_when_the_slope_is_wrong() -> None:
    steps, nothing = [1e-2, 5e-3, 2.5e-3], np.zeros(3)
    right = differences.taylor_remainders(np.exp, 0.0, 1.0, 1.0, steps)
    wrong = differences.taylor_remainders(np.exp, 0.0, 1.0, 1.5, steps)
    assert differences.observed_order(steps, right, nothing) == pytest.approx(2.0, abs=0.01)
    assert differences.observed_order(steps, wrong, nothing) == pytest.approx(1.0, abs=0.05)
    assert differences.observed_order(steps, right, np.full(3, 1.0)) is None
