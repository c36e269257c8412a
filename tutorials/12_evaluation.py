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
from minirec.evaluation import bootstrap_means, holm, interval, paired_difference, permutation_p_value
from minirec.models import EASE, ItemKNN, MarkovChain, Popularity
from minirec.verify import agree

# %% [markdown]
# ## One list
#
# A shop shows a customer $k = 5$ of eight products, those to which a model gives the highest scores.
# Afterwards we learn which three the customer took: figs, ham and jam. These are called *relevant*. The
# place of a product in the list, the best first, is its *rank*.

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
# Let $\pi_1, \pi_2, \dots$ be the items in this order, $R$ the set of relevant ones and $|R|$ their number.
# A bracket $[\dots]$ is 1 where it is true and 0 elsewhere. *Precision* asks how much of what was shown was
# taken, *recall* how much of what was taken had been shown:
#
# $$
# \mathrm{Precision}@k = \frac{1}{k} \sum_{r=1}^{k} [\pi_r \in R]
# $$
#
# $$
# \mathrm{Recall}@k = \frac{1}{|R|} \sum_{r=1}^{k} [\pi_r \in R]
# $$
#
# Two of the five were taken, and two of the three had been shown.

# %%
found = 0
for i in order[:k]:
    if i in relevant:
        found += 1
agree("precision", found / k, 2 / 5)
agree("recall", found / len(relevant), 2 / 3)

# %% [markdown]
# Both are blind to the order within the five. *NDCG* (normalized discounted cumulative gain) is not: a
# relevant item at rank $r$ is worth $1 / \log_2(r + 1)$. That is $1$ at the top, $1/2$ at rank 3 (since
# $2^2 = 4$), $1/3$ at rank 7 (since $2^3 = 8$). The sum of the worths is divided by the best sum that any
# order could have:
#
# $$
# \mathrm{NDCG}@k = \frac{\sum_{r=1}^{k} [\pi_r \in R] / \log_2(r + 1)}{\sum_{r=1}^{\min(|R|,\, k)} 1 / \log_2(r + 1)}
# $$
#
# The figs stand at rank 2 and the ham at rank 5. The best order has the three at ranks 1, 2 and 3.

# %%
by_hand = (1 / math.log2(3) + 1 / math.log2(6)) / (1 + 1 / math.log2(3) + 1 / 2)


def ndcg_of_order(order, relevant, k):
    hits = np.isin(order[:k], relevant)
    worth = 1 / np.log2(np.arange(2, k + 2))  # of ranks 1 .. k
    return (hits * worth[: len(hits)]).sum() / worth[: len(relevant)].sum()  # min(|R|, k) ranks


agree("ndcg", ndcg_of_order(order, relevant, k), by_hand)
print(f"worth of the two: {1 / math.log2(3):.3f} and {1 / math.log2(6):.3f}, NDCG@5 = {by_hand:.3f}")

# %% [markdown]
# Two relatives: *hit rate* (HR) is 1 where at least one relevant item is shown, else 0. *Reciprocal rank*
# is one over the rank of the first one shown; its mean over users is called MRR. With a single relevant
# item, hit rate and recall are the same. `minirec.metrics` has all of them: the functions take a score per
# item, the relevant items and $k$.

# %% What one found item is worth at each rank, when ten are shown
ranks = np.arange(1, 16)
one = [(metrics.hit_rate, "HR@10"), (metrics.ndcg, "NDCG@10"), (metrics.mrr, "MRR@10")]
worth = {label: (ranks, [metric(-ranks, [r - 1], 10) for r in ranks]) for metric, label in one}  # rank r
plots.lines(worth, "rank of the only relevant item", "value of the metric")

# %% [markdown]
# ## Equal scores
#
# Which of several items with the same score stands first? A sort has to decide, and it decides by what has
# nothing to do with the model, such as the number of the item. A model that gives *every* item the score 0
# then looks perfect, if the evaluation happens to put the relevant item in front:

# %%
candidates = np.zeros(101)  # the relevant item, then 100 others
first = np.argsort(-candidates, kind="stable")  # equal ones in the order of their numbers
print(f"sorted: NDCG@10 = {ndcg_of_order(first, [0], 10):.3f}")
print(f"fair:   NDCG@10 = {metrics.ndcg(candidates, [0], 10):.3f}")

