# %% [markdown]
# # Measure recommendations, and how sure the figures are
#
# - **You will do:** compute precision, recall and NDCG of one list by hand; count equal scores fairly;
#   catch a split that looks into the future; write the bootstrap and the permutation test.
# - **You will learn:** why a figure means nothing without its protocol, how sampled metrics turn an order
#   round, and when a difference between two models may be believed.
# - **You need:** what users, items and histories are ([lesson 1](01_interactions.md)). No derivatives here.
#
# This is section 9.3 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术).
# It names three metrics, in one line each: 准确率, recall and NDCG. The first word means accuracy; what the
# line describes, recommendations that match what users did, is called *precision*. There is no formula, and
# no word about what is hidden, what is ranked, or how sure a figure is. Those decide more than the choice
# of the metric, as this lesson shows.

# %%
import itertools
import json
import math
from pathlib import Path

import numpy as np

from minirec import data, evaluation, metrics, plots
from minirec.evaluation import significance
from minirec.models import EASE, ItemKNN, MarkovChain, Popularity
from minirec.verify import agree

# %% [markdown]
# ## One list
#
# A shop shows a customer the five best of eight products. Afterwards we learn which three the customer
# took: figs, ham and jam. These are called *relevant*. They had been hidden from the model.

# %%
products = ["tea", "jam", "rye", "ham", "figs", "oats", "nuts", "salt"]
scores = np.array([0.9, 0.2, 0.7, 0.4, 0.8, 0.1, 0.6, 0.3])  # the model's, one per product
relevant = [products.index(name) for name in ("figs", "ham", "jam")]
k = 5

order = np.argsort(-scores)  # best first
for rank, i in enumerate(order, 1):
    shown = "shown" if rank <= k else "     "
    print(f"{rank}  {products[i]:5} {scores[i]:.1f}  {shown}  {'taken' if i in relevant else ''}".rstrip())

# %% [markdown]
# Let $\pi_1, \pi_2, \dots$ be the items in this order and $R$ the set of relevant ones, $|R|$ of them. A
# bracket $[\dots]$ is 1 where it is true and 0 elsewhere. *Precision* asks how much of what was shown was
# taken, *recall* how much of what was taken had been shown:
#
# $$
# P@k = \frac{1}{k} \sum_{p=1}^{k} [\pi_p \in R]
# $$
#
# $$
# R@k = \frac{1}{|R|} \sum_{p=1}^{k} [\pi_p \in R]
# $$
#
# Two of the five were taken, and two of the three had been shown.

# %%
found = 0
for p in range(k):
    if order[p] in relevant:
        found += 1
agree("precision", found / k, 2 / 5)
agree("recall", found / len(relevant), 2 / 3)

# %% [markdown]
# Both are blind to the order within the five. *NDCG* (normalized discounted cumulative gain) is not: an
# item at rank $p$ is worth $1 / \log_2(p + 1)$, that is $1$ at the top, $1/2$ at rank 3, $1/3$ at rank 7.
# The sum is divided by the best sum that any order could have:
#
# $$
# \mathrm{NDCG}@k = \frac{\sum_{p=1}^{k} [\pi_p \in R] / \log_2(p + 1)}{\sum_{p=1}^{\min(|R|,\, k)} 1 /
# \log_2(p + 1)}
# $$
#
# The figs stand at rank 2 and the ham at rank 5. The best order has the three at ranks 1, 2 and 3.

# %%
by_hand = (1 / math.log2(3) + 1 / math.log2(6)) / (1 + 1 / math.log2(3) + 1 / 2)


def ndcg_of_order(order, relevant, k):
    hits = np.isin(order[:k], relevant)
    worth = 1 / np.log2(np.arange(2, k + 2))  # of ranks 1 .. k
    return (hits * worth[: len(hits)]).sum() / worth[: len(relevant)].sum()


agree("ndcg", ndcg_of_order(order, relevant, k), by_hand)
print(f"worth of the two: {1 / math.log2(3):.3f} and {1 / math.log2(6):.3f}, NDCG@5 = {by_hand:.3f}")

