"""The trace of a formula: every statement that it executes, and the names, shapes and numbers that it sets.

The function itself runs, so the trace cannot fall out of step with the code. recorder.py watches it,
statements.py finds the statements in its source, display.py prints the values.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from minirec.verify.pair import (
    argument_names,
    differentiable,
    fresh_copy,
    is_floating,
    returned_gradients,
)
from minirec.verify.tracing.display import folded, lines_of, shape_of
from minirec.verify.tracing.recorder import VERIFY, Recorder, Step
from minirec.verify.tracing.statements import docstring

WIDTH = 78  # the file's name ends here


@dataclass(frozen=True)
class Trace:
    """The steps of one call, in the order in which they began; `str()` prints them."""

    title: str
    file: str
    formula: str
    steps: tuple[Step, ...]
    result: Any

    def values(self, depth: int = 0) -> dict[str, Any]:
        """{name: the last value it had} in the traced function; `depth` 1: in the functions it calls."""
        return {name: v for step in self.steps if step.depth == depth for name, v in step.values.items()}

    def __str__(self) -> str:
        return self.text()

    def text(self, full: bool = True) -> str:
        """The trace as it is read. With `full` false a function that is called again is one line, and so are
        more than 6 arrays of one container and a matrix of zeros.
        """
        lines = [_header(self.title, self.file, 0)]
        if self.formula:
            lines.append(f"  {self.formula}")
        waiting: list[Step] = []  # statements whose nested calls are being printed
        seen: set[tuple[str, str]] = set()
        for i, step in enumerate(self.steps if full else _without_repeats(self.steps)):
            while waiting and waiting[-1].depth >= step.depth:
                lines += _values(waiting.pop(), full)
            margin = " " * _indent(step.depth)
            if step.source:
                lines += [margin + " " * step.column + line for line in step.source.splitlines()]
                waiting.append(step)
                continue
            again = not full and step.depth > 0 and (step.file, step.function) in seen
            seen.add((step.file, step.function))
            if again:
                lines.append(f"{margin[2:]}{step.function} as above")
                continue
            if i > 0:
                lines.append(_header(step.function, step.file, _indent(step.depth) - 2))
            lines += _values(step, full, 0)
        while waiting:
            lines += _values(waiting.pop(), full)
        return "\n".join(lines)


def _without_repeats(steps: Sequence[Step]) -> list[Step]:
    """Of a function that was called before only the first step of its call is left."""
    seen: set[tuple[str, str]] = set()
    kept, inside = [], None  # the depth of the repeated call whose steps are left out
    for step in steps:
        if inside is not None and (step.depth > inside or (step.depth == inside and step.source)):
            continue
        inside = None
        if not step.source and step.depth > 0:
            if (step.file, step.function) in seen:
                inside = step.depth
            seen.add((step.file, step.function))
        kept.append(step)
    return kept


class PairTrace(NamedTuple):
    """The traces of a forward call and of the backward call after it."""

    forward: Trace
    backward: Trace

    def __str__(self) -> str:
        return self.text()

    def text(self, full: bool = True) -> str:
        """Both, as `Trace.text` prints them."""
        return f"{self.forward.text(full)}\n\n{self.backward.text(full)}"


def trace(
    function: Callable[..., Any],
    *args: Any,
    depth: int = 1,
    files: Iterable[str | Path] | None = None,
    title: str | None = None,
    names: Sequence[str] = (),
) -> Trace:
    """Run `function(*args)` and record what each of its statements sets.

    depth   how many levels of nested calls are shown; deeper ones run silently. Calls are followed into
            the mathematics of minirec (all but training, the command line, and verify/ save its
            differences.py) and into `files`
    files   default: the file of `function` (its adapters in this folder are passed over)
    names   of the results, for where the code gives them none

    Raises ValueError where nothing can be shown (a function without Python source), and whatever the
    function raises. The tracer of a debugger or of coverage is put back in every case.

    >>> from minirec.functional import relu_forward
    >>> print(trace(relu_forward, np.array([1.5, -2.0])))  # doctest: +ELLIPSIS
    relu, forward ...
      x (2,) = [ 1.5 -2.0]
      ...
    """
    inner = _unwrapped(function)
    code: CodeType | None = getattr(inner, "__code__", None)
    if files is None:
        files = [code.co_filename] if code and Path(code.co_filename).parent != VERIFY else []
    recorder = Recorder(files, depth, names)
    before = sys.gettrace()
    sys.settrace(recorder.start)
    try:
        result = function(*args)
    finally:
        sys.settrace(before)
    if not recorder.steps:
        raise ValueError(f"{_title(function)} cannot be traced: none of its Python source is at hand")
    root = recorder.steps[0]
    own = code is not None and recorder.shown(code)
    assert recorder.root is not None
    return Trace(
        title or _title(inner if own else root.function),
        root.file,
        docstring(recorder.root).partition("\n")[0],
        tuple(recorder.steps),
        result,
    )


def trace_pair(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    args: Sequence[Any],
    rng: np.random.Generator | int | None = None,
    depth: int = 1,
    *,
    files: Iterable[str | Path] | None = None,
    title: str | None = None,
) -> PairTrace:
    """The trace of forward at `args`, and of backward for a random signed upstream gradient."""
    rng = np.random.default_rng(0 if rng is None else rng)
    name = title or _title(_unwrapped(forward)).removesuffix(", forward")
    first = trace(forward, *map(fresh_copy, args), depth=depth, files=files, title=f"{name}, forward")
    if not isinstance(first.result, tuple) or len(first.result) != 2:
        raise ValueError(f"forward must return (y, cache), got {type(first.result).__name__}")
    y, cache = first.result
    where = differentiable(args, argument_names(forward, len(args)), 0)
    if any(map(is_floating, args)):
        known = argument_names(forward, len(args))
        where = differentiable(args, known, returned_gradients(forward, backward, args))
    gradients = [f"d{argument_names(forward, len(args))[i]}" for i in where]
    dy = upstream(y, rng)
    second = trace(backward, dy, cache, depth=depth, files=files, title=f"{name}, backward", names=gradients)
    return PairTrace(first, second)


def upstream(y: Any, rng: np.random.Generator) -> Any:
    """±0.1 to ±1.5 in the shape and dtype of y; a NumPy scalar where y is one."""
    size = rng.integers(1, 16, size=np.shape(y)) * rng.choice([-1, 1], size=np.shape(y))
    dy = np.asarray(size / 10.0).astype(np.asarray(y).dtype)
    return dy if isinstance(y, np.ndarray) else dy[()]


def _unwrapped(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.ismethod(function):
        function = function.__func__
    return inspect.unwrap(function) if callable(function) else function


def _title(function: Any) -> str:
    name = (
        function if isinstance(function, str) else getattr(function, "__qualname__", type(function).__name__)
    )
    name = name.rpartition("<locals>.")[2]
    for way in ("forward", "backward"):
        for mark in "_.":
            if name.endswith(mark + way):
                return f"{name.removesuffix(mark + way)}, {way}"
    return str(name)


def _indent(depth: int) -> int:
    return 2 + 6 * depth


def _header(title: str, file: str, margin: int) -> str:
    return " " * margin + title + " " * max(2, WIDTH - margin - len(title) - len(file)) + file


def _values(step: Step, full: bool, deeper: int = 4) -> list[str]:
    margin, lines = " " * (_indent(step.depth) + deeper), []
    for name, value in step.values.items() if full else folded(step.values):
        if name in step.same:
            other = step.same[name]
            found = [f"{name} {shape_of(value)} {'as above' if other == name else f'is {other}'}"]
        elif not full and isinstance(value, np.ndarray) and value.ndim > 1 and value.size and not value.any():
            found = [f"{name} {shape_of(value)} = 0 everywhere"]  # room for results
        else:
            found = lines_of(name, value)
        lines += [(margin + line).rstrip() for line in found]
    return lines
