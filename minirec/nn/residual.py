"""The skip connection around a sub-layer f, with its layer norm and dropout, in three orders.

    "pre"     y = x + dropout(f(norm(x)))           x and its gradients run through (Xiong et al. 2020)
    "post"    y = norm(x + dropout(f(x)))           as in Vaswani et al. 2017
    "first"   y = z + dropout(f(z)), z = norm(x)    as in the code of SASRec (Kang & McAuley 2018)

In that code the keys and values of attention are x and not z; here f sees z alone.
Every block of nn/ is two or three of these.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirec import functional as F
from minirec.functional import Array
from minirec.nn.layer_norm import LayerNorm
from minirec.nn.module import Grads


class ResidualCache(NamedTuple):
    norm: Any
    f: Any
    dropout: Any


def check_norm(norm: str) -> None:
    """Raise unless `norm` is one of the three orders."""
    if norm not in ("pre", "post", "first"):
        raise ValueError(f'norm must be "pre", "post" or "first", got {norm!r}')


def residual_forward(
    x: Array,
    f: Callable[[Array], tuple[Array, Any]],
    layer_norm: LayerNorm,
    norm: str,
    rate: float,
    rng: np.random.Generator | None,
) -> tuple[Array, ResidualCache]:
    """y = x + dropout(f(norm(x))), or another order of these.    x (..., D), f(x) (..., D)  ->  y (..., D)"""
    z, of_norm = layer_norm.forward(x) if norm != "post" else (x, None)
    skip = z if norm == "first" else x
    z, of_f = f(z)
    z, of_dropout = F.dropout_forward(z, rate, rng)
    y = skip + z
    if norm == "post":
        y, of_norm = layer_norm.forward(y)
    return y, ResidualCache(of_norm, of_f, of_dropout)


def residual_backward(
    dy: Array,
    f_backward: Callable[[Array, Any], tuple[Array, Any]],
    layer_norm: LayerNorm,
    norm: str,
    cache: ResidualCache,
) -> tuple[Array, Any, Grads]:
    """dx = dy + (dy through dropout, f, norm);  what else f_backward gave;  the gradients of the norm

    In the order "first", the dy of the skip goes through the norm as well.
    """
    grads: Grads
    if norm == "post":
        dy, grads = layer_norm.backward(dy, cache.norm)
    dz = F.dropout_backward(dy, cache.dropout)
    dz, more = f_backward(dz, cache.f)
    if norm == "first":
        dx, grads = layer_norm.backward(dy + dz, cache.norm)
        return dx, more, grads
    if norm == "pre":
        dz, grads = layer_norm.backward(dz, cache.norm)
    return dy + dz, more, grads
