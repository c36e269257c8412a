"""The Transformer decoder: blocks of self-attention, cross-attention to a memory, and feed-forward.

(Vaswani et al. 2017; section 3.1 of the document.) In a recommender the memory is the user's history and
the targets are the candidate items.
"""

from typing import Any, NamedTuple

import numpy as np

from minirec.functional import Array
from minirec.nn.feed_forward import FeedForward
from minirec.nn.layer_norm import LayerNorm
from minirec.nn.module import Grads, Module, prefixed
from minirec.nn.multi_head_attention import MultiHeadAttention
from minirec.nn.residual import ResidualCache, check_norm, residual_backward, residual_forward


class DecoderBlockCache(NamedTuple):
    self_attention: ResidualCache
    cross_attention: ResidualCache  # cross_attention.f.attention.p (..., H, C, T) are the weights
    feed_forward: ResidualCache


class DecoderBlock(Module):
    """Self-attention, cross-attention, feed-forward.    x (..., C, D), memory (..., T, D)  ->  (..., C, D)

    self_mask is broadcastable to (..., H, C, C), cross_mask to (..., H, C, T). norm, activation and dropout
    as in EncoderBlock. The memory is not normalized here: the encoder's last norm did that.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        width: int,
        heads: int,
        hidden: int,
        *,
        norm: str = "pre",
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        check_norm(norm)
        self.self_attention = MultiHeadAttention(rng, width, heads)
        self.norm1 = LayerNorm(width)
        self.cross_attention = MultiHeadAttention(rng, width, heads)
        self.norm2 = LayerNorm(width)
        self.feed_forward = FeedForward(rng, width, hidden, activation)
        self.norm3 = LayerNorm(width)
        self.norm, self.dropout = norm, dropout

    def forward(
        self,
        x: Array,
        memory: Array,
        self_mask: Array | None = None,
        cross_mask: Array | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> tuple[Array, DecoderBlockCache]:
        def attend(z: Array) -> tuple[Array, Any]:
            return self.self_attention.forward(z, z, z, self_mask)

        def attend_memory(z: Array) -> tuple[Array, Any]:
            return self.cross_attention.forward(z, memory, memory, cross_mask)

        norm, rate = self.norm, self.dropout
        x, of_self = residual_forward(x, attend, self.norm1, norm, rate, rng)
        x, of_cross = residual_forward(x, attend_memory, self.norm2, norm, rate, rng)
        x, of_feed = residual_forward(x, self.feed_forward.forward, self.norm3, norm, rate, rng)
        return x, DecoderBlockCache(of_self, of_cross, of_feed)

    def backward(self, dy: Array, cache: DecoderBlockCache) -> tuple[tuple[Array, Array], Grads]:
        def attend_backward(dz: Array, of_attention: Any) -> tuple[Array, Grads]:
            (dquery, dkey, dvalue), grads = self.self_attention.backward(dz, of_attention)
            return dquery + dkey + dvalue, grads  # one input played all three parts

        def attend_memory_backward(dz: Array, of_attention: Any) -> tuple[Array, tuple[Array, Grads]]:
            (dquery, dkey, dvalue), grads = self.cross_attention.backward(dz, of_attention)
            return dquery, (dkey + dvalue, grads)  # the memory is key and value

        norm = self.norm
        dx, feed_forward, norm3 = residual_backward(
            dy, self.feed_forward.backward, self.norm3, norm, cache.feed_forward
        )
        dx, (dmemory, cross_attention), norm2 = residual_backward(
            dx, attend_memory_backward, self.norm2, norm, cache.cross_attention
        )
        dx, self_attention, norm1 = residual_backward(
            dx, attend_backward, self.norm1, norm, cache.self_attention
        )
        grads = prefixed("self_attention", self_attention) | prefixed("norm1", norm1)
        grads |= prefixed("cross_attention", cross_attention) | prefixed("norm2", norm2)
        grads |= prefixed("feed_forward", feed_forward) | prefixed("norm3", norm3)
        return (dx, dmemory), grads


class DecoderCache(NamedTuple):
    blocks: list[DecoderBlockCache]
    last: Any  # of the last norm, pre-norm only


class Decoder(Module):
    """`layers` decoder blocks that all read the same memory; unless norm="post" a last layer norm."""

    def __init__(
        self,
        rng: np.random.Generator,
        layers: int,
        width: int,
        heads: int,
        hidden: int,
        *,
        norm: str = "pre",
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        self.blocks = [
            DecoderBlock(rng, width, heads, hidden, norm=norm, activation=activation, dropout=dropout)
            for _ in range(layers)
        ]
        self.norm = LayerNorm(width) if norm != "post" else None

    def forward(
        self,
        x: Array,
        memory: Array,
        self_mask: Array | None = None,
        cross_mask: Array | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> tuple[Array, DecoderCache]:
        caches = []
        for block in self.blocks:
            x, cache = block.forward(x, memory, self_mask, cross_mask, rng=rng)
            caches.append(cache)
        x, last = self.norm.forward(x) if self.norm else (x, None)
        return x, DecoderCache(caches, last)

    def backward(self, dy: Array, cache: DecoderCache) -> tuple[tuple[Array, Array], Grads]:
        dx, norm = self.norm.backward(dy, cache.last) if self.norm else (dy, {})
        dmemory: Any = 0.0
        of_blocks: list[Grads] = []
        for i in reversed(range(len(self.blocks))):
            (dx, from_block), grads = self.blocks[i].backward(dx, cache.blocks[i])
            dmemory = dmemory + from_block  # every block reads the memory
            of_blocks.insert(0, prefixed(f"blocks.{i}", grads))
        merged = {name: g for grads in [*of_blocks, prefixed("norm", norm)] for name, g in grads.items()}
        return (dx, dmemory), merged
