"""The command compare in a small world: odd files, both protocols, seeds, tuning, and every wrong input."""

import csv
import random
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from minirec import cli, cli_compare, evaluation, plots, tuning
from minirec.data import global_temporal, known_users, leave_one_out, load_dataset, temporal_cuts
from minirec.models import EASE, MarkovChain, MatrixFactorization, Popularity
from minirec.models.presets import PRESETS, SPACES

MF = {"dim": 5, "loss": "bpr", "epochs": 2, "batch_size": 128}
COLUMNS = {"user": "customer", "item": "product"}
ODD = "--data odd.csv --user-column customer --item-column product --quiet"
USERS = ["007", "7", "a b", "x,y", "Ü", "-1", 'say "hi"', *(f"user {n}" for n in range(30))]
LATE = ("user 28", "user 29")  # whose events are all at the end
ITEMS = ["7", "007", "x,y", 'p"q', "ä ö", *(f"item {n}" for n in range(24))]


@pytest.fixture(scope="module", autouse=True)
def small_world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        presets = {name: PRESETS[name] for name in ("popularity", "markov", "ease", "mf-squared")}
        for name in list(PRESETS):
            patch.delitem(PRESETS, name)
        for name, of_model in (presets | {"mf": {"": MF}}).items():
            patch.setitem(PRESETS, name, of_model)
        patch.setitem(SPACES, "mf", {"dim": [3, 7], "lr": (0.003, 0.03)})
        patch.chdir(folder)
        Path("odd.csv").write_text(odd_csv(), encoding="utf-8")
        Path("timeless.csv").write_text("user,item\n" + "a,b\na,c\na,d\nb,c\nb,d\nb,e\n", encoding="utf-8")
        for name, first, unit in (("short.csv", 7_000, 1), ("milliseconds.csv", 1_508_420_000_000, 1000)):
            Path(name).write_text(timed_csv(first, unit), encoding="utf-8")
        Path("notes.txt").write_text("hello\n", encoding="utf-8")
        yield folder


def odd_csv() -> str:
    """Odd ids, rows in no order, and a popular item for some order in the figures."""
    drawn = random.Random(7)
    lines = []
    for user in USERS:
        items = drawn.sample(ITEMS, drawn.randint(4, 9))
        if "item 3" not in items:
            items[-1] = "item 3"
        times = drawn.sample(range(900 if user in LATE else 0, 1000), len(items))
        for item, time in zip(items, times, strict=True):
            quoted = ['"' + text.replace('"', '""') + '"' for text in (user, item)]
            lines.append(f"{1_500_000_000 + 3600 * time},{quoted[0]},{quoted[1]}\n")
    drawn.shuffle(lines)
    return "time,customer,product\n" + "".join(lines)


def timed_csv(first: int, unit: int) -> str:
    drawn = random.Random(3)
    events = [(user, item) for user in range(31) for item in drawn.sample(range(19), 7)]
    rows = [f"u{user},i{item},{first + unit * drawn.randint(0, 400)}\n" for user, item in events]
    return "user,item,timestamp\n" + "".join(rows)


