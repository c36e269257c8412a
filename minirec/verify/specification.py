"""Arguments for a formula from one line of text: `x:3x5 ids:int<7:4 mask:bool:3x5 eps=1e-5`.

The names are those of the function's parameters, in any order. Serves userfile.py and the command line.

    name:3x5          normally distributed numbers, float64; 7 is a shape as well, and () that of one number
    name:pos:3x5      numbers from 0.5 to 1.5: weights, standard deviations
    name:int<7:4      ids 0 .. 6, at least one of them twice where there is room
    name:bool:3x5     a mask with both values and at least one True in every row
    name=1e-5         a number, True, False, None, a word, or a tuple of them
    rng, name:rng     a random generator
"""

import ast
import difflib
import inspect
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rng = np.random.Generator

EXAMPLE = '--args "x:3x5 ids:int<7:4 mask:bool:3x5 eps=1e-5"'
GRAMMAR = (
    "name:3x5 (normal), name:pos:3x5 (positive), name:int<7:4 (ids), name:bool:3x5 (mask), name=1e-5 (value)"
    f", rng (generator), such as {EXAMPLE}"
)
LARGEST = 10**6  # numbers in one array
PART = re.compile(r"""(?:'[^']*'|"[^"]*"|\([^()]*\)|\[[^\[\]]*\]|[^\s,'"()\[\]])+""")
CONSTANTS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


class SpecificationError(ValueError):
    """A specification of arguments that cannot be read, or does not fit the function."""

    def __init__(self, item: str, why: str) -> None:
        super().__init__(f"--args {item!r}: {why}; write {GRAMMAR}")


