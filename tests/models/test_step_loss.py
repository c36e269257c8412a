"""The losses of the steps: what the sheet says of them, their limits, and how negatives are drawn."""

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, seeds

from minirec import training
from minirec.data.interactions import Interactions
from minirec.functional import RowGradient
from minirec.models import step_loss
from minirec.models.step_loss import (
    logits_per_step,
    sample_items,
    step_examples,
    step_loss_backward,
    step_loss_forward,
    trimmed_steps,
)
from minirec.verify.pair import dense

B, T, D, I = 2, 5, 3, 7
TARGETS = frozen([[0, 0, 3, 1, 6], [2, 5, 2, 4, 7]])


def states(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """h (B, T, D) and E (I + 1, D)"""
    rng = np.random.default_rng(seed)
    return frozen(rng.standard_normal((B, T, D))), frozen(rng.standard_normal((I + 1, D)))


def run(loss: str, *args: Any, **options: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """Loss, dh and dE as an array."""
    value, cache = step_loss_forward(loss, *args, **options)
    dh, dE = step_loss_backward(-0.7, cache)
    return value, dh, dense(dE)


def assert_equal(found: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-14, equal_nan=False)


@given(seeds, st.integers(1, 3), st.integers(1, 5), st.integers(2, 7), st.integers(1, 3), st.integers(1, 6))
def test_the_sheet_holds(seed: int, b: int, t: int, items: int, width: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    h, E = frozen(rng.standard_normal((b, t, width))), frozen(rng.standard_normal((items + 1, width)))
    targets, by_step = (frozen(rng.integers(first, items + 1, (b, t))) for first in (0, 1))
    shared = frozen(rng.integers(1, items + 1, (b, n)))
    # The logarithm of a rounded sum: where it is near 0, its error is not small beside it.
    size = 1 + 2 * np.abs(h @ E.T).max()
    holds("step_softmax", h, E, targets, seed=seed, scale=size)
    holds("step_bce", h, E, targets, by_step, seed=seed)
    holds(
        "step_sampled_softmax", h, E, targets, shared, seed=seed, scale=size,
        skip=("the softmax for all items as negatives",),  # relative to a loss that may be near 0
    )  # fmt: skip
    holds("step_gbce", h, E, targets, shared, rng.random(), seed=seed)


# Limits


@given(seeds)
def test_sampled_softmax_with_all_items_is_the_softmax(seed: int) -> None:
    h, E = states(seed)
    rng = np.random.default_rng(seed)
    every = np.stack([rng.permutation(I) + 1 for _ in range(B)])
    assert_equal(run("sampled_softmax", h, E, TARGETS, every), run("softmax", h, E, TARGETS))


@given(seeds)
def test_gbce_with_one_negative_and_t_0_is_half_of_bce(seed: int) -> None:
    h, E = states(seed)
    shared = np.array([[4], [7]])
    half = [part / 2 for part in run("bce", h, E, TARGETS, np.tile(shared, (1, T)))]
    assert_equal(run("gbce", h, E, TARGETS, shared, gbce_t=0.0), tuple(half))


def test_the_expectation_is_that_of_negatives_drawn_for_each_step() -> None:
    """Over all negatives that the steps could share, and over all choices of one for each of two steps."""
    h, E = (a[:1, :2] if a.ndim == 3 else a for a in states())
    targets, items = np.array([[3, 1]]), range(1, I + 1)
    shared = [run("gbce", h, E, targets, np.array([[j]]), gbce_t=0.0) for j in items]
    drawn = [run("bce", h, E, targets, np.array([pair])) for pair in itertools.product(items, items)]

    def mean(runs: list[Any]) -> tuple[Any, ...]:
        return tuple(np.mean(part, axis=0) for part in zip(*runs, strict=True))

    assert_equal(mean(shared), tuple(part / 2 for part in mean(drawn)))


def test_a_negative_that_is_the_target_of_one_step_still_counts_at_the_others() -> None:
    h, E = states()
    one = np.zeros_like(TARGETS)
    one[0, 3] = 1  # the target of this step, the only negative of the sequence
    negatives = np.array([[1], [5]])
    value, dh, dE = run("sampled_softmax", h, E, one, negatives)
    assert value == 0
    assert not dh.any()
    assert not dE.any()
    one[0, 4] = 6
    s = h[0, 4] @ E.T
    assert run("sampled_softmax", h, E, one, negatives)[0] == pytest.approx(
        np.log1p(np.exp(s[1] - s[6])) / 2, rel=1e-14
    )


@pytest.mark.parametrize(
    ("loss", "negatives", "read"),
    [
        ("bce", np.array([[4, 4, 1, 1, 3], [6, 6, 6, 6, 6]]), [1, 2, 3, 4, 5, 6, 7]),
        ("sampled_softmax", np.array([[1], [2]]), [1, 2, 3, 4, 5, 6, 7]),
        ("gbce", np.array([[4], [4]]), [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_only_rows_that_were_read_have_a_gradient(loss: str, negatives: np.ndarray, read: list[int]) -> None:
    h, _ = states()
    E = np.random.default_rng(1).standard_normal((101, D))
    _, cache = step_loss_forward(loss, h, E, TARGETS, negatives)
    dh, dE = step_loss_backward(1.0, cache)
    assert isinstance(dE, RowGradient)
    assert dE.rows.tolist() == read
    assert dE.shape == E.shape
    assert not dh[TARGETS == 0].any()


def test_negatives_are_asked_for_where_they_are_needed_and_nowhere_else() -> None:
    h, E = states()
    for loss in ("bce", "sampled_softmax", "gbce"):
        with pytest.raises(ValueError, match=f'loss="{loss}" needs negatives'):
            step_loss_forward(loss, h, E, TARGETS)
    with pytest.raises(ValueError, match='loss="softmax" takes no negatives'):
        step_loss_forward("softmax", h, E, TARGETS, np.ones((B, 1), dtype=np.int64))


@pytest.mark.parametrize("loss", step_loss.LOSSES)
def test_ids_that_name_no_item_are_refused(loss: str) -> None:
    h, E = states()
    negatives = None if loss == "softmax" else np.ones((B, T), dtype=np.int64)
    for bad in (-1, I + 1):
        with pytest.raises(IndexError, match="is out of range"):
            step_loss_forward(loss, h, E, np.where(TARGETS == 5, bad, TARGETS), negatives)
        if negatives is not None:
            with pytest.raises(IndexError, match=re.escape(f"= {bad} is out of range: allowed are 0 to {I}")):
                step_loss_forward(loss, h, E, TARGETS, np.full((B, T), bad))


# What a model is trained on

HISTORIES = [np.array([4, 0, 2]), np.array([1]), np.arange(6), np.array([0, 3, 0, 5])]  # 6 items


def examples(loss: str, n_negatives: int = 4, length: int = 3) -> step_loss.Examples:
    pairs = [(u, int(i)) for u, history in enumerate(HISTORIES) for i in history]
    log = Interactions(*zip(*pairs, strict=True))  # type: ignore[misc]
    names = np.array(log.item_ids)
    index = {int(name): place for place, name in enumerate(names)}
    histories = [np.array([index[int(i)] for i in history]) for history in HISTORIES]
    return step_examples(loss, histories, length, log.matrix(), n_negatives)


@pytest.mark.parametrize(
    ("loss", "users", "shape"),
    [("softmax", 3, None), ("bce", 2, (2, 3)), ("sampled_softmax", 3, (3, 4)), ("gbce", 3, (3, 4))],
)
def test_examples_are_users_with_a_step_and_if_asked_for_an_item_not_met(
    loss: str, users: int, shape: tuple[int, int] | None
) -> None:
    found = examples(loss)
    assert found.n == users
    inputs, targets, *negatives = found.draw(np.arange(users), np.random.default_rng(0))
    assert inputs.shape == targets.shape == (users, 3)
    assert targets.any(axis=1).all()
    assert [part.shape for part in negatives] == ([] if shape is None else [shape])
    if shape is not None:
        assert negatives[0].min() >= 1
        assert negatives[0].max() <= 6


def test_gbce_with_t_1_wants_nearly_the_probability_of_each_item() -> None:
    p = np.array([0.5, 0.25, 0.15, 0.1])  # of the items 1 .. 4; one negative, all items alike
    wanted = p * 4 / (p * 4 + 3)
    E = np.concatenate([[0.0], np.log(wanted / (1 - wanted))])[:, None]  # σ(1 · E) = wanted
    slope = np.zeros(5)
    for target, negative in itertools.product(range(1, 5), repeat=2):
        ids = np.array([[target]]), np.array([[negative]])
        slope += p[target - 1] / 4 * run("gbce", np.ones((1, 1, 1)), E, *ids, gbce_t=1.0)[2][:, 0]
    np.testing.assert_allclose(slope, 0.0, rtol=0, atol=1e-15, equal_nan=False)


def test_negatives_of_gbce_are_all_items_equally_often() -> None:
    """Its β corrects for a share α = k / (I − 1) of a uniform draw: items that the user has met are in it."""
    drawn = np.concatenate(
        [examples("gbce").draw(np.array([0, 1]), np.random.default_rng(s))[2] for s in range(2000)]
    )
    counts = np.bincount(drawn.ravel(), minlength=7)
    assert counts[0] == 0
    expected = drawn.size / 6
    assert np.abs(counts[1:] - expected).max() < 5 * math.sqrt(expected)


def test_negatives_of_bce_are_the_items_not_met() -> None:
    drawn = [examples("bce").draw(np.array([0, 1]), np.random.default_rng(s)) for s in range(40)]
    inputs, targets, _ = drawn[0]
    met = [set(inputs[u]) | set(targets[u]) for u in range(2)]
    for u in range(2):
        found = {int(j) for _, _, negatives in drawn for j in negatives[u]}
        assert found == set(range(1, 7)) - met[u]


def test_negatives_of_sampled_softmax_are_different_items_out_of_all() -> None:
    drawn = examples("sampled_softmax").draw(np.array([0, 1, 2]), np.random.default_rng(0))[2]
    assert all(len(set(row)) == 4 for row in drawn.tolist())
    every = examples("sampled_softmax", n_negatives=100).draw(np.array([0, 1]), np.random.default_rng(0))[2]
    assert np.sort(every, axis=1).tolist() == [[1, 2, 3, 4, 5, 6]] * 2


def test_the_same_generator_draws_the_same_negatives_and_others_later() -> None:
    for loss in ("bce", "sampled_softmax", "gbce"):
        rng = np.random.default_rng(3)
        first, later = (examples(loss).draw(np.array([0, 1]), rng)[2] for _ in range(2))
        again = examples(loss).draw(np.array([0, 1]), np.random.default_rng(3))[2]
        assert np.array_equal(first, again)
        assert not np.array_equal(first, later)


def test_all_sets_of_items_are_drawn_equally_often() -> None:
    rows = 6000
    drawn = np.sort(sample_items(np.random.default_rng(0), rows, 2, 5), axis=1)
    sets, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(sets) == 10
    assert np.all(sets[:, 0] < sets[:, 1])
    assert np.abs(counts - rows / 10).max() < 5 * np.sqrt(rows * 0.1 * 0.9)
    assert sample_items(np.random.default_rng(0), 0, 2, 5).shape == (0, 2)


def test_columns_of_padding_go_from_what_stands_by_step_alone() -> None:
    inputs, targets = np.array([[0, 0, 5], [0, 2, 3]]), np.array([[0, 0, 1], [0, 3, 6]])
    negatives = np.array([[1, 2, 3], [4, 5, 6]])
    for loss, kept in (("bce", [[2, 3], [5, 6]]), ("gbce", negatives.tolist())):
        batch: training.Batch = trimmed_steps(loss, (inputs, targets, negatives))
        assert [part.tolist() for part in batch] == [[[0, 5], [2, 3]], [[0, 1], [3, 6]], kept]
    assert [part.shape for part in trimmed_steps("softmax", (inputs, targets))] == [(2, 2), (2, 2)]


def test_scores_per_step() -> None:
    found = [logits_per_step(loss, 1682, 256) for loss in step_loss.LOSSES]
    assert found == [1, 1682, 256, 256]
