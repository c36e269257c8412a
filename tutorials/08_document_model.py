# %% [markdown]
# # Repair the document's recommender, and find out what it can learn
#
# - **You will do:** show with small arrays why the code of section 5.2 cannot run as printed; repair it,
#   one fault at a time; train the repaired model, and look at what it recommends and attends to.
# - **You will learn:** why attention over one key learns nothing, what it means that candidates see each
#   other, and what happens to a score when the list is shuffled.
# - **You need:** [attention](04_attention.md), [heads and masks](06_heads.md), and [encoder and
#   decoder](07_blocks.md).
#
# This works through section 5.2 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?,
# 禅与计算机程序设计艺术). Its code is a class for PyTorch. In words: the constructor makes three parts, namely one
# *embedding table* (a row of numbers for each id), one Transformer, and one layer that turns a row into a
# score. The forward function looks up user ids and item ids, gives the rows of the users to the encoder and
# those of the items to the decoder, and passes the result to the last layer. The idea is sound: encode the
# user, and let each *candidate* (an item that may be recommended) attend to what the encoder made of the
# user. What goes wrong is a matter of names, shapes and masks, and NumPy shows it as well as PyTorch does.

# %%
import numpy as np

from minirec import data, evaluation, nn, plots
from minirec import functional as F
from minirec.models import MarkovChain, Popularity, TransformerRecommender
from minirec.models.candidate_loss import candidate_loss_backward, candidate_loss_forward
from minirec.models.transformer_network import TransformerNetwork
from minirec.verify import agree, check_module

rng = np.random.default_rng(0)
women = data.southern_women()  # who went to which event: 18 women are the users, 14 events the items
names = [str(name).split()[0] for name in women.user_ids]
events = [str(event) for event in women.item_ids]  # "1" to "14"

# %% [markdown]
# ## Six faults
#
# The first two stop the program. The other four are worse: it would run, and do something else.
#
# **1. A name that nobody defined.** The line that makes the embedding table, a call `Embedding(rows,
# width)`, asks for as many rows as there are users. The number of users is neither an argument of the
# constructor nor a variable. The repair: the numbers of users and of items come from the data, when the
# model is fitted.
#
# **2. A bare number.** The last lines, an example, ask for the scores of user 1 and pass the number itself.
# A table is read with an *array* of ids, whose shape says how many users there are and how long each one's
# sequence is. The repair is an array of shape (1, 1).

# %%
E = rng.normal(size=(18, 64))  # a table: one row for each woman
try:
    np.zeros((num_users, 64))
except NameError as error:
    print("1. NameError:", error)
try:
    F.embedding_forward(E, 1)  # an array has a dtype (a type of its numbers), a bare number has none
except AttributeError as error:
    print("2. AttributeError:", error)
print("   repaired: one user, a sequence of one, rows of", F.embedding_forward(E, np.array([[1]]))[0].shape)

# %% [markdown]
# **3. One table for two kinds of things.** The forward function looks up users and items in the same table.
# Both are numbered from 0, so the first user and the first item are the same row, and a training step that
# moves one moves the other. Below, the product of each woman's row with each event's row, divided by 64:
# nothing has been learned, yet each of the first 14 women "likes" the event that shares her row. (The
# product of a row with itself is a sum of 64 squares of about 1.) And if there are more items than users,
# some items have no row at all.

# %% One table for both: a user is an item, and products of untrained rows are large where they share a row
likes = E @ E[:14].T / 64  # (18, 14)
plots.heatmap(
    likes, rows=names, columns=events, xlabel="event", ylabel="user", label="product / 64", form=None
)

# %% [markdown]
# The repair: a table for users, another one for items.
#
# **4. A number of layers that stops halfway.** The constructor makes PyTorch's Transformer from three bare
# numbers: width, heads and layers, here 64, 8 and 2. But in PyTorch the third counts *encoder* layers only.
# The signature begins `Transformer(d_model, nhead, num_encoder_layers, num_decoder_layers,
# dim_feedforward)`. The number of decoder layers is the fourth and stays at 6; the width inside the
# feed-forward networks, the fifth, stays at 2048 (usual is 4 times the width). How many numbers are there
# to learn?

