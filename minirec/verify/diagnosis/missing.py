"""Detectors for what is left out of a gradient, or comes into it too often: terms, outputs, paths.

As in detectors.py, F is what was found and E what is right. Where the full Jacobian is known, Jf
and Je (m, n) are the found one and the right one: row i holds what output i contributes.
"""

import numpy as np

from minirec.verify.diagnosis import terms
from minirec.verify.diagnosis.factors import axis_name, spread
from minirec.verify.diagnosis.places import named_places
from minirec.verify.diagnosis.view import Array, Finding, Findings, View, biggest, candidates

# A projection is the same whatever is left of its own term: which of these it is cannot be seen from outside.
STATE = "missing, or wrong in size, sign or axis"
SAMPLES = 3  # with fewer, a missing term always looks as if it kept its direction


def added(view: View) -> Findings:
    """E − F = c dy (the residual path), ± another gradient, or one constant."""
    if not view.same_shape:
        return
    gap, size = view.deviation, biggest(view.deviation)
    if view.upstream is not None and view.upstream.shape == gap.shape and view.distinct > 1:
        c = float(np.vdot(view.upstream, gap) / np.vdot(view.upstream, view.upstream))
        if biggest(gap - c * view.upstream) <= view.tolerance * biggest(view.expected) and abs(c) > 1e-3:
            whole = view.is_one(abs(c))
            times = "dy" if whole else f"{abs(c):.6g} dy"
            question = ": is the residual path missing?" if whole else ""
            text = f"lacks + {times}{question}" if c > 0 else f"holds {times} too much"
            yield Finding("residual path", text, True)
    for name, other in view.others.items():
        if other.shape == gap.shape and biggest(other) > 0:
            for sign, text in ((1, f"lacks the gradient of {name}, which must be added"),
                               (-1, f"holds the gradient of {name} too much")):  # fmt: skip
                if view.repairs(view.found + sign * other):
                    yield Finding("another gradient added", text, True)
    if gap.size > 2 and np.ptp(gap) <= view.tolerance * biggest(view.expected) and size > 0:
        yield Finding("constant added", f"is the right one {-float(gap.flat[0]):+.6g} everywhere", True)


def row_terms(view: View) -> Findings:
    """E sums to 0 along an axis, or stands at right angles to x there, and F does not: E = F − u (v · F).

    u = v = 1: the mean term.  u = v = x − mean x: the variance term.  v = 1, u one vector per row: softmax's.
    """
    if not view.same_shape or view.distinct < SAMPLES:
        return
    measured = list(terms.measured(view))
    if measured:
        yield from measured
        return
    x = view.arguments.get(view.name)
    for axis in range(len(view.shape)):
        touched = np.broadcast_to(view.wrong.any(axis=axis, keepdims=True), view.shape)
        if view.shape[axis] < 3 or view.wrong.sum() < 0.9 * touched.sum():
            continue  # a term that is left out leaves no entry of a row right
        F, E = (np.moveaxis(a, axis + 1, -1) for a in (view.found, view.expected))  # (N, ..., n)
        along = axis_name(axis, len(view.shape))
        to_zero = biggest(E.sum(axis=-1)) <= 10 * view.tolerance * biggest(E) * E.shape[-1]
        centered = F - F.mean(axis=-1, keepdims=True)
        if to_zero and _repaired(view, centered, E):
            text = f"is right once its own mean along {along} is subtracted: the mean term is {STATE}"
            yield Finding("missing mean term", text, False)
            continue
        if to_zero and _ranks(F).min() >= SAMPLES:
            total = F.sum(axis=-1, keepdims=True)
            if _repaired(view, F + total * _slope(total, E - F), E):
                text = f"must sum to 0 along {along}, and does not: a term with a sum over {along} is {STATE}"
                yield Finding("missing row sum term", text, False)
                continue
        if isinstance(x, np.ndarray) and x.shape == view.shape:
            xc = np.moveaxis(x - x.mean(axis=axis, keepdims=True), axis, -1)
            for start, name, what in (
                (F, "missing variance term", "the term of the variance, −x̂ mean(dx̂ ⊙ x̂), is"),
                (centered, "missing mean and variance terms", "the terms of mean and variance are"),
            ):
                by = (start * xc).sum(axis=-1, keepdims=True) * xc
                strength = _slope(by, E - start, together=True)
                if biggest(strength) > 0 and _repaired(view, start + by * strength, E):
                    text = f"must be at right angles to x − mean x along {along}: {what} {STATE}"
                    yield Finding(name, text, False)
                    break
            else:
                yield from _direction(E - F, F, along, to_zero)
        else:
            yield from _direction(E - F, F, along, to_zero)


