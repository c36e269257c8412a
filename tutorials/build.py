"""Build the pages of the lessons from their sources, or check that they are what the sources give now.

    python tutorials/build.py                 every page and its figures, the map and the index of functions
    python tutorials/build.py 04_attention    one lesson
    python tutorials/build.py --check         execute again; exit code 1 where a page or a figure is stale

A page is compared word by word, and the numbers that cells print with a tolerance of the last digit; figures
by the data that they show. Two builds on one machine give the same bytes.
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

from drawing import difference
from index import functions_page, with_map
from lesson import LessonError, page, read, run, tokens

TUTORIALS = Path(__file__).resolve().parent
PAGES = TUTORIALS / "pages"
OUTPUT = re.compile(r"(```text\n.*?\n```)", re.DOTALL)


class Built(NamedTuple):
    name: str
    title: str
    text: str
    figures: dict[str, str]
    formulas: int
    twins: list[str]
    seconds: float
    error: str = ""


def build(name: str) -> Built:
    """Run one lesson, in a process of its own."""
    began = time.perf_counter()
    path = TUTORIALS / f"{name}.py"
    try:
        lesson = read(path)
        run(lesson, path)
        text, figures = page(lesson)
    except LessonError as error:
        return Built(name, "", "", {}, 0, [], time.perf_counter() - began, str(error))
    seconds = time.perf_counter() - began
    return Built(name, lesson.title, text, figures, lesson.formulas, lesson.twins, seconds)


def stale(committed: str, fresh: str) -> str | None:
    """Where two pages differ, in words: outputs up to the last digit of a number, all else word by word."""
    old_parts, new_parts = OUTPUT.split(committed), OUTPUT.split(fresh)
    line = 1
    for old, new in zip(old_parts, new_parts, strict=False):
        found, now = tokens(old), tokens(new)
        olds, news = ([word for word, _ in words] for words in (found, now))
        same = equal if old.startswith("```text") and new.startswith("```text") else str.__eq__
        if len(olds) != len(news) or not all(map(same, olds, news)):
            pairs = enumerate(zip(olds, news, strict=False))
            at = next((i for i, pair in pairs if not same(*pair)), min(len(olds), len(news)))
            line += found[at][1] if at < len(found) else old.count("\n")
            around = slice(max(0, at - 3), at + 4)
            return f"line {line}: {' '.join(olds[around])!r} on the page, {' '.join(news[around])!r} now"
        line += old.count("\n")
    return None if len(old_parts) == len(new_parts) else "it has more or fewer outputs than the lesson"


def equal(a: str, b: str) -> bool:
    """Whether two words of an output are equal: numbers of four digits may differ in the last."""
    if a == b:
        return True
    try:
        x, y = float(a.replace(",", "")), float(b.replace(",", ""))
    except ValueError:
        return False
    if max(abs(x), abs(y)) < 1e-10:
        return True  # rounding errors are those of the machine
    mantissa, _, exponent = a.lower().partition("e")
    digits = len(re.sub(r"\D", "", mantissa).lstrip("0"))
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return digits >= 4 and abs(x - y) <= 1.01 * unit


def lessons() -> list[str]:
    return sorted(path.stem for path in TUTORIALS.glob("[0-9][0-9]_*.py"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lesson", nargs="*", help="such as 04_attention (default: all)")
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed pages, write nothing"
    )
    parser.add_argument("--jobs", type=int, default=2, help="lessons at a time (default: 2)")
    options = parser.parse_args()
    if unknown := [name for name in options.lesson if name not in lessons()]:
        parser.error(f"there is no lesson {unknown[0]!r}: there are {', '.join(lessons())}")
    chosen = options.lesson or lessons()
    for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[threads] = "1"  # sums in the same order everywhere; lessons run side by side
    began = time.perf_counter()
    wrong: list[str] = []
    built: list[Built] = []
    with concurrent.futures.ProcessPoolExecutor(
        options.jobs, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        for done in pool.map(build, chosen):
            built.append(done)
            wrong += [f"{done.name}: {done.error}"] if done.error else []
            if not done.error:
                wrong += check(done) if options.check else write(done)
            print(
                f"{done.name}: {done.formulas} formulas, {len(done.twins)} twins, {done.seconds:.1f} s",
                flush=True,
            )
    if not options.lesson:
        wrong += contents(check_only=options.check)
    total = sum(done.formulas for done in built), sum(len(done.twins) for done in built)
    print(f"{len(built)} lessons, {total[0]} formulas, {total[1]} twins, {time.perf_counter() - began:.0f} s")
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    return 1 if wrong else 0


def write(done: Built) -> list[str]:
    (PAGES / "figures").mkdir(parents=True, exist_ok=True)
    (PAGES / f"{done.name}.md").write_text(done.text, encoding="utf-8", newline="\n")
    for old in (PAGES / "figures").glob(f"{done.name}-*.svg"):
        old.unlink()
    for file, text in done.figures.items():
        (PAGES / "figures" / file).write_text(text, encoding="utf-8", newline="\n")
    return []


def check(done: Built) -> list[str]:
    again = f"python tutorials/build.py {done.name}"
    committed = PAGES / f"{done.name}.md"
    if not committed.exists():
        return [f"{done.name}: it has no page yet: {again}"]
    wrong = []
    if found := stale(committed.read_text(encoding="utf-8"), done.text):
        wrong.append(f"pages/{done.name}.md is stale, {found}. {again} makes it anew")
    there = {path.name for path in (PAGES / "figures").glob(f"{done.name}-*.svg")}
    for file in sorted(there | set(done.figures)):
        if file not in there or file not in done.figures:
            wrong.append(
                f"pages/figures/{file} is {'missing' if file not in there else 'not in the lesson'}: {again}"
            )
        elif found := difference((PAGES / "figures" / file).read_text(encoding="utf-8"), done.figures[file]):
            wrong.append(f"pages/figures/{file} is stale, {found}. {again} makes it anew")
    return wrong


def contents(check_only: bool) -> list[str]:
    """The index of functions and the map of the README, made from the sources of all lessons."""
    sources = {name: read(TUTORIALS / f"{name}.py") for name in lessons()}
    readme = (TUTORIALS / "README.md").read_text(encoding="utf-8")
    wrong = []
    for path, text in (
        (PAGES / "functions.md", functions_page(sources)),
        (TUTORIALS / "README.md", with_map(readme, sources)),
    ):
        if not check_only:
            path.write_text(text, encoding="utf-8", newline="\n")
        elif found := stale(path.read_text(encoding="utf-8") if path.exists() else "", text):
            wrong.append(f"{path.name} is stale, {found}. python tutorials/build.py makes it anew")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
