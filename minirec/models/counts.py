"""What counted models count: pairs, and how many users two items share. All from sparse rows."""

import numpy as np

from minirec.data.matrix import InteractionMatrix
from minirec.functional import Array
from minirec.models.base import Recommender


def pair_counts(rows: Array, columns: Array, shape: tuple[int, int]) -> InteractionMatrix:
    """N (R, C): N[i, j] = how often the pair (i, j) is in the list. Stored are only the pairs that occur."""
    pairs, counts = np.unique(rows * np.int64(shape[1]) + columns, return_counts=True)
    starts = np.searchsorted(pairs, np.arange(shape[0] + 1) * shape[1])
    return InteractionMatrix(starts, pairs % shape[1], counts, shape)


def co_occurrences(R: InteractionMatrix, i: int) -> Array:
    """(I,) |U_i ∩ U_j|, how many users met both items, for every j. Entry i is n_i, the users of item i."""
    met = [R.row(u)[0] for u in R.T.row(i)[0]]  # the items of each user who met i
    return np.bincount(np.concatenate(met) if met else [], minlength=R.shape[1])


def require_room(model: Recommender, n_items: int, max_items: int, squares: int, advice: str) -> None:
    """Raise a ValueError before `squares` arrays (I, I) are made for more than `max_items` items."""
    if n_items > max_items:
        raise ValueError(
            f"{type(model).__name__} needs {squares * 8 * n_items**2 / 2**30:,.1f} GiB for {n_items:,} x "
            f"{n_items:,} numbers, and max_items allows {max_items:,} items: {advice}, or raise max_items"
        )
