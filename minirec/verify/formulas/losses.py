"""The losses: how far are the scores from what the user did? Each is a mean over the total weight.

A term of weight 0 is not there. What all of them keep on that account stands in properties/weighted.py, what
each of them keeps of its own in properties/loss.py, or, against drawn negatives, in properties/negatives.py.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Property
from minirec.verify.formulas.drawing import normal, repeated, short, weights
from minirec.verify.formulas.properties import loss as own
from minirec.verify.formulas.properties import negatives as drawn
from minirec.verify.formulas.properties import weighted


def mean(terms: Callable[[tuple[int, ...]], float], shape: tuple[int, ...], weight: Any) -> float:
    """Σ w · term / Σ w over all places of weight w > 0; 0 where there is none."""
    w = np.broadcast_to(1.0 if weight is None else weight, shape)
    kept = [place for place in np.ndindex(*shape) if w[place] > 0]
    if not kept:
        return 0.0
    total = math.fsum(float(w[place]) for place in kept)
    return math.fsum(float(w[place]) / total * terms(place) for place in kept)


def log_sigmoid(x: float) -> float:
    """log σ(x) = −log(1 + e^{−x}), which is x where e^{−x} overflows."""
    return -math.log1p(math.exp(-x)) if x > -700 else float(x)


def log_one_plus(exponents: list[float]) -> float:
    """log(1 + Σ e^x), whose largest term is taken out where it is above 1."""
    top = max([0.0, *exponents])
    if top == 0.0:
        return math.log1p(math.fsum(math.exp(x) for x in exponents))
    return top + math.log(math.exp(-top) + math.fsum(math.exp(x - top) for x in exponents))


def squared_error(prediction: Any, target: Any, weight: Any = None) -> float:
    """The mean of (prediction − target)²."""
    return mean(lambda n: float(prediction[n] - target[n]) ** 2, target.shape, weight)


def binary_cross_entropy(logits: Any, targets: Any, weight: Any = None) -> float:
    """The mean of −y log σ(x) − (1 − y) log(1 − σ(x)), where 1 − σ(x) = σ(−x)."""

    def term(n: tuple[int, ...]) -> float:
        x, y = float(logits[n]), float(targets[n])
        taken = -y * log_sigmoid(x) if y > 0 else 0.0
        return taken - (1.0 - y) * log_sigmoid(-x) if y < 1 else taken

    return mean(term, targets.shape, weight)


def cross_entropy(logits: Any, targets: Any, weight: Any = None) -> float:
    """The mean of −log(e^{x_target} / Σ_c e^{x_c}) = log Σ_c e^{x_c − x_target}."""

    def term(n: tuple[int, ...]) -> float:
        others = [float(logits[(*n, c)] - logits[(*n, targets[n])]) for c in range(logits.shape[-1])]
        del others[targets[n]]  # the target's own term is 1
        return log_one_plus(others)

    return mean(term, targets.shape, weight)


def bpr(positive: Any, negative: Any, weight: Any = None) -> float:
    """The mean of −log σ(s⁺ − s⁻)."""
    return mean(lambda n: -log_sigmoid(float(positive[n] - negative[n])), negative.shape, weight)


def gbce(positive: Any, negatives: Any, beta: float, weight: Any = None) -> float:
    """The mean of −[β log σ(s⁺) + Σ_j log(1 − σ(s⁻_j))] / (k + 1), where 1 − σ(x) = σ(−x)."""

    def term(n: tuple[int, ...]) -> float:
        rejected = [log_sigmoid(-float(negatives[(*n, j)])) for j in range(negatives.shape[-1])]
        return -(beta * log_sigmoid(float(positive[n])) + math.fsum(rejected)) / (len(rejected) + 1)

    return mean(term, positive.shape, weight)


def gbce_beta(k: int, n_items: int, t: float) -> float:
    """α (t (1 − 1/α) + 1/α), where α = k / (I − 1)."""
    alpha = k / (n_items - 1)
    return alpha * (t * (1 - 1 / alpha) + 1 / alpha)


def sampled_softmax(positive: Any, negatives: Any, keep: Any = None, weight: Any = None) -> float:
    """The mean of −log(e^{s⁺} / (e^{s⁺} + Σ_j e^{s⁻_j})) = log(1 + Σ_j e^{s⁻_j − s⁺}) over the kept j."""

    def term(n: tuple[int, ...]) -> float:
        kept = [j for j in range(negatives.shape[-1]) if keep is None or keep[(*n, j)]]
        return log_one_plus([float(negatives[(*n, j)] - positive[n]) for j in kept])

    return mean(term, positive.shape, weight)


def _masked(rng: Any, *shape: int) -> Any:
    """Positive, negatives and a mask: its first row keeps nothing, the others most."""
    keep = rng.random(shape) < 0.7
    keep.reshape(-1, shape[-1])[0] = False
    keep.reshape(-1, shape[-1])[-1] = [j != 1 for j in range(shape[-1])]
    return normal(rng, *shape[:-1]), normal(rng, *shape), keep


FAR = np.array([800.0, -800.0, 40.0, -40.0, 0.0])

FORMULAS = (
    Formula(
        name="squared_error",
        meaning="How far predicted ratings are from the true ones.",
        latex=r"L = \frac{\sum_n w_n (\hat r_n - r_n)^2}{\sum_n w_n}",
        source="the document, section 4.1 (ratings); Koren et al. 2009, equation 2 without its penalty",
        ours="minirec.functional.squared_error",
        definition=squared_error,
        places={
            "example": lambda rng: (short(rng, 3), short(rng, 3)),
            "mean": lambda rng: (normal(rng, 3, 5), normal(rng, 3, 5)),
            "weights, one is 0": lambda rng: (normal(rng, 3, 5), normal(rng, 3, 5), weights(rng, 3, 5)),
            "weights, all 0": lambda rng: (normal(rng, 3, 5), normal(rng, 3, 5), np.zeros((3, 5))),
            "three axes, one weight per row": lambda rng: (
                normal(rng, 2, 3, 5), normal(rng, 2, 3, 5), weights(rng, 3, 1),
            ),
        },
        zero={"weights, all 0": ["prediction"]},
        properties=(
            *weighted.PROPERTIES,
            Property("symmetric in prediction and target", own.symmetric, 0.0),
            Property("four times as large for errors twice as large", own.quadratic, 0.0),
            Property("0 for a perfect prediction, with gradient 0", own.zero_for_a_perfect_prediction, 0.0),
            Property("of slope 2 w (prediction − target) / Σ w", own.squared_error_slope, 1e-14),
        ),
    ),
    Formula(
        name="binary_cross_entropy",
        meaning="How surprised a yes-or-no prediction is by what the user did.",
        latex=r"L = -\frac{1}{\sum_n w_n} \sum_n w_n "
        r"\left[y_n \log \sigma(x_n) + (1 - y_n) \log(1 - \sigma(x_n))\right]",
        source="the document, section 4.1 (clicks); Cox 1958 (the log-likelihood of logistic regression)",
        ours="minirec.functional.binary_cross_entropy",
        definition=binary_cross_entropy,
        places={
            "example": lambda rng: (short(rng, 3), np.array([1.0, 0.0, 1.0])),
            "soft targets": lambda rng: (3 * normal(rng, 3, 5), rng.random((3, 5))),
            "0 and 1, weights, one is 0": lambda rng: (
                normal(rng, 3, 5), (rng.random((3, 5)) < 0.5).astype(np.float64), weights(rng, 3, 5),
            ),
            "three axes, one weight per row": lambda rng: (
                normal(rng, 2, 3, 5), rng.random((2, 3, 5)), weights(rng, 3, 1),
            ),
            "weights, all 0": lambda rng: (normal(rng, 3, 5), rng.random((3, 5)), np.zeros((3, 5))),
            "logits far out": lambda rng: (FAR.repeat(3), np.tile([0.0, 0.5, 1.0], 5)),
        },
        zero={"weights, all 0": ["logits"]},
        properties=(
            *weighted.PROPERTIES,
            Property("the same for −x and 1 − y", own.mirrored, 1e-14),
            Property("exact to all digits where it is almost 0", own.hardly_surprised, 1e-15),
            Property("of slope w (σ(x) − y) / Σ w", own.binary_cross_entropy_slope, 1e-15),
        ),
    ),
    Formula(
        name="cross_entropy",
        meaning="How surprised the softmax over all classes is by the one that was taken.",
        latex=r"L = -\frac{\sum_n w_n \log p_{n, t_n}}{\sum_n w_n}, \qquad p_n = \mathrm{softmax}(x_n)",
        source="the negative log-likelihood of softmax; Bridle 1990",
        ours="minirec.functional.cross_entropy",
        definition=cross_entropy,
        places={
            "example": lambda rng: (short(rng, 2, 3), np.array([2, 0])),
            "three axes": lambda rng: (normal(rng, 2, 3, 5), repeated(rng, 5, 2, 3)),
            "weights, one is 0": lambda rng: (
                normal(rng, 2, 3, 5), repeated(rng, 5, 2, 3), weights(rng, 2, 3),
            ),
            "weights, all 0": lambda rng: (normal(rng, 3, 5), repeated(rng, 5, 3), np.zeros(3)),
            "one row": lambda rng: (normal(rng, 7), np.array(3)),
            "logits of any size": lambda rng: (
                np.array([[800.0, 0.0, -800.0], [0.0, 800.0, 799.0], [1e-9, 0.0, -1e-9]]),
                np.array([2, 2, 0]),
            ),
        },
        zero={"weights, all 0": ["logits"]},
        properties=(
            *weighted.PROPERTIES,
            Property("unchanged by a shift of a row", own.a_shift_changes_nothing, 1e-14),
            Property("blind to the order of the classes", own.classes_have_no_order, 1e-15),
            Property("log C for uniform logits", own.uniform_logits_give_log_c, 1e-14),
            Property("of slope w (p − onehot) / Σ w", own.cross_entropy_slope, 1e-14),
            Property("of slopes that sum to 0 in each row", own.gradient_rows_sum_to_zero, 1e-14),
        ),
    ),
    Formula(
        name="bpr",
        meaning="How clearly an item that was taken scores above one that was not.",
        latex=r"L = -\frac{\sum_n w_n \log \sigma(s^+_n - s^-_n)}{\sum_n w_n}",
        source="Rendle et al. 2009, section 4.1 (BPR-Opt without its penalty)",
        ours="minirec.functional.bpr",
        definition=bpr,
        places={
            "example": lambda rng: (short(rng, 3), short(rng, 3)),
            "mean": lambda rng: (normal(rng, 3, 5), normal(rng, 3, 5)),
            "weights, one is 0": lambda rng: (normal(rng, 3, 5), normal(rng, 3, 5), weights(rng, 3, 5)),
            "weights, all 0": lambda rng: (normal(rng, 3, 5), normal(rng, 3, 5), np.zeros((3, 5))),
            "three axes, one weight per row": lambda rng: (
                normal(rng, 2, 3, 5), normal(rng, 2, 3, 5), weights(rng, 3, 1),
            ),
            "scores far apart": lambda rng: (FAR.copy(), np.zeros(5)),
        },
        zero={"weights, all 0": ["positive", "negative"]},
        properties=(
            *weighted.PROPERTIES,
            Property("a function of the difference alone", own.only_the_difference_counts, 1e-15),
            Property("of opposite slopes", own.gradients_are_opposite, 0.0),
            Property("−d larger for −d", own.swapped, 1e-15),
            Property("exact to all digits where it is almost 0", own.hardly_wrong, 1e-15),
            Property("of slope −w σ(−d) / Σ w", own.bpr_slope, 1e-14),
        ),
    ),
    Formula(
        name="gbce",
        meaning="How well an item that was taken is told from k that were not, where it counts β times.",
        latex=r"L = -\frac{1}{\sum_n w_n} \sum_n \frac{w_n}{k + 1} "
        r"\Big[\beta \log \sigma(s^+_n) + \sum_{j=1}^{k} \log(1 - \sigma(s^-_{nj}))\Big]",
        source="Petrov & Macdonald 2023, gBCE",
        ours="minirec.functional.gbce",
        definition=gbce,
        places={
            "example": lambda rng: (short(rng, 2), short(rng, 2, 3), 0.5),
            "one negative, beta 1": lambda rng: (normal(rng, 3, 5), normal(rng, 3, 5, 1), 1.0),
            "weights, one is 0": lambda rng: (
                normal(rng, 3, 5), normal(rng, 3, 5, 2), 0.3, weights(rng, 3, 5),
            ),
            "weights, all 0": lambda rng: (normal(rng, 5), normal(rng, 5, 3), 0.3, np.zeros(5)),
            "one weight per row": lambda rng: (
                normal(rng, 3, 5), normal(rng, 3, 5, 7), 0.1, weights(rng, 3, 1),
            ),
            "one row": lambda rng: (np.array(0.3), normal(rng, 3), 0.7),
            "beta 0": lambda rng: (normal(rng, 5), normal(rng, 5, 3), 0.0),
            "scores far out": lambda rng: (FAR.copy(), np.stack([FAR, FAR[::-1], -FAR], axis=-1), 0.25),
        },
        zero={"weights, all 0": ["positive", "negatives"], "beta 0": ["positive"]},
        properties=(
            *drawn.PROPERTIES,
            Property("blind to the order of the negatives", drawn.negatives_have_no_order, 1e-14),
            Property("linear in β", drawn.linear_in_beta, 1e-14),
            Property("mirrored for one negative and β = 1", drawn.mirrored_for_one_negative, 1e-14),
            Property("exact to all digits where it is almost 0", drawn.gbce_hardly_surprised, 1e-15),
            Property("of slopes −β σ(−s⁺) and σ(s⁻), over k + 1", drawn.gbce_slopes, 1e-14),
        ),
    ),
    Formula(
        name="gbce_beta",
        meaning="What the item taken counts in gbce, so that drawn negatives make no score too high.",
        latex=r"\beta = \alpha \Big(t \Big(1 - \frac{1}{\alpha}\Big) + \frac{1}{\alpha}\Big), "
        r"\qquad \alpha = \frac{k}{I - 1}",
        source="Petrov & Macdonald 2023, gBCE",
        ours="minirec.functional.gbce_beta",
        definition=gbce_beta,
        places={
            "example": lambda rng: (2, 5, 0.5),
            "256 of 3416 items": lambda rng: (256, 3416, 0.75),
            "any t": lambda rng: (1, 1683, float(rng.random())),
            "more draws than items": lambda rng: (7, 3, 0.75),
        },
        properties=(
            Property("linear in t, from 1 to α", drawn.between_one_and_alpha, 1e-14),
            Property("what gives true probabilities for t = 1", drawn.calibrated_at_one, 1e-13),
        ),
    ),
    Formula(
        name="sampled_softmax",
        meaning="How surprised the softmax over an item and k drawn ones is that it was this item.",
        latex=r"L = -\frac{1}{\sum_n w_n} \sum_n w_n \log \frac{e^{s^+_n}}{e^{s^+_n} + "
        r"\sum_{j \text{ kept}} e^{s^-_{nj}}}",
        source="Klenitskiy & Vasilev 2023; Jean et al. 2015 without their correction",
        ours="minirec.functional.sampled_softmax",
        definition=sampled_softmax,
        places={
            "example": lambda rng: (short(rng, 2), short(rng, 2, 3)),
            "three axes": lambda rng: (normal(rng, 2, 3), normal(rng, 2, 3, 5)),
            "mask, one row is empty": lambda rng: _masked(rng, 2, 3, 5),
            "weights, one is 0": lambda rng: (*_masked(rng, 2, 3, 5), weights(rng, 2, 3)),
            "weights, all 0": lambda rng: (*_masked(rng, 3, 5), np.zeros(3)),
            "one weight per row": lambda rng: (*_masked(rng, 3, 2, 5), weights(rng, 3, 1)),
            "one row": lambda rng: (np.array(0.3), normal(rng, 3)),
            "scores far out": lambda rng: (FAR.copy(), np.stack([FAR[::-1], -FAR, np.zeros(5)], axis=-1)),
        },
        zero={"weights, all 0": ["positive", "negatives"]},
        properties=(
            *drawn.PROPERTIES,
            Property("unchanged by a shift of a row", drawn.a_shift_changes_nothing, 1e-14),
            Property("blind to the order of the negatives", drawn.negatives_have_no_order, 1e-14),
            Property("blind to negatives that are not kept", drawn.masked_ones_are_not_there, 0.0),
            Property("0 where no negative is kept", drawn.nothing_left_costs_nothing, 0.0),
            Property("bpr for one negative", drawn.one_negative_is_bpr, 1e-14),
            Property("exact to all digits where it is almost 0", drawn.softmax_hardly_surprised, 1e-15),
            Property("of slopes w q / Σ w for the negatives", drawn.sampled_softmax_slopes, 1e-14),
            Property("of slopes that sum to 0 in each row", drawn.slopes_sum_to_zero, 1e-14),
        ),
    ),
)  # fmt: skip
