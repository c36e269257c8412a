"""What an exercise is: functions of the library that a student writes again, and the mistakes that are known.

The task is the function's own docstring, the check is its entry on the formula sheet, and a known mistake is
an edit of the library's own source. So none of the three can drift from the code.
"""

from dataclasses import dataclass
from typing import NamedTuple

from minirec.verify.formula import Formula
from minirec.verify.formulas import SHEET


class Mistake(NamedTuple):
    """A wrong variant of a function that people really write.

    function  its short name
    cause     what is wrong, one sentence, to the student
    line      one line of mathematics that says what is right
    old, new  text that stands exactly once in the function's source, and what stands there by mistake
    """

    function: str
    cause: str
    line: str
    old: str
    new: str


class Task(NamedTuple):
    """One function to be written: its short name, and its points."""

    function: str
    points: int


@dataclass(frozen=True)
class Exercise:
    """Functions of one module of the library, to be written in exercises/NAME.py.

    name      of the exercise and of the student's file
    title     what is to be done, a few words
    module    dotted name of the module that the functions are from
    tasks     the functions, in the order in which they are to be written
    formulas  names of the entries of the formula sheet that check them. A pair NAME_forward, NAME_backward,
              and a module that calls the functions, have one entry; other functions have one each, in order
    after     exercises that should come before
    lesson    the file of the tutorial that derives it
    hints     a ladder: the idea, the shapes, the formula, one line of code (not in the student edition)
    mistakes  the catalogue
    keep      other functions of the module that the stub keeps
    trains    the small training that `exercise run` does with it (training.py)
    """

    name: str
    title: str
    module: str
    tasks: tuple[Task, ...]
    formulas: tuple[str, ...]
    after: tuple[str, ...]
    lesson: str
    hints: tuple[str, ...]
    mistakes: tuple[Mistake, ...]
    keep: tuple[str, ...] = ()
    trains: str = "sequence"

    @property
    def points(self) -> int:
        """Of all tasks."""
        return sum(task.points for task in self.tasks)

    @property
    def functions(self) -> tuple[str, ...]:
        """Short names, in the order of the tasks."""
        return tuple(task.function for task in self.tasks)

    @property
    def is_pair(self) -> bool:
        """True for forward and backward of one formula."""
        stems = {name.removesuffix("_forward").removesuffix("_backward") for name in self.functions}
        return len(stems) == 1 and next(iter(stems)) not in self.functions

    def formula(self, function: str) -> Formula:
        """The entry of the sheet that checks this function."""
        place = self.functions.index(function)
        return SHEET[self.formulas[place if len(self.formulas) > 1 else 0]]
