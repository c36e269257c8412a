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
    "sasrec-gbce": "SASRec, gBCE, 256 negatives",
    "sasrec-sampled": "SASRec, sampled softmax, 256 negatives",
    "sasrec": "SASRec, softmax",
    "sasrec-gpt": "GPT (SASRec, softmax, plain residual)",
    "bert4rec": "BERT4Rec",
    "transformer-xl": "TransformerXL",
}
TRANSFORMERS = (
    "transformer",
    "sasrec-bce",
    "sasrec-gbce",
    "sasrec-sampled",
    "sasrec",
    "sasrec-gpt",
    "bert4rec",
    "transformer-xl",
)
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


def experiment(which: str, name: str, size: int | str) -> Array:
    """(U,) NDCG@10 in an experiment that trains anew."""
    return np.array(stored(f"experiment-{which}")["models"][name][str(size)]["ndcg"])


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


def seeds() -> str:
    """What another seed changes: NDCG@10 of each, where there are several."""
    rows = []
    for name, label in LABELS.items():
        runs = stored(name)["seeds"].values()
        if len(runs) > 1:
            for metric in ("HR@10", "NDCG@10"):
                values = [run["metrics"]["full"][metric][0] for run in runs]
                spread = f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
                rows.append([label, metric, spread, ", ".join(f"{v:.4f}" for v in values)])
    return table(["model", "metric", "mean ± standard deviation", "each seed"], rows, 2)


def pairs(chosen: Sequence[tuple[str, str]]) -> str:
    rows = []
    for a, b in chosen:
        d = per_user(a) - per_user(b)
        rows.append([f"{LABELS[a]} − {LABELS[b]}", signed(d), f"{permutation_p_value(d, 0):.4f}"])
    return table(["difference of NDCG@10", "mean [95 % interval]", "p"], rows)


def losses() -> str:
    """One architecture, four losses."""
    return pairs([("sasrec", other) for other in ("sasrec-bce", "sasrec-gbce", "sasrec-sampled")])


def architectures() -> str:
    """One loss, four architectures."""
    return pairs([("sasrec", other) for other in ("sasrec-gpt", "bert4rec", "transformer-xl", "transformer")])


def sampled_values() -> dict[str, list[float]]:
    """{protocol: NDCG@10 of each model}."""
    found: dict[str, list[float]] = {protocol: [] for protocol in PROTOCOLS}
    for name in LABELS:
        runs = stored(name)["seeds"].values()
        for protocol, values in found.items():
            values.append(float(np.mean([run["metrics"][protocol]["NDCG@10"][0] for run in runs])))
    return found


def reversed_pairs(full: Sequence[float], sampled: Sequence[float]) -> int:
    """How many pairs of models are in another order."""
    return sum(
        (full[i] - full[j]) * (sampled[i] - sampled[j]) < 0 for i, j in combinations(range(len(full)), 2)
    )


def sampling() -> str:
    """NDCG@10 and the place of each model under three ways to choose what is ranked."""
    values = sampled_values()
    places = {p: np.argsort(np.argsort(-np.array(v), kind="stable")) + 1 for p, v in values.items()}
    rows = [
        [label, *(f"{values[p][i]:.3f} ({places[p][i]})" for p in PROTOCOLS)]
        for i, label in enumerate(LABELS.values())
    ]
    n = len(LABELS) * (len(LABELS) - 1) // 2
    rows.append(
        [
            "pairs in another order",
            f"of {n}",
            *(str(reversed_pairs(values["full"], values[p])) for p in ("uniform", "popular")),
        ]
    )
    head = ["NDCG@10 (place), ranked against", *PROTOCOLS.values()]
    return table(head, rows)


NEWEST = (1, 2, 5, 10, 20, 50, 100, 200)
READERS = ("sasrec", "sasrec-gpt", "bert4rec", "transformer-xl")


def shown() -> str:
    """Trained on whole histories, asked with the newest items of each."""
    rows = [[str(n), *(cell(newest(name, n)) for name in READERS)] for n in NEWEST]
    return table(["newest items shown", *(LABELS[name] for name in READERS)], rows)


def lengths() -> str:
    """Trained with less in sight."""
    rows = []
    for name, unit in (("sasrec", "T"), ("transformer-xl", "segments of 25, memory")):
        for size in stored("experiment-length")["models"][name]:
            rows.append([f"{LABELS[name]}, {unit} = {size}", cell(experiment("length", name, size))])
    return table(["trained with", "NDCG@10"], rows)


def by_size(which: str, unit: str) -> str:
    found = stored(f"experiment-{which}")["models"]
    first = next(iter(found.values()))
    rows = [
        [
            f"{int(size):,}",
            f"{row['events']:,}",
            *(f"{experiment(which, name, size).mean():.4f}" for name in found),
        ]
        for size, row in first.items()
    ]
    return table([unit, "events", *(LABELS[name] for name in found)], rows)


