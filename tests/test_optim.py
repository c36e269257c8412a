"""Optimizers against closed forms and a scalar reference; their bounds and state; clipping and schedules."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import frozen, normal, seeds

from minirec import optim

SHAPES = {"E": (3, 5), "b": (7,), "scale": ()}
MAKERS: list[Callable[[], Any]] = [
    lambda: optim.SGD(0.1),
    lambda: optim.SGD(0.1, momentum=0.9),
    lambda: optim.Adam(0.1),
    lambda: optim.AdamW(0.1, weight_decay=0.2),
]


def arrays(seed: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.standard_normal(shape) * scale) for name, shape in SHAPES.items()}


def copies(params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in params.items()}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# SGD


@given(normal(3, 5), normal(3, 5), normal(3, 5), st.floats(0, 0.99))
def test_sgd_step_is_its_formula(theta: np.ndarray, g: np.ndarray, v: np.ndarray, momentum: float) -> None:
    new, velocity = optim.sgd_step(theta, g, v, 0.1, momentum)
    assert np.array_equal(velocity, momentum * v + g)
    assert np.array_equal(new, theta - 0.1 * velocity)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_sgd_under_a_constant_gradient_has_a_closed_form(momentum: float) -> None:
    params, g = {"x": np.array([2.0, -3.0])}, np.array([0.5, -1.5])
    optimizer, start, n = optim.SGD(0.1, momentum), params["x"].copy(), 13
    for _ in range(n):
        optimizer.step(params, {"x": g})
    # v_t = g (1 − mᵗ) / (1 − m), summed over t = 1 .. n.
    m = momentum
    total = (n - m * (1 - m**n) / (1 - m)) / (1 - m)
    np.testing.assert_allclose(params["x"], start - 0.1 * g * total, rtol=1e-13)


def test_sgd_on_a_parabola_shrinks_by_a_constant_factor() -> None:
    params, optimizer = {"x": np.array([2.0, -3.0])}, optim.SGD(0.1)
    for _ in range(11):
        optimizer.step(params, {"x": 3.0 * params["x"]})  # of ³⁄₂ x²
    np.testing.assert_allclose(params["x"], np.array([2.0, -3.0]) * (1 - 0.3) ** 11, rtol=1e-13)


# Adam


def scalar_adam(
    theta: float, gradients: list[float], lr: float, beta1: float, beta2: float, eps: float, decay: float
) -> float:
    """Algorithm 1 of the paper (and AdamW's decay), for one number."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        theta = theta - lr * decay * theta
        theta = theta - lr * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)
    return theta


betas = st.tuples(st.floats(0, 0.99), st.floats(0, 0.9999))


@given(seeds, betas, st.sampled_from([1e-8, 1e-3]), st.sampled_from([0.0, 0.2]))
def test_adam_equals_a_loop_over_numbers(
    seed: int, betas: tuple[float, float], eps: float, decay: float
) -> None:
    params, start = arrays(seed), arrays(seed)
    history = [arrays(seed + 1 + t, scale=10.0 ** (t % 5 - 2)) for t in range(7)]
    optimizer: optim.Adam = optim.Adam(0.05, *betas, eps)
    if decay:
        optimizer = optim.AdamW(0.05, *betas, eps, weight_decay=decay)
    for grads in history:
        optimizer.step(params, {name: frozen(g) for name, g in grads.items()})
    for name, shape in SHAPES.items():
        for place in np.ndindex(shape):
            gradients = [float(grads[name][place]) for grads in history]
            expected = scalar_adam(float(start[name][place]), gradients, 0.05, *betas, eps, decay)
            assert params[name][place] == pytest.approx(expected, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e6])
def test_the_first_step_of_adam_is_the_learning_rate_against_the_sign(scale: float) -> None:
    params, g = {"x": np.zeros(11)}, np.random.default_rng(0).standard_normal(11) * scale
    optim.Adam(0.1, eps=0.0).step(params, {"x": g})
    np.testing.assert_allclose(params["x"], -0.1 * np.sign(g), rtol=1e-14)


