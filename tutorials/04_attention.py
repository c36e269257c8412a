# %% [markdown]
# # Ask a history a question: scaled dot-product attention
#
# - **You will do:** compute attention by hand, by loops and with arrays; measure what $\sqrt{d_k}$ is for;
#   hide films with a mask; derive the backward pass line by line.
# - **You will learn:** what queries, keys and values are, why the scores are divided by $\sqrt{d_k}$ and
#   when that argument ends, and which way a weight is pushed in training.
# - **You need:** matrix products, the chain rule, and [softmax](03_softmax.md).
#
# This is the one formula of section 4.2 of "Can large models change the recommendation paradigm?"
# (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术). The section names its letters and stops there. It says neither what the three
# matrices are made of, nor why it divides, nor how anything is hidden or learned. The formula is that of
# Vaswani et al. (2017).

# %%
import itertools

import numpy as np

from minirec import functional as F
from minirec import plots
from minirec.nn import causal_mask
from minirec.verify import agree, check_gradient, complex_step

# %% [markdown]
# ## The question
#
# A user has watched four films and given them stars. Would they like *Gravity*? One way to find out is to
# ask the four films, and to listen most to those that are like *Gravity*. Three things are needed:
#
# - a **query**: what is asked for. Here the features of the new film;
# - a **key** for each film of the history: what it is found by. Here its features;
# - a **value** for each film of the history: what it answers. Here the stars.
#
# We describe a film by four features. The queries carry a factor $2 \ln 2$, for one reason only: numbers
# that can be checked by hand.

# %%
#                      space  suspense  love  music
films = {
    "Alien":          [1.0,   1.0,      0.0,  0.0],
    "Star Wars":      [1.0,   0.0,      0.0,  0.0],
    "Titanic":        [0.0,   0.0,      1.0,  0.0],
    "Top Hat":        [0.0,   0.0,      1.0,  1.0],
}  # fmt: skip
new = {"Gravity": [1.0, 1.0, 0.0, 0.0], "La La Land": [0.0, 0.0, 1.0, 1.0]}
Q = 2 * np.log(2) * np.array(list(new.values()))  # (2, 4): two queries
K = np.array(list(films.values()))  # (4, 4): a key for each of four films
V = np.array([[5.0], [4.0], [2.0], [1.0]])  # (4, 1): their stars

# %% [markdown]
# ## The formula
#
# $$
# \mathrm{Attention}(Q, K, V) = \mathrm{softmax}\left(\frac{Q K^T}{\sqrt{d_k}}\right) V
# $$
#
# The document calls $Q$, $K$ and $V$ vectors. They are matrices, with one vector in each row:
#
# | | shape | a row is | here |
# | --- | --- | --- | --- |
# | $Q$ | $(T_q, d_k)$ | a query | 2 new films, 4 features |
# | $K$ | $(T_k, d_k)$ | a key | 4 films of the history, 4 features |
# | $V$ | $(T_k, d_v)$ | a value | 4 films of the history, 1 number |
# | $S = Q K^T / \sqrt{d_k}$ | $(T_q, T_k)$ | the scores of one query | one score for each film of the history |
# | $P = \mathrm{softmax}(S)$ | $(T_q, T_k)$ | the **attention weights** of one query | positive, with the sum 1 |
# | $Y = P V$ | $(T_q, d_v)$ | the answer to one query | a weighted mean of the stars |
#
# Row by row: *Gravity* shares two features with *Alien*, one with *Star Wars* and none with the others. A
# shared feature adds $2 \ln 2$ to the product and $2 \ln 2 / \sqrt 4 = \ln 2$ to the score, so it doubles
# $e^s$. The powers are $4, 2, 1, 1$, their sum is 8, and the weights are $4/8, 2/8, 1/8, 1/8$. The answer
# is $(4 \cdot 5 + 2 \cdot 4 + 1 \cdot 2 + 1 \cdot 1) / 8 = 31/8$ stars. In loops:


