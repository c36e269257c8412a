"""Two formulas disagree at a point: is it rounding, or mathematics? Asked by compare.py.

Both are computed once more with longer numbers (np.longdouble): a difference that shrinks with the rounding
error is rounding, one that stays is mathematics. Longer numbers come to their end as well, so at an extreme
point the way to it is followed back to where the difference begins, and judged there. A formula that computes
in single precision gains nothing from longer numbers; it is recognized by what it does to its arguments.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minirec.verify.comparison.evaluation import (
    Array,
    Formula,
    Outcome,
    compare_sized,
    evaluate,
    largest_gap,
)
from minirec.verify.comparison.points import Point
from minirec.verify.pair import is_floating

EPS = float(np.finfo(np.float64).eps)
LONGER = float(np.finfo(np.longdouble).eps) < EPS / 100  # not on Windows, and not on every ARM
GAIN = 1.5  # decimal digits that a rounding error must shrink by in longer numbers; 3.3 are expected
GONE = 1e-6  # two results this close, in longer numbers, where one of them overflowed in double precision
SINGLE = 1e-4  # two results this close, where one of them is computed in single precision
HALVINGS = 14  # of the way to an extreme point, 150 decades at most: the beginning to 0.01 of a decade
OVERFLOW = (OverflowError, ZeroDivisionError, FloatingPointError)  # Python's numbers raise what NumPy's carry


def judge(
    f: Formula,
    g: Formula,
    outcome: Outcome,
    tolerance: float,
    rng: np.random.Generator,
    single: tuple[bool, bool] = (False, False),
) -> Outcome:
    """The outcome with `rounding` and `errors`. `single` says which of the two works in single precision."""
    point = outcome.point
    a, b = evaluate(f, point.args), evaluate(g, point.args)
    comparable = not isinstance(a, Exception) and not isinstance(b, Exception) and a.shape == b.shape
    if any(single) and comparable:
        if point.extreme:
            return outcome._replace(rounding=None)
        close = outcome.gap <= SINGLE
        errors = (outcome.gap * single[0], outcome.gap * single[1]) if close and not all(single) else None
        return outcome._replace(rounding=close, errors=errors)
    found = _in_longer_numbers(f, g, outcome, a, b)
    if found.rounding is False and comparable and point.path is not None and point.extreme:
        first = _beginning(f, g, outcome, tolerance, rng)
        if first.point.args is not point.args and judge(f, g, first, tolerance, rng).rounding:
            return outcome._replace(rounding=None)  # rounding came first, and hides what there may be besides
    return found


def _in_longer_numbers(f: Formula, g: Formula, outcome: Outcome, a: Any, b: Any) -> Outcome:
    """Both once more in longer numbers, at the same point; a and b are what they gave in double precision."""
    args = outcome.point.args
    raised = [y for y in (a, b) if isinstance(y, Exception)]
    if raised:
        overflow = len(raised) == 1 and isinstance(raised[0], OVERFLOW) and outcome.point.sized
        lost = (float(isinstance(a, Exception)), float(isinstance(b, Exception)))
        return outcome._replace(rounding=overflow, errors=lost if overflow else None)
    if a.shape != b.shape:
        return outcome._replace(rounding=False)
    one_side = np.isfinite(a).all() != np.isfinite(b).all()
    errors = None
    if one_side:
        errors = (float(not np.isfinite(a).all()), float(not np.isfinite(b).all()))
    long_args = [value.astype(np.longdouble) if is_floating(value) else value for value in args]
    la, lb = evaluate(f, long_args), evaluate(g, long_args)
    kept = LONGER and all(
        isinstance(y, np.ndarray) and y.dtype == np.longdouble and y.shape == a.shape for y in (la, lb)
    )
    if not kept:
        # An overflow at a scaled point needs no second opinion; for the rest see `_agreement`.
        return outcome._replace(rounding=True if one_side and outcome.point.sized else None, errors=errors)
    # Only the row of the worst entry: elsewhere both may overflow alike in double, and not in longer numbers.
    row = outcome.entry[:-1]
    a, b, la, lb = a[row], b[row], la[row], lb[row]
    if not (np.isfinite(la).all() and np.isfinite(lb).all()):
        return outcome._replace(rounding=bool(one_side and outcome.point.sized), errors=errors)
    errors = (_error(a, la, lb), _error(b, la, lb))
    if np.isfinite(a).all() and np.isfinite(b).all():
        short, long = float(np.max(np.abs(a - b))), float(np.max(np.abs(la - lb)))
        rounding = long == 0 or math.log10(short) - math.log10(long) >= GAIN
    else:  # an overflow that is gone
        rounding = largest_gap(la, lb) <= GONE
    return outcome._replace(rounding=rounding, errors=errors)


def _error(y: Array, first: Array, second: Array) -> float:
    """How far y is from the nearer of the two results in longer numbers."""
    return min(largest_gap(y, first), largest_gap(y, second))


def _beginning(
    f: Formula, g: Formula, outcome: Outcome, tolerance: float, rng: np.random.Generator
) -> Outcome:
    """The mildest point found, on the way to the point of `outcome`, at which the two disagree."""
    path = outcome.point.path
    assert path is not None
    low, high, found = 0.0, 1.0, outcome
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        point = Point(outcome.point.kind, path(middle), True, False)
        tried = compare_sized(f, g, point, outcome.sample, tolerance, rng)
        if tried.ok:
            low = middle
        else:
            high, found = middle, tried
    return found


def works_in_single(f: Formula, samples: Sequence[tuple[Any, ...]]) -> bool:
    """Does f, given double precision, compute in single precision somewhere?

    Its result is of that dtype; or all its numbers are numbers of single precision; or one of its arguments
    may be rounded to single precision and not one bit of the result changes, though a larger change of that
    argument does change it.
    """
    seen = [(args, evaluate(f, args)) for args in samples]
    seen = [(args, y) for args, y in seen if not isinstance(y, Exception) and y.size]
    if not seen:
        return False
    if all(y.dtype in (np.float32, np.float16) for _, y in seen):
        return True
    first = seen[0][0]
    floats = [i for i, value in enumerate(first) if is_floating(value) and value.dtype == np.float64]
    moving = [i for i in floats if not all(_unchanged(f, args, y, i, 1e-5) for args, y in seen)]
    if not moving:
        return False
    if any(all(_unchanged(f, args, y, i, None) for args, y in seen) for i in moving):
        return True
    return all(np.array_equal(y, y.astype(np.float32), equal_nan=True) for _, y in seen) and not all(
        np.array_equal(y, np.rint(y), equal_nan=True) for _, y in seen
    )


def _unchanged(f: Formula, args: tuple[Any, ...], y: Array, i: int, by: float | None) -> bool:
    """Is f the same with argument i rounded to single precision, or changed by so much, relatively?"""
    with np.errstate(all="ignore"):
        new = args[i].astype(np.float32).astype(np.float64) if by is None else args[i] * (1 + by)
    other = evaluate(f, (*args[:i], new, *args[i + 1 :]))
    return not isinstance(other, Exception) and np.array_equal(other, y, equal_nan=True)


def digits(gap: float) -> float:
    """Decimal digits in agreement, 0 to 16."""
    return float(min(16.0, max(0.0, -math.log10(gap)))) if 0 < gap < math.inf else (16.0 if gap == 0 else 0.0)
