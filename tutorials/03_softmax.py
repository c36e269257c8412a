# %% [markdown]
# # Turn scores into probabilities: softmax and cross-entropy
#
# - **You will do:** write softmax, its Jacobian and its backward pass; see why the naive one fails; train
#   one row of scores by hand.
# - **You will learn:** what softmax keeps and what it forgets, why its gradient is *probability minus
#   truth* once cross-entropy follows it, and how a mask enters.
# - **You need:** matrix products, the chain rule, and [how a gradient is checked](00_gradients.md).
#
# Softmax stands inside the attention formula of section 4.2 of "Can large models change the recommendation
# paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术), and again at the end of most recommenders, where it says how
# likely each item is to come next.

# %%
import numpy as np

from minirec import functional as F
from minirec import plots
from minirec.verify import agree, check_gradient, complex_step

# %% [markdown]
# ## The formula
#
# For a row of $n$ scores $x$, shape $(n,)$, softmax gives $n$ probabilities:
#
# $$
# y_i = \frac{e^{x_i}}{\sum_{j=1}^{n} e^{x_j}}
# $$
#
# Three films have the scores $\ln 1$, $\ln 2$ and $\ln 5$. Then $e^x$ is $1, 2, 5$, the sum is $8$, and the
# probabilities must be $1/8$, $2/8$ and $5/8$. In loops:


# %%
def softmax_loops(x):
    powers = []
    for x_i in x:
        powers.append(np.exp(x_i))
    total = sum(powers)
    return [power / total for power in powers]


x = np.log([1.0, 2.0, 5.0])
agree("softmax", softmax_loops(x), [1 / 8, 2 / 8, 5 / 8])
print(np.round(softmax_loops(x), 3))

# %% [markdown]
# With arrays the same is two lines. It works on the last axis, so a whole matrix of scores is done at once,
# each row on its own.


# %%
def softmax_naive(x):
    powers = np.exp(x)
    return powers / powers.sum(axis=-1, keepdims=True)


rng = np.random.default_rng(0)
scores = rng.normal(size=(2, 3))
agree("softmax of each row", softmax_naive(scores), [softmax_loops(row) for row in scores])
print(np.round(softmax_naive(scores), 3), softmax_naive(scores).sum(axis=-1))

# %% [markdown]
# ## What goes wrong: large scores
#
# A score of 1000 is nothing special, but $e^{1000}$ is beyond the largest number of 64 bits.

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
# So we may subtract the largest score first. Then the largest power is $e^0 = 1$, and nothing overflows.


# %%
def softmax_forward(x):
    shifted = x - x.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    y = powers / powers.sum(axis=-1, keepdims=True)
    return y, y  # the result, and what the backward pass needs: the result itself


agree("softmax forgets a shift", softmax_forward(scores + 7.0)[0], softmax_forward(scores)[0])
print(np.round(softmax_forward(np.array([1000.0, 1001.0]))[0], 4))

# %% [markdown]
# Only differences of scores count. Their *size* counts very much: the same three scores, multiplied by a
# factor, go from even to all-or-nothing.

# %% Probabilities of three films whose scores differ by 1, when all scores are multiplied by a factor
factors = np.geomspace(0.05, 20, 40)
shares = np.array([softmax_forward(factor * np.array([0.0, 1.0, 2.0]))[0] for factor in factors])
plots.lines({f"score {i}": (factors, shares[:, i]) for i in range(3)}, "factor", "probability", log="x")

# %% [markdown]
# This is why the attention formula divides by $\sqrt{d_k}$: it keeps the factor near one. The lesson on
# [attention](04_attention.md) measures it.
#
# ## The backward pass, line by line
#
# A loss $L$ comes after softmax. From what follows we are given $dy_i = \partial L / \partial y_i$, and
# look for $dx_i = \partial L / \partial x_i$. Every forward line is repeated above its derivative. With
# $p_i = e^{x_i}$ and $s = \sum_j p_j$:
#
# - forward $y_i = p_i / s$. So $\partial y_i / \partial p_i$ is $1/s$, and through $s$ every $y_i$ also
#   falls by $p_i / s^2$ for each unit of any $p_j$.
# - forward $s = \sum_j p_j$. Each $p_j$ enters once, with slope 1.
# - forward $p_j = e^{x_j}$. Its slope is $p_j$ itself.
#
# Put together, the Jacobian of softmax is
#
# $$
# \frac{\partial y_i}{\partial x_j} = y_i (\delta_{ij} - y_j)
# $$
#
# with $\delta_{ij} = 1$ for $i = j$ and 0 otherwise. To see it whole, compute it from the formula, and once
# more from softmax alone, by complex step (exact to rounding, [lesson 0](00_gradients.md)):

# %%
y, _ = softmax_forward(x)
jacobian = np.diag(y) - np.outer(y, y)
columns = [complex_step(lambda v: F.softmax_forward(v)[0], x, direction) for direction in np.eye(3)]
agree("the Jacobian of softmax", jacobian, np.stack(columns, axis=1))

# %% The Jacobian of softmax at (1/8, 2/8, 5/8): own slope on the diagonal, competition beside it
plots.heatmap(jacobian, xlabel="score that moves", ylabel="probability", form="{:.3f}", label="slope")

