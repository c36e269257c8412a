"""Popularity: a count, the same for everybody, and what must not change it."""

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minirec.data.interactions import Interactions
from minirec.models import Popularity

EVENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=30)


def fit(users: list[int], items: list[int]) -> Popularity:
    return Popularity().fit(Interactions(users, items))


@given(EVENTS)
def test_a_score_is_the_number_of_interactions_and_none_is_lost(events: list[tuple[int, int]]) -> None:
    users, items = [u for u, _ in events], [i for _, i in events]
    model = fit(users, items)
    expected = [items.count(item) for item in model.item_ids]
    scores = model.score(np.arange(model.n_users))
    assert all(row.tolist() == expected for row in scores)
    assert model.counts.sum() == len(events)
    assert np.array_equal(model.score_histories([np.array([0]), np.array([], dtype=int)]), scores[[0, 0]])


@given(EVENTS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(events: list[tuple[int, int]], random: Random) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)
    first, second = (fit([u for u, _ in rows], [i for _, i in rows]) for rows in (events, shuffled))
    assert np.array_equal(first.counts, second.counts)


@given(EVENTS, st.permutations(range(7)))
def test_relabelling_items_permutes_the_scores(events: list[tuple[int, int]], names: list[int]) -> None:
    users, items = [u for u, _ in events], [i for _, i in events]
    model, renamed = fit(users, items), fit(users, [names[i] for i in items])
    by_name = dict(zip(renamed.item_ids, renamed.score(0)[0], strict=True))
    assert [by_name[names[i]] for i in model.item_ids] == model.score(0)[0].tolist()


def test_relabelling_items_permutes_the_recommendations_where_nothing_ties() -> None:
    items = [3, 3, 3, 0, 0, 5]
    names = {0: 40, 3: 10, 5: 20}
    model, renamed = fit([1, 2, 3, 1, 2, 1], items), fit([1, 2, 3, 1, 2, 1], [names[i] for i in items])
    for user in (1, 2, 3):
        plain = model.recommend(user, 3, exclude_seen=False).items[0]
        assert plain == [3, 0, 5]
        assert renamed.recommend(user, 3, exclude_seen=False).items[0] == [names[i] for i in plain]


def test_the_most_popular_unseen_items_come_first_and_ties_in_the_order_of_ids() -> None:
    model = Popularity().fit(Interactions(["a", "b", "c", "a", "b", "c"], ["x", "x", "x", "y", "z", "w"]))
    result = model.recommend("a", 3)
    assert result.items == [["w", "z", None]]
    assert result.scores[0, :2].tolist() == [1.0, 1.0]
    assert model.recommend_histories([[]], 1).items == [["x"]]
