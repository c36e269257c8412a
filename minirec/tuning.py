"""Random search for hyper-parameters (Bergstra & Bengio 2012).

Whoever calls it says how a choice is measured: on the validation part, never on the test part.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Settings = dict[str, Any]
Space = Mapping[str, Sequence[Any]]  # {name: [choices], or (low, high) to draw from log-uniformly}

TRIES = 100  # to find a choice that was not measured yet, before a space counts as used up


class Trial(NamedTuple):
    """One choice, and what it reached."""

    settings: Settings
    value: float  # larger is better; -inf where training failed
    seconds: float


def draw_settings(space: Space, rng: np.random.Generator | int) -> Settings:
    """One value for each name: a choice of a list, or a number between the ends of a tuple (low, high).

    That number is log-uniform, so that each factor of ten is as likely, and has two digits, as in 0.0013.
    Raises ValueError for an empty list, and for ends that are not 0 < low <= high.
    """
    generator = np.random.default_rng(rng)
    drawn = {}
    for name, values in space.items():
        if isinstance(values, tuple):
            low, high = values
            if not 0 < low <= high:
                raise ValueError(f"{name}: a range needs 0 < low <= high, got {values}")
            number = math.exp(generator.uniform(math.log(low), math.log(high)))
            drawn[name] = min(max(float(f"{number:.1e}"), low), high)
        elif len(values) == 0:
            raise ValueError(f"{name}: there is nothing to choose from")
        else:
            drawn[name] = values[int(generator.integers(len(values)))]
    return drawn


def random_search(
    measure: Callable[[Settings], float],
    first: Settings,
    space: Space,
    trials: int,
    rng: np.random.Generator | int,
) -> list[Trial]:
    """`trials` choices and what `measure(settings)` says of each, in the order that they were tried.

    The first is `first` as it stands, so the best is never worse than that by the same measure; the others
    are `first` with what `space` names drawn anew. No choice is tried twice: where the space is used up, the
    search ends. A choice whose training is not finite (FloatingPointError) counts as -inf.
    Raises ValueError for trials < 1.
    """
    if trials < 1:
        raise ValueError(f"trials = {trials}: a search makes at least 1")
    generator = np.random.default_rng(rng)
    done: list[Trial] = []
    settings: Settings | None = dict(first)
    while settings is not None and len(done) < trials:
        began = time.perf_counter()
        try:
            value = float(measure(settings))
        except FloatingPointError:
            value = -math.inf
        done.append(Trial(settings, value, time.perf_counter() - began))
        settings = _another(first, space, generator, [trial.settings for trial in done])
    return done


def best_trial(trials: Sequence[Trial]) -> Trial:
    """The trial with the largest value, the earliest of equals."""
    return max(trials, key=lambda trial: trial.value)


def _another(
    first: Settings, space: Space, rng: np.random.Generator, tried: Sequence[Settings]
) -> Settings | None:
    if space:
        for _ in range(TRIES):
            settings = dict(first) | draw_settings(space, rng)
            if settings not in tried:
                return settings
    return None
