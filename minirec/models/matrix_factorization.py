"""MatrixFactorization: users and items as vectors, the interaction matrix as their products (section 4.1).

    s_ui = μ + b_u + b_i + p_uᵀ q_i        (Koren, Bell & Volinsky 2009)

Trained on ratings (squared error) it predicts ratings; for ranking it is trained on pairs (bpr, Rendle et al.
2009) or on taken-or-not (bce).
"""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from minirec import functional as F
from minirec import optim, training
from minirec.checkpoint import identity
from minirec.data import sampling
from minirec.data.interactions import Interactions
from minirec.functional import Array
from minirec.models.base import Recommender, check_count, keeps_the_old_model, one_of

LOSSES = ("squared", "bce", "bpr")
NAME = "MatrixFactorization"
ROW_STEPS = 50  # how often a user or item may occur in a batch of sgd, on average
OPTIMIZERS: dict[str, Callable[[float], training.Optimizer]] = {
    "sgd": optim.SGD,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
}


def sgd_factorization_step(
    P: Array,
    Q: Array,
    b_user: Array,
    b_item: Array,
    mu: float,
    u: int,
    i: int,
    rating: float,
    lr: float,
    reg: float,
) -> float:
    """One rating, one step, in place; returns e = r − (μ + b_u + b_i + p_uᵀ q_i) from before the step.

    b_u += γ (e − λ b_u),  b_i += γ (e − λ b_i),  p_u += γ (e q_i − λ p_u),  q_i += γ (e p_u − λ q_i)

    with γ = lr, λ = reg (Koren et al. 2009). An optimizer step: it changes its arguments.
    """
    p, q = P[u].copy(), Q[i]  # a copy: P[u] is a view, and q's step needs the p of before
    e = rating - (mu + b_user[u] + b_item[i] + p @ q)
    b_user[u] += lr * (e - reg * b_user[u])
    b_item[i] += lr * (e - reg * b_item[i])
    P[u] += lr * (e * q - reg * p)
    Q[i] += lr * (e * p - reg * q)
    return float(e)


def l2_penalty(params: dict[str, Array], users: Array, items: Array, reg: float) -> Any:
    """λ/N Σ_n (‖p_u‖² + ‖q_i‖² + b_u² + b_i²) over N pairs (u, i): a row counts as often as it occurs."""
    weights = _row_weights(params, users, items, reg)
    return sum((weights[name] * array * array).sum() for name, array in params.items())


def l2_gradients(params: dict[str, Array], users: Array, items: Array, reg: float) -> dict[str, Array]:
    """The gradient of l2_penalty: 2 λ/N · (how often the row occurs) · row"""
    weights = _row_weights(params, users, items, 2.0 * reg)
    return {name: weights[name] * array for name, array in params.items()}


def _row_weights(params: dict[str, Array], users: Array, items: Array, reg: float) -> dict[str, Array]:
    dtype, n = params["P"].real.dtype, len(users)
    of_user = (np.bincount(users, minlength=len(params["P"])) * (reg / n)).astype(dtype)
    of_item = (np.bincount(items, minlength=len(params["Q"])) * (reg / n)).astype(dtype)
    return {"P": of_user[:, None], "Q": of_item[:, None], "b_user": of_user, "b_item": of_item}


