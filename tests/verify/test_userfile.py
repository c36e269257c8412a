"""minirec.verify.userfile and .specification: a formula from a file, its arguments from a line of text."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minirec.verify import check_gradient
from minirec.verify.own import arguments_for, check_form
from minirec.verify.specification import EXAMPLE, SpecificationError, arguments_from
from minirec.verify.userfile import UserFileError, UserFormula, explained, load

GOOD = """
import numpy as np

half = 0.5

def scale_forward(x, w, eps=1e-5):
    return x * w + eps, (x, w)

def scale_backward(dy, cache):
    x, w = cache
    return dy * w, (dy * x).sum(axis=0)

def other(x):
    return x * 2.0, None

def arguments(rng):
    return rng.standard_normal((3, 5)), rng.standard_normal(5)
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(text: str, name: str = "my_file.py") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return written


def says(error: BaseException, words: str) -> None:
    """One line that holds the words, in this order, whatever stands at the places of ' ... '."""
    text = str(error)
    assert "\n" not in text
    assert re.search(".*".join(re.escape(part) for part in words.split(" ... ")), text), text


# Loading.


@pytest.mark.parametrize(
    "names", ["scale_forward,scale_backward", "scale", " scale_forward , scale_backward "]
)
def test_a_pair_is_found_by_its_two_names_or_by_one(write: Any, names: str) -> None:
    formula = load(f"{write(GOOD)}:{names}")
    assert formula.name == "scale"
    assert [f.__name__ for f in formula.functions] == ["scale_forward", "scale_backward"]
    formula, args = arguments_for(formula, None, np.random.default_rng(0))
    assert [a.shape for a in args] == [(3, 5), (5,)]
    check_form(formula, args)
    assert check_gradient(formula.forward, formula.backward, *args).ok


def test_a_path_with_colons(tmp_path: Path) -> None:
    folder = tmp_path / "C:odd"
    try:
        folder.mkdir()
    except OSError:  # Windows
        pytest.skip("this system allows no colon in a name")
    (folder / "f.py").write_text(GOOD, encoding="utf-8")
    assert load(f"{folder / 'f.py'}:scale").name == "scale"


