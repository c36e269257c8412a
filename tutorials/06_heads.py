# %% [markdown]
# # Split attention into heads, and tell it who stands where and who may look
#
# - **You will do:** write multi-head attention and its backward pass from pieces that you have; draw
#   positions and masks.
# - **You will learn:** what two heads can do that one cannot, why attention without positions does not know
#   the order of a history, and what the causal, the padding and the diagonal mask are for.
# - **You need:** [checking a gradient](00_gradients.md) and [attention](04_attention.md).
#
# Section 3.1 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术) says
# that each Transformer block contains multi-head attention, and gives no formula for it. Positions and
# masks do not occur in the document at all, neither in its text nor in the code of section 5.2. Both are
# needed: without them a model of histories does not see the order, or sees the future.

# %%
import numpy as np

from minirec import functional as F
from minirec import plots
from minirec.nn import MultiHeadAttention, causal_mask, diagonal_mask, merge_heads, padding_mask, split_heads
from minirec.verify import agree, check_gradient

# %% [markdown]
# ## What one head cannot do
#
# A film has a genre and an age: four columns, two for each. *Alien*, which is about space and old, asks the
# history of a user. A **head** is one attention with queries, keys and values of its own. Let head 1 see
# the columns of the genre, head 2 those of the age, and a single head all four. A thing in common adds 1 to
# the product of two films. We multiply the queries by $\sqrt{d_k} \ln 8$, so it adds $\ln 8$ to the score
# and multiplies $e^s$ by 8.

# %% Who gets the attention of "Alien": each head asks one question, a single head only finds what fits both
films = {  #      space love old new
    "Solaris":    [1, 0, 1, 0],
    "Casablanca": [0, 1, 1, 0],
    "Gravity":    [1, 0, 0, 1],
    "La La Land": [0, 1, 0, 1],
    "Alien":      [1, 0, 1, 0],
}  # fmt: skip
x = np.array(list(films.values()), dtype=float)  # (5, 4)
alien = x[-1:]  # (1, 4), one query


def weights(x, alien):
    _, cache = F.attention_forward(np.sqrt(x.shape[1]) * np.log(8) * alien, x, x)
    return cache.p[0]


genre, age, single = weights(x[:, :2], alien[:, :2]), weights(x[:, 2:], alien[:, 2:]), weights(x, alien)
asked = ["head 1: genre", "head 2: age", "a single head"]
plots.heatmap(
    np.array([genre, age, single]), rows=asked, columns=list(films), xlabel="key", label="attention weight"
)

# %% [markdown]
# Head 1 finds the three films about space, head 2 the three old ones. The single head finds the two that
# are both, and nearly loses *Gravity* and *Casablanca*. This is no accident of the numbers. The product of
# two vectors is that of their first halves plus that of their second halves, so the scores of the single
# head are $s = s^{(1)} + s^{(2)}$, those of head 1 plus those of head 2. Since $e^{a+b} = e^a e^b$, its
# weights are those of the two heads *multiplied*, and divided by their sum:
#
# $$
# p_j = \frac{p^{(1)}_j\, p^{(2)}_j}{\sum_i p^{(1)}_i\, p^{(2)}_i}
# $$
#
# One head asks "this *and* that". Two heads can ask two questions, and give two answers side by side.

# %%
agree("one head multiplies the weights of two", single, genre * age / (genre * age).sum())
print(f"Gravity: {genre[2]:.2f} by genre, {age[2]:.2f} by age, {single[2]:.3f} in a single head")

