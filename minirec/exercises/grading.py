"""A whole class at once: every file of every student is checked, and none of them stops the rest.

Written are grades.csv with nbgrader's columns, results.json for each student in Gradescope's form, and
junit.xml.
"""

import csv
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from minirec.exercises import report
from minirec.exercises.check import MEGABYTES, NO_FILE, SECONDS, Outcome, check
from minirec.exercises.exercise import Exercise

COLUMNS = (
    "assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email", "raw_score",
    "late_submission_penalty", "score", "max_score",
)  # fmt: skip


def grade(
    submissions: Path,
    out: Path,
    exercises: Sequence[Exercise],
    seed: int = 0,
    *,
    assignment: str = "minirec",
    seconds: float = SECONDS,
    megabytes: int = MEGABYTES,
) -> Iterator[str]:
    """Check SUBMISSIONS/STUDENT/NAME.py (or .../exercises/NAME.py) for every student and exercise.

    Yields a line for each student, and a last one. Raises ValueError where there is no folder of a student.
    """
    if not submissions.is_dir():
        raise ValueError(f"{submissions} is not a folder: give one with a folder for each student")
    students = sorted(p for p in submissions.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    if not students:
        raise ValueError(
            f"{submissions} has no folder in it: each student's files belong in one of their own"
        )
    most = sum(exercise.points for exercise in exercises)
    table: dict[str, list[Outcome]] = {}
    width = max(len(student.name) for student in students)

    def outcome(job: tuple[Path, Exercise]) -> Outcome:
        student, exercise = job
        return check(exercise, file_of(student, exercise), seed, seconds=seconds, megabytes=megabytes)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(outcome, [(s, e) for s in students for e in exercises])
        for student in students:
            table[student.name] = [next(outcomes) for _ in exercises]
            yield _line(student.name, table[student.name], most, width)
    _write_csv(out / "grades.csv", table, assignment, most)
    _write_junit(out / "junit.xml", table, assignment)
    for student_name, of_student in table.items():
        _write_gradescope(out / student_name / "results.json", of_student)
    yield (
        f"{len(students)} students, {len(exercises)} exercises, seed {seed}: wrote {out / 'grades.csv'}, "
        f"{out / 'junit.xml'} and a results.json for each student"
    )


def file_of(student: Path, exercise: Exercise) -> Path:
    """Where this student's file is, or would be."""
    inner = student / "exercises" / f"{exercise.name}.py"
    return inner if inner.is_file() else student / f"{exercise.name}.py"


def _line(student: str, outcomes: Sequence[Outcome], most: int, width: int) -> str:
    points = sum(outcome.points for outcome in outcomes)
    counts: dict[str, int] = {}
    for outcome in outcomes:
        for finding in outcome.findings:
            counts[finding.status] = counts.get(finding.status, 0) + 1
    return f"{student:<{width}} {points:4} of {most}   " + ", ".join(f"{n} {s}" for s, n in counts.items())


def _write_csv(path: Path, table: dict[str, list[Outcome]], assignment: str, most: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for student, outcomes in table.items():
            points = sum(outcome.points for outcome in outcomes)
            writer.writerow(
                dict.fromkeys(COLUMNS, "")
                | {"assignment": assignment, "student_id": student, "raw_score": points,
                   "late_submission_penalty": 0, "score": points, "max_score": most}
            )  # fmt: skip


def _write_gradescope(path: Path, outcomes: Sequence[Outcome]) -> None:
    tests: list[dict[str, Any]] = []
    for outcome in outcomes:
        for finding in outcome.findings:
            tests.append(
                {"name": f"{outcome.exercise.name}: {finding.function}", "score": finding.points,
                 "max_score": finding.of, "status": "passed" if finding.status == "right" else "failed"}
            )  # fmt: skip
        tests[-1]["output"] = report.text(outcome)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"score": sum(outcome.points for outcome in outcomes), "tests": tests}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_junit(path: Path, table: dict[str, list[Outcome]], assignment: str) -> None:
    root = ElementTree.Element("testsuites", name=assignment)
    for student, outcomes in table.items():
        findings = [(o, f) for o in outcomes for f in o.findings]
        wrong = sum(f.status != "right" for _, f in findings)
        suite = ElementTree.SubElement(
            root, "testsuite", name=student, tests=str(len(findings)), failures=str(wrong)
        )
        for outcome, finding in findings:
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"{student}.{outcome.exercise.name}", name=finding.function
            )
            if finding.status != "right":
                kind = "missing" if finding.status == NO_FILE else finding.status
                failure = ElementTree.SubElement(case, "failure", message=kind)
                failure.text = _xml_text(report.text(outcome))
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _xml_text(text: str) -> str:
    """Without the control characters that XML has no place for: what a student's code prints may hold any."""
    return "".join(c for c in text if c in "\n\t" or ord(c) >= 32)


PYTEST = '''"""`pytest exercises/` checks every exercise in this folder that was begun."""

from pathlib import Path

import pytest

from minirec.exercises import report
from minirec.exercises.catalogue import EXERCISES
from minirec.exercises.check import check

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", [name for name in EXERCISES if (HERE / f"{name}.py").exists()])
def test_exercise(name):
    outcome = check(EXERCISES[name], HERE / f"{name}.py")
    if all(finding.status == "not started" for finding in outcome.findings):
        pytest.skip("not started")
    assert outcome.right, "\\n" + report.text(outcome)
'''
