import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirec.data.interactions import Interactions, concatenate

PAIRS = st.lists(st.tuples(st.integers(-7, 7), st.sampled_from("abcde")), max_size=23)


def example() -> Interactions:
    return Interactions(
        ["b", "a", "b", "b", "c"],
        ["z", "y", "x", "z", "y"],
        ratings=[1, 2, 3, 4, 5],
        timestamps=[30, 10, 20, 20, 5],
        titles={"z": "Zebra"},
    )


@given(PAIRS)
def test_id_maps_are_bijections(pairs: list[tuple[int, str]]) -> None:
    users, items = [p[0] for p in pairs], [p[1] for p in pairs]
    x = Interactions(users, items)
    assert [x.user_ids[u] for u in x.users] == users
    assert [x.item_ids[i] for i in x.items] == items
    assert len(set(x.user_ids)) == x.n_users == len(set(users))
    assert [x.user_index[id] for id in x.user_ids] == list(range(x.n_users))
    assert [x.item_index[id] for id in x.item_ids] == list(range(x.n_items))


@given(PAIRS, st.randoms(use_true_random=False))
def test_id_maps_do_not_depend_on_the_order_of_rows(pairs: list[tuple[int, str]], random: object) -> None:
    shuffled = pairs.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    x = Interactions([p[0] for p in pairs], [p[1] for p in pairs])
    y = Interactions([p[0] for p in shuffled], [p[1] for p in shuffled])
    assert x.user_ids == y.user_ids == sorted({p[0] for p in pairs})
    assert x.item_index == y.item_index


def test_ids_keep_their_type() -> None:
    x = Interactions(np.array([10**6, 2]), np.array(["007", "7"]))
    assert x.user_ids == [2, 10**6]
    assert [type(id) for id in x.user_ids] == [int, int]
    assert x.item_ids == ["007", "7"]
    assert Interactions([2**70, -1], ["a", "b"]).user_ids == [-1, 2**70]
    assert Interactions(np.array([3, 5], dtype=object), [np.int64(7), 2]).item_ids == [2, 7]


@pytest.mark.parametrize(
    ("users", "words"),
    [
        (["a", 1], r"user ids must be of one type, such as str or int, got int and str \(row 1 has 1\)"),
        ([1, 2.0], r"got float and int \(row 1 has 2.0\)"),
        ([1, None], r"got NoneType and int \(row 1 has None\)"),
        ([True, False], r"got bool \(row 0 has True\)"),
        (np.array([1.0, 2.0]), r"got float \(row 0 has 1.0\)"),
        (np.array([[1], [2]]), r"got list \(row 0 has \[1\]\)"),
        ([b"a", b"b"], r"got bytes \(row 0 has b'a'\)"),
        ([{1}, {2}], r"user ids of type set can be no ids: unhashable"),
        ([1j, 2j], r"got complex"),
        ([object(), object()], r"user ids of type object can be no ids: '<' not supported"),
        ("ab", r"user ids must be a sequence with one id per row, got the text 'ab'"),
    ],
)
def test_wrong_ids(users: object, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Interactions(users, ["x", "y"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"items": ["x"]}, ValueError, "2 users but 1 items"),
        ({"ratings": [1.0]}, ValueError, r"ratings must have one number per row: 2 rows, got shape \(1,\)"),
        ({"ratings": [[1.0], [2.0]]}, ValueError, r"got shape \(2, 1\)"),
        ({"ratings": [1.0, float("nan")]}, ValueError, r"ratings\[1\] = nan is not finite"),
        ({"timestamps": [float("inf"), 1.0]}, ValueError, r"timestamps\[0\] = inf is not finite"),
        ({"ratings": ["1_0", "2"]}, TypeError, "ratings must be numbers, got dtype <U3"),
        ({"ratings": [True, False]}, TypeError, "ratings must be numbers, got dtype bool"),
        ({"ratings": [1.0, None]}, TypeError, "ratings must be numbers, got dtype object"),
        ({"ratings": [1j, 2j]}, TypeError, "ratings must be numbers, got dtype complex128"),
        (
            {"timestamps": np.array([2**63, 0], dtype=np.uint64)},
            ValueError,
            "timestamps reach 9223372036854775808",
        ),
    ],
)
def test_wrong_columns(changes: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Interactions(**({"users": ["a", "b"], "items": ["x", "y"]} | changes))  # type: ignore[arg-type]


def test_columns_are_copies_and_timestamps_keep_their_kind() -> None:
    ratings, times = np.array([1.0, 2.0]), np.array([2**60 + 1, 3])
    x = Interactions(["a", "b"], ["x", "y"], ratings, times)
    ratings[:] = times[:] = 0
    assert x.ratings is not None
    assert x.ratings.tolist() == [1, 2]
    assert x.timestamps is not None
    assert x.timestamps.tolist() == [2**60 + 1, 3]  # float64 would lose the 1
    fractional = Interactions(["a"], ["x"], timestamps=[1.5]).timestamps
    assert fractional is not None
    assert fractional.tolist() == [1.5]


def test_histories_are_oldest_first_and_stable() -> None:
    x = example()
    assert [[x.item_ids[i] for i in h] for h in x.histories()] == [["y"], ["x", "z", "z"], ["y"]]
    bare = Interactions(["b", "a", "b"], ["z", "y", "x"])
    assert [[bare.item_ids[i] for i in h] for h in bare.histories()] == [["y"], ["z", "x"]]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 3)), max_size=29))
