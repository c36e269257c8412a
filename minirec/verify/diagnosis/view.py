"""One wrong array beside the right one: what every detector of the diagnosis is given.

`found` and `expected` are stacks of samples: gradients for random upstream gradients, then, where the full
Jacobian is known, its rows, which are the gradients for unit upstream gradients.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirec.verify.diagnosis.factors import CLOSE, Quantities, describe, name_factor, quantities

Array = NDArray[Any]

SHARE = 0.01  # an explanation may leave at most this much of the deviation unexplained


class Cause(NamedTuple):
    """What is probably wrong.

    name       a short stable key: "constant factor", "transposed", "missing sum", ...
    argument   the argument whose gradient is wrong; "" where it is the whole, or several (named in `text`)
    text       one sentence for the person who made the mistake, with the numbers
    sure       True: this alone reproduces the whole wrong gradient, on every sample;
               False: it fits what is seen, other causes may too

    The names: number of gradients, gradients swapped, not finite, zero, shape, missing sum, summed too much,
    axis of size 1, constant factor, transposed, transposed inside, reshaped, reversed, shifted, permuted,
    another argument's gradient, upstream itself, argument as a factor, factor along an axis, factor on the
    upstream gradient, factor on a term, wrong in places, one entry, other places, precision, whole numbers,
    residual path, another gradient added, constant added, missing mean term, missing variance term, missing
    mean and variance terms, missing row sum term, missing term, missing contributions, overwritten, not
    linear, ignores dy, second call differs.
    """

    name: str
    argument: str
    text: str
    sure: bool


class Finding(NamedTuple):
    """A cause before it is told of whom: `text` continues "dq ..."."""

    name: str
    text: str
    sure: bool


Findings = Iterator[Finding]


@dataclass(frozen=True)
class View:
    """found (N, *returned shape) against expected (N, *shape) for one argument, or for the value y."""

    name: str  # of the argument; "y" for a value
    label: str  # "dq", or "y"
    found: Array
    expected: Array
    arguments: Mapping[str, Any]
    differentiable: tuple[str, ...]
    others: Mapping[str, Array]  # the right gradients of the other arguments, for the same samples
    upstream: Array | None  # (N, *y.shape)
    units: int  # how many of the last samples are rows of the Jacobian: y.size or 0
    tolerance: float
    floor: float  # a deviation up to this is none
    value: Array | None = None  # y, where a gradient is looked at

    @property
    def shape(self) -> tuple[int, ...]:
        return self.expected.shape[1:]

    @property
    def same_shape(self) -> bool:
        return self.found.shape == self.expected.shape

    @cached_property
    def deviation(self) -> Array:
        """expected − found."""
        return self.expected - self.found

    @cached_property
    def wrong(self) -> Array:
        """Which entries are wrong in some sample, (*shape)."""
        return np.asarray((np.abs(self.deviation) > self.floor).any(axis=0))

    @cached_property
    def known(self) -> Quantities:
        shape = None if self.upstream is None else self.upstream.shape[1:]
        return quantities(self.arguments, shape, self.differentiable)

    @property
    def accuracy(self) -> float:
        """What a factor on this gradient is good to: less, where it is small beside the others."""
        return self.floor / (biggest(self.expected) or 1.0)

    def describe(self, c: float) -> str:
        """ "2 times the right one: is it counted twice?"."""
        return describe(c, self.known, self.accuracy)

    def name_factor(self, c: float) -> str:
        """What the number c is, as a question; "" where it has no name."""
        return name_factor(c, self.known, self.accuracy)

    def is_one(self, c: float) -> bool:
        """Is the factor c none?"""
        return abs(c - 1) <= max(CLOSE, self.accuracy)

    @property
    def distinct(self) -> int:
        """How many samples can differ: gradients of one output are all multiples of each other."""
        return len(self.found) if self.upstream is None else min(len(self.found), self.upstream[0].size)

    def fits(self, prediction: Array) -> bool:
        """Does this hypothesis give what was found, in every sample?"""
        return prediction.shape == self.found.shape and self._close(
            prediction, self.found, biggest(self.found)
        )

    def repairs(self, corrected: Array) -> bool:
        """Does this correction of what was found give what is right, in every sample?"""
        return corrected.shape == self.expected.shape and self._close(
            corrected, self.expected, biggest(self.expected)
        )

    def factor(self, base: Array) -> float | None:
        """c with found = c · base in every sample, or None. A single number is no evidence for any c."""
        if base.shape != self.found.shape or self.alone(base):
            return None
        c = float(np.vdot(base, self.found) / np.vdot(base, base))
        return c if c and self.fits(c * base) else None

    def alone(self, base: Array) -> bool:
        """Is there but one number in these samples, save for multiples of it?"""
        return int(np.count_nonzero(base.any(axis=0))) * self.distinct < 2

    def jacobians(self) -> tuple[Array, Array] | None:
        """found and expected as (m, n), or None where only samples are known."""
        if not self.units or not self.same_shape:
            return None
        return tuple(a[-self.units :].reshape(self.units, -1) for a in (self.found, self.expected))  # type: ignore[return-value]

    def _close(self, a: Array, b: Array, scale: float) -> bool:
        gap = biggest(a - b)
        if self.same_shape and gap > SHARE * biggest(self.deviation):
            return False
        return bool(np.isfinite(gap)) and gap <= max(self.tolerance * scale, self.floor)


def times(c: float, view: View) -> str:
    """The end of a sentence where a factor comes on top of another mistake; "" for the factor 1."""
    return "" if view.is_one(c) else f"; then it is {view.describe(c)}"


def biggest(values: Any) -> float:
    """max |values|, 0 where there are none."""
    return float(np.max(np.abs(values), initial=0.0))


def candidates(view: View, shape: tuple[int, ...], kinds: str = "fb") -> Iterator[tuple[str, Array]]:
    """The arguments of these kinds (float, boolean), numbers made of their rows, and y, broadcast to `shape`.

    A vector may stand for the last axis; whatever has fewer axes may also stand for the first ones.
    """
    for name, value in view.arguments.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds or value.size < 2:
            continue
        made = [(name, value.astype(np.float64))]
        if value.dtype.kind == "f" and value.ndim and value.shape[-1] > 1:
            centered = value - value.mean(axis=-1, keepdims=True)
            var = (centered**2).mean(axis=-1, keepdims=True)
            numbers = {0.0, 1e-5} | {
                float(v) for v in view.arguments.values() if isinstance(v, float) and 0 < v < 0.5
            }
            made += [(f"√(var {name} + {eps:g}) of each row", np.sqrt(var + eps)) for eps in sorted(numbers)]
            made.append((f"the sum of each row of {name}", value.sum(axis=-1, keepdims=True)))
            made.append((f"the norm of each row of {name}", np.sqrt((value**2).sum(axis=-1, keepdims=True))))
            made.append((f"the sum of the exponentials of each row of {name}", _exponentials(value)))
        for text, a in made:
            for b in (a, a.reshape(a.shape + (1,) * (len(shape) - a.ndim))):
                try:
                    yield text, np.broadcast_to(b, shape)
                    break
                except ValueError:
                    continue
    y = view.value
    if y is not None and y.shape == shape and y.size > 1:
        what = "what forward returns"
        yield from ((f"y ({what})", y), (f"1 − y (y: {what})", 1 - y), (f"1 + y (y: {what})", 1 + y))


def _exponentials(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.exp(x).sum(axis=-1, keepdims=True)
