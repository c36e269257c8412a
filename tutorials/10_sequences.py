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
# GPT-3, BERT and PaLM in one breath, section 3.2 feeds the user's history to a Transformer, and section 7.3
# lists the paper on BERT. How a history becomes training examples, and that GPT and BERT do this in
# opposite ways, is not said; the model of section 5.2 reads no history at all. Two recommenders fill the
# gap. SASRec (Kang & McAuley 2018) reads as GPT does, from left to right. BERT4Rec (Sun et al. 2019) reads
# as BERT does, in both directions.

# %%
import json
from pathlib import Path
from unittest import mock

import numpy as np

import minirec
from minirec import evaluation, nn, plots
from minirec import functional as F
from minirec.data import leave_one_out, synthetic
from minirec.data.sequences import next_items, pad_histories
from minirec.models.bert4rec import BERT4Rec, BERT4RecNetwork, cloze_mask
from minirec.models.generation import generate, generate_ids
from minirec.models.markov_chain import MarkovChain
from minirec.models.popularity import Popularity
from minirec.models.sasrec import SASRec, SASRecNetwork
from minirec.models.step_loss import (
    step_bce_forward,
    step_gbce_forward,
    step_sampled_softmax_forward,
    step_softmax_backward,
    step_softmax_forward,
)
from minirec.verify import agree, check_gradient, complex_step

# %% [markdown]
# ## A history as a row of ids
#
# A shop sells five things. Item $i$ gets the id $i + 1$, because id 0 is kept for *padding*: places where
# there is nothing. Three customers bought, oldest first:

# %%
names = ["nothing", "kettle", "tea", "mug", "honey", "spoon"]
histories = [np.array([0, 1, 2, 3]), np.array([1, 3]), np.array([4, 0, 1, 2, 1, 3])]
inputs, targets = next_items(histories, length=4)
for row, after in zip(inputs, targets, strict=True):
    print(" | ".join(f"{names[i]} -> {names[t]}" for i, t in zip(row, after, strict=True)))

# %% [markdown]
# Each row has $T = 4$ places, so that all rows fit into one array. The arrow leads from the *input* of a
# place to its *target*, the item that was bought next: **the targets are the inputs, shifted by one**. A
# row of $n$ items gives $n - 1$ examples at once.
#
# Short histories are padded **on the left**, and of long ones the newest items are kept. So the newest item
# always stands in the last place, and the state there is the one that recommends. A place of padding has
# target 0, which means: do not count it. Places get a *position number*, counted from the oldest item that
# is kept and not from the edge, so that padding moves nobody.
#
# ## SASRec: from ids to states
#
# $E$ is a table with one row of $D$ numbers for each item (and a row of zeros for padding), $P$ has one row
# for each position. With $s_t$ the id in place $t$:
#
# $$
# h = \operatorname{Encoder}(x), \qquad x_t = \sqrt{D}\, E_{s_t} + P_{t - \text{padding}}, \qquad x_t = 0 \text{ at padding}
# $$
#
# $x$ and $h$ are $(T, D)$ for each row. The encoder is a stack of Transformer blocks. $h_t$ is the *state*
# after the item in place $t$.

# %%
I, D, T = 5, 4, 4
rng = np.random.default_rng(0)
sizes = {"n_items": I, "embedding_dim": D, "num_heads": 1, "num_layers": 1, "hidden": D, "length": T}
network = SASRecNetwork(rng, **sizes, residual="plain", dropout=0.0)
E, P = network.item_embedding.E, network.position_embedding.E
x = np.zeros((len(inputs), T, D))
for b, row in enumerate(inputs):
    padding = np.count_nonzero(row == 0)
    for t, s in enumerate(row):
        if s != 0:
            x[b, t] = np.sqrt(D) * E[s] + P[t - padding]
causal = nn.causal_mask(T) & nn.padding_mask(inputs)
h, cache = network.forward(inputs)
agree("SASRecNetwork", network.encoder.forward(x, causal)[0], h)

# %% [markdown]
# The mask decides everything. *Causal* means: place $t$ may attend to the places up to $t$ and to none that
# comes later. Otherwise place $t$ could read its own target, which stands one place to the right. BERT4Rec
# has no such rule; only padding is hidden. Its targets, as we will see, do not stand in its input.

