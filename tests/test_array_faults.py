"""What happens to wrong and extreme arrays. `python tests/test_array_faults.py` prints every message.

Each row is an input, the exception and words of its message; rows without an exception state what comes back.
"""

import tracemalloc
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

from minirec import functional as F
from minirec import optim, training
from minirec.data import Interactions
from minirec.models import MatrixFactorization, Popularity, Recommender, TransformerRecommender

E = np.arange(21.0).reshape(7, 3)


@cache
def fitted(kind: str) -> Recommender:
    users = [f"u{n % 5}" for n in range(30)]
    items = [f"i{n * n % 11}" for n in range(30)]
    train = Interactions(users, items, [float(1 + n % 5) for n in range(30)])
    if kind == "popularity":
        return Popularity().fit(train)
    if kind == "mf":
        return MatrixFactorization(3, "bpr", epochs=2).fit(train, rng=0, progress=False)
    model = TransformerRecommender(4, 2, 1, length=3, negatives=2, epochs=1, hidden=5)
    return model.fit(train, rng=0, progress=False)


def transformer() -> Recommender:
    return fitted("transformer")


def with_nan(name: str) -> Recommender:
    model = MatrixFactorization(3, "bpr", epochs=1)
    model.fit(Interactions(["a", "a", "b"], ["x", "y", "x"]), rng=0, progress=False)
    model.params()[name][0] = np.nan
    return model


def train_once(params: dict[str, Any], grads: dict[str, Any], loss: float) -> Any:
    return training.train(
        params,
        lambda rows, rng: (rows,),
        lambda batch, upstream, rng: (loss, grads),
        4,
        optim.Adam(),
        seed=0,
        epochs=1,
        batch_size=4,
        progress=False,
    )


class Fault(NamedTuple):
    name: str
    call: Callable[[], Any]
    exception: type[Exception]
    words: tuple[str, ...]


FAULTS = [
    Fault("id -1", lambda: F.embedding_forward(E, np.array([0, -1])), IndexError, ("ids[1] = -1", "0 to 6")),
    Fault(
        "id I", lambda: F.embedding_forward(E, np.array([[2], [7]])), IndexError, ("ids[1, 0] = 7", "0 to 6")
    ),
    Fault("boolean ids", lambda: F.embedding_forward(E, np.array([True])), TypeError, ("integers", "bool")),
    Fault("float ids", lambda: F.embedding_forward(E, np.array([1.0])), TypeError, ("integers", "float64")),
    Fault("user -1", lambda: fitted("mf").score(np.array([-1])), IndexError, ("users[0] = -1", "0 to 4")),
    Fault("user U", lambda: transformer().score(np.array([0, 5])), IndexError, ("users[1] = 5", "0 to 4")),
    Fault(
        "item I",
        lambda: fitted("mf").score(np.array([0]), np.array([99])),
        IndexError,
        ("items[0] = 99", "is out of range"),
    ),
    Fault(
        "unknown user", lambda: transformer().recommend("nobody"), KeyError, ("unknown user 'nobody'", "'u0'")
    ),
    Fault(
        "history with -1",
        lambda: transformer().score_histories([np.array([2]), np.array([3, -1])]),
        IndexError,
        ("histories[1][1] = -1", "0 to 5"),
    ),
    Fault(
        "history of numbers that are not indices",
        lambda: fitted("mf").score_histories([np.array([0.5])]),
        TypeError,
        ("histories[0]", "integers"),
    ),
    Fault("user id of another type", lambda: transformer().recommend(3), KeyError, ("3", "str", "int")),
    Fault(
        "unknown item in a history",
        lambda: transformer().recommend_histories([["i0", "i77"]]),
        KeyError,
        ("unknown item 'i77'", "'i0'"),
    ),
    Fault(
        "unknown candidate",
        lambda: transformer().recommend("u0", candidates=["i0", "zz"]),
        KeyError,
        ("unknown item 'zz'",),
    ),
    Fault("a history that is text", lambda: transformer().recommend_histories(["i0"]), TypeError, ("[[id",)),
    Fault("k = 0", lambda: transformer().recommend("u0", k=0), ValueError, ("k must be at least 1, got 0",)),
    Fault(
        "NaN in a score",
        lambda: with_nan("Q").recommend("a", exclude_seen=False),
        FloatingPointError,
        ("'x'",),
    ),
    Fault(
        "NaN in a parameter",
        lambda: train_once({"W": np.array([np.nan])}, {"W": np.zeros(1)}, float("nan")),
        FloatingPointError,
        ("step 1", "parameter W is not finite"),
    ),
    Fault(
        "NaN in a gradient",
        lambda: train_once({"W": np.zeros(1)}, {"W": np.array([np.inf])}, 1.0),
        FloatingPointError,
        ("step 1", "gradient of W"),
    ),
    Fault(
        "infinite rating",
        lambda: Interactions(["a"], ["x"], [np.inf]),
        ValueError,
        ("ratings[0] = inf", "finite"),
    ),
    Fault("ids of mixed types", lambda: Interactions(["a", 1], ["x", "y"]), TypeError, ("str", "int")),
    Fault(
        "no interactions", lambda: Popularity().fit(Interactions([], [])), ValueError, ("no interactions",)
    ),
    Fault("not fitted", lambda: Popularity().recommend("a"), RuntimeError, ("not fitted", "fit(")),
    Fault("softmax over nothing", lambda: F.softmax_forward(np.zeros((3, 0))), ValueError, ("empty axis",)),
    Fault(
        "a mask of numbers",
        lambda: F.softmax_forward(E, np.ones((7, 3))),
        TypeError,
        ("boolean", "float64"),
    ),
    Fault(
        "negatives of another shape",
        lambda: F.gbce_forward(np.zeros((2, 3)), np.zeros((3, 5)), 0.5),
        ValueError,
        ("positive and negatives", "(2, 3) and (3,)"),
    ),
    Fault(
        "a beta below 0",
        lambda: F.gbce_forward(np.zeros(3), np.zeros((3, 5)), -0.5),
        ValueError,
        ("beta", "at least 0", "-0.5"),
    ),
    Fault(
        "beta for a t above 1", lambda: F.gbce_beta(2, 7, 1.5), ValueError, ("t must be in [0, 1], got 1.5",)
    ),
    Fault(
        "numbers that say which negatives to keep",
        lambda: F.sampled_softmax_forward(np.zeros(3), np.zeros((3, 5)), np.ones((3, 5))),
        TypeError,
        ("boolean", "float64"),
    ),
    Fault(
        "a weight below 0",
        lambda: F.sampled_softmax_forward(np.zeros(3), np.zeros((3, 5)), None, np.array([1.0, -2.0, 0.0])),
        ValueError,
        ("weights must not be negative", "-2.0"),
    ),
    Fault(
        "fewer distances than keys",
        lambda: F.relative_attention_forward(E[:2], E[:5], E[:5], E[:4], E[0], E[1]),
        ValueError,
        ("one row per distance 0 to 4", "got 4 rows"),
    ),
    Fault(
        "more queries than keys",
        lambda: F.relative_attention_forward(E[:5], E[:2], E[:2], E, E[0], E[1]),
        ValueError,
        ("at least as many as queries", "5 queries, 2 keys"),
    ),
    Fault(
        "width not divisible by heads",
        lambda: TransformerRecommender(10, 3, 1),
        ValueError,
        ("embedding_dim 10", "num_heads 3"),
    ),
]


