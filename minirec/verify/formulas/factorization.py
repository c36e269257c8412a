"""Matrix factorization: users and items become vectors, and their products fill the interaction matrix.

The scores of section 4.1 with their gradient, and the textbook step on one rating. What a whole batch is
trained on stands in factorization_loss.py.
"""

import math
from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.drawing import normal, short


def score(P: Any, Q: Any, b_user: Any, b_item: Any, mu: float, u: int, i: int) -> float:
    """μ + b_u + b_i + p_uᵀ q_i"""
    products = (float(P[u, d]) * float(Q[i, d]) for d in range(P.shape[1]))
    return math.fsum([float(mu), float(b_user[u]), float(b_item[i]), *products])


def factorization(
    P: Any, Q: Any, b_user: Any, b_item: Any, mu: float, users: Any, items: Any
) -> Any:  # fmt: skip
    """Row by row: μ + b_u + b_i + p_uᵀ q_i."""
    return np.array([score(P, Q, b_user, b_item, mu, u, i) for u, i in zip(users, items, strict=True)])


def sgd_factorization_step(
    P: Any, Q: Any, b_user: Any, b_item: Any, mu: float, u: int, i: int, rating: float, lr: float, reg: float
) -> Any:
    """e = r − s_ui, then the four rows after the step, each computed from the rows before it."""
    e = rating - score(P, Q, b_user, b_item, mu, u, i)
    new_P, new_Q, new_b_user, new_b_item = (np.array(table) for table in (P, Q, b_user, b_item))
    new_b_user[u] = b_user[u] + lr * (e - reg * b_user[u])
    new_b_item[i] = b_item[i] + lr * (e - reg * b_item[i])
    for d in range(P.shape[1]):
        new_P[u, d] = P[u, d] + lr * (e * Q[i, d] - reg * P[u, d])
        new_Q[i, d] = Q[i, d] + lr * (e * P[u, d] - reg * Q[i, d])
    return e, new_P, new_Q, new_b_user, new_b_item


# How ours is called


def stepped(
    ours: Any,
    P: Any,
    Q: Any,
    b_user: Any,
    b_item: Any,
    mu: float,
    u: int,
    i: int,
    rating: float,
    lr: float,
    reg: float,
) -> Any:
    """Ours writes into its tables: it gets copies, which are returned."""
    tables = [np.array(table) for table in (P, Q, b_user, b_item)]
    return ours(*tables, mu, u, i, rating, lr, reg), *tables


# Properties of the scores


def rotation(rng: Rng, width: int) -> Array:
    return np.linalg.qr(rng.standard_normal((width, width)))[0]


def bound(place: Place) -> float:
    """Rounding errors of a score are small beside this: the largest sum of the sizes of its terms."""
    P, Q, b_user, b_item, mu = place.args[:5]
    largest = [float(np.abs(table).max()) for table in (P, Q, b_user, b_item)]
    return abs(float(mu)) + largest[2] + largest[3] + P.shape[1] * largest[0] * largest[1]


def unchanged_by_a_rotation(place: Place, rng: Rng) -> float:
    P, Q, *rest = place.args
    turn = rotation(rng, P.shape[1])
    return relative_gap(place(P @ turn, Q @ turn, *rest), place(*place.args), bound(place))


def a_constant_may_move(place: Place, rng: Rng) -> float:
    """From μ to the biases of all users or of all items."""
    P, Q, b_user, b_item, mu, *rest = place.args
    found = [
        place(P, Q, b_user - 0.7, b_item, mu + 0.7, *rest),
        place(P, Q, b_user, b_item + 0.7, mu - 0.7, *rest),
    ]
    return max(relative_gap(s, place(*place.args), bound(place) + 0.7) for s in found)


def roles_may_change(place: Place, rng: Rng) -> float:
    P, Q, b_user, b_item, mu, users, items = place.args
    return relative_gap(place(Q, P, b_item, b_user, mu, items, users), place(*place.args), bound(place))


def slopes_are_sums_over_the_rows(place: Place, rng: Rng) -> float:
    P, Q, b_user, b_item, _, users, items = place.args
    ds = place.upstream(rng)
    dP, dQ, db_user, db_item = (np.zeros(table.shape) for table in (P, Q, b_user, b_item))
    for n, (u, i) in enumerate(zip(users, items, strict=True)):
        dP[u] += ds[n] * Q[i]
        dQ[i] += ds[n] * P[u]
        db_user[u] += ds[n]
        db_item[i] += ds[n]
    size = 1.0 + float(np.abs(ds).sum()) * (1.0 + float(max(np.abs(P).max(), np.abs(Q).max())))
    return relative_gap(place.gradients(ds), [dP, dQ, db_user, db_item], size)


def nothing_for_rows_not_read(place: Place, rng: Rng) -> float:
    users, items = place.args[-2:]
    gradients = place.gradients(place.upstream(rng))
    total = 0.0
    for gradient, ids in zip(gradients, (users, items, users, items), strict=True):
        total += float(np.abs(np.delete(gradient, ids, axis=0)).sum())
    return total


# Properties of the step


def nobody_else_moves(place: Place, rng: Rng) -> float:
    *tables, _, u, i, _, _, _ = place.args
    _, *after = place(*place.args)
    gaps = [np.abs(np.delete(b - a, n, axis=0)) for a, b, n in zip(tables, after, (u, i, u, i), strict=True)]
    return float(max(gap.max(initial=0.0) for gap in gaps))


