"""MovieLens 100K: found on this machine, or downloaded, checked, and kept in the cache.

The data may not be redistributed, so it is no part of this package. The rows keep the order of the file,
which decides between equal timestamps: half of a user's consecutive ratings share one.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path

from minirec.data.dataset import Dataset
from minirec.data.movielens import NO_REDISTRIBUTION, read_movielens_100k, read_recbole
from minirec.data.textfile import RatingsFileError, fault

URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
COUNTS = (943, 1682, 100_000)  # users, items, ratings
SCALE = (1.0, 5.0)
LIMIT = 50_000_000  # bytes; the archive has 5 million, its largest file 2 million
TIMEOUT = 20.0  # seconds without an answer
FORMATS = (("u.data", "u.item"), ("ml-100k.inter", "ml-100k.item"))  # GroupLens, RecBole: ratings, then items


def load_ml100k(
    source: str | os.PathLike[str] | None = None,
    *,
    download: bool = True,
    cache: str | os.PathLike[str] | None = None,
    url: str = URL,
    expected: tuple[int, int, int] = COUNTS,
) -> Dataset:
    """MovieLens 100K: 943 users, 1682 items, 100,000 ratings from 1 to 5, with titles, years and genres.

    source    a folder or zip archive that holds it; it is used first, and copied into the cache
    download  False: never ask the network
    cache     the cache directory, None: `cache_directory()`
    url       the archive, with its MD5 sum beside it under the same name and .md5
    expected  users, items and ratings that there must be

    Without `source` it is looked for in the cache, then in an installed `recbole` package (which is located,
    not imported), then at `url`. Raises RatingsFileError where it is not found or is not what it should be.
    """
    home = Path(cache) if cache is not None else cache_directory()
    folder = home / "ml-100k"
    if source is not None:
        return _import(Path(source), folder, expected)
    if _ratings_in(folder) is not None:
        return _read(folder, expected)
    inside = _recbole_folder()
    if inside is not None and _ratings_in(inside) is not None:
        return _read(inside, expected)
    if not download:
        raise RatingsFileError(
            f"MovieLens 100K is neither in {folder} nor in an installed recbole package: "
            "name a folder or zip with --from, or allow the download"
        )
    return _download(url, folder, expected)


def cache_directory() -> Path:
    """Where downloaded data is kept: $MINIREC_DATA, else `minirec` in the platform's cache of the user."""
    if named := os.environ.get("MINIREC_DATA"):
        return Path(named)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        named = os.environ.get("XDG_CACHE_HOME", "")
        base = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
    return base / "minirec"


def _ratings_in(folder: Path) -> tuple[str, str] | None:
    """The names of the ratings and items files that `folder` holds; the ratings are written last."""
    return next((names for names in FORMATS if (folder / names[0]).is_file()), None)


def _read(folder: Path, expected: tuple[int, int, int]) -> Dataset:
    names = _ratings_in(folder)
    if names is None:
        wanted = " nor ".join(ratings for ratings, _ in FORMATS)
        raise fault(folder, None, f"holds neither {wanted}: name the folder or zip that does")
    if names == FORMATS[0]:
        data = read_movielens_100k(folder)
    else:
        data = read_recbole(folder / names[0])
    x = data.interactions
    found = (x.n_users, x.n_items, len(x))
    if found != expected:
        counts = "{:,} users, {:,} items and {:,} ratings"
        there, wanted = counts.format(*found), counts.format(*expected)
        raise fault(folder / names[0], None, f"holds {there}, but MovieLens 100K has {wanted}: get it anew")
    if x.ratings is None or x.timestamps is None:
        raise fault(folder / names[0], None, "holds no ratings or no timestamps: get it anew")
    low, high = float(x.ratings.min()), float(x.ratings.max())
    if low < SCALE[0] or high > SCALE[1]:
        message = f"holds ratings from {low:g} to {high:g}, but MovieLens 100K has 1 to 5"
        raise fault(folder / names[0], None, f"{message}: get it anew")
    return data._replace(name="MovieLens 100K", rating_scale=SCALE, terms=NO_REDISTRIBUTION)


