"""What must hold of attention over distances: who sees whom, and what an offset does."""

import math
from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Place, Rng, largest, relative_gap
from minirec.verify.formulas.attention import attention


def _seen(place: Place) -> Any:
    """(..., Tq, Tk) who sees whom: the mask of the place, and no later key."""
    q, k, _, _, _, _, *mask = place.args
    Tq, Tk = q.shape[-2], k.shape[-2]
    return np.tri(Tq, Tk, Tk - Tq, dtype=bool) & np.broadcast_to(
        mask[0] if mask else True, (*q.shape[:-1], Tk)
    )


def _size(place: Place, *others: Array) -> float:
    """max |v| (1 + max |score|): a score is rounded by eps times its size, and moves y by that part of v."""
    q, k, v, r, u, w, *_ = place.args
    bias = max(map(largest, (u, w, *others)))
    score = q.shape[-1] * (largest(q) + bias) * (largest(k) + largest(r) + bias) / math.sqrt(q.shape[-1])
    return float((1 + 2 * score) * largest(v))


def causal_attention_without_distances(place: Place, rng: Rng) -> float:
    """r, u and w of 0: attention under a causal mask, by its own definition."""
    q, k, v, r, u, w, *mask = place.args
    found = place(q, k, v, 0 * r, 0 * u, 0 * w, *mask)
    return relative_gap(found, attention(q, k, v, _seen(place)), _size(place))


def the_future_does_not_matter(place: Place, rng: Rng) -> float:
    """Other keys and values after each query leave its y and what it sends back the same, bit by bit."""
    q, k, v, *rest = place.args
    y, dy, gap = place(*place.args), place.upstream(rng), 0.0
    M = k.shape[-2] - q.shape[-2]
    for i in range(q.shape[-2] - 1):
        k2, v2 = k.copy(), v.copy()
        k2[..., i + M + 1 :, :] += rng.standard_normal(k2[..., i + M + 1 :, :].shape)
        v2[..., i + M + 1 :, :] += rng.standard_normal(v2[..., i + M + 1 :, :].shape)
        gap = max(gap, relative_gap(place(q, k2, v2, *rest)[..., : i + 1, :], y[..., : i + 1, :]))
        first = np.where(np.arange(q.shape[-2])[:, None] <= i, dy, 0.0)
        dq, dk, dv, *_ = place.gradients(first)
        gap = max(gap, largest(dk[..., i + M + 1 :, :]), largest(dv[..., i + M + 1 :, :]))
        gap = max(gap, largest(dq[..., i + 1 :, :]))
    return gap


def a_query_alone_has_its_output(place: Place, rng: Rng) -> float:
    """Each query as the only one, its key the last one: the same distances, so the same y."""
    q, k, v, r, u, w, *mask = place.args
    M, alone = k.shape[-2] - q.shape[-2], []
    for i in range(q.shape[-2]):
        stop = i + M + 1
        more = [_seen(place)[..., i : i + 1, :stop]] if mask else []
        alone.append(place(q[..., i : i + 1, :], k[..., :stop, :], v[..., :stop, :], r, u, w, *more))
    return relative_gap(np.concatenate(alone, axis=-2), place(*place.args), _size(place))


def padding_may_be_cut_off(place: Place, rng: Rng) -> float | None:
    """The oldest key is masked: the call without it gives the same."""
    q, k, v, *rest = place.args
    if k.shape[-2] == q.shape[-2] or len(rest) > 3:
        return None
    seen = np.broadcast_to(np.arange(k.shape[-2]) > 0, (q.shape[-2], k.shape[-2]))
    found = place(q, k[..., 1:, :], v[..., 1:, :], *rest)
    return relative_gap(found, place(q, k, v, *rest, seen), _size(place))


def masked_keys_in_front_change_nothing(place: Place, rng: Rng) -> float:
    """Three more keys that nobody sees, and three more distances: the same y and gradients."""
    q, k, v, r, u, w, *_ = place.args
    dy, more = place.upstream(rng), 3

    def front(x: Array) -> Array:
        return np.concatenate([rng.standard_normal((*x.shape[:-2], more, x.shape[-1])), x], axis=-2)

    longer = np.concatenate([r, rng.standard_normal((*r.shape[:-2], more, r.shape[-1]))], axis=-2)
    seen = np.concatenate([np.zeros((*q.shape[:-1], more), dtype=bool), _seen(place)], axis=-1)
    wide = q, front(k), front(v), longer, u, w, seen
    gap = relative_gap(place(*wide), place(*place.args), _size(place))
    dq, dk, dv, dr, du, dw = place.gradients(dy, *wide)
    found = dq, dk[..., more:, :], dv[..., more:, :], dr[..., : r.shape[-2], :], du, dw
    expected = place.gradients(dy)
    size = max(map(largest, expected)) * (1 + _size(place))
    gap = max(gap, relative_gap(found, tuple(expected), size))
    return max(
        gap, largest(dk[..., :more, :]), largest(dv[..., :more, :]), largest(dr[..., r.shape[-2] :, :])
    )


