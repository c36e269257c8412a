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
# A *loss* says in one number how wrong the scores are. Three are frequent beside cross-entropy. For a
# rating $r$, the *squared error* of the score $s$. For "taken or not", $t = 1$ or $0$, *binary
# cross-entropy*, with the logistic function $\sigma(s) = 1 / (1 + e^{-s})$ as the probability of "taken".
# For an item that was taken, $s$, against one that was not, $s'$, the loss of *BPR* (Rendle et al. 2009),
# which looks at the difference only:
#
# $$
# L = (s - r)^2
# $$
#
# $$
# L = -t \log \sigma(s) - (1 - t) \log (1 - \sigma(s))
# $$
#
# $$
# L = -\log \sigma(s - s')
# $$
#
# By hand: $s = 3.5$ for a rating of 5 gives $1.5^2 = 2.25$. For $s = \ln 3$ the probability is $3/4$, so an
# item that was taken costs $-\log (3/4)$, and one that was not costs $-\log (1/4)$.

# %%
s = np.array([np.log(3)])
agree("squared_error", F.squared_error_forward(np.array([3.5]), np.array([5.0]))[0], 2.25)
taken, of_taken = F.binary_cross_entropy_forward(s, np.array([1.0]))
passed, of_passed = F.binary_cross_entropy_forward(s, np.array([0.0]))
agree("binary_cross_entropy", [taken, passed], [-np.log(3 / 4), -np.log(1 / 4)])
agree("bpr", F.bpr_forward(s + 7, s * 0 + 7)[0], -np.log(3 / 4))
slopes = F.binary_cross_entropy_backward(1.0, of_taken), F.binary_cross_entropy_backward(1.0, of_passed)
print("slopes of binary cross-entropy:", *np.round(np.concatenate(slopes), 2))

# %% [markdown]
# The slopes are $3/4 - 1$ and $3/4 - 0$: probability minus truth, as for softmax. Which loss is right
# depends on the question. Squared error punishes a score that is too *high* for a taken item, so it fits
# ratings. The other two only want it higher, so they fit rankings.

# %% Loss of an item that was taken, by its score: squared error (of a rating of 2) turns up again, the others do not
x = np.linspace(-3, 9, 121)
curves = {
    "squared error, rating 2": (x, (x - 2) ** 2),
    "binary cross-entropy": (x, np.log1p(np.exp(-x))),
    "BPR against score 2": (x, np.log1p(np.exp(2 - x))),
}
plots.lines({name: (x, np.where(y <= 6, y, np.nan)) for name, (x, y) in curves.items()}, "score", "loss")

# %% [markdown]
# ## A step, and a few examples at a time
#
# The gradient $g$ points uphill. *Gradient descent* goes the other way, by a *learning rate* $\eta$:
# $\theta \leftarrow \theta - \eta g$. On a bowl $L = \frac12 h \theta^2$ with curvature $h$ the gradient is
# $h \theta$, each step multiplies $\theta$ by the same number, and after $t$ steps
#
# $$
# \theta_t = (1 - \eta h)^t\, \theta_0
# $$
#
# So it converges only while $\eta h < 2$. Beyond, each step overshoots by more than it came from.

# %%
for eta_h in (0.5, 1.9, 2.1):
    params, sgd = {"theta": np.array([1.0])}, optim.SGD(lr=eta_h)  # curvature h = 1
    for _ in range(20):
        sgd.step(params, {"theta": params["theta"].copy()})
    agree("sgd_step", params["theta"], [(1 - eta_h) ** 20])
    print(f"eta h = {eta_h}: after 20 steps theta = {params['theta'][0]:.4f}")

# %% [markdown]
# The loss of a model is a mean over all examples, and so is its gradient. A *batch* of $B$ examples, drawn
# at random, has a mean gradient $g_B$ of its own. Over all batches that could have been drawn it is right
# on average, and its variance (the mean square of its error) falls with $B$. For draws with replacement:
#
# $$
# \operatorname{mean}(g_B) = g
# $$
#
# $$
# \operatorname{variance}(g_B) = \frac{\operatorname{variance}(g_1)}{B}
# $$
#
# Four examples with the gradients $1, 2, 3, 10$; there are 16 batches of two:

