"""The Gaussian error linear unit (Hendrycks & Gimpel 2016), the nonlinearity of BERT, in its tanh form.

    y = ½ x (1 + tanh u),    u = √(2/π) (x + 0.044715 x³)

The exact form is x Φ(x); NumPy has no error function, and the two differ by less than 5e-4.
"""

import math
from typing import NamedTuple

import numpy as np

from minirec.functional.arguments import Array

SCALE = math.sqrt(2.0 / math.pi)
CUBIC = 0.044715


class GeluCache(NamedTuple):
    x: Array  # (...)
    t: Array  # (...), tanh u


def gelu_forward(x: Array) -> tuple[Array, GeluCache]:
    """y = ½ x (1 + tanh u),  u = √(2/π) (x + 0.044715 x³).    x (...)  ->  y (...)"""
    t = np.tanh(SCALE * (x + CUBIC * x * x * x))
    return 0.5 * x * (1.0 + t), GeluCache(x, t)


def gelu_backward(dy: Array, cache: GeluCache) -> Array:
    """dx = dy · [½ (1 + t) + ½ x (1 − t²) u′],    t = tanh u,  u′ = √(2/π) (1 + 3 · 0.044715 x²)"""
    x, t = cache
    du = SCALE * (1.0 + 3.0 * CUBIC * x * x)
    return dy * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * du)
