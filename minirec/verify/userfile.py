"""The reader's own formula, from a Python file of theirs: `my_file.py:my_forward,my_backward`.

`load` imports the file and finds the functions, `arguments_for` makes their arguments, `explained` turns an
exception of theirs into one line. What is wrong with the file is a ValueError of one line; what is wrong with
the formula is for the check to say.
"""

import contextlib
import functools
import importlib.util
import inspect
import linecache
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from minirec.verify import adapters
from minirec.verify.pair import as_list, fresh_copy
from minirec.verify.specification import GRAMMAR, arguments_from, suggestion

__all__ = ["UserFileError", "UserFormula", "arguments_for", "arguments_from", "explained", "load"]

FORMS = "write FILE.py:forward,backward, or FILE.py:NAME for NAME_forward and NAME_backward"
STYLES = {
    "pair": "forward(*args) -> (y, cache) and backward(dy, cache) -> gradients",
    "vjp": "f(*args) -> y and vjp(*args) -> (y, pullback), pullback(dy) -> gradients",
    "gradient": "f(*args) -> number and gradient(*args) -> gradients",
    "value": "f(*args) -> y alone, to be compared with a formula of the sheet that has no gradient",
}


class UserFileError(ValueError):
    """A file or a function of the reader's that cannot be used; the message is one line."""


class UserFormula(NamedTuple):
    """A formula from a file. `forward` and `backward` are a pair whatever the style was."""

    name: str
    file: str  # as it was given
    path: Path
    forward: Callable[..., Any]
    backward: Callable[..., Any] | None  # None for the style "value"
    functions: tuple[Callable[..., Any], ...]  # as they stand in the file
    arguments: Callable[..., Any] | None  # the file's arguments(rng)
    style: str = "pair"


def load(spec: str, style: str = "pair") -> UserFormula:
    """Import the file of `spec` and find its two functions.

    spec   "FILE.py:forward,backward", or "FILE.py:NAME" for NAME_forward and NAME_backward
    style  "pair"; "vjp" as in jax.vjp; "gradient" of a function that returns one number; "value" for one
           function that returns y alone

    Raises UserFileError: no such file, not Python, an exception while it is imported, no such function.
    """
    if style not in STYLES:
        raise UserFileError(f"there is no style {style!r}: there are {', '.join(STYLES)}")
    match = re.fullmatch(r"(.*\.py)(?::([^:]*))?", spec, re.DOTALL)
    if match is None:
        raise UserFileError(f"{spec!r} does not name functions of a Python file: {FORMS}")
    file, names = match[1], [name.strip() for name in (match[2] or "").split(",") if name.strip()]
    path = _existing(file)
    module = _imported(file, path)
    if style == "value" and len(names) == 1:
        value = _function(file, module, names[0])
        return UserFormula(names[0], file, path, value, None, (value,), None, style)
    if not 1 <= len(names) <= 2:
        how = "names no function" if not names else f"names {len(names)} functions, two are needed"
        raise UserFileError(f"{spec} {how}: {FORMS}; {_there_are(file, module)}")
    if len(names) == 1:
        names = _short_form(file, module, names[0], style)
    first, second = (_function(file, module, name) for name in names)
    own = getattr(module, "arguments", None)
    name = names[0].removesuffix("_forward")
    pair = _as_pair(style, first, second)
    return UserFormula(name, file, path, *pair, (first, second), own if callable(own) else None, style)


def _as_pair(style: str, first: Callable[..., Any], second: Callable[..., Any]) -> tuple[Any, Any]:
    if style == "vjp":
        return adapters.vjp_pair(first, second)
    return adapters.gradient_pair(first, second) if style == "gradient" else (first, second)


