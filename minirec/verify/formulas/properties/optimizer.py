"""Properties of optimizers: zero gradients, the first step, bounds of a step, what must not matter.

A step has arguments param, grad, its state and settings; several steps through a class have θ (P, N), one row
per parameter, gradients (T, P, N) and settings.
"""

import math
from typing import Any

import numpy as np

from minirec.verify.formula import Place, Rng, relative_gap

# Properties of one step.


def sgd_without_momentum_forgets(place: Place, rng: Rng) -> float:
    """Whatever the velocity was."""
    param, grad, velocity, lr, _ = place.args
    other = rng.standard_normal(velocity.shape)
    return relative_gap(place(param, grad, other, lr, 0.0), (param - lr * grad, grad))


def sgd_is_linear(place: Place, rng: Rng) -> float:
    """A step from the sum of two places is the sum of the steps."""
    *arrays, lr, momentum = place.args
    other = [rng.standard_normal(a.shape) for a in arrays]
    both = place(*(2.0 * a + b for a, b in zip(arrays, other, strict=True)), lr, momentum)
    apart = zip(place(*place.args), place(*other, lr, momentum), strict=True)
    scale = 1.0 + max(float(np.abs(a).max(initial=0.0)) for a in arrays)
    return relative_gap(both, [2.0 * a + b for a, b in apart], scale)


def nothing_from_nothing(place: Place, rng: Rng) -> float | None:
    """Zero gradient and zero state; ε = 0 would be 0 / 0."""
    param, grad, *rest = place.args
    states = [a for a in rest if isinstance(a, np.ndarray)]
    if len(states) == 2 and _adam(place)[-1] == 0:
        return None
    zero = np.zeros(grad.shape)
    zeros = [zero for _ in states]
    return relative_gap(place(param, zero, *zeros, *rest[len(states) :]), (param, *zeros))


def _adam(place: Place) -> tuple[float, float, float, float]:
    """lr, β₁, β₂, ε of an Adam step; the last three may be left out together."""
    lr, *given = place.args[5:]
    beta1, beta2, eps = given or (0.9, 0.999, 1e-8)
    return lr, beta1, beta2, eps


def _away(g: Any) -> Any:
    """No gradient of exactly 0: its sign is 0, its Adam step 0 / 0 at ε = 0."""
    return np.where(g == 0, 0.7, g)


def the_first_adam_step_is_the_sign(place: Place, rng: Rng) -> float:
    """−lr · sign(g) at ε = 0 from zero moments, whatever the size of g."""
    grad, zero = _away(place.args[1]), np.zeros(place.args[1].shape)
    lr, beta1, beta2, _ = _adam(place)
    theta, _, _ = place(zero, grad, zero, zero, 1, lr, beta1, beta2, 0.0)
    return relative_gap(theta, -lr * np.sign(grad))


def the_moments_are_means(place: Place, rng: Rng) -> float:
    """Moments that equal g and g² stay there, whatever the decay rates."""
    param, grad, _, _, t, *_ = place.args
    _, m, v = place(param, grad, grad, grad * grad, t, *_adam(place))
    return relative_gap((m, v), (grad, grad * grad))


# Properties of several steps through a class.


def constant_gradients_have_a_closed_form(place: Place, rng: Rng) -> float:
    """v_t = g (1 − μᵗ) / (1 − μ), summed over the steps so far."""
    theta, gradients, lr, momentum = place.args
    found = place(theta, np.broadcast_to(gradients[0], gradients.shape), lr, momentum)
    t = np.arange(1, len(gradients) + 1)[:, None, None]
    total = (t - momentum * (1 - momentum**t) / (1 - momentum)) / (1 - momentum)
    return relative_gap(found, theta - lr * gradients[0] * total)


def a_zero_gradient_moves_nothing(place: Place, rng: Rng) -> float | None:
    theta, gradients, *settings = place.args
    if len(settings) == 4 and settings[-1] == 0:
        return None
    return relative_gap(place(theta, 0.0 * gradients, *settings), np.broadcast_to(theta, gradients.shape))