# %%
each = np.array([1.0, 2.0, 3.0, 10.0])
batches = np.array([(a + b) / 2 for a in each for b in each])
agree("the mean of all batch gradients", batches.mean(), each.mean())
agree("the variance of a batch gradient", batches.var(), each.var() / 2)
print(
    f"{len(batches)} batches: mean {batches.mean():.0f}, variance {batches.var():.2f}; one example {each.var():.2f}"
)

# %% [markdown]
# Four times the examples halve the typical error, and cost four times as much. So many cheap steps with
# noisy gradients go further than few exact ones. That is *stochastic gradient descent* (Robbins & Monro
# 1951).
#
# ## Adam, from its formula
#
# One learning rate for all parameters is a compromise: rows of rare items get small gradients, layer norms
# large ones. Adam (Kingma & Ba 2015) remembers, for each single parameter, a running mean $m$ of its
# gradients and a running mean $v$ of their squares, both from 0, and steps by the ratio:
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
# division by zero. By hand, with a first gradient of 2: $m = 0.2$ and $v = 0.004$, $\hat m = 2$ and
# $\hat v = 4$, so the step is $\eta \cdot 2 / 2 = \eta$. The gradient's size has dropped out: the first
# step is $\eta$ in the direction of its sign. In loops, and with arrays:


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
start, gradients = rng.normal(size=3), rng.normal(size=(5, 3))
theta, m, v = start, np.zeros(3), np.zeros(3)
params, adam = {"theta": start.copy()}, optim.Adam(lr=0.01)
for t, g in enumerate(gradients, 1):
    theta, m, v = adam_step(theta, g, m, v, t, 0.01)
    adam.step(params, {"theta": g})
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
# Dividing by $1 - \beta_1^t$ is exactly what is missing (*bias correction*). Without it both are too small,
# but $v$, which has the longer memory, stays too small for longer, and the ratio is too *large*:

# %% Step of Adam at a constant gradient, in units of the learning rate, with bias correction and without
steps = np.unique(np.geomspace(1, 5000, 60).astype(int))
constant = [adam_loops([0.0], [[3.0]] * t, 0.01)[1][0] for t in (1, 2, 10)]
agree("Adam's bias at a constant gradient", constant, [(1 - 0.9**t) * 3.0 for t in (1, 2, 10)])
without = (1 - 0.9**steps) / np.sqrt(1 - 0.999**steps)
print(
    f"without: {without[0]:.1f} rates at the first step, {without.max():.1f} at step {steps[without.argmax()]}"
)
plots.lines(
    {"with": (steps, np.ones(len(steps))), "without": (steps, without)},
    "step",
    "step size / learning rate",
    log="x",
)

# %% [markdown]
# ## Warm-up
#
# The hats do not cure everything. Adam's first steps are a full $\eta$ for *every* parameter, on the
# evidence of a few noisy gradients. The Transformer paper (Vaswani et al. 2017) therefore raises the rate
# over the first $W$ steps and lets it fall afterwards, with $D$ the width of the model:
#
# $$
# \eta_t = D^{-1/2} \min\bigl(t^{-1/2},\ t\, W^{-3/2}\bigr)
# $$

# %%
rates = [optim.warmup(t, 64, 100) for t in (1, 50, 100, 400)]
by_hand = [1 / 8 * 1 / 1000, 1 / 8 * 50 / 1000, 1 / 8 * 1 / 10, 1 / 8 * 1 / 20]  # √64 = 8, 100^1.5 = 1000
agree("warmup", rates, by_hand)
print("rates at steps 1, 50, 100 and 400:", np.round(rates, 5))

# %% [markdown]
# Does it matter? A test: an encoder of six layers reads the last six purchases in a small shop and names
# the next one. Once with the layer norm after each sum, as in that paper ("post"), once with the norm
# inside the skip connection ("pre", [lesson 7](07_blocks.md)), as nearly all models have it today. The
# learning rate is high, 0.01, and rises over 100 steps, or is there at once.

