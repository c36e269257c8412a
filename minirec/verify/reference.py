"""The Jacobian that a backward function is held against, and how far each of its columns can be trusted.

Differences know their own error: what is left of the truncation shows in how much they move when the step is
halved, and rounding follows from the noise of the function itself. Both are measured from forward alone,
never by how well backward agrees. Where that error is too large, a column is differenced at smaller steps,
and, where complex step is legal, taken from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirec.verify import differences
from minirec.verify.kinks import SLACK, Kinks, find_kinks, one_smooth_side
from minirec.verify.pair import Pair

Array = NDArray[Any]
Function = Callable[[Array], Array]

SAFETY = (
    2.0  # times |R(h) − R(h/2)|, which overstates the truncation that is left after one more extrapolation
)
ROUNDING = (
    30.0  # times noise / h: 7 standard deviations of the extrapolated difference, which has 4.0 noise / h
)
ULPS = 100.0  # rounding of backward itself, in units of eps · S
SHARP = 1e-10  # columns whose error may be larger than this, relative to S, are made again with smaller steps
KNOWN = 1e-2  # differences with a larger doubt, relative to S, cannot confirm a complex step
FINER = (1e-1, 1e-2, 1e-3)


def noise(f: Function, x: Array) -> float:
    """Standard deviation of the rounding error of f at x: the largest over its outputs.

    From the sixth differences of ten values on a line so short that f is straight there as far as it is
    smooth, and only what rounding adds is left; var Δ⁶ = 924 var f. From x to one side and to the other, the
    smaller of the two: a kink at x is not met, one close by on one side only.
    Source: Hamming 1973; Moré & Wild 2011.
    """
    v = 1e-8 * np.where(np.arange(x.size) % 2 == 0, 1.0, -1.0) * np.maximum(1.0, np.abs(x))
    sides = []
    for side in (v, -v):
        values = np.stack([f(x + k * side) for k in range(10)])  # (10, m)
        sides.append(np.sqrt((np.diff(values, n=6, axis=0) ** 2).mean(axis=0) / 924.0))
    least = 0.5 * differences.EPS * float(np.abs(values[0]).max(initial=0.0))
    return max(float(np.minimum(*sides).max(initial=0.0)), least)


@dataclass
class Reference:
    """J (m, n) with the error that each column may have (n,), absolute, and what is not smooth."""

    J: Array
    doubt: Array
    kinks: Kinks
    smooth: Array  # (n,) False where there is a kink or a sharp bend within the first step
    by_complex_step: Array  # (n,) the columns that come from there

    @property
    def scale(self) -> float:
        """S = max |J|."""
        return float(np.abs(self.J).max(initial=0.0))


@np.errstate(all="ignore")  # a step may leave the domain of the function; a smaller one then does not
def by_differences(pair: Pair, rounding: float, size: float) -> Reference:
    """All columns by Richardson's differences at three steps, extrapolated once more."""
    f, x, start = pair.value, pair.x, np.ravel(pair.y)
    h = np.array([differences.step_for(v) for v in x])
    values = np.stack([differences.both_sides(f, x, _unit(x, j), h[j]) for j in range(x.size)])
    J, gap, bend = (part.T for part in differences.extrapolated(values, h, start))  # (m, n) each
    J, gap, bend = np.where(np.isfinite(J), J, 0.0), _or_inf(gap), _or_inf(bend)
    S = max(float(np.abs(J).max(initial=0.0)), size)
    bent: Array = np.any(np.abs(bend) > SLACK * S + 100 * rounding / h, axis=0)
    kinks = find_kinks(f, x, start, np.flatnonzero(bent), rounding, S)
    gap = np.where(kinks.at, 0.0, gap)
    doubt: Array = SAFETY * gap.max(axis=0) + ROUNDING * rounding / h
    found = Reference(J, doubt, kinks, ~bent, np.zeros(x.size, dtype=bool))
    good = SHARP * max(found.scale, size)
    for j in map(int, np.flatnonzero(doubt > good)):
        for finer in FINER:
            column, apart, _ = differences.romberg(f, x, _unit(x, j), finer * h[j], start)
            _take(found, j, column, apart, ROUNDING * rounding / (finer * h[j]))
            if doubt[j] <= good:
                break
        if doubt[j] > good and bent[j]:
            w = h[j] / differences.STEP  # max(1, |x_j|)
            parts = one_smooth_side(f, x, w * _unit(x, j), start, rounding)
            _take(found, j, *(part / w for part in parts))
    found.doubt += ULPS * differences.EPS * max(found.scale, size)
    return found


def _take(found: Reference, j: int, column: Array, apart: Array, rounding: Any) -> None:
    """Use this column where it is better known than the one that is there."""
    doubt = SAFETY * float(np.where(found.kinks.at[:, j], 0.0, _or_inf(apart)).max(initial=0.0)) + rounding
    if doubt < found.doubt[j]:
        found.J[:, j], found.doubt[j] = column, doubt


def sharpened(found: Reference, pair: Pair, exact: float, size: float) -> Reference:
    """The columns that differences leave in doubt, by complex step: for where that is legal.

    Only those that agree with the differences within the doubt of these, where it leaves two digits: a step
    that is legal in a random direction need not be legal for every column. `exact` is the relative error of
    complex step.
    """
    S = max(found.scale, size)
    for j in map(int, np.flatnonzero((found.doubt > SHARP * S) | ~found.smooth)):
        if not found.kinks.at[:, j].any():
            column = differences.complex_step(pair.value, pair.x, _unit(pair.x, j))
            if np.abs(column - found.J[:, j]).max(initial=0.0) <= found.doubt[j] <= KNOWN * S:
                found.J[:, j], found.doubt[j], found.by_complex_step[j] = column, exact * S, True
    return found


def by_complex_step(pair: Pair, exact: float, size: float) -> Reference:
    """All columns by complex step."""
    n = pair.x.size
    J = differences.jacobian(pair.value, pair.x, "complex")
    found = Reference(J, np.zeros(n), Kinks.none(len(J), n), np.ones(n, dtype=bool), np.ones(n, dtype=bool))
    found.doubt[:] = exact * max(found.scale, size)
    return found


def _or_inf(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.inf)


def _unit(x: Array, j: int) -> Array:
    unit = np.zeros(x.size)
    unit[j] = 1.0
    return unit
