"""The linear map, the one layer with weights that everything else is built from.

y = x W + b
"""

from typing import NamedTuple

from minirec.functional import reductions
from minirec.functional.arguments import Array


class LinearCache(NamedTuple):
    x: Array  # (..., I)
    W: Array  # (I, O)


def linear_forward(x: Array, W: Array, b: Array) -> tuple[Array, LinearCache]:
    """y = x W + b.    x (..., I), W (I, O), b (O,)  ->  y (..., O)"""
    # Two axes: one large matrix product instead of one small product per leading index.
    y = x.reshape(-1, x.shape[-1]) @ W + b
    return y.reshape(*x.shape[:-1], W.shape[1]), LinearCache(x, W)


def linear_backward(dy: Array, cache: LinearCache) -> tuple[Array, Array, Array]:
    """dx = dy Wᵀ,  dW = Σ xᵀ dy,  db = Σ dy    (sums over the leading axes)"""
    x, W = cache
    x2 = x.reshape(-1, W.shape[0])  # (N, I)
    dy2 = dy.reshape(-1, W.shape[1])  # (N, O)
    dx = (dy2 @ W.T).reshape(x.shape)
    dW = x2.T @ dy2
    db = reductions.column_sums(dy2)
    return dx, dW, db