# %%
shop = data.synthetic(n_users=60, n_items=40, n_events=900, seed=3, sequence_strength=0.6)
train, valid, _ = data.leave_one_out(shop.interactions)
prefixes = Prefixes(train, 6)  # every purchase with the (at most six) ones before it; ids are items plus 1
sources = prefixes.sources(np.arange(len(prefixes)))
full = (sources != 0).all(axis=1)
X, Y = sources[full] - 1, prefixes.targets[full]
share = np.unique(Y, return_counts=True)[1] / len(Y)
print(f"loss of whoever knows only how popular each product is: {-(share * np.log(share)).sum():.1f}")


def losses_of(norm, warm, seed, lr=0.01, steps=150, width=16):
    rng = np.random.default_rng(seed)
    E, P = rng.normal(size=(40, width)), rng.normal(size=(6, width))
    encoder, head = nn.Encoder(rng, 6, width, 2, 2 * width, norm=norm), nn.Linear(rng, width, 40)
    params = {"E": E, "P": P, "W": head.W, "b": head.b} | encoder.params()
    adam, losses = optim.Adam(), []
    for t in range(1, steps + 1):
        rows = rng.integers(0, len(Y), 64)
        x, of_x = F.embedding_forward(E, X[rows])
        h, of_h = encoder.forward(x + P)  # (B, T, D)
        scores, of_scores = head.forward(h[:, -1])  # (B, I)
        loss, of_loss = F.cross_entropy_forward(scores, Y[rows])
        dh = np.zeros_like(h)
        dh[:, -1], of_head = head.backward(F.cross_entropy_backward(1.0, of_loss), of_scores)
        dx, grads = encoder.backward(dh, of_h)
        grads |= of_head | {"E": F.embedding_backward(dx, of_x), "P": dx.sum(axis=0)}
        adam.step(params, grads, lr=lr * min(1.0, t / warm))
        losses.append(loss)
    return np.reshape(losses, (-1, 10)).mean(axis=1)  # means of ten steps


# %% Training loss at a high rate, mean of two seeds, the band between them: without warm-up the post-norm encoder stalls
curves, bands, at = {}, {}, np.arange(5, 150, 10)
for norm, warm in (("post", 1), ("post", 100), ("pre", 1)):
    name = f"{norm}-norm, {'no warm-up' if warm == 1 else f'warm-up over {warm} steps'}"
    two = np.array([losses_of(norm, warm, seed) for seed in (0, 1)])
    curves[name], bands[name] = (at, two.mean(axis=0)), (two.min(axis=0), two.max(axis=0))
    print(f"{name}: loss of the last ten steps {two[:, -1].mean():.1f}")
plots.lines(curves, "step", "loss", bands=bands)

# %%
for name, warm in (("no warm-up", 1), ("warm-up over 100 steps", 100)):
    print(
        f"post-norm, rate 0.003, {name}: loss of the last ten steps {losses_of('post', warm, 0, lr=0.003)[-1]:.1f}"
    )

# %% [markdown]
# At the high rate and without warm-up the post-norm encoder stays where one gets by popularity alone: it
# hardly reads the history any more. With warm-up it learns. The pre-norm encoder does not need it (Xiong et
# al. 2020 explain why: post-norm gradients near the output are large at the start). At a rate of 0.003 the
# post-norm encoder does not need it either, and warm-up only delays it. So it is a remedy for high rates,
# not a law.
#
# ## The training loop
#
# Everything that training is, for any model of minirec: an order of the examples, a batch of them, loss and
# gradients, the limit of the gradient's size, the step. Here with the model of lesson 8. The *norm* of a
# gradient is the root of the sum of all its squares, over all parameters:

# %%
negatives = data.sample_negatives(5, valid.users, 11, data.concatenate(train, valid).matrix())
held_out = (pad_histories([train.histories()[user] for user in valid.users], 6),
            np.concatenate([valid.items[:, None], negatives], axis=1) + 1)  # fmt: skip


