import hashlib
import http.server
import io
import os
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from minirec.data import ml100k
from minirec.data.ml100k import cache_directory, load_ml100k
from minirec.data.splits import leave_one_out
from minirec.data.textfile import RatingsFileError

U_DATA = (
    "1\t2\t3\t881250949\n1\t1\t5\t881250949\n7\t2\t1\t881250000\n7\t3\t4\t881250000\n1\t3\t2\t881250950\n"
)
FLAGS = "|".join("0" * 19)
ROWS = ("1|Toy Story (1995)|01-Jan-1995|||", "2|Cité (1994)||||", "3|Air||||")
U_ITEM = "".join(f"{row}{FLAGS}\n" for row in ROWS).encode("latin-1")
INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + U_DATA
ITEM = "item_id:token\tmovie_title:token_seq\trelease_year:token\n"
ITEM += "1\tToy Story\t1995\n2\tCité\t1994\n3\tAir\tno\n"
COUNTS = (2, 3, 5)


@pytest.fixture(autouse=True)
def _nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache, no recbole and no proxy of this machine."""
    monkeypatch.setenv("MINIREC_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def grouplens_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "u.data").write_text(U_DATA)
    (folder / "u.item").write_bytes(U_ITEM)
    (folder / "README").write_text("not needed")
    return folder


def recbole_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "ml-100k.inter").write_text(INTER)
    (folder / "ml-100k.item").write_text(ITEM, encoding="utf-8")
    return folder


def archive(data: str = U_DATA) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("ml-100k/README", "not needed")
        opened.writestr("ml-100k/u.data", data)
        opened.writestr("ml-100k/u.item", U_ITEM)
    return buffer.getvalue()


def cached(tmp_path: Path) -> list[str]:
    return sorted(p.name for p in (tmp_path / "cache" / "ml-100k").glob("*"))


@pytest.mark.parametrize("kind", ["grouplens", "recbole", "zip", "parent", "file"])
def test_from_a_folder_or_zip_into_the_cache(kind: str, tmp_path: Path) -> None:
    if kind == "zip":
        source = tmp_path / "any.zip"
        source.write_bytes(archive())
    elif kind == "recbole":
        source = recbole_folder(tmp_path / "source")
    else:
        source = grouplens_folder(tmp_path / "source" / "ml-100k")
        source = {"parent": source.parent, "file": source / "u.data"}.get(kind, source)
    data = load_ml100k(source, download=False, expected=COUNTS)
    x = data.interactions
    assert data.name == "MovieLens 100K"
    assert data.rating_scale == (1, 5)
    assert "no redistribution" in data.terms
    assert [x.item_ids[i] for i in x.items] == ["2", "1", "2", "3", "3"]  # the order of the file
    assert x.titles == {"1": "Toy Story (1995)", "2": "Cité (1994)", "3": "Air"}
    names = ["ml-100k.inter", "ml-100k.item"] if kind == "recbole" else ["u.data", "u.item"]
    assert cached(tmp_path) == names
    for path in (tmp_path / "source", tmp_path / "any.zip"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    again = load_ml100k(download=False, expected=COUNTS)
    assert again.digest == data.digest
    assert again.items == data.items


def test_both_formats_have_one_digest(tmp_path: Path) -> None:
    a = load_ml100k(grouplens_folder(tmp_path / "a"), expected=COUNTS)
    b = load_ml100k(recbole_folder(tmp_path / "b"), expected=COUNTS)
    assert a.digest == b.digest


def test_the_copy_in_recbole_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("MINIREC_DATA", str(tmp_path / "cache"))
    recbole_folder(tmp_path / "site" / "recbole" / "dataset_example" / "ml-100k")
    (tmp_path / "site" / "recbole" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    data = load_ml100k(download=False, expected=COUNTS)
    assert len(data.interactions) == 5
    assert "recbole" not in sys.modules
    assert cached(tmp_path) == []


def test_the_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recbole = recbole_folder(tmp_path / "recbole")
    monkeypatch.setattr(ml100k, "_recbole_folder", lambda: recbole)
    asked = []
    monkeypatch.setattr(ml100k, "_download", lambda *arguments: asked.append(arguments))
    load_ml100k(expected=COUNTS)
    assert asked == []  # recbole comes before the network
    load_ml100k(grouplens_folder(tmp_path / "source"), expected=COUNTS)
    shutil.rmtree(recbole)
    load_ml100k(expected=COUNTS)
    assert asked == []  # the cache comes before recbole and the network
    shutil.rmtree(tmp_path / "cache")
    load_ml100k(expected=COUNTS)
    assert len(asked) == 1


def test_nothing_found_and_no_download(tmp_path: Path) -> None:
    with pytest.raises(
        RatingsFileError, match=r"neither in .*cache.* nor in an installed recbole package: .*--from"
    ):
        load_ml100k(download=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "counts",
            "holds 2 users, 3 items and 4 ratings, but MovieLens 100K has 2 users, 3 items and 5 ratings",
        ),
        ("scale", "line 1: the rating '9' is outside the scale from 1 to 5"),
        ("nothing", "holds neither u.data nor ml-100k.inter"),
        ("missing", "no such file or folder"),
        ("no zip", "is no zip archive that can be read"),
        ("cut zip", "is no zip archive that can be read"),
        ("flipped zip", "is no zip archive that can be read"),
        ("bomb", "would unpack to 60,000,000 bytes, more than 50,000,000"),
        ("zip with wrong counts", r"source.u.data: holds 2 users, 3 items and 4 ratings"),
    ],
)
def test_a_wrong_source_never_enters_the_cache(change: str, words: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    fewer = U_DATA[: U_DATA.rindex("1\t3\t2")]
    if change in ("counts", "scale", "nothing"):
        grouplens_folder(source)
        data = {"counts": fewer, "scale": U_DATA.replace("\t3\t881", "\t9\t881", 1)}.get(change, "")
        (source / "u.data").write_text(data) if data else (source / "u.data").unlink()
    elif change == "no zip":
        source.write_text(U_DATA)
    elif change == "cut zip":
        source.write_bytes(archive()[:-40])
    elif change == "flipped zip":
        packed = bytearray(archive())
        place = packed.index(b"u.data") + len("u.data") + 9
        packed[place] ^= 0x10
        source.write_bytes(packed)
    elif change == "bomb":
        source.write_bytes(archive("\n" * 60_000_000))
    elif change == "zip with wrong counts":
        source.write_bytes(archive(fewer))
    with pytest.raises(RatingsFileError, match=words):
        load_ml100k(source, expected=COUNTS)
    assert cached(tmp_path) == []


def test_recbole_files_with_other_ratings(tmp_path: Path) -> None:
    source = recbole_folder(tmp_path / "source")
    (source / "ml-100k.inter").write_text(INTER.replace("\t3\t881", "\t0\t881", 1))
    with pytest.raises(RatingsFileError, match="holds ratings from 0 to 5, but MovieLens 100K has 1 to 5"):
        load_ml100k(source, expected=COUNTS)
    (source / "ml-100k.inter").write_text("user_id:token\titem_id:token\n1\t2\n")
    with pytest.raises(RatingsFileError, match="holds no ratings or no timestamps"):
        load_ml100k(source, expected=(1, 1, 1))


def test_the_real_counts_are_the_default(tmp_path: Path) -> None:
    with pytest.raises(RatingsFileError, match="has 943 users, 1,682 items and 100,000 ratings"):
        load_ml100k(grouplens_folder(tmp_path / "source"))


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_an_interrupted_copy_leaves_no_half_of_a_cache(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = grouplens_folder(tmp_path / "source")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, moment, fail)
    with pytest.raises(RatingsFileError, match=r"the cache cannot be written \(No space left.*MINIREC_DATA"):
        load_ml100k(source, expected=COUNTS)
    assert cached(tmp_path) == []
    monkeypatch.undo()


def test_the_ratings_are_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    monkeypatch.setattr(ml100k, "_copy_atomically", lambda origin, target: order.append(target.name))
    load_ml100k(grouplens_folder(tmp_path / "source"), expected=COUNTS)
    assert order == ["u.item", "u.data"]


@pytest.mark.parametrize(
    ("platform", "variables", "wanted"),
    [
        ("linux", {"MINIREC_DATA": "/data"}, "/data"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/minirec"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/minirec"),
        ("linux", {}, "/home/me/.cache/minirec"),
        ("darwin", {}, "/home/me/Library/Caches/minirec"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/minirec"),
        ("win32", {}, "/home/me/AppData/Local/minirec"),
    ],
)
def test_cache_directory(
    platform: str, variables: dict[str, str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MINIREC_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert cache_directory() == Path(wanted)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with `server.files`: bytes, and how many of them are sent before the connection is cut."""

    def do_GET(self) -> None:
        body, sent = self.server.files.get(self.path, (None, 0))  # type: ignore[attr-defined]
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:sent])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("right", ""),
        ("upper case sum", ""),
        ("wrong sum", "has the MD5 sum .* but 0{32} stands beside it: .*--from"),
        ("no sum in it", r"\.md5 holds no MD5 sum: .*--from"),
        ("no sum", r"could not be downloaded from .*\(.*Not Found\): .*--from"),
        ("no archive", r"could not be downloaded from .*\(.*Not Found\): .*--from"),
        ("cut", r"\(the connection was cut after 100 of \d+ bytes\): .*--from"),
        ("too large", r"\(more than 200 bytes\): .*--from"),
        ("right sum, wrong content", r"http://.*u.data: holds 2 users, 3 items and 4 ratings"),
    ],
)
def test_download(
    case: str,
    words: str,
    server: http.server.ThreadingHTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = archive(U_DATA[: U_DATA.rindex("1\t3\t2")] if case == "right sum, wrong content" else U_DATA)
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    listed = {
        "wrong sum": "0" * 32,
        "no sum in it": "oops",
        "upper case sum": digest.upper(),
    }.get(case, f"MD5 (ml-100k.zip) = {digest}")
    files = {"/ml-100k.zip": (body, 100 if case == "cut" else len(body))}
    files["/ml-100k.zip.md5"] = (listed.encode(), len(listed))
    files.pop({"no sum": "/ml-100k.zip.md5", "no archive": "/ml-100k.zip"}.get(case, ""), None)
    if case == "too large":
        monkeypatch.setattr(ml100k, "LIMIT", 200)
    server.files = files  # type: ignore[attr-defined]
    url = f"http://127.0.0.1:{server.server_address[1]}/ml-100k.zip"
    if words:
        with pytest.raises(RatingsFileError, match=words) as caught:
            load_ml100k(url=url, expected=COUNTS)
        assert "\n" not in str(caught.value)
        assert cached(tmp_path) == []
        return
    data = load_ml100k(url=url, expected=COUNTS)
    assert len(data.interactions) == 5
    assert cached(tmp_path) == ["u.data", "u.item"]
    assert load_ml100k(download=False, expected=COUNTS).digest == data.digest


def test_no_network(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    server.files = {}  # type: ignore[attr-defined]
    with http.server.HTTPServer(("127.0.0.1", 0), _Handler) as closed:
        port = closed.server_address[1]
    for url in (f"http://127.0.0.1:{port}/ml-100k.zip", "http://nowhere.invalid/ml-100k.zip"):
        with pytest.raises(
            RatingsFileError, match=r"could not be downloaded from .*: name a folder or zip with --from"
        ):
            load_ml100k(url=url, expected=COUNTS)


def test_the_real_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    try:
        data = load_ml100k(download=False)
    except RatingsFileError as error:
        pytest.skip(f"the real data is not on this machine: {error}")
    x = data.interactions
    found = x.describe()
    assert found[:3] == (943, 1682, 100_000)
    assert found.ratings == (1, 5)
    assert x.ratings is not None
    assert x.ratings.mean() == pytest.approx(3.52986, abs=1e-9)  # 352,986 stars over 100,000 ratings
    assert round(found.density, 4) == 0.0630
    assert len(data.items) == 1682
    assert data.items["50"][:2] == ("Star Wars", 1977)
    train, valid, test = leave_one_out(x)
    assert (len(train), len(valid), len(test)) == (98_114, 943, 943)
    # Popularity among the items that a user has not seen, ties by the exact expectation: HR@10 is .0848.
    popularity = train.matrix().column_counts()
    seen = x.matrix()
    hits = 0.0
    for u, target in zip(test.users, test.items, strict=True):
        others = np.delete(popularity, seen.row(u)[0])
        above, tied = np.sum(others > popularity[target]), np.sum(others == popularity[target]) + 1
        hits += min(max(10 - above, 0), tied) / tied
    assert round(hits / len(test), 4) == 0.0848
