"""How time and memory of a training step grow with T, D, B and the number of items.

    python tests/benchmarks/growth.py            [--write keeps the figures in tests/results/growth.json]
    python tests/benchmarks/growth.py --sweep D  one sweep alone; the others stay as they are kept

Each point runs in a process of its own: median time of a step after two, and the peak memory. A sweep goes
round three times, and the median of the three stands with their range, since one measurement may be 20 % off.
One negative per step; the points with many items use lazy Adam, whose cost does not follow the table.
"""

import argparse
import json
import statistics
import time
from typing import Any

from memory import alone
from steps import Size, steps
from stored import RESULTS, store_figures

BASE = Size(128, 200, 64, 2, 64, 3500)
SWEEPS: dict[str, list[Size]] = {
    "T": [BASE._replace(length=T) for T in (25, 50, 100, 200, 400)],
    "D": [BASE._replace(width=D, hidden=D) for D in (16, 32, 64, 128, 256)],
    "B": [BASE._replace(batch=B) for B in (16, 32, 64, 128, 256)],
    "items": [BASE._replace(items=10**n) for n in (3, 4, 5, 6)],
    "items, B 16": [BASE._replace(batch=16, items=10**n) for n in (3, 4, 5, 6)],
}
ROUNDS = 3
FIELDS = {"T": "length", "D": "width", "B": "batch", "items": "items", "items, B 16": "items"}


def seconds_per_step(size: Size, lazy: bool) -> float:
    with steps(size, lazy=lazy) as training:
        for _ in range(2):
            training.step()
        times = []
        while len(times) < 5 or sum(times) < 3.0:
            began = time.perf_counter()
            training.step()
            times.append(time.perf_counter() - began)
        return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep the figures")
    parser.add_argument("--sweep", choices=SWEEPS, help="this one alone")
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for name, sizes in SWEEPS.items():
        if options.sweep not in (None, name):
            continue
        print(f"{name}: {sizes[0]} and up")
        lazy = name.startswith("items")
        rounds = [[alone(seconds_per_step, size, lazy) for size in sizes] for _ in range(ROUNDS)]
        for size, runs in zip(sizes, zip(*rounds, strict=True), strict=True):
            ms, peak = sorted(1e3 * seconds for seconds, _ in runs), max(peak for _, peak in runs)
            row = {"value": getattr(size, FIELDS[name]), "ms": ms[ROUNDS // 2], "range_ms": [ms[0], ms[-1]]}
            found.setdefault(name, []).append(row | {"peak_mb": peak, "lazy": lazy})
            span = f"{ms[ROUNDS // 2]:8.1f} ms [{ms[0]:.1f}, {ms[-1]:.1f}]"
            print(f"  {FIELDS[name]} {row['value']:>9,}: {span}, peak {peak:7.0f} MB", flush=True)
    if options.write:
        kept = (
            json.loads((RESULTS / "growth.json").read_text(encoding="utf-8"))["sweeps"]
            if options.sweep
            else {}
        )
        store_figures("growth", "growth.py --write", {"base": BASE._asdict(), "sweeps": kept | found})


if __name__ == "__main__":
    main()
