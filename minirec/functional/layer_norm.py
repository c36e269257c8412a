"""Layer normalization (Ba, Kiros & Hinton 2016): each row is centered and scaled to variance 1.

y = γ ⊙ x̂ + β,    x̂ = (x − mean x) / √(var x + ε)
"""

from typing import NamedTuple

import numpy as np

from minirec.functional import reductions
from minirec.functional.arguments import Array


class LayerNormCache(NamedTuple):
    x_hat: Array  # (..., D)
    inv_std: Array  # (..., 1), 1 / √(var x + ε)
    gamma: Array  # (D,)


def layer_norm_forward(
    x: Array, gamma: Array, beta: Array, eps: float = 1e-5
) -> tuple[Array, LayerNormCache]:
    """y = γ ⊙ (x − mean) / √(var + ε) + β.    x (..., D), gamma (D,), beta (D,)  ->  y (..., D)"""
    # The variance is the mean of the squared differences (two passes); E[x²] − E[x]² would lose all its
    # digits where the mean is large.
    width = x.shape[-1]
    centered = x - reductions.row_sums(x) / width
    var = reductions.row_sums(centered * centered) / width
    inv_std = 1.0 / np.sqrt(var + eps)
    x_hat = centered * inv_std
    return gamma * x_hat + beta, LayerNormCache(x_hat, inv_std, gamma)


def layer_norm_backward(dy: Array, cache: LayerNormCache) -> tuple[Array, Array, Array]:
    """dx = (dx̂ − mean dx̂ − x̂ ⊙ mean(dx̂ ⊙ x̂)) / √(var + ε) with dx̂ = γ ⊙ dy;  dγ = Σ dy ⊙ x̂;  dβ = Σ dy"""
    x_hat, inv_std, gamma = cache
    width = gamma.shape[0]
    dy_x_hat = dy * x_hat
    dgamma, dbeta = reductions.column_sums(dy_x_hat), reductions.column_sums(dy)
    # x enters through itself, through the mean, and through the variance. The means of dx̂ = γ ⊙ dy and of
    # dx̂ ⊙ x̂ over a row are products with γ.
    mean = (dy @ gamma)[..., None] / width
    along = (dy_x_hat @ gamma)[..., None] / width
    dx = (gamma * dy - mean - x_hat * along) * inv_std
    return dx, dgamma, dbeta