class Extreme(NamedTuple):
    name: str
    call: Callable[[], Any]
    holds: Callable[[Any], bool]
    result: str


EXTREMES = [
    Extreme(
        "empty history",
        lambda: transformer().score_histories([np.array([], dtype=int)]),
        lambda s: bool(np.isfinite(s).all()),
        "finite scores",
    ),
    Extreme(
        "history longer than T",
        lambda: np.ptp(transformer().score_histories([np.arange(6), np.arange(3, 6)]), axis=0),
        lambda s: float(s.max()) < 1e-5,
        "the scores of its last T items",
    ),
    Extreme(
        "k > I",
        lambda: transformer().recommend("u0", k=20, exclude_seen=False),
        lambda r: r.items[0].count(None) == 20 - transformer().n_items and r.scores[0, -1] == -np.inf,
        "rows filled with None and -inf",
    ),
    Extreme(
        "no candidates left",
        lambda: transformer().recommend("u0", k=2, candidates=[]),
        lambda r: r.items == [[None, None]] and bool((r.scores == -np.inf).all()),
        "rows filled with None and -inf",
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(fault):
    with pytest.raises(fault.exception) as caught:
        fault.call()
    assert [word for word in fault.words if word not in str(caught.value)] == []


@pytest.mark.parametrize("extreme", EXTREMES, ids=lambda extreme: extreme.name)
def test_extreme(extreme):
    assert extreme.holds(extreme.call())


def test_a_million_items_stay_within_the_stated_memory():
    """recommend holds BLOCK scores and some copies of one row: below 200 MB for a million items."""
    n = 10**6
    model = Popularity()
    model.user_ids, model.user_index = list(range(40)), {u: u for u in range(40)}
    model.item_ids, model.titles, model.histories = list(range(n)), {}, [np.array([u]) for u in range(40)]
    model.item_index, model.counts = {}, np.arange(n, dtype=np.float64)
    tracemalloc.start()
    items, _ = model.recommend(list(range(40)), k=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert items[0] == [n - 1, n - 2, n - 3]
    assert peak < 200e6


if __name__ == "__main__":
    for each in FAULTS:
        try:
            each.call()
            print(f"{each.name}\n    NO ERROR")
        except each.exception as error:
            print(f"{each.name}\n    {type(error).__name__}: {error}")
    for other in EXTREMES:
        print(f"{other.name}\n    {other.result}: {other.holds(other.call())}")
