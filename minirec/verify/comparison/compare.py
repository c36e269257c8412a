"""Are two formulas the same function? They are compared at random and at adversarial points.

points.py makes the points, evaluation.py compares, judgement.py says of a difference whether it is rounding;
here stand the order of it all and the verdict.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirec.verify.comparison.agreement import Agreement, Row, WorstPoint
from minirec.verify.comparison.evaluation import Formula, Outcome, compare, compare_sized, evaluate
from minirec.verify.comparison.judgement import EPS, digits, judge, works_in_single
from minirec.verify.comparison.points import Point, points
from minirec.verify.pair import argument_names

__all__ = ["Agreement", "same"]

ADVERSARIAL = 3  # samples of each adversarial kind


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
    is printed and is no difference. At a point so extreme that longer numbers cannot tell rounding from
    mathematics either, a difference decides nothing. Raises ValueError where no generic point gives a number.

    >>> same(np.sin, np.cos, lambda rng: (rng.standard_normal(5),)).verdict
    'different'
    """
    rng = np.random.default_rng(0 if rng is None else rng)
    generic = [tuple(domain(rng)) for _ in range(samples)]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        outcomes = [compare(f, g, Point("generic", a), s, tolerance) for s, a in enumerate(generic)]
        _refuse_vacuity(outcomes)
        typical = float(np.median([_size(f, args) for args in generic]))
        for s, args in enumerate(generic[:ADVERSARIAL]):
            for point in points(args, argument_names(f, len(args))):
                if point.sized:
                    outcomes.append(compare_sized(f, g, point, s, tolerance, rng))
                else:
                    outcomes.append(compare(f, g, point, s, tolerance, typical))
        single = (False, False)
        if not all(o.ok for o in outcomes):
            single = (works_in_single(f, generic), works_in_single(g, generic))
        outcomes = [o if o.ok else judge(f, g, o, tolerance, rng, single) for o in outcomes]
    return _agreement(outcomes, _names(f, g), single)


def _size(f: Formula, args: Sequence[Any]) -> float:
    y = evaluate(f, args)
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


def _agreement(outcomes: Sequence[Outcome], names: tuple[str, str], single: tuple[bool, bool]) -> Agreement:
    failed = [o for o in outcomes if not o.ok]
    # A difference that cannot be told from rounding decides where numbers are of ordinary size.
    deciding = [o for o in failed if o.rounding is False or (o.rounding is None and not o.point.extreme)]
    generic = min(digits(o.gap) for o in outcomes if o.point.kind == "generic")
    if failed and not deciding and not any(single) and generic < 10:
        deciding = [o for o in failed if o.point.kind == "generic"]
    verdict = "different" if deciding else "same in exact arithmetic, not in floating point"
    verdict = verdict if failed else "same"
    # The worst point is one that decides the verdict, of the plainest kind that does.
    shown = [o for o in deciding if o.point.kind == deciding[0].point.kind] or failed or outcomes
    worst = max(shown, key=lambda o: (o.gap / max(o.allowed, EPS), -o.sample))
    known = [o.errors for o in failed if o.errors is not None]
    kept = (digits(max(e[0] for e in known)), digits(max(e[1] for e in known))) if known else None
    kinds = dict.fromkeys(o.point.kind for o in outcomes)
    rows = tuple(_row(kind, [o for o in outcomes if o.point.kind == kind]) for kind in kinds)
    return Agreement(
        verdict=verdict,
        digits=min(row.digits for row in rows),
        worst=WorstPoint(worst.point.kind, worst.sample, worst.entry, *worst.values, worst.point.args),
        rows=rows,
        names=names,
        kept=kept if verdict.startswith("same in") else None,
        as_far_as_seen=any(single) or any(o.rounding is None for o in failed),
        single=single,
    )


def _row(kind: str, outcomes: Sequence[Outcome]) -> Row:
    worst = max(outcomes, key=lambda o: o.gap)
    notes = list(dict.fromkeys(o.note for o in outcomes if o.note))
    failed = [o for o in outcomes if not o.ok]
    if failed and all(o.rounding is None for o in failed):
        notes.append("cannot be told from rounding")
    return Row(
        kind,
        len(outcomes),
        not failed,
        digits(worst.gap),
        digits(max(o.allowed for o in outcomes)),
        "; ".join(notes),
    )


def _names(f: Formula, g: Formula) -> tuple[str, str]:
    first, second = (getattr(formula, "__name__", "").removesuffix("_forward") for formula in (f, g))
    known = first and second and first != second and "<lambda>" not in (first, second)
    return (first, second) if known else ("the first", "the second")
