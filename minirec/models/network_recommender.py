"""What all recommenders with a network share: settings, their checks, `fit` by gradients, parameters, files.

A subclass says how its network is built, which examples it is trained on, and the loss of a batch of them
with its gradients. Its constructor's arguments are the fields of a dataclass.
"""

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from minirec import nn, optim, training
from minirec.checkpoint import identity
from minirec.data.interactions import Interactions
from minirec.functional import Array
from minirec.models.base import Recommender, check_count, keeps_the_old_model, one_of
from minirec.nn.module import Grads


class Examples(NamedTuple):
    """What one epoch goes through: `n` examples, and the batch of some of them, negatives included."""

    n: int
    draw: Callable[[Array, np.random.Generator], training.Batch]


@dataclass(eq=False)
class NetworkRecommender(Recommender):
    """The arguments that all of them have; their own are with each.

    length        of the history that the network reads: the newest items
    hidden        width of the feed-forward layers (None: that of the model's default)
    dropout       in training only
    lr            of Adam
    batch_size    examples per step
    patience      epochs without a better validation after which training ends
    """

    embedding_dim: int = 64
    num_heads: int = 1
    num_layers: int = 2
    _: KW_ONLY
    length: int = 50
    hidden: int | None = None
    dropout: float = 0.2
    lr: float = 1e-3
    batch_size: int = 128
    epochs: int = 200
    patience: int = 20
    dtype: str = "float32"

    network: nn.Module = field(init=False, repr=False)
    log: training.TrainingLog = field(init=False, repr=False)

    whole_numbers: ClassVar[tuple[str, ...]] = (  # the arguments that are whole numbers of at least 1
        "embedding_dim", "num_heads", "num_layers", "length", "batch_size", "epochs", "patience",
    )  # fmt: skip
    hidden_default = "embedding_dim"  # what None stands for, in words
    clip = np.inf  # of the global gradient norm

    def __post_init__(self) -> None:
        one_of("dtype", self.dtype, ("float32", "float64"))
        for name in self.whole_numbers:
            check_count(name, getattr(self, name))
        if self.embedding_dim % self.num_heads:
            raise ValueError(
                f"embedding_dim {self.embedding_dim} is not divisible by num_heads {self.num_heads}"
            )
        if self.hidden is not None:
            check_count("hidden", self.hidden, f", or None for {self.hidden_default}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if not 0 <= self.lr < np.inf:
            raise ValueError(f"lr must be at least 0 and finite, got {self.lr}")

    @abstractmethod
    def build(self, rng: np.random.Generator) -> nn.Module:
        """A network with random parameters in float64, of the size that the id maps ask for."""

    @abstractmethod
    def examples(self, train: Interactions) -> Examples:
        """What an epoch of training goes through."""

    @abstractmethod
    def shard_size(self) -> int:
        """Examples per shard of a batch."""

    @abstractmethod
    def loss_forward(self, batch: training.Batch, rng: np.random.Generator | None = None) -> tuple[Any, Any]:
        """The mean loss of a batch, and what its gradients need; rng None: without dropout."""

    @abstractmethod
    def loss_and_grads(
        self, batch: training.Batch, upstream: float, rng: np.random.Generator | None
    ) -> tuple[Any, Grads]:
        """The mean loss of a batch, and upstream times its gradients."""

    def weigh(self, batch: training.Batch) -> float:
        """How many things the loss of a batch is a mean over."""
        return len(batch[0])

    def optimizer(self) -> training.Optimizer:
        return optim.Adam(self.lr)

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
        self.remember(train)
        examples = self.examples(train)
        seed = training.as_seed(rng, checkpoint)
        self.network = self.build(training.stream(seed, training.INITIALIZATION)).astype(self.dtype)
        self.log = training.train(
            self.network.params(), examples.draw, self.loss_and_grads, examples.n, self.optimizer(),
            seed=seed, epochs=self.epochs, batch_size=self.batch_size, shard_size=self.shard_size(),
            clip=self.clip, weigh=self.weigh, validate=self.validation(train, valid) if valid else None,
            patience=self.patience, progress=progress, name=type(self).__name__,
            checkpoint=checkpoint, identity=identity(type(self).__name__, self.settings(), train, valid),
        )  # fmt: skip
        return self

    def params(self) -> dict[str, Array]:
        """The live arrays by name."""
        return self.network.params()

    def with_params(self, params: Mapping[str, Array]) -> Self:
        """A copy of this model that uses the given arrays."""
        other = copy.copy(self)
        other.network = self.network.with_params(params)
        return other

    def settings(self) -> dict[str, Any]:
        return {argument.name: getattr(self, argument.name) for argument in fields(self) if argument.init}

    def state(self) -> dict[str, Array]:
        return self.network.params()

    def load_state(self, state: dict[str, Array]) -> None:
        self.network = self.build(np.random.default_rng(0)).with_params(state)
