"""Softmax: against the definition in loops, and what must hold for every row."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import frozen, masks, normal, rows, scales

from minirec import functional as F

EPS = np.finfo(np.float64).eps


def naive(row: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """e^x / Σ e^x over the kept entries, by the definition; overflows beyond 700."""
    total = sum(math.exp(x) for x, k in zip(row, keep, strict=True) if k)
    return np.array([math.exp(x) / total if k else 0.0 for x, k in zip(row, keep, strict=True)])


def softmax(x: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    return F.softmax_forward(x, mask)[0]


@given(rows(3, 5), masks(3, 5))
def test_equals_the_definition(x: np.ndarray, mask: np.ndarray) -> None:
    expected = np.stack([naive(row, keep) for row, keep in zip(x, mask, strict=True)])
    np.testing.assert_allclose(softmax(x, mask), expected, rtol=1e-13, atol=1e-300, equal_nan=False)
    everything = np.ones(5, dtype=bool)
    expected = np.stack([naive(row, everything) for row in x])
    np.testing.assert_allclose(softmax(x), expected, rtol=1e-13, atol=1e-300, equal_nan=False)


@given(rows(2, 3, 7))
def test_rows_are_probabilities(x: np.ndarray) -> None:
    p = softmax(x)
    assert p.min() >= 0
    assert p.max() <= 1
    np.testing.assert_allclose(p.sum(axis=-1), 1.0, rtol=0, atol=7 * EPS, equal_nan=False)


@given(normal(3, 5), st.floats(-1e6, 1e6))
def test_a_shift_changes_nothing(x: np.ndarray, c: float) -> None:
    # x + c is rounded to eps |c|, and an error of d in the exponent is a relative error of d.
    np.testing.assert_allclose(
        softmax(x + c), softmax(x), rtol=20 * EPS * (1 + abs(c)), atol=0, equal_nan=False
    )


@given(rows(3, 7), st.permutations(range(7)))
def test_a_permutation_permutes(x: np.ndarray, order: list[int]) -> None:
    np.testing.assert_allclose(
        softmax(x[:, order]), softmax(x)[:, order], rtol=1e-14, atol=0, equal_nan=False
    )


@given(rows(3, 7))
def test_the_order_is_never_reversed(x: np.ndarray) -> None:
    sorted_p = np.take_along_axis(softmax(x), np.argsort(x, axis=-1), axis=-1)
    assert (np.diff(sorted_p, axis=-1) >= 0).all()


def test_extreme_scores_give_exact_results_without_a_warning() -> None:
    assert softmax(frozen([1e4, 0.0, -1e4])).tolist() == [1.0, 0.0, 0.0]
    scales_together = softmax(frozen([[1e300, -1e300, 0.0], [1e-300, 0.0, 0.0], [-1e4, -1e4, -1e4]]))
    np.testing.assert_allclose(
        scales_together, [[1, 0, 0], [1 / 3] * 3, [1 / 3] * 3], rtol=4 * EPS, atol=0, equal_nan=False
    )


@given(rows(3, 7), masks(3, 7))
def test_masked_entries_are_as_if_absent(x: np.ndarray, mask: np.ndarray) -> None:
    p = softmax(x, mask)
    for row, keep, result in zip(x, mask, p, strict=True):
        assert (result[~keep] == 0).all()
        if keep.any():
            np.testing.assert_allclose(result[keep], softmax(row[keep]), rtol=1e-14, atol=0, equal_nan=False)
        else:
            assert (result == 0).all()


@given(rows(3, 7), masks(3, 7))
def test_minus_infinity_is_the_same_as_a_mask(x: np.ndarray, mask: np.ndarray) -> None:
    assert np.array_equal(softmax(np.where(mask, x, -np.inf)), softmax(x, mask))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308])
def test_what_stands_under_the_mask_has_no_influence(value: float) -> None:
    x, mask = np.array([[0.5, 1.0, -2.0, 0.0]]), np.array([[True, False, True, True]])
    other = x.copy()
    other[~mask] = value
    assert np.array_equal(softmax(frozen(other), mask), softmax(frozen(x), mask))


@pytest.mark.parametrize("shape", [(7,), (1, 7), (3, 7), (1, 1, 7), (2, 1, 7)])
def test_masks_are_broadcast(shape: tuple[int, ...]) -> None:
    x = frozen(np.random.default_rng(0).standard_normal((2, 3, 7)))
    mask = frozen(np.random.default_rng(1).random(shape) < 0.6)
    assert np.array_equal(softmax(x, mask), softmax(x, np.array(np.broadcast_to(mask, x.shape))))


def test_small_shapes() -> None:
    assert softmax(frozen([[3.0], [-1e9]])).tolist() == [[1.0], [1.0]]
    assert softmax(np.zeros((0, 5))).shape == (0, 5)
    assert softmax(np.zeros((2, 0, 5))).shape == (2, 0, 5)


def test_temperature() -> None:
    x = np.array([0.3, 1.2, -0.5])
    assert softmax(x / 1e-4).tolist() == [0.0, 1.0, 0.0]
    np.testing.assert_allclose(softmax(x / 1e12), 1 / 3, rtol=1e-11, atol=0, equal_nan=False)


@given(normal(3, 5), normal(3, 5), scales)
def test_backward_is_the_jacobian_of_each_row(x: np.ndarray, dp: np.ndarray, scale: float) -> None:
    p, cache = F.softmax_forward(x)
    dx = F.softmax_backward(scale * dp, cache)
    for n in range(3):
        J = np.diag(p[n]) - np.outer(p[n], p[n])
        np.testing.assert_allclose(dx[n], scale * (J @ dp[n]), rtol=0, atol=1e-14 * scale, equal_nan=False)


@given(rows(3, 5), normal(3, 5), masks(3, 5))
def test_backward_rows_sum_to_zero_and_masked_entries_get_nothing(
    x: np.ndarray, dp: np.ndarray, mask: np.ndarray
) -> None:
    dx = F.softmax_backward(dp, F.softmax_forward(x, mask)[1])
    np.testing.assert_allclose(dx.sum(axis=-1), 0.0, rtol=0, atol=1e-14, equal_nan=False)
    assert (dx[~mask] == 0).all()


@given(rows(3, 5), st.floats(-1e3, 1e3))
def test_a_constant_upstream_gives_nothing(x: np.ndarray, c: float) -> None:
    dx = F.softmax_backward(np.full((3, 5), c), F.softmax_forward(x)[1])
    np.testing.assert_allclose(dx, 0.0, rtol=0, atol=10 * EPS * (1 + abs(c)), equal_nan=False)


@pytest.mark.parametrize(
    ("x", "mask", "error", "words"),
    [
        (np.zeros((3, 0)), None, ValueError, ["softmax over an empty axis", "(3, 0)"]),
        (np.zeros((3, 5)), np.ones((3, 5)), TypeError, ["mask must be boolean", "float64"]),
        (np.zeros((3, 5)), np.ones(5, dtype=int), TypeError, ["mask must be boolean", "int64"]),
        (np.zeros((3, 5)), np.ones(3, dtype=bool), ValueError, ["shape"]),
    ],
)
@pytest.mark.parametrize("function", [F.softmax_forward, F.log_softmax_forward])
def test_faults(function, x, mask, error, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error) as caught:
        function(x, mask)
    assert all(word in str(caught.value) for word in words)
