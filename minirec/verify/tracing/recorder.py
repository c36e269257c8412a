"""What a running function does, statement by statement: the trace function behind trace.py.

It is told of every line by `sys.settrace`. What a statement has set is what differs among the local variables
before and after it: a new name, another object, or other contents, so arithmetic in place is seen as well.
"""

import copy
import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

from minirec.verify.pair import fingerprint
from minirec.verify.tracing.display import leaves
from minirec.verify.tracing.statements import Statement, lambda_body, statements

VERIFY = Path(__file__).parent.parent
PACKAGE = VERIFY.parent
TRACE = str(VERIFY / "tracing" / "trace.py")  # where the recording is started
# Statements in these parts of the package are shown.
SHOWN = tuple(
    str(PACKAGE / part)
    for part in (
        "functional", "nn", "optim.py", "metrics.py", "evaluation", "models", "data", "verify/differences.py",
    )
)  # fmt: skip
# Not these: sums of rows, whose value stands below the line that asks for it.
PLAIN = str(PACKAGE / "functional" / "reductions.py")
INVISIBLE = {"<module>", "<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>"}


@dataclass
class Step:
    """One statement that ran, or, with an empty `source`, the start of a function.

    depth     0 in the traced function, 1 in a function that it calls, ...
    function  the function's qualified name
    file      where it stands
    source    the statement, without comments
    values    {name: copy of the value} of what the statement has set; at the start, the arguments
    same      {name: name of an array that was there already, in the function or its caller, and that it is}
    column    how far the statement stands to the right of the function's first one: inside an `if`, a loop
    """

    depth: int
    function: str
    file: str
    source: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    column: int = 0


@dataclass
class _Call:
    """A call that is being recorded."""

    depth: int
    first: int  # its first step
    arguments: Any  # fingerprint
    before: dict[str, tuple[Any, Any]]  # local variables before the statement: object, fingerprint
    statement: Statement | None = None
    step: Step | None = None
    column: int | None = None  # of its first statement
    shown: dict[str, Any] = field(default_factory=dict)  # {name: array} whose numbers are in the trace
    raised: bool = False
    inside: set[int] = field(default_factory=set)  # first lines of the `with` blocks that it is in


