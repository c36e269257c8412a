"""BPR: against the definition, and that it sees nothing but the difference of two scores."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import frozen, normal, rows

from minirec import functional as F


@given(rows(3, 5), rows(3, 5), normal(3, 5))
def test_equals_the_definition(positive: np.ndarray, negative: np.ndarray, w: np.ndarray) -> None:
    for weight in (None, frozen(np.abs(w) + 0.1)):
        share = np.ones((3, 5)) / 15 if weight is None else weight / weight.sum()
        loss, cache = F.bpr_forward(positive, negative, weight)
        dpositive, dnegative = F.bpr_backward(2.0, cache)
        expected = 0.0
        for place in np.ndindex(3, 5):
            d = positive[place] - negative[place]
            expected += share[place] * math.log1p(math.exp(-d))
            assert dpositive[place] == pytest.approx(-2 * share[place] / (1 + math.exp(d)), rel=1e-12)
        assert loss == pytest.approx(expected, rel=1e-12)
        assert loss >= 0
        assert np.array_equal(dnegative, -dpositive)


@given(normal(7), normal(7), st.floats(-1e3, 1e3))
def test_only_the_difference_counts(positive: np.ndarray, negative: np.ndarray, c: float) -> None:
    before, after = F.bpr_forward(positive, negative)[0], F.bpr_forward(positive + c, negative + c)[0]
    assert after == pytest.approx(before, abs=1e-15 * (10 + abs(c)))


@given(rows(1))
def test_the_loss_of_d_minus_that_of_minus_d_is_minus_d(d: np.ndarray) -> None:
    nothing = np.zeros(1)
    gap = F.bpr_forward(d, nothing)[0] - F.bpr_forward(-d, nothing)[0]
    assert gap == pytest.approx(-d[0], rel=1e-14, abs=1e-15)


@pytest.mark.parametrize(
    ("d", "loss", "slope"),
    [
        (0.0, math.log(2), -0.5),
        (800.0, 0.0, 0.0),
        (-800.0, 800.0, -1.0),
        (40.0, math.exp(-40), -math.exp(-40)),
    ],
)
def test_by_hand_and_finite_far_out(d: float, loss: float, slope: float) -> None:
    found, cache = F.bpr_forward(frozen([d]), frozen([0.0]))
    assert found == pytest.approx(loss, rel=1e-12)
    assert F.bpr_backward(1.0, cache)[0][0] == pytest.approx(slope, rel=1e-12)


def test_shapes_that_would_be_broadcast_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"positive and negative must have equal shapes, got \(3,\) and \(3, 1\)"
    ):
        F.bpr_forward(np.zeros(3), np.zeros((3, 1)))
