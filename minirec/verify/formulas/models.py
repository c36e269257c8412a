"""The document's model as a whole: from ids to one score per candidate."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minirec.verify.formula import Built, Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.activations import dropout as drop
from minirec.verify.formulas.heads import diagonal_mask, padding_mask
from minirec.verify.formulas.layers import linear
from minirec.verify.formulas.modules import own_rng
from minirec.verify.formulas.properties.calling import (
    BATCH,
    child,
    counted,
    gradient_gap,
    gradients,
    inputs,
    setting,
    trains,
    value,
)
from minirec.verify.formulas.stacks import decoder, encoder
from minirec.verify.formulas.tables import embedding
from minirec.verify.formulas.transformer import parameters_of_transformer

Params = Mapping[str, Any]


def transformer_network(
    p: Params,
    source_ids: Any,
    candidate_ids: Any,
    /,
    *,
    n_users: int,
    n_items: int,
    embedding_dim: int,
    num_heads: int,
    num_layers: int,
    hidden: int,
    length: int,
    source: str,
    candidates: str,
    dropout: float,
    rng: Any = None,
) -> Any:
    """Embed, encode the history or the user, let the candidates read it, and score each of them.

    A history is the rows of the item table plus the rows of its positions; the inputs of both halves are
    scaled by 2 √D; a candidate attends to itself alone (pointwise) or to all of its row (listwise).
    """
    blocks = {"width": embedding_dim, "heads": num_heads, "hidden": hidden, "dropout": dropout}
    scale = 2 * math.sqrt(embedding_dim)
    if source == "user":
        x, mask = embedding(p["user_embedding.E"], source_ids), None
    else:
        x = embedding(p["item_embedding.E"], source_ids)
        x = x + embedding(p["position_embedding.E"], positions(source_ids))
        mask = padding_mask(source_ids)
    x = drop(scale * x, dropout, rng)
    memory = encoder(child(p, "transformer.encoder"), x, mask, layers=num_layers, rng=rng, **blocks)
    c = drop(scale * embedding(p["item_embedding.E"], candidate_ids), dropout, rng)
    alone = diagonal_mask(candidate_ids.shape[-1]) if candidates == "pointwise" else None
    y = decoder(child(p, "transformer.decoder"), c, memory, alone, mask, layers=num_layers, rng=rng, **blocks)
    return linear(y, p["score.W"], p["score.b"])[..., 0]


def positions(ids: Any) -> Any:
    """How many items stand before each place: 0 for the oldest, and at the padding in front of it."""
    return np.array([[sum(bool(i != 0) for i in row[:t]) for t in range(len(row))] for row in ids])


def others_do_not_matter(place: Place, rng: Rng) -> float | None:
    """Pointwise: other candidates beside it leave the bits of a score."""
    if setting(place, "candidates") == "listwise":
        return None
    given, s = inputs(place)["candidates"], place(*place.args)
    gap = 0.0
    for c in range(given.shape[1]):
        other = rng.integers(1, setting(place, "n_items") + 1, given.shape)
        other[:, c] = given[:, c]
        gap = max(gap, relative_gap(value(place, {"candidates": other})[:, c], s[:, c]))
    return gap


def one_candidate_alone_has_its_score(place: Place, rng: Rng) -> float | None:
    if trains(place) or setting(place, "candidates") == "listwise":
        return None
    given = inputs(place)["candidates"]
    alone = [value(place, {"candidates": given[:, c : c + 1]})[:, 0] for c in range(given.shape[1])]
    return relative_gap(np.stack(alone, axis=1), place(*place.args))


def others_matter(place: Place, rng: Rng) -> float | None:
    """Listwise: 0 where another first candidate moves the scores of the rest, 1 where it does not."""
    if setting(place, "candidates") == "pointwise":
        return None
    other = inputs(place)["candidates"].copy()
    other[:, 0] = other[:, 0] % setting(place, "n_items") + 1
    moved = value(place, {"candidates": other}) - place(*place.args)
    return float(np.abs(moved[:, 1:]).min() < 1e-9)


def candidates_have_no_order(place: Place, rng: Rng) -> float | None:
    if trains(place):
        return None
    given = inputs(place)["candidates"]
    order = rng.permutation(given.shape[1])
    return relative_gap(value(place, {"candidates": given[:, order]}), place(*place.args)[:, order])


def over_one_user_queries_and_keys_have_no_effect(place: Place, rng: Rng) -> float | None:
    """A source of one place has weight 1, whatever the queries and keys."""
    if setting(place, "source") == "history":
        return None
    other = {
        name: rng.standard_normal(array.shape)
        for name, array in place.module.params().items()
        if ".self_attention." not in name and name.endswith(("W_q", "b_q", "W_k", "b_k"))
    }
    return relative_gap(value(place, other), place(*place.args))


def padding_changes_nothing(place: Place, rng: Rng) -> float | None:
    """Three more places of padding in front of every history: the same scores and gradients."""
    if trains(place) or setting(place, "source") == "user":
        return None
    wide = {"source": np.pad(inputs(place)["source"], ((0, 0), (3, 0)))}
    dy = place.upstream(rng)
    return max(
        relative_gap(value(place, wide), place(*place.args)),
        gradient_gap(gradients(place, dy, wide), gradients(place, dy)),
    )


def the_padding_row_has_no_influence(place: Place, rng: Rng) -> float | None:
    """Row 0 of the item table may hold any numbers where ids are padding."""
    if setting(place, "source") == "user":
        return None
    E = place.module.params()["item_embedding.E"].copy()
    E[0] = 1e2 * rng.standard_normal(E.shape[1])
    return relative_gap(value(place, {"item_embedding.E": E}), place(*place.args))


def the_padding_row_gets_no_gradient(place: Place, rng: Rng) -> float:
    """Not even where a candidate has id 0."""
    ids = inputs(place)["candidates"].copy()
    ids[:, 0] = 0
    dE = gradients(place, place.upstream(rng), {"candidates": ids})["item_embedding.E"]
    return float(np.abs(dE[0]).max())


def without_positions_a_history_has_no_order(place: Place, rng: Rng) -> float | None:
    """All rows of the position table alike: the items of a history may change places."""
    if trains(place) or setting(place, "source") == "user":
        return None
    P = place.module.params()["position_embedding.E"]
    alike = {"position_embedding.E": np.broadcast_to(P[0], P.shape).copy()}
    turned = inputs(place)["source"].copy()
    for row in turned:
        row[row != 0] = row[row != 0][::-1]
    return relative_gap(value(place, alike | {"source": turned}), value(place, alike))


def the_item_table_adds_up_both_uses(place: Place, rng: Rng) -> float | None:
    """Against a network whose histories read a copy of the items, in rows of their own."""
    if trains(place) or setting(place, "source") == "user":
        return None
    assert place.built is not None
    I, p = setting(place, "n_items"), place.module.params()
    ids, shown, dy = *inputs(place).values(), place.upstream(rng)
    E = p["item_embedding.E"]
    wider = type(place.module)(rng, **{**place.built.settings, "n_items": 2 * I})
    wider = wider.with_params({**p, "item_embedding.E": np.concatenate([E, E[1:]])})
    s, cache = wider.forward(np.where(ids == 0, 0, ids + I), shown)
    dE = wider.backward(dy, cache)[1]["item_embedding.E"]
    both = np.concatenate([dE[:1], dE[1 : I + 1] + dE[I + 1 :]])
    found = gradients(place, dy)["item_embedding.E"]
    return max(relative_gap(s, place(*place.args)), relative_gap(found, both))


def parameters_of_network(
    *,
    n_users: int,
    n_items: int,
    embedding_dim: int,
    num_heads: int,
    num_layers: int,
    hidden: int,
    length: int,
    source: str,
    candidates: str,
    dropout: float,
) -> int:
    """(I + 1) D, U D or T D, those of the Transformer, D + 1"""
    D = embedding_dim
    both = {"encoder_layers": num_layers, "decoder_layers": num_layers}
    within = parameters_of_transformer(width=D, heads=num_heads, hidden=hidden, **both)
    return (n_items + 1) * D + (n_users if source == "user" else length) * D + within + D + 1


HISTORIES = np.array([[0, 0, 3, 1, 3], [7, 2, 5, 2, 4], [0, 0, 0, 0, 0]])  # the last one is empty
CANDIDATES = np.array([[2, 5, 7, 5], [1, 3, 6, 6], [4, 1, 2, 3]])
USERS = np.array([[2], [0], [1]])


def _network(
    source: str, candidates: str, *inputs: Any, width: int = 4, layers: int = 1, options: Any = None
) -> Built:
    """A network for 3 users and 7 items; width 4 has two heads of width 2. Options turn dropout on."""
    return Built(
        {
            "n_users": 3, "n_items": 7, "embedding_dim": width, "num_heads": 2 if width == 4 else width,
            "num_layers": layers, "hidden": 7, "length": 5, "source": source, "candidates": candidates,
            "dropout": 0.3 if options else 0.0,
        },
        inputs,
        options or {},
    )  # fmt: skip


B_K = ["*.b_k"]  # adds one number to all scores of a query; softmax does not see it
ALONE = ["*self_attention.[Wb]_[qk]"]  # each candidate sees one key, itself
# One key here as well; norm2 of the decoder feeds the queries over it and nothing else.
ONE_USER = ["*encoder.*.attention.[Wb]_[qk]", "*cross_attention.[Wb]_[qk]", "*decoder.*.norm2.*"]

FORMULAS = (
    Formula(
        name="TransformerNetwork",
        meaning="The encoder reads a history or a user, the decoder candidates; each of them gets a score.",
        latex=r"""\begin{aligned}
