# %% [markdown]
# # Stack blocks that still learn: residual paths, layer norm, encoder and decoder
#
# - **You will do:** derive layer norm backward line by line, build an encoder block from its parts, and
#   measure how much gradient arrives after 24 layers, with and without a residual path.
# - **You will learn:** why $x + f(x)$ and not $f(x)$, what a norm is for and where to put it, and what the
#   encoder and the decoder of a recommender read.
# - **You need:** [checking a gradient](00_gradients.md), [softmax and cross-entropy](03_softmax.md),
#   [attention](04_attention.md) and [heads and masks](06_heads.md).
#
# Section 3.1 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术) shows
# the Transformer as input, encoder, decoder, output, and says that both are stacks of modules made of
# multi-head attention, a feed-forward network and residual connections. It does not mention layer norm,
# without which such stacks are hard to train, nor that the decoder has a second attention, by which it
# reads the encoder. This lesson fills in both.

# %%
import numpy as np

from minirec import functional as F
from minirec import plots
from minirec.nn import DecoderBlock, Encoder, EncoderBlock, FeedForward, LayerNorm, Transformer, diagonal_mask
from minirec.nn.residual import residual_backward, residual_forward
from minirec.optim import Adam
from minirec.verify import agree, check_gradient, check_module, jacobian

# %% [markdown]
# ## The residual path
#
# A model is a chain of layers, and by the chain rule its slope is a product of theirs. Three layers with
# slope $1/2$ each pass on $1/2 \cdot 1/2 \cdot 1/2 = 1/8$ of a gradient; 24 of them pass on less than a
# ten-millionth. The *residual path* hands the input of a layer on beside it, so the layer $f$ only has to
# compute what should be *added*:
#
# $$
# y = x + f(x)
# $$
#
# Now each slope is $1 + 1/2$, and the product multiplies out to $1 + 3/2 + 3/4 + 1/8$: for every way to go
# through some of the layers and around the others, one term. The first term, 1, went around all of them.
# With arrays the slope of a layer is its Jacobian $J$ (row $i$, column $j$: how output $i$ moves with input
# $j$), and that of the path is the identity matrix $I$. Two layers with residual paths have the Jacobian
#
# $$
# (I + J_2)(I + J_1) = I + J_1 + J_2 + J_2 J_1
# $$
#
# As a layer to try this on, take a matrix product and ReLU ($\max(z, 0)$ for each number $z$).


# %%
def relu_layer(x, W):
    return np.maximum(x @ W, 0)


rng = np.random.default_rng(0)
x, A, B = rng.normal(size=3), rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
agree("residual path", (1 + 1 / 2) ** 3, 1 + 3 / 2 + 3 / 4 + 1 / 8)

h = x + relu_layer(x, A)  # after the first layer, which has the matrix A; the second has B
J_1, J_2 = jacobian(lambda v: relu_layer(v, A), x), jacobian(lambda v: relu_layer(v, B), h)
both = jacobian(lambda v: v + relu_layer(v, A) + relu_layer(v + relu_layer(v, A), B), x)
agree("two residual layers", both, np.eye(3) + J_1 + J_2 + J_2 @ J_1, tolerance=1e-9)

# %% [markdown]
# The backward pass is one line. Given $dy = \partial L / \partial y$ of a loss $L$ behind it:
#
# - forward $y = x + f(x)$. Here $x$ enters twice: with slope 1, and through $f$. So $dx = dy + J^\top dy$,
#   where $J^\top dy$ is what the backward function of $f$ returns.
#
# The $dy$ in it arrives whatever $f$ does. To forget it is a classic mistake, and the gradient check has a
# name for it:


# %%
def residual_layer(x, W):
    return x + relu_layer(x, W), (x, W)


def forgets_the_path(dy, cache):
    x, W = cache
    dz = dy * (x @ W > 0)  # ReLU
    return dz @ W.T, x.T @ dz  # dx without "dy +", and dW


wrong = check_gradient(residual_layer, forgets_the_path, rng.normal(size=(2, 3)), A)
print("gradient is right" if wrong.ok else "gradient is wrong:", wrong.causes[0].text)

