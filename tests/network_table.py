"""Rows of the gradient table for whole models: parameters in, loss out, every parameter by name.

TransformerRecommender with its four losses, both sources and both kinds of candidates, on a batch with a
padded history, an empty one and repeated items; MatrixFactorization with its three losses, L2 included.
"""

import copy
from typing import Any

import numpy as np
from gradient_table import Row, n

from minirec.functional import Array
from minirec.models import MatrixFactorization, TransformerRecommender
from minirec.models.candidate_loss import candidate_loss_backward, candidate_loss_forward
from minirec.models.transformer_network import TransformerNetwork
from minirec.nn.module import Grads, Module, prefixed
from minirec.verify import Report, check_gradient, check_module

USERS, ITEMS, WIDTH, HEADS, HIDDEN, LENGTH = 3, 7, 4, 2, 5, 5
HISTORIES = np.array([[0, 0, 3, 1, 3], [7, 2, 5, 2, 4], [0, 0, 0, 0, 0]])  # ids; 0 is padding
CANDIDATES = np.array([[2, 5, 7, 5], [1, 3, 6, 6], [4, 1, 2, 3]])  # column 0 is the item that was taken
RATINGS = np.array([1.5, -0.5, -2.0])  # the mean is removed


class NetworkWithLoss(Module):
    """(source, candidates)  ->  the mean loss, as `loss_and_grads` of the model computes it."""

    def __init__(self, network: TransformerNetwork, loss: str) -> None:
        self.network, self.loss = network, loss

    def forward(self, source: Array, candidates: Array) -> tuple[Any, Any]:  # type: ignore[override]
        scores, of_network = self.network.forward(source, candidates)
        ratings = [RATINGS] if self.loss == "squared" else []
        loss, of_loss = candidate_loss_forward(self.loss, scores, *ratings)
        return loss, (of_network, of_loss)

    def backward(self, dloss: Any, cache: Any) -> tuple[None, Grads]:
        of_network, of_loss = cache
        _, grads = self.network.backward(candidate_loss_backward(dloss, of_loss), of_network)
        return None, prefixed("network", grads)


def source_ids(source: str) -> np.ndarray:
    """What the encoder reads: histories (B, T), or one user index per row (B, 1)."""
    return HISTORIES if source == "history" else np.array([[2], [0], [1]])


def recommender(loss: str, source: str, candidates: str) -> TransformerRecommender:
    """A TransformerRecommender in float64 with a network at random parameters, as `fit` would leave it."""
    model = TransformerRecommender(
        WIDTH, HEADS, 1, source=source, candidates=candidates, loss=loss, length=LENGTH, hidden=HIDDEN,
        dropout=0.0, dtype="float64",
    )  # fmt: skip
    model.user_ids, model.item_ids = list(range(USERS)), list(range(ITEMS))
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


def transformer(loss: str, source: str, candidates: str) -> Row:
    def gradient() -> Report:
        network = NetworkWithLoss(recommender(loss, source, candidates).network, loss)
        return check_module(
            network, source_ids(source), CANDIDATES, zero=declared_zeros(loss, source, candidates),
            method="complex", title=f"gradient of TransformerRecommender ({loss}, {source}, {candidates})",
        )  # fmt: skip

    return Row("TransformerRecommender", f"{loss}, {source}, {candidates}", gradient)


def factorization(loss: str) -> Row:
    def gradient() -> Report:
        rng = np.random.default_rng(len(loss))
        model = MatrixFactorization(2, loss, reg=0.3, dtype="float64")
        model.mu = 3.5 if loss == "squared" else 0.0
        users, items = np.array([0, 2, 0, 2, 2]), np.array([4, 1, 4, 0, 1])
        third = n(rng, 5) if loss == "squared" else np.array([2, 3, 1, 3, 6])  # ratings, or negatives

        def forward(P: Array, Q: Array, b_user: Array, b_item: Array) -> tuple[Any, Any]:
            own = copy.copy(model)
            own.P, own.Q, own.b_user, own.b_item = P, Q, b_user, b_item
            return own.loss_and_grads((users, items, third), 1.0)[0], own

        def backward(dloss: Any, own: MatrixFactorization) -> tuple[Array, ...]:
            grads = own.loss_and_grads((users, items, third), dloss)[1]
            return grads["P"], grads["Q"], grads["b_user"], grads["b_item"]

        return check_gradient(
            forward, backward, n(rng, 3, 2), n(rng, 7, 2), n(rng, 3), n(rng, 7),
            title=f"gradient of MatrixFactorization ({loss})",
        )  # fmt: skip

    return Row("MatrixFactorization", f"{loss}, L2 included", gradient)


TRANSFORMERS = [
    transformer(loss, source, candidates)
    for loss in ("softmax", "bce", "bpr", "squared")
    for source in ("history", "user")
    for candidates in ("pointwise", "listwise")
]
FACTORIZATIONS = [factorization(loss) for loss in ("squared", "bce", "bpr")]
NETWORKS = [*TRANSFORMERS, *FACTORIZATIONS]
