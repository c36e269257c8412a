"""What a mutation run means: the reviewed list, what is wrong with a run, the figures that are stored."""

import importlib.metadata
import importlib.util
import json
import platform
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mutation.mutants import TOOLS, Mutant
from mutation.runner import PACKAGE, Outcome

SHARE = 0.03  # of the mutants of a group that may be listed as equivalent before it looks like missing tests


class Result(NamedTuple):
    mutant: Mutant
    outcome: Outcome


def group_of(module: str) -> str:
    return module.split("/")[0].removesuffix(".py")


def reviewed(path: Path) -> dict[str, str]:
    """{name: reason} from equivalent.toml. Raises ValueError for an entry without a one-line reason."""
    found: dict[str, str] = {}
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", []):
        names, reason = entry.get("names", []), entry.get("reason", "")
        if not isinstance(reason, str) or not reason.strip() or "\n" in reason.strip():
            raise ValueError(
                f"{path.name}: {', '.join(names) or 'an entry'} needs a reason, one line of mathematics"
            )
        if not names or set(entry) != {"names", "reason"} or set(names) & set(found):
            raise ValueError(f"{path.name}: give `names` that stand nowhere else and a `reason`, not {entry}")
        found |= dict.fromkeys(names, reason)
    return found


def judge(
    results: Sequence[Result], listed: dict[str, str], ran: set[tuple[str, str]], modules: Sequence[str]
) -> list[str]:
    """What is wrong with a run, one line each: unlisted survivors, stale entries, broken or missing runs.

    `ran` holds the (module, tool) pairs of this run; entries for others are not judged.
    """
    wrong = []
    for module, tool in sorted(ran):
        if not any((result.mutant.module, result.mutant.tool) == (module, tool) for result in results):
            wrong.append(f"empty: {tool} makes no mutant of {module}")
    alive = {result.mutant.name for result in results if result.outcome.state == "passed"}
    wrong += [f"broken: {r.mutant.name}: {r.outcome.detail}" for r in results if r.outcome.state == "broken"]
    wrong += [f"survivor that is not listed: {name}" for name in sorted(alive - listed.keys())]
    known = {module.removesuffix(".py").replace("/", "."): module for module in modules}
    for name in sorted(listed.keys() - alive):
        dotted, _, rest = name.partition(":")
        tool = rest.rpartition(":")[0].rpartition(":")[2].partition(".")[0]
        if dotted not in known or tool not in TOOLS or (known[dotted], tool) in ran:
            wrong.append(f"stale entry, no survivor has this name: {name}")
    return wrong


def crowded(results: Sequence[Result], listed: dict[str, str]) -> list[str]:
    """A line for each group of which more than 3 % is listed as equivalent."""
    lines = []
    for group in dict.fromkeys(group_of(result.mutant.module) for result in results):
        own = [result.mutant.name for result in results if group_of(result.mutant.module) == group]
        count = sum(name in listed for name in own)
        if count > SHARE * len(own):
            percent = 100 * count / len(own)
            lines.append(
                f"{group}: {percent:.1f} % of the mutants are listed as equivalent; more than 3 % is too many"
            )
    return lines


def row(results: Sequence[Result], listed: dict[str, str], seconds: float) -> dict[str, Any]:
    """The figures of one module and tool."""
    states = [result.outcome.state for result in results]
    return {
        "killed": states.count("failed") + states.count("timeout"),
        "total": len(states),
        "timeouts": states.count("timeout"),
        "listed": sum(r.outcome.state == "passed" and r.mutant.name in listed for r in results),
        "seconds": round(seconds, 1),
    }


def store(path: Path, rows: dict[str, dict[str, Any]], command: str) -> None:
    """Put the rows into the file of results; the rows of other modules stay as they are."""
    old = json.loads(path.read_text(encoding="utf-8"))["modules"] if path.exists() else {}
    versions = {"python": platform.python_version()}
    for package in (PACKAGE, "numpy", "pytest", "hypothesis", "mutmut"):
        if importlib.util.find_spec(package):
            versions[package] = importlib.metadata.version(package)
    merged = {
        module: old.get(module, {}) | rows.get(module, {}) for module in sorted(old.keys() | rows.keys())
    }
    text = json.dumps({"command": command, "versions": versions, "modules": merged}, indent=2)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
