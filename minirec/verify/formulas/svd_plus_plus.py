"""SVD++: the steps on the ratings of one user, whose vector is p_u and what their rated items add to it.

The definition takes the steps one after the other, all rows of each from before it. What the step on a single
rating without such items is stands in factorization.py.
"""

import math
from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.drawing import normal, short
from minirec.verify.formulas.factorization import sgd_factorization_step


def svd_plus_plus_steps(
    P: Any,
    Q: Any,
    Y: Any,
    b_user: Any,
    b_item: Any,
    mu: float,
    u: int,
    near: Any,
    items: Any,
    ratings: Any,
    lr: float,
    reg: float,
) -> Any:
    """Rating by rating: e = r − r̂_ui, and each row that speaks of it moves; the errors and the tables."""
    P, Q, Y, b_user, b_item = (np.array(table) for table in (P, Q, Y, b_user, b_item))
    root, errors = math.sqrt(len(near)), []
    for i, r in zip(items, ratings, strict=True):
        q, p, y = Q[i].copy(), P[u].copy(), {int(j): Y[j].copy() for j in near}
        m = [math.fsum(float(y[j][d]) for j in y) / root for d in range(len(q))]
        e = r - mu - float(b_user[u]) - float(b_item[i])
        e -= math.fsum(float(q[d]) * (float(p[d]) + m[d]) for d in range(len(q)))
        errors.append(e)
        b_user[u] += lr * (e - reg * b_user[u])
        b_item[i] += lr * (e - reg * b_item[i])
        for d in range(len(q)):
            P[u, d] += lr * (e * q[d] - reg * p[d])
            Q[i, d] += lr * (e * (p[d] + m[d]) - reg * q[d])
            for j in y:
                Y[j, d] += lr * (e * q[d] / root - reg * y[j][d])
    return np.array(errors), P, Q, Y, b_user, b_item


def stepped(
    ours: Any,
    P: Any,
    Q: Any,
    Y: Any,
    b_user: Any,
    b_item: Any,
    mu: float,
    u: int,
    near: Any,
    items: Any,
    ratings: Any,
    lr: float,
    reg: float,
) -> Any:
    """Ours writes into its tables: it gets copies, which are returned."""
    tables = [np.array(table) for table in (P, Q, Y, b_user, b_item)]
    return np.array(ours(*tables, mu, u, near, items, ratings, lr, reg)), *tables


# What must hold


def half_a_gradient_step(place: Place, rng: Rng) -> float:
    """The first rating moves all by −γ/2 times the gradient of its squared error with penalty.

    The penalty is λ (b_u² + b_i² + ‖p_u‖² + ‖q_i‖² + Σ_j ‖y_j‖²). Along one entry e is a straight line, so
    central differences are exact. The error is what ours returns.
    """
    tables, (mu, u, near, items, ratings, lr, reg) = list(place.args[:5]), place.args[5:]
    first = mu, u, near, items[:1], ratings[:1]
    read = u, items[0], near, u, items[0]

    def objective(moved: list[Array]) -> float:
        e = float(place(*moved, *first, 0.0, 0.0)[0][0])
        return e * e + reg * sum(float((t[n] ** 2).sum()) for t, n in zip(moved, read, strict=True))

    _, *after = place(*tables, *first, lr, reg)
    gap = 0.0
    for which, table in enumerate(tables):
        for entry in np.ndindex(*table.shape):
            sides = []
            for sign in (1, -1):
                moved = [np.array(t) for t in tables]
                moved[which][entry] += sign
                sides.append(objective(moved))
            expected = table[entry] - lr / 2 * (sides[0] - sides[1]) / 2
            gap = max(gap, abs(float(after[which][entry] - expected)))
    return gap / float(max(np.abs(table).max() for table in tables))


def one_after_the_other(place: Place, rng: Rng) -> float:
    """A call for each rating is the same as one for all."""
    *tables, mu, u, near, items, ratings, lr, reg = place.args
    errors: list[Array] = []
    for n in range(len(items)):
        e, *tables = place(*tables, mu, u, near, items[n : n + 1], ratings[n : n + 1], lr, reg)
        errors.append(e)
    return relative_gap((np.concatenate(errors), *tables), place(*place.args), size(place))


def nobody_else_moves(place: Place, rng: Rng) -> float:
    tables, (_, u, near, items, *_) = place.args[:5], place.args[5:]
    _, *after = place(*place.args)
    gap = 0.0
    for old, new, moved in zip(tables, after, (u, items, near, u, items), strict=True):
        gap = max(gap, float(np.abs(np.delete(new - old, moved, axis=0)).max(initial=0.0)))
    return gap


def no_step_for_rate_zero(place: Place, rng: Rng) -> float:
    *head, _, reg = place.args
    return relative_gap(place(*head, 0.0, reg)[1:], head[:5], 1.0)


def at_rest_where_met(place: Place, rng: Rng) -> float:
    """With e = 0 and λ = 0 nothing moves."""
    *head, items, ratings, lr, _ = place.args
    met = ratings[:1] - place(*head, items[:1], ratings[:1], 0.0, 0.0)[0]
    return relative_gap(place(*head, items[:1], met, lr, 0.0), (np.zeros(1), *head[:5]), 1.0)


