"""An outcome as a student reads it."""

import textwrap
from collections.abc import Iterator

from minirec.exercises.check import Outcome
from minirec.exercises.examine import RIGHT, WRONG, Finding

WIDTH = 96


def text(outcome: Outcome) -> str:
    """Which file, then each function: its status, what was seen, the likely cause, and what to do next."""
    name = outcome.exercise.name
    lines = [f"{outcome.file} (sha256 {outcome.sha256[:12]}), seed {outcome.seed}"]
    for finding in outcome.findings:
        lines += _lines(finding)
    if outcome.printed:
        lines += ["Your code printed:", *textwrap.indent(outcome.printed, "  | ").splitlines()]
    if outcome.remark:
        lines.append(f"Note: {outcome.remark}.")
    if outcome.right:
        lines.append(
            f"Right: {outcome.points} points. Now train with it: python -m minirec exercise run {name}"
        )
    else:
        lines.append(f"{outcome.points} of {outcome.exercise.points} points.")
        lines.append(f"A hint: python -m minirec exercise hint {name}")
    return "\n".join(lines)


def _lines(finding: Finding) -> Iterator[str]:
    where = f" (tried at {finding.places} places)" if finding.status == RIGHT else ""
    yield f"{finding.function}: {finding.status}{where}"
    rows = [("seen", told) for told in finding.told]
    if finding.cause:
        rows.append(("cause" if finding.sure else "perhaps", finding.cause))
    elif finding.status == WRONG:
        rows.append(("cause", "not recognized"))
    if finding.line:
        rows.append(("right is", finding.line))
    for head, told in rows:
        wrapped = textwrap.wrap(told, WIDTH) or [""]
        yield f"  {head:<9} {wrapped[0]}"
        yield from (f"  {'':<9} {line}" for line in wrapped[1:])
