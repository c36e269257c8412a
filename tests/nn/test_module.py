"""Module: names, live arrays, ties, copies with other arrays, and what it refuses."""

from typing import Any

import numpy as np
import pytest

from minirec import nn
from minirec.functional import Array
from minirec.nn.module import Grads, Module, prefixed


class Tied(Module):
    """y = x E Eᵀ, with E held by two children: the second use is tied to the first."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.reads = nn.Embedding(rng, 5, 3)
        self.list_of = [nn.LayerNorm(3), nn.LayerNorm(3)]
        self.writes = nn.Embedding(rng, 5, 3)
        self.writes.E = self.reads.E
        self.bias = np.arange(5.0)
        self._constant = np.ones(7)
        self.rate = 0.3

    def forward(self, ids: Array) -> tuple[Array, Any]:  # type: ignore[override]
        x, cache = self.reads.forward(ids)
        return x @ self.writes.E.T + self.bias, (x, cache)

    def backward(self, dy: Array, cache: Any) -> tuple[Any, Grads]:
        raise NotImplementedError


NAMES = ["reads.E", "list_of.0.gamma", "list_of.0.beta", "list_of.1.gamma", "list_of.1.beta", "bias"]


def test_names_are_dotted_in_the_order_of_the_constructor_and_a_tied_array_appears_once() -> None:
    module = Tied()
    assert list(module.params()) == NAMES
    assert module.parameter_count() == 5 * 3 + 4 * 3 + 5


def test_params_are_the_live_arrays() -> None:
    module = Tied()
    module.params()["reads.E"][2] = 7.0
    assert np.array_equal(module.writes.E[2], np.full(3, 7.0))
    assert module.params()["bias"] is module.bias


def test_with_params_is_a_copy_that_keeps_ties_and_leaves_the_original_alone() -> None:
    module = Tied()
    before = {name: array.copy() for name, array in module.params().items()}
    given = {name: array + 1.0 for name, array in module.params().items()}
    other = module.with_params(given)
    assert type(other) is Tied
    assert all(other.params()[name] is given[name] for name in NAMES)
    assert other.writes.E is other.reads.E
    assert other.list_of[0] is not module.list_of[0]
    given["reads.E"][...] = 0.0
    other.bias[...] = 0.0
    other._constant[...] = 0.0
    assert all(np.array_equal(module.params()[name], before[name]) for name in NAMES)
    assert module._constant.all()
    ids = np.array([1, 4])
    assert np.array_equal(other.forward(ids)[0], np.zeros((2, 5)))
    assert module.forward(ids)[0].all()


def test_with_params_takes_another_precision_and_complex_numbers() -> None:
    for dtype in (np.float32, np.complex128):
        other = Tied().astype(dtype)
        assert {array.dtype for array in other.params().values()} == {np.dtype(dtype)}
        assert other.writes.E is other.reads.E
        assert other.forward(np.array([1]))[0].dtype == dtype


def test_one_array_for_two_parameters_ties_them_no_further() -> None:
    module = Tied()
    same = np.full(3, 2.0)
    other = module.with_params(module.params() | {"list_of.0.gamma": same, "list_of.1.gamma": same})
    assert "list_of.1.gamma" not in other.params()  # tied from now on, and so it appears once
    assert list(module.params()) == NAMES


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"bias": None}, KeyError, "bias stands on one side only"),
        ({"writes.E": np.zeros((5, 3))}, KeyError, "writes.E stands on one side only"),
        ({"bias": np.zeros(7)}, ValueError, r"bias has shape \(7,\), expected \(5,\)"),
        ({"reads.E": np.zeros((3, 5))}, ValueError, r"reads.E has shape \(3, 5\), expected \(5, 3\)"),
    ],
)
def test_arrays_that_do_not_fit(
    change: dict[str, np.ndarray | None], error: type[Exception], words: str
) -> None:
    module = Tied()
    given = {name: array for name, array in (module.params() | change).items() if array is not None}
    with pytest.raises(error, match=words):
        module.with_params(given)


def test_only_a_subclass_can_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Module()  # type: ignore[abstract]


def test_prefixed() -> None:
    grads = {"W": np.zeros(2), "b": np.ones(3)}
    assert list(prefixed("child", grads)) == ["child.W", "child.b"]
    assert prefixed("child", grads)["child.b"] is grads["b"]


def test_a_private_attribute_hides_nothing_that_follows() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.W, self._hidden, self.b = np.ones(2), np.ones(3), np.ones(5)

        def forward(self, x: np.ndarray) -> tuple[np.ndarray, None]:  # type: ignore[override]
            return x, None

        def backward(self, dy: np.ndarray, cache: None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            return dy, {}

    assert list(Two().params()) == ["W", "b"]
