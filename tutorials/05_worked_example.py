# %% [markdown]
# # Work through the document's example: what attention weights say about ratings
#
# - **You will do:** put numbers into an example that has almost none, compute its attention weights by hand
#   and by machine, and take them apart.
# - **You will learn:** the one thing that attention weights say about ratings, five things that they do not
#   say, and where a prediction comes from.
# - **You need:** [attention](04_attention.md); for the last section also
#   [factorization](02_factorization.md).
#
# Section 4.3 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术) has an
# example: user A rates items 1, 2 and 3 with 5, 3 and 1 (stars, say). User and items become vectors, the
# attention of the user to each item is computed, and from it comes a list with the highest rating in front.
# Apart from the three ratings the section has no numbers. Here they are.

# %%
import numpy as np

from minirec import functional as F
from minirec import plots
from minirec.evaluation import top_k
from minirec.verify import agree, check_gradient, complex_step

items = ["item 1", "item 2", "item 3"]
ratings = np.array([5.0, 3.0, 1.0])

# %% [markdown]
# ## Vectors whose products are the ratings
#
# The section does not say how a rating follows from two vectors. The usual way is their product, as in the
# [factorization](02_factorization.md) of section 4.1. With the vector $p_A$ of user A, the vector $q_i$ of
# item $i$, $d_k$ numbers in each, and the rating $r_{Ai}$, or $r_i$ for short:
#
# $$
# p_A^T q_i = r_{Ai}
# $$
#
# For $d_k = 2$ we may take $p_A = (1, 2)$, and for the items $(1, 2)$, $(1, 1)$ and $(-1, 1)$. By hand: $1
# \cdot 1 + 2 \cdot 2 = 5$, $1 \cdot 1 + 2 \cdot 1 = 3$, $-1 \cdot 1 + 2 \cdot 1 = 1$.

# %%
p_A = np.array([1.0, 2.0])  # (2,)
Q = np.array([[1.0, 2.0], [1.0, 1.0], [-1.0, 1.0]])  # (3, 2), a row for each item
agree("example_ratings", Q @ p_A, ratings)

# %% [markdown]
# There are many other vectors with these products. It will not matter which we take: of the vectors,
# attention uses only the products and the width $d_k$.
#
# ## The attention weights
#
# With the user as the query and the items as keys, the formula of section 4.2 gives the weights
#
# $$
# w_i = \frac{e^{p_A^T q_i / \sqrt{d_k}}}{\sum_j e^{p_A^T q_j / \sqrt{d_k}}}
# $$
#
# In a loop, and with `attention_forward` of the [lesson before](04_attention.md). Its result is the weights
# times a matrix of values. With the identity matrix as values, that is the weights themselves.


# %%
def weights_loops(p, Q):
    scores = [sum(a * b for a, b in zip(p, q, strict=True)) / np.sqrt(len(p)) for q in Q]
    powers = [np.exp(score) for score in scores]
    return np.array([power / sum(powers) for power in powers])


def weights_forward(p, Q):
    w = F.attention_forward(p[None], Q, np.eye(len(Q)))[0][0]  # p[None] is a matrix of one row
    return w, (p, Q, w)  # the second result is what the backward pass needs


w, _ = weights_forward(p_A, Q)
agree("example_weights", w, weights_loops(p_A, Q))
for title, r, share in zip(items, ratings, w, strict=True):
    print(f"{title}: rating {r:.0f}, score {r / np.sqrt(2):.3f}, weight {share:.3f}")

# %% [markdown]
# ## What the weights say
#
# Divide one weight by another. The sums cancel, $p_A^T q_i$ is $r_i$, and what is left is
#
# $$
# \frac{w_i}{w_j} = e^{(r_i - r_j) / \sqrt{d_k}}
# $$
#
# So weights have the order of the ratings, and their *ratios* say how far ratings are *apart*. Item 1
# weighs $e^{2 / \sqrt 2} = e^{\sqrt 2}$ times as much as item 2, since it has two stars more. That is all
# they say.

