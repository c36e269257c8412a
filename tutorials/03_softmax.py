# %% [markdown]
# # Turn scores into probabilities: softmax and cross-entropy
#
# - **You will do:** write softmax and its backward pass; see the obvious code fail; train one row of scores
#   by hand.
# - **You will learn:** what softmax keeps and what it forgets, why its gradient is *probability minus
#   truth* once cross-entropy follows it, and how a mask enters.
# - **You need:** matrix products, the chain rule, and [how a gradient is checked](00_gradients.md).
#
# A recommender gives each film a **score**: the higher, the better it fits. A score may be any number, also
# a negative one. **Softmax** makes **probabilities** of scores: positive numbers with the sum 1. It stands
# inside the attention formula of section 4.2 of "Can large models change the recommendation paradigm?"
# (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术), and again at the end of most recommenders, where it says how likely each film
# is to come next. The document names the function and does not say what it computes.

# %%
import numpy as np

from minirec import functional as F
from minirec import plots
from minirec.verify import agree, check_gradient, complex_step

# %% [markdown]
# ## The formula
#
# For a row of $n$ scores $x$, shape $(n,)$, softmax gives $n$ probabilities $p$:
#
# $$
# p_i = \frac{e^{x_i}}{\sum_{j=1}^{n} e^{x_j}}
# $$
#
# These are shares, as in [lesson 0](00_gradients.md), but of the powers $e^x$: a power is positive even
# where the score is negative, and grows with the score. Say *Alien*, *Top Hat* and *Solaris* have the
# scores $\log 1$, $\log 2$ and $\log 5$ (in these lessons $\log$ is the natural logarithm, so $e^{\log 5} =
# 5$). Then $e^x$ is $1, 2, 5$, the sum is $8$, and the probabilities must be $1/8$, $2/8$ and $5/8$. In
# loops, and compared by `agree`, which stops with an error if two sides differ by more than rounding:


# %%
def softmax_loops(x):
    powers = []
    for x_i in x:
        powers.append(np.exp(x_i))
    Z = sum(powers)
    return [power / Z for power in powers]


films = ["Alien", "Top Hat", "Solaris"]
x = np.log([1.0, 2.0, 5.0])
agree("softmax", softmax_loops(x), [1 / 8, 2 / 8, 5 / 8])
print(np.round(softmax_loops(x), 3))

# %% [markdown]
# With arrays the same is two lines, also for a table with one row of scores for each user: `axis=-1` adds
# along the last axis, so each row has a sum of its own, and `keepdims=True` leaves these sums in a column,
# so that each row is divided by its own.


# %%
def softmax_naive(x):
    powers = np.exp(x)
    return powers / powers.sum(axis=-1, keepdims=True)


rng = np.random.default_rng(0)
scores = rng.normal(size=(2, 3))  # random numbers of both signs: 2 users, 3 films
agree("softmax of each row", softmax_naive(scores), [softmax_loops(row) for row in scores])
print(np.round(softmax_naive(scores), 3))
print("sum of each row:", softmax_naive(scores).sum(axis=-1))

# %% [markdown]
# ## What goes wrong: large scores
#
# Nothing keeps a score from being 1000. But the largest number that 64 bits can hold is about
# {{np.finfo(float).max:.1e}}, and $e^{1000}$ is beyond it. NumPy then says `inf` (infinity), and a quotient
# of two infinities is `nan` ("not a number"). The `with` line only silences NumPy's warning.

# %%
with np.errstate(over="ignore", invalid="ignore"):
    print(softmax_naive(np.array([1000.0, 1001.0])))

# %% [markdown]
# The way out is a property of the formula. Adding one number $c$ to all scores multiplies numerator and
# denominator by $e^c$, and changes nothing:
#
# $$
# \operatorname{softmax}(x + c) = \operatorname{softmax}(x)
# $$
#
# So we may subtract the largest score first. Then the largest power is $e^0 = 1$, and none is infinite. As
# in lesson 0 the function also returns a *cache*, what the backward pass will need. Here that is the result
# itself.


