"""`exercise run`: the student's function is really what trains."""

import re
from pathlib import Path

import pytest

from minirec.exercises import source, training
from minirec.exercises.catalogue import EXERCISES
from minirec.exercises.examine import substituted

# The model does not call all functions of these: it needs no three masks, one optimizer; cross-entropy has
# a backward pass of its own, a half-step calls the system of its own file.
SOME = ("masks", "log_softmax", "als_half_step", "adam")


@pytest.mark.parametrize("name", EXERCISES)
def test_every_function_is_called_and_ours_gives_our_curve(name: str, tmp_path: Path) -> None:
    exercise = EXERCISES[name]
    file = tmp_path / f"{name}.py"
    file.write_text(source.module_source(exercise), encoding="utf-8")
    lines = list(training.run(exercise, file, tmp_path))
    called = next(line for line in lines if line.startswith("Called: "))
    counts = [int(n) for n in re.findall(r"(\d+) times", called)]
    idle = re.findall(r"not called by it: (.*)\.", called)
    assert len(counts) + len(idle[0].split(", ") if idle else []) == len(exercise.functions)
    counts += [0] * len(idle)
    assert (max if name in SOME else min)(counts) > 0, called
    assert "differ by at most 0:" in lines[-1]
    assert (tmp_path / f"{name}-run.svg").stat().st_size > 1000


def test_a_wrong_function_gives_another_curve() -> None:
    exercise = EXERCISES["relu"]
    _, _, _, curve = training.experiment(exercise, 0)
    right = curve()
    mistake = next(m for m in exercise.mistakes if m.function == "relu_backward")
    with substituted(exercise, source.variant(exercise, mistake)):
        wrong = curve()
    assert right != wrong
    assert curve() == right
