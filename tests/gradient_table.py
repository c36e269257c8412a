"""The gradient check of everything: one row per function (and shape), shared by the tests and the command.

    python tests/gradient_table.py           name, arguments, largest relative error, declared zeros
    python tests/gradient_table.py --full    whole models at full width: where the adjoint gap is largest

The rows of functions and modules are the places of the formula sheet; whatever else gives a Report is a
`Row` of its own.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirec.verify import Report, check_dtype
from minirec.verify.formula import Formula, Place, check_place
from minirec.verify.formulas import SHEET

Rng = np.random.Generator


@dataclass(frozen=True)
class Row:
    """`gradient` and `dtype` run a check each; `args` gives the arguments once more, for other tests.

    `gradient` of a function or module takes another seed for its arguments: `row.gradient(3)`.
    """

    name: str  # of the function without _forward, or of the class
    label: str  # what is special about the arguments
    gradient: Callable[..., Report]
    dtype: Callable[[], Report] | None = None
    args: Callable[..., tuple[Any, ...]] | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.label}"


def function(formula: Formula, label: str) -> Row:
    """A row for a function of minirec.functional at one place of its entry in the formula sheet."""

    def args(seed: int = 0) -> tuple[Any, ...]:
        return formula.draw(label, seed)

    def gradient(seed: int = 0) -> Report:
        return check_place(formula, label, formula.at(args(seed), seed), seed)

    # The pair is looked up when it is called: the tests may have replaced one of them.
    return Row(formula.name, label, gradient, lambda: check_dtype(*formula.pair(), *args()), args)


def module(formula: Formula, label: str) -> Row:
    """A row for a module at one place of its entry in the formula sheet; all its parameters are random.

    `args` gives (module, inputs, options of forward).
    """

    def at(seed: int = 0) -> Place:
        return formula.at(formula.draw(label, seed), seed)

    def args(seed: int = 0) -> tuple[Any, ...]:
        place = at(seed)
        assert place.built is not None
        return place.module, place.built.inputs, dict(place.built.options)

    def dtype() -> Report:
        place = at()
        return check_dtype(place.forward, place.backward, *place.args, wrt=place.wrt, names=place.names)

    return Row(
        formula.name, label, lambda seed=0: check_place(formula, label, at(seed), seed), dtype, args=args
    )


def n(rng: Rng, *shape: int) -> np.ndarray:
    """Normally distributed numbers."""
    return rng.standard_normal(shape)


FUNCTIONS = [
    function(formula, label)
    for formula in SHEET.values()
    if formula.ours.startswith("minirec.functional.") and formula.value is None and formula.has_gradient
    for label in formula.places
]
MODULES = [
    module(formula, label)
    for formula in SHEET.values()
    if formula.ours.startswith("minirec.nn.") and formula.has_gradient
    for label in formula.places
]


def grouped(names: Sequence[str]) -> str:
    """Dotted names with their owner written once: "norm2.{gamma, beta}"."""
    owners: dict[str, list[str]] = {}
    for name in names:
        owner, _, own = name.removeprefix("network.").removeprefix("transformer.").rpartition(".")
        owners.setdefault(owner, []).append(own)
    return ", ".join(
        (f"{owner}." if owner else "") + (f"{{{', '.join(own)}}}" if owner and own[1:] else ", ".join(own))
        for owner, own in owners.items()
    )


def report_failures(failed: Sequence[Report]) -> int:
    for report in failed:
        print(f"\n{report}")
    return 1 if failed else 0


def main() -> int:
    """Print the table; exit code 1 where a row fails."""
    from network_table import NETWORKS  # which takes Row from here

    print(f"{'name':<24} {'arguments':<36} {'largest error':>13}   declared zeros")
    failed = []
    for row in [*FUNCTIONS, *MODULES, *NETWORKS]:
        report = row.gradient()
        mark = "" if report.ok else "   FAILED"
        print(f"{row.name:<24} {row.label:<36} {report.error:>13.1e}   {grouped(report.zero)}{mark}")
        failed += [] if report.ok else [report]
    return report_failures(failed)


def full() -> int:
    """The models at full width, in one thread: their matrices are too small to be worth two."""
    from network_table import FULL_WIDTH
    from threadpoolctl import threadpool_limits

    print(
        f"{'model':<24} {'loss, source, candidates':<30} {'numbers':>8} {'adjoint gap':>11} {'seconds':>8}"
        "   largest at"
    )
    failed = []
    with threadpool_limits(limits=1):
        for row in FULL_WIDTH:
            assert row.args is not None
            count = sum(array.size for array in row.args()[0].params().values())
            began = time.perf_counter()
            report = row.gradient()
            seconds, mark = time.perf_counter() - began, "" if report.ok else "   FAILED"
            where = report.worst.argument if report.worst else "-"
            figures = f"{count:>8} {report.error:>11.1e} {seconds:>8.1f}"
            print(f"{row.name:<24} {row.label:<30} {figures}   {where}{mark}", flush=True)
            failed += [] if report.ok else [report]
    return report_failures(failed)


if __name__ == "__main__":
    sys.exit(full() if "--full" in sys.argv[1:] else main())
