"""The reader's own formula, from a Python file of theirs: `my_file.py:my_forward,my_backward`.

`load` imports the file and finds the functions, `explained` turns an exception of theirs into one line. What
is wrong with the file is a ValueError of one line. own.py calls and checks what was found.
"""

import contextlib
import importlib.util
import linecache
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from minirec.verify import adapters
from minirec.verify.specification import suggestion

__all__ = ["UserFileError", "UserFormula", "as_pair", "explained", "imported", "load", "place_of", "said"]

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
    module = imported(file, path)
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
    pair = as_pair(style, first, second)
    return UserFormula(name, file, path, *pair, (first, second), own if callable(own) else None, style)


def as_pair(style: str, first: Callable[..., Any], second: Callable[..., Any]) -> tuple[Any, Any]:
    """(forward, backward) made of two functions of this style."""
    if style == "vjp":
        return adapters.vjp_pair(first, second)
    return adapters.gradient_pair(first, second) if style == "gradient" else (first, second)


@contextlib.contextmanager
def explained(formula: UserFormula) -> Iterator[None]:
    """An exception from the reader's file becomes a UserFileError: file, line, source line, message."""
    try:
        yield
    except (Exception, SystemExit) as error:
        place = place_of(error, formula.path)
        if place is None:
            raise
        raise UserFileError(f"{formula.file}, {place}: {said(error)}") from error


def place_of(error: BaseException, path: Path) -> str | None:
    """The last line of the file that was running: "line 7, in f, `y = x @ W`"."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    if not frames:
        return None
    last = frames[-1]
    inside = "" if last.name == "<module>" else f", in {last.name}"
    return f"line {last.lineno}{inside}, `{last.line}`"


def said(error: BaseException) -> str:
    """An exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


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


def imported(file: str, path: Path) -> ModuleType:
    """The file as a module under a private name. Nothing is written beside it. `file`: what messages call it.

    Raises UserFileError where it is not Python or raises.
    """
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
        if isinstance(error, OSError) and place_of(error, path) is None:
            raise UserFileError(f"{file} cannot be read ({error.strerror})") from error
        if isinstance(error, SyntaxError | ValueError) and place_of(error, path) is None:
            raise UserFileError(_not_python(file, error)) from error
        if isinstance(error, Exception | SystemExit):
            place = place_of(error, path)
            raise UserFileError(f"{file} cannot be imported: {place}: {said(error)}") from error
        raise
    finally:
        sys.dont_write_bytecode = bytecode
        with contextlib.suppress(ValueError):
            sys.path.remove(str(path.parent))
    return module


def _not_python(file: str, error: Exception) -> str:
    if not isinstance(error, SyntaxError):
        return f"{file} is not Python: {said(error)}"
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
