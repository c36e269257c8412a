"""What a check found: one row per check, the largest error, the entry where it is worst, and why, perhaps.

Printed as text; `Report.ok` and `Report.error` are what a program asks for, `Report.plot` what a talk does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from minirec import plots

if TYPE_CHECKING:
    from minirec.verify.curves import Curves
    from minirec.verify.diagnosis import Cause


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
    causes   what is probably wrong, the most certain first; empty where nothing was recognized
    curves   gives the numbers of `plot`; None where the check ended before there was a gradient
    """

    title: str
    checks: tuple[Check, ...]
    error: float = float("inf")
    worst: Worst | None = None
    zero: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    curves: Callable[[], Curves] | None = field(default=None, compare=False, repr=False)

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
        lines += [f"  {'probably' if cause.sure else 'perhaps'}: {cause.text}" for cause in self.causes]
        return "\n".join(lines)

    def plot(self) -> Any:
        """A matplotlib Figure: error against step size for four methods, Taylor's remainder and its slope.

        Both hold forward against the gradient of backward along one line through the point. For a right
        gradient the errors fall to rounding and the remainder falls as h²; for a wrong one the errors end
        at its own error, and the remainder at a slope of 1. Raises ValueError where there is no gradient.
        """
        if self.curves is None:
            raise ValueError(f"{self.title}: there is no gradient to plot; the rows of the report say why")
        data = self.curves()
        return plots.verification(
            data.steps, data.errors, data.taylor_steps, data.remainder, data.bare, data.order,
            fault=data.fault, title=self.title,
        )  # fmt: skip


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
    numbers = worst.backward, worst.reference
    for digits in (10, 13, 17):  # as many as it takes to see the difference
        ours, theirs = (f"{number:.{digits}g}" for number in numbers)
        if ours != theirs or numbers[0] == numbers[1]:
            break
    return f"{what}: backward {ours}, reference {theirs}"


def _index(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""
