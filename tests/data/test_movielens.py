from pathlib import Path

import pytest

from minirec.data.dataset import Dataset, ItemInfo
from minirec.data.movielens import (
    load_dataset,
    read_movielens_1m,
    read_movielens_100k,
    read_movielens_latest,
    read_recbole,
)
from minirec.data.textfile import RatingsFileError

FLAGS = "|".join("1" if genre in (3, 5) else "0" for genre in range(19))  # Animation, Comedy
NO_FLAGS = "|".join("0" * 19)


def movielens_100k(folder: Path) -> Path:
    (folder / "u.data").write_text("1\t2\t3\t881250949\n1\t1\t5\t881250949\n7\t2\t1\t881250000\n")
    (folder / "u.item").write_bytes(
        f"1|Toy Story (1995)|01-Jan-1995||http://x|{FLAGS}\n2|Les Misérables|01-Jan-1994||http://y|{NO_FLAGS}\n"
        f"3|unknown||||{NO_FLAGS}\n".encode("latin-1")
    )
    return folder


def movielens_1m(folder: Path) -> Path:
    (folder / "ratings.dat").write_text("1::2::3::881250949\n1::1::5::881250949\n7::2::1::881250000\n")
    (folder / "movies.dat").write_bytes(
        "1::Toy Story (1995)::Animation|Comedy\n2::Les Misérables (1994)::\n".encode("latin-1")
    )
    return folder


def movielens_latest(folder: Path) -> Path:
    head = "userId,movieId,rating,timestamp\r\n"
    (folder / "ratings.csv").write_bytes(
        (head + "1,2,3.0,881250949\r\n1,1,5,881250949\r\n7,2,1,881250000\r\n").encode()
    )
    (folder / "movies.csv").write_text(
        "movieId,title,genres\n1,Toy Story (1995),Animation|Comedy\n"
        '2,"Les Misérables (1994)",(no genres listed)\n',
        encoding="utf-8",
    )
    return folder


def recbole(folder: Path) -> Path:
    (folder / "x.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "1\t2\t3\t881250949\n1\t1\t5\t881250949\n7\t2\t1\t881250000\n"
    )
    (folder / "x.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tToy Story\t1995\tAnimation Comedy\n2\tLes Misérables\t1994\t\n",
        encoding="utf-8",
    )
    return folder


FORMATS = {
    "100k": (movielens_100k, read_movielens_100k),
    "1m": (movielens_1m, read_movielens_1m),
    "latest": (movielens_latest, read_movielens_latest),
    "recbole": (recbole, lambda folder: read_recbole(folder / "x.inter")),
}
RATINGS = {"100k": "u.data", "1m": "ratings.dat", "latest": "ratings.csv", "recbole": "x.inter"}
ITEMS = {"100k": "u.item", "1m": "movies.dat", "latest": "movies.csv", "recbole": "x.item"}


def check(data: Dataset) -> None:
    x = data.interactions
    assert [x.user_ids[u] for u in x.users] == ["1", "1", "7"]
    assert [x.item_ids[i] for i in x.items] == ["2", "1", "2"]
    assert x.ratings is not None
    assert x.ratings.tolist() == [3, 5, 1]
    assert x.timestamps is not None
    assert x.timestamps.tolist() == [881250949, 881250949, 881250000]


@pytest.mark.parametrize("name", FORMATS)
def test_all_formats_give_the_same_data_set(name: str, tmp_path: Path) -> None:
    write, read = FORMATS[name]
    data = read(write(tmp_path))
    check(data)
    assert data.items["1"] == ItemInfo("Toy Story", 1995, ("Animation", "Comedy"))
    assert data.items["2"] == ItemInfo("Les Misérables", 1994, ())
    assert data.interactions.titles["2"] == "Les Misérables (1994)"
    (tmp_path / "twin").mkdir()
    assert data.digest == read_movielens_100k(movielens_100k(tmp_path / "twin")).digest


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("by", ["folder", "file"])
def test_load_dataset_finds_the_format(name: str, by: str, tmp_path: Path) -> None:
    write, read = FORMATS[name]
    path = write(tmp_path) if by == "folder" else write(tmp_path) / RATINGS[name]
    assert load_dataset(path)._replace(interactions=None) == read(tmp_path)._replace(interactions=None)
    check(load_dataset(path))


