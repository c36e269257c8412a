"""The rows of the gradient check that hold backward against derivatives of forward: three ways to disagree.

`full_jacobian` compares every entry, `adjoint` random directions, `taylor` the order of what is left over.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirec.verify import differences
from minirec.verify.pair import Pair
from minirec.verify.report import Check, Worst

Array = NDArray[Any]

EXACT = 1e-11  # adjoint gap allowed where complex step gives J u to rounding,
LOOSE = 1e-7  # unless the tolerance is above this: then backward is meant to be an approximation
NOISE = 1e-12  # a Jacobian below this, relative to y, cannot be told from one that is zero
REFINE = 1e-10  # columns that disagree by more than this are differenced again, at smaller steps
TAYLOR_STEPS = tuple(1e-2 * 0.25**k for k in range(10))  # the smallest that stand above rounding count
TAYLOR_ORDER = 1.8  # a right gradient gives 2; with an error of 1 % it falls towards 1


def largest(values: Any) -> float:
    """max |values|, 0 where there are none."""
    return float(np.max(np.abs(values), initial=0.0))


def _relative(gap: float, scale: float) -> float:
    """gap / scale; inf for NaN, and for any gap where there is no scale."""
    ratio = gap / scale if scale > 0 else (0.0 if gap == 0 else float("inf"))
    return ratio if np.isfinite(ratio) else float("inf")


def full_jacobian(
    pair: Pair, rng: np.random.Generator, tolerance: float, method: str, fault: str | None, size: float
) -> tuple[Check, float, Worst | None, list[float]]:
    """Every ∂y_i/∂x_j. Returns the row, the error, where it is, and max |J| of each argument.

    Columns that disagree are differenced again at smaller steps; the step is chosen by how well the
    differences agree among themselves, never by how well they agree with backward.
    """
    if method == "complex" and fault is not None:
        return Check("full Jacobian", False, detail=f"complex step: {fault}"), float("inf"), None, []
    signs = rng.choice([-1.0, 1.0], pair.y.size)
    ours = np.stack([signs[i] * pair.pull(signs[i] * unit) for i, unit in enumerate(np.eye(pair.y.size))])
    reference = differences.jacobian(pair.value, pair.x, method)  # (m, n), as `ours`
    doubt, scale = 0.0, max(largest(reference), size)
    if method == "differences":
        suspicious = min(tolerance, REFINE) * scale
        for j in np.flatnonzero(~(np.abs(ours - reference).max(axis=0) <= suspicious)):
            unit = np.eye(1, pair.x.size, int(j))[0] * max(1.0, abs(float(pair.x[j])))
            column, gap = differences.best_difference(pair.value, pair.x, unit)
            reference[:, j] = column / np.max(unit)
            doubt = max(doubt, gap / float(np.max(unit)))
        scale = max(largest(reference), size)
    gaps = np.abs(ours - reference)
    i, j = np.unravel_index(int(np.argmax(gaps)), gaps.shape)  # argmax stops at a NaN
    error = _relative(float(gaps[i, j]), scale)
    name, index = pair.entry(int(j))
    output = tuple(int(k) for k in np.unravel_index(int(i), pair.y.shape))
    worst = Worst(name, index, output, float(ours[i, j]), float(reference[i, j]))
    detail = f"of {pair.y.size} outputs by {pair.x.size} inputs"
    if doubt > tolerance * scale:
        detail += f"; differences are only good to {doubt / scale:.0e} here: a kink, or a sharp bend?"
    reach = [max(largest(ours[:, part]), largest(reference[:, part])) for part in pair.parts]
    if scale <= NOISE * largest(pair.y):
        reach = [0.0] * len(reach)
    row = Check("full Jacobian", error <= tolerance, error, tolerance, detail)
    return row, error, worst, [r / scale if scale > 0 else r for r in reach]


def adjoint(
    pair: Pair, rng: np.random.Generator, tolerance: float, fault: str | None, size: float
) -> tuple[Check, float, Worst | None, list[float]]:
    """⟨Ju, g⟩ = ⟨u, Jᵀg⟩ for random signed u and g: over all arguments at once, and for each one alone.

    Returns the row, the largest gap relative to Σ|u Jᵀg|, where it is, and how far each argument reaches.
    """
    limit = tolerance if fault or tolerance > LOOSE else min(tolerance, EXACT)
    biggest, worst, reach = 0.0, None, [0.0] * len(pair.parts)
    for _ in range(3):
        g, u = rng.standard_normal(pair.y.size), rng.standard_normal(pair.x.size)
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
            scale = max(total, size * float(np.abs(g).sum()), float(np.abs(push * g).sum()) if p < 0 else 0.0)
            gap = _relative(abs(forward - backward), scale)
            if p >= 0:
                here = max(abs(forward), float(np.abs(v * pulled).sum()))
                reach[p] = max(reach[p], here / scale if scale > 0 else here)
            if gap > biggest:
                biggest = gap
                name = "all arguments" if p < 0 else pair.names[p]
                worst = Worst(name, (), None, backward, forward, along=True)
    detail = f"by differences: {fault}" if fault else "by complex step"
    return Check("adjoint", biggest <= limit, biggest, limit, detail), biggest, worst, reach


def taylor(pair: Pair, rng: np.random.Generator, tolerance: float) -> Check:
    """|f(x+hv) − f(x) − h⟨∇f, v⟩| falls as h²; f = ⟨g, y⟩, the median of three random lines."""
    orders = []
    for _ in range(3):
        g, v = rng.standard_normal(pair.y.size), rng.standard_normal(pair.x.size)
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
