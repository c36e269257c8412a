# %% [markdown]
# # Stack blocks that still learn: residual paths, layer norm, encoder and decoder
#
# - **You will do:** derive layer norm backward line by line, build an encoder and a decoder block from
#   their parts, and measure how much gradient arrives below 24 layers, and what they learn.
# - **You will learn:** why $x + f(x)$ and not $f(x)$, what a norm is for and where to put it, and what the
#   encoder and the decoder of a recommender read.
# - **You need:** [checking a gradient](00_gradients.md), [attention](04_attention.md) and [heads and
#   masks](06_heads.md).
#
# Section 3.1 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术) shows
# the Transformer as input, encoder, decoder, output, and says that both are stacks of modules made of
# multi-head attention, a feed-forward network and residual connections. It does not mention layer norm,
# without which such stacks are hard to train, nor that the decoder has a second attention, by which it
# reads the encoder. This lesson fills in both.

# %%
import numpy as np

from minirec import functional, plots
from minirec.nn import DecoderBlock, EncoderBlock, FeedForward, LayerNorm, Transformer, diagonal_mask
from minirec.nn.residual import residual_forward
from minirec.optim import Adam
from minirec.verify import agree, check_gradient, check_module

# %% [markdown]
# ## The residual path
#
# A model is a chain of *layers*, functions one after the other, and by the chain rule its slope is the
# product of theirs. Three layers with slope $1/2$ pass on $1/2 \cdot 1/2 \cdot 1/2 = 1/8$ of a gradient; 24
# of them pass on $2^{-24}$, which is {{0.5**24:.0e}}. The *residual path* hands $x$ on beside the layer
# $f$, which then only has to compute what should be *added* to it:
#
# $$
# y = x + f(x)
# $$
#
# Now each slope is $1 + 1/2$, and the product of three multiplies out to $1 + 3/2 + 3/4 + 1/8$. There is
# one term for each route: 1 goes around all three layers, the three routes through a single layer make
# $3/2$, the three through two layers $3/4$, and the one through all is the $1/8$ from before. However small
# the slopes of the layers are, the 1 stays.
#
# The backward pass is one line. Given $dy = \partial L / \partial y$ of a loss $L$ that follows:
#
# - forward $y = x + f(x)$. Here $x$ enters twice: with slope 1, and through $f$. So $dx = dy + J^\top dy$,
#   where $J$ is the Jacobian of $f$ ([lesson 0](00_gradients.md)), and $J^\top dy$ what the backward
#   function of $f$ returns.
#
# To forget the first $dy$ is a classic mistake, and the gradient check has a name for it. As a layer we
# take a matrix product followed by *ReLU*, which sets negative numbers to 0:


# %%
agree("residual path", (1 + 1 / 2) ** 3, 1 + 3 / 2 + 3 / 4 + 1 / 8)


def residual_layer(x, A):
    return x + np.maximum(x @ A, 0), (x, A)


def forgets_the_path(dy, cache):
    x, A = cache
    dz = dy * (x @ A > 0)  # ReLU has slope 1 where its input is positive, else 0
    return dz @ A.T, x.T @ dz  # dx without "dy +", and dA


rng = np.random.default_rng(0)
wrong = check_gradient(residual_layer, forgets_the_path, rng.normal(size=(2, 3)), rng.normal(size=(3, 3)))
print("gradient is right" if wrong.ok else "gradient is wrong:", wrong.causes[0].text)

