# %% [markdown]
# # Factor the matrix: embeddings, biases, and two ways to learn them
#
# - **You will do:** fill a 5 x 4 rating matrix with products of small vectors, by hand; derive the gradient
#   and check it; walk down the loss, once by small steps, once by solving equations.
# - **You will learn:** what an embedding is, why its single numbers mean nothing, why it must not start at
#   zero, and why a model that fits its ratings perfectly may still know little.
# - **You need:** matrix products, the chain rule, [how a gradient is checked](00_gradients.md), and [the
#   interaction matrix](01_interactions.md), which comes before this lesson.
#
# This works through the second point of section 4.1 (embedding vectors) of "Can large models change the
# recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术). That section says that users and items are mapped
# to vectors of low dimension. It does not say how such vectors are found; that is this lesson.

# %%
import json
from pathlib import Path

import numpy as np

import minirec
from minirec import functional as F
from minirec import plots
from minirec.data import InteractionMatrix, random_split, southern_women, synthetic
from minirec.metrics import rmse
from minirec.models import MatrixFactorization
from minirec.models.implicit_als import als_half_step, als_objective
from minirec.models.matrix_factorization import l2_penalty, sgd_factorization_step
from minirec.verify import agree, check_gradient

# %% [markdown]
# ## Two small tables instead of a large one
#
# Give every user a row of $D$ numbers, and every film as well. Say $D = 2$, and call the numbers "action"
# and "romance". A film has 2 or 1 where it has much or some of it, and -1 where it has the opposite; a user
# has 1 for love and -1 for dislike. Such a row is called an *embedding*. The tables are $P$, shape $(U,
# D)$, for $U$ users and $Q$, shape $(I, D)$, for $I$ items.

# %%
users = ["Ann", "Bob", "Cleo", "Dan", "Eve"]
films = ["The Chase", "The Kiss", "Spy in Love", "The Lecture"]
P = np.array([[1, 0], [0, 1], [1, 1], [1, -1], [-1, 1]], dtype=float)
Q = np.array([[2, 0], [0, 2], [1, 1], [-1, -1]], dtype=float)

# %% [markdown]
# To look up the embedding $p_u$ of user $u$ is to take a row of $P$. Written as a product, it is a
# *one-hot* vector (1 at place $u$, 0 elsewhere) times the table:
#
# $$
# p_u = \operatorname{onehot}(u)^T P = P[u]
# $$
#
# How well do user and film go together? Multiply number by number and add up: that is the product $p_u^T
# q_i$ of the two rows. With a mean rating $\mu = 3$ in front it is a rating, and all ratings at once are a
# matrix product:
#
# $$
# R_{ui} = \mu + p_u^T q_i, \qquad R = \mu + P Q^T
# $$
#
# Cleo and Spy in Love: $3 + 1 \cdot 1 + 1 \cdot 1 = 5$. Dan and The Kiss: $3 + 1 \cdot 0 + (-1) \cdot 2 =
# 1$.

# %%
onehot = np.eye(5)[2]  # row 2 of the identity matrix, which has 1 on its diagonal and 0 elsewhere
agree("embedding", onehot @ P, P[2])

by_hand = [[3 + sum(P[u, d] * Q[i, d] for d in range(2)) for i in range(4)] for u in range(5)]
R = 3 + P @ Q.T
agree("a rating is a product of two rows", R, by_hand)
for user, row in zip(users, R, strict=True):
    print(f"{user:5}", *row.astype(int))

# %% [markdown]
# Twenty ratings from 18 numbers saves little. For the 943 users and 1682 films of MovieLens 100K with $D =
# 100$ it is {{(943 + 1682) * 100:,}} numbers for {{943 * 1682:,}} cells. And it says something about cells
# that nobody filled: a row of $P$ that was found from some ratings of a user gives all the others.
#
# ## Bias terms
#
# Some users rate everything high, and some films please everybody. That has nothing to do with how the two
# go together, so it gets numbers of its own, the *biases* $b_u$ of each user and $b_i$ of each item. The
# predicted rating is called the *score*:
#
# $$
# s_{ui} = \mu + b_u + b_i + p_u^T q_i
# $$

# %%
b_user, b_item, mu = np.array([0.5, 0, 0, -0.5, 0]), np.array([0, 0.25, 0, -0.25]), 3.0
u, i = np.array([2, 3, 2]), np.array([2, 1, 3])  # three pairs: Cleo, Dan, and Cleo again
# The scores of these pairs, and what the backward pass will need
s, cache = F.factorization_forward(P, Q, b_user, b_item, mu, u, i)
agree("factorization", s, [mu + b_user[a] + b_item[b] + sum(P[a] * Q[b]) for a, b in zip(u, i, strict=True)])
print(np.round(s, 2))

