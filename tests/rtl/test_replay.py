"""Units that are driven by what a traced workload decided: which rows, and that each unit agrees on them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth")

from accelsim import synthetic
from accelsim.cli import main
from accelsim.golden.metadata import from_cutlass
from accelsim.golden.two_four import decode
from accelsim.units.sore import Sore
from accelsim.workload import Attention, Workload
from accelsim_rtl.entries.stc_slices import pruned_images
from accelsim_rtl.entries.topk import rows_of
from accelsim_rtl.kit.replay import MOST_ROWS, MOST_TILES, UnfitError, group_tiles, score_rows, spread
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

PRUNED = synthetic.attention(keys=40, values=13, queries=7, heads=3, layers=3)
WEIGHTS = synthetic.gemm(8, 50, 64, pattern=(2, 4))


def drawn(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("unit", ["spatten.topk", "spatten.zero_eliminator", "spatten.score_accumulator"])
def test_a_unit_agrees_with_its_model_on_the_rows_of_a_workload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unit: str
) -> None:
    PRUNED.save(file := tmp_path / "attention.npz")
    arguments = ["verify", f"{unit}:tiny", "--simulator", "amaranth", "--set"]
    arguments += ["capacity=40" if unit != "spatten.zero_eliminator" else "lanes=2", "--workload", str(file)]
    assert main([*arguments, "--json", "-"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["mismatches"] == verdict["cycle_difference"] == 0
    assert verdict["replayed"] == "32 of 63 rows of 3 layers of attention 3x3x7x40"


def test_sore_finds_the_weights_that_the_workload_keeps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    WEIGHTS.save(file := tmp_path / "weights.npz")
    arguments = ["verify", "sat.sore:tiny", "--simulator", "amaranth", "--workload", str(file)]
    assert main([*arguments, "--json", "-"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["mismatches"] == verdict["cycle_difference"] == 0
    assert verdict["replayed"].startswith(f"{MOST_TILES} of {13 * 16} tiles of 4 groups of 1 layers of gemm")


def test_what_sore_keeps_is_the_mask() -> None:
    parameters, unit = Sore(n=2, m=4, lanes=3, value_bits=9), find("sat.sore")
    assert unit.replay is not None
    work = unit.replay(parameters, WEIGHTS, drawn())
    tiles, _ = group_tiles(WEIGHTS, drawn(), n=2, m=4, lanes=3)
    for tile, payload in zip(tiles, unit.expected(parameters, work.transactions)["kept"], strict=True):
        pairs = [payload >> 11 * place & (1 << 11) - 1 for place in range(2 * 3)]
        indices = [pair >> 9 for pair in pairs]
        for lane, kept in enumerate(tile):
            if kept.sum() == 2:
                assert indices[2 * lane : 2 * lane + 2] == list(np.flatnonzero(kept))


def test_rows_are_the_layers_own_spread_over_the_layers_and_drawn_from_the_seed() -> None:
    layers, _ = score_rows(PRUNED, drawn())
    assert sorted(map(len, layers)) == [10, 11, 11]
    for rows, layer in zip(layers, PRUNED.layers, strict=True):
        assert isinstance(layer, Attention)
        assert layer.scores is not None
        own = layer.scores.reshape(-1, layer.keys)
        for row in rows:
            assert (row.scores == own[row.number]).all()
            assert row.values == row.keep.sum() == 13
    others, _ = score_rows(PRUNED, drawn(1))
    assert [row.number for rows in others for row in rows] != [row.number for rows in layers for row in rows]


def test_the_engine_gets_the_rows_with_their_numbers_and_counts() -> None:
    unit = find("spatten.topk")
    parameters = replace(unit.presets["tiny"], capacity=40)
    assert unit.replay is not None
    work = unit.replay(parameters, PRUNED, drawn()).transactions
    rows = [row for layer in score_rows(PRUNED, drawn(), longest=40)[0] for row in layer]
    assert len(work) == MOST_ROWS
    for (scores, keep, number), row in zip(rows_of(parameters, work), rows, strict=True):
        assert (scores == np.minimum(row.scores, 4095)).all()
        assert (keep, number) == (row.values, row.number)


def test_where_scores_of_some_rows_were_kept_only_those_are_replayed() -> None:
    layer = PRUNED.layers[0]
    assert isinstance(layer, Attention)
    assert layer.scores is not None
    kept = np.array([1, 4], np.int32)
    sampled = replace(layer, scores=layer.scores[:, :, kept], score_rows=kept)
    (rows,), sentence = score_rows(Workload(model="sampled", layers=(sampled,)), drawn())
    assert sentence == "6 of 6 rows of 1 layers of sampled"
    own = layer.scores.reshape(-1, layer.keys)
    assert [row.number for row in rows] == [1, 4, 8, 11, 15, 18]
    assert all((row.scores == own[row.number]).all() for row in rows)


def test_rows_that_are_too_long_are_left_out_and_told() -> None:
    longer = synthetic.attention(keys=80, values=13, layers=2)
    both = Workload(model="both", layers=PRUNED.layers + longer.layers)
    _, sentence = score_rows(both, drawn(), longest=64)
    assert sentence == "32 of 63 rows of 3 layers of both (2 layers have rows longer than 64)"
    with pytest.raises(UnfitError, match="capacity must be 40 or more for rows of 'both', not 32"):
        score_rows(both, drawn(), longest=32)


@pytest.mark.parametrize(
    ("unit", "workload", "said"),
    [
        ("spatten.topk", WEIGHTS, "must have attention whose local values were pruned"),
        ("spatten.zero_eliminator", synthetic.attention(keys=8, values=8), "must have attention whose local"),
        ("sat.sore", WEIGHTS, "must have weights that keep 2 of every 8 along k"),
        ("sat.sore", PRUNED, "must have weights that keep 2 of every 8 along k"),
        ("kit.fifo", PRUNED, "no workload holds work for kit.fifo: verify it without --workload"),
    ],
)
def test_what_does_not_fit_is_one_line_and_exit_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unit: str, workload: Workload, said: str
) -> None:
    workload.save(file := tmp_path / "workload.npz")
    assert main(["verify", unit, "--simulator", "amaranth", "--workload", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_shares_are_even_and_never_more_than_there_is() -> None:
    assert spread([10, 10, 10], 32) == [10, 10, 10]
    assert spread([100, 2, 100], 32) == [15, 2, 15]
    assert spread([5, 5, 5], 2) == [1, 1, 0]
    assert spread([], 4) == []


@pytest.mark.parametrize("changes", [{}, {"a_type": "f16", "b_type": "f16"}], ids=["int8", "fp16"])
def test_the_tensor_cores_images_are_blocks_of_the_workloads_mask(changes: dict[str, str]) -> None:
    parameters = replace(find("stc").presets["tiny"], **changes)
    form, rows = parameters.form, 16 * parameters.metadata_tiles
    made, sentence = pruned_images(parameters, WEIGHTS, drawn())
    assert sentence.startswith(f"{len(made)} of ")
    mask = WEIGHTS.layers[0].mask.unpack()
    whole = np.pad(mask, ((0, -len(mask) % rows), (0, 0)))
    for each in made:
        raw = {
            name: b"".join(line.to_bytes(16, "little") for line in each.lines[name]) for name in each.lines
        }
        words = np.frombuffer(raw["codes"], f"<i{form.word_bits // 8}")
        codes = from_cutlass(words.reshape(rows, -1), form)
        values = np.frombuffer(raw["a"], f"u{form.element_bits // 8}").reshape(*codes.shape, form.kept)
        kept = decode(values, codes, form)[:, : mask.shape[1]] != 0
        assert kept.any()
        assert any((kept == whole[first : first + rows]).all() for first in range(0, len(whole), rows))


def test_a_dense_tensor_core_replays_no_pruned_weights() -> None:
    parameters = replace(find("stc").presets["tiny"], sparse=False)
    with pytest.raises(UnfitError, match="sparse must be true to replay pruned weights"):
        pruned_images(parameters, WEIGHTS, drawn())
