"""The trace of an entry of the formula sheet: our code at the example, which is the first place."""

import functools
import inspect
from typing import Any

from minirec.verify.formula import Formula
from minirec.verify.pair import fresh_copy
from minirec.verify.tracing.trace import PairTrace, Trace, trace, trace_pair


def trace_entry(formula: Formula, seed: int, depth: int) -> Trace | PairTrace:
    """The trace at the first place of an entry, which is small.

    Where the sheet calls ours in a way of its own, that way is not shown: the trace begins at our function.
    """
    place = formula.at(formula.draw(next(iter(formula.places)), seed), seed)
    if place.built is not None:
        module, given = place.module, place.built.options

        @functools.wraps(module.forward)
        def forward(*inputs: Any) -> Any:
            return module.forward(*inputs, **{name: fresh_copy(v) for name, v in given.items()})

        return trace_pair(
            forward,
            module.backward,
            place.args[: len(place.built.inputs)],
            seed,
            depth,
            files=[],
            title=formula.name,
        )
    if place.backward is not None:
        return trace_pair(place.forward, place.backward, place.args, seed, depth)
    args = map(fresh_copy, place.args)
    if formula.value is None:
        # A formula of verify/ itself, which traces pass over: its file is named.
        files = [inspect.getfile(place.forward)] if formula.ours.startswith("minirec.verify.") else None
        return trace(place.forward, *args, depth=depth, files=files, title=formula.name)
    return trace(place.forward, *args, depth=depth, files=[])
