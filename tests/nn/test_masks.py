"""Masks: True means "may attend", cell by cell, as the formula sheet says it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sheet import holds

from minirec import nn


@given(st.integers(1, 11))
def test_causal_and_diagonal_mask(T: int) -> None:
    holds("causal_mask", T)
    holds("diagonal_mask", T)


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(1, 7)), elements=st.integers(0, 3)))
def test_padding_mask(ids: np.ndarray) -> None:
    holds("padding_mask", ids)


def test_a_mask_of_each_kind() -> None:
    assert nn.causal_mask(3).tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert nn.diagonal_mask(2).tolist() == [[True, False], [False, True]]
    assert nn.padding_mask(np.array([[0, 7], [3, 1]])).tolist() == [[[[False, True]]], [[[True, True]]]]
