# %% [markdown]
# # Train a model, watch it learn, and count what a step costs
#
# - **You will do:** write Adam from its formula; write the training loop; drive a model into overfitting
#   and stop in time; count the operations and the bytes of a step.
# - **You will learn:** which number goes down, why a few examples are enough for a step, what bias
#   correction, warm-up and clipping repair, and what a gradient norm tells.
# - **You need:** [cross-entropy](03_softmax.md) and [the document's model](08_document_model.md), which is
#   trained.
#
# This works through section 3.2 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?,
# 禅与计算机程序设计艺术), whose second step is training, and section 8.3, which names its cost. Section 3.2 says
# *that* a model is trained; loss, optimizer and stopping are left open.

# %%
import json
import tracemalloc
from pathlib import Path

import numpy as np

import minirec
from minirec import data, evaluation, nn, optim, plots
from minirec import functional as F
from minirec.data.sequences import Prefixes, pad_histories
from minirec.models import TransformerRecommender
from minirec.verify import agree

# %% [markdown]
# ## Losses: the number that goes down
#
# A *loss* says in one number how wrong the scores are. Three are frequent beside cross-entropy. Let $s$ be
# the score of an item, and $r$ what the user did: a rating, or 1 for "taken" and 0 for "not taken". The
# *squared error* fits ratings. *Binary cross-entropy* fits "taken or not", with the logistic function
# $\sigma(s) = 1 / (1 + e^{-s})$ as the probability of "taken". *BPR* (Bayesian personalized ranking, Rendle
# et al. 2009) looks at the difference between the score $s$ of an item that was taken and the score $s'$ of
# one that was not:
#
# $$
# L_{\text{squared}} = (s - r)^2, \qquad L_{\text{BPR}} = -\log \sigma(s - s')
# $$
#
# $$
# L_{\text{binary}} = -r \log \sigma(s) - (1 - r) \log (1 - \sigma(s))
# $$
#
# By hand: $s = 3.5$ for a rating of 5 costs $1.5^2 = 2.25$. For $s = \ln 3$ we have $e^{-s} = 1/3$ and
# $\sigma(s) = 3/4$, so an item that was taken costs $-\log (3/4)$, and one that was not costs $-\log
# (1/4)$. Under BPR the scores $7 + \ln 3$ and $7$ differ by $\ln 3$ and cost $-\log (3/4)$.


# %%
def sigma(x):
    return 1 / (1 + np.exp(-x))


s = np.array([np.log(3)])
agree("squared_error", F.squared_error_forward(np.array([3.5]), np.array([5.0]))[0], 2.25)
agree("bpr", F.bpr_forward(s + 7, np.array([7.0]))[0], -np.log(3 / 4))
for r, cost in ((1.0, -np.log(3 / 4)), (0.0, -np.log(1 / 4))):
    loss, cache = F.binary_cross_entropy_forward(s, np.array([r]))
    agree("binary_cross_entropy", loss, cost)
    print(f"r = {r:.0f}: the slope is {F.binary_cross_entropy_backward(1.0, cache)[0]:.2f}")

# %% [markdown]
# Why these slopes? The derivative of $\sigma$ is $\sigma (1 - \sigma)$. So $-\log \sigma(s)$ has the slope
# $-(1 - \sigma(s)) = \sigma(s) - 1$, and $-\log (1 - \sigma(s))$ has the slope $\sigma(s)$: probability
# minus truth, as for softmax. Here that is $3/4 - 1$ and $3/4 - 0$.
#
# Squared error also punishes a score that is too *high*. That is right for a rating of 2. It is wrong if
# all we know is that an item was taken; the other two then only want its score higher.

# %% Loss of an item that was taken, by its score: squared error (of a rating of 2) turns up again, the others do not
x = np.linspace(-3, 9, 121)
squared = np.where((x - 2) ** 2 <= 6, (x - 2) ** 2, np.nan)  # what is above 6 is not drawn
curves = {"squared error, rating 2": squared, "binary cross-entropy": -np.log(sigma(x))}
curves["BPR against score 2"] = -np.log(sigma(x - 2))
plots.lines({name: (x, y) for name, y in curves.items()}, "score", "loss")

