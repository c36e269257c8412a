"""What must hold for multi-head attention: what heads, masks, keys and queries may and may not do."""

from typing import Any

import numpy as np

from minirec.verify.formula import Place, Rng, relative_gap
from minirec.verify.formulas.attention import attention
from minirec.verify.formulas.properties.calling import gradients, inputs, setting, value


def one_head_is_attention(place: Place, rng: Rng) -> float | None:
    """Without projections: all four weights the identity, all biases 0."""
    if setting(place, "heads") > 1:
        return None
    D = setting(place, "width")
    plain = {f"W_{part}": np.eye(D) for part in "qkvo"} | {f"b_{part}": np.zeros(D) for part in "qkvo"}
    query, key, v, *mask = inputs(place).values()
    seen = [np.broadcast_to(m, (*query.shape[:-2], 1, *m.shape[-2:]))[..., 0, :, :] for m in mask]
    return relative_gap(value(place, plain), attention(query, key, v, *seen))


def heads_have_no_order(place: Place, rng: Rng) -> float | None:
    """Heads change places together with their blocks of columns, and with their masks."""
    D, H = setting(place, "width"), setting(place, "heads")
    if H == 1:
        return None
    order = np.roll(np.arange(H), 1)
    columns = np.arange(D).reshape(H, D // H)[order].reshape(-1)
    p = place.module.params()
    moved = {name: p[name][..., columns] for name in ("W_q", "b_q", "W_k", "b_k", "W_v", "b_v")}
    moved["W_o"] = p["W_o"][columns]
    mask = inputs(place).get("mask")
    if mask is not None and mask.ndim > 2 and mask.shape[-3] == H:
        moved["mask"] = mask[..., order, :, :]
    return relative_gap(value(place, moved), place(*place.args))


def a_head_that_is_not_read_has_no_effect(place: Place, rng: Rng) -> float:
    """Rows of W_o are 0: other weights of that head give the same y, and none of them gets a gradient."""
    D, H = setting(place, "width"), setting(place, "heads")
    head = int(rng.integers(H))
    own = slice(head * D // H, (head + 1) * D // H)
    p = {name: array.copy() for name, array in place.module.params().items()}
    p["W_o"][own] = 0.0
    grads = gradients(place, place.upstream(rng), p)
    names = ("W_q", "b_q", "W_k", "b_k", "W_v", "b_v")
    idle = max(float(np.abs(grads[name][..., own]).max()) for name in names)
    y = value(place, p)
    for name in names:
        p[name][..., own] += rng.standard_normal(p[name][..., own].shape)
    return max(idle, relative_gap(value(place, p), y))


def keys_have_no_order(place: Place, rng: Rng) -> float:
    given = inputs(place)
    order = rng.permutation(given["key"].shape[-2])
    moved = {name: given[name][..., order, :] for name in ("key", "value")}
    if "mask" in given:
        moved["mask"] = given["mask"][..., order]
    return relative_gap(value(place, moved), place(*place.args))


def queries_do_not_meet(place: Place, rng: Rng) -> float:
    """Another order of the queries is the same order of the outputs."""
    given = inputs(place)
    order = rng.permutation(given["query"].shape[-2])
    moved = {"query": given["query"][..., order, :]}
    if "mask" in given and given["mask"].shape[-2] > 1:
        moved["mask"] = given["mask"][..., order, :]
    return relative_gap(value(place, moved), place(*place.args)[..., order, :])


def hidden_keys(place: Place) -> Any:
    """(..., Tk): True at keys that no query of their row sees; None where there are none."""
    given = inputs(place)
    if "mask" not in given:
        return None
    *lead, Tk, _ = given["key"].shape
    H, Tq = setting(place, "heads"), given["query"].shape[-2]
    hidden = ~np.broadcast_to(given["mask"], (*lead, H, Tq, Tk)).any(axis=(-3, -2))
    return hidden if hidden.any() else None


def a_hidden_key_has_no_influence(place: Place, rng: Rng) -> float | None:
    """Any finite numbers there: y and every gradient keep their bits."""
    hidden = hidden_keys(place)
    if hidden is None:
        return None
    other = {name: inputs(place)[name].copy() for name in ("key", "value")}
    for x in other.values():
        x[hidden] = 1e3 * rng.standard_normal(x[hidden].shape)
    dy = place.upstream(rng)
    before, after = gradients(place, dy), gradients(place, dy, other)
    gaps = [relative_gap(after[name], before[name]) for name in before]
    return max(relative_gap(value(place, other), place(*place.args)), *gaps)


def masking_is_removing(place: Place, rng: Rng) -> float | None:
    """Row by row, without the keys that no query of it sees, where that is all that the mask hides."""
    hidden, given = hidden_keys(place), inputs(place)
    if hidden is None or hidden.ndim != 2 or given["mask"].shape[-3:-1] != (1, 1):
        return None
    y, gap = place(*place.args), 0.0
    for b in range(len(y)):
        if not hidden[b].all():
            left = {name: given[name][b : b + 1, ~hidden[b]] for name in ("key", "value")}
            left |= {"query": given["query"][b : b + 1], "mask": np.ones((1, 1), dtype=bool)}
            gap = max(gap, relative_gap(value(place, left), y[b : b + 1]))
    return gap


def a_hidden_key_gets_no_gradient(place: Place, rng: Rng) -> float | None:
    hidden = hidden_keys(place)
    if hidden is None:
        return None
    grads = gradients(place, place.upstream(rng))
    return float(max(np.abs(grads[name][hidden]).max() for name in ("key", "value")))


def nan_at_a_hidden_key_does_not_leak(place: Place, rng: Rng) -> float | None:
    hidden = hidden_keys(place)
    if hidden is None:
        return None
    other = {name: inputs(place)[name].copy() for name in ("key", "value")}
    for x in other.values():
        x[hidden] = np.nan
    return relative_gap(value(place, other), place(*place.args))


def a_query_that_sees_nothing_gives_the_bias(place: Place, rng: Rng) -> float | None:
    """y is b_o there, and the query gets no gradient."""
    given = inputs(place)
    if "mask" not in given:
        return None
    *lead, Tq, _ = given["query"].shape
    blind = ~given["mask"].any(axis=-1)
    blind = np.broadcast_to(blind, (*lead, setting(place, "heads"), Tq)).all(axis=-2)
    if not blind.any():
        return None
    y, b_o = place(*place.args)[blind], place.module.params()["b_o"]
    dquery = gradients(place, place.upstream(rng))["query"][blind]
    return max(relative_gap(y, np.broadcast_to(b_o, y.shape)), float(np.abs(dquery).max()))


def the_key_bias_has_no_effect(place: Place, rng: Rng) -> float:
    moved = {"b_k": place.module.params()["b_k"] + 5.0 * rng.standard_normal(setting(place, "width"))}
    return relative_gap(value(place, moved), place(*place.args))


def over_one_key_queries_have_no_effect(place: Place, rng: Rng) -> float | None:
    """Its weight is 1, whatever the queries and keys."""
    given = inputs(place)
    if given["key"].shape[-2] > 1 or "mask" in given:
        return None
    other = {name: rng.standard_normal(given[name].shape) for name in ("query", "key")}
    return relative_gap(value(place, other), place(*place.args))
