"""Hyper-parameters by model and data set: the one place where they stand. Tuned on validation only."""

from typing import Any

# {model: {data set: arguments}}; "" holds for every other data set.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "popularity": {"": {}},
    "mf": {
        "": {"dim": 64, "loss": "bpr"},
    },
    "mf-squared": {
        "": {"dim": 100, "loss": "squared"},
    },
    "transformer": {
        "": {"embedding_dim": 64, "num_heads": 2, "num_layers": 1, "hidden": 64},
        "shop": {
            "embedding_dim": 32,
            "num_heads": 2,
            "num_layers": 1,
            "hidden": 64,
            "length": 20,
            "negatives": 31,
        },
    },
}


def preset(model: str, data: str = "") -> dict[str, Any]:
    """The arguments for a model of the table on a data set of the table, or its defaults elsewhere."""
    of_model = PRESETS[model]
    return dict(of_model.get(data, of_model[""]))
