"""minirec.verify.diagnosis names real mistakes in real functions, and says nothing where it does not know.

Each row of MISTAKES is a wrong backward of a right forward, with the cause that must be named. A row with
`sure` must be named with certainty and first; the honesty tests below hold the other direction.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from gradient_table import FUNCTIONS

from minirec import functional as F
from minirec.verify import check_gradient, differences
from minirec.verify.diagnosis import Evidence, diagnose, diagnose_value, evidence
from minirec.verify.pair import Pair, argument_names, as_list, is_floating

Backward = Callable[[Any, Any], Any]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape)


def seen(
    forward: Callable[..., Any], backward: Backward, args: tuple[Any, ...], wrt: int | None = None
) -> Evidence:
    """What a check sees of this pair; the first `wrt` arguments (or the floating ones) get gradients."""
    names = argument_names(forward, len(args))
    where = [i for i, a in enumerate(args) if is_floating(a)] if wrt is None else list(range(wrt))
    pair = Pair(forward, backward, args, where, names)
    jacobian = differences.jacobian(pair.value, pair.x, method="complex")
    return evidence(pair, np.random.default_rng(0), jacobian)


@dataclass(frozen=True)
class Mistake:
    label: str
    forward: Callable[..., Any]
    backward: Backward
    args: tuple[Any, ...]
    name: str  # of the cause
    argument: str = ""
    words: tuple[str, ...] = ()  # that its text must contain
    sure: bool = True
    wrt: int | None = None


def change(backward: Backward, **changes: Callable[[Any, Any, Any], Any]) -> Backward:
    """`backward` with some gradients replaced: d0=lambda d, dy, cache: ... changes the first one."""

    def wrong(dy: Any, cache: Any) -> Any:
        gradients = as_list(backward(dy, cache))
        for place, new in changes.items():
            gradients[int(place[1:])] = new(gradients[int(place[1:])], dy, cache)
        return tuple(gradients)

    return wrong


def reorder(backward: Backward, *order: int) -> Backward:
    return lambda dy, cache: tuple(as_list(backward(dy, cache))[i] for i in order)


def on_upstream(backward: Backward, new: Callable[[Any], Any]) -> Backward:
    return lambda dy, cache: backward(new(dy), cache)


# Functions that have no pair of their own in functional/.
def residual_forward(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, Any]:
    y, cache = F.linear_forward(x, W, b)
    return x + y, cache


def residual_backward(dy: np.ndarray, cache: Any) -> Any:
    dx, dW, db = F.linear_backward(dy, cache)
    return dx + dy, dW, db


def scaled_forward(x: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, Any]:
    return x * gain, (x, gain)


def scaled_backward(dy: np.ndarray, cache: Any) -> Any:
    x, gain = cache
    return dy * gain, (dy * x).sum(axis=(0, 1))


def product_forward(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, Any]:
    return a @ b, (a, b)


def product_backward(dy: np.ndarray, cache: Any) -> Any:
    a, b = cache
    return dy @ b.T, a.T @ dy


def tanh_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.tanh(x), np.tanh(x)


def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return dy * (1 - y * y)


def difference_forward(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, Any]:
    return np.sin(a) * np.cos(b), (a, b)


def difference_backward(dy: np.ndarray, cache: Any) -> Any:
    a, b = cache
    return dy * np.cos(a) * np.cos(b), -dy * np.sin(a) * np.sin(b)


def masked_forward(x: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, Any]:
    return np.where(mask, x * x, 0), (x, mask)


def norm_without(mean: bool, variance: bool) -> Backward:
    def backward(dy: Any, cache: F.LayerNormCache) -> Any:
        d = dy * cache.gamma
        dx = d - (0 if mean else d.mean(axis=-1, keepdims=True))
        dx = dx - (0 if variance else cache.x_hat * (d * cache.x_hat).mean(axis=-1, keepdims=True))
        return dx * cache.inv_std, *F.layer_norm_backward(dy, cache)[1:]

    return backward


def last_of_repeated_ids(dy: Any, cache: F.EmbeddingCache) -> Any:
    dE = np.zeros(cache.shape)
    dE[cache.ids] += dy
    return dE


def unsummed(dy: Any, c: F.AttentionCache) -> Any:
    ds = c.p * (dy @ c.v.swapaxes(-1, -2))
    return ds @ c.k / np.sqrt(5), *F.attention_backward(dy, c)[1:]


def mask_forgotten(dp: Any, cache: Any) -> Any:
    p, x = cache
    full = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    return F.softmax_backward(dp, F.SoftmaxCache(np.where((p == 0).any(axis=-1, keepdims=True), full, p)))


def softmax_keeping_x(x: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, Any]:
    p, cache = F.softmax_forward(x, mask)
    return p, (cache.p, x)


def overwritten_users(dy: Any, cache: Any) -> Any:
    dP, *rest = F.factorization_backward(dy, cache)
    wrong = np.zeros_like(dP)
    wrong[cache.of_P.ids] = dy[:, None] * cache.q
    return wrong, *rest


HIDDEN = np.array([False, True, False, False, True, False, True])
FLAT = np.array([[False], [True], [False], [True], [False]])
LINEAR = (normal(5, 3), normal(3, 3), normal(3))
WIDE = (normal(5, 3), normal(3, 7), normal(7))
NORM = (normal(3, 5), 1 + normal(5) / 4, normal(5))
ATTENTION = (normal(2, 3, 5), normal(2, 7, 5), normal(2, 7, 11))
SELF = (normal(5, 3), normal(5, 3) + 1, normal(5, 3) - 1)  # q, k, v of one shape
IDS = np.array([[4, 1], [4, 2], [4, 1]])
TARGETS = np.array([2, 0, 2, 1])
MASK = np.array(
    [
        [True, False, True, True, True],
        [True, True, True, True, True],
        [False, True, True, False, True],
    ]
)
MF = (normal(5, 3), normal(7, 3), normal(5), normal(7), 0.5, np.array([1, 4, 1, 0]), np.array([6, 2, 2, 3]))
lin, att, norm, emb, ce = (
    F.linear_backward,
    F.attention_backward,
    F.layer_norm_backward,
    F.embedding_backward,
    F.cross_entropy_backward,
)

MISTAKES = [
    # shapes
    Mistake("bias not summed", F.linear_forward, change(lin, d2=lambda d, dy, c: dy), WIDE,
            "missing sum", "b", ("(5, 7)", "(7,)", "axis 0")),
    Mistake("bias not summed, and divided", F.linear_forward, change(lin, d2=lambda d, dy, c: dy / 5), WIDE,
            "missing sum", "b", ("axis 0", "1/5", "axis 0 of x")),
    Mistake("gain not summed over two axes", scaled_forward,
            change(scaled_backward, d1=lambda d, dy, c: dy * c[0]), (normal(2, 3, 5), normal(5)),
            "missing sum", "gain", ("axis 0 and axis 1",)),
    Mistake("keepdims", F.linear_forward, change(lin, d2=lambda d, dy, c: d[None]), WIDE,
            "axis of size 1", "b", ("(1, 7)",)),
    Mistake("summed too much", F.linear_forward, change(lin, d0=lambda d, dy, c: d.sum(axis=0)), WIDE,
            "summed too much", "x", ("axis 0",)),
    Mistake("a shape with wrong numbers", F.linear_forward, change(lin, d2=lambda d, dy,
            c: dy * np.arange(7)), WIDE,
            "shape", "b", ("not the right numbers",), False),
    Mistake("transposed, other shape", F.linear_forward, change(lin, d1=lambda d, dy, c: d.T), WIDE,
            "transposed", "W", ("(7, 3)", "(3, 7)")),
    # factors
    Mistake("no scale", F.attention_forward, change(att, d0=lambda d, dy, c: d * np.sqrt(5)), ATTENTION,
            "constant factor", "q", ("2.236", "√5", "last axis of q and k", "1/√5 missing")),
    Mistake("mean for sum", F.linear_forward, change(lin, d1=lambda d, dy, c: d / 5, d2=lambda d, dy,
            c: d / 5),
            WIDE, "constant factor", "", ("each of dW, db", "1/5", "axis 0 of x and y")),
    Mistake("not divided by n", F.cross_entropy_forward, change(ce, d0=lambda d, dy, c: 4 * d),
            (normal(4, 5), TARGETS), "constant factor", "logits", ("length of targets",)),
    Mistake("sign", F.softmax_forward, change(F.softmax_backward, d0=lambda d, dy, c: -d), (normal(3, 5),),
            "constant factor", "x", ("sign",)),
    Mistake("no 1/(1 - rate)", F.dropout_forward, lambda dy, c: dy * (c.factor != 0),
            (normal(5, 7), 0.3, np.random.default_rng(1)), "constant factor", "x", ("1 − rate",)),
    Mistake("√D for √K", F.attention_forward, change(att, d1=lambda d, dy, c: d * np.sqrt(5 / 11)), ATTENTION,
            "constant factor", "k", ("√(5/11)", "one taken for the other")),
    Mistake("twice, where 2 is also a length", F.attention_forward, change(att, d2=lambda d, dy, c: 2 * d),
            ATTENTION, "constant factor", "v", ("counted twice", "Or:", "length of axis 0 of q")),
    Mistake("3 is two lengths", F.linear_forward, change(lin, d0=lambda d, dy, c: 3 * d),
            (normal(3, 5), normal(5, 3), normal(3)), "constant factor", "x", ("axis 0 of x", "length of b")),
    Mistake("off by 0.1 %", F.softmax_forward, change(F.softmax_backward, d0=lambda d, dy, c: 1.001 * d),
            (normal(3, 5),), "constant factor", "x", ("1.001", "0.1 %")),
    # moved entries
    Mistake("transposed", F.linear_forward, change(lin, d1=lambda d, dy, c: d.T), LINEAR, "transposed", "W"),
    Mistake("transposed inside", F.linear_forward, change(lin, d0=lambda d, dy, c: dy @ c.W), LINEAR,
            "transposed inside", "x", ("J dy",)),
    Mistake("reversed", F.linear_forward, change(lin, d0=lambda d, dy, c: d[::-1]), WIDE, "reversed", "x"),
    Mistake("shifted", F.linear_forward, change(lin, d0=lambda d, dy, c: np.roll(d, 1, 0)), WIDE,
            "shifted", "x", ("by 1 along axis 0",)),
    Mistake("permuted", F.linear_forward, change(lin, d0=lambda d, dy, c: d[[2, 0, 1, 4, 3]]), WIDE,
            "permuted", "x", ("[2, 0, 1, 4, 3]",)),
    Mistake("reshaped for transposed", F.linear_forward,
            change(lin, d1=lambda d, dy, c: d.T.reshape(d.shape)), WIDE, "reshaped", "W"),
    # taken for another
    Mistake("another argument's", F.attention_forward, lambda dy, c: (att(dy, c)[1], *att(dy, c)[1:]), SELF,
            "another argument's gradient", "q", ("gradient of k",)),
    Mistake("swapped", F.attention_forward, reorder(att, 0, 2, 1), SELF, "gradients swapped", "",
            ("dk and dv",)),
    Mistake("swapped, other shapes", F.linear_forward, reorder(lin, 1, 0, 2), WIDE, "gradients swapped", "",
            ("dx and dW",)),
    Mistake("dy passed through", tanh_forward, lambda dy, c: dy, (normal(3, 5),), "upstream itself", "x"),
    Mistake("one too few", F.linear_forward, lambda dy, c: lin(dy, c)[:2], WIDE, "number of gradients", "",
            ("that of b is missing",)),
    # arguments as factors
    Mistake("gain forgotten", scaled_forward, change(scaled_backward, d0=lambda d, dy, c: dy),
            (normal(2, 3, 5), normal(5)), "argument as a factor", "x", ("lacks the factor gain",)),
    Mistake("gain twice", scaled_forward, change(scaled_backward, d0=lambda d, dy, c: d * c[1]),
            (normal(2, 3, 5), normal(5)), "argument as a factor", "x", ("gain too much",)),
    Mistake("1/std forgotten", F.layer_norm_forward, change(norm, d0=lambda d, dy, c: d / c.inv_std), NORM,
            "argument as a factor", "x", ("√(var x + 1e-05)",)),
    Mistake("gamma forgotten", F.layer_norm_forward,
            change(norm, d0=lambda d, dy, c: norm(dy / c.gamma, c)[0]), NORM,
            "factor on the upstream gradient", "x", ("lacks the factor gamma",)),
    Mistake("weight forgotten", F.squared_error_forward,
            lambda dy, c: F.squared_error_backward(dy, c) / np.array([1.0, 2, 3, 5]),
            (normal(4), normal(4) + 1, np.array([1.0, 2, 3, 5])),
            "argument as a factor", "prediction", ("factor weight",), True, 1),
    Mistake("a factor per row", F.softmax_forward,
            change(F.softmax_backward, d0=lambda d, dy, c: d * np.array([[1.1], [0.7], [2.3]])), (normal(3,
            5),),
            "factor along an axis", "x", ("from 0.7 to 2.3",), False),
    Mistake("1 - y for 1 - y²", tanh_forward, lambda dy, y: dy * (1 - y), (normal(3, 5),),
            "argument as a factor", "x", ("lacks the factor 1 + y",)),
    Mistake("no p before the sum is taken off", F.softmax_forward,
            lambda dy, c: dy - (c.p * dy).sum(axis=-1, keepdims=True), (normal(3, 5),),
            "argument as a factor", "x", ("lacks the factor y (what forward returns)",)),
    # places
    Mistake("mask not applied", masked_forward, lambda dy, c: 2 * c[0] * dy, (normal(3, 5), MASK),
            "wrong in places", "x", ("must be 0 where mask is False",)),
    Mistake("mask forgotten in softmax", softmax_keeping_x, mask_forgotten, (normal(3, 5), MASK),
            "wrong in places", "x", ("rows of mask with something hidden",), False),
    Mistake("padding row updated", lambda E, ids: (np.where((ids == 0)[:, None], 0, E[ids]), ids),
            lambda dy, ids: emb(dy, F.EmbeddingCache(ids, (5, 3))), (normal(5, 3), np.array([0, 1, 0, 3])),
            "wrong in places", "E", ("row 0",)),
    Mistake("last column", F.linear_forward, change(lin, d1=lambda d, dy, c: d * (np.arange(7) < 6)), WIDE,
            "wrong in places", "W", ("is 0", "last place along the last axis")),
    Mistake("target not subtracted", F.cross_entropy_forward, lambda dy, c: dy * np.exp(c.log_p) * 0.25,
            (normal(4, 5), TARGETS), "wrong in places", "logits", ("targets names in each row", "+0.25 dy")),
    Mistake("target included twice", F.cross_entropy_forward,
            lambda dy, c: ce(dy, c) - dy * 0.25 * (np.arange(5) == c.targets[:, None]), (normal(4, 5),
            TARGETS),
            "wrong in places", "logits", ("targets names in each row", "-0.25 dy")),
    Mistake("rows never read", F.embedding_forward, lambda dy, c: emb(dy, c) + dy.sum() * ~np.isin(
            np.arange(5), c.ids)[:, None], (normal(5, 3), IDS), "wrong in places", "E",
            ("must be 0", "ids never reads")),
    Mistake("hidden keys", F.attention_forward,
            change(att, d1=lambda d, dy, c: d + dy.sum() * HIDDEN[..., None], d2=lambda d, dy, c: d + 0),
            (normal(3, 5), normal(7, 5), normal(7, 11), np.tile(~HIDDEN, (3, 1))),
            "wrong in places", "k", ("must be 0", "keys that mask hides from every query")),
    Mistake("off the diagonal", product_forward, change(product_backward, d0=lambda d, dy, c: d * np.eye(3)),
            (normal(3, 3), normal(3, 5)), "wrong in places", "a", ("is 0 off the diagonal",)),
    Mistake("diagonal", product_forward, change(product_backward, d0=lambda d, dy, c: d * (1 - np.eye(3))),
            (normal(3, 3), normal(3, 5)), "wrong in places", "a", ("on the diagonal",)),
    Mistake("wrong for large x", tanh_forward,
            lambda dy, y: tanh_backward(dy, y) * np.where(np.abs(y) > np.tanh(1.0), 1.5, 1), (normal(5, 7),),
            "wrong in places", "x", ("|x| is above",)),
    Mistake("one entry", F.linear_forward, change(lin, d1=lambda d, dy, c: d * (1 + 0.01 * _at(d, 1, 4))),
            WIDE,
            "one entry", "W", ("[1, 4]",)),
    # left out, or too much
    Mistake("overwritten", F.embedding_forward, last_of_repeated_ids, (normal(5, 3), IDS),
            "overwritten", "E", ("the last", "ids")),
    Mistake("overwritten in the model", F.factorization_forward, overwritten_users, MF,
            "overwritten", "P", ("users",)),
    Mistake("bias of the first row", F.linear_forward, change(lin, d2=lambda d, dy, c: dy[0]), WIDE,
            "missing contributions", "b", ("first place along axis 0",)),
    Mistake("one batch row for the keys", F.attention_forward,
            change(att, d1=lambda d, dy, c: att(dy * _at(dy, slice(None), 2), c)[1]), ATTENTION,
            "missing contributions", "k", ("last place along axis 1",)),
    Mistake("softmax diagonal", F.softmax_forward, lambda dy, c: dy * c.p * (1 - c.p), (normal(3, 5),),
            "missing contributions", "x", ("diagonal of its Jacobian",)),
    Mistake("softmax without its sum", F.softmax_forward, lambda dy, c: dy * c.p, (normal(3, 5),),
            "missing row sum term", "x", ("lacks", "sum over the last axis", "sums to 0")),
    Mistake("log-softmax without its sum", F.log_softmax_forward, lambda dy, c: dy, (normal(3, 5),),
            "missing row sum term", "x", ("fits as well: upstream itself",)),
    Mistake("norm without mean", F.layer_norm_forward, norm_without(True, False), NORM,
            "missing mean term", "x"),
    Mistake("norm without variance", F.layer_norm_forward, norm_without(False, True), NORM,
            "missing variance term", "x"),
    Mistake("norm without both", F.layer_norm_forward, norm_without(True, True), NORM,
            "missing mean and variance terms", "x"),
    Mistake("residual path", residual_forward, change(residual_backward, d0=lambda d, dy, c: d - dy), LINEAR,
            "residual path", "x", ("lacks + dy",)),
    Mistake("residual path twice", residual_forward, change(residual_backward, d0=lambda d, dy, c: d + dy),
            LINEAR,
            "residual path", "x", ("too much",)),
    Mistake("another one added", F.attention_forward, lambda dy, c: (sum(att(dy, c)[:2]), *att(dy, c)[1:]),
            SELF,
            "another gradient added", "q", ("holds the gradient of k",)),
    # not linear in dy
    Mistake("absolute dy", F.softmax_forward, on_upstream(F.softmax_backward, np.abs), (normal(3, 5),),
            "not linear", "", ("absolute value",)),
    Mistake("positive dy", F.linear_forward, on_upstream(lin, lambda dy: np.maximum(dy, 0)), WIDE,
            "not linear", "", ("positive part",)),
    Mistake("negative dy", F.linear_forward, on_upstream(lin, lambda dy: np.minimum(dy, 0)), WIDE,
            "not linear", "", ("negative part",)),
    Mistake("sign of dy", F.linear_forward, on_upstream(lin, np.sign), WIDE, "not linear", "",
            ("sign of dy",)),
    Mistake("clipped dy", F.softmax_forward, on_upstream(F.softmax_backward, lambda dy: np.clip(dy, -0.7,
            0.7)),
            (normal(3, 5),), "not linear", "", ("±0.7",)),
    Mistake("clipped gradients", F.softmax_forward,
            change(F.softmax_backward, d0=lambda d, dy, c: np.clip(d, -0.2, 0.2)), (normal(3, 5),),
            "not linear", "", ("larger than 0.2",)),
    Mistake("small dy dropped", F.softmax_forward,
            on_upstream(F.softmax_backward, lambda dy: np.where(np.abs(dy) < 1e-4, 0, dy)), (normal(3, 5),),
            "not linear", "", ("below 0.0001",)),
    Mistake("dy taken as 1", F.softmax_forward, lambda dy, c: c.p * 0.5, (normal(3, 5),), "ignores dy", "",
            (),
            False),
    Mistake("dloss ignored", F.cross_entropy_forward, lambda dy, c: ce(np.float64(1.0), c), (normal(4, 5),
            TARGETS),
            "ignores dy", "", ("taken to be 1",)),
    Mistake("weight decay", F.linear_forward, change(lin, d1=lambda d, dy, c: d + 0.01 * c.W), WIDE,
            "constant added", "", ("0.01 times W",)),
    Mistake("squared dy", F.linear_forward, on_upstream(lin, lambda dy: dy * np.abs(dy)), WIDE,
            "not linear", "",
            ("twice dy",), False),
    # numbers
    Mistake("zero", F.linear_forward, change(lin, d2=lambda d, dy, c: 0 * d), WIDE, "zero", "b"),
    Mistake("NaN at masked places", masked_forward,
            lambda dy, c: np.where(c[1], 2 * c[0] * dy, np.nan), (normal(3, 5), MASK),
            "not finite", "x", ("NaN where mask is False", "right elsewhere")),
    Mistake("NaN in constant rows", F.layer_norm_forward,
            change(norm, d0=lambda d, dy, c: np.where(FLAT, np.nan, d)),
            (np.where(FLAT, 1.0, normal(5, 7)), normal(7) + 3, normal(7)),
            "not finite", "x", ("rows where the argument is constant",)),
    Mistake("NaN somewhere", F.softmax_forward,
            change(F.softmax_backward, d0=lambda d, dy, c: np.where(_at(d, 1, 2) > 0, np.nan, d)),
            (normal(3, 5),),
            "not finite", "x", ("1 of 15", "[1, 2]"), False),
    Mistake("NaN for zeros in dy", F.softmax_forward, on_upstream(F.softmax_backward,
            lambda dy: dy * dy / dy),
            (normal(3, 5),), "not finite", "x", ("dy has zeros",), False),
    Mistake("float32", F.linear_forward, change(lin, d1=lambda d, dy,
            c: d.astype(np.float32).astype(float)), WIDE,
            "precision", "W", ("float32",)),
    Mistake("float16", F.softmax_forward,
            lambda dy, c: F.softmax_backward(dy, c).astype(np.float16).astype(np.float64), (normal(3, 5),),
            "precision", "x", ("float16",)),
    Mistake("whole numbers", F.linear_forward, change(lin, d0=lambda d, dy, c: np.trunc(d)),
            (normal(5, 3), 9 * normal(3, 7), normal(7)), "whole numbers", "x", ("cut",)),
    # two at once
    Mistake("transposed and scaled, other shape", F.linear_forward, change(lin, d1=lambda d, dy,
            c: d.T / 5), WIDE,
            "transposed", "W", ("(7, 3)", "1/5")),
    Mistake("another's, of another shape, scaled", F.linear_forward,
            lambda dy, c: (2 * lin(dy, c)[1], *lin(dy, c)[1:]), WIDE,
            "another argument's gradient", "x", ("gradient of W", "2 times")),
    Mistake("another's, transposed", F.linear_forward, lambda dy, c: (lin(dy, c)[1].T, *lin(dy, c)[1:]),
            (normal(3, 3), normal(3, 3) + 1, normal(3)),
            "another argument's gradient", "x", ("gradient of W with axes", "swapped")),
    Mistake("shifted, zero coming in", F.linear_forward,
            change(lin, d0=lambda d, dy, c: np.concatenate([0 * d[:1], d[:-1]])), WIDE,
            "shifted", "x", ("0 coming in",)),
    Mistake("a factor per output", F.layer_norm_forward,
            change(norm, d0=lambda d, dy, c: norm(dy * np.arange(1.0, 6.0), c)[0]), NORM,
            "factor on the upstream gradient", "x", ("from 1 to 5",), False),
    Mistake("a mask on dy", F.softmax_forward,
            lambda dy, c: F.softmax_backward(dy * MASK, c), (normal(3, 5), MASK | True),
            "missing contributions", "x", (), False),
    Mistake("attention without its softmax sum", F.attention_forward, lambda dy, c: unsummed(dy, c),
            ATTENTION,
            "missing term", "q", ("multiple of one vector",), False),
    Mistake("transposed and scaled", F.linear_forward, change(lin, d1=lambda d, dy, c: d.T / 5), LINEAR,
            "transposed", "W", ("1/5",)),
    Mistake("another's with the wrong sign", F.attention_forward,
            lambda dy, c: (-att(dy, c)[1], *att(dy, c)[1:]), SELF,
            "another argument's gradient", "q", ("gradient of k", "sign")),
    Mistake("reversed and scaled", F.softmax_forward,
            change(F.softmax_backward, d0=lambda d, dy, c: 2 * d[::-1]), (normal(3, 5),),
            "reversed", "x", ("2 times",)),
]  # fmt: skip


def _at(d: np.ndarray, *place: Any) -> np.ndarray:
    hit = np.zeros(d.shape)
    hit[place] = 1.0
    return hit


@pytest.mark.parametrize("row", MISTAKES, ids=[row.label for row in MISTAKES])
def test_the_mistake_is_named(row: Mistake) -> None:
    causes = diagnose(seen(row.forward, row.backward, row.args, row.wrt))
    assert causes, "nothing recognized"
    first = causes[0]
    assert (first.name, first.argument, first.sure) == (row.name, row.argument, row.sure), causes
    assert all(word in first.text for word in row.words), first.text


# ---- honesty: no cause where nothing is wrong, no sure cause where the mistake is of no known kind


def plain(name: str, args: tuple[Any, ...]) -> tuple[Callable[..., Any], Backward, int]:
    forward, backward = getattr(F, f"{name}_forward"), getattr(F, f"{name}_backward")
    y, cache = forward(*args)
    return forward, backward, len(as_list(backward(np.ones_like(y)[()], cache)))


@pytest.mark.parametrize("row", FUNCTIONS, ids=str)
def test_the_right_gradient_has_no_cause(row: Any) -> None:
    assert row.args is not None
    forward, backward, count = plain(row.name, row.args())
    assert diagnose(seen(forward, backward, row.args(), wrt=count)) == ()


def with_wrong_jacobian(seed: int, size: float) -> Callable[[Backward], Backward]:
    """The gradients plus `size` times a random linear function of dy."""
    noise: dict[int, np.ndarray] = {}

    def fault(backward: Backward) -> Backward:
        def wrong(dy: Any, cache: Any) -> Any:
            out = []
            for k, d in enumerate(as_list(backward(dy, cache))):
                if k not in noise:
                    noise[k] = np.random.default_rng([seed, k]).standard_normal((np.size(dy), d.size)) * size
                out.append(d + (np.ravel(dy) @ noise[k]).reshape(d.shape))
            return tuple(out)

        return wrong

    return fault


def with_noisy_factors(seed: int, size: float) -> Callable[[Backward], Backward]:
    """Each entry of each gradient times a random factor of its own."""

    def fault(backward: Backward) -> Backward:
        def wrong(dy: Any, cache: Any) -> Any:
            rng = np.random.default_rng(seed)
            return tuple(d * (1 + size * rng.standard_normal(d.shape)) for d in as_list(backward(dy, cache)))

        return wrong

    return fault


SMALL = [row for row in FUNCTIONS if row.args and sum(np.size(a) for a in row.args()) < 100]


@pytest.mark.parametrize("row", SMALL, ids=str)
@pytest.mark.parametrize("fault", [with_wrong_jacobian, with_noisy_factors])
def test_noise_has_no_sure_cause(row: Any, fault: Any) -> None:
    forward, backward, count = plain(row.name, row.args())
    for seed, size in enumerate((1e-6, 1e-2, 1.0)):
        causes = diagnose(seen(forward, fault(seed, size)(backward), row.args(), wrt=count))
        # Noise on a gradient that is 0 save for one entry is one wrong entry.
        assert not [cause for cause in causes if cause.sure and cause.name != "one entry"]


def soft(x: np.ndarray, temperature: float) -> np.ndarray:
    e = np.exp(x / temperature)
    return e / e.sum(axis=-1, keepdims=True)


OTHER: list[tuple[str, Callable[..., Any], Backward, tuple[Any, ...]]] = [
    ("sin for cos", lambda x: (np.sin(x), x), lambda dy, x: dy * np.sin(x), (normal(3, 5),)),
    ("sin for cos, one output", lambda x: (np.sin(x).sum(), x), lambda dy, x: dy * np.sin(x), (normal(5),)),
    ("a number", lambda x: (np.exp(x).sum(), x), lambda dy, x: dy * np.exp(x * 1.1), (normal(1),)),
    ("temperature", lambda x: (soft(x, 1.3), soft(x, 1.1)),
     lambda dy, p: F.softmax_backward(dy, F.SoftmaxCache(p)), (normal(3, 5),)),
    ("softmax over the rows", lambda x: (soft(x, 1.0), x),
     lambda dy, x: F.softmax_backward(dy.T, F.SoftmaxCache(soft(x.T, 1.0))).T, (normal(3, 5),)),
    ("x² for x³ in a product", product_forward, lambda dy, c: (dy @ (c[1] ** 2).T, (c[0] ** 2).T @ dy),
     (normal(3, 5), normal(5, 7))),
    ("p of other scores", F.attention_forward,
     lambda dy, c: att(dy, c._replace(p=soft(c.q @ c.k.swapaxes(-1, -2), 1.0))), ATTENTION),
    ("a loss", F.cross_entropy_forward, lambda dy, c: dy * np.exp(0.9 * c.log_p) / 4,
     (normal(4, 5), TARGETS)),
    ("two unrelated mistakes", F.linear_forward,
     lambda dy, c: (lin(dy, c)[0][::-1] + np.sin(c.x) * dy.sum(), *lin(dy, c)[1:]), WIDE),
]  # fmt: skip


@pytest.mark.parametrize(("forward", "backward", "args"), [o[1:] for o in OTHER], ids=[o[0] for o in OTHER])
def test_an_unknown_mistake_has_no_sure_cause(forward: Any, backward: Backward, args: Any) -> None:
    e = seen(forward, backward, args)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(e.found, e.expected, strict=True))
    assert not [cause for cause in diagnose(e) if cause.sure]


def test_a_factor_that_explains_a_tiny_deviation_in_part_only_is_not_sure() -> None:
    rng = np.random.default_rng(3)

    def wrong(dy: Any, cache: Any) -> Any:
        dx, *rest = lin(dy, cache)
        return dx * (1 + 3e-8 + 5e-9 * rng.choice([-1.0, 1.0], dx.shape)), *rest

    e = seen(F.linear_forward, wrong, WIDE)
    causes = diagnose(Evidence(e.names, e.arguments, e.found, e.expected, e.upstream))
    assert not [cause for cause in causes if cause.sure]


def test_a_mistake_in_one_argument_is_not_told_of_the_others() -> None:
    wrong = change(att, d1=lambda d, dy, c: -d)
    assert [cause.argument for cause in diagnose(seen(F.attention_forward, wrong, ATTENTION))] == ["k"]


def test_two_mistakes_in_two_arguments_are_two_causes() -> None:
    wrong = change(lin, d1=lambda d, dy, c: d.T, d2=lambda d, dy, c: dy)
    causes = diagnose(seen(F.linear_forward, wrong, LINEAR))
    assert {(cause.argument, cause.name) for cause in causes} == {("W", "transposed"), ("b", "missing sum")}


def test_samples_alone_name_a_factor_and_a_jacobian_can_refute_them() -> None:
    e = seen(F.linear_forward, change(lin, d0=lambda d, dy, c: 2 * d), WIDE)
    few = Evidence(e.names, e.arguments, e.found, e.expected, e.upstream)
    assert [(c.name, c.sure) for c in diagnose(few)] == [("constant factor", True)]
    jacobian = np.array(e.jacobian_found)
    jacobian[0, 0] += 1.0
    refuted = Evidence(e.names, e.arguments, e.found, e.expected, e.upstream, jacobian, e.jacobian_expected)
    assert not [c for c in diagnose(refuted) if c.sure]


def test_without_the_jacobian_a_function_of_dy_is_only_probable() -> None:
    e = seen(F.linear_forward, on_upstream(lin, np.abs), WIDE)
    causes = diagnose(Evidence(e.names, e.arguments, e.found, e.expected, e.upstream, pull=e.pull))
    assert [(c.name, c.sure) for c in causes] == [("not linear", False)]
    assert "absolute value" in causes[0].text


def test_a_second_call_that_differs_is_named_first() -> None:
    kept: list[Any] = []

    def accumulating(dy: Any, cache: Any) -> Any:
        new = lin(dy, cache)
        kept[:] = [a + b for a, b in zip(kept, new, strict=True)] if kept else new
        return tuple(kept)

    causes = diagnose(seen(F.linear_forward, accumulating, WIDE))
    assert causes[0].name == "second call differs"
    assert "add to the gradient of the call before" in causes[0].text


VALUES: list[tuple[str, Any, Any, dict[str, Any], str, bool]] = [
    ("not divided by n", F.squared_error_forward(normal(7), normal(5, 7)[0])[0] * 7,
     F.squared_error_forward(normal(7), normal(5, 7)[0])[0], {"prediction": normal(7)}, "constant factor",
     False),
    ("a number with an unknown factor", np.float64(1.234), np.float64(1.0), {"x": normal(7)},
     "constant factor", False),
    ("a constant", normal(3, 5) + 0.5, normal(3, 5), {}, "constant added", True),
    ("transposed", normal(3, 3).T, normal(3, 3), {}, "transposed", True),
    ("not summed", normal(3, 5), normal(3, 5).sum(axis=0), {}, "missing sum", True),
    ("gain forgotten", normal(3, 5), normal(3, 5) * normal(5), {"gain": normal(5)}, "argument as a factor",
     True),
    ("not normalized", np.exp(normal(3, 5)), soft(normal(3, 5), 1.0), {"x": normal(3, 5)},
     "argument as a factor", True),
    ("mask not applied", normal(3, 5), np.where(MASK, normal(3, 5), 0), {"mask": MASK}, "wrong in places",
     True),
    ("NaN", np.where(MASK, normal(3, 5), np.nan), np.where(MASK, normal(3, 5), 0), {"mask": MASK},
     "not finite", True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("found", "expected", "arguments", "name", "sure"), [v[1:] for v in VALUES], ids=[v[0] for v in VALUES]
)
def test_the_mistake_in_a_value_is_named(
    found: Any, expected: Any, arguments: dict[str, Any], name: str, sure: bool
) -> None:
    causes = diagnose_value(found, expected, arguments)
    assert (causes[0].name, causes[0].sure) == (name, sure), causes
    assert causes[0].argument == ""
    assert causes[0].text.startswith("y ")


def test_a_right_value_and_an_unknown_one_have_no_sure_cause() -> None:
    y, minus = normal(3, 5), np.where(MASK, normal(3, 5), -np.inf)
    assert diagnose_value(y, y * (1 + 1e-12), {"x": y}) == ()
    assert diagnose_value(minus, minus, {"x": y}) == ()
    for seed in range(20):
        noise = np.random.default_rng(seed).standard_normal((3, 5))
        assert not [cause for cause in diagnose_value(y + noise, y, {"x": y, "mask": MASK}) if cause.sure]


@pytest.mark.parametrize("factor", [1 + 1e-9, 1 + 1e-7])
def test_a_factor_next_to_one_is_not_taken_for_a_ratio_of_equal_sizes(factor: float) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3))
    report = check_gradient(F.softmax_forward, lambda dp, cache: F.softmax_backward(dp, cache) * factor, x)
    (cause,) = report.causes
    assert f"off by {100 * (factor - 1):.2g} %" in cause.text
    assert "missing" not in cause.text


def test_a_symmetric_jacobian_is_not_called_untransposed() -> None:
    def odd(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        return 2 * x * np.sign(dy) * np.abs(dy) ** 1.5  # J is diagonal: its transpose is no explanation

    x = np.random.default_rng(0).standard_normal(5)
    report = check_gradient(lambda x: (x**2, x), odd, x)
    assert not report.ok
    assert "transposed inside" not in [cause.name for cause in report.causes]


# Told by a user's call: neither more than can be seen, nor a number that nobody can use.


def told(forward: Any, backward: Any, *args: Any, **options: Any) -> tuple[str, ...]:
    report = check_gradient(forward, backward, *args, **options)
    assert not report.ok
    return tuple(f"{'probably' if cause.sure else 'perhaps'}: {cause.text}" for cause in report.causes)


def norm_with(mean: float, variance: float) -> Backward:
    def backward(dy: Any, cache: F.LayerNormCache) -> Any:
        g = dy * cache.gamma
        dx = g - mean * g.mean(axis=-1, keepdims=True)
        dx = dx - variance * cache.x_hat * np.mean(g * cache.x_hat, axis=-1, keepdims=True)
        return dx * cache.inv_std, *F.layer_norm_backward(dy, cache)[1:]

    return backward


VARIANCE, MEAN = "the term of the variance along the last axis", "the term of the mean along the last axis"


@pytest.mark.parametrize(
    ("mean", "variance", "words"),
    [
        (1.0, 0.0, (f"dx lacks {VARIANCE}",)),
        (0.0, 1.0, (f"dx lacks {MEAN}",)),
        (0.0, 0.0, ("dx lacks the terms of mean and variance",)),
        (1.0, 1 + 1e-5, (f"dx holds 1.00001 times {VARIANCE}", "once is right")),
        (1.0, -1.0, (f"dx holds -1 times {VARIANCE}", "is the sign wrong?")),
        (1.0, 5.0, (f"dx holds 5 times {VARIANCE}", "is a division by 5 missing?")),
        (5.0, 5.0, ("dx holds 5 times the terms of mean and variance", "is a division by 5 missing?")),
        (5.0, -1.0, (f"dx holds 5 times {MEAN}", f"and -1 times {VARIANCE}", "once is right for each")),
    ],
)
def test_the_terms_of_layer_norm_are_measured(mean: float, variance: float, words: tuple[str, ...]) -> None:
    (text,) = told(F.layer_norm_forward, norm_with(mean, variance), *NORM)
    assert text.startswith(f"probably: {words[0]}")
    assert all(word in text for word in words)
    assert ("lacks" in text) == (0.0 in (mean, variance))


def test_terms_along_another_axis_are_measured_there() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x - x.mean(axis=0), x

    (text,) = told(forward, lambda dy, x: dy - 3 * dy.mean(axis=0), normal(3, 5))
    assert text.startswith("probably: dx holds 3 times the term −mean along axis 0; once is right: that is 3")


@pytest.mark.parametrize(
    ("strength", "words"),
    [
        (
            1 / 5,
            ("holds 0.2 times the term with a sum over the last axis", "is it divided by 5 once too often?"),
        ),
        (-1.0, ("holds -1 times the term with a sum over the last axis", "is the sign wrong?")),
        (1 + 1e-6, ("holds 1.000001 times the term with a sum over the last axis",)),
    ],
)
def test_the_sum_of_softmax_is_measured(strength: float, words: tuple[str, ...]) -> None:
    def backward(dp: Any, cache: F.SoftmaxCache) -> Any:
        return cache.p * (dp - strength * (cache.p * dp).sum(axis=-1, keepdims=True))

    (text,) = told(F.softmax_forward, backward, normal(3, 5))
    assert text.startswith("probably: dx ")
    assert all(word in text for word in words)
    assert "−p Σ p ⊙ dp" in text
    assert "lacks" not in text


def test_a_mean_for_a_sum_in_log_softmax_is_measured() -> None:
    def backward(dy: Any, cache: F.LogSoftmaxCache) -> Any:
        return dy - np.exp(cache.y) * dy.mean(axis=-1, keepdims=True)

    (text,) = told(F.log_softmax_forward, backward, normal(3, 5))
    assert text.startswith(
        "probably: dx holds 0.2 times the term with a sum over the last axis (like −p Σ dp)"
    )


def test_a_term_that_cannot_be_measured_is_only_perhaps_wrong() -> None:
    def forward(x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, Any]:
        p, cache = F.softmax_forward(x)
        return p @ W, (cache, W)

    def backward(dy: np.ndarray, c: Any) -> Any:
        cache, W = c
        dp = dy @ W.T
        return cache.p * (dp + (cache.p * dp).sum(axis=-1, keepdims=True)), cache.p.T @ dy

    causes = told(forward, backward, normal(3, 5), normal(5, 7))
    assert causes == (
        "perhaps: dx must sum to 0 along the last axis, and does not: "
        "a term with a sum over the last axis is missing, or wrong in size, sign or axis",
    )


def test_norm_terms_that_cannot_be_measured_are_only_perhaps_wrong() -> None:
    def forward(x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, Any]:
        y, cache = F.layer_norm_forward(x, np.ones(5), np.zeros(5))
        return y @ W, (cache, W)

    def backward(dy: np.ndarray, c: Any) -> Any:
        cache, W = c
        return norm_with(1.0, -1.0)(dy @ W.T, cache)[0], cache.x_hat.T @ dy

    (text,) = told(forward, backward, normal(3, 5), normal(5, 7))
    assert text.startswith("perhaps: dx must be at right angles to x − mean x along the last axis")


def test_a_mean_that_cannot_be_measured_is_only_perhaps_wrong() -> None:
    def forward(x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, Any]:
        c = x - x.mean(axis=-1, keepdims=True)
        return c @ W, (c, W)

    (text,) = told(forward, lambda dy, c: (dy @ c[1].T, c[0].T @ dy), normal(3, 5), normal(5, 7))
    assert text.startswith("perhaps: dx is right once its own mean along the last axis is subtracted")


@pytest.mark.parametrize(("noise", "tolerance"), [(1e-6, 1e-9), (3e-3, 1e-2)])
def test_a_factor_on_a_term_must_leave_nothing_over(noise: float, tolerance: float) -> None:
    """Beyond what the right gradient is good to, and beyond a small part of what it explains."""

    def backward(size: float) -> Backward:
        def wrong(dp: Any, cache: F.SoftmaxCache) -> Any:
            more = 0.1 * cache.p * (cache.p * dp).sum(axis=-1, keepdims=True)
            return F.softmax_backward(dp, cache) - more + size * np.cos(np.arange(15)).reshape(3, 5) * dp

        return wrong

    for size, said in ((0.0, True), (noise, False)):
        e = replace(seen(F.softmax_forward, backward(size), (normal(3, 5),)), tolerance=tolerance)
        assert ("factor on a term" in [cause.name for cause in diagnose(e)]) == said


def test_a_part_of_dy_is_no_residual_path() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return 0.5 * x + np.tanh(x), x

    assert told(forward, lambda dy, x: dy * (1 - np.tanh(x) ** 2), normal(3, 5)) == (
        "probably: dx lacks + 0.5 dy",
    )


def test_another_gradient_transposed_is_that_and_nothing_more() -> None:
    wrong = change(lin, d0=lambda d, dy, c: lin(dy, c)[1].T)
    (text,) = told(F.linear_forward, wrong, normal(3, 3), normal(3, 3) + 1, normal(3))
    assert "the gradient of W with axes" in text
    assert "moreover" not in text


def test_one_factor_is_no_range_of_factors() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.sin(x[0, 0]), x

    def backward(dy: Any, x: np.ndarray) -> np.ndarray:
        return 1.5 * dy * np.cos(x[0, 0]) * _at(x, 0, 0)

    causes = told(forward, backward, normal(3, 5))
    assert causes[0].startswith("perhaps: dx is 1.5 times the right one")
    assert " from " not in " ".join(causes)


def test_a_sum_over_the_whole_array_is_named() -> None:
    def backward(dp: Any, cache: F.SoftmaxCache) -> Any:
        return cache.p * (dp - (cache.p * dp).sum())

    (text,) = told(F.softmax_forward, backward, normal(3, 5))
    assert text.startswith("probably: dx takes from y at other places along axis 0 too, and is right but for")


def test_a_bias_summed_over_both_axes_is_named() -> None:
    wrong = change(lin, d2=lambda d, dy, c: np.full(7, dy.sum()))
    (text,) = told(F.linear_forward, wrong, *WIDE)
    assert text.startswith("probably: db takes from y at other places along the last axis too")


def test_a_sum_over_the_wrong_axis_is_perhaps_one() -> None:
    def backward(dp: Any, cache: F.SoftmaxCache) -> Any:
        return cache.p * (dp - (cache.p * dp).sum(axis=0))

    (text,) = told(F.softmax_forward, backward, normal(3, 5))
    assert text.startswith("perhaps: dx takes from y at other places along axis 0, the right one from other")
    assert "along the last axis" in text


def test_keys_without_a_transposition_are_seen_by_what_they_reach() -> None:
    def backward(dy: Any, c: F.AttentionCache) -> Any:
        dp = dy @ c.v.T
        ds = c.p * (dp - (c.p * dp).sum(axis=-1, keepdims=True)) / np.sqrt(3)
        return ds @ c.k, ds @ c.q, c.p.T @ dy

    (text,) = told(F.attention_forward, backward, normal(5, 3), normal(5, 3)[::-1] * 2, normal(5, 3) - 1)
    assert text.startswith("perhaps: dk takes only from y at the same place along axis 0")


def test_another_row_that_leaks_in_is_perhaps_named() -> None:
    (text,) = told(tanh_forward, lambda dy, y: np.cos(y) * (dy + 0.3 * np.roll(dy, 1, axis=0)), normal(3, 5))
    assert (
        text
        == "perhaps: dx takes from y at other places along axis 0, and must take from the same place only"
    )


def test_entries_in_another_order_are_named() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, None]:
        return x.reshape(3, 2, 5).transpose(1, 0, 2).copy(), None

    (text,) = told(forward, lambda dy, cache: dy.reshape(3, 10), normal(3, 10))
    assert text.startswith("probably: dx holds the right numbers, in other places")


def test_a_mask_the_wrong_way_round_is_named() -> None:
    causes = told(lambda x: (np.tril(x) ** 2, x), lambda dy, x: 2 * np.triu(x) * dy, normal(5, 5))
    assert causes == (
        "probably: dx is 0 below the diagonal, and must not be; and must be 0 above the diagonal, and is not:"
        " is a mask the wrong way round? It is right elsewhere.",
    )


def test_a_variance_taken_in_two_ways_is_named() -> None:
    wrong = change(norm, d0=lambda d, dy, c: d * np.sqrt(4 / 5))
    (text,) = told(F.layer_norm_forward, wrong, normal(2, 5), *NORM[1:])
    assert "√(4/5)" in text
    assert "is a variance divided by 5 in one place, by 4 in another?" in text


def test_a_constant_that_is_left_out_is_no_factor() -> None:
    def backward(dy: Any, c: Any) -> Any:
        return dy * np.exp(c.log_p) / 4

    (text,) = told(F.cross_entropy_forward, backward, normal(4, 5), TARGETS)
    assert text.endswith("off by +0.25 dy, the same at each of them: is a constant left out, or wrong?")


def test_an_added_constant_is_named_once() -> None:
    (text,) = told(lambda x: ((x**3).sum(), x), lambda dy, x: dy * 3 * x**2 + 0.1 * x, normal(5))
    assert text.count("0.1 times") == 1


def test_a_single_number_proves_no_factor() -> None:
    (text,) = told(
        lambda x: (x**3, x), lambda dy, x: dy * 3 * x, np.array([2.0])
    )  # 2 is x here, not a factor
    assert text.startswith("perhaps: dx is 0.5 times the right one")


def test_no_digits_are_printed_that_are_not_known() -> None:
    def forward(x: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return 1e7 * x + b**2, b

    e = seen(forward, lambda dy, b: (1e7 * dy, dy * (3.0002 * b)), (normal(5), normal(7)[:5]))
    assert [cause.text for cause in diagnose(e)] == ["db is 1.5 times the right one"]  # 1.5001 is not known


def test_a_factor_is_named_as_well_as_the_right_gradient_is_known() -> None:
    e = seen(F.linear_forward, change(lin, d0=lambda d, dy, c: 2.00005 * d), WIDE)
    assert "counted twice" not in diagnose(e)[0].text
    assert "counted twice" in diagnose(replace(e, tolerance=1e-4))[0].text
    assert diagnose(replace(e, tolerance=1e-2))[0].text.startswith("dx is 2 times")


def test_a_gradient_that_is_not_returned_is_named() -> None:
    causes = told(F.linear_forward, lambda dy, cache: lin(dy, cache)[::2], *WIDE)
    assert causes == (
        "probably: number of gradients returned: 2; arguments: 3 (x, W, b); that of W is missing",
    )


@pytest.mark.parametrize("big", [1e6, 1e9, 1e10])
def test_a_small_gradient_is_not_called_right_where_nothing_can_be_seen(big: float) -> None:
    def forward(x: Any, b: Any) -> Any:
        return big * x + b**2, b

    causes = told(forward, lambda dy, b: (big * dy, 3 * b * dy), normal(5), normal(7)[:5])
    assert all(text.startswith("probably: db is 1.5") for text in causes)


def test_two_ends_of_a_range_are_printed_apart() -> None:
    def forward(x: Any) -> Any:
        return np.sin(x), x

    causes = told(forward, lambda dy, x: dy * np.cos(x) * (1 + 1e-6 * x), np.array([0.5, 1.0, 0.2]))
    assert "from 1 to 1.000001" in " ".join(causes)


def test_nothing_is_probable_where_the_right_gradient_is_not_known() -> None:
    e = seen(F.linear_forward, change(lin, d0=lambda d, dy, c: 2 * d), WIDE)
    assert diagnose(e)[0].sure
    assert not diagnose(replace(e, tolerance=1e-5))[0].sure


@pytest.mark.parametrize(("bent", "name"), [(1e-7, "gradients swapped"), (1e-3, "not linear")])
def test_a_small_departure_from_linearity_may_be_rounding(bent: float, name: str) -> None:
    def backward(dy: Any, cache: Any) -> Any:
        a, b = cache
        return tuple(part * (dy + bent * np.abs(dy)) for part in (a, b))  # a and b exchanged

    e = seen(lambda a, b: (a * b, (a, b)), backward, (normal(5), normal(7)[:5]))
    assert diagnose(replace(e, tolerance=1e-2))[0].name == name


def test_an_error_in_one_output_is_no_rounding() -> None:
    def forward(x: Any) -> Any:
        return np.stack([x**3, 1e-7 * np.sin(x)]), x

    causes = told(forward, lambda dy, x: 3 * x**2 * dy[0] + 2e-7 * np.cos(x) * dy[1], normal(5))
    assert "float32" not in " ".join(causes)
