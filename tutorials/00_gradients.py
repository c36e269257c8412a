# %% [markdown]
# # Check a gradient before you trust it
#
# - **You will do:** derive one gradient by hand, check it in four ways, break it, and see which check
#   notices.
# - **You will learn:** why a smaller step is not a better one, how a derivative is computed without any
#   subtraction, how one random number stands for a whole matrix, and why an upstream of ones is blind.
# - **You need:** matrix products and the chain rule. This is the first lesson.
#
# Section 3.2 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术) says in
# its second step that a model is trained, and the code of section 5.2 leaves the training to a comment. How
# a gradient is computed, and how one would know that it is right, the document does not say. All that
# follows here depends on it: a model with a slightly wrong gradient often still trains, only worse, and
# nothing tells you.

# %%
import json
from pathlib import Path

import numpy as np

from minirec import functional as F
from minirec import plots
from minirec.verify import agree, central_difference, check_gradient, complex_step

# %% [markdown]
# ## A small function to work with
#
# A user has watched 1 hour of drama, 2 hours of comedy and 5 hours of crime. What *share* of the time went
# to each genre? For $n$ numbers of hours $x$, shape $(n,)$, the shares $y$ have the same shape:
#
# $$
# y_i = \frac{x_i}{\sum_{j=1}^{n} x_j}
# $$
#
# The sum is 8, so the shares must be $1/8$, $2/8$ and $5/8$. In loops, and compared by `agree`, which stops
# if two sides differ:


# %%
def shares_loops(x):
    total = 0.0
    for x_j in x:
        total += x_j
    return [x_i / total for x_i in x]


x = np.array([1.0, 2.0, 5.0])
agree("shares", shares_loops(x), [1 / 8, 2 / 8, 5 / 8])

# %% [markdown]
# With arrays, one row after the other along the last axis. The function also returns a *cache*: whatever
# the way back will need.


# %%
def shares_forward(x):
    total = x.sum(axis=-1, keepdims=True)
    y = x / total
    return y, (y, total)


y, cache = shares_forward(x)
agree("shares of an array", y, shares_loops(x))
print(y)

# %% [markdown]
# ## What a gradient is
#
# Training makes one number small, the *loss* $L$. Say the shares ought to be $t = (1/4, 1/4, 1/2)$, and the
# loss is $L = \frac12 \sum_i (y_i - t_i)^2$. Then $\partial L / \partial y_i = y_i - t_i$: how fast the
# loss grows with share $i$. We write $dy$ for these slopes and call them the *upstream gradient*, since
# they come from what follows our function. Wanted is $dx_j = \partial L / \partial x_j$, the same for the
# hours. Hours $j$ move every share, so the chain rule adds over all of them:
#
# $$
# dx_j = \sum_i dy_i \, \frac{\partial y_i}{\partial x_j}
# $$
#
# The table $J$ of all slopes, $J_{ij} = \partial y_i / \partial x_j$, is called the *Jacobian* of the
# function. The formula says $dx = J^\top dy$. Here the table is small enough to write down. With the sum
# $s = \sum_j x_j$, one more hour of genre $j$ moves share $i \neq j$ by $-x_i / s^2$, as the sum grows, and
# its own share by $1/s$ more. For crime and itself: $1/8 - 5/64 = 3/64$.

# %%
s = x.sum()
J = np.zeros((3, 3))
for i in range(3):
    for j in range(3):
        J[i, j] = (1 / s if i == j else 0.0) - x[i] / s**2
print(64 * J, "/ 64")

t = np.array([1 / 4, 1 / 4, 1 / 2])
dy = y - t
by_chain_rule = [sum(dy[i] * J[i, j] for i in range(3)) for j in range(3)]
agree("the chain rule", by_chain_rule, J.T @ dy)
print("64 dx =", 64 * (J.T @ dy))

# %% [markdown]
# An hour more of crime would raise the loss, an hour more of drama lower it.
#
# ## The backward pass, line by line
#
# No model builds its Jacobian: for a thousand numbers in and out it has a million entries. A *backward*
# function computes $J^\top dy$ directly, by going through the lines of the forward function from the last
# to the first.
#
# - forward $y_i = x_i / s$. Through the numerator, $x_i$ receives $dy_i / s$. Through the denominator, $s$
#   receives $-dy_i\, x_i / s^2$ from every $i$: in all $ds = -\frac1s \sum_i dy_i\, y_i$.
# - forward $s = \sum_j x_j$. Each $x_j$ enters with slope 1, so each receives $ds$ on top.
#
# Both together:
#
# $$
# dx = \frac{1}{s} \Bigl( dy - \sum_i dy_i\, y_i \Bigr)
# $$
#
# In words: the slope of the loss for each share, less the *average* of these slopes, in which every genre
# counts by its share.


