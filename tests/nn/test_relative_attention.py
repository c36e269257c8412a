"""Relative attention in heads and in blocks with a memory: their entries in the formula sheet, and faults."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, masks, normal, seeds

from minirec import functional as F
from minirec import nn
from minirec.nn import relative_attention
from minirec.verify.formula import Built

B, T, M, H, K, HIDDEN = 2, 3, 5, 2, 3, 7
D = H * K
TK = M + T

biases = normal(H, K)
drawn_masks = st.one_of(masks(B, H, T, TK), masks(B, 1, 1, TK), masks(T, TK), st.none())


@given(seeds, normal(B, T, D), normal(B, TK, D), biases, biases, drawn_masks)
@settings(max_examples=25)
def test_heads_hold_what_the_sheet_says(
    seed: int, query: np.ndarray, key: np.ndarray, u: np.ndarray, w: np.ndarray, mask: np.ndarray | None
) -> None:
    inputs = (query, key, u, w) if mask is None else (query, key, u, w, mask)
    holds("RelativeMultiHeadAttention", Built({"width": D, "heads": H}, inputs), seed=seed)


@given(
    seeds, normal(B, T, D), biases, biases, drawn_masks, normal(B, M, D), st.booleans(),
    st.sampled_from(["pre", "post", "first"]), st.sampled_from(["relu", "gelu"]),
)  # fmt: skip
@settings(max_examples=25)
def test_a_block_holds_what_the_sheet_says(
    seed: int,
    x: np.ndarray,
    u: np.ndarray,
    w: np.ndarray,
    mask: np.ndarray | None,
    memory: np.ndarray,
    has_memory: bool,
    norm: str,
    activation: str,
) -> None:
    mask = mask if has_memory or mask is None else mask[..., M:]
    inputs = (x, u, w) if mask is None else (x, u, w, mask)
    settings = {"width": D, "heads": H, "hidden": HIDDEN, "norm": norm, "activation": activation}
    # Where every key is hidden, a memory does not count, and that it should is one of the properties.
    skip = ("a memory moves y, and nothing comes back to it", "the memory is what stood before")
    blind = has_memory and mask is not None and not _sees_memory(mask)
    options = {"memory": memory} if has_memory else {}
    holds("RelativeBlock", Built(settings, inputs, options), seed=seed, skip=skip if blind else ())


def _sees_memory(mask: np.ndarray) -> bool:
    """Some query has two keys or more, one of them in the memory."""
    seen = np.broadcast_to(mask, (B, H, T, TK)) & np.tri(T, TK, M, dtype=bool)
    return bool((seen[..., :M].any(axis=-1) & (seen.sum(axis=-1) > 1)).any())


def block(**settings: str) -> nn.RelativeBlock:
    return nn.RelativeBlock(np.random.default_rng(0), D, H, HIDDEN, **settings)


def test_names_of_parameters() -> None:
    heads = ["attention.W_q", "attention.W_k", "attention.W_v", "attention.W_r", "attention.W_o"]
    names = list(block().params())
    assert names[:5] == heads
    own = list(dict.fromkeys(name.split(".")[0] for name in names))
    assert own == ["attention", "norm1", "feed_forward", "norm2"]


@pytest.mark.parametrize("norm", ["pre", "post", "first"])
def test_a_memory_of_higher_precision_changes_no_precision(norm: str) -> None:
    rng = np.random.default_rng(1)
    small = block(norm=norm).astype(np.float32)
    x, u, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((B, T, D), (H, K), (H, K)))
    y, cache = small.forward(x, u, w, memory=rng.standard_normal((B, M, D)))
    inputs, grads = small.backward(y, cache)
    assert {a.dtype for a in (y, *inputs, *grads.values())} == {np.dtype(np.float32)}


def test_the_norm_of_the_memory_gets_its_gradient_and_the_memory_none() -> None:
    """Differences by gamma, the memory being a constant; and by the memory, for which nothing returns."""
    rng = np.random.default_rng(2)
    x, u, w, memory, dy = (rng.standard_normal(s) for s in ((B, T, D), (H, K), (H, K), (B, M, D), (B, T, D)))
    whole = block()
    _, cache = whole.forward(x, u, w, memory=memory)
    inputs, grads = whole.backward(dy, cache)
    assert [d.shape for d in inputs] == [x.shape, u.shape, w.shape]

    def loss(gamma: np.ndarray, memory: np.ndarray) -> float:
        other = whole.with_params(whole.params() | {"norm1.gamma": gamma})
        return float((other.forward(x, u, w, memory=memory)[0] * dy).sum())

    gamma, h = whole.params()["norm1.gamma"], 1e-5
    for d in range(D):
        step = h * np.eye(D)[d]
        slope = (loss(gamma + step, memory) - loss(gamma - step, memory)) / (2 * h)
        assert grads["norm1.gamma"][d] == pytest.approx(slope, rel=1e-6, abs=1e-7)
    step = np.zeros(memory.shape)
    step[1, 2, 0] = h
    assert abs(loss(gamma, memory + step) - loss(gamma, memory - step)) / (2 * h) > 1e-3


def test_sinusoids_are_those_of_positions_in_the_precision_asked_for_and_cannot_be_changed() -> None:
    table = relative_attention.sinusoids(TK, D, np.dtype(np.float32))
    assert table.dtype == np.float32
    assert np.array_equal(table, F.sinusoidal_positions(TK, D).astype(np.float32))
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 0


@pytest.mark.parametrize("heads", [0, 4])
def test_a_width_that_heads_do_not_divide(heads: int) -> None:
    with pytest.raises(ValueError, match=f"width {D} is not divisible by {heads} heads"):
        nn.RelativeMultiHeadAttention(np.random.default_rng(0), D, heads)


def test_an_unknown_norm() -> None:
    with pytest.raises(ValueError, match='norm must be "pre", "post" or "first", got \'last\''):
        block(norm="last")


def test_a_memory_is_not_written_into() -> None:
    rng = np.random.default_rng(3)
    memory = frozen(rng.standard_normal((B, M, D)))
    x, u, w = (frozen(rng.standard_normal(shape)) for shape in ((B, T, D), (H, K), (H, K)))
    y, cache = block().forward(x, u, w, memory=memory)
    block().backward(frozen(y), cache)  # whoever writes raises ValueError


def test_nothing_is_dropped_unless_it_is_asked_for() -> None:
    block = nn.RelativeBlock(np.random.default_rng(0), 4, 2, 3)
    x, u, w = np.random.default_rng(2).standard_normal((1, 50, 4)), np.zeros((2, 2)), np.zeros((2, 2))
    dropped = block.forward(x, u, w, rng=np.random.default_rng(1))[0]
    np.testing.assert_array_equal(dropped, block.forward(x, u, w)[0])