def training(epochs, lr, dropout=0.0):
    model = TransformerRecommender(
        24, 2, 1, hidden=48, length=6, negatives=11, dropout=dropout, dtype="float64"
    )
    model.remember(train)  # the histories, and which number is which item
    model.network = model.build(np.random.default_rng(0))
    examples, adam, rng = model.examples(train), optim.Adam(lr), np.random.default_rng(1)
    curve = {"training": [], "validation": [], "ndcg": [], "norm": []}
    for _ in range(epochs):
        order, losses = rng.permutation(examples.n), []
        for first in range(0, examples.n, 64):
            batch = examples.draw(order[first : first + 64], rng)
            loss, grads = model.loss_and_grads(batch, 1.0, rng)
            grads, norm = optim.clip_by_global_norm(grads, limit=5.0)
            adam.step(model.params(), grads)
            losses.append(loss)
            curve["norm"].append(norm)
        curve["training"].append(np.mean(losses))
        curve["validation"].append(model.loss_forward(held_out)[0])
        outcome = evaluation.evaluate(model, train, valid)
        curve["ndcg"].append(outcome.mean("ndcg"))
    curve["interval"] = outcome.interval("ndcg")
    scores = model.score(np.arange(60))  # (users, items)
    curve["reads"] = (scores - scores.mean(axis=0)).var() / scores.var()
    curve["counts"] = examples.n, model.network.parameter_count()
    return curve


fine, steep = training(epochs=30, lr=3e-3), training(epochs=10, lr=5e-2)
for name, curve in (("0.003", fine), ("0.05", steep)):
    first, last = curve["training"][0], curve["training"][9]
    print(f"rate {name}: loss {first:.2f} in the first epoch, {last:.2f} in the tenth")
    print(f"  share of the scores' variance that differs between users: {curve['reads']:.0%}")
print(f"{fine['counts'][0]} purchases to learn from, {fine['counts'][1]:,} numbers to learn")

# %% [markdown]
# `minirec.training.train` is this loop, with each batch cut into parts for two threads, and a file from
# which a broken-off training goes on.
#
# ## Clipping, and what a gradient norm tells
#
# A gradient larger than a limit $c$ is scaled down to it; its direction stays (Pascanu et al. 2013):
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
# odd examples. Adam's step at that moment is harmless. But $v$ remembers the square of 1000, and for a
# thousand steps everything is divided by it:

# %%
sizes = np.random.default_rng(3).choice([0.5, 1.5], size=1000)
for limit in (np.inf, 5.0):
    theta, m, v, path = 0.0, 0.0, 0.0, [0.0]
    for t, g in enumerate(sizes, 1):
        g = 1000.0 if t == 300 else g
        theta, m, v = adam_step(theta, np.clip(g, -limit, limit), m, v, t, 1.0)
        path.append(-theta)
    print(f"limit {limit}: {path[299]:.0f} learning rates in 299 steps before, "
          f"{path[1000] - path[700]:.0f} in the last 300")  # fmt: skip

# %% [markdown]
# And what the norm *tells* is less than one would think. Here are the norms of the two trainings above:

# %% Norm of the gradient at each of the first ten epochs' steps (mean of 10): small does not mean learned
at = np.arange(5, 130, 10)
plots.lines(
    {name: (at, np.reshape(curve["norm"][:130], (13, 10)).mean(axis=1))
     for name, curve in (("rate 0.003", fine), ("rate 0.05", steep))}, "step", "gradient norm"
)  # fmt: skip

# %% [markdown]
# The training with the smaller norm is the one that has learned nothing: after its large first steps it
# gives nearly the same scores to all users, and its loss stays at {{steep["training"][-1]:.2f}}. The other
# one is at {{fine["training"][9]:.2f}} after as many steps, and its norm has even grown. What to read from
# a norm:
#
# - not a number: stop, and look at the parameter that is named (`clip_by_global_norm` refuses it);
# - one part exactly 0: that part can never learn ([lesson 8](08_document_model.md), attention to one key);
# - one step far above all others: clip it, as above;
# - very small at once, with a loss that stays: a flat place. Begin again with a lower rate or with warm-up.
#
# ## Overfitting, and when to stop
#
# The model has more numbers than there are purchases. Each training purchase can be learned by heart. The
# validation purchases, one per user, are never trained on:

