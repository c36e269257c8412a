"""Interactions, the interaction matrix, splits, loaders, the synthetic shop and small classic data sets."""

from minirec.data.classics import karate_club, southern_women
from minirec.data.dataset import Dataset, ItemInfo, with_items
from minirec.data.delimited import read_delimited
from minirec.data.interactions import Description, Interactions, concatenate
from minirec.data.items import read_items
from minirec.data.matrix import InteractionMatrix
from minirec.data.ml100k import cache_directory, load_ml100k
from minirec.data.movielens import (
    load_dataset,
    read_movielens_1m,
    read_movielens_100k,
    read_movielens_latest,
    read_recbole,
)
from minirec.data.sampling import sample_negatives
from minirec.data.shop import Shop, synthetic
from minirec.data.splits import (
    global_temporal,
    k_fold,
    known_users,
    leave_one_out,
    random_split,
    temporal_cuts,
)
from minirec.data.textfile import RatingsFileError

__all__ = [
    "Dataset",
    "Description",
    "InteractionMatrix",
    "Interactions",
    "ItemInfo",
    "RatingsFileError",
    "Shop",
    "cache_directory",
    "concatenate",
    "global_temporal",
    "k_fold",
    "karate_club",
    "known_users",
    "leave_one_out",
    "load_dataset",
    "load_ml100k",
    "random_split",
    "read_delimited",
    "read_items",
    "read_movielens_1m",
    "read_movielens_100k",
    "read_movielens_latest",
    "read_recbole",
    "sample_negatives",
    "southern_women",
    "synthetic",
    "temporal_cuts",
    "with_items",
]
