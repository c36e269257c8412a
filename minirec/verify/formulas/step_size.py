"""How large a step is: clipping of gradients by their common norm, and learning rates over the steps."""

import itertools
import math
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.drawing import normal, short

EXACT = 1e-13  # rounding of sums of some ten terms, relative to the largest


def clip_by_global_norm(a: Any, b: Any, limit: float) -> Any:
    """Both gradients times min(1, limit / norm), and the norm over all their numbers."""
    norm = math.sqrt(math.fsum(float(x[at]) ** 2 for x in (a, b) for at in np.ndindex(*x.shape)))
    factor = min(1.0, limit / norm) if norm > 0 else 1.0
    clipped = [np.zeros(x.shape) for x in (a, b)]
    for x, y in zip((a, b), clipped, strict=True):
        for at in np.ndindex(*x.shape):
            y[at] = x[at] * factor
    return (*clipped, norm)


def _clipped(grads: Any, norm: float) -> Any:
    return grads["a"], grads["b"], norm


def warmup(step: int, width: int, warmup_steps: int) -> float:
    """Two branches: a line up to warmup_steps, then 1 / √step."""
    if step <= warmup_steps:
        return step / (math.sqrt(width) * warmup_steps * math.sqrt(warmup_steps))
    return 1.0 / math.sqrt(width * step)


def cosine(step: int, total: int, peak: float) -> float:
    """Half a cosine from peak to 0, then 0."""
    return peak * (1.0 + math.cos(math.pi * (step - 1) / total)) / 2.0 if step <= total else 0.0


# Properties of clipping.


def never_longer_than_the_limit(place: Place, rng: Rng) -> float:
    a, b, _ = place(*place.args)
    length = math.sqrt(math.fsum(float(x) ** 2 for x in (*a.flat, *b.flat)))
    return max(0.0, length / place.args[2] - 1.0)


def bitwise_untouched_up_to_the_limit(place: Place, rng: Rng) -> float:
    a, b, _ = place.args
    norm = place(*place.args)[2]
    limits = (norm or 1.0, 2.0 * norm + 1.0, math.inf)
    return max(relative_gap(place(a, b, limit)[:2], (a, b)) for limit in limits)


def the_direction_stays(place: Place, rng: Rng) -> float | None:
    """What comes out is a positive multiple of what went in, also under a far smaller limit."""
    a, b, limit = place.args
    norm = place(*place.args)[2]
    if norm == 0:
        return None
    found = place(a, b, 1e-3 * min(limit, norm))
    return relative_gap([x / (1e-3 * min(limit, norm)) for x in found[:2]], [x / norm for x in (a, b)], 1.0)


def clipping_again_changes_nothing(place: Place, rng: Rng) -> float:
    a, b, _ = place(*place.args)
    return relative_gap(place(a, b, place.args[2])[:2], (a, b))


# Properties of schedules.


def largest_where_warming_up_ends(place: Place, rng: Rng) -> float:
    _, width, w = place.args
    peak = place(w, width, w)
    return max(0.0, *(place(s, width, w) / peak - 1.0 for s in range(1, 3 * w + 2) if s != w))


def a_line_while_warming_up(place: Place, rng: Rng) -> float:
    _, width, w = place.args
    return max(relative_gap(place(s, width, w), s * place(1, width, w)) for s in range(1, w + 1))


def half_as_large_after_four_times_as_many_steps(place: Place, rng: Rng) -> float:
    step, width, w = place.args
    return relative_gap(place(4 * (w + step), width, w), 0.5 * place(w + step, width, w))


def at_the_peak_in_the_first_step(place: Place, rng: Rng) -> float:
    _, total, peak = place.args
    return relative_gap(place(1, total, peak), peak)


def zero_after_all_steps(place: Place, rng: Rng) -> float:
    _, total, peak = place.args
    return max(abs(place(step, total, peak)) for step in (total + 1, total + 2, 3 * total))


def never_rising(place: Place, rng: Rng) -> float:
    _, total, peak = place.args
    rates = [place(step, total, peak) for step in range(1, total + 3)]
    return max(0.0, *(b - a for a, b in itertools.pairwise(rates)))


