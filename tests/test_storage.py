"""minirec.storage: round trips, atomic writing (with a real kill), and every kind of bad file."""

import json
import os
import pickle
import subprocess
import sys
import time
import warnings
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from minirec import storage
from minirec.storage import ModelFileError, load_arrays, save_arrays

META = {"model": "Tiny", "dim": 7, "ids": ["007", "ä", ""], "nested": {"rate": 0.1, "none": None}}


def arrays():
    rng = np.random.default_rng(0)
    return {
        "blocks.0.W": rng.normal(size=(3, 5)).astype(np.float32),
        "adam/m/E": np.asfortranarray(rng.normal(size=(2, 11))),
        "steps": np.array(13),
        "empty": np.zeros((0, 7)),
        "mask": np.array([True, False, True]),
        "names": np.array(["a", "long ä"]),
        "z": np.array([1 + 2j]),
    }


def written(path, members, compression=zipfile.ZIP_STORED):
    """An archive made by hand: {member name: bytes}, or a list of pairs to have a name twice."""
    pairs = members.items() if isinstance(members, dict) else members
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")  # zipfile warns about a name that is there twice
        for name, data in pairs:
            archive.writestr(name, data)
    return path


def npy(array, allow_pickle=False):
    stream = BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def meta_bytes(meta=None):
    text = json.dumps({"format": 1} if meta is None else meta)
    return npy(np.frombuffer(text.encode(), dtype=np.uint8))


def same(a, b):
    return a.keys() == b.keys() and all(
        a[n].dtype == b[n].dtype and a[n].shape == b[n].shape and a[n].tobytes() == b[n].tobytes() for n in a
    )


def test_round_trip_is_bit_equal(tmp_path):
    given = arrays()
    given["W.special"] = np.array([np.nan, -0.0, np.inf, 5e-324])
    save_arrays(tmp_path / "m.npz", META, given)
    meta, got = load_arrays(tmp_path / "m.npz")
    assert meta == {**META, "format": 1}
    assert same(got, {k: np.asarray(v) for k, v in given.items()})
    got["blocks.0.W"][0, 0] = 1.0  # loaded arrays can be trained on
    assert os.listdir(tmp_path) == ["m.npz"]


def test_numpy_reads_the_file_without_pickle(tmp_path):
    save_arrays(tmp_path / "m.npz", META, arrays())
    with np.load(tmp_path / "m.npz", allow_pickle=False) as archive:
        assert json.loads(archive["meta"].tobytes()) == {**META, "format": 1}
        assert np.array_equal(archive["blocks.0.W"], arrays()["blocks.0.W"])


def test_a_file_by_numpy_is_read(tmp_path):
    text = np.frombuffer(b'{"format": 1, "a": 2}', dtype=np.uint8)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "n.npz", meta=text, W=np.arange(12.0).reshape(3, 4))
        meta, got = load_arrays(tmp_path / "n.npz")
        assert meta == {"format": 1, "a": 2}
        assert np.array_equal(got["W"], np.arange(12.0).reshape(3, 4))


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_arrays(tmp_path / name, META, arrays())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_numpy_scalars_and_tuples_in_meta(tmp_path):
    save_arrays(tmp_path / "m.npz", {"lr": np.float32(0.5), "n": np.int64(3), "shape": (2, 3)}, {})
    assert load_arrays(tmp_path / "m.npz") == ({"lr": 0.5, "n": 3, "shape": [2, 3], "format": 1}, {})


