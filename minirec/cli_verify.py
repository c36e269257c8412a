"""The commands verify and trace: is a formula right, and what does it compute on the way? Called by cli.py.

A name is one of the formula sheet (verify/formulas/), one of its families, or FILE.py:forward,backward for a
formula of the reader's own. Exit code 0 where all holds, 1 where something does not, 2 for a wrong input.
"""

import argparse
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minirec.usage import UsageError, add_command, add_seed, folder_of, whole_number
from minirec.verify import own, page, userfile
from minirec.verify.formula import Formula, Verdict, examine
from minirec.verify.formulas import FAMILIES, SHEET
from minirec.verify.pair import argument_names
from minirec.verify.report import Report
from minirec.verify.specification import suggestion
from minirec.verify.tracing.entry import trace_entry
from minirec.verify.tracing.trace import PairTrace, Trace, trace_pair
from minirec.verify.userfile import UserFormula

OWN = "FILE.py:forward,backward"


def add(commands: Any) -> None:
    """Add the two commands to the parser of cli.py."""
    _add_verify(commands)
    _add_trace(commands)


def is_own(name: str) -> bool:
    """True for a formula of the reader's own, from a file."""
    return ".py:" in name or name.endswith(".py")


# verify


def _add_verify(commands: Any) -> None:
    parser = add_command(
        commands,
        "verify",
        run_verify,
        "examine formulas: forward against a definition in loops, backward against derivatives, properties",
        "verify softmax attention\n"
        "verify losses --report runs/losses\n"
        'verify my_file.py:my_forward,my_backward --args "x:3x5 ids:int<7:4 mask:bool:3x5 eps=1e-5"\n'
        "verify my_file.py:my_softmax --against softmax",
    )
    families = ", ".join(FAMILIES)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"a formula of minirec, a family of them ({families}), or {OWN} for your own; "
        "without it, all of minirec",
    )
    add_seed(parser, "seed of the numbers that are tried")
    parser.add_argument(
        "--report", metavar="DIR", help="write verify.md with the figures of each check into this folder"
    )
    group = _add_own(parser)
    group.add_argument(
        "--wrt", metavar="x,W", help="the arguments that get a gradient (default: float arrays)"
    )
    group.add_argument("--zero", metavar="q,k", help="arguments whose gradient is zero by mathematics")
    group.add_argument(
        "--against",
        metavar="NAME",
        help="compare forward with the definition of this formula of minirec, at its arguments: then --args "
        "is not needed",
    )


def _add_own(parser: argparse.ArgumentParser) -> Any:
    group = parser.add_argument_group(
        f"for a formula of your own, {OWN}",
        "FILE.py:NAME stands for NAME_forward and NAME_backward. The arguments come from --args, or from a "
        "function arguments(rng) -> tuple in the file. In --args: name:3x5 normal numbers, name:pos:3x5 "
        "positive ones, name:int<7:4 ids 0 to 6, name:bool:3x5 a mask, name=1e-5 a value, rng a generator.",
    )
    group.add_argument("--args", metavar="SPEC", help='such as "x:3x5 ids:int<7:4 mask:bool:3x5 eps=1e-5"')
    group.add_argument(
        "--style",
        choices=("pair", "vjp", "gradient"),
        default="pair",
        help="pair: forward(*args) -> (y, cache), backward(dy, cache); vjp: f(*args) -> y, vjp(*args) -> "
        "(y, pullback); gradient: f(*args) -> number, gradient(*args) (default: pair)",
    )
    return group


def run_verify(options: argparse.Namespace) -> int:
    files = [name for name in options.names if is_own(name)]
    folder = None if options.report is None else folder_of(options.report, "--report")
    if not files:
        _only_for_own(options, ("args", "wrt", "zero", "against"))
        return _verify_sheet(_chosen(options.names), options.seed, folder)
    if len(options.names) > 1:
        raise UsageError(f"{files[0]} is checked alone: leave the other names out, or run verify for each")
    if options.against is not None:
        return _verify_against(files[0], options, folder)
    formula, args = _own(files[0], options)
    report = _checked(formula, args, options)
    print(report)
    if folder is not None:
        _say_written(page.write_report(report, folder))
    return 0 if report.ok else 1


def _verify_sheet(formulas: Sequence[Formula], seed: int, folder: Path | None) -> int:
    verdicts: list[Verdict] = []

    def examined() -> Iterator[Verdict]:
        for formula in formulas:
            verdicts.append(examine(formula, seed))
            yield verdicts[-1]

    for line in page.lines(examined(), max(len(formula.name) for formula in formulas)):
        print(line, flush=True)
    print(page.summary(verdicts))
    if folder is not None:
        families = {family: [formula.name for formula in members] for family, members in FAMILIES.items()}
        _say_written(page.write_page(verdicts, folder, families, seed))
    return 0 if all(verdict.ok for verdict in verdicts) else 1


def _say_written(written: Path) -> None:
    figures = len(list(written.parent.glob("*.svg")))
    print(f"Wrote {written.name} and {figures} figure{'' if figures == 1 else 's'} in {written.parent}.")


def _chosen(names: Sequence[str]) -> list[Formula]:
    """The formulas of these names and families, in the order of the sheet; all where there is no name."""
    chosen = {name for name in names if name in SHEET}
    for name in names:
        if name not in SHEET:
            if name not in FAMILIES:
                raise UsageError(_unknown(name))
            chosen |= {formula.name for formula in FAMILIES[name]}
    return [formula for formula in SHEET.values() if not names or formula.name in chosen]


