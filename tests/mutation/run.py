"""Mutation testing: change the code in one place, run its tests, and see whether they notice.

    python tests/mutation/run.py                         everything, both tools
    python tests/mutation/run.py functional --tool own   one part, our own operators
    python tests/mutation/run.py functional/softmax      one module
    python tests/mutation/run.py optim --list            the mutants and their diffs, nothing is run

Prints killed / total per module and every survivor with its diff. A timeout counts as killed. Exit code 1 on
a survivor that is not in equivalent.toml, on an entry there that names no survivor, and on a broken run. The
operators are our own (operators.py) and those of mutmut, as a library: its runner does not agree with our
pytest settings (mutants.py says why), so runner.py runs both. `pip install -e ".[mutation]"` brings mutmut.
"""

import argparse
import ast
import hashlib
import importlib.util
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from mutation.mutants import TOOLS, Mutant, mutants
from mutation.runner import PACKAGE, Outcome, prepare, run_stage
from mutation.verdict import Result, crowded, group_of, judge, reviewed, row, store

ROOT = Path(__file__).parent.parent.parent
# What tests a module: first the file that mirrors it (or these instead) and its doctests; then, while the
# mutant is alive, the rows with its name in the gradient table and the formula sheet; then its group.
FIRST = {"functional/arguments.py": ["functional/test_weights.py", "test_array_faults.py"]}
NAMED = ["functional/test_gradients.py", "nn/test_gradients.py", "verify/test_formulas.py"]
GROUPS = {
    "functional": ["functional/*.py"],
    "nn": ["nn/*.py"],
    "metrics": ["test_metrics.py", "test_evaluation.py"],
    "optim": ["test_optim.py", "test_training.py"],
}


def all_modules(root: Path) -> list[str]:
    """The modules of every group, as paths inside the package."""
    found = []
    for group in GROUPS:
        files = (root / PACKAGE / group).glob("*.py") if (root / PACKAGE / group).is_dir() else []
        single = root / PACKAGE / f"{group}.py"
        files = sorted(file for file in files if file.name != "__init__.py") or (
            [single] if single.exists() else []
        )
        found += [file.relative_to(root / PACKAGE).as_posix() for file in files]
    return found


def chosen(names: Sequence[str], modules: list[str]) -> list[str]:
    """The modules that the arguments name: a group, a path, a dotted name. Raises ValueError otherwise."""
    wanted = []
    for name in names:
        plain = (
            name.removeprefix(f"{PACKAGE}/").removeprefix(f"{PACKAGE}.").removesuffix(".py").replace(".", "/")
        )
        fits = [module for module in modules if plain in (group_of(module), module.removesuffix(".py"))]
        if not fits:
            groups = ", ".join(GROUPS)
            raise ValueError(f"no module {name!r}: give a group ({groups}) or a module such as {modules[0]}")
        wanted += fits
    return list(dict.fromkeys(wanted)) if names else modules


def stages(module: str, root: Path) -> tuple[tuple[str, ...], ...]:
    """The tests of a module in stages: arguments of pytest, paths relative to the root."""
    tests = root / "tests"
    folder, _, file = f"./{module}".rpartition("/")
    mirrored = [tests / name for name in FIRST.get(module, [f"{folder}/test_{file}"])]
    first = [*mirrored, root / PACKAGE / module]
    named = [tests / name for name in NAMED if group_of(name) in (group_of(module), "verify")]
    wider = [file for pattern in GROUPS[group_of(module)] for file in sorted(tests.glob(pattern))]
    wider = [file for file in wider if file.name.startswith("test_")]
    found = []
    for files, more in (
        (first, []),
        (named, ["-k", " or ".join(public(root / PACKAGE / module))]),
        (wider, []),
    ):
        paths = [file.resolve().relative_to(root).as_posix() for file in files if file.exists()]
        found += [(*paths, *more)] if paths else []
    return tuple(found)