def step_bound(t: int, beta1: float, beta2: float) -> float:
    """|step t| / lr at most, by the inequality of Cauchy and Schwarz between m and √v."""
    sums = sum((beta1**2 / beta2) ** j for j in range(t))
    return (1 - beta1) / (1 - beta1**t) * math.sqrt((1 - beta2**t) / (1 - beta2)) * math.sqrt(sums)


@given(seeds, st.sampled_from([(0.9, 0.999), (0.9, 0.98), (0.5, 0.9)]), st.floats(-2.0, 3.0))
def test_no_step_of_adam_is_longer_than_its_bound(
    seed: int, betas: tuple[float, float], growth: float
) -> None:
    rng, params, optimizer = np.random.default_rng(seed), {"x": np.zeros(7)}, optim.Adam(1.0, *betas, eps=0.0)
    for t in range(1, 41):
        before = params["x"].copy()
        optimizer.step(params, {"x": rng.standard_normal(7) * math.exp(growth * t / 2)})
        longest = np.abs(params["x"] - before).max()
        assert longest <= step_bound(t, *betas) * (1 + 1e-9)


def test_the_learning_rate_itself_is_no_bound() -> None:
    params, optimizer, t = {"x": np.zeros(1)}, optim.Adam(1.0, eps=0.0), 200
    for j in range(t):
        before = params["x"].copy()
        optimizer.step(params, {"x": np.array([(0.999 / 0.9) ** j])})  # where Cauchy-Schwarz is an equality
    reached = abs(float((params["x"] - before)[0]))
    assert reached > 2.5
    assert reached == pytest.approx(step_bound(t, 0.9, 0.999), rel=1e-6)


def test_the_decay_of_adamw_is_decoupled() -> None:
    # With a zero gradient only the decay is left, whatever the moments would make of it.
    params = {"x": np.array([2.0, -3.0])}
    optimizer = optim.AdamW(0.1, weight_decay=0.5)
    for _ in range(3):
        optimizer.step(params, {"x": np.zeros(2)})
    np.testing.assert_allclose(params["x"], np.array([2.0, -3.0]) * (1 - 0.05) ** 3, rtol=1e-14)
    # And it never enters the moments: these are the moments of Adam.
    with_decay, plain = optim.AdamW(0.1, weight_decay=0.5), optim.Adam(0.1)
    a, b = arrays(1), arrays(1)
    for t in range(3):
        with_decay.step(a, arrays(2 + t))
        plain.step(b, arrays(2 + t))
    assert same(with_decay.state()["m"], plain.state()["m"])
    assert same(with_decay.state()["v"], plain.state()["v"])
    assert not same(a, b)


def test_the_defaults_are_those_of_the_papers() -> None:
    decayed = optim.AdamW()
    for adam in (optim.Adam(), decayed.adam):
        assert (adam.lr, adam.beta1, adam.beta2, adam.eps) == (1e-3, 0.9, 0.999, 1e-8)
    assert (decayed.lr, decayed.weight_decay) == (1e-3, 0.01)


# All optimizers


@pytest.mark.parametrize("make", MAKERS[:3])
def test_a_zero_gradient_from_a_zero_state_moves_nothing(make: Callable[[], Any]) -> None:
    params, optimizer = arrays(1), make()
    before = copies(params)
    for _ in range(3):
        optimizer.step(params, {name: np.zeros_like(array) for name, array in params.items()})
    assert same(params, before)


@pytest.mark.parametrize("make", MAKERS)
def test_steps_are_made_in_place_and_gradients_stay_as_they_are(make: Callable[[], Any]) -> None:
    params = arrays(1)
    live, before = dict(params), copies(params)
    make().step(params, {name: frozen(g) for name, g in arrays(2).items()})
    assert all(params[name] is live[name] for name in params)
    assert all((params[name] != before[name]).all() for name in params)


