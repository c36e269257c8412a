"""Are two formulas the same function? They are compared at random and at adversarial points.

Where they disagree in double precision, both are computed once more with longer numbers (np.longdouble): a
difference that shrinks with the rounding error is rounding, one that stays is mathematics.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirec.verify.comparison.agreement import Agreement, Row, WorstPoint
from minirec.verify.comparison.points import Point, perturbed, points
from minirec.verify.pair import argument_names, fresh_copy, is_floating

__all__ = ["Agreement", "same"]

Array = NDArray[Any]
Formula = Callable[..., Any]

EPS = float(np.finfo(np.float64).eps)
LONGER = float(np.finfo(np.longdouble).eps) < EPS / 100  # not on Windows, and not on every ARM
GAIN = 1.5  # decimal digits that a rounding error must shrink by in longer numbers; 3.3 are expected
GONE = 1e-6  # two results this close, in longer numbers, where one of them overflowed in double precision
SAFETY = 64.0  # times what one unit in the last digit of the arguments does to the result
ADVERSARIAL = 3  # samples of each adversarial kind
OVERFLOW = (OverflowError, ZeroDivisionError, FloatingPointError)  # Python's numbers raise what NumPy's carry


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
        return self.gap <= self.allowed


def same(
    f: Formula,
    g: Formula,
    domain: Callable[[np.random.Generator], tuple[Any, ...]],
    *,
    rng: np.random.Generator | int | None = None,
    samples: int = 20,
    tolerance: float = 1e-10,
) -> Agreement:
    """Compare f(*args) with g(*args) at generic points of `domain` and at adversarial ones made from them.

    f, g       return an array or a number. A pair (y, cache) whose cache is a NamedTuple, as in functional/,
               stands for y
    domain     domain(rng) -> tuple of arguments: float64 arrays, masks, ids, numbers, a Generator
    rng        None stands for seed 0, so that the result can be repeated
    samples    generic points; of each adversarial kind there are at most three
    tolerance  difference allowed, relative to the largest entry of the row (last axis). At scaled and shifted
               points as much more as rounding the arguments changes the better of the two

    A point where both raise the same exception agrees; where both give NaN they are undefined there, which
    is printed and is no difference. Raises ValueError where no generic point gives a number.

    >>> same(np.sin, np.cos, lambda rng: (rng.standard_normal(5),)).verdict
    'different'
    """
    rng = np.random.default_rng(0 if rng is None else rng)
    generic = [tuple(domain(rng)) for _ in range(samples)]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        outcomes = [_compare(f, g, Point("generic", a), s, tolerance) for s, a in enumerate(generic)]
        _refuse_vacuity(outcomes)
        typical = float(np.median([_size(f, args) for args in generic]))
        for s, args in enumerate(generic[:ADVERSARIAL]):
            for point in points(args, argument_names(f, len(args))):
                floor = 0.0 if point.sized else typical
                outcome = _compare(f, g, point, s, tolerance, floor)
                if point.sized and not outcome.ok:
                    allowed = max(tolerance, SAFETY * _response(f, g, point, rng))
                    outcome = outcome._replace(allowed=allowed)
                outcomes.append(outcome)
        outcomes = [o if o.ok else _judge(f, g, o) for o in outcomes]
    return _agreement(outcomes, _names(f, g))


def _compare(
    f: Formula, g: Formula, point: Point, sample: int, tolerance: float, floor: float = 0.0
) -> Outcome:
    a, b = _evaluate(f, point.args), _evaluate(g, point.args)
    if isinstance(a, Exception) or isinstance(b, Exception):
        agree = type(a) is type(b)
        note = f"both raise {type(a).__name__}" if agree else "one raises"
        return Outcome(point, sample, 0.0 if agree else math.inf, tolerance, (), (a, b), note)
    if a.shape != b.shape:
        note = f"shapes {a.shape} and {b.shape}"
        return Outcome(point, sample, math.inf, tolerance, (), (a.shape, b.shape), note)
    gaps, undefined = _gaps(a, b, floor)
    if not gaps.size:
        return Outcome(point, sample, 0.0, tolerance, (), (a.shape, b.shape), "empty")
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gaps)), gaps.shape))
    note = f"both undefined at {undefined} of {gaps.size}" if undefined else ""
    return Outcome(point, sample, float(gaps[index]), tolerance, index, (a[index], b[index]), note)


def _evaluate(f: Formula, args: Sequence[Any]) -> Any:
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


def _gaps(a: Array, b: Array, floor: float = 0.0) -> tuple[Array, int]:
    """|a − b| over the largest entry of the row, inf where one is not finite; and how many are NaN twice."""
    both_nan = np.isnan(a) & np.isnan(b)
    equal = (a == b) | both_nan
    finite = np.isfinite(a) & np.isfinite(b)
    size = np.where(finite, np.maximum(np.abs(a), np.abs(b)), 0)
    scale = np.max(size, axis=-1, keepdims=True, initial=0.0) if size.ndim else size
    scale = np.broadcast_to(np.maximum(scale, floor), a.shape)
    gap = np.where(finite, np.abs(np.where(finite, a, 0) - np.where(finite, b, 0)), math.inf)
    relative = np.divide(gap, scale, out=np.full(a.shape, math.inf, dtype=gap.dtype), where=scale > 0)
    return np.where(equal, 0.0, relative), int(both_nan.sum())


def _response(f: Formula, g: Formula, point: Point, rng: np.random.Generator) -> float:
    """What one unit in the last digit of the arguments does to the better of the two; 0 where unknown."""
    moved = [perturbed(point.args, rng) for _ in range(3)]
    found = []
    for formula in (f, g):
        y, changes = _evaluate(formula, point.args), []
        for args in moved:
            other = _evaluate(formula, args)
            if isinstance(y, Exception) or isinstance(other, Exception) or y.shape != other.shape:
                continue
            change = float(np.max(_gaps(y, other)[0], initial=0.0))
            if math.isfinite(change):
                changes.append(change)
        if len(changes) == len(moved):
            found.append(max(changes))
    return min(found, default=0.0)


def _judge(f: Formula, g: Formula, outcome: Outcome) -> Outcome:
    """Rounding or mathematics? Both once more in longer numbers, at the same point."""
    args = outcome.point.args
    a, b = _evaluate(f, args), _evaluate(g, args)
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
    la, lb = _evaluate(f, long_args), _evaluate(g, long_args)
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
        rounding = _relative(la, lb) <= GONE
    return outcome._replace(rounding=rounding, errors=errors)


def _relative(a: Array, b: Array) -> float:
    return float(np.max(_gaps(a, b)[0], initial=0.0))


def _error(y: Array, first: Array, second: Array) -> float:
    """How far y is from the nearer of the two results in longer numbers."""
    return min(_relative(y, first), _relative(y, second))


def _size(f: Formula, args: Sequence[Any]) -> float:
    y = _evaluate(f, args)
    return 0.0 if isinstance(y, Exception) else float(np.max(np.abs(y[np.isfinite(y)]), initial=0.0))


def _refuse_vacuity(outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        raise ValueError("samples must be at least 1: nothing was compared")
    last = outcomes[-1]
    if all(o.note.startswith("both raise") for o in outcomes):
        raise ValueError(f"at every generic point both formulas raise {last.values[0]!r}: check `domain`")
    if all(o.note == "empty" or (o.note and np.isnan(o.values[0])) for o in outcomes if o.ok):
        if all(o.ok for o in outcomes):
            raise ValueError("at every generic point both formulas are undefined: check `domain`")


def _agreement(outcomes: Sequence[Outcome], names: tuple[str, str]) -> Agreement:
    failed = [o for o in outcomes if not o.ok]
    calm = all(o.ok for o in outcomes if not o.point.sized or o.point.mild)
    unsure = any(o.rounding is None for o in failed)
    if not failed:
        verdict = "same"
    elif all(o.rounding or (o.rounding is None and calm) for o in failed) and _generic_digits(outcomes) >= 10:
        verdict = "same in exact arithmetic, not in floating point"
    else:
        verdict = "different"
    # The worst point is one that decides the verdict, of the plainest kind that does.
    deciding = [o for o in failed if not o.rounding] if verdict == "different" else []
    shown = deciding or failed or outcomes
    shown = [o for o in shown if o.point.kind == shown[0].point.kind] if deciding else shown
    worst = max(shown, key=lambda o: (o.gap / max(o.allowed, EPS), -o.sample))
    known = [o.errors for o in failed if o.errors is not None]
    kept = (_digits(max(e[0] for e in known)), _digits(max(e[1] for e in known))) if known else None
    kinds = dict.fromkeys(o.point.kind for o in outcomes)
    rows = tuple(_row(kind, [o for o in outcomes if o.point.kind == kind]) for kind in kinds)
    return Agreement(
        verdict=verdict,
        digits=min(row.digits for row in rows),
        worst=WorstPoint(worst.point.kind, worst.sample, worst.entry, *worst.values, worst.point.args),
        rows=rows,
        names=names,
        kept=kept if verdict.startswith("same in") else None,
        as_far_as_seen=unsure,
    )


def _generic_digits(outcomes: Sequence[Outcome]) -> float:
    return min(_digits(o.gap) for o in outcomes if o.point.kind == "generic")


def _row(kind: str, outcomes: Sequence[Outcome]) -> Row:
    worst = max(outcomes, key=lambda o: o.gap)
    notes = list(dict.fromkeys(o.note for o in outcomes if o.note))
    return Row(
        kind,
        len(outcomes),
        all(o.ok for o in outcomes),
        _digits(worst.gap),
        _digits(max(o.allowed for o in outcomes)),
        "; ".join(notes),
    )


def _digits(gap: float) -> float:
    """Decimal digits in agreement, 0 to 16."""
    return float(min(16.0, max(0.0, -math.log10(gap)))) if 0 < gap < math.inf else (16.0 if gap == 0 else 0.0)


def _names(f: Formula, g: Formula) -> tuple[str, str]:
    first, second = (getattr(formula, "__name__", "").removesuffix("_forward") for formula in (f, g))
    known = first and second and first != second and "<lambda>" not in (first, second)
    return (first, second) if known else ("the first", "the second")