# %% [markdown]
# ## Layer norm
#
# Sums grow: after many layers $x$ is the sum of all that was added. *Layer norm* brings each row back to
# one size. For a row $x$ of $D$ numbers: take away its mean $m$, then divide by its standard deviation, the
# root of the mean squared distance from $m$. A tiny $\varepsilon$ keeps that from being zero. Two learned
# rows, $\gamma$ and $\beta$, shape $(D,)$, choose a new scale and shift for each column.
#
# $$
# y = \gamma \odot \frac{x - m}{\sqrt{v + \varepsilon}} + \beta, \qquad
# m = \frac1D \sum_i x_i, \qquad v = \frac1D \sum_i (x_i - m)^2
# $$
#
# ($\odot$ multiplies entry by entry.) For $(1, 3, 4, 5, 7)$ the mean is 4, the squared distances are $9, 1,
# 0, 1, 9$, their mean is 4 and its root 2. With $\varepsilon = 0$, $\gamma = 1$ and $\beta = 0$ we must get
# $(-1 \frac12, -\frac12, 0, \frac12, 1 \frac12)$. In loops:


# %%
def layer_norm_loops(x, gamma, beta, eps):
    D = len(x)
    mean = sum(x) / D
    variance = sum((x_i - mean) ** 2 for x_i in x) / D
    return [gamma[i] * (x[i] - mean) / (variance + eps) ** 0.5 + beta[i] for i in range(D)]


row, one, zero = np.array([1.0, 3.0, 4.0, 5.0, 7.0]), np.ones(5), np.zeros(5)
agree("layer_norm", layer_norm_loops(row, one, zero, 0.0), [-1.5, -0.5, 0.0, 0.5, 1.5])


def layer_norm_forward(x, gamma, beta, eps=1e-5):
    mean = x.mean(axis=-1, keepdims=True)
    c = x - mean
    v = (c * c).mean(axis=-1, keepdims=True)
    r = 1 / np.sqrt(v + eps)
    x_hat = c * r
    return gamma * x_hat + beta, (c, r, x_hat, gamma)


rows, gamma, beta = rng.normal(size=(2, 5)), rng.normal(size=5), rng.normal(size=5)
y, cache = layer_norm_forward(rows, gamma, beta)
agree("layer_norm of each row", y, [layer_norm_loops(x, gamma, beta, 1e-5) for x in rows])

# %% [markdown]
# ### Its backward pass, line by line
#
# From the last line of the forward function to the first. What a quantity receives is written with a $d$;
# where it is used twice, it receives twice.
#
# - forward $y = \gamma \odot \hat x + \beta$. So $d\beta = dy$ and $d\gamma = dy \odot \hat x$, added up
#   over all rows, as all rows share them; and $d\hat x = \gamma \odot dy$.
# - forward $\hat x = c\, r$, with one $r$ for the row. So $dr = \sum_i d\hat x_i\, c_i$ and $dc = d\hat x\,
#   r$.
# - forward $r = (v + \varepsilon)^{-1/2}$. Its slope is $-\frac12 (v + \varepsilon)^{-3/2}$, so $dv =
#   -\frac12 r^3\, dr$.
# - forward $v = \frac1D \sum_i c_i^2$. Each $c_i$ enters with slope $2 c_i / D$, so $dc$ receives
#   $\frac{2}{D} c\, dv$ on top.
# - forward $c = x - m$. So $dx = dc$, and $dm = -\sum_i dc_i$.
# - forward $m = \frac1D \sum_i x_i$. So $dx$ receives $dm / D$ on top.


# %%
def layer_norm_backward_by_lines(dy, cache):
    c, r, x_hat, gamma = cache
    D = c.shape[-1]
    dbeta, dgamma = dy.sum(axis=0), (dy * x_hat).sum(axis=0)
    dx_hat = gamma * dy
    dr = (dx_hat * c).sum(axis=-1, keepdims=True)
    dc = dx_hat * r
    dv = -0.5 * r**3 * dr
    dc = dc + 2 / D * c * dv
    dm = -dc.sum(axis=-1, keepdims=True)
    return dc + dm / D, dgamma, dbeta


report = check_gradient(layer_norm_forward, layer_norm_backward_by_lines, rows, gamma, beta)
print("gradient is right" if report.ok else report)

