"""Is what a student wrote right, and if not, what is wrong with it?

A function is held against its entry on the formula sheet: the value against a definition in loops, backward
against derivatives, and the properties, at every place and with numbers drawn from a seed. What fails is then
compared with the catalogue: a mistake is named where it gives the student's own numbers at every place.
"""

import functools
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from minirec.exercises import source
from minirec.exercises.exercise import Exercise, Mistake, Task
from minirec.verify import userfile
from minirec.verify.formula import Formula, check_place, difference, relative_gap, try_property
from minirec.verify.own import at_a_place
from minirec.verify.pair import as_list, fingerprint, first_change, fresh_copy
from minirec.verify.report import Check, Report
from minirec.verify.userfile import UserFileError, UserFormula

SAME = 1e-9  # relative: the student's numbers are those of a known mistake
RIGHT, WRONG, NOT_STARTED, RAISES, MISSING = "right", "wrong", "not started", "raises", "missing"
WAITS = "waits for others"
Functions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Finding:
    """What is to be said of one function.

    status  right, wrong, not started, raises, missing, waits for others
    told    what was compared, and where it differs
    cause   the likely cause; "" where none is known
    line    one line of mathematics that belongs to it
    sure    True: a mistake of the catalogue gives the same numbers everywhere, or nothing else fits
    places  how many places were tried
    """

    function: str
    status: str
    points: int = 0
    of: int = 0
    told: tuple[str, ...] = ()
    cause: str = ""
    line: str = ""
    sure: bool = False
    places: int = 0


def examine(
    exercise: Exercise,
    functions: Functions,
    seed: int = 0,
    path: Path | None = None,
    only: str | None = None,
) -> list[Finding]:
    """A finding for each task. `functions` are the student's by name; `path` is their file, for messages.

    A backward function is asked with the student's forward where that is right, else with the library's.
    `only` is the one function to be examined.
    """
    path = path or Path(f"{exercise.name}.py")
    found: list[Finding] = []
    usable: dict[str, Callable[..., Any]] = {}
    for task in exercise.tasks:
        if only not in (None, task.function):
            continue
        function = functions.get(task.function)
        if function is None:
            told = (f"{path.name} has no function {task.function}",)
            found.append(Finding(task.function, MISSING, of=task.points, told=told))
            continue
        finding = _examined(exercise, task, function, usable, seed, path)
        if finding.status == RIGHT:
            usable[task.function] = function
        found.append(finding)
    return found


class _NotStarted(Exception):
    """The student's function raised NotImplementedError."""


class _Guarded:
    """A student's function as it is called here: what it raises becomes one line about their file."""

    def __init__(self, function: Callable[..., Any], path: Path) -> None:
        self.function, self.path = function, path
        self.__name__ = getattr(function, "__name__", "function")
        self.__wrapped__ = function  # whose signature the checks read

    def __call__(self, *args: Any, **options: Any) -> Any:
        try:
            with np.errstate(all="ignore"):  # NaN and Inf are found by the check, which says where
                result = self.function(*args, **options)
        except NotImplementedError as error:
            raise _NotStarted from error
        except (Exception, SystemExit) as error:
            place = userfile.place_of(error, self.path)
            where = f"{self.path.name}, {place}" if place else self.path.name
            raise UserFileError(f"{where}: {userfile.said(error)}") from error
        if result is None:
            raise UserFileError(f"{self.path.name}: {self.__name__} returned None: is a return missing?")
        return result


def _examined(
    exercise: Exercise,
    task: Task,
    function: Callable[..., Any],
    usable: Functions,
    seed: int,
    path: Path,
) -> Finding:
    formula = exercise.formula(task.function)
    guarded = _Guarded(function, path)
    tried = 0
    try:
        for name in formula.places:
            report = _at(exercise, task, guarded, usable, formula, name, seed)
            tried += 1
            if not report.ok:
                return _wrong(exercise, task, guarded, usable, report, seed, tried)
    except _NotStarted:
        told = (f"{task.function} still raises NotImplementedError",)
        return Finding(task.function, NOT_STARTED, of=task.points, told=told)
    except NotImplementedError:  # of the library, where its solutions are left out
        earlier = exercise.functions[: exercise.functions.index(task.function)]
        told = (
            f"{task.function} is checked with functions that are not written yet: "
            f"first {', '.join([*earlier, *exercise.after])}",
        )
        return Finding(task.function, WAITS, of=task.points, told=told)
    except UserFileError as error:
        return Finding(task.function, RAISES, of=task.points, told=(str(error),), places=tried + 1)
    return Finding(task.function, RIGHT, task.points, task.points, places=tried)


def _is_backward(task: Task) -> bool:
    return task.function.endswith("_backward")


