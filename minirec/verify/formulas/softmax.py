"""Softmax and its logarithm: scores become weights that are positive and sum to 1."""

import math
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.drawing import normal, ragged, short
from minirec.verify.formulas.properties import softmax as own


def softmax(x: Any, mask: Any = None) -> Any:
    """e^{x_i} / Σ_j e^{x_j} over what the mask keeps, row by row; a masked entry is 0."""
    p = np.zeros(x.shape)
    keep = np.isfinite(x) if mask is None else np.broadcast_to(mask, x.shape) & np.isfinite(x)
    for row in np.ndindex(*x.shape[:-1]):
        kept = [j for j in range(x.shape[-1]) if keep[(*row, j)]]
        for i in kept:
            p[(*row, i)] = 1.0 / math.fsum(_exp(x[(*row, j)] - x[(*row, i)]) for j in kept)
    return p


def log_softmax(x: Any, mask: Any = None) -> Any:
    """x_i − log Σ_j e^{x_j} over what the mask keeps, row by row; −∞ elsewhere."""
    y = np.full(x.shape, -math.inf)
    keep = np.isfinite(x) if mask is None else np.broadcast_to(mask, x.shape) & np.isfinite(x)
    for row in np.ndindex(*x.shape[:-1]):
        kept = [j for j in range(x.shape[-1]) if keep[(*row, j)]]
        for i in kept:
            top = max(float(x[(*row, j)] - x[(*row, i)]) for j in kept)
            y[(*row, i)] = -top - math.log(math.fsum(_exp(x[(*row, j)] - x[(*row, i)] - top) for j in kept))
    return y


def _exp(z: float) -> float:
    return math.exp(z) if z < 700 else math.inf


def exp_is_softmax(place: Place, rng: Rng) -> float:
    """The exponential of ours against softmax by definition, with a mask as well."""
    x, keep = place.args[0], own.some_hidden(place, rng)
    return max(
        relative_gap(np.exp(place(*place.args)), softmax(*place.args), 1.0),
        relative_gap(np.exp(place(x, keep)), softmax(x, keep), 1.0),
    )


FORMULAS = (
    Formula(
        name="softmax",
        meaning="Scores become weights that are positive and sum to 1.",
        latex=r"p_i = \frac{e^{x_i}}{\sum_j e^{x_j}}, \qquad \text{with a mask } m: \quad "
        r"p_i = \frac{m_i e^{x_i}}{\sum_j m_j e^{x_j}}, \quad p = 0 \text{ where all } m_j = 0",
        source="the document, section 4.2; Bridle 1990",
        ours="minirec.functional.softmax",
        definition=softmax,
        places={
            "example": lambda rng: (short(rng, 2, 3),),
            "three axes": lambda rng: (3 * normal(rng, 2, 3, 5),),
            "one axis, large values": lambda rng: (normal(rng, 7) + 1e3,),
            "rows of very different scale": lambda rng: (normal(rng, 3, 5) * [[1e-6], [1.0], [1e4]],),
            "mask, one row all masked": lambda rng: (normal(rng, 2, 3, 5), ragged(rng, 2, 3, 5)),
            "broadcast mask": lambda rng: (normal(rng, 2, 3, 5), ragged(rng, 3, 5)),
            "one entry": lambda rng: (normal(rng, 3, 1),),
        },
        zero={"one entry": ["x"]},
        properties=(
            Property("rows sum to 1", own.rows_sum_to_one, 2e-15),
            Property("between 0 and 1", own.between_zero_and_one, 0.0),
            Property("the quotient as written", own.naive_quotient, 1e-14),
            Property("a shift of a row changes nothing", own.a_shift_changes_nothing, 20 * own.EPS),
            Property("the order of a row stays", own.order_stays, 0.0),
            Property("permutation-equivariant", own.permutation_equivariant, 1e-14),
            Property("masked entries are 0", own.invisible_entries_are_zero, 0.0),
            Property("the rest is as if it were alone", own.the_rest_is_as_if_alone, 1e-14),
            Property("−∞ is the same as a mask", own.minus_infinity_is_a_mask, 0.0),
            Property("what is masked has no influence", own.hidden_values_have_no_influence, 0.0),
            Property("what is masked gets no gradient", own.hidden_entries_get_no_gradient, 0.0),
            Property("a row with nothing left is 0 and gets nothing", own.nothing_left_gives_nothing, 0.0),
            Property("one entry gives 1", own.one_entry_gives_one, 0.0),
            Property("temperature 0 takes the largest", own.cold_takes_the_largest, 0.0),
            Property("temperature infinity takes all alike", own.hot_takes_all_alike, 1e-11),
            Property("rows of the gradient sum to 0", own.gradient_rows_sum_to_zero, 1e-14),
            Property("a constant upstream gives 0", own.a_constant_upstream_gives_nothing, 10 * own.EPS),
            Property("backward is dp (diag p − p pᵀ)", own.backward_is_diag_p_minus_p_p, 1e-14),
        ),
    ),
    Formula(
        name="log_softmax",
        meaning="The logarithm of softmax, without the logarithm of a rounded number.",
        latex=r"y_i = x_i - \log \sum_j e^{x_j}, \qquad \text{with a mask } m: \quad "
        r"y_i = x_i - \log \sum_j m_j e^{x_j} \text{ where } m_i = 1, \text{ else } -\infty",
        source="the logarithm of softmax; inside the cross-entropy",
        ours="minirec.functional.log_softmax",
        definition=log_softmax,
        places={
            "example": lambda rng: (short(rng, 2, 3),),
            "three axes": lambda rng: (3 * normal(rng, 2, 3, 7),),
            "one axis, large values": lambda rng: (normal(rng, 5) - 1e3,),
            "rows of very different scale": lambda rng: (normal(rng, 3, 5) * [[1e-6], [1.0], [1e4]],),
        },
        properties=(
            Property("its exponential is softmax", exp_is_softmax, 1e-14),
            Property("never positive", own.never_positive, 0.0),
            Property("a shift of a row changes nothing", own.a_shift_changes_no_logarithm, 10 * own.EPS),
            Property("the order of a row stays", own.order_stays, 0.0),
            Property("permutation-equivariant", own.a_permutation_permutes_logarithms, 1e-15),
            Property("masked entries are −∞ and the rest alone", own.hidden_are_minus_infinity, 1e-15),
            Property("−∞ is the same as a mask", own.minus_infinity_is_a_mask, 0.0),
            Property("what is masked has no influence", own.hidden_values_have_no_influence, 0.0),
            Property("what is masked gets no gradient", own.hidden_entries_get_no_gradient, 0.0),
            Property("the upstream of −∞ goes nowhere", own.upstream_of_minus_infinity_is_nobodys, 0.0),
            Property("n equal entries give −log n", own.equal_entries_give_minus_log_n, 1e-15),
            Property("rows of the gradient sum to 0", own.gradient_rows_sum_to_zero, 1e-13),
            Property("backward is dy (1 − p)", own.backward_is_one_minus_p, 1e-13),
        ),
    ),
)
