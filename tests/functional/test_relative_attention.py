"""Relative attention: the formula sheet at drawn arrays and masks, the paper's shift of rows, and faults."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheet import holds
from strategies import degenerate, frozen, masks, normal

from minirec import functional as F
from minirec.functional import relative_attention as own

B, H, TQ, TK, K, V, R = 2, 3, 3, 7, 5, 11, 13


def few(*shape: int) -> st.SearchStrategy[np.ndarray]:
    """Generic arrays, and degenerate ones of which no score is large."""
    return st.one_of(normal(*shape), degenerate(*shape, bound=2.0))


@settings(max_examples=20)
@given(few(B, TQ, K), few(B, TK, K), normal(B, TK, V), few(TK, K), few(K), few(K), masks(B, TQ, TK))
def test_the_sheet_holds(q, k, v, r, u, w, mask) -> None:  # type: ignore[no-untyped-def]
    holds("relative_attention", q, k, v, r, u, w)
    holds("relative_attention", q, k, v, r, u, w, mask)


@given(
    normal(B, H, TQ, K), normal(B, H, TK, K), normal(B, H, TK, 2),
    normal(H, R, K), normal(H, K), normal(H, K),
    st.sampled_from([None, (4, 0), (7, 5)]),
)  # fmt: skip
@settings(max_examples=15)
def test_the_sheet_holds_for_heads(q, k, v, r, u, w, hidden) -> None:  # type: ignore[no-untyped-def]
    mask = [] if hidden is None else [frozen(np.arange(TK) >= np.array(hidden).reshape(2, 1, 1, 1))]
    holds("relative_attention", q, k, v, r, u, w, *mask)


def draw(*shape: int) -> np.ndarray:
    return frozen(np.random.default_rng(list(shape)).standard_normal(shape))


def arguments(Tq: int = TQ, Tk: int = TK, distances: int = TK) -> tuple[np.ndarray, ...]:
    return draw(B, Tq, K), draw(B, Tk, K), draw(B, Tk, V), draw(distances, K), draw(1, K)[0], draw(2, K)[0]


@pytest.mark.parametrize("shape", [(TK,), (1, TK), (TQ, 1), (TQ, TK), (B, 1, TK), (B, TQ, TK)])
def test_the_sheet_holds_for_masks_of_every_shape(shape: tuple[int, ...]) -> None:
    for seed in range(3):
        kept = np.random.default_rng([seed, *shape]).random(shape) < 0.7
        holds("relative_attention", *arguments(), frozen(kept))
    holds("relative_attention", *arguments(), frozen(np.zeros(shape, dtype=bool)))


@pytest.mark.parametrize(("Tq", "Tk"), [(1, 1), (1, 5), (5, 5), (2, 7)])
def test_the_sheet_holds_for_any_number_of_keys_before_the_first_query(Tq: int, Tk: int) -> None:
    # With no earlier query, key or distance there is nothing to compare.
    holds("relative_attention", *arguments(Tq, Tk, Tk))
    holds("relative_attention", *arguments(Tq, Tk, Tk + 2))


def test_by_hand() -> None:
    """One number per key. Query 1 at place 2: scores (1 + 2) 3 + (1 + 4) 5 over √1, and one for each key."""
    q, k, v = np.array([[1.0]]), np.array([[3.0], [-1.0]]), np.array([[0.0], [1.0]])
    r, u, w = np.array([[6.0], [5.0]]), np.array([2.0]), np.array([4.0])  # at distance 0, at distance 1
    y, cache = F.relative_attention_forward(q, k, v, r, u, w)
    older, newer = 3 * 3 + 5 * 5, 3 * -1 + 5 * 6
    assert y[0, 0] == pytest.approx(1 / (1 + math.exp(older - newer)), rel=1e-12)
    assert cache.p.sum() == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize(("Tq", "Tk"), [(1, 5), (5, 5), (3, 7), (7, 11)])
def test_scores_by_distance_are_those_of_the_shift_in_the_paper(Tq: int, Tk: int) -> None:
    """Appendix B of the paper: columns from far to near, a column of zeros in front, and the rows laid end to
    end are cut anew. What it gives beyond a query's own place is nobody's score."""
    x = draw(2, Tq, Tk)  # by distance 0 .. Tk − 1
    padded = np.concatenate([np.zeros((2, Tq, 1)), x[..., ::-1]], axis=-1)
    shifted = padded.reshape(2, Tk + 1, Tq)[:, 1:].reshape(2, Tq, Tk)
    found = own.exchange_keys_and_distances(x)
    seen = np.tri(Tq, Tk, Tk - Tq, dtype=bool)
    assert np.array_equal(found[:, seen], shifted[:, seen])
    assert not np.array_equal(found, shifted) or Tq == 1


@given(normal(B, TQ, TK))
def test_the_exchange_of_keys_and_distances_is_its_own_inverse_and_reads_each_entry_once(x) -> None:  # type: ignore[no-untyped-def]
    there = own.exchange_keys_and_distances(x)
    assert np.array_equal(np.sort(there, axis=-1), np.sort(x, axis=-1))
    assert np.array_equal(own.exchange_keys_and_distances(there), x)


def test_without_distances_it_is_our_attention_under_a_causal_mask() -> None:
    q, k, v, r, u, w = arguments()
    dy = draw(B, TQ, V)
    causal = np.tri(TQ, TK, TK - TQ, dtype=bool)
    expected, of_attention = F.attention_forward(q, k, v, causal)
    y, cache = F.relative_attention_forward(q, k, v, 0 * r, 0 * u, 0 * w)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-14, equal_nan=False)
    for d, e in zip(
        F.relative_attention_backward(dy, cache)[:3], F.attention_backward(dy, of_attention), strict=True
    ):
        np.testing.assert_allclose(d, e, rtol=0, atol=1e-14, equal_nan=False)


def test_gradients_of_what_is_shared_are_sums_over_those_who_share_it() -> None:
    q, k, v, r, u, w = (
        draw(*shape) for shape in ((B, H, TQ, K), (B, H, TK, K), (B, H, TK, V), (R, K), (K,), (1, K))
    )
    each = [np.broadcast_to(x, (B, H, *shape)) for x, shape in ((r, (R, K)), (u, (K,)), (w, (K,)))]
    y, shared = F.relative_attention_forward(q, k, v, r, u, w)
    same, apart = F.relative_attention_forward(q, k, v, *each)
    assert np.array_equal(y, same)
    few, many = (F.relative_attention_backward(draw(B, H, TQ, V), cache)[3:] for cache in (shared, apart))
    for found, own_ones, like in zip(few, many, (r, u, w), strict=True):
        assert found.shape == like.shape
        total = own_ones.sum(axis=(0, 1)).reshape(like.shape)
        np.testing.assert_allclose(found, total, rtol=0, atol=1e-13, equal_nan=False)


@pytest.mark.parametrize(
    ("shapes", "mask", "error", "words"),
    [
        ({"k": (2, K), "v": (2, V)}, None, ValueError, "got 3 queries, 2 keys and 2 values"),
        ({"v": (TK + 1, V)}, None, ValueError, "got 3 queries, 7 keys and 8 values"),
        ({"r": (TK - 1, K)}, None, ValueError, "one row per distance 0 to 6, got 6 rows"),
        ({}, np.ones((TQ, TK)), TypeError, "mask must be boolean (True = may"),
        ({}, np.ones((TQ, TQ), dtype=bool), ValueError, "mask of shape (3, 3)"),
        ({}, np.ones((2, TQ, TK), dtype=bool), ValueError, "mask of shape (2, 3, 7)"),
        ({"q": (0, K), "k": (0, K), "v": (0, V)}, None, ValueError, "empty axis"),
    ],
)  # fmt: skip
def test_faults(shapes, mask, error, words) -> None:  # type: ignore[no-untyped-def]
    usual = {"q": (TQ, K), "k": (TK, K), "v": (TK, V), "r": (TK, K), "u": (K,), "w": (K,)}
    with pytest.raises(error) as caught:
        F.relative_attention_forward(*(np.zeros(shape) for shape in (usual | shapes).values()), mask)
    assert words in str(caught.value)
