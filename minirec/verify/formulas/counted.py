"""What models without parameters count: who took this also took that, and what came next after this.

A matrix is written with zeros here where nothing is stored.
"""

import math
from typing import Any

import numpy as np

from minirec.verify.formula import Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas.interactions import Stored


def cosine_similarities(R: Any, i: int, shrink: float) -> Any:
    """For each j: the users who met both, over √(users of i · users of j) + shrink; 0 for i itself."""
    met = [{u for u in range(len(R)) if R[u, j] != 0} for j in range(R.shape[1])]
    s = np.zeros(len(met))
    for j in range(len(met)):
        if j != i and met[i] & met[j]:
            s[j] = len(met[i] & met[j]) / (math.sqrt(len(met[i]) * len(met[j])) + shrink)
    return s


def transitions(histories: Any, n_items: int) -> Any:
    """N[i, j]: the number of places in all histories where i is followed by j."""
    N = np.zeros((n_items, n_items))
    for history in histories:
        for t in range(len(history) - 1):
            N[int(history[t]), int(history[t + 1])] += 1.0
    return N


# How ours is called


def similar(ours: Any, R: Any, i: int, shrink: float) -> Any:
    return ours(Stored(R), Stored(R).column_counts(), i, shrink)


def followed(ours: Any, histories: Any, n_items: int) -> Any:
    return ours(histories, n_items).dense()


# What must hold of the similarities


def not_near_itself(place: Place, rng: Rng) -> float:
    _, i, _ = place.args
    return abs(float(place(*place.args)[i]))


def as_near_the_other_way_round(place: Place, rng: Rng) -> float:
    R, i, shrink = place.args
    back = np.array([place(R, j, shrink)[i] for j in range(R.shape[1])])
    return relative_gap(place(*place.args), back, 1.0)


def at_most_that_of_the_same_users(place: Place, rng: Rng) -> float:
    """An item met by the n users of item i has s = n / (n + shrink), and no other has more."""
    R, i, shrink = place.args
    n = np.count_nonzero(R[:, i])
    twin = n / (n + shrink) if n else 0.0
    s = place(np.concatenate([R, R[:, i : i + 1]], axis=1), i, shrink)
    return max(relative_gap(s[-1], twin, 1.0), float(s.max()) - twin, -float(s.min()))


def cosine_of_vectors(place: Place, rng: Rng) -> float:
    """Without shrinkage: the product of the columns of 0 and 1, each divided by its length."""
    R, i, _ = place.args
    X = np.where(R != 0, 1.0, 0.0)
    unit = X / np.maximum(np.sqrt((X * X).sum(axis=0)), 1.0)
    expected = unit.T @ unit[:, i]
    expected[i] = 0.0
    return relative_gap(place(R, i, 0.0), expected, 1.0)


def shrinkage_counts_less_where_many_agree(place: Place, rng: Rng) -> float | None:
    """1 / s rises by 1 / |U_i ∩ U_j| for one more of shrinkage."""
    R, i, shrink = place.args
    met = [{u for u in range(len(R)) if R[u, j] != 0} for j in range(R.shape[1])]
    near = [j for j in range(len(met)) if j != i and met[i] & met[j]]
    if not near:
        return None
    rise = 1.0 / place(R, i, shrink + 1.0)[near] - 1.0 / place(*place.args)[near]
    return relative_gap(rise, np.array([1.0 / len(met[i] & met[j]) for j in near]))


def blind_to_values(place: Place, rng: Rng) -> float:
    """A pair counts once, however often it met or whatever its rating is."""
    R, *rest = place.args
    return relative_gap(place(R * rng.integers(1, 6, R.shape), *rest), place(*place.args))


def users_have_no_order(place: Place, rng: Rng) -> float:
    """And those who met nothing do not count."""
    R, *rest = place.args
    more = np.concatenate([R, np.zeros((3, R.shape[1]), dtype=R.dtype)])
    return relative_gap(place(rng.permutation(more), *rest), place(*place.args))


def moved_with_the_items(place: Place, rng: Rng) -> float:
    R, i, shrink = place.args
    order = rng.permutation(R.shape[1])
    return relative_gap(place(R[:, order], int(np.argsort(order)[i]), shrink), place(*place.args)[order])


def twice_the_users_bear_twice_the_shrinkage(place: Place, rng: Rng) -> float:
    R, i, shrink = place.args
    return relative_gap(place(np.concatenate([R, R]), i, 2.0 * shrink), place(*place.args), 1.0)


# What must hold of the transitions


def left_as_often_as_not_last(place: Place, rng: Rng) -> float:
    """A row adds up to the places of its item that are not the last, a column to those not the first."""
    histories, n_items = place.args
    N = place(*place.args)
    left, entered = np.zeros(n_items), np.zeros(n_items)
    for history in histories:
        for i in history[:-1]:
            left[i] += 1.0
        for i in history[1:]:
            entered[i] += 1.0
    return relative_gap((N.sum(axis=1), N.sum(axis=0)), (left, entered))


