"""The encoder-decoder Transformer (Vaswani et al. 2017; section 3.1 of the document).

The source is encoded once; the target reads the encoded source, the memory, in every decoder block.
"""

from typing import NamedTuple

import numpy as np

from minirec.functional import Array
from minirec.nn.decoder import Decoder, DecoderCache
from minirec.nn.encoder import Encoder, EncoderCache
from minirec.nn.module import Grads, Module, prefixed


class TransformerCache(NamedTuple):
    encoder: EncoderCache
    decoder: DecoderCache


class Transformer(Module):
    """source (..., T, D), target (..., C, D)  ->  (..., C, D)

    source_mask is broadcastable to (..., H, T, T), target_mask to (..., H, C, C), cross_mask to
    (..., H, C, T): usually the padding mask of the source stands for source_mask and cross_mask.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        encoder_layers: int,
        decoder_layers: int,
        width: int,
        heads: int,
        hidden: int,
        *,
        norm: str = "pre",
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        self.encoder = Encoder(
            rng, encoder_layers, width, heads, hidden, norm=norm, activation=activation, dropout=dropout
        )
        self.decoder = Decoder(
            rng, decoder_layers, width, heads, hidden, norm=norm, activation=activation, dropout=dropout
        )

    def forward(
        self,
        source: Array,
        target: Array,
        source_mask: Array | None = None,
        target_mask: Array | None = None,
        cross_mask: Array | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> tuple[Array, TransformerCache]:
        memory, of_encoder = self.encoder.forward(source, source_mask, rng=rng)  # (..., T, D)
        y, of_decoder = self.decoder.forward(target, memory, target_mask, cross_mask, rng=rng)  # (..., C, D)
        return y, TransformerCache(of_encoder, of_decoder)

    def backward(self, dy: Array, cache: TransformerCache) -> tuple[tuple[Array, Array], Grads]:
        (dtarget, dmemory), decoder = self.decoder.backward(dy, cache.decoder)
        dsource, encoder = self.encoder.backward(dmemory, cache.encoder)
        return (dsource, dtarget), prefixed("encoder", encoder) | prefixed("decoder", decoder)
