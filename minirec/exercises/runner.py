"""The process in which a student's file runs: `python -m minirec.exercises.runner JOB`.

JOB is a JSON file: {"file", "exercise", "seed", "megabytes", "result"}. The findings are written to `result`;
where the student's code ends the process, nothing is written, and check.py says so.
"""

import contextlib
import importlib
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from minirec.exercises import source
from minirec.exercises.catalogue import EXERCISES
from minirec.exercises.examine import MISSING, RAISES, Finding, examine, substituted
from minirec.exercises.exercise import Exercise
from minirec.verify import userfile
from minirec.verify.userfile import UserFileError

SOLUTION = "uses the solution"
EMPTY, UNREADABLE, ENDED, MEMORY = "empty", "cannot be read", "ends the interpreter", "too much memory"
FILE_LIMIT = 50_000_000  # bytes that a student's code may write into one file


class SolutionUsed(Exception):
    """The student's code called, or read, the function that it is to write."""


class Watch:
    """Notices when code of the student's file calls a function of the library, or opens its source."""

    def __init__(self, path: Path) -> None:
        self.path, self.seen = str(path), ""

    def student_is_running(self) -> bool:
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == self.path:
                return True
            frame = frame.f_back  # type: ignore[assignment]
        return False

    def notice(self, what: str) -> None:
        self.seen = self.seen or what
        raise SolutionUsed(what)

    def trap(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        """The library's function, which must not be called by the student's."""

        def call(*args: Any, **options: Any) -> Any:
            if self.student_is_running():
                self.notice(f"calls minirec's own {name}")
            return original(*args, **options)

        call.__name__, call.__module__ = name, original.__module__
        call.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
        return call

    def audit(self, sources: set[str]) -> None:
        """From now on opening one of these files from the student's code is noticed."""

        def hook(event: str, args: tuple[Any, ...]) -> None:
            if (
                event == "open"
                and isinstance(args[0], str)
                and args[0] in sources
                and self.student_is_running()
            ):
                self.notice(f"opens minirec's {Path(args[0]).name}")

        sys.addaudithook(hook)


def judge(exercise: Exercise, path: Path, seed: int) -> list[Finding]:
    """The findings about a file, in this process."""
    watch = Watch(path)
    try:
        findings = _judged(exercise, path, seed, watch)
    except SolutionUsed:
        findings = []
    if watch.seen:
        return _all(exercise, SOLUTION, f"{path.name} {watch.seen}: write it yourself")
    return findings


def _judged(exercise: Exercise, path: Path, seed: int, watch: Watch) -> list[Finding]:
    if not path.read_bytes().strip():
        return _all(
            exercise, EMPTY, f"{path.name} is empty: `exercise start {exercise.name}` writes a new stub"
        )
    watch.audit({str(source.path_of(exercise))})
    with others(exercise, path.parent), traps(exercise, watch):
        try:
            module = userfile.imported(path.name, path)
        except UserFileError as error:
            if isinstance(error.__cause__, SystemExit):
                return _all(exercise, ENDED, str(error))
            if isinstance(error.__cause__, MemoryError):
                return _all(exercise, MEMORY, str(error))
            return _all(exercise, UNREADABLE, str(error))
        functions = {name: getattr(module, name) for name in exercise.functions if hasattr(module, name)}
        for name, function in functions.items():
            if function_is_foreign(function, path):
                if getattr(function, "__module__", "").startswith("minirec"):
                    watch.notice(f"takes minirec's own {name}")
                told = f"{path.name}: {name} is not a function written in this file"
                return _all(exercise, MISSING, told)
        findings = examine(exercise, functions, seed, path)
    return [_ended(f) for f in findings]


def _ended(finding: Finding) -> Finding:
    """SystemExit, as a status of its own."""
    if finding.status == RAISES and ": SystemExit" in "".join(finding.told):
        return Finding(**{**asdict(finding), "status": ENDED})
    if finding.status == RAISES and ": MemoryError" in "".join(finding.told):
        return Finding(**{**asdict(finding), "status": MEMORY})
    return finding


def function_is_foreign(function: Any, path: Path) -> bool:
    """True for anything but a plain function whose code stands in this file."""
    code: CodeType | None = getattr(function, "__code__", None)
    return not isinstance(function, FunctionType) or code is None or code.co_filename != str(path)


@contextlib.contextmanager
def traps(exercise: Exercise, watch: Watch) -> Iterator[None]:
    """The library's functions of the exercise, replaced by ones that the student's code must not call."""
    module = importlib.import_module(exercise.module)
    with substituted(
        exercise, {name: watch.trap(name, getattr(module, name)) for name in exercise.functions}
    ):
        yield


@contextlib.contextmanager
def others(exercise: Exercise, folder: Path) -> Iterator[None]:
    """Where the library has no body for other exercises: the student's own, from the same folder."""
    with contextlib.ExitStack() as stack:
        for other in EXERCISES.values():
            file = folder / f"{other.name}.py"
            if other is exercise or not file.is_file() or not source.is_stub(other):
                continue
            with contextlib.suppress(UserFileError):
                module = userfile.imported(file.name, file)
                mine = {n: getattr(module, n) for n in other.functions if hasattr(module, n)}
                stack.enter_context(substituted(other, mine))
        yield


def _all(exercise: Exercise, status: str, told: str) -> list[Finding]:
    return [Finding(task.function, status, 0, task.points, (told,)) for task in exercise.tasks]


def limit_memory(megabytes: int) -> str:
    """Bound the memory and the files of this process; what could not be bounded is said in the answer."""
    try:
        import resource
    except ImportError:
        return "memory is not limited on this system"
    size = megabytes * 2**20
    try:
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))
    except (ValueError, OSError) as error:
        return f"memory is not limited on this system ({error})"
    return ""


def main() -> None:
    job = json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8"))
    exercise, path = EXERCISES[job["exercise"]], Path(job["file"])
    for each in EXERCISES.values():
        importlib.import_module(each.module)
    failure = ""
    remark = limit_memory(job["megabytes"])
    try:
        findings = judge(exercise, path, job["seed"])
    except MemoryError:
        findings = _all(exercise, MEMORY, f"{path.name} asked for more than {job['megabytes']} MB")
    except Exception:  # of minirec itself, and nobody's mark may hang on it
        findings, failure = [], traceback.format_exc()
    content = json.dumps({"findings": [asdict(f) for f in findings], "remark": remark, "failure": failure})
    temporary = Path(job["result"] + ".part")
    temporary.write_text(content, encoding="utf-8")
    os.replace(temporary, job["result"])


if __name__ == "__main__":
    main()
