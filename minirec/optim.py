"""Optimizers: they turn gradients into steps, and are the only code that changes parameters.

Each rule is a function on arrays (`sgd_step`, `adam_step`, `adamw_step`); the classes keep its state by
parameter name.
A gradient is an array or a `RowGradient`. With `lazy=True` a row that a RowGradient does not name is left
alone: neither it nor its state moves. Without, it moves like all others, by what the state remembers, and the
step costs as much as the table is long.
The schedules give a learning rate for a step number, starting at 1.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minirec.functional import Array, RowGradient

Params = Mapping[str, Array]
Gradient = Array | RowGradient
Map = Callable[..., Any]
Rule = Callable[..., tuple[Array, Array, Array]]
Grads = Mapping[str, Gradient]
State = dict[str, Any]

PART = 2**16  # numbers of a table that move at once: its moments and temporaries stay in a core's cache


def sgd_step(param: Array, grad: Array, velocity: Array, lr: float, momentum: float) -> tuple[Array, Array]:
    """v ← momentum · v + g,  θ ← θ − lr · v    (Polyak 1964). Returns (θ, v), new arrays."""
    velocity = momentum * velocity + grad
    return param - lr * velocity, velocity


def adam_step(
    param: Array,
    grad: Array,
    m: Array,
    v: Array,
    t: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[Array, Array, Array]:
    """m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  θ ← θ − lr · m̂ / (√v̂ + ε)

    m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ) undo the bias of starting at zero; t counts from 1
    (Kingma & Ba 2015, algorithm 1). Returns (θ, m, v), new arrays.
    """
    m = beta1 * m + (1.0 - beta1) * grad
    v = beta2 * v + (1.0 - beta2) * (grad * grad)
    m_hat = m * (1.0 / (1.0 - beta1**t))
    v_hat = v * (1.0 / (1.0 - beta2**t))
    return param - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def adamw_step(
    param: Array,
    grad: Array,
    m: Array,
    v: Array,
    t: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> tuple[Array, Array, Array]:
    """θ ← (1 − lr · weight_decay) θ, then a step of Adam    (Loshchilov & Hutter 2019, algorithm 2)

    The decay is decoupled: it acts on θ alone and never enters the moments. The rest as in `adam_step`.
    Returns (θ, m, v), new arrays.
    """
    return adam_step((1.0 - lr * weight_decay) * param, grad, m, v, t, lr, beta1, beta2, eps)


class SGD:
    """Stochastic gradient descent with momentum (0 switches it off; then lazy or not is the same)."""

    def __init__(self, lr: float, momentum: float = 0.0, *, lazy: bool = False) -> None:
        _require(lr >= 0, f"lr must not be negative, got {lr}")
        _require(0 <= momentum < 1, f"momentum must be in [0, 1), got {momentum}")
        self.lr, self.momentum, self.lazy = lr, momentum, lazy
        self._velocity: dict[str, Array] = {}

    def step(self, params: Params, grads: Grads, lr: float | None = None, each: Map = map) -> None:
        """Change every array of `params` in place; lr, if given, stands in for the optimizer's own.

        each    the map that works on the parts of a large table; that of a thread pool gives the same bits
        """
        lr = self.lr if lr is None else lr
        _check_names(params, grads)
        for name, param in params.items():
            if name not in self._velocity:
                self._velocity[name] = np.zeros(param.shape, param.dtype)
            velocity = self._velocity[name]

            def move(at: Any, grad: Array, param: Array = param, velocity: Array = velocity) -> None:
                param[at], velocity[at] = sgd_step(param[at], grad, velocity[at], lr, self.momentum)

            _in_parts(move, grads[name], self.lazy, each)

    def state(self) -> State:
        """A copy of everything that the next step depends on."""
        return {"velocity": {name: v.copy() for name, v in self._velocity.items()}}

    def load_state(self, state: State) -> None:
        """Go on from where `state()` was taken."""
        self._velocity = {name: v.copy() for name, v in state["velocity"].items()}


class Adam:
    """Adam (Kingma & Ba 2015): each parameter's step is scaled by the recent size of its own gradient.

    With `lazy=True` m, v and θ of a row stand still while no batch reads it; m̂ and v̂ still count all steps.
    Dense Adam goes on moving such a row by its fading m. The two agree where every row is read at each step.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        *,
        lazy: bool = False,
    ) -> None:
        _require(lr >= 0, f"lr must not be negative, got {lr}")
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            _require(0 <= beta < 1, f"{name} must be in [0, 1), got {beta}")
        self.lr, self.beta1, self.beta2, self.eps, self.lazy = lr, beta1, beta2, eps, lazy
        self._t = 0
        self._m: dict[str, Array] = {}
        self._v: dict[str, Array] = {}

    def step(self, params: Params, grads: Grads, lr: float | None = None, each: Map = map) -> None:
        """Change every array of `params` in place; lr, if given, stands in for the optimizer's own.

        each    as in `SGD.step`
        """
        self._step(adam_step, params, grads, self.lr if lr is None else lr, each)

    def _step(self, rule: Rule, params: Params, grads: Grads, lr: float, each: Map) -> None:
        _check_names(params, grads)
        self._t += 1
        for name, param in params.items():
            if name not in self._m:
                self._m[name], self._v[name] = (np.zeros(param.shape, param.dtype) for _ in range(2))
            m, v = self._m[name], self._v[name]

            def move(at: Any, grad: Array, param: Array = param, m: Array = m, v: Array = v) -> None:
                param[at], m[at], v[at] = rule(
                    param[at], grad, m[at], v[at], self._t, lr, self.beta1, self.beta2, self.eps
                )

            _in_parts(move, grads[name], self.lazy, each)

    def state(self) -> State:
        """A copy of everything that the next step depends on."""
        m = {name: array.copy() for name, array in self._m.items()}
        v = {name: array.copy() for name, array in self._v.items()}
        return {"t": self._t, "m": m, "v": v}

    def load_state(self, state: State) -> None:
        """Go on from where `state()` was taken."""
        self._t = int(state["t"])
        self._m = {name: array.copy() for name, array in state["m"].items()}
        self._v = {name: array.copy() for name, array in state["v"].items()}


