"""Kinks exactly at the point: backward may take any number between the two derivatives, and no other."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minirec import functional as F
from minirec.verify import check_gradient
from minirec.verify.report import Check, Report

X = np.array([0.7, 0.0, -1.2, 0.0, 2.0])
TIED = np.array([1.0, 3.0, 3.0, 2.0])


def kinks(report: Report) -> Check:
    return next(row for row in report.checks if row.name == "kinks")


def relu(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.maximum(x, 0), x


def with_convention(at_zero: float) -> Callable[[Any, Any], Any]:
    return lambda dy, x: dy * np.where(x > 0, 1.0, np.where(x == 0, at_zero, 0.0))


@pytest.mark.parametrize(
    ("at_zero", "words"),
    [(0.0, "the left one (2)"), (1.0, "the right one (2)"), (0.5, "the mean (2)"), (0.3, "a number between")],
)
def test_relu_at_0_may_take_any_number_from_0_to_1(at_zero: float, words: str) -> None:
    report = check_gradient(relu, with_convention(at_zero), X)
    assert report.ok, str(report)
    assert kinks(report).detail.startswith("2 entries on a kink: x[1], x[3]; backward takes ")
    assert words in kinks(report).detail
    assert report.error <= 1e-11


@pytest.mark.parametrize("at_zero", [2.0, -1.0, 1.001, -0.001, np.nan])
def test_relu_at_0_may_not_take_a_number_outside(at_zero: float) -> None:
    report = check_gradient(relu, with_convention(at_zero), X)
    if np.isfinite(at_zero):
        assert [row.name for row in report.failures] == ["kinks"]
        assert f"x[1]: left 0, right 1, backward {at_zero:g} is not between them" in str(report)
    assert not report.ok


def test_one_entry_is_told_with_its_three_numbers() -> None:
    report = check_gradient(relu, with_convention(0.0), np.array([0.3, 0.2, 0.0, -0.5]))
    expected = "1 entry on a kink: x[2]; left 0, right 1, backward 0 = the left one"
    assert kinks(report).detail == expected


def test_a_mistake_elsewhere_is_still_noticed_beside_a_kink() -> None:
    right = with_convention(0.0)
    report = check_gradient(relu, lambda dy, x: right(dy, x) * (1 + 1e-9 * (x == 2.0)), X)
    assert "full Jacobian" in [row.name for row in report.failures]


def test_the_absolute_value() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.abs(x), x

    honest = check_gradient(forward, lambda dy, x: dy * np.sign(x), X)
    assert honest.ok, str(honest)
    assert "the mean (2)" in kinks(honest).detail
    wrong = check_gradient(forward, lambda dy, x: dy * (np.sign(x) + 1.5 * (x == 0)), X)
    assert [row.name for row in wrong.failures] == ["kinks"]
    assert "left -1, right 1, backward 1.5" in str(wrong)


@pytest.mark.parametrize(
    "share",
    [lambda x: np.arange(4) == np.argmax(x), lambda x: (x == x.max()) / 2.0],
    ids=["to the first", "to each its part"],
)
def test_a_maximum_over_ties(share: Callable[[np.ndarray], np.ndarray]) -> None:
    def forward(x: np.ndarray) -> tuple[Any, np.ndarray]:
        return x.max(), x

    report = check_gradient(forward, lambda dy, x: dy * share(x), TIED)
    assert report.ok, str(report)
    assert kinks(report).detail.startswith("2 entries on a kink: x[1], x[2]")
    assert not check_gradient(forward, lambda dy, x: 3.0 * dy * share(x), TIED).ok


def test_outputs_that_share_a_kink_are_named_one_by_one() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, Any]:
        y, cache = F.softmax_forward(np.maximum(x, 0))
        return y, (x, cache)

    report = check_gradient(
        forward, lambda dy, c: F.softmax_backward(dy, c[1]) * (c[0] > 0), np.array([[1.0, 0.0, -2.0]])
    )
    assert report.ok, str(report)
    assert "3 entries on a kink: ∂y[0, 0]/∂x[0, 1], x[0, 1], ∂y[0, 2]/∂x[0, 1]" in kinks(report).detail


@pytest.mark.parametrize("distance", [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, -1e-4, -1e-6])
@pytest.mark.parametrize("complex_step", [True, False])
def test_next_to_a_kink_an_honest_pair_passes_and_a_wrong_one_does_not(
    distance: float, complex_step: bool
) -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.maximum(x if complex_step else x.real, 0), x

    x = np.array([0.7, distance, -1.2])
    right = check_gradient(forward, with_convention(0.0), x)
    assert right.ok, str(right)
    assert kinks(right).detail == "none at this point"
    wrong = check_gradient(forward, lambda dy, x: dy * ((x > 0) + 0.001 * (np.abs(x) < 0.01)), x)
    assert "full Jacobian" in [row.name for row in wrong.failures]


@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0])
def test_without_the_jacobian_a_kink_is_no_silent_pass(at_zero: float) -> None:
    report = check_gradient(relu, with_convention(at_zero), X, jacobian=False)
    assert not kinks(report).ok
    assert (
        "forward has a kink at this point: along a random line the derivative of y[" in kinks(report).detail
    )
    assert "move the point, or let jacobian=True judge entry by entry" in str(report)
    assert not report.causes  # differences across a kink are no reference


def test_a_smooth_bend_is_no_kink() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.where(x.real > 0, x * x, 0 * x), x  # once differentiable

    report = check_gradient(forward, lambda dy, x: dy * 2 * np.maximum(x, 0), np.array([1.0, 0.0, -2.0]))
    assert report.ok, str(report)
    assert kinks(report).detail == "none at this point"


def test_a_jump_is_not_taken_for_a_derivative() -> None:
    report = check_gradient(lambda x: (np.where(x.real >= 0, 1 + x, x), x), lambda dy, x: 1.0 * dy, X)
    assert "full Jacobian" in [row.name for row in report.failures]
    assert "a jump, a sharp bend, or digits lost?" in str(report)
