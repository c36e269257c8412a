"""Dropout as a module: its entry in the formula sheet, how much it drops, and rates that are none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import normal, seeds

from minirec import nn
from minirec.verify.formula import Built

X = np.random.default_rng(3).standard_normal((101, 103))


@given(normal(5, 7), st.sampled_from([0.0, 0.1, 0.5, 0.9]), seeds)
def test_holds_what_the_sheet_says(x: np.ndarray, rate: float, seed: int) -> None:
    holds("Dropout", Built({"rate": rate}, (x,)))
    holds("Dropout", Built({"rate": rate}, (x,), {"rng": np.random.default_rng(seed)}))


def test_the_generator_decides_what_is_dropped() -> None:
    layer = nn.Dropout(0.3)
    y, cache = layer.forward(X, rng=np.random.default_rng(5))
    other, _ = layer.forward(X, rng=np.random.default_rng(6))
    assert not np.array_equal(y, other)
    dx, _ = layer.backward(np.ones_like(X), cache)
    # 10,403 draws: the share of what is left strays by less than 0.005, the mean of dx by 0.007.
    assert (y != 0).mean() == pytest.approx(0.7, abs=0.02)
    assert dx.mean() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_a_rate_that_is_none(rate: float) -> None:
    with pytest.raises(ValueError, match=r"dropout rate must be in \[0, 1\)"):
        nn.Dropout(rate)
