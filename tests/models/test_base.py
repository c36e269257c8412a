"""The contract of all recommenders, model by model: ids in and out, rows too short, files, seeds, blocks."""

import copy
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirec.data.interactions import Interactions
from minirec.models import (
    EASE,
    MODELS,
    BERT4Rec,
    ImplicitALS,
    ItemKNN,
    MarkovChain,
    MatrixFactorization,
    Popularity,
    Recommendations,
    Recommender,
    SASRec,
    SVDPlusPlus,
    TransformerRecommender,
    TransformerXL,
    UnknownIdError,
    base,
)
from minirec.storage import ModelFileError

U, I, LENGTH = 11, 13, 5
EMPTY, FULL, LONG = 3, 7, 9  # users without events, with every item, and with more than LENGTH events


def small(**settings: Any) -> TransformerRecommender:
    common = {"length": LENGTH, "negatives": 3, "hidden": 5, "epochs": 1, "batch_size": 16}
    return TransformerRecommender(4, 2, 1, **common | settings)


KINDS: dict[str, Callable[[], Recommender]] = {
    "popularity": Popularity,
    "item-knn all": ItemKNN,
    "item-knn 3": lambda: ItemKNN(shrink=2.0, neighbors=3),
    "markov": MarkovChain,
    "ease": lambda: EASE(reg=2.0),
    "als": lambda: ImplicitALS(3, epochs=2),
    "svdpp": lambda: SVDPlusPlus(3, epochs=2),
    "mf squared": lambda: MatrixFactorization(3, "squared", epochs=2, batch_size=16),
    "mf per rating": lambda: MatrixFactorization(3, "squared", method="per-rating", epochs=2),
    "mf bpr": lambda: MatrixFactorization(3, "bpr", epochs=2, batch_size=16),
    "mf bce": lambda: MatrixFactorization(3, "bce", epochs=2, batch_size=16, dtype="float64"),
    "bert4rec": lambda: BERT4Rec(4, 2, 1, length=LENGTH, epochs=2, batch_size=16),
    "bert4rec post": lambda: BERT4Rec(4, 2, 1, length=LENGTH, norm="post", epochs=1, dtype="float64"),
    "sasrec softmax": lambda: SASRec(4, 2, 1, length=LENGTH, epochs=2, batch_size=16),
    "sasrec sampled softmax, two tables": lambda: SASRec(
        4, 2, 1, loss="sampled_softmax", n_negatives=3, tied=False, length=LENGTH, epochs=2, batch_size=16
    ),
    "sasrec gbce": lambda: SASRec(
        4, 2, 1, loss="gbce", n_negatives=3, length=LENGTH, epochs=2, batch_size=16
    ),
    "sasrec bce": lambda: SASRec(
        4, length=LENGTH, loss="bce", residual="original", epochs=1, dtype="float64"
    ),
    "transformer-xl": lambda: TransformerXL(
        4, 2, 1, length=LENGTH, segment=2, memory=3, epochs=2, batch_size=16
    ),
    "transformer history pointwise": small,
    "transformer history listwise": lambda: small(candidates="listwise", loss="bpr"),
    "transformer user pointwise": lambda: small(source="user", loss="bce"),
    "transformer user listwise": lambda: small(
        source="user", candidates="listwise", loss="squared", dtype="float64"
    ),
}
COUNTED = {"popularity", "item-knn all", "item-knn 3", "markov", "ease"}  # nothing in them is drawn
every_kind = pytest.mark.parametrize("kind", KINDS)
int_and_str = pytest.mark.parametrize("ids", [int, str])


def log(ids: type, seed: int = 0) -> Interactions:
    """About 70 rated events in the order of time; integer ids 100, 101, ... or text "u00", "i00", ..."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(U):
        count = I if user == FULL else 9 if user == LONG else int(rng.integers(3, 7))
        rows += [(user, int(item), int(rng.integers(1, 6))) for item in rng.permutation(I)[:count]]
    users, items, ratings = zip(*rows, strict=True)
    names = (
        [100 + u if ids is int else f"u{u:02}" for u in users],
        [100 + i if ids is int else f"i{i:02}" for i in items],
    )
    whole = Interactions(*names, ratings, range(len(rows)), titles={user_or_item(ids, "i", 2): "Tea"})
    return whole.select(whole.users != EMPTY)


def user_or_item(ids: type, letter: str, index: int) -> Any:
    return 100 + index if ids is int else f"{letter}{index:02}"


@functools.cache
def fitted(kind: str, ids: type = str) -> Any:
    """Shared by the tests, which therefore must not change it."""
    return KINDS[kind]().fit(log(ids), rng=5, progress=False)


def user(index: int, ids: type = str) -> Any:
    return user_or_item(ids, "u", index)


def item(index: int, ids: type = str) -> Any:
    return user_or_item(ids, "i", index)


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal up to the rounding of float32 sums of a few numbers of size 1."""
    return bool(np.allclose(a, b, rtol=1e-5, atol=1e-5))


