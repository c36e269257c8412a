"""What the losses against drawn negatives keep: gbce and sampled_softmax in losses.py.

They take the positive (...) and its negatives (..., k), then a number or a mask, then a weight. What all
losses keep is asked of them as of a loss of rows of 1 + k logits, the positive in column 0.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Place, Property, Rng, relative_gap
from minirec.verify.formulas.properties import weighted
from minirec.verify.formulas.properties.loss import sigmoid, slopes


def as_rows(place: Place) -> Place:
    """The same loss of (logits (..., 1 + k), row (...)[, weight]).

    `row` is what the third argument says of each row: the bits of its mask as one number, or nothing (0).
    """
    positive, negatives, *rest = place.args
    third, powers = rest[0] if rest else None, 1 << np.arange(negatives.shape[-1])
    masked = isinstance(third, np.ndarray)
    row = np.zeros(positive.shape) if third is None or not masked else (third * powers).sum(axis=-1)

    def forward(logits: Array, row: Array, *weight: Array) -> Any:
        of_rows = (row[..., None] & powers) != 0 if masked else third
        return place.forward(logits[..., 0], logits[..., 1:], of_rows, *weight)

    def backward(dloss: Any, cache: Any) -> Array:
        assert place.backward is not None
        dpositive, dnegatives = place.backward(dloss, cache)
        return np.concatenate([dpositive[..., None], dnegatives], axis=-1)

    logits = np.concatenate([positive[..., None], negatives], axis=-1)
    return Place(
        forward, backward, (logits, row, *rest[1:]), ("logits", "row", "weight")[: 2 + len(rest[1:])]
    )


def _of_rows(one: Property) -> Property:
    return one._replace(gap=lambda place, rng: one.gap(as_rows(place), rng))


PROPERTIES = tuple(_of_rows(one) for one in weighted.PROPERTIES)


def third(place: Place) -> Any:
    """β, the mask, or None."""
    return place.args[2] if len(place.args) > 2 else None


def largest_share(place: Place) -> float:
    return float(weighted.shares(as_rows(place)).max(initial=0.0)) or 1.0


def size(place: Place) -> float:
    """What gaps of the loss are relative to: the logarithm of a sum has an error beside 1 and the logits."""
    return 1.0 + max(float(np.abs(a).max(initial=0.0)) for a in place.args[:2])


def negatives_have_no_order(place: Place, rng: Rng) -> float:
    """Other columns, with their mask: the same loss, and the slopes in their places."""
    positive, negatives, *rest = place.args
    order = rng.permutation(negatives.shape[-1])
    moved = [a[..., order] if isinstance(a, np.ndarray) else a for a in rest[:1]]
    args = (positive, negatives[..., order], *moved, *rest[1:])
    (dpositive, dnegatives), (dp, dn) = place.gradients(1.3), place.gradients(1.3, *args)
    scale = 1.3 * largest_share(place)
    return max(
        relative_gap(place(*args), place(*place.args), size(place)),
        relative_gap(dp, dpositive, scale),
        relative_gap(dn, dnegatives[..., order], scale),
    )


def by_hand(place: Place, dloss: float, of_term: Callable[[tuple[int, ...], int], float]) -> float:
    """How far the slopes are from w / Σ w · of_term(place, j), where j is −1 for the positive."""
    rows, k = as_rows(place), place.args[1].shape[-1]
    columns = [slopes(rows, lambda n, j=j: of_term(n, j)) for j in range(-1, k)]  # type: ignore[misc]
    expected = dloss * np.stack(columns, axis=-1)
    return relative_gap(rows.gradients(dloss)[0], expected, abs(dloss) * largest_share(place))


# Generalized binary cross-entropy


def gbce_slopes(place: Place, rng: Rng) -> float:
    positive, negatives, beta = place.args[:3]
    k = negatives.shape[-1]

    def of_term(n: tuple[int, ...], j: int) -> float:
        term = -beta * sigmoid(-float(positive[n])) if j < 0 else sigmoid(float(negatives[(*n, j)]))
        return term / (k + 1)

    return by_hand(place, -0.7, of_term)


def linear_in_beta(place: Place, rng: Rng) -> float:
    """L(β) = L(0) + β (L(1) − L(0))."""
    positive, negatives, beta, *weight = place.args
    zero, one = place(positive, negatives, 0.0, *weight), place(positive, negatives, 1.0, *weight)
    return relative_gap(place(*place.args), zero + beta * (one - zero), (1.0 + beta) * size(place))


def mirrored_for_one_negative(place: Place, rng: Rng) -> float:
    """β = 1: −s⁻ as the positive and −s⁺ as the negative give the same loss and the slopes' negatives."""
    positive, negatives, _, *weight = place.args
    args = (positive, negatives[..., :1], 1.0, *weight)
    mirror = (-negatives[..., 0], -positive[..., None], 1.0, *weight)
    (dpositive, dnegatives), (dp, dn) = place.gradients(1.3, *args), place.gradients(1.3, *mirror)
    return max(
        relative_gap(place(*mirror), place(*args), size(place)),
        relative_gap(dp, -dnegatives[..., 0], largest_share(place)),
        relative_gap(dn, -dpositive[..., None], largest_share(place)),
    )


