"""Time and memory of scoring all users over all items, as evaluation and recommendation do it.

    python tests/benchmarks/scoring.py           [--write keeps the figures in tests/results/scoring.json]

An untrained SASRec (D 64, 2 blocks) on random interactions: the size of MovieLens 1M, and a catalogue of a
million items. Beside it stands an epoch of training at the first size, which evaluation should not exceed.
"""

import argparse
import math
import time
from typing import Any, NamedTuple

import numpy as np
from memory import alone, watched
from steps import Size, steps
from stored import store_figures

from minirec.data import leave_one_out
from minirec.data.interactions import Interactions
from minirec.evaluation import evaluate
from minirec.models import SASRec


class Catalogue(NamedTuple):
    users: int
    items: int
    events: int  # per user
    length: int  # T


CATALOGUES = (Catalogue(6040, 3416, 165, 200), Catalogue(10_000, 1_000_000, 100, 50))


def untrained(size: Catalogue) -> tuple[SASRec, tuple[Interactions, Interactions, Interactions]]:
    rng = np.random.default_rng(0)
    n = size.users * size.events
    items = rng.permutation(np.arange(n) % size.items)  # every item is there
    parts = leave_one_out(Interactions(np.arange(n) % size.users, items, timestamps=np.arange(n)))
    model = SASRec(64, length=size.length)
    model.remember(parts[0])
    model.network = model.build(rng).astype("float32")
    return model, parts


def evaluation(size: Catalogue) -> tuple[float, list[float]]:
    """Seconds to evaluate every user over the whole catalogue, and the memory held meanwhile."""
    model, (train, valid, test) = untrained(size)
    with watched() as held:
        began = time.perf_counter()
        evaluate(model, train, test, also_seen=valid)
    return time.perf_counter() - began, held


def recommendation(size: Catalogue) -> tuple[float, list[float]]:
    """Seconds for the ten best items of every user, as a list of ids, and the memory held meanwhile."""
    model, _ = untrained(size)
    with watched() as held:
        began = time.perf_counter()
        model.recommend(model.user_ids, k=10)
    return time.perf_counter() - began, held


def epoch(size: Catalogue) -> tuple[float, list[float]]:
    """Seconds for as many training steps as an epoch has, one negative, batches of 128."""
    with steps(Size(128, size.length, 64, 2, 64, size.items)) as training:
        training.step()
        with watched() as held:
            began = time.perf_counter()
            for _ in range(math.ceil(size.users / 128)):
                training.step()
        return time.perf_counter() - began, held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep the figures")
    options = parser.parse_args()
    rows = []
    for size in CATALOGUES:
        row: dict[str, Any] = {"size": size._asdict()}
        print(f"{size.users:,} users x {size.items:,} items, T {size.length}")
        tasks = [evaluation, recommendation] + ([epoch] if size is CATALOGUES[0] else [])
        for task in tasks:
            (seconds, held), _ = alone(task, size)
            row[task.__name__] = {"seconds": seconds, "mb_before": held[0], "mb_peak": max(held)}
            print(
                f"  {task.__name__:<15} {seconds:7.1f} s, {held[0]:6.0f} MB before, peak {max(held):6.0f} MB"
            )
        rows.append(row)
    if options.write:
        store_figures("scoring", "scoring.py --write", {"rows": rows})


if __name__ == "__main__":
    main()