# %%
def attention_loops(Q, K, V):
    answers, weights = [], []
    for q in Q:
        scores = [sum(a * b for a, b in zip(q, k, strict=True)) / np.sqrt(len(q)) for k in K]
        powers = [np.exp(s) for s in scores]
        p = [power / sum(powers) for power in powers]
        weights.append(p)
        answers.append([sum(p[j] * V[j][c] for j in range(len(V))) for c in range(len(V[0]))])
    return answers, weights


answers, weights = attention_loops(Q, K, V)
agree("attention", answers, [[31 / 8], [17 / 8]])
agree("attention weights", weights, [[4 / 8, 2 / 8, 1 / 8, 1 / 8], [1 / 8, 1 / 8, 2 / 8, 4 / 8]])
for title, answer in zip(new, answers, strict=True):
    print(f"{title}: {answer[0]:.3f} stars")

# %% [markdown]
# *La La Land* asks the same four films, listens most to *Top Hat*, and gets another answer. With arrays
# this is three lines, one for each of $S$, $P$ and $Y$. Further axes in front, such as one for a batch of
# users, cost nothing: `swapaxes` turns the last two only.


# %%
def attention_forward(q, k, v):
    s = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    p, _ = F.softmax_forward(s)
    y = p @ v
    return y, (q, k, v, p)


Y, (*_, P) = attention_forward(Q, K, V)
agree("attention with arrays", Y, answers)

# %% Attention weights of two new films over a history: each listens to the films that it shares features with
plots.heatmap(
    P,
    rows=list(new),
    columns=list(films),
    xlabel="key (attended to)",
    ylabel="query (attends)",
    label="attention weight",
    form="{:.3f}",
)

# %% [markdown]
# In a model nobody types in features. Each film has a vector $x$ that is learned, and queries, keys and
# values are made from these vectors by three matrices that are learned as well, $Q = x W_q$, $K = x W_k$,
# $V = x W_v$; a value is a vector of many numbers ([heads](06_heads.md)). What follows does not depend on
# where they come from.
#
# ## Why divide by $\sqrt{d_k}$?
#
# A score is a sum of $d_k$ products. How large is it? The **variance** of a number that varies is the mean
# of its squared distance from its own mean; its square root, the standard deviation, says how far it
# usually is from the mean. Let all entries of $q$ and $k$ be independent (one says nothing about another),
# with mean 0 and variance 1. A product $q_i k_i$ then has the mean $0 \cdot 0 = 0$, and the mean of its
# square is $1 \cdot 1 = 1$, so its variance is 1. Variances of independent numbers add up:
#
# $$
# \mathrm{Var}(q \cdot k) = \sum_{i=1}^{d_k} \mathrm{Var}(q_i k_i) = d_k
# $$
#
# The smallest example can be counted through: entries that are $+1$ or $-1$. For $d_k = 3$ there are 8
# vectors, and 64 pairs of a query and a key. Over all of them:

# %%
signs = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))  # (8, 3)
scores = signs @ signs.T  # (8, 8), every query with every key
agree("variance of a score", scores.var(), 3)
print("scores that occur:", np.unique(scores), " variance:", scores.var())

# %% [markdown]
# So a score usually is about as large as $\sqrt{d_k}$, and dividing by $\sqrt{d_k}$ brings the variance
# back to 1, whatever the width. Why does it matter? The lesson on [softmax](03_softmax.md) showed that
# large scores turn it into all-or-nothing. Measured with random (normally distributed) numbers, 300 queries
# and 50 keys, by the variance, and by the largest of the 50 weights of a query:

# %%
rng = np.random.default_rng(0)
widths = 2 ** np.arange(1, 11)  # 2, 4, ..., 1024
drawn = {d: rng.normal(size=(300, d)) @ rng.normal(size=(50, d)).T for d in widths}
plain = {d: F.softmax_forward(drawn[d])[0] for d in widths}
scaled = {d: F.softmax_forward(drawn[d] / np.sqrt(d))[0] for d in widths}
print("         variance             mean largest weight")
print(" d_k   q·k    q·k / √d_k    by q·k  by q·k / √d_k")
for d in (4, 16, 64, 256, 1024):
    by_width = drawn[d].var(), (drawn[d] / np.sqrt(d)).var()
    largest = plain[d].max(axis=1).mean(), scaled[d].max(axis=1).mean()
    print("{:4} {:6.1f}  {:8.2f}  {:12.2f}  {:9.2f}".format(d, *by_width, *largest))

