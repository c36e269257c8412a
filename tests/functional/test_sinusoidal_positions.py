"""Sinusoidal positions: against the definition, and what makes them positions."""

import math

import numpy as np
import pytest

from minirec import functional as F


@pytest.mark.parametrize(("length", "width"), [(11, 6), (7, 5), (1, 2), (3, 1), (0, 4)])
def test_equals_the_definition(length: int, width: int) -> None:
    table = F.sinusoidal_positions(length, width)
    assert table.shape == (length, width)
    assert table.dtype == np.float64
    for t in range(length):
        for d in range(width):
            i = d // 2
            angle = t / 10000 ** (2 * i / width)
            expected = math.sin(angle) if d % 2 == 0 else math.cos(angle)
            assert table[t, d] == pytest.approx(expected, abs=1e-14)


def test_positions_are_distinct_and_bounded() -> None:
    table = F.sinusoidal_positions(503, 16)
    assert np.abs(table).max() <= 1
    gaps = ((table[:, None] - table[None]) ** 2).sum(axis=-1) + 10 * np.eye(503)
    assert gaps.min() > 1e-3


@pytest.mark.parametrize("k", [1, 5, 40])
def test_moving_by_k_steps_is_a_rotation(k: int) -> None:
    width = 6
    table = F.sinusoidal_positions(101, width)
    rotation = np.zeros((width, width))
    for i in range(width // 2):
        a = k / 10000 ** (2 * i / width)
        # (sin, cos) at t + k from (sin, cos) at t
        rotation[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [
            [math.cos(a), math.sin(a)],
            [-math.sin(a), math.cos(a)],
        ]
    np.testing.assert_allclose(table[k:], table[:-k] @ rotation.T, rtol=0, atol=1e-12, equal_nan=False)


def test_a_longer_table_begins_with_the_shorter() -> None:
    assert np.array_equal(F.sinusoidal_positions(31, 8)[:7], F.sinusoidal_positions(7, 8))


@pytest.mark.parametrize(("length", "width"), [(-1, 4), (3, 0), (3, -2)])
def test_faults(length: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"got {length} and {width}"):
        F.sinusoidal_positions(length, width)
