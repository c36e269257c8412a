# %% [markdown]
# # Read a history in order: the next item and the hidden item
#
# - **You will do:** turn histories into rows of ids with shifted targets, train SASRec with four losses and
#   BERT4Rec on a shop, write the gradient of a table that is used twice, and let a model write the next
#   items.
# - **You will learn:** what separates the view of GPT from that of BERT, what each loss asks of a score,
#   and why a model that may look ahead learns the wrong thing.
# - **You need:** [softmax and cross-entropy](03_softmax.md), [attention](04_attention.md), [Transformer
#   blocks](07_blocks.md).
#
# Section 1 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术) names
# GPT-3, BERT and PaLM in one breath, and section 3.2 feeds the user's history to a Transformer. How a
# history becomes training examples, and that GPT and BERT do this in opposite ways, is not said; the model
# of section 5.2 reads no history at all. Two recommenders fill the gap. SASRec (Kang & McAuley 2018) reads
# as GPT does, from left to right. BERT4Rec (Sun et al. 2019) reads as BERT does, in both directions.

# %%
import json
from pathlib import Path
from unittest import mock

import numpy as np

import minirec
from minirec import evaluation, nn, plots
from minirec import functional as F
from minirec.data import leave_one_out, synthetic
from minirec.data.sequences import next_items, pad_histories, positions
from minirec.models import BERT4Rec, MarkovChain, Popularity, SASRec, step_loss
from minirec.models.bert4rec import BERT4RecNetwork, cloze_mask
from minirec.models.generation import generate, generate_ids
from minirec.models.sasrec import SASRecNetwork
from minirec.verify import agree, check_gradient, complex_step

# %% [markdown]
# ## A history as a row of ids
#
# A shop sells five things. Item $i$ gets the id $i + 1$, because id 0 is kept for *padding*: places where
# there is nothing. Three customers bought, oldest first:

# %%
names = ["nothing", "kettle", "tea", "mug", "honey", "spoon"]  # by id
histories = [np.array([0, 1, 2, 3]), np.array([1, 3]), np.array([4, 0, 1, 2, 1, 3])]  # items, from 0
inputs, targets = next_items(histories, length=4)
for row, after in zip(inputs, targets, strict=True):
    print(" | ".join(f"{names[i]} -> {names[t]}" for i, t in zip(row, after, strict=True)))

# %% [markdown]
# Each row has $T = 4$ places, so that all rows fit into one array. The arrow leads from the *input* of a
# place to its *target*, the item that was bought next: **the targets are the inputs, shifted by one**. A
# history of $n$ items gives $n - 1$ examples at once; of the third one only the newest five items are kept.
#
# Short histories are padded **on the left**. So the newest item always stands in the last place, and what
# the model makes of that place is what recommends. A place of padding has target 0, which means: do not
# count it.
#
# ## SASRec: from ids to states
#
# $E$ is a table with one row of $D$ numbers for each item (and a row of zeros for padding). $P$ has one row
# for each *position*, counted from the oldest item that is kept and not from the edge, so that padding
# moves nobody. With $s_t$ the id in place $t$ and $a$ places of padding:
#
# $$
# h = \operatorname{Encoder}(x), \qquad x_t = \sqrt{D}\, E_{s_t} + P_{t - a}, \qquad x_t = 0 \text{ at padding}
# $$
#
# $x$ and $h$ are $(T, D)$ for each row. The rows of $E$ begin with a length of about 1; $\sqrt{D}$ makes
# their numbers about as large as 1. The encoder is a stack of Transformer blocks, and $h_t$ is the *state*
# after the item in place $t$. There is no row for the user: who somebody is, is what they bought. So
# somebody new is served from the first purchase on, without further training (section 9.2 of the document).

# %%
I, D, T = 5, 4, 4
rng = np.random.default_rng(0)
sizes = {"n_items": I, "embedding_dim": D, "num_heads": 1, "num_layers": 1, "hidden": D, "length": T}
network = SASRecNetwork(rng, **sizes, residual="plain", dropout=0.0)  # "plain": pre-norm
E, P = network.item_embedding.E, network.position_embedding.E
x = np.zeros((len(inputs), T, D))
for b, row in enumerate(inputs):
    padding = np.count_nonzero(row == 0)
    for t, s in enumerate(row):
        if s != 0:
            x[b, t] = np.sqrt(D) * E[s] + P[t - padding]
