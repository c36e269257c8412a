"""What the command compare prints and writes: tables with intervals, a page, two CSV files and a figure.

The training is done when this begins; cli_compare.py does it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import minirec
from minirec import evaluation, plots, tuning
from minirec.cli_data import kind_of
from minirec.data import Dataset, Interactions, concatenate
from minirec.evaluation import Evaluation, Table

Array = NDArray[Any]
Settings = dict[str, Any]


class Parts(NamedTuple):
    """The data set in three parts, and in words how they were made."""

    train: Interactions
    valid: Interactions
    test: Interactions
    words: str


class Result(NamedTuple):
    """What one model reached."""

    settings: Settings
    evaluation: Evaluation  # the mean over its seeds
    seeds: dict[int, Evaluation]
    seconds: float  # of one training
    search: list[tuning.Trial]  # empty: not tuned


class Comparison(NamedTuple):
    """Everything that the tables and the page need."""

    dataset: Dataset
    parts: Parts
    results: dict[str, Result]  # by model
    left_out: dict[str, str]  # {model: why}
    metric: str  # that decides
    best: str  # the model with the best figure
    asked: str | None  # the model that --baseline names
    command: str

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        return {name: result.evaluation for name, result in self.results.items()}

    @property
    def baseline(self) -> str:
        """The model that the others are compared with: the named one, or else the best."""
        return self.asked if self.asked in self.results else self.best

    @property
    def replaced(self) -> str:
        """In words, that the named baseline is not there; empty if it is, or none was named."""
        if self.asked in (None, self.baseline):
            return ""
        return f"Baseline: {self.asked} was left out, so it is {self.best}, the best."

    @property
    def label(self) -> str:
        """The metric that decides, with its cut-off."""
        return self.evaluations[self.baseline].label(self.metric)


def tables(compared: Comparison) -> dict[str, Table]:
    """All tables by title: the results, the differences, and the two by group, which begin with "By"."""
    parts, results, metric, baseline = compared.parts, compared.results, compared.metric, compared.baseline
    evaluations, label = compared.evaluations, compared.label
    more = {"seconds": {name: f"{result.seconds:.1f}" for name, result in results.items()}}
    seeds = list(results[baseline].seeds)
    drawn = any(kind_of(name).uses_rng for name in results)
    if len(seeds) > 1:
        more[f"sd of {label}"] = {name: f"{_spread(result, metric):.4f}" for name, result in results.items()}
    first = evaluation.comparison(evaluations, more)
    first.notes.append("Seconds: of one training.")
    if len(seeds) > 1:
        first.notes.append(
            f"Means over the seeds {seeds[0]} to {seeds[-1]}, and their standard deviation (sd). Intervals "
            "are over users, and leave out what another seed would change."
        )
        first.notes.extend(_by_seed(name, result, metric, label) for name, result in results.items())
    elif drawn:
        first.notes.append("One training each: another seed may change more than the intervals say.")
    found = {"Results": first}
    if len(results) > 1:
        pairs = evaluation.differences(evaluations, baseline, metric)
        if drawn:
            pairs.notes.append("Intervals and p leave out what another seed would change.")
        if compared.asked != baseline:
            pairs.notes.append(
                "The baseline is the best of these figures, which makes differences look surer: name one in "
                "advance with --baseline."
            )
        found[f"Differences in {label}"] = pairs
    for title, values in _user_columns(parts).items():
        groups = evaluation.group_users(values, evaluations[baseline].users)
        found[f"By {title}"] = evaluation.group_table(evaluations, groups, metric, title)
    return found


def write(compared: Comparison, folder: Path) -> None:
    """results.md, results.csv, per-user.csv and comparison.svg."""
    evaluations, metric = compared.evaluations, compared.metric
    note = "bars: 95 % bootstrap intervals over users"
    sampled = [part for part in evaluations[compared.baseline].protocol.split(", ") if "SAMPLED" in part]
    intervals = {name: (e.mean(metric), *e.interval(metric)) for name, e in evaluations.items()}
    figure = plots.comparison(intervals, compared.label, note="\n".join([note, *sampled]))
    plots.save(figure, folder / "comparison.svg")
    columns, user_ids = _user_columns(compared.parts), compared.parts.train.user_ids
    evaluation.write_per_user(folder / "per-user.csv", evaluations, user_ids, columns)
    _write_csv(folder / "results.csv", compared.results, compared.baseline)
    (folder / "results.md").write_text(_page(compared), encoding="utf-8")


def call(name: str, settings: Settings) -> str:
    """The constructor's call, to copy."""
    return f"{kind_of(name).__name__}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"


