"""SVDPlusPlus: the steps of a user against the plain rule in loops, half a gradient, unseen users."""

import math
import signal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from minirec.data.interactions import Interactions
from minirec.models import SVDPlusPlus
from minirec.models import svd_plus_plus as svdpp
from minirec.models.svd_plus_plus import svd_plus_plus_steps

U, I, D = 5, 11, 3
NAMES = ("P", "Q", "Y", "b_user", "b_item")


def tables(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"P": (U, D), "Q": (I, D), "Y": (I, D), "b_user": (U,), "b_item": (I,)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def copies(params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in params.items()}


def predicted(params: dict[str, Any], mu: float, u: int, near: Any, i: int) -> Any:
    P, Q, Y, b_user, b_item = (params[name] for name in NAMES)
    total = mu + b_user[u] + b_item[i]
    for d in range(P.shape[1]):
        m = sum(Y[j, d] for j in near) / math.sqrt(len(near))
        total = total + Q[i, d] * (P[u, d] + m)
    return total


def plain_step(
    params: dict[str, np.ndarray], mu: float, u: int, near: Any, i: int, r: float, lr: float, reg: float
) -> float:
    """One rating by the rule as printed, entry by entry; writes into params."""
    old = copies(params)
    e = r - predicted(old, mu, u, near, i)
    params["b_user"][u] += lr * (e - reg * old["b_user"][u])
    params["b_item"][i] += lr * (e - reg * old["b_item"][i])
    root = math.sqrt(len(near))
    for d in range(D):
        m = sum(old["Y"][j, d] for j in near) / root
        params["P"][u, d] += lr * (e * old["Q"][i, d] - reg * old["P"][u, d])
        params["Q"][i, d] += lr * (e * (old["P"][u, d] + m) - reg * old["Q"][i, d])
        for j in near:
            params["Y"][j, d] += lr * (e * old["Q"][i, d] / root - reg * old["Y"][j, d])
    return e


def ratings(seed: int = 0, n: int = 23) -> Interactions:
    rng = np.random.default_rng(seed)
    cells = rng.choice(U * I, n, replace=False)
    return Interactions(cells // I, cells % I, rng.integers(1, 6, n).astype(float))


# The steps


def test_one_step_by_hand() -> None:
    # N_u = {0, 2, 3, 4}: m = (.5 + 1 + 0 + .5) / 2 = 1; q = 2, p = .5, so that r̂ = 3 + .25 − .25 + 2 · 1.5.
    P, Q = np.array([[9.0], [0.5]]), np.array([[2.0], [7.0], [8.0], [6.0], [5.0]])
    Y = np.array([[0.5], [4.0], [1.0], [0.0], [0.5]])
    b_user, b_item = np.array([4.0, 0.25]), np.array([-0.25, 4.0, 4.0, 4.0, 4.0])
    near = np.array([0, 2, 3, 4])
    errors = svd_plus_plus_steps(P, Q, Y, b_user, b_item, 3.0, 1, near, [0], [4.0], 0.1, 0.2)
    assert errors == [-2.0]
    tight = {"rel": 1e-14}
    assert b_user.tolist() == [4.0, pytest.approx(0.25 + 0.1 * (-2 - 0.2 * 0.25), **tight)]
    assert b_item.tolist() == [pytest.approx(-0.25 + 0.1 * (-2 + 0.2 * 0.25), **tight), 4.0, 4.0, 4.0, 4.0]
    assert P[:, 0].tolist() == [9.0, pytest.approx(0.5 + 0.1 * (-4 - 0.1), **tight)]
    assert Q[:, 0].tolist() == [pytest.approx(2 + 0.1 * (-3 - 0.4), **tight), 7.0, 8.0, 6.0, 5.0]
    moved = [y + 0.1 * (-2 * 2 / 2 - 0.2 * y) for y in (0.5, 1.0, 0.0, 0.5)]
    assert Y[near, 0].tolist() == pytest.approx(moved, **tight)
    assert Y[1, 0] == 4.0


@given(
    seeds,
    st.sets(st.integers(0, I - 1), min_size=1),
    st.integers(0, 7),
    st.sampled_from([(0.007, 0.02), (0.05, 0.3), (0.1, 0.0), (0.0, 0.5)]),
)
def test_the_steps_of_a_user_are_the_plain_rule_rating_by_rating(
    seed: int, near: set[int], n: int, rates: tuple[float, float]
) -> None:
    ours, rng = tables(seed), np.random.default_rng(seed)
    expected, u = copies(ours), int(rng.integers(U))
    items, given_ratings = rng.choice(sorted(near), n).tolist(), rng.integers(1, 6, n).astype(float).tolist()
    arrays = [ours[name] for name in NAMES]
    errors = svd_plus_plus_steps(*arrays, 3.5, u, np.array(sorted(near)), items, given_ratings, *rates)
    plain = [
        plain_step(expected, 3.5, u, sorted(near), i, r, *rates)
        for i, r in zip(items, given_ratings, strict=True)
    ]
    assert errors == pytest.approx(plain, rel=0, abs=1e-10)
    for name in NAMES:
        np.testing.assert_allclose(
            ours[name], expected[name], rtol=0, atol=1e-11, equal_nan=False, err_msg=name
        )


@given(seeds, st.floats(1, 5))
def test_a_step_is_half_a_gradient_step_of_the_squared_error_with_penalty(seed: int, rating: float) -> None:
    params, near, u, i, mu, lr, reg = tables(seed), [1, 4, 5, 8], 3, 5, 3.5, 0.07, 0.3
    after = copies(params)
    svd_plus_plus_steps(*(after[name] for name in NAMES), mu, u, np.array(near), [i], [rating], lr, reg)

    def objective(at: dict[str, Any]) -> Any:
        """e² + λ (b_u² + b_i² + ‖p_u‖² + ‖q_i‖² + Σ_j ‖y_j‖²)"""
        rows = [at["b_user"][u], at["b_item"][i], at["P"][u], at["Q"][i], at["Y"][near]]
        return (rating - predicted(at, mu, u, near, i)) ** 2 + reg * sum((row * row).sum() for row in rows)

    for name in NAMES:
        for entry in np.ndindex(*params[name].shape):
            # In one entry the objective is a parabola: central differences are exact for any step.
            sides = []
            for sign in (1.0, -1.0):
                moved = copies(params)
                moved[name][entry] += sign
                sides.append(objective(moved))
            expected = params[name][entry] - lr / 2 * (sides[0] - sides[1]) / 2
            assert after[name][entry] == pytest.approx(expected, rel=0, abs=1e-11), (name, entry)


# The model


def brute_force(train: Interactions, model: SVDPlusPlus, start: dict[str, np.ndarray]) -> dict[str, Any]:
    params = copies(start)
    users = list(dict.fromkeys(train.users.tolist()))  # in the order of the rows
    for _ in range(model.epochs):
        for u in users:
            rows = np.flatnonzero(train.users == u)
            near = sorted(set(train.items[rows].tolist()))
            for row in rows:
                i, r = int(train.items[row]), float(train.ratings[row])
                plain_step(params, train.ratings.mean(), u, near, i, r, model.lr, model.reg)
    return params


def test_fitting_goes_through_the_users_and_their_ratings_in_the_order_of_the_rows() -> None:
    train = ratings()
    start = SVDPlusPlus(D, lr=0.0, epochs=1).fit(train, rng=3, progress=False)
    model = SVDPlusPlus(D, lr=0.03, reg=0.1, epochs=3).fit(train, rng=3, progress=False)
    expected = brute_force(train, model, start.params())
    for name in NAMES:
        np.testing.assert_allclose(
            model.params()[name], expected[name], rtol=0, atol=1e-12, equal_nan=False, err_msg=name
        )
    assert not start.b_user.any()
    assert 0.05 < start.Y.std() < 0.2
    assert model.mu == train.ratings.mean()
    assert (len(model.log.losses), model.log.steps) == (3, 3 * len(train))
    assert model.log.losses[-1] < model.log.losses[0]
    other = SVDPlusPlus(D, lr=0.03, reg=0.1, epochs=3).fit(
        train.select(np.arange(len(train))[::-1]), rng=3, progress=False
    )
    assert np.abs(other.P - model.P).max() > 1e-6  # the order counts


def test_a_pair_that_was_rated_twice_is_one_neighbor_and_two_ratings() -> None:
    train = Interactions([0, 0, 0, 1], [4, 6, 4, 4], [1.0, 5.0, 2.0, 3.0])
    start = SVDPlusPlus(D, lr=0.0, epochs=1).fit(train, rng=3, progress=False)
    model = SVDPlusPlus(D, lr=0.05, epochs=1).fit(train, rng=3, progress=False)
    expected = brute_force(train, model, start.params())
    np.testing.assert_allclose(model.Y, expected["Y"], rtol=0, atol=1e-13, equal_nan=False)
    assert model.log.steps == 4
    m = (model.Y[0] + model.Y[1]) / math.sqrt(2)
    np.testing.assert_allclose(
        model.user_vectors([0])[0], model.P[0] + m, rtol=1e-14, atol=0, equal_nan=False
    )


def test_predictions_are_scores_clipped_to_the_scale() -> None:
    train = ratings()
    model = SVDPlusPlus(D, epochs=5, lr=0.05).fit(train, rng=0, progress=False)
    scores = model.score(np.arange(U))
    for u in range(U):
        near = sorted(set(train.items[train.users == u].tolist()))
        expected = [predicted(model.params(), model.mu, u, near, i) for i in range(I)]
        np.testing.assert_allclose(scores[u], expected, rtol=0, atol=1e-13, equal_nan=False)
    users, items = np.repeat(np.arange(U), I)[::-1], np.tile(np.arange(I), U)[::-1]
    expected = np.clip(scores[users, items], 1.0, 5.0)
    np.testing.assert_allclose(model.predict(users, items), expected, rtol=0, atol=1e-13, equal_nan=False)
    model.b_item += 100.0
    assert (model.predict(users, items) == 5.0).all()
    assert (model.score([0]) > 50).all()
    with pytest.raises(IndexError, match=r"users\[1\] = 5 is out of range"):
        model.predict([0, U], [0, 0])


def test_terms_of_users_and_items_without_ratings_drop_out() -> None:
    whole = ratings()
    train = whole.select((whole.users != 2) & (whole.items != 7))
    model = SVDPlusPlus(D, epochs=2, lr=0.05).fit(train, rng=0, progress=False)
    scores = model.score(np.arange(U))
    np.testing.assert_allclose(scores[:, 7], model.mu + model.b_user, rtol=1e-14, atol=0, equal_nan=False)
    np.testing.assert_allclose(scores[2], model.mu + model.b_item, rtol=1e-14, atol=0, equal_nan=False)
    assert model.P.any(axis=1).tolist() == [True, True, False, True, True]


def test_the_history_of_a_user_never_seen_is_an_n_u() -> None:
    train = ratings()
    model = SVDPlusPlus(D, epochs=3, lr=0.05).fit(train, rng=0, progress=False)
    assert not model.uses_histories
    once, again, nothing = np.array([6, 2]), np.array([2, 6, 6]), np.array([], dtype=int)
    scores = model.score_histories([once, again, nothing])
    expected = model.mu + model.b_item + model.Q @ ((model.Y[2] + model.Y[6]) / math.sqrt(2))
    np.testing.assert_allclose(scores[0], expected, rtol=1e-13, atol=0, equal_nan=False)
    assert np.array_equal(scores[0], scores[1])
    np.testing.assert_allclose(scores[2], model.mu + model.b_item, rtol=1e-14, atol=0, equal_nan=False)
    assert np.abs(scores[0] - scores[2]).max() > 1e-3


def test_an_interrupt_keeps_a_model_that_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def interrupting(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == U + 2:
            signal.raise_signal(signal.SIGINT)
        return svd_plus_plus_steps(*args)

    monkeypatch.setattr(svdpp, "svd_plus_plus_steps", interrupting)
    model = SVDPlusPlus(D, epochs=9).fit(ratings(), rng=0, progress=False)
    assert len(calls) == U + 2
    assert len(model.log.losses) == 2
    assert model.log.ended == f"interrupted in epoch 2 after {model.log.steps} steps"
    assert np.isfinite(model.score(np.arange(U))).all()


def test_steps_that_are_too_long_are_an_error_and_leave_no_model() -> None:
    model = SVDPlusPlus(D, lr=9.0, epochs=60)
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="not finite"):
        model.fit(ratings(), rng=0, progress=False)
    with pytest.raises(RuntimeError, match="not fitted"):
        model.score([0])


def test_ratings_are_needed() -> None:
    with pytest.raises(ValueError, match="SVDPlusPlus needs ratings, and these interactions have none"):
        SVDPlusPlus().fit(Interactions([0, 1], [0, 1]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dim": 0}, "dim must be at least 1, got 0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"lr": -0.5}, r"lr must be at least 0 and finite, got -0\.5"),
        ({"reg": math.nan}, "reg must be at least 0 and finite, got nan"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SVDPlusPlus(**settings)


def test_there_is_no_checkpoint_to_go_on_from(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"c\.npz: SVDPlusPlus has none: leave it out"):
        SVDPlusPlus().fit(ratings(), checkpoint=tmp_path / "c.npz")