def turned_when_time_runs_backward(place: Place, rng: Rng) -> float:
    histories, n_items = place.args
    return relative_gap(place([history[::-1] for history in histories], n_items), place(*place.args).T)


def the_sum_of_its_histories(place: Place, rng: Rng) -> float:
    """Each alone: nothing follows from one history to the next."""
    histories, n_items = place.args
    return relative_gap(sum(place([history], n_items) for history in histories), place(*place.args))


def items_relabeled(place: Place, rng: Rng) -> float:
    histories, n_items = place.args
    names = rng.permutation(n_items)
    moved = place([names[history] for history in histories], n_items)
    return relative_gap(moved[names][:, names], place(*place.args))


def one_more_step(place: Place, rng: Rng) -> float:
    """One item more at the end of a history is one more pair, with the item that was the last."""
    histories, n_items = place.args
    new, expected = int(rng.integers(n_items)), place(*place.args)
    for n, history in enumerate(histories):
        if len(history):
            expected[history[-1], new] += 1
            longer = [*histories[:n], np.append(history, new), *histories[n + 1 :]]
            return relative_gap(place(longer, n_items), expected)
    return 0.0


def met(rng: Rng, users: int = 11, items: int = 7) -> Any:
    """Counts (users, items), about half of them 0; nobody met the last item."""
    R = rng.integers(1, 4, (users, items)) * (rng.random((users, items)) < 0.5)
    R[:, -1] = 0
    R[:2, :2] = 1  # some pair of items has users in common
    return R


def several(rng: Rng) -> Any:
    """Histories of 7 items, one empty, one of a single item; 6 never occurs, an item may follow itself."""
    return [rng.integers(0, 6, n) for n in (5, 0, 1, 13, 2)]


FORMULAS = (
    Formula(
        name="cosine_similarities",
        meaning="How near each item is to item i: the share of their users who met both, shrunk for few.",
        latex=r"s_{ij} = \frac{|U_i \cap U_j|}{\sqrt{|U_i|\, |U_j|} + \text{shrink}}, \quad s_{ii} = 0",
        source="Sarwar et al. 2001 for binary columns; Bell & Koren 2007 for the shrinkage",
        ours="minirec.models.item_knn.cosine_similarities",
        definition=cosine_similarities,
        value=similar,
        places={
            "example": lambda rng: (np.array([[1, 1, 0], [2, 0, 1], [1, 3, 0]]), 0, 1.0),
            "without shrinkage": lambda rng: (met(rng), 1, 0.0),
            "shrunk": lambda rng: (met(rng), 0, 2.5),
            "an item that nobody met": lambda rng: (met(rng), 6, 0.0),
            "one item": lambda rng: (np.array([[1], [1]]), 0, 0.0),
        },
        properties=(
            Property("0 for the item itself", not_near_itself, 0.0),
            Property("symmetric", as_near_the_other_way_round, 0.0),
            Property("at most that of an item with the same users", at_most_that_of_the_same_users, 1e-15),
            Property("the cosine of the columns, without shrinkage", cosine_of_vectors, 1e-15),
            Property("shrunk by one over the common users", shrinkage_counts_less_where_many_agree, 1e-13),
            Property("blind to the values of the pairs", blind_to_values, 0.0),
            Property("blind to the order of the users", users_have_no_order, 0.0),
            Property("moved with the items", moved_with_the_items, 0.0),
            Property(
                "the same for twice the users and shrinkage", twice_the_users_bear_twice_the_shrinkage, 1e-15
            ),
        ),
    ),
    Formula(
        name="transitions",
        meaning="How often each item came right after each other one.",
        latex=r"N_{ij} = |\{(u, t) : s_{ut} = i,\ s_{u, t+1} = j\}|",
        source="the chain of first order that Rendle, Freudenthaler & Schmidt-Thieme 2010 start from",
        ours="minirec.models.markov_chain.transitions",
        definition=transitions,
        value=followed,
        places={
            "example": lambda rng: ([np.array([0, 2, 1]), np.array([2, 1])], 3),
            "several": lambda rng: (several(rng), 7),
            "twice the same": lambda rng: ([np.array([3, 3, 3, 1, 3]), np.array([1, 3])], 5),
            "nothing follows": lambda rng: ([np.array([1]), np.zeros(0, dtype=np.int64)], 2),
        },
        properties=(
            Property("left and entered as often as the histories say", left_as_often_as_not_last, 0.0),
            Property("transposed when time runs backward", turned_when_time_runs_backward, 0.0),
            Property("the sum of its histories", the_sum_of_its_histories, 0.0),
            Property("relabeled with the items", items_relabeled, 0.0),
            Property("one more for one more step", one_more_step, 0.0),
        ),
    ),
)
