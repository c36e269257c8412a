# %% [markdown]
# # Read an interaction matrix, and watch a recommender feed on itself
#
# - **You will do:** build the interaction matrix of a small shop by hand; read a real one whole; run the
#   loop from recommendation to feedback and back for 24 rounds, in a world whose truth is known.
# - **You will learn:** why absent is not zero, what a mean over ratings hides, and why popularity that a
#   recommender reads from its own log says little about what people like.
# - **You need:** what a matrix is. Lesson 0, [gradients](00_gradients.md), stands before this one; nothing
#   of it is used yet.
#
# This works through section 2.1 (the loop) and the first point of section 4.1 (the interaction matrix) of
# "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术).

# %%
import numpy as np

from minirec import evaluation, plots
from minirec.data import Interactions, leave_one_out, southern_women, synthetic
from minirec.data.classics import grid
from minirec.models import ItemKNN, Popularity
from minirec.verify import agree

# %% [markdown]
# ## From events to a matrix
#
# A *user* is somebody who chooses, an *item* is what can be chosen: a film, a song, a jar of jam. An
# *interaction*, or *event*, is one user meeting one item at one time. Feedback comes in two kinds:
#
# - **explicit:** the user says how good it was, as in a rating of 1 to 5. A 1 is a clear "no".
# - **implicit:** the user only did something: bought, clicked, came. We know what was done, and how often.
#   There is no "no" in such data.
#
# Event number $n$ of $N$ is a user $u_n$, an item $i_n$, a rating $r_n$ and a time $t_n$. The interaction
# matrix $R$ has a row for each of $U$ users and a column for each of $I$ items, shape $(U, I)$. Where a
# user rated an item more than once, the newest rating counts (of two at the same time the later row);
# without ratings we count events:
#
# $$
# R_{ui} = r_{n^*}, \quad n^* = \arg\max_{n:\, u_n = u,\, i_n = i} (t_n, n)
# $$
#
# $$
# R_{ui} = |\{n : u_n = u,\, i_n = i\}| \quad \text{without ratings}
# $$
#
# A cell that no event speaks of is *absent*. Three people and four foods, eight events in the order of
# time. Ann rates tea twice.

# %%
users, items = ["Ann", "Bob", "Cy"], ["ham", "jam", "rye", "tea"]
events = [
    ("Ann", "tea", 3), ("Bob", "ham", 4), ("Ann", "jam", 4), ("Cy", "tea", 2),
    ("Bob", "jam", 2), ("Cy", "ham", 1), ("Ann", "tea", 5), ("Cy", "rye", 3),
]  # fmt: skip

newest, count = {}, {}
for user, item, rating in events:  # oldest first, so that a later rating replaces an earlier one
    newest[user, item] = rating
    count[user, item] = count.get((user, item), 0) + 1

print("     ", *items)
for user in users:
    print(f"{user:5}", *(f"{newest.get((user, item), '.'):>3}" for item in items))

# %% [markdown]
# With arrays: ids become row and column numbers, and one assignment fills the matrix. NumPy writes in
# order, so of two ratings for one cell the later one stays. Absent is written `nan` here, "not a number",
# so that nobody can take it for a rating by mistake.

# %%
u = np.array([users.index(user) for user, _, _ in events])
i = np.array([items.index(item) for _, item, _ in events])
r = np.array([float(rating) for _, _, rating in events])

R = np.full((3, 4), np.nan)
R[u, i] = r
met = ~np.isnan(R)  # True where an event speaks of the cell

N = np.zeros((3, 4))
np.add.at(N, (u, i), 1)
agree("interaction_matrix", R[met], [newest[users[a], items[b]] for a, b in np.argwhere(met)])
agree("interaction_matrix, counts", N[met], [count[users[a], items[b]] for a, b in np.argwhere(met)])

# %% [markdown]
# Why `np.add.at` and not `N[u, i] += 1`? The short form reads all cells first, adds, and then writes, so
# two events in one cell count as one. It gives no error:

# %%
wrong = np.zeros((3, 4))
wrong[u, i] += 1
print("Ann met tea", int(N[0, 3]), "times; the short form says", int(wrong[0, 3]))

# %% [markdown]
# ## How full is it?
#
# The *density* is the share of cells that are not absent:
#
# $$
# \text{density} = \frac{|\{(u, i) : R_{ui} \text{ is stored}\}|}{U I}
# $$
#
# Ours is 7 of 12 cells. Real matrices are far emptier, so nobody stores the absent cells. *Compressed
# sparse rows* keep three short lists: the stored values row after row, the column of each, and where each
# row begins.

# %%
matrix = Interactions(*zip(*[(user, item) for user, item, _ in events], strict=True), r).matrix()
agree("density", matrix.density, met.sum() / met.size)
agree("the same matrix, stored by rows", matrix.dense(fill=-1), np.where(met, R, -1))
print("values ", matrix.values)
print("columns", matrix.indices)
print("row u begins at", matrix.indptr[:-1], "and all end at", matrix.indptr[-1])

# %% [markdown]
# This is `minirec.data.InteractionMatrix`: use it from here on. It takes memory for what is there, not for
# what could be. MovieLens 100K, 100,000 ratings of 1682 films by 943 people, is a usual size for a first
# study:

# %%
movielens = 100_000 / (943 * 1682)
print(f"density of MovieLens 100K: {100 * movielens:.1f} %")
print(f"numbers to store: {943 * 1682:,} as a whole, {2 * 100_000 + 944:,} by rows")

# %% [markdown]
# ## Absent is not zero
#
# Let $I_u$ be the items that user $u$ met, and $U_i$ the users who met item $i$. Means run over these only:
#
# $$
# \bar R_u = \frac{1}{|I_u|} \sum_{i \in I_u} R_{ui}, \qquad
# \bar R_i = \frac{1}{|U_i|} \sum_{u \in U_i} R_{ui}
# $$
#
# By hand: Ann's mean is $(4 + 5)/2$, Bob's is $(4 + 2)/2$, Cy's is $(1 + 3 + 2)/3$.

# %%
by_hand = [(4 + 5) / 2, (4 + 2) / 2, (1 + 3 + 2) / 3, (4 + 1) / 2, (4 + 2) / 2, 3 / 1, (5 + 2) / 2]
agree("interaction_means", [*matrix.row_means(), *matrix.column_means()], by_hand)

zeros = np.where(met, R, 0.0)  # the mistake: absent written as 0, and then averaged
for user, right, mistaken in zip(users, matrix.row_means(), zeros.mean(axis=1), strict=True):
    print(f"{user:4} mean {right:.2f}   with zeros {mistaken:.2f}")

# %% [markdown]
# Zeros say that Bob and Cy are equally hard to please. In truth Bob gave {{matrix.row_means()[1]:.0f}} on
# average and Cy {{matrix.row_means()[2]:.0f}}: Cy was only asked more often. A zero is worse than the worst
# rating, and we would have invented {{(~met).sum()}} of them.
#
# The row mean also says how somebody uses the scale, and the column mean how an item is received, although
# an item that one person rated is received by one person. Models keep both as *bias terms*
# ([factorization](02_factorization.md)).
#
# ## A real matrix, whole
#
# In the 1930s Davis, Gardner and Gardner noted which of 18 women in a small town of Mississippi came to
# which of 14 social events. This is the complete data set:

# %%
women = southern_women()
print(grid(women))

# %% [markdown]
# The feedback is implicit. A dot does not say that Flora Price disliked event 8: perhaps she was not
# invited, or she was ill. What the rows say when read together: nobody of the upper nine came to events 10
# to 14, nobody of the lower nine to events 1 to 5, and at events 6 to 9 both circles met.

# %%
attended = women.matrix()
agree("every value is 1, so every mean is 1", attended.row_means(), np.ones(18))
order = list(dict.fromkeys(women.users.tolist()))  # as printed; the matrix has its rows by name
table = attended.dense(order)
print(
    f"upper nine at events 10 to 14: {table[:9, 9:].sum():.0f}, lower nine at 1 to 5: {table[9:, :5].sum():.0f}"
)
counts = attended.column_counts()
print(f"{attended.nnz} attendances, density {attended.density:.3f}")
print("women at events 1 to 14:", counts)