# %% [markdown]
# Two relatives: *hit rate* (HR) is 1 where at least one relevant item is shown, *reciprocal rank* (MRR) is
# one over the rank of the first. With a single relevant item, hit rate and recall are the same.

# %% What one found item is worth at each rank, when ten are shown
ranks = np.arange(1, 16)
one = [(metrics.hit_rate, "HR@10"), (metrics.ndcg, "NDCG@10"), (metrics.mrr, "MRR@10")]
worth = {label: (ranks, [metric(-ranks, [r - 1], 10) for r in ranks]) for metric, label in one}
plots.lines(worth, "rank of the only relevant item", "value of the metric")

# %% [markdown]
# One name can mean several things. If the customer took seven items and five are shown, the best list has
# recall 5/7; some programs divide by five instead. And some compare with an ideal of all seven, which no
# list of five can reach:

# %%
seven, best_list = list(range(7)), np.arange(8)
ideal_of_seven = sum(1 / math.log2(p + 1) for p in range(1, 8))
print(f"recall {metrics.recall(-best_list, seven, 5):.3f}, NDCG {metrics.ndcg(-best_list, seven, 5):.3f}")
print(f"with an ideal of seven, NDCG {sum(1 / math.log2(p + 1) for p in range(1, 6)) / ideal_of_seven:.3f}")

# %% [markdown]
# ## Equal scores
#
# Which of several items with the same score stands first? A sort has to decide, and it decides by what has
# nothing to do with the model, such as the number of the item. A model that gives *every* item the score 0
# then looks perfect, if the evaluation happens to put the relevant item in front:

# %%
candidates = np.zeros(101)  # the relevant item, then 100 others
first = np.argsort(-candidates, kind="stable")
print(f"sorted: NDCG@10 = {ndcg_of_order(first, [0], 10):.3f}")
print(f"fair:   NDCG@10 = {metrics.ndcg(candidates, [0], 10):.3f}")

# %% [markdown]
# The fair figure is the mean over all orders of the tied items, each as likely as the next. There are too
# many to try, but the mean needs two counts only. If $b$ candidates score higher than the relevant item,
# and $t$ score the same (itself included), its rank is any of $b + 1, \dots, b + t$ with the same
# probability:
#
# $$
# \mathbb{E} \Bigl[ \frac{[p \le k]}{\log_2(p + 1)} \Bigr] = \frac{1}{t} \sum_{j=1}^{t} \frac{[b + j \le
# k]}{\log_2(b + j + 1)}
# $$
#
# Six candidates, one better than the relevant item, four equal ones, three shown: the mean over ranks 2 to
# 5, of which 2 and 3 are worth something. Compare it with all 24 orders of the four:

# %%
scores = np.array([3.0, 1.0, 1.0, 1.0, 1.0, 0.0])
target, b, t, k = 4, 1, 4, 3
by_counts = sum(1 / math.log2(b + j + 1) for j in range(1, t + 1) if b + j <= k) / t
orders = [[0, *tied, 5] for tied in itertools.permutations([1, 2, 3, 4])]
over_orders = np.mean([ndcg_of_order(np.array(order), [target], k) for order in orders])
agree("ndcg of tied items", by_counts, over_orders)
agree("this is minirec.metrics.ndcg", metrics.ndcg(scores, [target], k), by_counts)

# %% [markdown]
# All of `minirec.metrics` counts in this way: use it from here on.
#
# ## The protocol
#
# A *protocol* says what is hidden and what is ranked. For the synthetic shop (`minirec.data.synthetic`: 600
# users, 300 products, and laws that are known) we hide each user's last event and call it the *test* part.
# The event before it is the *validation* part, for choices such as when to stop. All else is for
# *training*. Then every product that the user has not had is ranked.

