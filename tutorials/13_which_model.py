# %% [markdown]
# # Choose a model: what the data hold, how much of it, and what it costs
#
# - **You will do:** train five models on shops that differ in one thing at a time; count the
#   multiplications of a Transformer; read stored measurements of MovieLens 100K and give verdicts on five
#   claims.
# - **You will learn:** why "sparse or dense" is only half of the question, where a Transformer begins to
#   pay, and how to tell a better model from a better comparison.
# - **You need:** [how recommendations are measured](12_evaluation.md), what [SASRec](10_sequences.md) is,
#   and the words of [training](09_training.md): epoch, batch, step.
#
# Section 9.1 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术) answers
# the question of this lesson in two lines: where interactions are sparse, collaborative filtering or
# content; where they are rich, deep models such as Transformers. Elsewhere it says that such models learn
# from little data (sections 2.2 and 3.3), and also that they need very much of it (section 8.3, which names
# the cost of training as well). It measures none of this. Nor do we measure a large language model here:
# all models are small, and learn from interactions alone.

# %%
import json
from pathlib import Path

import numpy as np

from minirec import data, evaluation, plots
from minirec.evaluation import bootstrap_means, holm, interval, permutation_p_value
from minirec.models import EASE, ImplicitALS, MarkovChain, Popularity, SASRec
from minirec.verify import agree

# %% [markdown]
# ## Five models, and what each can see
#
# *Collaborative filtering* recommends what similar users took. EASE and ImplicitALS are two forms of it:
# EASE learns a weight for each pair of items, ImplicitALS a vector for each item, and computes from a
# history the vector of its user ([lesson 2](02_factorization.md) has such vectors). Both see a history as a
# set. The Markov chain counts what came next after the last item and sees nothing else. SASRec, a
# Transformer, sees the items and their order. Popularity sees nobody.
#
# All are measured by NDCG@10 of each user, with the last event hidden. Two models are compared user by
# user, and a difference has a verdict: "yes" where its whole 95 % interval is above zero, "no, the
# opposite" where it is below, else "not shown".


