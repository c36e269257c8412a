"""The typed-in data sets: the sums of rows and columns that the sources print, and symmetry."""

import numpy as np
import pytest

from minirec.data.classics import KARATE_OFFICERS, grid, karate_club, southern_women
from minirec.data.interactions import Interactions


def test_southern_women_sums():
    x = southern_women()
    assert (x.n_users, x.n_items, len(x)) == (18, 14, 89)
    assert x.item_ids == list(range(1, 15))
    assert np.bincount(x.items).tolist() == [3, 3, 6, 4, 8, 8, 10, 14, 12, 5, 4, 6, 3, 3]
    in_book_order = list(dict.fromkeys(x.users.tolist()))
    assert x.user_ids[in_book_order[0]] == "Evelyn Jefferson"
    assert x.user_ids[in_book_order[-1]] == "Flora Price"
    counts = np.bincount(x.users)[in_book_order]
    assert counts.tolist() == [8, 7, 8, 7, 4, 4, 4, 3, 4, 4, 4, 6, 7, 8, 5, 2, 2, 2]
    assert len(set(zip(x.users.tolist(), x.items.tolist(), strict=True))) == 89


def test_southern_women_by_name():
    x = southern_women()
    rows = x.users == x.user_index["Nora Fayette"]
    assert [x.item_ids[i] for i in x.items[rows]] == [6, 7, 9, 10, 11, 12, 13, 14]
    assert x.titles[8] == "social event 8"


def test_karate_club_sums_and_symmetry():
    x = karate_club()
    assert x.user_ids == x.item_ids == list(range(1, 35))
    assert len(x) == 2 * 78
    friends = np.zeros((34, 34), dtype=int)
    np.add.at(friends, (x.users, x.items), 1)
    assert friends.max() == 1
    assert (friends == friends.T).all()
    assert np.diag(friends).sum() == 0
    degrees = [
        16,
        9,
        10,
        6,
        3,
        4,
        4,
        4,
        5,
        2,
        3,
        1,
        2,
        5,
        2,
        2,
        2,
        2,
        2,
        3,
        2,
        2,
        2,
        5,
        3,
        3,
        2,
        4,
        3,
        4,
        4,
        6,
        12,
        17,
    ]
    assert friends.sum(axis=1).tolist() == degrees
    assert np.trace(np.linalg.matrix_power(friends, 3)) == 6 * 45  # 45 triangles: a typing slip would show


def test_karate_sides():
    assert len(KARATE_OFFICERS) == 17
    assert {1, 2, 3, 4, 9}.isdisjoint(KARATE_OFFICERS)
    x = karate_club()
    side = np.isin(np.arange(1, 35), KARATE_OFFICERS)
    assert (side[x.users] != side[x.items]).sum() == 2 * 11  # friendships across the split


def test_grid_of_the_women():
    lines = grid(southern_women()).splitlines()
    assert len(lines) == 19
    assert lines[0].split() == [str(n) for n in range(1, 15)]
    assert lines[1].split()[2:] == list("xxxxxx.xx.....")
    assert "\n".join(lines[1:]).count("x") == 89
    assert len({len(line) for line in lines}) == 1


def test_grid_aligns_long_ids():
    text = grid(Interactions([3, 1024, 3], ["pear", "fig", "fig"]))
    assert text == "       fig pear\n3        x    x\n1024     x    ."


def test_grid_refuses_what_nobody_could_read():
    with pytest.raises(ValueError, match="101 users x 1 items are too many"):
        grid(Interactions(list(range(101)), [0] * 101))