# %% Who may look at whom in a history of three items: to the left (SASRec, GPT) or both ways (BERT4Rec, BERT)
ids = np.array([[0, 1, 2, 3]])
views = {"causal": nn.causal_mask(T) & nn.padding_mask(ids), "both ways": nn.padding_mask(ids)}
labels = [names[i] for i in ids[0]]
plots.heatmap(
    {name: np.broadcast_to(mask, (1, 1, T, T))[0, 0].astype(float) for name, mask in views.items()},
    rows=labels,
    columns=labels,
    xlabel="looked at",
    ylabel="state of",
    form=None,
    label="may look (1) or not (0)",
)

# %% [markdown]
# Buy something else last, and no earlier state may move. (The row of padding looks like the others in the
# left picture only because it sees nothing; nobody reads it.)

# %%
other = np.array([[0, 1, 2, 5]])
moved = np.abs(network.forward(other)[0] - network.forward(ids)[0]).max(axis=-1)[0]
print("moved:", {name: bool(m > 0) for name, m in zip(labels, moved, strict=True)})

# %% [markdown]
# ## The loss of a row
#
# The score of item $i$ after place $t$ is $h_t \cdot E_i$. The table is read a second time, now as output:
# the two uses are *tied*. Softmax turns the $I$ scores into probabilities, and the loss is the mean
# surprise over the $n$ places with a target $y_t$:
#
# $$
# L = \frac{1}{n} \sum_{t:\, y_t \ne 0} \Bigl[ \log \sum_{i=1}^{I} e^{h_t \cdot E_i} - h_t \cdot E_{y_t} \Bigr]
# $$

# %%
terms = []
for b, t in np.argwhere(targets != 0):
    scores = [h[b, t] @ E[i] for i in range(1, I + 1)]  # id 0 is no item
    terms.append(np.log(sum(np.exp(scores))) - scores[targets[b, t] - 1])
loss, of_loss = step_softmax_forward(h, E, targets)
agree("step_softmax", loss, np.mean(terms))
print(f"{len(terms)} examples, loss {loss:.3f}; pure guessing has log 5 = {np.log(5):.3f}")

# %% [markdown]
# ## The backward pass of a tied table, line by line
#
# To see the two uses, put something short in place of the blocks: the state is the plain mean of the rows
# so far. (This is causal attention whose queries are all zero: every weight is equal.) One history, $s$ its
# ids, $y$ its targets, $A_{tt'} = 1/(t+1)$ for $t' \le t$ and 0 elsewhere:
#
# - forward $x_t = E_{s_t}$. Backward: row $s_t$ of $E$ gets $dx_t$; where an item occurs twice, both are
#   added.
# - forward $h = A x$. Backward: $dx = A^\top dh$.
# - forward $z = h E^\top$, the scores. Backward: $dh = dz\, E$, and once more for the table: $dE = dz^\top
#   h$.
# - forward $L$ = mean cross-entropy. Backward: $dz_t = (p_t - \text{one-hot}(y_t)) / n$, probability minus
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
    np.add.at(as_input, s, dx)  # x = E[s]
    return as_input, as_output


def tied_backward(dloss, cache):
    as_input, as_output = tied_parts(dloss, cache)
    return as_input + as_output


table = 0.5 * rng.normal(size=(I + 1, 3))
report = check_gradient(tied_forward, tied_backward, table)
half = check_gradient(tied_forward, lambda dloss, cache: tied_parts(dloss, cache)[0], table)
print("both uses:", "right" if report.ok else "wrong", "| input alone:", "right" if half.ok else "wrong")
slopes = [
    complex_step(lambda E: tied_forward(E)[0], table, e.reshape(table.shape)) for e in np.eye(table.size)
]
agree(
    "the gradient of a tied table",
    tied_backward(1.0, tied_forward(table)[1]),
    np.reshape(slopes, table.shape),
)

# %% The gradient of the table by its uses: as input the items of the history get one, as output all items do
as_input, as_output = tied_parts(1.0, tied_forward(table)[1])
plots.heatmap(
    {"as input": as_input, "as output": as_output, "sum": as_input + as_output},
    rows=names,
    xlabel="number in the row",
    label="gradient",
)

