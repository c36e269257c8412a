# %% [markdown]
# # Check a gradient before you trust it
#
# - **You will do:** derive one gradient by hand, check it in three ways, break it, and see which check
#   notices.
# - **You will learn:** why a smaller step is not a better one, how a derivative is computed without any
#   subtraction, how one number tests a whole matrix, and why the sum of all outputs is a blind test.
# - **You need:** matrix products and the chain rule. This is the first lesson.
#
# Section 3.2 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术) says in
# its second step that a model is trained, and the code of section 5.2 leaves the training to a comment.
# Training needs a *gradient*: how fast a result changes with each of the numbers that it is computed from.
# How one computes it, and knows that it is right, the document does not say. With a slightly wrong one a
# model may still learn, only worse, and nothing tells you.

# %%
import numpy as np

from minirec import functional as F
from minirec import plots
from minirec.verify import agree, central_difference, check_gradient, complex_step

# %% [markdown]
# ## A small function to work with
#
# A user has watched 1 hour of drama, 2 hours of comedy and 5 hours of crime. What *share* of the time went
# to each genre? For $n$ numbers of hours $x$, an array of shape $(n,)$, the shares $y$ have the same shape.
# With $k$ and $j$ we count the genres:
#
# $$
# y_k = \frac{x_k}{\sum_{j=1}^{n} x_j}
# $$
#
# The sum is 8, so the shares must be $1/8$, $2/8$ and $5/8$. In loops, and compared by `agree`, which stops
# with an error if two sides differ by more than rounding:


# %%
def shares_loops(x):
    s = 0.0
    for x_j in x:
        s += x_j
    return [x_k / s for x_k in x]


x = np.array([1.0, 2.0, 5.0])
agree("shares", shares_loops(x), [1 / 8, 2 / 8, 5 / 8])

# %% [markdown]
# With arrays a whole table, one user in each row, is done at once: `axis=-1` adds along the last axis, so
# each row has its own sum, and `keepdims=True` leaves these sums in a column, so that each row is divided
# by its own. The function also returns a *cache*: whatever the way back will need.


# %%
def shares_forward(x):
    s = x.sum(axis=-1, keepdims=True)
    y = x / s
    return y, (y, s)


y, cache = shares_forward(x)
agree("shares of an array", y, shares_loops(x))
print(shares_forward(np.array([[1.0, 2.0, 5.0], [3.0, 1.0, 0.0]]))[0])

# %% [markdown]
# ## What a gradient is, and what it is for
#
# The *loss* $L$ is one number that says how far a result is from what it ought to be. Say the shares ought
# to be $t = (1/4, 1/4, 1/2)$, and $L = \frac12 \sum_k (y_k - t_k)^2$. Its *slope* for share $k$, how fast
# it grows with that share, is $\partial L / \partial y_k = y_k - t_k$. We write $dy_k$ for it, and call
# $dy$ the *upstream gradient*, since it comes from what follows our function. Wanted is $dx$, with $dx_j =
# \partial L / \partial x_j$: the same for the hours. Hours $j$ move every share, so the chain rule adds
# over all of them:
#
# $$
# dx_j = \sum_k dy_k \, \frac{\partial y_k}{\partial x_j}
# $$
#
# The table $J$ of all slopes, $J_{kj} = \partial y_k / \partial x_j$, is called the *Jacobian* of the
# function, and the formula says $dx = J^\top dy$. Here the table is small enough to write down. With the
# sum $s = \sum_j x_j$, more hours of genre $j$ move share $k$ with the slope $-x_k / s^2$, because the sum
# grows, and their own share with $1/s$ on top. For crime and itself: $1/8 - 5/64 = 3/64$.

# %%
s = x.sum()
J = np.zeros((3, 3))
for k in range(3):
    for j in range(3):
        J[k, j] = -x[k] / s**2 + (1 / s if k == j else 0.0)
print(64 * J, "/ 64")

t = np.array([1 / 4, 1 / 4, 1 / 2])
dy = y - t
by_chain_rule = [sum(dy[k] * J[k, j] for k in range(3)) for j in range(3)]
agree("the chain rule", by_chain_rule, J.T @ dy)
print("dy =", dy, "  64 dx =", 64 * (J.T @ dy))

# %% [markdown]
# By hand for crime, the last column: $-\frac18 \cdot (-1) + 0 \cdot (-2) + \frac18 \cdot 3 = \frac12$. A
# little more crime would raise the loss, a little more drama lower it.
#
# Training uses just this. It moves each number against its slope, $x \leftarrow x - \eta\, dx$, and does so
# again and again. The factor $\eta$ (eta) says how far; it is called the learning rate. (In a model these
# numbers are not hours but its *parameters*, which it may choose.) One such step, with $\eta = 8$, because
# the slopes are small here:


