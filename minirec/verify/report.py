"""What a check found: one row per check, the largest error, and the entry where it is worst.

Printed as text; `Report.ok` and `Report.error` are what a program asks for.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Check(NamedTuple):
    """One row. `value` is the measured figure and `limit` what was allowed; None where there is no figure."""

    name: str
    ok: bool
    value: float | None = None
    limit: float | None = None
    detail: str = ""


class Worst(NamedTuple):
    """Where backward and the reference differ most: ∂y[output] / ∂argument[entry].

    `output` is None where only a direction was tried: then both numbers are derivatives along a
    random direction of this argument, `entry` is empty, and `along` is True.
    """

    argument: str
    entry: tuple[int, ...]
    output: tuple[int, ...] | None
    backward: float
    reference: float
    along: bool = False


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    title    what was checked
    checks   the rows, in the order in which they were made
    error    the largest relative error of the gradient; inf where it could not be measured
    worst    the entry with that error, or None
    zero     names of the arguments whose gradient was declared to be zero
    """

    title: str
    checks: tuple[Check, ...]
    error: float = float("inf")
    worst: Worst | None = None
    zero: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True when there are checks and all of them passed."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The rows that failed."""
        return tuple(check for check in self.checks if not check.ok)

    def __bool__(self) -> bool:
        return self.ok  # so that `assert check_gradient(...)` cannot pass by accident

    def __str__(self) -> str:
        head = "ok" if self.ok else f"{len(self.failures)} of {len(self.checks)} checks FAILED"
        lines = [f"{self.title}: {head}, largest relative error {self.error:.1e}"]
        lines += [_row(check) for check in self.checks]
        if self.zero:
            lines.append(f"  declared zero: {', '.join(self.zero)}")
        if self.worst is not None:
            lines.append(f"  worst entry: {_place(self.worst)}")
        return "\n".join(lines)


def _row(check: Check) -> str:
    figure = "" if check.value is None else f"{check.value:.2g}"
    bound = "" if check.limit is None else f"(limit {check.limit:.2g})"
    mark = "ok" if check.ok else "FAILED"
    return f"  {mark:<7}{check.name:<26}{figure:>9} {bound:<17}{check.detail}".rstrip()


def _place(worst: Worst) -> str:
    if worst.along:
        what = f"along a random direction of {worst.argument}"
    else:
        what = f"∂y{_index(worst.output or ())} / ∂{worst.argument}{_index(worst.entry)}"
    return f"{what}: backward {worst.backward:.10g}, reference {worst.reference:.10g}"


def _index(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""
