"""Embedding: a table with one row per id."""

import math

import numpy as np

from minirec import functional as F
from minirec.functional import Array, EmbeddingCache
from minirec.nn.module import Grads, Module


class Embedding(Module):
    """y = E[ids].    E (rows, width), entries N(0, 1/width), so that rows have length about 1.

    With `padding=True` row 0 stands for "nothing here": it is 0 and gets no gradient, so that no optimizer
    moves it. ids are integers in 0 .. rows − 1.
    """

    def __init__(self, rng: np.random.Generator, rows: int, width: int, *, padding: bool = False) -> None:
        self.E = rng.standard_normal((rows, width)) / math.sqrt(width)
        self._padding = padding
        if padding:
            self.E[0] = 0.0

    def forward(self, ids: Array) -> tuple[Array, EmbeddingCache]:
        return F.embedding_forward(self.E, ids)

    def backward(self, dy: Array, cache: EmbeddingCache) -> tuple[None, Grads]:
        dE = F.embedding_backward(dy, cache)
        if self._padding:
            dE[0] = 0.0
        return None, {"E": dE}
