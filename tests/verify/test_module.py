"""check_module: layers and blocks pass with their known zeros declared, and wrong modules are noticed."""

from typing import Any

import numpy as np
import pytest

from minirec import functional as F
from minirec import nn
from minirec.functional import Array
from minirec.nn.module import Grads, Module
from minirec.verify import as_pair, check_dtype, check_module


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape)


def moved(module: Any) -> Any:
    """The module at random parameters: initial zeros and ones hide mistakes."""
    rng = np.random.default_rng(5)
    return module.with_params({k: v + 0.3 * rng.standard_normal(v.shape) for k, v in module.params().items()})


class Honest(Module):
    """y = tanh(x W) with W used twice: y = tanh(tanh(x W) W)."""

    def __init__(self) -> None:
        self.W = normal(3, 3)

    def forward(self, x: Array) -> tuple[Array, Any]:  # type: ignore[override]
        a = np.tanh(x @ self.W)
        b = np.tanh(a @ self.W)
        return b, (x, a, b)

    def backward(self, dy: Array, cache: Any) -> tuple[Any, Grads]:
        x, a, b = cache
        db = dy * (1 - b * b)
        da = (db @ self.W.T) * (1 - a * a)
        return da @ self.W.T, {"W": a.T @ db + x.T @ da}


class ForgetsTheFirstUse(Honest):
    def backward(self, dy: Array, cache: Any) -> tuple[Any, Grads]:
        dx, _ = super().backward(dy, cache)
        return dx, {"W": cache[1].T @ (dy * (1 - cache[2] * cache[2]))}


class ForgetsTheGradient(Honest):
    def backward(self, dy: Array, cache: Any) -> tuple[Any, Grads]:
        return super().backward(dy, cache)[0], {}


class InventsAGradient(Honest):
    def backward(self, dy: Array, cache: Any) -> tuple[Any, Grads]:
        dx, grads = super().backward(dy, cache)
        return dx, grads | {"b": dy.sum(axis=0)}


class ForgetsTheInput(Honest):
    def backward(self, dy: Array, cache: Any) -> tuple[Any, Grads]:
        return None, super().backward(dy, cache)[1]


class KeepsItsCache(Honest):
    def forward(self, x: Array) -> tuple[Array, Any]:  # type: ignore[override]
        y, self._cache = super().forward(x)
        return y, None

    def backward(self, dy: Array, cache: Any) -> tuple[Any, Grads]:
        return super().backward(dy, self._cache)


class MovesItsParameter(Honest):
    def backward(self, dy: Array, cache: Any) -> tuple[Any, Grads]:
        dx, grads = super().backward(dy, cache)
        self.W -= 1e-3 * grads["W"]
        return dx, grads


class RowGradient:
    """A gradient stored by rows, as an optimizer may take it."""

    def __init__(self, gradient: Array) -> None:
        self.gradient = gradient

    def dense(self) -> Array:
        return self.gradient


class ByRows(nn.Embedding):
    def backward(self, dy: Array, cache: Any) -> tuple[None, Any]:  # type: ignore[override]
        return None, {"E": RowGradient(super().backward(dy, cache)[1]["E"])}


@pytest.mark.parametrize("jacobian", [True, False])
def test_an_honest_module_passes(jacobian: bool) -> None:
    report = check_module(Honest(), normal(5, 3), jacobian=jacobian)
    assert report.ok, str(report)
    assert report.error <= 1e-10
    assert str(report).startswith("gradient of Honest: ok")


@pytest.mark.parametrize(
    ("wrong", "row", "words"),
    [
        (ForgetsTheFirstUse, "full Jacobian", "∂W"),
        (ForgetsTheGradient, "names as in params()", "no gradient for W"),
        (InventsAGradient, "names as in params()", "unknown b"),
        (ForgetsTheInput, "one gradient per input", "0 gradients for 1 inputs"),
        (KeepsItsCache, "no trace in the module", "backward differs after another forward"),
        (MovesItsParameter, "no trace in the module", "a call changes W of the module"),
    ],
)
def test_a_wrong_module_is_noticed(wrong: type[Honest], row: str, words: str) -> None:
    report = check_module(wrong(), normal(5, 3))
    assert row in [failure.name for failure in report.failures], str(report)
    assert words in str(report)


def test_an_embedding_takes_ids_and_may_give_its_gradient_by_rows() -> None:
    ids = np.array([[4, 0, 4], [2, 4, 0]])
    assert check_module(nn.Embedding(np.random.default_rng(0), 5, 3), ids).ok
    assert check_module(ByRows(np.random.default_rng(0), 5, 3), ids).ok


def test_known_zeros_are_declared_by_name_with_wildcards() -> None:
    block = moved(nn.EncoderBlock(np.random.default_rng(0), 6, 2, 5))
    x = normal(3, 6)
    silent = check_module(block, x)
    assert [row.name for row in silent.failures] == ["every argument matters"]
    assert "no gradient for attention.b_k" in str(silent)
    report = check_module(block, x, zero=["*.b_k"])
    assert report.ok, str(report)
    assert report.zero == ("attention.b_k",)
    wrong = check_module(block, x, zero=["*.b_?"])
    assert [row.name for row in wrong.failures] == ["declared zeros are zero"]


def test_a_declared_zero_that_fits_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"zero names '\*\.b_k', which fits nothing: there are x, W"):
        check_module(Honest(), normal(5, 3), zero=["*.b_k"])


