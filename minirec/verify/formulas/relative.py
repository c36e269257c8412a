"""Attention over distances and a memory: the layers of Transformer-XL (its network: transformer_xl.py)."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minirec.verify.formula import Built, Formula, Property, Rng
from minirec.verify.formulas.blocks import residual
from minirec.verify.formulas.drawing import normal, ragged, short
from minirec.verify.formulas.heads import hidden_before
from minirec.verify.formulas.layers import layer_norm, linear
from minirec.verify.formulas.modules import feed_forward, own_rng
from minirec.verify.formulas.properties import block, memory
from minirec.verify.formulas.properties import relative as own
from minirec.verify.formulas.properties.calling import child, counted
from minirec.verify.formulas.softmax import softmax
from minirec.verify.formulas.tables import sinusoidal_positions

Params = Mapping[str, Any]


def relative_attention(q: Any, k: Any, v: Any, r: Any, u: Any, w: Any, mask: Any = None) -> Any:
    """Query by query, over the visible keys that are not later: [(q + u) · k + (q + w) · r_distance] / √K."""
    Tq, Tk, K = q.shape[-2], k.shape[-2], q.shape[-1]
    visible = np.broadcast_to(True if mask is None else mask, (*q.shape[:-1], Tk))
    r = np.broadcast_to(r, (*q.shape[:-2], *r.shape[-2:]))
    u, w = (np.broadcast_to(bias, (*q.shape[:-2], K)) for bias in (u, w))
    y = np.zeros((*q.shape[:-1], v.shape[-1]))
    for *batch, i in np.ndindex(*q.shape[:-1]):
        b = tuple(batch)
        now = Tk - Tq + i  # the place of the query among the keys
        keys = [j for j in range(now + 1) if visible[(*b, i, j)]]
        scores = [
            math.fsum(
                (q[(*b, i, d)] + u[(*b, d)]) * k[(*b, j, d)]
                + (q[(*b, i, d)] + w[(*b, d)]) * r[(*b, now - j, d)]
                for d in range(K)
            )
            / math.sqrt(K)
            for j in keys
        ]
        p = softmax(np.array(scores))
        for d in range(v.shape[-1]):
            y[(*b, i, d)] = math.fsum(p[n] * v[(*b, j, d)] for n, j in enumerate(keys))
    return y


def relative_multi_head_attention(
    p: Params, query: Any, key: Any, u: Any, w: Any, mask: Any = None, *, width: int, heads: int
) -> Any:
    """One relative attention after the other, each on its own columns of the four projections."""
    K, none = width // heads, np.zeros(width)
    q, k, v = (linear(x, p[W], none) for x, W in ((query, "W_q"), (key, "W_k"), (key, "W_v")))
    r = linear(sinusoidal_positions(key.shape[-2], width), p["W_r"], none)
    seen = np.broadcast_to(True if mask is None else mask, (*q.shape[:-2], heads, q.shape[-2], k.shape[-2]))
    side_by_side = np.zeros(q.shape)
    for h in range(heads):
        part = slice(h * K, (h + 1) * K)
        side_by_side[..., part] = relative_attention(
            q[..., part], k[..., part], v[..., part], r[..., part], u[h], w[h], seen[..., h, :, :]
        )
    return linear(side_by_side, p["W_o"], none)


def relative_block(
    p: Params,
    x: Any,
    u: Any,
    w: Any,
    mask: Any = None,
    *,
    width: int,
    heads: int,
    hidden: int,
    norm: str = "pre",
    activation: str = "relu",
    dropout: float = 0.0,
    memory: Any = None,
    rng: Any = None,
) -> Any:
    """Attention to the memory, normalized as x is, and to x itself; then feed-forward; each in a residual."""

    def attend(z: Any) -> Any:
        m = z[..., :0, :] if memory is None else memory
        m = layer_norm(m, **child(p, "norm1")) if norm != "post" else m
        key = np.concatenate([m, z], axis=-2)
        q = child(p, "attention")
        return relative_multi_head_attention(q, z, key, u, w, mask, width=width, heads=heads)

    def feed(z: Any) -> Any:
        return feed_forward(child(p, "feed_forward"), z, width=width, hidden=hidden, activation=activation)

    x = residual(x, attend, child(p, "norm1"), norm, dropout, rng)
    return residual(x, feed, child(p, "norm2"), norm, dropout, rng)


def parameters_of_block(*, width: int, heads: int, hidden: int, **settings: Any) -> int:
    """5 D² + 2 · 2 D + 2 D F + F + D"""
    return 5 * width**2 + 4 * width + 2 * width * hidden + hidden + width


def _attention(rng: Rng, Tq: int, Tk: int, *mask: Any, lead: tuple[int, ...] = (2,), R: int = 0) -> Any:
    """K = 5, V = 3; r, u and w without the first of the leading axes, as for heads."""
    few = lead[1:]
    return (
        normal(rng, *lead, Tq, 5), normal(rng, *lead, Tk, 5), normal(rng, *lead, Tk, 3),
        normal(rng, *few, R or Tk, 5), normal(rng, *few, 5), normal(rng, *few, 5), *mask,
    )  # fmt: skip


def _module(heads: int, x: Any, *more: Any, options: Any = None, **settings: Any) -> Built:
    return Built({"width": x.shape[-1], "heads": heads, **settings}, (x, *more), options or {})


def _biases(rng: Rng, heads: int, K: int) -> tuple[Any, Any]:
    return normal(rng, heads, K), normal(rng, heads, K)


def _block(rng: Rng, *, M: int = 0, mask: Any = None, norm: str = "pre", **settings: Any) -> Built:
    """x (2, 3, 4), two heads. The memory is an option, since it is a constant."""
    options = {"memory": normal(rng, 2, M, 4)} if M else {}
    masks = () if mask is None else (mask,)
    x = normal(rng, 2, 3, 4)
    return _module(2, x, *_biases(rng, 2, 2), *masks, options=options, hidden=5, norm=norm, **settings)


BLOCK_PLACES: dict[str, Callable[[Rng], Built]] = {
    "example": lambda rng: _module(
        2, short(rng, 2, 4), short(rng, 2, 2), short(rng, 2, 2), hidden=3, activation="gelu"
    ),
    "memory": lambda rng: _block(rng, M=5),
    "pre-norm, padding": lambda rng: _block(rng, mask=hidden_before(2, 0, T=3)),
    "pre-norm, gelu, memory, padding": lambda rng: _block(
        rng, M=5, mask=hidden_before(3, 6, T=8), activation="gelu"
    ),
    "post-norm, memory": lambda rng: _block(rng, M=2, norm="post", activation="gelu"),
    "norm first, memory, padding": lambda rng: _block(rng, M=2, mask=hidden_before(4, 0, T=5), norm="first"),
    "one row all padding": lambda rng: _block(rng, mask=hidden_before(1, 3, T=3)),
    "dropout": lambda rng: _module(
        2, normal(rng, 2, 3, 4), *_biases(rng, 2, 2), hidden=5, dropout=0.3, options={"rng": own_rng(rng)}
    ),
}


RELATIVE_ATTENTION = Formula(
    name="relative_attention",
    meaning="Each query weighs the keys up to its place by what they hold and by how far back they stand.",
    latex=r"""\begin{aligned}
