"""The losses of sequence models that name the next item at every step, and the negatives they are drawn from.

    score of item i at step t = h_t · E[i],    a step without a next item (target 0) does not count

"softmax" compares the next item with all others, "bce" with one that the user has not met, drawn for each
step. "sampled_softmax" and "gbce" compare it with N items, drawn uniformly from all. All steps of a sequence
share them, so their scores are one product h E[negatives]ᵀ, (T, D) with (D, N). The authors of gBCE draw N
for each step; the expectation of loss and gradient is the same. Sources: Kang & McAuley 2018 (bce), Petrov &
Macdonald 2023 (gbce), Klenitskiy & Vasilev 2023 (softmax, sampled softmax).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minirec import functional as F
from minirec import training
from minirec.data import sampling
from minirec.data.matrix import InteractionMatrix
from minirec.data.sequences import next_items, trimmed
from minirec.functional import Array, RowGradient
from minirec.models.network_recommender import Examples

LOSSES = ("bce", "softmax", "sampled_softmax", "gbce")
SHARED = ("sampled_softmax", "gbce")  # their negatives are drawn once for all steps of a sequence


class StepLossCache(NamedTuple):
    steps: Array  # (..., T), True where there is a target; n of them
    h: Array  # (..., T, D)
    E: Array  # (I + 1, D)
    parts: tuple[Any, ...]


def step_softmax_forward(h: Array, E: Array, targets: Array) -> tuple[Any, StepLossCache]:
    """L = mean −log softmax(h Eᵀ)[target], over items 1 .. I.

    h (..., T, D), E (I + 1, D), targets (..., T), ids; the mean is over targets other than 0
    """
    steps = targets != 0
    logits = h[steps] @ E[1:].T  # (n, I); row 0 is padding, which nobody can choose
    loss, of_loss = F.cross_entropy_forward(logits, targets[steps] - 1)
    return loss, StepLossCache(steps, h, E, (of_loss,))


def step_softmax_backward(dloss: Any, cache: StepLossCache) -> tuple[Array, Array]:
    """dh = dlogits E,  dE = dlogitsᵀ h    (row 0: 0)"""
    steps, h, E, (of_loss,) = cache
    dlogits = F.cross_entropy_backward(dloss, of_loss)  # (n, I)
    dE = np.zeros_like(E)
    dE[1:] = dlogits.T @ h[steps]
    return _at(steps, dlogits @ E[1:]), dE


def step_bce_forward(h: Array, E: Array, targets: Array, negatives: Array) -> tuple[Any, StepLossCache]:
    """L = mean −log σ(h · E[target]) − log(1 − σ(h · E[negative])).

    h (..., T, D), E (I + 1, D), targets and negatives (..., T), ids; the mean is over targets other than 0
    """
    steps = targets != 0
    chosen, of_chosen = F.embedding_forward(E, targets[steps])  # (n, D)
    other, of_other = F.embedding_forward(E, negatives[steps])  # (n, D)
    positive, negative = (h[steps] * chosen).sum(axis=-1), (h[steps] * other).sum(axis=-1)  # (n,)
    one, of_one = F.binary_cross_entropy_forward(positive, np.ones(positive.shape, positive.real.dtype))
    two, of_two = F.binary_cross_entropy_forward(negative, np.zeros(negative.shape, negative.real.dtype))
    return one + two, StepLossCache(steps, h, E, (chosen, other, of_chosen, of_other, of_one, of_two))


def step_bce_backward(dloss: Any, cache: StepLossCache) -> tuple[Array, RowGradient]:
    """dh = ds⁺ E[target] + ds⁻ E[negative],  dE = Σ ds⁺ h at the targets + Σ ds⁻ h at the negatives"""
    steps, h, _, (chosen, other, of_chosen, of_other, of_one, of_two) = cache
    dpositive = F.binary_cross_entropy_backward(dloss, of_one)[:, None]  # (n, 1)
    dnegative = F.binary_cross_entropy_backward(dloss, of_two)[:, None]
    dchosen = F.embedding_row_gradient(dpositive * h[steps], of_chosen)
    dother = F.embedding_row_gradient(dnegative * h[steps], of_other)
    dh = _at(steps, dpositive * chosen + dnegative * other)
    return dh, F.add_row_gradients([dchosen, dother])


def step_sampled_softmax_forward(
    h: Array, E: Array, targets: Array, negatives: Array
) -> tuple[Any, StepLossCache]:
    """L = mean −log (e^{s⁺} / (e^{s⁺} + Σ_j e^{s⁻_j})),    s⁺ = h · E[target],  s⁻_j = h · E[negative_j].

    h (B, T, D), E (I + 1, D), targets (B, T), negatives (B, N), ids; the mean is over targets other than 0
    A negative that is a step's own target does not count at this step.
    """
    positive, against, cache = _shared_forward(h, E, targets, negatives)
    keep = (negatives[:, None, :] != targets[:, :, None])[cache.steps]  # (n, N)
    loss, of_loss = F.sampled_softmax_forward(positive, against, keep)
    return loss, cache._replace(parts=(*cache.parts, of_loss))


def step_sampled_softmax_backward(dloss: Any, cache: StepLossCache) -> tuple[Array, RowGradient]:
    """dh = ds⁺ E[target] + Σ_j ds⁻_j E[negative_j],  dE = Σ ds⁺ h at targets + Σ ds⁻ h at negatives"""
    return _shared_backward(*F.sampled_softmax_backward(dloss, cache.parts[-1]), cache)


def step_gbce_forward(
    h: Array, E: Array, targets: Array, negatives: Array, t: float = 0.75
) -> tuple[Any, StepLossCache]:
    """L = mean −[β log σ(s⁺) + Σ_j log(1 − σ(s⁻_j))] / (N + 1),    β from t, N and I (`gbce_beta`).

    s⁺ = h · E[target], s⁻_j = h · E[negative_j]
    h (B, T, D), E (I + 1, D), targets (B, T), negatives (B, N), ids; the mean is over targets other than 0
    """
    positive, against, cache = _shared_forward(h, E, targets, negatives)
    beta = F.gbce_beta(negatives.shape[1], len(E) - 1, t)
    loss, of_loss = F.gbce_forward(positive, against, beta)
    return loss, cache._replace(parts=(*cache.parts, of_loss))


def step_gbce_backward(dloss: Any, cache: StepLossCache) -> tuple[Array, RowGradient]:
    """dh = ds⁺ E[target] + Σ_j ds⁻_j E[negative_j],  dE = Σ ds⁺ h at targets + Σ ds⁻ h at negatives"""
    return _shared_backward(*F.gbce_backward(dloss, cache.parts[-1]), cache)


def step_loss_forward(
    loss: str, h: Array, E: Array, targets: Array, negatives: Array | None = None, *, gbce_t: float = 0.75
) -> tuple[Any, tuple[str, StepLossCache]]:
    """The loss of that name, a mean over the steps of h (B, T, D) whose target is not 0.

    E (I + 1, D) has a row for padding and one for each item; targets (B, T) are ids.
    negatives are ids: (B, T) for "bce", (B, N) for "sampled_softmax" and "gbce", None for "softmax".
    """
    if (negatives is None) != (loss == "softmax"):
        raise ValueError(f'loss="{loss}" {"needs" if negatives is None else "takes no"} negatives')
    if negatives is None:
        value, cache = step_softmax_forward(h, E, targets)
    elif loss == "bce":
        value, cache = step_bce_forward(h, E, targets, negatives)
    elif loss == "sampled_softmax":
        value, cache = step_sampled_softmax_forward(h, E, targets, negatives)
    else:
        value, cache = step_gbce_forward(h, E, targets, negatives, gbce_t)
    return value, (loss, cache)


def step_loss_backward(dloss: Any, cache: tuple[str, StepLossCache]) -> tuple[Array, Array | RowGradient]:
    """dh (B, T, D), and dE (I + 1, D): an array for "softmax", else the rows that were read."""
    loss, of_loss = cache
    if loss == "softmax":
        return step_softmax_backward(dloss, of_loss)
    if loss == "bce":
        return step_bce_backward(dloss, of_loss)
    if loss == "sampled_softmax":
        return step_sampled_softmax_backward(dloss, of_loss)
    return step_gbce_backward(dloss, of_loss)


def _shared_forward(
    h: Array, E: Array, targets: Array, negatives: Array
) -> tuple[Array, Array, StepLossCache]:
    """s⁺ (n,) = h · E[target] and s⁻ (n, N) = h E[negatives]ᵀ at the n steps with a target."""
    steps = targets != 0
    chosen, of_chosen = F.embedding_forward(E, targets[steps])  # (n, D)
    others, of_others = F.embedding_forward(E, negatives)  # (B, N, D)
    positive = (h[steps] * chosen).sum(axis=-1)
    against = (h @ others.swapaxes(1, 2))[steps]
    return positive, against, StepLossCache(steps, h, E, (chosen, others, of_chosen, of_others))


def _shared_backward(dpositive: Array, dagainst: Array, cache: StepLossCache) -> tuple[Array, RowGradient]:
    """dh = ds⁺ E[target] + ds⁻ E[negatives],  dE = Σ ds⁺ h at the targets + ds⁻ᵀ h at the negatives"""
    steps, h, _, (chosen, others, of_chosen, of_others, _) = cache
    against = _at(steps, dagainst)  # (B, T, N)
    dh = against @ others
    dh[steps] += dpositive[:, None] * chosen
    dchosen = F.embedding_row_gradient(dpositive[:, None] * h[steps], of_chosen)
    dothers = F.embedding_row_gradient(against.swapaxes(1, 2) @ h, of_others)
    return dh, F.add_row_gradients([dchosen, dothers])


def _at(steps: Array, x: Array) -> Array:
    """(..., T, K) with the rows of x (n, K) at the steps with a target, and 0 elsewhere."""
    spread = np.zeros((*steps.shape, x.shape[-1]), dtype=x.dtype)
    spread[steps] = x
    return spread


# What a model is trained on.


def step_examples(
    loss: str, histories: Sequence[Array], length: int, seen: InteractionMatrix, n_negatives: int
) -> Examples:
    """One example per user: (inputs, targets[, negatives]), ids; inputs and targets (B, T).

    negatives: (B, T) for "bce", uniform over the items that the user has not met in `seen`; (B, n_negatives)
    for "gbce", uniform over all items, the target among them; (B, n_negatives or I, if that is less)
    different items for "sampled_softmax", uniform over all. Users without a step are left out, and for "bce"
    those who have met every item. Raises ValueError if nobody is left.
    """
    inputs, targets = next_items(histories, length)
    n_items = seen.shape[1]
    usable = targets.any(axis=1)
    if not usable.any():
        raise ValueError(
            "no user has two events in the training part, so there is no next item to learn from"
        )
    if loss == "bce":
        usable &= seen.row_counts() < n_items
        if not usable.any():
            raise ValueError('every user has met every item, which leaves no negatives for loss="bce"')
    users = np.flatnonzero(usable)

    def draw(rows: Array, generator: np.random.Generator) -> training.Batch:
        rows = users[rows]
        batch = inputs[rows], targets[rows]
        if loss == "softmax":
            return batch
        if loss == "sampled_softmax":
            return *batch, sample_items(generator, len(rows), min(n_negatives, n_items), n_items) + 1
        if loss == "gbce":
            return *batch, generator.integers(1, n_items + 1, (len(rows), n_negatives))
        return *batch, sampling.sample_negatives(generator, rows, length, seen) + 1

    return Examples(len(users), draw)


def sample_items(rng: np.random.Generator, rows: int, n: int, n_items: int) -> Array:
    """(rows, n) item indices; the n of a row are different, all sets of n alike. In no particular order."""
    drawn = [rng.choice(n_items, n, replace=False, shuffle=False) for _ in range(rows)]
    return np.array(drawn, dtype=np.int64).reshape(rows, n)


def trimmed_steps(loss: str, batch: training.Batch) -> training.Batch:
    """The same batch without the columns that are padding in every row. Negatives of "bce" are by step."""
    inputs, targets, *negatives = batch
    first = trimmed(inputs)
    if loss == "bce":
        negatives = [part[:, first:] for part in negatives]
    return inputs[:, first:], targets[:, first:], *negatives


def logits_per_step(loss: str, n_items: int, n_negatives: int) -> int:
    """How many scores one step has at once: what the size of a shard is bounded by."""
    return {"softmax": n_items, "bce": 1}.get(loss, n_negatives)
