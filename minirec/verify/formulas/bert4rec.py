"""BERT4Rec: which items of a sequence are hidden, and the network that names them.

Its loss is cross_entropy, in losses.py.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minirec.verify.formula import Built, Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.activations import dropout as drop
from minirec.verify.formulas.activations import gelu
from minirec.verify.formulas.heads import padding_mask
from minirec.verify.formulas.layers import layer_norm, linear
from minirec.verify.formulas.models import positions
from minirec.verify.formulas.modules import own_rng
from minirec.verify.formulas.properties.calling import (
    child,
    counted,
    gradient_gap,
    gradients,
    inputs,
    rows,
    setting,
    trains,
    value,
)
from minirec.verify.formulas.stacks import encoder, parameters_of_encoder
from minirec.verify.formulas.tables import embedding

Params = Mapping[str, Any]


# Which items are hidden.


def cloze_mask(rng: Any, ids: Any, rho: float) -> Any:
    """Each place draws a number; in each row the items with the max(1, round(rho n)) smallest are hidden."""
    drawn = [[rng.random() for _ in row] for row in ids]  # padding draws as well: part of what is defined
    hidden = np.zeros(ids.shape, dtype=bool)
    for b, row in enumerate(ids):
        items = [t for t in range(len(row)) if row[t] != 0]
        for t in sorted(items, key=lambda t: drawn[b][t])[: max(1, round(rho * len(items)))]:
            hidden[b, t] = True
    return hidden


def no_padding_is_hidden(place: Place, rng: Rng) -> float:
    _, ids, _ = place.args
    return float(np.count_nonzero(place(*place.args) & (ids == 0)))


def as_many_as_asked_for(place: Place, rng: Rng) -> float:
    """Rows without an item hide nothing."""
    _, ids, rho = place.args
    n = (ids != 0).sum(axis=1)
    expected = [min(int(k), max(1, round(rho * int(k)))) for k in n]
    return float(np.abs(place(*place.args).sum(axis=1) - expected).max())


def the_items_do_not_matter(place: Place, rng: Rng) -> float:
    """Other items in the same places: the same places are hidden."""
    given, ids, rho = place.args
    other = np.where(ids != 0, rng.integers(1, 100, ids.shape), 0)
    return relative_gap(place(given, other, rho), place(*place.args))


def all_are_hidden_equally_often(place: Place, rng: Rng) -> float:
    """Over many rows like the first that has items, in standard errors."""
    _, ids, rho = place.args
    row = ids[(ids != 0).any(axis=1)][0]
    n, count = int((row != 0).sum()), 4000
    hidden = place(rng, np.tile(row, (count, 1)), rho)[:, row != 0]
    share = max(1, round(rho * n)) / n
    error = math.sqrt(share * (1 - share) / count)
    gap = float(np.abs(hidden.mean(axis=0) - share).max())
    return gap / error if error > 0 else gap


# The network.


def bert4rec_network(
    p: Params,
    ids: Any,
    /,
    *,
    n_items: int,
    embedding_dim: int,
    num_heads: int,
    num_layers: int,
    hidden: int,
    length: int,
    norm: str,
    dropout: float,
    rng: Any = None,
) -> Any:
    """Layer norm of the rows of the ids and of their positions; blocks in which padding is not seen.

    At each [MASK], row by row: a dense layer, GELU, layer norm, and the products with the rows of the items.
    """
    E = p["item_embedding.E"]
    x = embedding(E, ids) + embedding(p["position_embedding.E"], positions(ids))
    x = layer_norm(x, **child(p, "embedding_norm"))
    h = encoder(
        child(p, "encoder"), drop(x, dropout, rng), padding_mask(ids), layers=num_layers, width=embedding_dim,
        heads=num_heads, hidden=hidden, norm=norm, activation="gelu", dropout=dropout, rng=rng,
    )  # fmt: skip
    scores = []
    for place in np.ndindex(*ids.shape):
        if ids[place] == n_items + 1:
            z = gelu(linear(h[place][None], p["dense.W"], p["dense.b"]))
            (z,) = layer_norm(z, p["norm.gamma"], p["norm.beta"])
            terms = [[float(z[d] * E[i, d]) for d in range(embedding_dim)] for i in range(1, n_items + 1)]
            scores.append([math.fsum([*terms[i], float(p["bias"][i])]) for i in range(n_items)])
    return np.array(scores)


def _ids(place: Place) -> Any:
    (ids,) = inputs(place).values()
    return ids


def _masked(place: Place) -> Any:
    return _ids(place) == setting(place, "n_items") + 1


def both_sides_are_seen(place: Place, rng: Rng) -> float | None:
    """0 where another item anywhere in a row moves all scores of the row, and of no other row; else 1."""
    if trains(place):
        return None
    ids, masked, y = _ids(place), _masked(place), place(*place.args)
    row = np.nonzero(masked)[0]
    for b, t in np.argwhere((ids != 0) & ~masked):
        other = ids.copy()
        other[b, t] = ids[b, t] % setting(place, "n_items") + 1
        moved = np.abs(value(place, {"ids": other}) - y).max(axis=1)
        if (moved[row == b] < 1e-9).any() or (moved[row != b] > 1e-12).any():
            return 1.0
    return 0.0


def padding_changes_nothing(place: Place, rng: Rng) -> float | None:
    """Three more places of padding in front: the same scores and gradients."""
    if trains(place):
        return None
    wide, dy = {"ids": np.pad(_ids(place), ((0, 0), (3, 0)))}, place.upstream(rng)
    return max(
        relative_gap(value(place, wide), place(*place.args)),
        gradient_gap(gradients(place, dy, wide), gradients(place, dy)),
    )


def the_padding_row_is_not_used(place: Place, rng: Rng) -> float:
    """Row 0 of the table may hold any numbers, and gets no gradient."""
    E = place.module.params()["item_embedding.E"].copy()
    E[0] = 1e2 * rng.standard_normal(E.shape[1])
    dE = gradients(place, place.upstream(rng))["item_embedding.E"]
    return max(
        relative_gap(value(place, {"item_embedding.E": E}), place(*place.args)), float(np.abs(dE[0]).max())
    )


def the_table_adds_up_both_uses(place: Place, rng: Rng) -> float | None:
    """Against a network that reads a copy of the items, in rows of their own, and has no scores for them."""
    if trains(place):
        return None
    assert place.built is not None
    I, p, ids, masked = setting(place, "n_items"), place.module.params(), _ids(place), _masked(place)
    E = p["item_embedding.E"]
    wider = type(place.module)(rng, **{**place.built.settings, "n_items": 2 * I})
    wider = wider.with_params(
        {**p, "item_embedding.E": np.concatenate([E[:-1], E[1:]]), "bias": np.tile(p["bias"], 2)}
    )
    y, cache = wider.forward(np.where(masked, 2 * I + 1, np.where(ids == 0, 0, ids + I)))
    dy = place.upstream(rng)
    dE = wider.backward(np.concatenate([dy, 0 * dy], axis=1), cache)[1]["item_embedding.E"]
    both = np.concatenate([dE[:1], dE[1 : I + 1] + dE[I + 1 : -1], dE[-1:]])
    found = gradients(place, dy)["item_embedding.E"]
    return max(relative_gap(y[:, :I], place(*place.args)), relative_gap(found, both))


def a_row_is_the_same_alone(place: Place, rng: Rng) -> float | None:
    if trains(place) or len(_ids(place)) == 1:
        return None
    alone = [value(place, rows(place, slice(b, b + 1))) for b in range(len(_ids(place)))]
    return relative_gap(np.concatenate(alone), place(*place.args))


def micro_batches_add_up(place: Place, rng: Rng) -> float | None:
    if trains(place) or len(_ids(place)) == 1:
        return None
    dy, first = place.upstream(rng), int(_masked(place)[0].sum())  # scores of the first row
    one = gradients(place, dy[:first], rows(place, slice(0, 1)))
    rest = gradients(place, dy[first:], rows(place, slice(1, None)))
    return gradient_gap({name: one[name] + rest[name] for name in one}, gradients(place, dy))


def parameters_of_network(
    *,
    n_items: int,
    embedding_dim: int,
    num_heads: int,
    num_layers: int,
    hidden: int,
    length: int,
    norm: str,
    dropout: float,
) -> int:
    """(I + 2) D + T D, 2 D of their norm, those of the encoder, D D + D and 2 D of the head, I"""
    D = embedding_dim
    within = parameters_of_encoder(layers=num_layers, width=D, heads=num_heads, hidden=hidden, norm=norm)
    return (n_items + 2 + length) * D + 2 * D + within + D * D + 3 * D + n_items


# 7 items, [MASK] = 8: two hidden, the last one hidden, one hidden that was alone.
HISTORIES = np.array([[0, 3, 8, 3, 8], [7, 2, 5, 2, 8], [0, 0, 0, 0, 8]])


def _network(norm: str, ids: Any, *, width: int = 4, layers: int = 1, options: Any = None) -> Built:
    """A network for 7 items; width 4 has two heads of width 2. Options turn dropout on."""
    return Built(
        {
            "n_items": 7, "embedding_dim": width, "num_heads": 2 if width == 4 else width,
            "num_layers": layers, "hidden": 5, "length": 5, "norm": norm,
            "dropout": 0.3 if options else 0.0,
        },
        (ids,),
        options or {},
    )  # fmt: skip


NETWORKS = {
    "example": lambda rng: _network("pre", np.array([[0, 3, 8, 1]])),
    "pre-norm, two layers": lambda rng: _network("pre", HISTORIES, layers=2),
    "post-norm": lambda rng: _network("post", HISTORIES, width=3),
    "dropout": lambda rng: _network("pre", HISTORIES, width=3, options={"rng": own_rng(rng)}),
}


def _sequences(rng: Rng, *lengths: int) -> Any:
    """Random items after as much padding as makes all rows equally long."""
    T = max(lengths)
    return np.stack([np.pad(rng.integers(1, 12, n), (T - n, 0)) for n in lengths])


FORMULAS = (
    Formula(
        name="cloze_mask",
        meaning="Which items of a sequence are hidden, so that the rest must tell them.",
        latex=r"""m_{bt} = 1 \text{ at the } \max(1, \mathrm{round}(\rho\, n_b)) \text{ smallest } u_{bt}