# %%
apart = (ratings[:, None] - ratings) / np.sqrt(2)  # (3, 3): row i, column j is r_i - r_j
agree("ratios of weights", w[:, None] / w, np.exp(apart))
print(f"item 1 beside item 2: {w[0] / w[1]:.3f} = e^√2 = {np.exp(np.sqrt(2)):.3f}")

# %% [markdown]
# ## What they do not say
#
# **1. How high a rating is.** Add a number to all ratings: their differences stay, and with them the
# weights. Five users, each with three ratings:

# %% Attention weights of five users: B loves all three items and C none, D likes all and E none, and nobody can tell
users = {
    "A: 5, 3, 1": [5, 3, 1],
    "B: 5, 5, 5": [5, 5, 5],
    "C: 1, 1, 1": [1, 1, 1],
    "D: 5, 4, 4": [5, 4, 4],
    "E: 2, 1, 1": [2, 1, 1],
}
of_users = F.softmax_forward(np.array(list(users.values())) / np.sqrt(2))[0]
plots.heatmap(
    of_users,
    rows=list(users),
    columns=items,
    xlabel="key",
    ylabel="user and ratings (query)",
    label="attention weight",
)

# %% [markdown]
# **2. How decided a user is.** The same three ratings give other weights when the vectors have more
# numbers. Fill $p_A$ and all $q_i$ up with zeros: no product changes, but $\sqrt{d_k}$ does. The number
# $d_k$ is a choice of whoever builds the model, not a taste of user A.


# %% The same ratings 5, 3, 1 at several widths: the wider the vectors, the more even the attention
def at_width(d):  # np.pad appends d - 2 zeros to p_A, and to each row of Q
    return weights_forward(np.pad(p_A, (0, d - 2)), np.pad(Q, [(0, 0), (0, d - 2)]))[0]


widths = 2 ** np.arange(1, 11)  # 2, 4, ..., 1024
shares = np.array([at_width(d) for d in widths])
curves = {
    f"{title}, rating {r:.0f}": (widths, shares[:, i])
    for i, (title, r) in enumerate(zip(items, ratings, strict=True))
}
plots.lines(curves, "width of the vectors, d_k", "attention weight", log="x")

# %% [markdown]
# **3. Anything about one item alone.** Weights are shares. Give user A a fourth item with rating 5, and the
# weights of the other three fall; their ratings stay.

# %%
more = F.softmax_forward(np.array([5.0, 3.0, 1.0, 5.0]) / np.sqrt(2))[0]
print("three items:", np.round(w, 3), " four items:", np.round(more, 3))

# %% [markdown]
# **4. What would raise a rating.** Which change of the user's vector $p$ makes a rating or a weight grow?
# Each forward line above its derivative:
#
# - forward $r_i = p^T q_i$. So $\partial r_i / \partial p = q_i$: a rating grows when the user moves
#   *towards the item*.
# - forward $s_i = r_i / \sqrt{d_k}$. So $\partial s_i / \partial p = q_i / \sqrt{d_k}$.
# - forward $w = \mathrm{softmax}(s)$. So $\partial w_i / \partial s_j$ is $w_i (1 - w_i)$ for $j = i$ and
#   $-w_i w_j$ for any other $j$ ([softmax](03_softmax.md)).
#
# By the chain rule the slope of $w_i$ is the sum over $j$ of the last two, multiplied. That is $w_i q_i$
# less $w_i \sum_j w_j q_j$, over $\sqrt{d_k}$. With the mean item $\bar q = \sum_j w_j q_j$:
#
# $$
# \frac{\partial w_i}{\partial p} = \frac{w_i\,(q_i - \bar q)}{\sqrt{d_k}}
# $$
#
# So a weight grows when the user moves along $q_i - \bar q$: towards the item, and *away from the mean of
# what is attended to already*. We check it by complex step, a slope in one direction that is exact to
# rounding ([lesson 0](00_gradients.md)).

# %%
mean_item = w @ Q
slopes = w[:, None] * (Q - mean_item) / np.sqrt(2)  # (3, 2): a row for each weight
by_machine = [complex_step(lambda p: weights_forward(p, Q)[0], p_A, along) for along in np.eye(2)]
agree("slopes of the weights", slopes, np.stack(by_machine, axis=1))  # a column for each direction

