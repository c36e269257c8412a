"""The blocks of the Transformer: skip connections around attention and feed-forward."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minirec.verify.formula import Built, Formula, Property, Rng
from minirec.verify.formulas import activations
from minirec.verify.formulas.drawing import normal, short
from minirec.verify.formulas.heads import hidden_before, multi_head_attention
from minirec.verify.formulas.layers import layer_norm, linear
from minirec.verify.formulas.modules import feed_forward, own_rng
from minirec.verify.formulas.properties import block as own
from minirec.verify.formulas.properties.calling import BATCH, child, counted

Params = Mapping[str, Any]


def residual(
    x: Any, f: Callable[[Any], Any], p_norm: Params, norm: str, rate: float = 0.0, rng: Any = None
) -> Any:
    """Pre-norm: x plus what f adds to it, f reading the normalized x. Post-norm: that sum, normalized.

    Norm first: everything reads the normalized x, the sum as well.
    """
    if norm == "first":
        x = layer_norm(x, **p_norm)
        return x + activations.dropout(f(x), rate, rng)
    if norm == "pre":
        return x + activations.dropout(f(layer_norm(x, **p_norm)), rate, rng)
    return layer_norm(x + activations.dropout(f(x), rate, rng), **p_norm)


def residual_of_a_product(x: Any, W: Any, gamma: Any, beta: Any, norm: str) -> Any:
    """The residual around f(z) = z W."""
    nothing = np.zeros(W.shape[1])
    return residual(x, lambda z: linear(z, W, nothing), {"gamma": gamma, "beta": beta}, norm)


class _Norm:
    """What a residual takes for its layer norm."""

    def __init__(self, gamma: Any, beta: Any) -> None:
        self.gamma, self.beta = gamma, beta

    def forward(self, x: Any) -> Any:
        return layer_norm(x, self.gamma, self.beta), None


def our_residual_of_a_product(ours: Any, x: Any, W: Any, gamma: Any, beta: Any, norm: str) -> Any:
    """Ours around the same f."""
    y, _ = ours(x, lambda z: (linear(z, W, 0 * beta), None), _Norm(gamma, beta), norm, 0.0, None)
    return y


def encoder_block(
    p: Params,
    x: Any,
    mask: Any = None,
    *,
    width: int,
    heads: int,
    hidden: int,
    norm: str = "pre",
    activation: str = "relu",
    dropout: float = 0.0,
    rng: Any = None,
) -> Any:
    """Self-attention, then feed-forward, each inside a residual."""

    def attend(z: Any) -> Any:
        return multi_head_attention(child(p, "attention"), z, z, z, mask, width=width, heads=heads)

    def feed(z: Any) -> Any:
        return feed_forward(child(p, "feed_forward"), z, width=width, hidden=hidden, activation=activation)

    x = residual(x, attend, child(p, "norm1"), norm, dropout, rng)
    return residual(x, feed, child(p, "norm2"), norm, dropout, rng)


def decoder_block(
    p: Params,
    x: Any,
    memory: Any,
    self_mask: Any = None,
    cross_mask: Any = None,
    *,
    width: int,
    heads: int,
    hidden: int,
    norm: str = "pre",
    activation: str = "relu",
    dropout: float = 0.0,
    rng: Any = None,
) -> Any:
    """Self-attention, attention to the memory, feed-forward, each inside a residual."""

    def attend(z: Any) -> Any:
        return multi_head_attention(child(p, "self_attention"), z, z, z, self_mask, width=width, heads=heads)

    def look_up(z: Any) -> Any:
        q = child(p, "cross_attention")
        return multi_head_attention(q, z, memory, memory, cross_mask, width=width, heads=heads)

    def feed(z: Any) -> Any:
        return feed_forward(child(p, "feed_forward"), z, width=width, hidden=hidden, activation=activation)

    x = residual(x, attend, child(p, "norm1"), norm, dropout, rng)
    x = residual(x, look_up, child(p, "norm2"), norm, dropout, rng)
    return residual(x, feed, child(p, "norm3"), norm, dropout, rng)


def parameters_of_encoder_block(*, width: int, heads: int, hidden: int, **settings: Any) -> int:
    """4 (D² + D) + 2 · 2 D + 2 D F + F + D"""
    return 4 * (width**2 + width) + 4 * width + 2 * width * hidden + hidden + width


def parameters_of_decoder_block(*, width: int, heads: int, hidden: int, **settings: Any) -> int:
    """8 (D² + D) + 3 · 2 D + 2 D F + F + D"""
    return 8 * (width**2 + width) + 6 * width + 2 * width * hidden + hidden + width


SMALL = {"width": 4, "heads": 2, "hidden": 3, "activation": "gelu"}
USUAL = {"width": 4, "heads": 2, "hidden": 5}
WIDE = {"width": 6, "heads": 3, "hidden": 5}

ENCODER_PLACES: dict[str, Callable[[Rng], Built]] = {
    "example": lambda rng: Built(SMALL, (short(rng, 2, 4),)),
    "pre-norm, relu, padding": lambda rng: Built(WIDE, (normal(rng, 2, 5, 6), hidden_before(2, 0, T=5))),
    "pre-norm, gelu": lambda rng: Built(USUAL | {"activation": "gelu"}, (normal(rng, 2, 3, 4),)),
    "post-norm, relu, causal mask": lambda rng: Built(
        USUAL | {"norm": "post"}, (normal(rng, 2, 3, 4), np.tri(3, dtype=bool))
    ),
    "post-norm, gelu, padding": lambda rng: Built(
        USUAL | {"norm": "post", "activation": "gelu"}, (normal(rng, 2, 3, 4), hidden_before(0, 1, T=3))
    ),
    "norm first, causal mask": lambda rng: Built(
        USUAL | {"norm": "first"}, (normal(rng, 2, 3, 4), np.tri(3, dtype=bool))
    ),
    "one row all padding": lambda rng: Built(USUAL, (normal(rng, 2, 3, 4), hidden_before(1, 3, T=3))),
    "dropout": lambda rng: Built(
        USUAL | {"dropout": 0.3}, (normal(rng, 2, 3, 4), np.tri(3, dtype=bool)), {"rng": own_rng(rng)}
    ),
    "dropout, evaluation": lambda rng: Built(USUAL | {"dropout": 0.3}, (normal(rng, 3, 4),)),
}

ENCODER_BLOCK = Formula(
    name="EncoderBlock",
    meaning="Self-attention, then the feed-forward network, each added to what it reads.",
    latex=r"""\begin{aligned}
