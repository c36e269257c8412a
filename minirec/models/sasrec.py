"""SASRec: a causal Transformer over the items of a user, trained to name the next item at every step.

    x = √D E[s] + P,    h = blocks(x),    score of item i after step t = h_t · E[i]

The table E is read twice, as input and as output (tied). Source: Kang & McAuley 2018, with the losses of its
authors ("bce", one negative per step) and of Klenitskiy & Vasilev 2023 ("softmax", over all items).
"""

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minirec import functional as F
from minirec import nn, optim, training
from minirec.data import sampling
from minirec.data.interactions import Interactions
from minirec.data.sequences import next_items, pad_histories, positions, trimmed
from minirec.functional import Array, RowGradient
from minirec.models.base import one_of
from minirec.models.network_recommender import Examples
from minirec.models.sequence_recommender import SequenceRecommender
from minirec.nn.encoder import KeysValues
from minirec.nn.module import Grads, prefixed

LOSSES = ("bce", "softmax")
RESIDUALS = {"plain": "pre", "original": "first"}  # the order of norm and sum in a block


class NetworkCache(NamedTuple):
    visible: Array  # (B, T, 1), 1 where there is an item
    item: Any
    position: Any
    dropout: Any
    encoder: Any


class SASRecNetwork(nn.Module):
    """ids (B, T), 0 = padding on the left  ->  h (B, T, D), the states: each step sees none that is later."""

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
    ) -> None:
        self.item_embedding = nn.Embedding(rng, n_items + 1, embedding_dim, padding=True, sparse=True)
        self.position_embedding = nn.Embedding(rng, length, embedding_dim)
        self.encoder = nn.Encoder(
            rng, num_layers, embedding_dim, num_heads, hidden, norm=RESIDUALS[residual], dropout=dropout
        )
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
        return None, grads | prefixed("encoder", encoder)


class StepLossCache(NamedTuple):
    h: Array  # (N, D)
    E: Array  # (I + 1, D)
    parts: tuple[Any, ...]


def step_softmax_forward(h: Array, E: Array, targets: Array) -> tuple[Any, StepLossCache]:
    """L = mean −log softmax(h Eᵀ)[target], over items 1 .. I.    h (N, D), E (I + 1, D), targets (N,) ids"""
    logits = h @ E[1:].T  # row 0 is padding, which nobody can choose
    loss, of_loss = F.cross_entropy_forward(logits, targets - 1)
    return loss, StepLossCache(h, E, (of_loss,))


def step_softmax_backward(dloss: Any, cache: StepLossCache) -> tuple[Array, Array]:
    """dh = dlogits E,  dE = dlogitsᵀ h    (row 0: 0)"""
    h, E, (of_loss,) = cache
    dlogits = F.cross_entropy_backward(dloss, of_loss)  # (N, I)
    dE = np.zeros_like(E)
    dE[1:] = dlogits.T @ h
    return dlogits @ E[1:], dE


def step_bce_forward(h: Array, E: Array, targets: Array, negatives: Array) -> tuple[Any, StepLossCache]:
    """L = mean −log σ(h · E[target]) − log(1 − σ(h · E[negative])).    h (N, D), E (I + 1, D), ids (N,)"""
    chosen, of_chosen = F.embedding_forward(E, targets)  # (N, D)
    other, of_other = F.embedding_forward(E, negatives)  # (N, D)
    positive, negative = (h * chosen).sum(axis=-1), (h * other).sum(axis=-1)  # (N,)
    one, of_one = F.binary_cross_entropy_forward(positive, np.ones(positive.shape, positive.real.dtype))
    two, of_two = F.binary_cross_entropy_forward(negative, np.zeros(negative.shape, negative.real.dtype))
    return one + two, StepLossCache(h, E, (chosen, other, of_chosen, of_other, of_one, of_two))


def step_bce_backward(dloss: Any, cache: StepLossCache) -> tuple[Array, RowGradient]:
    """dh = ds⁺ E[target] + ds⁻ E[negative],  dE = Σ ds⁺ h at the targets + Σ ds⁻ h at the negatives"""
    h, _, (chosen, other, of_chosen, of_other, of_one, of_two) = cache
    dpositive = F.binary_cross_entropy_backward(dloss, of_one)[:, None]  # (N, 1)
    dnegative = F.binary_cross_entropy_backward(dloss, of_two)[:, None]
    dh = dpositive * chosen + dnegative * other
    dchosen = F.embedding_row_gradient(dpositive * h, of_chosen)
    dother = F.embedding_row_gradient(dnegative * h, of_other)
    return dh, F.add_row_gradients([dchosen, dother])


