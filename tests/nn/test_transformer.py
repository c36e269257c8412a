"""The encoder-decoder: its entry in the formula sheet for drawn masks, and how many layers it has."""

import numpy as np
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
