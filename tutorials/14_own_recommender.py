# %% [markdown]
# # Write your own recommender
#
# - **You will do:** write a recommender of some 30 lines, check it against the contract that all models
#   keep, choose its one setting, and measure it beside two others.
# - **You will learn:** which six methods a model needs, what it gets for them, and the mistake that makes a
#   good model look bad.
# - **You need:** what histories are ([lesson 1](01_interactions.md)) and how recommendations are measured
#   ([lesson 12](12_evaluation.md)). A little of Python's classes.
#
# Section 5.2 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术) shows a
# recommender as a class with scores for items. How it is trained, for whom it works, and how good it is, is
# left open there. Here is what a class needs so that all of this comes by itself.

# %%
import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np

from minirec import data, evaluation, plots
from minirec.cli import main
from minirec.models import MODELS, MarkovChain, Popularity, Recommender
from minirec.models.base import refuse_checkpoint
from minirec.models.presets import PRESETS
from minirec.verify import agree

# %% [markdown]
# ## The idea
#
# `MarkovChain`, a model of minirec, looks at the last item of a history and counts what came next in all
# histories. It forgets the item before the last. Somebody who buys a tent, then a book, may still need the
# sleeping bag that goes with the tent. So count two kinds of pairs: $N^{(1)}_{ij}$, how often item $j$ came
# right after item $i$, and $N^{(2)}_{ij}$, how often it came two places after. Both have the shape $(I,
# I)$, for $I$ items. As in Python, let $h_{-1}$ be the last item of a history $h$ and $h_{-2}$ the one
# before it. The score of item $j$ is
#
# $$
# s_j = N^{(1)}_{h_{-1},\, j} + w\, N^{(2)}_{h_{-2},\, j} + \varepsilon\, n_j
# $$
#
# with a weight $w$ to be chosen. The last term is how often the item was taken at all, $n_j$, times a tiny
# $\varepsilon$ (epsilon): it decides where nothing was counted. Where the history is too short for a term,
# the term is left out. Three histories, by hand:

# %%
items = ["tent", "book", "bag", "lamp"]
histories = [[0, 1, 2], [0, 3, 2], [1, 3]]  # tent book bag; tent lamp bag; book lamp: each item twice
N1, N2 = np.zeros((4, 4)), np.zeros((4, 4))
for h in histories:
    for t in range(len(h)):
        if t + 1 < len(h):
            N1[h[t], h[t + 1]] += 1
        if t + 2 < len(h):
            N2[h[t], h[t + 2]] += 1

# %% Left, what came next; right, what came after that: the bag follows the tent at two places' distance
plots.heatmap(
    {"next": N1, "two later": N2}, rows=items, columns=items, form="{:.0f}", ylabel="after", label="times"
)

# %% [markdown]
# After tent and book, with $w = 1/2$: the book was followed by a bag and by a lamp, once each; two places
# after the tent there was a bag, twice. So the bag has $1 + 2/2 = 2$, the lamp 1.

# %%
w, epsilon, taken = 0.5, 1e-6, np.array([2, 2, 2, 2])
scores = [N1[1, j] + w * N2[0, j] + epsilon * taken[j] for j in range(4)]
agree("the score after tent and book", N1[1] + w * N2[0] + epsilon * taken, scores)
print({name: round(float(s), 3) for name, s in zip(items, scores, strict=True)})

# %% [markdown]
# ## The class
#
# A recommender is a subclass of `minirec.models.Recommender`. Inside, users and items are numbers 0, 1, and
# so on; the base class translates names into numbers and back. Six methods are to be written:
#
# | method | what it has to do |
# | --- | --- |
# | `fit(train, ...)` | learn; first `self.remember(train)`, which keeps names and histories; return `self` |
# | `score(users, items=None)` | scores (B, I) of B known users, or (B, C) of C items only |
# | `score_histories(histories, items=None)` | the same for B histories of anybody |
# | `settings()` | the arguments of the constructor |
# | `state()`, `load_state(state)` | what was learned, as arrays by name, and back: for a file |
#
# The base class helps: `check_users` and `check_histories` refuse unknown numbers, `pick` takes the columns
# of `items`. The options of `fit` are the same for all models. Here they change nothing, but a `checkpoint`
# (a file from which a training goes on that was interrupted) is refused, since there is no training.
# `uses_rng = False` says that nothing is drawn at random. `uses_histories = True` says that a history is
# all the model looks at. It matters more than it seems: see below.


