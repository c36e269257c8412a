"""Right functions pass, whatever their style: plain loops, other caches, other NumPy calls."""

from pathlib import Path

import plain_solutions
import pytest

from minirec.exercises.catalogue import EXERCISES
from minirec.exercises.examine import RIGHT, examine


@pytest.mark.parametrize("name", EXERCISES)
def test_plain_solution_passes(name: str) -> None:
    exercise = EXERCISES[name]
    functions = {f: getattr(plain_solutions, f) for f in exercise.functions}
    for finding in examine(exercise, functions, 11, Path(plain_solutions.__file__)):
        assert (finding.status, finding.told) == (RIGHT, ())
