"""SAT's training step: orderings that must hold, update counts, words that are read back, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from accelsim.accelerators.products import Pattern
from accelsim.accelerators.sat import PAPER, Sat, schedule
from accelsim.accelerators.sat.reduction import Copy
from accelsim.golden.formats import Bitmap, select_nm
from accelsim.report import Report
from accelsim.run import run
from accelsim.workload import Matmul, Update, Workload

pytestmark = pytest.mark.slow  # without compilation

ROWS, OUTPUTS, INPUTS = 6000, 128, 256
FAST = replace(PAPER, most_bursts=1 << 15)


def product(stage: str, m: int, n: int, k: int, pattern: str, *, weights: bool = True) -> Matmul:
    if pattern == "dense":
        return Matmul(name=f"layer.{stage}", m=m, n=n, k=k, stage=stage, weights=weights)
    kept, group = map(int, pattern.split(":"))
    mask = Bitmap.pack(select_nm(np.random.default_rng(0).random((n, k)), kept, group))
    return Matmul(name=f"layer.{stage}", m=m, n=n, k=k, stage=stage, mask=mask, geometry={"pattern": pattern})


def step(forward: str, backward: str, m: int = ROWS) -> Workload:
    """One linear layer's step."""
    return Workload(
        model="step",
        layers=(
            product("ff", m, OUTPUTS, INPUTS, forward),
            product("bp", m, INPUTS, OUTPUTS, backward),
            product("wu", INPUTS, OUTPUTS, m, "dense", weights=False),
            Update(name="layer.update", n=OUTPUTS, k=INPUTS, forward=forward, backward=backward, state=1),
        ),
        synthetic=True,
    )


METHODS = {
    "dense": ("dense", "dense"),
    "srste": ("2:8", "dense"),
    "sdgp": ("dense", "2:8"),
    "bdwp 2:4": ("2:4", "2:4"),
    "bdwp": ("2:8", "2:8"),
    "bdwp 2:16": ("2:16", "2:16"),
}


@cache
def cycles(method: str, machine: Sat = FAST, m: int = ROWS) -> int:
    return run(step(*METHODS[method], m), machine, baseline=False).cycles


def test_the_sparser_the_faster() -> None:
    order = [cycles(method) for method in ("dense", "bdwp 2:4", "bdwp", "bdwp 2:16")]
    assert order == sorted(order, reverse=True)
    assert len(set(order)) == 4


def test_pruning_both_directions_beats_pruning_one() -> None:
    assert cycles("bdwp") < min(cycles("srste"), cycles("sdgp"))
    assert max(cycles("srste"), cycles("sdgp")) < cycles("dense")


@pytest.mark.parametrize("method", ["dense", "bdwp"])
@pytest.mark.parametrize("m", [40, 1500, 6000])
def test_a_dataflow_for_each_stage_is_no_slower_than_one_for_all(method: str, m: int) -> None:
    machine = replace(FAST, dram=replace(FAST.dram, channels=4))
    fixed = [cycles(method, replace(machine, dataflow=flow), m) for flow in ("os", "ws")]
    # The scheduler expects cycles from peak bandwidth; rows and refresh are seen by the simulation alone.
    assert cycles(method, machine, m) <= 1.01 * min(fixed)


def test_copies_made_once_are_no_slower_than_copies_made_at_each_fetch() -> None:
    for turned in (True, False):
        once = replace(FAST, transpose_buffer=turned)
        again = replace(once, reduction="on-the-fly")
        assert cycles("bdwp", once, 200) < cycles("bdwp", again, 200)


def test_without_a_transposing_buffer_the_second_direction_is_slower() -> None:
    fly = replace(FAST, reduction="on-the-fly")
    assert cycles("bdwp", fly, 200) < cycles("bdwp", replace(fly, transpose_buffer=False), 200)


@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_enough_interleaved_sums_hide_the_adder(dataflow: str) -> None:
    machine = replace(FAST, dataflow=dataflow, adder_latency=8)
    compute = {
        sums: run(step("2:8", "2:8"), replace(machine, interleave=sums), baseline=False).compute_cycles
        for sums in (1, 4, 8, 16)
    }
    assert compute[1] > compute[4] > compute[8] == compute[16]


