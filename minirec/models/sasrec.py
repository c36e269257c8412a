"""SASRec: a causal Transformer over the items of a user, trained to name the next item at every step.

    x = √D E[s] + P,    h = blocks(x),    score of item i after step t = h_t · E[i]

The table E is read twice, as input and as output (tied), unless a second one is asked for. Source: Kang &
McAuley 2018, with the losses of step_loss.py.
"""

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minirec import functional as F
from minirec import nn, optim, training
from minirec.data.interactions import Interactions
from minirec.data.sequences import pad_histories, positions, trimmed
from minirec.functional import Array, RowGradient
from minirec.models import step_loss
from minirec.models.base import one_of
from minirec.models.network_recommender import Examples
from minirec.models.sequence_recommender import SequenceRecommender
from minirec.nn.encoder import KeysValues
from minirec.nn.module import Grads, prefixed

RESIDUALS = {"plain": "pre", "original": "first"}  # the order of norm and sum in a block


class NetworkCache(NamedTuple):
    visible: Array  # (B, T, 1), 1 where there is an item
    item: Any
    position: Any
    dropout: Any
    encoder: Any


class SASRecNetwork(nn.Module):
    """ids (B, T), 0 = padding on the left  ->  h (B, T, D), the states: each step sees none that is later.

    The table that states are multiplied with belongs to it too, though only the loss and the scores read it.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        n_items: int,
        embedding_dim: int,
        num_heads: int,
        num_layers: int,
        hidden: int,
        length: int,
        residual: str,
        dropout: float,
        tied: bool = True,
    ) -> None:
        self.item_embedding = nn.Embedding(rng, n_items + 1, embedding_dim, padding=True, sparse=True)
        self.position_embedding = nn.Embedding(rng, length, embedding_dim)
        self.encoder = nn.Encoder(
            rng, num_layers, embedding_dim, num_heads, hidden, norm=RESIDUALS[residual], dropout=dropout
        )
        self.output_embedding = self.item_embedding
        if not tied:
            self.output_embedding = nn.Embedding(rng, n_items + 1, embedding_dim, padding=True, sparse=True)
        self.dropout = dropout
        self.scale = math.sqrt(embedding_dim)

    def forward(self, ids: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, NetworkCache]:
        e, of_item = self.item_embedding.forward(ids)  # (B, T, D)
        p, of_position = self.position_embedding.forward(positions(ids))  # (B, T, D)
        visible = (ids != 0)[..., None].astype(e.real.dtype)
        x, of_dropout = F.dropout_forward((self.scale * e + p) * visible, self.dropout, rng)
        mask = nn.causal_mask(ids.shape[1]) & nn.padding_mask(ids)  # (B, 1, T, T)
        h, of_encoder = self.encoder.forward(x, mask, rng=rng)
        return h, NetworkCache(visible, of_item, of_position, of_dropout, of_encoder)

    def extend(self, ids: Array, past: Sequence[KeysValues] | None = None) -> tuple[Array, list[KeysValues]]:
        """The states (B, n, D) of the newest n of ids (B, t + n), and the past grown by them: `past` holds t.

        They are those of forward, to rounding. The window must not move: ids are all that was read so far.
        """
        T = ids.shape[1]
        t = past[0].k.shape[-2] if past else 0
        e, _ = self.item_embedding.forward(ids[:, t:])  # (B, n, D)
        p, _ = self.position_embedding.forward(positions(ids)[:, t:])  # (B, n, D)
        x = (self.scale * e + p) * (ids[:, t:] != 0)[..., None]
        mask = np.tri(T - t, T, t, dtype=bool) & nn.padding_mask(ids)  # (B, 1, n, T)
        return self.encoder.extend(x, past, mask)

    def backward(self, dh: Array, cache: NetworkCache) -> tuple[None, Grads]:
        dx, encoder = self.encoder.backward(dh, cache.encoder)
        dx = F.dropout_backward(dx, cache.dropout) * cache.visible
        _, item = self.item_embedding.backward(self.scale * dx, cache.item)
        _, position = self.position_embedding.backward(dx, cache.position)
        grads = prefixed("item_embedding", item) | prefixed("position_embedding", position)
        grads |= prefixed("encoder", encoder)
        if self.output_embedding is not self.item_embedding:  # no row of it was read
            E = self.output_embedding.E
            none = np.zeros(0, dtype=np.int64)
            grads["output_embedding.E"] = RowGradient(none, np.zeros((0, E.shape[1]), dh.dtype), E.shape)
        return None, grads


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
class SASRec(SequenceRecommender):
    """`SASRec(embedding_dim=64, num_layers=2, length=50)`: the next item from the last `length` ones.

    loss      what the item taken stands against at every step (step_loss.py). "softmax": all items; "bce":
              one that the user has not met; "sampled_softmax": n_negatives items, "gbce": n_negatives items
              that the user has not met, drawn for each sequence
    gbce_t    in [0, 1], for "gbce": 0 as in "bce", 1 gives probabilities that are true
    tied      one table of items as input and output; False: a second one as output
    residual  "plain": the skip connection carries x; "original": norm(x), as in the authors' code
    beta2     of Adam
    lazy      Adam moves only the rows of the table that a batch reads (`optim.Adam`): for catalogues that are
              large beside a batch, with any loss but "softmax"

    The other arguments are those of NetworkRecommender; hidden=None stands for embedding_dim.
    """

    _: KW_ONLY
    loss: str = "softmax"
    n_negatives: int = 256
    gbce_t: float = 0.75
    tied: bool = True
    residual: str = "plain"
    beta2: float = 0.98
    lazy: bool = False

    network: SASRecNetwork = field(init=False, repr=False)

    def __post_init__(self) -> None:
        one_of("loss", self.loss, step_loss.LOSSES)
        one_of("residual", self.residual, tuple(RESIDUALS))
        super().__post_init__()
        if self.lazy and self.loss == "softmax":
            raise ValueError(
                'lazy=True needs loss="bce", "sampled_softmax" or "gbce": softmax reads every row of the '
                "table at every step"
            )
        if self.n_negatives < 1:
            raise ValueError(f"n_negatives must be at least 1, got {self.n_negatives}")
        if not 0 <= self.gbce_t <= 1:
            raise ValueError(f"gbce_t must be in [0, 1], got {self.gbce_t}")
        if not 0 <= self.beta2 < 1:
            raise ValueError(f"beta2 must be at least 0 and below 1, got {self.beta2}")

    def build(self, rng: np.random.Generator) -> SASRecNetwork:
        return SASRecNetwork(
            rng, self.n_items, self.embedding_dim, self.num_heads, self.num_layers,
            self.hidden or self.embedding_dim, self.length, self.residual, self.dropout,
            self.tied,
        )  # fmt: skip

    def optimizer(self) -> optim.Adam:
        return optim.Adam(self.lr, beta2=self.beta2, lazy=self.lazy)

    def examples(self, train: Interactions) -> Examples:
        """One per user: (inputs, targets[, negatives])."""
        return step_loss.step_examples(
            self.loss, self.histories, self.length, train.matrix(), self.n_negatives
        )

    def weigh(self, batch: training.Batch) -> float:
        """Steps with a target."""
        return float(np.count_nonzero(batch[1]))

    def shard_size(self) -> int:
        n_logits = step_loss.logits_per_step(self.loss, self.n_items, self.n_negatives)
        drawn = self.n_negatives if self.loss in step_loss.SHARED else 0
        return shard_size(self.batch_size, self.length, self.embedding_dim, n_logits, drawn)

    def loss_forward(self, batch: training.Batch, rng: np.random.Generator | None = None) -> tuple[Any, Any]:
        """The mean loss over the steps with a target. A batch: inputs, targets[, negatives]."""
        inputs, *rest = step_loss.trimmed_steps(self.loss, batch)
        h, of_network = self.network.forward(inputs, rng=rng)
        E = self.network.output_embedding.E
        loss, of_loss = step_loss.step_loss_forward(self.loss, h, E, *rest, gbce_t=self.gbce_t)
        return loss, (of_network, of_loss)

    def loss_and_grads(
        self, batch: training.Batch, upstream: float, rng: np.random.Generator | None
    ) -> tuple[Any, Grads]:
        """The mean loss of a batch, and upstream times its gradients."""
        loss, (of_network, of_loss) = self.loss_forward(batch, rng)
        dh, dE = step_loss.step_loss_backward(upstream, of_loss)
        _, grads = self.network.backward(dh, of_network)
        output = "item_embedding.E" if self.tied else "output_embedding.E"
        grads[output] = grads[output] + dE  # tied: the table is input and output
        return loss, grads

    def last_states(self, histories: Sequence[Array]) -> Array:
        ids = pad_histories(histories, self.length)
        return self.network.forward(ids[:, trimmed(ids) :])[0][:, -1]

    def output_table(self) -> Array:
        return self.network.output_embedding.E[1:]
