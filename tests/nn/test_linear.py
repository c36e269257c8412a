"""Linear: its entry in the formula sheet, its parameters, and where they start."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import degenerate, normal, seeds

from minirec import nn
from minirec.nn.linear import glorot_uniform
from minirec.verify.formula import Built


@given(seeds, st.one_of(normal(2, 3, 5), degenerate(2, 3, 5), normal(5)))
def test_holds_what_the_sheet_says(seed: int, x: np.ndarray) -> None:
    holds("Linear", Built({"d_in": 5, "d_out": 7}, (x,)), seed=seed)


def test_parameters() -> None:
    layer = nn.Linear(np.random.default_rng(0), 5, 7)
    assert {name: array.shape for name, array in layer.params().items()} == {"W": (5, 7), "b": (7,)}
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
