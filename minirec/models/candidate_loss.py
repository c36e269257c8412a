"""The losses of a list of candidates, as a pair: column 0 is the item that was taken, the others were not.

Used by TransformerRecommender; each is one of the losses in `minirec.functional` on the right columns.
"""

from typing import Any, NamedTuple

import numpy as np

from minirec import functional as F
from minirec.functional import Array

LOSSES = ("softmax", "bce", "bpr", "squared")


class CandidateLossCache(NamedTuple):
    loss: str
    scores: Array  # (B, C)
    of_loss: Any


def candidate_loss_forward(
    loss: str, scores: Array, ratings: Array | None = None
) -> tuple[Any, CandidateLossCache]:
    """One number from scores (B, C), where column 0 is the item that was taken and the others were not.

    softmax: cross-entropy of column 0.  bce: column 0 is 1, the rest 0.  bpr: column 0 above every other.
    squared: the error of column 0 as a prediction of `ratings` (B,), which have the mean removed.
    """
    B, C = scores.shape
    cache: Any
    if loss == "softmax":
        value, cache = F.cross_entropy_forward(scores, np.zeros(B, dtype=np.int64))
    elif loss == "bce":
        targets = np.zeros(scores.shape, dtype=scores.real.dtype)
        targets[:, 0] = 1.0
        value, cache = F.binary_cross_entropy_forward(scores, targets)
    elif loss == "bpr":
        value, cache = F.bpr_forward(np.broadcast_to(scores[:, :1], (B, C - 1)), scores[:, 1:])
    else:
        if ratings is None:
            raise ValueError('loss="squared" needs ratings')
        value, cache = F.squared_error_forward(scores[:, 0], ratings)
    return value, CandidateLossCache(loss, scores, cache)


def candidate_loss_backward(dloss: Any, cache: CandidateLossCache) -> Array:
    """dscores (B, C)"""
    loss, scores, of_loss = cache
    if loss == "softmax":
        return F.cross_entropy_backward(dloss, of_loss)
    if loss == "bce":
        return F.binary_cross_entropy_backward(dloss, of_loss)
    dscores = np.zeros_like(scores)
    if loss == "bpr":
        dpositive, dscores[:, 1:] = F.bpr_backward(dloss, of_loss)
        dscores[:, 0] = dpositive.sum(axis=1)  # column 0 was compared with every other column
    else:
        dscores[:, 0] = F.squared_error_backward(dloss, of_loss)
    return dscores
