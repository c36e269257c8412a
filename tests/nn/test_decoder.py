"""Decoder blocks against the formula, and who may know of whom: targets, memory, the single memory place."""

import itertools

import numpy as np
import pytest
import reference_network as reference
from hypothesis import given
from strategies import masks, normal, seeds

from minirec import nn

B, C, T, H, D, F = 3, 5, 4, 2, 6, 7
TIGHT = {"rtol": 0, "atol": 1e-11, "equal_nan": False}  # values of size 10 after a layer norm
KINDS = list(itertools.product(("pre", "post"), ("relu", "gelu")))


def block(seed: int = 0, norm: str = "pre", activation: str = "relu") -> nn.DecoderBlock:
    new = nn.DecoderBlock(np.random.default_rng(seed), D, H, F, norm=norm, activation=activation)
    return reference.random_parameters(new, seed)


def decoder(seed: int = 0, norm: str = "pre", layers: int = 2) -> nn.Decoder:
    new = nn.Decoder(np.random.default_rng(seed), layers, D, H, F, norm=norm)
    return reference.random_parameters(new, seed)


def draw(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


@pytest.mark.parametrize(("norm", "activation"), KINDS)
@given(seeds, normal(B, C, D), normal(B, T, D), masks(B, 1, C, C), masks(B, 1, 1, T))
def test_a_block_equals_the_formula(
    norm: str,
    activation: str,
    seed: int,
    x: np.ndarray,
    memory: np.ndarray,
    self_mask: np.ndarray,
    cross_mask: np.ndarray,
) -> None:
    one = block(seed, norm, activation)
    for own, cross in ((None, None), (self_mask, cross_mask)):
        expected = reference.decoder_block(one.params(), x, memory, own, cross, H, norm, activation)
        np.testing.assert_allclose(one.forward(x, memory, own, cross)[0], expected, **TIGHT)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_decoder_is_its_blocks_in_order_over_one_memory(norm: str) -> None:
    whole, x, memory = decoder(norm=norm), draw(B, C, D), draw(B, T, D)
    cross = np.arange(T) > 0
    p, expected = whole.params(), x
    for i in range(2):
        own = reference.child(p, f"blocks.{i}")
        expected = reference.decoder_block(own, expected, memory, nn.causal_mask(C), cross, H, norm, "relu")
    if norm == "pre":
        expected = reference.layer_norm(reference.child(p, "norm"), expected)
    np.testing.assert_allclose(whole.forward(x, memory, nn.causal_mask(C), cross)[0], expected, **TIGHT)


def test_zero_sub_layers_make_a_pre_norm_block_the_identity_bit_by_bit() -> None:
    one, x, dy = block(), draw(B, C, D), draw(B, C, D, seed=2)
    for attention in (one.self_attention, one.cross_attention):
        attention.W_o[...] = attention.b_o[...] = 0.0
    for array in one.feed_forward.project.params().values():
        array[...] = 0.0
    y, cache = one.forward(x, draw(B, T, D))
    assert np.array_equal(y, x)
    (dx, dmemory), _ = one.backward(dy, cache)
    assert np.array_equal(dx, dy)
    assert not dmemory.any()


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_under_the_diagonal_mask_targets_do_not_know_of_each_other(norm: str) -> None:
    whole, x, memory = decoder(norm=norm), draw(B, C, D), draw(B, T, D)
    y, _ = whole.forward(x, memory, nn.diagonal_mask(C))
    others = draw(B, C, D, seed=2)
    for c in range(C):
        changed = others.copy()
        changed[:, c] = x[:, c]
        assert np.array_equal(whole.forward(changed, memory, nn.diagonal_mask(C))[0][:, c], y[:, c])
        alone, _ = whole.forward(x[:, c : c + 1], memory, nn.diagonal_mask(1))
        np.testing.assert_allclose(alone[:, 0], y[:, c], **TIGHT)
    # Without the mask they do, by more than rounding.
    open_y, _ = whole.forward(x, memory)
    changed = x.copy()
    changed[:, 0] = others[:, 0]
    assert np.abs(whole.forward(changed, memory)[0][:, 1:] - open_y[:, 1:]).min() > 1e-9


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_another_future_leaves_the_prefix_bit_equal(norm: str) -> None:
    whole, x, memory = decoder(norm=norm), draw(B, C, D), draw(B, T, D)
    y, _ = whole.forward(x, memory, nn.causal_mask(C))
    for t in range(1, C):
        changed = x.copy()
        changed[:, t:] = draw(B, C - t, D, seed=2)
        assert np.array_equal(whole.forward(changed, memory, nn.causal_mask(C))[0][:, :t], y[:, :t])


def test_neither_targets_nor_memory_have_an_order() -> None:
    whole, x, memory = decoder(), draw(B, C, D), draw(B, T, D)
    y, _ = whole.forward(x, memory)
    rng = np.random.default_rng(0)
    targets, places = rng.permutation(C), rng.permutation(T)
    np.testing.assert_allclose(whole.forward(x[:, targets], memory)[0], y[:, targets], **TIGHT)
    np.testing.assert_allclose(whole.forward(x, memory[:, places])[0], y, **TIGHT)


def test_a_masked_place_of_the_memory_is_not_read_and_gets_no_gradient() -> None:
    whole, x, memory, dy = decoder(), draw(B, C, D), draw(B, T, D), draw(B, C, D, seed=2)
    ids = np.array([[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]])  # the last row sees nothing
    mask = nn.padding_mask(ids)
    y, cache = whole.forward(x, memory, None, mask)
    (dx, dmemory), _ = whole.backward(dy, cache)
    assert np.isfinite(y).all()
    assert dx.all()
    assert not dmemory[ids == 0].any()
    assert dmemory[ids == 1].all()
    memory[ids == 0] = 1e3
    assert np.array_equal(whole.forward(x, memory, None, mask)[0], y)


def test_over_a_memory_of_one_place_queries_and_keys_learn_nothing() -> None:
    one, x, memory = block(), draw(B, C, D), draw(B, 1, D)
    y, cache = one.forward(x, memory)
    assert np.array_equal(cache.cross_attention.f.attention.p, np.ones((B, H, C, 1)))
    _, grads = one.backward(draw(B, C, D, seed=2), cache)
    idle = {f"cross_attention.{name}" for name in ("W_q", "b_q", "W_k", "b_k")}
    idle |= {"norm2.gamma", "norm2.beta"}  # which feed the queries and nothing else
    for name, gradient in grads.items():
        if name in idle:
            assert not gradient.any(), name
        elif name != "self_attention.b_k":
            assert gradient.any(), name
    for name in ("W_q", "W_k"):
        getattr(one.cross_attention, name)[...] = draw(D, D, seed=5)
    assert np.array_equal(one.forward(x, memory)[0], y)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_row_is_the_same_alone(norm: str) -> None:
    whole, x, memory = decoder(norm=norm), draw(B, C, D), draw(B, T, D)
    y, _ = whole.forward(x, memory)
    for b in range(B):
        np.testing.assert_allclose(whole.forward(x[b], memory[b])[0], y[b], **TIGHT)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("layers", [1, 3])
def test_names_and_number_of_parameters(norm: str, layers: int) -> None:
    whole = nn.Decoder(np.random.default_rng(0), layers, D, H, F, norm=norm)
    attentions, norms, feed = 2 * 4 * (D * D + D), 3 * 2 * D, 2 * D * F + F + D
    assert whole.parameter_count() == layers * (attentions + norms + feed) + (2 * D if norm == "pre" else 0)
    own = [name.split(".")[2] for name in whole.params() if name.startswith("blocks.0.")]
    order = ["self_attention", "norm1", "cross_attention", "norm2", "feed_forward", "norm3"]
    assert list(dict.fromkeys(own)) == order
