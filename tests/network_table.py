"""Rows of the gradient table for whole models: parameters in, loss out, every parameter by name.

TransformerRecommender with its four losses, both sources and both kinds of candidates, on a batch with a
padded history, an empty one and repeated items; SASRec with its four losses, both residuals, one table and
two, on sequences of unequal length; MatrixFactorization with its three losses, L2 included.
Small, with the full Jacobian; and at full width, in random directions.
"""

from typing import Any

import numpy as np
from gradient_table import Row, n

from minirec.models import MatrixFactorization, SASRec, TransformerRecommender
from minirec.verify import Report, check_model

USERS, ITEMS, WIDTH, HEADS, HIDDEN, LENGTH = 3, 7, 4, 2, 5, 5
HISTORIES = np.array([[0, 0, 3, 1, 3], [7, 2, 5, 2, 4], [0, 0, 0, 0, 0]])  # ids; 0 is padding
CANDIDATES = np.array([[2, 5, 7, 5], [1, 3, 6, 6], [4, 1, 2, 3]])  # column 0 is the item that was taken
RATINGS = np.array([1.5, -0.5, -2.0])  # the mean is removed


def source_ids(source: str) -> np.ndarray:
    """What the encoder reads: histories (B, T), or one user index per row (B, 1)."""
    return HISTORIES if source == "history" else np.array([[2], [0], [1]])


def recommender(
    loss: str,
    source: str,
    candidates: str,
    width: int = WIDTH,
    heads: int = HEADS,
    layers: int = 1,
    hidden: int = HIDDEN,
    length: int = LENGTH,
    items: int = ITEMS,
) -> TransformerRecommender:
    """A TransformerRecommender in float64 with a network at random parameters, as `fit` would leave it."""
    model = TransformerRecommender(
        width,
        heads,
        layers,
        source=source,
        candidates=candidates,
        loss=loss,
        length=length,
        hidden=hidden,
        dropout=0.0,
        dtype="float64",
    )
    model.user_ids, model.item_ids = list(range(USERS)), list(range(items))
    rng = np.random.default_rng(len(loss) + 10 * len(source))
    network = model.build(rng)
    moved = {name: a + 0.3 * n(rng, *a.shape) for name, a in network.params().items()}
    moved["item_embedding.E"][0] = 0.0
    model.network = network.with_params(moved)
    return model


def declared_zeros(loss: str, source: str, candidates: str) -> list[str]:
    """Names of the parameters whose gradient is zero by mathematics."""
    zero = ["*.b_k"]  # one number more on all scores of a query: softmax does not see it
    if source == "user":  # one key: its weight is 1, whatever the scores
        zero += ["*encoder.*.attention.[Wb]_q", "*encoder.*.attention.W_k"]
        zero += ["*cross_attention.[Wb]_q", "*cross_attention.W_k"]
        zero += ["*decoder.*.norm2.*"]  # which feeds the queries of the cross-attention and nothing else
    if candidates == "pointwise":  # each candidate sees itself alone
        zero += ["*self_attention.[Wb]_q", "*self_attention.W_k"]
    if loss in ("bpr", "softmax"):  # one number more on all scores of a row: only differences count
        zero += ["*score.b", "*decoder.norm.beta"]
    return zero


def batch_of(loss: str, source: str) -> tuple[np.ndarray, ...]:
    """(source, candidates[, ratings]), as `loss_and_grads` of the model takes it."""
    return (source_ids(source), CANDIDATES, RATINGS)[: 3 if loss == "squared" else 2]


def transformer(loss: str, source: str, candidates: str) -> Row:
    def gradient() -> Report:
        return check_model(
            recommender(loss, source, candidates), batch_of(loss, source), jacobian=True, method="complex",
            zero=declared_zeros(loss, source, candidates),
            title=f"gradient of TransformerRecommender ({loss}, {source}, {candidates})",
        )  # fmt: skip

    return Row("TransformerRecommender", f"{loss}, {source}, {candidates}", gradient)


def sasrec(loss: str, residual: str, tied: bool = True, **sizes: int) -> SASRec:
    """A SASRec in float64 with a network at random parameters, as `fit` would leave it."""
    sizes = {"width": WIDTH, "heads": HEADS, "layers": 1, "hidden": 5, "length": 5, "items": ITEMS} | sizes
    model = SASRec(
        sizes["width"], sizes["heads"], sizes["layers"], loss=loss, residual=residual,
        length=sizes["length"], hidden=sizes["hidden"], dropout=0.0, dtype="float64", tied=tied,
    )  # fmt: skip
    model.user_ids, model.item_ids = list(range(USERS)), list(range(sizes["items"]))
    rng = np.random.default_rng(11)
    network = model.build(rng)
    model.network = network.with_params(
        {name: array + 0.3 * rng.standard_normal(array.shape) for name, array in network.params().items()}
    )
    model.network.item_embedding.E[0] = model.network.output_embedding.E[0] = 0.0
    return model


def sasrec_batch(loss: str) -> tuple[np.ndarray, ...]:
    """(inputs, targets[, negatives]) of three users with 2, 5 and 1 steps; each has a target as negative."""
    inputs = np.array([[0, 0, 0, 3, 1], [7, 2, 5, 2, 4], [0, 0, 0, 0, 6]])
    targets = np.array([[0, 0, 0, 1, 3], [2, 5, 2, 4, 7], [0, 0, 0, 0, 2]])
    by_step = np.array([[4, 1, 1, 5, 2], [1, 1, 6, 6, 3], [7, 7, 7, 7, 5]])
    shared = np.array([[4, 1, 3], [1, 6, 5], [7, 5, 2]])  # the steps of a row have these in common
    return (inputs, targets, by_step if loss == "bce" else shared)[: 2 if loss == "softmax" else 3]


