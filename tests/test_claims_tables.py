"""The rules by which the page on the claims comes to its verdicts, on figures whose answer is known."""

from typing import Any

import claims_tables
import make_experiments
import numpy as np
import pytest
from claims_tables import order, reversed_pairs, verdict
from make_experiments import newest, windows
from make_ml100k import Newest

from minirec.data import Interactions, leave_one_out, synthetic
from minirec.models import MarkovChain

USERS = 40
rng = np.random.default_rng(0)
NOISE = rng.standard_normal(USERS)
NOISE -= NOISE.mean()


@pytest.mark.parametrize(
    ("shift", "words", "sign"), [(2.0, "yes", 1), (0.0, "not shown", 0), (-2.0, "no, the opposite", -1)]
)
def test_a_verdict_follows_from_the_whole_interval(shift: float, words: str, sign: int) -> None:
    assert verdict(NOISE + shift, 0.01) == words
    assert verdict(NOISE + shift, 0.06) == "not shown"
    assert order(NOISE + shift, np.zeros(USERS)) == sign


def test_pairs_whose_order_turns_round() -> None:
    good, fair, poor = np.full(USERS, 3.0), np.full(USERS, 2.0), np.full(USERS, 1.0)
    near = fair + 0.01 * NOISE + 0.0001  # above fair by its mean, not for sure
    assert reversed_pairs([good, fair, poor], [good, fair, poor]) == (0, 3, 0)
    assert reversed_pairs([good, fair, poor], [poor, fair, good]) == (3, 3, 3)
    assert reversed_pairs([near, fair], [fair, near]) == (1, 0, 0)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 20])
def test_windows_make_every_event_but_the_first_a_target_once(n: int) -> None:
    history = np.arange(10, 18)
    parts = windows(history, n)
    assert max(map(len, parts)) <= n + 1
    assert min(map(len, parts)) >= 2
    assert sorted(np.concatenate([part[1:] for part in parts])) == list(history[1:])
    assert windows(history[:1], n) == []
    assert len(parts[0]) == min(n + 1, 8)
    assert parts[0][-1] == history[-1]


def test_the_newest_events_of_each_user() -> None:
    x = Interactions([1, 2, 1, 1, 2], [10, 10, 11, 12, 13], timestamps=[5, 1, 3, 9, 2])
    part = newest(x, 2)
    assert [(x.user_ids[u], x.item_ids[i]) for u, i in zip(part.users, part.items, strict=True)] == [
        (1, 10), (2, 10), (1, 12), (2, 13),
    ]  # fmt: skip
    assert len(newest(x, 1000)) == len(x)
    assert len(newest(x, 1)) == 2


def test_the_rows_of_the_experiments_subtract_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {  # NDCG of every user, by experiment, model and size
        "length": {"sasrec": {5: 1, 20: 2, 200: 7}, "transformer-xl": {0: 3, 50: 14}},
        "users": {"sasrec": {59: 20, 943: 90}, "markov": {59: 33, 943: 40}, "ease": {59: 41, 943: 50}},
        "events": {"sasrec": {3: 5, 1000: 6}, "ease": {3: 22, 1000: 1}},
    }

    def stored(name: str) -> dict[str, Any]:
        models = value[name.removeprefix("experiment-")]
        return {"models": {m: {str(n): {"ndcg": [v, v]} for n, v in of.items()} for m, of in models.items()}}

    monkeypatch.setattr(claims_tables, "stored", stored)
    found = {between: d.tolist() for _, between, d in claims_tables.experiment_claims()}
    assert found == {
        "SASRec with up to 200 items in sight − with up to 20": [5, 5],
        "TransformerXL with a memory of 50 − of 0": [11, 11],
        "SASRec − MarkovChain, both from 59 users": [-13, -13],
        "SASRec − EASE, both from 59 users": [-21, -21],
        "what SASRec gains from 59 to 943 users − what MarkovChain gains": [63, 63],
        "EASE − SASRec, both with 3 events per user": [17, 17],
    }


def test_a_model_is_shown_the_newest_items_only() -> None:
    x = Interactions([1, 1, 1, 2, 2], [10, 11, 12, 12, 10])
    model = MarkovChain().fit(x)
    histories = [np.array([2, 1, 0]), np.array([1])]
    np.testing.assert_array_equal(
        Newest(model, 1).score_histories(histories), model.score_histories([np.array([0]), np.array([1])])
    )
    assert not np.array_equal(
        Newest(model, 1).score_histories([np.array([0, 1])]), model.score_histories([np.array([0])])
    )


SMALL = {"embedding_dim": 4, "length": 5, "epochs": 1, "patience": 1, "batch_size": 16}
LITTLE: dict[str, dict[str, Any]] = {
    "sasrec": SMALL,
    "transformer-xl": SMALL | {"segment": 2, "memory": 2},
    "als": {"dim": 2, "epochs": 1},
    "mf": {"dim": 2, "epochs": 1},
}


def test_each_experiment_on_a_little_data(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = leave_one_out(synthetic(24, 60, 400).interactions)
    n = parts[0].n_users
    monkeypatch.setattr(make_experiments, "preset", lambda name, _: dict(LITTLE.get(name, {})))
    monkeypatch.setattr("make_ml100k.preset", lambda name, _: dict(LITTLE.get(name, {})))
    settings: dict[str, Any] = {
        "USERS": (6, n),
        "DRAWS": 2,
        "EVENTS": (2, 1000),
        "LENGTHS": (2, 4),
        "MEMORIES": (0, 2),
    }
    for name, sizes in settings.items():
        monkeypatch.setattr(make_experiments, name, sizes)
    rows = {
        which: {(name, size): row for name, size, row in experiment(*parts, None)}
        for which, experiment in make_experiments.EXPERIMENTS.items()
    }
    assert {name for name, _ in rows["users"]} == {"popularity", "markov", "ease", "als", "sasrec"}
    assert {name for name, _ in rows["events"]} >= {"item-knn", "mf", "sasrec"}
    assert set(rows["length"]) == {("sasrec", 2), ("sasrec", 4), ("transformer-xl", 0), ("transformer-xl", 2)}
    for found in rows.values():
        for row in found.values():
            assert row["ndcg"].shape == (n,)
            assert row["ndcg"].max() > 0
    assert rows["users"]["markov", 6]["events"] < rows["users"]["markov", n]["events"] == len(parts[0])
    assert set(rows["draws"]) == {("markov", 0), ("markov", 1), ("ease", 0), ("ease", 1)}
    assert not np.array_equal(rows["draws"]["markov", 0]["ndcg"], rows["draws"]["markov", 1]["ndcg"])
    assert rows["events"]["ease", 2]["events"] == 2 * n
    # What is the whole data in both is the same model.
    np.testing.assert_array_equal(rows["users"]["ease", n]["ndcg"], rows["events"]["ease", 1000]["ndcg"])
    assert not np.array_equal(rows["events"]["markov", 2]["ndcg"], rows["events"]["markov", 1000]["ndcg"])