def arguments_from(
    text: str, rng: Rng, function: Callable[..., Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(arguments, keyword arguments) for `function`, drawn with `rng` in the order of the text.

    Raises SpecificationError, one line that names the item, for what cannot be read, for a name that is no
    parameter of `function`, and for a parameter without default that gets nothing.

    >>> def f(x, ids, eps=1e-5): ...
    >>> (x, ids), _ = arguments_from("ids:int<7:4, x:3x5", np.random.default_rng(0), f)
    >>> x.shape, ids.shape
    ((3, 5), (4,))
    """
    values: dict[str, Any] = {}
    given: dict[str, str] = {}
    items = _items(text)
    _refuse_commas_in_shapes(items)
    for item in items:
        name, value = _value(item, rng)
        if name in values:
            raise SpecificationError(item, f"{name} is given twice")
        values[name], given[name] = value, item
    return _bound(values, given, text, function)


def _items(text: str) -> list[str]:
    end, items = 0, []
    for match in PART.finditer(text):
        if text[end : match.start()].strip(" \t\r\n,"):
            break
        items.append(match[0])
        end = match.end()
    if text[end:].strip(" \t\r\n,"):
        raise SpecificationError(text[end:].strip(), "a quote or bracket has no partner")
    return items


def _refuse_commas_in_shapes(items: Sequence[str]) -> None:
    """x:3,5 and x:3 5 are meant as one shape: the next item would be blamed for it."""
    for i, item in enumerate(items):
        sizes = list(itertools.takewhile(lambda later: re.fullmatch(r"[0-9]+", later), items[i + 1 :]))
        if sizes and re.fullmatch(r"[^=]+:[0-9]+", item):
            meant = "x".join([item, *sizes])
            raise SpecificationError(",".join([item, *sizes]), f"a shape is written with x: {meant}")


def _value(item: str, rng: Rng) -> tuple[str, Any]:
    """The name and the value of one item."""
    if item == "rng":
        return item, _generator(rng)
    match = re.match(r"([^:=]*)([:=])(.*)", item, re.DOTALL)
    if match is None:
        raise SpecificationError(item, f"has neither a shape nor a value, as in {item}:3x5 or {item}=0.5")
    name, sign, rest = match.groups()
    if not name.isidentifier():
        raise SpecificationError(item, f"{name!r} is not a name")
    if sign == "=":
        return name, _literal(item, rest)
    if rest == "rng":
        return name, _generator(rng)
    kind, _, shape_text = rest.rpartition(":")
    return name, _drawn(item, kind, _shape(item, shape_text), rng)


def _generator(rng: Rng) -> Rng:
    return np.random.default_rng(rng.integers(2**32))


def _shape(item: str, text: str) -> tuple[int, ...]:
    if text == "()":
        return ()
    if not re.fullmatch(r"[0-9]{1,9}(x[0-9]{1,9})*", text):
        sizes = re.findall(r"[0-9]+", text)
        if sizes and re.fullmatch(r"[\s0-9,*X×()\[\]]+", text):
            raise SpecificationError(item, f"a shape is written with x: {'x'.join(sizes)}, not {text}")
        raise SpecificationError(item, f"{text!r} is not a shape: 3x5, 7, or () for one number")
    shape = tuple(map(int, text.split("x")))
    if 0 in shape:
        raise SpecificationError(item, f"the shape {text} has an axis of size 0: sizes are from 1 up")
    if math.prod(shape) > LARGEST:
        raise SpecificationError(item, f"{math.prod(shape)} numbers are too many: at most {LARGEST}")
    return shape


def _drawn(item: str, kind: str, shape: tuple[int, ...], rng: Rng) -> Array:
    if kind == "":
        return np.asarray(rng.standard_normal(shape))
    if kind == "pos":
        return np.asarray(0.5 + rng.random(shape))
    if kind == "bool":
        return _mask(shape, rng)
    if match := re.fullmatch(r"int<([0-9]{1,9})", kind):
        if int(match[1]) == 0:
            raise SpecificationError(item, "int<0 has no ids: int<7 are the ids 0 to 6")
        return _ids(int(match[1]), shape, rng)
    if kind.startswith("int"):
        raise SpecificationError(item, f"{kind!r} does not say how many ids there are, as int<7 does: 0 to 6")
    raise SpecificationError(item, f"there is no kind {kind!r}: there are int<7, bool and pos")


def _ids(count: int, shape: tuple[int, ...], rng: Rng) -> Array:
    ids = np.asarray(rng.integers(0, count, shape))
    flat = ids.reshape(-1)
    if flat.size > 1 and np.unique(flat).size == flat.size:
        flat[-1] = flat[0]
    return ids


def _mask(shape: tuple[int, ...], rng: Rng) -> Array:
    """A True in every row, and a False somewhere; where rows have one entry, in the whole."""
    mask = np.asarray(rng.random(shape) < 0.5)
    rows = mask.reshape(-1, shape[-1] if shape and shape[-1] > 1 else mask.size)
    rows[np.arange(len(rows)), rng.integers(0, rows.shape[1], len(rows))] = True
    if rows.all() and rows.shape[1] > 1:
        rows[0, rng.integers(rows.shape[1])] = False
    return mask


def _literal(item: str, text: str) -> Any:
    if text in CONSTANTS:
        return CONSTANTS[text]
    if text.capitalize() in ("True", "False", "None") and text.capitalize() != text:
        raise SpecificationError(item, f"{text} is written {text.capitalize()} in Python")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        if re.fullmatch(r"[A-Za-z_][\w.-]*", text):
            return text  # a word
        why = f"{text!r} is no number, no True, False or None, and no word" if text else "has no value"
        raise SpecificationError(item, why) from None
    if not isinstance(value, bool | int | float | str | tuple | list | None):
        raise SpecificationError(item, f"a value cannot be a {type(value).__name__}")
    return value


def _bound(
    values: Mapping[str, Any], given: Mapping[str, str], text: str, function: Callable[..., Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The values in the order of the parameters; defaults fill the gaps before the last one that is given."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return tuple(values.values()), {}
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    positional = [p for p in named if p.kind != p.KEYWORD_ONLY]
    spread = [p.kind for p in parameters if p not in named]  # of *args and **options
    called = getattr(function, "__name__", "the function")
    known = [p.name for p in named]
    extra = [name for name in values if name not in known]
    if extra and not spread:
        hint = suggestion(extra[0], known)
        raise SpecificationError(
            given[extra[0]],
            f"{called} has no parameter {extra[0]!r}{hint}: it has {', '.join(known) or 'none'}",
        )
    for p in named:
        if p.default is p.empty and p.name not in values:
            raise SpecificationError(text, f"{called} needs {p.name}, and nothing is said about it")
    last = max((i for i, p in enumerate(positional) if p.name in values), default=-1)
    if extra and inspect.Parameter.VAR_POSITIONAL in spread:
        last = len(positional) - 1
    args = [values[p.name] if p.name in values else p.default for p in positional[: last + 1]]
    if inspect.Parameter.VAR_POSITIONAL in spread:
        args += [values[name] for name in extra]
        extra = []
    keywords = {
        name: values[name]
        for name in [p.name for p in named if p not in positional] + extra
        if name in values
    }
    return tuple(args), keywords


def suggestion(name: str, known: Sequence[str]) -> str:
    """ ", did you mean 'x'?" where a known name is close, else nothing.

    >>> suggestion("gama", ["x", "gamma"]), suggestion("q", ["x"])
    (" (did you mean 'gamma'?)", '')
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
