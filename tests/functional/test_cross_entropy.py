"""Cross-entropy: what the sheet says of it, logits far out, and targets that NumPy would misread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sheet import holds
from strategies import frozen, loss_weights, normal, rows

from minirec import functional as F

N, C = 3, 7
some_targets = hnp.arrays(np.int64, N, elements=st.integers(0, C - 1)).map(frozen)


@given(rows(N, C), some_targets, loss_weights(N))
def test_the_sheet_holds(x: np.ndarray, targets: np.ndarray, weight: list) -> None:
    # The logarithm of a rounded sum: where it is near 0, its error is not small beside it.
    holds("cross_entropy", x, targets, *weight, scale=1 + np.abs(x).max())


@given(normal(2, 3, C), hnp.arrays(np.int64, (2, 3), elements=st.integers(0, C - 1)), loss_weights(2, 3))
def test_the_sheet_holds_for_leading_axes(x: np.ndarray, targets: np.ndarray, weight: list) -> None:
    holds("cross_entropy", x, frozen(targets), *weight)


def test_far_out() -> None:
    x = frozen([[1e4, 0.0, -1e4]])
    for target, loss in ((0, 0.0), (1, 1e4), (2, 2e4)):
        assert F.cross_entropy_forward(x, np.array([target]))[0] == loss


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


@pytest.mark.parametrize("bad", [-1, C])
def test_a_target_counts_only_where_its_weight_does(bad: int) -> None:
    targets = np.array([0, bad, 2])
    F.cross_entropy_forward(np.zeros((N, C)), targets, np.array([1.0, 0.0, 1.0]))
    with pytest.raises(IndexError, match=rf"targets\[1\] = {bad} is out of range: allowed are 0 to 6"):
        F.cross_entropy_forward(np.zeros((N, C)), targets, np.array([0.0, 1.0, 1.0]))
    for wrong in (targets == 0, targets.astype(float)):
        with pytest.raises(TypeError, match="targets must be integers"):
            F.cross_entropy_forward(np.zeros((N, C)), wrong, np.zeros(N))
