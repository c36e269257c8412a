"""What a comparison of two formulas found: one row per kind of point, the worst point, and a verdict.

Made by compare.py; printed as a table with a sentence at the end.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

LIKE_SINGLE = (6.0, 8.0)  # digits in agreement, where rounding to float32 (7.2 digits) may be the cause


class Row(NamedTuple):
    """All points of one kind: how many digits agree at the worst of them, and how many were asked for."""

    kind: str
    points: int
    ok: bool
    digits: float
    wanted: float
    note: str = ""


class WorstPoint(NamedTuple):
    """Where the two differ most. `first` and `second` are numbers; or exceptions, or shapes."""

    kind: str
    sample: int
    entry: tuple[int, ...]
    first: Any
    second: Any
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Agreement:
    """The outcome of `same`.

    verdict  "same", "same in exact arithmetic, not in floating point" or "different"
    digits   decimal digits in agreement at the worst point, relative to the largest entry of the result row
    worst    the point that decides the verdict
    rows     one per kind of point
    names    of the two formulas
    kept     the digits that each of the two keeps where they disagree by rounding; None where it is unknown
    as_far_as_seen  longer numbers were no help: the verdict rests on where the two agree
    single   which of the two computes in single precision
    """

    verdict: str
    digits: float
    worst: WorstPoint
    rows: tuple[Row, ...]
    names: tuple[str, str]
    kept: tuple[float, float] | None = None
    as_far_as_seen: bool = False
    single: tuple[bool, bool] = (False, False)

    @property
    def ok(self) -> bool:
        """True where the two are the same at every point, in floating point."""
        return self.verdict == "same"

    @property
    def better(self) -> str | None:
        """The name of the formula that keeps more digits, or None where that is not known."""
        if self.kept is None or abs(self.kept[0] - self.kept[1]) < 1.0:
            return None
        return self.names[0] if self.kept[0] > self.kept[1] else self.names[1]

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        first, second = self.names
        lines = [f"{first} against {second}: {self.verdict}"]
        lines.append(f"  {'':<7}{'points':<40}{'':>3}{'digits':>8}{'wanted':>8}")
        for row in self.rows:
            mark = "ok" if row.ok else "DIFFER"
            figures = f"{row.points:>3}{row.digits:>8.1f}{row.wanted:>8.1f}"
            lines.append(f"  {mark:<7}{row.kind:<40}{figures}  {row.note}".rstrip())
        lines.append(f"  {self._place()}")
        lines.append(self._sentence())
        return "\n".join(lines)

    def _place(self) -> str:
        w = self.worst
        where = f"[{', '.join(map(str, w.entry))}]" if w.entry else ""
        return f"worst: {w.kind}, sample {w.sample}, y{where}: {_show(w.first)} against {_show(w.second)}"

    def _sentence(self) -> str:
        if self.ok:
            limit = max(row.wanted for row in self.rows)
            more = "or more" if self.digits >= limit else "at the worst point, where rounding allows no more"
            return f"The two are the same function, to {self.digits:.1f} digits {more}."
        if self.verdict == "different":
            text = f'The two are different functions: they differ at the points "{self.worst.kind}".'
            generic = next(row for row in self.rows if row.kind == "generic")
            if not any(self.single) and LIKE_SINGLE[0] < generic.digits < LIKE_SINGLE[1]:
                text += " A step in single precision (float32) inside one of them would look like this, too."
            return text
        seen = ", as far as can be seen" if self.as_far_as_seen else ""
        text = f"The two are the same in exact arithmetic{seen}, and rounding or overflow separates them."
        if any(self.single):
            who = "Both compute" if all(self.single) else f"{self._one(self.single[0])} computes"
            text += f" {who} in single precision (float32): no more than 7 digits could be compared."
        if self.kept is None or self.better is None:
            return text
        low, high = sorted(self.kept)
        who = self._one(self.better == self.names[0])
        return f"{text} {who} keeps {high:.1f} digits, the other {low:.1f}."

    def _one(self, first: bool) -> str:
        """The name of one of the two, at the start of a sentence."""
        name = self.names[0] if first else self.names[1]
        return name.replace("the ", "The ", 1) if name.startswith("the ") else name


def _show(value: Any) -> str:
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"{value:.10g}" if isinstance(value, float | np.floating) else str(value)
