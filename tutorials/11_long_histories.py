# %% [markdown]
# # Reach far back: segments, memory and distances
#
# - **You will do:** score keys by their distance, write the backward pass of that, read a history in
#   segments with a memory, and measure how far back a state reaches.
# - **You will learn:** why positions must become distances once there is a memory, where the gradient
#   stops, and the difference between what a model *can* see, what it *learns* to see, and what *helps*.
# - **You need:** [attention](04_attention.md), [heads and positions](06_heads.md), [Transformer
#   blocks](07_blocks.md), [sequences](10_sequences.md).
#
# Sections 3.1 and 3.3 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术)
# praise the Transformer for catching long-range dependencies: what happened long ago may decide what comes
# next. How long ago is not said. Section 7.3 lists the paper that is about this, Transformer-XL (Dai et al.
# 2019), under a title that it does not have: the paper is called "Attentive Language Models Beyond a
# Fixed-Length Context".

# %%
import json
from pathlib import Path

import numpy as np

import minirec
from minirec import functional as F
from minirec import nn, plots
from minirec.data import Interactions
from minirec.data.sequences import next_items
from minirec.evaluation import bootstrap_means, interval
from minirec.models.transformer_xl import TransformerXL, TransformerXLNetwork, reach, segments, updated_memory
from minirec.verify import agree, check_gradient, complex_step

# %% [markdown]
# ## The edge of the window
#
# SASRec ([lesson 10](10_sequences.md)) reads the newest items of a history, up to a fixed number: its
# *window*. For each of them it computes a *state*, the row of numbers that names the next item. In the
# window every item is compared with every earlier one, however far apart they stand. Behind the window
# there is nothing: the ninth newest item changes no score of a model that reads eight.
#
# A longer window is paid for. Each of $T$ places is compared with itself and with all earlier ones, which
# makes $1 + 2 + \dots + T = T(T + 1)/2$ pairs: {{12 * 13 // 2}} for 12 items and {{24 * 25 // 2}} for 24.
# Twice the window, about four times the pairs.
#
# ## Segments and a memory
#
# Transformer-XL cuts the history into *segments* of $L$ items and reads one after the other. Each block
# keeps the last $M$ rows that it was given before the segment: its *memory* $m$, of shape $(M, D)$. With
# $h$, of shape $(L, D)$, for what it is given now, its attention reads
#
# $$
# z = [\operatorname{SG}(m);\ h], \qquad q = h W_q, \qquad k = z W_k, \qquad v = z W_v
# $$
#
# $[\,;\,]$ puts one below the other, so $z$ is $(M + L, D)$. $\operatorname{SG}$ (*stop gradient*) says
# that $m$ counts as a constant in the backward pass. Queries come from the segment alone, keys and values
# from both. In a whole block, `nn.RelativeBlock`, layer norm comes before attention, a skip connection goes
# around it, and the usual feed-forward layer follows:

