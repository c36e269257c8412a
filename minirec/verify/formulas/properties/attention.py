"""What must hold of attention: its orders, means and sums, and what a mask may and may not let through."""

import math
from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Place, Rng, largest, relative_gap


def _seen(place: Place) -> Any:
    """The mask of the place, one row for each query."""
    q, k, _, *mask = place.args
    return np.broadcast_to(mask[0] if mask else True, (*q.shape[:-1], k.shape[-2]))


def _size(place: Place, q: Any = None, k: Any = None) -> float:
    """max |v| (1 + max |score|): a score is rounded by eps times its size, and moves y by that part of v."""
    q, k = place.args[0] if q is None else q, place.args[1] if k is None else k
    score = np.abs(q).sum(axis=-1).max(initial=0.0) * largest(k) / math.sqrt(q.shape[-1])
    return float((1 + score) * largest(place.args[2]))


def _weights(place: Place, q: Array, k: Array, *mask: Array) -> Any:
    """The attention weights, seen from outside: what the unit vectors as values come to."""
    return place(q, k, np.broadcast_to(np.eye(k.shape[-2]), (*k.shape[:-1], k.shape[-2])), *mask)


# Orders, means, sums.


def keys_have_no_order(place: Place, rng: Rng) -> float:
    q, k, v, *mask = place.args
    order = rng.permutation(k.shape[-2])
    moved = [_seen(place)[..., order]] if mask else []
    found = place(q, k[..., order, :], v[..., order, :], *moved)
    return relative_gap(found, place(*place.args), _size(place))


def queries_do_not_meet(place: Place, rng: Rng) -> float:
    q, k, v, *mask = place.args
    order = rng.permutation(q.shape[-2])
    moved = [_seen(place)[..., order, :]] if mask else []
    found = place(q[..., order, :], k, v, *moved)
    return relative_gap(found, place(*place.args)[..., order, :], _size(place))


def within_the_values(place: Place, rng: Rng) -> float:
    """In each direction, the axes and three others, no output is beyond the outermost visible value."""
    _, _, v, *_ = place.args
    y, seen, gap = place(*place.args), _seen(place), 0.0
    some = seen.any(axis=-1)
    for u in (*np.eye(v.shape[-1]), *rng.standard_normal((3, v.shape[-1]))):
        values, output = (v @ u)[..., None, :], y @ u  # (..., 1, Tk), (..., Tq)
        above = output - np.where(seen, values, -np.inf).max(axis=-1)
        below = np.where(seen, values, np.inf).min(axis=-1) - output
        beyond = np.where(some, np.maximum(np.maximum(above, below), 0.0), 0.0)
        gap = max(gap, largest(beyond) / (largest(v) * float(np.abs(u).sum()) or 1.0))
    return gap


def equal_keys_give_the_mean(place: Place, rng: Rng) -> float:
    q, k, v, *mask = place.args
    seen = _seen(place)
    mean = (seen[..., None] * v[..., None, :, :]).sum(axis=-2) / np.maximum(seen.sum(axis=-1), 1)[..., None]
    return relative_gap(place(q, np.broadcast_to(k[..., :1, :], k.shape), v, *mask), mean, _size(place))


def one_key_gives_its_value(place: Place, rng: Rng) -> float:
    q, k, v, *_ = place.args
    j = int(rng.integers(k.shape[-2]))
    y = place(q, k[..., j : j + 1, :], v[..., j : j + 1, :])
    return relative_gap(y, np.broadcast_to(v[..., j : j + 1, :], y.shape))


def linear_in_the_values(place: Place, rng: Rng) -> float:
    q, k, v, *mask = place.args
    w, a = rng.standard_normal(v.shape), rng.uniform(-3, 3)
    apart = place(q, k, v, *mask) + a * place(q, k, w, *mask)
    return relative_gap(place(q, k, v + a * w, *mask), apart, largest(v) + largest(a * w))


def an_offset_changes_nothing(place: Place, rng: Rng) -> float:
    q, k, v, *mask = place.args
    moved = k + rng.standard_normal(k.shape[-1])
    return relative_gap(place(q, moved, v, *mask), place(*place.args), _size(place, k=moved))


def key_gradients_sum_to_zero(place: Place, rng: Rng) -> float:
    """The derivative of that: Σ_j dk_j = 0."""
    q, _, v, *_ = place.args
    dy = place.upstream(rng)
    total = place.gradients(dy)[1].sum(axis=-2)
    size = largest(dy) * largest(v) * v.shape[-1] * largest(q) * q.shape[-2]
    return relative_gap(total, np.zeros(total.shape), size)


