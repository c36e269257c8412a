"""What is probably wrong with a gradient, or with a value, as far as it can be seen from outside.

`diagnose` makes hypotheses about the mistake (a missing factor, a transposition, a term left out, ...) and
names those that fit; the detectors are in detectors.py, moved.py, missing.py and nonlinear.py. It rather says
nothing than something wrong: a cause is `sure` only where it reproduces every sample of the wrong gradient.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirec.verify.diagnosis import detectors, missing, moved, nonlinear, reach
from minirec.verify.diagnosis.view import Cause, Findings, View, biggest
from minirec.verify.pair import Pair, argument_names

__all__ = ["Cause", "Evidence", "diagnose", "diagnose_value", "evidence"]

Array = NDArray[Any]
Detector = Callable[[View], Findings]

FORM: tuple[Detector, ...] = (
    detectors.not_finite,
    detectors.zero,
    detectors.shape,
)  # the first one speaks alone
TIERS: tuple[tuple[Detector, ...], ...] = (  # the next one only where the one before is sure of nothing
    (
        detectors.constant_factor,
        moved.rearranged,
        detectors.array_factor,
        detectors.places,
        detectors.precision,
        missing.added,
        missing.transposed_jacobian,
        missing.row_terms,
        moved.another,
    ),
    (missing.missing_contributions, reach.other_places, missing.upstream_factor),
    (moved.two_at_once,),
)
VAGUE = 1e-6  # nothing is sure where the right gradient itself is not known better than this
MOST = 3  # unsure causes named for one argument


@dataclass(frozen=True)
class Evidence:
    """What a check of a pair has seen: gradients found and expected, for the same upstream gradients.

    names              the differentiable arguments, in the order of the gradients
    arguments          every argument of forward by name: float arrays, masks, ids, numbers
    found              for each of them (S, *shape returned): what backward returned for S random dy
    expected           for each of them (S, *shape of the argument): from the reference, for the same dy
    upstream           (S, *y.shape)
    jacobian_found     (m, n), rows = flat outputs, columns = all differentiable arguments end to end
    jacobian_expected  (m, n)
    pull               dy -> gradients, for the tests of linearity
    tolerance          relative, of what counts as equal
    value              y, or None
    """

    names: tuple[str, ...]
    arguments: Mapping[str, Any]
    found: tuple[Array, ...]
    expected: tuple[Array, ...]
    upstream: Array
    jacobian_found: Array | None = None
    jacobian_expected: Array | None = None
    pull: Callable[[Array], Sequence[Array]] | None = None
    tolerance: float = 1e-8
    value: Array | None = None


def evidence(
    pair: Pair,
    rng: np.random.Generator,
    expected_jacobian: Array,
    samples: int = 3,
    tolerance: float = 1e-8,
) -> Evidence:
    """The evidence about a pair whose Jacobian (m, n) is known: `samples` random dy, and every unit dy.

    `tolerance` is what the Jacobian is good to, relative to its largest entry.
    """

    def pull(dy: Array) -> list[Array]:
        # A cache of its own for each call: what one call writes must not be taken for nonlinearity.
        cache = pair.call(pair.arguments())[1]
        with np.errstate(all="ignore"):
            gradients = pair.gradients(pair.upstream(np.ravel(dy)), cache)
        return [np.asarray(d, dtype=np.float64) for d in gradients]

    m = pair.y.size
    upstream = rng.standard_normal((samples, m))
    returned = [pull(g) for g in upstream]
    found = tuple(np.stack(column) for column in zip(*returned, strict=True))
    shapes = [pair.args[i].shape for i in pair.wrt]
    expected = upstream @ expected_jacobian  # (S, n)
    whole = None
    if [d.shape[1:] for d in found] == shapes:
        whole = np.stack([np.concatenate([np.ravel(d) for d in pull(unit)]) for unit in np.eye(m)])
    names = argument_names(pair.forward, len(pair.args))
    for i, name in zip(pair.wrt, pair.names, strict=True):
        names[i] = name
    return Evidence(
        names=tuple(pair.names),
        arguments=dict(zip(names, pair.args, strict=True)),
        found=found,
        expected=tuple(
            expected[:, part].reshape(samples, *shape) for part, shape in zip(pair.parts, shapes, strict=True)
        ),
        upstream=upstream.reshape(samples, *pair.y.shape),
        jacobian_found=whole,
        jacobian_expected=expected_jacobian,
        pull=pull,
        tolerance=tolerance,
        value=pair.y,
    )


def diagnose(evidence: Evidence) -> tuple[Cause, ...]:
    """The probable causes, the certain ones first; empty where nothing is wrong or nothing is recognized."""
    with np.errstate(all="ignore"):  # backward is called with very small and very large dy
        causes = _diagnose(evidence)
    if evidence.tolerance > VAGUE:
        causes = [cause._replace(sure=False) for cause in causes]
    return tuple(sorted(causes, key=lambda cause: not cause.sure))


def _diagnose(e: Evidence) -> Sequence[Cause]:
    if len(e.found) != len(e.names):
        return list(_count(e))
    views = list(_views(e))
    causes: list[Cause] = []
    rounded = [Cause(f.name, v.name, f.text, True) for v in views for f in _rounding(v)]
    if rounded:  # rounding is not linear either
        return _merged(rounded, views)
    if e.pull is not None and all(np.isfinite(view.found).all() for view in views):
        gap, causes = _linearity(e, all(view.same_shape for view in views))
        if gap > nonlinear.CERTAIN or any(cause.sure for cause in causes):
            return causes
    swapped = _swapped(views)
    told = {name for names, _ in swapped for name in names}
    found = [cause for _, cause in swapped]
    found += _merged([c for view in views if view.name not in told for c in _look(view)], views)
    return found or causes


def diagnose_value(found: Any, expected: Any, arguments: Mapping[str, Any]) -> tuple[Cause, ...]:
    """The same detectors for the value y of a forward function, against its definition.

    >>> [cause.name for cause in diagnose_value([2.0, -4.0, 6.0], [1.0, -2.0, 3.0], {})]
    ['constant factor']
    """
    found, expected = np.array(found, dtype=np.float64), np.array(expected, dtype=np.float64)
    if found.shape == expected.shape:  # −∞ is a legal value of log_softmax
        same = ~np.isfinite(expected) & ((found == expected) | (np.isnan(found) & np.isnan(expected)))
        found, expected = np.where(same, 0.0, found), np.where(same, 0.0, expected)
    if not np.isfinite(expected).all():
        return ()
    view = View(
        "y", "y", found[None], expected[None], arguments, (), {}, None, 0, 1e-8, 1e-8 * biggest(expected)
    )
    return tuple(sorted(_merged(list(_look(view)), [view]), key=lambda cause: not cause.sure))


def _views(e: Evidence) -> Iterator[View]:
    scale = max((biggest(a) for a in e.expected), default=0.0)
    found, expected, upstream, units = list(e.found), list(e.expected), e.upstream, 0
    if e.jacobian_found is not None and e.jacobian_expected is not None:
        units, start = len(e.jacobian_found), 0
        for k, a in enumerate(e.expected):
            part, shape = slice(start, start + a[0].size), (units, *a.shape[1:])
            start = part.stop
            found[k] = np.concatenate([found[k], e.jacobian_found[:, part].reshape(shape)])
            expected[k] = np.concatenate([a, e.jacobian_expected[:, part].reshape(shape)])
        upstream = np.concatenate([upstream, np.eye(units).reshape(units, *upstream.shape[1:])])
    for name, F, E in zip(e.names, found, expected, strict=True):
        others = {n: a for n, a in zip(e.names, expected, strict=True) if n != name}
        yield View(
            name,
            f"d{name}",
            F,
            E,
            e.arguments,
            e.names,
            others,
            upstream,
            units,
            e.tolerance,
            e.tolerance * scale,
            e.value,
        )


def _rounding(view: View) -> Findings:
    if view.same_shape and np.isfinite(view.found).all() and view.wrong.any() and view.found.any():
        yield from (item for item in detectors.precision(view) if item.sure)


def _look(view: View) -> Iterator[Cause]:
    """The causes for one argument: the sure ones, or where there is none, the others."""
    if view.same_shape and np.isfinite(view.found).all() and not view.wrong.any():
        return
    found = next(filter(None, (list(detector(view)) for detector in FORM)), [])
    tiers = TIERS if view.same_shape else TIERS[-1:]
    for tier in tiers if np.isfinite(view.found).all() and view.found.any() else ():
        if not any(item.sure for item in found):
            found += [item for detector in tier for item in detector(view)]
    sure = {item.name: item for item in reversed(found) if item.sure}
    for item in reversed(sure.values()):
        rest = [name for name in reversed(sure) if name != item.name]
        text = f"{item.text} (What fits as well: {', '.join(rest)}.)" if rest else item.text
        yield Cause(item.name, view.name, text, True)
    if not sure:
        for item in found[:MOST]:
            yield Cause(item.name, view.name, item.text, False)


def _merged(causes: Sequence[Cause], views: Sequence[View]) -> list[Cause]:
    """Adds "dq ..." to the texts; one mistake made in several gradients is one cause."""
    labels = {view.name: view.label for view in views}
    alike: dict[tuple[str, str, bool], list[str]] = {}
    for cause in causes:
        alike.setdefault((cause.name, cause.text, cause.sure), []).append(cause.argument)
    merged = []
    for (name, text, sure), where in alike.items():
        who = labels[where[0]] if len(where) == 1 else "each of " + ", ".join(labels[a] for a in where)
        argument = where[0] if len(where) == 1 and views[0].label != "y" else ""
        merged.append(Cause(name, argument, f"{who} {text}", sure))
    return merged


def _swapped(views: Sequence[View]) -> list[tuple[tuple[str, str], Cause]]:
    """F_a = E_b and F_b = E_a."""
    pairs = []
    for i, a in enumerate(views):
        for b in views[i + 1 :]:
            if biggest(a.expected) * biggest(b.expected) > 0 and _is(a, b.expected) and _is(b, a.expected):
                order = ", ".join(view.name for view in views)
                text = f"{a.label} and {b.label} are swapped: the order is that of the arguments ({order})"
                pairs.append(((a.name, b.name), Cause("gradients swapped", "", text, True)))
    return pairs


def _is(view: View, other: Array) -> bool:
    """Is what was found this other gradient, and not the right one?"""
    return view.fits(other) and (not view.same_shape or bool(view.wrong.any()))


def _count(e: Evidence) -> Iterator[Cause]:
    """Another number of gradients than of arguments: which ones are they?"""
    left, unknown = dict(zip(e.names, e.expected, strict=True)), 0
    for found in e.found:
        for name, expected in left.items():
            close = found.shape == expected.shape and np.isfinite(found).all()
            if close and biggest(found - expected) <= e.tolerance * biggest(expected):
                del left[name]
                break
        else:
            unknown += 1
    text = f"number of gradients returned: {len(e.found)}; arguments: {len(e.names)} ({', '.join(e.names)})"
    if left and len(left) < len(e.names):
        text += f"; that of {', '.join(left)} is missing"
    if unknown and not left:
        text += f"; {unknown} too many"
    yield Cause("number of gradients", "", text, not (left and unknown))


def _linearity(e: Evidence, same_shapes: bool) -> tuple[float, list[Cause]]:
    def pull(dy: Array) -> Array:
        return np.concatenate([np.ravel(d) for d in e.pull(dy)])  # type: ignore[misc]

    other = e.upstream[1] if len(e.upstream) > 1 else np.cos(1.0 + np.arange(e.upstream[0].size))
    gap = nonlinear.departure(pull, e.upstream[0], other.reshape(e.upstream[0].shape))
    if np.isnan(gap):
        text = "backward gives NaN or Inf for a dy that is very small or very large"
        return 0.0, [Cause("not finite", "", text, False)]
    if gap <= nonlinear.LINEAR:
        return gap, []
    flat = np.concatenate([a.reshape(len(a), -1) for a in e.found], axis=1)
    jacobian = e.jacobian_expected if same_shapes else None
    values = [np.ravel(e.arguments[name]) for name in e.names]
    named = [("the arguments", np.concatenate(values))] if same_shapes else []
    for k, name in enumerate(e.names if same_shapes else ()):
        own = [v if i == k else np.zeros_like(v) for i, v in enumerate(values)]
        named.insert(k, (name, np.concatenate(own)))
    return gap, list(nonlinear.not_linear(pull, e.upstream, flat, jacobian, named, e.tolerance))