# %% Left: loss of training and of validation purchases. Right: NDCG@10 of the latter; rings mark the best epochs
dropped = training(epochs=30, lr=3e-3, dropout=0.3)
losses, ndcg = {}, {}
for name, curve in (("no dropout", fine), ("dropout 0.3", dropped)):
    losses[f"{name}, training"], losses[f"{name}, validation"] = curve["training"], curve["validation"]
    ndcg[f"{name}, validation"] = list(enumerate(curve["ndcg"], 1))
plots.loss_curves(losses, ndcg, ylabel="loss")

# %%
for epoch in (3, 30):
    print(
        f"epoch {epoch}: validation loss {fine['validation'][epoch - 1]:.2f}, NDCG@10 {fine['ndcg'][epoch - 1]:.2f}"
    )
print("95 % interval of the last NDCG@10, over users: {:.2f} to {:.2f}".format(*fine["interval"]))
model = TransformerRecommender(
    24, 2, 1, hidden=48, length=6, negatives=11, dropout=0.3, lr=3e-3, batch_size=64, epochs=30, patience=5,
    dtype="float64",
)  # fmt: skip
log = model.fit(train, valid=valid, rng=0, progress=False).log
print(log.ended)

# %% [markdown]
# The training loss goes on falling; the validation loss turns early and doubles. That is *overfitting*.
# NDCG@10 (how high the right purchase stands in the list, [lesson 12](12_evaluation.md)) does not show it:
# it looks at the order alone, while the loss also punishes being *sure* and wrong. So decide by the metric
# that you report. *Early stopping* does: it keeps the parameters of the best epoch, and ends when there was
# no better one for `patience` epochs. With 60 users the interval is wide and the curve of NDCG jumps: its
# best epoch owes something to luck, which is why there are test purchases besides the validation purchases,
# and a patience of 5 kept epoch {{log.best_epoch}}, although the curve with dropout rises later on. Dropout
# makes learning by heart harder: the two losses stay together.
#
# ## What a step costs
#
# Section 8.3 names the cost of training as a challenge, without a number. Count one encoder block: width
# $D$, feed-forward width $F$, sequences of $T$ places. Its parameters: four $D \times D$ matrices with
# biases in the attention, two $D \times F$ matrices with biases, and two layer norms with $2D$ each:
#
# $$
# P = 4 (D^2 + D) + (2 D F + D + F) + 4 D
# $$

# %%
B, T, D, H, hidden = 8, 20, 32, 2, 64
block = nn.EncoderBlock(np.random.default_rng(0), D, H, hidden)
parameters = 4 * (D * D + D) + (2 * D * hidden + D + hidden) + 4 * D
agree("parameters of EncoderBlock", block.parameter_count(), parameters)
print(f"{parameters:,} parameters")

# %% [markdown]
# A product of an $(N, D)$ and a $(D, F)$ matrix has $N F$ results of $D$ multiplications and additions
# each: $2 N D F$ operations. Forward, with $N = B T$ places, the matrices cost $2 N (4 D^2 + 2 D F)$, and
# attention $2 N T D$ for $QK^\top$ and as many for its product with $V$. Backward every product $y = x W$
# becomes two, $dx = dy W^\top$ and $dW = x^\top dy$, so a whole step is three times the forward pass:
#
# $$
# \text{operations} = 6 N (4 D^2 + 2 D F) + 12\, N T D
# $$
#
# Is that what happens? NumPy lets an array say what it takes part in. This one counts its matrix products,
# and its results count theirs:


# %%
class Counted(np.ndarray):
    operations = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        plain = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        result = getattr(ufunc, method)(*plain, **options)
        if ufunc is np.matmul and min(x.ndim for x in plain) > 1:  # with a vector it is a sum: not counted
            Counted.operations += 2 * result.size * plain[0].shape[-1]
        return result.view(Counted) if isinstance(result, np.ndarray) else result


