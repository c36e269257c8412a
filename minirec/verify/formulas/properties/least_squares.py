"""What least squares must keep that are solved at once: the weights of EASE, and the half-steps of ALS.

An objective is a parabola along each entry, so its slope is a central difference, exact for any step. It is
written here from its own sum of squares: the normal equations are not used.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Place, Rng, relative_gap
from minirec.verify.formulas.factorization import rotation


def slope(objective: Callable[[Array], float], x: Array, allowed: Any = True) -> float:
    """The largest slope along an (allowed) entry of x, relative to the objective one step away."""
    gap = 0.0
    for entry in np.argwhere(np.broadcast_to(allowed, x.shape)):
        step = np.zeros(x.shape)
        step[tuple(entry)] = 1.0
        ahead, back = objective(x + step), objective(x - step)
        gap = max(gap, abs(ahead - back) / (ahead + back))
    return gap


def lower_elsewhere(objective: Callable[[Array], float], x: Array, moves: list[Array]) -> float:
    """How many of the moves, near and far, lead to where the objective is not larger."""
    here = objective(x)
    return float(sum(not objective(x + move) > here for move in moves))


def moves(rng: Rng, *shape: int) -> list[Array]:
    return [size * rng.standard_normal(shape) for size in (1e-3, 1e-2, 0.1, 1.0, 10.0)]


# EASE: place(G, λ) is B


def explained(G: Array, reg: float, B: Array) -> float:
    """‖X − X B‖² + λ ‖B‖², where only G = Xᵀ X is known."""
    rest = np.eye(len(G)) - B
    return float((rest * (G @ rest)).sum() + reg * (B * B).sum())


def no_item_explains_itself(place: Place, rng: Rng) -> float:
    return float(np.abs(np.diag(place(*place.args))).max())


def ease_has_no_slope(place: Place, rng: Rng) -> float | None:
    """Along no entry off the diagonal: there B is held at 0."""
    G, reg = place.args
    off = ~np.eye(len(G), dtype=np.bool_)
    return slope(lambda B: explained(G, reg, B), place(G, reg), off) if len(G) > 1 else None


def ease_is_smallest(place: Place, rng: Rng) -> float | None:
    """Among the weights with a diagonal of 0."""
    G, reg = place.args
    if len(G) == 1:
        return None
    allowed = [move * (1.0 - np.eye(len(G))) for move in moves(rng, *G.shape)]
    return lower_elsewhere(lambda B: explained(G, reg, B), place(G, reg), allowed)


def two_items_by_hand(place: Place, rng: Rng) -> float | None:
    """Of two items alone: B_ij = G_ij / (G_ii + λ)."""
    G, reg = place.args
    if len(G) == 1:
        return None
    i, j = rng.permutation(len(G))[:2]
    expected = [[0.0, G[i, j] / (G[i, i] + reg)], [G[i, j] / (G[j, j] + reg), 0.0]]
    return relative_gap(place(G[np.ix_([i, j], [i, j])], reg), np.array(expected), 1.0)


def ease_moves_with_the_items(place: Place, rng: Rng) -> float:
    G, reg = place.args
    order = rng.permutation(len(G))
    return relative_gap(place(G[np.ix_(order, order)], reg), place(G, reg)[np.ix_(order, order)], 1.0)


def twice_the_users_and_penalty(place: Place, rng: Rng) -> float:
    G, reg = place.args
    return relative_gap(place(2.0 * G, 2.0 * reg), place(G, reg), 1.0)


def blind_to_an_item_nobody_met(place: Place, rng: Rng) -> float:
    """It explains nothing and is explained by nothing."""
    G, reg = place.args
    return relative_gap(place(np.pad(G, (0, 1)), reg), np.pad(place(G, reg), (0, 1)), 1.0)


# ALS: place(Y, R, α, λ) is X


def squares(X: Array, Y: Array, R: Array, alpha: float, reg: float) -> float:
    """Σ c (p − x y)² + λ (‖X‖² + ‖Y‖²), over an array of all pairs."""
    errors = np.where(R > 0, 1.0, 0.0) - (X[:, None] * Y).sum(axis=-1)
    return float(((1.0 + alpha * R) * errors**2).sum() + reg * ((X * X).sum() + (Y * Y).sum()))


def system_is_the_curvature(place: Place, rng: Rng) -> float:
    """x A x is the sum of c_i (x y_i)² over all items, and λ ‖x‖²."""
    Y, items, r, alpha, reg = place.args
    A, _ = place(*place.args)
    c = np.ones(len(Y))
    c[items] += alpha * r
    gaps = []
    for x in rng.standard_normal((3, Y.shape[1])):
        expected = (c * (Y @ x) ** 2).sum() + reg * (x * x).sum()
        gaps.append(relative_gap(x @ A @ x, expected))
    return max(gaps)


def system_has_no_order(place: Place, rng: Rng) -> float:
    Y, items, r, *settings = place.args
    order = rng.permutation(len(items))
    A, c = place(*place.args)
    return relative_gap(place(Y, items[order], r[order], *settings), (A, c[order]))


def penalty_is_on_the_diagonal(place: Place, rng: Rng) -> float:
    Y, items, r, alpha, reg = place.args
    A, c = place(*place.args)
    return relative_gap(place(Y, items, r, alpha, reg + 1.0), (A + np.eye(len(A)), c))


def system_of_alpha_times_counts(place: Place, rng: Rng) -> float:
    Y, items, r, alpha, reg = place.args
    return relative_gap(place(Y, items, 2 * r, alpha / 2, reg), place(*place.args))


def half_step_has_no_slope(place: Place, rng: Rng) -> float:
    return slope(lambda X: squares(X, *place.args), place(*place.args))


def half_step_is_smallest(place: Place, rng: Rng) -> float:
    X = place(*place.args)
    return lower_elsewhere(lambda X: squares(X, *place.args), X, moves(rng, *X.shape))


def nothing_for_who_met_nothing(place: Place, rng: Rng) -> float:
    """And something for everybody else."""
    Y, R, *rest = place.args
    R = np.concatenate([R, np.zeros_like(R[:1])])
    return float((place(Y, R, *rest).any(axis=1) != R.any(axis=1)).sum())


def turned_with_the_items(place: Place, rng: Rng) -> float:
    Y, *rest = place.args
    turn = rotation(rng, Y.shape[1])
    return relative_gap(place(Y @ turn, *rest), place(*place.args) @ turn, 1.0)


def each_user_alone(place: Place, rng: Rng) -> float:
    Y, R, *rest = place.args
    alone = [place(Y, R[u : u + 1], *rest) for u in range(len(R))]
    return relative_gap(np.concatenate(alone), place(*place.args), 1.0)


def only_alpha_times_counts(place: Place, rng: Rng) -> float:
    Y, R, alpha, reg = place.args
    return relative_gap(place(Y, 2 * R, alpha / 2, reg), place(*place.args), 1.0)


def items_have_no_order(place: Place, rng: Rng) -> float:
    """And one with a vector of 0 says nothing."""
    Y, R, *rest = place.args
    order = rng.permutation(len(Y) + 1)
    more = np.pad(Y, ((0, 1), (0, 0))), np.pad(R, ((0, 0), (0, 1)), constant_values=3)
    return relative_gap(place(more[0][order], more[1][:, order], *rest), place(*place.args), 1.0)


def shorter_for_a_larger_penalty(place: Place, rng: Rng) -> float:
    Y, R, alpha, reg = place.args
    lengths = [(place(Y, R, alpha, t * reg) ** 2).sum(axis=1) for t in (1.0, 1.5, 8.0, 64.0)]
    met = R.any(axis=1)
    return float(sum((~(after < before))[met].sum() for before, after in itertools.pairwise(lengths)))


# Its objective: place(X, Y, R, α, λ)


def never_negative(place: Place, rng: Rng) -> float:
    return max(0.0, -float(place(*place.args)))


def smallest_at(half_step: Callable[..., Any]) -> Callable[[Place, Rng], float]:
    """With the X of the half-step by definition: no slope, and larger wherever else."""

    def gap(place: Place, rng: Rng) -> float:
        _, *rest = place.args
        X = half_step(*rest)

        def ours(X: Array) -> float:
            return float(place(X, *rest))

        return slope(ours, X) + lower_elsewhere(ours, X, moves(rng, *X.shape))

    return gap


def unchanged_by_a_rotation(place: Place, rng: Rng) -> float:
    X, Y, *rest = place.args
    turn = rotation(rng, X.shape[1])
    return relative_gap(place(X @ turn, Y @ turn, *rest), place(*place.args))


def roles_may_change(place: Place, rng: Rng) -> float:
    X, Y, R, *rest = place.args
    return relative_gap(place(Y, X, R.T, *rest), place(*place.args))


def objective_of_alpha_times_counts(place: Place, rng: Rng) -> float:
    X, Y, R, alpha, reg = place.args
    return relative_gap(place(X, Y, 2 * R, alpha / 2, reg), place(*place.args))


def one_more_event_of_a_pair(place: Place, rng: Rng) -> float:
    """Met before: α (1 − s)² more. Not met: (1 + α) (1 − s)² instead of s²."""
    X, Y, R, alpha, reg = place.args
    before, gap = place(*place.args), 0.0
    for u, i in np.ndindex(*R.shape):
        more = np.array(R)
        more[u, i] += 1
        s = float((X[u] * Y[i]).sum())
        known = alpha * (1.0 - s) ** 2 if R[u, i] else (1.0 + alpha) * (1.0 - s) ** 2 - s * s
        gap = max(gap, abs(float(place(X, Y, more, alpha, reg) - before) - known))
    return gap / float(before)


def without_vectors(place: Place, rng: Rng) -> float:
    """Of users without vectors: 1 for each pair met, α for each of their events, and the items' squares."""
    X, Y, R, alpha, reg = place.args
    expected = np.count_nonzero(R) + alpha * R.sum() + reg * (Y * Y).sum()
    return relative_gap(place(np.zeros_like(X), Y, R, alpha, reg), expected)


def one_more_of_penalty(place: Place, rng: Rng) -> float:
    X, Y, R, alpha, reg = place.args
    rise = place(X, Y, R, alpha, reg + 1.0) - place(*place.args)
    return relative_gap(rise, (X * X).sum() + (Y * Y).sum(), float(place(*place.args)))
