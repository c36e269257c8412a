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
from minirec.evaluation.significance import bootstrap_means, holm, interval, permutation_p_value
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
    """(U,) NDCG@10 in an experiment that trains anew (make_experiments.py)."""
    return np.array(stored(f"experiment-{which}")["models"][name][str(size)]["ndcg"])


def sizes(which: str, name: str) -> list[int]:
    """The sizes at which a model was trained in an experiment, in rising order."""
    return [int(size) for size in stored(f"experiment-{which}")["models"][name]]


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
    """What another seed changes, where there are several."""
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


def lengths() -> str:
    """Trained with less in sight."""
    rows = [
        [with_what.format(n), cell(experiment("length", name, n))]
        for name, with_what in (
            ("sasrec", "SASRec, the newest {} items"),
            ("transformer-xl", "TransformerXL, segments of 50, memory {}"),
        )
        for n in sizes("length", name)
    ]
    return table(["trained and asked with", "NDCG@10"], rows)


def by_size(which: str, unit: str) -> str:
    found = stored(f"experiment-{which}")["models"]
    rows = []
    for size, row in found["popularity"].items():
        means = (experiment(which, name, size).mean() for name in found)
        rows.append([f"{int(size):,}", f"{row['events']:,}", *(f"{value:.4f}" for value in means)])
    return table([unit, "events", *(LABELS[name] for name in found)], rows)


def users() -> str:
    return by_size("users", "users learned from")


def draws() -> str:
    """What another choice of the users changes."""
    rows = []
    for name in stored("experiment-draws")["models"]:
        means = [experiment("draws", name, seed).mean() for seed in sizes("draws", name)]
        spread = f"{np.mean(means):.4f} ± {np.std(means, ddof=1):.4f}"
        rows.append([LABELS[name], str(len(means)), spread, f"{min(means):.4f}", f"{max(means):.4f}"])
    return table(
        ["learned from the fewest users", "draws", "NDCG@10, mean ± standard deviation", "least", "most"],
        rows,
    )


def events() -> str:
    return by_size("events", "newest events of each user")


def against(which: str, unit: str, name: str, others: Sequence[str]) -> str:
    """The differences of one model and others at each size."""
    rows = []
    for n in sizes(which, name):
        differences = (experiment(which, name, n) - experiment(which, other, n) for other in others)
        rows.append([f"{n:,}", *(signed(d) for d in differences)])
    return table([unit, *(f"{LABELS[name]} − {LABELS[other]}" for other in others)], rows)


def users_difference() -> str:
    return against("users", "users learned from", "sasrec", ("markov", "als"))


def events_difference() -> str:
    return against("events", "newest events of each user", "sasrec", ("markov", "ease"))


def verdict(d: Array, p: float) -> str:
    """What follows from the differences of the users, and the p value of their mean, corrected."""
    _, low, high = mean(d)
    return "yes" if low > 0 and p < 0.05 else "no, the opposite" if high < 0 and p < 0.05 else "not shown"


# (claim, model, the one that it is compared with): by what the claim says, not by who is best
CLAIMS = (
    ("Transformers recommend more accurately (2.3, 8.1)", "sasrec", "markov"),
    ("also than collaborative filtering (9.1: where data are rich)", "sasrec", "ease"),
    ("so does the document's own model, repaired, reading histories (5.2)", "transformer", "markov"),
    ("what was published with one sampled negative does", "sasrec-bce", "markov"),
    ("reading in both directions is better", "bert4rec", "sasrec"),
    ("a memory and distances are better than positions", "transformer-xl", "sasrec"),
)


