"""Rows of a text file, read strictly: a fault is named with file, line and value, never repaired in silence.

The loaders stand on this. A line is read, checked and split; the file is never held as a whole.
"""

from __future__ import annotations

import codecs
import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MAX_LINE = 100_000  # bytes; beyond it the file is not what it says, or its line ends are lost
BLOCK = 1 << 20  # bytes that are read at once
SEPARATORS = ("\t", "::", ",", ";", "|")
ARCHIVES = {
    b"\x1f\x8b": "gzip data, whatever its name says: unpack it first",
    b"PK\x03\x04": "a zip archive, whatever its name says: unpack it first",
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
}


class RatingsFileError(ValueError):
    """A file of ratings or items that cannot be read. The message is one line: where, what, what to do."""


def fault(path: str | os.PathLike[str], line: int | None, message: str) -> RatingsFileError:
    """The exception for a fault in `path`, on `line` (counted from 1) where there is one."""
    where = str(path) if line is None else f"{path}, line {line}"
    return RatingsFileError(f"{where}: {message}")


def show(text: str) -> str:
    """The value as a message prints it: quoted, escaped, and cut where it is long."""
    return repr(text) if len(text) <= 40 else f"{text[:30]!r}... ({len(text):,} characters)"


def rows(
    path: str | os.PathLike[str], separator: str, encoding: str = "utf-8", quoted: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every line that is not empty.

    With `quoted`, a field may stand in double quotes ("" inside stands for one) and must end on its line.
    Raises RatingsFileError.
    """
    source = lines(path, encoding)
    if not quoted or len(separator) > 1:
        for number, text in enumerate(source, 1):
            if text:
                yield number, text.split(separator)
        return
    reader = csv.reader(source, delimiter=separator, strict=True)
    last = 0
    try:
        for row in reader:
            last += 1
            if reader.line_num != last:
                raise _unclosed(path, last)
            if row:
                yield last, row
    except csv.Error as error:
        if "expected after" in str(error) and reader.line_num == last + 1:
            message = "text follows a closing quote: double the quotes inside a value, or remove them"
            raise fault(path, last + 1, message) from error
        raise _unclosed(path, last + 1) from error  # the reader went on to the end, or to its limit


def _unclosed(path: str | os.PathLike[str], line: int) -> RatingsFileError:
    return fault(path, line, 'a double quote (") is opened and not closed on this line: close or remove it')


def lines(path: str | os.PathLike[str], encoding: str = "utf-8") -> Iterator[str]:
    """The lines of a file as text, without their ends (LF or CR LF). A UTF-8 byte-order mark is dropped."""
    codec = _codec(encoding)
    with open_checked(path) as file:
        number = 0
        while block := file.read(BLOCK):
            block += file.readline(MAX_LINE + 1)  # to the end of the line, unless that is too far away
            if number == 0:
                block = _without_mark(path, block, codec)
            found = _split(block, codec)
            if found is None:
                found = list(_check_lines(path, number, block, codec))
            yield from found
            number += len(found)


def _split(block: bytes, codec: str) -> list[str] | None:
    """The lines of a block without faults, None where one needs a closer look."""
    try:
        text = block.decode(codec)
    except UnicodeDecodeError:
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if "\0" in text or "\r" in text:
        return None
    found = text.removesuffix("\n").split("\n")
    longest = max(map(len, found))
    return found if 4 * longest <= MAX_LINE else None  # a character has up to 4 bytes


def _check_lines(path: str | os.PathLike[str], number: int, block: bytes, codec: str) -> Iterator[str]:
    """The same line by line, to name the fault; `number` lines stand before the block."""
    for raw in block.removesuffix(b"\n").split(b"\n"):
        number += 1
        if len(raw) > MAX_LINE:
            start = show(raw[:30].decode(codec, "replace"))
            message = f"longer than {MAX_LINE:,} bytes (it starts with {start})"
            hint = "ids have at most 1,000 characters, and each interaction needs a line of its own"
            raise fault(path, number, f"{message}: {hint}")
        if b"\0" in raw:
            where = f"a NUL byte at byte {raw.index(0) + 1}"
            raise fault(path, number, f"{where}: this is no text file, or UTF-16: save it as UTF-8")
        try:
            text = raw.decode(codec).removesuffix("\r")
        except UnicodeDecodeError as error:
            raise fault(path, number, _undecodable(raw, error, codec)) from error
        if "\r" in text:
            message = f"a carriage return inside the line, after {show(text[: text.index(chr(13))])}"
            raise fault(path, number, f"{message}: lines must end with LF or CR LF")
        yield text


def open_checked(path: str | os.PathLike[str]) -> BinaryIO:
    """`path` opened for reading bytes. RatingsFileError where it cannot be opened or is an archive."""
    if os.path.isdir(path):
        raise fault(path, None, "is a directory: name the file inside it that holds the ratings")
    try:
        file = open(path, "rb")
        head = file.peek(4)[:4]
    except FileNotFoundError as error:
        around = Path(path).parent
        hint = "check the name" if around.is_dir() else f"there is no directory {around} either"
        raise fault(path, None, f"no such file: {hint}") from error
    except PermissionError as error:
        raise fault(path, None, "no permission to read this file: change its permissions") from error
    except OSError as error:
        raise fault(path, None, f"cannot be read: {error.strerror or error}") from error
    for start, what in ARCHIVES.items():
        if head.startswith(start):
            file.close()
            raise fault(path, None, f"holds {what} (it begins with the bytes {start.hex(' ')})")
    return file


def _codec(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise ValueError(f"unknown encoding {encoding!r}: utf-8 and latin-1 are the usual ones") from error
    name = "utf-8" if name == "utf-8-sig" else name
    if "a1,;|\t\n".encode(name) != b"a1,;|\t\n":  # lines are cut before decoding, so ASCII must stay ASCII
        raise ValueError(f"encoding {encoding!r} is not an extension of ASCII: save the file as UTF-8")
    return name


def _without_mark(path: str | os.PathLike[str], raw: bytes, codec: str) -> bytes:
    if not raw.startswith(codecs.BOM_UTF8):
        return raw
    if codec != "utf-8":
        message = f"begins with a UTF-8 byte-order mark but is to be read as {codec}: pass encoding='utf-8'"
        raise fault(path, 1, message)
    return raw[len(codecs.BOM_UTF8) :]


def _undecodable(raw: bytes, error: UnicodeDecodeError, codec: str) -> str:
    around = raw[max(0, error.start - 12) : error.start + 12].decode("latin-1").strip()
    hint = "pass encoding='latin-1' if that reads right" if codec == "utf-8" else "pass the right encoding"
    where = f"byte 0x{raw[error.start]:02x} at byte {error.start + 1}"
    return f"{where} is not {codec} (in Latin-1 the text around it is {around!r}): {hint}"
