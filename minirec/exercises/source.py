"""The library's own source, read by `ast`: stubs for students, and wrong variants from edits."""

import ast
import importlib
import inspect
import itertools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from minirec.exercises.exercise import Exercise, Mistake

ALWAYS = frozenset({"math", "np"})  # imports that a stub has, used or not
_numbers = itertools.count()


def path_of(exercise: Exercise) -> Path:
    """The file of the library that the functions are from."""
    return Path(inspect.getfile(importlib.import_module(exercise.module)))


def module_source(exercise: Exercise) -> str:
    """The text of that file."""
    return path_of(exercise).read_text(encoding="utf-8")


def function_node(tree: ast.Module, name: str) -> ast.FunctionDef:
    """The top-level function of this name; LookupError where there is none."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise LookupError(f"there is no function {name}")


def stub(exercise: Exercise) -> str:
    """What a student starts from: imports, caches, and each function with its docstring and no body."""
    text = module_source(exercise)
    tree, lines = ast.parse(text), text.splitlines()
    kept = [_kept(node, exercise, lines) for node in tree.body]
    names = {
        n.id
        for node in tree.body
        if _stays(node, exercise) or _is_task(node, exercise)
        for part in _visible(node, exercise)
        for n in ast.walk(part)
        if isinstance(n, ast.Name)
    }
    imports = [line for node in tree.body for line in _imports(node, names | ALWAYS)]
    if others := sorted(names & _left_out(tree, exercise)):
        imports.append(f"from {exercise.module} import {', '.join(others)}")
    parts = [part for part in kept if part]
    head = _head(exercise, ast.get_docstring(tree) or "")
    return "\n\n\n".join(["\n".join([head, "", *imports]), *parts]) + "\n"


def _left_out(tree: ast.Module, exercise: Exercise) -> set[str]:
    """What the module defines and the stub has not: where it is named, it is imported."""
    defined = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return {n.name for n in defined if not _stays(n, exercise) and not _is_task(n, exercise)}


def _head(exercise: Exercise, about: str) -> str:
    command = f"python -m minirec exercise check {exercise.name}"
    return f'"""{about}\n\nThe exercise: write the functions below. Check them with\n\n    {command}\n"""'


def _is_task(node: ast.stmt, exercise: Exercise) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name in exercise.functions


def _stays(node: ast.stmt, exercise: Exercise) -> bool:
    """Caches, constants, and the helpers that the exercise names."""
    if isinstance(node, ast.FunctionDef):
        return node.name in exercise.keep
    if isinstance(node, ast.ClassDef):
        return node.name in exercise.keep or (node.name.endswith("Cache") and exercise.is_pair)
    return isinstance(node, ast.Assign | ast.AnnAssign) and _target(node) in exercise.keep


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    return target.id if isinstance(target, ast.Name) else ""


def _visible(node: ast.stmt, exercise: Exercise) -> list[ast.AST]:
    """The parts of a statement that a stub shows: of a task its signature."""
    if _is_task(node, exercise):
        assert isinstance(node, ast.FunctionDef)
        return [node.args, *([node.returns] if node.returns else [])]
    return [node]


def _kept(node: ast.stmt, exercise: Exercise, lines: list[str]) -> str:
    """The text of a top-level statement in the stub; "" where it is left out."""
    if _is_task(node, exercise):
        assert isinstance(node, ast.FunctionDef)
        first = node.body[0]  # the docstring
        end = first.end_lineno if ast.get_docstring(node) else first.lineno - 1
        assert end is not None
        return "\n".join([*lines[node.lineno - 1 : end], "    raise NotImplementedError"])
    if _stays(node, exercise):
        return "\n".join(lines[node.lineno - 1 : node.end_lineno])
    return ""


def _imports(node: ast.stmt, names: Iterable[str]) -> list[str]:
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return []
    used = [a for a in node.names if (a.asname or a.name).split(".")[0] in names]
    if not used:
        return []
    copy = ast.Import(used) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, used, node.level)
    return [ast.unparse(copy)]


def without(text: str, functions: Iterable[str]) -> str:
    """A module's source with the bodies of these functions taken out, docstrings kept."""
    lines = text.splitlines()
    tree = ast.parse(text)
    for node in sorted((function_node(tree, name) for name in functions), key=lambda n: -n.lineno):
        first = node.body[0]
        start = first.end_lineno if ast.get_docstring(node) else first.lineno - 1
        assert start is not None
        lines[start : node.end_lineno] = ["    raise NotImplementedError"]
    return "\n".join(lines) + "\n"


def edited(exercise: Exercise, mistake: Mistake) -> str:
    """The module's source with the mistake in it. ValueError unless `old` stands there exactly once."""
    text = module_source(exercise)
    node = function_node(ast.parse(text), mistake.function)
    lines = text.splitlines(keepends=True)
    start, end = node.lineno - 1, node.end_lineno
    body = "".join(lines[start:end])
    if body.count(mistake.old) != 1:
        raise ValueError(
            f"{exercise.name}, {mistake.cause!r}: {mistake.old!r} stands {body.count(mistake.old)} times "
            f"in {mistake.function}, must be once"
        )
    return "".join([*lines[:start], body.replace(mistake.old, mistake.new), *lines[end:]])


def executed(text: str, title: str = "variant") -> ModuleType:
    """A module of this source, under a private name."""
    module = ModuleType(f"_minirec_{title}_{next(_numbers)}")
    sys.modules[module.__name__] = module  # where dataclasses look for it
    try:
        exec(compile(text, f"<{title}>", "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    return module


def variant(exercise: Exercise, mistake: Mistake) -> dict[str, Callable[..., Any]]:
    """The functions of the exercise, one of them with the mistake."""
    module = executed(edited(exercise, mistake))
    return {name: getattr(module, name) for name in exercise.functions}


def solution(exercise: Exercise) -> dict[str, Callable[..., Any]]:
    """The library's functions."""
    module = importlib.import_module(exercise.module)
    return {name: getattr(module, name) for name in exercise.functions}


def shown(exercise: Exercise) -> str:
    """The library's code of the functions, as it stands in the source."""
    text = module_source(exercise)
    lines, tree = text.splitlines(), ast.parse(text)
    nodes = [function_node(tree, name) for name in exercise.functions]
    return "\n\n\n".join("\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in nodes)


def is_stub(exercise: Exercise) -> bool:
    """True in the student edition, where the library's functions have no body."""
    tree = ast.parse(module_source(exercise))
    last = [function_node(tree, name).body[-1] for name in exercise.functions]
    return all(
        isinstance(node, ast.Raise) and ast.unparse(node) == "raise NotImplementedError" for node in last
    )
