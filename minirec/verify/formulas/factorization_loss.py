"""What matrix factorization is trained on: ratings, taken or not, or which of two; with the L2 penalty.

The losses of losses.py on the scores of factorization.py, as MatrixFactorization puts them together.
"""

import math
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.drawing import normal, repeated
from minirec.verify.formulas.factorization import (
    ITEMS,
    USERS,
    factorization,
    rotation,
    score,
    short_tables,
    tables,
)
from minirec.verify.formulas.losses import log_sigmoid

TABLES = ("P", "Q", "b_user", "b_item")


def l2_penalty(P: Any, Q: Any, b_user: Any, b_item: Any, users: Any, items: Any, reg: float) -> float:
    """Pair by pair: λ (‖p_u‖² + ‖q_i‖² + b_u² + b_i²); the mean of these."""
    squares = []
    for u, i in zip(users, items, strict=True):
        squares += [float(P[u, d]) ** 2 for d in range(P.shape[1])]
        squares += [float(Q[i, d]) ** 2 for d in range(Q.shape[1])]
        squares += [float(b_user[u]) ** 2, float(b_item[i]) ** 2]
    return reg * math.fsum(squares) / len(users)


def l2_gradients(P: Any, Q: Any, b_user: Any, b_item: Any, users: Any, items: Any, reg: float) -> Any:
    """Pair by pair: 2 λ/N times the row of each table that the pair touches."""
    dP, dQ, db_user, db_item = (np.zeros(table.shape) for table in (P, Q, b_user, b_item))
    for u, i in zip(users, items, strict=True):
        dP[u] += 2.0 * reg / len(users) * P[u]
        dQ[i] += 2.0 * reg / len(users) * Q[i]
        db_user[u] += 2.0 * reg / len(users) * b_user[u]
        db_item[i] += 2.0 * reg / len(users) * b_item[i]
    return dP, dQ, db_user, db_item


def factorization_loss(
    loss: str,
    P: Any,
    Q: Any,
    b_user: Any,
    b_item: Any,
    mu: float,
    users: Any,
    items: Any,
    third: Any,
    reg: float,
) -> float:
    """The mean over pairs (squared, bce) or over triples (bpr), and the L2 penalty of all pairs.

    `third` holds the rating of each pair (u, i), or for each an item j that was not taken; then (u, i) and
    (u, j) are two pairs, so the vector of u is penalized with each of them.
    """
    tables = (P, Q, b_user, b_item)
    rows = list(zip(users, items, third, strict=True))
    s = [score(*tables, mu, u, i) for u, i, _ in rows]
    if loss == "squared":
        error = math.fsum((x - float(r)) ** 2 for x, (_, _, r) in zip(s, rows, strict=True)) / len(rows)
        return error + l2_penalty(*tables, users, items, reg)
    other = [score(*tables, mu, u, j) for u, _, j in rows]
    if loss == "bce":
        error = -math.fsum(map(log_sigmoid, [*s, *(-x for x in other)])) / (2 * len(rows))
    else:
        error = -math.fsum(log_sigmoid(x - y) for x, y in zip(s, other, strict=True)) / len(rows)
    return error + l2_penalty(*tables, [*users, *users], [*items, *third], reg)


# How ours is called


def penalty(
    ours: Any, P: Any, Q: Any, b_user: Any, b_item: Any, users: Any, items: Any, reg: float
) -> Any:  # fmt: skip
    return ours(dict(zip(TABLES, (P, Q, b_user, b_item), strict=True)), users, items, reg)


def penalty_gradients(
    ours: Any, P: Any, Q: Any, b_user: Any, b_item: Any, users: Any, items: Any, reg: float
) -> Any:
    found = ours(dict(zip(TABLES, (P, Q, b_user, b_item), strict=True)), users, items, reg)
    return tuple(found[name] for name in TABLES)


def model_loss(
    ours: Any, loss: str, P: Any, Q: Any, b_user: Any, b_item: Any, mu: float, users: Any, items: Any,
    third: Any, reg: float,
) -> Any:  # fmt: skip
    model = ours(P.shape[1], loss, reg=reg, dtype="float64")
    model.mu, model.P, model.Q, model.b_user, model.b_item = mu, P, Q, b_user, b_item
    return model.loss_and_grads((users, items, third), 1.0)[0]


