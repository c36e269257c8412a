"""The central difference: a slope from two values, the first thing to hold a backward pass against."""

from functools import partial
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial

from minirec.verify.formula import Formula, Place, Property, Rng, largest, relative_gap
from minirec.verify.formulas.drawing import normal, short

EXACT = 1e-14  # rounding of the two values, relative to the largest number on the way


def central_difference(f: Any, x: Any, direction: Any = 1.0, h: float = 1e-5) -> Any:
    """Number by number: the two places, and the difference of their values over the way between them."""
    ahead, behind = np.zeros(np.shape(x)), np.zeros(np.shape(x))
    along = np.broadcast_to(direction, np.shape(x))
    for at in np.ndindex(*np.shape(x)):
        ahead[at] = np.asarray(x)[at] + h * along[at]
        behind[at] = np.asarray(x)[at] - h * along[at]
    above, below = np.asarray(f(ahead[()])), np.asarray(f(behind[()]))
    slope = np.zeros(above.shape)
    for at in np.ndindex(*above.shape):
        slope[at] = (above[at] - below[at]) / (2.0 * h)
    return slope[()]


def _all(place: Place) -> tuple[Any, Any, Any, float]:
    """f, x, direction and h; the last two may be left out."""
    f, x, *given = place.args
    direction, h = given or (1.0, 1e-5)
    return f, x, direction, h


# Properties: of polynomials the central difference is known exactly.


def exact_for_degree_two(place: Place, rng: Rng) -> float:
    _, x, v, _ = _all(place)
    a, b, c = rng.standard_normal(3)
    found = place(Polynomial([a, b, c]), x, v, 0.5)
    return relative_gap(found, (b + 2.0 * c * x) * v, _scale(x, v))


def off_by_the_step_squared_for_a_cube(place: Place, rng: Rng) -> float:
    """((x + hv)³ − (x − hv)³) / 2h = 3 x² v + h² v³."""
    _, x, v, _ = _all(place)
    gaps = []
    for h in (0.5, 0.25, 2.0):
        found = place(Polynomial([0.0, 0.0, 0.0, 1.0]), x, v, h)
        gaps.append(relative_gap(found, 3.0 * x**2 * v + h**2 * v**3, _scale(x, v)))
    return max(gaps)


def _scale(x: Any, v: Any) -> float:
    """Rounding errors are small beside this: the largest values on the way, over the step."""
    return (1.0 + largest(x) + 2.0 * largest(v)) ** 3


def turned_with_the_direction(place: Place, rng: Rng) -> float:
    f, x, v, h = _all(place)
    return relative_gap(place(f, x, -v, h), -place(f, x, v, h))


def blind_to_the_sign_of_the_step(place: Place, rng: Rng) -> float:
    f, x, v, h = _all(place)
    return relative_gap(place(f, x, v, -h), place(f, x, v, h))


def longer_with_the_direction(place: Place, rng: Rng) -> float:
    """The same two places: twice the direction, half the step. Powers of 2 are not rounded."""
    f, x, v, h = _all(place)
    return relative_gap(place(f, x, 2.0 * v, h / 2.0), 2.0 * place(f, x, v, h))


def zero_for_a_constant(place: Place, rng: Rng) -> float:
    _, x, v, h = _all(place)
    constant = float(rng.standard_normal())
    return abs(float(place(lambda z: constant, x, v, h)))


def zero_where_f_is_even(place: Place, rng: Rng) -> float:
    """At 0 an even function is the same on both sides, also where it has a kink."""
    _, x, v, h = _all(place)
    return float(largest(place(np.abs, 0.0 * x, v, h)))


FORMULAS = (
    Formula(
        name="central_difference",
        meaning="The slope of a function along a direction, from its values a step ahead and a step behind.",
        latex=r"\frac{f(x + h v) - f(x - h v)}{2 h} = \frac{d}{dt} f(x + t v) \Big|_{t = 0} + O(h^2)",
        source="Nocedal & Wright, Numerical Optimization, 2nd edition, equation 8.7",
        ours="minirec.verify.differences.central_difference",
        definition=central_difference,
        places={
            "example": lambda rng: (np.sin, 0.5, 1.0, 0.1),
            "a number and nothing else": lambda rng: (Polynomial(short(rng, 4)), float(normal(rng))),
            "every entry of an array": lambda rng: (Polynomial(normal(rng, 4)), normal(rng, 3, 5)),
            "along a direction": lambda rng: (
                Polynomial(normal(rng, 5)), normal(rng, 7), normal(rng, 7), 0.01,
            ),
            "one number from many": lambda rng: (np.prod, normal(rng, 5), normal(rng, 5), 0.25),
            "many from many": lambda rng: (
                partial(np.matmul, normal(rng, 3, 5)), normal(rng, 5), normal(rng, 5), 0.125,
            ),
            "a large step": lambda rng: (Polynomial(normal(rng, 4)), normal(rng, 5), normal(rng, 5), 3.0),
            "at a kink": lambda rng: (np.abs, np.array([0.0, 0.2, -3.0]), np.array([1.0, -1.0, 0.5]), 0.5),
        },
        properties=(
            Property("exact for polynomials of degree two", exact_for_degree_two, EXACT),
            Property("above 3 x² v by h² v³ for a cube", off_by_the_step_squared_for_a_cube, EXACT),
            Property("turned with the direction", turned_with_the_direction, 0.0),
            Property("blind to the sign of the step", blind_to_the_sign_of_the_step, 0.0),
            Property("twice as large along twice the direction", longer_with_the_direction, 0.0),
            Property("0 for a constant", zero_for_a_constant, 0.0),
            Property("0 for |x| at 0", zero_where_f_is_even, 0.0),
        ),
    ),
)  # fmt: skip
