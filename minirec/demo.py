"""The demo: the whole path from interactions to recommendations, printed, and written as a report.

Data, split, three kinds of model, an honest table, a known user, a user never seen, and what the attention
looked at. Behind `python -m minirec demo`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

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
SQUARED = (
    "MatrixFactorization (squared) predicts ratings and ranks badly: it learned from the items that users "
    "chose to rate, and never that they passed all the others by."
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
    say = Report(f"minirec demo: {dataset.name}")

    say.section("The data")
    say.line(f"{dataset.interactions.describe()}.")
    say.line(
        "Split: each user's last event is for testing, the one before for validation, the rest for training."
    )

    models = fit_all(parts, data, seed, progress)
    evaluations = {
        name: evaluation.evaluate(model, parts.train, parts.test, also_seen=parts.valid, metrics=METRICS)
        for name, model in models.items()
    }
    say.section("Which model ranks the hidden item best?")
    say.table(evaluation.comparison_table(evaluations), evaluation.markdown_table(evaluations))
    reference = best_possible(say, shop, parts)
    if "MatrixFactorization (squared)" in models:
        say.line(SQUARED)
    transformer = models["TransformerRecommender"]
    assert isinstance(transformer, TransformerRecommender)
    recommend(say, transformer, dataset)
    figures(say, folder, parts, models, evaluations, reference)
    transformer.save(folder / "model.npz")
    say.section("Go on from here")
    known = dataset.interactions.user_ids[0]
    say.code(f"python -m minirec recommend --model {folder / 'model.npz'} --user {known}")
    (folder / "report.md").write_text(say.markdown(), encoding="utf-8")
    print(f"\nWrote {folder / 'report.md'} with its figures, and the model {folder / 'model.npz'}.")
    print(f"The whole demo took {time.perf_counter() - began:.0f} s.")
    return evaluations


def fit_all(parts: Parts, data: str, seed: int, progress: bool) -> dict[str, Recommender]:
    """The models of the table, fitted; squared loss only where there are ratings."""
    models: dict[str, Recommender] = {"Popularity": Popularity()}
    if parts.train.ratings is not None:
        models["MatrixFactorization (squared)"] = MatrixFactorization(**preset("mf-squared", data))
    models["MatrixFactorization (bpr)"] = MatrixFactorization(**preset("mf", data))
    models["TransformerRecommender"] = TransformerRecommender(**preset("transformer", data))
    for model in models.values():
        model.fit(parts.train, valid=parts.valid, rng=seed, progress=progress)
    return models


def best_possible(say: Report, shop: Shop | None, parts: Parts) -> dict[str, float]:
    """The shop's truth is known: what the best possible ranking reaches on the same test events."""
    if shop is None:
        return {}
    histories = concatenate(parts.train, parts.valid).histories()
    best = shop.best_possible(parts.test, histories)
    from_history = shop.best_possible(parts.test, histories, know_taste=False)
    say.line(
        f"The best possible NDCG@10 in this shop is {best.ndcg:.4f} for one who knows every user's taste, and "
        f"{from_history.ndcg:.4f} for one who knows the laws of the shop but of a user only the history."
    )
    return {"best possible": best.ndcg}


def recommend(say: Report, model: TransformerRecommender, dataset: Dataset) -> None:
    """A known user, what the attention looked at, and a user never seen."""
    user = 0
    history = model.histories[user]
    name = model.user_ids[user]
    say.section(f"A known user: {name}")
    say.line(f"The last of {len(history)} items in the training history, newest first:")
    say.items([title(dataset, model.item_ids[i]) for i in history[::-1][:5]])
    items, scores = model.recommend([name], k=5)
    say.line("The top five:")
    say.items(
        [f"{title(dataset, i)}  {s:.2f}" for i, s in zip(items[0], scores[0], strict=True) if i is not None]
    )
    top = np.array([model.item_index[i] for i in items[0] if i is not None])
    weights = model.attention_weights(history, top)[-1].mean(axis=0)  # (C, T), last block, mean over heads
    kept = history[-weights.shape[1] :]
    looked = np.argsort(-weights[0])[:3]
    say.line(f"For the first of them the attention looked most at ({ATTENTION.lower()[:-1]}):")
    say.items([f"{title(dataset, model.item_ids[kept[t]])}  {weights[0, t]:.2f}" for t in looked])

    three = typical_items(dataset, model)
    say.section("A user never seen, who has taken three items")
    say.items([title(dataset, i) for i in three])
    items, scores = model.recommend_histories([three], k=5)
    say.line("The top five:")
    say.items(
        [f"{title(dataset, i)}  {s:.2f}" for i, s in zip(items[0], scores[0], strict=True) if i is not None]
    )


