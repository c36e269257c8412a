"""check_model: whole models, every parameter by name, through the loss that training uses."""

import copy
from typing import Any

import network_table as table
import numpy as np
import pytest

from minirec.verify import check_model


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape)


class Model:
    """loss = mean over the batch of |tanh(x U) W + b − t|²: the smallest thing that is a model."""

    def __init__(self) -> None:
        self.U, self.W, self.b = normal(3, 5), normal(5, 2), normal(2)

    def params(self) -> dict[str, Any]:
        return {"U": self.U, "W": self.W, "b": self.b}

    def with_params(self, params: Any) -> Any:
        other = copy.copy(self)
        vars(other).update(params)
        return other

    def scale(self, x: Any, rng: Any) -> Any:
        return 1.0 if rng is None else (rng.random((len(x), 5)) < 0.7) / 0.7

    def loss_and_grads(self, batch: Any, upstream: Any, rng: Any) -> tuple[Any, dict[str, Any]]:
        x, target = batch
        scale = self.scale(x, rng)
        a = np.tanh(x @ self.U)
        e = (a * scale) @ self.W + self.b - target
        de = 2 * upstream * e / len(x)
        dz = (de @ self.W.T) * scale * (1 - a * a)
        return (e * e).sum() / len(x), {"U": x.T @ dz, "W": (a * scale).T @ de, "b": de.sum(axis=0)}


BATCH = (normal(7, 3), normal(7, 2))


