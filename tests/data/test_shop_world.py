"""The laws of the shop: the formula against loops, the sampler against the formula."""

import numpy as np
import pytest

from minirec.data import shop_world
from minirec.data.shop_world import (
    RECENCY_WEIGHTS,
    SUCCESSOR_WEIGHTS,
    World,
    appetites,
    draw_counts,
    draw_histories,
    draw_successors,
    next_item_matrix,
)

N_USERS, N_ITEMS, N_LINES = 5, 13, 3


def make_world(seed=0, n_users=N_USERS, sequence_strength=0.35, noise=0.15, taste_strength=1.1):
    rng = np.random.default_rng(seed)
    popularity = rng.random(N_ITEMS) + 0.1
    popularity /= popularity.sum()
    line = rng.permutation(N_ITEMS) % N_LINES
    features = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    taste = rng.standard_normal((n_users, 2))
    return World(
        popularity=popularity,
        line=line,
        features=features,
        taste_strength=taste_strength,
        centers=np.array([[0.4, -0.2], [-0.3, 0.1]]),
        spread=0.8,
        appetite=appetites(taste, features, taste_strength, popularity, line),
        successors=draw_successors(rng, line, N_LINES),
        sequence_strength=sequence_strength,
        noise=noise,
    )


def next_item_by_loops(world, user, history):
    n = len(world.popularity)
    p = []
    for i in range(n):
        own = (1 - world.noise) * world.popularity[i] * world.appetite[user, world.line[i]] + world.noise / n
        follows = 0.0
        recent = list(history[-2:])[::-1]
        weights = [1.0] if len(recent) == 1 else RECENCY_WEIGHTS
        for j, recency in zip(recent, weights, strict=False):
            for follower, closeness in zip(world.successors[j], SUCCESSOR_WEIGHTS, strict=True):
                follows += recency * closeness * (follower == i)
        s = world.sequence_strength if recent else 0.0
        p.append(0.0 if i in history else s * follows + (1 - s) * own)
    return np.array(p) / sum(p)


def test_appetites_are_scaled_to_mean_one():
    world = make_world()
    mean = (world.popularity * world.appetite[:, world.line]).sum(axis=1)
    np.testing.assert_allclose(mean, 1.0, rtol=1e-13)


def test_next_item_matrix_equals_loops():
    world = make_world()
    rng = np.random.default_rng(1)
    users = rng.integers(0, N_USERS, 29)
    histories = [rng.permutation(N_ITEMS)[: b % 12] for b in range(29)]
    p = next_item_matrix(world, users, histories)
    expected = [next_item_by_loops(world, u, h.tolist()) for u, h in zip(users, histories, strict=True)]
    np.testing.assert_allclose(p, expected, atol=1e-14)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-13)
    assert all((p[b, h] == 0).all() for b, h in enumerate(histories))


def test_next_item_matrix_without_anything_left_is_zero():
    p = next_item_matrix(make_world(), np.array([3]), [np.arange(N_ITEMS)])
    assert (p == 0).all()


@pytest.mark.parametrize("patience", [0, 2, 40])
def test_sampler_draws_from_the_written_law(monkeypatch, patience):
    # For any test function f(user, history, item) fixed before the draw, Σ f(drawn) − Σ_i p_i f(i) has mean 0
    # and variance Σ Var_p(f). |z| < 4.5 is passed by chance with probability 1 − 7e-6 per figure.
    # Patience 0 is the written-out row alone, 2 mixes it with rejection.
    monkeypatch.setattr(shop_world, "PATIENCE", patience)
    n = 6007
    world = make_world(n_users=n)
    items = draw_histories(np.random.default_rng(5), world, np.full(n, 5)).reshape(n, 5)
    scores = []
    for t in range(5):
        p = next_item_matrix(world, np.arange(n), list(items[:, :t]))
        tests = [np.broadcast_to(np.arange(N_ITEMS) == i, p.shape) for i in range(N_ITEMS)]
        for back in range(1, min(t, 2) + 1):
            for rank in range(3):
                tests.append(world.successors[items[:, t - back], rank][:, None] == np.arange(N_ITEMS))
        tests.append(world.appetite[:, world.line] > 1.0)
        for f in tests:
            mean = (p * f).sum(axis=1)
            gap = (f[np.arange(n), items[:, t]] - mean).sum()
            scores.append(gap / np.sqrt((mean * (1 - mean)).sum()))
    assert np.abs(scores).max() < 4.5
    # The same figures under a law with the two recencies swapped are far out, so the test has power.
    monkeypatch.setattr(shop_world, "RECENCY_WEIGHTS", RECENCY_WEIGHTS[::-1])
    p = next_item_matrix(world, np.arange(n), list(items[:, :4]))
    f = world.successors[items[:, 3], 0][:, None] == np.arange(N_ITEMS)
    mean = (p * f).sum(axis=1)
    assert (f[np.arange(n), items[:, 4]] - mean).sum() / np.sqrt((mean * (1 - mean)).sum()) > 9


def test_ragged_histories_come_out_user_after_user():
    world = make_world()
    counts = np.array([3, 7, 1, 11, 5])
    items = draw_histories(np.random.default_rng(2), world, counts)
    assert len(items) == counts.sum()
    for history in np.split(items, np.cumsum(counts)[:-1]):
        assert len(set(history.tolist())) == len(history)
    assert items.min() >= 0
    assert items.max() < N_ITEMS


@pytest.mark.parametrize(("n_items", "n_categories"), [(5, 3), (10, 8), (101, 7)])
def test_successors_are_three_others(n_items, n_categories):
    rng = np.random.default_rng(3)
    successors = draw_successors(rng, rng.permutation(n_items) % n_categories, n_categories)
    assert successors.shape == (n_items, 3)
    for i, row in enumerate(successors.tolist()):
        assert len({i, *row}) == 4


def test_successors_come_from_the_category_that_goes_with_it():
    categories = np.random.default_rng(4).permutation(101) % 7
    successors = draw_successors(np.random.default_rng(5), categories, 7)
    np.testing.assert_array_equal(
        categories[successors[:, :2]], np.repeat((categories[:, None] + 1) % 7, 2, 1)
    )
    np.testing.assert_array_equal(categories[successors[:, 2]], categories)


@pytest.mark.parametrize(
    ("n_users", "n_events", "low", "high"), [(7, 211, 5, 43), (11, 55, 5, 17), (3, 39, 5, 13)]
)
def test_counts_keep_sum_and_bounds(n_users, n_events, low, high):
    counts = draw_counts(np.random.default_rng(6), n_users, n_events, low, high)
    assert counts.shape == (n_users,)
    assert counts.sum() == n_events
    assert counts.min() >= low
    assert counts.max() <= high
