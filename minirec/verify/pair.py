"""A forward and a backward function as maps between flat vectors: x (n,) -> y (m,), and dy (m,) -> dx (n,).

All differentiable arguments are laid end to end, so that the checks in gradient.py are plain linear
algebra. Every call gets fresh copies of its arguments, so no call can disturb the next one.
"""

import copy
import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# The last floating arguments are data if they have these names and backward returns fewer gradients.
DATA_NAMES = frozenset({"mask", "ids", "users", "items", "ratings", "target", "targets", "weight", "weights"})


class Pair:
    """forward(*args) -> (y, cache) and backward(dy, cache) -> gradients, for the arguments at `wrt`."""

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        args: Sequence[Any],
        wrt: Sequence[int],
        names: Sequence[str],
    ) -> None:
        self.forward, self.backward = forward, backward
        self.args, self.wrt = list(args), list(wrt)
        self.arg_names = list(names)  # of all arguments
        self.names = [names[i] for i in wrt]  # of the differentiable arguments only
        ends = np.cumsum([0] + [args[i].size for i in wrt])
        self.parts = [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]
        self.x = np.concatenate([np.ravel(args[i]) for i in wrt])  # (n,)
        self.shared = True  # one cache for many backward calls; False once backward is seen to write into it
        y, self._cache = self.call(self.arguments())
        self.scalar = not isinstance(y, np.ndarray)
        self.y = np.asarray(y)

    def arguments(self, x: Array | None = None) -> list[Any]:
        """Fresh arguments for one call: `x` (n,) cut into the differentiable ones, the others copied."""
        given = {} if x is None else dict(zip(self.wrt, self.parts, strict=True))
        return [
            _laid_out_like(value, x[given[i]]) if x is not None and i in given else fresh_copy(value)
            for i, value in enumerate(self.args)
        ]

    def call(self, arguments: Sequence[Any]) -> tuple[Any, Any]:
        """One forward call; raises TypeError unless it returns (y, cache)."""
        return checked(self.forward(*arguments))

    def value(self, x: Array) -> Array:
        """y (m,) at the flat point `x`, which may be complex."""
        return np.ravel(self.call(self.arguments(x))[0])

    def upstream(self, g: Array, order: Literal["C", "F"] = "C") -> Any:
        """`g` (m,) in the shape of y, in this memory layout; a NumPy scalar where y is one."""
        shaped = np.array(g.astype(self.y.dtype).reshape(self.y.shape), order=order)
        return shaped[()] if self.scalar else shaped

    def gradients(self, dy: Any, cache: Any) -> list[Any]:
        """What backward returned, as a list."""
        return as_list(self.backward(dy, cache))

    def pull(self, g: Array, order: Literal["C", "F"] = "C") -> Array:
        """Jᵀg (n,), by backward, for g (m,)."""
        cache = self._cache if self.shared else self.call(self.arguments())[1]
        return np.concatenate([np.ravel(d) for d in self.gradients(self.upstream(g, order), cache)])

    def entry(self, j: int) -> tuple[str, tuple[int, ...]]:
        """Name and index of the j-th number of the flat point."""
        part = next(p for p, s in enumerate(self.parts) if s.start <= j < s.stop)
        shape = self.args[self.wrt[part]].shape
        place = np.unravel_index(j - self.parts[part].start, shape)
        return self.names[part], tuple(int(i) for i in place)


def as_list(gradients: Any) -> list[Any]:
    """A bare array, a tuple or a list of them, or None, as a list."""
    if gradients is None:
        return []
    return [dense(g) for g in gradients] if isinstance(gradients, tuple | list) else [dense(gradients)]


def dense(gradient: Any) -> Any:
    """A gradient as a plain array: one that is stored by rows says `.dense()`."""
    return gradient.dense() if hasattr(gradient, "dense") else gradient


def _laid_out_like(value: Array, numbers: Array) -> Array:
    """The numbers (size,) in the shape of `value`, and in its memory layout."""
    array = np.empty_like(value, dtype=numbers.dtype)
    array[...] = numbers.reshape(value.shape)
    return array


def fresh_copy(value: Any) -> Any:
    """An array or a Generator of its own; anything else as it is."""
    if isinstance(value, np.ndarray):
        return np.array(value, order="K")
    return copy.deepcopy(value) if isinstance(value, np.random.Generator) else value


def argument_names(forward: Callable[..., Any], count: int) -> list[str]:
    """The names of the first `count` positional parameters; "argument 2" where there is no name."""
    try:
        parameters = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    known = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [known[i] if i < len(known) else f"argument {i}" for i in range(count)]


def is_floating(value: Any) -> bool:
    """True for a real floating array."""
    return isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.floating)


def differentiable(args: Sequence[Any], names: Sequence[str], returned: int) -> list[int]:
    """Positions of the floating arrays, `returned` of them being known to get a gradient.

    Where that is fewer than there are, the last ones get none as long as they are data by name (DATA_NAMES):
    (prediction, target, weight) has one gradient, but (x, weight, bias) has three.
    """
    floating = [i for i, value in enumerate(args) if is_floating(value)]
    while len(floating) > returned and names[floating[-1]] in DATA_NAMES:
        floating.pop()
    return floating


def returned_gradients(forward: Callable[..., Any], backward: Callable[..., Any], args: Sequence[Any]) -> int:
    """How many gradients backward returns, from one call of each."""
    y, cache = checked(forward(*map(fresh_copy, args)))
    dy = np.random.default_rng(0).standard_normal(np.shape(y)).astype(np.asarray(y).dtype)
    return len(as_list(backward(dy if isinstance(y, np.ndarray) else dy[()], cache)))


def checked(result: Any) -> tuple[Any, Any]:
    """What forward returned; raises TypeError unless it is the pair (y, cache)."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"forward must return the pair (y, cache), got {type(result).__name__}")
    return result


def fingerprint(tree: Any) -> list[tuple[str, bytes]]:
    """(place, bytes) of every array, number and generator inside tuples, lists, dicts and objects."""
    return list(_leaves("", tree, set()))


def first_change(before: list[tuple[str, bytes]], after: list[tuple[str, bytes]]) -> str | None:
    """The place of the first leaf that differs between two fingerprints, or None."""
    for (place, old), (_, new) in zip(before, after, strict=False):
        if old != new:
            return place or "the value"
    return None if len(before) == len(after) else "the number of entries"


def _leaves(place: str, tree: Any, seen: set[int]) -> Iterable[tuple[str, bytes]]:
    if isinstance(tree, np.ndarray):
        yield place, repr((tree.dtype.str, tree.shape)).encode() + tree.tobytes()
    elif isinstance(tree, np.random.Generator):
        yield place, repr(tree.bit_generator.state).encode()
    elif isinstance(tree, np.generic | int | float | complex | str | bytes) or tree is None:
        yield place, repr(tree).encode()
    elif id(tree) not in seen:
        seen = seen | {id(tree)}
        if isinstance(tree, tuple) and hasattr(tree, "_fields"):
            children = list(zip(tree._fields, tree, strict=True))
        elif isinstance(tree, tuple | list):
            children = [(str(i), value) for i, value in enumerate(tree)]
        elif isinstance(tree, dict):
            children = [(str(key), value) for key, value in tree.items()]
        else:
            children = list(getattr(tree, "__dict__", {}).items())
        for name, child in children:
            yield from _leaves(f"{place}.{name}" if place else str(name), child, seen)
