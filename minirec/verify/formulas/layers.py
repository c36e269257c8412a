"""The layers around attention: the linear map and layer norm."""

import math
from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Formula, Place, Property, Rng, largest, relative_gap
from minirec.verify.formulas.drawing import normal, short


def linear(x: Any, W: Any, b: Any) -> Any:
    """b_o + Σ_i x_i W_io for each row and each output."""
    y = np.zeros((*x.shape[:-1], W.shape[1]))
    for row in np.ndindex(*x.shape[:-1]):
        for o in range(W.shape[1]):
            y[(*row, o)] = math.fsum([b[o], *(x[(*row, i)] * W[i, o] for i in range(W.shape[0]))])
    return y


def layer_norm(x: Any, gamma: Any, beta: Any, eps: float = 1e-5) -> Any:
    """Row by row: less its mean, over the root of its variance plus eps, times gamma plus beta."""
    y = np.zeros(x.shape)
    for row in np.ndindex(*x.shape[:-1]):
        numbers = [float(v) for v in x[row]]
        mean = math.fsum(numbers) / len(numbers)
        variance = math.fsum((v - mean) ** 2 for v in numbers) / len(numbers)
        for d, v in enumerate(numbers):
            y[(*row, d)] = gamma[d] * (v - mean) / math.sqrt(variance + eps) + beta[d]
    return y


# The linear map.


def affine(place: Place, rng: Rng) -> float:
    """y(x + a z) = y(x) + a (y(z) − b)."""
    x, W, b = place.args
    z, a = rng.standard_normal(x.shape), rng.uniform(-10, 10)
    size = largest(W) * (largest(x) + largest(a * z)) * max(W.shape[0], 1) + largest(b)
    return relative_gap(place(x + a * z, W, b), place(x, W, b) + a * place(z, W, np.zeros(b.shape)), size)


def zero_gives_the_bias(place: Place, rng: Rng) -> float:
    x, W, b = place.args
    return relative_gap(place(np.zeros(x.shape), W, b), np.broadcast_to(b, (*x.shape[:-1], *b.shape)))


def a_batch_is_its_rows(place: Place, rng: Rng) -> float | None:
    """Forward and dx row by row; dW and db are the sums of what each row gives."""
    x, W, b = place.args
    if x.ndim == 1:
        return None
    y, dy = place(x, W, b), place.upstream(rng)
    dx, dW, db = place.gradients(dy)
    dW_sum, db_sum = np.zeros(W.shape), np.zeros(b.shape)
    gap = 0.0
    for row in np.ndindex(*x.shape[:-1]):
        dx_row, dW_row, db_row = place.gradients(dy[row], x[row], W, b)
        dW_sum += dW_row
        db_sum += db_row
        of_y = relative_gap(y[row], place(x[row], W, b), _row_size(x, W) + largest(b))
        gap = max(gap, of_y, relative_gap(dx[row], dx_row, _row_size(dy, W.T)))
    rows = max(dy[..., 0].size, 1)
    of_W = relative_gap(dW, dW_sum, rows * largest(x) * largest(dy))
    return max(gap, of_W, relative_gap(db, db_sum, rows * largest(dy)))


def backward_is_three_sums(place: Place, rng: Rng) -> float:
    """dx = dy Wᵀ, dW = Σ xᵀ dy, db = Σ dy, in loops."""
    x, W, b = place.args
    dy = place.upstream(rng)
    dx, dW, db = (np.zeros(array.shape) for array in (x, W, b))
    for row in np.ndindex(*x.shape[:-1]):
        for o in range(W.shape[1]):
            db[o] += dy[(*row, o)]
            for i in range(W.shape[0]):
                dx[(*row, i)] += dy[(*row, o)] * W[i, o]
                dW[i, o] += dy[(*row, o)] * x[(*row, i)]
    rows = max(dy[..., 0].size, 1)
    sizes = _row_size(dy, W.T), rows * largest(x) * largest(dy), rows * largest(dy)
    pairs = zip(place.gradients(dy), (dx, dW, db), sizes, strict=True)
    return max(relative_gap(found, expected, size) for found, expected, size in pairs)


def _row_size(x: Array, W: Array) -> float:
    """No sum of products of a row is larger than this."""
    return largest(x) * largest(W) * max(W.shape[0], 1)


# Layer norm. `plain` is x̂: gamma 1, beta 0.


def _plain(place: Place, x: Array, eps: float) -> Any:
    return place(x, np.ones(x.shape[-1]), np.zeros(x.shape[-1]), eps)


