"""Transformer-XL: histories in segments, each reading what the layers made of those before it.

    x = √D E[s],    h^n = block_n(h^{n−1}; memory^n),    memory^n = the last M inputs of block n

A block attends to its segment and to its memory by their distances, so that no place has a number and no
history is too long. The training loss is that of all segments; gradients stay inside a segment. Source: Dai
et al. 2019, with the ends of SASRec: one table E for input and output, the next item at every step.
"""

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minirec import functional as F
from minirec import nn
from minirec.data.sequences import pad_histories, trimmed
from minirec.functional import Array
from minirec.models.base import check_count
from minirec.models.next_item_recommender import RESIDUALS, NextItemRecommender
from minirec.nn.module import Grads, prefixed

Memory = list[Array | None]  # (B, up to M, D) for each block: its inputs before the segment


class NetworkCache(NamedTuple):
    item: Any
    dropout: Any
    segments: list[tuple[slice, list[Any]]]  # where each stands, and the caches of its blocks
    norm: Any


class TransformerXLNetwork(nn.Module):
    """ids (B, T), 0 = padding on the left  ->  h (B, T, D), the states: each step sees none that is later.

    Segments are counted from the newest item, so padding in front moves none of them. backward gives the
    gradients for memories that are constants.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        n_items: int,
        embedding_dim: int,
        num_heads: int,
        num_layers: int,
        hidden: int,
        segment: int,
        memory: int,
        residual: str,
        dropout: float,
    ) -> None:
        self.item_embedding = nn.Embedding(rng, n_items + 1, embedding_dim, padding=True, sparse=True)
        self.output_embedding = self.item_embedding
        self.u = np.zeros((num_heads, embedding_dim // num_heads))  # of the queries, for what a key holds
        self.w = np.zeros((num_heads, embedding_dim // num_heads))  # and for how far away it is
        norm = RESIDUALS[residual]
        self.blocks = [
            nn.RelativeBlock(rng, embedding_dim, num_heads, hidden, norm=norm, dropout=dropout)
            for _ in range(num_layers)
        ]
        self.norm = nn.LayerNorm(embedding_dim)
        self.segment, self.memory, self.dropout = segment, memory, dropout
        self.scale = math.sqrt(embedding_dim)

    def forward(self, ids: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, NetworkCache]:
        e, of_item = self.item_embedding.forward(ids)  # (B, T, D)
        visible = (ids != 0)[..., None].astype(e.real.dtype)
        x, of_dropout = F.dropout_forward(self.scale * e * visible, self.dropout, rng)
        memory: Memory = [None] * len(self.blocks)
        states, caches = [], []
        for now in segments(ids.shape[1], self.segment):
            known = ids[:, max(0, now.start - self.memory) : now.stop]  # (B, up to M + L)
            h, memory, of_blocks = self.segment_forward(x[:, now], memory, known, rng=rng)
            states.append(h)
            caches.append((now, of_blocks))
        h, of_norm = self.norm.forward(np.concatenate(states, axis=1))  # (B, T, D)
        return h, NetworkCache(of_item, of_dropout, caches, of_norm)

    def segment_forward(
        self, x: Array, memory: Memory, ids: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, Memory, list[Any]]:
        """The blocks over one segment x (B, L, D); ids are those of its memory and its own.

        Returns the last block's output, the memory of the next segment and the caches of the blocks.
        """
        mask, later, caches = nn.padding_mask(ids), [], []
        for block, m in zip(self.blocks, memory, strict=True):
            later.append(updated_memory(m, x, self.memory))
            x, cache = block.forward(x, self.u, self.w, mask, memory=m, rng=rng)
            caches.append(cache)
        return x, later, caches

    def backward(self, dh: Array, cache: NetworkCache) -> tuple[None, Grads]:
        dx, norm = self.norm.backward(dh, cache.norm)
        dx, total = dx.copy(), Grads()
        for now, of_blocks in cache.segments:  # in any order: no gradient runs from one to another
            dx[:, now], grads = self.segment_backward(dx[:, now], of_blocks)
            total = {name: total[name] + g if total else g for name, g in grads.items()}
        dx = F.dropout_backward(dx, cache.dropout)  # at padding it is that of row 0, which gets none
        _, item = self.item_embedding.backward(self.scale * dx, cache.item)
        return None, prefixed("item_embedding", item) | total | prefixed("norm", norm)

    def segment_backward(self, dy: Array, caches: list[Any]) -> tuple[Array, Grads]:
        """dx of one segment, and the gradients of u, w and the blocks."""
        total_u, total_w, of_blocks = 0.0 * self.u, 0.0 * self.w, list[Grads]()
        for i in reversed(range(len(self.blocks))):
            (dy, du, dw), grads = self.blocks[i].backward(dy, caches[i])
            total_u, total_w = total_u + du, total_w + dw  # shared by the blocks
            of_blocks.insert(0, prefixed(f"blocks.{i}", grads))
        return dy, {"u": total_u, "w": total_w} | {
            name: g for grads in of_blocks for name, g in grads.items()
        }


def segments(T: int, L: int) -> list[slice]:
    """0 .. T − 1 cut into pieces of L, of which the first may be shorter."""
    stops = range((T - 1) % L + 1, T + 1, L)
    return [slice(max(0, stop - L), stop) for stop in stops]


def updated_memory(memory: Array | None, h: Array, M: int) -> Array | None:
    """The last M places of [memory; h].    memory (B, up to M, D) or None, h (B, L, D)

    What the next segment reads as a constant: whoever computes gradients ends them here.
    """
    if M == 0:
        return None
    return (h if memory is None else np.concatenate([memory, h], axis=1))[:, -M:]


def reach(segment: int, memory: int, layers: int) -> int:
    """How many of the newest items the state after the last of them depends on.

    The last block reads M places before the last segment; each block below reads M before the segment in
    which the oldest of these stands.
    """
    places = segment + memory
    for _ in range(layers - 1):
        places = math.ceil(places / segment) * segment + memory
    return places


@dataclass(eq=False)
class TransformerXL(NextItemRecommender):
    """`TransformerXL(embedding_dim=64, length=200, segment=50, memory=50)`: the next item of long histories.

    length       of a history in training, the newest items; scores read as many as can matter (`reach`)
    segment      items that are read at once, at most `length`
    memory       places before the segment that each block reads; 0: segments know nothing of each other

    The other arguments are those of NextItemRecommender and NetworkRecommender; hidden=None stands for
    embedding_dim.
    """

    _: KW_ONLY
    length: int = 200
    segment: int = 50
    memory: int = 50

    network: TransformerXLNetwork = field(init=False, repr=False)

    whole_numbers = (*NextItemRecommender.whole_numbers, "segment")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.segment > self.length:
            raise ValueError(f"segment must be at most length {self.length}, got {self.segment}")
        check_count("memory", self.memory, least=0)
        if self.memory and self.segment == self.length:
            raise ValueError(
                f"memory {self.memory} would be read in scoring and never learned: with length = segment = "
                f"{self.segment} training sees one segment. Give a longer length, or memory=0"
            )

    def build(self, rng: np.random.Generator) -> TransformerXLNetwork:
        return TransformerXLNetwork(
            rng, self.n_items, self.embedding_dim, self.num_heads, self.num_layers,
            self.hidden or self.embedding_dim, self.segment, self.memory, self.residual, self.dropout,
        )  # fmt: skip

    def last_states(self, histories: Sequence[Array]) -> Array:
        ids = pad_histories(histories, reach(self.segment, self.memory, self.num_layers))
        return self.network.forward(ids[:, trimmed(ids) :])[0][:, -1]
