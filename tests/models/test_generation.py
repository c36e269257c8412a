"""Generation: what is drawn with which probability, who is left out, and a cache that changes nothing."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import network_table as table
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import frozen, masks, normal, seeds

from minirec.data.interactions import Interactions
from minirec.functional import Array
from minirec.models import (
    BERT4Rec,
    MatrixFactorization,
    Popularity,
    SASRec,
    TransformerRecommender,
    TransformerXL,
    UnknownIdError,
    generation,
)
from minirec.models.generation import draw_items, generate, generate_ids, next_item_probabilities
from minirec.models.sasrec import SASRecNetwork
from minirec.models.sequence_recommender import SCORED

ITEMS, LENGTH = 31, 7
TIGHT = {"rtol": 0, "atol": 1e-11, "equal_nan": False}
Calls = list[tuple[Any, ...]]


def sasrec(residual: str = "plain", tied: bool = True, layers: int = 2) -> SASRec:
    return table.sasrec("softmax", residual, tied, layers=layers, length=LENGTH, items=ITEMS)


def ragged(*sizes: int, items: int = ITEMS) -> list[np.ndarray]:
    rng = np.random.default_rng(len(sizes))
    return [frozen(rng.permutation(items)[:size]) for size in sizes]


def spied(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> Calls:
    """The arguments of each call of a function from now on."""
    calls: Calls = []
    plain = getattr(owner, name)

    def spy(*args: Any) -> Any:
        calls.append(args)
        return plain(*args)

    monkeypatch.setattr(owner, name, spy)
    return calls


def one_by_one(
    score: Callable[[list[int]], Array], history: Sequence[int], k: int, choose: Callable[[Array, int], int]
) -> list[int]:
    """The k next items: each is chosen from the scores of what is not there yet, and then is there."""
    so_far = [int(item) for item in history]
    for t in range(k):
        scores = score(so_far).astype(np.float64)
        scores[so_far] = -np.inf
        so_far.append(choose(scores, t))
    return so_far[-k:]


# Probabilities


@given(normal(2, 7, scale=3.0), masks(2, 7), st.sampled_from([0.3, 1.0, 4.0]), st.none() | st.integers(1, 9))
def test_probabilities_are_what_the_definition_says(
    scores: np.ndarray, allowed: np.ndarray, temperature: float, top_k: int | None
) -> None:
    p = next_item_probabilities(scores, allowed, temperature, top_k)
    assert p.dtype == np.float64
    for row in range(2):
        candidates = sorted(np.flatnonzero(allowed[row]).tolist(), key=lambda i: (-scores[row, i], i))[:top_k]
        weights = {i: math.exp(scores[row, i] / temperature) for i in candidates}
        total = math.fsum(weights.values())
        expected = [weights.get(i, 0.0) / (total or 1.0) for i in range(7)]
        np.testing.assert_allclose(p[row], expected, rtol=1e-12, atol=0, equal_nan=False)


@given(normal(3, 5), masks(3, 5), st.sampled_from([1, 2, None]))
def test_a_temperature_near_0_takes_the_best_and_a_high_one_knows_no_preferences(
    scores: np.ndarray, allowed: np.ndarray, top_k: int | None
) -> None:
    greedy = next_item_probabilities(scores, allowed, 0.0, top_k)
    anyone = allowed.any(axis=1)
    assert greedy.sum(axis=1).tolist() == anyone.tolist()
    best = np.where(allowed, scores, -np.inf).argmax(axis=1)
    assert greedy[np.arange(3), best].tolist() == anyone.tolist()
    for temperature in (1e-12, 5e-324):  # the gap divided by the smallest number is infinite
        assert np.array_equal(next_item_probabilities(scores, allowed, temperature, top_k), greedy)
    counts = np.minimum(allowed.sum(axis=1), 5 if top_k is None else top_k)[:, None]
    for temperature in (1e12, math.inf):
        p = next_item_probabilities(scores, allowed, temperature, top_k)
        assert np.array_equal(np.count_nonzero(p, axis=1)[:, None], counts)
        expected = np.where(p > 0, 1 / np.maximum(counts, 1), 0)
        np.testing.assert_allclose(p, expected, rtol=0, atol=1e-11, equal_nan=False)


@given(normal(2, 5), st.sampled_from([-1e300, -700.0, 3.0, 800.0]), st.sampled_from([0.5, 1.0, math.inf]))
def test_large_scores_and_items_that_the_model_rules_out(
    scores: np.ndarray, shift: float, temperature: float
) -> None:
    everyone = np.ones((2, 5), dtype=bool)
    shifted = np.round(scores * 4) / 4 + shift  # exact, but for the largest
    expected = next_item_probabilities(shifted - shift, everyone, temperature)
    p = next_item_probabilities(shifted, everyone, temperature)
    np.testing.assert_allclose(p, expected, **TIGHT)
    ruled_out = shifted.copy()
    ruled_out[0, 2], ruled_out[1] = -np.inf, -np.inf
    p = next_item_probabilities(ruled_out, everyone, temperature)
    others = everyone & (np.arange(5) != 2)
    assert np.array_equal(p[0], next_item_probabilities(shifted, others, temperature)[0])
    assert not p[1].any()
    assert not next_item_probabilities(ruled_out, everyone, 0.0)[1].any()


def test_of_equal_scores_the_lower_index_is_better() -> None:
    scores, allowed = np.array([[1.0, 2.0, 2.0, 2.0, 1.0]]), np.array([[True, False, True, True, True]])
    assert next_item_probabilities(scores, allowed, 0.0).tolist() == [[0, 0, 1, 0, 0]]
    p = next_item_probabilities(scores, allowed, 1.0, top_k=3)[0]
    assert np.flatnonzero(p).tolist() == [0, 2, 3]


def test_probabilities_of_scores_in_single_precision_are_in_double() -> None:
    scores = np.random.default_rng(0).standard_normal((2, 101)).astype(np.float32)
    everyone = np.ones(scores.shape, dtype=bool)
    p = next_item_probabilities(scores, everyone, 0.7)
    expected = next_item_probabilities(scores.astype(np.float64), everyone, 0.7)
    assert np.array_equal(p, expected)
    np.testing.assert_allclose(p.sum(axis=1), [1.0, 1.0], rtol=0, atol=1e-14, equal_nan=False)


def test_each_item_is_drawn_for_its_share_of_the_numbers() -> None:
    p = np.array([0.0, 3, 0, 1, 7, 0, 5, 0]) / 16
    n = 160
    drawn = draw_items(np.tile(p, (n, 1)), (np.arange(n) + 0.5) / n)
    assert np.bincount(drawn, minlength=len(p)).tolist() == (n * p).tolist()
    assert np.array_equal(draw_items(np.tile(0.3 * p, (n, 1)), (np.arange(n) + 0.5) / n), drawn)


@given(seeds, st.integers(1, 40))
def test_an_item_of_probability_0_is_never_drawn(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.random((1, n)) * (rng.random(n) < 0.3)
    p[0, rng.integers(n)] = rng.random() + 0.1
    p = np.pad(p / p.sum(), ((0, 0), (1, 1)))
    for u in (0.0, 5e-324, 1 - 2**-53):  # the ends of what a generator gives
        assert p[0, draw_items(p, np.array([u]))[0]] > 0


# What is generated


@pytest.mark.parametrize("cache", [True, False])
def test_greedy_is_the_best_item_each_time_that_is_not_there_yet(cache: bool) -> None:
    model, histories = sasrec(), ragged(2, 0, 5)
    items = generate(model, histories, 4, cache=cache)
    assert items.dtype == np.int64
    for row, history in zip(items, histories, strict=True):
        expected = one_by_one(lambda h: model.score_histories([h])[0], history, 4, lambda s, _: s.argmax())
        assert row.tolist() == expected


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("top_k", [None, 3])
def test_what_is_drawn_follows_from_the_scores_and_the_numbers(cache: bool, top_k: int | None) -> None:
    model, histories, k = sasrec(), ragged(2, 0, 5), 4
    items = generate(model, histories, k, temperature=0.7, top_k=top_k, rng=5, cache=cache)
    numbers = np.random.default_rng(5).random((3, k))
    for row, history, u in zip(items, histories, numbers, strict=True):

        def choose(scores: Array, t: int, u: Array = u) -> int:
            edge = np.sort(scores)[-(top_k or ITEMS)]
            weights = np.where(scores >= edge, np.exp(scores / 0.7), 0)
            return int(np.argmax(np.cumsum(weights / weights.sum()) > u[t]))

        assert row.tolist() == one_by_one(lambda h: model.score_histories([h])[0], history, k, choose)
    assert not np.array_equal(items, generate(model, histories, k))


def test_the_same_seed_draws_the_same_items_and_rows_keep_their_numbers() -> None:
    model, histories = sasrec(), ragged(3, 1, 6, 0)
    items = generate(model, histories, 5, temperature=2.0, rng=1)
    assert np.array_equal(generate(model, histories, 5, temperature=2.0, rng=np.random.default_rng(1)), items)
    assert np.array_equal(generate(model, histories[:2], 5, temperature=2.0, rng=1), items[:2])
    assert not np.array_equal(generate(model, histories, 5, temperature=2.0, rng=2), items)


def alone(model: SASRec, history: np.ndarray, row: int, k: int, **options: Any) -> list[int]:
    """What is generated for one history, from the numbers that it would get as row `row` of a batch."""
    rng = np.random.default_rng(0)
    rng.random((row, k))
    return generate(model, [history], k, rng=rng, **options)[0].tolist()


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_a_row_does_not_depend_on_the_rows_beside_it(cache: bool, temperature: float) -> None:
    model, options = sasrec(), {"cache": cache, "temperature": temperature}
    histories = ragged(*(size % 9 for size in range(2 * SCORED + 3)))
    together = generate(model, histories, 4, rng=0, **options)
    assert together.shape == (2 * SCORED + 3, 4)
    for r, row in enumerate(together):
        assert row.tolist() == alone(model, histories[r], r, 4, **options)


def test_no_item_comes_twice_unless_it_may() -> None:
    model, histories = sasrec(), ragged(5, 0, 9)
    for history, row in zip(histories, generate(model, histories, 12, temperature=3.0, rng=0), strict=True):
        assert len({*history.tolist(), *row.tolist()}) == len(history) + 12
    score = model.score_histories
    free = generate(model, histories, 12, exclude_seen=False)
    for history, row in zip(histories, free, strict=True):
        so_far = history.tolist()
        for item in row.tolist():
            assert item == score([so_far])[0].argmax()
            so_far.append(item)
    assert any(len(set(row.tolist())) < 12 for row in free)


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_where_no_item_is_left_a_row_ends(cache: bool, temperature: float) -> None:
    model = table.sasrec("softmax", "plain", length=20, items=11)
    histories = [*ragged(9, 3, 11, 7, items=11), np.array([2, 2, 2, 5])]
    items = generate(model, histories, 6, temperature=temperature, rng=0, cache=cache)
    assert (items >= 0).sum(axis=1).tolist() == [2, 6, 0, 4, 6]
    for row, history in zip(items, histories, strict=True):
        found = row[row >= 0]
        assert row.tolist() == [*found, *[-1] * (6 - len(found))]
        assert not set(found.tolist()) & set(history.tolist())
    for r, row in enumerate(items):  # those that end do not disturb the others
        assert row.tolist() == alone(model, histories[r], r, 6, temperature=temperature, cache=cache)


# The cache


@pytest.mark.parametrize(("residual", "tied"), [("plain", True), ("original", True), ("plain", False)])
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_cached_scores_are_those_of_the_full_pass_at_every_step(
    residual: str, tied: bool, exclude_seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Histories of every kind of length: none, short, as long as the window, longer."""
    model, histories = sasrec(residual, tied), ragged(0, 1, 3, LENGTH - 1, LENGTH, LENGTH + 2)
    calls = spied(monkeypatch, generation, "next_item_probabilities")
    found = []
    for cache in (True, False):
        items = generate(
            model, histories, LENGTH + 3, temperature=1.0, rng=3, exclude_seen=exclude_seen, cache=cache
        )
        found.append((items, [scores for scores, *_ in calls]))
        calls.clear()
    (cached, cached_scores), (full, full_scores) = found
    assert len(cached_scores) == LENGTH + 3
    np.testing.assert_allclose(cached_scores, full_scores, **TIGHT)
    assert np.array_equal(cached, full)


