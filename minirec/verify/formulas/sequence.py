"""Models of sequences: SASRec, from the ids of a history to its states, and the two losses of its steps."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minirec.verify.formula import Built, Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.activations import dropout as drop
from minirec.verify.formulas.drawing import normal, short
from minirec.verify.formulas.heads import causal_mask, padding_mask
from minirec.verify.formulas.losses import log_sigmoid
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
from minirec.verify.formulas.properties.weighted import never_negative
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


def step_softmax(h: Any, E: Any, targets: Any) -> float:
    """The mean of log Σ_i e^{h · E_i} − h · E_target over the items i = 1 .. I."""
    terms = []
    for n in range(len(h)):
        s = [_dot(h[n], E[i]) for i in range(1, len(E))]
        top = max(s)
        terms.append(top + math.log(math.fsum(math.exp(x - top) for x in s)) - s[int(targets[n]) - 1])
    return math.fsum(terms) / len(terms)


def step_bce(h: Any, E: Any, targets: Any, negatives: Any) -> float:
    """The mean of −log σ(h · E_target) − log σ(−h · E_negative), where σ(−x) = 1 − σ(x)."""
    terms = [
        -log_sigmoid(_dot(h[n], E[int(targets[n])])) - log_sigmoid(-_dot(h[n], E[int(negatives[n])]))
        for n in range(len(h))
    ]
    return math.fsum(terms) / len(terms)


def _dot(a: Any, b: Any) -> float:
    return math.fsum(float(a[d] * b[d]) for d in range(len(a)))


# What must hold of the network.


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
) -> int:
    """(I + 1) D + T D and those of the encoder"""
    within = parameters_of_encoder(layers=num_layers, width=embedding_dim, heads=num_heads, hidden=hidden)
    return (n_items + 1 + length) * embedding_dim + within


# What must hold of the losses.


def the_padding_row_is_no_item(place: Place, rng: Rng) -> float:
    """Row 0 of the table has no influence and gets no gradient."""
    h, E, *ids = place.args
    other = E.copy()
    other[0] = 10 * rng.standard_normal(E.shape[1])
    dE = place.gradients(1.0)[1]
    return max(relative_gap(place(h, other, *ids), place(*place.args)), float(np.abs(dE[0]).max()))


def the_mean_of_its_steps(place: Place, rng: Rng) -> float:
    h, E, *ids = place.args
    alone = [place(h[n : n + 1], E, *(part[n : n + 1] for part in ids)) for n in range(len(h))]
    return relative_gap(np.mean(alone), place(*place.args))


def a_small_step_down_its_slope_helps(place: Place, rng: Rng) -> float:
    h, *rest = place.args
    dh = place.gradients(1.0)[0]
    return float(place(h - 1e-3 * dh, *rest) >= place(h, *rest))


def one_other_item_is_bpr(place: Place, rng: Rng) -> float:
    """Over two items, softmax is −log σ of the difference of their scores."""
    h, E = place.args[:2]
    expected = np.mean([-log_sigmoid(_dot(row, E[1]) - _dot(row, E[2])) for row in h])
    return relative_gap(place(h, E[:3], np.ones(len(h), dtype=np.int64)), expected)


HISTORIES = np.array([[0, 0, 3, 1, 3], [7, 2, 5, 2, 4], [0, 0, 0, 0, 6]])


def _network(residual: str, ids: Any, *, width: int = 4, layers: int = 1, options: Any = None) -> Built:
    """A network for 7 items; width 4 has two heads of width 2. Options turn dropout on."""
    return Built(
        {
            "n_items": 7, "embedding_dim": width, "num_heads": 2 if width == 4 else width,
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
}


def _steps(rng: Rng, n: int, items: int, width: int) -> tuple[Any, ...]:
    """States (n, width), a table of `items` items and its padding row, targets, negatives."""
    table, ids = normal(rng, items + 1, width), rng.integers(1, items + 1, (2, n))
    return normal(rng, n, width), table, ids[0], ids[1]


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
        zero=dict.fromkeys(PLACES, ("*.b_k",)),
        method="complex",
    ),
    Formula(
        name="step_softmax",
        meaning="How far each step is from naming the next item, out of all items.",
        latex=r"""L = \frac{1}{N} \sum_n \Big[
\log \sum_{i=1}^{I} e^{h_n \cdot E_i} - h_n \cdot E_{t_n}\Big]""",
        source="Klenitskiy & Vasilev 2023",
        ours="minirec.models.sasrec.step_softmax",
        definition=step_softmax,
        places={
            "example": lambda rng: (short(rng, 2, 3), short(rng, 4, 3), np.array([1, 3])),
            "seven items": lambda rng: _steps(rng, 5, 7, 3)[:3],
            "large scores": lambda rng: (10 * normal(rng, 3, 2), 10 * normal(rng, 6, 2), np.array([5, 1, 5])),
        },
        properties=(
            Property("never negative", never_negative, 0.0),
            Property("row 0 of the table is no item", the_padding_row_is_no_item, 0.0),
            Property("the mean of its steps", the_mean_of_its_steps, 1e-14),
            Property("smaller after a small step down its slope", a_small_step_down_its_slope_helps, 0.0),
            Property("bpr where there are two items", one_other_item_is_bpr, 1e-13),
        ),
    ),
    Formula(
        name="step_bce",
        meaning="How far each step is from telling the next item from one that was not taken.",
        latex=r"""L = -\frac{1}{N} \sum_n \Big[\log \sigma(h_n \cdot E_{t_n}) +
\log \sigma(-h_n \cdot E_{j_n})\Big]""",
        source="Kang & McAuley 2018, section III-E",
        ours="minirec.models.sasrec.step_bce",
        definition=step_bce,
        places={
            "example": lambda rng: (
                short(rng, 2, 3), short(rng, 4, 3), np.array([1, 3]), np.array([2, 2])
            ),
            "seven items": lambda rng: _steps(rng, 5, 7, 3),
        },
        properties=(
            Property("never negative", never_negative, 0.0),
            Property("row 0 of the table is no item", the_padding_row_is_no_item, 0.0),
            Property("the mean of its steps", the_mean_of_its_steps, 1e-14),
            Property("smaller after a small step down its slope", a_small_step_down_its_slope_helps, 0.0),
        ),
    ),
)  # fmt: skip