@pytest.mark.parametrize("make", MAKERS)
def test_a_learning_rate_given_to_step_stands_in_for_the_own_one(make: Callable[[], Any]) -> None:
    params, expected, optimizer, other = arrays(1), arrays(1), make(), make()
    optimizer.step(params, arrays(2), lr=0.03)
    other.lr = 0.03
    other.step(expected, arrays(2))
    assert same(params, expected)
    assert optimizer.lr == 0.1
    before = copies(params)
    optimizer.step(params, arrays(3), lr=0.0)
    assert same(params, before)


@pytest.mark.parametrize("make", MAKERS)
def test_going_on_from_a_state_is_bit_equal_to_never_having_stopped(make: Callable[[], Any]) -> None:
    params, optimizer = arrays(1), make()
    for t in range(3):
        optimizer.step(params, arrays(10 + t))
    resumed, state = copies(params), optimizer.state()
    for t in range(3, 6):
        optimizer.step(params, arrays(10 + t))
    other = make()
    other.load_state(state)
    for t in range(3, 6):  # the state is a copy: the first optimizer has gone on since
        other.step(resumed, arrays(10 + t))
    assert same(params, resumed)


@pytest.mark.parametrize("part", ["t", "m", "v"])
def test_a_state_without_one_of_its_parts_would_be_noticed(part: str) -> None:
    params, optimizer = arrays(1), optim.Adam(0.1)
    for t in range(3):
        optimizer.step(params, arrays(10 + t))
    state, other_params = optimizer.state(), copies(params)
    lost = optim.Adam(0.1)
    zeros = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    lost.load_state(state | {part: 0 if part == "t" else zeros})
    optimizer.step(params, arrays(20))
    lost.step(other_params, arrays(20))
    assert not same(params, other_params)