def arguments_for(
    formula: UserFormula, text: str | None, rng: np.random.Generator
) -> tuple[UserFormula, tuple[Any, ...]]:
    """The arguments by the specification `text`, or where there is none by the file's arguments(rng).

    Values for keyword-only parameters are bound to forward: the formula that is returned has them.
    Raises UserFileError where there is neither, or where they do not fit the function.
    """
    if text is not None:
        args, keywords = arguments_from(text, rng, formula.functions[0])
        return (_bound(formula, keywords) if keywords else formula), args
    if formula.arguments is None:
        raise UserFileError(f"{formula.file} has no function arguments(rng): write one, or give {GRAMMAR}")
    with explained(formula):
        args = formula.arguments(rng)
    if not isinstance(args, tuple | list):
        raise UserFileError(
            f"{formula.file}: arguments(rng) must return a tuple, got {type(args).__name__}: "
            "for one argument write (x,)"
        )
    try:
        inspect.signature(formula.functions[0]).bind(*args)
    except TypeError as error:
        name = _name(formula.functions[0])
        raise UserFileError(
            f"{formula.file}: arguments(rng) gives {len(args)}, {name} takes others: {error}"
        ) from error
    except ValueError:  # no signature to compare with
        pass
    return formula, tuple(args)


def _bound(formula: UserFormula, keywords: dict[str, Any]) -> UserFormula:
    """The formula with some arguments filled in; in the styles vjp and gradient both functions take them."""
    first, second = formula.functions
    first = functools.partial(first, **keywords)
    second = second if formula.style == "pair" else functools.partial(second, **keywords)
    forward, backward = _as_pair(formula.style, first, second)
    return formula._replace(forward=forward, backward=backward, functions=(first, second))


def check_form(formula: UserFormula, args: Sequence[Any]) -> Any:
    """y, from one call of each; UserFileError where one fails or forward does not return (y, cache)."""
    if formula.style == "vjp":
        with explained(formula):
            both = formula.functions[1](*map(fresh_copy, args))
        if not isinstance(both, tuple) or len(both) != 2 or not callable(both[1]):
            raise UserFileError(
                f"{formula.file}: {_name(formula.functions[1])} returned {_what(both)}: vjp must return "
                "(y, pullback), where pullback(dy) returns the gradients"
            )
    with explained(formula):
        result = formula.forward(*map(fresh_copy, args))
    name = _name(formula.functions[0])
    if not isinstance(result, tuple) or len(result) != 2:
        raise UserFileError(
            f"{formula.file}: {name} returned {_what(result)}: forward must return (y, cache), where "
            "cache is whatever backward needs, or None; for other styles there are --style vjp and "
            "--style gradient"
        )
    y, cache = result
    if not isinstance(y, np.ndarray | np.floating | float):
        raise UserFileError(
            f"{formula.file}: y, the first value that {name} returned, is {_what(y)}: it must be a "
            "float64 array or number"
        )
    assert formula.backward is not None
    with explained(formula):
        dy = np.ones(np.shape(y), dtype=np.asarray(y).dtype)
        as_list(formula.backward(dy if isinstance(y, np.ndarray) else dy[()], cache))
    return y


@contextlib.contextmanager
def explained(formula: UserFormula) -> Iterator[None]:
    """An exception from the reader's file becomes a UserFileError: file, line, source line, message."""
    try:
        yield
    except (Exception, SystemExit) as error:
        place = _place(error, formula.path)
        if place is None:
            raise
        raise UserFileError(f"{formula.file}, {place}: {_said(error)}") from error