def a_factor_moves_between_queries_and_keys(place: Place, rng: Rng) -> float:
    q, k, v, *mask = place.args
    y = place(*place.args)
    return max(relative_gap(place(q * a, k / a, v, *mask), y) for a in (2.0**-7, 0.5, 2.0, 2.0**20))


def query_and_key_gradients_balance(place: Place, rng: Rng) -> float:
    """The derivative of that by the factor: Σ q·dq = Σ k·dk in each batch row."""
    q, k, v, *_ = place.args
    dy = place.upstream(rng)
    dq, dk, _ = place.gradients(dy)
    size = largest(dy) * v.shape[-1] * _size(place) * (1 + largest(q) * largest(k)) * q.size
    return relative_gap((q * dq).sum(axis=(-2, -1)), (k * dk).sum(axis=(-2, -1)), size)


def all_keys_twice_change_nothing(place: Place, rng: Rng) -> float:
    q, k, v, *mask = place.args
    twice = [np.concatenate([_seen(place)] * 2, axis=-1)] if mask else []
    found = place(q, np.concatenate([k, k], axis=-2), np.concatenate([v, v], axis=-2), *twice)
    return relative_gap(found, place(*place.args), _size(place))


def one_key_twice_adds_log_two(place: Place, rng: Rng) -> float:
    """To its score: its weight counts double, before the weights are divided by their sum."""
    q, k, v, *mask = place.args
    j = int(rng.integers(k.shape[-2]))
    p = _weights(place, q, k, *mask)
    p[..., j] *= 2
    p = p / np.maximum(p.sum(axis=-1, keepdims=True), 1)
    more = [np.concatenate([_seen(place), _seen(place)[..., j : j + 1]], axis=-1)] if mask else []
    k, v2 = np.concatenate([k, k[..., j : j + 1, :]], axis=-2), np.concatenate([v, v[..., j : j + 1, :]], -2)
    return relative_gap(place(q, k, v2, *more), p @ v, _size(place))


def value_gradients_are_weighted_sums(place: Place, rng: Rng) -> float:
    """dv_j = Σ_i p_ij dy_i, in loops."""
    q, k, v, *mask = place.args
    p, dy, expected = _weights(place, q, k, *mask), place.upstream(rng), np.zeros(v.shape)
    for *batch, i, j in np.ndindex(*p.shape):
        expected[(*batch, j)] += p[(*batch, i, j)] * dy[(*batch, i)]
    return relative_gap(place.gradients(dy)[2], expected, largest(dy) * q.shape[-2])


def normal_scores_have_variance_one(place: Place, rng: Rng) -> float | None:
    """√K makes the scores of normal queries and keys as large as one number, whatever K is."""
    if place.args[0].ndim != 2 or len(place.args) > 3:
        return None
    q, k = rng.standard_normal((101, 64)), rng.standard_normal((103, 64))
    scores = np.log(_weights(place, q, k))  # but for one number per row
    return abs(float(scores.var(axis=-1).mean()) - 1)


# Masks.


def masking_is_removing(place: Place, rng: Rng) -> float | None:
    """Query by query, with its visible keys alone: y, and what each adds to the gradients."""
    q, k, v, *mask = place.args
    if not mask:
        return None
    seen, dy = _seen(place), place.upstream(rng)
    y, dq, dk, dv = (np.zeros(a.shape) for a in (dy, q, k, v))
    for *batch, i in np.ndindex(*q.shape[:-1]):
        b, keep = tuple(batch), np.flatnonzero(seen[(*batch, i)])
        if keep.size:
            alone = q[(*b, slice(i, i + 1))], k[b][keep], v[b][keep]
            y[(*b, i)] = place(*alone)[0]
            dq_i, dk_i, dv_i = place.gradients(dy[(*b, slice(i, i + 1))], *alone)
            dq[(*b, i)] = dq_i[0]
            dk[b][keep] += dk_i
            dv[b][keep] += dv_i
    found = (place(*place.args), *place.gradients(dy))
    back = largest(dy) * v.shape[-1] * _size(place)
    sizes = _size(place), back * largest(k), back * largest(q) * q.shape[-2], largest(dy) * q.shape[-2]
    return max(map(relative_gap, found, (y, dq, dk, dv), sizes))


