"""What an examination found, for people: the table of the command line, and the page with its figures."""

import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

import minirec
from minirec import plots
from minirec.verify.formula import Verdict
from minirec.verify.report import Report

COLUMNS = ("formula", "forward", "gradient", "adjoint", "properties", "verdict")
LEGEND = (
    "forward: largest gap to the definition in loops; gradient: largest error of an entry of the Jacobian; "
    "adjoint: largest gap of ⟨Ju, g⟩ = ⟨u, Jᵀg⟩. All are relative to the largest entry, over all places of a "
    "formula; – where there is no gradient."
)


def cells(verdict: Verdict) -> tuple[str, ...]:
    """One row of the table, in the order of COLUMNS."""
    formula = verdict.formula
    held = sum(gap <= limit(verdict, name) for name, (gap, _) in verdict.properties.items())
    return (
        formula.name,
        figure(verdict.forward),
        figure(verdict.gradient),
        figure(verdict.adjoint),
        f"{held}/{len(formula.properties)}",
        "holds" if verdict.ok else "FAILS",
    )


def limit(verdict: Verdict, name: str) -> float:
    """The limit of a property by its name."""
    return next(p.limit for p in verdict.formula.properties if p.name == name)


def figure(value: float | None) -> str:
    """An error in two digits; exact where it is 0."""
    return "–" if value is None else "0" if value == 0 else f"{value:.1e}"


def lines(verdicts: Iterable[Verdict], width: int) -> Iterator[str]:
    """The table as text, row by row as the verdicts come; `width` is that of the names."""
    form = f"{{:<{width}}}  {{:>9}} {{:>9}} {{:>9}} {{:>10}}  {{}}"
    yield form.format(*COLUMNS)
    for verdict in verdicts:
        yield form.format(*cells(verdict))
        yield from (f"    {failure}" for failure in verdict.failures)


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many hold, and the worst figure of each kind with its formula."""
    wrong = [v.formula.name for v in verdicts if not v.ok]
    count = len(verdicts)
    head = f"{count} formula{'s' if count != 1 else ''}: " + (
        f"{len(wrong)} FAIL{'' if wrong[1:] else 'S'} ({', '.join(wrong)})"
        if wrong
        else "all hold"
        if count > 1
        else "holds"
    )
    worst = []
    for what, values in (
        ("forward", {v.formula.name: v.forward for v in verdicts}),
        ("gradient", {v.formula.name: v.gradient for v in verdicts if v.gradient is not None}),
        ("adjoint", {v.formula.name: v.adjoint for v in verdicts if v.adjoint is not None}),
    ):
        if values:
            name = max(values, key=lambda key: values[key] or 0.0)
            worst.append(f"{what} {figure(values[name])} ({name})")
    tried = sum(len(v.properties) for v in verdicts)
    places = sum(len(v.formula.places) for v in verdicts)
    return f"{head}. {places} places, {tried} properties. Largest: {', '.join(worst)}."


def write_page(
    verdicts: Sequence[Verdict], folder: Path, families: Mapping[str, Sequence[str]], seed: int
) -> Path:
    """Write `verify.md` with one section per formula, and its figures, into `folder`; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {v.formula.name: v for v in verdicts}
    text = [
        "# The formula sheet, examined",
        f"minirec {minirec.__version__}, NumPy {np.__version__}, seed {seed}. {summary(verdicts)}",
        LEGEND,
    ]
    for family, names in families.items():
        chosen = [known[name] for name in names if name in known]
        if chosen:
            text.append(f"## {family[0].upper()}{family[1:]}")
            rows = [[f"[{v.formula.name}](#{_anchor(v)})", *cells(v)[1:]] for v in chosen]
            text.append(_table(COLUMNS, rows))
            text += [part for verdict in chosen for part in _section(verdict, folder)]
    page = folder / "verify.md"
    page.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    return page


def write_report(report: Report, folder: Path) -> Path:
    """Write the report of one check, with its figure, as `verify.md` into `folder`; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    text = [
        f"# {report.title[0].upper()}{report.title[1:]}",
        f"```text\n{report}\n```",
        *_drawn(report, "check", folder),
    ]
    page = folder / "verify.md"
    page.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    return page


def _section(verdict: Verdict, folder: Path) -> Iterator[str]:
    formula = verdict.formula
    yield f"### {_heading(verdict)}"
    yield f"{formula.meaning} Source: {formula.source}. Code: `{formula.ours}`."
    yield f"```math\n{formula.latex}\n```"
    if not verdict.ok:
        yield "**It does not hold:**\n\n" + "\n".join(f"- {failure}" for failure in verdict.failures)
    source = textwrap.dedent(inspect.getsource(formula.definition)).rstrip()
    yield f"The definition:\n\n```python\n{source}\n```"
    if verdict.reports:
        rows = [
            [place, figure(report.error), ", ".join(report.zero) or "–", "ok" if report.ok else "FAILED"]
            for place, report in verdict.reports.items()
        ]
        yield _table(("gradient at", "error", "declared zero", "check"), rows)
    rows = [
        [name, figure(gap), figure(limit(verdict, name)) if limit(verdict, name) else "bit by bit", place]
        for name, (gap, place) in verdict.properties.items()
    ]
    yield _table(("property", "largest gap", "allowed", "at"), rows)
    if verdict.reports:
        yield from _drawn(_typical(verdict), _anchor(verdict), folder)


def _heading(verdict: Verdict) -> str:
    """linear, and for the module of that name Linear (class): two headings and files in lower case, too."""
    name = verdict.formula.name
    return f"{name} (class)" if name[0].isupper() else name


def _anchor(verdict: Verdict) -> str:
    """What a link to the heading is called; also the name of the figure's file."""
    return _heading(verdict).lower().replace(" ", "-").replace("(", "").replace(")", "")


def _typical(verdict: Verdict) -> Report:
    """The report of the first place that is neither the tiny example nor one with gradients that are zero."""
    reports = list(verdict.reports.values())
    return next((report for report in reports[1:] if not report.zero), reports[0])


def _drawn(report: Report, name: str, folder: Path) -> Iterator[str]:
    """The figure of a report, where there is a gradient to draw."""
    if report.curves is None:
        return
    file = f"{name}.svg"
    plots.save(report.plot(), folder / file)
    yield f"![Error of derivatives against the step, and Taylor's remainder: {report.title}]({file})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    marks = ["---"] + ["--:" if i and _is_figure(rows, i) else "---" for i in range(1, len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, marks, *rows])


def _is_figure(rows: Sequence[Sequence[str]], column: int) -> bool:
    return all(row[column][:1].isdigit() or row[column] in ("–", "inf", "nan", "bit by bit") for row in rows)
