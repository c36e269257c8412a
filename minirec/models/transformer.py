"""TransformerRecommender: the document's encoder-decoder model (section 5.2), repaired and extended.

The source (the user, or the user's history) is encoded; each candidate item is a target that attends to the
encoded source; a linear layer turns each target into one score.

Six faults of the code as printed there are repaired: the number of users was not defined; one embedding
table served users and items; `num_layers` reached the encoder only, while the decoder silently had six; a
bare int was to be embedded; a batch of ids was read as one sequence, so that users attended to each other;
and dropout was still active at prediction.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from minirec import optim, training
from minirec.checkpoint import identity
from minirec.data import sampling
from minirec.data.interactions import Interactions
from minirec.data.sequences import Prefixes, pad_histories
from minirec.functional import Array
from minirec.models.base import Recommender, keeps_the_old_model, one_of
from minirec.models.candidate_loss import LOSSES, candidate_loss_backward, candidate_loss_forward
from minirec.models.transformer_network import TransformerNetwork
from minirec.nn.module import Grads


def shard_size(length: int, candidates: int, width: int, hidden: int) -> int:
    """Examples per shard: its widest activation, (T + C) x hidden in float32, stays near 256 kB."""
    return max(1, 2**16 // ((length + candidates) * max(width, hidden)))


class TransformerRecommender(Recommender):
    """The document's model: `TransformerRecommender(embedding_dim=64, num_heads=8, num_layers=2)`.

    source       "history": the encoder reads the last `length` items; "user": it reads the user's embedding
                 alone (then softmax runs over one key, and attention to the source does nothing)
    candidates   "pointwise": scores do not depend on which other candidates there are; "listwise": they do.
                 Listwise it is trained on lists of 1 + `negatives` items, and scores the list that is asked
                 for: all items, unless `items` or `candidates` are given
    loss         "softmax", "bce", "bpr" over the item taken and `negatives` uniform items that the user has
                 not met in training, or "squared" on ratings
    num_layers   of the encoder, and as many of the decoder
    hidden       width of the feed-forward layers (None: 4 embedding_dim)
    dropout      in training only
    """

    def __init__(
        self,
        embedding_dim: int = 64,
        num_heads: int = 8,
        num_layers: int = 2,
        *,
        source: str = "history",
        candidates: str = "pointwise",
        loss: str = "softmax",
        length: int = 50,
        negatives: int = 63,
        hidden: int | None = None,
        dropout: float = 0.1,
        lr: float = 1e-3,
        batch_size: int = 128,
        epochs: int = 3,
        patience: int = 2,
        dtype: str = "float32",
    ) -> None:
        one_of("source", source, ("history", "user"))
        one_of("candidates", candidates, ("pointwise", "listwise"))
        one_of("loss", loss, LOSSES)
        one_of("dtype", dtype, ("float32", "float64"))
        counts = {
            "embedding_dim": embedding_dim, "num_heads": num_heads, "num_layers": num_layers,
            "length": length, "batch_size": batch_size, "epochs": epochs, "patience": patience,
        }  # fmt: skip
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
        if embedding_dim % num_heads:
            raise ValueError(f"embedding_dim {embedding_dim} is not divisible by num_heads {num_heads}")
        if negatives < 1 and loss != "squared":
            raise ValueError(f'negatives must be at least 1 with loss="{loss}", got {negatives}')
        if hidden is not None and hidden < 1:
            raise ValueError(f"hidden must be at least 1, or None for 4 embedding_dim, got {hidden}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")
        if not lr >= 0:
            raise ValueError(f"lr must be at least 0, got {lr}")
        self._settings = {
            **counts,
            "source": source,
            "candidates": candidates,
            "loss": loss,
            "negatives": negatives,
            "hidden": hidden,
            "dropout": dropout,
            "lr": lr,
            "dtype": dtype,
        }
        self.source, self.candidates, self.loss = source, candidates, loss
        self.embedding_dim, self.num_heads, self.num_layers = embedding_dim, num_heads, num_layers
        self.length, self.negatives, self.dropout = length if source == "history" else 1, negatives, dropout
        self.hidden = 4 * embedding_dim if hidden is None else hidden
        self.lr, self.batch_size, self.epochs, self.patience = lr, batch_size, epochs, patience
        self.dtype = dtype
        self.uses_histories = source == "history"
        self.mu = 0.0

    network: TransformerNetwork
    log: training.TrainingLog

    def build(self, rng: np.random.Generator) -> TransformerNetwork:
        """A network with random parameters in float64, of the size that the id maps ask for."""
        return TransformerNetwork(
            rng, self.n_users, self.n_items, self.embedding_dim, self.num_heads, self.num_layers,
            self.hidden, self.length, self.source, self.candidates, self.dropout,
        )  # fmt: skip

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
        if self.loss == "squared" and train.ratings is None:
            raise ValueError('loss="squared" needs ratings, and these interactions have none')
        self.remember(train)
        seed = training.as_seed(rng, checkpoint)
        self.network = self.build(training.stream(seed, training.INITIALIZATION)).astype(self.dtype)
        examples = Prefixes(train, self.length)
        self.mu = float(train.ratings.mean()) if self.loss == "squared" else 0.0  # type: ignore[union-attr]
        C = 1 if self.loss == "squared" else 1 + self.negatives
        seen = train.matrix()
        usable = np.arange(len(examples))
        if self.loss != "squared":
            # Somebody who has met every item leaves no negatives.
            usable = usable[seen.row_counts()[examples.users] < self.n_items]

        def draw(rows: Array, generator: np.random.Generator) -> training.Batch:
            rows = usable[rows]
            users, targets = examples.users[rows], examples.targets[rows, None]
            source = examples.sources(rows) if self.source == "history" else users[:, None]
            if self.loss == "squared":
                return source, targets + 1, (examples.ratings[rows] - self.mu).astype(self.dtype)  # type: ignore[index]
            negatives = sampling.sample_negatives(generator, users, self.negatives, seen)
            return source, np.concatenate([targets, negatives], axis=1) + 1  # ids are items shifted by one

        self.log = training.train(
            self.network.params(),
            draw,
            self.loss_and_grads,
            len(usable),
            optim.Adam(self.lr),
            seed=seed,
            epochs=self.epochs,
            batch_size=self.batch_size,
            shard_size=shard_size(self.length, C, self.embedding_dim, self.hidden),
            clip=1.0,
            validate=self.validation(train, valid) if valid else None,
            patience=self.patience,
            progress=progress,
            name=type(self).__name__,
            checkpoint=checkpoint,
            identity=identity(type(self).__name__, self.settings(), train, valid),
        )
        return self

    def params(self) -> dict[str, Array]:
        """The live arrays by name."""
        return self.network.params()

    def with_params(self, params: Mapping[str, Array]) -> Self:
        """A copy of this model that uses the given arrays."""
        other = copy.copy(self)
        other.network = self.network.with_params(params)
        return other

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
        """source="user" cannot read a history: unseen users get mean scores of (at most 256) others."""
        histories = self.check_histories(histories)
        if self.source == "user":
            some = np.unique(np.linspace(0, self.n_users - 1, 256).astype(np.int64))
            if items is None or self.check_items(items).ndim == 1:
                return np.tile(self.score(some, items).mean(axis=0), (len(histories), 1))
            rows = np.broadcast_to(items, (len(histories), np.shape(items)[-1]))  # each user's own items
            return np.stack([self.score(some, row).mean(axis=0) for row in rows])
        return self._score_sources(pad_histories(histories, self.length), items)

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

    def settings(self) -> dict[str, Any]:
        return dict(self._settings)

    def state(self) -> dict[str, Array]:
        return {**self.network.params(), "mu": np.array(self.mu)}

    def load_state(self, state: dict[str, Array]) -> None:
        self.mu = float(state["mu"])
        params = {name: array for name, array in state.items() if name != "mu"}
        self.network = self.build(np.random.default_rng(0)).with_params(params)
