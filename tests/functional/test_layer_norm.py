"""Layer norm: against the definition in loops, its invariances, and rows that would lose their digits."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import frozen, normal, rows

from minirec import functional as F

D = 7
ones, zeros = np.ones(D), np.zeros(D)


def reference(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float) -> np.ndarray:
    y = np.zeros(x.shape)
    for place in np.ndindex(*x.shape[:-1]):
        row = [float(v) for v in x[place]]
        mean = math.fsum(row) / len(row)
        var = math.fsum((v - mean) ** 2 for v in row) / len(row)
        for d, v in enumerate(row):
            y[(*place, d)] = gamma[d] * (v - mean) / math.sqrt(var + eps) + beta[d]
    return y


def layer_norm(
    x: np.ndarray, gamma: np.ndarray = ones, beta: np.ndarray = zeros, eps: float = 1e-5
) -> np.ndarray:
    return F.layer_norm_forward(x, gamma, beta, eps)[0]


@given(rows(2, 3, D), normal(D), normal(D), st.sampled_from([1e-8, 1e-5, 0.1]))
def test_equals_the_definition(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float) -> None:
    # Rounding of a constant row, 50 · eps(float64), is divided by √eps at most.
    np.testing.assert_allclose(
        layer_norm(x, gamma, beta, eps),
        reference(x, gamma, beta, eps),
        rtol=1e-12,
        atol=1e-9,
        equal_nan=False,
    )


@given(normal(3, D, layouts=("C", "Fortran")), st.sampled_from([1e-5, 0.1, 10.0]))
def test_mean_zero_and_variance_a_little_below_one(x: np.ndarray, eps: float) -> None:
    y = layer_norm(x, eps=eps)
    var = x.var(axis=-1)
    np.testing.assert_allclose(y.mean(axis=-1), 0.0, rtol=0, atol=1e-13, equal_nan=False)
    np.testing.assert_allclose(y.var(axis=-1), var / (var + eps), rtol=1e-12, equal_nan=False)


@given(normal(3, D), st.floats(-1e3, 1e3))
def test_a_shift_of_a_row_changes_nothing(x: np.ndarray, c: float) -> None:
    np.testing.assert_allclose(layer_norm(x + c), layer_norm(x), rtol=0, atol=1e-11, equal_nan=False)


@given(normal(3, D), st.floats(0.1, 1e3))
def test_scaling_a_row_changes_nothing_only_without_eps(x: np.ndarray, a: float) -> None:
    # Entries are differences of numbers of size 1, so the rounding is absolute.
    close = {"rtol": 0, "atol": 1e-13, "equal_nan": False}
    np.testing.assert_allclose(layer_norm(a * x, eps=0.0), layer_norm(x, eps=0.0), **close)
    np.testing.assert_allclose(layer_norm(a * x, eps=a * a * 0.5), layer_norm(x, eps=0.5), **close)
    assert abs(layer_norm(2 * x, eps=0.5) - layer_norm(x, eps=0.5)).max() > 1e-2


def test_a_constant_row_gives_beta_and_a_finite_gradient() -> None:
    gamma, beta, dy = (frozen(np.random.default_rng(i).standard_normal(D)) for i in range(3))
    y, cache = F.layer_norm_forward(np.full((1, D), 3.0), gamma, beta)
    assert np.array_equal(y[0], beta)
    dx, dgamma, _ = F.layer_norm_backward(dy[None], cache)
    g = gamma * dy
    np.testing.assert_allclose(dx[0], (g - g.mean()) / math.sqrt(1e-5), rtol=1e-12, equal_nan=False)
    assert (dgamma == 0).all()


@given(normal(3, D), normal(D), normal(3, D))
def test_the_gradient_is_orthogonal_to_constants_and_to_the_row(
    x: np.ndarray, gamma: np.ndarray, dy: np.ndarray
) -> None:
    _, cache = F.layer_norm_forward(x, gamma, zeros, 0.0)
    dx, dgamma, dbeta = F.layer_norm_backward(dy, cache)
    size = np.abs(gamma * dy).max() * cache.inv_std.max()  # dx may be much smaller, by cancellation
    np.testing.assert_allclose(dx.sum(axis=-1), 0.0, rtol=0, atol=1e-13 * D * size, equal_nan=False)
    along = (dx * layer_norm(x, eps=0.0)).sum(axis=-1)  # growing a row changes nothing when eps is 0
    np.testing.assert_allclose(along, 0.0, rtol=0, atol=1e-12 * D * size, equal_nan=False)
    np.testing.assert_allclose(dbeta, sum(dy[n] for n in range(3)), rtol=0, atol=1e-14, equal_nan=False)
    expected = sum(dy[n] * layer_norm(x, eps=0.0)[n] for n in range(3))
    np.testing.assert_allclose(dgamma, expected, rtol=0, atol=1e-12, equal_nan=False)


def test_a_large_mean_in_float32_keeps_the_variance() -> None:
    row = np.array([1e6 - 1, 1e6, 1e6 + 1], dtype=np.float32)  # E[x²] − E[x]² is 65536 off here
    y = layer_norm(frozen(row), np.ones(3, np.float32), np.zeros(3, np.float32))
    np.testing.assert_allclose(y, [-1.2247, 0.0, 1.2247], rtol=0, atol=1e-4, equal_nan=False)