# %%
def loss(x):
    return 0.5 * ((shares_forward(x)[0] - t) ** 2).sum()


print(f"loss before the step {loss(x):.4f}, after it {loss(x - 8 * (J.T @ dy)):.4f}")

# %% [markdown]
# ## The backward pass, line by line
#
# No model builds its Jacobian: for a thousand numbers in and out it has a million entries. A *backward*
# function computes $J^\top dy$ directly, by going through the lines of the forward function from the last
# to the first. By the chain rule, what stands on the right of a line receives the slope of what stands on
# its left, times the slope of the line itself.
#
# - forward $y_k = x_k / s$. Through the numerator, $x_k$ receives $dy_k / s$. Through the denominator, $s$
#   receives $-dy_k\, x_k / s^2$ from every $k$. As $x_k / s$ is $y_k$, that is $-dy_k\, y_k / s$, and all
#   of them together are $ds = -\frac1s \sum_k dy_k\, y_k$.
# - forward $s = \sum_j x_j$. Each $x_j$ enters with slope 1, so each receives $ds$ on top.
#
# Both together:
#
# $$
# dx_j = \frac{1}{s} \Bigl( dy_j - \sum_k dy_k\, y_k \Bigr)
# $$
#
# In words: the slope of the loss for share $j$, less the *average* of these slopes, in which every genre
# counts by its share.


# %%
def shares_backward(dy, cache):
    y, s = cache
    return (dy - (dy * y).sum(axis=-1, keepdims=True)) / s


agree("shares_backward", shares_backward(dy, cache), J.T @ dy)

# %% [markdown]
# This agrees with $J$, but one person derived both, and may have made one mistake twice. A check must use
# the *forward* function and nothing else.
#
# ## The first check: move a little and look
#
# A slope is a rise divided by a run. Take a function of one number, $f(x) = x^3$ with the slope $3x^2$, and
# a run, or *step*, $h$. Three ways to estimate the slope, multiplied out:
#
# $$
# \begin{aligned}
# \frac{(x + h)^3 - x^3}{h} &= 3x^2 + 3xh + h^2 \\
# \frac{(x + h)^3 - (x - h)^3}{2h} &= 3x^2 + h^2 \\
# \frac{\operatorname{Im}\,(x + ih)^3}{h} &= 3x^2 - h^2
# \end{aligned}
# $$
#
# The *forward difference* looks ahead. The *central difference* looks both ways, and the terms with an even
# power of $h$, which are the same on both sides, cancel. The *complex step* moves in the direction of $i$,
# the number with $i^2 = -1$, and looks at what stands with $i$ in the result, its imaginary part
# $\operatorname{Im}$: multiplied out, $(x + ih)^3$ is $x^3 - 3xh^2 + i\,(3x^2 h - h^3)$.
#
# At $x = 2$ with $h = 1/2$ the true slope is 12, and the three give $15 \frac14$, $12 \frac14$ and $11
# \frac34$. The last two are functions of minirec, `central_difference(f, x, direction, h)` and
# `complex_step(f, x, direction, h)`. They move $x$ by $h$ times the direction. Where none is given it is 1,
# for a number and for every entry of an array.


# %%
def cube(x):
    return x**3


def forward_difference(f, x, h):
    return (f(x + h) - f(x)) / h


agree("forward difference", forward_difference(cube, 2.0, 0.5), 12 + 3 * 2 * 0.5 + 0.5**2)
agree("central difference", central_difference(cube, 2.0, h=0.5), 12 + 0.5**2)
agree("complex step", complex_step(cube, 2.0, h=0.5), 12 - 0.5**2)

# %% [markdown]
# For small $h$ the error falls with $h$ for the first, and with $h^2$ for the other two. This is no
# accident of the cube. By Taylor's formula every smooth function is $f(x + h) = f(x) + f'(x)\, h + b\, h^2
# + \ldots$ close by, where $f'$ is the slope, and the *bend* $b = f''(x) / 2$ is half the slope of the
# slope (for the cube, $3x$). The forward difference keeps $b h$ as its error, and in the others the bend
# cancels.
#
# ## Why a smaller step is not a better one
#
# So let $h$ be tiny? Take the share of crime as a function of the hours of crime, $f(x) = x / (3 + x)$. Its
# slope is $3 / (3 + x)^2$, which at $x = 5$ is $3/64$, as above.


