"""The interaction-matrix model: matrix factorization with biases (Koren, Bell & Volinsky 2009).

    s_n = μ + b_u + b_i + p_uᵀ q_i,    u = users[n], i = items[n]

Section 4.1 of the document: users and items become vectors, and their products fill the matrix.
"""

from typing import NamedTuple

import numpy as np

from minirec.functional import embedding
from minirec.functional.arguments import Array, check_ids, check_same_shape


class FactorizationCache(NamedTuple):
    p: Array  # (N, D), the user vector of each row
    q: Array  # (N, D), the item vector of each row
    of_P: embedding.EmbeddingCache
    of_Q: embedding.EmbeddingCache


def factorization_forward(
    P: Array, Q: Array, b_user: Array, b_item: Array, mu: float, users: Array, items: Array
) -> tuple[Array, FactorizationCache]:
    """s = μ + b_user[u] + b_item[i] + Σ_d P[u] ⊙ Q[i].    users (N,), items (N,)  ->  s (N,)

    P (U, D), Q (I, D), b_user (U,), b_item (I,), mu a number.
    """
    check_ids("users", users, P.shape[0])
    check_ids("items", items, Q.shape[0])
    check_same_shape("users and items", users, items)
    p, of_P = embedding.embedding_forward(P, users)  # (N, D)
    q, of_Q = embedding.embedding_forward(Q, items)  # (N, D)
    s = mu + b_user[users] + b_item[items] + np.einsum("nd,nd->n", p, q)
    return s, FactorizationCache(p, q, of_P, of_Q)


def factorization_backward(ds: Array, cache: FactorizationCache) -> tuple[Array, Array, Array, Array]:
    """dP[u] = Σ ds q_i,  dQ[i] = Σ ds p_u,  db_user[u] = Σ ds,  db_item[i] = Σ ds    (over rows of u, i)"""
    p, q, of_P, of_Q = cache
    dP = embedding.embedding_backward(ds[:, None] * q, of_P)
    dQ = embedding.embedding_backward(ds[:, None] * p, of_Q)
    db_user = np.bincount(of_P.ids, ds, minlength=of_P.shape[0]).astype(ds.dtype, copy=False)
    db_item = np.bincount(of_Q.ids, ds, minlength=of_Q.shape[0]).astype(ds.dtype, copy=False)
    return dP, dQ, db_user, db_item
