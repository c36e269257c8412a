"""Every exercise once more, in the plain style of somebody who writes it for the first time.

None of this looks at the library: the cache is whatever the writer wanted to keep.
"""

import math
from typing import Any

import numpy as np


def linear_forward(x: Any, W: Any, b: Any) -> Any:
    return x @ W + b, {"x": x, "W": W}


def linear_backward(dy: Any, cache: Any) -> Any:
    x, W = cache["x"], cache["W"]
    axes = tuple(range(dy.ndim - 1))
    dW = np.zeros(W.shape, dtype=dy.dtype)
    for place in np.ndindex(*dy.shape[:-1]):
        dW += np.outer(x[place], dy[place])
    return dy @ W.T, dW, dy.sum(axis=axes)


def relu_forward(x: Any) -> Any:
    return np.where(np.real(x) < 0, 0, x), x


def relu_backward(dy: Any, x: Any) -> Any:
    dx = np.array(dy)
    dx[x <= 0] = 0
    return dx


def layer_norm_forward(x: Any, gamma: Any, beta: Any, eps: float = 1e-5) -> Any:
    mean = x.mean(axis=-1, keepdims=True)
    var = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    std = (var + eps) ** 0.5
    x_hat = (x - mean) / std
    return gamma * x_hat + beta, (x_hat, std, gamma)


def layer_norm_backward(dy: Any, cache: Any) -> Any:
    x_hat, std, gamma = cache
    g = dy * gamma
    dx = (g - g.mean(axis=-1, keepdims=True) - x_hat * (g * x_hat).mean(axis=-1, keepdims=True)) / std
    axes = tuple(range(dy.ndim - 1))
    return dx, (dy * x_hat).sum(axis=axes), dy.sum(axis=axes)


def embedding_forward(E: Any, ids: Any) -> Any:
    if np.issubdtype(np.asarray(ids).dtype, np.integer) and (np.any(ids < 0) or np.any(ids >= len(E))):
        raise IndexError("no such row")
    return E[ids], (ids, E.shape)


def embedding_backward(dy: Any, cache: Any) -> Any:
    ids, shape = cache
    dE = np.zeros(shape, dtype=dy.dtype)
    np.add.at(dE, ids, dy)
    return dE


def dropout_forward(x: Any, rate: float, rng: Any) -> Any:
    if rng is None or rate == 0:
        return x.copy(), None
    keep = rng.random(x.shape, dtype=np.float32) >= rate
    return np.where(keep, x, 0) / (1 - rate), (keep, rate)


def dropout_backward(dy: Any, cache: Any) -> Any:
    if cache is None:
        return dy.copy()
    keep, rate = cache
    return np.where(keep, dy, 0) / (1 - rate)


