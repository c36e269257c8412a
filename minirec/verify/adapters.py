"""Functions that are not pairs in the idiom of functional/, made into such pairs for `check_gradient`.

`vjp_pair` takes (f, vjp) in the style of jax.vjp, `gradient_pair` a scalar f with its gradient,
`derivative_pair` an elementwise f with its derivative.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minirec.verify.pair import as_list, fresh_copy, is_floating
from minirec.verify.report import Check

Function = Callable[..., Any]
VALUE = 1e-12  # f and the value that vjp returns may differ by rounding


def vjp_pair(f: Function, vjp: Function) -> tuple[Function, Function]:
    """(forward, backward) of f(*args) -> y and vjp(*args) -> (y, pullback), pullback(dy) -> gradients.

    That is jax.vjp with f filled in. `pullback` gives one gradient per argument, those of integer and boolean
    arguments being ignored, or one per floating array. Whether vjp returns the value of f is a row of the
    report.

    >>> from minirec.verify import check_gradient
    >>> def product(x, y):
    ...     return x * y
    >>> def product_vjp(x, y):
    ...     return x * y, lambda dy: (dy * y, dy * x)
    >>> x, y = np.array([1.0, -2.0]), np.array([3.0, 0.5])
    >>> check_gradient(*vjp_pair(product, product_vjp), x, y).ok
    True
    """

    def called(*args: Any) -> tuple[Any, Any]:
        result = vjp(*args)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"vjp must return (y, pullback), got {type(result).__name__}")
        return result

    @functools.wraps(f)  # the names of the arguments come from there
    def forward(*args: Any) -> tuple[Any, Any]:
        # The pull-back is not asked for at complex arguments: complex step needs f alone.
        pullback = None if any(np.iscomplexobj(value) for value in args) else called(*args)[1]
        return f(*args), (pullback, [is_floating(value) for value in args])

    def backward(dy: Any, cache: Any) -> list[Any]:
        pullback, floating = cache
        gradients = as_list(pullback(dy))
        if len(gradients) == len(floating):
            return [d for d, wanted in zip(gradients, floating, strict=True) if wanted]
        return gradients

    def same_value(*args: Any) -> Iterator[Check]:
        y, other = f(*map(fresh_copy, args)), called(*map(fresh_copy, args))[0]
        if np.shape(y) != np.shape(other):
            yield Check(
                "vjp gives the value of f", False, detail=f"shape {np.shape(other)}, f has {np.shape(y)}"
            )
            return
        gaps = np.abs(np.asarray(other) - np.asarray(y))
        i = np.unravel_index(int(np.argmax(gaps)), gaps.shape)
        gap, largest = float(gaps[i]), float(np.abs(y).max()) or 1.0
        ok = gap <= VALUE * largest
        numbers = f"at {[int(k) for k in i]}: vjp {np.asarray(other)[i]:.10g}, f {np.asarray(y)[i]:.10g}"
        yield Check("vjp gives the value of f", ok, gap / largest, VALUE, "" if ok else numbers)

    forward.checks = same_value  # type: ignore[attr-defined]  # rows that check_gradient adds to its own
    return forward, backward


def gradient_pair(f: Function, gradient: Function) -> tuple[Function, Function]:
    """(forward, backward) of f(*args) -> one number and gradient(*args) -> one gradient per floating array.

    Raises ValueError where f returns an array: its gradient would be a Jacobian; `vjp_pair` is for that.

    >>> from minirec.verify import check_gradient
    >>> def energy(x, A):
    ...     return 0.5 * x @ A @ x
    >>> def energy_gradient(x, A):
    ...     return 0.5 * (A + A.T) @ x, 0.5 * np.outer(x, x)
    >>> x, A = np.array([1.0, -2.0]), np.array([[3.0, 0.5], [1.5, -1.0]])
    >>> check_gradient(*gradient_pair(energy, energy_gradient), x, A).ok
    True
    """

    @functools.wraps(f)
    def forward(*args: Any) -> tuple[Any, Any]:
        y = f(*args)
        if np.ndim(y) != 0:
            raise ValueError(
                f"f must return one number, got an array of shape {np.shape(y)}: sum it up, or use vjp_pair, "
                "which takes an upstream gradient of that shape"
            )
        return np.asarray(y)[()], args

    def backward(dy: Any, args: Any) -> list[Any]:
        return [dy * np.asarray(d) for d in as_list(gradient(*args))]

    return forward, backward


def derivative_pair(f: Function, df: Function) -> tuple[Function, Function]:
    """(forward, backward) of an elementwise f(x) and its derivative df(x).

    >>> from minirec.verify import check_gradient
    >>> check_gradient(*derivative_pair(np.sin, np.cos), np.array([0.1, -2.0])).ok
    True
    """
    return lambda x: (f(x), x), lambda dy, x: dy * df(x)
