"""Detectors for a term that is left out of each row of a gradient, or has the wrong size or sign.

The backward passes of softmax, of log-softmax and of the norms are a diagonal plus one or two terms that take
a sum along an axis. The right Jacobian shows these terms by themselves, so their factor in a wrong one can be
measured. As in detectors.py, F is what was found and E what is right.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from minirec.verify.diagnosis.factors import axis_name, number
from minirec.verify.diagnosis.view import SHARE, Array, Finding, Findings, View, biggest

SHORT = 3  # a shorter row does not determine what of its diagonal belongs to a term


class Term(NamedTuple):
    """A term of the right Jacobian, (rows, inputs, outputs), and the name of the mistake to leave it out."""

    name: str
    words: str
    T: Array


def measured(view: View) -> Findings:
    """E = D + Σ T, D diagonal, each T with a sum along one axis; F = D + Σ c T, some c other than 1."""
    both = view.jacobians()
    if both is None or view.upstream is None or view.upstream.shape[1:] != view.shape:
        return
    for axis, n in enumerate(view.shape):
        F, E = (_rows(J, view.shape, axis) for J in both)  # (rows, outputs, rows, inputs)
        elsewhere = ~np.eye(len(F), dtype=bool)[:, None, :, None]
        if n < SHORT or max(biggest(F * elsewhere), biggest(E * elsewhere)) > view.floor:
            continue
        F, E = np.einsum("rori->rio", F), np.einsum("rori->rio", E)
        for terms in _terms(view, E, axis):
            told = list(_factors(view, F, E, terms))
            yield from told
            if told:
                return


def _rows(J: Array, shape: tuple[int, ...], axis: int) -> Array:
    """J (m, n), outputs and inputs both of this shape, with the rows along `axis` taken apart."""
    rank, n = len(shape), shape[axis]
    moved = np.moveaxis(J.reshape(*shape, *shape), (axis, rank + axis), (rank - 1, 2 * rank - 1))
    rows = len(J) // n
    return moved.reshape(rows, n, rows, n)


def _terms(view: View, E: Array, axis: int) -> Iterator[Sequence[Term]]:
    """The ways to write E as a diagonal and terms: those of softmax, then those of layer norm."""
    along, floor = axis_name(axis, len(view.shape)), view.floor
    T = _one_term(E, floor)
    if T is not None:
        if biggest(np.ptp(T, axis=1)) <= floor:
            yield [Term("missing mean term", f"the term −mean along {along}", T)]
        elif biggest(E.sum(axis=1)) > E.shape[1] * floor:
            yield [Term("missing row sum term", f"the term with a sum over {along}", T)]
        else:
            like = "−p Σ dp" if biggest(np.ptp(T, axis=2)) <= floor else "−p Σ p ⊙ dp"
            words = f"the term with a sum over {along} (like {like}), with which dx sums to 0 there"
            yield [Term("missing row sum term", words.replace("dx", view.label), T)]
    x = view.arguments.get(view.name)
    if isinstance(x, np.ndarray) and x.shape == view.shape:
        M, V = _mean_and_variance(E, np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]), floor)
        if biggest(M) > floor and biggest(V) > floor:
            words = f"the terms of mean and variance along {along}, −mean dx̂ and −x̂ mean(dx̂ ⊙ x̂)"
            yield [Term("missing mean and variance terms", words, M + V)]
            yield [
                Term("missing mean term", f"the term of the mean along {along}, −mean dx̂", M),
                Term("missing variance term", f"the term of the variance along {along}, −x̂ mean(dx̂ ⊙ x̂)", V),
            ]


def _one_term(E: Array, floor: float) -> Array | None:
    """T = u vᵀ in each row. Outside of the diagonal it is E; on it, T_ii = T_ij T_ki / T_kj."""
    n = E.shape[-1]
    T = np.where(np.eye(n, dtype=bool), 0.0, E)
    for row in T:
        size = np.abs(row)  # 0 on the diagonal
        best = _largest(size)
        for i in range(n):
            k, j = best
            if i in best:
                others = size.copy()
                others[i] = others[:, i] = 0.0
                k, j = _largest(others)
            if i not in (k, j) and size[k, j] > floor:
                row[i, i] = row[i, j] * row[k, i] / row[k, j]
            elif biggest(size[i]) > floor and biggest(size[:, i]) > floor:
                return None  # too few entries to tell
    return T if biggest(T) > floor else None


def _largest(size: Array) -> tuple[int, int]:
    k, j = np.unravel_index(int(size.argmax()), size.shape)
    return int(k), int(j)


def _mean_and_variance(E: Array, x: Array, floor: float) -> tuple[Array, Array]:
    """E_ij = w_j (δ_ij − 1/n) − u_j (x_i − mean x): layer norm. Zeros where it is none."""
    n = x.shape[-1]
    M, V, centered = np.zeros_like(E), np.zeros_like(E), np.eye(n) - 1 / n
    for r, row in enumerate(x - x.mean(axis=-1, keepdims=True)):
        for j in range(n):
            w, u = np.linalg.lstsq(np.stack([centered[j], -row], axis=1), E[r, :, j], rcond=None)[0]
            M[r, :, j], V[r, :, j] = -w / n, -u * row
            if biggest(w * centered[j] - u * row - E[r, :, j]) > floor:
                return np.zeros_like(E), np.zeros_like(E)
    return M, V


def _factors(view: View, F: Array, E: Array, terms: Sequence[Term]) -> Findings:
    """The factors c in F = E + Σ (c − 1) T, if they leave nothing of F − E over."""
    A = np.stack([term.T.ravel() for term in terms], axis=1)
    more = np.linalg.lstsq(A, (F - E).ravel(), rcond=None)[0]
    rest = biggest((F - E).ravel() - A @ more)
    wrong = [(term, 1 + float(d)) for term, d in zip(terms, more, strict=True)
             if abs(d) * biggest(term.T) > view.floor]  # fmt: skip
    if not wrong or rest > view.floor or rest > SHARE * biggest(F - E):
        return
    if len(wrong) > 1:
        parts = " and ".join(f"{c:.6g} times {term.words}" for term, c in wrong)
        yield Finding("factor on a term", f"holds {parts}; once is right for each", True)
        return
    ((term, c),) = wrong
    if abs(c) * biggest(term.T) <= view.floor:
        yield Finding(term.name, f"lacks {term.words}", True)
        return
    question = view.name_factor(c)
    text = f"holds {number(c, view.accuracy)} times {term.words}; once is right"
    yield Finding("factor on a term", f"{text}: {question}" if question else text, True)