def test_every_model_of_the_table_is_tested_here() -> None:
    assert set(MODELS.values()) == {type(make()) for make in KINDS.values()}


# Scores


@every_kind
def test_scores_are_finite_rows_of_users_and_columns_of_items(kind: str) -> None:
    model = fitted(kind)
    scores = model.score(np.arange(U))
    assert scores.shape == (U, I)
    assert np.isfinite(scores).all()
    assert model.score(4).shape == (1, I)
    assert model.score(np.array([], dtype=np.int64)).shape == (0, I)
    histories = model.score_histories(model.histories)
    assert histories.shape == (U, I)
    assert np.isfinite(histories).all()
    if model.uses_histories or kind == "popularity":
        assert close(histories, scores)


@every_kind
def test_scores_of_some_items_are_columns_of_all_scores_but_for_listwise(kind: str) -> None:
    model, users = fitted(kind), np.array([8, 1, 8])
    whole = model.score(users)
    some = np.array([12, 0, 5, 0, 7])
    rows = np.array([[1, 2], [12, 12], [0, 3]])
    given = model.score(users, some), model.score(users, rows)
    expected = whole[:, some], np.take_along_axis(whole, rows, axis=1)
    if "listwise" in kind:  # a list of its own: other candidates, other scores
        assert [g.shape for g in given] == [e.shape for e in expected]
        assert not close(given[0], expected[0])
        assert not close(model.score(users, np.array([12, 0])), given[0][:, :2])
    else:
        assert close(given[0], expected[0])
        assert close(given[1], expected[1])
    assert model.score(users, np.array([], dtype=int)).shape == (3, 0)
    assert model.score([]).shape == (0, I)
    histories = [model.histories[8], np.array([3, 1])]
    assert model.score_histories(histories, some).shape == (2, 5)


@every_kind
def test_scores_of_a_user_do_not_depend_on_who_else_is_asked_for(kind: str) -> None:
    model = fitted(kind)
    together = model.score(np.arange(U))
    for u in range(U):
        assert close(model.score(np.array([u]))[0], together[u])


