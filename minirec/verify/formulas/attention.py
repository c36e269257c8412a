"""Attention: each query takes a weighted mean of the values, weights by how well it matches the keys."""

import math
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Property
from minirec.verify.formulas.drawing import normal, ragged, short
from minirec.verify.formulas.properties import attention as own
from minirec.verify.formulas.softmax import softmax


def attention(q: Any, k: Any, v: Any, mask: Any = None) -> Any:
    """Query by query: the score of each visible key is q·k / √K, the weights are their softmax."""
    Tk, K = k.shape[-2:]
    y = np.zeros((*q.shape[:-1], v.shape[-1]))
    visible = np.broadcast_to(True if mask is None else mask, (*q.shape[:-1], Tk))
    for *batch, i in np.ndindex(*q.shape[:-1]):
        keys = [j for j in range(Tk) if visible[(*batch, i, j)]]
        scores = [
            math.fsum(q[(*batch, i, d)] * k[(*batch, j, d)] for d in range(K)) / math.sqrt(K) for j in keys
        ]
        p = softmax(np.array(scores))
        for d in range(v.shape[-1]):
            y[(*batch, i, d)] = math.fsum(p[n] * v[(*batch, j, d)] for n, j in enumerate(keys))
    return y


FORMULAS = (
    Formula(
        name="attention",
        meaning="Each query takes a weighted mean of the values, by how well it matches each key.",
        latex=r"\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^T}{\sqrt{d_k}}\right) V, "
        r"\qquad \text{with a mask: query } t \text{ over the keys } s \text{ with } m_{ts} = 1",
        source="the document, section 4.2; Vaswani et al. 2017, equation 1",
        ours="minirec.functional.attention",
        definition=attention,
        places={
            "example": lambda rng: (short(rng, 2, 2), short(rng, 3, 2), short(rng, 3, 1)),
            "three axes": lambda rng: (normal(rng, 2, 3, 5), normal(rng, 2, 7, 5), normal(rng, 2, 7, 11)),
            "mask, one query sees nothing": lambda rng: (
                normal(rng, 2, 3, 5), normal(rng, 2, 7, 5), normal(rng, 2, 7, 2), ragged(rng, 2, 3, 7),
            ),
            "padding mask, four axes": lambda rng: (
                normal(rng, 2, 3, 5, 7), normal(rng, 2, 3, 11, 7), normal(rng, 2, 3, 11, 5),
                np.arange(11) >= np.array([4, 0]).reshape(2, 1, 1, 1),
            ),
            "causal mask": lambda rng: (
                normal(rng, 5, 3), normal(rng, 5, 3), normal(rng, 5, 2), np.tri(5, dtype=bool),
            ),
            "scores far apart": lambda rng: (3 * normal(rng, 3, 2), 2 * normal(rng, 7, 2), normal(rng, 7, 5)),
            "one key": lambda rng: (normal(rng, 2, 3, 5), normal(rng, 2, 1, 5), normal(rng, 2, 1, 7)),
        },
        zero={"one key": ["q", "k"]},
        properties=(
            Property("keys have no order", own.keys_have_no_order, 1e-14),
            Property("permuted queries give permuted outputs", own.queries_do_not_meet, 1e-14),
            Property("inside the convex hull of the values", own.within_the_values, 1e-14),
            Property("equal keys give the mean", own.equal_keys_give_the_mean, 1e-14),
            Property("one key gives its value", own.one_key_gives_its_value, 0.0),
            Property("linear in the values", own.linear_in_the_values, 1e-14),
            Property("an offset of all keys changes nothing", own.an_offset_changes_nothing, 1e-14),
            Property("gradients of the keys sum to 0", own.key_gradients_sum_to_zero, 1e-14),
            Property("2q with k/2 is the same as q with k", own.a_factor_moves_between_queries_and_keys, 0.0),
            Property("Σ q·dq is Σ k·dk", own.query_and_key_gradients_balance, 1e-15),
            Property("all keys twice change nothing", own.all_keys_twice_change_nothing, 1e-14),
            Property("one key twice adds log 2 to its score", own.one_key_twice_adds_log_two, 1e-14),
            Property("gradients of the values are pᵀ dy", own.value_gradients_are_weighted_sums, 1e-14),
            Property("normal scores have variance 1", own.normal_scores_have_variance_one, 0.2),
            Property("masking is removing", own.masking_is_removing, 1e-14),
            Property("a masked key does nothing and gets nothing", own.masked_keys_have_no_influence, 0.0),
            Property("what nobody sees cannot leak", own.what_nobody_sees_cannot_leak, 0.0),
            Property("a query that sees nothing gives and gets 0", own.a_query_that_sees_nothing, 0.0),
            Property("another future leaves the past", own.the_future_does_not_matter, 0.0),
            Property("a shorter causal call is the prefix", own.a_shorter_call_is_the_prefix, 1e-14),
            Property("no causal weight above the diagonal", own.no_weight_above_the_diagonal, 0.0),
            Property("the first causal output is the first value", own.first_output_is_first_value, 0.0),
        ),
    ),
)  # fmt: skip