# %% [markdown]
# At a width of 1024 a query without the division has picked one film of 50 before it has learned anything,
# and it can hardly change its mind. The slope of a weight for its own score is $p_j (1 - p_j)$, and all
# these slopes of a row together are
#
# $$
# \sum_j \frac{\partial p_j}{\partial s_j} = 1 - \sum_j p_j^2
# $$
#
# which is 0 when one key has it all: then no small change of any score changes anything.

# %%
s = np.log([4.0, 2.0, 1.0, 1.0])  # the scores of Gravity
own = [complex_step(lambda x: F.softmax_forward(x)[0], s, np.eye(4)[j])[j] for j in range(4)]
agree("sum of the slopes of softmax", sum(own), 1 - (P[0] ** 2).sum())
print(f"Gravity: {sum(own):.3f}, even weights: {1 - 4 * (1 / 4) ** 2:.2f}")

# %% Sum of the slopes of 50 weights: without the division a wide model has less and less to learn from
plots.lines(
    {
        "scores divided by √d_k": (widths, [1 - (scaled[d] ** 2).sum(axis=1).mean() for d in widths]),
        "scores as they are": (widths, [1 - (plain[d] ** 2).sum(axis=1).mean() for d in widths]),
    },
    "width of queries and keys, d_k",
    "sum of ∂p/∂s over the keys",
    log="x",
)

# %% [markdown]
# Note what the argument needs: entries that are independent. That is roughly how a model *begins*, with
# random numbers. Training makes queries and keys depend on each other; that is its purpose. A query that
# equals a key has the score $q \cdot q / \sqrt{d_k}$. The mean of $q \cdot q$ is $d_k$, so the mean score
# is $\sqrt{d_k}$: it grows in spite of the division.

# %%
for d in (16, 64, 256):
    q = rng.normal(size=(1000, d))
    print(f"d_k = {d:3}: mean score of a query with itself {((q * q).sum(axis=1) / np.sqrt(d)).mean():.1f}")

# %% [markdown]
# The factor is a good start, not a law: nothing keeps training from making the scores larger or smaller.
#
# ## Masks: what a query may not see
#
# Say the question of *Gravity* is asked as of a day when the user had not seen *Alien* yet, and that of
# *La La Land* today. A **mask** is a table of the shape of $S$ with True (1) where a query may look, and False (0) where it may not. Hidden keys drop
# out of both sums:
#
# $$
# p_{tj} = \frac{m_{tj}\, e^{s_{tj}}}{\sum_i m_{ti}\, e^{s_{ti}}}
# $$
#
# The powers $4, 2, 1, 1$ become $0, 2, 1, 1$, and the weights $0, 2/4, 1/4, 1/4$.

# %%
mask = np.array([[False, True, True, True], [True, True, True, True]])
Y_masked, cache = F.attention_forward(Q, K, V, mask)
agree("attention with a mask", cache.p[0], [0, 2 / 4, 1 / 4, 1 / 4])
print(f"Gravity without Alien: {Y_masked[0, 0]:.2f} stars instead of {Y[0, 0]:.3f}")

# %% [markdown]
# Setting weights to 0 *after* softmax is a frequent mistake. The weights that are left no longer sum to 1,
# since the hidden film has had its share of the denominator: the answer shrinks.

# %%
after = P * mask
print("weights masked too late:", after[0], " sum:", after[0].sum(), " answer:", (after @ V)[0])

# %% [markdown]
# And a query that may see nothing at all? In minirec it gets zeros, and gives no gradient; the lesson on
# softmax shows what a large negative number in place of a mask would do there. The mask that matters most
# for recommenders is the **causal** one: film $t$ of a history sees the films up to $t$, never a later one.
# Here a history asks itself. Queries and keys are made of the same seven films, and each shared feature
# multiplies $e^s$ by 4:

