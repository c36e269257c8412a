"""BERT4Rec: a Transformer that reads a history in both directions, trained to fill in items that are hidden.

    x = LN(E[s] + P),    h = blocks(x),    z = LN(GELU(h W + c)) at each [MASK],    scores = z Eᵀ + b

In training some items of a sequence are replaced by [MASK] (the Cloze task), and their true names are the
targets; to recommend, one [MASK] is appended to the history. The table E is read twice, as input and as
output (tied). Source: Sun et al. 2019.
"""

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minirec import functional as F
from minirec import nn, training
from minirec.data.interactions import Interactions
from minirec.data.sequences import pad_histories, positions, trimmed
from minirec.functional import Array
from minirec.models.base import one_of
from minirec.models.network_recommender import Examples
from minirec.models.sequence_recommender import SequenceRecommender, shard_size
from minirec.nn.module import Grads, prefixed

NORMS = ("pre", "post")
# Standard deviations at the start. After the first layer norm only directions count, and rows as small as the
# authors' turn fast. With rows of length 1 the model hardly got beyond popularity in a dozen epochs on
# MovieLens 100K; positions as large as the items held it up as well.
ITEM_START, POSITION_START = 0.02, 0.006


def masked_count(rho: float, n: Any) -> Any:
    """max(1, round(rho n)): how many of n items are hidden; halves go to the even number."""
    return np.maximum(1, np.rint(rho * np.asarray(n))).astype(np.int64)


def cloze_mask(rng: np.random.Generator, ids: Array, rho: float) -> Array:
    """(B, T) True where an item is hidden: max(1, round(rho n)) of the n items of each row, all sets alike.

    ids (B, T), 0 = padding, which is never hidden. One number is drawn for each place, padding included; the
    items with the smallest are hidden. Source: Sun et al. 2019, section 3.6.
    """
    drawn = np.where(ids != 0, rng.random(ids.shape), 1.0)  # padding comes last
    rank = drawn.argsort(axis=1, kind="stable").argsort(axis=1)
    n = np.count_nonzero(ids, axis=1)[:, None]
    return np.asarray(rank < np.minimum(masked_count(rho, n), n))


def window_ends(n: int, length: int) -> list[int]:
    """Where windows of `length` that cover a history of n items end, the newest first.

    They stand side by side from the newest item backwards; the oldest one begins at the oldest item, so it is
    as long as the others and overlaps the one after it.

    >>> window_ends(10, 4)
    [10, 6, 4]
    """
    return [*range(n, length, -length), min(n, length)]


class NetworkCache(NamedTuple):
    item: Any
    position: Any
    embedding_norm: Any
    dropout: Any
    encoder: Any
    masked: Array  # (B, T), True at [MASK]; N of them
    dense: Any
    gelu: Any
    norm: Any


