"""Files from strangers: one line, no code run, memory bounded by the file's size."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from accelsim import archive

HEADER = {"kind": "thing", "version": 1, "note": "é\ud800"}
ROW = np.dtype([("job", "<i8"), ("late", "|b1"), ("energy_pj", "<f8")])
plain_types = st.sampled_from([np.dtype(name) for name in archive.TYPES] + [np.dtype(">i4"), ROW])
finite = {"allow_nan": False, "allow_infinity": False}
arrays = st.dictionaries(
    st.from_regex(r"\A[a-z0-9_]{1,5}(\.[a-z_]{1,5})?\Z"),
    plain_types.flatmap(
        lambda dtype: (
            hnp.arrays(
                dtype,
                hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
                elements=finite if dtype.kind == "f" else {"allow_nan": False, "allow_infinity": False},
            )
            if dtype.names is None
            else st.integers(0, 5).map(lambda rows: np.ones(rows, dtype))
        )
    ),
    max_size=3,
)


class Touch:
    """Unpickling this makes a file: the proof that something was executed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def refusal(path: Path) -> str:
    """What `read` says about a file after its name."""
    with pytest.raises(archive.ArchiveError) as caught:
        archive.read(path, "thing", 1)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert caught.value.__cause__ is None
    assert len(message) < len(str(path)) + 300
    return message.removeprefix(f"{path}: ")


