"""The network of TransformerRecommender: embeddings, an encoder-decoder Transformer, one score per candidate.

It knows ids and arrays only; the recommender around it, with its data and losses, is in `transformer.py`.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from minirec import functional as F
from minirec import nn
from minirec.data.sequences import positions
from minirec.functional import Array
from minirec.nn.module import Grads, prefixed
from minirec.nn.transformer import TransformerCache


class NetworkCache(NamedTuple):
    source: Any  # of the source embedding
    position: Any
    source_dropout: Any
    encoder: Any
    candidates: Any  # of the candidates' embedding
    candidate_dropout: Any
    decoder: Any
    score: Any


class TransformerNetwork(nn.Module):
    """source ids (B, T), candidate ids (B, C)  ->  scores (B, C)

    source="history": item ids, 0 = padding, left-padded; source="user": one user index per row, (B, 1).
    The item table serves history and candidates alike (tied); users have a table of their own.
    candidates="pointwise": a candidate sees itself and the source; "listwise": the other candidates too.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        n_users: int,
        n_items: int,
        embedding_dim: int,
        num_heads: int,
        num_layers: int,
        hidden: int,
        length: int,
        source: str,
        candidates: str,
        dropout: float,
    ) -> None:
        self.item_embedding = nn.Embedding(rng, n_items + 1, embedding_dim, padding=True)
        if source == "user":
            self.user_embedding = nn.Embedding(rng, n_users, embedding_dim)
        else:
            self.position_embedding = nn.Embedding(rng, length, embedding_dim)
        self.transformer = nn.Transformer(
            rng, num_layers, num_layers, embedding_dim, num_heads, hidden, dropout=dropout
        )
        self.score = nn.Linear(rng, embedding_dim, 1)
        self.source, self.candidates, self.dropout = source, candidates, dropout
        # Entries of the input then have a standard deviation of 2 (3 with positions). With half of that the
        # tables learned more slowly beside the rest, on the shop and on MovieLens 100K.
        self.scale = 2.0 * math.sqrt(embedding_dim)

    def encode(
        self, source: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, tuple[Any, Any, Any, Any]]:
        """memory = encoder(dropout(scale (E[source] + P[position]))).    (B, T) -> (B, T, D), mask, caches"""
        if self.source == "user":
            x, of_source = self.user_embedding.forward(source)  # (B, 1, D)
            of_position, mask = None, None
        else:
            x, of_source = self.item_embedding.forward(source)  # (B, T, D)
            p, of_position = self.position_embedding.forward(positions(source))  # (B, T, D)
            x, mask = x + p, nn.padding_mask(source)
        x, of_dropout = F.dropout_forward(self.scale * x, self.dropout, rng)
        memory, of_encoder = self.transformer.encoder.forward(x, mask, rng=rng)
        return memory, mask, (of_source, of_position, of_dropout, of_encoder)

    def decode(
        self, memory: Array, mask: Array | None, candidates: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, tuple[Any, Any, Any, Any]]:
        """scores = decoder(dropout(scale E[candidates]), memory) w + b.    (B, C) -> (B, C), caches"""
        c, of_c = self.item_embedding.forward(candidates)  # (B, C, D)
        c, of_dropout = F.dropout_forward(self.scale * c, self.dropout, rng)
        alone = nn.diagonal_mask(candidates.shape[-1]) if self.candidates == "pointwise" else None
        y, of_decoder = self.transformer.decoder.forward(c, memory, alone, mask, rng=rng)  # (B, C, D)
        s, of_s = self.score.forward(y)  # (B, C, 1)
        return s[..., 0], (of_c, of_dropout, of_decoder, of_s)

    def forward(
        self, source: Array, candidates: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, NetworkCache]:
        memory, mask, of_encode = self.encode(source, rng)
        scores, of_decode = self.decode(memory, mask, candidates, rng)
        return scores, NetworkCache(*of_encode, *of_decode)

    def backward(self, ds: Array, cache: NetworkCache) -> tuple[None, Grads]:
        dy, score = self.score.backward(ds[..., None], cache.score)
        (dx, dc), transformer = self.transformer.backward(dy, TransformerCache(cache.encoder, cache.decoder))
        dc = self.scale * F.dropout_backward(dc, cache.candidate_dropout)
        dx = self.scale * F.dropout_backward(dx, cache.source_dropout)
        _, item = self.item_embedding.backward(dc, cache.candidates)
        if self.source == "user":
            _, table = self.user_embedding.backward(dx, cache.source)
            grads = prefixed("item_embedding", item) | prefixed("user_embedding", table)
        else:
            _, history = self.item_embedding.backward(dx, cache.source)
            _, table = self.position_embedding.backward(dx, cache.position)
            item = {"E": item["E"] + history["E"]}  # tied: the table is read twice, both uses add up
            grads = prefixed("item_embedding", item) | prefixed("position_embedding", table)
        return None, grads | prefixed("transformer", transformer) | prefixed("score", score)