\text{ of the } n_b \text{ items of row } b, \qquad u \sim \mathrm{Uniform}[0, 1)""",
        source="Sun et al. 2019, section 3.6",
        ours="minirec.models.bert4rec.cloze_mask",
        definition=cloze_mask,
        places={
            "example": lambda rng: (np.random.default_rng(1), np.array([[0, 4, 2, 7], [3, 1, 3, 5]]), 0.5),
            "rows of unequal length": lambda rng: (own_rng(rng), _sequences(rng, 7, 1, 13, 2, 0, 11), 0.2),
            "halves go to the even number": lambda rng: (own_rng(rng), _sequences(rng, 3, 5, 7, 1), 0.5),
            "everything": lambda rng: (own_rng(rng), _sequences(rng, 3, 5, 2), 1.0),
            "never fewer than one": lambda rng: (own_rng(rng), _sequences(rng, 5, 3, 7), 0.01),
        },
        properties=(
            Property("no padding is hidden", no_padding_is_hidden, 0.0),
            Property("max(1, round(rho n)) items of each row", as_many_as_asked_for, 0.0),
            Property("the items do not matter", the_items_do_not_matter, 0.0),
            Property("all are hidden equally often, in standard errors", all_are_hidden_equally_often, 6.0),
        ),
    ),
    Formula(
        name="BERT4RecNetwork",
        meaning="At each [MASK] of a sequence, the items on both sides of it give every item a score.",
        latex=r"""\begin{aligned}