# %%
counts = []
for encoder_layers, decoder_layers, hidden in [(2, 6, 2048), (2, 2, 2048), (2, 2, 4 * 64)]:
    counts.append(nn.Transformer(rng, encoder_layers, decoder_layers, 64, 8, hidden).parameter_count())
    print(f"{encoder_layers} + {decoder_layers} layers, {hidden} wide inside: {counts[-1]:,} numbers")

# %% [markdown]
# The forgotten layers double the model, and the forgotten width makes it {{counts[1] / counts[2]:.0f}}
# times as large again. The repair: name the arguments.
#
# **5. A batch that is read as a sequence.** The forward function hands the rows to the Transformer just as
# they were looked up. To train, one passes a batch of $B$ users: ids of shape $(B,)$, rows of shape $(B,
# D)$, where $D$ is the width. For a Transformer an array of two axes is *one sequence* of $B$ places, so
# each user attends to the others who happen to be in the batch. Ids of shape $(B, 1)$ are read in the same
# way by PyTorch, whose first axis is time unless one says `batch_first=True`. (The example, with one user,
# is not hit; training is.) Four women in an encoder of one layer and one head, read wrongly and rightly.
# What the model says about the first user then depends on who else asks at the same time. The repair is the
# right one:

# %% Left, one sequence of four users: each attends to all. Right, four sequences of one: each to herself
encoder = nn.Encoder(rng, 1, 64, 1, 256)  # 1 layer, width 64, 1 head, 256 wide inside
shown = [9, 10, 11, 14]
who, four = [names[i] for i in shown], E[shown]
wrong, of_wrong = encoder.forward(four)  # (4, 64): one sequence
right, of_right = encoder.forward(four[:, None])  # (4, 1, 64): a batch of four sequences
weights = {  # p has the axes (head, query, key), and in front of them the batch, if there is one
    "(B, D), wrong": of_wrong.blocks[0].attention.f.attention.p[0],
    "(B, 1, D), right": np.diag(of_right.blocks[0].attention.f.attention.p[:, 0, 0, 0]),
}
others = np.concatenate([four[:1], E[:3]])  # the same first user in other company
print("wrong: the first user is unchanged:", np.allclose(encoder.forward(others)[0][0], wrong[0]))
print("right: the first user is unchanged:", np.allclose(encoder.forward(others[:, None])[0][0], right[0]))
plots.heatmap(weights, rows=who, columns=who, xlabel="key", ylabel="query", label="attention weight")

# %% [markdown]
# **6. Dropout that is never switched off.** *Dropout* sets some numbers to 0 at random while training, so
# that the network does not rely on any one of them. PyTorch's Transformer has it at a rate of 1 in 10, and
# a module of PyTorch begins in training mode. Between the line that makes the model and the line that asks
# for scores the document has only a comment on training, and no switch to prediction. So one user who asks
# three times gets three lists. The repair: minirec drops only where a random generator is passed.

# %%
dropping = nn.Encoder(rng, 1, 64, 1, 256, dropout=0.1)
items = rng.normal(size=(14, 64))  # a table of its own for the events
for mode, generator in (("training", rng), ("prediction", None)):
    asked = [items @ dropping.forward(four[:1], rng=generator)[0][0] for _ in range(3)]  # (14,) scores each
    lists = [" ".join(events[i] for i in np.argsort(-s)[:5]) for s in asked]  # the highest first
    print(f"{mode} mode, five best events, asked three times: {', '.join(lists)}")

