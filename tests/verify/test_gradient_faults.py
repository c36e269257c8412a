"""Mistakes put into backward passes on purpose: check_gradient notices every one, in the row that says why.

The faults that fit any pair of functions are those of fault_table.py; mistakes of single functions are here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from verify import fault_table as table
from verify.fault_table import (
    ADJOINT,
    AGAIN,
    FINITE,
    FORM,
    JACOBIAN,
    MATTERS,
    PLACE,
    Fault,
    normal,
    on_gradients,
)

from minirec import functional as F
from minirec.verify import check_gradient
from minirec.verify.report import Report

Backward = Callable[[Any, Any], Any]
FAULTS = [*table.KNOWN, *table.OWN, *table.MORE]
POINTS = {name: make() for name, make in table.POINTS.items()}


def names(report: Report) -> list[str]:
    return [row.name for row in report.failures]


@pytest.mark.parametrize("name", ["softmax", "layer_norm", "attention"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_fault_is_noticed(name: str, fault: Fault) -> None:
    report = table.report(fault, name)
    assert fault.row in names(report), str(report)


@pytest.mark.parametrize("fault", [*table.KNOWN, *table.OWN], ids=lambda fault: fault.name)
def test_the_fault_is_noticed_in_a_loss(fault: Fault) -> None:
    if table.applies(fault, "cross_entropy"):
        assert names(table.report(fault, "cross_entropy"))


# Without the full Jacobian a mistake in one entry weighs its share of the whole, and is still noticed.
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_fault_is_noticed_in_random_directions(fault: Fault) -> None:
    report = table.report(fault, "attention", jacobian=False)
    if "flipped where" in fault.name:  # in a sum over all outputs no gradient is so small
        assert "linear in dy" in names(report)
    else:
        assert (ADJOINT if fault.row == JACOBIAN else fault.row) in names(report), str(report)


@pytest.mark.parametrize("name", table.POINTS)
def test_honest_pairs_pass_and_errors_of_1e_9_do_not(name: str) -> None:
    report = check_gradient(*table.pair(name), *POINTS[name])
    assert report.ok, str(report)
    assert report.error <= 1e-11
    assert table.noticed(name, 1e-9, entry=False)
    assert table.noticed(name, 1e-9, entry=True)
    assert not table.noticed(name, 0.0, entry=True)


@pytest.mark.parametrize("size", [1e-6, 1e-7])
def test_a_sign_flipped_where_gradients_are_tiny(size: float) -> None:
    x = np.array([0.0, -0.3, 0.2, np.log(size)])
    fault = on_gradients(table.flipped_where_tiny(size))
    report = check_gradient(*fault(*table.pair("softmax")), x)
    assert JACOBIAN in names(report), str(report)
    assert report.worst is not None
    assert abs(report.worst.reference) < 3 * size


def test_nan_forward_and_nan_backward() -> None:
    report = check_gradient(lambda x: (x * np.nan, x), lambda dy, x: dy * np.nan, normal(5))
    assert names(report) == [FINITE]
    assert "NaN or Inf in y, dx" in str(report)


def test_everything_identically_zero() -> None:
    report = check_gradient(lambda x: (x * 0.0, x), lambda dy, x: dy * 0.0, normal(5))
    assert names(report) == [MATTERS]


@pytest.mark.parametrize("place", [(0, 0), (17, 5), (31, 31)])
def test_one_wrong_entry_of_a_large_jacobian(place: tuple[int, int]) -> None:
    A = normal(32, 32)
    wrong = A.copy()
    wrong[place] *= 1.01
    report = check_gradient(
        lambda x: (np.tanh(A @ x), A @ x), lambda dy, z: wrong.T @ (dy / np.cosh(z) ** 2), normal(32) / 8
    )
    assert JACOBIAN in names(report)
    assert report.worst is not None
    assert (*(report.worst.output or ()), *report.worst.entry) == place


def test_forward_writes_into_its_argument() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x *= 2.0
        return x.copy(), x

    report = check_gradient(forward, lambda dy, x: 2.0 * dy, normal(5))
    assert PLACE in names(report)
    assert "forward changes its argument x" in str(report)


def test_backward_writes_into_an_argument_that_the_cache_holds() -> None:
    def backward(dy: Any, cache: F.LinearCache) -> Any:
        gradients = F.linear_backward(dy, cache)
        cache.W[0] = 0.0
        return gradients

    report = check_gradient(F.linear_forward, backward, normal(5, 3), normal(3, 7), normal(7))
    assert names(report) == [PLACE, AGAIN]  # the numbers are right, and judged with a fresh cache each time
    assert "backward changes its argument W" in str(report)


def test_a_cache_outside_the_call_is_noticed() -> None:
    last: dict[str, np.ndarray] = {}

    def forward(x: np.ndarray) -> tuple[np.ndarray, None]:
        last["x"] = x.copy()
        return x**2, None

    report = check_gradient(forward, lambda dy, _: 2 * last["x"] * dy, normal(5))
    assert AGAIN in names(report)
    assert "backward after another forward" in str(report)


def test_a_random_forward_is_noticed() -> None:
    rng = np.random.default_rng(0)

    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        keep = (rng.random(x.shape) < 0.5).astype(np.float64)
        return x * keep, keep

    assert AGAIN in names(check_gradient(forward, lambda dy, keep: dy * keep, normal(31)))


def transposed(dy: Any, cache: F.LinearCache) -> Any:
    dx, dW, db = F.linear_backward(dy, cache)
    return dx, dW.T, db


def bias_of_the_first_row_only(dy: Any, cache: F.LinearCache) -> Any:
    dx, dW, _ = F.linear_backward(dy, cache)
    return dx, dW, dy[0]


def mean_instead_of_sum(dy: Any, cache: F.LinearCache) -> Any:
    dx, dW, db = F.linear_backward(dy, cache)
    return dx, dW / len(dy), db / len(dy)


def bias_not_summed(dy: Any, cache: F.LinearCache) -> Any:
    dx, dW, _ = F.linear_backward(dy, cache)
    return dx, dW, dy


def no_bias_gradient(dy: Any, cache: F.LinearCache) -> Any:
    dx, dW, db = F.linear_backward(dy, cache)
    return dx, dW, 0 * db


def diagonal_of_softmax(dy: Any, cache: F.SoftmaxCache) -> Any:
    return dy * cache.p * (1 - cache.p)


def norm_without_third_term(dy: Any, cache: F.LayerNormCache) -> Any:
    _, dgamma, dbeta = F.layer_norm_backward(dy, cache)
    dx_hat = dy * cache.gamma
    return (dx_hat - dx_hat.mean(axis=-1, keepdims=True)) * cache.inv_std, dgamma, dbeta


def norm_without_gamma(dy: Any, cache: F.LayerNormCache) -> Any:
    dx, _, _ = F.layer_norm_backward(dy, cache._replace(gamma=np.ones_like(cache.gamma)))
    return dx, *F.layer_norm_backward(dy, cache)[1:]


def attention_without_scale(dy: Any, cache: F.AttentionCache) -> Any:
    dq, dk, dv = F.attention_backward(dy, cache)
    return dq * np.sqrt(cache.q.shape[-1]), dk, dv


def last_of_repeated_ids(dy: Any, cache: F.EmbeddingCache) -> Any:
    dE = np.zeros(cache.shape)
    dE[cache.ids] += dy
    return dE


def not_divided_by_n(dloss: Any, cache: F.CrossEntropyCache) -> Any:
    return F.cross_entropy_backward(dloss, cache) * cache.targets.size


def symmetric_weights_only(dy: Any, cache: F.LinearCache) -> Any:
    _, dW, db = F.linear_backward(dy, cache)
    return dy @ cache.W, dW, db


def kept_without_scaling(dy: Any, cache: F.DropoutCache) -> Any:
    return dy * (cache.factor != 0)


SQUARE = (normal(5, 3), normal(3, 3), normal(3))
IDS = np.array([4, 0, 4, 2])
CLASSICS: list[tuple[Backward, str, tuple[Any, ...], str]] = [
    (transposed, "linear", SQUARE, JACOBIAN),
    (symmetric_weights_only, "linear", SQUARE, JACOBIAN),
    (bias_of_the_first_row_only, "linear", SQUARE, JACOBIAN),
    (mean_instead_of_sum, "linear", SQUARE, JACOBIAN),
    (bias_not_summed, "linear", SQUARE, FORM),
    (no_bias_gradient, "linear", SQUARE, JACOBIAN),
    (diagonal_of_softmax, "softmax", POINTS["softmax"], JACOBIAN),
    (norm_without_third_term, "layer_norm", POINTS["layer_norm"], JACOBIAN),
    (norm_without_gamma, "layer_norm", POINTS["layer_norm"], JACOBIAN),
    (attention_without_scale, "attention", POINTS["attention"], JACOBIAN),
    (last_of_repeated_ids, "embedding", (normal(5, 3), IDS), JACOBIAN),
    (not_divided_by_n, "cross_entropy", (normal(4, 5), IDS), JACOBIAN),
    (kept_without_scaling, "dropout", (normal(5, 7), 0.3, np.random.default_rng(1)), JACOBIAN),
]


@pytest.mark.parametrize(("backward", "name", "args", "row"), CLASSICS, ids=[c[0].__name__ for c in CLASSICS])
@pytest.mark.parametrize("jacobian", [True, False])
def test_classic_mistakes(
    backward: Backward, name: str, args: tuple[Any, ...], row: str, jacobian: bool
) -> None:
    report = check_gradient(getattr(F, f"{name}_forward"), backward, *args, jacobian=jacobian)
    assert (ADJOINT if row == JACOBIAN and not jacobian else row) in names(report), str(report)


@pytest.mark.parametrize("percent", [1.0, 10.0])
def test_the_remainder_of_a_wrong_gradient_falls_too_slowly(percent: float) -> None:
    fault = on_gradients(lambda d: d * (1 + percent / 100))
    report = check_gradient(*fault(*table.pair("softmax")), normal(3, 5))
    row = next(row for row in report.checks if row.name == "Taylor remainder")
    assert not row.ok
    assert row.value is not None
    assert row.value < 1.5