# %% [markdown]
# The backward pass goes the same way for a loss $L$ of which $dw = \partial L / \partial w$ is given. From
# the last line to the first:
#
# - forward $w = \mathrm{softmax}(s)$. So $ds$ is what `softmax_backward` makes of $dw$.
# - forward $s_i = p^T q_i / \sqrt{d_k}$. The user is in all scores, an item in its own only. So
#   $dp = \sum_i ds_i\, q_i / \sqrt{d_k}$ and $dq_i = ds_i\, p / \sqrt{d_k}$.


# %%
def weights_backward(dw, cache):
    p, Q, w = cache
    ds = F.softmax_backward(dw, F.SoftmaxCache(w)) / np.sqrt(len(p))  # with the root of both lines
    return ds @ Q, np.outer(ds, p)  # row i of the outer product is ds_i times p


report = check_gradient(weights_forward, weights_backward, p_A, Q)
print("gradient is right" if report.ok else report)

# %% [markdown]
# In minirec this is one call of `attention_backward`.
#
# The slopes of a rating and of its weight can point against each other. Move user A by a vector of length 1
# along the slope of $w_2$, so that item 2 gets more attention:

# %%
moved = p_A + slopes[1] / np.sqrt((slopes[1] ** 2).sum())  # divided by its length
print(f"weight of item 2: {w[1]:.3f}, then {weights_forward(moved, Q)[0][1]:.3f}")
print("ratings of items 1 to 3:", Q @ p_A, " then", np.round(Q @ moved, 2))

# %% [markdown]
# More attention, fewer stars. All three ratings fell, that of item 1 the most.
#
# **5. How much an item counts for a prediction.** Attention does not end with weights: its result is a
# weighted mean of *values*, $y = \sum_j w_j v_j$, and section 4.3 stops before it. Let the query be a new
# item, the keys three rated items, and the values their stars, as in the [lesson before](04_attention.md).
# Then $y$ predicts the stars of the new item. What does item $j$ do for it? Leave it out, and call the
# prediction from the others $y_{-j}$. Their weights add up to $1 - w_j$ in $y$ and to 1 in $y_{-j}$, in the
# same proportions. So $y = w_j v_j + (1 - w_j)\, y_{-j}$. Solve for $y_{-j}$ and subtract:
#
# $$
# y - y_{-j} = \frac{w_j}{1 - w_j} (v_j - y)
# $$
#
# The weight is only one of two factors. The other is how far the item's stars are from the prediction. Take
# weights of $3/5$, $1/5$, $1/5$ and stars 4, 5, 3, so that $y = (3 \cdot 4 + 5 + 3) / 5 = 4$:

# %%
scores, stars = np.log([3.0, 1.0, 1.0]), np.array([4.0, 5.0, 3.0])  # the powers are 3, 1, 1
share = F.softmax_forward(scores)[0]
y = share @ stars
without = []
for j in range(3):
    seen = np.arange(3) != j  # a mask: False for item j, which is left out
    without.append(F.softmax_forward(scores, seen)[0] @ stars)
    print(f"weight {share[j]:.1f}, {stars[j]:.0f} stars: prediction {y:.1f}, without it {without[j]:.2f}")
agree("effect of leaving an item out", y - np.array(without), share / (1 - share) * (stars - y))

# %% [markdown]
# The item with the largest weight does nothing at all. Without it the prediction is the same.
#
# ## What the section glosses over
#
# **The list holds what the user has rated already.** A list is made by taking the best, then the best of
# what is left, and so on. In symbols, the item $\pi_m$ at place $m$ is the one with the largest rating
# ($\arg\max$) of those not ($\notin$) at a place before it:
#
# $$
# \pi_m = \arg\max_{i \,\notin\, \{\pi_1, \ldots, \pi_{m-1}\}} r_i
# $$
#
# For user A this gives items 1, 2, 3, and it would by weights as well, since they have the same order. But
# user A has seen all three. A recommender leaves out what was seen (its score becomes $-\infty$), and then
# nothing is left:

# %%
agree("example_ranking", top_k(ratings, 3), np.argsort(-ratings))  # the numbers of the best 3, from 0
unseen = np.where([True, True, True], -np.inf, ratings)  # seen: all three
print("best first:", [items[i] for i in top_k(ratings, 3)])
print("not seen yet:", [items[i] for i in top_k(unseen, 3)])