class AdamW:
    """Adam, with θ ← (1 − lr · weight_decay) θ before each step (Loshchilov & Hutter 2019).

    The decay is decoupled: it acts on θ itself and never enters the moments. With `lazy=True` it acts on the
    rows that move.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        lazy: bool = False,
    ) -> None:
        _require(weight_decay >= 0, f"weight_decay must not be negative, got {weight_decay}")
        self.lr, self.weight_decay = lr, weight_decay
        self.adam = Adam(lr, beta1, beta2, eps, lazy=lazy)

    def step(self, params: Params, grads: Grads, lr: float | None = None, each: Map = map) -> None:
        """Change every array of `params` in place; lr, if given, stands in for the optimizer's own.

        each    as in `SGD.step`
        """
        rule = functools.partial(adamw_step, weight_decay=self.weight_decay)
        self.adam._step(rule, params, grads, self.lr if lr is None else lr, each)

    def state(self) -> State:
        """A copy of everything that the next step depends on."""
        return self.adam.state()

    def load_state(self, state: State) -> None:
        """Go on from where `state()` was taken."""
        self.adam.load_state(state)


def clip_by_global_norm(grads: Grads, limit: float) -> tuple[dict[str, Gradient], float]:
    """g ← g · min(1, limit / ‖g‖), ‖g‖ over all gradients (Pascanu et al. 2013). Returns (grads, ‖g‖).

    The direction is kept. Below the limit the very same arrays come back. Raises FloatingPointError that
    names the first parameter whose gradient is not finite.
    """
    _require(limit > 0, f"limit must be positive, got {limit}")
    numbers = {name: g.values if isinstance(g, RowGradient) else g for name, g in grads.items()}
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in numbers.values()))
    if not math.isfinite(norm):
        for name, g in numbers.items():
            if not np.isfinite(g).all():
                raise FloatingPointError(f"the gradient of {name} is not finite: cannot clip it")
        # Every entry is finite but the squares overflow: measure in units of the largest entry.
        top = max(float(np.max(np.abs(g))) for g in numbers.values() if g.size)
        norm = top * math.sqrt(
            sum(float(np.sum((g / top).astype(np.float64) ** 2)) for g in numbers.values())
        )
    if norm <= limit:
        return dict(grads), norm
    return {name: g * (limit / norm) for name, g in grads.items()}, norm


def warmup(step: int, width: int, warmup_steps: int) -> float:
    """lr = width^{−½} · min(step^{−½}, step · warmup_steps^{−3/2})    (Vaswani et al. 2017, section 5.3)"""
    _require(step >= 1, f"step counts from 1, got {step}")
    _require(width >= 1 and warmup_steps >= 1, "width and warmup_steps must be at least 1")
    return float(width**-0.5 * min(step**-0.5, step * warmup_steps**-1.5))


def cosine(step: int, total: int, peak: float) -> float:
    """lr = ½ peak (1 + cos(π (step − 1) / total)): from `peak` towards 0 (Loshchilov & Hutter 2017).

    Beyond `total` steps it stays 0.
    """
    _require(step >= 1, f"step counts from 1, got {step}")
    _require(total >= 1, f"total must be at least 1, got {total}")
    return 0.5 * peak * (1.0 + math.cos(math.pi * min(step - 1, total) / total))


def _in_parts(move: Callable[[Any, Array], None], grad: Gradient, lazy: bool, each: Map) -> None:
    """Call move(rows, their gradient): for all rows, or in a lazy step for those that the gradient names.

    A large table goes in parts that fit the cache, which no two calls share.
    """
    rows, values = _rows(grad, lazy)
    if values.size <= PART:
        return move(... if rows is None else rows, values)
    size = max(1, PART // math.prod(values.shape[1:]))
    parts = [slice(start, start + size) for start in range(0, len(values), size)]
    for _ in each(lambda part: move(part if rows is None else rows[part], values[part]), parts):
        pass


def _rows(grad: Gradient, lazy: bool) -> tuple[Array | None, Array]:
    """The rows that move (None: all) and their gradient."""
    if isinstance(grad, RowGradient):
        return (grad.rows, grad.values) if lazy else (None, grad.dense())
    return None, grad


def _check_names(params: Params, grads: Grads) -> None:
    if params.keys() != grads.keys():
        odd = sorted(params.keys() ^ grads.keys())[0]
        raise KeyError(f"{odd!r} has a parameter or a gradient, but not both")
    for name, param in params.items():
        if grads[name].shape != param.shape:
            raise ValueError(
                f"the gradient of {name} has shape {grads[name].shape}, the parameter {param.shape}"
            )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