# %% [markdown]
# The spoon is neither in the history nor a target, and yet its row moves: it was a wrong answer at every
# place. The whole network does the same, with blocks in place of $A$. `SASRec` adds the two uses in
# `loss_and_grads`:

# %%
dh, as_output = step_softmax_backward(1.0, of_loss)
total = network.backward(dh, cache)[1]["item_embedding.E"] + as_output
v = rng.normal(size=E.shape) * (np.arange(I + 1) != 0)[:, None]  # a random direction; the padding row stays 0


def loss_of(E):
    return step_softmax_forward(
        network.with_params(network.params() | {"item_embedding.E": E}).forward(inputs)[0], E, targets
    )[0]


agree("SASRec: the slope along a random direction", (total * v).sum(), complex_step(loss_of, E, v))

# %% [markdown]
# ## Four losses
#
# Softmax needs the scores of all $I$ items at each place. With millions of items that is too many, so the
# item taken, $s^+ = h_t \cdot E_{y_t}$, is compared with few *negatives*, items drawn at random, $s^-_j =
# h_t \cdot E_j$. With $\sigma(x) = 1/(1 + e^{-x})$ and $k$ negatives, the loss of one place is one of
# these. First
#
# *binary cross-entropy* (BCE) with $k = 1$, as SASRec was published: taken, yes or no?
#
# $$
# \ell = -\log \sigma(s^+) - \log\bigl(1 - \sigma(s^-)\bigr)
# $$
#
# *gBCE*, the same with more negatives and a weight $\beta$ for the item taken; $\tau$ between 0 and 1 is a
# setting (`gbce_t`):
#
# $$
# \ell = -\frac{1}{k + 1} \Bigl[ \beta \log \sigma(s^+) + \sum_{j=1}^{k} \log\bigl(1 - \sigma(s^-_j)\bigr) \Bigr], \qquad \beta = 1 - \tau + \tau\,\frac{k}{I - 1}
# $$
#
# *Sampled softmax*, which is softmax over the item taken and the negatives alone:
#
# $$
# \ell = -\log \frac{e^{s^+}}{e^{s^+} + \sum_{j=1}^{k} e^{s^-_j}}
# $$
#
# By hand: one state $h = (1, 0)$, four items with the scores $0, 1, 2, 0$; item 3 was taken, items 1 and 2
# were drawn.


# %%
def sigma(x):
    return 1 / (1 + np.exp(-x))


state = np.array([[[1.0, 0.0]]])  # (B, T, D), one row with one place
rows = np.array([[0, 0], [0, 0], [1, 0], [2, 0], [0, 0]], dtype=float)  # padding and four items
taken, one, two = np.array([[3]]), np.array([[1]]), np.array([[1, 2]])
beta = 1 - 0.5 + 0.5 * 2 / 3  # tau = 0.5, k = 2, I = 4
agree("step_bce", step_bce_forward(state, rows, taken, one)[0], -np.log(sigma(2)) - np.log(1 - sigma(0)))
by_hand = -(beta * np.log(sigma(2)) + np.log(1 - sigma(0)) + np.log(1 - sigma(1))) / 3
agree("step_gbce", step_gbce_forward(state, rows, taken, two, t=0.5)[0], by_hand)
by_hand = -np.log(np.exp(2) / (np.exp(2) + np.exp(0) + np.exp(1)))
agree("step_sampled_softmax", step_sampled_softmax_forward(state, rows, taken, two)[0], by_hand)
full = step_softmax_forward(state, rows, taken)[0]
print(f"beta = {beta:.3f}, sampled softmax {by_hand:.3f}, full softmax {full:.3f}")

# %% [markdown]
# **What does each loss want?** Suppose that after some history item $i$ comes next with probability $p_i$,
# and that the model may give each item any score. Item $i$ stands as "taken" with frequency $p_i$ and
# weight $\beta$, and as each of $k$ negatives with frequency $1/I$. The expected slope is $-\beta p_i (1 -
# \sigma(s_i)) + \frac{k}{I} \sigma(s_i)$ up to a factor. It is zero where
#
# $$
# \sigma(s_i) = \frac{\beta\, p_i}{\beta\, p_i + k / I}
# $$
#
# To be sure, go through every case: item $i$ taken, items $j$ and $l$ drawn, each case with its
# probability. At these scores the gradients cancel.

