# %% [markdown]
# # Reach far back: segments, memory and distances
#
# - **You will do:** score keys by their distance, write the backward pass of that, read a history in
#   segments with a memory, and measure how far back a state reaches.
# - **You will learn:** why positions must become distances once there is a memory, where the gradient
#   stops, and the difference between what a model *can* see, what it *learns* to see, and what *helps*.
# - **You need:** [attention](04_attention.md), [Transformer blocks](07_blocks.md),
#   [sequences](10_sequences.md).
#
# Sections 3.1 and 3.3 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术)
# praise the Transformer for catching long-range dependencies: what happened long ago may decide what comes
# next. How long ago is not said. Section 7.3 lists the paper that asks just this, Transformer-XL (Dai et
# al. 2019), under a title that it does not have: the paper is called "Attentive Language Models Beyond a
# Fixed-Length Context".

# %%
import json
from pathlib import Path

import numpy as np

import minirec
from minirec import functional as F
from minirec import nn, plots
from minirec.data import Interactions
from minirec.data.sequences import next_items, pad_histories
from minirec.evaluation import bootstrap_means, interval
from minirec.models.sasrec import SASRecNetwork
from minirec.models.transformer_xl import TransformerXL, TransformerXLNetwork, reach, segments, updated_memory
from minirec.verify import agree, check_gradient, complex_step

# %% [markdown]
# ## The edge of the window
#
# A Transformer compares every two items *in its window*, however far apart they stand. Behind the window
# there is nothing. A SASRec that keeps 8 items, and a history of 9 whose oldest item is exchanged:

# %%
rng = np.random.default_rng(0)
sizes = {"n_items": 40, "embedding_dim": 8, "num_heads": 2, "num_layers": 2, "hidden": 8}
sasrec = SASRecNetwork(rng, **sizes, length=8, residual="plain", dropout=0.0)
history = np.arange(9)
exchanged = np.append(39, history[1:])
before, after = (sasrec.forward(pad_histories([items], 8))[0][:, -1] for items in (history, exchanged))
print("the state after the newest item moves:", bool(np.any(before != after)))

# %% [markdown]
# A longer window is paid for: every state is compared with every earlier one, $T(T + 1)/2$ pairs for $T$
# items. Twice the window, four times the pairs.
#
# ## Segments and a memory
#
# Transformer-XL cuts the history into *segments* of $L$ items. While it reads one, each block may also look
# at its own last $M$ inputs from before the segment: its *memory*. $h$ is $(L, D)$, the input of a block;
# $m$ is $(M, D)$:
#
# $$
# z = [\operatorname{SG}(m);\ h], \qquad q = h W_q, \qquad k = z W_k, \qquad v = z W_v
# $$
#
# $[\,;\,]$ puts one below the other, and $\operatorname{SG}$ (*stop gradient*) says that $m$ counts as a
# constant. Queries come from the segment alone, keys and values from both. With the layer norm in front of
# it and the skip connection around it, this is the first half of `nn.RelativeBlock`; the second half is the
# usual feed-forward layer.

