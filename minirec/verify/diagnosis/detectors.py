"""What can be wrong with one gradient, seen from outside: detectors, each with its mathematics.

A detector makes a hypothesis about the mistake, predicts the wrong gradient from the right one, and compares.
F is what was found, E what is right, both stacks of samples (view.py). moved.py holds the detectors for
entries that stand in the wrong place, missing.py those for terms and contributions that are left out.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from minirec.verify.diagnosis.factors import axis_name, spread
from minirec.verify.diagnosis.places import named_places
from minirec.verify.diagnosis.view import Array, Finding, Findings, View, biggest, candidates, times

APART = 0.1  # entries are right beside wrong ones if they are off by less than this part of what those are


def not_finite(view: View) -> Findings:
    """F is NaN or infinite somewhere."""
    bad = np.asarray(~np.isfinite(view.found))
    if not bad.any():
        return
    kind = "NaN" if np.isnan(view.found).any() else "infinite"
    if not view.same_shape or bad.all():
        yield Finding("not finite", f"is {kind} {'everywhere' if bad.all() else 'in places'}", False)
        return
    if view.units and not bad[: -view.units].any():
        yield Finding("not finite", f"is {kind} where dy has zeros in it, and finite elsewhere", False)
        return
    places = np.asarray(bad.any(axis=0))
    rest = np.where(bad, view.expected, view.found)
    right = biggest(rest - view.expected) <= view.floor
    right = right and not places.all()
    where = _smallest(view, places) if places.sum() > 1 else ""
    count = f"at {int(places.sum())} of {places.size} entries, the first of them {_first(places)}"
    text = f"is {kind} {where or count}" + (", and right elsewhere" if right else "")
    yield Finding("not finite", text, bool(where) and right)


def zero(view: View) -> Findings:
    """F = 0."""
    if not view.found.any():
        yield Finding("zero", "is 0 everywhere: is it ever computed, and returned?", view.same_shape)


def constant_factor(view: View) -> Findings:
    """F = c E with one c for every entry of every sample."""
    c = view.factor(view.expected) if view.same_shape else None
    if c is not None:
        yield Finding("constant factor", f"is {view.describe(c)}", True)
    elif view.same_shape and view.alone(view.expected) and view.expected.any():
        c = float(np.vdot(view.expected, view.found) / np.vdot(view.expected, view.expected))
        yield Finding("constant factor", f"is {view.describe(c)}", False)


def shape(view: View) -> Findings:
    """F has another shape than E: a sum over some axes of one of them gives the other (times c)."""
    if view.same_shape:
        return
    got, wanted = view.found.shape[1:], view.shape
    what = f"has shape {got}, {view.name} has {wanted}"
    if (got and sorted(got) == sorted(wanted) and len(set(got)) > 1) or got == wanted[::-1]:
        for order in itertools.permutations(range(1, len(got) + 1)):
            moved = view.expected.transpose(0, *order)
            c = view.factor(moved)
            if c is not None:
                yield Finding("transposed", f"{what}: it is the transposed one{times(c, view)}", True)
                return
    fitting = []
    for axes in _subsets(len(got)):
        summed = view.found.sum(axis=tuple(a + 1 for a in axes), keepdims=True)
        flat = [n for a, n in enumerate(got) if a not in axes]
        kept = [1 if a in axes else n for a, n in enumerate(got)]
        if wanted not in (tuple(flat), tuple(kept)):
            continue
        summed = summed.reshape(view.expected.shape)
        c = _ratio(summed, view)
        single = all(got[a] == 1 for a in axes)
        over = " and ".join(f"axis {a}" for a in axes)
        if c is not None and single:
            yield Finding("axis of size 1", f"{what}: {over} is there too much{times(c, view)}", True)
            return
        if c is not None:
            text = f"{what}: the sum over {over} is missing, it gives the right numbers{times(c, view)}"
            yield Finding("missing sum", text, True)
            return
        fitting.append(f"a sum over {over} has the right shape, but not the right numbers")
    for axes in _subsets(len(wanted)):
        for keep in (True, False):
            total = view.expected.sum(axis=tuple(a + 1 for a in axes), keepdims=keep)
            c = view.factor(total)
            if c is not None:
                over = " and ".join(f"axis {a}" for a in axes)
                text = f"{what}: the right one was summed over {over}, which is too much{times(c, view)}"
                name = "summed too much"
                if all(wanted[a] == 1 for a in axes):
                    name, text = "axis of size 1", f"{what}: {over}, of size 1, is missing{times(c, view)}"
                yield Finding(name, text, True)
                return
    yield Finding("shape", what + (f": {fitting[0]}" if fitting else ""), False)


def array_factor(view: View) -> Findings:
    """F = E ⊙ a or F ⊙ a = E with an argument a; or F / E depends on some of the axes only."""
    if not view.same_shape or view.factor(view.expected) is not None:
        return
    named = False
    for text, a in candidates(view, view.shape, kinds="f"):
        for words, right in (
            (f"holds the factor {text} too much, entry by entry", view.fits(view.expected * a)),
            (f"lacks the factor {text}, entry by entry", view.repairs(view.found * a)),
        ):
            if right and np.ptp(a) > 0:
                named = True
                yield Finding("argument as a factor", words, True)
    if named:
        return
    square = (view.expected**2).sum(axis=0)
    for axis in range(len(view.shape)):
        if view.shape[axis] < 2 or view.expected.size < 6:
            continue
        top = (view.found * view.expected).sum(axis=(0, axis + 1), keepdims=True)
        bottom = square.sum(axis=axis, keepdims=True)[None]
        live = bottom > 0
        ratio = np.divide(top, bottom, out=np.ones_like(top), where=live)
        apart = live.any() and np.ptp(ratio[live]) > view.tolerance * biggest(ratio[live])
        if apart and view.fits(ratio * view.expected):
            along = axis_name(axis, len(view.shape))
            text = f"is the right one times a factor that is constant along {along} and differs elsewhere"
            yield Finding("factor along an axis", f"{text}, {spread(ratio[live])}", False)


def places(view: View) -> Findings:
    """F = E outside of a named set of entries, the smallest that holds every wrong one."""
    if not view.same_shape or not view.wrong.any() or view.wrong.all():
        return
    wrong, scale = view.wrong, biggest(view.expected)
    off = np.abs(view.deviation).max(axis=0)
    if biggest(off[~wrong]) > APART * off[wrong].min() or view.factor(view.expected) is not None:
        return  # wrong everywhere, in places by too little to be seen
    F, E = view.found[:, wrong], view.expected[:, wrong]
    if wrong.sum() == 1:
        s = int(np.argmax(np.abs(F - E)))
        text = f"is wrong at one single entry, {_first(wrong)}: {F[s, 0]:.10g}, right is {E[s, 0]:.10g}"
        where = _smallest(view, wrong, 1)
        if where:
            text += f" ({where})"
        yield Finding("one entry", text, _constant_ratio(F, E, view))
        return
    inside_out = _inside_out(view, wrong)
    if inside_out:
        yield Finding("wrong in places", inside_out, True)
        return
    where = _smallest(view, wrong)
    if not where:
        where = _threshold(view, wrong)
        if not where and wrong.sum() <= 3:
            where = f"at {' and '.join(str([int(i) for i in p]) for p in np.argwhere(wrong))}"
        if not where:
            return
    if biggest(E) <= view.floor:
        text, sure = f"must be 0 {where}, and is not; it is right elsewhere", True
    elif biggest(F) <= view.tolerance * scale:
        text, sure = f"is 0 {where}, and must not be; it is right elsewhere", True
    else:
        sure = _constant_ratio(F, E, view)
        c = float(np.vdot(E, F) / np.vdot(E, E))
        text = f"is wrong only {where}, and right elsewhere"
        if sure:
            text += f": there it is {view.describe(c)}"
        elif view.upstream is not None and view.upstream[0].size == 1:  # a loss: what is off per unit of dy?
            per_dy = (F - E) / view.upstream.reshape(-1, 1)
            sure = bool(F.shape[1] > 1 and np.ptp(per_dy) <= 1e-6 * biggest(per_dy))
            c = float(per_dy.flat[0])
            if sure:
                text += f": there it is off by {c:+.6g} dy, the same at each of them"
                text += ": is a constant left out, or wrong?"
    yield Finding("wrong in places", text, sure)


def precision(view: View) -> Findings:
    """F = float32(E), or F in float32 numbers throughout; F = E cut to whole numbers."""
    if not view.same_shape or not np.isfinite(view.found).all():
        return
    F, E = view.found, view.expected
    gap, scale = biggest(F - E), biggest(E)
    for kind, allowed in ((np.float16, 1e-2), (np.float32, 1e-4)):
        with np.errstate(over="ignore"):
            short = np.array_equal(F.astype(kind), F) and not np.array_equal(E.astype(kind), E)
        if gap <= allowed * scale and short and np.unique(F).size > 2:
            name = np.dtype(kind).name
            text = f"was rounded to {name} on the way: it holds no number that {name} does not have"
            yield Finding("precision", text, True)
            return
    single = (F[-view.units :], E[-view.units :]) if view.units else (F, E)  # outputs by themselves, if known
    used = single[1] != 0
    usual = float(np.median(np.abs(1 - single[0][used] / single[1][used]))) if used.any() else 0.0
    if gap <= 2e-6 * scale and 1e-9 < usual < 1e-5:  # rounding is everywhere, and everywhere alike
        text = f"is right to {gap / scale:.0e} only, the size of a rounding error of float32"
        yield Finding("precision", text, False)
    for what, cut in (("cut", np.trunc), ("rounded", np.round), ("rounded down", np.floor)):
        if np.array_equal(F, cut(E)) and np.unique(F).size > 2:
            yield Finding(
                "whole numbers", f"is the right one {what} to whole numbers: an integer array?", True
            )
            return


def _first(places: Array) -> list[int]:
    return [int(i) for i in np.argwhere(places)[0]]


def _smallest(view: View, wrong: Array, most: int | None = None) -> str:
    """The names of the smallest named set that holds all of `wrong`, joined by "or"; "" without one."""
    own = view.arguments.get(view.name)
    sets: list[tuple[int, str]] = []
    for text, part in named_places(view.shape, view.arguments, own):
        if not np.any(wrong & ~part) and not part.all() and wrong.sum() >= 0.5 * part.sum():
            sets.append((int(part.sum()), text))
    if not sets or (most is not None and min(sets)[0] > most):
        return ""
    least = min(sets)[0]
    return " or ".join(text for size, text in sets if size == least)


def _inside_out(view: View, wrong: Array) -> str:
    """F is 0 at some of the wrong places and must not be, and must be 0 at all the others, and is not."""
    lost = wrong & (np.abs(view.found).max(axis=0) <= view.floor)
    extra = wrong & (np.abs(view.expected).max(axis=0) <= view.floor)
    if not lost.any() or not extra.any() or not np.array_equal(lost | extra, wrong):
        return ""
    here, there = _smallest(view, lost), _smallest(view, extra)
    if not here or not there:
        return ""
    text = f"is 0 {here}, and must not be; and must be 0 {there}, and is not: is a mask the wrong way round?"
    return text + ("" if wrong.all() else " It is right elsewhere.")


def _threshold(view: View, wrong: Array) -> str:
    """The argument is beyond one value exactly where the gradient is wrong."""
    x = view.arguments.get(view.name)
    if not isinstance(x, np.ndarray) or x.shape != view.shape or wrong.sum() < 3 or (~wrong).sum() < 3:
        return ""
    for text, size in (("|{}| is above {:.3g}", np.abs(x)), ("{} is above {:.3g}", x)):
        if size[wrong].min() > size[~wrong].max():
            return "where " + text.format(view.name, size[~wrong].max())
        if size[wrong].max() < size[~wrong].min():
            return "where " + text.replace("above", "below").format(view.name, size[~wrong].min())
    return ""


def _constant_ratio(F: Array, E: Array, view: View) -> bool:
    if view.alone(E):
        return False
    c = np.vdot(E, F) / np.vdot(E, E)
    return biggest(F - c * E) <= view.tolerance * biggest(F)


def _ratio(summed: Array, view: View) -> float | None:
    """c with summed = c · E, for an F that had to be summed first."""
    E = view.expected
    if view.alone(E):
        return None
    c = float(np.vdot(E, summed) / np.vdot(E, E))
    return c if c and biggest(summed - c * E) <= view.tolerance * biggest(summed) else None


def _subsets(rank: int) -> Iterator[tuple[int, ...]]:
    for count in range(1, rank + 1):
        yield from itertools.combinations(range(rank), count)