# %% [markdown]
# ## Layer norm
#
# Too little is no longer the danger. Too much is: 24 slopes of $1 + 1/2$ make {{1.5**24:,.0f}}, and $x$
# itself is by then the sum of all that was added. *Layer norm* brings each row back to one size. For a row
# $x$ of $D$ numbers: subtract the mean $\mu$, then divide by the *standard deviation*, the root of the
# *variance* $v$, which is the mean squared distance from $\mu$. A tiny $\varepsilon$ keeps the root from
# being zero. Two rows of parameters, $\gamma$ and $\beta$ of shape $(D,)$, give each column a new scale and
# shift, and training chooses them.
#
# $$
# y = \gamma \odot \frac{x - \mu}{\sqrt{v + \varepsilon}} + \beta, \qquad
# \mu = \frac1D \sum_i x_i, \qquad v = \frac1D \sum_i (x_i - \mu)^2
# $$
#
# ($\odot$ multiplies entry by entry.) For $(1, 3, 4, 5, 7)$ the mean is 4, the squared distances are $9, 1,
# 0, 1, 9$, their mean is 4 and its root 2. With $\varepsilon = 0$, $\gamma = 1$ and $\beta = 0$ we must get
# $(-1 \frac12, -\frac12, 0, \frac12, 1 \frac12)$. In loops, and then for all rows of an array at once, with
# $c = x - \mu$, $r = 1 / \sqrt{v + \varepsilon}$ and $\hat x = c\, r$:


# %%
def layer_norm_loops(x, gamma, beta, eps):
    D = len(x)
    mu = sum(x) / D
    v = sum((x_i - mu) ** 2 for x_i in x) / D
    return [gamma[i] * (x[i] - mu) / (v + eps) ** 0.5 + beta[i] for i in range(D)]


by_loops = layer_norm_loops([1, 3, 4, 5, 7], np.ones(5), np.zeros(5), 0.0)
agree("layer_norm", by_loops, [-1.5, -0.5, 0.0, 0.5, 1.5])


def layer_norm_forward(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=-1, keepdims=True)
    c = x - mu
    v = (c * c).mean(axis=-1, keepdims=True)
    r = 1 / np.sqrt(v + eps)
    x_hat = c * r
    return gamma * x_hat + beta, (c, r, x_hat, gamma)


rows, gamma, beta = rng.normal(size=(2, 5)), rng.normal(size=5), rng.normal(size=5)
y, cache = layer_norm_forward(rows, gamma, beta)
agree("layer_norm of each row", y, [layer_norm_loops(row, gamma, beta, 1e-5) for row in rows])

# %% [markdown]
# ### Its backward pass, line by line
#
# From the last line of the forward function to the first:
#
# - forward $y = \gamma \odot \hat x + \beta$. So $d\hat x = \gamma \odot dy$. All rows share $\gamma$ and
#   $\beta$, so $d\gamma$ is $dy \odot \hat x$, and $d\beta$ is $dy$, each added up over the rows.
# - forward $\hat x = c\, r$, with one $r$ for the row. So $dr = \sum_i d\hat x_i\, c_i$ and $dc = d\hat x\,
#   r$.
# - forward $r = (v + \varepsilon)^{-1/2}$. Its slope is $-\frac12 (v + \varepsilon)^{-3/2}$, so $dv =
#   -\frac12 r^3\, dr$.
# - forward $v = \frac1D \sum_i c_i^2$. Each $c_i$ enters with slope $2 c_i / D$, so $dc$ receives
#   $\frac{2}{D} c\, dv$ on top.
# - forward $c = x - \mu$. So $dx = dc$, and $d\mu = -\sum_i dc_i$.
# - forward $\mu = \frac1D \sum_i x_i$. So $dx$ receives $d\mu / D$ on top.


# %%
def layer_norm_backward_by_lines(dy, cache):
    c, r, x_hat, gamma = cache
    D = c.shape[-1]
    rows = tuple(range(dy.ndim - 1))  # all axes but the last: there may be batches of sequences
    dbeta, dgamma = dy.sum(axis=rows), (dy * x_hat).sum(axis=rows)
    dx_hat = gamma * dy
    dr = (dx_hat * c).sum(axis=-1, keepdims=True)
    dc = dx_hat * r
    dv = -0.5 * r**3 * dr
    dc = dc + 2 / D * c * dv
    dmu = -dc.sum(axis=-1, keepdims=True)
    return dc + dmu / D, dgamma, dbeta