# %%
def five(epochs):
    # width 24, one head, one block; training ends when the validation part gains no more
    settings = {"length": 16, "lr": 5e-3, "batch_size": 32, "dropout": 0.2, "residual": "original"}
    sasrec = SASRec(24, 1, 1, **settings, epochs=epochs, patience=max(12, epochs // 3))
    models = [Popularity(), MarkovChain(), EASE(reg=50.0), ImplicitALS(16, epochs=8), sasrec]
    return {type(model).__name__: model for model in models}


def ndcg(model, train, valid, test, seen):
    """(U,) NDCG@10 of each user; `train` may hold a part of the users, `seen` the events of all."""
    model.fit(train, valid=valid, rng=0, progress=False)
    return evaluation.evaluate(model, seen[0], test, also_seen=seen[1], metrics=("ndcg",)).per_user("ndcg")


def mean(values):
    return float(np.mean(values)), *interval(bootstrap_means(np.array(values)))


def verdict(what, differences):
    middle, low, high = mean(differences)  # 95 % of the means of resampled users lie from low to high
    found = "yes" if low > 0 else "no, the opposite" if high < 0 else "not shown"
    print(f"{what:42} {middle:+.3f} [{low:+.3f}, {high:+.3f}]  {found}")
    return found


# %% [markdown]
# ## What is in the data?
#
# Three synthetic shops of the same size: 300 users, 100 products, 20 events per user on average, so the
# same density: {{100 * 6000 / (300 * 100):.0f}} % of all pairs have met. They differ in one law, how often
# the next product is one that *goes with* the last ones, as a bulb goes with a lamp: never, one time in
# four, or one time in two. Otherwise taste decides.

# %%
shares = [0.0, 0.25, 0.5]
by_order = {name: [] for name in five(1)}
for share in shares:
    shop = data.synthetic(300, 100, 6000, seed=1, sequence_strength=share)
    train, valid, test = data.leave_one_out(shop.interactions)
    for name, model in five(epochs=40).items():
        by_order[name].append(ndcg(model, train, valid, test, (train, valid)))
none, _, half = ({name: values[i] for name, values in by_order.items()} for i in range(3))
verdicts = [
    verdict("no order: EASE - SASRec", none["EASE"] - none["SASRec"]),
    verdict("no order: SASRec - Popularity", none["SASRec"] - none["Popularity"]),
    verdict("half order: SASRec - EASE", half["SASRec"] - half["EASE"]),
    verdict("half order: MarkovChain - SASRec", half["MarkovChain"] - half["SASRec"]),
]
assert verdicts == ["yes", "not shown", "yes", "yes"]

# %% The same number of events, and the order of the models turns round: it depends on how much order there is
points = {name: np.array([mean(values) for values in rows]) for name, rows in by_order.items()}
plots.lines(
    {name: (shares, rows[:, 0]) for name, rows in points.items()},
    "share of events that follow from the last ones", "NDCG@10",
    bands={name: (rows[:, 1], rows[:, 2]) for name, rows in points.items()},
)  # fmt: skip

# %% [markdown]
# Without order EASE is far ahead of SASRec, which is not shown to be better than popularity: 6,000 events
# do not teach it that order means nothing. With much order SASRec is far ahead of EASE, and counting pairs
# is better still. The density was the same all the time. So ask first: does the next event depend on the
# last one? A Markov chain answers that in a second. Put it beside EASE, on your own data ([lesson
# 15](15_own_ratings.md)).
#
# ## How much data?
#
# Now one shop with 800 users, order one time in four, and models that learn from 50, 200 or all of them.
# They are measured on everybody: none of the five knows users by name, so each can be asked about somebody
# whose history it has not learned from. With fewer users SASRec gets more epochs, so that it may take about
# as many steps, and only the data differ.

# %%
shop = data.synthetic(800, 100, 16_000, seed=1)
train, valid, test = data.leave_one_out(shop.interactions)
order = np.random.default_rng(0).permutation(train.n_users)
by_users, steps = {name: {} for name in five(1)}, {}
for n in (50, 200, 800):
    part, stop = (x.select(np.isin(x.users, order[:n])) for x in (train, valid))
    for name, model in five(epochs=12 * 800 // n).items():
        by_users[name][n] = ndcg(model, part, stop, test, (train, valid))
    steps[n] = model.log.steps  # of SASRec, the last of the five
print("steps of SASRec, by users:", steps)
pairs, ours = by_users["MarkovChain"], by_users["SASRec"]
ahead = [verdict(f"{n} users: MarkovChain - SASRec", pairs[n] - ours[n]) for n in pairs]
gain = {name: rows[800] - rows[50] for name, rows in by_users.items()}
more = [verdict(f"gain: SASRec - {name}", gain["SASRec"] - g) for name, g in gain.items() if name != "SASRec"]
assert set(ahead + more) == {"yes"}
assert all(g.mean() > 0 for g in gain.values())

# %% More users help everybody, and SASRec most
curves = {name: [(n, mean(values)) for n, values in rows.items()] for name, rows in by_users.items()}
plots.by_size(curves, "users learned from", "NDCG@10")

# %% [markdown]
# Counting pairs is ahead at every size. This shop is easy on it: the law of order looks at two items, and
# 100 products have few pairs to count. Real histories hold more than that, as the next sections show. What
# carries over is the *gain*: from 50 to 800 users SASRec gains {{gain['SASRec'].mean():.2f}}, the Markov
# chain {{gain['MarkovChain'].mean():.2f}}, EASE {{gain['EASE'].mean():.2f}}.
#
# ## What goes wrong: an unequal comparison
#
# Train SASRec on the 50 users for 12 epochs, as if they were 800. An epoch is one pass over the users; 50
# users in batches of 32 make two steps per epoch, 800 make 25:

# %%
part, stop = (x.select(np.isin(x.users, order[:50])) for x in (train, valid))
model = five(epochs=12)["SASRec"]
short = ndcg(model, part, stop, test, (train, valid))
print(
    f"SASRec from 50 users: {short.mean():.3f} in {model.log.steps} steps, {ours[50].mean():.3f} in {steps[50]}"
)
assert verdict("more steps", ours[50] - short) == "yes"

# %% [markdown]
# Whoever wants to show that a Transformer fails on little data can do it in this way, and by mistake. The
# reverse is as easy, with a baseline that nobody tuned.
#
# ## MovieLens: sparse and rich data (section 9.1)
#
# For real ratings we read stored measurements of MovieLens 100K: 943 users, 1,682 films, the last film of
# each user hidden, all films ranked that the user has not rated. `python tests/make_experiments.py events`
# cuts everybody's history to the newest 3, 5, 10, 20 or 50 events, for learning and for asking, and trains
# at each size; it takes a quarter of an hour. Some users have fewer than 50, so the mean is 42 there; of
# the whole histories it is 104.


# %%
RESULTS = Path(__file__).parents[1] / "tests" / "results" / "ml100k"
NAMES = {"popularity": "Popularity", "markov": "MarkovChain", "ease": "EASE", "als": "ImplicitALS"}
NAMES["sasrec"] = "SASRec"


def stored(file):
    return json.loads((RESULTS / f"{file}.json").read_text(encoding="utf-8"))


def differences(found, a, b):
    """{size: the difference of NDCG@10 of each user}"""
    return {int(n): np.subtract(found[a][n]["ndcg"], found[b][n]["ndcg"]) for n in found[a]}


events, users = (stored(f"experiment-{what}")["models"] for what in ("events", "users"))

# %% MovieLens 100K cut to the newest events of each user: the lines cross
curves = {
    label: [(row["events"] / 943, mean(row["ndcg"])) for row in events[name].values()]
    for name, label in NAMES.items()
}
plots.by_size(curves, "events learned from, per user", "NDCG@10")

# %%
rich_or_sparse = differences(events, "sasrec", "ease")
words = {n: f"newest {n}" if n < 1000 else "all events" for n in rich_or_sparse}
ahead = {n: verdict(f"{words[n]}: SASRec - EASE", d) for n, d in rich_or_sparse.items()}
assert [n for n in ahead if ahead[n] == "no, the opposite"] == [3, 5]
assert [n for n in ahead if ahead[n] == "yes"] == [1000]
per_user = [round(row["events"] / 943) for row in events["ease"].values()]
print("events per user:", per_user)
assert per_user == [3, 5, 10, 20, 42, 104]
for name in ("ease", "als"):
    older = np.subtract(events[name]["1000"]["ndcg"], events[name]["10"]["ndcg"])
    assert verdict(f"{NAMES[name]}: all events - newest 10", older) == "not shown"

# %% [markdown]
# The document's advice holds here, and now it has numbers: with 3 and 5 events per user EASE is ahead, with
# all of them SASRec is, and in between the difference may be chance. The advice leaves out something else.
# Nothing shows that EASE and ImplicitALS gain from events older than the newest ten. A likely reason: old
# events tell less about tomorrow, and a set of items does not know which ones are old.
#
# ## MovieLens: few and many users (section 2.2 against section 8.3)
#
# `python tests/make_experiments.py users` learns from 59 to all 943 users, and measures on all of them,
# with their whole histories.

# %% MovieLens 100K: what the same models make of more users
curves = {
    label: [(int(n), mean(row["ndcg"])) for n, row in users[name].items()] for name, label in NAMES.items()
}
plots.by_size(curves, "users learned from", "NDCG@10")

# %%
few_or_many = differences(users, "sasrec", "markov")
ahead = {n: verdict(f"{n} users: SASRec - MarkovChain", d) for n, d in few_or_many.items()}
assert ahead == {59: "not shown", 118: "not shown", 236: "not shown", 472: "yes", 943: "yes"}
gain = {name: np.subtract(users[name]["943"]["ndcg"], users[name]["59"]["ndcg"]) for name in NAMES}
for name in list(NAMES)[:-1]:
    assert verdict(f"gain: SASRec - {NAMES[name]}", gain["sasrec"] - gain[name]) == "yes"

# %% [markdown]
# The two claims of the document read like a contradiction. The figures say in which sense each can be
# meant. With up to 236 users nothing shows that SASRec is better than counting pairs: it does not learn
# more than others from little. From 59 to 943 users it gains {{gain['sasrec'].mean():.3f}}, more than all
# others (the Markov chain {{gain['markov'].mean():.3f}}): it needs the data, and pays them back.
#
# ## What it costs (section 8.3)
#
# A block of SASRec reads $T$ items as vectors of width $D$. Its multiplications: four products of $(T, D)$
# with $(D, D)$ for queries, keys, values and output, two more for the feed-forward layer (whose width is
# $D$ too), and two products with the $T \times T$ attention weights:
#
# $$
# m_{\text{block}} = 6\, T D^2 + 2\, T^2 D
# $$
#
# For $T = 3$ and $D = 2$ these are $6 \cdot 12 + 2 \cdot 18 = 108$. Count them one product at a time:


# %%
def count(product):
    """Multiplications of (a, b) times (b, c): each of the a x c results is a sum of b of them."""
    (a, b), (same, c) = product
    assert b == same
    return a * b * c


def block(T, D):
    dense = [((T, D), (D, D))] * 6
    attention = [((T, D), (D, T)), ((T, T), (T, D))]  # scores, then the weighted sum of values
    return sum(count(product) for product in dense + attention)


agree("multiplications of a block", block(3, 2), 6 * 3 * 2**2 + 2 * 3**2 * 2)
print(f"{block(3, 2)} as by hand; {block(200, 64):,} for 200 items of width 64")

# %% [markdown]
# The first part grows with $T$, the second with $T^2$. Of width 64, 400 items cost {{block(400, 64) /
# block(200, 64):.1f}} times as much as 200. On top come the scores of all $I$ items at each step, $T D I$
# multiplications. Backward costs twice as much as forward, since each product $XW$ has two gradients, $dX$
# and $dW$, each as expensive as the product. For the SASRec of the figures, which has 2 blocks, if all
# histories were as long as its window:

# %%
settings = stored("sasrec")["settings"]
T, D, N, I, U = settings["length"], settings["embedding_dim"], settings["num_layers"], 1682, 943
one = 3 * (N * block(T, D) + T * D * I)
epochs = len(stored("sasrec")["seeds"]["0"]["losses"])  # until training ended
print(f"one user, forward and backward: {one / 1e6:.0f} million multiplications")
print(f"{epochs} epochs of {U} users: {one * U * epochs:.1e}")
print(f"EASE, the inverse of a matrix {I} x {I}: about {float(I**3):.0e}")
print(f"MarkovChain: {users['markov']['943']['events']:,} additions, one for each event")

# %% [markdown]
# How large is "large"? The parameters are the table of $I$ items with a row for padding, $T$ positions, in
# each of $N$ blocks six matrices with their biases and two layer norms ($2D$ numbers each), and a last
# norm:
#
# $$
# n = (I + 1)\, D + T D + N\, (6 D^2 + 6 D + 4 D) + 2 D
# $$


# %%
def parameters(I, T, D, N):
    return (I + 1) * D + T * D + N * (6 * D**2 + 6 * D + 4 * D) + 2 * D


tiny = SASRec(8, 1, 2, length=7, epochs=1).fit(train, rng=0, progress=False)  # D = 8, N = 2, T = 7
counted = sum(array.size for array in tiny.params().values())
agree("parameters of SASRec", counted, parameters(train.n_items, 7, 8, 2))
n = parameters(I, T, D, N)
print(f"SASRec of the figures: {n:,}; GPT-3 with its 175 billion: {175e9 / n:,.0f} times as many")


# %% NDCG@10 and seconds of training (two cores), all of MovieLens 100K
def trainings(name, what):  # three of SASRec, one of the others
    return [what(run) for run in stored(name)["seeds"].values()]


cost = {}
for name, label in (NAMES | {"mf": "BPR", "transformer": "the document's model"}).items():
    seconds = np.mean(trainings(name, lambda run: run["seconds_of_training"]))
    cost[label] = seconds, np.mean(trainings(name, lambda run: np.mean(run["per_user"]["ndcg"])))
share = cost["MarkovChain"][1] / cost["SASRec"][1]
slow = [label for label, (seconds, _) in cost.items() if seconds > 60]
assert slow == ["SASRec", "the document's model"]
plots.dots(cost, "seconds of training", "NDCG@10", log="x")

# %% [markdown]
# GPT-3 is what section 1 means by a large model (its size is from Brown et al. 2020), and nothing here says
# what a model of that size would do. What the figure does say: a Transformer of *this* size trains for
# {{cost['SASRec'][0] / 60:.0f}} minutes where the others but the document's model need seconds, and the
# Markov chain reaches {{share:.2f}} of its NDCG@10 in {{cost['MarkovChain'][0]:.2f}} seconds.
#
# ## Verdicts
#
# Five claims of the document, each with a pair of models that follows from what the claim says, not from
# the figures. Five verdicts are five looks, so p values that are corrected for that ([lesson
# 12](12_evaluation.md)) stand below.

# %%
whole = {name: np.mean(trainings(name, lambda run: run["per_user"]["ndcg"]), axis=0) for name in NAMES}
claims = {
    "9.1 sparse, 3 events each: EASE - SASRec": -rich_or_sparse[3],
    "9.1 rich, all events: SASRec - EASE": whole["sasrec"] - whole["ease"],
    "8.1 more accurate: SASRec - MarkovChain": whole["sasrec"] - whole["markov"],
    "2.2 learns from little: same, 59 users": few_or_many[59],
    "8.3 needs much: gains of the same two": gain["sasrec"] - gain["markov"],
}
found = [verdict(claim, d) for claim, d in claims.items()]
p_values = holm([permutation_p_value(d) for d in claims.values()])
print("p values, corrected:", ", ".join(f"{p:.4f}" for p in p_values))
assert found == ["yes", "yes", "yes", "not shown", "yes"]
assert [p < 0.05 for p in p_values] == [what == "yes" for what in found]

# %% [markdown]
# Each "yes" has a corrected p below 0.05. These are verdicts on one data set, and on models that were
# trained once (SASRec on the whole data three times; its figures there are means). [The page on
# claims](claims.md) has all models and more claims, among them long histories.
#
# So, when which? In the order in which to try:
#
# 1. **Popularity**, always: what does not beat it has learned nothing about anybody.
# 2. **MarkovChain and EASE** (or ItemKNN, ImplicitALS): seconds each, at most one or two settings to tune.
#    Which one wins says whether order or taste is in your data. With a few events per user, or a few
#    thousand in all, stay here.
# 3. **A Transformer over the history**, such as SASRec with softmax, where there is order in the data and
#    much of it. On MovieLens it was surely ahead of EASE with {{events['ease']['1000']['events'] /
#    943:.0f}} events per user, and of the Markov chain from {{users['sasrec']['472']['events']:,}} events
#    in all on. It trained for {{cost['SASRec'][0] / 60:.0f}} minutes.
# 4. **Content** where items are new: none of the above can recommend what nobody has taken yet.
#
# ## Exercise
#
# Write `holm(p_values)`, the correction for many looks, and check it:
#
# ```
# python -m minirec verify my_file.py:holm --against holm
# ```
#
# Then compare five models on data of your own, with three trainings of each. The last column of the second
# table that this prints is corrected by `holm`:
#
# ```
# python -m minirec compare --data ratings.csv --models popularity,markov,ease,als,sasrec --seeds 3
# ```
#
# ## In practice
#
# Dacrema, Cremonesi & Jannach (2019) tried to repeat published neural recommenders and found most of them
# behind well-tuned simple methods. Rendle et al. (2020) found a plain matrix factorization ahead of a
# neural one, once both were tuned. Klenitskiy & Vasilev (2023) show that SASRec overtakes BERT4Rec once it
# is trained with the same loss. At the other end, Zhai et al. (2024) train a Transformer-like model on very
# many events of a large platform and report that it goes on to gain with size: the gain of the figures
# above, followed much further than a laptop can.
