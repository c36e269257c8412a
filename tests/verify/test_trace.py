"""minirec.verify.tracing.trace: every statement that ran, what it set, and nothing left behind."""

import functools
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest

from minirec import functional as F
from minirec import nn
from minirec.verify.tracing.display import leaves, lines_of
from minirec.verify.tracing.trace import WIDTH, Step, Trace, trace, trace_pair, upstream

X = np.array([[0.1, -0.5, 1.2], [2.0, 0.3, -0.7]])


class Cache(NamedTuple):
    x: np.ndarray
    total: float


def plain(x, scale=2.0):
    """y = scale x + 1

    And more that is not shown.
    """
    # a comment of its own line
    doubled = x * scale  # and one behind
    total = (
        doubled.sum()  # inside
        + 1.0
    )
    y = doubled + np.array(
        [1.0, 1.0, 1.0],
    )
    return y, Cache(x, total)


def in_place(x):
    y = x * 2.0
    view = y[0]
    view[1] = 7.0
    y += 1.0
    entries = [1]
    entries.append(2)
    return y


def square(x):
    y = x * x
    return y


def scaled(x, by):
    z = square(x)
    return z * by


def calls(x):
    check(x)
    a = scaled(x, 3.0)
    fill(a, 5.0)
    b = sum(square(row).sum() for row in x)
    return a, b


def check(x):
    if x.ndim == 99:
        raise ValueError("too many axes")


def fill(into, value):
    into[0, 0] = value


def branches(n):
    total, b = 0, 2
    for i in range(n):
        if i == 1:
            total += 10
        else:
            total += 1
    with np.errstate(all="ignore"):
        again = total
    try:
        again = again // 0
    except ZeroDivisionError:
        again = -1
    # fmt: off
    a = 1; b = a + 1  # noqa: E702
    # fmt: on
    return again, b


def raising(x):
    x = x + 1.0
    raise RuntimeError("no")


def found(t: Trace) -> list[tuple[int, str, list[str]]]:
    return [(step.depth, step.source, list(step.values)) for step in t.steps]


def equal(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a, b))


def test_every_assignment_appears_once_with_its_value_and_without_comments() -> None:
    t = trace(plain, X)
    assert found(t) == [
        (0, "", ["x", "scale"]),
        (0, "doubled = x * scale", ["doubled"]),
        (0, "total = (\n    doubled.sum()\n    + 1.0\n)", ["total"]),
        (0, "y = doubled + np.array(\n    [1.0, 1.0, 1.0],\n)", ["y"]),
        (0, "return y, Cache(x, total)", ["y", "cache.x", "cache.total"]),
    ]
    v = t.values()
    assert equal(v["doubled"], X * 2.0)
    assert equal(v["y"], X * 2.0 + 1.0)
    assert v["total"] == v["cache.total"] == (X * 2.0).sum() + 1.0
    assert t.steps[-1].same == {"y": "y", "cache.x": "x"}
    assert equal(t.result[0], v["y"])
    assert (t.title, t.formula) == ("plain", "y = scale x + 1")
    assert t.file.endswith("test_trace.py")


def test_arithmetic_in_place_shows_under_every_name_it_reaches() -> None:
    t = trace(in_place, X)
    names = {step.source: list(step.values) for step in t.steps}
    assert names["view = y[0]"] == ["view"]
    assert sorted(names["view[1] = 7.0"]) == ["view", "y"]
    assert sorted(names["y += 1.0"]) == ["view", "y"]
    assert names["entries.append(2)"] == ["entries"]
    before, after = (next(s for s in t.steps if s.source == text) for text in ("y = x * 2.0", "y += 1.0"))
    assert equal(before.values["y"], X * 2.0)  # copies: later arithmetic does not reach them
    expected = X * 2.0
    expected[0, 1] = 7.0
    assert equal(after.values["y"], expected + 1.0)
    assert not after.same


