"""Data sets by name, as the command line and the demo ask for them: "shop", "ml-100k", or a path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minirec.data.dataset import Dataset, ItemInfo
from minirec.data.ml100k import load_ml100k
from minirec.data.movielens import load_dataset
from minirec.data.shop import Shop, synthetic
from minirec.data.textfile import RatingsFileError

NAMES = ("shop", "ml-100k")


def open_dataset(name: str, *, source: str | None = None, seed: int = 0, **columns: Any) -> Dataset:
    """The data set "shop" or "ml-100k", or the one in a file or folder.

    source    a folder or zip that holds MovieLens 100K (only for "ml-100k")
    seed      of the shop
    columns   names of columns and other options of `load_dataset` (only for files)

    Raises RatingsFileError where there is no such data set, and with file, line and value where a file
    cannot be read.
    """
    if name == "shop":
        return shop_dataset(synthetic(seed=seed))
    if name == "ml-100k":
        return load_ml100k(source)
    if not name.strip() or (Path(name).name == name and "." not in name and not Path(name).exists()):
        raise RatingsFileError(
            f"no data set {name!r}: there are {' and '.join(NAMES)}, or give the name of a ratings file"
        )
    return load_dataset(name, **columns)


def shop_dataset(shop: Shop) -> Dataset:
    """The shop as a data set like any other, a product's category as its genre."""
    items = {p.id: ItemInfo(p.title, None, (p.category,)) for p in shop.products}
    return Dataset("shop", shop.interactions, items, (1.0, 5.0), "")
