"""Binary cross-entropy: what the sheet says of it, values by hand and far out, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sheet import holds
from strategies import degenerate, frozen, loss_weights, normal, rows

from minirec import functional as F

hard = hnp.arrays(np.float64, (3, 5), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])).map(frozen)


@given(st.one_of(rows(3, 5), degenerate(3, 5, bound=1000.0)), hard, loss_weights(3, 5))
def test_the_sheet_holds(x: np.ndarray, y: np.ndarray, weight: list) -> None:
    holds("binary_cross_entropy", x, y, *weight)


@given(rows(3, 5), normal(3, 5), loss_weights(3, 5))
def test_the_sheet_holds_for_any_target(x: np.ndarray, t: np.ndarray, weight: list) -> None:
    y = frozen(np.clip(0.5 + t, 0, 1))
    # Where y is almost 1, x − x y cancels: the error is small beside x, not beside the loss.
    holds("binary_cross_entropy", x, y, *weight, scale=1 + np.abs(x).max())


@pytest.mark.parametrize(
    ("x", "y", "loss", "gradient"),
    [
        (0.0, 1.0, math.log(2), -0.5),
        (0.0, 0.5, math.log(2), 0.0),
        (800.0, 1.0, 0.0, 0.0),
        (800.0, 0.0, 800.0, 1.0),
        (-800.0, 1.0, 800.0, -1.0),
        (-800.0, 0.0, 0.0, 0.0),
        (-40.0, 0.0, math.exp(-40), math.exp(-40)),
    ],
)
def test_by_hand_and_finite_far_out(x: float, y: float, loss: float, gradient: float) -> None:
    found, cache = F.binary_cross_entropy_forward(frozen([x]), frozen([y]))
    assert found == pytest.approx(loss, rel=1e-12, abs=0)
    assert F.binary_cross_entropy_backward(1.0, cache)[0] == pytest.approx(gradient, rel=1e-12, abs=0)


def test_targets_of_any_type_keep_float32() -> None:
    x = frozen(np.array([3.5, -4.5], dtype=np.float32))
    for y in (np.array([1, 0]), np.array([True, False]), np.array([1.0, 0.0])):
        loss, cache = F.binary_cross_entropy_forward(x, y)
        assert loss.dtype == np.float32
        assert F.binary_cross_entropy_backward(np.float32(1), cache).dtype == np.float32


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.zeros(3), np.array([0.0, 1.5, 0.0]), "targets[1] = 1.5, must be in [0, 1]"),
        (np.zeros(3), np.array([0.0, 0.0, -1.0]), "targets[2] = -1.0, must be in [0, 1]"),
        (np.zeros(3), np.array([np.nan, 2.0, 0.0]), "targets[0] = nan, must be in [0, 1]"),
        (np.zeros((1, 2)), np.array([[0, 7]]), "targets[0, 1] = 7, must be in [0, 1]"),
        (np.zeros(3), np.zeros((3, 1)), "logits and targets must have equal shapes, got (3,) and (3, 1)"),
    ],
)
def test_faults(x: np.ndarray, y: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        F.binary_cross_entropy_forward(x, y)
    assert words in str(caught.value)


def test_a_target_counts_only_where_its_weight_does() -> None:
    y = np.array([0.0, 1.5, 1.0])
    F.binary_cross_entropy_forward(np.zeros(3), y, np.array([1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match=r"targets\[1\] = 1.5, must be in \[0, 1\]"):
        F.binary_cross_entropy_forward(np.zeros(3), y, np.array([0.0, 1.0, 1.0]))