def users() -> str:
    return by_size("users", "users learned from")


def events() -> str:
    return by_size("events", "newest events of each user")


def against(which: str, a: str, b: str) -> str:
    """The difference of two models at each size."""
    rows = [
        [f"{int(size):,}", signed(experiment(which, a, size) - experiment(which, b, size))]
        for size in stored(f"experiment-{which}")["models"][a]
    ]
    return table(["size", f"{LABELS[a]} − {LABELS[b]}"], rows)


def users_difference() -> str:
    return against("users", "sasrec", "markov")


def events_difference() -> str:
    return against("events", "sasrec", "ease")


def verdict(d: Array) -> str:
    _, low, high = mean(d)
    return "yes" if low > 0 else "no, the opposite" if high < 0 else "not shown"


def best(names: Sequence[str]) -> str:
    return max(names, key=lambda name: float(per_user(name).mean()))


def verdicts() -> str:
    """One line for each claim: what was compared, the difference, and what follows."""
    others = [name for name in LABELS if name not in TRANSFORMERS]
    top, rival = best(TRANSFORMERS), best(others)
    few, many = (list(stored("experiment-users")["models"]["sasrec"])[i] for i in (0, -1))
    short, long = (list(stored("experiment-events")["models"]["sasrec"])[i] for i in (0, -1))
    rows: list[tuple[str, str, Array]] = [
        (
            "Transformers recommend more accurately (2.3, 8.1)",
            f"{LABELS[top]} − {LABELS[rival]}",
            per_user(top) - per_user(rival),
        ),
        (
            "so does the document's own model (5.2)",
            f"{LABELS['transformer']} − {LABELS[rival]}",
            per_user("transformer") - per_user(rival),
        ),
        (
            "long-range dependencies help (3.1, 3.3)",
            "SASRec shown 200 items − shown the newest 20",
            newest("sasrec", 200) - newest("sasrec", 20),
        ),
        (
            "they learn from little data (2.2, 3.3)",
            f"SASRec − MarkovChain, both from {few} users",
            experiment("users", "sasrec", few) - experiment("users", "markov", few),
        ),
        (
            "they need much data (8.3)",
            f"SASRec from {many} users − from {few}",
            experiment("users", "sasrec", many) - experiment("users", "sasrec", few),
        ),
        (
            "sparse data: rather collaborative filtering (9.1)",
            f"EASE − SASRec, {short} events per user",
            experiment("events", "ease", short) - experiment("events", "sasrec", short),
        ),
        (
            "rich data: rather a Transformer (9.1)",
            "SASRec − EASE, all events",
            experiment("events", "sasrec", long) - experiment("events", "ease", long),
        ),
        ("the loss matters", "SASRec, softmax − BCE", per_user("sasrec") - per_user("sasrec-bce")),
        (
            "reading in both directions is better",
            "BERT4Rec − SASRec, both softmax",
            per_user("bert4rec") - per_user("sasrec"),
        ),
    ]
    return table(
        ["claim (section of the document)", "compared", "NDCG@10 [95 % interval]", "held here"],
        [[claim, compared, signed(d), verdict(d)] for claim, compared, d in rows],
        2,
    )


def _curves(which: str, names: Sequence[str]) -> dict[str, list[tuple[float, Mean]]]:
    found = stored(f"experiment-{which}")["models"]
    return {
        LABELS[name]: [(row["events"] / 943, mean(np.array(row["ndcg"]))) for row in found[name].values()]
        for name in names
    }


def models_figure() -> Any:
    return plots.comparison({label: mean(per_user(name)) for name, label in LABELS.items()})


def users_figure() -> Any:
    curves = _curves("users", ("popularity", "markov", "ease", "als", "sasrec"))
    curves = {name: [(x * 943, y) for x, y in curve] for name, curve in curves.items()}
    return plots.by_size(curves, "events learned from", "NDCG@10")


def events_figure() -> Any:
    curves = _curves("events", ("popularity", "item-knn", "markov", "ease", "als", "sasrec"))
    return plots.by_size(curves, "training events per user", "NDCG@10")


def shown_figure() -> Any:
    curves = {LABELS[name]: [(float(n), mean(newest(name, n))) for n in NEWEST] for name in READERS}
    return plots.by_size(curves, "newest items of the history that are shown", "NDCG@10")


TABLES: dict[str, Callable[[], str]] = {
    "verdicts": verdicts,
    "models": models,
    "seeds": seeds,
    "losses": losses,
    "architectures": architectures,
    "sampling": sampling,
    "shown": shown,
    "lengths": lengths,
    "users": users,
    "users_difference": users_difference,
    "events": events,
    "events_difference": events_difference,
}
FIGURES: dict[str, Callable[[], Any]] = {
    "ml100k-models": models_figure,
    "ml100k-users": users_figure,
    "ml100k-events": events_figure,
    "ml100k-shown": shown_figure,
}
