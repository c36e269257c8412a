"""EASE: each item as a weighted sum of the others, by ridge regression in closed form. Often hard to beat.

    minimize ‖X − X B‖² + λ‖B‖²  with  B_ii = 0:    P = (Xᵀ X + λ I)⁻¹,  B_ij = −P_ij / P_jj,  scores X B

X (U, I) is 1 where a user met an item, else 0. Source: Steck 2019, "Embarrassingly shallow autoencoders for
sparse data", equations 1 and 8.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from minirec.data.interactions import Interactions
from minirec.functional import Array
from minirec.models.base import Recommender, keeps_the_old_model, refuse_checkpoint
from minirec.models.counts import co_occurrences, require_room


def ease_weights(G: Array, reg: float) -> Array:
    """B (I, I) from G = Xᵀ X:  P = (G + λ I)⁻¹,  B_ij = −P_ij / P_jj,  B_ii = 0.    λ = reg > 0"""
    regularized = G.copy()
    regularized.flat[:: len(G) + 1] += reg  # the diagonal
    B = np.linalg.inv(regularized)
    B /= -np.diag(B)  # by column
    np.fill_diagonal(B, 0.0)
    return B


class EASE(Recommender):
    """`EASE(reg=200.0)`: the score of an item is the sum of its weights B_ji over the items j of the history.

    reg         λ, above 0
    max_items   B has I x I numbers in float64, and `fit` holds five such arrays for a while (5.4 GiB for
                12,000 items): it refuses more items than this

    Data are sets here: a repeated interaction counts once, ratings are not read. An empty history scores 0
    everywhere.
    """

    uses_histories = True
    uses_rng = False

    B: Array  # (I, I)

    def __init__(self, reg: float = 200.0, *, max_items: int = 12_000) -> None:
        if not 0 < reg < np.inf:
            raise ValueError(
                f"reg must be above 0 and finite, got {reg}: without it the inverse need not exist"
            )
        if max_items < 1:
            raise ValueError(f"max_items must be at least 1, got {max_items}")
        self.reg, self.max_items = reg, max_items

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
        """Solve in closed form: `valid` and `rng` change nothing."""
        refuse_checkpoint(self, checkpoint, "is solved at once and has no epochs")
        self.remember(train)
        R, n_items = train.matrix(), train.n_items
        require_room(self, n_items, self.max_items, 5, "take ItemKNN with a number of neighbors")
        G = np.zeros((n_items, n_items))
        for i in range(n_items):
            G[i] = co_occurrences(R, i)
        self.B = ease_weights(G, self.reg)
        return self

    def score(self, users: Array, items: Array | None = None) -> Array:
        return self.score_histories([self.histories[u] for u in self.check_users(users)], items)

    def score_histories(self, histories: Sequence[Array], items: Array | None = None) -> Array:
        histories = self.check_histories(histories)
        scores = np.zeros((len(histories), self.n_items))
        for row, history in zip(scores, histories, strict=True):
            row[:] = self.B[np.unique(history)].sum(axis=0)
        return self.pick(scores, items)

    def settings(self) -> dict[str, Any]:
        return {"reg": self.reg, "max_items": self.max_items}

    def state(self) -> dict[str, Array]:
        return {"B": self.B}

    def load_state(self, state: dict[str, Array]) -> None:
        self.B = state["B"]
        if self.B.shape != (self.n_items, self.n_items):
            raise ValueError(f"B has shape {self.B.shape}, expected {(self.n_items, self.n_items)}")