A_{ij} &= \frac{(q_i + u) \cdot k_j + (q_i + w) \cdot r_{i + M - j}}{\sqrt{K}}, \quad j \le i + M,
\quad M = T_k - T_q \\
y_i &= \sum_j p_{ij} v_j, \quad p_i = \mathrm{softmax}(A_i), \quad
\text{with a mask: over the keys } j \text{ with } m_{ij} = 1
\end{aligned}""",
    source="Dai et al. 2019, section 3.3, its v named w; the scale is that of Vaswani et al. 2017",
    ours="minirec.functional.relative_attention",
    definition=relative_attention,
    places={
        "example": lambda rng: (
            short(rng, 2, 2), short(rng, 3, 2), short(rng, 3, 1),
            short(rng, 3, 2), short(rng, 2), short(rng, 2),
        ),
        "no memory": lambda rng: _attention(rng, 5, 5),
        "memory": lambda rng: _attention(rng, 3, 7),
        "heads": lambda rng: _attention(rng, 3, 5, lead=(2, 3)),
        "heads, padding mask": lambda rng: _attention(
            rng, 2, 7, hidden_before(4, 0, T=7), lead=(2, 3)
        ),
        "mask, one query sees nothing": lambda rng: _attention(rng, 3, 7, ragged(rng, 2, 3, 7)),
        "one row all padding": lambda rng: _attention(
            rng, 3, 5, hidden_before(0, 5, T=5), lead=(2, 1)
        ),
        "more distances than keys": lambda rng: _attention(rng, 3, 5, R=11),
        "one query": lambda rng: _attention(rng, 1, 7),
        "scores far apart": lambda rng: tuple(
            2 * x for x in _attention(rng, 3, 7)
        ),
    },
    properties=(
        Property("causal attention without distances", own.causal_attention_without_distances, 1e-13),
        Property("another future leaves the past", own.the_future_does_not_matter, 0.0),
        Property("a query alone with the keys before it", own.a_query_alone_has_its_output, 1e-13),
        Property("what comes first may be cut off where it is masked", own.padding_may_be_cut_off, 1e-13),
        Property("masked keys in front change nothing", own.masked_keys_in_front_change_nothing, 1e-13),
        Property("an offset of all keys changes nothing", own.an_offset_of_keys_changes_nothing, 1e-13),
        Property("nor does an offset of all distances", own.an_offset_of_distances_changes_nothing, 1e-13),
        Property("queries move as u and w do", own.queries_move_as_their_biases, 1e-13),
        Property("dq adds up to du + dw", own.query_gradients_add_up, 1e-13),
        Property("distances that are too far get nothing", own.far_distances_get_nothing, 0.0),
        Property("a masked key does nothing and gets nothing", own.masked_keys_have_no_influence, 0.0),
        Property("what nobody sees cannot leak", own.what_nobody_sees_cannot_leak, 0.0),
        Property("a query that sees nothing gives and gets 0", own.a_query_that_sees_nothing, 0.0),
    ),
)  # fmt: skip

MULTI_HEAD = Formula(
    name="RelativeMultiHeadAttention",
    meaning="Several relative attentions side by side; the distances are sinusoids, projected as keys are.",
    latex=r"""\begin{aligned}
