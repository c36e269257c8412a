"""The map of the package, read from its imports: they only go down, and some things are never imported."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import minirec

ROOT = Path(minirec.__file__).parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

# Each part may import itself and what stands on a lower floor. Nobody calls cli.
FLOORS = [
    {"functional", "metrics", "data", "plots", "storage"},
    {"nn", "optim", "evaluation", "checkpoint"},
    {"training", "tuning", "verify"},
    {"models"},
    {"exercises"},
    {"demo", "usage"},
    {"cli_data"},
    {"comparison"},
    {"cli_verify", "cli_compare", "cli_exercise"},
    {"cli"},
    {"__main__"},
]
FLOOR = {part: level for level, parts in enumerate(FLOORS) for part in parts}
ALLOWED = {"numpy", "matplotlib", "mpl_toolkits", "tqdm", "threadpoolctl", "minirec"}
LEGACY_RANDOM_OK = {"Generator", "default_rng", "SeedSequence", "BitGenerator", "PCG64", "PCG64DXSM"}


def imports(tree: ast.AST, package: list[str]) -> Iterator[tuple[str, int]]:
    """(full dotted name, line) of everything that a file imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def parse(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), filename=file)


def part_of(file: str) -> str:
    """The part of the package: functional, nn, ..., or the name of a single file."""
    return file.split("/")[0].removesuffix(".py")


def imported(file: str) -> list[tuple[str, int]]:
    return list(imports(parse(file), ["minirec", *file.split("/")[:-1]]))


def inner(name: str) -> str | None:
    """Which part an imported name belongs to; None for something from outside, "" for the package itself."""
    first, *rest = name.split(".")
    if first != "minirec":
        return None
    return rest[0] if rest and rest[0] in FLOOR else ""


def going_up(file: str, names: list[tuple[str, int]]) -> list[str]:
    """The imports of a file that are on its own floor or above it."""
    own = part_of(file)
    return [
        f"{file}:{line} imports {name}"
        for name, line in names
        if (to := inner(name)) and to != own and FLOOR[to] >= FLOOR[own]
    ]


def test_every_file_has_a_floor() -> None:
    assert len(FILES) > 40
    assert {part_of(file) for file in FILES} - {"__init__"} <= set(FLOOR)


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_imports_only_go_down(file: str) -> None:
    assert going_up(file, imported(file)) == []


def test_the_walk_sees_every_form_of_import() -> None:
    source = """
from minirec import models
import minirec.training
from .. import cli
from ..demo import run
from minirec.functional import relu
from minirec.nn import linear
import numpy
def f():
    if True:
        from minirec.models.base import Recommender
"""
    names = list(imports(ast.parse(source), ["minirec", "nn"]))
    found = [message.split()[-1].removeprefix("minirec.") for message in going_up("nn/x.py", names)]
    assert found == ["models", "training", "cli", "demo.run", "models.base.Recommender"]


@pytest.mark.parametrize("file", [file for file in FILES if part_of(file) in ("functional", "nn", "metrics")])
def test_the_mathematics_needs_numpy_and_nothing_else(file: str) -> None:
    below = {"functional": {"functional"}, "nn": {"functional", "nn"}, "metrics": set()}[part_of(file)]
    for name, line in imported(file):
        part = inner(name)
        if part is not None:
            assert part in below, f"{file}:{line} imports {name}"
        else:
            first = name.split(".")[0]
            assert first == "numpy" or first in sys.stdlib_module_names, f"{file}:{line} imports {name}"


@pytest.mark.parametrize("file", FILES)
def test_run_time_dependencies_are_the_four_and_nothing_is_pickled(file: str) -> None:
    for name, line in imported(file):
        first = name.split(".")[0]
        assert first in ALLOWED or first in sys.stdlib_module_names, f"{file}:{line} imports {name}"
        assert first not in ("pickle", "shelve", "marshal"), f"{file}:{line} imports {name}"
        # where it is missing, the limits of a student's process say that they are not enforced
        assert first != "resource" or file == "exercises/runner.py", f"{file}:{line} imports {name}"


@pytest.mark.parametrize("file", FILES)
def test_matplotlib_is_imported_in_plots_only_and_only_inside_functions(file: str) -> None:
    tree = parse(file)
    lines = [line for name, line in imported(file) if name.split(".")[0] in ("matplotlib", "mpl_toolkits")]
    if file != "plots.py":
        assert lines == []
        return
    assert lines
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    branches = [node for node in tree.body if isinstance(node, ast.If)]
    checking = [node for node in branches if ast.unparse(node.test).endswith("TYPE_CHECKING")]
    for line in lines:
        inside = any(node.lineno < line <= (node.end_lineno or 0) for node in [*functions, *checking])
        assert inside, f"{file}:{line}"


@pytest.mark.parametrize("file", FILES)
def test_no_global_random_state_and_no_pickled_arrays(file: str) -> None:
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random"):
            assert node.attr in LEGACY_RANDOM_OK, f"{file}:{node.lineno} uses np.random.{node.attr}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert ast.unparse(node.value) == "False", f"{file}:{node.value.lineno} allows pickle"
    for name, line in imported(file):
        assert name.split(".")[0] != "random", f"{file}:{line} imports {name}"
        if name.startswith("numpy.random."):
            assert name.split(".")[2] in LEGACY_RANDOM_OK, f"{file}:{line} imports {name}"


@pytest.mark.parametrize("module", ["minirec", "minirec.models", "minirec.verify", "minirec.plots"])
def test_importing_does_not_import_matplotlib(module: str) -> None:
    code = f"import sys, {module}; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
