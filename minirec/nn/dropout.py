"""Dropout as a module: it has no parameters, only its rate."""

import numpy as np

from minirec import functional as F
from minirec.functional import Array, DropoutCache
from minirec.nn.module import Grads, Module


class Dropout(Module):
    """y = x ⊙ keep / (1 − rate) while training (`rng` given), y = x in evaluation (`rng` None)."""

    def __init__(self, rate: float) -> None:
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"dropout rate must be in [0, 1), got {rate}")
        self.rate = rate

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, DropoutCache]:
        return F.dropout_forward(x, self.rate, rng)

    def backward(self, dy: Array, cache: DropoutCache) -> tuple[Array, Grads]:
        return F.dropout_backward(dy, cache), {}
