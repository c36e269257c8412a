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
# *event*, or *interaction*, is one user meeting one item at one time. The *log* is the list of all events,
# the *history* of a user is the list of his or her items, oldest first. What a log tells about the wishes
# of users is called *feedback*, and it comes in two kinds:
#
# - **explicit:** the user says how good it was, as in a rating of 1 to 5. A 1 is a clear "no".
# - **implicit:** the user only did something: bought, clicked, came. We know what was done, and how often.
#   There is no "no" in such data.
#
# Event number $n$ is a user $u_n$, an item $i_n$, a time $t_n$, and where feedback is explicit a rating
# $r_n$. The interaction matrix $R$ has a row for each of $U$ users and a column for each of $I$ items,
# shape $(U, I)$. Where a user rated an item more than once, the newest rating counts:
#
# $$
# R_{ui} = r_{n^*}, \quad n^* = \arg\max_{n:\, u_n = u,\, i_n = i} (t_n, n)
# $$
#
# Here $\arg\max$ picks, among the events of user $u$ with item $i$, the one with the latest time, and of
# two at the same time the one with the larger number. Without ratings we count the events. (Bars around a
# set mean how many members it has.)
#
# $$
# R_{ui} = |\{n : u_n = u,\, i_n = i\}| \quad \text{without ratings}
# $$
#
# A cell of which no event speaks is *absent*. Three people and four foods, eight events in the order of
# time. Ann rates tea twice.

# %%
users, items = ["Ann", "Bob", "Cy"], ["ham", "jam", "rye", "tea"]
who = ["Ann", "Bob", "Ann", "Cy", "Bob", "Cy", "Ann", "Cy"]
what = ["tea", "ham", "jam", "tea", "jam", "ham", "tea", "rye"]
rating = [3, 4, 4, 2, 2, 1, 5, 3]

newest, count = {}, {}
for user, item, stars in zip(who, what, rating, strict=True):
    newest[user, item] = stars  # oldest first, so a later rating replaces an earlier one
    count[user, item] = count.get((user, item), 0) + 1

print("     ", *items)
for user in users:
    print(f"{user:5}", *(f"{newest.get((user, item), '.'):>3}" for item in items))

# %% [markdown]
# With arrays, names become numbers of rows and columns, `u` and `i`, and `R[u, i] = rating` fills the
# matrix: `rating[0]` goes to row `u[0]` and column `i[0]`, and so on. NumPy writes in this order, so of two
# ratings for one cell the later one stays. Absent is written `nan` here, "not a number", so that nobody can
# take it for a rating by mistake.

# %%
u = np.array([users.index(user) for user in who])
i = np.array([items.index(item) for item in what])

R = np.full((3, 4), np.nan)
R[u, i] = rating
met = ~np.isnan(R)  # True where an event speaks of the cell

times = np.zeros((3, 4))
np.add.at(times, (u, i), 1)  # adds 1 in row u[0] and column i[0], and so on

filled = [(users[a], items[b]) for a, b in np.argwhere(met)]  # argwhere: the places of True, row by row
agree("interaction_matrix", R[met], [newest[pair] for pair in filled])
agree("interaction_matrix, counts", times[met], [count[pair] for pair in filled])

# %% [markdown]
# Why `np.add.at` and not `times[u, i] += 1`? The short form reads all cells first, adds, and then writes,
# so two events in one cell count as one. It gives no error:

# %%
wrong = np.zeros((3, 4))
wrong[u, i] += 1
print("Ann met tea", int(times[0, 3]), "times; the short form says", int(wrong[0, 3]))

# %% [markdown]
# ## How full is it?
#
# The *density* is the share of cells that are not absent:
#
# $$
# \text{density} = \frac{|\{(u, i) : R_{ui} \text{ is not absent}\}|}{U I}
# $$
#
# Ours is 7 of 12 cells. Real matrices are far emptier, so nobody stores the absent cells. *Compressed
# sparse rows* keep three lists: the values, row after row; the column of each value; and the place in these
# two lists where each row begins.

# %%
matrix = Interactions(who, what, rating).matrix()
agree("density", matrix.density, met.sum() / met.size)
agree("the same matrix, stored by rows", matrix.dense(fill=-1), np.where(met, R, -1))
print("values    ", matrix.values)
print("columns   ", matrix.indices)
print("row begins", matrix.indptr[:-1], "and all end at", matrix.indptr[-1])

