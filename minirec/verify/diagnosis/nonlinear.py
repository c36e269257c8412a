"""Is a backward function linear in the upstream gradient, and if not, what does it do to it?

A detector of the diagnosis that calls backward itself: dx = Jᵀdy is linear in dy, whatever the formula.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirec.verify.diagnosis.view import Cause, biggest

Array = NDArray[Any]
Pull = Callable[[Array], Array]  # dy -> all gradients end to end

LINEAR = 1e-9
CERTAIN = 1e-5  # a smaller departure from linearity may be rounding in float32


def departure(pull: Pull, g: Array, h: Array) -> float:
    """The largest relative gap in Jᵀ(sg) = s Jᵀg and Jᵀ(g + h) = Jᵀg + Jᵀh; NaN where one is not finite."""
    base, other = pull(g), pull(h)
    scale = max(biggest(base), biggest(other)) or 1.0
    gaps = [biggest(pull(s * g) - s * base) / (abs(s) * scale) for s in (-1.0, 1e-9, 1e-6, 1e6)]
    gaps += [biggest(pull(g + h) - base - other) / scale, biggest(pull(0 * g)) / scale]
    return float(np.max(gaps))


def not_linear(
    pull: Pull,
    upstream: Array,
    found: Array,
    jacobian: Array | None,
    named: Sequence[tuple[str, Array]],
    tolerance: float = LINEAR,
) -> Iterator[Cause]:
    """What is done to dy. `found` (S, n) and `upstream` (S, *y.shape); `jacobian` (m, n) is the right one.

    A hypothesis is sure where the right Jacobian reproduces with it what was found; without a Jacobian only
    the behavior of backward speaks for it. `named` are flat vectors that a constant may be a multiple of.
    """
    g = upstream[0]
    if not np.array_equal(pull(g), pull(g)):
        first, second, third = pull(g), pull(g), pull(g)
        steady = biggest((third - second) - (second - first)) <= LINEAR * biggest(second - first)
        hint = ": does it add to the gradient of the call before?" if steady else ""
        yield Cause("second call differs", "", f"backward gives other numbers for the same dy{hint}", False)
        return
    zero = pull(0 * g)
    if np.array_equal(pull(1e3 * g), pull(-g)) and np.array_equal(pull(-g), zero):
        summed = None if jacobian is None else np.tile(jacobian.sum(axis=0), (len(found), 1))
        ones = summed is not None and _same(summed, found, tolerance)
        text = "dy is not used: " + ("it is taken to be 1 everywhere" if ones else "every dy gives the same")
        yield Cause("ignores dy", "", text + ". Multiply by dy.", ones)
        return
    if biggest(zero) > LINEAR * biggest(found):
        text = f"backward gives {biggest(zero):.4g} for dy = 0: a term is added that is not multiplied by dy"
        for name, vector in named:
            c = float(np.vdot(vector, zero) / np.vdot(vector, vector)) if vector.any() else 0.0
            if biggest(zero - c * vector) <= LINEAR * biggest(zero):
                text += f": {c:.6g} times {name} (weight decay?)"
                break
        sure = jacobian is not None and _same(_flat(upstream) @ jacobian + zero, found, tolerance)
        yield Cause("constant added", "", text, sure)
        return
    yield from _reshaped(pull, upstream, jacobian, tolerance)


def _reshaped(pull: Pull, upstream: Array, jacobian: Array | None, tolerance: float) -> Iterator[Cause]:
    """Tries one function of dy after the other."""
    tries: list[tuple[str, Callable[[Array], Array]]] = [
        ("the absolute value of dy", np.abs),
        ("only the positive part of dy", lambda dy: np.maximum(dy, 0.0)),
        ("only the negative part of dy", lambda dy: np.minimum(dy, 0.0)),
        ("only the sign of dy", np.sign),
    ]
    low, high = _linear_range(pull, upstream[0])
    if high < 1e8:
        c = float(f"{high * biggest(upstream[0]):.6g}")
        tries.append((f"dy clipped to ±{c:.4g}", lambda dy: np.clip(dy, -c, c)))
    if low > 1e-10:
        c2 = float(f"{low * np.abs(upstream[0]).min():.6g}")
        tries.append((f"0 for every |dy| below {c2:.4g}", lambda dy: np.where(np.abs(dy) < c2, 0.0, dy)))
    far = np.concatenate([upstream, 1e-6 * upstream, 1e7 * upstream])
    got = np.stack([pull(g) for g in far])
    for text, change in tries:
        taken = np.stack([pull(change(g)) for g in far])
        if jacobian is not None:
            sure = _same(_flat(np.stack([change(g) for g in far])) @ jacobian, got, tolerance)
        else:
            sure = False
        if sure or (_same(taken, got) and not _same(_flat(far), _flat(np.stack([change(g) for g in far])))):
            yield Cause("not linear", "", f"backward is not linear in dy: it uses {text}", sure)
            return
    top = biggest(got[-len(upstream) :])
    bound = np.stack([pull(1e9 * g) for g in upstream])
    if biggest(np.abs(bound)) <= top * (1 + LINEAR) and top > 0:
        sure = jacobian is not None and _same(np.clip(_flat(far) @ jacobian, -top, top), got, tolerance)
        text = f"backward is not linear in dy: no gradient is larger than {top:.6g}; is it clipped?"
        yield Cause("not linear", "", text, sure)
        return
    yield Cause(
        "not linear", "", "backward is not linear in dy: twice dy must give twice the gradient", False
    )


def _linear_range(pull: Pull, g: Array) -> tuple[float, float]:
    """Between which multiples of g backward is proportional to them; 0 and inf where there is no end."""

    def slope(t: float) -> Array:
        return pull(t * g) / t

    def edge(good: float, bad: float, base: Array) -> float:
        for _ in range(60):
            middle = float(np.sqrt(good * bad))
            fine = biggest(slope(middle) - base) <= LINEAR * biggest(base)
            good, bad = (middle, bad) if fine else (good, middle)
        return good

    small, large = slope(1e-7), slope(1e7)
    low, high = 0.0, float("inf")
    if small.any() and biggest(slope(1e9) - small) > LINEAR * biggest(small):
        high = edge(1e-7, 1e9, small)
    if large.any() and biggest(slope(1e-10) - large) > LINEAR * biggest(large):
        low = edge(1e7, 1e-10, large)
    return low, high


def _flat(a: Array) -> Array:
    return a.reshape(len(a), -1)


def _same(a: Array, b: Array, tolerance: float = LINEAR) -> bool:
    """Row by row, since the rows have very different sizes."""
    gap, size = np.abs(a - b).max(axis=1, initial=0.0), np.abs(b).max(axis=1, initial=0.0)
    return bool(np.all(gap <= tolerance * np.maximum(size, np.abs(a).max(axis=1, initial=0.0))))
