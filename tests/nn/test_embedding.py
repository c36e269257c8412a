"""Embedding: its entry in the formula sheet, the padding row under an optimizer, and ids that are none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sheet import holds
from strategies import seeds

from minirec import nn, optim
from minirec.verify.formula import Built

ROWS, WIDTH = 7, 5
ids_of_all_rows = hnp.arrays(np.int64, (2, 3), elements=st.integers(0, ROWS - 1))


@given(seeds, ids_of_all_rows, st.booleans(), st.booleans())
def test_holds_what_the_sheet_says(seed: int, ids: np.ndarray, padding: bool, sparse: bool) -> None:
    settings = {"rows": ROWS, "width": WIDTH, "padding": padding, "sparse": sparse}
    holds("Embedding", Built(settings, (ids,)), seed=seed)


@pytest.mark.parametrize("padding", [False, True])
def test_a_gradient_by_rows_names_the_rows_that_were_read(padding: bool) -> None:
    table = nn.Embedding(np.random.default_rng(0), ROWS, WIDTH, padding=padding, sparse=True)
    y, cache = table.forward(np.array([[5, 0, 2], [2, 5, 5]]))
    gradient = table.backward(np.ones_like(y), cache)[1]["E"]
    rows = [2, 5] if padding else [0, 2, 5]
    assert gradient.rows.tolist() == rows
    assert gradient.values[:, 0].tolist() == ([2.0, 3.0] if padding else [1.0, 2.0, 3.0])
    assert gradient.shape == (ROWS, WIDTH)


def test_ids_have_no_gradient() -> None:
    table = nn.Embedding(np.random.default_rng(0), ROWS, WIDTH)
    y, cache = table.forward(np.array([3, 3]))
    assert table.backward(y, cache)[0] is None


@pytest.mark.parametrize(
    "optimizer", [optim.Adam(0.1), optim.AdamW(0.1, weight_decay=0.5), optim.SGD(0.1, momentum=0.9)]
)
def test_the_padding_row_is_zero_and_stays_zero(optimizer: optim.Adam | optim.SGD) -> None:
    table = nn.Embedding(np.random.default_rng(0), ROWS, WIDTH, padding=True)
    ids = np.array([[0, 0, 3], [0, 3, 6]])
    before = table.E.copy()
    for step in range(3):
        y, cache = table.forward(ids)
        assert not y[ids == 0].any()
        _, grads = table.backward(np.random.default_rng(step).standard_normal(y.shape), cache)
        assert not grads["E"][0].any()
        optimizer.step(table.params(), grads)
    assert not table.E[0].any()
    assert (table.E[[3, 6]] != before[[3, 6]]).all()


def test_backward_leaves_its_cache_and_its_upstream_alone() -> None:
    table = nn.Embedding(np.random.default_rng(0), ROWS, WIDTH, padding=True)
    y, cache = table.forward(np.array([0, 3]))
    dy = np.ones_like(y)
    first, second = table.backward(dy, cache)[1]["E"], table.backward(dy, cache)[1]["E"]
    assert np.array_equal(first, second)
    assert dy.all()


def test_rows_have_length_about_one() -> None:
    table = nn.Embedding(np.random.default_rng(0), 1009, 64)
    # The mean of 64,576 squares strays by √(2 / 64,576), half a percent.
    assert (table.E**2).sum(axis=1).mean() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("ids", "error", "words"),
    [
        (np.array([[0, 1], [-1, 2]]), IndexError, r"ids\[1, 0\] = -1 is out of range: allowed are 0 to 6"),
        (np.array([3, 7]), IndexError, r"ids\[1\] = 7 is out of range: allowed are 0 to 6"),
        (np.array([1.0, 2.0]), TypeError, "ids must be integers, got dtype float64"),
        (np.array([True, False]), TypeError, "ids must be integers, got dtype bool"),
    ],
)
def test_ids_that_are_none(ids: np.ndarray, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        nn.Embedding(np.random.default_rng(0), ROWS, WIDTH).forward(ids)