# %% [markdown]
# ## Why turning the embeddings changes nothing
#
# Turn all users and all films by the same angle. A turn is a matrix $A$ of shape $(D, D)$ for which $A A^T$
# is the identity matrix, and so
#
# $$
# (P A)(Q A)^T = P A A^T Q^T = P Q^T
# $$
#
# Every rating stays as it was, while the numbers in both tables are others.

# %%
angle = np.deg2rad(35)
A = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
agree("a rotation of both tables", (P @ A) @ (Q @ A).T, P @ Q.T)
print("Cleo was", P[2], "and is", np.round(P[2] @ A, 2))

# %% Users and films before and after a turn by 35 degrees: the same angles between them, the same ratings
points = np.concatenate([P, Q, P @ A, Q @ A])
kinds = ["user"] * 5 + ["film"] * 4 + ["user, turned"] * 5 + ["film, turned"] * 4
plots.embedding_map(points, kinds, 2 * [*users, *films], axis_names=("first number", "second number"))

# %% [markdown]
# (Cleo and Spy in Love have the same two numbers, and so the same place.) So "the first number of Cleo" has
# no meaning. In *our* table it was called action, because we wrote it by hand; in a table that was learned
# nothing ties it to that axis. What does mean something: lengths, angles, and products.
#
# ## The loss and its gradient
#
# Now the tables are unknown, and $N$ ratings are given: number $n$ is the rating $r_n$ of user $u_n$ for
# item $i_n$. Absent cells are not zeros ([lesson 1](01_interactions.md)), so they take no part. The loss is
# the mean squared error
#
# $$
# L = \frac{1}{N} \sum_n (s_n - r_n)^2
# $$
#
# For the backward pass, each line of the forward pass is repeated above its derivative, from the last to
# the first. $ds_n$ stands for $\partial L / \partial s_n$, and so on:
#
# - forward $L = \frac1N \sum_n (s_n - r_n)^2$. So $ds_n = \frac2N (s_n - r_n)$.
# - forward $s_n = \mu + b_{u_n} + b_{i_n} + p_n^T q_n$, with $p_n, q_n$ the two rows that were looked up.
#   So $dp_n = ds_n\, q_n$ and $dq_n = ds_n\, p_n$, and both biases get $ds_n$.
# - forward $p_n = P[u_n]$, $q_n = Q[i_n]$. A row that was looked up for several ratings gets the sum over
#   all of them:
#
# $$
# dP_u = \sum_{n:\, u_n = u} ds_n\, q_n, \qquad dQ_i = \sum_{n:\, i_n = i} ds_n\, p_n
# $$


# %%
def factorization_forward(P, Q, b_user, b_item, mu, users, items):
    p, q = P[users], Q[items]  # (N, D) each: one row per rating
    s = mu + b_user[users] + b_item[items] + (p * q).sum(axis=1)
    return s, (p, q, users, items, len(P), len(Q))


def factorization_backward(ds, cache):
    p, q, users, items, n_users, n_items = cache
    dP, dQ = np.zeros((n_users, p.shape[1])), np.zeros((n_items, q.shape[1]))
    np.add.at(dP, users, ds[:, None] * q)  # adds up where a user occurs more than once (lesson 1)
    np.add.at(dQ, items, ds[:, None] * p)
    db_user, db_item = np.bincount(users, ds, n_users), np.bincount(items, ds, n_items)  # sums of ds
    return dP, dQ, db_user, db_item


ratings = np.array([5.0, 1.0, 2.0])
s, cache = factorization_forward(P, Q, b_user, b_item, mu, u, i)
L, cache_of_L = F.squared_error_forward(s, ratings)
agree("squared_error", L, sum((s - ratings) ** 2) / 3)

ds = F.squared_error_backward(1.0, cache_of_L)
dP, dQ, db_user, db_item = factorization_backward(ds, cache)
of_Cleo = ds[0] * Q[2] + ds[2] * Q[3]  # her two ratings
agree("gradient of factorization", [*dP[2], *dQ[1]], [*of_Cleo, *(ds[1] * P[3])])

arguments = P, Q, b_user, b_item, mu, u, i
report = check_gradient(factorization_forward, factorization_backward, *arguments)
print("gradient is right" if report.ok else report)