def test_nested_calls_down_to_the_depth_and_checks_left_out() -> None:
    t = trace(calls, X)
    one = [
        (0, "", ["x"]),
        (0, "check(x)", []),
        (0, "a = scaled(x, 3.0)", ["a"]),
        (1, "", ["x", "by"]),
        (1, "z = square(x)", ["z"]),
        (1, "return z * by", ["result"]),
        (0, "fill(a, 5.0)", ["a"]),
        (1, "", ["into", "value"]),
        (1, "into[0, 0] = value", ["into"]),
        (0, "b = sum(square(row).sum() for row in x)", ["b"]),
    ]
    rows = [(1, "", ["x"]), (1, "y = x * x", ["y"]), (1, "return y", [])] * 2
    assert found(t) == [*one, *rows, (0, "return a, b", ["a", "b"])]
    assert next(s for s in t.steps if s.function == "scaled").same == {"x": "x"}
    assert next(s for s in t.steps if s.function == "fill").same == {"into": "a"}
    assert equal(t.steps[5].values["result"], X * X * 3.0)
    assert {s.depth for s in trace(calls, X, depth=0).steps} == {0}
    deep = [s.function for s in trace(calls, X, depth=2).steps if s.depth == 2]
    assert deep == ["square"] * 3
    text = str(t).splitlines()
    line = text.index("  a = scaled(x, 3.0)")
    assert text[line + 1].split()[0] == "scaled"
    assert text[line + 2] == "        x (2, 3) as above"


def test_loops_blocks_and_several_statements_on_a_line() -> None:
    t = trace(branches, 2)
    assert [(s.column, s.source, s.values) for s in t.steps[1:]] == [
        (0, "total, b = 0, 2", {"total": 0, "b": 2}),
        (0, "for i in range(n):", {"i": 0}),
        (4, "if i == 1:", {}),
        (8, "total += 1", {"total": 1}),
        (0, "for i in range(n):", {"i": 1}),
        (4, "if i == 1:", {}),
        (8, "total += 10", {"total": 11}),
        (0, "for i in range(n):", {}),
        (0, 'with np.errstate(all="ignore"):', {}),
        (4, "again = total", {"again": 11}),
        (0, "try:", {}),
        (4, "again = again // 0", {"again": 11}),
        (0, "except ZeroDivisionError:", {}),
        (4, "again = -1", {"again": -1}),
        (0, "a = 1; b = a + 1", {"a": 1, "b": 2}),
        (0, "return again, b", {"again": -1, "b": 2}),
    ]


def other_tracer(frame: Any, event: str, arg: Any) -> None:
    return None


@pytest.mark.parametrize("before", [None, other_tracer])
@pytest.mark.parametrize("function", [plain, raising])
def test_the_old_tracer_is_put_back(before: Any, function: Any) -> None:
    original = sys.gettrace()
    sys.settrace(before)
    try:
        if function is raising:
            with pytest.raises(RuntimeError, match="no"):
                trace(function, X)
        else:
            trace(function, X)
        after = sys.gettrace()
    finally:
        sys.settrace(original)
    assert after is before


def test_softmax_shows_its_intermediates() -> None:
    mask = np.array([[True, False, True], [False, False, False]])
    t = trace(F.softmax_forward, X)
    peak = X.max(axis=-1, keepdims=True)
    e = np.exp(X - peak)
    total = e.sum(axis=-1, keepdims=True)
    expected = {"peak": peak, "e": e, "total": total, "p": e / total, "cache.p": e / total}
    v = t.values()
    assert [n for n in v if n in expected] == list(expected)
    for name, value in expected.items():
        assert equal(v[name], value), name
    assert t.title == "softmax, forward"
    assert t.file == "minirec/functional/softmax.py"
    masked = trace(F.softmax_forward, X, mask)
    sources = [step.source for step in masked.steps]
    assert "np.copyto(x, -math.inf, where=~mask)" in sources
    assert "check_mask(mask, x.shape)" in sources
    assert {step.depth for step in masked.steps} == {0}
    peaks = np.array([[max(x for x, kept in zip(*row, strict=True) if kept)] if any(row[1]) else [-np.inf]
                      for row in zip(X, mask, strict=True)])  # fmt: skip
    assert equal(masked.values()["peak"], peaks)


def test_a_pair_goes_on_from_the_forward_cache() -> None:
    q, k, v = X, X[::-1] + 0.25, X[:, :2] - 0.5
    both = trace_pair(F.attention_forward, F.attention_backward, (q, k, v), 3)
    y, cache = F.attention_forward(q, k, v)
    dy = both.backward.values()["dy"]
    assert equal(dy, upstream(y, np.random.default_rng(3)))
    for name, d in zip(("dq", "dk", "dv"), F.attention_backward(dy, cache), strict=True):
        assert equal(both.backward.values()[name], d), name
    assert next(s.function for s in both.backward.steps if s.depth == 1) == "softmax_backward"
    text = str(both)
    assert text.index("attention, forward") < text.index("y = p v") < text.index("attention, backward")
    assert "\n  ds = p ⊙ (dp − Σ p ⊙ dp) with dp = dy vᵀ" in text
    again = str(trace_pair(F.attention_forward, F.attention_backward, (q, k, v), 3))
    assert again == text