causal = nn.causal_mask(T) & nn.padding_mask(inputs)
h, _ = network.forward(inputs)
agree("SASRecNetwork", network.encoder.forward(x, causal)[0], h)

# %% [markdown]
# The mask ([lesson 6](06_heads.md)) decides everything. *Causal* means: place $t$ may attend to the places
# up to $t$ and to none that comes later. Otherwise place $t$ could read its own target, which stands one
# place to the right. BERT4Rec has no such rule; only padding is hidden. Its targets, as we will see, do not
# stand in its input.

# %% Who may look at whom in a history of three items: to the left (SASRec, GPT) or both ways (BERT4Rec, BERT)
ids = np.array([[0, 1, 2, 3]])
views = {"causal": nn.causal_mask(T) & nn.padding_mask(ids), "both ways": nn.padding_mask(ids)}
words = [names[i] for i in ids[0]]
plots.heatmap(
    {name: np.broadcast_to(mask, (1, 1, T, T))[0, 0].astype(float) for name, mask in views.items()},
    rows=words, columns=words, xlabel="looked at", ylabel="state of", form=None,
    label="may look (1) or not (0)",
)  # fmt: skip

# %% [markdown]
# (What "nothing" looks at does not matter: nobody reads its state.) Buy something else last, and no earlier
# state may move:

# %%
other = np.array([[0, 1, 2, 5]])
moved = np.abs(network.forward(other)[0] - network.forward(ids)[0]).max(axis=-1)[0]
print("moved:", {name: bool(m > 0) for name, m in zip(words, moved, strict=True)})

# %% [markdown]
# ## The loss of a row
#
# The score of item $i$ after place $t$ is $z_{ti} = h_t \cdot E_i$. The table is read a second time, now as
# output: the two uses are *tied*. Softmax turns the $I$ scores of a place into probabilities, and the loss
# is the mean of $-\log p$ of the target $y_t$, over the $N$ places that have one:
#
# $$
# L = \frac{1}{N} \sum_{t:\, y_t \ne 0} \Bigl[ \log \sum_{i=1}^{I} e^{h_t \cdot E_i} - h_t \cdot E_{y_t} \Bigr]
# $$

# %%
terms = []
for b, t in np.argwhere(targets != 0):
    scores = [h[b, t] @ E[i] for i in range(1, I + 1)]  # id 0 is no item
    terms.append(np.log(sum(np.exp(scores))) - scores[targets[b, t] - 1])
loss, _ = step_loss.step_softmax_forward(h, E, targets)
agree("step_softmax", loss, np.mean(terms))
print(f"{len(terms)} examples, untrained loss {loss:.2f}; five equal scores have log 5 = {np.log(5):.2f}")

# %% [markdown]
# ## The backward pass of a tied table, line by line
#
# To see the two uses, put something short in place of the blocks: the state is the plain mean of the rows
# so far. (This is causal attention in which all weights are equal.) One history, $s$ its ids, $y$ its
# targets; $A$ has row $t$ made of $t$ numbers $1/t$, then zeros:
#
# - forward $x_t = E_{s_t}$. Backward: row $s_t$ of $E$ gets $dx_t$; where an item occurs twice, both are
#   added.
# - forward $h = A x$. Backward: $dx = A^\top dh$.
# - forward $z = h E^\top$, the scores. Backward: $dh = dz\, E$, and once more for the table: $dE = dz^\top
#   h$.
# - forward $L$ = mean cross-entropy. Backward: $dz_t = (p_t - \text{one-hot}(y_t)) / N$, probability minus
#   truth.
#
# The table stands in two of these lines, so its gradient is a sum:
#
# $$
# \frac{\partial L}{\partial E_i} = \sum_{t:\, s_t = i} dx_t + \sum_t dz_{ti}\, h_t
# $$


# %%
s, y = np.array([1, 2, 3, 2]), np.array([2, 3, 2, 4])  # kettle, tea, mug, tea; then honey
A = np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None]


def tied_forward(E):
    x = E[s]
    h = A @ x
    z = h @ E[1:].T
    loss, of_loss = F.cross_entropy_forward(z, y - 1)
    return loss, (E, h, of_loss)


