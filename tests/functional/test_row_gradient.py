"""Gradients by rows: sums by id against a loop, and every operation against the same one on arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minirec import functional as F

ROWS, WIDTH = 11, 3
id_lists = hnp.arrays(np.int64, st.integers(0, 40), elements=st.integers(0, ROWS - 1))
few_ids = hnp.arrays(np.int64, st.integers(1, 40), elements=st.sampled_from([0, 7]))


def drawn(seed: int, ids: np.ndarray) -> tuple[np.ndarray, F.RowGradient]:
    """Values for the ids, and their sums."""
    values = np.random.default_rng([seed, len(ids)]).standard_normal((len(ids), WIDTH))
    return values, F.sum_by_row(ids, values, (ROWS, WIDTH))


@given(id_lists | few_ids)
def test_values_of_one_id_are_summed(ids: np.ndarray) -> None:
    values, gradient = drawn(0, ids)
    before = values.copy()
    expected = np.zeros((ROWS, WIDTH))
    for i, value in zip(ids, values, strict=True):
        expected[i] += value
    assert gradient.rows.tolist() == sorted(set(ids.tolist()))
    np.testing.assert_allclose(gradient.dense(), expected, rtol=0, atol=1e-14, equal_nan=False)
    assert np.array_equal(values, before)


def test_gradients_of_different_tables_are_not_added() -> None:
    one, other = (F.RowGradient(np.array([1]), np.ones((1, 2)), (rows, 2)) for rows in (3, 5))
    with pytest.raises(ValueError, match=r"tables of shapes \(3, 2\), \(5, 2\) cannot be added"):
        one + other
    with pytest.raises(ValueError, match=r"tables of shapes \(3, 2\) and \(7, 2\) cannot be added"):
        one + np.zeros((7, 2))


def test_a_long_sum_in_single_precision_is_pairwise() -> None:
    ids, values = np.zeros(2**20, dtype=np.int64), np.full((2**20, 1), 0.1, dtype=np.float32)
    gradient = F.sum_by_row(ids, values, (2, 1))
    assert gradient.values.dtype == np.float32
    # One after the other, the terms that are added to 50,000 lose a fifth of their digits: 100,958.34.
    assert gradient.values[0, 0] == pytest.approx(2**20 * float(np.float32(0.1)), rel=1e-7)


@given(id_lists, id_lists, id_lists)
def test_sums_and_products_are_those_of_arrays(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    parts = [drawn(seed, ids)[1] for seed, ids in enumerate((a, b, c))]
    array = np.random.default_rng(3).standard_normal((ROWS, WIDTH))
    before = array.copy()
    close = {"rtol": 0, "atol": 1e-14, "equal_nan": False}
    total = F.add_row_gradients(parts)
    assert np.array_equal(total.rows, np.unique(np.concatenate([a, b, c])))
    np.testing.assert_allclose(total.dense(), sum(part.dense() for part in parts), **close)
    np.testing.assert_allclose((parts[0] + parts[1]).dense(), parts[0].dense() + parts[1].dense(), **close)
    for both in (parts[0] + array, array + parts[0]):
        np.testing.assert_allclose(both, parts[0].dense() + array, **close)
    assert np.array_equal(array, before)
    assert np.array_equal((parts[0] * 0.5).dense(), parts[0].dense() * 0.5)
    assert np.array_equal((0.5 * parts[0]).dense(), parts[0].dense() * 0.5)


@given(id_lists)
def test_a_row_can_be_left_out(ids: np.ndarray) -> None:
    gradient = drawn(0, ids)[1]
    expected = gradient.dense()
    expected[3] = 0
    assert 3 not in gradient.without(3).rows
    assert np.array_equal(gradient.without(3).dense(), expected)


def in_pairs(values: list[np.ndarray]) -> np.ndarray:
    """Their sum in pairs: the first with the second, the third with the fourth, and so on, then the sums."""
    while len(values) > 1:
        values = [sum(values[i : i + 2][1:], start=values[i]) for i in range(0, len(values), 2)]
    return values[0]


def test_values_of_one_id_are_summed_in_the_order_in_which_they_come() -> None:
    ids = np.random.default_rng(0).integers(0, 3, 200)
    values, gradient = drawn(1, ids)
    expected = [in_pairs(list(values[ids == row])) for row in range(3)]
    np.testing.assert_array_equal(gradient.values, expected)  # bit by bit


@pytest.mark.parametrize("array", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("rows", [np.float32, np.float64, np.complex128])
def test_a_sum_with_an_array_has_the_wider_type_of_both(array: type, rows: type) -> None:
    gradient = F.RowGradient(np.array([1]), np.ones((1, 2), dtype=rows), (3, 2))
    total = gradient + np.ones((3, 2), dtype=array)
    assert total.dtype == np.result_type(array, rows)
    assert total.tolist() == [[1, 1], [2, 2], [1, 1]]


def test_the_sum_of_one_gradient_is_itself() -> None:
    _, gradient = drawn(2, np.array([3, 1]))
    total = F.add_row_gradients([gradient])
    assert total.shape == gradient.shape
    np.testing.assert_array_equal(total.dense(), gradient.dense())
