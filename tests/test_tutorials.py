"""The builder of the lessons: what it makes of a source, what it refuses, and what its check notices."""

import importlib
import json
import re
from pathlib import Path

import build
import pytest
from drawing import METADATA, difference, svg_with_data
from lesson import LessonError, mathematics, page, read, run

from minirec import plots
from minirec.verify.formulas import SHEET

README = build.TUTORIALS / "README.md"
LESSON = """# %% [markdown]
# # Add two numbers
#
# A sum of $n$ numbers:
#
# $$
# s = \\sum_i x_i
# $$

# %%
from minirec import plots
from minirec.verify import agree

x = [1.25, 2.5]
agree("sum", sum(x), 3.75)
print(f"{sum(x) / 7:.4f}")

# %% A line that rises
plots.lines({"x": ([0, 1], x)}, "i", "x")

# %% [markdown]
# The sum is {{dict(s=sum(x))["s"]:.2f}}, not `$x$`.
"""


def made(tmp_path: Path, source: str = LESSON) -> tuple[str, dict[str, str]]:
    path = tmp_path / "00_sum.py"
    path.write_text(source, encoding="utf-8")
    lesson = read(path)
    run(lesson, path)
    return page(lesson)


def test_a_page_holds_text_code_output_and_figure(tmp_path: Path) -> None:
    text, figures = made(tmp_path)
    assert "A sum of $`n`$ numbers:\n\n```math\ns = \\sum_i x_i\n```\n" in text
    assert "```text\nsum: both sides agree.\n0.5357\n```" in text
    assert "![A line that rises](figures/00_sum-1.svg)" in text
    assert "The sum is 3.75, not `$x$`." in text
    assert list(figures) == ["00_sum-1.svg"]
    data = json.loads(METADATA.search(figures["00_sum-1.svg"])[1])["data"]
    assert (data["axes 0"]["line 0, x"], data["axes 0"]["line 0, y"]) == ([0.0, 1.0], [1.25, 2.5])
    assert made(tmp_path) == (text, figures)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('agree("sum", sum(x), 3.75)', "pass", "have no twin"),
        ('agree("sum", sum(x), 3.75)', 'agree("sum", sum(x), 3.5)', "the sides differ: 3.75 and 3.5"),
        ('{{dict(s=sum(x))["s"]:.2f}}', "3.74", "no cell gives 3.74"),
        ("# %% A line that rises", "# %%", "needs a caption"),
        ('print(f"{sum(x) / 7:.4f}")', "sum(x)", "a bare value is not shown"),
        ("# A sum of", "A sum of", "a line of text begins with"),
        ("# # Add", "# Add", "begins with"),
        ('print(f"{sum(x) / 7:.4f}")', "1 / 0", "line 10: ZeroDivisionError"),
    ],
)
def test_what_a_lesson_may_not_do_is_said(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in LESSON
    with pytest.raises(LessonError, match=message):
        made(tmp_path, LESSON.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\\sum_i x_i", "\\sum_i y_i"),
        ("0.5357", "0.5337"),
        ("3.75, not", "3.76, not"),
        ("sum: both sides agree.\n", ""),
        ("A sum of", "The sum of"),
        ("x = [1.25", "x = [1.26"),
    ],
)
def test_the_check_notices_a_changed_page(tmp_path: Path, before: str, after: str) -> None:
    text, _ = made(tmp_path)
    assert before in text
    assert build.stale(text, text) is None
    line = 1 + text[: text.index(before)].count("\n")
    assert build.stale(text.replace(before, after, 1), text).startswith(f"line {line}: ")


def test_the_last_digit_of_an_output_may_differ() -> None:
    assert build.equal("0.5357", "0.5358")
    assert build.equal("1.1e-16", "0.0")
    assert not build.equal("0.5357", "0.5359")
    assert not build.equal("0.54", "0.55")  # of two digits none may
    assert not build.equal("3", "4")