# %%
def shares_backward(dy, cache):
    y, total = cache
    return (dy - (dy * y).sum(axis=-1, keepdims=True)) / total


agree("shares_backward", shares_backward(dy, cache), J.T @ dy)

# %% [markdown]
# This agrees with $J$, but both came from the same pen. A check must use the *forward* function and nothing
# else.
#
# ## The first check: move a little and look
#
# A slope is a rise divided by a run. Take $f(x) = x^3$, whose slope is $3x^2$, and a step $h$. Three ways
# to estimate the slope, multiplied out. The *forward difference* looks ahead:
#
# $$
# \frac{(x + h)^3 - x^3}{h} = 3x^2 + 3xh + h^2
# $$
#
# The *central difference* looks both ways. The terms with an even power of $h$ are the same on both sides,
# and cancel:
#
# $$
# \frac{(x + h)^3 - (x - h)^3}{2h} = 3x^2 + h^2
# $$
#
# The *complex step* moves in the direction of $i$, the number with $i^2 = -1$, and looks at the part of the
# result that stands with $i$ (its imaginary part, $\operatorname{Im}$). Multiplied out, $(x + ih)^3$ is
# $x^3 - 3xh^2 + i\,(3x^2 h - h^3)$, so only one term is left beside the slope:
#
# $$
# \frac{\operatorname{Im}\,(x + ih)^3}{h} = 3x^2 - h^2
# $$
#
# At $x = 2$ with $h = 1/2$ the true slope is 12, and the three give $15 \frac14$, $12 \frac14$ and
# $11 \frac34$.


# %%
def cube(x):
    return x**3


def forward_difference(f, x, h):
    return (f(x + h) - f(x)) / h


agree("forward difference", forward_difference(cube, 2.0, 0.5), 12 + 3 * 2 * 0.5 + 0.5**2)
agree("central difference", central_difference(cube, 2.0, h=0.5), 12 + 0.5**2)
agree("complex step", complex_step(cube, 2.0, h=0.5), 12 - 0.5**2)

# %% [markdown]
# The error falls with $h$ for the first, and with $h^2$ for the other two. This is no accident of
# the cube. Close by, every smooth function is a constant, plus a slope times $h$, plus a bend times $h^2$,
# and so on (Taylor's formula); the first difference keeps the bend, the others do not.
#
# ## Why a smaller step is not a better one
#
# So let $h$ be tiny? Take the share of crime as a function of the hours of crime, $f(x) = x / (3 + x)$. Its
# slope at $x = 5$ is $3/64$, as above.


# %%
def crime(x):
    return x / (3 + x)


for h in (1e-4, 1e-8, 1e-12):
    print(f"h = {h:.0e}:  f(x + h) = {crime(5 + h):.14f}   slope {forward_difference(crime, 5.0, h):.8f}")
print(f"           f(x)     = {crime(5.0):.14f}   true  {3 / 64:.8f}")

# %% [markdown]
# At $h = 10^{-12}$ the two values agree in their first thirteen digits. A number of 64 bits holds about
# 16, so the difference has three left, and the slope is wrong in the fourth. Each halving of the step loses one
# more bit. The two errors work against each other: for the forward difference about $\frac{h}{2} |f''|$
# from the bend ($f''$ is the derivative of the slope), and about $\varepsilon |f| / h$ from rounding, where
# $\varepsilon$ is the gap between 1 and the next number. They are equal at
#
# $$
# h^\ast = \sqrt{2\, \varepsilon\, |f| \,/\, |f''|}
# $$

# %%
epsilon = np.finfo(np.float64).eps  # 2 to the power of -52
value, bend = crime(5.0), 6 / (3 + 5.0) ** 3
best = np.sqrt(2 * epsilon * value / bend)
agree("the best step", (best / 2 * bend) / (epsilon * value / best), 1.0)
print(f"best step {best:.0e}; the error there is at most about {best * bend / (3 / 64):.0e} of the slope")

