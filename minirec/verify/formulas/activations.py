"""What is applied to each number by itself: ReLU, GELU, the logistic function, and dropout."""

import math
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Place, Property, Rng, largest, relative_gap
from minirec.verify.formulas.drawing import away_from_zero, normal, short


def relu(x: Any) -> Any:
    """The larger of x and 0, number by number."""
    y = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        y[place] = max(float(x[place]), 0.0)
    return y


def gelu(x: Any) -> Any:
    """½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), number by number."""
    y = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        v = float(x[place])
        y[place] = v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) / 2
    return y


def sigmoid(x: Any) -> Any:
    """1 / (1 + e⁻ˣ), number by number; e⁻ˣ beyond the largest number makes it 0."""
    y = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        v = float(x[place])
        y[place] = 1 / (1 + math.exp(-v)) if v > -709 else 0.0
    return y


def dropout(x: Any, rate: float, rng: Any) -> Any:
    """Each number draws u from [0, 1): it becomes 0 where u < rate, and x / (1 − rate) elsewhere."""
    y = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        # Drawn in the order of the indices, in float32: which numbers fall is part of what is defined.
        dropped = rng is not None and rate > 0 and rng.random(dtype=np.float32) < rate
        y[place] = 0.0 if dropped else x[place] / (1 - (rate if rng is not None else 0.0))
    return y


# ReLU.


def the_parts_make_the_whole(place: Place, rng: Rng) -> float:
    """x is its positive part minus that of −x."""
    (x,) = place.args
    return relative_gap(place(x) - place(-x), x)


def twice_is_once(place: Place, rng: Rng) -> float:
    (x,) = place.args
    return relative_gap(place(place(x)), place(x))


def slope_one_or_zero(place: Place, rng: Rng) -> float:
    (x,), dy = place.args, place.upstream(rng)
    return relative_gap(place.gradients(dy)[0], np.where(x > 0, dy, 0.0))


def slope_zero_at_the_kink(place: Place, rng: Rng) -> float:
    """The derivative at 0 and at −0 is a convention: 0. The next number above 0 has slope 1 already."""
    at = np.array([0.0, -0.0, 5e-324, -5e-324])
    dy = np.array([1.0, -2.0, 3.0, 4.0])
    return max(
        relative_gap(place(at), np.array([0.0, 0.0, 5e-324, 0.0])),
        relative_gap(place.gradients(dy, at)[0], np.array([0.0, 0.0, 3.0, 0.0])),
    )


# GELU.


def gelu_of_x_minus_gelu_of_minus_x_is_x(place: Place, rng: Rng) -> float:
    (x,) = place.args
    x = x[x != 0]
    return relative_gap((place(x) - place(-x)) / x, np.ones(x.shape))


def slopes_at_x_and_minus_x_add_up_to_one(place: Place, rng: Rng) -> float:
    (x,) = place.args
    one = np.ones(x.shape)
    return relative_gap(place.gradients(one, x)[0] + place.gradients(one, -x)[0], one)


def near_the_exact_form(place: Place, rng: Rng) -> float:
    """x Φ(x), with Φ the normal distribution function."""
    (x,) = place.args
    exact = np.zeros(x.shape)
    for index in np.ndindex(*x.shape):
        exact[index] = x[index] * (1 + math.erf(x[index] / math.sqrt(2))) / 2
    return relative_gap(place(x), exact, 1.0)


def gelu_tails(place: Place, rng: Rng) -> float:
    """Far to the right x itself with slope 1, far to the left 0 with slope 0, at 0 slope ½."""
    at, dy = np.array([1e3, 1e30, -1e3, -1e30, 0.0]), np.array([2.0, -1.0, 2.0, -1.0, 3.0])
    return max(
        relative_gap(place(at), np.array([1e3, 1e30, 0.0, 0.0, 0.0])),
        relative_gap(place.gradients(dy, at)[0], np.array([2.0, -1.0, 0.0, 0.0, 1.5])),
    )


# The logistic function.


def a_probability(place: Place, rng: Rng) -> float:
    y = place(*place.args)
    return largest(np.maximum(np.maximum(-y, y - 1), 0.0))


