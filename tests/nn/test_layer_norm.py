"""LayerNorm: its parameters, and that it normalizes each row by itself."""

import numpy as np
import reference_network as reference
from hypothesis import given
from strategies import normal

from minirec import nn


@given(normal(2, 3, 5, scale=3.0), normal(5), normal(5))
def test_equals_the_formula(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> None:
    layer = nn.LayerNorm(5).with_params({"gamma": gamma, "beta": beta})
    expected = reference.layer_norm({"gamma": gamma, "beta": beta}, x)
    np.testing.assert_allclose(layer.forward(x)[0], expected, rtol=0, atol=1e-11, equal_nan=False)


def test_starts_as_plain_normalization() -> None:
    layer = nn.LayerNorm(7)
    x = np.random.default_rng(0).standard_normal((3, 7)) * 5 + 2
    y, _ = layer.forward(x)
    var = x.var(axis=-1)
    np.testing.assert_allclose(y.mean(axis=-1), 0.0, rtol=0, atol=1e-14)
    np.testing.assert_allclose(y.var(axis=-1), var / (var + 1e-5), rtol=1e-13)  # a little below 1
    assert list(layer.params()) == ["gamma", "beta"]
    assert layer.parameter_count() == 2 * 7


def test_eps_is_kept() -> None:
    x = np.array([[1.0, -1.0]])
    np.testing.assert_allclose(nn.LayerNorm(2, eps=3.0).forward(x)[0], x / 2, rtol=1e-15)
