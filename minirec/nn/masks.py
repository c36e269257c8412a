"""Masks say who may look at whom: boolean, True = may attend, broadcastable to (B, H, Tq, Tk)."""

import numpy as np

from minirec.functional import Array


def causal_mask(T: int) -> Array:
    """(T, T): position t sees the positions 0 .. t, never the future."""
    return np.tril(np.ones((T, T), dtype=bool))


def padding_mask(ids: Array) -> Array:
    """(B, 1, 1, T) from ids (B, T): every query sees the places whose id is not 0 (0 is padding)."""
    return (ids != 0)[:, None, None, :]


def diagonal_mask(C: int) -> Array:
    """(C, C): each position sees only itself, so that candidates do not know of each other."""
    return np.eye(C, dtype=bool)
