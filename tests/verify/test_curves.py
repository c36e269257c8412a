"""The curves of a report: what the four difference methods and Taylor's remainder must look like."""

from typing import Any

import numpy as np
import pytest

from minirec import functional as F
from minirec.verify import check_gradient
from minirec.verify.curves import Curves
from minirec.verify.report import Check, Report

METHODS = ["forward difference", "central difference", "Richardson", "complex step"]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape)


def curves_of(factor: float) -> Curves:
    report = check_gradient(
        F.softmax_forward, lambda dy, cache: factor * F.softmax_backward(dy, cache), normal(3, 5)
    )
    assert report.curves is not None
    return report.curves()


def at(data: Curves, name: str, h: float) -> float:
    return float(data.errors[name][np.argmin(np.abs(np.log(data.steps / h)))])


def test_a_right_gradient_gives_four_v_curves_of_known_order() -> None:
    data = curves_of(1.0)
    assert list(data.errors) == METHODS
    for name, order in zip(METHODS, (1, 2, 4, 2), strict=True):
        coarse, fine = at(data, name, 1e-1), at(data, name, 10**-1.4)
        assert np.log10(coarse / fine) / 0.4 == pytest.approx(order, abs=0.15)
    assert at(data, "complex step", 1e-20) <= 1e-14
    assert at(data, "forward difference", 1e-20) == 1.0  # nothing moves: the difference is 0
    assert min(data.errors["forward difference"]) < 1e-6
    assert min(data.errors["Richardson"]) < 1e-10
    assert data.order == pytest.approx(2.0, abs=0.05)
    assert data.fault is None


def test_the_curves_of_a_wrong_gradient_end_at_its_error() -> None:
    data = curves_of(1.001)
    assert at(data, "complex step", 1e-12) == pytest.approx(1e-3, rel=0.01)
    assert at(data, "Richardson", 1e-4) == pytest.approx(1e-3, rel=0.01)
    assert data.order == pytest.approx(1.0, abs=0.05)
    assert np.all(data.remainder < data.bare)


def test_a_linear_function_leaves_no_remainder() -> None:
    report = check_gradient(F.embedding_forward, F.embedding_backward, normal(5, 3), np.array([4, 0, 4]))
    assert report.curves is not None
    data = report.curves()
    assert data.order is None
    assert np.max(data.remainder) < 1e-13


def test_complex_step_is_left_out_where_it_is_not_legal_and_kinks_stay_where_they_are() -> None:
    x = np.array([0.7, 0.0, -1.2])
    report = check_gradient(lambda x: (np.abs(x), x), lambda dy, x: dy * np.sign(x), x)
    assert report.curves is not None
    data = report.curves()
    assert list(data.errors) == METHODS[:3]
    assert data.fault is not None
    assert min(data.errors["Richardson"]) < 1e-10


def test_curves_cost_nothing_until_they_are_asked_for_and_do_not_count_in_a_comparison() -> None:
    calls = 0

    def forward(x: np.ndarray) -> tuple[np.ndarray, Any]:
        nonlocal calls
        calls += 1
        return F.softmax_forward(x)

    report = check_gradient(forward, F.softmax_backward, normal(3, 5))
    before = calls
    assert report == check_gradient(forward, F.softmax_backward, normal(3, 5))
    assert calls == 2 * before
    assert "curves" not in repr(report)
    figure = report.plot()
    assert calls > 2 * before
    assert [axes.get_xlabel() for axes in figure.axes] == ["step size h", "step size h"]


def test_a_report_without_a_gradient_has_no_plot() -> None:
    with pytest.raises(ValueError, match="there is no gradient to plot"):
        Report("t", (Check("finite", False),)).plot()
