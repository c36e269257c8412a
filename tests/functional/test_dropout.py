"""Dropout: the formula sheet at drawn arguments, which entries are drawn, and faults."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import degenerate, frozen, normal, seeds

from minirec import functional as F


@given(st.one_of(normal(5, 7), degenerate(2, 3, 5)), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]), seeds)
def test_the_sheet_holds(x: np.ndarray, rate: float, seed: int) -> None:
    holds("dropout", x, rate, np.random.default_rng(seed), seed=seed)
    holds("dropout", x, rate, None, seed=seed)


def test_a_second_call_with_one_generator_draws_anew() -> None:
    x, rng = frozen(np.ones((31, 37))), np.random.default_rng(3)
    first, second = F.dropout_forward(x, 0.5, rng)[0], F.dropout_forward(x, 0.5, rng)[0]
    assert not np.array_equal(first, second)


def test_nothing_is_drawn_where_nothing_is_dropped() -> None:
    rng = np.random.default_rng(3)
    F.dropout_forward(frozen(np.ones(5)), 0.0, rng)
    assert rng.random() == np.random.default_rng(3).random()


def test_a_number_is_kept_from_the_rate_on() -> None:
    class Fixed(np.random.Generator):
        def random(self, *args: Any, **options: Any) -> Any:
            return np.array([0.0, 0.25, 0.5, 0.75], dtype=np.float32)

    y, _ = F.dropout_forward(frozen(np.ones(4)), 0.5, Fixed(np.random.PCG64(0)))
    assert y.tolist() == [0.0, 0.0, 2.0, 2.0]  # u is uniform on [0, 1): P(u ≥ ½) is ½


def test_float32_draws_the_entries_of_float64() -> None:
    x = np.ones((31, 37))
    wide, _ = F.dropout_forward(x, 0.3, np.random.default_rng(0))
    narrow, _ = F.dropout_forward(x.astype(np.float32), 0.3, np.random.default_rng(0))
    assert np.array_equal(wide == 0, narrow == 0)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, math.nan, math.inf])
@pytest.mark.parametrize("rng", [None, np.random.default_rng(0)])
def test_faults(rate: float, rng: np.random.Generator | None) -> None:
    with pytest.raises(ValueError, match=r"dropout rate must be in \[0, 1\), got"):
        F.dropout_forward(np.ones(3), rate, rng)


def test_each_number_has_its_own_chance() -> None:
    y, _ = F.dropout_forward(np.ones((200, 7, 5)), 0.5, np.random.default_rng(0))
    assert len(np.unique(y.reshape(200, 35), axis=0)) == 200  # no two rows share a mask
    assert len(np.unique(y.reshape(1400, 5).T, axis=0)) == 5  # no two columns do
