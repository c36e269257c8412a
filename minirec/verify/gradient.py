"""The gradient check: is this backward function the derivative of that forward function?

`check_gradient` collects the rows of the report: form and zeros from here, the numbers from derivative.py,
the manners from conduct.py. They look at the pair from outside only, so they serve any pair in the idiom of
functional/, and module.py feeds whole networks through them.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirec.verify import conduct, derivative, diagnosis, differences, kinks, reference, slopes
from minirec.verify.curves import curves
from minirec.verify.pair import (
    Pair,
    argument_names,
    as_list,
    differentiable,
    is_floating,
    returned_gradients,
)
from minirec.verify.report import Check, Report

Array = NDArray[Any]

TELLING = {
    "one gradient each",
    "shapes and dtypes",
    "finite",
    "full Jacobian",
    "adjoint",
    "linear in dy",
    "zero in, zero out",
}
FEW = 1000  # inputs for which a Jacobian is still made for the sake of a diagnosis
ZERO = 1e-11  # a gradient declared to be zero may be this large, relative to the largest


def check_gradient(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *args: Any,
    rng: np.random.Generator | int | None = None,
    wrt: Sequence[int] | int | None = None,
    zero: Sequence[int | str] = (),
    names: Sequence[str] | None = None,
    tolerance: float = 1e-8,
    jacobian: bool = True,
    method: str = "differences",
    directions: int = 3,
    title: str | None = None,
) -> Report:
    """Check `gradients = backward(dy, cache)` against `y, cache = forward(*args)` at these arguments.

    args       float64 arrays, and whatever else forward takes; a Generator starts anew in every call
    rng        for the random directions; None stands for seed 0, so that a report can be repeated
    wrt        positions of the arguments that receive a gradient, in the order in which backward returns
               them. Default: the floating arrays; where backward returns fewer, the last ones that are named
               as data (target, weight, ...) are left out, and the first row says so
    zero       positions or names of arguments whose gradient is zero by mathematics
    names      names of the arguments for the report; default: the parameters of forward
    tolerance  largest relative error allowed: max |J_backward − J| / max |J|, both over all arguments. Up to
               1e-7 it also stands for "exact": then the limit of a column is what the differences are good
               to, by their own error model, and 2e-11 where complex step is legal
    jacobian   False leaves out the full Jacobian: the cost no longer grows with the number of entries, and
               `Report.error` is the gap of the adjoint test in random directions
    method     where the full Jacobian comes from: "differences", or "complex" (complex step: for functions
               that bend too sharply for differences, or are too large, where they take complex input)
    directions how many random directions the adjoint test takes, in each argument and in all at once

    Checked, in this order: one gradient per argument; shapes and dtypes; all finite; the full Jacobian, with
    the entries on a kink (ReLU at 0) by themselves: backward must lie between the derivatives to both sides;
    ⟨Ju, g⟩ = ⟨u, Jᵀg⟩, here and at a point close by; Taylor's remainder falls as h²; linear in dy; zero in,
    zero out; nothing written in place; a second call gives the same bits; every argument matters, or is
    declared to be zero and is.

    The error model: differences at one step tell their own truncation, the noise of forward tells their
    rounding, and a much finer step must confirm them. Where one step does not do, all powers of two down to
    1e-13 are tried, to both sides and to each alone; and complex step where that is legal, which is tried
    against differences and never trusted. A column that none of them knows to 1e-5 fails as not measurable.
    A failed report names causes, where they can be seen from outside. Raises TypeError or ValueError for
    arguments that cannot be checked, never for a wrong gradient.

    Its limits: a feature of forward narrower than about 1e-7 is taken for a kink, or not seen. Without
    complex step, an argument that weighs less than rounding in the whole (about 1e-12 of it) is not judged by
    its own weight. At a kink each entry is judged by itself: 1 for each of two equal maxima passes, and where
    three are equal a right backward may be refused. Where forward loses its digits (1 + tanh x at x = -6),
    there is nothing to hold a right gradient against. Arguments keep their memory layout, but not strides.

    >>> def square_forward(x):
    ...     return x**2, x
    >>> def square_backward(dy, x):
    ...     return 2 * x * dy
    >>> check_gradient(square_forward, square_backward, np.array([1.0, -3.0])).ok
    True
    """
    if not 0 < tolerance < np.inf:
        raise ValueError(f"tolerance must be above 0 and finite, got {tolerance}")
    if directions < 1:
        raise ValueError(f"directions must be at least 1, got {directions}")
    rng = np.random.default_rng(0 if rng is None else rng)
    names = list(names) if names is not None else argument_names(forward, len(args))
    if len(names) != len(args) or len(set(names)) != len(names):
        raise ValueError(f"names must be {len(args)} different names, one for each argument, got {names}")
    if isinstance(wrt, int):
        wrt = [wrt]
    if wrt is None and any(map(is_floating, args)):
        wrt = differentiable(args, names, returned_gradients(forward, backward, args))
    where = _positions(args, names, wrt or [])
    declared = _declared(zero, names, where)
    if method not in ("differences", "complex"):
        raise ValueError(f'method must be "differences" or "complex", got {method!r}')
    title = title or f"gradient of {getattr(forward, '__name__', 'forward').removesuffix('_forward')}"
    pair = Pair(forward, backward, args, where, names)
    if pair.y.size == 0 or not np.issubdtype(pair.y.dtype, np.floating):
        raise ValueError(
            f"forward must return a real floating y that is not empty, got {pair.y.dtype} {pair.y.shape}"
        )

    zeros = tuple(name for name in pair.names if name in declared)
    extra = getattr(forward, "checks", None)  # rows that a forward brings itself, as vjp_pair's does
    form = list(_form(pair, names, rng))
    rows = [*(extra(*args) if extra else ()), *form]
    if not all(row.ok for row in form):
        return Report(title, tuple(rows), zero=zeros, causes=_causes(pair, rows, "not asked", None, None))
    pure = list(conduct.purity(pair, rng))
    pair.shared = all(row.ok for row in pure)

    # Where every gradient is declared to be zero, y is the only scale that is left.
    size = derivative.largest(pair.y) if declared.issuperset(pair.names) else 0.0
    limits = derivative.Limits(tolerance, slopes.noise(pair.value, pair.x), size)
    exact = limits.exact(pair.y)
    found = (
        reference.by_differences(pair, limits.noise, size) if jacobian and method == "differences" else None
    )
    lengths = reference.widths(pair.x) if found is None else found.lengths
    line = differences.short(rng.standard_normal(pair.x.size)) * lengths
    fault = slopes.complex_step_fault(pair.value, pair.x, line, np.ravel(pair.y), limits.noise)
    if found is not None and fault is None:
        found = reference.sharpened(found, pair, exact, size)
    elif jacobian and fault is None:
        found = reference.by_complex_step(pair, exact, size)
    elif jacobian and found is None:
        rows.append(Check("full Jacobian", False, detail=f"complex step: {fault}"))

    error, worst, reach = float("inf"), None, None
    if found is not None:
        made, error, worst, reach = derivative.full_jacobian(pair, rng, found, limits)
        rows += made
    else:
        rows.append(kinks.along_a_line(pair, rng, limits.noise))
    if found is not None or rows[-1].ok:  # along a line with a kink there is no derivative
        row, gap, along, grip = derivative.adjoint(pair, rng, limits, fault, lengths, directions)
        if found is None:
            error, worst, reach = gap, along, grip
        rows += [
            row,
            derivative.another_point(pair, rng, limits, fault, lengths, row.ok),
            derivative.taylor(pair, rng, limits, lengths),
        ]
    rows += [conduct.linear(pair, rng), conduct.zero_upstream(pair), *pure]
    rows += _vacuity(pair, declared, reach)
    causes = _causes(pair, rows, fault, found, limits)
    draw = partial(curves, pair, 0, lengths, fault)
    return Report(title, tuple(rows), error, worst, zeros, causes, draw)


def _positions(args: Sequence[Any], names: Sequence[str], wrt: Sequence[int]) -> list[int]:
    where = list(wrt)
    if not where:
        raise ValueError(
            "no argument to differentiate: none is a float64 array; pass arrays, or name them in wrt="
        )
    for i in where:
        if not isinstance(i, int | np.integer):
            raise TypeError(f"wrt holds positions of arguments, got {i!r}: {', '.join(names)} are 0, 1, ...")
        if not 0 <= i < len(args):
            raise ValueError(
                f"wrt holds {i}, but there are {len(args)} arguments: allowed are 0 to {len(args) - 1}"
            )
        if not is_floating(args[i]) or args[i].dtype != np.float64:
            kind = args[i].dtype if isinstance(args[i], np.ndarray) else type(args[i]).__name__
            raise TypeError(
                f"{names[i]} (argument {i}) must be a float64 array to be checked, got {kind}: convert it"
            )
    return where


def _declared(zero: Sequence[int | str], names: Sequence[str], where: Sequence[int]) -> set[str]:
    allowed = {names[i] for i in where}
    declared = set()
    for item in [zero] if isinstance(zero, int | str) else zero:
        name = item if isinstance(item, str) else names[item] if 0 <= item < len(names) else str(item)
        if name not in allowed:
            raise ValueError(
                f"zero names {item!r}, which is not checked: allowed are {', '.join(sorted(allowed))}"
            )
        declared.add(name)
    return declared


def _form(pair: Pair, names: Sequence[str], rng: np.random.Generator) -> Iterator[Check]:
    """Count, shapes, dtypes and finiteness: without them no other row can be computed."""
    y, cache = pair.call(pair.arguments())
    dy = pair.upstream(rng.standard_normal(pair.y.size))
    gradients = as_list(pair.backward(dy, cache))
    wanted = ", ".join(pair.names)
    counted = len(gradients) == len(pair.wrt)
    detail = (
        "" if counted else f"{len(gradients)} returned for {len(pair.wrt)} ({wanted}); wrt= says which ones"
    )
    # Said aloud: a forgotten gradient of an argument that has the name of data must not go unseen.
    idle = [name for i, name in enumerate(names) if i not in pair.wrt and is_floating(pair.args[i])]
    if counted and idle:
        detail = f"not checked: {', '.join(idle)}; wrt= takes in what has a gradient"
    yield Check("one gradient each", counted, detail=detail)
    if not counted:
        return
    wrong = [f"y is {pair.y.dtype}, not float64"] if pair.y.dtype != np.float64 else []
    for i, name, d in zip(pair.wrt, pair.names, gradients, strict=True):
        x = pair.args[i]
        if isinstance(d, list | tuple) or (isinstance(d, np.ndarray) and type(d) is not np.ndarray):
            wrong.append(f"d{name} is a {type(d).__name__}, not a plain array")
        elif np.shape(d) != x.shape:
            wrong.append(f"d{name} has shape {np.shape(d)}, {name} has {x.shape}")
        elif np.asarray(d).dtype != x.dtype:
            wrong.append(f"d{name} is {np.asarray(d).dtype}, {name} is {x.dtype}")
    yield Check("shapes and dtypes", not wrong, detail="; ".join(wrong))
    if wrong:
        return
    bad = [] if np.all(np.isfinite(y)) else ["y"]
    bad += [f"d{name}" for name, d in zip(pair.names, gradients, strict=True) if not np.all(np.isfinite(d))]
    yield Check("finite", not bad, detail=f"NaN or Inf in {', '.join(bad)}" if bad else "")


def _causes(
    pair: Pair,
    rows: Sequence[Check],
    fault: str | None,
    found: reference.Reference | None,
    limits: derivative.Limits | None,
) -> tuple[diagnosis.Cause, ...]:
    """What is probably wrong, where a row has failed that says something about the numbers."""
    failed = {row.name for row in rows if not row.ok}
    if not failed & TELLING or pair.y.dtype != np.float64 or not np.all(np.isfinite(pair.y)):
        return ()
    if found is None:
        if pair.x.size > FEW or "kinks" in failed:  # a difference across a kink tells nothing
            return ()
        if limits is None:
            limits = derivative.Limits(1e-8, slopes.noise(pair.value, pair.x), 0.0)
        if fault is None:
            found = reference.by_complex_step(pair, limits.exact(pair.y), limits.size)
        else:
            found = reference.by_differences(pair, limits.noise, limits.size)
    known = float(found.doubt[~found.kink].max(initial=0.0)) / max(
        found.scale, limits.size if limits else 0.0, 1e-300
    )
    if not known <= reference.KNOWN:
        return ()
    rng = np.random.default_rng(0)
    return diagnosis.diagnose(diagnosis.evidence(pair, rng, found.J, tolerance=max(2 * known, 1e-10)))


def _vacuity(pair: Pair, declared: set[str], reach: Sequence[derivative.Reach] | None) -> Iterator[Check]:
    """A gradient of zero is declared, and a declared one is zero."""
    if reach is None:
        return
    reaches = dict(zip(pair.names, reach, strict=True))
    idle = [
        name
        for name, (size, seen) in reaches.items()
        if name not in declared and not size > ZERO and not seen
    ]
    yield Check(
        "every argument matters", not idle, detail=f"no gradient for {', '.join(idle)}" if idle else ""
    )
    if declared:
        sizes = {name: reaches[name].size for name in pair.names if name in declared}
        moved = [f"{name} ({size:.1e})" for name, size in sizes.items() if not size <= ZERO]
        detail = f"not zero: {', '.join(moved)}" if moved else ""
        yield Check("declared zeros are zero", not moved, max(sizes.values()), ZERO, detail)
