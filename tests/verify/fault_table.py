"""Mistakes made on purpose in correct pairs of functions: the table that check_gradient is judged by.

    python tests/verify/fault_table.py

prints, for four functions, which check notices which mistake, the largest error of the honest pairs, and the
smallest relative error that is noticed. test_gradient_faults.py tests the same rows.

A fault takes (forward, backward) and gives a pair that is wrong; `row` names a check that must fail.
"""

import functools
import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirec import functional as F
from minirec.verify import check_gradient
from minirec.verify.pair import as_list
from minirec.verify.report import Report

Function = Callable[..., Any]
PairOfFunctions = tuple[Function, Function]
JACOBIAN, ADJOINT, LINEAR, ZERO = "full Jacobian", "adjoint", "linear in dy", "zero in, zero out"
ELSEWHERE, PLACE, AGAIN = "adjoint, another point", "nothing written in place", "second call, same bits"
FINITE, FORM, COUNT, MATTERS = "finite", "shapes and dtypes", "one gradient each", "every argument matters"


class Fault(NamedTuple):
    name: str
    change: Callable[[Function, Function], PairOfFunctions]
    row: str  # of the report, which must fail
    scalars: bool = True  # False: with a single number as output this is no mistake


def on_backward(change: Callable[[Function], Function]) -> Callable[[Function, Function], PairOfFunctions]:
    return lambda forward, backward: (forward, change(backward))


def on_gradients(change: Callable[[np.ndarray], Any]) -> Callable[[Function, Function], PairOfFunctions]:
    """The fault that applies `change` to every gradient."""
    return on_backward(lambda backward: lambda dy, cache: tuple(map(change, as_list(backward(dy, cache)))))


def on_upstream(change: Callable[[Any], Any]) -> Callable[[Function, Function], PairOfFunctions]:
    """The fault that applies `change` to the upstream gradient."""
    return on_backward(lambda backward: lambda dy, cache: backward(change(dy), cache))


def is_entry(i: int, d: np.ndarray) -> np.ndarray:
    return (np.arange(d.size) == i).reshape(d.shape)


