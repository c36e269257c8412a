"""Experiments on MovieLens 100K that need trainings of their own: fewer users, events, or items in sight.

    python tests/make_experiments.py users      trained on a part of the users, measured on all of them
    python tests/make_experiments.py draws      the same with other users, for models that need no training
    python tests/make_experiments.py events     trained and asked with the newest events of each user only
    python tests/make_experiments.py length     trained on all data, with less of each history in sight
    python tests/make_experiments.py all --models DIR    those trained on all data are kept in DIR

Writes tests/results/ml100k/experiment-NAME.json: NDCG@10 of each user, by model and size. Leave-one-out,
full ranking, seen items removed, as in make_ml100k.py. `python tests/make_results.py readme` makes the tables
and figures of tutorials/pages/claims.md from them. Ten minutes to three quarters of an hour each, on 2 cores.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from make_ml100k import Newest, trained
from make_results import RESULTS, head

from minirec import evaluation
from minirec.cli_data import kind_of
from minirec.data import Interactions, leave_one_out, load_ml100k
from minirec.functional import Array
from minirec.models import SASRec
from minirec.models.network_recommender import Examples
from minirec.models.presets import preset
from minirec.models.step_loss import step_examples

USERS = (59, 118, 236, 472, 943)
DRAWS = 12
EVENTS = (3, 5, 10, 20, 50, 1000)
LENGTHS = (5, 20, 50, 200)
MEMORIES = (0, 50)
Rows = Iterator[tuple[str, int, dict[str, Any]]]


def newest(x: Interactions, n: int) -> Interactions:
    """The newest n events of each user."""
    order = x.order()
    ends = np.searchsorted(x.users[order], x.users[order], "right")
    return x.select(np.sort(order[ends - np.arange(len(order)) <= n]))


def windows(history: Array, n: int) -> list[Array]:
    """Parts of n + 1 events, the newest first, each beginning with the last event of the one before it.

    Every event but the first is the target of one part, with up to n events in sight.
    """
    stops = range(len(history), 1, -n)
    return [history[max(0, stop - n - 1) : stop] for stop in stops]


class SASRecOnWindows(SASRec):
    """SASRec that learns from every event of a history, whatever its length: one example per window."""

    def examples(self, train: Interactions) -> Examples:
        parts = [part for history in self.histories for part in windows(history, self.length)]
        return step_examples(self.loss, parts, self.length, train.matrix(), self.n_negatives)


def fitted(model: Any, train: Interactions, valid: Interactions) -> tuple[Any, dict[str, Any]]:
    began = time.perf_counter()
    model.fit(train, valid=valid, rng=0, progress=False)
    story: dict[str, Any] = {"seconds_of_training": time.perf_counter() - began}
    if log := getattr(model, "log", None):
        story |= {"steps": log.steps, "best_epoch": log.best_epoch, "ended": log.ended}
    return model, story


def of_users(train: Interactions, valid: Interactions, test: Interactions, folder: Path | None) -> Rows:
    """The same test users and histories for all; only what was learned from differs."""
    order = np.random.default_rng(0).permutation(train.n_users)
    for name in ("popularity", "markov", "ease", "als", "sasrec"):
        for n in USERS:
            part, stop = (x.select(np.flatnonzero(np.isin(x.users, order[:n]))) for x in (train, valid))
            settings = preset(name, "ml-100k")
            if name == "sasrec":  # one example per user: as many steps before it may stop, whatever n is
                steps = math.ceil(n / 128) / math.ceil(train.n_users / 128)
                settings |= {key: round(settings[key] / steps) for key in ("epochs", "patience")}
            if n == train.n_users:
                model, story = trained(name, 0, train, valid, folder)
            else:
                model, story = fitted(kind_of(name)(**settings), part, stop)
            found = evaluation.evaluate(model, train, test, also_seen=valid, metrics=("ndcg",))
            yield name, n, {"ndcg": found.per_user("ndcg"), "events": len(part)} | story


def of_draws(train: Interactions, valid: Interactions, test: Interactions, folder: Path | None) -> Rows:
    """What another choice of the fewest users changes; `size` is the seed of the draw."""
    for name in ("markov", "ease"):
        for seed in range(DRAWS):
            chosen = np.random.default_rng(seed).permutation(train.n_users)[: USERS[0]]
            part, stop = (x.select(np.flatnonzero(np.isin(x.users, chosen))) for x in (train, valid))
            model, story = fitted(kind_of(name)(**preset(name, "ml-100k")), part, stop)
            found = evaluation.evaluate(model, train, test, also_seen=valid, metrics=("ndcg",))
            yield name, seed, {"ndcg": found.per_user("ndcg"), "events": len(part), "users": USERS[0]} | story


def of_events(train: Interactions, valid: Interactions, test: Interactions, folder: Path | None) -> Rows:
    """Both what is learned from and what is known about the user shrinks: a sparser data set.

    All items that the user has rated stay out of the ranking, also those that were cut away.
    """
    for name in ("popularity", "item-knn", "markov", "ease", "als", "mf", "sasrec"):
        for n in EVENTS:
            part = newest(train, n)
            if len(part) == len(train):
                model, story = trained(name, 0, train, valid, folder)
            else:
                model, story = fitted(kind_of(name)(**preset(name, "ml-100k")), part, valid)
            asked = Newest(model, n + 1) if model.uses_histories else model  # n and the validation item
            found = evaluation.evaluate(asked, train, test, also_seen=valid, metrics=("ndcg",))
            yield name, n, {"ndcg": found.per_user("ndcg"), "events": len(part)} | story


def of_length(train: Interactions, valid: Interactions, test: Interactions, folder: Path | None) -> Rows:
    """Trained on all data, with less of each history in sight: the same targets and steps for all."""
    steps = math.ceil(train.n_users / 128)
    for n in LENGTHS:
        parts = sum(len(windows(history, n)) for history in train.histories())
        settings = preset("sasrec", "ml-100k") | {"length": n, "batch_size": math.ceil(parts / steps)}
        model, story = fitted(SASRecOnWindows(**settings), train, valid)
        found = evaluation.evaluate(model, train, test, also_seen=valid, metrics=("ndcg",))
        yield "sasrec", n, {"ndcg": found.per_user("ndcg"), "settings": settings} | story
    for memory in MEMORIES:
        settings = preset("transformer-xl", "ml-100k")
        if memory == settings["memory"]:
            model, story = trained("transformer-xl", 0, train, valid, folder)
        else:
            settings |= {"memory": memory}
            model, story = fitted(kind_of("transformer-xl")(**settings), train, valid)
        found = evaluation.evaluate(model, train, test, also_seen=valid, metrics=("ndcg",))
        yield "transformer-xl", memory, {"ndcg": found.per_user("ndcg"), "settings": settings} | story


EXPERIMENTS = {"users": of_users, "draws": of_draws, "events": of_events, "length": of_length}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("which", choices=[*EXPERIMENTS, "all"])
    parser.add_argument("--models", metavar="DIR", type=Path, help="folder of trained models")
    options = parser.parse_args()
    data = load_ml100k()
    train, valid, test = leave_one_out(data.interactions)
    for experiment, rows in EXPERIMENTS.items():
        if options.which not in (experiment, "all"):
            continue
        found: dict[str, dict[str, Any]] = {}
        for name, size, row in rows(train, valid, test, options.models):
            seconds = row["seconds_of_training"]
            print(f"{name} at {size}: NDCG@10 {row['ndcg'].mean():.4f}, {seconds:.0f} s", flush=True)
            found.setdefault(name, {})[str(size)] = row | {"ndcg": np.round(row["ndcg"], 6).tolist()}
            content = head(f"python tests/make_experiments.py {experiment}", data) | {"models": found}
            path = RESULTS / "ml100k" / f"experiment-{experiment}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
