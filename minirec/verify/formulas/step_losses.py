"""The losses of the steps of a sequence: how far each state is from naming the item that came next.

They take the states, of the network in sasrec_network.py or of any other, and the table of the items.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.drawing import normal, short
from minirec.verify.formulas.losses import gbce_beta, log_one_plus, log_sigmoid
from minirec.verify.formulas.properties.weighted import never_negative


def over_steps(targets: Any, term: Callable[[tuple[int, ...]], float]) -> float:
    """The mean of term(step) over the steps whose target is not 0; 0 where there is none."""
    terms = [term(step) for step in np.ndindex(*targets.shape) if targets[step] != 0]
    return math.fsum(terms) / len(terms) if terms else 0.0


def step_softmax(h: Any, E: Any, targets: Any) -> float:
    """The mean of log Σ_i e^{h · E_i} − h · E_target over the items i = 1 .. I."""

    def term(step: tuple[int, ...]) -> float:
        s = [_dot(h[step], E[i]) for i in range(1, len(E))]
        top = max(s)
        return top + math.log(math.fsum(math.exp(x - top) for x in s)) - s[int(targets[step]) - 1]

    return over_steps(targets, term)


def step_bce(h: Any, E: Any, targets: Any, negatives: Any) -> float:
    """The mean of −log σ(h · E_target) − log σ(−h · E_negative), where σ(−x) = 1 − σ(x)."""

    def term(step: tuple[int, ...]) -> float:
        taken, other = E[int(targets[step])], E[int(negatives[step])]
        return -log_sigmoid(_dot(h[step], taken)) - log_sigmoid(-_dot(h[step], other))

    return over_steps(targets, term)


def step_sampled_softmax(h: Any, E: Any, targets: Any, negatives: Any) -> float:
    """The mean of log(1 + Σ_j e^{h · E_j − h · E_target}) over the sequence's negatives j but the target."""

    def term(step: tuple[int, ...]) -> float:
        taken = _dot(h[step], E[int(targets[step])])
        others = [int(j) for j in negatives[step[0]] if j != targets[step]]
        return log_one_plus([_dot(h[step], E[j]) - taken for j in others])

    return over_steps(targets, term)


def step_gbce(h: Any, E: Any, targets: Any, negatives: Any, t: float = 0.75) -> float:
    """The mean of −[β log σ(h · E_target) + Σ_j log σ(−h · E_j)] / (N + 1) over the N negatives."""
    beta = gbce_beta(negatives.shape[1], len(E) - 1, t)

    def term(step: tuple[int, ...]) -> float:
        rejected = [log_sigmoid(-_dot(h[step], E[int(j)])) for j in negatives[step[0]]]
        taken = log_sigmoid(_dot(h[step], E[int(targets[step])]))
        return -(beta * taken + math.fsum(rejected)) / (len(rejected) + 1)

    return over_steps(targets, term)


def _dot(a: Any, b: Any) -> float:
    return math.fsum(float(a[d] * b[d]) for d in range(len(a)))


# What must hold


def the_padding_row_is_no_item(place: Place, rng: Rng) -> float:
    """Row 0 of the table has no influence and gets no gradient."""
    h, E, *rest = place.args
    other = E.copy()
    other[0] = 10 * rng.standard_normal(E.shape[1])
    dE = rows(place.gradients(1.0)[1])
    return max(relative_gap(place(h, other, *rest), place(*place.args)), float(np.abs(dE[0]).max()))


def rows(dE: Any) -> Any:
    """The gradient of a table as an array."""
    return dE if isinstance(dE, np.ndarray) else dE.dense()


def the_mean_of_its_steps(place: Place, rng: Rng) -> float | None:
    """Each step alone, the others without a target."""
    h, E, targets, *rest = place.args
    taken = np.argwhere(targets)
    alone = []
    for step in taken:
        one = np.zeros_like(targets)
        one[tuple(step)] = targets[tuple(step)]
        alone.append(float(place(h, E, one, *rest)))
    return relative_gap(place(*place.args), math.fsum(alone) / len(alone)) if len(alone) else None


def steps_without_a_target_do_not_count(place: Place, rng: Rng) -> float | None:
    """Their states may be any, and get no gradient."""
    h, E, targets, *rest = place.args
    idle = targets == 0
    if not idle.any():
        return None
    other = np.array(h)
    other[idle] = 10 * rng.standard_normal((int(idle.sum()), h.shape[-1]))
    (dh, dE), (dother, dF) = place.gradients(0.7), place.gradients(0.7, other, E, targets, *rest)
    return max(
        relative_gap(place(other, E, targets, *rest), place(*place.args)),
        relative_gap(dother, dh),
        relative_gap(rows(dF), rows(dE), 1.0),
        float(np.abs(dh[idle]).max()),
    )


