"""Module: named arrays, named children and two methods. Every layer and block of nn/ is one.

A module holds no activations and no gradients. What the backward pass needs is in the cache that `forward`
returns, so that a module may be used twice, in two threads, or share an array with another module.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minirec.functional import Array, RowGradient

Gradient = Array | RowGradient
Grads = dict[str, Any]  # {dotted name: Gradient}, the keys of params()


class Module(ABC):
    """Public attributes that are arrays are parameters; those that are modules (or lists of them), children.

    `y, cache = forward(...)` computes; `dx, grads = backward(dy, cache)` gives the gradient of the inputs
    and {name: gradient} with exactly the keys of `params()`. With `rng=None` a forward pass is evaluation
    (no dropout), with a Generator it is training.
    """

    @abstractmethod
    def forward(self, *inputs: Any, **options: Any) -> tuple[Array, Any]:
        """Compute the output, and a cache for the backward pass."""

    @abstractmethod
    def backward(self, dy: Array, cache: Any) -> tuple[Any, Grads]:
        """The gradient of the inputs, and the gradient of every parameter by name."""

    def _named(self) -> Iterator[tuple[str, Array]]:
        """(dotted name, array) of every parameter, in the order of the constructor; tied ones repeat."""
        for attribute, value in vars(self).items():
            if attribute.startswith("_"):
                continue
            if isinstance(value, np.ndarray):
                yield attribute, value
            for prefix, child in _children(attribute, value):
                for name, array in child._named():
                    yield f"{prefix}.{name}", array

    def params(self) -> dict[str, Array]:
        """{dotted name: array}: the live arrays in a fixed order; an array used twice appears once."""
        named: dict[str, Array] = {}
        seen: set[int] = set()
        for name, array in self._named():
            if id(array) not in seen:
                seen.add(id(array))
                named[name] = array
        return named

    def with_params(self, params: Mapping[str, Array]) -> Any:
        """A copy of this module that uses the given arrays, of any dtype. This module stays as it is.

        Raises KeyError for a name that is missing or unknown, ValueError for another shape.
        """
        own = self.params()
        if params.keys() != own.keys():
            odd = sorted(params.keys() ^ own.keys())
            raise KeyError(f"parameter names do not match: {odd[0]} stands on one side only")
        for name, array in params.items():
            if array.shape != own[name].shape:
                raise ValueError(f"{name} has shape {array.shape}, expected {own[name].shape}")
        # A deep copy that meets one of the own arrays takes the given one instead; tied ones stay tied.
        return copy.deepcopy(self, {id(own[name]): array for name, array in params.items()})

    def astype(self, dtype: Any) -> Any:
        """A copy of this module with parameters of another precision; tied arrays stay tied."""
        return self.with_params({name: array.astype(dtype) for name, array in self.params().items()})

    def parameter_count(self) -> int:
        """How many numbers the module learns."""
        return sum(array.size for array in self.params().values())


def _children(attribute: str, value: Any) -> list[tuple[str, Module]]:
    if isinstance(value, Module):
        return [(attribute, value)]
    if isinstance(value, list):
        return [(f"{attribute}.{i}", child) for i, child in enumerate(value) if isinstance(child, Module)]
    return []


def prefixed(prefix: str, grads: Grads) -> Grads:
    """The gradients of a child under the names that they have in its parent."""
    return {f"{prefix}.{name}": gradient for name, gradient in grads.items()}
