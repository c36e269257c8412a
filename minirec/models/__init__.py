"""The recommenders, one file each; `base` holds the contract that all of them keep."""

from minirec.models.base import Recommendations, Recommender, UnknownIdError
from minirec.models.matrix_factorization import MatrixFactorization
from minirec.models.popularity import Popularity
from minirec.models.sasrec import SASRec
from minirec.models.transformer import TransformerRecommender

# The one table of names, for the command line and for files.
MODELS: dict[str, type[Recommender]] = {
    "popularity": Popularity,
    "mf": MatrixFactorization,
    "sasrec": SASRec,
    "transformer": TransformerRecommender,
}

__all__ = [
    "MODELS",
    "MatrixFactorization",
    "Popularity",
    "Recommendations",
    "Recommender",
    "SASRec",
    "TransformerRecommender",
    "UnknownIdError",
]