@pytest.mark.parametrize("flag", [True, False])
def test_nothing_is_left_behind_and_an_edit_is_seen(
    write: Any, tmp_path: Path, monkeypatch: Any, flag: bool
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", flag)
    (tmp_path / "beside_it.py").write_text("factor = 3.0\n", encoding="utf-8")
    text = "from beside_it import factor\nf_forward = lambda x: (x * factor, None)\nf_backward = f_forward\n"
    file, path = write(text), list(sys.path)
    assert load(f"{file}:f").forward(2.0)[0] == 6.0
    write(text.replace("x * factor", "x + factor"))  # within the second, and of the same length
    assert load(f"{file}:f").forward(2.0)[0] == 5.0
    assert sys.path == path
    assert sys.dont_write_bytecode is flag
    assert sorted(p.name for p in tmp_path.iterdir()) == ["beside_it.py", "my_file.py"]
    sys.modules.pop("beside_it")


def test_a_dataclass_in_the_file(write: Any) -> None:
    text = """
from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Cache:
    x: float
def f_forward(x):
    return x * x, Cache(x)
def f_backward(dy, cache):
    return 2 * cache.x * dy
"""
    formula = load(f"{write(text)}:f")
    assert check_gradient(formula.forward, formula.backward, np.array([0.5, -2.0])).ok


BAD_FILES = [
    ("def f(x:\n    return x\n", "my_file.py, line 1, `def f(x:` ... not Python"),
    ("x = 'caf\0'\n", "not Python ... null bytes"),
    ("import numpy\n\nimport no_such_package\n",
     "cannot be imported: line 3, `import no_such_package`: ModuleNotFoundError"),
    ("a = 1\nb = a / 0\n", "cannot be imported: line 2, `b = a / 0`: ZeroDivisionError: division by zero"),
    ("def f():\n    raise ValueError('two\\nlines')\nf()\n",
     "line 2, in f, `raise ... ValueError: two lines"),
    ("raise SystemExit(3)\n", "line 1, `raise SystemExit(3)`: SystemExit: 3"),
    ("open('no_such_file.txt')\n", "line 1, ... FileNotFoundError"),
    ("", "has no 'f' ... my_file.py defines no function ... FILE.py:forward,backward"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), BAD_FILES)
def test_a_file_that_cannot_be_imported(write: Any, text: str, words: str) -> None:
    path = list(sys.path)
    with pytest.raises(UserFileError) as error:
        load(f"{write(text)}:f")
    says(error.value, words)
    assert sys.path == path
    assert "_minirec_file_my_file" not in sys.modules or text == ""


BAD_SPECS = [
    ("", "names no function: write FILE.py:forward,backward ... it has scale_forward, scale_backward, other"),
    (":", "names no function"),
    (":a,b,c", "names 3 functions, two are needed"),
    (":scal", "has no 'scal' (did you mean 'scale'?): it has scale_forward"),
    (":other", ":other names one function, two are needed (forward(*args) -> (y, cache) and ... it has"),
    (":scale_forward", "names forward alone: write ... scale_forward,scale_backward or ... :scale"),
    (":scale_forwrad,scale_backward", "no function 'scale_forwrad' (did you mean 'scale_forward'?): it has"),
    (":scale_forward,nope", "no function 'nope': it has scale_forward, scale_backward, other"),
    (":scale_forward,half", "half is a float, not a function: it has"),
    (":other_forward,", "has no 'other_forward' ... it has"),
]


@pytest.mark.parametrize(("names", "words"), BAD_SPECS)
def test_functions_that_are_not_there(write: Any, names: str, words: str) -> None:
    with pytest.raises(UserFileError) as error:
        load(write(GOOD) + names)
    says(error.value, words)


def test_half_a_pair_names_the_half_that_is_missing(write: Any) -> None:
    with pytest.raises(UserFileError) as error:
        load(write("def f_forward(x): return x, None\ndef f_bakward(dy, c): return dy\n") + ":f")
    says(error.value, "has no 'f_backward' (did you mean 'f_bakward'?)")


def test_files_that_are_not_there(write: Any, tmp_path: Path) -> None:
    write(GOOD)
    (tmp_path / "folder.py").mkdir()
    for spec, words in [
        (f"{tmp_path / 'my_fil.py'}:f", "no such file (did you mean 'my_file.py'?)"),
        (f"{tmp_path / 'nope' / 'x.py'}:f", "no such file (there is no folder"),
        (f"{tmp_path / 'folder.py'}:f", "is a folder: name a Python file"),
        (f"{tmp_path / 'notes.txt'}:f", "does not name functions of a Python file: write FILE.py:forward"),
    ]:
        with pytest.raises(UserFileError) as error:
            load(spec)
        says(error.value, words)
    with pytest.raises(UserFileError, match="no style 'jax': there are pair, vjp, gradient, value"):
        load(f"{tmp_path / 'my_file.py'}:scale", style="jax")


# Arguments of the file.


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return rng.standard_normal(3)", "arguments(rng) must return a tuple, got ndarray: ... write (x,)"),
        ("return (1.0,) * 5", "arguments(rng) gives 5, f_forward takes others: too many positional"),
        ("return ()", "arguments(rng) gives 0, f_forward takes others: missing a required argument: 'x'"),
        ("return rng.nope()", "line 3, in arguments, `return rng.nope()`: AttributeError: "),
    ],
)
def test_wrong_arguments_of_the_file(write: Any, body: str, words: str) -> None:
    text = f"def f_forward(x): return x, None\ndef arguments(rng):\n    {body}\nf_backward = f_forward\n"
    with pytest.raises(UserFileError) as error:
        arguments_for(load(f"{write(text)}:f"), None, np.random.default_rng(0))
    says(error.value, words)


def test_no_arguments_at_all_and_a_specification_that_wins(write: Any) -> None:
    formula = load(f"{write('def f_forward(x, *, by=2.0): return x * by, by' + NL + SIMPLE)}:f")
    with pytest.raises(UserFileError) as error:
        arguments_for(formula, None, np.random.default_rng(0))
    says(error.value, f"has no function arguments(rng): write one, or give ... {EXAMPLE}")
    bound, args = arguments_for(formula, "x:3 by=5.0", np.random.default_rng(0))
    assert np.array_equal(bound.forward(*args)[0], args[0] * 5.0)
    assert check_gradient(bound.forward, bound.backward, *args).ok
    _, args = arguments_for(load(f"{write(GOOD)}:scale"), "w:7 x:2x7", np.random.default_rng(0))
    assert [np.shape(a) for a in args] == [(2, 7), (7,)]


