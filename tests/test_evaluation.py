"""minirec.evaluation with tiny models whose right figures are known: chance, perfect, and the edges."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import rows

from minirec import evaluation, metrics
from minirec.data.interactions import Interactions, concatenate
from minirec.evaluation import (
    average,
    comparison_table,
    evaluate,
    evaluate_ratings,
    markdown_table,
    paired_difference,
    paired_p_value,
    permutation_p_value,
    sample_candidates,
)

U, I = 23, 37
EXACT = 1e-12  # means of 23 numbers of size 1 in float64


class Fixed:
    """Scores from a given table, whatever the history."""

    def __init__(self, table):
        self.table = np.array(table)
        self.table.flags.writeable = False
        self.calls = []

    def score(self, users):
        self.calls.append(len(users))
        return self.table[users]


class Broken(Fixed):
    """Gives the whole table, whoever is asked for."""

    def score(self, users):
        return self.table


class LastItem:
    """Asked by history: the item after the last one is best. It remembers what it was given."""

    uses_histories = True

    def __init__(self):
        self.seen = []

    def score_histories(self, histories):
        self.seen += [h.tolist() for h in histories]
        scores = np.zeros((len(histories), I))
        for row, history in zip(scores, histories, strict=True):
            row[(history[-1] + 1) % I] = 1.0
        return scores


def data(seed=0, n=5, ratings=False):
    """Train, validation, test: every user meets n items; all but the last two, the last but one, the last.

    I further rows, in no part, only make all items known.
    """
    rng = np.random.default_rng(seed)
    items = [rng.permutation(I)[:n] for _ in range(U)]
    time = np.concatenate([np.tile(np.arange(n), U), np.full(I, n)])
    known = Interactions(
        np.concatenate([np.repeat(np.arange(U), n), np.zeros(I, dtype=int)]),
        np.concatenate([*items, np.arange(I)]),
        rng.integers(1, 6, len(time)) if ratings else None,
        time,
    )
    return known.select(time < n - 2), known.select(time == n - 2), known.select(time == n - 1)


@pytest.fixture
def split():
    return data()


def truth_of(part):
    table = np.zeros((U, I))
    table[part.users, part.items] = 1.0
    return table


def test_a_constant_scorer_gets_chance(split):
    train, valid, test = split
    model, names = Fixed(np.full((U, I), 0.3)), ("hit_rate", "ndcg", "auc")
    result = evaluate(model, train, test, also_seen=valid, metrics=names)
    candidates = [I - len(set(h)) for h in concatenate(train, valid).histories()]
    assert abs(result.mean("hit_rate") - np.mean([10 / n for n in candidates])) <= EXACT
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, 11))
    assert abs(result.mean("ndcg") - np.mean([ideal / n for n in candidates])) <= EXACT
    assert result.mean("auc") == 0.5


def test_a_perfect_scorer_gets_one(split):
    train, valid, test = split
    result = evaluate(Fixed(truth_of(test)), train, test, also_seen=valid, metrics=tuple(evaluation.LABELS))
    for name in ("hit_rate", "ndcg", "mrr", "recall", "map_at", "auc"):
        assert result.mean(name) == 1.0, name
        assert result.interval(name) == (1.0, 1.0)
    assert abs(result.mean("precision") - 0.1) <= EXACT


def test_every_figure_is_the_metric_of_the_visible_scores(split):
    train, valid, test = split
    table = np.random.default_rng(1).normal(size=(U, I)).astype(np.float32)
    result = evaluate(Fixed(table), train, test, also_seen=valid, k=3, metrics=tuple(evaluation.LABELS))
    for row, user in enumerate(result.users):
        scores = table[user].copy()
        for part in (train, valid):
            scores[part.items[part.users == user]] = -np.inf
        relevant = test.items[test.users == user]
        for name, values in result.values.items():
            arguments = (scores, relevant) if name == "auc" else (scores, relevant, 3)
            assert values[row] == getattr(metrics, name)(*arguments), name
        assert result.recommended[row].tolist() == np.argsort(-scores, kind="stable")[:3].tolist()


def test_seen_items_are_removed_and_the_validation_item_only_at_test(split):
    train, valid, test = split
    likes_seen = Fixed(9 * truth_of(train) + 5 * truth_of(valid) + truth_of(test))
    at_test = evaluate(likes_seen, train, test, also_seen=valid, k=1)
    assert at_test.mean("hit_rate") == 1.0
    at_validation = evaluate(likes_seen, train, valid, k=1)
    assert at_validation.mean("hit_rate") == 1.0  # the validation item is a candidate there
    forgotten = evaluate(likes_seen, train, test, k=1)
    assert forgotten.mean("hit_rate") == 0.0  # without also_seen the validation item stands above
    for row, user in enumerate(at_test.users):
        seen = set(train.items[train.users == user]) | set(valid.items[valid.users == user])
        assert not seen & set(at_test.recommended[row])


def test_a_history_model_is_given_the_validation_item_as_the_newest(split):
    train, valid, test = split
    model = LastItem()
    evaluate(model, train, test, also_seen=valid)
    for user, history in enumerate(model.seen):
        assert history[-1:] == valid.items[valid.users == user].tolist()
        assert history[:-1] == train.histories()[user].tolist()
    model = LastItem()
    evaluate(model, train, valid)
    assert model.seen == [h.tolist() for h in train.histories()]


def test_the_scores_of_the_model_are_not_written(split):
    train, valid, test = split
    model = Broken(np.zeros((U, I)))  # gives away its own, read-only table
    evaluate(model, train, test, also_seen=valid)
    assert not model.table.any()


def test_a_student_function_is_used(split, monkeypatch):
    train, _, test = split
    monkeypatch.setattr(metrics, "ndcg", lambda scores, relevant, k: 0.25)
    assert evaluate(Fixed(np.zeros((U, I))), train, test).mean("ndcg") == 0.25


@pytest.mark.parametrize("block", [1, 7, U, 1000])
def test_blocks_equal_all_at_once(split, block):
    train, valid, test = split
    table = np.random.default_rng(2).integers(0, 4, (U, I))  # integers, with ties
    model, whole = Fixed(table), evaluate(Fixed(table), train, test, also_seen=valid, block=U)
    parts = evaluate(model, train, test, also_seen=valid, block=block)
    assert max(model.calls) == min(block, U)
    assert sum(model.calls) == U
    for name in whole.values:
        assert np.array_equal(whole.values[name], parts.values[name])
    assert (whole.coverage, whole.novelty, whole.protocol) == (parts.coverage, parts.novelty, parts.protocol)


def test_a_subset_of_users_gives_their_rows(split):
    train, valid, test = split
    model = Fixed(np.random.default_rng(3).normal(size=(U, I)))
    whole = evaluate(model, train, test, also_seen=valid)
    part = evaluate(model, train, test, also_seen=valid, users=[19, 2, 5])
    assert part.users.tolist() == [19, 2, 5]
    for name in whole.values:
        assert np.array_equal(part.values[name], whole.values[name][[19, 2, 5]])
    assert "3 users" in part.protocol


def test_users_without_a_test_item_are_left_out_and_counted(split):
    train, _, test = split
    fewer = test.select(~np.isin(test.users, [0, 4, 11]))
    result = evaluate(Fixed(truth_of(test)), train, fewer)
    assert result.left_out == 3
    assert result.users.tolist() == [u for u in range(U) if u not in (0, 4, 11)]
    assert "20 users (3 not evaluated: nothing held out)" in result.protocol
    assert result.mean("hit_rate") == 1.0  # not diluted by zeros


def test_a_test_item_that_was_seen_is_never_found_and_said():
    x = Interactions([0, 0, 0, 1, 1, 1], ["a", "b", "a", "a", "b", "c"])
    train, test = x.select(np.array([0, 1, 3, 4])), x.select(np.array([2, 5]))
    model = Fixed([[3.0, 2.0, 1.0], [0.0, 0.0, 1.0]])
    result = evaluate(model, train, test, k=2, metrics=("hit_rate", "auc"))
    assert result.values["hit_rate"].tolist() == [0.0, 1.0]
    assert "1 test items already seen" in result.protocol
    # user 1 has one candidate, and it is relevant: no pair to compare
    assert result.values["auc"][0] == 0.0
    assert np.isnan(result.values["auc"][1])
    assert result.mean("auc") == 0.0


def test_several_test_items_count_once_each():
    x = Interactions([0] * 6, ["a", "b", "c", "d", "c", "b"])
    train, test = x.select(np.array([0])), x.select(np.arange(1, 6))
    result = evaluate(Fixed([[0.0, 3.0, 1.0, 2.0]]), train, test, k=2, metrics=("recall",))
    assert result.values["recall"].tolist() == [2 / 3]
    assert "held-out part, 5.0 events per user" in result.protocol


def test_the_protocol_in_words(split):
    train, valid, test = split
    result = evaluate(Fixed(np.zeros((U, I))), train, test, also_seen=valid)
    assert result.protocol == (
        "one held-out event per user, full ranking over 37 items, seen items removed (training and "
        "validation), ties by expectation, 23 users"
    )


def test_sampled_negatives_only_on_request_and_labelled(split):
    train, valid, test = split
    result = evaluate(Fixed(np.zeros((U, I))), train, test, also_seen=valid, negatives=19, k=5)
    assert "SAMPLED: ranked against 19 uniform negatives only" in result.protocol
    assert "full" not in result.protocol
    assert abs(result.mean("hit_rate") - 5 / 20) <= EXACT
    random = Fixed(np.random.default_rng(4).normal(size=(U, I)))
    same = [evaluate(random, train, test, negatives=3, rng=7).values["ndcg"] for _ in range(2)]
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], evaluate(random, train, test, negatives=3, rng=8).values["ndcg"])


class Recorder:
    """What `evaluate` ranks: the candidates of each user, seen through a metric."""

    def __init__(self, monkeypatch):
        self.candidates = []
        monkeypatch.setattr(metrics, "ndcg", self.look)

    def look(self, scores, relevant, k):
        self.candidates.append(set(np.flatnonzero(scores > -np.inf)) - set(relevant.tolist()))
        return 0.5


@pytest.mark.parametrize("sampling", ["uniform", "popular"])
def test_negatives_are_unseen_not_relevant_and_the_same_for_every_model(split, monkeypatch, sampling):
    train, valid, test = split
    recorder = Recorder(monkeypatch)
    likes_few = np.where(np.arange(I) % 3, -np.inf, np.random.default_rng(9).normal(size=(U, I)))
    options = {"negatives": 7, "sampling": sampling, "metrics": ("ndcg",), "also_seen": valid, "rng": 3}
    result = evaluate(Fixed(np.zeros((U, I))), train, test, **options)
    drawn = list(recorder.candidates)
    counts = np.bincount(train.items, minlength=I)
    for user, items in enumerate(drawn):
        assert not any(items & set(part.items[part.users == user].tolist()) for part in split)
        assert len(items) == 7
        assert sampling == "uniform" or all(counts[i] > 0 for i in items)
    assert f"SAMPLED: ranked against 7 {sampling} negatives only" in result.protocol
    recorder.candidates.clear()
    evaluate(Fixed(likes_few), train, test, **options)  # what a model cannot score is drawn like the rest
    assert recorder.candidates == [{i for i in items if i % 3 == 0} for items in drawn]


def test_the_protocol_says_how_many_negatives_there_were(split):
    train, valid, test = split
    model = Fixed(np.zeros((U, I)))
    few = evaluate(model, train, test, also_seen=valid, negatives=1_000_000, k=5)
    # of 37 items a user has seen 4, and one is the test item
    assert "SAMPLED: ranked against 32 uniform negatives only (1000000 asked for)" in few.protocol
    assert few.candidates.tolist() == [33] * U
    met = set(train.items.tolist())
    drawn = [len(met - {*h.tolist(), t}) for h, t in zip(train.histories(), test.items, strict=True)]
    low, high = min(drawn), max(drawn)
    assert low < high
    popular = evaluate(model, train, test, negatives=99, sampling="popular")
    assert f"against {low} to {high} popular negatives only (99 asked for)" in popular.protocol
    assert popular.candidates.tolist() == [n + 1 for n in drawn]
    assert "against 7 uniform negatives only," in evaluate(model, train, test, negatives=7).protocol


def test_candidates_are_counted_without_what_was_seen(split):
    train, valid, test = split
    result = evaluate(Fixed(np.zeros((U, I))), train, test, also_seen=valid)
    assert result.candidates.tolist() == [I - 4] * U
    x = Interactions([0, 0, 0, 0], ["a", "b", "a", "c"])  # a is seen and in the test part: no candidate
    train, test = x.select(np.array([0, 1])), x.select(np.array([2, 3]))
    for negatives in (None, 3):
        result = evaluate(Fixed([[3.0, 2.0, 1.0]]), train, test, k=2, negatives=negatives)
        assert result.candidates.tolist() == [1]


@pytest.mark.parametrize("counts", [None, [5, 0, 1, 2, 0, 4, 3]])
def test_candidates_are_drawn_one_after_the_other_in_proportion(counts):
    """The chance of each set of 2, from the definition: first i, then j of what is left."""
    items, n = np.array([6, 1, 3, 5, 0]), 20_000
    weight = {int(i): 1.0 if counts is None else counts[i] for i in items}
    rng = np.random.default_rng(10)
    found = {}
    for _ in range(n):
        pair = sample_candidates(rng, items, 2, None if counts is None else np.array(counts))
        found[tuple(sorted(pair.tolist()))] = found.get(tuple(sorted(pair.tolist())), 0) + 1
    total = sum(weight.values())
    for i in weight:
        for j in (j for j in weight if j > i):
            a, b = weight[i], weight[j]
            chance = a / total * b / (total - a) + b / total * a / (total - b)
            share = found.pop((i, j), 0) / n  # within 4 standard errors
            assert abs(share - chance) <= 4 * math.sqrt(chance * (1 - chance) / n), (i, j)
    assert found == {}


def test_fewer_candidates_than_asked_for_are_all_drawn():
    counts = np.array([0, 3, 0, 1])
    assert sorted(sample_candidates(0, np.array([0, 1, 3]), 5).tolist()) == [0, 1, 3]
    assert sorted(sample_candidates(0, np.array([0, 1, 3]), 5, counts).tolist()) == [1, 3]
    assert sample_candidates(0, np.array([0, 2]), 5, counts).tolist() == []


def test_coverage_and_novelty_of_the_lists(split):
    train, _, test = split
    result = evaluate(Fixed(np.tile(np.arange(I), (U, 1))), train, test, k=2)
    lists = [row.tolist() for row in result.recommended]
    assert lists[1] == [i for i in range(I - 1, -1, -1) if i not in train.histories()[1]][:2]
    assert result.coverage == metrics.coverage(lists, I)
    users = [len(set(train.users[train.items == i])) for i in range(I)]
    assert result.novelty == metrics.novelty(lists, users, U)


def test_novelty_counts_the_users_of_the_training_part():
    # in training, item 0 is met by two of three users, twice by one of them; validation does not count
    x = Interactions([0, 0, 1, 2, 0, 1, 2, 2], ["a", "a", "a", "c", "b", "b", "b", "a"])
    train, valid, test = (x.select(rows) for rows in (np.arange(4), np.array([7]), np.arange(4, 7)))
    result = evaluate(Fixed([[1.0, 0, 0]] * 3), train, test, k=1, users=[2])
    assert result.novelty == math.log2(3 / 2)
    result = evaluate(Fixed([[0, 0, 1.0]] * 3), train, test, also_seen=valid, k=1, users=[0, 1])
    assert result.novelty == math.log2(3)


def test_users_of_the_id_map_without_an_event_in_training_are_none_of_its_users():
    # users 3 and 4 come later: the shares are of the three who were there, all of whom have item 1
    x = Interactions([0, 0, 1, 2, 0, 3, 4], list("abbbcac"))
    train, test = x.select(np.arange(4)), x.select(np.arange(4, 7))
    result = evaluate(Fixed([[1.0, 0.0, 2.0]] * 5), train, test, k=1)
    assert [row.tolist() for row in result.recommended] == [[2]] * 3
    assert result.novelty == math.log2(3)  # the most that an item can have
    result = evaluate(Fixed([[1.0, 2.0, 0.0]] * 5), train, test, k=1, users=[3, 4])
    assert result.novelty == 0.0
    empty = train.select(np.zeros(0, dtype=np.int64))
    assert np.isnan(evaluate(Fixed([[1.0, 0.0, 2.0]] * 5), empty, test).novelty)


def test_lists_break_ties_by_item_index():
    scores = np.array([1.0, -np.inf, 2.0, 1.0, 1.0])
    assert evaluation.top_k(scores, 3).tolist() == [2, 0, 3]
    assert evaluation.top_k(scores, 9).tolist() == [2, 0, 3, 4]
    rng = np.random.default_rng(5)
    for _ in range(50):
        scores = rng.integers(0, 4, 31).astype(float)
        assert evaluation.top_k(scores, 7).tolist() == np.argsort(-scores, kind="stable")[:7].tolist()


NAN_ITEM = np.where(np.arange(I) == 5, np.nan, np.ones((U, 1)))
INF_USER = np.where(np.arange(U)[:, None] == 17, np.inf, np.ones((1, I)))


@pytest.mark.parametrize(
    ("model", "more", "error", "words"),
    [
        (Fixed(NAN_ITEM), {}, ValueError, "item 5 for user 0 as nan"),
        (Fixed(INF_USER), {}, ValueError, "user 17 as inf"),
        (Broken(np.zeros((U, I + 1))), {}, ValueError, r"\(23, 38\), expected \(B, I\) = \(23, 37\)"),
        (Fixed(np.zeros((U, I))), {"metrics": ("ndgc",)}, KeyError, "ndgc.*allowed are precision"),
        (Fixed(np.zeros((U, I))), {"users": [3, U]}, IndexError, "user 23.*0 to 22"),
        (Fixed(np.zeros((U, I))), {"users": [3, 3]}, ValueError, "more than once"),
        (Fixed(np.zeros((U, I))), {"users": [True]}, TypeError, "bool"),
        (Fixed(np.zeros((U, I))), {"users": []}, ValueError, "none of the 0 users"),
        (Fixed(np.zeros((U, I))), {"block": 0}, ValueError, "block = 0"),
        (Fixed(np.zeros((U, I))), {"k": 0}, ValueError, "k = 0: the cut-off is at least 1"),
        (Fixed(np.zeros((U, I))), {"k": 0, "metrics": ("auc",)}, ValueError, "k = 0: the cut-off"),
        (Fixed(np.zeros((U, I))), {"k": -2, "metrics": ("auc",)}, ValueError, "k = -2: the cut-off"),
        (Fixed(np.zeros((U, I))), {"negatives": 0}, ValueError, "negatives = 0.*or None"),
        (Fixed(np.zeros((U, I))), {"sampling": "x"}, ValueError, "one of 'uniform', 'popular', got 'x'"),
    ],
)
def test_faults(split, model, more, error, words):
    train, _, test = split
    with pytest.raises(error, match=words):
        evaluate(model, train, test, **more)


def test_parts_of_different_data_are_refused(split):
    train, _, _ = split
    with pytest.raises(ValueError, match="id maps differ"):
        evaluate(Fixed(np.zeros((U, I))), train, data()[2])


@pytest.mark.parametrize("more", [{}, {"negatives": 5}, {"negatives": 5, "sampling": "popular"}])
def test_an_empty_training_part_is_evaluated(split, more):
    train, valid, test = split
    empty = train.select(np.zeros(len(train), dtype=bool))
    result = evaluate(Fixed(truth_of(test)), empty, test, **more)
    assert result.mean("hit_rate") == 1.0
    assert result.users.tolist() == list(range(U))
    result = evaluate(Fixed(truth_of(test)), empty, test, also_seen=valid, **more)
    assert result.mean("ndcg") == 1.0


def test_no_data_at_all_are_nothing_to_evaluate():
    empty = Interactions([], [])
    with pytest.raises(ValueError, match="none of the 0 users has an item in the test part"):
        evaluate(Fixed(np.zeros((0, 0))), empty, empty)


def test_intervals_cover_and_are_repeatable(split):
    train, _, test = split
    result = evaluate(Fixed(np.random.default_rng(6).normal(size=(U, I))), train, test)
    low, high = result.interval("ndcg")
    assert low < result.mean("ndcg") < high
    assert (low, high) == result.interval("ndcg", rng=0)
    narrow = result.interval("ndcg", level=0.5)
    assert low < narrow[0] < narrow[1] < high
    # the normal approximation, ± 1.96 standard errors, within a quarter of it
    values = result.values["ndcg"]
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert abs((high - low) / 2 - half) < half / 4
    with pytest.raises(ValueError, match="level = 95"):
        result.interval("ndcg", level=95)
    with pytest.raises(KeyError, match="'auc' was not evaluated"):
        result.mean("auc")


@given(rows(11, 3), st.integers(0, 999), st.integers(1, 5))
def test_bootstrap_means(values, seed, resamples):
    holds("bootstrap_means", values, seed, resamples)


def test_bootstrap_in_pieces_keeps_every_column_with_its_user():
    values = np.arange(200_003.0)
    means = evaluation.bootstrap_means(np.stack([values, 2 * values], axis=1), resamples=11)
    assert means.shape == (11, 2)
    assert np.allclose(means[:, 1], 2 * means[:, 0], rtol=1e-12, atol=0)
    assert len(set(means[:, 0])) == 11


def test_paired_difference(split):
    train, _, test = split
    table = np.random.default_rng(7).normal(size=(U, I))
    a, b = (evaluate(Fixed(table + boost * truth_of(test)), train, test) for boost in (1.0, 0.0))
    difference, low, high = paired_difference(a, b, "ndcg")
    assert abs(difference - (a.mean("ndcg") - b.mean("ndcg"))) <= EXACT
    assert 0 < low < difference < high
    back = paired_difference(b, a, "ndcg")
    assert np.allclose(back, (-difference, -high, -low), rtol=0, atol=EXACT)
    assert paired_difference(a, a, "ndcg") == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="same users and protocol"):
        paired_difference(a, evaluate(Fixed(table), train, test, users=range(5)), "ndcg")
    with pytest.raises(ValueError, match=r"k = 10.*k = 3"):
        paired_difference(a, evaluate(Fixed(table), train, test, k=3), "ndcg")


def test_tables(split):
    train, valid, test = split
    perfect = evaluate(Fixed(truth_of(test)), train, test, also_seen=valid)
    chance = evaluate(Fixed(np.zeros((U, I))), train, test, also_seen=valid)
    table = comparison_table({"perfect": perfect, "a constant": chance}).splitlines()
    assert table[0].split() == ["model", "HR@10", "NDCG@10", "MRR@10", "coverage", "novelty"]
    assert len({len(line) for line in table[:4]}) == 1  # aligned
    assert table[2].startswith("perfect ")
    assert "1.0000 [1.0000, 1.0000]" in table[2]
    low, high = chance.interval("ndcg")
    assert f"{chance.mean('ndcg'):.4f} [{low:.4f}, {high:.4f}]" in table[3]
    assert table[4] == f"Protocol: {perfect.protocol}."
    assert "95 %" in table[5]
    assert str(chance).splitlines()[0].split()[1] == "HR@10"

    markdown = markdown_table({"perfect": perfect, "a constant": chance}).splitlines()
    assert [line.count("|") for line in markdown[:4]] == [7] * 4
    assert re.fullmatch(r"\| ---( \| --:){5} \|", markdown[1])
    assert perfect.protocol in markdown[5]


def test_a_table_says_which_protocol_is_whose(split):
    train, valid, test = split
    model = Fixed(truth_of(test))
    full = evaluate(model, train, test, also_seen=valid, metrics=("ndcg",))
    sampled = evaluate(model, train, test, also_seen=valid, negatives=5, metrics=("ndcg", "auc"))
    table = comparison_table({"full": full, "sampled": sampled})
    assert f"Protocol of full: {full.protocol}." in table
    assert f"Protocol of sampled: {sampled.protocol}." in table
    with pytest.raises(ValueError, match=r"one cut-off, got k = \[10, 2\]"):
        comparison_table({"a": full, "b": evaluate(model, train, test, k=2)})
    with pytest.raises(ValueError, match="at least one"):
        comparison_table({})


class Predicts:
    def __init__(self, table):
        self.table = table

    def predict(self, users, items):
        return self.table[users, items]


def test_rating_evaluation():
    _, _, test = data(ratings=True)
    table = np.random.default_rng(8).normal(3, 1, (U, I))
    result = evaluate_ratings(Predicts(table), test)
    error = table[test.users, test.items] - test.ratings
    assert abs(result.rmse - math.sqrt((error**2).mean())) <= EXACT
    assert abs(result.mae - np.abs(error).mean()) <= EXACT
    assert result.n == len(test) == U
    assert result.rmse_interval[0] < result.rmse < result.rmse_interval[1]
    assert result.mae_interval[0] < result.mae < result.mae_interval[1]
    assert result.protocol.startswith("23 held-out ratings of 23 users")


def test_rating_evaluation_resamples_whole_users():
    # one user with 50 ratings is always 2 off, one with 10 never: a resample has one of them, or both
    x = Interactions([0] * 50 + [1] * 10, [*range(50), *range(10)], np.full(60, 3.0))
    result = evaluate_ratings(Predicts(np.array([[5.0] * 50, [3.0] * 50])), x)
    assert result.mae_interval == (0.0, 2.0)
    assert result.rmse_interval == (0.0, 2.0)
    assert abs(result.mae - 2 * 50 / 60) <= EXACT


def test_faults_of_rating_evaluation(split):
    _, _, test = split
    with pytest.raises(ValueError, match="needs ratings"):
        evaluate_ratings(Predicts(np.zeros((U, I))), test)
    _, _, rated = data(ratings=True)
    with pytest.raises(ValueError, match=r"prediction\[0\] = nan"):
        evaluate_ratings(Predicts(np.full((U, I), np.nan)), rated)


def test_novelty_leaves_the_validation_part_out(split):
    train, valid, test = split
    result = evaluate(Fixed(np.zeros((U, I))), train, test, also_seen=valid)
    met = np.zeros((U, I), dtype=bool)
    met[train.users, train.items] = True
    assert result.novelty == metrics.novelty(result.recommended, met.sum(axis=0), U)
    both = met.copy()
    both[valid.users, valid.items] = True
    assert result.novelty != metrics.novelty(result.recommended, both.sum(axis=0), U)


def test_a_paired_difference_needs_one_protocol(split):
    train, valid, test = split
    model = Fixed(np.zeros((U, I)))
    a = evaluate(model, train, test, also_seen=valid)
    b = evaluate(model, train, test, also_seen=valid, negatives=5)
    assert np.array_equal(a.users, b.users)
    with pytest.raises(ValueError, match="same users and protocol"):
        paired_difference(a, b, "ndcg")


def test_paired_p_value(split):
    train, _, test = split
    table = np.random.default_rng(7).normal(size=(U, I))
    a, b = (evaluate(Fixed(table + boost * truth_of(test)), train, test) for boost in (1.0, 0.0))
    p = paired_p_value(a, b, "ndcg")
    assert p == paired_p_value(b, a, "ndcg") == permutation_p_value(a.values["ndcg"] - b.values["ndcg"])
    assert p < 0.01
    assert paired_p_value(a, a, "ndcg") == 1.0
    with pytest.raises(ValueError, match="same users and protocol"):
        paired_p_value(a, evaluate(Fixed(table), train, test, users=range(5)), "ndcg")


def test_pairs_leave_out_users_for_whom_the_metric_is_not_defined(split):
    train, _, test = split
    a, b = (evaluate(Fixed(np.full((U, I), x)), train, test, metrics=("auc",)) for x in (0.0, 1.0))
    a.values["auc"][3:] = 0.75
    a.values["auc"][0] = np.nan
    assert paired_difference(a, b, "auc")[0] == 20 * 0.25 / 22
    assert paired_p_value(a, b, "auc", rng=4) == permutation_p_value(np.full(20, 0.25), rng=4)


def test_an_average_is_of_each_user(split):
    train, valid, test = split
    tables = [np.random.default_rng(seed).normal(size=(U, I)) for seed in (11, 12, 13)]
    each = [evaluate(Fixed(table), train, test, also_seen=valid, k=1) for table in tables]
    mean = average(each)
    assert mean.coverage != each[0].coverage  # with k = 10 all items would be recommended to somebody
    for name in mean.values:
        by_hand = [(a + b + c) / 3 for a, b, c in zip(*(e.values[name] for e in each), strict=True)]
        assert np.allclose(mean.values[name], by_hand, rtol=0, atol=EXACT)
    assert abs(mean.coverage - sum(e.coverage for e in each) / 3) <= EXACT
    assert abs(mean.novelty - sum(e.novelty for e in each) / 3) <= EXACT
    assert (mean.protocol, mean.k) == (each[0].protocol, each[0].k)
    low, high = mean.interval("ndcg")
    assert high - low < max(e.interval("ndcg")[1] - e.interval("ndcg")[0] for e in each)
    assert average(each[:1]).mean("ndcg") == each[0].mean("ndcg")
    for other in (
        evaluate(Fixed(tables[0]), train, test, also_seen=valid, k=1, users=range(5)),
        evaluate(Fixed(tables[0]), train, test, also_seen=valid, k=5),
        evaluate(Fixed(tables[0]), train, test, also_seen=valid, k=1, metrics=("ndcg",)),
        evaluate(Fixed(tables[0]), train, test, k=1),
    ):
        with pytest.raises(ValueError, match="same users, metrics, cut-off and protocol"):
            average([each[0], other])
    with pytest.raises(ValueError, match="at least one"):
        average([])
