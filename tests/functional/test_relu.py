"""ReLU: against its definition entry by entry, and the convention at the kink."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import degenerate, frozen, normal

from minirec import functional as F


@given(st.one_of(normal(3, 5), degenerate(3, 5)), normal(3, 5))
def test_equals_the_definition(x: np.ndarray, dy: np.ndarray) -> None:
    y, cache = F.relu_forward(x)
    dx = F.relu_backward(dy, cache)
    for place in np.ndindex(3, 5):
        assert y[place] == max(float(x[place]), 0.0)
        assert dx[place] == (dy[place] if x[place] > 0 else 0.0)


@given(degenerate(3, 5))
def test_positive_and_negative_part_make_the_whole(x: np.ndarray) -> None:
    assert np.array_equal(F.relu_forward(x)[0] - F.relu_forward(-x)[0], x)
    once = F.relu_forward(x)[0]
    assert np.array_equal(F.relu_forward(once)[0], once)


def test_at_the_kink_the_derivative_is_zero() -> None:
    x = frozen([0.0, -0.0, 5e-324, -5e-324])
    y, cache = F.relu_forward(x)
    assert y.tolist() == [0.0, 0.0, 5e-324, 0.0]
    assert F.relu_backward(frozen([1.0, 1.0, 1.0, 1.0]), cache).tolist() == [0.0, 0.0, 1.0, 0.0]


def test_nan_is_not_hidden() -> None:
    assert np.isnan(F.relu_forward(frozen([np.nan, 1.0]))[0]).tolist() == [True, False]
