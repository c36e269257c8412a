"""The skip connection in all orders, around a function that shows what it was given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import normal

from minirec import nn
from minirec.nn.residual import check_norm, residual_backward, residual_forward
from minirec.verify.formulas import SHEET

T, D = 3, 5
TIGHT = {"rtol": 0, "atol": 1e-11, "equal_nan": False}


def f(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return z**3, z


def f_backward(dy: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, str]:
    return 3 * z**2 * dy, "more"


@given(normal(T, D), normal(D, D), normal(D), normal(D), st.sampled_from(["pre", "post", "first"]))
def test_holds_what_the_sheet_says(
    x: np.ndarray, W: np.ndarray, gamma: np.ndarray, beta: np.ndarray, norm: str
) -> None:
    holds("residual", x, W, gamma, beta, norm)


def test_dropout_acts_on_what_is_added_and_not_on_x() -> None:
    x = np.random.default_rng(0).standard_normal((101, D))
    y, _ = residual_forward(x, f, nn.LayerNorm(D), "pre", 0.4, np.random.default_rng(1))
    added = y - x
    assert 0.3 < (added == 0).mean() < 0.5  # 505 draws at .4: the share strays by .02
    whole = SHEET["layer_norm"].definition(x, np.ones(D), np.zeros(D)) ** 3 / 0.6
    np.testing.assert_allclose(added[added != 0], whole[added != 0], **TIGHT)


@pytest.mark.parametrize("norm", ["pre", "post", "first"])
def test_backward_hands_on_what_f_returned(norm: str) -> None:
    x = np.random.default_rng(0).standard_normal((T, D))
    layer = nn.LayerNorm(D)
    y, cache = residual_forward(x, f, layer, norm, 0.0, None)
    dx, more, grads = residual_backward(np.ones_like(y), f_backward, layer, norm, cache)
    assert dx.shape == x.shape
    assert more == "more"
    assert list(grads) == ["gamma", "beta"]


def test_an_unknown_order() -> None:
    check_norm("pre")
    check_norm("post")
    check_norm("first")
    with pytest.raises(ValueError, match='norm must be "pre", "post" or "first", got \'both\''):
        check_norm("both")
    with pytest.raises(ValueError, match="norm must be"):
        nn.EncoderBlock(np.random.default_rng(0), 6, 2, 5, norm="none")
    with pytest.raises(ValueError, match="norm must be"):
        nn.DecoderBlock(np.random.default_rng(0), 6, 2, 5, norm="none")
