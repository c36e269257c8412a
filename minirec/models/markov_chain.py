"""MarkovChain: what came next after this item. A count of pairs in a row, hard to beat where order matters.

    score(h, i) = N[last item of h, i] + ε n_i

N[i, j] counts how often j came right after i in a history, and n_i the interactions of item i: popularity
decides where no pair was ever seen. Source: the first-order chain that Rendle, Freudenthaler & Schmidt-Thieme
2010 start from, without factors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from minirec.data.interactions import Interactions
from minirec.data.matrix import InteractionMatrix
from minirec.functional import Array
from minirec.models.base import Recommender, keeps_the_old_model, refuse_checkpoint
from minirec.models.counts import pair_counts


def transitions(histories: Sequence[Array], n_items: int) -> InteractionMatrix:
    """(I, I) N[i, j] = how often j came right after i in a history. Stored are only the pairs that occur."""
    before = np.concatenate([history[:-1] for history in histories])
    after = np.concatenate([history[1:] for history in histories])
    return pair_counts(before, after, (n_items, n_items))


class MarkovChain(Recommender):
    """`MarkovChain(epsilon=1e-6)`: what came next after the last item of the history, then what is popular.

    epsilon   of popularity, a number of interactions: it only decides ties between counts of pairs as long as
              no item has 1/ε interactions

    An empty history leaves popularity. Repeated interactions count each time: they are steps of the chain.
    """

    uses_histories = True
    uses_rng = False

    N: InteractionMatrix  # (I, I)
    counts: Array  # (I,)

    def __init__(self, epsilon: float = 1e-6) -> None:
        if not 0 <= epsilon < np.inf:
            raise ValueError(f"epsilon must be at least 0 and finite, got {epsilon}")
        self.epsilon = epsilon

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
        """Count: `valid` and `rng` change nothing."""
        refuse_checkpoint(self, checkpoint, "counts once and has no epochs")
        self.remember(train)
        self.N = transitions(self.histories, train.n_items)
        self.counts = np.bincount(train.items, minlength=train.n_items).astype(np.float64)
        return self

    def score(self, users: Array, items: Array | None = None) -> Array:
        return self.score_histories([self.histories[u] for u in self.check_users(users)], items)

    def score_histories(self, histories: Sequence[Array], items: Array | None = None) -> Array:
        histories = self.check_histories(histories)
        scores = np.tile(self.epsilon * self.counts, (len(histories), 1))
        for row, history in zip(scores, histories, strict=True):
            if len(history):
                after, times = self.N.row(int(history[-1]))
                row[after] += times
        return self.pick(scores, items)

    def settings(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon}

    def state(self) -> dict[str, Array]:
        return {"counts": self.counts, "before": self.N.rows, "after": self.N.indices, "times": self.N.values}

    def load_state(self, state: dict[str, Array]) -> None:
        I = self.n_items
        self.counts = state["counts"]
        if self.counts.shape != (I,):
            raise ValueError(f"counts has shape {self.counts.shape}, expected ({I},)")
        before, after = (self.check_items(state[name]) for name in ("before", "after"))
        order = np.lexsort((after, before))
        ends = np.cumsum(np.bincount(before, minlength=I))
        self.N = InteractionMatrix(np.append(0, ends), after[order], state["times"][order], (I, I))
