"""FeedForward: its entry in the formula sheet, and where the activation comes from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import degenerate, normal, seeds

from minirec import functional as F
from minirec import nn
from minirec.verify.formula import Built


@given(seeds, st.sampled_from(["relu", "gelu"]), st.one_of(normal(2, 3, 5), degenerate(2, 3, 5), normal(5)))
def test_holds_what_the_sheet_says(seed: int, activation: str, x: np.ndarray) -> None:
    holds("FeedForward", Built({"width": 5, "hidden": 7, "activation": activation}, (x,)), seed=seed)


def test_the_activation_is_looked_up_when_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = nn.FeedForward(np.random.default_rng(0), 5, 7), np.ones((3, 5))
    monkeypatch.setattr(F, "relu_forward", lambda h: (0 * h, None))
    assert np.array_equal(layer.forward(x)[0], np.broadcast_to(layer.project.b, (3, 5)))


def test_parameters() -> None:
    layer = nn.FeedForward(np.random.default_rng(0), 5, 7)
    assert list(layer.params()) == ["expand.W", "expand.b", "project.W", "project.b"]


def test_an_unknown_activation() -> None:
    with pytest.raises(ValueError, match='activation must be "relu" or "gelu", got \'tanh\''):
        nn.FeedForward(np.random.default_rng(0), 5, 7, "tanh")
