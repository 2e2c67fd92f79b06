"""Files from strangers: one line, no code run, memory bounded by the file's size."""

from __future__ import annotations

import io
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
from archive_files import HEADER, Touch, build, good, members, refusal, with_document

from accelsim import archive


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
