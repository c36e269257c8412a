"""A lesson: read from its source, run cell by cell, written as a page. Used by build.py.

The source is Python in percent format: `# %% [markdown]` begins text, `# %% caption` a cell of code. What a
cell prints stands below it. A cell that ends with a matplotlib figure shows the figure, and its caption is
what the page says to readers who do not see it. `{expression:.3f}` in text becomes the value.
"""

import ast
import contextlib
import io
import re
import sys
import types
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drawing import svg_with_data
from matplotlib.figure import Figure

MARKER = re.compile(r"^# %%(?: (?P<title>.*))?$")
DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<![\\$])\$((?:[^$\n]|\n(?!\n))+?)\$(?!\$)")
VALUE = re.compile(r"\{\{(.+?)\}\}", re.DOTALL)
# What is not a number of the lesson: code, mathematics, links, sections, file names
NO_PROSE = re.compile(
    r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$(?:[^$\n]|\n(?!\n))+\$|\]\([^)]*\)"
    r"|[Ss]ections?\s+[\d.]+(?:(?:,| and| to) \d[\d.]*)*",
    re.DOTALL,
)
DECIMAL = re.compile(r"(?<![\w.])\d*\.\d+(?![\w.])|\b\d+(?= ?%)")


class LessonError(Exception):
    """Something in a lesson that its author has to mend: where, and what."""


@dataclass
class Cell:
    kind: str  # "text" or "code"
    source: str
    line: int  # of the marker, from 1
    title: str = ""
    output: str = ""
    figure: Figure | None = None


@dataclass
class Lesson:
    name: str  # 04_attention
    cells: list[Cell]
    formulas: int = 0
    twins: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        first = next(cell for cell in self.cells if cell.kind == "text")
        return first.source.splitlines()[0].removeprefix("# ")


def read(path: Path) -> Lesson:
    """The cells of a source, before anything has run."""
    cells: list[Cell] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if marker := MARKER.match(line):
            title = marker["title"] or ""
            kind = "text" if title == "[markdown]" else "code"
            cells.append(Cell(kind, "", number, "" if kind == "text" else title))
        elif cells:
            cells[-1].source += line + "\n"
        elif line.strip():
            raise LessonError(f"{path.name}:{number}: a lesson begins with a line '# %% [markdown]'")
    for cell in cells:
        if cell.kind == "text":
            cell.source = _uncommented(cell, path.name)
        cell.source = cell.source.strip("\n")
    if not cells or cells[0].kind != "text" or not cells[0].source.startswith("# "):
        raise LessonError(f"{path.name}: the first cell is text and begins with '# # Title'")
    return Lesson(path.stem, cells)


def _uncommented(cell: Cell, name: str) -> str:
    lines = []
    for number, line in enumerate(cell.source.splitlines(), cell.line + 1):
        if line.strip() and not line.startswith("#"):
            raise LessonError(f"{name}:{number}: a line of text begins with '# ', got {line!r}")
        lines.append(line[2:] if line.startswith("# ") else line[1:])
    return "\n".join(lines)


def run(lesson: Lesson, path: Path) -> None:
    """Execute the cells in order, in one namespace; warnings are errors."""
    typed: list[tuple[int, str]] = []
    module = types.ModuleType("__main__")
    module.__file__ = str(path)
    sys.modules["__main__"] = module
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cell in lesson.cells:
            try:
                if cell.kind == "code":
                    _execute(cell, path, module.__dict__)
                else:
                    typed += [(cell.line, number) for number in typed_numbers(cell.source)]
                    cell.source = _with_values(cell.source, module.__dict__)
            except Exception as error:
                place = f"{path.name}, the cell in line {cell.line}"
                raise LessonError(f"{place}: {type(error).__name__}: {error}") from error
    printed = " ".join(cell.output for cell in lesson.cells)
    known = set(re.findall(r"[\d.]+", printed)) | set(re.findall(r"[\d.]+", " ".join(_code(lesson))))
    if unknown := [f"{number} (line {line})" for line, number in typed if number not in known]:
        raise LessonError(
            f"{path.name}: no cell gives {', '.join(unknown)}: print it, or write {{{{expression:.2f}}}}"
        )
    lesson.formulas, lesson.twins = _twins(lesson, path.name)