# %% [markdown]
# ## The repaired model
#
# The source is the user's *history*: the ids $x$ of the last items taken, oldest first. (Section 3.2
# describes the input so; the code in section 5.2 reads only the number of the user.) A list $\ell$ of
# candidates is asked for, and each candidate $c$ in it gets a score:
#
# $$
# s_c = \operatorname{decoder}\bigl(\kappa E_c,\ m\bigr)\, w + b, \qquad
# m = \operatorname{encoder}(\kappa E_x + \kappa P)
# $$
#
# $E$ is the item table, with row 0 for padding, so item ids begin with 1. $P$ has a row for each *position*
# in the source, added so that the encoder knows the order ([lesson 6](06_heads.md)). $E_x$ and $P$ are $(T,
# D)$ for $T$ items, $E_c$ is $(1, D)$, the *memory* $m$ is $(T, D)$, $w$ is $(D,)$ and $b$ one number. Rows
# of both tables start with a length of about 1, so each of their $D$ numbers has a size of about $1 / \sqrt
# D$. The factor $\kappa = 2 \sqrt D$ makes that 2, found by trial: with half of it the tables learned more
# slowly. It multiplies items and positions alike, so that neither drowns the other.
#
# The norm is in front of each layer (*pre-norm*). PyTorch puts it behind unless told otherwise; pre-norm
# trains without a first phase of small steps ([lesson 7](07_blocks.md)). In loops, one user and one
# candidate at a time:

# %%
settings = {
    "n_users": 18, "n_items": 14, "embedding_dim": 8, "num_heads": 2, "num_layers": 1, "hidden": 16,
    "length": 5, "dropout": 0.0,
}  # fmt: skip


def network_of(source, candidates):
    return TransformerNetwork(np.random.default_rng(1), **settings, source=source, candidates=candidates)


def scores_loops(network, sources, candidates):
    kappa, E, P = network.scale, network.item_embedding.E, network.position_embedding.E
    rows = []
    for source, listed in zip(sources, candidates, strict=True):
        x = source[source != 0]  # without padding
        m, _ = network.transformer.encoder.forward(kappa * E[x] + kappa * P[: len(x)])  # (T, D)
        row = []
        for c in listed:
            y, _ = network.transformer.decoder.forward(kappa * E[[c]], m)  # (1, D)
            row.append(y[0] @ network.score.W[:, 0] + network.score.b[0])
        rows.append(row)
    return rows


network = network_of("history", "pointwise")  # pointwise: candidates do not see each other
sources = np.array([[0, 0, 1, 2, 3], [0, 4, 5, 6, 8]])  # (B, T), 0 = padding on the left
candidates = np.array([[7, 9, 10, 11], [7, 9, 10, 11]])  # (B, C)
s, cache = network.forward(sources, candidates)
agree("TransformerNetwork", s, scores_loops(network, sources, candidates))
print(np.round(s, 2))

# %% [markdown]
# The batch at once needs two masks: one hides padding from the attention, the other hides candidates from
# each other. We come back to the second one below.
#
# **The loss.** Section 5.2 leaves training open; section 5.3 calls the score a rating, but fitted to
# ratings a model ranks badly ([lesson 2](02_factorization.md)). We take events of the past: the source is
# what came before, the event's item is candidate 0, and the other candidates are *negatives*, items drawn
# at random that the user has not taken. Candidate 0 should win, so the loss is cross-entropy ([lesson
# 3](03_softmax.md)) over the list, with the natural logarithm:
#
# $$
# L = -\log \frac{e^{s_0}}{\sum_c e^{s_c}}
# $$
#
# By hand: scores $\log 2, 0, 0$ have the powers $2, 1, 1$, so the loss is $-\log (2/4) = \log 2$.

# %%
loss, of_loss = candidate_loss_forward("softmax", np.array([[np.log(2), 0.0, 0.0]]))
agree("candidate_loss", loss, np.log(2))
print("gradient of the scores:", candidate_loss_backward(1.0, of_loss)[0])

