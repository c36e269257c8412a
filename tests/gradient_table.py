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

    return Row(label.split()[0], " ".join(label.split()[1:]), gradient, dtype)


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
    function("linear", "two axes", lambda r: (r.normal(size=(5, 3)), r.normal(size=(3, 7)), r.normal(size=7))),
    function("linear", "four axes", lambda r: (r.normal(size=(2, 3, 5, 7)), r.normal(size=(7, 11)), r.normal(size=11))),
    function("linear", "one axis", lambda r: (r.normal(size=3), r.normal(size=(3, 5)), r.normal(size=5))),
    function("relu", "both sides of the kink", lambda r: (away_from_zero(r.normal(size=(3, 5, 7))),)),
    function("gelu", "near 0 and in both tails", lambda r: (r.normal(size=(3, 5, 7)) * 2,)),
    function("sigmoid", "near 0 and in both tails", lambda r: (r.normal(size=(3, 5, 7)) * 3,)),
    function("softmax", "two axes", lambda r: (r.normal(size=(3, 5)),)),
    function("softmax", "one axis, large values", lambda r: (r.normal(size=7) + 1e3,)),
    function("softmax", "mask, one row all masked", lambda r: (r.normal(size=(2, 3, 5)), ragged(r, 2, 3, 5))),
    function("softmax", "broadcast mask", lambda r: (r.normal(size=(2, 3, 5)), ragged(r, 3, 5))),
    function("softmax", "one entry", lambda r: (r.normal(size=(3, 1)),), zero=["x"]),
    function("log_softmax", "two axes", lambda r: (r.normal(size=(3, 5)),)),
    function("log_softmax", "three axes", lambda r: (r.normal(size=(2, 3, 7)) * 3,)),
    function(
        "attention", "three axes",
        lambda r: (r.normal(size=(2, 3, 5)), r.normal(size=(2, 7, 5)), r.normal(size=(2, 7, 11))),
    ),
    function(
        "attention", "mask, one query sees nothing",
        lambda r: (r.normal(size=(2, 3, 5)), r.normal(size=(2, 7, 5)), r.normal(size=(2, 7, 2)), ragged(r, 2, 3, 7)),
    ),
    function(
        "attention", "padding mask, four axes",
        lambda r: (
            r.normal(size=(2, 3, 5, 7)), r.normal(size=(2, 3, 11, 7)), r.normal(size=(2, 3, 11, 5)),
            np.arange(11) >= np.array([4, 0]).reshape(2, 1, 1, 1),
        ),
    ),
    function(
        "attention", "causal mask",
        lambda r: (
            r.normal(size=(5, 3)), r.normal(size=(5, 3)), r.normal(size=(5, 2)), np.tri(5, dtype=bool),
        ),
    ),
    function(
        "attention", "a single key",
        lambda r: (r.normal(size=(2, 3, 5)), r.normal(size=(2, 1, 5)), r.normal(size=(2, 1, 7))), zero=["q", "k"],
    ),
    function("layer_norm", "two axes", lambda r: (r.normal(size=(3, 5)), r.normal(size=5), r.normal(size=5))),
    function(
        "layer_norm", "three axes, shifted rows, eps 0.1",
        lambda r: (r.normal(size=(2, 3, 7)) * 3 + 100, r.normal(size=7), r.normal(size=7), 0.1),
    ),
    function("embedding", "repeated ids", lambda r: (r.normal(size=(5, 7)), REPEATED)),
    function("embedding", "one id", lambda r: (r.normal(size=(5, 3)), np.array(2))),
    function("dropout", "training", lambda r: (r.normal(size=(5, 7)), 0.3, np.random.default_rng(1))),
    function("dropout", "evaluation", lambda r: (r.normal(size=(5, 7)), 0.3, None)),
    function("dropout", "rate 0", lambda r: (r.normal(size=(5, 7)), 0.0, np.random.default_rng(1))),
    function(
        "factorization", "repeated users and items",
        lambda r: (
            r.normal(size=(3, 2)), r.normal(size=(5, 2)), r.normal(size=3), r.normal(size=5), 3.5,
            np.array([0, 2, 0, 2, 0, 2, 2]), np.array([4, 1, 4, 4, 0, 1, 1]),
        ),
    ),
    function("squared_error", "mean", lambda r: (r.normal(size=(3, 5)), r.normal(size=(3, 5)))),
    function(
        "squared_error", "weights, one is 0",
        lambda r: (r.normal(size=(3, 5)), r.normal(size=(3, 5)), weights(r, 3, 5)),
    ),
    function(
        "squared_error", "weights, all 0",
        lambda r: (r.normal(size=(3, 5)), r.normal(size=(3, 5)), np.zeros((3, 5))), zero=["prediction"],
    ),
    function(
        "binary_cross_entropy", "soft targets",
        lambda r: (away_from_zero(r.normal(size=(3, 5))) * 3, r.random((3, 5))),
    ),
    function(
        "binary_cross_entropy", "0 and 1, weights, one is 0",
        lambda r: (r.normal(size=(3, 5)), (r.random((3, 5)) < 0.5).astype(np.float64), weights(r, 3, 5)),
    ),
    function("cross_entropy", "three axes", lambda r: (r.normal(size=(2, 3, 5)), REPEATED.copy())),
    function(
        "cross_entropy", "weights, one is 0", lambda r: (r.normal(size=(2, 3, 5)), REPEATED.copy(), weights(r, 2, 3))
    ),
    function("cross_entropy", "one row", lambda r: (r.normal(size=7), np.array(3))),
    function("bpr", "mean", lambda r: (r.normal(size=(3, 5)), r.normal(size=(3, 5)))),
    function(
        "bpr", "weights, one is 0", lambda r: (r.normal(size=(3, 5)), r.normal(size=(3, 5)), weights(r, 3, 5))
    ),
]  # fmt: skip

MODULES: list[Row] = []


def main() -> int:
    """Print the table; exit code 1 where a row fails."""
    print(f"{'name':<24} {'arguments':<36} {'largest error':>13}   declared zeros")
    failed = []
    for row in [*FUNCTIONS, *MODULES]:
        report = row.gradient()
        mark = "" if report.ok else "   FAILED"
        print(f"{row.name:<24} {row.label:<36} {report.error:>13.1e}   {', '.join(report.zero)}{mark}")
        failed += [] if report.ok else [report]
    for report in failed:
        print(f"\n{report}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