def an_offset_of_keys_changes_nothing(place: Place, rng: Rng) -> float:
    """Nor, then, does the sum of their gradients move anything: Σ_j dk_j = 0."""
    q, k, v, *rest = place.args
    c = rng.standard_normal(k.shape[-1])
    total = place.gradients(place.upstream(rng))[1].sum(axis=-2)
    gap = relative_gap(place(q, k + c, v, *rest), place(*place.args), _size(place, c))
    return max(gap, largest(total) / (k.shape[-2] * (1 + _size(place)) ** 2))


def an_offset_of_distances_changes_nothing(place: Place, rng: Rng) -> float:
    """It adds one number to all scores of a query: Σ_d dr_d = 0."""
    q, k, v, r, *rest = place.args
    c = rng.standard_normal(r.shape[-1])
    total = place.gradients(place.upstream(rng))[3].sum(axis=-2)
    gap = relative_gap(place(q, k, v, r + c, *rest), place(*place.args), _size(place, c))
    return max(gap, largest(total) / (q.size * (1 + _size(place)) ** 2))


def queries_move_as_their_biases(place: Place, rng: Rng) -> float:
    q, k, v, r, u, w, *mask = place.args
    c = rng.standard_normal(q.shape[-1])
    expected = place(q, k, v, r, u + c, w + c, *mask)
    return relative_gap(place(q + c, k, v, r, u, w, *mask), expected, _size(place, c))


def query_gradients_add_up(place: Place, rng: Rng) -> float:
    """The derivative of that, over all axes but the last."""
    dq, _, _, _, du, dw = place.gradients(place.upstream(rng))
    whole = [d.reshape(-1, d.shape[-1]).sum(axis=0) for d in (dq, du, dw)]
    return relative_gap(whole[0], whole[1] + whole[2], dq.size * (1 + largest(dq)))


def far_distances_get_nothing(place: Place, rng: Rng) -> float | None:
    """Rows of r from Tk on may hold anything, and get exactly 0."""
    q, k, v, r, *rest = place.args
    if r.shape[-2] == k.shape[-2]:
        return None
    other, dy = r.copy(), place.upstream(rng)
    other[..., k.shape[-2] :, :] = math.nan
    changed = (place(q, k, v, other, *rest), *place.gradients(dy, q, k, v, other, *rest))
    gap = relative_gap(changed, (place(*place.args), *place.gradients(dy)))
    return max(gap, largest(place.gradients(dy)[3][..., k.shape[-2] :, :]))


def masked_keys_have_no_influence(place: Place, rng: Rng) -> float | None:
    """For each query: other finite numbers at the keys that its mask hides change no bit of its y or of what
    it sends back, and those keys and values get exactly 0 from it."""
    q, k, v, *rest = place.args
    if len(rest) < 4:
        return None
    seen, y, dy, gap = _seen(place), place(*place.args), place.upstream(rng), 0.0
    for i in range(q.shape[-2]):
        hidden = ~seen[..., i, :, None]  # (..., Tk, 1)
        k2 = np.where(hidden, 1e3 * rng.standard_normal(k.shape), k)
        v2 = np.where(hidden, 1e3 * rng.standard_normal(v.shape), v)
        dy_i = np.where(np.arange(q.shape[-2])[:, None] == i, dy, 0.0)
        expected, found = place.gradients(dy_i), place.gradients(dy_i, q, k2, v2, *rest)
        gap = max(gap, relative_gap(place(q, k2, v2, *rest)[..., i, :], y[..., i, :]))
        gap = max(gap, relative_gap(tuple(found), tuple(expected)))
        gap = max(gap, largest(expected[1] * hidden), largest(expected[2] * hidden))
    return gap


def what_nobody_sees_cannot_leak(place: Place, rng: Rng) -> float | None:
    """Even NaN and infinities at a key that is masked for every query of its row change no bit."""
    q, k, v, *rest = place.args
    hidden = ~np.asarray(_seen(place).any(axis=-2))[..., None]  # (..., Tk, 1)
    if not hidden.any():
        return None
    dy = place.upstream(rng)
    expected, gap = (place(*place.args), *place.gradients(dy)), 0.0
    for number in (7.0, -1e300, math.nan, math.inf, -math.inf):
        other = q, np.where(hidden, number, k), np.where(hidden, number, v), *rest
        gap = max(gap, relative_gap((place(*other), *place.gradients(dy, *other)), expected))
    return max(gap, largest(expected[2] * hidden), largest(expected[3] * hidden))


def a_query_that_sees_nothing(place: Place, rng: Rng) -> float | None:
    """y and dq are 0, and what comes back to it goes nowhere, bit by bit."""
    empty = ~_seen(place).any(axis=-1)[..., None]  # (..., Tq, 1)
    if not empty.any():
        return None
    dy = place.upstream(rng)
    expected = place.gradients(dy)
    gap = relative_gap(tuple(place.gradients(np.where(empty, 1e6, dy))), tuple(expected))
    return max(gap, largest(place(*place.args) * empty), largest(expected[0] * empty))
