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
        with np.errstate(all="ignore"):  # the step may leave the domain of the function
            coarse, fine = richardson(f, x, direction, h), richardson(f, x, direction, h / 2)
        gap = float(np.max(np.abs(fine - coarse), initial=0.0))
        if gap < best[1] or math.isinf(best[1]):
            best = (fine, gap if math.isfinite(gap) else math.inf)
    return best


def romberg(f: Function, x: Array, direction: Array, h: float, start: Array) -> tuple[Array, Array, Array]:
    """d/dt f(x + t v) at t = 0 from the steps h, h/2, h/4; returns (derivative, doubt, bend), (m,) each.

    derivative  (16 R(h/2) − R(h)) / 15 of Richardson's differences R: the error falls as h⁶
    doubt       |R(h/2) − R(h)|: truncation and rounding, of which the derivative keeps less
    bend        the slope to the right less the slope to the left: 0 up to h⁵ where f is smooth

    `start` is f(x). Source: Romberg 1955.
    """
    return extrapolated(both_sides(f, x, direction, h), h, start)


def both_sides(f: Function, x: Array, direction: Array, h: float) -> Array:
    """f(x ± hv), f(x ± hv/2), f(x ± hv/4), (2, 3, m): to the right, then to the left."""
    steps = [h * direction, h / 2 * direction, h / 4 * direction]
    return np.array([[f(x + step) for step in steps], [f(x - step) for step in steps]])


def extrapolated(values: Array, h: Any, start: Array) -> tuple[Array, Array, Array]:
    """What `romberg` returns, from the values (..., 2, 3, m) at the steps h (...)."""
    right, left = values[..., 0, :, :], values[..., 1, :, :]
    steps = np.asarray(h)[..., None, None] / np.array([[1.0], [2.0], [4.0]])  # (..., 3, 1)
    d, slopes = (right - left) / (2 * steps), (right - 2 * start + left) / steps
    coarse, fine = (4 * d[..., 1, :] - d[..., 0, :]) / 3, (4 * d[..., 2, :] - d[..., 1, :]) / 3
    # The terms with h and h³ cancel.
    bend = (slopes[..., 0, :] - 10 * slopes[..., 1, :] + 16 * slopes[..., 2, :]) / 7
    return (16 * fine - coarse) / 15, np.abs(fine - coarse), bend


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
    derivative = y.imag / h
    largest = float(np.max(np.abs(derivative), initial=0.0))
    floor, gaps = 1e-9 * max(largest, size), []
    for step in (STEP, STEP / 10, STEP / 100, STEP / 1000):  # a kink may be near: one step must confirm it
        expected, doubt = best_difference(f, x, direction, (step,))
        gaps.append(float(np.max(np.abs(derivative - expected), initial=0.0)))
        if gaps[-1] <= min(10 * doubt, 1e-3 * largest) + floor:
            return None
    return f"complex step and differences differ by {min(gaps):.1e}"


def short(direction: Array) -> Array:
    """The direction, not longer than 5: random ones grow with √n, and with them the steps along them."""
    length = float(np.linalg.norm(direction))
    return direction * (5.0 / length) if length > 5.0 else direction


def taylor_remainders(f: Function, x: Any, direction: Any, slope: float, steps: Sequence[float]) -> Array:
    """|f(x + hv) − f(x) − h · slope| for each step h: falls as h² when `slope` is the derivative."""
    start = f(x)
    return np.array([abs(f(x + h * direction) - start - h * slope) for h in steps])


def observed_order(steps: Sequence[float], remainders: Array, floors: Array) -> float | None:
    """p in remainder ≈ c·hᵖ, from the three smallest steps whose remainders stand above their floors.

    Where the next smaller step falls below its floor, it did so by at least the power that leads there: at
    a kink between the two the remainder of a right gradient drops to nothing. None where fewer than two
    steps stand above their floors: the function is linear along this line, as far as rounding shows.
    """
    usable = [i for i in range(len(steps)) if remainders[i] > floors[i]]
    if len(usable) < 2:
        return None
    a, b = usable[-3:][0], usable[-1]
    order = math.log(remainders[a] / remainders[b]) / math.log(steps[a] / steps[b])
    if b + 1 < len(steps):
        order = max(order, math.log(remainders[b] / floors[b + 1]) / math.log(steps[b] / steps[b + 1]))
    return float(order)
