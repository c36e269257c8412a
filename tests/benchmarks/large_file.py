"""A data set as large as MovieLens 1M: reading the file, an epoch of SASRec, evaluation; time and memory.

    python tests/benchmarks/large_file.py        [--write keeps the figures in tests/results/large_file.json]

The file is generated: 6,040 users, 3,416 items, a million rows, a few very popular items, histories of very
different lengths. Each task runs in a process of its own, with T = 200 and D = 64.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from memory import alone, watched
from stored import store_figures

from minirec.data import leave_one_out
from minirec.data.named import open_dataset
from minirec.evaluation import evaluate
from minirec.models import SASRec

USERS, ITEMS, ROWS = 6040, 3416, 1_000_000
Measured = tuple[float, list[float]]  # seconds, and the memory held meanwhile


def write_file(path: Path) -> None:
    """A million distinct pairs of user and item as CSV, in random order."""
    rng = np.random.default_rng(0)
    share = 1.0 / np.arange(1, USERS + 1) ** 0.35
    lengths = 20 + np.floor(share / share.sum() * (ROWS - 20 * USERS)).astype(np.int64)
    lengths[: ROWS - lengths.sum()] += 1
    popular = 1.0 / np.arange(1, ITEMS + 1) ** 0.7
    keys = np.log(popular) + rng.gumbel(size=(USERS, ITEMS))  # the largest n: a draw without replacement
    items = [np.argpartition(-row, n)[:n] for row, n in zip(keys, lengths, strict=True)]
    users = np.repeat(np.arange(USERS), lengths)
    order = rng.permutation(ROWS)
    rows = np.stack([users, np.concatenate(items), rng.integers(1, 6, ROWS), rng.integers(0, 10**8, ROWS)], 1)
    np.savetxt(path, rows[order], "%d", ",", header="user,item,rating,timestamp", comments="")


def reading(path: Path) -> Measured:
    with watched() as held:
        began = time.perf_counter()
        data = open_dataset(str(path)).interactions
        seconds = time.perf_counter() - began
    assert (data.n_users, data.n_items, len(data)) == (USERS, ITEMS, ROWS)
    return seconds, held


def epoch(path: Path, loss: str) -> Measured:
    """One epoch, without what comes before its first step."""
    train, _, _ = leave_one_out(open_dataset(str(path)).interactions)
    model = SASRec(64, loss=loss, length=200, epochs=1)
    with watched() as held:
        model.fit(train, rng=0, progress=False)
    return model.log.seconds, held


def evaluation(path: Path) -> Measured:
    train, valid, test = leave_one_out(open_dataset(str(path)).interactions)
    model = SASRec(64, loss="bce", length=200, epochs=1, batch_size=USERS, lr=0.0)
    model.remember(train)
    model.network = model.build(np.random.default_rng(0)).astype("float32")
    with watched() as held:
        began = time.perf_counter()
        evaluate(model, train, test, also_seen=valid)
        seconds = time.perf_counter() - began
    return seconds, held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep the figures")
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ratings.csv")
        write_file(path)
        print(f"{USERS:,} users x {ITEMS:,} items x {ROWS:,} rows, {path.stat().st_size / 2**20:.0f} MB")
        for name, task in {
            "reading the file": (reading,),
            "an epoch, one negative": (epoch, "bce"),
            "an epoch, softmax over all items": (epoch, "softmax"),
            "evaluation of all users": (evaluation,),
        }.items():
            (seconds, held), _ = alone(task[0], path, *task[1:])
            rows[name] = {"seconds": seconds, "mb_peak": max(held)}
            print(f"  {name:<33} {seconds:6.1f} s, peak {max(held):6.0f} MB", flush=True)
    if options.write:
        store_figures("large_file", "large_file.py --write", {"rows": rows})


if __name__ == "__main__":
    main()
