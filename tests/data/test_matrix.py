from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds

from minirec.data import matrix as module
from minirec.data.interactions import Interactions
from minirec.data.matrix import InteractionMatrix

U, I = 7, 11
SEEDS = st.integers(0, 10**6)


def table(seed: int, share: float = 0.3) -> np.ndarray[Any, Any]:
    """A (U, I) table with ratings 1 to 5, NaN where nothing is stored; row 2 and column 3 are empty."""
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((U, I)) < share, rng.integers(1, 6, (U, I)).astype(float), np.nan)
    dense[2] = dense[:, 3] = np.nan
    return dense


def sparse(dense: np.ndarray[Any, Any], seed: int = 0) -> InteractionMatrix:
    """The same table through shuffled interactions; the ids 0 .. U - 1 all occur, so they are the indices."""
    x = Interactions(range(dense.shape[0]), [0] * dense.shape[0])
    y = Interactions([0] * dense.shape[1], range(dense.shape[1]))
    whole = object.__new__(Interactions)
    users, items = np.nonzero(~np.isnan(dense))
    order = np.random.default_rng(seed).permutation(len(users))
    whole.__dict__.update(x.__dict__, item_ids=y.item_ids, item_index=y.item_index, timestamps=None)
    whole.users, whole.items = users[order], items[order]
    whole.ratings = dense[users, items][order]
    return InteractionMatrix.from_interactions(whole)


@st.composite
def events(draw: st.DrawFn, at_least: int = 1) -> tuple[Any, ...]:
    """Users, items, ratings or None, times or None, and the size: with repeats, and what never occurs."""
    n = draw(st.integers(at_least, 40))
    rng = np.random.default_rng(draw(SEEDS))
    users, items = rng.integers(0, U - 1, n), rng.integers(0, I - 1, n)
    ratings = draw(st.sampled_from([None, rng.integers(-1, 6, n).astype(float)]))  # stored zeros too
    timestamps = draw(st.sampled_from([None, rng.permutation(n), rng.integers(0, 3, n)]))
    return users, items, ratings, timestamps, U, I


@given(events())
def test_the_sheet_holds_for_the_matrix_and_its_density(given_events: tuple[Any, ...]) -> None:
    holds("interaction_matrix", *given_events)
    holds("density", *given_events)


@given(events(), st.sampled_from([0.0, -1.0, 3.5]))
def test_the_sheet_holds_for_means(given_events: tuple[Any, ...], empty: float) -> None:
    holds("interaction_means", *given_events, empty, scale=1.0)  # sums of small whole numbers


@given(SEEDS)
def test_dense_and_rows_give_back_the_table(seed: int) -> None:
    dense = table(seed)
    R = sparse(dense, seed)
    np.testing.assert_array_equal(R.dense(fill=np.nan), dense)
    np.testing.assert_array_equal(R.dense(), np.nan_to_num(dense))
    for u in range(U):
        columns, values = R.row(u)
        assert columns.tolist() == np.flatnonzero(~np.isnan(dense[u])).tolist()
        assert values.tolist() == dense[u, columns].tolist()
    assert R.nnz == np.sum(~np.isnan(dense))


@given(SEEDS)
def test_transposed(seed: int) -> None:
    dense = table(seed)
    R = sparse(dense, seed)
    np.testing.assert_array_equal(R.T.dense(fill=np.nan), dense.T)
    assert R.T.T is R
    assert R.T is R.T
    assert R.T.shape == (I, U)


@given(SEEDS)
def test_counts_look_at_stored_entries_only(seed: int) -> None:
    dense = table(seed)
    R = sparse(dense, seed)
    stored = ~np.isnan(dense)
    assert R.row_counts().tolist() == stored.sum(1).tolist()
    assert R.column_counts().tolist() == stored.sum(0).tolist()


def test_a_stored_zero_is_not_absent() -> None:
    R = InteractionMatrix([0, 2], [1, 2], [0.0, 4.0], (1, 3))
    assert R.row_means().tolist() == [2.0]
    assert R.column_counts().tolist() == [0, 1, 1]
    assert R.contains([0, 0, 0], [0, 1, 2]).tolist() == [False, True, True]


