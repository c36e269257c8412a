"""SASRec, from the ids of a history to a state for each of its steps. Its losses are in step_losses.py."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minirec.verify.formula import Built, Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.activations import dropout as drop
from minirec.verify.formulas.heads import causal_mask, padding_mask
from minirec.verify.formulas.models import positions
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
from minirec.verify.formulas.stacks import encoder, parameters_of_encoder
from minirec.verify.formulas.tables import embedding

Params = Mapping[str, Any]
ORDERS = {"plain": "pre", "original": "first"}


def sasrec_network(
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
    residual: str,
    dropout: float,
    tied: bool = True,
    rng: Any = None,
) -> Any:
    """The rows of the items times √D plus those of their positions, 0 at padding; then causal blocks."""
    e = embedding(p["item_embedding.E"], ids)
    x = math.sqrt(embedding_dim) * e + embedding(p["position_embedding.E"], positions(ids))
    for place in np.ndindex(*ids.shape):
        if ids[place] == 0:
            x[place] = 0.0
    mask = np.logical_and(causal_mask(ids.shape[1]), padding_mask(ids))
    return encoder(
        child(p, "encoder"), drop(x, dropout, rng), mask, layers=num_layers, width=embedding_dim,
        heads=num_heads, hidden=hidden, norm=ORDERS[residual], dropout=dropout, rng=rng,
    )  # fmt: skip


# What must hold


def no_step_sees_a_later_one(place: Place, rng: Rng) -> float:
    """Other items from step t on leave the bits of all states before it."""
    (ids,) = inputs(place).values()
    h, gap = place(*place.args), 0.0
    for t in range(1, ids.shape[1]):
        later = (np.arange(ids.shape[1]) >= t) & (ids != 0)
        other = np.where(later, ids % setting(place, "n_items") + 1, ids)
        gap = max(gap, relative_gap(value(place, {"ids": other})[:, :t], h[:, :t]))
    return gap


def every_step_sees_the_ones_before(place: Place, rng: Rng) -> float | None:
    """0 where another oldest item moves every state after it, 1 where it does not."""
    if trains(place):
        return None
    (ids,) = inputs(place).values()
    first = (ids != 0) & (np.cumsum(ids != 0, axis=1) == 1)
    other = np.where(first, ids % setting(place, "n_items") + 1, ids)
    moved = np.abs(value(place, {"ids": other}) - place(*place.args)).max(axis=-1)
    return float(bool(np.any(moved[ids != 0] < 1e-9)))


def padding_changes_nothing(place: Place, rng: Rng) -> float | None:
    """Three more places of padding in front: the same states and gradients."""
    if trains(place):
        return None
    (ids,) = inputs(place).values()
    wide, dh = {"ids": np.pad(ids, ((0, 0), (3, 0)))}, place.upstream(rng) * (ids != 0)[..., None]
    visible = ids != 0
    return max(
        relative_gap(value(place, wide)[:, 3:][visible], place(*place.args)[visible]),
        gradient_gap(gradients(place, np.pad(dh, ((0, 0), (3, 0), (0, 0))), wide), gradients(place, dh)),
    )


def the_padding_row_is_not_used(place: Place, rng: Rng) -> float:
    """Row 0 of the table may hold any numbers, and gets no gradient."""
    E = place.module.params()["item_embedding.E"].copy()
    E[0] = 1e2 * rng.standard_normal(E.shape[1])
    dE = gradients(place, place.upstream(rng))["item_embedding.E"]
    return max(
        relative_gap(value(place, {"item_embedding.E": E}), place(*place.args)), float(np.abs(dE[0]).max())
    )


def parameters_of_network(
    *,
    n_items: int,
    embedding_dim: int,
    num_heads: int,
    num_layers: int,
    hidden: int,
    length: int,
    residual: str,
    dropout: float,
    tied: bool = True,
) -> int:
    """(I + 1) D, twice where there is a second table, + T D and those of the encoder"""
    within = parameters_of_encoder(layers=num_layers, width=embedding_dim, heads=num_heads, hidden=hidden)
    tables = 1 if tied else 2
    return (tables * (n_items + 1) + length) * embedding_dim + within


HISTORIES = np.array([[0, 0, 3, 1, 3], [7, 2, 5, 2, 4], [0, 0, 0, 0, 6]])


def _network(
    residual: str, ids: Any, *, width: int = 4, layers: int = 1, tied: bool = True, options: Any = None
) -> Built:
    """A network for 7 items; width 4 has two heads of width 2. Options turn dropout on."""
    return Built(
        {
            "tied": tied, "n_items": 7, "embedding_dim": width, "num_heads": 2 if width == 4 else width,
            "num_layers": layers, "hidden": 5, "length": 5, "residual": residual,
            "dropout": 0.3 if options else 0.0,
        },
        (ids,),
        options or {},
    )  # fmt: skip


PLACES = {
    "example": lambda rng: _network("plain", np.array([[0, 3, 1]])),
    "plain, two layers": lambda rng: _network("plain", HISTORIES, layers=2),
    "original": lambda rng: _network("original", HISTORIES, width=3),
    "dropout": lambda rng: _network("plain", HISTORIES, width=3, options={"rng": own_rng(rng)}),
    "a second table for the output": lambda rng: _network("plain", HISTORIES, width=3, tied=False),
}
# A second table is read by the loss and the scores, not by the network itself.
ZERO = dict.fromkeys(PLACES, ("*.b_k",)) | {"a second table for the output": ("*.b_k", "output_embedding.E")}


FORMULAS = (
    Formula(
        name="SASRecNetwork",
        meaning="The items of a history and their places become one state per step that sees no later step.",
        latex=r"""\begin{aligned}
x_t &= \sqrt{D}\, E_{s_t} + P_{t - \text{padding}}, \quad x_t = 0 \text{ at padding} \\
h &= \mathrm{Encoder}(\mathrm{drop}(x)), \quad t \text{ attends to } t' \le t \text{ without padding}
\end{aligned}""",
        source="Kang & McAuley 2018, section III",
        ours="minirec.models.sasrec.SASRecNetwork",
        definition=sasrec_network,
        places=PLACES,
        properties=(
            Property("no step sees a later one", no_step_sees_a_later_one, 0.0),
            Property("every step sees the ones before", every_step_sees_the_ones_before, 0.0),
            Property("padding changes nothing", padding_changes_nothing, 1e-12),
            Property("row 0 of the table is not used", the_padding_row_is_not_used, 0.0),
            Property("as many parameters as the parts have", counted(parameters_of_network), 0.0),
            *BATCH,
        ),
        zero=ZERO,
        method="complex",
    ),
)  # fmt: skip
