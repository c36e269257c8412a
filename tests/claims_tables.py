"""The tables and figures of tutorials/pages/claims.md, from what stands in tests/results/ml100k/.

Called by readme_tables.py. A difference is the mean over users of NDCG@10 of one model minus another one, of
the same users; models with several seeds count with their mean over seeds.
"""

import json
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from speed_tables import table

from minirec import plots
from minirec.evaluation.significance import bootstrap_means, interval, permutation_p_value
from minirec.functional import Array

STORED = Path(__file__).parent / "results" / "ml100k"
LABELS = {
    "popularity": "Popularity",
    "item-knn": "ItemKNN",
    "markov": "MarkovChain",
    "ease": "EASE",
    "als": "ImplicitALS",
    "mf-squared": "MatrixFactorization, squared error",
    "svdpp": "SVDPlusPlus",
    "mf": "BPR (MatrixFactorization)",
    "transformer": "TransformerRecommender",
    "sasrec-bce": "SASRec, BCE, one negative",
    "sasrec": "SASRec, softmax",
    "sasrec-gpt": "GPT (SASRec, softmax, plain residual)",
    "bert4rec": "BERT4Rec",
    "transformer-xl": "TransformerXL",
}
PROTOCOLS = {"full": "all items", "uniform": "100 uniform", "popular": "100 popular"}
Mean = tuple[float, float, float]