def a_small_step_down_its_slope_helps(place: Place, rng: Rng) -> float | None:
    h, *rest = place.args
    dh = place.gradients(1.0)[0]
    return float(place(h - 1e-3 * dh, *rest) >= place(h, *rest)) if dh.any() else None


def one_other_item_is_bpr(place: Place, rng: Rng) -> float:
    """Over two items, softmax is −log σ of the difference of their scores."""
    h, E, targets = place.args
    expected = over_steps(targets, lambda step: -log_sigmoid(_dot(h[step], E[1]) - _dot(h[step], E[2])))
    return relative_gap(place(h, E[:3], (targets != 0).astype(np.int64)), expected)


def negatives_have_no_order(place: Place, rng: Rng) -> float:
    """Other columns of negatives: the same loss and gradients."""
    h, E, targets, negatives, *rest = place.args
    args = h, E, targets, negatives[:, rng.permutation(negatives.shape[1])], *rest
    (dh, dE), (dother, dF) = place.gradients(0.7), place.gradients(0.7, *args)
    gaps = relative_gap(dother, dh, 1.0), relative_gap(rows(dF), rows(dE), 1.0)
    return max(relative_gap(place(*args), place(*place.args)), *gaps)


def all_items_give_the_softmax(place: Place, rng: Rng) -> float:
    """Negatives 1 .. I, the target among them, for every sequence."""
    h, E, targets, _ = place.args
    whole = np.tile(np.arange(1, len(E)), (len(h), 1))
    return relative_gap(place(h, E, targets, whole), step_softmax(h, E, targets))


def one_negative_and_t_0_give_half_of_bce(place: Place, rng: Rng) -> float:
    h, E, targets, negatives, *_ = place.args
    one = negatives[:, :1]
    half = step_bce(h, E, targets, np.broadcast_to(one, targets.shape)) / 2
    return relative_gap(place(h, E, targets, one, 0.0), half)


def _steps(rng: Rng, B: int, T: int, items: int, width: int, n: int) -> tuple[Any, ...]:
    """States (B, T, width), a table of `items` items and its padding row, targets (B, T), negatives (B, n).

    The first step of each sequence but the last has no target, and the newest target of sequence 0 is among
    its negatives, one of which occurs twice.
    """
    table, targets = normal(rng, items + 1, width), rng.integers(1, items + 1, (B, T))
    targets[:-1, 0] = 0
    negatives = rng.integers(1, items + 1, (B, n))
    negatives[0, 0], negatives[-1, -1] = targets[0, -1], negatives[-1, 0]
    return normal(rng, B, T, width), table, targets, negatives


def _by_step(rng: Rng) -> tuple[Any, ...]:
    """The same with a negative for each step."""
    h, E, targets, _ = _steps(rng, 3, 5, 7, 2, 1)
    return h, E, targets, rng.integers(1, 8, (3, 5))


def _without_targets(drawn: tuple[Any, ...]) -> tuple[Any, ...]:
    h, E, targets, *rest = drawn
    return h, E, np.zeros_like(targets), *rest


def _example(rng: Rng) -> tuple[Any, ...]:
    """One sequence of two steps, three items."""
    return short(rng, 1, 2, 3), short(rng, 4, 3), np.array([[1, 3]])


OF_STEPS = (
    Property("never negative", never_negative, 0.0),
    Property("row 0 of the table is no item", the_padding_row_is_no_item, 0.0),
    Property("the mean of its steps", the_mean_of_its_steps, 1e-14),
    Property("blind to steps without a target", steps_without_a_target_do_not_count, 1e-14),
    Property("smaller after a small step down its slope", a_small_step_down_its_slope_helps, 0.0),
)
NO_STEP = {"no target": ("h", "E")}

