"""A batch of thirty submissions: right, wrong, empty and hostile. Nothing is lost."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from minirec import cli
from minirec.exercises import grading, source
from minirec.exercises.catalogue import EXERCISES

RELU, SOFTMAX = EXERCISES["relu"], EXERCISES["softmax"]
OURS = {e.name: source.module_source(e) for e in (RELU, SOFTMAX)}
STUBS = {e.name: source.stub(e) for e in (RELU, SOFTMAX)}
MOST = RELU.points + SOFTMAX.points
DIAGONAL = OURS["softmax"].replace("p * (dp - reductions.row_sums(p * dp))", "p * (1 - p) * dp")

# What a student hands in, by file, and what it is worth.
KINDS: dict[str, tuple[dict[str, str], int]] = {
    "right": (OURS, MOST),
    "half": ({"relu": OURS["relu"]}, RELU.points),
    "diagonal": ({**OURS, "softmax": DIAGONAL}, RELU.points + 4),
    "stubs": (STUBS, 0),
    "nothing": ({}, 0),
    "empty": ({"relu": "", "softmax": OURS["softmax"]}, SOFTMAX.points),
    "not-python": ({"relu": "def (", "softmax": OURS["softmax"]}, SOFTMAX.points),
    "endless": ({"relu": "while True:\n    pass\n", "softmax": OURS["softmax"]}, SOFTMAX.points),
    "memory": ({"relu": "x = bytearray(10**11)\n", "softmax": OURS["softmax"]}, SOFTMAX.points),
    "exit": ({"relu": "import os\nos._exit(0)\n", "softmax": OURS["softmax"]}, SOFTMAX.points),
    "thief": (
        {**OURS, "relu": "from minirec.functional import relu_backward, relu_forward\n"},
        SOFTMAX.points,
    ),
    "deletes": (
        {**OURS, "relu": f"{OURS['relu']}\nimport pathlib\n"
         "for p in pathlib.Path('.').glob('s*.py'):\n    p.touch()\n"},
        MOST,
    ),
    "control": ({**OURS, "relu": f"{OURS['relu']}\nprint(chr(0), chr(27), '<&>')\n"}, MOST),
    "shouts": ({**OURS, "relu": f"{OURS['relu']}\nfor _ in range(10**5):\n    print('x' * 100)\n"}, MOST),
    "forks": (
        {**OURS, "relu": f"{OURS['relu']}\nimport subprocess, sys\n"
         "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"},
        MOST,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int], list[str]]:
    """The folder of results, what each student ought to have, and the printed lines."""
    folder = tmp_path_factory.mktemp("class")
    expected = {}
    for n in range(30):
        kind = list(KINDS)[n % len(KINDS)]
        files, points = KINDS[kind]
        student = f"{n:02d}-{kind}"
        place = folder / "submissions" / student / ("exercises" if n % 2 else "")
        place.mkdir(parents=True)
        for name, text in files.items():
            (place / f"{name}.py").write_text(text, encoding="utf-8")
        expected[student] = points
    lines = list(
        grading.grade(folder / "submissions", folder, [RELU, SOFTMAX], 5, assignment="week 1", seconds=15)
    )
    return folder, expected, lines


def test_everybody_is_in_grades_csv(graded: tuple[Path, dict[str, int], list[str]]) -> None:
    folder, expected, _ = graded
    with (folder / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["student_id"]: int(row["score"]) for row in rows} == expected
    assert {(row["assignment"], row["max_score"]) for row in rows} == {("week 1", str(MOST))}


def test_a_line_for_each_student(graded: tuple[Path, dict[str, int], list[str]]) -> None:
    _, expected, lines = graded
    assert len(lines) == 31
    assert [line.split()[0] for line in lines[:30]] == sorted(expected)
    by_kind = {line.split()[0][3:]: line for line in lines[:30]}
    assert "too slow" in by_kind["endless"]
    assert "uses the solution" in by_kind["thief"]
    assert "ends the interpreter" in by_kind["exit"]
    assert "too much memory" in by_kind["memory"]


def test_results_of_each_student(graded: tuple[Path, dict[str, int], list[str]]) -> None:
    folder, expected, _ = graded
    for student, points in expected.items():
        content = json.loads((folder / student / "results.json").read_text(encoding="utf-8"))
        assert content["score"] == points == sum(test["score"] for test in content["tests"])
        assert sum(test["max_score"] for test in content["tests"]) == MOST
    text = (folder / "02-diagonal" / "results.json").read_text(encoding="utf-8")
    assert "Only the diagonal of the Jacobian is used" in text
    assert "sha256" in text


def test_junit(graded: tuple[Path, dict[str, int], list[str]]) -> None:
    folder, expected, _ = graded
    root = ElementTree.parse(folder / "junit.xml").getroot()
    assert [suite.get("name") for suite in root] == sorted(expected)
    failures = {suite.get("name"): int(suite.get("failures", "")) for suite in root}
    assert all((failures[student] == 0) == (points == MOST) for student, points in expected.items())


@pytest.mark.parametrize("made", [False, True])
def test_no_submissions(tmp_path: Path, capsys: pytest.CaptureFixture[str], made: bool) -> None:
    folder = tmp_path / "none"
    if made:
        folder.mkdir()
    assert cli.main(["exercise", "grade", str(folder), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert ("has no folder in it" if made else "is not a folder") in said
