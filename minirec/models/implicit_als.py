"""ImplicitALS: factors for what was met or not met, by least squares that are solved exactly, side by side.

    minimize  Σ_ui c_ui (p_ui − x_uᵀ y_i)² + λ (Σ_u ‖x_u‖² + Σ_i ‖y_i‖²)    over all pairs (u, i)
    p_ui = 1 if r_ui > 0, else 0,    c_ui = 1 + α r_ui

r_ui is how often user u met item i. With the items fixed, each user is a ridge regression, and the other way
round. Source: Hu, Koren & Volinsky 2008, equations 3 to 7.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from minirec import training
from minirec.data.interactions import Interactions
from minirec.data.matrix import InteractionMatrix
from minirec.functional import Array
from minirec.models.base import Recommender, keeps_the_old_model, refuse_checkpoint
from minirec.models.counts import pair_counts

NAME = "ImplicitALS"


def als_system(Y: Array, YtY: Array, items: Array, r: Array, alpha: float, reg: float) -> tuple[Array, Array]:
    """A_u = Yᵀ Y + Yᵀ (C_u − I) Y + λ I (D, D), and the confidences c_u = 1 + α r (n,) of n items met.

    C_u − I is zero but for the items met, so their n rows of Y are enough.
    """
    y = Y[items]  # (n, D)
    return YtY + (alpha * r[:, None] * y).T @ y + reg * np.eye(Y.shape[1]), 1.0 + alpha * r


def als_half_step(Y: Array, R: InteractionMatrix, alpha: float, reg: float) -> Array:
    """x_u = A_u⁻¹ Yᵀ C_u p_u, the minimum for each user, items fixed.    Y (I, D), R (U, I)  ->  X (U, D)

    The half-step of the items is `als_half_step(X, R.T, alpha, reg)`. Who met nothing gets 0.
    """
    X, YtY = np.zeros((R.shape[0], Y.shape[1]), dtype=Y.dtype), Y.T @ Y
    for u in np.flatnonzero(R.row_counts()).tolist():
        items, r = R.row(u)
        A, c = als_system(Y, YtY, items, r, alpha, reg)
        X[u] = np.linalg.solve(A, c @ Y[items])
    return X


def als_objective(X: Array, Y: Array, R: InteractionMatrix, alpha: float, reg: float) -> Any:
    """Σ_ui c_ui (p_ui − x_uᵀ y_i)² + λ (Σ ‖x_u‖² + Σ ‖y_i‖²), without an array (U, I).

    As if nothing had been met it is Σ_ui (x_uᵀ y_i)² = Σ (Xᵀ X) ⊙ (Yᵀ Y); the pairs met are put right.
    """
    s = (X[R.rows] * Y[R.indices]).sum(axis=1)  # (n,) x_uᵀ y_i where r_ui > 0
    met = ((1.0 + alpha * R.values) * (1.0 - s) ** 2 - s * s).sum()
    return ((X.T @ X) * (Y.T @ Y)).sum() + met + reg * ((X * X).sum() + (Y * Y).sum())


class ImplicitALS(Recommender):
    """`ImplicitALS(dim=64, alpha=1.0, reg=10.0)`: the score is x_uᵀ y_i, near 1 for what fits the user.

    alpha    α, how much more an interaction counts than a pair that was not met
    reg      λ, above 0
    epochs   each is a half-step for all users and one for all items

    Ratings are not read; a repeated interaction adds α to the confidence of its pair. Users never seen get
    their vector by the same half-step from their history (fold-in), in any order; an empty one scores 0.
    """

    uses_histories = True

    X: Array  # (U, D)
    Y: Array  # (I, D)
    log: training.TrainingLog  # its losses are the objective after each epoch

    def __init__(self, dim: int = 64, *, alpha: float = 1.0, reg: float = 10.0, epochs: int = 15) -> None:
        self.dim, self.alpha, self.reg, self.epochs = dim, alpha, reg, epochs
        for name in ("dim", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= alpha < np.inf:
            raise ValueError(f"alpha must be at least 0 and finite, got {alpha}")
        if not 0 < reg < np.inf:
            raise ValueError(
                f"reg must be above 0 and finite, got {reg}: without it a half-step may have no solution"
            )

    @keeps_the_old_model
    def fit(
        self,
        train: Interactions,
        *,
        valid: Interactions | None = None,
        rng: np.random.Generator | int | None = None,
        progress: bool = True,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """All epochs: `valid` changes nothing. Ctrl-C ends it after the current epoch."""
        refuse_checkpoint(self, checkpoint, "has none, since its epochs are few")
        self.remember(train)
        seed = training.as_seed(rng)
        initial = training.stream(seed, training.INITIALIZATION)
        self.Y = initial.normal(0.0, 0.1, (train.n_items, self.dim))
        R = self.event_counts(self.histories)
        self.log = log = training.TrainingLog()
        began = time.perf_counter()
        with (
            training.shard_threads(1),  # threads of BLAS only get in the way of systems of D equations
            training.stop_on_interrupt() as interrupted,
            tqdm(total=self.epochs, desc=NAME, disable=not progress, unit="epoch") as bar,
        ):
            for epoch in range(1, self.epochs + 1):
                self.X = als_half_step(self.Y, R, self.alpha, self.reg)
                self.Y = als_half_step(self.X, R.T, self.alpha, self.reg)
                log.losses.append(float(als_objective(self.X, self.Y, R, self.alpha, self.reg)))
                log.steps += 2
                bar.update()
                bar.set_postfix(objective=f"{log.losses[-1]:.1f}")
                if interrupted.is_set():
                    log.ended = f"interrupted after epoch {epoch}"
                    break
            # A last half-step, so that the vectors of users are what fold-in makes of their histories.
            self.X = als_half_step(self.Y, R, self.alpha, self.reg)
        log.seconds = time.perf_counter() - began
        return self

    def event_counts(self, histories: Sequence[Array]) -> InteractionMatrix:
        """R (B, I): how often each item is in each history."""
        rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
        items = np.concatenate([np.zeros(0, dtype=np.int64), *histories])
        return pair_counts(rows, items, (len(histories), self.n_items))

    def fold_in(self, histories: Sequence[Array]) -> Array:
        """(B, D) vectors of users never seen: one half-step from their histories, the items fixed."""
        R = self.event_counts(self.check_histories(histories))
        with training.shard_threads(1):
            return als_half_step(self.Y, R, self.alpha, self.reg)

    def contributions(self, history: Array, item: int) -> Array:
        """(len(history),) what each entry of a history adds to the score of an item; the sum is the score.

            y_itemᵀ A_u⁻¹ y_j c_uj    for item j of the history   (Hu, Koren & Volinsky 2008, section 5)

        An item that stands n times in the history shares its contribution among its n places. Indices, as for
        `score_histories`. Raises ValueError for more than one item.
        """
        (history,), wanted = self.check_histories([history]), self.check_items(item)
        if wanted.shape != (1,):
            raise ValueError(
                f"contributions are those to the score of one item, got items of shape {wanted.shape}"
            )
        (item,) = wanted
        items, places, r = np.unique(history, return_inverse=True, return_counts=True)
        A, c = als_system(self.Y, self.Y.T @ self.Y, items, r, self.alpha, self.reg)
        each: Array = c * (self.Y[items] @ np.linalg.solve(A, self.Y[item])) / r  # A is symmetric
        return each[places]

    def score(self, users: Array, items: Array | None = None) -> Array:
        users = self.check_users(users)
        return self.pick(self.X[users] @ self.Y.T, items)

    def score_histories(self, histories: Sequence[Array], items: Array | None = None) -> Array:
        return self.pick(self.fold_in(histories) @ self.Y.T, items)

    def settings(self) -> dict[str, Any]:
        return {"dim": self.dim, "alpha": self.alpha, "reg": self.reg, "epochs": self.epochs}

    def state(self) -> dict[str, Array]:
        return {"X": self.X, "Y": self.Y}

    def load_state(self, state: dict[str, Array]) -> None:
        self.X, self.Y = state["X"], state["Y"]
        for name, n in (("X", self.n_users), ("Y", self.n_items)):
            if state[name].shape != (n, self.dim):
                raise ValueError(f"{name} has shape {state[name].shape}, expected {(n, self.dim)}")