# %% [markdown]
# The lines for $dx$ fold into one. Put $dv$ into $dc$ and use $c\, r = \hat x$: the second part of $dc$
# becomes $-r\, \hat x \cdot \frac1D \sum_i d\hat x_i\, \hat x_i$. In $dm$ it adds up to nothing, as $\sum_i
# c_i = 0$. With $\operatorname{mean}$ over the row:
#
# $$
# dx = r \, \bigl( d\hat x - \operatorname{mean}(d\hat x)
# - \hat x \odot \operatorname{mean}(d\hat x \odot \hat x) \bigr)
# $$
#
# Three terms: the gradient itself; less its mean, because to shift a row changes nothing; less its part
# along $\hat x$, because to stretch a row changes nothing (but for $\varepsilon$). Leave one out, and the
# check says which:


# %%
def layer_norm_backward(dy, cache, without=""):
    _, r, x_hat, gamma = cache
    dx_hat = gamma * dy
    mean = dx_hat.mean(axis=-1, keepdims=True) * (without != "mean")
    along = x_hat * (dx_hat * x_hat).mean(axis=-1, keepdims=True) * (without != "variance")
    return r * (dx_hat - mean - along), (dy * x_hat).sum(axis=0), dy.sum(axis=0)


dy = rng.normal(size=y.shape)
agree("layer_norm backward", layer_norm_backward(dy, cache)[0], layer_norm_backward_by_lines(dy, cache)[0])
agree("minirec's layer_norm", y, F.layer_norm_forward(rows, gamma, beta)[0])
for term in ("mean", "variance"):

    def incomplete(dy, cache, term=term):
        return layer_norm_backward(dy, cache, without=term)

    print(check_gradient(layer_norm_forward, incomplete, rows, gamma, beta).causes[0].text)

# %% [markdown]
# This is `minirec.functional.layer_norm_forward` and `layer_norm_backward`: use them from here on.
#
# Three things to know in practice. A row of equal numbers has variance 0, and $\varepsilon$ saves it: the
# result is $\beta$. Layers begin with $\gamma = 1$, and a test at that value cannot see a $\gamma$ that was
# forgotten in $d\hat x$. And the variance has a second formula, the mean of $x^2$ less the square of the
# mean, which saves a pass over the data and loses all its digits where the mean is large: see four numbers
# around 10,000, whose variance is $1 \frac14$, in 32 bits.

# %%
agree("a row of equal numbers", layer_norm_forward(np.full(5, 3.0), gamma, beta)[0], beta)

for name, scale in (("1", one), ("random", gamma)):
    of_row = layer_norm_forward(rows, scale, beta)[1]
    forgotten = layer_norm_backward(dy, (*of_row[:3], one))[0]
    print(f"gamma {name}, forgotten: same dx:", np.allclose(forgotten, layer_norm_backward(dy, of_row)[0]))

x32 = np.float32(10_000) + np.arange(4, dtype=np.float32)
print("variance as mean square less square of mean:", np.mean(x32 * x32) - np.mean(x32) ** 2)
print("variance as mean squared distance:          ", np.mean((x32 - np.mean(x32)) ** 2))

# %% [markdown]
# ## Where the norm stands
#
# Two orders are in use. *Post-norm*, of the first Transformer (Vaswani et al. 2017), normalizes the sum.
# *Pre-norm* normalizes what the layer reads, and leaves the path alone (Xiong et al. 2020 compare them).
# With $\operatorname{LN}$ for layer norm:
#
# $$
# \text{pre: } \; y = x + f(\operatorname{LN}(x))
# $$
#
# $$
# \text{post: } \; y = \operatorname{LN}(x + f(x))
# $$
#
# minirec has both in one function, `residual_forward(x, f, norm, order, rate, rng)`. It returns $y$ and a
# cache, as every forward function here. `rate` is that of *dropout*, which in training sets a random part
# of $f$ to zero, drawn with `rng`; here it is off (0.0 and None). `residual_backward` goes back the same
# way, and gives $dx$, the gradients of $f$, and those of the norm.

