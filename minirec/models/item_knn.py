"""ItemKNN: who took this also took that. Two items are near when many users met both of them.

    s_ij = |U_i ∩ U_j| / (√(n_i n_j) + shrink),    s_ii = 0,    score(u, i) = Σ_{j ∈ N_u} s_ij

U_i are the n_i users who met item i, N_u the items of user u. Source: Sarwar et al. 2001 (item-based
neighbors), with the cosine of binary columns; the shrinkage is that of Bell & Koren 2007.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from minirec import evaluation
from minirec.data.interactions import Interactions
from minirec.data.matrix import InteractionMatrix
from minirec.functional import Array
from minirec.models.base import Recommender, keeps_the_old_model, refuse_checkpoint
from minirec.models.counts import co_occurrences, require_room


def cosine_similarities(R: InteractionMatrix, n: Array, i: int, shrink: float = 0.0) -> Array:
    """(I,) s_ij = |U_i ∩ U_j| / (√(n_i n_j) + shrink) for every j; 0 for j = i and for items nobody met.

    n (I,) is `R.column_counts()`: how many users met each item
    """
    together = co_occurrences(R, i).astype(np.float64)
    together[i] = 0.0
    s = np.zeros(len(n))
    near = np.flatnonzero(together)
    s[near] = together[near] / (np.sqrt(n[i] * n[near].astype(np.float64)) + shrink)
    return s


class ItemKNN(Recommender):
    """`ItemKNN(shrink=0.0, neighbors=None)`: the sum of an item's similarities to the items of the history.

    shrink      added to the denominator: similarities that few users speak for become smaller
    neighbors   K: only the K items that are nearest to an item count for its score (those with s > 0; ties by
                index). None: all
    max_items   with neighbors=None the similarities are I x I numbers in float64 (3 GiB for 20,000 items):
                `fit` refuses more items than this. With a K they are I x K pairs, for any number of items

    Data are sets here: a repeated interaction counts once, ratings are not read. An empty history scores 0
    everywhere.
    """

    uses_histories = True
    uses_rng = False

    S: Array  # (I, I) similarities; neighbors=None
    neighbor_items: Array  # (I, K) the nearest of each item, best first; otherwise
    neighbor_weights: Array  # (I, K) and their similarities, 0 where there are fewer

    def __init__(self, shrink: float = 0.0, neighbors: int | None = None, *, max_items: int = 20_000) -> None:
        if not 0 <= shrink < np.inf:
            raise ValueError(f"shrink must be at least 0 and finite, got {shrink}")
        if neighbors is not None and neighbors < 1:
            raise ValueError(f"neighbors must be at least 1, or None for all, got {neighbors}")
        if max_items < 1:
            raise ValueError(f"max_items must be at least 1, got {max_items}")
        self.shrink, self.neighbors, self.max_items = shrink, neighbors, max_items

    @keeps_the_old_model
    def fit(
        self,
        train: Interactions,
        *,
        valid: Interactions | None = None,
        rng: np.random.Generator | int | None = None,
        progress: bool = True,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Count in closed form: `valid` and `rng` change nothing."""
        refuse_checkpoint(self, checkpoint, "counts once and has no epochs")
        self.remember(train)
        R, n_items = train.matrix(), train.n_items
        n = R.column_counts()
        if self.neighbors is None:
            require_room(self, n_items, self.max_items, 1, "give a number of neighbors")
            self.S = np.zeros((n_items, n_items))
            for i in range(n_items):
                self.S[i] = cosine_similarities(R, n, i, self.shrink)
            return self
        shape = n_items, min(self.neighbors, n_items)
        self.neighbor_items, self.neighbor_weights = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        for i in range(n_items):
            s = cosine_similarities(R, n, i, self.shrink)
            nearest = evaluation.top_k(s, shape[1])
            self.neighbor_items[i], self.neighbor_weights[i] = nearest, s[nearest]
        return self

    def score(self, users: Array, items: Array | None = None) -> Array:
        return self.score_histories([self.histories[u] for u in self.check_users(users)], items)

    def score_histories(self, histories: Sequence[Array], items: Array | None = None) -> Array:
        histories = self.check_histories(histories)
        scores = np.zeros((len(histories), self.n_items))
        for row, history in zip(scores, histories, strict=True):
            if self.neighbors is None:
                row[:] = self.S[np.unique(history)].sum(axis=0)  # S is symmetric: its rows are contiguous
            else:
                met = np.zeros(self.n_items)
                met[history] = 1.0
                row[:] = (self.neighbor_weights * met[self.neighbor_items]).sum(axis=1)
        return self.pick(scores, items)

    def settings(self) -> dict[str, Any]:
        return {"shrink": self.shrink, "neighbors": self.neighbors, "max_items": self.max_items}

    def state(self) -> dict[str, Array]:
        if self.neighbors is None:
            return {"S": self.S}
        return {"neighbor_weights": self.neighbor_weights, "neighbor_items": self.neighbor_items}

    def load_state(self, state: dict[str, Array]) -> None:
        I = self.n_items
        if self.neighbors is None:
            self.S = state["S"]
            if self.S.shape != (I, I):
                raise ValueError(f"S has shape {self.S.shape}, expected {(I, I)}")
            return
        shape = I, min(self.neighbors, I)
        for name in ("neighbor_weights", "neighbor_items"):
            if state[name].shape != shape:
                raise ValueError(f"{name} has shape {state[name].shape}, expected {shape}")
            setattr(self, name, state[name])
        self.check_items(self.neighbor_items)
