"""The reader's own formula, called and checked: its arguments, its form, its gradient, and against the sheet.

userfile.py finds the functions in the file; here they run. What keeps them from running is a UserFileError of
one line; what is wrong with the formula stands in the report.
"""

import dataclasses
import functools
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from minirec.verify.formula import (
    Built,
    Formula,
    NoBackward,
    Place,
    Property,
    difference,
    relative_gap,
    try_property,
)
from minirec.verify.gradient import check_gradient
from minirec.verify.module import expand
from minirec.verify.pair import argument_names, as_list, fresh_copy, is_floating
from minirec.verify.report import Check, Report
from minirec.verify.specification import GRAMMAR, arguments_from
from minirec.verify.userfile import UserFileError, UserFormula, as_pair, explained

# Of a full Jacobian; beyond it a formula is checked in random directions.
LARGEST_INPUT, LARGEST_JACOBIAN = 2000, 10**6


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
    forward, backward = as_pair(formula.style, first, second)
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


def _name(function: Any) -> str:
    function = function.func if isinstance(function, functools.partial) else function
    return str(getattr(function, "__name__", type(function).__name__))


def _what(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} of {value.dtype} alone"
    if isinstance(value, tuple):
        return f"{len(value)} values"
    return "None (is a return missing?)" if value is None else f"a {type(value).__name__}"


def check(
    formula: UserFormula,
    args: Sequence[Any],
    names: Sequence[str],
    wrt: Sequence[int] | None = None,
    zero: Sequence[str] = (),
    seed: int = 0,
    **more: Any,
) -> tuple[Report, str]:
    """check_gradient of the reader's pair, and a remark about it, or "".

    Raises UserFileError, one line, where a function of theirs raises, or returns no pair, and for an argument
    that cannot be differentiated.
    """
    assert formula.backward is not None
    y = check_form(formula, args)
    entries = sum(np.size(a) for i, a in enumerate(args) if is_floating(a) and (wrt is None or i in wrt))
    full = entries <= LARGEST_INPUT and entries * np.size(y) <= LARGEST_JACOBIAN
    try:
        with explained(formula):
            report = check_gradient(
                formula.forward, formula.backward, *args, rng=seed, wrt=wrt, names=names, zero=zero,
                jacobian=full, **{"title": f"gradient of {formula.name}", **more},
            )  # fmt: skip
    except TypeError as error:  # of the check: an argument that it cannot differentiate
        raise UserFileError(f"{formula.file}: {error}") from error
    remark = (
        f"{entries} x {np.size(y)} derivatives are too many for the full Jacobian: checked along random "
        "directions; smaller shapes find the entry that is wrong"
    )
    return report, "" if full else remark


def with_a_hint(report: Report, args: Sequence[Any], names: Sequence[str], given: str | None) -> Report:
    """Where y is no number and some argument is negative: how to ask for positive ones.

    `given` is the text of --args, None where the file's arguments(rng) gave them.
    """
    negative = {name: a for name, a in zip(names, args, strict=True) if is_floating(a) and (a < 0).any()}
    items = [f"{name}:pos:{'x'.join(map(str, a.shape)) or '()'}" for name, a in negative.items()]
    way = "let arguments(rng) draw such, as 0.5 + rng.random(shape)"
    if given is not None:
        way = f"then write {' or '.join(items)} in --args"
    hint = f"; only for positive numbers? {way}"
    checks = tuple(
        row._replace(detail=row.detail + hint)
        if negative and row.name == "finite" and not row.ok and row.detail.startswith("NaN or Inf in y")
        else row
        for row in report.checks
    )
    return dataclasses.replace(report, checks=checks)


def against(formula: UserFormula, sheet: Formula, seed: int) -> tuple[list[Report], list[str]]:
    """The reader's formula at every place of `sheet`, and the places whose arguments it does not take.

    Raises UserFileError where there is no place that it fits.
    """
    reports, skipped = [], []
    takes = inspect.signature(sheet.pair()[0]).parameters
    needed = [name for name, parameter in takes.items() if parameter.default is parameter.empty]
    if sheet.value is not None and not _takes(formula.functions[0], needed):
        raise UserFileError(
            f"{formula.file}: {formula.name} does not take the arguments of {sheet.ours}, which {sheet.name} "
            f"is computed by: {', '.join(needed)}"
        )
    for place in sheet.places:
        drawn = sheet.draw(place, seed)
        if isinstance(drawn, Built):
            raise UserFileError(f"--against {sheet.name} is a module: give one of functions, such as linear")
        if sheet.value is None and not _takes(formula.functions[0], drawn):
            skipped.append(place)
            continue
        reports.append(at_a_place(formula, sheet, place, drawn, seed))
    if not reports:
        raise UserFileError(
            f"{formula.file}: {formula.name} does not take the arguments of {sheet.name}: {', '.join(takes)}"
        )
    return reports, skipped


def _takes(function: Any, args: Sequence[Any]) -> bool:
    try:
        inspect.signature(function).bind(*args)
    except TypeError:
        return False
    except ValueError:  # no signature to ask
        return True
    return True


def at_a_place(own: UserFormula, sheet: Formula, name: str, drawn: Any, seed: int) -> Report:
    """One place: forward against the definition, the gradient check, the properties.

    Without a backward function (formula.backward None) forward returns y alone, and properties of gradients
    are left out.
    """
    title = f"{own.name} against {sheet.name}, {name}"
    ours, value = sheet.at(drawn, seed), sheet.value
    if value is not None:
        first = own.forward
        place = Place(lambda *args: value(first, *args), None, drawn, ours.names)
    else:
        names = tuple(argument_names(own.functions[0], len(drawn)))
        place = Place(own.forward, own.backward, drawn, names)
    report = Report(title, ())
    try:
        if own.backward is not None:
            zero = expand(sheet.zero.get(name, ()), ours.names)
            own_zero = [place.names[ours.names.index(z)] for z in zero]
            report, _ = check(
                own, drawn, place.names, zero=own_zero, seed=seed, method=sheet.method, title=title
            )
        with explained(own):
            found, expected = place(*drawn), sheet.expected(ours)
        gap = relative_gap(found, expected)
    except UserFileError as error:
        raise UserFileError(f"{error} (at {sheet.name}, {name})") from error
    right = gap <= sheet.tolerance
    where = "" if right else difference(found, expected)
    rows = [Check("forward as defined", right, gap, sheet.tolerance, where), *report.checks]
    rows += [row for p in sheet.properties if (row := _property(p, own, place, seed)) is not None]
    largest = gap if own.backward is None else report.error
    return dataclasses.replace(report, checks=tuple(rows), error=largest)


def _property(property_: Property, own: UserFormula, place: Place, seed: int) -> Check | None:
    """The row of one property; None where it does not apply, or passes arguments that `own` does not take."""
    try:
        with explained(own):
            gap = try_property(property_, place, seed)
    except NoBackward:
        return None
    except Exception as error:
        if isinstance(error, TypeError) and "positional argument" in str(error):
            return None
        return Check(property_.name, False, detail=f"{type(error).__name__}: {' '.join(str(error).split())}")
    return None if gap is None else Check(property_.name, gap <= property_.limit, gap, property_.limit)