NL = "\n"
SIMPLE = "def f_backward(dy, cache):\n    return dy * cache\n"


# Calling.


def formula_of(write: Any, text: str) -> UserFormula:
    return load(f"{write(text)}:f")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("return x", "f_forward returned an array (3,) of float64 alone: forward must return (y, cache)"),
        ("return x, x, x", "f_forward returned 3 values: forward must return (y, cache)"),
        ("pass", "f_forward returned None (is a return missing?): forward must return (y, cache)"),
        ("return [x, x]", "f_forward returned a list: forward must return (y, cache)"),
        ("return None, x", "y, the first value that f_forward returned, is None"),
        ("return x @ np.ones(5), x", "line 3, in f_forward, `return x @ np.ones(5), x`: ValueError: matmul"),
        ("return helper(x), x", "line 6, in helper, `def helper(x): return x.nope`: AttributeError"),
        ("return x, None", "line 5, in f_backward, `return dy * cache`: TypeError: unsupported operand"),
    ],
)
def test_functions_that_fail_when_they_are_called(write: Any, text: str, words: str) -> None:
    program = f"import numpy as np\ndef f_forward(x):\n    {text}\n{SIMPLE}def helper(x): return x.nope\n"
    formula = formula_of(write, program)
    with pytest.raises(UserFileError) as error:
        check_form(formula, (np.array([1.0, -2.0, 0.5]),))
    says(error.value, words)


def test_an_error_of_the_check_itself_is_not_blamed_on_the_file(write: Any) -> None:
    formula = formula_of(write, f"def f_forward(x): return x, 1.0\n{SIMPLE}")
    with pytest.raises(KeyError, match="mine"), explained(formula):
        raise KeyError("mine")


# The specification.


def f(x, W, ids=None, mask=None, eps=1e-5, *, norm="pre", rng=None):
    return x


def drawn(text: str, function: Any = f, seed: int = 0) -> tuple[Any, Any]:
    return arguments_from(text, np.random.default_rng(seed), function)


def test_items_go_to_the_parameters_of_their_name() -> None:
    (x, W, ids, mask, eps), keywords = drawn("eps=1e-3 W:5x7 x:3x5,ids:int<7:4  mask:bool:3x5 norm=post rng")
    assert [a.shape for a in (x, W, ids, mask)] == [(3, 5), (5, 7), (4,), (3, 5)]
    assert [a.dtype for a in (x, W, ids, mask)] == [np.float64, np.float64, np.int64, np.bool_]
    assert eps == 1e-3
    assert keywords["norm"] == "post"
    assert isinstance(keywords["rng"], np.random.Generator)


def test_gaps_get_their_defaults_and_the_end_is_left_to_the_function() -> None:
    args, keywords = drawn("W:5 x:3 mask:bool:3")
    assert args[2] is None
    assert len(args) == 4
    assert keywords == {}


def test_scalars_and_positive_numbers() -> None:
    (x, W), _ = drawn("x:() W:pos:11x13")
    assert isinstance(x, np.ndarray)
    assert x.shape == ()
    assert 0.5 <= W.min() < 0.7 < 1.3 < W.max() <= 1.5
    (big, _), _ = drawn("x:101x103 W:1")
    assert abs(big.mean()) < 0.05
    assert abs(big.std() - 1.0) < 0.05


@pytest.mark.parametrize("seed", range(25))
def test_ids_repeat_and_masks_have_both_values_and_a_true_in_every_row(seed: int) -> None:
    (_, ids, mask, column), _ = drawn(
        "a:int<97:1 b:int<101:2x3 c:bool:3x2 d:bool:5x1", lambda a, b, c, d: 0, seed
    )
    assert 0 <= ids.min() <= ids.max() < 101
    assert np.unique(ids).size < ids.size
    assert mask.any(axis=-1).all()
    assert not mask.all()
    assert column.any()
    assert not column.all()
    (one, two), _ = drawn("a:bool:() b:bool:1", lambda a, b: 0, seed)
    assert one.shape == ()
    assert one
    assert two.all()


