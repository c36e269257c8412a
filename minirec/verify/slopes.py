"""The derivative of a function along a line, and how far it can be trusted, from values of it alone.

Differences know their own error: what is left of the truncation shows in how much they move when the step is
halved, and rounding follows from the noise of the function. A feature narrower than the step moves nothing,
however. So no step is believed that a finer one contradicts: `slope` takes one coarse and one fine step, and
where these disagree, or doubt themselves, all powers of two down to 1e-13.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirec.verify.differences import EPS

Array = NDArray[Any]
Function = Callable[[Array], Array]

COARSE = 2.0**-8  # truncation h⁶ f⁽⁷⁾ and rounding eps·|f|/h are both about 1e-13 here
FINE = 3 * 2.0**-20  # where a feature that the coarse step passes over is looked for; no multiple of 1/1024
STEPS = (COARSE, COARSE / 2, COARSE / 4, FINE)  # with few binary digits, so that x ± h loses none
ALL_STEPS = tuple(2.0**-k for k in range(2, 45))
BENT = 1e-7  # what looks like more noise than this, relative to the output, is a bend
SAFETY = 2.0  # times the distance of two estimates, of which the better one is closer to the truth
CENTRAL = 30.0  # times noise / h: 7 standard deviations of Romberg's difference, which has 4.0 noise / h
ONE_SIDED = 260.0  # the same for the one-sided difference, which has 37 noise / h
GOOD = 1e-10  # relative: one coarse step will do if it is known as well as this
CONFIRMS = 1e-3  # a derivative that differences know no better than this, relative, confirms no complex step
APART = 0.1  # there is a kink if the derivatives to the two sides are known to this part of their distance


class Slope(NamedTuple):
    """Derivatives of the outputs of a function along a line; all arrays are (m,), or (n, m) for n lines.

    value        the derivative; on a kink the mean of the two sides
    doubt        how far that may be from the truth, absolute; inf where no step gives an answer
    kink         True where the derivatives to the two sides differ
    left, right  these two
    step         the step that value comes from: the function is smooth within it, save on a kink
    """

    value: Array
    doubt: Array
    kink: Array
    left: Array
    right: Array
    step: Array


def noise(f: Function, x: Array) -> Array:
    """Standard deviation of the rounding error of each output of f at x, (m,).

    From the sixth differences of ten values on a line so short that f is straight there as far as it is
    smooth, and only what rounding adds is left; var Δ⁶ = 924 var f. From x to one side and to the other, the
    smaller of the two: a kink at x is not met, one close by on one side only. Where f stands still on that
    line, a longer one is taken: what has been rounded to few digits moves in leaps. Where f bends even on
    that line, or has no value, a shorter one. Four numbers tell little: an output is taken to be more exact
    than another only where that one is far larger than 1.
    Source: Hamming 1973; Moré & Wild 2011.
    """
    y = np.abs(f(x))
    found = np.full(y.shape, np.inf)
    lengths = (1e-8, 1e-4, 1e-11, 1e-14)
    still = {1.0: np.zeros(y.shape, dtype=bool), -1.0: np.zeros(y.shape, dtype=bool)}
    for length in lengths:
        bent = found > BENT * y
        v = length * np.where(np.arange(x.size) % 2 == 0, 1.0, -1.0) * np.maximum(1.0, np.abs(x))
        for sign in still:
            with np.errstate(all="ignore"):
                values = np.stack([attempt(f, x + k * sign * v, y) for k in range(10)])  # (10, m)
                deviation = np.sqrt((np.diff(values, n=6, axis=0) ** 2).mean(axis=0) / 924.0)
            moves = np.diff(values, axis=0) != 0
            if length == 1e-8:
                still[sign] = ~moves.any(axis=0)
                counts = ~still[sign]
            else:
                counts = still[sign] if length == 1e-4 else moves.all(axis=0) & bent
            found = np.fmin(found, np.where(counts, deviation, np.inf))
        if np.all(found <= BENT * y):
            break
    found = np.where(np.isfinite(found), found, 0.0)
    share = np.maximum(1.0, y) / max(1.0, float(y.max(initial=0.0)))
    least: Array = np.maximum(0.5 * EPS * y, share * found.max(initial=0.0))
    return np.maximum(found, least)


def attempt(f: Function, x: Array, like: Array) -> Array:
    """f(x), or NaN where f refuses x: a step may leave its domain."""
    try:
        return f(x)
    except (ArithmeticError, ValueError):  # LinAlgError is a ValueError
        return np.full(like.shape, np.nan)


def slope(f: Function, x: Array, v: Array, start: Array, rounding: Any, good: float = GOOD) -> Slope:
    """d/dt f(x + t v) at t = 0, in 8 calls of f, or in 94 where one step does not do.

    Steps are counted in v. `start` is f(x), `rounding` the noise of f, and `good` the doubt that is small
    enough, relative to the largest derivative.
    """
    lost = EPS * float(
        np.linalg.norm(x) / (np.linalg.norm(v) or 1.0)
    )  # of each step, where x + h v is rounded
    first = one_step(both_sides(f, x, v, STEPS, start), start, rounding, lost)
    enough = good * float(np.abs(first.value).max(initial=0.0))
    return first if np.all(first.doubt <= enough) else every_step(f, x, v, start, rounding, lost)


def both_sides(f: Function, x: Array, v: Array, steps: Any, start: Array) -> Array:
    """f(x + h v), then f(x − h v), for each step h: (2, K, m). NaN outside the domain of f."""
    with np.errstate(all="ignore"):
        return np.array([[attempt(f, x + sign * h * v, start) for h in steps] for sign in (1.0, -1.0)])


@np.errstate(all="ignore")  # NaN and inf are answers here: not known
def one_step(values: Array, start: Array, rounding: Any, lost: float = 0.0) -> Slope:
    """Romberg's difference at the coarse step; the doubt is inf where the fine step does not confirm it.

    `values` (..., 2, 4, m) at STEPS. Source: Romberg 1955.
    """
    values = np.moveaxis(values, -2, 0)  # (4, ..., 2, m)
    right, left = values[..., 0, :], values[..., 1, :]
    h = np.array(STEPS)
    column = h.reshape(-1, *[1] * (right.ndim - 1))
    d = (right - left) / (2 * column)
    bend = (right - 2 * start + left) / column  # the slope to the right less the slope to the left: h f''
    coarse, fine = (4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3
    value = (16 * fine - coarse) / 15
    error = _rounding(right, left, start, column, rounding, lost)
    doubt = SAFETY * np.abs(fine - coarse) + CENTRAL * error[:3].max(axis=0) / h[0]
    # d falls to the derivative as h², bend to 0 as h: the third step tells what the fine one must show.
    moved = np.abs(d[3] - value) - np.abs(d[2] - value) * (h[3] / h[2]) ** 2 - doubt - 5 * error[3] / h[3]
    before, after = bend[1] * h[3] / h[1], bend[2] * h[3] / h[2]
    bent = np.abs(bend[3] - after) - np.abs(after - before) - 25 * error[3] / h[3]
    confirmed = np.isfinite(value) & (moved <= 0) & (bent <= 0)
    doubt = np.where(confirmed, doubt, np.inf)
    return Slope(value, doubt, np.zeros(value.shape, dtype=bool), value, value, np.full(value.shape, COARSE))


@np.errstate(all="ignore")
def every_step(f: Function, x: Array, v: Array, start: Array, rounding: Any, lost: float = 0.0) -> Slope:
    """The derivative from steps of all sizes, to both sides and to each alone: a bend is told from a kink."""
    h = np.array(ALL_STEPS)[:, None]
    right, left = both_sides(f, x, v, ALL_STEPS, start)
    error = _rounding(right, left, start, h, rounding, lost)
    both, doubt, step = _settled(*_central(right, left, h), CENTRAL * error / h)
    up, doubt_up, _ = _settled(*_one_sided(right, start, h), ONE_SIDED * error / h)
    down, doubt_down, _ = _settled(*_one_sided(left, start, -h), ONE_SIDED * error / h)
    distance, between = np.abs(up - down), doubt_up + doubt_down
    kink = (between <= APART * distance) & (distance > 0)
    # Without a kink there is one derivative: the best known of the three, unless the two sides contradict.
    best = np.argmin([doubt, doubt_up, doubt_down], axis=0)
    value, known = np.choose(best, [both, up, down]), np.choose(best, [doubt, doubt_up, doubt_down])
    apart = np.where(np.isfinite(between), np.maximum(distance - between, 0.0), np.inf)
    value, known = np.where(kink, (up + down) / 2, value), np.where(kink, between, known + apart)
    return Slope(value, known, kink, down, up, np.minimum(step, COARSE))


def _rounding(right: Array, left: Array, start: Array, h: Array, noise: Any, lost: float) -> Array:
    """The rounding error of f(x ± h v): as at x, more where f is larger or moves more than there."""
    size = np.maximum(np.abs(right), np.abs(left))
    moved = np.maximum(np.abs(right - start), np.abs(left - start))
    error: Array = np.maximum(noise, 0.5 * EPS * size) + lost / h * moved
    return error


def _central(right: Array, left: Array, h: Array) -> tuple[Array, Array]:
    """Romberg's difference at each step h (K, 1), and what the last extrapolation changed."""
    d = (right - left) / (2 * h)
    R = (4 * d[1:] - d[:-1]) / 3
    return (16 * R[1:] - R[:-1]) / 15, np.abs(R[1:] - R[:-1])


