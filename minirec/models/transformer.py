"""TransformerRecommender: the document's encoder-decoder model (section 5.2), repaired and extended.

The source (the user, or the user's history) is encoded; each candidate item is a target that attends to the
encoded source; a linear layer turns each target into one score.

Six faults of the code as printed there are repaired: the number of users was not defined; one embedding
table served users and items; `num_layers` reached the encoder only, while the decoder silently had six; a
bare int was to be embedded; a batch of ids was read as one sequence, so that users attended to each other;
and dropout was still active at prediction.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from minirec import training
from minirec.data import sampling
from minirec.data.interactions import Interactions
from minirec.data.sequences import Prefixes, pad_histories
from minirec.functional import Array
from minirec.models.base import check_count, one_of
from minirec.models.candidate_loss import LOSSES, candidate_loss_backward, candidate_loss_forward
from minirec.models.network_recommender import Examples, NetworkRecommender
from minirec.models.transformer_network import TransformerNetwork
from minirec.nn.module import Grads


def shard_size(length: int, candidates: int, width: int, hidden: int) -> int:
    """Examples per shard: its widest activation, (T + C) x hidden in float32, stays near 256 kB."""
    return max(1, 2**16 // ((length + candidates) * max(width, hidden)))


@dataclass(eq=False)
class TransformerRecommender(NetworkRecommender):
    """The document's model: `TransformerRecommender(embedding_dim=64, num_heads=8, num_layers=2)`.

    source       "history": the encoder reads the last `length` items; "user": it reads the user's embedding
                 alone (then softmax runs over one key, and attention to the source does nothing)
    candidates   "pointwise": scores do not depend on which other candidates there are; "listwise": they do.
                 Listwise it is trained on lists of 1 + `negatives` items, and scores the list that is asked
                 for: all items, unless `items` or `candidates` are given
    loss         "softmax", "bce", "bpr" over the item taken and `negatives` uniform items that the user has
                 not met in training, or "squared" on ratings
    num_layers   of the encoder, and as many of the decoder

    The other arguments are those of NetworkRecommender; hidden=None stands for 4 embedding_dim.
    """

    num_heads: int = 8
    _: KW_ONLY
    source: str = "history"
    candidates: str = "pointwise"
    loss: str = "softmax"
    negatives: int = 63
    dropout: float = 0.1
    epochs: int = 3
    patience: int = 2

    network: TransformerNetwork = field(init=False, repr=False)

    hidden_default = "4 embedding_dim"
    clip = 1.0

    def __post_init__(self) -> None:
        one_of("source", self.source, ("history", "user"))
        one_of("candidates", self.candidates, ("pointwise", "listwise"))
        one_of("loss", self.loss, LOSSES)
        super().__post_init__()
        check_count("negatives", self.negatives, least=0 if self.loss == "squared" else 1)
        self.uses_histories = self.source == "history"
        self.mu = 0.0

    @property
    def source_length(self) -> int:
        """Ids that the encoder reads."""
        return self.length if self.source == "history" else 1

    def build(self, rng: np.random.Generator) -> TransformerNetwork:
        return TransformerNetwork(
            rng, self.n_users, self.n_items, self.embedding_dim, self.num_heads, self.num_layers,
            self._hidden(), self.source_length, self.source, self.candidates, self.dropout,
        )  # fmt: skip

    def _hidden(self) -> int:
        return self.hidden or 4 * self.embedding_dim

    def examples(self, train: Interactions) -> Examples:
        """One per event: (source (B, T), candidates (B, C)[, ratings (B,)])."""
        if self.loss == "squared" and train.ratings is None:
            raise ValueError('loss="squared" needs ratings, and these interactions have none')
        prefixes = Prefixes(train, self.source_length)
        self.mu = float(train.ratings.mean()) if self.loss == "squared" else 0.0  # type: ignore[union-attr]
        seen = train.matrix()
        usable = np.arange(len(prefixes))
        if self.loss != "squared":
            # Somebody who has met every item leaves no negatives.
            usable = usable[seen.row_counts()[prefixes.users] < self.n_items]

        def draw(rows: Array, generator: np.random.Generator) -> training.Batch:
            rows = usable[rows]
            users, targets = prefixes.users[rows], prefixes.targets[rows, None]
            source = prefixes.sources(rows) if self.source == "history" else users[:, None]
            if self.loss == "squared":
                return source, targets + 1, (prefixes.ratings[rows] - self.mu).astype(self.dtype)  # type: ignore[index]
            negatives = sampling.sample_negatives(generator, users, self.negatives, seen)
            return source, np.concatenate([targets, negatives], axis=1) + 1  # ids are items shifted by one

        return Examples(len(usable), draw)

    def shard_size(self) -> int:
        n_candidates = 1 if self.loss == "squared" else 1 + self.negatives
        return shard_size(self.source_length, n_candidates, self.embedding_dim, self._hidden())

    def loss_forward(self, batch: training.Batch, rng: np.random.Generator | None = None) -> tuple[Any, Any]:
        """The mean loss of a batch (source, candidates[, ratings])."""
        source, candidates, *rest = batch
        scores, of_network = self.network.forward(source, candidates, rng=rng)
        loss, of_loss = candidate_loss_forward(self.loss, scores, *rest)
        return loss, (of_network, of_loss)

    def loss_and_grads(
        self, batch: training.Batch, upstream: float, rng: np.random.Generator | None
    ) -> tuple[Any, Grads]:
        """The mean loss of a batch, and upstream times its gradients."""
        loss, (of_network, of_loss) = self.loss_forward(batch, rng)
        _, grads = self.network.backward(candidate_loss_backward(upstream, of_loss), of_network)
        return loss, grads

    def score(self, users: Array, items: Array | None = None) -> Array:
        users = self.check_users(users)
        if self.source == "history":
            return self.score_histories([self.histories[u] for u in users], items)
        return self._score_sources(users[:, None], items)

    def score_histories(self, histories: Sequence[Array], items: Array | None = None) -> Array:
        """source="user" cannot read a history: unseen users get mean scores of (at most 256) known ones."""
        histories = self.check_histories(histories)
        if self.source == "user":
            known = np.flatnonzero([len(history) for history in self.histories])  # the others never learned
            some = known[np.unique(np.linspace(0, len(known) - 1, 256).astype(np.int64))]
            if items is None or self.check_items(items).ndim == 1:
                return np.tile(self.score(some, items).mean(axis=0), (len(histories), 1))
            rows = np.broadcast_to(items, (len(histories), np.shape(items)[-1]))  # each user's own items
            return np.stack([self.score(some, row).mean(axis=0) for row in rows])
        return self._score_sources(pad_histories(histories, self.source_length), items)

    def _score_sources(self, source: Array, items: Array | None) -> Array:
        """(B, C) scores for sources (B, T) and items (C,) or (B, C); None stands for all items.

        In blocks of users and, pointwise, of candidates, so memory does not grow with users x items.
        """
        items = np.arange(self.n_items) if items is None else self.check_items(items)
        candidates = np.broadcast_to(
            items + 1, (len(source), items.shape[-1])
        )  # ids are items shifted by one
        scores = np.empty(candidates.shape, dtype=self.dtype)
        listwise = self.candidates == "listwise"
        B, C = (1, max(1, items.shape[-1])) if listwise else (16, 128)
        for b in range(0, len(source), B):
            part = source[b : b + B]
            first = np.argmax(part != 0, axis=1).min()  # to the left of it all rows are padding
            memory, mask, _ = self.network.encode(part[:, min(first, part.shape[1] - 1) :])
            for c in range(0, items.shape[-1], C):
                chunk = candidates[b : b + B, c : c + C]
                scores[b : b + B, c : c + C] = self.network.decode(memory, mask, chunk)[0]
        return scores + self.mu

    def attention_weights(self, history: Array, items: Array) -> Array:
        """(layers, H, C, T): how much each of C items attends to each of the last T items of a history.

        Only for source="history". Weights say where the model looked, not why it decided.
        """
        if self.source != "history":
            raise ValueError('source="user" has no history to attend to: its only weight is 1')
        kept = self.check_histories([history])[0][-self.length :]
        if not len(kept):
            raise ValueError("an empty history has nothing to attend to")
        _, cache = self.network.forward(pad_histories([kept], len(kept)), self.check_items(items)[None] + 1)
        blocks = cache.decoder.blocks
        return np.stack([block.cross_attention.f.attention.p[0] for block in blocks])

    def state(self) -> dict[str, Array]:
        return {**self.network.params(), "mu": np.array(self.mu)}

    def load_state(self, state: dict[str, Array]) -> None:
        self.mu = float(state["mu"])
        params = {name: array for name, array in state.items() if name != "mu"}
        self.network = self.build(np.random.default_rng(0)).with_params(params)
