"""The demo in a small world: what it returns, prints and writes, and that the seed decides all of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from minirec import demo, plots
from minirec.data import Interactions, concatenate, leave_one_out, synthetic
from minirec.data.dataset import Dataset
from minirec.evaluation import Evaluation
from minirec.models import Recommender, TransformerRecommender
from minirec.models.presets import PRESETS

SIZES = {"n_users": 31, "n_items": 67, "n_events": 607}
TINY = {
    "mf": {"dim": 5, "loss": "bpr", "epochs": 3, "batch_size": 128},
    "mf-squared": {"dim": 3, "loss": "squared", "epochs": 2},
    "transformer": {
        **{"embedding_dim": 6, "num_heads": 2, "num_layers": 1, "hidden": 7},
        **{"length": 5, "negatives": 11, "epochs": 2, "batch_size": 64},
    },
}


@contextmanager
def small_world() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for model, settings in TINY.items():
            patch.setitem(PRESETS, model, {"": settings})
        patch.setattr(demo, "synthetic", lambda seed: synthetic(**SIZES, seed=seed))
        yield


def run_in(place: Path, seed: int) -> tuple[Path, dict[str, Evaluation], str]:
    """(folder, evaluations, printed text) of one run on the shop; the folder is always called the same."""
    lines: list[str] = []
    with small_world(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr("builtins.print", lambda *parts: lines.append(" ".join(map(str, parts))))
        evaluations = demo.run(seed=seed, progress=False)
    return place / "minirec-demo", evaluations, "\n".join(lines)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    return run_in(tmp_path_factory.mktemp("demo"), seed=0)


@pytest.fixture
def no_drawing(monkeypatch):
    """Drawing takes most of the time of a small demo; what is drawn is tested on `ran`."""
    monkeypatch.setattr(plots, "save", lambda figure, path: Path(path).write_text("drawn"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_it_returns_what_the_table_shows(ran):
    _, evaluations, printed = ran
    assert list(evaluations) == [demo.POPULARITY, demo.SQUARED, demo.BPR, demo.TRANSFORMER]
    for name, result in evaluations.items():
        assert (
            "one held-out event per user, full ranking over 67 items, seen items removed" in result.protocol
        )
        assert len(result.users) == 31
        assert re.search(rf"^{re.escape(name)} .*{result.mean('ndcg'):.4f} \[", printed, re.MULTILINE)


def test_the_stored_text_of_the_readme_has_the_same_sections_and_models(ran):
    """tests/results/demo.txt is what the README shows: a demo that prints something else makes it stale."""
    stored = (Path(__file__).parent / "results" / "demo.txt").read_text(encoding="utf-8")
    sections = r"^([A-Z].+)\n-+$"
    named = r"^(\w[^\[\n]*?)\s+[\d.]+ \["
    for pattern in (sections, named):
        assert re.findall(pattern, stored, re.MULTILINE) == re.findall(pattern, ran[2], re.MULTILINE)


def test_the_printed_text_has_every_section_in_order(ran):
    printed = ran[2]
    headings = re.findall(r"^(.+)\n-+$", printed, re.MULTILINE)
    headings = [heading for heading in headings if not heading.startswith("model ")]
    assert headings == [
        "The data",
        "Which model ranks the hidden item best?",
        "A known user: u0000",
        "A user never seen, who has taken three items",
        "Go on from here",
    ]
    assert printed.count("The top five") == 2
    assert demo.ATTENTION in printed
    assert "The laws of this shop are known" in printed
    assert "report.md with its figures" in printed


def test_the_two_best_scores_are_with_and_without_the_taste(ran):
    shop = synthetic(**SIZES, seed=0)
    train, valid, test = leave_one_out(shop.interactions)
    histories = concatenate(train, valid).histories()
    best, blind = (shop.best_possible(test, histories, know_taste=know).ndcg for know in (True, False))
    share = 100 * ran[1][demo.TRANSFORMER].mean("ndcg") / blind
    assert f"{best:.4f} for one who also knows each user's taste, {blind:.4f} for one who has only" in ran[2]
    assert f"reaches {share:.0f} % of the latter" in ran[2]


def test_the_report_shows_every_figure_that_was_written(ran):
    folder, _, _ = ran
    report = (folder / "report.md").read_text(encoding="utf-8")
    shown = re.findall(r"^!\[[^\]\n]+\]\(([^)]+)\)\n\n\*[^\n]+\*$", report, re.MULTILINE)
    assert len(shown) == 5
    assert sorted([*shown, "model.npz", "report.md"]) == sorted(contents(folder))
    for name in shown:
        assert (folder / name).read_text(encoding="utf-8").startswith("<?xml")


def test_the_report_says_all_that_was_printed(ran):
    folder, _, printed = ran
    report = (folder / "report.md").read_text(encoding="utf-8")
    body = printed[: printed.index("\nWrote ")]
    spoken = [
        line.strip()
        for line in body.splitlines()
        if line.strip() and not set(line) <= set("- ") and not re.match(r"  +\d+\. |\S.*\[0|model ", line)
    ]
    assert len(spoken) > 12
    assert [line for line in spoken if demo.escaped(line) not in report and line not in report] == []


def test_the_saved_model_recommends_what_the_demo_printed(ran):
    folder, evaluations, printed = ran
    model = Recommender.load(folder / "model.npz")
    assert isinstance(model, TransformerRecommender)
    items, scores = model.recommend(["u0000"], k=5)
    section = printed[printed.index("A known user") : printed.index("A user never seen")]
    for item, score in zip(items[0], scores[0], strict=True):
        assert re.search(rf"{re.escape(model.titles[item])} .*{score:.2f}$", section, re.MULTILINE)
    # The place of the item that came next, by the definition.
    shop = synthetic(**SIZES, seed=0)
    log = [shop.interactions.item_ids[i] for i in shop.interactions.histories()[0]]
    everything, _ = model.recommend(["u0000"], k=len(model.item_ids))
    place = everything[0].index(log[-2]) + 1
    unseen = len(model.item_ids) - len(log[:-2])
    assert f"at place {place} of the {unseen} items" in section
    assert len(evaluations[demo.TRANSFORMER].users) == len(model.user_ids)


def test_the_attention_rows_are_the_largest_weights_of_the_first_recommendation(ran):
    folder, _, printed = ran
    model = Recommender.load(folder / "model.npz")
    history = model.histories[0]
    best = model.item_index[model.recommend(["u0000"], k=1).items[0][0]]
    weights = model.attention_weights(history, np.array([best]))[-1].mean(axis=0)[0]  # (T,)
    assert weights.sum() == pytest.approx(1.0, abs=1e-6)  # float32
    part = printed[printed.index("the attention (last block") : printed.index(demo.ATTENTION)]
    shown = [float(number) for number in re.findall(r"([01]\.\d\d)$", part, re.MULTILINE)]
    assert shown == [pytest.approx(w, abs=0.0051) for w in sorted(weights, reverse=True)[:3]]
    newest = model.titles[model.item_ids[history[-len(weights) :][int(np.argmax(weights))]]]
    assert re.search(rf"1\. {re.escape(newest)} ", part)


def test_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(ran, tmp_path):
    for name in ("again", "other"):
        (tmp_path / name).mkdir()
    first, printed = contents(ran[0]), ran[2]
    again, _, printed_again = run_in(tmp_path / "again", seed=0)
    assert contents(again) == first
    assert printed_again.rpartition("\n")[0] == printed.rpartition("\n")[0]  # the last line is the time
    other = contents(run_in(tmp_path / "other", seed=3)[0])
    assert other.keys() == first.keys()
    assert [name for name in first if first[name] == other[name]] == []


def visits() -> Dataset:
    """Without ratings, times, titles or genres; ids that a shell and Markdown would take for signs."""
    rng = np.random.default_rng(11)
    rows = [(f"-a b{u}", f"*x_{i}|") for u in range(13) for i in rng.permutation(29)[:7]]
    users, items = zip(*rows, strict=True)
    return Dataset("visits", Interactions(users, items), {}, None, "")


@pytest.mark.usefixtures("no_drawing")
def test_without_ratings_and_titles(tmp_path, capsys):
    with small_world():
        evaluations = demo.run("", tmp_path, dataset=visits(), progress=False)
    assert list(evaluations) == [demo.POPULARITY, demo.BPR, demo.TRANSFORMER]
    printed = capsys.readouterr().out
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    for text in (printed, report):
        assert "squared" not in text
        assert "best possible" not in text
    assert "A known user: -a b0\n" in printed
    assert "--user='-a b0'" in printed
    assert re.search(r"^  1\. \*x_\d+\|$", printed, re.MULTILINE)
    assert re.search(r"^1\. \\\*x\\_\d+\\\|$", report, re.MULTILINE)


@pytest.mark.usefixtures("no_drawing")
def test_the_reason_why_squared_error_ranks_badly_is_given_only_where_it_does(ran, tmp_path, capsys):
    _, evaluations, printed = ran
    squared, bpr = (evaluations[name].mean("ndcg") for name in (demo.SQUARED, demo.BPR))
    assert (demo.WHY_SQUARED_RANKS_BADLY in printed) == (squared < bpr)
    report = demo.Report("x", tmp_path)
    parts = demo.Parts(visits(), *([visits().interactions] * 3))
    swapped = {
        demo.SQUARED: evaluations[demo.BPR],
        demo.BPR: evaluations[demo.SQUARED],
        demo.TRANSFORMER: evaluations[demo.TRANSFORMER],
    }
    capsys.readouterr()
    demo.compare(report, swapped, None, parts)
    assert (demo.WHY_SQUARED_RANKS_BADLY in capsys.readouterr().out) == (bpr < squared)


@pytest.mark.usefixtures("no_drawing")
def test_a_user_who_has_met_every_item_gets_no_list_and_no_error(tmp_path, capsys):
    """Nobody takes something new at last, so the demo shows the first user, who has met all 6 items."""
    log = {"a": "pqrstupp", "b": "pqrqq", "c": "stst"}
    users, items = zip(*((u, i) for u, taken in log.items() for i in taken), strict=True)
    data = Dataset("full", Interactions(users, items), {}, None, "")
    with small_world():
        demo.run("", tmp_path, dataset=data, progress=False)
    section = capsys.readouterr().out.partition("A known user: a")[2].partition("A user never seen")[0]
    assert section.count("1. ") == 1  # the history, and neither recommendations nor attention
    assert "hidden in training" not in section


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("u0007", "--user u0007"),
        (7, "--user 7"),
        ("a b", "--user 'a b'"),
        ("it's", "--user 'it'\"'\"'s'"),
        ("-5x", "--user=-5x"),
        ("-a b", "--user='-a b'"),
    ],
)
def test_the_next_command_can_be_pasted_into_a_shell(user, expected):
    line = demo.next_command(Path("a folder", "model.npz"), user)
    path = str(Path("a folder", "model.npz"))
    assert line == f"python -m minirec recommend --model '{path}' {expected}"
