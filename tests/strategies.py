"""What the tests draw their arrays from: values, scales and memory layouts. Every array is read-only."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

LAYOUTS = ("C", "Fortran", "strided", "negative stride", "broadcast")

seeds = st.integers(0, 2**32 - 1)
scales = st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6])


def frozen(array: Any) -> np.ndarray:
    """The array, read-only: whoever writes into it raises ValueError."""
    array = np.asarray(array)
    array.flags.writeable = False
    return array


def lay_out(array: np.ndarray, layout: str) -> np.ndarray:
    """Equal values in another memory layout; "broadcast" repeats the first entry of axis 0 with stride 0."""
    if array.ndim == 0:
        return frozen(np.array(array))
    if layout == "Fortran":
        return frozen(np.asfortranarray(array))
    if layout == "strided":
        wide = np.zeros([2 * n for n in array.shape], dtype=array.dtype)
        view = wide[tuple(slice(None, None, 2) for _ in array.shape)]
        view[...] = array
        return frozen(view)
    if layout == "negative stride":
        return frozen(np.flip(np.flip(array).copy()))
    if layout == "broadcast" and len(array):
        return np.broadcast_to(array[:1], array.shape)  # read-only already
    return frozen(np.array(array, order="C"))


@st.composite
def normal(
    draw: st.DrawFn, *shape: int, scale: float = 1.0, layouts: tuple[str, ...] = LAYOUTS
) -> np.ndarray:
    """Normally distributed numbers from a drawn seed (no two alike), in a drawn layout."""
    values = np.random.default_rng(draw(seeds)).standard_normal(shape) * scale
    return lay_out(values, draw(st.sampled_from(layouts)))


def degenerate(*shape: int, bound: float = 50.0) -> st.SearchStrategy[np.ndarray]:
    """Hypothesis's own arrays: few distinct values, zeros, equal rows."""
    return hnp.arrays(np.float64, shape, elements=st.floats(-bound, bound, width=32)).map(frozen)


def rows(*shape: int) -> st.SearchStrategy[np.ndarray]:
    """Generic arrays and degenerate ones."""
    return st.one_of(normal(*shape, scale=3.0), degenerate(*shape))


def masks(*shape: int) -> st.SearchStrategy[np.ndarray]:
    """Boolean arrays, rows of False included."""
    return hnp.arrays(np.bool_, shape, elements=st.booleans(), fill=st.nothing()).map(frozen)


def loss_weights(*shape: int) -> st.SearchStrategy[list[np.ndarray]]:
    """No weight, or one array of weights: zeros among them, or nothing but zeros."""
    some = hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.25, 1.0, 3.0]), fill=st.nothing())
    return st.one_of(st.just([]), some.map(lambda w: [frozen(w)]))
