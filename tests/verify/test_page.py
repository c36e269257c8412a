"""The table and the page of an examination say what it found, and nothing is overwritten or missing."""

import re
from pathlib import Path

import numpy as np
import pytest

from minirec import functional as F
from minirec.verify import check_gradient, page
from minirec.verify.formula import Verdict, examine
from minirec.verify.formulas import FAMILIES, SHEET

NAMES = ("linear", "Linear", "softmax", "ndcg")


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    return [examine(SHEET[name]) for name in NAMES]


@pytest.fixture
def spoiled(monkeypatch: pytest.MonkeyPatch) -> Verdict:
    right = F.linear_backward
    monkeypatch.setattr(F, "linear_backward", lambda dy, cache: (*right(dy, cache)[:2], dy.sum(axis=0) * 2))
    return examine(SHEET["linear"])


def test_a_row_per_formula_with_its_figures(verdicts: list[Verdict]) -> None:
    head, *rows = page.lines(verdicts, 8)
    assert tuple(head.split()) == page.COLUMNS
    assert [row.split()[0] for row in rows] == list(NAMES)
    for row, verdict in zip(rows, verdicts, strict=True):
        assert row.split()[1:4] == list(
            map(page.figure, (verdict.forward, verdict.gradient, verdict.adjoint))
        )
        count = len(verdict.formula.properties)
        assert row.split()[4:] == [f"{count}/{count}", "holds"]


def test_the_summary_names_the_worst(verdicts: list[Verdict]) -> None:
    text = page.summary(verdicts)
    assert text.startswith("4 formulas: all hold. ")
    worst = max(verdicts, key=lambda v: v.gradient or 0.0)
    assert f"gradient {worst.gradient:.1e} ({worst.formula.name})" in text
    assert f"{sum(len(v.formula.places) for v in verdicts)} places" in text
    assert page.summary(verdicts[:1]).startswith("1 formula: holds. ")


def test_what_fails_is_said_with_its_place(spoiled: Verdict, tmp_path: Path) -> None:
    _, row, *failures = page.lines([spoiled], 8)
    assert row.endswith("FAILS")
    assert any("example: full Jacobian" in line for line in failures)
    assert page.summary([spoiled]).startswith("1 formula: 1 FAILS (linear). ")
    text = page.write_page([spoiled], tmp_path, {"layers": ["linear"]}, 0).read_text(encoding="utf-8")
    assert "**It does not hold:**" in text
    assert "FAILED" in text


def test_the_page_has_a_section_a_definition_and_a_figure_for_each(
    verdicts: list[Verdict], tmp_path: Path
) -> None:
    families = {name: [formula.name for formula in family] for name, family in FAMILIES.items()}
    path = page.write_page(verdicts, tmp_path / "new", families, 7)
    text = path.read_text(encoding="utf-8")
    assert "seed 7" in text
    headings = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(["linear", "Linear (class)", "softmax", "ndcg"])
    links = set(re.findall(r"\]\(#(.+?)\)", text))
    assert links == {re.sub(r"[()]", "", heading.lower().replace(" ", "-")) for heading in headings}
    figures = re.findall(r"!\[.+?\]\((.+?)\)", text)
    assert sorted(figures) == ["linear-class.svg", "linear.svg", "softmax.svg"]  # ndcg has no gradient
    assert all((path.parent / name).stat().st_size > 1000 for name in figures)
    assert text.count("```python\ndef ") == len(NAMES)
    assert text.count("```math") == len(NAMES)
    for verdict in verdicts:
        assert verdict.formula.meaning in text
        for name in verdict.properties:
            assert f"| {name} |" in text


def test_the_page_of_one_check(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((3, 5))
    report = check_gradient(F.softmax_forward, F.softmax_backward, x)
    text = page.write_report(report, tmp_path).read_text(encoding="utf-8")
    assert text.startswith("# Gradient of softmax\n")
    assert str(report) in text
    assert (tmp_path / "check.svg").exists()


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0, "0"), (1.234e-13, "1.2e-13"), (np.inf, "inf")]
)
def test_figure(value: float | None, text: str) -> None:
    assert page.figure(value) == text
