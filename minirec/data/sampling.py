"""Negative sampling: items that a user has not met, as the contrast that ranking losses learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirec.data.matrix import InteractionMatrix, as_indices

Array = NDArray[Any]


def sample_negatives(rng: np.random.Generator | int, users: Array, n: int, seen: InteractionMatrix) -> Array:
    """(B, n) items for `users` (B,), each uniform over the items that the user has no entry for in `seen`.

    The draws are independent, so an item may occur twice in a row. A rank among the unseen items is drawn and
    turned into the item of that rank. So nothing is ever rejected: also a user who has seen all items but one
    costs one draw.
    Raises ValueError for a user who has seen every item, and for n < 0; IndexError for an unknown user.
    """
    if n < 0:
        raise ValueError(f"n = {n} negatives per user: at least 0")
    users = as_indices("user", users, seen.shape[0])
    unseen = seen.shape[1] - seen.row_counts()[users]
    if np.any(unseen == 0):
        full, items = users[np.argmin(unseen)], seen.shape[1]
        raise ValueError(f"user {full} has seen all {items} items, no negative is left: leave this user out")
    ranks = np.random.default_rng(rng).integers(0, unseen[:, None], size=(len(users), n))
    return seen.absent_columns(users[:, None], ranks)
