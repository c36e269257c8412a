"""Sums and maxima along rows and columns, against loops with exact sums, in every layout and precision."""

import math

import numpy as np
import pytest
from hypothesis import given
from strategies import normal

from minirec.functional import reductions

LAYOUTS = {
    "C": lambda x: x,
    "Fortran": np.asfortranarray,
    "every second": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "backwards": lambda x: x[..., ::-1],
    "transposed": lambda x: x.swapaxes(0, 1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@given(normal(3, 2, 7))
def test_row_and_column_sums(layout: str, x: np.ndarray) -> None:
    x = LAYOUTS[layout](x)
    rows = np.array([[[math.fsum(row)] for row in block] for block in x])
    columns = np.array([math.fsum(x[..., j].ravel()) for j in range(x.shape[-1])])
    size = np.abs(x).max(initial=1.0)
    np.testing.assert_allclose(reductions.row_sums(x), rows, rtol=0, atol=1e-14 * size, equal_nan=False)
    np.testing.assert_allclose(reductions.column_sums(x), columns, rtol=0, atol=1e-14 * size, equal_nan=False)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(normal(3, 2, 7))
def test_equal_numbers_have_equal_sums_in_every_layout(layout: str, x: np.ndarray) -> None:
    laid_out = LAYOUTS[layout](x)
    plain = np.array(laid_out, order="C")
    assert np.array_equal(reductions.row_sums(laid_out), reductions.row_sums(plain))
    assert np.array_equal(reductions.column_sums(laid_out), reductions.column_sums(plain))


@given(normal(3, 2, 7))
def test_row_maxima(x: np.ndarray) -> None:
    expected = np.array([[[max(row)] for row in block] for block in x.tolist()])
    assert np.array_equal(reductions.row_maxima(x), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128, np.int64])
def test_the_dtype_stays(dtype: type) -> None:
    x = np.arange(10).reshape(2, 5).astype(dtype)
    assert reductions.row_sums(x).dtype == reductions.column_sums(x).dtype == dtype
    assert reductions.row_sums(x).tolist() == [[10], [35]]
    assert reductions.column_sums(x).tolist() == [5, 7, 9, 11, 13]


def test_nan_and_infinity_pass_through() -> None:
    x = np.array([[1.0, math.nan], [2.0, -math.inf], [3.0, 4.0]])
    assert np.array_equal(reductions.row_sums(x)[:, 0], [math.nan, -math.inf, 7.0], equal_nan=True)
    assert np.array_equal(reductions.row_maxima(x)[:, 0], [math.nan, 2.0, 4.0], equal_nan=True)


def test_no_rows_sum_to_zero() -> None:
    assert reductions.column_sums(np.zeros((0, 3))).tolist() == [0, 0, 0]
    assert reductions.row_sums(np.zeros((0, 3))).shape == (0, 1)
