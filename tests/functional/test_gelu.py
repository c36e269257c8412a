"""GELU: the formula sheet at drawn arguments, and far out without a warning."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import degenerate, frozen, normal, scales


@given(st.one_of(normal(3, 5, scale=3.0), degenerate(3, 5)), scales)
def test_the_sheet_holds(x: np.ndarray, scale: float) -> None:
    holds("gelu", x)
    holds("gelu", frozen(x * scale))


def test_tails_without_a_warning() -> None:
    holds("gelu", frozen([0.0, 1e3, -1e3, 1e30, -1e30]))