def stored(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((STORED / f"{name}.json").read_text(encoding="utf-8"))
    return content


def per_user(name: str, metric: str = "ndcg") -> Array:
    """(U,) the mean over seeds."""
    seeds = stored(name)["seeds"].values()
    return np.mean([run["per_user"][metric] for run in seeds], axis=0)


def newest(name: str, n: int) -> Array:
    """(U,) NDCG@10 of the trained model when it is shown the newest n items of each history."""
    return np.mean([run["newest"][str(n)] for run in stored(name)["seeds"].values()], axis=0)


def mean(values: Array) -> Mean:
    """The mean over users and its 95 % bootstrap interval."""
    return float(values.mean()), *interval(bootstrap_means(values, 0))


def cell(values: Array) -> str:
    return "{:.4f} [{:.4f}, {:.4f}]".format(*mean(values))


def signed(values: Array) -> str:
    return "{:+.4f} [{:+.4f}, {:+.4f}]".format(*mean(values))


def models() -> str:
    """The whole table: every model, full ranking."""
    rows = []
    for name, label in LABELS.items():
        runs = stored(name)["seeds"].values()
        minutes = max(run["seconds_of_training"] for run in runs) / 60
        time = f"{minutes:.1f} min" if minutes >= 1 else f"{60 * minutes:.1f} s"
        rows.append([label, str(len(runs)), cell(per_user(name, "hit_rate")), cell(per_user(name)), time])
    return table(["MovieLens 100K", "seeds", "HR@10", "NDCG@10", "training"], rows)


def pairs(chosen: Sequence[tuple[str, str]]) -> str:
    rows = []
    for a, b in chosen:
        d = per_user(a) - per_user(b)
        rows.append([f"{LABELS[a]} − {LABELS[b]}", signed(d), f"{permutation_p_value(d, 0):.4f}"])
    return table(["difference of NDCG@10", "mean [95 % interval]", "p"], rows)


def losses() -> str:
    """One architecture, four losses."""
    others = ("sasrec-bce", "sasrec-gbce", "sasrec-sampled")
    return pairs([("sasrec", other) for other in others if other in LABELS])


def architectures() -> str:
    """One loss, four architectures."""
    return pairs([("sasrec", other) for other in ("sasrec-gpt", "bert4rec", "transformer-xl", "transformer")])


def per_user_sampled(name: str, protocol: str) -> Array:
    """(U,) NDCG@10 of each user under a protocol, the mean over seeds."""
    if protocol == "full":
        return per_user(name)
    return np.mean([run["sampled"][protocol] for run in stored(name)["seeds"].values()], axis=0)


def order(a: Array, b: Array) -> int:
    """1 if a is better than b for sure, −1 if worse, 0 if the interval of the difference contains 0."""
    _, low, high = mean(a - b)
    return int(low > 0) - int(high < 0)


def reversed_pairs(full: Sequence[Array], sampled: Sequence[Array]) -> tuple[int, int, int]:
    """Of all pairs of models: in another order by their means; sure under both; sure and reversed."""
    other = both = sure = 0
    for i, j in combinations(range(len(full)), 2):
        other += (full[i] - full[j]).mean() * (sampled[i] - sampled[j]).mean() < 0
        one, two = order(full[i], full[j]), order(sampled[i], sampled[j])
        both += one * two != 0
        sure += one * two < 0
    return int(other), both, sure


def sampling() -> str:
    """NDCG@10 and the place of each model under three ways to choose what is ranked."""
    values = {p: [per_user_sampled(name, p) for name in LABELS] for p in PROTOCOLS}
    means = {p: np.array([v.mean() for v in of_models]) for p, of_models in values.items()}
    places = {p: np.argsort(np.argsort(-m, kind="stable")) + 1 for p, m in means.items()}
    rows = [
        [label, *(f"{means[p][i]:.3f} ({places[p][i]})" for p in PROTOCOLS)]
        for i, label in enumerate(LABELS.values())
    ]
    counts = {p: reversed_pairs(values["full"], values[p]) for p in ("uniform", "popular")}
    n = len(LABELS) * (len(LABELS) - 1) // 2
    rows.append([f"pairs in another order, of {n}", "", *(str(c[0]) for c in counts.values())])
    sure = [f"{sure} of {both}" for _, both, sure in counts.values()]
    rows.append(["sure under both, and the other way round", "", *sure])
    return table(["NDCG@10 (place), ranked against", *PROTOCOLS.values()], rows)


# The newest items that each can read: the length of its history; for TransformerXL what its state reaches.
REACH = {"sasrec": 200, "sasrec-gpt": 200, "bert4rec": 99, "transformer-xl": 150}
NEWEST = (1, 2, 5, 10, 20, 50, 100, 200)


def shown() -> str:
    """Trained on whole histories, asked with the newest items of each."""
    rows = [
        [str(n), *(cell(newest(name, n)) if n < 2 * reach else "" for name, reach in REACH.items())]
        for n in NEWEST
    ]
    return table(["newest items shown", *(LABELS[name] for name in REACH)], rows)


def verdict(d: Array) -> str:
    _, low, high = mean(d)
    return "yes" if low > 0 else "no, the opposite" if high < 0 else "not shown"


# (claim, model, the one that it is compared with): by what the claim says, not by who is best
CLAIMS = (
    ("Transformers recommend more accurately (2.3, 8.1)", "sasrec", "markov"),
    ("also than collaborative filtering (9.1: where data are rich)", "sasrec", "ease"),
    ("so does the document's own model (5.2)", "transformer", "markov"),
    ("what was published with one sampled negative does", "sasrec-bce", "markov"),
    ("reading in both directions is better", "bert4rec", "sasrec"),
    ("a memory and distances are better than positions", "transformer-xl", "sasrec"),
)


def verdicts() -> str:
    """One line for each claim: what was compared, the difference, and what follows."""
    rows = []
    for claim, a, b in CLAIMS:
        d = per_user(a) - per_user(b)
        rows.append([claim, f"{LABELS[a]} − {LABELS[b]}", signed(d), verdict(d)])
    return table(
        ["claim (section of the document)", "compared", "NDCG@10 [95 % interval]", "held here"], rows, 2
    )


SETTINGS = ("length", "num_layers", "num_heads", "hidden", "dropout", "lr", "epochs", "patience")


def settings() -> str:
    """What else differs between the sequence models than their names say."""
    rows = []
    for name in REACH | {"transformer": 0}:
        given = stored(name)["settings"]
        rows.append([LABELS[name], *("D" if given[key] is None else f"{given[key]:g}" for key in SETTINGS)])
    return table(["", *SETTINGS], rows)


def models_figure() -> Any:
    return plots.comparison({label: mean(per_user(name)) for name, label in LABELS.items()})


def shown_figure() -> Any:
    curves = {
        LABELS[name]: [(float(n), mean(newest(name, n))) for n in NEWEST if n < 2 * reach]
        for name, reach in REACH.items()
    }
    return plots.by_size(curves, "newest items of the history that are shown", "NDCG@10")


TABLES: dict[str, Callable[[], str]] = {
    "verdicts": verdicts,
    "models": models,
    "losses": losses,
    "architectures": architectures,
    "settings": settings,
    "sampling": sampling,
    "shown": shown,
}
FIGURES: dict[str, Callable[[], Any]] = {
    "ml100k-models": models_figure,
    "ml100k-shown": shown_figure,
}
