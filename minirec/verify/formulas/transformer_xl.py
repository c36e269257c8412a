"""Transformer-XL: from the ids of a history to its states, segment by segment."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minirec.verify.formula import Built, Formula, Property, Rng
from minirec.verify.formulas.activations import dropout as drop
from minirec.verify.formulas.heads import padding_mask
from minirec.verify.formulas.layers import layer_norm
from minirec.verify.formulas.modules import own_rng
from minirec.verify.formulas.properties import memory as own
from minirec.verify.formulas.properties.calling import BATCH, child, counted
from minirec.verify.formulas.relative import parameters_of_block, relative_block
from minirec.verify.formulas.sasrec_network import (
    HISTORIES,
    ORDERS,
    every_step_sees_the_ones_before,
    no_step_sees_a_later_one,
    padding_changes_nothing,
    the_padding_row_is_not_used,
)
from minirec.verify.formulas.tables import embedding

Params = Mapping[str, Any]


def transformer_xl_network(
    p: Params,
    ids: Any,
    /,
    *,
    n_items: int,
    embedding_dim: int,
    num_heads: int,
    num_layers: int,
    hidden: int,
    segment: int,
    memory: int,
    residual: str,
    dropout: float,
    rng: Any = None,
) -> Any:
    """Layer by layer: each reads its input in segments, counted from the end, and the M places before."""
    T = ids.shape[1]
    x = math.sqrt(embedding_dim) * embedding(p["item_embedding.E"], ids)
    for place in np.ndindex(*ids.shape):
        if ids[place] == 0:
            x[place] = 0.0
    x = drop(x, dropout, rng)
    for n in range(num_layers):
        y = np.zeros(x.shape)
        for stop in range(T, 0, -segment):
            start = max(0, stop - segment)
            first = max(0, start - memory)
            y[:, start:stop] = relative_block(
                child(p, f"blocks.{n}"), x[:, start:stop], p["u"], p["w"], padding_mask(ids[:, first:stop]),
                width=embedding_dim, heads=num_heads, hidden=hidden, norm=ORDERS[residual], dropout=dropout,
                memory=x[:, first:start], rng=rng,
            )  # fmt: skip
        x = y
    return layer_norm(x, **child(p, "norm"))


def parameters_of_network(
    *, n_items: int, embedding_dim: int, num_heads: int, num_layers: int, hidden: int, **settings: Any
) -> int:
    """(I + 1) D, u and w, those of the blocks, and 2 D of the last norm"""
    blocks = num_layers * parameters_of_block(width=embedding_dim, heads=num_heads, hidden=hidden)
    return (n_items + 1 + 2 + 2) * embedding_dim + blocks


def _network(
    residual: str, ids: Any, *, width: int = 4, layers: int = 1, segment: int = 5, options: Any = None
) -> Built:
    """A network for 7 items; width 4 has two heads of width 2. Options turn dropout on.

    Either one segment or no memory: a gradient that stops at a memory is not the derivative.
    """
    return Built(
        {
            "n_items": 7, "embedding_dim": width, "num_heads": 2 if width == 4 else width,
            "num_layers": layers, "hidden": 5, "segment": segment, "memory": 3 if segment == 5 else 0,
            "residual": residual, "dropout": 0.3 if options else 0.0,
        },
        (ids,),
        options or {},
    )  # fmt: skip


NETWORK_PLACES: dict[str, Callable[[Rng], Built]] = {
    "example": lambda rng: _network("plain", np.array([[0, 3, 1]])),
    "plain, two layers": lambda rng: _network("plain", HISTORIES, layers=2),
    "original": lambda rng: _network("original", HISTORIES, width=3),
    "two segments without memory": lambda rng: _network("plain", HISTORIES, layers=2, segment=3),
    "dropout": lambda rng: _network("plain", HISTORIES, width=3, options={"rng": own_rng(rng)}),
}

NETWORK = Formula(
    name="TransformerXLNetwork",
    meaning="The items of a history become one state per step, segment by segment.",
    latex=r"""\begin{aligned}
h^0_t &= \sqrt{D}\, E_{s_t}, \quad h^0_t = 0 \text{ at padding}, \quad
h^{n+1} = \mathrm{RelativeBlock}_n(h^n, m^n), \quad y = \mathrm{LN}(h^N) \\
m^n &= \mathrm{SG}(\text{the } M \text{ places of } h^n \text{ before the segment})
\end{aligned}""",
    source="Dai et al. 2019, section 3, with the embedding of Kang & McAuley 2018",
    ours="minirec.models.transformer_xl.TransformerXLNetwork",
    definition=transformer_xl_network,
    places=NETWORK_PLACES,
    properties=(
        Property("no step sees a later one", no_step_sees_a_later_one, 0.0),
        Property("every step sees the ones before", own.in_one_segment(every_step_sees_the_ones_before), 0.0),
        Property("padding changes nothing", padding_changes_nothing, 1e-12),
        Property("row 0 of the table is not used", the_padding_row_is_not_used, 0.0),
        Property("as many parameters as the parts have", counted(parameters_of_network), 0.0),
        *BATCH,
    ),
    method="complex",
)

FORMULAS = (NETWORK,)
