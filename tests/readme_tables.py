"""The tables of the README and of pages that come from tests/results/*.json, one function each.

`python tests/make_results.py readme` writes them between their markers; tests/test_readme.py compares. The
tables of speed are in speed_tables.py.
"""

import json
import re
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import claims_tables
import speed_tables

from minirec import plots

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
PAGES = ROOT / "tutorials" / "pages"
README, COST, CLAIMS = ROOT / "README.md", PAGES / "cost_of_a_step.md", PAGES / "claims.md"
NAMES = {
    "popularity": "Popularity",
    "mf-squared": "MatrixFactorization, squared error",
    "mf": "MatrixFactorization, BPR",
    "transformer": "TransformerRecommender",
}


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def ratings() -> str:
    """RMSE and MAE, 5-fold."""
    lines = ["| rating prediction, 5-fold | RMSE | MAE | seconds per epoch |", "| --- | --: | --: | --: |"]
    for name, row in load("ml100k-ratings")["models"].items():
        lines.append(f"| {name} | {row['rmse']:.4f} | {row['mae']:.4f} | {row['seconds_per_epoch']:.2f} |")
    return "\n".join(lines)


def shop() -> str:
    """NDCG@10 in three shops, and its share of the best possible."""
    content = load("shop")
    seeds = content["seeds"]
    lines = [
        "| NDCG@10 | " + " | ".join(f"shop {seed}" for seed in seeds) + " |",
        "| --- |" + " --: |" * len(seeds),
    ]
    for name, label in NAMES.items():
        cells = [
            f"{s['ndcg'][name][0]:.4f} ({s['ndcg'][name][0] / s['best_possible']:.0%})"
            for s in seeds.values()
        ]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    for key, label in (
        ("best_possible_from_history", "best possible from the history"),
        ("best_possible", "best possible"),
    ):
        cells = [f"{s[key]:.4f} ({s[key] / s['best_possible']:.0%})" for s in seeds.values()]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def demo_section(heading: str) -> list[str]:
    """The lines of a section of what the demo printed, without its heading."""
    lines = (RESULTS / "demo.txt").read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if line and set(line) == {"-"}]
    begin = next(i for i in starts if lines[i - 1].startswith(heading))
    end = min([i - 1 for i in starts if i > begin], default=len(lines))
    return lines[begin + 1 : end]


def demo_table() -> str:
    """The table of models, its two widest columns left out, and what is best possible."""
    lines = demo_section("Which model")
    last = max(i for i, line in enumerate(lines) if line.startswith("In brackets"))
    best = next(line for line in lines if "best possible" in line)
    table = [
        re.split(r"\s{2,}(?![\d.]+\])", line) for line in lines[:last] if not line.startswith("Protocol")
    ]
    rows = [f"{row[0]:<29}  {row[1]:>24}  {row[2]:>24}".rstrip() for row in table]
    return "\n".join(["```text", *rows, *textwrap.wrap(best, 108), "```"])


def demo_unseen() -> str:
    """The recommendations for a user that the model has never seen."""
    lines = demo_section("A user never seen")
    return "\n".join(["```text", *lines, "```"]).replace("\n\n", "\n")


def checkers() -> str:
    """How often each gradient checker objected to each fault."""
    found = load("checkers")["objections"]
    lines = ["| wrong backward | " + " | ".join(found) + " |", "| --- |" + " --: |" * len(found)]
    for fault in next(iter(found.values())):
        lines.append(f"| {fault} | " + " | ".join(str(row[fault]) for row in found.values()) + " |")
    return "\n".join(lines)


def mutation() -> str:
    """Mutants per part of the package and tool: all, killed, and those that compute the same."""
    parts: dict[str, dict[str, Counter[str]]] = {}
    for module, tools in load("mutation")["modules"].items():
        for tool, row in tools.items():
            part = module.partition("/")[0].removesuffix(".py")
            parts.setdefault(part, {}).setdefault(tool, Counter()).update(row)
    lines = ["| changed | by | mutants | killed | compute the same |", "| --- | --- | --: | --: | --: |"]
    for part, tools in parts.items():
        for tool, n in tools.items():
            who = "our operators" if tool == "own" else tool
            lines.append(f"| {part} | {who} | {n['total']} | {n['killed']} | {n['listed']} |")
    return "\n".join(lines)


TABLES = {
    README: {
        "checkers": checkers,
        "demo_table": demo_table,
        "demo_unseen": demo_unseen,
        "mutation": mutation,
        "models": claims_tables.models,
        "ratings": ratings,
        "shop": shop,
        "speed": lambda: speed_tables.speed(load("speed")),
    },
    COST: {
        "operations": lambda: speed_tables.operations(load("roofline")),
        "machine": lambda: speed_tables.machine(load("roofline")),
        "parts": lambda: speed_tables.parts(load("parts")),
        "speed_and_share": lambda: speed_tables.speed_and_share(load("speed"), load("roofline")),
        "growth": lambda: speed_tables.growth(load("growth")),
        "items": lambda: speed_tables.items(load("growth")),
        "scoring": lambda: speed_tables.scoring(load("scoring")),
        "large_file": lambda: speed_tables.large_file(load("large_file")),
    },
    CLAIMS: claims_tables.TABLES,
}


def between(name: str) -> re.Pattern[str]:
    """Matches what stands between the markers of a table."""
    return re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)


def write() -> None:
    """Put every table into its file, and draw the figures of the page on the document's claims."""
    for file, tables in TABLES.items():
        text = file.read_text(encoding="utf-8")
        for name, table in tables.items():
            text = between(name).sub(lambda m, table=table: m[1] + table() + "\n" + m[2], text)  # type: ignore[misc]
        file.write_text(text, encoding="utf-8")
    for name, figure in claims_tables.FIGURES.items():
        plots.save(figure(), PAGES / "figures" / f"{name}.svg")
