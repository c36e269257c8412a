"""A student's file, checked in a fresh interpreter with limits on time and memory."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minirec.exercises.examine import RIGHT, Finding
from minirec.exercises.exercise import Exercise

SECONDS, MEGABYTES = 60.0, 2048
TIME, ENDED, NO_FILE, FAILED = "too slow", "ends the interpreter", "no file", "could not be checked"
PRINTED = 2000  # characters of what the student's code printed that are kept


@dataclass(frozen=True)
class Outcome:
    """What the check of one file found.

    file, sha256  which file it was
    findings      one for each task of the exercise
    remark        what was not enforced on this system
    printed       the end of what the student's code printed
    """

    exercise: Exercise
    file: Path
    sha256: str
    seed: int
    findings: tuple[Finding, ...]
    remark: str = ""
    printed: str = ""

    @property
    def points(self) -> int:
        """Reached."""
        return sum(finding.points for finding in self.findings)

    @property
    def right(self) -> bool:
        """True where all of it is right."""
        return all(finding.status == RIGHT for finding in self.findings)


def check(
    exercise: Exercise,
    file: Path,
    seed: int = 0,
    *,
    seconds: float = SECONDS,
    megabytes: int = MEGABYTES,
) -> Outcome:
    """The outcome of one file. Nothing that its code does ends this process or the batch."""
    if not file.is_file():
        told = f"there is no {file}: `python -m minirec exercise start {exercise.name}` writes it"
        return Outcome(exercise, file, "", seed, _all(exercise, NO_FILE, told))
    sha = hashlib.sha256(file.read_bytes()).hexdigest()
    if sys.platform == "emscripten":  # Python in a browser has no processes
        from minirec.exercises.runner import judge

        remark = "in this process, without limits of time and memory"
        return Outcome(exercise, file, sha, seed, tuple(judge(exercise, file.resolve(), seed)), remark)
    with tempfile.TemporaryDirectory() as folder:
        answer, printed, ended = _run(exercise, file.resolve(), seed, seconds, megabytes, Path(folder))
    if answer is None:
        findings = _all(exercise, *ended)
        return Outcome(exercise, file, sha, seed, findings, "", printed)
    if answer["failure"]:
        told = "minirec itself failed: " + answer["failure"].strip().splitlines()[-1]
        return Outcome(exercise, file, sha, seed, _all(exercise, FAILED, told), "", answer["failure"])
    findings = tuple(Finding(**{**f, "told": tuple(f["told"])}) for f in answer["findings"])
    return Outcome(exercise, file, sha, seed, findings, answer["remark"], printed)


def _run(
    exercise: Exercise, file: Path, seed: int, seconds: float, megabytes: int, folder: Path
) -> tuple[Any, str, tuple[str, str]]:
    """(the runner's answer or None, what was printed, what is said where there is no answer)"""
    result, job, printed = folder / "result.json", folder / "job.json", folder / "printed.txt"
    job.write_text(
        json.dumps(
            {"file": str(file), "exercise": exercise.name, "seed": seed, "megabytes": megabytes,
             "result": str(result)}
        ),
        encoding="utf-8",
    )  # fmt: skip
    # One BLAS thread: each further one reserves memory that counts against the limit.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    command = [sys.executable, "-B", "-m", "minirec.exercises.runner", str(job)]
    with printed.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment,
            start_new_session=sys.platform != "win32", cwd=file.parent,
        )  # fmt: skip
        try:
            code = process.wait(seconds)
            ended = (ENDED, f"{file.name} ended the interpreter (exit code {code}) before the check was done")
        except subprocess.TimeoutExpired:
            ended = (TIME, f"{file.name} took longer than {seconds:g} s: is there a loop without an end?")
        finally:
            _kill(process)
    text = printed.read_bytes()[-PRINTED:].decode("utf-8", "replace").strip()
    if ended[0] == ENDED and result.is_file():
        return json.loads(result.read_text(encoding="utf-8")), text, ended
    return None, text, ended


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The process and what it started."""
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _all(exercise: Exercise, status: str, told: str) -> tuple[Finding, ...]:
    return tuple(Finding(task.function, status, 0, task.points, (told,)) for task in exercise.tasks)