class MatrixFactorization(Recommender):
    """Biased matrix factorization with `dim` factors.

    loss        "squared": ratings, as Koren et al.; ranks badly, since it never sees the items that a user
                did not rate. "bpr" and "bce": each interaction against a uniform item not yet met
    method      "mini-batch": through the `factorization` pair with any optimizer; "per-rating": the textbook
                rule, one SGD step per rating (squared only)
    optimizer   "sgd", "adam" or "adamw" for mini-batches; None: sgd for squared, adam otherwise
    lr, reg     γ and λ; None: .005 and .02 for squared (Surprise's defaults), .01 and .02 otherwise. With
                sgd, γ is per rating: a batch of n adds up n of the textbook steps, all from the state before
                it, and batches are smaller where a user or item would occur over 50 times in one
                λ is per pair, and a triple (u, i, j) of bpr is two pairs, (u, i) and (u, j), in a mean over
                pairs: λ for its user, λ/2 for each of its items (Rendle et al. 2009 allow a λ for each)
    patience    epochs without better validation before training ends (bpr and bce, if `valid` is given)

    Unknown users have no vector of their own. Under squared loss their terms drop out (μ + b_i is left);
    under bpr and bce a vector is fitted to their history with everything else fixed.
    """

    def __init__(
        self,
        dim: int = 100,
        loss: str = "squared",
        *,
        method: str = "mini-batch",
        optimizer: str | None = None,
        lr: float | None = None,
        reg: float | None = None,
        epochs: int | None = None,
        batch_size: int = 2048,
        patience: int = 5,
        dtype: str = "float32",
    ) -> None:
        one_of("loss", loss, LOSSES)
        one_of("method", method, ("mini-batch", "per-rating"))
        one_of("dtype", dtype, ("float32", "float64"))
        squared = loss == "squared"
        if method == "per-rating" and not squared:
            raise ValueError(f'method="per-rating" is for loss="squared", got loss={loss!r}')
        self.dim, self.loss, self.method, self.dtype = dim, loss, method, dtype
        self.optimizer = optimizer or ("sgd" if squared else "adam")
        one_of("optimizer", self.optimizer, tuple(OPTIMIZERS))
        self.lr = (0.005 if squared else 0.01) if lr is None else lr
        self.reg = 0.02 if reg is None else reg
        self.epochs = (20 if squared else 40) if epochs is None else epochs
        self.batch_size, self.patience = batch_size, patience
        for name in ("dim", "epochs", "batch_size", "patience"):
            check_count(name, getattr(self, name))
        for name in ("lr", "reg"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {getattr(self, name)}")

    mu: float
    P: Array  # (U, D)
    Q: Array  # (I, D)
    b_user: Array  # (U,)
    b_item: Array  # (I,)
    log: training.TrainingLog

    def params(self) -> dict[str, Array]:
        """The live arrays by name."""
        return {"P": self.P, "Q": self.Q, "b_user": self.b_user, "b_item": self.b_item}

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
        """Learn from `train`. `valid` decides when to stop under bpr and bce; squared runs all epochs."""
        if self.loss == "squared" and train.ratings is None:
            raise ValueError('loss="squared" needs ratings, and these interactions have none')
        if checkpoint is not None and self.method == "per-rating":
            raise ValueError(
                f'checkpoint {checkpoint}: method="per-rating" has none: leave it out, or take "mini-batch"'
            )
        self.remember(train)
        seed = training.as_seed(rng, checkpoint)
        initial = training.stream(seed, training.INITIALIZATION)
        self.P = initial.normal(0.0, 0.1, (train.n_users, self.dim)).astype(self.dtype)
        self.Q = initial.normal(0.0, 0.1, (train.n_items, self.dim)).astype(self.dtype)
        self.b_user = np.zeros(train.n_users, dtype=self.dtype)
        self.b_item = np.zeros(train.n_items, dtype=self.dtype)
        self.mu, self.scale = 0.0, (-math.inf, math.inf)
        if self.loss == "squared":
            assert train.ratings is not None
            self.mu = float(train.ratings.mean())
            self.scale = float(train.ratings.min()), float(train.ratings.max())
        if self.method == "per-rating":
            self._fit_per_rating(train, seed, progress)
        else:
            watched = valid if self.loss != "squared" else None
            self._fit_batches(train, watched, seed, progress, checkpoint)
        return self

    def _fit_per_rating(self, train: Interactions, seed: int, progress: bool) -> None:
        assert train.ratings is not None
        users, items, ratings = train.users.tolist(), train.items.tolist(), train.ratings.tolist()
        self.log = log = training.TrainingLog()
        began = time.perf_counter()
        with (
            training.stop_on_interrupt() as interrupted,
            tqdm(total=self.epochs, desc=NAME, disable=not progress, unit="epoch") as bar,
        ):
            for epoch in range(1, self.epochs + 1):
                squares, done = 0.0, 0
                for n in training.stream(seed, training.ORDER, epoch).permutation(len(users)):
                    e = sgd_factorization_step(
                        self.P, self.Q, self.b_user, self.b_item, self.mu,
                        users[n], items[n], ratings[n], self.lr, self.reg,
                    )  # fmt: skip
                    squares, done = squares + e * e, done + 1
                    if interrupted.is_set():
                        break
                log.steps += done
                log.losses.append(squares / done)
                training.require_finite_parameters(self.params(), log.steps)
                bar.update()
                bar.set_postfix(loss=f"{log.losses[-1]:.4f}")
                if interrupted.is_set():
                    log.ended = f"interrupted in epoch {epoch} after {log.steps} steps"
                    tqdm.write(f"{NAME}: {log.ended}; the model can be used as it is")
                    break
        log.seconds = time.perf_counter() - began

    def _fit_batches(
        self,
        train: Interactions,
        valid: Interactions | None,
        seed: int,
        progress: bool,
        checkpoint: str | Path | None,
    ) -> None:
        seen = train.matrix()
        rows = np.arange(len(train))
        if self.loss != "squared":
            rows = rows[seen.row_counts()[train.users] < train.n_items]  # somebody who has all: no negatives
        sgd = self.optimizer == "sgd"
        batch_size = self.batch_size
        if sgd:  # steps from one old state add up, so no row may take too many of them at once
            busiest = max(np.bincount(train.users).max(), np.bincount(train.items).max())
            batch_size = min(batch_size, max(1, ROW_STEPS * len(train) // int(busiest)))

        def loss_and_grads(
            batch: training.Batch, upstream: float, rng: np.random.Generator
        ) -> tuple[Any, dict[str, Array]]:
            # With sgd γ is meant per row: n turns the mean over n rows into their sum, and the half takes the
            # 2 away that the derivative of a square brings, so that n textbook steps are added up
            # (under bpr and bce, whose L2 counts the user of a pair twice, once with each item).
            n = len(batch[0])
            total = n / 2 if self.loss == "squared" else n
            return self.loss_and_grads(batch, total if sgd else upstream)

        def draw(batch: Array, generator: np.random.Generator) -> training.Batch:
            users, items = train.users[rows[batch]], train.items[rows[batch]]
            if self.loss == "squared":
                return users, items, train.ratings[rows[batch]].astype(self.dtype)  # type: ignore[index]
            return users, items, sampling.sample_negatives(generator, users, 1, seen)[:, 0]

        self.log = training.train(
            self.params(),
            draw,
            loss_and_grads,
            len(rows),
            OPTIMIZERS[self.optimizer](self.lr),
            seed=seed,
            epochs=self.epochs,
            batch_size=batch_size,
            validate=self.validation(train, valid) if valid else None,
            patience=self.patience,
            progress=progress,
            name=f"{NAME} ({self.loss})",
            checkpoint=checkpoint,
            identity=identity(NAME, self.settings(), train, valid),
        )

    def loss_forward(self, batch: training.Batch, rng: np.random.Generator | None = None) -> tuple[Any, Any]:
        """The mean loss of (users, items, ratings or negatives) with L2."""
        users, items, third = batch
        if self.loss != "squared":
            users, items = np.concatenate([users, users]), np.concatenate([items, third])
        tables = self.P, self.Q, self.b_user, self.b_item, self.mu
        s, of_s = F.factorization_forward(*tables, users, items)
        loss, of_loss = self._scores_forward(s, third)
        if self.reg:
            loss = loss + l2_penalty(self.params(), users, items, self.reg)
        return loss, (users, items, of_s, of_loss)

    def loss_and_grads(
        self, batch: training.Batch, upstream: float, rng: np.random.Generator | None = None
    ) -> tuple[Any, dict[str, Array]]:
        """The mean loss with L2, and upstream times its gradients."""
        loss, (users, items, of_s, of_loss) = self.loss_forward(batch, rng)
        grads = F.factorization_backward(self._scores_backward(upstream, of_loss), of_s)
        named = dict(zip(("P", "Q", "b_user", "b_item"), grads, strict=True))
        if self.reg:
            l2 = l2_gradients(self.params(), users, items, self.reg * upstream)
            named = {name: gradient + l2[name] for name, gradient in named.items()}
        return loss, named

    def _scores_forward(self, s: Array, ratings: Array | None = None) -> tuple[Any, Any]:
        """Loss of scores (N,) for ratings, or of (2N,): first the N items taken, then their negatives."""
        if self.loss == "squared":
            assert ratings is not None
            return F.squared_error_forward(s, ratings)
        taken, other = np.split(s, 2)
        if self.loss == "bpr":
            return F.bpr_forward(taken, other)
        targets = np.repeat(np.array([1.0, 0.0], dtype=s.real.dtype), len(taken))
        return F.binary_cross_entropy_forward(s, targets)

    def _scores_backward(self, dloss: Any, cache: Any) -> Array:
        if self.loss == "squared":
            return F.squared_error_backward(dloss, cache)
        if self.loss == "bpr":
            return np.concatenate(F.bpr_backward(dloss, cache))
        return F.binary_cross_entropy_backward(dloss, cache)

    def predict(self, users: Array, items: Array) -> Array:
        """(N,) predicted ratings of pairs of indices, clipped to the scale of the training ratings."""
        users, items = self.check_users(users), self.check_items(items)
        s, _ = F.factorization_forward(self.P, self.Q, self.b_user, self.b_item, self.mu, users, items)
        return np.clip(s, *self.scale)

    def score(self, users: Array, items: Array | None = None) -> Array:
        users = self.check_users(users)
        return self.pick(self._scores(self.P[users], self.b_user[users]), items)

    def _scores(self, p: Array, b_user: Array) -> Array:
        """(B, I) from user vectors (B, D) and biases (B,)"""
        return self.mu + b_user[:, None] + self.b_item + p @ self.Q.T

    def score_histories(self, histories: Sequence[Array], items: Array | None = None) -> Array:
        """For users never seen: see the class. An empty history leaves μ + b_i."""
        histories = self.check_histories(histories)
        p = np.zeros((len(histories), self.dim), dtype=self.dtype)
        if self.loss != "squared":
            for row, history in zip(p, histories, strict=True):
                row[:] = self.fold_in(history)
        return self.pick(self._scores(p, np.zeros(len(p), dtype=self.dtype)), items)

    def fold_in(self, history: Array, steps: int = 100) -> Array:
        """(D,) the vector of a new user: Adam on the training loss of this history, all else fixed.

        Every item of the history is paired with the same sample of at most 500 items outside it.
        """
        p = np.zeros(self.dim, dtype=self.dtype)
        taken = np.unique(history)
        others = np.setdiff1d(np.arange(self.n_items), taken)
        if not len(taken) or not len(others):
            return p
        others = np.random.default_rng(0).permutation(others)[:500]
        n, m = len(taken), len(others)
        items = np.concatenate([taken, others])
        q, b = self.Q[items], self.b_item[items]  # (n + m, D), (n + m,)
        optimizer = optim.Adam(lr=0.05)
        for _ in range(steps):
            s = b + q @ p
            # All n m pairs, in the order that _scores_forward wants: the items taken, then their negatives.
            _, cache = self._scores_forward(np.concatenate([np.repeat(s[:n], m), np.tile(s[n:], n)]))
            of_taken, of_others = self._scores_backward(1.0, cache).reshape(2, n, m)
            ds = np.concatenate([of_taken.sum(axis=1), of_others.sum(axis=0)])  # (n + m,)
            optimizer.step({"p": p}, {"p": ds @ q + 2.0 * self.reg * p})
        return p

    def settings(self) -> dict[str, Any]:
        names = (
            "dim",
            "loss",
            "method",
            "optimizer",
            "lr",
            "reg",
            "epochs",
            "batch_size",
            "patience",
            "dtype",
        )
        return {name: getattr(self, name) for name in names}

    def state(self) -> dict[str, Array]:
        state = {**self.params(), "mu": np.array(self.mu)}
        return state | {"scale": np.array(self.scale)} if self.loss == "squared" else state

    def load_state(self, state: dict[str, Array]) -> None:
        self.P, self.Q, self.b_user, self.b_item = (state[n] for n in ("P", "Q", "b_user", "b_item"))
        low, high = state.get("scale", (-math.inf, math.inf))
        self.mu, self.scale = float(state["mu"]), (float(low), float(high))
        wanted = {"P": (self.n_users, self.dim), "Q": (self.n_items, self.dim),
                  "b_user": (self.n_users,), "b_item": (self.n_items,)}  # fmt: skip
        for name, shape in wanted.items():
            if state[name].shape != shape:
                raise ValueError(f"{name} has shape {state[name].shape}, expected {shape}")