report = check_gradient(layer_norm_forward, layer_norm_backward_by_lines, rows, gamma, beta)
print("gradient is right" if report.ok else report)

# %% [markdown]
# The lines for $dx$ fold into one. With $dr$ and then $dv$ put in, the second part of $dc$ is $-\frac1D r^3
# c \sum_i d\hat x_i\, c_i$. Since $c\, r = \hat x$, two of the three $r$ turn the two $c$ into $\hat x$,
# and it is $-r\, \hat x \cdot \frac1D \sum_i d\hat x_i\, \hat x_i$. To $d\mu$ this part adds nothing, as
# $\sum_i c_i = 0$; so $d\mu / D$ is $-r$ times the mean of $d\hat x$. With $\operatorname{mean}$ over the
# row:
#
# $$
# dx = r \, \bigl( d\hat x - \operatorname{mean}(d\hat x)
# - \hat x \odot \operatorname{mean}(d\hat x \odot \hat x) \bigr)
# $$
#
# Three terms: the gradient itself; less its mean, because adding one number to the whole row changes
# nothing in $y$; less its part along $\hat x$, because stretching the row changes nothing either (but for
# $\varepsilon$).


# %%
def layer_norm_backward(dy, cache):
    _, r, x_hat, gamma = cache
    dx_hat = gamma * dy
    mean = dx_hat.mean(axis=-1, keepdims=True)
    along = x_hat * (dx_hat * x_hat).mean(axis=-1, keepdims=True)
    rows = tuple(range(dy.ndim - 1))
    return r * (dx_hat - mean - along), (dy * x_hat).sum(axis=rows), dy.sum(axis=rows)


dy = rng.normal(size=y.shape)
agree("layer_norm backward", layer_norm_backward(dy, cache)[0], layer_norm_backward_by_lines(dy, cache)[0])
agree("minirec's layer_norm", y, functional.layer_norm_forward(rows, gamma, beta)[0])

# %% [markdown]
# This is `minirec.functional.layer_norm_forward` and `layer_norm_backward`: use them from here on.
#
# What goes wrong in practice: layers begin with $\gamma = 1$, and a test at that value cannot see that
# $\gamma$ was forgotten in $d\hat x$.

# %%
for name, scale in (("1", np.ones(5)), ("random", gamma)):
    _, (c, r, x_hat, _) = layer_norm_forward(rows, scale, beta)
    right = layer_norm_backward(dy, (c, r, x_hat, scale))[0]
    forgotten = layer_norm_backward(dy, (c, r, x_hat, 1.0))[0]
    print(f"gamma {name}: the same dx without it:", np.allclose(forgotten, right))

# %% [markdown]
# ## The feed-forward network
#
# A block of an encoder has two layers. Attention moves information *between* the positions of a sequence.
# The *feed-forward network* works on each position, that is on each row, *alone*, and is the same for all:
# a product that makes the row wider, ReLU, and a product back to the width $D$. With $W_1$ of shape $(D,
# F)$ and $W_2$ of shape $(F, D)$, where $F$ is usually $4D$:
#
# $$
# \operatorname{FFN}(x) = \max(x W_1 + b_1,\, 0)\, W_2 + b_2
# $$
#
# Its backward pass, with $h$ for what goes into ReLU and $a$ for what comes out:
#
# - forward $y = a W_2 + b_2$. So $da = dy\, W_2^\top$ and $dW_2 = a^\top dy$; every position adds to
#   $db_2$, the sum of the rows of $dy$.
# - forward $a = \max(h, 0)$. So $dh$ is $da$ where $h > 0$, and 0 elsewhere.
# - forward $h = x W_1 + b_1$. As in the first line, $dx = dh\, W_1^\top$ and $dW_1 = x^\top dh$.
#
# In minirec it is an object that owns its arrays, like `MultiHeadAttention` in lesson 6. All such objects
# are called alike: `forward` returns $y$ and a cache, `backward` takes $dy$ and the cache and returns $dx$
# and the gradients of the arrays, by name; `params` gives the arrays by the same names. Here $W_1$, $b_1$
# are `expand.W`, `expand.b`, and $W_2$, $b_2$ are `project.W`, `project.b`. What `check_gradient` does for
# two functions, `check_module` does for such an object.

