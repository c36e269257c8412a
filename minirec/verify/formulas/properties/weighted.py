"""What every loss that is a mean over the total weight must keep, whatever it measures.

Such a loss takes (first, second) or (first, second, weight), and `second` has one entry for each term of the
mean. The entries of the losses in losses.py share these properties.
"""

from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Place, Property, Rng, relative_gap


def shares(place: Place) -> Array:
    """What each term counts: weight / Σ weight, or 1 / n; all 0 where the total is 0."""
    terms = place.args[1]
    w = np.broadcast_to(place.args[2] if len(place.args) > 2 else 1.0, terms.shape)
    total = w.sum()
    return w / total if total > 0 else np.zeros(terms.shape)


def size(place: Place) -> float | None:
    """What gaps of the loss are relative to; None: to the loss itself.

    Over classes the loss is the logarithm of a rounded sum: its error is not small beside a tiny loss, but
    beside 1 and the logits.
    """
    first, second = place.args[:2]
    return 1.0 + float(np.abs(first).max(initial=0.0)) if first.ndim > second.ndim else None


def slope(place: Place, dloss: float) -> float:
    """What gaps of a gradient are relative to: the largest that one term could have at such arguments."""
    first, second = (np.abs(a).max(initial=0.0) for a in place.args[:2])
    bounded = place.args[0].ndim > place.args[1].ndim
    return float(abs(dloss) * shares(place).max(initial=0.0) * (1.0 if bounded else 1.0 + first + second))


def run(place: Place, args: tuple[Any, ...], dloss: float) -> tuple[Any, list[Array]]:
    """The loss and its gradients at other arguments."""
    return place(*args), place.gradients(dloss, *args)


def never_negative(place: Place, rng: Rng) -> float:
    loss = float(place(*place.args))
    return 0.0 if loss >= 0 else abs(loss)


def removed(place: Place, rng: Rng) -> float | None:
    """The rows that are left, alone: the same loss, the same gradients, and 0 for the others."""
    if len(place.args) < 3:
        return None
    first, second, weight = place.args
    w, dloss = np.broadcast_to(weight, second.shape), rng.standard_normal()
    keep = w > 0
    if keep.all():
        return None
    loss, gradients = run(place, place.args, dloss)
    less, of_less = run(place, (first[keep], second[keep], w[keep]), dloss)
    if any(g[~keep].any() for g in gradients):
        return float("inf")
    scale = slope(place, dloss)
    pairs = zip(gradients, of_less, strict=True)
    return max(relative_gap(loss, less, size(place)), *(relative_gap(a[keep], b, scale) for a, b in pairs))


def no_influence(place: Place, rng: Rng) -> float | None:
    """NaN, infinities and, as the target of a class, −1, where the weight is 0: not one bit changes."""
    if len(place.args) < 3:
        return None
    first, second, weight = place.args
    gone = np.broadcast_to(weight, second.shape) == 0
    if not gone.any():
        return None
    dloss, gaps = rng.standard_normal(), []
    loss, gradients = run(place, place.args, dloss)
    for bad in (np.nan, np.inf, -np.inf):
        other, spoiled = np.array(first), np.array(second)
        other[gone], spoiled[gone] = bad, bad if second.dtype.kind == "f" else -1
        found, of_found = run(place, (other, spoiled, weight), dloss)
        gaps += [relative_gap(found, loss), *map(relative_gap, of_found, gradients)]
    return max(gaps)


def all_zero_gives_zero(place: Place, rng: Rng) -> float:
    first, second = place.args[:2]
    loss, gradients = run(place, (first, second, np.zeros(second.shape)), rng.standard_normal())
    return max(abs(float(loss)), *(float(np.abs(g).max(initial=0.0)) for g in gradients))


def proportions(place: Place, rng: Rng) -> float | None:
    """Eight times the weights: the same bits."""
    if len(place.args) < 3:
        return None
    first, second, weight = place.args
    dloss = rng.standard_normal()
    loss, gradients = run(place, place.args, dloss)
    same, of_same = run(place, (first, second, 8 * weight), dloss)
    return max(relative_gap(same, loss), *map(relative_gap, of_same, gradients))


def equal_weights(place: Place, rng: Rng) -> float | None:
    if len(place.args) > 2:
        return None
    dloss, scale = rng.standard_normal(), slope(place, 1.0)
    loss, gradients = run(place, place.args, dloss)
    same, of_same = run(place, (*place.args, np.full(place.args[1].shape, 3.0)), dloss)
    pairs = zip(of_same, gradients, strict=True)
    return max(relative_gap(same, loss, size(place)), *(relative_gap(a, b, scale) for a, b in pairs))


def shards(place: Place, rng: Rng) -> float | None:
    """Two parts of the rows, each with its share of the weight as upstream: losses and gradients add up."""
    n, dloss, share = len(np.atleast_1d(place.args[1])), rng.standard_normal(), shares(place)
    if n < 2 or not share.any():
        return None
    weight = [np.broadcast_to(w, share.shape) for w in place.args[2:]]
    loss, gradients = run(place, place.args, dloss)
    total, parts = 0.0, []
    for rows in (slice(0, n // 3 + 1), slice(n // 3 + 1, n)):
        of_shard = float(share[rows].sum())
        part = tuple(a[rows] for a in (*place.args[:2], *weight))
        value, grads = run(place, part, dloss * of_shard)
        total += of_shard * float(value)
        parts.append(grads)
    scale = slope(place, dloss)
    joined = [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
    pairs = zip(joined, gradients, strict=True)
    return max(relative_gap(total, loss, size(place)), *(relative_gap(a, b, scale) for a, b in pairs))


def one_long_batch(place: Place, rng: Rng) -> float | None:
    """Leading axes laid end to end: the same loss and the same gradients."""
    first, second, *weight = place.args
    if second.ndim < 2:
        return None
    flat = (first.reshape(second.size, *first.shape[second.ndim :]), second.reshape(-1))
    flat += tuple(np.broadcast_to(w, second.shape).reshape(-1) for w in weight)
    dloss, scale = rng.standard_normal(), slope(place, 1.0)
    loss, gradients = run(place, place.args, dloss)
    found, of_found = run(place, flat, dloss)
    pairs = zip(of_found, gradients, strict=True)
    gaps = [relative_gap(a.reshape(b.shape), b, scale) for a, b in pairs]
    return max(relative_gap(found, loss, size(place)), *gaps)


PROPERTIES = (
    Property("never negative", never_negative, 0.0),
    Property("the same with terms of weight 0 removed", removed, 1e-14),
    Property("blind to whatever has weight 0", no_influence, 0.0),
    Property("0 where all weights are 0", all_zero_gives_zero, 0.0),
    Property("a function of the proportions of the weights", proportions, 0.0),
    Property("the mean where all weights are equal", equal_weights, 1e-14),
    Property("the sum of its shards", shards, 1e-14),
    Property("the same for one long batch", one_long_batch, 1e-14),
)