# %%
shop = data.synthetic(seed=0)
train, valid, test = data.leave_one_out(shop.interactions)
models = {
    "Popularity": Popularity(),  # what most users have had
    "ItemKNN": ItemKNN(),  # what was had together with the user's products
    "EASE": EASE(),  # the same, with weights found by least squares
    "MarkovChain": MarkovChain(),  # what most often came next after the last product
}
measured = {}
for name, model in models.items():
    model.fit(train, progress=False)
    measured[name] = evaluation.evaluate(model, train, test, also_seen=valid, metrics=("hit_rate", "ndcg"))
print(evaluation.comparison_table(measured))

# %% [markdown]
# The line "Protocol" belongs to every figure. *Coverage* is the share of the catalogue that is recommended
# to anybody; *novelty* says how unusual the recommended items are (the mean of $-\log_2$ of the share of
# users who had them). The brackets are explained below.
#
# Ties are no rare case. A Markov chain that counts pairs and nothing else gives most items the score 0. Let
# luck decide among equals, for and against the model, on the same scores:

# %%
counts_only = MarkovChain(epsilon=0.0).fit(train, progress=False)
histories = data.concatenate(train, valid).histories()
lucky, fair, unlucky = [], [], []
for history, hidden in zip(histories, test.histories(), strict=True):
    row = counts_only.score_histories([history])[0]
    row[history] = -np.inf  # no candidates
    place = metrics.placement(row, hidden)
    first, last = place.better[0] + 1, place.better[0] + place.tied[0]
    lucky.append(1 / np.log2(first + 1) if first <= 10 else 0.0)
    unlucky.append(1 / np.log2(last + 1) if last <= 10 else 0.0)
    fair.append(metrics.ndcg(row, hidden, 10))
print(f"NDCG@10: {np.mean(unlucky):.3f} unlucky, {np.mean(fair):.3f} fair, {np.mean(lucky):.3f} lucky")

# %% [markdown]
# ## What goes wrong: a split that looks into the future
#
# It is easy to hide a random fifth of all events. Then a model learns from what came *after* the events
# that it has to guess. Here is a small world where this matters: 100 news items, each new on some day and
# half forgotten within a week. We stand at day 80 and measure with the events so far, once with a random
# split and once by hiding the last 16 days. The 20 days after that really come, and tell which figure was
# right.


# %%
def news(rng, n_users=400, n_items=100, days=100):
    born = rng.uniform(-10, days, n_items)
    appeal = rng.lognormal(0, 0.7, n_items)
    topic = rng.integers(0, 4, n_items)
    events = []
    for user in range(n_users):
        favorite, fresh = rng.integers(0, 4), np.ones(n_items, dtype=bool)
        times = rng.uniform(0, days) + np.sort(rng.uniform(0, 20, 12))
        for day in times[times < days]:
            age = (day - born).clip(0)
            wish = appeal * np.exp(-age / 8) * np.where(topic == favorite, 5, 1) * fresh * (born <= day)
            item = rng.choice(n_items, p=wish / wish.sum())
            fresh[item] = False  # nobody reads an item twice
            events.append((f"u{user:03}", f"n{item:03}", day))
    users, items, times = zip(*events, strict=True)
    return data.Interactions(users, items, timestamps=times)


log = news(np.random.default_rng(0))
so_far, _, future = data.global_temporal(log, 80.0, 80.0)
past, _, last_days = data.global_temporal(so_far, 64.0, 64.0)
splits = {
    "a random split": data.random_split(so_far, len(last_days) / len(so_far), rng=0),
    "the last days": (past, last_days),
    "the days that came": (so_far, future),
}
figures = {}
for kind in (Popularity, ItemKNN):
    for name, (fitted_on, hidden) in splits.items():
        model = kind().fit(fitted_on, progress=False)
        hidden = data.known_users(fitted_on, hidden)
        result = evaluation.evaluate(model, fitted_on, hidden, metrics=("ndcg",))
        figures[f"{kind.__name__}, {name}"] = (result.mean("ndcg"), *result.interval("ndcg"))

# %% The random split promises what the future does not keep
plots.comparison(figures)