# %% [markdown]
# **The backward pass**, from the end to the beginning, each forward line above its derivative. Write $u$
# for the rows that enter the encoder and $v$ for those that enter the decoder:
#
# - forward $L = -\log (e^{s_0} / \sum_c e^{s_c})$. So $ds$ is the softmax of the scores, less 1 at
#   candidate 0: above, $2/4 - 1$, $1/4$ and $1/4$.
# - forward $s = y w + b$. So $dy = ds\, w^\top$, $dw = y^\top ds$ and $db = \sum ds$.
# - forward $y = \operatorname{decoder}(v, m)$. Its backward pass ([lesson 7](07_blocks.md)) gives $dv$ and
#   $dm$. Every candidate reads the memory $m$, and their gradients add up.
# - forward $m = \operatorname{encoder}(u)$. Its backward pass turns $dm$ into $du$.
# - forward $v = \kappa E_c$ and $u = \kappa E_x + \kappa P$. Reading rows is a product with a matrix of
#   zeros and ones, which has a row for each place and a 1 in the column of the row that is read there. Say
#   $O_c$ for the candidates, $O_x$ for the source, $O_t$ for the positions: $v = \kappa O_c E$ and $u =
#   \kappa O_x E + \kappa O_t P$. The table $E$ is read twice, so its gradient is a sum of two:
#
# $$
# dE = \kappa\, O_c^\top dv + \kappa\, O_x^\top du, \qquad dP = \kappa\, O_t^\top du
# $$
#
# Whoever forgets the second term of $dE$ trains candidates but not histories.


# %%
def picks(ids, rows):
    """A row for each id, zeros with a 1 in the column of that id."""
    return np.eye(rows)[ids.ravel()]


ds = rng.normal(size=s.shape)
_, grads = network.backward(ds, cache)
dy, _ = network.score.backward(ds[..., None], cache.score)  # (B, C, 1) -> (B, C, D); caches go by name
(dv, dm), _ = network.transformer.decoder.backward(dy, cache.decoder)
du, _ = network.transformer.encoder.backward(dm, cache.encoder)
dv, du = network.scale * dv.reshape(-1, 8), network.scale * du.reshape(-1, 8)  # all places of the batch
places = np.array([[0, 0, 0, 1, 2], [0, 0, 1, 2, 3]])  # of the sources, counted from the oldest item
dE = picks(candidates, 15).T @ dv + picks(sources, 15).T @ du
agree("TransformerNetwork: gradient of the item table", grads["item_embedding.E"], dE)
agree("TransformerNetwork: gradient of the positions", grads["position_embedding.E"], picks(places, 5).T @ du)

# These are 0, and are checked to be 0: the bias of the keys in every attention (lesson 6), and whatever makes
# queries and keys where only one key is seen (first lesson below), as each candidate sees only itself here.
never = ["*.b_k", "*.self_attention.W_q", "*.self_attention.W_k", "*.self_attention.b_q"]
report = check_module(network, sources, candidates, zero=never, jacobian=False)  # a few random directions
print("gradients of all parameters are right:", report.ok)

# %% [markdown]
# This is `minirec.models.TransformerRecommender`: use that from here on. It has the document's arguments
# `embedding_dim`, `num_heads` and `num_layers`, and two choices: `source="user"` or `"history"`, and
# `candidates="pointwise"` or `"listwise"`. The next three sections are about these choices.
#
# ## First lesson of the design: attention to one key is no attention
#
# The document's source is the user alone: a sequence of length 1. Softmax over one score $z$ is $e^z / e^z
# = 1$, whatever the score: nothing can change it, and its slope is 0. So attention of candidates $v$ to a
# memory of one row $m$ is two matrix products, and $v$ is not in them:
#
# $$
# \operatorname{attention}(v, m) = (m W_v + b_v) W_o + b_o
# $$

# %%
layer = nn.MultiHeadAttention(rng, 8, 2)
v, m = rng.normal(size=(4, 8)), rng.normal(size=(1, 8))
alike = (m @ layer.W_v + layer.b_v) @ layer.W_o + layer.b_o
agree("MultiHeadAttention over one key", layer.forward(v, m, m)[0], np.repeat(alike, 4, axis=0))

# %% [markdown]
# All four candidates get the same vector added. $W_q$ and $W_k$, which decide *where* to look, have no
# influence, so their gradient is 0 and they keep their random start for ever. For the document's choice and
# two others, here is the size of the gradient of each matrix (the root of the sum of squares):

