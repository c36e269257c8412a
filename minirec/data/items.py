"""Tables of items: titles, years and genres, from any text file with one item per line."""

from __future__ import annotations

import os
import re

from minirec.data.dataset import ItemInfo
from minirec.data.delimited import check_id, find_columns, find_separator, wrong_width
from minirec.data.textfile import fault, rows, show

PathLike = str | os.PathLike[str]

TITLE_WITH_YEAR = re.compile(r"(.*\S)\s*\(([0-9]{4})\)\s*")
YEAR = re.compile(r"[0-9]{4}")


def read_items(
    path: PathLike,
    *,
    id: str | int,
    title: str | int,
    year: str | int | None = None,
    genres: str | int | None = None,
    separator: str | None = None,
    genre_separator: str = "|",
    encoding: str = "utf-8",
    header: bool = True,
    quoted: bool = True,
) -> dict[str, ItemInfo]:
    """{item id: ItemInfo}, in the order of the file; the arguments are those of `read_delimited`.

    A title such as "Toy Story (1995)" is cut into title and year. What is not a year of four digits in the
    column `year` counts as unknown. Raises RatingsFileError.
    """
    columns = {"id": id, "title": title, "year": year, "genres": genres}
    named = {role: column for role, column in columns.items() if column is not None}
    separator = find_separator(path, encoding, list(named.values())) if separator is None else separator
    items: dict[str, ItemInfo] = {}
    place: dict[str, int] = {}
    width = 0
    for line, row in rows(path, separator, encoding, quoted):
        if not place:
            place, width = find_columns(path, line, row, named), len(row)
            if header:
                continue
        if len(row) != width:
            raise wrong_width(path, line, row, width)
        found = row[place["genres"]].split(genre_separator) if "genres" in place else []
        known = tuple(genre for genre in found if genre and genre != "(no genres listed)")
        released = row[place["year"]] if "year" in place else ""
        add_item(items, path, line, row[place["id"]], item_info(row[place["title"]], released, known))
    if not place:
        raise fault(path, None, "is empty: nothing to read")
    return items


def item_info(title: str, year: str, genres: tuple[str, ...]) -> ItemInfo:
    """Title and year cut apart. The year in the title comes before `year`, which may be anything.

    >>> item_info("Toy Story (1995)", "", ("Animation",))
    ItemInfo(title='Toy Story', year=1995, genres=('Animation',))
    """
    if found := TITLE_WITH_YEAR.fullmatch(title):
        return ItemInfo(found[1], int(found[2]), genres)
    return ItemInfo(title, int(year) if YEAR.fullmatch(year) else None, genres)


def add_item(items: dict[str, ItemInfo], path: PathLike, line: int, id: str, info: ItemInfo) -> None:
    """Put an item into the table. RatingsFileError for an empty id and for one that is there already."""
    check_id(path, line, "item", id)
    if id in items:
        raise fault(path, line, f"the item id {show(id)} stands on an earlier line already: remove one")
    items[id] = info