# %% [markdown]
# ## A step, and a few examples at a time
#
# Write $\theta$ for the numbers that a model learns, its *parameters*. The gradient $g$ of the loss points
# uphill. *Gradient descent* goes the other way, by a *learning rate* $\eta$: $\theta \leftarrow \theta -
# \eta g$. Take one parameter and a bowl, $L = \frac12 h \theta^2$, where $h$ says how steep it is. The
# gradient is $h \theta$, so a step turns $\theta$ into $\theta - \eta h \theta = (1 - \eta h)\, \theta$,
# and after $t$ steps
#
# $$
# \theta_t = (1 - \eta h)^t\, \theta_0
# $$
#
# This shrinks only while $1 - \eta h$ is between $-1$ and $1$, that is while $\eta h < 2$. Beyond, each
# step overshoots by more than it came from.

# %%
ends = []
for eta_h in (0.5, 1.9, 2.1):
    params, sgd = {"theta": np.array([1.0])}, optim.SGD(lr=eta_h)
    for _ in range(20):
        sgd.step(params, {"theta": 1.0 * params["theta"]})  # the gradient for h = 1; changes params
    ends.append(params["theta"][0])
    print(f"eta h = {eta_h}: after 20 steps theta = {ends[-1]:.4f}")
agree("sgd_step", ends, [0.5**20, (-0.9) ** 20, (-1.1) ** 20])

# %% [markdown]
# The loss of a model is a mean over all examples, and so is its gradient $g$. To save time, a step takes
# the mean gradient $g_B$ of a *batch* of $B$ examples, drawn at random. How wrong is it? Its mean over all
# batches that could have been drawn is right, and its *variance*, the mean square of its error, falls with
# $B$, because errors of different examples cancel in part. If the same example may be drawn twice:
#
# $$
# \operatorname{mean}(g_B) = g, \qquad
# \operatorname{variance}(g_B) = \frac{\operatorname{variance}(g_1)}{B}
# $$
#
# Four examples with the gradients $1, 2, 3, 10$; there are 16 batches of two:

# %%
each = np.array([1.0, 2.0, 3.0, 10.0])
batches = np.array([(a + b) / 2 for a in each for b in each])
agree("the mean of all batch gradients", batches.mean(), each.mean())
agree("the variance of a batch gradient", batches.var(), each.var() / 2)
print(f"mean {batches.mean():.0f}, variance {batches.var():.2f}; of single examples {each.var():.2f}")

# %% [markdown]
# The typical error is the root of the variance. So four times the examples halve it, and cost four times as
# much: many cheap steps with noisy gradients go further than few exact ones. That is *stochastic gradient
# descent* (Robbins & Monro 1951).
#
# ## Adam, from its formula
#
# One learning rate for all parameters is a compromise. A row of the item table gets a gradient only when a
# batch holds that item; a weight matrix gets one at every step. Adam (Kingma & Ba 2015) remembers, for each
# single parameter, a running mean $m$ of its gradients and a running mean $v$ of their squares, both from
# 0, and steps by $m$ over the root of $v$:
#
# $$
# m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2
# $$
#
# $$
# \theta_t = \theta_{t-1} - \eta\, \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon},
# \qquad \hat m_t = \frac{m_t}{1 - \beta_1^t}, \quad \hat v_t = \frac{v_t}{1 - \beta_2^t}
# $$
#
# Usual values: $\beta_1 = 0.9$, $\beta_2 = 0.999$, and $\epsilon = 10^{-8}$, which only guards against a
# division by zero. By hand, with a first gradient of 2: $m_1 = 0.1 \cdot 2 = 0.2$ and $v_1 = 0.001 \cdot 4
# = 0.004$. Then $\hat m_1 = 0.2 / 0.1 = 2$ and $\hat v_1 = 0.004 / 0.001 = 4$, so the step is $\eta \cdot 2
# / 2 = \eta$. The gradient's size has dropped out: the first step is $\eta$ against the sign of the
# gradient. In loops, and with arrays:


# %%
def adam_loops(theta, gradients, eta, beta1=0.9, beta2=0.999, eps=1e-8):
    theta, m, v = list(theta), [0.0] * len(theta), [0.0] * len(theta)
    for t, g in enumerate(gradients, 1):
        for i in range(len(theta)):
            m[i] = beta1 * m[i] + (1 - beta1) * g[i]
            v[i] = beta2 * v[i] + (1 - beta2) * g[i] ** 2
            m_hat, v_hat = m[i] / (1 - beta1**t), v[i] / (1 - beta2**t)
            theta[i] -= eta * m_hat / (v_hat**0.5 + eps)
    return theta, m, v


def adam_step(theta, g, m, v, t, eta, beta1=0.9, beta2=0.999, eps=1e-8):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return theta - eta * m_hat / (np.sqrt(v_hat) + eps), m, v


rng = np.random.default_rng(0)
start, gradients = rng.normal(size=3), rng.normal(size=(5, 3))  # three parameters, five steps
theta, m, v = start, np.zeros(3), np.zeros(3)
params, adam = {"theta": start.copy()}, optim.Adam(lr=0.01)
for t, g in enumerate(gradients, 1):
    theta, m, v = adam_step(theta, g, m, v, t, 0.01)
    adam.step(params, {"theta": g})  # minirec's Adam keeps m, v and t itself
agree("adam_step: the moments", [m, v], adam_loops(start, gradients, 0.01)[1:])
agree("adam_step: the parameters", theta, adam_loops(start, gradients, 0.01)[0])
agree("Adam", params["theta"], theta)
first = adam_step(0.0, np.array([2.0, -0.003, 40.0]), 0.0, 0.0, 1, 0.01)[0]
print("first step for the gradients 2, -0.003 and 40:", np.round(first, 4))

# %% [markdown]
# This is `minirec.optim.adam_step` and `Adam`: use them from here on.
#
# **Why the hats?** $m$ and $v$ start at 0 and need time to forget it. With one and the same gradient $g$ at
# every step, a running mean should say $g$, but it says
#
# $$
# m_t = (1 - \beta_1^t)\, g
# $$
#
# Dividing by $1 - \beta_1^t$ is exactly what is missing (*bias correction*). In the same way $v_t = (1 -
# \beta_2^t)\, g^2$. Without the hats the step would be $\eta$ times $m_t / \sqrt{v_t} = (1 - \beta_1^t) /
# \sqrt{1 - \beta_2^t}$: both are too small, but $v$, which has the longer memory, stays too small for
# longer, and the steps are too *large*:

# %% Step of Adam at a constant gradient, in units of the learning rate, with bias correction and without
constant = [adam_loops([0.0], [[3.0]] * t, 0.01)[1][0] for t in (1, 2, 10)]  # m after t gradients of 3
agree("Adam's bias at a constant gradient", constant, [(1 - 0.9**t) * 3.0 for t in (1, 2, 10)])
steps = np.unique(np.geomspace(1, 5000, 60).astype(int))
without = (1 - 0.9**steps) / np.sqrt(1 - 0.999**steps)
print(f"without: {without[0]:.1f} at step 1, {without.max():.1f} at step {steps[without.argmax()]}")
both = {"with": (steps, np.ones(len(steps))), "without": (steps, without)}
plots.lines(both, "step", "step size / learning rate", log="x")

# %% [markdown]
# ## Warm-up
#
# The hats do not cure everything. Adam's first steps are a full $\eta$ for *every* parameter, on the
# evidence of a few noisy gradients. The Transformer paper (Vaswani et al. 2017) therefore lets the rate
# rise over the first $S$ steps and fall afterwards, with $D$ the width of the model:
#
# $$
# \eta_t = D^{-1/2} \min\bigl(t^{-1/2},\ t\, S^{-3/2}\bigr)
# $$
#
# For $D = 64$ and $S = 100$ we have $D^{-1/2} = 1/8$ and $S^{-3/2} = 1/1000$. Up to step 100 the second
# term is the smaller one:

# %%
rates = [optim.warmup(t, 64, 100) for t in (1, 50, 100, 400)]
agree("warmup", rates, [1 / 8 * 1 / 1000, 1 / 8 * 50 / 1000, 1 / 8 * 1 / 10, 1 / 8 * 1 / 20])
print("rates at steps 1, 50, 100 and 400:", np.round(rates, 5))