def the_cosine_of_half_the_angle_squared(place: Place, rng: Rng) -> float:
    step, total, peak = place.args
    angle = 0.5 * math.pi * min(step - 1, total) / total
    return relative_gap(place(*place.args), peak * math.cos(angle) ** 2, peak)


FORMULAS = (
    Formula(
        name="clip_by_global_norm",
        meaning="Gradients whose common norm is above a limit are scaled down to it, all by one factor.",
        latex=r"g \leftarrow g \cdot \min\!\left(1, \frac{c}{\|g\|}\right), \quad \|g\|^2 = \sum_n \|g_n\|^2",
        source="Pascanu, Mikolov & Bengio 2013, algorithm 1",
        ours="minirec.optim.clip_by_global_norm",
        definition=clip_by_global_norm,
        value=lambda clip, a, b, limit: _clipped(*clip({"a": a, "b": b}, limit)),
        places={
            "example": lambda rng: (short(rng, 2), short(rng, 1, 2), 1.0),
            "above the limit": lambda rng: (normal(rng, 3, 5), normal(rng, 7), 2.0),
            "below the limit": lambda rng: (normal(rng, 3, 5), normal(rng, 7), 100.0),
            "very large": lambda rng: (1e6 * normal(rng, 3, 5), normal(rng, 7), 1e-3),
            "all zero": lambda rng: (np.zeros((3, 2)), np.zeros(5), 1.0),
            "one of them is empty": lambda rng: (normal(rng, 3), np.zeros((0, 5)), 0.1),
        },
        properties=(
            Property("within the limit", never_longer_than_the_limit, EXACT),
            Property("bitwise untouched up to the limit", bitwise_untouched_up_to_the_limit, 0.0),
            Property("in the same direction", the_direction_stays, EXACT),
            Property("the same when clipped again", clipping_again_changes_nothing, EXACT),
        ),
    ),
    Formula(
        name="warmup",
        meaning="A learning rate that rises along a line and then falls as one over the root of the step.",
        latex=r"\eta(t) = D^{-1/2} \min\!\left(t^{-1/2},\; t \cdot w^{-3/2}\right)",
        source="Vaswani et al. 2017, equation 3",
        ours="minirec.optim.warmup",
        definition=warmup,
        places={
            "example": lambda rng: (2, 64, 4),
            "while warming up": lambda rng: (int(rng.integers(1, 29)), 31, 29),
            "where it ends": lambda rng: (29, 31, 29),
            "after it": lambda rng: (int(rng.integers(30, 1000)), 31, 29),
            "one step of warming up": lambda rng: (7, 5, 1),
            "width 1": lambda rng: (2, 1, 3),
        },
        properties=(
            Property("largest where warming up ends", largest_where_warming_up_ends, 1e-15),
            Property("a line while warming up", a_line_while_warming_up, 1e-14),
            Property("as 1 / √step after it", half_as_large_after_four_times_as_many_steps, 1e-14),
        ),
    ),
    Formula(
        name="cosine",
        meaning="A learning rate that falls from its peak to 0 along half a cosine.",
        latex=r"\eta(t) = \tfrac{1}{2} \eta_{\max} \left(1 + \cos \frac{\pi \min(t - 1, T)}{T}\right)",
        source="Loshchilov & Hutter 2017, equation 5, without restarts",
        ours="minirec.optim.cosine",
        definition=cosine,
        places={
            "example": lambda rng: (3, 4, 0.1),
            "the first step": lambda rng: (1, 29, 0.3),
            "on the way": lambda rng: (int(rng.integers(2, 29)), 29, 0.3),
            "beyond the end": lambda rng: (37, 29, 0.3),
            "one step": lambda rng: (1, 1, 1.0),
        },
        properties=(
            Property("at the peak in the first step", at_the_peak_in_the_first_step, 0.0),
            Property("0 after all steps", zero_after_all_steps, 0.0),
            Property("never rising", never_rising, 0.0),
            Property("peak · cos² of half the angle", the_cosine_of_half_the_angle_squared, 1e-15),
        ),
    ),
)  # fmt: skip
