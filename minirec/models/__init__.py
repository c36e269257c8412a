"""The recommenders, one file each; `base` holds the contract that all of them keep."""

from minirec.models.base import Recommendations, Recommender, UnknownIdError
from minirec.models.bert4rec import BERT4Rec
from minirec.models.ease import EASE
from minirec.models.implicit_als import ImplicitALS
from minirec.models.item_knn import ItemKNN
from minirec.models.markov_chain import MarkovChain
from minirec.models.matrix_factorization import MatrixFactorization
from minirec.models.popularity import Popularity
from minirec.models.sasrec import SASRec
from minirec.models.svd_plus_plus import SVDPlusPlus
from minirec.models.transformer import TransformerRecommender
from minirec.models.transformer_xl import TransformerXL

# The one table of names, for the command line and for files.
MODELS: dict[str, type[Recommender]] = {
    "popularity": Popularity,
    "item-knn": ItemKNN,
    "markov": MarkovChain,
    "ease": EASE,
    "als": ImplicitALS,
    "svdpp": SVDPlusPlus,
    "mf": MatrixFactorization,
    "sasrec": SASRec,
    "bert4rec": BERT4Rec,
    "transformer": TransformerRecommender,
    "transformer-xl": TransformerXL,
}

__all__ = [
    "EASE",
    "MODELS",
    "BERT4Rec",
    "ImplicitALS",
    "ItemKNN",
    "MarkovChain",
    "MatrixFactorization",
    "Popularity",
    "Recommendations",
    "Recommender",
    "SASRec",
    "SVDPlusPlus",
    "TransformerRecommender",
    "TransformerXL",
    "UnknownIdError",
]
