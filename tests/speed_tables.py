"""The tables of speed and memory, from what tests/benchmarks/ stored; called by readme_tables.py."""

from typing import Any

Stored = dict[str, Any]


def size_cells(size: Stored) -> list[str]:
    B, T, D, blocks, F, items, loss = size.values()
    return [f"{B}, {T}, {D}, {blocks}, {F}", f"{items:,}", "one negative" if loss == "bce" else "all items"]


def table(head: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A Markdown table whose first `left` columns are text and the others numbers."""
    rule = ["---"] * left + ["--:"] * (len(head) - left)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def by_size(rows: list[Stored]) -> list[tuple[Stored, dict[float, Stored]]]:
    """The rows of the comparison, one size after the other, by dropout."""
    found: dict[str, tuple[Stored, dict[float, Stored]]] = {}
    for row in rows:
        found.setdefault(str(row["size"]), (row["size"], {}))[1][row["dropout"]] = row
    return list(found.values())


def speed(stored: Stored) -> str:
    """Milliseconds per step and ratios to PyTorch, with and without dropout."""
    head = ["B, T, D, blocks, F", "items", "loss"]
    for dropout in (0.0, 0.2):
        head += [f"minirec, dropout {dropout:g}", "PyTorch", "ratio"]
    rows = []
    for size, by_dropout in by_size(stored["rows"]):
        cells = size_cells(size)
        for row in by_dropout.values():
            cells += [f"{row['ms'][name]:.1f} ms" for name in ("minirec", "torch")]
            cells.append("{:.2f} [{:.2f}, {:.2f}]".format(row["ratio"], *row["ratios"]))
        rows.append(cells)
    threads = stored["rows"][0]["threads"]
    words = f"minirec: {threads['minirec']}. {threads['torch']}. {stored['machine']}."
    return table(head, rows, 3) + f"\n\n{words}"


def speed_and_share(stored: Stored, roofline: Stored) -> str:
    """What each size reaches of the machine's matrix-product speed, beside the ratio to PyTorch."""
    rows = []
    for (size, by_dropout), share in zip(by_size(stored["rows"]), roofline["steps"], strict=True):
        assert size == share["size"]
        row = by_dropout[0.0]
        cells = [f"{row['ms']['minirec']:.1f} ms", f"{share['gflops']:.0f}", f"{share['share']:.0%}"]
        ratio = "{:.2f} [{:.2f}, {:.2f}]".format(row["ratio"], *row["ratios"])
        rows.append(size_cells(size) + cells + [ratio])
    head = ["B, T, D, blocks, F", "items", "loss", "a step", "GFLOP/s", "of the product", "PyTorch = 1"]
    return table(head, rows, 3)


def machine(stored: Stored) -> str:
    """What this machine can do."""
    peaks = stored["peaks"]
    rows = [[f"matrix product, {n} thread{'s' * (n != '1')}", f"{gf:.0f} GFLOP/s"] for n, gf in peaks.items()]
    rows.append(["main memory, one thread", f"{stored['memory']:.0f} GB/s"])
    rows.append(["cache, one thread", f"{stored['cache']:.0f} GB/s"])
    return table(["", stored["machine"]], rows)


def operations(stored: Stored) -> str:
    """Each formula of a step: how often, operations, bytes, and what it takes."""
    rows = []
    for name, row in stored["operations"].items():
        n = row["per_step"]
        rows.append([
            name, str(n), f"{n * row['operations'] / 1e6:,.0f}", f"{n * row['bytes'] / 1e6:,.0f}",
            f"{row['operations'] / row['bytes']:.2g}", f"{n * row['whole_ms']:.1f} ms",
            f"{n * row['shards_ms']:.1f} ms", f"{row['operations'] / row['shards_ms'] / 1e6:.1f}",
        ])  # fmt: skip
    head = [
        "formula", "times", "10⁶ operations", "MB", "operations per byte", "whole batch",
        f"in {stored['shards']} shards", "GFLOP/s in shards",
    ]  # fmt: skip
    return table(head, rows)


def parts(stored: Stored) -> str:
    """Where the time of a step goes, by formula, in per cent; the parts below 2 % everywhere are summed."""
    columns = [row["ms"] for row in stored["rows"]]
    names = list(dict.fromkeys(name for ms in columns for name in ms if name not in ("rest", "step")))
    share = {name: [ms.get(name, 0.0) / ms["step"] for ms in columns] for name in names}
    shown = sorted((name for name in names if max(share[name]) >= 0.02), key=lambda n: -sum(share[n]))
    rows = [[name, *(f"{100 * s:.0f}" for s in share[name])] for name in shown]
    other = [1 - sum(share[name][i] for name in shown) for i in range(len(columns))]
    rows.append(["all else", *(f"{100 * s:.0f}" for s in other)])
    rows.append(["a step in one thread, ms", *(f"{ms['step']:.1f}" for ms in columns)])
    heads = []
    for row in stored["rows"]:
        size = row["size"]
        loss = "" if size["loss"] == "bce" else ", all items"
        heads.append(f"B {size['batch']}, T {size['length']}, D {size['width']}{loss}")
    return table(["per cent of a step", *heads], rows)


def span(row: Stored) -> str:
    """The median of a few measurements, and the least and the largest of them."""
    return "{:.0f} ms [{:.0f}, {:.0f}]".format(row["ms"], *row["range_ms"])


def growth(stored: Stored) -> str:
    """Milliseconds and peak memory as one size grows and the others stay."""
    rows = []
    for name in ("T", "D", "B"):
        for row in stored["sweeps"][name]:
            rows.append([f"{name} = {row['value']}", span(row), f"{row['peak_mb']:.0f} MB"])
    return table(["", "a step", "peak memory of the process"], rows)


def items(stored: Stored) -> str:
    """The same for the number of items, with lazy Adam, for two sizes of the batch."""
    large, small = stored["sweeps"]["items"], stored["sweeps"]["items, B 16"]
    rows = [
        [
            f"{a['value']:,}",
            *(cell for r in (a, b) for cell in (span(r), f"{r['peak_mb']:.0f} MB")),
        ]
        for a, b in zip(large, small, strict=True)
    ]
    ratios = [f"{sweep[-1]['ms'] / sweep[0]['ms']:.2f}" for sweep in (large, small)]
    rows.append(["last over first", ratios[0], "", ratios[1], ""])
    return table(["items", "B 128", "peak memory", "B 16", "peak memory"], rows)


def scoring(stored: Stored) -> str:
    """Seconds and memory to evaluate and to recommend for all users."""
    rows = []
    for row in stored["rows"]:
        size = f"{row['size']['users']:,} users x {row['size']['items']:,} items"
        for task, words in (
            ("evaluation", "evaluate"),
            ("recommendation", "the ten best"),
            ("epoch", "an epoch"),
        ):
            if task in row:
                cells = [f"{row[task][key]:.0f} MB" for key in ("mb_before", "mb_peak")]
                rows.append([size, words, f"{row[task]['seconds']:.1f} s", *cells])
    return table(["catalogue", "", "time", "memory before", "at the peak"], rows, 2)


def large_file(stored: Stored) -> str:
    """Seconds and memory at the size of MovieLens 1M."""
    rows = [[n, f"{r['seconds']:.1f} s", f"{r['mb_peak']:.0f} MB"] for n, r in stored["rows"].items()]
    return table(["6,040 users x 3,416 items x 1,000,000 rows", "time", "memory at the peak"], rows)
