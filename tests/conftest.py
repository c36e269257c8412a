"""Hypothesis profiles. HYPOTHESIS_PROFILE names one; the default, `ci`, draws the same examples each time."""

import os

from hypothesis import Phase, settings

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=50, deadline=None, derandomize=True, database=None)
settings.register_profile("nightly", max_examples=3000, deadline=None)
settings.register_profile(
    "mutation",
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # no shrinking: only whether it fails matters
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

collect_ignore = ["benchmarks"]  # commands; PyTorch may be missing
