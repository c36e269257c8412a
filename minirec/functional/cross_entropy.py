"""Cross-entropy over C classes (items): how surprised is the softmax by the item that was really taken?

L = −Σ w log p[target] / Σ w,    p = softmax(logits)
"""

from typing import Any, NamedTuple

import numpy as np

from minirec.functional import log_softmax
from minirec.functional.arguments import Array, check_ids, check_same_shape, counted, shares


class CrossEntropyCache(NamedTuple):
    log_p: Array  # (..., C)
    targets: Array  # (...), integers
    share: Any  # (...) or a number, w / Σ w


def cross_entropy_forward(
    logits: Array, targets: Array, weight: Array | None = None
) -> tuple[Any, CrossEntropyCache]:
    """L = −Σ w log p[target] / Σ w.    logits (..., C), targets, weight (...)  ->  number

    Raises TypeError for targets that are no integers, IndexError outside 0 .. C − 1 where weight is not 0.
    """
    check_same_shape("logits without the last axis and targets", logits[..., 0], targets)
    share = shares(weight, logits[..., 0])
    if weight is not None:
        logits, targets = counted(share[..., None], logits), counted(share, targets)
    check_ids("targets", targets, logits.shape[-1])
    log_p, _ = log_softmax.log_softmax_forward(logits)
    ell = -np.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0]  # (...)
    return (share * ell).sum(), CrossEntropyCache(log_p, targets, share)


def cross_entropy_backward(dloss: Any, cache: CrossEntropyCache) -> Array:
    """dlogits = dL · w (p − onehot(target)) / Σ w"""
    log_p, targets, share = cache
    dlogits = np.exp(log_p)
    at_target = np.take_along_axis(dlogits, targets[..., None], axis=-1)
    np.put_along_axis(dlogits, targets[..., None], at_target - 1.0, axis=-1)
    dlogits *= dloss * np.asarray(share)[..., None]
    return dlogits
