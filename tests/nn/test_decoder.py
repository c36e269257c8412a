"""Decoder blocks and their stack: the entries in the formula sheet for drawn masks of targets and memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheet import holds
from strategies import masks, normal, seeds

from minirec import nn
from minirec.verify.formula import Built

B, C, T, H, D, F = 2, 3, 5, 2, 4, 7
SIZES = {"width": D, "heads": H, "hidden": F}
kinds = st.fixed_dictionaries(
    {"norm": st.sampled_from(["pre", "post"]), "activation": st.sampled_from(["relu", "gelu"])}
)
self_masks = st.one_of(
    st.none(), masks(B, 1, C, C), st.sampled_from([nn.causal_mask(C), nn.diagonal_mask(C)])
)
cross_masks = st.one_of(st.none(), masks(B, 1, 1, T), masks(B, 1, C, T))


@given(seeds, kinds, normal(B, C, D), normal(B, T, D), self_masks, cross_masks)
def test_a_block_holds_what_the_sheet_says(
    seed: int,
    kind: dict[str, str],
    x: np.ndarray,
    memory: np.ndarray,
    self_mask: np.ndarray | None,
    cross_mask: np.ndarray | None,
) -> None:
    holds("DecoderBlock", Built(SIZES | kind, (x, memory, self_mask, cross_mask)), seed=seed)


@given(seeds, kinds, normal(B, C, D), normal(B, T, D), self_masks, cross_masks)
@settings(max_examples=20)
def test_a_stack_holds_what_the_sheet_says(
    seed: int,
    kind: dict[str, str],
    x: np.ndarray,
    memory: np.ndarray,
    self_mask: np.ndarray | None,
    cross_mask: np.ndarray | None,
) -> None:
    settings = SIZES | kind | {"layers": 2}
    holds("Decoder", Built(settings, (x, memory, self_mask, cross_mask)), seed=seed)


@given(seeds, kinds, normal(B, C, D), normal(B, 1, D))
@settings(max_examples=20)
def test_a_memory_of_one_place(seed: int, kind: dict[str, str], x: np.ndarray, memory: np.ndarray) -> None:
    holds("DecoderBlock", Built(SIZES | kind, (x, memory)), seed=seed)


def test_weights_over_a_memory_of_one_place_are_one() -> None:
    rng = np.random.default_rng(0)
    block = nn.DecoderBlock(rng, D, H, F)
    _, cache = block.forward(rng.standard_normal((B, C, D)), rng.standard_normal((B, 1, D)))
    assert np.array_equal(cache.cross_attention.f.attention.p, np.ones((B, H, C, 1)))


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("layers", [1, 3])
def test_names_of_parameters(norm: str, layers: int) -> None:
    whole = nn.Decoder(np.random.default_rng(0), layers, D, H, F, norm=norm)
    own = [name.split(".")[2] for name in whole.params() if name.startswith("blocks.0.")]
    order = ["self_attention", "norm1", "cross_attention", "norm2", "feed_forward", "norm3"]
    assert list(dict.fromkeys(own)) == order
    assert len(whole.params()) == layers * 26 + (2 if norm == "pre" else 0)


def test_a_decoder_has_a_block() -> None:
    with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
        nn.Decoder(np.random.default_rng(0), 0, D, H, F)