class Wrong(Model):
    """A model whose gradients go through `change`."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.change = change

    def loss_and_grads(self, batch: Any, upstream: Any, rng: Any) -> tuple[Any, dict[str, Any]]:
        loss, grads = super().loss_and_grads(batch, upstream, rng)
        return loss, self.change(self, batch, grads)


class WithForward(Model):
    def __init__(self, add: float) -> None:
        super().__init__()
        self.add = add

    def loss_forward(self, batch: Any, rng: Any) -> tuple[Any, Any]:
        return self.loss_and_grads(batch, 1.0, rng)[0] + self.add, None


class Tied(Model):
    """U serves both layers: tanh(x U) Uᵀ. Each array appears once in params(), and its gradient is a sum."""

    uses = 2

    def __init__(self) -> None:
        self.U = normal(3, 5)

    def params(self) -> dict[str, Any]:
        return {"U": self.U}

    def loss_and_grads(self, batch: Any, upstream: Any, rng: Any) -> tuple[Any, dict[str, Any]]:
        x = batch[0]
        a = np.tanh(x @ self.U)
        y = a @ self.U.T
        dy = 2 * upstream * y / len(x)
        first = x.T @ ((dy @ self.U) * (1 - a * a))
        return (y * y).sum() / len(x), {"U": first + dy.T @ a if self.uses == 2 else first}


class OneUse(Tied):
    uses = 1


class TwoNames(Tied):
    def params(self) -> dict[str, Any]:
        return {"U": self.U, "V": self.U}

    def loss_and_grads(self, batch: Any, upstream: Any, rng: Any) -> tuple[Any, dict[str, Any]]:
        loss, grads = super().loss_and_grads(batch, upstream, rng)
        return loss, grads | {"V": grads["U"]}


def negated(array: np.ndarray) -> bool:
    np.negative(array, out=array)
    return True


@pytest.mark.parametrize("jacobian", [True, False])
def test_an_honest_model_passes(jacobian: bool) -> None:
    report = check_model(Model(), BATCH, jacobian=jacobian)
    assert report.ok, str(report)
    assert report.title == "gradient of Model"
    assert report.error <= 1e-11


@pytest.mark.parametrize("jacobian", [True, False])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda self, batch, g: g | {"W": g["W"] * (1 + 1e-8)}, "W"),
        (lambda self, batch, g: g | {"b": g["b"] * 0}, "b"),
        (lambda self, batch, g: {"U": g["U"], "W": g["W"]}, "no gradient for b"),
        (lambda self, batch, g: g | {"c": g["b"]}, "unknown c"),
        (lambda self, batch, g: negated(batch[0]) and g, "a call changes 0 of the batch"),
        (lambda self, batch, g: negated(self.b) and g, "a call changes b of the model"),
    ],
    ids=["W off", "b zero", "b missing", "c unknown", "batch written", "b written"],
)  # fmt: skip
def test_a_wrong_model_is_noticed_by_name(change: Any, words: str, jacobian: bool) -> None:
    report = check_model(Wrong(change), BATCH, jacobian=jacobian)
    assert not report.ok
    assert words in str(report)
    if words == "W":
        assert report.worst is not None
        assert report.worst.argument in ("W", "all arguments")


def test_the_model_and_the_batch_stay_as_they_are_and_the_check_is_in_float64() -> None:
    model = Model()
    model.U, model.W, model.b = (a.astype(np.float32) for a in (model.U, model.W, model.b))
    batch = tuple(part.astype(np.float32) for part in BATCH)
    kept = {name: array.copy() for name, array in model.params().items()}
    given = [part.copy() for part in batch]
    report = check_model(model, batch)
    assert report.ok, str(report)
    for name, array in model.params().items():
        assert array.dtype == np.float32
        assert np.array_equal(array, kept[name])
    assert all(np.array_equal(a, b) for a, b in zip(batch, given, strict=True))


def test_dropout_starts_anew_in_every_call() -> None:
    rng = np.random.default_rng(3)
    state = rng.bit_generator.state
    report = check_model(Model(), BATCH, dropout_rng=rng)
    assert report.ok, str(report)
    assert rng.bit_generator.state == state


def test_a_tied_parameter_needs_the_gradients_of_both_uses() -> None:
    assert check_model(Tied(), BATCH).ok
    report = check_model(OneUse(), BATCH, jacobian=True)
    assert "full Jacobian" in [row.name for row in report.failures]
    assert report.worst is not None
    assert report.worst.argument == "U"


def test_an_array_by_two_names_is_noticed() -> None:
    report = check_model(TwoNames(), BATCH)
    assert [row.name for row in report.failures] == ["names as in params()"]
    assert "one array by two names: U and V" in str(report)


def test_loss_forward_must_give_the_loss_of_loss_and_grads() -> None:
    assert check_model(WithForward(0.0), BATCH).ok
    report = check_model(WithForward(1.0), BATCH)
    assert [row.name for row in report.failures] == ["one loss"]


def test_zeros_are_declared_by_name() -> None:
    with pytest.raises(ValueError, match="zero names 'c', which fits nothing: there are U, W, b"):
        check_model(Model(), BATCH, zero=["c"])
    report = check_model(Model(), BATCH, zero=["b"])
    assert "declared zeros are zero" in [row.name for row in report.failures]


def test_a_model_without_the_methods_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"object has no method params\(\), which check_model calls"):
        check_model(object(), BATCH)


def test_cost_does_not_grow_with_the_number_of_entries() -> None:
    calls = 0

    class Counting(Model):
        def loss_and_grads(self, batch: Any, upstream: Any, rng: Any) -> tuple[Any, dict[str, Any]]:
            nonlocal calls
            calls += 1
            return super().loss_and_grads(batch, upstream, rng)

    counts = []
    for width in (2, 101):
        model, calls = Counting(), 0
        model.U, model.W = normal(3, width), normal(width, 2)
        model.scale = lambda x, rng: 1.0  # type: ignore[method-assign]
        assert check_model(model, BATCH).ok
        counts.append(calls)
    assert counts[1] <= 2 * counts[0]  # not equal: a line may meet a bend


# Two of the rows of `python tests/gradient_table.py --full`, which has them all.
@pytest.mark.parametrize("row", [table.FULL_WIDTH[0], table.FULL_WIDTH[-1]], ids=str)
def test_whole_models_at_full_width(row: Any) -> None:
    report = row.gradient()
    assert report.ok, str(report)
    assert report.error <= 1e-12


def test_one_wrong_parameter_of_a_model_at_full_width_is_noticed() -> None:
    model = table.factorizer("bpr", 100, 23, 211)
    rng = np.random.default_rng(7)
    batch = (rng.integers(0, 23, 101), rng.integers(0, 211, 101), rng.integers(0, 211, 101))
    right = type(model).loss_and_grads

    class Off(type(model)):  # type: ignore[misc]
        def loss_and_grads(self, *args: Any) -> tuple[Any, Any]:
            loss, grads = right(self, *args)
            return loss, grads | {"b_item": grads["b_item"] * (1 + 1e-6)}

    model.__class__ = Off
    report = check_model(model, batch, directions=1)
    assert "adjoint" in [row.name for row in report.failures]
    assert report.worst is not None
    assert report.worst.argument == "b_item"


@pytest.mark.parametrize(
    ("model", "batch"), [
        (table.recommender("softmax", "history", "pointwise"), table.batch_of("softmax", "history")),
        (table.factorizer("bpr", 2, 3, 7), (np.array([0, 2, 1]), np.array([4, 1, 4]), np.array([0, 2, 6]))),
    ],
    ids=["transformer", "factorization"],
)  # fmt: skip
def test_a_recommender_with_other_parameters_is_a_copy(model: Any, batch: Any) -> None:
    kept = {name: array.copy() for name, array in model.params().items()}
    other = model.with_params({name: 1.5 * array for name, array in kept.items()})
    assert all(np.array_equal(array, 1.5 * kept[name]) for name, array in other.params().items())
    assert all(np.array_equal(array, kept[name]) for name, array in model.params().items())
    assert other.loss_forward(batch)[0] != model.loss_forward(batch)[0]
    assert model.loss_forward(batch)[0] == model.loss_and_grads(batch, 0.25, None)[0]
