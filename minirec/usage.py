"""What the command line accepts, and what it says to whoever typed something else. Serves cli.py and
cli_verify.py.

The package speaks of Python arguments; here its messages are put into the words of the command line, always
on one line.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn, get_args, get_type_hints


class UsageError(ValueError):
    """What was asked for on the command line cannot be done."""


class Parser(argparse.ArgumentParser):
    """argparse, its errors on one line that names the help instead of printing half of it."""

    def error(self, message: str) -> NoReturn:
        name = self.prog.removeprefix("python -m ")
        self.exit(2, f"{name}: {' '.join(message.split())} (more: {self.prog} --help)\n")


# What a message of the package tells a caller to do, and what that is on the command line.
WORDS = {
    "pass encoding='latin-1'": "pass --encoding latin-1",
    "pass encoding='utf-8'": "pass --encoding utf-8",
    "pass the right encoding": "pass the right one with --encoding",
    "pass duplicates='last' (the newest counts) or 'keep' (all count)": (
        "pass --duplicates last (the newest counts) or --duplicates keep (all count)"
    ),
    "round it, or pass fractional_seconds=True": "round it",
    "looked for tab , ; | and ::, pass `separator`": "put tab , ; | or :: between the columns",
    "repair the row, or give another rating_scale": "repair the row",
    "if you trust the file, pass a larger limit": "get the file anew",
    "or None for": "or null for",
    "or use vjp_pair, which": "or take --style vjp, which",
}
PATTERNS = {
    r"could be the (\w+) among (.*): name the column": r"could be the \1 among \2: name it with --\1-column",
    r"for the (\w+): name one of (.*)": r"for the \1: give one of \2 to --\1-column",
}


def message(error: BaseException) -> str:
    """The error on one line, in the words of the command line.

    >>> message(ValueError("x.csv, line 1: no column could be the user among 'who', 'what': name the column"))
    "x.csv, line 1: no column could be the user among 'who', 'what': name it with --user-column"
    """
    if isinstance(error, MemoryError):
        return f"not enough memory ({_one_line(error)}): take a smaller model or less data"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    text = _one_line(error)
    for words, instead in WORDS.items():
        text = text.replace(words, instead)
    for pattern, instead in PATTERNS.items():
        text = re.sub(pattern, instead, text)
    return text


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def add_command(commands: Any, name: str, run: Any, summary: str, examples: str) -> argparse.ArgumentParser:
    """A parser for one command, with its summary and its examples in the help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog="examples:\n" + "\n".join(f"  python -m minirec {line}" for line in examples.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_seed(parser: argparse.ArgumentParser, what: str) -> None:
    """The option --seed."""
    parser.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help=f"{what} (default: 0)")


def folder_of(name: str, option: str = "--out") -> Path:
    """The folder that an option names, made if it is not there."""
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageError(f"{option} {name} is a file, not a folder: give another name") from error
    except OSError as error:
        raise UsageError(f"{option} {name} cannot be made ({error.strerror}): give another folder") from error
    if not os.access(folder, os.W_OK):
        raise UsageError(
            f"{option} {name} cannot be written to: give another folder, or change its permissions"
        )
    return folder


def whole_number(least: int) -> Callable[[str], int]:
    """A type for argparse: ASCII digits that make a number of at least `least`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} up, got {text!r}")
        return int(text)

    return read


NAMES = {int: "a whole number", float: "a finite number", str: "a word", NoneType: "null"}


def setting(kind: type, name: str, text: str, model: str = "") -> Any:
    """`text` as the value of the constructor's argument `name`. UsageError where it is of another type.

    model   before the name where --set takes it, as in "mf."

    >>> from minirec.models import MatrixFactorization
    >>> setting(MatrixFactorization, "lr", "1e-3"), setting(MatrixFactorization, "loss", "bpr")
    (0.001, 'bpr')
    """
    hint = get_type_hints(kind.__init__)[name]  # type: ignore[misc]
    allowed = get_args(hint) or (hint,)
    try:
        value = json.loads(text)
    except ValueError:  # a word
        value = text
    if type(value) in allowed and not (isinstance(value, float) and not math.isfinite(value)):
        return value
    if float in allowed and type(value) is int:
        return float(value)
    if str in allowed:
        return text
    words = " or ".join(NAMES[one] for one in allowed)
    raise UsageError(f"--set {model}{name}={text}: {name} must be {words}")


def ids(text: str, option: str) -> list[str]:
    """The ids in a list such as 'a, b,"c,d"': a comma in an id needs double quotes around it.

    >>> ids('007, a b,"x,y"', "--history")
    ['007', 'a b', 'x,y']
    """
    try:
        fields = next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        hint = 'put commas between ids, and double quotes around an id that holds a comma, as in a,"b,c"'
        raise UsageError(f"{option} {text!r} cannot be read ({error}): {hint}") from error
    return [field.strip() for field in fields if field.strip()]


def id_like(text: str, known: list[Any]) -> Any:
    """An id from the command line: text, or a number where the model's ids are numbers (data from Python)."""
    numbers = bool(known) and isinstance(known[0], int)
    return int(text) if numbers and re.fullmatch(r"-?[0-9]{1,18}", text) else text
