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
from minirec.verify.reference import Reference
from minirec.verify.report import Check, Worst

Array = NDArray[Any]

EXACT = 1e-11  # relative error allowed where complex step gives the derivative to rounding
LOOSE = 1e-7  # with a tolerance above this backward is meant to be an approximation, and no limit is tighter
NOISE = 1e-12  # a Jacobian below this, relative to y, cannot be told from one that is zero
SHARE = 1e-3  # an argument that weighs less than this in the whole is not measured by its own weight
TAYLOR_STEPS = tuple(1e-2 * 0.25**k for k in range(10))  # the smallest that stand above rounding count
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
    noise: float  # rounding error of y, absolute
    size: float  # |y| where every gradient is declared to be zero, so that there is no other scale; else 0

    @property
    def strict(self) -> bool:
        """True where backward is meant to be exact: then the error model sets the limits."""
        return self.tolerance <= LOOSE

    def exact(self, y: Array) -> float:
        """The relative error allowed against complex step: a y that is noisy has noisy derivatives."""
        return min(self.tolerance, max(EXACT, 100 * self.noise / (largest(y) or 1.0)))


def full_jacobian(
    pair: Pair, rng: np.random.Generator, found: Reference, limits: Limits
) -> tuple[list[Check], float, Worst | None, list[float]]:
    """Every ∂y_i/∂x_j. Returns the rows, the error, where it is, and max |J| of each argument."""
    signs = rng.choice([-1.0, 1.0], pair.y.size)
    ours = np.stack([signs[i] * pair.pull(signs[i] * unit) for i, unit in enumerate(np.eye(pair.y.size))])
    S = max(found.scale, limits.size)
    allowed = np.full(pair.x.size, limits.tolerance * S)
    if limits.strict:
        allowed = np.minimum(allowed, found.doubt)
    gaps = np.where(found.kinks.at, 0.0, np.abs(ours - found.J))
    of_column = gaps.max(axis=0)  # NaN stays NaN
    wrong = ~(of_column <= allowed)
    i, j = np.unravel_index(int(np.argmax(gaps)), gaps.shape)  # argmax stops at a NaN
    error, bound = _relative(float(gaps[i, j]), S), _relative(float(allowed.max()), S)
    name, index = pair.entry(int(j))
    output = tuple(int(k) for k in np.unravel_index(int(i), pair.y.shape))
    worst = Worst(name, index, output, float(ours[i, j]), float(found.J[i, j]))
    details = [f"of {pair.y.size} outputs by {pair.x.size} inputs"]
    if wrong.any() and error <= bound:
        k = int(np.argmax(wrong))
        where, place = pair.entry(k)
        numbers = f"off by {of_column[k] / S:.1e}, with a limit of {allowed[k] / S:.1e}"
        details.append(f"{where}{list(place) or ''} is {numbers}")
    exact = int(found.by_complex_step.sum())
    if 0 < exact < pair.x.size:
        details.append(f"{exact} of {pair.x.size} columns by complex step")
    if exact == pair.x.size:
        details.append("by complex step")
    elif (found.doubt > limits.tolerance * S).any():
        good = _relative(float(found.doubt.max()), S)
        details.append(f"differences are only good to {good:.0e} here: a kink, or a sharp bend?")
    elif limits.strict:
        details.append("limit from the error model: truncation and rounding of the differences")
    rows = [
        Check("full Jacobian", not wrong.any(), error, bound, "; ".join(details)),
        judge(pair, found.kinks, ours, S),
    ]
    found.J[found.kinks.at] = ours[found.kinks.at]  # which were judged by themselves
    reach = [max(largest(ours[:, part]), largest(found.J[:, part])) for part in pair.parts]
    if S <= NOISE * largest(pair.y):
        reach = [0.0] * len(reach)
    return rows, error, worst, [r / S if S > 0 else r for r in reach]


