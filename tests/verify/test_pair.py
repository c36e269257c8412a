"""minirec.verify.pair: flat vectors, names, and fingerprints that see every change."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from minirec import functional as F
from minirec.verify.pair import Pair, argument_names, fingerprint, first_change


class Cache(NamedTuple):
    x: np.ndarray
    inner: Any


def tree() -> Any:
    return Cache(
        np.array([1.0, 2.0]),
        [
            {"a": np.arange(3), "b": (4.0, "text", None)},
            SimpleNamespace(W=np.zeros((2, 2), dtype=np.float32), rng=np.random.default_rng(0), rate=0.5),
        ],
    )


def test_equal_trees_have_equal_fingerprints() -> None:
    assert first_change(fingerprint(tree()), fingerprint(tree())) is None


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda t: t.x.__setitem__(1, np.nextafter(2.0, 3.0)), "x"),
        (lambda t: t.x.__setitem__(1, -2.0), "x"),
        (lambda t: t.inner[0]["a"].__setitem__(0, 7), "inner.0.a"),
        (lambda t: t.inner[0].__setitem__("b", (4.0, "other", None)), "inner.0.b.1"),
        (lambda t: t.inner[1].W.__setitem__((1, 1), -0.0), "inner.1.W"),
        (lambda t: t.inner[1].rng.random(), "inner.1.rng"),
        (lambda t: setattr(t.inner[1], "rate", 0.25), "inner.1.rate"),
        (lambda t: t.inner.append(1.0), "the number of entries"),
    ],
)
def test_every_change_is_seen_and_named(change: Any, place: str) -> None:
    t = tree()
    before = fingerprint(t)
    change(t)
    assert first_change(before, fingerprint(t)) == place


def test_a_tree_that_holds_itself_ends() -> None:
    loop: list[Any] = [np.ones(2)]
    loop.append(loop)
    assert len(fingerprint(loop)) == 1


def test_flat_vectors_and_entries() -> None:
    rng = np.random.default_rng(0)
    x, W, b = rng.standard_normal((5, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)
    pair = Pair(F.linear_forward, F.linear_backward, [x, W, b], [0, 1, 2], ["x", "W", "b"])
    assert np.array_equal(pair.x, np.concatenate([x.ravel(), W.ravel(), b]))
    assert pair.entry(0) == ("x", (0, 0))
    assert pair.entry(15 + 3) == ("W", (1, 1))
    assert pair.entry(15 + 6 + 1) == ("b", (1,))
    np.testing.assert_allclose(
        pair.value(2 * pair.x), (4 * (x @ W) + 2 * b).ravel(), rtol=1e-14, equal_nan=False
    )
    g = rng.standard_normal((5, 2))
    expected = np.concatenate([(g @ W.T).ravel(), (x.T @ g).ravel(), g.sum(axis=0)])
    np.testing.assert_allclose(pair.pull(g.ravel()), expected, rtol=1e-14, equal_nan=False)


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda x, W, b: None, ["x", "W", "b"]),
        (lambda x, *rest: None, ["x", "argument 1", "argument 2"]),
        (lambda *values, key=0: None, ["argument 0", "argument 1", "argument 2"]),
    ],
)
def test_names_come_from_the_signature(function: Any, names: list[str]) -> None:
    assert argument_names(function, 3) == names