@pytest.mark.parametrize("make", MAKERS)
def test_float32_stays_float32(make: Callable[[], Any]) -> None:
    params = {name: array.astype(np.float32) for name, array in arrays(1).items()}
    optimizer = make()
    for t in range(2):
        optimizer.step(params, {name: g.astype(np.float32) for name, g in arrays(2 + t).items()}, lr=0.1)
    kept = [array for part in optimizer.state().values() if isinstance(part, dict) for array in part.values()]
    assert kept
    assert {array.dtype for array in [*params.values(), *kept]} == {np.dtype(np.float32)}


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"b": None}, KeyError, "'b' has a parameter or a gradient, but not both"),
        ({"extra": np.zeros(2)}, KeyError, "'extra' has a parameter or a gradient, but not both"),
        ({"E": np.zeros((5, 3))}, ValueError, r"gradient of E has shape \(5, 3\), the parameter \(3, 5\)"),
        ({"b": np.zeros(1)}, ValueError, r"gradient of b has shape \(1,\), the parameter \(7,\)"),
    ],
)
def test_gradients_that_do_not_fit(
    make: Callable[[], Any], change: dict[str, Any], error: type[Exception], words: str
) -> None:
    params = arrays(1)
    grads = {name: g for name, g in (arrays(2) | change).items() if g is not None}
    before = copies(params)
    with pytest.raises(error, match=words):
        make().step(params, grads)
    assert same(params, before)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: optim.SGD(-0.1), "lr must not be negative, got -0.1"),
        (lambda: optim.SGD(0.1, momentum=1.0), r"momentum must be in \[0, 1\), got 1.0"),
        (lambda: optim.SGD(0.1, momentum=-0.1), "momentum must be in"),
        (lambda: optim.Adam(float("nan")), "lr must not be negative, got nan"),
        (lambda: optim.Adam(beta1=1.0), r"beta1 must be in \[0, 1\), got 1.0"),
        (lambda: optim.Adam(beta2=-0.5), r"beta2 must be in \[0, 1\), got -0.5"),
        (lambda: optim.AdamW(weight_decay=-1.0), "weight_decay must not be negative, got -1.0"),
    ],
)
def test_settings_out_of_range(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


# Clipping


@given(seeds, st.floats(0.01, 100.0))
def test_clipping_keeps_the_direction_and_reaches_the_limit(seed: int, limit: float) -> None:
    grads = arrays(seed)
    whole = np.concatenate([np.ravel(g) for g in grads.values()])
    norm = math.sqrt(sum(float(x) ** 2 for x in whole))
    clipped, measured = optim.clip_by_global_norm(grads, limit)
    assert measured == pytest.approx(norm, rel=1e-14)
    if norm <= limit:
        assert all(clipped[name] is grads[name] for name in grads)
    else:
        found = np.concatenate([np.ravel(g) for g in clipped.values()])
        np.testing.assert_allclose(found, whole * (limit / norm), rtol=1e-13)


def test_at_the_limit_nothing_is_touched_and_above_it_no_argument_changes() -> None:
    grads = {"a": frozen(np.array([3.0])), "b": frozen(np.array([0.0, -4.0]))}
    assert optim.clip_by_global_norm(grads, 5.0)[0]["b"] is grads["b"]
    clipped, norm = optim.clip_by_global_norm(grads, 2.5)
    assert norm == 5.0
    assert clipped["a"].tolist() == [1.5]
    assert clipped["b"].tolist() == [0.0, -2.0]
    assert optim.clip_by_global_norm(grads, math.inf) == (grads, 5.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_is_refused_by_name(bad: float) -> None:
    grads = arrays(1)
    grads["b"][3] = bad
    with pytest.raises(FloatingPointError, match="the gradient of b is not finite"):
        optim.clip_by_global_norm(grads, 1.0)


def test_finite_gradients_whose_squares_overflow_are_clipped_all_the_same() -> None:
    grads = {"a": np.array([3e30, 0.0], dtype=np.float32), "b": np.array([-4e30], dtype=np.float32)}
    clipped, norm = optim.clip_by_global_norm(grads, 10.0)
    assert norm == pytest.approx(5e30, rel=1e-6)
    np.testing.assert_allclose(clipped["a"], [6.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(clipped["b"], [-8.0], rtol=1e-6)
    assert clipped["a"].dtype == np.float32


def test_a_limit_that_is_none() -> None:
    for limit in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="limit must be positive"):
            optim.clip_by_global_norm(arrays(1), limit)


# Schedules


def test_warmup_is_the_formula_and_peaks_where_warming_up_ends() -> None:
    rates = [optim.warmup(step, 64, 10) for step in range(1, 100)]
    for step, rate in enumerate(rates, start=1):
        expected = step / (8 * 10 * math.sqrt(10)) if step <= 10 else 1 / (8 * math.sqrt(step))
        assert rate == pytest.approx(expected, rel=1e-14)
    assert rates.index(max(rates)) == 10 - 1


def test_cosine_is_the_formula_from_the_peak_to_zero() -> None:
    rates = [optim.cosine(step, 10, 0.3) for step in range(1, 15)]
    assert rates[0] == 0.3
    assert rates[5] == pytest.approx(0.15, rel=1e-14)  # half way
    for step in range(1, 11):
        assert rates[step - 1] == pytest.approx(0.3 * math.cos(math.pi * (step - 1) / 20) ** 2, abs=1e-15)
    assert max(map(abs, rates[10:])) <= 1e-16
    assert all(a > b for a, b in itertools.pairwise(rates[:11]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: optim.warmup(0, 64, 10), "step counts from 1, got 0"),
        (lambda: optim.warmup(1, 0, 10), "width and warmup_steps must be at least 1"),
        (lambda: optim.warmup(1, 64, 0), "width and warmup_steps must be at least 1"),
        (lambda: optim.cosine(0, 10, 0.1), "step counts from 1, got 0"),
        (lambda: optim.cosine(1, 0, 0.1), "total must be at least 1, got 0"),
    ],
)
def test_schedules_out_of_range(call: Callable[[], float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