# %% [markdown]
# With the random split Popularity is promised {{figures['Popularity, a random split'][0]:.2f}} and gets
# {{figures['Popularity, the days that came'][0]:.3f}}: tomorrow's favorites are not yet popular. Hiding the
# last days gives nearly what comes. Hiding each user's last event (leave-one-out, as above) stands between:
# a user's own future stays hidden, but other users' later events are learned from. The shop above has no
# fashions, so there it does no harm. Where time matters, cut by time: `minirec.data.global_temporal`, or
# `python -m minirec compare --protocol temporal`.
#
# ## What goes wrong: ranking against a sample
#
# To save time, the hidden item is often ranked against $m$ items that are drawn at random, say 100. If its
# true rank among $I$ candidates is $r$, then $r - 1$ others are better. It is among the best $k$ of the
# sample if fewer than $k$ of those are drawn. With $\binom{n}{j}$ for the number of ways to choose $j$ of
# $n$:
#
# $$
# P(\text{hit}) = \sum_{j=0}^{k-1} \binom{r-1}{j} \binom{I-r}{m-j} \Big/ \binom{I-1}{m}
# $$
#
# By hand: 7 candidates, true rank 4, a sample of 3 from the 6 others. Of its 20 possible samples count
# those with at most one better item.


# %%
def sampled_hit(r, I, m, k):
    draws = math.comb(I - 1, m)
    return sum(math.comb(r - 1, j) * math.comb(I - r, m - j) / draws for j in range(min(k, m + 1)))


samples = list(itertools.combinations([1, 2, 3, 5, 6, 7], 3))  # true ranks of what is drawn
hit = [sum(rank < 4 for rank in sample) < 2 for sample in samples]
agree("hit rate against a sample", sampled_hit(r=4, I=7, m=3, k=2), sum(hit) / 20)
print(f"{sum(hit)} of {len(samples)} samples")

# %% Against 100 sampled items, rank 50 of 1,682 counts almost like rank 1
ranks = np.unique(np.geomspace(1, 1682, 60).astype(int))
curves = {
    "all 1,682 ranked": (ranks, [float(r <= 10) for r in ranks]),
    "against 500": (ranks, [sampled_hit(int(r), 1682, 500, 10) for r in ranks]),
    "against 100": (ranks, [sampled_hit(int(r), 1682, 100, 10) for r in ranks]),
}
plots.lines(curves, "true rank of the hidden item", "probability of a hit at 10", log="x")

# %% [markdown]
# What a sampled figure measures is another question: is the item in the upper tenth? So a model that is
# never right, but never far off, can beat one that is often right. Model A puts everybody's item at rank
# 50. Model B puts it at rank 1 for half of the users, and at rank 500 for the others:

# %%
true_ranks = {"A": [50] * 10, "B": [1] * 5 + [500] * 5}
for name, ranks_of_users in true_ranks.items():
    full = np.mean([r <= 10 for r in ranks_of_users])
    sampled = np.mean([sampled_hit(r, 1682, 100, 10) for r in ranks_of_users])
    print(f"model {name}: HR@10 {full:.3f} among all, {sampled:.3f} against 100 sampled")

# %% [markdown]
# It happens with real data. MovieLens 100K (943 users, 1,682 films) is measured by `python
# tests/make_ml100k.py`, which takes an hour; its figures are stored. The Markov chain beside EASE and
# beside a matrix factorization (BPR, see [lesson 2](02_factorization.md)), ranked among all films, against
# 100 drawn at random, and against 100 drawn by popularity. Behind each pair stands the difference and its
# interval, which the next section explains:


# %%
def stored(name):
    file = Path(__file__).parents[1] / "tests" / "results" / "ml100k" / f"{name}.json"
    run = json.loads(file.read_text(encoding="utf-8"))["seeds"]["0"]
    return {"all films": np.array(run["per_user"]["ndcg"])} | {
        f"100 {how}": np.array(values) for how, values in run["sampled"].items()
    }