# %%
f, norm = FeedForward(rng, 5, 7), LayerNorm(5)
by_hand = {
    "pre": rows + f.forward(norm.forward(rows)[0])[0],
    "post": norm.forward(rows + f.forward(rows)[0])[0],
}
agree("residual, pre-norm", residual_forward(rows, f.forward, norm, "pre", 0.0, None)[0], by_hand["pre"])
agree("residual, post-norm", residual_forward(rows, f.forward, norm, "post", 0.0, None)[0], by_hand["post"])

# %% [markdown]
# ## The feed-forward network
#
# The $f$ above is the second kind of layer in a block. Attention moves information *between* positions; the
# feed-forward network works on each position *alone*, and is the same for all: a wide layer, ReLU, and back
# to the width $D$. With $W_1$ of shape $(D, F)$ and $W_2$ of shape $(F, D)$, where $F$ is usually $4D$:
#
# $$
# \operatorname{FFN}(x) = \max(x W_1 + b_1,\, 0)\, W_2 + b_2
# $$
#
# In loops, one position after the other, on two positions; and its backward pass:
#
# - forward $y = a W_2 + b_2$. So $da = dy\, W_2^\top$ and $dW_2 = a^\top dy$; every position adds to
#   $db_2$, the sum of the rows of $dy$.
# - forward $a = \max(h, 0)$. So $dh$ is $da$ where $h > 0$, and 0 elsewhere.
# - forward $h = x W_1 + b_1$. As in the first line, $dx = dh\, W_1^\top$ and $dW_1 = x^\top dh$.

# %%
loops = np.zeros_like(rows)
for t in range(2):
    for d in range(5):
        loops[t, d] = f.project.b[d]
        for k in range(7):
            inside = f.expand.b[k] + sum(rows[t, i] * f.expand.W[i, k] for i in range(5))
            loops[t, d] += max(inside, 0.0) * f.project.W[k, d]
h = rows @ f.expand.W + f.expand.b
vectorized = np.maximum(h, 0) @ f.project.W + f.project.b
agree("FeedForward", loops, vectorized)

y, cache = f.forward(rows)
agree("minirec's FeedForward", vectorized, y)
dh = (dy @ f.project.W.T) * (h > 0)
agree("FeedForward backward", dh @ f.expand.W.T, f.backward(dy, cache)[0])
# check_module is check_gradient for a layer: all its parameters are arguments too
print("gradients of the input and of", ", ".join(f.params()), "right:", check_module(f, rows).ok)

# %% [markdown]
# ## What is left after 24 layers
#
# How much gradient reaches the bottom of a deep stack? Stack 24 feed-forward networks of width 32 with
# fresh random weights, send a random gradient of length 1 in at the top, and note its length (the root of
# the sum of its squares) after each layer. Three ways to stack them; and each once more with what the
# layers add made three times as large, since nobody knows beforehand how large it will be.


# %%
def stack(depth, width, strength, seed):
    rng = np.random.default_rng(seed)
    layers = [FeedForward(rng, width, 4 * width) for _ in range(depth)]
    for layer in layers:
        layer.project.W *= strength
    return layers, LayerNorm(width)  # γ = 1 and β = 0 for all of them


def up(layers, norm, way, x):
    caches = []
    for layer in layers:
        if way == "pre-norm":
            x, cache = residual_forward(x, layer.forward, norm, "pre", 0.0, None)
        else:
            z, cache = layer.forward(x)
            x = z if way == "layers alone" else x + z
        caches.append(cache)
    return x, caches


def down(layers, norm, way, dy, caches):
    """dy below each layer, from the top on, and the gradients of each layer, from the top on."""
    passed, of_layers = [dy], []
    for layer, cache in zip(reversed(layers), reversed(caches), strict=True):
        if way == "pre-norm":
            dy, grads, _ = residual_backward(dy, layer.backward, norm, "pre", cache)
        else:
            dz, grads = layer.backward(dy, cache)
            dy = dz if way == "layers alone" else dy + dz
        passed.append(dy)
        of_layers.append(grads)
    return passed, of_layers