def _is_direct(exercise: Exercise, formula: Formula, function: str) -> bool:
    """True where the entry of the sheet is about this very function, not about something that calls it."""
    stem = function.removesuffix("_forward").removesuffix("_backward")
    return formula.ours.rpartition(".")[2] in (stem, function)


def _at(
    exercise: Exercise,
    task: Task,
    function: _Guarded,
    usable: Functions,
    formula: Formula,
    place: str,
    seed: int,
) -> Report:
    """The report of one place."""
    drawn = formula.draw(place, seed)
    if not _is_direct(exercise, formula, task.function):
        with substituted(exercise, {**usable, task.function: function}):
            return _inside(formula, place, drawn, seed)
    if _is_backward(task):
        forward_name = task.function.replace("_backward", "_forward")
        forward = usable.get(forward_name) or source.solution(exercise)[forward_name]
        own = UserFormula(
            task.function, function.path.name, function.path, forward, function, (forward, function), None
        )
        return at_a_place(own, formula, place, drawn, seed)

    def value(*args: Any, **options: Any) -> Any:
        return _value(exercise, task, function(*args, **options))

    value.__wrapped__ = function.function  # type: ignore[attr-defined]
    own = UserFormula(task.function, function.path.name, function.path, value, None, (value,), None, "value")
    form = _form(exercise, task, function, formula, drawn, seed)
    if form is not None:
        return Report(f"{task.function}, {place}", (form,))
    return at_a_place(own, formula, place, drawn, seed)


def _value(exercise: Exercise, task: Task, result: Any) -> Any:
    """y alone, of what a function returned."""
    if task.function.endswith("_forward"):
        if not isinstance(result, tuple) or len(result) != 2:
            what = f"a {type(result).__name__}"
            raise UserFileError(f"{task.function} returned {what}: it must return the pair (y, cache)")
        result = result[0]
    return result


def _form(
    exercise: Exercise, task: Task, function: _Guarded, formula: Formula, drawn: Any, seed: int
) -> Check | None:
    """A row where the function writes into its arguments, or gives float64 for float32; None where not."""
    given = [fresh_copy(a) for a in drawn]
    before = fingerprint(given)

    def ours(*args: Any, **options: Any) -> Any:
        return _value(exercise, task, function(*args, **options))

    if formula.value is None:
        ours(*given)
    else:
        formula.value(ours, *given)
    if not any(isinstance(a, np.random.Generator) for a in given):
        changed = first_change(before, fingerprint(given))
        if changed is not None:
            return Check("nothing written in place", False, detail=f"argument {changed} was changed")
    return None


def _inside(formula: Formula, name: str, drawn: Any, seed: int) -> Report:
    """The report of a place of a formula whose code calls the student's function."""
    place = formula.at(drawn, seed)
    found, expected = place(*place.args), formula.expected(place)
    gap = relative_gap(found, expected)
    where = "" if gap <= formula.tolerance else difference(found, expected)
    rows = [Check("forward as defined", gap <= formula.tolerance, gap, formula.tolerance, where)]
    report = Report(f"{formula.name}, {name}", ())
    if gap <= formula.tolerance and place.backward is not None:
        report = check_place(formula, name, place, seed)
        rows += report.checks
    for property_ in formula.properties:
        if all(row.ok for row in rows) and (found := try_property(property_, place, seed)) is not None:
            rows.append(Check(property_.name, found <= property_.limit, found, property_.limit))
    return Report(f"{formula.name}, {name}", tuple(rows), report.error, report.worst, causes=report.causes)


@contextmanager
def substituted(exercise: Exercise, functions: Functions) -> Iterator[None]:
    """The library with these functions in place of its own, wherever they were imported to."""
    originals = {name: getattr(importlib.import_module(exercise.module), name) for name in functions}
    changed = []
    for module in _library():
        for name, original in originals.items():
            if getattr(module, name, None) is original:
                changed.append((module, name, original))
                setattr(module, name, functions[name])
    _forget_results()
    try:
        yield
    finally:
        for module, name, original in changed:
            setattr(module, name, original)
        _forget_results()


def _library() -> list[ModuleType]:
    return [module for name, module in sys.modules.items() if name.split(".")[0] == "minirec"]


def _forget_results() -> None:
    """Empty every cache of results in the library: what it holds was computed by another function."""
    for module in _library():
        for value in vars(module).values():
            if callable(clear := getattr(value, "cache_clear", None)):
                clear()


# What is wrong


