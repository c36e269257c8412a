"""The Transformer encoder: blocks of self-attention and feed-forward (Vaswani et al. 2017; section 3.1).

Where no position sees a later one, earlier positions stay what they are when new ones come. `extend` then
computes the new ones alone, from the keys and values that each block kept of the earlier ones.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minirec.functional import Array
from minirec.nn.feed_forward import FeedForward
from minirec.nn.layer_norm import LayerNorm
from minirec.nn.module import Grads, Module, prefixed
from minirec.nn.multi_head_attention import MultiHeadAttention
from minirec.nn.residual import ResidualCache, check_norm, residual_backward, residual_forward


class EncoderBlockCache(NamedTuple):
    attention: ResidualCache  # attention.f.attention.p (..., H, T, T) are the weights
    feed_forward: ResidualCache


class KeysValues(NamedTuple):
    """What a block keeps of the positions that it has read."""

    k: Array  # (..., H, t, K)
    v: Array  # (..., H, t, K)


class EncoderBlock(Module):
    """Self-attention, then feed-forward, each with skip connection and norm.    x (..., T, D) -> (..., T, D)

    norm "pre", "post" or "first" (residual.py), activation "relu" or "gelu", dropout on what each sub-layer
    adds to x.
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
        self.attention = MultiHeadAttention(rng, width, heads)
        self.norm1 = LayerNorm(width)
        self.feed_forward = FeedForward(rng, width, hidden, activation)
        self.norm2 = LayerNorm(width)
        self.norm, self.dropout = norm, dropout

    def forward(
        self, x: Array, mask: Array | None = None, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, EncoderBlockCache]:
        def attend(z: Array) -> tuple[Array, Any]:
            return self.attention.forward(z, z, z, mask)

        x, of_attention = residual_forward(x, attend, self.norm1, self.norm, self.dropout, rng)
        x, of_feed_forward = residual_forward(
            x, self.feed_forward.forward, self.norm2, self.norm, self.dropout, rng
        )
        return x, EncoderBlockCache(of_attention, of_feed_forward)

    def extend(
        self, x: Array, past: KeysValues | None = None, mask: Array | None = None
    ) -> tuple[Array, KeysValues]:
        """y at the n positions x (..., n, D) that follow the t of `past`, and the past of t + n positions.

        mask is broadcastable to (..., H, n, t + n). With a causal one this is what forward gives for all
        positions, its last n rows, to rounding: earlier ones do not change. No dropout, no gradients.
        """

        def attend(z: Array) -> tuple[Array, KeysValues]:
            k, v, _ = self.attention.project_kv(z)  # (..., H, n, K)
            if past is not None:
                k, v = np.concatenate([past.k, k], axis=-2), np.concatenate([past.v, v], axis=-2)
            y, _ = self.attention.attend(z, k, v, mask)
            return y, KeysValues(k, v)

        x, of_attention = residual_forward(x, attend, self.norm1, self.norm, 0.0, None)
        x, _ = residual_forward(x, self.feed_forward.forward, self.norm2, self.norm, 0.0, None)
        return x, of_attention.f

    def backward(self, dy: Array, cache: EncoderBlockCache) -> tuple[Array, Grads]:
        return encoder_block_backward(self, dy, cache)


def encoder_block_backward(block: EncoderBlock, dy: Array, cache: EncoderBlockCache) -> tuple[Array, Grads]:
    """dx and the gradients of the block's parameters by dotted name.    dy (..., T, D) -> dx (..., T, D)

    Back through the feed-forward layer first, then through the attention, whose one input is query, key and
    value: x -> norm, attention, skip -> norm, feed-forward, skip -> y.
    """
    dx, feed_forward, norm2 = residual_backward(
        dy, block.feed_forward.backward, block.norm2, block.norm, cache.feed_forward
    )

    def attend_backward(dz: Array, of_attention: Any) -> tuple[Array, Grads]:
        (dquery, dkey, dvalue), grads = block.attention.backward(dz, of_attention)
        return dquery + dkey + dvalue, grads  # one input played all three parts

    dx, attention, norm1 = residual_backward(dx, attend_backward, block.norm1, block.norm, cache.attention)
    grads = prefixed("attention", attention) | prefixed("norm1", norm1)
    return dx, grads | prefixed("feed_forward", feed_forward) | prefixed("norm2", norm2)


class EncoderCache(NamedTuple):
    blocks: list[EncoderBlockCache]
    last: Any  # of the last norm, pre-norm only


class Encoder(Module):
    """`layers` encoder blocks; unless norm="post" a last layer norm, since the sum was never normalized."""

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
            EncoderBlock(rng, width, heads, hidden, norm=norm, activation=activation, dropout=dropout)
            for _ in range(layers)
        ]
        self.norm = LayerNorm(width) if norm != "post" else None

    def forward(
        self, x: Array, mask: Array | None = None, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, EncoderCache]:
        caches = []
        for block in self.blocks:
            x, cache = block.forward(x, mask, rng=rng)
            caches.append(cache)
        x, last = self.norm.forward(x) if self.norm else (x, None)
        return x, EncoderCache(caches, last)

    def extend(
        self, x: Array, past: Sequence[KeysValues] | None = None, mask: Array | None = None
    ) -> tuple[Array, list[KeysValues]]:
        """The same as EncoderBlock.extend for all blocks, with one past for each."""
        grown = []
        for i, block in enumerate(self.blocks):
            x, kept = block.extend(x, past[i] if past else None, mask)
            grown.append(kept)
        return self.norm.forward(x)[0] if self.norm else x, grown

    def backward(self, dy: Array, cache: EncoderCache) -> tuple[Array, Grads]:
        dx, norm = self.norm.backward(dy, cache.last) if self.norm else (dy, {})
        of_blocks: list[Grads] = []
        for i in reversed(range(len(self.blocks))):
            dx, grads = self.blocks[i].backward(dx, cache.blocks[i])
            of_blocks.insert(0, prefixed(f"blocks.{i}", grads))
        return dx, {name: g for grads in [*of_blocks, prefixed("norm", norm)] for name, g in grads.items()}
