"""The network of TransformerRecommender against its entry in the formula sheet, for drawn ids."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sheet import holds
from strategies import seeds

from minirec.verify.formula import Built

B, T, C, U, I = 2, 5, 3, 7, 11


@st.composite
def histories(draw: st.DrawFn) -> np.ndarray:
    """(B, T) ids, padded on the left, of drawn lengths from 0 to T."""
    ids = draw(seeds.map(lambda seed: np.random.default_rng(seed).integers(1, I + 1, (B, T))))
    lengths = draw(st.tuples(*[st.integers(0, T)] * B))
    return np.where(np.arange(T) >= T - np.array(lengths)[:, None], ids, 0)


@given(
    seeds,
    st.sampled_from(["history", "user"]),
    st.sampled_from(["pointwise", "listwise"]),
    histories(),
    seeds,
)
@settings(max_examples=20)
def test_holds_what_the_sheet_says(
    seed: int, source: str, candidates: str, ids: np.ndarray, seed_of_candidates: int
) -> None:
    rng = np.random.default_rng(seed_of_candidates)
    shown = rng.integers(1, I + 1, (B, C))
    read: Any = ids if source == "history" else rng.integers(0, U, (B, 1))
    settings = {
        "n_users": U, "n_items": I, "embedding_dim": 4, "num_heads": 2, "num_layers": 1, "hidden": 5,
        "length": T, "source": source, "candidates": candidates, "dropout": 0.0,
    }  # fmt: skip
    holds("TransformerNetwork", Built(settings, (read, shown)), seed=seed)
