"""EASE: the ridge regression of each item on the others, solved one by one, and its optimality."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirec.data.interactions import Interactions
from minirec.models import EASE
from minirec.models.ease import ease_weights

U, I = 13, 7
EVENTS = st.lists(st.tuples(st.integers(0, U - 1), st.integers(0, I - 1)), min_size=1, max_size=70)
REGS = st.sampled_from([0.1, 3.0, 200.0])


def data(events: list[tuple[int, int]]) -> Interactions:
    whole = Interactions([u for u, _ in events] + [0] * I, [i for _, i in events] + list(range(I)))
    return whole.select(slice(0, len(events)))


def binary(train: Interactions) -> np.ndarray:
    X = np.zeros((train.n_users, I))
    X[train.users, train.items] = 1.0
    return X


def objective(X: np.ndarray, B: np.ndarray, reg: float) -> float:
    return float(((X - X @ B) ** 2).sum() + reg * (B**2).sum())


@given(EVENTS, REGS)
def test_each_column_is_the_ridge_regression_of_its_item_on_all_others(
    events: list[tuple[int, int]], reg: float
) -> None:
    train = data(events)
    X, B = binary(train), EASE(reg).fit(train).B
    for j in range(I):
        others = np.delete(np.arange(I), j)
        # Rows √λ e_k make least squares a ridge regression.
        rows = np.vstack([X[:, others], math.sqrt(reg) * np.eye(I - 1)])
        expected = np.linalg.lstsq(rows, np.append(X[:, j], np.zeros(I - 1)), rcond=None)[0]
        np.testing.assert_allclose(B[others, j], expected, rtol=0, atol=1e-11, equal_nan=False)
        assert B[j, j] == 0.0


@given(EVENTS, REGS, st.integers(0, 2**32 - 1))
def test_the_slope_is_zero_off_the_diagonal_and_nothing_near_is_lower(
    events: list[tuple[int, int]], reg: float, seed: int
) -> None:
    train = data(events)
    X, B = binary(train), EASE(reg).fit(train).B
    slope = 2.0 * (X.T @ (X @ B - X) + reg * B)
    np.fill_diagonal(slope, 0.0)  # there a multiplier holds B_ii at 0
    assert np.abs(slope).max() < 1e-11
    move = np.random.default_rng(seed).standard_normal((I, I))
    np.fill_diagonal(move, 0.0)
    # Along any allowed direction the objective is a parabola with its lowest point here.
    low, high = (objective(X, B + t * move, reg) - objective(X, B, reg) for t in (-1e-2, 1e-2))
    assert low > 0
    assert high > 0
    assert low == pytest.approx(high, rel=1e-6, abs=1e-10)


def test_two_items_by_hand() -> None:
    # Item 0 is met by a, b, c and item 1 by a, b, d: G = [[3, 2], [2, 3]]; each is regressed on the other.
    train = Interactions(["a", "b", "c", "a", "b", "d", "a"], [0, 0, 0, 1, 1, 1, 1])
    B = EASE(reg=2.0).fit(train).B
    assert B.tolist() == [[0.0, pytest.approx(2 / 5, rel=1e-15)], [pytest.approx(2 / 5, rel=1e-15), 0.0]]
    G = np.array([[3.0, 2.0], [2.0, 8.0]])
    weights = ease_weights(G, 2.0)
    assert weights[0, 1] == pytest.approx(2 / 5, rel=1e-15)  # item 1 on item 0: 2 / (3 + 2)
    assert weights[1, 0] == pytest.approx(2 / 10, rel=1e-15)  # item 0 on item 1: 2 / (8 + 2)
    assert G.tolist() == [[3.0, 2.0], [2.0, 8.0]]  # not written into


@given(EVENTS, st.lists(st.integers(0, I - 1), max_size=9))
def test_a_score_is_the_sum_of_the_rows_of_the_distinct_items(
    events: list[tuple[int, int]], history: list[int]
) -> None:
    model = EASE(3.0).fit(data(events))
    x = np.array([float(i in history) for i in range(I)])
    scores = model.score_histories([np.array(history, dtype=int)])[0]
    np.testing.assert_allclose(scores, x @ model.B, rtol=0, atol=1e-14, equal_nan=False)


def test_repeats_and_ratings_change_nothing_and_users_never_seen_score_as_known_ones() -> None:
    rng = np.random.default_rng(3)
    users, items = rng.integers(0, U, 60), rng.integers(0, I, 60)
    plain = EASE(3.0).fit(Interactions(users, items))
    again = EASE(3.0).fit(Interactions(np.tile(users, 2), np.tile(items, 2), rng.integers(1, 6, 120)))
    assert np.array_equal(plain.B, again.B)
    assert plain.B.any()
    assert np.array_equal(plain.score_histories(plain.histories), plain.score(np.arange(plain.n_users)))
    assert not plain.score_histories([np.array([], dtype=int)]).any()


def test_more_items_than_there_is_room_for_are_refused_before_anything_is_made() -> None:
    train = Interactions(np.arange(30) % 7, np.arange(30))
    with pytest.raises(
        ValueError, match=r"EASE needs 0\.0 GiB for 30 x 30 numbers, and max_items allows 29 items"
    ):
        EASE(max_items=29).fit(train)
    EASE(max_items=30).fit(train)
    with pytest.raises(ValueError, match=r"EASE needs 5\.4 GiB for 12,001 x 12,001 numbers.*raise max_items"):
        EASE().fit(Interactions([0] * 12_001, range(12_001)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"reg": 0.0}, "reg must be above 0 and finite, got 0.0"),
        ({"reg": math.nan}, "reg must be above 0 and finite, got nan"),
        ({"max_items": 0}, "max_items must be at least 1, got 0"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EASE(**settings)


def test_there_is_no_checkpoint_to_go_on_from(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"c\.npz: EASE is solved at once and has no epochs: leave it out"):
        EASE().fit(data([(0, 1)]), checkpoint=tmp_path / "c.npz")
