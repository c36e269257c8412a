"""Encoder blocks and their stack: the formula sheet, a block used twice, positions one after the other."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, masks, normal, seeds

from minirec import nn
from minirec.nn.encoder import KeysValues
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


# One position after the other


def moved(layer: Any) -> Any:
    """The layer with no bias at 0 and no gain at 1."""
    rng = np.random.default_rng(2)
    return layer.with_params({name: a + rng.standard_normal(a.shape) for name, a in layer.params().items()})


def piecewise(layer: Any, x: np.ndarray, mask: np.ndarray, ends: list[int]) -> np.ndarray:
    """What `extend` gives for the positions up to the first end, and so on.    mask (..., T, T)"""
    parts, past, start = [], None, 0
    for end in ends:
        y, past = layer.extend(x[..., start:end, :], past, mask[..., start:end, :end])
        for kept in [past] if isinstance(past, KeysValues) else past:
            assert kept.k.shape == kept.v.shape == (*x.shape[:-2], H, end, D // H)
            frozen(kept.k)  # whoever writes into it later raises
            frozen(kept.v)
        parts.append(y)
        start = end
    return np.concatenate(parts, axis=-2)


@pytest.mark.parametrize("norm", ["pre", "post", "first"])
@pytest.mark.parametrize("ends", [[7], [1, 2, 3, 4, 5, 6, 7], [3, 4, 7]], ids=str)
@pytest.mark.parametrize("layers", [None, 1, 3])
def test_positions_that_come_later_get_what_they_get_at_once(
    norm: str, ends: list[int], layers: int | None
) -> None:
    rng = np.random.default_rng(1)
    kind = {"norm": norm, "activation": "gelu", "dropout": 0.3}  # nothing is dropped
    layer = moved(
        nn.Encoder(rng, layers, D, H, F, **kind) if layers else nn.EncoderBlock(rng, D, H, F, **kind)
    )
    ids = np.array([[0, 0, 0, 4, 1, 5, 2], [3, 1, 4, 1, 5, 2, 6]])  # padded on the left
    x, mask = frozen(rng.standard_normal((2, 7, D))), nn.causal_mask(7) & nn.padding_mask(ids)
    y, _ = layer.forward(x, mask)
    np.testing.assert_allclose(piecewise(layer, x, mask, ends), y, rtol=0, atol=1e-12, equal_nan=False)
    single = layer.astype(np.float32)
    assert piecewise(single, x.astype(np.float32), mask, ends).dtype == np.float32


def test_a_past_may_be_continued_in_two_ways() -> None:
    rng = np.random.default_rng(1)
    layer = moved(nn.EncoderBlock(rng, D, H, F))
    x, other = rng.standard_normal((B, T, D)), rng.standard_normal((B, 1, D))
    _, past = layer.extend(x)
    first, _ = layer.extend(other, past)
    layer.extend(-other, past)
    assert np.array_equal(layer.extend(other, past)[0], first)
    whole, _ = layer.forward(np.concatenate([x, other], axis=1))
    np.testing.assert_allclose(first[:, 0], whole[:, -1], rtol=0, atol=1e-12, equal_nan=False)


def test_a_sequence_without_a_batch_is_extended_like_one_in_a_batch() -> None:
    rng = np.random.default_rng(2)
    layer = moved(nn.EncoderBlock(rng, D, H, F))
    x, mask = rng.standard_normal((5, D)), nn.causal_mask(5)
    alone, one_of_one = piecewise(layer, x, mask, [2, 5]), piecewise(layer, x[None], mask[None], [2, 5])
    np.testing.assert_allclose(alone, one_of_one[0], rtol=0, atol=1e-13, equal_nan=False)
