"""The two pictures of a gradient check as plain arrays: error against step size, and Taylor's remainder.

Computed when a report is plotted, not when it is made; `minirec.plots.verification` draws them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirec.verify import differences
from minirec.verify.pair import Pair

Array = NDArray[Any]

STEPS = np.logspace(0, -20, 101)
TAYLOR_STEPS = np.logspace(0, -8, 33)


class Curves(NamedTuple):
    """Along one line x + hv, for f = ⟨g, y⟩ with a random g.

    errors      for each method, |derivative along v − ⟨∇f, v⟩| / |⟨∇f, v⟩|, (S,), ∇f from backward
    remainder   |f(x + hv) − f(x) − h ⟨∇f, v⟩|, (T,)
    bare        |f(x + hv) − f(x)|, (T,)
    order       the exponent of h in the remainder; None where nothing is left above rounding
    fault       why there is no complex step among the methods; None where there is
    """

    steps: Array
    errors: dict[str, Array]
    taylor_steps: Array
    remainder: Array
    bare: Array
    order: float | None
    fault: str | None


def curves(pair: Pair, seed: int, lengths: Array, fault: str | None) -> Curves:
    """Every method at every step. v is random but for its signs, which make all terms of ⟨∇f, v⟩ add up.

    `lengths` (n,) says how far v goes in each coordinate, 0 for not at all.
    """
    rng = np.random.default_rng(seed)
    g = rng.standard_normal(pair.y.size)
    pulled = pair.pull(g)
    v = np.abs(rng.standard_normal(pair.x.size)) * np.where(pulled < 0, -1.0, 1.0) * lengths
    v /= np.linalg.norm(v) or 1.0
    f, slope = partial(_weighted, pair, g), float(pulled @ v)
    with np.errstate(all="ignore"):  # a large step may leave the domain of the function
        scale = abs(slope) or abs(float(differences.richardson(f, pair.x, v))) or 1.0
        methods: dict[str, Callable[..., Any]] = {
            "forward difference": _forward_difference,
            "central difference": differences.central_difference,
            "Richardson": differences.richardson,
        }
        if fault is None:
            methods["complex step"] = differences.complex_step
        errors = {
            name: np.array([abs(float(method(f, pair.x, v, h)) - slope) / scale for h in STEPS])
            for name, method in methods.items()
        }
        remainder = differences.taylor_remainders(f, pair.x, v, slope, TAYLOR_STEPS.tolist())
        bare = differences.taylor_remainders(f, pair.x, v, 0.0, TAYLOR_STEPS.tolist())
    rounding = 1e3 * differences.EPS * float(np.abs(g * np.ravel(pair.y)).sum())
    return Curves(STEPS, errors, TAYLOR_STEPS, remainder, bare, _order(remainder, rounding), fault)


def _order(remainder: Array, rounding: float) -> float | None:
    """The slope of log remainder over log h, fitted to the two smallest decades that stand above rounding."""
    usable = np.flatnonzero(remainder > rounding)[-9:]  # four steps per decade
    if len(usable) < 3:
        return None
    return float(np.polyfit(np.log(TAYLOR_STEPS[usable]), np.log(remainder[usable]), 1)[0])


def _forward_difference(f: Callable[[Array], Any], x: Array, v: Array, h: float) -> Any:
    return (f(x + h * v) - f(x)) / h


def _weighted(pair: Pair, g: Array, x: Array) -> Any:
    return g @ pair.value(x)