# %% The V-curve: from right to left the error falls with the step, until rounding takes over
rng = np.random.default_rng(0)
points = rng.uniform(4, 6, 50)  # at a single one, rounding may be lucky
h = 2.0 ** -np.arange(58)[:, None]  # 1, 1/2, 1/4, ...
few, points_32 = h[:28].astype(np.float32), points.astype(np.float32)
estimates = {
    "forward difference": forward_difference(crime, points, h),
    "central difference": central_difference(crime, points, h=h),
    "central difference, 32 bits": central_difference(crime, points_32, np.float32(1), few),
    "complex step": complex_step(crime, points, h=h),
}
errors = {name: np.abs(slope / (3 / (3 + points) ** 2) - 1).mean(axis=1) for name, slope in estimates.items()}
least = [e.min() for e in errors.values()]
plots.lines(
    {name: (h[: len(e), 0], np.maximum(e, epsilon)) for name, e in errors.items()},  # drawn down to epsilon
    "step size h",
    "relative error of the slope",
    log="xy",
)

# %% [markdown]
# Each difference makes a V: the right branch is the bend, the left one is rounding. The error of the
# forward difference never falls below {{least[0]:.1e}}, that of the central one not below {{least[1]:.1e}}.
# At the left end $5 + h$ is no longer different from 5, the difference is zero, and so is the slope. With
# numbers of 32 bits, as most models are trained with, the central difference gets no better than
# {{least[2]:.1e}}, and a mistake smaller than that would be lost in it: *gradients are checked with 64
# bits*.
#
# The complex step makes no V. There is no difference in it, so nothing cancels, and with $h = 10^{-30}$ its
# error of $h^2 = 10^{-60}$ is far below rounding. It costs one thing. The function must take complex
# numbers and must be *analytic in code*: built from sums, products, powers, exponentials. An absolute value
# is not, and then the complex step is wrong and says nothing:

# %%
print("slope of |x| at -3, by differences:", round(float(central_difference(np.abs, -3.0)), 6))
print("slope of |x| at -3, by complex step:", complex_step(np.abs, -3.0))

# %% [markdown]
# ## The second check: one number for a whole Jacobian
#
# One column of $J$ takes one call of the forward function with a moved $x$. A model with 100,000 numbers
# would take 100,000 calls. The way out: do not ask for $J$, ask for what it does. Draw a random direction
# $u$ for the input and random slopes $g$ for the output, both with signs. Write $\langle a, b \rangle$ for
# $\sum_i a_i b_i$. Then
#
# $$
# \langle J u,\; g \rangle = \langle u,\; J^\top g \rangle
# $$
#
# Both are $\sum_{ij} g_i\, J_{ij}\, u_j$, added up in another order. The left side needs forward only: $Ju$
# is how the output moves when the input moves along $u$, one complex step. The right side is one call of
# backward. This is the *adjoint test* ($J^\top$ is the adjoint of $J$): two calls, whatever the size.


# %%
def adjoint_test(backward, u, g):
    _, cache = shares_forward(x)
    moved = complex_step(lambda v: shares_forward(v)[0], x, u)  # J u, from forward alone
    return moved @ g, u @ backward(g, cache)


u, g = rng.normal(size=3), rng.normal(size=3)
agree("the adjoint test", *adjoint_test(shares_backward, u, g))

# %% [markdown]
# If backward had a single entry of $J$ wrong by $\delta$, at output $i$ and input $j$, the two sides would
# differ by $\delta\, u_j\, g_i$. Random numbers are not zero, so it shows.
#
# ## The third check: what is left must fall with the square
#
# Complex numbers are not always possible, and a difference alone leaves the question whether its error is
# mine or the step's. Taylor's test asks how the error *falls*. For the cube, take the slope away:
#
# $$
# (x + h)^3 - x^3 - h \cdot 3x^2 = 3xh^2 + h^3
# $$
#
# Half the step, a quarter of the remainder. With a wrong slope something is left that falls with $h$ alone,
# and for small $h$ it is all there is. So the same, for our function along a direction $u$, with
# $f(x) = \langle g, y(x) \rangle$ to make one number of it:

# %% Taylor's test: the remainder of a right gradient falls with the square of the step, of a wrong one not
agree("Taylor's remainder", cube(2.5) - cube(2.0) - 0.5 * 12, 3 * 2 * 0.5**2 + 0.5**3)


def remainder(gradient, h):
    moved, _ = shares_forward(x + h * u)
    return abs(g @ moved - g @ y - h * (u @ gradient))


short = 2.0 ** -np.arange(0, 19)
right = shares_backward(g, cache)
for name, gradient in (("right", right), ("1 % too small", 0.99 * right)):
    ratio = remainder(gradient, short[12]) / remainder(gradient, short[11])
    print(f"{name}: half the step leaves {ratio:.2f} of the remainder")