# %%
def softmax_forward(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    p = powers / powers.sum(axis=-1, keepdims=True)
    return p, p  # the result, and the cache


agree("softmax forgets a shift", softmax_forward(scores + 7.0)[0], softmax_forward(scores)[0])
print(np.round(softmax_forward(np.array([1000.0, 1001.0]))[0], 4))

# %% [markdown]
# So only the differences between scores count. How large they are matters very much. Take the scores 0, 1
# and 2, and multiply all three by one factor, from 0.05 to 20:

# %% Probabilities of three films whose scores differ by 1, when all scores are multiplied by a factor
factors = np.geomspace(0.05, 20, 40)  # 40 factors, each the same multiple of the one before
shares = np.array([softmax_forward(factor * np.array([0.0, 1.0, 2.0]))[0] for factor in factors])
plots.lines({f"score {i}": (factors, shares[:, i]) for i in range(3)}, "factor", "probability", log="x")

# %% [markdown]
# On the left the probabilities are nearly even, on the right one film has it all. This is why the attention
# formula divides its scores before softmax; the [next lesson](04_attention.md) shows by what.
#
# ## The backward pass, line by line
#
# A loss $L$ comes after softmax. Given is its slope for each probability, $dp_i = \partial L / \partial
# p_i$; wanted is its slope for each score, $dx_j = \partial L / \partial x_j$. First: how does probability
# $i$ answer when score $j$ moves? There are two forward lines:
#
# - forward $Z = \sum_k e^{x_k}$. The score $x_j$ stands in one power, so the slope of $Z$ is $e^{x_j}$.
# - forward $p_i = e^{x_i} / Z$. Through $Z$ the slope is $-e^{x_i} / Z^2 \cdot e^{x_j} = -p_i\, p_j$. If
#   $j$ is $i$ itself, the numerator moves too, and adds $e^{x_i} / Z = p_i$.
#
# Both together are the Jacobian of softmax, the table of all these slopes:
#
# $$
# \frac{\partial p_i}{\partial x_j} = p_i (\delta_{ij} - p_j)
# $$
#
# where $\delta_{ij}$ is 1 for $i = j$ and 0 otherwise: $p_i (1 - p_i)$ on the diagonal, $-p_i p_j$ beside
# it. For *Solaris* and its own score this is $\frac58 \cdot \frac38 = \frac{15}{64}$. We compute the table
# once by the formula, and once from `softmax_forward` alone, by complex step (lesson 0):

# %%
p, _ = softmax_forward(x)
jacobian = np.diag(p) - np.outer(p, p)  # p on the diagonal, less the table of all products p_i p_j
columns = [complex_step(lambda moved: softmax_forward(moved)[0], x, unit) for unit in np.eye(3)]
agree("the Jacobian of softmax", jacobian, np.stack(columns, axis=1))  # column j: score j moves

# %% The Jacobian of softmax at (1/8, 2/8, 5/8): each score lifts its own probability and lowers the others
plots.heatmap(
    jacobian,
    rows=films,
    columns=films,
    xlabel="score that moves",
    ylabel="probability",
    form="{:.3f}",
    label="slope",
)

# %% [markdown]
# Each column sums to 0: what one film gains, the others lose. Each row sums to 0 as well: if all scores
# move together, no probability moves. That is the shift again.
#
# By the chain rule $dx_j = \sum_i dp_i \frac{\partial p_i}{\partial x_j}$. The term with $\delta_{ij}$ is
# left for $i = j$ only, and gives $dp_j\, p_j$; the others give $-\sum_i dp_i\, p_i\, p_j$. So no table is
# needed:
#
# $$
# dx_j = p_j \Bigl( dp_j - \sum_i p_i\, dp_i \Bigr)
# $$
#
# The sum is an average of the slopes, in which each film counts by its probability. What a score gets is
# how far its own slope lies above this average, times its probability. By hand for $dp = (1, 2, -2)$: the
# average is $(1 \cdot 1 + 2 \cdot 2 - 5 \cdot 2) / 8 = -\frac58$, and $dx = \bigl(\frac18 \cdot
# \frac{13}8,\; \frac28 \cdot \frac{21}8,\; -\frac58 \cdot \frac{11}8\bigr)$.


# %%
def softmax_backward(dp, cache):
    p = cache
    return p * (dp - (p * dp).sum(axis=-1, keepdims=True))


dp = np.array([1.0, 2.0, -2.0])
dx = softmax_backward(dp, p)
agree("softmax_backward", dx, jacobian.T @ dp)
print("64 dx =", np.round(64 * dx, 3))

# %% [markdown]
# Now by machine, with all the checks of lesson 0:

# %%
report = check_gradient(softmax_forward, softmax_backward, scores)
print("gradient is right" if report.ok else report)

# %% [markdown]
# A frequent mistake is to keep only the diagonal of the Jacobian, $dx_i = dp_i\, p_i (1 - p_i)$, as if a
# probability depended on its own score alone. For $dp = (1, 1, 1)$ the right gradient is zero, since the
# sum of the probabilities never moves. The wrong one is not:


# %%
def softmax_backward_diagonal(dp, cache):
    return dp * cache * (1 - cache)


wrong = check_gradient(softmax_forward, softmax_backward_diagonal, scores)
print("gradient is right" if wrong.ok else "gradient is wrong")
print(wrong.causes[0].text)
print("for dp of ones:", np.round(softmax_backward_diagonal(np.ones(3), p), 4))
print("instead of    ", np.round(softmax_backward(np.ones(3), p), 4))

# %% [markdown]
# This is `minirec.functional.softmax_forward` and `softmax_backward`: use them from here on (`F` stands for
# `minirec.functional`). They also take a **mask**, an array of the shape of the scores with `True` where a
# score takes part and `False` where it is hidden. A hidden score gets probability 0 and gradient 0, and the
# others share the 1. Without *Top Hat* the powers 1 and 5 are left, with the sum 6:

# %%
mask = np.array([True, False, True])
masked, cache = F.softmax_forward(x, mask)
agree("softmax with a mask", masked, [1 / 6, 0.0, 5 / 6])
print("p =", np.round(masked, 3), "  12 dx =", np.round(12 * F.softmax_backward(dp, cache), 3))

# %% [markdown]
# Many programs write a very negative number in place of a hidden score instead, and need no mask. This
# fails where a whole row is hidden, such as the row of a user who has not watched anything yet. All numbers
# in it are equal, and softmax shares the probability among films that are not there:

# %%
print("very negative:", np.round(F.softmax_forward(np.full(3, -1e9))[0], 3))
print("mask:         ", F.softmax_forward(x, np.array([False, False, False]))[0])

# %% [markdown]
# ## Cross-entropy: how wrong are the probabilities?
#
# The user took film $t$, the **target**. The **cross-entropy** is minus the logarithm of the probability
# that this film had: 0 if it was 1, and larger without limit the closer it was to 0. With the formula of
# softmax, $-\log (e^{x_t} / Z) = \log Z - x_t$:
#
# $$
# L = -\log p_t = \log \sum_j e^{x_j} - x_t
# $$
#
# The second form is the one to compute. A very small $p_t$ is rounded to 0, which has no logarithm; the
# second form never sees it (computed with the largest score subtracted, as above). In minirec
# `cross_entropy_forward` takes a table with a row for each user, and a list with the target of each row;
# `x[None]` is a table with one row. Say the user took *Top Hat*, which had $2/8$:

# %%
target = 1  # Top Hat, counted from 0
agree("cross_entropy", -np.log(p[target]), np.log(np.exp(x).sum()) - x[target])
loss, cache = F.cross_entropy_forward(x[None], np.array([target]))
print(f"{loss:.4f} = log 4 = {np.log(4):.4f}")

# %% [markdown]
# Softmax and cross-entropy go together because their common gradient is so simple. In $L = \log Z - x_t$
# the slope of the first term for $x_i$ is $e^{x_i} / Z = p_i$, and the second gives $-1$ for the target:
#
# $$
# \frac{\partial L}{\partial x_i} = p_i - [i = t]
# $$
#
# where $[i = t]$ is 1 for the film that was taken and 0 for the others: probability minus truth. Each entry
# lies between $-1$ and 1, and all are 0 only if $p_t = 1$, when the model is certain and right.

# %%
truth = np.array([0.0, 1.0, 0.0])
agree("cross_entropy gradient", F.cross_entropy_backward(1.0, cache)[0], p - truth)
print(p - truth)

# %% [markdown]
# (The first argument, 1.0, is the slope of the loss for itself.) Now go downhill: the same film is taken
# again and again, and each of 60 steps moves the scores against their gradient, with a learning rate of 1.

# %% Gradient descent on three scores: the film that was taken gains what the others lose
row, path = x, [p]
for _ in range(60):
    row = row - (F.softmax_forward(row)[0] - truth)
    path.append(F.softmax_forward(row)[0])
path = np.array(path)  # (61, 3): before the first step, and after each
plots.lines({film: (range(61), path[:, i]) for i, film in enumerate(films)}, "step", "probability")

# %% [markdown]
# It is fast at first, then slower and slower, since the gradient shrinks as $p_t$ comes closer to 1. After
# 60 steps *Top Hat* has the probability {{path[-1, target]:.3f}}. It never reaches 1: the loss has no
# lowest point, and the differences between the scores grow as long as one trains. When to stop is a
# question of the lesson on [training](09_training.md).
#
# ## Exercise
#
# Write `log_softmax_forward(x)` and `log_softmax_backward(dy, cache)` in a file of your own: the logarithm
# of softmax, $y_i = x_i - \log \sum_j e^{x_j}$ for each row. Subtract the largest score first. The backward
# pass is one line; which sum does it need? Compare it with the formula of minirec, and its gradient with
# differences:
#
# ```
# python -m minirec verify my_file.py:log_softmax --against log_softmax
# ```
#
# ## In practice
#
# Libraries compute both in one function: PyTorch's `cross_entropy` takes scores, not probabilities, because
# the second form above needs the scores. The name softmax is from Bridle (1990). With millions of films the
# sum over all of them is what costs. Recommenders then sum over the target and a few films drawn at random
# (`minirec.functional.sampled_softmax_forward`; Klenitskiy & Vasilev 2023), and the lesson on
# [sequences](10_sequences.md) measures what that loses.