def test_several_inputs_a_mask_and_dropout() -> None:
    block = moved(nn.DecoderBlock(np.random.default_rng(0), 6, 2, 5, dropout=0.3))
    mask = np.array([[True, True, False], [True, False, False], [False, True, True]])
    rng = np.random.default_rng(8)
    state = rng.bit_generator.state
    report = check_module(
        block, normal(3, 6), normal(2, 6), mask, zero=["*.b_k"], options={"rng": rng}, jacobian=False
    )
    assert report.ok, str(report)
    assert rng.bit_generator.state == state  # every call had a copy
    names = as_pair(block, normal(3, 6), normal(2, 6), mask).names
    assert names[:3] == ["x", "memory", "self_mask"]


def test_a_float32_module_is_checked_in_float64_and_stays_as_it_is() -> None:
    module = nn.Linear(np.random.default_rng(0), 3, 5).astype(np.float32)
    kept = {name: array.copy() for name, array in module.params().items()}
    report = check_module(module, normal(2, 3).astype(np.float32))
    assert report.ok, str(report)
    assert all(np.array_equal(array, kept[name]) for name, array in module.params().items())
    assert all(array.dtype == np.float32 for array in module.params().values())


def test_an_input_with_the_name_of_a_parameter_is_told_apart() -> None:
    class Confusing(Honest):
        def forward(self, W: Array) -> tuple[Array, Any]:
            return super().forward(W)

    assert as_pair(Confusing(), normal(5, 3)).names == ["input W", "W"]
    assert check_module(Confusing(), normal(5, 3)).ok


def test_the_pair_of_a_module_can_be_checked_for_its_precision() -> None:
    pair = as_pair(moved(nn.EncoderBlock(np.random.default_rng(0), 6, 2, 5)), normal(3, 6))
    report = check_dtype(pair.forward, pair.backward, *pair.args, wrt=pair.wrt, names=pair.names)
    assert report.ok, str(report)


def test_cost_does_not_grow_with_the_number_of_entries_without_the_jacobian() -> None:
    calls = 0

    class Counting(Honest):
        def forward(self, x: Array) -> tuple[Array, Any]:  # type: ignore[override]
            nonlocal calls
            calls += 1
            return super().forward(x)

    counts = []
    for rows in (2, 101):
        calls = 0
        assert check_module(Counting(), normal(rows, 3), jacobian=False).ok
        counts.append(calls)
    assert counts[1] <= 2 * counts[0]  # not equal: a line may meet a bend


def test_a_loss_on_top_is_a_module_like_any_other() -> None:
    class WithLoss(Honest):
        def forward(self, x: Array, targets: Array) -> tuple[Any, Any]:  # type: ignore[override]
            y, cache = super().forward(x)
            loss, of_loss = F.cross_entropy_forward(y, targets)
            return loss, (cache, of_loss)

        def backward(self, dy: Any, cache: Any) -> tuple[Any, Grads]:
            return super().backward(F.cross_entropy_backward(dy, cache[1]), cache[0])

    report = check_module(WithLoss(), normal(5, 3), np.array([0, 2, 2, 1, 0]))
    assert report.ok, str(report)


class Two(Module):
    """Two layers with one W: an array in two children is named once, by the first of them."""

    def __init__(self, tied: bool = True) -> None:
        self.first = nn.Linear(np.random.default_rng(0), 3, 3)
        self.second = nn.Linear(np.random.default_rng(1), 3, 3)
        self.second.W = self.first.W if tied else self.second.W

    def forward(self, x: Array) -> tuple[Array, Any]:  # type: ignore[override]
        a, of_first = self.first.forward(x)
        y, of_second = self.second.forward(np.tanh(a))
        return y, (a, of_first, of_second)

    def grads(self, dy: Array, cache: Any) -> tuple[Any, Grads, Grads]:
        a, of_first, of_second = cache
        da, second = self.second.backward(dy, of_second)
        dx, first = self.first.backward(da * (1 - np.tanh(a) ** 2), of_first)
        return dx, first, second

    def backward(self, dy: Array, cache: Any) -> tuple[Any, Grads]:
        dx, first, second = self.grads(dy, cache)
        return dx, {
            "first.W": first["W"] + second["W"], "first.b": first["b"], "second.b": second["b"]
        }  # fmt: skip


class TwoWithOneUse(Two):
    def backward(self, dy: Array, cache: Any) -> tuple[Any, Grads]:
        _, first, _ = self.grads(dy, cache)
        return *super().backward(dy, cache)[:1], super().backward(dy, cache)[1] | {"first.W": first["W"]}


@pytest.mark.parametrize("jacobian", [True, False])
def test_an_array_in_two_children_is_one_parameter_with_the_gradient_of_both_uses(jacobian: bool) -> None:
    assert list(Two().params()) == ["first.W", "first.b", "second.b"]
    report = check_module(moved(Two()), normal(5, 3), jacobian=jacobian)
    assert report.ok, str(report)
    wrong = check_module(moved(TwoWithOneUse()), normal(5, 3), jacobian=jacobian)
    assert not wrong.ok
    assert wrong.worst is not None
    assert wrong.worst.argument == "first.W"


def test_a_block_at_full_width() -> None:
    block = moved(nn.EncoderBlock(np.random.default_rng(0), 64, 8, 256))
    report = check_module(block, normal(2, 11, 64), zero=["*.b_k"], jacobian=False, directions=1)
    assert report.ok, str(report)
    assert report.error <= 1e-12

    class Off(nn.EncoderBlock):  # type: ignore[misc]
        def backward(self, dy: Array, cache: Any) -> tuple[Any, Grads]:
            dx, grads = super().backward(dy, cache)
            return dx, grads | {"norm2.gamma": grads["norm2.gamma"] * (1 + 1e-7)}

    block.__class__ = Off
    wrong = check_module(block, normal(2, 11, 64), zero=["*.b_k"], jacobian=False, directions=1)
    assert "adjoint" in [row.name for row in wrong.failures]
    assert wrong.worst is not None
    assert wrong.worst.argument == "norm2.gamma"
