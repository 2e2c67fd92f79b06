"""Archives: what is read is what was written, equal content in equal bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_files import HEADER, build, good, members
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from accelsim import archive
from accelsim.files import remove_drafts

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


def test_what_is_being_written_is_taken_away_if_the_process_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = []

    def ended(draft: Path, *_: object) -> None:
        draft.write_bytes(b"begun")
        remove_drafts()
        left.extend(tmp_path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(archive, "_write_members", ended)
    with pytest.raises(KeyboardInterrupt):
        archive.write(tmp_path / "a.npz", HEADER, {})
    assert left == []
