"""Interactions from any text file with one interaction per line: CSV, TSV and their relatives.

`read_delimited` is the door for the user's own files, and the named formats in movielens.py go through it.
Ids stay the exact text. Numbers are checked against a pattern of ASCII digits before Python converts them,
because Python would take 1_000 and digits of other scripts as well.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from minirec.data.dataset import Dataset
from minirec.data.interactions import Interactions
from minirec.data.textfile import SEPARATORS, RatingsFileError, fault, lines, rows, show

MAX_ID = 1_000  # characters
MAX_DIGITS = 15  # of a timestamp: float64 holds them exactly
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
INTEGER = re.compile(r"-?[0-9]+")
PathLike = str | os.PathLike[str]


def read_delimited(
    path: PathLike,
    *,
    user: str | int,
    item: str | int,
    rating: str | int | None = None,
    timestamp: str | int | None = None,
    separator: str | None = None,
    encoding: str = "utf-8",
    rating_scale: tuple[float, float] | None = None,
    header: bool = True,
    duplicates: str = "error",
    fractional_seconds: bool = False,
    quoted: bool = True,
) -> Dataset:
    """The interactions in a text file, rows in the order of the file.

    user, item, rating, timestamp   the columns: names in the header, or numbers counted from 0
    separator           one of tab , ; | or ::, None: found from the header
    encoding            any extension of ASCII; "utf-8" also drops a byte-order mark
    rating_scale        (lowest, highest): a rating outside is an error
    header              False: the first line is data already, and the columns are given as numbers
    duplicates          of a user and an item: "error", "keep" all, or keep the "last" (by time, then by row)
    fractional_seconds  True: timestamps may have decimals (whole ones are integers all the same)
    quoted              False: a double quote is a character like any other

    Lines end with LF or CR LF, empty lines are skipped. Ids are never empty and have at most 1,000
    characters. Timestamps are seconds since 1970, not negative. Raises RatingsFileError with file, line and
    value for a file that is not so, ValueError for wrong arguments.
    """
    if duplicates not in ("error", "keep", "last"):
        raise ValueError(f"duplicates = {duplicates!r}: allowed are 'error', 'keep' and 'last'")
    wanted = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    columns = {role: column for role, column in wanted.items() if column is not None}
    if not header and any(isinstance(column, str) for column in columns.values()):
        raise ValueError("without a header the columns must be given as numbers, counted from 0")
    separator = find_separator(path, encoding, list(columns.values())) if separator is None else separator
    source = rows(path, separator, encoding, quoted)
    first = next(source, None)
    if first is None:
        raise fault(path, None, "is empty: nothing to read")
    place = find_columns(path, first[0], first[1], columns)
    if not header:
        source = itertools.chain([first], source)
    table = _Table(path, rating_scale, fractional_seconds)
    table.read(source, len(first[1]), place)
    if not table.lines:
        raise fault(path, None, "holds a header and no interaction below it")
    kept = table.distinct(duplicates)
    return Dataset(Path(path).stem, table.interactions(kept), {}, rating_scale, "")


def find_separator(path: PathLike, encoding: str, columns: list[str | int]) -> str:
    """The separator under which the first line has all `columns`, else the one that cuts it most often."""
    first = next((text for text in lines(path, encoding) if text), None)
    if first is None:
        raise fault(path, None, "is empty: nothing to read")
    names = {column for column in columns if isinstance(column, str)}
    counts = {s: first.count(s) for s in SEPARATORS if s in first}
    if not counts:
        raise fault(path, 1, f"no separator in {show(first)}: looked for tab , ; | and ::, pass `separator`")
    complete = [s for s in counts if names <= {name.strip('"') for name in first.split(s)}]
    return max(complete or counts, key=lambda s: counts[s])


def find_columns(
    path: PathLike, line: int, first: list[str], columns: Mapping[str, str | int]
) -> dict[str, int]:
    """{role: number of the column}, for columns given by name or number."""
    listed = ", ".join(show(name) for name in first)
    place: dict[str, int] = {}
    for role, column in columns.items():
        if isinstance(column, int):
            if not 0 <= column < len(first):
                allowed = f"columns are 0 to {len(first) - 1} ({listed})"
                raise fault(path, line, f"no column {column} for the {role}: {allowed}")
            place[role] = column
        elif (count := first.count(column)) != 1:
            problem = "no column" if count == 0 else f"{count} columns"
            raise fault(path, line, f"{problem} {show(column)} for the {role}: name one of {listed}")
        else:
            place[role] = first.index(column)
    for role in place:
        twins = [other for other in place if place[other] == place[role]]
        if len(twins) > 1:
            names = " and ".join(twins)
            raise ValueError(f"{names} are the same column {columns[role]!r}: name two different ones")
    return place


def check_id(path: PathLike, line: int, role: str, text: str) -> str:
    """The id itself. RatingsFileError where it is blank or too long."""
    if not text.strip():
        raise fault(path, line, f"the {role} id is empty ({show(text)}): every row needs one")
    if len(text) > MAX_ID:
        raise fault(path, line, f"the {role} id {show(text)} is too long: at most {MAX_ID:,} characters")
    return text


def wrong_width(path: PathLike, line: int, row: list[str], width: int) -> RatingsFileError:
    """The exception for a row with more or fewer fields than the first line."""
    fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
    message = f"{fields} where the first line has {width} ({show(' '.join(row))})"
    return fault(path, line, f"{message}: add or remove fields, or quote a separator inside one")


class _Table:
    """The columns of a file while it is read: numbers in flat arrays, 40 bytes per interaction."""

    def __init__(self, path: PathLike, scale: tuple[float, float] | None, fractional: bool) -> None:
        self.path, self.scale, self.fractional = path, scale, fractional
        self.lines, self.users, self.items = array("q"), array("q"), array("q")
        self.ratings, self.timestamps = array("d"), array("d")
        self.user_index: dict[str, int] = {}
        self.item_index: dict[str, int] = {}

    def read(self, source: Iterable[tuple[int, list[str]]], width: int, place: dict[str, int]) -> None:
        u, i, r, t = (place.get(role, -1) for role in ("user", "item", "rating", "timestamp"))
        user_index, item_index = self.user_index, self.item_index
        add_user, add_item, add_line = self.users.append, self.items.append, self.lines.append
        add_rating, add_timestamp = self.ratings.append, self.timestamps.append
        known: dict[str, float] = {}  # few texts make up most ratings, so each is checked and converted once
        for line, row in source:
            if len(row) != width:
                raise wrong_width(self.path, line, row, width)
            user, item = row[u], row[i]
            if user not in user_index:
                user_index[check_id(self.path, line, "user", user)] = len(user_index)
            if item not in item_index:
                item_index[check_id(self.path, line, "item", item)] = len(item_index)
            if r >= 0:
                text = row[r]
                if text not in known:
                    known = {} if len(known) > 10_000 else known
                    known[text] = self.rating(line, text)
                add_rating(known[text])
            if t >= 0:
                text = row[t]
                plain = text.isdecimal() and text.isascii() and len(text) <= MAX_DIGITS
                add_timestamp(float(text) if plain else self.timestamp(line, text))
            add_user(user_index[user])
            add_item(item_index[item])
            add_line(line)

    def rating(self, line: int, text: str) -> float:
        if not text.strip():
            raise fault(self.path, line, "the rating is missing: give a number or remove the row")
        if not NUMBER.fullmatch(text):
            finite = text.strip().lower().lstrip("+-") not in ("nan", "inf", "infinity")
            plain = "a number (digits 0 to 9, a point, no spaces or other signs)"
            problem = f"is not {plain if finite else 'a finite number'}: repair or remove the row"
            raise fault(self.path, line, f"the rating {show(text)} {problem}")
        value = float(text)
        if not math.isfinite(value):
            largest = f"at most {np.finfo(np.float64).max:.3g}"
            raise fault(self.path, line, f"the rating {show(text)} is too large for a number: {largest}")
        if self.scale is not None and not self.scale[0] <= value <= self.scale[1]:
            low, high = self.scale
            message = f"the rating {show(text)} is outside the scale from {low:g} to {high:g}"
            raise fault(self.path, line, f"{message}: repair the row, or give another rating_scale")
        return value

    def timestamp(self, line: int, text: str) -> float:
        if INTEGER.fullmatch(text):
            if text[0] == "-":
                message = "is negative: seconds since 1970 are 0 or more"
            elif len(text) > MAX_DIGITS:
                message = f"is too large: seconds since 1970 have at most {MAX_DIGITS} digits"
            else:
                return float(text)
        elif not text.strip():
            message = "the timestamp is missing: give seconds since 1970 or remove the row"
            raise fault(self.path, line, message)
        elif not NUMBER.fullmatch(text):
            message = "is not a number of seconds since 1970: convert dates first"
        elif not self.fractional:
            message = "is not a whole number of seconds: round it, or pass fractional_seconds=True"
        elif 0 <= (value := float(text)) < math.inf:
            return value
        else:
            message = "is negative or too large: seconds since 1970 are 0 or more"
        raise fault(self.path, line, f"the timestamp {show(text)} {message}")

    def distinct(self, duplicates: str) -> slice | np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The rows to keep, in the order of the file."""
        if duplicates == "keep":
            return slice(None)
        keys = np.array(self.users) * len(self.item_index) + np.array(self.items)
        times = np.array(self.timestamps) if self.timestamps and duplicates == "last" else np.zeros(len(keys))
        order = np.lexsort((times, keys))
        repeated = np.append(keys[order][1:] == keys[order][:-1], False)  # a newer row of the pair follows
        if duplicates == "error" and repeated.any():
            # Of all repeats, name the one that comes first in the file.
            second = int(order[1:][repeated[:-1]].min())
            first = int(np.flatnonzero(keys == keys[second])[0])
            user = show(list(self.user_index)[self.users[second]])
            item = show(list(self.item_index)[self.items[second]])
            message = f"user {user} and item {item} stand on line {self.lines[first]} already"
            hint = "remove one, or pass duplicates='last' (the newest counts) or 'keep' (all count)"
            raise fault(self.path, self.lines[second], f"{message}: {hint}")
        return np.sort(order[~repeated])

    def interactions(self, kept: slice | np.ndarray[tuple[int], np.dtype[np.int64]]) -> Interactions:
        users, items = list(self.user_index), list(self.item_index)
        times = np.array(self.timestamps)
        if np.all(times % 1 == 0):
            times = times.astype(np.int64)
        return Interactions(
            [users[u] for u in np.array(self.users)[kept]],
            [items[i] for i in np.array(self.items)[kept]],
            np.array(self.ratings)[kept] if self.ratings else None,
            times[kept] if self.timestamps else None,
        )
