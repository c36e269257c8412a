"""One entry of the formula sheet, and its examination: does our code compute the formula, and its derivative?

An entry holds the mathematics in LaTeX, where it comes from, a definition written as loops, places to try
it at, and properties that must hold. Our own code is named, not imported: it is looked up when it is needed,
so that the definition cannot lean on it, and so that whoever replaces a function sees theirs examined.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minirec.functional import Array
from minirec.verify.gradient import check_gradient
from minirec.verify.module import ModulePair, as_pair, check_module, expand
from minirec.verify.pair import argument_names, as_list, fresh_copy
from minirec.verify.report import Report

Rng = np.random.Generator


class NoBackward(Exception):
    """A gradient was asked of a formula that has none."""


class Built(NamedTuple):
    """What a place holds for a module: the settings of its constructor, inputs, and options of forward."""

    settings: Mapping[str, Any]
    inputs: tuple[Any, ...]
    options: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Place:
    """A formula of ours at one list of arguments. Calling it with other arguments gives y alone.

    For a module the arguments are its inputs followed by its parameters; `module` is the module itself.
    """

    forward: Callable[..., Any]  # returns (y, cache) where there is a backward, else y
    backward: Callable[..., Any] | None
    args: tuple[Any, ...]
    names: tuple[str, ...]
    wrt: tuple[int, ...] | None = None
    module: Any = None
    built: Built | None = None

    def __call__(self, *args: Any) -> Any:
        y = self.forward(*map(fresh_copy, args))
        return y if self.backward is None else y[0]

    def gradients(self, dy: Any, *args: Any) -> list[Array]:
        """The gradients at `args`, or at the place itself."""
        if self.backward is None:
            raise NoBackward("this formula has no backward function")
        return as_list(self.backward(dy, self.forward(*map(fresh_copy, args or self.args))[1]))

    def upstream(self, rng: Rng) -> Any:
        """A random signed dy in the shape of y."""
        y = self(*self.args)
        return rng.standard_normal(np.shape(y)) if isinstance(y, np.ndarray) else rng.standard_normal()


class Property(NamedTuple):
    """Something that must hold: `gap(place, rng)` is how far it is from holding; None: it does not apply."""

    name: str
    gap: Callable[[Place, Rng], float | None]
    limit: float = 1e-12  # 0.0: bit by bit


@dataclass(frozen=True)
class Formula:
    """One entry of the sheet.

    name        as in the code, without _forward
    meaning     one sentence
    latex       the mathematics, without dollar signs
    source      section of the document, paper and equation
    ours        dotted name: of a pair without _forward and _backward, of a function, or of a module's class
    definition  the same value from loops; takes what ours takes. For a module: (parameters, *inputs,
                **settings). It never calls minirec
    places      by name: arguments drawn with an rng; for a module a `Built`. The first is small enough to be
                printed and read
    properties  what must hold wherever it applies
    zero        by name of the place: arguments whose gradient is zero by mathematics (wildcards allowed for
                modules)
    value       how ours is called where its arguments differ from the definition's: value(ours, *args)
    tolerance   of the forward value, relative to its largest entry
    method      where the full Jacobian comes from, as in `check_gradient`
    """

    name: str
    meaning: str
    latex: str
    source: str
    ours: str
    definition: Callable[..., Any]
    places: Mapping[str, Callable[[Rng], Any]]
    properties: tuple[Property, ...] = ()
    zero: Mapping[str, Sequence[str]] = field(default_factory=dict)
    value: Callable[..., Any] | None = None
    tolerance: float = 1e-12
    method: str = "differences"

    def pair(self) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
        """Our forward and backward function, as they are now; (function, None) where there is no backward."""
        if (forward := _find(f"{self.ours}_forward")) is not None:
            return forward, _find(f"{self.ours}_backward")
        function = _find(self.ours)
        if function is None:
            raise LookupError(f"{self.name}: minirec has no {self.ours} and no {self.ours}_forward")
        return function, None

    @property
    def has_gradient(self) -> bool:
        """True where there is a backward to check."""
        function, backward = self.pair()
        return self.value is None and (backward is not None or hasattr(function, "backward"))

    def draw(self, place: str, seed: int = 0) -> Any:
        """The arguments (or the `Built`) of one place; the same for the same seed."""
        return self.places[place](np.random.default_rng([seed, *map(ord, f"{self.name} {place}")]))

    def at(self, drawn: Any, seed: int = 0) -> Place:
        """Our code at these arguments, or at this `Built`, whose parameters are moved to random places."""
        forward, backward = self.pair()
        if isinstance(drawn, Built):
            module, pair = _module(forward, drawn, seed)
            names, wrt = tuple(pair.names), tuple(pair.wrt)
            return Place(pair.forward, pair.backward, tuple(pair.args), names, wrt, module, drawn)
        if self.value is not None:
            ours, value = forward, self.value
            return Place(
                lambda *args: value(ours, *args),
                None,
                drawn,
                tuple(argument_names(value, len(drawn) + 1))[1:],
            )
        return Place(forward, backward, drawn, tuple(argument_names(forward, len(drawn))))

    def expected(self, place: Place) -> Any:
        """The value by definition."""
        if place.built is None:
            return self.definition(*map(fresh_copy, place.args))
        settings, inputs, options = place.built
        return self.definition(
            place.module.params(),
            *map(fresh_copy, inputs),
            **settings,
            **{k: fresh_copy(v) for k, v in options.items()},
        )


class Verdict(NamedTuple):
    """What the examination of one formula found, over all its places."""

    formula: Formula
    forward: float  # largest gap to the definition, relative
    where: str  # the place of that gap
    reports: Mapping[str, Report]  # the gradient check of each place
    properties: Mapping[str, tuple[float, str]]  # name: (largest gap, its place)
    failures: tuple[str, ...]  # a sentence each

    @property
    def ok(self) -> bool:
        """True where everything holds."""
        return not self.failures

    @property
    def gradient(self) -> float | None:
        """The largest relative error of a gradient; None where there is no backward."""
        return max((report.error for report in self.reports.values()), default=None)

    @property
    def adjoint(self) -> float | None:
        """The largest gap of an adjoint test; None where there is no backward."""
        gaps = [
            row.value for report in self.reports.values() for row in report.checks if row.name == "adjoint"
        ]
        return max((np.inf if gap is None else gap for gap in gaps), default=None)


def examine(formula: Formula, seed: int = 0) -> Verdict:
    """Forward against its definition, backward against derivatives, and every property, at every place."""
    forward, where, failures = 0.0, "", []
    reports: dict[str, Report] = {}
    held: dict[str, tuple[float, str]] = {}
    for name in formula.places:
        place = formula.at(formula.draw(name, seed), seed)
        gap = relative_gap(place(*place.args), formula.expected(place))
        if not gap <= formula.tolerance:
            failures.append(
                f"{name}: forward differs from the definition by {gap:.1e} (allowed {formula.tolerance:.0e})"
            )
        if not where or not gap <= forward:
            forward, where = gap, name
        if place.backward is not None:
            report = check_place(formula, name, place, seed)
            reports[name] = report
            failures += [f"{name}: {row.name}: {row.detail or row.value}" for row in report.failures]
        for property_ in formula.properties:
            gap_or_none = try_property(property_, place, seed)
            if gap_or_none is None:
                continue
            if not gap_or_none <= property_.limit:
                failures.append(
                    f"{name}: not {property_.name}: off by {gap_or_none:.1e} (allowed {property_.limit:.0e})"
                )
            if property_.name not in held or not gap_or_none <= held[property_.name][0]:
                held[property_.name] = gap_or_none, name
    failures += [f"never tried: {p.name}" for p in formula.properties if p.name not in held]
    return Verdict(formula, forward, where, reports, held, tuple(failures))


def check_place(formula: Formula, name: str, place: Place, seed: int = 0) -> Report:
    """The gradient check of one place, with its declared zeros."""
    assert place.backward is not None
    zero, title = expand(formula.zero.get(name, ()), place.names), f"gradient of {formula.name}, {name}"
    if place.built is not None:
        return check_module(
            place.module,
            *place.built.inputs,
            rng=seed,
            zero=zero,
            options=place.built.options,
            method=formula.method,
            title=title,
        )
    return check_gradient(
        place.forward,
        place.backward,
        *place.args,
        rng=seed,
        wrt=place.wrt,
        names=place.names,
        zero=zero,
        method=formula.method,
        title=title,
    )


def try_property(property_: Property, place: Place, seed: int = 0) -> float | None:
    """The gap of one property, NaN where it cannot be told; None where it does not apply."""
    with np.errstate(all="ignore"):
        gap = property_.gap(place, np.random.default_rng([seed, len(property_.name)]))
    return None if gap is None else float(gap)


def relative_gap(found: Any, expected: Any, scale: float | None = None) -> float:
    """max |found − expected|, relative to the largest finite |expected| or to `scale`.

    Takes arrays, numbers, and tuples of them, of which the largest gap counts. inf where shapes differ, and
    where one is NaN or infinite and the other is not the same; 0.0 only for equal values.
    """
    if isinstance(expected, tuple | list) or isinstance(found, tuple | list):
        pairs = list(zip(as_list(found), as_list(expected), strict=False))
        gaps = [relative_gap(a, b, scale) for a, b in pairs]
        return max(gaps, default=0.0) if len(as_list(found)) == len(as_list(expected)) else float("inf")
    a, b = np.asarray(found), np.asarray(expected)
    if a.shape != b.shape:
        return float("inf")
    if a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(a, b) else float("inf")
    a, b = a.astype(np.float64), b.astype(np.float64)
    same = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(a[~same], b[~same], equal_nan=True):
        return float("inf")
    gap = float(np.abs(a[same] - b[same]).max(initial=0.0))
    size = float(np.abs(b[same]).max(initial=0.0)) if scale is None else scale
    return gap / size if size > 0 else (0.0 if gap == 0 else float("inf"))


def difference(found: Any, expected: Any) -> str:
    """Where two values differ most: "y[0, 2] is 0.3, by definition 0.25"; "" where that cannot be said."""
    if isinstance(expected, tuple | list) or isinstance(found, tuple | list):
        ours, theirs = as_list(found), as_list(expected)
        if len(ours) != len(theirs):
            return f"{len(ours)} values, by definition {len(theirs)}"
        gaps = [relative_gap(a, b) for a, b in zip(ours, theirs, strict=True)]
        i = int(np.argmax(gaps))
        return f"value {i + 1} of {len(ours)}: {difference(ours[i], theirs[i])}"
    a, b = np.asarray(found), np.asarray(expected)
    if a.shape != b.shape:
        return f"y has shape {a.shape}, by definition {b.shape}"
    if a.size == 0 or a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
        return ""
    a, b = a.astype(np.float64), b.astype(np.float64)
    gap = np.where(a == b, 0.0, np.abs(a - b))
    place = np.unravel_index(int(np.argmax(np.where(np.isnan(gap), np.inf, gap))), a.shape)
    index = f"[{', '.join(str(int(i)) for i in place)}]" if a.ndim else ""
    return f"y{index} is {a[place]:.6g}, by definition {b[place]:.6g}"


def largest(x: Any) -> float:
    """max |x|; inf where a number is NaN, so that no comparison with another gap passes over it."""
    size = np.abs(np.asarray(x, dtype=np.float64))
    return float(np.where(np.isnan(size), np.inf, size).max(initial=0.0))


def _find(dotted: str) -> Any:
    """The object of a dotted name, or None."""
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError:
        return None


def _module(kind: Any, built: Built, seed: int) -> tuple[Any, ModulePair]:
    """A module of this kind at random parameters: initial zeros and ones hide mistakes."""
    rng = np.random.default_rng([seed, 17])
    takes_rng = argument_names(kind, 1) == ["rng"]
    module = kind(rng, **built.settings) if takes_rng else kind(**built.settings)
    moved = {name: array + 0.3 * rng.standard_normal(array.shape) for name, array in module.params().items()}
    module = module.with_params(moved)
    return module, as_pair(module, *built.inputs, options=built.options)
