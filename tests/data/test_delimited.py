from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirec.data.delimited import INTEGER, NUMBER, read_delimited
from minirec.data.textfile import RatingsFileError

NAMED = {"user": "user", "item": "item", "rating": "rating", "timestamp": "time"}


def write(folder: Path, text: str, name: str = "ratings.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_ids_are_the_exact_text(tmp_path: Path) -> None:
    ids = ["007", "7", "7.0", "NA", "nan", "None", "1e3", "true", " x", "Zoë"]
    text = "user,item\n" + "".join(f"{id},b{id}\n" for id in ids)
    x = read_delimited(write(tmp_path, text), user="user", item="item").interactions
    assert [x.user_ids[u] for u in x.users] == ids
    assert [x.item_ids[i] for i in x.items] == [f"b{id}" for id in ids]
    assert x.ratings is None
    assert x.timestamps is None


def test_rows_keep_the_order_of_the_file_and_equal_timestamps_are_fine(tmp_path: Path) -> None:
    text = "user,item,rating,time\nb,z,1,5\na,y,2,5\nb,x,3,5\na,z,4,2\n"
    data = read_delimited(write(tmp_path, text), **NAMED)
    x = data.interactions
    assert [x.user_ids[u] for u in x.users] == ["b", "a", "b", "a"]
    assert x.ratings is not None
    assert x.ratings.tolist() == [1, 2, 3, 4]
    assert [[x.item_ids[i] for i in history] for history in x.histories()] == [["z", "y"], ["z", "x"]]
    assert data.name == "ratings"
    assert data.rating_scale is None


def test_columns_by_number_without_a_header(tmp_path: Path) -> None:
    path = write(tmp_path, "9\t0.5\t7\n8\t1\t7\n", "file.tsv")
    x = read_delimited(path, user=2, item=0, rating=1, header=False, rating_scale=(0.5, 5)).interactions
    assert x.user_ids == ["7"]
    assert x.item_ids == ["8", "9"]
    assert x.ratings is not None
    assert x.ratings.tolist() == [0.5, 1]


def test_the_separator_is_the_one_that_yields_the_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "user;item;a,b,c,d\n1;2;x\n")
    assert read_delimited(path, user="user", item="item").interactions.item_ids == ["2"]
    path = write(tmp_path, "user;item|x|y|z\n1;2\n")
    x = read_delimited(path, user=0, item=1, separator=";").interactions
    assert x.item_ids == ["2"]


def test_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_bytes(b"user,item\nZo\xeb,1\n")
    assert read_delimited(path, user="user", item="item", encoding="latin-1").interactions.user_ids == ["Zoë"]


def test_unquoted(tmp_path: Path) -> None:
    path = write(tmp_path, 'user,item\n"a,b\n')
    assert read_delimited(path, user="user", item="item", quoted=False).interactions.user_ids == ['"a']


@pytest.mark.parametrize(
    ("duplicates", "kept"), [("keep", [1, 2, 3, 4, 5, 6]), ("last", [2, 3, 6])], ids=["keep", "last"]
)
def test_duplicates(duplicates: str, kept: list[int], tmp_path: Path) -> None:
    # (a, x) is rated 1, 3, 5, and the newest is 3. (b, x) is rated 4, 6 at one time: the later row counts.
    text = "user,item,rating,time\na,x,1,10\na,y,2,10\na,x,3,30\nb,x,4,7\na,x,5,20\nb,x,6,7\n"
    x = read_delimited(write(tmp_path, text), **NAMED, duplicates=duplicates).interactions
    assert x.ratings is not None
    assert x.ratings.tolist() == kept


def test_the_first_duplicate_in_the_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item\nb,x\na,x\nb,x\na,x\n")
    with pytest.raises(RatingsFileError, match="line 4: user 'b' and item 'x' stand on line 2 already"):
        read_delimited(path, user="user", item="item")


def test_duplicates_without_timestamps_keep_the_last_row(tmp_path: Path) -> None:
    text = "user,item,rating\na,x,1\na,x,2\n"
    path = write(tmp_path, text)
    x = read_delimited(path, user="user", item="item", rating="rating", duplicates="last").interactions
    assert x.ratings is not None
    assert x.ratings.tolist() == [2]


@pytest.mark.parametrize(("time", "kind"), [("100.5", "f"), ("100.0", "i"), ("1e2", "i"), ("0", "i")])
def test_fractional_seconds(time: str, kind: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"user,item,rating,time\na,x,1,{time}\n")
    x = read_delimited(path, **NAMED, fractional_seconds=True).interactions
    assert x.timestamps is not None
    assert x.timestamps.tolist() == [float(time)]
    assert x.timestamps.dtype.kind == kind


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"duplicates": "first"}, "duplicates = 'first': allowed are"),
        ({"header": False}, "without a header the columns must be given as numbers"),
        ({"rating": "item"}, "item and rating are the same column 'item'"),
    ],
)
def test_wrong_arguments(changes: dict[str, object], words: str, tmp_path: Path) -> None:
    path = write(tmp_path, "user,item,rating,time\na,x,1,1\n")
    with pytest.raises(ValueError, match=words):
        read_delimited(path, **(NAMED | changes))


def test_many_different_ratings(tmp_path: Path) -> None:
    wanted = [i / 7 for i in range(10_007)]  # more than are remembered at once
    text = "user,item,rating\n" + "".join(f"u,{i},{value!r}\n" for i, value in enumerate(wanted))
    x = read_delimited(write(tmp_path, text), user="user", item="item", rating="rating").interactions
    assert x.ratings is not None
    assert x.ratings.tolist() == wanted


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_pattern_takes_every_printed_float(value: float) -> None:
    assert NUMBER.fullmatch(repr(value))


@given(st.text(alphabet="0123456789+-.eE_ \t٣４naif", max_size=8))
def test_the_pattern_takes_nothing_that_python_does_not(text: str) -> None:
    if NUMBER.fullmatch(text):
        float(text)
        assert text.isascii()
        assert "_" not in text
    if INTEGER.fullmatch(text):
        assert str(int(text)).lstrip("-") == (text.lstrip("-0") or "0")
