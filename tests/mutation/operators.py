"""Our own mutation operators: the mistakes that NumPy code makes and that general mutators do not.

Each operator takes a place of the syntax tree (places.py) and yields what could stand there instead.
"""

import ast
import builtins
from collections.abc import Callable, Iterator
from copy import deepcopy

from mutation.places import Place, integer, is_numpy, name_of, root_of

COUNTERPARTS = {
    "sum": ["mean"], "mean": ["sum"], "max": ["min"], "min": ["max"], "maximum": ["minimum"],
    "minimum": ["maximum"], "argmax": ["argmin"], "argmin": ["argmax"], "any": ["all"], "all": ["any"],
    "tril": ["triu"], "triu": ["tril"], "sin": ["cos"], "cos": ["sin"], "zeros": ["ones"], "ones": ["zeros"],
    "zeros_like": ["ones_like"], "ones_like": ["zeros_like"], "log1p": ["log"], "cumsum": ["cumprod"],
    "cumprod": ["cumsum"], "sqrt": ["abs"], "square": ["abs"],
}  # fmt: skip
OTHER_DTYPE = {"float64": "float32", "float32": "float64", "int64": "int32", "int32": "int64"}
BOUNDARY = {ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt}
OPPOSITE = {
    ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip
BOOLEAN_NAMES = ("mask", "visible", "keep", "wrong", "inside", "padding")
SUMS, PRODUCTS = (ast.Add, ast.Sub), (ast.Mult, ast.Div)


def _changed(node: ast.AST, **fields: object) -> ast.AST:
    """A copy of the node with other fields."""
    new = deepcopy(node)
    for field, value in fields.items():
        setattr(new, field, value)
    return new


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def matmul_swapped(place: Place) -> Iterator[ast.AST]:
    node = place.node
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield _changed(node, left=node.right, right=node.left)


def _dropped(node: ast.AST, family: tuple[type, ...], inverse: type) -> Iterator[ast.expr]:
    """One operand of a chain less; the left one only where it is no chain itself (it has its own place)."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, family):
        yield node.left
        if not (isinstance(node.left, ast.BinOp) and isinstance(node.left.op, family)):
            one_over = ast.BinOp(ast.Constant(1.0), ast.Div(), node.right)
            minus = ast.UnaryOp(ast.USub(), node.right)
            rest: dict[type, ast.expr] = {ast.Sub: minus, ast.Div: one_over}
            yield rest.get(inverse, node.right) if isinstance(node.op, inverse) else node.right


def term_dropped(place: Place) -> Iterator[ast.AST]:
    yield from _dropped(place.node, SUMS, ast.Sub)


def factor_dropped(place: Place) -> Iterator[ast.AST]:
    yield from _dropped(place.node, PRODUCTS, ast.Div)


def power_dropped(place: Place) -> Iterator[ast.AST]:
    if isinstance(place.node, ast.BinOp) and isinstance(place.node.op, ast.Pow):
        yield place.node.left


def condition_dropped(place: Place) -> Iterator[ast.AST]:
    """One operand of `and`, `or`, `&`, `|` less; of two dictionaries too."""
    node = place.node
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
        yield from (node.left, node.right)
    if isinstance(node, ast.BoolOp):
        for i in range(len(node.values)):
            rest = node.values[:i] + node.values[i + 1 :]
            yield rest[0] if len(rest) == 1 else _changed(node, values=rest)


def condition_negated(place: Place) -> Iterator[ast.AST]:
    node = place.node
    negated = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    if place.role == "condition" and not isinstance(node, ast.Compare) and not negated:
        yield ast.UnaryOp(ast.Not(), node)  # type: ignore[arg-type]


def transpose_dropped(place: Place) -> Iterator[ast.AST]:
    node = place.node
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    if isinstance(node, ast.Call) and name_of(node.func) in ("swapaxes", "transpose"):
        yield node.args[0] if root_of(node.func) == "np" else node.func.value  # type: ignore[attr-defined]


def axis_changed(place: Place) -> Iterator[ast.AST]:
    """A reduction over another axis, or over all of them."""
    node = place.node
    if not isinstance(node, ast.Call):
        return
    for i, keyword in enumerate(node.keywords):
        value = integer(keyword.value)
        if keyword.arg == "axis" and value is not None:
            for other in (-1, 0) if value not in (-1, 0) else (0, -2) if value == -1 else (-1, 1):
                changed = _changed(node)
                changed.keywords[i].value = _parsed(str(other))  # type: ignore[attr-defined]
                yield changed
            yield _changed(node, keywords=node.keywords[:i] + node.keywords[i + 1 :])


def keepdims_dropped(place: Place) -> Iterator[ast.AST]:
    node = place.node
    if isinstance(node, ast.Call) and any(keyword.arg == "keepdims" for keyword in node.keywords):
        yield _changed(node, keywords=[k for k in node.keywords if k.arg != "keepdims"])


def counterpart(place: Place) -> Iterator[ast.AST]:
    """sum for mean, max for min, tril for triu, sin for cos, zeros for ones, ..."""
    node = place.node
    if isinstance(node, ast.Call):
        for other in COUNTERPARTS.get(name_of(node.func), []):
            if isinstance(node.func, ast.Attribute):
                yield _changed(node, func=_changed(node.func, attr=other))
            elif other in dir(builtins):
                yield _changed(node, func=_changed(node.func, id=other))


def scatter(place: Place) -> Iterator[ast.AST]:
    """Plain assignment, where the last of several equal indices wins, for a scatter-add, and the reverse."""
    node = place.node
    if is_numpy(node, "bincount") and len(node.args) == 2:  # type: ignore[attr-defined]
        assign = "(lambda i, w, minlength: (y := np.zeros(minlength, w.dtype), np.put(y, i, w))[0])"
        yield _changed(node, func=_parsed(assign))
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and len(node.value.args) == 3:
        if ast.unparse(node.value.func) == "np.add.at":
            x, i, v = (ast.unparse(arg) for arg in node.value.args)
            yield ast.parse(f"{x}[{i}] += {v}").body[0]
    if (
        isinstance(node, ast.AugAssign)
        and isinstance(node.op, ast.Add)
        and isinstance(node.target, ast.Subscript)
    ):
        x, i, v = (ast.unparse(part) for part in (node.target.value, node.target.slice, node.value))
        if not any(isinstance(part, ast.Slice) for part in ast.walk(node.target.slice)):
            yield ast.parse(f"np.add.at({x}, {i}, {v})").body[0]


def triangle_moved(place: Place) -> Iterator[ast.AST]:
    node = place.node
    if (
        isinstance(node, ast.Call)
        and root_of(node.func) == "np"
        and name_of(node.func) in ("tril", "triu", "tri", "eye")
    ):
        for k in (1, -1):
            keywords = [keyword for keyword in node.keywords if keyword.arg != "k"]
            yield _changed(node, keywords=[*keywords, ast.keyword("k", _parsed(str(k)))])


def float_scaled(place: Place) -> Iterator[ast.AST]:
    node = place.node
    if isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield ast.Constant(float(f"{node.value * 1.001:.12g}") if node.value else 0.001)


def integer_moved(place: Place) -> Iterator[ast.AST]:
    """One step towards the other side of 0, and both ways outside functions, where mutmut has no part."""
    value = integer(place.node)
    if value is not None and place.role != "axis":
        yield _parsed(str(value - 1 if value >= 0 else value + 1))
        if place.function == "<module>":
            yield _parsed(str(value + 1 if value >= 0 else value - 1))


def negation_dropped(place: Place) -> Iterator[ast.AST]:
    node = place.node
    if (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub | ast.Not | ast.Invert)
        and integer(node) is None
    ):
        yield node.operand


def dtype_changed(place: Place) -> Iterator[ast.AST]:
    node = place.node
    if isinstance(node, ast.Attribute) and root_of(node) == "np" and node.attr in OTHER_DTYPE:
        yield _changed(node, attr=OTHER_DTYPE[node.attr])
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr == "astype":
            yield node.func.value
        if any(keyword.arg == "dtype" for keyword in node.keywords):
            yield _changed(node, keywords=[k for k in node.keywords if k.arg != "dtype"])


def copy_dropped(place: Place) -> Iterator[ast.AST]:
    node = place.node
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "copy":
        yield node.func.value


def real_dropped(place: Place) -> Iterator[ast.AST]:
    if isinstance(place.node, ast.Attribute) and place.node.attr == "real":
        yield place.node.value


def reversal_dropped(place: Place) -> Iterator[ast.AST]:
    node = place.node
    if isinstance(node, ast.Call) and name_of(node.func) == "reversed" and len(node.args) == 1:
        yield node.args[0]
    if isinstance(node, ast.Subscript) and ast.unparse(node.slice) == "::-1":
        yield node.value


def new_axis_dropped(place: Place) -> Iterator[ast.AST]:
    node = place.node
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        if any(isinstance(part, ast.Constant) and part.value is None for part in node.slice.elts):
            yield node.value


def returned_swapped(place: Place) -> Iterator[ast.AST]:
    """Neighbors in a returned tuple change places."""
    node = place.node
    if place.role == "returned" and isinstance(node, ast.Tuple):
        for i in range(len(node.elts) - 1):
            yield _changed(node, elts=_neighbors_swapped(node.elts, i))


def unpacked_swapped(place: Place) -> Iterator[ast.AST]:
    """Neighbors on the left of `a, b = ...` change places, or the values of neighbors in {...}."""
    node = place.node
    if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Store):
        for i in range(len(node.elts) - 1):
            yield _changed(node, elts=_neighbors_swapped(node.elts, i))
    if isinstance(node, ast.Dict):
        for i in range(len(node.values) - 1):
            yield _changed(node, values=_neighbors_swapped(node.values, i))


def arguments_swapped(place: Place) -> Iterator[ast.AST]:
    """Neighboring arguments of a call to a function of the project change places."""
    node = place.node
    if not isinstance(node, ast.Call) or not _is_ours(node.func, place.local):
        return
    for i in range(len(node.args) - 1):
        if not any(isinstance(arg, ast.Starred) for arg in node.args[i : i + 2]):
            yield _changed(node, args=_neighbors_swapped(node.args, i))


def _neighbors_swapped(parts: list[ast.expr], i: int) -> list[ast.expr]:
    return [*parts[:i], parts[i + 1], parts[i], *parts[i + 2 :]]


def _is_ours(function: ast.expr, local: frozenset[str]) -> bool:
    if isinstance(function, ast.Name):
        return function.id in local
    return root_of(function) in local | {"self", "cls"} or name_of(function) in ("forward", "backward")


def boundary(place: Place) -> Iterator[ast.AST]:
    yield from _compared(place.node, BOUNDARY)


def comparison_negated(place: Place) -> Iterator[ast.AST]:
    yield from _compared(place.node, OPPOSITE)


def _compared(node: ast.AST, table: dict[type, type]) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            if type(op) in table:
                yield _changed(node, ops=[*node.ops[:i], table[type(op)](), *node.ops[i + 1 :]])


def where_swapped(place: Place) -> Iterator[ast.AST]:
    node = place.node
    if is_numpy(node, "where") and len(node.args) == 3:  # type: ignore[attr-defined]
        condition, a, b = node.args  # type: ignore[attr-defined]
        yield _changed(node, args=[condition, b, a])


def mask_negated(place: Place) -> Iterator[ast.AST]:
    """A mask that is handed on or indexes an array, turned around; an absent mask (None) stays absent."""
    node = place.node
    if place.role == "mask" and isinstance(node, ast.Name) and node.id.endswith(BOOLEAN_NAMES):
        yield _parsed(f"None if {node.id} is None else ~{node.id}")
    elif place.role == "mask" and isinstance(node, ast.Call) and name_of(node.func) == "eye":
        yield ast.UnaryOp(ast.Invert(), node)


def statement_dropped(place: Place) -> Iterator[ast.AST]:
    """x *= ..., x = f(x), x[i] = ..., f(x) as a statement, and a guard that raises."""
    node = place.node
    drop = isinstance(node, ast.AugAssign) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )
    drop = drop or (
        isinstance(node, ast.If) and not node.orelse and all(isinstance(s, ast.Raise) for s in node.body)
    )
    if isinstance(node, ast.Assign):
        targets = [
            t for target in node.targets for t in (target.elts if isinstance(target, ast.Tuple) else [target])
        ]
        used = {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)}
        again = all(isinstance(target, ast.Name) and target.id in used for target in targets)
        drop = again or all(isinstance(target, ast.Subscript) for target in targets)
    if drop:
        yield ast.Pass()


OPERATORS: dict[str, Callable[[Place], Iterator[ast.AST]]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        matmul_swapped, term_dropped, factor_dropped, power_dropped, condition_dropped, condition_negated,
        transpose_dropped, axis_changed, keepdims_dropped, counterpart, scatter, triangle_moved, float_scaled,
        integer_moved, negation_dropped, dtype_changed, copy_dropped, real_dropped, reversal_dropped,
        new_axis_dropped, returned_swapped, unpacked_swapped, arguments_swapped, boundary, comparison_negated,
        where_swapped, mask_negated, statement_dropped,
    )
}  # fmt: skip
