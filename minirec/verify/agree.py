"""Both sides of a formula, computed and compared: the executable twin of a formula that is printed."""

from typing import Any

import numpy as np


def agree(name: str, left: Any, right: Any, *, tolerance: float = 1e-12) -> None:
    """Print that two results are equal, or raise: |left − right| <= tolerance · max(1, max |right|).

    name         of the formula, as on the formula sheet where it stands there
    left, right  numbers or arrays of the same shape
    Raises AssertionError with the place and both numbers where they differ most, or with both shapes.

    >>> agree("softmax sums to one", [0.2 + 0.8], [1.0])
    softmax sums to one: both sides agree.
    """
    a, b = np.asarray(left), np.asarray(right)
    if a.shape != b.shape:
        raise AssertionError(f"{name}: the left side has shape {a.shape}, the right side {b.shape}")
    gap = np.abs(a - b) if a.dtype != bool or b.dtype != bool else (a != b).astype(float)
    if not np.all(gap <= tolerance * max(1.0, float(np.abs(b).max(initial=0.0)))):  # NaN is a difference
        place = np.unravel_index(int(np.argmax(np.where(np.isnan(gap), np.inf, gap))), a.shape)
        where = f" at {[int(i) for i in place]}" if place else ""
        raise AssertionError(f"{name}: the sides differ{where}: {a[place]!s} and {b[place]!s}")
    print(f"{name}: both sides agree.")
