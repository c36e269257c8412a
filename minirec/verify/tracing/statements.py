"""The statements of a source file by line, as trace.py prints them: whole, without comments.

A compound statement is only its head here: `if x:` is one statement, and so is each in its block.
"""

import ast
import functools
import io
import linecache
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any


@dataclass
class Statement:
    """A statement without the block below it: `if x:` is one, and so is every line of its block."""

    start: int
    end: int
    column: int
    text: str
    targets: set[str]  # names on the left of =
    returned: list[str] | None  # of `return`: the names of what it returns, "" where it has none
    block: bool  # a `with`


@functools.lru_cache(maxsize=64)
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


@functools.lru_cache(maxsize=64)
def _parsed(file: str, text: str) -> dict[int, Statement]:
    lines = _without_comments(text)
    found: dict[int, Statement] = {}
    nodes = [n for n in ast.walk(_tree(text)) if isinstance(n, ast.stmt | ast.ExceptHandler)]
    spans = [(*_span(node), node) for node in nodes]
    for start, end, node in sorted(spans, key=lambda s: (s[0], -s[1])):
        source = textwrap.dedent("\n".join(line for line in lines[start - 1 : end] if line.strip()))
        statement = Statement(
            start,
            end,
            node.col_offset,
            source,
            set(_targets(node)),
            _returned(node),
            isinstance(node, ast.With),
        )
        above = found.get(start)
        if above is not None and (above.start, above.end) == (start, end):  # two on one line
            above.targets |= statement.targets
            above.returned = statement.returned if above.returned is None else above.returned
            continue
        found.update(dict.fromkeys(range(start, end + 1), statement))
    return found


def statements(file: str) -> dict[int, Statement]:
    """{line: the statement that it belongs to}; empty where the source is not at hand."""
    text = "".join(linecache.getlines(file))
    try:
        return _parsed(file, text)
    except (SyntaxError, tokenize.TokenError):  # the file was changed since it was imported
        return {}


def lambda_body(code: CodeType) -> str:
    """What a lambda returns; "" where the source is not at hand."""
    try:
        tree = _tree("".join(linecache.getlines(code.co_filename)))
    except SyntaxError:
        return ""
    names = list(code.co_varnames[: code.co_argcount])
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Lambda) and n.lineno == code.co_firstlineno]
    fitting = [n for n in found if [a.arg for a in (*n.args.posonlyargs, *n.args.args)] == names]
    return ast.unparse(fitting[0].body) if fitting else ""


def docstring(code: CodeType) -> str:
    """The docstring of a function; "" where it has none, or where the source is not at hand."""
    try:
        tree = _tree("".join(linecache.getlines(code.co_filename)))
    except SyntaxError:
        return ""
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == code.co_name]
    found = [n for n in functions if _span(n)[0] == code.co_firstlineno]
    return ast.get_docstring(found[0]) or "" if found else ""


def _span(node: Any) -> tuple[int, int]:
    """First and last line; of a compound statement only its head, unless its block begins on that line."""
    start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    body = getattr(node, "body", None)
    if not body:
        return start, node.end_lineno
    heads = [child for name, child in ast.iter_fields(node) if isinstance(child, ast.expr)]
    head = max([node.lineno, *(child.end_lineno or 0 for child in heads)])
    first = _span(body[0])[0]
    return start, first - 1 if first > head else node.end_lineno


def _targets(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value is not None:
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (
                n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            )


def _returned(node: ast.AST) -> list[str] | None:
    if not isinstance(node, ast.Return):
        return None
    parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    return [part.id if isinstance(part, ast.Name) else "" for part in parts]


def _without_comments(text: str) -> list[str]:
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    return lines
