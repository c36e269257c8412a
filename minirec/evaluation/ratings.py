"""How far predicted ratings are from true ones: RMSE and MAE with intervals over users."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirec import metrics as M
from minirec.data.interactions import Interactions
from minirec.evaluation import significance


class RatingEvaluation(NamedTuple):
    """How far predicted ratings are from true ones, with 95 % bootstrap intervals over users."""

    rmse: float
    mae: float
    n: int  # ratings
    rmse_interval: tuple[float, float]
    mae_interval: tuple[float, float]
    protocol: str


def evaluate_ratings(model: Any, test: Interactions) -> RatingEvaluation:
    """RMSE and MAE of `model.predict(users, items) -> (N,)`, internal indices, on the ratings of `test`.

    The intervals resample users with all their ratings, since the errors of one user are not independent.
    Raises ValueError if `test` has no ratings or is empty, or if a prediction is not finite.
    """
    if test.ratings is None or len(test) == 0:
        raise ValueError(f"RMSE needs ratings, and the test part has none ({len(test)} interactions)")
    prediction = np.asarray(model.predict(test.users, test.items), dtype=np.float64)
    rmse, mae = M.rmse(prediction, test.ratings), M.mae(prediction, test.ratings)
    error = prediction - test.ratings
    rows, user = np.unique(test.users, return_inverse=True)
    per_user = [np.bincount(user), np.bincount(user, np.abs(error)), np.bincount(user, error**2)]
    n, absolute, square = significance.bootstrap_means(np.stack(per_user, axis=1)).T
    return RatingEvaluation(
        rmse,
        mae,
        len(test),
        significance.interval(np.sqrt(square / n)),
        significance.interval(absolute / n),
        f"{len(test)} held-out ratings of {len(rows)} users, 95 % bootstrap intervals over users",
    )
