"""How the properties of a module call it: other inputs or parameters by name, some rows of the batch.

What holds for every module of nn/, and for whole networks, is here as well: rows of a batch do not meet, and
their gradients add up.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Place, Property, Rng, relative_gap


def child(params: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The parameters of one child, under the names that it gives them itself."""
    start = prefix + "."
    return {name[len(start) :]: array for name, array in params.items() if name.startswith(start)}


def arguments(place: Place) -> dict[str, Any]:
    """Inputs and parameters by name."""
    return dict(zip(place.names, place.args, strict=True))


def inputs(place: Place) -> dict[str, Any]:
    """The inputs alone, without those that are None."""
    assert place.built is not None
    given = list(arguments(place).items())[: len(place.built.inputs)]
    return {name: x for name, x in given if x is not None}


def value(place: Place, changes: dict[str, Any]) -> Array:
    """y where some arguments are replaced by name."""
    y: Array = place(*(arguments(place) | changes).values())
    return y


def gradients(place: Place, dy: Array, changes: dict[str, Any] | None = None) -> dict[str, Array]:
    """The gradients by name, where some arguments are replaced."""
    assert place.wrt is not None
    found = place.gradients(dy, *(arguments(place) | (changes or {})).values())
    return dict(zip([place.names[i] for i in place.wrt], found, strict=True))


def gradient_gap(found: Mapping[str, Array], expected: Mapping[str, Array]) -> float:
    """The largest difference of two sets of gradients, relative to the largest entry of all of them."""
    size = max(float(np.abs(gradient).max(initial=0.0)) for gradient in expected.values())
    return max(relative_gap(found[name], gradient, size) for name, gradient in expected.items())


def setting(place: Place, name: str, default: Any = None) -> Any:
    """One setting of the module's constructor."""
    assert place.built is not None
    return place.built.settings.get(name, default)


def trains(place: Place) -> bool:
    """True where dropout is on: its draws depend on the shapes."""
    assert place.built is not None
    return bool(place.built.options)


def batch_size(place: Place) -> int:
    """How many rows the batch has; 1 where there is no batch axis."""
    first = next(iter(inputs(place).values()))
    batched = first.ndim >= 3 if first.dtype.kind == "f" else first.ndim == 2
    return first.shape[0] if batched else 1


def rows(place: Place, chosen: slice) -> dict[str, Any]:
    """The inputs of some rows of the batch. Masks without a batch axis stay as they are."""
    B, rank = batch_size(place), next(iter(inputs(place).values())).ndim
    return {
        name: x[chosen] if x.shape[0] == B and x.ndim == rank + (x.dtype == bool) else x
        for name, x in inputs(place).items()
    }


def a_row_is_the_same_alone(place: Place, rng: Rng) -> float | None:
    if trains(place) or batch_size(place) == 1:
        return None
    y = place(*place.args)
    alone = [value(place, rows(place, slice(b, b + 1))) for b in range(len(y))]
    return relative_gap(np.concatenate(alone), y)


def micro_batches_add_up(place: Place, rng: Rng) -> float | None:
    """Gradients of parameters add up over parts of the batch, those of inputs stand one after the other."""
    if trains(place) or batch_size(place) == 1:
        return None
    dy = place.upstream(rng)
    whole = gradients(place, dy)
    first, rest = (gradients(place, dy[part], rows(place, part)) for part in (slice(0, 1), slice(1, None)))
    own = inputs(place)
    joined = {
        name: np.concatenate([first[name], rest[name]]) if name in own else first[name] + rest[name]
        for name in whole
    }
    return gradient_gap(joined, whole)


def counted(count: Callable[..., int]) -> Callable[[Place, Rng], float]:
    """The property that a module has count(**settings) parameters."""

    def gap(place: Place, rng: Rng) -> float:
        assert place.built is not None
        return float(abs(place.module.parameter_count() - count(**place.built.settings)))

    return gap


BATCH = (
    Property("a row is the same alone", a_row_is_the_same_alone, 1e-13),
    Property("gradients of micro-batches add up", micro_batches_add_up, 1e-13),
)