def run(capsys, line: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(["compare", *shlex.split(line)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def read(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fitted(settings=MF, seed=0):
    train, valid, test = leave_one_out(load_dataset("odd.csv", **COLUMNS).interactions)
    models = {
        "popularity": Popularity(),
        "markov": MarkovChain(),
        "ease": EASE(),
        "mf": MatrixFactorization(**settings),
    }
    for model in models.values():
        model.fit(train, valid=valid, rng=seed, progress=False)
    return models, train, valid, test


def test_a_file_with_odd_ids_and_unsorted_rows(capsys):
    code, out, err = run(capsys, f"{ODD} --models popularity,markov,ease,mf --out odd")
    assert (code, err) == (0, "")
    models, train, valid, test = fitted()
    wanted = {
        name: evaluation.evaluate(model, train, test, also_seen=valid) for name, model in models.items()
    }
    rows = read("odd/results.csv")
    assert [row["model"] for row in rows] == [name for name in wanted for _ in range(3)]
    best = max(wanted, key=lambda name: wanted[name].mean("ndcg"))
    for row in rows:
        e = wanted[row["model"]]
        metric = next(name for name in e.values if e.label(name) == row["metric"])
        figures = [float(row[column]) for column in ("mean", "low", "high")]
        assert figures == [e.mean(metric), *e.interval(metric)]
        assert row["baseline"] == best
        if row["model"] != best:
            pair = [float(row[f"difference{part}"]) for part in ("", " low", " high")]
            assert pair == list(evaluation.paired_difference(e, wanted[best], metric))
            others = [name for name in wanted if name != best]
            p = [evaluation.paired_p_value(wanted[name], wanted[best], metric) for name in others]
            assert float(row["p"]) == p[others.index(row["model"])]
            assert float(row["p (Holm)"]) == evaluation.holm(p)[others.index(row["model"])]
        assert (row["seeds"], row["sd over seeds"], row["users"]) == ("1", "", str(len(USERS)))
        assert row["protocol"] == e.protocol
    head, _, *table = evaluation.comparison_table(wanted).splitlines()
    assert f"{head}  seconds" in out.splitlines()
    assert [line.split()[0] for line in table[:4]] == list(wanted)
    for line in table[:4]:  # the whole row, then the seconds
        assert re.search(rf"^{re.escape(line)} +\d+\.\d$", out, re.MULTILINE), line
    for line in table[4:]:
        assert line in out.splitlines()
    differences = evaluation.differences(wanted, best, "ndcg").text().splitlines()
    assert [line for line in differences if line not in out.splitlines()] == []
    assert f"NDCG@10 against {best}" in out
    assert "Split: leave-one-out: each user's last event" in out
    assert "same time in the order of the file" in out
    assert sorted(path.name for path in Path("odd").iterdir()) == [
        "comparison.svg",
        "per-user.csv",
        "results.csv",
        "results.md",
    ]


def test_the_file_of_users_has_their_own_ids(capsys):
    assert run(capsys, f"{ODD} --models popularity,ease --out users")[0] == 0
    models, train, valid, test = fitted()
    rows = read("users/per-user.csv")
    assert {row["user"] for row in rows} == set(USERS)
    assert len(rows) == 2 * len(USERS)
    result = evaluation.evaluate(models["ease"], train, test, also_seen=valid)
    for row, user in zip(rows[len(USERS) :], result.users, strict=True):
        assert row["model"] == "ease"
        assert row["user"] == train.user_ids[user]
        assert abs(float(row["NDCG@10"]) - result.values["ndcg"][list(result.users).index(user)]) < 1e-6
        assert int(row["events in the history"]) == sum(train.users == user) + 1
        (item,) = test.items[test.users == user]
        assert int(row["training users of the test item"]) == sum(train.items == item)


def test_the_page_has_all_tables_and_the_settings(capsys):
    line = f"{ODD} --models popularity,mf --set mf.dim=4 --baseline popularity --out page"
    code, out, _ = run(capsys, line)
    assert code == 0
    page = Path("page/results.md").read_text(encoding="utf-8")
    assert page.startswith("# Comparison on odd")
    assert f"`python -m minirec compare {line}`" in page
    for title in ("Results", "Differences in NDCG@10", "By events in the history", "Settings"):
        assert f"\n## {title}\n" in page
    assert "mf: `MatrixFactorization(dim=4, loss='bpr', epochs=2, batch_size=128)`" in page
    assert "popularity: `Popularity()`" in page
    assert load_dataset("odd.csv", **COLUMNS).digest in page
    assert "the expectation over all orders of the tied items" in page
    assert "NDCG@10 against popularity" in page
    assert "training users of the test item" not in out  # groups are printed on request
    assert "<svg" in Path("page/comparison.svg").read_text(encoding="utf-8")
    code, out, _ = run(capsys, f"{ODD} --models popularity --groups")
    assert "events in the history" in out
    assert "training users of the test item" in out
    assert "against" not in out.split("95 %")[1]  # a model alone has no differences


def test_the_temporal_protocol_by_share_and_by_date(capsys):
    data = load_dataset("odd.csv", **COLUMNS).interactions
    cuts = temporal_cuts(data, 0.2, 0.25)
    train, valid, test = global_temporal(data, *cuts)
    valid, known = known_users(train, valid), known_users(train, test)
    model = MatrixFactorization(**MF).fit(train, valid=valid, rng=0, progress=False)
    wanted = evaluation.evaluate(model, train, known, also_seen=valid)
    dates = [str(np.datetime64(int(cut), "s")) for cut in cuts]
    for how in (
        "--valid-share 0.2 --test-share .25",
        f"--valid-from {dates[0]} --test-from '{dates[1].replace('T', ' ')}'",
        f"--valid-from {cuts[0]:.0f} --test-from {cuts[1]:.0f}",
    ):
        code, out, err = run(capsys, f"{ODD} --models mf --protocol temporal {how} --out temporal")
        assert (code, err) == (0, "")
        rows = read("temporal/results.csv")
        assert [float(row["mean"]) for row in rows] == [wanted.mean(m) for m in wanted.values]
        assert f"training before {dates[0]}, validation before {dates[1]}, test" in out
        assert f"{len(train)}, {len(valid)} and {len(known)} events" in out
        new = len(set(test.users.tolist()) - set(train.users.tolist()))
        everybody = len(set(test.users.tolist()))
        assert 0 < new < everybody < len(USERS)
        assert (
            f"of {len(USERS)} users {everybody - new} are evaluated, {len(USERS) - everybody} are not since "
            f"they have no event in test, and {new} since they have some there and none in training;"
        ) in out
        assert int(rows[0]["users"]) == everybody - new
        assert f", {everybody - new} users" in out  # and the protocol gives no other reason
        assert "not evaluated" not in out


def test_the_temporal_protocol_counts_the_test_events_of_new_items_and_filters_validation(capsys):
    data = load_dataset("odd.csv", **COLUMNS).interactions
    cuts = 1_500_000_000 + 3600 * 80, 1_500_000_000 + 3600 * 500
    train, valid, test = global_temporal(data, *cuts)
    known, tested = known_users(train, valid), known_users(train, test)
    new = sum(item not in set(train.items.tolist()) for item in tested.items.tolist())
    assert 0 < len(known) < len(valid)
    assert 0 < new < len(tested)
    how = f"--protocol temporal --valid-from {cuts[0]} --test-from {cuts[1]}"
    code, out, _ = run(capsys, f"{ODD} --models popularity {how}")
    assert code == 0
    assert f"{len(train)}, {len(known)} and {len(tested)} events" in out
    assert f"; {new} test events are of items that nobody has in training, and cannot be found but" in out


@pytest.mark.parametrize("file", ["odd.csv", "short.csv", "milliseconds.csv"])
def test_the_printed_moments_can_be_typed(capsys, file):
    data = f"--data {file} --quiet --models popularity --protocol temporal"
    if file == "odd.csv":
        data += " --user-column customer --item-column product"
    code, out, _ = run(capsys, data)
    assert code == 0
    split = re.search(r"training before (\S+), validation before (\S+), test .*", out)
    assert split
    if file == "short.csv":
        assert re.fullmatch("7[0-9]{3}", split[1])  # four digits, and no year
    code, again, err = run(capsys, f"{data} --valid-from {split[1]} --test-from {split[2]}")
    assert (code, err) == (0, "")
    assert split[0] in again


@pytest.mark.parametrize("share", [".05", "5e-2", "0.050"])
def test_a_share_can_be_written_in_several_ways(capsys, share):
    _, out, _ = run(capsys, f"{ODD} --models popularity --protocol temporal --test-share {share}")
    _, usual, _ = run(capsys, f"{ODD} --models popularity --protocol temporal --test-share 0.05")
    (line,) = (line for line in usual.splitlines() if line.startswith("Split: global temporal"))
    assert line in out


def test_without_timestamps_the_split_says_what_the_order_is(capsys):
    code, out, _ = run(capsys, "--data timeless.csv --models popularity")
    assert code == 0
    assert "the order of the rows taken as time, since there are no timestamps" in out
    assert "same time" not in out


def test_few_users_and_few_candidates_are_said(capsys):
    few, small = "Few users (2): ", "Few candidates: 2 of 2 users have no more than 10,"
    _, out, _ = run(capsys, "--data timeless.csv --models popularity --out few")
    assert few in out
    assert small in out
    assert few in Path("few/results.md").read_text(encoding="utf-8")
    _, out, _ = run(capsys, "--data timeless.csv --models popularity -k 1")
    assert "Few candidates" not in out
    _, out, _ = run(capsys, f"{ODD} --models popularity")
    assert "Few " not in out
    _, out, _ = run(capsys, f"{ODD} --models popularity --groups")
    assert re.search(r"^Few users, fewer than 30, in under \d+; .*: such intervals are rough\.$", out, re.M)


def test_what_another_seed_and_the_choice_of_the_baseline_would_change_is_said(capsys):
    one, pairs = (
        "One training each: another seed may change more",
        "leave out what another seed would change.",
    )
    best = "The baseline is the best of these figures, which makes differences look surer"
    _, out, _ = run(capsys, f"{ODD} --models popularity,mf --out said")
    assert all(words in out for words in (one, pairs, best))
    assert best in Path("said/results.md").read_text(encoding="utf-8")
    _, out, _ = run(capsys, f"{ODD} --models mf,ease --seeds 2 --baseline ease")
    assert pairs in out
    assert one not in out
    assert best not in out
    _, out, _ = run(capsys, f"{ODD} --models mf")
    assert one in out
    _, out, _ = run(capsys, f"{ODD} --models popularity,markov,ease")  # nothing in them is drawn
    assert one not in out
    assert pairs not in out
    assert best in out


def test_several_seeds_give_means_and_the_spread(capsys):
    code, out, _ = run(capsys, f"{ODD} --models popularity,mf --seeds 3 --seed 5 --out seeds")
    assert code == 0
    each = []
    for seed in (5, 6, 7):
        models, train, valid, test = fitted(seed=seed)
        each.append(evaluation.evaluate(models["mf"], train, test, also_seen=valid))
        assert f"mf, seed {seed}: NDCG@10 {each[-1].mean('ndcg'):.4f}, trained in" in out
    means = [e.mean("ndcg") for e in each]
    assert len(set(means)) == 3
    row = next(r for r in read("seeds/results.csv") if r["model"] == "mf" and r["metric"] == "NDCG@10")
    assert abs(float(row["mean"]) - sum(means) / 3) < 1e-12
    assert abs(float(row["sd over seeds"]) - np.std(means, ddof=1)) < 1e-12
    assert f"NDCG@10 of mf by seed: {', '.join(f'{mean:.4f}' for mean in means)}." in out
    assert "NDCG@10 of popularity by seed: the same each time." in out
    assert "Means over the seeds 5 to 7" in out


def test_tuning_looks_at_validation_only_and_says_its_winner(capsys):
    code, out, _ = run(capsys, f"{ODD} --models mf,popularity --tune 4 --set mf.lr=0.02 --out tuned")
    assert code == 0
    said = re.search(
        r"mf: (\d) of 4 choices in [\d.]+ s, validation NDCG@10 ([\d.]+), of the preset ([\d.]+): (.*)", out
    )
    assert said
    assert said[1] == "3"  # the preset, and a dim of 3 and 7: what --set names is not drawn
    assert "popularity: nothing to tune" in out
    reached = {}
    for dim in (5, 3, 7):
        models, train, valid, test = fitted(MF | {"dim": dim, "lr": 0.02})
        reached[dim] = evaluation.evaluate(models["mf"], train, valid, metrics=("ndcg",)).mean("ndcg")
    best = max(reached, key=reached.__getitem__)
    assert (said[2], said[3]) == (f"{reached[best]:.4f}", f"{reached[5]:.4f}")
    assert said[4] == f"MatrixFactorization(dim={best}, loss='bpr', epochs=2, batch_size=128, lr=0.02)"
    models, train, valid, test = fitted(MF | {"dim": best, "lr": 0.02})
    wanted = evaluation.evaluate(models["mf"], train, test, also_seen=valid)
    row = next(r for r in read("tuned/results.csv") if r["model"] == "mf" and r["metric"] == "NDCG@10")
    assert float(row["mean"]) == wanted.mean("ndcg")
    assert f"`{said[4]}`, the best of 3 choices on validation" in Path("tuned/results.md").read_text()


def test_tuning_has_the_cut_off_and_the_seed_of_the_command(capsys):
    _, train, valid, _ = fitted()
    trials = {}
    for seed, k in ((2, 2), (0, 2), (2, 10)):

        def measure(settings, seed=seed, k=k):
            model = MatrixFactorization(**settings).fit(train, valid=valid, rng=seed, progress=False)
            return evaluation.evaluate(model, train, valid, k=k, metrics=("ndcg",)).mean("ndcg")

        trials[seed, k] = tuning.random_search(measure, MF, SPACES["mf"], 3, seed)
    best = {key: tuning.best_trial(found) for key, found in trials.items()}
    first, preset = best[2, 2], trials[2, 2][0].value
    assert first.settings not in (best[0, 2].settings, MF)  # else the seed of the search changes nothing
    assert (
        len({round(found[0].value, 4) for found in trials.values()}) == 3
    )  # nor that of the training, nor k
    code, out, _ = run(capsys, f"{ODD} --models mf --tune 3 --seed 2 -k 2")
    assert code == 0
    assert f"validation NDCG@2 {first.value:.4f}, of the preset {preset:.4f}: " in out
    assert f"lr={first.settings['lr']!r})" in out


def test_negatives_are_the_same_for_every_seed_of_a_training(capsys):
    models, train, valid, test = fitted()
    model, drawn = models["popularity"], {"also_seen": valid, "negatives": 5}
    wanted, other = (evaluation.evaluate(model, train, test, rng=s, **drawn).mean("ndcg") for s in (4, 5))
    assert f"{wanted:.4f}" != f"{other:.4f}"
    code, out, _ = run(capsys, f"{ODD} --models popularity --negatives 5 --seed 4 --seeds 2")
    assert code == 0
    assert "NDCG@10 of popularity by seed: the same each time." in out
    assert f"popularity, seed 5: NDCG@10 {wanted:.4f}," in out


def test_labels_of_the_figure_have_the_same_number_of_digits():
    for labels in (
        ["0.100", "0.101", "0.250", "1.000"],
        ["0.0885", "0.1110"],  # three digits of the smallest, not three of each
        ["0.0012", "0.9000"],  # and four decimals at most
        ["0.000", "0.500"],
        ["0.00000", "0.00123"],  # but three digits of the largest
        ["-0.120", "0.100"],
        ["12.0", "230.0"],
        ["0.0", "0.0"],
    ):
        results = {f"model {row}": (float(label),) * 3 for row, label in enumerate(labels)}
        assert [text.get_text() for text in plots.comparison(results).axes[0].texts] == labels


def test_sampled_figures_are_labelled_everywhere(capsys, monkeypatch):
    notes = []
    draw = plots.comparison

    def remember(*args, note, **more):
        notes.append(note)
        return draw(*args, note=note, **more)

    monkeypatch.setattr(plots, "comparison", remember)
    line = f"{ODD} --models popularity,ease --negatives 5 --sampling popular --metrics recall,auc -k 3"
    code, out, _ = run(capsys, f"{line} --out sampled")
    assert code == 0
    words = "SAMPLED: ranked against 5 popular negatives only"
    assert words in out
    assert words in Path("sampled/results.md").read_text(encoding="utf-8")
    assert words in notes[0]
    assert all(words in row["protocol"] for row in read("sampled/results.csv"))
    assert [row["metric"] for row in read("sampled/results.csv")] == ["Recall@3", "AUC"] * 2
    assert "Recall@3 against" in out  # without ndcg the first metric decides
    models, train, valid, test = fitted()
    options = {"negatives": 5, "sampling": "popular", "metrics": ("recall",), "k": 3, "rng": 0}
    wanted = evaluation.evaluate(models["ease"], train, test, also_seen=valid, **options)
    assert float(read("sampled/results.csv")[2]["mean"]) == wanted.mean("recall")


def test_all_leaves_out_what_needs_ratings_and_says_so(capsys):
    code, out, _ = run(capsys, f"{ODD} --models all --out all")
    assert code == 0
    words = "Left out: mf-squared: it learns from ratings, and odd.csv has none."
    assert words in out
    assert words in Path("all/results.md").read_text(encoding="utf-8")
    models = {row["model"] for row in read("all/results.csv")}
    assert models == {"popularity", "markov", "ease", "mf"}


def test_a_model_that_fails_does_not_lose_the_others(capsys):
    failing = "--set ease.max_items=3 --set mf.lr=1e300"
    code, out, _ = run(capsys, f"{ODD} --models popularity,ease,mf {failing}")
    assert code == 1  # models that were named are not there
    assert run(capsys, f"{ODD} --models all {failing}")[0] == 0
    assert "Left out: ease: " in out
    assert "Left out: mf: " in out
    assert re.search(r"^popularity +0\.", out, re.MULTILINE)
    code, _, err = run(capsys, f"{ODD} --models ease --set ease.max_items=3")
    assert code == 2
    assert "no model is left to compare" in err


def test_a_baseline_that_fails_does_not_lose_the_others(capsys):
    line = f"{ODD} --models popularity,ease,markov --baseline ease --set ease.max_items=3 --out failed"
    code, out, err = run(capsys, line)
    assert (code, err) == (1, "")
    means = {
        row["model"]: float(row["mean"]) for row in read("failed/results.csv") if "NDCG" in row["metric"]
    }
    assert set(means) == {"popularity", "markov"}
    best = max(means, key=means.__getitem__)
    words = f"Baseline: ease was left out, so it is {best}, the best."
    for text in (out, Path("failed/results.md").read_text(encoding="utf-8")):
        assert words in text
        assert f"NDCG@10 against {best}" in text
        assert "The baseline is the best of these figures" in text
    assert {row["baseline"] for row in read("failed/results.csv")} == {best}


def test_the_same_command_gives_the_same_figures(capsys):
    for folder in ("one", "two"):
        assert run(capsys, f"{ODD} --models ease,mf --out {folder}")[0] == 0
    first, second = (read(f"{folder}/results.csv") for folder in ("one", "two"))
    for row, again in zip(first, second, strict=True):
        assert row | {"seconds": ""} == again | {"seconds": ""}
    assert Path("one/comparison.svg").read_bytes() == Path("two/comparison.svg").read_bytes()


# fmt: off
WRONG = [
    ("--models mf", "required ... --data"),
    ("--data odd.csv", "required ... --models"),
    (f"{ODD} --models nope", "--models ... no model 'nope' ... popularity ... mf; or all"),
    (f"{ODD} --models ,", "--models ',' names nothing ... commas"),
    (f"{ODD} --models mf,mf", "--models names mf more than once"),
    (f"{ODD} --models mf --models ease", "--models is given more than once ... one list"),
    (f"{ODD} --models mf --metrics ndgc", "--metrics ... no metric 'ndgc' ... precision ... auc"),
    (f"{ODD} --models mf --metrics ''", "--metrics '' names nothing"),
    (f"{ODD} --models mf -k 0", "-k ... from 1 up ... '0'"),
    (f"{ODD} --models mf --seeds 0", "--seeds ... from 1 up"),
    (f"{ODD} --models mf --tune 0", "--tune ... from 1 up"),
    (f"{ODD} --models mf --baseline ease", "--baseline ease is not among --models ... mf"),
    (f"{ODD} --models mf --sampling popular", "--sampling popular ... give their number"),
    (f"{ODD} --models mf --negatives 0", "--negatives ... from 1 up"),
    (f"{ODD} --models mf --negatives 5 --sampling x", "--sampling ... 'x' ... uniform ... popular"),
    (f"{ODD} --models mf --set epochs=5", "MODEL.NAME=VALUE ... mf.epochs=5 ... got 'epochs=5'"),
    (f"{ODD} --models mf --set mf.epochs", "MODEL.NAME=VALUE ... got 'mf.epochs'"),
    (f"{ODD} --models mf --set ease.reg=5", "--set ease.reg=5 ... among --models ... mf"),
    (f"{ODD} --models mf --set mf.nope=5", "mf has no setting 'nope' ... there are dim, loss"),
    (f"{ODD} --models mf --set mf.dim=x", "--set mf.dim=x: dim must be a whole number"),
    (f"{ODD} --models markov --set markov.epsilon=nan", "--set markov.epsilon=nan: epsilon must be a finite"),
    (f"{ODD} --models mf --k 5", "unrecognized arguments: --k 5 ... python -m minirec compare --help"),
    (f"{ODD} --models mf --set mf.dim=0", "--set mf.dim=0 ... mf: dim must be at least 1 ... got 0"),
    (f"{ODD} --models popularity --set popularity.x=1", "popularity has no setting 'x' ... it has none"),
    (f"{ODD} --models ease,mf-squared", "mf-squared ... learns from ratings ... odd.csv ... --rating-column"),
    (f"{ODD} --models all --baseline mf-squared", "--baseline mf-squared ... from ratings ... odd.csv"),
    (f"{ODD} --models mf --out notes.txt", "--out notes.txt is a file"),
    (f"{ODD} --models mf --test-share 0.2", "--test-share is for --protocol temporal"),
    (f"{ODD} --models mf --valid-from 2020-01-01", "--valid-from is for --protocol temporal"),
    (f"{ODD} --models mf --protocol x", "--protocol ... 'x' ... leave-one-out ... temporal"),
    (f"{ODD} --models mf --protocol temporal --test-share 1", "--test-share ... between 0 and 1 ... '1'"),
    (f"{ODD} --models mf --protocol temporal --test-share 0.0", "--test-share ... between 0 and 1"),
    (f"{ODD} --models mf --protocol temporal --test-share 1e0", "--test-share ... between 0 and 1 ... '1e0'"),
    (f"{ODD} --models mf --protocol temporal --test-share nan", "--test-share ... between 0 and 1 ... 'nan'"),
    (f"{ODD} --models mf --protocol temporal --test-share .6 --valid-share .5", "below 1"),
    (f"{ODD} --models mf --protocol temporal --valid-share 1e-3",
     "--valid-share is too small for these data ... begin with the test, at 2017-0 ... a larger share"),
    (f"{ODD} --models mf --protocol temporal --test-from 2017-08-01", "both --valid-from and --test-from"),
    (f"{ODD} --models mf --protocol temporal --valid-from 2017-08-01 --test-from 2017-07-25",
     "--valid-from 2017-08-01 lies after --test-from 2017-07-25 ... swap"),
    (f"{ODD} --models mf --protocol temporal --valid-from 2017-13-01 --test-from 2018-01-01",
     "--valid-from '2017-13-01' is no date ... 1998-03-01"),
    (f"{ODD} --models mf --protocol temporal --valid-from 2016 --test-from 2017",
     "'2016' is no date ... no timestamp such as 15"),
    (f"{ODD} --models mf --protocol temporal --valid-share .1 --test-from 2017-08-01", "say the same thing"),
    (f"{ODD} --models mf --protocol temporal --valid-from 2016-01-01 --test-from 2017-08-01",
     "no event is left for training: ... 2016-01-01T00:00:00 ... from 2017-07-14T ... other dates"),
    (f"{ODD} --models mf --protocol temporal --valid-from 2017-08-01 --test-from 2018-01-01",
     "no event of a user with events in training is left for test"),
    ("--data timeless.csv --models ease --protocol temporal", "timestamps ... timeless.csv has none"),
    ("--data nope.csv --models ease", "nope.csv: no such file"),
]
# fmt: on


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_input_is_one_line_that_helps(capsys, line, words):
    code, _, err = run(capsys, line)
    assert code == 2
    assert err.startswith("minirec compare: ")
    assert err.count("\n") == 1
    missing = [part for part in words.split(" ... ") if part not in err]
    assert missing == [], err


def test_nothing_is_trained_where_the_input_is_wrong(capsys, monkeypatch):
    def never(*args, **more):
        raise AssertionError("a model was fitted")

    monkeypatch.setattr(cli_compare, "_fitted", never)
    for line, _ in WRONG:
        assert run(capsys, line)[0] == 2