\text{pre: } & x' = x + \mathrm{drop}(\mathrm{MultiHead}(z, z, z)), \quad z = \mathrm{LN}_1(x), &
 y &= x' + \mathrm{drop}(\mathrm{FFN}(\mathrm{LN}_2(x'))) \\
\text{post: } & x' = \mathrm{LN}_1(x + \mathrm{drop}(\mathrm{MultiHead}(x, x, x))), &
 y &= \mathrm{LN}_2(x' + \mathrm{drop}(\mathrm{FFN}(x'))) \\
\text{first: } & x' = z + \mathrm{drop}(\mathrm{MultiHead}(z, z, z)), \quad z = \mathrm{LN}_1(x), &
 y &= z' + \mathrm{drop}(\mathrm{FFN}(z')), \quad z' = \mathrm{LN}_2(x')
\end{aligned}""",
    source="the document, section 3.1; Vaswani et al. 2017, section 3.1; pre-norm: Xiong et al. 2020; "
    "norm first: the code of Kang & McAuley 2018",
    ours="minirec.nn.EncoderBlock",
    definition=encoder_block,
    places=ENCODER_PLACES,
    properties=(
        Property("the identity where sub-layers are 0", own.zero_sub_layers_make_the_identity, 0.0),
        Property("places have no order", own.no_order("x", {"mask": "qk"}, True), 1e-12),
        Property("who is not seen has no influence", own.only_through_masks("x", own.within_encoder), 0.0),
        Property("padding changes nothing", own.no_padding("x", {"mask": "qk"}, True), 1e-12),
        Property("the prefix of y from the prefix of x", own.shorter("x", "mask"), 1e-12),
        Property("4 (D² + D) + 4 D + 2 D F + F + D parameters", counted(parameters_of_encoder_block), 0.0),
        *BATCH,
    ),
    zero=dict.fromkeys(ENCODER_PLACES, ("*.b_k",)),
    method="complex",
)

DECODER_BLOCK = Formula(
    name="DecoderBlock",
    meaning="Self-attention, attention to a memory, then the feed-forward network.",
    latex=r"""\begin{aligned}