# %%
def crime(x):
    return x / (3 + x)


for h in (1e-4, 1e-8, 1e-12):
    print(f"h = {h:.0e}:  f(x + h) = {crime(5 + h):.14f}   slope {forward_difference(crime, 5.0, h):.8f}")
print(f"           f(x)     = {crime(5.0):.14f}   true  {3 / 64:.8f}")

# %% [markdown]
# At $h = 10^{-12}$ the two values agree in their first thirteen digits. A number of 64 bits holds about 16,
# so the difference has three left, and the slope is wrong in the fourth. A step ten times smaller costs one
# digit more.
#
# Two errors work against each other. The one from the bend, $|b|\, h$, falls with the step. The other is
# rounding: a computer keeps each value of $f$ as the nearest number that it has. The gap between 1 and the
# next number is $\varepsilon = 2^{-52}$, so each value is off by up to about $\varepsilon |f| / 2$, their
# difference by $\varepsilon |f|$, and after the division by $h$ the slope by $\varepsilon |f| / h$, which
# *grows* as the step falls. For steps of 1, 1/2, 1/4 and so on:

# %% The V-curve: from right to left the error falls with the step, until rounding takes over
rng = np.random.default_rng(0)
points = rng.uniform(4, 6, 50)  # 50 random values of x: at a single one, rounding may be lucky
steps = 2.0 ** -np.arange(58)


def error(slopes):
    return np.abs(slopes / (3 / (3 + points) ** 2) - 1).mean()  # relative to the true slope


errors = {
    "forward difference": [error(forward_difference(crime, points, h)) for h in steps],
    "central difference": [error(central_difference(crime, points, h=h)) for h in steps],
    "complex step": [error(complex_step(crime, points, h=h)) for h in steps],
}
for name in ("forward difference", "central difference"):
    least = np.argmin(errors[name])
    print(f"{name}: least error {errors[name][least]:.1e}, at h = {steps[least]:.0e}")
epsilon = 2.0**-52
drawn = {name: (steps, np.maximum(e, epsilon)) for name, e in errors.items()}  # a log axis has no 0
plots.lines(drawn, "step size h", "relative error of the slope", log="xy")

# %% [markdown]
# Each difference makes a V: the right branch is the bend (for the central difference the term with $h^2$),
# the left one is rounding. At the left end $5 + h$ is no longer different from 5, the difference is zero,
# and so is the slope. No step makes the forward difference better than {{min(errors["forward
# difference"]):.1e}}, and a smaller mistake is lost in it. With numbers of 32 bits, in which models are
# often trained, the gap is {{np.finfo(np.float32).eps:.0e}} in place of {{epsilon:.0e}}, and much more
# would be lost: *gradients are checked with 64 bits*.
#
# The complex step makes no V. There is no difference in it, so nothing cancels, and with $h = 10^{-30}$ its
# error of about $h^2 = 10^{-60}$ is far below rounding. It costs one thing. The function may use only what
# means the same for complex numbers: sums, products, quotients, powers, exponentials. The absolute value
# does not. Of $-3 + ih$ NumPy takes the length, which has no imaginary part, and so the complex step gives
# for the slope of $|x|$ at $-3$, without a warning, {{complex_step(np.abs, -3.0):.0f}} in place of $-1$; a
# central difference gives {{central_difference(np.abs, -3.0):.0f}}.
#
# ## The second check: one number for a whole Jacobian
#
# One column of $J$ takes one call of the forward function, with one entry of $x$ moved. A model with
# 100,000 parameters would take 100,000 calls. The way out: do not ask for $J$, ask for what it does. Draw a
# random direction $u$ for the input, and random slopes $g$ in place of $dy$ for the output, both with
# signs. Write $\langle a, b \rangle$ for the sum of products $\sum_k a_k b_k$ (in NumPy `a @ b`). Then
#
# $$
# \langle J u,\; g \rangle = \langle u,\; J^\top g \rangle
# $$
#
# Both are $\sum_k \sum_j g_k\, J_{kj}\, u_j$, added up in another order. The left side needs forward only:
# $Ju$ is how fast the output moves when the input moves along $u$, one complex step in that direction. The
# right side is what backward returns for $g$. This is the *adjoint test* ($J^\top$ is the adjoint of $J$).
# It takes three calls, whatever the size: forward for the cache, forward at the moved $x$, and backward.


# %%
def adjoint_test(backward, u, g):
    _, cache = shares_forward(x)
    Ju = complex_step(lambda moved: shares_forward(moved)[0], x, u)  # [0]: y without the cache
    return Ju @ g, u @ backward(g, cache)


