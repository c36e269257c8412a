"""What two formulas give at one point, and how far apart that is: the arithmetic below compare.py."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirec.verify.comparison.points import Point, perturbed
from minirec.verify.pair import fresh_copy

Array = NDArray[Any]
Formula = Callable[..., Any]

SAFETY = 64.0  # times what one unit in the last digit of the arguments does to the result


class Outcome(NamedTuple):
    """What two formulas gave at one point."""

    point: Point
    sample: int
    gap: float  # relative: 0 equal, inf where one is not finite
    allowed: float
    entry: tuple[int, ...]
    values: tuple[Any, Any]  # there; or the exceptions
    note: str = ""
    rounding: bool | None = None  # where gap > allowed: is it rounding? None: cannot be told
    errors: tuple[float, float] | None = None  # of either, against longer numbers

    @property
    def ok(self) -> bool:
        """True where the two agree."""
        return self.gap <= self.allowed


def evaluate(f: Formula, args: Sequence[Any]) -> Any:
    """The value as an array, or the exception."""
    try:
        y = f(*map(fresh_copy, args))
        if isinstance(y, tuple) and len(y) == 2 and hasattr(y[1], "_fields"):
            y = y[0]
        y = np.asarray(y)
    except Exception as error:  # whatever a formula raises is part of what it does
        return error
    if y.dtype.kind not in "fiub":
        raise TypeError(f"a formula must return a real array or a number, got dtype {y.dtype}")
    return y if y.dtype.kind == "f" else y.astype(np.float64)


def compare(
    f: Formula, g: Formula, point: Point, sample: int, tolerance: float, floor: float = 0.0
) -> Outcome:
    """Both at one point. `floor` is the least that a gap is relative to."""
    a, b = evaluate(f, point.args), evaluate(g, point.args)
    if isinstance(a, Exception) or isinstance(b, Exception):
        agree = type(a) is type(b)
        note = f"both raise {type(a).__name__}" if agree else "one raises"
        return Outcome(point, sample, 0.0 if agree else math.inf, tolerance, (), (a, b), note)
    if a.shape != b.shape:
        note = f"shapes {a.shape} and {b.shape}"
        return Outcome(point, sample, math.inf, tolerance, (), (a.shape, b.shape), note)
    found, undefined = gaps(a, b, floor, overflow=point.extreme)
    if not found.size:
        return Outcome(point, sample, 0.0, tolerance, (), (a.shape, b.shape), "empty")
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(found)), found.shape))
    note = f"both undefined at {undefined} of {found.size}" if undefined else ""
    return Outcome(point, sample, float(found[index]), tolerance, index, (a[index], b[index]), note)


def compare_sized(
    f: Formula, g: Formula, point: Point, sample: int, tolerance: float, rng: np.random.Generator
) -> Outcome:
    """As `compare`, at a point where rounding the arguments may excuse a larger gap."""
    outcome = compare(f, g, point, sample, tolerance)
    if outcome.ok:
        return outcome
    return outcome._replace(allowed=max(tolerance, SAFETY * _response(f, g, point, rng)))


def gaps(a: Array, b: Array, floor: float = 0.0, overflow: bool = False) -> tuple[Array, int]:
    """|a − b| over the largest entry of the row, inf where one is not finite; and how many are undefined.

    Undefined is NaN in both; with `overflow` also whatever is no number in both. Which of NaN, ∞ and −∞ comes
    out depends on the order in which numbers that are too large were added: of three factors, say.
    """
    finite = np.isfinite(a) & np.isfinite(b)
    undefined = np.isnan(a) & np.isnan(b)
    if overflow:
        undefined |= ~np.isfinite(a) & ~np.isfinite(b) & (a != b)
    equal = (a == b) | undefined
    size = np.where(finite, np.maximum(np.abs(a), np.abs(b)), 0)
    scale = np.max(size, axis=-1, keepdims=True, initial=0.0) if size.ndim else size
    scale = np.broadcast_to(np.maximum(scale, floor), a.shape)
    gap = np.where(finite, np.abs(np.where(finite, a, 0) - np.where(finite, b, 0)), math.inf)
    relative = np.divide(gap, scale, out=np.full(a.shape, math.inf, dtype=gap.dtype), where=scale > 0)
    return np.where(equal, 0.0, relative), int(undefined.sum())


def largest_gap(a: Array, b: Array) -> float:
    """The largest of the gaps."""
    return float(np.max(gaps(a, b)[0], initial=0.0))


def _response(f: Formula, g: Formula, point: Point, rng: np.random.Generator) -> float:
    """What one unit in the last digit of the arguments does to the better of the two; 0 where unknown."""
    moved = [perturbed(point.args, rng) for _ in range(3)]
    found = []
    for formula in (f, g):
        y, changes = evaluate(formula, point.args), []
        for args in moved:
            other = evaluate(formula, args)
            if isinstance(y, Exception) or isinstance(other, Exception) or y.shape != other.shape:
                continue
            change = largest_gap(y, other)
            if math.isfinite(change):
                changes.append(change)
        if len(changes) == len(moved):
            found.append(max(changes))
    return min(found, default=0.0)
