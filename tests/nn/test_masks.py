"""Masks: True means "may attend", cell by cell."""

import numpy as np

from minirec import nn


def test_causal_mask() -> None:
    mask = nn.causal_mask(5)
    assert mask.dtype == np.bool_
    assert mask.shape == (5, 5)
    assert all(mask[t, s] == (s <= t) for t in range(5) for s in range(5))


def test_padding_mask() -> None:
    ids = np.array([[0, 0, 3], [0, 7, 1]])
    mask = nn.padding_mask(ids)
    assert mask.dtype == np.bool_
    assert mask.shape == (2, 1, 1, 3)
    assert mask[:, 0, 0].tolist() == [[False, False, True], [False, True, True]]


def test_diagonal_mask() -> None:
    mask = nn.diagonal_mask(3)
    assert mask.dtype == np.bool_
    assert mask.tolist() == [[True, False, False], [False, True, False], [False, False, True]]
