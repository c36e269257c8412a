"""Where the time of a training step goes, by formula, in one thread.

    python tests/benchmarks/parts.py [--size N] [--dropout 0.2] [--write]

Every forward and backward function of `minirec.functional` is timed as the layers call it; what is left is
Python, sums of shards and the arithmetic of blocks. The figures go to tests/results/parts.json.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from steps import SIZES, Size, Steps, steps
from stored import store_figures

from minirec import functional as F


def timed(name: str, function: Callable[..., Any], spent: Counter[str]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **options)
        finally:
            spent[name] += time.perf_counter() - began  # type: ignore[assignment]

    return call


def parts(size: Size, dropout: float) -> dict[str, float]:
    """{part: milliseconds per step}, and the whole as "step"."""
    with steps(size, dropout, threads=1) as training:
        before, spent = dict(vars(F)), Counter[str]()
        for name in F.__all__:
            if name.endswith(("_forward", "_backward", "_gradient", "_gradients")):
                part = name.replace("_row_gradients", " rows").replace("_row_gradient", " backward, by row")
                setattr(F, name, timed(part.replace("_forward", " forward"), before[name], spent))
        training.optimizer.step = timed("Adam", training.optimizer.step, spent)  # type: ignore[method-assign]
        try:
            return run(training, spent)
        finally:
            for name in F.__all__:
                setattr(F, name, before[name])


def run(training: Steps, spent: Counter[str]) -> dict[str, float]:
    for _ in range(2):
        training.step()
    spent.clear()
    began, n = time.perf_counter(), 0
    while n < 5 or time.perf_counter() - began < 2.0:
        training.step()
        n += 1
    whole = time.perf_counter() - began
    table = {name.replace("_", " "): 1e3 * seconds / n for name, seconds in spent.most_common()}
    return table | {"rest": 1e3 * (whole - sum(spent.values())) / n, "step": 1e3 * whole / n}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, choices=range(len(SIZES)), help="one size only, from 0")
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--write", action="store_true", help="keep the figures")
    options = parser.parse_args()
    rows = []
    for size in SIZES if options.size is None else [SIZES[options.size]]:
        found = parts(size, options.dropout)
        rows.append({"size": size._asdict(), "dropout": options.dropout, "ms": found})
        print(f"{size}, dropout {options.dropout}, one thread")
        for name, ms in found.items():
            print(f"  {name:<34} {ms:8.2f} ms  {ms / found['step']:6.1%}", flush=True)
    if options.write:
        store_figures("parts", "parts.py --write", {"rows": rows})


if __name__ == "__main__":
    main()
