"""The document's own example, section 4.3: user A rates items 1, 2, 3 with 5, 3, 1.

Vectors whose products are these ratings, the attention weights that follow from them, and the list with the
best rated item first. What attention weights say, and what they do not say, are properties here.
"""

import math
from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.drawing import normal

USER_A = np.array([1.0, 2.0])
ITEMS = np.array([[1.0, 2.0], [1.0, 1.0], [-1.0, 1.0]])  # 1·1 + 2·2 = 5,  1·1 + 2·1 = 3,  −1·1 + 2·1 = 1
RATINGS = np.array([5.0, 3.0, 1.0])


def example_ratings(p: Any, Q: Any) -> Any:
    """Item by item: the product p · q_i."""
    return np.array([math.fsum(float(p[d] * Q[i, d]) for d in range(len(p))) for i in range(len(Q))])


def example_weights(p: Any, Q: Any) -> Any:
    """The attention weights of a user for items: e^{p·q_i / √K} over the sum of these.

    For user A, K = 2: the ratings over √2 are 3.5355, 2.1213, .7071. Beside the first, the second has
    e^{−√2} = .24312 and the third e^{−2√2} = .05911 of its weight. 1 / (1 + .24312 + .05911) = .76792, and
    the others are .18670 and .04539.
    """
    scores = [float(x) / math.sqrt(len(p)) for x in example_ratings(p, Q)]
    return np.array([1.0 / math.fsum(math.exp(x - own) for x in scores) for own in scores])


def example_ranking(scores: Any, k: int) -> Any:
    """k times: the best of those that are left, the lower number where two are equal; −∞ is no candidate."""
    left = [i for i in range(len(scores)) if scores[i] > -math.inf]
    ranking: list[int] = []
    while left and len(ranking) < k:
        best = left[0]
        for i in left:
            if scores[i] > scores[best]:
                best = i
        ranking.append(best)
        left.remove(best)
    return np.array(ranking, dtype=np.int64)


# How ours is called


def products(ours: Any, p: Any, Q: Any) -> Any:
    """The factorization of section 4.1 without mean and biases."""
    n = len(Q)
    zeros = np.zeros(1), np.zeros(n)
    return ours(p[None], Q, *zeros, 0.0, np.zeros(n, dtype=np.int64), np.arange(n))[0]


def attended(ours: Any, p: Any, Q: Any) -> Any:
    """One query and the items as keys. With the identity as values, attention returns its weights."""
    return ours(p[None], Q, np.eye(len(Q)))[0][0]


def ranked(ours: Any, scores: Any, k: int) -> Any:
    return ours(scores, k)


# Properties


def of_user_a(place: Place) -> bool:
    """Only user A and items 1, 2, 3 have the numbers of the document."""
    return np.array_equal(place.args[0], USER_A) and np.array_equal(place.args[1], ITEMS)


def are_5_3_1(place: Place, rng: Rng) -> float | None:
    return relative_gap(place(*place.args), RATINGS) if of_user_a(place) else None


def same_for_turned_vectors(place: Place, rng: Rng) -> float:
    p, Q = place.args
    turn = np.linalg.qr(rng.standard_normal((len(p), len(p))))[0]
    size = len(p) * float(np.abs(p).max() * np.abs(Q).max())
    return relative_gap(place(p @ turn, Q @ turn), place(p, Q), size)


def twice_for_twice_the_user(place: Place, rng: Rng) -> float:
    p, Q = place.args
    return relative_gap(place(2 * p, Q), 2 * place(p, Q))


def are_77_19_5_percent(place: Place, rng: Rng) -> float | None:
    """By hand: see the definition."""
    expected = np.array([0.76792, 0.18670, 0.04539])
    return float(np.abs(place(*place.args) - expected).max()) if of_user_a(place) else None


def sum_to_one(place: Place, rng: Rng) -> float:
    weights = place(*place.args)
    return abs(float(weights.sum()) - 1.0) if (weights > 0).all() else float("inf")


def sum_to_what_ratings_do_not(place: Place, rng: Rng) -> float | None:
    """5 + 3 + 1 = 9: a weight is a share, a rating is not."""
    if not of_user_a(place):
        return None
    return abs(float(place(*place.args).sum()) - 1.0) + abs(float(example_ratings(*place.args).sum()) - 9.0)


def ordered_like_the_ratings(place: Place, rng: Rng) -> float:
    weights, ratings = place(*place.args), example_ratings(*place.args)
    n = len(weights)
    return relative_gap(example_ranking(weights, n), example_ranking(ratings, n))


def ratios_say_differences(place: Place, rng: Rng) -> float:
    """w_i / w_j = e^{(r_i − r_j) / √K}: the one thing that weights say of ratings."""
    weights, ratings = place(*place.args), example_ratings(*place.args)
    expected = (ratings[:, None] - ratings) / math.sqrt(len(place.args[0]))
    return relative_gap(np.log(weights[:, None] / weights), expected, 1.0 + float(np.abs(expected).max()))


def silent_on_how_high(place: Place, rng: Rng) -> float:
    """One vector more on all items adds the same to all ratings: other ratings, the same weights."""
    p, Q = place.args
    moved = Q + p / float(p @ p)  # one more star each
    if not np.abs(example_ratings(p, moved) - example_ratings(p, Q) - 1.0).max() < 1e-12:
        return float("inf")
    return relative_gap(place(p, moved), place(p, Q))


