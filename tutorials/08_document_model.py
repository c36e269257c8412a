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
# 禅与计算机程序设计艺术). Its code defines a class for PyTorch; PyTorch is not needed here. What goes wrong is a
# matter of names, shapes and masks, and NumPy shows it as well. The idea of the class is sound: *encode*
# the user, let each *candidate* (an item that may be recommended) attend to the encoded user in a
# *decoder*, and turn each result into one number.

# %%
import json
from pathlib import Path

import numpy as np

import minirec
from minirec import data, evaluation, nn, plots
from minirec import functional as F
from minirec.models import MarkovChain, Popularity, TransformerRecommender
from minirec.models.candidate_loss import candidate_loss_backward, candidate_loss_forward
from minirec.models.transformer_network import TransformerNetwork
from minirec.verify import agree, check_module

rng = np.random.default_rng(0)
women = data.southern_women()  # 18 women, 14 social events: small enough to know them by name
names = [str(name).split()[0] for name in women.user_ids]

# %% [markdown]
# ## Six faults
#
# **1. A name that nobody defined.** The constructor asks for an embedding table (one row of numbers for
# each id) with as many rows as there are users, but the number of users is neither an argument nor a
# variable. Python notices when the class is used, not when it is read:


# %%
def table(width):
    return np.zeros((num_users, width))  # noqa: F821


try:
    table(64)
except NameError as error:
    print("NameError:", error)

# %% [markdown]
# The repair: the numbers of users and of items come from the data, when the model is fitted.
#
# **2. One table for two kinds of things.** Users and items are each numbered from 0, and both numbers are
# looked up in the same table. So the user of row 3 and the item of row 3 have one vector between them.
# Below: a table of random numbers, and the products of each woman's row with each event's row. Nothing has
# been learned, and yet each of the first 14 women "likes" the event of her own row:

# %% One table for both: products of untrained rows, scaled so that a row with itself is about 1
E = rng.normal(size=(women.n_users, 64))
likes = E @ E[: women.n_items].T / 64
events = [str(event) for event in women.item_ids]
plots.heatmap(likes, rows=names, columns=events, xlabel="event", ylabel="user", label="product", form=None)

# %% [markdown]
# Training cannot take the two apart: a step for the user is a step for the item. Say woman 3 went to the
# event of row 7, and one step of [factorization](02_factorization.md) makes the two more alike. Somebody
# else's liking for the event of row 3, where nobody was, changes as well. And where there are more items
# than users, the rows do not even suffice:

# %%
stepped = E.copy()
stepped[[3, 7]] += 0.1 * E[[7, 3]]  # each a little towards the other
print(f"{names[4]} and the event of row 3: {E[4] @ E[3]:.2f} before, {stepped[4] @ stepped[3]:.2f} after")
try:
    F.embedding_forward(E[:5], np.array([3, 7]))  # five users, and an item with the number 7
except IndexError as error:
    print("IndexError:", error)

# %% [markdown]
# The repair: a table for users, another one for items.
#
# **3. A number of layers that stops halfway.** The class passes its `num_layers` as the third argument, by
# position. In PyTorch's Transformer the third is the number of *encoder* layers. The decoder has a number
# of its own, the fourth, which stays at its default of 6, and the hidden width of all feed-forward layers
# at 2048. The same signature here:


# %%
def parameters(width, heads, encoder_layers=6, decoder_layers=6, hidden=2048):
    network = nn.Transformer(rng, encoder_layers, decoder_layers, width, heads, hidden)
    layers = f"{len(network.encoder.blocks)} encoder and {len(network.decoder.blocks)} decoder layers"
    print(f"{layers}: {network.parameter_count():,} numbers to learn")
    return network.parameter_count()


as_printed = parameters(64, 8, 2)
as_meant = parameters(64, 8, 2, 2, hidden=4 * 64)