@every_kind
@pytest.mark.parametrize(
    ("users", "items", "error", "words"),
    [
        ([2, U], None, IndexError, r"users\[1\] = 11 is out of range: allowed are 0 to 10"),
        ([-1], None, IndexError, r"users\[0\] = -1 is out of range"),
        ([1.0], None, TypeError, "users must be integers, got dtype float64"),
        ([True], None, TypeError, "users must be integers, got dtype bool"),
        ([1], [0, I], IndexError, r"items\[1\] = 13 is out of range: allowed are 0 to 12"),
        ([1], [[-1]], IndexError, r"items\[0, 0\] = -1 is out of range"),
        ([1], [0.0], TypeError, "items must be integers"),
    ],
)
def test_indices_that_do_not_exist(
    kind: str, users: list[Any], items: list[Any] | None, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        fitted(kind).score(np.array(users), None if items is None else np.array(items))


# Recommendations


@every_kind
@int_and_str
def test_external_ids_in_and_out_best_first(kind: str, ids: type) -> None:
    model, asked = fitted(kind, ids), [user(8, ids), user(0, ids)]
    result = model.recommend(asked, 4)
    assert isinstance(result, Recommendations)
    scores = model.score(np.array([8, 0]))
    for b, u in enumerate((8, 0)):
        allowed = np.setdiff1d(np.arange(I), model.histories[u])
        expected = allowed[np.argsort(-scores[b, allowed], kind="stable")][:4]  # ties in the order of items
        assert result.items[b] == [item(i, ids) for i in expected]
        assert close(result.scores[b], scores[b, expected])
        assert all(type(found) is ids for found in result.items[b])
    alone = model.recommend(user(8, ids), 4)
    assert alone.items == result.items[:1]
    assert model.recommend(np.array(asked), 4).items == result.items


@every_kind
def test_seen_items_are_left_out_unless_asked_for(kind: str) -> None:
    model = fitted(kind)
    names = [item(i) for i in range(I)]
    seen = {names[i] for i in model.histories[8]}
    assert seen
    hidden, shown = model.recommend(user(8), I), model.recommend(user(8), I, exclude_seen=False)
    assert set(hidden.items[0]) == (set(names) - seen) | {None}
    assert sorted(shown.items[0]) == names


@every_kind
def test_rows_that_are_too_short_end_with_none_and_minus_infinity(kind: str) -> None:
    model = fitted(kind)
    result = model.recommend([user(8), user(FULL)], k=I + 4, exclude_seen=True)
    assert result.scores.shape == (2, I + 4)
    assert [len(row) for row in result.items] == [I + 4, I + 4]
    free = I - len(model.histories[8])
    assert None not in result.items[0][:free]
    assert result.items[0][free:] == [None] * (I + 4 - free)
    assert np.isfinite(result.scores[0, :free]).all()
    assert (result.scores[0, free:] == -math.inf).all()
    # Somebody who has seen everything.
    assert result.items[1] == [None] * (I + 4)
    assert (result.scores[1] == -math.inf).all()


@every_kind
def test_candidates_restrict_and_do_not_change_scores(kind: str) -> None:
    model, some = fitted(kind), [item(12), item(3), item(7)]
    everything = model.recommend(user(8), I, exclude_seen=False)
    score_of = dict(zip(everything.items[0], everything.scores[0], strict=True))
    result = model.recommend(user(8), 3, candidates=some, exclude_seen=False)
    assert sorted(result.items[0]) == sorted(some)
    before = np.array([score_of[i] for i in result.items[0]])
    if "listwise" in kind:  # fewer candidates are another list
        assert not close(before, result.scores[0])
    else:
        assert close(before, result.scores[0])
        assert result.items[0] == [i for i in everything.items[0] if i in some]
    seen = item(int(model.histories[8][0]))
    assert model.recommend(user(8), 2, candidates=[seen]).items == [[None, None]]
    assert model.recommend(user(8), 2, candidates=[]).items == [[None, None]]


@every_kind
def test_users_without_a_history_and_with_a_long_one_are_served(kind: str) -> None:
    model = fitted(kind)
    assert len(model.histories[EMPTY]) == 0
    assert len(model.histories[LONG]) > LENGTH
    result = model.recommend([user(EMPTY), user(LONG)], 3)
    assert np.isfinite(result.scores).all()
    assert all(found is not None for row in result.items for found in row)


@every_kind
def test_histories_of_users_never_seen(kind: str) -> None:
    model = fitted(kind)
    histories = [[item(2), item(9)], [], [item(i) for i in range(9)]]
    result = model.recommend_histories(histories, 4)
    assert result.scores.shape == (3, 4)
    assert np.isfinite(result.scores).all()
    for row, history in zip(result.items, histories, strict=True):
        assert len(set(row) - set(history)) == 4
    shown = model.recommend_histories(histories, I, exclude_seen=False)
    assert all(sorted(row) == [item(i) for i in range(I)] for row in shown.items)
    some = model.recommend_histories(histories, 2, candidates=[item(2), item(11)])
    assert some.items[0] == [item(11), None]
    assert set(some.items[1]) == {item(2), item(11)}
    assert model.recommend_histories([], 2).items == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "history" in kind])
def test_a_history_model_reads_the_newest_items_only(kind: str) -> None:
    model = fitted(kind)
    long = [item(i) for i in (0, 1, 2, 3, 4, 5, 6)]
    whole = model.recommend_histories([long], I, exclude_seen=False)
    newest = model.recommend_histories([long[-LENGTH:]], I, exclude_seen=False)
    assert whole.items == newest.items
    assert close(whole.scores, newest.scores)


@every_kind
@int_and_str
def test_ids_that_the_model_does_not_know(kind: str, ids: type) -> None:
    model = fitted(kind, ids)
    nobody = 99 if ids is int else "nobody"
    such = "100, 101, 102" if ids is int else "'u00', 'u01', 'u02'"
    with pytest.raises(UnknownIdError, match=f"unknown user {nobody!r}: the model knows 11, such as {such}$"):
        model.recommend([user(1, ids), nobody])
    with pytest.raises(UnknownIdError, match=f"unknown item {nobody!r}: the model knows 13, such as"):
        model.recommend(user(1, ids), candidates=[item(1, ids), nobody])
    with pytest.raises(UnknownIdError, match=f"unknown item {nobody!r}"):
        model.recommend_histories([[item(1, ids), nobody]])
    other = "100" if ids is int else 0
    with pytest.raises(UnknownIdError, match=f"ids here are {ids.__name__}, this is {type(other).__name__}"):
        model.recommend(other)
    with pytest.raises(KeyError):  # it is one
        model.recommend(nobody)


