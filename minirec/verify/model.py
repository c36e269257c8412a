"""The gradient check for whole recommenders: every parameter by name, through the loss that training uses.

A model becomes a pair of functions from its parameters to the loss of one batch; gradient.py does the rest.
Without the full Jacobian the cost does not grow with the number of entries: one pass per parameter and
direction, so that models are checked at full width.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minirec.verify.gradient import check_gradient
from minirec.verify.module import expand, names_of_gradients, to_float64
from minirec.verify.pair import dense, fingerprint, first_change, fresh_copy
from minirec.verify.report import Check, Report


def check_model(
    model: Any,
    batch: Sequence[Any],
    *,
    rng: np.random.Generator | int | None = None,
    zero: Sequence[int | str] = (),
    dropout_rng: np.random.Generator | None = None,
    jacobian: bool = False,
    tolerance: float = 1e-8,
    method: str = "differences",
    directions: int = 3,
    title: str | None = None,
) -> Report:
    """Check the gradients of `model.loss_and_grads(batch, upstream, rng)` for every parameter.

    model        has params() -> {name: array}, with_params({name: array}) -> a copy that uses these arrays,
                 and loss_and_grads(batch, upstream, rng) -> (loss, {name: upstream · gradient}). Where it has
                 loss_forward(batch, rng) -> (loss, anything) too, complex step goes through that: a backward
                 pass need not take complex numbers
    batch        a tuple of arrays; floating ones, and the parameters, are converted to float64. The model
                 and the batch that are given stay as they are
    zero         names of parameters whose gradient is zero by mathematics, with wildcards: "*.b_k"
    dropout_rng  the generator of dropout, which starts anew in every call; None: no dropout
    jacobian     True compares every entry of every parameter; False, random directions of each parameter
    directions   how many of these; each costs one pass per parameter

    `rng`, `tolerance` and `method` are as in `check_gradient`. Moreover the gradients have exactly the names
    of params(), no array goes by two names, and a call leaves no trace in the model. Raises TypeError for a
    model without one of these methods, ValueError for a name in `zero` that fits nothing.
    """
    for needed in ("params", "with_params", "loss_and_grads"):
        if not callable(getattr(model, needed, None)):
            raise TypeError(f"{type(model).__name__} has no method {needed}(), which check_model calls")
    title = title or f"gradient of {type(model).__name__}"
    params = model.params()
    names, args = list(params), [to_float64(array) for array in params.values()]
    zeros = expand(zero, names)
    batch = tuple(to_float64(part) for part in batch)
    whole = model.with_params({name: array.copy() for name, array in zip(names, args, strict=True)})
    own = list(_names_and_state(whole, params, batch, dropout_rng))
    if not all(row.ok for row in own):
        return Report(title, tuple(own), zero=zeros)

    def with_values(values: Sequence[Any]) -> Any:
        return model.with_params(dict(zip(names, values, strict=True)))

    def forward(*values: Any) -> tuple[Any, Any]:
        other = with_values(values)
        return _loss(other, _fresh(batch), fresh_copy(dropout_rng)), other

    def backward(dloss: Any, other: Any) -> tuple[Any, ...]:
        _, grads = other.loss_and_grads(_fresh(batch), dloss, fresh_copy(dropout_rng))
        return tuple(dense(grads[name]) for name in names)

    report = check_gradient(
        forward, backward, *args, rng=rng, wrt=range(len(args)), zero=zeros, names=names, tolerance=tolerance,
        jacobian=jacobian, method=method, directions=directions, title=title,
    )  # fmt: skip
    return replace(report, checks=(*own, *report.checks))


def _fresh(batch: Sequence[Any]) -> tuple[Any, ...]:
    """Copies of the arrays of a batch."""
    return tuple(map(fresh_copy, batch))


def _loss(model: Any, batch: tuple[Any, ...], rng: Any) -> Any:
    if hasattr(model, "loss_forward"):
        return model.loss_forward(batch, rng)[0]
    return model.loss_and_grads(batch, 1.0, rng)[0]


def _names_and_state(
    model: Any, params: Mapping[str, Any], batch: tuple[Any, ...], rng: Any
) -> Iterator[Check]:
    """The rows that only a model can fail. `model` is a copy; `params` are those of the original."""
    before, given = fingerprint(model.params()), fingerprint(batch)
    used = _fresh(batch)
    loss, grads = model.loss_and_grads(used, 1.0, fresh_copy(rng))
    yield names_of_gradients(params, grads)
    after = fingerprint(model.params()), fingerprint(used)
    places = [("model", first_change(before, after[0])), ("batch", first_change(given, after[1]))]
    traces = [f"a call changes {place} of the {whose}" for whose, place in places if place is not None]
    yield Check("no trace in the model", not traces, detail="; ".join(traces))
    other = _loss(model, _fresh(batch), fresh_copy(rng))
    same = bool(np.all(loss == other))
    yield Check("one loss", same, detail="" if same else f"loss_and_grads gives {loss}, loss_forward {other}")
