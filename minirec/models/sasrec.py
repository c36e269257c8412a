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
from minirec import nn, optim
from minirec.data.sequences import pad_histories, positions, trimmed
from minirec.functional import Array, RowGradient
from minirec.models.next_item_recommender import RESIDUALS, NextItemRecommender
from minirec.nn.encoder import KeysValues
from minirec.nn.module import Grads, prefixed


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


@dataclass(eq=False)
class SASRec(NextItemRecommender):
    """`SASRec(embedding_dim=64, num_layers=2, length=50)`: the next item from the last `length` ones.

    tied      one table of items as input and output; False: a second one as output
    lazy      Adam moves only the rows of the table that a batch reads (`optim.Adam`): for catalogues that are
              large beside a batch, with any loss but "softmax"

    The other arguments are those of NextItemRecommender and NetworkRecommender; hidden=None stands for
    embedding_dim.
    """

    _: KW_ONLY
    tied: bool = True
    lazy: bool = False

    network: SASRecNetwork = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lazy and self.loss == "softmax":
            raise ValueError(
                'lazy=True needs loss="bce", "sampled_softmax" or "gbce": softmax reads every row of the '
                "table at every step"
            )

    def build(self, rng: np.random.Generator) -> SASRecNetwork:
        return SASRecNetwork(
            rng, self.n_items, self.embedding_dim, self.num_heads, self.num_layers,
            self.hidden or self.embedding_dim, self.length, self.residual, self.dropout, self.tied,
        )  # fmt: skip

    def optimizer(self) -> optim.Adam:
        return optim.Adam(self.lr, beta2=self.beta2, lazy=self.lazy)

    def last_states(self, histories: Sequence[Array]) -> Array:
        ids = pad_histories(histories, self.length)
        return self.network.forward(ids[:, trimmed(ids) :])[0][:, -1]