# %%
class TwoSteps(Recommender):
    """score(h, j) = N1[last item of h, j] + w N2[the item before it, j] + ε n_j"""

    uses_histories = True
    uses_rng = False

    def __init__(self, weight=0.5, epsilon=1e-6):
        self.weight, self.epsilon = weight, epsilon

    def fit(self, train, *, valid=None, rng=None, progress=True, checkpoint=None):
        refuse_checkpoint(self, checkpoint, "counts once and has no epochs")
        self.remember(train)
        self.N1, self.N2 = np.zeros((2, train.n_items, train.n_items))
        for h in self.histories:
            np.add.at(self.N1, (h[:-1], h[1:]), 1.0)  # adds 1 for each item and the next one
            np.add.at(self.N2, (h[:-2], h[2:]), 1.0)
        self.counts = np.bincount(train.items, minlength=train.n_items).astype(float)
        return self

    def score(self, users, items=None):
        return self.score_histories([self.histories[u] for u in self.check_users(users)], items)

    def score_histories(self, histories, items=None):
        histories = self.check_histories(histories)
        scores = np.tile(self.epsilon * self.counts, (len(histories), 1))
        for row, h in zip(scores, histories, strict=True):  # row is a window: += changes scores
            if len(h) >= 1:
                row += self.N1[h[-1]]
            if len(h) >= 2:
                row += self.weight * self.N2[h[-2]]
        return self.pick(scores, items)

    def settings(self):
        return {"weight": self.weight, "epsilon": self.epsilon}

    def state(self):
        return {"N1": self.N1, "N2": self.N2, "counts": self.counts}

    def load_state(self, state):
        self.N1, self.N2, self.counts = state["N1"], state["N2"], state["counts"]
        if self.N1.shape != (self.n_items, self.n_items):
            raise ValueError(f"N1 has shape {self.N1.shape}, expected {(self.n_items, self.n_items)}")


tiny = data.Interactions(
    [0, 0, 0, 1, 1, 1, 2, 2], ["tent", "book", "bag", "tent", "lamp", "bag", "book", "lamp"]
)
model = TwoSteps().fit(tiny)
found = model.recommend_histories([["tent", "book"]], k=4)
print(found.items[0], found.scores[0].round(3))

# %% [markdown]
# What comes by itself: recommendations by name, for known users and for anybody with a history. What was
# had already is left out, so two of four places stay empty: `None`, with a score of minus infinity.
#
# ## The contract
#
# Each line of the list below is something that other code relies on. The checks know nothing of this model,
# so they are good for yours as well: `make` makes a model that is not fitted, `train` is any data in which
# somebody has three events or more. You need not read the code to use it; the list that it prints is what
# counts.


# %%
def raises(kind, function, *args):
    try:
        function(*args)
    except kind:
        return True
    return False