def missing_contributions(view: View) -> Findings:
    """Every entry of Jf is either right or 0: whole outputs are left out, or all but a diagonal."""
    both = view.jacobians()
    if both is None or view.upstream is None:
        return
    Jf, Je = both
    lost = np.abs(Jf - Je) > view.floor
    if not lost.any() or biggest(Jf[lost]) > view.floor or not Jf.any():
        return
    used = np.abs(Je) > view.floor
    y_shape = view.upstream.shape[1:]
    out_rows = np.asarray((lost & used).any(axis=1))
    if not np.any(used & ~lost & out_rows[:, None]):  # an output counts fully, or not at all
        yield from _outputs(view, np.reshape(out_rows, y_shape), np.reshape(used.any(axis=1), y_shape))
        return
    if (lost & used).any(axis=0).sum() < view.wrong.size and not np.any(
        (used & ~lost)[:, view.wrong.ravel()]
    ):
        return  # whole entries are 0: that is said by their place
    text = f"{int(lost.sum())} of {int(used.sum())} entries of its Jacobian are 0 and must not be"
    if y_shape == view.shape:
        i, j = (
            np.unravel_index(np.arange(len(Jf)), y_shape),
            np.unravel_index(np.arange(Jf.shape[1]), y_shape),
        )
        same = [a[:, None] == b[None, :] for a, b in zip(i, j, strict=True)]
        if np.array_equal(used & ~lost, np.logical_and.reduce(same) & used):
            text = "holds the diagonal of its Jacobian only: each entry reaches other outputs too"
            yield Finding("missing contributions", text, True)
            return
        for axis, equal in enumerate(same):
            if np.array_equal(used & ~lost, equal & used):
                along = axis_name(axis, len(y_shape))
                text = f"lacks what reaches outputs at other places along {along}"
                yield Finding("missing contributions", text, True)
                return
    yield Finding("missing contributions", f"lacks contributions: {text}", False)


def upstream_factor(view: View) -> Findings:
    """Jf = diag(w) Je: dy is multiplied by w before it goes back. Is w an argument, or 1 / one?"""
    both = view.jacobians()
    if both is None or view.upstream is None or view.factor(view.expected) is not None:
        return
    Jf, Je = both
    square = (Je**2).sum(axis=1)
    live = square > (view.tolerance * biggest(Je)) ** 2
    if live.sum() < 2:
        return
    w = np.divide((Jf * Je).sum(axis=1), square, out=np.ones(len(Je)), where=live)
    unsure = max(1e-9 * biggest(w), view.floor / float(np.sqrt(square[live].min())))
    if biggest(Jf - w[:, None] * Je) > view.tolerance * biggest(Jf) or np.ptp(w[live]) <= unsure:
        return
    y_shape = view.upstream.shape[1:]
    for text, a in candidates(view, y_shape):
        flat = a.ravel()
        for words, gap in (
            (f"holds the factor {text} on dy too much", w - flat),
            (f"lacks the factor {text} on dy: multiply dy by it first", w * flat - 1),
        ):
            close = max(1e-7, view.tolerance)
            if biggest(gap[live]) <= close * max(1.0, biggest(flat)) and np.ptp(flat) > 0:
                yield Finding("factor on the upstream gradient", words, True)
                return
    if np.all(np.minimum(np.abs(w), np.abs(w - 1))[live] <= view.tolerance):
        return  # outputs that count or do not: see missing_contributions
    text = (
        f"is right but for a factor on each output, {spread(w[live])}: is the last step's derivative wrong?"
    )
    yield Finding("factor on the upstream gradient", text, False)