# %%
L, M, D, heads = 4, 4, 8, 2
block = nn.RelativeBlock(rng, D, heads, hidden=8)
u, w = rng.normal(size=(2, heads, D // heads))  # two more learned vectors per head, explained below
h, m = rng.normal(size=(1, L, D)), rng.normal(size=(1, M, D))
norm, attention = block.norm1, block.attention
z = np.concatenate([norm.forward(m)[0], norm.forward(h)[0]], axis=1)  # (1, M + L, D)
half = h + attention.forward(z[:, M:], z, u, w)[0]
whole = half + block.feed_forward.forward(block.norm2.forward(half)[0])[0]
agree("RelativeBlock", block.forward(h, u, w, memory=m)[0], whole)

# %% What each of 12 states looks at in one block: all before it, or its segment (1) and the memory (0.5)
T = 12
full = nn.causal_mask(T).astype(float)
seen = np.zeros((T, T))
for now in segments(T, L):
    seen[now, max(0, now.start - M) : now.start] = 0.5
    seen[now, now] = full[now, now]
plots.heatmap(
    {"one window of 12": full, "segments of 4, memory of 4": seen},
    xlabel="place looked at", ylabel="place of the state", label="looks at", form=None,
)  # fmt: skip

# %% [markdown]
# The window on the right needs {{int((seen > 0).sum())}} pairs and not {{int(full.sum())}}; per item it is
# at most $M + L$, however long the history gets.
#
# ## Why positions become distances
#
# A segment numbers its places 0 to $L - 1$, and so did the segment before it. With a vector per position,
# item 2 of the memory and item 2 of now carry the same one: the block cannot tell yesterday from last week.
# What a query needs to know is *how far back* a key stands. So the score of query $i$ and key $j$ gets the
# distance $i + M - j$ (there are $M$ keys before the first query) and no position:
#
# $$
# A_{ij} = \frac{(q_i + u) \cdot k_j + (q_i + w) \cdot r_{i + M - j}}{\sqrt{K}}, \qquad j \le i + M
# $$
#
# $q_i, k_j, u, w$ and $r_d$ are vectors of $K$ numbers; $r_d = R_d W_r$ is a learned matrix applied to the
# sines and cosines of the distance $d$ ([positions](06_heads.md)). Later keys are hidden. Then, as ever,
# softmax over $j$ and the weighted mean of the values. Multiplied out there are four terms, and each asks
# its own question:
#
# - $q_i \cdot k_j$: does what I look for fit what the key holds?
# - $q_i \cdot r_d$: how far back do I, this query, like to look?
# - $u \cdot k_j$: is this key of interest to everyone?
# - $w \cdot r_d$: how far back does everyone like to look?
#
# They are what is left of $(x_i + p_i) W_q \cdot (x_j + p_j) W_k$, the score with positions added to the
# items, when $p_j W_k$ becomes $r_d$ and $p_i W_q$, which would know the absolute place of the query,
# becomes $u$ or $w$. (The paper writes $v$ for $w$.)
#
# By hand: $K = 1$, two queries, three keys, so $M = 1$. Query 1 is the newest and stands at distance $2, 1,
# 0$ from the keys: $A_{10} = (2 + 1) \cdot 3 + 2 \cdot 20 = 49$.


# %%
def relative_scores_loops(q, k, r, u, w):
    (Tq, K), Tk = q.shape, len(k)
    M = Tk - Tq
    A = np.full((Tq, Tk), -np.inf)  # hidden
    for i in range(Tq):
        for j in range(i + M + 1):
            A[i, j] = ((q[i] + u) @ k[j] + (q[i] + w) @ r[i + M - j]) / np.sqrt(K)
    return A


q, k, r = np.array([[1.0], [2.0]]), np.array([[3.0], [1.0], [2.0]]), np.array([[0.0], [10.0], [20.0]])
print(relative_scores_loops(q, k, r, u=np.array([1.0]), w=np.array([0.0])))

# %% [markdown]
# Vectorized, $(q_i + u) \cdot k_j$ is one matrix product. $(q_i + w) \cdot r_d$ is another one, but its
# columns are *distances*: $B_{id}$. We need it by key, $B_{i,\, i + M - j}$. So each row is read through a
# table of indices, a *gather*. The negative distances of later keys read anything (the modulus `%` keeps
# the index legal); the mask throws it away.


# %%
def distances(Tq, Tk):
    return np.arange(Tq)[:, None] + (Tk - Tq) - np.arange(Tk)


def relative_forward(q, k, v, r, u, w):
    d = distances(len(q), len(k))  # (Tq, Tk)
    scale = 1 / np.sqrt(q.shape[1])
    by_key = (q + u) @ k.T  # (Tq, Tk)
    B = (q + w) @ r.T  # (Tq, Tk), column = distance
    A = (by_key + np.take_along_axis(B, d % len(k), axis=1)) * scale
    p, _ = F.softmax_forward(A, d >= 0)
    y = p @ v
    return y, (q, k, v, r, u, w, p)


print("distances:", distances(2, 3).tolist())
Tq, Tk, K = 6, 9, 5
q, k, v, r = (rng.normal(size=(n, K)) for n in (Tq, Tk, Tk, Tk))
u, w = rng.normal(size=(2, K))
y, cache = relative_forward(q, k, v, r, u, w)
by_loops = F.softmax_forward(relative_scores_loops(q, k, r, u, w))[0] @ v
agree("relative_attention", y, by_loops)

# %% The four terms of a score: by query and key, by query and distance, by key alone, by distance alone
d = distances(Tq, Tk)
ones = np.ones((Tq, 1))
terms = {"q · k": q @ k.T, "q · r": np.take_along_axis(q @ r.T, d % Tk, axis=1)}
terms |= {"u · k": ones * (k @ u), "w · r": (r @ w)[d % Tk]}
total = sum(np.where(d >= 0, term, -np.inf) for term in terms.values()) / np.sqrt(K)
agree("the four terms of a relative score", F.softmax_forward(total)[0], cache[-1])
plots.heatmap(
    {name: np.where(d >= 0, term, np.nan) for name, term in terms.items()},
    xlabel="key", ylabel="query", label="term of the score", form=None,
)  # fmt: skip

# %% [markdown]
# The third is constant along columns, the fourth along diagonals: they know neither the query nor where in
# the history we are. Because of that, a segment may stand anywhere.
#
# ## The backward pass, line by line
#
# Given $dy$, in reverse, each forward line above its derivative:
#
# - forward $y = p v$. Backward $dv = p^\top dy$ and $dp = dy\, v^\top$.
# - forward $p = \operatorname{softmax}(A)$. Backward $dA = p \odot (dp - \sum_j p\, dp)$, and, for the
#   scale in front, divided by $\sqrt{K}$.
# - forward $A_{ij} = \ldots + B_{i,\, i + M - j}$. Backward: the entry that was read gets what its reader
#   gets, $dB_{i,\, i + M - j} = dA_{ij}$. In general a gather is undone by *adding*, since an entry may be
#   read twice; here each one is read once at most.
# - forward $B = (q + w)\, r^\top$. Backward $dr = dB^\top (q + w)$; the query and $w$ get $dB\, r$, for $w$
#   summed over the queries, which all use the same $w$.
# - forward $(q + u)\, k^\top$. Backward $dk = dA^\top (q + u)$; the query and $u$ get $dA\, k$.
#
# The query stands in both products:
#
# $$
# dq = dA\, k + dB\, r, \qquad du = \sum_i (dA\, k)_i, \qquad dw = \sum_i (dB\, r)_i
# $$


# %%
def relative_backward(dy, cache):
    q, k, v, r, u, w, p = cache
    d = distances(len(q), len(k))
    dv = p.T @ dy  # y = p @ v
    dp = dy @ v.T
    dA = p * (dp - (dp * p).sum(axis=1, keepdims=True)) / np.sqrt(q.shape[1])  # p = softmax(A)
    dB = np.zeros_like(dA)  # A = ... + B read by distance
    np.add.at(dB, (np.arange(len(q))[:, None], d % len(k)), dA)
    dr, from_B = dB.T @ (q + w), dB @ r  # B = (q + w) @ r.T
    dk, from_A = dA.T @ (q + u), dA @ k  # by_key = (q + u) @ k.T
    return from_A + from_B, dk, dv, dr, from_A.sum(axis=0), from_B.sum(axis=0)


report = check_gradient(relative_forward, relative_backward, q, k, v, r, u, w)
print("gradients are right" if report.ok else report)
dy = rng.normal(size=y.shape)
dq, dk, dv, dr, du, dw = relative_backward(dy, cache)
agree("relative_attention: du + dw is dq summed over the queries", dq.sum(axis=0), du + dw)
ours, of_ours = F.relative_attention_forward(q, k, v, r, u, w)
agree("relative_attention_backward", F.relative_attention_backward(dy, of_ours)[0], dq)

# %% [markdown]
# These are `minirec.functional.relative_attention_forward` and `relative_attention_backward`, which also
# take heads, batches and a mask: use them from here on. (Their gather is its own inverse: $j \to i + M - j$
# leads from a key to its distance, and from the distance back to the key. So the same reading takes the
# gradient back.)
#
# ## One memory per block
#
# The memory is not made of items. Each block remembers what it was itself given to read, so the second
# block remembers what the first one made of earlier places. That is $M$ rows of $D$ numbers per block and
# user: for $M = 50$, $D = 64$ and two blocks, {{2 * 50 * 64:,}}, whatever the length of the history. After
# a segment a block keeps the newest $M$ places of both:
#
# $$
# m \leftarrow \text{the last } M \text{ places of } [m;\ h]
# $$

# %%
m, h = rng.normal(size=(1, 3, D)), rng.normal(size=(1, 4, D))
agree("the next memory", updated_memory(m, h, 5), np.array([[*m[0, 2:], *h[0]]]))

ids = np.arange(1, 13)[None]  # 12 different items, the oldest first
xl = TransformerXLNetwork(rng, **sizes, segment=4, memory=4, residual="plain", dropout=0.0)
xl.u, xl.w = rng.normal(size=(2, heads, D // heads))  # they begin at 0, where nobody would miss them
memory, states = [None, None], []
for now in segments(12, 4):
    x = np.sqrt(D) * xl.item_embedding.E[ids[:, now]]
    later = []
    for block, m in zip(xl.blocks, memory, strict=True):
        later.append(updated_memory(m, x, 4))
        x, _ = block.forward(x, xl.u, xl.w, memory=m)
    memory = later
    states.append(xl.norm.forward(x)[0])
agree("TransformerXLNetwork", xl.forward(ids)[0], np.concatenate(states, axis=1))

# %% [markdown]
# Nothing is approximate about this. With a memory as long as all that came before, segment by segment gives
# what one window over everything gives: no state looks to the right, so it may be computed before the rest
# is known.

# %%
pieces = TransformerXLNetwork(rng, **sizes, segment=4, memory=8, residual="plain", dropout=0.0)
window = TransformerXLNetwork(rng, **sizes, segment=12, memory=0, residual="plain", dropout=0.0)
agree("segments = one window", pieces.forward(ids)[0], window.with_params(pieces.params()).forward(ids)[0])

# %% [markdown]
# ## Where the gradient stops
#
# The memory is a constant for the gradient, not for the result. Shake the memory and the output moves;
# `backward` has no gradient for it. What the block *makes* of the memory is no constant: $W_k$ turns it
# into keys, and its gradient counts those rows too.

# %%
h, m, dy = rng.normal(size=(1, L, D)), rng.normal(size=(1, M, D)), rng.normal(size=(1, L, D))
u, w = rng.normal(size=(2, heads, D // heads))


def output(memory=m, **changed):
    other = block.with_params(block.params() | {name.replace("__", "."): x for name, x in changed.items()})
    return (other.forward(h.astype(complex), u, w, memory=memory)[0] * dy).sum()


_, block_cache = block.forward(h, u, w, memory=m)
(dx, du, dw), grads = block.backward(dy, block_cache)
shake, V = rng.normal(size=m.shape), rng.normal(size=(D, D))
print("slope along the memory:", round(float(complex_step(output, m, shake)), 2), "| gradient for it: none")
W_k = block.attention.W_k
slope = complex_step(lambda W: output(attention__W_k=W), W_k, V)
agree("W_k learns from the memory", (grads["attention.W_k"] * V).sum(), slope)

# %% [markdown]
# Now the whole network, two blocks. How much does the newest state depend on each of the 12 items, and how
# much of that does `backward` tell their rows?

# %% How strongly the newest of 12 items depends on each item, and what training is told of it (segments of 4)
v = rng.normal(size=D)  # the number that is followed is v · h of the newest item
E = xl.item_embedding.E


def newest(E):
    return xl.with_params(xl.params() | {"item_embedding.E": E}).forward(ids)[0][0, -1] @ v


dh = np.zeros((1, 12, D))
dh[0, -1] = v
told = xl.backward(dh, xl.forward(ids)[1])[1]["item_embedding.E"].dense()
true = np.zeros_like(told)
for item in ids[0]:
    for n in range(D):
        unit = np.zeros_like(E)
        unit[item, n] = 1.0
        true[item, n] = complex_step(newest, E, unit)
agree("inside the newest segment", told[9:13], true[9:13])
print(
    "gradient before it:",
    np.abs(told[1:9]).max(),
    "| true slope before it, largest:",
    f"{np.abs(true[1:9]).max():.2f}",
)
age = np.arange(12)[::-1]  # items between it and the newest one
sizes_of = {"true slope": true, "gradient of backward": told}
plots.lines(
    {name: (age, np.linalg.norm(g[1:13], axis=1)) for name, g in sizes_of.items()},
    "items ago",
    "size of the slope",
)

# %% [markdown]
# In the newest segment the two are one: an item there acts along paths that all stay inside. Behind it the
# dependence goes on, and training hears nothing of it. The row of an old item is not told that it should
# make a good *memory*; it learns only from what it does inside its own segment. That is the price of
# keeping one segment at a time, and it will show below.
#
# ## How far a state can reach
#
# A block sees $M$ places before its segment. The oldest of these was computed in its own segment, whose
# block below saw $M$ places before *that* segment, and so on. So with each block the reach grows:
#
# $$
# R_1 = L + M, \qquad R_{n+1} = \Bigl\lceil \frac{R_n}{L} \Bigr\rceil L + M
# $$
#
# $R_n$ counts items, the newest one included; the brackets round up. Measured: exchange one item of 24
# after the other, and see which of them move the newest state at all.

# %% How much the newest state moves when one item is exchanged (untrained; segments of 4, memory of 3)
ids = np.arange(1, 25)[None]
curves, measured = {}, []
for blocks in (1, 2, 3):
    settings = sizes | {"num_layers": blocks}
    deep = TransformerXLNetwork(rng, **settings, segment=4, memory=3, residual="plain", dropout=0.0)
    moves = []
    for place in range(24):
        other = ids.copy()
        other[0, place] = 39
        moves.append(np.abs(deep.forward(other)[0][0, -1] - deep.forward(ids)[0][0, -1]).max())
    moves = np.array(moves[::-1])  # the newest first
    measured.append(np.flatnonzero(moves > 0).max() + 1)
    curves[f"{blocks} block{'s' * (blocks > 1)}"] = (np.arange(24), np.where(moves > 0, moves, np.nan))
R = [4 + 3]
for _ in range(2):
    R.append(int(np.ceil(R[-1] / 4)) * 4 + 3)
agree("reach", measured, R)
agree("reach of minirec", [reach(4, 3, blocks) for blocks in (1, 2, 3)], R)
plots.lines(curves, "items ago", "largest change of the state", log="y")

# %% [markdown]
# Each line ends where the formula says: {{R[0]}}, {{R[1]}} and {{R[2]}} items. This is what a model *can*
# see.
#
# ## What it learns to see
#
# Plant a dependency of known length. 300 listeners have a list of 9 songs out of 20 each, and play it round
# and round: the next song is the one that stands 8 places before the present one. Segments of 6; the memory
# is 0, 6 or 12 places long. With one block, a state in place $i$ of its segment sees $i + M$ places back,
# and needs 8. A last model has the memory of 6 and two blocks: by the formula it reaches {{reach(6, 6, 2)}}
# items, far more than the 9 that it needs.

# %% Right guesses of new listeners' next song, by its place in the segment (9 songs, round and round)
rng = np.random.default_rng(0)


def playlists(n):
    own = rng.permuted(np.tile(np.arange(20), (n, 1)), axis=1)[:, :9]
    return own[:, np.arange(37) % 9]


played, new = playlists(300), playlists(200)
listeners, times = np.indices(played.shape)
log = Interactions(listeners.ravel().tolist(), played.ravel().tolist(), timestamps=times.ravel().tolist())
inputs, targets = next_items(list(new), 36)
settings = {"embedding_dim": 32, "length": 36, "segment": 6, "dropout": 0.0}
settings |= {"lr": 0.005, "batch_size": 50, "epochs": 40, "dtype": "float64"}
right = {}
for M, blocks in ((0, 1), (6, 1), (12, 1), (6, 2)):
    model = TransformerXL(**settings, memory=M, num_layers=blocks).fit(log, rng=0, progress=False)
    guesses = (model.network.forward(inputs)[0] @ model.output_table().T).argmax(axis=-1) + 1
    repeated = (guesses == targets)[:, 12:]  # nobody can know the first time round
    by_place = repeated.reshape(-1, 4, 6).mean(axis=(0, 1))
    right[f"memory {M}, {blocks} block{'s' * (blocks > 1)}"] = (range(6), by_place)
for name, (_, by_place) in right.items():
    print(f"{name:20} right by place {np.round(by_place, 2)}")
plots.lines(right, "place in the segment", "share of right guesses")

# %% [markdown]
# With one block it is all or nothing. With a memory of 6, places 2 to 5 see the song, and there the guess
# is right, for lists that the model has never met; at places 0 and 1 it is hardly ever right. (Pure
# guessing among the 14 songs that were not among the last 6 would give {{1 / 14:.2f}}.) With a memory of 12
# every place sees it. The two blocks reach far enough at every place, but at places 0 and 1 only by two
# steps: the first block would have to carry the song some places on, into what the second one remembers. It
# does not learn to. The likely reason is in the figure of slopes above: the wish comes from a later
# segment, and no gradient passes it on.
#
# So the document's claim needs two conditions. A Transformer catches a dependency *that lies inside its
# reach*, and, where there is a memory, *that a single look can catch*.
#
# ## What goes wrong: a memory that training never met
#
# If training shows one segment only, the memory is always empty, and its use is never learned; in use, it
# is suddenly full. minirec refuses this:

# %%
try:
    TransformerXL(length=50, segment=50, memory=50)
except ValueError as error:
    print(error)

# %% [markdown]
# ## What helps
#
# How much of their long histories do people's next films depend on? Trained models of MovieLens 100K are
# shown only the newest few films of each user. The figures are read from `tests/results/ml100k/`; `python
# tests/make_ml100k.py` makes them.

# %% MovieLens 100K: trained models that are shown the newest items alone
folder = Path(minirec.__file__).parents[1] / "tests" / "results" / "ml100k"
shown, of_users = {}, {}
for name, file in {"Transformer-XL": "transformer-xl", "SASRec": "sasrec", "BERT4Rec": "bert4rec"}.items():
    stored = json.loads((folder / f"{file}.json").read_text(encoding="utf-8"))
    found = {int(n): np.array(x) for n, x in stored["seeds"]["0"]["newest"].items()}
    if "length" in stored["settings"] and file != "transformer-xl":
        found = {n: x for n, x in found.items() if n <= stored["settings"]["length"]}
    of_users[name] = found
    shown[name] = [(n, (x.mean(), *interval(bootstrap_means(x, 0)))) for n, x in found.items()]
plots.by_size(shown, "newest items shown", "NDCG@10")

# %%
print("NDCG@10 with more and with fewer items shown [95 % interval over the same users]")
for name, many, few in (
    ("Transformer-XL", 200, 1),
    ("Transformer-XL", 200, 20),
    ("SASRec", 200, 1),
    ("SASRec", 200, 20),
    ("BERT4Rec", 100, 10),
):
    gap = of_users[name][many] - of_users[name][few]
    low, high = interval(bootstrap_means(gap, 0))
    print(f"{name:14} {many} - {few:2} items: {gap.mean():+.4f}  [{low:+.4f}, {high:+.4f}]")
gap = of_users["Transformer-XL"][200] - of_users["SASRec"][200]
low, high = interval(bootstrap_means(gap, 0))
print(f"Transformer-XL - SASRec:    {gap.mean():+.4f}  [{low:+.4f}, {high:+.4f}]")

# %% [markdown]
# From the newest film alone to 200 films there is a gain. From 20 films on it is small, and the intervals
# contain 0. Transformer-XL can read {{reach(50, 50, 2)}} films here (segments of 50, a memory of 50, two
# blocks) and is not surely better than SASRec with its window of 200. BERT4Rec, which reads 99 at most,
# even loses beyond ten. So on these data old items are worth little to these models. (A model that was
# trained on short histories might do better with them than these do.) Whether yours need the long range is
# measured in this way: show less, and see.
#
# ## Exercise
#
# Write `relative_attention_forward` and `relative_attention_backward` in a file of your own, with the mask
# and for leading axes (heads and batches). Where does `np.add.at` need one more index? Then compare:
#
# ```
# python -m minirec verify my_file.py:relative_attention --against relative_attention
# ```
#
# ## In practice
#
# The paper computes the gather by a trick: pad $B$ with one column, reshape, and cut, which shifts row $i$
# by $i$ places without an index. XLNet (Yang et al. 2019) took memory and distances over. Most later models
# keep the distances and leave out the memory: a learned number per distance (T5, Raffel et al. 2020), a
# fixed slope, the farther the lower (ALiBi, Press et al. 2022), or queries and keys that are rotated by
# their place, so that their product depends on the distance (RoPE, Su et al. 2021), which many large
# language models use. HSTU (Zhai et al. 2024), a recommender, adds a learned number per distance and one
# per span of time. To end gradients at a segment is older than all of them: truncated backpropagation
# through time (Williams & Peng 1990). How these models compare, and how to tell, is the subject of
# [evaluation](12_evaluation.md) and [which model when](13_which_model.md).