# %%
rng = np.random.default_rng(0)
L, M, D, heads = 4, 4, 8, 2
block = nn.RelativeBlock(rng, D, heads, hidden=8)
u, w = rng.normal(size=(2, heads, D // heads))  # two more learned vectors per head, explained below
h, m = rng.normal(size=(1, L, D)), rng.normal(size=(1, M, D))  # one history
norm, attention = block.norm1, block.attention
z = np.concatenate([norm.forward(m)[0], norm.forward(h)[0]], axis=1)  # (1, M + L, D)
x = h + attention.forward(z[:, M:], z, u, w)[0]  # queries from the segment, keys and values from z
y = x + block.feed_forward.forward(block.norm2.forward(x)[0])[0]
agree("RelativeBlock", block.forward(h, u, w, memory=m)[0], y)
print([(now.start, now.stop) for now in segments(12, L)], "are the segments of 12 places")

# %% What each of 12 states looks at in one block: all before it, or its segment (1) and the memory (0.5)
T = 12
full = nn.causal_mask(T).astype(float)
seen = np.zeros((T, T))
for now in segments(T, L):
    seen[now, max(0, now.start - M) : now.start] = 0.5
    seen[now, now] = full[now, now]
panels = {"one window of 12": full, "segments of 4, memory of 4": seen}
plots.heatmap(panels, xlabel="place looked at", ylabel="place of the state", label="looks at", form=None)

# %% [markdown]
# With segments these are {{int((seen > 0).sum())}} pairs and not {{int(full.sum())}}. An item has at most
# $M + L$ of them, however long the history gets.
#
# ## Why positions become distances
#
# SASRec adds a vector to each item that says in which place it stands. A segment would number its places 0
# to $L - 1$, and so did the segment before it: place 2 of the memory and place 2 of now would carry the
# same vector, and a block could not tell yesterday from last week. What a query needs to know is *how far
# back* a key stands. Keys are counted from the beginning of the memory, so query $i$ stands where key $i +
# M$ stands, and key $j$ is $i + M - j$ places behind it. The score gets this distance, and no position:
#
# $$
# A_{ij} = \frac{(q_i + u) \cdot k_j + (q_i + w) \cdot r_{i + M - j}}{\sqrt{K}}, \qquad j \le i + M
# $$
#
# $q_i, k_j, u, w$ and $r_d$ are vectors of $K$ numbers, the width of a head. $u$ and $w$ are learned; each
# head has its own, and all blocks share them. $r_d = \mathrm{PE}_d W_r$ stands for the distance $d$: it is
# the row of sines and cosines that [lesson 6](06_heads.md) gives to place $d$, times a learned matrix. Keys
# with $j > i + M$ come later than the query and are hidden. Then, as ever, softmax over $j$ and the
# weighted mean of the values. Multiplied out there are four terms, and each asks its own question:
#
# - $q_i \cdot k_j$: does what I look for fit what the key holds?
# - $q_i \cdot r_d$: how far back do I, this query, like to look?
# - $u \cdot k_j$: is this key of interest to everyone?
# - $w \cdot r_d$: how far back does everyone like to look?
#
# By hand: $K = 1$, two queries $q = (1, 2)$, three keys $k = (3, 1, 2)$, so $M = 1$; $r = (0, 10, 20)$, $u
# = 1$, $w = 0$. Query 1 is the newest, at distances 2, 1 and 0 from the keys: $A_{1,0} = (2 + 1) \cdot 3 +
# 2 \cdot 20 = 49$.


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
# Without loops, $(q_i + u) \cdot k_j$ is one matrix product. $B_{id} = (q_i + w) \cdot r_d$ is another one,
# but its columns are *distances*, and we need it by key, $B_{i,\, i + M - j}$. So each row is read through
# a table of indices, a *gather*: `np.take_along_axis` reads from row $i$ of $B$ the columns that row $i$ of
# the table names. In the example $B$ is $(0, 10, 20)$ and $(0, 20, 40)$. Query 1 reads its row at the
# distances $2, 1, 0$, and gets $(40, 20, 0)$. Query 0 reads at $1, 0, -1$. The $-1$ is a later key: the
# modulus `%` makes a legal index of it, and what is found there the mask hides.


# %%
def distances(Tq, Tk):
    return np.arange(Tq)[:, None] + (Tk - Tq) - np.arange(Tk)


def relative_forward(q, k, v, r, u, w):
    d = distances(len(q), len(k))  # (Tq, Tk)
    by_key = (q + u) @ k.T  # (Tq, Tk)
    B = (q + w) @ r.T  # (Tq, Tk), column = distance
    C = by_key + np.take_along_axis(B, d % len(k), axis=1)
    A = C / np.sqrt(q.shape[1])
    p, _ = F.softmax_forward(A, d >= 0)  # no later key
    y = p @ v
    return y, (q, k, v, r, u, w, p)


print("distances of the example:", distances(2, 3).tolist())
Tq, Tk, K = 6, 9, 5
q, k, v, r = (rng.normal(size=(n, K)) for n in (Tq, Tk, Tk, Tk))
u, w = rng.normal(size=(2, K))
y, cache = relative_forward(q, k, v, r, u, w)
by_loops = F.softmax_forward(relative_scores_loops(q, k, r, u, w))[0] @ v
agree("relative_attention", y, by_loops)

# %% The four terms of a score: by query and key, by query and distance, by key alone, by distance alone
d = distances(Tq, Tk)
terms = {"q · k": q @ k.T, "q · r": np.take_along_axis(q @ r.T, d % Tk, axis=1)}
terms |= {"u · k": np.tile(k @ u, (Tq, 1)), "w · r": (r @ w)[d % Tk]}
panels = {name: np.where(d >= 0, term, np.nan) for name, term in terms.items()}  # nan: hidden, drawn white
plots.heatmap(panels, xlabel="key", ylabel="query", label="term of the score", form=None)

# %% [markdown]
# The third term is constant along columns, the fourth along diagonals. None of the four knows at which
# place of the whole history a query stands, so a segment may stand anywhere.
#
# ## The backward pass, line by line
#
# Given is $dy$, the gradient of a loss for $y$. In reverse, each forward line above its derivative; $C$ is
# the score before it is divided by $\sqrt{K}$:
#
# - forward $y = p v$. Backward $dv = p^\top dy$ and $dp = dy\, v^\top$.
# - forward $p = \operatorname{softmax}(A)$. Backward $dA = p \odot (dp - s)$, where $s_i = \sum_j p_{ij}\,
#   dp_{ij}$.
# - forward $A = C / \sqrt{K}$. Backward $dC = dA / \sqrt{K}$.
# - forward $C_{ij} = \ldots + B_{i,\, i + M - j}$. Backward: an entry of $B$ gets what its reader gets,
#   $dB_{i,\, i + M - j} = dC_{ij}$. In general a gather is undone by *adding*, since an entry may be read
#   twice; here each one is read once at most.
# - forward $B = (q + w)\, r^\top$. Backward $dr = dB^\top (q + w)$; the query and $w$ get $dB\, r$, for $w$
#   summed over the queries, which all use the same $w$.
# - forward $C = (q + u)\, k^\top + \ldots$. Backward $dk = dC^\top (q + u)$; the query and $u$ get $dC\,
#   k$.
#
# The query stands in both products, and a row of each is summed for $u$ and $w$:
#
# $$
# dq = dC\, k + dB\, r, \qquad du = \sum_i (dC\, k)_i, \qquad dw = \sum_i (dB\, r)_i
# $$


# %%
def relative_backward(dy, cache):
    q, k, v, r, u, w, p = cache
    d = distances(len(q), len(k))
    dv = p.T @ dy  # y = p @ v
    dp = dy @ v.T
    dA = p * (dp - (p * dp).sum(axis=1, keepdims=True))  # p = softmax(A)
    dC = dA / np.sqrt(q.shape[1])  # A = C / √K
    dB = np.zeros_like(dC)  # C = ... + B, read by distance
    np.add.at(dB, (np.arange(len(q))[:, None], d % len(k)), dC)
    dr, from_B = dB.T @ (q + w), dB @ r  # B = (q + w) @ r.T
    dk, from_C = dC.T @ (q + u), dC @ k  # C = (q + u) @ k.T + ...
    return from_C + from_B, dk, dv, dr, from_C.sum(axis=0), from_B.sum(axis=0)


report = check_gradient(relative_forward, relative_backward, q, k, v, r, u, w)
print("gradients are right" if report.ok else report)
dy = rng.normal(size=y.shape)
dq, dk, dv, dr, du, dw = relative_backward(dy, cache)
agree("relative_attention: du + dw is dq summed over the queries", dq.sum(axis=0), du + dw)
ours, of_ours = F.relative_attention_forward(q, k, v, r, u, w)
agree("relative_attention_backward", F.relative_attention_backward(dy, of_ours)[0], dq)

# %% [markdown]
# These are `minirec.functional.relative_attention_forward` and `relative_attention_backward`, which also
# take heads, batches and a mask: use them from here on.
#
# ## One memory per block
#
# The memory is not made of items. Each block keeps the rows that it was itself given, so the second block
# remembers what the first one made of earlier places. That is $M$ rows of $D$ numbers per block and user:
# for $M = 50$, $D = 64$ and two blocks, {{2 * 50 * 64:,}} numbers, whatever the length of the history.
# After a segment a block keeps the newest $M$ rows of both:
#
# $$
# m \leftarrow \text{the last } M \text{ rows of } [m;\ h]
# $$
#
# The last 5 rows of a memory of 3 and a segment of 4 are one of the memory and all of the segment. Below
# that, the whole network by hand: segment after segment, block after block. Items enter as in SASRec,
# $\sqrt{D}\, E$, but without positions.

# %%
m, h = rng.normal(size=(1, 3, D)), rng.normal(size=(1, 4, D))
agree("the next memory", updated_memory(m, h, 5), np.array([[*m[0, 2:], *h[0]]]))


def network(segment, memory, blocks=2):
    net = TransformerXLNetwork(rng, 40, D, heads, blocks, D, segment, memory, residual="plain", dropout=0.0)
    net.u, net.w = rng.normal(size=(2, heads, D // heads))  # they begin at 0, where nobody would miss them
    return net


ids = np.arange(1, 13)[None]  # 12 different items, the oldest first
xl = network(segment=4, memory=4)
memory, states = [None, None], []  # of the two blocks, empty at first
for now in segments(12, 4):
    x = np.sqrt(D) * xl.item_embedding.E[ids[:, now]]
    later = []
    for layer, m in zip(xl.blocks, memory, strict=True):
        later.append(updated_memory(m, x, 4))  # for the next segment
        x, _ = layer.forward(x, xl.u, xl.w, memory=m)
    memory = later
    states.append(xl.norm.forward(x)[0])
agree("TransformerXLNetwork", xl.forward(ids)[0], np.concatenate(states, axis=1))

# %% [markdown]
# Nothing is approximate about this. With a memory as long as all that came before, reading in segments
# gives what one window over everything gives: no state looks to the right, so it may be computed before the
# rest is known. Two networks with the same parameters:

# %%
pieces = network(segment=4, memory=8)
window = network(segment=12, memory=0).with_params(pieces.params())
agree("segments = one window", pieces.forward(ids)[0], window.forward(ids)[0])

# %% [markdown]
# ## Where the gradient stops
#
# The memory is a constant for the gradient, not for the result. How much does the newest state of the two
# blocks above depend on each of the 12 items, and how much of that does `backward` tell? One number is
# followed, $a \cdot h$ for a random row $a$ and the newest state $h$. Its slope for the $D$ numbers of an
# item's row in the table $E$ is a row of $D$ numbers; the figure shows the length of that row, the root of
# the sum of its squares. The true slopes come from complex steps ([lesson 0](00_gradients.md)), number by
# number.

# %% How strongly the newest of 12 items depends on each item, and what training is told of it (segments of 4)
a, E = rng.normal(size=D), xl.item_embedding.E


def newest(E):
    return xl.with_params(xl.params() | {"item_embedding.E": E}).forward(ids)[0][0, -1] @ a


dh = np.zeros((1, 12, D))
dh[0, -1] = a
told = xl.backward(dh, xl.forward(ids)[1])[1]["item_embedding.E"].dense()  # one row per item
true = np.zeros_like(told)
for item in ids[0]:
    for n in range(D):
        unit = np.zeros_like(E)
        unit[item, n] = 1.0
        true[item, n] = complex_step(newest, E, unit)
agree("inside the newest segment", told[9:13], true[9:13])
outside = np.abs(told[1:9]).max(), np.abs(true[1:9]).max()
print("before it, the largest: gradient {:.2f}, true slope {:.2f}".format(*outside))
age = np.arange(12)[::-1]  # items between it and the newest one
lengths = [np.linalg.norm(rows[1:13], axis=1) for rows in (true, told)]
slopes = {"true slope": (age, lengths[0]), "gradient of backward": (age, lengths[1])}
plots.lines(slopes, "items ago", "length of the slope")

# %% [markdown]
# In the newest segment the two are one: whatever an item does there, it does inside the segment. Behind it
# the dependence goes on, and training hears nothing of it. The row of an old item is not told that it
# should make a good *memory*; it learns only from what it does inside its own segment. That is the price of
# keeping one segment at a time, and it will show below.
#
# ## How far a state can reach
#
# Take segments of $L = 4$ and a memory of $M = 3$, and look from the newest item, the last of its segment.
# One block sees the segment and the memory, $4 + 3 = 7$ items. The seventh newest was computed in its own
# segment, which holds the fifth to the eighth newest; the block below saw those and three more, 11 in all.
# So with each block the reach grows:
#
# $$
# R_1 = L + M, \qquad R_{n+1} = \Bigl\lceil \frac{R_n}{L} \Bigr\rceil L + M
# $$
#
# $R_n$ counts items with $n$ blocks, the newest one included; the brackets round up to a whole number of
# segments. Measured: exchange one item of 24 after the other, and see which of them move the newest state
# at all.

# %% How much the newest state moves when one item is exchanged (untrained; segments of 4, memory of 3)
ids = np.arange(1, 25)[None]
curves, measured = {}, []
for blocks in (1, 2, 3):
    deep = network(segment=4, memory=3, blocks=blocks)
    moves = []
    for place in range(24):
        other = ids.copy()
        other[0, place] = 39
        moves.append(np.abs(deep.forward(other)[0][0, -1] - deep.forward(ids)[0][0, -1]).max())
    moves = np.array(moves[::-1])  # the newest first
    measured.append(np.flatnonzero(moves > 0).max() + 1)  # the oldest that moves it
    curves[f"{blocks} block{'s' * (blocks > 1)}"] = (np.arange(24), np.where(moves > 0, moves, np.nan))
R = [4 + 3]
while len(R) < 3:
    R.append(int(np.ceil(R[-1] / 4)) * 4 + 3)  # the formula
agree("reach", measured, R)
assert R == [reach(4, 3, blocks) for blocks in (1, 2, 3)]
plots.lines(curves, "items ago", "largest change of the state", log="y")

# %% [markdown]
# Each line ends where the formula says: {{R[0]}}, {{R[1]}} and {{R[2]}} items. This is what a model *can*
# see.
#
# ## What it learns to see
#
# Plant a dependency of known length. 300 listeners have a list of 9 songs out of 20 each, and play it round
# and round: the next song is the one that stands 8 places before the present one. The model reads segments
# of 6, with a memory of 0, 6 or 12. With one block, a state in place $i$ of its segment sees $i + M$ places
# back, and needs 8. A last model has the memory of 6 and two blocks. It reaches {{reach(6, 6, 2)}} items
# from the last place of a segment and {{reach(6, 6, 2) - 5}} from the first; it needs 9, the present one
# and 8 before it.

# %% Right guesses of new listeners' next song, by its place in the segment (9 songs, round and round)
rng = np.random.default_rng(0)


def playlists(n):
    own = rng.permuted(np.tile(np.arange(20), (n, 1)), axis=1)[:, :9]
    return own[:, np.arange(37) % 9]  # four times round and one more


played, new = playlists(300), playlists(200)
listeners, times = np.indices(played.shape)
log = Interactions(listeners.ravel().tolist(), played.ravel().tolist(), timestamps=times.ravel().tolist())
inputs, targets = next_items(list(new), 36)
settings = {"embedding_dim": 32, "length": 36, "segment": 6, "dropout": 0.0}
settings |= {"lr": 0.005, "batch_size": 50, "epochs": 25, "dtype": "float64"}
right = {}
for M, blocks in ((0, 1), (6, 1), (12, 1), (6, 2)):
    model = TransformerXL(**settings, memory=M, num_layers=blocks).fit(log, rng=0, progress=False)
    guesses = (model.network.forward(inputs)[0] @ model.output_table().T).argmax(axis=-1) + 1
    repeated = (guesses == targets)[:, 12:]  # nobody can know the first time round
    by_place = repeated.reshape(-1, 4, 6).mean(axis=(0, 1))
    right[f"memory {M}, {blocks} block{'s' * (blocks > 1)}"] = (range(6), by_place)
for name, (_, by_place) in right.items():
    print(f"{name:20} right by place {np.round(by_place, 2)}")
# what the text says of them: no place, 2 to 5, all, 2 to 5
for by_place, first in zip(right.values(), (6, 2, 0, 2), strict=True):
    assert np.all(np.abs(by_place[1] - (np.arange(6) >= first)) < 0.1)
plots.lines(right, "place in the segment", "share of right guesses")

# %% [markdown]
# With one block it is all or nothing. With a memory of 6, places 2 to 5 see the song, and there the guess
# is nearly always right, for lists that the model has never met; at places 0 and 1 it hardly ever is. With
# a memory of 12 every place sees the song. Without memory none does, and the model can only guess.
#
# The two blocks reach far enough at every place, but at places 0 and 1 only by two steps: the first block
# would have to carry the song some places on, into what the second one remembers. It does not learn to. The
# likely reason is in the figure of slopes above: that it should do so is known in a later segment only, and
# no gradient goes back there.
#
# So the claim of section 3.1 needs a condition: that the dependency lies inside the reach. And in this
# experiment a second one: that a single look can catch it.
#
# ## What goes wrong: a memory that training never met
#
# If each history fills one segment only, the memory is always empty in training, and its use is never
# learned; later, with longer histories, it is suddenly full. minirec refuses this:

# %%
try:
    TransformerXL(length=50, segment=50, memory=50)
except ValueError as error:
    print(error)

# %% [markdown]
# ## What helps
#
# On how much of the past does a person's next film depend? Models trained on MovieLens 100K (943 people,
# 1682 films) are shown only the newest few films of each, and name the next one. NDCG@10 is 1 where that
# film is ranked first, {{1 / np.log2(3):.2f}} where second, 0 beyond rank ten. A 95 % interval says where
# the mean of other people like these is likely to lie ([lesson 12](12_evaluation.md) makes both). The
# figures are read from `tests/results/ml100k/`; `python tests/make_ml100k.py` makes them.

# %% MovieLens 100K: trained models that are shown the newest items alone
folder = Path(minirec.__file__).parents[1] / "tests" / "results" / "ml100k"
of_users = {}  # model -> items shown -> NDCG@10 of each person
for name, file in {"Transformer-XL": "transformer-xl", "SASRec": "sasrec", "BERT4Rec": "bert4rec"}.items():
    stored = json.loads((folder / f"{file}.json").read_text(encoding="utf-8"))
    runs = list(stored["seeds"].values())  # three trainings of SASRec, one of the others
    counts = [n for n in runs[0]["newest"] if int(n) <= stored["settings"]["length"]]
    of_users[name] = {int(n): np.mean([run["newest"][n] for run in runs], axis=0) for n in counts}


def with_interval(x):
    return x.mean(), *interval(bootstrap_means(x, 0))


shown = {name: [(n, with_interval(x)) for n, x in of.items()] for name, of in of_users.items()}
plots.by_size(shown, "newest items shown", "NDCG@10")

# %%
gaps = {}
for name, of in of_users.items():
    for few in (1, 20):
        gaps[f"{name}, {max(of)} items - {few}"] = of[max(of)] - of[few]
gaps["Transformer-XL - SASRec, 200 items"] = of_users["Transformer-XL"][200] - of_users["SASRec"][200]
print("differences of NDCG@10, the same people under both [95 % interval]")
found = {what: with_interval(gap) for what, gap in gaps.items()}
for what, (mean, low, high) in found.items():
    print(f"{what:34} {mean:+.4f}  [{low:+.4f}, {high:+.4f}]")
gained = [what for what, (_, low, _) in found.items() if low > 0]
assert gained == ["Transformer-XL, 200 items - 1", "SASRec, 200 items - 1"]
assert all(high > 0 for _, _, high in found.values())

# %% [markdown]
# From the newest film alone to 200 films, Transformer-XL and SASRec gain. No other difference is shown: the
# intervals contain 0. So nothing is sure to be gained beyond 20 films, nor is it shown that Transformer-XL,
# which reaches {{reach(50, 50, 2)}} films here (segments of 50, a memory of 50, two blocks), is better than
# SASRec with its window of
# 200. So on these data old items are worth little to these models. (Models that were trained on short
#      histories might do better with them than these do.) Whether yours need the long range is measured in
#      this way: show less, and see.
#
# ## Exercise
#
# Write `relative_attention_forward` and `relative_attention_backward` in a file of your own, with the mask
# and for axes in front (batches and heads). What must the index of `np.add.at` name as well? Then compare:
#
# ```
# python -m minirec verify my_file.py:relative_attention --against relative_attention
# ```
#
# ## In practice
#
# The paper computes the gather by a trick: pad $B$ with one column, reshape, and cut, which shifts row $i$
# by $i$ places without an index. XLNet (Yang et al. 2019) took memory and distances over. Most later models
# keep the distances and leave out the memory: a learned number per distance or range of distances (T5,
# Raffel et al. 2020), a fixed slope, the farther the lower (ALiBi, Press et al. 2022), or queries and keys
# that are rotated by their place, so that their product depends on the distance (RoPE, Su et al. 2021),
# which many large language models use. HSTU (Zhai et al. 2024), a recommender, adds a learned number for
# the distance and one for the time between two events. To end gradients at a segment is older than all of
# them: truncated backpropagation through time (Williams & Peng 1990). How these models compare, and how to
# tell, is the subject of [evaluation](12_evaluation.md) and [which model when](13_which_model.md).