# %% [markdown]
# The fair figure is the mean over all orders of the items that *tie*, which have the same score. There are
# too many to try, but two counts are enough. If $b$ items score higher than the relevant one, and $t$ score
# the same (itself included), its rank is $b + 1, \dots, b + t$ equally often, so on average it is worth
#
# $$
# \overline{\mathrm{worth}} = \frac{1}{t} \sum_{j=1}^{t} \frac{[b + j \le k]}{\log_2(b + j + 1)}
# $$
#
# Six items, three shown: one is better than the relevant item, four score the same, itself among them. The
# mean is over ranks 2 to 5, of which 2 and 3 are worth something. Compare it with all 24 orders of the
# four:

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
# A *protocol* says what is hidden and what is ranked. Take the synthetic shop (`minirec.data.synthetic`:
# 600 users, 300 products, and laws that are known). We hide each user's last event and call these the
# *test* part. The event before it is the *validation* part, for choices such as when to stop training. All
# else is for *training*. Then every product that the user has not had yet is ranked; these are the
# *candidates*. The figure of a model is the mean over the users.

# %%
shop = data.synthetic(seed=0)
train, valid, test = data.leave_one_out(shop.interactions)
models = {
    "Popularity": Popularity(),  # what most users have had
    "ItemKNN": ItemKNN(),  # what was had together with the user's products
    "EASE": EASE(),  # the same, with weights that are fitted to the histories
    "MarkovChain": MarkovChain(),  # what most often came next after the last product
}
measured = {}
for name, model in models.items():
    model.fit(train, progress=False)
    measured[name] = evaluation.evaluate(model, train, test, also_seen=valid, metrics=("hit_rate", "ndcg"))
print(evaluation.comparison_table(measured))

# %% [markdown]
# The line "Protocol" belongs to every figure. *Coverage* is the share of the products that are recommended
# to anybody. *Novelty* says how unusual the recommendations are: an item that one user in four has counts
# 2, one in eight 3 ($-\log_2$ of the share), and the mean is taken. The brackets are explained below.
#
# ## What goes wrong: a split that looks into the future
#
# It is easy to hide a random fifth of all events. Then a model learns from what came *after* the events
# that it has to guess. Here is a small world where this matters: 100 news items, each new on some day and
# half forgotten within a week. We stand at day 80 and measure with the events so far, once with a random
# split and once by hiding the last 16 days. Then the 20 days after that come, and tell which figure was
# right.


# %%
def news(rng, n_users=400, n_items=100, days=100):
    born = rng.uniform(-10, days, n_items)  # the day on which each item is new
    appeal = rng.lognormal(0, 0.7, n_items)  # positive random numbers
    topic = rng.integers(0, 4, n_items)
    events = []
    for user in range(n_users):
        favorite, fresh = rng.integers(0, 4), np.ones(n_items, dtype=bool)
        times = rng.uniform(0, days) + np.sort(rng.uniform(0, 20, 12))  # 12 visits in 20 days
        for day in times[times < days]:
            age = (day - born).clip(0)
            # old news fade; a favorite topic counts five times; nothing twice, nothing before it exists
            wish = appeal * np.exp(-age / 8) * np.where(topic == favorite, 5, 1) * fresh * (born <= day)
            item = rng.choice(n_items, p=wish / wish.sum())
            fresh[item] = False
            events.append((f"u{user:03}", f"n{item:03}", day))
    users, items, times = zip(*events, strict=True)
    return data.Interactions(users, items, timestamps=times)


log = news(np.random.default_rng(0))
so_far, _, future = data.global_temporal(log, 80.0, 80.0)  # cut at day 80, nothing in between
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
        hidden = data.known_users(fitted_on, hidden)  # nothing is known about newcomers
        result = evaluation.evaluate(model, fitted_on, hidden, metrics=("ndcg",))
        figures[f"{kind.__name__}, {name}"] = (result.mean("ndcg"), *result.interval("ndcg"))
    promised, last, came = (figures[f"{kind.__name__}, {name}"][0] for name in splits)
    assert abs(last - came) < 0.2 * (promised - came)