found = {}
markov = stored("markov")
for name in ("ease", "mf"):
    print(f"MarkovChain and {name}:")
    for how, values in stored(name).items():
        d = values - markov[how]
        low, high = significance.interval(significance.bootstrap_means(d))
        found[name, how] = low, high
        both = f"{markov[how].mean():.3f} and {values.mean():.3f}"
        print(f"  {how:11}  {both}, difference {d.mean():+.4f} [{low:+.4f}, {high:+.4f}]")
assert found["mf", "all films"][1] < 0 < found["mf", "100 uniform"][0]

# %% [markdown]
# Among all films the Markov chain is ahead of both, against 100 drawn at random it is behind both. For EASE
# the first difference may be chance; for the factorization both intervals leave out 0. [The page on
# claims](claims.md) has the count over all pairs of models: few turn round, and one does not know
# beforehand which. `minirec.evaluation` ranks all items unless it is asked for `negatives`, and then says
# SAMPLED in the protocol.
#
# ## How sure is a mean? The bootstrap
#
# Another 600 users would have given other figures. How different? We have no other users, but we can draw
# from those that we have, *with replacement*: some come twice, some not at all. If $x_u$ is the metric of
# user $u$, and $n_{bu}$ is the user drawn at place $u$ in round $b$, the mean of that round is
#
# $$
# \bar{x}^{*}_b = \frac{1}{U} \sum_{u=1}^{U} x_{n_{bu}}
# $$
#
# Of 2,000 such means, the range that holds the middle 95 % is the interval (Efron 1979). In loops:


# %%
def bootstrap_loops(x, rng, rounds):
    means = []
    for draw in rng.integers(0, len(x), (rounds, len(x))):
        total = 0.0
        for u in draw:
            total += x[u]
        means.append(total / len(x))
    return np.array(means)


x = np.array([0, 0, 1, 0, 0.5, 0, 1])
agree(
    "bootstrap_means",
    bootstrap_loops(x, np.random.default_rng(0), 2000),
    significance.bootstrap_means(x, rng=0, resamples=2000),
)
values = measured["EASE"].per_user("ndcg")
means = bootstrap_loops(values, np.random.default_rng(0), 2000)
agree("the interval", np.quantile(means, [0.025, 0.975]), measured["EASE"].interval("ndcg"))

# %% [markdown]
# Does such an interval hold what it says? Let the 600 users be the whole world, so that the truth is known.
# Draw 200 of them, compute the interval, and ask whether the true mean is inside; 400 times over:

# %%
rng = np.random.default_rng(1)
inside = 0
for _ in range(400):
    sample = rng.choice(values, 200)
    low, high = significance.interval(significance.bootstrap_means(sample, rng, resamples=500))
    inside += low <= values.mean() <= high
print(f"the true mean is inside {inside} of 400 intervals, {100 * inside / 400:.0f} %")

# %% [markdown]
# The interval narrows with the square root of the number of users: four times as many halve it. It says how
# much other *users* would change. It does not say what another seed of the training would change, nor
# another month.
#
# ## Is the difference real?
#
# The intervals of ItemKNN and EASE in the table overlap. Does that mean that neither is better? No: both
# models were asked about the same users, and whoever is hard for one is hard for the other. So look at the
# difference of each user, $d_u$, and at the interval of its mean:

# %%
d = measured["EASE"].per_user("ndcg") - measured["ItemKNN"].per_user("ndcg")
difference, low, high = evaluation.paired_difference(measured["EASE"], measured["ItemKNN"], "ndcg")
agree("the difference of means", d.mean(), difference)
print(f"EASE - ItemKNN: {difference:+.4f} [{low:+.4f}, {high:+.4f}]")
pair = [measured[name].per_user("ndcg") for name in ("EASE", "ItemKNN")]
print(f"{(d == 0).sum()} of 600 users do not differ; correlation {np.corrcoef(pair)[0, 1]:.2f}")