def symmetric_about_one_half(place: Place, rng: Rng) -> float:
    (x,) = place.args
    return relative_gap(place(x) + place(-x), np.ones(x.shape))


def half_a_hyperbolic_tangent(place: Place, rng: Rng) -> float:
    (x,) = place.args
    return relative_gap(place(x), np.vectorize(lambda v: 0.5 + 0.5 * math.tanh(v / 2))(x), 1.0)


def the_odds_are_e_to_the_x(place: Place, rng: Rng) -> float | None:
    """σ(x) = e^x σ(−x): a small probability keeps all its digits, each number compared at its own size."""
    x = place.args[0][np.abs(place.args[0]) < 700]
    return relative_gap(place(x) / (np.exp(x) * place(-x)), np.ones(x.shape)) if x.size else None


def slope_is_the_product_of_both_probabilities(place: Place, rng: Rng) -> float:
    (x,), dy = place.args, place.upstream(rng)
    return relative_gap(place.gradients(dy)[0], dy * place(x) * place(-x), largest(dy))


def sigmoid_tails(place: Place, rng: Rng) -> float:
    at, dy = np.array([0.0, 800.0, -800.0, 1e308, -1e308]), np.array([4.0, 1.0, -2.0, 1.0, 3.0])
    return max(
        relative_gap(place(at), np.array([0.5, 1.0, 0.0, 1.0, 0.0])),
        relative_gap(place.gradients(dy, at)[0], np.array([1.0, 0.0, 0.0, 0.0, 0.0])),
    )


# Dropout.


def _training(place: Place) -> bool:
    return place.args[1] > 0 and place.args[2] is not None


def evaluation_is_the_identity(place: Place, rng: Rng) -> float:
    """No generator, or rate 0: both ways, bit by bit."""
    x, rate, _ = place.args
    dy = place.upstream(rng)
    return max(
        relative_gap((place(x, *rest), place.gradients(dy, x, *rest)[0]), (x, dy))
        for rest in ((rate, None), (0.0, None), (0.0, rng))
    )


def same_generator_same_numbers(place: Place, rng: Rng) -> float | None:
    return relative_gap(place(*place.args), place(*place.args)) if _training(place) else None


def each_generator_its_own_numbers(place: Place, rng: Rng) -> float | None:
    """1000 numbers that fall alike for two generators are no accident."""
    if not _training(place):
        return None
    ones, (_, rate, own) = np.ones(1000), place.args
    return float(np.array_equal(place(ones, rate, own), place(ones, rate, rng)))


def dropped_or_scaled(place: Place, rng: Rng) -> float | None:
    """y and dx are x and dy times one array, which holds 0 and 1 / (1 − rate)."""
    if not _training(place):
        return None
    x, rate, own = place.args
    factor, dy = place(np.ones(x.shape), rate, own), place.upstream(rng)
    kept = factor != 0
    return max(
        relative_gap(factor, kept / (1 - rate)),
        relative_gap(place(*place.args), x * factor),
        relative_gap(place.gradients(dy)[0], dy * factor),
    )


def unbiased(place: Place, rng: Rng) -> float | None:
    """The mean over 20000 ones and the share kept, in standard errors."""
    if not _training(place):
        return None
    rate, count = place.args[1], 20_000
    y = place(np.ones(count), rate, rng)
    error = math.sqrt(rate * (1 - rate) / count)
    return largest([(y != 0).mean() - (1 - rate), (y.mean() - 1) * (1 - rate)]) / error


