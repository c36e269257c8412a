"""Functions in other styles: (f, vjp), a scalar with its gradient, an elementwise function."""

from typing import Any

import numpy as np
import pytest

from minirec.verify import check_gradient, derivative_pair, gradient_pair, vjp_pair


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape)


def f(x: Any, W: Any, ids: Any) -> Any:
    return np.tanh(x @ W)[ids]


def vjp(x: Any, W: Any, ids: Any) -> Any:
    y = np.tanh(x @ W)

    def pullback(dy: Any) -> tuple[Any, ...]:
        dz = np.zeros_like(y)
        np.add.at(dz, ids, dy)
        dz *= 1 - y * y
        return dz @ W.T, x.T @ dz, None

    return y[ids], pullback


ARGS = (normal(5, 3), normal(3, 2), np.array([4, 0, 4]))


def test_a_vjp_passes_with_its_argument_names_and_by_complex_step() -> None:
    report = check_gradient(*vjp_pair(f, vjp), *ARGS)
    assert report.ok, str(report)
    assert report.title == "gradient of f"
    assert report.worst is not None
    assert report.worst.argument in ("x", "W")
    rows = {row.name: row for row in report.checks}
    assert rows["adjoint"].detail == "by complex step"
    assert rows["vjp gives the value of f"].ok


def test_a_vjp_may_leave_out_the_gradients_of_integers() -> None:
    def short(*args: Any) -> Any:
        y, pullback = vjp(*args)
        return y, lambda dy: list(pullback(dy)[:2])

    assert check_gradient(*vjp_pair(f, short), *ARGS).ok


def test_a_wrong_vjp_is_noticed_by_name() -> None:
    def wrong(x: Any, W: Any, ids: Any) -> Any:
        y, pullback = vjp(x, W, ids)
        return y, lambda dy: (pullback(dy)[0], 1.001 * pullback(dy)[1], None)

    report = check_gradient(*vjp_pair(f, wrong), *ARGS)
    assert "full Jacobian" in [row.name for row in report.failures]
    assert report.worst is not None
    assert report.worst.argument == "W"


def test_a_vjp_with_another_value_is_a_failed_row_with_both_numbers() -> None:
    def other(*args: Any) -> Any:
        y, pullback = vjp(*args)
        y = y.copy()
        y[1, 0] += 0.5
        return y, pullback

    report = check_gradient(*vjp_pair(f, other), *ARGS)
    assert [row.name for row in report.failures] == ["vjp gives the value of f"]
    y = f(*ARGS)
    assert f"at [1, 0]: vjp {y[1, 0] + 0.5:.10g}, f {y[1, 0]:.10g}" in str(report)

    def flat(*args: Any) -> Any:
        y, pullback = vjp(*args)
        return y.ravel(), pullback

    report = check_gradient(*vjp_pair(f, flat), *ARGS)
    assert "shape (6,), f has (3, 2)" in str(report)


def test_a_vjp_that_is_no_pair_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"vjp must return \(y, pullback\), got ndarray"):
        check_gradient(*vjp_pair(f, f), *ARGS)


def energy(x: Any, A: Any) -> Any:
    return 0.5 * x @ A @ x


def energy_gradient(x: Any, A: Any) -> Any:
    return 0.5 * (A + A.T) @ x, 0.5 * np.outer(x, x)


def test_a_scalar_with_its_gradient() -> None:
    args = normal(3), normal(3, 3)
    assert check_gradient(*gradient_pair(energy, energy_gradient), *args).ok
    # Right for a symmetric A only.
    wrong = check_gradient(*gradient_pair(energy, lambda x, A: (A @ x, energy_gradient(x, A)[1])), *args)
    assert wrong.worst is not None
    assert wrong.worst.argument == "x"
    assert not wrong.ok


def test_a_scalar_may_be_a_python_number_and_its_gradient_bare() -> None:
    def total(x: Any) -> Any:
        return sum(v * v for v in x.tolist())

    assert check_gradient(*gradient_pair(total, lambda x: 2 * x), normal(3)).ok
    assert not check_gradient(*gradient_pair(total, lambda x: x), normal(3)).ok


def test_a_gradient_of_an_array_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(
        ValueError, match=r"f must return one number, got an array of shape \(3,\): sum it up"
    ):
        check_gradient(*gradient_pair(np.sin, np.cos), normal(3))


def test_an_elementwise_function() -> None:
    assert check_gradient(*derivative_pair(np.sin, np.cos), normal(3, 5)).ok
    assert not check_gradient(*derivative_pair(np.cos, np.sin), normal(3, 5)).ok