# %%
ffn = FeedForward(rng, 5, 7)  # D = 5, F = 7; W random, b zero
W_1, b_1, W_2, b_2 = ffn.params().values()
loops = np.zeros((2, 5))  # two positions
for t in range(2):
    for i in range(5):
        loops[t, i] = b_2[i]
        for k in range(7):
            inside = b_1[k] + sum(rows[t, j] * W_1[j, k] for j in range(5))
            loops[t, i] += max(inside, 0.0) * W_2[k, i]
h = rows @ W_1 + b_1
y = np.maximum(h, 0) @ W_2 + b_2
agree("FeedForward", loops, y)

by_minirec, cache = ffn.forward(rows)
agree("minirec's FeedForward", y, by_minirec)
dx, grads = ffn.backward(dy, cache)
agree("FeedForward backward", (dy @ W_2.T * (h > 0)) @ W_1.T, dx)
print("gradients of x and of", ", ".join(grads), "are right:", check_module(ffn, rows).ok)

# %% [markdown]
# ## Where the norm stands
#
# Two orders are in use. *Pre-norm* normalizes what the layer reads, and leaves the path alone. *Post-norm*,
# the order of the first Transformer (Vaswani et al. 2017), normalizes the sum. With $\operatorname{LN}$ for
# layer norm:
#
# $$
# \text{pre: } \; y = x + f(\operatorname{LN}(x))
# $$
#
# $$
# \text{post: } \; y = \operatorname{LN}(x + f(x))
# $$
#
# In minirec both are `residual_forward`, of which all blocks are made. It takes $x$, the forward function
# of the layer, the norm and the order. Its last two arguments are for *dropout*: in training, a share
# `rate` of the numbers that $f$ returns, drawn by the random generator `rng`, is set to zero, and the rest
# divided by $1 - $ `rate`, so that the mean stays. Here it is off.
#
# Backward, with a dash for the backward pass of a layer. In pre-norm $x$ goes around and through: $dx = dy
# + \operatorname{LN}'(f'(dy))$. In post-norm the norm comes first: with $dz = \operatorname{LN}'(dy)$, $dx
# = dz + f'(dz)$. Dropout multiplies by the same array as on the way up, before $f'$.

# %%
norm = LayerNorm(5)  # begins with γ = 1 and β = 0
pre = rows + ffn.forward(norm.forward(rows)[0])[0]  # [0] takes the result, and leaves the cache
post = norm.forward(rows + ffn.forward(rows)[0])[0]
agree("residual, pre-norm", residual_forward(rows, ffn.forward, norm, "pre", rate=0.0, rng=None)[0], pre)
agree("residual, post-norm", residual_forward(rows, ffn.forward, norm, "post", rate=0.0, rng=None)[0], post)

# %% [markdown]
# In pre-norm a gradient has a route from the top of a stack to the bottom that meets no layer and no norm.
# In post-norm every route goes through all norms. Xiong et al. (2020) compare the two at the start of
# training: with post-norm the gradients near the output are large, and it needs a *warm-up*, a first phase
# with small steps; with pre-norm it can be left out ([lesson 9](09_training.md) returns to it). This does
# not say which is better once trained: with six blocks or fewer it is often post-norm (Takase et al. 2022).
#
# ## A stack of 24, measured
#
# How much gradient reaches the bottom of a deep stack? Stack 24 feed-forward networks of width 32 with
# fresh random weights, in three ways: the layers *alone*, each with a residual *path*, and in *pre-norm*.
# Send a random gradient in at the top, and note its *length* (the root of the sum of its squares) below
# each layer. How much a layer adds is not known beforehand, so do it twice: with $W_2$ as it is (× 1), and
# with three times $W_2$ (× 3).


