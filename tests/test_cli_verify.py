"""The commands verify and trace as a reader meets them: the sheet, a formula of their own, wrong input."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minirec import cli, cli_verify, plots
from minirec import functional as F
from minirec.verify.formulas import FAMILIES, SHEET
from minirec.verify.specification import EXAMPLE
from minirec.verify.tracing.entry import trace_entry

OWN = """
import numpy as np

def soft_forward(x):
    e = np.exp(x - x.real.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return p, p

def soft_backward(dp, p):
    return p * (dp - (p * dp).sum(axis=-1, keepdims=True))

def diagonal_backward(dp, p):
    return p * dp

def naive_forward(x):
    e = np.exp(x)
    return soft_forward(np.log(e))

def norm_forward(x, gamma, beta, eps=1e-5):
    centered = x - x.mean(axis=-1, keepdims=True)
    inv_std = 1.0 / np.sqrt((centered * centered).mean(axis=-1, keepdims=True) + eps)
    return gamma * centered * inv_std + beta, (centered * inv_std, inv_std, gamma)

def norm_backward(dy, cache):
    x_hat, inv_std, gamma = cache
    d = gamma * dy
    dx = (d - d.mean(axis=-1, keepdims=True) - x_hat * (d * x_hat).mean(axis=-1, keepdims=True)) * inv_std
    axes = tuple(range(dy.ndim - 1))
    return dx, (dy * x_hat).sum(axis=axes), dy.sum(axis=axes)

def unreduced_backward(dy, cache):
    dx, dgamma, _ = norm_backward(dy, cache)
    return dx, dgamma, dy

def rows_forward(E, ids, scale=2.0):
    return E[ids] * scale, (ids, E.shape, scale)

def rows_backward(dy, cache):
    ids, shape, scale = cache
    dE = np.zeros(shape)
    np.add.at(dE, ids, dy * scale)
    return dE

def overwritten_backward(dy, cache):
    ids, shape, scale = cache
    dE = np.zeros(shape)
    dE[ids] += dy * scale
    return dE

def failing_forward(x):
    return x @ np.ones(99), x

def failing_backward(dy, x):
    return dy

def alone(x):
    return x * 2.0

def short_forward(x):
    return (x * x).astype(np.float32), x

def short_backward(dy, x):
    return 2 * x * dy

def log_forward(x, scale=1.0):
    return np.log(x) * scale, (x, scale)

def log_backward(dy, cache):
    x, scale = cache
    return dy * scale / x

def rms(prediction, truth):
    return np.sqrt(np.mean((prediction - truth) ** 2))

def mean_error(prediction, truth):
    return np.mean(np.abs(prediction - truth))

def product(x, y, *, by=3.0):
    return x * y * by

def product_vjp(x, y, *, by=3.0):
    return x * y * by, lambda dy: (dy * y * by, dy * x * by)

def energy(x, A):
    return 0.5 * x @ A @ x

def energy_gradient(x, A):
    return 0.5 * (A + A.T) @ x, 0.5 * np.outer(x, x)

def wrong_gradient(x, A):
    return A @ x, 0.5 * np.outer(x, x)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: Any) -> Path:
    """A folder with the reader's file, which the command runs in."""
    (tmp_path / "mine.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "broken.py").write_text("def f(:\n", encoding="utf-8")
    (tmp_path / "with_arguments.py").write_text(
        OWN + "\ndef arguments(rng):\n    return (rng.standard_normal((2, 3)),)\n", encoding="utf-8"
    )
    (tmp_path / "notes.txt").write_text("hello\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: Any, line: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(shlex.split(line))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# The sheet.


def test_one_row_for_each_formula_and_a_summary(capsys: Any) -> None:
    code, out, err = run(capsys, "verify softmax relu softmax")
    assert (code, err) == (0, "")
    head, first, second, last = out.splitlines()
    assert head.split() == ["formula", "forward", "gradient", "adjoint", "properties", "verdict"]
    assert (first.split()[0], second.split()[0]) == ("relu", "softmax")  # in the order of the sheet
    assert first.endswith("holds")
    assert last.startswith("2 formulas: all hold.")
    assert run(capsys, "verify relu softmax")[1] == out
    assert run(capsys, "verify relu softmax --seed 1")[1] != out


def test_a_family_and_everything(capsys: Any, monkeypatch: Any) -> None:
    code, out, _ = run(capsys, "verify activations")
    assert code == 0
    assert [row.split()[0] for row in out.splitlines()[1:-1]] == [f.name for f in FAMILIES["activations"]]
    assert [f.name for f in cli_verify._chosen(["activations", "softmax"])] == [
        *(f.name for f in FAMILIES["activations"]),
        "softmax",
    ]
    assert cli_verify._chosen([]) == list(SHEET.values())


def test_a_wrong_formula_fails_with_exit_code_1(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(F, "relu_backward", lambda dy, cache: dy * 1.001)
    code, out, err = run(capsys, "verify relu gelu")
    assert (code, err) == (1, "")
    assert re.search(r"^relu .* FAILS$", out, re.MULTILINE)
    assert re.search(r"^gelu .* holds$", out, re.MULTILINE)
    assert "1 FAILS (relu)" in out.splitlines()[-1]


def test_the_report_is_a_page_with_figures(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(plots, "save", lambda figure, path: Path(path).touch())  # drawing is slow
    code, out, _ = run(capsys, "verify relu --report runs/relu")
    assert code == 0
    assert out.splitlines()[-1] == f"Wrote verify.md and 1 figure in {Path('runs/relu')}."
    page = Path("runs/relu/verify.md").read_text(encoding="utf-8")
    assert "relu.svg" in page
    code, out, _ = run(capsys, "verify mine.py:soft,diagonal_backward --args x:2x3 --report runs/own")
    code, out, _ = run(capsys, "verify mine.py:soft_forward,diagonal_backward --args x:2x3 --report runs/own")
    assert code == 1
    page = Path("runs/own/verify.md").read_text(encoding="utf-8")
    assert "FAILED full Jacobian" in page
    assert ".svg" in page


# The reader's own formula.


@pytest.mark.parametrize(
    "line",
    [
        "mine.py:soft --args x:3x5",
        "mine.py:soft_forward,soft_backward --args x:7 --seed 5",
        "with_arguments.py:soft",
        'mine.py:norm --args "beta:5 x:2x3x5 gamma:pos:5 eps=1e-3"',
        'mine.py:norm --args "beta:5 x:2x3x5 gamma:pos:5" --wrt x,gamma,beta',
        'mine.py:rows --args "E:7x3 ids:int<7:2x5"',
        'mine.py:product,product_vjp --style vjp --args "x:3x5 y:3x5"',
        'mine.py:product,product_vjp --style vjp --args "x:3x5 y:3x5 by=-0.5"',
        'mine.py:energy,energy_gradient --style gradient --args "x:5 A:5x5"',
    ],
)
def test_a_right_formula_holds(capsys: Any, line: str) -> None:
    code, out, err = run(capsys, f"verify {line}")
    assert (code, err) == (0, ""), out + err
    assert out.startswith("gradient of ")
    assert ": ok, largest relative error" in out
    assert "full Jacobian" in out


WRONG_FORMULAS = [
    ("mine.py:soft_forward,diagonal_backward --args x:3x5", "FAILED full Jacobian"),
    ('mine.py:norm_forward,unreduced_backward --args "x:3x5 gamma:5 beta:5"', "dbeta has shape (3, 5)"),
    ('mine.py:rows_forward,overwritten_backward --args "E:3x5 ids:int<3:7"', "FAILED full Jacobian"),
    ('mine.py:energy,wrong_gradient --style gradient --args "x:5 A:5x5"', "FAILED full Jacobian"),
    ('mine.py:norm --args "x:3x5 gamma:5 beta:5" --wrt x,gamma', "3 returned for 2"),
    ("mine.py:soft --args x:3x5 --zero x", "FAILED declared zeros are zero"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), WRONG_FORMULAS)
def test_a_wrong_formula_is_reported_in_full(capsys: Any, line: str, words: str) -> None:
    code, out, err = run(capsys, f"verify {line}")
    assert (code, err) == (1, "")
    assert "FAILED, largest" in out.splitlines()[0]
    assert words in out


def test_a_result_of_single_precision_is_said_once(capsys: Any) -> None:
    code, out, _ = run(capsys, "verify mine.py:short --args x:3x5")
    assert code == 1
    assert "y is float32, not float64" in out
    assert out.count("float32") == 1
    assert "perhaps" not in out
    assert "probably" not in out


def test_where_y_is_no_number_the_way_to_positive_arguments_is_named(capsys: Any, folder: Path) -> None:
    code, out, _ = run(capsys, "verify mine.py:log --args x:3x5")
    assert code == 1
    assert "NaN or Inf in y; only for positive numbers? then write x:pos:3x5 in --args\n" in out
    assert run(capsys, "verify mine.py:log --args x:pos:3x5")[0] == 0
    assert "positive" not in run(capsys, "verify mine.py:log --args 'x:pos:5 scale=nan'")[1]
    (folder / "drawn.py").write_text(
        OWN + "\ndef arguments(rng):\n    return (rng.standard_normal((2, 3)),)\n", encoding="utf-8"
    )
    out = run(capsys, "verify drawn.py:log")[1]
    assert "let arguments(rng) draw such, as 0.5 + rng.random(shape)" in out


def test_the_seed_decides_the_numbers(capsys: Any) -> None:
    one, two, other = (
        run(capsys, f"verify mine.py:soft --args x:3x5 --seed {seed}")[1] for seed in (1, 1, 2)
    )
    assert one == two != other


def test_a_large_formula_is_checked_in_random_directions(capsys: Any) -> None:
    code, out, _ = run(capsys, "verify mine.py:soft --args x:53x47")
    assert code == 0
    assert "2491 x 2491 derivatives are too many for the full Jacobian" in out
    assert "ok     adjoint" in out
    assert "ok     full Jacobian" not in out
    assert run(capsys, "verify mine.py:soft_forward,diagonal_backward --args x:53x47")[0] == 1


# Against a formula of the sheet.


def test_against_the_sheet_at_its_own_arguments(capsys: Any) -> None:
    code, out, err = run(capsys, "verify mine.py:soft --against softmax")
    assert (code, err) == (0, ""), out
    assert "ok     forward as defined" in out
    assert "ok     rows sum to 1" in out
    assert re.search(r"^soft against softmax, mask.*: left out, soft does not take its arguments$", out, re.M)
    assert re.search(r"^soft against softmax: holds at \d places\.$", out.splitlines()[-1])


def test_against_the_sheet_a_fault_shows_at_its_place(capsys: Any) -> None:
    code, out, _ = run(capsys, "verify mine.py:naive_forward,soft_backward --against softmax")
    assert code == 1
    at = next(line for line in out.splitlines() if line.startswith("naive against softmax, one axis, large"))
    assert "FAILED" in at
    assert "NaN or Inf in y" in out
    first = out[: out.index("naive against softmax, three axes")]  # nothing overflows but a shift by 1000
    assert re.findall(r"FAILED (.+?)  ", first) == ["a shift of a row changes nothing"]


def test_against_a_formula_without_gradient_one_function_is_enough(capsys: Any) -> None:
    code, out, err = run(capsys, "verify mine.py:rms --against rmse")
    assert (code, err) == (0, ""), out
    assert "full Jacobian" not in out
    code, out, _ = run(capsys, "verify mine.py:mean_error --against rmse")
    assert code == 1
    assert "FAILED forward as defined" in out


# trace


def test_a_trace_shows_forward_and_backward(capsys: Any) -> None:
    code, out, err = run(capsys, "trace softmax")
    assert (code, err) == (0, "")
    assert out.startswith("softmax, forward")
    for text in (
        "  peak = reductions.row_maxima(x.real)\n      peak (2, 1) = ",
        "softmax, backward",
        "dx (2, 3) =",
    ):
        assert text in out
    assert run(capsys, "trace softmax --seed 3")[1] != out
    deep, flat = (run(capsys, f"trace attention --depth {n}")[1] for n in (1, 0))
    assert "      softmax_forward" in deep
    assert "      softmax_forward" not in flat


def test_a_trace_of_the_readers_own_formula(capsys: Any) -> None:
    code, out, err = run(capsys, 'trace mine.py:norm --args "x:2x3 gamma:3 beta:3"')
    assert (code, err) == (0, "")
    assert re.match(r"norm, forward +mine\.py\n", out)
    assert "  centered = x - x.mean(axis=-1, keepdims=True)\n      centered (2, 3) = [[" in out
    assert "x_hat (2, 3) is cache[0]" in out
    assert run(capsys, "trace with_arguments.py:soft")[0] == 0
    one, two = (run(capsys, f"trace mine.py:soft --args x:2x3 --seed {seed}")[1] for seed in (1, 2))
    for name in ("x", "dp"):
        at = [re.search(rf"^  {name} \(2, 3\) = .*$", text, re.MULTILINE) for text in (one, two)]
        assert at[0][0] != at[1][0], name
    code, out, _ = run(capsys, 'trace mine.py:product,product_vjp --style vjp --args "x:3 y:3"')
    assert code == 0
    assert "return x * y * by" in out


@pytest.mark.parametrize("name", list(SHEET))
def test_every_formula_of_the_sheet_can_be_traced(name: str) -> None:
    text = str(trace_entry(SHEET[name], 0, 0))
    assert len(text.splitlines()) > 3
    assert " at 0x" not in text
    assert text == str(trace_entry(SHEET[name], 0, 0))


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("residual", ["residual, forward minirec/nn/residual.py"]),
        (
            "density",
            [
                "InteractionMatrix.from_interactions minirec/data/matrix.py",
                "InteractionMatrix.density minirec/data/matrix.py",
            ],
        ),
        ("sgd_factorization_step", ["sgd_factorization_step minirec/models/matrix_factorization.py"]),
    ],
)
def test_a_trace_begins_at_our_function_and_not_at_the_sheets_way_to_call_it(
    capsys: Any, name: str, heads: list[str]
) -> None:
    out = run(capsys, f"trace {name}")[1]
    found = [" ".join(line.split()) for line in out.splitlines() if re.match(r"\w.*\.py$", line)]
    assert found == heads
    assert "verify/formulas" not in out
    assert "ours" not in out


def test_no_trace_of_the_sheet_shows_the_sheet() -> None:
    for name, formula in SHEET.items():
        text = str(trace_entry(formula, 0, 1))
        assert "verify/formulas" not in text, name
        assert "__init__" not in text, name  # it keeps settings and computes nothing


def test_a_long_trace_is_folded_and_full_shows_it(capsys: Any) -> None:
    short, full = (run(capsys, f"trace MultiHeadAttention{more}")[1] for more in ("", " --full"))
    lines = short.splitlines()
    assert len(lines) + 200 < len(full.splitlines())
    assert full.count("y = x.reshape(-1, x.shape[-1]) @ W + b") == 4
    assert short.count("y = x.reshape(-1, x.shape[-1]) @ W + b") == 1
    assert sum(line.split()[:3] == ["linear_forward", "as", "above"] for line in lines) == 3
    for statement in ("q, of_q = ", "k, of_k = ", "v, of_v = ", "y, of_y = ", "dkey, dW_k, db_k = "):
        assert statement in short  # a line for each formula
    assert lines[-1].endswith("--full shows all.")
    assert "--full" not in full
    assert "p (2, 2, 3) = 0 everywhere" in short
    assert "0 everywhere" not in full
    assert len(run(capsys, "trace Encoder")[1].splitlines()) < 130
    assert "--full" not in run(capsys, "trace softmax")[1]


# Wrong input.

SOFT = "verify mine.py:soft"
# fmt: off
WRONG = [
    ("verify sofmax", "no formula 'sofmax': did you mean softmax ... activations ... FILE.py:forward"),
    ("verify softmax qwrtz", "no formula 'qwrtz': There are the families"),
    ("verify softmax --args x:3", "--args is for a formula of your own (FILE.py ... leave it out"),
    ("verify --wrt x", "--wrt is for a formula of your own"),
    ("verify softmax --zero x", "--zero is for a formula of your own"),
    ("verify softmax --against relu", "--against is for a formula of your own"),
    ("verify softmax --style vjp", "--style is for a formula of your own"),
    ("verify softmax --style jax", "--style ... 'jax' ... pair ... vjp ... gradient"),
    ("verify softmax --seed x", "--seed ... whole number"),
    ("verify softmax --report notes.txt", "--report notes.txt is a file, not a folder"),
    (f"{SOFT} softmax --args x:3", "mine.py:soft is checked alone ... leave the other names out"),
    ("verify nope.py:f,b", "nope.py: no such file"),
    ("verify mine.py", "mine.py names no function: write FILE.py:forward,backward ... it has soft_forward"),
    ("verify mine.py:alone --args x:3", "mine.py:alone names one function, two are needed"),
    ("verify mine.py:sof --args x:3", "mine.py has no 'sof' (did you mean 'soft'?)"),
    ("verify broken.py:f", "broken.py, line 1, `def f(:`: not Python"),
    ("verify mine.py:soft", f"mine.py has no function arguments(rng): write one, or give ... {EXAMPLE}"),
    (f"{SOFT} --args x", f"--args 'x': has neither a shape nor a value ... {EXAMPLE}"),
    (f"{SOFT} --args x:3y5", f"--args 'x:3y5': '3y5' is not a shape ... {EXAMPLE}"),
    (f"{SOFT} --args x:3,5", f"--args 'x:3,5': a shape is written with x: x:3x5; ... {EXAMPLE}"),
    (f"{SOFT} --args y:3", f"--args 'y:3': soft_forward has no parameter 'y' ... it has x ... {EXAMPLE}"),
    (f"{SOFT} --args ''", f"soft_forward needs x ... {EXAMPLE}"),
    (f"{SOFT} --args x:int<7:3", "no argument to differentiate"),
    (f"{SOFT} --args x:3 --wrt y", "--wrt y: there is no such argument: there are x"),
    (f"{SOFT} --args x:3 --zero X", "--zero X: there is no such argument ... there are x"),
    ('verify mine.py:rows --args "E:5x3 ids:int<5:7" --wrt ids', "ids (argument 1) must be a float64 array"),
    ("verify mine.py:failing --args x:3x5", "mine.py, line ... failing_forward, `return ... matmul"),
    ("verify mine.py:alone,failing_backward --args x:3", "an array (3,) ... return (y, cache)"),
    ("verify mine.py:alone,alone --style vjp --args x:3", "must return (y, pullback)"),
    ("verify mine.py:alone,alone --style gradient --args x:3", "f must return one number ... --style vjp"),
    (f"{SOFT} --against sofmax", "--against sofmax: there is no formula 'sofmax': did you mean softmax"),
    (f"{SOFT} --against softmax --args x:3", "--args does not go with --against"),
    (f"{SOFT} --against attention", "mine.py: soft does not take the arguments of attention: q, k, v, mask"),
    ("verify mine.py:rms --against example_weights", "which example_weights is computed by: q, k, v"),
    ("verify mine.py:failing --against softmax", "failing_forward ... matmul ... (at softmax, example)"),
    ("trace", "required ... NAME"),
    ("trace sofmax", "no formula 'sofmax': did you mean softmax"),
    ("trace activations", "activations is a family: name one of relu"),
    ("trace softmax --args x:3", "--args is for a formula of your own"),
    ("trace softmax --depth -1", "--depth ... whole number from 0 up"),
    ("trace mine.py:soft", "no function arguments(rng)"),
    ("trace mine.py:failing --args x:3x5", "in failing_forward"),
]
# fmt: on


@pytest.mark.parametrize(("line", "words"), WRONG)
def test_a_wrong_input_is_one_line_and_exit_code_2(capsys: Any, line: str, words: str) -> None:
    code, out, err = run(capsys, line)
    assert (code, out) == (2, ""), err
    assert err.count("\n") == 1, err
    assert re.search(".*".join(re.escape(part) for part in words.split(" ... ")), err), err


def test_a_report_folder_is_made_before_anything_long(capsys: Any) -> None:
    code, out, err = run(capsys, "verify --report notes.txt/x")
    assert (code, out) == (2, "")
    assert "--report notes.txt/x cannot be made" in err


def test_nothing_is_written_beside_the_readers_file(capsys: Any, folder: Path) -> None:
    before = sorted(p.name for p in folder.iterdir())
    run(capsys, f"{SOFT} --args x:3")
    assert sorted(p.name for p in folder.iterdir()) == before
    assert np.isfinite(len(before))
