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
# has 1 for love and -1 for dislike. Such a row is called an *embedding*. The tables are $P$, shape
# $(U, D)$, and $Q$, shape $(I, D)$.

# %%
users = ["Ann", "Bob", "Cleo", "Dan", "Eve"]
films = ["The Chase", "The Kiss", "Spy in Love", "The Lecture"]
P = np.array([[1, 0], [0, 1], [1, 1], [1, -1], [-1, 1]], dtype=float)
Q = np.array([[2, 0], [0, 2], [1, 1], [-1, -1]], dtype=float)

# %% [markdown]
# To look up the embedding of a user is to take a row. Written as a product, it is a *one-hot* row (a 1 at
# the user's place, 0 elsewhere) times the table:
#
# $$
# p_u = \operatorname{onehot}(u)^T P = P[u]
# $$
#
# How well do user and film go together? Multiply number by number and add up. With the mean rating
# $\mu = 3$ in front, that is a rating. All of them at once are a matrix product:
#
# $$
# R_{ui} = \mu + p_u^T q_i, \qquad R = \mu + P Q^T
# $$
#
# Cleo and Spy in Love: $3 + 1 \cdot 1 + 1 \cdot 1 = 5$. Dan and The Kiss:
# $3 + 1 \cdot 0 + (-1) \cdot 2 = 1$.

# %%
agree("embedding", np.eye(5)[2] @ P, P[2])

by_hand = [[3 + sum(P[u, d] * Q[i, d] for d in range(2)) for i in range(4)] for u in range(5)]
R = 3 + P @ Q.T
agree("a rating is a product of two rows", R, by_hand)
for user, row in zip(users, R, strict=True):
    print(f"{user:5}", *row.astype(int))

# %% [markdown]
# Twenty ratings from 18 numbers saves little. For MovieLens 100K (943 users, 1682 films) with $D = 100$ it
# is {{(943 + 1682) * 100:,}} numbers for {{943 * 1682:,}} cells. And it says something about cells that
# nobody filled, because a row of $P$ that was found from some cells serves for all.
#
# ## Bias terms
#
# Some users rate everything high, and some films please everybody. That has nothing to do with how the two
# go together, so it gets numbers of its own, $b_u$ and $b_i$:
#
# $$
# s_{ui} = \mu + b_u + b_i + p_u^T q_i
# $$
#
# A bias is nothing new, only a place in the vectors where the other side is held at 1:
#
# $$
# b_u + b_i + p_u^T q_i = (p_u, b_u, 1)^T (q_i, 1, b_i)
# $$

# %%
b_user, b_item, mu = np.array([0.5, 0, 0, -0.5, 0]), np.array([0, 0.25, 0, -0.25]), 3.0
u, i = np.array([2, 3, 2]), np.array([2, 1, 3])  # three pairs; Cleo twice
s, _ = F.factorization_forward(P, Q, b_user, b_item, mu, u, i)
agree("factorization", s, [mu + b_user[a] + b_item[b] + sum(P[a] * Q[b]) for a, b in zip(u, i, strict=True)])

wide_P = np.column_stack([P, b_user, np.ones(5)])
wide_Q = np.column_stack([Q, np.ones(4), b_item])
agree("biases are factors", s, mu + (wide_P[u] * wide_Q[i]).sum(axis=1))
print(np.round(s, 2))

# %% [markdown]
# ## Why turning the embeddings changes nothing
#
# Turn all users and all films by the same angle. A turn is a matrix $A$ of shape $(D, D)$ with $A A^T$ the
# identity matrix, and so
#
# $$
# (P A)(Q A)^T = P A A^T Q^T = P Q^T
# $$
#
# Every rating stays as it was, to the last one, while every number in both tables is another.

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
# So "the first number of Cleo" has no meaning. In *our* table it was called action, because we wrote it by
# hand; in a table that was learned nothing ties it to that axis. What does mean something: lengths, angles,
# and products. Without a penalty on length (it comes below) even more is free: for any invertible $A$,
# $P A$ and $Q (A^{-1})^T$ give the same ratings.
#
# ## The loss and its gradient
#
# Now the tables are unknown, and $N$ ratings $r_n$ of users $u_n$ for items $i_n$ are given. Absent cells
# are not zeros ([lesson 1](01_interactions.md)), so they take no part. The loss is the mean squared error
#
# $$
# L = \frac{1}{N} \sum_n (s_n - r_n)^2
# $$
#
# For the backward pass, each line of the forward pass is repeated above its derivative, from the last to
# the first. $ds_n$ stands for $\partial L / \partial s_n$:
#
# - forward $L = \frac1N \sum_n (s_n - r_n)^2$. So $ds_n = \frac2N (s_n - r_n)$.
# - forward $s_n = \mu + b_{u_n} + b_{i_n} + \sum_d p_{nd} q_{nd}$, with $p_n, q_n$ the rows that were
#   looked up. So $dp_n = ds_n\, q_n$, $dq_n = ds_n\, p_n$, and both biases get $ds_n$.
# - forward $p_n = P[u_n]$. A user who stands in several ratings gets the sum over all of them:
#
# $$
# dP_u = \sum_{n:\, u_n = u} ds_n\, q_{i_n}, \qquad dQ_i = \sum_{n:\, i_n = i} ds_n\, p_{u_n}
# $$


