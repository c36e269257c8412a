"""The gradient check of everything: one row per function (and shape), shared by the tests and the command.

    python tests/gradient_table.py

prints name, arguments, largest relative error and declared zeros. To add a row, append to FUNCTIONS with
`function(...)`, or to MODULES with `module(...)`; whatever else gives a Report is a `Row` of its own.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirec import functional as F
from minirec import nn
from minirec.verify import Report, as_pair, check_dtype, check_gradient, check_module

Rng = np.random.Generator


@dataclass(frozen=True)
class Row:
    """`gradient` and `dtype` run a check each; `args` gives the arguments once more, for other tests."""

    name: str  # of the function without _forward, or of the class
    label: str  # what is special about the arguments
    gradient: Callable[[], Report]
    dtype: Callable[[], Report] | None = None
    args: Callable[[], tuple[Any, ...]] | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.label}"


def function(name: str, label: str, make: Callable[[Rng], tuple[Any, ...]], zero: Sequence[str] = ()) -> Row:
    """A row for F.<name>_forward and F.<name>_backward at the arguments that `make(rng)` gives."""

    def args() -> tuple[Any, ...]:
        return make(np.random.default_rng(sum(map(ord, name + label))))

    def pair() -> tuple[Any, Any]:  # looked up when called: the tests may have replaced one of them
        return getattr(F, f"{name}_forward"), getattr(F, f"{name}_backward")

    return Row(
        name,
        label,
        gradient=lambda: check_gradient(*pair(), *args(), zero=zero, title=f"gradient of {name}"),
        dtype=lambda: check_dtype(*pair(), *args()),
        args=args,
    )


def module(
    label: str, make: Callable[[Rng], tuple[Any, tuple[Any, ...], dict[str, Any]]], **options: Any
) -> Row:
    """A row for a module: `make(rng)` gives (module, inputs, options of forward).

    All its parameters are moved to random places first: initial zeros and ones hide mistakes.
    """

    def build() -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        rng = np.random.default_rng(sum(map(ord, label)))
        built, inputs, forward_options = make(rng)
        moved = {k: v + 0.3 * rng.standard_normal(v.shape) for k, v in built.params().items()}
        return built.with_params(moved), inputs, forward_options

    def gradient() -> Report:
        built, inputs, forward_options = build()
        return check_module(built, *inputs, options=forward_options, **options)

    def dtype() -> Report:
        built, inputs, forward_options = build()
        pair = as_pair(built, *inputs, options=forward_options)
        return check_dtype(pair.forward, pair.backward, *pair.args, wrt=pair.wrt, names=pair.names)

    return Row(label.split()[0], " ".join(label.split()[1:]), gradient, dtype, args=build)


def n(rng: Rng, *shape: int) -> np.ndarray:
    """Normally distributed numbers."""
    return rng.standard_normal(shape)


def new_rng() -> Rng:
    """The generator of dropout: the same entries each time."""
    return np.random.default_rng(1)


def away_from_zero(x: np.ndarray) -> np.ndarray:
    """x moved to |x| ≥ 0.1: no difference steps over the kink at 0."""
    return x + np.where(x >= 0, 0.1, -0.1)


def ragged(rng: Rng, *shape: int) -> np.ndarray:
    """A random mask whose first row is all False, and whose other rows keep at least two entries."""
    mask = rng.random(shape) < 0.5
    mask[..., :2] = True
    mask.reshape(-1, shape[-1])[0] = False
    return mask


def weights(rng: Rng, *shape: int) -> np.ndarray:
    """Positive weights, the first of them 0."""
    w = 0.5 + rng.random(shape)
    w.reshape(-1)[0] = 0.0
    return w


REPEATED = np.array([[4, 0, 4], [4, 2, 0]])  # rows 1 and 3 of 5 are never read

FUNCTIONS = [
    function("linear", "two axes", lambda r: (n(r, 5, 3), n(r, 3, 7), n(r, 7))),
    function("linear", "four axes", lambda r: (n(r, 2, 3, 5, 7), n(r, 7, 11), n(r, 11))),
    function("linear", "one axis", lambda r: (n(r, 3), n(r, 3, 5), n(r, 5))),
    function("relu", "both sides of the kink", lambda r: (away_from_zero(n(r, 3, 5, 7)),)),
    function("gelu", "near 0 and in both tails", lambda r: (n(r, 3, 5, 7) * 2,)),
    function("sigmoid", "near 0 and in both tails", lambda r: (n(r, 3, 5, 7) * 3,)),
    function("softmax", "two axes", lambda r: (n(r, 3, 5),)),
    function("softmax", "one axis, large values", lambda r: (n(r, 7) + 1e3,)),
    function("softmax", "mask, one row all masked", lambda r: (n(r, 2, 3, 5), ragged(r, 2, 3, 5))),
    function("softmax", "broadcast mask", lambda r: (n(r, 2, 3, 5), ragged(r, 3, 5))),
    function("softmax", "one entry", lambda r: (n(r, 3, 1),), zero=["x"]),
    function("log_softmax", "two axes", lambda r: (n(r, 3, 5),)),
    function("log_softmax", "three axes", lambda r: (n(r, 2, 3, 7) * 3,)),
    function(
        "attention", "three axes",
        lambda r: (n(r, 2, 3, 5), n(r, 2, 7, 5), n(r, 2, 7, 11)),
    ),
    function(
        "attention", "mask, one query sees nothing",
        lambda r: (n(r, 2, 3, 5), n(r, 2, 7, 5), n(r, 2, 7, 2), ragged(r, 2, 3, 7)),
    ),
    function(
        "attention", "padding mask, four axes",
        lambda r: (
            n(r, 2, 3, 5, 7), n(r, 2, 3, 11, 7), n(r, 2, 3, 11, 5),
            np.arange(11) >= np.array([4, 0]).reshape(2, 1, 1, 1),
        ),
    ),
    function(
        "attention", "causal mask",
        lambda r: (
            n(r, 5, 3), n(r, 5, 3), n(r, 5, 2), np.tri(5, dtype=bool),
        ),
    ),
    function(
        "attention", "a single key",
        lambda r: (n(r, 2, 3, 5), n(r, 2, 1, 5), n(r, 2, 1, 7)), zero=["q", "k"],
    ),
    function("layer_norm", "two axes", lambda r: (n(r, 3, 5), n(r, 5), n(r, 5))),
    function(
        "layer_norm", "three axes, shifted rows, eps 0.1",
        lambda r: (n(r, 2, 3, 7) * 3 + 100, n(r, 7), n(r, 7), 0.1),
    ),
    function("embedding", "repeated ids", lambda r: (n(r, 5, 7), REPEATED)),
    function("embedding", "one id", lambda r: (n(r, 5, 3), np.array(2))),
    function("dropout", "training", lambda r: (n(r, 5, 7), 0.3, new_rng())),
    function("dropout", "evaluation", lambda r: (n(r, 5, 7), 0.3, None)),
    function("dropout", "rate 0", lambda r: (n(r, 5, 7), 0.0, new_rng())),
    function(
        "factorization", "repeated users and items",
        lambda r: (
            n(r, 3, 2), n(r, 5, 2), n(r, 3), n(r, 5), 3.5,
            np.array([0, 2, 0, 2, 0, 2, 2]), np.array([4, 1, 4, 4, 0, 1, 1]),
        ),
    ),
    function("squared_error", "mean", lambda r: (n(r, 3, 5), n(r, 3, 5))),
    function(
        "squared_error", "weights, one is 0",
        lambda r: (n(r, 3, 5), n(r, 3, 5), weights(r, 3, 5)),
    ),
    function(
        "squared_error", "weights, all 0",
        lambda r: (n(r, 3, 5), n(r, 3, 5), np.zeros((3, 5))), zero=["prediction"],
    ),
    function(
        "binary_cross_entropy", "soft targets",
        lambda r: (n(r, 3, 5) * 3, r.random((3, 5))),
    ),
    function(
        "binary_cross_entropy", "0 and 1, weights, one is 0",
        lambda r: (n(r, 3, 5), (r.random((3, 5)) < 0.5).astype(np.float64), weights(r, 3, 5)),
    ),
    function("cross_entropy", "three axes", lambda r: (n(r, 2, 3, 5), REPEATED.copy())),
    function(
        "cross_entropy", "weights, one is 0", lambda r: (n(r, 2, 3, 5), REPEATED.copy(), weights(r, 2, 3))
    ),
    function("cross_entropy", "one row", lambda r: (n(r, 7), np.array(3))),
    function("bpr", "mean", lambda r: (n(r, 3, 5), n(r, 3, 5))),
    function(
        "bpr", "weights, one is 0", lambda r: (n(r, 3, 5), n(r, 3, 5), weights(r, 3, 5))
    ),
]  # fmt: skip

KEEP = np.array([[True, True, False, True], [True, True, True, True]]).reshape(2, 1, 1, 4)  # one padded key
CAUSAL = nn.causal_mask(4)

# b_k adds one number to all scores of a query; softmax does not see it. From DecoderBlock on, the Jacobian is
# made by complex step: one pass per number, where differences need four.
MODULES = [
    module("Linear", lambda r: (nn.Linear(r, 3, 7), (n(r, 2, 5, 3),), {})),
    module("Embedding repeated ids", lambda r: (nn.Embedding(r, 5, 3), (REPEATED,), {})),
    module(  # the padding row is a constant by decision, so the check must not read it
        "Embedding padding row not read",
        lambda r: (nn.Embedding(r, 5, 3, padding=True), (REPEATED % 4 + 1,), {}),
    ),
    module("LayerNorm", lambda r: (nn.LayerNorm(5), (n(r, 2, 3, 5),), {})),
    module("Dropout training", lambda r: (nn.Dropout(0.3), (n(r, 5, 7),), {"rng": new_rng()})),
    module("Dropout evaluation", lambda r: (nn.Dropout(0.3), (n(r, 5, 7),), {})),
    module("FeedForward relu", lambda r: (nn.FeedForward(r, 3, 7), (n(r, 2, 5, 3),), {})),
    module("FeedForward gelu", lambda r: (nn.FeedForward(r, 3, 7, "gelu"), (n(r, 2, 5, 3),), {})),
    module(
        "MultiHeadAttention no mask",
        lambda r: (nn.MultiHeadAttention(r, 6, 2), (n(r, 2, 3, 6), n(r, 2, 4, 6), n(r, 2, 4, 6)), {}),
        zero=["b_k"],
    ),
    module(
        "MultiHeadAttention padding mask",
        lambda r: (nn.MultiHeadAttention(r, 6, 3), (n(r, 2, 5, 6), n(r, 2, 4, 6), n(r, 2, 4, 6), KEEP), {}),
        zero=["b_k"],
    ),
    module(
        "MultiHeadAttention a single key",
        lambda r: (nn.MultiHeadAttention(r, 6, 2), (n(r, 2, 3, 6), n(r, 2, 1, 6), n(r, 2, 1, 6)), {}),
        zero=["query", "key", "W_q", "b_q", "W_k", "b_k"],
    ),
    module(
        "MultiHeadAttention one query sees nothing",
        lambda r: (
            nn.MultiHeadAttention(r, 6, 2),
            (n(r, 2, 3, 6), n(r, 2, 4, 6), n(r, 2, 4, 6), ragged(r, 2, 2, 3, 4)),
            {},
        ),
        zero=["b_k"],
    ),
    module(
        "EncoderBlock one row all padding",
        lambda r: (nn.EncoderBlock(r, 6, 2, 5), (n(r, 2, 4, 6), KEEP & [[[[True]]], [[[False]]]]), {}),
        zero=["*.b_k"],
    ),
    *(
        module(
            f"EncoderBlock {norm}-norm, {activation}",
            lambda r, norm=norm, activation=activation: (
                nn.EncoderBlock(r, 6, 2, 5, norm=norm, activation=activation),
                (n(r, 2, 4, 6), KEEP),
                {},
            ),
            zero=["*.b_k"],
        )
        for norm in ("pre", "post") for activation in ("relu", "gelu")
    ),
    module(
        "EncoderBlock dropout",
        lambda r: (nn.EncoderBlock(r, 6, 2, 5, dropout=0.3), (n(r, 2, 4, 6), CAUSAL), {"rng": new_rng()}),
        zero=["*.b_k"],
    ),
    *(
        module(
            f"DecoderBlock {norm}-norm, dropout {rate}",
            lambda r, norm=norm, rate=rate: (
                nn.DecoderBlock(r, 6, 2, 5, norm=norm, dropout=rate),
                (n(r, 2, 3, 6), n(r, 2, 4, 6), nn.diagonal_mask(3) if rate else nn.causal_mask(3), KEEP),
                {"rng": new_rng()},
            ),
            # Under the diagonal mask each candidate sees one key, itself: scores do not matter.
            zero=["*.b_k"] + (["self_attention.[Wb]_[qk]"] if rate else []),
            method="complex",
        )
        for norm, rate in (("pre", 0.0), ("post", 0.0), ("pre", 0.3))
    ),
    module(
        "Encoder pre-norm, two layers",
        lambda r: (nn.Encoder(r, 2, 4, 2, 3), (n(r, 1, 3, 4),), {}),
        zero=["*.b_k"],
        method="complex",
    ),
    module(
        "Decoder post-norm, two layers",
        lambda r: (nn.Decoder(r, 2, 4, 2, 3, norm="post", activation="gelu"), (n(r, 3, 4), n(r, 2, 4)), {}),
        zero=["*.b_k"],
        method="complex",
    ),
    *(
        module(
            f"Transformer {norm}-norm",
            lambda r, norm=norm: (
                nn.Transformer(r, 1, 1, 4, 2, 3, norm=norm, dropout=0.2),
                (n(r, 2, 4, 4), n(r, 2, 3, 4), KEEP, nn.causal_mask(3), KEEP),
                {"rng": new_rng()},
            ),
            zero=["*.b_k"],
            method="complex",
        )
        for norm in ("pre", "post")
    ),
]  # fmt: skip


def grouped(names: Sequence[str]) -> str:
    """Dotted names with their owner written once: "norm2.{gamma, beta}"."""
    owners: dict[str, list[str]] = {}
    for name in names:
        owner, _, own = name.removeprefix("network.").removeprefix("transformer.").rpartition(".")
        owners.setdefault(owner, []).append(own)
    return ", ".join(
        (f"{owner}." if owner else "") + (f"{{{', '.join(own)}}}" if owner and own[1:] else ", ".join(own))
        for owner, own in owners.items()
    )


def main() -> int:
    """Print the table; exit code 1 where a row fails."""
    from network_table import NETWORKS  # which takes Row from here

    print(f"{'name':<24} {'arguments':<36} {'largest error':>13}   declared zeros")
    failed = []
    for row in [*FUNCTIONS, *MODULES, *NETWORKS]:
        report = row.gradient()
        mark = "" if report.ok else "   FAILED"
        print(f"{row.name:<24} {row.label:<36} {report.error:>13.1e}   {grouped(report.zero)}{mark}")
        failed += [] if report.ok else [report]
    for report in failed:
        print(f"\n{report}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