\text{pre: } & x' = x + \mathrm{drop}(\mathrm{MultiHead}(z, z, z)), \quad z = \mathrm{LN}_1(x) \\
& x'' = x' + \mathrm{drop}(\mathrm{MultiHead}(\mathrm{LN}_2(x'), m, m)) \\
& y = x'' + \mathrm{drop}(\mathrm{FFN}(\mathrm{LN}_3(x''))) \\
\text{post: } & x' = \mathrm{LN}_1(x + \mathrm{drop}(\mathrm{MultiHead}(x, x, x))) \\
& x'' = \mathrm{LN}_2(x' + \mathrm{drop}(\mathrm{MultiHead}(x', m, m))) \\
& y = \mathrm{LN}_3(x'' + \mathrm{drop}(\mathrm{FFN}(x'')))
\end{aligned}""",
    source="the document, section 3.1; Vaswani et al. 2017, section 3.1; pre-norm: Xiong et al. 2020",
    ours="minirec.nn.DecoderBlock",
    definition=decoder_block,
    places={
        "example": lambda rng: Built(SMALL, (short(rng, 2, 4), short(rng, 3, 4))),
        "pre-norm, causal mask, padding": lambda rng: Built(
            USUAL,
            (normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), np.tri(3, dtype=bool), hidden_before(2, 0, T=5)),
        ),
        "post-norm, gelu, one row all padding": lambda rng: Built(
            USUAL | {"norm": "post", "activation": "gelu"},
            (normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), np.tri(3, dtype=bool), hidden_before(1, 5, T=5)),
        ),
        "pre-norm, diagonal mask": lambda rng: Built(
            WIDE, (normal(rng, 2, 5, 6), normal(rng, 2, 3, 6), np.eye(5, dtype=bool))
        ),
        "dropout": lambda rng: Built(
            USUAL | {"dropout": 0.3}, (normal(rng, 2, 3, 4), normal(rng, 2, 5, 4)), {"rng": own_rng(rng)}
        ),
        "a memory of one place": lambda rng: Built(USUAL, (normal(rng, 2, 3, 4), normal(rng, 2, 1, 4))),
    },
    properties=(
        Property("the identity where sub-layers are 0", own.zero_sub_layers_make_the_identity, 0.0),
        Property(
            "targets have no order", own.no_order("x", {"self_mask": "qk", "cross_mask": "q"}, True), 1e-12
        ),
        Property("the memory has no order", own.no_order("memory", {"cross_mask": "k"}, False), 1e-12),
        Property("who is not seen has no influence", own.only_through_masks("x", own.within_decoder), 0.0),
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
        Property("the prefix of y from the prefix of x", own.shorter("x", "self_mask", "cross_mask"), 1e-12),
        Property(
            "over one place of memory queries and keys have no effect",
            own.over_one_place_queries_have_no_effect,
            0.0,
        ),
        Property("8 (D² + D) + 6 D + 2 D F + F + D parameters", counted(parameters_of_decoder_block), 0.0),
        *BATCH,
    ),
    zero={
        **dict.fromkeys(
            ("example", "pre-norm, causal mask, padding", "post-norm, gelu, one row all padding", "dropout"),
            ("*.b_k",),
        ),
        # Each target sees one key, itself.
        "pre-norm, diagonal mask": ["self_attention.[Wb]_[qk]", "cross_attention.b_k"],
        # Scores do not matter, nor does the norm that feeds the queries and nothing else.
        "a memory of one place": ["self_attention.b_k", "cross_attention.[Wb]_[qk]", "norm2.*"],
    },
    method="complex",
)

RESIDUAL = Formula(
    name="residual",
    meaning="A skip connection around a sub-layer, its layer norm before the sub-layer or after the sum.",
    latex=r"\text{pre: } y = x + \mathrm{drop}(f(\mathrm{LN}(x))), "
    r"\qquad \text{post: } y = \mathrm{LN}(x + \mathrm{drop}(f(x))), "
    r"\qquad \text{first: } y = z + \mathrm{drop}(f(z)), \; z = \mathrm{LN}(x)",
    source="post-norm: Vaswani et al. 2017, section 3.1; pre-norm: Xiong et al. 2020; norm first: the code "
    "of Kang & McAuley 2018",
    ours="minirec.nn.residual.residual_forward",
    definition=residual_of_a_product,
    places={
        "example": lambda rng: (short(rng, 2, 3), short(rng, 3, 3), short(rng, 3), short(rng, 3), "pre"),
        "pre-norm": lambda rng: (
            normal(rng, 2, 3, 5),
            normal(rng, 5, 5),
            normal(rng, 5),
            normal(rng, 5),
            "pre",
        ),
        "post-norm": lambda rng: (
            normal(rng, 2, 3, 5),
            normal(rng, 5, 5),
            normal(rng, 5),
            normal(rng, 5),
            "post",
        ),
        "norm first": lambda rng: (
            normal(rng, 2, 3, 5),
            normal(rng, 5, 5),
            normal(rng, 5),
            normal(rng, 5),
            "first",
        ),
    },
    properties=(
        Property("the skip connection alone where f is 0", own.without_f_it_is_the_skip_connection, 1e-13),
    ),
    value=our_residual_of_a_product,
)

FORMULAS = (RESIDUAL, ENCODER_BLOCK, DECODER_BLOCK)