def _unknown(name: str) -> str:
    known = {known.lower(): known for known in [*SHEET, *FAMILIES]}
    close = [known[near] for near in difflib.get_close_matches(name.lower(), known, n=3)]
    meant = f": did you mean {' or '.join(close)}?" if close else ":"
    return (
        f"there is no formula {name!r}{meant} There are the families {', '.join(FAMILIES)}; "
        f"for one of your own write {OWN}"
    )


def _only_for_own(options: argparse.Namespace, names: Sequence[str]) -> None:
    given = [name for name in names if getattr(options, name) is not None]
    given += ["style"] if options.style != "pair" else []
    if given:
        raise UsageError(f"--{given[0]} is for a formula of your own ({OWN}): leave it out, or name a file")


# A formula of the reader's own


def _own(name: str, options: argparse.Namespace) -> tuple[UserFormula, tuple[Any, ...]]:
    formula = userfile.load(name, options.style)
    return own.arguments_for(formula, options.args, np.random.default_rng(options.seed))


def _checked(formula: UserFormula, args: Sequence[Any], options: argparse.Namespace) -> Report:
    names = argument_names(formula.functions[0], len(args))
    wrt = None if options.wrt is None else [_position(n, names, "--wrt") for n in _listed(options.wrt)]
    zero = [names[_position(n, names, "--zero")] for n in _listed(options.zero or "")]
    report, remark = own.check(formula, args, names, wrt, zero, options.seed)
    if remark:
        print(remark)
    return own.with_a_hint(report, args, names, options.args)


def _listed(text: str) -> list[str]:
    return [name for name in text.replace(",", " ").split() if name]


def _position(name: str, names: Sequence[str], option: str) -> int:
    if name not in names:
        hint = suggestion(name, names)
        raise UsageError(f"{option} {name}: there is no such argument{hint}: there are {', '.join(names)}")
    return names.index(name)


def _verify_against(name: str, options: argparse.Namespace, folder: Path | None) -> int:
    """The reader's functions at the places of a formula of the sheet, against its definition."""
    if options.against not in SHEET:
        raise UsageError(f"--against {options.against}: {_unknown(options.against)}")
    sheet = SHEET[options.against]
    for option in ("args", "wrt", "zero"):
        if getattr(options, option) is not None:
            raise UsageError(
                f"--{option} does not go with --against: the arguments are those of {sheet.name}"
            )
    formula = userfile.load(name, options.style if sheet.has_gradient else "value")
    reports, skipped = own.against(formula, sheet, options.seed)
    for i, report in enumerate(reports):
        head, *rows = str(report).splitlines()
        shown = [row for row in rows if i == 0 or not (report.ok or row.lstrip().startswith("ok "))]
        print("\n".join([head, *shown]))
    both = f"{formula.name} against {sheet.name}"
    for place in skipped:
        print(f"{both}, {place}: left out, {formula.name} does not take its arguments")
    wrong = [report for report in reports if not report.ok]
    found = (
        f"differs at {len(wrong)} of {len(reports)} places" if wrong else f"holds at {len(reports)} places"
    )
    print(f"{both}: {found}.")
    if folder is not None:
        _say_written(page.write_report((wrong or reports)[0], folder))
    return 1 if wrong else 0


# trace


def _add_trace(commands: Any) -> None:
    parser = add_command(
        commands,
        "trace",
        run_trace,
        "a tiny example of a formula, forward and backward: each statement, and the numbers that it sets",
        "trace softmax\ntrace attention --seed 3 --depth 0\n"
        'trace my_file.py:my_forward,my_backward --args "x:2x3 ids:int<7:4 mask:bool:2x3"',
    )
    parser.add_argument("name", metavar="NAME", help=f"a formula of minirec, or {OWN} for your own")
    add_seed(parser, "seed of the example")
    parser.add_argument(
        "--depth",
        type=whole_number(0),
        default=1,
        metavar="N",
        help="levels of calls to other functions that are shown (default: 1)",
    )
    parser.add_argument(
        "--full", action="store_true", help="show every call of a function, and every array of many"
    )
    _add_own(parser)


def run_trace(options: argparse.Namespace) -> None:
    if is_own(options.name):
        formula, args = _own(options.name, options)
        assert formula.backward is not None
        own.check_form(formula, args)
        with userfile.explained(formula):
            both = trace_pair(
                formula.forward,
                formula.backward,
                args,
                options.seed,
                options.depth,
                files=[formula.path],
                title=formula.name,
            )
        _print_trace(both, options.full)
        return
    _only_for_own(options, ("args",))
    if options.name not in SHEET:
        members = [formula.name for formula in FAMILIES.get(options.name, ())]
        family = f"{options.name} is a family: name one of {', '.join(members)}"
        raise UsageError(family if members else _unknown(options.name))
    _print_trace(trace_entry(SHEET[options.name], options.seed, options.depth), options.full)


def _print_trace(found: Trace | PairTrace, full: bool) -> None:
    text = found.text(full)
    print(text)
    if text != found.text():
        print("\nRepeated calls and long lists of arrays are folded: --full shows all.")