x_t &= \mathrm{LN}(E_{s_t} + P_{t - \text{padding}}) \\
h &= \mathrm{Encoder}(\mathrm{drop}(x)), \quad t \text{ attends to every } t' \text{ without padding} \\
&\quad \text{pre: } \text{norms before the sums, one at the end}, \quad \text{post: } \text{after each sum} \\
z_t &= \mathrm{LN}(\mathrm{GELU}(h_t W + c)), \quad \text{score}_{t,i} = z_t \cdot E_i + b_i
\text{ where } s_t = \text{[MASK]}
\end{aligned}""",
        source="Sun et al. 2019, sections 3.2 to 3.5 (the first and the last layer norm: the authors' code)",
        ours="minirec.models.bert4rec.BERT4RecNetwork",
        definition=bert4rec_network,
        places=NETWORKS,
        properties=(
            Property("both sides are seen, and no other row", both_sides_are_seen, 0.0),
            Property("padding changes nothing", padding_changes_nothing, 1e-12),
            Property("row 0 of the table is not used", the_padding_row_is_not_used, 0.0),
            Property("the table adds up both of its uses", the_table_adds_up_both_uses, 1e-12),
            Property("as many parameters as the parts have", counted(parameters_of_network), 0.0),
            Property("a row is the same alone", a_row_is_the_same_alone, 1e-13),
            Property("gradients of micro-batches add up", micro_batches_add_up, 1e-13),
        ),
        zero=dict.fromkeys(NETWORKS, ("*.b_k",)),
        method="complex",
    ),
)  # fmt: skip
