"""The error model: differences know what they are good to, and nothing is judged more strictly than that."""

from typing import Any

import gradient_table
import numpy as np
import pytest

from minirec import functional as F
from minirec.verify import check_gradient, reference, slopes
from minirec.verify.pair import Pair
from minirec.verify.report import Check, Report


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def jacobian(report: Report) -> Check:
    return next(row for row in report.checks if row.name == "full Jacobian")


def elementwise(f: Any, df: Any, x: np.ndarray, **options: Any) -> Report:
    return check_gradient(lambda x: (f(x), x), lambda dy, x: dy * df(x), x, **options)


def test_the_limit_is_derived_and_said() -> None:
    row = jacobian(check_gradient(F.softmax_forward, F.softmax_backward, normal(3, 5)))
    assert row.limit is not None
    assert row.value is not None
    assert 1e-13 < row.value < row.limit < 1e-10
    assert "limit from the error model: truncation and rounding of the differences" in row.detail


def test_a_loose_tolerance_is_the_limit() -> None:
    row = jacobian(check_gradient(F.softmax_forward, F.softmax_backward, normal(3, 5), tolerance=1e-5))
    assert row.limit == pytest.approx(1e-5)
    assert "error model" not in row.detail


# 200 seeds over every row were tried when the constants were chosen; the attention rows are the slow ones.
@pytest.mark.parametrize("row", gradient_table.FUNCTIONS, ids=str)
def test_no_false_alarm(row: gradient_table.Row) -> None:
    for seed in range(1, 2 if row.name == "attention" else 4):
        report = row.gradient(seed)
        assert report.ok, f"seed {seed}: {report}"


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: np.exp(x), normal(7)),
        (lambda x: np.sin(30 * x), normal(7)),
        (lambda x: np.log1p(x * x), 100 * normal(7)),
        (lambda x: 1e6 + np.tanh(x), normal(7)),  # rounding is 1e6 larger than the size of J suggests
        (lambda x: (x + 1e8) - 1e8, normal(7)),
        (lambda x: np.cumsum(x) ** 3, normal(7)),
        (lambda x: (np.exp(x) / np.exp(x).sum()).sum(keepdims=True) + x[:1], normal(7)),
    ],
)
def test_the_doubt_bounds_the_error(f: Any, x: np.ndarray) -> None:
    pair = Pair(lambda x: (f(x), x), lambda dy, x: dy, [x], [0], ["x"])
    found = reference.by_differences(pair, slopes.noise(pair.value, pair.x), 0.0)
    # The exact Jacobian by complex step: these functions allow it.
    exact = np.stack([np.imag(f(x + 1e-30j * unit)) / 1e-30 for unit in np.eye(x.size)], axis=1)
    assert np.all(np.abs(found.J - exact) <= found.doubt)


def sharp(x: Any) -> Any:
    return np.sin(5000 * x)


def d_sharp(x: Any) -> Any:
    return 5000 * np.cos(5000 * x)


def test_a_column_that_bends_sharply_is_taken_by_complex_step_where_that_is_legal() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.stack([sharp(x[0]), x[1] ** 2, x[2]]), x

    def backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        return dy * np.stack([d_sharp(x[0]), 2 * x[1], 1.0])

    report = check_gradient(forward, backward, normal(3))
    assert report.ok, str(report)
    assert "1 column by complex step" in jacobian(report).detail
    wrong = check_gradient(forward, lambda dy, x: backward(dy, x) * (1 + 1e-10), normal(3))
    assert not wrong.ok


def test_where_complex_step_is_not_legal_the_row_says_what_differences_are_good_to() -> None:
    def very_sharp(x: Any) -> Any:
        return np.sin(3e5 * x.real)

    report = elementwise(very_sharp, lambda x: 3e5 * np.cos(3e5 * x) * (1 + 1e-7), normal(3))
    assert not jacobian(report).ok
    assert "the limit is what differences are good to here: " in jacobian(report).detail


def test_a_step_that_leaves_the_domain_is_made_smaller() -> None:
    report = elementwise(np.sqrt, lambda x: 0.5 / np.sqrt(x), np.array([1e-3, 1.0, 2.0]))
    assert report.ok, str(report)


def test_a_wrong_column_with_a_strict_limit_is_named_beside_one_with_a_loose_limit() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.stack([np.sin(300 * x[0].real), x[1]]), x

    def backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        return dy * np.stack([300 * np.cos(300 * x[0]), 1.0 + 2e-9])

    report = check_gradient(forward, backward, np.array([0.3, 0.7]))
    assert not jacobian(report).ok
    assert report.worst is not None
    assert (report.worst.argument, report.worst.entry) == ("x", (1,))