def experiment_claims() -> list[tuple[str, str, Array]]:
    """(claim, what is compared, the difference of each user), where models were trained for the question."""

    near, far = sizes("length", "sasrec")[1], sizes("length", "sasrec")[-1]
    none, memory = sizes("length", "transformer-xl")[0], sizes("length", "transformer-xl")[-1]
    few, many = sizes("users", "sasrec")[0], sizes("users", "sasrec")[-1]
    sparse = sizes("events", "sasrec")[0]

    def gain(name: str) -> Array:
        return experiment("users", name, many) - experiment("users", name, few)

    return [
        (
            "long-range dependencies are caught (3.1, 3.3)",
            f"SASRec with up to {far} items in sight − with up to {near}",
            experiment("length", "sasrec", far) - experiment("length", "sasrec", near),
        ),
        (
            "a memory carries them across segments",
            f"TransformerXL with a memory of {memory} − of {none}",
            experiment("length", "transformer-xl", memory) - experiment("length", "transformer-xl", none),
        ),
        *(
            (
                "they learn from little data (2.2, 3.3)",
                f"SASRec − {LABELS[other]}, both from {few} users",
                experiment("users", "sasrec", few) - experiment("users", other, few),
            )
            for other in ("markov", "ease")
        ),
        (
            "they gain more from more data (8.3: they need it)",
            f"what SASRec gains from {few} to {many} users − what MarkovChain gains",
            gain("sasrec") - gain("markov"),
        ),
        (
            "where data are sparse, rather collaborative filtering (9.1)",
            f"EASE − SASRec, both with {sparse} events per user",
            experiment("events", "ease", sparse) - experiment("events", "sasrec", sparse),
        ),
    ]


def verdicts() -> str:
    """One line for each claim: what was compared, the difference, and what follows."""
    compared = [(claim, f"{LABELS[a]} − {LABELS[b]}", per_user(a) - per_user(b)) for claim, a, b in CLAIMS]
    compared += experiment_claims()
    corrected = holm([permutation_p_value(d, 0) for _, _, d in compared])
    rows = [
        [claim, between, signed(d), f"{p:.4f}", verdict(d, p)]
        for (claim, between, d), p in zip(compared, corrected, strict=True)
    ]
    head = ["claim (section of the document)", "compared", "NDCG@10 [95 % interval]", "p (Holm)", "held here"]
    return table(head, rows, 2)


def against_markov() -> str:
    """Each sequence model beside the count of consecutive pairs."""
    rows = []
    for name in (n for n in LABELS if n.startswith(("sasrec", "bert", "transformer"))):
        cells = [signed(per_user(name, m) - per_user("markov", m)) for m in ("hit_rate", "ndcg")]
        rows.append([LABELS[name], *cells])
    return table(["− MarkovChain", "HR@10", "NDCG@10"], rows)


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


def curves(which: str, names: Sequence[str], per: int = 1) -> dict[str, list[tuple[float, Mean]]]:
    """{model: [(events / per, its interval), ...]} of an experiment."""
    found = stored(f"experiment-{which}")["models"]
    return {
        LABELS[name]: [
            (row["events"] / per, mean(experiment(which, name, size))) for size, row in found[name].items()
        ]
        for name in names
    }


def users_figure() -> Any:
    names = ("popularity", "markov", "ease", "als", "sasrec")
    return plots.by_size(curves("users", names), "events learned from", "NDCG@10")


def events_figure() -> Any:
    names = ("popularity", "item-knn", "markov", "ease", "als", "sasrec")
    return plots.by_size(curves("events", names, 943), "events learned from, per user", "NDCG@10")


def lengths_figure() -> Any:
    """The same number of items in sight: trained with it, or trained with 200 and shown less."""
    found = {
        "trained with them": [
            (float(n), mean(experiment("length", "sasrec", n))) for n in sizes("length", "sasrec")
        ],
        "trained with 200": [(float(n), mean(newest("sasrec", n))) for n in NEWEST],
    }
    return plots.by_size(found, "items that SASRec has in sight", "NDCG@10")


def shown_figure() -> Any:
    found = {
        LABELS[name]: [(float(n), mean(newest(name, n))) for n in NEWEST if n < 2 * reach]
        for name, reach in REACH.items()
    }
    return plots.by_size(found, "newest items of the history that are shown", "NDCG@10")


TABLES: dict[str, Callable[[], str]] = {
    "verdicts": verdicts,
    "models": models,
    "seeds": seeds,
    "against_markov": against_markov,
    "losses": losses,
    "architectures": architectures,
    "settings": settings,
    "sampling": sampling,
    "shown": shown,
    "lengths": lengths,
    "users": users,
    "draws": draws,
    "users_difference": users_difference,
    "events": events,
    "events_difference": events_difference,
}
FIGURES: dict[str, Callable[[], Any]] = {
    "ml100k-models": models_figure,
    "ml100k-shown": shown_figure,
    "ml100k-lengths": lengths_figure,
    "ml100k-users": users_figure,
    "ml100k-events": events_figure,
}
