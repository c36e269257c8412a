"""What each loss of losses.py keeps of its own: symmetries, closed values, and its slope written out."""

import math
from collections.abc import Callable

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Place, Rng, relative_gap
from minirec.verify.formulas.properties import weighted


def sigmoid(x: float) -> float:
    """σ(x) = 1 / (1 + e^{−x}), which is e^x where e^{−x} overflows."""
    return 1.0 / (1.0 + math.exp(-x)) if x > -700 else math.exp(x)


def slopes(place: Place, of_term: Callable[[tuple[int, ...]], float]) -> Array:
    """w / Σ w · (the derivative of one term), place by place."""
    share, out = weighted.shares(place), np.zeros(place.args[1].shape)
    for n in np.ndindex(*out.shape):
        out[n] = share[n] * of_term(n) if share[n] > 0 else 0.0
    return out


# Squared error


def symmetric(place: Place, rng: Rng) -> float:
    prediction, target, *weight = place.args
    return relative_gap(place(target, prediction, *weight), place(*place.args))


def quadratic(place: Place, rng: Rng) -> float:
    prediction, target, *weight = place.args
    return relative_gap(place(2 * prediction, 2 * target, *weight), 4 * place(*place.args))


def zero_for_a_perfect_prediction(place: Place, rng: Rng) -> float:
    prediction, _, *weight = place.args
    loss, (gradient,) = weighted.run(place, (prediction, prediction, *weight), 1.3)
    return max(abs(float(loss)), float(np.abs(gradient).max()))


def squared_error_slope(place: Place, rng: Rng) -> float:
    prediction, target, *_ = place.args
    expected = slopes(place, lambda n: 2.0 * float(prediction[n] - target[n]))
    return relative_gap(place.gradients(-0.7)[0], -0.7 * expected)


# Binary cross-entropy


def mirrored(place: Place, rng: Rng) -> float:
    """Logits −x with targets 1 − y: the same loss, the gradient with the other sign."""
    x, y, *weight = place.args
    loss, (gradient,) = weighted.run(place, place.args, 1.3)
    other, (of_other,) = weighted.run(place, (-x, 1.0 - y, *weight), 1.3)
    bound = 1.0 + float(np.abs(x).max())  # 1 − y is rounded, and x multiplies it
    scale = weighted.slope(place, 1.3)
    return max(relative_gap(other, loss, bound), relative_gap(of_other, -gradient, scale))


def binary_cross_entropy_slope(place: Place, rng: Rng) -> float:
    x, y, *_ = place.args
    expected = slopes(place, lambda n: sigmoid(float(x[n])) - float(y[n]))
    return relative_gap(place.gradients(-0.7)[0], -0.7 * expected, weighted.shares(place).max() or 1.0)


def hardly_surprised(place: Place, rng: Rng) -> float:
    """log(1 + e^{−40}) = e^{−40}, which no 1 + e^{−40} can hold; the slope is the same number."""
    loss, (gradient,) = weighted.run(place, (np.array([-40.0]), np.zeros(1)), 1.0)
    return relative_gap((loss, gradient), (math.exp(-40.0), np.array([math.exp(-40.0)])))


# Cross-entropy


def a_shift_changes_nothing(place: Place, rng: Rng) -> float:
    x, targets, *weight = place.args
    shift = 10.0 * rng.standard_normal((*targets.shape, 1))
    bound = 1.0 + float(np.abs(x).max() + np.abs(shift).max())
    return relative_gap(place(x + shift, targets, *weight), place(*place.args), bound)


def classes_have_no_order(place: Place, rng: Rng) -> float:
    x, targets, *weight = place.args
    order = rng.permutation(x.shape[-1])
    moved = place(x[..., order], np.argsort(order)[targets], *weight)
    return relative_gap(moved, place(*place.args), weighted.size(place))


def uniform_logits_give_log_c(place: Place, rng: Rng) -> float:
    x, targets, *weight = place.args
    total = weighted.shares(place).sum()
    return relative_gap(place(np.full(x.shape, 4.0), targets, *weight), total * math.log(x.shape[-1]), 1.0)


def cross_entropy_slope(place: Place, rng: Rng) -> float:
    x, targets, *_ = place.args
    share, expected = weighted.shares(place), np.zeros(x.shape)
    for n in np.ndindex(*targets.shape):
        top = float(x[n].max())
        total = math.fsum(math.exp(float(v) - top) for v in x[n])
        for c in range(x.shape[-1]):
            p = math.exp(float(x[(*n, c)]) - top) / total
            expected[(*n, c)] = share[n] * (p - (c == targets[n]))
    return relative_gap(place.gradients(-0.7)[0], -0.7 * expected, float(share.max()) or 1.0)


def gradient_rows_sum_to_zero(place: Place, rng: Rng) -> float:
    gradient = place.gradients(1.0)[0].sum(axis=-1)
    return relative_gap(gradient, np.zeros(gradient.shape), float(weighted.shares(place).max()) or 1.0)


# BPR


def only_the_difference_counts(place: Place, rng: Rng) -> float:
    positive, negative, *weight = place.args
    c = 10.0 * rng.standard_normal()
    bound = 1.0 + float(np.abs(positive).max() + np.abs(negative).max()) + abs(c)
    return relative_gap(place(positive + c, negative + c, *weight), place(*place.args), bound)


def gradients_are_opposite(place: Place, rng: Rng) -> float:
    dpositive, dnegative = place.gradients(rng.standard_normal())
    return relative_gap(dnegative, -dpositive)


def swapped(place: Place, rng: Rng) -> float:
    """L(d) − L(−d) = −d, in the mean."""
    positive, negative, *weight = place.args
    share, d = weighted.shares(place), positive - negative
    kept = [n for n in np.ndindex(*d.shape) if share[n] > 0]
    expected = -math.fsum(float(share[n] * d[n]) for n in kept)
    gap = place(positive, negative, *weight) - place(negative, positive, *weight)
    return relative_gap(gap, expected, 1.0 + max((abs(float(d[n])) for n in kept), default=0.0))


def hardly_wrong(place: Place, rng: Rng) -> float:
    """A pair 40 apart costs e^{−40}, and moves the scores by as much."""
    loss, gradients = weighted.run(place, (np.array([40.0]), np.zeros(1)), 1.0)
    small = np.array([math.exp(-40.0)])
    return relative_gap((loss, *gradients), (math.exp(-40.0), -small, small))


def bpr_slope(place: Place, rng: Rng) -> float:
    positive, negative, *_ = place.args
    expected = slopes(place, lambda n: -sigmoid(float(negative[n] - positive[n])))
    return relative_gap(place.gradients(-0.7)[0], -0.7 * expected)