class BERT4RecNetwork(nn.Module):
    """ids (B, T), 0 = padding on the left, I + 1 = [MASK]  ->  scores (N, I) of all items at each of N [MASK]

    The [MASK]s are counted row by row. Every place sees all others but the padding.
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
        norm: str,
        dropout: float,
    ) -> None:
        self.item_embedding = nn.Embedding(rng, n_items + 2, embedding_dim, padding=True, sparse=True)
        self.position_embedding = nn.Embedding(rng, length, embedding_dim)
        self.item_embedding.E *= ITEM_START * math.sqrt(embedding_dim)
        self.position_embedding.E *= POSITION_START * math.sqrt(embedding_dim)
        self.embedding_norm = nn.LayerNorm(embedding_dim)
        self.encoder = nn.Encoder(
            rng, num_layers, embedding_dim, num_heads, hidden, norm=norm, activation="gelu", dropout=dropout
        )
        self.dense = nn.Linear(rng, embedding_dim, embedding_dim)
        self.norm = nn.LayerNorm(embedding_dim)
        self.bias = np.zeros(n_items)
        self.dropout = dropout

    def states(self, ids: Array, rng: np.random.Generator | None = None) -> tuple[Array, NetworkCache]:
        """z = LN(GELU(h W + c)) at each [MASK].    ids (B, T)  ->  z (N, D)"""
        e, of_item = self.item_embedding.forward(ids)  # (B, T, D)
        p, of_position = self.position_embedding.forward(positions(ids))  # (B, T, D)
        x, of_embedding_norm = self.embedding_norm.forward(e + p)
        x, of_dropout = F.dropout_forward(x, self.dropout, rng)
        h, of_encoder = self.encoder.forward(x, nn.padding_mask(ids), rng=rng)
        masked = ids == len(self.item_embedding.E) - 1
        z, of_dense = self.dense.forward(h[masked])  # (N, D): the rest is not asked for anything
        z, of_gelu = F.gelu_forward(z)
        z, of_norm = self.norm.forward(z)
        return z, NetworkCache(
            of_item, of_position, of_embedding_norm, of_dropout, of_encoder,
            masked, of_dense, of_gelu, of_norm,
        )  # fmt: skip

    def forward(self, ids: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Any]:
        z, of_states = self.states(ids, rng)
        # Neither padding nor [MASK] can be chosen: row 0 and the last one are left out.
        scores, of_scores = F.linear_forward(z, self.item_embedding.E[1:-1].T, self.bias)
        return scores, (of_states, of_scores)

    def backward(self, dscores: Array, cache: Any) -> tuple[None, Grads]:
        of_states, of_scores = cache
        dz, dE_T, dbias = F.linear_backward(dscores, of_scores)  # dE_T (D, I)
        dz, norm = self.norm.backward(dz, of_states.norm)
        dz, dense = self.dense.backward(F.gelu_backward(dz, of_states.gelu), of_states.dense)
        dh = np.zeros((*of_states.masked.shape, dz.shape[1]), dtype=dz.dtype)
        dh[of_states.masked] = dz
        dx, encoder = self.encoder.backward(dh, of_states.encoder)
        dx = F.dropout_backward(dx, of_states.dropout)
        dx, embedding_norm = self.embedding_norm.backward(dx, of_states.embedding_norm)
        _, item = self.item_embedding.backward(dx, of_states.item)
        _, position = self.position_embedding.backward(dx, of_states.position)
        dE = np.zeros((dE_T.shape[1] + 2, dE_T.shape[0]), dtype=dE_T.dtype)
        dE[1:-1] = dE_T.T
        item = {"E": item["E"] + dE}  # tied: the table is input and output
        grads = prefixed("item_embedding", item) | prefixed("position_embedding", position)
        grads |= prefixed("embedding_norm", embedding_norm) | prefixed("encoder", encoder)
        grads |= prefixed("dense", dense) | prefixed("norm", norm)
        return None, grads | {"bias": dbias}


@dataclass(eq=False)
class BERT4Rec(SequenceRecommender):
    """`BERT4Rec(embedding_dim=64, num_heads=2, length=100)`: hidden items from those on both sides of them.

    rho   the share that is hidden: max(1, round(rho n)) of the n items of a sequence, others in every epoch
    norm  "pre": layer norm before each sub-layer; "post": after the sum, as the authors have it

    An epoch goes through two kinds of sequences. Histories longer than `length` are cut into windows that
    cover them (`window_ends`), shorter ones are one window; in each of them random items are hidden. And the
    newest window of each user comes once more with its last item hidden alone, as in recommending, where
    nothing stands to the right of the [MASK].

    The other arguments are those of NetworkRecommender; hidden=None stands for 4 embedding_dim.
    """

    num_heads: int = 2
    _: KW_ONLY
    length: int = 100
    rho: float = 0.2
    norm: str = "pre"

    network: BERT4RecNetwork = field(init=False, repr=False)

    hidden_default = "4 embedding_dim"

    def __post_init__(self) -> None:
        one_of("norm", self.norm, NORMS)
        super().__post_init__()
        if not 0 < self.rho <= 1:
            raise ValueError(f"rho must be above 0 and at most 1, got {self.rho}")

    def build(self, rng: np.random.Generator) -> BERT4RecNetwork:
        return BERT4RecNetwork(
            rng, self.n_items, self.embedding_dim, self.num_heads, self.num_layers,
            self.hidden or 4 * self.embedding_dim, self.length, self.norm, self.dropout,
        )  # fmt: skip

    def examples(self, train: Interactions) -> Examples:
        """(inputs, targets), each (B, T): ids with [MASK]; the true ids at [MASK] and 0 elsewhere."""
        known = [history for history in self.histories if len(history)]
        windows = [history[:end] for history in known for end in window_ends(len(history), self.length)]
        ids = pad_histories(windows + known, self.length)  # the newest `length` of each

        def draw(rows: Array, generator: np.random.Generator) -> training.Batch:
            hidden = cloze_mask(generator, ids[rows], self.rho)
            hidden[rows >= len(windows)] = np.arange(self.length) == self.length - 1  # the last item alone
            return np.where(hidden, self.n_items + 1, ids[rows]), np.where(hidden, ids[rows], 0)

        return Examples(len(ids), draw)

    def weigh(self, batch: training.Batch) -> float:
        """Hidden items."""
        return float(np.count_nonzero(batch[1]))

    def shard_size(self) -> int:
        # Scores are computed where items are hidden alone: rho T x I numbers for each sequence.
        n_scores = math.ceil(masked_count(self.rho, self.length) * self.n_items / self.length)
        return shard_size(self.batch_size, self.length, self.embedding_dim, n_scores)

    def loss_forward(self, batch: training.Batch, rng: np.random.Generator | None = None) -> tuple[Any, Any]:
        """The mean cross-entropy over the hidden items. A batch: inputs and targets, both (B, T)."""
        inputs, targets = (part[:, trimmed(batch[0]) :] for part in batch)
        scores, of_network = self.network.forward(inputs, rng=rng)  # (N, I)
        loss, of_loss = F.cross_entropy_forward(scores, targets[targets != 0] - 1)
        return loss, (of_network, of_loss)

    def loss_and_grads(
        self, batch: training.Batch, upstream: float, rng: np.random.Generator | None
    ) -> tuple[Any, Grads]:
        """The mean loss of a batch, and upstream times its gradients."""
        loss, (of_network, of_loss) = self.loss_forward(batch, rng)
        _, grads = self.network.backward(F.cross_entropy_backward(upstream, of_loss), of_network)
        return loss, grads

    def last_states(self, histories: Sequence[Array]) -> Array:
        """(B, D) at a [MASK] behind the newest length − 1 items."""
        ids = pad_histories([np.append(history, self.n_items) for history in histories], self.length)
        return self.network.states(ids[:, trimmed(ids) :])[0]

    def output_table(self) -> Array:
        return self.network.item_embedding.E[1:-1]

    def output_bias(self) -> Array:
        return self.network.bias
