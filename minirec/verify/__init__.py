"""Gradient checks: is this backward function the derivative of that forward function?"""

from minirec.verify.adapters import derivative_pair, gradient_pair, vjp_pair
from minirec.verify.diagnosis import Cause
from minirec.verify.differences import central_difference, complex_step, jacobian, richardson
from minirec.verify.dtype import check_dtype
from minirec.verify.gradient import check_gradient
from minirec.verify.model import check_model
from minirec.verify.module import as_pair, check_module
from minirec.verify.report import Check, Report, Worst

__all__ = [
    "Cause",
    "Check",
    "Report",
    "Worst",
    "as_pair",
    "central_difference",
    "check_dtype",
    "check_gradient",
    "check_model",
    "check_module",
    "complex_step",
    "derivative_pair",
    "gradient_pair",
    "jacobian",
    "richardson",
    "vjp_pair",
]
