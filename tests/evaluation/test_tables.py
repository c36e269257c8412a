"""minirec.evaluation.tables: what stands in which cell, and that files can be read back."""

import csv

import numpy as np
import pytest

from minirec.evaluation import (
    Evaluation,
    comparison,
    differences,
    group_table,
    holm,
    paired_difference,
    paired_p_value,
    write_per_user,
)

USERS = [11, 3, 7, 2, 5]


def made(seed, protocol="a protocol", **more):
    rng = np.random.default_rng(seed)
    values = {"hit_rate": rng.integers(0, 2, 5).astype(float), "ndcg": rng.random(5), **more}
    return Evaluation(values, np.array(USERS), 0, 10, protocol, [], 0.25, 3.5)


MODELS = {"first": made(0), "second": made(1), "third": made(2)}


def test_more_columns_stand_at_the_end():
    table = comparison(MODELS, {"seconds": {"first": "1.5", "third": "20.0"}})
    assert table.header == ["model", "HR@10", "NDCG@10", "coverage", "novelty", "seconds"]
    assert [row[-1] for row in table.rows] == ["1.5", "", "20.0"]
    assert [row[0] for row in table.rows] == list(MODELS)
    assert {len(line) for line in table.text().splitlines()[:2]} == {len(table.text().splitlines()[0])}
    assert table.markdown().splitlines()[2].count("|") == 7


def test_few_users_and_few_candidates_are_noted_once():
    few = "Few users (5): such intervals and p values are rough."
    assert comparison(MODELS).notes[2:] == [few]
    within = [e._replace(candidates=np.array(n)) for e, n in zip(MODELS.values(), CANDIDATES, strict=True)]
    notes = comparison(dict(zip(MODELS, within, strict=True))).notes[2:]
    assert [note.split(" users have ")[0] for note in notes] == [few, "Few candidates: 3 of 5"]
    many = [e._replace(users=np.arange(n)) for e, n in zip(MODELS.values(), (29, 30, 31), strict=True)]
    assert [note.split(":")[0] for e in many for note in comparison({"": e}).notes[2:]] == ["Few users (29)"]


CANDIDATES = [[9, 10, 10, 11, 50], [10, 10, 11, 11, 50], [11] * 5]  # of k = 10 only the first is few


def test_differences_are_against_the_baseline():
    table = differences(MODELS, "second", "ndcg")
    assert table.header == ["NDCG@10 against second", "difference", "p", "p (Holm)"]
    assert [row[0] for row in table.rows] == ["first", "third"]
    corrected = holm([paired_p_value(MODELS[name], MODELS["second"], "ndcg") for name in ("first", "third")])
    assert [row[3] for row in table.rows] == [f"{value:.4f}" for value in corrected]
    assert table.rows[0][2:] != table.rows[1][2:]
    assert "corrected for the number of models" in table.notes[0]
    for name, difference, p, _ in table.rows:
        mean, low, high = paired_difference(MODELS[name], MODELS["second"], "ndcg")
        assert difference == f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"
        assert p == f"{paired_p_value(MODELS[name], MODELS['second'], 'ndcg'):.4f}"
    with pytest.raises(KeyError, match="'nobody' is not among the models: there are first, second, third"):
        differences(MODELS, "nobody", "ndcg")
    with pytest.raises(ValueError, match="same users and protocol"):
        differences(MODELS | {"other": made(3, "another")}, "first", "ndcg")


def test_a_group_table_has_a_column_per_model():
    parts = {"few": np.array([3, 7]), "none": np.array([1]), "many": np.array([11, 2, 5])}
    table = group_table(MODELS, parts, "ndcg", "events")
    assert table.header == ["events", "users", "first", "second", "third"]
    assert [row[:2] for row in table.rows] == [["few", "2"], ["many", "3"]]
    for column, e in enumerate(MODELS.values(), 2):
        assert table.rows[0][column].split()[0] == f"{e.values['ndcg'][[1, 2]].mean():.4f}"
    partly = MODELS | {"gap": made(4, ndcg=np.array([1, np.nan, np.nan, np.nan, 0.5]))}
    table = group_table(partly, parts, "ndcg", "events")
    assert table.rows[0][-1] == ""
    assert table.rows[1][-1].startswith("0.7500")
    assert table.rows[1][1] == "3"  # of whom it is defined for two


def test_groups_of_few_users_are_named():
    users = np.arange(89)
    big = {"": made(7)._replace(users=users, values={"ndcg": np.linspace(0, 1, 89)})}
    parts = {"under 5": users[:29], "5 to under 20": users[29:59], "20 and more": users[59:]}
    few = "Few users, fewer than 30, in under 5: such intervals are rough."
    assert group_table(big, parts, "ndcg", "events").notes[1:] == [few]
    del parts["under 5"]
    assert group_table(big, parts, "ndcg", "events").notes[1:] == []
    gap = big | {"gap": big[""]._replace(values={"ndcg": np.where(users == 60, np.nan, 0.5)})}
    notes = group_table(gap, parts, "ndcg", "events").notes[1:]  # of 30 users it is defined for 29
    assert [note.split(" in ")[1].split(":")[0] for note in notes] == ["20 and more"]


def test_the_file_of_users_reads_back(tmp_path):
    ids = [f'u,"{i}' for i in range(12)]
    auc = np.array([0.5, np.nan, 1.0, 0.0, 1 / 3])
    models = {"one": made(5, auc=auc), "two": made(6)}
    lengths, popularity = np.arange(12) * 10, np.where(np.arange(12) == 7, np.nan, 0.125)
    columns = {"events": lengths, "popularity": popularity}
    write_per_user(tmp_path / "users.csv", models, ids, columns)
    with open(tmp_path / "users.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert list(rows[0]) == ["user", "events", "popularity", "model", "HR@10", "NDCG@10", "AUC"]
    for n, row in enumerate(rows):
        model, user = list(models)[n // 5], USERS[n % 5]
        assert (row["user"], row["model"], row["events"]) == (ids[user], model, str(10 * user))
        assert row["popularity"] == ("" if user == 7 else "0.125")
        assert abs(float(row["NDCG@10"]) - models[model].values["ndcg"][n % 5]) < 1e-6
    assert [row["AUC"] for row in rows[:5]] == ["0.5", "", "1", "0", "0.333333"]
    assert {row["AUC"] for row in rows[5:]} == {""}