def gbce_hardly_surprised(place: Place, rng: Rng) -> float:
    """Scores 40 on the right side of 0: every term is e^{−40}, in the loss and in the slopes."""
    small = math.exp(-40.0)
    args = (np.array([40.0]), np.array([[-40.0, -40.0]]), 0.25)
    loss, (dpositive, dnegatives) = weighted.run(place, args, 1.0)
    expected = (2.25 * small / 3, -0.25 * small / 3 * np.ones(1), small / 3 * np.ones((1, 2)))
    return relative_gap((loss, dpositive, dnegatives), expected)


def between_one_and_alpha(place: Place, rng: Rng) -> float:
    """t = 0 gives 1, t = 1 gives α = k / (I − 1), and β is linear between them."""
    k, n_items, t = place.args
    first, last = place(k, n_items, 0.0), place(k, n_items, 1.0)
    return max(
        relative_gap(first, 1.0),
        relative_gap(last, k / (n_items - 1)),
        relative_gap(place(*place.args), (1 - t) * first + t * last),
    )


def calibrated_at_one(place: Place, rng: Rng) -> float:
    """t = 1: an item taken with probability p is drawn as a negative α times as often as it is not taken, so
    β p (1 − σ(s)) = α (1 − p) σ(s), the slope's zero, lies at σ(s) = p.
    """
    k, n_items, _ = place.args
    p = rng.random()
    beta, alpha = place(k, n_items, 1.0), k / (n_items - 1)
    return relative_gap(beta * p / (beta * p + alpha * (1 - p)), p)


# Sampled softmax


def sampled_softmax_slopes(place: Place, rng: Rng) -> float:
    """w / Σ w times the probability of each kept negative; for the positive, its own less 1."""
    positive, negatives = place.args[:2]
    keep = np.ones(negatives.shape, dtype=bool) if third(place) is None else third(place)

    def of_term(n: tuple[int, ...], j: int) -> float:
        kept = [float(negatives[(*n, i)]) for i in range(negatives.shape[-1]) if keep[(*n, i)]]
        top = max([float(positive[n]), *kept])
        total = math.exp(float(positive[n]) - top) + math.fsum(math.exp(x - top) for x in kept)
        if j < 0:  # without 1 − p, which has no digits where p is almost 1
            return -math.fsum(math.exp(x - top) for x in kept) / total
        return math.exp(float(negatives[(*n, j)]) - top) / total if keep[(*n, j)] else 0.0

    return by_hand(place, -0.7, of_term)


def a_shift_changes_nothing(place: Place, rng: Rng) -> float:
    positive, negatives, *rest = place.args
    shift = 10.0 * rng.standard_normal(positive.shape)
    moved = place(positive + shift, negatives + shift[..., None], *rest)
    return relative_gap(moved, place(*place.args), size(place) + float(np.abs(shift).max(initial=0.0)))


def slopes_sum_to_zero(place: Place, rng: Rng) -> float:
    total = as_rows(place).gradients(1.0)[0].sum(axis=-1)
    return relative_gap(total, np.zeros(total.shape), largest_share(place))


def masked_ones_are_not_there(place: Place, rng: Rng) -> float | None:
    """Whatever stands where the mask is False, not one bit changes, and the slope there is 0."""
    if third(place) is None:
        return None
    positive, negatives, keep, *weight = place.args
    dloss, gaps = rng.standard_normal(), []
    loss, gradients = weighted.run(place, place.args, dloss)
    for bad in (np.nan, np.inf, -np.inf, 1e9):
        found, of_found = weighted.run(
            place, (positive, np.where(keep, negatives, bad), keep, *weight), dloss
        )
        gaps += [relative_gap(found, loss), *map(relative_gap, of_found, gradients)]
    return max(*gaps, float(np.abs(gradients[1][~keep]).max(initial=0.0)))


def nothing_left_costs_nothing(place: Place, rng: Rng) -> float:
    positive, negatives, *rest = place.args
    none = np.zeros(negatives.shape, dtype=bool)
    loss, gradients = weighted.run(place, (positive, negatives, none, *rest[1:]), 1.3)
    return max(abs(float(loss)), *(float(np.abs(g).max(initial=0.0)) for g in gradients))


def one_negative_is_bpr(place: Place, rng: Rng) -> float:
    """The mean of −log σ(s⁺ − s⁻) = log(1 + e^d), d = s⁻ − s⁺."""
    positive, negatives, *rest = place.args
    share, d = weighted.shares(as_rows(place)), negatives[..., 0] - positive
    expected = math.fsum(
        float(share[n]) * (max(float(d[n]), 0.0) + math.log1p(math.exp(-abs(float(d[n])))))
        for n in np.ndindex(*d.shape)
        if share[n] > 0
    )
    keep = np.ones((*d.shape, 1), dtype=bool)
    return relative_gap(place(positive, negatives[..., :1], keep, *rest[1:]), expected, size(place))


def softmax_hardly_surprised(place: Place, rng: Rng) -> float:
    """Two negatives 40 below the positive: the loss is 2 e^{−40} to all digits, and so is the slope."""
    small = math.exp(-40.0)
    loss, gradients = weighted.run(place, (np.array([40.0]), np.zeros((1, 2))), 1.0)
    return relative_gap((loss, *gradients), (2 * small, np.array([-2 * small]), np.full((1, 2), small)))