def _place(error: BaseException, path: Path) -> str | None:
    """The last line of the file that was running: "line 7, in f, `y = x @ W`"."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    if not frames:
        return None
    last = frames[-1]
    inside = "" if last.name == "<module>" else f", in {last.name}"
    return f"line {last.lineno}{inside}, `{last.line}`"


def _name(function: Any) -> str:
    function = function.func if isinstance(function, functools.partial) else function
    return str(getattr(function, "__name__", type(function).__name__))


def _said(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _what(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} of {value.dtype} alone"
    if isinstance(value, tuple):
        return f"{len(value)} values"
    return "None (is a return missing?)" if value is None else f"a {type(value).__name__}"


def _existing(file: str) -> Path:
    path = Path(file)
    if path.is_dir():
        raise UserFileError(f"{file} is a folder: name a Python file in it")
    if not path.is_file():
        folder = path.parent
        there = [p.name for p in folder.glob("*.py")] if folder.is_dir() else []
        where = "" if folder.is_dir() else f" (there is no folder {folder})"
        raise UserFileError(f"{file}: no such file{where}{suggestion(path.name, there)}")
    return path.resolve()


def _imported(file: str, path: Path) -> ModuleType:
    """The file as a module under a private name. Nothing is written beside it."""
    name = f"_minirec_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, file
    module = importlib.util.module_from_spec(spec)
    linecache.checkcache(str(path))
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(path.parent))
    sys.modules[name] = module  # where dataclasses look for it
    try:
        # Compiled from the text: an old __pycache__ of a file changed within the second would be believed.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, OSError) and _place(error, path) is None:
            raise UserFileError(f"{file} cannot be read ({error.strerror})") from error
        if isinstance(error, SyntaxError | ValueError) and _place(error, path) is None:
            raise UserFileError(_not_python(file, error)) from error
        if isinstance(error, Exception | SystemExit):
            place = _place(error, path)
            raise UserFileError(f"{file} cannot be imported: {place}: {_said(error)}") from error
        raise
    finally:
        sys.dont_write_bytecode = bytecode
        with contextlib.suppress(ValueError):
            sys.path.remove(str(path.parent))
    return module


def _not_python(file: str, error: Exception) -> str:
    if not isinstance(error, SyntaxError):
        return f"{file} is not Python: {_said(error)}"
    line = f", line {error.lineno}" if error.lineno else ""
    text = f", `{error.text.strip()}`" if error.text else ""
    return f"{file}{line}{text}: not Python: {error.msg}"


def _short_form(file: str, module: ModuleType, name: str, style: str) -> list[str]:
    """The two names that one name stands for."""
    pair = [f"{name}_forward", f"{name}_backward"]
    if style == "pair" and all(hasattr(module, n) for n in pair):
        return pair
    known = _functions(module)
    stem = name.removesuffix("_forward")
    if style == "pair" and stem != name and hasattr(module, name) and hasattr(module, f"{stem}_backward"):
        raise UserFileError(
            f"{file}:{name} names forward alone: write {file}:{name},{stem}_backward or {file}:{stem}"
        )
    if hasattr(module, name):
        raise UserFileError(
            f"{file}:{name} names one function, two are needed ({STYLES[style]}): write "
            f"{file}:{name},OTHER; {_there_are(file, module)}"
        )
    lacking = next((n for n in pair if not hasattr(module, n)), pair[0])
    shown = lacking if hasattr(module, pair[0]) or hasattr(module, pair[1]) else name
    stems = [n.removesuffix("_forward") for n in known]
    close = suggestion(shown, known if shown == lacking else [*stems, *known])
    raise UserFileError(f"{file} has no {shown!r}{close}: {_there_are(file, module)}; {FORMS}")


def _function(file: str, module: ModuleType, name: str) -> Callable[..., Any]:
    if not hasattr(module, name):
        known = _functions(module)
        raise UserFileError(
            f"{file} has no function {name!r}{suggestion(name, known)}: {_there_are(file, module)}"
        )
    found = getattr(module, name)
    if not callable(found):
        raise UserFileError(
            f"{file}: {name} is a {type(found).__name__}, not a function: {_there_are(file, module)}"
        )
    return found


def _functions(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("_")
        and not isinstance(value, type)
        and getattr(value, "__module__", module.__name__) == module.__name__
    ]


def _there_are(file: str, module: ModuleType) -> str:
    found = [name for name in _functions(module) if name != "arguments"]
    return f"it has {', '.join(found)}" if found else f"{Path(file).name} defines no function"
