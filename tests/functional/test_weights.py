"""What all losses share beyond the sheet: types, sizes, no warning for what has weight 0."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from strategies import frozen

from minirec import functional as F
from minirec.verify.pair import as_list

N = 7


def draw(*shape: int) -> np.ndarray:
    return frozen(np.random.default_rng(list(shape)).standard_normal(shape))


# name -> the arguments of n rows, before the weight
LOSSES: dict[str, Callable[[slice | np.ndarray], tuple[Any, ...]]] = {
    "squared_error": lambda rows: (draw(N)[rows], draw(N, 1)[rows, 0]),
    "binary_cross_entropy": lambda rows: (draw(N)[rows], np.linspace(0, 1, N)[rows]),
    "cross_entropy": lambda rows: (draw(N, 5)[rows], np.array([4, 0, 4, 1, 1, 3, 0])[rows]),
    "bpr": lambda rows: (draw(N)[rows], draw(N, 1)[rows, 0]),
}
ALL = slice(None)
WEIGHT = frozen([0.0, 1.0, 2.0, 0.0, 0.5, 1.0, 3.0])


def run(name: str, args: tuple[Any, ...], weight: Any, dloss: float = 1.0) -> tuple[Any, list[np.ndarray]]:
    loss, cache = getattr(F, f"{name}_forward")(*args, weight)
    return loss, as_list(getattr(F, f"{name}_backward")(dloss, cache))


@pytest.mark.parametrize("name", LOSSES)
def test_no_rows_give_loss_zero(name: str) -> None:
    loss, gradients = run(name, LOSSES[name](slice(0, 0)), None)
    assert loss == 0
    assert all(g.size == 0 for g in gradients)


@pytest.mark.parametrize("dtype", [np.bool_, np.int64, np.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_the_type_of_the_weights_does_not_change_that_of_the_loss(name: str, dtype: type) -> None:
    weight = frozen(WEIGHT > 0).astype(dtype)
    args = [a.astype(np.float32) if a.dtype == np.float64 else a for a in LOSSES[name](ALL)]
    loss, gradients = run(name, tuple(args), weight, np.float32(1))
    assert loss.dtype == np.float32
    assert all(g.dtype == np.float32 for g in gradients)
    assert loss == pytest.approx(run(name, LOSSES[name](ALL), (WEIGHT > 0).astype(np.float64))[0], rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_a_numpy_scalar(name: str) -> None:
    for weight in (None, WEIGHT, np.zeros(N)):
        loss, _ = run(name, LOSSES[name](ALL), weight)
        assert isinstance(loss, np.float64)


NAN, INF = np.nan, np.inf
LEFT_OUT = {
    "squared_error": lambda bad: (np.array([1.0, bad, 3.0]), np.array([2.0, 5.0, 1.0])),
    "binary_cross_entropy": lambda bad: (np.array([1.0, bad, 3.0]), np.array([1.0, 0.0, 0.0])),
    "bpr": lambda bad: (np.array([1.0, bad, 3.0]), np.array([2.0, 5.0, 1.0])),
    "cross_entropy": lambda bad: (np.array([[1.0, 2.0], [bad, bad], [0.0, 3.0]]), np.array([0, 1, 0])),
}


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_has_weight_0_cannot_leak_whatever_it_is(name, bad):
    forward, backward = getattr(F, f"{name}_forward"), getattr(F, f"{name}_backward")
    weight = np.array([0.5, 0.0, 2.0])
    first, second = LEFT_OUT[name](bad)
    second[1] = -1 if name == "cross_entropy" else bad  # no warning either, as from inf − inf
    loss, cache = forward(first, second, weight)
    expected, expected_cache = forward(*LEFT_OUT[name](7.0), weight)
    assert loss == expected
    gradients, wanted = backward(1.0, cache), backward(1.0, expected_cache)
    for gradient, want in zip(np.atleast_2d(gradients), np.atleast_2d(wanted), strict=True):
        assert np.array_equal(gradient, want)


@pytest.mark.parametrize("name", LEFT_OUT)
@pytest.mark.parametrize("weight", [[1.0, -1.0, 1.0], [1.0, NAN, 1.0]])
def test_negative_weights_are_refused(name, weight):
    with pytest.raises(ValueError, match="weights must not be negative or NaN"):
        getattr(F, f"{name}_forward")(*LEFT_OUT[name](7.0), np.array(weight))


@pytest.mark.parametrize("name", LEFT_OUT)
def test_an_upstream_in_double_precision_leaves_the_gradient_in_single(name):
    arrays = [a.astype(np.float32) if a.dtype == np.float64 else a for a in LEFT_OUT[name](7.0)]
    _, cache = getattr(F, f"{name}_forward")(*arrays)
    gradients = getattr(F, f"{name}_backward")(np.float64(0.5), cache)
    for gradient in gradients if isinstance(gradients, tuple) else (gradients,):
        assert gradient.dtype == np.float32


@pytest.mark.parametrize("weight", [None, np.array([0.5, 1.5])])
def test_whole_numbers_are_computed_in_double_precision(weight):
    whole, half = np.array([3, 4]), np.array([0.5, 0.25])
    cases = {
        "squared_error": (whole, half),
        "binary_cross_entropy": (whole, half),
        "bpr": (whole, np.array([1, 6])),
        "cross_entropy": (np.array([[3, 4], [1, 0]]), np.array([0, 1])),
    }
    for name, (first, second) in cases.items():
        forward, backward = getattr(F, f"{name}_forward"), getattr(F, f"{name}_backward")
        (loss, cache), (expected, wanted) = (
            forward(first, second, weight),
            forward(first.astype(float), second if name == "cross_entropy" else second.astype(float), weight),
        )
        assert loss == expected, name
        assert loss > 0, name
        assert np.array_equal(backward(1.0, cache), backward(1.0, wanted)), name


@pytest.mark.parametrize("size", [1e-50, 1e39, 1e308])
@pytest.mark.parametrize("name", LEFT_OUT)
def test_equal_weights_of_any_size_give_the_mean(name, size):
    arrays = [a.astype(np.float32) if a.dtype == np.float64 else a for a in LEFT_OUT[name](7.0)]
    loss, _ = getattr(F, f"{name}_forward")(*arrays, np.full(3, size))
    assert loss == pytest.approx(getattr(F, f"{name}_forward")(*arrays)[0], rel=1e-6)
    with pytest.raises(ValueError, match="infinite"):
        getattr(F, f"{name}_forward")(*arrays, np.array([np.inf, 1.0, 1.0]))


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_of_one_row_counts_for_every_row(name: str) -> None:
    """A weight that is broadcast counts as often as it is used: the mean stays a mean."""
    twice = [np.stack([a, a]) for a in LOSSES[name](ALL)]
    loss, gradients = run(name, tuple(twice), WEIGHT)
    wanted, rows = run(name, tuple(twice), np.stack([WEIGHT, WEIGHT]))
    assert loss == wanted
    for gradient, row in zip(gradients, rows, strict=True):
        assert np.array_equal(gradient, row)


@pytest.mark.parametrize("kind", [np.int8, np.int64])
@pytest.mark.parametrize("weight", [None, np.array([0.25, 0.75, 0.5])])
def test_whole_numbers_of_any_size_are_computed_in_float64(kind: type, weight: np.ndarray | None) -> None:
    x, y = np.array([3, -2, 1], dtype=kind), np.array([0.1, 0.7, 0.3])
    for name in ("squared_error", "binary_cross_entropy", "bpr"):
        loss, _ = run(name, (x, y.astype(kind) if name == "bpr" else y), weight)
        wanted, _ = run(name, (x.astype(float), y.astype(kind).astype(float) if name == "bpr" else y), weight)
        assert loss.dtype == np.float64
        assert loss == pytest.approx(wanted, rel=1e-14, abs=0)


def test_the_message_gives_the_shapes_in_the_order_of_the_names() -> None:
    with pytest.raises(ValueError, match=r"targets must have equal shapes, got \(3,\) and \(2,\)"):
        F.cross_entropy_forward(np.zeros((3, 5)), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"users and items must have equal shapes, got \(3,\) and \(2,\)"):
        F.factorization_forward(
            np.zeros((3, 2)), np.zeros((5, 2)), np.zeros(3), np.zeros(5), 0.0,
            np.array([0, 1, 2]), np.array([0, 1]),
        )  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_no_rows_with_their_weights_give_loss_zero(name: str) -> None:
    loss, gradients = run(name, LOSSES[name](slice(0, 0)), np.zeros(0))
    assert loss == 0
    assert all(g.size == 0 for g in gradients)


def test_a_single_class_is_certain() -> None:
    loss, (dlogits,) = run("cross_entropy", (draw(N, 1), np.zeros(N, dtype=np.int64)), WEIGHT)
    assert loss == 0
    assert not dlogits.any()
