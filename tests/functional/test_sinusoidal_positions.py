"""Sinusoidal positions: the formula sheet at many sizes, and faults."""

import numpy as np
import pytest
from sheet import holds

from minirec import functional as F


@pytest.mark.parametrize(
    ("length", "width"), [(11, 6), (7, 5), (1, 2), (3, 1), (0, 4), (101, 6), (503, 16), (31, 8)]
)
def test_the_sheet_holds(length: int, width: int) -> None:
    table = F.sinusoidal_positions(length, width)
    assert table.shape == (length, width)
    assert table.dtype == np.float64
    for seed in range(3):
        holds("sinusoidal_positions", length, width, seed=seed)


def test_500_positions_are_clearly_apart() -> None:
    table = F.sinusoidal_positions(503, 16)
    gaps = ((table[:, None] - table[None]) ** 2).sum(axis=-1) + 10 * np.eye(503)
    assert gaps.min() > 1e-3


@pytest.mark.parametrize(("length", "width"), [(-1, 4), (3, 0), (3, -2)])
def test_faults(length: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"got {length} and {width}"):
        F.sinusoidal_positions(length, width)
