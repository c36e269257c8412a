"""Protocols of evaluation: which items are ranked, what is hidden, and how sure the figure is.

A model is anything with `score(users) -> (B, I)`. If it says `uses_histories = True`, it is asked
`score_histories(histories) -> (B, I)` instead, because at test the input history must hold the validation
item, which the model was not fitted on. The formulas are in `minirec.metrics`; here they are only called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from minirec import metrics as M
from minirec.data.interactions import Interactions, concatenate

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
RESAMPLES = 2000  # of the bootstrap: the ends of a 95 % interval are then sure to about 3 % of its width


class Evaluation(NamedTuple):
    """What a model reached, user by user. `print(evaluation)` gives means, intervals and the protocol."""

    values: dict[str, Array]  # {metric: (U',)}, one number per evaluated user
    users: Array  # (U',) internal indices of the evaluated users
    left_out: int  # users without a relevant item
    k: int
    protocol: str  # in words
    recommended: list[Array]  # the top k of each evaluated user, ties broken by item index, low first
    coverage: float  # of these lists
    novelty: float  # of these lists, in bits; NaN if there is nothing to recommend

    def mean(self, metric: str) -> float:
        """The mean over users. AUC leaves out the users for whom it is not defined (see `evaluate`)."""
        return float(_defined(self._of(metric)).mean())

    def interval(self, metric: str, rng: Any = 0, level: float = 0.95) -> tuple[float, float]:
        """The percentile bootstrap interval (low, high) of the mean over users (Efron 1979)."""
        return _interval(bootstrap_means(_defined(self._of(metric)), rng), level)

    def label(self, metric: str) -> str:
        """The metric with its cut-off, as in "NDCG@10"."""
        return LABELS[metric].format(k=self.k)

    def _of(self, metric: str) -> Array:
        if metric not in self.values:
            raise KeyError(f"metric {metric!r} was not evaluated: there are {', '.join(self.values)}")
        return self.values[metric]

    def __str__(self) -> str:
        return comparison_table({"": self})


class RatingEvaluation(NamedTuple):
    """How far predicted ratings are from true ones, with 95 % bootstrap intervals over users."""

    rmse: float
    mae: float
    n: int  # ratings
    rmse_interval: tuple[float, float]
    mae_interval: tuple[float, float]
    protocol: str


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
    negatives   None: full ranking. A number: only the relevant items and that many uniform unseen others are
                ranked. Such figures are far higher, can even reverse the order of two models, and are
                labelled as sampled (Krichene & Rendle 2020); `rng` draws them

    Users without a test item are left out and counted. A test item that the user has already seen is not a
    candidate: it counts as relevant and is never found, and the protocol says how many there are. AUC is NaN
    for a user whose candidates are all relevant. The lists behind coverage and novelty break ties by item
    index; the metrics take the expectation over ties instead. Novelty counts users of `train` alone.

    Raises ValueError for NaN or infinite scores (with the user), scores of another shape, parts of different
    data sets and no user left; KeyError for an unknown metric; IndexError for an unknown user.
    """
    for name in metrics:
        if name not in LABELS:
            raise KeyError(f"unknown metric {name!r}: allowed are {', '.join(LABELS)}")
    if block is None:
        block = min(256, max(1, 2**25 // train.n_items))
    if block < 1:
        raise ValueError(f"block = {block}: at least one user is scored at once")
    seen = train if also_seen is None else concatenate(train, also_seen)
    concatenate(train, test.select(np.zeros(0, dtype=np.int64)))  # raises if the id maps differ
    histories, relevant = seen.histories(), [np.array(sorted(set(items))) for items in test.histories()]
    asked = np.arange(train.n_users) if users is None else _check_users(users, train.n_users)
    chosen = np.array([u for u in asked if len(relevant[u])], dtype=np.int64)
    if len(chosen) == 0:
        raise ValueError(f"none of the {len(asked)} users has an item in the test part: nothing to evaluate")

    generator = np.random.default_rng(rng)
    values: dict[str, list[float]] = {name: [] for name in metrics}
    recommended: list[Array] = []
    unreachable = 0
    starts = range(0, len(chosen), block)
    for start in tqdm(starts, desc="evaluate", unit="block", disable=not progress):
        part = chosen[start : start + block]
        scores = _scores(model, part, histories, train)
        for given, user in zip(scores, part, strict=True):
            row = given.copy()  # the model's own array stays as it is
            row[histories[user]] = -np.inf
            unreachable += len(set(relevant[user]) & set(histories[user]))
            if negatives is not None:
                row = _keep_sample(row, relevant[user], negatives, generator)
            for name in metrics:
                values[name].append(_value(name, row, relevant[user], k))
            recommended.append(top_k(row, k))

    pairs = np.sort(train.users * train.n_items + train.items)
    distinct = pairs[np.append(True, pairs[1:] != pairs[:-1])]  # sorting is faster than np.unique
    counts = np.bincount(distinct % train.n_items, minlength=train.n_items)
    return Evaluation(
        values={name: np.array(numbers) for name, numbers in values.items()},
        users=chosen,
        left_out=len(asked) - len(chosen),
        k=k,
        protocol=_protocol(train, also_seen, test, chosen, len(asked), unreachable, negatives),
        recommended=recommended,
        coverage=M.coverage(recommended, train.n_items),
        novelty=M.novelty(recommended, counts, train.n_users) if any(map(len, recommended)) else np.nan,
    )


def evaluate_ratings(model: Any, test: Interactions) -> RatingEvaluation:
    """RMSE and MAE of `model.predict(users, items) -> (N,)`, internal indices, on the ratings of `test`.

    The intervals resample users with all their ratings, since the errors of one user are not independent.
    Raises ValueError if `test` has no ratings or is empty, or if a prediction is not finite.
    """
    if test.ratings is None or len(test) == 0:
        raise ValueError(f"RMSE needs ratings, and the test part has none ({len(test)} interactions)")
    prediction = np.asarray(model.predict(test.users, test.items), dtype=np.float64)
    rmse, mae = M.rmse(prediction, test.ratings), M.mae(prediction, test.ratings)
    error = prediction - test.ratings
    rows, user = np.unique(test.users, return_inverse=True)
    per_user = [np.bincount(user), np.bincount(user, np.abs(error)), np.bincount(user, error**2)]
    n, absolute, square = bootstrap_means(np.stack(per_user, axis=1)).T
    return RatingEvaluation(
        rmse,
        mae,
        len(test),
        _interval(np.sqrt(square / n), 0.95),
        _interval(absolute / n, 0.95),
        f"{len(test)} held-out ratings of {len(rows)} users, 95 % bootstrap intervals over users",
    )


def paired_difference(
    a: Evaluation, b: Evaluation, metric: str, rng: Any = 0, level: float = 0.95
) -> tuple[float, float, float]:
    """The mean of a - b over the same users, and its bootstrap interval: (difference, low, high).

    Users differ far more than models do, so this interval is narrower than the two separate ones suggest.
    Raises ValueError if the users, the cut-off or the protocol differ.
    """
    if not np.array_equal(a.users, b.users) or (a.k, a.protocol) != (b.k, b.protocol):
        raise ValueError(
            f"a paired difference needs the same users and protocol, got k = {a.k}, {a.protocol!r} "
            f"and k = {b.k}, {b.protocol!r}"
        )
    difference = _defined(a._of(metric) - b._of(metric))
    return float(difference.mean()), *_interval(bootstrap_means(difference, rng), level)


def comparison_table(evaluations: Mapping[str, Evaluation]) -> str:
    """One line per model, every metric as mean [95 % interval], and the protocol below; aligned text."""
    header, rows, notes = _cells(evaluations)
    widths = [max(len(row[j]) for row in [header, *rows]) for j in range(len(header))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in [header, ["-" * width for width in widths], *rows]
    ]
    return "\n".join(line.rstrip() for line in [*lines, *notes])


def markdown_table(evaluations: Mapping[str, Evaluation]) -> str:
    """The same as `comparison_table`, as a Markdown table."""
    header, rows, notes = _cells(evaluations)
    rule = ["---", *("--:" for _ in header[1:])]
    table = ["| " + " | ".join(row) + " |" for row in [header, rule, *rows]]
    return "\n".join([*table, "", "  \n".join(notes)])


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


def bootstrap_means(values: Array, rng: Any = 0, resamples: int = RESAMPLES) -> Array:
    """(resamples, ...) means over users of `values` (U, ...), each of U users drawn with replacement."""
    generator = np.random.default_rng(rng)
    size = max(1, 2_000_000 // max(1, values.size))  # draws held at once, so memory stays at some tens of MB
    means = []
    for start in range(0, resamples, size):
        draws = generator.integers(0, len(values), (min(size, resamples - start), len(values)))
        means.append(values[draws].mean(axis=1))
    return np.concatenate(means)


def _interval(means: Array, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: the level of an interval is between 0 and 1, as in 0.95")
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _defined(values: Array) -> Array:
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        raise ValueError("the metric is not defined for any of the users")
    return defined


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


def _keep_sample(row: Array, relevant: Array, negatives: int, rng: np.random.Generator) -> Array:
    others = np.setdiff1d(np.flatnonzero(row > -np.inf), relevant, assume_unique=True)
    kept = np.union1d(relevant, rng.choice(others, min(negatives, len(others)), replace=False))
    sampled = np.full_like(row, -np.inf)
    sampled[kept] = row[kept]
    return sampled


def _value(name: str, row: Array, relevant: Array, k: int) -> float:
    """One metric of one user. The function is looked up at the call, so that it can be replaced."""
    if name != "auc":
        return float(getattr(M, name)(row, relevant, k))
    others = np.count_nonzero(row > -np.inf) - np.count_nonzero(row[relevant] > -np.inf)
    return float(M.auc(row, relevant)) if others else np.nan


def _protocol(
    train: Interactions,
    also_seen: Interactions | None,
    test: Interactions,
    users: Array,
    asked: int,
    unreachable: int,
    negatives: int | None,
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
            if negatives is None
            else f"SAMPLED: ranked against {negatives} uniform negatives only",
            "seen items removed" + ("" if also_seen is None else " (training and validation)"),
            "ties by expectation",
            f"{len(users)} users" + (f" ({left_out} without a test item left out)" if left_out else ""),
            *([f"{unreachable} test items already seen and so never found"] if unreachable else []),
        ]
    )


def _cells(evaluations: Mapping[str, Evaluation]) -> tuple[list[str], list[list[str]], list[str]]:
    if not evaluations:
        raise ValueError("a comparison needs at least one evaluation")
    names = list(dict.fromkeys(m for e in evaluations.values() for m in e.values))
    first = next(iter(evaluations.values()))
    if any(e.k != first.k for e in evaluations.values()):
        raise ValueError(f"one table has one cut-off, got k = {[e.k for e in evaluations.values()]}")
    header = ["model", *(first.label(name) for name in names), "coverage", "novelty"]
    rows = []
    for model, e in evaluations.items():
        row = [model]
        for name in names:
            low_high = "{:.4f}, {:.4f}".format(*e.interval(name)) if name in e.values else ""
            row.append(f"{e.mean(name):.4f} [{low_high}]" if low_high else "")
        rows.append([*row, f"{e.coverage:.3f}", f"{e.novelty:.2f}"])
    protocols = {e.protocol for e in evaluations.values()}
    if len(protocols) == 1:
        notes = [f"Protocol: {first.protocol}."]
    else:
        notes = [f"Protocol of {model}: {e.protocol}." for model, e in evaluations.items()]
    return header, rows, [*notes, "In brackets: 95 % bootstrap interval over users."]