def sinusoidal_positions(length: int, width: int) -> Any:
    out = np.zeros((length, width))
    for t in range(length):
        for d in range(width):
            angle = t / 10000 ** (2 * (d // 2) / width)
            out[t, d] = math.sin(angle) if d % 2 == 0 else math.cos(angle)
    return out


def softmax_forward(x: Any, mask: Any = None) -> Any:
    x = np.array(x, dtype=np.result_type(x, 1.0))
    if mask is not None:
        x[~np.broadcast_to(mask, x.shape)] = -np.inf
    top = np.real(x).max(axis=-1, keepdims=True)
    e = np.exp(x - np.where(np.isinf(top), 0, top))
    total = e.sum(axis=-1, keepdims=True)
    p = np.divide(e, total, out=np.zeros_like(e), where=total != 0)
    return p, p


def softmax_backward(dp: Any, p: Any) -> Any:
    dx = np.zeros_like(p)
    for row in np.ndindex(*p.shape[:-1]):
        jacobian = np.diag(p[row]) - np.outer(p[row], p[row])
        dx[row] = jacobian.T @ dp[row]
    return dx


def log_softmax_forward(x: Any, mask: Any = None) -> Any:
    x = np.array(x, dtype=np.result_type(x, 1.0))
    if mask is not None:
        x[~np.broadcast_to(mask, x.shape)] = -np.inf
    top = np.real(x).max(axis=-1, keepdims=True)
    top = np.where(np.isinf(top), 0, top)
    total = np.exp(x - top).sum(axis=-1, keepdims=True)
    y = x - top - np.log(np.where(total == 0, 1, total))
    return y, y


def log_softmax_backward(dy: Any, y: Any) -> Any:
    dy = np.where(np.isinf(y), 0, dy)
    return dy - np.exp(y) * dy.sum(axis=-1, keepdims=True)


def _weights(weight: Any, shape: Any, dtype: Any) -> Any:
    w = np.ones(shape) if weight is None else np.broadcast_to(np.asarray(weight, dtype=float), shape)
    total = w.sum()
    return (w / total if total > 0 else 0 * w).astype(dtype)


def cross_entropy_forward(logits: Any, targets: Any, weight: Any = None) -> Any:
    w = _weights(weight, targets.shape, np.real(logits).dtype)
    seen = w != 0
    logits = np.where(seen[..., None], logits, 0)
    targets = np.where(seen, targets, 0)
    log_p, _ = log_softmax_forward(logits)
    loss: Any = 0 * logits.dtype.type(0)
    for place in np.ndindex(*targets.shape):
        loss = loss - w[place] * log_p[(*place, targets[place])]
    return loss, (log_p, targets, w)


def cross_entropy_backward(dloss: Any, cache: Any) -> Any:
    log_p, targets, w = cache
    onehot = np.eye(log_p.shape[-1])[targets]
    return (dloss * w[..., None] * (np.exp(log_p) - onehot)).astype(log_p.dtype)


def binary_cross_entropy_forward(logits: Any, targets: Any, weight: Any = None) -> Any:
    logits = np.asarray(logits)
    if not np.issubdtype(logits.dtype, np.inexact):
        logits = logits.astype(float)
    w = _weights(weight, logits.shape, np.real(logits).dtype)
    x, y = np.where(w != 0, logits, 0), np.where(w != 0, targets, 0).astype(np.real(logits).dtype)
    if np.any((y < 0) | (y > 1) | np.isnan(y)):
        raise ValueError("targets must be in [0, 1]")
    sign = np.where(np.real(x) > 0, 1, -1)
    ell = x * (sign > 0) - x * y + np.log1p(np.exp(-sign * x))
    return (w * ell).sum(), (x, y, w)


def binary_cross_entropy_backward(dloss: Any, cache: Any) -> Any:
    x, y, w = cache
    e = np.exp(-np.abs(x))
    sigma = np.where(x >= 0, 1 / (1 + e), e / (1 + e))
    return (dloss * w * (sigma - y)).astype(x.dtype)


def causal_mask(T: int) -> Any:
    return np.arange(T)[:, None] >= np.arange(T)


def padding_mask(ids: Any) -> Any:
    return np.not_equal(ids, 0).reshape(len(ids), 1, 1, -1)


def diagonal_mask(C: int) -> Any:
    out = np.zeros((C, C), dtype=bool)
    for i in range(C):
        out[i, i] = True
    return out


def split_heads(x: Any, heads: int) -> Any:
    if x.shape[-1] % heads:
        raise ValueError("not divisible")
    K = x.shape[-1] // heads
    return np.stack([x[..., h * K : (h + 1) * K] for h in range(heads)], axis=-3)


def merge_heads(x: Any) -> Any:
    return np.concatenate([x[..., h, :, :] for h in range(x.shape[-3])], axis=-1)


def attention_forward(q: Any, k: Any, v: Any, mask: Any = None) -> Any:
    if k.shape[-2] != v.shape[-2]:
        raise ValueError("keys and values")
    if mask is not None:
        visible = np.broadcast_to(mask, (*q.shape[:-1], k.shape[-2])).any(axis=-2)[..., None]
        k, v = np.where(visible, k, 0), np.where(visible, v, 0)
    s = q @ np.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1])
    p, _ = softmax_forward(s, mask)
    return p @ v, (q, k, v, p)