def _eps(place: Place) -> float:
    return float(place.args[3]) if len(place.args) > 3 else 1e-5


def _deviation(x: Array, eps: float) -> Array:
    return np.sqrt(x.var(axis=-1, keepdims=True) + eps)


def _steepness(x: Array, eps: float, shift: float = 0.0) -> Array:
    """1 + max |x| / √(var + eps) for each row: what a relative rounding of x is multiplied with in y."""
    return 1 + (np.abs(x).max(axis=-1, keepdims=True) + shift) / _deviation(x, eps)


def _varies(x: Array) -> bool:
    """Whether every row has more variance than its rounding, so that eps = 0 makes sense."""
    return bool((x.std(axis=-1) > 1e-6 * np.abs(x).max(axis=-1)).all())


def rows_have_mean_zero(place: Place, rng: Rng) -> float:
    x, eps = place.args[0], _eps(place)
    mean = _plain(place, x, eps).mean(axis=-1, keepdims=True)
    return relative_gap(mean / _steepness(x, eps), np.zeros(mean.shape), 1.0)


def the_variance_is_a_little_below_one(place: Place, rng: Rng) -> float:
    """var / (var + eps), at an eps that one can see."""
    x = place.args[0]
    gap = 0.0
    for eps in (_eps(place), 0.3):
        var = x.var(axis=-1, keepdims=True)
        found = _plain(place, x, eps).var(axis=-1, keepdims=True)
        gap = max(gap, largest((found - var / (var + eps)) / _steepness(x, eps) ** 2))
    return gap


def a_shift_of_a_row_changes_nothing(place: Place, rng: Rng) -> float:
    """Also by a million, where E[x²] − E[x]² would have lost its digits."""
    x, gamma, beta, *eps = place.args
    gap = 0.0
    for c in (rng.uniform(-10, 10), 1e6):
        size = _steepness(x, _eps(place), abs(c))
        moved = place(x + c, gamma, beta, *eps) - place(x, gamma, beta, *eps)
        gap = max(gap, largest(moved / size) / (largest(gamma) + largest(beta) or 1.0))
    return gap


def scaling_x_scales_eps(place: Place, rng: Rng) -> float:
    """y(2x, 4ε) = y(x, ε) bit by bit, 2 being a power of 2: so the scale of a row is lost only for ε = 0."""
    x, gamma, beta, *_ = place.args
    return relative_gap(place(2 * x, gamma, beta, 4 * _eps(place)), place(x, gamma, beta, _eps(place)))


def without_eps_the_scale_is_lost(place: Place, rng: Rng) -> float | None:
    x, gamma, beta, *_ = place.args
    if not _varies(x):
        return None
    y = place(x, gamma, beta, 0.0)
    moved = place(x * rng.uniform(0.1, 1e3), gamma, beta, 0.0)
    size = _steepness(x, 0.0) * (largest(gamma) + largest(beta))
    return relative_gap(moved / size, y / size, 1.0)


def a_constant_row_gives_beta(place: Place, rng: Rng) -> float:
    """And a finite gradient: (γ dy − its mean) / √eps for x, nothing for gamma."""
    x, gamma, beta, *_ = place.args
    eps, dy = _eps(place), place.upstream(rng)
    constant = np.broadcast_to(x[..., :1], x.shape)
    dx, dgamma, _ = place.gradients(dy, constant, gamma, beta, eps)
    g = gamma * dy
    # The mean of equal numbers is off by their rounding, which is divided by √eps.
    size = (1 + largest(x) / math.sqrt(eps)) * (1 + largest(gamma)) * (1 + largest(dy))
    expected = (g - g.mean(axis=-1, keepdims=True)) / math.sqrt(eps)
    return max(
        relative_gap(place(constant, gamma, beta, eps), np.broadcast_to(beta, x.shape), size),
        relative_gap(dx, expected, size / math.sqrt(eps)),
        relative_gap(dgamma, np.zeros(gamma.shape), size * dy.size),
    )


def gradient_rows_sum_to_zero(place: Place, rng: Rng) -> float:
    """As a shift changes nothing."""
    x, gamma, *_ = place.args
    dy = place.upstream(rng)
    dx = place.gradients(dy)[0]
    size = largest(gamma * dy) * _steepness(x, _eps(place)) / _deviation(x, _eps(place))
    return largest(dx.sum(axis=-1, keepdims=True) / size) if size.all() else 0.0