def flipped_where_tiny(size: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda d: np.where(np.abs(d) < 3 * size, -d, d)


def single_precision(backward: Function) -> Function:
    """All of backward in float32, the result turned into float64 again."""

    def small(c: Any) -> Any:
        return c.astype(np.float32) if getattr(c, "dtype", None) == np.float64 else c

    def wrong(dy: Any, cache: Any) -> Any:
        gradients = as_list(backward(np.float32(dy), type(cache)(*map(small, cache))))
        return tuple(d.astype(np.float64) for d in gradients)

    return wrong


def noisy(backward: Function) -> Function:
    rng = np.random.default_rng(0)
    return lambda dy, cache: tuple(
        d * (1 + 1e-12 * rng.standard_normal()) for d in as_list(backward(dy, cache))
    )


def accumulating(backward: Function) -> Function:
    kept: list[Any] = []

    def wrong(dy: Any, cache: Any) -> Any:
        new = as_list(backward(dy, cache))
        kept[:] = [a + b for a, b in zip(kept, new, strict=True)] if kept else new
        return tuple(kept)

    return wrong


def writes_upstream(backward: Function) -> Function:
    def wrong(dy: Any, cache: Any) -> Any:
        gradients = backward(dy, cache)
        dy *= 0.5
        return gradients

    return wrong


def writes_cache(backward: Function) -> Function:
    def wrong(dy: Any, cache: Any) -> Any:
        gradients = backward(dy, cache)
        cache[0][...] *= 1.25
        return gradients

    return wrong


def one_entry_of_the_jacobian(backward: Function) -> Function:
    """∂y[last] / ∂x[0] of the first argument is off by 0.001; all the rest is right."""

    def wrong(dy: Any, cache: Any) -> Any:
        first, *rest = as_list(backward(dy, cache))
        return (first + is_entry(0, first) * 1e-3 * np.ravel(dy)[-1], *rest)

    return wrong


def shifted_by_the_spread_of_dy(backward: Function) -> Function:
    """Right for every dy that is the same number everywhere, such as all ones."""

    def wrong(dy: Any, cache: Any) -> Any:
        return tuple(d + 1e-3 * (np.ravel(dy)[0] - np.mean(dy)) for d in as_list(backward(dy, cache)))

    return wrong


def cache_of_the_first_call(forward: Function, backward: Function) -> PairOfFunctions:
    """Remembers, for an input of a shape that was there before, what it saw then."""
    seen: dict[Any, Any] = {}

    @functools.wraps(forward)
    def stale(*args: Any) -> tuple[Any, Any]:
        y, cache = forward(*args)
        return y, seen.setdefault(np.shape(args[0]), cache)

    return stale, backward


def wrong_for_large_x(forward: Function, backward: Function) -> PairOfFunctions:
    """1 % too large where |x| > 1.2, right elsewhere: a branch that small inputs never reach."""

    @functools.wraps(forward)
    def keeping(*args: Any) -> tuple[Any, Any]:
        y, cache = forward(*args)
        return y, (cache, args[0])

    def wrong(dy: Any, cache: Any) -> Any:
        inner, x = cache
        first, *rest = as_list(backward(dy, inner))
        return (np.where(np.abs(x) > 1.2, 1.01, 1.0) * first, *rest)

    return keeping, wrong


def detached_path(forward: Function, backward: Function) -> PairOfFunctions:
    """y times a factor that depends on x, which backward takes for a constant (a stop-gradient)."""

    def factor(x: Any) -> Any:
        return 1.0 + 1e-3 * (x * x).sum()

    @functools.wraps(forward)
    def scaled(*args: Any) -> tuple[Any, Any]:
        y, cache = forward(*args)
        return y * factor(args[0]), (cache, factor(args[0]))

    return scaled, lambda dy, cache: backward(dy * cache[1], cache[0])


def ignored_argument(forward: Function, backward: Function) -> PairOfFunctions:
    """The last differentiable argument has no influence, and backward agrees: its gradient is 0."""

    @functools.wraps(forward)
    def deaf(*args: Any) -> tuple[Any, Any]:
        heard = list(args)
        last = max(i for i, a in enumerate(args) if np.asarray(a).dtype.kind in "fc")
        heard[last] = np.cos(np.arange(args[last].size)).reshape(args[last].shape)
        return forward(*heard)

    def agreeing(dy: Any, cache: Any) -> Any:
        *rest, last = as_list(backward(dy, cache))
        return (*rest, np.zeros_like(last))

    return deaf, agreeing


def times(factor: float) -> Callable[[Function, Function], PairOfFunctions]:
    """y and all gradients times a factor."""

    def change(forward: Function, backward: Function) -> PairOfFunctions:
        @functools.wraps(forward)
        def scaled(*args: Any) -> tuple[Any, Any]:
            y, cache = forward(*args)
            return y * factor, cache

        return scaled, lambda dy, cache: tuple(d * factor for d in as_list(backward(dy, cache)))

    return change


# Faults that published checkers let pass; the names of the sizes are those of `TINY`, below.
KNOWN = [
    Fault("off by 0.1 %", on_gradients(lambda d: d * 1.001), JACOBIAN),
    Fault("off by 0.001 %", on_gradients(lambda d: d * 1.00001), JACOBIAN),
    Fault("absolute upstream", on_upstream(np.abs), LINEAR),
    Fault("clipped upstream", on_upstream(lambda dy: np.clip(dy, -1, 1)), LINEAR),
    Fault("ReLU of upstream", on_upstream(lambda dy: np.maximum(dy, 0)), LINEAR),
    Fault("sign flipped where gradients are 1e-6", on_gradients(flipped_where_tiny(1e-6)), JACOBIAN),
    Fault("sign flipped where gradients are 1e-7", on_gradients(flipped_where_tiny(1e-7)), JACOBIAN),
    Fault("float32 arithmetic inside", on_backward(single_precision), JACOBIAN),
    Fault("NaN forward and NaN backward", times(np.nan), FINITE),
    Fault("everything identically zero", times(0.0), MATTERS),
    Fault("one wrong entry of the Jacobian", on_backward(one_entry_of_the_jacobian), JACOBIAN),
]
OWN = [
    Fault("cache of another call", cache_of_the_first_call, ELSEWHERE),
    Fault("1 % off where |x| > 1.2 only", wrong_for_large_x, JACOBIAN),
    Fault("a path that backward does not see", detached_path, JACOBIAN),
    Fault("an argument that forward ignores", ignored_argument, MATTERS),
    Fault("right for dy = 1 only", on_backward(shifted_by_the_spread_of_dy), JACOBIAN, scalars=False),
    Fault("adds up from call to call", on_backward(accumulating), AGAIN),
    Fault("writes into the cache", on_backward(writes_cache), PLACE),
    Fault("upstream below 1e-4 ignored", on_upstream(lambda dy: np.where(np.abs(dy) < 1e-4, 0, dy)), LINEAR),
]  # fmt: skip
MORE = [
    Fault("off by 1e-7", on_gradients(lambda d: d * (1 + 1e-7)), JACOBIAN),
    Fault("off by 1e-9", on_gradients(lambda d: d * (1 + 1e-9)), JACOBIAN),
    Fault("wrong sign", on_gradients(lambda d: -d), JACOBIAN),
    Fault("twice", on_gradients(lambda d: 2 * d), JACOBIAN),
    Fault("one entry off by 1 %", on_gradients(lambda d: d * (1 + 0.01 * is_entry(0, d))), JACOBIAN),
    Fault("reversed rows", on_gradients(lambda d: d[::-1]), JACOBIAN),
    Fault("upstream clipped at 1e7", on_upstream(lambda dy: np.clip(dy, -1e7, 1e7)), LINEAR),
    Fault("upstream below 1e-8 ignored", on_upstream(lambda dy: np.where(np.abs(dy) < 1e-8, 0, dy)), LINEAR),
    Fault("upstream clipped at 1e5", on_upstream(lambda dy: np.clip(dy, -1e5, 1e5)), LINEAR),
    Fault("sign of upstream", on_upstream(np.sign), LINEAR),
    Fault("upstream ignored", on_upstream(lambda dy: np.cos(np.arange(dy.size)).reshape(dy.shape)), ZERO),
    Fault("a constant added", on_gradients(lambda d: d + 1e-3), ZERO),
    Fault("large gradients clipped", on_gradients(lambda d: np.clip(d, -10, 10)), LINEAR),
    Fault("float32 result", on_gradients(lambda d: d.astype(np.float32)), FORM),
    Fault("NaN in one entry", on_gradients(lambda d: np.where(is_entry(1, d), np.nan, d)), FINITE),
    Fault("infinite", on_gradients(lambda d: d + np.inf), FINITE),
    Fault("NaN for small upstream", on_upstream(lambda dy: np.where(np.abs(dy) < 1e-4, np.nan, dy)), LINEAR),
    Fault("all gradients zero", on_gradients(np.zeros_like), JACOBIAN),
    Fault("one gradient too few", on_backward(lambda b: lambda dy, cache: as_list(b(dy, cache))[:-1]), COUNT),
    Fault("one gradient too many", on_backward(lambda b: lambda dy, c: (*as_list(b(dy, c)), dy)), COUNT),
    Fault("nothing returned", on_backward(lambda backward: lambda dy, cache: None), COUNT),
    Fault("a leading axis too many", on_gradients(lambda d: d[None]), FORM),
    Fault("noise of 1e-12", on_backward(noisy), AGAIN),
    Fault("writes into dy", on_backward(writes_upstream), PLACE),
]  # fmt: skip


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape)


