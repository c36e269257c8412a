"""What SASRec and TransformerXL share: one sequence per user, and the next item to be named at every step.

The losses are in step_loss.py; a subclass gives the network.
"""

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from minirec import optim, training
from minirec.data.interactions import Interactions
from minirec.functional import Array
from minirec.models import step_loss
from minirec.models.base import one_of
from minirec.models.network_recommender import Examples
from minirec.models.sequence_recommender import SequenceRecommender, shard_size
from minirec.nn.module import Grads

RESIDUALS = {"plain": "pre", "original": "first"}  # the order of norm and sum in a block


@dataclass(eq=False)
class NextItemRecommender(SequenceRecommender):
    """The arguments that both have; those of NetworkRecommender come to them.

    loss         what the item taken stands against at every step. "softmax": all items; "bce": one that the
                 user has not met, drawn for each step; "sampled_softmax", "gbce": n_negatives items, drawn
                 for each sequence
    gbce_t       in [0, 1], for "gbce": 0 is the mean binary cross-entropy of the n_negatives + 1 scores; 1
                 takes back that negatives are few: σ(score) tends to p I / (p I + I − 1) for an item with
                 probability p, near p where p is small (the item taken may be among its negatives)
    residual     "plain": the skip connection carries x; "original": norm(x), as in the code of SASRec (which
                 normalizes queries alone, while here keys and values are as well)
    beta2        of Adam

    The network maps ids (B, T) to states (B, T, D), and has an `item_embedding` and an `output_embedding`,
    the same one or another.
    """

    _: KW_ONLY
    loss: str = "softmax"
    n_negatives: int = 256
    gbce_t: float = 0.75
    residual: str = "plain"
    beta2: float = 0.98

    network: Any = field(init=False, repr=False)

    whole_numbers = (*SequenceRecommender.whole_numbers, "n_negatives")

    def __post_init__(self) -> None:
        one_of("loss", self.loss, step_loss.LOSSES)
        one_of("residual", self.residual, tuple(RESIDUALS))
        super().__post_init__()
        if not 0 <= self.gbce_t <= 1:
            raise ValueError(f"gbce_t must be in [0, 1], got {self.gbce_t}")
        if not 0 <= self.beta2 < 1:
            raise ValueError(f"beta2 must be at least 0 and below 1, got {self.beta2}")

    def optimizer(self) -> optim.Adam:
        return optim.Adam(self.lr, beta2=self.beta2)

    def examples(self, train: Interactions) -> Examples:
        """One per user: (inputs, targets[, negatives])."""
        return step_loss.step_examples(
            self.loss, self.histories, self.length, train.matrix(), self.n_negatives
        )

    def weigh(self, batch: training.Batch) -> float:
        """Steps with a target."""
        return float(np.count_nonzero(batch[1]))

    def shard_size(self) -> int:
        n_logits = step_loss.logits_per_step(self.loss, self.n_items, self.n_negatives)
        drawn = self.n_negatives if self.loss in step_loss.SHARED else 0
        return shard_size(self.batch_size, self.length, self.embedding_dim, n_logits, drawn)

    def loss_forward(self, batch: training.Batch, rng: np.random.Generator | None = None) -> tuple[Any, Any]:
        """The mean loss over the steps with a target. A batch: inputs, targets[, negatives]."""
        inputs, *rest = step_loss.trimmed_steps(self.loss, batch)
        h, of_network = self.network.forward(inputs, rng=rng)
        E = self.network.output_embedding.E
        loss, of_loss = step_loss.step_loss_forward(self.loss, h, E, *rest, gbce_t=self.gbce_t)
        return loss, (of_network, of_loss)

    def loss_and_grads(
        self, batch: training.Batch, upstream: float, rng: np.random.Generator | None
    ) -> tuple[Any, Grads]:
        """The mean loss of a batch, and upstream times its gradients."""
        loss, (of_network, of_loss) = self.loss_forward(batch, rng)
        dh, dE = step_loss.step_loss_backward(upstream, of_loss)
        _, grads = self.network.backward(dh, of_network)
        tied = self.network.output_embedding is self.network.item_embedding
        output = "item_embedding.E" if tied else "output_embedding.E"
        grads[output] = grads[output] + dE  # tied: the table is input and output
        return loss, grads

    def output_table(self) -> Array:
        table: Array = self.network.output_embedding.E[1:]
        return table