def test_the_gradient_of_a_bare_return_gets_the_name_of_its_argument() -> None:
    args = (X, np.array([2, 0]), np.array([0.5, 1.5]))
    both = trace_pair(F.cross_entropy_forward, F.cross_entropy_backward, args)
    assert "dlogits" in both.backward.values()
    assert both.forward.values()["y"] == F.cross_entropy_forward(*args)[0]
    assert isinstance(both.backward.values()["dloss"], np.float64)
    assert "dx" in trace_pair(F.softmax_forward, F.softmax_backward, (X,)).backward.values()


def test_arguments_are_not_touched_and_a_generator_starts_anew() -> None:
    def forward(x: Any, rng: Any) -> Any:
        x *= rng.random()
        return x, None

    x, rng = X.copy(), np.random.default_rng(5)
    trace_pair(forward, lambda dy, cache: dy, (x, rng))
    assert equal(x, X)
    assert rng.random() == np.random.default_rng(5).random()


def test_the_upstream_gradient_is_signed_and_has_one_decimal() -> None:
    dy = upstream(np.zeros((11, 13)), np.random.default_rng(0))
    assert (dy < 0).any()
    assert (dy > 0).any()
    assert equal(np.round(dy, 1), dy)
    assert 0.1 <= np.abs(dy).min() <= np.abs(dy).max() <= 1.5
    assert upstream(np.zeros(3, dtype=np.float32), np.random.default_rng(0)).dtype == np.float32
    assert isinstance(upstream(np.float64(2.0), np.random.default_rng(0)), np.float64)


def test_a_method_does_not_print_its_module_in_full() -> None:
    block = nn.EncoderBlock(np.random.default_rng(0), 4, 2, 3)
    t = trace(block.forward, X[:, :2].repeat(2, axis=1), depth=0)
    assert t.title == "EncoderBlock, forward"
    assert t.steps[0].values["self"] is nn.EncoderBlock
    assert "  self = EncoderBlock\n" in str(t)
    assert "of_attention = ResidualCache(norm LayerNormCache" in str(t)
    layer = nn.Linear(np.random.default_rng(0), 2, 3)
    few = "block = EncoderBlock(attention.W_q (4, 4), attention.b_q (4,), attention.W_k (4, 4), … 16 in all)"
    assert lines_of("block", block) == [few]
    assert lines_of("layer", layer) == ["layer = Linear(W (2, 3), b (3,))"]
    assert "dW" in trace_pair(layer.forward, layer.backward, (X[:, :2],)).backward.values(1)


def test_a_function_that_is_called_again_is_one_line_in_the_folded_text() -> None:
    t = trace(calls, X)
    text = t.text(full=False).splitlines()
    again = [line for line in text if line.endswith("square as above")]
    assert again == ["      square as above"]  # three calls: one in full, and one of the two in a row
    assert t.text().count("y = x * x") == 2
    assert t.text(full=False).count("y = x * x") == 1
    assert "a = scaled(x, 3.0)" in "\n".join(text)
    assert text[-1] == t.text().splitlines()[-1]
    deep = trace(calls, X, depth=2).text(full=False)  # what a folded call calls is folded with it
    assert deep.count("y = x * x") == 1


def many(x):
    return x, {f"W{i}": x for i in range(7)}


def few(x):
    return x, {f"W{i}": x for i in range(6)}


def test_more_than_six_arrays_of_one_container_are_one_line_in_the_folded_text() -> None:
    t = trace(many, X)
    assert len(t.values()) == 1 + 7
    assert "grads = {W0: (2, 3), W1: (2, 3), W2: (2, 3), … 7 in all}" in t.text(full=False)
    assert "grads.W6 (2, 3) is x" in t.text()
    short = trace(few, X)
    assert short.text(full=False) == short.text() == str(short)


def test_the_gradients_of_several_inputs_get_their_names() -> None:
    layer = nn.MultiHeadAttention(np.random.default_rng(0), 4, 2)
    x = np.random.default_rng(1).standard_normal((2, 4))
    values = trace_pair(layer.forward, layer.backward, (x, x + 1.0, x - 1.0)).backward.values()
    assert {"dquery", "dkey", "dvalue", "grads.W_q"} <= values.keys()
    assert not [name for name in values if name.startswith(("result", "dquery["))]