def _import(source: Path, folder: Path, expected: tuple[int, int, int]) -> Dataset:
    """Read `source`, a folder or a zip archive, and copy it into the cache once it is known to be right."""
    if not source.exists():
        raise fault(source, None, "no such file or folder: name a folder or zip that holds MovieLens 100K")
    if source.is_file() and source.name in dict(FORMATS):
        source = source.parent
    if source.is_dir():
        inner = source / "ml-100k"
        return _keep(inner if _ratings_in(inner) and not _ratings_in(source) else source, folder, expected)
    with tempfile.TemporaryDirectory(prefix="minirec-") as unpacked:
        return _keep_archive(source, Path(unpacked), str(source), folder, expected)


def _keep(found: Path, folder: Path, expected: tuple[int, int, int]) -> Dataset:
    data = _read(found, expected)
    names = _ratings_in(found)
    assert names is not None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not found.samefile(folder):
            for name in reversed(names):  # the ratings last: where they stand, the copy is whole
                if (found / name).is_file():
                    _copy_atomically(found / name, folder / name)
    except OSError as error:
        reason = error.strerror or error
        hint = "set MINIREC_DATA to a directory that can be written"
        raise fault(folder, None, f"the cache cannot be written ({reason}): {hint}") from error
    return data


def _keep_archive(
    archive: Path, unpacked: Path, name: str, folder: Path, expected: tuple[int, int, int]
) -> Dataset:
    _unpack(archive, unpacked)
    try:
        return _keep(unpacked, folder, expected)
    except RatingsFileError as error:  # the message must name the archive, not where it was unpacked to
        raise RatingsFileError(str(error).replace(str(unpacked), name)) from error


def _copy_atomically(origin: Path, target: Path) -> None:
    """Copy under a temporary name, sync, rename: `target` is never seen half written."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as out, origin.open("rb") as file:
            shutil.copyfileobj(file, out)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _unpack(archive: Path, folder: Path) -> None:
    """The files of FORMATS out of a zip archive, wherever they lie in it; nothing else is unpacked."""
    wanted = {name for names in FORMATS for name in names}
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                name = member.filename.rpartition("/")[2]
                if name not in wanted:
                    continue
                if member.file_size > LIMIT:
                    sizes = f"{member.file_size:,} bytes, more than {LIMIT:,}"
                    raise fault(archive, None, f"{member.filename} would unpack to {sizes}: get it anew")
                with opened.open(member) as packed, (folder / name).open("wb") as out:
                    out.write(packed.read(LIMIT))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise fault(archive, None, f"is no zip archive that can be read ({error}): get it anew") from error
    except OSError as error:
        raise fault(archive, None, f"cannot be read: {error.strerror or error}") from error


def _recbole_folder() -> Path | None:
    """The folder inside an installed `recbole` package, which is not imported: that would load PyTorch."""
    spec = importlib.util.find_spec("recbole")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "dataset_example" / "ml-100k"
        if folder.is_dir():
            return folder
    return None


def _download(url: str, folder: Path, expected: tuple[int, int, int]) -> Dataset:
    with tempfile.TemporaryDirectory(prefix="minirec-") as unpacked:
        archive = Path(unpacked) / "ml-100k.zip"
        try:
            listed = re.search(rb"\b[0-9a-fA-F]{32}\b", _get(url + ".md5", 10_000))
            archive.write_bytes(_get(url, LIMIT))
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise RatingsFileError(
                f"MovieLens 100K could not be downloaded from {url} ({reason}): "
                "name a folder or zip with --from"
            ) from error
        if listed is None:
            raise RatingsFileError(f"{url}.md5 holds no MD5 sum: name a folder or zip with --from")
        wanted = listed[0].decode().lower()
        found = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
        if found != wanted:
            raise RatingsFileError(
                f"the archive from {url} has the MD5 sum {found}, but {wanted} stands beside it: "
                "try again, or name a folder or zip with --from"
            )
        return _keep_archive(archive, Path(unpacked), url, folder, expected)


def _get(url: str, limit: int) -> bytes:
    """The bytes at `url`. OSError where they do not arrive, are cut off, or are more than `limit`."""
    try:
        answer = urllib.request.urlopen(url, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise OSError(f"the server answers {error.code} {error.reason}") from error
    with answer:
        body: bytes = answer.read(limit + 1)
        announced = answer.headers.get("Content-Length")
    if len(body) > limit:
        raise OSError(f"more than {limit:,} bytes")
    if announced is not None and len(body) != int(announced):
        raise OSError(f"the connection was cut after {len(body):,} of {int(announced):,} bytes")
    return body
