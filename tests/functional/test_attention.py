"""Attention: against three loops over the definition, and its symmetries, bounds and masks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import frozen, masks, normal

from minirec import functional as F

B, TQ, TK, K, V = 2, 3, 7, 5, 11
qs, ks, vs = normal(B, TQ, K), normal(B, TK, K), normal(B, TK, V)


def draw(seed: int, *shape: int) -> np.ndarray:
    return frozen(np.random.default_rng([seed, *shape]).standard_normal(shape))


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    return F.attention_forward(q, k, v, mask)[0]


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """One batch row, by the definition: score every visible key, weigh its value."""
    y = np.zeros((len(q), v.shape[1]))
    for i in range(len(q)):
        visible = [j for j in range(len(k)) if mask[i, j]]
        scores = {
            j: sum(q[i, d] * k[j, d] for d in range(q.shape[1])) / math.sqrt(q.shape[1]) for j in visible
        }
        total = sum(math.exp(s) for s in scores.values())
        for j in visible:
            y[i] += math.exp(scores[j]) / total * v[j]
    return y


@given(qs, ks, vs, masks(B, TQ, TK))
def test_equals_the_definition(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> None:
    expected = np.stack([reference(*row) for row in zip(q, k, v, mask, strict=True)])
    np.testing.assert_allclose(attention(q, k, v, mask), expected, rtol=0, atol=1e-13, equal_nan=False)
    everything = np.ones((TQ, TK), dtype=bool)
    expected = np.stack([reference(*row, everything) for row in zip(q, k, v, strict=True)])
    np.testing.assert_allclose(attention(q, k, v), expected, rtol=0, atol=1e-13, equal_nan=False)


@given(qs, ks, vs, st.permutations(range(TK)), st.permutations(range(TQ)))
def test_keys_have_no_order_and_queries_do_not_meet(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, keys: list[int], queries: list[int]
) -> None:
    y = attention(q, k, v)
    np.testing.assert_allclose(attention(q, k[:, keys], v[:, keys]), y, rtol=0, atol=1e-13, equal_nan=False)
    np.testing.assert_allclose(
        attention(q[:, queries], k, v), y[:, queries], rtol=0, atol=1e-13, equal_nan=False
    )


@given(qs, ks, vs)
def test_the_output_is_within_the_values(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> None:
    y, cache = F.attention_forward(q, k, v)
    np.testing.assert_allclose(cache.p.sum(axis=-1), 1.0, rtol=0, atol=1e-14, equal_nan=False)
    assert (y <= v.max(axis=1, keepdims=True) + 1e-13).all()
    assert (y >= v.min(axis=1, keepdims=True) - 1e-13).all()


@given(qs, normal(B, 1, K), vs)
def test_equal_keys_give_the_mean_and_one_key_its_value(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> None:
    mean = np.broadcast_to(v.mean(axis=1, keepdims=True), (B, TQ, V))
    y = attention(q, np.broadcast_to(k, (B, TK, K)), v)
    np.testing.assert_allclose(y, mean, rtol=0, atol=1e-13, equal_nan=False)
    assert np.array_equal(attention(q, k, v[:, :1]), np.broadcast_to(v[:, :1], (B, TQ, V)))


@given(qs, ks, vs, vs, st.floats(-3, 3))
def test_linear_in_the_values(q: np.ndarray, k: np.ndarray, v: np.ndarray, w: np.ndarray, a: float) -> None:
    together = attention(q, k, v + a * w)
    apart = attention(q, k, v) + a * attention(q, k, w)
    np.testing.assert_allclose(together, apart, rtol=0, atol=1e-13, equal_nan=False)


@given(qs, ks, vs, normal(K), normal(B, TQ, V))
def test_a_vector_added_to_all_keys_changes_nothing(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, c: np.ndarray, dy: np.ndarray
) -> None:
    y, cache = F.attention_forward(q, k, v)
    np.testing.assert_allclose(attention(q, k + c, v), y, rtol=0, atol=1e-12, equal_nan=False)
    _, dk, _ = F.attention_backward(dy, cache)
    np.testing.assert_allclose(dk.sum(axis=1), 0.0, rtol=0, atol=1e-13, equal_nan=False)  # its derivative


@given(qs, ks, vs, st.sampled_from([2.0**-7, 0.5, 2.0, 2.0**20]))
def test_a_power_of_two_moves_between_queries_and_keys_bit_by_bit(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, a: float
) -> None:
    assert np.array_equal(
        attention(np.array(q) * a, np.array(k) / a, v), attention(np.array(q), np.array(k), v)
    )


@given(qs, ks, vs)
def test_duplicated_keys(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> None:
    y = attention(q, k, v)
    twice = attention(q, np.concatenate([k, k], axis=1), np.concatenate([v, v], axis=1))
    np.testing.assert_allclose(twice, y, rtol=0, atol=1e-13, equal_nan=False)
    # One key twice is the same as log 2 more on its score.
    scores = np.einsum("bid,bjd->bij", q, k) / math.sqrt(K)
    scores[..., 2] += math.log(2)
    p = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    once_more = attention(q, np.concatenate([k, k[:, 2:3]], axis=1), np.concatenate([v, v[:, 2:3]], axis=1))
    np.testing.assert_allclose(once_more, p @ v, rtol=0, atol=1e-13, equal_nan=False)


def test_scores_of_normal_inputs_have_variance_one() -> None:
    q, k = draw(0, 101, 64), draw(1, 103, 64)
    _, cache = F.attention_forward(q, k, draw(2, 103, 2))
    scores = np.log(cache.p)  # up to a constant per row
    assert scores.var(axis=-1).mean() == pytest.approx(1.0, abs=0.1)  # and not 64 or 1/64


def test_all_rows_of_the_jacobian_of_the_values_are_the_weights() -> None:
    y, cache = F.attention_forward(draw(0, TQ, K), draw(1, TK, K), draw(2, TK, V))
    dy = draw(3, *y.shape)
    _, _, dv = F.attention_backward(dy, cache)
    expected = np.zeros((TK, V))
    for i in range(TQ):
        for j in range(TK):
            expected[j] += cache.p[i, j] * dy[i]
    np.testing.assert_allclose(dv, expected, rtol=0, atol=1e-14, equal_nan=False)


MASKED = [1, 4]  # keys that no query sees


def hide(k: np.ndarray, value: float) -> np.ndarray:
    k = np.array(k)
    k[:, MASKED] = value
    return frozen(k)


@pytest.mark.parametrize("value", [7.0, -1e300, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(TK,), (1, TK), (TQ, TK), (B, 1, TK), (B, TQ, TK)])
def test_a_key_hidden_from_all_queries_has_exactly_no_influence(shape: tuple[int, ...], value: float) -> None:
    q, k, v, dy = draw(0, B, TQ, K), draw(1, B, TK, K), draw(2, B, TK, V), draw(3, B, TQ, V)
    mask = np.ones(shape, dtype=bool)
    mask[..., MASKED] = False
    y, cache = F.attention_forward(q, k, v, frozen(mask))
    gradients = F.attention_backward(dy, cache)
    y2, cache2 = F.attention_forward(q, hide(k, value), hide(v, value), frozen(mask))
    for a, b in zip((y, *gradients), (y2, *F.attention_backward(dy, cache2)), strict=True):
        assert np.array_equal(a, b)
    for d in gradients[1:]:
        assert (d[:, MASKED] == 0).all()
        assert (d[:, 0] != 0).all()


@given(qs, ks, vs, masks(B, TQ, TK), normal(B, TQ, V))
def test_masking_equals_removing(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray, dy: np.ndarray
) -> None:
    y, cache = F.attention_forward(q, k, v, mask)
    dq, dk, dv = F.attention_backward(dy, cache)
    dk_sum, dv_sum = np.zeros_like(dk), np.zeros_like(dv)
    for b in range(B):
        for i in range(TQ):
            keep = np.flatnonzero(mask[b, i])
            if not keep.size:
                assert (y[b, i] == 0).all()
                assert (dq[b, i] == 0).all()
                continue
            alone, of_alone = F.attention_forward(q[b, i : i + 1], k[b, keep], v[b, keep])
            np.testing.assert_allclose(y[b, i], alone[0], rtol=0, atol=1e-13, equal_nan=False)
            dq1, dk1, dv1 = F.attention_backward(dy[b, i : i + 1], of_alone)
            np.testing.assert_allclose(dq[b, i], dq1[0], rtol=0, atol=1e-13, equal_nan=False)
            dk_sum[b, keep] += dk1
            dv_sum[b, keep] += dv1
    np.testing.assert_allclose(dk, dk_sum, rtol=0, atol=1e-13, equal_nan=False)
    np.testing.assert_allclose(dv, dv_sum, rtol=0, atol=1e-13, equal_nan=False)


def test_a_query_that_sees_nothing_gives_zeros_and_gets_no_gradient() -> None:
    q, k, v, dy = draw(0, TQ, K), draw(1, TK, K), draw(2, TK, V), draw(3, TQ, V)
    mask = np.ones((TQ, TK), dtype=bool)
    mask[1] = False
    y, cache = F.attention_forward(q, k, v, mask)
    dq, dk, dv = F.attention_backward(dy, cache)
    assert (y[1] == 0).all()
    assert (dq[1] == 0).all()
    other = np.array(dy)
    other[1] = 1e6  # what comes back to an empty query goes nowhere
    for a, b in zip((dq, dk, dv), F.attention_backward(other, cache), strict=True):
        assert np.array_equal(a, b)
    nothing = np.zeros((TQ, TK), dtype=bool)
    y, cache = F.attention_forward(q, k, v, nothing)
    assert all((a == 0).all() for a in (y, *F.attention_backward(dy, cache)))


def test_causal_mask() -> None:
    T = 7
    q, k, v = draw(0, B, T, K), draw(1, B, T, K), draw(2, B, T, V)
    mask = frozen(np.tri(T, dtype=bool))
    y, cache = F.attention_forward(q, k, v, mask)
    assert (np.triu(cache.p, 1) == 0).all()
    assert np.array_equal(y[:, 0], v[:, 0])
    for t in range(1, T):
        k2, v2 = np.array(k), np.array(v)
        k2[:, t:] += 3.0
        v2[:, t:] -= 5.0
        assert np.array_equal(attention(q, k2, v2, mask)[:, :t], y[:, :t])  # another future, the same prefix
        short = attention(q[:, :t], k[:, :t], v[:, :t], mask[:t, :t])
        np.testing.assert_allclose(short, y[:, :t], rtol=0, atol=1e-14, equal_nan=False)


def test_leading_axes_are_batch_axes() -> None:
    q, k, v = draw(0, 2, 3, TQ, K), draw(1, 2, 3, TK, K), draw(2, 2, 3, TK, V)
    y = attention(q, k, v)
    for a in range(2):
        for b in range(3):
            one = attention(q[a, b], k[a, b], v[a, b])
            np.testing.assert_allclose(y[a, b], one, rtol=0, atol=1e-14, equal_nan=False)


@pytest.mark.parametrize(
    ("shapes", "mask", "error", "words"),
    [
        (((TQ, K), (0, K), (0, V)), None, ValueError, "empty axis"),
        (((TQ, K), (TK, K), (TK, V)), np.ones((TQ, TK)), TypeError, "mask must be boolean (True = may"),
        (((TQ, K), (TK, K), (TK, V)), np.ones((TQ, TQ), dtype=bool), ValueError, "shape"),
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