def shard_size(batch: int, length: int, width: int, n_logits: int = 1) -> int:
    """Sequences per shard: equal parts of a batch, an even number of them unless it is too small to share.

    An array (T, width) of a whole shard has about 2¹⁸ numbers at most (1 MB in float32, near what a core's
    cache holds), its logits (T, n_logits) about 2²³, or what one sequence has. Below 2¹⁶ numbers two threads
    wait for each other longer than they compute.
    """
    numbers, logits = batch * length * width, batch * length * n_logits
    if numbers < 2**16 and logits <= 2**23:
        return batch
    return math.ceil(batch / (2 * max(math.ceil(numbers / 2**19), math.ceil(logits / 2**24))))


@dataclass(eq=False)
class SASRec(SequenceRecommender):
    """`SASRec(embedding_dim=64, num_layers=2, length=50)`: the next item from the last `length` ones.

    loss      "bce": the item taken against one that the user has not met, at every step; "softmax": against
              all items
    residual  "plain": the skip connection carries x; "original": norm(x), as in the authors' code
    beta2     of Adam
    lazy      Adam moves only the rows of the table that a batch reads (`optim.Adam`): for catalogues that are
              large beside a batch, with "bce"

    The other arguments are those of NetworkRecommender; hidden=None stands for embedding_dim.
    """

    _: KW_ONLY
    loss: str = "softmax"
    residual: str = "plain"
    beta2: float = 0.98
    lazy: bool = False

    network: SASRecNetwork = field(init=False, repr=False)

    def __post_init__(self) -> None:
        one_of("loss", self.loss, LOSSES)
        one_of("residual", self.residual, tuple(RESIDUALS))
        super().__post_init__()
        if self.lazy and self.loss == "softmax":
            raise ValueError('lazy=True needs loss="bce": softmax reads every row of the table at every step')
        if not 0 <= self.beta2 < 1:
            raise ValueError(f"beta2 must be at least 0 and below 1, got {self.beta2}")

    def build(self, rng: np.random.Generator) -> SASRecNetwork:
        return SASRecNetwork(
            rng, self.n_items, self.embedding_dim, self.num_heads, self.num_layers,
            self.hidden or self.embedding_dim, self.length, self.residual, self.dropout,
        )  # fmt: skip

    def optimizer(self) -> optim.Adam:
        return optim.Adam(self.lr, beta2=self.beta2, lazy=self.lazy)

    def examples(self, train: Interactions) -> Examples:
        """One per user: (inputs, targets[, negatives]), each (B, T)."""
        inputs, targets = next_items(self.histories, self.length)
        seen = train.matrix()
        usable = targets.any(axis=1)
        if self.loss == "bce":  # somebody who has met every item leaves no negatives
            usable &= seen.row_counts() < self.n_items
        users = np.flatnonzero(usable)

        def draw(rows: Array, generator: np.random.Generator) -> training.Batch:
            rows = users[rows]
            if self.loss == "softmax":
                return inputs[rows], targets[rows]
            negatives = sampling.sample_negatives(generator, rows, self.length, seen) + 1
            return inputs[rows], targets[rows], negatives

        return Examples(len(users), draw)

    def weigh(self, batch: training.Batch) -> float:
        """Steps with a target."""
        return float(np.count_nonzero(batch[1]))

    def shard_size(self) -> int:
        n_logits = self.n_items if self.loss == "softmax" else 1
        return shard_size(self.batch_size, self.length, self.embedding_dim, n_logits)

    def loss_forward(self, batch: training.Batch, rng: np.random.Generator | None = None) -> tuple[Any, Any]:
        """The mean loss over the steps with a target. A batch: inputs, targets and negatives, all (B, T)."""
        inputs, *rest = (part[:, trimmed(batch[0]) :] for part in batch)
        h, of_network = self.network.forward(inputs, rng=rng)
        steps = rest[0] != 0  # (B, T)
        step_loss = step_softmax_forward if self.loss == "softmax" else step_bce_forward
        loss, of_loss = step_loss(h[steps], self.network.item_embedding.E, *(ids[steps] for ids in rest))
        return loss, (steps, h.shape, of_network, of_loss)

    def loss_and_grads(
        self, batch: training.Batch, upstream: float, rng: np.random.Generator | None
    ) -> tuple[Any, Grads]:
        """The mean loss of a batch, and upstream times its gradients."""
        loss, (steps, shape, of_network, of_loss) = self.loss_forward(batch, rng)
        step_loss_backward = step_softmax_backward if self.loss == "softmax" else step_bce_backward
        dsteps, dE = step_loss_backward(upstream, of_loss)
        dh = np.zeros(shape, dtype=dsteps.dtype)
        dh[steps] = dsteps
        _, grads = self.network.backward(dh, of_network)
        grads["item_embedding.E"] = grads["item_embedding.E"] + dE  # tied: the table is input and output
        return loss, grads

    def last_states(self, histories: Sequence[Array]) -> Array:
        ids = pad_histories(histories, self.length)
        return self.network.forward(ids[:, trimmed(ids) :])[0][:, -1]

    def output_table(self) -> Array:
        return self.network.item_embedding.E[1:]