# %% Gradient of each attention matrix: 0 is exactly 0. On the left the document's choice, user and no mask
parts = {"encoder": "encoder.blocks.0.attention", "decoder, to candidates": "decoder.blocks.0.self_attention",
         "decoder, to memory": "decoder.blocks.0.cross_attention"}  # fmt: skip
kinds = {}
for kind in ("user, listwise", "history, listwise", "history, pointwise"):
    model = network_of(*kind.split(", "))
    read = np.array([[0], [1]]) if model.source == "user" else sources  # two users, or two histories
    scores, cache = model.forward(read, candidates)
    _, of_loss = candidate_loss_forward("softmax", scores)
    _, grads = model.backward(candidate_loss_backward(1.0, of_loss), cache)
    norms = [np.linalg.norm(grads[f"transformer.{part}.W_{x}"]) for part in parts.values() for x in "qkvo"]
    kinds[kind] = np.reshape(norms, (3, 4))
plots.heatmap(
    kinds, rows=list(parts), columns=["W_q", "W_k", "W_v", "W_o"], label="gradient norm", form="{:.2g}"
)

# %% [markdown]
# With the user alone (left) attention to the user learns nothing, in the encoder and in the decoder. The
# model is not useless: norm and ReLU come after the vector that all candidates get, so what it does to a
# score differs from item to item. But attention has something to choose only when the source is a history.
# (On the right it is the candidates that see one key, themselves. That is meant: they are not to look at
# each other.)
#
# ## Second lesson: do candidates see each other?
#
# The decoder begins with self-attention: without a mask, each candidate attends to all candidates, and the
# score of an item depends on which others are asked for. Such a model is called *listwise*. With a mask
# that is `True` on the diagonal only, each candidate sees itself and the source: *pointwise*. With
# $s_c(\ell)$ for the score of $c$ when the list $\ell$ is asked for, a pointwise model has
#
# $$
# s_c(\ell) = s_c(c \text{ alone})
# $$


# %%
def scores_of(model, ids):
    return model.forward(sources[:1], np.array([ids]))[0][0]  # of the first user


pointwise, listwise = network_of("history", "pointwise"), network_of("history", "listwise")
whole = np.arange(1, 15)  # all 14 events
alone = [scores_of(pointwise, [c])[0] for c in whole]
agree("TransformerNetwork: pointwise, the list does not matter", scores_of(pointwise, whole), alone)
for kind, model in (("pointwise", pointwise), ("listwise", listwise)):
    in_order = whole[np.argsort(scores_of(model, whole))]  # the lowest score first
    pairs = [(a, b) for i, a in enumerate(in_order) for b in in_order[i + 1 :]]  # b scored above a
    turned = sum(scores_of(model, pair)[0] > scores_of(model, pair)[1] for pair in pairs)
    print(f"{kind}: {turned} of {len(pairs)} pairs change their order when only the two are scored")

# %% [markdown]
# A large catalogue is scored in pieces. Pointwise scores can be put together afterwards; listwise ones
# cannot. What a list can express, in exchange, is variety: "not another lamp, there is one in the list".
# The document's code has no mask, so it is listwise; the text does not say whether that is meant.
#
# ## Third lesson: what does the order of candidates do?
#
# Candidates have no positions: nothing tells the decoder which one comes first. What attention adds is a
# weighted sum over all places, and a sum does not know an order. So, listwise or not, shuffling the list
# with a permutation $\pi$ shuffles the scores and changes none of them (up to rounding). This is called
# *permutation equivariance*:
#
# $$
# s(\pi\, \ell) = \pi\, s(\ell)
# $$

# %%
order = rng.permutation(14)
shuffled = whole[order]
agree("TransformerNetwork: shuffled", scores_of(listwise, shuffled), scores_of(listwise, whole)[order])

# %% [markdown]
# Decoders of language models have a *causal* mask: each place sees itself and the ones before it. That is
# right for words, which have an order, and easily copied along. On candidates it makes the first of the
# list different from the last, for no reason but the order in which somebody typed them:


# %%
def causal_scores(ids):
    memory, padding, _ = listwise.encode(sources[:1])
    v = listwise.scale * listwise.item_embedding.E[ids][None]  # (1, 14, D)
    y, _ = listwise.transformer.decoder.forward(v, memory, nn.causal_mask(14), padding)
    return listwise.score.forward(y)[0][0, :, 0]


changed = np.abs(causal_scores(shuffled) - causal_scores(whole)[order])
print("causal mask, scores are only shuffled:", np.allclose(changed, 0))
print(f"largest change: {changed.max():.2f}; range of the scores: {np.ptp(causal_scores(whole)):.2f}")

# %% [markdown]
# ## Train it
#
# A small synthetic shop, whose laws are known: 150 users, 40 products, 2,500 purchases. Three products "go
# with" each product, as a lamp goes with a desk. With chance 0.6 a purchase goes with the last one or the
# one before; otherwise taste and popularity decide. Nobody buys a product twice, so favorites are soon used
# up, and the order decides more often than that. This favors whoever reads the history: a test of what
# reading it is worth. Each user's last purchase is hidden for the test, and the last but one (validation)
# decides which state of the model is kept.

# %%
shop = data.synthetic(n_users=150, n_items=40, n_events=2500, seed=3, sequence_strength=0.6)
train, valid, test = data.leave_one_out(shop.interactions)
before_test = data.concatenate(train, valid).histories()  # of each user: the purchases before the hidden one
hidden = np.array([test.items[test.users == user][0] for user in range(150)])
goes_with = [shop.world.successors[past[-2:]].ravel() for past in before_test]  # with the last two purchases

# %% [markdown]
# A *step* changes all parameters once, by the gradient for a batch of 64 purchases ([lesson
# 9](09_training.md)); an *epoch* is one pass over all training purchases. *NDCG@10* measures a list: $1 /
# \log_2 (1 + r)$ if the hidden purchase stands at rank $r \le 10$ among the products that the user does not
# have, and 0 if it stands further down; so 1 for rank 1, $1/2$ for rank 3. It is averaged over users
# ([lesson 12](12_evaluation.md)).

# %% Loss on the training purchases, and NDCG@10 on the validation ones; the ring marks the epoch that is kept
models = {}
for source in ("history", "user"):
    model = TransformerRecommender(
        embedding_dim=24, num_heads=2, num_layers=1, hidden=48, length=6, source=source, negatives=11,
        lr=5e-3, batch_size=64, epochs=20, patience=20, dtype="float64",  # candidates="pointwise", as it is
        # unless one says otherwise; patience: epochs without a better validation before it stops
    )  # fmt: skip
    models[source] = model.fit(train, valid=valid, rng=0, progress=False)
    log = model.log
    print(f"{source}: {log.steps} steps, loss {log.losses[0]:.2f} to {log.losses[-1]:.2f}, {log.ended}")
losses = {source: model.log.losses for source, model in models.items()}
plots.loss_curves(losses, {source: model.log.validation for source, model in models.items()})

# %% [markdown]
# A model that gives all 12 candidates the same score has the loss $\log 12$, {{np.log(12):.2f}}. Both
# losses fall: the user model learns the training purchases too. But what it learns does not help to name
# the next one. Now the hidden purchases, next to two models without any gradient: popularity, and a Markov
# chain, which scores an item by how often it came right after the user's last one.

# %% NDCG@10 on the hidden purchases. Bars: how far a mean over 150 users may be off by chance (lesson 12)
rows = {"TransformerRecommender, history": models["history"], "TransformerRecommender, user": models["user"],
        "MarkovChain": MarkovChain().fit(train), "Popularity": Popularity().fit(train)}  # fmt: skip
results = {}
for name, model in rows.items():
    outcome = evaluation.evaluate(model, train, test, also_seen=valid)  # valid belongs to the history now
    results[name] = (outcome.mean("ndcg"), *outcome.interval("ndcg"))
    print(f"{name}: {results[name][0]:.3f}")
best = shop.best_possible(test, before_test, know_taste=False).ndcg  # with the laws, without a user's taste
plots.comparison(results, reference={"best possible from the history": best})

