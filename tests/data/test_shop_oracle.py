"""The best possible scores: metrics against brute force, the posterior against a grid of tastes."""

import itertools

import numpy as np
import pytest

from minirec import metrics
from minirec.data.shop import synthetic
from minirec.data.shop_oracle import expected_metrics, follow_paths, log_posterior, posterior_matrix
from minirec.data.shop_world import World, appetites, draw_successors, next_item_matrix


@pytest.fixture(scope="module")
def shop():
    return synthetic(n_users=211, n_items=97, n_events=3001, seed=5)


@pytest.fixture(scope="module")
def last_events(shop):
    """The last event of every user as a test set, and the histories before it."""
    x = shop.interactions
    rows = x.order()[np.cumsum(np.bincount(x.users, minlength=x.n_users)) - 1]
    return x.select(rows), [h[:-1] for h in x.histories()]


def metrics_by_permutations(scores, item, k):
    """Mean NDCG and hit over every order of the candidates that respects the scores."""
    candidates = [i for i in range(len(scores)) if scores[i] > -np.inf]
    ranks = [
        order.index(item) + 1
        for order in itertools.permutations(candidates)
        if item in order and all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    gains = [(1 / np.log2(r + 1), 1.0) if r <= k else (0.0, 0.0) for r in ranks]
    return np.mean(gains, axis=0) if gains else np.zeros(2)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 11])
def test_expected_metrics_equal_all_permutations(k):
    scores = np.array([[1.0, 2, 2, 0, 2], [0, 0, 0, 0, 0], [3, -np.inf, 1, 1, 2], [5, 4, 3, 2, 1]])
    got = np.stack(expected_metrics(scores, k), axis=-1)
    expected = [[metrics_by_permutations(row, i, k) for i in range(5)] for row in scores]
    np.testing.assert_allclose(got, expected, atol=1e-14)


def test_expected_metrics_equal_the_metrics_module():
    scores = np.random.default_rng(1).integers(0, 7, (3, 31)).astype(float)
    ndcg, hit = expected_metrics(scores, 10)
    for b, i in itertools.product(range(3), range(31)):
        assert ndcg[b, i] == pytest.approx(metrics.ndcg(scores[b], [i], 10), abs=1e-13)
        assert hit[b, i] == pytest.approx(metrics.hit_rate(scores[b], [i], 10), abs=1e-13)


def test_best_possible_is_the_mean_of_the_metrics_module(shop, last_events):
    test, histories = last_events
    best = shop.best_possible(test, histories, k=7)
    p = shop.next_item_matrix(test.users, [histories[u] for u in test.users])
    scores = np.where(p > 0, p, -np.inf)
    values = [metrics.ndcg(s, [i], 7) for s, i in zip(scores, test.items, strict=True)]
    hits = [metrics.hit_rate(s, [i], 7) for s, i in zip(scores, test.items, strict=True)]
    assert best.ndcg == pytest.approx(np.mean(values), abs=1e-12)
    assert best.hit_rate == pytest.approx(np.mean(hits), abs=1e-12)
    # Expected: the seven likeliest items stand on ranks 1 to 7, whatever the ties.
    top = -np.sort(-p, axis=1)[:, :7]
    assert best.expected_hit_rate == pytest.approx(top.sum(axis=1).mean(), abs=1e-12)
    assert best.expected_ndcg == pytest.approx((top / np.log2(np.arange(2, 9))).sum(axis=1).mean(), abs=1e-12)
    assert (best.n_users, best.k) == (211, 7)
    assert "NDCG@7" in str(best)


def test_realized_best_agrees_with_its_expectation():
    # The test items are one draw from the law: the gap is within 4 standard errors (at most 0.5 / √U each).
    shop = synthetic(n_users=2003, n_items=97, n_events=20_011, seed=8)
    x = shop.interactions
    test = x.select(x.order()[np.cumsum(np.bincount(x.users)) - 1])
    best = shop.best_possible(test, [h[:-1] for h in x.histories()])
    assert abs(best.hit_rate - best.expected_hit_rate) < 4 * 0.5 / np.sqrt(2003)
    assert abs(best.ndcg - best.expected_ndcg) < 4 * 0.5 / np.sqrt(2003)


def test_nothing_beats_the_oracle_in_expectation(shop, last_events):
    test, histories = last_events
    p = shop.next_item_matrix(test.users, [histories[u] for u in test.users])
    best = shop.best_possible(test, histories)
    rng = np.random.default_rng(3)
    for other in (
        shop.world.popularity * np.ones_like(p),
        p**0.5 + 0.05 * rng.random(p.shape),
        rng.random(p.shape),
    ):
        earned = expected_metrics(np.where(p > 0, other, -np.inf), 10)
        assert (earned[0] * p).sum(axis=1).mean() < best.expected_ndcg
        assert (earned[1] * p).sum(axis=1).mean() < best.expected_hit_rate


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda test, histories: (test, histories, 0), "k = 0"),
        (lambda test, histories: (test.select(np.arange(0)), histories, 10), "0 test events"),
        (lambda test, histories: (test, histories[:-1], 10), "210 histories for 211 users"),
        (lambda test, histories: (test, [np.arange(97)] * 211, 10), "test row 0: user 'u0000' has 'p"),
    ],
)
def test_best_possible_refuses(shop, last_events, change, words):
    with pytest.raises(ValueError, match=words):
        shop.best_possible(*change(*last_events))


