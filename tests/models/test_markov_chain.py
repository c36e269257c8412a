"""MarkovChain: pairs counted in a loop, popularity where none was seen, and only the last item counts."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirec.data.interactions import Interactions
from minirec.models import MarkovChain

U, I = 5, 7
EVENTS = st.lists(st.tuples(st.integers(0, U - 1), st.integers(0, I - 1)), min_size=1, max_size=50)


def data(events: list[tuple[int, int]], times: list[int] | None = None) -> Interactions:
    users, items = [u for u, _ in events] + [0] * I, [i for _, i in events] + list(range(I))
    stamps = None if times is None else times + [0] * I
    return Interactions(users, items, timestamps=stamps).select(slice(0, len(events)))


@given(EVENTS, st.data())
def test_a_score_counts_what_came_right_after_the_last_item(
    events: list[tuple[int, int]], draw: st.DataObject
) -> None:
    times = draw.draw(st.lists(st.integers(0, 9), min_size=len(events), max_size=len(events)))
    history = draw.draw(st.lists(st.integers(0, I - 1), min_size=1, max_size=4))
    model = MarkovChain(epsilon=0.25).fit(data(events, times))
    expected = [0.0] * I
    for _, i in events:
        expected[i] += 0.25
    ids = sorted({u for u, _ in events} | {0})
    for u in ids:
        own = [(t, row) for row, (t, (v, _)) in enumerate(zip(times, events, strict=True)) if v == u]
        items = [events[row][1] for _, row in sorted(own)]
        for before, after in itertools.pairwise(items):
            expected[after] += before == history[-1]
    assert model.score_histories([np.array(history)])[0].tolist() == expected  # multiples of 1/4: exact


def test_by_hand_with_a_pair_that_repeats_and_one_that_crosses_users() -> None:
    train = Interactions(["a"] * 4 + ["b"] * 3, ["x", "y", "x", "y", "y", "z", "z"])
    model = MarkovChain(epsilon=1e-6).fit(train)
    x, y, z = (np.array([model.item_index[name]]) for name in "xyz")
    assert model.score_histories([x, y, z]).tolist() == [
        [2e-6, 2 + 3e-6, 2e-6],
        [1 + 2e-6, 3e-6, 1 + 2e-6],  # a's last y and b's first y are no pair
        [2e-6, 3e-6, 1 + 2e-6],
    ]
    assert model.N.nnz == 4


def test_only_the_last_item_of_a_history_counts_and_an_empty_one_leaves_popularity() -> None:
    rng = np.random.default_rng(0)
    model = MarkovChain().fit(Interactions(rng.integers(0, U, 60), rng.integers(0, I, 60)))
    long, short, empty = np.array([1, 6, 2, 3]), np.array([3]), np.array([], dtype=int)
    scores = model.score_histories([long, short, empty])
    assert np.array_equal(scores[0], scores[1])
    assert np.array_equal(scores[2], 1e-6 * model.counts)
    assert not np.array_equal(model.score_histories([long[::-1]])[0], scores[0])
    assert np.array_equal(model.score_histories(model.histories), model.score(np.arange(U)))


def test_popularity_breaks_ties_and_never_outweighs_a_pair() -> None:
    train = Interactions(["a", "a", *"bcdef", "g", "g"], [0, 1, 2, 2, 2, 3, 3, 0, 4])
    order = MarkovChain().fit(train).recommend_histories([[0]], 4).items[0]
    assert order == [1, 4, 2, 3]
    assert MarkovChain(epsilon=0.0).fit(train).score_histories([np.array([2])])[0].tolist() == [0.0] * 5


def test_nothing_is_stored_for_pairs_that_do_not_occur() -> None:
    n = 50_000  # items; their square would be 20 GB
    model = MarkovChain().fit(Interactions(np.arange(n) // 10, np.arange(n)))
    assert model.N.nnz == n - n // 10
    assert model.N.shape == (n, n)
    assert sum(array.nbytes for array in model.state().values()) < 40 * n
    assert model.recommend_histories([[7]], 1).items == [[8]]


@pytest.mark.parametrize("epsilon", [-1e-6, math.nan])
def test_a_negative_epsilon_is_refused(epsilon: float) -> None:
    with pytest.raises(ValueError, match=f"epsilon must be at least 0 and finite, got {epsilon}"):
        MarkovChain(epsilon)


def test_there_is_no_checkpoint_to_go_on_from(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"c\.npz: MarkovChain counts once and has no epochs: leave it out"):
        MarkovChain().fit(data([(0, 1)]), checkpoint=tmp_path / "c.npz")


def test_histories_of_one_item_have_no_pairs(tmp_path) -> None:
    model = MarkovChain().fit(Interactions([0, 1, 2], [4, 5, 4]))
    assert model.N.nnz == 0
    model.save(tmp_path / "model.npz")
    assert np.array_equal(MarkovChain.load(tmp_path / "model.npz").score([0]), model.score([0]))
    assert model.score([0]).tolist() == [[2e-6, 1e-6]]
