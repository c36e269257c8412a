"""Is this formula right? Checks of gradients, comparisons of formulas, traces, and the formula sheet.

`check_gradient` asks whether a backward function is the derivative of a forward function, `same` whether two
formulas are one function. formulas/ holds every formula of the package with its definition; it is not
imported from here.
"""

from minirec.verify.adapters import derivative_pair, gradient_pair, vjp_pair
from minirec.verify.agree import agree
from minirec.verify.comparison import Agreement, same
from minirec.verify.diagnosis import Cause, Evidence, diagnose, diagnose_value, evidence
from minirec.verify.differences import central_difference, complex_step, jacobian, richardson
from minirec.verify.dtype import check_dtype
from minirec.verify.gradient import check_gradient
from minirec.verify.model import check_model
from minirec.verify.module import as_pair, check_module
from minirec.verify.report import Check, Report, Worst
from minirec.verify.tracing.trace import trace, trace_pair

__all__ = [
    "Agreement",
    "Cause",
    "Check",
    "Evidence",
    "Report",
    "Worst",
    "agree",
    "as_pair",
    "central_difference",
    "check_dtype",
    "check_gradient",
    "check_model",
    "check_module",
    "complex_step",
    "derivative_pair",
    "diagnose",
    "diagnose_value",
    "evidence",
    "gradient_pair",
    "jacobian",
    "richardson",
    "same",
    "trace",
    "trace_pair",
    "vjp_pair",
]
