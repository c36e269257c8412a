"""The command line as a newcomer meets it: every command, every example, every wrong input.

All of it runs in one folder with small data. A wrong input is exit code 2 and one line on stderr that says
what to do, and never a traceback.
"""

import argparse
import functools
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import minirec
from minirec import cli, demo, evaluation, plots, usage
from minirec.data import Interactions, leave_one_out, load_ml100k, named, sampling, synthetic
from minirec.exercises import source
from minirec.exercises.catalogue import EXERCISES
from minirec.models import MatrixFactorization, Popularity, Recommender, TransformerRecommender
from minirec.models.presets import PRESETS

SHOP = functools.partial(synthetic, n_users=31, n_items=127, n_events=607)
TINY = {
    "popularity": {},
    "mf": {"dim": 5, "loss": "bpr", "epochs": 3, "batch_size": 128},
    "mf-squared": {"dim": 3, "loss": "squared", "epochs": 2},
    "transformer": {
        **{"embedding_dim": 6, "num_heads": 2, "num_layers": 1, "hidden": 7},
        **{"length": 5, "negatives": 11, "epochs": 2, "batch_size": 64},
    },
}
ODD = ("007", "a b", "x,y", "7", "Ü", "-1")  # "007" and "7" are different ids


@pytest.fixture(scope="module", autouse=True)
def small_world(tmp_path_factory):
    """Small presets, a small shop, an empty cache, and a folder of files to run commands on."""
    folder = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        for model, settings in TINY.items():
            patch.setitem(PRESETS, model, {"": settings})
        patch.setattr(named, "synthetic", SHOP)
        patch.setattr(demo, "synthetic", SHOP)
        patch.setenv("MINIREC_DATA", str(folder / "cache"))
        patch.chdir(folder)
        write_files()
        for model, data in (("transformer", "shop"), ("mf", "odd.csv"), ("mf", "fine.csv")):
            out = f"runs/{data.partition('.')[0]}"
            assert cli.main(["train", "--data", data, "--model", model, "--out", out, "--quiet"]) == 0
        damage(Path("runs/shop/model.npz"))
        yield folder


def write_files() -> None:
    text = {
        "fine.csv": "user,item,rating,timestamp\n" + "".join(rows("abcdefg", 23, 8)),
        "noratings.csv": "user,item\n"
        + "".join(row.rpartition(",1,")[0] + "\n" for row in rows("abc", 9, 5)),
        "visits.csv": "who,page\nann,tea\nbob,ham\n",
        "ratings.csv": "userId,movieId,rating,timestamp\n" + "".join(rows("pqrst", 19, 7)),
        "twice.csv": "user,item\na,b\nc,d\na,b\n",
        "one.csv": "who\nann\n",
        "short.csv": "user,item\na,b\na\n",
        "few.csv": "user,item\na,b\nb,c\n",
        "empty.csv": "",
        "decimal.csv": "user,item,timestamp\na,b,1.5\n",
        "both.csv": "user,user_id,item\na,b,c\n",
        "notes.txt": "hello\n",
        "odd.csv": odd_csv(),
    }
    for name, content in text.items():
        Path(name).write_text(content, encoding="utf-8")
    Path("latin.csv").write_bytes("user,item\nJosé,tea\n".encode("latin-1"))
    Path("mark.csv").write_bytes(b"\xef\xbb\xbfuser,item\na,b\n")
    Path("afolder").mkdir()


def rows(users: str, n_items: int, n: int) -> list[str]:
    drawn = random.Random(5)
    return [
        f"{u},{i},1,{1_500_000_000 + 10 * t}\n"
        for u in users
        for t, i in enumerate(drawn.sample(range(n_items), n))
    ]


def odd_csv() -> str:
    """Odd ids of users and items, the rows in no order of time."""
    drawn = random.Random(3)
    quoted = [f'"{i}"' if "," in i else i for i in ODD]
    lines = [
        f"{t},{u},{i}\n" for u in quoted for t, i in zip(drawn.sample(range(99), 5), quoted, strict=False)
    ]
    drawn.shuffle(lines)
    return "time,customer,product\n" + "".join(lines)