@pytest.mark.parametrize("name", FORMATS)
def test_items_are_optional(name: str, tmp_path: Path) -> None:
    write, read = FORMATS[name]
    (write(tmp_path) / ITEMS[name]).unlink()
    data = read(tmp_path)
    check(data)
    assert data.items == {}


def test_terms_and_scales(tmp_path: Path) -> None:
    data = read_movielens_100k(movielens_100k(tmp_path))
    assert data.rating_scale == (1, 5)
    for word in ("no redistribution", "no commercial use", "Harper & Konstan (2015)"):
        assert word in data.terms
    (tmp_path / "u.data").write_text("1\t2\t6\t881250949\n")
    with pytest.raises(RatingsFileError, match="line 1: the rating '6' is outside the scale from 1 to 5"):
        read_movielens_100k(tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1|Toy Story|x", r"u.item, line 1: 3 fields instead of 24"),
        ("1|Toy Story|||" + NO_FLAGS[:-1] + "2|0", r"line 1: the genre flags must be 0 or 1"),
    ],
)
def test_faults_of_u_item(line: str, words: str, tmp_path: Path) -> None:
    movielens_100k(tmp_path)
    (tmp_path / "u.item").write_text(line)
    with pytest.raises(RatingsFileError, match=words):
        read_movielens_100k(tmp_path)


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("userId,movieId,rating,timestamp", {}),
        ("UserID,product_id,stars,time", {}),
        ("who,what,rating,time", {"user": "who", "item": "what"}),
    ],
)
def test_load_dataset_of_a_plain_file(header: str, columns: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(f"{header}\n1,2,3,881250949\n1,1,5,881250949\n7,2,1,881250000\n")
    check(load_dataset(path, **columns))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("who,what", "no column could be the user among 'who', 'what': name the column"),
        ("user,item,user_id", "several columns could be the user"),
    ],
)
def test_load_dataset_does_not_guess_twice(header: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(header + "\n1,2,3\n")
    with pytest.raises(RatingsFileError, match=words):
        load_dataset(path)


def test_folders_without_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(RatingsFileError, match=r"holds no u.data, ratings.dat, ratings.csv or \*.inter"):
        load_dataset(tmp_path)
    (tmp_path / "a.inter").touch()
    (tmp_path / "b.inter").touch()
    with pytest.raises(RatingsFileError, match=r"holds 2 .inter files: name one"):
        load_dataset(tmp_path)
    with pytest.raises(RatingsFileError, match=r"a\.inter: is empty"):
        load_dataset(tmp_path / "a.inter")


def test_recbole_without_ratings_and_times(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text("item_id:token\tuser_id:token\n5\t6\n")
    x = read_recbole(tmp_path / "x.inter").interactions
    assert (x.user_ids, x.item_ids, x.ratings, x.timestamps) == (["6"], ["5"], None, None)


def test_recbole_times_may_have_decimals(tmp_path: Path) -> None:
    head = "user_id:token\titem_id:token\ttimestamp:float\n"
    (tmp_path / "x.inter").write_text(head + "5\t6\t881250949.5\n")
    times = read_recbole(tmp_path / "x.inter").interactions.timestamps
    assert times is not None
    assert times.tolist() == [881250949.5]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("user_id\titem_id", "no typed header such as user_id:token"),
        ("user_id:token\tmovie:token", "no column 'item_id:token' for the item"),
    ],
)
def test_recbole_headers(header: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text(header + "\n1\t2\n")
    with pytest.raises(RatingsFileError, match=words):
        read_recbole(tmp_path / "x.inter")
