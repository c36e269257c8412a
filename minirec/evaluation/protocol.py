"""Protocols of ranking: which items are ranked, what is hidden, and how sure the figure is.

A model is anything with `score(users) -> (B, I)`. If it says `uses_histories = True`, it is asked
`score_histories(histories) -> (B, I)` instead, because at test the input history must hold the validation
item, which the model was not fitted on. The formulas are in `minirec.metrics`; here they are only called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from minirec import metrics as M
from minirec.data.interactions import Interactions, concatenate
from minirec.evaluation import significance

Array = NDArray[Any]

LABELS = {
    "precision": "P@{k}",
    "recall": "Recall@{k}",
    "hit_rate": "HR@{k}",
    "ndcg": "NDCG@{k}",
    "map_at": "MAP@{k}",
    "mrr": "MRR@{k}",
    "auc": "AUC",
}
PART = 256  # scores of which `top_k` takes the largest one
SAMPLING = ("uniform", "popular")


class Evaluation(NamedTuple):
    """What a model reached, user by user. `print(evaluation)` gives means, intervals and the protocol."""

    values: dict[str, Array]  # {metric: (U',)}, one number per evaluated user
    users: Array  # (U',) internal indices of the evaluated users
    left_out: int  # users with nothing in the held-out part
    k: int
    protocol: str  # in words
    recommended: list[Array]  # the top k of each evaluated user, ties broken by item index, low first
    coverage: float  # of these lists
    novelty: float  # of these lists, in bits; NaN for empty lists or an empty training part
    candidates: Array | None = None  # (U',) how many items were ranked for each evaluated user

    def mean(self, metric: str) -> float:
        """The mean over users. AUC leaves out the users for whom it is not defined (see `evaluate`)."""
        return float(significance.defined(self.per_user(metric)).mean())

    def interval(self, metric: str, rng: Any = 0, level: float = 0.95) -> tuple[float, float]:
        """The percentile bootstrap interval (low, high) of the mean over users (Efron 1979)."""
        values = significance.defined(self.per_user(metric))
        return significance.interval(significance.bootstrap_means(values, rng), level)

    def label(self, metric: str) -> str:
        """The metric with its cut-off, as in "NDCG@10"."""
        return LABELS[metric].format(k=self.k)

    def per_user(self, metric: str) -> Array:
        """(U',) the metric of each of `users`; KeyError if it was not evaluated."""
        if metric not in self.values:
            raise KeyError(f"metric {metric!r} was not evaluated: there are {', '.join(self.values)}")
        return self.values[metric]

    def __str__(self) -> str:
        from minirec.evaluation.tables import comparison_table

        return comparison_table({"": self})


def evaluate(
    model: Any,
    train: Interactions,
    test: Interactions,
    *,
    also_seen: Interactions | None = None,
    k: int = 10,
    metrics: Sequence[str] = ("hit_rate", "ndcg", "mrr"),
    block: int | None = None,
    users: Sequence[int] | Array | None = None,
    negatives: int | None = None,
    sampling: str = "uniform",
    rng: Any = 0,
    progress: bool = False,
) -> Evaluation:
    """Rank the whole catalogue for every user of `test`, the items they have seen removed.

    also_seen   what came after `train` and before `test` (the validation part, when the test part is
                evaluated): it joins the input histories and the seen items, never the fitting
    metrics     names of functions in `minirec.metrics` (see LABELS); all but "auc" get the cut-off k
    block       users scored at once, so memory is block x I numbers whatever the number of users; None: as
                many as make 32 million scores (128 MB in float32), at most 256
    users       (U',) internal indices, to evaluate a part of the users; None = all
    negatives   None: full ranking. A number: only the relevant items and that many unseen others are ranked.
                Such figures are far higher, can even reverse the order of two models, and are labelled as
                sampled (Krichene & Rendle 2020); `rng` draws them, the same for every model
    sampling    how they are drawn, always without replacement: "uniform", or "popular", in proportion to how
                many users of `train` have the item. Where there are fewer, all are drawn, and the protocol
                says how many there were

    Users with nothing in `test` are left out and counted. A test item that the user has already seen is not a
    candidate: it counts as relevant and is never found, and the protocol says how many there are. AUC is NaN
    for a user whose candidates are all relevant. The lists behind coverage and novelty break ties by item
    index; the metrics take the expectation over ties instead. Novelty counts users with an event in `train`
    alone.

    Raises ValueError for NaN or infinite scores (with the user), scores of another shape, parts of different
    data sets, k < 1 and no user left; KeyError for an unknown metric; IndexError for an unknown user.
    """
    for name in metrics:
        if name not in LABELS:
            raise KeyError(f"unknown metric {name!r}: allowed are {', '.join(LABELS)}")
    if sampling not in SAMPLING:
        raise ValueError(f"sampling must be one of {', '.join(map(repr, SAMPLING))}, got {sampling!r}")
    if k < 1:
        raise ValueError(f"k = {k}: the cut-off is at least 1")
    if negatives is not None and negatives < 1:
        raise ValueError(f"negatives = {negatives}: give at least 1, or None to rank all items")
    if block is None:
        block = min(256, max(1, 2**25 // max(1, train.n_items)))
    if block < 1:
        raise ValueError(f"block = {block}: at least one user is scored at once")
    seen = train if also_seen is None else concatenate(train, also_seen)
    concatenate(train, test.select(np.zeros(0, dtype=np.int64)))  # raises if the id maps differ
    histories, relevant = seen.histories(), [np.array(sorted(set(items))) for items in test.histories()]
    asked = np.arange(train.n_users) if users is None else _check_users(users, train.n_users)
    chosen = np.array([u for u in asked if len(relevant[u])], dtype=np.int64)
    if len(chosen) == 0:
        raise ValueError(f"none of the {len(asked)} users has an item in the test part: nothing to evaluate")

    generator, counts = np.random.default_rng(rng), item_users(train)
    n_known = len(np.unique(train.users))  # the id map may hold users of later parts alone
    values: dict[str, list[float]] = {name: [] for name in metrics}
    recommended: list[Array] = []
    candidates, negatives_drawn = [], []
    unreachable = 0
    starts = range(0, len(chosen), block)
    for start in tqdm(starts, desc="evaluate", unit="block", disable=not progress):
        part = chosen[start : start + block]
        scores = _scores(model, part, histories, train)
        for given, user in zip(scores, part, strict=True):
            row = given.copy()  # the model's own array stays as it is
            row[histories[user]] = -np.inf
            met = set(histories[user])
            already = len(met & set(relevant[user]))
            unreachable += already
            candidates.append(train.n_items - len(met))
            if negatives is not None:
                known = np.union1d(histories[user], relevant[user])
                others = np.setdiff1d(np.arange(train.n_items), known, assume_unique=True)
                weights = counts if sampling == "popular" else None
                drawn = sample_candidates(generator, others, negatives, weights)
                row = _only(row, np.append(relevant[user], drawn))
                candidates[-1] = len(relevant[user]) - already + len(drawn)
                negatives_drawn.append(len(drawn))
            for name in metrics:
                values[name].append(_value(name, row, relevant[user], k))
            recommended.append(top_k(row, k))

    return Evaluation(
        values={name: np.array(numbers) for name, numbers in values.items()},
        users=chosen,
        left_out=len(asked) - len(chosen),
        k=k,
        protocol=_protocol(
            train,
            also_seen,
            test,
            chosen,
            len(asked),
            unreachable,
            None if negatives is None else _drawn(negatives, negatives_drawn, sampling),
        ),
        recommended=recommended,
        coverage=M.coverage(recommended, train.n_items),
        novelty=M.novelty(recommended, counts, n_known) if n_known and any(map(len, recommended)) else np.nan,
        candidates=np.array(candidates),
    )


def top_k(scores: Array, k: int) -> Array:
    """The k best candidates of `scores` (I,), best first, fewer if there are fewer; ties by item index."""
    # Cut into k parts or more, k items at least reach the k-th largest of the parts' maxima: what is below
    # cannot be among the k best. That leaves few to sort, all that tie with the k-th one among them.
    width = min(PART, len(scores) // k)
    bound = -np.inf
    if width > 1:
        maxima = scores[: len(scores) // width * width].reshape(-1, width).max(axis=1)
        bound = np.partition(maxima, len(maxima) - k)[len(maxima) - k]
    candidates = np.flatnonzero((scores >= bound) & (scores > -np.inf))
    order: Array = candidates[np.argsort(-scores[candidates], kind="stable")][:k]
    return order


def sample_candidates(
    rng: np.random.Generator | int, items: Array, n: int, counts: Array | None = None
) -> Array:
    """n of `items`, without replacement: uniform, or in proportion to `counts` (I,) of what is still there.

    Fewer where there are fewer; an item that counts 0 is never drawn.
    """
    generator = np.random.default_rng(rng)
    if counts is None:
        return generator.choice(items, min(n, len(items)), replace=False)
    items = items[counts[items] > 0]
    share = counts[items] / max(1, counts[items].sum())
    return generator.choice(items, min(n, len(items)), replace=False, p=share) if len(items) else items


def item_users(train: Interactions) -> Array:
    """(I,) how many users have each item; a user who met it twice counts once."""
    pairs = np.sort(train.users * train.n_items + train.items)
    distinct = pairs[np.diff(pairs, prepend=-1) != 0]  # sorting is faster than np.unique
    counts: Array = np.bincount(distinct % train.n_items, minlength=train.n_items)
    return counts


def average(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The mean of each user over several evaluations, as of one model trained with several seeds.

    Its intervals are over users, so they leave out what another seed would change: state the spread beside
    them. Coverage and novelty are means as well, `recommended` is of the first.
    Raises ValueError for no evaluation, and for different users, metrics, cut-offs or protocols.
    """
    if not evaluations:
        raise ValueError("a mean needs at least one evaluation")
    first = evaluations[0]
    for other in evaluations[1:]:
        same = (other.k, other.protocol, list(other.values)) == (first.k, first.protocol, list(first.values))
        if not same or not np.array_equal(other.users, first.users):
            raise ValueError("a mean over seeds needs the same users, metrics, cut-off and protocol")
    return first._replace(
        values={name: np.mean([e.values[name] for e in evaluations], axis=0) for name in first.values},
        coverage=float(np.mean([e.coverage for e in evaluations])),
        novelty=float(np.mean([e.novelty for e in evaluations])),
    )


def _check_users(users: Sequence[int] | Array, n_users: int) -> Array:
    users = np.asarray(users)
    if users.ndim != 1 or (users.size and not np.issubdtype(users.dtype, np.integer)):
        raise TypeError(f"users must be a list of user indices, got dtype {users.dtype}, shape {users.shape}")
    if users.size and (users.min() < 0 or users.max() >= n_users):
        bad = users[(users < 0) | (users >= n_users)][0]
        raise IndexError(f"user {bad} is out of range: allowed are 0 to {n_users - 1}")
    if len(np.unique(users)) < len(users):
        raise ValueError("a user is given more than once: each user counts once in a mean")
    return users


def _scores(model: Any, users: Array, histories: list[Array], train: Interactions) -> Array:
    """(B, I) the model's scores, checked."""
    if getattr(model, "uses_histories", False):
        given = model.score_histories([histories[user] for user in users])
    else:
        given = model.score(users)
    scores = np.asarray(given)
    if scores.shape != (len(users), train.n_items):
        wanted = (len(users), train.n_items)
        raise ValueError(f"the model gave scores of shape {scores.shape}, expected (B, I) = {wanted}")
    if not np.issubdtype(scores.dtype, np.floating):
        scores = scores.astype(np.float64)  # integers cannot hold -inf
    if not scores.max(initial=-np.inf) < np.inf:  # NaN passes through max
        bad = ~(scores < np.inf)
        row, item = (int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"the model scored item {train.item_ids[item]!r} for user {train.user_ids[users[row]]!r} "
            f"as {scores[row, item]} ({bad.sum()} such scores in this block): scores must be finite or -inf"
        )
    return scores


def _only(row: Array, kept: Array) -> Array:
    """`row` with -inf for all items that are not kept."""
    sampled = np.full_like(row, -np.inf)
    sampled[kept] = row[kept]
    return sampled


def _value(name: str, row: Array, relevant: Array, k: int) -> float:
    """One metric of one user. The function is looked up at the call, so that it can be replaced."""
    if name != "auc":
        return float(getattr(M, name)(row, relevant, k))
    others = np.count_nonzero(row > -np.inf) - np.count_nonzero(row[relevant] > -np.inf)
    return float(M.auc(row, relevant)) if others else np.nan


def _drawn(asked: int, drawn: Sequence[int], sampling: str) -> str:
    """How many negatives there really were, as in "99 uniform negatives only"."""
    low, high = min(drawn), max(drawn)
    number = f"{low}" if low == high else f"{low} to {high}"
    return f"{number} {sampling} negatives only" + ("" if low == asked else f" ({asked} asked for)")


def _protocol(
    train: Interactions,
    also_seen: Interactions | None,
    test: Interactions,
    users: Array,
    asked: int,
    unreachable: int,
    sampled: str | None,
) -> str:
    events = np.bincount(test.users, minlength=test.n_users)[users]
    single = bool((events == 1).all())
    left_out = asked - len(users)
    return ", ".join(
        [
            "one held-out event per user"
            if single
            else f"held-out part, {events.mean():.1f} events per user",
            f"full ranking over {train.n_items} items"
            if sampled is None
            else f"SAMPLED: ranked against {sampled}",
            "seen items removed" + ("" if also_seen is None else " (training and validation)"),
            "ties by expectation",
            f"{len(users)} users" + (f" ({left_out} not evaluated: nothing held out)" if left_out else ""),
            *([f"{unreachable} test items already seen and so never found"] if unreachable else []),
        ]
    )
