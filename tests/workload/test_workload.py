"""A workload survives saving and loading, whatever is in it, and counts what it holds."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from workload.examples import example, workloads

from accelsim.golden.formats import Bitmap
from accelsim.workload import Attention, Matmul, Workload

in_one_folder = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@in_one_folder
@given(workload=workloads)
def test_what_is_loaded_is_what_was_saved(workload: Workload, tmp_path: Path) -> None:
    workload.save(tmp_path / "w.npz")
    loaded = Workload.load(tmp_path / "w.npz")
    assert loaded == workload
    assert loaded.hash == workload.hash
    first = (tmp_path / "w.npz").read_bytes()
    loaded.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == first


@in_one_folder
@given(workload=workloads, other=workloads)
def test_hashes_are_equal_exactly_when_workloads_are(workload: Workload, other: Workload) -> None:
    assert (workload == other) == (workload.hash == other.hash)


@pytest.mark.parametrize("layer", example().layers, ids=lambda layer: layer.op)
def test_every_field_is_part_of_the_hash(layer: Any) -> None:
    workload = Workload(model="m", layers=(layer,))
    hashes = {workload.hash}
    for entry in fields(layer):
        value = getattr(layer, entry.name)
        other: Any = value
        if isinstance(value, bool):
            other = not value
            if entry.name == "weights":
                continue
        elif entry.name in ("name", "op", "reason", "dtype"):
            other = value + "x"
        elif isinstance(value, Bitmap):
            other = Bitmap.pack(~value.unpack())
        elif entry.name in ("tokens", "head_ids"):
            other = value.copy()
            other[..., -1] -= 1
        elif isinstance(value, np.ndarray):
            other = value.copy()
            other.flat[0] = not value.flat[0] if value.dtype == bool else value.flat[0] ^ 1
        elif isinstance(value, dict):
            other = {**value, "stride": 2}
        elif entry.name in (
            "dim",
            "value_dim",
            "macs",
            "dense_m",
            "dense_count",
            "dense_n",
            "dense_k",
            "dense_keys",
            "dense_heads",
            "state",
            "loss_scale",
            "dense_dim",
        ):
            other = value + 9
        elif entry.name in ("forward", "backward"):
            other = "1:2"
        elif entry.name == "stage":
            other = "ff"
        elif entry.name in ("token_keep", "head_keep", "kv_heads"):
            other = value - 1 or value + 1
        elif entry.name == "bits":
            other = (8, 4)
        else:
            continue
        changed = replace(workload, layers=(replace(layer, **{entry.name: other}),))
        assert changed != workload
        assert changed.hash not in hashes, entry.name
        hashes.add(changed.hash)
    assert len(hashes) >= 4


def test_the_hash_of_format_3_does_not_change() -> None:
    assert example().hash == "a9a2fb0e572aaadb45ea2d3fbb9e431640bc4a9dada5fe32622cd81f413f53cb"


def test_order_of_geometry_and_a_numpy_integer_make_no_difference() -> None:
    one = Matmul(name="a", m=2, n=3, k=4, geometry={"x": 1, "y": 2})
    two = Matmul(name="a", m=np.int64(2), n=3, k=4, geometry={"y": np.int32(2), "x": 1})  # type: ignore[arg-type]
    assert one == two
    assert Workload(model="m", layers=(one,)).hash == Workload(model="m", layers=(two,)).hash


def test_a_mask_takes_one_bit_a_weight_in_file_and_memory(tmp_path: Path) -> None:
    kept = np.random.default_rng(0).random((512, 1024)) < 0.5
    layer = Matmul(name="a", m=1, n=512, k=1024, mask=Bitmap.pack(kept))
    Workload(model="m", layers=(layer,)).save(tmp_path / "w.npz")
    assert (tmp_path / "w.npz").stat().st_size < 512 * 1024 // 8 + 2000
    loaded = Workload.load(tmp_path / "w.npz").layers[0]
    assert isinstance(loaded, Matmul)
    assert loaded.mask is not None
    assert loaded.mask.bits.nbytes == 512 * 1024 // 8
    np.testing.assert_array_equal(loaded.mask.unpack(), kept)


def test_decisions_are_read_only(tmp_path: Path) -> None:
    example().save(tmp_path / "w.npz")
    for workload in (example(), Workload.load(tmp_path / "w.npz")):
        attention = workload.layers[1]
        assert isinstance(attention, Attention)
        assert attention.values is not None
        with pytest.raises(ValueError, match="read-only"):
            attention.values[0, 0, 0] = 1


def test_numpy_opens_the_file_without_pickle(tmp_path: Path) -> None:
    workload = example()
    workload.save(tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz", allow_pickle=False) as opened:
        np.testing.assert_array_equal(opened["layers.1.tokens"], [[0, 2, 5]])
        assert opened["layers.0.mask"].dtype == np.uint8


def test_dense_restores_what_pruning_removed() -> None:
    workload = example()
    linear, attention, scan, update = workload.dense().layers
    assert linear == Matmul(name="layer.0.linear", m=6, n=5, k=8, geometry={"kernel": "1x1", "groups": 1})
    sizes = {"heads": 4, "kv_heads": 4, "queries": 6, "keys": 6, "dim": 4, "value_dim": 4}
    assert attention == Attention(name="layer.1.attention", **sizes)
    assert scan == workload.layers[2]
    assert update == replace(workload.layers[3], forward="dense")
    assert workload.dense().is_dense
    assert not workload.is_dense
    assert workload.dense().dense() == workload.dense()


@in_one_folder
@given(workload=workloads)
def test_dense_is_dense_and_does_no_less(workload: Workload) -> None:
    dense = workload.dense()
    assert dense.is_dense
    assert dense.macs >= workload.macs
    assert [layer.name for layer in dense.layers] == [layer.name for layer in workload.layers]


def test_q_k_and_scores_stay_where_nothing_was_decided() -> None:
    rng = np.random.default_rng(0)
    seen = {
        "scores": rng.integers(0, 4097, (1, 2, 3, 5)).astype(np.uint16),
        "query_vectors": rng.integers(-(2**15), 2**15, (1, 2, 3, 4)).astype(np.int16),
        "key_vectors": rng.integers(-(2**15), 2**15, (1, 1, 5, 4)).astype(np.int16),
    }
    sizes = {"heads": 2, "kv_heads": 1, "queries": 3, "keys": 5, "dim": 4, "value_dim": 4}
    layer = Attention(name="a", **sizes, **seen)
    assert layer.is_dense
    assert layer.dense() == layer
    for decided in (
        {"bits": (8, 0)},
        {"values": np.full((1, 2, 3), 2, np.int32)},
        {"dense_keys": 6},
    ):
        dense = replace(layer, **decided).dense()
        assert dense.scores is dense.query_vectors is dense.key_vectors is None
    with pytest.raises(ValueError, match="query_vectors must come with key_vectors and scores"):
        replace(layer, key_vectors=None)
    with pytest.raises(
        ValueError, match=r"key_vectors must be int16 \(1, 1, 5, 4\), not int16 \(1, 2, 5, 4\)"
    ):
        replace(layer, key_vectors=np.zeros((1, 2, 5, 4), np.int16))


def test_a_mask_of_ones_and_an_equal_dense_size_are_dense() -> None:
    ones = Bitmap.pack(np.ones((3, 4), np.bool_))
    assert Matmul(name="a", m=2, n=3, k=4, mask=ones, dense_m=2, dense_count=1).is_dense
    assert not Matmul(name="a", m=2, n=3, k=4, dense_m=3).is_dense
    attention = Attention(name="a", heads=2, kv_heads=1, queries=3, keys=3, dim=4, value_dim=4, dense_heads=2)
    assert attention.is_dense
    assert not replace(attention, bits=(8, 0)).is_dense


def test_multiply_accumulates_are_counted_from_the_einsum() -> None:
    assert Matmul(name="a", m=2, n=3, k=5, count=7).macs == 2 * 3 * 5 * 7
    attention = Attention(name="a", heads=3, kv_heads=1, queries=5, keys=7, dim=2, value_dim=4, batch=2)
    counted = sum(2 + 4 for _ in np.ndindex(2, 3, 5, 7))
    assert attention.macs == counted
    assert replace(attention, values=np.full((2, 3, 5), 2, np.int32)).kept == 2 * 30
    grouped = Bitmap.pack(np.arange(24).reshape(2, 3, 4) < 6)
    assert Matmul(name="a", m=1, n=3, k=4, count=2, mask=grouped).kept == 6
    shared = Bitmap.pack(np.arange(12).reshape(3, 4) < 6)
    assert Matmul(name="a", m=1, n=3, k=4, count=2, mask=shared).kept == 12


def test_the_table_shows_shape_density_and_kept_tokens() -> None:
    lines = str(example()).splitlines()
    assert lines[0] == "tiny: 4 layers, 271 multiply-accumulates"
    cells = [" ".join(line.split()) for line in lines[1:]]
    assert cells[0] == "name op shape density tokens"
    assert cells[1] == "layer.0.linear convolution 3 x 5 x 8 0.500 3/6"
    assert cells[2] == "layer.1.attention attention 1 x 2/4 heads, 3 x 3 x 4 0.667 3/6"
    assert cells[3] == "scan state.space - - -"
    assert cells[4] == "layer.0.update update 5 x 8 2:4/dense -"
    assert lines[-1] == "3 tokens"