def contract(make, train):
    """{what must hold: whether it does}"""
    before = train.digest()  # a fingerprint of the data
    model = make()
    returned = model.fit(train, rng=0, progress=False)
    U, I = model.n_users, model.n_items
    whole, some = model.score(np.arange(U)), np.array([I - 1, 0, 0])
    new = [np.array([1, 0]), np.array([], dtype=int)]  # somebody new, and somebody without a history
    kept = [h.copy() for h in model.histories]
    user = max(range(U), key=lambda u: len(kept[u]))  # the user with the longest history
    top = model.recommend(model.user_ids[user], I)
    seen = {model.item_ids[i] for i in kept[user]}
    others = set(model.item_ids) - seen
    again = make().fit(train, rng=0, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        MODELS["contract"] = kind = type(model)  # the table by which a file finds its class
        model.save(Path(folder, "model.npz"))
        loaded = kind.load(Path(folder, "model.npz"))
        del MODELS["contract"]
    return {
        "fit returns the model and leaves the data alone": returned is model and train.digest() == before,
        "a finite score for each user and item": whole.shape == (U, I) and np.isfinite(whole).all(),
        "scores of some items are columns of all": np.allclose(model.score([0, 1], some), whole[:2, some]),
        "nobody else in the batch matters": np.allclose(model.score([1]), whole[1]),
        "somebody new, and somebody without a history": np.isfinite(model.score_histories(new)).all(),
        "a model of histories needs no user": not model.uses_histories
        or np.allclose(model.score_histories(model.histories), whole),
        "unknown numbers are errors": raises(IndexError, model.score, [U])
        and raises(IndexError, model.score_histories, [np.array([I])]),
        "unknown names are errors": raises(KeyError, model.recommend, "nobody at all"),
        "what was had is not recommended": set(top.items[0]) - {None} == others,
        "best first": np.all(np.diff(top.scores[0][: len(others)]) <= 0),
        "the same seed, the same bits": np.array_equal(again.score(np.arange(U)), whole),
        "a saved model scores the same": np.array_equal(loaded.score(np.arange(U)), whole),
        "asking changes nothing": np.array_equal(model.score(np.arange(U)), whole)
        and all(map(np.array_equal, kept, model.histories)),
    }


shop = data.synthetic(seed=0)
train, valid, test = data.leave_one_out(shop.interactions)
for what, holds in contract(TwoSteps, train).items():
    print("ok    " if holds else "FAILED", what)

# %% [markdown]
# Would they notice a mistake? This model raises what it has counted each time it is asked:


# %%
class Careless(TwoSteps):
    def score_histories(self, histories, items=None):
        for h in histories:
            if len(h):
                self.N1[h[-1]] *= 1.1
        return super().score_histories(histories, items)


for what, holds in contract(Careless, train).items():
    if not holds:
        print("FAILED", what)

# %% [markdown]
# The repository tests its own models harder. If your model is to stay, put it into `minirec/models/` and
# add it to `MODELS` in `__init__.py` there. Then say in `tests/models/test_base.py` what it is: a line
# `"two-steps": TwoSteps` in `KINDS`, its name in `COUNTED` (nothing is drawn at random), `"N1": 0` and
# `"N2": 0` in `ITEM_ROWS` and both names in `ITEM_COLUMNS` (their rows and columns are items). Run
#
# ```
# python -m pytest tests/models/test_base.py -k "two-steps"
# ```
#
# ## Choose the weight
#
# How much does the item before the last count? The last event of each user is kept for the test, the one
# before it is the validation part, on which we try some weights. The measure is NDCG@10: 1 for a user whose
# hidden item comes first, less the further down it stands, 0 where it is not among the first ten; then the
# mean over users.

# %%
weights = [0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0]
curve = []
for weight in weights:
    model = TwoSteps(weight).fit(train)
    curve.append(evaluation.evaluate(model, train, valid, metrics=("ndcg",)).mean("ndcg"))
best = weights[int(np.argmax(curve))]
print(f"best weight {best}: NDCG@10 {max(curve):.4f} on validation, {curve[0]:.4f} without the second step")

# %% The item before the last helps, up to a weight of about one
plots.lines({"TwoSteps": (weights, curve)}, "weight w of the second step", "NDCG@10 on validation")

# %% [markdown]
# ## Measure it
#
# Now the test part, once, beside Popularity and MarkovChain. `also_seen=valid` adds the validation item to
# each history, since it came before the test item. The rules by which the shop was made are known, so the
# best that any model can do is known too.

# %%
chosen = TwoSteps(best).fit(train)
measured = {
    name: evaluation.evaluate(model, train, test, also_seen=valid, metrics=("ndcg",))
    for name, model in {
        "Popularity": Popularity().fit(train),
        "MarkovChain": MarkovChain().fit(train),
        "TwoSteps": chosen,
    }.items()
}
print(evaluation.differences(measured, "MarkovChain", "ndcg").text())
histories = data.concatenate(train, valid).histories()
limit = shop.best_possible(test, histories).ndcg

# %% One more line of counts is worth more than chance explains, and there is room left
plots.comparison(
    {name: (e.mean("ndcg"), *e.interval("ndcg")) for name, e in measured.items()},
    reference={"best possible": limit},
)

# %% [markdown]
# [Lesson 12](12_evaluation.md) explains the table. In short: the bracket holds the differences that fit the
# data, and for TwoSteps it lies above zero as a whole; and `p`, how often chance alone would make a
# difference as large, is small. So the second step helps, a little. (In the figure the bars of the two
# models overlap, but the table compares user by user, and that shows smaller differences.)
#
# A model of counts explains itself: each score is a sum whose parts are known. For one user of the shop,
# the last two products, and how often each recommended one followed them:

# %%
user = 7
last, before = chosen.histories[user][-1], chosen.histories[user][-2]
title = [shop.products[i].title for i in range(chosen.n_items)]
print(f"the last:  {title[last]}\nthe other: {title[before]}\n")
for name in chosen.recommend(chosen.user_ids[user], k=4).items[0]:
    i = chosen.item_index[name]
    one_after, two_after = chosen.N1[last, i], chosen.N2[before, i]
    print(f"{title[i]:24} {one_after:2.0f} x right after the last, {two_after:.0f} x two after the other")

# %% [markdown]
# ## What goes wrong: a history that is one event too old
#
# Leave out `uses_histories = True`, and nothing fails. But then the evaluation asks `score(users)`, and
# that knows the *training* histories only. At test time the user has had one event more, the validation
# item, and for a chain the last item is what counts:


# %%
class Outdated(TwoSteps):
    uses_histories = False


outdated = Outdated(best).fit(train)
result = evaluation.evaluate(outdated, train, test, also_seen=valid, metrics=("ndcg",))
print(f"NDCG@10 {result.mean('ndcg'):.3f} in place of {measured['TwoSteps'].mean('ndcg'):.3f}")

# %% [markdown]
# (A model that has learned something for each user by number, such as a matrix factorization, is asked in
# this way, and rightly: for it `uses_histories` stays `False`.)
#
# ## In the command compare
#
# The command `python -m minirec compare` trains models, measures them and prints tables. It knows models by
# the names in `MODELS`, and their settings by those in `PRESETS`. Two lines add yours. (In a file of your
# own, end with `main()`: without arguments it takes them from the command line.) Here is the table of
# differences that it prints, the same as above:

# %%
MODELS["two-steps"] = TwoSteps
PRESETS["two-steps"] = {"": {"weight": best}}
with contextlib.redirect_stdout(io.StringIO()) as printed:
    main(["compare", "--data", "shop", "--models", "markov,two-steps", "--baseline", "markov", "--quiet"])
tables = printed.getvalue().split("\n\n")
print("\n".join(tables[-1].splitlines()[:3]))

# %% [markdown]
# ## Exercise
#
# TwoSteps knows the order, and nothing about taste. EASE (Steck 2019) knows taste. Let $X$ be the
# interaction matrix, 1 where a user has had an item and 0 elsewhere, $G = X^{\top} X$, and $\mathrm{Id}$
# the identity matrix. Let $P$ be the inverse of $G + \lambda\, \mathrm{Id}$, that is, the product of the
# two is $\mathrm{Id}$ (`np.linalg.inv`). The weights are $B_{ij} = -P_{ij} / P_{jj}$, zero on the diagonal,
# and the scores are the sum of those rows of $B$ that belong to the items of the history. Write
# `ease_weights(G, reg)`, where `reg` is $\lambda$, and check it:
#
# ```
# python -m minirec verify my_file.py:ease_weights --against ease_weights
# ```
#
# Then add $c$ times that sum as a third part of the score. Which $c$ is best on validation, and what does
# it gain on test?
#
# ## In practice
#
# Libraries have a contract of this kind too, under other names: `fit` and `predict` in Surprise, a class
# with `calculate_loss`, `predict` and `full_sort_predict` in RecBole. Rendle, Freudenthaler &
# Schmidt-Thieme (2010) factorize counts of what came next, for each user, so that pairs that were never
# seen get a score too.
