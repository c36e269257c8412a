"""The embedding: the formula sheet at drawn tables and ids, kinds of ids, and faults."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sheet import holds
from strategies import LAYOUTS, frozen, lay_out, rows, scales

from minirec import functional as F

ROWS, D = 7, 5
some_ids = st.builds(
    lay_out, hnp.arrays(np.int64, (2, 3), elements=st.integers(0, ROWS - 1)), st.sampled_from(LAYOUTS)
)


@given(rows(ROWS, D), some_ids, scales)
def test_the_sheet_holds(E: np.ndarray, ids: np.ndarray, scale: float) -> None:
    holds("embedding", E, ids)
    holds("embedding", frozen(E * scale), ids[0])
    holds("embedding", E, ids[1, 2, ...])


def test_an_id_that_comes_n_times_adds_up_n_times() -> None:
    _, cache = F.embedding_forward(np.zeros((ROWS, D)), np.full((3, 11), 4))
    dE = F.embedding_backward(np.full((3, 11, D), 0.5), cache)
    assert (dE[4] == 16.5).all()
    assert dE.sum() == 16.5 * D


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_every_integer_type_is_an_id(dtype: type) -> None:
    E = frozen(np.arange(ROWS * D, dtype=np.float64).reshape(ROWS, D))
    y, _ = F.embedding_forward(E, np.array([6, 0, 6], dtype=dtype))
    assert np.array_equal(y, E[[6, 0, 6]])


def test_no_ids() -> None:
    y, cache = F.embedding_forward(np.ones((ROWS, D)), np.zeros((0, 3), dtype=int))
    assert y.shape == (0, 3, D)
    assert (F.embedding_backward(y, cache) == np.zeros((ROWS, D))).all()


@pytest.mark.parametrize(
    ("ids", "error", "words"),
    [
        (np.array([[0, 1], [2, -1]]), IndexError, "ids[1, 1] = -1 is out of range: allowed are 0 to 6"),
        (np.array([0, ROWS]), IndexError, "ids[1] = 7 is out of range: allowed are 0 to 6"),
        (np.array(-3), IndexError, "ids = -3 is out of range"),
        (np.array([2**63 + 5], dtype=np.uint64), IndexError, "out of range"),
        (np.array([0.0, 1.0]), TypeError, "ids must be integers, got dtype float64"),
        (np.array([True, False]), TypeError, "ids must be integers, got dtype bool"),
        (np.array(["1"]), TypeError, "ids must be integers"),
        (np.array([1, None]), TypeError, "ids must be integers, got dtype object"),
    ],
)
def test_faults(ids: np.ndarray, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        F.embedding_forward(np.zeros((ROWS, D)), ids)
    assert words in str(caught.value)


def test_small_integer_types_do_not_overflow_in_the_scatter() -> None:
    ids = np.array([99, 3, 99], dtype=np.int8)  # 99 · 5 does not fit int8
    E, dy = np.zeros((100, 5)), np.arange(1.0, 16.0).reshape(3, 5)
    _, cache = F.embedding_forward(E, ids)
    expected = np.zeros((100, 5))
    expected[99], expected[3] = dy[0] + dy[2], dy[1]
    assert np.array_equal(F.embedding_backward(dy, cache), expected)
