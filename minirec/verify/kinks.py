"""Kinks exactly at the point of a check: ReLU at 0, |x| at 0, a maximum over equal entries.

There the function has a derivative to the left and another to the right, and backward is right with any
number between them. Such entries are found from forward alone, left out of the comparison with differences,
and judged one by one. (Together they need not be a subgradient: 1 for each of two equal maxima passes.)
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirec.verify import differences
from minirec.verify.pair import Pair
from minirec.verify.report import Check

Array = NDArray[Any]
Function = Callable[[Array], Array]

STEPS = (1e-5, 1e-7)  # of the one-sided differences: both must give the same two derivatives
NOISE = 20.0  # times noise / h: 8 standard deviations of a one-sided difference
SLACK = 1e-6  # relative to S: a smaller jump is no kink, and backward may leave the interval by this


class Kinks(NamedTuple):
    """Entries (m, n) on a kink, and there the derivatives to the left and to the right."""

    at: Array
    left: Array
    right: Array

    @classmethod
    def none(cls, m: int, n: int) -> "Kinks":
        return cls(np.zeros((m, n), dtype=bool), np.zeros((m, n)), np.zeros((m, n)))


def one_sided(f: Function, x: Array, v: Array, h: float, start: Array) -> tuple[Array, Array]:
    """Left and right derivative along v, (−3 f(0) + 4 f(h) − f(2h)) / 2h: the error falls as h²."""
    right = (-3 * start + 4 * f(x + h * v) - f(x + 2 * h * v)) / (2 * h)
    left = (3 * start - 4 * f(x - h * v) + f(x - 2 * h * v)) / (2 * h)
    return left, right


def kink_along(
    f: Function, x: Array, v: Array, start: Array, rounding: float, S: float
) -> tuple[Array, Array, Array]:
    """(outputs with a kink along v, left, right): both derivatives settle as the step shrinks, and differ."""
    (left, right), (near_left, near_right) = (one_sided(f, x, v, h, start) for h in STEPS)
    jump = np.abs(near_right - near_left)
    moved = np.maximum(np.abs(near_left - left), np.abs(near_right - right))
    visible = max(SLACK * S, 2 * NOISE * rounding / STEPS[1])
    return (jump > visible) & (moved <= 0.1 * jump), left, right


def one_smooth_side(
    f: Function, x: Array, v: Array, start: Array, rounding: float
) -> tuple[Array, Array, float]:
    """Next to a kink the derivative is that of the side without it: (derivative along v, doubt, rounding).

    The doubt is infinite where neither side is smooth, and where the function jumps.
    """
    coarse, fine, near = (one_sided(f, x, v, h, start) for h in (STEPS[0], STEPS[0] / 2, STEPS[1]))
    best = start, np.full(start.size, np.inf)
    for side in (0, 1):
        doubt, moved = np.abs(fine[side] - coarse[side]), np.abs(fine[side] - near[side])
        slack = SLACK * np.abs(fine[side]).max(initial=0.0) + NOISE * rounding / STEPS[1]
        jump = np.abs(near[1 - side]).max(initial=0.0) > 10 * np.abs(fine).max(initial=0.0)  # it grows as 1/h
        if (moved <= slack).all() and not jump and doubt.max(initial=0.0) < best[1].max(initial=0.0):
            best = fine[side], doubt
    return *best, NOISE * rounding / (STEPS[0] / 2)


def find_kinks(f: Function, x: Array, start: Array, columns: Array, rounding: float, S: float) -> Kinks:
    """The kinks in the given columns."""
    kinks = Kinks.none(start.size, x.size)
    for j in columns:
        v = np.zeros(x.size)
        v[j] = max(1.0, abs(float(x[j])))
        at, left, right = kink_along(f, x, v, start, rounding, S * v[j])
        kinks.at[:, j] = at
        kinks.left[:, j], kinks.right[:, j] = left / v[j], right / v[j]
    return kinks


def judge(pair: Pair, kinks: Kinks, ours: Array, S: float) -> Check:
    """Backward lies between the two derivatives, and the row says where."""
    places = np.argwhere(kinks.at)
    if not len(places):
        return Check("kinks", True, detail="none at this point")
    rows, columns = places.T
    left, right, found = kinks.left[rows, columns], kinks.right[rows, columns], ours[rows, columns]
    slack = SLACK * max(S, float(np.abs([left, right]).max()))
    outside = ~((found >= np.minimum(left, right) - slack) & (found <= np.maximum(left, right) + slack))
    where = [_place(pair, i, j) for i, j in places]
    if outside.any():
        k = int(np.argmax(outside))
        numbers = f"left {left[k]:.6g}, right {right[k]:.6g}, backward {found[k]:.6g}"
        count = f"{int(outside.sum())} of {_entries(len(places))} on a kink"
        return Check("kinks", False, detail=f"{where[k]}: {numbers} is not between them ({count})")
    conventions = list(_conventions(left, right, found))
    if len(places) == 1:
        numbers = f"left {left[0]:.6g}, right {right[0]:.6g}, backward {found[0]:.6g}"
        return Check("kinks", True, detail=f"1 entry on a kink: {where[0]}; {numbers} = {conventions[0]}")
    counts = {word: conventions.count(word) for word in dict.fromkeys(conventions)}
    said = ", ".join(f"{word} ({count})" for word, count in counts.items())
    shown = ", ".join(where[:3]) + (", ..." if len(where) > 3 else "")
    return Check("kinks", True, detail=f"{_entries(len(places))} on a kink: {shown}; backward takes {said}")


def along_a_line(pair: Pair, rng: np.random.Generator, rounding: float) -> Check:
    """Without the full Jacobian: is there a kink along a random line through the point?"""
    v = differences.short(rng.standard_normal(pair.x.size))
    start = np.ravel(pair.y)
    left, right = one_sided(pair.value, pair.x, v, STEPS[0], start)
    S = float(np.abs([left, right]).max(initial=0.0))
    at, left, right = kink_along(pair.value, pair.x, v, start, rounding, S)
    if not at.any():
        return Check("kinks", True, detail="none along a random line")
    i = int(np.argmax(np.where(at, np.abs(right - left), 0.0)))
    output = tuple(int(k) for k in np.unravel_index(i, pair.y.shape))
    text = f"forward has a kink at this point: along a random line the derivative of y{_index(output)} is "
    text += f"{left[i]:.6g} to the left and {right[i]:.6g} to the right; "
    return Check("kinks", False, detail=text + "move the point, or let jacobian=True judge entry by entry")


def _conventions(left: Array, right: Array, found: Array) -> Iterator[str]:
    for share in (found - left) / (right - left):
        near = [
            word
            for t, word in ((0, "the left one"), (1, "the right one"), (0.5, "the mean"))
            if abs(share - t) < 1e-5
        ]
        yield near[0] if near else "a number between them"


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _place(pair: Pair, i: int, j: int) -> str:
    name, index = pair.entry(int(j))
    output = tuple(int(k) for k in np.unravel_index(int(i), pair.y.shape))
    here = f"{name}{_index(index)}"
    return here if output == index or not output else f"∂y{_index(output)}/∂{here}"


def _index(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""
