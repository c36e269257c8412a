"""The array type and the few checks of functional/: only what NumPy would accept in silence.

An id of -1 would read the last row, a boolean id a mask, a float mask a weight. Every other mismatch of
shapes is NumPy's own error.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def check_ids(name: str, ids: Array, count: int) -> None:
    """Raise unless `ids` are integers in 0 .. count - 1."""
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(f"{name} must be integers, got dtype {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() >= count):
        place = np.unravel_index(np.argmax((ids < 0) | (ids >= count)), ids.shape)
        where = f"{name}[{', '.join(str(int(i)) for i in place)}]" if ids.ndim else name
        raise IndexError(f"{where} = {ids[place]} is out of range: allowed are 0 to {count - 1}")


def check_mask(mask: Array, shape: tuple[int, ...]) -> None:
    """Raise unless `mask` is boolean (True = may be seen) and broadcasts to `shape`."""
    if mask.dtype != np.bool_:
        raise TypeError(f"mask must be boolean (True = may attend), got dtype {mask.dtype}")
    try:
        fits = np.broadcast_shapes(mask.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"mask of shape {mask.shape} does not broadcast to the scores' shape {shape}")


def check_same_shape(names: str, a: Array, b: Array) -> None:
    """Raise where NumPy would broadcast one operand of a loss against the other."""
    if a.shape != b.shape:
        raise ValueError(f"{names} must have equal shapes, got {a.shape} and {b.shape}")


def precision(x: Array) -> Any:
    """The real dtype to compute in: that of x, or float64 where x holds whole numbers."""
    return x.real.dtype if np.issubdtype(x.dtype, np.inexact) else np.dtype(np.float64)


def floats(x: Array) -> Array:
    """x, in float64 where it holds whole numbers: NumPy's exp of int8 would be float16."""
    return x if np.issubdtype(x.dtype, np.inexact) else x.astype(np.float64)


def shares(weight: Array | None, terms: Array) -> Any:
    """What each term counts in a mean: weight / Σ weight, or 1 / n. All zero where the total is zero.

    The shares have the precision of `terms`, so that float64 weights do not turn a float32 loss into float64.
    Raises ValueError for a weight that is negative or not finite.
    """
    if weight is None:
        return 1.0 / max(terms.size, 1)
    weight = np.broadcast_to(weight, terms.shape)
    wrong = ~((weight >= 0) & np.isfinite(weight))
    if wrong.any():
        raise ValueError(f"weights must not be negative or NaN or infinite, got {weight[wrong].flat[0]}")
    largest = weight.max(initial=0)
    if largest == 0:
        return np.zeros(weight.shape, dtype=precision(terms))
    # In units of the largest, and cast only then: weights of any size have a sum that is a number.
    weight = weight / largest
    return (weight / weight.sum()).astype(precision(terms))


def counted(share: Any, x: Array) -> Array:
    """x where it counts, 0 where its share is 0: what is left out cannot leak, not even as 0 · NaN."""
    return x if isinstance(share, float) else np.where(share == 0, x.dtype.type(0), x)