x &= \begin{cases}
E_{\mathrm{history}} + P_{\mathrm{positions}} & \text{source: history, without its padding} \\
U_{\mathrm{user}} & \text{source: user}
\end{cases} \\
m &= \mathrm{Encoder}(\mathrm{drop}(2\sqrt{D}\, x)) \\
s_c &= w^T\, \mathrm{Decoder}(\mathrm{drop}(2\sqrt{D}\, E_{\mathrm{candidates}}), m)_c + b, \quad
 \text{pointwise: } c \text{ attends to itself and } m; \text{ listwise: to all candidates and } m
\end{aligned}""",
        source="the document, section 5.2, repaired: tables of their own for users and items, masks, a batch",
        ours="minirec.models.transformer_network.TransformerNetwork",
        definition=transformer_network,
        places={
            "example": lambda rng: _network(
                "history", "pointwise", np.array([[0, 3, 1]]), np.array([[2, 5]])
            ),
            "history, pointwise": lambda rng: _network("history", "pointwise", HISTORIES, CANDIDATES),
            "history, listwise, two layers": lambda rng: _network(
                "history", "listwise", HISTORIES[:2], CANDIDATES[:2], width=3, layers=2
            ),
            "user, pointwise": lambda rng: _network("user", "pointwise", USERS, CANDIDATES, width=3),
            "user, listwise": lambda rng: _network("user", "listwise", USERS, CANDIDATES, width=3),
            "dropout": lambda rng: _network(
                "history", "pointwise", HISTORIES, CANDIDATES, width=3, options={"rng": own_rng(rng)}
            ),
        },
        properties=(
            Property("pointwise scores do not depend on other candidates", others_do_not_matter, 0.0),
            Property("a candidate alone has its pointwise score", one_candidate_alone_has_its_score, 1e-12),
            Property("listwise scores depend on other candidates", others_matter, 0.0),
            Property("candidates have no order", candidates_have_no_order, 1e-12),
            Property(
                "over one user queries and keys have no effect",
                over_one_user_queries_and_keys_have_no_effect,
                0.0,
            ),
            Property("padding changes nothing", padding_changes_nothing, 1e-12),
            Property("row 0 of the item table has no influence", the_padding_row_has_no_influence, 0.0),
            Property("row 0 of the item table gets no gradient", the_padding_row_gets_no_gradient, 0.0),
            Property(
                "without positions a history has no order", without_positions_a_history_has_no_order, 1e-12
            ),
            Property("the item table adds up both of its uses", the_item_table_adds_up_both_uses, 1e-12),
            Property("as many parameters as the parts have", counted(parameters_of_network), 0.0),
            *BATCH,
        ),
        zero={
            "example": B_K + ALONE,
            "history, pointwise": B_K + ALONE,
            "history, listwise, two layers": B_K,
            "user, pointwise": B_K + ALONE + ONE_USER,
            "user, listwise": B_K + ONE_USER,
            "dropout": B_K + ALONE,
        },
        method="complex",
    ),
)