u, g = rng.normal(size=3), rng.normal(size=3)  # of both signs, most of them between -2 and 2
by_forward, by_backward = adjoint_test(shares_backward, u, g)
agree("the adjoint test", by_forward, by_backward)

# %% [markdown]
# If backward had a single entry of $J$ wrong by $\delta$, at output $k$ and input $j$, the two sides would
# differ by $\delta\, u_j\, g_k$. That is not zero, but may be small, so one draws more than once.
#
# ## The third check: what is left must fall with the square
#
# Complex numbers are not always possible; and where a difference and backward do not agree, is it the error
# of the step or mine? Taylor's test does not ask how large an error is, but how it *falls*. Make one number
# of the output, $f(x) = \langle g, y \rangle$; its gradient is what backward returns for $g$. Go from $x$ a
# step $h$ along $u$, and subtract from the rise of $f$ what the gradient $dx$ foretells, $h \langle u, dx
# \rangle$. By Taylor's formula the *remainder* is $b\, h^2 + \ldots$: once $h$ is small, half the step
# leaves a quarter of it. With a slope that is wrong by $\delta$, another $\delta h$ is left. Half the step
# leaves half of that, and soon it is all there is.


# %% Taylor's test: the remainder of a right gradient falls with the square of the step, of a wrong one not
def remainder(gradient, h):
    moved, _ = shares_forward(x + h * u)
    return abs(g @ moved - g @ y - h * (u @ gradient))


halves = 2.0 ** -np.arange(19)
right = shares_backward(g, cache)
gradients = {"gradient 1 % too small": 0.99 * right, "right gradient": right}
curves = {name: (halves, [remainder(dx, h) for h in halves]) for name, dx in gradients.items()}
for name, (_, rest) in curves.items():
    print(f"{name}: half the step leaves {rest[12] / rest[11]:.2f} of the remainder")
plots.lines(curves, "step size h", "remainder", log="xy")

# %% [markdown]
# ## An upstream of ones is blind
#
# It is tempting to test with the sum of all outputs as the loss, because a sum is the simplest number. Its
# upstream is $dy = (1, 1, \ldots, 1)$. Now somebody writes the backward pass from memory, and remembers an
# average, but not that every genre counts by its share:


# %%
def shares_backward_wrong(dy, cache):
    _, s = cache
    return (dy - dy.mean(axis=-1, keepdims=True)) / s


ones = np.ones(3)
for name, upstream in (("ones", ones), ("random, signed", g)):
    by_forward, by_backward = adjoint_test(shares_backward_wrong, u, upstream)
    gap = abs(by_forward - by_backward)
    print(f"dy {name}: {'passes' if gap < 1e-12 else 'fails'}, the sides are {gap:.3f} apart")

# %% [markdown]
# With ones it passes, at any $x$. The shares always add up to 1, so the loss never moves, and the right
# gradient is zero; the wrong formula also gives zero. In terms of the Jacobian: $J^\top dy$ with ones adds
# up each column, and sees nothing but that sum. (To see the Jacobian that a backward function stands for,
# give it a single 1 at place $k$ and zeros elsewhere: it returns row $k$.)

# %% Two Jacobians that differ in every cell, though the columns of both add up to 0
wrong_J = np.array([shares_backward_wrong(unit, cache) for unit in np.eye(3)])
agree("the columns of both", wrong_J.sum(axis=0), J.sum(axis=0))
both, genres = {"right": J, "wrong": wrong_J}, ["drama", "comedy", "crime"]
plots.heatmap(
    both, rows=genres, columns=genres, xlabel="hours that move", ylabel="share", form="{:.3f}", label="slope"
)

# %% [markdown]
# Ones also miss a backward that forgets $dy$, such as `return 2 * x` for $y = x^2$, which is right where
# $dy$ is 1 and wrong inside every model. So the upstream must be *random, and signed*: random so that
# errors do not cancel, signed so that a backward that uses $|dy|$ or cuts $dy$ off at zero is noticed.
#
# ## All of this in one call
#
# `minirec.verify.check_gradient` takes a forward function, a backward function and the arguments of
# forward:

# %%
report = check_gradient(shares_forward, shares_backward, x)
print("gradient is right:", report.ok, "in", len(report.checks), "rows")

