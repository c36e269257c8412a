"""ItemKNN: similarities counted in loops over sets of users, neighbors, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirec.data.interactions import Interactions
from minirec.models import ItemKNN, Recommender
from minirec.models.counts import co_occurrences, pair_counts

U, I = 11, 7
EVENTS = st.lists(st.tuples(st.integers(0, U - 1), st.integers(0, I - 1)), min_size=1, max_size=60)
SHRINKS = st.sampled_from([0.0, 0.5, 10.0])


def data(events: list[tuple[int, int]]) -> Interactions:
    """Every item has a row in the id map, also those that nobody met."""
    whole = Interactions([u for u, _ in events] + [0] * I, [i for _, i in events] + list(range(I)))
    return whole.select(slice(0, len(events)))


def by_loops(train: Interactions, shrink: float) -> np.ndarray:
    """The definition, from the set of users of each item."""
    users: list[set[int]] = [set() for _ in range(I)]
    for u, i in zip(train.users.tolist(), train.items.tolist(), strict=True):
        users[i].add(u)
    S = np.zeros((I, I))
    for i in range(I):
        for j in range(I):
            if i != j and users[i] & users[j]:
                S[i, j] = len(users[i] & users[j]) / (math.sqrt(len(users[i]) * len(users[j])) + shrink)
    return S


@given(EVENTS, SHRINKS)
def test_similarities_are_shared_users_over_the_root_of_both(
    events: list[tuple[int, int]], shrink: float
) -> None:
    train = data(events)
    model = ItemKNN(shrink).fit(train)
    np.testing.assert_allclose(
        model.S, by_loops(train, shrink), rtol=1e-14, atol=0, equal_nan=False
    )  # a root and a quotient, each rounded once
    assert (model.S <= 1 + 1e-14).all()


def test_one_similarity_by_hand() -> None:
    # 0 is met by a, b, c, d; 1 by a, b (twice) and e: two shared users of 4 and 3.
    pairs = [("a", 0), ("b", 0), ("c", 0), ("d", 0), ("a", 1), ("b", 1), ("b", 1), ("e", 1), ("e", 2)]
    train = Interactions([u for u, _ in pairs], [i for _, i in pairs])
    assert ItemKNN().fit(train).S[0, 1] == pytest.approx(2 / math.sqrt(12), rel=1e-15)
    assert ItemKNN(shrink=2.0).fit(train).S[1, 0] == pytest.approx(2 / (math.sqrt(12) + 2), rel=1e-15)
    assert ItemKNN().fit(train).S[0].tolist()[::2] == [0.0, 0.0]  # itself, and an item without a shared user


@given(EVENTS, SHRINKS, st.lists(st.integers(0, I - 1), max_size=9))
def test_a_score_is_the_sum_over_the_distinct_items_of_the_history(
    events: list[tuple[int, int]], shrink: float, history: list[int]
) -> None:
    train = data(events)
    S = by_loops(train, shrink)
    expected = [math.fsum(S[i, j] for j in set(history)) for i in range(I)]
    scores = ItemKNN(shrink).fit(train).score_histories([np.array(history, dtype=int)])
    np.testing.assert_allclose(scores[0], expected, rtol=1e-13, atol=0, equal_nan=False)


@given(EVENTS, st.integers(1, I + 2), st.lists(st.integers(0, I - 1), max_size=9))
def test_only_the_nearest_items_of_a_candidate_count(
    events: list[tuple[int, int]], neighbors: int, history: list[int]
) -> None:
    train = data(events)
    S = by_loops(train, 0.5)
    model = ItemKNN(0.5, neighbors).fit(train)
    expected = []
    for i in range(I):
        # Rounded, so that equal similarities tie here as well; ties go to the lower index.
        nearest = sorted((j for j in range(I) if j != i), key=lambda j, i=i: (-round(S[i, j], 12), j))
        expected.append(math.fsum(S[i, j] for j in nearest[:neighbors] if j in history))
    scores = model.score_histories([np.array(history, dtype=int)])[0]
    np.testing.assert_allclose(scores, expected, rtol=1e-13, atol=0, equal_nan=False)
    if neighbors >= I - 1:
        whole = ItemKNN(0.5).fit(train).score_histories([np.array(history, dtype=int)])[0]
        np.testing.assert_allclose(scores, whole, rtol=1e-13, atol=0, equal_nan=False)


def test_repeats_and_ratings_change_nothing() -> None:
    rng = np.random.default_rng(3)
    users, items = rng.integers(0, U, 40), rng.integers(0, I, 40)
    plain = ItemKNN(1.0).fit(Interactions(users, items))
    again = ItemKNN(1.0).fit(
        Interactions(np.tile(users, 3), np.tile(items, 3), rng.integers(1, 6, 120), rng.integers(0, 9, 120))
    )
    assert np.array_equal(plain.S, again.S)
    once, twice = np.array([2, 5]), np.array([2, 5, 2, 2])
    assert np.array_equal(plain.score_histories([once]), plain.score_histories([twice]))
    assert (plain.S == plain.S.T).all()
    assert plain.S.any()


def test_users_never_seen_score_as_known_ones_with_their_history_and_an_empty_history_scores_0() -> None:
    rng = np.random.default_rng(4)
    train = Interactions(rng.integers(0, U, 50), rng.integers(0, I, 50))
    for model in (ItemKNN().fit(train), ItemKNN(neighbors=2).fit(train)):
        known = model.score(np.arange(U))
        assert known.any()
        assert np.array_equal(model.score_histories(model.histories), known)
        assert not model.score_histories([np.array([], dtype=int)]).any()


def test_more_items_than_there_is_room_for_are_refused_before_anything_is_made() -> None:
    train = Interactions(np.arange(300) % 7, np.arange(300))
    words = "ItemKNN needs 0.0 GiB for 300 x 300 numbers, and max_items allows 299 items: give a number of n"
    with pytest.raises(ValueError, match=words):
        ItemKNN(max_items=299).fit(train)
    ItemKNN(max_items=300).fit(train)
    few = ItemKNN(neighbors=4, max_items=299).fit(train)  # holds no square
    assert few.neighbor_weights.shape == few.neighbor_items.shape == (300, 4)
    with pytest.raises(ValueError, match=r"needs 3\.0 GiB"):
        ItemKNN().fit(Interactions([0] * 20_001, range(20_001)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shrink": -0.5}, "shrink must be at least 0 and finite, got -0.5"),
        ({"shrink": math.nan}, "shrink must be at least 0 and finite, got nan"),
        ({"neighbors": 0}, "neighbors must be at least 1, or None for all, got 0"),
        ({"max_items": 0}, "max_items must be at least 1, got 0"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ItemKNN(**settings)


def test_there_is_no_checkpoint_to_go_on_from(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"c\.npz: ItemKNN counts once and has no epochs: leave it out"):
        ItemKNN().fit(data([(0, 1)]), checkpoint=tmp_path / "c.npz")


def test_a_file_whose_neighbors_are_no_items_is_refused(tmp_path) -> None:
    model = ItemKNN(neighbors=2).fit(data([(0, 1), (0, 2), (1, 1)]))
    model.neighbor_items = model.neighbor_items + I
    model.save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match=r"do not fit together: items.* is out of range"):
        Recommender.load(tmp_path / "model.npz")


# What the counted models count


@given(EVENTS)
def test_pairs_are_counted_and_only_those_that_occur_are_stored(events: list[tuple[int, int]]) -> None:
    N = pair_counts(np.array([u for u, _ in events]), np.array([i for _, i in events]), (U, I))
    assert N.dense().tolist() == [[events.count((u, i)) for i in range(I)] for u in range(U)]
    assert N.nnz == len(set(events))


def test_no_pairs_make_an_empty_matrix() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    N = pair_counts(nothing, nothing, (U, I))
    assert (N.shape, N.nnz) == ((U, I), 0)
    assert co_occurrences(N, 3).tolist() == [0] * I