# %% [markdown]
# Bob is row 1. His row begins at place 2 and ends before place 4: the values 4 and 2 in the columns 0 (ham)
# and 1 (jam). This is `minirec.data.InteractionMatrix`: use it from here on. What it saves, for MovieLens
# 100K, a data set of many studies with 100,000 ratings of 1682 films by 943 people:

# %%
print(f"density {100 * 100_000 / (943 * 1682):.1f} %")
print(f"the whole matrix: {943 * 1682:,} numbers; by rows: {100_000 + 100_000 + 943 + 1:,} numbers")

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
# By hand: Ann's mean is $(4 + 5)/2$, Bob's is $(4 + 2)/2$, Cy's is $(1 + 3 + 2)/3$. The mean of ham is $(4
# + 1)/2$, and so on.

# %%
by_hand = [(4 + 5) / 2, (4 + 2) / 2, (1 + 3 + 2) / 3, (4 + 1) / 2, (4 + 2) / 2, 3 / 1, (5 + 2) / 2]
agree("interaction_means", [*matrix.row_means(), *matrix.column_means()], by_hand)

zeros = np.where(met, R, 0.0)  # the mistake: absent written as 0, and then averaged
for user, right, mistaken in zip(users, matrix.row_means(), zeros.mean(axis=1), strict=True):
    print(f"{user:4} mean {right:.2f}   with zeros {mistaken:.2f}")

# %% [markdown]
# With zeros Bob and Cy seem equally hard to please. In truth Bob gave {{matrix.row_means()[1]:.0f}} on
# average and Cy {{matrix.row_means()[2]:.0f}}; Cy only rated more foods. A zero is worse than the worst
# rating, and we would have invented {{(~met).sum()}} of them.
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
# invited, or she was ill. And yet the rows say something when read together: none of the upper nine women
# came to events 10 to 14, none of the lower nine to events 1 to 5, and at events 6 to 9 both circles met.
#
# Every stored value is 1, so every mean over stored values is 1 and tells nothing. Counts tell more. The
# count of a column is the simplest recommender there is, *popularity*. A recommender gives each user and
# item a *score* $s_{ui}$, and recommends the items with the highest scores. Here the score is the same for
# every user:
#
# $$
# s_{ui} = |\{n : i_n = i\}|
# $$

# %%
attended = women.matrix()
counts = attended.column_counts()
popular = Popularity().fit(women)
agree("popularity", popular.score(np.arange(18)), np.tile(counts, (18, 1)))  # 18 times the same row
print(f"{attended.nnz} attendances, density {attended.density:.3f}")
print("women at events 1 to 14:", counts)
print("three new events for Flora Price, best first:", popular.recommend("Flora Price", k=3).items[0])

# %% [markdown]
# This is `minirec.models.Popularity`. Every other model has to beat it.
#
# ## Absent is not random either
#
# One might hope that the cells we see are like the cells we do not see. They are not: people rate what they
# chose, and they choose what they expect to like. Real data hardly show this, since the other cells are
# unknown. In a synthetic shop the truth is known: `synthetic()` invents tastes, lets 600 users buy from 300
# products accordingly, and can say which rating any user *would* give to any product.

# %% The matrix of the shop: 600 users, 300 products, most interactions first
shop = synthetic()
bought = shop.interactions.matrix()
plots.interaction_matrix(  # too many cells to draw one by one: a tile shows how many of its cells are filled
    indptr=bought.indptr, indices=bought.indices, n_items=300, sort=True, item_word="product", cells=(60, 60)
)

# %% Ratings that users would give, to what they bought and to everything: what we see is the rosy part
every_user, every_item = np.repeat(np.arange(600), 300), np.tile(np.arange(300), 600)  # all 180,000 pairs
truth = shop.expected_ratings(every_user, every_item)
seen = bought.contains(every_user, every_item)  # True for the pairs in the log
edges = np.linspace(1, 5, 17)  # sixteen bins between 1 and 5
middles = (edges[1:] + edges[:-1]) / 2
shares = {
    name: (middles, np.histogram(values, edges)[0] / len(values))  # how many of the values are in each bin
    for name, values in (("pairs that met", truth[seen]), ("all pairs", truth))
}
plots.lines(shares, "rating that the user would give", "share of the pairs")