# %% [markdown]
# That is {{as_printed / as_meant:.0f}} times as many numbers as two layers on each side with the usual
# hidden width, 4 times the width. The repair: name the arguments.
#
# **4. A bare number.** The example at the end asks for the scores of user 1 and passes the number itself. A
# table is read with an *array* of ids, whose shape says how many users there are and how long each one's
# sequence is:

# %%
try:
    F.embedding_forward(E, 1)
except AttributeError as error:
    print("AttributeError:", error)
x, _ = F.embedding_forward(E, np.array([[1]]))
print("one user, a sequence of one:", x.shape)

# %% [markdown]
# **5. A batch that is read as a sequence.** To train, one passes many users at once: ids of shape $(B,)$,
# rows of shape $(B, D)$. For a Transformer an array of two axes is *one sequence* of $B$ places. So each
# user attends to the other users who happen to be in the batch. With ids of shape $(B, 1)$ it is the same
# in PyTorch, whose first axis is time unless `batch_first=True` is set. (The last lines of the example, one
# user and three candidates, are not hit; training is.) Four women in an encoder of one layer, read wrongly
# and rightly:

# %% Left, one sequence of four users: each attends to all. Right, four sequences of one: each to herself
encoder = nn.Encoder(rng, 1, 64, 1, 256)
shown = [4, 5, 9, 11]
four = E[shown]
wrong, of_wrong = encoder.forward(four)  # (4, D): one sequence
right, of_right = encoder.forward(four[:, None])  # (4, 1, D): a batch of four
alone = np.diag(of_right.blocks[0].attention.f.attention.p[:, 0, 0, 0])
weights = np.stack([of_wrong.blocks[0].attention.f.attention.p[0], alone])
who = [names[i] for i in shown]
plots.attention_weights(weights, who, who, head_titles=["(B, D), wrong", "(B, 1, D), right"])

# %% [markdown]
# The consequence: what the model says about the first user depends on who else asks at the same time.

# %%
others = four.copy()
others[1:] = E[:3]  # the same first user in other company
as_sequence, as_batch = encoder.forward(others)[0], encoder.forward(others[:, None])[0]
print("one sequence, the first user is unchanged:", np.allclose(as_sequence[0], wrong[0]))
print("a batch,      the first user is unchanged:", np.array_equal(as_batch[0], right[0]))

# %% [markdown]
# **6. Dropout that is never switched off.** Dropout sets some numbers to 0 at random *while training*, so
# that the network does not rely on any one of them. A PyTorch module starts in training mode, and the
# example never leaves it. Then two requests of the same user get two lists. Here a small network, which we
# need below anyway: the repaired one. minirec drops only where a random generator is passed.

# %%
settings = {
    "n_users": women.n_users, "n_items": women.n_items, "embedding_dim": 8, "num_heads": 2, "num_layers": 1,
    "hidden": 16, "length": 5, "dropout": 0.1,
}  # fmt: skip


def network_of(source, candidates):
    return TransformerNetwork(np.random.default_rng(1), **settings, source=source, candidates=candidates)


network = network_of("history", "pointwise")
sources = np.array([[0, 0, 1, 2, 3], [0, 4, 5, 6, 8]])  # (B, T) ids of events, 0 = padding on the left
everything = np.arange(1, 15)[None]  # ids of all 14 events, for one user
for name, generator in (("training", np.random.default_rng(2)), ("prediction", None)):
    rows = [network.forward(sources[:1], everything, rng=generator)[0][0] for _ in range(3)]
    lists = [" ".join(events[i] for i in np.argsort(-row)[:5]) for row in rows]
    print(f"{name} mode, five best events, asked three times: {', '.join(lists)}")

