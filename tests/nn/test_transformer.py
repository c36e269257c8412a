"""The encoder-decoder: its entry in the formula sheet for drawn masks, and how many layers it has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheet import holds
from strategies import masks, normal, seeds

from minirec import nn
from minirec.verify.formula import Built

B, T, C, H, D, F = 2, 5, 3, 2, 4, 7


@given(
    seeds,
    st.sampled_from(["pre", "post"]),
    normal(B, T, D),
    normal(B, C, D),
    st.none() | masks(B, 1, 1, T) | st.just(nn.causal_mask(T)),
    st.none() | st.sampled_from([nn.causal_mask(C), nn.diagonal_mask(C)]),
    st.none() | masks(B, 1, 1, T),
)
@settings(max_examples=20)
def test_holds_what_the_sheet_says(
    seed: int,
    norm: str,
    source: np.ndarray,
    target: np.ndarray,
    source_mask: np.ndarray | None,
    target_mask: np.ndarray | None,
    cross_mask: np.ndarray | None,
) -> None:
    sizes = {"encoder_layers": 1, "decoder_layers": 2, "width": D, "heads": H, "hidden": F, "norm": norm}
    holds("Transformer", Built(sizes, (source, target, source_mask, target_mask, cross_mask)), seed=seed)


def test_settings_reach_every_block() -> None:
    rng = np.random.default_rng(0)
    whole = nn.Transformer(rng, 2, 3, D, H, F, norm="post", activation="gelu", dropout=0.5)
    assert len(whole.encoder.blocks) == 2
    assert len(whole.decoder.blocks) == 3
    blocks = [*whole.encoder.blocks, *whole.decoder.blocks]
    assert {(block.norm, block.feed_forward.activation, block.dropout) for block in blocks} == {
        ("post", "gelu", 0.5)
    }


WIDTH = 4
DEFAULTS = {
    "EncoderBlock": lambda rng: nn.EncoderBlock(rng, WIDTH, 2, 3),
    "DecoderBlock": lambda rng: nn.DecoderBlock(rng, WIDTH, 2, 3),
    "Encoder": lambda rng: nn.Encoder(rng, 3, WIDTH, 2, 3),
    "Decoder": lambda rng: nn.Decoder(rng, 3, WIDTH, 2, 3),
    "Transformer": lambda rng: nn.Transformer(rng, 1, 1, WIDTH, 2, 3),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_nothing_is_dropped_by_default_and_gradients_keep_the_order_of_three_layers(name: str) -> None:
    module = DEFAULTS[name](np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((101, 7, WIDTH))
    inputs = (x,) if name.startswith("Encoder") else (x, x)
    y, cache = module.forward(*inputs, rng=np.random.default_rng(2))  # thousands of chances to drop
    assert np.array_equal(y, module.forward(*inputs)[0])
    _, grads = module.backward(y, cache)
    assert list(grads) == list(module.params())