def _one_sided(side: Array, start: Array, h: Array) -> tuple[Array, Array]:
    """The difference to one side at each step h (K, 1), its errors in h, h² and h³ taken out in turn."""
    d = (side - start) / h
    first = 2 * d[1:] - d[:-1]
    second = (4 * first[1:] - first[:-1]) / 3
    return (8 * second[1:] - second[:-1]) / 7, np.abs(second[1:] - second[:-1])


def _settled(estimates: Array, apart: Array, rounding: Array) -> tuple[Array, Array, Array]:
    """The estimate of least doubt, of (K, m) from ever finer steps: (value, doubt, step).

    In doubt by its own error, and by as much as any finer step contradicts it beyond the error of that.
    """
    own = SAFETY * apart + rounding[: len(apart)]
    own = np.where(np.isfinite(own) & np.isfinite(estimates), own, np.inf)
    estimates = np.where(np.isfinite(own), estimates, 0.0)
    total = own.copy()
    for k in range(len(own) - 1):
        contradicted = np.abs(estimates[k + 1 :] - estimates[k]) - own[k + 1 :]
        total[k] += np.maximum(contradicted.max(axis=0), 0.0)
    best = np.argmin(total, axis=0)[None]
    value, doubt = (np.take_along_axis(a, best, axis=0)[0] for a in (estimates, total))
    return value, doubt, np.array(ALL_STEPS)[best[0]]


