"""LayerNorm: its entry in the formula sheet, its parameters and its eps."""

import numpy as np
from hypothesis import given
from sheet import holds
from strategies import normal, seeds

from minirec import nn
from minirec.verify.formula import Built


@given(seeds, normal(2, 3, 5, scale=3.0))
def test_holds_what_the_sheet_says(seed: int, x: np.ndarray) -> None:
    holds("LayerNorm", Built({"width": 5}, (x,)), seed=seed)


def test_starts_as_plain_normalization() -> None:
    layer = nn.LayerNorm(7)
    assert {name: array.tolist() for name, array in layer.params().items()} == {
        "gamma": [1.0] * 7,
        "beta": [0.0] * 7,
    }


def test_eps_is_kept() -> None:
    x = np.array([[1.0, -1.0]])
    np.testing.assert_allclose(nn.LayerNorm(2, eps=3.0).forward(x)[0], x / 2, rtol=1e-15)