plots.lines(
    {
        "nothing taken away": (short, [remainder(0 * right, h) for h in short]),
        "gradient 1 % too small": (short, [remainder(0.99 * right, h) for h in short]),
        "right gradient": (short, [remainder(right, h) for h in short]),
    },
    "step size h",
    "what is left",
    log="xy",
)

# %% [markdown]
# ## An upstream of ones is blind
#
# Many tests of gradients take the sum of all outputs as the loss, because a sum is the simplest number. Its
# upstream is $dy = (1, 1, \ldots, 1)$. Somebody writes the backward pass from memory, and remembers an
# average, but not that it was weighted:


# %%
def shares_backward_wrong(dy, cache):
    _, total = cache
    return (dy - dy.mean(axis=-1, keepdims=True)) / total


ones = np.ones(3)
for name, upstream in (("ones", ones), ("random, signed", g)):
    left, right_side = adjoint_test(shares_backward_wrong, u, upstream)
    verdict = "passes" if abs(left - right_side) < 1e-12 else "fails"
    print(f"dy {name}: {verdict}, the sides are {abs(left - right_side):.3f} apart")

# %% [markdown]
# With ones it passes, at any $x$, and no smaller tolerance would help. The shares always add up to 1, so
# the loss never moves, and the right gradient is zero; the wrong formula also gives zero. In terms of the
# Jacobian: ones add up each column, and see nothing but that sum.
#
# $$
# \sum_i 1 \cdot \frac{\partial y_i}{\partial x_j} = \frac{\partial}{\partial x_j} \sum_i y_i = 0
# $$

# %% Two Jacobians that differ in every cell, though the columns of both add up to 0
wrong_J = np.array([shares_backward_wrong(row, cache) for row in np.eye(3)])  # row i is what dy_i brings back
agree("ones add up the columns", J.sum(axis=0), shares_backward(ones, cache))
assert abs(wrong_J.sum(axis=0)).max() < 1e-12
genres = ["drama", "comedy", "crime"]
plots.heatmap(
    {"right": J, "wrong": wrong_J},
    rows=genres,
    columns=genres,
    xlabel="hours that move",
    ylabel="share",
    form="{:.3f}",
    label="slope",
)

# %% [markdown]
# A second mistake that ones cannot see is to forget $dy$ altogether. For $y = x^2$, the function
# `return 2 * x` passes every test with ones, and is wrong inside every model. So the upstream must be
# *random, and signed*: random so that no sum cancels, signed so that an absolute value or a cut at zero
# shows.
#
# ## All of this in one call
#
# `minirec.verify.check_gradient` takes a forward function, a backward function and arguments:

# %%
hours = np.array([1.0, 2.0, 5.0, 3.0, 7.0])
report = check_gradient(shares_forward, shares_backward, hours)
for check in report.checks:
    print("ok    " if check.ok else "FAILED", check.name)

# %% [markdown]
# *Full Jacobian* compares every entry with differences, for small arrays, within a limit that follows from
# the two errors of the V-curve. *Kinks* are taken up below. *Adjoint* and *Taylor remainder* you know;
# *another point* is one close by, where a backward that remembers an old call is found out. *Linear in dy*
# asks whether twice the upstream gives twice the gradient; *zero in, zero out* whether none gives none. The
# rest are manners: shapes and types fit, nothing is written into the arguments, a second call gives the
# same bits, no argument is without a gradient. Now the wrong ones, each with what the report says is
# *probably* the cause:


# %%
def second_term_forgotten(dy, cache):
    return dy / cache[1]


def twice(dy, cache):
    return 2 * shares_backward(dy, cache)


def not_transposed(dy, cache):
    y, total = cache
    return (dy - dy.sum(axis=-1, keepdims=True) * y) / total


def upstream_clipped(dy, cache):
    return shares_backward(np.clip(dy, -1, 1), cache)


at_ones = shares_backward(np.ones(5), shares_forward(hours)[1])
for wrong in (shares_backward_wrong, second_term_forgotten, twice, not_transposed, upstream_clipped):
    found = check_gradient(shares_forward, wrong, hours)
    blind = np.allclose(wrong(np.ones(5), shares_forward(hours)[1]), at_ones)
    print(f"{wrong.__name__}: {len(found.failures)} rows fail; ones {'see nothing' if blind else 'see it'}")
    for cause in found.causes:
        print("   probably" if cause.sure else "   perhaps", cause.text)

