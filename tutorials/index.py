"""What build.py makes beside the lessons: the map of tutorials/README.md, and the index of functions.

pages/functions.md has every formula of the sheet with its mathematics, shapes, lessons and tests. A lesson is
named where its code calls the function or compares its two sides by `agree`.
"""

import html
import inspect
import re
from collections.abc import Mapping
from pathlib import Path

from lesson import Lesson, LessonError, mathematics

from minirec.verify.formula import Formula
from minirec.verify.formulas import FAMILIES

ROOT = Path(__file__).resolve().parent.parent


MAP = re.compile(r"(<!-- map -->\n).*?(<!-- end -->)", re.DOTALL)


def with_map(readme: str, lessons: Mapping[str, Lesson]) -> str:
    """The text of tutorials/README.md with its map: a thumbnail, a link and a sentence for each lesson."""
    rows = ["| | lesson | you will learn |", "| --- | --- | --- |"]
    for name, lesson in lessons.items():
        figure = next((cell.title for cell in lesson.cells if cell.kind == "code" and cell.title), "")
        image = f'<img src="pages/figures/{name}-1.svg" width="170" alt="{html.escape(figure)}">'
        number = f"{int(name[:2])}. "
        rows.append(
            f"| {image if figure else ''} | {number}[{lesson.title}](pages/{name}.md) "
            f"| {mathematics(learned(lesson))} |"
        )
    return MAP.sub(lambda m: m[1] + "\n".join(rows) + "\n" + m[2], readme)


def learned(lesson: Lesson) -> str:
    """What the first cell of a lesson says after **You will learn:**, in one line."""
    found = re.search(r"\*\*You will learn:\*\*(.*?)(?=\n- |\n\n|\Z)", lesson.cells[0].source, re.DOTALL)
    if found is None:
        raise LessonError(f"{lesson.name}.py: its first cell has no line '- **You will learn:** ...'")
    sentence = " ".join(found[1].split())
    return sentence[0].upper() + sentence[1:]


def functions_page(lessons: Mapping[str, Lesson]) -> str:
    """The Markdown of the index; `lessons` by name, as `read` gives them."""
    parts = [
        "<!-- Made by tutorials/build.py: edit the docstrings and the formula sheet. -->",
        "# Every function, with its formula",
        "Each formula below is on the formula sheet: `python -m minirec verify NAME` compares the function"
        " with a definition in loops, its backward pass with derivatives, and tries its properties. Shapes"
        " stand in the first line of its docstring.",
    ]
    for family, formulas in FAMILIES.items():
        parts.append(f"## {family.replace('_', ' ')}")
        parts += [entry(formula, lessons) for formula in formulas]
    return "\n\n".join(parts) + "\n"


def entry(formula: Formula, lessons: Mapping[str, Lesson]) -> str:
    """One formula: name, meaning, mathematics, docstring, where it comes from, who explains and tests it."""
    function = formula.pair()[0]
    head = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
    file = Path(inspect.getsourcefile(function) or "").resolve().relative_to(ROOT)
    links = [f"[code](../../{file.as_posix()})", f"[test](../../{test_of(file)})"]
    links += [
        f"[{title(lesson)}]({name}.md)" for name, lesson in lessons.items() if mentions(lesson, formula)
    ]
    return "\n\n".join(
        [
            f"### {formula.name}",
            formula.meaning,
            f"```math\n{formula.latex}\n```",
            f"`{formula.ours}`: {head}" if "`" in head else f"`{formula.ours}`: `{head}`",
            f"Source: {formula.source}. {' · '.join(links)}",
        ]
    )


def title(lesson: Lesson) -> str:
    return f"lesson {int(lesson.name[:2])}"


def mentions(lesson: Lesson, formula: Formula) -> bool:
    """Whether the code of a lesson calls a formula, or compares its sides under its name."""
    name = formula.ours.rpartition(".")[2]
    called = re.compile(rf"\b{name}(_forward|_backward)?\b|agree\(\s*\"{re.escape(formula.name)}\"")
    return any(cell.kind == "code" and called.search(cell.source) for cell in lesson.cells)


def test_of(file: Path) -> str:
    """The test file that mirrors a file of the package, or the folder of tests that has it."""
    inside = file.relative_to("minirec")
    mirrored = Path("tests") / inside.parent / f"test_{inside.name}"
    if (ROOT / mirrored).exists():
        return mirrored.as_posix()
    folder = Path("tests") / inside.parent
    return folder.as_posix() if (ROOT / folder).is_dir() else "tests"
