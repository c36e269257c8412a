"""The mutants of a module: from our own operators, or from mutmut's, as whole sources with stable names.

mutmut is used as a library for what it is good at, its mutation operators (`mutmut.mutation`). Its own runner
copies the tree, rewrites every function into a trampoline and imports by module name, which does not agree
with this project's pytest settings (importlib mode, doctests, warnings as errors); `runner.py` runs both.
"""

import ast
import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mutation.operators import OPERATORS
from mutation.places import MESSAGE_ARGUMENTS, integer, places

TOOLS = ("own", "mutmut")
# What needs parentheses inside another expression.
LOOSE = (ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Lambda)


@dataclass(frozen=True)
class Mutant:
    """One changed source. The name holds no line number, so it survives edits elsewhere in the module."""

    name: str  # functional.softmax:softmax_forward:own.where-swapped:1
    module: str  # functional/softmax.py
    tool: str
    source: str
    essence: str  # equal for sources that differ in nothing that runs

    def diff(self, original: str) -> str:
        lines = (original.splitlines(keepends=True), self.source.splitlines(keepends=True))
        return "".join(difflib.unified_diff(*lines, fromfile=self.module, tofile=self.name, n=1))


class _Essence(ast.NodeTransformer):
    """Leave out what is not counted: docstrings, annotations, texts of messages, whether astype copies."""

    def visit_Expr(self, node: ast.Expr) -> Any:
        self.generic_visit(node)
        return ast.Pass() if isinstance(node.value, ast.Constant) else node

    def visit_arg(self, node: ast.arg) -> Any:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        self.generic_visit(node)
        node.returns = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        self.generic_visit(node)
        node.annotation = ast.Constant(None)
        return node

    def visit_Raise(self, node: ast.Raise) -> Any:
        return ast.Raise(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        position = MESSAGE_ARGUMENTS.get(name, len(node.args))
        if position < len(node.args) and isinstance(node.args[position], ast.JoinedStr | ast.Constant):
            node.args[position] = ast.Constant("")
        if isinstance(node.func, ast.Attribute) and node.func.attr == "astype":
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "copy"]
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        value = integer(node)
        return self.generic_visit(node) if value is None else ast.Constant(value)


def essence(source: str) -> str:
    """What of a source counts, as text: two sources with equal essence are the same program."""
    return ast.dump(_Essence().visit(ast.parse(source)))


def own_sources(source: str) -> Iterator[tuple[str, str, str]]:
    """(function, operator, mutated source) from our operators. The rest of the file keeps its form."""
    raw = source.encode()
    starts = [0]
    for line in raw.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for place in places(ast.parse(source)):
        for operator, function in OPERATORS.items():
            for new in function(place):
                text = ast.unparse(ast.fix_missing_locations(new))
                if isinstance(new, LOOSE) and integer(new) is None:
                    text = f"({text})"
                node: Any = place.node
                begin = starts[node.lineno - 1] + node.col_offset
                end = starts[node.end_lineno - 1] + node.end_col_offset
                yield place.function, operator, (raw[:begin] + text.encode() + raw[end:]).decode()


def mutmut_sources(source: str) -> Iterator[tuple[str, str, str]]:
    """(function, operator, mutated source) from mutmut's operators, in functions as mutmut itself does."""
    import libcst
    from libcst.metadata import MetadataWrapper
    from mutmut.mutation.file_mutation import MutationVisitor, deep_replace
    from mutmut.mutation.mutators import mutation_operators
    from mutmut.mutation.pragma_handling import IgnoredCode

    wrapper = MetadataWrapper(libcst.parse_module(source))
    module, owner = wrapper.module, {}
    for outer in module.body:
        if isinstance(outer, libcst.FunctionDef):
            owner[outer] = outer.name.value
        elif isinstance(outer, libcst.ClassDef):
            for inner in outer.body.body:
                if isinstance(inner, libcst.FunctionDef):
                    owner[inner] = f"{outer.name.value}.{inner.name.value}"
    for kind, operator in mutation_operators:
        visitor = MutationVisitor([(kind, operator)], IgnoredCode(set(), set(), set()))
        wrapper.visit(visitor)
        for mutation in visitor.mutations:
            function = mutation.contained_by_top_level_function
            if function in owner:
                changed: Any = deep_replace(module, mutation.original_node, mutation.mutated_node)
                name = operator.__name__.removeprefix("operator_").replace("_", "-")
                yield owner[function], name, changed.code


def mutants(module: str, source: str, tool: str) -> list[Mutant]:
    """All mutants of one module by one tool; those equal to the original or to another one are left out."""
    sources = {"own": own_sources, "mutmut": mutmut_sources}[tool](source)
    dotted = module.removesuffix(".py").replace("/", ".")
    seen, count, found = {essence(source)}, Counter[str](), []
    for function, operator, mutated in sources:
        stem = f"{dotted}:{function}:{tool}.{operator}"
        count[stem] += 1  # those left out count too: a name does not depend on the others' fate
        try:
            what_counts = essence(mutated)
        except SyntaxError:
            continue
        if what_counts not in seen:
            seen.add(what_counts)
            found.append(Mutant(f"{stem}:{count[stem]}", module, tool, mutated, what_counts))
    return found