# %% [markdown]
# Ones miss three of the five. The diagnosis sees the two functions from outside only: it compares the wrong
# gradients with the right ones, and names a cause when a known kind of mistake explains *all* of the
# difference ("probably") or fits it ("perhaps"). Of our wrong average it only sees that the error is one
# constant per row: that is where to look, and $\sum_i dy_i y_i$ is what should stand there. The "mean" of
# the second line is that same term: an average with the shares as weights.
#
# And the mistake of forgetting $dy$, for $y = x^2$:


# %%
def square_forward(x):
    return x**2, x


def square_backward_without_dy(dy, x):
    return 2 * x


found = check_gradient(square_forward, square_backward_without_dy, x)
print(found.causes[0].text)

# %% [markdown]
# These are `minirec.verify.central_difference`, `complex_step` and `check_gradient`: use them from here on.
#
# ## What no gradient check sees
#
# **A wrong forward function.** The check asks whether backward is the derivative of forward, not whether
# forward is what you meant. Here is a formula that is wrong, with a gradient that is right:


# %%
def shares_off_by_one(x):
    total = x.sum(axis=-1, keepdims=True) + 1
    return x / total, (x / total, total)


print("gradient is right:", check_gradient(shares_off_by_one, shares_backward, x).ok)
print("formula is right: ", np.allclose(shares_off_by_one(x)[0], shares_loops(x)))

# %% [markdown]
# Only a second way to write the formula can tell: the loops above. That is why each formula of minirec has
# three things: forward, backward, and a definition in loops.
#
# **A kink.** The function $\max(x, 0)$, called ReLU, has slope 0 on the left of zero and 1 on the right. At
# zero there is no slope, and differences give three answers:

# %%
for name, slope in (
    ("right", forward_difference(lambda v: np.maximum(v, 0), 0.0, 1e-6)),
    ("left", forward_difference(lambda v: np.maximum(v, 0), 0.0, -1e-6)),
    ("both sides", central_difference(lambda v: np.maximum(v, 0), 0.0)),
):
    print(f"slope at 0, looking {name}: {slope + 0.0:.1f}")
report = check_gradient(F.relu_forward, F.relu_backward, np.array([-1.0, 0.0, 2.0]))
print("minirec's ReLU:", report.ok, "-", next(row.detail for row in report.checks if row.name == "kinks"))

# %% [markdown]
# Each library has to choose; minirec, as most, takes 0. The check finds the kinks, and there asks only that
# the answer lies between the two sides.
#
# ## Exercise
#
# Write `sigmoid_forward` and `sigmoid_backward`, for $y = 1 / (1 + e^{-x})$, in a file of your own; the
# backward pass needs only $y$. Compare it with the formula and with differences:
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
# 2008). Somebody wrote those, too, and for new ones each library has a checker. How sharp are they? Faults
# were put into the backward pass of softmax, or of the function that a line names, in 20 runs each, every
# checker with its default tolerances (autograd is the library that JAX grew out of):

# %% In how many of 20 runs each checker objected to a fault in a backward pass
path = Path(__file__).parents[1] / "tests" / "results" / "checkers.json"
objections = json.loads(path.read_text(encoding="utf-8"))["objections"]
checkers = ["minirec check_gradient", "torch gradcheck", "jax check_vjp", "autograd check_grads"]
faults = [fault for fault in objections[checkers[0]] if "1e-7" not in fault]
counts = np.array([[objections[checker][fault] for checker in checkers] for fault in faults])
plots.heatmap(counts, rows=faults, columns=checkers, form="{:.0f}", label="objections in 20 runs")

# %% [markdown]
# (`python tests/verify/other_checkers.py --write` makes these numbers.) The first line must be 0.
# *Identically zero* is a function that is 0 everywhere: its gradient of 0 is right, and the test compares
# nothing. PyTorch's checker steps by $10^{-6}$ and allows an error of a thousandth; its upstream has a
# single 1 and zeros elsewhere, so it never sees a negative one. That is a choice: a checker that users run
# on their own functions, in any precision, must not cry wolf. For formulas that everything else stands on,
# a sharper one is worth its price.
#
# The complex step is by Squire & Trapp (1998), the estimate of rounding noise that sets the limits by Moré
# & Wild (2011), and Taylor's test is usual where physical models are fitted (Farrell et al. 2013). The next
# lesson begins with the data: [the recommender loop and the interaction matrix](01_interactions.md).
