"""FeedForward: its formula, place by place."""

import numpy as np
import pytest
import reference_network as reference
from hypothesis import given
from strategies import normal, seeds

from minirec import functional as F
from minirec import nn


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@given(seeds, normal(2, 3, 5))
def test_equals_the_formula_at_every_place(activation: str, seed: int, x: np.ndarray) -> None:
    layer = reference.random_parameters(nn.FeedForward(np.random.default_rng(seed), 5, 7, activation), seed)
    y, _ = layer.forward(x)
    expected = reference.feed_forward(layer.params(), activation, x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12, equal_nan=False)
    np.testing.assert_allclose(layer.forward(x[1, 2])[0], y[1, 2], rtol=0, atol=1e-12, equal_nan=False)


def test_the_activation_is_looked_up_when_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = nn.FeedForward(np.random.default_rng(0), 5, 7), np.ones((3, 5))
    monkeypatch.setattr(F, "relu_forward", lambda h: (0 * h, None))
    assert np.array_equal(layer.forward(x)[0], np.broadcast_to(layer.project.b, (3, 5)))


def test_parameters() -> None:
    layer = nn.FeedForward(np.random.default_rng(0), 5, 7)
    assert list(layer.params()) == ["expand.W", "expand.b", "project.W", "project.b"]
    assert layer.parameter_count() == 5 * 7 + 7 + 7 * 5 + 5


def test_an_unknown_activation() -> None:
    with pytest.raises(ValueError, match='activation must be "relu" or "gelu", got \'tanh\''):
        nn.FeedForward(np.random.default_rng(0), 5, 7, "tanh")
