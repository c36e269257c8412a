"""Gradient checks: is this backward function the derivative of that forward function?"""

from minirec.verify.differences import central_difference, complex_step, jacobian, richardson
from minirec.verify.dtype import check_dtype
from minirec.verify.gradient import check_gradient
from minirec.verify.module import as_pair, check_module
from minirec.verify.report import Check, Report, Worst

__all__ = [
    "Check",
    "Report",
    "Worst",
    "as_pair",
    "central_difference",
    "check_dtype",
    "check_gradient",
    "check_module",
    "complex_step",
    "jacobian",
    "richardson",
]