def test_histories_against_sorting_by_hand(rows: list[tuple[int, int, int]]) -> None:
    x = Interactions([r[0] for r in rows], [r[1] for r in rows], timestamps=[r[2] for r in rows])
    wanted = []
    for user in sorted({r[0] for r in rows}):
        mine = [(time, row, item) for row, (u, item, time) in enumerate(rows) if u == user]
        wanted.append([item for _, _, item in sorted(mine)])
    assert [[x.item_ids[i] for i in history] for history in x.histories()] == wanted


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=29), st.data())
def test_shuffling_the_rows_changes_nothing_after_sorting(
    rows: list[tuple[int, int]], data: st.DataObject
) -> None:
    n = len(rows)
    times = np.array(data.draw(st.permutations(range(n))), dtype=np.int64)
    x = Interactions([u for u, _ in rows], [i for _, i in rows], times * 0.5, times)
    y = x.select(np.array(data.draw(st.permutations(range(n))), dtype=np.int64))
    assert x.select(x.order()).digest() == y.select(y.order()).digest()
    assert [h.tolist() for h in x.histories()] == [h.tolist() for h in y.histories()]
    assert x.describe() == y.describe()
    assert np.array_equal(x.matrix().dense(), y.matrix().dense())


def test_a_part_keeps_the_id_maps_and_has_a_history_for_every_user() -> None:
    x = example()
    part = x.select(x.users == x.user_index["b"])
    assert (len(part), part.n_users, part.n_items) == (3, 3, 3)
    assert part.user_ids is x.user_ids
    assert part.titles == {"z": "Zebra"}
    assert [len(history) for history in part.histories()] == [0, 3, 0]
    assert part.ratings is not None
    assert part.ratings.tolist() == [1, 3, 4]
    assert len(x) == 5


def test_concatenate_undoes_a_cut() -> None:
    x = example()
    joined = concatenate(x.select(slice(0, 2)), x.select(np.array([2, 3, 4])))
    assert joined.digest() == x.digest()
    assert len(x.select(slice(0, 2))) == 2


def test_concatenate_refuses_what_does_not_belong_together() -> None:
    x = example()
    with pytest.raises(ValueError, match="their id maps differ"):
        concatenate(x, example())
    bare = x.select(slice(None))
    bare.timestamps = None
    with pytest.raises(ValueError, match="one part has timestamps and the other has none"):
        concatenate(x, bare)


def test_describe() -> None:
    x = Interactions(
        ["a", "a", "a", "b", "b"],
        ["x", "x", "y", "x", "z"],
        ratings=[1, 2, 3.5, 4, 5],
        timestamps=[874724710, 874724710, 893286638, 893286638, 893286639],  # a ends where b begins
    )
    found = x.describe()
    assert found[:3] == (2, 3, 5)
    assert found.density == 4 / 6  # (a, x) counts once
    assert found.density == x.matrix().density
    assert found.tied_share == 1 / 3  # consecutive pairs of one user: two of a, one of b; the first is tied
    assert found.ratings == (1, 5)
    assert str(found) == (
        "2 users x 3 items x 5 interactions, density 66.67 %, ratings 1 to 5, 1997-09-20 to 1998-04-22, "
        "33.3 % of a user's consecutive events share a timestamp"
    )


def test_describe_without_ratings_times_or_rows() -> None:
    assert (
        str(Interactions(["a"], ["x"]).describe()) == "1 users x 1 items x 1 interactions, density 100.00 %"
    )
    assert (
        str(Interactions([], [], [], []).describe()) == "0 users x 0 items x 0 interactions, density 0.00 %"
    )
    assert "time 3 to time 7" in str(Interactions(["a", "b"], ["x", "x"], timestamps=[7, 3]).describe())


def test_no_interactions_at_all() -> None:
    x = Interactions([], [])
    assert (len(x), x.n_users, x.n_items, x.histories()) == (0, 0, 0, [])
    assert x.matrix().shape == (0, 0)


def test_the_digest_sees_every_column_and_the_order_but_not_the_titles() -> None:
    x = example()
    digests = {x.digest(), x.select(np.array([1, 0, 2, 3, 4])).digest(), x.select(slice(0, 4)).digest()}
    for name in ("users", "items", "ratings", "timestamps"):
        changed = x.select(slice(None))
        column = getattr(x, name).copy()
        column[1] += 1
        setattr(changed, name, column)
        digests.add(changed.digest())
    for name in ("ratings", "timestamps"):
        changed = x.select(slice(None))
        setattr(changed, name, None)
        digests.add(changed.digest())
    digests.add(Interactions(["b", "a"], ["z", "y"]).digest())
    digests.add(Interactions(["c", "a"], ["z", "y"]).digest())
    assert len(digests) == 11
    untitled = x.select(slice(None))
    untitled.titles = {}
    assert untitled.digest() == x.digest() == example().digest()
    # Written down, so that it stays the same between versions and platforms.
    assert Interactions(["a"], ["x"], [1.0], [2]).digest().startswith("3cc62801833cc4b0")


def test_repr() -> None:
    assert repr(example()) == "Interactions(3 users, 3 items, 5 rows)"


def test_ids_of_other_types_keep_their_type() -> None:
    days = [datetime.date(2024, 1, 3), datetime.date(2024, 1, 2), datetime.date(2024, 1, 3)]
    x = Interactions(days, [("a", 2), ("a", 1), ("b", 1)])
    assert x.user_ids == [days[1], days[0]]
    assert x.item_ids == [("a", 1), ("a", 2), ("b", 1)]
    assert x.digest() != x.select(np.array([1, 0, 2])).digest()
