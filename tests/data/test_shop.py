"""The shop as a data set: what it promises about events, and that it is a fair world."""

import hashlib

import numpy as np
import pytest

from minirec.data.shop import AGE_GROUPS, MIN_EVENTS, OPENING_DAY, synthetic
from minirec.data.shop_oracle import expected_metrics
from minirec.data.shop_products import CATEGORIES, LOOKS

SMALL = {"n_users": 61, "n_items": 101, "n_events": 907}


@pytest.fixture(scope="module")
def shop():
    return synthetic(seed=0)


def digest(shop):
    x = shop.interactions
    columns = (x.users, x.items, x.ratings.astype(np.int64), x.timestamps)
    return hashlib.sha256(b"".join(c.astype("<i8").tobytes() for c in columns)).hexdigest()[:16]


def test_default_shop_is_the_same_everywhere(shop):
    assert digest(shop) == "cdda16614a5579dd"
    assert shop.products[0].title == "Fern writing cabinet"


def test_same_seed_same_shop_other_seed_other_shop():
    first, again, other = (synthetic(**SMALL, seed=s) for s in (3, 3, 4))
    assert digest(first) == digest(again) != digest(other)
    assert [p.description for p in first.products] == [p.description for p in again.products]
    assert first.users == again.users
    np.testing.assert_array_equal(first.products[7].picture, again.products[7].picture)
    assert digest(synthetic(**SMALL, seed=np.random.default_rng(3))) == digest(first)


def test_switching_one_part_off_does_not_shift_the_others():
    full, without = synthetic(**SMALL, seed=5), synthetic(**SMALL, seed=5, sequence_strength=0.0)
    np.testing.assert_array_equal(full.taste, without.taste)
    np.testing.assert_array_equal(full.world.successors, without.world.successors)
    assert [p.title for p in full.products] == [p.title for p in without.products]
    # The length of a user's history owes nothing to the items.
    np.testing.assert_array_equal(
        np.bincount(full.interactions.users), np.bincount(without.interactions.users)
    )


def test_events_keep_their_promises(shop):
    x = shop.interactions
    assert (len(x), x.n_users, x.n_items) == (20_000, 600, 300)
    assert len(set(zip(x.users.tolist(), x.items.tolist(), strict=True))) == len(
        x
    )  # nobody meets an item twice
    assert np.bincount(x.users).min() >= MIN_EVENTS
    assert x.timestamps.dtype == np.int64
    assert (np.diff(x.timestamps) >= 0).all()  # rows in the order of time
    order = x.order()
    same_user = x.users[order][1:] == x.users[order][:-1]
    assert (np.diff(x.timestamps[order])[same_user] > 0).all()
    assert set(np.unique(x.ratings)) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_events_come_in_sessions(shop):
    x = shop.interactions
    order = x.order()
    new_user = np.append(True, np.diff(x.users[order]) > 0)
    begin = x.timestamps[order][new_user] - OPENING_DAY
    assert begin.min() >= 0
    assert begin.max() < 182 * 86_400
    gaps = np.diff(x.timestamps[order])[~new_user[1:]]
    # A pause is below eleven minutes or above half a day; 4 standard errors of the share are 0.0115.
    assert ((gaps <= 630) | (gaps >= 43_200)).all()
    assert abs((gaps >= 43_200).mean() - 0.2) < 0.0115


def test_ids_count_users_and_products(shop):
    x = shop.interactions
    assert x.user_ids[42] == shop.users[42].id == "u0042"
    assert x.item_ids[17] == shop.products[17].id == "p0017"
    assert x.item_ids == [p.id for p in shop.products]
    assert x.user_ids == [u.id for u in shop.users]
    assert x.titles["p0017"] == shop.products[17].title
    assert len(set(x.titles.values())) == 300


def test_unsold_products_are_in_the_id_map():
    shop = synthetic(n_users=5, n_items=211, n_events=29, seed=1)
    assert shop.interactions.n_items == 211
    assert len(np.unique(shop.interactions.items)) < 30
    assert shop.next_item_probabilities(3, []).shape == (211,)


