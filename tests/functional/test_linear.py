"""The linear map: the formula sheet at drawn arguments and all leading axes, and shapes that do not fit."""

import numpy as np
import pytest
from hypothesis import given
from sheet import holds
from strategies import frozen, normal, rows, scales

from minirec import functional as F

I, O = 5, 7


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (2, 3, 11), (0,), (2, 0)])
def test_the_sheet_holds_for_all_leading_axes(lead: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, W, b = (frozen(rng.standard_normal(shape)) for shape in ((*lead, I), (I, O), (O,)))
    y, cache = F.linear_forward(x, W, b)
    assert y.shape == (*lead, O)
    assert [d.shape for d in F.linear_backward(y, cache)] == [(*lead, I), (I, O), (O,)]
    holds("linear", x, W, b)


@given(rows(2, 3, I), rows(I, O), rows(O), scales)
def test_the_sheet_holds(x: np.ndarray, W: np.ndarray, b: np.ndarray, scale: float) -> None:
    for W2 in (W, frozen(W * scale)):
        # A sum of products may be much smaller than they are: the scale of the rounding is theirs.
        size = float(np.abs(x).max() * np.abs(W2).max() * I + np.abs(b).max())
        holds("linear", x, W2, b, tolerance=1e-15, scale=size)


@given(normal(3, I), normal(I, O), normal(O))
def test_the_sheet_holds_for_numbers_of_one_size(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> None:
    holds("linear", x, W, b)


@pytest.mark.parametrize(
    ("x", "W", "b"), [((3, 4), (I, O), (O,)), ((3, I), (I, O), (O + 1,)), ((2, 3, I + 1), (I, O), (O,))]
)
def test_shapes_that_do_not_fit(x: tuple[int, ...], W: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"mismatch|broadcast"):
        F.linear_forward(np.zeros(x), np.zeros(W), np.zeros(b))