def test_each_item_is_read_once_until_the_window_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    model, histories = sasrec(), ragged(2, 4)
    extended = spied(monkeypatch, SASRecNetwork, "extend")
    scored = spied(monkeypatch, SASRec, "score_histories")
    generate(model, histories, LENGTH)
    read = [ids.shape[1] - (past[0][0].k.shape[2] if past else 0) for _, ids, *past in extended]
    # Four columns, two of them padding in the first row; then one each, in the second row until it is full.
    assert read == [4, 1, 1, 1, 1, 1]
    assert [len(ids) for _, ids, *_ in extended] == [2, 2, 2, 2, 1, 1]
    assert [len(h) for _, h in scored] == [1, 1, 2]
    extended.clear()
    generate(model, histories, 3, cache=False)
    assert not extended


@given(
    seeds, st.lists(st.integers(0, LENGTH), min_size=1, max_size=3), st.sampled_from(["plain", "original"])
)
def test_the_network_extends_to_what_it_gives_at_once(seed: int, sizes: list[int], residual: str) -> None:
    network = sasrec(residual, layers=1).network
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, ITEMS + 1, (len(sizes), LENGTH))
    ids = np.where(np.arange(LENGTH) >= LENGTH - np.array(sizes)[:, None], ids, 0)
    h, _ = network.forward(ids)
    past, start = None, 0
    for end in sorted({*rng.integers(1, LENGTH, 3).tolist(), LENGTH}):
        states, past = network.extend(ids[:, :end], past)
        np.testing.assert_allclose(states, h[:, start:end], **TIGHT)
        start = end


