"""Outputs and inputs without a weight leave a product; what is left computes the same, and no N:M is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import archive
from accelsim.accelerators.products import find_pattern
from accelsim.accelerators.sparse_tensor_core import SparseTensorCore
from accelsim.accelerators.systolic import Systolic
from accelsim.golden.formats import Bitmap
from accelsim.layers import shrinking
from accelsim.layers.shrinking import shrunk
from accelsim.run import run
from accelsim.synthetic import draw_mask
from accelsim.workload import Matmul, Workload, WorkloadError

Kept = npt.NDArray[np.bool_]

PATTERNS = [(1, 2), (2, 4), (1, 4), (4, 8), (2, 8), (4, 16)]


def layer_of(kept: Kept, **values: Any) -> Matmul:
    *_, n, k = kept.shape
    given = {"name": "a", "m": 3, "n": n, "k": k, "mask": Bitmap.pack(kept), **values}
    return Matmul(**given)


def mask_of(layer: Matmul) -> Kept:
    return np.ones((layer.n, layer.k), np.bool_) if layer.mask is None else layer.mask.unpack()


@st.composite
def structured(draw: st.DrawFn) -> Kept:
    """(n, k) masks, dense, unstructured or N:M, of which some outputs and some inputs have no weight."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, groups = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    pattern = draw(st.sampled_from([None, *PATTERNS]))
    if pattern is None:
        kept = generator.random((n, 8 * groups)) < draw(st.sampled_from([0.3, 0.7, 1.0]))
    else:
        kept = draw_mask(n, 16 * groups, pattern, generator).unpack().copy()
    kept[generator.random(n) < draw(st.sampled_from([0, 0.4]))] = False
    unit = draw(st.sampled_from([1, 2, 4, 8]))
    gone = np.repeat(generator.random(kept.shape[1] // unit) < draw(st.sampled_from([0, 0.5])), unit)
    kept[:, : gone.size][:, gone] = False
    return kept


def stored(layer: Matmul) -> int:
    """Weights of an output that an array keeps; of a ragged k it may find a pattern that is worth nothing."""
    pattern = find_pattern(layer, 32)
    return min(layer.k, -(-layer.k // pattern.group) * pattern.kept)


@settings(max_examples=100, deadline=None)
@given(kept=structured(), seed=st.integers(0, 2**32))
def test_what_is_left_computes_the_outputs_that_are_left(kept: Kept, seed: int) -> None:
    layer = layer_of(kept)
    less = shrunk(layer)
    if not kept.any():
        assert less == layer
        return
    generator = np.random.default_rng(seed)
    weights = generator.integers(1, 100, kept.shape) * kept
    rows = generator.integers(-99, 100, (layer.m, layer.k))
    mask = mask_of(less)
    # The weights in their order; an input without a weight may be any, an output without one is zero.
    left = np.zeros((less.n, less.k), np.int64)
    left[mask] = weights[kept]
    seen = np.full((layer.m, less.k), 10**6)
    seen[:, mask.any(axis=0)] = rows[:, kept.any(axis=0)]
    np.testing.assert_array_equal(
        (seen @ left.T)[:, mask.any(axis=1)], (rows @ weights.T)[:, kept.any(axis=1)]
    )
    assert not (seen @ left.T)[:, ~mask.any(axis=1)].any()


@settings(max_examples=40, deadline=None)
@given(kept=structured())
def test_the_books_close_and_the_unpruned_layer_is_the_same(kept: Kept) -> None:
    layer = layer_of(kept)
    less = shrunk(layer)
    assert less.dense() == layer.dense()
    assert (less.kept, less.density) == (layer.kept, layer.density)
    assert less.is_dense == layer.is_dense
    assert less.zeros + less.kept == less.n * less.k
    assert shrunk(less) == less
    if kept.any() and less.mask is None:
        assert (less.n, less.k) == (kept.any(axis=1).sum(), kept.any(axis=0).sum())
    workload = Workload(model="m", layers=(less,))
    report = run(workload, Systolic(rows=4, cols=4))
    assert report.baseline is not None
    assert report.macs_dense == report.baseline.macs_done == layer.m * kept.size
    assert report.macs_done <= less.macs


@settings(max_examples=100, deadline=None)
@given(kept=structured())
def test_no_machine_stores_more_of_what_is_left(kept: Kept) -> None:
    layer = layer_of(kept, dtype="fp16")
    less = shrunk(layer)
    assert stored(less) <= stored(layer)
    core = SparseTensorCore()
    if core.is_sparse(layer)[0] and not core.is_sparse(less)[0]:
        assert 2 * less.k <= layer.k


def test_without_looking_at_patterns_one_would_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = draw_mask(8, 64, (2, 4), np.random.default_rng(0)).unpack().copy()
    kept[:, 8:16] = kept[:, 21] = kept[:, 43] = False
    layer = layer_of(kept)
    less = shrunk(layer)
    assert (less.k, less.dense_k) == (56, 64)
    assert str(find_pattern(less, 32)) == str(find_pattern(layer, 32)) == "2:4"
    np.testing.assert_array_equal(mask_of(less), np.delete(kept, np.s_[8:16], axis=1))
    monkeypatch.setattr(shrinking, "_patterns", lambda kept: {})
    assert shrunk(layer).k == int(kept.any(axis=0).sum()) < 56
    assert stored(shrunk(layer)) > stored(layer)


def test_rows_leave_beside_any_pattern_and_columns_where_the_rest_is_dense() -> None:
    generator = np.random.default_rng(0)
    kept = draw_mask(64, 128, (2, 4), generator).unpack().copy()
    kept[::2] = False
    less = shrunk(layer_of(kept))
    assert (less.n, less.dense_n, less.k, less.dense_k) == (32, 64, 128, 0)
    np.testing.assert_array_equal(mask_of(less), kept[1::2])
    whole = np.zeros((64, 128), np.bool_)
    whole[:, generator.permutation(128)[:37]] = True
    less = shrunk(layer_of(whole))
    assert (less.n, less.dense_n, less.k, less.dense_k, less.mask) == (64, 0, 37, 128, None)


def test_beside_other_zeros_a_few_are_chance_and_a_sixteenth_or_a_block_is_structure() -> None:
    kept = np.random.default_rng(0).random((64, 128)) < 0.5
    kept[:, :7] = kept[:3] = False
    layer = layer_of(kept)
    assert shrunk(layer) is layer
    kept[:, 77] = kept[9] = False
    less = shrunk(layer_of(kept))
    assert (less.n, less.dense_n, less.k, less.dense_k) == (60, 64, 120, 128)
    assert layer_of(mask_of(less)) == replace(less, dense_n=0, dense_k=0)
    wide = np.random.default_rng(0).random((8, 1024)) < 0.9
    wide[:, 64:96] = wide[:, 7] = False
    less = shrunk(layer_of(wide))
    np.testing.assert_array_equal(mask_of(less), np.delete(wide, np.s_[64:96], axis=1))


def test_a_weight_of_zeros_and_a_training_step_stay_as_they_are() -> None:
    nothing = layer_of(np.zeros((4, 8), np.bool_))
    assert shrunk(nothing) is nothing
    half = np.ones((4, 8), np.bool_)
    half[:2] = False
    step = layer_of(half, stage="ff")
    assert shrunk(step) is step
    assert shrunk(replace(step, stage="")).n == 2


def test_products_with_weights_of_their_own_lose_what_all_of_them_lack() -> None:
    kept = np.ones((3, 4, 64), np.bool_)
    kept[:, 1] = kept[:, :, 5:9] = kept[0, 2] = False
    less = shrunk(layer_of(kept, count=3))
    assert (less.n, less.k, less.kept) == (3, 60, kept.sum())
    assert less.mask is not None
    assert less.mask.shape == (3, 3, 60)


def convolution(groups: int) -> dict[str, int | str]:
    return {
        "kind": "convolution",
        "kernel": "3x1",
        "groups": groups,
        "input_channels": 4 * groups,
        "output_channels": 6 * groups,
    }


def test_of_a_convolution_whole_channels_leave() -> None:
    kept = np.ones((6, 3, 4), np.bool_)
    kept[2] = kept[:, :, 3] = kept[:, 0, 1] = False
    layer = layer_of(kept.reshape(6, 12), geometry=convolution(1))
    less = shrunk(layer)
    assert (less.n, less.k, less.group_span) == (5, 9, 3)
    assert (less.geometry["input_channels"], less.geometry["output_channels"]) == (3, 5)
    assert less.dense() == layer.dense()
    np.testing.assert_array_equal(mask_of(less), np.delete(kept, 2, axis=0)[..., :3].reshape(5, 9))
    grouped = layer_of(np.zeros((2, 6, 12), np.bool_) | kept.reshape(6, 12), count=2, geometry=convolution(2))
    assert shrunk(grouped) is grouped


def test_files_from_before_outputs_and_inputs_left_are_read(tmp_path: Path) -> None:
    layer = layer_of(np.eye(4, 8, dtype=np.bool_))
    workload = Workload(model="m", layers=(layer,))
    workload.save(tmp_path / "before.npz")
    header, arrays = archive.read(tmp_path / "before.npz", "workload", 3)
    assert not {"dense_n", "dense_k"} & header["layers"][0].keys()
    less = Workload(model="m", layers=(shrunk(layer),))
    less.save(tmp_path / "less.npz")
    assert Workload.load(tmp_path / "less.npz") == less != workload
    for value, said in ((-1, "dense_k must be"), ("8", "dense_k must be"), (3, "dense_k must be 0 or >= k")):
        header["layers"][0]["dense_k"] = value
        archive.write(tmp_path / "stranger.npz", header, arrays)
        with pytest.raises(WorkloadError, match=said) as refused:
            Workload.load(tmp_path / "stranger.npz")
        assert "\n" not in str(refused.value)
