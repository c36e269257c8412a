# %% [markdown]
# # Ask a history a question: scaled dot-product attention
#
# - **You will do:** compute attention by hand, by loops and with arrays; measure what the division in its
#   formula is for; hide films with a mask; derive the backward pass line by line.
# - **You will learn:** what queries, keys and values are, why the attention formula divides by a square
#   root and when that reason ends, and which way training pushes an attention weight.
# - **You need:** matrix products, the chain rule, and [softmax](03_softmax.md), where $p$ and $dp$ come
#   from.
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
# - a **value** for each film of the history: what it answers. Here its stars.
#
# We describe a film by four **features**, each 1 if the film has it and 0 if not. The queries are
# multiplied by $2 \log 2$ (the natural logarithm), for one reason only: numbers that can be checked by
# hand.

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
# The document calls $Q$, $K$ and $V$ vectors. They are matrices, with one vector in each row. There are
# $T_q$ queries and $T_k$ keys. A query has as many numbers as a key, $d_k$; there is one value for each
# key, and it has $d_v$ numbers:
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
# What lesson 3 did with a row of scores $x$ is done here with each row of $S$. Take *Gravity*. It shares
# two features with *Alien*, one with *Star Wars* and none with the others. A shared feature adds $2 \log 2$
# to the product, so $2 \log 2 / \sqrt 4 = \log 2$ to the score $s$, and so it doubles $e^s$. The powers are
# $4, 2, 1, 1$, their sum is 8, and the weights are $4/8, 2/8, 1/8, 1/8$. The answer is $(4 \cdot 5 + 2
# \cdot 4 + 1 \cdot 2 + 1 \cdot 1) / 8 = 31/8$ stars. In loops:


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
# *La La Land* asks the same four films, listens most to *Top Hat*, and gets another answer.
#
# With arrays this is three lines, one for each of $S$, $P$ and $Y$. `swapaxes(-1, -2)` exchanges the last
# two axes: it transposes, and leaves alone any axes in front. So the same lines serve many users at once (a
# *batch*), with queries of shape (users, $T_q$, $d_k$). The mask is for later.


# %%
def attention_forward(q, k, v, mask=None):
    s = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    p, _ = F.softmax_forward(s, mask)
    y = p @ v
    return y, (q, k, v, p)  # the answers, and the cache for the backward pass


Y, (_, _, _, P) = attention_forward(Q, K, V)
agree("attention with arrays", Y, answers)

# %% Attention weights of two new films over a history: each listens to the films that it shares features with
axes = {"xlabel": "key (attended to)", "ylabel": "query (attends)", "label": "attention weight"}
plots.heatmap(P, rows=list(new), columns=list(films), form="{:.3f}", **axes)

# %% [markdown]
# In a model nobody types in features. Each film has a vector of $D$ numbers that are learned. Let $X$,
# shape $(T_k, D)$, have the vectors of the history as its rows. Then the keys are $K = X W_k$ and the
# values $V = X W_v$, with matrices of the shapes $(D, d_k)$ and $(D, d_v)$ that are learned as well. The
# queries are made in the same way, by a matrix $W_q$ of shape $(D, d_k)$, of the vectors of the films that
# ask. What follows does not depend on where $Q$, $K$ and $V$ come from.
#
# ## Why divide by $\sqrt{d_k}$?
#
# Before the division a score is the **dot product** of a query and a key, a sum of $d_k$ products: $q \cdot
# k = \sum_c q_c k_c$. How large is it? Let a coin decide for each entry whether it is $+1$ or $-1$. Then
# the score is positive as often as negative, and its mean is 0. The **variance** of a number is the mean of
# its squared distance from its own mean; here it is the mean of $(q \cdot k)^2$. Multiply this square out.
# There are $d_k$ squares $(q_c k_c)^2$, which are all 1. And there are mixed terms $(q_c k_c)(q_b k_b)$, as
# often $+1$ as $-1$, so they have the mean 0. What is left is $d_k$.
#
# The same holds for any entries with mean 0 and variance 1 that are **independent**: knowing some of them
# says nothing about the others. For independent numbers the mean of a product is the product of the means.
# So $(q_c k_c)^2$ has the mean $1 \cdot 1$, a mixed term has $0 \cdot 0 \cdot 0 \cdot 0 = 0$, and only the
# variances of the products $q_c k_c$ are left, each 1:
#
# $$
# \mathrm{Var}(q \cdot k) = \sum_{c=1}^{d_k} \mathrm{Var}(q_c k_c) = d_k
# $$
#
# With coins and $d_k = 3$ there are 8 possible vectors, and 64 pairs of a query and a key. By hand, from
# the counts below: $(8 \cdot 9 + 24 \cdot 1 + 24 \cdot 1 + 8 \cdot 9) / 64 = 3$.

