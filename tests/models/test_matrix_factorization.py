"""MatrixFactorization: the textbook step by hand, batches against it, gradients, symmetries, new users."""

import copy
import math
import signal
from pathlib import Path
from typing import Any

import network_table
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, normal, seeds

from minirec.data import leave_one_out
from minirec.data.interactions import Interactions
from minirec.evaluation import evaluate
from minirec.models import MatrixFactorization
from minirec.models import matrix_factorization as mf
from minirec.models.matrix_factorization import sgd_factorization_step

U, I, D = 7, 11, 3


def ratings(seed: int = 0, n: int = 40) -> Interactions:
    rng = np.random.default_rng(seed)
    cells = rng.choice(U * I, n, replace=False)
    return Interactions(cells // I, cells % I, rng.integers(1, 6, n).astype(float), np.arange(n))


def tables(seed: int, dtype: Any = np.float64) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"P": (U, D), "Q": (I, D), "b_user": (U,), "b_item": (I,)}
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def model_with(params: dict[str, np.ndarray], loss: str = "squared", **settings: Any) -> MatrixFactorization:
    """As after a fit that ended with these tables; they are copied."""
    model = MatrixFactorization(D, loss, dtype="float64", **settings)
    model.user_ids, model.item_ids = list(range(U)), list(range(I))
    model.mu, model.scale = 3.5 if loss == "squared" else 0.0, (-math.inf, math.inf)
    for name, array in params.items():
        setattr(model, name, array.copy())
    return model


