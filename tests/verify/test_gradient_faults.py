"""Mistakes put into backward passes on purpose: check_gradient notices every one, in the row that says why.

A fault takes a backward function and returns a wrong one. Each row of FAULTS names a check that must fail.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minirec import functional as F
from minirec.verify import check_gradient
from minirec.verify.pair import as_list
from minirec.verify.report import Report

Backward = Callable[[Any, Any], Any]
JACOBIAN, ADJOINT, LINEAR, ZERO = "full Jacobian", "adjoint", "linear in dy", "zero in, zero out"
PLACE, AGAIN, FINITE, FORM = (
    "nothing written in place",
    "second call, same bits",
    "finite",
    "shapes and dtypes",
)
COUNT, MATTERS = "one gradient each", "every argument matters"


def names(report: Report) -> list[str]:
    return [row.name for row in report.failures]


def on_gradients(change: Callable[[np.ndarray], Any]) -> Callable[[Backward], Backward]:
    """The fault that applies `change` to every gradient."""
    return lambda backward: lambda dy, cache: tuple(change(d) for d in as_list(backward(dy, cache)))


def on_upstream(change: Callable[[Any], Any]) -> Callable[[Backward], Backward]:
    """The fault that applies `change` to the upstream gradient."""
    return lambda backward: lambda dy, cache: backward(change(dy), cache)


def is_entry(i: int, d: np.ndarray) -> np.ndarray:
    return (np.arange(d.size) == i).reshape(d.shape)


def single_precision(backward: Backward) -> Backward:
    """All of backward in float32, the result turned into float64 again."""

    def wrong(dy: Any, cache: Any) -> Any:
        small = type(cache)(
            *(c.astype(np.float32) if np.asarray(c).dtype == np.float64 else c for c in cache)
        )
        return tuple(d.astype(np.float64) for d in as_list(backward(np.float32(dy), small)))

    return wrong


def noisy(backward: Backward) -> Backward:
    rng = np.random.default_rng(0)
    return lambda dy, cache: tuple(
        d * (1 + 1e-12 * rng.standard_normal()) for d in as_list(backward(dy, cache))
    )


def accumulating(backward: Backward) -> Backward:
    kept: list[Any] = []

    def wrong(dy: Any, cache: Any) -> Any:
        new = as_list(backward(dy, cache))
        kept[:] = [a + b for a, b in zip(kept, new, strict=True)] if kept else new
        return tuple(kept)

    return wrong


def writes_upstream(backward: Backward) -> Backward:
    def wrong(dy: Any, cache: Any) -> Any:
        gradients = backward(dy, cache)
        dy *= 0.5
        return gradients

    return wrong


def writes_cache(backward: Backward) -> Backward:
    def wrong(dy: Any, cache: Any) -> Any:
        gradients = backward(dy, cache)
        cache[0][...] *= 1.25
        return gradients

    return wrong


FAULTS: list[tuple[str, Callable[[Backward], Backward], str]] = [
    ("off by 0.1 %", on_gradients(lambda d: d * 1.001), JACOBIAN),
    ("off by 0.001 %", on_gradients(lambda d: d * 1.00001), JACOBIAN),
    ("off by 1e-7", on_gradients(lambda d: d * (1 + 1e-7)), JACOBIAN),
    ("wrong sign", on_gradients(lambda d: -d), JACOBIAN),
    ("twice", on_gradients(lambda d: 2 * d), JACOBIAN),
    ("one entry off by 1 %", on_gradients(lambda d: d * (1 + 0.01 * is_entry(0, d))), JACOBIAN),
    ("reversed rows", on_gradients(lambda d: d[::-1]), JACOBIAN),
    ("absolute upstream", on_upstream(np.abs), LINEAR),
    ("clipped upstream", on_upstream(lambda dy: np.clip(dy, -1, 1)), LINEAR),
    ("upstream clipped at 1e5", on_upstream(lambda dy: np.clip(dy, -1e5, 1e5)), LINEAR),
    ("ReLU of upstream", on_upstream(lambda dy: np.maximum(dy, 0)), LINEAR),
    ("sign of upstream", on_upstream(np.sign), LINEAR),
    ("upstream below 1e-4 taken as 0", on_upstream(lambda dy: np.where(np.abs(dy) < 1e-4, 0, dy)), LINEAR),
    ("upstream ignored", on_upstream(lambda dy: np.cos(np.arange(dy.size)).reshape(dy.shape)), ZERO),
    ("a constant added", on_gradients(lambda d: d + 1e-3), ZERO),
    ("large gradients clipped", on_gradients(lambda d: np.clip(d, -10, 10)), LINEAR),
    ("float32 arithmetic inside", single_precision, LINEAR),
    ("float32 result", on_gradients(lambda d: d.astype(np.float32)), FORM),
    ("NaN in one entry", on_gradients(lambda d: np.where(is_entry(1, d), np.nan, d)), FINITE),
    ("infinite", on_gradients(lambda d: d + np.inf), FINITE),
    ("NaN for small upstream", on_upstream(lambda dy: np.where(np.abs(dy) < 1e-4, np.nan, dy)), LINEAR),
    ("all zero", on_gradients(np.zeros_like), JACOBIAN),
    ("one gradient too few", lambda backward: lambda dy, cache: as_list(backward(dy, cache))[:-1], COUNT),
    ("one gradient too many", lambda backward: lambda dy, cache: (*as_list(backward(dy, cache)), dy), COUNT),
    ("nothing returned", lambda backward: lambda dy, cache: None, COUNT),
    ("a leading axis too many", on_gradients(lambda d: d[None]), FORM),
    ("noise of 1e-12", noisy, AGAIN),
    ("accumulates between calls", accumulating, AGAIN),
    ("writes into dy", writes_upstream, PLACE),
    ("writes into the cache", writes_cache, PLACE),
]  # fmt: skip


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape)


PAIRS = {
    "softmax": (normal(3, 5),),
    "layer_norm": (normal(3, 5), normal(5), 1 + normal(5)),
    "attention": (normal(2, 3, 5), normal(2, 7, 5), normal(2, 7, 2)),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("fault", "row"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_the_fault_is_noticed(name: str, fault: Callable[[Backward], Backward], row: str) -> None:
    forward, backward = getattr(F, f"{name}_forward"), getattr(F, f"{name}_backward")
    with np.errstate(invalid="ignore"):
        report = check_gradient(forward, fault(backward), *PAIRS[name])
    assert row in names(report), str(report)


# Without the full Jacobian a mistake in one entry weighs its share of the whole, and is still noticed.
@pytest.mark.parametrize(("fault", "row"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_the_fault_is_noticed_in_random_directions(fault: Callable[[Backward], Backward], row: str) -> None:
    with np.errstate(invalid="ignore"):
        report = check_gradient(
            F.attention_forward, fault(F.attention_backward), *PAIRS["attention"], jacobian=False
        )
    assert (ADJOINT if row == JACOBIAN else row) in names(report), str(report)


@pytest.mark.parametrize("size", [1e-6, 1e-7])
def test_a_sign_flipped_where_gradients_are_tiny(size: float) -> None:
    x = np.array([0.0, -0.3, 0.2, np.log(size)])
    fault = on_gradients(lambda d: np.where(np.abs(d) < 3 * size, -d, d))
    report = check_gradient(F.softmax_forward, fault(F.softmax_backward), x)
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


def kept_without_scaling(dy: Any, cache: F.DropoutCache) -> Any:
    return dy * (cache.factor != 0)


SQUARE = (normal(5, 3), normal(3, 3), normal(3))
IDS = np.array([4, 0, 4, 2])
CLASSICS: list[tuple[Backward, str, tuple[Any, ...], str]] = [
    (transposed, "linear", SQUARE, JACOBIAN),
    (bias_of_the_first_row_only, "linear", SQUARE, JACOBIAN),
    (mean_instead_of_sum, "linear", SQUARE, JACOBIAN),
    (bias_not_summed, "linear", SQUARE, FORM),
    (no_bias_gradient, "linear", SQUARE, JACOBIAN),
    (diagonal_of_softmax, "softmax", PAIRS["softmax"], JACOBIAN),
    (norm_without_third_term, "layer_norm", PAIRS["layer_norm"], JACOBIAN),
    (norm_without_gamma, "layer_norm", PAIRS["layer_norm"], JACOBIAN),
    (attention_without_scale, "attention", PAIRS["attention"], JACOBIAN),
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
    report = check_gradient(F.softmax_forward, fault(F.softmax_backward), normal(3, 5))
    row = next(row for row in report.checks if row.name == "Taylor remainder")
    assert not row.ok
    assert row.value is not None
    assert row.value < 1.5
