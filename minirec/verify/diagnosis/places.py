"""Named sets of entries of an array: masked, padded, repeated, first, last, diagonal, ...

The diagnosis of a wrong gradient looks for the smallest of them that holds every wrong entry.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirec.verify.diagnosis.factors import axis_name

Array = NDArray[Any]
Place = tuple[str, Array]  # what it is called, and which entries belong to it


def named_places(shape: tuple[int, ...], arguments: Mapping[str, Any], own: Any = None) -> Iterator[Place]:
    """Every named set for an array of this shape; `own` is the argument that the array is a gradient of."""
    yield from _geometry(shape)
    for name, value in arguments.items():
        if isinstance(value, np.ndarray) and value.dtype == np.bool_ and value.ndim:
            yield from _masked(shape, name, value)
        elif isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.integer) and value.size:
            yield from _ids(shape, name, value)
        elif isinstance(value, np.ndarray) and value is not own and value.dtype.kind == "f":
            yield from _aligned(f"where {name} is 0", value == 0, shape)
    if isinstance(own, np.ndarray) and own.shape == shape and own.dtype.kind == "f":
        yield "where the argument is negative", own < 0
        yield "where the argument is positive", own > 0
        yield "where the argument is 0", own == 0
        if len(shape) >= 1 and shape[-1] > 1:
            flat = np.ptp(own, axis=-1) <= 1e-12 * np.abs(own).max(axis=-1)
            yield "in the rows where the argument is constant", _expand(flat, shape)


def _geometry(shape: tuple[int, ...]) -> Iterator[Place]:
    for a, size in enumerate(shape):
        if size > 1:
            index = np.arange(size).reshape([-1 if b == a else 1 for b in range(len(shape))])
            for word, at in (("first", 0), ("last", size - 1)):
                yield f"at the {word} place along {axis_name(a, len(shape))}", _fill(index == at, shape)
    if len(shape) >= 2 and shape[-1] == shape[-2] > 1:
        unit = np.eye(shape[-1], dtype=bool)
        yield "on the diagonal", _fill(unit, shape)
        yield "off the diagonal", _fill(~unit, shape)
        yield "above the diagonal", _fill(np.triu(~unit), shape)
        yield "below the diagonal", _fill(np.tril(~unit), shape)


def _masked(shape: tuple[int, ...], name: str, mask: Array) -> Iterator[Place]:
    yield from _aligned(f"where {name} is False", ~mask, shape)
    yield from _aligned(f"where {name} is True", mask, shape)
    if mask.ndim >= 2 and len(shape) >= 2:  # attention: (..., queries, keys) against (..., T, D)
        for axis, some, none in (
            (-1, "in the rows of {} with something hidden", "in the rows of {} with nothing visible"),
            (-2, "at keys that {} hides from some query", "at keys that {} hides from every query"),
        ):
            hidden = ~mask
            for text, part in ((some, hidden.any(axis=axis)), (none, hidden.all(axis=axis))):
                if part.ndim <= len(shape) - 1 and _broadcasts(part.shape, shape[:-1]):
                    yield text.format(name), _expand(np.broadcast_to(part, shape[:-1]), shape)


def _ids(shape: tuple[int, ...], name: str, ids: Array) -> Iterator[Place]:
    if shape and ids.min() >= 0 and ids.max() < shape[0]:
        times = np.bincount(ids.ravel(), minlength=shape[0])
        for text, rows in (
            ("in the rows that {} never reads", times == 0),
            ("in the rows that {} reads more than once", times > 1),
            ("in the rows that {} reads", times > 0),
            ("in row 0 (padding in {}?)", np.arange(shape[0]) == 0),
        ):
            yield text.format(name), _expand(rows, shape)
    if ids.ndim <= len(shape) and ids.shape == shape[: ids.ndim]:
        yield f"at padding, where {name} is 0", _expand(ids == 0, shape)
    if len(shape) == ids.ndim + 1 and ids.shape == shape[:-1] and ids.min() >= 0 and ids.max() < shape[-1]:
        hit = np.arange(shape[-1]) == ids[..., None]
        yield f"at the entry that {name} names in each row", hit
        yield f"at the entries that {name} does not name", ~hit


def _aligned(text: str, part: Array, shape: tuple[int, ...]) -> Iterator[Place]:
    """`part` broadcast against the last axes, or else against the first ones."""
    if part.ndim <= len(shape) and _broadcasts(part.shape, shape):
        yield text, _fill(part, shape)
    elif part.ndim and part.shape == shape[: part.ndim]:
        yield text, _expand(part, shape)


def _broadcasts(part: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return all(p in (1, n) for p, n in zip(part[::-1], shape[::-1], strict=False))


def _fill(part: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(part, shape)


def _expand(part: Array, shape: tuple[int, ...]) -> Array:
    """A set of leading indices, with everything behind them."""
    return np.broadcast_to(part.reshape(part.shape + (1,) * (len(shape) - part.ndim)), shape)