# %%
signs = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))  # (8, 3), every vector of signs
scores = signs @ signs.T  # (8, 8), every query with every key
agree("variance of a score", scores.var(), 3)
for score, count in zip(*np.unique(scores, return_counts=True), strict=True):
    print(f"score {score:2.0f}: {count} pairs")

# %% [markdown]
# So a score is usually about as large as $\sqrt{d_k}$. Divided by $\sqrt{d_k}$, its square is divided by
# $d_k$, and the variance is 1 for any $d_k$. Why does it matter? Lesson 3 multiplied scores by a large
# factor, and one film got all the probability. We draw 300 queries and 50 keys at random, with mean 0 and
# variance 1, and look at the largest of the 50 weights of each query:

# %%
rng = np.random.default_rng(0)
widths = 2 ** np.arange(1, 11)  # d_k = 2, 4, 8, ..., 1024
drawn = {d: rng.normal(size=(300, d)) @ rng.normal(size=(50, d)).T for d in widths}
plain = {d: F.softmax_forward(drawn[d])[0] for d in widths}
scaled = {d: F.softmax_forward(drawn[d] / np.sqrt(d))[0] for d in widths}
print(" d_k   variance of q·k   mean largest weight   the same, divided")
for d in (4, 16, 64, 256, 1024):
    largest, divided = plain[d].max(axis=1).mean(), scaled[d].max(axis=1).mean()
    print(f"{d:4} {drawn[d].var():17.1f} {largest:21.2f} {divided:19.2f}")

# %% [markdown]
# At a width of 1024, without the division, one film of 50 gets nearly all the weight before anything has
# been learned. And this can hardly change. The slope of a weight for its own score is $p_j (1 - p_j)$, the
# diagonal of the Jacobian of softmax ([lesson 3](03_softmax.md)). All these slopes of a row together are
# $\sum_j p_j - \sum_j p_j^2$, and the weights sum to 1:
#
# $$
# \sum_j \frac{\partial p_j}{\partial s_j} = 1 - \sum_j p_j^2
# $$
#
# This is 0 if one key has all the weight: then a small change of the scores changes next to nothing. For
# the weights of *Gravity* it is $1 - (16 + 4 + 1 + 1) / 64 = 42/64$.

# %%
s = np.log([4.0, 2.0, 1.0, 1.0])  # the scores of Gravity
slopes_of = [complex_step(lambda x: F.softmax_forward(x)[0], s, unit) for unit in np.eye(4)]  # move one score
own = [slopes_of[j][j] for j in range(4)]  # of all slopes for score j, that of weight j
agree("sum of the slopes of softmax", sum(own), 1 - (P[0] ** 2).sum())
print(f"{sum(own):.3f}")

# %% Sum of the slopes of 50 weights: without the division, the wider the vectors, the less a score can change
curves = {}
for name, weights in {"scores divided by √d_k": scaled, "scores as they are": plain}.items():
    curves[name] = widths, [1 - (weights[d] ** 2).sum(axis=1).mean() for d in widths]
plots.lines(curves, "width of queries and keys, d_k", "sum of ∂p/∂s over the keys", log="x")

# %% [markdown]
# The reason holds as long as the entries are independent. That is roughly how a model *begins*, with random
# numbers. Training makes queries and keys depend on each other; that is its purpose. Take a query that
# equals a key. Its score is $q \cdot q / \sqrt{d_k}$, the mean of $q \cdot q = \sum_c q_c^2$ is $d_k$, and
# so the mean score is $\sqrt{d_k}$: it grows with the width in spite of the division.
#
# ## Masks: what a query may not see
#
# Say *Gravity* asks as of a day before the user had watched *Alien*. Then *Alien* must not answer. A
# **mask** $m$ is a table of the shape of $S$ with True (1) where a query may look and False (0) where it
# may not. With $t$ we count queries, with $j$ and $i$ keys. A hidden key gets the weight 0, and is left out
# of the sum:
#
# $$
# p_{tj} = \frac{m_{tj}\, e^{s_{tj}}}{\sum_i m_{ti}\, e^{s_{ti}}}
# $$
#
# For *Gravity* the powers $4, 2, 1, 1$ become $0, 2, 1, 1$, and the weights $0, 2/4, 1/4, 1/4$. Softmax
# takes the mask (lesson 3), so our function does too:

# %%
mask = np.array([[False, True, True, True], [True, True, True, True]])
Y_masked, (_, _, _, P_masked) = attention_forward(Q, K, V, mask)
agree("attention with a mask", P_masked[0], [0, 2 / 4, 1 / 4, 1 / 4])
print(f"Gravity without Alien: {Y_masked[0, 0]:.2f} stars instead of {Y[0, 0]:.3f}")

# %% [markdown]
# Setting weights to 0 *after* softmax is a frequent mistake. The hidden film has had its share of the sum,
# so the weights that are left no longer sum to 1, and the answer shrinks:

# %%
after = P * mask
print("weights masked too late:", after[0], " sum:", after[0].sum(), " answer:", (after @ V)[0])

# %% [markdown]
# A query that may see nothing at all gets the weights 0 and the answer 0. More masks come in the lesson on
# [heads](06_heads.md).
#
# The mask that matters most for recommenders is the **causal** one: film $t$ of a history sees the films up
# to $t$, itself included, and never a later one. Here a history asks itself: each of seven films, in the
# order in which they were watched, is a query and a key. They have the same four features, and a shared
# feature now multiplies $e^s$ by 4. *Psycho* shares one with *Alien* and with itself, none with *Top Hat*,
# and may not see the rest. Its powers are $4, 1, 4$, and its weights $4/9, 1/9, 4/9$. `causal_mask(7)` is
# True on and below the diagonal.

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
_, (_, _, _, P_causal) = attention_forward(2 * np.log(4) * X, X, X, causal_mask(7))  # (7, 7)
plots.attention_weights(P_causal, list(watched), list(watched))

# %% [markdown]
# ## The backward pass, line by line
#
# A loss $L$ comes after attention. Given is $dY = \partial L / \partial Y$, the table of its slopes for all
# entries of $Y$. Wanted are $dQ$, $dK$ and $dV$, each of the shape of its matrix.
#
# To check each line we need a loss whose slopes for $Y$ are $dY$. The simplest is $L = \sum_{tc} dY_{tc}
# Y_{tc}$, where $c$ counts columns. The function `slopes` moves one entry after the other by a complex step
# ([lesson 0](00_gradients.md)). All sizes differ, so that a wrong transposition cannot pass.


# %%
def slopes(f, x):
    """The slope of f for each entry of x."""
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        direction = np.zeros(x.shape)
        direction[place] = 1.0
        found[place] = complex_step(f, x, direction)
    return found


q, k, v, dy = (rng.normal(size=shape) for shape in [(2, 3), (5, 3), (5, 7), (2, 7)])
s = q @ k.T / np.sqrt(3)  # d_k = 3
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
agree("gradient of the values", dv, slopes(lambda v: (dy * (p @ v)).sum(), v))  # p is kept, v moves
agree("gradient of the weights", dp, slopes(lambda p: (dy * (p @ v)).sum(), p))

# %% [markdown]
# - forward $P = \mathrm{softmax}(S)$, each row on its own. Its backward pass is that of [lesson
#   3](03_softmax.md), with $s$ for $x$:
#
# $$
# ds_{tj} = p_{tj} \Bigl( dp_{tj} - \sum_i p_{ti}\, dp_{ti} \Bigr)
# $$

# %%
ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True))
agree("gradient of the scores", ds, slopes(lambda s: (dy * (F.softmax_forward(s)[0] @ v)).sum(), s))

# %% [markdown]
# - forward $S = Q K^T / \sqrt{d_k}$, or $s_{tj} = \sum_c q_{tc} k_{jc} / \sqrt{d_k}$. The number $q_{tc}$
#   stands in $s_{tj}$ for every key $j$, with the slope $k_{jc} / \sqrt{d_k}$; the number $k_{jc}$ for
#   every query $t$, with the slope $q_{tc} / \sqrt{d_k}$:
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
    root = np.sqrt(q.shape[-1])
    dv = p.swapaxes(-1, -2) @ dy
    dp = dy @ v.swapaxes(-1, -2)
    ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True))
    dq = ds @ k / root
    dk = ds.swapaxes(-1, -2) @ q / root
    return dq, dk, dv


report = check_gradient(attention_forward, attention_backward, q, k, v)
print("gradient is right" if report.ok else report)

# %% [markdown]
# This is `minirec.functional.attention_forward` and `attention_backward`: use them from here on. In their
# cache the weights have a name, `cache.p`.

# %%
y_ours, cache = F.attention_forward(q, k, v)
agree("minirec.functional.attention_forward", y_ours, y)
for ours, mine in zip(F.attention_backward(dy, cache), (dq, dk, dv), strict=True):
    agree("minirec.functional.attention_backward", ours, mine)

