"""Embedding: each id reads its row of a table (section 4.1 of the document).

y = E[ids],   the same as onehot(ids) E
"""

from typing import NamedTuple

from minirec.functional import row_gradient
from minirec.functional.arguments import Array, check_ids
from minirec.functional.row_gradient import RowGradient


class EmbeddingCache(NamedTuple):
    ids: Array  # (...), integers
    shape: tuple[int, ...]  # (rows, D), of E


def embedding_forward(E: Array, ids: Array) -> tuple[Array, EmbeddingCache]:
    """y = E[ids].    E (rows, D), ids (...) in 0 .. rows − 1  ->  y (..., D)"""
    check_ids("ids", ids, E.shape[0])
    return E.take(ids, axis=0), EmbeddingCache(ids, E.shape)


def embedding_backward(dy: Array, cache: EmbeddingCache) -> Array:
    """dE[r] = Σ over the places that read row r of dy,   the same as onehot(ids)ᵀ dy"""
    return embedding_row_gradient(dy, cache).dense()


def embedding_row_gradient(dy: Array, cache: EmbeddingCache) -> RowGradient:
    """The rows of dE that were read; no other row has a gradient."""
    # A sum by id: `dE[ids] += dy` would keep only the last of several places with one id.
    return row_gradient.sum_by_row(cache.ids.ravel(), dy.reshape(-1, cache.shape[1]), cache.shape)
