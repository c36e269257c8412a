"""Padded histories, positions and prefixes against loops over users; no target is in its own source."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minirec.data.interactions import Interactions
from minirec.data.sequences import Prefixes, pad_histories, positions

histories = st.lists(st.lists(st.integers(0, 10), max_size=7), min_size=1, max_size=5)


@given(histories, st.integers(1, 9))
def test_padding_is_on_the_left_and_the_newest_are_kept(many: list[list[int]], length: int) -> None:
    ids = pad_histories([np.array(h, dtype=np.int64) for h in many], length)
    assert ids.shape == (len(many), length)
    assert ids.dtype == np.int64
    for row, history in zip(ids.tolist(), many, strict=True):
        newest = [item + 1 for item in history[max(0, len(history) - length) :]]
        assert row == [0] * (length - len(newest)) + newest


def test_histories_may_be_lists_and_none_of_them_gives_no_rows() -> None:
    assert pad_histories([[4, 0]], 3).tolist() == [[0, 5, 1]]  # type: ignore[list-item]
    assert pad_histories([], 3).shape == (0, 3)


@given(histories, st.integers(1, 5))
def test_positions_count_from_the_oldest_kept_item_whatever_the_padding(
    many: list[list[int]], more: int
) -> None:
    arrays = [np.array(h, dtype=np.int64) for h in many]
    found = positions(pad_histories(arrays, 7))
    for row, history in zip(found.tolist(), many, strict=True):
        assert row == [0] * (7 - len(history)) + list(range(len(history)))
    assert np.array_equal(positions(pad_histories(arrays, 7 + more))[:, more:], found)


@st.composite
def logs(draw: st.DrawFn) -> Interactions:
    """A log in any order of rows, with repeated items and tied timestamps."""
    n = draw(st.integers(1, 30))
    users = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    items = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    times = draw(st.one_of(st.none(), st.lists(st.integers(0, 9), min_size=n, max_size=n)))
    return Interactions(users, items, np.arange(n) / 7, times)


def by_loops(x: Interactions) -> list[tuple[int, int, float, list[int]]]:
    """(user, target, rating, everything before it) for each event that meets its item for the first time."""
    examples = []
    for user in range(x.n_users):
        rows = [n for n in range(len(x)) if x.users[n] == user]
        if x.timestamps is not None:
            rows.sort(key=lambda n: x.timestamps[n])  # stable
        for place, n in enumerate(rows):
            before = [int(x.items[m]) for m in rows[:place]]
            if x.items[n] not in before:
                examples.append((user, int(x.items[n]), float(x.ratings[n]), before))
    return examples


@given(logs(), st.integers(1, 6))
def test_prefixes_equal_a_loop_over_users(x: Interactions, length: int) -> None:
    examples, expected = Prefixes(x, length), by_loops(x)
    assert len(examples) == len(expected)
    assert examples.users.tolist() == [user for user, *_ in expected]
    assert examples.targets.tolist() == [target for _, target, *_ in expected]
    assert examples.ratings is not None
    assert examples.ratings.tolist() == [rating for *_, rating, _ in expected]
    rows = np.arange(len(expected))[::-1]
    sources = examples.sources(rows)
    assert np.array_equal(sources, pad_histories([np.array(expected[r][3], dtype=int) for r in rows], length))
    # The target is never in its own source.
    assert not (sources == examples.targets[rows, None] + 1).any()


def test_prefixes_without_ratings_and_of_a_user_without_rows() -> None:
    whole = Interactions(["ann", "bob", "ann", "cat"], ["tea", "ham", "jam", "ham"])
    part = whole.select(np.array([0, 2, 3]))  # bob has no rows left
    examples = Prefixes(part, 2)
    assert examples.ratings is None
    assert [whole.user_ids[u] for u in examples.users] == ["ann", "ann", "cat"]
    tea = whole.item_index["tea"] + 1
    assert examples.sources(np.arange(3)).tolist() == [[0, 0], [0, tea], [0, 0]]
    assert examples.sources(np.array([], dtype=int)).shape == (0, 2)
