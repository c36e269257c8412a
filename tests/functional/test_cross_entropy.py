"""Cross-entropy: against the definition, (p − onehot) / n, and targets that NumPy would misread."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import frozen, normal, rows

from minirec import functional as F

N, C = 3, 7
some_targets = hnp.arrays(np.int64, N, elements=st.integers(0, C - 1)).map(frozen)


@given(rows(N, C), some_targets, normal(N))
def test_equals_the_definition(x: np.ndarray, targets: np.ndarray, w: np.ndarray) -> None:
    for weight in (None, frozen(np.abs(w) + 0.1)):
        share = np.ones(N) / N if weight is None else weight / weight.sum()
        loss, cache = F.cross_entropy_forward(x, targets, weight)
        gradient = F.cross_entropy_backward(-3.0, cache)
        expected = 0.0
        for n in range(N):
            total = math.fsum(math.exp(v) for v in x[n])
            expected += share[n] * (math.log(total) - x[n, targets[n]])
            for c in range(C):
                p = math.exp(x[n, c]) / total
                assert gradient[n, c] == pytest.approx(-3.0 * share[n] * (p - (c == targets[n])), abs=1e-13)
        assert loss == pytest.approx(expected, rel=1e-12, abs=1e-13)
        assert loss >= 0


@given(normal(N, C), some_targets, st.floats(-1e6, 1e6))
def test_a_shift_of_the_logits_changes_nothing(x: np.ndarray, targets: np.ndarray, c: float) -> None:
    before, after = F.cross_entropy_forward(x, targets)[0], F.cross_entropy_forward(x + c, targets)[0]
    assert after == pytest.approx(before, abs=1e-14 * (1 + abs(c)))


@given(rows(N, C), some_targets)
def test_each_row_of_the_gradient_sums_to_zero(x: np.ndarray, targets: np.ndarray) -> None:
    gradient = F.cross_entropy_backward(1.0, F.cross_entropy_forward(x, targets)[1])
    np.testing.assert_allclose(gradient.sum(axis=-1), 0.0, rtol=0, atol=1e-15, equal_nan=False)


def test_uniform_logits_give_log_c() -> None:
    loss, _ = F.cross_entropy_forward(np.full((2, 3, C), 4.0), np.zeros((2, 3), dtype=int))
    assert loss == pytest.approx(math.log(C), rel=1e-15)


def test_far_out() -> None:
    x = frozen([[1e4, 0.0, -1e4]])
    for target, loss in ((0, 0.0), (1, 1e4), (2, 2e4)):
        assert F.cross_entropy_forward(x, np.array([target]))[0] == loss


def test_leading_axes_are_one_long_batch() -> None:
    rng = np.random.default_rng(0)
    x, targets = frozen(rng.standard_normal((2, 3, C))), frozen(rng.integers(0, C, (2, 3)))
    weight = frozen(rng.random((2, 3)))
    loss, cache = F.cross_entropy_forward(x, targets, weight)
    flat, of_flat = F.cross_entropy_forward(x.reshape(6, C), targets.reshape(6), weight.reshape(6))
    assert loss == pytest.approx(flat, rel=1e-14)
    a, b = F.cross_entropy_backward(1.0, cache), F.cross_entropy_backward(1.0, of_flat)
    np.testing.assert_allclose(a.reshape(6, C), b, rtol=1e-14, equal_nan=False)


@pytest.mark.parametrize(
    ("targets", "error", "words"),
    [
        (np.array([0, -1, 2]), IndexError, "targets[1] = -1 is out of range: allowed are 0 to 6"),
        (np.array([0, 1, C]), IndexError, "targets[2] = 7 is out of range: allowed are 0 to 6"),
        (np.array([0.0, 1.0, 2.0]), TypeError, "targets must be integers, got dtype float64"),
        (np.array([True, False, True]), TypeError, "targets must be integers, got dtype bool"),
        (np.array([0, 1]), ValueError, "(2,)"),
        (np.array([0]), ValueError, "(1,)"),  # NumPy would read it for every row
        (np.array([[0], [1], [2]]), ValueError, "(3, 1)"),
    ],
)
def test_faults(targets: np.ndarray, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        F.cross_entropy_forward(np.zeros((N, C)), targets)
    assert words in str(caught.value)