def test_ids_of_large_shops_sort_as_numbers():
    shop = synthetic(n_users=10_007, n_items=23, n_events=50_035, seed=1)
    assert shop.interactions.user_ids == [u.id for u in shop.users]
    assert shop.users[9].id == "u00009"


def test_profiles_tell_the_taste(shop):
    for user, taste in zip(shop.users, shop.taste, strict=True):
        liked = [CATEGORIES[c].name for c in np.argsort(-taste[: len(CATEGORIES)])[:2]]
        assert list(user.favorite_categories) == liked
        assert user.favorite_look == LOOKS[np.argmax(taste[len(CATEGORIES) :])].name
    assert {u.age_group for u in shop.users} == set(AGE_GROUPS)
    # The age group explains about 0.3 of the variance of taste (four groups drawn once: 0.1 to 0.5).
    groups = np.array([AGE_GROUPS.index(u.age_group) for u in shop.users])
    residual = shop.taste - np.array([shop.taste[groups == g].mean(axis=0) for g in range(4)])[groups]
    assert 0.1 < 1 - residual.var() / shop.taste.var() < 0.5


def test_expected_ratings_are_the_means_of_ratings(shop):
    # 20,000 ratings with a standard deviation of about 0.65 around their means: 4 standard errors are 0.02
    # over all, and 0.04 in each fifth of the expectation.
    x = shop.interactions
    expected = shop.expected_ratings(x.users, x.items)
    gap = x.ratings - expected
    assert abs(gap.mean()) < 0.02
    for part in np.array_split(np.argsort(expected), 5):
        assert abs(gap[part].mean()) < 0.04
    assert gap.std() < 0.7 < x.ratings.std()


HISTORIES = [[5, 3, 8, 2], [3, 5, 2, 8], [8, 2, 5, 3]]  # one set, three orders


def rows(user=None, **changes):
    shop = synthetic(**SMALL, seed=2, **changes)
    users = [user, user, user] if user is not None else [0, 1, 2]
    return shop, shop.next_item_matrix(users, [np.array(h) for h in HISTORIES])


def test_without_sequence_the_order_does_not_matter():
    _, p = rows(user=7, sequence_strength=0.0)
    np.testing.assert_allclose(p[1:], p[[0, 0]], rtol=1e-12)
    _, p = rows(user=7)
    assert np.abs(p[1:] - p[0]).max() > 0.05


def test_without_taste_users_are_alike():
    shop, _ = rows(taste_strength=0.0)
    p = shop.next_item_matrix(np.arange(61), [np.array(HISTORIES[0])] * 61)
    np.testing.assert_allclose(p, np.tile(p[0], (61, 1)), rtol=1e-12)
    shop, _ = rows()
    p = shop.next_item_matrix(np.arange(61), [np.array(HISTORIES[0])] * 61)
    assert np.abs(p - p[0]).max() > 0.05


def test_without_popularity_items_of_a_line_are_alike():
    shop, p = rows(sequence_strength=0.0, popularity_strength=0.0)
    for line in np.unique(shop.world.line):
        members = np.setdiff1d(np.flatnonzero(shop.world.line == line), HISTORIES[0])
        np.testing.assert_allclose(p[:, members], np.tile(p[:, members[:1]], (1, len(members))), rtol=1e-12)


def test_with_nothing_planted_all_unseen_items_are_equal():
    _, p = rows(sequence_strength=0.0, popularity_strength=0.0, taste_strength=0.0, noise=0.0)
    np.testing.assert_allclose(p[p > 0], 1 / 97, rtol=1e-12)
    assert (p > 0).sum(axis=1).tolist() == [97, 97, 97]


def test_noise_bounds_every_unseen_item_from_below():
    shop, p = rows(noise=0.5)
    # At least noise · (1 − s) / I before normalization, which can only raise it.
    assert p[p > 0].min() >= 0.5 * (1 - shop.world.sequence_strength) / 101 * (1 - 1e-12)
    assert rows(noise=0.0)[1][p > 0].min() < p[p > 0].min()


