"""The formats in which MovieLens is published, and RecBole's, with titles, years and genres.

Each reader takes a folder or a file, reads it through `read_delimited` and adds what the items file knows.
`load_dataset` tells the formats apart by the names of the files.
"""

from __future__ import annotations

import os
from pathlib import Path

from minirec.data.dataset import Dataset, ItemInfo, with_items
from minirec.data.delimited import find_separator, read_delimited
from minirec.data.items import add_item, item_info, read_items
from minirec.data.textfile import fault, rows, show

PathLike = str | os.PathLike[str]

# fmt: off
GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)
COLUMN_NAMES = {
    "user": ("user", "user_id", "userid", "uid", "customer", "customer_id"),
    "item": ("item", "item_id", "itemid", "iid", "movieid", "movie_id", "product", "product_id", "productid"),
    "rating": ("rating", "ratings", "score", "stars"),
    "timestamp": ("timestamp", "time", "unix_time", "unixtime"),
}
# fmt: on
TERMS = (
    "MovieLens data by GroupLens, University of Minnesota: for research; no commercial use without their "
    "permission; do not imply their endorsement; publications cite Harper & Konstan (2015), The MovieLens "
    "Datasets: History and Context, doi:10.1145/2827872."
)
NO_REDISTRIBUTION = TERMS.replace("for research;", "for research; no redistribution without permission;")


def load_dataset(
    path: PathLike,
    *,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    timestamp: str | None = None,
    encoding: str = "utf-8",
    duplicates: str = "error",
) -> Dataset:
    """The data set at `path`, its format told by the names of files.

    A folder, or the ratings file in it: MovieLens 100K (u.data), 1M (ratings.dat), latest (ratings.csv with
    movies.csv beside it) or RecBole's (*.inter). Any other file is read as CSV or TSV; columns that are not
    named are looked for under usual names (user_id, movieId, rating, timestamp and the like), and
    `encoding` and `duplicates` are those of `read_delimited`.
    Raises RatingsFileError.
    """
    path = Path(path)
    if path.is_dir():
        path = _ratings_file(path)
    if user is None and item is None:
        if path.name == "u.data":
            return read_movielens_100k(path.parent)
        if path.name == "ratings.dat":
            return read_movielens_1m(path.parent)
        if path.name == "ratings.csv" and (path.parent / "movies.csv").is_file():
            return read_movielens_latest(path.parent)
        if path.suffix == ".inter":
            return read_recbole(path)
    separator = find_separator(path, encoding, [name for name in (user, item, rating, timestamp) if name])
    line, header = next(rows(path, separator, encoding))
    columns = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    for role, given in columns.items():
        if given is None:
            usual = [name for name in header if name.lower() in COLUMN_NAMES[role]]
            if len(usual) > 1 or (not usual and role in ("user", "item")):
                listed = ", ".join(show(name) for name in header)
                problem = "several columns" if usual else "no column"
                raise fault(path, line, f"{problem} could be the {role} among {listed}: name the column")
            columns[role] = usual[0] if usual else None
    assert columns["user"] is not None
    assert columns["item"] is not None
    return read_delimited(
        path,
        user=columns["user"],
        item=columns["item"],
        rating=columns["rating"],
        timestamp=columns["timestamp"],
        separator=separator,
        encoding=encoding,
        duplicates=duplicates,
    )


def _ratings_file(folder: Path) -> Path:
    for name in ("u.data", "ratings.dat", "ratings.csv"):
        if (folder / name).is_file():
            return folder / name
    found = sorted(folder.glob("*.inter"))
    if len(found) == 1:
        return found[0]
    if found:
        raise fault(folder, None, f"holds {len(found)} .inter files: name one, for example {found[0]}")
    raise fault(folder, None, "holds no u.data, ratings.dat, ratings.csv or *.inter: name the ratings file")


