"""The gradient check for modules of nn/ and for whole networks: all inputs and all parameters at once.

A module becomes a pair of functions whose arguments are its inputs followed by its parameters; from there on
gradient.py does the work.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np

from minirec.verify.gradient import check_gradient
from minirec.verify.pair import (
    argument_names,
    as_list,
    dense,
    differentiable,
    fingerprint,
    first_change,
    fresh_copy,
    returned_gradients,
)
from minirec.verify.report import Check, Report


class ModulePair(NamedTuple):
    """A module as forward(*args) and backward(dy, cache), to be passed on to any check of a pair."""

    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[[Any, Any], tuple[Any, ...]]
    args: list[Any]  # the inputs, then the parameters in the order of params(); floating arrays in float64
    names: list[str]  # of args
    wrt: list[int]  # positions in args of the inputs that get a gradient, and of all parameters


def check_module(
    module: Any,
    *inputs: Any,
    rng: np.random.Generator | int | None = None,
    wrt: Sequence[int] | None = None,
    zero: Sequence[int | str] = (),
    options: Mapping[str, Any] | None = None,
    tolerance: float = 1e-8,
    jacobian: bool = True,
    method: str = "differences",
    directions: int = 3,
    title: str | None = None,
) -> Report:
    """Check `module.backward` against `module.forward(*inputs, **options)`, for all inputs and parameters.

    module    has forward, backward, params() and with_params(), as minirec.nn.Module has
    inputs    floating inputs and parameters are converted to float64; the module itself stays as it is
    wrt       positions of the inputs that get a gradient; default: the floating ones (as in `check_gradient`)
    zero      positions of inputs, or names of inputs and parameters, whose gradient is zero by mathematics;
              a name may have wildcards: "*.b_k"
    options   keyword arguments of forward; a Generator in it starts anew in every call

    The other arguments, and what is checked, are as in `check_gradient`; moreover the gradients have exactly
    the names of params(), and a call leaves no trace in the module. For a large network pass
    `jacobian=False`. Raises ValueError for a name in `zero` that fits nothing.
    """
    title = title or f"gradient of {type(module).__name__}"
    pair = as_pair(module, *inputs, wrt=wrt, options=options)
    zeros = expand(zero, pair.names)
    own = list(_names_and_state(module, inputs, pair, options or {}))
    if not all(row.ok for row in own):
        return Report(title, tuple(own), zero=zeros)
    report = check_gradient(
        pair.forward, pair.backward, *pair.args, rng=rng, wrt=pair.wrt, zero=zeros, names=pair.names,
        tolerance=tolerance, jacobian=jacobian, method=method,
        directions=directions, title=title,
    )  # fmt: skip
    return replace(report, checks=(*own, *report.checks))


def as_pair(
    module: Any, *inputs: Any, wrt: Sequence[int] | None = None, options: Mapping[str, Any] | None = None
) -> ModulePair:
    """The module as a pair of functions of its inputs and its parameters."""
    params = module.params()
    count, extra = len(inputs), dict(options or {})
    given = argument_names(module.forward, count)
    names = [f"input {name}" if name in params else name for name in given] + list(params)
    args = [to_float64(value) for value in [*inputs, *params.values()]]

    def forward(*values: Any) -> tuple[Any, Any]:
        other = module.with_params(dict(zip(params, values[count:], strict=True)))
        y, cache = other.forward(*values[:count], **{name: fresh_copy(v) for name, v in extra.items()})
        return y, (other, cache)

    def backward(dy: Any, cache: Any) -> tuple[Any, ...]:
        other, inner = cache
        dinputs, grads = other.backward(dy, inner)
        return (*_inputs(dinputs), *(dense(grads[name]) for name in params))

    if wrt is None:
        returned = returned_gradients(
            forward, lambda dy, cache: _inputs(cache[0].backward(dy, cache[1])[0]), args
        )
        wrt = differentiable(args[:count], given, returned)
    return ModulePair(forward, backward, args, names, [*wrt, *range(count, len(args))])


def names_of_gradients(params: Mapping[str, Any], grads: Mapping[str, Any]) -> Check:
    """The gradients have the names of the parameters, and no array goes by two names."""
    missing = [name for name in params if name not in grads]
    unknown = [name for name in grads if name not in params]
    first: dict[int, str] = {}
    twice = [
        f"{first[id(a)]} and {name}" for name, a in params.items() if first.setdefault(id(a), name) != name
    ]
    said = (("no gradient for", missing), ("unknown", unknown), ("one array by two names:", twice))
    detail = "; ".join(f"{word} {', '.join(found)}" for word, found in said if found)
    return Check("names as in params()", not detail, detail=detail)


def _names_and_state(
    module: Any, inputs: Sequence[Any], pair: ModulePair, options: Mapping[str, Any]
) -> Iterator[Check]:
    """The rows that only a module can fail."""
    count = len(inputs)
    live = module.with_params(dict(zip(module.params(), pair.args[count:], strict=True)))
    before = fingerprint(live)
    y, cache = live.forward(
        *map(fresh_copy, pair.args[:count]), **{k: fresh_copy(v) for k, v in options.items()}
    )
    draw = np.random.default_rng(0)  # not the caller's generator: the check proper starts from that
    dy = np.asarray(draw.standard_normal(np.shape(y)), dtype=np.asarray(y).dtype)
    dinputs, grads = live.backward(dy if isinstance(y, np.ndarray) else dy[()], cache)
    names = names_of_gradients(module.params(), grads)
    yield names
    got, wanted = len(_inputs(dinputs)), len(pair.wrt) - len(pair.args) + count
    detail = "" if got == wanted else f"{got} gradients for {wanted} inputs; wrt= says which inputs get one"
    yield Check("one gradient per input", not detail, detail=detail)
    if detail or not names.ok:
        return
    first = fingerprint([_inputs(dinputs), [dense(grads[name]) for name in module.params()]])
    moved = [_other_values(v) for v in pair.args[:count]]
    live.forward(*moved, **{k: fresh_copy(v) for k, v in options.items()})  # must not disturb `cache`
    dinputs, grads = live.backward(dy if isinstance(y, np.ndarray) else dy[()], cache)
    second = fingerprint([_inputs(dinputs), [dense(grads[name]) for name in module.params()]])
    traces = [] if first_change(first, second) is None else ["backward differs after another forward"]
    place = first_change(before, fingerprint(live))
    traces += [] if place is None else [f"a call changes {place} of the module"]
    yield Check("no trace in the module", not traces, detail="; ".join(traces))


def _other_values(value: Any) -> Any:
    """An input of the same shape and range with other values."""
    if not isinstance(value, np.ndarray):
        return fresh_copy(value)
    return value * 1.001 if value.dtype == np.float64 else np.flip(value).reshape(value.shape)


def _inputs(dinputs: Any) -> list[Any]:
    return [d for d in as_list(dinputs) if d is not None]


def to_float64(value: Any) -> Any:
    if isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.floating):
        return value.astype(np.float64)
    return value


def expand(zero: Sequence[int | str], names: Sequence[str]) -> tuple[str, ...]:
    """Names that fit the declared zeros, in the order of the arguments."""
    found: set[str] = set()
    for item in [zero] if isinstance(zero, int | str) else zero:
        fitting = [name for name in names if isinstance(item, str) and fnmatchcase(name, item)]
        if isinstance(item, int) and 0 <= item < len(names):
            fitting = [names[item]]
        if not fitting:
            raise ValueError(f"zero names {item!r}, which fits nothing: there are {', '.join(names)}")
        found.update(fitting)
    return tuple(name for name in names if name in found)