def tied_parts(dloss, cache):
    E, h, of_loss = cache
    dz = F.cross_entropy_backward(dloss, of_loss)  # loss = cross_entropy(z)
    dh, as_output = dz @ E[1:], np.zeros_like(E)  # z = h E[1:].T
    as_output[1:] = dz.T @ h
    dx = A.T @ dh  # h = A x
    as_input = np.zeros_like(E)
    np.add.at(as_input, s, dx)  # x = E[s]; a row that was read twice gets both
    return as_input, as_output


def tied_backward(dloss, cache):
    return sum(tied_parts(dloss, cache))


table = 0.5 * rng.normal(size=(I + 1, 3))
report = check_gradient(tied_forward, tied_backward, table)
half = check_gradient(tied_forward, lambda dloss, cache: tied_parts(dloss, cache)[0], table)
print("both uses:", "right" if report.ok else "wrong", "| input alone:", "right" if half.ok else "wrong")
directions = np.eye(table.size).reshape(-1, *table.shape)  # one number of the table at a time
slopes = [complex_step(lambda E: tied_forward(E)[0], table, direction) for direction in directions]
gradient = tied_backward(1.0, tied_forward(table)[1])
agree("the gradient of a tied table", gradient, np.reshape(slopes, table.shape))

# %% The gradient of the table by its uses: as input the items of the history get one, as output all items do
as_input, as_output = tied_parts(1.0, tied_forward(table)[1])
parts = {"as input": as_input, "as output": as_output, "sum": as_input + as_output}
plots.heatmap(parts, rows=names, xlabel="column of the table", label="gradient")

# %% [markdown]
# The spoon is neither in the history nor a target, and yet its row moves: it was a wrong answer at every
# place. The whole network does the same, with blocks in place of $A$: `SASRec.loss_and_grads` adds the two
# uses. Use `minirec.models.SASRec` from here on.
#
# ## Four losses
#
# Softmax needs the scores of all $I$ items at each place. With millions of items that is too many, so the
# score of the item taken, $z^+ = h_t \cdot E_{y_t}$, is compared with those of $k$ *negatives*, items drawn
# at random, $z^-_j = h_t \cdot E_j$. With $\sigma(z) = 1/(1 + e^{-z})$, the loss of one place is then one
# of these. First *binary cross-entropy* (BCE) with $k = 1$, as SASRec was published: taken, yes or no?
#
# $$
# \ell = -\log \sigma(z^+) - \log\bigl(1 - \sigma(z^-)\bigr)
# $$
#
# *gBCE* (generalized BCE) has more negatives and a weight $\beta$ for the item taken; $\tau$ between 0 and
# 1 is a setting (`gbce_t`):
#
# $$
# \ell = -\frac{1}{k + 1} \Bigl[ \beta \log \sigma(z^+) + \sum_{j=1}^{k} \log\bigl(1 - \sigma(z^-_j)\bigr) \Bigr], \qquad \beta = 1 - \tau + \tau\,\frac{k}{I - 1}
# $$
#
# *Sampled softmax* is softmax over the item taken and the negatives alone:
#
# $$
# \ell = -\log \frac{e^{z^+}}{e^{z^+} + \sum_{j=1}^{k} e^{z^-_j}}
# $$
#
# By hand: one state $h = (1, 0)$, four items with the scores $0, 1, 2, 0$; item 3 was taken, item 1 was
# drawn, or items 1 and 2.


# %%
def sigma(x):
    return 1 / (1 + np.exp(-x))


state = np.array([[[1.0, 0.0]]])  # (B, T, D), one row with one place
rows = np.array([[0, 0], [0, 0], [1, 0], [2, 0], [0, 0]], dtype=float)  # padding and four items
taken, one, two = np.array([[3]]), np.array([[1]]), np.array([[1, 2]])
bce = -np.log(sigma(2)) - np.log(1 - sigma(0))
agree("step_bce", step_loss.step_bce_forward(state, rows, taken, one)[0], bce)
beta = 1 - 0.5 + 0.5 * 2 / 3  # tau = 0.5, k = 2, I = 4
gbce = -(beta * np.log(sigma(2)) + np.log(1 - sigma(0)) + np.log(1 - sigma(1))) / 3
agree("step_gbce", step_loss.step_gbce_forward(state, rows, taken, two, t=0.5)[0], gbce)
sampled = -np.log(np.exp(2) / (np.exp(2) + np.exp(0) + np.exp(1)))
agree("step_sampled_softmax", step_loss.step_sampled_softmax_forward(state, rows, taken, two)[0], sampled)
print(f"BCE {bce:.2f}, gBCE {gbce:.2f} (beta {beta:.2f}), sampled softmax {sampled:.2f}")