# %%
def stack(width, times, seed):
    rng = np.random.default_rng(seed)
    layers = [FeedForward(rng, width, 4 * width) for _ in range(24)]
    for layer in layers:
        layer.project.W *= times
    return layers, LayerNorm(width)  # γ stays 1 and β stays 0, so one norm will do for all


def up(x, layers, norm, way):
    caches = []
    for layer in layers:
        z, of_norm = norm.forward(x) if way == "pre-norm" else (x, None)
        z, of_layer = layer.forward(z)
        x = z if way == "alone" else x + z
        caches.append((of_norm, of_layer))
    return x, caches


def down(dy, caches, layers, norm, way):
    """The gradients between the layers, and those of the layers' arrays, both from the top on."""
    passed, of_arrays = [dy], []
    for layer, (of_norm, of_layer) in zip(reversed(layers), reversed(caches), strict=True):
        dz, grads = layer.backward(dy, of_layer)
        if way == "pre-norm":
            dz, _ = norm.backward(dz, of_norm)
        dy = dz if way == "alone" else dy + dz
        passed.append(dy)
        of_arrays.append(grads)
    return passed, of_arrays


# %% Gradient left after so many layers: only a residual path with a norm keeps it in bounds both times
ways = ("alone", "path", "pre-norm")
inputs, top = rng.normal(size=(64, 32)), rng.normal(size=(64, 32))  # 64 positions
lengths = {}
for times in (1, 3):
    for way in ways:
        layers, norm = stack(32, times, seed=1)
        _, caches = up(inputs, layers, norm, way)
        passed, _ = down(top / np.linalg.norm(top), caches, layers, norm, way)  # it begins with length 1
        lengths[f"{way}, × {times}"] = [np.linalg.norm(d) for d in passed]
for name, values in lengths.items():
    print(f"{name:13} {values[-1]:8.2g} arrives")
drawn = {name: (range(25), values) for name, values in lengths.items()}
plots.lines(drawn, "layers passed on the way down", "length of the gradient", log="y")

# %% [markdown]
# The layers alone lose nearly everything or explode, and a factor of three decides which. The residual path
# does not lose it: its own term 1 is always there, and the others would have to cancel it. But what a layer
# reads grows with the sum, so what it adds grows as well, and so does the gradient. With pre-norm each
# layer reads rows of one size, however large the sum is, and on the way back the norm multiplies by $r$,
# one over the size of the sum. So every layer changes the sum and the gradient only a little.
#
# Does it matter for learning? Let the same stacks, now of width 8, learn a simple function from 64
# examples. The error is the mean of the squared differences. An *optimizer* is the rule by which gradients
# change the parameters; Adam ([lesson 9](09_training.md)) brings all steps to about the size `lr`, whether
# the gradients are small or large, so nobody is held back by their size alone.

# %% The error of 24 layers while they learn (× 1): pre-norm is soon below the two others
examples = rng.normal(size=(64, 8))
truth = np.tanh(examples @ rng.normal(size=(8, 8)))
curves = {}
for times in (1, 3):
    for way in ways:
        layers, norm = stack(8, times, seed=2)
        optimizers, errors = [Adam(lr=0.003) for _ in layers], []
        for _ in range(101):
            guess, caches = up(examples, layers, norm, way)
            errors.append(np.mean((guess - truth) ** 2))
            dguess = 2 * (guess - truth) / truth.size
            _, of_arrays = down(dguess, caches, layers, norm, way)
            for layer, grads, adam in zip(reversed(layers), of_arrays, optimizers, strict=True):
                adam.step(layer.params(), grads)
        curves[f"{way}, × {times}"] = (range(101), errors)
print(f"{'guessing 0':13} error {np.mean(truth**2):8.2g}")
for name, (_, errors) in curves.items():
    print(f"{name:13} error {errors[0]:8.2g} at first, {errors[-1]:8.2g} after 100 steps")
plots.lines({way: curves[f"{way}, × 1"] for way in ways}, "step", "mean squared error", log="y")