def sequence_model(loss: str, residual: str, tied: bool = True) -> Row:
    label = f"{loss}, residual {residual}{'' if tied else ', two tables'}"

    def gradient() -> Report:
        return check_model(
            sasrec(loss, residual, tied), sasrec_batch(loss), jacobian=True, method="complex",
            zero=["*.b_k"], title=f"gradient of SASRec ({label})",
        )  # fmt: skip

    return Row("SASRec", label, gradient)


def wide_sequence_model(loss: str, residual: str) -> Row:
    def build() -> tuple[Any, tuple[Any, ...]]:
        rng = np.random.default_rng(7)
        model = sasrec(loss, residual, width=64, heads=1, layers=2, hidden=64, length=50, items=211)
        ids = rng.integers(1, 212, (2, 51))
        ids[0, :31] = 0  # padded on the left
        targets = np.where(ids[:, :-1] != 0, ids[:, 1:], 0)
        n = 50 if loss == "bce" else 64
        return model, (ids[:, :-1], targets, rng.integers(1, 212, (2, n)))[: 2 if loss == "softmax" else 3]

    def gradient() -> Report:
        return check_model(
            *build(), directions=1, zero=["*.b_k"],
            title=f"gradient of SASRec ({loss}, {residual}) at full width",
        )  # fmt: skip

    return Row("SASRec", f"{loss}, residual {residual}", gradient, args=build)


def factorizer(loss: str, dim: int, users: int, items: int) -> MatrixFactorization:
    """A MatrixFactorization in float64 at random parameters, as `fit` would leave it."""
    rng = np.random.default_rng(len(loss))
    model = MatrixFactorization(dim, loss, reg=0.3, dtype="float64")
    model.mu = 3.5 if loss == "squared" else 0.0
    model.P, model.Q = n(rng, users, dim), n(rng, items, dim)
    model.b_user, model.b_item = n(rng, users), n(rng, items)
    return model


def factorization(loss: str) -> Row:
    def gradient() -> Report:
        users, items = np.array([0, 2, 0, 2, 2]), np.array([4, 1, 4, 0, 1])
        ratings = n(np.random.default_rng(0), 5)
        third = ratings if loss == "squared" else np.array([2, 3, 1, 3, 6])  # or negatives
        return check_model(
            factorizer(loss, 2, 3, 7), (users, items, third), jacobian=True,
            title=f"gradient of MatrixFactorization ({loss})",
        )  # fmt: skip

    return Row("MatrixFactorization", f"{loss}, L2 included", gradient)


# Full width: what a user gets who changes no setting, on two rows with 64 candidates of 211 items.


def wide_transformer(loss: str, source: str, candidates: str) -> Row:
    def build() -> tuple[Any, tuple[Any, ...]]:
        rng = np.random.default_rng(7)
        model = recommender(
            loss, source, candidates, width=64, heads=8, layers=2, hidden=256, length=50, items=211
        )
        histories = rng.integers(1, 212, (2, 50))
        histories[0, :31] = 0  # padded on the left
        ids = histories if source == "history" else np.array([[2], [0]])
        batch = ids, rng.integers(1, 212, (2, 64)), RATINGS[:2]
        return model, batch[: 3 if loss == "squared" else 2]

    def gradient() -> Report:
        return check_model(
            *build(), directions=1, zero=declared_zeros(loss, source, candidates),
            title=f"gradient of TransformerRecommender ({loss}, {source}, {candidates}) at full width",
        )  # fmt: skip

    return Row("TransformerRecommender", f"{loss}, {source}, {candidates}", gradient, args=build)


def wide_factorization(loss: str) -> Row:
    def build() -> tuple[Any, tuple[Any, ...]]:
        rng = np.random.default_rng(7)
        users, items = rng.integers(0, 23, 101), rng.integers(0, 211, 101)
        third = n(rng, 101) if loss == "squared" else rng.integers(0, 211, 101)
        return factorizer(loss, 100, 23, 211), (users, items, third)

    def gradient() -> Report:
        title = f"gradient of MatrixFactorization ({loss}) at full width"
        return check_model(*build(), title=title)

    return Row("MatrixFactorization", f"{loss}, L2 included", gradient, args=build)


TRANSFORMERS = [
    transformer(loss, source, candidates)
    for loss in ("softmax", "bce", "bpr", "squared")
    for source in ("history", "user")
    for candidates in ("pointwise", "listwise")
]
FACTORIZATIONS = [factorization(loss) for loss in ("squared", "bce", "bpr")]
STEP_LOSSES = ("softmax", "bce", "sampled_softmax", "gbce")
SASRECS = [
    *(sequence_model(loss, residual) for loss in STEP_LOSSES for residual in ("plain", "original")),
    *(sequence_model(loss, "plain", tied=False) for loss in STEP_LOSSES),
]
NETWORKS = [*TRANSFORMERS, *SASRECS, *FACTORIZATIONS]
FULL_WIDTH = [
    *(
        wide_transformer(loss, source, candidates)
        for loss in ("softmax", "bce", "bpr", "squared")
        for source in ("history", "user")
        for candidates in ("pointwise", "listwise")
    ),
    *(wide_sequence_model(loss, residual) for loss in STEP_LOSSES for residual in ("plain", "original")),
    *(wide_factorization(loss) for loss in ("squared", "bce", "bpr")),
]
