"""Adversarial points for comparing two formulas: where rounding, overflow, ties and masks show.

`points` takes generic arguments and changes them: scaled, shifted, tied, masked, repeated.
"""

import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirec.verify.pair import is_floating

Array = NDArray[Any]
Path = Callable[[float], tuple[Any, ...]]

# No larger: the square of 1e150 is a number, so a scalar product does not overflow, whose result is then a
# matter of the order of summation.
SCALES = (10.0, 1e3, 1e8, 1e150, 1e-8, 1e-150)
SHIFTS = (10.0, 1e4, 1e8)
MILD = 10.0


class Point(NamedTuple):
    """Arguments, what was done to them, and whether this is about the size of numbers (`sized`)."""

    kind: str
    args: tuple[Any, ...]
    sized: bool = False
    mild: bool = True  # False: so large or small that double precision may be at its end
    path: Path | None = None  # to an extreme point: path(0) is an ordinary one, path(1) the point itself

    @property
    def extreme(self) -> bool:
        """True where longer numbers may be at their end as well."""
        return self.sized and not self.mild


def points(args: Sequence[Any], names: Sequence[str]) -> Iterator[Point]:
    """The adversarial points made from one generic point; `names` are those of the arguments."""
    floats = [i for i, value in enumerate(args) if is_floating(value)]
    masks = [i for i, value in enumerate(args) if isinstance(value, np.ndarray) and value.dtype == np.bool_]
    ids = [i for i, v in enumerate(args) if isinstance(v, np.ndarray) and np.issubdtype(v.dtype, np.integer)]
    if floats:
        for s in SCALES:
            yield _sized(f"times {s:g}", args, floats, operator.mul, s)
        for s in SHIFTS:
            yield _sized(f"shifted by {s:g}", args, floats, operator.add, s)
        yield Point("whole numbers", _change(args, floats, np.round))
        yield Point("constant rows", _change(args, floats, _constant_rows))
        yield Point("all equal", _change(args, floats, lambda x: np.full_like(x, x.flat[0] if x.size else 0)))
        yield Point("zeros", _change(args, floats, np.zeros_like))
    if len(floats) > 1:
        for i in floats:
            yield _sized(f"{names[i]} alone times 1e+08", args, [i], operator.mul, 1e8)
            yield _sized(f"{names[i]} alone shifted by 1e+08", args, [i], operator.add, 1e8)
        yield from _pairs(args, floats, names)
    for i in masks:
        yield Point(f"{names[i]} all True", _change(args, [i], np.ones_like))
        yield Point(f"{names[i]} all False", _change(args, [i], np.zeros_like))
        yield Point(f"{names[i]} with its first row False", _change(args, [i], _first_row_false))
        yield Point(f"{names[i]} with a single True", _change(args, [i], _single_true))
    for i in ids:
        yield Point(
            f"{names[i]} all the same id",
            _change(args, [i], lambda x: np.full_like(x, x.flat[0] if x.size else 0)),
        )


def perturbed(args: Sequence[Any], rng: np.random.Generator) -> tuple[Any, ...]:
    """Every floating argument changed by about one unit in its last digit; equal numbers stay equal."""

    def nudge(x: Array) -> Array:
        values, place = np.unique(x, return_inverse=True)
        moved = values * (1 + np.finfo(np.float64).eps * rng.choice([-1.0, 1.0], values.size))
        return moved[place].reshape(x.shape)

    return _change(args, [i for i, value in enumerate(args) if is_floating(value)], nudge)


def _pairs(args: Sequence[Any], floats: Sequence[int], names: Sequence[str]) -> Iterator[Point]:
    """Two arguments of one shape that are equal, or nearly cancel."""
    for i, j in itertools.pairwise(floats):
        a, b = args[i], args[j]
        if a.shape == b.shape:
            yield Point(f"{names[i]} and {names[j]} equal", _put(args, j, a.copy()))
            path = partial(_nearly_opposite, args, i, j)
            yield Point(f"{names[i]} and {names[j]} nearly opposite", path(1.0), True, False, path)


def _nearly_opposite(args: Sequence[Any], i: int, j: int, t: float) -> tuple[Any, ...]:
    return _put(args, j, 1e-6**t * args[j] - args[i])


def _sized(
    kind: str, args: Sequence[Any], where: Sequence[int], how: Callable[[float, Array], Array], s: float
) -> Point:
    """Arguments multiplied by s, or s added; halfway to it stands its square root."""

    def path(t: float) -> tuple[Any, ...]:
        return _change(args, where, partial(how, s**t))

    return Point(kind, path(1.0), True, s == MILD, path)


def _put(args: Sequence[Any], where: int, new: Any) -> tuple[Any, ...]:
    return (*args[:where], new, *args[where + 1 :])


def _change(args: Sequence[Any], where: Sequence[int], how: Callable[[Array], Array]) -> tuple[Any, ...]:
    return tuple(how(value) if i in where else value for i, value in enumerate(args))


def _constant_rows(x: Array) -> Array:
    return np.repeat(x[..., :1], x.shape[-1], axis=-1) if x.ndim and x.size else x


def _first_row_false(mask: Array) -> Array:
    new = mask.copy()
    new[(0,) * (mask.ndim - 1)] = False
    return new


def _single_true(mask: Array) -> Array:
    new = np.zeros_like(mask)
    if mask.size:
        new.flat[mask.size // 2] = True
    return new