def rows_do_not_meet(place: Place, rng: Rng) -> float:
    """Each parameter moves as if it were alone."""
    theta, gradients, *settings = place.args
    alone = [place(theta[i : i + 1], gradients[:, i : i + 1], *settings) for i in range(len(theta))]
    return relative_gap(place(*place.args), np.concatenate(alone, axis=1))


def mirrored_gradients_mirror_the_path(place: Place, rng: Rng) -> float:
    theta, gradients, *settings = place.args
    return relative_gap(place(-theta, -gradients, *settings), -place(*place.args))


def the_first_step_is_the_sign(place: Place, rng: Rng) -> float:
    theta, gradients, lr, beta1, beta2, _ = place.args
    g = _away(gradients[:1])
    return relative_gap(place(np.zeros(theta.shape), g, lr, beta1, beta2, 0.0), -lr * np.sign(g))


def the_unit_of_the_loss_does_not_matter(place: Place, rng: Rng) -> float:
    """Gradients times a power of 2 give the same path, bit by bit, at ε = 0."""
    theta, gradients, lr, beta1, beta2, _ = place.args
    g = _away(gradients)
    return relative_gap(
        place(theta, 2.0**17 * g, lr, beta1, beta2, 0.0), place(theta, g, lr, beta1, beta2, 0.0)
    )


def _bound(t: int, beta1: float, beta2: float) -> float:
    """|step t| / lr is at most this, by the inequality of Cauchy and Schwarz between m and √v."""
    sums = math.fsum((beta1**2 / beta2) ** j for j in range(t))
    return (1 - beta1) / (1 - beta1**t) * math.sqrt((1 - beta2**t) / (1 - beta2) * sums)


def no_step_is_longer_than_its_bound(place: Place, rng: Rng) -> float | None:
    theta, _, lr, beta1, beta2, _ = place.args
    if beta2 == 0 or lr == 0:
        return None
    path = np.concatenate([np.zeros((1, *theta.shape)), place(np.zeros(theta.shape), *place.args[1:])])
    longest = np.abs(np.diff(path, axis=0)).max(axis=(1, 2)) / lr
    return max(0.0, *(longest[t - 1] / _bound(t, beta1, beta2) - 1.0 for t in range(1, len(path))))


def growing_gradients_reach_the_bound(place: Place, rng: Rng) -> float | None:
    """Where they grow by β₂ / β₁ a step, Cauchy-Schwarz is an equality."""
    theta, gradients, lr, beta1, beta2, _ = place.args
    if beta1 == 0 or beta2 == 0 or lr == 0:
        return None
    growth = (beta2 / beta1) ** np.arange(len(gradients))[:, None, None] * np.ones(theta.shape)
    path = place(np.zeros(theta.shape), growth, lr, beta1, beta2, 0.0)
    bounds = [_bound(t, beta1, beta2) for t in range(1, len(gradients) + 1)]
    return relative_gap(path, -lr * np.cumsum(bounds)[:, None, None] * np.ones(theta.shape))


def with_zero_gradients_only_the_decay_is_left(place: Place, rng: Rng) -> float | None:
    theta, gradients, *settings = place.args
    if settings[3] == 0:
        return None
    t = np.arange(1, len(gradients) + 1)[:, None, None]
    decayed = theta * (1.0 - settings[0] * settings[4]) ** t
    return relative_gap(place(theta, 0.0 * gradients, *settings), decayed)


def the_decay_never_enters_the_moments(place: Place, rng: Rng) -> float:
    """From θ = 0 and from another start: the paths differ by a decayed difference of the starts alone."""
    theta, gradients, *settings = place.args
    t = np.arange(1, len(gradients) + 1)[:, None, None]
    apart = place(*place.args) - place(np.zeros(theta.shape), gradients, *settings)
    expected = theta * (1.0 - settings[0] * settings[4]) ** t
    return relative_gap(apart, expected, 1.0 + float(np.abs(place(*place.args)).max()))
