"""What a student has done so far, in the folder of their files: exercises/progress.json."""

import json
from pathlib import Path
from typing import Any

from minirec.exercises.check import Outcome

NAME = "progress.json"


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """{exercise: {"points", "statuses", "tries", "hints", "revealed"}}; empty where nothing was done.

    Raises ValueError for a file that is not ours.
    """
    path = folder / NAME
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
            raise ValueError("not a table of exercises")
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}): delete it, only the list of what is done is lost"
        ) from error
    return content


def note(folder: Path, exercise: str, **facts: Any) -> dict[str, Any]:
    """Change what is known of one exercise; returns it."""
    content = read(folder)
    entry = {"points": 0, "statuses": [], "tries": 0, "hints": 0, "revealed": False} | content.get(
        exercise, {}
    )
    content[exercise] = entry | facts
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content[exercise]


def note_check(folder: Path, outcome: Outcome) -> None:
    """Keep the outcome of a check."""
    tries = read(folder).get(outcome.exercise.name, {}).get("tries", 0)
    started = any(f.status != "not started" for f in outcome.findings)
    note(
        folder, outcome.exercise.name, points=outcome.points, tries=tries + started,
        statuses=[finding.status for finding in outcome.findings],
    )  # fmt: skip