# %%
def factorization_forward(P, Q, b_user, b_item, mu, users, items):
    p, q = P[users], Q[items]
    s = mu + b_user[users] + b_item[items] + (p * q).sum(axis=1)
    return s, (p, q, users, items, len(P), len(Q))


def factorization_backward(ds, cache):
    p, q, users, items, n_users, n_items = cache
    dP, dQ = np.zeros((n_users, p.shape[1])), np.zeros((n_items, q.shape[1]))
    np.add.at(dP, users, ds[:, None] * q)  # adds up where a user occurs more than once
    np.add.at(dQ, items, ds[:, None] * p)
    db_user, db_item = np.bincount(users, ds, n_users), np.bincount(items, ds, n_items)
    return dP, dQ, db_user, db_item


ratings = np.array([5.0, 1.0, 2.0])
s, cache = factorization_forward(P, Q, b_user, b_item, mu, u, i)
L, of_L = F.squared_error_forward(s, ratings)
agree("squared_error", L, sum((s - ratings) ** 2) / 3)

ds = F.squared_error_backward(1.0, of_L)
dP, dQ, db_user, db_item = factorization_backward(ds, cache)
of_Cleo = ds[0] * Q[2] + ds[2] * Q[3]  # her two ratings
agree("gradient of factorization", [*dP[2], *dQ[1]], [*of_Cleo, *(ds[1] * P[3])])

tables = P, Q, b_user, b_item, mu, u, i
report = check_gradient(factorization_forward, factorization_backward, *tables)
print("gradient is right" if report.ok else report)

# %% [markdown]
# The frequent mistake is `dP[users] += ...`: without an error, of Cleo's two ratings only the last one
# counts. The check finds it and says so:


# %%
def backward_without_sums(ds, cache):
    p, q, users, _, n_users, _ = cache
    _, dQ, db_user, db_item = factorization_backward(ds, cache)
    dP = np.zeros((n_users, p.shape[1]))
    dP[users] += ds[:, None] * q
    return dP, dQ, db_user, db_item


wrong = check_gradient(factorization_forward, backward_without_sums, *tables)
print("gradient is right" if wrong.ok else "gradient is wrong")
print(wrong.causes[0].text)

# %% [markdown]
# This is `minirec.functional.factorization_forward` and `factorization_backward`: use them from here on.
#
# ## What the loss looks like
#
# One user, one film, $D = 1$, one rating that lies 1 above the mean: two parameters $p$ and $q$, and a loss
# that can be drawn as a map. A penalty on large numbers, of weight $\lambda$, is added as in all real
# training:
#
# $$
# L(p, q) = (1 - p q)^2 + \lambda (p^2 + q^2)
# $$
#
# With $e = 1 - pq$ the slopes are $\partial L / \partial p = -2 (e q - \lambda p)$ and
# $\partial L / \partial q = -2 (e p - \lambda q)$. Two ways down:
#
# - **gradient descent** takes many small steps against the slope, in both numbers at once;
# - **alternating least squares** (ALS) holds $q$ still and goes to the lowest $p$ in one step, then holds
#   $p$ still. With one number held, $L$ is a parabola, and its lowest point is where the slope is zero:
#   $p = q / (q^2 + \lambda)$.

# %%
reg = 0.1


def loss(p, q):
    return (1 - p * q) ** 2 + reg * (p**2 + q**2)


def descend(p, q, lr=0.05, steps=400):
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

# %% The loss of two parameters: two equal valleys, a saddle between them, and three ways down
axis = np.linspace(-2.2, 2.2, 81)
heights = loss(axis[None, :], axis[:, None])
levels = [0, 0.2, 0.25, 0.4, 0.6, 1, 2, 4, 8]
plots.surface(axis, axis, heights, levels, paths=paths, xlabel="p", ylabel="q", label="loss")

