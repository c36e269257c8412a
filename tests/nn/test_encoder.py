"""Encoder blocks and their stack: their entries in the formula sheet, and a block used twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheet import holds
from strategies import masks, normal, seeds

from minirec import nn
from minirec.verify.formula import Built

B, T, H, D, F = 2, 3, 2, 4, 5
SIZES = {"width": D, "heads": H, "hidden": F}
kinds = st.fixed_dictionaries(
    {"norm": st.sampled_from(["pre", "post"]), "activation": st.sampled_from(["relu", "gelu"])}
)
drawn_masks = st.one_of(masks(B, 1, T, T), masks(B, 1, 1, T), masks(B, H, T, T), st.just(nn.causal_mask(T)))


@given(seeds, kinds, normal(B, T, D), st.none() | drawn_masks)
def test_a_block_holds_what_the_sheet_says(
    seed: int, kind: dict[str, str], x: np.ndarray, mask: np.ndarray | None
) -> None:
    holds("EncoderBlock", Built(SIZES | kind, (x,) if mask is None else (x, mask)), seed=seed)


@given(seeds, kinds, normal(B, T, D), st.none() | drawn_masks)
@settings(max_examples=20)
def test_a_stack_holds_what_the_sheet_says(
    seed: int, kind: dict[str, str], x: np.ndarray, mask: np.ndarray | None
) -> None:
    holds("Encoder", Built(SIZES | kind | {"layers": 2}, (x,) if mask is None else (x, mask)), seed=seed)


def test_one_block_used_twice_gets_the_sum_of_both_uses() -> None:
    rng = np.random.default_rng(1)
    shared, x, dy = (
        nn.EncoderBlock(rng, D, H, F),
        rng.standard_normal((B, T, D)),
        rng.standard_normal((B, T, D)),
    )
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


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("layers", [1, 3])
def test_names_of_parameters(norm: str, layers: int) -> None:
    whole = nn.Encoder(np.random.default_rng(0), layers, D, H, F, norm=norm)
    own = [name.split(".")[2] for name in whole.params() if name.startswith("blocks.0.")]
    assert list(dict.fromkeys(own)) == ["attention", "norm1", "feed_forward", "norm2"]
    assert len(whole.params()) == layers * 16 + (2 if norm == "pre" else 0)


def test_an_encoder_has_a_block() -> None:
    with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
        nn.Encoder(np.random.default_rng(0), 0, D, H, F)
