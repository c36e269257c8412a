"""What must hold of softmax and its logarithm: of every row, under every mask, at every scale."""

import math

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Place, Rng, largest, relative_gap
from minirec.verify.formulas.drawing import ragged

EPS = 2.0**-52  # the distance from 1 to the next number


# What both have in common. A masked entry and one of −∞ are not visible.


def _visible(place: Place) -> Array:
    x, *mask = place.args
    return np.isfinite(x) & (np.broadcast_to(mask[0], x.shape) if mask else True)


def _size(x: Array) -> float:
    """The largest finite |x|: what its rounding errors are relative to."""
    return largest(x[np.isfinite(x)])


def some_hidden(place: Place, rng: Rng) -> Array:
    """The mask of the place; a drawn one with an empty first row where there is none."""
    x, *mask = place.args
    return np.broadcast_to(mask[0], x.shape) if mask else ragged(rng, *x.shape)


def order_stays(place: Place, rng: Rng) -> float:
    """Of two entries of a row the larger is not the smaller afterwards; equal ones stay equal, bit by bit."""
    x, y, keep = place.args[0], place(*place.args), _visible(place)
    wrong = (x[..., :, None] <= x[..., None, :]) & (y[..., :, None] > y[..., None, :])
    return float((wrong & keep[..., :, None] & keep[..., None, :]).sum())


def minus_infinity_is_a_mask(place: Place, rng: Rng) -> float:
    x, keep = place.args[0], some_hidden(place, rng)
    return relative_gap(place(np.where(keep, x, -math.inf)), place(x, keep))


def hidden_values_have_no_influence(place: Place, rng: Rng) -> float:
    """Forward and backward are the same bits whatever stands under the mask, NaN and infinities included."""
    x, keep, dy = place.args[0], some_hidden(place, rng), place.upstream(rng)
    gap = 0.0
    for value in (1e3 * rng.standard_normal(x.shape), math.nan, math.inf, -math.inf, 1e308):
        other = np.where(keep, x, value)
        same = place(other, keep), *place.gradients(dy, other, keep)
        gap = max(gap, relative_gap(same, (place(x, keep), *place.gradients(dy, x, keep))))
    return gap


def hidden_entries_get_no_gradient(place: Place, rng: Rng) -> float:
    x, keep = place.args[0], some_hidden(place, rng)
    return largest(place.gradients(place.upstream(rng), x, keep)[0][~keep])


def gradient_rows_sum_to_zero(place: Place, rng: Rng) -> float:
    dy = place.upstream(rng)
    (dx,) = place.gradients(dy)
    return relative_gap(dx.sum(axis=-1), np.zeros(dx.shape[:-1]), largest(dy))


def _alone(place: Place, rng: Rng, removed: float, logarithm: bool) -> float:
    """How far the visible entries of each row are from a row of them alone, the others from `removed`."""
    x, keep = place.args[0], some_hidden(place, rng)
    y, keep = place(x, keep), keep & np.isfinite(x)
    expected = np.full(x.shape, removed)
    for row in np.ndindex(*x.shape[:-1]):
        if keep[row].any():
            expected[row][keep[row]] = place(x[row][keep[row]])
    if logarithm:
        return relative_gap(y, expected, 1.0 + _size(x))
    return _entrywise(y, expected)


def _entrywise(p: Array, expected: Array) -> float:
    """Each weight at its own size, so that small ones keep their digits too; 0 only for 0."""
    normal_numbers = expected > 1e-290
    of_others = relative_gap(p[~normal_numbers], expected[~normal_numbers], 1e-280)
    ratio = p[normal_numbers] / expected[normal_numbers]
    return max(of_others, relative_gap(ratio, np.ones(ratio.shape)))


# Softmax.


def rows_sum_to_one(place: Place, rng: Rng) -> float:
    some = _visible(place).any(axis=-1)
    return relative_gap(place(*place.args).sum(axis=-1), some.astype(float), 1.0)


def between_zero_and_one(place: Place, rng: Rng) -> float:
    p = place(*place.args)
    return largest(np.maximum(np.maximum(-p, p - 1), 0.0))


def naive_quotient(place: Place, rng: Rng) -> float | None:
    """e^x / Σ e^x without any shift, where that does not overflow."""
    x, keep = place.args[0], _visible(place)
    if _size(x) > 300:
        return None
    e = np.where(keep, np.exp(np.where(keep, x, 0)), 0)
    total = e.sum(axis=-1, keepdims=True)
    return _entrywise(place(*place.args), e / np.where(total == 0, 1, total)) / (1 + _size(x))


def a_shift_changes_nothing(place: Place, rng: Rng) -> float:
    """x + c is rounded by eps |x + c|; an error of d in the exponent is a relative error of d in p."""
    x, *mask = place.args
    p, gap = place(x, *mask), 0.0
    for c in (rng.uniform(-10, 10), 1e3, -1e6):
        gap = max(gap, _entrywise(place(x + c, *mask), p) / (1 + _size(x) + abs(c)))
    return gap


def permutation_equivariant(place: Place, rng: Rng) -> float:
    x, *mask = place.args
    order = rng.permutation(x.shape[-1])
    moved = [np.broadcast_to(m, x.shape)[..., order] for m in mask]
    return _entrywise(place(x[..., order], *moved), place(x, *mask)[..., order])