def test_the_first_line_of_the_docstring_is_that_of_whatever_is_shown_first() -> None:
    t = trace(lambda x: plain(F.softmax_forward(x)[0]), X, files=[])  # of this file nothing is shown
    assert {step.function for step in t.steps} == {"softmax_forward"}
    assert t.formula == (F.softmax_forward.__doc__ or "").partition("\n")[0]
    assert t.title == "softmax, forward"


def test_partials_lambdas_and_functions_without_source() -> None:
    assert trace(functools.partial(scaled, by=3.0), X).title == "scaled"
    two = (lambda x: (x + 1.0, Cache(x, 0.0)), lambda y: y * 2.0)
    t = trace(two[0], X)
    assert [s.source for s in t.steps] == ["", "(x + 1.0, Cache(x, 0.0))"]
    assert [s.source for s in trace(two[1], X).steps] == ["", "y * 2.0"]
    assert equal(t.values()["y"], X + 1.0)
    with pytest.raises(ValueError, match="cannot be traced"):
        trace(np.exp, X)
    with pytest.raises(ValueError, match=r"must return \(y, cache\), got ndarray"):
        trace_pair(square, square, (X,))


def test_numbers_have_four_digits_and_stand_below_each_other() -> None:
    assert lines_of("x", np.array([[0.1, -0.5], [100.25, 1 / 3]])) == [
        "x (2, 2) = [[  0.1     -0.5   ]",
        "            [100.2      0.3333]]",
    ]
    assert lines_of("x", np.array([1.0, -0.0, np.nan, -np.inf, 1.5e-7])) == [
        "x (5,) = [   1.0        0.0      nan       -inf          1.5e-07]"
    ]
    assert lines_of("n", np.array([[[1], [-20]]])) == ["n (1, 2, 1) = [[[  1]", "                [-20]]]"]
    assert lines_of("m", np.array([[True], [False]])) == ["m (2, 1) = [[T]", "            [F]]"]
    assert lines_of("s", np.float32(0.123456)) == ["s = 0.1235"]
    assert lines_of("s", np.array(2.5, dtype=np.float32)) == ["s () float32 = 2.5"]
    assert lines_of("z", np.zeros((0, 3))) == ["z (0, 3) = []"]
    three = lines_of("t", np.arange(8).reshape(2, 2, 2))
    assert three == [
        "t (2, 2, 2) = [[[0 1]",
        "                [2 3]]",
        "",
        "               [[4 5]",
        "                [6 7]]]",
    ]


def test_sixty_numbers_are_printed_in_full_and_more_are_not() -> None:
    assert len(lines_of("x", np.zeros((15, 4)))) == 15
    assert lines_of("x", np.arange(61)) == ["x (61,) = [0 1 2 3 4 5 …]"]
    assert lines_of("x", np.arange(88).reshape(11, 8)) == [
        "x (11, 8) = [[ 0  1  2  3  4  5 …]",
        "             [ 8  9 10 11 12 13 …]",
        "             [16 17 18 19 20 21 …]",
        "             …]",
    ]


def test_other_values_on_one_line() -> None:
    values = {
        "none": (None, "None"),
        "word": ("pre", "'pre'"),
        "flag": (True, "True"),
        "rng": (np.random.default_rng(0), "random generator"),
        "shape": ((2, 3), "(2, 3)"),
        "cache": (Cache(X, 0.5), "Cache(x (2, 3), total 0.5)"),
        "grads": ({"W": X, "n": 3}, "{W: (2, 3), n: 3}"),
        "parts": ([X] * 9, "[(2, 3), (2, 3), (2, 3), … 9 in all]"),
        "f": (square, "square"),
        "mixed": ({"a": (2, 3), "b": (X,)}, "{a: (2, 3), b: tuple}"),
        "thing": (object(), "object"),
    }
    for name, (value, text) in values.items():
        assert lines_of(name, value) == [f"{name} = {text}"]
    nested = Cache(X, ({"a": X}, 2))  # type: ignore[arg-type]
    assert [n for n, _ in leaves("c", nested)] == ["c.x", "c.total"]
    assert [n for n, _ in leaves("c", (X, Cache(X, 1.0)))] == ["c[0]", "c[1].x", "c[1].total"]
    assert [n for n, _ in leaves("c", (X, Cache(X, 1.0)), 1)] == ["c[0]", "c[1]"]


def test_the_steps_are_data() -> None:
    step = trace(square, X).steps[1]
    assert isinstance(step, Step)
    assert (step.depth, step.function, step.source, list(step.values)) == (0, "square", "y = x * x", ["y"])
    assert WIDTH == max(map(len, str(trace(square, X)).splitlines()))