def _wrong(
    exercise: Exercise,
    task: Task,
    function: _Guarded,
    usable: Functions,
    report: Report,
    seed: int,
    tried: int,
) -> Finding:
    told = tuple(_told(report))
    mine = behavior(exercise, task, function, usable, seed)
    fits = [
        m for m in exercise.mistakes if m.function == task.function and _same(mine, _of(exercise, m, seed))
    ]
    finding = Finding(task.function, WRONG, 0, task.points, told, places=tried)
    if fits:
        causes = dict.fromkeys(m.cause for m in fits)
        cause = fits[0].cause if len(causes) == 1 else "One of these: " + " Or: ".join(causes)
        return Finding(
            task.function, WRONG, 0, task.points, told, cause, fits[0].line if len(causes) == 1 else "",
            len(causes) == 1, tried,
        )  # fmt: skip
    if report.causes:
        first = report.causes[0]
        return Finding(task.function, WRONG, 0, task.points, told, first.text, "", first.sure, tried)
    return finding


# The rows of a report, in a student's words. Others are properties.
ROWS = {
    "forward as defined": "The value is not the one of the definition",
    "full Jacobian": "The gradient is not the one that difference quotients give",
    "adjoint": "The gradient is not the one that difference quotients give along a random direction",
    "adjoint, another point": "the same at another point",
    "Taylor remainder": "forward minus its first-order estimate does not fall as h²",
    "nothing written in place": "Something is written in place",
    "second call, same bits": "A second call gives something else",
    "shapes and dtypes": "Shape or dtype",
    "finite": "Not every number is finite",
}


def _told(report: Report) -> Iterator[str]:
    """What was compared, where it differs, and what else fails."""
    failed = report.failures
    where = report.title.rpartition(", ")[2]
    first, rest = failed[0], dict.fromkeys(row.name for row in failed[1:] if row.name not in ROWS)
    head = ROWS.get(first.name, f"This should hold: {first.name}")
    detail = f": {first.detail}" if first.detail and first.name != "full Jacobian" else ""
    yield f"{head} (place: {where}){detail}"
    if report.worst is not None:
        line = next(row for row in str(report).splitlines() if row.startswith("  worst entry: "))
        yield (
            line.removeprefix("  worst entry: ").replace("backward ", "yours ").replace("reference", "right")
        )
    elif first.value is not None and first.name not in ROWS:
        yield f"off by {first.value:.2g}"
    if rest:
        yield f"also: {'; '.join(rest)}"


@functools.cache
def _of(exercise: Exercise, mistake: Mistake, seed: int) -> list[Any]:
    functions = source.variant(exercise, mistake)
    task = Task(mistake.function, 0)
    guarded = _Guarded(functions[mistake.function], Path("variant"))
    return behavior(exercise, task, guarded, {}, seed)


def behavior(exercise: Exercise, task: Task, function: _Guarded, usable: Functions, seed: int) -> list[Any]:
    """What the function gives at every place, for the same arguments and upstream gradients."""
    formula = exercise.formula(task.function)
    return [
        _outcome(exercise, task, function, usable, formula, formula.draw(name, seed), seed)
        for name in formula.places
    ]


def _outcome(
    exercise: Exercise,
    task: Task,
    function: _Guarded,
    usable: Functions,
    formula: Formula,
    drawn: Any,
    seed: int,
) -> Any:
    """(arrays, what was written into), or the kind of exception."""
    rng = np.random.default_rng([seed, 5])
    try:
        with np.errstate(all="ignore"):
            if not _is_direct(exercise, formula, task.function):
                with substituted(exercise, {**usable, task.function: function}):
                    place = formula.at(drawn, seed)
                    y = place(*place.args)
                    return [y, *(place.gradients(place.upstream(rng)) if place.backward else [])], None
            if _is_backward(task):
                name = task.function.replace("_backward", "_forward")
                forward = usable.get(name) or source.solution(exercise)[name]
                y, cache = forward(*map(fresh_copy, drawn))
                dy = rng.standard_normal(np.shape(y))
                dy = dy if isinstance(y, np.ndarray) else dy[()]
                before = fingerprint([cache, dy])
                gradients = as_list(function(dy, cache))
                return [np.array(g) for g in gradients], first_change(before, fingerprint([cache, dy]))
            given = [fresh_copy(a) for a in drawn]
            before = fingerprint(given)

            def ours(*args: Any, **options: Any) -> Any:
                return _value(exercise, task, function(*args, **options))

            y = ours(*given) if formula.value is None else formula.value(ours, *given)
            return y, first_change(before, fingerprint(given))
    except _NotStarted:
        raise
    except Exception as error:
        return type(error.__cause__ or error).__name__


def _same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    for x, y in zip(a, b, strict=True):
        if isinstance(x, str) or isinstance(y, str):
            if not (isinstance(x, str) and isinstance(y, str)):
                return False
            continue
        if x[1] != y[1] or not relative_gap(x[0], y[0]) <= SAME:
            return False
    return True
