"""What every benchmark here times: training steps of SASRec on one batch, at the sizes of the tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minirec import optim, training
from minirec.functional import Array
from minirec.models import SASRec


class Size(NamedTuple):
    """B sequences of T items, states of D numbers, blocks with feed-forward layers of F, I items."""

    batch: int
    length: int
    width: int
    blocks: int
    hidden: int
    items: int
    loss: str = "bce"

    def __str__(self) -> str:
        loss = "one negative" if self.loss == "bce" else "all items"
        B, T, D, blocks, F, items = self[:6]
        return f"B {B}, T {T}, D {D}, {blocks} blocks, F {F}, {items:,} items, {loss}"


SIZES = (
    Size(8, 10, 32, 2, 128, 100),
    Size(32, 20, 32, 2, 128, 500),
    Size(64, 50, 64, 2, 256, 1700),
    Size(128, 50, 64, 2, 64, 3500),
    Size(128, 200, 64, 2, 64, 3500),
    Size(128, 200, 128, 2, 512, 12_000),
    Size(128, 200, 64, 2, 64, 3500, "softmax"),
)


def untrained(size: Size, dropout: float = 0.0, lazy: bool = False) -> SASRec:
    """A model of this size in float32, with the random parameters of seed 0."""
    model = SASRec(
        size.width, 1, size.blocks, loss=size.loss, length=size.length, hidden=size.hidden, dropout=dropout,
        batch_size=size.batch, lazy=lazy,
    )  # fmt: skip
    model.user_ids, model.item_ids = [0], list(range(size.items))
    model.network = model.build(np.random.default_rng(0)).astype("float32")
    return model


def random_batch(size: Size) -> tuple[Array, ...]:
    """Inputs, targets and (for one negative) negatives: full sequences of random items."""
    rng = np.random.default_rng(1)
    parts = 3 if size.loss == "bce" else 2
    return tuple(rng.integers(1, size.items + 1, (size.batch, size.length)) for _ in range(parts))


class Steps:
    """`step()` is what `training.train` does with each batch: shards, the sum of their gradients, Adam."""

    def __init__(self, model: SASRec, batch: tuple[Array, ...], each: Any) -> None:
        self.model, self.batch, self.each, self.done = model, batch, each, 0
        self.optimizer = optim.Adam(model.lr, beta2=model.beta2, lazy=model.lazy)
        self.params = model.params()
        self.shard_size = model.shard_size()

    def loss(self) -> float:
        return float(self.model.loss_forward(self.batch)[0])

    def step(self) -> None:
        self.done += 1
        _, grads = training.batch_gradients(
            self.batch, self.model.loss_and_grads, self.shard_size,
            lambda s: training.stream(0, training.DROPOUT, self.done, s), self.each,
            lambda batch: float(np.count_nonzero(batch[1])),
        )  # fmt: skip
        self.optimizer.step(self.params, grads, each=self.each)


@contextmanager
def steps(
    size: Size, dropout: float = 0.0, lazy: bool = False, threads: int | None = None
) -> Iterator[Steps]:
    """The steps of one size, in shard threads (None: one per core) with one BLAS thread each."""
    with training.shard_threads(threads) as each:
        yield Steps(untrained(size, dropout, lazy), random_batch(size), each)
