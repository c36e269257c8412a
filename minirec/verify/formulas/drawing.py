"""What the places of the formula sheet are drawn from: numbers, masks, weights, ids that repeat."""

import numpy as np

from minirec.functional import Array

Rng = np.random.Generator


def normal(rng: Rng, *shape: int) -> Array:
    """Normally distributed numbers."""
    return rng.standard_normal(shape)


def short(rng: Rng, *shape: int) -> Array:
    """Numbers with one decimal, no two alike: for examples that are read."""
    size = int(np.prod(shape, dtype=np.int64))
    return (rng.permutation(np.arange(-max(size, 9), max(size, 9) + 1))[:size] / 10).reshape(shape)


def ragged(rng: Rng, *shape: int) -> Array:
    """A random mask whose first row is all False, and whose other rows keep at least two entries."""
    mask = rng.random(shape) < 0.5
    mask[..., :2] = True
    mask.reshape(-1, shape[-1])[0] = False
    return mask


def weights(rng: Rng, *shape: int) -> Array:
    """Positive weights, the first of them 0."""
    w = 0.5 + rng.random(shape)
    w.reshape(-1)[0] = 0.0
    return w


def repeated(rng: Rng, count: int, *shape: int) -> Array:
    """Ids 0 .. count − 1 of which at least one repeats and, from two on, at least one is never used."""
    ids = rng.integers(0, max(count - 1, 1), shape)
    if ids.size > 1:
        ids.reshape(-1)[-1] = ids.reshape(-1)[0]
    return ids


def away_from_zero(x: Array) -> Array:
    """x moved to |x| ≥ 0.1: no difference steps over a kink at 0."""
    return x + np.where(x >= 0, 0.1, -0.1)