class Recorder:
    """`start` is the trace function of `sys.settrace`."""

    def __init__(self, files: Iterable[str | Path], depth: int, names: Sequence[str]) -> None:
        self.files = {str(file) for file in files} | {os.path.abspath(file) for file in files}
        self.limit, self.names = depth, list(names)
        self.steps: list[Step] = []
        self.root: CodeType | None = None  # the first function that is shown
        self.calls: dict[FrameType, _Call] = {}

    def start(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event != "call" or not self.shown(frame.f_code):
            return None
        above = [f for f in _callers(frame) if self.shown(f.f_code)]
        depth = len(above)
        # An object that calls its own methods only cuts one formula into pieces: that is no level deeper.
        own = sum(_is_own_method(inner, outer) for inner, outer in pairwise([frame, *above]))
        if depth - own > self.limit or (depth > 0 and frame.f_code.co_name == "<lambda>"):
            return None
        names = _argument_names(frame.f_code)
        given = {name: frame.f_locals[name] for name in names if name in frame.f_locals}
        step = self._step(frame, depth)
        self.root = self.root or frame.f_code
        call = _Call(depth, len(self.steps) - 1, fingerprint(list(given.values())), _snapshot(frame))
        caller = next((self.calls[f] for f in _callers(frame) if f in self.calls), None)
        for name, value in given.items():
            found = {name: type(value)} if name == "self" else dict(leaves(name, value, 1))
            self._set(step, found, caller.shown if caller else {}, call.shown)
        self.calls[frame] = call
        return self._follow

    def _follow(self, frame: FrameType, event: str, arg: Any) -> Any:
        call = self.calls[frame]
        if event == "exception":
            call.raised = True
        elif event == "line":
            call.raised = False
            statement = statements(frame.f_code.co_filename).get(frame.f_lineno)
            if statement is None or statement is not call.statement:
                self._finish(frame, call)
                self._begin(frame, call, statement)
        elif event == "return":
            self._finish(frame, call, returns=not call.raised, result=arg)
            del self.calls[frame]
            untouched = fingerprint(list(_arguments(frame))) == call.arguments
            if call.depth > 0 and arg is None and not call.raised and untouched:
                del self.steps[call.first :]  # it only looks at its arguments: a check
        return self._follow

    def _begin(self, frame: FrameType, call: _Call, statement: Statement | None) -> None:
        call.statement, call.step = statement, None
        if statement is None:
            return
        if statement.block:
            call.inside ^= {statement.start}
            if statement.start not in call.inside:  # a `with` is met once more at its end
                return
        anonymous = frame.f_code.co_name == "<lambda>"
        text = (anonymous and lambda_body(frame.f_code)) or statement.text
        call.step = self._step(frame, call.depth, text)
        call.column = statement.column if call.column is None else call.column
        call.step.column = max(0, statement.column - call.column)

    def _finish(self, frame: FrameType, call: _Call, returns: bool = False, result: Any = None) -> None:
        """Write down what the statement that ran last has set."""
        after = _snapshot(frame)
        step, statement = call.step, call.statement
        if step is not None and statement is not None:
            own = {name: value for name, (value, _) in after.items()}
            moved = {
                n
                for n, (v, was) in call.before.items()
                if n in after and after[n][0] is v and after[n][1] != was
            }
            new = {n for n, v in own.items() if n not in call.before or call.before[n][0] is not v}
            new |= statement.targets & own.keys() - moved
            self._set(step, {n: v for n, v in own.items() if n in new and n != "_"}, call.shown)
            self._set(step, {n: v for n, v in own.items() if n in moved}, {}, call.shown)
            returned = [""] if frame.f_code.co_name == "<lambda>" else statement.returned
            if returns and returned is not None:
                found = dict(self._results(result, returned, call.depth))
                if call.depth > 0:  # the caller's line shows what has a name already
                    found = {n: v for n, v in found.items() if not any(v is o for o in own.values())}
                self._set(step, found, call.shown)
        call.before = after

    def _results(self, result: Any, known: Sequence[str], depth: int) -> Iterator[tuple[str, Any]]:
        several = isinstance(result, tuple) and not hasattr(result, "_fields")
        values = list(result) if several else [result]
        if depth == 0 and several and type(values[0]) is tuple:  # gradients of several inputs, of parameters
            values, known = [*values[0], *values[1:]], []
        for i, value in enumerate(values):
            name = known[i] if len(known) == len(values) and known[i] else ""
            if not name and depth == 0 and i < len(self.names):
                name = self.names[i]
            if not name:
                pair = several and len(values) == 2 and hasattr(values[1], "_fields")
                first = "y" if depth == 0 else "result"
                name = "cache" if hasattr(value, "_fields") or (pair and i == 1) else first
                name = f"result[{i}]" if several and not pair else name
                name = "grads" if i > 0 and isinstance(value, Mapping) else name
            if depth == 0:
                yield from leaves(name, value, 1)
            elif not hasattr(value, "_fields"):
                yield name, value

    def _set(self, step: Step, values: Mapping[str, Any], among: Any, shown: Any = None) -> None:
        """Write values into a step; an array that is one of those in `among` is named instead."""
        for name, value in values.items():
            step.values[name] = _copy(value)
            step.same.pop(name, None)
            if isinstance(value, np.ndarray):
                other = next((other for other, there in among.items() if there is value), None)
                if other is not None:
                    step.same[name] = other
        shown = among if shown is None else shown
        shown.update({name: value for name, value in values.items() if isinstance(value, np.ndarray)})

    def _step(self, frame: FrameType, depth: int, source: str = "") -> Step:
        code = frame.f_code
        self.steps.append(Step(depth, code.co_qualname, _short(code.co_filename), source))
        return self.steps[-1]

    def shown(self, code: CodeType) -> bool:
        if code.co_name in INVISIBLE or code.co_flags & inspect.CO_GENERATOR:
            return False
        if code.co_filename in self.files:
            return True
        if code.co_filename == PLAIN:
            return False
        return code.co_filename.startswith(SHOWN) and code.co_name != "__init__"  # which only keeps settings


def _callers(frame: FrameType) -> Iterator[FrameType]:
    caller = frame.f_back
    while caller is not None and caller.f_code.co_filename != TRACE:
        yield caller
        caller = caller.f_back


def _is_own_method(inner: FrameType, outer: FrameType) -> bool:
    return "self" in inner.f_locals and inner.f_locals["self"] is outer.f_locals.get("self")


def _argument_names(code: CodeType) -> tuple[str, ...]:
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[:count]


def _arguments(frame: FrameType) -> Iterator[Any]:
    return (frame.f_locals[name] for name in _argument_names(frame.f_code) if name in frame.f_locals)


def _snapshot(frame: FrameType) -> dict[str, tuple[Any, Any]]:
    """The local variables, with the contents of data. Holding the objects keeps their ids taken."""
    skipped = {"self", *frame.f_code.co_freevars}
    found = {name: value for name, value in frame.f_locals.items() if not name.startswith(".")}
    skipped |= {n for n, v in found.items() if callable(v) or isinstance(v, np.random.Generator)}
    return {name: (v, None if name in skipped else fingerprint(v)) for name, v in found.items()}


def _copy(value: Any) -> Any:
    """A value as it is now: arrays inside containers are copied, other objects are not."""
    if isinstance(value, np.ndarray):
        return np.array(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_copy, value))
    if isinstance(value, tuple | list):
        return type(value)(map(_copy, value))
    if isinstance(value, dict):
        return {key: _copy(entry) for key, entry in value.items()}
    return copy.deepcopy(value) if isinstance(value, np.random.Generator) else value


def _short(file: str) -> str:
    """The file as seen from the folder of the package or from here, else its name alone."""
    for folder in (PACKAGE.parent, Path.cwd()):
        try:
            return Path(file).relative_to(folder).as_posix()
        except ValueError:
            continue
    return Path(file).name
