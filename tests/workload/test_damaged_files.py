"""Whatever was done to a file, it is refused in one line or means what it says."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workload.examples import example

from accelsim import archive
from accelsim.workload import Workload, WorkloadError


def load_or_refuse(path: Path) -> Workload | None:
    """The workload of a damaged file, or None after one line that names the file."""
    try:
        return Workload.load(path)
    except WorkloadError as error:
        assert str(error).startswith(f"{path}: ")
        assert "\n" not in str(error)
        assert len(str(error)) < len(str(path)) + 300
        return None


def test_a_damaged_file_is_refused_or_means_the_same(tmp_path: Path) -> None:
    workload, path, damaged = example(), tmp_path / "w.npz", tmp_path / "damaged.npz"
    workload.save(path)
    whole = path.read_bytes()
    draw = random.Random(11)
    refused = 0
    for trial in range(1500):
        content = bytearray(whole)
        if trial % 3 == 0:
            del content[draw.randrange(len(whole)) :]
        elif trial % 3 == 1:
            for _ in range(draw.randint(1, 3)):
                content[draw.randrange(len(whole))] ^= draw.randint(1, 255)
        else:
            start = draw.randrange(len(whole))
            content[start : start + draw.randint(1, 60)] = draw.randbytes(draw.randint(0, 60))
        damaged.write_bytes(content)
        loaded = load_or_refuse(damaged)
        refused += loaded is None
        assert loaded is None or loaded == workload
    assert refused > 1000


HOSTILE: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**70, 1.0, 0.5, "", "x", "a\nb", "../../etc/passwd", [], {}, [1], [[]],
    {"m": 1}, [True, 8], [5.0, 8], [2**32, 2**32], "x" * 5000, list(range(9)),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside a JSON document."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inside in below for place in places(inside, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


def test_a_well_formed_file_with_any_header_is_refused_or_means_what_it_says(tmp_path: Path) -> None:
    """Hashes are made to fit, so nothing but the meaning can be found wrong."""
    example().save(tmp_path / "w.npz")
    header, arrays = archive.read(tmp_path / "w.npz", "workload", 3)
    path, accepted, tried = tmp_path / "hostile.npz", 0, 0
    for place in places(header):
        if place in ((), ("kind",), ("version",)):
            continue
        for new in HOSTILE:
            digest = archive.write(path, changed(header, place, new), arrays)
            loaded = load_or_refuse(path)
            tried += 1
            accepted += loaded is not None
            assert loaded is None or loaded.hash == digest, (place, new)
    assert 0 < accepted < tried / 3


def test_a_layer_with_a_field_missing_or_added_is_refused(tmp_path: Path) -> None:
    example().save(tmp_path / "w.npz")
    header, arrays = archive.read(tmp_path / "w.npz", "workload", 3)
    path = tmp_path / "hostile.npz"
    for index, layer in enumerate(header["layers"]):
        others = [{key: layer[key] for key in layer if key != name} for name in layer]
        for other in (*others, {**layer, "tokens": [1]}, {**layer, "extra": 1}):
            archive.write(path, changed(header, ("layers", index), other), arrays)
            assert load_or_refuse(path) is None, other.keys()
    for name in ("model", "layers", "synthetic", "notes"):
        archive.write(path, {key: value for key, value in header.items() if key != name}, arrays)
        assert load_or_refuse(path) is None, name


def test_a_mask_whose_sizes_are_no_whole_numbers_is_refused(tmp_path: Path) -> None:
    example().save(tmp_path / "w.npz")
    header, arrays = archive.read(tmp_path / "w.npz", "workload", 3)
    archive.write(tmp_path / "h.npz", changed(header, ("layers", 0, "mask"), [5.0, 8]), arrays)
    with pytest.raises(WorkloadError, match=r"h\.npz: layer 0: mask must have shape .* not \[5\.0, 8\]$"):
        Workload.load(tmp_path / "h.npz")


def test_a_well_formed_file_with_other_arrays_is_refused_or_means_what_it_says(tmp_path: Path) -> None:
    example().save(tmp_path / "w.npz")
    header, arrays = archive.read(tmp_path / "w.npz", "workload", 3)
    path = tmp_path / "hostile.npz"
    for name, array in arrays.items():
        others = [array[:-1], array[None], array.astype(np.float64), np.zeros(0), np.full_like(array, 1)]
        others += [array.astype(np.int64), np.invert(array), np.zeros((0, 2**40), np.uint8)]
        for other in others:
            digest = archive.write(path, header, {**arrays, name: other})
            loaded = load_or_refuse(path)
            assert loaded is None or loaded.hash == digest, name
        archive.write(path, header, {key: value for key, value in arrays.items() if key != name})
        load_or_refuse(path)
    for name in ("layers.0.tokens", "layers.7.mask", "layers.00.mask", "layers.2.mask", "mask", "layers"):
        archive.write(path, header, {**arrays, name: np.zeros(3, np.uint8)})
        assert load_or_refuse(path) is None, name


def test_another_version_or_kind_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    archive.write(path, {"kind": "workload", "version": 1}, {})
    with pytest.raises(WorkloadError, match=r"w\.npz: version must be 3, not 1$"):
        Workload.load(path)
    archive.write(path, {"kind": "plan", "version": 3}, {})
    with pytest.raises(WorkloadError, match=r"w\.npz: kind must be 'workload', not 'plan'$"):
        Workload.load(path)


def test_a_file_that_cannot_be_written_is_a_workload_error(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="cannot be written: No such file"):
        example().save(tmp_path / "missing" / "w.npz")