# %% [markdown]
# The frequent mistake is `dP[users] += ...` in place of `np.add.at`: without an error, only the last of
# Cleo's two ratings would count ([lesson 1](01_interactions.md) shows why).
#
# This is `minirec.functional.factorization_forward` and `factorization_backward`: use them from here on.
#
# ## What the loss looks like
#
# One user, one film, $D = 1$, one rating that lies 1 above the mean: two unknown numbers $p$ and $q$, and a
# loss that can be drawn as a map. A *penalty* on large numbers is added, as in most real training; how much
# it counts is set by $\lambda$ (lambda):
#
# $$
# L(p, q) = (1 - p q)^2 + \lambda (p^2 + q^2)
# $$
#
# With the error $e = 1 - pq$ the slopes are $\partial L / \partial p = -2 (e q - \lambda p)$ and $\partial
# L / \partial q = -2 (e p - \lambda q)$. Two ways down:
#
# - **gradient descent** takes many small steps against the slope, in both numbers at once;
# - **alternating least squares** (ALS) holds $q$ still and goes to the best $p$ in one step, then holds $p$
#   still, and so on. The best $p$ is where its slope is zero: $e q = \lambda p$, or $q - p q^2 = \lambda
#   p$, so $p = q / (q^2 + \lambda)$.

# %%
reg = 0.1  # λ


def loss(p, q):
    return (1 - p * q) ** 2 + reg * (p**2 + q**2)


def descend(p, q, lr=0.05, steps=400):  # lr: the learning rate, how far a step goes
    path = [(p, q)]
    for _ in range(steps):
        e = 1 - p * q
        p, q = p + lr * (e * q - reg * p), q + lr * (e * p - reg * q)  # the 2 is put into lr
        path.append((p, q))
    return np.array(path)


def alternate(p, q, steps=20):
    path = [(p, q)]
    for _ in range(steps):
        p = q / (q**2 + reg)
        path.append((p, q))
        q = p / (p**2 + reg)
        path.append((p, q))
    return np.array(path)


# The same loss by minirec: tables of one row, no biases, μ = 3, and a rating of 4
p, q, none, first = np.array([[0.7]]), np.array([[-1.2]]), np.zeros(1), np.array([0])
score, _ = F.factorization_forward(p, q, none, none, 3.0, first, first)
square, _ = F.squared_error_forward(score, np.array([4.0]))
penalty = l2_penalty({"P": p, "Q": q, "b_user": none, "b_item": none}, first, first, reg)
agree("factorization_loss", square + penalty, loss(0.7, -1.2))

paths = {
    "gradient descent": descend(-0.2, -1.8),
    "gradient descent, past the saddle": descend(0.6, -0.55),
    "alternating least squares": alternate(2.0, 0.25),
}
for name, path in paths.items():
    print(f"{name:34} ends at {np.round(path[-1], 2)}, loss {loss(*path[-1]):.3f}")

# %% The loss of two numbers: two equal valleys, a saddle between them at (0, 0), and three ways down
axis = np.linspace(-2.2, 2.2, 81)
heights = loss(axis[None, :], axis[:, None])
levels = [0, 0.2, 0.25, 0.4, 0.6, 1, 2, 4, 8]
plots.surface(axis, axis, heights, levels, paths=paths, xlabel="p", ylabel="q", label="loss")

# %% [markdown]
# A ring is a start, a dot an end. Three things can be read off the map.
#
# - There are two lowest points, $(p, q)$ and $(-p, -q)$, with the same loss. With $D = 1$ a change of sign
#   is all that is left of turning. Which one is found depends on the start.
# - ALS moves along the axes, in a staircase. Each step is the best in its direction, and still it takes
#   many of them where the valley runs across the axes.
# - At $(0, 0)$ both slopes are zero. It is a *saddle*: downhill in two directions, uphill in two others,
#   and who starts there stays there. **If both tables start at zero, they never learn**, whatever the data,
#   since $dp_n = ds_n\, q_n$ and $dq_n = ds_n\, p_n$ are zero.
#
# So they start as small random numbers. Zero is a fine start for the biases, which have a slope there.
#
# ## One rating, one step
#
# *Stochastic gradient descent* (SGD) takes one rating $r$ at a time, in random order, and makes a step for
# it. With the error $e$, the learning rate $\gamma$ (gamma) and the penalty $\lambda$ (the factor 2 is
# again put into $\gamma$), all right sides as they are *before* the step:
#
# $$
# \begin{aligned}
# e &= r - (\mu + b_u + b_i + p_u^T q_i) \\
# b_u &\leftarrow b_u + \gamma (e - \lambda b_u), & b_i &\leftarrow b_i + \gamma (e - \lambda b_i) \\
# p_u &\leftarrow p_u + \gamma (e\, q_i - \lambda p_u), & q_i &\leftarrow q_i + \gamma (e\, p_u - \lambda q_i)
# \end{aligned}
# $$
#
# By hand, with $\gamma = 0.5$ and $\lambda = 0$: $p = (1, 0)$, $q = (1, 1)$, $\mu = 3$, and a rating of 5.
# Then $e = 5 - 4 = 1$. The new $p$ is $(1, 0) + 0.5\,(1, 1) = (1.5, 0.5)$, and the new $q$ is $(1, 1) +
# 0.5\,(1, 0) = (1.5, 1)$.

