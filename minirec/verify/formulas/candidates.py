"""The losses of a list of candidates: the first item of each list was taken, the others were not.

Four ways to say what training asks of the scores of section 5.2; the Transformer recommender is trained on
one of them.
"""

import math
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.drawing import normal, short
from minirec.verify.formulas.losses import log_sigmoid
from minirec.verify.formulas.properties.weighted import never_negative


def candidate_loss(loss: str, scores: Any, ratings: Any = None) -> float:
    """The mean over lists (softmax, squared), over all candidates (bce), or over all pairs (bpr)."""
    B, C = scores.shape
    s = [[float(scores[b, c]) for c in range(C)] for b in range(B)]
    if loss == "softmax":
        terms = []
        for row in s:
            top = max(row)
            terms.append(top - row[0] + math.log(math.fsum(math.exp(x - top) for x in row)))
    elif loss == "bce":
        terms = [-log_sigmoid(row[c] if c == 0 else -row[c]) for row in s for c in range(C)]
    elif loss == "bpr":
        terms = [-log_sigmoid(row[0] - row[c]) for row in s for c in range(1, C)]
    else:
        terms = [(s[b][0] - float(ratings[b])) ** 2 for b in range(B)]
    return math.fsum(terms) / len(terms)


def others_have_no_order(place: Place, rng: Rng) -> float:
    kind, scores, *ratings = place.args
    order = np.concatenate([[0], 1 + rng.permutation(scores.shape[1] - 1)])
    (gradient,), (moved,) = place.gradients(1.0), place.gradients(1.0, kind, scores[:, order], *ratings)
    gap = relative_gap(place(kind, scores[:, order], *ratings), place(*place.args), _size(place))
    return max(gap, relative_gap(moved, gradient[:, order], _slope(place)))


def only_differences_count(place: Place, rng: Rng) -> float | None:
    """A number added to all scores of a list changes nothing, so the slopes of a list sum to 0."""
    kind, scores, *ratings = place.args
    if kind not in ("softmax", "bpr"):
        return None
    shift = 10.0 * rng.standard_normal((len(scores), 1))
    size = _size(place) + float(np.abs(shift).max())
    sums = place.gradients(1.0)[0].sum(axis=1)
    gap = relative_gap(place(kind, scores + shift, *ratings), place(*place.args), size)
    return max(gap, relative_gap(sums, np.zeros(len(scores)), 1.0))


def taken_up_others_down(place: Place, rng: Rng) -> float | None:
    """The loss falls with the score of the item that was taken and rises with every other score."""
    if place.args[0] == "squared":
        return None
    (gradient,) = place.gradients(1.0)
    return float((~(gradient[:, 0] < 0)).sum() + (~(gradient[:, 1:] > 0)).sum())


def blind_to_the_others(place: Place, rng: Rng) -> float | None:
    """As a prediction of ratings, the scores of other items have no influence and get no gradient."""
    kind, scores, *ratings = place.args
    if kind != "squared":
        return None
    other = np.concatenate([scores[:, :1], normal(rng, *scores[:, 1:].shape)], axis=1)
    (gradient,) = place.gradients(1.0)
    reach = float(np.abs(gradient[:, 1:]).sum())
    return relative_gap(place(kind, other, *ratings), place(*place.args)) + reach


def one_other_makes_softmax_bpr(place: Place, rng: Rng) -> float | None:
    kind, scores = place.args[:2]
    if kind not in ("softmax", "bpr"):
        return None
    two = scores[:, :2]
    gap = relative_gap(place("softmax", two), place("bpr", two), _size(place))
    one, other = (place.gradients(1.0, name, two)[0] for name in ("softmax", "bpr"))
    return max(gap, relative_gap(one, other, 1.0))


def the_mean_of_its_lists(place: Place, rng: Rng) -> float:
    """Every list counts the same, whichever the loss."""
    kind, scores, *ratings = place.args
    rows = [(scores[b : b + 1], *(r[b : b + 1] for r in ratings)) for b in range(len(scores))]
    alone = [place(kind, *row) for row in rows]
    slopes = np.concatenate([place.gradients(1.0 / len(rows), kind, *row)[0] for row in rows])
    gap = relative_gap(math.fsum(map(float, alone)) / len(rows), place(*place.args), _size(place))
    return max(gap, relative_gap(slopes, place.gradients(1.0)[0], _slope(place)))


def _size(place: Place) -> float:
    """Rounding errors of the loss are small beside this; a softmax close to 1 has no smaller ones."""
    _, scores, *ratings = place.args
    largest = 1.0 + float(np.abs(scores).max() + (np.abs(ratings[0]).max() if ratings else 0.0))
    return largest**2 if ratings else largest


def _slope(place: Place) -> float:
    return _size(place) if place.args[0] == "squared" else 1.0


FORMULAS = (
    Formula(
        name="candidate_loss",
        meaning="How far a list of scores is from setting its first item, which was taken, above the others.",
        latex=r"""\begin{aligned}
\text{softmax: } & -\frac{1}{B} \sum_b \log \frac{e^{s_{b0}}}{\sum_c e^{s_{bc}}} \\
\text{bce: } & -\frac{1}{BC} \sum_b \Big[\log \sigma(s_{b0}) + \sum_{c > 0} \log \sigma(-s_{bc})\Big] \\
\text{bpr: } & -\frac{1}{B(C-1)} \sum_b \sum_{c > 0} \log \sigma(s_{b0} - s_{bc}) \\
\text{squared: } & \frac{1}{B} \sum_b (s_{b0} - r_b)^2
\end{aligned}""",
        source="the document, section 5.2 (training); Rendle et al. 2009 for bpr",
        ours="minirec.models.candidate_loss.candidate_loss",
        definition=candidate_loss,
        places={
            "example": lambda rng: ("softmax", short(rng, 2, 3)),
            "softmax": lambda rng: ("softmax", 2 * normal(rng, 3, 5)),
            "bce": lambda rng: ("bce", 2 * normal(rng, 3, 5)),
            "bpr": lambda rng: ("bpr", 2 * normal(rng, 3, 5)),
            "squared": lambda rng: ("squared", normal(rng, 3, 5), normal(rng, 3)),
            "one other item": lambda rng: ("softmax", normal(rng, 7, 2)),
        },
        properties=(
            Property("never negative", never_negative, 0.0),
            Property("blind to the order of the items not taken", others_have_no_order, 1e-14),
            Property("a function of differences alone, for softmax and bpr", only_differences_count, 1e-14),
            Property("falling in the taken score and rising in the others", taken_up_others_down, 0.0),
            Property("blind to the items not taken, for squared", blind_to_the_others, 0.0),
            Property("the same for softmax and bpr with one other item", one_other_makes_softmax_bpr, 1e-14),
            Property("the mean of its lists", the_mean_of_its_lists, 1e-14),
        ),
    ),
)  # fmt: skip