def test_the_bytes_and_clocks_of_an_update_are_those_of_the_sheet() -> None:
    update = Update(name="a.update", n=64, k=128, forward="2:8", backward="2:8", state=1)
    weights = 64 * 128
    facts = PAPER.plan(update).facts
    # Masters and momentum in and out, the gradient in, two compact copies of 38 bits for 8 weights out.
    assert facts["copy_bytes"] == 2 * weights * 38 // 64
    plan = PAPER.plan(update).plan
    assert plan.bursts(write=False) == 12 * weights // 64
    assert plan.bursts(write=True) == (8 * weights + 2 * weights * 38 // 64) // 64
    # A weight in a lane and clock for each direction, and the last group one clock after its last beat.
    assert facts["sore_clocks"] == 2 * (weights // 32 + 1)
    on_chip = replace(PAPER, gradients="on-chip").plan(update).plan
    assert on_chip.bursts(write=False) == 8 * weights // 64


def test_a_skipped_step_reads_gradients_and_writes_nothing() -> None:
    update = Update(name="a.update", n=64, k=128, forward="2:8", backward="2:8", state=1, skipped=True)
    plan = PAPER.plan(update).plan
    assert plan.bursts(write=True) == 0
    assert plan.bursts(write=False) == 4 * 64 * 128 // 64


def test_ragged_groups_are_stored_whole() -> None:
    copy = Copy(spans=3, span=10, kept=2, group=8)
    assert copy.groups == 6
    assert copy.stored_bytes == -(-6 * 38 // 8)
    assert copy.clocks(lanes=4, turned=False) == 2 * 8 + 1
    assert copy.clocks(lanes=4, turned=True) == 6 * 8 + 1


def test_an_optimiser_with_two_words_of_state_is_refused() -> None:
    update = Update(name="a.update", n=4, k=4, state=2)
    assert "one word of optimiser state" in PAPER.refuse(update)


def test_a_pass_moves_its_bytes() -> None:
    geometry = {
        "kind": "convolution", "kernel": "3x3", "batch": 4, "input_channels": 16, "output_channels": 32,
        "groups": 1, "input": "8x8", "output": "8x8", "stride": "1x1",
    }  # fmt: skip
    layer = Matmul(name="a.ff", m=256, n=32, k=144, geometry=geometry, stage="ff")
    plain = PAPER.plan(layer).plan
    relu = replace(PAPER, passes=("relu",)).plan(layer).plan
    outputs = 256 * 32
    assert relu.bursts(write=False) - plain.bursts(write=False) == 2 * outputs // 64
    assert relu.bursts(write=True) - plain.bursts(write=True) == -(-(2 * outputs + outputs // 8) // 64)
    columns = replace(PAPER, passes=("im2col",)).plan(layer).plan
    assert columns.bursts(write=True) - plain.bursts(write=True) == 2 * 256 * 144 // 64
    assert columns.bursts(write=False) > 5 * plain.bursts(write=False)


def test_smaller_buffers_move_more_bytes() -> None:
    small = replace(FAST, activation_buffer=1 << 17, weight_buffer=1 << 16, output_buffer=1 << 16)
    for layer in step("2:8", "2:8").layers[:3]:
        moved = [
            sum(one.plan(layer).plan.bursts(write=write) for write in (False, True)) for one in (FAST, small)
        ]
        work = small.plan(layer)
        times = {segment.times for segment in work.segments} or {1}
        assert moved[0] < moved[1] * max(times)


def words_of(report: Report, path: Path, machine: Sat = FAST) -> str:
    assert report.baseline is not None
    schedule.save(path, machine, [report, report.baseline])
    return str(path)


def test_a_saved_schedule_gives_the_same_cycles_and_the_same_file(tmp_path: Path) -> None:
    first = run(step("2:8", "2:8"), FAST)
    path = words_of(first, tmp_path / "words.json")
    pinned = replace(FAST, schedule=path)
    again = run(step("2:8", "2:8"), pinned)
    assert again.cycles == first.cycles
    assert again.baseline is not None
    assert first.baseline is not None
    assert again.baseline.cycles == first.baseline.cycles
    words_of(again, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "words.json").read_text()
    assert again.layers[0].facts["why"] == "pinned by the schedule"
    # A word that is changed changes the cycles: the file is not only read.
    content = json.loads((tmp_path / "words.json").read_text())
    other = "os" if first.layers[0].facts["dataflow"] == "ws" else "ws"
    content["layers"]["layer.ff"]["2:8"] = other
    (tmp_path / "other.json").write_text(json.dumps(content))
    changed = run(step("2:8", "2:8"), replace(FAST, schedule=str(tmp_path / "other.json")))
    assert changed.layers[0].cycles != first.layers[0].cycles


@pytest.mark.parametrize("flow", ["os", "ws"])
def test_a_user_can_pin_a_dataflow(tmp_path: Path, flow: str) -> None:
    path = tmp_path / "pins.json"
    content = {"kind": "sat schedule", "version": 1, "rows": 32, "cols": 32, "layers": {"layer.ff": flow}}
    path.write_text(json.dumps(content))
    report = run(step("2:8", "2:8"), replace(FAST, schedule=str(path)), baseline=False)
    assert report.layers[0].facts["dataflow"] == flow
    assert report.layers[1].facts["why"] != "pinned by the schedule"


GOOD = {"kind": "sat schedule", "version": 1, "rows": 32, "cols": 32, "layers": {}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be JSON"),
        ("[]", "must be an object of kind 'sat schedule', version 1"),
        (json.dumps({**GOOD, "version": 2}), "version 1"),
        (json.dumps({**GOOD, "rows": 16}), "must be for an array of 32 x 32, not 16 x 32"),
        (json.dumps({**GOOD, "more": 1}), "nothing else"),
        (json.dumps({**GOOD, "layers": {"a": 3}}), "layer 'a' must have os, ws or words"),
        (json.dumps({**GOOD, "layers": {"a": {"2:8": "is"}}}), "word must be os, ws or 64 bits"),
        (json.dumps({**GOOD, "layers": {"a": {"2:8": "0x602"}}}), "is one for 2:4, not for 2:8"),
        (json.dumps({**GOOD, "layers": {"a": {"x": "os"}}}), "pattern must be dense or N:M, not 'x'"),
        ("[" * 100000, "must be JSON"),
    ],
)
def test_a_malformed_schedule_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "words.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"^schedule .*words\.json: .*" + message) as error:
        replace(PAPER, schedule=str(path))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="must be a file that can be read"):
        replace(PAPER, schedule=str(tmp_path / "missing.json"))


def test_a_layer_that_the_model_lacks_is_refused_with_the_nearest_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text(json.dumps({**GOOD, "layers": {"layer.ff": "os", "layers.bp": "ws"}}))
    with pytest.raises(
        ValueError, match=r"layer 'layers\.bp' must be .* of the model; 'layer\.bp' is$"
    ) as error:
        run(step("2:8", "2:8"), replace(FAST, schedule=str(path)))
    assert "\n" not in str(error.value)
    path.write_text(json.dumps({**GOOD, "layers": {"layer.update": "os"}}))
    with pytest.raises(ValueError, match=r"layer 'layer\.update' must be a matrix product"):
        run(step("2:8", "2:8"), replace(FAST, schedule=str(path)))


def test_a_word_whose_block_does_not_fit_is_refused_with_the_layer(tmp_path: Path) -> None:
    word = schedule.Choice(flow="os", rows=32 * 1000, steps=64).word(Pattern(), 32)
    path = tmp_path / "words.json"
    path.write_text(json.dumps({**GOOD, "layers": {"layer.wu": {"dense": word}}}))
    with pytest.raises(ValueError, match=r"layer 'layer\.wu' \(3 of 4\) on sat: a dense panel of 32000 rows"):
        run(step("dense", "dense", m=64000), replace(FAST, schedule=str(path), output_buffer=1 << 16))