# %% Every film attends to itself and to those before it; the upper triangle, the future, has weight 0
watched = {
    "Alien": [1, 1, 0, 0],
    "Top Hat": [0, 0, 1, 1],
    "Psycho": [0, 1, 0, 0],
    "Casablanca": [0, 0, 1, 0],
    "Star Wars": [1, 0, 0, 0],
    "Solaris": [1, 0, 1, 0],
    "La La Land": [0, 0, 1, 1],
}
X = np.array(list(watched.values()), dtype=float)
_, cache = F.attention_forward(2 * np.log(4) * X, X, X, causal_mask(7))
plots.attention_weights(cache.p, list(watched), list(watched))

# %% [markdown]
# More masks, and what each is for, come in the lesson on [heads](06_heads.md).
#
# ## The backward pass, line by line
#
# A loss $L$ comes after attention. Given is $dY = \partial L / \partial Y$, wanted are $dQ$, $dK$ and $dV$.
# Each $dX$ has the shape of $X$. The simplest loss with the gradient $dY$ is
# $L = \sum_{tc} dY_{tc} Y_{tc}$: we use it to compute every slope once more, entry by entry, by complex
# step, which is exact to rounding ([lesson 0](00_gradients.md)). All sizes differ, so that a wrong
# transposition cannot pass.


# %%
def slopes(f, x):
    """The slope of f for each entry of x."""
    return np.reshape([complex_step(f, x, e) for e in np.eye(x.size).reshape(-1, *x.shape)], x.shape)


q, k, v, dy = (rng.normal(size=shape) for shape in [(2, 3), (5, 3), (5, 7), (2, 7)])
s = q @ k.T / np.sqrt(3)
p, _ = F.softmax_forward(s)
y = p @ v

# %% [markdown]
# - forward $Y = P V$, or $y_{tc} = \sum_j p_{tj} v_{jc}$. The number $v_{jc}$ stands in $y_{tc}$ for every
#   query $t$, with the slope $p_{tj}$. So $dv_{jc} = \sum_t p_{tj}\, dy_{tc}$. The number $p_{tj}$ stands
#   in $y_{tc}$ for every column $c$, with the slope $v_{jc}$. So $dp_{tj} = \sum_c dy_{tc} v_{jc}$:
#
# $$
# dV = P^T dY, \qquad dP = dY\, V^T
# $$

# %%
dv = p.T @ dy
dp = dy @ v.T
agree("gradient of the values", dv, slopes(lambda v: (dy * (p @ v)).sum(), v))
agree("gradient of the weights", dp, slopes(lambda p: (dy * (p @ v)).sum(), p))

# %% [markdown]
# - forward $P = \mathrm{softmax}(S)$, each row on its own. Its backward pass is that of the lesson before:
#
# $$
# ds_{tj} = p_{tj} \Bigl( dp_{tj} - \sum_i p_{ti}\, dp_{ti} \Bigr)
# $$

# %%
ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True))
agree("gradient of the scores", ds, slopes(lambda s: (dy * (F.softmax_forward(s)[0] @ v)).sum(), s))

# %% [markdown]
# - forward $S = Q K^T / \sqrt{d_k}$, or $s_{tj} = \sum_d q_{td} k_{jd} / \sqrt{d_k}$. The number $q_{td}$
#   stands in $s_{tj}$ for every key $j$, with the slope $k_{jd} / \sqrt{d_k}$; the number $k_{jd}$ for
#   every query $t$, with the slope $q_{td} / \sqrt{d_k}$:
#
# $$
# dQ = \frac{dS\, K}{\sqrt{d_k}}, \qquad dK = \frac{dS^T Q}{\sqrt{d_k}}
# $$

# %%
dq = ds @ k / np.sqrt(3)
dk = ds.T @ q / np.sqrt(3)
agree("gradient of the queries", dq, slopes(lambda q: (dy * attention_forward(q, k, v)[0]).sum(), q))
agree("gradient of the keys", dk, slopes(lambda k: (dy * attention_forward(q, k, v)[0]).sum(), k))


# %% [markdown]
# Five lines. Put together, and checked by machine:


# %%
def attention_backward(dy, cache):
    q, k, v, p = cache
    dv = p.swapaxes(-1, -2) @ dy
    dp = dy @ v.swapaxes(-1, -2)
    ds = F.softmax_backward(dp, F.SoftmaxCache(p)) / np.sqrt(q.shape[-1])
    return ds @ k, ds.swapaxes(-1, -2) @ q, dv