def public(file: Path) -> list[str]:
    """The formulas that a module defines: names without _forward and _backward, no caches."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    names = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    names = [name.removesuffix("_forward").removesuffix("_backward") for name in names]
    return list(dict.fromkeys(name for name in names if name[0] != "_" and not name.endswith("Cache")))


def run_module(
    module: str, tools: Sequence[str], root: Path, workers: int, verbose: bool
) -> tuple[list[Result], dict[str, float], list[str]]:
    """Every mutant of a module with its outcome, the seconds per tool, and what is wrong with its tests.

    Each stage runs on the unchanged source first: it has to pass. Two tools may make the same program: it
    runs once, and counts for both.
    """
    source = (root / PACKAGE / module).read_text(encoding="utf-8")
    made = [mutant for tool in tools for mutant in mutants(module, source, tool)]
    alive: dict[str, Mutant] = {}
    for mutant in made:
        alive.setdefault(mutant.essence, mutant)
    final: dict[str, Outcome] = {}
    seconds, tests = Counter[str](), 0
    for arguments in stages(module, root):
        sources = {essence: mutant.source for essence, mutant in alive.items()}
        unchanged, outcomes = run_stage(module, sources, arguments, root, workers)
        if unchanged.state != "passed":
            line = f"baseline: {' '.join(arguments)} on the unchanged {module}: "
            return [], {}, [f"{line}{unchanged.state}, {unchanged.detail}"]
        tests += unchanged.passed
        for essence, outcome in outcomes.items():
            seconds[essence] += outcome.seconds
            if verbose:
                detail = outcome.detail.partition("\n")[0][:100]
                print(
                    f"{outcome.state} in {outcome.seconds:.2f} s: {alive[essence].name}: {detail}", flush=True
                )
        final |= outcomes
        alive = {essence: mutant for essence, mutant in alive.items() if final[essence].state == "passed"}
        if not alive:
            break
    spent = {tool: sum(seconds[m.essence] for m in made if m.tool == tool) for tool in tools}
    wrong = [] if tests else [f"baseline: no test of {module} ran"]
    return [Result(mutant, final[mutant.essence]) for mutant in made], spent, wrong


def show_list(modules: Sequence[str], tools: Sequence[str], root: Path) -> int:
    """Print every mutant with its diff."""
    for module in modules:
        source = (root / PACKAGE / module).read_text(encoding="utf-8")
        for tool in tools:
            made = mutants(module, source, tool)
            for mutant in made:
                print(mutant.diff(source))
            print(f"{module}: {len(made)} mutants by {tool}")
    return 0


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/mutation/run.py", description="Mutation testing.")
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="functional, nn, metrics, optim, or a module"
    )
    parser.add_argument(
        "--tool", choices=(*TOOLS, "both"), default="both", help="whose operators (default: both)"
    )
    parser.add_argument("--list", action="store_true", help="print the mutants, run nothing")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    parser.add_argument(
        "--write", action="store_true", help="store the figures in tests/results/mutation.json"
    )
    parser.add_argument("--verbose", action="store_true", help="a line per mutant: what killed it")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout to test")
    return parser.parse_intermixed_args(argv)


def refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return 2


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Exit code 0 all killed or listed, 1 not so or a broken run, 2 it cannot run like this."""
    args = options(argv)
    root, tools = args.root.resolve(), TOOLS if args.tool == "both" else (args.tool,)
    modules = all_modules(root)
    try:
        selected = chosen(args.modules, modules)
    except ValueError as error:
        return refuse(str(error))
    if "mutmut" in tools and not importlib.util.find_spec("mutmut"):
        return refuse('mutmut is not installed: pip install -e ".[mutation]", or give --tool own')
    if args.list:
        return show_list(selected, tools, root)
    if not hasattr(os, "fork"):
        return refuse(
            "each mutant runs in a fork of this process, and this system has no fork: use Linux or macOS"
        )
    try:
        listed = reviewed(root / "tests" / "mutation" / "equivalent.toml")
    except ValueError as error:
        print(error)
        return 1
    prepare()
    began = time.perf_counter()
    results: list[Result] = []
    rows, wrong = {}, []
    for module in selected:
        found, seconds, broken = run_module(module, tools, root, args.jobs, args.verbose)
        wrong += broken
        if not broken:
            results += found
            rows[module] = report(module, found, listed, seconds, root)
    ran = {(module, tool) for module in rows for tool in tools}
    wrong += judge(results, listed, ran, modules) if selected else ["empty: there is no module to test"]
    print_totals(rows, tools, time.perf_counter() - began)
    print("\n".join([*crowded(results, listed), *wrong]))
    if args.write and not any(line.startswith(("baseline", "broken", "empty")) for line in wrong):
        command = " ".join(["python tests/mutation/run.py", *(argv if argv is not None else sys.argv[1:])])
        store(root / "tests" / "results" / "mutation.json", rows, command)
    return 1 if wrong else 0


def report(
    module: str, found: Sequence[Result], listed: dict[str, str], seconds: dict[str, float], root: Path
) -> dict[str, Any]:
    """Print the lines of a module and the diffs of its unlisted survivors; its figures by tool."""
    source = (root / PACKAGE / module).read_text(encoding="utf-8")
    figures: dict[str, Any] = {}
    for tool, spent in seconds.items():
        mine = [result for result in found if result.mutant.tool == tool]
        figures[tool] = row(mine, listed, spent) | {"source": hashlib.sha256(source.encode()).hexdigest()}
        print(line(f"{module:<38} {tool:<7}", figures[tool]))
        for result in mine:
            if result.outcome.state == "timeout":
                print(f"timeout: {result.mutant.name}")
            if result.outcome.state == "passed" and result.mutant.name not in listed:
                print(f"\nSURVIVED {result.mutant.name}\n{result.mutant.diff(source)}", flush=True)
    return figures


def line(label: str, figures: dict[str, Any]) -> str:
    return (
        f"{label} {figures['killed']:>5} / {figures['total']:<5} killed, {figures['listed']:>2} listed, "
        f"{figures['timeouts']} timeouts, {figures['seconds']:>7.1f} s"
    )


def print_totals(rows: dict[str, dict[str, Any]], tools: Sequence[str], wall: float) -> None:
    print()
    for group in GROUPS:
        for tool in tools:
            figures = [by_tool[tool] for module, by_tool in rows.items() if group_of(module) == group]
            if figures:
                keys = ("killed", "total", "listed", "timeouts", "seconds")
                print(line(f"{group:<38} {tool:<7}", {key: sum(f[key] for f in figures) for key in keys}))
    print(f"{wall:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
