"""Linear: y = x W + b with its own W and b."""

import math

import numpy as np

from minirec import functional as F
from minirec.functional import Array, LinearCache
from minirec.nn.module import Grads, Module


def glorot_uniform(rng: np.random.Generator, d_in: int, d_out: int) -> Array:
    """W (d_in, d_out) uniform in ±√(6 / (d_in + d_out)): variance is kept (Glorot & Bengio 2010)."""
    limit = math.sqrt(6.0 / (d_in + d_out))
    return rng.uniform(-limit, limit, (d_in, d_out))


class Linear(Module):
    """y = x W + b.    W (d_in, d_out), b (d_out,);  x (..., d_in)  ->  y (..., d_out)"""

    def __init__(self, rng: np.random.Generator, d_in: int, d_out: int) -> None:
        self.W = glorot_uniform(rng, d_in, d_out)
        self.b = np.zeros(d_out)

    def forward(self, x: Array) -> tuple[Array, LinearCache]:
        return F.linear_forward(x, self.W, self.b)

    def backward(self, dy: Array, cache: LinearCache) -> tuple[Array, Grads]:
        dx, dW, db = F.linear_backward(dy, cache)
        return dx, {"W": dW, "b": db}
