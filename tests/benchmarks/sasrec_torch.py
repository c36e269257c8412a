"""SASRec as a user of PyTorch would write it, for `against_torch.py`. PyTorch is imported here alone.

One nn.Linear for the three projections, PyTorch's fused causal attention, torch.optim.Adam with its defaults.
All sequences are full, so no padding mask is needed: the fused attention is at its fastest.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from minirec.functional import Array
from minirec.models import SASRec


class Block(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.expand, self.project = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, T, D = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(B, T, 3, self.heads, D // self.heads).unbind(dim=2)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        a = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.out(a.transpose(1, 2).reshape(B, T, D)))
        return x + self.dropout(self.project(torch.relu(self.expand(self.norm2(x)))))


class TorchSASRec(nn.Module):
    def __init__(
        self, n_items: int, width: int, heads: int, layers: int, hidden: int, length: int, dropout: float
    ) -> None:
        super().__init__()
        self.item = nn.Embedding(n_items + 1, width, padding_idx=0)
        self.position = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.scale = width**0.5

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.scale * self.item(ids) + self.position(torch.arange(ids.shape[1]))
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x)
        h: torch.Tensor = self.norm(x)
        return h

    def loss(self, inputs: torch.Tensor, targets: torch.Tensor, *negatives: torch.Tensor) -> torch.Tensor:
        h = self(inputs)
        if not negatives:
            logits = h @ self.item.weight[1:].T
            return functional.cross_entropy(logits.flatten(0, 1), targets.flatten() - 1)
        positive = (h * self.item(targets)).sum(-1)
        negative = (h * self.item(negatives[0])).sum(-1)
        bce = functional.binary_cross_entropy_with_logits
        return bce(positive, torch.ones_like(positive)) + bce(negative, torch.zeros_like(negative))


def twin(model: SASRec) -> TorchSASRec:
    """The PyTorch model with the size and the parameters of a minirec one."""
    net = TorchSASRec(
        model.n_items, model.embedding_dim, model.num_heads, model.num_layers,
        model.hidden or model.embedding_dim, model.length, model.dropout,
    )  # fmt: skip
    ours = model.params()

    def copy(target: torch.Tensor, *names: str) -> None:
        values = np.concatenate([ours[name].T for name in names])  # nn.Linear keeps (out, in)
        with torch.no_grad():
            target.copy_(torch.from_numpy(values))

    def copy_table(target: torch.Tensor, name: str) -> None:
        with torch.no_grad():
            target.copy_(torch.from_numpy(ours[name]))

    copy_table(net.item.weight, "item_embedding.E")
    copy_table(net.position.weight, "position_embedding.E")
    copy(net.norm.weight, "encoder.norm.gamma")
    copy(net.norm.bias, "encoder.norm.beta")
    for i, block in enumerate(net.blocks):
        assert isinstance(block, Block)
        at = f"encoder.blocks.{i}"
        for layer, names in (
            (block.qkv, [f"attention.{{}}_{part}" for part in "qkv"]),
            (block.out, ["attention.{}_o"]),
            (block.expand, ["feed_forward.expand.{}"]),
            (block.project, ["feed_forward.project.{}"]),
        ):
            copy(layer.weight, *(f"{at}.{name.format('W')}" for name in names))
            copy(layer.bias, *(f"{at}.{name.format('b')}" for name in names))
        for norm, name in ((block.norm1, "norm1"), (block.norm2, "norm2")):
            copy(norm.weight, f"{at}.{name}.gamma")
            copy(norm.bias, f"{at}.{name}.beta")
    return net


class TorchTraining:
    """Training steps on one batch: `loss()` without a step, `step()` with one."""

    def __init__(self, model: SASRec, batch: tuple[Array, ...]) -> None:
        self.net = twin(model)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=model.lr, betas=(0.9, model.beta2))
        self.batch = [torch.from_numpy(part.astype(np.int64)) for part in batch]

    def loss(self) -> float:
        self.net.eval()
        with torch.no_grad():
            loss = float(self.net.loss(*self.batch))
        self.net.train()
        return loss

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.net.loss(*self.batch).backward()
        self.optimizer.step()
