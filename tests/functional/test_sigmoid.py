"""The logistic function: the formula sheet at drawn arguments, and both tails without a warning."""

import math

import numpy as np
from hypothesis import given
from sheet import holds
from strategies import frozen, rows, scales

from minirec import functional as F


@given(rows(3, 5), scales)
def test_the_sheet_holds(x: np.ndarray, scale: float) -> None:
    holds("sigmoid", x)
    holds("sigmoid", frozen(x * scale))


def test_tails_without_a_warning() -> None:
    holds("sigmoid", frozen([0.0, 800.0, -800.0, 1e308, -1e308]))
    small = F.sigmoid_forward(frozen([-700.0]))[0][0]
    assert small == math.exp(-700.0)  # all digits kept where the other tail has long been 1
