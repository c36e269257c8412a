"""Optimizers against the formula sheet, for whatever is drawn; their state, faults, and clipping by hand."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, rows, scales

from minirec import optim
from minirec.functional import RowGradient

rates = st.sampled_from([0.0, 1e-3, 0.1, 0.3])
betas = st.tuples(st.just(0.0) | st.floats(0.01, 0.99), st.just(0.0) | st.floats(0.01, 0.9999))
epsilons = st.sampled_from([1e-8, 1e-3])
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


@st.composite
def histories(draw: st.DrawFn, *shape: int) -> np.ndarray:
    """The gradients of seven steps, each of its own size."""
    gradients = draw(rows(7, *shape)) * 10.0 ** (np.arange(7) % 5 - 2).reshape(7, *(1 for _ in shape))
    return frozen(gradients)


def copies(params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in params.items()}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# SGD


@given(rows(3, 5), rows(3, 5), rows(3, 5), rates, st.floats(0, 0.99))
def test_sgd_step(theta: np.ndarray, g: np.ndarray, velocity: np.ndarray, lr: float, momentum: float) -> None:
    holds("sgd_step", theta, g, velocity, lr, momentum)


@given(rows(2, 3), histories(2, 3), rates, st.floats(0, 0.99))
def test_sgd(theta: np.ndarray, gradients: np.ndarray, lr: float, momentum: float) -> None:
    holds("SGD", theta, gradients, lr, momentum)


def test_sgd_on_a_parabola_shrinks_by_a_constant_factor() -> None:
    params, optimizer = {"x": np.array([2.0, -3.0])}, optim.SGD(0.1)
    for _ in range(11):
        optimizer.step(params, {"x": 3.0 * params["x"]})  # of ³⁄₂ x²
    np.testing.assert_allclose(
        params["x"], np.array([2.0, -3.0]) * (1 - 0.3) ** 11, rtol=1e-13, atol=0, equal_nan=False
    )


# Adam


@given(rows(3, 5), rows(3, 5), rows(3, 5), rows(3, 5), st.integers(1, 1000), rates, betas, epsilons)
def test_adam_step(
    theta: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    t: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    holds("adam_step", theta, g, m, frozen(v**2), t, lr, *betas, eps)


@given(
    rows(3, 5),
    rows(3, 5),
    rows(3, 5),
    rows(3, 5),
    st.integers(1, 1000),
    rates,
    betas,
    epsilons,
    st.floats(0, 2),
)
def test_adamw_step(
    theta: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    t: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    decay: float,
) -> None:
    holds("adamw_step", theta, g, m, frozen(v**2), t, lr, *betas, eps, decay)


@given(rows(2, 3), histories(2, 3), rates, betas, epsilons)
def test_adam(
    theta: np.ndarray, gradients: np.ndarray, lr: float, betas: tuple[float, float], eps: float
) -> None:
    holds("Adam", theta, gradients, lr, *betas, eps)


@given(rows(2, 3), histories(2, 3), rates, betas, epsilons, st.floats(0, 2))
def test_adamw(
    theta: np.ndarray,
    gradients: np.ndarray,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    decay: float,
) -> None:
    holds("AdamW", theta, gradients, lr, *betas, eps, decay)


def test_the_learning_rate_itself_is_no_bound() -> None:
    params, optimizer, t = {"x": np.zeros(1)}, optim.Adam(1.0, eps=0.0), 200
    for j in range(t):
        before = params["x"].copy()
        optimizer.step(params, {"x": np.array([(0.999 / 0.9) ** j])})  # where Cauchy-Schwarz is an equality
    reached = abs(float((params["x"] - before)[0]))
    assert 2.5 < reached < 7.27  # the limit of the bound, (1 − β₁) / √((1 − β₂) (1 − β₁² / β₂))


def test_the_moments_of_adamw_are_those_of_adam() -> None:
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


@pytest.mark.parametrize("make", MAKERS)
def test_a_state_is_a_copy_on_the_way_out_and_in(make: Callable[[], Any]) -> None:
    params, optimizer, other = arrays(1), make(), make()
    optimizer.step(params, arrays(10))
    expected = copies(params)
    given = optimizer.state()
    other.load_state(given)
    for part in given.values():
        for array in part.values() if isinstance(part, dict) else ():
            if array.ndim:
                array[...] = np.nan
    optimizer.step(params, arrays(11))
    other.step(expected, arrays(11))
    assert same(params, expected)  # NaN equals nothing


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
        (
            {"scale": None, "extra": np.zeros(2)},
            KeyError,
            "'extra' has a parameter or a gradient, but not both",
        ),
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
        (lambda: optim.Adam(-0.1), "lr must not be negative, got -0.1"),
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


@given(rows(3, 5), rows(7), scales, st.floats(0.01, 100.0))
def test_clipping(a: np.ndarray, b: np.ndarray, scale: float, limit: float) -> None:
    holds("clip_by_global_norm", frozen(a * scale), b, limit)


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
    np.testing.assert_allclose(clipped["a"], [6.0, 0.0], rtol=1e-6, atol=0, equal_nan=False)
    np.testing.assert_allclose(clipped["b"], [-8.0], rtol=1e-6, atol=0, equal_nan=False)
    assert clipped["a"].dtype == np.float32


def test_one_very_large_entry_among_small_ones_does_not_overflow() -> None:
    clipped, norm = optim.clip_by_global_norm({"a": np.array([1e200, 1.0]), "b": np.array([-2.0])}, 10.0)
    assert norm == 1e200
    assert clipped["a"][0] == pytest.approx(10.0, rel=1e-15)
    assert clipped["b"][0] == pytest.approx(-2e-199, rel=1e-14)


def test_a_limit_that_is_none() -> None:
    for limit in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="limit must be positive"):
            optim.clip_by_global_norm(arrays(1), limit)


# Schedules


@given(st.integers(1, 200), st.integers(1, 97), st.integers(1, 53))
def test_warmup(step: int, width: int, warmup_steps: int) -> None:
    holds("warmup", step, width, warmup_steps)


@given(st.integers(1, 60), st.integers(1, 43), st.floats(0.01, 10.0))
def test_cosine(step: int, total: int, peak: float) -> None:
    holds("cosine", step, total, peak)


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


def test_the_norm_of_huge_float32_gradients_is_summed_in_float64() -> None:
    small = 2.0**-13  # its square, 2⁻²⁶, is lost beside 1 in float32
    grads = {"W": (2.0**100 * np.array([1.0] + [small] * 7)).astype(np.float32)}
    _, norm = optim.clip_by_global_norm(grads, 1.0)
    assert norm == pytest.approx(2.0**100 * np.sqrt(1 + 7 * small**2), rel=1e-12, abs=0)


# Gradients by rows

LAZY: list[Callable[[bool], Any]] = [
    lambda lazy: optim.SGD(0.1, lazy=lazy),
    lambda lazy: optim.SGD(0.1, momentum=0.9, lazy=lazy),
    lambda lazy: optim.Adam(0.1, lazy=lazy),
    lambda lazy: optim.AdamW(0.1, weight_decay=0.2, lazy=lazy),
]


def by_rows(seed: int, rows: list[int]) -> RowGradient:
    values = np.random.default_rng(seed).standard_normal((len(rows), 2))
    return RowGradient(np.array(rows, dtype=np.int64), values, (5, 2))


@pytest.mark.parametrize("make", LAZY)
def test_without_lazy_a_gradient_by_rows_is_the_same_as_an_array(make: Callable[[bool], Any]) -> None:
    theta = np.random.default_rng(0).standard_normal((5, 2))
    one, two = {"E": theta.copy()}, {"E": theta.copy()}
    by_row, by_array = make(False), make(False)
    for step, rows_read in enumerate(([0, 3], [1], [], [0, 1, 2, 3, 4])):
        gradient = by_rows(step, rows_read)
        by_row.step(one, {"E": gradient})
        by_array.step(two, {"E": gradient.dense()})
        assert np.array_equal(one["E"], two["E"])


@pytest.mark.parametrize("part", [6, 2])  # two rows; less than one
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("make", LAZY)
def test_a_table_that_moves_in_parts_gets_the_same_bits(
    make: Callable[[bool], Any], lazy: bool, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    start, bias = rng.standard_normal((13, 3)), rng.standard_normal(7)
    whole, parts = {"E": start.copy(), "b": bias.copy()}, {"E": start.copy(), "b": bias.copy()}
    one, other = make(lazy), make(lazy)
    with ThreadPoolExecutor(2) as pool:
        for step, read in enumerate((np.arange(13), np.array([1, 2, 3, 5, 8, 11, 12]), np.arange(2, 13))):
            grads = {"E": RowGradient(read, rng.standard_normal((len(read), 3)), (13, 3)), "b": bias}
            monkeypatch.setattr(optim, "PART", 10**9)
            one.step(whole, grads)
            monkeypatch.setattr(optim, "PART", part)
            other.step(parts, grads, each=(map, pool.map)[step % 2])
            assert np.array_equal(whole["E"], parts["E"])
            assert np.array_equal(whole["b"], parts["b"])
    assert (whole["E"] != start).all()


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW])
def test_steps_are_dense_unless_lazy_ones_are_asked_for(kind: Any) -> None:
    optimizer = kind(0.1)
    assert getattr(optimizer, "adam", optimizer).lazy is False  # AdamW steps by its Adam


def test_the_state_of_adam_holds_the_means_of_gradients_and_of_their_squares() -> None:
    optimizer, g = optim.Adam(0.1, beta1=0.75, beta2=0.5), np.array([2.0, -4.0])
    optimizer.step({"x": np.zeros(2)}, {"x": g})
    state = optimizer.state()
    assert state["m"]["x"].tolist() == [0.5, -1.0]
    assert state["v"]["x"].tolist() == [2.0, 8.0]


@pytest.mark.parametrize("make", LAZY)
def test_lazy_agrees_with_dense_where_every_row_is_read(make: Callable[[bool], Any]) -> None:
    theta = np.random.default_rng(0).standard_normal((5, 2))
    one, two = {"E": theta.copy()}, {"E": theta.copy()}
    lazy, dense = make(True), make(False)
    for step in range(4):
        gradient = by_rows(step, [0, 1, 2, 3, 4])
        lazy.step(one, {"E": gradient})
        dense.step(two, {"E": gradient.dense()})
        assert np.array_equal(one["E"], two["E"])


@pytest.mark.parametrize("make", LAZY)
def test_a_row_that_is_not_read_stands_still_with_its_state_in_a_lazy_step(
    make: Callable[[bool], Any],
) -> None:
    params = {"E": np.random.default_rng(0).standard_normal((5, 2))}
    optimizer = make(True)
    optimizer.step(params, {"E": by_rows(0, [0, 1, 2, 3, 4])})
    before, state = params["E"].copy(), optimizer.state()
    optimizer.step(params, {"E": by_rows(1, [1, 3])})
    assert np.array_equal(params["E"][[0, 2, 4]], before[[0, 2, 4]])
    assert (params["E"][[1, 3]] != before[[1, 3]]).all()
    for part in ("velocity", "m", "v"):
        if part in state:
            now = optimizer.state()[part]["E"]
            assert np.array_equal(now[[0, 2, 4]], state[part]["E"][[0, 2, 4]])


def test_dense_adam_moves_a_row_that_is_not_read_and_lazy_adam_does_not() -> None:
    """The difference by hand: g = 1 at the first step, no row at the second."""
    lazy, dense = {"E": np.zeros((5, 2))}, {"E": np.zeros((5, 2))}
    once = RowGradient(np.array([3]), np.ones((1, 2)), (5, 2))
    never = RowGradient(np.array([], dtype=np.int64), np.ones((0, 2)), (5, 2))
    for params, optimizer in ((lazy, optim.Adam(0.1, lazy=True)), (dense, optim.Adam(0.1))):
        optimizer.step(params, {"E": once})
        optimizer.step(params, {"E": never})
    # The second step of dense Adam: m = .09, v = .999 · .001, so m̂ / √v̂ = (.09 / .19) / √(.000999 / .001999).
    np.testing.assert_allclose(lazy["E"][3], -0.1, rtol=1e-6, equal_nan=False)
    second = 0.1 * (0.09 / 0.19) / math.sqrt(0.000999 / 0.001999)
    np.testing.assert_allclose(dense["E"][3], -0.1 - second, rtol=1e-6, equal_nan=False)


def test_gradients_by_rows_are_clipped_with_the_others() -> None:
    grads = {"E": RowGradient(np.array([1, 4]), np.full((2, 2), 2.0), (5, 2)), "b": np.full(9, 1.0)}
    clipped, norm = optim.clip_by_global_norm(grads, 0.5)
    assert norm == 5.0
    assert clipped["E"].dense()[[1, 4]].tolist() == [[0.2, 0.2], [0.2, 0.2]]
    assert clipped["E"].rows.tolist() == [1, 4]
    grads["E"] = RowGradient(np.array([1]), np.array([[1.0, math.nan]]), (5, 2))
    with pytest.raises(FloatingPointError, match="gradient of E is not finite"):
        optim.clip_by_global_norm(grads, 0.5)


def test_a_gradient_by_rows_of_another_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the gradient of E has shape \(5, 2\), the parameter \(4, 2\)"):
        optim.Adam(0.1, lazy=True).step({"E": np.zeros((4, 2))}, {"E": by_rows(0, [1])})
