"""The next k items after a history, one after the other: each is drawn given the history and those before it.

    p = softmax(s / temperature),    s the scores of the items after what is there so far

This is how a language model writes (Radford et al. 2019), over items. Temperature 0 takes the best item each
time, a high one knows no preferences; top_k draws among the k best (Fan et al. 2018).

Any model generates by its `score_histories` (TransformerXL too); one that ignores the order or the history
does so too. The network of SASRec can do with less: no step sees a later one, so the keys and values of what
it has read stay what they are, and only the newest item goes through it (incremental decoding, Shazeer 2019).
With t items of width d so far, one more of I then costs O(t d + d² + I d) and not O(t² d + t d² + I d).
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from minirec import evaluation, training
from minirec import functional as F
from minirec.data.sequences import pad_histories, trimmed
from minirec.functional import Array
from minirec.models.base import BLOCK, Id, Recommender, check_count
from minirec.models.sequence_recommender import SCORED, SequenceRecommender
from minirec.nn.encoder import KeysValues


@runtime_checkable
class Causal(Protocol):
    """What the network of a SequenceRecommender must offer, so that generation reads each item once.

    Its states, times `output_table()` plus `output_bias()`, are the scores of the model.
    """

    def extend(self, ids: Array, past: Sequence[KeysValues] | None = None) -> tuple[Array, list[KeysValues]]:
        """States (B, n, D) of the newest n of ids (B, t + n), and the past grown by them; `past` holds t."""


def next_item_probabilities(
    scores: Array, allowed: Array, temperature: float, top_k: int | None = None
) -> Array:
    """p = softmax(s / temperature) over what is allowed.    scores, allowed (B, I)  ->  p (B, I), float64

    With top_k, over the top_k best of it; at temperature 0, all on the best. Equal scores at the edge: the
    lower index is better. A row with nothing allowed is all zeros.
    """
    count = 1 if temperature == 0 else top_k
    if count is not None:
        best = np.zeros(allowed.shape, dtype=bool)
        for row, marks in zip(np.where(allowed, scores, -np.inf), best, strict=True):
            marks[evaluation.top_k(row, count)] = True
        allowed = best
    allowed = allowed & (scores > -np.inf)
    scores = scores.astype(np.float64)
    # A shift changes nothing; without it, a low temperature would make all large scores infinite.
    peak = np.max(scores, axis=1, keepdims=True, initial=-np.inf, where=allowed)
    gap = np.where(allowed, scores - np.where(peak == -np.inf, 0, peak), 0)
    if temperature > 0:
        with np.errstate(over="ignore"):  # −∞ is what a gap of many temperatures should be
            gap = gap / temperature
    return F.softmax_forward(gap, allowed)[0]


def draw_items(p: Array, u: Array) -> Array:
    """(B,) the first i with p_0 + … + p_i > u Σ p, for u uniform in [0, 1) item i with probability p_i / Σ p

    p (B, I), no row all zeros; u (B,)
    """
    up_to = np.cumsum(p, axis=1)
    return np.asarray(np.count_nonzero(up_to <= u[:, None] * up_to[:, -1:], axis=1))


def generate(
    model: Recommender,
    histories: Sequence[Array],
    k: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    rng: np.random.Generator | int | None = None,
    exclude_seen: bool = True,
    cache: bool = True,
) -> Array:
    """(B, k) the next k items after each of B histories: item indices, oldest first, of any length, or empty.

    temperature   0: the best item each time; else it is drawn from softmax(scores / temperature)
    top_k         draw among the top_k best items only
    exclude_seen  never an item of the history, and none twice. Where no item is left, the row ends with −1
    cache         keep keys and values, if the network of the model is `Causal`. The scores are the same to
                  rounding. From an item that no longer fits into `length` on, the window moves and with it
                  the positions of all items: from there each step reads the whole window anew

    A row depends on its own history and on the numbers drawn for it, k per row in the order of the rows.
    Raises IndexError for an unknown item, ValueError for k or top_k below 1 and a negative temperature.
    """
    check_count("k", k)
    if top_k is not None:
        check_count("top_k", top_k)
    if not temperature >= 0:
        raise ValueError(f"temperature must be at least 0 (0: the best item), got {temperature}")
    histories = model.check_histories(histories)
    u = np.random.default_rng(rng).random((len(histories), k))

    def generate_block(rows: slice) -> Array:
        return _generate_block(model, histories[rows], u[rows], temperature, top_k, exclude_seen, cache)

    size = max(1, min(SCORED, BLOCK // model.n_items))
    with training.shard_threads() as each:
        parts = list(each(generate_block, training.shard_slices(len(histories), size)))
    return np.concatenate([np.zeros((0, k), dtype=np.int64), *parts])


def generate_ids(
    model: Recommender,
    histories: Sequence[Sequence[Id]],
    k: int = 10,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    rng: np.random.Generator | int | None = None,
    exclude_seen: bool = True,
    cache: bool = True,
) -> list[list[Any]]:
    """The same in external item ids, in and out, for users never seen: B rows of k ids.

    Where no item is left, the row ends with None. Raises UnknownIdError for an unknown item.
    """
    items = generate(
        model, model.item_indices(histories), k, temperature=temperature, top_k=top_k, rng=rng,
        exclude_seen=exclude_seen, cache=cache,
    )  # fmt: skip
    return [[None if i < 0 else model.item_ids[i] for i in row] for row in items]


def _generate_block(
    model: Recommender,
    histories: Sequence[Array],
    u: Array,
    temperature: float,
    top_k: int | None,
    exclude_seen: bool,
    cache: bool,
) -> Array:
    """(B, k) items for B histories whose scores are held at the same time.    u (B, k)"""
    B, k = u.shape
    items = np.full((B, k), -1, dtype=np.int64)
    allowed = np.ones((B, model.n_items), dtype=bool)
    if exclude_seen:
        for row, history in zip(allowed, histories, strict=True):
            row[history] = False
    reader = None
    if cache and isinstance(model, SequenceRecommender) and isinstance(model.network, Causal):
        reader = _Reader(model, model.network)
    rows = np.arange(B)  # those that go on
    for t in range(k):
        if not rows.size:
            break
        so_far = [np.concatenate([histories[row], items[row, :t]]) for row in rows.tolist()]
        scores = reader.scores(rows, so_far) if reader else model.score_histories(so_far)  # (R, I)
        _check_scores(model, scores)
        p = next_item_probabilities(scores, allowed[rows], temperature, top_k)
        going = p.any(axis=1)  # the others have no item left
        rows = rows[going]
        items[rows, t] = draw_items(p[going], u[rows, t])
        if exclude_seen:
            allowed[rows, items[rows, t]] = False
    return items


class _Reader:
    """The scores after histories that grow by an item per call, by a network that reads each item once."""

    def __init__(self, model: SequenceRecommender, network: Causal) -> None:
        self.model, self.network = model, network
        self.rows = np.zeros(0, dtype=np.int64)  # (R,) whose histories the past holds
        self.ids = np.zeros((0, 0), dtype=np.int64)  # (R, t) what was read of them
        self.past: list[KeysValues] | None = None  # (R, H, t, K) of each block

    def scores(self, rows: Array, histories: Sequence[Array]) -> Array:
        """(B, I) the scores of these rows; after the first call, rows of that one, each an item longer."""
        if self.past is None:
            ids = pad_histories(histories, self.model.length)
            self.rows, self.ids = rows, ids[:, trimmed(ids) :]
            h, self.past = self.network.extend(self.ids)
            return self.model.score_states(h[:, -1])
        # A row whose window is full would move it: all its positions shift, and nothing kept of it holds.
        keep = np.isin(self.rows, rows) & (np.count_nonzero(self.ids, axis=1) < self.model.length)
        if not keep.all():
            self.rows, self.ids = self.rows[keep], self.ids[keep]
            self.past = [KeysValues(k[keep], v[keep]) for k, v in self.past]
        known = np.isin(rows, self.rows)  # (B,)
        scores = np.zeros((len(rows), self.model.n_items), dtype=self.model.output_table().dtype)
        if known.any():
            newest = pad_histories([histories[i] for i in np.flatnonzero(known).tolist()], 1)
            self.ids = np.concatenate([self.ids, newest], axis=1)
            h, self.past = self.network.extend(self.ids, self.past)
            scores[known] = self.model.score_states(h[:, -1])
        if not known.all():
            scores[~known] = self.model.score_histories(
                [histories[i] for i in np.flatnonzero(~known).tolist()]
            )
        return scores


def _check_scores(model: Recommender, scores: Array) -> None:
    bad = np.argwhere(~(scores < np.inf))  # NaN is below nothing
    if bad.size:
        row, item = bad[0]
        raise FloatingPointError(f"the score of item {model.item_ids[item]!r} is {scores[row, item]}")
