"""The Jacobian that a backward function is held against, and how far each of its entries can be trusted.

By differences (slopes.py), which know their own error; where that is too large and complex step is legal,
from there. All of it is measured from forward alone, never by how well backward agrees.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirec.verify import differences
from minirec.verify.differences import EPS
from minirec.verify.pair import Pair
from minirec.verify.slopes import COARSE, STEPS, Slope, both_sides, every_step, one_step

Array = NDArray[Any]

ULPS = 100.0  # rounding of backward itself, in units of eps · S
ULPS_OF_Y = 20.0  # the same in units of eps · |y| / max(1, |x|): y (1 − y) of a y near 1 is rounded like y
SHARP = 1e-10  # columns whose doubt is larger than this, relative to S, are made again with all steps
KNOWN = 1e-2  # differences with a larger doubt, relative to S, cannot confirm a complex step
EXACT = 2e-11  # relative error allowed where complex step gives the derivative to rounding
TINY = 2.0**-24  # below this an x takes steps in proportion to itself too
BLOCK = 2**17  # derivatives that are made at once: what they need for it stays near 50 MB
MARGIN = 1 / 16  # of the step within which a column was seen to be smooth: how far random lines go in it


@dataclass
class Reference:
    """J (m, n) with the doubt of every entry, absolute; the entries on a kink, and there both derivatives.

    `lengths` (n,) says how far each column is smooth, in units of the first step: max(1, |x|) as a rule, and
    0 where there is a kink. `by_complex_step` (n,): the columns that come from there.
    """

    J: Array
    doubt: Array
    kink: Array
    left: Array
    right: Array
    lengths: Array
    by_complex_step: Array
    around: float = 0.0  # the largest slope within the first step: what there is to compare with where J is 0

    @property
    def scale(self) -> float:
        """S = max |J|, over the entries that are known."""
        known = self.doubt <= KNOWN * np.abs(self.J)
        return float(np.abs(self.J[known] if known.any() else self.J).max(initial=0.0))


def widths(x: Array) -> Array:
    """The unit of a step in each entry: the power of two at max(1, |x|), so that x ± step is exact."""
    return 2.0 ** np.floor(np.log2(np.maximum(1.0, np.abs(x))))


def by_differences(pair: Pair, rounding: Array, size: float) -> Reference:
    """All columns by differences. `size` is the scale of J where J itself has none."""
    f, x, start, w = pair.value, pair.x, np.ravel(pair.y), widths(pair.x)
    block = max(1, BLOCK // start.size)
    slopes, around = [], 0.0
    for columns in np.split(np.arange(x.size), range(block, x.size, block)):
        values = np.stack([both_sides(f, x, w[j] * _unit(x, j), STEPS, start) for j in columns])
        slopes.append(one_step(values, start, rounding))  # of (columns, 2, 4, m)
        moved = np.abs(values[:, :, 0] - start).max(initial=0.0, where=np.isfinite(values[:, :, 0]))
        around = max(around, float(moved) / COARSE)
    found = _reference(Slope(*(np.concatenate(part) for part in zip(*slopes, strict=True))), w)
    S = max(found.scale, size)
    for j in map(int, np.flatnonzero((found.doubt > SHARP * S).any(axis=0))):
        for width in (w[j], *([abs(x[j])] if 0 < abs(x[j]) < TINY else [])):
            again = every_step(f, x, width * _unit(x, j), start, rounding)
            column = _reference(Slope(*(part[None] for part in again)), np.array([width]))
            if width == w[j] or column.doubt.max() < found.doubt[:, j].max():
                _replace(found, j, column)
    found.doubt += ULPS * EPS * max(found.scale, size)
    found.around = around
    return found


def sharpened(found: Reference, pair: Pair, exact: float, size: float) -> Reference:
    """The columns that differences leave in doubt, by complex step: for where that is legal.

    In doubt against the whole, or against the weight of an argument in an output. Only those are taken that
    agree with the differences within the doubt of these: a step that is legal in a random direction need not
    be legal for every column. `exact` is the relative error of complex step.
    """
    S = max(found.scale, size)
    taken = np.zeros(found.J.shape, dtype=bool)
    poor = (found.doubt > SHARP * S) | (found.doubt > KNOWN * _own_weight(found.J, pair))
    for j in map(int, np.flatnonzero(poor.any(axis=0))):
        if not found.kink[:, j].any() and (found.doubt[:, j] <= KNOWN * S).all():
            column = differences.complex_step(pair.value, pair.x, _unit(pair.x, j))
            if np.all(np.abs(column - found.J[:, j]) <= found.doubt[:, j]):
                taken[:, j] = column != 0  # 0 may be a term whose imaginary part was dropped
                found.J[:, j] = np.where(taken[:, j], column, found.J[:, j])
    found.by_complex_step = np.asarray(taken.any(axis=0))
    found.doubt[taken] = complex_doubt(found.J, pair, exact, max(found.scale, size))[taken]
    return found


def by_complex_step(pair: Pair, exact: float, size: float) -> Reference:
    """All columns by complex step."""
    J = differences.jacobian(pair.value, pair.x, "complex")
    no = np.zeros(J.shape, dtype=bool)
    scale = max(float(np.abs(J).max(initial=0.0)), size)
    doubt = complex_doubt(J, pair, exact, scale)
    return Reference(J, doubt, no, J, J, widths(pair.x), np.ones(pair.x.size, dtype=bool))


def complex_doubt(J: Array, pair: Pair, exact: float, S: float) -> Array:
    """How far backward may be from a J (m, n) by complex step, of scale S.

    `exact` relative to S; where an argument weighs less than the whole in an output, to its own weight there,
    down to the rounding of the whole.
    """
    whole = ULPS * EPS * max(1.0, exact / EXACT)
    of_y = ULPS_OF_Y * EPS * np.abs(np.ravel(pair.y))[:, None] / np.maximum(1.0, np.abs(pair.x))
    allowed: Array = np.minimum(exact * S, exact * _own_weight(J, pair) + whole * S) + of_y
    return allowed


def _own_weight(J: Array, pair: Pair) -> Array:
    """For every entry of J (m, n) the largest of its output and its argument."""
    own = np.empty_like(J)
    for part in pair.parts:
        own[:, part] = np.abs(J[:, part]).max(axis=1, keepdims=True, initial=0.0)
    return own


def _reference(slopes: Slope, width: Array) -> Reference:
    """The slopes (n, m) along w_j · e_j as columns of a Jacobian."""
    scaled = (part.T / width for part in (slopes.value, slopes.doubt, slopes.left, slopes.right))
    J, doubt, left, right = (np.array(part) for part in scaled)
    J[~np.isfinite(J)] = 0.0  # the doubt is inf there
    kink = np.array(slopes.kink.T)
    step = slopes.step.T.min(axis=0, initial=COARSE)
    lengths = np.where(step < COARSE, MARGIN * step / COARSE, 1.0) * width * ~kink.any(axis=0)
    return Reference(J, doubt, kink, left, right, lengths, np.zeros(len(width), dtype=bool))


def _replace(found: Reference, j: int, column: Reference) -> None:
    for name in ("J", "doubt", "kink", "left", "right"):
        getattr(found, name)[:, j] = getattr(column, name)[:, 0]
    found.lengths[j] = column.lengths[0]


def _unit(x: Array, j: int) -> Array:
    unit = np.zeros(x.size)
    unit[j] = 1.0
    return unit
