"""Multi-head attention: its entry in the formula sheet for drawn masks, the scale, and what it refuses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheet import holds
from strategies import degenerate, frozen, masks, normal, seeds

from minirec import nn
from minirec.verify.formula import Built
from minirec.verify.formulas import SHEET

B, TQ, TK, H, K = 2, 3, 5, 4, 2
D = H * K  # 8; no axis of the other arrays has this length
NONE, ALL, KEYS, QUERIES = range(4)


def moved(layer: Any) -> Any:
    """The layer with no bias at 0 and no gain at 1."""
    rng = np.random.default_rng(2)
    return layer.with_params({name: a + rng.standard_normal(a.shape) for name, a in layer.params().items()})


def inputs(*shape: int) -> st.SearchStrategy[np.ndarray]:
    return st.one_of(normal(*shape), degenerate(*shape, bound=3.0))


@given(
    seeds,
    inputs(B, TQ, D),
    inputs(B, TK, D),
    inputs(B, TK, D),
    masks(B, H, TQ, TK),
    st.sampled_from(range(4)),
)
def test_holds_what_the_sheet_says(
    seed: int, query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray, kind: int
) -> None:
    mask = {NONE: None, ALL: mask, KEYS: mask[:, :1, :1], QUERIES: mask[0, 0]}[kind]
    given_mask = () if mask is None else (mask,)
    holds("MultiHeadAttention", Built({"width": D, "heads": H}, (query, key, value, *given_mask)), seed=seed)


@given(seeds, inputs(B, TQ, 5), inputs(B, TK, 5), masks(B, 1, 1, TK))
def test_one_head(seed: int, query: np.ndarray, key: np.ndarray, mask: np.ndarray) -> None:
    holds("MultiHeadAttention", Built({"width": 5, "heads": 1}, (query, key, key, mask)), seed=seed)


@given(seeds, normal(B, TQ, D), normal(B, 1, D))
def test_one_key(seed: int, query: np.ndarray, key: np.ndarray) -> None:
    holds("MultiHeadAttention", Built({"width": D, "heads": H}, (query, key, key)), seed=seed)


def test_the_definition_would_notice_the_wrong_scale() -> None:
    x = np.random.default_rng(1).standard_normal((B, TQ, D))
    place = SHEET["MultiHeadAttention"].at(Built({"width": D, "heads": H}, (x, x, x)))
    p = dict(place.module.params())
    p["W_q"], p["b_q"] = p["W_q"] / np.sqrt(H), p["b_q"] / np.sqrt(H)  # as if divided by √D and not √K
    wrong = SHEET["MultiHeadAttention"].definition(p, x, x, x, width=D, heads=H)
    assert np.abs(wrong - place(*place.args)).max() > 1e-2


@given(st.sampled_from([1, 2, 4]), normal(B, TQ, 4), st.booleans())
def test_split_and_merge(heads: int, x: np.ndarray, batch: bool) -> None:
    x = x if batch else x[0]
    holds("split_heads", x, heads)
    holds("merge_heads", nn.split_heads(x, heads))


def test_four_columns_in_two_heads() -> None:
    x = np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    assert nn.split_heads(x, 2).tolist() == [[[1.0, 2.0], [5.0, 6.0]], [[3.0, 4.0], [7.0, 8.0]]]


def test_forward_is_attend_after_project_kv_bit_for_bit() -> None:
    layer, rng = moved(nn.MultiHeadAttention(np.random.default_rng(0), D, H)), np.random.default_rng(1)
    query, key, value = (rng.standard_normal((B, t, D)) for t in (TQ, TK, TK))
    mask = rng.random((B, H, TQ, TK)) < 0.7
    k, v, _ = layer.project_kv(key, value)
    assert k.shape == v.shape == (B, H, TK, K)
    assert np.array_equal(layer.attend(query, k, v, mask)[0], layer.forward(query, key, value, mask)[0])
    alone = layer.project_kv(key)  # one input for both
    assert np.array_equal(alone[0], k)
    assert np.array_equal(alone[1], layer.project_kv(value, key)[1])


def test_later_queries_attend_to_keys_that_were_kept() -> None:
    layer, rng = moved(nn.MultiHeadAttention(np.random.default_rng(0), D, H)), np.random.default_rng(1)
    x, mask = frozen(rng.standard_normal((B, TK, D))), nn.causal_mask(TK)
    y, _ = layer.forward(x, x, x, mask)
    k, v, _ = layer.project_kv(x)
    k, v = frozen(k), frozen(v)
    for t in range(TK):
        one, _ = layer.attend(x[:, t : t + 1], k, v, mask[t : t + 1])
        np.testing.assert_allclose(one[:, 0], y[:, t], rtol=0, atol=1e-13, equal_nan=False)
    earlier, _, _ = layer.project_kv(x[:, :2])
    np.testing.assert_allclose(earlier, k[:, :, :2], rtol=0, atol=1e-13, equal_nan=False)


def test_a_width_that_heads_do_not_divide() -> None:
    with pytest.raises(ValueError, match="width 10 is not divisible by 3 heads"):
        nn.MultiHeadAttention(np.random.default_rng(0), 10, 3)
    with pytest.raises(ValueError, match="width 10 is not divisible by 0 heads"):
        nn.MultiHeadAttention(np.random.default_rng(0), 10, 0)
    with pytest.raises(ValueError, match="width 10 is not divisible by 3 heads"):
        nn.split_heads(np.zeros((TQ, 10)), 3)


def test_a_mask_of_numbers_is_refused() -> None:
    x = np.zeros((B, TQ, D))
    with pytest.raises(TypeError, match="mask must be boolean"):
        nn.MultiHeadAttention(np.random.default_rng(0), D, H).forward(x, x, x, np.zeros((TQ, TQ)))


def test_parameters() -> None:
    attention = nn.MultiHeadAttention(np.random.default_rng(0), D, H)
    assert list(attention.params()) == ["W_q", "b_q", "W_k", "b_k", "W_v", "b_v", "W_o", "b_o"]
    assert not any(attention.params()[name].any() for name in ("b_q", "b_k", "b_v", "b_o"))
