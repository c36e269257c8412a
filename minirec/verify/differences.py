"""Derivatives without a formula: central differences, Richardson's refinement, complex step.

These are what verify/ holds a backward function against. Each is one line of mathematics and calls the
function to be differentiated, never its backward. How far to trust them is the business of slopes.py.
"""

import math
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
    np.var, np.linalg.norm and .conj(); ask `slopes.complex_step_fault` first.
    Source: Squire & Trapp 1998.
    """
    return np.imag(f(x + 1j * h * direction)) / h


def jacobian(f: Function, x: Array, method: str = "differences") -> Array:
    """J[i, j] = ∂f_i/∂x_j, (m, n), for f from (n,) to (m,), one column after the other.

    `method` is "differences" (Richardson, steps scaled by max(1, |x_j|)) or "complex"; anything else is a
    ValueError.
    """
    if method not in ("differences", "complex"):
        raise ValueError(f'method must be "differences" or "complex", got {method!r}')
    if method == "complex":
        return np.stack([complex_step(f, x, unit) for unit in np.eye(x.size)], axis=1)
    steps = STEP * np.maximum(1.0, np.abs(x))
    return np.stack(
        [richardson(f, x, unit, h) for unit, h in zip(np.eye(x.size), steps, strict=True)], axis=1
    )


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
    if b + 1 < len(steps) and floors[b + 1] > 0:
        order = max(order, math.log(remainders[b] / floors[b + 1]) / math.log(steps[b] / steps[b + 1]))
    return float(order)
