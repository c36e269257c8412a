"""The interaction-matrix model: against a loop over the rows, and its symmetries."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import frozen, normal

from minirec import functional as F

U, I, D, N = 3, 5, 2, 11
P_, Q_, BU, BI = normal(U, D), normal(I, D), normal(U), normal(I)
some_users = hnp.arrays(np.int64, N, elements=st.integers(0, U - 1)).map(frozen)
some_items = hnp.arrays(np.int64, N, elements=st.integers(0, I - 1)).map(frozen)


@given(P_, Q_, BU, BI, st.floats(-5, 5), some_users, some_items, normal(N))
def test_equals_the_definition(P, Q, b_user, b_item, mu, users, items, ds) -> None:  # type: ignore[no-untyped-def]
    s, cache = F.factorization_forward(P, Q, b_user, b_item, mu, users, items)
    dP, dQ, db_user, db_item = (np.zeros(a.shape) for a in (P, Q, b_user, b_item))
    for n, (u, i) in enumerate(zip(users, items, strict=True)):
        assert s[n] == pytest.approx(
            mu + b_user[u] + b_item[i] + sum(P[u, d] * Q[i, d] for d in range(D)), abs=1e-13
        )
        dP[u] += ds[n] * Q[i]
        dQ[i] += ds[n] * P[u]
        db_user[u] += ds[n]
        db_item[i] += ds[n]
    for found, expected in zip(F.factorization_backward(ds, cache), (dP, dQ, db_user, db_item), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13, equal_nan=False)


@given(P_, Q_, BU, BI, some_users, some_items, st.floats(0, 6.28))
def test_a_rotation_of_both_tables_changes_no_score(P, Q, b_user, b_item, users, items, angle) -> None:  # type: ignore[no-untyped-def]
    c, s = math.cos(angle), math.sin(angle)
    R = np.array([[c, -s], [s, c]])
    before = F.factorization_forward(P, Q, b_user, b_item, 3.5, users, items)[0]
    after = F.factorization_forward(P @ R, Q @ R, b_user, b_item, 3.5, users, items)[0]
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-13, equal_nan=False)


def test_at_an_exact_factorization_the_gradient_of_the_error_is_zero() -> None:
    rng = np.random.default_rng(0)
    P, Q, b_user, b_item = (rng.standard_normal(shape) for shape in ((U, D), (I, D), U, I))
    users, items = np.repeat(np.arange(U), I), np.tile(np.arange(I), U)
    ratings = F.factorization_forward(P, Q, b_user, b_item, 3.5, users, items)[0]
    s, cache = F.factorization_forward(P, Q, b_user, b_item, 3.5, users, items)
    loss, of_loss = F.squared_error_forward(s, ratings)
    assert loss == 0
    for gradient in F.factorization_backward(F.squared_error_backward(1.0, of_loss), cache):
        assert (gradient == 0).all()


def test_one_rating_by_hand() -> None:
    P, Q = np.array([[1.0, 2.0]]), np.array([[3.0, -1.0]])
    one = np.array([0])
    s, cache = F.factorization_forward(P, Q, np.array([0.5]), np.array([0.25]), 3.0, one, one)
    assert s.tolist() == [3.0 + 0.5 + 0.25 + 1.0]
    dP, dQ, db_user, db_item = F.factorization_backward(np.array([2.0]), cache)
    assert (dP.tolist(), dQ.tolist()) == ([[6.0, -2.0]], [[2.0, 4.0]])
    assert (db_user.tolist(), db_item.tolist()) == ([2.0], [2.0])


@pytest.mark.parametrize(
    ("users", "items", "error", "words"),
    [
        ([0, -1], [0, 1], IndexError, ["users[1] = -1", "0 to 2"]),
        ([0, U], [0, 1], IndexError, ["users[1] = 3", "0 to 2"]),
        ([0, 1], [0, I], IndexError, ["items[1] = 5", "0 to 4"]),
        ([0, 1], [-2, 1], IndexError, ["items[0] = -2"]),
        ([0.0, 1.0], [0, 1], TypeError, ["users must be integers"]),
        ([0, 1], [True, False], TypeError, ["items must be integers", "bool"]),
        ([0, 1, 2], [0, 1], ValueError, []),
    ],
)
def test_faults(users, items, error, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error) as caught:
        F.factorization_forward(
            np.zeros((U, D)),
            np.zeros((I, D)),
            np.zeros(U),
            np.zeros(I),
            0.0,
            np.array(users),
            np.array(items),
        )
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_one_item_is_not_spread_over_several_users() -> None:
    P, b = np.ones((4, 2)), np.zeros(4)
    with pytest.raises(ValueError, match="users and items must have equal shapes"):
        F.factorization_forward(P, P, b, b, 0.0, np.array([0, 1, 2]), np.array([0]))