# %% [markdown]
# Each row and each column sums to zero: probabilities only move from one item to another. The matrix has
# one row more than it has independent ones, which is the shift again: moving all scores together moves
# nothing.
#
# For a gradient we need no matrix, only its product with $dy$. Multiply out $\sum_i dy_i\, y_i (\delta_{ij}
# - y_j)$:
#
# $$
# dx = y \odot \Bigl( dy - \sum_i dy_i\, y_i \Bigr)
# $$
#
# Read it as: the slope of the loss for a probability, less the average of these slopes, in which each counts
# by its probability, times that probability.


# %%
def softmax_backward(dy, cache):
    y = cache
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


dy = np.array([0.3, -1.2, 0.5])
agree("softmax_backward", softmax_backward(dy, y), jacobian.T @ dy)
print(np.round(softmax_backward(dy, y), 4), "sum:", abs(round(softmax_backward(dy, y).sum(), 12)))

# %% [markdown]
# Now by machine: random inputs, a random signed $dy$, differences and complex step.

# %%
report = check_gradient(softmax_forward, softmax_backward, scores)
print("gradient is right" if report.ok else report)

# %% [markdown]
# A frequent mistake is to keep the diagonal of the Jacobian alone, $dx = dy \odot y \odot (1 - y)$, as if
# each probability depended on its own score only. With $dy$ of ones the right gradient is zero; the wrong
# one is not, and the check says so:


# %%
def softmax_backward_diagonal(dy, cache):
    return dy * cache * (1 - cache)


wrong = check_gradient(softmax_forward, softmax_backward_diagonal, scores)
print("gradient is right" if wrong.ok else "gradient is wrong")
print(wrong.causes[0].text)
print("for dy of ones:", np.round(softmax_backward_diagonal(np.ones(3), y), 4))
print("instead of    ", np.round(softmax_backward(np.ones(3), y), 4))

# %% [markdown]
# This is `minirec.functional.softmax_forward` and `softmax_backward`: use them from here on. They also take
# a mask, `True` where a score may take part. A hidden score gets probability 0 and gradient 0, and the
# others share 1.

# %%
mask = np.array([True, False, True])
shared, cache = F.softmax_forward(x, mask)
agree("softmax with a mask", shared, [1 / 6, 0.0, 5 / 6])
print(np.round(shared, 3), np.round(F.softmax_backward(dy, cache), 3))

# %% [markdown]
# Why not write a very negative number in place of a hidden score? Because a row may be hidden as a whole,
# such as the padding before a short history. Then the "very negative" numbers are equal, and softmax shares
# the probability among things that are not there:

# %%
hidden = np.where(np.zeros(3, dtype=bool), x, -1e9)
print("additive:", np.round(F.softmax_forward(hidden)[0], 3))
print("mask:    ", F.softmax_forward(x, np.zeros(3, dtype=bool))[0])

# %% [markdown]
# ## Cross-entropy: how wrong are the probabilities?
#
# The user took film $t$. The loss is how surprised the model is:
#
# $$
# L = -\log y_t = \log \sum_j e^{x_j} - x_t
# $$
#
# The second form needs no division and never takes the logarithm of a rounded zero.

# %%
target = 1
agree("cross_entropy", -np.log(y[target]), np.log(np.exp(x).sum()) - x[target])
loss, cache = F.cross_entropy_forward(x[None], np.array([target]))
print(f"{loss:.4f} = log 4 = {np.log(4):.4f}")

# %% [markdown]
# Its gradient is the reason why the two always go together. Forward $L = \log s - x_t$ with $s = \sum_j
# e^{x_j}$: the first term gives $e^{x_i} / s = y_i$, the second $-1$ at the target:
#
# $$
# \frac{\partial L}{\partial x_i} = y_i - [i = t]
# $$
#
# Probability minus truth. It can never be larger than 1, and it is 0 only when the model is certain and
# right.

# %%
truth = np.eye(3)[target]
agree("cross_entropy gradient", F.cross_entropy_backward(1.0, cache)[0], y - truth)
print(np.round(y - truth, 3))

# %% [markdown]
# Follow it downhill. Three scores, one film that is always taken, 60 steps of size 1:

# %% Gradient descent on three scores: the film that was taken gains what the others lose
row, path = x.copy(), []
for _ in range(60):
    p = F.softmax_forward(row)[0]
    path.append(p)
    row = row - (p - truth)
path = np.array(path)
plots.lines({f"film {i}": (range(60), path[:, i]) for i in range(3)}, "step", "probability")

# %% [markdown]
# It is fast at first, then slower and slower: the loss has no minimum, only a limit. After 60 steps the
# film that was taken has the probability {{path[-1, target]:.3f}}. This is why models are stopped or
# regularized, and why their scores grow as long as they train.
#
# ## Exercise
#
# Write `log_softmax_forward` and `log_softmax_backward` ($\log y_i = x_i - \log \sum_j e^{x_j}$) in a file
# of your own. The backward pass is one line; which sum does it need? Then compare it with the formula of
# minirec, and its gradient with differences:
#
# ```
# python -m minirec verify my_file.py:log_softmax --against log_softmax
# ```
#
# ## In practice
#
# Libraries fuse the two: `torch.nn.functional.cross_entropy` takes scores, not probabilities, for the
# reason above. The name softmax is from Bridle (1990). With millions of items the sum over all of them is
# what costs; recommenders then sum over a sample (`minirec.functional.sampled_softmax_forward`; Klenitskiy
# & Vasilev 2023), and the lesson on [sequences](10_sequences.md) measures what that loses.