# %% [markdown]
# ## The repaired model
#
# A source $x$ of $T$ ids is encoded, and each of the candidates $c$ gets a score:
#
# $$
# s_c = w^\top \operatorname{decoder}\bigl(\kappa E_c,\ \operatorname{encoder}(\kappa E_x + \kappa P)\bigr) + b
# $$
#
# Shapes: $E$ is the item table, $(I + 1, D)$, with row 0 for padding; $P$ has a row for each position,
# $(T, D)$; $\kappa$ is a constant that brings the numbers to a useful size; $w$ is $(D,)$ and $b$ one
# number. The source is the user's *history*, the last items taken. Section 3.2 describes the input so; the
# code in section 5.2 reads only the number of the user. Here it is in loops, one user and one candidate at
# a time:


# %%
def scores_loops(network, sources, candidates):
    rows = []
    for source, listed in zip(sources, candidates, strict=True):
        seen = source[source != 0]
        x = network.scale * (network.item_embedding.E[seen] + network.position_embedding.E[: len(seen)])
        memory, _ = network.transformer.encoder.forward(x)  # (T, D)
        row = []
        for c in listed:
            y, _ = network.transformer.decoder.forward(network.scale * network.item_embedding.E[[c]], memory)
            row.append(y[0] @ network.score.W[:, 0] + network.score.b[0])
        rows.append(row)
    return rows


candidates = np.array([[7, 9, 10, 11], [7, 9, 10, 11]])  # (B, C)
s, cache = network.forward(sources, candidates)
agree("TransformerNetwork", s, scores_loops(network, sources, candidates))
print(np.round(s, 2))

# %% [markdown]
# The whole batch at once needs two masks: one hides padding from the attention, the other hides candidates
# from each other. We come back to the second one below.
#
# **The loss.** Section 5.2 leaves training open; section 5.3 calls the score a rating, but fitted to
# ratings a model ranks badly ([lesson 2](02_factorization.md)). We take events of the past: the source is
# what came before, the event's item is candidate 0, and the other candidates are *negatives*, items drawn
# at random that the user has not taken. Candidate 0 should win, so the loss is cross-entropy ([lesson
# 3](03_softmax.md)) over the list:
#
# $$
# L = -\log \frac{e^{s_0}}{\sum_c e^{s_c}}
# $$
#
# By hand: scores $\ln 2, 0, 0$ have the powers $2, 1, 1$, so the loss is $-\log (2/4) = \log 2$.

# %%
loss, of_loss = candidate_loss_forward("softmax", np.array([[np.log(2), 0.0, 0.0]]))
agree("candidate_loss", loss, np.log(2))
print("gradient of the scores:", candidate_loss_backward(1.0, of_loss)[0])

# %% [markdown]
# **The backward pass**, from the end to the beginning, each forward line above its derivative:
#
# - forward $s = y w + b$. So $dy = ds\, w^\top$, $dw = y^\top ds$ and $db = \sum ds$.
# - forward $y = \operatorname{decoder}(c, m)$. The decoder's backward pass ([lesson 7](07_blocks.md)) gives
#   $dc$ and $dm$. The encoded source $m$, called the *memory*, is read by every candidate, and their
#   gradients add up.
# - forward $m = \operatorname{encoder}(x)$. Its backward pass turns $dm$ into $dx$.
# - forward $c = \kappa E[\text{candidates}]$ and $x = \kappa (E[\text{source}] + P)$. The table $E$ is read
#   twice, so its gradient is a sum of two. With $O$ the matrix of zeros and ones that picks the rows (a 1
#   in column $i$ where id $i$ is read), $c = \kappa O_c E$ and $x = \kappa O_x E + \dots$:
#
# $$
# dE = \kappa\, O_c^\top dc + \kappa\, O_x^\top dx
# $$
#
# Whoever forgets the second term trains candidates but not histories.