def tiny_world(taste, n_items=11, **changes):
    rng = np.random.default_rng(0)
    popularity = rng.random(n_items) + 0.2
    popularity /= popularity.sum()
    line, features = rng.permutation(n_items) % 3, np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    parts = {
        "popularity": popularity,
        "line": line,
        "features": features,
        "taste_strength": 1.3,
        "centers": np.array([[0.9, -0.7], [-0.6, 0.5]]),
        "spread": 0.8,
        "successors": draw_successors(rng, line, 3),
        "sequence_strength": 0.3,
        "noise": 0.1,
    } | changes
    appetite = appetites(taste, features, parts["taste_strength"], popularity, line)
    return World(appetite=appetite, **parts)


def test_posterior_equals_a_grid_of_tastes():
    # Independent of the chain: 61 x 61 tastes, their prior times the likelihood by next_item_matrix alone.
    axis = np.linspace(-4.5, 4.5, 61)
    tastes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    world = tiny_world(tastes)
    users = np.arange(len(tastes))
    histories = [
        np.array(h, dtype=np.int64) for h in ([], [4], [2, 9], [7, 1, 3, 10, 0], [5, 8, 2, 6, 1, 4, 9, 3])
    ]
    squares = ((tastes[:, None, :] - world.centers) ** 2).sum(axis=2)
    prior = np.exp(-squares / (2 * world.spread**2)).sum(axis=1)
    expected = []
    for history in histories:
        weight = prior.copy()
        for t in range(len(history)):
            weight *= next_item_matrix(world, users, [history[:t]] * len(users))[:, history[t]]
        expected.append(weight @ next_item_matrix(world, users, [history] * len(users)) / weight.sum())
    # Fifteen chains per history: errors of 0.001 to 0.009 over four seeds. The mean over the prior, without
    # looking at the history, is up to 0.08 off.
    got = posterior_matrix(world, histories * 15, rng=4, steps=1200).reshape(15, 5, -1).mean(axis=0)
    np.testing.assert_allclose(got, expected, atol=0.01)
    np.testing.assert_allclose(got.sum(axis=1), 1.0, rtol=1e-12)


def test_log_posterior_is_prior_times_likelihood():
    taste = np.random.default_rng(6).standard_normal((5, 2))
    world = tiny_world(taste)
    histories = [
        np.array(h, dtype=np.int64) for h in ([], [4], [2, 9], [7, 1, 3, 10, 0], [5, 8, 2, 6, 1, 4, 9, 3])
    ]
    value, appetite, mass = log_posterior(world, follow_paths(world, histories), taste)
    np.testing.assert_array_equal(appetite, world.appetite)
    for b, history in enumerate(histories):
        squares = ((taste[b] - world.centers) ** 2).sum(axis=1)
        expected = np.log(np.exp(-squares / (2 * world.spread**2)).sum())
        for t in range(len(history)):
            expected += np.log(next_item_matrix(world, [b], [history[:t]])[0, history[t]])
        assert value[b] == pytest.approx(expected, abs=1e-11)
        # What is unseen and no follower has this probability before and after normalization.
        followers = world.successors[history[-2:]]
        i = np.setdiff1d(np.arange(11), np.concatenate([history, followers.ravel()]))[0]
        s = world.sequence_strength if len(history) else 0.0
        own = (1 - s) * (0.9 * world.popularity[i] * appetite[b, world.line[i]] + 0.1 / 11)
        assert mass[b] == pytest.approx(own / next_item_matrix(world, [b], [history])[0, i], rel=1e-11)


def test_posterior_without_taste_is_the_truth():
    world = tiny_world(np.zeros((1, 2)), taste_strength=0.0)
    histories = [np.array(h, dtype=np.int64) for h in ([], [3], [1, 5, 7], list(range(10)))]
    truth = next_item_matrix(world, np.zeros(4, dtype=np.int64), histories)
    np.testing.assert_allclose(posterior_matrix(world, histories, steps=31), truth, atol=1e-12)


def test_not_knowing_the_taste_costs_something_but_not_much(shop, last_events):
    with_taste = shop.best_possible(*last_events)
    without = shop.best_possible(*last_events, know_taste=False)
    assert 0.85 * with_taste.expected_ndcg < without.expected_ndcg < with_taste.expected_ndcg