def transposed_jacobian(view: View) -> Findings:
    """Jf = Jeᵀ: J dy in place of Jᵀ dy."""
    both = view.jacobians()
    if both is None or view.upstream is None or view.upstream.shape[1:] != view.shape:
        return
    Jf, Je = both
    symmetric = biggest(Je - Je.T) <= view.tolerance * biggest(Je)  # then Jᵀ = J, and nothing can be told
    if not symmetric and biggest(Jf - Je.T) <= view.tolerance * biggest(Jf):
        text = (
            "is J dy in place of Jᵀ dy: does a matrix stand there that must be transposed (dy W for dy Wᵀ)?"
        )
        yield Finding("transposed inside", text, True)


def _outputs(view: View, lost: Array, used: Array) -> Findings:
    """Which outputs, (*y.shape), do not contribute: by the kept ones, then by the lost ones."""
    kept = used & ~lost
    for name, ids in view.arguments.items():
        if not isinstance(ids, np.ndarray) or not np.issubdtype(ids.dtype, np.integer):
            continue
        if ids.ndim == 0 or ids.shape != lost.shape[: ids.ndim]:
            continue
        for which, order in (("last", -1), ("first", 1)):
            seen = ids.ravel()[::order]
            once = np.zeros(ids.size, dtype=bool)
            once[np.unique(seen, return_index=True)[1]] = True
            only = once[::order].reshape(ids.shape + (1,) * (lost.ndim - ids.ndim))
            if np.array_equal(kept, used & only):
                text = f"holds only the {which} of the places with the same id in {name}: is it overwritten "
                yield Finding("overwritten", text + "instead of accumulated?", True)
                return
    for word, part in (("counts", kept), ("does not count", lost)):
        for text, places in named_places(lost.shape, view.arguments):
            if np.array_equal(part, used & places):
                sum_too = " Is a sum missing?" if word == "counts" and "along" in text else ""
                what = f"lacks contributions: only y {text} {word}."
                yield Finding("missing contributions", what + sum_too, True)
                return
    text = f"lacks the contributions of {int(lost.sum())} of {int(used.sum())} outputs"
    yield Finding("missing contributions", text, False)


def _slope(by: Array, gap: Array, together: bool = False) -> Array:
    """Least squares over the samples: what `by` must be multiplied with to give `gap`, fixed for each row.

    One number for each entry of the row, or one for the whole row (`together`).
    """
    axes = (0, gap.ndim - 1) if together else (0,)
    top, bottom = (by * gap).sum(axis=axes, keepdims=True), (by * by).sum(axis=axes, keepdims=True)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def _repaired(view: View, corrected: Array, E: Array) -> bool:
    """`view.repairs`, for arrays whose axes have been moved."""
    gap = biggest(corrected - E)
    return gap <= view.tolerance * biggest(E) and gap <= 0.01 * biggest(view.deviation)


def _ranks(a: Array) -> Array:
    """How many independent vectors each row takes over the samples: a (N, ..., n) -> (rows,)."""
    size = np.linalg.svd(np.moveaxis(a.reshape(len(a), -1, a.shape[-1]), 1, 0), compute_uv=False)
    return (size > 1e-7 * biggest(size)).sum(axis=-1)


def _direction(gap: Array, F: Array, along: str, to_zero: bool) -> Findings:
    """In each row what is missing is, in every sample, a multiple of one vector (no more is known)."""
    if np.all(_ranks(gap) <= 1) and _ranks(F).min() >= SAMPLES:
        flat = biggest(np.ptp(gap, axis=-1)) <= 1e-9 * biggest(gap)
        what = "a constant" if flat else "a multiple of one vector"
        text = f"lacks a term: in every row along {along} the error is {what}"
        hint = ", and the right one sums to 0 there" if to_zero else ""
        yield Finding("missing term", text + hint, False)
