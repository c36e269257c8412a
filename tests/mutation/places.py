"""Where our own operators may change a module: every node with its function and its role.

Left out are docstrings, annotations, decorators, imports and the texts of messages.
"""

import ast
from collections.abc import Iterator
from typing import NamedTuple

# Functions of the project that take a text for their error message: name -> position of that argument.
MESSAGE_ARGUMENTS = {"_require": 1, "check_ids": 0, "check_same_shape": 0}


class Place(NamedTuple):
    """A node that may be changed, the function around it, and what is special about where it stands."""

    node: ast.AST
    function: str  # the outermost function, "Class.method" for a method, "<module>" outside
    role: str = ""  # "axis", "returned", "condition", "mask" or nothing
    local: frozenset[str] = frozenset()  # names that the project itself defines, for calls


def name_of(node: ast.expr) -> str:
    """The last name of a.b.c, or of a plain name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def root_of(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def is_numpy(node: ast.AST, name: str) -> bool:
    """Is this the call np.<name>(...)?"""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and (
        node.func.attr == name and root_of(node.func) == "np"
    )  # fmt: skip


def integer(node: ast.AST) -> int | None:
    """The value of an integer literal, signed; None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = integer(node.operand)
        return None if value is None else -value
    is_integer = isinstance(node, ast.Constant) and type(node.value) is int
    return node.value if is_integer else None  # type: ignore[attr-defined]


def places(tree: ast.Module) -> Iterator[Place]:
    """Every node that may be changed, in the order of the source."""
    local = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minirec"):
            local |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            local.add(node.name)
        if isinstance(node, ast.arg) and node.annotation and "Callable" in ast.unparse(node.annotation):
            local.add(node.arg)
    yield from _walk(tree, "<module>", "", frozenset(local))


def _walk(node: ast.AST, function: str, role: str, local: frozenset[str]) -> Iterator[Place]:
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
        return
    yield Place(node, function, role, local)
    if isinstance(node, ast.UnaryOp) and integer(node) is not None:  # -1 is one literal
        return
    inside = function
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and (
        function == "<module>" or function.endswith(".")
    ):
        inside = ("" if function == "<module>" else function) + node.name
        inside += "." if isinstance(node, ast.ClassDef) else ""
    for field, child in _children(node):
        yield from _walk(child, inside, _role(node, field, child, role), local)


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The children that may be changed, by position in the source: no annotations, decorators, messages."""
    message = None
    if isinstance(node, ast.Call) and name_of(node.func) in MESSAGE_ARGUMENTS:
        position = MESSAGE_ARGUMENTS[name_of(node.func)]
        message = node.args[position] if position < len(node.args) else None
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and child is not message:
                yield field, child


def _role(node: ast.AST, field: str, child: ast.AST, role: str) -> str:
    if isinstance(node, ast.keyword):
        return "axis" if node.arg == "axis" else "mask"
    if isinstance(node, ast.Return) or (role == "returned" and isinstance(child, ast.Tuple)):
        return "mask" if isinstance(child, ast.Call) else "returned"
    if isinstance(node, ast.If | ast.IfExp | ast.While) and field == "test":
        return "condition"
    if (isinstance(node, ast.Call) and field == "args" and not is_numpy(node, "where")) or (
        isinstance(node, ast.Subscript) and field == "slice"
    ):
        return "mask"
    return ""