TARGETS = np.array([1, 4, 1])
POINTS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "softmax": lambda: (normal(3, 5),),
    "attention": lambda: (normal(2, 3, 5), normal(2, 7, 5), normal(2, 7, 2)),
    "layer_norm": lambda: (normal(3, 5), normal(5), 1 + normal(5)),
    "cross_entropy": lambda: (normal(3, 5), TARGETS),
    "embedding": lambda: (normal(5, 3), np.array([4, 0, 4, 2])),
    "linear": lambda: (normal(5, 3), normal(3, 7), normal(7)),
}
TABLE = ("softmax", "attention", "layer_norm", "cross_entropy")


def tiny(name: str, size: float) -> tuple[Any, ...]:
    """Arguments at which some derivatives are about `size`, and the others about 1."""
    first, *rest = POINTS[name]()
    if name in ("softmax", "cross_entropy"):
        first[..., 0] = math.log(size)
    elif name == "attention":
        rest[1][..., 0] *= size
    else:
        rest[0][0] = size
    return (first, *rest)


def pair(name: str) -> PairOfFunctions:
    return getattr(F, f"{name}_forward"), getattr(F, f"{name}_backward")


def report(fault: Fault, name: str, **options: Any) -> Report:
    """What check_gradient says of the function `name` with this mistake in it."""
    flipped = "flipped where" in fault.name
    args = tiny(name, float(fault.name.split()[-1])) if flipped else POINTS[name]()
    with np.errstate(invalid="ignore"):
        return check_gradient(*fault.change(*pair(name)), *args, **options)


