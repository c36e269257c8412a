"""Values as text for trace.py: numbers with 4 significant digits, aligned, small arrays in full.

`lines_of` renders one named value, `leaves` takes a tuple, a cache or a dict apart into named values.
"""

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FULL = 60  # an array of at most this many numbers is printed in full
ROWS, COLUMNS = 3, 6  # of a larger one, along each axis


def lines_of(name: str, value: Any) -> list[str]:
    """`name (shape) = value` on one line, or more where an array has rows; the rows stand below each other.

    >>> print("\\n".join(lines_of("x", np.array([[0.1, -0.5], [100.25, 1 / 3]]))))
    x (2, 2) = [[  0.1    -0.5   ]
                [100.2     0.3333]]
    >>> lines_of("keep", np.array([True, False])), lines_of("eps", 1e-5), lines_of("mask", None)
    (['keep (2,) = [T F]'], ['eps = 1e-05'], ['mask = None'])
    """
    if isinstance(value, np.ndarray):
        head = f"{name} {shape_of(value)} = "
        first, *rest = numbers(value)
        return [head + first, *(" " * len(head) + line if line else "" for line in rest)]
    return [f"{name} = {text_of(value)}"]


def shape_of(value: Array) -> str:
    """The shape, and the dtype where it is an unusual one."""
    usual = value.dtype in (np.float64, np.int64, np.bool_)
    return f"{value.shape}" if usual else f"{value.shape} {value.dtype}"


def text_of(value: Any) -> str:
    """A value that is no array, on one line."""
    if isinstance(value, np.ndarray):
        return f"array {shape_of(value)}"
    if isinstance(value, np.generic | float | complex) and not isinstance(value, str | bytes):
        return _cell(value)
    if value is None or isinstance(value, bool | int):
        return repr(value)
    if isinstance(value, np.random.Generator):
        return "random generator"
    if isinstance(value, type | ModuleType) or callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    if callable(getattr(value, "params", None)):  # a module of nn/, or a model
        named = _few([f"{name} {array.shape}" for name, array in value.params().items()])
        return f"{type(value).__name__}({', '.join(named)})"
    if isinstance(value, tuple | list | Mapping):
        return _summary(value)
    text = repr(value)
    plain = len(text) <= FULL and " at 0x" not in text and "\n" not in text
    return text if plain else type(value).__name__


def _summary(value: Any) -> str:
    """The entries of a container with their shapes, without the numbers."""
    if isinstance(value, Mapping):
        named = [f"{key}: {_brief(entry)}" for key, entry in value.items()]
        start, end = "{", "}"
    elif hasattr(value, "_fields"):
        named = [f"{field} {_brief(entry)}" for field, entry in zip(value._fields, value, strict=True)]
        start, end = f"{type(value).__name__}(", ")"
    else:
        named = [_brief(entry) for entry in value]
        start, end = "[]" if isinstance(value, list) else "()"
    return start + ", ".join(_few(named)) + end


def folded(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(name, value), where more than 6 arrays of one container, such as grads.W, are one value again."""
    groups: dict[str, list[str]] = {}
    for name in values:
        groups.setdefault(name.partition(".")[0], []).append(name)
    for base, names in groups.items():
        if sum(isinstance(values[name], np.ndarray) for name in names) > COLUMNS:
            yield base, {name.removeprefix(f"{base}."): values[name] for name in names}
        else:
            yield from ((name, values[name]) for name in names)


def _few(named: list[str]) -> list[str]:
    return named if len(named) <= COLUMNS else [*named[:ROWS], f"… {len(named)} in all"]


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return shape_of(value)
    plain = isinstance(value, tuple | list) and all(isinstance(entry, int | str) for entry in value)
    nested = isinstance(value, tuple | list | Mapping) and not plain
    return type(value).__name__ if nested or hasattr(value, "_fields") else text_of(value)


def leaves(name: str, value: Any, levels: int = 9) -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of what is inside a tuple, cache, list or dict, so many `levels` deep."""
    if levels == 0:
        inside = None
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        inside = [(f"{name}.{field}", entry) for field, entry in zip(value._fields, value, strict=True)]
    elif isinstance(value, Mapping):
        inside = [(f"{name}.{key}", entry) for key, entry in value.items()]
    elif isinstance(value, tuple | list) and any(isinstance(entry, np.ndarray | tuple) for entry in value):
        inside = [(f"{name}[{i}]", entry) for i, entry in enumerate(value)]
    else:
        inside = None
    if inside is None:
        yield name, value
    else:
        for inner, entry in inside:
            yield from leaves(inner, entry, levels - 1)


def numbers(a: Array) -> list[str]:
    """The lines of an array in brackets: in full up to 60 numbers, else its first rows and columns."""
    full = a.size <= FULL
    limits = [n if full else min(n, ROWS if axis < a.ndim - 1 else COLUMNS) for axis, n in enumerate(a.shape)]
    if not full:
        limits[:-2] = [1] * len(limits[:-2])
    part = a[tuple(slice(n) for n in limits)]
    cells = np.array([_cell(number) for number in part.reshape(-1)], dtype=object)
    return _rows(_aligned(cells, a.dtype).reshape(part.shape), a.shape)


def _rows(cells: Array, shape: tuple[int, ...]) -> list[str]:
    cut = bool(shape) and len(cells) < shape[0]
    if cells.ndim == 0:
        return [str(cells[()])]
    if cells.ndim == 1:
        return ["[" + " ".join(cells) + (" …]" if cut else "]")]
    lines: list[str] = []
    for block in cells:
        if lines and cells.ndim > 2:
            lines.append("")
        lines += _rows(block, shape[1:])
    lines += ["…"] if cut else []
    if not lines:
        return ["[]"]
    lines = [("[" if i == 0 else " " if line else "") + line for i, line in enumerate(lines)]
    lines[-1] += "]"
    return lines


def _aligned(cells: Array, dtype: Any) -> Array:
    """All cells of one width; real numbers stand with their points below each other."""
    if cells.size == 0:
        return cells
    before = [_point(text) if np.issubdtype(dtype, np.floating) else len(text) for text in cells]
    left = max(before)
    padded = [" " * (left - n) + text for n, text in zip(before, cells, strict=True)]
    width = max(map(len, padded))
    return np.array([text.ljust(width) for text in padded], dtype=object)


def _point(text: str) -> int:
    """Where the decimal point stands, or would."""
    places = [text.index(mark) for mark in ".e" if mark in text]
    return min(places, default=len(text))


def _cell(value: Any) -> str:
    """One number: 4 significant digits, T or F, whole numbers in full."""
    if isinstance(value, bool | np.bool_):
        return "T" if value else "F"
    if isinstance(value, complex | np.complexfloating):
        return f"{value:.4g}"
    if isinstance(value, float | np.floating):
        text = f"{float(value) + 0.0:.4g}"  # + 0.0: no −0
        return text if not text.lstrip("-").isdigit() else text + ".0"
    return str(value)
