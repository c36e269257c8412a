"""The losses of a list of candidates: what the sheet says of them, and their types."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, normal

from minirec.models.candidate_loss import LOSSES, candidate_loss_backward, candidate_loss_forward


@given(st.sampled_from(LOSSES), st.integers(1, 5), st.integers(2, 7), st.data())
def test_the_sheet_holds(loss: str, B: int, C: int, data: Any) -> None:
    scores, ratings = data.draw(normal(B, C, scale=3.0)), data.draw(normal(B))
    # A softmax or a σ close to 1 has a loss close to 0, whose error is small beside 1 and the scores.
    holds(
        "candidate_loss",
        loss,
        scores,
        *([ratings] if loss == "squared" else []),
        scale=1 + np.abs(scores).max(),
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_single_precision_is_kept(loss: str) -> None:
    rng = np.random.default_rng(0)
    args = [rng.standard_normal((3, 5)), rng.standard_normal(3)][: 2 if loss == "squared" else 1]
    value, cache = candidate_loss_forward(loss, *(frozen(a.astype(np.float32)) for a in args))
    assert value.dtype == np.float32
    assert candidate_loss_backward(1.0, cache).dtype == np.float32
