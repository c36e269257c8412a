"""The bridge from a test's drawn arguments to the formula sheet: its definition and its properties, once.

What the sheet says of a formula is asserted here for whatever Hypothesis draws; a test file of a function
adds only what the sheet cannot say.
"""

import copy
from typing import Any

import numpy as np

from minirec.verify.formula import Built, relative_gap, try_property
from minirec.verify.formulas import SHEET


def holds(
    name: str,
    *args: Any,
    seed: int = 0,
    tolerance: float | None = None,
    scale: float | None = None,
    skip: tuple[str, ...] = (),
) -> None:
    """Assert that ours equals the definition at `args` (or at one `Built`) and that every property holds.

    The first call of ours gets the arrays as they are, read-only and in their layout, and may not warn.
    `tolerance` replaces the formula's own, and `scale` the largest entry, which it is relative to; `skip`
    names properties that do not hold at such arguments.
    """
    formula = SHEET[name]
    place = formula.at(args[0] if isinstance(args[0], Built) else args, seed)
    expected = formula.expected(place)
    if place.built is None:
        fresh = [copy.deepcopy(a) if isinstance(a, np.random.Generator) else a for a in place.args]
        result = place.forward(*fresh)
        y = result if place.backward is None else result[0]
    else:
        y = place(*place.args)
    gap = relative_gap(y, expected, scale)
    allowed = formula.tolerance if tolerance is None else tolerance
    assert gap <= allowed, f"{name} differs from its definition by {gap:.1e} (allowed {allowed:.1e})"
    unknown = set(skip) - {one.name for one in formula.properties}
    assert not unknown, f"{name} has no property {sorted(unknown)}"
    for one in formula.properties:
        if one.name not in skip:
            found = try_property(one, place, seed)
            assert found is None or found <= one.limit, f"{name}: not {one.name}: off by {found:.1e}"