# %% [markdown]
# Three things can be read off it.
#
# - There are two lowest points, $(p, q)$ and $(-p, -q)$, with the same loss. With $D = 1$ a change of sign
#   is all that is left of turning. Which one is found depends on the start.
# - ALS moves along the axes, in a staircase. Each step is as good as a step in that direction can be, and
#   still it takes many of them where the valley runs across the axes.
# - At $(0, 0)$ the map is flat: both slopes are zero. It is a *saddle*, downhill in two directions, but who
#   starts there stays there. **If both tables start at zero, they never learn**, whatever the data:

# %%
_, cache = F.factorization_forward(0 * P, 0 * Q, b_user, b_item, mu, u, i)
dP, dQ, _, _ = F.factorization_backward(ds, cache)
print("largest slope at zero:", abs(dP).max(), abs(dQ).max())

# %% [markdown]
# So they start as small random numbers. Zero is a fine start for the biases, which have a slope there.
#
# ## One rating, one step
#
# *Stochastic gradient descent* (SGD) takes one rating at a time, in random order, and makes a step for it.
# With the error $e$, the step size $\gamma$ and the penalty $\lambda$ (and a factor 2 that is put into
# $\gamma$), all right sides as they are *before* the step:
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
# Then $e = 5 - 4 = 1$. The new $p$ is $(1, 0) + 0.5\,(1, 1) = (1.5, 0.5)$, and the new $q$ is
# $(1, 1) + 0.5\,(1, 0) = (1.5, 1)$.

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
# `minirec.models.matrix_factorization.sgd_factorization_step` copies the row first. Now learn the table of
# twenty ratings from two random starts:


# %%
def train(known, seed, reg=0.0, epochs=400):
    rng = np.random.default_rng(seed)
    tables = rng.normal(0, 0.1, (5, 2)), rng.normal(0, 0.1, (4, 2)), np.zeros(5), np.zeros(4)
    for _ in range(epochs):
        for n in rng.permutation(len(known)):
            a, b = known[n]
            sgd_factorization_step(*tables, 3.0, a, b, R[a, b], 0.05, reg)
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
# The model has 27 numbers and saw 15 ratings. It can fit them in many ways, and found one that says nothing
# about the rest. This is *overfitting*. The cure is the penalty $\lambda$, which keeps vectors short unless
# the ratings speak clearly for longer ones, and more data.
#
# The synthetic shop shows it at a size where numbers can be trusted: 20,000 ratings, a fifth of them kept
# for the test. The yardstick is RMSE, the square root of the mean squared error, in stars. And because the
# shop's truth is known, so is the best that any model can reach.

# %% Error by penalty: on what it was trained on, less penalty is always better; on the test it is not
shop = synthetic()
training, test = random_split(shop.interactions, 0.2, rng=0)

# Biases alone: the mean of what is left over, per product and then per user, shrunk by 5 where there is little
left = training.ratings - training.ratings.mean()
b_product = np.bincount(training.items, left) / (np.bincount(training.items) + 5)
left = left - b_product[training.items]
b_buyer = np.bincount(training.users, left) / (np.bincount(training.users) + 5)
guess = training.ratings.mean() + b_buyer[test.users] + b_product[test.items]

penalties = [0.01, 0.03, 0.1, 0.2, 0.4]
fitted = [MatrixFactorization(16, lr=0.02, epochs=60, reg=reg).fit(training, rng=0, progress=False)
          for reg in penalties]  # fmt: skip
errors = {
    name: [rmse(model.predict(x.users, x.items), x.ratings) for model in fitted]
    for name, x in (("training ratings", training), ("test ratings", test))
}
simple = rmse(guess, test.ratings)
best = rmse(shop.expected_ratings(test.users, test.items), test.ratings)
errors |= {"biases alone, test": 5 * [simple], "best possible, test": 5 * [best]}
print(f"biases alone {simple:.2f}, 16 factors {min(errors['test ratings']):.2f}, best possible {best:.2f}")
plots.lines({name: (penalties, e) for name, e in errors.items()}, "penalty λ", "RMSE", log="x")

# %% [markdown]
# The penalty that is best here was seen on the test ratings. To report a result it has to be chosen on a
# third part of the data ([evaluation](12_evaluation.md)).
#
# On MovieLens 100K minirec reaches the following with 100 factors, 20 epochs, $\gamma = 0.005$ and
# $\lambda = 0.02$. The command that makes these numbers is printed first (it needs the data set). The other
# two are published by the library Surprise (Hug 2020), whose defaults these are.