# %% Gradient left after so many layers: only a residual path with a norm inside keeps it, at both strengths
ways = ("layers alone", "residual path", "pre-norm")
inputs, top = rng.normal(size=(64, 32)), rng.normal(size=(64, 32))
lengths = {}
for strength in (1, 3):
    for way in ways:
        layers, norm = stack(24, 32, strength, seed=1)
        _, caches = up(layers, norm, way, inputs)
        passed, _ = down(layers, norm, way, top / np.linalg.norm(top), caches)
        lengths[way if strength == 1 else f"{way}, × 3"] = [np.linalg.norm(d) for d in passed]
alone, _, pre, alone_3, path_3, pre_3 = (values[-1] for values in lengths.values())
plots.lines(
    {name: (range(25), values) for name, values in lengths.items()},
    "layers passed on the way down",
    "length of the gradient",
    log="y",
)

# %% [markdown]
# The layers alone lose nearly everything ({{alone:.0e}} is left) or explode ({{alone_3:.0e}}), depending on
# a factor of three. One could tune that factor (He et al. 2015), but only for the start: training changes
# it. The residual path does not lose it: its own term 1 is always there, and all the others would have to
# cancel it. But the sums feed on themselves, and it can explode ({{path_3:.0e}}). With a norm inside, what
# a layer reads has always the same size, so what it adds stays small beside a growing sum. On the way back
# the same division makes the slopes of the norm small where the sum is large, so that each new term of the
# product is small too: pre-norm ends at {{pre:.1f}} and {{pre_3:.1f}}.
#
# Does it matter? Let stacks of 24 learn the same simple function in 100 steps. Each step moves every weight
# against its gradient; how far is decided by Adam ([lesson 9](09_training.md)), which even brings every
# gradient to a useful size:

# %% Pre-norm: 24 layers learn a simple function in 100 steps; without the norm, or the path, they lag behind
examples = rng.normal(size=(64, 8))
truth = np.tanh(examples @ rng.normal(size=(8, 8)))
curves = {}
for way in ways:
    layers, norm = stack(24, 8, 1, seed=2)
    optimizers, losses = [Adam(lr=3e-3) for _ in layers], []
    for _ in range(100):
        guess, caches = up(layers, norm, way, examples)
        losses.append(np.mean((guess - truth) ** 2))
        _, of_layers = down(layers, norm, way, 2 * (guess - truth) / truth.size, caches)
        for layer, grads, adam in zip(reversed(layers), of_layers, reversed(optimizers), strict=True):
            adam.step(layer.params(), grads)
    curves[way] = (range(100), losses)
for way, (_, losses) in curves.items():
    print(f"{way}: error {losses[0]:.2f} before, {losses[-1]:.2f} after")
plots.lines(curves, "step", "mean squared error", log="y")

# %% [markdown]
# The layers alone begin near the error of guessing 0 and hardly leave it. The path without a norm begins
# with outputs that are far too large, and spends its steps on making them smaller. With both, the stack
# learns.
#
# ## The encoder block
#
# Now the document's module can be built. $\operatorname{MultiHead}(q, k, v)$ is the multi-head attention of
# [lesson 6](06_heads.md); in an encoder one sequence plays all three parts. In pre-norm:
#
# $$
# x' = x + \operatorname{MultiHead}(z, z, z), \quad z = \operatorname{LN}_1(x)
# $$
#
# $$
# y = x' + \operatorname{FFN}(\operatorname{LN}_2(x'))
# $$
#
# Shapes: $x$, $x'$ and $y$ are all $(T, D)$, for $T$ positions. So blocks can be stacked, and an *encoder*
# is just that, with one more norm at the end, since in pre-norm nothing has normalized the sum.

# %%
block = EncoderBlock(rng, width=8, heads=2, hidden=32)
x = rng.normal(size=(5, 8))
z, _ = block.norm1.forward(x)
middle = x + block.attention.forward(z, z, z)[0]
y = middle + block.feed_forward.forward(block.norm2.forward(middle)[0])[0]
# what the second norm has read is x'; with γ = 1 and β = 0, as at the start, x̂ is all of LN(x')
agree("EncoderBlock, first half", block.forward(x)[1].feed_forward.norm.x_hat, block.norm2.forward(middle)[0])
agree("EncoderBlock", block.forward(x)[0], y)