def attention_backward(dy: Any, cache: Any) -> Any:
    q, k, v, p = cache
    dv = np.swapaxes(p, -1, -2) @ dy
    dp = dy @ np.swapaxes(v, -1, -2)
    ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True)) / math.sqrt(q.shape[-1])
    return ds @ k, np.swapaxes(ds, -1, -2) @ q, dv


def residual_backward(dy: Any, f_backward: Any, layer_norm: Any, norm: str, cache: Any) -> Any:
    grads: Any = {}
    if norm == "post":
        dy, grads = layer_norm.backward(dy, cache.norm)
    factor = cache.dropout.factor
    dz, more = f_backward(dy if factor is None else dy * factor, cache.f)
    if norm == "pre":
        dz, grads = layer_norm.backward(dz, cache.norm)
    dx = dy + dz
    if norm == "first":
        dx, grads = layer_norm.backward(dx, cache.norm)
    return dx, more, grads


def encoder_block_backward(block: Any, dy: Any, cache: Any) -> Any:
    from minirec.nn.residual import residual_backward as back

    grads = {}
    dx, ff, n2 = back(dy, block.feed_forward.backward, block.norm2, block.norm, cache.feed_forward)

    def attention(dz: Any, of_attention: Any) -> Any:
        three, of_weights = block.attention.backward(dz, of_attention)
        return sum(three), of_weights

    dx, at, n1 = back(dx, attention, block.norm1, block.norm, cache.attention)
    for name, part in (("attention", at), ("norm1", n1), ("feed_forward", ff), ("norm2", n2)):
        grads.update({f"{name}.{key}": g for key, g in part.items()})
    return dx, grads


def exchange_keys_and_distances(x: Any) -> Any:
    Tq, Tk = x.shape[-2:]
    y = np.empty_like(x)
    for i in range(Tq):
        for j in range(Tk):
            y[..., i, j] = x[..., i, (i + Tk - Tq - j) % Tk]
    return y


def central_difference(f: Any, x: Any, direction: Any = 1.0, h: float = 1e-5) -> Any:
    ahead = f(x + h * direction)
    behind = f(x - h * direction)
    return (ahead - behind) / (2.0 * h)


def leave_one_out(x: Any) -> Any:
    part = np.zeros(len(x.users), dtype=int)
    times = x.timestamps if x.timestamps is not None else np.zeros(len(x.users))
    rows_of: dict[int, list[int]] = {}
    for row, user in enumerate(x.users):
        rows_of.setdefault(int(user), []).append(row)
    for rows in rows_of.values():
        if len(rows) >= 3:
            rows = sorted(rows, key=lambda row: (times[row], row))
            part[rows[-1]], part[rows[-2]] = 2, 1
    train, valid, test = (x.select(np.flatnonzero(part == n)) for n in range(3))
    return train, valid, test


def sample_negatives(rng: Any, users: Any, n: int, seen: Any) -> Any:
    rng = np.random.default_rng(rng)
    if n < 0:
        raise ValueError("n")
    n_users, n_items = seen.shape
    out = np.empty((len(users), n), dtype=np.int64)
    for row, user in enumerate(users):
        if not 0 <= user < n_users:
            raise IndexError("user")
        unseen = [i for i in range(n_items) if not seen.contains(user, i)]
        if not unseen:
            raise ValueError("nothing is left")
        for j in range(n):
            out[row, j] = unseen[rng.integers(len(unseen))]
    return out


def bpr_forward(positive: Any, negative: Any, weight: Any = None) -> Any:
    d = np.asarray(positive - negative)
    if not np.issubdtype(d.dtype, np.inexact):
        d = d.astype(float)
    w = _weights(weight, d.shape, np.real(d).dtype)
    d = np.where(w != 0, d, 0)
    sign = np.where(np.real(d) > 0, 1, -1)
    ell = np.log1p(np.exp(-sign * d)) - np.where(sign > 0, 0, d)
    return (w * ell).sum(), (d, w)


def bpr_backward(dloss: Any, cache: Any) -> Any:
    d, w = cache
    e = np.exp(-np.abs(d))
    minus = np.where(d > 0, e / (1 + e), 1 / (1 + e))
    g = (dloss * w * minus).astype(d.dtype)
    return -g, g


