"""Stacks of blocks: the encoder and the decoder. The Transformer that they make is in transformer.py."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minirec.verify.formula import Built, Formula, Property, Rng
from minirec.verify.formulas.blocks import (
    decoder_block,
    encoder_block,
    parameters_of_decoder_block,
    parameters_of_encoder_block,
)
from minirec.verify.formulas.drawing import normal, short
from minirec.verify.formulas.heads import hidden_before
from minirec.verify.formulas.layers import layer_norm
from minirec.verify.formulas.modules import own_rng
from minirec.verify.formulas.properties import block as own
from minirec.verify.formulas.properties.calling import BATCH, child, counted

Params = Mapping[str, Any]


def encoder(p: Params, x: Any, mask: Any = None, *, layers: int, rng: Any = None, **settings: Any) -> Any:
    """Block after block; with pre-norm a last layer norm, since the sum was never normalized."""
    for i in range(layers):
        x = encoder_block(child(p, f"blocks.{i}"), x, mask, rng=rng, **settings)
    return _last_norm(p, x, **settings)


def decoder(
    p: Params,
    x: Any,
    memory: Any,
    self_mask: Any = None,
    cross_mask: Any = None,
    *,
    layers: int,
    rng: Any = None,
    **settings: Any,
) -> Any:
    """Block after block, all of which read the same memory; with pre-norm a last layer norm."""
    for i in range(layers):
        x = decoder_block(child(p, f"blocks.{i}"), x, memory, self_mask, cross_mask, rng=rng, **settings)
    return _last_norm(p, x, **settings)


def _last_norm(p: Params, x: Any, *, norm: str = "pre", **settings: Any) -> Any:
    return layer_norm(x, **child(p, "norm")) if norm != "post" else x


def parameters_of_encoder(*, layers: int, width: int, norm: str = "pre", **settings: Any) -> int:
    """layers times that of a block, and 2 D more unless post-norm"""
    return layers * parameters_of_encoder_block(width=width, **settings) + 2 * width * (norm != "post")


def parameters_of_decoder(*, layers: int, width: int, norm: str = "pre", **settings: Any) -> int:
    """layers times that of a block, and 2 D more unless post-norm"""
    return layers * parameters_of_decoder_block(width=width, **settings) + 2 * width * (norm != "post")


def built(rng: Rng, width: int, heads: int, *inputs: Any, **settings: Any) -> Built:
    """A stack of this width with 5 hidden units; dropout gets a generator."""
    options = {"rng": own_rng(rng)} if settings.get("dropout") else {}
    return Built({"width": width, "heads": heads, "hidden": 5, **settings}, inputs, options)


B_K = ("*.b_k",)  # adds one number to all scores of a query; softmax does not see it
CAUSAL = np.tri(3, dtype=bool)

FORMULAS = (
    Formula(
        name="Encoder",
        meaning="Encoder blocks one after the other; with pre-norm a last layer norm.",
        latex=r"x_0 = x, \quad x_{l+1} = \mathrm{EncoderBlock}_l(x_l), \quad "
        r"\text{pre: } y = \mathrm{LN}(x_L), \quad \text{post: } y = x_L",
        source="the document, section 3.1; Vaswani et al. 2017, section 3.1; pre-norm: Xiong et al. 2020",
        ours="minirec.nn.Encoder",
        definition=encoder,
        places={
            "example": lambda rng: built(rng, 4, 2, short(rng, 2, 4), layers=1, activation="gelu"),
            "pre-norm, padding": lambda rng: built(
                rng, 4, 2, normal(rng, 2, 3, 4), hidden_before(1, 0, T=3), layers=2
            ),
            "post-norm, gelu, causal mask": lambda rng: built(
                rng, 6, 3, normal(rng, 2, 3, 6), CAUSAL, layers=2, norm="post", activation="gelu"
            ),
            "dropout": lambda rng: built(rng, 3, 3, normal(rng, 2, 3, 3), layers=2, dropout=0.3),
        },
        properties=(
            Property("places have no order", own.no_order("x", {"mask": "qk"}, True), 1e-12),
            Property(
                "who is not seen has no influence", own.only_through_masks("x", own.within_encoder), 0.0
            ),
            Property("padding changes nothing", own.no_padding("x", {"mask": "qk"}, True), 1e-12),
            Property("the prefix of y from the prefix of x", own.shorter("x", "mask"), 1e-12),
            Property("layers times a block's parameters, + 2 D", counted(parameters_of_encoder), 0.0),
            *BATCH,
        ),
        zero=dict.fromkeys(("example", "pre-norm, padding", "post-norm, gelu, causal mask", "dropout"), B_K),
        method="complex",
    ),
    Formula(
        name="Decoder",
        meaning="Decoder blocks that all read the same memory; with pre-norm a last layer norm.",
        latex=r"x_0 = x, \quad x_{l+1} = \mathrm{DecoderBlock}_l(x_l, m), \quad "
        r"\text{pre: } y = \mathrm{LN}(x_L), \quad \text{post: } y = x_L",
        source="the document, section 3.1; Vaswani et al. 2017, section 3.1; pre-norm: Xiong et al. 2020",
        ours="minirec.nn.Decoder",
        definition=decoder,
        places={
            "example": lambda rng: built(
                rng, 4, 2, short(rng, 2, 4), short(rng, 3, 4), layers=1, activation="gelu"
            ),
            "pre-norm, causal mask, padding": lambda rng: built(
                rng,
                4,
                2,
                normal(rng, 2, 3, 4),
                normal(rng, 2, 5, 4),
                CAUSAL,
                hidden_before(2, 0, T=5),
                layers=2,
            ),
            "post-norm, gelu, one row all padding": lambda rng: built(
                rng,
                3,
                3,
                normal(rng, 2, 3, 3),
                normal(rng, 2, 5, 3),
                CAUSAL,
                hidden_before(1, 5, T=5),
                layers=2,
                norm="post",
                activation="gelu",
            ),
            "dropout": lambda rng: built(
                rng, 3, 3, normal(rng, 2, 3, 3), normal(rng, 2, 5, 3), layers=2, dropout=0.3
            ),
        },
        properties=(
            Property(
                "targets have no order",
                own.no_order("x", {"self_mask": "qk", "cross_mask": "q"}, True),
                1e-12,
            ),
            Property("the memory has no order", own.no_order("memory", {"cross_mask": "k"}, False), 1e-12),
            Property(
                "who is not seen has no influence", own.only_through_masks("x", own.within_decoder), 0.0
            ),
            Property(
                "memory that is not seen has no influence",
                own.only_through_masks("memory", own.memory_to_decoder),
                0.0,
            ),
            Property(
                "padding of the memory changes nothing",
                own.no_padding("memory", {"cross_mask": "k"}, False),
                1e-12,
            ),
            Property(
                "the prefix of y from the prefix of x", own.shorter("x", "self_mask", "cross_mask"), 1e-12
            ),
            Property("layers times a block's parameters, + 2 D", counted(parameters_of_decoder), 0.0),
            *BATCH,
        ),
        zero=dict.fromkeys(
            ("example", "pre-norm, causal mask, padding", "post-norm, gelu, one row all padding", "dropout"),
            B_K,
        ),
        method="complex",
    ),
)
