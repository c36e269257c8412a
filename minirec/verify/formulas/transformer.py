"""The Transformer: an encoder, and a decoder that reads what it made of the source."""

from collections.abc import Mapping
from typing import Any

from minirec.verify.formula import Formula, Property
from minirec.verify.formulas.drawing import normal, short
from minirec.verify.formulas.heads import hidden_before
from minirec.verify.formulas.properties import block as own
from minirec.verify.formulas.properties.calling import BATCH, child, counted
from minirec.verify.formulas.stacks import (
    B_K,
    CAUSAL,
    built,
    decoder,
    encoder,
    parameters_of_decoder,
    parameters_of_encoder,
)

Params = Mapping[str, Any]


def transformer(
    p: Params,
    source: Any,
    target: Any,
    source_mask: Any = None,
    target_mask: Any = None,
    cross_mask: Any = None,
    *,
    encoder_layers: int,
    decoder_layers: int,
    rng: Any = None,
    **settings: Any,
) -> Any:
    """The encoded source is the memory that the decoder of the target reads."""
    memory = encoder(child(p, "encoder"), source, source_mask, layers=encoder_layers, rng=rng, **settings)
    return decoder(
        child(p, "decoder"),
        target,
        memory,
        target_mask,
        cross_mask,
        layers=decoder_layers,
        rng=rng,
        **settings,
    )


def parameters_of_transformer(*, encoder_layers: int, decoder_layers: int, **settings: Any) -> int:
    """that of the encoder and that of the decoder"""
    return parameters_of_encoder(layers=encoder_layers, **settings) + parameters_of_decoder(
        layers=decoder_layers, **settings
    )


FORMULAS = (
    Formula(
        name="Transformer",
        meaning="The source is encoded once; in every decoder block the target reads the encoded source.",
        latex=r"m = \mathrm{Encoder}(s), \quad y = \mathrm{Decoder}(t, m)",
        source="the document, section 3.1; Vaswani et al. 2017, section 3",
        ours="minirec.nn.Transformer",
        definition=transformer,
        places={
            "example": lambda rng: built(
                rng,
                4,
                2,
                short(rng, 3, 4),
                short(rng, 2, 4),
                encoder_layers=1,
                decoder_layers=1,
                activation="gelu",
            ),
            "pre-norm, three masks": lambda rng: built(
                rng,
                4,
                2,
                normal(rng, 2, 5, 4),
                normal(rng, 2, 3, 4),
                hidden_before(2, 0, T=5),
                CAUSAL,
                hidden_before(2, 0, T=5),
                encoder_layers=1,
                decoder_layers=2,
            ),
            "post-norm, gelu, one row all padding": lambda rng: built(
                rng,
                3,
                3,
                normal(rng, 2, 5, 3),
                normal(rng, 2, 3, 3),
                hidden_before(5, 1, T=5),
                CAUSAL,
                hidden_before(5, 1, T=5),
                encoder_layers=2,
                decoder_layers=1,
                norm="post",
                activation="gelu",
            ),
            "causal source": lambda rng: built(
                rng,
                3,
                3,
                normal(rng, 3, 3),
                normal(rng, 3, 3),
                CAUSAL,
                CAUSAL,
                CAUSAL,
                encoder_layers=1,
                decoder_layers=1,
            ),
            "dropout": lambda rng: built(
                rng,
                3,
                3,
                normal(rng, 2, 5, 3),
                normal(rng, 2, 3, 3),
                encoder_layers=1,
                decoder_layers=1,
                dropout=0.3,
            ),
        },
        properties=(
            Property(
                "the source has no order",
                own.no_order("source", {"source_mask": "qk", "cross_mask": "k"}, False),
                1e-12,
            ),
            Property(
                "targets have no order",
                own.no_order("target", {"target_mask": "qk", "cross_mask": "q"}, True),
                1e-12,
            ),
            Property(
                "targets that are not seen have no influence",
                own.only_through_masks("target", own.target_to_target),
                0.0,
            ),
            Property(
                "sources that are not seen have no influence",
                own.only_through_masks("source", own.source_to_target),
                0.0,
            ),
            Property(
                "padding of the source changes nothing",
                own.no_padding("source", {"source_mask": "qk", "cross_mask": "k"}, False),
                1e-12,
            ),
            Property(
                "those of encoder and decoder are its parameters", counted(parameters_of_transformer), 0.0
            ),
            *BATCH,
        ),
        zero=dict.fromkeys(
            (
                "example",
                "pre-norm, three masks",
                "post-norm, gelu, one row all padding",
                "causal source",
                "dropout",
            ),
            B_K,
        ),
        method="complex",
    ),
)