# %% [markdown]
# **Who asks whom?** The section lets the user attend to items. The code of section 5.2 does it the other
# way round: its decoder lets the items ask, and for one user the only key is that user. Over one key every
# weight is 1, whatever the ratings:

# %%
_, cache = F.attention_forward(Q, p_A[None], p_A[None])  # three queries, one key and its value
print("attention of each item to user A:", cache.p.ravel())

# %% [markdown]
# **Weights need not have the order of the ratings.** That holds while the score *is* the rating. In a
# Transformer it is not: the query is $W_q^T p$ and the key $W_k^T q$, with learned matrices
# ([heads](06_heads.md)). Let $W_k$ be the identity and $W_q$ the diagonal matrix of $(-2, 1)$, so the query
# is $(-2 \cdot 1, 1 \cdot 2) = (-2, 2)$. Its products with $(1, 2)$, $(1, 1)$ and $(-1, 1)$ are 2, 0 and 4:

# %%
turned = weights_forward(np.diag([-2.0, 1.0]) @ p_A, Q)[0]
print("weights:", np.round(turned, 3))
print("most attention:", items[turned.argmax()], " highest rating:", items[ratings.argmax()])

# %% [markdown]
# **Where does a new rating come from?** From other users. Suppose that nobody knows what A thinks of a
# fourth item. We start with random vectors, and go down the slope of the squared error over what is known
# ([factorization](02_factorization.md)): once with A's three ratings alone, once with those of three more
# users. These rate item 4 as they rate item 1. So A, who gave item 1 five stars, should like item 4 as
# well.

# %% Prediction for A and item 4 in training: alone it depends on the random start, with three more users it is 5
# A and three more users; nan stands for unknown
known = np.array([[5, 3, 1, np.nan], [4, 3, 2, 4], [1, 3, 5, 1], [2, 3, 4, 2]])


def predictions(table, seed, steps=250, rate=0.01):
    users, rated = np.nonzero(~np.isnan(table))  # row and column of each known rating
    rng = np.random.default_rng(seed)
    P, Q = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    none = np.zeros(4)  # the formula also has a number for each user, for each item, and a mean: all 0 here
    path = []
    for _ in range(steps):
        path.append(P[0] @ Q[3])  # what is predicted now for A and item 4
        r, cache = F.factorization_forward(P, Q, none, none, 0.0, users, rated)
        # the slope of (r - rating)^2 is 2 (r - rating)
        dP, dQ, _, _ = F.factorization_backward(2 * (r - table[users, rated]), cache)
        P, Q = P - rate * dP, Q - rate * dQ
    return np.array(path)


paths = {f"A alone, start {seed}": predictions(known[:1], seed) for seed in (1, 4)}
paths |= {f"with three more users, start {seed}": predictions(known, seed) for seed in (1, 4)}
plots.lines(
    {name: (range(250), path) for name, path in paths.items()}, "step", "predicted rating of A for item 4"
)

# %% [markdown]
# Alone, A's ratings say nothing of item 4: its vector receives no gradient and stays where chance put it.
# (The prediction moves in the first steps because A's own vector moves.) With the others, it gets the
# vector of item 1. This is the point of an interaction matrix with many rows. The document's example has
# one row, and no weights computed from it can say what is not in it.
#
# ## Exercise
#
# Write `example_ranking(scores, k)`: the $k$ best items, best first, the lower number first where two are
# equal. Items with a score of $-\infty$ are no candidates, so the list may be shorter than $k$. Then
#
# ```
# python -m minirec verify my_file.py:example_ranking --against example_ranking
# ```
#
# ## In practice
#
# Whether attention weights explain a prediction has been argued at length. Jain & Wallace (2019) found
# weights that look quite different and give the same prediction, and that weights agree poorly with what
# happens when an input is left out; Wiegreffe & Pinter (2019) answer that this depends on what is called an
# explanation. For a recommender the safe reading is the one of this lesson: a weight is a share in a mean.
# If you want to know what an item of the history did for a recommendation, leave it out and look.
