"""Attention: the formula sheet at drawn queries, keys, values and masks of every shape, and faults."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, masks, normal, rows, scales

from minirec import functional as F
from minirec.functional import attention
from minirec.verify import check_gradient

B, TQ, TK, K, V = 2, 3, 7, 5, 11
qs, ks, vs = normal(B, TQ, K), normal(B, TK, K), normal(B, TK, V)


def draw(seed: int, *shape: int) -> np.ndarray:
    return frozen(np.random.default_rng([seed, *shape]).standard_normal(shape))


@given(qs, ks, vs, masks(B, TQ, TK))
def test_the_sheet_holds(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> None:
    holds("attention", q, k, v)
    holds("attention", q, k, v, mask)


@given(rows(TQ, K), rows(TK, K), rows(TK, V), masks(TQ, TK), scales)
def test_the_sheet_holds_for_degenerate_rows_and_any_scale_of_the_values(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray, scale: float
) -> None:
    # A score is rounded by its size, which moves y by that part of v, of which y may be a small difference.
    score = np.abs(q).sum(axis=-1).max() * np.abs(k).max() / math.sqrt(K)
    size = float((1 + score) * np.abs(v).max()) * scale
    holds("attention", q, k, frozen(v * scale), tolerance=1e-14, scale=size)
    holds("attention", q, k, frozen(v * scale), mask, tolerance=1e-14, scale=size)


SHAPES = [(TK,), (1, TK), (TQ, 1), (TQ, TK), (B, 1, TK), (B, TQ, TK)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_sheet_holds_for_masks_of_every_shape(shape: tuple[int, ...]) -> None:
    q, k, v = draw(0, B, TQ, K), draw(1, B, TK, K), draw(2, B, TK, V)
    for seed in range(3):
        holds("attention", q, k, v, frozen(np.random.default_rng([seed, *shape]).random(shape) < 0.7))
    holds("attention", q, k, v, frozen(np.zeros(shape, dtype=bool)))
    if shape[-1] == TK:
        hidden = np.ones(shape, dtype=bool)
        hidden[..., [1, 4]] = False  # keys that no query sees
        holds("attention", q, k, v, frozen(hidden))


def causal_and_padded(T: int) -> np.ndarray:
    """(B, T, T): causal, and the second row has two items of padding, whose queries see nothing."""
    padding = np.arange(T) >= np.array([0, 2]).reshape(2, 1, 1)
    return frozen(np.tri(T, dtype=bool) & padding)


@pytest.mark.parametrize("block", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["none", "random", "causal and padded", "nothing"])
def test_blocks_of_queries_change_nothing(block: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "BLOCK", block)
    q, k, v = draw(0, B, TK, K), draw(1, B, TK, K), draw(2, B, TK, V)
    mask = {
        "none": None,
        "random": frozen(np.random.default_rng(3).random((B, TK, TK)) < 0.5),
        "causal and padded": causal_and_padded(TK),
        "nothing": frozen(np.zeros((TK, TK), dtype=bool)),
    }[kind]
    masks = [] if mask is None else [mask]
    holds("attention", q, k, v, *masks)
    if kind != "nothing":
        report = check_gradient(lambda *x: F.attention_forward(*x, *masks), F.attention_backward, q, k, v)
        assert report.ok, str(report)


@pytest.mark.parametrize("masked", [False, True])
def test_more_queries_than_a_block_has(masked: bool) -> None:
    T = 97  # three blocks of the size that is in use, the last one short
    assert attention.BLOCK < T
    q, k, v, dy = draw(0, B, T, K), draw(1, B, T, K), draw(2, B, T, V), draw(3, B, T, V)
    mask = causal_and_padded(T) if masked else np.ones((B, T, T), dtype=bool)
    s = np.where(mask, q @ k.swapaxes(1, 2) / math.sqrt(K), -1e30)
    p = np.where(mask, np.exp(s - s.max(axis=2, keepdims=True)), 0.0)
    p /= np.maximum(p.sum(axis=2, keepdims=True), 1e-300)
    dp = dy @ v.swapaxes(1, 2)
    ds = p * (dp - (p * dp).sum(axis=2, keepdims=True)) / math.sqrt(K)
    y, cache = F.attention_forward(q, k, v, frozen(mask) if masked else None)
    np.testing.assert_allclose(cache.p, p, rtol=0, atol=1e-15, equal_nan=False)
    stops = [40, 80, 97] if masked else [97, 97, 97]  # the keys that are computed for each block
    assert [keys.stop for _, keys in cache.blocks] == stops
    expected = (p @ v, ds @ k, ds.swapaxes(1, 2) @ q, p.swapaxes(1, 2) @ dy)
    for ours, theirs in zip((y, *F.attention_backward(dy, cache)), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13 * np.abs(theirs).max(), equal_nan=False)


def test_keys_that_a_block_cannot_see_are_not_computed() -> None:
    blocks = attention.query_blocks(np.tri(97, dtype=bool), 97, 97)
    assert [(q.start, k.start or 0, k.stop) for q, k in blocks] == [(0, 0, 40), (40, 0, 80), (80, 0, 97)]
    computed = sum(40 * k.stop for _, k in attention.query_blocks(np.tri(200, dtype=bool), 200, 200))
    assert computed / 200**2 == 0.6  # as its docstring says


@pytest.mark.parametrize("which", range(4))
def test_one_complex_argument_makes_the_result_complex(which: int) -> None:
    """As the complex step needs it: any of q, k, v and the upstream gradient, the others being real."""
    real = [draw(i, B, n, m) for i, (n, m) in enumerate(((TQ, K), (TK, K), (TK, V), (TQ, V)))]
    moved = [x + 1e-30j * draw(7, *x.shape) if i == which else x for i, x in enumerate(real)]
    (y, cache), (z, complex_cache) = F.attention_forward(*real[:3]), F.attention_forward(*moved[:3])
    np.testing.assert_allclose(z.real, y, rtol=1e-15, atol=1e-15, equal_nan=False)
    assert np.iscomplexobj(z) == (which < 3)
    plain = F.attention_backward(real[3], cache)
    for ours, theirs in zip(F.attention_backward(moved[3], complex_cache), plain, strict=True):
        assert np.iscomplexobj(ours)
        np.testing.assert_allclose(ours.real, theirs, rtol=1e-14, atol=1e-14, equal_nan=False)
        assert ours.imag.any() or which in (2, 3)


def test_whole_numbers_are_taken_as_floats() -> None:
    q, k, v = np.array([[1, 2]]), np.array([[3, 1], [0, 2]]), np.array([[5], [7]])
    y, _ = F.attention_forward(q, k, v, np.array([True, False]))
    assert y.tolist() == [[5.0]]
    assert y.dtype == np.float64


@given(normal(B, 5, K), normal(B, 5, K), normal(B, 5, V))
def test_the_sheet_holds_for_a_causal_mask(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> None:
    holds("attention", q, k, v, frozen(np.tri(5, dtype=bool)))


@given(normal(2, 3, TQ, K), normal(2, 3, TK, K), normal(2, 3, TK, 2), st.booleans())
def test_the_sheet_holds_for_two_batch_axes(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, masked: bool
) -> None:
    mask = [frozen(np.arange(TK) >= np.array([4, 0]).reshape(2, 1, 1, 1))] if masked else []
    holds("attention", q, k, v, *mask)


@pytest.mark.parametrize(
    ("shapes", "mask", "error", "words"),
    [
        (((TQ, K), (0, K), (0, V)), None, ValueError, "empty axis"),
        (((TQ, K), (TK, K), (TK, V)), np.ones((TQ, TK)), TypeError, "mask must be boolean (True = may"),
        (((TQ, K), (TK, K), (TK, V)), np.ones((TQ, TQ), dtype=bool), ValueError, "mask of shape (3, 3)"),
        (((TQ, K), (TK, K + 1), (TK, V)), None, ValueError, "size"),
        (((TQ, K), (TK, K), (TK + 1, V)), None, ValueError, "size"),
    ],
)  # fmt: skip
def test_faults(shapes, mask, error, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error) as caught:
        F.attention_forward(*(np.zeros(shape) for shape in shapes), mask)
    assert words in str(caught.value)


@pytest.mark.parametrize("value", [True, False])
def test_a_mask_with_more_axes_than_the_scores_is_refused_whatever_it_holds(value):
    q, k, v = np.ones((3, 2)), np.ones((5, 2)), np.ones((5, 2))
    mask = np.full((4, 1, 5), value)
    with pytest.raises(ValueError, match="broadcast"):
        F.attention_forward(q, k, v, mask)
