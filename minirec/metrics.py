"""Ranking and rating metrics: precision, recall, NDCG and their family, from NumPy alone.

Every ranking metric is the exact expectation over all orders of tied items, so a scorer that gives each item
the same score gets what chance gives, wherever the relevant item stands in the list. Only two numbers per
relevant item are needed for that: how many candidates score higher, and how many score the same.

What all of them do with unusual input: a score of -inf means "not a candidate", and a relevant item that is
not a candidate is never found but still counts in |R|. NaN and +inf are errors. No relevant item, an item
twice, an index outside 0 .. I - 1 and k < 1 are errors. k may be larger than the number of candidates.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FEW = 8  # relevant items: up to here it is faster to count for each of them than to sort all scores


class Placement(NamedTuple):
    """Where R relevant items stand: each rank is uniform on better + 1 .. better + tied."""

    better: Array  # (R,) candidates with a higher score
    tied: Array  # (R,) items with the same score, the item itself included
    candidates: int  # n; an item that is not a candidate has better = n, so its rank is beyond any cut-off


def placement(scores: Array, relevant: Sequence[int] | Array) -> Placement:
    """The placement of `relevant` (R,), item indices, in the ranking by `scores` (I,), highest first.

    Raises ValueError for NaN or +inf scores, no relevant item and duplicates, IndexError for an item outside
    0 .. I - 1, TypeError for indices that are not integers.
    """
    scores = np.asarray(scores)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"scores must be one number per item, shape (I,), got shape {scores.shape}")
    if not scores.max() < np.inf:  # NaN passes through max
        i = int(np.flatnonzero(~(scores < np.inf))[0])
        raise ValueError(f"scores[{i}] = {scores[i]}: give a finite number, or -inf for not a candidate")
    relevant = _check_relevant(relevant, len(scores))
    candidates = int(np.count_nonzero(scores > -np.inf))
    if len(relevant) <= FEW:
        better = np.array([np.count_nonzero(scores > own) for own in scores[relevant]])
        return Placement(
            better, np.array([np.count_nonzero(scores == own) for own in scores[relevant]]), candidates
        )
    ordered = np.sort(scores)
    left = ordered.searchsorted(scores[relevant], "left")
    right = ordered.searchsorted(scores[relevant], "right")
    return Placement(len(scores) - right, right - left, candidates)


def precision(scores: Array, relevant: Sequence[int] | Array, k: int) -> float:
    """Relevant items among the first k, over k."""
    place, k, _ = _prepare(scores, relevant, k)
    return min(1.0, float(_found(place, k).sum()) / k)  # rounding can end one unit above 1


def recall(scores: Array, relevant: Sequence[int] | Array, k: int) -> float:
    """Relevant items among the first k, over |R|."""
    place, k, _ = _prepare(scores, relevant, k)
    return float(_found(place, k).mean())


def hit_rate(scores: Array, relevant: Sequence[int] | Array, k: int) -> float:
    """1 if any of the first k is relevant, else 0; under ties the probability of that.

    Only the best block of equal scores that holds a relevant item matters: with b candidates above it, t in
    it, r of them relevant, P(none in the first m = k - b places) = Π_{i<m} (t - r - i) / (t - i).
    """
    place, k, limit = _prepare(scores, relevant, k)
    _, survival, _ = _first_hit(place, limit)
    return 1.0 - float(survival[-1])


def mrr(scores: Array, relevant: Sequence[int] | Array, k: int) -> float:
    """1 / rank of the first relevant item, 0 if that rank is beyond k.

    Under ties: Σ_j P(first = j) / (b + j), in the notation of `hit_rate`, where P(first = j) is
    P(none in the first j - 1 places) · r / (t - j + 1).
    """
    place, k, limit = _prepare(scores, relevant, k)
    better, survival, hazard = _first_hit(place, limit)
    rank = better + 1 + np.arange(len(hazard))
    return float((survival[:-1] * hazard / rank).sum())


def ndcg(
    scores: Array, relevant: Sequence[int] | Array, k: int, gains: Sequence[float] | Array | None = None
) -> float:
    """DCG over the ideal DCG, DCG = Σ gain / log2(rank + 1) over the first k (Järvelin & Kekäläinen 2002).

    The ideal is the best order of the min(|R|, k) largest gains. `gains` (R,) is one gain per relevant item,
    at least 0 and not all 0; None is a gain of 1 each. A gain is taken as it is, not as 2^gain - 1.
    DCG is linear in the discounts, so under ties each item gets the mean discount of its block.
    """
    place, k, limit = _prepare(scores, relevant, k)
    gain = np.ones(len(place.better)) if gains is None else _check_gains(gains, len(place.better))
    discount = _mean_over_block(place, limit, 1.0 / np.log2(np.arange(limit) + 2.0))
    best = np.sort(gain)[::-1][:k]
    ideal = (best / np.log2(np.arange(len(best)) + 2.0)).sum()
    return min(1.0, float((gain * discount).sum() / ideal))  # rounding can end one unit above 1


def map_at(scores: Array, relevant: Sequence[int] | Array, k: int) -> float:
    """Average precision: Σ over relevant ranks p <= k of (relevant items up to p) / p, over min(|R|, k).

    Under ties, for a block of t candidates, r of them relevant, below b candidates, h of them relevant: its
    place j holds a relevant item with probability r / t, and each of the j - 1 places before it then holds
    one with probability c = (r - 1) / (t - 1). So the block adds
    Σ_j (r / t) · (h + 1 + c (j - 1)) / (b + j)  =  (r / t) · ((h + 1 - c (b + 1)) Σ_j 1 / (b + j) + c n)
    over its n places j with b + j <= k.
    """
    place, k, limit = _prepare(scores, relevant, k)
    h, r = _relevant_above(place)
    c = (r - 1) / np.maximum(place.tied - 1, 1)
    inverse = _mean_over_block(place, limit, 1.0 / (np.arange(limit) + 1.0))
    share = _found(place, limit)
    terms = (h + 1 - c * (place.better + 1)) * inverse + c * share
    return min(1.0, float(terms.sum()) / min(len(terms), k))


def auc(scores: Array, relevant: Sequence[int] | Array) -> float:
    """The share of pairs (relevant item, other candidate) in the right order; a tied pair counts one half.

    A relevant item that is not a candidate loses all its pairs. Raises ValueError if every candidate is
    relevant: then there is no pair.
    """
    place = placement(scores, relevant)
    h, r = _relevant_above(place)
    inside = place.better < place.candidates
    others = place.candidates - int(inside.sum())
    if others == 0:
        raise ValueError("AUC needs a candidate that is not relevant: there is no pair to compare")
    above = place.better - h
    level = np.where(inside, place.tied - r, 0)
    return float((1.0 - (above + 0.5 * level) / others).mean())


def rmse(prediction: Array, truth: Array) -> float:
    """√ mean (prediction - truth)², in the unit of the ratings."""
    return float(np.sqrt((_errors(prediction, truth) ** 2).mean()))


def mae(prediction: Array, truth: Array) -> float:
    """mean |prediction - truth|, in the unit of the ratings."""
    return float(np.abs(_errors(prediction, truth)).mean())


def coverage(recommended: Iterable[Sequence[int] | Array], n_items: int) -> float:
    """Distinct recommended items over I; `recommended` holds one list of item indices per user."""
    if n_items < 1:
        raise ValueError(f"n_items = {n_items}: a catalogue has at least one item")
    return len(np.unique(_joined(recommended, n_items))) / n_items


def novelty(
    recommended: Iterable[Sequence[int] | Array], counts: Sequence[int] | Array, n_users: int
) -> float:
    """Mean over all recommended items of -log2(share of training users who have the item), in bits.

    `counts` (I,) is the number of training users of each item. An item that nobody has would be infinitely
    novel; it is counted as if one user had it, which gives log2(n_users), the most that any other can have.
    Source: mean self-information, Zhou et al. 2010. Raises ValueError if nothing is recommended.
    """
    counts = np.asarray(counts)
    if counts.ndim != 1 or (counts < 0).any() or (counts > n_users).any():
        raise ValueError(f"counts must be one number per item, 0 to n_users = {n_users}, got {counts}")
    items = _joined(recommended, len(counts))
    if len(items) == 0:
        raise ValueError("novelty needs at least one recommended item")
    return float(np.log2(n_users / np.maximum(counts[items], 1)).mean())


def _prepare(scores: Array, relevant: Sequence[int] | Array, k: int) -> tuple[Placement, int, int]:
    """The placement, k, and the number of ranks that count: min(k, candidates)."""
    if isinstance(k, bool | np.bool_):
        raise TypeError(f"k = {k}: k must be an integer, 1 or more")
    k = operator.index(k)
    if k < 1:
        raise ValueError(f"k = {k}: k must be 1 or more")
    place = placement(scores, relevant)
    return place, k, min(k, place.candidates)


def _check_relevant(relevant: Sequence[int] | Array, n_items: int) -> Array:
    relevant = np.asarray(relevant)
    if relevant.ndim != 1 or relevant.size == 0:
        raise ValueError(f"relevant must be a list of at least one item index, got shape {relevant.shape}")
    if not np.issubdtype(relevant.dtype, np.integer):
        raise TypeError(f"relevant must be item indices (integers), got dtype {relevant.dtype}")
    if relevant.min() < 0 or relevant.max() >= n_items:
        bad = relevant[(relevant < 0) | (relevant >= n_items)][0]
        raise IndexError(f"relevant holds item {bad}: allowed are 0 to {n_items - 1}")
    if len(relevant) > 1:
        ordered = np.sort(relevant)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if twice.size:
            raise ValueError(f"relevant holds item {twice[0]} more than once: give each item once")
    return relevant


def _check_gains(gains: Sequence[float] | Array, count: int) -> Array:
    gain = np.asarray(gains, dtype=np.float64)
    if gain.shape != (count,):
        raise ValueError(f"gains must be one per relevant item: {count}, got shape {gain.shape}")
    if not (np.isfinite(gain) & (gain >= 0)).all() or not gain.any():
        raise ValueError(f"gains must be finite, at least 0 and not all 0, got {gain}")
    return gain


def _found(place: Placement, limit: int) -> Array:
    """(R,) P(rank <= limit) of each relevant item."""
    return np.clip((np.minimum(limit, place.candidates) - place.better) / place.tied, 0.0, 1.0)


def _mean_over_block(place: Placement, limit: int, value: Array) -> Array:
    """(R,) the mean of `value` (limit,) over the ranks that the item can take; ranks beyond count as 0."""
    total = np.concatenate([[0.0], value.cumsum()])
    first, last = np.minimum(place.better, limit), np.minimum(place.better + place.tied, limit)
    return (total[last] - total[first]) / place.tied


def _relevant_above(place: Placement) -> tuple[Array, Array]:
    """(R,) relevant items with a higher score, and (R,) with the same score, the item itself included."""
    ordered = np.sort(place.better)
    above = ordered.searchsorted(place.better, "left")
    return above, ordered.searchsorted(place.better, "right") - above


def _first_hit(place: Placement, limit: int) -> tuple[int, Array, Array]:
    """For the best block that holds a relevant item: b; P(no hit in its first 0 .. m places), (m + 1,);
    P(hit at the next place given none so far), (m,); m is how many of its places are within the limit."""
    b = int(place.better.min())
    t = int(place.tied[place.better.argmin()])
    r = int((place.better == b).sum())
    left = t - np.arange(max(0, min(t, limit - b)))  # candidates of the block not yet placed
    hazard = r / left
    return b, np.concatenate([[1.0], np.cumprod((left - r) / left)]), hazard


def _errors(prediction: Array, truth: Array) -> Array:
    prediction, truth = np.asarray(prediction, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if prediction.shape != truth.shape or prediction.size == 0:
        raise ValueError(
            f"prediction and truth must have equal shapes and at least one entry, got {prediction.shape} "
            f"and {truth.shape}"
        )
    for name, values in (("prediction", prediction), ("truth", truth)):
        if not np.isfinite(values).all():
            i = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(f"{name}[{i}] = {values.flat[i]} is not finite")
    return prediction - truth


def _joined(recommended: Iterable[Sequence[int] | Array], n_items: int) -> Array:
    lists = [np.asarray(row) for row in recommended]
    for user, row in enumerate(lists):
        if row.size and not np.issubdtype(row.dtype, np.integer):
            raise TypeError(f"recommended[{user}] must be item indices (integers), got dtype {row.dtype}")
        if row.size and (row.min() < 0 or row.max() >= n_items):
            raise IndexError(f"recommended[{user}] = {row}: allowed are items 0 to {n_items - 1}")
    return np.concatenate([np.zeros(0, dtype=np.int64), *(row.astype(np.int64).ravel() for row in lists)])
