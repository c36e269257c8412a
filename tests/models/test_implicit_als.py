"""ImplicitALS: half-steps against dense normal equations, slopes of zero, the objective, fold-in, shares."""

import math
import signal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, seeds

from minirec.data import leave_one_out
from minirec.data.interactions import Interactions
from minirec.evaluation import evaluate
from minirec.models import ImplicitALS, Popularity
from minirec.models import implicit_als as als
from minirec.models.counts import pair_counts
from minirec.models.implicit_als import als_half_step, als_objective

U, I, D = 7, 11, 3
ALPHAS, REGS = st.sampled_from([0.0, 0.5, 40.0]), st.sampled_from([0.1, 2.0])


def counts(seed: int, n: int = 30) -> Any:
    """Some pairs up to three times or so; user 2 met nothing, and nobody met item 5."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, U, n), rng.integers(0, I, n)
    kept = (users != 2) & (items != 5)
    return pair_counts(users[kept], items[kept], (U, I))


def tables(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return frozen(rng.standard_normal((U, D))), frozen(rng.standard_normal((I, D)))


@given(seeds, st.integers(1, I), ALPHAS, REGS)
def test_the_system_of_a_user(seed: int, n: int, alpha: float, reg: float) -> None:
    rng = np.random.default_rng(seed)
    items, r = rng.permutation(I)[:n], rng.integers(1, 4, n)
    holds("als_system", tables(seed)[1], items, r, alpha, reg)


def by_loops(X: Any, Y: Any, R: np.ndarray, alpha: float, reg: float) -> Any:
    """The objective over all pairs, from the definition."""
    total = reg * ((X**2).sum() + (Y**2).sum())
    for u in range(len(X)):
        for i in range(len(Y)):
            total = total + (1 + alpha * R[u, i]) * (float(R[u, i] > 0) - (X[u] * Y[i]).sum()) ** 2
    return total


def slope(X: np.ndarray, Y: np.ndarray, R: Any, alpha: float, reg: float, of: int) -> np.ndarray:
    """The gradient of als_objective by complex step, in X (of = 0) or Y (of = 1)."""
    both = [X.astype(complex), Y.astype(complex)]
    found = np.zeros(both[of].shape)
    for entry in np.ndindex(*found.shape):
        before = both[of][entry]
        both[of][entry] += 1e-30j
        found[entry] = als_objective(*both, R, alpha, reg).imag / 1e-30
        both[of][entry] = before
    return found


def log(seed: int = 0, n: int = 90) -> Interactions:
    rng = np.random.default_rng(seed)
    return Interactions(rng.integers(0, U, n), rng.integers(0, I, n), rng.integers(1, 6, n))


@given(seeds, ALPHAS, REGS)
def test_the_objective_is_the_sum_over_all_pairs(seed: int, alpha: float, reg: float) -> None:
    (X, Y), R = tables(seed), counts(seed)
    expected = by_loops(X, Y, R.dense(), alpha, reg)
    assert als_objective(X, Y, R, alpha, reg) == pytest.approx(expected, rel=1e-12)


@given(seeds, ALPHAS, REGS)
def test_a_half_step_solves_the_dense_normal_equations(seed: int, alpha: float, reg: float) -> None:
    (_, Y), R = tables(seed), counts(seed)
    X = als_half_step(Y, R, alpha, reg)
    for u, r in enumerate(R.dense()):
        C = np.diag(1.0 + alpha * r)
        expected = np.linalg.inv(Y.T @ C @ Y + reg * np.eye(D)) @ Y.T @ C @ (r > 0)
        np.testing.assert_allclose(X[u], expected, rtol=0, atol=1e-11, equal_nan=False)
    assert not X[2].any()
    assert X.any()


@given(seeds, ALPHAS, REGS)
def test_the_slope_is_zero_after_a_half_step_and_the_objective_lower(
    seed: int, alpha: float, reg: float
) -> None:
    (X, Y), R = tables(seed), counts(seed)
    size = 1.0 + alpha * R.values.sum()  # of the terms that must cancel
    first = als_objective(X, Y, R, alpha, reg)
    assert np.abs(slope(X, Y, R, alpha, reg, 0)).max() > 1e-3
    X = als_half_step(Y, R, alpha, reg)
    assert np.abs(slope(X, Y, R, alpha, reg, 0)).max() < 1e-12 * size
    second = als_objective(X, Y, R, alpha, reg)
    assert second < first
    Y = als_half_step(X, R.T, alpha, reg)
    assert np.abs(slope(X, Y, R, alpha, reg, 1)).max() < 1e-12 * size
    third = als_objective(X, Y, R, alpha, reg)
    assert third <= second * (1 + 1e-12)


def test_one_factor_by_hand() -> None:
    # Items 1 and 2 of y = 1, 2, -1 met, the first of them twice: c = 1, 5, 3 for alpha = 2.
    R = pair_counts(np.array([0, 0, 0]), np.array([1, 1, 2]), (1, 3))
    x = als_half_step(np.array([[1.0], [2.0], [-1.0]]), R, 2.0, 0.5)
    assert x[0, 0] == pytest.approx((5 * 2 - 3) / (1 + 5 * 4 + 3 + 0.5), rel=1e-15)
    # (1 · x² + 5 (1 − 2x)² + 3 (1 + x)²) at x = 1/2, and λ times 1/4 + 1 + 4 + 1.
    X = np.array([[0.5]])
    found = als_objective(X, np.array([[1.0], [2.0], [-1.0]]), R, 2.0, 0.5)
    assert found == pytest.approx(0.25 + 0 + 3 * 2.25 + 0.5 * 6.25, rel=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_half_step_keeps_the_dtype(dtype: Any) -> None:
    Y = tables(0)[1].astype(dtype)
    assert als_half_step(Y, counts(0), 2.0, 0.5).dtype == dtype


# The model


def test_fitting_alternates_until_little_moves_and_never_rises() -> None:
    train = log()
    model = ImplicitALS(D, alpha=3.0, reg=0.5, epochs=60).fit(train, rng=0, progress=False)
    losses = np.array(model.log.losses)
    assert len(losses) == 60
    assert (np.diff(losses) <= 1e-12 * losses[0]).all()
    assert losses[-1] < losses[0]
    R = model.event_counts(train.histories())
    # Repeats count, ratings do not.
    expected = np.zeros((U, I))
    np.add.at(expected, (train.users, train.items), 1.0)
    assert np.array_equal(R.dense(), expected)
    # The last half-step is that of the users: known ones are folded in as well.
    assert np.array_equal(model.X, als_half_step(model.Y, R, 3.0, 0.5))
    last = als_objective(model.X, model.Y, R, 3.0, 0.5)
    assert last <= losses[-1]
    assert last == pytest.approx(losses[-1], rel=1e-4)


def test_the_model_steps_by_the_function_of_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def spy(Y: Any, R: Any, alpha: float, reg: float) -> Any:
        calls.append((Y.shape, R.shape, alpha, reg))
        return als_half_step(Y, R, alpha, reg)

    monkeypatch.setattr(als, "als_half_step", spy)
    model = ImplicitALS(D, alpha=3.0, reg=0.5, epochs=2).fit(log(), rng=0, progress=False)
    users, items = ((I, D), (U, I), 3.0, 0.5), ((U, D), (I, U), 3.0, 0.5)
    assert calls == [users, items, users, items, users]
    model.score_histories([np.array([1, 2])])
    assert calls[-1] == ((I, D), (1, I), 3.0, 0.5)


def test_users_never_seen_are_folded_in_by_one_half_step_in_any_order_of_their_history() -> None:
    train = log()
    model = ImplicitALS(D, alpha=3.0, reg=0.5).fit(train, rng=0, progress=False)
    known = model.score(np.arange(U))
    np.testing.assert_allclose(
        model.score_histories(model.histories), known, rtol=0, atol=1e-12, equal_nan=False
    )
    history = np.array([4, 1, 9, 1])
    Y, r = model.Y, np.bincount(history, minlength=I)
    C = np.diag(1 + 3.0 * r)
    expected = Y @ np.linalg.solve(Y.T @ C @ Y + 0.5 * np.eye(D), Y.T @ C @ (r > 0))
    some = model.score_histories([history, history[::-1], np.array([], dtype=int), np.array([4, 1, 9])])
    np.testing.assert_allclose(some[0], expected, rtol=0, atol=1e-12, equal_nan=False)
    assert np.array_equal(some[0], some[1])
    assert not some[2].any()
    assert np.abs(some[3] - some[0]).max() > 1e-3  # what was met twice counts more


@given(st.lists(st.integers(0, I - 1), min_size=1, max_size=9), st.integers(0, I - 1))
def test_contributions_of_the_history_add_up_to_the_score(history: list[int], item: int) -> None:
    model = ImplicitALS(D, alpha=3.0, reg=0.5, epochs=2).fit(log(), rng=0, progress=False)
    found = model.contributions(np.array(history), item)
    assert found.shape == (len(history),)
    score = model.score_histories([np.array(history)])[0, item]
    assert found.sum() == pytest.approx(score, rel=1e-11, abs=1e-13)
    # Each from the definition, c y_itemᵀ A⁻¹ y_j, shared by the places of j.
    Y, r = model.Y, np.bincount(history, minlength=I)
    A = Y.T @ np.diag(1 + 3.0 * r) @ Y + 0.5 * np.eye(D)
    for place, j in enumerate(history):
        expected = (1 + 3.0 * r[j]) * Y[item] @ np.linalg.inv(A) @ Y[j] / r[j]
        assert found[place] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_contributions_of_nothing_and_of_items_that_do_not_exist() -> None:
    model = ImplicitALS(D, epochs=1).fit(log(), rng=0, progress=False)
    assert model.contributions([], 3).tolist() == []
    with pytest.raises(IndexError, match=r"histories\[0\]\[1\] = 11 is out of range"):
        model.contributions([2, I], 3)
    with pytest.raises(IndexError, match="= -1 is out of range"):
        model.contributions([2], -1)


def test_planted_groups_are_found() -> None:
    rng = np.random.default_rng(0)
    rows = [(u, 2 * int(i) + u % 2) for u in range(40) for i in rng.permutation(15)[:8]]
    train, valid, test = leave_one_out(Interactions([u for u, _ in rows], [i for _, i in rows]))
    model = ImplicitALS(2, epochs=5).fit(train, rng=0, progress=False)
    ours = evaluate(model, train, test, also_seen=valid).mean("ndcg")
    # The other group's items drop out: half of the candidates, and chance among the rest.
    assert ours > evaluate(Popularity().fit(train), train, test, also_seen=valid).mean("ndcg") + 0.1
    taken, other = np.split(model.score_histories([np.array([0, 2, 4])])[0].reshape(-1, 2), 2, axis=1)
    assert taken.min() > other.max()


def test_an_interrupt_ends_after_the_epoch_with_a_model_that_can_be_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, calls = als_objective, []

    def interrupting(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return real(*args)

    monkeypatch.setattr(als, "als_objective", interrupting)
    model = ImplicitALS(D, epochs=9).fit(log(), rng=0, progress=False)
    assert model.log.ended == "interrupted after epoch 2"
    assert len(model.log.losses) == 2
    short = ImplicitALS(D, epochs=2).fit(log(), rng=0, progress=False)
    assert np.array_equal(model.score([0, 1]), short.score([0, 1]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dim": 0}, "dim must be at least 1, got 0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"alpha": -1.0}, r"alpha must be at least 0 and finite, got -1\.0"),
        ({"alpha": math.nan}, "alpha must be at least 0 and finite, got nan"),
        ({"reg": 0.0}, r"reg must be above 0 and finite, got 0\.0"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ImplicitALS(**settings)


def test_there_is_no_checkpoint_to_go_on_from(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"c\.npz: ImplicitALS has none, since its epochs are few: leave"):
        ImplicitALS().fit(log(), checkpoint=tmp_path / "c.npz")
