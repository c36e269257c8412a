"""MovieLens 100K, leave-one-out: train every model of the table, and store what each reached.

    python tests/make_ml100k.py                      all models, 80 minutes on 2 cores
    python tests/make_ml100k.py ease sasrec-gbce     some of them
    python tests/make_ml100k.py --models DIR         trained models are kept in DIR, and taken from there

Writes tests/results/ml100k/MODEL.json: the settings, and for each seed the metrics under full ranking and
against 100 sampled negatives, the metrics of each user, and how training went. Sequence models are also asked
with shorter histories: only the newest items of each user. Tables and figures are made from these files
(`python tests/make_results.py readme`). At its end the command prints the whole table.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from make_results import RESULTS, head

from minirec import evaluation
from minirec.cli_data import kind_of
from minirec.data import Interactions, leave_one_out, load_ml100k
from minirec.functional import Array
from minirec.models import Recommender
from minirec.models.presets import preset
from minirec.models.sequence_recommender import SequenceRecommender

METRICS = ("hit_rate", "ndcg", "mrr")
SEEDS = {"sasrec": (0, 1, 2), "sasrec-bce": (0, 1, 2)}  # of a model; all others: 0
MODELS = (
    "popularity", "item-knn", "markov", "ease", "als", "mf-squared", "svdpp", "mf", "transformer",
    "sasrec-bce", "sasrec-gbce", "sasrec-sampled", "sasrec", "sasrec-gpt", "bert4rec", "transformer-xl",
)  # fmt: skip
PROTOCOLS: dict[str, dict[str, Any]] = {
    "full": {},
    "uniform": {"negatives": 100},
    "popular": {"negatives": 100, "sampling": "popular"},
}
NEWEST = (1, 2, 5, 10, 20, 50, 100, 200)


class Newest:
    """A model that is shown the newest n items of a history only."""

    uses_histories = True

    def __init__(self, model: Recommender, n: int) -> None:
        self.model, self.n = model, n

    def score_histories(self, histories: Sequence[Array]) -> Array:
        return self.model.score_histories([history[-self.n :] for history in histories])


def trained(
    name: str, seed: int, train: Interactions, valid: Interactions, folder: Path | None
) -> tuple[Recommender, dict[str, Any]]:
    """The model, and how training went; both from `folder` if they are there."""
    kept = folder / f"{name}-{seed}" if folder else None
    if kept and kept.with_suffix(".json").exists():
        model: Recommender = Recommender.load(kept.with_suffix(".npz"))
        if model.settings() != kind_of(name)(**preset(name, "ml-100k")).settings():
            raise ValueError(f"{kept}.npz was trained with other settings than the preset: delete it")
        return model, json.loads(kept.with_suffix(".json").read_text(encoding="utf-8"))
    model = kind_of(name)(**preset(name, "ml-100k"))
    began = time.perf_counter()
    model.fit(train, valid=valid, rng=seed)
    story: dict[str, Any] = {"seconds_of_training": time.perf_counter() - began}
    if log := getattr(model, "log", None):
        story |= {"steps": log.steps, "best_epoch": log.best_epoch, "ended": log.ended}
        story |= {"losses": log.losses, "validation": log.validation}
    if kept:
        model.save(kept.with_suffix(".npz"))
        kept.with_suffix(".json").write_text(json.dumps(story), encoding="utf-8")
    return model, story


def measured(model: Recommender, train: Interactions, valid: Interactions, test: Interactions) -> Any:
    """Means with intervals under each protocol, the values of each user, and means with shorter histories."""

    def evaluate(asked: Any, **how: Any) -> evaluation.Evaluation:
        return evaluation.evaluate(asked, train, test, also_seen=valid, metrics=METRICS, **how)

    found = {name: evaluate(model, **how) for name, how in PROTOCOLS.items()}
    row: dict[str, Any] = {
        "metrics": {
            name: {e.label(m): [e.mean(m), *e.interval(m)] for m in METRICS} for name, e in found.items()
        },
        "per_user": {m: np.round(found["full"].per_user(m), 6).tolist() for m in METRICS},
        "sampled": {
            name: np.round(found[name].per_user("ndcg"), 6).tolist() for name in ("uniform", "popular")
        },
    }
    if isinstance(model, SequenceRecommender):
        shorter = {n: evaluate(Newest(model, n)) for n in NEWEST}
        row["newest"] = {n: np.round(e.per_user("ndcg"), 6).tolist() for n, e in shorter.items()}
    print(evaluation.comparison_table({type(model).__name__: found["full"]}), flush=True)
    return row | {"protocols": {name: e.protocol for name, e in found.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="*", help=f"some of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--models", metavar="DIR", type=Path, help="folder of trained models")
    options = parser.parse_args()
    if unknown := [name for name in options.model if name not in MODELS]:
        parser.error(f"unknown model {unknown[0]!r}: allowed are {', '.join(MODELS)}")
    data = load_ml100k()
    train, valid, test = leave_one_out(data.interactions)
    for name in options.model or MODELS:
        seeds: dict[str, Any] = {}
        for seed in SEEDS.get(name, (0,)):
            model, story = trained(name, seed, train, valid, options.models)
            seeds[str(seed)] = measured(model, train, valid, test) | story
        content = head(f"python tests/make_ml100k.py {name}", data)
        content |= {"model": name, "settings": model.settings(), "seeds": seeds}
        path = RESULTS / "ml100k" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content) + "\n", encoding="utf-8")
        print(f"wrote tests/results/ml100k/{name}.json", flush=True)
    print_table()


def print_table() -> None:
    from claims_tables import models, stored  # they read what stands here now

    print(models())
    all_runs = first_runs = 0.0
    for name in MODELS:
        for seed, run in stored(name)["seeds"].items():
            all_runs += run["seconds_of_training"] / 60
            first_runs += run["seconds_of_training"] / 60 if seed == "0" or name == "sasrec" else 0
    print(f"Training took {all_runs:.0f} minutes; {first_runs:.0f} with one seed for all but `sasrec`.")


if __name__ == "__main__":
    main()
