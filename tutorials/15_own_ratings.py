# %% [markdown]
# # Read your own ratings file, and get recommendations from it
#
# - **You will do:** read a file as it comes out of a spreadsheet; mend one that has mistakes; split, fit,
#   measure and recommend; then do the same from the command line.
# - **You will learn:** what is kept exactly as it stands in the file, what is refused and how the messages
#   help, and what to decide before the first model is trained.
# - **You need:** [what an interaction matrix is](01_interactions.md), and [how recommendations are
#   measured](12_evaluation.md).
#
# Section 3.2 of "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?, 禅与计算机程序设计艺术) begins
# with one step for all of this: clean, convert and encode the data. It says no more about it, and more
# recommenders go wrong there than in the model.

# %%
import os
import tempfile

import numpy as np

from minirec import data, evaluation, metrics, plots
from minirec.cli import main
from minirec.data import RatingsFileError
from minirec.models import EASE, ItemKNN, MarkovChain, Popularity, Recommender
from minirec.verify import agree

folder = tempfile.TemporaryDirectory()  # this lesson writes its files there, and removes them at the end
home = os.getcwd()
os.chdir(folder.name)

# %% [markdown]
# ## A small file, as it comes
#
# A tea room has noted who ordered what, when, and how many stars it got. The file has much of what real
# files have: semicolons between the columns, line ends of Windows (two characters, `\r\n`), an invisible
# mark at its beginning that spreadsheets write (`utf-8-sig`), a name with a semicolon in it (in quotes),
# and rows in no order.

# %%
text = """\
who;what;stars;when
007;green tea;4;1700003600
Zoë;"scone; two";5;1700000000
7;green tea;3;1700010000
Zoë;green tea;2;1700007200
007;"scone; two";5;1700000000
O'Hara, M.;Earl Grey;5;1700001800
Zoë;Earl Grey;4;1700009000
7;Earl Grey;5;1700004000
"""
with open("orders.csv", "wb") as file:
    file.write(text.replace("\n", "\r\n").encode("utf-8-sig"))

dataset = data.read_delimited("orders.csv", user="who", item="what", rating="stars", timestamp="when")
orders = dataset.interactions
print(orders.describe())
print("users:", orders.user_ids)
print("items:", orders.item_ids)

# %% [markdown]
# An id is the exact text of its field. 007 and 7 are two guests, as they may well be; a program that takes
# ids for numbers makes them one. The semicolon was found from the header. The column `when` counts the
# seconds since the beginning of 1970, as most systems do. It gives the *history* of each guest, oldest
# first, whatever the order of the rows. (The last figure above says how often the order of two events of a
# guest is not known, since they have the same second. Inside, ids become the numbers 0, 1, ... of a sorted
# list.)

# %%
for user, history in zip(orders.user_ids, orders.histories(), strict=True):
    print(f"{user:11}", " -> ".join(orders.item_ids[i] for i in history))

# %% What the file says, as an interaction matrix: white is not zero stars, it is no order
R = orders.matrix()
plots.interaction_matrix(
    R.dense(),
    user_labels=orders.user_ids,
    item_labels=orders.item_ids,
    user_word="guest",
    item_word="product",
    value_label="stars",
)

# %% [markdown]
# How full the matrix is decides much of what can be learned. With $R$ of shape $(U, I)$ the *density* is
#
# $$
# \frac{|\{(u, i) : R_{ui} \text{ is stored}\}|}{U\, I}
# $$
#
# Stored are the cells of which the file speaks: here 8 of $4 \cdot 3$. Real files are far emptier, often
# with less than one cell in a hundred.

# %%
agree("density", R.density, 8 / (4 * 3))

# %% [markdown]
# If the columns have usual names (user_id, item_id, product_id, rating, timestamp and the like),
# `data.load_dataset("file.csv")` finds them without help. Ratings and times may be missing: without ratings
# each row is an event, without times the order of the rows is the order in time.
#
# ## When the file has a mistake
#
# A reader that guesses is dangerous: it drops a row, reads a rating of 4,5 as 45, and nobody notices. Here
# a fault ends the reading with one line that says where it is, what is there, and what to do. A few
# mistakes, each in a file of its own:


# %%
def attempt(rows, header="user,item,rating,timestamp", encoding="utf-8", **options):
    """Write a file with these rows, read it, and print what it holds or what is wrong with it."""
    with open("broken.csv", "w", encoding=encoding) as file:
        file.writelines(line + "\n" for line in [header, *rows] if line)
    try:
        print("read:", data.load_dataset("broken.csv", **options).interactions)
    except RatingsFileError as error:
        print(error)