def gradient_is_orthogonal_to_the_row(place: Place, rng: Rng) -> float | None:
    """As growth of a row changes nothing for eps = 0; with eps, Σ dx x̂ is eps / (var + eps) of Σ dx̂ x̂ / s."""
    x, gamma, beta, *_ = place.args
    if not _varies(x):
        return None
    dy = place.upstream(rng)
    gap = 0.0
    for eps in (0.0, _eps(place)):
        deviation = np.sqrt(x.var(axis=-1) + eps)
        x_hat = _plain(place, x, eps)
        dx = place.gradients(dy, x, gamma, beta, eps)[0]
        expected = (gamma * dy * x_hat).sum(axis=-1) / deviation * eps / deviation**2
        size = _steepness(x, eps)[..., 0] ** 2 * largest(gamma * dy) / deviation
        gap = max(gap, largest(((dx * x_hat).sum(axis=-1) - expected) / size))
    return gap


def gamma_and_beta_add_up_the_rows(place: Place, rng: Rng) -> float:
    x = place.args[0]
    dy, x_hat = place.upstream(rng), _plain(place, x, _eps(place))
    dgamma, dbeta = np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    for row in np.ndindex(*x.shape[:-1]):
        dgamma += dy[row] * x_hat[row]
        dbeta += dy[row]
    return relative_gap(place.gradients(dy)[1:], (dgamma, dbeta), float(np.abs(dy).sum()))


FORMULAS = (
    Formula(
        name="linear",
        meaning="Each output is a weighted sum of the inputs plus a bias.",
        latex=r"y = x W + b",
        source="the document, section 5.2, the last layer; Vaswani et al. 2017, equation 2",
        ours="minirec.functional.linear",
        definition=linear,
        places={
            "example": lambda rng: (short(rng, 2, 3), short(rng, 3, 2), short(rng, 2)),
            "two axes": lambda rng: (normal(rng, 5, 3), normal(rng, 3, 7), normal(rng, 7)),
            "four axes": lambda rng: (normal(rng, 2, 3, 5, 7), normal(rng, 7, 11), normal(rng, 11)),
            "one axis": lambda rng: (normal(rng, 3), normal(rng, 3, 5), normal(rng, 5)),
        },
        properties=(
            Property("affine in x", affine, 1e-14),
            Property("x = 0 gives the bias", zero_gives_the_bias, 0.0),
            Property("a batch is its rows one by one", a_batch_is_its_rows, 1e-14),
            Property("backward is dy Wᵀ, Σ xᵀ dy and Σ dy", backward_is_three_sums, 1e-14),
        ),
    ),
    Formula(
        name="layer_norm",
        meaning="Each row is centered and scaled to variance 1, then scaled and shifted by what is learned.",
        latex=r"y = \gamma \odot \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}} + \beta, "
        r"\quad \mathrm{E}[x] = \frac{1}{D} \sum_i x_i, \quad "
        r"\mathrm{Var}[x] = \frac{1}{D} \sum_i (x_i - \mathrm{E}[x])^2",
        source="Ba, Kiros & Hinton 2016, section 3; Vaswani et al. 2017, section 3.1",
        ours="minirec.functional.layer_norm",
        definition=layer_norm,
        places={
            "example": lambda rng: (short(rng, 2, 3), short(rng, 3), short(rng, 3)),
            "two axes": lambda rng: (normal(rng, 3, 5), normal(rng, 5), normal(rng, 5)),
            "three axes, shifted rows, eps 0.1": lambda rng: (
                3 * normal(rng, 2, 3, 7) + 30, normal(rng, 7), normal(rng, 7), 0.1,
            ),
            "one axis, eps 10": lambda rng: (normal(rng, 7), normal(rng, 7), normal(rng, 7), 10.0),
        },
        properties=(
            Property("rows of x̂ have mean 0", rows_have_mean_zero, 1e-14),
            Property("rows of x̂ have variance var / (var + ε)", the_variance_is_a_little_below_one, 1e-14),
            Property("a shift of a row changes nothing", a_shift_of_a_row_changes_nothing, 1e-14),
            Property("2x with 4ε is the same as x with ε", scaling_x_scales_eps, 0.0),
            Property("without ε the scale of x is lost", without_eps_the_scale_is_lost, 1e-14),
            Property("a constant row gives β and a finite gradient", a_constant_row_gives_beta, 1e-14),
            Property("rows of dx sum to 0", gradient_rows_sum_to_zero, 1e-14),
            Property("dx is orthogonal to x̂ but for ε", gradient_is_orthogonal_to_the_row, 1e-14),
            Property("dγ and dβ add up the rows", gamma_and_beta_add_up_the_rows, 1e-14),
        ),
    ),
)  # fmt: skip
