"""The rows of the gradient check that hold backward against derivatives of forward: three ways to disagree.

`full_jacobian` compares every entry with reference.py, `adjoint` random directions, `taylor` the order of
what is left over.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirec.verify import differences
from minirec.verify.kinks import judge
from minirec.verify.pair import Pair
from minirec.verify.reference import EXACT, KNOWN, ULPS_OF_Y, Reference
from minirec.verify.report import Check, Worst
from minirec.verify.slopes import noise, slope

Array = NDArray[Any]

LOOSE = 1e-7  # with a tolerance above this backward is meant to be an approximation, and no limit is tighter
UNKNOWN = 1e-5  # a derivative that differences know no better than this, relative, is not measured
NOISE = 1e-12  # a Jacobian below this, relative to y, cannot be told from one that is zero
NOTHING = 1e-30  # complex step of x³ leaves h² = 1e-60 at 0
SHARE = 1e-3  # an argument that weighs less than this in the whole is not measured by its own weight
ELSEWHERE = 1e-6  # a pair that remembers another call is wrong by more than this
TAYLOR_STEPS = tuple(1e-2 * 0.25**k for k in range(20))  # the smallest that stand above rounding count
TAYLOR_ORDER = 1.7  # a right gradient gives 2, less where ReLUs switch; with an error it falls towards 1


def largest(values: Any) -> float:
    """max |values|, 0 where there are none."""
    return float(np.max(np.abs(values), initial=0.0))


def _relative(gap: float, scale: float) -> float:
    """gap / scale; inf for NaN, and for any gap where there is no scale."""
    ratio = gap / scale if scale > 0 else (0.0 if gap == 0 else float("inf"))
    return ratio if np.isfinite(ratio) else float("inf")


class Limits(NamedTuple):
    """What counts as equal, and what there is to know about forward before backward is judged."""

    tolerance: float  # as given to check_gradient
    noise: Array  # rounding error of each output, absolute
    size: float  # |y| where every gradient is declared to be zero, so that there is no other scale; else 0

    @property
    def strict(self) -> bool:
        """True where backward is meant to be exact: then the error model sets the limits."""
        return self.tolerance <= LOOSE

    def exact(self, y: Array) -> float:
        """The relative error allowed against complex step: a y that is noisy has noisy derivatives."""
        return min(self.tolerance, max(EXACT, 200 * largest(self.noise) / (largest(y) or 1.0)))


class Reach(NamedTuple):
    """The largest gradient of an argument, relative, and whether forward shows that it is one."""

    size: float
    seen: bool


def full_jacobian(
    pair: Pair, rng: np.random.Generator, found: Reference, limits: Limits
) -> tuple[list[Check], float, Worst | None, list[Reach]]:
    """Every ∂y_i/∂x_j. Returns the rows, the error, where it is, and how far each argument reaches."""
    signs = rng.choice([-1.0, 1.0], pair.y.size)
    ours = np.stack([signs[i] * pair.pull(signs[i] * unit) for i, unit in enumerate(np.eye(pair.y.size))])
    S = max(found.scale, limits.size) or found.around  # at a stationary point there is but what is around it
    allowed = found.doubt if limits.strict else np.maximum(found.doubt, limits.tolerance * S)
    enough = max(max(UNKNOWN, limits.tolerance) * max(S, found.around), NOISE * largest(pair.y))
    unknown = ~(found.doubt <= enough) & ~found.kink
    gaps = np.where(found.kink, 0.0, np.abs(ours - found.J))
    wrong = ~(gaps <= allowed) & ~unknown  # NaN is wrong
    shown = np.where(wrong if wrong.any() else ~unknown, gaps, -1.0)
    i, j = np.unravel_index(int(np.argmax(shown)), gaps.shape)  # argmax stops at a NaN
    error = _relative(float(gaps[~unknown].max(initial=0.0)), S) if not unknown.all() else float("inf")
    name, index = pair.entry(int(j))
    output = tuple(int(k) for k in np.unravel_index(int(i), pair.y.shape))
    worst = Worst(name, index, output, float(ours[i, j]), float(found.J[i, j]))
    details = [f"of {pair.y.size} outputs by {pair.x.size} inputs"]
    exact, good = int(found.by_complex_step.sum()), _relative(float(found.doubt[~unknown].max(initial=0)), S)
    if exact:
        columns = "" if exact == pair.x.size else "1 column " if exact == 1 else f"{exact} columns "
        details.append(f"{columns}by complex step")
    if unknown.any():
        k, c = np.argwhere(unknown)[0]
        where, place = pair.entry(int(c))
        share = _relative(float(found.doubt[k, c]), S)
        known = "no difference settles" if np.isinf(share) else f"differences are only good to {share:.0e}"
        details.append(
            f"not measurable for {where}{list(place) or ''}: {known} here: "
            "a jump, a sharp bend, or digits lost?"
        )
    elif good > limits.tolerance:
        details.append(f"the limit is what differences are good to here: {good:.0e}")
    elif limits.strict and exact < pair.x.size:
        details.append("limit from the error model: truncation and rounding of the differences")
    ok = not wrong.any() and not unknown.any()
    value, bound = _relative(float(gaps[i, j]), S), _relative(float(allowed[i, j]), S)
    rows = [
        Check("full Jacobian", ok, value, bound, "; ".join(details)),
        judge(pair, found, ours, limits.tolerance * S),
    ]
    found.J[found.kink] = ours[found.kink]  # which were judged by themselves
    visible = S > NOISE * largest(pair.y)
    reach = [
        Reach(
            _relative(max(largest(ours[:, part]), largest(found.J[:, part])), S) if visible else 0.0,
            visible and bool((found.kink | (np.abs(found.J) > found.doubt))[:, part].any()),
        )
        for part in pair.parts
    ]
    return rows, error, worst, reach


def adjoint(
    pair: Pair, rng: np.random.Generator, limits: Limits, fault: str | None, lengths: Array, directions: int
) -> tuple[Check, float, Worst | None, list[Reach]]:
    """⟨Ju, g⟩ = ⟨u, Jᵀg⟩ for random signed u and g: over all arguments at once, and for each one alone.

    Returns the row, the largest gap, where it is, and how far each argument reaches. A gap is relative to
    the Σ|u Jᵀg| of its own argument: by complex step to at least SHARE of that of all, by differences to what
    makes their doubt the limit. `lengths` (n,) is how far u goes in each coordinate, 0 for not at all.
    """
    limit = limits.tolerance if fault or not limits.strict else limits.exact(pair.y)
    biggest, worst, reach = 0.0, None, [Reach(0.0, False)] * len(pair.parts)
    start, vague = np.ravel(pair.y), 0.0
    for _ in range(directions):
        g, u = rng.standard_normal(pair.y.size), differences.short(rng.standard_normal(pair.x.size)) * lengths
        pulled = pair.pull(g)
        whole = max(float(np.abs(u * pulled).sum()), limits.size * float(np.abs(g).sum()))
        contradicted = False
        for p in (*range(len(pair.parts)), -1):  # each argument alone, then all at once
            v = u if p < 0 else np.zeros_like(u)
            if p >= 0:
                v[pair.parts[p]] = u[pair.parts[p]]
            backward, own = float(v @ pulled), float(np.abs(v * pulled).sum())
            push, doubt = _push(pair, pair.x, v, start, limits, fault)
            forward, unsure = float(push @ g), float(doubt @ np.abs(g))
            if fault is None:
                own = max(own, float(np.abs(push * g).sum()))
            gap = _relative(
                abs(forward - backward),
                max(own, unsure / limit, NOTHING if fault else SHARE * whole + NOTHING),
            )
            # What is legal for all arguments at once need not be legal for a small one alone.
            if fault is None and gap > limit:
                if contradicted or _contradicted(push, pair, pair.x, v, start, limits):
                    contradicted = True
                    push, doubt = _push(pair, pair.x, v, start, limits, "contradicted")
                    forward, unsure = float(push @ g), float(doubt @ np.abs(g))
                    apart = _relative(abs(forward - backward), max(own, unsure / limits.tolerance))
                    # Differences speak only where they know this argument by its own weight.
                    if apart <= limits.tolerance and unsure <= KNOWN * own:
                        gap = min(apart, limit)
            if p < 0 and fault and own > 0:
                vague = max(vague, _relative(unsure, own))
            if p >= 0:
                here = max(abs(forward), own)
                size = here / whole if whole > 0 else here
                seen = abs(forward) > max(unsure, NOISE * whole)
                reach[p] = Reach(max(reach[p].size, size), reach[p].seen or seen)
            if gap > biggest:
                biggest = gap
                name = "all arguments" if p < 0 else pair.names[p]
                worst = Worst(name, (), None, backward, forward, along=True)
    detail = f"by differences: {fault}" if fault else "by complex step"
    measured = vague <= max(UNKNOWN, limits.tolerance)
    if not measured:
        detail += f"; not measurable: they are only good to {vague:.0e} here"
    row = Check("adjoint", biggest <= limit and measured, biggest, limit, detail)
    return row, biggest, worst, reach


def another_point(
    pair: Pair, rng: np.random.Generator, limits: Limits, fault: str | None, lengths: Array, here: bool
) -> Check:
    """⟨Ju, g⟩ = ⟨u, Jᵀg⟩ at x + 0.001 r: a pair that remembers its first call is wrong there.

    `here` says whether the adjoint test passed at x itself.
    """
    x = pair.x + 1e-3 * rng.standard_normal(pair.x.size) * np.minimum(np.abs(pair.x), lengths)
    g, u = rng.standard_normal(pair.y.size), differences.short(rng.standard_normal(pair.x.size)) * lengths
    y, cache = pair.call(pair.arguments(x))
    pulled = np.concatenate([np.ravel(d) for d in pair.gradients(pair.upstream(g), cache)])
    start, own = np.ravel(y), float(np.abs(u * pulled).sum())
    exact = limits.exact(pair.y) if not fault and limits.strict else limits.tolerance
    there = limits
    for why_not in dict.fromkeys((fault, "contradicted")):
        push, doubt = _push(pair, x, u, start, there, why_not)
        scale = max(own, float(np.abs(push * g).sum()), limits.size * largest(g), NOTHING)
        gap = _relative(abs(float(push @ g) - float(u @ pulled)), scale)
        limit = max(
            exact if why_not == fault else limits.tolerance, _relative(float(doubt @ np.abs(g)), scale)
        )
        there = limits._replace(noise=noise(pair.value, x)) if gap > limit and there is limits else there
        # What is legal at x need not be legal here.
        if gap <= limit or fault is not None or not _contradicted(push, pair, x, u, start, there):
            break
    ok = gap <= limit
    hint = "right at the point itself: does the pair remember another call?"
    return Check(
        "adjoint, another point", ok, gap, limit, hint if not ok and here and gap > ELSEWHERE else ""
    )


def _contradicted(push: Array, pair: Pair, x: Array, v: Array, start: Array, limits: Limits) -> bool:
    """Do differences say that this Jv by complex step is wrong?"""
    found = slope(pair.value, x, v, start, limits.noise)
    return bool(np.any(np.abs(push - found.value) > 2 * found.doubt))


def _push(
    pair: Pair, x: Array, v: Array, start: Array, limits: Limits, fault: str | None
) -> tuple[Array, Array]:
    """Jv (m,), and how far ⟨v, Jᵀg⟩ of each output may be from it though backward is right."""
    if fault is None:
        push: Array = differences.complex_step(pair.value, x, v)
        return push, ULPS_OF_Y * differences.EPS * np.abs(start) * np.linalg.norm(
            v / np.maximum(1, np.abs(x))
        )
    found = slope(pair.value, x, v, start, limits.noise, good=0.01 * limits.tolerance)
    return np.where(np.isfinite(found.value), found.value, 0.0), found.doubt


def taylor(pair: Pair, rng: np.random.Generator, limits: Limits, lengths: Array) -> Check:
    """|f(x+hv) − f(x) − h⟨∇f, v⟩| falls as h²; f = ⟨g, y⟩, the median of three random lines."""
    orders = []
    for _ in range(3):
        g, v = rng.standard_normal(pair.y.size), differences.short(rng.standard_normal(pair.x.size)) * lengths
        pulled = pair.pull(g)
        along = partial(_along, pair, g, v)
        start, rise = along(0.0), float(pulled @ v)
        rounding = 1e4 * differences.EPS * float(np.abs(g * np.ravel(pair.y)).sum())
        rounding = max(rounding, 1e3 * float(np.linalg.norm(g * limits.noise)))
        allowed = 10 * limits.tolerance * float(np.abs(pulled * v).sum())
        floors = np.array([max(rounding, allowed * h) for h in TAYLOR_STEPS])
        remainders: list[float] = []
        for h in TAYLOR_STEPS:
            with np.errstate(all="ignore"):  # a large step may leave the domain of the function
                remainders.append(abs(along(h) - start - h * rise))
            if len(remainders) > 2 and np.all(remainders[-2:] <= floors[len(remainders) - 2 :][:2]):
                break  # rounding is all that is left
        steps = TAYLOR_STEPS[: len(remainders)]
        orders.append(differences.observed_order(steps, np.array(remainders), floors))
    known = [order for order in orders if order is not None]
    if not known:
        return Check("Taylor remainder", True, detail="nothing left above rounding: linear here")
    order = float(np.median(known))
    return Check(
        "Taylor remainder", order >= TAYLOR_ORDER, order, TAYLOR_ORDER, "exponent of h, at least the limit"
    )


def _along(pair: Pair, g: Array, v: Array, h: float) -> float:
    return float(g @ pair.value(pair.x + h * v))