# Properties


def linear_in_lambda(place: Place, rng: Rng) -> float:
    *head, reg = place.args
    doubled, once = place(*head, 2.0 * reg), place(*head, reg)
    expected = tuple(2.0 * a for a in once) if isinstance(once, tuple) else 2.0 * once
    return relative_gap(doubled, expected)


def penalty_is_the_mean_of_its_pairs(place: Place, rng: Rng) -> float:
    *tables, users, items, reg = place.args
    alone = [float(place(*tables, users[n : n + 1], items[n : n + 1], reg)) for n in range(len(users))]
    return relative_gap(math.fsum(alone) / len(alone), place(*place.args))


def penalty_slope(place: Place, rng: Rng) -> float:
    """Against central differences of the penalty, which are exact for squares."""
    *tables, users, items, reg = place.args
    found, expected = place(*place.args), []
    for which, table in enumerate(tables):
        d = np.zeros(table.shape)
        for entry in np.ndindex(*table.shape):
            sides = []
            for sign in (1, -1):
                P, Q, b_user, b_item = moved = [np.array(t) for t in tables]
                moved[which][entry] += sign
                sides.append(l2_penalty(P, Q, b_user, b_item, users, items, reg))
            d[entry] = (sides[0] - sides[1]) / 2
        expected.append(d)
    size = l2_penalty(*place.args) + reg
    return relative_gap(found, expected, size)


def nothing_for_rows_that_are_not_read(place: Place, rng: Rng) -> float:
    *_, users, items, _ = place.args
    found = place(*place.args)
    gaps = [np.abs(np.delete(d, ids, axis=0)).sum() for d, ids in zip(found, (users, items) * 2, strict=True)]
    return float(max(gaps))


def loss_unchanged_by_a_rotation(place: Place, rng: Rng) -> float:
    """The penalty included: a rotation keeps lengths."""
    loss, P, Q, *rest = place.args
    turn = rotation(rng, P.shape[1])
    return relative_gap(place(loss, P @ turn, Q @ turn, *rest), place(*place.args))


def zero_at_an_exact_factorization(place: Place, rng: Rng) -> float | None:
    """Without L2, the squared error of ratings that are products is 0."""
    loss, *tables, mu, users, items, _, _ = place.args
    if loss != "squared":
        return None
    exact = factorization(*place.args[1:8])
    return abs(float(place(loss, *tables, mu, users, items, exact, 0.0)))


def blind_to_user_bias(place: Place, rng: Rng) -> float | None:
    """Both items of a triple are met by one user, so what is the user's alone cancels under bpr."""
    loss, P, Q, b_user, *rest, _ = place.args
    if loss != "bpr":
        return None
    found = place(loss, P, Q, b_user + normal(rng, *b_user.shape), *rest, 0.0)
    return relative_gap(found, place(*place.args[:-1], 0.0))


def triples(rng: Rng) -> tuple[Any, ...]:
    return repeated(rng, 3, 7), repeated(rng, 5, 7), repeated(rng, 5, 7)