y &= [\mathrm{head}_1; \ldots; \mathrm{head}_H]\, W^O, \quad \mathrm{head}_h =
 \mathrm{RelativeAttention}(x W^Q_h, z W^K_h, z W^V_h, R\, W^R_h, u_h, w_h) \\
R_{t,2i} &= \sin(t / 10000^{2i/D}), \quad R_{t,2i+1} = \cos(t / 10000^{2i/D})
\end{aligned}""",
    source="Dai et al. 2019, section 3.3",
    ours="minirec.nn.RelativeMultiHeadAttention",
    definition=relative_multi_head_attention,
    places={
        "example": lambda rng: _module(
            2, short(rng, 2, 4), short(rng, 3, 4), short(rng, 2, 2), short(rng, 2, 2)
        ),
        "no memory": lambda rng: _module(2, normal(rng, 2, 3, 4), normal(rng, 2, 3, 4), *_biases(rng, 2, 2)),
        "memory": lambda rng: _module(3, normal(rng, 2, 5, 6), normal(rng, 2, 7, 6), *_biases(rng, 3, 2)),
        "padding mask": lambda rng: _module(
            2, normal(rng, 2, 3, 4), normal(rng, 2, 7, 4), *_biases(rng, 2, 2), hidden_before(3, 0, T=7)
        ),
        "one row all padding": lambda rng: _module(
            2, normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), *_biases(rng, 2, 2), hidden_before(0, 5, T=5)
        ),
        "one head": lambda rng: _module(1, normal(rng, 2, 3, 5), normal(rng, 2, 7, 5), *_biases(rng, 1, 5)),
    },
    properties=(
        Property("heads have no order", memory.heads_have_no_order, 1e-13),
        Property("a head that is not read has no effect", memory.a_head_that_is_not_read_has_no_effect, 0.0),
        Property("later keys have no influence", memory.later_keys_have_no_influence, 0.0),
        Property("a hidden key has no influence", memory.a_hidden_key_has_no_influence, 0.0),
        Property("the order of the keys counts", memory.the_order_of_keys_counts, 0.0),
        Property(
            "without W_r it does not, but for later keys", memory.without_distances_keys_have_no_order, 1e-13
        ),
        Property("5 D² parameters", counted(lambda width, heads: 5 * width * width), 0.0),
        *memory.BATCH,
    ),
)

RELATIVE_BLOCK = Formula(
    name="RelativeBlock",
    meaning="Attention to a constant memory and to itself, then the feed-forward network.",
    latex=r"""\begin{aligned}
\text{pre: } & x' = x + \mathrm{drop}(\mathrm{MultiHead}(z, [\mathrm{LN}_1(\mathrm{SG}(m)); z], u, w)),
 \quad z = \mathrm{LN}_1(x), & y &= x' + \mathrm{drop}(\mathrm{FFN}(\mathrm{LN}_2(x'))) \\
\text{post: } & x' = \mathrm{LN}_1(x + \mathrm{drop}(\mathrm{MultiHead}(x, [\mathrm{SG}(m); x], u, w))), &
 y &= \mathrm{LN}_2(x' + \mathrm{drop}(\mathrm{FFN}(x'))) \\
\text{first: } & x' = z + \mathrm{drop}(\mathrm{MultiHead}(z, [\mathrm{LN}_1(\mathrm{SG}(m)); z], u, w)),
 \quad z = \mathrm{LN}_1(x), & y &= z' + \mathrm{drop}(\mathrm{FFN}(z')), \quad z' = \mathrm{LN}_2(x')
\end{aligned}""",
    source="Dai et al. 2019, sections 3.2 and 3.3; the orders of norm and sum are those of EncoderBlock",
    ours="minirec.nn.RelativeBlock",
    definition=relative_block,
    places=BLOCK_PLACES,
    properties=(
        Property("the identity where sub-layers are 0", block.zero_sub_layers_make_the_identity, 0.0),
        Property("the memory is what stood before", memory.the_memory_is_what_stood_before, 1e-12),
        Property("a memory that is masked is none", memory.a_masked_memory_is_none, 1e-12),
        Property("a memory moves y, and nothing comes back to it", memory.a_memory_moves_y, 0.0),
        Property("later places have no influence", memory.later_places_have_no_influence, 0.0),
        Property("5 D² + 4 D + 2 D F + F + D parameters", counted(parameters_of_block), 0.0),
        *memory.BATCH,
    ),
    method="complex",
)

FORMULAS = (RELATIVE_ATTENTION, MULTI_HEAD, RELATIVE_BLOCK)