good = "ann,tea,5,1700000000"
attempt([good, "bob,tea,4"])
attempt([good, "bob,cake, with cream,4,1700000100"])
attempt([good.replace(",", ";"), "bob;tea;4,5;1700000100"], header="user;item;rating;timestamp")
attempt([good, "bob,tea,nan,1700000100"])
attempt([good, ",tea,4,1700000100"])
attempt([good, "bob,tea,4,2024-03-01"])

# %% [markdown]
# Each is mended in the file, or in the program that writes it. The second needs quotes: `bob,"cake, with
# cream",4,1700000100`. The last one needs seconds since 1970, which NumPy can compute:

# %%
moment = np.datetime64("2024-03-01T14:30").astype("datetime64[s]").astype(int)
print(moment)

# %% [markdown]
# Other faults are those of the file as a whole: a header that says nothing, no header at all, and two wrong
# *encodings* (which bytes stand for which letter; today mostly UTF-8, in older files often Latin-1, from
# some programs UTF-16):

# %%
attempt([good], header="a,b,c,d")
attempt([good], header="")
attempt(["Zoë,tea,5,1700000000"], encoding="latin-1")
attempt(["Zoë,tea,5,1700000000"], encoding="utf-16")

# %% [markdown]
# The first is read when the columns are named, as in `user="a"`; the second by `data.read_delimited` with
# `header=False` and columns counted from 0; the third with `encoding="latin-1"`, and the fourth once it is
# saved as UTF-8.
#
# One thing is no fault, but a decision: the same guest, the same tea, twice. Did somebody order again, or
# change a rating? Nobody can see that from the file, so it has to be said: `duplicates="keep"` for orders,
# `"last"` for ratings.

# %%
twice = [good, "ann,cake,3,1700000050", "ann,tea,2,1700000100"]
attempt(twice)
attempt(twice, duplicates="keep")
attempt(twice, duplicates="last")

# %% [markdown]
# ## A file to learn from
#
# Eight rows teach nothing. So here is a larger file: 300 customers and 120 products of the synthetic shop,
# 6,000 events in random order, with ids as a shop might have them. A second file has the titles.

# %%
shop = data.synthetic(n_users=300, n_items=120, n_events=6000, seed=5)
events = shop.interactions
with open("shop.csv", "w", encoding="utf-8") as file:
    file.write("customer_id,product_id,rating,timestamp\n")
    for row in np.random.default_rng(0).permutation(len(events)):  # all rows, shuffled
        customer, product = 1000 + 7 * events.users[row], shop.products[events.items[row]].id.upper()
        file.write(f"C-{customer},{product},{events.ratings[row]:.0f},{events.timestamps[row]}\n")
with open("products.csv", "w", encoding="utf-8") as file:
    file.write("id,title,category\n")
    file.writelines(f'{p.id.upper()},"{p.title}",{p.category}\n' for p in shop.products)

dataset = data.load_dataset("shop.csv")
titles = data.read_items("products.csv", id="id", title="title", genres="category")
dataset = data.with_items(dataset, titles)
print(dataset.interactions.describe())

# %% [markdown]
# ## Split before you look
#
# Each customer's last event is hidden for the test, the one before it for choices, the rest is learned
# from. Customers with fewer than three events are learned from only.

# %%
train, valid, test = data.leave_one_out(dataset.interactions)
for name, part in {"train": train, "validation": valid, "test": test}.items():
    print(f"{name:10} {len(part):5} events of {len(np.unique(part.users))} customers")

# %% [markdown]
# Fit four models that need no training time to speak of: what is popular; products that the same customers
# took (ItemKNN, EASE); and what came next after the last product (MarkovChain). Choose among them on the
# validation part. NDCG@10 is 1 where the hidden product is first in the list, less further down, 0 beyond
# rank ten.

# %%
makers = {
    "Popularity": Popularity,
    "ItemKNN": lambda: ItemKNN(neighbors=20),  # each product has 20 neighbors
    "EASE": lambda: EASE(reg=50.0),  # reg keeps its weights small
    "MarkovChain": MarkovChain,
}
fitted = {name: make().fit(train, progress=False) for name, make in makers.items()}
on_valid = {
    name: evaluation.evaluate(model, train, valid, metrics=("ndcg",)).mean("ndcg")
    for name, model in fitted.items()
}
chosen = max(on_valid, key=on_valid.get)
for name, value in on_valid.items():
    print(f"{name:12} NDCG@10 {value:.3f} on validation{'   <- chosen' if name == chosen else ''}")

