import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds

from minirec.data.interactions import Interactions
from minirec.data.matrix import InteractionMatrix
from minirec.data.sampling import sample_negatives


def matrix(rows: list[list[int]], n_items: int) -> InteractionMatrix:
    indices = [i for row in rows for i in row]
    indptr = np.cumsum([0] + [len(row) for row in rows])
    return InteractionMatrix(indptr, indices, np.ones(len(indices)), (len(rows), n_items))


@pytest.mark.parametrize(
    "row",
    [[], [0], [10], [4, 5, 6], [0, 1, 2, 3, 4, 6, 7, 8, 9, 10], [1, 3, 5, 7, 9]],
    ids=["nothing", "first", "last", "middle", "all but one", "every second"],
)
def test_uniform_over_the_unseen(row: list[int]) -> None:
    seen = matrix([[2], row, [7]], 11)
    draws = sample_negatives(3, np.ones(1000, dtype=np.int64), 13, seen)
    assert draws.shape == (1000, 13)
    unseen = [i for i in range(11) if i not in row]
    counts = np.bincount(draws.ravel(), minlength=11)
    assert counts[row].sum() == 0
    expected = draws.size / len(unseen)
    chi_square = np.sum((counts[unseen] - expected) ** 2 / expected)
    assert chi_square < 30  # 10 degrees of freedom at most: exceeded with probability 9e-4, the seed is fixed
    assert np.all(counts[unseen] > 0)


@pytest.mark.parametrize("seed", range(7))
def test_as_on_the_sheet(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seen = (rng.random((5, 7)) < 0.5) * rng.integers(1, 4, (5, 7))
    seen[seen.all(axis=1), 3] = 0
    users = rng.permutation(np.repeat(np.arange(4), 300))
    holds("sample_negatives", np.random.default_rng(seed), users, 5, seen, seed=seed)


@given(st.integers(0, 10**6))
def test_never_a_positive_and_the_same_for_the_same_seed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [sorted(rng.choice(13, size=int(rng.integers(0, 13)), replace=False).tolist()) for _ in range(7)]
    seen = matrix(rows, 13)
    users = rng.integers(0, 7, 17)
    draws = sample_negatives(seed, users, 5, seen)
    assert not seen.contains(users[:, None], draws).any()
    np.testing.assert_array_equal(draws, sample_negatives(np.random.default_rng(seed), users, 5, seen))


def test_seeds_differ_and_a_generator_moves_on() -> None:
    seen, users = matrix([[0], [1]], 101), np.array([0, 1])
    assert np.any(sample_negatives(1, users, 29, seen) != sample_negatives(2, users, 29, seen))
    rng = np.random.default_rng(1)
    assert np.any(sample_negatives(rng, users, 29, seen) != sample_negatives(rng, users, 29, seen))


def test_each_user_has_their_own_unseen_items() -> None:
    x = Interactions(["a", "a", "b"], [1, 2, 3])
    draws = sample_negatives(0, np.array([0, 1]), 31, x.matrix())
    assert set(draws[0].tolist()) == {2}
    assert set(draws[1].tolist()) == {0, 1}


def test_no_draws_and_no_users() -> None:
    seen = matrix([[0], [1]], 5)
    assert sample_negatives(0, np.array([1, 0, 1]), 0, seen).shape == (3, 0)
    assert sample_negatives(0, np.array([], dtype=np.int64), 3, seen).shape == (0, 3)


def test_faults() -> None:
    seen = matrix([[0], [0, 1, 2], [1]], 3)
    with pytest.raises(ValueError, match="user 1 has seen all 3 items, no negative is left"):
        sample_negatives(0, np.array([0, 1, 2]), 2, seen)
    with pytest.raises(IndexError, match="user index 3 is out of range: allowed are 0 to 2"):
        sample_negatives(0, np.array([0, 3]), 2, seen)
    with pytest.raises(IndexError, match="user index -1 is out of range"):
        sample_negatives(0, np.array([0, -1]), 2, seen)
    with pytest.raises(ValueError, match="n = -1 negatives per user"):
        sample_negatives(0, np.array([0]), -1, seen)
