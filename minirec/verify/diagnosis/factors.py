"""Which number is this? Finds a factor among the sizes of the arguments and the numbers in them.

The diagnosis of a wrong gradient uses it to say "√3, and 3 is the size of the last axis of q" for 1.732.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

CLOSE = 1e-7  # a factor this near to a form of a known number is taken for it

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


def name_factor(c: float, known: Quantities) -> str:
    """What `c` is, in words with a question at the end; "" where it is no form of a known number."""
    if abs(c - 1) < 1e-4:  # an error of rounding or of a constant, not 2/2
        return ""
    size, sign = abs(c), "minus " if c < 0 else ""
    found = []
    if _near(c, -1.0):
        found.append("is the sign wrong?")
    if _near(size, 2.0):
        found.append("is it counted twice, or a factor 1/2 missing?")
    if _near(size, 0.5):
        found.append("is a factor 2 missing?")
    lengths = {n: {w: of for w, of in names.items() if _plain(w)} for n, names in known.items()}
    for group, forms in ((lengths, FORMS), (known, FORMS), (known, HALVES)):  # the plainest that fits
        found += [f"that is {sign}{text}" for text in _fitting(size, group, forms)]
        if found:
            return " Or: ".join(found)
    return " Or: ".join(f"that is {sign}{text}" for text in _ratios(size, known))


def describe(c: float, known: Quantities) -> tuple[str, bool]:
    """ "1.732051 times the right one: that is √3 ...", and whether the factor has a name."""
    text = name_factor(c, known)
    off = abs(c - 1)
    head = f"{c:.7g} times the right one" if off > 1e-5 else f"{c:.11g} times the right one"
    if text:
        return f"{head}: {text}", True
    return (f"{head}: off by {100 * off:.2g} %" if off < 0.5 else head), False


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


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= CLOSE * abs(b)


def _what(names: Mapping[str, Sequence[str]]) -> str:
    """ "the length of axis 0 of x and y, and the length of targets"."""
    return ", and ".join(f"{what} {' and '.join(of)}".strip() for what, of in names.items())


def _fitting(size: float, known: Quantities, forms: Any) -> Iterator[str]:
    for form, value, question in forms:
        for n, names in known.items():
            if _near(size, value(n)):
                symbols = [symbol for symbol in names.get("", [])]
                if symbols:
                    yield f"{form.format(n=symbols[0])}: {question.format(n=symbols[0])}"
                others = {what: of for what, of in names.items() if what}
                if others:
                    yield (
                        f"{form.format(n=f'{n:.6g}')}, and {n:.6g} is {_what(others)}: "
                        f"{question.format(n=f'{n:.6g}')}"
                    )


def _ratios(size: float, known: Quantities) -> Iterator[str]:
    """√(a/b) or a/b of two sizes: one taken for the other."""
    sizes = {n: _what(names) for n, names in known.items() if any(w.startswith("the length") for w in names)}
    for a in sizes:
        for b in sizes:
            for form, value in (("√({a:g}/{b:g})", math.sqrt(a / b)), ("{a:g}/{b:g}", a / b)):
                if a != b and _near(size, value):
                    yield (
                        f"{form.format(a=a, b=b)}, and {a:g} is {sizes[a]}, {b:g} is {sizes[b]}: "
                        "is one taken for the other?"
                    )
