"""Metrics that are not of one ranking: errors of ratings, and what the lists cover."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.drawing import normal, short
from minirec.verify.formulas.properties.ranking import between_zero_and_one

EXACT = 1e-13  # rounding of sums of some ten terms of size 1


def rmse(prediction: Any, truth: Any) -> float:
    """The root of the mean squared difference."""
    places = list(np.ndindex(*prediction.shape))
    return math.sqrt(math.fsum((prediction[at] - truth[at]) ** 2 for at in places) / len(places))


def mae(prediction: Any, truth: Any) -> float:
    """The mean absolute difference."""
    places = list(np.ndindex(*prediction.shape))
    return math.fsum(abs(prediction[at] - truth[at]) for at in places) / len(places)


def coverage(recommended: Any, n_items: int) -> float:
    """Distinct recommended items over all items."""
    return sum(any(i in list(row) for row in recommended) for i in range(n_items)) / n_items


def novelty(recommended: Any, counts: Any, n_users: int) -> float:
    """The mean of −log2(users of the item / users) over all recommended items; 0 users count as 1."""
    shares = [max(int(counts[i]), 1) / n_users for row in recommended for i in row]
    return math.fsum(-math.log2(share) for share in shares) / len(shares)


def zero_for_a_perfect_prediction(place: Place, rng: Rng) -> float:
    return abs(place(place.args[1], place.args[1]))


def prediction_and_truth_may_be_swapped(place: Place, rng: Rng) -> float:
    return relative_gap(place(*place.args[::-1]), place(*place.args))


def in_the_unit_of_the_ratings(place: Place, rng: Rng) -> float:
    """Times a power of 2: not one difference is rounded, and the order of the sum alone is left."""
    prediction, truth = place.args
    return relative_gap(place(-4.0 * prediction, -4.0 * truth), 4.0 * place(prediction, truth))


def a_constant_error_is_found(place: Place, rng: Rng) -> float:
    truth = place.args[1]
    return relative_gap(place(truth + 0.5, truth), 0.5, max(1.0, float(np.abs(truth).max())))


def at_least_the_mean_absolute_error(place: Place, rng: Rng) -> float:
    """And at most the largest error."""
    found, (prediction, truth) = place(*place.args), place.args
    largest = float(np.abs(prediction - truth).max())
    return max(0.0, mae(prediction, truth) - found, found - largest) / (largest or 1.0)


def repeating_the_lists_changes_nothing(place: Place, rng: Rng) -> float:
    recommended, *rest = place.args
    return relative_gap(place([*recommended, *recommended][::-1], *rest), place(*place.args))


def one_where_everything_is_recommended(place: Place, rng: Rng) -> float:
    recommended, n_items = place.args
    return relative_gap(place([*recommended, rng.permutation(n_items)], n_items), 1.0)


def one_more_item_adds_its_share(place: Place, rng: Rng) -> float | None:
    recommended, n_items = place.args
    known = {int(i) for row in recommended for i in row}
    more = [i for i in range(n_items) if i not in known][:1]
    return relative_gap(place([*recommended, more], n_items), (len(known) + len(more)) / n_items)


def zero_where_everybody_has_everything(place: Place, rng: Rng) -> float:
    recommended, counts, n_users = place.args
    return abs(place(recommended, np.full(len(counts), n_users), n_users))


def at_most_the_bits_of_one_user(place: Place, rng: Rng) -> float:
    """0 ≤ novelty ≤ log2(U)."""
    value = place(*place.args)
    return max(0.0, -value, value - math.log2(place.args[2]))


def twice_as_many_users_add_one_bit(place: Place, rng: Rng) -> float:
    recommended, counts, n_users = place.args
    return relative_gap(place(recommended, counts, 2 * n_users), place(*place.args) + 1.0)


PAIRS: dict[str, Callable[[Rng], tuple[Any, ...]]] = {
    "example": lambda rng: (short(rng, 3), np.array([0.1, -0.5, 0.4])),
    "two axes": lambda rng: (normal(rng, 5, 3), normal(rng, 5, 3)),
    "one rating": lambda rng: (normal(rng, 1), normal(rng, 1)),
    "far from zero": lambda rng: (1e3 + normal(rng, 7), 1e3 + normal(rng, 7)),
}


FORMULAS = (
    Formula(
        name="rmse",
        meaning="The root of the mean squared error of predicted ratings, in their unit.",
        latex=r"\mathrm{RMSE} = \sqrt{\tfrac{1}{N} \sum_n (\hat{r}_n - r_n)^2}",
        source="the document, section 9.3 (accuracy); Herlocker et al. 2004",
        ours="minirec.metrics.rmse",
        definition=rmse,
        places=PAIRS,
        properties=(
            Property("0 for a perfect prediction", zero_for_a_perfect_prediction, 0.0),
            Property("symmetric in prediction and truth", prediction_and_truth_may_be_swapped, EXACT),
            Property("in the unit of the ratings", in_the_unit_of_the_ratings, EXACT),
            Property("the size of a constant error", a_constant_error_is_found, EXACT),
            Property(
                "between the mean and the largest absolute error", at_least_the_mean_absolute_error, EXACT
            ),
        ),
    ),
    Formula(
        name="mae",
        meaning="The mean absolute error of predicted ratings, in their unit.",
        latex=r"\mathrm{MAE} = \tfrac{1}{N} \sum_n |\hat{r}_n - r_n|",
        source="the document, section 9.3 (accuracy); Herlocker et al. 2004",
        ours="minirec.metrics.mae",
        definition=mae,
        places=PAIRS,
        properties=(
            Property("0 for a perfect prediction", zero_for_a_perfect_prediction, 0.0),
            Property("symmetric in prediction and truth", prediction_and_truth_may_be_swapped, EXACT),
            Property("in the unit of the ratings", in_the_unit_of_the_ratings, EXACT),
            Property("the size of a constant error", a_constant_error_is_found, EXACT),
        ),
    ),
    Formula(
        name="coverage",
        meaning="The share of the catalogue that is recommended to anybody.",
        latex=r"\mathrm{coverage} = \frac{1}{I} \left| \bigcup_u L_u \right|",
        source="catalogue coverage: Herlocker et al. 2004; Ge et al. 2010",
        ours="minirec.metrics.coverage",
        definition=coverage,
        places={
            "example": lambda rng: ([[0, 1], [1, 3]], 5),
            "a table": lambda rng: (rng.integers(0, 11, (5, 3)), 13),
            "lists of any length": lambda rng: ([[2], [], [0, 1, 2]], 7),
            "nothing is recommended": lambda rng: ([], 3),
            "one item": lambda rng: ([[0], []], 1),
        },
        properties=(
            Property("between 0 and 1", between_zero_and_one, 0.0),
            Property("the same when the lists are repeated", repeating_the_lists_changes_nothing, 0.0),
            Property("1 where everything is recommended", one_where_everything_is_recommended, 0.0),
            Property("larger by 1 / I for one item more", one_more_item_adds_its_share, 0.0),
        ),
    ),
    Formula(
        name="novelty",
        meaning="The mean self-information of the recommended items, in bits; no user counts as one user.",
        latex=r"\mathrm{novelty} = -\frac{1}{\sum_u |L_u|} \sum_u \sum_{i \in L_u}"
        r"\log_2 \frac{\max(c_i, 1)}{U}",
        source="Zhou et al. 2010 (mean self-information)",
        ours="minirec.metrics.novelty",
        definition=novelty,
        places={
            "example": lambda rng: ([[0, 1], [1, 3]], np.array([4, 2, 1, 0]), 4),
            "a table": lambda rng: (rng.integers(0, 7, (5, 3)), rng.integers(0, 12, 7), 11),
            "lists of any length": lambda rng: ([[2], [], [0, 1, 2]], rng.integers(1, 5, 3), 5),
        },
        properties=(
            Property("between 0 and log2(U)", at_most_the_bits_of_one_user, EXACT),
            Property("0 where everybody has everything", zero_where_everybody_has_everything, 0.0),
            Property("larger by one bit for twice the users", twice_as_many_users_add_one_bit, EXACT),
            Property("the same when the lists are repeated", repeating_the_lists_changes_nothing, EXACT),
        ),
    ),
)
