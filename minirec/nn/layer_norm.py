"""LayerNorm: layer normalization with its own scale γ and shift β."""

import numpy as np

from minirec import functional as F
from minirec.functional import Array, LayerNormCache
from minirec.nn.module import Grads, Module


class LayerNorm(Module):
    """y = γ ⊙ (x − mean) / √(var + ε) + β.    gamma, beta (width,);  x (..., width)  ->  y (..., width)"""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        self.gamma = np.ones(width)
        self.beta = np.zeros(width)
        self.eps = eps

    def forward(self, x: Array) -> tuple[Array, LayerNormCache]:
        return F.layer_norm_forward(x, self.gamma, self.beta, self.eps)

    def backward(self, dy: Array, cache: LayerNormCache) -> tuple[Array, Grads]:
        dx, dgamma, dbeta = F.layer_norm_backward(dy, cache)
        return dx, {"gamma": dgamma, "beta": dbeta}
