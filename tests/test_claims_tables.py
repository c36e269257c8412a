"""The rules by which the page on the claims comes to its verdicts, on figures whose answer is known."""

import numpy as np
import pytest
from claims_tables import order, reversed_pairs, verdict

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
