"""The rules by which the page on the claims comes to its verdicts, on figures whose answer is known."""

import numpy as np
import pytest
from claims_tables import order, reversed_pairs, verdict
from make_experiments import newest, windows

from minirec.data import Interactions

USERS = 40
rng = np.random.default_rng(0)
NOISE = rng.standard_normal(USERS)
NOISE -= NOISE.mean()


@pytest.mark.parametrize(
    ("shift", "words", "sign"), [(2.0, "yes", 1), (0.0, "not shown", 0), (-2.0, "no, the opposite", -1)]
)
def test_a_verdict_follows_from_the_whole_interval(shift: float, words: str, sign: int) -> None:
    assert verdict(NOISE + shift) == words
    assert order(NOISE + shift, np.zeros(USERS)) == sign


def test_pairs_whose_order_turns_round() -> None:
    good, fair, poor = np.full(USERS, 3.0), np.full(USERS, 2.0), np.full(USERS, 1.0)
    near = fair + 0.01 * NOISE + 0.0001  # above fair by its mean, not for sure
    assert reversed_pairs([good, fair, poor], [good, fair, poor]) == (0, 3, 0)
    assert reversed_pairs([good, fair, poor], [poor, fair, good]) == (3, 3, 3)
    assert reversed_pairs([near, fair], [fair, near]) == (1, 0, 0)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 20])
def test_windows_make_every_event_but_the_first_a_target_once(n: int) -> None:
    history = np.arange(10, 18)
    parts = windows(history, n)
    assert max(map(len, parts)) <= n + 1
    assert min(map(len, parts)) >= 2
    assert sorted(np.concatenate([part[1:] for part in parts])) == list(history[1:])
    assert windows(history[:1], n) == []
    assert len(parts[0]) == min(n + 1, 8)
    assert parts[0][-1] == history[-1]


def test_the_newest_events_of_each_user() -> None:
    x = Interactions([1, 2, 1, 1, 2], [10, 10, 11, 12, 13], timestamps=[5, 1, 3, 9, 2])
    part = newest(x, 2)
    assert [(x.user_ids[u], x.item_ids[i]) for u, i in zip(part.users, part.items, strict=True)] == [
        (1, 10), (2, 10), (1, 12), (2, 13),
    ]  # fmt: skip
    assert len(newest(x, 1000)) == len(x)
    assert len(newest(x, 1)) == 2
