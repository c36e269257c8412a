"""Attention: the formula sheet at drawn queries, keys, values and masks of every shape, and faults."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, masks, normal, rows, scales

from minirec import functional as F

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
