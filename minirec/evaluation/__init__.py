"""Evaluation: protocols, intervals and tests between two models, groups of users, tables.

`protocol` ranks and measures, `ratings` does so for predicted ratings, `significance` says how sure a mean or
a difference is, `pairs` compares two models user by user, `groups` splits users by what they are like, and
`tables` prints and writes it. The formulas of the metrics are in `minirec.metrics`.
"""

from minirec.evaluation.groups import group_means, group_users, held_out_popularity, history_lengths
from minirec.evaluation.pairs import paired_difference, paired_p_value
from minirec.evaluation.protocol import (
    LABELS,
    SAMPLING,
    Evaluation,
    average,
    evaluate,
    sample_candidates,
    top_k,
)
from minirec.evaluation.ratings import RatingEvaluation, evaluate_ratings
from minirec.evaluation.significance import bootstrap_means, holm, interval, permutation_p_value
from minirec.evaluation.tables import (
    Table,
    comparison,
    comparison_table,
    differences,
    group_table,
    markdown_table,
    write_per_user,
)

__all__ = [
    "LABELS",
    "SAMPLING",
    "Evaluation",
    "RatingEvaluation",
    "Table",
    "average",
    "bootstrap_means",
    "comparison",
    "comparison_table",
    "differences",
    "evaluate",
    "evaluate_ratings",
    "group_means",
    "group_table",
    "group_users",
    "held_out_popularity",
    "history_lengths",
    "holm",
    "interval",
    "markdown_table",
    "paired_difference",
    "paired_p_value",
    "permutation_p_value",
    "sample_candidates",
    "top_k",
    "write_per_user",
]
