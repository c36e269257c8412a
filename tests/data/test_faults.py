"""Every fault of a ratings file and its message. `python tests/data/test_faults.py` prints them all."""

import builtins
import gzip
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from unittest import mock

import pytest

from minirec.data.delimited import read_delimited
from minirec.data.textfile import MAX_LINE, RatingsFileError

HEAD = b"user,item,rating,time\n"
GOOD = b"7,3,4.5,100\n"


class Fault(NamedTuple):
    name: str
    content: bytes | str  # the bytes of the file, or the word for what stands in its place
    words: tuple[str, ...]  # must all occur in the message
    changes: Mapping[str, Any] = MappingProxyType({})  # of the arguments of read_delimited


def row(line: bytes) -> bytes:
    return HEAD + GOOD + line + b"\n"


def rating(text: bytes) -> bytes:
    return row(b"8,3," + text + b",100")


def time(text: bytes) -> bytes:
    return row(b"8,3,4," + text)


FAULTS = [
    # the file
    Fault("missing file", "missing", ("no such file", "check the name")),
    Fault("missing directory", "missing directory", ("no such file", "no directory")),
    Fault("directory", "directory", ("is a directory", "name the file")),
    Fault("no permission", "no permission", ("no permission", "change its permissions")),
    Fault("other error of the system", "broken disk", ("cannot be read", "Input/output error")),
    Fault("empty file", b"", ("is empty",)),
    Fault("byte-order mark alone", b"\xef\xbb\xbf", ("is empty",)),
    Fault("blank lines alone", b"\n\r\n\n", ("is empty",)),
    Fault("header only", HEAD, ("header", "no interaction")),
    Fault("gzip under a .csv name", gzip.compress(HEAD + GOOD, mtime=0), ("gzip", "unpack", "1f 8b")),
    Fault("zip under a .csv name", b"PK\x03\x04" + bytes(30), ("zip", "unpack")),
    Fault("UTF-16", (HEAD + GOOD).decode().encode("utf-16"), ("UTF-16", "save it as UTF-8")),
    # bytes
    Fault("NUL byte", row(b"8,\x003,4,100"), ("line 3", "NUL", "byte 3")),
    Fault(
        "Latin-1 where UTF-8 is expected",
        row(b"Zo\xeb,3,4,100"),
        ("line 3", "0xeb", "byte 3", "'Zoë", "latin-1"),
    ),
    Fault("UTF-8 mark in Latin-1", b"\xef\xbb\xbf" + HEAD + GOOD, ("mark", "utf-8"), {"encoding": "latin-1"}),
    Fault(
        "undefined byte in cp1252", row(b"\x81,3,4,1"), ("line 3", "0x81", "cp1252"), {"encoding": "cp1252"}
    ),
    Fault(
        "carriage returns as line ends",
        (HEAD + GOOD).replace(b"\n", b"\r"),
        ("line 1", "carriage return", "CR LF"),
    ),
    Fault("line too long", row(b"8,3,4,1," + b"x" * MAX_LINE), ("line 3", "100,000 bytes", "'8,3,4,1,")),
    # rows and quotes
    Fault("unclosed quote", row(b'8,"3,4,100\n9,3,4,100'), ("line 3", "quote", "not closed")),
    Fault("unclosed quote, closed by a later one", row(b'8,"3,4,100\n9,"3",4,100'), ("line 3", "not closed")),
    Fault("unclosed quote in a long file", row(b'8,"3,4,1\n') + GOOD * 20_000, ("line 3", "not closed")),
    Fault("value over two lines", row(b'8,"3\n3",4,100'), ("line 3", "not closed")),
    Fault("text after a closing quote", row(b'8,"3"3,4,100'), ("line 3", "follows a closing quote")),
    Fault("short row", row(b"8,3,4"), ("line 3", "3 fields", "first line has 4", "'8 3 4'")),
    Fault("row with one field", row(b"8"), ("line 3", "1 field ", "first line has 4")),
    Fault("long row", row(b"8,3,4,100,extra"), ("line 3", "5 fields", "first line has 4", "extra")),
    # columns
    Fault(
        "missing column", b"user,product,rating,time\n" + GOOD, ("line 1", "no column 'item'", "'product'")
    ),
    Fault(
        "duplicate column", b"user,item,item,time\n" + GOOD, ("line 1", "2 columns 'item'"), {"rating": None}
    ),
    Fault("column in another case", b"User,item,rating,time\n" + GOOD, ("no column 'user'", "'User'")),
    Fault(
        "no separator", b"user item rating time\n7 3 4 100\n", ("line 1", "no separator", "pass `separator`")
    ),
    Fault("column number too high", GOOD, ("no column 9", "0 to 3"), {"item": 9, "user": 0, "header": False}),
    # ids
    Fault("empty id", row(b",3,4,100"), ("line 3", "user id is empty", "''")),
    Fault("blank id", row(b"8,  ,4,100"), ("line 3", "item id is empty", "'  '")),
    Fault(
        "id of 2,000 characters",
        row(b"8," + b"x" * 2000 + b",4,100"),
        ("line 3", "2,000 characters", "1,000"),
    ),
    Fault(
        "id of 1 MB",
        row(b"8," + b"x" * 1_000_000 + b",4,100"),
        ("line 3", "longer", "at most 1,000 characters"),
    ),
    # ratings
    Fault("missing rating", rating(b""), ("line 3", "rating is missing")),
    Fault("rating nan", rating(b"nan"), ("line 3", "'nan'", "not a finite number")),
    Fault("rating inf", rating(b"-inf"), ("line 3", "'-inf'", "not a finite number")),
    Fault("rating 1e400", rating(b"1e400"), ("line 3", "'1e400'", "too large")),
    Fault("rating as text", rating(b"good"), ("line 3", "'good'", "not a number")),
    Fault("rating with underscore", rating(b"1_000"), ("line 3", "'1_000'", "not a number")),
    Fault("rating in full-width digits", rating("４".encode()), ("line 3", "'４'", "not a number")),
    Fault("rating with a decimal comma", row(b'8,3,"4,5",100'), ("line 3", "'4,5'", "not a number")),
    Fault("rating with spaces", rating(b" 4"), ("line 3", "' 4'", "no spaces")),
    Fault("rating in hexadecimal", rating(b"0x1p2"), ("line 3", "'0x1p2'", "not a number")),
    Fault("rating outside the scale", rating(b"5.5"), ("line 3", "'5.5'", "scale from 1 to 5")),
    Fault("rating below the scale", rating(b"-1"), ("line 3", "'-1'", "scale from 1 to 5")),
    # timestamps
    Fault("missing timestamp", time(b""), ("line 3", "timestamp is missing")),
    Fault("negative timestamp", time(b"-1"), ("line 3", "'-1'", "negative")),
    Fault(
        "timestamp with decimals", time(b"100.5"), ("line 3", "'100.5'", "whole number", "fractional_seconds")
    ),
    Fault("timestamp as a date", time(b"1997-09-20"), ("line 3", "'1997-09-20'", "convert dates")),
    Fault("timestamp with underscore", time(b"1_000"), ("line 3", "'1_000'", "not a number of seconds")),
    Fault(
        "timestamp in full-width digits",
        time("１２".encode()),
        ("line 3", "'１２'", "not a number of seconds"),
    ),
    Fault("timestamp of 20 digits", time(b"1" * 20), ("line 3", "too large", "15 digits")),
    Fault("timestamp inf", time(b"inf"), ("line 3", "'inf'", "not a number of seconds")),
    Fault(
        "timestamp 1e400", time(b"1e400"), ("line 3", "'1e400'", "too large"), {"fractional_seconds": True}
    ),
    Fault(
        "negative fractional timestamp", time(b"-.5"), ("line 3", "negative"), {"fractional_seconds": True}
    ),
    # interactions
    Fault(
        "duplicate interaction",
        row(b"8,3,1,1\n\n7,3,1,300"),
        ("line 5", "'7'", "'3'", "line 2", "duplicates="),
    ),
]