# %% The random split promises what the future does not keep
plots.comparison(figures)

# %% [markdown]
# With the random split Popularity is promised {{figures['Popularity, a random split'][0]:.2f}} and gets
# {{figures['Popularity, the days that came'][0]:.2f}}: tomorrow's favorites are not popular yet. Hiding the
# last days says {{figures['Popularity, the last days'][0]:.2f}}, which is far nearer, and so it is for
# ItemKNN. Hiding each user's last event, as above, lies in between: a user's own future stays hidden, but
# other users' later events are learned from. The shop above has no fashions, so there it does no harm.
# Where time matters, cut by time: `minirec.data.global_temporal`, or `python -m minirec compare --protocol
# temporal`.
#
# ## What goes wrong: ranking against a sample
#
# To save time, the hidden item is often ranked against $m$ items that are drawn at random, say 100. Let its
# true rank among $I$ candidates be $r$: of the others, $r - 1$ are better and $I - r$ are worse. It is
# among the best $k$ of the sample if fewer than $k$ better ones are drawn. Let $\binom{n}{j}$ be the number
# of ways to choose $j$ of $n$ things; to draw $j$ of the better ones and $m - j$ of the worse ones there
# are $\binom{r-1}{j} \binom{I-r}{m-j}$ ways. So the share of all samples in which the item is a hit is
#
# $$
# P(\text{hit}) = \sum_{j=0}^{k-1} \binom{r-1}{j} \binom{I-r}{m-j} \Big/ \binom{I-1}{m}
# $$
#
# By hand: 7 candidates, true rank 4, a sample of 3 from the 6 others, $k = 2$. Of the 20 possible samples
# count those with at most one better item.


# %%
def sampled_hit(r, I, m, k):
    draws = math.comb(I - 1, m)
    ways = [math.comb(r - 1, j) * math.comb(I - r, m - j) for j in range(min(k, m + 1))]
    return sum(ways) / draws


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
# To be among the best 10 of 101 is another question: does the item belong to the upper tenth? So a model
# that is never right, but never far off, can beat one that is often right. Model A puts everybody's item at
# rank 50. Model B puts it at rank 1 for half of the users, and at rank 500 for the others:

# %%
true_ranks = {"A": [50] * 10, "B": [1] * 5 + [500] * 5}
for name, ranks_of_users in true_ranks.items():
    full = np.mean([r <= 10 for r in ranks_of_users])
    sampled = np.mean([sampled_hit(r, 1682, 100, 10) for r in ranks_of_users])
    print(f"model {name}: HR@10 {full:.3f} among all, {sampled:.3f} against 100 sampled")

# %% [markdown]
# It happens with real data. MovieLens 100K (943 users, 1,682 films) is measured by `python
# tests/make_ml100k.py`, which takes more than an hour; its figures are stored. The Markov chain stands
# beside EASE and beside a matrix factorization ([lesson 2](02_factorization.md)) that is trained with BPR
# ([lesson 9](09_training.md)); ranked among all films, against 100 drawn at random, and against 100 drawn
# by popularity. Behind each pair stands the difference and an interval, which the next section explains:


# %%
def stored(name):
    file = Path(__file__).parents[1] / "tests" / "results" / "ml100k" / f"{name}.json"
    run = json.loads(file.read_text(encoding="utf-8"))["seeds"]["0"]
    return {"all films": np.array(run["per_user"]["ndcg"])} | {
        f"100 {how}": np.array(values) for how, values in run["sampled"].items()
    }


found = {}
markov = stored("markov")
for name, label in {"ease": "EASE", "mf": "BPR"}.items():
    print(f"MarkovChain and {label}:")
    for how, values in stored(name).items():
        d = values - markov[how]
        low, high = interval(bootstrap_means(d))
        found[name, how] = low, high
        both = f"{markov[how].mean():.3f} and {values.mean():.3f}"
        print(f"  {how:11}  {both}, difference {d.mean():+.4f} [{low:+.4f}, {high:+.4f}]")
