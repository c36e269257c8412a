"""What must hold for blocks and stacks of blocks: who may have an influence on whom, and what has none."""

from collections.abc import Callable, Mapping

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Place, Rng, relative_gap
from minirec.verify.formulas.properties.calling import gradient_gap, gradients, inputs, setting, trains, value

Gap = Callable[[Place, Rng], float | None]


def zero_sub_layers_make_the_identity(place: Place, rng: Rng) -> float | None:
    """Pre-norm: where the last weights of all sub-layers are 0, y is x and dx is dy, bit by bit."""
    if setting(place, "norm", "pre") != "pre":
        return None
    p = place.module.params()
    last = ("W_o", "b_o", "project.W", "project.b")
    zeros = {name: np.zeros(array.shape) for name, array in p.items() if name.endswith(last)}
    dy = place.upstream(rng)
    grads = gradients(place, dy, zeros)
    gap = max(relative_gap(value(place, zeros), place.args[0]), relative_gap(grads["x"], dy))
    return max(gap, float(np.abs(grads["memory"]).max())) if "memory" in grads else gap


def no_order(sequence: str, masks: Mapping[str, str], moves: bool) -> Gap:
    """Another order of a sequence, its masks moved along, is the same order of y; or changes nothing.

    masks: by name, "q" where its places are the queries of that mask, "k" where they are the keys.
    """

    def gap(place: Place, rng: Rng) -> float | None:
        if trains(place):
            return None
        given = inputs(place)
        order = rng.permutation(given[sequence].shape[-2])
        moved = {sequence: given[sequence][..., order, :]}
        for name, axes in masks.items():
            m = given.get(name)
            if m is not None:
                m = m[..., order, :] if "q" in axes and m.shape[-2] > 1 else m
                moved[name] = m[..., order] if "k" in axes and m.shape[-1] > 1 else m
        y = place(*place.args)
        return relative_gap(value(place, moved), y[..., order, :] if moves else y)

    return gap


def no_padding(sequence: str, masks: Mapping[str, str], moves: bool) -> Gap:
    """Three more places in front that no mask lets through: the same y and the same gradients."""

    def gap(place: Place, rng: Rng) -> float | None:
        given = inputs(place)
        if trains(place) or any(given.get(name) is None for name in masks if "k" in masks[name]):
            return None
        x, more = given[sequence], 3
        wide = {sequence: np.concatenate([rng.standard_normal((*x.shape[:-2], more, x.shape[-1])), x], -2)}
        for name, axes in masks.items():
            m = given.get(name)
            if m is not None:
                front = [(0, 0)] * (m.ndim - 2)
                front += [(more * ("q" in axes and m.shape[-2] > 1), 0), (more * ("k" in axes), 0)]
                wide[name] = np.pad(m, front)
        dy = place.upstream(rng)
        found = gradients(place, _in_front(dy, more) if moves else dy, wide)
        y = value(place, wide)
        found[sequence], hidden = found[sequence][..., more:, :], found[sequence][..., :more, :]
        return max(
            relative_gap(y[..., more:, :] if moves else y, place(*place.args)),
            gradient_gap(found, gradients(place, dy)),
            float(np.abs(hidden).max()),
        )

    return gap


def _in_front(x: Array, more: int) -> Array:
    return np.concatenate([np.zeros((*x.shape[:-2], more, x.shape[-1])), x], axis=-2)


def shorter(sequence: str, mask: str, also: str = "") -> Gap:
    """Under a causal mask a call that stops early gives the first places of y."""

    def gap(place: Place, rng: Rng) -> float | None:
        given = inputs(place)
        T = given[sequence].shape[-2]
        if trains(place) or mask not in given or not np.array_equal(given[mask], np.tri(T, dtype=bool)):
            return None
        t = int(rng.integers(1, T))
        cut = {sequence: given[sequence][..., :t, :], mask: given[mask][:t, :t]}
        if also in given and given[also].shape[-2] > 1:
            cut[also] = given[also][..., :t, :]
        return relative_gap(value(place, cut), place(*place.args)[..., :t, :])

    return gap


