"""The demo: the whole path from interactions to recommendations, printed, and written as a report.

Data, split, three kinds of model, an honest table, a known user, a user never seen, and what the attention
looked at. Behind `python -m minirec demo`.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minirec
from minirec import evaluation, plots
from minirec.data import synthetic
from minirec.data.dataset import Dataset
from minirec.data.interactions import Interactions, concatenate
from minirec.data.named import open_dataset, shop_dataset
from minirec.data.shop import Shop
from minirec.data.splits import leave_one_out
from minirec.models import MatrixFactorization, Popularity, Recommender, TransformerRecommender
from minirec.models.presets import preset

METRICS = ("hit_rate", "ndcg", "mrr")
POPULARITY, SQUARED, BPR = "Popularity", "MatrixFactorization (squared)", "MatrixFactorization (bpr)"
TRANSFORMER = "TransformerRecommender"
WHY_SQUARED_RANKS_BADLY = (
    f"Why {SQUARED} ranks badly: it learned how high users rated the items that they chose, and nothing "
    "about which items they choose."
)
ATTENTION = "Weights say where the model looked, not why it decided."


class Parts(NamedTuple):
    data: Dataset
    train: Interactions
    valid: Interactions
    test: Interactions


def run(
    data: str = "shop",
    out: str | Path = "minirec-demo",
    *,
    dataset: Dataset | None = None,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, evaluation.Evaluation]:
    """Train, compare, recommend, and write `out`/report.md with its figures and the model.

    data     "shop" or "ml-100k", which also chooses the hyper-parameters
    dataset  the data themselves, where they are open already
    Returns the evaluations that the table shows. Raises what the loaders raise.
    """
    began = time.perf_counter()
    shop = synthetic(seed=seed) if data == "shop" else None
    dataset = shop_dataset(shop) if shop else dataset or open_dataset(data)
    parts = Parts(dataset, *leave_one_out(dataset.interactions))
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    say = Report(f"minirec demo: {dataset.name}", folder)
    say.only_written(
        "From interactions to recommendations: hide each user's last two events, train on the rest, compare "
        "the models on the last one, then recommend to a user that the model knows and to one that it has "
        f"never seen. Made by minirec {minirec.__version__} with seed {seed}; SHA-256 of the data "
        f"{dataset.digest[:16]}."
    )
    describe_data(say, parts)
    models = fit_all(parts, data, seed, progress)
    describe_training(say, models)
    evaluations = {
        name: evaluation.evaluate(model, parts.train, parts.test, also_seen=parts.valid, metrics=METRICS)
        for name, model in models.items()
    }
    compare(say, evaluations, shop, parts)
    transformer = models[TRANSFORMER]
    assert isinstance(transformer, TransformerRecommender)
    known = known_user(transformer, parts)
    recommend_known(say, transformer, parts, known)
    recommend_new(say, transformer, dataset)
    draw_embeddings(say, transformer, dataset)
    transformer.save(folder / "model.npz")
    say.section("Go on from here")
    say.code(next_command(folder / "model.npz", transformer.user_ids[known]))
    (folder / "report.md").write_text(say.markdown(), encoding="utf-8")
    print(f"\nWrote {folder / 'report.md'} with its figures, and the model {folder / 'model.npz'}.")
    print(f"The whole demo took {time.perf_counter() - began:.0f} s.")
    return evaluations


def describe_data(say: Report, parts: Parts) -> None:
    """What the data are, how they are split, and the interaction matrix as a figure."""
    train, valid, test = parts.train, parts.valid, parts.test
    say.section("The data")
    say.line(f"{parts.data.interactions.describe()}.")
    say.line(
        f"Split: each user's last event is for testing ({len(test):,}), the one before for validation "
        f"({len(valid):,}), the rest for training ({len(train):,})."
    )
    matrix = train.matrix()
    figure = plots.interaction_matrix(
        indptr=matrix.indptr, indices=matrix.indices, n_items=train.n_items, values=matrix.values, sort=True
    )
    caption = "The interaction matrix of the training data, the busiest users and items first."
    say.figure(figure, "interactions.svg", caption)


def fit_all(parts: Parts, data: str, seed: int, progress: bool) -> dict[str, Recommender]:
    """The models of the table, fitted; squared loss only where there are ratings."""
    models: dict[str, Recommender] = {POPULARITY: Popularity()}
    if parts.train.ratings is not None:
        models[SQUARED] = MatrixFactorization(**preset("mf-squared", data))
    models[BPR] = MatrixFactorization(**preset("mf", data))
    models[TRANSFORMER] = TransformerRecommender(**preset("transformer", data))
    for model in models.values():
        model.fit(parts.train, valid=parts.valid, rng=seed, progress=progress)
    return models


def describe_training(say: Report, models: dict[str, Recommender]) -> None:
    """Only in the report: how each training ended, and the loss curves."""
    logs = {name: model.log for name, model in models.items() if hasattr(model, "log")}
    say.section("Training", printed=False)
    for name, log in logs.items():
        say.only_written(f"- {name}: {len(log.losses)} epochs ({log.ended}).", blank=False)
    say.only_written("")
    figure = plots.loss_curves(
        {name: log.losses for name, log in logs.items()},
        {name: log.validation for name, log in logs.items() if log.validation},
    )
    caption = (
        "Training loss by epoch (each model has a loss of its own: compare the shapes, not the heights), and "
        "NDCG@10 on the validation events. A circle marks the best epoch, whose parameters are kept."
    )
    say.figure(figure, "losses.svg", caption)


def compare(
    say: Report, evaluations: dict[str, evaluation.Evaluation], shop: Shop | None, parts: Parts
) -> None:
    """The table, the paired difference of the two best kinds of model, and what could be reached at all."""
    say.section("Which model ranks the hidden item best?")
    say.table(evaluation.comparison_table(evaluations), evaluation.markdown_table(evaluations))
    say.only_written(
        "HR@10 is the share of users whose hidden item is among the first ten. NDCG@10 and MRR@10 also count "
        "at which rank it is: 1/log2(rank + 1) and 1/rank, and 0 beyond ten. Coverage is the share of all "
        "items that are recommended to somebody, novelty the mean of -log2(share of users who took the item)."
    )
    transformer, bpr = evaluations[TRANSFORMER], evaluations[BPR]
    difference, low, high = evaluation.paired_difference(transformer, bpr, "ndcg")
    say.line(
        f"NDCG@10 of {TRANSFORMER} minus {BPR}, user by user: {difference:+.4f} "
        f"[{low:+.4f}, {high:+.4f}] on average."
    )
    if SQUARED in evaluations and evaluations[SQUARED].mean("ndcg") < bpr.mean("ndcg"):
        say.line(WHY_SQUARED_RANKS_BADLY)
    reference = {}
    if shop is not None:
        histories = concatenate(parts.train, parts.valid).histories()
        best = shop.best_possible(parts.test, histories).ndcg
        from_history = shop.best_possible(parts.test, histories, know_taste=False).ndcg
        reference = {"best possible": best}
        say.line(
            f"The laws of this shop are known, so the best possible NDCG@10 is too: {best:.4f} for one who "
            f"also knows each user's taste, {from_history:.4f} for one who has only the user's history. "
            f"{TRANSFORMER} reaches {100 * transformer.mean('ndcg') / from_history:.0f} % of the latter."
        )
    results = {name: (e.mean("ndcg"), *e.interval("ndcg")) for name, e in evaluations.items()}
    caption = "NDCG@10 of each model on the hidden items, with 95 % bootstrap intervals over users."
    say.figure(plots.comparison(results, "NDCG@10", reference=reference), "comparison.svg", caption)


def known_user(model: Recommender, parts: Parts) -> int:
    """The first user with a hidden next item who has not met that item before; else the first user."""
    following = parts.valid.histories()
    found = (u for u, items in enumerate(following) if len(items) and items[0] not in model.histories[u])
    return next(found, 0)


def recommend_known(say: Report, model: TransformerRecommender, parts: Parts, user: int) -> None:
    """History, top five, what came next in truth, and what the attention looked at."""
    dataset, history, name = parts.data, model.histories[user], model.user_ids[user]
    say.section(f"A known user: {name}")
    newest = history[::-1][: min(10, model.length)]
    say.line(f"The newest {len(newest)} of {len(history)} items in the training history, newest first:")
    say.rows([label(dataset, model.item_ids[i]) for i in newest])
    items, scores = model.recommend([name], k=5)
    show_recommendations(say, dataset, items[0], scores[0])
    following = parts.valid.histories()[user]
    row = model.score(np.array([user]))[0]
    if len(following) and following[0] not in history:
        unseen = np.setdiff1d(np.arange(model.n_items), history)
        place = 1 + int(np.sum(row[unseen] > row[following[0]]))
        what = title(dataset, model.item_ids[following[0]])
        say.line(
            f"What the user took next, hidden in training, was {what}: the model puts it at place {place} of "
            f"the {len(unseen)} items that the user has not met."
        )
    top = np.array([model.item_index[i] for i in items[0] if i is not None], dtype=np.int64)
    if not len(top):
        return
    weights = model.attention_weights(history, top)[-1].mean(axis=0)  # (C, T), last block, mean over heads
    kept = history[-weights.shape[1] :]
    say.line(
        f"For {title(dataset, items[0][0])}, the attention (last block, mean over heads) shares a weight of "
        f"1 among the newest {len(kept)} items. Most went to:"
    )
    looked = np.argsort(-weights[0], kind="stable")[:3]
    say.rows([(*label(dataset, model.item_ids[kept[t]]), f"{weights[0, t]:.2f}") for t in looked])
    say.line(ATTENTION)
    shown = weights[:, -12:]
    figure = plots.attention_weights(
        shown,
        [title(dataset, model.item_ids[i]) for i in top],
        [title(dataset, model.item_ids[i]) for i in kept[-shown.shape[1] :]],
    )
    caption = (
        "How much each recommended item (rows) attends to the newest items of the history (columns, newest "
        f"on the right). {ATTENTION}"
    )
    say.figure(figure, "attention.svg", caption)


def recommend_new(say: Report, model: TransformerRecommender, dataset: Dataset) -> None:
    """The top five of a user who is not in the data, from three items."""
    three = typical_items(dataset, model)
    say.section("A user never seen, who has taken three items")
    say.rows([label(dataset, i) for i in three])
    items, scores = model.recommend_histories([three], k=5)
    show_recommendations(say, dataset, items[0], scores[0])


def show_recommendations(say: Report, dataset: Dataset, items: Sequence[Any], scores: Any) -> None:
    """A ranked list; rows without an item are left out."""
    say.line("The top five, with scores (only their order has a meaning):")
    pairs = zip(items, scores, strict=True)
    say.rows([(*label(dataset, item), f"{score:.2f}") for item, score in pairs if item is not None])


def typical_items(dataset: Dataset, model: Recommender) -> list[Any]:
    """The three most popular items of the most common category."""
    counts = np.bincount(np.concatenate(model.histories), minlength=model.n_items)
    of_items = categories(dataset, model.item_ids)
    common = max(sorted(set(of_items)), key=of_items.count)
    members = [i for i in np.argsort(-counts, kind="stable") if of_items[i] == common]
    return [model.item_ids[i] for i in members[:3]]


def draw_embeddings(say: Report, model: TransformerRecommender, dataset: Dataset) -> None:
    """Only in the report: the item embeddings in two dimensions."""
    E = model.network.item_embedding.E[1:]  # (I, D), without the padding row
    shares = plots.explained_variance(E)
    of_items = categories(dataset, model.item_ids)
    figure = plots.embedding_map(plots.principal_axes(E), of_items, shares=shares)
    caption = (
        f"The learned item embeddings on their first two principal axes, which hold {100 * sum(shares):.0f} "
        "% of the variance. A dot is an item, its color one of the larger categories, "
        "which the model was never told."
    )
    say.section("What the item embeddings learned", printed=False)
    say.figure(figure, "embeddings.svg", caption)


def next_command(path: Path, user: Any) -> str:
    """The command line that recommends to a user, quoted for a shell where that is needed."""
    between = "=" if str(user).startswith("-") else " "  # else argparse takes the id for an option
    option = f"--user{between}{shlex.quote(str(user))}"
    return f"python -m minirec recommend --model {shlex.quote(str(path))} {option}"


def title(dataset: Dataset, item: Any) -> str:
    """The title of an item, or its id where there is none."""
    return str(dataset.items[item]) if item in dataset.items else str(item)


def label(dataset: Dataset, item: Any) -> tuple[str, ...]:
    """The title, and the genres or the category where they are known."""
    info = dataset.items.get(item)
    return (title(dataset, item), ", ".join(info.genres)) if info and info.genres else (title(dataset, item),)


def categories(dataset: Dataset, item_ids: Sequence[Any]) -> list[str]:
    """The first genre or category of each item."""
    found = (dataset.items.get(item) for item in item_ids)
    return [info.genres[0] if info and info.genres else "unknown" for info in found]


class Report:
    """Prints as it goes and keeps the same as Markdown; figures are saved in `folder`, not printed."""

    def __init__(self, heading: str, folder: Path) -> None:
        self._folder = folder
        self._lines = [f"# {escaped(heading)}", ""]
        print(heading)

    def section(self, heading: str, *, printed: bool = True) -> None:
        self._add(f"## {escaped(heading)}", "")
        if printed:
            print(f"\n{heading}\n{'-' * len(heading)}")

    def line(self, text: str) -> None:
        self._add(escaped(text), "")
        print(text)

    def only_written(self, text: str, *, blank: bool = True) -> None:
        self._add(text, *([""] if blank and text else []))

    def rows(self, rows: Sequence[Sequence[str]]) -> None:
        """A numbered list, printed in columns."""
        width = max((len(row[0]) for row in rows), default=0)
        second = max((len(row[1]) for row in rows if len(row) > 2), default=0)
        digits = len(str(len(rows)))
        for n, row in enumerate(rows, 1):
            cells = [row[0].ljust(width), *(cell.ljust(second) for cell in row[1:-1]), *row[1:][-1:]]
            print(f"  {n:{digits}d}. {'  '.join(cells)}".rstrip())
        self._add(*(f"{n}. {escaped(' · '.join(row))}" for n, row in enumerate(rows, 1)), "")

    def table(self, text: str, markdown: str) -> None:
        self._add(markdown, "")
        print(text)

    def code(self, text: str) -> None:
        self._add("```sh", text, "```", "")
        print(f"  {text}")

    def figure(self, figure: Any, file: str, caption: str) -> None:
        plots.save(figure, self._folder / file)
        self._add(f"![{caption.partition('. ')[0]}]({file})", "", f"*{caption}*", "")

    def markdown(self) -> str:
        return "\n".join(self._lines)

    def _add(self, *lines: str) -> None:
        self._lines.extend(lines)


def escaped(text: str) -> str:
    """Text that Markdown shows as it stands: titles such as M*A*S*H keep their stars."""
    return re.sub(r"([\\`*_<>|#])", r"\\\1", text)
