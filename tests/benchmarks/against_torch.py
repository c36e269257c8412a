"""One training step of SASRec against the same model in PyTorch, on the CPU of this machine.

    python tests/benchmarks/against_torch.py                  all sizes, without dropout and with 0.2
    python tests/benchmarks/against_torch.py --size 3 --pairs 21
    python tests/benchmarks/against_torch.py --write          and keep the figures in tests/results/speed.json

Each of the two runs in a process of its own. They take turns, several steps at a time, so that what else the
machine does falls on both; a ratio is the median over the pairs of turns. Before anything is timed, both must
give the same loss from the same parameters, to 1e-4. PyTorch (`pip install torch`) is not a dependency;
without it minirec is timed alone.
"""

import argparse
import importlib.util
import multiprocessing
import os
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

from steps import SIZES, Size, random_batch, steps, untrained
from stored import store_figures

SECONDS = 0.5  # of one turn, about
FEWEST = 2  # steps in a turn


def ours(size: Size, dropout: float, threads: int, wire: Connection) -> None:
    with steps(size, dropout, threads=threads) as training:
        serve(training, f"{threads} shard threads, 1 BLAS thread each", wire)


def theirs(size: Size, dropout: float, threads: int, wire: Connection) -> None:
    import torch
    from sasrec_torch import TorchTraining

    torch.set_num_threads(threads)
    training = TorchTraining(untrained(size, dropout), random_batch(size))
    serve(training, f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", wire)


def serve(training: Any, words: str, wire: Connection) -> None:
    """Answer n with the seconds per step of n steps, until n is 0."""
    wire.send((training.loss(), words))
    while n := wire.recv():
        began = time.perf_counter()
        for _ in range(n):
            training.step()
        wire.send((time.perf_counter() - began) / n)


class Runner:
    """One of the two, in its process."""

    def __init__(self, target: Any, size: Size, dropout: float, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.wire, other = context.Pipe()
        self.process = context.Process(target=target, args=(size, dropout, threads, other))
        self.process.start()
        self.loss, self.words = self.wire.recv()

    def turn(self, n: int) -> float:
        self.wire.send(n)
        return float(self.wire.recv())

    def end(self) -> None:
        self.wire.send(0)
        self.process.join()


def compare(size: Size, dropout: float, threads: int, pairs: int, torch: bool) -> dict[str, Any]:
    runners = {"minirec": Runner(ours, size, dropout, threads)}
    if torch:
        runners["torch"] = Runner(theirs, size, dropout, threads)
    losses = [runner.loss for runner in runners.values()]
    if max(losses) - min(losses) > 1e-4:
        raise SystemExit(f"{size}: the losses differ, {losses}: the two are not the same model")
    for runner in runners.values():
        runner.turn(FEWEST)  # the first steps fill caches and allocate
    n = {name: max(FEWEST, round(SECONDS / runner.turn(FEWEST))) for name, runner in runners.items()}
    turns = [{name: runner.turn(n[name]) for name, runner in runners.items()} for _ in range(pairs)]
    for runner in runners.values():
        runner.end()
    row: dict[str, Any] = {"size": size._asdict(), "dropout": dropout, "pairs": pairs}
    row["threads"] = {name: runner.words for name, runner in runners.items()}
    row["ms"] = {name: 1e3 * statistics.median(turn[name] for turn in turns) for name in runners}
    if torch:
        ratios = sorted(turn["minirec"] / turn["torch"] for turn in turns)
        row["ratio"], row["ratios"] = statistics.median(ratios), [ratios[0], ratios[-1]]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, choices=range(len(SIZES)), help="one size only, from 0")
    parser.add_argument("--dropout", type=float, nargs="*", default=[0.0, 0.2])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="keep the figures")
    options = parser.parse_args()
    torch = importlib.util.find_spec("torch") is not None
    if not torch:
        print("PyTorch is not installed (pip install torch): only minirec is timed")
    rows = []
    for size in SIZES if options.size is None else [SIZES[options.size]]:
        for dropout in options.dropout:
            row = compare(size, dropout, options.threads, options.pairs, torch)
            rows.append(row)
            times = ", ".join(f"{name} {ms:.1f} ms" for name, ms in row["ms"].items())
            ratio = "ratio {:.2f} [{:.2f}, {:.2f}]".format(row["ratio"], *row["ratios"]) if torch else ""
            print(f"{size}, dropout {dropout}: {times}  {ratio}", flush=True)
    for name, words in rows[0]["threads"].items():
        print(f"{name}: {words}")
    if options.write:
        store_figures("speed", "against_torch.py --write", {"rows": rows})


if __name__ == "__main__":
    main()