def test_an_output_bias_counts_in_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    model, bias = sasrec(), np.zeros(ITEMS)
    bias[[4, 8, 15]] = [90.0, 80.0, 70.0]
    monkeypatch.setattr(model, "output_bias", lambda: bias)
    for cache in (True, False):
        assert generate(model, [[1, 2]], 3, cache=cache).tolist() == [[4, 8, 15]]


def test_a_window_longer_than_the_model_reads_is_its_newest_part() -> None:
    model, (history,) = sasrec(), ragged(LENGTH + 5)
    long, short = (generate(model, [h], 5, exclude_seen=False) for h in (history, history[-LENGTH:]))
    assert np.array_equal(long, short)


# Any model


def interactions() -> Interactions:
    rng = np.random.default_rng(0)
    rows = [(f"u{u}", f"i{i}") for u in range(13) for i in rng.permutation(11)[: 3 + u % 4]]
    return Interactions(*zip(*rows, strict=True))  # type: ignore[misc]


@pytest.mark.parametrize(
    "model",
    [
        SASRec(8, length=5, epochs=1),
        BERT4Rec(8, length=5, epochs=1),
        TransformerXL(8, length=6, segment=3, memory=2, epochs=1),
        TransformerRecommender(8, 2, 1, length=5, epochs=1),
        MatrixFactorization(3, "bpr", epochs=2),
        Popularity(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_any_model_generates_from_its_scores(model: Any) -> None:
    model.fit(interactions(), rng=0, progress=False)
    histories = ragged(2, 0, 5, items=11)
    for row, history in zip(generate(model, histories, 3), histories, strict=True):
        expected = one_by_one(
            lambda h: model.score_histories([np.array(h, dtype=np.int64)])[0], history, 3,
            lambda s, _: s.argmax(),
        )  # fmt: skip
        assert row.tolist() == expected


def test_ids_in_and_out() -> None:
    model = Popularity().fit(interactions())
    known = model.item_ids
    histories = [[known[3], known[7]], [], known[1:]]
    rows = generate_ids(model, histories, 4)
    expected = generate(model, [[3, 7], [], list(range(1, 11))], 4)
    assert rows == [[known[i] if i >= 0 else None for i in row] for row in expected]
    assert rows[2] == [known[0], None, None, None]
    assert rows[:2] == model.recommend_histories(histories[:2], 4).items  # popularity ignores what it adds
    sampled = {"temperature": 1.5, "top_k": 4, "rng": 2, "exclude_seen": False, "cache": False}
    drawn = generate(model, [[3, 7]], 6, **sampled)[0]
    assert generate_ids(model, histories[:1], 6, **sampled) == [[known[i] for i in drawn]]
    assert len(generate_ids(model, [[]])[0]) == 10
    assert generate_ids(model, []) == []
    assert generate(model, [], 3).shape == (0, 3)


# Wrong input


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"k": 0}, ValueError, "k must be at least 1, got 0"),
        ({"k": 2.0}, TypeError, "k must be a whole number, got 2.0"),
        ({"k": True}, TypeError, "k must be a whole number, got True"),
        ({"top_k": 0}, ValueError, "top_k must be at least 1, got 0"),
        ({"top_k": "3"}, TypeError, "top_k must be a whole number, got '3'"),
        ({"temperature": -0.5}, ValueError, "temperature must be at least 0 (0: the best item), got -0.5"),
        ({"temperature": math.nan}, ValueError, "temperature must be at least 0 (0: the best item), got nan"),
        (
            {"histories": [[3, ITEMS]]},
            IndexError,
            "histories[0][1] = 31 is out of range: allowed are 0 to 30",
        ),
        ({"histories": [3, 1]}, TypeError, "histories must be a list of lists of item indices, got 3"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        generate(sasrec(), **({"histories": [[3, 1]], "k": 2} | options))


@pytest.mark.parametrize(
    ("histories", "error", "words"),
    [
        ("i01", TypeError, "histories must be a list of lists of item ids, got text: write [[id, id, ...]]"),
        (["i1"], TypeError, "histories must be a list of lists of item ids, got text"),
        ([3], TypeError, "histories must be a list of lists of item ids, got 3"),
        ([["i1"], ["odd"]], UnknownIdError, "unknown item 'odd': the model knows 11, such as"),
        ([[1]], UnknownIdError, "ids here are str, this is int"),
    ],
)
def test_wrong_histories_get_the_message_of_recommend_histories(
    histories: Any, error: type[Exception], words: str
) -> None:
    model = Popularity().fit(interactions())
    for call in (generate_ids, Popularity.recommend_histories):
        with pytest.raises(error, match=re.escape(words)):
            call(model, histories, 2)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("cache", [True, False])
def test_scores_that_are_no_numbers(bad: float, cache: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = sasrec()
    model.item_ids = [f"item {i}" for i in range(ITEMS)]
    monkeypatch.setattr(model, "output_bias", lambda: np.where(np.arange(ITEMS) == 17, bad, 0.0))
    with pytest.raises(FloatingPointError, match=f"the score of item 'item 17' is {bad}"):
        generate(model, [[3]], 2, cache=cache)


def test_a_model_that_is_not_fitted() -> None:
    for call in (generate, generate_ids):
        for histories in ([[1]], []):
            with pytest.raises(RuntimeError, match="SASRec is not fitted yet"):
                call(SASRec(8), histories, 2)
