"""Layers and blocks: named parameters, a forward and a backward method. They call `minirec.functional`."""

from minirec.nn.decoder import Decoder, DecoderBlock
from minirec.nn.dropout import Dropout
from minirec.nn.embedding import Embedding
from minirec.nn.encoder import Encoder, EncoderBlock
from minirec.nn.feed_forward import FeedForward
from minirec.nn.layer_norm import LayerNorm
from minirec.nn.linear import Linear
from minirec.nn.masks import causal_mask, diagonal_mask, padding_mask
from minirec.nn.module import Grads, Module
from minirec.nn.multi_head_attention import MultiHeadAttention, merge_heads, split_heads
from minirec.nn.relative_attention import RelativeBlock, RelativeMultiHeadAttention
from minirec.nn.transformer import Transformer

__all__ = [
    "Decoder",
    "DecoderBlock",
    "Dropout",
    "Embedding",
    "Encoder",
    "EncoderBlock",
    "FeedForward",
    "Grads",
    "LayerNorm",
    "Linear",
    "Module",
    "MultiHeadAttention",
    "RelativeBlock",
    "RelativeMultiHeadAttention",
    "Transformer",
    "causal_mask",
    "diagonal_mask",
    "merge_heads",
    "padding_mask",
    "split_heads",
]