# %% [markdown]
# ## The formula
#
# Nobody assigns columns to questions by hand. Three matrices, which training chooses, make queries, keys
# and values, and the heads share the columns of the result. A fourth mixes their answers:
#
# $$
# \mathrm{MultiHead}(x) = [\mathrm{head}_1; \ldots; \mathrm{head}_H]\, W_o, \qquad \mathrm{head}_h = \mathrm{Attention}(x W_q^{(h)}, x W_k^{(h)}, x W_v^{(h)})
# $$
#
# | | shape | |
# | --- | --- | --- |
# | $x$ | $(T, D)$ | a history of $T$ films, each with a vector of $D$ numbers |
# | $W_q, W_k, W_v$ | $(D, D)$ | head $h$ has $K = D / H$ columns of each: $W_q^{(h)}$ is $(D, K)$ |
# | $\mathrm{head}_h$ | $(T, K)$ | one attention, with $d_k = K$ |
# | $[\ldots; \ldots]$ | $(T, D)$ | the answers of all heads side by side |
# | $W_o$ | $(D, D)$ | mixes the answers |
#
# For $D = 6$ and $H = 3$ each head has $K = 2$ columns. More heads make narrower heads: the four matrices
# have $4 D^2$ numbers, however many heads there are. (Each matrix also has a *bias*, a row of numbers that
# is added to its product; they begin at 0, and we leave them out here.) In loops, head by head:


# %%
def multi_head_loops(x, W_q, W_k, W_v, W_o, heads):
    K = x.shape[-1] // heads
    answers = []
    for h in range(heads):
        own = slice(h * K, (h + 1) * K)  # the columns of this head
        answers.append(F.attention_forward(x @ W_q[:, own], x @ W_k[:, own], x @ W_v[:, own])[0])
    return np.concatenate(answers, axis=-1) @ W_o


rng = np.random.default_rng(0)
x = rng.normal(size=(5, 6))  # T = 5, D = 6
layer = MultiHeadAttention(rng, width=6, heads=3)  # of minirec: random matrices, and biases of 0
matrices = [layer.W_q, layer.W_k, layer.W_v, layer.W_o]
y_layer, of_layer = layer.forward(x, x, x)  # query, key and value: all three are made of x
agree("MultiHeadAttention", multi_head_loops(x, *matrices, 3), y_layer)

# %% [markdown]
# With arrays all heads are done at once. Project with the whole matrix, then deal out the columns: the head
# becomes an axis of its own, in front of that of the films, and `attention_forward` treats it like a batch.
# Let $z$ be a table of shape $(T, D)$, and number heads, films and columns from 0. Then column $i$ of head
# $h$ is
#
# $$
# \mathrm{split}(z)_{h,t,i} = z_{t,\,hK+i}
# $$
#
# and $\mathrm{merge}$ is the way back. A tiny table: two films, four columns, two heads, so $K = 2$.

# %%
tiny = np.arange(8.0).reshape(2, 4)
dealt = split_heads(tiny, 2)  # (2, 4) -> (2, 2, 2)
agree("split_heads", dealt, [[[tiny[t, h * 2 + i] for i in range(2)] for t in range(2)] for h in range(2)])
agree("merge_heads gives it back", merge_heads(dealt), tiny)
print(tiny, "head 0:", dealt[0], "head 1:", dealt[1], sep="\n")

# %% [markdown]
# `split_heads` is a reshape to $(T, H, K)$, which cuts each row into $H$ pieces, and a swap of the first
# two axes. A reshape straight to $(H, T, K)$ has the right shape as well, and raises no error. But head 0
# then gets the whole first film, and head 1 the second:

# %%
print("wrong head 0:", tiny.reshape(2, 2, 2)[0], sep="\n")

# %% [markdown]
# The whole layer is four lines:


# %%
def multi_head_forward(x, W_q, W_k, W_v, W_o, heads):
    q, k, v = (split_heads(x @ W, heads) for W in (W_q, W_k, W_v))  # (H, T, K) each
    a, of_attention = F.attention_forward(q, k, v)  # (H, T, K)
    u = merge_heads(a)  # (T, D)
    return u @ W_o, (x, W_q, W_k, W_v, W_o, heads, u, of_attention)


y, cache = multi_head_forward(x, *matrices, 3)
agree("MultiHeadAttention with arrays", y, multi_head_loops(x, *matrices, 3))