# %%
results = Path(minirec.__file__).parent.parent / "tests" / "results" / "ml100k-ratings.json"
measured = json.loads(results.read_text(encoding="utf-8"))
print(f"{measured['command']}: {measured['protocol']}")
for name in ("per-rating float64", "mini-batch float64"):
    model = measured["models"][name]
    folds = [rmse_of_fold for rmse_of_fold, _ in model["folds"]]
    print(f"minirec, {name:20}  RMSE {model['rmse']:.3f} (folds {min(folds):.3f} to {max(folds):.3f})")
ndcg = {}
for name in ("popularity", "mf-squared", "als"):  # for the last section: lists instead of ratings
    ranked = json.loads((results.parent / "ml100k" / f"{name}.json").read_text(encoding="utf-8"))
    ndcg[name] = ranked["seeds"]["0"]["metrics"]["full"]["NDCG@10"][0]
print("Surprise, biases alone         RMSE 0.944")
print("Surprise, biases and factors   RMSE 0.934")

# %% [markdown]
# minirec and Surprise differ by less than one fold does from another. Next to biases alone, a hundred
# factors gain only {{0.944 - 0.934:.2f}} stars on these ratings. "Mini-batch" takes the steps of many
# ratings at once, with the gradient from above, and comes to the same.
#
# ## The other way down: alternating least squares
#
# Now implicit feedback, the women of [lesson 1](01_interactions.md). We want $x_u^T y_i$ near 1 where woman
# $u$ came to event $i$, and near 0 elsewhere. But a dot is a weak "no" only, so errors weigh differently.
# With $n_{ui}$ how often they met, $t_{ui} = 1$ if $n_{ui} > 0$ and else 0, and the *confidence*
# $c_{ui} = 1 + \alpha n_{ui}$:
#
# $$
# J = \sum_u \sum_i c_{ui} (t_{ui} - x_u^T y_i)^2 + \lambda \Bigl(\sum_u \|x_u\|^2 + \sum_i \|y_i\|^2\Bigr)
# $$
#
# The sum runs over *all* pairs, also the absent ones. Hold the items still. Then each user has terms of her
# own, and we look for the place where their slope is zero:
#
# - forward $J_u = \sum_i c_{ui} (t_{ui} - x_u^T y_i)^2 + \lambda x_u^T x_u$. So
#   $\partial J_u / \partial x_u = -2 \sum_i c_{ui} (t_{ui} - x_u^T y_i)\, y_i + 2 \lambda x_u$.
# - zero: $\sum_i c_{ui}\, y_i (y_i^T x_u) + \lambda x_u = \sum_i c_{ui} t_{ui}\, y_i$. The unknown $x_u$
#   stands on the left only, times a $(D, D)$ matrix. These are $D$ equations for $D$ numbers:
#
# $$
# x_u = \Bigl( \sum_i c_{ui}\, y_i y_i^T + \lambda I \Bigr)^{-1} \sum_i c_{ui} t_{ui}\, y_i
# $$


# %%
def half_step_loops(Y, n, alpha, reg):
    X = np.zeros((len(n), Y.shape[1]))
    for u in range(len(n)):
        left, right = reg * np.eye(Y.shape[1]), np.zeros(Y.shape[1])
        for i, y in enumerate(Y):
            c, t = 1 + alpha * n[u, i], float(n[u, i] > 0)
            left += c * np.outer(y, y)
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
# This is `minirec.models.implicit_als.als_half_step`: use it from here on. (It first computes $Y^T Y$ once
# for all users, and then adds only the items that a user met: the absent pairs cost nothing.) The half-step
# of the items is the same function with the matrix turned over. Is it an exact minimum? The slope must
# vanish, and any other $X$ must be worse.


# %%
def slope(X, Y, n):
    return -2 * ((1 + alpha * n) * ((n > 0) - X @ Y.T)) @ Y + 2 * reg * X


rng = np.random.default_rng(2)
reached = als_objective(X, Y, met, alpha, reg)
others = [als_objective(X + 0.01 * rng.normal(size=X.shape), Y, met, alpha, reg) for _ in range(1000)]
print("the slope is zero to rounding:", abs(slope(X, Y, n)).max() < 1e-10)
print("of 1000 other X near it, worse:", sum(other > reached for other in others))

