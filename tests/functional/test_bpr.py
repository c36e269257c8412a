"""BPR: what the sheet says of it, values by hand and far out, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from sheet import holds
from strategies import frozen, loss_weights, rows, scales

from minirec import functional as F


@given(rows(3, 5), rows(3, 5), loss_weights(3, 5), scales)
def test_the_sheet_holds(positive: np.ndarray, negative: np.ndarray, weight: list, scale: float) -> None:
    holds("bpr", frozen(scale * positive), frozen(scale * negative), *weight)


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
    assert found == pytest.approx(loss, rel=1e-12, abs=0)
    assert F.bpr_backward(1.0, cache)[0][0] == pytest.approx(slope, rel=1e-12, abs=0)


def test_shapes_that_would_be_broadcast_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"positive and negative must have equal shapes, got \(3,\) and \(3, 1\)"
    ):
        F.bpr_forward(np.zeros(3), np.zeros((3, 1)))