# %%
ds = rng.normal(size=s.shape)
_, grads = network.backward(ds, cache)
dy, _ = network.score.backward(ds[..., None], cache.score)
(dc, dm), _ = network.transformer.decoder.backward(dy, cache.decoder)
dx, _ = network.transformer.encoder.backward(dm, cache.encoder)
eye = np.eye(women.n_items + 1)
eye[0] = 0  # padding is no item
dE = sum(
    eye[ids].reshape(-1, 15).T @ (network.scale * d).reshape(-1, 8)
    for ids, d in ((candidates, dc), (sources, dx))
)
agree("TransformerNetwork: gradient of the item table", grads["item_embedding.E"], dE)
never = ["*.b_k", "*.self_attention.W_q", "*.self_attention.W_k", "*.self_attention.b_q"]  # see below
print("gradients are right:", check_module(network, sources, candidates, zero=never, jacobian=False).ok)

# %% [markdown]
# This is `minirec.models.TransformerRecommender`: use that from here on. It has the document's arguments
# `embedding_dim`, `num_heads` and `num_layers`, and two choices: `source="user"` or `"history"`, and
# `candidates="pointwise"` or `"listwise"`. What hangs on them is the next three sections.
#
# ## First lesson of the design: attention to one key is no attention
#
# The document's source is the user alone: a sequence of length 1. Softmax over one score is
#
# $$
# \operatorname{softmax}(x_1) = \frac{e^{x_1}}{e^{x_1}} = 1
# $$
#
# whatever the score. So the weight is always 1, and its slope $y_1 (1 - y_1)$ is always 0: nothing can
# change it.

# %%
agree("softmax over one key", F.softmax_forward(rng.normal(size=(5, 1)))[0], np.ones((5, 1)))

# %% [markdown]
# Then attention of a candidate $c$ to the one place $m$ of memory is two matrix products, and $c$ is not in
# it:
#
# $$
# \operatorname{attention}(c, m) = (m W_v + b_v) W_o + b_o
# $$

# %%
layer = nn.MultiHeadAttention(rng, 8, 2)
c, m = rng.normal(size=(4, 8)), rng.normal(size=(1, 8))
alike = (m @ layer.W_v + layer.b_v) @ layer.W_o + layer.b_o
agree("MultiHeadAttention over one key", layer.forward(c, m, m)[0], np.repeat(alike, 4, axis=0))

# %% [markdown]
# All four candidates get the same vector added. $W_q$ and $W_k$, which decide *where* to look, have no
# influence, so their gradient is 0 and they keep their random start for ever. Here is the size of the
# gradient (root of the sum of squares) for each matrix of three models. Only listwise candidates look at
# anything besides themselves, so pointwise the decoder's self-attention is a "one key" as well; nothing is
# lost there, since it is not meant to look anywhere.

# %% Gradient of each attention matrix: white is exactly 0, in the models that see one key only
kinds = {"user, pointwise": 0, "history, pointwise": 0, "history, listwise": 0}
places = {"encoder": "encoder.blocks.0.attention", "decoder, self": "decoder.blocks.0.self_attention",
          "decoder, to memory": "decoder.blocks.0.cross_attention"}  # fmt: skip
for kind in kinds:
    model = network_of(*kind.split(", "))
    read = np.array([[0], [1]]) if model.source == "user" else sources
    s, cache = model.forward(read, candidates)
    _, grads = model.backward(candidate_loss_backward(1.0, candidate_loss_forward("softmax", s)[1]), cache)
    kinds[kind] = np.array(
        [[np.linalg.norm(grads[f"transformer.{place}.W_{x}"]) for x in "qkvo"] for place in places.values()]
    )
plots.heatmap(
    kinds, rows=list(places), columns=["W_q", "W_k", "W_v", "W_o"], label="gradient norm", form="{:.2g}"
)

# %%
dead = [f"{place} W_{x}" for place, row in zip(places, kinds["user, pointwise"], strict=True)
        for x, norm in zip("qkvo", row, strict=True) if norm == 0.0]  # fmt: skip
print(f"exactly 0 for the user alone, {len(dead)} of 12: {'; '.join(dead)}")

