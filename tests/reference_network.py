"""Plain NumPy references for the blocks of minirec.nn, from the formulas: no caches, no batched heads.

They loop over batch rows, heads and queries, and share no code with the package. Inputs are (B, T, D).
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Params = Mapping[str, np.ndarray]


def child(params: Params, prefix: str) -> dict[str, np.ndarray]:
    """The parameters of one child, under the names that it gives them itself."""
    start = prefix + "."
    return {name[len(start) :]: array for name, array in params.items() if name.startswith(start)}


def random_parameters(module: Any, seed: int) -> Any:
    """The module at random parameters: initial zeros and ones hide mistakes."""
    rng = np.random.default_rng([seed, 17])
    return module.with_params({k: v + 0.4 * rng.standard_normal(v.shape) for k, v in module.params().items()})


def single_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """q (Tq, K), k (Tk, K), v (Tk, K), visible (Tq, Tk)  ->  (Tq, K); nothing visible gives 0."""
    y = np.zeros((len(q), v.shape[1]))
    for i in range(len(q)):
        keys = np.flatnonzero(visible[i])
        scores = [float(q[i] @ k[j]) / math.sqrt(q.shape[1]) for j in keys]
        total = sum(math.exp(s) for s in scores)
        for s, j in zip(scores, keys, strict=True):
            y[i] += math.exp(s) / total * v[j]
    return y


def multi_head(
    p: Params, heads: int, query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray | None
) -> np.ndarray:
    """One attention after the other, each on its own columns of the projections."""
    B, Tq, D = query.shape
    K = D // heads
    seen = np.broadcast_to(True if mask is None else mask, (B, heads, Tq, key.shape[1]))
    y = np.zeros((B, Tq, D))
    for b in range(B):
        found = []
        for h in range(heads):
            own = slice(h * K, (h + 1) * K)
            q = query[b] @ p["W_q"][:, own] + p["b_q"][own]
            k = key[b] @ p["W_k"][:, own] + p["b_k"][own]
            v = value[b] @ p["W_v"][:, own] + p["b_v"][own]
            found.append(single_attention(q, k, v, seen[b, h]))
        y[b] = np.concatenate(found, axis=1) @ p["W_o"] + p["b_o"]
    return y


def layer_norm(p: Params, x: np.ndarray) -> np.ndarray:
    mean, var = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * p["gamma"] + p["beta"]


def feed_forward(p: Params, activation: str, x: np.ndarray) -> np.ndarray:
    h = x @ p["expand.W"] + p["expand.b"]
    if activation == "relu":
        a = np.maximum(h, 0)
    else:
        a = h / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
    return a @ p["project.W"] + p["project.b"]


def encoder_block(
    p: Params, x: np.ndarray, mask: np.ndarray | None, heads: int, norm: str, activation: str
) -> np.ndarray:
    attention, feed = child(p, "attention"), child(p, "feed_forward")
    norm1, norm2 = child(p, "norm1"), child(p, "norm2")
    if norm == "pre":
        z = layer_norm(norm1, x)
        x = x + multi_head(attention, heads, z, z, z, mask)
        return x + feed_forward(feed, activation, layer_norm(norm2, x))
    x = layer_norm(norm1, x + multi_head(attention, heads, x, x, x, mask))
    return layer_norm(norm2, x + feed_forward(feed, activation, x))


def decoder_block(
    p: Params,
    x: np.ndarray,
    memory: np.ndarray,
    self_mask: np.ndarray | None,
    cross_mask: np.ndarray | None,
    heads: int,
    norm: str,
    activation: str,
) -> np.ndarray:
    own, cross, feed = child(p, "self_attention"), child(p, "cross_attention"), child(p, "feed_forward")
    norm1, norm2, norm3 = (child(p, f"norm{i}") for i in (1, 2, 3))
    if norm == "pre":
        z = layer_norm(norm1, x)
        x = x + multi_head(own, heads, z, z, z, self_mask)
        x = x + multi_head(cross, heads, layer_norm(norm2, x), memory, memory, cross_mask)
        return x + feed_forward(feed, activation, layer_norm(norm3, x))
    x = layer_norm(norm1, x + multi_head(own, heads, x, x, x, self_mask))
    x = layer_norm(norm2, x + multi_head(cross, heads, x, memory, memory, cross_mask))
    return layer_norm(norm3, x + feed_forward(feed, activation, x))