def _user_columns(parts: Parts) -> dict[str, Array]:
    """{title: (U,) numbers} by which users are grouped."""
    seen = concatenate(parts.train, parts.valid)
    return {
        "events in the history": evaluation.history_lengths(seen),
        "training users of the test item": evaluation.held_out_popularity(parts.train, parts.test),
    }


def _by_seed(name: str, result: Result, metric: str, label: str) -> str:
    each = [f"{e.mean(metric):.4f}" for e in result.seeds.values()]
    same = len(set(each)) == 1
    return f"{label} of {name} by seed: {'the same each time' if same else ', '.join(each)}."


def _spread(result: Result, metric: str) -> float:
    """The standard deviation over seeds."""
    return float(np.std([e.mean(metric) for e in result.seeds.values()], ddof=1))


def _write_csv(path: Path, results: Mapping[str, Result], baseline: str) -> None:
    """One row per model and metric, all digits."""
    header = ["model", "metric", "mean", "low", "high", "baseline", "difference", "difference low"]
    header += ["difference high", "p", "p (Holm)", "seeds", "sd over seeds", "seconds", "users", "protocol"]
    own = results[baseline].evaluation
    others = [name for name in results if name != baseline]
    p_values, corrected = {}, {}
    for metric in own.values:
        p_values[metric] = [
            evaluation.paired_p_value(results[name].evaluation, own, metric) for name in others
        ]
        corrected[metric] = evaluation.holm(p_values[metric])
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for name, result in results.items():
            e = result.evaluation
            for metric, values in e.values.items():
                pair: list[Any] = [""] * 5
                if name != baseline:
                    i = others.index(name)
                    pair = [*evaluation.paired_difference(e, own, metric)]
                    pair += [p_values[metric][i], corrected[metric][i]]
                spread = _spread(result, metric) if len(result.seeds) > 1 else ""
                row = [name, e.label(metric), e.mean(metric), *e.interval(metric), baseline, *pair]
                users = int(np.count_nonzero(~np.isnan(values)))
                row += [len(result.seeds), spread, f"{result.seconds:.3f}", users, e.protocol]
                writer.writerow(row)


def _page(compared: Comparison) -> str:
    dataset, label = compared.dataset, compared.label
    sections = [
        f"# Comparison on {dataset.name}",
        f"`{compared.command}` (minirec {minirec.__version__})",
        f"{dataset.interactions.describe()}. SHA-256 of the data: {dataset.digest}.",
        f"Split: {compared.parts.words}. Equal scores: the expectation over all orders of the tied items.",
        *(f"Left out: {name}: {reason}." for name, reason in compared.left_out.items()),
        *([compared.replaced] if compared.replaced else []),
        f"![{label} of each model with its interval](comparison.svg)",
    ]
    for title, table in tables(compared).items():
        sections += [f"## {title}", table.markdown()]
    sections.append("## Settings")
    for name, result in compared.results.items():
        words = f"{name}: `{call(name, result.settings)}`"
        if result.search:
            best, seconds = tuning.best_trial(result.search), sum(trial.seconds for trial in result.search)
            words += (
                f", the best of {len(result.search)} choices on validation: {label} {best.value:.4f}, of the "
                f"preset {result.search[0].value:.4f}, in {seconds:.0f} s"
            )
        sections.append(words)
    return "\n\n".join(sections) + "\n"
