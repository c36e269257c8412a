"""What several commands share: the options that say which data, how they are opened and split, and the models
by name. Serves the files of the command line.
"""

from __future__ import annotations

import argparse
from typing import Any

from minirec.data import Dataset, Interactions, leave_one_out
from minirec.data.named import NAMES, open_dataset
from minirec.models import MODELS, Recommender
from minirec.usage import UsageError, add_seed

METRICS = ("hit_rate", "ndcg", "mrr")  # with one hidden item per user, recall is the hit rate
ROLES = ("user", "item", "rating", "timestamp")

DATA = f"{', '.join(NAMES)}, or a file of interactions (CSV, TSV) or its folder"


def add_data_options(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument(
        "--data",
        default=default,
        required=default is None,
        metavar="DATA",
        help=DATA + (f" (default: {default})" if default else ""),
    )
    add_source_options(parser)


def add_source_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="source", metavar="PATH", help="for ml-100k: a folder or zip that holds MovieLens 100K"
    )
    file = parser.add_argument_group("how to read a file")
    for role in ROLES:
        file.add_argument(
            f"--{role}-column",
            metavar="NAME",
            help=f"the column of the {role}, if its name is not a usual one",
        )
    file.add_argument("--encoding", metavar="NAME", help="such as latin-1 (default: utf-8)")
    file.add_argument(
        "--duplicates",
        choices=("error", "keep", "last"),
        help="when a user meets an item twice: stop, keep all, or keep the last (default: error)",
    )


def reading(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """How to read the file `name`, as far as it is said. An option that would be ignored is an error."""
    values = {role: getattr(options, f"{role}_column") for role in ROLES}
    values |= {"encoding": options.encoding, "duplicates": options.duplicates}
    given = {option: value for option, value in values.items() if value is not None}
    if options.source is not None and name != "ml-100k":
        raise UsageError(
            f"--from {options.source} is for ml-100k only, the data here are {name}: leave it out"
        )
    if given and name in NAMES:
        option = next(f"--{option}-column" if option in ROLES else f"--{option}" for option in given)
        raise UsageError(f"{option} is for files only, the data here are {name}: leave it out")
    return given


def open_data(name: str, options: argparse.Namespace) -> Dataset:
    given = reading(name, options)
    if name in NAMES:
        return open_dataset(name, source=options.source, seed=options.seed)
    return open_dataset(name, **given)


def split(dataset: Dataset, name: str) -> tuple[Interactions, Interactions, Interactions]:
    """Leave-one-out, with an error before the training where there is nothing to hold out."""
    train, valid, test = leave_one_out(dataset.interactions)
    if len(test) == 0:
        raise UsageError(
            f"{name}: none of the {train.n_users} users has 3 interactions or more, so none can be held out "
            "for validation and test: give more data"
        )
    return train, valid, test


def add_run_options(parser: argparse.ArgumentParser) -> None:
    add_seed(parser, "seed of everything random")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def print_terms(dataset: Dataset) -> None:
    if dataset.terms:
        print(f"Terms of use: {dataset.terms}")


def kind_of(name: str) -> type[Recommender]:
    """The class of a model of PRESETS: "mf-squared" is the "mf" of MODELS with other settings."""
    known = name
    while known and known not in MODELS:
        known = known.rpartition("-")[0]
    return MODELS[known or name]


def needs_ratings(model: Recommender) -> bool:
    """True for a model that learns from the ratings themselves."""
    predicts = "squared" if hasattr(model, "predict") else ""
    return bool(getattr(model, "loss", predicts) == "squared")
