import random
from pathlib import Path

import pytest

from minirec.data import textfile
from minirec.data.textfile import RatingsFileError, lines, rows, show


@pytest.mark.parametrize("block", [1, 2, 7, 1 << 20])
def test_lines_do_not_depend_on_the_block_size(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(3)
    wanted = ["".join(rng.choices("aé日🎬,", k=rng.randrange(6))) for _ in range(47)] + ["last"]
    path = tmp_path / "file.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(wanted).encode())
    monkeypatch.setattr(textfile, "BLOCK", block)
    assert list(lines(path)) == wanted


@pytest.mark.parametrize("block", [1, 5, 23, 1 << 20])
def test_the_line_of_a_fault_is_counted_over_blocks(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"good\n" * 12 + b"b\xe4d\n" + b"good\n" * 3)
    monkeypatch.setattr(textfile, "BLOCK", block)
    with pytest.raises(RatingsFileError, match=r"line 13: byte 0xe4 at byte 2 "):
        list(lines(path))


def test_a_long_line_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    longest = "x" * textfile.MAX_LINE
    path.write_text(f"{longest}\n{longest}")
    assert list(lines(path)) == [longest, longest]
    path.write_text(f"{longest}\n{longest}x\n")
    with pytest.raises(RatingsFileError, match="line 2: longer than 100,000 bytes"):
        list(lines(path))


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    text = "a\x0bb\x0cc\x1cd\x85e\u2028f"
    path.write_text(text + "\n", encoding="utf-8")
    assert list(lines(path)) == [text]


def test_quotes(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text('a,"b, ""c""",d"e\n\n"",x,y\n')
    assert list(rows(path, ",")) == [(1, ["a", 'b, "c"', 'd"e']), (3, ["", "x", "y"])]
    assert list(rows(path, ",", quoted=False))[1] == (3, ['""', "x", "y"])


@pytest.mark.parametrize(
    ("encoding", "words"),
    [("utf-16", "not an extension of ASCII"), ("latin-99", "unknown encoding 'latin-99'")],
)
def test_unusable_encodings(encoding: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        list(lines(tmp_path / "any", encoding))


def test_show_cuts_and_escapes() -> None:
    assert show("a\tb") == "'a\\tb'"
    assert show("x" * 5000) == repr("x" * 30) + "... (5,000 characters)"
