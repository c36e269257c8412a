"""Model files: one `.npz` that holds named arrays and, as the uint8 array `meta`, a JSON object.

Every recommender is saved through here. Writing leaves either the old file or the new one, whole, at
whatever moment the process is killed. Reading trusts nothing: no pickle, sizes are checked before anything
is unpacked, and every byte of every array is covered by a checksum.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

Array = NDArray[Any]

FORMAT = 1  # rises when an older minirec could no longer read the file
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
KINDS = "biufcU"  # boolean, integers, floats, complex, text
PIECE = 1 << 20  # bytes unpacked at once
# what zipfile, zlib and NumPy raise on damaged bytes (NotImplementedError is a RuntimeError)
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, TypeError),
    *(LookupError, ArithmeticError, RuntimeError, SyntaxError),
)
END = struct.Struct("<4s4H2LH")  # the last 22 bytes of an archive; the fifth field is its number of members


class ModelFileError(ValueError):
    """A file that cannot be read as a model, or is not safe to read; the message says what and where."""


def save_arrays(path: str | os.PathLike[str], meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write `arrays` and `meta` to `path`, replacing a file that is there; `np.load` can read it as well.

    `meta` is a JSON object (text keys at every level; NumPy scalars become numbers, tuples become lists); the
    key "format" is added. The file is written to a hidden temporary name in the same folder, synced, then
    renamed. If that fails the temporary file is removed; a killed process leaves it behind. Equal content
    gives equal bytes. Raises ValueError or TypeError for what could not be read back, OSError as it comes.
    """
    text = json.dumps(_checked_meta(meta), default=plain)
    members = {"meta": np.frombuffer(text.encode(), dtype=np.uint8)}
    for name, array in arrays.items():
        if name == "meta" or not NAME.fullmatch(name):
            raise ValueError(f"array name {name!r}: allowed are letters, digits, _ . - / and not 'meta'")
        members[name] = np.asarray(array)
        if members[name].dtype.kind not in KINDS:
            kind = members[name].dtype
            raise TypeError(f"array {name!r} has dtype {kind}: only numbers and text are stored")

    target = Path(os.path.realpath(path))  # a link stays a link
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for name, array in members.items():
                    info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))  # no clock in the bytes
                    with archive.open(info, "w", force_zip64=True) as member:
                        npy.write_array(member, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())  # the bytes are on the disk before the name is
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C as well
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def load_arrays(
    path: str | os.PathLike[str],
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    *,
    limit: int | None = None,
) -> tuple[dict[str, Any], dict[str, Array]]:
    """(meta, arrays) of a file that `save_arrays` wrote.

    shapes   arrays that must be there, with their shapes; others may be there too
    limit    the most bytes that all members together may unpack to; None = 16 times the size of the file
             and 1 MB (`save_arrays` does not compress, so its files unpack to less than their own size)

    Raises FileNotFoundError and other errors of opening as they come, ModelFileError for everything else.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        limit = 16 * size + (1 << 20) if limit is None else limit
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                _check_count(path, file, len(members))
                _check_members(path, members, size, limit)
                arrays = {info.filename[:-4]: _read(path, archive, info) for info in members}
        except ModelFileError:
            raise
        except DAMAGED as error:
            raise ModelFileError(f"{path} is no model file, or is damaged or cut short: {error}") from error
    meta = _read_meta(path, arrays)
    for name, shape in (shapes or {}).items():
        if name not in arrays:
            raise ModelFileError(f"{path} has no array {name!r}: there are {', '.join(arrays) or 'none'}")
        if arrays[name].shape != tuple(shape):
            raise ModelFileError(
                f"{path}: array {name!r} has shape {arrays[name].shape}, expected {tuple(shape)}: "
                "it was saved by a model of another size"
            )
    return meta, arrays


def _check_count(path: Any, file: BinaryIO, count: int) -> None:
    """Compare the number of members found with the number stated at the end of the archive.

    zipfile does not, and no checksum covers the archive's directory: one flipped bit in the length of a
    comment there makes the comment swallow the members after it, and the file would load without them.
    """
    file.seek(-END.size, os.SEEK_END)
    mark, _, _, _, stated, _, _, comment = END.unpack(file.read(END.size))
    if mark != b"PK\x05\x06" or comment or stated != count:
        raise ModelFileError(f"{path} is damaged: it has {count} members and its last bytes state {stated}")


def _check_members(path: Any, members: list[zipfile.ZipInfo], size: int, limit: int) -> None:
    """Refuse odd names and too large sizes from the archive's directory alone, before reading a member."""
    seen: set[str] = set()
    for info in members:
        name = info.filename
        if not name.endswith(".npy") or not NAME.fullmatch(name[:-4]):
            raise ModelFileError(f"{path}: member {name!r} is not the name of an array")
        if name in seen:
            raise ModelFileError(f"{path}: member {name!r} is there twice")
        seen.add(name)
        if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
            raise ModelFileError(f"{path}: member {name!r} states two different sizes")
        if info.compress_size > size:
            raise ModelFileError(f"{path}: member {name!r} is larger than the file, which is cut short")
    total = sum(info.file_size for info in members)
    if total > limit:
        raise ModelFileError(
            f"{path} ({size} bytes) would unpack to {total} bytes, the limit is {limit}: "
            "if you trust the file, pass a larger limit"
        )


