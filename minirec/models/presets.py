"""Hyper-parameters by model and data set: the one place where they stand. Tuned on validation only."""

from typing import Any

SASREC: dict[str, dict[str, Any]] = {
    "": {"length": 200, "residual": "original", "dropout": 0.3, "epochs": 200, "patience": 25},
    "shop": {
        "embedding_dim": 32,
        "length": 33,
        "residual": "original",
        "lr": 3e-3,
        "batch_size": 64,
        "epochs": 250,
        "patience": 25,
    },
}

# {model: {data set: arguments}}; "" holds for every other data set.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "popularity": {"": {}},
    "item-knn": {"": {"shrink": 0.0, "neighbors": None}, "shop": {"shrink": 0.0, "neighbors": 20}},
    "markov": {"": {"epsilon": 1e-6}},
    "ease": {"": {"reg": 200.0}},
    "als": {"": {"dim": 64, "alpha": 1.0, "reg": 10.0, "epochs": 15}},
    "svdpp": {"": {"dim": 20, "lr": 0.007, "reg": 0.02, "epochs": 20}},
    "mf": {
        "": {"dim": 32, "loss": "bpr", "lr": 0.01, "reg": 0.02},
        "shop": {"dim": 16, "loss": "bpr", "lr": 0.01, "reg": 0.05},
    },
    "mf-squared": {
        "": {"dim": 100, "loss": "squared"},
    },
    "sasrec": SASREC,
    "sasrec-sampled": {data: row | {"loss": "sampled_softmax"} for data, row in SASREC.items()},
    "sasrec-gbce": {data: row | {"loss": "gbce"} for data, row in SASREC.items()},
    "sasrec-bce": {data: row | {"loss": "bce"} for data, row in SASREC.items()},
    "sasrec-gpt": {data: row | {"residual": "plain"} for data, row in SASREC.items()},
    "bert4rec": {
        "": {"num_heads": 2, "length": 100, "hidden": 64, "dropout": 0.2, "epochs": 250, "patience": 25},
        "shop": {
            "embedding_dim": 32,
            "num_heads": 1,
            "length": 33,
            "hidden": 32,
            "batch_size": 32,
            "epochs": 150,
            "patience": 25,
        },
    },
    "transformer-xl": {
        "": {
            "length": 200,
            "segment": 50,
            "memory": 50,
            "residual": "original",
            "dropout": 0.3,
            "epochs": 200,
            "patience": 25,
        },
    },
    "transformer": {
        "": {
            "embedding_dim": 64,
            "num_heads": 2,
            "num_layers": 1,
            "hidden": 64,
            "length": 25,
            "lr": 2e-3,
            "epochs": 4,
        },
        "shop": {
            "embedding_dim": 32,
            "num_heads": 2,
            "num_layers": 1,
            "hidden": 64,
            "length": 10,
            "negatives": 31,
            "dropout": 0.0,
            "lr": 3e-3,
            "batch_size": 64,
            "epochs": 6,
        },
    },
}

# What `compare --tune` draws from: {model: {argument: choices}}. A list holds the choices, a pair in round
# brackets the ends of a range that is drawn from log-uniformly. A variant without a space has that of its
# model ("sasrec-bce" that of "sasrec"); a model without one is not tuned.
SPACES: dict[str, dict[str, list[Any] | tuple[float, float]]] = {
    "item-knn": {"shrink": [0.0, 3.0, 10.0, 30.0, 100.0], "neighbors": [10, 20, 50, 100, 200, 500, None]},
    "ease": {"reg": (10.0, 2000.0)},
    "als": {"dim": [16, 32, 64, 128], "alpha": (1.0, 100.0), "reg": (1.0, 300.0)},
    "svdpp": {"dim": [10, 20, 50], "lr": (0.002, 0.02), "reg": (0.005, 0.2)},
    "mf": {"dim": [16, 32, 64, 128], "lr": (0.002, 0.05), "reg": (0.003, 0.3)},
    "mf-squared": {"dim": [20, 50, 100], "lr": (0.002, 0.02), "reg": (0.005, 0.2)},
    "sasrec": {"lr": (3e-4, 3e-3), "dropout": [0.1, 0.2, 0.3, 0.4, 0.5], "num_layers": [1, 2, 3]},
    "bert4rec": {"lr": (3e-4, 3e-3), "dropout": [0.1, 0.2, 0.3, 0.4, 0.5], "num_layers": [1, 2, 3]},
    "transformer-xl": {"lr": (3e-4, 3e-3), "dropout": [0.1, 0.2, 0.3, 0.4, 0.5], "num_layers": [1, 2, 3]},
    "transformer": {"lr": (5e-4, 5e-3), "dropout": [0.0, 0.1, 0.2, 0.3], "length": [10, 25, 50]},
}


def preset(model: str, data: str = "") -> dict[str, Any]:
    """The arguments for a model of the table on a data set of the table, or its defaults elsewhere."""
    of_model = PRESETS[model]
    return dict(of_model.get(data, of_model[""]))


def search_space(model: str) -> dict[str, list[Any] | tuple[float, float]]:
    """What a model of the table is tuned over; empty where there is nothing to tune."""
    while model and model not in SPACES:
        model = model.rpartition("-")[0]
    return SPACES.get(model, {})
