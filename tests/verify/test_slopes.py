"""Differences know what they are good to: at bends of every width, at the edge of a domain, on a kink."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minirec.verify import slopes

One = Callable[[Any], Any]


def slope_at(f: One, x: float, width: float = 1.0) -> slopes.Slope:
    """Of a function of one number."""
    point = np.array([x])
    start = f(point)
    return slopes.slope(f, point, np.array([width]), start, slopes.noise(f, point))


def bump(k: float) -> tuple[One, One]:
    """Even about 0, and 1 / k wide: nothing that a step of 1/256 could see for k = 1e4."""
    return lambda x: np.exp(-((k * x) ** 2)) + x, lambda x: 1 - 2 * k * k * x * np.exp(-((k * x) ** 2))


def fold(k: float) -> tuple[One, One]:
    return lambda x: np.abs(np.tanh(k * x)) + x, lambda x: 1 + np.sign(x) * k / np.cosh(k * x) ** 2


SHARP: list[tuple[str, One, One, float]] = [
    *((f"bump {k:g}", *bump(k), x) for k in (1e2, 1e3, 1e4, 1e5, 1e6) for x in (3e-7, 0.3 / k)),
    *((f"fold {k:g}", *fold(k), x) for k in (1e2, 1e4, 1e5) for x in (3e-7, -0.3 / k)),
    *((f"sin {k:g}", lambda x, k=k: np.sin(k * x), lambda x, k=k: k * np.cos(k * x), 0.4 / k)
      for k in (1e2, 1e4, 1e6, 1e8)),
    *((f"log {x:g}", np.log, lambda x: 1 / x, x) for x in (1e-2, 1e-4, 1e-6, 1e-8)),
    *((f"sqrt {x:g}", np.sqrt, lambda x: 0.5 / np.sqrt(x), x) for x in (1e-2, 1e-4, 1e-6, 1e-8)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "f", "derivative", "x"), SHARP, ids=[row[0] for row in SHARP])
def test_the_doubt_bounds_the_error_however_sharply_the_function_bends(
    name: str, f: One, derivative: One, x: float
) -> None:
    found = slope_at(f, x)
    exact = float(derivative(x))
    assert abs(found.value[0] - exact) <= found.doubt[0] <= 1e-7 * abs(exact)
    assert not found.kink.any()


@pytest.mark.parametrize(
    ("name", "f", "x", "exact"),
    [
        ("Huber", lambda x: np.where(np.abs(x) <= 1, x * x / 2, np.abs(x) - 0.5), 1.0, 1.0),
        ("squared hinge", lambda x: np.maximum(1 - x, 0) ** 2, 1.0, 0.0),
        ("x |x|", lambda x: x * np.abs(x), 0.0, 0.0),
        ("ELU", lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), 0.0, 1.0),
    ],
)
def test_a_knot_of_a_once_differentiable_function_is_no_kink(
    name: str, f: One, x: float, exact: float
) -> None:
    found = slope_at(f, x)
    assert not found.kink.any()
    assert abs(found.value[0] - exact) <= found.doubt[0] <= 1e-9


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7, 1e-9, -1e-3, -1e-6, -1e-10])
def test_next_to_a_kink_the_smooth_side_decides(distance: float) -> None:
    found = slope_at(lambda x: np.maximum(x, 0), distance)
    assert not found.kink.any()
    assert abs(found.value[0] - (distance > 0)) <= found.doubt[0] <= 1e-9
    assert found.step[0] < abs(distance)  # and no line that starts here may be longer


def test_on_a_kink_both_derivatives_are_given() -> None:
    found = slope_at(lambda x: np.maximum(x, -2 * x), 0.0)
    assert found.kink.all()
    assert found.left[0] == pytest.approx(-2.0, abs=1e-9)
    assert found.right[0] == pytest.approx(1.0, abs=1e-9)
    assert found.value[0] == pytest.approx(-0.5, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "f"), [("a jump", lambda x: np.where(x >= 0, 1 + x, x)), ("a vertical tangent", np.cbrt)]
)
def test_where_there_is_no_derivative_the_doubt_is_large(name: str, f: One) -> None:
    found = slope_at(f, 0.0)
    assert not found.doubt[0] <= 1e-2 * max(1.0, abs(found.value[0]))


def test_nothing_but_one_step_is_paid_for_where_one_will_do() -> None:
    calls: list[Any] = []

    def f(x: np.ndarray) -> np.ndarray:
        calls.append(x)
        return np.exp(x)

    x = np.array([0.3, -0.8])
    slopes.slope(f, x, np.array([1.0, -0.5]), np.exp(x), 1e-16)
    assert len(calls) == 8
    slopes.slope(lambda x: f(x) + 100 * np.abs(x - 0.301), x, np.array([1.0, -0.5]), np.exp(x), 1e-16)
    assert len(calls) == 8 + 8 + 2 * len(slopes.ALL_STEPS)


def largest_noise(f: One, x: np.ndarray) -> float:
    return float(slopes.noise(f, x).max())


def test_noise_is_the_rounding_error_of_the_function() -> None:
    x = np.random.default_rng([0, 31]).standard_normal(31)
    assert 1e-17 < largest_noise(np.sin, x) < 3e-16
    assert 1e-13 < largest_noise(lambda x: (np.sin(x) + 1e4) - 1e4, x) < 1e-11
    assert largest_noise(lambda x: 2.0 * np.maximum(x, 0), np.zeros(31)) < 1e-20  # a kink is no noise
    assert largest_noise(lambda x: np.sin(1e9 * x), 1e-9 * x) < 1e-12  # nor a bend
    assert largest_noise(np.log, np.array([1e-8, 2.0])) < 1e-14  # nor the edge of a domain
    assert largest_noise(lambda x: (x + 1e8) - 1e8, x) > 1e-9  # but standing still is


def test_what_was_rounded_to_few_digits_is_noisy_though_it_stands_still() -> None:
    x = np.random.default_rng([0, 31]).standard_normal(31)
    assert np.median(slopes.noise(lambda x: np.sin(x.astype(np.float32)).astype(float), x)) > 1e-9


def test_the_noise_of_a_huge_output_is_not_that_of_a_small_one() -> None:
    noise = slopes.noise(lambda x: np.array([1e8 + x[0], x[0] ** 2]), np.array([0.3]))
    assert noise[0] > 1e-9
    assert noise[1] < 1e-15


@pytest.mark.parametrize("error", [ValueError, np.linalg.LinAlgError, ZeroDivisionError])
def test_a_function_that_refuses_a_step_is_differenced_inside_its_domain(error: type[Exception]) -> None:
    def f(x: np.ndarray) -> np.ndarray:
        if x[0] <= 0:
            raise error("not positive")
        return np.log(x)

    found = slope_at(f, 1e-3)
    assert abs(found.value[0] - 1e3) <= found.doubt[0] <= 1e-6


def test_a_period_that_divides_every_power_of_two_is_seen() -> None:
    found = slope_at(lambda x: np.sin(2 * np.pi * x), 480000.3, width=2.0**18)
    exact = 2 * np.pi * np.cos(2 * np.pi * 480000.3)
    assert abs(found.value[0] / 2.0**18 - exact) <= found.doubt[0] / 2.0**18 <= 1e-4


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: np.abs(x) * x, "drops|differ"),
        (lambda x: x / np.linalg.norm(x), "differ"),
        (lambda x: x * np.var(x), "differ"),
        (lambda x: x.conj() * x, "differ"),
        (lambda x: x + 1e-4 * np.abs(x), "differ"),
        (lambda x: np.array(x, dtype=np.float64), "complex input"),
        (lambda x: x.real * 2.0, "imaginary"),
        (lambda x: x if np.isrealobj(x) else 2 * x, "another value"),
        (lambda x: np.logaddexp(x, 0.0), "complex input"),
        (lambda x: x + 1e-4 * np.sin(1e15 * x.real), "only good to .* and cannot confirm"),
    ],
)
def test_an_illegal_complex_step_is_found_out(f: One, words: str) -> None:
    x = np.array([0.7, -1.1, 0.4])
    fault = slopes.complex_step_fault(f, x, np.array([1.0, 0.5, -2.0]), f(x), slopes.noise(f, x))
    assert fault is not None
    assert re.search(words, fault), fault


@pytest.mark.parametrize(
    "f",
    [
        np.exp,
        np.tanh,
        lambda x: np.sum(x * x, keepdims=True),
        lambda x: np.where(x.real > 0, x, 0.1 * x),
        lambda x: np.exp(-((1e4 * (x - 0.7)) ** 2)) + x,  # which coarse steps alone would refuse
    ],
)
def test_a_legal_complex_step_is_accepted(f: One) -> None:
    x = np.array([0.7 + 3e-7, -1.1, 0.4])
    assert slopes.complex_step_fault(f, x, np.array([1.0, 0.5, -2.0]), f(x), slopes.noise(f, x)) is None