def _read(path: Any, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    """One array, read to its end, so that zipfile compares the checksum; in pieces, so that a member that
    lies about its size is not unpacked beyond it."""
    data = bytearray()
    with archive.open(info) as member:
        while piece := member.read(PIECE):
            data += piece
    if len(data) != info.file_size:
        raise ModelFileError(f"{path}: member {info.filename!r} has {len(data)} of {info.file_size} bytes")
    stream = BytesIO(data)
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ModelFileError(f"{path}: member {info.filename!r} has .npy version {version}")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy warns where it has to repair a header: not one of ours
        try:
            shape, _, dtype = read_header(stream)
        except Warning as warning:
            raise ModelFileError(f"{path}: member {info.filename!r} has an odd header: {warning}") from None
    if dtype.kind not in KINDS:
        raise ModelFileError(
            f"{path}: array {info.filename[:-4]!r} has dtype {dtype}: only numbers and text are read, "
            "Python objects (pickle) never"
        )
    stated, there = math.prod(shape) * dtype.itemsize, len(data) - stream.tell()
    if stated != there or dtype.itemsize == 0 or any(n < 0 for n in shape):
        raise ModelFileError(
            f"{path}: array {info.filename[:-4]!r} of shape {shape} and dtype {dtype} needs {stated} bytes, "
            f"the file has {there}"
        )
    stream.seek(0)
    array: Array = npy.read_array(stream, allow_pickle=False)
    return array


def _read_meta(path: Any, arrays: dict[str, Array]) -> dict[str, Any]:
    raw = arrays.pop("meta", None)
    if raw is None or raw.dtype != np.uint8 or raw.ndim != 1:
        found = "is missing" if raw is None else f"has dtype {raw.dtype} and shape {raw.shape}"
        raise ModelFileError(f"{path}: the array 'meta' {found}: this .npz was not written by minirec")
    try:
        meta = json.loads(raw.tobytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: the array 'meta' is not JSON: {error}") from error
    version = meta.get("format") if isinstance(meta, dict) else None
    if type(version) is not int or version < 1:
        raise ModelFileError(f"{path}: meta['format'] = {version!r}, expected an integer from 1 to {FORMAT}")
    if version > FORMAT:
        raise ModelFileError(
            f"{path} has format {version}, this minirec reads up to {FORMAT}: it was written by a newer one"
        )
    return dict(meta)


def _checked_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    def walk(value: Any, where: str) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if not isinstance(key, str):  # JSON would turn 1 into "1" in silence
                    raise TypeError(f"{where} has the key {key!r}: JSON keys must be str")
                walk(inner, f"{where}[{key!r}]")
        elif isinstance(value, list | tuple):
            for i, inner in enumerate(value):
                walk(inner, f"{where}[{i}]")

    walk(meta, "meta")
    if meta.get("format", FORMAT) != FORMAT:
        raise ValueError(f"meta['format'] = {meta['format']!r}: leave it out, {FORMAT} is written")
    return {**meta, "format": FORMAT}


def plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"meta holds {value!r} of type {type(value).__name__}, which JSON has no form for")


def _sync_folder(folder: Path) -> None:
    """Put the renaming on the disk, where the platform can (Windows cannot open a folder)."""
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder that we may write to but not list
        return
    try:
        os.fsync(handle)
    except OSError:  # some network file systems cannot sync a folder; the file itself is synced
        pass
    finally:
        os.close(handle)