# %% [markdown]
# The history is worth more than anything else here. The model with the user alone is not better than
# popularity, and the chain, which counts pairs, reaches what the Transformer reaches: with a small
# catalogue and a strong order, counting is hard to beat. On MovieLens 100K the same class is ahead of the
# chain, but not by so much that chance is ruled out ([claims](claims.md)).
#
# ## Recommendations, and where the model looked
#
# One user: the last six purchases, and the five products that the model puts first. It has never seen the
# shop's law of what goes with what.

# %% Attention of the five recommendations to the six last purchases, oldest on the left, mean of two heads
model, user = models["history"], 7
history = before_test[user][-6:]
title = [product.title for product in shop.products]
lists = model.recommend_histories([[train.item_ids[i] for i in past] for past in before_test], k=5).items
top = np.array([[train.item_index[item] for item in row] for row in lists])  # (150, 5), counted from 0
for rank, i in enumerate(top[user], 1):
    print(f"{rank}. {title[i]}{'  <- goes with one of the last two' if i in goes_with[user] else ''}")
print("bought next:", title[hidden[user]])
for what, products in (("first recommendations", top[:, 0]), ("hidden purchases", hidden)):
    share = np.mean([i in of_user for i, of_user in zip(products, goes_with, strict=True)])
    print(f"{what} that go with one of the last two purchases, over all users: {share:.0%}")
weights = model.attention_weights(history, top[user])[0].mean(
    axis=0
)  # (5, 6): its one layer, mean over heads
plots.attention_weights(weights, [title[i] for i in top[user]], [title[i] for i in history])

# %% [markdown]
# Of the hidden purchases {{share:.0%}} follow the order, more than the chance of 0.6: a product that the
# user has is refused and the whole draw repeated, and taste proposes more of what is owned. The model does
# nearly the same. Does the picture say *why*? A weight says how much of a key's value was mixed in, not
# what that did to the score ([lesson 5](05_worked_example.md)). The third recommendation looks most at the
# fifth purchase. Give the model the other five alone and see by how much the score falls:

# %%
past, third = before_test[user][-6:], top[user, 2:3]
lost = model.score_histories([past], third) - model.score_histories([np.delete(past, -2)], third)
print(f"weight of the fifth purchase: {weights[2, 4]:.2f}, score lost without it: {lost[0, 0]:.2f}")

# %% [markdown]
# The score *rises*. One such case is enough: a picture of attention weights shows where a model looked, and
# is no explanation. The document rightly names that as an open problem (section 8.3).
#
# ## Exercise
#
# Write `candidate_loss_forward(loss, scores, ratings=None)` and `candidate_loss_backward` in a file of your
# own, with $\sigma(z) = 1 / (1 + e^{-z})$. `"softmax"` is the loss above, a mean over the rows. `"bce"`:
# candidate 0 was taken and the others were not, so the mean of $-\log \sigma(s_0)$ and all $-\log (1 -
# \sigma(s_c))$. `"bpr"`: the mean of $-\log \sigma(s_0 - s_c)$ over the others. `"squared"`: the mean of
# $(s_0 - r)^2$ for ratings $r$. Which two have the same gradient if there is one negative? Then compare:
#
# ```
# python -m minirec verify my_file.py:candidate_loss --against candidate_loss
# ```
#
# ## In practice
#
# - In PyTorch: `batch_first=True`, both layer numbers by name, `model.eval()` before predicting.
# - Candidates that attend to the user's history are the idea of DIN (Zhou et al. 2018); the Behavior
#   Sequence Transformer (Chen et al. 2019) puts the candidate into the sequence. SASRec (Kang & McAuley
#   2018, [lesson 10](10_sequences.md)) encodes the history once and multiplies it with all items, which is
#   far cheaper for a large catalogue.
# - Listwise models re-rank a short list that another model has found: PRM (Pei et al. 2019), and SetRank
#   (Pang et al. 2020), whose result does not depend on the order of the list, on purpose.
# - Whether attention explains is disputed: Jain & Wallace (2019), Wiegreffe & Pinter (2019).
