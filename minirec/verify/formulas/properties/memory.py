"""What must hold of the layers that attend to distances and to a memory: heads, blocks, networks."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Place, Property, Rng, largest, relative_gap
from minirec.verify.formulas.properties.calling import (
    a_row_is_the_same_alone,
    batch_size,
    gradient_gap,
    gradients,
    inputs,
    rows,
    setting,
    value,
)

Gap = Callable[[Place, Rng], float | None]

# Heads. The inputs are query, key, u, w and a mask.


def _columns(place: Place, order: Array) -> Array:
    """The columns of the heads in this order."""
    D, H = setting(place, "width"), setting(place, "heads")
    columns: Array = np.arange(D).reshape(H, D // H)[order].reshape(-1)
    return columns


def heads_have_no_order(place: Place, rng: Rng) -> float | None:
    H, given = setting(place, "heads"), inputs(place)
    if H == 1:
        return None
    order = np.roll(np.arange(H), 1)
    columns, p = _columns(place, order), place.module.params()
    moved = {name: p[name][:, columns] for name in ("W_q", "W_k", "W_v", "W_r")}
    moved |= {"W_o": p["W_o"][columns], "u": given["u"][order], "w": given["w"][order]}
    mask = given.get("mask")
    if mask is not None and mask.ndim > 2 and mask.shape[-3] > 1:  # each head has a mask of its own
        moved["mask"] = mask[..., order, :, :]
    return relative_gap(value(place, moved), place(*place.args))


def a_head_that_is_not_read_has_no_effect(place: Place, rng: Rng) -> float | None:
    """Rows of W_o that are 0: other columns of that head in front change no bit."""
    if setting(place, "heads") == 1:
        return None
    columns, p, given = _columns(place, np.array([0])), place.module.params(), inputs(place)
    W_o = p["W_o"].copy()
    W_o[columns] = 0.0
    other: dict[str, Any] = {"W_o": W_o}
    for name in ("W_q", "W_k", "W_v", "W_r"):
        other[name] = p[name].copy()
        other[name][:, columns] = rng.standard_normal((len(W_o), len(columns)))
    for name in ("u", "w"):
        other[name] = given[name].copy()
        other[name][0] = rng.standard_normal(given[name].shape[1])
    return relative_gap(value(place, other), value(place, {"W_o": W_o}))


def later_keys_have_no_influence(place: Place, rng: Rng) -> float:
    """Key for key, bit by bit: no y before it moves."""
    given, y, gap = inputs(place), place(*place.args), 0.0
    query, key = given["query"], given["key"]
    M = key.shape[-2] - query.shape[-2]
    for i in range(query.shape[-2] - 1):
        other = key.copy()
        other[..., i + M + 1 :, :] = 1e2 * rng.standard_normal(other[..., i + M + 1 :, :].shape)
        gap = max(gap, relative_gap(value(place, {"key": other})[..., : i + 1, :], y[..., : i + 1, :]))
    return gap


def a_hidden_key_has_no_influence(place: Place, rng: Rng) -> float | None:
    given = inputs(place)
    if "mask" not in given:
        return None
    lead, Tq, Tk = given["query"].shape[:-2], given["query"].shape[-2], given["key"].shape[-2]
    seen = np.broadcast_to(given["mask"], (*lead, setting(place, "heads"), Tq, Tk))
    hidden = ~(seen & np.tri(Tq, Tk, Tk - Tq, dtype=bool)).any(axis=(-3, -2))[..., None]  # (..., Tk, 1)
    other = {"key": np.where(hidden, 1e2 * rng.standard_normal(given["key"].shape), given["key"])}
    dkey = gradients(place, place.upstream(rng))["key"]
    return max(relative_gap(value(place, other), place(*place.args)), largest(dkey * hidden))


def the_order_of_keys_counts(place: Place, rng: Rng) -> float | None:
    """0 where another order of the keys before the first query moves y, 1 where it does not."""
    given = inputs(place)
    M = given["key"].shape[-2] - given["query"].shape[-2]
    if M < 2 or "mask" in given:
        return None
    order = np.roll(np.arange(M), 1)
    other = np.concatenate([given["key"][..., order, :], given["key"][..., M:, :]], axis=-2)
    return float(np.abs(value(place, {"key": other}) - place(*place.args)).max() < 1e-6)


def without_distances_keys_have_no_order(place: Place, rng: Rng) -> float | None:
    given = inputs(place)
    M = given["key"].shape[-2] - given["query"].shape[-2]
    if M < 2 or "mask" in given:
        return None
    order = np.roll(np.arange(M), 1)
    other = np.concatenate([given["key"][..., order, :], given["key"][..., M:, :]], axis=-2)
    none = {"W_r": 0 * place.module.params()["W_r"]}
    return relative_gap(value(place, none | {"key": other}), value(place, none))


# Blocks. The inputs are x, u, w and a mask; a memory is an option.


def _memory(place: Place) -> Any:
    assert place.built is not None
    return place.built.options.get("memory")


def _with_memory(place: Place, memory: Any, x: Any, mask: Any, dy: Any) -> tuple[Any, dict[str, Any]]:
    """y of the block, and the gradients by name."""
    given = inputs(place)
    y, cache = place.module.forward(x, given["u"], given["w"], mask, memory=memory)
    (dx, du, dw), grads = place.module.backward(dy, cache)
    return y, {"x": dx, "u": du, "w": dw, **grads}


def the_memory_is_what_stood_before(place: Place, rng: Rng) -> float | None:
    """The block over [memory; x] gives the same y at x; its gradients are the same but for dx at the memory,
    which is left out."""
    m, given = _memory(place), inputs(place)
    mask = given.get("mask")
    if m is None or (mask is not None and mask.shape[-2] > 1):  # each query of x has a mask of its own
        return None
    M, dy = m.shape[-2], place.upstream(rng)
    y, found = _with_memory(place, m, given["x"], mask, dy)
    longer = np.concatenate([m, given["x"]], axis=-2)
    zero = np.zeros((*dy.shape[:-2], M, dy.shape[-1]))
    whole, expected = _with_memory(place, None, longer, mask, np.concatenate([zero, dy], axis=-2))
    before, expected["x"] = expected["x"][..., :M, :], expected["x"][..., M:, :]
    if largest(before) == 0.0:  # the memory did count, and its gradient is what SG leaves out
        return math.inf
    return max(relative_gap(y, whole[..., M:, :]), gradient_gap(found, expected))


def a_masked_memory_is_none(place: Place, rng: Rng) -> float | None:
    m, given = _memory(place), inputs(place)
    if m is None:
        return None
    T, dy = given["x"].shape[-2], place.upstream(rng)
    mask = np.arange(m.shape[-2] + T) >= m.shape[-2]
    y, found = _with_memory(place, m, given["x"], mask, dy)
    without, expected = _with_memory(place, None, given["x"], None, dy)
    return max(relative_gap(y, without), gradient_gap(found, expected))


def a_memory_moves_y(place: Place, rng: Rng) -> float | None:
    """0 where another memory moves y while backward gives gradients for x, u and w only; 1 elsewhere."""
    m, given = _memory(place), inputs(place)
    if m is None:
        return None
    own, other = [given[name] for name in ("x", "u", "w")], rng.standard_normal(m.shape)
    y, cache = place.module.forward(*own, given.get("mask"), memory=other)
    returned, _ = place.module.backward(place.upstream(rng), cache)
    moved = np.abs(y - place(*place.args)).max()
    return float(not (moved > 1e-3 and [d.shape for d in returned] == [x.shape for x in own]))


def later_places_have_no_influence(place: Place, rng: Rng) -> float:
    """Bit by bit, neither forward nor backward."""
    x, y, dy, gap = inputs(place)["x"], place(*place.args), place.upstream(rng), 0.0
    for t in range(1, x.shape[-2]):
        other = x.copy()
        other[..., t:, :] = 1e2 * rng.standard_normal(other[..., t:, :].shape)
        gap = max(gap, relative_gap(value(place, {"x": other})[..., :t, :], y[..., :t, :]))
        early = np.where(np.arange(x.shape[-2])[:, None] < t, dy, 0.0)
        gap = max(gap, largest(gradients(place, early)["x"][..., t:, :]))
    return gap


def in_one_segment(gap: Gap) -> Gap:
    """The property of a network whose segments are as long as its ids: it sees all that is before."""

    def within(place: Place, rng: Rng) -> float | None:
        return gap(place, rng) if setting(place, "segment") >= inputs(place)["ids"].shape[1] else None

    return within


def micro_batches_add_up(place: Place, rng: Rng) -> float | None:
    """Gradients of parameters, u and w add up over parts of the batch; the others stand one after another."""
    assert place.built is not None
    if place.built.options or batch_size(place) == 1:
        return None
    dy = place.upstream(rng)
    whole = gradients(place, dy)
    first, rest = (gradients(place, dy[part], rows(place, part)) for part in (slice(0, 1), slice(1, None)))
    joined = {
        name: np.concatenate([first[name], rest[name]])
        if name in ("x", "query", "key")
        else first[name] + rest[name]
        for name in whole
    }
    return gradient_gap(joined, whole)


BATCH = (
    Property("a row is the same alone", a_row_is_the_same_alone, 1e-13),
    Property("gradients of micro-batches add up", micro_batches_add_up, 1e-13),
)
