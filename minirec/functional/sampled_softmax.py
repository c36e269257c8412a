"""Sampled softmax: cross-entropy of the item taken against itself and k others, drawn instead of all items.

L = −Σ w log(e^{s⁺} / (e^{s⁺} + Σ_j e^{s⁻_j})) / Σ w

With all other items as negatives it is the softmax over the catalogue, with a single one it is BPR. Source:
Klenitskiy & Vasilev 2023, who like us do not correct for how seldom a negative is drawn.
"""

from typing import Any, NamedTuple

import numpy as np

from minirec.functional import reductions
from minirec.functional.arguments import Array, check_mask, check_same_shape, counted, floats, shares


class SampledSoftmaxCache(NamedTuple):
    q: Array  # (..., k), the probability of each negative
    share: Any  # (...) or a number, w / Σ w


def sampled_softmax_forward(
    positive: Array, negatives: Array, keep: Array | None = None, weight: Array | None = None
) -> tuple[Any, SampledSoftmaxCache]:
    """L = mean of log(1 + Σ_j e^{d_j}) over the kept j,    d_j = s⁻_j − s⁺.

    positive s⁺, weight (...), negatives s⁻, keep (..., k)  ->  a number
    keep is False for a negative that does not count in its row, as where a shared negative is the item taken.
    """
    check_same_shape("positive and negatives without the last axis", positive, negatives[..., 0])
    if keep is not None:
        check_mask(keep, negatives.shape)
    positive, negatives = floats(positive), floats(negatives)
    share = shares(weight, positive)
    if weight is not None:
        positive, negatives = counted(share, positive), counted(share[..., None], negatives)
    d = negatives - positive[..., None]
    if keep is not None:
        d = np.where(keep, d, d.dtype.type(-np.inf))
    peak = np.maximum(reductions.row_maxima(d.real), 0)  # (..., 1), the largest exponent; that of s⁺ is 0
    e = np.exp(d - peak)  # (..., k)
    others = reductions.row_sums(e)  # (..., 1)
    total = others + np.exp(-peak)
    # Where s⁺ is the largest, log1p keeps the digits of a loss that is almost 0.
    ell = np.where(peak == 0, np.log1p(others), peak + np.log(total))[..., 0]
    e /= total
    return (share * ell).sum(), SampledSoftmaxCache(e, share)


def sampled_softmax_backward(dloss: Any, cache: SampledSoftmaxCache) -> tuple[Array, Array]:
    """dnegatives = dL · w q / Σ w,    dpositive = −Σ_j dnegatives_j,    q = e^{s⁻} / (e^{s⁺} + Σ e^{s⁻})"""
    dnegatives = cache.q.copy()
    dnegatives *= np.asarray(dloss * cache.share)[..., None]
    return -reductions.row_sums(dnegatives)[..., 0], dnegatives
