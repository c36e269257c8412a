"""ReLU: the formula sheet at drawn arguments, the kink included; NaN."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import degenerate, frozen, normal, scales

from minirec import functional as F


@given(st.one_of(normal(3, 5), normal(2, 3, 7), degenerate(3, 5)), scales)
def test_the_sheet_holds(x: np.ndarray, scale: float) -> None:
    holds("relu", x)
    holds("relu", frozen(x * scale))


def test_nan_is_not_hidden() -> None:
    assert np.isnan(F.relu_forward(frozen([np.nan, 1.0]))[0]).tolist() == [True, False]
