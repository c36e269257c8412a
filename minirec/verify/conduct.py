"""The rows of the gradient check that need no derivative: how a backward function must behave in any case.

It is linear in the upstream gradient, writes into nothing that it is given, and remembers nothing between
calls.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minirec.verify.derivative import largest
from minirec.verify.differences import EPS
from minirec.verify.pair import Pair, fingerprint, first_change
from minirec.verify.reference import ULPS_OF_Y
from minirec.verify.report import Check

LINEAR = 1e-10  # backward is linear in dy up to rounding
SCALES = (-1.0, 1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9)


def linear(pair: Pair, rng: np.random.Generator) -> Check:
    """Jᵀ(sg) = s Jᵀg over 18 powers of ten and a change of sign, and Jᵀ(g + g') = Jᵀg + Jᵀg'.

    Also for g' of ones, which is what a sum of outputs sends back, and for another memory layout of dy.
    """
    g, other = rng.standard_normal(pair.y.size), rng.standard_normal(pair.y.size)
    base, second = pair.pull(g), pair.pull(other)
    scale = max(largest(base), largest(second)) or 1.0
    # What backward subtracts may be as large as y, though nothing of it is left.
    rounding = ULPS_OF_Y * EPS * float(np.abs(g * np.ravel(pair.y)).sum())
    scale = max(scale, rounding / LINEAR)
    gaps = {f"dy times {s:g}": largest(pair.pull(s * g) - s * base) / (abs(s) * scale) for s in SCALES}
    gaps["a sum of two dy"] = largest(pair.pull(g + other) - (base + second)) / scale
    ones = np.ones(pair.y.size)
    constant = pair.pull(ones)
    size = max(scale, largest(constant))
    gaps["a constant dy"] = largest(pair.pull(g + ones) - (base + constant)) / size
    gaps["dy in Fortran's order"] = largest(pair.pull(g, order="F") - base) / scale
    place, gap = max(gaps.items(), key=lambda item: item[1] if np.isfinite(item[1]) else np.inf)
    ok = gap <= LINEAR
    return Check("linear in dy", ok, gap, LINEAR, "" if ok else f"not for {place}")


def zero_upstream(pair: Pair) -> Check:
    """dy = 0 gives exactly 0 everywhere."""
    out = pair.pull(np.zeros(pair.y.size))
    ok = bool(np.all(out == 0))
    return Check("zero in, zero out", ok, detail="" if ok else f"dy = 0 gives {largest(out):.3g}")


def purity(pair: Pair, rng: np.random.Generator) -> Iterator[Check]:
    """Nothing written in place, and the same bits from a second call, another call in between or not."""
    args, g = pair.arguments(), rng.standard_normal(pair.y.size)
    dy = pair.upstream(g)
    before = fingerprint(args)
    y, cache = pair.call(args)
    changed = _change("forward changes its argument", before, _without_generators(args, before), pair)
    kept, upstream, result = fingerprint(cache), fingerprint(dy), fingerprint(y)
    returned = pair.gradients(dy, cache)
    first = fingerprint(returned)
    changed += _change("backward changes its argument", before, _without_generators(args, before), pair)
    for what, old, new in (("cache", kept, cache), ("dy", upstream, dy), ("y", result, y)):
        place = first_change(old, fingerprint(new))
        if place is not None:
            changed.append(
                f"backward changes {what} {place}" if what == "cache" else f"backward changes {what}"
            )
    yield Check("nothing written in place", not changed, detail="; ".join(changed))

    differ = []
    if first_change(first, fingerprint(pair.gradients(pair.upstream(g), cache))) is not None:
        differ.append("backward with the same cache")
    again, cache = pair.call(pair.arguments())
    if first_change(result, fingerprint(again)) is not None:
        differ.append("forward")
    _, other = pair.call(pair.arguments(pair.x + 1e-3 * rng.standard_normal(pair.x.size)))
    if first_change(first, fingerprint(pair.gradients(pair.upstream(g), cache))) is not None:
        differ.append("backward after another forward")
    pair.gradients(pair.upstream(-g), other)
    for what, old, new in (("y", result, y), ("gradients", first, returned)):
        if first_change(old, fingerprint(new)) is not None:
            differ.append(f"the {what} of the first call, which a later call has overwritten")
    yield Check(
        "second call, same bits", not differ, detail="differs: " + ", ".join(differ) if differ else ""
    )


def _without_generators(args: Sequence[Any], before: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Fingerprint of the arguments after a call, save that a Generator may have moved on."""
    moving = {str(i) for i, value in enumerate(args) if isinstance(value, np.random.Generator)}
    old = dict(before)
    return [(place, old[place] if place in moving else leaf) for place, leaf in fingerprint(list(args))]


def _change(
    what: str, before: list[tuple[str, bytes]], after: list[tuple[str, bytes]], pair: Pair
) -> list[str]:
    place = first_change(before, after)
    if place is None:
        return []
    known = {str(i): name for i, name in zip(pair.wrt, pair.names, strict=True)}
    return [f"{what} {known.get(place, place)}"]