@given(SEEDS)
def test_slices_to_dense(seed: int) -> None:
    dense = np.nan_to_num(table(seed))
    R = sparse(table(seed), seed)
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(0, U, 5), rng.integers(0, I, 13)  # with repeats, in any order
    np.testing.assert_array_equal(R.dense(rows, columns), dense[np.ix_(rows, columns)])
    np.testing.assert_array_equal(R.dense(rows), dense[rows])
    np.testing.assert_array_equal(R.dense(columns=columns), dense[:, columns])
    assert R.dense([], []).shape == (0, 0)
    assert R.dense([1, 2], []).shape == (2, 0)


@pytest.mark.parametrize("block", [1, 10, 1 << 20])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.complex128])
def test_products_with_dense_matrices(block: int, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    dense, R = np.nan_to_num(table(5)), sparse(table(5))
    rng = np.random.default_rng(1)
    right, left = rng.normal(0, 3, (I, 3)).astype(kind), rng.normal(0, 3, (5, U)).astype(kind)
    tolerance = 1e-5 if kind is np.float32 else 1e-13  # sums of at most 11 terms
    wanted = kind if kind is not np.int64 else np.float64
    for found, reference in (
        (R @ right, dense @ right),
        (left @ R, left @ dense),
        (R @ right[:, 0], dense @ right[:, 0]),
        (left[0] @ R, left[0] @ dense),
    ):
        assert found.dtype == wanted
        assert found.shape == reference.shape
        np.testing.assert_allclose(found, reference, rtol=tolerance, atol=tolerance * 30)


def test_products_without_entries_or_columns() -> None:
    empty = InteractionMatrix(np.zeros(U + 1), [], np.zeros(0), (U, I))
    np.testing.assert_array_equal(empty @ np.ones((I, 3)), np.zeros((U, 3)))
    assert (sparse(table(1)) @ np.ones((I, 0))).shape == (U, 0)


def test_products_of_wrong_shapes() -> None:
    R = sparse(table(1))
    with pytest.raises(ValueError, match=r"matrix \(7, 11\) @ array \(7, 2\)"):
        R @ np.ones((U, 2))
    with pytest.raises(ValueError, match=r"array \(2, 11\) @ matrix \(7, 11\)"):
        np.ones((2, I)) @ R
    with pytest.raises(ValueError, match=r"array \(11, 2, 2\)"):
        R @ np.ones((I, 2, 2))


@given(SEEDS)
def test_contains(seed: int) -> None:
    dense = table(seed)
    R = sparse(dense, seed)
    found = R.contains(np.arange(U)[:, None], np.arange(I))
    np.testing.assert_array_equal(found, ~np.isnan(dense))
    assert R.contains(1, 1) == ~np.isnan(dense[1, 1])
    assert R.contains([], []).shape == (0,)


def test_contains_in_a_matrix_without_entries() -> None:
    assert not InteractionMatrix([0, 0], [], [], (1, 2)).contains([0, 0], [0, 1]).any()


@given(SEEDS, st.sampled_from([0.0, 0.3, 0.9]))
def test_absent_columns(seed: int, share: float) -> None:
    dense = table(seed, share)
    R = sparse(dense, seed)
    for u in range(U):
        absent = np.flatnonzero(np.isnan(dense[u]))
        assert R.absent_columns(u, np.arange(len(absent))).tolist() == absent.tolist()
        with pytest.raises(IndexError, match=f"row {u} has {len(absent)} absent entries"):
            R.absent_columns([u], [len(absent)])


@pytest.mark.parametrize("ask", ["contains", "absent_columns", "dense"])
@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([0, -1], IndexError, "index -1 is out of range: allowed are 0 to 6"),
        ([0, 7], IndexError, "index 7 is out of range: allowed are 0 to 6"),
        ([0.0, 1.0], TypeError, "indices must be integers, got dtype float64"),
        ([True, False], TypeError, "indices must be integers, got dtype bool"),
    ],
)
def test_wrong_indices(ask: str, rows: list[Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        getattr(sparse(table(1)), ask)(rows, [0, 1])


def test_wrong_row_and_column() -> None:
    R = sparse(table(1))
    with pytest.raises(IndexError, match="row -1 is out of range: allowed are 0 to 6"):
        R.row(-1)
    with pytest.raises(IndexError, match="item index 11 is out of range: allowed are 0 to 10"):
        R.contains([0], [11])
    with pytest.raises(IndexError, match="column index 11 is out of range"):
        R.dense(columns=[11])


def test_dense_has_a_limit() -> None:
    R = InteractionMatrix(np.zeros(10**5 + 1), [], [], (10**5, 10**6))
    with pytest.raises(ValueError, match=r"100000 rows x 1000000 columns are 100,000,000,000 dense entries"):
        R.dense()
    with pytest.raises(ValueError, match="more than the limit of 5"):
        R.dense([0, 1, 2], [0, 1], limit=5)
    assert R.dense([0, 1, 2], [0, 1], limit=6).shape == (3, 2)


def test_a_repeated_pair_keeps_the_newest_rating() -> None:
    users, items, ratings = ["a", "a", "a", "b", "b"], ["x", "x", "x", "x", "y"], [1, 2, 3, 4, 5]
    timed = Interactions(users, items, ratings, timestamps=[5, 9, 9, 1, 1]).matrix()
    np.testing.assert_array_equal(timed.dense(), [[3, 0], [4, 5]])
    np.testing.assert_array_equal(
        Interactions(users, items, ratings, timestamps=[5, 9, 7, 1, 1]).matrix().dense(), [[2, 0], [4, 5]]
    )
    np.testing.assert_array_equal(Interactions(users, items, ratings).matrix().dense(), [[3, 0], [4, 5]])


def test_without_ratings_events_are_counted() -> None:
    x = Interactions(["b", "a", "a", "b", "a"], ["y", "x", "x", "x", "y"], timestamps=[1, 2, 3, 4, 5])
    np.testing.assert_array_equal(x.matrix().dense(), [[2, 1], [1, 1]])
    assert x.matrix().values.sum() == len(x)


@pytest.mark.parametrize(
    ("indptr", "indices", "values", "words"),
    [
        ([0, 1], [0], [1.0], r"indptr must have shape \(3,\) for 2 rows"),
        ([0, 2, 1], [0], [1.0], "indptr must rise from 0 to 1"),
        ([0, 1, 2], [0], [1.0], "indptr must rise from 0 to 1"),
        ([1, 1, 1], [0], [1.0], "indptr must rise from 0 to 1"),
        ([0, 1, 2], [0, 1], [1.0], r"of one length, got \(2,\) and \(1,\)"),
        ([0, 1, 2], [0, 3], [1.0, 1.0], r"indices\[1\] = 3 is out of range: allowed are 0 to 2"),
        ([0, 1, 2], [-1, 0], [1.0, 1.0], r"indices\[0\] = -1 is out of range"),
        ([0, 2, 2], [1, 0], [1.0, 1.0], "columns of a row must rise"),
        ([0, 2, 2], [1, 1], [1.0, 1.0], "columns of a row must rise"),
    ],
)
def test_arrays_that_are_no_matrix(
    indptr: list[int], indices: list[int], values: list[float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        InteractionMatrix(indptr, indices, values, (2, 3))


def test_arrays_are_read_only_views_and_the_callers_stay_writable() -> None:
    values = np.array([1.0])
    R = InteractionMatrix([0, 1], [0], values, (1, 1))
    with pytest.raises(ValueError, match="read-only"):
        R.values[0] = 2
    with pytest.raises(ValueError, match="read-only"):
        R.row(0)[1][0] = 2
    values[0] = 3


def test_a_matrix_without_cells() -> None:
    R = InteractionMatrix([0], [], [], (0, 3))
    assert R.density == 0
    assert R.column_means(2.5).tolist() == [2.5] * 3
    assert R.T.dense().shape == (3, 0)


def test_repr() -> None:
    assert repr(InteractionMatrix([0, 1], [0], [1.0], (1, 1))) == "InteractionMatrix(1 x 1, 1 entries)"