def message(fault: Fault, folder: Path) -> str:
    """Provoke the fault in `folder` and give back what the error says, the file called ratings.csv."""
    path = folder / "ratings.csv"
    special: dict[str, OSError] = {
        "no permission": PermissionError(13, "Permission denied"),
        "broken disk": OSError(5, "Input/output error"),
    }
    if fault.content == "directory":
        path.mkdir()
    elif fault.content == "missing directory":
        path = folder / "nowhere" / "ratings.csv"
    elif isinstance(fault.content, bytes):
        path.write_bytes(fault.content)
    arguments: dict[str, Any] = {"user": "user", "item": "item", "rating": "rating", "timestamp": "time"}
    arguments |= {"rating_scale": (1, 5), **fault.changes}
    if not arguments.get("header", True):
        arguments |= {"rating": None, "timestamp": None}
    error = special.get(str(fault.content)) if isinstance(fault.content, str) else None
    # The superuser may read everything, so a missing permission has to be played.
    with mock.patch.object(builtins, "open", side_effect=error) if error else mock.patch.dict({}):
        try:
            read_delimited(path, **arguments)
        except RatingsFileError as caught:
            return str(caught).replace(str(folder) + os.sep, "")
    raise AssertionError(f"{fault.name}: no error")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(fault: Fault, tmp_path: Path) -> None:
    said = message(fault, tmp_path)
    assert said.startswith("ratings.csv") or "nowhere" in said
    assert "\n" not in said
    assert len(said) < 400
    for word in fault.words:
        assert word in said


def test_every_fault_has_its_own_message(tmp_path: Path) -> None:
    said = {}
    for number, fault in enumerate(FAULTS):
        (tmp_path / str(number)).mkdir()
        said[fault.name] = message(fault, tmp_path / str(number))
    empty = {"empty file", "byte-order mark alone", "blank lines alone"}
    unclosed = {name for name in said if "unclosed" in name} | {"value over two lines"}
    distinct = [text for name, text in said.items() if name not in empty | unclosed]
    assert len(set(distinct)) == len(distinct)


ACCEPTED = {
    "plain": HEAD + GOOD,
    "byte-order mark": b"\xef\xbb\xbf" + HEAD + GOOD,
    "CR LF": (HEAD + GOOD).replace(b"\n", b"\r\n"),
    "no line end at the end": (HEAD + GOOD)[:-1],
    "blank lines": HEAD + b"\n" + GOOD + b"\n\r\n",
    "quotes": b'"user","item","rating","time"\n"7","3","4.5","100"\n',
    "tabs": (HEAD + GOOD).replace(b",", b"\t"),
    "semicolons": (HEAD + GOOD).replace(b",", b";"),
    "bars": (HEAD + GOOD).replace(b",", b"|"),
    "double colons": (HEAD + GOOD).replace(b",", b"::"),
    "another order, another column": b"note,time,rating,item,user\n,100,+45e-1,3,7\n",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str, tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_bytes(ACCEPTED[name])
    x = read_delimited(path, user="user", item="item", rating="rating", timestamp="time").interactions
    assert x.user_ids == ["7"]
    assert x.item_ids == ["3"]
    assert x.ratings is not None
    assert x.ratings.tolist() == [4.5]
    assert x.timestamps is not None
    assert x.timestamps.tolist() == [100]


if __name__ == "__main__":
    for each in FAULTS:
        with tempfile.TemporaryDirectory() as place:
            print(f"{each.name}\n    {message(each, Path(place))}")