def sgd_factorization_step(
    P: Any, Q: Any, b_user: Any, b_item: Any, mu: float, u: int, i: int, rating: float, lr: float, reg: float
) -> Any:
    e = rating - (mu + b_user[u] + b_item[i] + sum(P[u] * Q[i]))
    p, q = P[u].copy(), Q[i].copy()
    b_user[u] = b_user[u] + lr * (e - reg * b_user[u])
    b_item[i] = b_item[i] + lr * (e - reg * b_item[i])
    P[u] = p + lr * (e * q - reg * p)
    Q[i] = q + lr * (e * p - reg * q)
    return float(e)


def als_system(Y: Any, YtY: Any, items: Any, r: Any, alpha: float, reg: float) -> Any:
    A = YtY + reg * np.eye(Y.shape[1])
    c = 1 + alpha * r
    for item, weight in zip(items, c, strict=True):
        A = A + (weight - 1) * np.outer(Y[item], Y[item])
    return A, c


def als_half_step(Y: Any, R: Any, alpha: float, reg: float) -> Any:
    X = np.zeros((R.shape[0], Y.shape[1]))
    for u in range(R.shape[0]):
        items, counts = R.row(u)
        A, c = als_system(Y, Y.T @ Y, items, counts, alpha, reg)
        X[u] = np.linalg.solve(
            A, sum((w * Y[i] for w, i in zip(c, items, strict=True)), np.zeros(Y.shape[1]))
        )
    return X


def adam_step(
    param: Any, grad: Any, m: Any, v: Any, t: int, lr: float, beta1: float = 0.9, beta2: float = 0.999,
    eps: float = 1e-8,
) -> Any:  # fmt: skip
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad * grad
    return param - lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)) ** 0.5 + eps), m, v


def adamw_step(
    param: Any, grad: Any, m: Any, v: Any, t: int, lr: float, beta1: float = 0.9, beta2: float = 0.999,
    eps: float = 1e-8, weight_decay: float = 0.01,
) -> Any:  # fmt: skip
    moved, m, v = adam_step(param, grad, m, v, t, lr, beta1, beta2, eps)
    return moved - lr * weight_decay * param, m, v


def cloze_mask(rng: Any, ids: Any, rho: float) -> Any:
    draws = rng.random(ids.shape)
    out = np.zeros(ids.shape, dtype=bool)
    for row in range(len(ids)):
        items = [t for t in range(ids.shape[1]) if ids[row, t] != 0]
        n = max(1, round(rho * len(items)))
        for t in sorted(items, key=lambda t: draws[row, t])[:n]:
            out[row, t] = True
    return out


def _expected(scores: Any, relevant: Any, k: int, value: Any) -> list[float]:
    """The mean of value(rank) of each relevant item over the ranks that ties leave it."""
    if isinstance(k, bool) or k != int(k):
        raise TypeError("k")
    if k < 1 or len(relevant) == 0 or np.isnan(scores).any() or np.isposinf(scores).any():
        raise ValueError("k, relevant or scores")
    n = int(np.isfinite(scores).sum())
    out = []
    for item in relevant:
        if np.isneginf(scores[item]):
            out.append(0.0)
            continue
        better, tied = int((scores > scores[item]).sum()), int((scores == scores[item]).sum())
        ranks = range(better + 1, better + tied + 1)
        out.append(sum(value(rank) for rank in ranks if rank <= min(k, n)) / tied)
    return out


def recall(scores: Any, relevant: Any, k: int) -> float:
    return float(sum(_expected(scores, relevant, k, lambda rank: 1.0)) / len(relevant))


def ndcg(scores: Any, relevant: Any, k: int, gains: Any = None) -> float:
    gains = np.ones(len(relevant)) if gains is None else np.asarray(gains, dtype=float)
    found = _expected(scores, relevant, k, lambda rank: 1 / math.log2(rank + 1))
    best = sorted(gains, reverse=True)[:k]
    ideal = sum(g / math.log2(rank + 1) for rank, g in enumerate(best, 1))
    return float(sum(g * d for g, d in zip(gains, found, strict=True)) / ideal)