# %% [markdown]
# Does it matter? A test: six encoder blocks read six purchases in a row in a small shop, and name the next
# one. Once with the layer norm after each sum, as in that paper ("post"), once with the norm inside the
# skip connection ("pre", [lesson 7](07_blocks.md)), as most models have it today. The learning rate is
# high, 0.01: there at once, or rising to it over the first 100 steps.

# %%
shop = data.synthetic(n_users=60, n_items=40, n_events=900, seed=3, sequence_strength=0.6)
# Hidden: the last purchase of each user, for a test that we do not need here, and the one before it, valid
train, valid, _ = data.leave_one_out(shop.interactions)
prefixes = Prefixes(train, 6)  # every purchase, and the (at most six) ones before it
sources = prefixes.sources(np.arange(len(prefixes)))  # ids: 0 stands for "nothing", item i for i + 1
full = (sources != 0).all(axis=1)
X, Y = sources[full] - 1, prefixes.targets[full]  # six items, and the next one
share = np.unique(Y, return_counts=True)[1] / len(Y)  # how often each product comes next
print(f"loss of whoever knows only how popular each product is: {-(share * np.log(share)).sum():.1f}")


def losses_of(norm, warm, seed, lr=0.01, width=16):
    rng = np.random.default_rng(seed)
    items, places = rng.normal(size=(40, width)), rng.normal(size=(6, width))  # a row per item, per place
    # Six blocks with two heads; the head at the end turns a state into 40 scores
    encoder, head = nn.Encoder(rng, 6, width, 2, 2 * width, norm=norm), nn.Linear(rng, width, 40)
    params = {"items": items, "places": places, "W": head.W, "b": head.b} | encoder.params()
    adam, losses = optim.Adam(), []
    for t in range(1, 151):
        rows = rng.integers(0, len(Y), 64)  # a batch
        x, of_x = F.embedding_forward(items, X[rows])
        h, of_h = encoder.forward(x + places)  # (64, 6, width)
        scores, of_scores = head.forward(h[:, -1])  # from the last place: (64, 40), a score per product
        loss, of_loss = F.cross_entropy_forward(scores, Y[rows])
        dh = np.zeros_like(h)
        dh[:, -1], of_head = head.backward(F.cross_entropy_backward(1.0, of_loss), of_scores)
        dx, grads = encoder.backward(dh, of_h)
        grads |= of_head | {"items": F.embedding_backward(dx, of_x), "places": dx.sum(axis=0)}
        adam.step(params, grads, lr=lr * min(1.0, t / warm))
        losses.append(loss)
    return np.reshape(losses, (15, 10)).mean(axis=1)  # means of ten steps


# %% Training loss at a high rate, mean of two random starts, the band between them: without warm-up the post-norm encoder stalls
curves, bands, at = {}, {}, np.arange(5, 150, 10)
for norm, warm in (("post", 1), ("post", 100), ("pre", 1)):
    name = f"{norm}-norm, {'no warm-up' if warm == 1 else f'warm-up over {warm} steps'}"
    two = np.array([losses_of(norm, warm, seed) for seed in (0, 1)])
    curves[name], bands[name] = (at, two.mean(axis=0)), (two.min(axis=0), two.max(axis=0))
    print(f"{name}: loss of the last ten steps {two[:, -1].mean():.1f}")
slow = [losses_of("post", warm, 0, lr=0.003)[-1] for warm in (1, 100)]
print(f"post-norm at a rate of 0.003: {slow[0]:.1f} without warm-up, {slow[1]:.1f} with it")
plots.lines(curves, "step", "loss", bands=bands)

# %% [markdown]
# At the high rate and without warm-up the post-norm encoder stays where one gets by popularity alone. With
# warm-up it learns. The pre-norm encoder does not need it (Xiong et al. 2020 explain why: post-norm
# gradients near the output are large at the start). Nor does the post-norm encoder at the lower rate, where
# it is slower with it. So warm-up is a remedy for high rates, not a law.
#
# ## The training loop
#
# Everything that training is, for any model of minirec: the examples in random order, a batch of them, loss
# and gradients, a limit for the size of the gradient (the next section), the step. One pass over all
# examples is an *epoch*. Here with the model of lesson 8, which is shown six purchases and twelve products,
# of which one was bought next. For later we note three more numbers: the loss on purchases that it is not
# trained on (*validation*, one per user); their NDCG@10, which is 1 if the right one of all new products
# stands first in the list, less the further down it stands, 0 beyond rank ten ([lesson
# 12](12_evaluation.md)); and the *norm* of each gradient, the root of the sum of all its squares, over all
# parameters.