@pytest.mark.parametrize(
    ("meta", "given", "error", "words"),
    [
        ({}, {"meta": np.zeros(2)}, ValueError, "not 'meta'"),
        ({}, {"": np.zeros(2)}, ValueError, "array name ''"),
        ({}, {"../W": np.zeros(2)}, ValueError, r"'\.\./W'"),
        ({}, {"/etc/W": np.zeros(2)}, ValueError, "'/etc/W'"),
        ({}, {"a b": np.zeros(2)}, ValueError, "'a b'"),
        ({}, {"W": np.array([{}, None])}, TypeError, "'W' has dtype object"),
        ({}, {"W": np.zeros(2, dtype=[("a", int)])}, TypeError, "'W' has dtype"),
        ({"format": 2}, {}, ValueError, r"meta\['format'\] = 2"),
        ({"ids": {7: 0}}, {}, TypeError, r"meta\['ids'\] has the key 7"),
        ({"a": [{}, {(1, 2): 0}]}, {}, TypeError, r"meta\['a'\]\[1\] has the key \(1, 2\)"),
        ({"a": {1, 2}}, {}, TypeError, "of type set"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, meta, given, error, words):
    with pytest.raises(error, match=words):
        save_arrays(tmp_path / "m.npz", meta, given)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("fails_at", ["write", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, fails_at, error):
    path = tmp_path / "m.npz"
    save_arrays(path, {"age": "old"}, arrays())
    before = path.read_bytes()

    def fail(*_, **__):
        raise error

    if fails_at == "write":
        plain, calls = storage.npy.write_array, []

        def third_fails(*args, **more):
            calls.append(1)
            return fail() if len(calls) == 3 else plain(*args, **more)

        monkeypatch.setattr(storage.npy, "write_array", third_fails)
    else:
        monkeypatch.setattr(storage.os, fails_at, fail)
    with pytest.raises(type(error)):
        save_arrays(path, {"age": "new"}, arrays())
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.npz"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
def test_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "m.npz"
    save_arrays(path, {"age": "old"}, arrays())
    monkeypatch.setattr("builtins.open", lambda *_: os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb"))
    with pytest.raises(OSError, match="No space left"):
        save_arrays(path, {"age": "new"}, {"W": np.zeros(100_000)})
    monkeypatch.undo()
    assert load_arrays(path)[0]["age"] == "old"


SAVE_FOREVER = """
import sys
import numpy as np
from minirec.storage import save_arrays
i = 0
while True:
    i += 1
    save_arrays(sys.argv[1], {"i": i}, {"W": np.full((512, 512), i, dtype=np.int64), "b": np.full(7, i)})
"""


def test_kill_at_any_moment_leaves_a_whole_file(tmp_path):
    path = tmp_path / "m.npz"
    root = Path(storage.__file__).parents[1]
    reached = []
    for milliseconds in (0, 3, 7, 13, 29, 53):
        saver = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(path)], cwd=root)
        try:
            start = os.stat(path).st_mtime_ns if path.exists() else None
            end = time.monotonic() + 30
            while not path.exists() or os.stat(path).st_mtime_ns == start:  # until it has saved once
                assert saver.poll() is None
                assert time.monotonic() < end
                time.sleep(0.001)
            time.sleep(milliseconds / 1000)
        finally:
            saver.kill()
            saver.wait()
        meta, got = load_arrays(path, {"W": (512, 512), "b": (7,)})
        assert (got["W"] == meta["i"]).all()
        assert (got["b"] == meta["i"]).all()
        reached.append(meta["i"])
    assert max(reached) > 1  # some were killed while there was an old file


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    try:
        (tmp_path / "m.npz").symlink_to(tmp_path / "real" / "m.npz")
    except OSError:
        pytest.skip("this system does not let us make links")
    save_arrays(tmp_path / "m.npz", {}, arrays())
    assert (tmp_path / "m.npz").is_symlink()
    assert os.listdir(tmp_path / "real") == ["m.npz"]


def test_shapes_are_compared_by_name(tmp_path):
    save_arrays(tmp_path / "m.npz", {}, arrays())
    load_arrays(tmp_path / "m.npz", {"steps": (), "blocks.0.W": (3, 5)})
    with pytest.raises(ModelFileError, match=r"'blocks\.0\.W' has shape \(3, 5\), expected \(5, 3\)"):
        load_arrays(tmp_path / "m.npz", {"blocks.0.W": (5, 3)})
    with pytest.raises(ModelFileError, match=r"no array 'blocks\.1\.W': there are blocks\.0\.W"):
        load_arrays(tmp_path / "m.npz", {"blocks.1.W": (3, 5)})


def test_errors_of_opening_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_arrays(tmp_path / "none.npz")
    with pytest.raises(OSError, match=r"directory|denied"):
        load_arrays(tmp_path)
    with pytest.raises(FileNotFoundError):
        save_arrays(tmp_path / "no folder" / "m.npz", {}, {})
    with pytest.raises(OSError, match=r"directory|denied"):
        save_arrays(tmp_path, {}, {})
    assert os.listdir(tmp_path) == []
    assert not [name for name in os.listdir(tmp_path.parent) if name.endswith(".tmp")]


class Bomb:
    def __reduce__(self):
        return (print, ("unpickled",))


LYING = npy(np.zeros(3))[:-24] + bytes(8 * 2)  # the header says 3 numbers, there are 2
VOID = npy(np.zeros(2, dtype="V4"))


def stating(dtype, shape):
    """The header of a .npy file alone, with any promise in it."""
    text = str({"descr": dtype, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"meta.npy": meta_bytes({"format": 2})}, "format 2, this minirec reads up to 1.*newer"),
        ({"meta.npy": meta_bytes({"a": 1})}, r"meta\['format'\] = None"),
        ({"meta.npy": meta_bytes({"format": True})}, r"meta\['format'\] = True"),
        ({"meta.npy": meta_bytes({"format": "1"})}, r"meta\['format'\] = '1'"),
        ({"meta.npy": meta_bytes({"format": 0})}, r"meta\['format'\] = 0"),
        ({"meta.npy": meta_bytes([1])}, r"meta\['format'\] = None"),
        ({"meta.npy": npy(np.frombuffer(b"{not json", dtype=np.uint8))}, "not JSON"),
        ({"meta.npy": npy(np.frombuffer(b'"\xff"', dtype=np.uint8))}, "not JSON"),
        ({"meta.npy": npy(np.frombuffer(b"[" * 99_999, dtype=np.uint8))}, "not JSON"),
        ({"meta.npy": npy(np.zeros(3))}, "'meta' has dtype float64"),
        ({}, "'meta' is missing"),
        ({"W.npy": npy(np.zeros(3))}, "'meta' is missing"),
        ({"meta.npy": meta_bytes(), "../W.npy": npy(np.zeros(3))}, r"member '\.\./W\.npy' is not the name"),
        ({"meta.npy": meta_bytes(), "/tmp/W.npy": npy(np.zeros(3))}, "member '/tmp/W.npy' is not the name"),
        ({"meta.npy": meta_bytes(), "C:W.npy": npy(np.zeros(3))}, "member 'C:W.npy' is not the name"),
        ({"meta.npy": meta_bytes(), "code.py": b"print()"}, "member 'code.py' is not the name"),
        ([("meta.npy", meta_bytes()), ("W.npy", LYING), ("W.npy", npy(np.ones(3)))], "there twice"),
        ({"meta.npy": meta_bytes(), "W.npy": npy(np.array([Bomb()]), True)}, "'W' has dtype object.*never"),
        ({"meta.npy": meta_bytes(), "W.npy": VOID}, "'W' has dtype"),
        ({"meta.npy": meta_bytes(), "W.npy": LYING}, r"shape \(3,\).* needs 24 bytes, the file has 16"),
        ({"meta.npy": meta_bytes(), "W.npy": b"no array"}, "damaged"),
        ({"meta.npy": meta_bytes(), "W.npy": b""}, "damaged"),
        ({"meta.npy": meta_bytes(), "W.npy": b"\x93NUMPY\x09\x00"}, "version"),
        ({"meta.npy": meta_bytes(), "W.npy": stating("<f8", (10**12,))}, "needs 8000000000000 bytes, the"),
        ({"meta.npy": meta_bytes(), "W.npy": stating("<U0", (10**12,))}, "needs 0 bytes"),
        ({"meta.npy": meta_bytes(), "W.npy": stating("<f8", (-1, -1)) + bytes(8)}, r"shape \(-1, -1\)"),
    ],
)
def test_bad_archives(tmp_path, capsys, members, words):
    path = written(tmp_path / "m.npz", members)
    with pytest.raises(ModelFileError, match=words) as caught:
        load_arrays(path)
    assert str(path) in str(caught.value)
    assert capsys.readouterr().out == ""  # nothing was unpickled


