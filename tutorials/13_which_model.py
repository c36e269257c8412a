# %% [markdown]
# # Choose a model: what the data hold, how much of it, and what it costs
#
# - **You will do:** train five models on shops that differ in one thing at a time; count the
#   multiplications of a Transformer; read stored measurements of MovieLens 100K and give verdicts on five
#   claims.
# - **You will learn:** why "sparse or dense" is only half of the question, where a Transformer begins to
#   pay, and how to tell a better model from a better comparison.
# - **You need:** [how recommendations are measured](12_evaluation.md) and what [SASRec](10_sequences.md)
#   is.
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
from minirec.evaluation import significance
from minirec.models import EASE, ImplicitALS, MarkovChain, Popularity, SASRec
from minirec.verify import agree

# %% [markdown]
# ## Five models, and what each can see
#
# *Collaborative filtering* recommends what similar users took; EASE and ImplicitALS are two forms of it.
# Both see a history as a set. The Markov chain sees its last item only. SASRec, a Transformer, sees the
# items and their order. Popularity sees nobody.


# %%
def five(epochs):
    return {
        "Popularity": Popularity(),
        "MarkovChain": MarkovChain(),
        "EASE": EASE(reg=50.0),
        "ImplicitALS": ImplicitALS(16, epochs=8),
        "SASRec": SASRec(
            24, 1, 1,             length=16, lr=5e-3, batch_size=32, dropout=0.2, residual="original",
            epochs=epochs, patience=max(12, epochs // 3),
        ),
    }  # fmt: skip


def measured(model, train, valid, test, everybody):
    """The mean NDCG@10 and its interval; `train` may hold a part of the users, `everybody` has all."""
    model.fit(train, valid=valid, rng=0, progress=False)
    result = evaluation.evaluate(model, everybody[0], test, also_seen=everybody[1], metrics=("ndcg",))
    return result.mean("ndcg"), *result.interval("ndcg")


# %% [markdown]
# ## What is in the data?
#
# Three synthetic shops of the same size: 300 users, 100 products, 20 events per user on average, so the
# same density of 20 %. They differ in one law: how often the next product is one that *goes with* the last
# ones, as a lamp goes with a bulb. Never, one time in four, or one time in two. Otherwise taste decides.

# %%
shares = [0.0, 0.25, 0.5]
by_order = {name: [] for name in five(1)}
for share in shares:
    shop = data.synthetic(300, 100, 6000, seed=1, sequence_strength=share)
    train, valid, test = data.leave_one_out(shop.interactions)
    for name, model in five(epochs=40).items():
        by_order[name].append(measured(model, train, valid, test, (train, valid)))
    print(f"{share:.2f}:", ", ".join(f"{name} {means[-1][0]:.3f}" for name, means in by_order.items()))

# %% The same number of events, and the order of the models turns round: it depends on how much order there is
points = {name: np.array(means) for name, means in by_order.items()}
plots.lines(
    {name: (shares, means[:, 0]) for name, means in points.items()},
    "share of events that follow from the last ones",
    "NDCG@10",
    bands={name: (means[:, 1], means[:, 2]) for name, means in points.items()},
)

# %% [markdown]
# Without order, both forms of collaborative filtering are best, and SASRec is no better than popularity:
# 6,000 events do not teach it that order means nothing. With order, counting pairs beats everything, and
# SASRec comes close to it. The density was the same all the time. So ask first: does the next event depend
# on the last one? A Markov chain answers that in a second. Put it beside EASE, on your own data ([lesson
# 15](15_own_ratings.md)).
#
# ## How much data?
#
# Now one shop with 800 users, order one time in four, and models that learn from 50, 200 or all of them.
# They are measured on everybody: none of the five knows users by name, so each can be asked about somebody
# whose history it is shown for the first time. SASRec may take as many steps for few users as for many, so
# that only the data differ.

# %%
shop = data.synthetic(800, 100, 16_000, seed=1)
train, valid, test = data.leave_one_out(shop.interactions)
order = np.random.default_rng(0).permutation(train.n_users)
by_users = {name: [] for name in five(1)}
for n in (50, 200, 800):
    part, stop = (x.select(np.isin(x.users, order[:n])) for x in (train, valid))
    for name, model in five(epochs=12 * 800 // n).items():
        by_users[name].append((n, measured(model, part, stop, test, (train, valid))))
slope = {name: rows[-1][1][0] - rows[0][1][0] for name, rows in by_users.items()}

# %% More users help everybody, and SASRec most
plots.by_size(by_users, "users learned from", "NDCG@10")

# %% [markdown]
# Counting pairs is ahead at every size. This shop is easy on it: the law of order looks at two items, and
# 100 products have few pairs to count. Real histories hold more than that, as the next sections show. What
# carries over is the *slope*: SASRec gains {{slope['SASRec']:.2f}} from 50 to 800 users, the Markov chain
# {{slope['MarkovChain']:.2f}}, EASE {{slope['EASE']:.2f}}.
#
# ## What goes wrong: an unequal comparison
#
# Train SASRec on the 50 users for 12 epochs, as if they were 800. An epoch is one pass over the data; with
# 50 users in batches of 32 that makes 24 steps in all, where 800 users make 300:

# %%
part, stop = (x.select(np.isin(x.users, order[:50])) for x in (train, valid))
short = measured(five(epochs=12)["SASRec"], part, stop, test, (train, valid))[0]
print(
    f"SASRec from 50 users: NDCG@10 {short:.3f} in 12 epochs, {by_users['SASRec'][0][1][0]:.3f} in up to 192"
)

# %% [markdown]
# Whoever wants to show that a Transformer fails on little data can do it in this way, and by mistake. The
# reverse is as easy, with a baseline that nobody tuned.
#
# ## MovieLens: sparse and rich data (section 9.1)
#
# For real ratings we read stored measurements: 943 users, 1,682 films, the last film of each user hidden,
# all films ranked. `python tests/make_experiments.py events` cuts everybody's history to the newest 3, 5,
# 10, ... events, for learning and for asking, and trains seven models at each size; it takes a quarter of
# an hour.


# %%
RESULTS = Path(__file__).parents[1] / "tests" / "results" / "ml100k"
NAMES = {
    "popularity": "Popularity",
    "markov": "MarkovChain",
    "ease": "EASE",
    "als": "ImplicitALS",
    "sasrec": "SASRec",
}


def stored(file):
    return json.loads((RESULTS / f"{file}.json").read_text(encoding="utf-8"))


def mean(values):
    return float(np.mean(values)), *significance.interval(significance.bootstrap_means(np.array(values)))


def curves(experiment, per=1):
    """{model: [(events learned from, over `per`, its NDCG@10 with interval), ...]}"""
    found = stored(experiment)["models"]
    return {
        label: [(row["events"] / per, mean(row["ndcg"])) for row in found[name].values()]
        for name, label in NAMES.items()
    }


# %% MovieLens 100K cut to the newest events of each user: the lines cross
plots.by_size(curves("experiment-events", per=943), "events learned from, per user", "NDCG@10")

# %% [markdown]
# SASRec against EASE, user by user, with intervals:


# %%
def against(experiment, a, b):
    """{size: (mean difference of NDCG@10, low, high)}"""
    found = stored(experiment)["models"]
    return {n: mean(np.subtract(found[a][n]["ndcg"], found[b][n]["ndcg"])) for n in found[a]}


def verdict(difference, low, high):
    return "yes" if low > 0 else "no, the opposite" if high < 0 else "not shown"


rich_or_sparse = against("experiment-events", "sasrec", "ease")
for n, (difference, low, high) in rich_or_sparse.items():
    print(f"newest {n:>4}: SASRec - EASE {difference:+.4f} [{low:+.4f}, {high:+.4f}]")
assert rich_or_sparse["5"][2] < 0 < rich_or_sparse["1000"][1]
assert rich_or_sparse["10"][2] > 0 > rich_or_sparse["50"][1]

events = stored("experiment-events")["models"]
for name in ("ease", "item-knn"):
    older = np.subtract(events[name]["1000"]["ndcg"], events[name]["10"]["ndcg"])
    print(f"{name}: all events instead of ten {'{:+.4f} [{:+.4f}, {:+.4f}]'.format(*mean(older))}")

# %% [markdown]
# The document's advice holds here, and now it has numbers: with 3 and 5 events per user EASE is ahead, with
# all of them SASRec is, and from 10 to 50 the difference may be chance. The advice leaves out something
# else. Nothing shows that EASE and ItemKNN gain from events older than the newest ten. A likely reason: old
# events tell less about tomorrow, and a set of items does not know which ones are old.
#
# ## MovieLens: few and many users (section 2.2 against section 8.3)
#
# `python tests/make_experiments.py users` learns from 59 to all 943 users, and measures on all of them,
# with their whole histories.

# %% MovieLens 100K: what the same models make of more users
plots.by_size(curves("experiment-users"), "events learned from", "NDCG@10")

# %%
few_or_many = against("experiment-users", "sasrec", "markov")
for n, (difference, low, high) in few_or_many.items():
    print(f"{n:>3} users: SASRec - MarkovChain {difference:+.4f} [{low:+.4f}, {high:+.4f}]")
users = stored("experiment-users")["models"]
smallest, largest = min(users["sasrec"], key=int), max(users["sasrec"], key=int)
gain = {name: np.subtract(users[name][largest]["ndcg"], users[name][smallest]["ndcg"]) for name in NAMES}
print("gain from more users:", ", ".join(f"{NAMES[n]} {g.mean():.3f}" for n, g in gain.items()))

# %% [markdown]
# The two claims of the document read like a contradiction. The figures say in which sense each can be
# meant. With up to 236 users nothing shows that SASRec is better than counting pairs: it does not learn
# more than others from little. It gains most from more: it needs the data, and pays them back.
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
print(block(3, 2), "by hand;", f"{block(200, 64):,} for 200 items of width 64")

# %% [markdown]
# The first part grows with $T$, the second with $T^2$: twice as long a history costs up to four times as
# much. On top come the scores of all $I$ items at each step, $T D I$. Backward costs twice as much as
# forward, since each product $XW$ has two gradients, $dX$ and $dW$, of the same size. For the SASRec of the
# figures, with 2 blocks:

# %%
settings = stored("sasrec")["settings"]
run = stored("sasrec")["seeds"]["0"]
T, D, L, I, U = settings["length"], settings["embedding_dim"], settings["num_layers"], 1682, 943
one = 3 * (L * block(T, D) + T * D * I)
epochs = len(run["losses"])
print(f"one user, forward and backward: {one / 1e6:.0f} million")
print(f"{epochs} epochs of {U} users: {one * U * epochs:.1e} multiplications")
print(f"EASE, the inverse of a matrix {I} x {I}: about {float(I**3):.0e}")
print(f"MarkovChain: {users['markov']['943']['events']:,} additions, one for each event")

# %% [markdown]
# How large is "large"? The parameters are the table of items, the positions, and per block six matrices
# with their biases and two norms:
#
# $$
# n = (I + 1)\, D + T D + L\, (6 D^2 + 10 D) + 2 D
# $$

# %%
tiny = SASRec(8, 1, 2, length=7, epochs=1).fit(train, rng=0, progress=False)
formula = (train.n_items + 1) * 8 + 7 * 8 + 2 * (6 * 8**2 + 10 * 8) + 2 * 8
agree("parameters of SASRec", sum(array.size for array in tiny.params().values()), formula)
n_sasrec = (I + 1) * D + T * D + L * (6 * D**2 + 10 * D) + 2 * D
print(
    f"SASRec of the figures: {n_sasrec:,}; GPT-3, 175 thousand million: {175e9 / n_sasrec:,.0f} times as many"
)

# %% NDCG@10 and seconds of training (two cores), all of MovieLens 100K
cost = {}
for name, label in (NAMES | {"mf": "BPR", "transformer": "the document's model"}).items():
    seed = stored(name)["seeds"]["0"]
    cost[label] = seed["seconds_of_training"], np.mean(seed["per_user"]["ndcg"])
seconds, share = cost["MarkovChain"][0], cost["MarkovChain"][1] / cost["SASRec"][1]
plots.dots(cost, "seconds of training", "NDCG@10", log="x")

# %% [markdown]
# GPT-3 is what section 1 means by a large model (its size is from Brown et al. 2020), and nothing here says
# what a model of that size would do. What the figure does say: a Transformer of *this* size costs minutes
# where its rivals cost seconds, and the Markov chain reaches {{share:.2f}} of its NDCG@10 in
# {{seconds:.2f}} seconds.
#
# ## Verdicts
#
# "Yes" where the whole interval of the difference is above zero, "no, the opposite" where it is below, else
# "not shown". None is corrected for being one of five.

# %%
whole = {name: np.array(stored(name)["seeds"]["0"]["per_user"]["ndcg"]) for name in ("sasrec", "markov")}
sparse, rich = min(rich_or_sparse, key=int), max(rich_or_sparse, key=int)
less, low, high = rich_or_sparse[sparse]
claims = {
    f"sparse data, {sparse} events: EASE - SASRec (9.1)": (-less, -high, -low),
    "rich data, all events: SASRec - EASE (9.1)": rich_or_sparse[rich],
    "more accurate: SASRec - MarkovChain (8.1)": mean(whole["sasrec"] - whole["markov"]),
    f"learns from little: the same, {smallest} users (2.2)": few_or_many[smallest],
    "needs much: gains of the two from more users (8.3)": mean(gain["sasrec"] - gain["markov"]),
}
for claim, (difference, low, high) in claims.items():
    interval = f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]"
    print(f"{claim:50} {interval}  {verdict(difference, low, high)}")

# %% [markdown]
# These are verdicts on one data set. Which pair is compared follows from the claim, not from the figures.
# [The page on claims](claims.md) has all models and more claims, among them long histories.
#
# So, when which? In the order in which to try:
#
# 1. **Popularity**, always: what does not beat it has learned nothing about anybody.
# 2. **MarkovChain and EASE** (or ItemKNN, ImplicitALS): seconds each, at most one or two settings to tune.
#    Which one wins says whether order or taste is in your data. With a few events per user, or a few
#    thousand in all, stay here.
# 3. **A Transformer over the history**, such as SASRec with softmax: where there is order in the data, with
#    tens of events per user and tens of thousands in all (above it was surely ahead of the Markov chain
#    from {{users['sasrec']['472']['events']:,}} on), and minutes to hours to train.
# 4. **Content** where items are new: none of the above can recommend what nobody has taken yet.
#
# ## Exercise
#
# Five verdicts are five looks. Write `holm(p_values)`, the correction for many looks of [lesson
# 12](12_evaluation.md), and check it:
#
# ```
# python -m minirec verify my_file.py:holm --against holm
# ```
#
# Then compare five models on data of your own, with three trainings of each. The last column of its second
# table is what you wrote:
#
# ```
# python -m minirec compare --data ratings.csv --models popularity,markov,ease,als,sasrec --seeds 3
# ```
#
# ## In practice
#
# Dacrema, Cremonesi & Jannach (2019) tried to repeat published neural recommenders and found most of them
# behind well-tuned neighbors. Rendle et al. (2020) found a plain matrix factorization ahead of a neural
# one, once both were tuned. Klenitskiy & Vasilev (2023) show that SASRec gains more from a better loss than
# from a newer architecture. At the other end, Zhai et al. (2024) train a Transformer-like model on very
# many events of a large platform and report that it goes on to gain with size: the slope of the figures
# above, followed much further than a laptop can.
