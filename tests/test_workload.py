"""A workload survives saving and loading, whatever is in it; nothing else comes out of a file."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim import archive
from accelsim.golden.formats import Bitmap
from accelsim.workload import Attention, Matmul, Unknown, Update, Workload, WorkloadError

sizes = st.integers(1, 5)
text = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)


@st.composite
def matmuls(draw: st.DrawFn) -> Matmul:
    m, n, k, count = draw(sizes), draw(sizes), draw(sizes), draw(sizes)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = draw(st.booleans())
    shape = draw(st.sampled_from([(n, k), (count, n, k)]))
    masked = weights and draw(st.booleans())
    return Matmul(
        name=draw(text),
        m=m,
        n=n,
        k=k,
        count=count,
        weights=weights,
        mask=Bitmap.pack(generator.random(shape) < 0.5) if masked else None,
        geometry=draw(st.dictionaries(text, st.integers() | text, max_size=3)),
        dense_m=draw(st.sampled_from([0, m, m + 3])),
        dense_count=draw(st.sampled_from([0, count, count + 1])),
        stage=draw(st.sampled_from(["", "ff", "bp", "wu"])),
    )


@st.composite
def attentions(draw: st.DrawFn) -> Attention:
    batch, heads, queries, keys = draw(sizes), draw(sizes), draw(sizes), draw(sizes)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    lsb = draw(st.sampled_from([0, 4]))
    rows = (batch, heads, queries)
    decisions: dict[str, Any] = {
        "values": generator.integers(0, keys + 1, rows).astype(np.int32),
        "refetch": (generator.random(rows) < 0.5) & (lsb > 0),
        "scores": generator.integers(0, 4097, (*rows, keys)).astype(np.uint16),
        "tokens": np.tile(np.arange(keys, dtype=np.int32) * 2, (batch, 1)),
        "token_scores": generator.integers(0, 2**32, (batch, keys)).astype(np.uint32),
        "head_ids": np.arange(heads, dtype=np.int32) + 1,
        "head_scores": generator.integers(0, 2**32, heads).astype(np.uint32),
    }
    kept = {name: array for name, array in decisions.items() if draw(st.booleans())}
    return Attention(
        name=draw(text),
        heads=heads,
        kv_heads=draw(st.integers(1, heads)),
        queries=queries,
        keys=keys,
        dim=draw(sizes),
        value_dim=draw(sizes),
        batch=batch,
        causal=draw(st.booleans()),
        bits=(6, lsb) if lsb else draw(st.sampled_from([None, (8, 0)])),
        token_keep=draw(st.integers(0, keys)) if "token_scores" in kept else 0,
        head_keep=draw(st.integers(0, heads)) if "head_scores" in kept else 0,
        dense_queries=draw(st.sampled_from([0, queries + 1])),
        dense_keys=2 * keys,
        dense_heads=heads + 1,
        **kept,
    )


patterns = st.sampled_from(["dense", "2:4", "2:8", "4:4"])
updates = st.builds(
    Update,
    name=text,
    n=sizes,
    k=sizes,
    count=sizes,
    forward=patterns,
    backward=patterns,
    state=st.integers(0, 2),
    weight_decay=st.booleans(),
    decay=st.booleans(),
    loss_scale=st.sampled_from([1, 2**16]),
    skipped=st.booleans(),
    geometry=st.dictionaries(text, st.integers() | text, max_size=3),
)
unknowns = st.builds(Unknown, name=text, op=text, macs=st.integers(0, 2**63 - 1), reason=st.just("") | text)
workloads = st.builds(
    Workload,
    model=text,
    layers=st.lists(matmuls() | attentions() | unknowns | updates, max_size=4).map(tuple),
    synthetic=st.booleans(),
    notes=st.lists(text, max_size=2).map(tuple),
)
in_one_folder = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def example() -> Workload:
    generator = np.random.default_rng(5)
    attention = Attention(
        name="layer.1.attention",
        heads=2,
        kv_heads=2,
        queries=3,
        keys=3,
        dim=4,
        value_dim=4,
        bits=(6, 4),
        values=np.full((1, 2, 3), 2, np.int32),
        refetch=np.eye(2, 3, dtype=np.bool_)[None],
        scores=generator.integers(0, 4097, (1, 2, 3, 3)).astype(np.uint16),
        tokens=np.array([[0, 2, 5]], np.int32),
        token_scores=np.array([[9, 7, 8]], np.uint32),
        token_keep=2,
        head_ids=np.array([0, 3], np.int32),
        head_scores=np.array([4, 6], np.uint32),
        head_keep=1,
        dense_queries=6,
        dense_keys=6,
        dense_heads=4,
    )
    mask = Bitmap.pack(np.arange(40).reshape(5, 8) % 4 < 2)
    geometry = {"kernel": "1x1", "groups": 1}
    return Workload(
        model="tiny",
        layers=(
            Matmul(name="layer.0.linear", m=3, n=5, k=8, mask=mask, geometry=geometry, dense_m=6),
            attention,
            Unknown(name="scan", op="state.space", macs=7, reason="not understood"),
            Update(
                name="layer.0.update", n=5, k=8, forward="2:4", state=1, loss_scale=1024, geometry=geometry
            ),
        ),
        notes=("3 tokens",),
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


MATMUL: dict[str, Any] = {"name": "a", "m": 2, "n": 3, "k": 4}
ATTENTION: dict[str, Any] = {
    "name": "a", "heads": 2, "kv_heads": 2, "queries": 3, "keys": 5, "dim": 4, "value_dim": 4
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"m": 0}, "matmul 'a': m must be a whole number from 1 to 2147483647, not 0"),
        ({"n": -3}, "n must be .* not -3"),
        ({"k": 2**31}, "k must be"),
        ({"k": 4.0}, "k must be .* not 4.0"),
        ({"m": True}, "m must be .* not True"),
        ({"m": 2**31 - 1, "n": 2**31 - 1, "k": 4}, "multiply-accumulates must be <="),
        ({"dense_m": 1}, r"dense_m must be 0 or >= m \(2\), not 1"),
        ({"name": ""}, "name must be one printable line"),
        ({"name": "a\x1b[2J"}, "name must be one printable line"),
        ({"weights": 1}, "weights must be True or False, not 1"),
        ({"geometry": {"kernel": 1.5}}, "geometry must map"),
        ({"geometry": 3}, "geometry must be a mapping"),
        ({"mask": np.ones((3, 4), np.bool_)}, "mask must be a Bitmap"),
        ({"mask": Bitmap.pack(np.ones((4, 3), np.bool_))}, r"mask must have shape \(3, 4\) or"),
        ({"mask": Bitmap.pack(np.ones((3, 4), np.bool_)), "weights": False}, "a mask must be on weights"),
        ({"mask": Bitmap((3, 4), np.full(2, 255, np.uint8))}, "bits after the last weight"),
        ({"stage": "up"}, "stage must be one of ff, bp, wu or empty, not 'up'"),
    ],
)
def test_a_matmul_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Matmul(**{**MATMUL, **values})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n": 0}, "update 'a': n must be a whole number"),
        ({"forward": "4:2"}, "forward must be dense or N:M with N <= M, not '4:2'"),
        ({"backward": "0:8"}, "backward must be dense or N:M"),
        ({"backward": "all"}, "backward must be dense or N:M"),
        ({"skipped": 1}, "skipped must be True or False"),
        ({"loss_scale": 0}, "loss_scale must be a whole number from 1"),
        ({"geometry": 3}, "geometry must be a mapping"),
        ({"n": 2**31 - 1, "k": 2**31 - 1, "count": 4}, "weights must be <="),
    ],
)
def test_an_update_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Update(**{"name": "a", "n": 3, "k": 4, **values})
    assert "\n" not in str(caught.value)


def test_groups_of_a_stage_lie_along_the_channels_that_it_sums() -> None:
    geometry = {"input_channels": 6, "output_channels": 10, "groups": 2, "kernel": "3x3"}
    forward = Matmul(name="c.ff", m=7, n=5, k=27, count=2, geometry=geometry, stage="ff")
    backward = Matmul(name="c.bp", m=7, n=27, k=5, count=2, geometry=geometry, stage="bp")
    assert (forward.layer, forward.group_span) == ("c", 3)
    assert (backward.layer, backward.group_span) == ("c", 5)
    update = Update(name="c.update", n=5, k=27, count=2, geometry=geometry, state=1)
    assert (update.layer, update.group_span, update.backward_span) == ("c", 3, 5)
    assert update.read_bytes == update.write_bytes == 8 * 2 * 5 * 27
    assert replace(update, skipped=True).write_bytes == 0
    # An output gradient that is pruned stands where a weight does.
    pruned = Bitmap.pack(np.ones((7, 5), np.bool_))
    assert Matmul(name="c.bp", m=27, n=7, k=5, weights=False, mask=pruned, stage="bp").mask is pruned


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"keys": 0}, "attention 'a': keys must be"),
        ({"kv_heads": 3}, "kv_heads must be <= heads"),
        ({"bits": (0, 4)}, "bits must be MSB >= 1"),
        ({"bits": (30, 4)}, "together <= 32"),
        ({"bits": [6, 4]}, "bits must be two whole numbers"),
        ({"bits": (6,)}, "bits must be two whole numbers"),
        (
            {"values": np.ones((1, 2, 3), np.int64)},
            r"values must be int32 \(1, 2, 3\), not int64 \(1, 2, 3\)",
        ),
        ({"values": np.ones((2, 3), np.int32)}, r"not int32 \(2, 3\)"),
        ({"values": [1, 2]}, "values must be int32"),
        ({"values": np.full((1, 2, 3), 6, np.int32)}, "values must be <= 5, not 6"),
        ({"values": np.full((1, 2, 3), -1, np.int32)}, "values must be >= 0, not -1"),
        ({"refetch": np.ones((1, 2, 3), np.bool_)}, "refetch must be all False without LSBs"),
        ({"refetch": np.ones((1, 2, 3), np.bool_), "bits": (8, 0)}, "refetch must be all False without LSBs"),
        ({"scores": np.full((1, 2, 3, 5), 4097, np.uint16)}, "scores must be <= 4096, not 4097"),
        ({"tokens": np.array([[0, 1, 2, 3, 5]], np.int32)}, r"token positions .* dense_keys \(5\)"),
        ({"tokens": np.array([[0, 1, 1, 3, 4]], np.int32)}, "token positions must rise"),
        ({"head_ids": np.array([1, 0], np.int32)}, "head positions must rise"),
        ({"token_keep": 6}, r"token_keep must be <= keys \(5\), not 6"),
        ({"token_keep": 2}, "token_keep must be 0 without token_scores"),
        ({"head_keep": 3}, "head_keep must be <= heads"),
        ({"dense_keys": 4}, "dense_keys must be 0 or >= keys"),
    ],
)
def test_an_attention_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Attention(**{**ATTENTION, **values})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layers": (3,)}, "layer 0 must be a layer, not 3"),
        ({"notes": ("a\nb",)}, "a note must be one printable line"),
        ({"model": ""}, "workload: model must be"),
    ],
)
def test_a_workload_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Workload(**{"model": "m", "layers": (), **values})


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