@pytest.mark.parametrize("content", [b"", b"PK", b"user,item\n1,2\n", pickle.dumps(Bomb()), npy(np.zeros(3))])
def test_not_an_archive(tmp_path, capsys, content):
    (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(ModelFileError, match="no model file"):
        load_arrays(tmp_path / "m.npz")
    assert capsys.readouterr().out == ""


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path):
    path = tmp_path / "m.npz"
    members = {"meta.npy": meta_bytes(), "W.npy": npy(np.zeros(4_000_000))}
    written(path, members, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(ModelFileError, match=r"would unpack to 320\d+ bytes, the limit is \d+"):
        load_arrays(path)
    _, got = load_arrays(path, limit=40_000_000)
    assert got["W"].shape == (4_000_000,)
    with pytest.raises(ModelFileError, match="the limit is 1000:"):
        load_arrays(path, limit=1000)


def test_a_member_that_lies_about_its_size_is_not_unpacked_beyond_it(tmp_path, monkeypatch):
    path = tmp_path / "m.npz"
    data = npy(np.zeros(4_000_000))
    written(path, {"meta.npy": meta_bytes(), "W.npy": data}, zipfile.ZIP_DEFLATED)
    raw = path.read_bytes().replace(len(data).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(raw)
    largest = []
    plain = zipfile.ZipExtFile.read

    def watched(self, n=-1):
        largest.append(n)
        return plain(self, n)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", watched)
    with pytest.raises(ModelFileError, match="CRC"):
        load_arrays(path)
    assert 0 < min(largest) <= max(largest) <= storage.PIECE


def test_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "m.npz"
    save_arrays(path, META, arrays())
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match="no model file"):
            load_arrays(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path, compression):
    path = tmp_path / "m.npz"
    save_arrays(path, META, arrays())
    if compression:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        written(path, members, compression)
    meta, want = load_arrays(path)
    whole = path.read_bytes()
    noticed = 0
    directory = 8 * whole.index(b"PK\x01\x02")  # no checksum covers what comes from here on
    # odd steps, so that every bit place of a byte comes up
    bits = [*range(0, directory, 29), *range(directory, 8 * len(whole), 7)]
    for bit in bits:
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            got_meta, got = load_arrays(path)
        except ModelFileError:
            noticed += 1
            continue
        assert got_meta == meta, bit
        assert same(got, want), bit
    assert noticed > len(bits) / 2  # what remains are dates, flags and other bytes without meaning