# %% [markdown]
# ## The backward pass: only a composition
#
# Every piece is known. From the last forward line to the first:
#
# - forward $y = u W_o$. So $du = dy\, W_o^T$ and $dW_o = u^T dy$.
# - forward $u = \mathrm{merge}(a)$. Merging only moves numbers to other places, so $da$ has the numbers of
#   $du$, moved back: $da = \mathrm{split}(du)$.
# - forward $a = \mathrm{Attention}(q, k, v)$. So $dq, dk, dv$ come from `attention_backward`.
# - forward $q = \mathrm{split}(x W_q)$. Moved back and multiplied, as above: $dW_q = x^T
#   \mathrm{merge}(dq)$. The same for $k$ and $v$.
#
# The input $x$ is used three times, so its gradient is a sum of three:
#
# $$
# dx = \mathrm{merge}(dq)\, W_q^T + \mathrm{merge}(dk)\, W_k^T + \mathrm{merge}(dv)\, W_v^T
# $$


# %%
def multi_head_backward(dy, cache):
    x, W_q, W_k, W_v, W_o, heads, u, of_attention = cache
    du, dW_o = dy @ W_o.T, u.T @ dy
    da = split_heads(du, heads)
    dq, dk, dv = (merge_heads(d) for d in F.attention_backward(da, of_attention))
    dx = dq @ W_q.T + dk @ W_k.T + dv @ W_v.T
    return dx, x.T @ dq, x.T @ dk, x.T @ dv, dW_o


report = check_gradient(multi_head_forward, multi_head_backward, x, *matrices, 3)
print("gradient is right" if report.ok else report)

dy = rng.normal(size=y.shape)
dx, *_ = multi_head_backward(dy, cache)
(dquery, dkey, dvalue), grads = layer.backward(dy, of_layer)
agree("gradient of the input", dx, dquery + dkey + dvalue)
print("gradients by name:", ", ".join(grads))

# %% [markdown]
# This is `minirec.nn.MultiHeadAttention`: use it from here on. It owns its matrices and biases, and
# `backward` returns their gradients by name. It takes query, key and value apart, and a mask; where all
# three are the same $x$, their gradients are added, as above.
#
# ## Positions: attention does not know the order
#
# Give the films of a history in another order. Each film asks the same question of the same films, and gets
# the same answer. Write $\Pi x$ ($\Pi$ is a large pi, for permutation) for the rows of $x$ in a new order:
#
# $$
# \mathrm{MultiHead}(\Pi x) = \Pi\, \mathrm{MultiHead}(x)
# $$
#
# So the last film of a history cannot tell what came just before it from what came long ago. Below, the
# films before the last change places:

# %%
order = np.array([2, 0, 3, 1, 4])  # the last film stays last


def last_answer(x, mask=None):  # [0] is the result without the cache, [-1] its last row
    return layer.forward(x, x, x, mask)[0][-1]


agree("no order", layer.forward(x[order], x[order], x[order])[0], y_layer[order])
print("the last film notices the other order:", not np.allclose(last_answer(x[order]), last_answer(x)))

# %% [markdown]
# The way out is to add to each film a vector of $D$ numbers that says where it stands. Vaswani et al.
# (2017) take waves, a sine and a cosine side by side. For position $t$ and pair of columns $i$, both from
# 0:
#
# $$
# \mathrm{PE}_{t,2i} = \sin(\omega_i t), \quad \mathrm{PE}_{t,2i+1} = \cos(\omega_i t), \quad \omega_i = 10000^{-2i/D}
# $$
#
# Position 0 is $(0, 1, 0, 1, \ldots)$. A pair is a point on a circle, and $\omega_i$ (omega) is the angle,
# in radians, by which it moves on with each position: 1 for the first pair, less and less for the others,
# like the hands of a clock.