# %% [markdown]
# Candidates that see only themselves leave a feed-forward network on a user's row and an item's row: all
# get the same vector of the user, but norm and ReLU come after it, so its effect differs from item to item.
# In principle this can learn tastes. (Two of the matrices at 0, those of the decoder's self-attention, are
# so because each candidate sees only itself; between candidates that see each other they learn, the user's
# do not.) But attention begins to do something only when the source is the user's history: then there are
# several keys to choose from. (For a batch read as one sequence, fault 5, gradients are not 0. Attention
# then learns about the batch.)
#
# ## Second lesson: do candidates see each other?
#
# The decoder begins with self-attention: without a mask, each candidate attends to all candidates. Then the
# score of an item depends on which others are asked for, and a model of this kind is called *listwise*.
# With a mask that is `True` on the diagonal only, each sees itself and the source: *pointwise*. For a
# pointwise model
#
# $$
# s_c(\text{all candidates}) = s_c(c \text{ alone})
# $$


# %%
def scores_of(model, ids):
    return model.forward(sources[:1], np.array([ids]))[0][0]


pairs = [(a, b) for a in range(14) for b in range(a)]
for kind in ("pointwise", "listwise"):
    model = network_of("history", kind)
    whole = scores_of(model, range(1, 15))
    if kind == "pointwise":
        agree("TransformerNetwork: pointwise, the list does not matter",
              whole, [scores_of(model, [i])[0] for i in range(1, 15)])  # fmt: skip
    turned = 0
    for a, b in pairs:
        two = scores_of(model, [a + 1, b + 1])
        turned += (two[0] > two[1]) != (whole[a] > whole[b])
    print(f"{kind}: {turned} of {len(pairs)} pairs of events change their order when only the two are scored")

# %% [markdown]
# A shop scores a large catalogue in pieces, on several machines. Pointwise scores can be put together
# afterwards; listwise ones cannot, and the model has to be trained on lists of the size that it will meet.
# What a list can express, in exchange, is variety: "not another lamp, there is one in the list". The
# document's code has no mask, so it is listwise; the text does not say whether that is meant.
#
# ## Third lesson: what does the order of candidates do?
#
# Candidates have no positions: nothing tells the decoder which one comes first. Each output is a weighted
# sum over all places, and a sum does not know an order. So, listwise or not,
# shuffling the list with a permutation $\pi$ shuffles the scores and changes none of them (up to rounding).
# This is called *permutation equivariance*:
#
# $$
# s(\pi\, c) = \pi\, s(c)
# $$

# %%
model = network_of("history", "listwise")
order = rng.permutation(14)
before, after = (model.forward(sources[:1], listed)[0][0] for listed in (everything, everything[:, order]))
agree("TransformerNetwork: shuffled candidates, shuffled scores", after, before[order])

# %% [markdown]
# Decoders of language models have a *causal* mask: each place sees the ones before it. It is right for
# words, which have an order, and easily copied along. On candidates it makes the first of the list
# different from the last, for no reason but the order in which somebody typed them:

# %%
memory, padding, _ = model.encode(sources[:1])
decoder, causal = model.transformer.decoder, nn.causal_mask(14)
scores = []
for listed in (everything, everything[:, order]):
    y, _ = decoder.forward(model.scale * model.item_embedding.E[listed], memory, causal, padding)
    scores.append(model.score.forward(y)[0][0, :, 0])
print("causal mask, scores are only shuffled:", np.allclose(scores[1], scores[0][order]))
changed = np.abs(scores[1] - scores[0][order])
print(
    f"largest change of a score: {changed.max():.2f}, of scores from {scores[0].min():.2f} to {scores[0].max():.2f}"
)

# %% [markdown]
# ## Train it
#
# A small synthetic shop, whose laws are known: 150 users, 40 products, 2,500 purchases. Three products "go
# with" each product, as a lamp goes with a desk, and most purchases go with the last one or the one before.
# The others follow the user's taste and what is popular. That favors whoever reads the history, and so it
# is a test of the first lesson above. Each user's last purchase is hidden, and the one before decides when
# to stop.