def read_movielens_100k(folder: PathLike) -> Dataset:
    """MovieLens 100K: u.data (tab) and, where it is there, u.item (|, Latin-1, 19 genre flags)."""
    data = read_delimited(
        Path(folder, "u.data"),
        user=0,
        item=1,
        rating=2,
        timestamp=3,
        separator="\t",
        header=False,
        rating_scale=(1, 5),
        quoted=False,
    )._replace(name="MovieLens 100K", terms=NO_REDISTRIBUTION)
    path = Path(folder, "u.item")
    if not path.is_file():
        return data
    items: dict[str, ItemInfo] = {}
    for line, row in rows(path, "|", "latin-1", quoted=False):
        if len(row) != 24:
            content = show("|".join(row))
            raise fault(path, line, f"{len(row)} fields instead of 24 ({content}): is this u.item?")
        flags = row[5:]
        if not set(flags) <= {"0", "1"}:
            raise fault(path, line, f"the genre flags must be 0 or 1, got {show('|'.join(flags))}")
        genres = tuple(genre for genre, flag in zip(GENRES_100K, flags, strict=True) if flag == "1")
        add_item(items, path, line, row[0], item_info(row[1], row[2][-4:], genres))  # 01-Jan-1995
    return with_items(data, items)


def read_movielens_1m(folder: PathLike) -> Dataset:
    """MovieLens 1M: ratings.dat and, where it is there, movies.dat (::, Latin-1)."""
    data = read_delimited(
        Path(folder, "ratings.dat"),
        user=0,
        item=1,
        rating=2,
        timestamp=3,
        separator="::",
        encoding="latin-1",
        header=False,
        rating_scale=(1, 5),
    )._replace(name="MovieLens 1M", terms=NO_REDISTRIBUTION)
    path = Path(folder, "movies.dat")
    if not path.is_file():
        return data
    items = read_items(path, id=0, title=1, genres=2, separator="::", encoding="latin-1", header=False)
    return with_items(data, items)


def read_movielens_latest(folder: PathLike) -> Dataset:
    """MovieLens latest (also 20M, 25M, 32M): ratings.csv and, where it is there, movies.csv."""
    data = read_delimited(
        Path(folder, "ratings.csv"),
        user="userId",
        item="movieId",
        rating="rating",
        timestamp="timestamp",
        separator=",",
        rating_scale=(0.5, 5),
    )._replace(name="MovieLens latest", terms=TERMS)
    path = Path(folder, "movies.csv")
    if not path.is_file():
        return data
    return with_items(data, read_items(path, id="movieId", title="title", genres="genres", separator=","))


def read_recbole(path: PathLike, items: PathLike | None = None, *, duplicates: str = "error") -> Dataset:
    """RecBole's atomic files: `path` is *.inter (tab, a header such as user_id:token), beside it *.item.

    Columns user_id and item_id are needed, rating and timestamp are used where they are there. Of the items
    file, item_id, a title, a year and genres (separated by spaces) under RecBole's usual names are used.
    """
    path = Path(path)
    typed = _typed_header(path)
    columns = {name: typed.get(name) for name in ("rating", "timestamp")}
    data = read_delimited(
        path,
        user=typed.get("user_id", "user_id:token"),
        item=typed.get("item_id", "item_id:token"),
        rating=columns["rating"],
        timestamp=columns["timestamp"],
        separator="\t",
        duplicates=duplicates,
        fractional_seconds=True,
        quoted=False,
    )
    table = path.with_suffix(".item") if items is None else Path(items)
    if items is None and not table.is_file():
        return data
    typed = _typed_header(table)
    pick = {
        role: next((typed[name] for name in names if name in typed), None)
        for role, names in {
            "title": ("movie_title", "title", "name"),
            "year": ("release_year", "year"),
            "genres": ("class", "genre", "genres", "categories"),
        }.items()
    }
    found = read_items(
        table,
        id=typed.get("item_id", "item_id:token"),
        title=pick["title"] or "movie_title:token_seq",
        year=pick["year"],
        genres=pick["genres"],
        separator="\t",
        genre_separator=" ",
        quoted=False,
    )
    return with_items(data, found)


def _typed_header(path: PathLike) -> dict[str, str]:
    """{name: name with its type}, such as {"user_id": "user_id:token"}."""
    line, header = next(rows(path, "\t", quoted=False), (1, []))
    if not header:
        raise fault(path, None, "is empty: nothing to read")
    if not any(":" in name for name in header):
        listed = ", ".join(show(name) for name in header)
        message = f"no typed header such as user_id:token, but {listed}"
        raise fault(path, line, f"{message}: is this a RecBole file?")
    return {name.partition(":")[0]: name for name in header}