counting = block.with_params({name: array.view(Counted) for name, array in block.params().items()})
x = np.random.default_rng(1).normal(size=(B, T, D))
y, cache = counting.forward(x.view(Counted))
forward = Counted.operations
counting.backward(np.ones_like(x).view(Counted), cache)
N = B * T
by_formula = 6 * N * (4 * D**2 + 2 * D * hidden) + 12 * N * T * D
agree("operations of a step of EncoderBlock", Counted.operations, by_formula)
print(f"forward {forward:,}, in all {Counted.operations:,}: {Counted.operations / forward:.0f} times as many")

# %% [markdown]
# And the memory: the backward pass needs what the forward pass has computed, so the caches that `forward`
# returns are kept until then. They grow with the batch. Each parameter stands in memory four times: itself,
# its gradient, and Adam's $m$ and $v$.


# %%
def arrays_in(cache):
    """{address: array} of all arrays that a cache holds on to, each once."""
    if isinstance(cache, np.ndarray):
        whole = cache if cache.base is None else cache.base
        return {id(whole): whole}
    parts = cache if isinstance(cache, tuple | list) else ()
    return {address: array for part in parts for address, array in arrays_in(part).items()}


small = block.astype("float32")
own = {id(array): array.nbytes for array in small.params().values()}
print(f"parameters, gradient, m and v: {4 * sum(own.values()) / 1000:,.0f} kB")
for batch in (8, 128):
    _, cache = small.forward(np.ones((batch, T, D), dtype="float32"))
    kept = sum(array.nbytes for address, array in arrays_in(cache).items() if address not in own)
    print(f"caches of a batch of {batch}: {kept / 1000:,.0f} kB")

# %% [markdown]
# So a small model spends its memory on activations, not on parameters. What a machine makes of such counts,
# which formulas are limited by arithmetic and which by memory, and what shards do about it, is measured on
# [the page about the cost of a step](cost_of_a_step.md) (`python tests/benchmarks/roofline.py`).
#
# Per place, the matrices cost $6$ operations for each of their parameters, whatever the size. For a model
# that is nearly all matrices this gives the known rule (Kaplan et al. 2020)
#
# $$
# \text{operations} \approx 6 \times \text{parameters} \times \text{places read}
# $$

# %%
matrices = 4 * D**2 + 2 * D * hidden
agree("six operations per parameter and place", Counted.operations - 12 * N * T * D, 6 * matrices * N)
results = Path(minirec.__file__).parents[1] / "tests/results/roofline.json"
speed = json.loads(results.read_text(encoding="utf-8"))["peaks"]["2"] * 1e9  # operations per second
# GPT-3: 175 billion parameters, 300 billion tokens, which are pieces of words (Brown et al. 2020)
large = 6 * 175e9 * 300e9
years = large / speed / (365 * 24 * 3600)
print(f"GPT-3: {large:.1e} operations; two cores with {speed / 1e9:.0f} billion a second: {years:,.0f} years")
results = results.with_name("ml100k") / "transformer.json"
seconds = json.loads(results.read_text(encoding="utf-8"))["seeds"]["0"]["seconds_of_training"]
print(f"TransformerRecommender on MovieLens 100K, two cores, as measured: {seconds / 60:.0f} minutes")

# %% [markdown]
# GPT-3 is one of the models that section 1 of the document names. The document's own class (section 5.2),
# repaired and trained on a data set of 100,000 ratings, needs minutes (`python tests/make_ml100k.py
# transformer`). Training cost is a challenge of *large* models, not of the Transformer as such.
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
# - Memory of activations is saved by computing them twice (Chen et al. 2016), that of Adam by lower
#   precision (Dettmers et al. 2022) or by sharing it among machines (Rajbhandari et al. 2020).
# - In recommenders the item table is the largest array. Lazy optimizers move only the rows that a batch has
#   read (`Adam(lazy=True)`).
