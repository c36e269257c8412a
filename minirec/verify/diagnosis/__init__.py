"""What is probably wrong with a gradient or a value, as far as it can be seen from outside."""

from minirec.verify.diagnosis.diagnose import Cause, Evidence, diagnose, diagnose_value, evidence

__all__ = ["Cause", "Evidence", "diagnose", "diagnose_value", "evidence"]
