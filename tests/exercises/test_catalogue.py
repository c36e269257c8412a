"""The matrix: every exercise, and every mistake of its catalogue. All noticed, and named."""

import ast
from pathlib import Path

import pytest

from minirec.exercises import source, training
from minirec.exercises.catalogue import EXERCISES
from minirec.exercises.examine import NOT_STARTED, RIGHT, WRONG, examine
from minirec.exercises.exercise import Exercise, Mistake

ALL = list(EXERCISES.values())
MISTAKES = [(exercise, mistake) for exercise in ALL for mistake in exercise.mistakes]
LESSONS = Path(__file__).parents[2] / "tutorials"


def label(value: object) -> str:
    if isinstance(value, Exercise):
        return value.name
    return f"{value.function}: {value.cause[:40]}" if isinstance(value, Mistake) else str(value)


def test_how_many() -> None:
    assert len(ALL) >= 24
    assert len(MISTAKES) >= 80


@pytest.mark.parametrize("exercise", ALL, ids=label)
def test_entry(exercise: Exercise) -> None:
    assert set(exercise.after) <= set(EXERCISES) - {exercise.name}
    order = list(EXERCISES)
    assert all(order.index(name) < order.index(exercise.name) for name in exercise.after)
    assert (LESSONS / f"{exercise.lesson}.py").is_file()
    assert len(exercise.hints) == 4
    assert all(hint.strip() for hint in exercise.hints)
    assert exercise.trains in training.MODELS or exercise.trains in ("check", "metric", "als", "split")
    assert all(task.points > 0 for task in exercise.tasks)
    assert len(exercise.formulas) in (1, len(exercise.tasks))
    causes = [mistake.cause for mistake in exercise.mistakes]
    assert len(set(causes)) == len(causes)
    assert {mistake.function for mistake in exercise.mistakes} == set(exercise.functions)


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("exercise", ALL, ids=label)
def test_library_is_right(exercise: Exercise, seed: int) -> None:
    for finding in examine(exercise, source.solution(exercise), seed):
        assert (finding.status, finding.told) == (RIGHT, ())
        assert finding.points == finding.of > 0


@pytest.mark.parametrize("exercise", ALL, ids=label)
def test_stub_is_not_started(exercise: Exercise) -> None:
    text = source.stub(exercise)
    module = source.executed(text)
    functions = {name: getattr(module, name) for name in exercise.functions}
    assert {f.status for f in examine(exercise, functions)} == {NOT_STARTED}
    for name in exercise.functions:  # nothing is left but the docstring
        node = source.function_node(ast.parse(text), name)
        assert ast.get_docstring(node)
        assert [ast.unparse(n) for n in node.body[1:]] == ["raise NotImplementedError"]


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES, ids=label)
def test_mistake_is_noticed_and_named(exercise: Exercise, mistake: Mistake) -> None:
    finding = examine(exercise, source.variant(exercise, mistake), 3, only=mistake.function)[0]
    assert finding.status == WRONG
    assert finding.points == 0
    assert finding.told
    assert (finding.cause, finding.line, finding.sure) == (mistake.cause, mistake.line, True)


def test_an_edit_that_does_not_fit_is_refused() -> None:
    exercise = EXERCISES["softmax"]
    mistake = exercise.mistakes[0]._replace(old="no such text")
    with pytest.raises(ValueError, match="stands 0 times in softmax_forward, must be once"):
        source.edited(exercise, mistake)