def grouped(seed: int, users: int = 40, items: int = 30, events: int = 8) -> Interactions:
    """Even users take even items, odd users odd ones: planted structure, in random order."""
    rng = np.random.default_rng(seed)
    rows = [(u, 2 * int(i) + u % 2) for u in range(users) for i in rng.permutation(items // 2)[:events]]
    return Interactions(*zip(*rows, strict=True))  # type: ignore[arg-type]


# One step per rating


def test_one_rating_one_step_by_hand() -> None:
    P, Q = np.array([[9.0, 9.0], [1.0, 2.0]]), np.array([[0.5, -1.0], [7.0, 7.0]])
    b_user, b_item = np.array([4.0, 0.5]), np.array([-0.25, 4.0])
    e = sgd_factorization_step(P, Q, b_user, b_item, 3.0, 1, 0, 4.0, 0.1, 0.2)
    # s = 3 + .5 − .25 + (1 · .5 − 2 · 1) = 1.75, so e = 2.25.
    assert e == 2.25
    tight = {"rel": 1e-15}
    assert b_user[1] == pytest.approx(0.5 + 0.1 * (2.25 - 0.2 * 0.5), **tight)
    assert b_item[0] == pytest.approx(-0.25 + 0.1 * (2.25 + 0.2 * 0.25), **tight)
    assert P[1].tolist() == pytest.approx([1 + 0.1 * (1.125 - 0.2), 2 + 0.1 * (-2.25 - 0.4)], **tight)
    # From the p of before the step, (1, 2), not from the new one.
    assert Q[0].tolist() == pytest.approx([0.5 + 0.1 * (2.25 - 0.1), -1 + 0.1 * (4.5 + 0.2)], **tight)
    # Nobody else moves.
    assert (P[0] == 9).all()
    assert (Q[1] == 7).all()
    assert (b_user[0], b_item[1]) == (4.0, 4.0)


@given(normal(U, D), normal(I, D), seeds, st.floats(-5, 5), st.sampled_from([0.005, 0.1]))
def test_the_sheet_holds_for_the_step(P: Any, Q: Any, seed: int, rating: float, lr: float) -> None:
    p, rng = tables(seed), np.random.default_rng(seed)
    u, i = int(rng.integers(U)), int(rng.integers(I))
    # The error may be near 0 by chance: it is small beside the terms that it adds up.
    size = 10.0 + (np.abs(P[u]) * np.abs(Q[i])).sum()
    holds("sgd_factorization_step", P, Q, p["b_user"], p["b_item"], 3.5, u, i, rating, lr, 0.2, scale=size)


def test_batches_of_one_are_the_steps_per_rating() -> None:
    train = ratings()
    settings = {"dim": D, "epochs": 3, "lr": 0.05, "reg": 0.3, "dtype": "float64"}
    one_by_one = MatrixFactorization(method="per-rating", **settings).fit(train, rng=3, progress=False)
    batches = MatrixFactorization(batch_size=1, **settings).fit(train, rng=3, progress=False)
    for name, array in one_by_one.params().items():
        # 120 steps, each exact to rounding.
        np.testing.assert_allclose(batches.params()[name], array, rtol=0, atol=1e-12, err_msg=name)
    assert one_by_one.mu == batches.mu == train.ratings.mean()
    # Without L2 the loss of an epoch is the mean squared error before each step, in both.
    free = {**settings, "reg": 0.0}
    one_by_one = MatrixFactorization(method="per-rating", **free).fit(train, rng=3, progress=False)
    batches = MatrixFactorization(batch_size=1, **free).fit(train, rng=3, progress=False)
    np.testing.assert_allclose(batches.log.losses, one_by_one.log.losses, rtol=1e-12)
    assert one_by_one.log.losses[-1] < one_by_one.log.losses[0]


def test_a_batch_is_the_sum_of_its_steps_from_the_same_tables() -> None:
    train, settings = ratings(), {"dim": D, "epochs": 1, "lr": 0.01, "reg": 0.3, "dtype": "float64"}
    start = MatrixFactorization(**settings | {"lr": 0.0}).fit(train, rng=3, progress=False)
    batch = MatrixFactorization(batch_size=len(train), **settings).fit(train, rng=3, progress=False)
    total = {name: np.zeros_like(array) for name, array in start.params().items()}
    for u, i, r in zip(train.users, train.items, train.ratings, strict=True):
        own = {name: array.copy() for name, array in start.params().items()}
        sgd_factorization_step(*own.values(), start.mu, u, i, r, 0.01, 0.3)
        total = {name: total[name] + own[name] - start.params()[name] for name in own}
    for name, array in batch.params().items():
        np.testing.assert_allclose(array, start.params()[name] + total[name], rtol=0, atol=1e-12)


# Losses and gradients


@pytest.mark.parametrize("row", network_table.FACTORIZATIONS, ids=str)
def test_the_gradients_of_all_tables(row: Any) -> None:
    report = row.gradient()
    assert report.ok, str(report)
    assert report.error <= 1e-8


@given(
    st.sampled_from(["squared", "bce", "bpr"]), normal(U, D), normal(I, D), seeds, st.sampled_from([0.0, 0.3])
)
def test_the_sheet_holds_for_the_losses(loss: str, P: Any, Q: Any, seed: int, reg: float) -> None:
    p, rng = tables(seed), np.random.default_rng(seed)
    users, items, negatives = (frozen(rng.integers(0, n, 5)) for n in (U, I, I))
    third, mu = (frozen(rng.standard_normal(5)), 3.5) if loss == "squared" else (negatives, 0.0)
    holds("factorization_loss", loss, P, Q, p["b_user"], p["b_item"], mu, users, items, third, reg)


@pytest.mark.parametrize("loss", ["squared", "bce", "bpr"])
def test_the_upstream_scales_the_gradients_and_not_the_loss(loss: str) -> None:
    model, rng = model_with(tables(1), loss, reg=0.3), np.random.default_rng(2)
    batch = rng.integers(0, U, 5), rng.integers(0, I, 5), rng.integers(0, I, 5)
    value, grads = model.loss_and_grads(batch, 1.0)
    other, scaled = model.loss_and_grads(batch, 0.25)
    assert other == value
    for name in grads:
        np.testing.assert_allclose(scaled[name], 0.25 * grads[name], rtol=1e-13)


def test_shards_of_a_batch_add_up_l2_included() -> None:
    model, rng = model_with(tables(1), reg=0.3), np.random.default_rng(2)
    batch = rng.integers(0, U, 5), rng.integers(0, I, 5), rng.standard_normal(5)
    value, grads = model.loss_and_grads(batch, 1.0)
    parts = [
        (share, *model.loss_and_grads(tuple(part[rows] for part in batch), share))
        for rows, share in ((slice(0, 2), 0.4), (slice(2, 5), 0.6))
    ]
    assert sum(share * part for share, part, _ in parts) == pytest.approx(value, rel=1e-13)
    for name in grads:
        np.testing.assert_allclose(sum(g[name] for *_, g in parts), grads[name], rtol=0, atol=1e-13)


@given(normal(U, D), normal(I, D), seeds, st.integers(1, 13), st.floats(0, 10, width=16))
def test_the_sheet_holds_for_l2(P: Any, Q: Any, seed: int, n: int, reg: float) -> None:
    p, rng = tables(seed), np.random.default_rng(seed)
    pairs = frozen(rng.integers(0, U, n)), frozen(rng.integers(0, I, n))
    holds("l2_penalty", P, Q, p["b_user"], p["b_item"], *pairs, reg)
    holds("l2_gradients", P, Q, p["b_user"], p["b_item"], *pairs, reg)


def test_under_bpr_l2_counts_the_user_of_a_triple_once_and_each_item_half() -> None:
    """Two pairs, so twice the user's vector and once each item's, and the mean over both pairs."""
    p, one = tables(1), np.array([2])
    batch = one, np.array([4]), np.array([7])
    with_l2, _ = model_with(p, "bpr", reg=0.3).loss_and_grads(batch, 1.0)
    without, _ = model_with(p, "bpr", reg=0.0).loss_and_grads(batch, 1.0)
    user = (p["P"][2] ** 2).sum() + p["b_user"][2] ** 2
    items = (p["Q"][[4, 7]] ** 2).sum() + (p["b_item"][[4, 7]] ** 2).sum()
    assert with_l2 - without == pytest.approx(0.3 * user + 0.15 * items, rel=1e-13)


@given(normal(U, D), normal(I, D), seeds)
def test_turning_both_tables_changes_no_score(P: np.ndarray, Q: np.ndarray, seed: int) -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((D, D)))
    plain = model_with(tables(1) | {"P": P, "Q": Q})
    turned = model_with(tables(1) | {"P": P @ turn, "Q": Q @ turn})
    users = np.arange(U)
    np.testing.assert_allclose(turned.score(users), plain.score(users), rtol=0, atol=1e-13)
    assert P.base is None or np.abs(turned.P - P).max() > 0


def test_at_an_exact_factorization_without_l2_nothing_moves() -> None:
    model, rng = model_with(tables(1), reg=0.0), np.random.default_rng(2)
    users, items = rng.integers(0, U, 23), rng.integers(0, I, 23)
    exact = model.predict(users, items)
    loss, grads = model.loss_and_grads((users, items, exact), 1.0)
    assert loss == 0.0
    assert not any(g.any() for g in grads.values())


# Predictions


def test_a_score_is_the_prediction_before_it_is_clipped() -> None:
    model = model_with(tables(1))
    users, items = np.repeat(np.arange(U), I), np.tile(np.arange(I), U)
    expected = model.score(np.arange(U)).ravel()
    np.testing.assert_allclose(model.predict(users, items), expected, rtol=1e-13)
    model.scale = 1.0, 5.0
    clipped = model.predict(users, items)
    assert (clipped.min(), clipped.max()) == (1.0, 5.0)
    np.testing.assert_allclose(clipped, np.clip(expected, 1.0, 5.0), rtol=1e-13)
    assert model.score(np.arange(U)).max() > 5.0


def test_the_scale_and_the_mean_come_from_the_training_ratings() -> None:
    train = ratings().select(ratings().ratings != 5)
    model = MatrixFactorization(D, epochs=1).fit(train, rng=0, progress=False)
    assert model.scale == (1.0, 4.0)
    assert model.mu == train.ratings.mean()


def test_of_an_unknown_user_only_the_mean_and_the_items_are_left_under_squared_loss() -> None:
    model = model_with(tables(1))
    scores = model.score_histories([np.array([1, 4]), np.array([], dtype=int)])
    expected = model.mu + model.b_item
    assert all(np.array_equal(row, expected) for row in scores)


@pytest.mark.parametrize("loss", ["bce", "bpr"])
def test_under_the_ranking_losses_an_empty_history_leaves_the_items_too(loss: str) -> None:
    model = model_with(tables(1), loss)
    assert np.array_equal(model.score_histories([np.array([], dtype=int)])[0], model.b_item)
    everything = model.score_histories([np.arange(I)])[0]  # nothing to compare with
    assert np.array_equal(everything, model.b_item)


@pytest.mark.parametrize("loss", ["bce", "bpr"])
def test_folding_in_finds_the_planted_group(loss: str) -> None:
    model = MatrixFactorization(5, loss, epochs=60, batch_size=64, lr=0.02)
    model.fit(grouped(0), rng=1, progress=False)
    histories = [np.array(h) for h in ([0, 4, 10], [1, 7, 13], [2, 8, 20, 26], [3, 9, 29])]
    p_before = model.P.copy()
    scores = model.score_histories(histories)
    assert np.array_equal(model.P, p_before)  # everything else is fixed
    for row, history in zip(scores, histories, strict=True):
        own = np.arange(30) % 2 == history[0] % 2
        unseen = ~np.isin(np.arange(30), history)
        better = np.mean(row[own & unseen][:, None] > row[~own][None])
        assert better > 0.75  # chance: .5; three or four items say this much
    assert np.array_equal(model.score_histories(histories), scores)  # no hidden randomness
    assert np.array_equal(scores[1:], model.score_histories(histories[1:]))


# Fitting


def test_training_on_ratings_beats_their_mean() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.standard_normal((31, 1)), rng.standard_normal((1, 29))
    table = 3.0 + 0.5 * rng.standard_normal((31, 1)) + p @ q
    cells = rng.permutation(31 * 29)
    train, test = cells[:700], cells[700:]
    x = Interactions(train // 29, train % 29, table.ravel()[train])
    model = MatrixFactorization(4, lr=0.05, epochs=60, batch_size=64).fit(x, rng=0, progress=False)
    truth = table.ravel()[test]
    error = math.sqrt(np.mean((model.predict(test // 29, test % 29) - truth) ** 2))
    assert error < 0.6 * truth.std()  # truth.std() is the error of the mean


@pytest.mark.parametrize("loss", ["bce", "bpr"])
def test_training_on_events_finds_the_planted_groups(loss: str) -> None:
    train = grouped(0)
    model = MatrixFactorization(5, loss, epochs=60, batch_size=64, lr=0.02).fit(train, rng=1, progress=False)
    scores = model.score(np.arange(40))
    for u, row in enumerate(scores):
        own = np.arange(30) % 2 == u % 2
        assert np.mean(row[own][:, None] > row[~own][None]) > 0.9  # chance: .5


def test_early_stopping_keeps_the_best_epoch() -> None:
    whole = grouped(0)
    last = np.arange(len(whole)) % 8 == 7  # one event of each user
    train, valid = whole.select(~last), whole.select(last)
    model = MatrixFactorization(5, "bpr", epochs=40, batch_size=64, lr=0.3, patience=3)
    model.fit(train, valid=valid, rng=1, progress=False)
    values = dict(model.log.validation)
    assert len(values) < 40
    assert "early stopping" in model.log.ended
    assert values[model.log.best_epoch] == max(values.values())
    again = evaluate(model, train, valid, metrics=("ndcg",)).mean("ndcg")
    assert again == values[model.log.best_epoch]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_optimizer_of_the_table_trains(optimizer: str) -> None:
    lr = 0.05
    model = MatrixFactorization(D, optimizer=optimizer, lr=lr, epochs=20, batch_size=8)
    model.fit(ratings(), rng=0, progress=False)
    assert model.log.losses[-1] < 0.8 * model.log.losses[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["squared", "bce", "bpr"])
def test_the_precision_asked_for_is_kept_throughout(loss: str, dtype: str) -> None:
    model = MatrixFactorization(D, loss, epochs=1, dtype=dtype).fit(ratings(), rng=0, progress=False)
    found = {array.dtype for array in model.params().values()}
    found |= {model.score(np.arange(2)).dtype, model.score_histories([np.array([1])]).dtype}
    assert found == {np.dtype(dtype)}


def test_somebody_who_has_taken_everything_gives_no_pairs() -> None:
    x = Interactions([0] * 5 + [1, 1], [0, 1, 2, 3, 4, 0, 1])
    model = MatrixFactorization(D, "bpr", epochs=2, reg=0.0).fit(x, rng=0, progress=False)
    untouched = MatrixFactorization(D, "bpr", epochs=2, reg=0.0, lr=0.0).fit(x, rng=0, progress=False)
    assert np.array_equal(model.P[0], untouched.P[0])
    assert not np.array_equal(model.P[1], untouched.P[1])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": "hinge"}, "loss must be one of 'squared', 'bce', 'bpr', got 'hinge'"),
        ({"method": "als"}, "method must be one of 'mini-batch', 'per-rating', got 'als'"),
        ({"optimizer": "rprop"}, "optimizer must be one of 'sgd', 'adam', 'adamw', got 'rprop'"),
        ({"dtype": "float16"}, "dtype must be one of 'float32', 'float64', got 'float16'"),
        ({"method": "per-rating", "loss": "bpr"}, '"per-rating" is for loss="squared", got loss=\'bpr\''),
        ({"dim": 0}, "dim must be at least 1, got 0"),
        ({"lr": math.inf}, "lr must be at least 0 and finite, got inf"),
        ({"reg": math.inf}, "reg must be at least 0 and finite, got inf"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, got -1"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MatrixFactorization(**settings)


@pytest.mark.parametrize("name", ["dim", "epochs", "batch_size", "patience"])
@pytest.mark.parametrize("value", [2.5, True])
def test_what_is_no_count_is_refused(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a whole number, got {value}"):
        MatrixFactorization(**{name: value})


@pytest.mark.parametrize("method", ["mini-batch", "per-rating"])
def test_squared_loss_needs_ratings(method: str) -> None:
    without = copy.copy(ratings())
    without.ratings = None
    with pytest.raises(ValueError, match='loss="squared" needs ratings, and these interactions have none'):
        MatrixFactorization(D, method=method).fit(without, progress=False)


@given(st.integers(1, 5))
def test_settings_go_round(dim: int) -> None:
    model = MatrixFactorization(dim, "bce", lr=0.1)
    assert MatrixFactorization(**model.settings()).settings() == model.settings()


@pytest.mark.parametrize("n", [3, 5, 6, 11, 23])
def test_a_short_last_batch_takes_textbook_steps_too(n: int) -> None:
    """Batches of 5 add up the textbook steps, in a last batch of fewer rows as well."""
    rng = np.random.default_rng(n)
    users, items = [f"u{u}" for u in range(n)], [f"i{i}" for i in rng.permutation(n)]
    train = Interactions(
        users, items, rng.integers(1, 6, n).astype(float)
    )  # each row once: steps do not meet
    settings = {"dim": 3, "epochs": 1, "dtype": "float64", "lr": 0.05}
    batches = MatrixFactorization(batch_size=5, **settings).fit(train, rng=0, progress=False)
    single = MatrixFactorization(method="per-rating", **settings).fit(train, rng=0, progress=False)
    for name, array in single.params().items():
        assert np.abs(batches.params()[name] - array).max() < 1e-14, name


def test_sgd_does_not_overstep_where_one_user_fills_the_batch() -> None:
    train = Interactions(["a"] * 2100, [f"i{n}" for n in range(2100)], [1.0 + n % 5 for n in range(2100)])
    model = MatrixFactorization(dim=5).fit(train, rng=0, progress=False)
    assert model.log.losses[-1] < model.log.losses[0] < 3.0
    assert model.log.steps == 20 * 42  # batches of 50 rows, since the one user is in each row


def test_per_rating_names_what_is_not_finite_and_stops_on_interrupt(monkeypatch, capsys) -> None:
    train = Interactions(["a", "b", "c"] * 5, [f"i{n}" for n in range(15)], [1.0 + n % 5 for n in range(15)])
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=r"parameter .* is not finite"),
    ):
        MatrixFactorization(2, method="per-rating", lr=50.0).fit(train, rng=0, progress=False)
    step, calls = mf.sgd_factorization_step, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 20:
            signal.raise_signal(signal.SIGINT)
        return step(*arguments)

    monkeypatch.setattr(mf, "sgd_factorization_step", interrupted)
    model = MatrixFactorization(2, method="per-rating", epochs=9).fit(train, rng=0, progress=False)
    assert model.log.ended.startswith("interrupted in epoch 2")
    assert model.log.steps == 20
    assert "can be used as it is" in capsys.readouterr().out


def test_factors_start_with_a_standard_deviation_of_a_tenth() -> None:
    train = Interactions([f"u{n}" for n in range(500)], [f"i{n}" for n in range(500)], [3.0] * 500)
    model = MatrixFactorization(20, lr=0.0, epochs=1, dtype="float64").fit(train, rng=0, progress=False)
    for table in (model.P, model.Q):
        assert abs(table.std() - 0.1) < 0.003
        assert abs(table.mean()) < 0.003


def test_fold_in_is_where_the_gradient_of_its_loss_is_zero() -> None:
    """λ ‖p‖² + mean of −log σ(s_taken − s_other), biases included, written out."""
    rng = np.random.default_rng(0)
    train = Interactions([f"u{n % 7}" for n in range(60)], [f"i{n % 13}" for n in range(60)])
    model = MatrixFactorization(3, "bpr", reg=0.05, epochs=1, dtype="float64").fit(
        train, rng=0, progress=False
    )
    model.Q[...], model.b_item[...] = rng.standard_normal((13, 3)), rng.standard_normal(13)
    history = np.array([2, 7, 11])
    p = model.fold_in(history, steps=4000)
    gradient = 2 * 0.05 * p
    others = [j for j in range(13) if j not in history]
    for i in history:
        for j in others:
            difference = model.b_item[i] - model.b_item[j] + p @ (model.Q[i] - model.Q[j])
            gradient = gradient - (model.Q[i] - model.Q[j]) / (1 + np.exp(difference)) / (3 * len(others))
    assert np.abs(gradient).max() < 1e-3  # Adam with a fixed step ends near, not at, the minimum
    assert np.abs(p).max() > 0.1


def test_sgd_under_bpr_adds_up_the_steps_of_the_pairs() -> None:
    """One epoch of one batch: p_u += γ (σ(−d) (q_i − q_j)) for each pair, without L2."""
    train = Interactions(["a", "b", "c"], ["x", "y", "z"])
    settings = {"optimizer": "sgd", "reg": 0.0, "dtype": "float64", "epochs": 1, "batch_size": 3}
    start = MatrixFactorization(2, "bpr", lr=0.0, **settings).fit(train, rng=0, progress=False)
    model = MatrixFactorization(2, "bpr", lr=0.1, **settings).fit(train, rng=0, progress=False)
    moved = model.P - start.P
    for u, i in ((0, 0), (1, 1), (2, 2)):
        steps = []
        for j in {0, 1, 2} - {i}:
            difference = start.Q[i] - start.Q[j]
            steps.append(0.1 * difference / (1 + np.exp(start.P[u] @ difference)))
        assert min(np.abs(moved[u] - step).max() for step in steps) < 1e-14


@pytest.mark.parametrize("stop", [1, 3, 5])
@pytest.mark.parametrize(("loss", "optimizer"), [("squared", "sgd"), ("bpr", "adam"), ("bce", "adamw")])
def test_a_resumed_fit_gives_the_same_bits(loss: str, optimizer: str, stop: int, tmp_path: Path) -> None:
    events = grouped(0)
    events.ratings = 1.0 + events.items % 5
    train, valid, _ = leave_one_out(events)
    path = tmp_path / "c.npz"

    def fit(epochs: int, rng: int | None, **options: Any) -> MatrixFactorization:
        model = MatrixFactorization(
            3, loss, optimizer=optimizer, lr=0.01, epochs=epochs, batch_size=64, patience=6
        )
        return model.fit(train, valid=valid, rng=rng, progress=False, **options)

    straight = fit(6, 1)
    assert len(straight.log.losses) == 6
    fit(stop, 1, checkpoint=path)
    resumed = fit(6, None, checkpoint=path)
    for name, array in straight.state().items():
        assert np.array_equal(resumed.state()[name], array), name
    assert resumed.log.losses == straight.log.losses
    assert resumed.log.validation == straight.log.validation
    assert resumed.log.best_epoch == straight.log.best_epoch
    other = "sgd" if optimizer != "sgd" else "adam"
    with pytest.raises(ValueError, match=rf"settings\.optimizer is '{optimizer}' there and '{other}' here"):
        MatrixFactorization(3, loss, optimizer=other).fit(train, progress=False, checkpoint=path)


def test_the_rule_per_rating_has_no_checkpoint(tmp_path: Path) -> None:
    model = MatrixFactorization(3, method="per-rating", epochs=1)
    with pytest.raises(ValueError, match=r'checkpoint .*c\.npz: method="per-rating" has none: leave it out'):
        model.fit(ratings(), progress=False, checkpoint=tmp_path / "c.npz")
    assert not (tmp_path / "c.npz").exists()
