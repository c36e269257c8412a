"""Layer norm: the formula sheet at drawn arguments, and rows that would lose their digits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, normal, rows, scales

from minirec import functional as F

D = 7
some_eps = st.sampled_from([1e-8, 1e-5, 0.1, 10.0])


@given(rows(2, 3, D), normal(D), normal(D), some_eps, scales)
def test_the_sheet_holds(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float, scale: float
) -> None:
    for x2 in (x, frozen(x * scale)):
        # A row's rounding is divided by its deviation, or by √eps where the row is constant.
        steepness = 1 + np.abs(x2).max() / np.sqrt(x2.var(axis=-1).min() + eps)
        size = float(np.abs(gamma).max() + np.abs(beta).max())
        holds("layer_norm", x2, gamma, beta, eps, tolerance=1e-14 * steepness, scale=size)


@given(normal(3, D, layouts=("C", "Fortran", "strided")), normal(D), normal(D))
def test_the_sheet_holds_for_numbers_of_one_size(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> None:
    holds("layer_norm", x, gamma, beta)


def test_equal_numbers_give_exactly_beta() -> None:
    gamma, beta, dy = (frozen(np.random.default_rng(i).standard_normal(D)) for i in range(3))
    y, cache = F.layer_norm_forward(np.full((1, D), 3.0), gamma, beta)
    assert np.array_equal(y[0], beta)
    assert (F.layer_norm_backward(dy[None], cache)[1] == 0).all()


def test_a_large_mean_in_float32_keeps_the_variance() -> None:
    row = np.array([1e6 - 1, 1e6, 1e6 + 1], dtype=np.float32)  # E[x²] − E[x]² is 65536 off here
    y, _ = F.layer_norm_forward(frozen(row), np.ones(3, np.float32), np.zeros(3, np.float32))
    np.testing.assert_allclose(y, [-1.2247, 0.0, 1.2247], rtol=0, atol=1e-4, equal_nan=False)