@every_kind
@pytest.mark.parametrize("k", [0, -3])
def test_no_recommendation_at_all_cannot_be_asked_for(kind: str, k: int) -> None:
    with pytest.raises(ValueError, match=f"k must be at least 1, got {k}"):
        fitted(kind).recommend(user(1), k)
    with pytest.raises(ValueError, match=f"k must be at least 1, got {k}"):
        fitted(kind).recommend_histories([[]], k)


@every_kind
def test_text_in_place_of_histories(kind: str) -> None:
    for histories in ("i01", ["i01", "i02"]):
        with pytest.raises(TypeError, match="histories must be a list of lists of item ids, got text"):
            fitted(kind).recommend_histories(histories)


@every_kind
def test_a_score_that_is_not_a_number_is_an_error_that_names_the_item(kind: str) -> None:
    model = copy.copy(fitted(kind))

    def broken(users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        scores = np.zeros((len(users), I))
        scores[:, 6] = np.nan
        return scores

    model.score = broken
    with pytest.raises(FloatingPointError, match="the score of item 'i06' is NaN"):
        model.recommend(user(1))


@every_kind
def test_recommending_in_blocks_is_the_same_as_at_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, users = fitted(kind), [user(u) for u in range(U)]
    histories = [[item(int(i)) for i in history] for history in model.histories]
    whole, of_histories = model.recommend(users, 5), model.recommend_histories(histories, 5)
    monkeypatch.setattr(base, "BLOCK", 3)
    for once, blocks in (
        (whole, model.recommend(users, 5)),
        (of_histories, model.recommend_histories(histories, 5)),
    ):
        assert once.items == blocks.items
        finite = np.isfinite(once.scores)
        assert np.array_equal(finite, np.isfinite(blocks.scores))
        assert close(once.scores[finite], blocks.scores[finite])


# Other names


# State whose rows are items, and how many rows stand before the first item.
ITEM_ROWS = {"bias": 0, "counts": 0, "Q": 0, "Y": 0, "b_item": 0, "item_embedding.E": 1, "S": 0, "B": 0}
ITEM_ROWS |= {"output_embedding.E": 1, "neighbor_weights": 0, "neighbor_items": 0}
ITEM_COLUMNS = {"S", "B"}  # and columns of items as well
ITEM_ENTRIES = {"neighbor_items", "before", "after"}  # and entries that are items


@every_kind
@given(new=st.permutations(range(I)))
@settings(max_examples=5)
def test_relabelling_items_permutes_recommendations(kind: str, new: list[int]) -> None:
    # The same model, where item i has the name, and so the index, of item new[i].
    model, renamed, old = fitted(kind), KINDS[kind](), np.argsort(new)
    renamed.remember(log(str))
    renamed.histories = [np.array(new)[history] for history in model.histories]
    state = model.state()
    for name in state.keys() & ITEM_ROWS.keys():
        first = ITEM_ROWS[name]
        rows = state[name]  # after those of the items there may be one of a [MASK]
        state[name] = np.concatenate([rows[:first], rows[first : first + I][old], rows[first + I :]])
    for name in state.keys() & ITEM_COLUMNS:
        state[name] = state[name][:, old]
    for name in state.keys() & ITEM_ENTRIES:
        state[name] = np.array(new)[state[name]]
    renamed.load_state(state)

    users = np.arange(U)
    before = model.score(users)
    assert close(renamed.score(users)[:, new], before)
    asked, histories = [user(u) for u in users], [[2, 9], [], [0, 1, 2, 3, 4, 5, 6, 7]]
    of_histories = model.score_histories([np.array(h, dtype=int) for h in histories])
    after = [[item(new[i]) for i in h] for h in histories]
    for scores, plain, found in (
        (before, model.recommend(asked, 5), renamed.recommend(asked, 5)),
        (
            of_histories,
            model.recommend_histories([[item(i) for i in h] for h in histories], 5),
            renamed.recommend_histories(after, 5),
        ),
    ):
        finite = np.isfinite(plain.scores)
        assert close(found.scores[finite], plain.scores[finite])
        assert np.array_equal(finite, np.isfinite(found.scores))
        for row, items in enumerate(found.items):  # ties may come in another order: the scores decide
            names = [i for i in items if i is not None]
            assert len(set(names)) == len(names)
            indices = [int(old[model.item_index[i]]) for i in names]
            assert close(scores[row, indices], found.scores[row][finite[row]])


# Fitting


@every_kind
def test_the_same_seed_gives_the_same_bits(kind: str) -> None:
    again = KINDS[kind]().fit(log(str), rng=np.random.default_rng(5), progress=False)
    first = fitted(kind).state()
    assert first.keys() == again.state().keys()
    for name, array in again.state().items():
        assert np.array_equal(array, first[name]), name
    other = KINDS[kind]().fit(log(str), rng=6, progress=False)
    changed = any(not np.array_equal(array, first[name]) for name, array in other.state().items())
    assert changed == other.uses_rng == (kind not in COUNTED)


NETWORKS = (BERT4Rec, SASRec, TransformerRecommender, TransformerXL)


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_network_refuses_what_is_no_count(kind: type[Any]) -> None:
    own = {
        BERT4Rec: [],
        SASRec: ["n_negatives"],
        TransformerRecommender: ["negatives"],
        TransformerXL: ["n_negatives", "segment", "memory"],
    }
    common = ["embedding_dim", "num_heads", "num_layers", "length", "hidden", "batch_size", "epochs"]
    for name in [*common, "patience", *own[kind]]:
        for value in (8.0, 2.5, True, "8"):
            or_none = f", or None for {kind.hidden_default}" if name == "hidden" else ""
            with pytest.raises(TypeError, match=f"^{name} must be a whole number{or_none}, got {value!r}$"):
                kind(**{name: value})
        least = {"num_heads": 1} | ({"segment": 1, "memory": 0} if kind is TransformerXL else {})
        assert getattr(kind(**least | {name: np.int64(1)}), name) == 1
    for lr in (-1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=f"lr must be at least 0 and finite, got {lr}"):
            kind(lr=lr)


@every_kind
def test_fit_returns_the_model_and_leaves_the_data_alone(kind: str) -> None:
    train = log(str)
    before = train.digest()
    model = KINDS[kind]()
    assert model.fit(train, rng=5, progress=False) is model
    assert train.digest() == before
    assert (model.n_users, model.n_items) == (U, I)


@every_kind
def test_there_must_be_something_to_fit_on(kind: str) -> None:
    nothing = log(str).select(slice(0, 0))
    with pytest.raises(ValueError, match="there are no interactions to fit on"):
        KINDS[kind]().fit(nothing, progress=False)


@every_kind
def test_a_model_that_is_not_fitted_says_so(kind: str, tmp_path: Path) -> None:
    model = KINDS[kind]()
    words = rf"{type(model).__name__} is not fitted yet: call fit\(interactions\) or load"
    for call in (
        lambda: model.recommend("u01"),
        lambda: model.recommend_histories([["i01"]]),
        lambda: model.score(np.array([1])),
        lambda: model.score_histories([np.array([1])]),
        lambda: model.save(tmp_path / "model.npz"),
    ):
        with pytest.raises(RuntimeError, match=words):
            call()
    assert list(tmp_path.iterdir()) == []


# Files


@every_kind
@int_and_str
def test_save_load_score_is_bit_equal(kind: str, ids: type, tmp_path: Path) -> None:
    model, path = fitted(kind, ids), tmp_path / "model.npz"
    model.save(path)
    for load in (Recommender.load, type(model).load):
        other = load(path)
        assert type(other) is type(model)
        assert other.settings() == model.settings()
        assert np.array_equal(other.score(np.arange(U)), model.score(np.arange(U)))
        assert other.score(np.arange(U)).dtype == model.score(np.arange(U)).dtype
        assert np.array_equal(other.score_histories(model.histories), model.score_histories(model.histories))
        assert other.user_ids == model.user_ids
        assert [type(i) for i in other.item_ids] == [ids] * I
        assert other.titles == {item(2, ids): "Tea"}
        assert [h.tolist() for h in other.histories] == [h.tolist() for h in model.histories]
        assert other.recommend(user(8, ids), 5).items == model.recommend(user(8, ids), 5).items


@every_kind
def test_a_file_of_another_kind_is_refused(kind: str, tmp_path: Path) -> None:
    model, path = fitted(kind), tmp_path / "model.npz"
    model.save(path)
    name = type(model).__name__
    for other in MODELS.values():
        if other is not type(model):
            with pytest.raises(
                ModelFileError, match=f"holds a model of kind '{name}', expected {other.__name__}"
            ):
                other.load(path)


@every_kind
def test_arrays_of_another_shape_in_a_file_are_refused(kind: str, tmp_path: Path) -> None:
    model, path = copy.copy(fitted(kind)), tmp_path / "model.npz"
    name, array = next((n, a) for n, a in model.state().items() if a.ndim)
    model.state = lambda: {**fitted(kind).state(), name: np.concatenate([array, array[:1]])}
    model.save(path)
    with pytest.raises(ModelFileError, match=rf"do not fit together: {name} has shape"):
        Recommender.load(path)


@every_kind
def test_a_missing_array_in_a_file_is_refused(kind: str, tmp_path: Path) -> None:
    model, path = copy.copy(fitted(kind)), tmp_path / "model.npz"
    state = dict(model.state())
    name = next(iter(state))
    del state[name]
    model.state = lambda: state
    model.save(path)
    with pytest.raises(ModelFileError, match=f"do not fit together: .*{name}"):
        Recommender.load(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Recommender.load(tmp_path / "model.npz")


@every_kind
def test_ids_are_told_apart_by_type_and_k_is_a_whole_number(kind: str) -> None:
    model = fitted(kind)
    for wrong in (True, 1.0):
        with pytest.raises(KeyError, match="unknown user"):
            model.recommend(wrong)
    for k in ("3", 2.5, True):
        with pytest.raises(TypeError, match="k must be a whole number"):
            model.recommend(user(8), k)


@every_kind
def test_settings_are_a_copy(kind: str) -> None:
    model = fitted(kind)
    model.settings()["lr"] = 99.0
    assert model.settings().get("lr") != 99.0


def test_a_model_with_nan_is_not_saved_over_a_good_one(tmp_path) -> None:
    model = MatrixFactorization(3, "bpr", epochs=1)
    model.fit(Interactions(["a", "a", "b"], ["x", "y", "x"]), rng=0, progress=False)
    path = tmp_path / "model.npz"
    model.save(path)
    good = path.read_bytes()
    model.b_item[0] = np.nan
    with pytest.raises(ValueError, match="b_item is not finite"):
        model.save(path)
    assert path.read_bytes() == good


def test_ids_that_a_file_cannot_hold_are_refused_when_saving(tmp_path) -> None:
    model = Popularity().fit(Interactions([("a", 1), ("b", 2)], ["x", "y"]))
    assert model.recommend([("a", 1)], 1).items == [["y"]]
    with pytest.raises(TypeError, match="user ids of type tuple cannot be saved"):
        model.save(tmp_path / "model.npz")


@pytest.mark.parametrize("candidates", ["pointwise", "listwise"])
@pytest.mark.parametrize("rows", [2, U])
def test_unseen_users_of_a_user_model_may_ask_for_items_each(candidates: str, rows: int) -> None:
    model = fitted(f"transformer user {candidates}")
    items = np.random.default_rng(0).integers(0, I, (rows, 3))
    scores = model.score_histories([np.array([1])] * rows, items)
    for row, own in zip(scores, items, strict=True):
        assert close(row, model.score_histories([np.array([1])], own)[0])


@pytest.mark.parametrize("kind", ["mf bpr", "transformer history pointwise"])
def test_a_fit_that_fails_leaves_the_old_model(kind: str) -> None:
    model = KINDS[kind]().fit(log(str), rng=5, progress=False)
    before = model.score(np.arange(U))
    with pytest.raises(ValueError, match="no example to train on"):
        model.fit(Interactions(["x", "y"], ["p", "p"]), rng=0, progress=False)
    assert model.user_ids[0] == user(0)
    assert np.array_equal(model.score(np.arange(U)), before)
    fresh = KINDS[kind]()
    with pytest.raises(ValueError, match="no example to train on"):
        fresh.fit(Interactions(["x", "y"], ["p", "p"]), rng=0, progress=False)
    with pytest.raises(RuntimeError, match="not fitted"):
        fresh.recommend("x")


@every_kind
def test_a_flat_history_is_not_read_as_many(kind: str) -> None:
    with pytest.raises(TypeError, match="list of lists"):
        fitted(kind).score_histories([0, 0, 0])
    with pytest.raises(TypeError, match="list of lists"):
        fitted(kind).recommend_histories([1, 2, 3])