# %% [markdown]
# **What does each loss want?** Suppose that after some history item $i$ comes next with probability $p_i$,
# and that the model is free to give each item any score. Then item $i$ is the item taken with frequency
# $p_i$, where its slope is $-\beta (1 - \sigma(z_i))$ ([lesson 9](09_training.md) derives it). It is drawn
# as a negative $k/I$ times on average, each time with the slope $\sigma(z_i)$. (All slopes are divided by
# $k + 1$.) The mean slope is zero where $\beta p_i (1 - \sigma(z_i)) = \frac{k}{I} \sigma(z_i)$, that is
#
# $$
# \sigma(z_i) = \frac{\beta\, p_i}{\beta\, p_i + k / I}
# $$
#
# To be sure, go through every case of five items and two negatives: item $i$ taken, items $j$ and $l$
# drawn. At these scores the gradients, each times the probability of its case, cancel:

# %%
p, k = np.array([0.5, 0.25, 0.15, 0.07, 0.03]), 2
beta = F.gbce_beta(k, I, t=0.75)
wanted = beta * p / (beta * p + k / I)
z = np.log(wanted / (1 - wanted))  # the scores whose sigma this is
total = np.zeros(I)
for i, j, l in np.ndindex(I, I, I):
    _, cache = F.gbce_forward(z[[i]], z[[[j, l]]], beta)
    dpositive, dnegatives = F.gbce_backward(p[i] / I**2, cache)
    np.add.at(total, [i, j, l], [dpositive[0], *dnegatives[0]])
agree("the scores that gBCE wants", total, np.zeros(I))
print("probabilities", p, "-> sigma(score)", np.round(wanted, 2))

# %% What each loss makes of a true probability, with the 1682 films of MovieLens 100K (gBCE: 256 negatives)
p, films = np.geomspace(1e-5, 1, 60), 1682
curves = {"BCE, 1 negative": p / (p + 1 / films)}
for tau in (0.0, 0.75, 1.0):
    beta = F.gbce_beta(256, films, tau)
    curves[f"gBCE, τ = {tau:g}"] = beta * p / (beta * p + 256 / films)
curves["softmax"] = p
plots.lines({name: (p, c) for name, c in curves.items()}, "true probability", "what the model says", log="xy")

# %% [markdown]
# All curves rise: **a model that is free to give any score ends with the same order under each loss.** But
# with one negative the numbers are far too sure: a film that is taken once in 1682 times gets $\sigma =
# \frac{1}{2}$, since it is drawn as a wrong answer just as seldom. With $\tau = 1$ gBCE takes this back,
# but for nearly certain items. Softmax says the probability itself. So losses differ in what a *small*
# model spends its numbers on, in how noisy the gradient is, and in how fast training goes. That has to be
# measured.
#
# ## On a shop
#
# A synthetic shop, where in six of ten cases the next purchase goes with one of the last two, and taste
# decides the rest. The last purchase of each customer (*test*) is to be found among all items that are new
# to them; the one before it (*validation*) shows the progress. An *epoch* is one pass over all customers.
# NDCG@10 is 1 if the item is ranked first, {{1 / np.log2(3):.2f}} if second, 0 beyond rank ten
# ([evaluation](12_evaluation.md)). The interval beside a mean says how much it owes to who the customers
# are: draw 300 of the 300 anew, with repeats, many times, and 95 of 100 such means lie inside.

