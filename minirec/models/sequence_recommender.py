"""What all sequence models share: a state after the history, and its products with the rows of the items.

    score of item i = h · table[i] (+ bias[i]),    h the state after the newest item

They score users that they have never seen, from a history of any length.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minirec import training
from minirec.functional import Array
from minirec.models.network_recommender import NetworkRecommender

SCORED = 16  # histories in one pass of the network


def shard_size(batch: int, length: int, width: int, n_logits: int = 1, drawn: int = 0) -> int:
    """Sequences per shard: equal parts of a batch, 2, 4, 8, ... of them unless it is too small to share.

    The states (T, width) of a whole shard, and the rows (drawn, width) of its negatives, have 2¹⁸ numbers
    or less (1 MB in float32, near what a core's cache holds), its logits (T, n_logits) about 2²³, or what one
    sequence has. Below 2¹⁶ numbers two threads wait for each other longer than they compute.
    """
    numbers, logits = batch * (length + drawn) * width, batch * length * n_logits
    if numbers < 2**16 and logits <= 2**23:
        return batch
    pairs = max(1, numbers / 2**19, logits / 2**24)
    return math.ceil(batch / 2 ** (1 + math.ceil(math.log2(pairs))))


@dataclass(eq=False)
class SequenceRecommender(NetworkRecommender):
    """A subclass gives the state after each history, and the table that it is multiplied with."""

    uses_histories = True

    @abstractmethod
    def last_states(self, histories: Sequence[Array]) -> Array:
        """(B, D) the states after B histories: item indices, oldest first, of any length, none included."""

    @abstractmethod
    def output_table(self) -> Array:
        """(I, D) one row per item."""

    def output_bias(self) -> Array | None:
        """(I,) what is added to every score of an item, or None."""
        return None

    def score(self, users: Array, items: Array | None = None) -> Array:
        return self.score_histories([self.histories[u] for u in self.check_users(users)], items)

    def score_histories(self, histories: Sequence[Array], items: Array | None = None) -> Array:
        histories = self.check_histories(histories)
        items = None if items is None else self.check_items(items)
        parts = [histories[rows] for rows in training.shard_slices(len(histories), SCORED)]
        if len(parts) == 1:
            h = self.last_states(histories)
        elif parts:
            with training.shard_threads() as each:
                h = np.concatenate(list(each(self.last_states, parts)))  # (B, D)
        else:
            h = np.zeros_like(self.output_table()[:0])
        return self.score_states(h, items)

    def score_states(self, h: Array, items: Array | None = None) -> Array:
        """(B, I) or (B, C) the scores after states h (B, D)."""
        table, bias = self.output_table(), self.output_bias()
        chosen = table if items is None else table[items]  # (I, D), (C, D) or (B, C, D)
        scores = np.einsum("bd,bcd->bc", h, chosen) if chosen.ndim == 3 else h @ chosen.T
        if bias is not None:
            scores += bias if items is None else bias[items]
        return np.asarray(scores)