def test_every_id_is_drawn() -> None:
    (ids,), _ = drawn("a:int<3:101", lambda a: 0)
    assert np.unique(ids).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5), ("-3", -3), ("True", True), ("None", None), ("pre", "pre"), ("'a b, c'", "a b, c"),
        ("(0, 1)", (0, 1)), ("[2, 3]", [2, 3]), ('""', ""), ("-inf", -np.inf), ("a-b", "a-b"),
    ],
)  # fmt: skip
def test_values(text: str, value: Any) -> None:
    (found, after), _ = drawn(f"a={text} b=1", lambda a, b: 0)
    assert found == value
    assert type(found) is type(value)
    assert after == 1


def test_the_seed_decides() -> None:
    text = "x:3x5 W:int<7:4 mask:bool:3x5 rng"
    one, two, other = (drawn(text, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one[0], two[0], strict=True) if a is not None)
    assert not np.array_equal(one[0][0], other[0][0])
    assert one[1]["rng"].random() == two[1]["rng"].random() != other[1]["rng"].random()


def test_functions_with_stars_and_functions_from_c() -> None:
    assert drawn("b=2 a=1", lambda *args: 0) == ((2, 1), {})
    assert drawn("c=3 b=2 a=1", lambda a, *args: 0) == ((1, 3, 2), {})
    assert drawn("b=2 a=1", lambda a, **options: 0) == ((1,), {"b": 2})
    assert drawn("b=2 a=1", max) == ((2, 1), {})


WRONG = [
    ("x", "'x': has neither a shape nor a value, as in x:3x5 or x=0.5"),
    ("x:3y5", "'x:3y5': '3y5' is not a shape"),
    ("x:", "'x:': '' is not a shape"),
    ("x:3x", "'x:3x': '3x' is not a shape"),
    ("x:-3", "is not a shape"),
    ("x:3,5 W:7", "'x:3,5': a shape is written with x: x:3x5"),
    ("W:pos:2, 3,5", "'W:pos:2,3,5': a shape is written with x: W:pos:2x3x5"),
    ("ids:int<7:4 5 x:3", "'ids:int<7:4,5': a shape is written with x: ids:int<7:4x5"),
    ("x:(3,5)", "'x:(3,5)': a shape is written with x: 3x5, not (3,5)"),
    ("x:[3]", "'x:[3]': a shape is written with x: 3, not [3]"),
    ("x:3*5", "'x:3*5': a shape is written with x: 3x5, not 3*5"),
    ("x:3 eps=5 7", "'7': has neither a shape nor a value"),
    ("x:３", "is not a shape"),
    ("x:0x3", "'x:0x3': the shape 0x3 has an axis of size 0"),
    ("x:9999x9999", "99980001 numbers are too many: at most 1000000"),
    ("x:itn<7:4", "'x:itn<7:4': there is no kind 'itn<7': there are int<7, bool and pos"),
    ("x:int:4", "'x:int:4': 'int' does not say how many ids there are"),
    ("x:int<0:4", "int<0 has no ids"),
    ("x=", "'x=': has no value"),
    ("x=1e-5x", "'x=1e-5x': '1e-5x' is no number"),
    ("x=true", "'x=true': true is written True in Python"),
    ("x={1:2}", "'x={1:2}': a value cannot be a dict"),
    ("x=2j", "a value cannot be a complex"),
    ("x=(1", "a quote or bracket has no partner"),
    ("x='a", "a quote or bracket has no partner"),
    ("3x5", "'3x5': has neither a shape nor a value"),
    ("3:3x5", "'3:3x5': '3' is not a name"),
    (":3x5", "':3x5': '' is not a name"),
    ("x:3 x:4", "'x:4': x is given twice"),
    ("x:3 W:5 mas:bool:3", "'mas:bool:3': f has no parameter 'mas' (did you mean 'mask'?): it has x, W, ids"),
    ("x:3", "'x:3': f needs W, and nothing is said about it"),
    ("", "f needs x, and nothing is said about it"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_a_wrong_specification_names_the_item_the_reason_and_the_grammar(text: str, words: str) -> None:
    with pytest.raises(SpecificationError) as error:
        drawn(text)
    says(error.value, f"--args {words} ... write name:3x5 ... {EXAMPLE}" if words[0] == "'" else words)
    assert str(error.value).endswith(EXAMPLE)