def the_two_parts_of_a_user_move_alike(place: Place, rng: Rng) -> float:
    """Without penalty p_u and m_u go the same way, each y_j of N_u a root of its part."""
    tables, (mu, u, near, items, ratings, lr, _) = place.args[:5], place.args[5:]
    _, P, _, Y, *_ = place(*tables, mu, u, near, items, ratings, lr, 0.0)
    along = (Y - tables[2])[near] * math.sqrt(len(near))
    return relative_gap(along, np.tile((P - tables[0])[u], (len(near), 1)), 1.0)


def n_u_has_no_order(place: Place, rng: Rng) -> float:
    head, near, rest = place.args[:7], place.args[7], place.args[8:]
    return relative_gap(place(*head, rng.permutation(near), *rest), place(*place.args), size(place))


def without_what_they_rated_a_plain_step(place: Place, rng: Rng) -> float:
    """With all y_j = 0 the first step is that of plain factorization, for all but the y_j."""
    P, Q, Y, b_user, b_item, mu, u, near, items, ratings, lr, reg = place.args
    found = place(P, Q, 0.0 * Y, b_user, b_item, mu, u, near, items[:1], ratings[:1], lr, reg)
    e, *after = sgd_factorization_step(P, Q, b_user, b_item, mu, u, items[0], ratings[0], lr, reg)
    return relative_gap((*found[:3], *found[4:]), (np.array([e]), *after), size(place))


def size(place: Place) -> float:
    """The largest number there is: rounding errors of all tables and of the errors are small beside it."""
    return 1.0 + float(max(np.abs(table).max() for table in place(*place.args)))


def tables(rng: Rng, width: int) -> tuple[Any, ...]:
    return *(normal(rng, n, width) for n in (3, 7, 7)), normal(rng, 3), normal(rng, 7)


def rated(rng: Rng, u: int, n: int, more: int = 0) -> tuple[Any, ...]:
    """μ, u, N_u and n ratings of items of N_u, which holds `more` others: they repeat where N_u is small."""
    near = np.sort(rng.permutation(7)[: min(n, 4) + more])
    items = near[np.arange(n) % (len(near) - more)]
    return 3.5, u, near, items, rng.integers(1, 6, n).astype(np.float64)


def example(rng: Rng) -> tuple[Any, ...]:
    """A user who rated the first and the last of three items."""
    tables = short(rng, 2, 2), short(rng, 3, 2), short(rng, 3, 2), short(rng, 2), short(rng, 3)
    return *tables, 3.5, 1, np.array([0, 2]), np.array([2, 0]), np.array([4.0, 5.0]), 0.1, 0.2


FORMULAS = (
    Formula(
        name="svd_plus_plus_steps",
        meaning="Each rating of a user moves their vector, that of its item, and of all items rated.",
        latex=r"""\begin{aligned}
e &= r - \Big(\mu + b_u + b_i + q_i^T (p_u + m_u)\Big), &
m_u &= |N_u|^{-1/2} \sum_{j \in N_u} y_j, \quad \text{on the right all as before the step} \\
b_u &\leftarrow b_u + \gamma (e - \lambda b_u), & b_i &\leftarrow b_i + \gamma (e - \lambda b_i) \\
p_u &\leftarrow p_u + \gamma (e\, q_i - \lambda p_u), &
q_i &\leftarrow q_i + \gamma (e\, (p_u + m_u) - \lambda q_i) \\
y_j &\leftarrow y_j + \gamma (e\, |N_u|^{-1/2} q_i - \lambda y_j), & & \text{for all } j \in N_u
\end{aligned}""",
        source="Koren 2008, equation 15 and section 5",
        ours="minirec.models.svd_plus_plus.svd_plus_plus_steps",
        definition=svd_plus_plus_steps,
        value=stepped,
        places={
            "example": example,
            "more were rated than are stepped on": lambda rng: (
                *tables(rng, 3), *rated(rng, 1, 3, 2), 0.007, 0.02,
            ),
            "the same items again": lambda rng: (*tables(rng, 2), *rated(rng, 2, 7), 0.05, 0.3),
            "no penalty": lambda rng: (*tables(rng, 2), *rated(rng, 0, 4), 0.05, 0.0),
            "one rating, far off, one factor": lambda rng: (
                *tables(rng, 1), *rated(rng, 0, 1)[:4], np.array([90.0]), 0.05, 0.1,
            ),
        },
        properties=(
            Property("half a gradient step of the squared error with penalty", half_a_gradient_step, 1e-12),
            Property("the same rating by rating", one_after_the_other, 1e-14),
            Property("at rest for everybody else", nobody_else_moves, 0.0),
            Property("at rest for a rate of 0", no_step_for_rate_zero, 1e-15),
            Property("at rest where the rating is met, without penalty", at_rest_where_met, 1e-14),
            Property("the same for both parts of a user", the_two_parts_of_a_user_move_alike, 1e-14),
            Property("blind to the order of what was rated", n_u_has_no_order, 1e-14),
            Property("a step of plain factorization for y = 0", without_what_they_rated_a_plain_step, 1e-14),
        ),
    ),
)  # fmt: skip