for name in ("attention.W_o", "feed_forward.project.W"):
    block.params()[name][...] = 0
print("both layers silenced: y is x, bit for bit:", np.array_equal(block.forward(x)[0], x))

# %% [markdown]
# How many numbers does a block learn? Four matrices and biases of attention, two norms, two matrices and
# biases of the feed-forward network:
#
# $$
# 4 (D^2 + D) + 2 \cdot 2D + 2DF + F + D
# $$

# %%
D, wide = 64, 256
block = EncoderBlock(rng, width=D, heads=2, hidden=wide)
count = 4 * (D**2 + D) + 2 * 2 * D + 2 * D * wide + wide + D
agree("parameters of an EncoderBlock", block.parameter_count(), count)
print(f"D = {D}: {count:,}, of which the feed-forward network has {(2 * D * wide + wide + D) / count:.0%}")

# %% [markdown]
# ## The decoder block
#
# A decoder has two inputs. In translation it writes the new sentence and reads the old one; in a
# recommender, it holds the *candidates* and reads the user's *history*. So its block has a third layer,
# *cross-attention*: the queries come from the candidates, keys and values from the *memory* $M$, which is
# what the encoder made of the history. Its last norm has brought $M$ to one size already, so it is not
# normalized again. With $x$ of shape $(C, D)$ for $C$ candidates and $M$ of shape $(T, D)$:
#
# $$
# x' = x + \operatorname{MultiHead}(z, z, z), \quad z = \operatorname{LN}_1(x)
# $$
#
# $$
# x'' = x' + \operatorname{MultiHead}(\operatorname{LN}_2(x'), M, M)
# $$
#
# $$
# y = x'' + \operatorname{FFN}(\operatorname{LN}_3(x''))
# $$

# %%
block = DecoderBlock(rng, width=8, heads=2, hidden=32)
x, memory = rng.normal(size=(3, 8)), rng.normal(size=(4, 8))
y, cache = block.forward(x, memory)
z, _ = block.norm1.forward(x)
first = x + block.self_attention.forward(z, z, z)[0]
agree("DecoderBlock, candidates", cache.cross_attention.norm.x_hat, block.norm2.forward(first)[0])
second = first + block.cross_attention.forward(block.norm2.forward(first)[0], memory, memory)[0]
agree("DecoderBlock, memory", cache.feed_forward.norm.x_hat, block.norm3.forward(second)[0])
agree("DecoderBlock", y, second + block.feed_forward.forward(block.norm3.forward(second)[0])[0])

# %% [markdown]
# What can reach what? A gradient answers that. For each candidate, send back a 1 at each of its outputs,
# one after the other, and see how much arrives at each input (the root of the sum of squares). Two encoder
# and two decoder blocks, untrained, so the numbers mean nothing; but a zero is a zero for any weights.

# %% Which input (column) reaches which candidate (row), without a mask and with a diagonal one
history, candidates = ["Alien", "Brazil", "Tenet", "Moon"], ["Dune", "Heat", "Up"]
model = Transformer(np.random.default_rng(1), 2, 2, width=8, heads=2, hidden=32)
source, target = rng.normal(size=(4, 8)), rng.normal(size=(3, 8))
outputs = np.eye(3 * 8).reshape(24, 3, 8)  # one example for each output, with a 1 there
reach = {}
for name, mask in (("no mask", None), ("each candidate sees itself", diagonal_mask(3))):
    _, cache = model.forward(np.tile(source, (24, 1, 1)), np.tile(target, (24, 1, 1)), None, mask)
    (dsource, dtarget), _ = model.backward(outputs, cache)
    squares = np.concatenate([dsource, dtarget], axis=1) ** 2  # (24, 4 + 3, 8)
    reach[name] = np.sqrt(squares.reshape(3, 8, 7, 8).sum(axis=(1, 3)))
plots.heatmap(reach, rows=candidates, columns=history + candidates, form="{:.1f}", label="size of the slopes")