# %% [markdown]
# Then measure on the test part, where the validation event is known already (`also_seen`):

# %% All four on the test part: the choice holds, and the bars say how sure that is with 300 customers
on_test = {
    name: evaluation.evaluate(model, train, test, also_seen=valid, metrics=("ndcg",))
    for name, model in fitted.items()
}
plots.comparison({name: (e.mean("ndcg"), *e.interval("ndcg")) for name, e in on_test.items()})

# %% [markdown]
# Why hide anything? Here the chosen model is asked for the last event that it has *learned* from, after the
# events before it:

# %%
learned = []
for history in train.histories():
    row = fitted[chosen].score_histories([history[:-1]])[0]
    row[history[:-1]] = -np.inf  # what was had is no candidate
    learned.append(metrics.ndcg(row, [history[-1]], 10))
hidden = on_test[chosen].mean("ndcg")
print(f"NDCG@10 {np.mean(learned):.2f} on what was learned, {hidden:.2f} on what was hidden")

# %% [markdown]
# ## Recommend
#
# For real use fit the chosen model once more, on everything. Customers are asked for by their own ids;
# somebody new by what they have taken, oldest first. What was had already is left out.

# %%
model = makers[chosen]().fit(dataset.interactions, progress=False)
customer, taken = "C-1049", ["P0003", "P0017"]
newest = model.item_ids[model.histories[model.user_index[customer]][-1]]  # the customer's last product
for who, last, found in (
    (customer, newest, model.recommend([customer], k=3)),
    ("somebody new", taken[-1], model.recommend_histories([taken], k=3)),
):
    print(f"{who}, last: {model.titles[last]}")
    for product, score in zip(found.items[0], found.scores[0], strict=True):
        print(f"  {score:6.3f}  {product}  {model.titles[product]}")
assert (chosen, model.titles[newest][-7:]) == ("MarkovChain", "planter")  # as the text below says
top = model.recommend([customer], k=1).scores[0][0]

# %% [markdown]
# Scores of a Markov chain are counts: {{top:.0f}} customers took the first product right after that
# planter. (A millionth of its popularity is added, which decides between equal counts.) In general scores
# have no unit, and only their order has a meaning. A model is one file, ids and titles included:

# %%
model.save("model.npz")
same = (
    Recommender.load("model.npz").recommend([customer], k=3).items == model.recommend([customer], k=3).items
)
print("the same recommendations after loading:", same)
try:
    model.recommend(["C-1"])
except KeyError as error:
    print(error)

# %% [markdown]
# ## The same from the command line
#
# Each command is shown with what it prints; a wrong input ends with one line, as above. `train` learns from
# the training part only and measures on the test part, so its lists may differ from those above. The words
# in its table are those of [lesson 12](12_evaluation.md); the *digest* is a fingerprint of the data, by
# which one can see later that a figure belongs to this file.


# %%
def run(command):
    print(f"$ python -m minirec {command}")
    main(command.split())
    print()


run("data shop.csv")
run("train --data shop.csv --model markov --out runs/markov --quiet")
run("recommend --model runs/markov/model.npz --user C-1049 -k 3")
run("recommend --model runs/markov/model.npz --history P0003,P0017 -k 3")

# %% [markdown]
# And which model is best, with intervals, differences and p values, or measured on the last tenth of the
# time (`--protocol temporal`), or with settings searched at random (`--tune`):
#
# ```
# python -m minirec compare --data shop.csv --models popularity,item-knn,ease,markov,sasrec --out runs/compared
# ```
#
# For other names of columns there are `--user-column`, `--item-column`, `--rating-column` and
# `--timestamp-column`; `--duplicates` and `--encoding` are the same as above.

# %%
os.chdir(home)
folder.cleanup()

# %% [markdown]
# ## Exercise
#
# How much of your catalogue does a model recommend to anybody at all? Write `coverage(recommended,
# n_items)`: the share of all items that stand in at least one list, where `recommended` has one list of
# item numbers per user. Check it:
#
# ```
# python -m minirec verify my_file.py:coverage --against coverage
# ```
#
# Then take a file of your own through this page. Which of its columns is the time, and is it in seconds?
# What is the coverage of popularity, and of the model that you choose?
#
# ## In practice
#
# pandas reads a column of digits as numbers unless it is told otherwise, which is how 007 becomes 7. Data
# sets are often cut to users and items with at least five events ("5-core") before they are split: that
# removes those who are hardest to serve, so say so beside every figure. And look at the share of events
# with equal times before you trust an order: in MovieLens 100K it is about half, as `python -m minirec data
# ml-100k` prints, and there the order of the rows decides.