# %%
shop = synthetic(n_users=300, n_items=60, n_events=4500, sequence_strength=0.6, seed=0)
train, valid, test = leave_one_out(shop.interactions)
before = [np.concatenate(pair) for pair in zip(train.histories(), valid.histories(), strict=True)]
settings = {"embedding_dim": 24, "num_layers": 1, "length": 20, "dropout": 0.1, "lr": 0.01, "batch_size": 50}
settings |= {"patience": 99, "dtype": "float64"}  # it never stops early
models = {
    "BCE, 1 negative": SASRec(**settings, loss="bce", epochs=30),
    "sampled softmax, 8": SASRec(**settings, loss="sampled_softmax", n_negatives=8, epochs=30),
    "gBCE, 8": SASRec(**settings, loss="gbce", n_negatives=8, epochs=50),
    "softmax": SASRec(**settings, loss="softmax", epochs=30),
}
for model in models.values():
    model.fit(train, valid=valid, rng=0, progress=False)
counting = {"popularity": Popularity().fit(train), "pairs": MarkovChain().fit(train)}  # no gradient
for name, model in (counting | models).items():
    found = evaluation.evaluate(model, train, test, also_seen=valid)
    low, high = found.interval("ndcg")
    print(f"{name:20} NDCG@10 {found.mean('ndcg'):.2f}  [{low:.2f}, {high:.2f}]")
print(f"whoever knows the laws of the shop: {shop.best_possible(test, before).ndcg:.2f}")

# %% One network, four losses: how fast each learns to rank (validation customers of the shop)
curves = {name: tuple(np.transpose(model.log.validation)) for name, model in models.items()}
popular = evaluation.evaluate(counting["popularity"], train, valid).mean("ndcg")
plots.lines(curves | {"popularity": ([1, 50], [popular] * 2)}, "epoch", "NDCG@10")

# %% [markdown]
# The four ends lie close together, within each other's intervals; the ways there do not. Softmax learns
# from every item at once. BCE hears of one wrong answer per place. gBCE stays long where popularity is,
# before it begins to tell customers apart. And counting which item followed which (*pairs*, a Markov chain)
# is ahead of them all. In this shop order is a matter of one or two steps, and 300 customers are few.
# Always print that line.
#
# ## What goes wrong: a look ahead
#
# Leave out one thing, the causal mask, and train the same model. At place $t$ its target now stands in
# plain sight, one place to the right. (`mock.patch.object` puts another function in place of
# `nn.causal_mask` while this training runs.)

# %%
with mock.patch.object(nn, "causal_mask", lambda T: np.ones((T, T), dtype=bool)):
    leak = SASRec(**settings, epochs=30).fit(train, valid=valid, rng=0, progress=False)
for name, model in {"causal": models["softmax"], "looks ahead": leak}.items():
    early, late = model.log.validation[7][1], model.log.validation[-1][1]
    print(
        f"{name:12} loss {model.log.losses[-1]:.2f}, NDCG@10 in epoch 8 {early:.2f}, in epoch 30 {late:.2f}"
    )

# %% [markdown]
# The loss looks much better, and after a few epochs the recommendations get worse and worse: the model
# learns to copy from the right, and in the last place there is nothing to copy. A training loss alone would
# never have told.
#
# ## BERT4Rec: hide and guess
#
# To read both ways, the target must not be in the input. So hide it: a share $\rho$ of the items is
# replaced by one more id, [MASK], and the model names what stood there (the *Cloze* task; BERT itself
# leaves some of the chosen words in place, BERT4Rec never does). Which items are hidden changes in every
# epoch; of $n$ items there are
#
# $$
# m = \max\bigl(1, \operatorname{round}(\rho\, n)\bigr)
# $$

# %%
ids = pad_histories([np.array([0, 1, 2, 3, 4]), np.array([2, 3])], length=5)
hidden = cloze_mask(np.random.default_rng(1), ids, rho=0.4)
agree("cloze_mask", hidden.sum(axis=1), [2, 1])  # 0.4 times 5 is 2; 0.4 times 2 is 0.8
for row in np.where(hidden, len(names), ids):
    print(" | ".join([*names, "[MASK]"][i] for i in row))

# %% [markdown]
# An item and its position add up as in SASRec, here without $\sqrt{D}$ and with a layer norm after the sum.
# At each [MASK] the state $h_t$ goes through a small head: one matrix $W$ with a bias $c$, GELU (a smooth
# ReLU, see [lesson 7](07_blocks.md)), and a layer norm (LN). The scores come from the same table once more,
# plus a number $b_i$ per item:
#
# $$
# u_t = \operatorname{LN}\bigl(\operatorname{GELU}(h_t W + c)\bigr), \qquad z_{ti} = u_t \cdot E_i + b_i
# $$