def invisible_entries_are_zero(place: Place, rng: Rng) -> float:
    x, keep = place.args[0], some_hidden(place, rng)
    return largest(place(x, keep)[~keep])


def the_rest_is_as_if_alone(place: Place, rng: Rng) -> float:
    return _alone(place, rng, 0.0, logarithm=False)


def nothing_left_gives_nothing(place: Place, rng: Rng) -> float:
    """A mask of False alone: zeros, and no gradient."""
    x, nothing = place.args[0], np.zeros(place.args[0].shape, dtype=bool)
    return largest(place(x, nothing)) + largest(place.gradients(place.upstream(rng), x, nothing)[0])


def one_entry_gives_one(place: Place, rng: Rng) -> float:
    x = place.args[0][np.isfinite(place.args[0])].reshape(-1, 1)
    return relative_gap(place(x), np.ones(x.shape))


def cold_takes_the_largest(place: Place, rng: Rng) -> float:
    """As the temperature falls, all weight goes to the largest of each row, shared by those that tie."""
    x, *mask = place.args
    keep, expected = _visible(place), np.zeros(x.shape)
    cold = np.full(x.shape, -math.inf)
    for row in np.ndindex(*x.shape[:-1]):
        levels = np.unique(x[row][keep[row]])
        if levels.size:
            winners = keep[row] & (x[row] == levels[-1])
            expected[row] = winners / winners.sum()
            # The runner-up gets e^{-800}, which is 0.
            step = levels[-1] - levels[-2] if levels.size > 1 else 1.0
            cold[row] = np.where(keep[row], (x[row] - levels[-1]) / step * 800, -math.inf)
    return relative_gap(place(cold, *mask), expected)


def hot_takes_all_alike(place: Place, rng: Rng) -> float:
    x, *mask = place.args
    keep = _visible(place)
    expected = keep / np.maximum(keep.sum(axis=-1, keepdims=True), 1)
    return relative_gap(place(x / (1e12 * (1 + _size(x))), *mask), expected, 1.0)


def a_constant_upstream_gives_nothing(place: Place, rng: Rng) -> float:
    gap = 0.0
    for c in (1.3, -1e3, 1e-6):
        (dx,) = place.gradients(np.full(place.args[0].shape, c))
        gap = max(gap, largest(dx) / abs(c))
    return gap


def backward_is_diag_p_minus_p_p(place: Place, rng: Rng) -> float:
    """Against the Jacobian of each row, written out."""
    p, dy = place(*place.args), place.upstream(rng)
    expected = np.zeros(p.shape)
    for row in np.ndindex(*p.shape[:-1]):
        expected[row] = (np.diag(p[row]) - np.outer(p[row], p[row])) @ dy[row]
    return relative_gap(place.gradients(dy)[0], expected, largest(dy))


# Log-softmax. Its errors are absolute: those of x, and of a logarithm of a sum of at least 1.


def never_positive(place: Place, rng: Rng) -> float:
    return largest(np.maximum(place(*place.args), 0.0))


def a_shift_changes_no_logarithm(place: Place, rng: Rng) -> float:
    x, *mask = place.args
    y, gap = place(x, *mask), 0.0
    for c in (rng.uniform(-10, 10), 1e3, -1e6):
        gap = max(gap, relative_gap(place(x + c, *mask), y, 1 + _size(x) + abs(c)))
    return gap


def a_permutation_permutes_logarithms(place: Place, rng: Rng) -> float:
    x, *mask = place.args
    order = rng.permutation(x.shape[-1])
    moved = [np.broadcast_to(m, x.shape)[..., order] for m in mask]
    return relative_gap(place(x[..., order], *moved), place(x, *mask)[..., order], 1 + _size(x))


def hidden_are_minus_infinity(place: Place, rng: Rng) -> float:
    """And the others as if they were alone."""
    return _alone(place, rng, -math.inf, logarithm=True)


def equal_entries_give_minus_log_n(place: Place, rng: Rng) -> float:
    x = np.full(place.args[0].shape, rng.uniform(-10, 10))
    return relative_gap(place(x), np.full(x.shape, -math.log(x.shape[-1])), 1.0)


def backward_is_one_minus_p(place: Place, rng: Rng) -> float:
    """∂y_i/∂x_j = 1[i = j] − p_j among the visible entries, written out."""
    x, dy = place.args[0], place.upstream(rng)
    gap = 0.0
    for keep in (_visible(place), some_hidden(place, rng) & np.isfinite(x)):
        p, expected = np.exp(place(x, keep)), np.zeros(x.shape)
        for row in np.ndindex(*x.shape[:-1]):
            n = np.flatnonzero(keep[row])
            for i in n:
                for j in n:
                    expected[(*row, j)] += dy[(*row, i)] * (float(i == j) - p[(*row, j)])
        gap = max(gap, relative_gap(place.gradients(dy, x, keep)[0], expected, largest(dy)))
    return gap


def upstream_of_minus_infinity_is_nobodys(place: Place, rng: Rng) -> float:
    x, keep, dy = place.args[0], some_hidden(place, rng), place.upstream(rng)
    other = np.where(keep & np.isfinite(x), dy, 1e3)
    return relative_gap(place.gradients(other, x, keep), place.gradients(dy, x, keep))