# %%
p, k, n = np.array([0.5, 0.25, 0.15, 0.07, 0.03]), 2, 5
beta = F.gbce_beta(k, n, t=0.75)
wanted = beta * p / (beta * p + k / n)
best = np.log(wanted / (1 - wanted))  # the scores whose sigma this is
i, j, l = (a.ravel() for a in np.meshgrid(range(n), range(n), range(n), indexing="ij"))
_, of_gbce = F.gbce_forward(best[i], best[np.stack([j, l], axis=1)], beta, weight=p[i] / n**2)
dpositive, dnegative = F.gbce_backward(1.0, of_gbce)
gradient = np.zeros(n)
np.add.at(gradient, i, dpositive)
np.add.at(gradient, np.stack([j, l], axis=1), dnegative)
agree("the scores that gBCE wants", gradient, np.zeros(n))
print("probabilities", p, "-> sigma(score)", np.round(wanted, 2))

# %% What each loss makes of a true probability, with the 1682 films of MovieLens 100K (gBCE: 256 negatives)
p, n = np.geomspace(1e-5, 1, 60), 1682
curves = {"BCE, 1 negative": p / (p + 1 / n)}
for t in (0.0, 0.75, 1.0):
    beta = F.gbce_beta(256, n, t)
    curves[f"gBCE, τ = {t:g}"] = beta * p / (beta * p + 256 / n)
curves["softmax"] = p
plots.lines({name: (p, c) for name, c in curves.items()}, "true probability", "what the model says", log="xy")

# %% [markdown]
# All curves rise: **a model that is free to give any score ends with the same order under each loss.** But
# with one negative the numbers are far too sure: a film of average probability, 1 in 1682, gets $\sigma =
# \frac{1}{2}$, since most films are never shown as wrong answers. With $\tau = 1$, gBCE takes this back, up
# to near-certain items. (If the item taken were never drawn as its own negative, $\tau = 1$ would say $p_i$
# exactly.) Softmax says the probability itself. So losses differ in what a *small* model spends its numbers
# on, in how noisy the gradient is, and in how fast training goes. That has to be measured.
#
# ## On a shop
#
# A synthetic shop, where in six of ten cases the next purchase goes with one of the last two, and taste
# decides the rest. The last purchase of each customer is to be found among all items that are new to them,
# the one before it measures progress (*validation*). An *epoch* is one pass over all customers. NDCG@10 is
# 1 if it is ranked first, 0.63 if second, 0 beyond rank ten ([evaluation](12_evaluation.md)).

# %%
print(f"rank 2 counts {1 / np.log2(3):.2f}")
shop = synthetic(n_users=300, n_items=60, n_events=4500, sequence_strength=0.6, seed=0)
train, valid, test = leave_one_out(shop.interactions)
before = [np.concatenate(pair) for pair in zip(train.histories(), valid.histories(), strict=True)]
settings = {"embedding_dim": 24, "num_layers": 1, "length": 20, "dropout": 0.1, "lr": 0.01, "batch_size": 50}
settings |= {"patience": 99, "dtype": "float64"}
models = {
    "BCE, 1 negative": SASRec(**settings, loss="bce", epochs=30),
    "sampled softmax, 8": SASRec(**settings, loss="sampled_softmax", n_negatives=8, epochs=30),
    "gBCE, 8": SASRec(**settings, loss="gbce", n_negatives=8, epochs=50),
    "softmax": SASRec(**settings, loss="softmax", epochs=30),
}
for model in models.values():
    model.fit(train, valid=valid, rng=0, progress=False)


def ndcg(model):
    return evaluation.evaluate(model, train, test, also_seen=valid)


counting = {"popularity": Popularity().fit(train), "pairs": MarkovChain().fit(train)}
print("NDCG@10 on the last purchase [95 % interval over customers]")
for name, model in (counting | models).items():
    found = ndcg(model)
    low, high = found.interval("ndcg")
    print(f"{name:20} {found.mean('ndcg'):.3f}  [{low:.2f}, {high:.2f}]")
print(f"{'best possible':20} {shop.best_possible(test, before).ndcg:.3f}")