FORMULAS = (
    Formula(
        name="relu",
        meaning="What is negative becomes 0, the rest stays.",
        latex=r"y = \max(x, 0)",
        source="Vaswani et al. 2017, equation 2; Nair & Hinton 2010",
        ours="minirec.functional.relu",
        definition=relu,
        places={
            "example": lambda rng: (away_from_zero(short(rng, 2, 3)),),
            "both sides of the kink": lambda rng: (away_from_zero(normal(rng, 3, 5, 7)),),
            "small and large": lambda rng: (
                np.abs(away_from_zero(normal(rng, 2, 5))) * np.outer([1e3, 1e6], [1, -1, 1, -1, -1]),
            ),
        },
        tolerance=0.0,
        properties=(
            Property("the positive part of x less that of −x is x", the_parts_make_the_whole, 0.0),
            Property("twice is the same as once", twice_is_once, 0.0),
            Property("the slope is 1 above 0 and 0 below", slope_one_or_zero, 0.0),
            Property("the slope at the kink is 0", slope_zero_at_the_kink, 0.0),
        ),
    ),
    Formula(
        name="gelu",
        meaning="A number times the probability that a normal variable is below it, in the tanh form.",
        latex=r"y = \tfrac{1}{2}\, x \left(1 + \tanh\!\left(\sqrt{2/\pi}\,(x + 0.044715\, x^3)\right)\right)",
        source="Hendrycks & Gimpel 2016, section 2",
        ours="minirec.functional.gelu",
        definition=gelu,
        places={
            "example": lambda rng: (short(rng, 2, 3),),
            "near 0 and in both tails": lambda rng: (2 * normal(rng, 3, 5, 7),),
            "far out": lambda rng: (np.array([[3.0], [30.0]]) * normal(rng, 2, 11),),
        },
        properties=(
            Property("gelu(x) − gelu(−x) is x", gelu_of_x_minus_gelu_of_minus_x_is_x, 1e-15),
            Property("slopes at x and −x add up to 1", slopes_at_x_and_minus_x_add_up_to_one, 1e-14),
            Property("within 5e-4 of x Φ(x)", near_the_exact_form, 5e-4),
            Property("x far to the right and 0 far to the left", gelu_tails, 0.0),
        ),
    ),
    Formula(
        name="sigmoid",
        meaning="A score becomes a probability.",
        latex=r"y = \sigma(x) = \frac{1}{1 + e^{-x}}",
        source="the logistic function; inside the pointwise losses",
        ours="minirec.functional.sigmoid",
        definition=sigmoid,
        places={
            "example": lambda rng: (short(rng, 2, 3),),
            "near 0 and in both tails": lambda rng: (3 * normal(rng, 3, 5, 7),),
            "far out": lambda rng: (np.array([[10.0], [1.0]]) * normal(rng, 2, 11),),
        },
        properties=(
            Property("between 0 and 1", a_probability, 0.0),
            Property("symmetric about ½", symmetric_about_one_half, 1e-15),
            Property("half a hyperbolic tangent", half_a_hyperbolic_tangent, 1e-15),
            Property("the odds are e^x", the_odds_are_e_to_the_x, 1e-14),
            Property("the slope is σ(x) σ(−x)", slope_is_the_product_of_both_probabilities, 1e-15),
            Property("1 far to the right and 0 far to the left", sigmoid_tails, 0.0),
        ),
    ),
    Formula(
        name="dropout",
        meaning="While training, each number becomes 0 with some probability, and the others make up for it.",
        latex=r"y = \frac{x \odot m}{1 - r}, \quad m \sim \mathrm{Bernoulli}(1 - r)",
        source="Srivastava et al. 2014, section 4, scaled while training; Vaswani et al. 2017, section 5.4",
        ours="minirec.functional.dropout",
        definition=dropout,
        places={
            "example": lambda rng: (short(rng, 2, 3), 0.5, np.random.default_rng(1)),
            "training": lambda rng: (normal(rng, 5, 7), 0.3, np.random.default_rng(rng.integers(2**32))),
            "nine of ten dropped": lambda rng: (
                normal(rng, 2, 5, 11), 0.9, np.random.default_rng(rng.integers(2**32)),
            ),
            "evaluation": lambda rng: (normal(rng, 5, 7), 0.3, None),
            "rate 0": lambda rng: (normal(rng, 5, 7), 0.0, np.random.default_rng(1)),
        },
        properties=(
            Property("evaluation and rate 0 are the identity", evaluation_is_the_identity, 0.0),
            Property("the same generator drops the same numbers", same_generator_same_numbers, 0.0),
            Property("another generator drops others", each_generator_its_own_numbers, 0.0),
            Property("a number and its gradient are dropped or scaled alike", dropped_or_scaled, 1e-15),
            Property("the mean and the share kept are unbiased, in standard errors", unbiased, 6.0),
        ),
    ),
)  # fmt: skip