FORMULAS = (
    Formula(
        name="step_softmax",
        meaning="How far each step is from naming the next item, out of all items.",
        latex=r"""L = \frac{1}{n} \sum_{b, t: \, t_{bt} \ne 0} \Big[
\log \sum_{i=1}^{I} e^{h_{bt} \cdot E_i} - h_{bt} \cdot E_{t_{bt}}\Big]""",
        source="Klenitskiy & Vasilev 2023",
        ours="minirec.models.step_loss.step_softmax",
        definition=step_softmax,
        places={
            "example": _example,
            "padded": lambda rng: _steps(rng, 3, 5, 7, 2, 1)[:3],
            "steps end to end": lambda rng: (normal(rng, 5, 3), normal(rng, 8, 3), np.array([7, 1, 0, 7, 3])),
            "large scores": lambda rng: (10 * normal(rng, 3, 2), 10 * normal(rng, 6, 2), np.array([5, 1, 5])),
            "no target": lambda rng: _without_targets(_steps(rng, 3, 5, 7, 2, 1)[:3]),
        },
        zero=NO_STEP,
        properties=(*OF_STEPS, Property("bpr where there are two items", one_other_item_is_bpr, 1e-13)),
    ),
    Formula(
        name="step_bce",
        meaning="How far each step is from telling the next item from one that was not taken.",
        latex=r"""L = -\frac{1}{n} \sum_{b, t: \, t_{bt} \ne 0} \Big[\log \sigma(h_{bt} \cdot E_{t_{bt}}) +
\log \sigma(-h_{bt} \cdot E_{j_{bt}})\Big]""",
        source="Kang & McAuley 2018, section III-E",
        ours="minirec.models.step_loss.step_bce",
        definition=step_bce,
        places={
            "example": lambda rng: (*_example(rng), np.array([[2, 2]])),
            "padded": _by_step,
            "steps end to end": lambda rng: (
                normal(rng, 5, 3), normal(rng, 8, 3), np.array([7, 1, 0, 7, 3]), np.array([2, 2, 7, 6, 2]),
            ),
            "no target": lambda rng: _without_targets(_by_step(rng)),
        },
        zero=NO_STEP,
        properties=OF_STEPS,
    ),
    Formula(
        name="step_sampled_softmax",
        meaning="How far each step is from naming the next item, out of it and items drawn for the sequence.",
        latex=r"""L = \frac{1}{n} \sum_{b, t: \, t_{bt} \ne 0} \log \Big(1 +
\sum_{j: \, j_b \ne t_{bt}} e^{h_{bt} \cdot E_{j_b} - h_{bt} \cdot E_{t_{bt}}}\Big)""",
        source="Klenitskiy & Vasilev 2023",
        ours="minirec.models.step_loss.step_sampled_softmax",
        definition=step_sampled_softmax,
        places={
            "example": lambda rng: (*_example(rng), np.array([[3, 2]])),
            "padded": lambda rng: _steps(rng, 3, 5, 7, 2, 4),
            "one negative": lambda rng: _steps(rng, 2, 3, 7, 5, 1),
            "no target": lambda rng: _without_targets(_steps(rng, 3, 5, 7, 2, 4)),
        },
        zero=NO_STEP,
        properties=(
            *OF_STEPS,
            Property("blind to the order of the negatives", negatives_have_no_order, 1e-14),
            Property("the softmax for all items as negatives", all_items_give_the_softmax, 1e-13),
        ),
    ),
    Formula(
        name="step_gbce",
        meaning="How far each step is from telling the next item, which counts β, from items not taken.",
        latex=r"""L = -\frac{1}{n} \sum_{b, t: \, t_{bt} \ne 0} \frac{1}{N + 1}
\Big[\beta \log \sigma(h_{bt} \cdot E_{t_{bt}}) + \sum_{j=1}^{N} \log \sigma(-h_{bt} \cdot E_{j_b})\Big],
\quad \beta = 1 - t + t \frac{N}{I - 1}""",
        source="Petrov & Macdonald 2023, with negatives shared by the steps of a sequence",
        ours="minirec.models.step_loss.step_gbce",
        definition=step_gbce,
        places={
            "example": lambda rng: (*_example(rng), np.array([[2, 2]]), 0.5),
            "padded": lambda rng: _steps(rng, 3, 5, 7, 2, 4),
            "one negative, t 1": lambda rng: (*_steps(rng, 2, 3, 7, 5, 1), 1.0),
            "no target": lambda rng: _without_targets(_steps(rng, 3, 5, 7, 2, 4)),
        },
        zero=NO_STEP,
        properties=(
            *OF_STEPS,
            Property("blind to the order of the negatives", negatives_have_no_order, 1e-14),
            Property("half of bce for one negative, t = 0", one_negative_and_t_0_give_half_of_bce, 1e-14),
        ),
    ),
)  # fmt: skip