# %% [markdown]
# | row | what it asks |
# | --- | --- |
# | one gradient each | Does each argument that can have a gradient get one? |
# | shapes and dtypes | Has each gradient the shape of its argument, and numbers of 64 bits? |
# | finite | Is nothing infinite, and nothing `nan` ("not a number")? |
# | full Jacobian | Is every entry what differences, or the complex step, give? |
# | kinks | Are there points without a slope (see below), and is backward sensible there? |
# | adjoint | The second check, for three random $u$ and $g$. |
# | adjoint, another point | The same close by: does backward remember an older call? |
# | Taylor remainder | The third check, along three random directions. |
# | linear in dy | Does twice the upstream give twice the gradient, and the sum of two the sum? |
# | zero in, zero out | Does $dy = 0$ give $dx = 0$? |
# | nothing written in place | Are the arguments, the cache and $dy$ left as they were? |
# | second call, same bits | Does the same input give the same result again? |
# | every argument matters | Is no gradient zero throughout? |
#
# Now three wrong ones, each with what the report takes for the cause. It says "probably" where this cause
# alone reproduces the whole wrong gradient, and "perhaps" where it only fits what is seen:


# %%
def not_transposed(dy, cache):  # J dy
    y, s = cache
    return (dy - dy.sum(axis=-1, keepdims=True) * y) / s


def upstream_clipped(dy, cache):  # of dy, what is below -1 becomes -1, what is above 1 becomes 1
    return shares_backward(np.clip(dy, -1, 1), cache)


for wrong in (shares_backward_wrong, not_transposed, upstream_clipped):
    found = check_gradient(shares_forward, wrong, x)
    blind = np.allclose(wrong(ones, cache), shares_backward(ones, cache))
    print(f"{wrong.__name__}: {len(found.failures)} rows fail; ones {'see nothing' if blind else 'see it'}")
    for cause in found.causes:
        print("   probably" if cause.sure else "   perhaps", cause.text)

# %% [markdown]
# Ones miss two of the three. The report sees the two functions from outside only, and for our wrong average
# it knows no cause: that rows fail is all it can say.
#
# These are `minirec.verify.central_difference`, `complex_step` and `check_gradient`: use them from here on.
#
# ## What no gradient check sees
#
# **A wrong forward function.** The check asks whether backward is the derivative of forward, not whether
# forward is what you meant. Here is a formula that is wrong, with a gradient that is right:


# %%
def shares_off_by_one(x):
    s = x.sum(axis=-1, keepdims=True) + 1
    return x / s, (x / s, s)


print("gradient is right:", check_gradient(shares_off_by_one, shares_backward, x).ok)
print("formula is right: ", np.allclose(shares_off_by_one(x)[0], shares_loops(x)))

# %% [markdown]
# Only a second way to write the formula can tell: the loops above. That is why each formula of minirec has
# three things: forward, backward, and a definition in loops.
#
# **A kink.** The function $\max(x, 0)$, called ReLU, has slope 0 on the left of zero and 1 on the right. At
# zero itself it has a *kink* and no slope. A forward difference would say 1, a central one $\frac12$. The
# check says:

# %%
report = check_gradient(F.relu_forward, F.relu_backward, np.array([-1.0, 0.0, 2.0]))
print(*(row.detail for row in report.checks if row.name == "kinks"))

# %% [markdown]
# Each library has to choose; minirec, as most, takes 0. The check finds the kinks, and there asks only that
# the answer lies between the slopes of the two sides.
#
# ## Exercise
#
# Write `sigmoid_forward` and `sigmoid_backward`, for $y = 1 / (1 + e^{-x})$, in a file of your own; the
# backward pass needs only $y$. Compare it with the formula of minirec, and its gradient with differences:
#
# ```
# python -m minirec verify my_file.py:sigmoid --against sigmoid
# ```
#
# Then break it on purpose: leave out $dy$, write $1 + y$ for $1 - y$, use $x$ where $y$ should stand. Which
# rows fail, and which cause is named?
#
# ## In practice
#
# PyTorch, JAX and TensorFlow compute gradients by *automatic differentiation*: the program is a chain of
# known functions, each with a backward of its own, and they are called in reverse (Griewank & Walther
# 2008). Somebody wrote those, too, and for new ones each library has a checker. The
# [README](../../README.md) shows what the checkers of three libraries and of minirec notice. PyTorch's
# steps by $10^{-6}$ and allows an error of a thousandth: a checker that users run on their own functions
# must not refuse a right one. For formulas that everything else stands on, a sharper one is worth its
# price.
#
# The complex step is described by Squire & Trapp (1998). How much noise rounding leaves, and so how much a
# check must allow, is estimated as in Moré & Wild (2011). Farrell et al. (2013) use Taylor's test for the
# gradients of physical models. The next lesson begins with the data: [the recommender loop and the
# interaction matrix](01_interactions.md).