# %%
p, q = np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])
e = sgd_factorization_step(p, q, np.zeros(1), np.zeros(1), 3.0, 0, 0, rating=5.0, lr=0.5, reg=0.0)
agree("sgd_factorization_step", [e, *p[0], *q[0]], [1, 1.5, 0.5, 1.5, 1.0])

# %% [markdown]
# The trap is the word "before". In NumPy `P[u]` is not a copy but a window into the table. Change the
# table, and the window shows the new numbers:

# %%
P_trap, Q_trap = np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])
p_row, q_row = P_trap[0], Q_trap[0]  # windows
P_trap[0] += 0.5 * (1 * q_row)
Q_trap[0] += 0.5 * (1 * p_row)  # reads the p of after
print("q with the old p:", q[0], "  with the new p:", Q_trap[0])

# %% [markdown]
# `sgd_factorization_step` copies the row first. Now learn the table of twenty ratings from two random
# starts. An *epoch* is one pass through all ratings.


# %%
def train(known, seed, epochs=400):
    """Embeddings of the users, and all 5 x 4 ratings, learned from the cells in `known`."""
    rng = np.random.default_rng(seed)
    tables = rng.normal(0, 0.1, (5, 2)), rng.normal(0, 0.1, (4, 2)), np.zeros(5), np.zeros(4)
    for _ in range(epochs):
        for n in rng.permutation(len(known)):
            a, b = known[n]
            sgd_factorization_step(*tables, 3.0, a, b, R[a, b], lr=0.05, reg=0.0)  # changes the tables
    P, Q, b_user, b_item = tables
    return P, 3.0 + b_user[:, None] + b_item + P @ Q.T


cells = [(a, b) for a in range(5) for b in range(4)]
for seed in (0, 1):
    found, table = train(cells, seed)
    print(f"start {seed}: largest error {abs(table - R).max():.2f}, Cleo is", np.round(found[2], 2))

# %% [markdown]
# The same ratings from other vectors: nothing in the data tells one turn from another. Now hide five of the
# twenty ratings from the training and ask for them afterwards.

# %%
hidden = [(0, 2), (1, 3), (2, 1), (3, 0), (4, 2)]
_, table = train([cell for cell in cells if cell not in hidden], seed=1)
seen = max(abs(table[cell] - R[cell]) for cell in cells if cell not in hidden)
print(f"ratings that were seen: largest error {seen:.2f}")
for a, b in hidden:
    print(f"{users[a]:5} {films[b]:12} rates {R[a, b]:.0f}, predicted {table[a, b]:.2f}")

# %% [markdown]
# ## What goes wrong in practice: it remembers and does not know
#
# The model has 27 numbers (18 in the vectors, 9 biases) and saw 15 ratings. It can fit them in many ways,
# and found one that says little about the rest. This is *overfitting*. The cures are more data, and the
# penalty $\lambda$, which keeps vectors short unless the ratings speak clearly for longer ones.
#
# The [synthetic shop](01_interactions.md) shows it at a larger size: 20,000 ratings, a fifth of them kept
# out of the training for the test. Errors are given as RMSE, the square root of the mean squared error, in
# stars. Because the shop's truth is known, so is the smallest error that any model can reach.

# %% Error by penalty: on what it was trained on, less penalty is always better; on the test it is not
shop = synthetic()
training, test = random_split(shop.interactions, 0.2, rng=0)
best = rmse(shop.expected_ratings(test.users, test.items), test.ratings)

