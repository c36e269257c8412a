"""The position-wise feed-forward layer (Vaswani et al. 2017, section 3.3): one network for all places.

FFN(x) = a(x W₁ + b₁) W₂ + b₂,    a = ReLU or GELU
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirec import functional as F
from minirec.functional import Array, LinearCache
from minirec.nn.linear import Linear
from minirec.nn.module import Grads, Module, prefixed


def activation_forward(name: str, x: Array) -> tuple[Array, Any]:
    """a(x) by its name, "relu" or "gelu"; the formula is looked up when it is called."""
    forward: Callable[[Array], tuple[Array, Any]] = getattr(F, f"{name}_forward")
    return forward(x)


def activation_backward(name: str, dy: Array, cache: Any) -> Array:
    """dx = dy ⊙ a′(x)"""
    backward: Callable[[Array, Any], Array] = getattr(F, f"{name}_backward")
    return backward(dy, cache)


class FeedForwardCache(NamedTuple):
    expand: LinearCache
    activation: Any
    project: LinearCache


class FeedForward(Module):
    """y = a(x W₁ + b₁) W₂ + b₂.    x (..., width)  ->  hidden (..., hidden)  ->  y (..., width)"""

    def __init__(self, rng: np.random.Generator, width: int, hidden: int, activation: str = "relu") -> None:
        if activation not in ("relu", "gelu"):
            raise ValueError(f'activation must be "relu" or "gelu", got {activation!r}')
        self.expand = Linear(rng, width, hidden)
        self.project = Linear(rng, hidden, width)
        self.activation = activation

    def forward(self, x: Array) -> tuple[Array, FeedForwardCache]:
        h, expand = self.expand.forward(x)  # (..., hidden)
        a, activation = activation_forward(self.activation, h)
        y, project = self.project.forward(a)  # (..., width)
        return y, FeedForwardCache(expand, activation, project)

    def backward(self, dy: Array, cache: FeedForwardCache) -> tuple[Array, Grads]:
        da, project = self.project.backward(dy, cache.project)
        dh = activation_backward(self.activation, da, cache.activation)
        dx, expand = self.expand.backward(dh, cache.expand)
        return dx, prefixed("expand", expand) | prefixed("project", project)