def test_the_check_notices_a_changed_figure() -> None:
    figure = svg_with_data(plots.lines({"x": ([0, 1, 2], [1, 3, 2])}, "i", "x"))
    again = svg_with_data(plots.lines({"x": ([0, 1, 2], [1, 3.0000001, 2])}, "i", "x"))
    other = svg_with_data(plots.lines({"x": ([0, 1, 2], [1, 3.1, 2])}, "i", "x"))
    assert difference(figure, figure) is None
    assert difference(figure, again) is None
    assert "line 0" in difference(figure, other)
    assert "by hand" in difference(figure.replace("<path d=", "<path  d=", 1), figure)
    assert "no data" in difference(METADATA.sub("", figure), figure)
    words = svg_with_data(plots.lines({"x": ([0, 1, 2], [1, 3, 2])}, "i", "loss"))
    assert "words" in difference(figure, words)


def test_small_numbers_on_a_logarithmic_axis_are_compared_too() -> None:
    a, b, c = (
        svg_with_data(plots.lines({"x": ([1, 10], [1.0, small])}, "i", "error", log="y"))
        for small in (1e-6, 1.1e-6, 1.001e-6)
    )
    assert "line 0, y (log)" in difference(a, b)
    assert difference(a, c) is None


def test_heatmaps_are_compared_by_their_numbers() -> None:
    a, b = (svg_with_data(plots.heatmap([[1.0, value], [3.0, 4.0]], form=None)) for value in (2.0, 2.5))
    assert "image 0" in difference(a, b)


def test_mathematics_is_left_alone_in_code() -> None:
    assert mathematics("a $x +\ny$ b\n\n$5 or\n\n6$") == "a $`x + y`$ b\n\n$5 or\n\n6$"
    assert mathematics("a $x$ and `$y$`\n```\n$z$\n```\n") == "a $`x`$ and `$y$`\n```\n$z$\n```\n"


def rows_of_the_document() -> list[list[str]]:
    table = README.read_text(encoding="utf-8").split("## From the document to the lessons")[1]
    lines = [line for line in table.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_row_of_the_document_names_lessons_functions_and_formulas_that_exist() -> None:
    rows = rows_of_the_document()
    assert len(rows) > 15
    for _, _, links, functions, formulas in rows:
        for number, name in re.findall(r"\[(\d+)\]\(pages/(\w+)\.md\)", links):
            assert name in build.lessons()
            assert name.startswith(f"{int(number):02}_")
        for dotted in re.findall(r"`([^`]+)`", functions):
            module, _, name = dotted.rpartition(".")
            assert hasattr(importlib.import_module(module), name), dotted
        assert set(re.findall(r"`([^`]+)`", formulas)) <= set(SHEET)
    named = {name for row in rows for name in re.findall(r"\(pages/(\w+)\.md\)", row[2])}
    of_exercises = {"16_coursework", "17_teaching"}
    assert named == set(build.lessons()) - of_exercises  # no other lesson without a section
    sections = " ".join(row[0] for row in rows)
    for section in (
        "2.1",
        "2.2",
        "3.1",
        "3.2",
        "3.3",
        "4.1",
        "4.2",
        "4.3",
        "5.2",
        "6",
        "8.3",
        "9.1",
        "9.2",
        "9.3",
    ):
        assert section in sections


def test_the_map_has_a_thumbnail_and_a_sentence_for_each_lesson() -> None:
    table = README.read_text(encoding="utf-8").split("<!-- map -->")[1].split("<!-- end -->")[0]
    for name in build.lessons():
        (row,) = [line for line in table.splitlines() if f"(pages/{name}.md)" in line]
        assert f"pages/figures/{name}-1.svg" in row
        assert (build.PAGES / "figures" / f"{name}-1.svg").exists()
        assert len(row.split(" | ")[2]) > 20


@pytest.mark.parametrize("name", build.lessons())
def test_links_between_lessons_lead_somewhere(name: str) -> None:
    text = (build.PAGES / f"{name}.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)\)", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)):
        if not target.startswith("http"):
            assert (build.PAGES / target).exists(), target
