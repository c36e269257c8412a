"""The command `exercise`, from `list` to `run`, as a student types it, mistakes included."""

import json
from pathlib import Path

import pytest

from minirec import cli
from minirec.exercises import source
from minirec.exercises.catalogue import EXERCISES

RELU = EXERCISES["relu"]
OURS = source.module_source(RELU)


@pytest.fixture
def student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "exercises" / "relu.py"


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert cli.main(["exercise", *arguments]) == code
    captured = capsys.readouterr()
    return captured.err if code == 2 else captured.out


def test_from_list_to_run(student: Path, capsys: pytest.CaptureFixture[str]) -> None:
    total = sum(exercise.points for exercise in EXERCISES.values())
    first = said(capsys, "list")
    assert f"0 of {total} points. Next: python -m minirec exercise start linear" in first
    assert len(first.splitlines()) == len(EXERCISES) + 1

    assert "relu_backward, 2 points" in said(capsys, "start", "relu")
    assert "is there already: --force" in said(capsys, "start", "relu", code=2)
    assert "0 of 3 points" in said(capsys, "check", "relu", code=1)
    assert "begun" not in said(capsys, "list")

    student.write_text(OURS.replace("dy * cache.positive", "dy.copy()"), encoding="utf-8")
    wrong = said(capsys, "check", "relu", code=1)
    assert "cause     dy is passed on everywhere" in wrong
    assert "right is  dx = dy · 1[x > 0]" in wrong
    assert "1 of 3 points" in wrong
    assert "begun" in said(capsys, "list")
    assert "is not right yet" in said(capsys, "run", "relu", code=2)

    ladder = [said(capsys, "hint", "relu") for _ in range(4)]
    assert [text.count("\n") for text in ladder] == [2, 3, 4, 5]
    assert RELU.hints[3] in ladder[3]
    assert RELU.hints[3] not in ladder[2]

    student.write_text(OURS, encoding="utf-8")
    assert "Right: 3 points" in said(capsys, "check", "relu", "--seed", "7")
    trained = said(capsys, "run", "relu")
    assert "differ by at most 0:" in trained
    assert "relu_backward" in trained
    assert (student.parent / "relu-run.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert f"3 of {total} points" in said(capsys, "list")
    assert "def relu_backward" in said(capsys, "solution", "relu")


def test_a_solution_before_a_try_is_noted(student: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "start", "relu")
    assert "no try of yours was checked yet" in said(capsys, "solution", "relu", code=2)
    assert "return dy * cache.positive" in said(capsys, "solution", "relu", "--reveal")
    assert "revealed" in said(capsys, "list")
    noted = json.loads((student.parent / "progress.json").read_text(encoding="utf-8"))
    assert noted["relu"]["revealed"] is True


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("check", "softmx"), "did you mean softmax"),
        (("start", "layer_norm_backward"), "did you mean layer_norm"),
        (("check", "relu"), "write it with `python -m minirec exercise start relu`"),
        (("run", "relu"), "write it with `python -m minirec exercise start relu`"),
        (("check", "relu", "--seed", "x"), "must be a whole number from 0 up"),
        (("check",), "the following arguments are required: NAME"),
    ],
)
def test_wrong_input(
    student: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    text = said(capsys, *arguments, code=2)
    assert told in text
    assert text.count("\n") == 1


def test_damaged_progress(student: Path, capsys: pytest.CaptureFixture[str]) -> None:
    student.parent.mkdir()
    (student.parent / "progress.json").write_text("[]", encoding="utf-8")
    assert "is damaged (not a table of exercises): delete it" in said(capsys, "list", code=2)


def test_pytest_is_a_second_door(student: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "start", "relu")
    door = student.parent / "test_exercises.py"
    assert pytest.main(["-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(door)]) == 0  # skipped
    student.write_text(OURS.replace("dy * cache.positive", "dy.copy()"), encoding="utf-8")
    capsys.readouterr()
    assert pytest.main(["-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(door)]) == 1
    assert "dy is passed on everywhere" in capsys.readouterr().out
