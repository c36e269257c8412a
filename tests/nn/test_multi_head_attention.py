"""Multi-head attention against a loop of single attentions; what heads, masks and keys may and may not do."""

import numpy as np
import pytest
import reference_network as reference
from hypothesis import given
from hypothesis import strategies as st
from strategies import masks, normal, seeds

from minirec import functional as F
from minirec import nn

B, TQ, TK, H, K = 2, 5, 7, 3, 4
D = H * K  # 12; no axis of the other arrays has this length
TIGHT = {"rtol": 0, "atol": 1e-12, "equal_nan": False}  # values of size 10, sums of at most 12 terms


def module(seed: int = 0, heads: int = H) -> nn.MultiHeadAttention:
    return reference.random_parameters(nn.MultiHeadAttention(np.random.default_rng(seed), D, heads), seed)


def draw(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


@given(seeds, normal(B, TQ, D), normal(B, TK, D), normal(B, TK, D), masks(B, H, TQ, TK))
def test_equals_a_loop_of_single_attentions(
    seed: int, query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray
) -> None:
    attention = module(seed)
    for seen in (None, mask, mask[:, :1, :1], mask[0, 0]):
        expected = reference.multi_head(attention.params(), H, query, key, value, seen)
        y, _ = attention.forward(query, key, value, seen)
        np.testing.assert_allclose(y, expected, **TIGHT)


def test_the_loop_would_notice_the_wrong_scale() -> None:
    x = draw(B, TQ, D)
    attention = module()
    p = dict(attention.params())
    p["W_q"], p["b_q"] = p["W_q"] / np.sqrt(H), p["b_q"] / np.sqrt(H)  # as if divided by √D and not √K
    gap = np.abs(reference.multi_head(p, H, x, x, x, None) - attention.forward(x, x, x)[0]).max()
    assert gap > 1e-2


def test_one_head_without_projections_is_attention() -> None:
    attention = nn.MultiHeadAttention(np.random.default_rng(0), D, 1)
    eye = {name: np.eye(D) for name in ("W_q", "W_k", "W_v", "W_o")}
    attention = attention.with_params(attention.params() | eye)
    query, key, value = draw(B, TQ, D), draw(B, TK, D, seed=2), draw(B, TK, D, seed=3)
    y, _ = attention.forward(query, key, value)
    np.testing.assert_allclose(y, F.attention_forward(query, key, value)[0], **TIGHT)


@given(st.permutations(range(H)))
def test_heads_have_no_order(order: list[int]) -> None:
    attention = module()
    columns = np.concatenate([np.arange(h * K, (h + 1) * K) for h in order])
    p = attention.params()
    moved = {name: p[name][..., columns] for name in ("W_q", "b_q", "W_k", "b_k", "W_v", "b_v")}
    other = attention.with_params(p | moved | {"W_o": p["W_o"][columns]})
    x, key = draw(B, TQ, D), draw(B, TK, D)
    np.testing.assert_allclose(other.forward(x, key, key)[0], attention.forward(x, key, key)[0], **TIGHT)


@pytest.mark.parametrize("head", range(H))
def test_a_head_that_is_not_read_has_no_effect_and_no_gradient(head: int) -> None:
    attention = module()
    own = slice(head * K, (head + 1) * K)
    attention.W_o[own] = 0.0
    x = draw(B, TQ, D)
    y, cache = attention.forward(x, x, x)
    _, grads = attention.backward(draw(B, TQ, D, seed=4), cache)
    assert not grads["W_v"][:, own].any()
    assert not grads["b_v"][own].any()
    assert not grads["W_q"][:, own].any()
    assert grads["W_o"][own].all()  # it may come back to life
    for name in ("W_q", "W_k", "W_v"):
        getattr(attention, name)[:, own] += draw(D, K, seed=5)
    assert np.array_equal(attention.forward(x, x, x)[0], y)


def test_keys_have_no_order_and_queries_do_not_meet() -> None:
    attention = module()
    query, key, value = draw(B, TQ, D), draw(B, TK, D, seed=2), draw(B, TK, D, seed=3)
    y, _ = attention.forward(query, key, value)
    order = np.random.default_rng(0).permutation(TK)
    np.testing.assert_allclose(attention.forward(query, key[:, order], value[:, order])[0], y, **TIGHT)
    turned = attention.forward(query[:, ::-1], key, value)[0]
    np.testing.assert_allclose(turned, y[:, ::-1], **TIGHT)


def test_a_masked_key_has_no_influence_and_no_gradient() -> None:
    attention = module()
    query, key, value, dy = draw(B, TQ, D), draw(B, TK, D), draw(B, TK, D, seed=3), draw(B, TQ, D, seed=4)
    mask = np.ones((B, 1, 1, TK), dtype=bool)
    mask[0, ..., 2] = mask[1, ..., :4] = False
    hidden = ~mask[:, 0, 0]  # (B, TK)
    y, cache = attention.forward(query, key, value, mask)
    (dquery, dkey, dvalue), grads = attention.backward(dy, cache)
    assert not dkey[hidden].any()
    assert not dvalue[hidden].any()
    assert dkey[~hidden].all()
    assert dvalue[~hidden].all()
    other_key, other_value = key.copy(), value.copy()
    other_key[hidden], other_value[hidden] = 1e6, -1e3
    other_y, cache = attention.forward(query, other_key, other_value, mask)
    (other_dquery, other_dkey, other_dvalue), other_grads = attention.backward(dy, cache)
    assert np.array_equal(other_y, y)
    assert np.array_equal(other_dquery, dquery)
    assert np.array_equal(other_dkey, dkey)
    assert np.array_equal(other_dvalue, dvalue)
    # The key's own value meets its zero gradient in W_k and W_v: 1e6 times 0 is 0.
    assert all(np.array_equal(other_grads[name], grads[name]) for name in grads)
    # Masking is the same as removing.
    removed, _ = attention.forward(query[1:], key[1:, 4:], value[1:, 4:])
    np.testing.assert_allclose(removed, y[1:], **TIGHT)


def test_nan_at_a_key_that_no_query_sees_does_not_reach_the_output() -> None:
    attention = module()
    query, key, value = draw(B, TQ, D), draw(B, TK, D), draw(B, TK, D, seed=3)
    mask = np.arange(TK) != 3
    y, _ = attention.forward(query, key, value, mask)
    key[:, 3] = value[:, 3] = np.nan
    assert np.array_equal(attention.forward(query, key, value, mask)[0], y)


def test_a_query_that_sees_nothing_gives_the_bias_and_gets_no_gradient() -> None:
    attention = module()
    query, key = draw(B, TQ, D), draw(B, TK, D)
    mask = np.ones((B, 1, TQ, TK), dtype=bool)
    mask[1, :, 2] = False
    y, cache = attention.forward(query, key, key, mask)
    assert np.array_equal(y[1, 2], attention.b_o)
    (dquery, _, _), _ = attention.backward(draw(B, TQ, D, seed=4), cache)
    assert not dquery[1, 2].any()
    assert dquery[1, 1].all()


def test_the_key_bias_never_gets_gradient() -> None:
    attention = module()
    x, key = draw(B, TQ, D), draw(B, TK, D)
    y, cache = attention.forward(x, key, key)
    _, grads = attention.backward(draw(B, TQ, D, seed=4), cache)
    assert np.abs(grads["b_k"]).max() <= 1e-13 * np.abs(grads["b_q"]).max()
    attention.b_k += 5.0
    np.testing.assert_allclose(attention.forward(x, key, key)[0], y, **TIGHT)


def test_over_a_single_key_attention_is_constant() -> None:
    attention = module()
    query, key = draw(B, TQ, D), draw(B, 1, D)
    y, cache = attention.forward(query, key, key)
    assert np.array_equal(cache.attention.p, np.ones((B, H, TQ, 1)))
    assert np.array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    (dquery, _, dvalue), grads = attention.backward(draw(B, TQ, D, seed=4), cache)
    assert not dquery.any()
    assert dvalue.all()
    for name in ("W_q", "b_q", "W_k", "b_k"):
        assert not grads[name].any(), name
    for name in ("W_v", "b_v", "W_o", "b_o"):
        assert grads[name].all(), name


def test_any_leading_axes() -> None:
    attention = module()
    x = draw(2, 3, TQ, D)
    y, cache = attention.forward(x, x, x)
    assert cache.attention.p.shape == (2, 3, H, TQ, TQ)
    np.testing.assert_allclose(attention.forward(x[1, 2], x[1, 2], x[1, 2])[0], y[1, 2], **TIGHT)


def test_split_and_merge() -> None:
    x = draw(B, TQ, D)
    heads = nn.split_heads(x, H)
    assert heads.shape == (B, H, TQ, K)
    for h in range(H):
        assert np.array_equal(heads[:, h], x[..., h * K : (h + 1) * K])
    assert np.array_equal(nn.merge_heads(heads), x)


def test_a_width_that_heads_do_not_divide() -> None:
    with pytest.raises(ValueError, match="width 10 is not divisible by 3 heads"):
        nn.MultiHeadAttention(np.random.default_rng(0), 10, 3)
    with pytest.raises(ValueError, match="width 10 is not divisible by 3 heads"):
        nn.split_heads(draw(TQ, 10), 3)


def test_a_mask_of_numbers_is_refused() -> None:
    x = draw(B, TQ, D)
    with pytest.raises(TypeError, match="mask must be boolean"):
        module().forward(x, x, x, np.zeros((TQ, TQ)))


def test_parameters() -> None:
    attention = nn.MultiHeadAttention(np.random.default_rng(0), D, H)
    assert list(attention.params()) == ["W_q", "b_q", "W_k", "b_k", "W_v", "b_v", "W_o", "b_o"]
    assert attention.parameter_count() == 4 * (D * D + D)
    assert not any(attention.params()[name].any() for name in ("b_q", "b_k", "b_v", "b_o"))