report = check_gradient(attention_forward, attention_backward, q, k, v)
print("gradient is right" if report.ok else report)

# %% [markdown]
# This is `minirec.functional.attention_forward` and `attention_backward`: use them from here on. They take
# the mask as well, and skip blocks of keys that no query may see. Their cache holds the weights as
# `cache.p`.

# %%
y_ours, cache = F.attention_forward(q, k, v)
agree("minirec.functional.attention_forward", y_ours, y)
for ours, mine in zip(F.attention_backward(dy, cache), (dq, dk, dv), strict=True):
    agree("minirec.functional.attention_backward", ours, mine)

# %% [markdown]
# ## Which way is a weight pushed?
#
# Put $dp_{tj} = dy_t \cdot v_j$ into the line of the scores. The sum there is
# $\sum_i p_{ti}\, dy_t \cdot v_i = dy_t \cdot y_t$, so
#
# $$
# ds_{tj} = p_{tj}\; dy_t \cdot (v_j - y_t)
# $$
#
# Training goes against the gradient. So a key gains score where its value lies, seen from the present
# answer, in the direction in which the answer should move. How much also depends on the weight that it has.
# Three things follow at once:
#
# - a key with a weight of almost 0 gets almost no gradient, right or wrong. This is what the division by
#   $\sqrt{d_k}$ protects from;
# - the $ds_{tj}$ of a query sum to 0, so all rows of $dK$ added together give the zero vector: moving all
#   keys by the same vector adds one number to all scores of a query, and changes nothing;
# - a single key has $v_1 = y_t$: its weight is 1 whatever it is, and queries and keys learn nothing.

# %%
agree("what moves a score", ds, [[p[t, j] * dy[t] @ (v[j] - y[t]) for j in range(5)] for t in range(2)])
print("rows of dK added together are zero:", bool(np.abs(dk.sum(axis=0)).max() < 1e-12))
y_one, cache = F.attention_forward(q, k[:1], v[:1])
dq_one, dk_one, _ = F.attention_backward(dy, cache)
largest = max(np.abs(dq_one).max(), np.abs(dk_one).max())
print("one key: weights", cache.p.ravel(), " largest gradient:", largest)

# %% [markdown]
# The last point is not idle. The model that the document prints in section 5.2 attends to one user vector,
# so its attention has one key; the lesson on [that model](08_document_model.md) shows what becomes of it.
#
# ## What goes wrong in practice
#
# Leave the factor out of the backward pass only: $dQ$ and $dK$ are too large by $\sqrt{d_k}$, every sign is
# right, and small steps still lower the loss. Only a check tells.


# %%
def attention_backward_unscaled(dy, cache):
    dq, dk, dv = attention_backward(dy, cache)
    return dq * np.sqrt(3), dk * np.sqrt(3), dv


wrong = check_gradient(attention_forward, attention_backward_unscaled, q, k, v)
print("gradient is right" if wrong.ok else "gradient is wrong")
print(wrong.causes[0].text)

# %% [markdown]
# ## Exercise
#
# Write `attention_forward(q, k, v, mask=None)` and `attention_backward(dy, cache)` in a file of your own,
# and compare them with the formula of minirec at seven places, with masks of several kinds:
#
# ```
# python -m minirec verify my_file.py:attention --against attention
# ```
#
# The two functions of this lesson, with the mask handed on to softmax, pass at five of the seven places. At
# the two others one check fails, called *what nobody sees cannot leak*: a key that no query may see holds
# NaN ("not a number", what $0/0$ gives). Why does its weight of 0 not help, and what does?
#
# ## In practice
#
# The weights are a table of $T_q \times T_k$ numbers for each user and head. For long histories it is this
# table that fills the memory, and not the model. FlashAttention (Dao et al. 2022) computes the same answers
# in blocks and never stores it. Beware of masks when you move between libraries: True means "may be seen"
# in minirec and in PyTorch's `scaled_dot_product_attention`, but "is hidden" in PyTorch's
# `MultiheadAttention`. And attention weights are weights of a mean, no more; whether they explain a
# recommendation is the subject of the [next lesson](05_worked_example.md).