# %% [markdown]
# The interval leaves out 0. (A correlation of 1 would mean that the two figures of a user always go up and
# down together; the nearer to 1, the more the paired interval gains over the two separate ones.) A second
# way to ask: *suppose* the two were equally good. Then each user's difference could as well have had the
# other sign, as if a coin had decided which model is called EASE. The *p value* is the share of all
# patterns of signs whose sum is as far from 0 as the one we saw:
#
# $$
# p = \frac{1}{2^U} \sum_{s \in \{-1, 1\}^U} \Bigl[ \bigl| \textstyle\sum_u s_u d_u \bigr| \ge \bigl|
# \textstyle\sum_u d_u \bigr| \Bigr]
# $$
#
# For five users who differ by 4, 3, 3, 2 and -1 tenths the sum is 11 tenths. Go through all 32 patterns:

# %%
tenths = np.array([4, 3, 3, 2, -1])
sums = [
    sum(s * v for s, v in zip(signs, tenths, strict=True)) for signs in itertools.product([1, -1], repeat=5)
]
as_far = sum(abs(total) >= 11 for total in sums)
agree("permutation_p_value", as_far / 2**5, significance.permutation_p_value(tenths / 10))
print(f"{as_far} of {len(sums)} patterns: p = {as_far / 32}")

# %% [markdown]
# The four largest sums are 13 and 11, and their opposites. With five users one cannot become sure. With 600
# there are too many patterns to try, so 10,000 are drawn, and $p = (1 + n) / 10001$ where $n$ of them are
# as far out.

# %% If the two were equally good: the mean difference under 10,000 patterns of coin signs, and what was seen
signs = np.random.default_rng(0).choice([-1.0, 1.0], (10_000, len(d)))
chance = signs @ d / len(d)
count, edges = np.histogram(chance, bins=40)
seen = [d.mean(), d.mean()]
plots.lines(
    {"equally good": ((edges[1:] + edges[:-1]) / 2, count), "what was seen": (seen, [0, count.max()])},
    "mean difference of NDCG@10",
    "patterns",
)

# %%
p = evaluation.paired_p_value(measured["EASE"], measured["ItemKNN"], "ndcg")
print(f"p = {p:.4f}")
assert p < 0.01

# %% [markdown]
# ## What goes wrong: many looks
#
# A p value below 0.05 comes once in twenty looks where there is nothing to see. Whoever tries 20 variants
# and reports the best finds "significance" in {{100 * (1 - 0.95**20):.0f}} of 100 cases. Here are 20
# variants that differ from ItemKNN by coin signs only:

# %%
rng = np.random.default_rng(3)
p_values = [
    significance.permutation_p_value(d * rng.choice([-1, 1], len(d)), rng, flips=2000) for _ in range(20)
]
print(f"smallest p of 20: {min(p_values):.3f}, below 0.05: {sum(p <= 0.05 for p in p_values)}")
print(f"corrected for 20 looks (Holm): {evaluation.holm(p_values).min():.2f}")

# %% [markdown]
# Holm's correction multiplies the smallest p by the number of looks, the next by one less, and so on; the
# last column of `minirec.evaluation.differences` is that. The same trap waits without any p value: choose
# on the validation part, and look at the test part once.
#
# ## Exercise
#
# Write `ndcg(scores, relevant, k)` in a file of your own, with the exact expectation over equal scores. A
# score of `-inf` means that an item is no candidate. Then compare it with the definition, which tries all
# orders:
#
# ```
# python -m minirec verify my_file.py:ndcg --against ndcg
# ```
#
# A version that sorts is right where no scores are equal; the command names the places where it differs. Do
# the same for `permutation_p_value(differences)`.
#
# ## In practice
#
# Read the definition before you compare with a paper. RecBole, ranx and the current trec_eval cut the ideal
# of NDCG at $\min(|R|, k)$ as we do, others do not; most libraries divide recall by $|R|$, some by
# $\min(|R|, k)$. Ties are counted exactly by few (McSherry & Najork 2008 give the formulas). Krichene &
# Rendle (2020) show that sampled metrics can turn orders round, Ji et al. (2023) that leakage from the
# future makes the order of models unpredictable, and Dacrema et al. (2019) that well-tuned simple methods
# beat many published neural ones, which is why a baseline belongs in every table. The paired permutation
# test is Fisher's (1935).
