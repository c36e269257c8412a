"""Popularity: everybody gets what was taken most often. Every number stands beside this one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from minirec.data.interactions import Interactions
from minirec.functional import Array
from minirec.models.base import Recommender, refuse_checkpoint


class Popularity(Recommender):
    """score(u, i) = number of training interactions of item i, the same for every user."""

    uses_rng = False

    counts: Array  # (I,)

    def fit(
        self,
        train: Interactions,
        *,
        valid: Interactions | None = None,
        rng: np.random.Generator | int | None = None,
        progress: bool = True,
        checkpoint: str | Path | None = None,
    ) -> Self:
        refuse_checkpoint(self, checkpoint, "counts once and has no epochs")
        self.remember(train)
        self.counts = np.bincount(train.items, minlength=train.n_items).astype(np.float64)
        return self

    def score(self, users: Array, items: Array | None = None) -> Array:
        users = self.check_users(users)
        return self.pick(np.tile(self.counts, (len(users), 1)), items)

    def score_histories(self, histories: Sequence[Array], items: Array | None = None) -> Array:
        histories = self.check_histories(histories)
        return self.pick(np.tile(self.counts, (len(histories), 1)), items)

    def settings(self) -> dict[str, Any]:
        return {}

    def state(self) -> dict[str, Array]:
        return {"counts": self.counts}

    def load_state(self, state: dict[str, Array]) -> None:
        self.counts = state["counts"]
        if self.counts.shape != (self.n_items,):
            raise ValueError(f"counts has shape {self.counts.shape}, expected ({self.n_items},)")
