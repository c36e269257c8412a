"""Are two formulas the same function? `same` compares them at random and at adversarial points."""

from minirec.verify.comparison.agreement import Agreement, Row, WorstPoint
from minirec.verify.comparison.compare import same

__all__ = ["Agreement", "Row", "WorstPoint", "same"]
