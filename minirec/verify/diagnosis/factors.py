"""Which number is this? Finds a factor among the sizes of the arguments and the numbers in them.

The diagnosis of a wrong gradient uses it to say "√3, and 3 is the size of the last axis of q" for 1.732.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

CLOSE = 1e-7  # a factor this near to a form of a known number is taken for it
LOOSE = 1e-3  # the same, where the right gradient is not known well

Quantities = dict[float, dict[str, list[str]]]  # value -> what it is, "the length of axis 0 of" -> of which

FORMS: tuple[tuple[str, Callable[[float], float], str], ...] = (
    ("{n}", lambda n: n, "is a division by {n} missing?"),
    ("1/{n}", lambda n: 1 / n, "is it divided by {n} once too often?"),
    ("√{n}", lambda n: math.sqrt(n), "is the factor 1/√{n} missing?"),
    ("1/√{n}", lambda n: 1 / math.sqrt(n), "is the factor 1/√{n} there once too often?"),
)
HALVES: tuple[tuple[str, Callable[[float], float], str], ...] = (
    ("2 · {n}", lambda n: 2 * n, "is there a factor 2 too many, and no division by {n}?"),
    ("{n}/2", lambda n: n / 2, "is a factor 2 missing, and a division by {n}?"),
    ("2/{n}", lambda n: 2 / n, "is there a factor 2 too many, and a division by {n}?"),
    ("1/(2 · {n})", lambda n: 1 / (2 * n), "is a factor 2 missing, and a division by {n} too many?"),
)


def axis_name(axis: int, ndim: int) -> str:
    """ "the last axis", or "axis 0"."""
    return "the last axis" if ndim > 1 and axis in (-1, ndim - 1) else f"axis {axis % ndim}"


def quantities(
    arguments: Mapping[str, Any], y_shape: Sequence[int] | None, differentiable: Sequence[str]
) -> Quantities:
    """Every number that may be meant: sizes, counts, sums of weights, numbers among the arguments."""
    known: Quantities = {}

    def add(value: float, what: str, name: str) -> None:
        if math.isfinite(value) and value > 0 and not math.isclose(value, 1.0):
            names = known.setdefault(float(value), {}).setdefault(what, [])
            if name not in names:
                names.append(name)

    shapes = {k: v.shape for k, v in arguments.items() if isinstance(v, np.ndarray)}
    if y_shape is not None:
        shapes.setdefault("y", tuple(y_shape))
    for name, shape in shapes.items():
        for a, size in enumerate(shape):
            what = "the length of" if len(shape) == 1 else f"the length of {axis_name(a, len(shape))} of"
            add(size, what, name)
        if len(shape) >= 3:
            add(math.prod(shape[:-1]), "the number of rows of", name)
        if len(shape) >= 2:
            add(math.prod(shape), "the number of entries of", name)
    for name, value in arguments.items():
        if isinstance(value, np.ndarray) and value.dtype == np.bool_:
            add(float(value.sum()), "the number of True in", name)
        elif isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.integer):
            add(float(np.count_nonzero(value)), "the number of entries other than 0 of", name)
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f" and name not in differentiable:
            add(float(value.sum()), "the sum of", name)
        elif isinstance(value, int | float | np.number) and not isinstance(value, bool):
            add(abs(float(value)), "", name)
            add(abs(1.0 - float(value)), "", f"(1 − {name})")
    return known


def name_factor(c: float, known: Quantities, close: float = CLOSE) -> str:
    """What `c` is, in words with a question at the end; "" where it is no form of a known number.

    `close` is the relative difference that counts as none.
    """
    close = min(max(close, CLOSE), LOOSE)
    if abs(c - 1) < 1e-4:  # an error of rounding or of a constant, not 2/2
        return ""
    size, sign = abs(c), "minus " if c < 0 else ""
    found = []
    if _near(c, -1.0, close):
        found.append("is the sign wrong?")
    if _near(size, 2.0, close):
        found.append("is it counted twice, or a factor 1/2 missing?")
    if _near(size, 0.5, close):
        found.append("is a factor 2 missing?")
    lengths = {n: {w: of for w, of in names.items() if _plain(w)} for n, names in known.items()}
    for group, forms in ((lengths, FORMS), (known, FORMS), (known, HALVES)):  # the plainest that fits
        found += [f"that is {sign}{text}" for text in _fitting(size, group, forms, close)]
        if found:
            return " Or: ".join(found)
    ratios = list(_ratios(size, known, close)) or list(_one_less(size, known, close))
    return " Or: ".join(f"that is {sign}{text}" for text in ratios)


def describe(c: float, known: Quantities, close: float = CLOSE) -> str:
    """ "1.732051 times the right one: that is √3 ..."."""
    text, off = name_factor(c, known, close), abs(c - 1)
    if not text and off < 0.4:
        text = f"off by {100 * off:.2g} %"
    return f"{number(c, close)} times the right one" + (f": {text}" if text else "")


def number(c: float, close: float = CLOSE) -> str:
    """As many digits as are known, or as it takes to tell it from 1."""
    if close > CLOSE:
        return f"{c:.{max(2, round(-math.log10(close)))}g}"
    return f"{c:.7g}" if abs(c - 1) > 1e-5 else f"{c:.11g}"


def spread(values: Any) -> str:
    """ "from 0.7 to 2.3", with as many digits as it takes to see a difference."""
    low, high = float(np.min(values)), float(np.max(values))
    for digits in (4, 7, 10, 13):
        if f"{low:.{digits}g}" != f"{high:.{digits}g}":
            break
    return f"from {low:.{digits}g} to {high:.{digits}g}"


def _plain(what: str) -> bool:
    """A length or a number among the arguments, not a count or a sum."""
    return not what or what.startswith("the length")


def _near(a: float, b: float, close: float) -> bool:
    return abs(a - b) <= close * abs(b)


def _what(names: Mapping[str, Sequence[str]]) -> str:
    """ "the length of axis 0 of x and y, and the length of targets"."""
    return ", and ".join(f"{what} {' and '.join(of)}".strip() for what, of in names.items())


def _fitting(size: float, known: Quantities, forms: Any, close: float) -> Iterator[str]:
    for form, value, question in forms:
        for n, names in known.items():
            if _near(size, value(n), close):
                symbols = [symbol for symbol in names.get("", [])]
                if symbols:
                    yield f"{form.format(n=symbols[0])}: {question.format(n=symbols[0])}"
                others = {what: of for what, of in names.items() if what}
                if others:
                    yield (
                        f"{form.format(n=f'{n:.6g}')}, and {n:.6g} is {_what(others)}: "
                        f"{question.format(n=f'{n:.6g}')}"
                    )


def _ratios(size: float, known: Quantities, close: float) -> Iterator[str]:
    """√(a/b) or a/b of two sizes: one taken for the other."""
    sizes = _lengths(known)
    for a in sizes:
        for b in sizes:
            for form, value in (("√({a:g}/{b:g})", math.sqrt(a / b)), ("{a:g}/{b:g}", a / b)):
                if a != b and _near(size, value, close):
                    yield (
                        f"{form.format(a=a, b=b)}, and {a:g} is {sizes[a]}, {b:g} is {sizes[b]}: "
                        "is one taken for the other?"
                    )


def _one_less(size: float, known: Quantities, close: float) -> Iterator[str]:
    """√((n − 1)/n) or its like: two ways to take a variance."""
    for n, what in _lengths(known).items():
        for text, ratio in ((f"{n - 1:g}/{n:g}", (n - 1) / n), (f"{n:g}/{n - 1:g}", n / (n - 1))):
            for form, value in ((f"√({text})", math.sqrt(ratio)), (text, ratio)):
                if n > 2 and _near(size, value, close):
                    yield (
                        f"{form}, and {n:g} is {what}: is a variance divided by {n:g} in one place, "
                        f"by {n - 1:g} in another?"
                    )


def _lengths(known: Quantities) -> dict[float, str]:
    return {n: _what(names) for n, names in known.items() if any(w.startswith("the length") for w in names)}