beta = F.gbce_beta(8, 60, t=0.75)
same = beta / (beta + 8)  # the best sigma for all items alike
one_score = -(beta * np.log(same) + 8 * np.log(1 - same)) / 9
print("gBCE, loss in epochs 1, 11, 21, ...:", np.round(models["gBCE, 8"].log.losses[::10], 2))
print(f"gBCE, one score for all items:       {one_score:.2f}")

# %% One network, four losses: how fast each learns to rank (validation customers of the shop)
plots.lines(
    {name: tuple(np.transpose(model.log.validation)) for name, model in models.items()}, "epoch", "NDCG@10"
)

# %% [markdown]
# The four ends lie close together, within each other's intervals; the ways there do not. Softmax learns
# from every item at once. BCE hears of one wrong answer per place. gBCE stays long on a plateau. Its
# training loss there is that of a model which gives all items one and the same score: it has only learned
# how seldom anything is taken. And counting which item followed which (*pairs*, a Markov chain) is ahead of
# them all. In this shop order is a matter of one or two steps, and 300 customers are few. Always print that
# line.
#
# ## What goes wrong: a look ahead
#
# Leave out one thing, the causal mask, and train the same model. At place $t$ its target now stands in
# plain sight, one place to the right.

# %%
with mock.patch.object(nn, "causal_mask", lambda T: np.ones((T, T), dtype=bool)):
    leak = SASRec(**settings, epochs=30).fit(train, valid=valid, rng=0, progress=False)
