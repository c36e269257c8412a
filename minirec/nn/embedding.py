"""Embedding: a table with one row per id."""

import math

import numpy as np

from minirec import functional as F
from minirec.functional import Array, EmbeddingCache
from minirec.nn.module import Grads, Module


class Embedding(Module):
    """y = E[ids].    E (rows, width), entries N(0, 1/width), so that rows have length about 1.

    With `padding=True` row 0 stands for "nothing here": it is 0 and gets no gradient, so that no optimizer
    moves it. ids are integers in 0 .. rows − 1. With `sparse=True` the gradient of E is a RowGradient: what a
    step costs then depends on how many rows it reads, not on how many there are.
    """

    def __init__(
        self, rng: np.random.Generator, rows: int, width: int, *, padding: bool = False, sparse: bool = False
    ) -> None:
        self.E = rng.standard_normal((rows, width)) / math.sqrt(width)
        self._padding, self._sparse = padding, sparse
        if padding:
            self.E[0] = 0.0

    def forward(self, ids: Array) -> tuple[Array, EmbeddingCache]:
        return F.embedding_forward(self.E, ids)

    def backward(self, dy: Array, cache: EmbeddingCache) -> tuple[None, Grads]:
        if self._sparse:
            rows = F.embedding_row_gradient(dy, cache)
            return None, {"E": rows.without(0) if self._padding else rows}
        dE = F.embedding_backward(dy, cache)
        if self._padding:
            dE[0] = 0.0
        return None, {"E": dE}