# %%
D = 32
omega = [10000 ** (-2 * i / D) for i in range(D // 2)]
table = [[wave(w * t) for w in omega for wave in (np.sin, np.cos)] for t in range(48)]
PE = F.sinusoidal_positions(48, D)  # (48, 32)
agree("sinusoidal_positions", PE, table)
print(np.round(F.sinusoidal_positions(3, 4), 3))  # three positions, D = 4

# %% Sinusoidal positions: a column of the picture is the vector of one position; fast waves on top, slow ones below
plots.heatmap(PE.T, xlabel="position t", ylabel="number in the vector", label="value", form=None)

# %% [markdown]
# Why waves? By the rules for the sine and cosine of a sum, $n$ positions further is a rotation by the angle
# $\omega n$, the same wherever one starts:
#
# $$
# \begin{pmatrix} \sin \omega (t + n) \\ \cos \omega (t + n) \end{pmatrix} = \begin{pmatrix} \cos \omega n & \sin \omega n \\ -\sin \omega n & \cos \omega n \end{pmatrix} \begin{pmatrix} \sin \omega t \\ \cos \omega t \end{pmatrix}
# $$
#
# A rotation is a matrix, so a matrix such as $W_q$ can learn it, and with it "the film $n$ positions before
# me". And as $\sin a \sin b + \cos a \cos b = \cos(a - b)$, the product of two positions depends on their
# distance alone:
#
# $$
# \mathrm{PE}_t \cdot \mathrm{PE}_s = \sum_i \cos \omega_i (t - s)
# $$

# %%
w, n = omega[3], 5  # pair 3 stands in columns 6 and 7
turn = np.array([[np.cos(w * n), np.sin(w * n)], [-np.sin(w * n), np.cos(w * n)]])
agree("a step is a rotation", PE[20 + n, 6:8], turn @ PE[20, 6:8])
by_distance = [[sum(np.cos(w * (t - s)) for w in omega) for s in range(48)] for t in range(48)]
agree("products of positions", PE @ PE.T, by_distance)

# %% Products of all pairs of positions: equal along each diagonal, that is for equal distances
plots.heatmap(PE @ PE.T, xlabel="position s", ylabel="position t", label="product", form=None)

# %% [markdown]
# With positions added, the order counts:

# %%
positions = F.sinusoidal_positions(5, 6)
same = np.allclose(last_answer(x[order] + positions), last_answer(x + positions))
print("the last film notices the other order:", not same)

# %% [markdown]
# Many recommenders learn a table of positions instead (SASRec: Kang & McAuley 2018). It is freer, but knows
# no position beyond the longest history in training.
#
# ## Masks: who may look at whom
#
# A mask is a table $m$ of True (1, may attend) and False (0), with a row for each query and a column for
# each key ([attention](04_attention.md)). Square brackets around a condition stand for 1 where it holds and
# 0 where it does not. Three masks are enough for most models here.
#
# The **causal** mask lets position $t$ see the positions up to $t$. A model that is to name the next film
# must not see it:
#
# $$
# m_{ts} = [\, s \le t \,]
# $$
#
# The **padding** mask is for batches. Histories differ in length, an array does not: short ones are filled
# up in front with id 0, which is no film and must not be seen. For history $b$ of the batch, as a key:
#
# $$
# m_{bs} = [\, \mathrm{ids}_{bs} \ne 0 \,]
# $$
#
# The **diagonal** mask lets each position see itself alone. It is for lists of candidates, items that are
# to be scored: what one gets must not depend on which others are in the list.
#
# $$
# m_{cd} = [\, c = d \,]
# $$
#
# Scores have four axes: batch, head, query, key. A mask may have an axis of length 1, which stands for all:
# the padding mask has the shape $(B, 1, 1, T)$, so it is the same for all heads and queries. Two masks are
# joined by `&`: a query may see what both allow.

# %%
T, ids = 5, np.array([[0, 0, 4, 1, 3], [2, 5, 4, 1, 3]])  # a short and a long history
places = range(T)
agree("causal_mask", 1 * causal_mask(T), [[s <= t for s in places] for t in places])  # 1 * True is 1
agree("padding_mask", 1 * padding_mask(ids)[:, 0, 0], [[bool(i != 0) for i in row] for row in ids])
agree("diagonal_mask", 1 * diagonal_mask(T), [[c == d for d in places] for c in places])
both = causal_mask(T) & padding_mask(ids)
print("shapes:", causal_mask(T).shape, padding_mask(ids).shape, "both:", both.shape)

# %% Dark: may attend. Under both masks the two positions of padding see nothing, and nobody sees them
pictures = {
    "causal": causal_mask(T),
    "padding": np.broadcast_to(padding_mask(ids)[0, 0], (T, T)),
    "both": both[0, 0],
    "diagonal": diagonal_mask(T),
}
plots.heatmap(pictures, xlabel="key", ylabel="query", label="may attend", form=None)

# %% [markdown]
# What each mask promises can be seen by changing what it hides:

# %%
other = x.copy()
other[-1] = rng.normal(size=6)  # another last film
before, after = (layer.forward(z, z, z, causal_mask(5))[0] for z in (x, other))
print("causal: all before the last are the same, bit for bit:", np.array_equal(before[:-1], after[:-1]))

short = x[2:]  # three films
padded = np.concatenate([np.zeros((2, 6)), short])  # two rows of padding in front
hide = padding_mask(ids[:1])[0]  # of the short history, without the axis of the batch
for name, mask in (("hidden", hide), ("not hidden", None)):
    same = np.allclose(last_answer(padded, mask), last_answer(short))
    print(f"padding {name}: the last answer is that of the short history:", same)

alone, listed = (layer.forward(z, z, z, diagonal_mask(len(z)))[0][0] for z in (x[:1], x))
print("diagonal: alone or in a list, a candidate is the same:", np.allclose(alone, listed))

# %% [markdown]
# The forgotten padding mask is the mistake to fear. Nothing fails, the model trains, and the same user gets
# other recommendations when somebody with a longer history is in the batch. Rows of zeros are no
# protection: a key of zeros has the score 0, and $e^0 = 1$ takes part in the sum.
#
# Note what the diagonal mask costs. Over one key the weight is 1, so this attention hands on its values and
# does nothing else. Candidates then have to learn from the history in a second attention, as in the [next
# lesson](07_blocks.md).
#
# A causal mask by itself tells a little of the order. One layer does not notice when earlier films change
# places. Two do, as the *first* layer gives each film an answer that depends on the films before it.

# %%
causal = causal_mask(5)
first, moved = (layer.forward(z, z, z, causal)[0] for z in (x, x[order]))
print("one layer notices: ", not np.allclose(first[-1], moved[-1]))
print("two layers notice: ", not np.allclose(last_answer(first, causal), last_answer(moved, causal)))

# %% [markdown]
# ## Exercise
#
# Write `split_heads(x, heads)` and `merge_heads(x)` for any number of axes in front, without looking, and
# check each:
#
# ```
# python -m minirec verify my_file.py:split_heads --against split_heads
# python -m minirec verify my_file.py:merge_heads --against merge_heads
# ```
#
# Then give `multi_head_forward` a mask, and find out with `check_gradient` whether its backward pass needs
# any change.
#
# ## In practice
#
# Libraries keep $W_q$, $W_k$ and $W_v$ in one matrix with $3D$ columns, because one large product is faster
# than three. Models that write long texts often share keys and values among the heads to save memory
# (Shazeer 2019). Newer models do not add positions: they rotate queries and keys by the angles above, so
# that scores depend on distances (Su et al. 2021); [Transformer-XL](11_long_histories.md) puts distances
# into the scores in another way. Are many heads needed? After training, many can be removed with little
# loss (Michel et al. 2019), and Kang & McAuley (2018) saw no gain from more than one in their sequential
# recommender. PyTorch's `Transformer`, which the document uses, adds no positions and no masks of its own:
# whoever calls it must.
