"""Least squares that are solved at once: the weights of EASE, and the half-steps of ALS with their objective.

The definitions solve each set of normal equations by elimination in rational numbers, so that nothing is
rounded; the properties ask whether the slope of the objective is 0 there. A matrix is written with zeros here
where nothing is stored. The properties are in properties/least_squares.py.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Property, Rng
from minirec.verify.formulas.drawing import normal, short
from minirec.verify.formulas.interactions import Stored
from minirec.verify.formulas.properties import least_squares as own


def solved(A: Sequence[Sequence[Fraction]], b: Sequence[Fraction]) -> list[Fraction]:
    """x with A x = b, for a positive definite A: no pivot is 0, so no rows change places."""
    rows = [[*row, right] for row, right in zip(A, b, strict=True)]
    for k, pivot in enumerate(rows):
        rows[k] = pivot = [entry / pivot[k] for entry in pivot]
        for n, row in enumerate(rows):
            if n != k:
                rows[n] = [entry - row[k] * above for entry, above in zip(row, pivot, strict=True)]
    return [row[-1] for row in rows]


def ease_weights(G: Any, reg: float) -> Any:
    """Item by item: the weights of the others in the ridge regression that explains it."""
    exact, penalty = [[Fraction(float(g)) for g in row] for row in G], Fraction(float(reg))
    B = np.zeros(G.shape)
    for j in range(len(G)):
        others = [i for i in range(len(G)) if i != j]
        A = [[exact[i][k] + (penalty if i == k else 0) for k in others] for i in others]
        B[others, j] = [float(x) for x in solved(A, [exact[i][j] for i in others])]
    return B


def als_system(Y: Any, items: Any, r: Any, alpha: float, reg: float) -> Any:
    """A[d, e] = Σ_i c_i y_id y_ie over all items, λ more where d = e; and c_i of the items met."""
    confidence = {int(i): 1.0 + alpha * float(count) for i, count in zip(items, r, strict=True)}
    A = np.zeros((Y.shape[1], Y.shape[1]))
    for d, e in np.ndindex(*A.shape):
        terms = [confidence.get(i, 1.0) * float(Y[i, d]) * float(Y[i, e]) for i in range(len(Y))]
        A[d, e] = math.fsum([*terms, reg if d == e else 0.0])
    return A, np.array([confidence[int(i)] for i in items])


def als_half_step(Y: Any, R: Any, alpha: float, reg: float) -> Any:
    """User by user: (Σ_i c_ui y_i y_iᵀ + λ I) x_u = Σ_i c_ui p_ui y_i over all items."""
    (I, D), penalty = Y.shape, Fraction(float(reg))
    y = [[Fraction(float(Y[i, d])) for d in range(D)] for i in range(I)]
    X = np.zeros((len(R), D))
    for u in range(len(R)):
        A = [[penalty if d == e else Fraction(0) for e in range(D)] for d in range(D)]
        b = [Fraction(0)] * D
        for i in range(I):
            c = 1 + Fraction(float(alpha)) * int(R[u, i])
            for d in range(D):
                b[d] += c * y[i][d] if R[u, i] > 0 else 0
                for e in range(D):
                    A[d][e] += c * y[i][d] * y[i][e]
        X[u] = [float(x) for x in solved(A, b)]
    return X


def als_objective(X: Any, Y: Any, R: Any, alpha: float, reg: float) -> float:
    """The sum of c_ui (p_ui − x_uᵀ y_i)² over all pairs, met or not, and λ times all squares."""
    terms = [reg * float(entry) ** 2 for table in (X, Y) for entry in table.ravel()]
    for u in range(len(X)):
        for i in range(len(Y)):
            s = math.fsum(float(X[u, d]) * float(Y[i, d]) for d in range(X.shape[1]))
            terms.append((1.0 + alpha * float(R[u, i])) * (float(R[u, i] > 0) - s) ** 2)
    return math.fsum(terms)


# How ours is called: it takes a sparse matrix, and Yᵀ Y once for all users.


def with_the_squares_of_all(ours: Any, Y: Any, items: Any, r: Any, alpha: float, reg: float) -> Any:
    return ours(Y, Y.T @ Y, items, r, alpha, reg)


def half_stepped(ours: Any, Y: Any, R: Any, alpha: float, reg: float) -> Any:
    return ours(Y, Stored(R), alpha, reg)


def of_pairs_met(ours: Any, X: Any, Y: Any, R: Any, alpha: float, reg: float) -> Any:
    return ours(X, Y, Stored(R), alpha, reg)


def together(rng: Rng, users: int = 13, items: int = 5) -> Any:
    """G = Xᵀ X of random users, as whole numbers; the last two items have the same users."""
    X = rng.random((users, items)) < 0.5
    X[:, -1] = X[:, -2]
    X[0] = True
    return (X.T[:, None] & X.T).sum(axis=-1).astype(np.float64)


def counts(rng: Rng, users: int = 5, items: int = 7) -> Any:
    """How often each pair met: user 2 met nothing, and nobody met item 5."""
    R = rng.integers(1, 4, (users, items)) * (rng.random((users, items)) < 0.5)
    R[0, 0], R[2], R[:, 5] = 2, 0, 0
    return R


def met_by_one(rng: Rng, count: int, items: int = 7) -> tuple[Any, Any]:
    """Some items in any order, and how often each was met."""
    return rng.permutation(items)[:count], rng.integers(1, 4, count)


def small_counts() -> Any:
    return np.array([[1, 0, 2], [0, 0, 1]])


FORMULAS = (
    Formula(
        name="ease_weights",
        meaning="Each item as a weighted sum of the others, from how many users met each two of them.",
        latex=r"B = \arg\min_{B:\ B_{ii} = 0} \sum_{ui} \Big(X_{ui} - \sum_j X_{uj} B_{ji}\Big)^2 + "
        r"\lambda \sum_{ij} B_{ij}^2: \quad P = (G + \lambda I)^{-1},\ G = X^T X, \quad "
        r"B_{ij} = -\frac{P_{ij}}{P_{jj}},\ i \ne j",
        source="Steck 2019, equations 1 and 8",
        ours="minirec.models.ease.ease_weights",
        definition=ease_weights,
        places={
            "example": lambda rng: (np.array([[3.0, 2.0, 1.0], [2.0, 4.0, 0.0], [1.0, 0.0, 2.0]]), 1.0),
            "two items with the same users": lambda rng: (together(rng), 0.5),
            "a large penalty": lambda rng: (together(rng, 11, 7), 200.0),
            "more items than users": lambda rng: (together(rng, 3, 7), 0.1),
            "one item": lambda rng: (np.array([[4.0]]), 2.0),
        },
        properties=(
            Property("0 for the item itself", own.no_item_explains_itself, 0.0),
            Property("where the objective has no slope, off the diagonal", own.ease_has_no_slope, 1e-13),
            Property("where the objective is smallest", own.ease_is_smallest, 0.0),
            Property("common users over users and penalty, of two items", own.two_items_by_hand, 1e-14),
            Property("moved with the items", own.ease_moves_with_the_items, 1e-12),
            Property("the same for twice the users and penalty", own.twice_the_users_and_penalty, 1e-14),
            Property("blind to an item that nobody met", own.blind_to_an_item_nobody_met, 1e-12),
        ),
    ),
    Formula(
        name="als_system",
        meaning="The equations of one user: what was met weighs more, what was not met weighs one.",
        latex=r"A_u = Y^T Y + Y^T (C_u - I)\, Y + \lambda I, \quad c_{ui} = 1 + \alpha r_{ui} "
        r"\text{ of the items met}",
        source="Hu, Koren & Volinsky 2008, equation 4 and the sums below it",
        ours="minirec.models.implicit_als.als_system",
        definition=als_system,
        value=with_the_squares_of_all,
        places={
            "example": lambda rng: (short(rng, 3, 2), np.array([2, 0]), np.array([1, 2]), 2.0, 0.5),
            "three factors": lambda rng: (normal(rng, 7, 3), *met_by_one(rng, 5), 0.5, 2.0),
            "confident": lambda rng: (normal(rng, 7, 2), *met_by_one(rng, 3), 40.0, 0.1),
            "met is as much as not met": lambda rng: (normal(rng, 7, 3), *met_by_one(rng, 2), 0.0, 1.0),
            "everything was met": lambda rng: (normal(rng, 7, 5), *met_by_one(rng, 7), 1.0, 10.0),
        },
        properties=(
            Property("the weighted squares along any x", own.system_is_the_curvature, 1e-12),
            Property("blind to the order of the items", own.system_has_no_order, 1e-14),
            Property("larger by λ on the diagonal alone", own.penalty_is_on_the_diagonal, 1e-13),
            Property("a function of α r", own.system_of_alpha_times_counts, 1e-14),
        ),
    ),
    Formula(
        name="als_half_step",
        meaning="The vector of each user that explains best what was met and what was not, items fixed.",
        latex=r"x_u = (Y^T C_u Y + \lambda I)^{-1}\, Y^T C_u\, p_u, \quad C_u = \mathrm{diag}_i(c_{ui}),\ "
        r"c_{ui} = 1 + \alpha R_{ui},\ p_{ui} = [R_{ui} > 0]",
        source="Hu, Koren & Volinsky 2008, equations 4 and 5",
        ours="minirec.models.implicit_als.als_half_step",
        definition=als_half_step,
        value=half_stepped,
        places={
            "example": lambda rng: (short(rng, 3, 2), small_counts(), 2.0, 0.5),
            "three factors": lambda rng: (normal(rng, 7, 3), counts(rng), 0.5, 2.0),
            "confident": lambda rng: (normal(rng, 7, 2), counts(rng), 40.0, 0.1),
            "met is as much as not met": lambda rng: (normal(rng, 7, 3), counts(rng), 0.0, 1.0),
            "one factor": lambda rng: (normal(rng, 7, 1), counts(rng), 1.0, 10.0),
            "more factors than items": lambda rng: (normal(rng, 2, 3), counts(rng)[:, :2], 1.0, 0.5),
        },
        properties=(
            Property("where the objective has no slope", own.half_step_has_no_slope, 1e-13),
            Property("where the objective is smallest", own.half_step_is_smallest, 0.0),
            Property("0 for who met nothing", own.nothing_for_who_met_nothing, 0.0),
            Property("turned with the items", own.turned_with_the_items, 1e-12),
            Property("each user's own affair", own.each_user_alone, 1e-14),
            Property("a function of α R and of what was met", own.only_alpha_times_counts, 1e-14),
            Property("blind to the order of the items", own.items_have_no_order, 1e-12),
            Property("shorter for a larger penalty", own.shorter_for_a_larger_penalty, 0.0),
        ),
    ),
    Formula(
        name="als_objective",
        meaning="How badly the products of the vectors say what was met and what was not, and their lengths.",
        latex=r"\sum_{ui} c_{ui} (p_{ui} - x_u^T y_i)^2 + \lambda \Big(\sum_u |x_u|^2 + \sum_i |y_i|^2\Big), "
        r"\quad c_{ui} = 1 + \alpha R_{ui},\ p_{ui} = [R_{ui} > 0]",
        source="Hu, Koren & Volinsky 2008, equation 3",
        ours="minirec.models.implicit_als.als_objective",
        definition=als_objective,
        value=of_pairs_met,
        places={
            "example": lambda rng: (short(rng, 2, 2), short(rng, 3, 2), small_counts(), 2.0, 0.5),
            "three factors": lambda rng: (normal(rng, 5, 3), normal(rng, 7, 3), counts(rng), 0.5, 2.0),
            "confident": lambda rng: (normal(rng, 5, 2), normal(rng, 7, 2), counts(rng), 40.0, 0.1),
            "nothing was met": lambda rng: (
                normal(rng, 5, 2), normal(rng, 3, 2), np.zeros((5, 3), dtype=np.int64), 1.0, 0.5,
            ),
        },
        properties=(
            Property("never negative", own.never_negative, 0.0),
            Property("smallest, without slope, at the half-step", own.smallest_at(als_half_step), 1e-13),
            Property("unchanged by a rotation of both tables", own.unchanged_by_a_rotation, 1e-13),
            Property("the same when users and items change places", own.roles_may_change, 1e-13),
            Property("a function of α R and of what was met", own.objective_of_alpha_times_counts, 1e-14),
            Property("α for one more event, times the squared error", own.one_more_event_of_a_pair, 1e-12),
            Property("the number of events of who has no vector", own.without_vectors, 1e-13),
            Property("larger by all squares for one more of penalty", own.one_more_of_penalty, 1e-12),
        ),
    ),
)  # fmt: skip
