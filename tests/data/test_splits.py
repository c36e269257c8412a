from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sheet import holds

from minirec.data.interactions import Interactions
from minirec.data.splits import (
    global_temporal,
    k_fold,
    known_users,
    leave_one_out,
    random_split,
    temporal_cuts,
)

ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 10), st.integers(0, 5)), min_size=2, max_size=43)


def interactions(rows: Sequence[tuple[int, int, int]], timed: bool = True) -> Interactions:
    """Ratings are the row numbers, so that a part says which rows it has."""
    users, items, times = [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    return Interactions(users, items, ratings=list(range(len(rows))), timestamps=times if timed else None)


def row_numbers(part: Interactions) -> list[int]:
    assert part.ratings is not None
    return [int(r) for r in part.ratings]


SPLITS: dict[str, Callable[[Interactions], Sequence[Interactions]]] = {
    "leave_one_out": leave_one_out,
    "global_temporal": lambda x: global_temporal(x, 2, 4),
    "random_split": lambda x: random_split(x, 0.3, 5),
    "k_fold": lambda x: k_fold(x, 2, 5)[0],
    "tests of k_fold": lambda x: [test for _, test in k_fold(x, min(5, len(x)), 5)],
}


@pytest.mark.parametrize("name", SPLITS)
@given(rows=ROWS)
def test_a_split_is_an_exact_partition_in_file_order(name: str, rows: list[tuple[int, int, int]]) -> None:
    x = interactions(rows)
    parts = SPLITS[name](x)
    numbers = [row_numbers(part) for part in parts]
    assert sorted(n for part in numbers for n in part) == list(range(len(rows)))
    assert all(part == sorted(part) for part in numbers)
    for part, kept in zip(parts, numbers, strict=True):
        assert part.user_ids is x.user_ids
        assert part.item_ids is x.item_ids
        assert part.users.tolist() == x.users[kept].tolist()
        assert part.items.tolist() == x.items[kept].tolist()
        assert part.timestamps is not None
        assert x.timestamps is not None
        assert part.timestamps.tolist() == x.timestamps[kept].tolist()


@pytest.mark.parametrize("timed", [True, False])
@given(rows=ROWS)
def test_leave_one_out_by_hand(timed: bool, rows: list[tuple[int, int, int]]) -> None:
    wanted: tuple[list[int], list[int], list[int]] = ([], [], [])
    for user in {r[0] for r in rows}:
        mine = sorted((time if timed else 0, n) for n, (u, _, time) in enumerate(rows) if u == user)
        numbers = [n for _, n in mine]
        if len(numbers) < 3:
            wanted[0].extend(numbers)
        else:
            wanted[0].extend(numbers[:-2])
            wanted[1].append(numbers[-2])
            wanted[2].append(numbers[-1])
    found = [row_numbers(part) for part in leave_one_out(interactions(rows, timed))]
    assert found == [sorted(part) for part in wanted]


@pytest.mark.parametrize("timed", [True, False])
@given(rows=ROWS)
def test_leave_one_out_as_on_the_sheet(timed: bool, rows: list[tuple[int, int, int]]) -> None:
    users, items, times = (np.array(column) for column in zip(*rows, strict=True))
    holds("leave_one_out", users, items, times if timed else None, 7, 11)


def test_leave_one_out_breaks_ties_by_row() -> None:
    x = interactions([(0, 0, 5), (0, 1, 5), (0, 2, 5), (1, 3, 1), (1, 4, 2)])
    train, valid, test = leave_one_out(x)
    assert (row_numbers(train), row_numbers(valid), row_numbers(test)) == ([0, 3, 4], [1], [2])


@given(ROWS, st.floats(-1, 7), st.floats(-1, 7))
def test_global_temporal_has_one_clock(rows: list[tuple[int, int, int]], a: float, b: float) -> None:
    valid_from, test_from = min(a, b), max(a, b)
    train, valid, test = global_temporal(interactions(rows), valid_from, test_from)
    assert row_numbers(train) == [n for n, r in enumerate(rows) if r[2] < valid_from]
    assert row_numbers(valid) == [n for n, r in enumerate(rows) if valid_from <= r[2] < test_from]
    assert row_numbers(test) == [n for n, r in enumerate(rows) if r[2] >= test_from]


@pytest.mark.parametrize("name", ["leave_one_out", "global_temporal"])
@given(rows=ROWS)
def test_no_event_lies_before_an_event_of_an_earlier_part(
    name: str, rows: list[tuple[int, int, int]]
) -> None:
    parts = SPLITS[name](interactions(rows))
    for n, later in enumerate(parts):
        for earlier in parts[:n]:
            for user in range(later.n_users):
                assert later.timestamps is not None
                assert earlier.timestamps is not None
                after, before = (
                    later.timestamps[later.users == user],
                    earlier.timestamps[earlier.users == user],
                )
                assert min(after, default=9) >= max(before, default=-9)


@given(ROWS, st.floats(0.01, 0.99), st.integers(0, 99))
def test_random_split_has_the_size_that_was_asked_for(
    rows: list[tuple[int, int, int]], fraction: float, seed: int
) -> None:
    train, test = random_split(interactions(rows), fraction, seed)
    assert len(test) == round(fraction * len(rows))
    again = random_split(interactions(rows), fraction, np.random.default_rng(seed))
    assert row_numbers(again[0]) == row_numbers(train)


def test_random_splits_differ_between_seeds_and_touch_every_row() -> None:
    x = interactions([(0, n, n) for n in range(41)])
    tests = [row_numbers(random_split(x, 0.2, seed)[1]) for seed in range(50)]
    assert len({tuple(t) for t in tests}) == 50
    # Each of 41 rows is in a test part with probability 8/41: in none of 50 with probability 2e-5.
    assert {n for t in tests for n in t} == set(range(41))


@given(ROWS, st.integers(2, 7), st.integers(0, 99))
def test_folds(rows: list[tuple[int, int, int]], k: int, seed: int) -> None:
    assume(k <= len(rows))
    x = interactions(rows)
    folds = k_fold(x, k, seed)
    assert len(folds) == k
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1
    for train, test in folds:
        assert sorted(row_numbers(train) + row_numbers(test)) == list(range(len(rows)))
    assert [row_numbers(test) for _, test in k_fold(x, k, seed)] == [row_numbers(test) for _, test in folds]


def test_folds_are_shuffled() -> None:
    x = interactions([(0, n, n) for n in range(41)])
    firsts = {tuple(row_numbers(k_fold(x, 5, seed)[0][1])) for seed in range(10)}
    assert len(firsts) == 10


X = interactions([(0, n, n) for n in range(5)])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: global_temporal(interactions([(0, 0, 0)], timed=False), 1, 2),
            ValueError,
            "needs timestamps",
        ),
        (lambda: global_temporal(X, 3, 2), ValueError, "valid_from = 3 lies after test_from = 2"),
        (lambda: global_temporal(X, float("nan"), 2), ValueError, "valid_from = nan is not finite"),
        (lambda: global_temporal(X, 1, float("inf")), ValueError, "test_from = inf is not finite"),
        (lambda: random_split(X, 0, 1), ValueError, "fraction = 0 must lie between 0 and 1"),
        (lambda: random_split(X, 1.0, 1), ValueError, "fraction = 1.0 must lie between 0 and 1"),
        (lambda: random_split(X, float("nan"), 1), ValueError, "fraction = nan must lie between"),
        (lambda: k_fold(X, 1, 1), ValueError, "k = 1 folds of 5 interactions: allowed are 2 to 5"),
        (lambda: k_fold(X, 6, 1), ValueError, "k = 6 folds of 5 interactions: allowed are 2 to 5"),
        (lambda: k_fold(X, 2.0, 1), TypeError, "k must be an integer, got 2.0"),  # type: ignore[arg-type]
        (lambda: k_fold(X, True, 1), TypeError, "k must be an integer, got True"),
    ],
)
def test_wrong_arguments(call: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


@given(rows=ROWS, valid=st.sampled_from([0.01, 0.1, 0.25, 0.6]), test=st.sampled_from([0.01, 0.2, 0.39]))
def test_temporal_cuts_leave_the_last_shares(
    rows: list[tuple[int, int, int]], valid: float, test: float
) -> None:
    x = interactions(rows)
    valid_from, test_from = temporal_cuts(x, valid, test)
    parts = global_temporal(x, valid_from, test_from)
    assert x.timestamps is not None
    times = sorted(x.timestamps.tolist())
    for share, cut in ((valid + test, valid_from), (test, test_from)):
        # the earliest event of the share that was asked for, rounded, is where the part begins
        first = min(round((1 - share) * len(times)), len(times) - 1)
        assert times[first] == cut
        held_out = sum(time >= cut for time in times)
        later = sum(time > cut for time in times)
        assert later <= len(times) - first <= held_out
    assert sum(map(len, parts)) == len(rows)


def test_temporal_cuts_of_ten_events() -> None:
    x = interactions([(0, i, time) for i, time in enumerate([90, 10, 30, 20, 50, 40, 70, 60, 80, 0])])
    assert temporal_cuts(x) == (80, 90)
    assert temporal_cuts(x, 0.3, 0.2) == (50, 80)


@pytest.mark.parametrize(("valid", "test"), [(0.0, 0.1), (0.1, 0.0), (0.5, 0.5), (-0.1, 0.2), (0.1, 1.0)])
def test_shares_of_time_must_leave_something(valid: float, test: float) -> None:
    with pytest.raises(ValueError, match=rf"valid = {valid} and test = {test} must be above 0"):
        temporal_cuts(interactions([(0, 0, 0)]), valid, test)


def test_temporal_cuts_need_timestamps_and_events() -> None:
    with pytest.raises(ValueError, match="needs timestamps"):
        temporal_cuts(interactions([(0, 0, 0)], timed=False))
    with pytest.raises(ValueError, match="at least one event"):
        temporal_cuts(interactions([(0, 0, 0)]).select(slice(0, 0)))


@given(rows=ROWS)
def test_known_users_have_an_event_in_training(rows: list[tuple[int, int, int]]) -> None:
    x = interactions(rows)
    train, _, test = global_temporal(x, 2, 4)
    before = {rows[n][0] for n in row_numbers(train)}
    assert row_numbers(known_users(train, test)) == [n for n in row_numbers(test) if rows[n][0] in before]
