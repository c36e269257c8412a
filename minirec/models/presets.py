"""Hyper-parameters by model and data set: the one place where they stand. Tuned on validation only."""

from typing import Any

# {model: {data set: arguments}}; "" holds for every other data set.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "popularity": {"": {}},
    "mf": {
        "": {"dim": 32, "loss": "bpr", "lr": 0.01, "reg": 0.02},
        "shop": {"dim": 16, "loss": "bpr", "lr": 0.01, "reg": 0.05},
    },
    "mf-squared": {
        "": {"dim": 100, "loss": "squared"},
    },
    "sasrec": {
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


def preset(model: str, data: str = "") -> dict[str, Any]:
    """The arguments for a model of the table on a data set of the table, or its defaults elsewhere."""
    of_model = PRESETS[model]
    return dict(of_model.get(data, of_model[""]))
