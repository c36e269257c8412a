"""The mutation tester itself: what each operator makes, that names last, and what its exit code says."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from mutation import operators, run, verdict
from mutation.mutants import Mutant, essence, mutants, mutmut_sources, own_sources
from mutation.runner import Outcome, put_in_place

RUN = Path(run.__file__)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the runner refuses a system without fork")

HEAD = "import numpy as np\nfrom minirec.functional.arguments import check_ids, shares\n"

# operator, a line in a function, what it becomes
EXPECTED = [
    ("matmul-swapped", "y = a @ b", ["y = (b @ a)"]),
    ("term-dropped", "y = a + b - c", ["y = (a + b)", "y = a - c", "y = b - c"]),
    ("term-dropped", "y = a - b", ["y = a", "y = (-b)"]),
    ("factor-dropped", "y = a * b / c", ["y = (a * b)", "y = a / c", "y = b / c"]),
    ("factor-dropped", "y = a / b", ["y = a", "y = (1.0 / b)"]),
    ("power-dropped", "y = x ** 2", ["y = x"]),
    ("condition-dropped", "y = a | b", ["y = a", "y = b"]),
    ("condition-dropped", "y = a and b and c", ["y = (b and c)", "y = (a and c)", "y = (a and b)"]),
    ("condition-negated", "y = a if flag else b", ["y = a if (not flag) else b"]),
    ("condition-negated", "y = a if not flag else b", []),
    ("transpose-dropped", "y = W.T", ["y = W"]),
    ("transpose-dropped", "y = k.swapaxes(-1, -2)", ["y = k"]),
    ("transpose-dropped", "y = np.transpose(k)", ["y = k"]),
    ("axis-changed", "y = x.sum(axis=-1)", ["y = x.sum(axis=0)", "y = x.sum(axis=-2)", "y = x.sum()"]),
    ("axis-changed", "y = x.sum(axis=0)", ["y = x.sum(axis=-1)", "y = x.sum(axis=1)", "y = x.sum()"]),
    ("keepdims-dropped", "y = x.max(axis=1, keepdims=True)", ["y = x.max(axis=1)"]),
    ("counterpart", "y = x.sum()", ["y = x.mean()"]),
    ("counterpart", "y = max(a, b)", ["y = min(a, b)"]),
    ("counterpart", "y = np.tril(x)", ["y = np.triu(x)"]),
    ("scatter", "np.add.at(x, i, v)", ["x[i] += v"]),
    ("scatter", "x[i] += v", ["np.add.at(x, i, v)"]),
    ("scatter", "x[1:] += v", []),
    ("triangle-moved", "y = np.tril(x)", ["y = np.tril(x, k=1)", "y = np.tril(x, k=-1)"]),
    ("float-scaled", "y = 0.5 * x", ["y = 0.5005 * x"]),
    ("float-scaled", "y = x + 0.0", ["y = x + 0.001"]),
    ("integer-moved", "y = x[-1], x[2]", ["y = x[0], x[2]", "y = x[-1], x[1]"]),
    ("integer-moved", "y = x.sum(axis=-1)", []),
    ("negation-dropped", "y = -x", ["y = x"]),
    ("negation-dropped", "y = ~mask", ["y = mask"]),
    ("dtype-changed", "y = z(n, dtype=np.float32)", ["y = z(n)", "y = z(n, dtype=np.float64)"]),
    ("dtype-changed", "y = x.astype(d)", ["y = x"]),
    ("copy-dropped", "y = x.copy()", ["y = x"]),
    ("real-dropped", "y = x.real.max()", ["y = x.max()"]),
    ("reversal-dropped", "y = list(reversed(x))", ["y = list(x)"]),
    ("reversal-dropped", "y = x[::-1]", ["y = x"]),
    ("new-axis-dropped", "y = x[..., None] * w", ["y = x * w"]),
    ("returned-swapped", "return dq, dk, dv", ["return (dk, dq, dv)", "return (dq, dv, dk)"]),
    ("returned-swapped", "return (a, b), c", ["return (c, (a, b))", "return (b, a), c"]),
    ("unpacked-swapped", "dx, dW = g(x)", ["(dW, dx) = g(x)"]),
    ("unpacked-swapped", "y = {'a': a, 'b': b}", ["y = {'a': b, 'b': a}"]),
    ("arguments-swapped", "y = shares(w, x)", ["y = shares(x, w)"]),
    ("arguments-swapped", "y = self.norm.forward(x, z)", ["y = self.norm.forward(z, x)"]),
    ("arguments-swapped", "y = np.dot(a, b)", []),
    ("boundary", "y = a > b", ["y = (a >= b)"]),
    ("boundary", "y = 0 <= a < 1", ["y = (0 < a < 1)", "y = (0 <= a <= 1)"]),
    ("comparison-negated", "y = a > b", ["y = (a <= b)"]),
    ("where-swapped", "y = np.where(m, a, b)", ["y = np.where(m, b, a)"]),
    ("mask-negated", "y = f(x, mask)", ["y = f(x, (None if mask is None else ~mask))"]),
    ("mask-negated", "y = x[keep]", ["y = x[(None if keep is None else ~keep)]"]),
    ("mask-negated", "y = np.where(mask, a, b)", []),
    ("statement-dropped", "x *= 2", ["pass"]),
    ("statement-dropped", "x = f(x)", ["pass"]),
    ("statement-dropped", "y = f(x)", []),
    ("statement-dropped", "x[0] = 0", ["pass"]),
    ("statement-dropped", "check_ids('ids', ids, n)", ["pass"]),
    ("statement-dropped", "if bad: raise ValueError('no')", ["pass"]),
]  # fmt: skip


def function(line: str) -> str:
    return f"{HEAD}def f(x):\n    {line}\n"


def made(operator: str, line: str) -> list[str]:
    sources = [source for _, name, source in own_sources(function(line)) if name == operator]
    return [source.removeprefix(HEAD).split("\n", 1)[1].strip() for source in sources]


@pytest.mark.parametrize(("operator", "line", "expected"), EXPECTED)
def test_what_an_operator_makes(operator: str, line: str, expected: list[str]) -> None:
    assert made(operator, line) == expected


def test_plain_assignment_for_a_histogram_keeps_the_last() -> None:
    (line,) = made("scatter", "y = np.bincount(ids, w, minlength=4)")
    names: dict[str, object] = {}
    exec(f"import numpy as np\nids, w = np.array([2, 0, 2]), np.array([3.0, 5.0, 7.0])\n{line}", names)
    assert list(names["y"]) == [5.0, 0.0, 7.0, 0.0]  # type: ignore[call-overload]


def test_every_operator_is_tested() -> None:
    assert {operator for operator, *_ in EXPECTED} == set(operators.OPERATORS)


def test_constants_of_a_module_move_both_ways() -> None:
    sources = [source for _, operator, source in own_sources("N = 3\n") if operator == "integer-moved"]
    assert sources == ["N = 2\n", "N = 4\n"]


MESSAGES = '''"""Docstring 1."""
from minirec.functional.arguments import check_ids
def f(x: "Array[2]", n: int = None) -> "Array[3]":
    """Docstring 2."""
    y: "Array[4]" = x
    check_ids("ids", y, n)
    if y:
        raise ValueError(f"x = {x + 5}, not", 6 * x)
    return y
'''


def test_messages_annotations_and_docstrings_are_left_alone() -> None:
    operators = {operator for _, operator, _ in own_sources(MESSAGES)}
    assert operators == {"statement-dropped", "condition-negated", "arguments-swapped"}


def test_mutmut_does_not_count_messages_either() -> None:
    pytest.importorskip("mutmut")
    names = [mutant.name.split(":")[2] for mutant in mutants("functional/f.py", MESSAGES, "mutmut")]
    # Of check_ids: y None, n None, and each of the three left out. The text alone is not counted.
    assert names == ["mutmut.assignment", *["mutmut.arg-removal"] * 5]


def test_programs_equal_to_the_original_or_to_another_are_left_out() -> None:
    assert made("term-dropped", "y = a + a") == ["y = a", "y = a"]
    names = [mutant.name for mutant in mutants("nn/f.py", function("y = a @ a, a + a"), "own")]
    assert names == ["nn.f:f:own.term-dropped:1"]


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("raise ValueError('a')", "raise ValueError(None)", True),
        ("raise ValueError('a')", "raise TypeError('a')", False),
        ("check_ids('a', x, 3)", "check_ids(None, x, 3)", True),
        ("check_ids('a', x, 3)", "check_ids('a', x, 4)", False),
        ("_require(x, 'a')", "_require(x)", False),
        ("x: int = 1", "x: float = 1", True),
        ("y = -1", "y = -1", True),
        ("y = 'a'", "y = 'b'", False),
    ],
)
def test_what_counts_of_a_source(a: str, b: str, equal: bool) -> None:
    assert (essence(function(a)) == essence(function(b))) is equal


@pytest.mark.parametrize("tool", ["own", "mutmut"])
def test_names_last_and_no_program_is_made_twice(tool: str) -> None:
    if tool == "mutmut":
        pytest.importorskip("mutmut")
    source = function("y = x[0] * x[1] + 0.5\n    return y")
    before = mutants("nn/f.py", source, tool)
    longer = mutants(
        "nn/f.py", source.replace("def f", "def before(x):\n    return x[2] * x[3]\n\n\ndef f"), tool
    )
    names = [mutant.name for mutant in before]
    assert names == [mutant.name for mutant in longer if ":f:" in mutant.name]
    assert all(name.startswith(f"nn.f:f:{tool}.") for name in names)
    assert len({mutant.essence for mutant in before}) == len(set(names)) == len(names) > 5
    assert essence(source) not in {mutant.essence for mutant in before}


def test_methods_have_the_name_of_their_class() -> None:
    source = "class A:\n    def f(self, x):\n        def g(z):\n            return -z\n        return g(x)\n"
    assert {mutant.name.split(":")[1] for mutant in mutants("nn/a.py", source, "own")} == {"A.f"}


def test_a_diff_shows_the_one_line() -> None:
    source = function("y = -x")
    (mutant,) = mutants("nn/f.py", source, "own")
    assert "-    y = -x\n+    y = x\n" in mutant.diff(source)


def test_mutmut_gives_its_operators_inside_functions() -> None:
    pytest.importorskip("mutmut")
    found = {(name, source) for _, name, source in mutmut_sources("A = 1 + 2\ndef f(x):\n    return x + 2\n")}
    assert found == {
        ("swap-op", "A = 1 + 2\ndef f(x):\n    return x - 2\n"),
        ("number", "A = 1 + 2\ndef f(x):\n    return x + 3\n"),
    }


# What a run is judged by.

MODULES = ["nn/f.py", "nn/g.py"]


def result(name: str, state: str) -> verdict.Result:
    module = name.split(":")[0].replace(".", "/") + ".py"
    tool = name.split(":")[2].split(".")[0]
    return verdict.Result(Mutant(name, module, tool, "", ""), Outcome(state, 1, "why", 0.1))


SURVIVOR = "nn.f:f:own.boundary:1"
RESULTS = [result(SURVIVOR, "passed"), result("nn.f:f:own.boundary:2", "failed")]
RAN = {("nn/f.py", "own")}


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([SURVIVOR], []),
        ([], ["survivor that is not listed", SURVIVOR]),
        ([SURVIVOR, "nn.f:f:own.boundary:2"], ["stale", "boundary:2"]),  # it was killed
        ([SURVIVOR, "nn.f:gone:own.boundary:1"], ["stale", "gone"]),
        ([SURVIVOR, "nn.gone:f:own.boundary:1"], ["stale", "nn.gone"]),
        ([SURVIVOR, "nn.f:f:other.boundary:1"], ["stale", "other"]),
        ([SURVIVOR, "nn.f:f:mutmut.boundary:1", "nn.g:f:own.boundary:1"], []),  # of tools and modules not run
    ],
)
def test_the_judgment(listed: list[str], words: list[str]) -> None:
    wrong = verdict.judge(RESULTS, dict.fromkeys(listed, "1 = 1"), RAN, MODULES)
    assert len(wrong) == bool(words)
    assert all(word in wrong[0] for word in words)


def test_a_broken_and_an_empty_run_are_judged() -> None:
    wrong = verdict.judge(
        [*RESULTS[1:], result("nn.f:f:own.boundary:3", "broken")], {}, RAN | {("nn/g.py", "own")}, MODULES
    )
    assert [line.split(":")[0] for line in wrong] == ["empty", "broken"]


def test_more_than_three_percent_listed_is_said() -> None:
    names = [f"nn.f:f:own.boundary:{n}" for n in range(100)]
    results = [result(name, "passed") for name in names]
    assert verdict.crowded(results, dict.fromkeys(names[:3], "1 = 1")) == []
    assert "4.0 %" in verdict.crowded(results, dict.fromkeys(names[:4], "1 = 1"))[0]


@pytest.mark.parametrize(
    "entry",
    [
        'names = ["a"]',
        'names = ["a"]\nreason = " "',
        'names = ["a"]\nreason = """two\nlines"""',
        'names = []\nreason = "1 = 1"',
        'names = ["a"]\nreason = "1 = 1"\nother = 1',
        'names = ["a"]\nreason = "1 = 1"\n[[equivalent]]\nnames = ["a"]\nreason = "1 = 1"',
    ],
)
def test_an_entry_without_a_reason_is_refused(entry: str, tmp_path: Path) -> None:
    file = tmp_path / "equivalent.toml"
    file.write_text(f"[[equivalent]]\n{entry}\n")
    with pytest.raises(ValueError, match=r"equivalent\.toml"):
        verdict.reviewed(file)


def test_the_list_of_this_project_is_accepted() -> None:
    assert verdict.reviewed(RUN.parent / "equivalent.toml") is not None


def test_modules_by_their_names() -> None:
    modules = run.all_modules(run.ROOT)
    assert {verdict.group_of(module) for module in modules} == set(run.GROUPS)
    assert run.chosen([], modules) == modules
    softmax = ["functional/softmax.py"]
    for name in ("functional/softmax", "functional.softmax", "minirec/functional/softmax.py"):
        assert run.chosen([name], modules) == softmax
    assert set(run.chosen(["optim", "nn/masks", "nn"], modules)) == {
        m for m in modules if m[:2] in ("nn", "op")
    }
    with pytest.raises(ValueError, match="give a group"):
        run.chosen(["nothing"], modules)


def test_every_module_has_tests() -> None:
    for module in run.all_modules(run.ROOT):
        first, _, wider = run.stages(module, run.ROOT)
        assert first[-1] == f"minirec/{module}"
        assert len(first) > 1, f"no file mirrors {module}"
        assert wider
    softmax = run.stages("functional/softmax.py", run.ROOT)
    assert softmax[0] == ("tests/functional/test_softmax.py", "minirec/functional/softmax.py")
    assert softmax[1][0] == "tests/functional/test_gradients.py"
    assert softmax[1][-2:] == ("-k", "softmax")


def test_without_fork_it_refuses(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delattr(os, "fork", raising=False)
    assert run.main(["optim", "--tool", "own"]) == 2
    assert "no fork" in capsys.readouterr().err


def test_results_of_other_modules_stay(tmp_path: Path) -> None:
    file = tmp_path / "mutation.json"
    verdict.store(file, {"a.py": {"own": {"killed": 1}}}, "first")
    verdict.store(file, {"a.py": {"mutmut": {"killed": 2}}, "b.py": {"own": {"killed": 3}}}, "second")
    stored = json.loads(file.read_text())
    assert stored["command"] == "second"
    assert stored["modules"] == {
        "a.py": {"own": {"killed": 1}, "mutmut": {"killed": 2}},
        "b.py": {"own": {"killed": 3}},
    }


def test_the_stored_figures_leave_no_survivor_unnamed() -> None:
    """And what is listed as computing the same is at most 3 % of all."""
    modules = json.loads((run.ROOT / "tests" / "results" / "mutation.json").read_text())["modules"]
    rows = [row for tools in modules.values() for row in tools.values()]
    assert {row["total"] - row["killed"] - row["listed"] for row in rows} == {0}
    assert sum(row["listed"] for row in rows) <= 0.03 * sum(row["total"] for row in rows)
    assert {Path(module).parts[0].removesuffix(".py") for module in modules} == set(run.GROUPS)


def test_changed_code_reaches_every_reference() -> None:
    source = """