# %% The objective after each step: half-steps of ALS never go up, and need no step size
start = np.random.default_rng(0).normal(0, 0.1, (18, 2)), Y
falls = {}
X, Y_als, heights = start[0], start[1], []
for _ in range(15):
    X = als_half_step(Y_als, met, alpha, reg)
    heights.append(als_objective(X, Y_als, met, alpha, reg))
    Y_als = als_half_step(X, met.T, alpha, reg)
    heights.append(als_objective(X, Y_als, met, alpha, reg))
falls["ALS, half-steps"] = (range(1, 31), heights)
print("the objective never rises:", bool(np.all(np.diff(heights) <= 1e-9)))
for lr in (0.003, 0.03):
    A, B, heights = *start, []
    for _ in range(30):
        A, B = A - lr * slope(A, B, n), B - lr * slope(B, A, n.T)
        heights.append(als_objective(A, B, met, alpha, reg))
    falls[f"gradient descent, steps of {lr}"] = (range(1, 31), heights)
plots.lines(falls, "step", "objective J")

# %% [markdown]
# Every half-step is the best that can be done while the other side is held, so the objective cannot rise,
# and there is no step size to choose. Gradient descent gets to the same place if its step size is right,
# and is far from it after the same time if it is ten times smaller. What neither promises is the lowest
# point of all: held together, $X$ and $Y$ have the saddle and the valleys of the map above.
#
# ## What the vectors of the women say
#
# Two numbers per woman and per event, learned from who came to what. A map may be turned as one likes, so
# we turn it until its first axis is the one along which the points differ most (*principal axes*). The
# drawing is also moved to the middle of the points, which leaves their distances as they are.

# %% Women and events as vectors of width 2: two circles, and events 7 and 8 between them
both = np.concatenate([X, Y_als])
first_names = [str(name).split()[0] for name in women.user_ids]
order = list(dict.fromkeys(women.users.tolist()))  # as the book has them
kinds = ["woman, upper half"] * 18 + ["event"] * 14
for woman in order[9:]:
    kinds[woman] = "woman, lower half"
names = [*first_names, *(str(event) for event in women.item_ids)]
plots.embedding_map(plots.principal_axes(both), kinds, names)

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
    columns = np.array(sorted(events)) - 1
    row = InteractionMatrix([0, len(columns)], columns, np.ones(len(columns)), (1, 14))
    return als_half_step(Y_als, row, alpha, reg)[0]


scores = Y_als @ fold_in([3])
new = [event for event in np.argsort(-scores) + 1 if event != 3]
print("next for the newcomer:", *new[:3], "  last:", *new[-3:])
print("vector of somebody unknown:", fold_in([]))

# %% [markdown]
# Section 9.2 of the document lists collaborative filtering, which is what we have done here, among the
# answers to *cold start*: new users and new items. One event is enough for a start, as the cell shows. But
# for somebody with none the equations give zero, and a zero vector scores everything alike. What is left
# there is popularity, and the other two answers of that section: profiles of users and features of items.
#
# ## Exercise
#
# Write `factorization_forward` and `factorization_backward` in a file of your own, without looking. What
# does the gradient of a user look like who stands in no rating of the batch? Then:
#
# ```
# python -m minirec verify my_file.py:factorization --against factorization
# ```
#
# The same goes for `sgd_factorization_step`, which changes its tables and returns the error $e$.
#
# ## In practice
#
# Factorization with biases by SGD is from Koren, Bell & Volinsky (2009); ALS with confidences from Hu,
# Koren & Volinsky (2008). `surprise.SVD` is the first of the two (no singular value decomposition takes
# place in it); the library `implicit` and Spark's `ALS` do the second, with the trick of $Y^T Y$. A model
# that is trained on ratings alone ranks badly, because it never saw what people left alone: NDCG@10 (see
# [evaluation](12_evaluation.md)) is {{ndcg['mf-squared']:.3f}} on MovieLens 100K, where popularity has
# {{ndcg['popularity']:.3f}} and ALS {{ndcg['als']:.3f}} (by `python tests/make_ml100k.py`, for each by its
# name); for lists use ALS or a loss over pairs (Rendle et al. 2009, `MatrixFactorization(loss="bpr")`).
# Well-tuned factorization is hard to beat (Rendle, Krichene, Zhang & Anderson 2020); [which model
# when](13_which_model.md) puts that to the test. In the Transformer the tables stay: [the document's
# model](08_document_model.md) begins with an embedding of users and items, and section 5.2 takes one table
# for both, which mixes user 1 with item 1.