for name, model in {"causal": models["softmax"], "looks ahead": leak}.items():
    (_, early), (_, late) = model.log.validation[7], model.log.validation[-1]
    print(
        f"{name:12} loss {model.log.losses[-1]:.2f}, NDCG@10 after 8 epochs {early:.2f}, after 30 {late:.2f}"
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
hidden = cloze_mask(np.random.default_rng(1), ids, rho=0.5)
agree("cloze_mask", hidden.sum(axis=1), [max(1, round(0.5 * 5)), max(1, round(0.5 * 2))])
words = [*names, "[MASK]"]
for row in np.where(hidden, len(names), ids):
    print(" | ".join(words[i] for i in row))

# %% [markdown]
# At a [MASK] the state $h_t$ goes through a small head, one matrix $W$ with the kink-free ReLU that is
# called GELU and a layer norm (LN). The scores come from the same table once more, plus a number per item:
#
# $$
# z_t = \operatorname{LN}\bigl(\operatorname{GELU}(h_t W + c)\bigr), \qquad \text{score}_{ti} = z_t \cdot E_i + b_i
# $$

# %%
bert = BERT4RecNetwork(rng, **sizes | {"length": 5}, norm="pre", dropout=0.0)
masked = np.where(hidden, I + 1, ids)  # [MASK] has the id I + 1
scores, bert_cache = bert.forward(masked)  # one row of scores per [MASK]
e = (
    bert.item_embedding.E[masked]
    + bert.position_embedding.E[np.maximum(np.cumsum(masked != 0, axis=1) - 1, 0)]
)
h = bert.encoder.forward(bert.embedding_norm.forward(e)[0], nn.padding_mask(masked))[0]
z = bert.norm.forward(F.gelu_forward(h[hidden] @ bert.dense.W + bert.dense.b)[0])[0]
agree("BERT4RecNetwork", scores, z @ bert.item_embedding.E[1:-1].T + bert.bias)
print("scores of", scores.shape[0], "hidden places for", scores.shape[1], "items")

# %% [markdown]
# The loss is cross-entropy at the hidden places, and nowhere else. **To recommend, a [MASK] is appended
# behind the history**: what would stand there?
#
# That is a question which random hiding hardly ever asks. A [MASK] in the last place with all else visible
# must be practiced, so BERT4Rec trains on one more row per customer, with the last item hidden alone.
# Without these rows:

# %%
ids = pad_histories(train.histories(), length=20)
hidden = cloze_mask(np.random.default_rng(0), ids, rho=0.5)
alike = hidden[:, -1] & (hidden.sum(axis=1) == 1)
print(f"{alike.sum()} of {len(ids)} rows look like a recommendation")
model = BERT4Rec(**settings | {"num_heads": 1, "hidden": 24}, rho=0.5, epochs=50)
model.fit(train, valid=valid, rng=0, progress=False)
progress = ", ".join(f"{at}: {value:.2f}" for at, value in model.log.validation[9::10])
print("BERT4Rec, validation NDCG@10 by epoch:", progress)
print(f"on the last purchase: {ndcg(model).mean('ndcg'):.3f}")

# %% [markdown]
# It is slower: a row gives $m$ targets and not $n - 1$, in another arrangement each time. Reading both ways
# is no advantage here: when it counts, nothing stands to the right.
#
# ## On MovieLens 100K
#
# Larger models, trained for minutes: 943 users, 1682 films, the last film of each user is to be found among
# all films that are new to them. These figures are read from `tests/results/ml100k/`; the command `python
# tests/make_ml100k.py` makes them.

# %% MovieLens 100K: losses, views, and counting (each model trained once; the intervals are over users)
folder = Path(minirec.__file__).parents[1] / "tests" / "results" / "ml100k"
shown = {
    "popularity": "popularity",
    "pairs (MarkovChain)": "markov",
    "SASRec, BCE, 1 negative": "sasrec-bce",
    "SASRec, gBCE": "sasrec-gbce",
    "SASRec, sampled softmax": "sasrec-sampled",
    "BERT4Rec": "bert4rec",
    "SASRec, softmax": "sasrec",
}
runs = {
    name: json.loads((folder / f"{file}.json").read_text(encoding="utf-8"))["seeds"]["0"]
    for name, file in shown.items()
    if (folder / f"{file}.json").exists()
}
plots.comparison({name: tuple(run["metrics"]["full"]["NDCG@10"]) for name, run in runs.items()})

# %%
of_users = {name: np.array(run["per_user"]["ndcg"]) for name, run in runs.items()}


def difference(a, b):
    gap = of_users[a] - of_users[b]  # the same users under both
    low, high = evaluation.interval(evaluation.bootstrap_means(gap, 0))
    print(f"{a:23} - {b:23} {gap.mean():+.3f}  [{low:+.3f}, {high:+.3f}]")
    return gap.mean(), low, high


by_loss = difference("SASRec, softmax", "SASRec, BCE, 1 negative")
by_view = difference("SASRec, softmax", "BERT4Rec")
_, low, high = difference("SASRec, BCE, 1 negative", "BERT4Rec")
zero = "contains" if low < 0 < high else "leaves out"
_ = difference("SASRec, BCE, 1 negative", "pairs (MarkovChain)")

# %% [markdown]
# Changing the loss of SASRec and nothing else gains {{by_loss[0]:.3f}}. BERT4Rec was published as better
# than SASRec; but BERT4Rec came with softmax, and SASRec with one negative. Beside SASRec with softmax it
# is behind by {{by_view[0]:.3f}}. Beside SASRec with BCE the interval of the difference {{zero}} 0. (Each
# has settings of its own, so more than the view differs.) Klenitskiy & Vasilev (2023) and Petrov &
# Macdonald (2023) found the same on larger data: much of what was taken for the architecture is the loss.
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
# whole history (`cache`). BERT4Rec can be asked in the same way, but an appended item changes every state,
# and so all are computed again.
#
# ## Exercise
#
# Write `sampled_softmax_forward` and `sampled_softmax_backward` in a file of your own: $s^+$ of shape
# $(n,)$, $s^-$ of shape $(n, k)$, and a mask `keep` that leaves out a negative which happens to be the item
# taken. Which sum gives the gradient of $s^+$?
#
# ```
# python -m minirec verify my_file.py:sampled_softmax --against sampled_softmax
# ```
#
# Then let `SASRec` use `gbce_t=0.0` on the shop. Does the plateau go away?
#
# ## In practice
#
# RecBole and the authors' code have both models. Petrov & Macdonald (2022) could reproduce the published
# BERT4Rec only with up to thirty times its default training; their gSASRec (2023) gave gBCE. Large
# catalogues use sampled softmax with a correction for how often an item is drawn (Bengio & Senécal 2008).
# Reading on at scale is causal: HSTU (Zhai et al. 2024) is a distant child of SASRec, and the models that
# section 1 names are GPT-3 (Brown et al. 2020) and PaLM (Chowdhery et al. 2022), causal, and BERT (Devlin
# et al. 2018), masked. What happens when a history is longer than the window is the next lesson: [long
# histories](11_long_histories.md).
