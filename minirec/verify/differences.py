"""Derivatives without a formula: central differences, Richardson's refinement, complex step.

These are what verify/ holds a backward function against. Each is one line of mathematics and calls the
function to be differentiated, never its backward.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[[Any], Any]

STEP = 3e-3  # truncation h⁴f⁽⁵⁾/480 and rounding eps·|f|/h are both about 2e-13 here
EPS = float(np.finfo(np.float64).eps)


def central_difference(f: Function, x: Any, direction: Any = 1.0, h: float = 1e-5) -> Any:
    """d/dt f(x + t v) at t = 0, by (f(x + hv) − f(x − hv)) / 2h. The error falls as h².

    `x` and `direction` are arrays of one shape, or numbers; f may return an array. With an array `x` and
    the default direction, every entry moves: the derivative of an elementwise f.
    Source: Nocedal & Wright, Numerical Optimization, 2nd ed., eq. 8.7.

    >>> bool(abs(central_difference(lambda x: x**2, 3.0) - 6.0) < 1e-9)
    True
    """
    return (f(x + h * direction) - f(x - h * direction)) / (2 * h)


def richardson(f: Function, x: Any, direction: Any = 1.0, h: float = STEP) -> Any:
    """d/dt f(x + t v) at t = 0, by (4 d(h/2) − d(h)) / 3 with d the central difference.

    The h² terms of the two differences cancel; the error falls as h⁴. Arguments as in
    `central_difference`. Source: Richardson 1911.
    """
    return (4 * central_difference(f, x, direction, h / 2) - central_difference(f, x, direction, h)) / 3


def complex_step(f: Function, x: Any, direction: Any = 1.0, h: float = 1e-30) -> Any:
    """d/dt f(x + t v) at t = 0, by Im f(x + ihv) / h: no subtraction, so no loss of digits.

    Exact to rounding, but only for an f that is analytic in code: it is silently wrong through np.abs,
    np.var, np.linalg.norm and .conj(); ask `complex_step_fault` first.
    Source: Squire & Trapp 1998.
    """
    return np.imag(f(x + 1j * h * direction)) / h


def best_difference(
    f: Function, x: Any, direction: Any = 1.0, steps: Sequence[float] = (STEP, STEP / 10, STEP / 100)
) -> tuple[Any, float]:
    """Richardson's difference at the step that agrees best with its own half, and that disagreement.

    The second number is an estimate of the largest error of the first, from the function alone. It is
    large next to a kink and where the function bends within the smallest step.
    """
    best: tuple[Any, float] = (np.nan, math.inf)
    for h in steps:
        coarse, fine = richardson(f, x, direction, h), richardson(f, x, direction, h / 2)
        gap = float(np.max(np.abs(fine - coarse), initial=0.0))
        if gap < best[1] or math.isinf(best[1]):
            best = (fine, gap)
    return best


def step_for(x: float) -> float:
    """The step of one entry: STEP · max(1, |x|)."""
    return STEP * max(1.0, abs(float(x)))


def jacobian(f: Function, x: Array, method: str = "differences") -> Array:
    """J[i, j] = ∂f_i/∂x_j, (m, n), for f from (n,) to (m,), one column after the other.

    `method` is "differences" (Richardson, steps scaled by max(1, |x_j|)) or "complex".
    """
    columns = []
    for j in range(x.size):
        unit = np.zeros(x.size)
        unit[j] = 1.0
        if method == "complex":
            columns.append(complex_step(f, x, unit))
        else:
            columns.append(richardson(f, x, unit, step_for(x[j])))
    return np.stack(columns, axis=1)


def complex_step_fault(f: Function, x: Array, direction: Array) -> str | None:
    """Why the complex step of f cannot be used at `x`, or None where it can.

    It can where f accepts complex input without a warning, returns complex output with the same real part,
    and the derivative agrees with differences as closely as these know themselves.
    """
    h = 1e-30
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            y = np.asarray(f(x + 1j * h * direction))
    except Exception as fault:  # whatever the function raises, the answer is the same: not this way
        return f"forward does not take complex input ({type(fault).__name__}: {fault})"
    if not np.iscomplexobj(y):
        return "forward drops the imaginary part"
    real = np.asarray(f(x))
    size = float(np.max(np.abs(real), initial=0.0))
    if not np.max(np.abs(y.real - real), initial=0.0) <= 1e-10 * size:
        return "forward gives another value for complex input"
    derivative, doubt = best_difference(f, x, direction)
    gap = float(np.max(np.abs(y.imag / h - derivative), initial=0.0))
    largest = float(np.max(np.abs(derivative), initial=0.0))
    if not gap <= 10 * doubt + 1e-9 * max(largest, size):
        return f"complex step and differences differ by {gap:.1e}"
    return None


def taylor_remainders(f: Function, x: Any, direction: Any, slope: float, steps: Sequence[float]) -> Array:
    """|f(x + hv) − f(x) − h · slope| for each step h: falls as h² when `slope` is the derivative."""
    start = f(x)
    return np.array([abs(f(x + h * direction) - start - h * slope) for h in steps])


def observed_order(steps: Sequence[float], remainders: Array, floors: Array) -> float | None:
    """p in remainder ≈ c·hᵖ, from the two smallest steps whose remainders both stand above their floors.

    None where fewer than two do: then the function is linear along this line, as far as rounding shows.
    """
    usable = [i for i in range(len(steps)) if remainders[i] > floors[i]]
    if len(usable) < 2:
        return None
    a, b = usable[-2], usable[-1]
    return float(math.log(remainders[a] / remainders[b]) / math.log(steps[a] / steps[b]))