# %% [markdown]
# With $W_2$ as it is the layers alone begin with the error of guessing 0, since next to nothing comes
# through. The two with a path begin higher, as their guess is the sum of what 24 random layers add; but
# pre-norm is soon below the others. In these 100 steps the residual path alone is no better than no path at
# all, and with three times $W_2$ both stay far above guessing 0, while pre-norm gets below it. The path
# brings the gradient down, the norm keeps its size.
#
# ## The encoder block
#
# Now the document's module can be built, in pre-norm. $\operatorname{MultiHead}$ is the layer of [lesson
# 6](06_heads.md) with a query, a key and a value; in an encoder one sequence plays all three parts:
#
# $$
# x' = x + \operatorname{MultiHead}(z, z, z), \quad z = \operatorname{LN}_1(x)
# $$
#
# $$
# y = x' + \operatorname{FFN}(\operatorname{LN}_2(x'))
# $$
#
# Backward, the last line first: $dx' = dy + \operatorname{LN}_2'(\operatorname{FFN}'(dy))$. Then $z$ was
# query, key and value, so its gradient is a sum of three, $dz = dq + dk + dv$, which
# $\operatorname{MultiHead}'(dx')$ gives; and $dx = dx' + \operatorname{LN}_1'(dz)$.
#
# Shapes: $x$, $x'$ and $y$ are all $(T, D)$, for $T$ positions. So blocks can be stacked, and an *encoder*
# is just that, with one more norm at the end, since in pre-norm nothing has normalized the sum.
#
# The block does not return $x'$. To see it we silence the feed-forward network: with $W_2 = 0$ it adds
# nothing, as the biases begin at 0. And with $W_o = 0$ in attention nothing is added at all.

# %%
block = EncoderBlock(rng, width=8, heads=2, hidden=32)
x = rng.normal(size=(5, 8))
z, _ = block.norm1.forward(x)
middle = x + block.attention.forward(z, z, z)[0]
y = middle + block.feed_forward.forward(block.norm2.forward(middle)[0])[0]
agree("EncoderBlock", block.forward(x)[0], y)
print("its gradients are right:", check_module(block, x).ok)
block.feed_forward.project.W[:] = 0
agree("EncoderBlock, attention alone", block.forward(x)[0], middle)
block.attention.W_o[:] = 0
print("both silenced: y is x, bit for bit:", np.array_equal(block.forward(x)[0], x))

# %% [markdown]
# ## The decoder block
#
# A decoder has two inputs. In translation it writes the new sentence and reads the old one. In a
# recommender it holds the *candidates*, the items to be scored, and reads the user's *history*. So its
# block has a third layer, *cross-attention*: the queries come from the candidates, keys and values from the
# *memory* $m$, which is what the encoder made of the history. With $x$ of shape $(C, D)$ for $C$ candidates
# and $m$ of shape $(T, D)$:
#
# $$
# x' = x + \operatorname{MultiHead}(z, z, z), \quad z = \operatorname{LN}_1(x)
# $$
#
# $$
# x'' = x' + \operatorname{MultiHead}(\operatorname{LN}_2(x'), m, m)
# $$
#
# $$
# y = x'' + \operatorname{FFN}(\operatorname{LN}_3(x''))
# $$
#
# The memory needs no norm here: the encoder ends with one.

# %%
block = DecoderBlock(rng, width=8, heads=2, hidden=32)
x, memory = rng.normal(size=(3, 8)), rng.normal(size=(4, 8))
z, _ = block.norm1.forward(x)
first = x + block.self_attention.forward(z, z, z)[0]
second = first + block.cross_attention.forward(block.norm2.forward(first)[0], memory, memory)[0]
y = second + block.feed_forward.forward(block.norm3.forward(second)[0])[0]
agree("DecoderBlock", block.forward(x, memory)[0], y)
block.feed_forward.project.W[:] = 0
agree("DecoderBlock, both attentions", block.forward(x, memory)[0], second)
block.cross_attention.W_o[:] = 0
agree("DecoderBlock, attention among candidates", block.forward(x, memory)[0], first)