def applies(fault: Fault, name: str) -> bool:
    return fault.scalars or name != "cross_entropy"


def noticed(name: str, epsilon: float, entry: bool) -> bool:
    """Is a factor 1 + epsilon noticed: on all gradients, or on their largest entry alone?"""
    forward, backward = pair(name)
    y, cache = forward(*POINTS[name]())
    dy = np.cos(np.arange(np.size(y))).reshape(np.shape(y))
    right = as_list(backward(dy[()], cache))
    which = int(np.argmax([np.abs(d).max() for d in right]))
    alone = is_entry(int(np.argmax(np.abs(right[which]))), right[which])

    def wrong(dy: Any, cache: Any) -> Any:
        if not entry:
            return tuple(d * (1 + epsilon) for d in as_list(backward(dy, cache)))
        return tuple(
            d * (1 + epsilon * alone) if i == which else d for i, d in enumerate(as_list(backward(dy, cache)))
        )

    return not check_gradient(forward, wrong, *POINTS[name]()).ok


def smallest_noticed(name: str, entry: bool) -> float:
    """The smallest epsilon that is noticed, to a factor of 1.1, by bisection of its logarithm."""
    low, high = -16.0, -1.0  # not noticed, noticed
    while high - low > 0.04:
        middle = (low + high) / 2
        low, high = (low, middle) if noticed(name, 10**middle, entry) else (middle, high)
    return float(10**high)


def main() -> int:
    """Print the table; exit code 1 where a mistake passes or an honest pair does not."""
    ok = True
    print(f"{'fault':<40}" + "".join(f"{name:<26}" for name in TABLE) + "(the first check that failed)")
    for fault in [*KNOWN, *OWN]:
        cells = []
        for name in TABLE:
            failures = [row.name for row in report(fault, name).failures] if applies(fault, name) else ["-"]
            cells.append(failures[0] if failures else "PASSED")
            ok &= bool(failures)
        print(f"{fault.name:<40}" + "".join(f"{cell:<26}" for cell in cells))
    print(
        f"\n{'function':<16}{'honest error':>14}{'noticed: all gradients off by':>32}{'one entry off by':>20}"
    )
    for name in POINTS:
        honest = check_gradient(*pair(name), *POINTS[name]())
        ok &= honest.ok and honest.error <= 1e-11
        least = [smallest_noticed(name, entry) for entry in (False, True)]
        print(f"{name:<16}{honest.error:>14.1e}{least[0]:>32.1e}{least[1]:>20.1e}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