# %%
shop = data.synthetic(n_users=150, n_items=40, n_events=2500, seed=3, sequence_strength=0.6)
train, valid, test = data.leave_one_out(shop.interactions)
before_test = data.concatenate(train, valid).histories()
hidden = np.array([test.items[test.users == user][0] for user in range(150)])


def goes_with(user):
    """The products that go with the last two purchases before the test."""
    return shop.world.successors[before_test[user][-2:]].ravel()


share = np.mean([hidden[user] in goes_with(user) for user in range(150)])
print(f"hidden purchases that go with the last two: {share:.0%}")

# %%
models = {}
for source in ("history", "user"):
    model = TransformerRecommender(
        embedding_dim=24, num_heads=2, num_layers=1, hidden=48, length=6, source=source, negatives=11,
        lr=5e-3, batch_size=64, epochs=20, patience=20, dtype="float64",
    )  # fmt: skip
    models[source] = model.fit(train, valid=valid, rng=0, progress=False)
    log = model.log
    print(f"{source}: {log.steps} steps, loss {log.losses[0]:.2f} to {log.losses[-1]:.2f}, {log.ended}")

# %% Loss on the training events, and NDCG@10 on the validation events; the ring marks the epoch that is kept
losses, validation = (
    {s: getattr(m.log, what) for s, m in models.items()} for what in ("losses", "validation")
)
plots.loss_curves(losses, validation)

# %% [markdown]
# A model that gives all 12 candidates the same score has the loss $\log 12$, {{np.log(12):.2f}}. Both
# losses fall: the user model learns the training purchases too. But what it learns does not help to name
# the next one.
#
# Now the test purchases, next to two models without any gradient: popularity, and a Markov chain, which
# counts what came after what. NDCG@10 is 1 if the hidden purchase stands first in the list, less the
# further down it stands, 0 outside of the first ten ([lesson 12](12_evaluation.md)).

# %% NDCG@10 on the hidden last purchase of 150 users
rows = {"TransformerRecommender, history": models["history"], "TransformerRecommender, user": models["user"],
        "MarkovChain": MarkovChain().fit(train), "Popularity": Popularity().fit(train)}  # fmt: skip
results = {}
for name, model in rows.items():
    outcome = evaluation.evaluate(model, train, test, also_seen=valid)
    results[name] = (outcome.mean("ndcg"), *outcome.interval("ndcg"))
best = shop.best_possible(test, before_test, know_taste=False).ndcg
plots.comparison(results, reference={"best possible from the history": best})

# %% [markdown]
# The history is worth more than anything else here. The model with the user alone is not better than
# popularity, and the chain, which counts pairs, reaches what the Transformer reaches. With a small
# catalogue and a strong order, counting is hard to beat. On MovieLens 100K the same class is ahead of the
# chain (`python tests/make_ml100k.py transformer markov`; intervals in [claims](claims.md)):

# %%
results_of = Path(minirec.__file__).parents[1] / "tests/results/ml100k"
for name in ("transformer", "markov", "popularity"):
    found = json.loads((results_of / f"{name}.json").read_text(encoding="utf-8"))
    print(f"{name}: NDCG@10 {found['seeds']['0']['metrics']['full']['NDCG@10'][0]:.4f}")

# %% [markdown]
# ## Recommendations, and where the model looked
#
# One user: the last six purchases, and the five products that the model puts first. The shop's own law says
# which products go with the last two purchases; the model has never seen that law.

# %%
model, user = models["history"], 7
history = before_test[user][-6:]
title = [product.title for product in shop.products]
lists = model.recommend_histories([[train.item_ids[i] for i in past] for past in before_test], k=5).items
top = np.array([[train.item_index[item] for item in row] for row in lists])  # (150, 5)
print("bought:", "; ".join(title[i] for i in history))
for rank, i in enumerate(top[user], 1):
    print(f"{rank}. {title[i]}{'  <- goes with one of the last two' if i in goes_with(user) else ''}")
