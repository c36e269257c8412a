"""The encoder-decoder: it is one after the other, and passes each mask and gradient to the right place."""

import numpy as np
import pytest
from strategies import frozen

from minirec import nn

B, T, C, H, D, F = 3, 5, 4, 2, 6, 7
TIGHT = {"rtol": 0, "atol": 1e-11, "equal_nan": False}


def transformer(norm: str = "pre", dropout: float = 0.0) -> nn.Transformer:
    rng = np.random.default_rng(0)
    return nn.Transformer(rng, 2, 3, D, H, F, norm=norm, activation="gelu", dropout=dropout)


def draw(*shape: int, seed: int = 1) -> np.ndarray:
    return frozen(np.random.default_rng([seed, *shape]).standard_normal(shape))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_is_the_encoder_then_the_decoder(norm: str) -> None:
    whole, source, target, dy = transformer(norm), draw(B, T, D), draw(B, C, D), draw(B, C, D, seed=2)
    source_mask, target_mask = nn.causal_mask(T), nn.diagonal_mask(C)
    cross_mask = nn.padding_mask(np.array([[0, 0, 1, 1, 1], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]))
    memory, of_encoder = whole.encoder.forward(source, source_mask)
    expected, of_decoder = whole.decoder.forward(target, memory, target_mask, cross_mask)
    y, cache = whole.forward(source, target, source_mask, target_mask, cross_mask)
    assert np.array_equal(y, expected)
    (dtarget, dmemory), decoder = whole.decoder.backward(dy, of_decoder)
    dsource, encoder = whole.encoder.backward(dmemory, of_encoder)
    (got_dsource, got_dtarget), grads = whole.backward(dy, cache)
    assert np.array_equal(got_dsource, dsource)
    assert np.array_equal(got_dtarget, dtarget)
    named = {f"encoder.{k}": g for k, g in encoder.items()} | {f"decoder.{k}": g for k, g in decoder.items()}
    assert list(grads) == list(named) == list(whole.params())
    assert all(np.array_equal(grads[name], named[name]) for name in named)


def test_the_layer_counts_are_those_asked_for() -> None:
    whole = transformer()
    assert len(whole.encoder.blocks) == 2
    assert len(whole.decoder.blocks) == 3
    blocks = [*whole.encoder.blocks, *whole.decoder.blocks]
    assert {block.feed_forward.activation for block in blocks} == {"gelu"}
    attention, norm, feed = 4 * (D * D + D), 2 * D, 2 * D * F + F + D
    encoder, decoder = attention + 2 * norm + feed, 2 * attention + 3 * norm + feed
    assert whole.parameter_count() == 2 * encoder + norm + 3 * decoder + norm


def test_micro_batches_add_up_to_the_batch() -> None:
    whole, source, target, dy = transformer(), draw(B, T, D), draw(B, C, D), draw(B, C, D, seed=2)
    _, cache = whole.forward(source, target)
    _, grads = whole.backward(dy, cache)
    total = {name: np.zeros_like(g) for name, g in grads.items()}
    for rows in (slice(0, 2), slice(2, 3)):
        _, cache = whole.forward(source[rows], target[rows])
        _, part = whole.backward(dy[rows], cache)
        total = {name: total[name] + part[name] for name in total}
    for name in grads:
        np.testing.assert_allclose(total[name], grads[name], **TIGHT)


def test_dropout_is_on_with_a_generator_only_and_in_both_halves() -> None:
    whole, plain, source, target = transformer(dropout=0.5), transformer(), draw(B, T, D), draw(B, C, D)
    assert np.array_equal(whole.forward(source, target)[0], plain.forward(source, target)[0])
    first, again, other = (whole.forward(source, target, rng=np.random.default_rng(s))[0] for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    _, cache = whole.forward(source, target, rng=np.random.default_rng(1))
    caches = [*cache.encoder.blocks, *cache.decoder.blocks]
    assert all(part.dropout.factor is not None for block in caches for part in block)


def test_float32_in_float32_out() -> None:
    whole = transformer().astype(np.float32)
    source, target = draw(B, T, D).astype(np.float32), draw(B, C, D).astype(np.float32)
    y, cache = whole.forward(source, target, rng=np.random.default_rng(0))
    (dsource, dtarget), grads = whole.backward(y, cache)
    assert {a.dtype for a in (y, dsource, dtarget, *grads.values())} == {np.dtype(np.float32)}
