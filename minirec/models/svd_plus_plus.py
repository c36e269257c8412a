"""SVDPlusPlus: factorization of ratings that also knows what a user rated, whatever the ratings were.

    r̂_ui = μ + b_u + b_i + q_iᵀ (p_u + m_u),    m_u = |N_u|^{−1/2} Σ_{j ∈ N_u} y_j

N_u are the items that user u rated. Source: Koren 2008, equation 15; the defaults are those of Surprise's
SVDpp.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from minirec import training
from minirec.data.interactions import Interactions
from minirec.functional import Array
from minirec.models.base import Recommender, keeps_the_old_model, refuse_checkpoint

NAME = "SVDPlusPlus"


def svd_plus_plus_steps(
    P: Array,
    Q: Array,
    Y: Array,
    b_user: Array,
    b_item: Array,
    mu: float,
    u: int,
    near: Array,
    items: Sequence[int],
    ratings: Sequence[float],
    lr: float,
    reg: float,
) -> list[float]:
    """Ratings of one user, one step after the other, in place; near is N_u, without repetition.

    For each rating r of an item i, with e = r − r̂_ui, γ = lr, λ = reg, and the values from before the step:

        b_u += γ (e − λ b_u),    b_i += γ (e − λ b_i)
        p_u += γ (e q_i − λ p_u),    q_i += γ (e (p_u + m_u) − λ q_i)
        y_j += γ (e q_i |N_u|^{−1/2} − λ y_j)    for all j in N_u

    Returns the errors e (Koren 2008, section 5). By the last line m_u += γ (e q_i − λ m_u), the rule of p_u.
    So the loop needs only their sum z, and p_u and the y_j are written once, at the end: after n steps p_u is
    (1 − γλ)ⁿ p_u + t, m_u is (1 − γλ)ⁿ m_u + t, and z, the sum of both, tells what t is.
    """
    y, b, root, keep = Y[near], float(b_user[u]), math.sqrt(len(near)), 1.0 - lr * reg
    z = before = P[u] + y.sum(axis=0) / root
    errors = []
    for i, r in zip(items, ratings, strict=True):
        q = Q[i].copy()  # Q[i] is a view, and z needs the q of before
        e = r - (mu + b + float(b_item[i]) + float(q @ z))
        b += lr * (e - reg * b)
        b_item[i] += lr * (e - reg * b_item[i])
        Q[i] = keep * q + (lr * e) * z
        z = keep * z + (2.0 * lr * e) * q
        errors.append(e)
    left = float(np.power(keep, len(errors)))  # inf where ** of Python floats would raise
    t = (z - left * before) / 2.0
    P[u], Y[near], b_user[u] = left * P[u] + t, left * y + t / root, b
    return errors


class SVDPlusPlus(Recommender):
    """`SVDPlusPlus(dim=20)`: predicts ratings; a factorization of them that reads N_u as well.

    lr, reg   γ and λ, for all parameters
    epochs    each goes through the users in the order of the rows, and through the ratings of a user likewise

    Tables start from N(0, .1), biases from 0, and μ is the mean rating. In N_u an item counts once. The rows
    of users and items without ratings stay 0: their terms drop out. Users never seen have p_u = 0, b_u = 0,
    but their history is an N_u: m_u and the biases of the items are left. Like every model that only sees
    items somebody chose to rate, it ranks badly.
    """

    mu: float
    scale: tuple[float, float]  # of the training ratings
    P: Array  # (U, D)
    Q: Array  # (I, D)
    Y: Array  # (I, D)
    b_user: Array  # (U,)
    b_item: Array  # (I,)
    log: training.TrainingLog

    def __init__(self, dim: int = 20, *, lr: float = 0.007, reg: float = 0.02, epochs: int = 20) -> None:
        self.dim, self.lr, self.reg, self.epochs = dim, lr, reg, epochs
        for name in ("dim", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("lr", "reg"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {getattr(self, name)}")

    def params(self) -> dict[str, Array]:
        """The live arrays by name."""
        return {"P": self.P, "Q": self.Q, "Y": self.Y, "b_user": self.b_user, "b_item": self.b_item}

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
        """All epochs: `valid` changes nothing. Ctrl-C ends it after the current user."""
        refuse_checkpoint(self, checkpoint, "has none")
        self.remember(train)
        if train.ratings is None:
            raise ValueError(f"{NAME} needs ratings, and these interactions have none")
        seed = training.as_seed(rng)
        initial = training.stream(seed, training.INITIALIZATION)
        self.P, self.Q, self.Y = (
            initial.normal(0.0, 0.1, (n, self.dim)) for n in (self.n_users, self.n_items, self.n_items)
        )
        rated = np.bincount(train.items, minlength=self.n_items) > 0
        self.P[np.bincount(train.users, minlength=self.n_users) == 0] = 0.0
        self.Q[~rated], self.Y[~rated] = 0.0, 0.0
        self.b_user, self.b_item = np.zeros(self.n_users), np.zeros(self.n_items)
        self.mu = float(train.ratings.mean())
        self.scale = float(train.ratings.min()), float(train.ratings.max())

        users, first = np.unique(train.users, return_index=True)
        by_user = np.argsort(train.users, kind="stable")  # the rows of a user in their order
        rows = np.split(by_user, np.cumsum(np.bincount(train.users, minlength=self.n_users)))
        work = [
            (
                u,
                np.unique(train.items[rows[u]]),
                train.items[rows[u]].tolist(),
                train.ratings[rows[u]].tolist(),
            )
            for u in users[np.argsort(first)].tolist()
        ]
        self.log = log = training.TrainingLog()
        began = time.perf_counter()
        with (
            training.stop_on_interrupt() as interrupted,
            tqdm(total=self.epochs, desc=NAME, disable=not progress, unit="epoch") as bar,
        ):
            for epoch in range(1, self.epochs + 1):
                errors: list[float] = []
                for u, near, items, ratings in work:
                    errors += svd_plus_plus_steps(
                        self.P, self.Q, self.Y, self.b_user, self.b_item, self.mu,
                        u, near, items, ratings, self.lr, self.reg,
                    )  # fmt: skip
                    if interrupted.is_set():
                        break
                log.steps += len(errors)
                log.losses.append(float(np.square(errors).mean()))
                training.require_finite_parameters(self.params(), log.steps)
                bar.update()
                bar.set_postfix(loss=f"{log.losses[-1]:.4f}")
                if interrupted.is_set():
                    log.ended = f"interrupted in epoch {epoch} after {log.steps} steps"
                    tqdm.write(f"{NAME}: {log.ended}; the model can be used as it is")
                    break
        log.seconds = time.perf_counter() - began
        return self

    def implicit_part(self, histories: Sequence[Array]) -> Array:
        """(B, D) m = |N|^{−1/2} Σ_{j ∈ N} y_j of each history; 0 for an empty one."""
        m = np.zeros((len(histories), self.dim))
        for row, history in zip(m, histories, strict=True):
            near = np.unique(history)
            row[:] = self.Y[near].sum(axis=0) / math.sqrt(max(1, len(near)))
        return m

    def user_vectors(self, users: Array) -> Array:
        """(B, D) p_u + m_u of known users."""
        return self.P[users] + self.implicit_part([self.histories[u] for u in users])

    def predict(self, users: Array, items: Array) -> Array:
        """(N,) predicted ratings of pairs of indices, clipped to the scale of the training ratings."""
        users, items = self.check_users(users), self.check_items(items)
        asked, place = np.unique(users, return_inverse=True)
        products = (self.user_vectors(asked)[place] * self.Q[items]).sum(axis=1)
        s = self.mu + self.b_user[users] + self.b_item[items] + products
        return np.clip(s, *self.scale)

    def score(self, users: Array, items: Array | None = None) -> Array:
        users = self.check_users(users)
        scores = self.mu + self.b_user[users, None] + self.b_item + self.user_vectors(users) @ self.Q.T
        return self.pick(scores, items)

    def score_histories(self, histories: Sequence[Array], items: Array | None = None) -> Array:
        """For users never seen: μ + b_i + q_iᵀ m of their history."""
        histories = self.check_histories(histories)
        return self.pick(self.mu + self.b_item + self.implicit_part(histories) @ self.Q.T, items)

    def settings(self) -> dict[str, Any]:
        return {"dim": self.dim, "lr": self.lr, "reg": self.reg, "epochs": self.epochs}

    def state(self) -> dict[str, Array]:
        return {**self.params(), "mu": np.array(self.mu), "scale": np.array(self.scale)}

    def load_state(self, state: dict[str, Array]) -> None:
        U, I, D = self.n_users, self.n_items, self.dim
        shapes = {"P": (U, D), "Q": (I, D), "Y": (I, D), "b_user": (U,), "b_item": (I,), "scale": (2,)}
        for name, shape in shapes.items():
            if state[name].shape != shape:
                raise ValueError(f"{name} has shape {state[name].shape}, expected {shape}")
        self.P, self.Q, self.Y, self.b_user, self.b_item = (state[n] for n in tuple(shapes)[:5])
        low, high = state["scale"]
        self.mu, self.scale = float(state["mu"]), (float(low), float(high))