assert found["mf", "all films"][1] < 0 < found["mf", "100 uniform"][0]
assert found["ease", "all films"][0] < 0 < found["ease", "all films"][1]
assert found["ease", "100 uniform"][0] > 0

# %% [markdown]
# Among all films the Markov chain is ahead of both, against 100 drawn at random it is behind both. For EASE
# the first difference may be chance; for the factorization both intervals leave out 0. [The page on
# claims](claims.md) counts, over all pairs of models, how many change their order: few do, and one does not
# know beforehand which. `minirec.evaluation` ranks all items unless it is asked for `negatives`, and then
# says SAMPLED in the protocol.
#
# ## How sure is a mean? The bootstrap
#
# Another 600 users would have given other figures. How different? We have no other users, but we can draw
# from those that we have, *with replacement*: some come twice, some not at all. Let $x_u$ be the metric of
# user $u$. A round draws $U$ users $n_1, \dots, n_U$, and their mean is
#
# $$
# \bar{x}^{*} = \frac{1}{U} \sum_{j=1}^{U} x_{n_j}
# $$
#
# Make 2,000 rounds, sort their means, and leave out the lowest and the highest 2.5 %: the range of the rest
# is the 95 % interval (Efron 1979). With loops:


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
agree("bootstrap_means", bootstrap_loops(x, np.random.default_rng(0), 2000), bootstrap_means(x, rng=0))
values = measured["EASE"].per_user("ndcg")
means = bootstrap_loops(values, np.random.default_rng(0), 2000)
ends = np.quantile(means, [0.025, 0.975])  # 2.5 % of the means lie below the first, above the second
agree("the interval", ends, measured["EASE"].interval("ndcg"))

# %% [markdown]
# What is promised: of 100 such intervals, about 95 hold the true mean. Is it kept? Let the 600 users be the
# whole world, so that the truth is known. Draw 200 of them, compute the interval, and ask whether the true
# mean is inside; 400 times over. And how wide is the interval for more users and for fewer?

# %%
rng = np.random.default_rng(1)
inside = 0
for _ in range(400):
    sample = rng.choice(values, 200)
    low, high = interval(bootstrap_means(sample, rng, resamples=500))
    inside += low <= values.mean() <= high
print(f"the true mean is inside {inside} of 400 intervals, {100 * inside / 400:.0f} %")
for n in (50, 200):
    draws = [bootstrap_means(rng.choice(values, n), rng, resamples=500) for _ in range(50)]
    print(f"{n} users: mean width {np.mean([np.ptp(interval(means)) for means in draws]):.3f}")

# %% [markdown]
# Four times as many users halve the interval: it narrows with the square root of their number. It says how
# much other *users* would change. It does not say what another training, from other random numbers, would
# change, nor another month.
#
# ## Is the difference real?
#
# The intervals of ItemKNN and EASE in the table overlap. Does that mean that neither is better? No: both
# models were asked about the same users, and whoever is hard for one is mostly hard for the other. So look
# at the difference of each user, $d_u$, and at the interval of its mean. Beside it stands the interval that
# we would have to report if each model had been asked about users of its own:

# %%
d = measured["EASE"].per_user("ndcg") - measured["ItemKNN"].per_user("ndcg")
difference, low, high = paired_difference(measured["EASE"], measured["ItemKNN"], "ndcg")
agree("the difference of means", d.mean(), difference)
print(f"EASE - ItemKNN, the same users: {difference:+.4f} [{low:+.4f}, {high:+.4f}]")
means = [bootstrap_means(measured[name].per_user("ndcg"), rng) for name in ("EASE", "ItemKNN")]
apart = interval(means[0] - means[1])
print("if each had users of its own: {:+.4f} [{:+.4f}, {:+.4f}]".format(difference, *apart))
print(f"{(d == 0).sum()} of 600 users do not differ")
assert apart[0] < 0 < low