# %% [markdown]
# The whole history reaches every candidate: that is cross-attention. Without a mask candidates reach each
# other as well, so the score of *Dune* depends on whether *Heat* is in the list. The document's code has no
# mask; [lesson 8](08_document_model.md) shows what follows from that. With a *diagonal mask* a candidate
# sees the history and itself, and nothing else.
#
# ## Pre-norm or post-norm?
#
# Both have a path and a norm. The difference shows in the gradients of the weights before the first step.
# For encoders of 6 and of 24 blocks: the length of the gradient of $W_2$ of each feed-forward network, for
# the cross-entropy ([lesson 3](03_softmax.md)) of guessing one of 50 items at each of 12 positions in 8
# histories.


# %%
def gradient_by_block(norm, depth, seed):
    rng = np.random.default_rng(seed)
    encoder = Encoder(rng, depth, 32, 4, 128, norm=norm)
    E, ids, targets = rng.normal(size=(50, 32)), rng.integers(0, 50, (8, 12)), rng.integers(0, 50, 96)
    y, cache = encoder.forward(E[ids])
    _, of_loss = F.cross_entropy_forward(y.reshape(96, 32) @ E.T / np.sqrt(32), targets)
    dy = F.cross_entropy_backward(1.0, of_loss) @ E / np.sqrt(32)
    _, grads = encoder.backward(dy.reshape(y.shape), cache)
    return [np.linalg.norm(grads[f"blocks.{i}.feed_forward.project.W"]) for i in range(depth)]


# %% Gradient of each block's second matrix before training, from the input (0) to the output (1)
sizes = {}
for norm in ("post", "pre"):
    for depth in (6, 24):
        runs = [gradient_by_block(norm, depth, seed) for seed in range(5)]
        sizes[norm, depth] = np.mean(runs, axis=0)
for norm in ("post", "pre"):
    ratio = sizes[norm, 24][-1] / sizes[norm, 6][-1]
    print(f"{norm}-norm: the last of 24 blocks receives {ratio:.2f} times what the last of 6 receives")
plots.lines(
    {f"{norm}-norm, {depth} blocks": (np.linspace(0, 1, depth), v) for (norm, depth), v in sizes.items()},
    "place of the block in the stack",
    "length of the gradient",
)

# %% [markdown]
# In post-norm the blocks near the output receive no less when the stack is deeper. In pre-norm the sum
# grows with the number of blocks, and the last norm divides by it. Additions that do not depend on each
# other add up their squares: four times as many make a sum twice as long, and about half the gradient.
# Xiong et al. (2020) derive both. They argue that the large gradients near the output are why post-norm
# needs a *warm-up*, a first phase of training with small steps, and show that pre-norm does without
# ([lesson 9](09_training.md) returns to it). This does not say which of the two is better once trained:
# with six blocks or fewer it is often post-norm (Takase et al. 2022).
#
# ## Exercise
#
# 1. BERT uses another nonlinearity than ReLU, GELU: $y = \frac12 x (1 + \tanh u)$ with $u = \sqrt{2/\pi}\,
#    (x + 0.044715\, x^3)$. Write `gelu_forward` and `gelu_backward`, and check them:
#
# ```
# python -m minirec verify my_file.py:gelu --against gelu
# ```
#
#    And the functions of this lesson themselves: `python -m minirec exercise start layer_norm`, then
#    `residual` and `encoder_block`.
#
# 2. *RMSNorm* leaves out the mean and $\beta$: $y = \gamma \odot x / \sqrt{\operatorname{mean}(x^2) +
#    \varepsilon}$. Which of the three terms of $dx$ goes? Write it, and check it:
#
# ```
# python -m minirec verify my_file.py:rms_norm --args "x:3x5 gamma:5"
# ```
#
# ## In practice
#
# Residual paths come from image recognition (He et al. 2016); that they act like many short paths, Veit et
# al. (2016) show. Layer norm is by Ba, Kiros & Hinton (2016). `torch.nn.Transformer`, which the document
# uses, is post-norm unless one says `norm_first=True`. Most large language models since GPT-2 (Radford et
# al. 2019) are pre-norm, many of them with RMSNorm (Zhang & Sennrich 2019). The code of the recommender
# SASRec (Kang & McAuley 2018) has a third order, in which the path carries the *normalized* input, $y = z +
# f(z)$ with $z = \operatorname{LN}(x)$; minirec calls it `norm="first"`.
