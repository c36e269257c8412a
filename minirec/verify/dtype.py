"""Does a pair of functions keep the precision that it is given? float32 in must be float32 out, both ways.

A single np.sqrt(d) or a float64 weight turns a whole network into float64, at twice the memory and half the
speed, and no gradient check notices.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirec.verify.pair import argument_names, as_list, differentiable, fresh_copy, is_floating
from minirec.verify.report import Check, Report


def check_dtype(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *args: Any,
    dtype: Any = np.float32,
    rng: np.random.Generator | int | None = None,
    wrt: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    tolerance: float = 1e-3,
    title: str | None = None,
) -> Report:
    """Check that y and every gradient have `dtype` when all floating arguments have it, and are not nonsense.

    `args`, `rng`, `wrt` and `names` are as in `check_gradient`. `tolerance` bounds the difference from the
    float64 result, relative to its largest entry; `Report.error` is that difference over all gradients.
    """
    rng = np.random.default_rng(0 if rng is None else rng)
    names = list(names) if names is not None else argument_names(forward, len(args))
    kind = np.dtype(dtype)
    title = title or f"{kind} in {getattr(forward, '__name__', 'forward').removesuffix('_forward')}"

    y, cache = forward(*map(fresh_copy, args))
    small_y, small_cache = forward(*(_cast(fresh_copy(value), kind) for value in args))
    dy = rng.standard_normal(np.shape(y))
    exact = as_list(backward(_like(dy, y), cache))
    small = as_list(backward(_like(dy.astype(kind), small_y), small_cache))

    where = differentiable(args, names, len(exact)) if wrt is None else list(wrt)
    wrong = [] if small_y.dtype == kind else [f"y is {small_y.dtype}"]
    for i, d in zip(where, small, strict=False):
        if np.asarray(d).dtype != kind:
            wrong.append(f"d{names[i]} is {np.asarray(d).dtype}")
    rows = [Check(f"{kind} in, {kind} out", not wrong, detail="; ".join(wrong))]
    rows.append(_close("y", [y], [small_y], tolerance))
    rows.append(_close("gradients", exact, small, tolerance))
    return Report(title, tuple(rows), rows[-1].value if rows[-1].value is not None else float("inf"))


def _close(what: str, exact: Sequence[Any], small: Sequence[Any], tolerance: float) -> Check:
    if [np.shape(a) for a in exact] != [np.shape(b) for b in small]:
        return Check(f"{what} as in float64", False, detail="other shapes")
    scale = max((float(np.max(np.abs(_finite(a)), initial=0.0)) for a in exact), default=0.0) or 1.0
    gaps = [
        float(np.max(np.abs(_finite(a) - _finite(b)), initial=0.0)) / scale
        for a, b in zip(exact, small, strict=True)
    ]
    same = all(np.array_equal(np.isfinite(a), np.isfinite(b)) for a, b in zip(exact, small, strict=True))
    gap = max(gaps, default=0.0)
    return Check(f"{what} as in float64", same and gap <= tolerance, gap, tolerance)


def _finite(a: Any) -> Any:
    return np.where(np.isfinite(a), a, 0.0)  # −∞ is a legal value of log_softmax


def _cast(value: Any, dtype: Any) -> Any:
    return value.astype(dtype) if is_floating(value) else value


def _like(dy: Any, y: Any) -> Any:
    return dy if isinstance(y, np.ndarray) else np.asarray(dy)[()]