def typical_items(dataset: Dataset, model: Recommender) -> list[str]:
    """The three most popular items of the most common category."""
    counts = np.bincount(np.concatenate(model.histories), minlength=model.n_items)
    of_items = categories(dataset, model.item_ids)
    common = max(sorted(set(of_items)), key=of_items.count)
    members = [i for i in np.argsort(-counts, kind="stable") if of_items[i] == common]
    return [model.item_ids[i] for i in members[:3]]


def figures(
    say: Report,
    folder: Path,
    parts: Parts,
    models: dict[str, Recommender],
    evaluations: dict[str, evaluation.Evaluation],
    reference: dict[str, float],
) -> None:
    """Five figures, written beside the report."""
    dataset, train = parts.data, parts.train
    say.section("Figures")
    results = {name: (e.mean("ndcg"), *e.interval("ndcg")) for name, e in evaluations.items()}
    plots.save(plots.comparison(results, "NDCG@10", reference=reference), folder / "comparison.svg")
    say.figure("comparison.svg", "NDCG@10 of each model on the hidden items, with 95 % intervals.")
    matrix = train.matrix()
    figure = plots.interaction_matrix(
        indptr=matrix.indptr, indices=matrix.indices, n_items=train.n_items, values=matrix.values, sort=True
    )
    plots.save(figure, folder / "interactions.svg")
    say.figure(
        "interactions.svg", "The interaction matrix of the training data, busiest users and items first."
    )
    logs = {name: model.log for name, model in models.items() if hasattr(model, "log")}
    figure = plots.loss_curves(
        {name: log.losses for name, log in logs.items()},
        {name: log.validation for name, log in logs.items() if log.validation},
    )
    plots.save(figure, folder / "losses.svg")
    say.figure(
        "losses.svg", "Training loss and validation NDCG@10 by epoch. The losses differ: compare shapes only."
    )
    model = models["TransformerRecommender"]
    assert isinstance(model, TransformerRecommender)
    plots.save(attention_figure(model, dataset), folder / "attention.svg")
    say.figure(
        "attention.svg",
        f"How much each recommended item attends to the newest items of the history. {ATTENTION}",
    )
    E = model.network.item_embedding.E[1:]  # (I, D), without the padding row
    figure = plots.embedding_map(
        plots.principal_axes(E), categories(dataset, model.item_ids), shares=plots.explained_variance(E)
    )
    plots.save(figure, folder / "embeddings.svg")
    say.figure("embeddings.svg", "The learned item embeddings on their first two principal axes.")


def attention_figure(model: TransformerRecommender, dataset: Dataset, newest: int = 12) -> Any:
    """The top five of the first user against the newest items of the history, last block, mean over heads."""
    history = model.histories[0]
    items, _ = model.recommend([model.user_ids[0]], k=5)
    top = np.array([model.item_index[i] for i in items[0] if i is not None])
    weights = model.attention_weights(history, top)[-1].mean(axis=0)[:, -newest:]
    return plots.attention_weights(
        weights,
        [title(dataset, model.item_ids[i]) for i in top],
        [title(dataset, model.item_ids[i]) for i in history[-weights.shape[1] :]],
    )


def title(dataset: Dataset, item: str) -> str:
    """The title of an item, or its id where there is none."""
    return str(dataset.items[item]) if item in dataset.items else str(item)


def categories(dataset: Dataset, item_ids: Sequence[str]) -> list[str]:
    """The first genre or category of each item."""
    found = (dataset.items.get(item) for item in item_ids)
    return [info.genres[0] if info and info.genres else "unknown" for info in found]


class Report:
    """Prints as it goes, and keeps the same as Markdown."""

    def __init__(self, heading: str) -> None:
        self._lines = [f"# {heading}", ""]
        print(heading)

    def section(self, heading: str) -> None:
        self._add(f"## {heading}", "")
        print(f"\n{heading}\n{'-' * len(heading)}")

    def line(self, text: str) -> None:
        self._add(text, "")
        print(text)

    def items(self, texts: Sequence[str]) -> None:
        self._add(*(f"{n}. {text}" for n, text in enumerate(texts, 1)), "")
        print("\n".join(f"  {n}. {text}" for n, text in enumerate(texts, 1)))

    def table(self, text: str, markdown: str) -> None:
        self._add(markdown, "")
        print(text)

    def code(self, text: str) -> None:
        self._add("```", text, "```", "")
        print(f"  {text}")

    def figure(self, file: str, caption: str) -> None:
        self._add(f"![{caption}]({file})", "", caption, "")

    def markdown(self) -> str:
        return "\n".join(self._lines)

    def _add(self, *lines: str) -> None:
        self._lines.extend(lines)