FORMULAS = (
    Formula(
        name="l2_penalty",
        meaning="Large vectors and biases cost something, each as often as its user or item occurs.",
        latex=r"\Omega = \frac{\lambda}{N} \sum_n "
        r"\left(\|p_{u_n}\|^2 + \|q_{i_n}\|^2 + b_{u_n}^2 + b_{i_n}^2\right)",
        source="Koren, Bell & Volinsky 2009, equation 5, as a mean",
        ours="minirec.models.matrix_factorization.l2_penalty",
        definition=l2_penalty,
        value=penalty,
        places={
            "example": lambda rng: (*short_tables(rng), np.array([0, 1, 0]), np.array([2, 0, 1]), 0.3),
            "repeated users and items": lambda rng: (*tables(rng), USERS.copy(), ITEMS.copy(), 0.3),
        },
        properties=(
            Property("linear in λ", linear_in_lambda, 0.0),
            Property("the mean over its pairs", penalty_is_the_mean_of_its_pairs, 1e-14),
        ),
    ),
    Formula(
        name="l2_gradients",
        meaning="The gradient of the penalty: each row, as often as it occurs.",
        latex=r"""\begin{aligned}
\frac{\partial \Omega}{\partial p_u} &= \frac{2 \lambda}{N} N_u\, p_u, &
\frac{\partial \Omega}{\partial b_u} &= \frac{2 \lambda}{N} N_u\, b_u, & N_u &= |\{n : u_n = u\}| \\
\frac{\partial \Omega}{\partial q_i} &= \frac{2 \lambda}{N} N_i\, q_i, &
\frac{\partial \Omega}{\partial b_i} &= \frac{2 \lambda}{N} N_i\, b_i, & N_i &= |\{n : i_n = i\}|
\end{aligned}""",
        source="the derivative of l2_penalty",
        ours="minirec.models.matrix_factorization.l2_gradients",
        definition=l2_gradients,
        value=penalty_gradients,
        places={
            "example": lambda rng: (*short_tables(rng), np.array([0, 1, 0]), np.array([2, 0, 1]), 0.3),
            "repeated users and items": lambda rng: (*tables(rng), USERS.copy(), ITEMS.copy(), 0.3),
        },
        properties=(
            Property("the derivative of the penalty", penalty_slope, 1e-14),
            Property("linear in λ", linear_in_lambda, 0.0),
            Property("0 for rows that are not read", nothing_for_rows_that_are_not_read, 0.0),
        ),
    ),
    Formula(
        name="factorization_loss",
        meaning="What matrix factorization is trained on: ratings, taken or not, or which of two was taken.",
        latex=r"""\begin{aligned}
\text{squared: } & \frac{1}{N} \sum_n (s_{u_n i_n} - r_n)^2 + \frac{1}{N} \sum_n \omega(u_n, i_n) \\
\text{bce: } & -\frac{1}{2N} \sum_n \left[\log \sigma(s_{u_n i_n}) + \log \sigma(-s_{u_n j_n})\right]
 + \frac{1}{2N} \sum_n \left[\omega(u_n, i_n) + \omega(u_n, j_n)\right] \\
\text{bpr: } & -\frac{1}{N} \sum_n \log \sigma(s_{u_n i_n} - s_{u_n j_n})
 + \frac{1}{2N} \sum_n \left[\omega(u_n, i_n) + \omega(u_n, j_n)\right] \\
& \omega(u, i) = \lambda \left(\|p_u\|^2 + \|q_i\|^2 + b_u^2 + b_i^2\right)
\end{aligned}""",
        source="the document, section 3.2 (training); Koren et al. 2009, equation 5; Rendle et al. 2009, "
        "BPR-Opt with λ for the user and λ/2 for each of the two items",
        ours="minirec.models.MatrixFactorization",
        definition=factorization_loss,
        value=model_loss,
        places={
            "example": lambda rng: (
                "squared", *short_tables(rng), 3.5, np.array([0, 1, 0]), np.array([2, 0, 1]),
                np.array([5.0, 3.0, 1.0]), 0.3,
            ),
            "squared": lambda rng: ("squared", *tables(rng), 3.5, *triples(rng)[:2], normal(rng, 7), 0.3),
            "bce": lambda rng: ("bce", *tables(rng), 0.0, *triples(rng), 0.3),
            "bpr": lambda rng: ("bpr", *tables(rng), 0.0, *triples(rng), 0.3),
            "bpr, no penalty": lambda rng: ("bpr", *tables(rng), 0.0, *triples(rng), 0.0),
        },
        properties=(
            Property("unchanged by a rotation of both tables", loss_unchanged_by_a_rotation, 1e-13),
            Property("0 at an exact factorization without penalty", zero_at_an_exact_factorization, 1e-28),
            Property("blind to the bias of users, for bpr without penalty", blind_to_user_bias, 1e-13),
        ),
    ),
)  # fmt: skip