def complex_step_fault(f: Function, x: Array, v: Array, start: Array, rounding: Any) -> str | None:
    """Why complex step cannot be used at x, or None where it can; asked along v, with `start` f(x).

    It can where f accepts complex input without a warning, returns complex output with the same real part,
    and the derivative agrees with differences within the doubt of these.
    """
    h = 1e-30
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            y = np.asarray(f(x + 1j * h * v))
    except Exception as fault:  # whatever the function raises, the answer is the same: not this way
        return f"forward does not take complex input ({type(fault).__name__}: {fault})"
    if not np.iscomplexobj(y):
        return "forward drops the imaginary part"
    size = float(np.max(np.abs(start), initial=0.0))
    wobble = 100 * float(np.max(rounding, initial=0.0)) + 1e-50  # h² is left of x² at 0
    if not np.max(np.abs(y.real - start), initial=0.0) <= 1e-10 * size + wobble:
        return "forward gives another value for complex input"
    derivative = y.imag / h
    largest = float(np.max(np.abs(derivative), initial=0.0))
    found = slope(f, x, v, start, rounding, good=1e-9)
    gap = float(np.max(np.abs(derivative - found.value), initial=0.0))
    close = np.abs(derivative - found.value) <= 2 * found.doubt + 1e-9 * largest
    if not np.all(close):
        return f"complex step and differences differ by {gap:.1e}"
    doubt = float(np.max(found.doubt, initial=0.0))
    if not doubt <= CONFIRMS * largest + 1e-10 * size + 1e-30:
        return f"differences are only good to {doubt:.1e} here and cannot confirm a complex step"
    return None
