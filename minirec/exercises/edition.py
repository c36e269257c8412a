"""minirec without the solutions, to be handed to students: `python -m minirec exercise edition --out DIR`.

The functions of all exercises have no body, the catalogues of mistakes (which are edits of the solutions) are
empty, and the last rung of each ladder of hints is gone. The checks still work: they are the definitions in
loops of the formula sheet, derivatives and properties, and the diagnosis that needs no catalogue.
"""

import ast
import importlib
import importlib.metadata
import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path

import minirec
from minirec.exercises import source
from minirec.exercises.catalogue import EXERCISES

PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "minirec"
version = "{version}+student"
description = "minirec without the solutions of its exercises"
requires-python = ">=3.11"
dependencies = {dependencies}

[tool.hatch.build.targets.wheel]
packages = ["minirec"]
"""
README = """# minirec, student edition

The functions of the exercises have no body here: you write them.

    python -m pip install -e .
    python -m minirec exercise list
    python -m minirec exercise start {first}
    python -m minirec exercise check {first}

A check that needs functions of other exercises takes yours, from the same folder.
"""


def write(out: Path) -> Iterator[str]:
    """Write the edition into `out`, and search it. Yields what is to be printed.

    Raises ValueError where `out` is not empty, RuntimeError where a solution is left in it.
    """
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty: give a folder that is not there yet")
    package = Path(inspect.getfile(minirec)).parent
    shutil.copytree(package, out / "minirec", ignore=shutil.ignore_patterns("__pycache__"))
    functions = 0
    for module in {exercise.module for exercise in EXERCISES.values()}:
        names = [n for e in EXERCISES.values() if e.module == module for n in e.functions]
        path = _copied(out, Path(inspect.getfile(importlib.import_module(module))))
        path.write_text(source.without(path.read_text(encoding="utf-8"), names), encoding="utf-8")
        functions += len(names)
    for path in (out / "minirec" / "exercises" / "catalogue").glob("*.py"):
        path.write_text(_without_mistakes(path.read_text(encoding="utf-8")), encoding="utf-8")
    requires = [r for r in importlib.metadata.requires("minirec") or [] if "extra ==" not in r]
    project = PROJECT.format(version=minirec.__version__, dependencies=str(requires).replace("'", '"'))
    (out / "pyproject.toml").write_text(project, encoding="utf-8")
    (out / "README.md").write_text(README.format(first=next(iter(EXERCISES))), encoding="utf-8")
    if left := solutions_in(out):
        raise RuntimeError(f"{out} holds solutions: {'; '.join(left)}")
    yield f"Wrote {out}: {functions} functions of {len(EXERCISES)} exercises have no body; none is left."


def _copied(out: Path, path: Path) -> Path:
    """Where the copy of a file of the package is."""
    package = Path(inspect.getfile(minirec)).parent
    return out / "minirec" / path.relative_to(package)


def _without_mistakes(text: str) -> str:
    """A file of the catalogue with empty catalogues and three hints."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Exercise":
            for keyword in node.keywords:
                if keyword.arg == "mistakes":
                    keyword.value = ast.Tuple([], ast.Load())
                if keyword.arg == "hints" and isinstance(keyword.value, ast.Tuple):
                    keyword.value.elts = keyword.value.elts[:3]
    used = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    tree.body = [node for node in tree.body if not _is_idle(node, used)]  # pieces of solutions, for mistakes
    return ast.unparse(tree) + "\n"


def _is_idle(node: ast.stmt, used: set[str]) -> bool:
    """A constant of a catalogue that nothing reads."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id not in used | {"EXERCISES"} for target in targets)


def solutions_in(folder: Path) -> list[str]:
    """Functions below `folder` with the body of a solution, and mistakes, which hold pieces of one."""
    bodies: dict[str, str] = {}
    for exercise in EXERCISES.values():
        tree = ast.parse(source.module_source(exercise))
        for name in exercise.functions:
            bodies[_body(source.function_node(tree, name))] = name
    found = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and _body(node) in bodies:
                name = bodies[_body(node)]
                found.append(f"{path.relative_to(folder)}, line {node.lineno}: the body of {name}")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Mistake":
                found.append(f"{path.relative_to(folder)}, line {node.lineno}: a mistake of the catalogue")
    return found


def _body(node: ast.FunctionDef) -> str:
    """The statements of a function, without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return "\n".join(ast.dump(statement) for statement in body)