penalties = [0.01, 0.03, 0.1, 0.2, 0.4]
fitted = [MatrixFactorization(16, lr=0.02, epochs=60, reg=reg).fit(training, rng=0, progress=False)
          for reg in penalties]  # fmt: skip
errors = {
    name: [rmse(model.predict(x.users, x.items), x.ratings) for model in fitted]
    for name, x in (("training ratings", training), ("test ratings", test))
}
print(f"smallest error on the test {min(errors['test ratings']):.2f}, best possible {best:.2f}")
errors["best possible, test"] = 5 * [best]
plots.lines({name: (penalties, e) for name, e in errors.items()}, "penalty λ", "RMSE", log="x")

# %% [markdown]
# The penalty that is best here was seen on the test ratings. To report a result it has to be chosen on a
# third part of the data ([evaluation](12_evaluation.md)).
#
# ## The other way down: alternating least squares
#
# Now implicit feedback, the women of [lesson 1](01_interactions.md). Let $n_{ui}$ be how often woman $u$
# came to event $i$ (0 or 1 here), and $t_{ui} = 1$ if $n_{ui} > 0$ and else 0. We look for vectors, called
# $x_u$ and $y_i$ in this method, whose product $x_u^T y_i$ is near $t_{ui}$. But absence is a weak "no"
# only, so an error counts by a *confidence* $c_{ui} = 1 + \alpha n_{ui}$: 1 where she was absent, more
# where she came. With $\|x\|^2$ for the sum of the squares of all numbers in $x$:
#
# $$
# J = \sum_u \sum_i c_{ui} (t_{ui} - x_u^T y_i)^2 + \lambda \Bigl(\sum_u \|x_u\|^2 + \sum_i \|y_i\|^2\Bigr)
# $$
#
# The sum runs over *all* pairs, also the absent ones. Hold the items still. Then each user has terms of her
# own, and we look for the place where their slope is zero:
#
# - forward $J_u = \sum_i c_{ui} (t_{ui} - x_u^T y_i)^2 + \lambda x_u^T x_u$. So $\partial J_u / \partial
#   x_u = -2 \sum_i c_{ui} (t_{ui} - x_u^T y_i)\, y_i + 2 \lambda x_u$.
# - zero: $\sum_i c_{ui}\, y_i (y_i^T x_u) + \lambda x_u = \sum_i c_{ui} t_{ui}\, y_i$. The unknown $x_u$
#   stands on the left only, times a $(D, D)$ matrix, with $\mathrm{Id}$ for the identity matrix. These are
#   $D$ equations for $D$ numbers. Their solution is written with $^{-1}$, and NumPy's `solve` computes it:
#
# $$
# x_u = \Bigl( \sum_i c_{ui}\, y_i y_i^T + \lambda\, \mathrm{Id} \Bigr)^{-1} \sum_i c_{ui} t_{ui}\, y_i
# $$


# %%
def half_step_loops(Y, n, alpha, reg):
    X = np.zeros((len(n), Y.shape[1]))
    for u in range(len(n)):
        left, right = reg * np.eye(Y.shape[1]), np.zeros(Y.shape[1])
        for i, y in enumerate(Y):
            c, t = 1 + alpha * n[u, i], float(n[u, i] > 0)
            left += c * np.outer(y, y)  # y yᵀ, (D, D)
            right += c * t * y
        X[u] = np.linalg.solve(left, right)
    return X


women = southern_women()
met = women.matrix()
n, alpha, reg = met.dense(), 1.0, 0.5
Y = np.random.default_rng(0).normal(0, 0.1, (14, 2))
X = als_half_step(Y, met, alpha, reg)
squares = (1 + alpha * n) * ((n > 0) - X @ Y.T) ** 2
J = squares.sum() + reg * ((X**2).sum() + (Y**2).sum())
agree("als_objective", als_objective(X, Y, met, alpha, reg), J)
agree("als_half_step", X, half_step_loops(Y, n, alpha, reg))

# %% [markdown]
# This is `minirec.models.implicit_als.als_half_step`: use it from here on. The half-step of the items is
# the same function, with rows and columns of the matrix exchanged. Take fifteen of each in turn:

# %%
heights = []
for _ in range(15):
    X = als_half_step(Y, met, alpha, reg)
    heights.append(als_objective(X, Y, met, alpha, reg))
    Y = als_half_step(X, met.T, alpha, reg)
    heights.append(als_objective(X, Y, met, alpha, reg))