print("bought next:", title[hidden[user]])
firsts = np.mean([top[u, 0] in goes_with(u) for u in range(150)])
print(f"first recommendations that go with the last two purchases, over all users: {firsts:.0%}")

# %% Attention of the five recommendations to the six last purchases, oldest on the left, mean of two heads
bought, listed = [title[i] for i in history], [title[i] for i in top[user]]
weights = model.attention_weights(history, top[user])[0].mean(axis=0)  # (C, T)
plots.attention_weights(weights, listed, bought)

# %% [markdown]
# Is that *why* they were recommended? A weight says how much of a key's value was mixed in, not what the
# value did to the score. A more direct question: by how much would the score be lower if one purchase had
# not been made? (The model reads six, so the seventh last moves up; later purchases keep their positions.)

# %% By how much each score would be lower without that purchase; orange: it would be higher


def effects(past, items):
    """(C, 6): the score of each item, less its score without one of the six last purchases."""
    whole = model.score_histories([past], items)  # (1, C)
    without = [np.delete(past, len(past) - 6 + t) for t in range(6)]
    return (whole - model.score_histories(without, items)).T


lost = effects(before_test[user], top[user])
plots.heatmap(lost, rows=listed, columns=bought, label="score lost")

# %%
correlations = []
for u in [u for u in range(150) if len(before_test[u]) > 6]:
    mixed = model.attention_weights(before_test[u], top[u, :1])[0, :, 0].mean(axis=0)
    ranks = [np.argsort(np.argsort(v)) for v in (mixed, effects(before_test[u], top[u, :1])[0])]
    correlations.append(np.corrcoef(ranks)[0, 1])
below = np.mean(np.array(correlations) < 0)
print(f"first recommendations of {len(correlations)} users, rank correlation of weight and effect: "
      f"{np.mean(correlations):.2f} on average, below 0 for {below:.0%}")  # fmt: skip

# %% [markdown]
# The third recommendation gives the fifth purchase the weight {{weights[2, 4]:.2f}}; without that purchase
# its score would be higher by {{-lost[2, 4]:.2f}}. A rank correlation is 1 if weights and effects put the
# purchases in the same order, and 0 if they have nothing to do with each other. Here they are related, and
# not the same. So a picture of attention weights shows where a model looked. It is no explanation; the
# document rightly names that as an open problem (section 8.3).
#
# ## Exercise
#
# Write `candidate_loss_forward(loss, scores, ratings=None)` and `candidate_loss_backward` in a file of your
# own. `"softmax"` is the loss above, a mean over the rows. `"bce"`: candidate 0 was taken and the others
# were not, each judged alone. `"bpr"`: the mean of $-\log \sigma(s_0 - s_c)$ over the others. `"squared"`:
# the mean of $(s_0 - r)^2$ for ratings $r$ ([lesson 9](09_training.md) has these formulas). Which two have
# the same gradient if there is one negative? Then compare:
#
# ```
# python -m minirec verify my_file.py:candidate_loss --against candidate_loss
# ```
#
# ## In practice
#
# - In PyTorch: `batch_first=True`, both layer numbers by name, `model.eval()` before predicting.
# - Candidates that attend to the user's history are the idea of DIN (Zhou et al. 2018) and of the Behavior
#   Sequence Transformer (Chen et al. 2019). SASRec (Kang & McAuley 2018, [lesson 10](10_sequences.md))
#   encodes the history once and multiplies it with all items, which is far cheaper for a large catalogue.
# - Listwise models re-rank a short list that a pointwise model has found: PRM (Pei et al. 2019), SetRank
#   (Pang et al. 2020), which is permutation-equivariant on purpose.
# - Whether attention explains is disputed: Jain & Wallace (2019), Wiegreffe & Pinter (2019).
