"""minirec.evaluation.groups: which users land in which group, and what a group's mean is over."""

import numpy as np
import pytest

from minirec.data import Interactions, leave_one_out
from minirec.evaluation import Evaluation, group_means, group_users, held_out_popularity, history_lengths


def evaluation_of(values, users):
    arrays = {name: np.array(numbers, dtype=float) for name, numbers in values.items()}
    return Evaluation(arrays, np.array(users), 0, 10, "a protocol", [], 0.0, 0.0)


def test_a_value_on_a_cut_belongs_above_it():
    values = np.array([4.0, 5.0, 19.9, 20.0, 1e9])
    found = group_users(values, np.arange(5), edges=[20, 5])
    assert {name: users.tolist() for name, users in found.items()} == {
        "under 5": [0],
        "5 to under 20": [1, 2],
        "20 and more": [3, 4],
    }


def test_only_the_users_that_are_given_and_have_a_value():
    values = np.array([1.0, np.nan, 3.0, 4.0, 5.0])
    found = group_users(values, [4, 1, 2], edges=[4])
    assert {name: users.tolist() for name, users in found.items()} == {"under 4": [2], "4 and more": [4]}
    assert group_users(values, [0, 2], edges=[4, 100]).keys() == {"under 4"}  # empty groups are left out
    assert group_users(values, [1]) == {}
    assert group_users(values, [0, 2], edges=[])["all"].tolist() == [0, 2]


def test_quartiles_are_of_the_given_users():
    values = np.concatenate([np.arange(101.0), np.full(1000, 1e6)])
    found = group_users(values, np.arange(101))
    assert list(found) == ["under 25", "25 to under 50", "50 to under 75", "75 and more"]
    assert [len(users) for users in found.values()] == [25, 25, 25, 26]
    # equal quartiles make fewer groups, and never lose a user
    few = group_users(np.array([2, 2, 2, 2, 2, 3]), np.arange(6))
    assert sum(map(len, few.values())) == 6
    assert list(few) == ["2 and more"]


def test_history_lengths_and_popularity_by_hand():
    x = Interactions(
        ["a", "a", "a", "b", "b", "b", "c", "c", "c", "d"],
        ["p", "q", "r", "p", "p", "q", "p", "r", "q", "s"],
        timestamps=[1, 2, 3, 1, 2, 3, 1, 2, 3, 1],
    )
    train, valid, test = leave_one_out(x)  # training: a p, b p, c p, d s
    assert history_lengths(train).tolist() == [1, 1, 1, 1]
    assert history_lengths(x).tolist() == [3, 3, 3, 1]
    popularity = held_out_popularity(train, test)  # test: r, q, q
    assert popularity[:3].tolist() == [0, 0, 0]
    assert np.isnan(popularity[3])
    both = held_out_popularity(valid, x)
    # in valid: a q, b p, c r. Of x: a has p q r, b p p q, c p r q, d s; a user who met it twice counts once
    assert np.allclose(both, [1, 1, 1, 0], rtol=0, atol=1e-15)
    assert held_out_popularity(x, test)[:3].tolist() == [2, 3, 3]  # r: a, c; q: a, b, c
    assert held_out_popularity(x, valid)[:3].tolist() == [3, 3, 2]  # p: a, b, c, though b has it twice


def test_a_group_mean_is_over_its_evaluated_users_with_the_metric():
    e = evaluation_of({"ndcg": [0.5, 0.25, 1.0], "auc": [np.nan, 0.5, 0.75]}, [7, 2, 5])
    parts = {"one": np.array([5, 7, 1]), "two": np.array([2]), "nobody": np.array([0, 3])}
    means = group_means(e, parts, "ndcg")
    assert list(means) == ["one", "two"]
    assert (means["one"].mean, means["one"].users) == (0.75, 2)
    assert (means["two"].mean, means["two"].low, means["two"].high) == (0.25, 0.25, 0.25)
    assert 0.5 <= means["one"].low < 0.75 < means["one"].high <= 1.0
    assert group_means(e, parts, "auc")["one"].users == 1
    assert group_means(e, {"undefined": np.array([7])}, "auc") == {}
    with pytest.raises(KeyError, match="was not evaluated"):
        group_means(e, parts, "mrr")


def test_all_users_in_one_group_are_the_evaluation_itself():
    e = evaluation_of({"ndcg": np.random.default_rng(4).random(53)}, range(53))
    whole = group_means(e, {"all": np.arange(53)}, "ndcg")["all"]
    assert (whole.mean, whole.low, whole.high, whole.users) == (e.mean("ndcg"), *e.interval("ndcg"), 53)