def no_step_for_rate_zero(place: Place, rng: Rng) -> float:
    *head, _, reg = place.args
    return relative_gap(place(*head, 0.0, reg)[1:], head[:4])


def at_rest_where_met(place: Place, rng: Rng) -> float:
    """With e = 0 and λ = 0 nothing moves."""
    *head, _, lr, _ = place.args
    met = -place(*head, 0.0, lr, 0.0)[0]
    return relative_gap(place(*head, met, lr, 0.0), (0.0, *head[:4]), bound(place))


def half_a_gradient_step(place: Place, rng: Rng) -> float:
    """The rows move by −γ/2 times the gradient of e² + λ (‖p_u‖² + ‖q_i‖² + b_u² + b_i²).

    Along one entry e is a straight line, so central differences are exact.
    """
    *tables, mu, u, i, rating, lr, reg = place.args

    def objective(moved: list[Array]) -> float:
        P, Q, b_user, b_item = moved
        e = rating - score(P, Q, b_user, b_item, mu, u, i)
        rows = (table[n] for table, n in zip(moved, (u, i, u, i), strict=True))
        return e**2 + reg * math.fsum(float((row * row).sum()) for row in rows)

    _, *after = place(*place.args)
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


def a_small_step_helps(place: Place, rng: Rng) -> float | None:
    """With λ = 0 the error of the same rating is smaller after a small step."""
    *tables, mu, u, i, rating, _, _ = place.args
    e, *after = place(*tables, mu, u, i, rating, 1e-3, 0.0)
    if abs(e) < 1e-9:
        return None
    again, *_ = place(*after, mu, u, i, rating, 1e-3, 0.0)
    return float(not abs(again) < abs(e) or e * again < 0)


USERS, ITEMS = np.array([0, 2, 0, 2, 0, 2, 2]), np.array([4, 1, 4, 4, 0, 1, 1])  # 1, 2 and 3 are never read


def tables(rng: Rng, width: int = 2) -> tuple[Any, ...]:
    return normal(rng, 3, width), normal(rng, 5, width), normal(rng, 3), normal(rng, 5)


def short_tables(rng: Rng) -> tuple[Any, ...]:
    return short(rng, 2, 2), short(rng, 3, 2), short(rng, 2), short(rng, 3)


FORMULAS = (
    Formula(
        name="factorization",
        meaning="A pair scores what is usual for its user and its item, and how well their vectors agree.",
        latex=r"s_n = \mu + b_u + b_i + p_u^T q_i, \qquad u = u_n,\ i = i_n",
        source="the document, section 4.1 (embeddings); Koren, Bell & Volinsky 2009, equation 4",
        ours="minirec.functional.factorization",
        definition=factorization,
        places={
            "example": lambda rng: (*short_tables(rng), 3.5, np.array([0, 1, 0]), np.array([2, 0, 1])),
            "repeated users and items": lambda rng: (*tables(rng), 3.5, USERS.copy(), ITEMS.copy()),
            "one pair, one factor": lambda rng: (*tables(rng, 1), -0.5, np.array([1]), np.array([3])),
            "wide": lambda rng: (*tables(rng, 13), 0.0, USERS.copy(), ITEMS.copy()),
        },
        properties=(
            Property("unchanged by a rotation of both tables", unchanged_by_a_rotation, 1e-14),
            Property("unchanged by a constant moved from mean to biases", a_constant_may_move, 1e-14),
            Property("the same when users and items change places", roles_may_change, 1e-15),
            Property("of slopes that are sums over the rows", slopes_are_sums_over_the_rows, 1e-15),
            Property("without gradient for rows that are not read", nothing_for_rows_not_read, 0.0),
        ),
    ),
    Formula(
        name="sgd_factorization_step",
        meaning="One rating moves the two vectors and the two biases that it speaks of.",
        latex=r"""\begin{aligned}
e &= r - (\mu + b_u + b_i + p_u^T q_i), & & \text{on the right all as before the step} \\
b_u &\leftarrow b_u + \gamma (e - \lambda b_u), & b_i &\leftarrow b_i + \gamma (e - \lambda b_i) \\
p_u &\leftarrow p_u + \gamma (e\, q_i - \lambda p_u), & q_i &\leftarrow q_i + \gamma (e\, p_u - \lambda q_i)
\end{aligned}""",
        source="the document, section 3.2 (training); Koren, Bell & Volinsky 2009, learning algorithms",
        ours="minirec.models.matrix_factorization.sgd_factorization_step",
        definition=sgd_factorization_step,
        value=stepped,
        places={
            "example": lambda rng: (*short_tables(rng), 3.5, 1, 0, 4.0, 0.1, 0.2),
            "textbook rates": lambda rng: (*tables(rng, 7), 3.5, 2, 3, 1.0, 0.005, 0.02),
            "one factor, no penalty": lambda rng: (*tables(rng, 1), 0.0, 0, 4, 5.0, 0.05, 0.0),
        },
        properties=(
            Property("at rest for everybody else", nobody_else_moves, 0.0),
            Property("at rest for a rate of 0", no_step_for_rate_zero, 0.0),
            Property("at rest where the rating is met, without penalty", at_rest_where_met, 1e-15),
            Property("half a gradient step of the squared error with penalty", half_a_gradient_step, 1e-12),
            Property("closer to the rating after a small step", a_small_step_helps, 0.0),
        ),
    ),
)  # fmt: skip