def only_through_masks(sequence: str, linked: Callable[[Place], Array]) -> Gap:
    """Other numbers at one place leave the bits of every y that no chain of masks links to it.

    `linked` (..., T of y, T of the sequence) says which. Nor does a gradient run where there is no link.
    """

    def gap(place: Place, rng: Rng) -> float | None:
        links = linked(place)
        if links.all():
            return None
        x, y, dy = inputs(place)[sequence], place(*place.args), place.upstream(rng)
        worst = 0.0
        for s in range(x.shape[-2]):
            other = x.copy()
            other[..., s, :] = 1e2 * rng.standard_normal(other[..., s, :].shape)
            apart = ~links[..., s]
            worst = max(worst, relative_gap(value(place, {sequence: other})[apart], y[apart]))
        for t in range(y.shape[-2]):
            own = np.zeros(dy.shape)
            own[..., t, :] = dy[..., t, :]
            dx = gradients(place, own)[sequence]
            worst = max(worst, float(np.abs(dx[~links[..., t, :]]).max(initial=0.0)))
        return worst

    return gap


def _links(place: Place, queries: str, keys: str, mask: str) -> Array:
    """(..., Tq, Tk): which key some head lets a query see."""
    given = inputs(place)
    *lead, Tq, _ = given[queries].shape
    Tk = given[keys].shape[-2]
    m = given.get(mask)
    shape = (*lead, setting(place, "heads"), Tq, Tk)
    return np.asarray(np.broadcast_to(True if m is None else m, shape).any(axis=-3))


def _chain(links: Array, steps: int) -> Array:
    """Links over `steps` blocks; a skip connection links each place to itself."""
    itself = np.eye(links.shape[-1], dtype=bool)
    found: Array = np.broadcast_to(itself, links.shape)
    for _ in range(steps):
        found = np.asarray((links | itself) @ found)
    return found


def within_encoder(place: Place) -> Array:
    return _chain(_links(place, "x", "x", "mask"), setting(place, "layers", 1))


def within_decoder(place: Place) -> Array:
    return _chain(_links(place, "x", "x", "self_mask"), setting(place, "layers", 1))


def memory_to_decoder(place: Place) -> Array:
    """The first block reads the memory; self-attention of the later ones hands on what it read."""
    own, read = _links(place, "x", "x", "self_mask"), _links(place, "x", "memory", "cross_mask")
    return _chain(own, setting(place, "layers", 1) - 1) @ read


def source_to_target(place: Place) -> Array:
    own = _links(place, "target", "target", "target_mask")
    read = _links(place, "target", "source", "cross_mask")
    source = _links(place, "source", "source", "source_mask")
    late = _chain(own, setting(place, "decoder_layers") - 1)
    return late @ read @ _chain(source, setting(place, "encoder_layers"))


def target_to_target(place: Place) -> Array:
    return _chain(_links(place, "target", "target", "target_mask"), setting(place, "decoder_layers"))


def over_one_place_queries_have_no_effect(place: Place, rng: Rng) -> float | None:
    """Where the memory is one place, its weight is 1, whatever the queries and keys."""
    given = inputs(place)
    if given["memory"].shape[-2] > 1 or given.get("cross_mask") is not None:
        return None
    p = place.module.params()
    scores = tuple(f"cross_attention.{name}" for name in ("W_q", "b_q", "W_k", "b_k"))
    other = {name: rng.standard_normal(a.shape) for name, a in p.items() if name.endswith(scores)}
    return relative_gap(value(place, other), place(*place.args))


def without_f_it_is_the_skip_connection(place: Place, rng: Rng) -> float:
    """W = 0: pre-norm gives x itself, the other orders rows of mean 0 where gamma is 1 and beta 0."""
    x, W, gamma, _, norm = place.args
    y = place(x, 0 * W, np.ones(gamma.shape), np.zeros(gamma.shape), norm)
    return relative_gap(y, x) if norm == "pre" else float(np.abs(y.mean(axis=-1)).max())