LIMIT, WORDS = 3, {"a": 1}
def f(x, n=2): return x * n + LIMIT
class A:
    size = 5
    def g(self): return f(self.size, n=1)
    @staticmethod
    def s(): return 1
    @property
    def p(self): return WORDS["a"]
"""
    module = types.ModuleType("some_module")
    module.__file__ = "some_module.py"
    exec(source, vars(module))
    held, an_object = module.f, module.A()
    assert (held(1), an_object.g(), an_object.s(), an_object.p) == (5, 8, 1, 1)
    changes = [
        ("x * n", "x - n"),
        ("n=2", "n=4"),
        ("LIMIT, WORDS = 3", "LIMIT, WORDS = 7"),
        ("size = 5", "size = 6"),
    ]
    for before, after in [*changes, ("return 1", "return 2"), ('["a"]', '["a"] + 8')]:
        source = source.replace(before, after)
    put_in_place(module, source)
    assert module.f is held
    assert (held(1), an_object.g(), an_object.s(), an_object.p) == (1 - 4 + 7, 6 - 1 + 7, 2, 9)


# The whole command, on a package of two functions.

CODE = """
def half(x):
    return 0.5 * x


def size(x):
    if x > 0:
        return x
    return -x
"""
TESTS = "from minirec.optim import half, size\n\n\ndef test_both():\n    assert half(2.0) == 1.0\n"
SIZE = "    assert size(-2.0) == size(2.0) == 2.0\n"
EQUIVALENT = '[[equivalent]]\nnames = ["{name}"]\nreason = "-0 = 0"\n'
BOUNDARY = "optim:size:own.boundary:1"
CONSTANT = "optim:size:own.integer-moved:1"


def tiny(root: Path, tests: str, listed: list[str]) -> list[str]:
    """A project of two modules in `root`, one of them without tests; the command that tests the first."""
    (root / "minirec").mkdir(parents=True)
    (root / "tests" / "mutation").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = ["--import-mode=importlib"]\n')
    (root / "minirec" / "__init__.py").write_text("")
    (root / "minirec" / "optim.py").write_text(CODE)
    (root / "minirec" / "metrics.py").write_text(CODE)
    (root / "tests" / "test_optim.py").write_text(tests)
    (root / "tests" / "test_metrics.py").write_text("")
    entries = "".join(EQUIVALENT.format(name=name) for name in listed)
    (root / "tests" / "mutation" / "equivalent.toml").write_text(entries)
    return [sys.executable, str(RUN), "optim", "--tool", "own", "--root", str(root), "--write"]


LOOP = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from mutation.runner import run_stage
sources = {"loop": "while True: pass", "raise": "1 / 0", "none": "def half(x): return 0"}
baseline, outcomes = run_stage("optim.py", sources, ["tests"], Path(sys.argv[2]), 1, least=1)
print(baseline.state, *(outcomes[name].state for name in sources))
"""