# %%
bert = BERT4RecNetwork(rng, **sizes | {"length": 5}, norm="pre", dropout=0.0)
masked = np.where(hidden, I + 1, ids)  # [MASK] has the id I + 1
E, P = bert.item_embedding.E, bert.position_embedding.E
x = bert.embedding_norm.forward(E[masked] + P[positions(masked)])[0]
h = bert.encoder.forward(x, nn.padding_mask(masked))[0]
u = bert.norm.forward(F.gelu_forward(h[hidden] @ bert.dense.W + bert.dense.b)[0])[0]
scores, _ = bert.forward(masked)
agree("BERT4RecNetwork", scores, u @ E[1:-1].T + bert.bias)  # padding and [MASK] cannot be named
print("scores of", scores.shape[0], "hidden places for", scores.shape[1], "items")

# %% [markdown]
# The loss is cross-entropy at the hidden places, and nowhere else. **To recommend, a [MASK] is appended
# behind the history**: what would stand there? That is a question which random hiding hardly ever asks, as
# the first line below shows. So BERT4Rec trains on one more row per customer, in which the last item is
# hidden and nothing else.

# %%
ids = pad_histories(train.histories(), length=20)
hidden = cloze_mask(np.random.default_rng(0), ids, rho=0.5)
alone = hidden[:, -1] & (hidden.sum(axis=1) == 1)
print(f"rows with the last item hidden and nothing else: {alone.sum()} of {len(ids)}")
bert4rec = BERT4Rec(**settings | {"num_heads": 1, "hidden": 24}, rho=0.5, epochs=50)
bert4rec.fit(train, valid=valid, rng=0, progress=False)
progress = ", ".join(f"{at}: {value:.2f}" for at, value in bert4rec.log.validation[9::10])
found = evaluation.evaluate(bert4rec, train, test, also_seen=valid)
print(f"BERT4Rec, validation NDCG@10 by epoch: {progress}; on the last purchase {found.mean('ndcg'):.2f}")

# %% [markdown]
# It is slower: a row gives $m$ targets and not $n - 1$, in another arrangement each time. Reading both ways
# is no advantage here: when it counts, nothing stands to the right.
#
# ## On MovieLens 100K
#
# Larger models, each trained for minutes: the last film of each of 943 users is to be found among all films
# that are new to them. These figures are read from `tests/results/ml100k/`; the command `python
# tests/make_ml100k.py` makes them. The cells also check what the text below says about them.

# %% MovieLens 100K: losses, views, and counting (SASRec with BCE and with softmax: mean of three trainings)
folder = Path(minirec.__file__).parents[1] / "tests/results/ml100k"
files = {"popularity": "popularity", "pairs (MarkovChain)": "markov", "SASRec, BCE": "sasrec-bce"}
files |= {"SASRec, gBCE": "sasrec-gbce", "SASRec, sampled softmax": "sasrec-sampled"}
files |= {"BERT4Rec": "bert4rec", "SASRec, softmax": "sasrec"}
stored = {name: json.loads((folder / f"{f}.json").read_text(encoding="utf-8")) for name, f in files.items()}
trainings = {name: list(found["seeds"].values()) for name, found in stored.items()}
assert [name for name in files if len(trainings[name]) == 3] == ["SASRec, BCE", "SASRec, softmax"]
of_users = {  # NDCG@10 of each user, the mean over the trainings
    name: np.mean([run["per_user"]["ndcg"] for run in runs], axis=0) for name, runs in trainings.items()
}
assert {len(values) for values in of_users.values()} == {943}
assert all(run["seconds_of_training"] > 60 for name in list(files)[2:] for run in trainings[name])


def mean(values):
    return values.mean(), *evaluation.interval(evaluation.bootstrap_means(values, 0))


plots.comparison({name: mean(values) for name, values in of_users.items()})


# %%
def difference(a, b):
    gap, low, high = mean(of_users[a] - of_users[b])  # the same users under both
    print(f"{a:15} - {b:23} {gap:+.3f}  [{low:+.3f}, {high:+.3f}]")
    return gap, low, high