# %% [markdown]
# The first interval leaves out 0, the second does not. Always compare user by user.
#
# There is a second way to ask. *Suppose* the two were equally good. Then each user's difference could as
# well have had the other sign, as if a coin had decided which model is called EASE. Let $s$ be a pattern of
# such signs, $+1$ or $-1$ for each user; there are $2^U$ of them. The *p value* is the share of all
# patterns whose sum is at least as far from 0 as the one that we saw:
#
# $$
# p = \frac{1}{2^U} \sum_{s \in \{-1, 1\}^U} \Bigl[ \bigl| \textstyle\sum_u s_u d_u \bigr| \ge \bigl| \textstyle\sum_u d_u \bigr| \Bigr]
# $$
#
# A small p value says: if they were equally good, what we saw would be a rare accident. For five users who
# differ by 4, 3, 3, 2 and -1 tenths the sum is 11 tenths. Go through all 32 patterns:

# %%
tenths = np.array([4, 3, 3, 2, -1])
sums = np.array(list(itertools.product([1, -1], repeat=5))) @ tenths  # of all patterns
as_far = np.count_nonzero(np.abs(sums) >= 11)
agree("permutation_p_value", as_far / 2**5, permutation_p_value(tenths / 10))
print(f"{as_far} of {len(sums)} patterns: p = {as_far / 32}")

# %% [markdown]
# Sums as far out are 13, 11, -11 and -13. With five users one cannot become sure. With 600 there are too
# many patterns to try, so 10,000 are drawn; if $n$ of them are as far out, $p = (1 + n) / 10001$. (The 1
# counts the pattern that was seen, so p is never 0. `evaluation.paired_p_value` does the same.)

# %% If the two were equally good: the mean difference under 10,000 patterns of coin signs, and what was seen
signs = np.random.default_rng(0).choice([-1.0, 1.0], (10_000, len(d)))
chance = signs @ d / len(d)
p = (1 + np.count_nonzero(np.abs(chance) >= abs(d.mean()))) / 10_001
print(f"p = {p:.4f}")
assert p < 0.01
count, edges = np.histogram(chance, bins=40)
curves = {"equally good": ((edges[1:] + edges[:-1]) / 2, count)}
curves["what was seen"] = ([d.mean(), d.mean()], [0, count.max()])
plots.lines(curves, "mean difference of NDCG@10", "patterns")

# %% [markdown]
# ## What goes wrong: many looks
#
# A p value below 0.05 comes once in twenty looks where there is nothing to see. In 20 looks none comes with
# the probability $0.95^{20}$. So whoever tries 20 variants and reports the best finds "significance" in
# {{100 * (1 - 0.95**20):.0f}} of 100 cases. Here are 20 variants that differ from ItemKNN by coin signs
# only:

# %%
rng = np.random.default_rng(3)
p_values = [permutation_p_value(d * rng.choice([-1, 1], len(d)), rng, flips=2000) for _ in range(20)]
print(f"smallest p of 20: {min(p_values):.3f}, below 0.05: {sum(p <= 0.05 for p in p_values)}")
print(f"corrected for 20 looks (Holm): {holm(p_values).min():.2f}")

# %% [markdown]
# Holm's correction multiplies the smallest p by the number of looks, the next by one less, and so on (to at
# most 1, and never below the one before). The last column of `minirec.evaluation.differences` is that. The
# same trap waits without any p value: choose on the validation part, and look at the test part once.
#
# ## Exercise
#
# Write `ndcg(scores, relevant, k)` in a file of your own, with the exact mean over the orders of equal
# scores. A score of `-inf` means that an item is no candidate. Then compare it with the definition, which
# tries all orders:
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
# Read the definition before you compare with a paper. RecBole cuts the ideal of NDCG at $\min(|R|, k)$ as
# we do, and divides recall by $|R|$; the authors' code of Mult-VAE (Liang et al. 2018), which many have
# taken over, divides it by $\min(|R|, k)$. Many programs let a sort decide between ties; McSherry & Najork
# (2008) give the formulas for counting them exactly. Krichene & Rendle (2020) show that sampled metrics can
# turn orders round, Ji et al. (2023) that leakage from the future changes the order of models
# unpredictably, and Dacrema et al. (2019) that well-tuned simple methods beat many published neural ones,
# which is why a baseline belongs in every table. The paired permutation test is Fisher's (1935), the
# correction Holm's (1979).
