"""The squared error, the loss for ratings.

L = Σ w (prediction − target)² / Σ w
"""

from typing import Any, NamedTuple

from minirec.functional.arguments import Array, check_same_shape, counted, precision, shares


class SquaredErrorCache(NamedTuple):
    error: Array  # (...), prediction − target
    share: Any  # (...) or a number, w / Σ w


def squared_error_forward(
    prediction: Array, target: Array, weight: Array | None = None
) -> tuple[Any, SquaredErrorCache]:
    """L = Σ w (prediction − target)² / Σ w.    prediction, target, weight (...) -> number; no weight: mean"""
    check_same_shape("prediction and target", prediction, target)
    # Whole numbers as targets would turn a float32 loss into float64.
    target = target.astype(precision(prediction), copy=False)
    share = shares(weight, prediction)
    error = counted(share, prediction) - counted(share, target)
    return (share * error * error).sum(), SquaredErrorCache(error, share)


def squared_error_backward(dloss: Any, cache: SquaredErrorCache) -> Array:
    """dprediction = dL · 2 w (prediction − target) / Σ w"""
    return (dloss * 2.0 * cache.share * cache.error).astype(cache.error.dtype, copy=False)