def different_for_the_same_ranking(place: Place, rng: Rng) -> float:
    """A user twice as decided has the same list and other weights: how large a weight is says no rank."""
    p, Q = place.args
    one, other = place(p, Q), place(2 * p, Q)
    same_list = np.array_equal(example_ranking(one, len(one)), example_ranking(other, len(other)))
    return float(not (same_list and np.abs(one - other).max() > 1e-2))


def is_1_2_3(place: Place, rng: Rng) -> float | None:
    """By rating or by attention weight, and counting from 0."""
    scores = place.args[0]
    if not np.array_equal(scores, RATINGS):
        return None
    lists = [place(scores, 3), place(example_weights(USER_A, ITEMS), 3)]
    return max(relative_gap(found, np.arange(3)) for found in lists)


def best_first(place: Place, rng: Rng) -> float:
    """Scores fall along the list, and nothing left out is better than the last."""
    scores, k = place.args
    ranking = place(scores, k)
    listed, left = scores[ranking], np.delete(scores, ranking)
    wrong = int((np.diff(listed) > 0).sum())
    return float(wrong + (int((left > listed[-1]).sum()) if len(listed) else 0))


def no_item_twice(place: Place, rng: Rng) -> float:
    scores, k = place.args
    ranking = place(scores, k)
    candidates = int((scores > -np.inf).sum())
    return float(len(set(ranking.tolist())) != min(k, candidates) or (scores[ranking] == -np.inf).any())


def blind_to_a_rising_transform(place: Place, rng: Rng) -> float:
    scores, k = place.args
    raised = np.where(scores > -np.inf, np.exp(scores / 2), -np.inf)
    return relative_gap(place(raised, k), place(scores, k))


def the_beginning_of_a_longer_list(place: Place, rng: Rng) -> float:
    scores, k = place.args
    return relative_gap(place(scores, k), place(scores, len(scores))[:k])


def user_a(rng: Rng) -> tuple[Array, Array]:
    return USER_A.copy(), ITEMS.copy()


def decided(rng: Rng) -> tuple[Array, Array]:
    """Vectors with clear preferences."""
    return normal(rng, 5) + 0.5, normal(rng, 7, 5)


SOURCE = "the document, section 4.3"

FORMULAS = (
    Formula(
        name="example_ratings",
        meaning="User A and items 1, 2, 3 as vectors whose products are the ratings 5, 3, 1.",
        latex=r"p_A^T q_i = r_{Ai}: \quad (1, 2) \cdot (1, 2) = 5, \quad (1, 2) \cdot (1, 1) = 3, "
        r"\quad (1, 2) \cdot (-1, 1) = 1",
        source=SOURCE,
        ours="minirec.functional.factorization",
        definition=example_ratings,
        value=products,
        places={"example": user_a, "others": decided},
        properties=(
            Property("5, 3 and 1 for user A", are_5_3_1, 0.0),
            Property("the same for turned vectors", same_for_turned_vectors, 1e-14),
            Property("twice as high for a user vector twice as long", twice_for_twice_the_user, 0.0),
        ),
    ),
    Formula(
        name="example_weights",
        meaning="How much user A attends to items 1, 2, 3: the softmax of their ratings over √K.",
        latex=r"w_i = \frac{e^{p_A^T q_i / \sqrt{d_k}}}{\sum_j e^{p_A^T q_j / \sqrt{d_k}}}",
        source=f"{SOURCE}, with the formula of section 4.2",
        ours="minirec.functional.attention",
        definition=example_weights,
        value=attended,
        places={"example": user_a, "others": decided},
        properties=(
            Property(".7679, .1867 and .0454 for user A", are_77_19_5_percent, 1e-5),
            Property("positive with the sum 1", sum_to_one, 1e-15),
            Property("shares, which ratings are not", sum_to_what_ratings_do_not, 1e-15),
            Property("ordered like the ratings", ordered_like_the_ratings, 0.0),
            Property("in the ratio e^(difference of ratings / √K)", ratios_say_differences, 1e-14),
            Property("silent on how high the ratings are", silent_on_how_high, 1e-13),
            Property("different for two users with the same ranking", different_for_the_same_ranking, 0.0),
        ),
    ),
    Formula(
        name="example_ranking",
        meaning="The list of recommendations has the item with the highest rating first.",
        latex=r"\pi_m = \min \arg\max_{i \notin \{\pi_1, \dots, \pi_{m-1}\},\; s_i > -\infty} s_i, "
        r"\qquad m = 1, \dots, k",
        source=SOURCE,
        ours="minirec.evaluation.top_k",
        definition=example_ranking,
        value=ranked,
        places={
            "example": lambda rng: (RATINGS.copy(), 3),
            "the best two": lambda rng: (normal(rng, 7), 2),
            "equal scores": lambda rng: (rng.integers(0, 3, 13).astype(np.float64), 5),
            "not all are candidates": lambda rng: (np.where(np.arange(7) % 2, -np.inf, normal(rng, 7)), 5),
            "no candidate": lambda rng: (np.full(3, -np.inf), 2),
        },
        properties=(
            Property("items 1, 2, 3 for user A, by rating and by weight", is_1_2_3, 0.0),
            Property("the best first", best_first, 0.0),
            Property("as long as asked, each candidate at most once", no_item_twice, 0.0),
            Property("blind to a rising transform of the scores", blind_to_a_rising_transform, 0.0),
            Property("the beginning of a longer list", the_beginning_of_a_longer_list, 0.0),
        ),
    ),
)  # fmt: skip