@needs_fork
def test_the_command(tmp_path: Path) -> None:
    good = TESTS + SIZE
    runs = {  # all at once: most of the time is the start of Python
        "listed": tiny(tmp_path / "listed", good, [BOUNDARY, CONSTANT]),
        "stale": tiny(tmp_path / "stale", good, [BOUNDARY, "optim:half:own.float-scaled:1"]),
        "broken": [*tiny(tmp_path / "broken", TESTS + "    assert half(2.0) == 2.0\n", []), "metrics"],
    }
    runs["loop"] = [sys.executable, "-c", LOOP, str(RUN.parent.parent), str(tmp_path / "listed")]
    started = {
        name: subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for name, command in runs.items()
    }
    out = {name: process.communicate(timeout=120)[0] for name, process in started.items()}
    codes = {name: process.returncode for name, process in started.items()}
    assert codes == {"listed": 0, "stale": 1, "broken": 1, "loop": 0}, out

    assert "5 / 7" in " ".join(out["listed"].split())
    assert "2 listed" in out["listed"]
    assert (tmp_path / "listed" / "tests" / "results" / "mutation.json").exists()
    assert f"survivor that is not listed: {CONSTANT}" in out["stale"]
    assert "-    if x > 0:\n+    if x > -1:" in out["stale"]
    assert "stale entry, no survivor has this name: optim:half:own.float-scaled:1" in out["stale"]
    assert not (tmp_path / "broken" / "tests" / "results").exists()
    assert "baseline: tests/test_optim.py" in out["broken"]
    assert "assert 1.0 == 2.0" in out["broken"]
    assert "baseline: no test of metrics.py ran" in out["broken"]
    assert out["loop"].split() == ["passed", "timeout", "failed", "failed"]
    assert (tmp_path / "stale" / "minirec" / "optim.py").read_text() == CODE