def damage(model: Path) -> None:
    """Copies of a model file: cut short, a flipped bit, and one that says it comes from the future."""
    whole = model.read_bytes()
    Path("cut.npz").write_bytes(whole[: len(whole) // 2])
    place = whole.index(b'"settings"') + 3
    Path("flipped.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with np.load(model) as opened:
        arrays = dict(opened)
    meta = json.loads(arrays["meta"].tobytes()) | {"format": 99}
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    np.savez("newer.npz", **arrays)


def run(capsys, line: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(shlex.split(line))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def in_process(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "minirec", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, **options)


# Wrong inputs.

TRAIN = "train --quiet --out new --data fine.csv --model"
MF, TRANSFORMER = f"{TRAIN} mf --set", f"{TRAIN} transformer --set"
SHOP_MODEL = "--model runs/shop/model.npz"

# fmt: off
WRONG = [
    # argparse
    ("nope", "invalid choice ... nope ... demo ... --help"),
    ("train", "required ... --data ... --model ... --out ... train --help"),
    ("data shop --seed x", "--seed ... whole number from 0 up ... 'x'"),
    ("data shop --seed -1", "--seed ... whole number from 0 up ... '-1'"),
    ("data shop --seed 1_0", "--seed ... whole number ... '1_0'"),
    ("data shop --nope", "minirec data: unrecognized ... --nope ... minirec data --help"),
    ("recommend --model m.npz --user 7 --k 5", "minirec recommend: ... --k 5 ... minirec recommend --help"),
    ("--nope", "minirec: unrecognized ... --nope ... minirec --help"),
    ("data fine.csv --duplicates x", "--duplicates ... 'x' ... error ... keep ... last"),
    (f"{TRAIN} nope", "--model ... nope ... popularity ... mf-squared ... transformer"),
    # data
    ("data nope", "no data set 'nope' ... shop and ml-100k ... ratings file"),
    ("data ''", "no data set '' ... shop and ml-100k"),
    ("data nope.csv", "nope.csv: no such file ... check the name"),
    ("data ./nope/x.csv", "no such file ... no directory nope"),
    ("data afolder", "afolder ... holds no u.data ... name the ratings file"),
    ("data empty.csv", "empty.csv: is empty"),
    ("data latin.csv", "latin.csv, line 2 ... byte 0xe9 ... José ... pass --encoding latin-1"),
    ("data fine.csv --encoding klingon", "unknown encoding 'klingon' ... utf-8 and latin-1"),
    ("data fine.csv --encoding utf-16", "'utf-16' ... save the file as UTF-8"),
    ("data mark.csv --encoding latin-1", "line 1 ... byte-order mark ... pass --encoding utf-8"),
    ("data latin.csv --encoding ascii", "line 2 ... not ascii ... pass the right one with --encoding"),
    ("data twice.csv", "line 4 ... user 'a' and item 'b' ... --duplicates last ... --duplicates keep"),
    ("data visits.csv", "line 1 ... 'who', 'page' ... name it with --user-column"),
    ("data visits.csv --user-column who", "'who', 'page' ... name it with --item-column"),
    ("data visits.csv --user-column x --item-column page", "'x' ... one of 'who', 'page' to --user-column"),
    ("data visits.csv --user-column who --item-column who", "same column 'who' ... name two different ones"),
    ("data both.csv", "several columns ... the user ... name it with --user-column"),
    ("data one.csv", "line 1 ... 'who' ... put tab , ; | or :: between the columns"),
    ("data short.csv", "line 3 ... 1 field where the first line has 2 ... add or remove"),
    ("data decimal.csv", "line 2 ... timestamp '1.5' ... round it"),
    ("data shop --user-column who", "--user-column ... for files only ... shop ... leave it out"),
    ("data shop --encoding latin-1", "--encoding is for files only"),
    ("demo --duplicates last", "--duplicates is for files only ... shop"),
    ("data fine.csv --from x.zip", "--from x.zip ... ml-100k only ... fine.csv ... leave it out"),
    ("data ml-100k --from nope.zip", "nope.zip ... no such file or folder ... MovieLens 100K"),
    ("data ml-100k --from afolder", "afolder ... neither u.data nor ml-100k.inter ... folder or zip"),
    ("data ml-100k --from notes.txt", "notes.txt ... no zip archive"),
    # train and demo
    ("train --data few.csv --model mf --out new", "few.csv ... none of the 2 users ... more data"),
    ("demo --data few.csv --out new", "few.csv ... none of the 2 users ... more data"),
    ("demo --data nope --out new", "no data set 'nope'"),
    ("train --data noratings.csv --model mf-squared --out new", "noratings.csv has none ... --rating-column"),
    ("train --data noratings.csv --model transformer --set loss=squared --out new", "needs ratings"),
    ("train --data fine.csv --model popularity --out notes.txt", "--out notes.txt is a file ... another"),
    ("train --data fine.csv --model popularity --out notes.txt/x", "notes.txt/x cannot be made ... another"),
    ("demo --out notes.txt", "--out notes.txt is a file"),
    (f"{MF} epochs", "NAME=VALUE ... epochs=5 ... got 'epochs'"),
    (f"{MF} =5", "no setting '' ... there are dim, loss"),
    (f"{MF} nope=1", "--set nope=1 ... mf has no setting 'nope' ... there are dim, loss"),
    (f"{TRAIN} popularity --set nope=1", "popularity has no setting ... it has none ... leave --set out"),
    (f"{MF} epochs=", "--set epochs= ... whole number"),
    (f"{MF} epochs=x", "--set epochs=x ... whole number"),
    (f"{MF} epochs=1.5", "--set epochs=1.5 ... whole number"),
    (f"{MF} epochs=true", "--set epochs=true ... whole number"),
    (f"{MF} epochs=0", "--set epochs=0 ... at least 1 ... got 0"),
    (f"{MF} dim=null", "dim must be a whole number"),
    (f"{MF} dim=99999999999", "not enough memory ... smaller model"),
    (f"{MF} lr=x", "lr must be a finite number"),
    (f"{MF} lr=NaN", "lr must be a finite number"),
    (f"{MF} lr=1e999", "lr must be a finite number"),
    (f"{MF} lr=[1]", "lr must be a finite number"),
    (f"{MF} lr=-1", "lr must be at least 0 ... -1"),
    (f"{MF} reg=-1", "reg must be at least 0 ... -1"),
    (f"{MF} lr=1e300", "step 1 ... parameter P is not finite ... --set lr=1e+299"),
    (f"{MF} loss=x", "loss must be one of ... 'bpr' ... got 'x'"),
    (f"{MF} loss=5", "loss must be one of ... got '5'"),
    (f"{MF} dtype=float16", "dtype must be one of ... 'float64' ... got 'float16'"),
    (f"{TRANSFORMER} num_heads=4", "6 is not divisible by ... 4"),
    (f"{TRANSFORMER} dropout=1.5", "dropout ... below 1 ... 1.5"),
    (f"{TRANSFORMER} hidden=0", "hidden must be at least 1, or null ... got 0"),
    (f"{TRANSFORMER} hidden=1.5", "hidden must be a whole number or null"),
    (f"{TRANSFORMER} negatives=0", "negatives must be at least 1 ... got 0"),
    (f"{TRANSFORMER} lr=-1", "lr must be ... -1"),
    (f"{TRAIN} popularity --checkpoint c.npz", "c.npz: Popularity ... no epochs: leave it out"),
    (f"{TRAIN} mf-squared --set method=per-rating --checkpoint c.npz", "c.npz ... per-rating ... leave it"),
    (f"{TRAIN} mf --checkpoint nope/c.npz", "checkpoint nope/c.npz ... no folder nope: make it first"),
    (f"{TRAIN} mf --checkpoint afolder", "checkpoint afolder is a folder ... give the name of a file"),
    (f"{TRAIN} mf --checkpoint new/metrics.json", "new/metrics.json is a file of the results"),
    (f"{TRAIN} mf --checkpoint new/model.npz", "new/model.npz is a file of the results ... another"),
    (f"{TRAIN} mf --checkpoint cut.npz", "cut.npz ... damaged or cut short"),
    (f"{TRAIN} mf --checkpoint runs/shop/model.npz", "is no checkpoint of a training: give another file"),
    # recommend
    (f"recommend {SHOP_MODEL}", "required ... --user ... --history"),
    (f"recommend {SHOP_MODEL} --user u0007 --history p0003", "--history ... not allowed with ... --user"),
    (f"recommend {SHOP_MODEL} --user nobody", "unknown user 'nobody' ... knows 31 ... give --history"),
    (f"recommend {SHOP_MODEL} --user ''", "unknown user ''"),
    (f"recommend {SHOP_MODEL} --history p0003,p9999", "unknown item 'p9999' ... knows 127 ... leave it out"),
    (f"recommend {SHOP_MODEL} --history '\"p0003'", "--history ... double quotes"),
    (f"recommend {SHOP_MODEL} --history 'p0003\np0007'", "--history ... commas between ids"),
    (f"recommend {SHOP_MODEL} --user u0007 -k 0", "-k ... from 1 up ... '0'"),
    (f"recommend {SHOP_MODEL} --user u0007 -k -3", "-k ... from 1 up ... '-3'"),
    (f"recommend {SHOP_MODEL} --user u0007 -k 2.5", "-k ... whole number ... '2.5'"),
    ("recommend --model nope.npz --user a", "--model nope.npz ... no such file ... train or demo"),
    ("recommend --model afolder --user a", "--model afolder is a folder ... model.npz"),
    ("recommend --model notes.txt --user a", "notes.txt ... no model file ... train or demo"),
    ("recommend --model fine.csv --user a", "fine.csv ... no model file"),
    ("recommend --model empty.csv --user a", "empty.csv ... no model file"),
    ("recommend --model cut.npz --user a", "cut.npz ... damaged or cut short ... train or demo"),
    ("recommend --model flipped.npz --user a", "flipped.npz ... damaged"),
    ("recommend --model newer.npz --user a", "newer.npz ... format 99 ... newer"),
    # evaluate
    (f"evaluate {SHOP_MODEL}", "required ... --data"),
    (f"evaluate {SHOP_MODEL} --data fine.csv", "other data than fine.csv ... 31 and 7 users ... --data"),
    (f"evaluate {SHOP_MODEL} --data shop --seed 1", "not trained on the training part of shop ... --seed"),
    (f"evaluate {SHOP_MODEL} --data shop -k 0", "-k ... from 1 up"),
    (f"evaluate {SHOP_MODEL} --data nope", "no data set 'nope'"),
    ("evaluate --model nope.npz --data shop", "--model nope.npz ... no such file"),
]
# fmt: on


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_input_is_one_line_that_helps(capsys, line, words):
    code, _, err = run(capsys, line)
    assert code == 2
    assert err.startswith("minirec")
    assert err.count("\n") == 1, f"more than one line: {err}"
    assert err.endswith("\n")
    missing = [part for part in words.split(" ... ") if part not in err]
    assert missing == [], err


def test_the_words_that_are_replaced_are_still_what_the_package_says():
    """Else a message would speak of Python arguments again, and nobody would notice."""
    root = Path(minirec.__file__).parent
    said = "".join(
        path.read_text(encoding="utf-8")
        for path in root.rglob("*.py")
        if path.name not in ("usage.py", "cli.py")
    )
    joined = re.sub(r'"\s*f?"', "", said)
    assert [words for words in usage.WORDS if words not in joined] == []


def test_an_unwritable_folder_is_named(capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    code, _, err = run(capsys, "train --data fine.csv --model popularity --out afolder")
    assert code == 2
    assert "--out afolder cannot be written to" in err
    assert "permissions" in err


def test_a_full_disk_keeps_the_model_that_was_there(capsys, monkeypatch):
    line = "train --data fine.csv --model popularity --out full --quiet"
    assert run(capsys, line)[0] == 0
    before = Path("full/model.npz").read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device", "full/model.npz")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run(capsys, line)
    assert code == 2
    assert err == "minirec train: full/model.npz: No space left on device\n"
    assert Path("full/model.npz").read_bytes() == before


# Help.


def parsers() -> dict[str, argparse.ArgumentParser]:
    actions = cli.build_parser()._actions
    return next(dict(a.choices) for a in actions if isinstance(a, argparse._SubParsersAction))


@pytest.mark.parametrize("line", ["", "--help", *(f"{name} --help" for name in parsers()), "--version"])
def test_help_is_given_and_nothing_is_wrong(capsys, line):
    code, out, err = run(capsys, line)
    assert (code, err) == (0, "")
    assert out


def test_alone_it_says_what_there_is(capsys):
    _, out, _ = run(capsys, "")
    assert list(parsers()) == [
        "demo",
        "train",
        "recommend",
        "evaluate",
        "compare",
        "data",
        "verify",
        "trace",
        "exercise",
    ]
    assert [name for name in parsers() if not re.search(rf"^ +{name}\s+\w", out, re.MULTILINE)] == []
    assert "python -m minirec demo" in out
    assert run(capsys, "--version")[1] == f"minirec {minirec.__version__}\n"


def test_every_option_has_a_help_text():
    for name, parser in parsers().items():
        silent = [action.dest for action in parser._actions if not action.help]
        assert silent == [], name


def examples() -> list[str]:
    """Every command line that the help shows, in an order in which each finds what it needs."""
    texts = [cli.build_parser().epilog or "", *(parsers()[n].epilog or "" for n in parsers())]
    lines = [line for text in texts for line in re.findall(r"python -m minirec (.+?)(?=\. |$)", text, re.M)]
    order = ["data", "train", "recommend", "evaluate", "compare", "demo", "verify", "trace", "exercise"]
    return sorted(lines, key=lambda line: order.index(line.split()[0]))


FORMULAS = """
import numpy as np

def my_forward(x, ids, mask, eps=1e-5):
    return np.where(mask, x * x, eps), (x, mask)

def my_backward(dy, cache):
    x, mask = cache
    return np.where(mask, 2.0 * x * dy, 0.0)

def my_softmax_forward(x):
    e = np.exp(x - x.real.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return p, p

def my_softmax_backward(dp, p):
    return p * (dp - (p * dp).sum(axis=-1, keepdims=True))
"""


def test_every_example_of_the_help_runs(capsys, tmp_path, monkeypatch, small_world):
    monkeypatch.chdir(tmp_path)
    for name in ("ratings.csv", "visits.csv"):
        (tmp_path / name).write_bytes((small_world / name).read_bytes())
    (tmp_path / "my_file.py").write_text(FORMULAS, encoding="utf-8")
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    (tmp_path / "Downloads").mkdir()
    with zipfile.ZipFile(tmp_path / "Downloads" / "ml-100k.zip", "w") as archive:
        content = "".join(rows("123456789", 53, 11)).replace(",", "\t")
        archive.writestr("ml-100k/u.data", content)
    counts = (9, len({line.split("\t")[1] for line in content.splitlines()}), 99)
    monkeypatch.setattr(plots, "save", lambda figure, path: Path(path).touch())  # drawing is slow
    monkeypatch.setattr(named, "load_ml100k", functools.partial(load_ml100k, expected=counts))
    monkeypatch.setenv("MINIREC_DATA", str(tmp_path / "cache"))
    lines = examples()
    assert {line.split()[0] for line in lines} == set(parsers())
    assert len(lines) >= 14
    (tmp_path / "submissions" / "ada").mkdir(parents=True)
    for line in lines:
        if line == "exercise check softmax":  # a student has written it meanwhile
            solved = source.module_source(EXERCISES["softmax"])
            (tmp_path / "exercises" / "softmax.py").write_text(solved, encoding="utf-8")
        words = [os.path.expanduser(word) for word in shlex.split(line)]
        code = cli.main(words)
        captured = capsys.readouterr()
        assert code == 0, f"{line}\n{captured.err}"
        if "ml-100k" in line:
            assert "Terms of use: MovieLens data" in captured.out


# The whole path.


def test_train_evaluate_recommend_on_the_shop(capsys):
    line = "train --data shop --model transformer --out again --quiet --seed 0"
    code, out, err = run(capsys, line)
    assert (code, err) == (0, "")
    assert "31 users x 127 items x 607 interactions" in out
    assert "Training ended: all epochs; kept the parameters of epoch" in out
    assert "Wrote model.npz, metrics.json, losses.svg in again." in out
    assert sorted(path.name for path in Path("again").iterdir()) == [
        "losses.svg",
        "metrics.json",
        "model.npz",
    ]
    assert "<svg" in Path("again/losses.svg").read_text(encoding="utf-8")

    train, valid, test = leave_one_out(SHOP(seed=0).interactions)
    own = TransformerRecommender(**TINY["transformer"]).fit(train, valid=valid, rng=0, progress=False)
    loaded = Recommender.load("again/model.npz")
    users = np.arange(31)
    assert np.array_equal(loaded.score(users), own.score(users))
    assert np.array_equal(
        loaded.score_histories([train.histories()[3]]), own.score_histories([train.histories()[3]])
    )

    result = evaluation.evaluate(own, train, test, also_seen=valid, metrics=cli.METRICS)
    written = json.loads(Path("again/metrics.json").read_text(encoding="utf-8"))
    expected = {result.label(m): [result.mean(m), *result.interval(m)] for m in cli.METRICS}
    assert written.pop("metrics") == expected
    assert written.pop("training") == {
        "ended": own.log.ended,
        "losses": own.log.losses,
        "validation": [list(pair) for pair in own.log.validation],
    }
    assert written == {
        "minirec": minirec.__version__,
        "model": "transformer",
        "settings": own.settings(),
        "data": {"name": "shop", "digest": SHOP(seed=0).interactions.digest()},
        "protocol": result.protocol,
        "seed": 0,
    }

    table = out[out.index("model  ") : out.index("Wrote")]
    _, evaluated, _ = run(capsys, "evaluate --model again/model.npz --data shop")
    numbers = r"\d\.\d+"
    assert re.findall(numbers, evaluated) == re.findall(numbers, table)
    assert "TransformerRecommender" in evaluated

    following = re.search(r"^Next: python -m minirec (.+)$", out, re.MULTILINE)
    assert following
    assert run(capsys, following[1])[0] == 0


def listed(out: str) -> list[tuple[str, float, str]]:
    """(id, score, title) of each printed row; ids here have no double spaces."""
    found = re.findall(r"^ *\d+\. (.+?)  +(-?\d+\.\d{4})(?:  (.+))?$", out, re.MULTILINE)
    return [(item, float(score), title) for item, score, title in found]


@pytest.mark.parametrize("seen", [False, True])
def test_recommend_lists_ids_scores_and_titles_for_a_known_user(capsys, seen):
    model = Recommender.load("runs/shop/model.npz")
    _, out, _ = run(capsys, f"recommend {SHOP_MODEL} --user u0007 -k 127 {'--with-seen' if seen else ''}")
    assert out.startswith("For user u0007:\n   1. p")
    items, scores = model.recommend(["u0007"], 127, exclude_seen=not seen)
    expected = [(i, s) for i, s in zip(items[0], scores[0], strict=True) if i is not None]
    assert len(expected) == 127 - (0 if seen else len(model.histories[7]))
    assert listed(out) == [(i, pytest.approx(s, abs=6e-5), model.titles[i]) for i, s in expected]


@pytest.mark.parametrize("text", ["p0003,p0120,p0044", " p0003 , p0120,,p0044, ", '"p0003",p0120,p0044'])
def test_recommend_after_a_history_of_somebody_new(capsys, text):
    model = Recommender.load("runs/shop/model.npz")
    code, out, err = run(capsys, f"recommend {SHOP_MODEL} --history '{text}' -k 5")
    assert (code, err) == (0, "")
    history = ["p0003", "p0120", "p0044"]
    assert out.startswith(f"After {', '.join(model.titles[i] for i in history)}:\n")
    items, scores = model.recommend_histories([history], 5)
    expected = zip(items[0], scores[0], strict=True)
    assert listed(out) == [(i, pytest.approx(s, abs=6e-5), model.titles[i]) for i, s in expected]


def test_an_empty_history_is_said_to_be_one(capsys):
    code, out, _ = run(capsys, f"recommend {SHOP_MODEL} --history '' -k 3")
    assert code == 0
    assert out.startswith("After an empty history:\n")
    assert len(listed(out)) == 3


def test_k_beyond_the_catalog_lists_what_there_is_and_nothing_left_is_said(capsys):
    model = Recommender.load("runs/shop/model.npz")
    _, out, _ = run(capsys, f"recommend {SHOP_MODEL} --user u0007 -k 999")
    assert len(listed(out)) == 127 - len(model.histories[7])
    _, out, _ = run(capsys, f"recommend {SHOP_MODEL} --history {','.join(model.item_ids)}")
    assert "nothing is left" in out
    assert "--with-seen" in out


def test_odd_ids_from_a_file_in_no_order(capsys):
    model = Recommender.load("runs/odd/model.npz")
    assert model.user_ids == sorted(ODD)
    assert set(model.item_ids) == set(ODD[:5])
    for user in ODD:
        code, out, err = run(capsys, f"recommend --model runs/odd/model.npz --user={shlex.quote(user)} -k 9")
        assert (code, err) == (0, ""), user
        assert out.startswith(f"For user {user}:\n")
        assert [row[0] for row in listed(out)] == [
            i for i in model.recommend([user], 9).items[0] if i is not None
        ]
    history = shlex.quote('007, "x,y", a b')
    code, out, _ = run(capsys, f"recommend --model runs/odd/model.npz --history {history}")
    assert code == 0
    assert out.startswith("After 007, x,y, a b:\n")
    assert sorted(row[0] for row in listed(out)) == ["7", "Ü"]
    # Rows sorted by time give the same model: only the order in time counts.
    head, *lines = Path("odd.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    Path("sorted.csv").write_text(head + "".join(sorted(lines)), encoding="utf-8")
    assert run(capsys, "evaluate --model runs/odd/model.npz --data sorted.csv")[0] == 0


def test_ids_that_are_numbers_in_python(capsys):
    users, items = zip(*((u, i) for u in (-5, 7, 11) for i in range(u + 5, u + 9)), strict=True)
    Popularity().fit(Interactions(users, items)).save("numbers.npz")
    for user in ("7", "-5", "007"):  # int("007") is 7
        code, out, _ = run(capsys, f"recommend --model numbers.npz --user {user} -k 2")
        assert (code, len(listed(out))) == (0, 2)
    code, out, _ = run(capsys, "recommend --model numbers.npz --history 0,12 -k 2")
    assert (code, len(listed(out))) == (0, 2)
    for wrong in ("７", "--5", "x", "1_1"):
        code, _, err = run(capsys, f"recommend --model numbers.npz --user={wrong}")
        assert code == 2
        assert f"unknown user {wrong!r}" in err


def test_settings_on_the_command_line_win_over_the_preset(capsys):
    settings = "--set dim=7 --set lr=1 --set epochs=2 --set dtype=float64"
    assert run(capsys, f"train --data fine.csv --model mf --out set --quiet {settings}")[0] == 0
    model = Recommender.load("set/model.npz")
    assert isinstance(model, MatrixFactorization)
    assert (model.dim, model.lr, model.epochs, model.dtype) == (7, 1.0, 2, "float64")
    assert model.batch_size == TINY["mf"]["batch_size"]


def test_a_seed_decides_the_model(capsys):
    for out, seed in (("s1", 1), ("s2", 1), ("s3", 2)):
        assert run(capsys, f"train --data fine.csv --model mf --out {out} --seed {seed} --quiet")[0] == 0
    first, second, third = (Path(out, "model.npz").read_bytes() for out in ("s1", "s2", "s3"))
    assert first == second
    assert first != third


def test_an_interrupted_training_is_gone_on_with(capsys, monkeypatch):
    """Three epochs at once, and the same after Ctrl-C in the second: the files are the same."""
    line = "train --data fine.csv --model mf --set batch_size=16 --quiet --seed 3"
    assert run(capsys, f"{line} --out straight")[0] == 0
    draw, calls = sampling.sample_negatives, []

    def draw_and_interrupt(*arguments):
        calls.append(1)
        if len(calls) == 5:  # 42 events make 3 steps
            signal.raise_signal(signal.SIGINT)
        return draw(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(sampling, "sample_negatives", draw_and_interrupt)
        code, out, _ = run(capsys, f"{line} --out resumed --checkpoint c3.npz")
    assert code == 0
    assert "interrupted in epoch 2 after 5 steps" in out
    assert "with the checkpoint c3.npz training goes on after epoch 1." in out
    assert run(capsys, f"{line} --out resumed --checkpoint c3.npz")[0] == 0
    for name in ("model.npz", "metrics.json"):
        assert Path("resumed", name).read_bytes() == Path("straight", name).read_bytes(), name
    code, _, err = run(capsys, f"{line} --out resumed --checkpoint c3.npz --set lr=0.5")
    assert code == 2
    assert "identity.settings.lr is 0.01 there and 0.5 here" in err


def test_popularity_has_no_loss_to_draw(capsys):
    code, out, _ = run(capsys, "train --data fine.csv --model popularity --out popular")
    assert code == 0
    assert "Wrote model.npz, metrics.json in popular." in out
    assert "training" not in json.loads(Path("popular/metrics.json").read_text(encoding="utf-8"))


def test_data_says_what_is_in_a_data_set(capsys):
    _, out, _ = run(capsys, "data")
    assert [line.split()[0] for line in out.splitlines()] == ["shop", "ml-100k", "FILE"]
    _, out, _ = run(capsys, "data fine.csv")
    assert out.startswith("fine: 7 users x ")
    assert re.search(r"^digest [0-9a-f]{64}$", out, re.MULTILINE)
    assert run(capsys, "data latin.csv --encoding latin-1")[0] == 0
    assert "2 interactions" in run(capsys, "data twice.csv --duplicates last")[1]
    assert "3 interactions" in run(capsys, "data twice.csv --duplicates keep")[1]


def test_the_demo_writes_where_it_is_told(capsys):
    code, out, err = run(capsys, "demo --data fine.csv --out 'my demo' --quiet")
    assert (code, err) == (0, "")
    assert Path("my demo/report.md").is_file()
    command = re.search(r"^  python -m minirec (recommend .+)$", out, re.MULTILINE)
    assert command
    assert run(capsys, command[1])[0] == 0


# Ctrl-C and closed pipes.


def test_ctrl_c_ends_with_130(capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Popularity, "fit", interrupted)
    code, _, err = run(capsys, "train --data fine.csv --model popularity --out interrupted")
    assert (code, err) == (130, "minirec: interrupted\n")
    assert not Path("interrupted/model.npz").exists()


def test_ctrl_c_in_the_training_keeps_a_usable_model(capsys, monkeypatch):
    draw, calls = sampling.sample_negatives, []

    def draw_and_interrupt(*arguments):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return draw(*arguments)

    monkeypatch.setattr(sampling, "sample_negatives", draw_and_interrupt)
    code, out, _ = run(capsys, "train --data shop --model transformer --out stopped --quiet --set epochs=50")
    assert code == 0
    assert len(calls) == 2
    assert "Training ended: interrupted in epoch 1 after 2 steps" in out
    assert np.isfinite(Recommender.load("stopped/model.npz").score(np.arange(3))).all()


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [[], ["--help"], ["data", "shop"]])
def test_a_closed_pipe_is_no_error(arguments, unbuffered):
    """As with `| head -1`: the reader is gone before anything is written, in print or in the last flush."""
    command = [sys.executable, "-m", "minirec", *arguments]
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


def test_as_a_process():
    ran = in_process()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("usage: python -m minirec")
    ran = in_process("recommend", "--model", "cut.npz", "--user", "a")
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert ran.stderr.startswith("minirec recommend: --model cut.npz")
    assert in_process("data", "--nope").returncode == 2


def test_a_terminal_without_the_letters_of_a_title():
    pairs = [(u, i) for u in "abc" for i in "pqr" if u != i]
    users, items = zip(*pairs, strict=True)
    titles = {"p": "Amélie", "q": "千と千尋", "r": "Ran"}
    Popularity().fit(Interactions(users, items, titles=titles)).save("titles.npz")
    arguments = ("recommend", "--model", "titles.npz", "--user", "a", "--with-seen")
    ran = in_process(*arguments, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Am?lie" in ran.stdout
