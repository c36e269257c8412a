"""Dropout as a module: training with a generator, evaluation without one."""

import numpy as np
import pytest

from minirec import nn

X = np.random.default_rng(3).standard_normal((101, 103))


def test_evaluation_and_rate_zero_are_the_identity() -> None:
    dy = X[::-1]
    for layer, rng in ((nn.Dropout(0.3), None), (nn.Dropout(0.0), np.random.default_rng(0))):
        y, cache = layer.forward(X, rng=rng)
        assert np.array_equal(y, X)
        dx, grads = layer.backward(dy, cache)
        assert np.array_equal(dx, dy)
        assert grads == {}
    assert nn.Dropout(0.3).params() == {}


def test_the_same_generator_drops_the_same_and_backward_knows() -> None:
    layer = nn.Dropout(0.3)
    y, cache = layer.forward(X, rng=np.random.default_rng(5))
    again, _ = layer.forward(X, rng=np.random.default_rng(5))
    other, _ = layer.forward(X, rng=np.random.default_rng(6))
    assert np.array_equal(y, again)
    assert not np.array_equal(y, other)
    dx, _ = layer.backward(np.ones_like(X), cache)
    np.testing.assert_allclose(dx * X, y, rtol=1e-15)
    # 10,403 draws: the share of what is left strays by less than 0.005, the mean of dx by 0.007.
    assert (y != 0).mean() == pytest.approx(0.7, abs=0.02)
    assert dx.mean() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_a_rate_that_is_none(rate: float) -> None:
    with pytest.raises(ValueError, match=r"dropout rate must be in \[0, 1\)"):
        nn.Dropout(rate)
