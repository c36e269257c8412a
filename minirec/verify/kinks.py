"""Kinks exactly at the point of a check: ReLU at 0, |x| at 0, a maximum over equal entries.

There the function has a derivative to the left and another to the right, and backward is right with any
number between them. Such entries are found from forward alone (slopes.py), left out of the comparison with
differences, and judged one by one. (Together they need not be a subgradient: 1 for each of two equal maxima
passes.)
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirec.verify.differences import short
from minirec.verify.pair import Pair
from minirec.verify.reference import Reference, widths
from minirec.verify.report import Check
from minirec.verify.slopes import slope

Array = NDArray[Any]


def judge(pair: Pair, found: Reference, ours: Array, allowed: float) -> Check:
    """Backward lies between the two derivatives, up to `allowed` or their doubt; the row says where."""
    places = np.argwhere(found.kink)
    if not len(places):
        return Check("kinks", True, detail="none at this point")
    rows, columns = places.T
    left, right, given = found.left[rows, columns], found.right[rows, columns], ours[rows, columns]
    slack = np.maximum(allowed, found.doubt[rows, columns])
    outside = ~((given >= np.minimum(left, right) - slack) & (given <= np.maximum(left, right) + slack))
    where = [_place(pair, i, j) for i, j in places]
    if outside.any():
        k = int(np.argmax(outside))
        numbers = f"left {_g(left[k])}, right {_g(right[k])}, backward {_g(given[k])}"
        count = f"{int(outside.sum())} of {_entries(len(places))} on a kink"
        return Check("kinks", False, detail=f"{where[k]}: {numbers} is not between them ({count})")
    conventions = list(_conventions(left, right, given))
    if len(places) == 1:
        numbers = f"left {_g(left[0])}, right {_g(right[0])}, backward {_g(given[0])}"
        return Check("kinks", True, detail=f"1 entry on a kink: {where[0]}; {numbers} = {conventions[0]}")
    counts = {word: conventions.count(word) for word in dict.fromkeys(conventions)}
    said = ", ".join(f"{word} ({count})" for word, count in counts.items())
    shown = ", ".join(where[:3]) + (", ..." if len(where) > 3 else "")
    return Check("kinks", True, detail=f"{_entries(len(places))} on a kink: {shown}; backward takes {said}")


def along_a_line(pair: Pair, rng: np.random.Generator, rounding: Array) -> Check:
    """Without the full Jacobian: is there a kink along a random line through the point?"""
    v = short(rng.standard_normal(pair.x.size)) * widths(pair.x)
    found = slope(pair.value, pair.x, v, np.ravel(pair.y), rounding)
    if not found.kink.any():
        return Check("kinks", True, detail="none along a random line")
    i = int(np.argmax(np.where(found.kink, np.abs(found.right - found.left), 0.0)))
    output = tuple(int(k) for k in np.unravel_index(i, pair.y.shape))
    text = f"forward has a kink at this point: along a random line the derivative of y{_index(output)} is "
    text += f"{_g(found.left[i])} to the left and {_g(found.right[i])} to the right; "
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


def _g(number: Any) -> str:
    """Six digits; the rounding that a difference leaves of 0 is 0."""
    return f"{0.0 if abs(number) < 1e-9 else number:.6g}"


def _place(pair: Pair, i: int, j: int) -> str:
    name, index = pair.entry(int(j))
    output = tuple(int(k) for k in np.unravel_index(int(i), pair.y.shape))
    here = f"{name}{_index(index)}"
    return here if output == index or not output else f"∂y{_index(output)}/∂{here}"


def _index(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""
