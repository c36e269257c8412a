"""Multi-head attention, how its heads are split and merged, and the masks that say who may look at whom."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minirec.verify.formula import Built, Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.attention import attention
from minirec.verify.formulas.drawing import normal, ragged, short
from minirec.verify.formulas.layers import linear
from minirec.verify.formulas.properties import head as own
from minirec.verify.formulas.properties.calling import BATCH, counted

Params = Mapping[str, Any]


def split_heads(x: Any, heads: int) -> Any:
    """Head h gets the columns h K .. (h + 1) K − 1 of every place; the head axis stands before time."""
    *lead, T, D = x.shape
    K = D // heads
    y = np.zeros((*lead, heads, T, K), dtype=x.dtype)
    for row in np.ndindex(*lead):
        for h, t, i in np.ndindex(heads, T, K):
            y[(*row, h, t, i)] = x[(*row, t, h * K + i)]
    return y


def merge_heads(x: Any) -> Any:
    """Column h K + i of a place is entry i of head h."""
    *lead, H, T, K = x.shape
    y = np.zeros((*lead, T, H * K), dtype=x.dtype)
    for row in np.ndindex(*lead):
        for h, t, i in np.ndindex(H, T, K):
            y[(*row, t, h * K + i)] = x[(*row, h, t, i)]
    return y


def causal_mask(T: int) -> Any:
    """Row t, column s: True where s is not later than t."""
    return np.array([[s <= t for s in range(T)] for t in range(T)])


def padding_mask(ids: Any) -> Any:
    """One row for all heads and all queries: True where the id is not 0."""
    return np.array([[[[bool(i != 0) for i in row]]] for row in ids])


def diagonal_mask(C: int) -> Any:
    """Row c, column d: True where c is d."""
    return np.array([[c == d for d in range(C)] for c in range(C)])


def multi_head_attention(
    p: Params, query: Any, key: Any, value: Any, mask: Any = None, *, width: int, heads: int
) -> Any:
    """One attention after the other, each on its own columns of the three projections; W_o mixes them."""
    K = width // heads
    q = linear(query, p["W_q"], p["b_q"])
    k = linear(key, p["W_k"], p["b_k"])
    v = linear(value, p["W_v"], p["b_v"])
    seen = np.broadcast_to(True if mask is None else mask, (*q.shape[:-2], heads, q.shape[-2], k.shape[-2]))
    side_by_side = np.zeros(q.shape)
    for h in range(heads):
        part = slice(h * K, (h + 1) * K)
        side_by_side[..., part] = attention(q[..., part], k[..., part], v[..., part], seen[..., h, :, :])
    return linear(side_by_side, p["W_o"], p["b_o"])


def merging_gives_it_back(place: Place, rng: Rng) -> float:
    return relative_gap(merge_heads(place(*place.args)), place.args[0])


def splitting_gives_it_back(place: Place, rng: Rng) -> float:
    x = place.args[0]
    return relative_gap(split_heads(place(x), x.shape[-3]), x)


def is_boolean(place: Place, rng: Rng) -> float:
    return float(place(*place.args).dtype != np.bool_)


def row_t_sees_t_places_more_than_the_first(place: Place, rng: Rng) -> float:
    (T,) = place.args
    return relative_gap(place(T).sum(axis=-1), np.arange(1, T + 1))


def each_sees_itself_alone(place: Place, rng: Rng) -> float:
    mask = place(*place.args)
    return float(not (mask.sum(axis=-1) == 1).all() or not np.diagonal(mask).all())


def shape_is_that_of_weights(place: Place, rng: Rng) -> float:
    B, T = place.args[0].shape
    return float(np.broadcast_shapes(place(*place.args).shape, (B, 7, 5, T)) != (B, 7, 5, T))


def hidden_before(*hidden: int, T: int) -> Any:
    """A padding mask (B, 1, 1, T): the first `hidden[b]` keys of row b cannot be seen."""
    return np.arange(T) >= np.array(hidden).reshape(-1, 1, 1, 1)


def _built(heads: int, *arrays: Any) -> Built:
    return Built({"width": arrays[0].shape[-1], "heads": heads}, arrays)


MULTI_HEAD = Formula(
    name="MultiHeadAttention",
    meaning="Several attentions side by side, each in a subspace of its own, mixed by one last matrix.",
    latex=r"\mathrm{MultiHead}(Q, K, V) = [\mathrm{head}_1; \ldots; \mathrm{head}_H]\, W^O + b^O, \quad"
    r" \mathrm{head}_h = \mathrm{Attention}(Q W^Q_h + b^Q_h,\; K W^K_h + b^K_h,\; V W^V_h + b^V_h)",
    source="the document, section 3.1; Vaswani et al. 2017, section 3.2.2, with biases",
    ours="minirec.nn.MultiHeadAttention",
    definition=multi_head_attention,
    places={
        "example": lambda rng: _built(2, short(rng, 2, 4), short(rng, 3, 4), short(rng, 3, 4)),
        "no mask": lambda rng: _built(2, normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), normal(rng, 2, 5, 4)),
        "padding mask": lambda rng: _built(
            3, normal(rng, 2, 5, 6), normal(rng, 2, 7, 6), normal(rng, 2, 7, 6), hidden_before(3, 0, T=7)
        ),
        "one row all padding": lambda rng: _built(
            2, normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), normal(rng, 2, 5, 4), hidden_before(0, 5, T=5)
        ),
        "one query sees nothing": lambda rng: _built(
            2, normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), normal(rng, 2, 5, 4), ragged(rng, 2, 2, 3, 5)
        ),
        "causal mask": lambda rng: _built(
            2, normal(rng, 5, 4), normal(rng, 5, 4), normal(rng, 5, 4), np.tri(5, dtype=bool)
        ),
        "one head": lambda rng: _built(
            1, normal(rng, 2, 3, 5), normal(rng, 2, 7, 5), normal(rng, 2, 7, 5), hidden_before(4, 0, T=7)
        ),
        "one key": lambda rng: _built(2, normal(rng, 2, 3, 4), normal(rng, 2, 1, 4), normal(rng, 2, 1, 4)),
        "four axes": lambda rng: _built(
            2, normal(rng, 3, 1, 2, 4), normal(rng, 3, 1, 5, 4), normal(rng, 3, 1, 5, 4)
        ),
    },
    # b_k adds one number to all scores of a query; softmax does not see it.
    zero=dict.fromkeys(
        (
            "example",
            "no mask",
            "padding mask",
            "one row all padding",
            "one query sees nothing",
            "causal mask",
            "one head",
            "four axes",
        ),
        ("b_k",),
    )
    | {"one key": ("query", "key", "W_q", "b_q", "W_k", "b_k")},
    properties=(
        Property("one head without projections is attention", own.one_head_is_attention, 1e-13),
        Property("heads have no order", own.heads_have_no_order, 1e-13),
        Property("a head that is not read has no effect", own.a_head_that_is_not_read_has_no_effect, 0.0),
        Property("keys have no order", own.keys_have_no_order, 1e-13),
        Property("queries do not meet", own.queries_do_not_meet, 1e-13),
        Property("a hidden key has no influence", own.a_hidden_key_has_no_influence, 0.0),
        Property("masking a key is removing it", own.masking_is_removing, 1e-13),
        Property("a hidden key gets no gradient", own.a_hidden_key_gets_no_gradient, 0.0),
        Property("NaN at a hidden key does not reach the output", own.nan_at_a_hidden_key_does_not_leak, 0.0),
        Property(
            "a query that sees nothing gives the bias", own.a_query_that_sees_nothing_gives_the_bias, 0.0
        ),
        Property("the key bias has no effect", own.the_key_bias_has_no_effect, 1e-12),
        Property(
            "over one key queries and keys have no effect", own.over_one_key_queries_have_no_effect, 0.0
        ),
        Property("4 (D² + D) parameters", counted(lambda width, heads: 4 * (width * width + width)), 0.0),
        *BATCH,
    ),
)

FORMULAS = (
    Formula(
        name="split_heads",
        meaning="The columns of a row are dealt out to the heads, in blocks.",
        latex=r"y_{h,t,i} = x_{t,\,hK+i}, \quad K = D / H",
        source="Vaswani et al. 2017, section 3.2.2",
        ours="minirec.nn.split_heads",
        definition=split_heads,
        places={
            "example": lambda rng: (short(rng, 2, 4), 2),
            "three axes": lambda rng: (normal(rng, 2, 5, 6), 3),
            "four axes": lambda rng: (normal(rng, 2, 3, 5, 14), 7),
            "one head": lambda rng: (normal(rng, 5, 7), 1),
            "heads of width 1": lambda rng: (normal(rng, 5, 7), 7),
        },
        properties=(Property("merging gives it back", merging_gives_it_back, 0.0),),
    ),
    Formula(
        name="merge_heads",
        meaning="The outputs of the heads stand side by side again.",
        latex=r"y_{t,\,hK+i} = x_{h,t,i}",
        source="Vaswani et al. 2017, section 3.2.2",
        ours="minirec.nn.merge_heads",
        definition=merge_heads,
        places={
            "example": lambda rng: (short(rng, 2, 3, 2),),
            "four axes": lambda rng: (normal(rng, 2, 3, 5, 7),),
            "five axes": lambda rng: (normal(rng, 2, 3, 5, 7, 2),),
        },
        properties=(Property("splitting gives it back", splitting_gives_it_back, 0.0),),
    ),
    Formula(
        name="causal_mask",
        meaning="A position sees itself and what came before it, never the future.",
        latex=r"m_{ts} = [\, s \le t \,]",
        source="Vaswani et al. 2017, section 3.2.3",
        ours="minirec.nn.causal_mask",
        definition=causal_mask,
        places={"example": lambda rng: (3,), "seven": lambda rng: (7,), "one": lambda rng: (1,)},
        properties=(
            Property("boolean", is_boolean, 0.0),
            Property("one place more in every row", row_t_sees_t_places_more_than_the_first, 0.0),
        ),
    ),
    Formula(
        name="padding_mask",
        meaning="Every query sees the places whose id is not 0, which is padding.",
        latex=r"m_{b,1,1,t} = [\, \mathrm{ids}_{bt} \ne 0 \,]",
        source="histories padded to one length; Kang & McAuley 2018",
        ours="minirec.nn.padding_mask",
        definition=padding_mask,
        places={
            "example": lambda rng: (np.array([[0, 0, 3], [0, 7, 1]]),),
            "a row of padding": lambda rng: (rng.integers(0, 3, (3, 5)) * np.array([[1], [0], [1]]),),
        },
        properties=(
            Property("boolean", is_boolean, 0.0),
            Property("of a shape that fits the weights", shape_is_that_of_weights, 0.0),
        ),
    ),
    Formula(
        name="diagonal_mask",
        meaning="Each position sees only itself, so that candidates do not know of each other.",
        latex=r"m_{cd} = [\, c = d \,]",
        source="candidates that are scored one by one; the document, section 5.2, repaired",
        ours="minirec.nn.diagonal_mask",
        definition=diagonal_mask,
        places={"example": lambda rng: (3,), "seven": lambda rng: (7,), "one": lambda rng: (1,)},
        properties=(
            Property("boolean", is_boolean, 0.0),
            Property("each position sees itself alone", each_sees_itself_alone, 0.0),
        ),
    ),
    MULTI_HEAD,
)
