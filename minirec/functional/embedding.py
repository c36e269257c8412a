"""Embedding: each id reads its row of a table (section 4.1 of the document).

y = E[ids],   the same as onehot(ids) E
"""

from typing import NamedTuple

import numpy as np

from minirec.functional.arguments import Array, check_ids


class EmbeddingCache(NamedTuple):
    ids: Array  # (...), integers
    shape: tuple[int, ...]  # (rows, D), of E


def embedding_forward(E: Array, ids: Array) -> tuple[Array, EmbeddingCache]:
    """y = E[ids].    E (rows, D), ids (...) in 0 .. rows − 1  ->  y (..., D)"""
    check_ids("ids", ids, E.shape[0])
    return E[ids], EmbeddingCache(ids, E.shape)


def embedding_backward(dy: Array, cache: EmbeddingCache) -> Array:
    """dE[r] = Σ over the places that read row r of dy,   the same as onehot(ids)ᵀ dy"""
    ids, (rows, D) = cache
    # Scatter-add, as a histogram of the table's cells weighted by dy: `dE[ids] += dy` would keep only the
    # last of several places with one id, and np.add.at is slower.
    cells = ids.reshape(-1, 1).astype(np.int64) * D + np.arange(D)  # (N, D)
    dE = np.bincount(cells.ravel(), dy.ravel(), minlength=rows * D)
    return dE.reshape(rows, D).astype(dy.dtype, copy=False)