def good(path: Path, **extra: Any) -> Path:
    archive.write(path, HEADER, {"a": np.arange(6, dtype=np.int32).reshape(2, 3), **extra})
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def build(path: Path, content: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, raw in content.items():
            made.writestr(name, raw)
    return path


def with_document(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A good file whose header.json was changed, in canonical form."""
    content = members(good(path))
    document = json.loads(content["header.json"])
    document = change(document) or document
    raw = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return build(path, {**content, "header.json": raw})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays=arrays)
def test_what_is_read_is_what_was_written(arrays: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    digest = archive.write(path, HEADER, arrays)
    header, found = archive.read(path, "thing", 1)
    assert header == HEADER
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype.newbyteorder("<")
        assert found[name].shape == array.shape
        assert not found[name].flags.writeable
        np.testing.assert_array_equal(found[name], array)
    assert digest == archive.content_hash(header, found) == archive.content_hash(HEADER, arrays)
    with np.load(path, allow_pickle=False) as opened:
        for name in opened.keys() - {"header.json"}:
            np.testing.assert_array_equal(opened[name], arrays[name])


def test_equal_arrays_are_stored_once_and_share_memory_when_read(tmp_path: Path) -> None:
    """Of equal type, shape and bytes, that is: the same bytes as another type are another array."""
    path = tmp_path / "a.npz"
    ones = np.ones((1000, 8), np.uint8)
    content = {
        "b": ones,
        "a": ones.copy(),
        "c": ones[::-1],
        "d": ones.view(np.int8),
        "e": ones.reshape(8, -1),
    }
    digest = archive.write(path, HEADER, content)
    assert path.stat().st_size < 3 * ones.nbytes + 3000
    assert members(path).keys() == {"header.json", "a.npy", "d.npy", "e.npy"}
    header, found = archive.read(path, "thing", 1)
    assert found["a"] is found["b"] is found["c"]
    for name, array in content.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert archive.content_hash(header, found) == digest


def test_the_hash_does_not_know_what_shares_a_member(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    archive.write(path, HEADER, {"a": np.zeros(3), "b": np.zeros(3)})
    content = members(path)
    document = json.loads(content["header.json"])
    document["arrays"]["b"] = document["arrays"]["a"]
    raw = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    build(path, {"header.json": raw, "a.npy": content["a.npy"], "b.npy": content["a.npy"]})
    header, found = archive.read(path, "thing", 1)
    assert archive.content_hash(header, found) == document["sha256"]


def test_memory_that_is_used_again_is_no_equal_array() -> None:
    apart: Any = {name: [index] for index, name in enumerate("abcdefgh")}
    together = {name: np.array(values) for name, values in apart.items()}
    assert archive.content_hash(HEADER, apart) == archive.content_hash(HEADER, together)


def test_equal_content_gives_equal_bytes_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = good(tmp_path / "a.npz", b=np.zeros(3))
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    array = np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3))
    header = dict(reversed(HEADER.items()))
    archive.write(tmp_path / "b.npz", header, {"b": np.zeros(3), "a": array})
    assert (tmp_path / "b.npz").read_bytes() == first.read_bytes()


@pytest.mark.parametrize(
    "other",
    [
        {"a": np.zeros(4, np.int32)},
        {"a": np.zeros((2, 2), np.int64)},
        {"a": np.zeros((4, 1), np.int32)},
        {"b": np.zeros((2, 2), np.int32)},
        {"a": np.eye(2, dtype=np.int32)},
        {"a": np.zeros((2, 2), np.int32), "b": np.zeros(0)},
        {},
    ],
)
def test_other_content_has_another_hash(other: dict[str, Any]) -> None:
    content = {"a": np.zeros((2, 2), np.int32)}
    assert archive.content_hash(HEADER, other) != archive.content_hash(HEADER, content)
    assert archive.content_hash({**HEADER, "x": 1}, content) != archive.content_hash(HEADER, content)


@pytest.mark.parametrize(
    ("header", "content", "message"),
    [
        ({"version": 1}, {}, "the header must have a kind"),
        ({"kind": "thing", "version": True}, {}, "and a version"),
        ({**HEADER, "x": float("nan")}, {}, "not JSON compliant"),
        ({**HEADER, "x": {1, 2}}, {}, "not JSON serializable"),
        ({**HEADER, "x": "y" * (64 << 20)}, {}, "the header must be at most 67108864 bytes"),
        (HEADER, {"../a": np.zeros(2)}, "a name must be words"),
        (HEADER, {"a/b": np.zeros(2)}, "a name must be words"),
        (HEADER, {"a": np.array([object()])}, "dtype must be one of"),
        (HEADER, {"a": np.array(["x"])}, "dtype must be one of"),
        (HEADER, {"a": np.array([1j])}, "dtype must be one of"),
        (HEADER, {"a": np.array([1.0, np.nan])}, "must be finite"),
        (HEADER, {"a": np.full(3, 2, np.uint8).view(np.bool_)}, "booleans of 0 or 1"),
    ],
)
def test_write_refuses_and_leaves_no_file(
    header: dict[str, Any], content: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(archive.ArchiveError, match=message):
        archive.write(tmp_path / "a.npz", header, content)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = good(tmp_path / "a.npz")
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(archive.ArchiveError, match=r"a\.npz: cannot be written: No space left on device"):
        archive.write(path, HEADER, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_pickle_or_anything_else_renamed_is_refused_and_not_run(tmp_path: Path) -> None:
    path, trap = tmp_path / "a.npz", tmp_path / "trap"
    path.write_bytes(pickle.dumps(Touch(trap)))
    assert refusal(path) == "must be a zip archive (.npz)"
    np.savez(path, a=np.array([Touch(trap)], dtype=object), allow_pickle=True)
    assert refusal(path) == "member 'header.json' is missing"
    path.write_bytes(b"")
    assert refusal(path) == "must be a zip archive (.npz)"
    assert not trap.exists()


def test_an_object_array_inside_is_refused_and_not_run(tmp_path: Path) -> None:
    trap, buffer = tmp_path / "trap", io.BytesIO()
    np.save(buffer, np.array([Touch(trap)] * 3, dtype=object), allow_pickle=True)
    content = members(good(tmp_path / "a.npz"))
    declared = len(content["a.npy"])
    disguised = buffer.getvalue()[:declared].ljust(declared, b" ")
    path = build(tmp_path / "a.npz", {**content, "a.npy": disguised})
    assert refusal(path) == "array 'a' must start with the .npy prefix of its type and shape"
    path = with_document(path, lambda document: document["arrays"]["a"].update(dtype="|O"))
    assert refusal(path).startswith("array 'a': dtype must be one of |b1,")
    assert not trap.exists()


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = good(tmp_path / "a.npz")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert refusal(path) in ("the archive is truncated or damaged", "must be a zip archive (.npz)")


@pytest.mark.parametrize("place", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_refused(place: str, tmp_path: Path) -> None:
    path = tmp_path / place
    if place == "folder":
        path.mkdir()
    if place == "pipe":
        os.mkfifo(path)
    said = {"missing": "cannot be read: No such file or directory"}
    assert refusal(path) == said.get(place, "must be a regular file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["header"].update(version=2), "version must be 1, not 2"),
        (lambda d: d["header"].update(version=True), "version must be 1, not True"),
        (lambda d: d["header"].__delitem__("version"), "version must be 1, not None"),
        (lambda d: d["header"].update(kind="plan"), "kind must be 'thing', not 'plan'"),
        (lambda d: d["header"].update(note="other"), "content hash must be"),
        (lambda d: d.update(sha256=7), "content hash must be"),
        (lambda d: d.update(more=1), "must hold 'arrays', 'header' and 'sha256'"),
        (lambda d: [1], "must hold"),
        (lambda d: d.update(header=[]), "must be objects"),
        (lambda d: d["arrays"].update(b=d["arrays"]["a"]), "member 'b.npy' is missing"),
        (lambda d: d["arrays"].__delitem__("a"), "member 'a.npy' is not expected"),
        (lambda d: d["arrays"].update({"../b": d["arrays"]["a"]}), "a name must be words"),
        (lambda d: d["arrays"].update(a=3), "must have 'dtype', 'shape' and 'sha256'"),
        (lambda d: d["arrays"]["a"].update(sha256="0"), "array 'a': sha256 must be"),
        (lambda d: d["arrays"]["a"].update(sha256=None), "array 'a': sha256 must be"),
        (lambda d: d["arrays"].update(b={"same": "a"}), "content hash must be"),
        (lambda d: d["arrays"].update(b={"same": "b"}), "must be the same as an array that is stored"),
        (lambda d: d["arrays"].update(b={"same": "c"}), "must be the same as an array that is stored"),
        (lambda d: d["arrays"].update(b={"same": ["a"]}), "must be the same as an array that is stored"),
        (lambda d: d["arrays"].update(b={"same": "c"}, c={"same": "b"}), "must be the same as an array"),
        (lambda d: d["arrays"].update(b={"same": "a"}, c={"same": "b"}), "must be the same as an array"),
        (lambda d: d["arrays"].update(b={"same": "a", "shape": [6]}), "must be the same as an array"),
        (lambda d: d["arrays"].update({"../b": {"same": "a"}}), "a name must be words"),
        (lambda d: d["arrays"]["a"].update(shape=[2, -3]), "shape must be whole numbers >= 0"),
        (lambda d: d["arrays"]["a"].update(shape=[2, 3.0]), "shape must be whole numbers >= 0"),
        (lambda d: d["arrays"]["a"].update(shape=[True, 6]), "shape must be whole numbers >= 0"),
        (lambda d: d["arrays"]["a"].update(shape=[2**40, 2**40]), "is too large"),
        (lambda d: d["arrays"]["a"].update(shape=[0, 2**40, 2**40]), "is too large"),
        (lambda d: d["arrays"]["a"].update(shape=[2**40]), "must take 4398046511232 bytes, not 152"),
        (lambda d: d["arrays"]["a"].update(shape=[1] * 99), "a list of at most 32 sizes"),
        (lambda d: d["arrays"]["a"].update(shape="23"), "a list of at most 32 sizes"),
        (lambda d: d["arrays"]["a"].update(shape=[3, 2]), "must start with the .npy prefix"),
        (lambda d: d["arrays"]["a"].update(dtype="<u4"), "must start with the .npy prefix"),
        (lambda d: d["arrays"]["a"].update(dtype=">i4"), "dtype must be one of"),
        (lambda d: d["arrays"]["a"].update(dtype=[["a", "|O"]]), "dtype must be one of"),
        (lambda d: d["arrays"]["a"].update(dtype=[["a", "<i2"], ["a", "<i2"]]), "dtype must be one of"),
        (lambda d: d["arrays"]["a"].update(dtype=[[["a"], "<i2"]]), "dtype must be one of"),
        (lambda d: d["arrays"]["a"].update(dtype=[["a"]]), "dtype must be one of"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(
    change: Callable[[dict[str, Any]], Any], message: str, tmp_path: Path
) -> None:
    assert message in refusal(with_document(tmp_path / "a.npz", change))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "must be JSON"),
        (b"not JSON", "must be JSON"),
        (b"\xff\xfe", "must be JSON"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "is nested too deeply"),
        (b'{"a":' * 100_000, "is nested too deeply"),
        (b'{"a":NaN}', "must be JSON"),
        (b'{"a":1e999}', "must be JSON"),
        (b"1" * 10_000, "must be JSON"),
        (b'{"arrays":{},"arrays":{},"header":{},"sha256":""}', "must be canonical JSON"),
        (b'{"sha256":"","arrays":{},"header":{}}', "must be canonical JSON"),
        (b'{"arrays": {}}', "must be canonical JSON"),
        ('"é"'.encode(), "must be JSON"),
        (b"null", "must hold"),
    ],
)
def test_a_header_that_is_not_canonical_json_is_refused(raw: bytes, message: str, tmp_path: Path) -> None:
    path = build(tmp_path / "a.npz", {"header.json": raw})
    assert refusal(path).startswith("header.json " + message)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    path = good(tmp_path / "a.npz")
    content = members(path)
    for name in ("../../outside.npy", "/etc/passwd", "b.npy", "a.npy/", "C:\\x"):
        assert refusal(build(path, {**content, name: b"x"})).endswith("is not expected")
    build(path, content)
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr("a.npy", content["a.npy"])
    assert refusal(path) == "member 'a.npy' must not occur twice"
    assert refusal(build(path, {"a.npy": content["a.npy"]})) == "member 'header.json' is missing"


def test_elements_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for array, raw, message in (
        (np.zeros(1), struct.pack("<d", float("nan")), "array 'a' must be finite, not NaN or infinite"),
        (np.zeros(1, np.bool_), b"\x02", "array 'a' must hold booleans of 0 or 1"),
    ):
        archive.write(path, HEADER, {"a": array})
        content = members(path)
        build(path, {**content, "a.npy": content["a.npy"][: -len(raw)] + raw})
        assert refusal(path) == message


def peak_bytes(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def overlapping(path: Path) -> Path:
    """A directory of 200 entries that all point at the same megabyte."""
    build(path, {"m000": bytes(1 << 20)})
    raw = path.read_bytes()
    start = raw.rindex(b"PK\x01\x02")
    entry, end = raw[start : raw.rindex(b"PK\x05\x06")], bytearray(raw[raw.rindex(b"PK\x05\x06") :])
    directory = b"".join(entry.replace(b"m000", b"m%03d" % index) for index in range(200))
    struct.pack_into("<HHI", end, 8, 200, 200, len(directory))
    path.write_bytes(raw[:start] + directory + end)
    return path


def directory_of(path: Path, entries: int) -> Path:
    return build(path, {f"{index:x}": b"" for index in range(entries)})


HUNGRY: dict[str, Callable[[Path], Path]] = {
    "deflated header": lambda path: build(path, {"header.json": bytes(50 << 20)}, zipfile.ZIP_DEFLATED),
    "deflated array": lambda path: build(
        path, {**members(good(path)), "a.npy": bytes(50 << 20)}, zipfile.ZIP_DEFLATED
    ),
    "overlapping members": overlapping,
    "huge declared array": lambda path: with_document(
        path, lambda document: document["arrays"]["a"].update(shape=[2**38])
    ),
    "header of small objects": lambda path: build(path, {"header.json": b"[" + b"{}," * 300_000 + b"{}]"}),
    "header of small dicts": lambda path: build(path, {"header.json": b"[" + b'{"":[]},' * 100_000 + b"{}]"}),
    "header of wide text": lambda path: build(
        path, {"header.json": b'"' + b"\\ud83d\\ude00" * 90_000 + b'"'}
    ),
    "header too large": lambda path: build(path, {"header.json": b" " * (65 << 20)}),
    "arrays that are all the same": lambda path: with_document(
        path, lambda document: document["arrays"].update({f"b{i:x}": {"same": "a"} for i in range(50_000)})
    ),
    "many members": lambda path: directory_of(path, 20_000),
}


SAID = {
    "deflated header": "must be stored, not compressed",
    "deflated array": "must be stored, not compressed",
    "overlapping members": "members declare 209715200 bytes",
    "huge declared array": "must take",
    "arrays that are all the same": "content hash must be",
    "header too large": "must be at most 67108864 bytes",
}


@pytest.mark.parametrize("kind", HUNGRY)
def test_a_hungry_file_is_refused_within_the_stated_memory(kind: str, tmp_path: Path) -> None:
    path = HUNGRY[kind](tmp_path / "a.npz")
    archive.read(good(tmp_path / "warm.npz"), "thing", 1)
    said = refusal(path)
    assert SAID.get(kind, "") in said
    limit = archive.MEMORY_FACTOR * path.stat().st_size + 200_000
    assert peak_bytes(lambda: refusal(path)) < limit


def test_an_honest_large_file_takes_its_own_size_to_read(tmp_path: Path) -> None:
    path = good(tmp_path / "a.npz", b=np.ones(1 << 20), c=np.ones((1 << 20, 3), np.uint8))
    assert peak_bytes(lambda: archive.read(path, "thing", 1)) < 1.7 * path.stat().st_size