def masked_keys_have_no_influence(place: Place, rng: Rng) -> float | None:
    """For each query: other finite numbers at the keys that it does not see leave its y and all it sends back
    the same, bit by bit, and those keys and values get exactly 0 from it."""
    q, k, v, *mask = place.args
    if not mask:
        return None
    seen, y, dy, gap = _seen(place), place(*place.args), place.upstream(rng), 0.0
    for i in range(q.shape[-2]):
        hidden = ~seen[..., i, :, None]  # (..., Tk, 1)
        k2 = np.where(hidden, 1e3 * rng.standard_normal(k.shape), k)
        v2 = np.where(hidden, 1e3 * rng.standard_normal(v.shape), v)
        dy_i = np.zeros(dy.shape)
        dy_i[..., i, :] = dy[..., i, :]
        dq, dk, dv = place.gradients(dy_i, *place.args)
        dq2, dk2, dv2 = place.gradients(dy_i, q, k2, v2, *mask)
        gap = max(gap, relative_gap(place(q, k2, v2, *mask)[..., i, :], y[..., i, :]))
        gap = max(gap, relative_gap((dq2, dk2, dv2), (dq, dk, dv)))
        gap = max(gap, largest(dk * hidden), largest(dv * hidden))
    return gap


def what_nobody_sees_cannot_leak(place: Place, rng: Rng) -> float | None:
    """Even NaN and infinities at a key that is masked for every query of its row change no bit."""
    q, k, v, *mask = place.args
    hidden = ~np.asarray(_seen(place).any(axis=-2))[..., None]  # (..., Tk, 1)
    if not hidden.any():
        return None
    dy = place.upstream(rng)
    expected, gap = (place(*place.args), *place.gradients(dy)), 0.0
    for value in (7.0, -1e300, math.nan, math.inf, -math.inf):
        other = q, np.where(hidden, value, k), np.where(hidden, value, v), *mask
        gap = max(gap, relative_gap((place(*other), *place.gradients(dy, *other)), expected))
    return max(gap, largest(expected[2] * hidden), largest(expected[3] * hidden))


def a_query_that_sees_nothing(place: Place, rng: Rng) -> float | None:
    """y and dq are 0, and what comes back to it goes nowhere, bit by bit."""
    empty = ~_seen(place).any(axis=-1)[..., None]  # (..., Tq, 1)
    if not empty.any():
        return None
    dy = place.upstream(rng)
    gradients = place.gradients(dy)
    gap = relative_gap(place.gradients(np.where(empty, 1e6, dy)), gradients)
    return max(gap, largest(place(*place.args) * empty), largest(gradients[0] * empty))


# Causal masks.


def _causal(place: Place) -> bool:
    seen = _seen(place)
    T = seen.shape[-1]
    return T > 1 and seen.shape[-2] == T and bool((seen == np.tri(T, dtype=bool)).all())


def the_future_does_not_matter(place: Place, rng: Rng) -> float | None:
    """Other keys and values from t on leave the outputs before t the same, bit by bit."""
    if not _causal(place):
        return None
    q, k, v, mask = place.args
    y, gap = place(*place.args), 0.0
    for t in range(1, q.shape[-2]):
        k2, v2 = k.copy(), v.copy()
        k2[..., t:, :] += rng.standard_normal(k2[..., t:, :].shape)
        v2[..., t:, :] += rng.standard_normal(v2[..., t:, :].shape)
        gap = max(gap, relative_gap(place(q, k2, v2, mask)[..., :t, :], y[..., :t, :]))
    return gap


def a_shorter_call_is_the_prefix(place: Place, rng: Rng) -> float | None:
    if not _causal(place):
        return None
    q, k, v, _ = place.args
    y, gap = place(*place.args), 0.0
    for t in range(1, q.shape[-2]):
        shorter = place(q[..., :t, :], k[..., :t, :], v[..., :t, :], np.tri(t, dtype=bool))
        gap = max(gap, relative_gap(shorter, y[..., :t, :], _size(place)))
    return gap


def no_weight_above_the_diagonal(place: Place, rng: Rng) -> float | None:
    if not _causal(place):
        return None
    q, k, _, mask = place.args
    return largest(np.triu(_weights(place, q, k, mask), 1))


def first_output_is_first_value(place: Place, rng: Rng) -> float | None:
    return relative_gap(place(*place.args)[..., 0, :], place.args[2][..., 0, :]) if _causal(place) else None