def adjoint(
    pair: Pair, rng: np.random.Generator, limits: Limits, fault: str | None, free: Array, directions: int
) -> tuple[Check, float, Worst | None, list[float]]:
    """⟨Ju, g⟩ = ⟨u, Jᵀg⟩ for random signed u and g: over all arguments at once, and for each one alone.

    Returns the row, the largest gap, where it is, and how far each argument reaches. A gap is relative to
    the Σ|u Jᵀg| of its own argument, or to SHARE of that of all. Coordinates that are not `free` stay where
    they are.
    """
    share = 1.0 if fault else SHARE  # differences carry the rounding of the whole y into every argument
    limit = limits.tolerance if fault or not limits.strict else limits.exact(pair.y)
    biggest, worst, reach = 0.0, None, [0.0] * len(pair.parts)
    for _ in range(directions):
        g, u = rng.standard_normal(pair.y.size), differences.short(rng.standard_normal(pair.x.size) * free)
        pulled = pair.pull(g)
        total = float(np.abs(u * pulled).sum())
        for p in range(-1, len(pair.parts)):
            v = u if p < 0 else np.zeros_like(u)
            if p >= 0:
                v[pair.parts[p]] = u[pair.parts[p]]
            if fault:
                push = differences.best_difference(pair.value, pair.x, v)[0]
            else:
                push = differences.complex_step(pair.value, pair.x, v)
            forward, backward = float(push @ g), float(v @ pulled)
            whole = max(total, limits.size * float(np.abs(g).sum()))
            own = max(float(np.abs(v * pulled).sum()), float(np.abs(push * g).sum()))
            gap = _relative(abs(forward - backward), max(own, share * whole))
            if p >= 0:
                here = max(abs(forward), float(np.abs(v * pulled).sum()))
                reach[p] = max(reach[p], here / whole if whole > 0 else here)
            if gap > biggest:
                biggest = gap
                name = "all arguments" if p < 0 else pair.names[p]
                worst = Worst(name, (), None, backward, forward, along=True)
    detail = f"by differences: {fault}" if fault else "by complex step"
    return Check("adjoint", biggest <= limit, biggest, limit, detail), biggest, worst, reach


def another_point(
    pair: Pair, rng: np.random.Generator, limits: Limits, fault: str | None, free: Array, here: bool
) -> Check:
    """⟨Ju, g⟩ = ⟨u, Jᵀg⟩ at x (1 + 0.001 r): a pair that remembers its first call is wrong there.

    `here` says whether the adjoint test passed at x itself.
    """
    x = pair.x * (1.0 + 1e-3 * rng.standard_normal(pair.x.size) * free)
    g, u = rng.standard_normal(pair.y.size), differences.short(rng.standard_normal(pair.x.size) * free)
    cache = pair.call(pair.arguments(x.copy()))[1]
    pulled = np.concatenate([np.ravel(d) for d in pair.gradients(pair.upstream(g), cache)])
    doubt = 0.0
    if fault:
        push, doubt = differences.best_difference(pair.value, x, u)
    else:
        push = differences.complex_step(pair.value, x, u)
    scale = max(float(np.abs(u * pulled).sum()), float(np.abs(push * g).sum()), limits.size * largest(g))
    gap = _relative(abs(float(push @ g) - float(u @ pulled)), scale)
    limit = limits.exact(pair.y) if not fault and limits.strict else limits.tolerance
    limit = max(limit, _relative(doubt * float(np.abs(g).sum()), scale) if doubt else 0.0)
    ok = gap <= limit
    detail = "" if ok or not here else "right at the point itself: does the pair remember another call?"
    return Check("adjoint, another point", ok, gap, limit, detail)


def taylor(pair: Pair, rng: np.random.Generator, tolerance: float, free: Array) -> Check:
    """|f(x+hv) − f(x) − h⟨∇f, v⟩| falls as h²; f = ⟨g, y⟩, the median of three random lines."""
    orders = []
    for _ in range(3):
        g, v = rng.standard_normal(pair.y.size), differences.short(rng.standard_normal(pair.x.size) * free)
        pulled = pair.pull(g)
        remainders = differences.taylor_remainders(
            partial(_along, pair, g), pair.x, v, float(pulled @ v), TAYLOR_STEPS
        )
        rounding = 1e4 * differences.EPS * float(np.abs(g * np.ravel(pair.y)).sum())
        allowed = 10 * tolerance * float(np.abs(pulled * v).sum())
        floors = np.array([max(rounding, allowed * h) for h in TAYLOR_STEPS])
        orders.append(differences.observed_order(TAYLOR_STEPS, remainders, floors))
    known = [order for order in orders if order is not None]
    if not known:
        return Check("Taylor remainder", True, detail="nothing left above rounding: linear here")
    order = float(np.median(known))
    return Check(
        "Taylor remainder", order >= TAYLOR_ORDER, order, TAYLOR_ORDER, "exponent of h, at least the limit"
    )


def _along(pair: Pair, g: Array, x: Array) -> float:
    return float(g @ pair.value(x))
