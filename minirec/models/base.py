"""The contract that all recommenders keep: fit, score, recommend, save, load.

Inside, users and items are indices 0 .. U - 1 and 0 .. I - 1; `recommend` and `recommend_histories` speak in
external ids. Rows are users everywhere.
"""

from __future__ import annotations

import copy
import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar

import numpy as np

from minirec import evaluation, storage
from minirec.data.interactions import Interactions
from minirec.functional import Array
from minirec.functional.arguments import check_ids

Id = Hashable
P = ParamSpec("P")
R = TypeVar("R")
BLOCK = 2**23  # scores that recommend holds at a time: memory does not grow with users x items


class UnknownIdError(KeyError):
    """A user or item that the model was not fitted on."""

    def __str__(self) -> str:
        return str(self.args[0])


class Recommendations(NamedTuple):
    """One row per user, best first; rows with fewer than k items end with None and -inf."""

    items: list[list[Any]]  # B rows of k external item ids
    scores: Array  # (B, k)


class Recommender(ABC):
    """What every model offers. A subclass gives the abstract methods; the rest is here.

    `uses_histories` says what a score depends on: the items of the history (then `score_histories` sees all
    that a model can use), or the identity of the user.
    """

    uses_histories = False
    uses_rng = True  # False: nothing is drawn, so every seed gives the same model

    user_ids: list[Any]
    item_ids: list[Any]
    user_index: dict[Any, int]
    item_index: dict[Any, int]
    titles: dict[Any, str]
    histories: list[Array]  # of the training data: item indices, oldest first

    @abstractmethod
    def fit(
        self,
        train: Interactions,
        *,
        valid: Interactions | None = None,
        rng: np.random.Generator | int | None = None,
        progress: bool = True,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Learn from `train`; `valid`, if it is given and not empty, only decides when to stop.

        `checkpoint` names a file that is written after each epoch. If it is there already, training goes on
        from it, to the same bits as if it had never ended; without `rng` its seed is taken from there.
        Raises ValueError for the checkpoint of another training, and for models that have no epochs.
        """

    @abstractmethod
    def score(self, users: Array, items: Array | None = None) -> Array:
        """Scores of known users (B,): (B, I), or (B, C) for items (C,) or (B, C). All are indices."""

    @abstractmethod
    def score_histories(self, histories: Sequence[Array], items: Array | None = None) -> Array:
        """The same for B histories of item indices, oldest first, of users that need not be known."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor."""

    @abstractmethod
    def state(self) -> dict[str, Array]:
        """The learned arrays by name."""

    @abstractmethod
    def load_state(self, state: dict[str, Array]) -> None:
        """Take over learned arrays; the id maps are there already."""

    # What all models share.

    def with_params(self, params: Mapping[str, Array]) -> Self:
        """A copy of this model that uses the given arrays, of any dtype; this one stays as it is.

        For models that are trained by gradients: `params()` names the arrays. Here they are attributes.
        """
        other = copy.copy(self)
        vars(other).update(params)
        return other

    def remember(self, train: Interactions) -> None:
        """Keep the id maps, titles and histories of the training data: the first thing that `fit` does."""
        if len(train) == 0:
            raise ValueError("there are no interactions to fit on")
        self.user_ids, self.user_index = train.user_ids, train.user_index
        self.item_ids, self.item_index = train.item_ids, train.item_index
        self.titles = train.titles
        self.histories = train.histories()

    @property
    def n_users(self) -> int:
        return len(self._fitted().user_ids)

    @property
    def n_items(self) -> int:
        return len(self._fitted().item_ids)

    def _fitted(self) -> Self:
        if not hasattr(self, "item_ids"):
            raise RuntimeError(
                f"{type(self).__name__} is not fitted yet: call fit(interactions) or load(path)"
            )
        return self

    def validation(self, train: Interactions, valid: Interactions) -> Callable[[], float]:
        """What early stopping looks at: NDCG@10 on `valid`, full ranking, of the model when called."""

        def ndcg() -> float:
            return evaluation.evaluate(self, train, valid, metrics=("ndcg",)).mean("ndcg")

        return ndcg

    def check_users(self, users: Any) -> Array:
        """(B,) user indices, or an IndexError that names the first one that is not known."""
        users = _indices(users)
        check_ids("users", users, self.n_users)
        return users

    def check_histories(self, histories: Sequence[Any]) -> list[Array]:
        """B arrays of item indices, or an IndexError that names the first one that is not known."""
        if len(histories) and np.ndim(histories[0]) == 0:
            got = repr(histories[0])
            raise TypeError(f"histories must be a list of lists of item indices, got {got}: write [[i, j]]")
        arrays = [_indices(history) for history in histories]
        for row, array in enumerate(arrays):
            check_ids(f"histories[{row}]", array, self.n_items)
        return arrays

    def check_items(self, items: Any) -> Array:
        """(C,) or (B, C) item indices, or an IndexError that names the first one that is not known."""
        items = _indices(items)
        check_ids("items", items, self.n_items)
        return items

    def pick(self, scores: Array, items: Array | None) -> Array:
        """The columns `items` (C,) or (B, C) of scores (B, I); all of them for None."""
        if items is None:
            return scores
        items = self.check_items(items)
        return np.take_along_axis(scores, np.broadcast_to(items, (len(scores), items.shape[-1])), axis=1)

    def recommend(
        self,
        users: Id | Sequence[Id],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: Sequence[Id] | None = None,
    ) -> Recommendations:
        """The k best items of each known user, external ids in and out.

        `candidates` restricts the items; `exclude_seen` leaves out those of the training history.
        Raises UnknownIdError for an unknown user or candidate, ValueError for k < 1.
        """
        rows = np.array([self._index("user", user) for user in _listed(users)], dtype=np.int64)
        items = self._candidates(candidates)
        blocks = (self.score(rows[block], items) for block in self._blocks(len(rows)))
        return self._best(blocks, [self.histories[row] for row in rows], k, exclude_seen, items)

    def recommend_histories(
        self,
        histories: Sequence[Sequence[Id]],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: Sequence[Id] | None = None,
    ) -> Recommendations:
        """The k best items after each history (external item ids, oldest first), for users never seen."""
        seen = self.item_indices(histories)
        items = self._candidates(candidates)
        blocks = (self.score_histories(seen[block], items) for block in self._blocks(len(seen)))
        return self._best(blocks, seen, k, exclude_seen, items)

    def item_indices(self, histories: Sequence[Sequence[Id]]) -> list[Array]:
        """Histories of external item ids as arrays of item indices; UnknownIdError names an unknown one."""
        for history in [histories] if isinstance(histories, str) else histories:
            if isinstance(history, str) or not isinstance(history, Iterable):
                got = "text" if isinstance(history, str) else repr(history)
                raise TypeError(
                    f"histories must be a list of lists of item ids, got {got}: write [[id, id, ...]]"
                )
        self._fitted()
        return [np.array([self._index("item", i) for i in h], dtype=np.int64) for h in histories]

    def _candidates(self, candidates: Sequence[Id] | None) -> Array | None:
        """(C,) item indices without repetition; None stands for all items."""
        if candidates is None:
            return None
        return np.unique(
            np.array([self._index("item", item) for item in _listed(candidates)], dtype=np.int64)
        )

    def _best(
        self,
        blocks: Iterator[Array],
        seen: list[Array],
        k: int,
        exclude_seen: bool,
        items: Array | None,
    ) -> Recommendations:
        """The k best of each row; the scores in `blocks` are those of `items` (C,), or of all items."""
        check_count("k", k)
        columns = np.arange(self.n_items) if items is None else items
        best_items: list[list[Any]] = []
        best = np.full((len(seen), k), -math.inf)
        for block in blocks:
            for given in block:
                n = len(best_items)
                if np.isnan(given.max(initial=0)):  # NaN passes through max
                    bad = self.item_ids[columns[int(np.argmax(np.isnan(given)))]]
                    raise FloatingPointError(f"the score of item {bad!r} is NaN")
                row = given.astype(np.result_type(given, 1.0))  # a copy that can hold -inf
                if exclude_seen:
                    row[seen[n] if items is None else np.isin(items, seen[n])] = -math.inf
                top = evaluation.top_k(row, k)
                best[n, : len(top)] = row[top]
                best_items.append([self.item_ids[columns[i]] for i in top] + [None] * (k - len(top)))
        return Recommendations(best_items, best)

    def _blocks(self, n: int) -> Iterator[slice]:
        size = min(64, max(1, BLOCK // self.n_items))
        return (slice(start, start + size) for start in range(0, n, size))

    def _index(self, kind: str, external: Id) -> int:
        index = self._fitted().user_index if kind == "user" else self.item_index
        known = self.user_ids if kind == "user" else self.item_ids
        external = external.item() if isinstance(external, np.generic) else external
        # By type as well: True and 1.0 are equal to 1 and would find user 1.
        if type(external) is not type(known[0]) or external not in index:
            like = ", ".join(repr(value) for value in known[:3])
            hint = ""
            if type(external) is not type(known[0]):
                hint = f"; ids here are {type(known[0]).__name__}, this is {type(external).__name__}"
            raise UnknownIdError(
                f"unknown {kind} {external!r}: the model knows {len(known)}, such as {like}{hint}"
            )
        return index[external]

    def save(self, path: str | Path) -> None:
        """Write the model as one .npz file; a file that was there before stays whole until the new one is."""
        self._fitted()
        for kind, ids in (("user", self.user_ids), ("item", self.item_ids)):
            if type(ids[0]) not in (str, int):
                raise TypeError(
                    f"{kind} ids of type {type(ids[0]).__name__} cannot be saved: use str or int ids"
                )
        meta = {
            "model": type(self).__name__,
            "settings": self.settings(),
            "user_ids": self.user_ids,
            "item_ids": self.item_ids,
            "titles": [self.titles.get(item, "") for item in self.item_ids] if self.titles else [],
        }
        lengths = np.array([len(h) for h in self.histories], dtype=np.int64)
        arrays = {"history_lengths": lengths, "history_items": np.concatenate(self.histories)}
        state = self.state()
        for name, array in state.items():
            if not np.isfinite(array).all():
                raise ValueError(f"{name} is not finite: this model is not saved, and {path} stays as it is")
        arrays |= {f"state.{name}": array for name, array in state.items()}
        storage.save_arrays(path, meta, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Any:
        """The model in a file written by `save`; on a subclass, only a model of that kind is accepted.

        Raises FileNotFoundError, or ModelFileError for a file that is damaged, too new, or of another kind.
        """
        from minirec.models import MODELS

        meta, arrays = storage.load_arrays(path)
        kinds = {kind.__name__: kind for kind in MODELS.values()}
        kind = kinds.get(meta.get("model", ""))
        if kind is None or not issubclass(kind, cls):
            wanted = cls.__name__ if cls is not Recommender else "one of " + ", ".join(sorted(kinds))
            raise storage.ModelFileError(
                f"{path} holds a model of kind {meta.get('model')!r}, expected {wanted}"
            )
        try:
            return _restore(kind, meta, arrays)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise storage.ModelFileError(
                f"{path}: the parts of this model do not fit together: {error}"
            ) from error


def _restore(kind: type[Recommender], meta: dict[str, Any], arrays: dict[str, Array]) -> Recommender:
    model = kind(**meta["settings"])
    model.user_ids, model.item_ids = meta["user_ids"], meta["item_ids"]
    model.user_index = {user: i for i, user in enumerate(model.user_ids)}
    model.item_index = {item: i for i, item in enumerate(model.item_ids)}
    titles = meta["titles"]
    model.titles = {item: t for item, t in zip(model.item_ids, titles, strict=True) if t} if titles else {}
    ends = np.cumsum(arrays["history_lengths"])
    if len(ends) != len(model.user_ids) or (len(ends) and ends[-1] != len(arrays["history_items"])):
        raise ValueError("the histories do not match the users")
    check_ids("history_items", arrays["history_items"], len(model.item_ids))
    model.histories = np.split(arrays["history_items"], ends[:-1])
    start = "state."
    model.load_state({name[len(start) :]: a for name, a in arrays.items() if name.startswith(start)})
    return model


def one_of(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Raise a ValueError that lists what is allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def refuse_checkpoint(model: Recommender, checkpoint: str | Path | None, why: str) -> None:
    """Raise a ValueError where a file is named for a training that cannot go on from one."""
    if checkpoint is not None:
        raise ValueError(f"checkpoint {checkpoint}: {type(model).__name__} {why}: leave it out")


def check_count(name: str, value: Any, instead: str = "", *, least: int = 1) -> None:
    """Raise a TypeError or ValueError for what is no whole number of at least `least`.

    instead   what else is allowed, in words, as in ", or None for all"
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number{instead}, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}{instead}, got {value}")


def keeps_the_old_model(fit: Callable[P, R]) -> Callable[P, R]:
    """A failed `fit` leaves the model as it was: never the ids of one data set with vectors of another."""

    @functools.wraps(fit)
    def whole(*args: P.args, **kwargs: P.kwargs) -> R:
        model = vars(args[0])
        before = dict(model)
        try:
            return fit(*args, **kwargs)
        except Exception:
            model.clear()
            model.update(before)
            raise

    return whole


def _indices(values: Any) -> Array:
    """An array of at least one axis; an empty one is an array of integers."""
    array = np.atleast_1d(np.asarray(values))
    return array.astype(np.int64) if array.size == 0 else array


def _listed(ids: Any) -> list[Any]:
    if isinstance(ids, np.ndarray):
        return list(np.atleast_1d(ids).tolist())
    return [ids] if isinstance(ids, str) or not isinstance(ids, Iterable) else list(ids)
