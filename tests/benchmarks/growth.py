"""How time and memory of a training step grow with T, D, B and the number of items.

    python tests/benchmarks/growth.py            [--write keeps the figures in tests/results/growth.json]

Each point runs in a process of its own: median time of a step after two, and the peak memory. One negative
per step; the points with many items use lazy Adam, whose cost does not follow the table.
"""

import argparse
import statistics
import time
from typing import Any

from memory import alone
from steps import Size, steps
from stored import store_figures

BASE = Size(128, 200, 64, 2, 64, 3500)
SWEEPS: dict[str, list[Size]] = {
    "T": [BASE._replace(length=T) for T in (25, 50, 100, 200, 400)],
    "D": [BASE._replace(width=D, hidden=D) for D in (16, 32, 64, 128, 256)],
    "B": [BASE._replace(batch=B) for B in (16, 32, 64, 128, 256)],
    "items": [BASE._replace(items=10**n) for n in (3, 4, 5, 6)],
    "items, B 16": [BASE._replace(batch=16, items=10**n) for n in (3, 4, 5, 6)],
}
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
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for name, sizes in SWEEPS.items():
        print(f"{name}: {sizes[0]} and up")
        for size in sizes:
            lazy = name.startswith("items")
            seconds, peak = alone(seconds_per_step, size, lazy)
            value = getattr(size, FIELDS[name])
            found.setdefault(name, []).append(
                {"value": value, "ms": 1e3 * seconds, "peak_mb": peak, "lazy": lazy}
            )
            print(f"  {FIELDS[name]} {value:>9,}: {1e3 * seconds:8.1f} ms, peak {peak:7.0f} MB", flush=True)
    if options.write:
        store_figures("growth", "growth.py --write", {"base": BASE._asdict(), "sweeps": found})


if __name__ == "__main__":
    main()
