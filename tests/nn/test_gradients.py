"""Every module of minirec.nn against its derivative and its precision, all inputs and parameters at once.

And what holds for each of them because it keeps nothing: calls do not disturb one another.
"""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradient_table
import numpy as np
import pytest
import strategies

from minirec import nn
from minirec.verify.pair import dense, is_floating

ROWS = gradient_table.MODULES


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_backward_is_the_derivative_of_forward(row: gradient_table.Row) -> None:
    report = row.gradient()
    assert report.ok, str(report)
    assert report.error <= 1e-8


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_float32_stays_float32_both_ways(row: gradient_table.Row) -> None:
    assert row.dtype is not None
    report = row.dtype()
    assert report.ok, str(report)


def test_every_module_has_a_row() -> None:
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type) and name != "Module"}
    modules = {name for name in classes if issubclass(getattr(nn, name), nn.Module)}
    assert modules == {row.name for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_gradients_have_the_names_and_the_order_of_the_parameters(row: gradient_table.Row) -> None:
    module, inputs, options = arguments(row)
    y, cache = module.forward(*inputs, **options)
    _, grads = module.backward(upstream(y), cache)
    assert list(grads) == list(module.params())
    assert all(grads[name].shape == array.shape for name, array in module.params().items())


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_two_forwards_then_two_backwards_in_either_order(row: gradient_table.Row) -> None:
    module, inputs, options = arguments(row)
    first, second = inputs, other_values(inputs)

    def forward(values: tuple[Any, ...]) -> tuple[Any, Any]:
        return module.forward(*values, **copy.deepcopy(options))

    def alone(values: tuple[Any, ...]) -> list[np.ndarray]:
        y, cache = forward(values)
        return flat(module.backward(upstream(y), cache))

    expected_first, expected_second = alone(first), alone(second)
    for backwards in ((0, 1), (1, 0)):
        calls = [forward(first), forward(second)]
        found = {i: flat(module.backward(upstream(calls[i][0]), calls[i][1])) for i in backwards}
        assert all(map(np.array_equal, found[0], expected_first))
        assert all(map(np.array_equal, found[1], expected_second))


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_one_module_in_two_threads(row: gradient_table.Row) -> None:
    module, inputs, options = arguments(row)
    both, meet = [inputs, other_values(inputs)], threading.Barrier(2)

    def call(i: int, together: bool) -> list[np.ndarray]:
        y, cache = module.forward(*both[i], **copy.deepcopy(options))
        if together:
            meet.wait(10)  # so that both caches exist before either backward pass begins
        return [y, *flat(module.backward(upstream(y), cache))]

    expected = [call(i, together=False) for i in range(2)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda i: call(i, together=True), range(2)))
    for i in range(2):
        assert all(map(np.array_equal, found[i], expected[i]))


def arguments(row: gradient_table.Row) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """(module, inputs, options) of a row, all arrays read-only: whoever writes into one raises ValueError."""
    assert row.args is not None
    module, inputs, options = row.args()
    frozen = {name: strategies.frozen(array) for name, array in module.params().items()}
    frozen_inputs = (strategies.frozen(x) if isinstance(x, np.ndarray) else x for x in inputs)
    return module.with_params(frozen), tuple(frozen_inputs), options


def other_values(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Inputs of the same shapes with other numbers; ids and masks stay."""
    return tuple(x[..., ::-1] * 0.7 if is_floating(x) else x for x in inputs)


def upstream(y: np.ndarray) -> np.ndarray:
    return np.random.default_rng(y.size).standard_normal(y.shape)


def flat(result: tuple[Any, dict[str, np.ndarray]]) -> list[np.ndarray]:
    """The gradients of the inputs, then those of the parameters."""
    dinputs, grads = result
    inputs = dinputs if isinstance(dinputs, tuple) else (dinputs,)
    return [dense(d) for d in (*inputs, *grads.values()) if d is not None]