print("J after the first half-steps:", *np.round(heights[:6], 1), " after the last:", round(heights[-1], 1))
print("J never rises:", bool(np.all(np.diff(heights) <= 1e-9)))

# %% [markdown]
# Every half-step is the best that can be done while the other side is held, so $J$ cannot rise, and there
# is no learning rate to choose. But $J$ need not come to the lowest point of all: taken together, $X$ and
# $Y$ have saddles and several valleys, as on the map above.
#
# ## What the vectors of the women say
#
# Two numbers per woman and per event, learned from who came to what. A map may be turned as one likes, so
# we turn it until its first axis is the one along which the points differ most (*principal axes*), and move
# it so that the middle of the points is at 0.

# %% Women and events as vectors of width 2: two circles, and events 7 and 8 between them
order = list(dict.fromkeys(women.users.tolist()))  # the rows of the table of lesson 1
halves = {woman: "woman, upper half" if row < 9 else "woman, lower half" for row, woman in enumerate(order)}
kinds = [halves[woman] for woman in range(18)] + ["event"] * 14
names = [str(name).split()[0] for name in women.user_ids] + [str(event) for event in women.item_ids]
named = {"Charlotte", "Ruth", "Pearl", "Theresa", "Dorothy", "Olivia", "Flora", "Myra", "Nora"}
labels = [name if name in named or name.isdigit() else None for name in names]  # more would overlap
plots.embedding_map(plots.principal_axes(np.concatenate([X, Y])), kinds, labels)

# %% [markdown]
# Nobody told the model about the halves of the printed table. Olivia and Flora came to the same two events,
# so they have the same equations and the same vector.
#
# ## Somebody new
#
# A newcomer who came to event 3 alone gets a vector by one half-step, with the events held still
# (*fold-in*), and then scores for every event. And a newcomer of whom nothing is known?


# %%
def fold_in(events):
    columns = np.array(sorted(events)) - 1  # event 1 is column 0
    row = InteractionMatrix([0, len(columns)], columns, np.ones(len(columns)), (1, 14))  # a matrix of one row
    return als_half_step(Y, row, alpha, reg)[0]


scores = Y @ fold_in([3])
new = [event for event in np.argsort(-scores) + 1 if event != 3]
print("next for the newcomer:", *new[:3], "  last:", *new[-3:])
print("vector of somebody unknown:", fold_in([]))

# %% [markdown]
# Section 9.2 of the document lists collaborative filtering (learning from what other users did, as here)
# among the answers to *cold start*: new users and new items. One event is enough for a start: the events of
# one circle come first, those of the other last. But for somebody with none the equations give zero, and a
# zero vector scores everything alike. What is left there is popularity, and the other two answers of that
# section: profiles of users and features of items.
#
# ## Exercise
#
# Write `factorization_forward` and `factorization_backward` in a file of your own, without looking. What is
# the gradient of a user who has no rating among the $N$? Then:
#
# ```
# python -m minirec verify my_file.py:factorization --against factorization
# ```
#
# The same goes for `sgd_factorization_step`, which changes its tables and returns the error $e$.
#
# ## In practice
#
# A model that is trained on ratings alone (`mf-squared`) makes poor lists, because it never saw what people
# left alone. Measured on MovieLens 100K by NDCG@10, which is 1 for the best possible lists of ten items and
# 0 for useless ones ([evaluation](12_evaluation.md)):

# %%
results = Path(minirec.__file__).parent.parent / "tests" / "results" / "ml100k"
print("python tests/make_ml100k.py mf-squared popularity als  (the command that makes these)")
for name in ("mf-squared", "popularity", "als"):
    measured = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
    print(f"{name:10}  NDCG@10 {measured['seeds']['0']['metrics']['full']['NDCG@10'][0]:.3f}")

# %% [markdown]
# For lists use ALS or a loss over pairs of items (Rendle et al. 2009; `MatrixFactorization(loss="bpr")`).
#
# Factorization with biases by SGD is described by Koren, Bell & Volinsky (2009), ALS with confidences by
# Hu, Koren & Volinsky (2008). `surprise.SVD` is the first of the two; the library `implicit` and Spark's
# `ALS` have the second. Rendle, Krichene, Zhang & Anderson (2020) found that a well-tuned product of two
# vectors does better than a small neural network in its place; [which model when](13_which_model.md)
# compares factorization with Transformers. In the Transformer the tables stay: [the document's
# model](08_document_model.md) begins with an embedding of users and items, and section 5.2 takes one table
# for both, which mixes user 1 with item 1.
