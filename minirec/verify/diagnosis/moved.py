"""Detectors for gradients whose entries have moved, or that were taken for another one.

As in detectors.py, F is what was found and E what is right.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from minirec.verify.diagnosis.factors import axis_name
from minirec.verify.diagnosis.view import Array, Finding, Findings, View


def rearranged(view: View) -> Findings:
    """F = E with its entries moved."""
    if view.same_shape:
        found = [item for item in rearrangements(view.expected) if view.fits(item[2])]
        for name, text, _ in found:
            yield Finding(name, text, True)
        if not found:
            along = list(_permuted(view))
            yield from along or _elsewhere(view)


def another(view: View) -> Findings:
    """F = E of another argument, or the upstream gradient itself."""
    for name, other in view.others.items():
        if view.fits(other):
            yield Finding(
                "another argument's gradient", f"is the gradient of {name}, not of {view.name}", True
            )
    if view.upstream is not None and view.fits(view.upstream):
        yield Finding("upstream itself", "is dy itself, passed through unchanged", True)


def two_at_once(view: View) -> Findings:
    """F = c · (E rearranged), or c · (another gradient, rearranged or not), or c · dy."""
    for name, text, base in _bases(view):
        c = view.factor(base)
        if c is not None:
            more = "" if view.is_one(c) else f", and moreover {view.describe(c)}"
            yield Finding(name, text + more, True)


def _bases(view: View) -> Iterator[tuple[str, str, Array]]:
    """What a wrong gradient may be a multiple of; only arrays of its shape."""
    another = "another argument's gradient"
    if view.same_shape:
        yield from rearrangements(view.expected)
    for name, other in view.others.items():
        if other.shape == view.found.shape:
            what = f"the gradient of {name}"
            yield another, f"is {what}", other
            for _, text, moved in rearrangements(other):
                yield another, text.replace("the right one", what), moved
    if view.upstream is not None and view.upstream.shape == view.found.shape:
        yield "upstream itself", "is dy itself", view.upstream


def rearrangements(E: Array) -> Iterator[tuple[str, str, Array]]:
    """(key, text, array): axes of equal size swapped, an axis reversed, shifted, read in the wrong order."""
    rank, shape = E.ndim - 1, E.shape[1:]
    for a, b in itertools.combinations(range(rank), 2):
        moved = E.swapaxes(a + 1, b + 1)
        if shape[a] == shape[b] > 1:
            yield "transposed", f"is the right one with axes {a} and {b} swapped (transposed)", moved
        elif shape[a] > 1 and shape[b] > 1:
            text = f"is the right one with axes {a} and {b} swapped and then reshaped: transpose once more"
            yield "reshaped", text, moved.reshape(E.shape)
    for a in range(rank):
        if shape[a] > 1:
            along = axis_name(a, rank)
            yield "reversed", f"is the right one reversed along {along}", np.flip(E, a + 1)
            for by in (1, -1) if shape[a] > 2 else ():
                text = f"is the right one shifted by {by} along {along}"
                yield "shifted", text, np.roll(E, by, axis=a + 1)
                gone = np.roll(E, by, axis=a + 1)
                gone[(slice(None),) * (a + 1) + ((0 if by > 0 else -1),)] = 0
                yield "shifted", f"{text}, 0 coming in", gone


def _permuted(view: View) -> Findings:
    for a in range(len(view.shape)):
        n = view.shape[a]
        if not 2 < n <= 64:
            continue
        F = np.moveaxis(view.found, a + 1, 0).reshape(n, -1)
        E = np.moveaxis(view.expected, a + 1, 0).reshape(n, -1)
        order = [int(np.argmin(np.abs(E - row).max(axis=1))) for row in F]
        if sorted(order) == list(range(n)) and view.fits(np.take(view.expected, order, axis=a + 1)):
            along = axis_name(a, len(view.shape))
            yield Finding(
                "permuted", f"is the right one with the places along {along} in the order {order}", True
            )


def _elsewhere(view: View) -> Findings:
    """Every entry of F is an entry of E, the same one in every sample, but they stand in another order."""
    F, E = (a.reshape(len(a), -1) for a in (view.found, view.expected))
    if F.shape[1] < 4 or view.distinct < 2:
        return
    moved = np.empty_like(E)
    moved[:, np.argsort(F[0])] = E[:, np.argsort(E[0])]
    if view.fits(moved.reshape(view.found.shape)):
        text = "holds the right numbers, in other places: is a reshape or a transposition wrong, or missing?"
        yield Finding("reshaped", text, True)
