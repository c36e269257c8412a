"""The command exercise: list, start, check, hint, solution, run, grade, edition. Called by cli.py."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import Any

from minirec.exercises import edition, grading, progress, report, source, training
from minirec.exercises.catalogue import EXERCISES
from minirec.exercises.check import MEGABYTES, SECONDS, check
from minirec.exercises.exercise import Exercise
from minirec.usage import UsageError, add_command, add_seed, folder_of, whole_number

FOLDER = "exercises"
RUNGS = ("the idea", "the shapes", "the formula", "one line")


def add(commands: Any) -> None:
    """Add the command to the parser of cli.py."""
    parser = add_command(
        commands,
        "exercise",
        run_list,
        "write the functions of minirec yourself, and be told what is wrong with them",
        "exercise list\nexercise start softmax\nexercise check softmax\nexercise hint softmax\n"
        "exercise run softmax\nexercise solution softmax --reveal\nexercise grade submissions --out grades",
    )
    parser.add_argument("--folder", default=FOLDER, metavar="DIR", help=f"of your files (default: {FOLDER})")
    actions = parser.add_subparsers(
        dest="action",
        metavar="ACTION",
        title="actions",
        help="list if none is given; `exercise ACTION --help` says more",
    )

    def action(name: str, run: Any, summary: str, *, names: bool = True) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = actions.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + "."
        )
        sub.set_defaults(run=run, parser=sub)
        sub.add_argument(
            "--folder", default=argparse.SUPPRESS, metavar="DIR", help=f"of your files (default: {FOLDER})"
        )
        if names:
            sub.add_argument("name", metavar="NAME", help="an exercise, as `exercise list` names it")
        return sub

    action("list", run_list, "all exercises: what is done, points, what comes first", names=False)
    start = action("start", run_start, "write the stub of an exercise into your folder")
    start.add_argument("--force", action="store_true", help="also over a file of yours")
    checking = action("check", run_check, "check your file: right or wrong, and what is probably wrong")
    add_seed(checking, "seed of the numbers that are tried")
    checking.add_argument("--seconds", type=whole_number(1), default=int(SECONDS), metavar="N",
                          help=f"how long the check may take (default: {SECONDS:g})")  # fmt: skip
    action(
        "hint", run_hint, "the next step of the ladder of hints: the idea, the shapes, the formula, one line"
    )
    revealing = action("solution", run_solution, "the library's own code, after a try of yours; it is noted")
    revealing.add_argument("--reveal", action="store_true", help="also without a try")
    running = action("run", run_training, "train a small recommender with your function in place of ours")
    running.add_argument("--out", metavar="DIR", help="folder for the figure (default: your folder)")
    add_seed(running, "seed of the training")
    _add_grade(actions, action)
    student = action("edition", run_edition, "write minirec without the solutions, to hand out", names=False)
    student.add_argument("--out", required=True, metavar="DIR", help="a folder that is not there yet")


def _add_grade(actions: Any, action: Any) -> None:
    parser = action("grade", run_grade, "check the files of a whole class", names=False)
    parser.add_argument("submissions", metavar="SUBMISSIONS", help="a folder with a folder for each student")
    parser.add_argument("--out", required=True, metavar="DIR",
                        help="folder for grades.csv, junit.xml and results.json of each student")  # fmt: skip
    parser.add_argument("--exercises", metavar="NAME,...", help="which ones count (default: all)")
    parser.add_argument("--assignment", default="minirec", metavar="NAME", help="its name in grades.csv")
    add_seed(parser, "seed of the numbers that are tried: another one than the students have seen")
    parser.add_argument("--seconds", type=whole_number(1), default=int(SECONDS), metavar="N",
                        help=f"how long one file may take (default: {SECONDS:g})")  # fmt: skip
    parser.add_argument("--megabytes", type=whole_number(256), default=MEGABYTES, metavar="N",
                        help=f"how much memory one file may take (default: {MEGABYTES})")  # fmt: skip


def _exercise(name: str) -> Exercise:
    name = name.removesuffix(".py")
    if name in EXERCISES:
        return EXERCISES[name]
    near = difflib.get_close_matches(name.lower(), EXERCISES, n=3, cutoff=0.5)
    near += [e.name for e in EXERCISES.values() if name in e.functions]
    meant = f": did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
    raise UsageError(f"there is no exercise {name!r}{meant} `exercise list` shows all")


def _folder(options: argparse.Namespace) -> Path:
    return Path(options.folder)


def _file(options: argparse.Namespace, exercise: Exercise) -> Path:
    return _folder(options) / f"{exercise.name}.py"


def run_list(options: argparse.Namespace) -> None:
    done = progress.read(_folder(options))
    width = max(len(name) for name in EXERCISES)
    reached = sum(entry.get("points", 0) for name, entry in done.items() if name in EXERCISES)
    for exercise in EXERCISES.values():
        entry = done.get(exercise.name, {})
        points = f"{entry.get('points', 0)}/{exercise.points}"
        missing = [n for n in exercise.after if done.get(n, {}).get("points", 0) < EXERCISES[n].points]
        after = f"  after {', '.join(missing)}" if missing else ""
        print(f"{exercise.name:<{width}}  {_status(exercise, entry):<12}{points:>6}  {exercise.title}{after}")
    total = sum(exercise.points for exercise in EXERCISES.values())
    print(f"{reached} of {total} points. Next: {_next(done)}")


def _status(exercise: Exercise, entry: dict[str, Any]) -> str:
    if entry.get("revealed") and entry["points"] < exercise.points:
        return "revealed"
    if entry.get("points", 0) == exercise.points:
        return "done"
    statuses = set(entry.get("statuses", ()))
    return "begun" if statuses and statuses != {"not started"} else "not started"


def _next(done: dict[str, dict[str, Any]]) -> str:
    for exercise in EXERCISES.values():
        if done.get(exercise.name, {}).get("points", 0) < exercise.points:
            command = "check" if exercise.name in done else "start"
            return f"python -m minirec exercise {command} {exercise.name}"
    return "nothing, all of them are done"


def run_start(options: argparse.Namespace) -> None:
    exercise = _exercise(options.name)
    file = _file(options, exercise)
    if file.exists() and not options.force:
        raise UsageError(f"{file} is there already: --force writes a new stub over it")
    folder_of(options.folder, "--folder")
    stub = source.stub(exercise)
    file.write_text(stub, encoding="utf-8")
    progress.note(_folder(options), exercise.name)
    tests = _folder(options) / "test_exercises.py"
    if not tests.exists():
        tests.write_text(grading.PYTEST, encoding="utf-8")
    print(f"Wrote {file}: {exercise.title}, {exercise.points} points.")
    for task in exercise.tasks:
        print(f"  {task.function}, {task.points} points")
    missing = [n for n in exercise.after if progress.read(_folder(options)).get(n, {}).get("points", 0) == 0]
    if missing:
        print(f"It is easier after {', '.join(missing)}.")
    print(f"The formula is derived in tutorials/pages/{exercise.lesson}.md.")
    print(f"Then: python -m minirec exercise check {exercise.name}")


def run_check(options: argparse.Namespace) -> int:
    exercise = _exercise(options.name)
    file = _file(options, exercise)
    if not file.is_file():
        raise UsageError(
            f"there is no {file}: write it with `python -m minirec exercise start {exercise.name}`"
        )
    outcome = check(exercise, file, options.seed, seconds=options.seconds)
    progress.note_check(_folder(options), outcome)
    print(report.text(outcome))
    return 0 if outcome.right else 1


def run_hint(options: argparse.Namespace) -> None:
    exercise = _exercise(options.name)
    seen = progress.read(_folder(options)).get(exercise.name, {}).get("hints", 0)
    shown = min(seen + 1, len(exercise.hints))
    for i in range(shown):
        print(f"{i + 1}. {RUNGS[i]}: {exercise.hints[i]}")
    progress.note(_folder(options), exercise.name, hints=shown)
    if shown < len(exercise.hints):
        print(f"({len(exercise.hints) - shown} more: ask again)")
    else:
        print(f"(That was the last one. `exercise solution {exercise.name}` shows the library's code.)")


def run_solution(options: argparse.Namespace) -> None:
    exercise = _exercise(options.name)
    entry = progress.read(_folder(options)).get(exercise.name, {})
    if not entry.get("tries") and not options.reveal:
        raise UsageError(
            f"no try of yours was checked yet: `exercise check {exercise.name}` first, or add --reveal"
        )
    text = source.shown(exercise)
    progress.note(_folder(options), exercise.name, revealed=True)
    print(text)


def run_training(options: argparse.Namespace) -> None:
    exercise = _exercise(options.name)
    file = _file(options, exercise)
    if not file.is_file():
        raise UsageError(
            f"there is no {file}: write it with `python -m minirec exercise start {exercise.name}`"
        )
    outcome = check(exercise, file)
    progress.note_check(_folder(options), outcome)
    if not outcome.right:
        print(report.text(outcome))
        raise UsageError(f"{file} is not right yet: train with it when the check passes")
    folder = folder_of(options.out or options.folder, "--out" if options.out else "--folder")
    for line in training.run(exercise, file, folder, options.seed):
        print(line, flush=True)


def run_grade(options: argparse.Namespace) -> None:
    chosen = [_exercise(n.strip()) for n in options.exercises.split(",")] if options.exercises else None
    for line in grading.grade(
        Path(options.submissions), folder_of(options.out), chosen or list(EXERCISES.values()), options.seed,
        assignment=options.assignment, seconds=options.seconds, megabytes=options.megabytes,
    ):  # fmt: skip
        print(line, flush=True)


def run_edition(options: argparse.Namespace) -> None:
    for line in edition.write(Path(options.out)):
        print(line)