# %% [markdown]
# The mean rating in the log is {{shop.interactions.ratings.mean():.2f}}. Over all pairs it would be
# {{truth.mean():.2f}}. A model that is trained and tested on what we see never notices the difference.
#
# ## The loop
#
# Section 2.1 draws a recommender as a circle: users leave behavior data, data and item features go into a
# model, the model gives recommendations, users answer with feedback, and feedback becomes data again. What
# the circle *does* the section does not say. So let us turn it.
#
# First the smallest loop. Two films have been taken once each. Every new visitor takes one of them, with a
# chance in proportion to how often it was taken before: a recommender that shows the popular more often, to
# people who like both films equally. The first visitor takes A with chance $\frac12$. Then A has been taken
# 2 times out of 3, so the second takes A with chance $\frac23$ and B with chance $\frac13$. After two
# visitors:
#
# - A, then A again: chance $\frac12 \cdot \frac23 = \frac13$. The counts are 3 to 1.
# - A then B, or B then A: $\frac12 \cdot \frac13 + \frac12 \cdot \frac13 = \frac13$. The counts are 2 to 2.
# - B, then B again: $\frac13$. The counts are 1 to 3.
#
# All three results are equally likely, and so it goes on: after any number of visitors, all counts of film
# A have the same chance (Pólya's urn; Eggenberger & Pólya 1923). A film that nobody prefers may end with a
# tenth of all visitors or with most of them, as luck will have it. It does not *look* like luck, because
# each share settles:

# %% Four runs with the same two equally good films: each settles, where nobody could foresee
rng = np.random.default_rng(7)
drawn = np.unique(np.geomspace(1, 2000, 60).astype(int))  # 60 of the 2000 visitors are enough for a line
runs = {}
for run in range(4):
    taken, path = np.ones(2), []
    for _ in range(2000):
        film = 0 if rng.random() < taken[0] / taken.sum() else 1  # film A is 0
        taken[film] += 1
        path.append(taken[0] / taken.sum())
    runs[f"run {run + 1}"] = (drawn, np.array(path)[drawn - 1])
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
# on offer. From round 6 on a recommender reads the log and offers five new items to each user. Four worlds
# differ in the recommender only:
#
# - no recommender: everything stays on offer. Nobody can look through a real catalog like this; it is the
#   yardstick.
# - five at random: every new item has the same chance to be shown.
# - the most popular: the five that most others have taken.
# - people also took: items that were taken by the same users as the items of one's own history
#   (`minirec.models.ItemKNN`). This one is *personal*: users with different histories see different items.


# %%
rng = np.random.default_rng(0)
# A taste is a product of six numbers of the user and six of the item: the next lesson explains why.
taste = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 200)) / np.sqrt(6)
appetite = np.exp(1.5 * taste)  # exp makes it positive
appetite /= appetite.mean(axis=0)
everybody = np.arange(200)


def simulate(recommender, seed, rounds=24, show_once=False):
    """The items taken, (rounds + 1, 200): row t is what each user took in round t.

    In row 0 user u takes item u, so that every item is in the log once.
    """
    rng = np.random.default_rng(seed)
    taken, shown = [everybody], np.zeros((200, 200), dtype=bool)
    for t in range(1, rounds + 1):
        log = Interactions(np.tile(everybody, t), np.concatenate(taken))  # t times all users, their items
        offered = log.matrix().dense() == 0  # True where the item is new to the user
        if recommender is not None and t > 5:
            scores = np.where(offered & ~shown, recommender(log), -np.inf)
            best = np.argsort(-scores, axis=1, kind="stable")[:, :5]  # best first, then five of them
            offered = np.zeros((200, 200), dtype=bool)
            np.put_along_axis(offered, best, True, axis=1)  # True at the five best of each row
            shown |= offered & show_once
        # Lay the appetites of a user end to end; the item on whose piece a dart falls is taken.
        ends = (appetite * offered).cumsum(axis=1)
        dart = rng.random((200, 1)) * ends[:, [-1]]
        taken.append((ends > dart).argmax(axis=1))  # the first piece that ends beyond the dart
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


def share_of_top(taken, top=20):
    """The share of all events so far that went to the `top` items taken most, round by round."""
    # bincount: how often each item occurs
    counts = [np.bincount(taken[: t + 1].ravel(), minlength=200) for t in range(len(taken))]
    return [np.sort(c)[-top:].sum() / c.sum() for c in counts]


# %% Equally good items, a recommender from round 6 on: a tenth of them gets most of the events, or does not
tops = {name: (range(25), share_of_top(taken)) for name, taken in worlds.items()}
plots.lines(tops, "round", "share of the 20 most taken items")

# %% [markdown]
# Popularity gives up to {{100 * max(tops["the most popular"][1]):.0f}} % of all events to a tenth of the
# items. (The share falls in the end only because nobody takes an item twice, and the users run out of
# them.) The personal recommender does the same, much more mildly. And which items are the lucky ones? Run
# the same world again with other chances in the first rounds:


# %%
def most_taken(taken, top=20):
    return set(np.argsort(-np.bincount(taken.ravel(), minlength=200), kind="stable")[:top].tolist())


again = simulate(most_popular, seed=2)
common = len(most_taken(worlds["the most popular"]) & most_taken(again))
print(f"{common} of the 20 most taken items are the same in both runs; by chance it would be 2")

# %% [markdown]
# By chance, because each of the 20 has one chance in ten to be among the other 20. Salganik, Dodds and
# Watts (2006) saw this with real songs and 14,000 real people: where people see what others took, the hits
# are larger, and differ from one group of people to the next.
#
# ## Are the users served?
#
# Rank the 200 items by the appetite of one user, and write the ranks as numbers from 0 (liked least) to 1
# (liked most). A user who takes items blindly has one half on average.


# %%
ranks = np.argsort(np.argsort(appetite, axis=1), axis=1)  # sorting the order gives the rank, 0 to 199
liked = ranks / 199


def service(taken):
    return [liked[everybody, items].mean() for items in taken[1:]]


once = simulate(recommenders["people also took"], seed=1, show_once=True)
worlds["people also took, shown once"] = once

# %% How well the items that users take fit them: a list of leftovers is worse than a random one
rounds = range(1, 25)
plots.lines({name: (rounds, service(taken)) for name, taken in worlds.items()}, "round", "liked (0 to 1)")

# %% [markdown]
# In round 6 the list of the most popular is no better than five random items: all items are equally good,
# so popularity knows nothing. Then it sinks to a blind choice, and even the personal list goes down. Why? A
# list is made of high scores that the user *did not take yet*. Five items are shown, one is taken, and the
# other four are back in the next round. After some rounds the list consists of what the user declines again
# and again. The log cannot know. It holds what was taken, and **an absent cell may be a "no", or an item
# that was never shown**.
#
# The last curve remembers what was shown to whom, and shows nothing twice. With this one addition the
# personal recommender, which shows five items, serves its users as well as a look through all 200, until
# about round 20. (Then it falls, since half of the items have been shown to everybody by the end.)
#
# ## What goes wrong in practice: the loop praises itself
#
# To test a recommender on a log, hide the last event of each user, recommend ten items, and count for how
# many users the hidden item is among the ten. That share is the *hit rate* ([evaluation](12_evaluation.md)
# says more). Do it with popularity on two logs: one from the world without a recommender, one from the
# world that popularity itself has made.


# %%
def hit_rate_of_popularity(taken):
    log = Interactions(np.tile(everybody, len(taken)), taken.ravel())
    train, valid, test = leave_one_out(log)  # test: the last event of each user; valid: the one before
    model = Popularity().fit(train)
    return evaluation.evaluate(model, train, test, also_seen=valid, metrics=("hit_rate",)).mean("hit_rate")


for name in ("no recommender", "the most popular"):
    print(f"log of the world with {name}: hit rate {hit_rate_of_popularity(worlds[name]):.2f}")

# %% [markdown]
# Same people, same tastes, same model. On the log that it made itself popularity looks nearly perfect,
# while its users are served worse than by random lists. A test on a log measures how well a model agrees
# with whatever made the log.
#
# ## Exercise
#
# How much of the catalog does anybody still get to see? Write `coverage(recommended, n_items)`: the share
# of all items that stand in at least one of the lists in `recommended` (one list of item numbers for each
# user), and 0 when all lists are empty. Check it:
#
# ```
# python -m minirec verify my_file.py:coverage --against coverage
# ```
#
# Then print `coverage(taken[t][:, None], 200)` for each world and each round `t`: what is still taken. (The
# index `[:, None]` makes a list of one item for each user.)
#
# ## In practice
#
# Matrices of this kind are `scipy.sparse.csr_matrix` elsewhere, with the same three arrays; there, as here,
# a stored zero and an absent cell are different things until somebody writes `toarray()`. Hu, Koren &
# Volinsky (2008) treat implicit feedback as what it is, a weak "yes" and no "no"
# ([factorization](02_factorization.md) does it). Chaney, Stewart & Engelhardt (2018) show by simulations
# such as this one that a loop makes users more alike without serving them better. Against both faults of
# this lesson real systems log what they showed and not only what was taken, show some items at random on
# purpose, and let an event count the more, the less likely it was to be seen (Schnabel et al. 2016).
