"""What a training step is made of: operations and bytes of each formula, and how fast this machine does them.

    python tests/benchmarks/roofline.py [--write | --draw]

At one size (B 128, T 200, D 64) each formula runs in one thread, once on the whole batch and once shard by
shard, on the same numbers; then whole steps with shards of every size. The last part gives, for each size of
the table, the share of the machine's matrix-product speed that whole steps reach on all cores. What was
measured goes to tests/results/roofline.json with `--write`; `--draw` draws its figures for tutorials/pages/.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from steps import SIZES, Size, steps, untrained
from stored import RESULTS, store_figures
from threadpoolctl import threadpool_limits

from minirec import functional as F
from minirec import optim, plots
from minirec.functional import Array

FIGURES = Path(__file__).parents[2] / "tutorials" / "pages" / "figures"
SIZE = SIZES[4]
BYTES = 4  # of a float32


def seconds(call: Callable[[], Any], budget: float = 0.4) -> float:
    """The median time of a call, after one that is not counted."""
    call()
    times: list[float] = []
    while len(times) < 5 or sum(times) < budget:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def product_speed(threads: int) -> float:
    """10⁹ operations per second of a large product in float32."""
    n = 2048
    a, b = (np.random.default_rng(i).standard_normal((n, n), dtype=np.float32) for i in range(2))
    with threadpool_limits(threads, user_api="blas"):
        return 2 * n**3 / seconds(lambda: a @ b) / 1e9


def stream_speed(numbers: int) -> float:
    """10⁹ bytes per second of z = x + y on arrays of so many float32 numbers, in one thread."""
    x, y, z = (np.ones(numbers, dtype=np.float32) for _ in range(3))
    repeat = max(1, 2**20 // numbers)

    def call() -> None:
        for _ in range(repeat):
            np.add(x, y, out=z)

    return repeat * 3 * BYTES * numbers / seconds(call) / 1e9


class Operation(NamedTuple):
    """One formula on a whole batch: `call(shards)` runs it on as many equal parts one after the other."""

    per_step: int  # how often a training step does it
    operations: float
    bytes: float  # of the arguments, the result and the cache, each once
    call: Callable[[int], None]


def operations(size: Size) -> dict[str, Operation]:
    """The formulas of a step, on random numbers of the shapes that they have there."""
    B, T, D, blocks, _, items, _ = size
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((B, T, D), dtype=np.float32) for _ in range(2))
    W, b = rng.standard_normal((D, D), dtype=np.float32), rng.standard_normal(D, dtype=np.float32)
    E = rng.standard_normal((items + 1, D), dtype=np.float32)
    ids = rng.integers(1, items + 1, (B, T))
    causal = np.tri(T, dtype=bool)
    params = untrained(size).params()
    grads = {name: np.ones_like(array) for name, array in params.items()}
    adam = optim.Adam()

    def in_parts(function: Callable[..., Any], *arrays: Array) -> Callable[[int], None]:
        def call(shards: int) -> None:
            for parts in zip(*(np.array_split(a, shards) for a in arrays), strict=True):
                function(*parts)

        return call

    def backward(
        forward: Callable[..., Any], back: Callable[..., Any], *arrays: Array
    ) -> Callable[[int], None]:
        caches: dict[int, list[Any]] = {}

        def call(shards: int) -> None:
            if shards not in caches:
                parts = zip(*(np.array_split(a, shards) for a in arrays), strict=True)
                caches[shards] = [forward(*part)[1] for part in parts]
            for cache, part in zip(caches[shards], np.array_split(dy, shards), strict=True):
                back(part, cache)

        return call

    def heads(part: Array) -> Any:
        q = part[:, None]
        return F.attention_forward(q, q, q, causal)

    def drop(part: Array) -> Any:
        return F.dropout_forward(part, 0.2, np.random.default_rng(0))

    N, scores = B * T, B * T * (T + 1) / 2
    linears = 6 * blocks  # four of attention, two of the feed-forward layer, whose width is D here
    norms = 2 * blocks + 1
    each = {
        "linear": Operation(
            linears, 2 * N * D * D, BYTES * 2 * N * D, in_parts(lambda p: F.linear_forward(p, W, b), x)
        ),
        "linear, backward": Operation(
            linears, 4 * N * D * D, BYTES * 3 * N * D,
            backward(lambda p: F.linear_forward(p, W, b), F.linear_backward, x),
        ),
        "attention": Operation(
            blocks, 4 * scores * D + 5 * scores, BYTES * (4 * N * D + scores), in_parts(heads, x)
        ),
        "attention, backward": Operation(
            blocks, 8 * scores * D + 4 * scores, BYTES * (7 * N * D + scores),
            backward(heads, lambda d, c: F.attention_backward(d[:, None], c), x),
        ),
        "layer norm": Operation(
            norms, 8 * N * D, BYTES * 3 * N * D, in_parts(lambda p: F.layer_norm_forward(p, b, b), x)
        ),
        "layer norm, backward": Operation(
            norms, 13 * N * D, BYTES * 3 * N * D,
            backward(lambda p: F.layer_norm_forward(p, b, b), F.layer_norm_backward, x),
        ),
        "dropout": Operation(norms, 2 * N * D, BYTES * 3 * N * D, in_parts(drop, x)),
        "relu": Operation(blocks, N * D, BYTES * 2 * N * D, in_parts(F.relu_forward, x)),
        "embedding": Operation(
            4, N * D, BYTES * 2 * N * D, in_parts(lambda i: F.embedding_forward(E, i), ids)
        ),
        "embedding, backward": Operation(
            3, N * D, BYTES * 2 * N * D,
            backward(lambda i: F.embedding_forward(E, i), F.embedding_row_gradient, ids),
        ),
    }  # fmt: skip
    count = sum(array.size for array in params.values())
    each["Adam"] = Operation(1, 14 * count, BYTES * 7 * count, lambda _: adam.step(params, grads))
    return each


def arithmetic(size: Size) -> float:
    """The operations of the matrix products of a step, forward and backward (3 times the forward ones).

    Attention counts the scores that the causal mask leaves, T (T + 1) / 2 per sequence.
    """
    B, T, D, blocks, hidden, items, loss = size
    N, scores = B * T, B * T * (T + 1) / 2
    forward = blocks * (2 * N * D * (4 * D + 2 * hidden) + 4 * scores * D)
    forward += 2 * N * D * (items if loss == "softmax" else 2)
    return 3 * forward


def draw() -> None:
    """The two figures of what stands in roofline.json."""
    content = json.loads((RESULTS / "roofline.json").read_text(encoding="utf-8"))
    points = {
        name: (
            row["operations"] / row["bytes"],
            row["operations"] / row["whole_ms"] / 1e6,
            row["operations"] / row["shards_ms"] / 1e6,
        )
        for name, row in content["operations"].items()
    }
    roof = plots.roofline(points, content["peaks"]["1"], content["memory"], content["cache"])
    curve = content["shard_sizes"]
    plots.save(roof, FIGURES / "roofline.svg")
    plots.save(plots.shard_times(curve["sizes"], curve["ms"], curve["chosen"]), FIGURES / "shard-sizes.svg")
    print("wrote roofline.svg and shard-sizes.svg in tutorials/pages/figures/")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep the figures, and draw them")
    parser.add_argument("--draw", action="store_true", help="measure nothing, draw what is kept")
    options = parser.parse_args()
    if options.draw:
        draw()
        return
    cores = os.cpu_count() or 1
    peaks = {threads: product_speed(threads) for threads in sorted({1, cores})}
    memory, cache = stream_speed(2**24), stream_speed(2**14)
    for threads, peak in peaks.items():
        print(f"matrix product, {threads} threads: {peak:.0f} GFLOP/s")
    print(f"main memory {memory:.0f} GB/s, cache {cache:.0f} GB/s, one thread")

    sizes = [1, 2, 4, 8, 16, 32, 64, 128]
    chosen, curve = untrained(SIZE).shard_size(), dict[str, list[float]]()
    print(f"\n{SIZE}: ms per step by sequences per shard, in use: {chosen}")
    for threads in sorted({1, cores}):
        name = f"{threads} thread" + "s" * (threads > 1)
        with steps(SIZE, threads=threads) as training:
            for size in sizes:
                training.shard_size = size
                curve.setdefault(name, []).append(1e3 * seconds(training.step, 2.0))
        print(f"  {name}: " + ", ".join(f"{s}: {ms:.0f}" for s, ms in zip(sizes, curve[name], strict=True)))

    shards = -(-SIZE.batch // untrained(SIZE).shard_size())
    found: dict[str, Any] = {}
    print(f"\n{SIZE}: whole batch, and {shards} shards")
    with threadpool_limits(1, user_api="blas"):
        np.empty(2**25 - 2**14, dtype=np.uint8)  # as in training.shard_threads
        for name, row in operations(SIZE).items():
            whole, parts = seconds(lambda row=row: row.call(1)), seconds(lambda row=row: row.call(shards))  # type: ignore[misc]
            found[name] = {
                "per_step": row.per_step, "operations": row.operations, "bytes": row.bytes,
                "whole_ms": 1e3 * whole, "shards_ms": 1e3 * parts,
            }  # fmt: skip
            print(
                f"  {name:<21} {row.per_step:>2} x {row.operations / 1e6:7.1f} M operations, "
                f"{row.bytes / 1e6:6.1f} MB: whole {1e3 * whole:7.2f} ms, in shards {1e3 * parts:7.2f} ms, "
                f"{row.operations / parts / 1e9:5.1f} GFLOP/s",
                flush=True,
            )

    print(f"\nwhole steps on {cores} cores, against the matrix product on {cores} threads")
    shares = []
    for size in SIZES:
        with steps(size) as training:
            training.step()
            speed = arithmetic(size) / seconds(training.step, 2.0) / 1e9
        shares.append({"size": size._asdict(), "gflops": speed, "share": speed / peaks[cores]})
        print(f"  {size}: {speed:5.0f} GFLOP/s, {speed / peaks[cores]:.0%}", flush=True)

    if options.write:
        content = {"size": SIZE._asdict(), "shards": shards, "peaks": peaks, "memory": memory, "cache": cache}
        by_size = {"sizes": sizes, "chosen": chosen, "ms": curve}
        content |= {"operations": found, "steps": shares, "shard_sizes": by_size}
        store_figures("roofline", "roofline.py --write", content)
        draw()


if __name__ == "__main__":
    main()
