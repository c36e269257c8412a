"""Tables of evaluations: aligned text for a terminal, Markdown for a page, CSV for other programs.

Every figure stands beside its interval, and every table says by which protocol it was made.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirec.evaluation.groups import GroupMean, group_means
from minirec.evaluation.pairs import paired_difference, paired_p_value
from minirec.evaluation.protocol import Evaluation
from minirec.evaluation.significance import FLIPS, holm

Array = NDArray[Any]

FEW = 30  # users; of fewer, a bootstrap interval is too narrow


class Table(NamedTuple):
    """A table as text: the first column holds names, all others hold figures; notes stand below it."""

    header: list[str]
    rows: list[list[str]]
    notes: list[str]

    def text(self) -> str:
        """Aligned columns for a terminal."""
        widths = [max(len(row[j]) for row in [self.header, *self.rows]) for j in range(len(self.header))]
        lines = []
        for row in [self.header, ["-" * width for width in widths], *self.rows]:
            figures = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join([row[0].ljust(widths[0]), *figures]))
        return "\n".join(line.rstrip() for line in [*lines, *self.notes])

    def markdown(self) -> str:
        """The same in Markdown."""
        rule = ["---", *("--:" for _ in self.header[1:])]
        table = ["| " + " | ".join(row) + " |" for row in [self.header, rule, *self.rows]]
        return "\n".join([*table, "", "  \n".join(self.notes)])


def comparison(
    evaluations: Mapping[str, Evaluation], more: Mapping[str, Mapping[str, str]] | None = None
) -> Table:
    """One row per model, every metric as mean [95 % interval]. `more` is {column: {model: text}}, at the end.

    Notes say where the figures mean little: few users, or hardly more candidates than the cut-off.
    Raises ValueError for no evaluation at all, and for different cut-offs.
    """
    if not evaluations:
        raise ValueError("a comparison needs at least one evaluation")
    more = more or {}
    names = list(dict.fromkeys(m for e in evaluations.values() for m in e.values))
    first = next(iter(evaluations.values()))
    if any(e.k != first.k for e in evaluations.values()):
        raise ValueError(f"one table has one cut-off, got k = {[e.k for e in evaluations.values()]}")
    header = ["model", *(first.label(name) for name in names), "coverage", "novelty", *more]
    rows = []
    for model, e in evaluations.items():
        means = [_mean(e.mean(name), *e.interval(name)) if name in e.values else "" for name in names]
        last = [column.get(model, "") for column in more.values()]
        rows.append([model, *means, f"{e.coverage:.3f}", f"{e.novelty:.2f}", *last])
    protocols = {e.protocol for e in evaluations.values()}
    if len(protocols) == 1:
        notes = [f"Protocol: {first.protocol}."]
    else:
        notes = [f"Protocol of {model}: {e.protocol}." for model, e in evaluations.items()]
    notes.append("In brackets: 95 % bootstrap interval over users.")
    notes += dict.fromkeys(caution for e in evaluations.values() for caution in _cautions(e))
    return Table(header, rows, notes)


def comparison_table(evaluations: Mapping[str, Evaluation]) -> str:
    """One line per model, every metric as mean [95 % interval], and the protocol below; aligned text."""
    return comparison(evaluations).text()


def markdown_table(evaluations: Mapping[str, Evaluation]) -> str:
    """The same as `comparison_table`, as a Markdown table."""
    return comparison(evaluations).markdown()


def differences(evaluations: Mapping[str, Evaluation], baseline: str, metric: str) -> Table:
    """Every model against the model `baseline`, user by user: the difference, its interval, its p value.

    The last column corrects the p values for their number, the models of the table (`significance.holm`).
    Raises KeyError for an unknown baseline or metric, ValueError for different users or protocols.
    """
    if baseline not in evaluations:
        raise KeyError(f"baseline {baseline!r} is not among the models: there are {', '.join(evaluations)}")
    own = evaluations[baseline]
    others = {model: e for model, e in evaluations.items() if model != baseline}
    p_values = [paired_p_value(e, own, metric) for e in others.values()]
    rows = []
    for (model, e), p, corrected in zip(others.items(), p_values, holm(p_values), strict=True):
        difference, low, high = paired_difference(e, own, metric)
        cell = f"{difference:+.4f} [{low:+.4f}, {high:+.4f}]"
        rows.append([model, cell, f"{p:.4f}", f"{corrected:.4f}"])
    note = (
        "In brackets: 95 % bootstrap interval of the paired difference. p: permutation test over users, "
        f"two-sided, {FLIPS:,} flips of signs; p (Holm): corrected for the number of models in this table."
    )
    return Table([f"{own.label(metric)} against {baseline}", "difference", "p", "p (Holm)"], rows, [note])


def group_table(
    evaluations: Mapping[str, Evaluation], parts: Mapping[str, Array], metric: str, title: str
) -> Table:
    """One row per group of users, one column per model: mean [95 % interval], and the number of users.

    `title` says what the groups are, such as "events in the history".
    """
    by_model = {model: group_means(e, parts, metric) for model, e in evaluations.items()}
    rows, few = [], []
    for name in parts:
        found = [means[name] for means in by_model.values() if name in means]
        if found:
            cells = [_of_group(means.get(name)) for means in by_model.values()]
            rows.append([name, str(max(mean.users for mean in found)), *cells])
            if min(mean.users for mean in found) < FEW:
                few.append(name)
    label = next(iter(evaluations.values())).label(metric)
    notes = [f"{label} by group, in brackets the 95 % bootstrap interval over the users of the group."]
    if few:
        notes.append(f"Few users, fewer than {FEW}, in {'; '.join(few)}: such intervals are rough.")
    return Table([title, "users", *evaluations], rows, notes)


def write_per_user(
    path: str | Path,
    evaluations: Mapping[str, Evaluation],
    user_ids: Sequence[Any],
    columns: Mapping[str, Array] | None = None,
) -> None:
    """A CSV file with one row per user and model: the user's id, `columns` of (U,) numbers, every metric.

    A metric that is not defined for a user, or was not evaluated, is an empty cell.
    """
    columns = columns or {}
    metrics = list(dict.fromkeys(m for e in evaluations.values() for m in e.values))
    labels = [next(e.label(m) for e in evaluations.values() if m in e.values) for m in metrics]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["user", *columns, "model", *labels])
        for model, e in evaluations.items():
            for row, user in enumerate(e.users):
                known = [_number(values[user]) for values in columns.values()]
                values = [_number(e.values[m][row]) if m in e.values else "" for m in metrics]
                writer.writerow([user_ids[user], *known, model, *values])


def _cautions(e: Evaluation) -> list[str]:
    found, users = [], len(e.users)
    if users < FEW:
        found.append(f"Few users ({users}): such intervals and p values are rough.")
    within = 0 if e.candidates is None else int(np.count_nonzero(e.candidates <= e.k))
    if 2 * within > users:
        found.append(
            f"Few candidates: {within} of {users} users have no more than {e.k}, so that any order finds "
            "their items: take a smaller k."
        )
    return found


def _mean(mean: float, low: float, high: float) -> str:
    return f"{mean:.4f} [{low:.4f}, {high:.4f}]"


def _of_group(mean: GroupMean | None) -> str:
    return "" if mean is None else _mean(mean.mean, mean.low, mean.high)


def _number(value: Any) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"
