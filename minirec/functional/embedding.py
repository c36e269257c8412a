"""Embedding: each id reads its row of a table (section 4.1 of the document).

    y = E[ids],   the same as onehot(ids) E
"""

from typing import NamedTuple

import numpy as np

from minirec.functional.arguments import Array, check_ids


class EmbeddingCache(NamedTuple):
    ids: Array  # (...), integers
    shape: tuple[int, ...]  # of E: (rows, D)


def embedding_forward(E: Array, ids: Array) -> tuple[Array, EmbeddingCache]:
    """y = E[ids].    E (rows, D), ids (...) in 0 .. rows − 1  ->  y (..., D)"""
    check_ids("ids", ids, E.shape[0])
    return E[ids], EmbeddingCache(ids, E.shape)


def embedding_backward(dy: Array, cache: EmbeddingCache) -> Array:
    """dE[r] = Σ over the places that read row r of dy,   the same as onehot(ids)ᵀ dy"""
    ids, shape = cache
    dE = np.zeros(shape, dtype=dy.dtype)
    # Scatter-add: `dE[ids] += dy` would keep only the last of several places with one id.
    np.add.at(dE, ids, dy)
    return dE
