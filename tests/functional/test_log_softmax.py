"""Log-softmax: against the definition in loops, and against the logarithm of softmax."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import frozen, masks, normal, rows

from minirec import functional as F

EPS = np.finfo(np.float64).eps


def log_softmax(x: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    return F.log_softmax_forward(x, mask)[0]


@given(rows(3, 5))
def test_equals_the_definition(x: np.ndarray) -> None:
    # fsum adds exactly, so the only errors of the reference are those of exp and log.
    expected = [[v - math.log(math.fsum(math.exp(w) for w in row)) for v in row] for row in x]
    np.testing.assert_allclose(log_softmax(x), expected, rtol=0, atol=1e-13, equal_nan=False)


@given(rows(3, 5), masks(3, 5))
def test_its_exponential_is_softmax(x: np.ndarray, mask: np.ndarray) -> None:
    expected = F.softmax_forward(x, mask)[0]
    np.testing.assert_allclose(np.exp(log_softmax(x, mask)), expected, rtol=1e-13, atol=0, equal_nan=False)


@given(rows(3, 7), masks(3, 7))
def test_masked_entries_are_as_if_absent(x: np.ndarray, mask: np.ndarray) -> None:
    for row, keep, result in zip(x, mask, log_softmax(x, mask), strict=True):
        assert (result[~keep] == -np.inf).all()
        if keep.any():
            np.testing.assert_allclose(
                result[keep], log_softmax(row[keep]), rtol=0, atol=1e-13, equal_nan=False
            )


@given(normal(3, 5), st.floats(-1e6, 1e6))
def test_a_shift_changes_nothing(x: np.ndarray, c: float) -> None:
    tolerance = 10 * EPS * (10 + abs(c))
    np.testing.assert_allclose(log_softmax(x + c), log_softmax(x), rtol=0, atol=tolerance, equal_nan=False)


def test_small_probabilities_keep_their_digits() -> None:
    assert log_softmax(frozen([1e4, 0.0, -1e4])).tolist() == [0.0, -1e4, -2e4]  # softmax would say log 0
    assert log_softmax(frozen([[5.0]])).tolist() == [[0.0]]
    assert log_softmax(np.zeros((0, 5))).shape == (0, 5)


def test_equal_entries_give_minus_log_n() -> None:
    np.testing.assert_allclose(log_softmax(np.full((3, 7), 2.5)), -math.log(7), rtol=4 * EPS, equal_nan=False)


@given(rows(3, 5), normal(3, 5))
def test_backward_is_the_jacobian_of_each_row(x: np.ndarray, dy: np.ndarray) -> None:
    y, cache = F.log_softmax_forward(x)
    dx = F.log_softmax_backward(dy, cache)
    for n in range(3):
        J = np.eye(5) - np.exp(y[n])[None, :]  # ∂y_i/∂x_j = 1[i = j] − p_j
        np.testing.assert_allclose(dx[n], J.T @ dy[n], rtol=0, atol=1e-13, equal_nan=False)


@given(rows(3, 5), normal(3, 5), masks(3, 5))
def test_masked_entries_get_no_gradient_and_give_none(
    x: np.ndarray, dy: np.ndarray, mask: np.ndarray
) -> None:
    dx = F.log_softmax_backward(dy, F.log_softmax_forward(x, mask)[1])
    assert (dx[~mask] == 0).all()
    np.testing.assert_allclose(dx.sum(axis=-1), 0.0, rtol=0, atol=1e-13, equal_nan=False)
    other = np.where(mask, dy, 1e3)  # the upstream of a constant −∞ is nobody's
    assert np.array_equal(F.log_softmax_backward(other, F.log_softmax_forward(x, mask)[1]), dx)