by_loss, low, _ = difference("SASRec, softmax", "SASRec, BCE")
assert low > 0  # changing the loss gains
ours, theirs = stored["SASRec, softmax"]["settings"], stored["SASRec, BCE"]["settings"]
assert [key for key in ours if ours[key] != theirs[key]] == ["loss"]  # and nothing else
_, low, high = difference("SASRec, softmax", "SASRec, sampled softmax")
assert low < 0 < high  # softmax over films that are drawn is not surely worse
assert stored["BERT4Rec"]["settings"]["dropout"] != ours["dropout"]  # BERT4Rec has settings of its own
by_view, low, _ = difference("SASRec, softmax", "BERT4Rec")
assert low > 0  # beside SASRec with softmax BERT4Rec is behind
_, low, high = difference("SASRec, BCE", "BERT4Rec")
assert low < 0 < high  # beside SASRec with BCE the interval contains 0
_, low, high = difference("SASRec, BCE", "pairs (MarkovChain)")
assert low < 0 < high  # nor is it surely better than counting pairs
each = {name: [np.mean(run["per_user"]["ndcg"]) for run in trainings[name]] for name in trainings}
assert np.ptp(each["SASRec, BCE"]) > 2 * np.ptp(each["SASRec, softmax"])  # its trainings lie far apart
print("the three trainings with BCE:", np.round(each["SASRec, BCE"], 3))

# %% [markdown]
# Changing the loss of SASRec and nothing else gains {{by_loss:.3f}}. Softmax over {{ours["n_negatives"]}}
# films that are drawn is not surely worse than softmax over all. BERT4Rec was published as better than
# SASRec; but BERT4Rec came with softmax, and SASRec with one negative. Beside SASRec with softmax it is
# behind by {{by_view:.3f}}; beside SASRec with BCE the interval of the difference contains 0, as it does
# for BCE beside counting pairs. Two reservations: BERT4Rec has settings of its own, so more than the view
# differs; and the trainings with BCE lie far apart, which the intervals over users know nothing of. But
# Klenitskiy & Vasilev (2023) and Petrov & Macdonald (2023) found the same on larger data: much of what was
# taken for the architecture is the loss.
#
# ## Write on: a language model over items
#
# A causal model can go on by itself: take the best item, append it, ask again. GPT does this with words;
# `minirec.models.generation` does it with items. One customer of the shop:

# %%
model, history = models["softmax"], before[3][-6:]
print("so far:       ", " | ".join(shop.products[i].title for i in history))
for temperature in (0.0, 1.0):
    row = generate_ids(model, [[model.item_ids[i] for i in history]], 4, temperature=temperature, rng=0)[0]
    print(f"temperature {temperature:g}:", " | ".join(model.titles[item] for item in row))
same = generate(model, before[:50], 5) == generate(model, before[:50], 5, cache=False)
print("with and without a cache the same:", bool(same.all()))

# %% [markdown]
# *Temperature* 0 takes the best item each time; 1 draws from the probabilities. Because no state looks to
# the right, keys and values of what was read stay valid, and each new item costs one place and not the
# whole history (`cache`). For BERT4Rec an appended item changes every state, and so all are computed again.
#
# ## Exercise
#
# Write `sampled_softmax_forward` and `sampled_softmax_backward` in a file of your own: $z^+$ of shape
# $(n,)$, $z^-$ of shape $(n, k)$, and a mask `keep` that leaves out a negative which happens to be the item
# taken. Which sum gives the gradient of $z^+$?
#
# ```
# python -m minirec verify my_file.py:sampled_softmax --against sampled_softmax
# ```
#
# Then let `SASRec` use `gbce_t=0.0` on the shop. Does gBCE still stay where popularity is?
#
# ## In practice
#
# Petrov & Macdonald (2022) reached the published figures of BERT4Rec only by training up to thirty times
# longer than the usual code does; gBCE is from their paper of 2023. Where a catalogue is large and popular
# items are drawn more often than others, sampled softmax corrects for that (Bengio & Senécal 2008). GPT-3
# (Brown et al. 2020) and PaLM (Chowdhery et al. 2022) are causal, BERT (Devlin et al. 2018) hides and
# guesses; the large recommender HSTU (Zhai et al. 2024) is causal as well. What happens when a history is
# longer than the window is the next lesson: [long histories](11_long_histories.md).
