"""Linear: its parameters, where they start, and the function that it calls."""

import math

import numpy as np
import pytest
from hypothesis import given
from strategies import normal, seeds

from minirec import nn
from minirec.nn.linear import glorot_uniform


@given(seeds, normal(2, 3, 5), normal(7))
def test_equals_the_sum_of_products(seed: int, x: np.ndarray, b: np.ndarray) -> None:
    layer = nn.Linear(np.random.default_rng(seed), 5, 7)
    layer.b += b
    expected = np.empty((2, 3, 7))
    for place in np.ndindex(2, 3, 7):
        expected[place] = sum(x[place[:2]][i] * layer.W[i, place[2]] for i in range(5)) + b[place[2]]
    np.testing.assert_allclose(layer.forward(x)[0], expected, rtol=0, atol=1e-13, equal_nan=False)


def test_parameters() -> None:
    layer = nn.Linear(np.random.default_rng(0), 5, 7)
    assert {name: array.shape for name, array in layer.params().items()} == {"W": (5, 7), "b": (7,)}
    assert layer.parameter_count() == 5 * 7 + 7
    assert not layer.b.any()


def test_initial_weights_keep_the_variance() -> None:
    W = glorot_uniform(np.random.default_rng(0), 300, 200)
    limit = math.sqrt(6 / 500)
    assert np.abs(W).max() <= limit
    # 60,000 draws: the mean strays by limit / √180,000, the variance by a hundredth of itself at most.
    assert abs(W.mean()) < 0.01 * limit
    assert W.var() == pytest.approx(2 / 500, rel=0.02)


def test_the_same_generator_gives_the_same_weights() -> None:
    first, second, other = (nn.Linear(np.random.default_rng(s), 5, 7).W for s in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
