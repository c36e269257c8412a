"""What a student's file may be, and what is said of it: each status in a real check."""

from collections.abc import Callable
from pathlib import Path

import pytest

from minirec.exercises import report, source
from minirec.exercises.catalogue import EXERCISES
from minirec.exercises.check import Outcome, check

SOFTMAX = EXERCISES["softmax"]
RIGHT = source.module_source(SOFTMAX)
LAST = "return p * (dp - reductions.row_sums(p * dp))"
Judge = Callable[..., Outcome]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    def judged(text: str, **limits: float) -> Outcome:
        file = tmp_path / "softmax.py"
        file.write_text(text, encoding="utf-8")
        return check(SOFTMAX, file, **limits)

    return judged


def backward(line: str) -> str:
    assert RIGHT.count(LAST) == 1
    return RIGHT.replace(LAST, line)


def test_right(judge: Judge) -> None:
    outcome = judge(RIGHT)
    assert outcome.right
    assert outcome.points == SOFTMAX.points == 10
    assert "softmax_backward: right (tried at 7 places)" in report.text(outcome)
    assert outcome.sha256[:12] in report.text(outcome)


def test_the_seed_draws_other_numbers(judge: Judge) -> None:
    seen = [judge(backward("return -p * dp"), seed=seed).findings[1].told for seed in (0, 0, 7)]
    assert seen[0] == seen[1] != seen[2]


STATUSES = {
    "a fresh stub": (source.stub(SOFTMAX), "not started", "still raises NotImplementedError"),
    "empty": (" \n", "empty", "`exercise start softmax` writes a new stub"),
    "not Python": (f"{RIGHT}\ndef (", "cannot be read", "invalid syntax"),
    "no such function": ("x = 1\n", "missing", "softmax.py has no function softmax_forward"),
    "raises on import": ("import no_such_thing\n", "cannot be read", "line 1, `import no_such_thing`"),
    "ends on import": ("import sys\nsys.exit(0)\n", "ends the interpreter", "line 2, `sys.exit(0)`"),
    "ends at once": ("import os\nos._exit(0)\n", "ends the interpreter", "exit code 0"),
    "not a function": ("softmax_forward = 1\n", "missing", "not a function written in this file"),
    "imported": (
        "from minirec.functional import softmax_backward, softmax_forward\n",
        "uses the solution",
        "takes minirec's own softmax_forward",
    ),
    "opens the source": (
        f"{RIGHT}\nimport minirec.functional.softmax as s\nopen(s.__file__).read()\n",
        "uses the solution",
        "opens minirec's softmax.py",
    ),
    "much memory": (f"{RIGHT}\nx = np.ones((10**9, 10))\n", "too much memory", "MemoryError"),
}


@pytest.mark.parametrize("name", STATUSES)
def test_of_the_whole_file(judge: Judge, name: str) -> None:
    text, status, told = STATUSES[name]
    outcome = judge(text)
    assert outcome.findings[0].status == status
    assert outcome.points == 0
    assert told in " ".join(outcome.findings[0].told)


IN_BACKWARD = {
    "returns nothing": ("pass", "raises", "None"),
    "another shape": ("return (p * dp).sum(axis=0)", "wrong", "shape"),
    "raises": ("return p * nothing", "raises", "in softmax_backward, `return p * nothing`: NameError"),
    "ends there": ("raise SystemExit(0)", "ends the interpreter", "SystemExit"),
    "calls itself": ("return softmax_backward(dp, cache)", "raises", "RecursionError"),
    "calls ours": (
        "import minirec.functional as F; return F.softmax_backward(dp, cache)",
        "uses the solution",
        "calls minirec's own softmax_backward",
    ),
    "hides that it calls ours": (
        "import minirec.functional as F\n    try:\n        F.softmax_backward(dp, cache)\n"
        "    except Exception:\n        pass\n    return p * (dp - (p * dp).sum(-1, keepdims=True))",
        "uses the solution",
        "calls minirec's own softmax_backward",
    ),
    "NaN": ("return p * dp * np.nan", "wrong", "NaN"),
    "the sign": (LAST.replace("return ", "return -"), "wrong", ""),
}


@pytest.mark.parametrize("name", IN_BACKWARD)
def test_of_one_function(judge: Judge, name: str) -> None:
    line, status, told = IN_BACKWARD[name]
    outcome = judge(backward(line))
    assert outcome.findings[1].status == status
    assert outcome.points == (0 if status == "uses the solution" else 4)
    assert told in " ".join(outcome.findings[1].told)


def test_wrong_arguments(judge: Judge) -> None:
    head = "def softmax_backward(dp: Array, cache: SoftmaxCache)"
    outcome = judge(RIGHT.replace(head, "def softmax_backward(dp)"))
    assert outcome.findings[1].status == "raises"
    assert "takes 1 positional argument but 2 were given" in outcome.findings[1].told[0]


def test_no_end(judge: Judge) -> None:
    outcome = judge(f"{RIGHT}\nwhile True:\n    pass\n", seconds=6)
    assert {f.status for f in outcome.findings} == {"too slow"}
    assert "took longer than 6 s" in outcome.findings[0].told[0]


def test_what_is_printed_is_shown(judge: Judge) -> None:
    outcome = judge(f"{RIGHT}\nprint('shapes', (2, 3))\n")
    assert outcome.right
    assert "  | shapes (2, 3)" in report.text(outcome)


def test_no_file(tmp_path: Path) -> None:
    outcome = check(SOFTMAX, tmp_path / "softmax.py")
    assert {f.status for f in outcome.findings} == {"no file"}


def test_a_cause_outside_the_catalogue_is_told_by_the_detectors(judge: Judge) -> None:
    finding = judge(backward(f"{LAST} * 0.5")).findings[1]
    assert finding.status == "wrong"
    assert "0.5 times" in finding.cause


def test_two_mistakes_at_once_are_not_given_one_name(judge: Judge) -> None:
    finding = judge(backward("return 2 * p * (dp - (p * dp).mean(-1, keepdims=True))")).findings[1]
    assert finding.status == "wrong"
    assert not finding.sure
