"""The student edition: no solution is left in it, and its checks work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minirec.exercises import edition, source
from minirec.exercises.catalogue import EXERCISES

SOFTMAX = EXERCISES["softmax"]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edition") / "minirec-student"
    line = next(edition.write(folder))
    assert "none is left" in line
    return folder


def exercise(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "minirec", "exercise", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_nothing_is_left(student: Path) -> None:
    assert edition.solutions_in(student) == []
    text = "".join(path.read_text(encoding="utf-8") for path in student.rglob("*.py"))
    files = (student / "minirec" / "exercises" / "catalogue").glob("*.py")
    catalogue = "".join(path.read_text(encoding="utf-8") for path in files)
    for one in EXERCISES.values():
        assert one.hints[2] in text or one.hints[2][:30] in text
        for mistake in one.mistakes:
            assert mistake.cause not in text
            piece = mistake.old  # of the solution
            assert len(piece) < 20 or piece in "".join(one.hints[:3]) or repr(piece)[1:-1] not in catalogue


def test_a_solution_that_is_left_is_found(student: Path, tmp_path: Path) -> None:
    (tmp_path / "left.py").write_text(source.shown(SOFTMAX), encoding="utf-8")
    assert [line.split(": ")[1] for line in edition.solutions_in(tmp_path)] == [
        "the body of softmax_forward",
        "the body of softmax_backward",
    ]


def test_not_over_a_folder_with_files(student: Path) -> None:
    with pytest.raises(ValueError, match="is not empty"):
        next(edition.write(student))


def test_checks_work(student: Path) -> None:
    assert exercise(student, "start", "softmax").returncode == 0
    file = student / "exercises" / "softmax.py"
    assert "not started" in exercise(student, "check", "softmax").stdout
    file.write_text(source.module_source(SOFTMAX), encoding="utf-8")
    done = exercise(student, "check", "softmax")
    assert "Right: 10 points" in done.stdout, done.stdout + done.stderr
    wrong = source.module_source(SOFTMAX).replace("return p * (dp", "return -p * (dp")
    file.write_text(wrong, encoding="utf-8")
    found = exercise(student, "check", "softmax")
    assert found.returncode == 1
    assert "-1 times the right one" in found.stdout


def test_what_is_missing_is_said_and_taken_from_the_student(student: Path) -> None:
    block = EXERCISES["encoder_block"]
    needed = ["residual", "heads", "attention", "layer_norm", "dropout", "linear", "relu", "softmax", "masks"]
    folder = student / "exercises"
    folder.mkdir(exist_ok=True)
    (folder / "encoder_block.py").write_text(source.module_source(block), encoding="utf-8")
    assert "waits for others" in exercise(student, "check", "encoder_block").stdout
    for name in needed:
        (folder / f"{name}.py").write_text(source.module_source(EXERCISES[name]), encoding="utf-8")
    done = exercise(student, "check", "encoder_block")
    assert "Right" in done.stdout, done.stdout + done.stderr
