"""Encoder blocks against the formula, and their symmetries: identity, order, the future, padding, batches."""

import itertools

import numpy as np
import pytest
import reference_network as reference
from hypothesis import given
from strategies import masks, normal, seeds

from minirec import nn

B, T, H, D, F = 3, 5, 2, 6, 7
TIGHT = {"rtol": 0, "atol": 1e-11, "equal_nan": False}  # values of size 10 after a layer norm
KINDS = list(itertools.product(("pre", "post"), ("relu", "gelu")))


def block(seed: int = 0, norm: str = "pre", activation: str = "relu") -> nn.EncoderBlock:
    new = nn.EncoderBlock(np.random.default_rng(seed), D, H, F, norm=norm, activation=activation)
    return reference.random_parameters(new, seed)


def encoder(seed: int = 0, norm: str = "pre", layers: int = 2) -> nn.Encoder:
    new = nn.Encoder(np.random.default_rng(seed), layers, D, H, F, norm=norm)
    return reference.random_parameters(new, seed)


def draw(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


@pytest.mark.parametrize(("norm", "activation"), KINDS)
@given(seeds, normal(B, T, D), masks(B, 1, T, T))
def test_a_block_equals_the_formula(
    norm: str, activation: str, seed: int, x: np.ndarray, mask: np.ndarray
) -> None:
    one = block(seed, norm, activation)
    for seen in (None, mask):
        expected = reference.encoder_block(one.params(), x, seen, H, norm, activation)
        np.testing.assert_allclose(one.forward(x, seen)[0], expected, **TIGHT)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_an_encoder_is_its_blocks_in_order(norm: str) -> None:
    whole, x = encoder(norm=norm), draw(B, T, D)
    p, expected = whole.params(), x
    for i in range(2):
        own = reference.child(p, f"blocks.{i}")
        expected = reference.encoder_block(own, expected, nn.causal_mask(T), H, norm, "relu")
    if norm == "pre":
        expected = reference.layer_norm(reference.child(p, "norm"), expected)
    assert any(name.startswith("norm.") for name in p) == (norm == "pre")
    np.testing.assert_allclose(whole.forward(x, nn.causal_mask(T))[0], expected, **TIGHT)


def test_zero_sub_layers_make_a_pre_norm_block_the_identity_bit_by_bit() -> None:
    one, x, dy = block(), draw(B, T, D), draw(B, T, D, seed=2)
    for array in (one.attention.W_o, one.attention.b_o):
        array[...] = 0.0
    for array in one.feed_forward.project.params().values():
        array[...] = 0.0
    y, cache = one.forward(x)
    assert np.array_equal(y, x)
    assert np.array_equal(one.backward(dy, cache)[0], dy)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_without_mask_and_positions_the_order_does_not_matter(norm: str) -> None:
    whole, x, order = encoder(norm=norm), draw(B, T, D), np.random.default_rng(0).permutation(T)
    y, _ = whole.forward(x)
    np.testing.assert_allclose(whole.forward(x[:, order])[0], y[:, order], **TIGHT)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("t", range(1, T))
def test_another_future_leaves_the_prefix_bit_equal(norm: str, t: int) -> None:
    whole, x = encoder(norm=norm), draw(B, T, D)
    y, _ = whole.forward(x, nn.causal_mask(T))
    changed = x.copy()
    changed[:, t:] = draw(B, T - t, D, seed=2)
    other, _ = whole.forward(changed, nn.causal_mask(T))
    assert np.array_equal(other[:, :t], y[:, :t])
    assert (other[:, t:] != y[:, t:]).any()
    short, _ = whole.forward(x[:, :t], nn.causal_mask(t))
    np.testing.assert_allclose(short, y[:, :t], **TIGHT)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("padding", [1, 3, 8])
def test_the_amount_of_padding_changes_nothing(norm: str, padding: int) -> None:
    whole, x, ids = encoder(norm=norm), draw(B, T, D), np.ones((B, T), dtype=int)
    y, cache = whole.forward(x, nn.padding_mask(ids))
    dy = draw(B, T, D, seed=2)
    dx, grads = whole.backward(dy, cache)
    wide = np.concatenate([draw(B, padding, D, seed=3), x], axis=1)
    mask = nn.padding_mask(np.pad(ids, ((0, 0), (padding, 0))))
    wide_y, cache = whole.forward(wide, mask)
    wide_dx, wide_grads = whole.backward(np.pad(dy, ((0, 0), (padding, 0), (0, 0))), cache)
    np.testing.assert_allclose(wide_y[:, padding:], y, **TIGHT)
    np.testing.assert_allclose(wide_dx[:, padding:], dx, **TIGHT)
    assert not wide_dx[:, :padding].any()
    for name in grads:
        np.testing.assert_allclose(wide_grads[name], grads[name], **TIGHT)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_row_is_the_same_alone_and_the_gradients_of_rows_add_up(norm: str) -> None:
    whole, x, dy = encoder(norm=norm), draw(B, T, D), draw(B, T, D, seed=2)
    y, cache = whole.forward(x)
    dx, grads = whole.backward(dy, cache)
    total = {name: np.zeros_like(g) for name, g in grads.items()}
    for b in range(B):
        alone, cache = whole.forward(x[b : b + 1])
        dalone, part = whole.backward(dy[b : b + 1], cache)
        np.testing.assert_allclose(alone[0], y[b], **TIGHT)
        np.testing.assert_allclose(dalone[0], dx[b], **TIGHT)
        total = {name: total[name] + part[name] for name in total}
    for name in grads:
        np.testing.assert_allclose(total[name], grads[name], **TIGHT)


def test_one_block_used_twice_gets_the_sum_of_both_uses() -> None:
    shared, x, dy = block(), draw(B, T, D), draw(B, T, D, seed=2)
    h, first = shared.forward(x)
    y, second = shared.forward(h)
    dh, of_second = shared.backward(dy, second)
    dx, of_first = shared.backward(dh, first)
    # The same as two blocks with equal parameters, one after the other.
    pair = nn.Encoder(np.random.default_rng(0), 2, D, H, F)
    pair.blocks, pair.norm = [shared, shared.astype(np.float64)], None
    expected_y, cache = pair.forward(x)
    expected_dx, grads = pair.backward(dy, cache)
    assert np.array_equal(y, expected_y)
    assert np.array_equal(dx, expected_dx)
    for name in shared.params():
        both = grads[f"blocks.0.{name}"] + grads[f"blocks.1.{name}"]
        assert np.array_equal(of_first[name] + of_second[name], both)


def test_dropout_needs_a_generator_and_follows_it() -> None:
    one = nn.Encoder(np.random.default_rng(0), 2, D, H, F, dropout=0.5)
    plain = nn.Encoder(np.random.default_rng(0), 2, D, H, F)
    x = draw(B, T, D)
    assert np.array_equal(one.forward(x)[0], plain.forward(x)[0])
    first, again, other = (one.forward(x, rng=np.random.default_rng(s))[0] for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("layers", [1, 3])
def test_names_and_number_of_parameters(norm: str, layers: int) -> None:
    whole = nn.Encoder(np.random.default_rng(0), layers, D, H, F, norm=norm)
    attention, norms, feed = 4 * (D * D + D), 2 * 2 * D, 2 * D * F + F + D
    assert whole.parameter_count() == layers * (attention + norms + feed) + (2 * D if norm == "pre" else 0)
    own = [name.split(".")[2] for name in whole.params() if name.startswith("blocks.0.")]
    assert list(dict.fromkeys(own)) == ["attention", "norm1", "feed_forward", "norm2"]
    assert len(whole.params()) == layers * 16 + (2 if norm == "pre" else 0)
