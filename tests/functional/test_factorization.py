"""The interaction-matrix model: what the sheet says of it, one rating by hand, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sheet import holds
from strategies import degenerate, frozen, normal

from minirec import functional as F

U, I, D, N = 3, 5, 2, 11
P_, Q_, BU, BI = normal(U, D), normal(I, D), normal(U), normal(I)
some_users = hnp.arrays(np.int64, N, elements=st.integers(0, U - 1)).map(frozen)
some_items = hnp.arrays(np.int64, N, elements=st.integers(0, I - 1)).map(frozen)


@given(P_, Q_, BU, BI, st.floats(-5, 5), some_users, some_items)
def test_the_sheet_holds(P, Q, b_user, b_item, mu, users, items) -> None:  # type: ignore[no-untyped-def]
    # A score may be near 0 by chance: its error is small beside the terms that it adds up.
    size = abs(mu) + np.abs(b_user).max() + np.abs(b_item).max() + D * np.abs(P).max() * np.abs(Q).max()
    holds("factorization", P, Q, b_user, b_item, mu, users, items, scale=size)


@given(degenerate(U, D), degenerate(I, D), some_users, some_items)
def test_the_sheet_holds_for_degenerate_tables(P, Q, users, items) -> None:  # type: ignore[no-untyped-def]
    size = 1 + D * np.abs(P).max() * np.abs(Q).max()
    holds("factorization", P, Q, np.zeros(U), np.ones(I), 0.0, users, items, scale=size)


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
