"""Optimizers: one step of each rule, and several steps through its class.

Through a class, θ (P, N) holds P parameters, one per row, the gradients (T, P, N) are those of T steps, and
the value is θ after each step. Its moments are written as sums over all steps so far, not as a recursion.
The properties are in properties/optimizer.py.
"""

import math
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.drawing import normal, short
from minirec.verify.formulas.properties import optimizer as P

EXACT = 1e-13  # rounding of sums of some ten terms, relative to the largest


def sgd_step(param: Any, grad: Any, velocity: Any, lr: float, momentum: float) -> Any:
    """θ' and v', number by number."""
    theta, v = np.zeros(param.shape), np.zeros(param.shape)
    for at in np.ndindex(*param.shape):
        v[at] = math.fsum([momentum * velocity[at], grad[at]])
        theta[at] = param[at] - lr * v[at]
    return theta, v


def adam_step(
    param: Any,
    grad: Any,
    m: Any,
    v: Any,
    t: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Any:
    """θ', m' and v', number by number."""
    theta, first, second = np.zeros(param.shape), np.zeros(param.shape), np.zeros(param.shape)
    for at in np.ndindex(*param.shape):
        first[at] = math.fsum([beta1 * m[at], (1.0 - beta1) * grad[at]])
        second[at] = math.fsum([beta2 * v[at], (1.0 - beta2) * grad[at] ** 2])
        m_hat, v_hat = first[at] / (1.0 - beta1**t), second[at] / (1.0 - beta2**t)
        theta[at] = param[at] - lr * m_hat / (math.sqrt(v_hat) + eps)
    return theta, first, second


def adamw_step(
    param: Any,
    grad: Any,
    m: Any,
    v: Any,
    t: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Any:
    """θ', m' and v' of Adam, and lr · weight_decay · θ less of θ'."""
    theta, first, second = adam_step(param, grad, m, v, t, lr, beta1, beta2, eps)
    for at in np.ndindex(*param.shape):
        theta[at] -= lr * weight_decay * param[at]
    return theta, first, second


def sgd(theta: Any, gradients: Any, lr: float, momentum: float) -> Any:
    """θ after each step, with v_t = Σ_s momentum^(t − s) g_s."""
    path, now = np.zeros(gradients.shape), np.array(theta, dtype=np.float64)
    for t in range(len(gradients)):
        for at in np.ndindex(*theta.shape):
            v = math.fsum(momentum ** (t - s) * gradients[(s, *at)] for s in range(t + 1))
            now[at] = now[at] - lr * v
        path[t] = now
    return path


def adam(theta: Any, gradients: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    """θ after each step, with m_t = (1 − β₁) Σ_s β₁^(t − s) g_s, and v_t of the squares."""
    return adamw(theta, gradients, lr, beta1, beta2, eps, 0.0)


def adamw(
    theta: Any, gradients: Any, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float
) -> Any:
    """As Adam; each step also takes lr · weight_decay · θ away, and the moments never see it."""
    path, now = np.zeros(gradients.shape), np.array(theta, dtype=np.float64)
    for t in range(1, len(gradients) + 1):
        for at in np.ndindex(*theta.shape):
            past = [(t - s, float(gradients[(s - 1, *at)])) for s in range(1, t + 1)]
            m = (1.0 - beta1) * math.fsum(beta1**age * g for age, g in past)
            v = (1.0 - beta2) * math.fsum(beta2**age * g**2 for age, g in past)
            step = m / (1.0 - beta1**t) / (math.sqrt(v / (1.0 - beta2**t)) + eps)
            now[at] = now[at] - lr * weight_decay * now[at] - lr * step
        path[t - 1] = now
    return path


def _walk(optimizer: Any, theta: Any, gradients: Any) -> Any:
    """θ after each step of one of our optimizers, every row a parameter with a state of its own."""
    params = {f"row {i}": row.copy() for i, row in enumerate(theta)}
    path = []
    for grads in gradients:
        by_name = {f"row {i}": row for i, row in enumerate(grads)}
        optimizer.step(params, dict(reversed(by_name.items())))  # names count, not their order
        path.append(np.stack(list(params.values())))
    return np.stack(path)


def adam_where_nothing_decays(place: Place, rng: Rng) -> float:
    theta, gradients, *settings, _ = place.args
    return relative_gap(place(theta, gradients, *settings, 0.0), adam(theta, gradients, *settings))


def adam_for_the_moments(place: Place, rng: Rng) -> float:
    """m' and v' are those of Adam, to the last digit the same for any decay and any θ."""
    *given, lr, beta1, beta2, eps, _ = _settings(place)
    param, *rest = given
    found = place(*place.args)[1:]
    others = [place(10.0 * param + 1.0, *rest, lr, beta1, beta2, eps, decay)[1:] for decay in (0.0, 0.7)]
    return max(relative_gap(other, found) for other in others)


def an_adam_step_without_decay(place: Place, rng: Rng) -> float:
    *given, _ = _settings(place)
    return relative_gap(place(*given, 0.0), adam_step(*given))


def only_the_decay_without_gradients(place: Place, rng: Rng) -> float | None:
    """Zero gradient and moments; ε = 0 would be 0 / 0."""
    param, grad, _, _, t, lr, beta1, beta2, eps, decay = _settings(place)
    if eps == 0:
        return None
    zero = np.zeros(grad.shape)
    found = place(param, zero, zero, zero, t, lr, beta1, beta2, eps, decay)
    return relative_gap(found, ((1.0 - lr * decay) * param, zero, zero))


def _settings(place: Place) -> tuple[Any, ...]:
    """All ten arguments of a step of AdamW; the last four may be left out together."""
    return place.args if len(place.args) == 10 else (*place.args, 0.9, 0.999, 1e-8, 0.01)


FORMULAS = (
    Formula(
        name="sgd_step",
        meaning="One step of stochastic gradient descent with momentum.",
        latex=r"v \leftarrow \mu v + g, \quad \theta \leftarrow \theta - \eta v",
        source="Polyak 1964 (the heavy ball)",
        ours="minirec.optim.sgd_step",
        definition=sgd_step,
        places={
            "example": lambda rng: (short(rng, 2), short(rng, 2), short(rng, 2), 0.1, 0.9),
            "two axes": lambda rng: (normal(rng, 3, 5), normal(rng, 3, 5), normal(rng, 3, 5), 0.01, 0.5),
            "without momentum": lambda rng: (normal(rng, 7), 1e3 * normal(rng, 7), normal(rng, 7), 0.1, 0.0),
            "one number": lambda rng: (*(np.array(x) for x in rng.standard_normal(3)), 0.1, 0.9),
        },
        properties=(
            Property("−lr · g without momentum", P.sgd_without_momentum_forgets, 1e-15),
            Property("linear", P.sgd_is_linear, EXACT),
            Property("still at zero gradient and velocity", P.nothing_from_nothing, 0.0),
        ),
    ),
    Formula(
        name="adam_step",
        meaning="One step of Adam: the mean gradient over the root of the mean squared gradient.",
        latex=r"m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2,"
        r"\quad \theta \leftarrow \theta"
        r" - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \varepsilon}",
        source="Kingma & Ba 2015, algorithm 1",
        ours="minirec.optim.adam_step",
        definition=adam_step,
        places={
            "example": lambda rng: (short(rng, 2), short(rng, 2), short(rng, 2), short(rng, 2) ** 2, 3, 0.1),
            "first step": lambda rng: (
                normal(rng, 3, 5), normal(rng, 3, 5), np.zeros((3, 5)), np.zeros((3, 5)), 1, 0.01,
            ),
            "other settings": lambda rng: (
                normal(rng, 3, 5), normal(rng, 3, 5), normal(rng, 3, 5), normal(rng, 3, 5) ** 2,
                7, 0.3, 0.5, 0.9, 0.1,
            ),
            "large gradients, no ε": lambda rng: (
                normal(rng, 7), 1e6 * normal(rng, 7), 1e5 * normal(rng, 7), 1e10 * normal(rng, 7) ** 2,
                1000, 0.01, 0.9, 0.98, 0.0,
            ),
            "one number": lambda rng: (*(np.array(x) for x in rng.random(4)), 2, 0.1),
        },
        properties=(
            Property("−lr · sign(g) in the first step", P.the_first_adam_step_is_the_sign, EXACT),
            Property("still at zero gradient and moments", P.nothing_from_nothing, 0.0),
            Property("at rest where the moments are those of g", P.the_moments_are_means, EXACT),
        ),
    ),
    Formula(
        name="adamw_step",
        meaning="One step of Adam, and a fixed share less of the parameters themselves.",
        latex=r"\theta \leftarrow (1 - \eta \lambda)\, \theta"
        r" - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \varepsilon}, "
        r"\quad m, v \text{ as in Adam, of } g \text{ alone}",
        source="Loshchilov & Hutter 2019, algorithm 2, with λ scaled by the learning rate",
        ours="minirec.optim.adamw_step",
        definition=adamw_step,
        places={
            "example": lambda rng: (short(rng, 2), short(rng, 2), short(rng, 2), short(rng, 2) ** 2, 3, 0.1),
            "first step, strong decay": lambda rng: (
                10 * normal(rng, 3, 5), normal(rng, 3, 5), np.zeros((3, 5)), np.zeros((3, 5)),
                1, 0.3, 0.9, 0.98, 1e-3, 2.0,
            ),
            "other settings": lambda rng: (
                normal(rng, 3, 5), normal(rng, 3, 5), normal(rng, 3, 5), normal(rng, 3, 5) ** 2,
                7, 0.3, 0.5, 0.9, 0.1, 0.5,
            ),
            "one number": lambda rng: (*(np.array(x) for x in rng.random(4)), 2, 0.1),
        },
        properties=(
            Property("only the decay at zero gradient and moments", only_the_decay_without_gradients, EXACT),
            Property("a step of Adam without decay", an_adam_step_without_decay, EXACT),
            Property("decoupled: no decay and no θ in the moments", adam_for_the_moments, 0.0),
        ),
    ),
    Formula(
        name="SGD",
        meaning="Several steps of gradient descent with momentum, a velocity for each parameter.",
        latex=r"\theta_t = \theta_{t-1} - \eta \sum_{s=1}^{t} \mu^{t-s} g_s",
        source="Polyak 1964, with the recursion of the velocity written out",
        ours="minirec.optim.SGD",
        definition=sgd,
        value=lambda kind, theta, gradients, lr, momentum: _walk(kind(lr, momentum), theta, gradients),
        places={
            "example": lambda rng: (short(rng, 1, 2), short(rng, 3, 1, 2), 0.1, 0.5),
            "three parameters, seven steps": lambda rng: (normal(rng, 3, 2), normal(rng, 7, 3, 2), 0.01, 0.9),
            "without momentum": lambda rng: (normal(rng, 2, 3), normal(rng, 5, 2, 3), 0.1, 0.0),
        },
        properties=(
            Property("in closed form where g is constant", P.constant_gradients_have_a_closed_form, 1e-12),
            Property("still at zero gradients", P.a_zero_gradient_moves_nothing, 0.0),
            Property("the same for each parameter alone", P.rows_do_not_meet, 0.0),
            Property("mirrored by mirrored gradients", P.mirrored_gradients_mirror_the_path, 0.0),
        ),
    ),
    Formula(
        name="Adam",
        meaning="Several steps of Adam, moments for each parameter, one count of steps for all.",
        latex=r"\theta_t = \theta_{t-1} - \eta \frac{\hat{m}_t}{\sqrt{\hat{v}_t} + \varepsilon}, \quad"
        r"\hat{m}_t = \frac{1 - \beta_1}{1 - \beta_1^t} \sum_{s=1}^{t} \beta_1^{t-s} g_s, \quad"
        r"\hat{v}_t = \frac{1 - \beta_2}{1 - \beta_2^t} \sum_{s=1}^{t} \beta_2^{t-s} g_s^2",
        source="Kingma & Ba 2015, algorithm 1, and equation 1 for the sums",
        ours="minirec.optim.Adam",
        definition=adam,
        value=lambda kind, theta, gradients, lr, beta1, beta2, eps: _walk(
            kind(lr, beta1, beta2, eps), theta, gradients
        ),
        places={
            "example": lambda rng: (short(rng, 1, 2), short(rng, 3, 1, 2), 0.1, 0.9, 0.999, 1e-8),
            "three parameters, seven steps": lambda rng: (
                normal(rng, 3, 2), normal(rng, 7, 3, 2), 0.01, 0.9, 0.98, 1e-9,
            ),
            "large ε": lambda rng: (normal(rng, 2, 3), normal(rng, 5, 2, 3), 0.1, 0.5, 0.9, 0.3),
            "growing gradients": lambda rng: (
                normal(rng, 2, 3), normal(rng, 11, 2, 3) * 2.0 ** np.arange(11)[:, None, None],
                0.1, 0.9, 0.999, 0.0,
            ),
            "no memory": lambda rng: (normal(rng, 2, 3), normal(rng, 5, 2, 3), 0.1, 0.0, 0.9, 1e-8),
        },
        properties=(
            Property("−lr · sign(g) in the first step", P.the_first_step_is_the_sign, EXACT),
            Property("within the bound of Cauchy-Schwarz", P.no_step_is_longer_than_its_bound, 1e-12),
            Property("at the bound where g grows by β₂ / β₁", P.growing_gradients_reach_the_bound, 1e-12),
            Property("still at zero gradients", P.a_zero_gradient_moves_nothing, 0.0),
            Property("the same in any unit of the loss", P.the_unit_of_the_loss_does_not_matter, 0.0),
            Property("the same for each parameter alone", P.rows_do_not_meet, 0.0),
            Property("mirrored by mirrored gradients", P.mirrored_gradients_mirror_the_path, 0.0),
        ),
    ),
    Formula(
        name="AdamW",
        meaning="Several steps of Adam, each of which also shrinks the parameters by a fixed share.",
        latex=r"\theta_t = (1 - \eta \lambda)\, \theta_{t-1}"
        r" - \eta \frac{\hat{m}_t}{\sqrt{\hat{v}_t} + \varepsilon}, "
        r"\quad \hat{m}_t, \hat{v}_t \text{ as in Adam}",
        source="Loshchilov & Hutter 2019, algorithm 2, with λ scaled by the learning rate",
        ours="minirec.optim.AdamW",
        definition=adamw,
        value=lambda kind, theta, gradients, lr, beta1, beta2, eps, weight_decay: _walk(
            kind(lr, beta1, beta2, eps, weight_decay), theta, gradients
        ),
        places={
            "example": lambda rng: (short(rng, 1, 2), short(rng, 3, 1, 2), 0.1, 0.9, 0.999, 1e-8, 0.5),
            "three parameters, seven steps": lambda rng: (
                normal(rng, 3, 2), normal(rng, 7, 3, 2), 0.01, 0.9, 0.98, 1e-9, 0.01,
            ),
            "strong decay": lambda rng: (
                10 * normal(rng, 2, 3), normal(rng, 5, 2, 3), 0.3, 0.5, 0.9, 1e-3, 2.0,
            ),
        },
        properties=(
            Property("only the decay at zero gradients", P.with_zero_gradients_only_the_decay_is_left, EXACT),
            Property("Adam without decay", adam_where_nothing_decays, EXACT),
            Property("decoupled from the moments", P.the_decay_never_enters_the_moments, EXACT),
            Property("the same for each parameter alone", P.rows_do_not_meet, 0.0),
            Property("mirrored by mirrored gradients", P.mirrored_gradients_mirror_the_path, 0.0),
        ),
    ),
)  # fmt: skip