# %%
settings = {"embedding_dim": 24, "num_heads": 2, "num_layers": 1, "hidden": 48, "length": 6}
settings |= {"negatives": 11, "dtype": "float64"}
wrong = data.sample_negatives(5, valid.users, 11, data.concatenate(train, valid).matrix())  # not bought
# The validation examples: ids of the last six purchases, and of twelve products with the right one first
held_out = (pad_histories([train.histories()[user] for user in valid.users], 6),
            np.concatenate([valid.items[:, None], wrong], axis=1) + 1)  # fmt: skip


def training(epochs, lr, dropout=0.0):
    model = TransformerRecommender(**settings, dropout=dropout)
    model.remember(train)  # the histories, and which number is which item
    model.network = model.build(np.random.default_rng(0))
    examples, adam, rng = model.examples(train), optim.Adam(lr), np.random.default_rng(1)
    curve = {"training": [], "validation": [], "ndcg": [], "norm": []}
    for _ in range(epochs):
        order, losses = rng.permutation(examples.n), []
        for first in range(0, examples.n, 64):
            batch = examples.draw(order[first : first + 64], rng)  # draws the wrong products
            loss, grads = model.loss_and_grads(batch, 1.0, rng)  # 1.0: upstream; rng: for dropout
            grads, norm = optim.clip_by_global_norm(grads, limit=5.0)
            adam.step(model.params(), grads)
            losses.append(loss)
            curve["norm"].append(norm)
        curve["training"].append(np.mean(losses))
        curve["validation"].append(model.loss_forward(held_out)[0])
        curve["ndcg"].append(evaluation.evaluate(model, train, valid).mean("ndcg"))
    return model, examples, curve


careful, examples, fine = training(epochs=30, lr=3e-3)
hasty, _, steep = training(epochs=10, lr=5e-2)
for rate, model, curve in (("0.003", careful, fine), ("0.05", hasty, steep)):
    first, last = curve["training"][0], curve["training"][9]
    print(f"rate {rate}: loss {first:.2f} in the first epoch, {last:.2f} in the tenth")
    print(
        f"  mean norm of the gradient in the tenth epoch: {np.mean(curve['norm'][117:130]):.1f}"
    )  # 13 steps
    print("  products that some user's list has on top:", len(set(model.score(np.arange(60)).argmax(axis=1))))
print(f"{examples.n} purchases to learn from, {careful.network.parameter_count():,} numbers to learn")

# %% [markdown]
# `minirec.training.train` is this loop, with each batch cut into parts for two threads, and a file from
# which a broken-off training goes on. A high rate has cost the second model nearly everything: it stays
# close to the loss $\log 12$, {{np.log(12):.2f}}, of whoever guesses, and hardly tells the users apart.
#
# ## Clipping, and what a gradient norm tells
#
# A gradient whose norm $\lVert g \rVert$ is above a limit $c$ is scaled down to it; its direction stays
# (Pascanu et al. 2013):
#
# $$
# g \leftarrow g\, \min\Bigl(1, \frac{c}{\lVert g \rVert}\Bigr)
# $$
#
# The norm is that of all parameters together: $3$ in one array and $4$ in another make $5$.

# %%
clipped, norm = optim.clip_by_global_norm({"a": np.array([3.0]), "b": np.array([4.0])}, limit=1.0)
agree("clip_by_global_norm", [clipped["a"][0], clipped["b"][0], norm], [3 / 5, 4 / 5, 5.0])

# %% [markdown]
# What it protects from: a thousand gradients of 0.5 or 1.5, and one of 1000 at step 300, from a batch of
# odd examples. Adam's step at that moment is harmless. But $v$ remembers the square of 1000, and for about
# a thousand steps everything is divided by its root. The way that $\theta$ goes, in learning rates:

# %%
sizes = np.random.default_rng(3).choice([0.5, 1.5], size=1000)
for limit in (np.inf, 5.0):
    theta, m, v, path = 0.0, 0.0, 0.0, [0.0]
    for t, g in enumerate(sizes, 1):
        g = 1000.0 if t == 300 else g
        theta, m, v = adam_step(theta, np.clip(g, -limit, limit), m, v, t, 1.0)  # the learning rate is 1
        path.append(-theta)
    print(f"limit {limit}: {path[299]:.0f} before step 300, {path[1000] - path[700]:.0f} after step 700")

# %% [markdown]
# And what does the norm *tell*? Less than one would think. The training at rate 0.05 has learned nearly
# nothing, and yet its norm above is the smaller one. A small norm means a flat place, which need not be a
# good one: if the loss stays, begin again with a lower rate or with warm-up. Where the gradient is exactly
# 0 in one part, that part can never learn ([lesson 8](08_document_model.md), attention to one key). And
# where it is not a number, stop and look at the parameter that `clip_by_global_norm` names.
#
# ## Overfitting, and when to stop
#
# The model has more numbers than there are purchases, so it can learn the training purchases by heart. What
# does that do to the validation purchases? Here with and without dropout, which sets random numbers in the
# network to 0 while it trains ([lesson 8](08_document_model.md)):

# %% Loss of the training purchases falls; that of the validation purchases turns up again, unless there is dropout
_, _, dropped = training(epochs=30, lr=3e-3, dropout=0.3)
epochs, two = np.arange(1, 31), (("no dropout", fine), ("dropout 0.3", dropped))
parts = {f"{part}, {name}": curve[part] for name, curve in two for part in ("validation", "training")}
plots.lines({name: (epochs, losses) for name, losses in parts.items()}, "epoch", "loss")

# %% NDCG@10 of the same validation purchases jumps, and does not follow their loss
plots.lines({name: (epochs, curve["ndcg"]) for name, curve in two}, "epoch", "validation NDCG@10")

# %%
model = TransformerRecommender(**settings, dropout=0.3, lr=3e-3, batch_size=64, epochs=30, patience=5)
print(model.fit(train, valid=valid, rng=0, progress=False).log.ended)

# %% [markdown]
# Without dropout the training loss goes on falling, while the validation loss turns early and ends at
# {{fine["validation"][-1] / min(fine["validation"]):.1f}} times its lowest value. That is *overfitting*.
# Dropout makes learning by heart harder: its two losses stay together.
#
# NDCG@10 does not show the overfitting: it looks at the order alone, while the loss also punishes being
# *sure* and wrong. So decide by the metric that you report. *Early stopping* does: it keeps the parameters
# of the best epoch, and ends when there was no better one for `patience` epochs, above for 5. But one of
# our 60 users alone can move the mean by {{1 / 60:.3f}}, so the best epoch owes something to luck. That is
# why a last part of the data, the *test* purchases, is kept for the figure that is reported.
#
# ## What a step costs
#
# Section 8.3 names the cost of training as a challenge, without a number. Count one encoder block: width
# $D$, feed-forward width $F$, sequences of $T$ places. Its matrices are four of $D \times D$ in the
# attention, and two of $D \times F$.
#
# A product of an $(N, D)$ and a $(D, F)$ matrix has $N F$ results of $D$ multiplications and additions
# each: $2 N D F$ operations. With $B$ sequences there are $N = B T$ places. Forward, the matrices cost $2 N
# (4 D^2 + 2 D F)$. Attention compares each place with $T$ places, by products of $D$ numbers: $2 N T D$ for
# $QK^\top$, and as many for the product with $V$. Backward every product $y = x W$ becomes two, $dx = dy\,
# W^\top$ and $dW = x^\top dy$, so a whole step is three times the forward pass:
#
# $$
# \text{operations} = 6 N (4 D^2 + 2 D F) + 12\, N T D
# $$
#
# Is that what happens? NumPy lets an array have a say in every operation that it takes part in. This one
# counts the matrix products, and hands the counting on to its results:


# %%
class Counted(np.ndarray):
    operations = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **options):  # what NumPy calls for each operation
        plain = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        result = getattr(ufunc, method)(*plain, **options)
        if ufunc is np.matmul and min(x.ndim for x in plain) > 1:  # with a vector it is a sum: not counted
            Counted.operations += 2 * result.size * plain[0].shape[-1]
        return result.view(Counted) if isinstance(result, np.ndarray) else result


B, T, D, hidden = 8, 20, 32, 64  # hidden is F
block = nn.EncoderBlock(np.random.default_rng(0), D, 2, hidden)  # 2 heads share the D columns
counting = block.with_params({name: array.view(Counted) for name, array in block.params().items()})
x = np.random.default_rng(1).normal(size=(B, T, D))
y, cache = counting.forward(x.view(Counted))
forward = Counted.operations
counting.backward(np.ones_like(x).view(Counted), cache)
N = B * T
by_formula = 6 * N * (4 * D**2 + 2 * D * hidden) + 12 * N * T * D
agree("operations of a step of EncoderBlock", Counted.operations, by_formula)
print(f"forward {forward:,}, in all {Counted.operations:,}: {Counted.operations / forward:.0f} times as many")
tracemalloc.start()  # Python counts the bytes that are taken from here on
cache = block.forward(x)[1]
print(f"parameters, gradient, m and v: {4 * 8 * block.parameter_count() / 1e6:.1f} MB, at 8 bytes each")
print(f"caches: {tracemalloc.get_traced_memory()[0] / 1e6:.1f} MB")
tracemalloc.stop()

# %% [markdown]
# And the memory? Each parameter stands there four times: itself, its gradient, and Adam's $m$ and $v$.
# Besides, the caches that `forward` returns are kept until the backward pass has read them. For this batch
# of 8 sequences they take more than all parameters, and for 128 sequences 16 times as much: a small model
# spends its memory on caches. (How long a step takes is measured on [the page about the cost of a
# step](cost_of_a_step.md).)
#
# Per place, the matrices cost $6$ operations for each of their numbers, whatever their size. For a model
# that is nearly all matrices this gives the known rule (Kaplan et al. 2020)
#
# $$
# \text{operations} \approx 6 \times \text{parameters} \times \text{places read}
# $$
#
# GPT-3, which section 1 of the document names, has 175 billion parameters and was trained on 300 billion
# pieces of words (Brown et al. 2020):

# %%
matrices = 4 * D**2 + 2 * D * hidden
agree("six operations per parameter and place", Counted.operations - 12 * N * T * D, 6 * matrices * N)
results = Path(minirec.__file__).parents[1] / "tests/results"
speed = json.loads((results / "roofline.json").read_text(encoding="utf-8"))["peaks"]["2"]  # two cores
large = 6 * 175e9 * 300e9
years = large / (speed * 1e9) / (365 * 24 * 3600)
print(f"GPT-3: {large:.1e} operations; at {speed:.0f} billion a second {round(years, -3):,.0f} years")
run = json.loads((results / "ml100k/transformer.json").read_text(encoding="utf-8"))["seeds"]["0"]
print(f"TransformerRecommender, MovieLens 100K, as measured: {run['seconds_of_training'] / 60:.0f} minutes")

# %% [markdown]
# Both lines are for two cores (`python tests/benchmarks/roofline.py` and `python tests/make_ml100k.py
# transformer` measure them). Training cost is a challenge of *large* models, not of the Transformer as
# such.
#
# ## Exercise
#
# Write `adam_step(param, grad, m, v, t, lr, beta1, beta2, eps)` in a file of your own, from the formula.
# What happens if you forget that $t$ counts from 1? Then compare it with the definition of minirec:
#
# ```
# python -m minirec verify my_file.py:adam_step --against adam_step
# ```
#
# ## In practice
#
# - The usual recipe for large Transformers is AdamW (Loshchilov & Hutter 2019: weights also shrink a little
#   at each step), warm-up, then a rate that falls like a cosine (`minirec.optim.AdamW`, `cosine`), and
#   clipping at 1.
# - Memory is saved by computing caches twice (Chen et al. 2016), or by $m$ and $v$ in 8 bits (Dettmers et
#   al. 2022).
# - In recommenders the item table is the largest array. Lazy optimizers move only the rows that a batch has
#   read (`Adam(lazy=True)`).