# %% [markdown]
# Means are blind here, counts are not. The count of a column is the simplest recommender there is,
# *popularity*: the same score for everybody,
#
# $$
# s_{ui} = |\{n : i_n = i\}|
# $$
#
# It is `minirec.models.Popularity`, and every other model has to beat it.

# %%
popular = Popularity().fit(women)
agree("popularity", popular.score(np.arange(18)), np.tile(counts, (18, 1)))
print("For Flora Price, not counting what she attended:", popular.recommend("Flora Price", k=3).items[0])

# %% [markdown]
# ## Absent is not random either
#
# One might hope that the cells we see are a fair sample of all cells. They are not: people rate what they
# chose, and they choose what they expect to like. In real data this can hardly be seen, since the other
# cells are unknown. In a synthetic shop the truth is known: `synthetic()` plants tastes, lets 600 users buy
# from 300 products, and can say which rating any user *would* give to any product.

# %% The matrix of the shop: 600 users, 300 products, most interactions first
shop = synthetic()
bought = shop.interactions.matrix()
plots.interaction_matrix(
    indptr=bought.indptr, indices=bought.indices, n_items=300, sort=True, item_word="product", cells=(60, 60)
)

# %% Expected ratings of the pairs that met and of all pairs: what we see is the brighter part
every_user, every_item = np.divmod(np.arange(600 * 300), 300)
truth = shop.expected_ratings(every_user, every_item)
seen = bought.contains(every_user, every_item)
edges = np.linspace(1, 5, 17)
middles = (edges[1:] + edges[:-1]) / 2
shares = {
    name: (middles, np.histogram(values, edges)[0] / len(values))
    for name, values in (("pairs that met", truth[seen]), ("all pairs", truth))
}
plots.lines(shares, "rating that the user would give", "share of the pairs")

# %% [markdown]
# The mean rating that we see is {{shop.interactions.ratings.mean():.2f}}. Over all pairs it is
# {{truth.mean():.2f}}. A model that is trained and tested on what we see never notices the difference. What
# can be done about it (weighting each rating by how unlikely it was to be seen) was worked out by Schnabel
# et al. (2016).
#
# ## The loop
#
# Section 2.1 draws a recommender as a circle: users leave behavior data, data and item features go into a
# model, the model gives recommendations, users answer with feedback, and feedback becomes data again. What
# the circle *does* the section does not say. So let us turn it.
#
# First the smallest loop. Two films have been taken once each. Every new visitor takes one of them, with a
# chance in proportion to how often it was taken before: a recommender that shows the popular more often, to
# people who like both films equally. After two visitors:
#
# - film A, then A again: chance $\frac12 \cdot \frac23 = \frac13$. The counts are 3 to 1.
# - A then B, or B then A: $\frac12 \cdot \frac13 + \frac12 \cdot \frac13 = \frac13$. The counts are 2 to 2.
# - B, then B again: $\frac13$. The counts are 1 to 3.
#
# All three results are equally likely, and so it goes on. After $n$ visitors the number $k$ of those who
# took film A has the chance
#
# $$
# P(k) = \frac{1}{n + 1}, \qquad k = 0, 1, \ldots, n
# $$
#
# To check it, follow all chances from visitor to visitor:


# %%
def chances(n):
    p = np.array([1.0])  # with no visitor yet: k = 0 for sure
    for done in range(n):
        share_of_A = (1 + np.arange(done + 1)) / (2 + done)  # if k of them took A
        p = np.append(p * (1 - share_of_A), 0) + np.insert(p * share_of_A, 0, 0)
    return p


print(np.round(chances(2), 3))
agree("every share is equally likely", chances(20), np.full(21, 1 / 21))

# %% [markdown]
# A film that nobody prefers ends with a tenth or with nine tenths of all visitors, as luck will have it.
# This is Pólya's urn (Eggenberger & Pólya 1923). Worse, it does not *look* like luck, because each share
# settles:

# %% Four histories of the same two equally good films: each settles, where nobody could foresee
rng = np.random.default_rng(5)
steps = np.unique(np.geomspace(1, 2000, 60).astype(int))
runs = {}
for run in range(4):
    taken = np.ones(2)
    path = []
    for _ in range(2000):
        taken[int(rng.random() > taken[0] / taken.sum())] += 1
        path.append(taken[0] / taken.sum())
    runs[f"history {run + 1}"] = (steps, np.array(path)[steps - 1])
plots.lines(runs, "visitors so far", "share of film A", log="x")

# %% [markdown]
# ## The loop with tastes
#
# Now 200 users with tastes of their own, and 200 items. `appetite[u, i]` says how gladly user $u$ would
# take item $i$: of the items on offer, each is taken with a chance in proportion to it. Every column is
# scaled to the mean 1. So *over all users no item is better than another*, and whatever becomes popular
# does not deserve it.
#
# In each round every user takes one item that is new to him or her. In the first five rounds everything is
# on offer. From round 6 on a recommender reads the log, which is the list of all events so far, and offers
# five items to each user. Four worlds, which differ in the recommender only:
#
# - no recommender: everything stays on offer. Nobody can look through a real catalog like this; it is the
#   yardstick.
# - five at random: every item has the same chance to be shown.
# - the most popular: the five new items that most others have taken.
# - people also took: items that were taken by the same users as the items of one's own history
#   (`minirec.models.ItemKNN`), the simplest *personal* recommender.


# %%
rng = np.random.default_rng(0)
# A taste is a product of six numbers of the user and six of the item: the next lesson explains why.
taste = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 200)) / np.sqrt(6)
appetite = np.exp(1.5 * taste)
appetite /= appetite.mean(axis=0)
everybody = np.arange(200)


def simulate(recommender, seed, rounds=24, show_once=False):
    """The items taken, (rounds + 1, 200): row t is what each user took in round t.

    In row 0 user u takes item u, so that every item is on record once.
    """
    rng = np.random.default_rng(seed)
    taken, shown = [everybody], np.zeros((200, 200), dtype=bool)
    for t in range(1, rounds + 1):
        log = Interactions(np.tile(everybody, t), np.concatenate(taken))
        offered = log.matrix().dense() == 0
        if recommender is not None and t > 5:
            scores = np.where(offered & ~shown, recommender(log), -np.inf)
            best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
            offered = np.zeros((200, 200), dtype=bool)
            np.put_along_axis(offered, best, True, axis=1)
            shown |= offered & show_once
        chance = (appetite * offered).cumsum(axis=1)
        taken.append((chance > rng.random((200, 1)) * chance[:, [-1]]).argmax(axis=1))
    return np.array(taken)


def most_popular(log):
    return Popularity().fit(log).score(everybody)


noise = np.random.default_rng(1)
recommenders = {
    "no recommender": None,
    "five at random": lambda log: noise.random((200, 200)),
    "the most popular": most_popular,
    "people also took": lambda log: ItemKNN().fit(log).score(everybody),
}
worlds = {name: simulate(recommender, seed=1) for name, recommender in recommenders.items()}


def share_of_top(taken, n=20):
    """The share of all events so far that went to the n items taken most, round by round."""
    counts = [np.bincount(taken[: t + 1].ravel(), minlength=200) for t in range(len(taken))]
    return [np.sort(c)[-n:].sum() / c.sum() for c in counts]


# %% Equally good items, a recommender from round 6 on: a tenth of them gets most of the events, or does not
tops = {name: (range(25), share_of_top(taken)) for name, taken in worlds.items()}
peak = max(tops["the most popular"][1])
plots.lines(tops, "round", "share of the 20 most taken items")

# %% [markdown]
# Popularity gives {{100 * peak:.0f}} % of all events to a tenth of the items. (It falls later only because
# nobody takes an item twice, and the users run out of them.) The personal recommender does the same more
# mildly. And which items are the lucky ones? Run the same world again with other chances in the first
# rounds:


# %%
def hits(taken, n=20):
    return set(np.argsort(-np.bincount(taken.ravel(), minlength=200), kind="stable")[:n].tolist())


again = simulate(most_popular, seed=2)
common = len(hits(worlds["the most popular"]) & hits(again))
print(f"{common} of the 20 most taken items are the same in both runs; by chance it would be 2")

# %% [markdown]
# Salganik, Dodds and Watts (2006) saw this with real songs and 14,000 real people: where people see what
# others took, the hits are larger, and differ from one group to the next.
#
# ## Are the users served?
#
# Sort the 200 items by the appetite of one user and number them from 0 (liked least) to 1 (liked most). An
# item that is taken blindly has {{0.5}} on average.


# %%
liked = np.argsort(np.argsort(appetite, axis=1), axis=1) / 199


def service(taken):
    return [liked[everybody, items].mean() for items in taken[1:]]


once = simulate(recommenders["people also took"], seed=1, show_once=True)
worlds["people also took, shown once"] = once

# %% How well the items that users take fit them: a list of leftovers is worse than a random one
rounds = range(1, 25)
plots.lines({name: (rounds, service(taken)) for name, taken in worlds.items()}, "round", "liked (0 to 1)")

# %% [markdown]
# In round 6 the list of the most popular is no better than five random items: all items are equally good,
# so popularity knows nothing. Then it sinks to a blind choice, and even the personal list goes down. Why?
# Look at what a list is made of: high scores that the user *did not take yet*. Five items are shown, one is
# taken, and the other four are back in the next round. After some rounds the list consists of what the user
# declines again and again. The log cannot know. It holds what was taken, and **an absent cell may be a
# "no", or an item that was never shown**.
#
# The last curve remembers what was shown to whom, and shows nothing twice. With this one addition to the
# log the personal recommender, which sees five items, serves its users as well as a look through all 200.
# (It falls at the end, when half of the items have been shown to everybody.)
#
# ## What goes wrong in practice: the loop praises itself
#
# Hide the last event of each user, recommend ten items by popularity, and count how often the hidden one is
# among them (*hit rate*, see [evaluation](12_evaluation.md)). Do it on two logs: one from the world without
# a recommender, one from the world that popularity itself has made.


# %%
def hit_rate_of_popularity(taken):
    log = Interactions(np.tile(everybody, len(taken)), taken.ravel())
    train, valid, test = leave_one_out(log)
    model = Popularity().fit(train)
    return evaluation.evaluate(model, train, test, also_seen=valid, metrics=("hit_rate",)).mean("hit_rate")


for name in ("no recommender", "the most popular"):
    print(f"log of a world with {name}: hit rate {hit_rate_of_popularity(worlds[name]):.2f}")

# %% [markdown]
# Same people, same tastes, same model. On the log that it made itself popularity looks nearly perfect,
# while its users are served worse than by random lists. A test on a log measures how well a model agrees
# with whatever made the log.
#
# ## Exercise
#
# How much of the catalog does anybody still get to see? Write `coverage(recommended, n_items)`: the share
# of all items that stand in at least one of the lists in `recommended`, and 0 when there are no lists.
# Check it, then print `coverage(taken[t][:, None], 200)` for each world and round: what is still taken.
#
# ```
# python -m minirec verify my_file.py:coverage --against coverage
# ```
#
# ## In practice
#
# Matrices of this kind are `scipy.sparse.csr_matrix` elsewhere, with the same three arrays; there, as here,
# a stored zero and an absent cell are different things until somebody writes `toarray()`. Hu, Koren &
# Volinsky (2008) treat implicit feedback as what it is, a weak "yes" of some confidence and no "no"
# ([factorization](02_factorization.md) does it). That a loop makes users more alike, and flatters the model
# that made the data, is shown by simulations such as this one in Chaney, Stewart & Engelhardt (2018). Real
# systems log what they showed, not only what was taken; they show some items at random on purpose, and
# weight events by the chance that they had to happen (Schnabel et al. 2016).