# %% [markdown]
# ## Which way is a weight pushed?
#
# Let $y_t$, $dy_t$ and $v_j$ be rows. Then $dp_{tj} = dy_t \cdot v_j$. Put this into the line of the
# scores: its sum is $\sum_i p_{ti}\, dy_t \cdot v_i = dy_t \cdot y_t$, since $y_t = \sum_i p_{ti} v_i$. So
#
# $$
# ds_{tj} = p_{tj}\; dy_t \cdot (v_j - y_t)
# $$
#
# Take *Gravity*, and say the user gives it 5 stars. With $L = \frac12 (y - 5)^2$ the slope is $dy = y - 5$,
# for the answer $31/8$ that is $-9/8$. For *Alien*, $ds = \frac48 \cdot (-\frac98) \cdot (5 - \frac{31}8)$:

# %%
agree("what moves a score", ds, [[p[t, j] * dy[t] @ (v[j] - y[t]) for j in range(5)] for t in range(2)])
for j, title in enumerate(films):
    ds_gravity = P[0, j] * (Y[0] - 5) @ (V[j] - Y[0])
    direction = "up" if ds_gravity < 0 else "down"
    print(f"{title}: value {V[j, 0]:.0f}, weight {P[0, j]:.3f}, ds {ds_gravity:6.3f}, score goes {direction}")

# %% [markdown]
# Training goes against the gradient. The answer is too low, so the films with more stars than the answer
# gain score, and those with fewer lose. Two things follow from the formula:
#
# - a key with a weight of almost 0 gets almost no gradient, right or wrong. This is what the division by
#   $\sqrt{d_k}$ protects from;
# - with a single key the answer is its value, $y_t = v_1$. Then $ds$ is 0, and queries and keys learn
#   nothing. The model that the document prints in section 5.2 has just one key, the user; the lesson on
#   [that model](08_document_model.md) shows what becomes of it.

# %%
_, cache = attention_forward(q, k[:1], v[:1])
dq_one, dk_one, _ = attention_backward(dy, cache)
print("one key: gradients of queries and keys are all zero:", not dq_one.any() and not dk_one.any())

# %% [markdown]
# ## What goes wrong in practice
#
# **The root is forgotten on the way back.** Then $dQ$ and $dK$ are too large by $\sqrt{d_k}$. Every sign is
# right, so small steps still lower the loss. Only a check tells.


# %%
def attention_backward_unscaled(dy, cache):
    dq, dk, dv = attention_backward(dy, cache)
    return dq * np.sqrt(3), dk * np.sqrt(3), dv


wrong = check_gradient(attention_forward, attention_backward_unscaled, q, k, v)
print("gradient is right" if wrong.ok else "gradient is wrong")
print(wrong.causes[0].text)

# %% [markdown]
# **A weight of 0 does not hide everything.** Say the stars of *Alien* are unknown, stored as NaN ("not a
# number"), and the mask hides the film from every query. Its weight is 0, but a product with NaN is NaN,
# and so is every sum that it enters. Before anything else minirec puts 0 in place of keys and values that
# no query may see:

# %%
print("0 · NaN =", 0 * np.nan)
unknown = np.array([[np.nan], [4.0], [2.0], [1.0]])
hidden = np.array([[False, True, True, True], [False, True, True, True]])
print("this lesson:", attention_forward(Q, K, unknown, hidden)[0].ravel())
print("minirec:    ", F.attention_forward(Q, K, unknown, hidden)[0].ravel())

# %% [markdown]
# ## Exercise
#
# Write `attention_forward(q, k, v, mask=None)` and `attention_backward(dy, cache)` in a file of your own,
# and compare them with the formula of minirec:
#
# ```
# python -m minirec verify my_file.py:attention --against attention
# ```
#
# The two functions of this lesson fail one of its checks, *what nobody sees cannot leak*: it is the NaN
# above. Mend them. `np.any(mask, axis=-2)[..., None]` is a column that says which keys at least one query
# may see, and `np.where` replaces the others.
#
# ## In practice
#
# When a history of $T$ films asks itself, the weights are $T^2$ numbers for each user, and for long
# histories this table fills the memory. FlashAttention (Dao et al. 2022) computes the same answers in
# blocks, and never stores it. Beware of masks when you move between libraries: True means "may be seen" in
# minirec and in PyTorch's `scaled_dot_product_attention`, but "is hidden" in PyTorch's
# `MultiheadAttention`. And attention weights are weights of a mean, no more; whether they explain a
# recommendation is the subject of the [next lesson](05_worked_example.md).