# %% [markdown]
# Backward as before: $dx'' = dy + \operatorname{LN}_3'(\operatorname{FFN}'(dy))$; the cross-attention gives
# $dq$, $dk$ and $dv$ for $dx''$, so $dx' = dx'' + \operatorname{LN}_2'(dq)$ and $dm = dk + dv$; then as in
# the encoder. Every block reads $m$, so their $dm$ add up.
#
# Which input can reach which candidate? A gradient answers that. Send back random numbers at one candidate
# and 0 at the others, and look at the length of what arrives at each input. The model has two encoder and
# two decoder blocks and is untrained, so the sizes mean nothing. The zeros do: with the diagonal mask of
# lesson 6 they are there for any weights.

# %% Which input (column) reaches which candidate (row), without a mask and with a diagonal one
history, candidates = ["Alien", "Brazil", "Tenet", "Moon"], ["Dune", "Heat", "Up"]
model = Transformer(np.random.default_rng(1), 2, 2, width=8, heads=2, hidden=32)
source, target = rng.normal(size=(4, 8)), rng.normal(size=(3, 8))  # a row of 8 numbers for each film
reach = {"no mask": [], "diagonal mask": []}
for name, mask in zip(reach, (None, diagonal_mask(3)), strict=True):
    _, cache = model.forward(source, target, target_mask=mask)
    for candidate in range(3):
        dy = np.zeros((3, 8))
        dy[candidate] = rng.normal(size=8)
        (dsource, dtarget), _ = model.backward(dy, cache)
        reach[name].append(np.linalg.norm(np.concatenate([dsource, dtarget]), axis=1))  # 4 + 3 lengths
names = {"rows": candidates, "columns": history + candidates, "xlabel": "input", "ylabel": "candidate"}
plots.heatmap(reach, label="length of the gradient", form="{:.1f}", **names)

# %% [markdown]
# The whole history reaches every candidate: that is cross-attention. Without a mask candidates reach each
# other as well, so the score of *Dune* depends on whether *Heat* is in the list. The document's code has no
# mask; [lesson 8](08_document_model.md) shows what follows from that. With a diagonal mask a candidate sees
# the history and itself, and nothing else.
#
# ## Exercise
#
# 1. The language model BERT uses another nonlinearity than ReLU, called GELU: $y = \frac12 x (1 + \tanh u)$
#    with $u = \sqrt{2/\pi}\, (x + 0.044715\, x^3)$. The slope of $\tanh u$ is $1 - \tanh^2 u$. Write
#    `gelu_forward` and `gelu_backward`, and check them:
#
# ```
# python -m minirec verify my_file.py:gelu --against gelu
# ```
#
#    And the functions of this lesson themselves: `python -m minirec exercise start layer_norm`, then
#    `residual` and `encoder_block`.
#
# 2. *RMSNorm* leaves out the mean and $\beta$: $y = \gamma \odot x\, r$ with $r = 1 / \sqrt{q +
#    \varepsilon}$, where $q$ is the mean of the squares of the row. Which of the three terms of $dx$ goes?
#    Write `rms_norm_forward` and `rms_norm_backward`, and check them:
#
# ```
# python -m minirec verify my_file.py:rms_norm --args "x:3x5 gamma:5"
# ```
#
# ## In practice
#
# Residual paths come from image recognition (He et al. 2016); that they act like many short paths, Veit et
# al. (2016) show. Layer norm is by Ba, Kiros & Hinton (2016). `torch.nn.Transformer`, which the document
# uses, is post-norm unless one says `norm_first=True`. Many large language models since GPT-2 (Radford et
# al. 2019) are pre-norm, many of them with RMSNorm (Zhang & Sennrich 2019). The code of SASRec (Kang &
# McAuley 2018) has a third order, in which the path carries the normalized input, $y = z + f(z)$ with $z =
# \operatorname{LN}(x)$; minirec calls it `norm="first"`.