def test_next_item_probabilities_is_a_row_of_the_matrix(shop):
    p = shop.next_item_probabilities(17, [4, 250, 31])
    np.testing.assert_array_equal(p, shop.next_item_matrix([17], [np.array([4, 250, 31])])[0])
    assert p.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda s: s.next_item_matrix([0, 1], [[2]]), ValueError, "2 users but 1 histories"),
        (lambda s: s.next_item_probabilities(600, []), IndexError, "user index 600 is out of range"),
        (lambda s: s.next_item_probabilities(-1, []), IndexError, "user index -1"),
        (lambda s: s.next_item_probabilities(0, [3, 300]), IndexError, "item index 300 .* 0 to 299"),
        (lambda s: s.next_item_matrix_without_taste([[-1]]), IndexError, "item index -1"),
        (lambda s: synthetic(n_users=0), ValueError, "n_users = 0"),
        (lambda s: synthetic(n_items=9), ValueError, "n_items = 9"),
        (lambda s: synthetic(n_events=2999), ValueError, "n_events = 2999: .* allow 3000 to 90000"),
        (lambda s: synthetic(n_events=90_001), ValueError, "n_events = 90001"),
        (lambda s: synthetic(sequence_strength=1.0), ValueError, "sequence_strength = 1.0"),
        (lambda s: synthetic(taste_strength=-0.1), ValueError, "taste_strength = -0.1"),
        (lambda s: synthetic(popularity_strength=float("nan")), ValueError, "popularity_strength = nan"),
        (lambda s: synthetic(noise=1.0), ValueError, "noise = 1.0"),
    ],
)
def test_wrong_arguments_are_named(shop, call, error, words):
    with pytest.raises(error, match=words):
        call(shop)


@pytest.mark.parametrize("n_events", [55, 605])
def test_fewest_and_most_events(n_events):
    x = synthetic(n_users=11, n_items=111, n_events=n_events, seed=1).interactions
    counts = np.bincount(x.users)
    assert counts.sum() == n_events
    assert counts.min() >= 5
    assert counts.max() <= 55


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shop_is_a_fair_world(seed):
    """Leave-one-out, full ranking, seen removed: popularity < EASE (taste) < Markov (order) < the best."""
    shop = synthetic(seed=seed)
    x = shop.interactions
    histories, n_users, n_items = x.histories(), x.n_users, x.n_items
    met, pairs = np.zeros((n_users, n_items)), np.zeros((n_items, n_items))
    for u, h in enumerate(histories):  # fitted without the last two events of a user
        met[u, h[:-2]] = 1.0
        np.add.at(pairs, (h[:-3], h[1:-2]), 1.0)
    before = [h[:-1] for h in histories]
    known = met.copy()
    known[np.arange(n_users), [h[-2] for h in histories]] = 1.0
    inverse = np.linalg.inv(met.T @ met + 50.0 * np.eye(n_items))
    ease = -inverse / np.diag(inverse)
    np.fill_diagonal(ease, 0.0)
    popularity = met.sum(axis=0)
    truth = shop.next_item_matrix(np.arange(n_users), before)
    scores = {
        "popularity": np.tile(popularity, (n_users, 1)),
        "ease": known @ ease,
        "markov": pairs[[h[-2] for h in histories]] + 1e-6 * popularity,
        "best": truth,
    }
    ndcg = {}
    for name, s in scores.items():
        earned, _ = expected_metrics(np.where(truth > 0, s, -np.inf), 10)
        ndcg[name] = earned[np.arange(n_users), [h[-1] for h in histories]]
    mean = {name: values.mean() for name, values in ndcg.items()}
    assert 0.03 < mean["popularity"] < 0.08
    assert mean["ease"] > 1.5 * mean["popularity"]
    assert 0.30 < mean["best"] < 0.45
    assert mean["markov"] < 0.75 * mean["best"]  # counting pairs leaves something to be learned
    for worse, better in (("popularity", "ease"), ("ease", "markov"), ("markov", "best")):
        gap = ndcg[better] - ndcg[worse]
        assert gap.mean() > 3 * gap.std(ddof=1) / np.sqrt(n_users)