def _code(lesson: Lesson) -> list[str]:
    return [cell.source for cell in lesson.cells if cell.kind == "code"]


def typed_numbers(text: str) -> list[str]:
    """Decimal numbers and percentages that stand in prose as they are: a cell must have them too."""
    return DECIMAL.findall(NO_PROSE.sub(" ", VALUE.sub(" ", text)))


def _execute(cell: Cell, path: Path, names: dict[str, Any]) -> None:
    tree = ast.parse(cell.source)
    ast.increment_lineno(tree, cell.line)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, path, "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), path, "eval"), names)
            if isinstance(value, Figure):
                cell.figure = value
            elif value is not None:
                raise LessonError("a cell ends with a figure or prints; a bare value is not shown")
    cell.output = printed.getvalue().rstrip()
    if cell.figure is not None and not cell.title:
        raise LessonError("a cell with a figure needs a caption: '# %% What the figure shows'")


def _with_values(text: str, names: dict[str, Any]) -> str:
    """Text with {{expression}} and {{expression:format}} replaced by their values."""

    def value(match: re.Match[str]) -> str:
        expression = " ".join(match[1].split())  # it may break across lines
        tree = ast.parse(f"f'''{{{expression}}}'''", mode="eval")
        return str(eval(compile(tree, "<text>", "eval"), names))

    return VALUE.sub(value, text)


def _twins(lesson: Lesson, name: str) -> tuple[int, list[str]]:
    """Every displayed formula is followed by a call agree("name", left, right): how many, and the names."""
    formulas, twins, open_formulas = 0, [], 0
    for cell in lesson.cells:
        if cell.kind == "text":
            shown = len(DISPLAY.findall(cell.source))
            if shown and open_formulas > 0:
                raise LessonError(
                    f"{name}, line {cell.line}: {open_formulas} formula(s) before it have no twin"
                )
            formulas, open_formulas = formulas + shown, open_formulas + shown
        else:
            called = [
                str(node.args[0].value)
                for node in ast.walk(ast.parse(cell.source))
                if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "agree"
                and isinstance(node.args[0], ast.Constant)
            ]
            twins += called
            open_formulas = max(0, open_formulas - len(called))
    if open_formulas > 0:
        raise LessonError(f"{name}: the last {open_formulas} formula(s) have no twin")
    return formulas, twins


def page(lesson: Lesson) -> tuple[str, dict[str, str]]:
    """The Markdown of a lesson that has run, and its figures: {file name: SVG}."""
    parts = [f"<!-- Made from tutorials/{lesson.name}.py by tutorials/build.py: edit the source. -->"]
    figures: dict[str, str] = {}
    for cell in lesson.cells:
        if cell.kind == "text":
            parts.append(mathematics(cell.source))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        if cell.output:
            parts.append(f"```text\n{cell.output}\n```")
        if cell.figure is not None:
            file = f"{lesson.name}-{len(figures) + 1}.svg"
            figures[file] = svg_with_data(cell.figure)
            parts.append(f"![{cell.title}](figures/{file})\n\n*{cell.title}*")
    return "\n\n".join(parts) + "\n", figures


def mathematics(text: str) -> str:
    """$…$ and $$…$$ in the form that survives Markdown: $`…`$ and a block of math."""
    pieces = re.split(r"(```.*?```|`[^`\n]*`)", text, flags=re.DOTALL)  # code is left alone
    for i in range(0, len(pieces), 2):
        pieces[i] = DISPLAY.sub(lambda m: f"```math\n{m[1].strip()}\n```", pieces[i])
        blocks = re.split(r"(```math.*?```)", pieces[i], flags=re.DOTALL)
        blocks[::2] = [INLINE.sub(lambda m: f"$`{m[1]}`$".replace("\n", " "), block) for block in blocks[::2]]
        pieces[i] = "".join(blocks)
    return "".join(pieces)


TOKEN = re.compile(r"[-+]?\d+(?:,\d{3})*(?:\.\d*)?(?:e[-+]?\d+)?|\.\d+|\w+|[^\w\s]")


def tokens(text: str) -> list[tuple[str, int]]:
    """Words, numbers and signs, and the line of each from 0, without regard to white space."""
    return [(m[0], i) for i, line in enumerate(text.split("\n")) for m in TOKEN.finditer(line)]
