# amaranth: UnusedElaboratable=no
"""The machine `spatten` beside its smallest preset: other shapes, lists of nothing, slices of a workload."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim import synthetic
from accelsim.cli import main
from accelsim.units.spatten import PRESETS, Model
from accelsim.units.topk import TopK
from accelsim.workload import Workload
from accelsim_rtl.bench.drive import Drive, replay, scenario, wrong_beats
from accelsim_rtl.entries.register_writes import beats, write
from accelsim_rtl.kit.ports import columns, ports
from accelsim_rtl.kit.scenarios import prepare
from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

MACHINE = find("spatten")
TINY = PRESETS["tiny"]
WIDE = replace(
    TINY,
    head=replace(TINY.head, multipliers=16, tree_outputs=4, topk=TopK(width=4)),
    lanes=4,
    beat_bits=64,
    burst_bits=5,
)
"""Lines of one, two or four vectors."""


@pytest.mark.parametrize(
    "parameters",
    [
        WIDE,
        replace(TINY, beat_bits=64),
        replace(TINY, channels=1, ports=1, heads=1, rows=1),
        replace(TINY, device="DDR4-2400"),
    ],
    ids=["wide", "groups", "single", "banks"],
)
def test_memory_holds_golden_attention_at_every_shape(parameters):
    prepared = prepare(MACHINE, parameters, ports(MACHINE.component(parameters)), seed=1)
    assert not prepared.complaints, prepared.complaints[:5]
    assert prepared.cycles


def test_the_hardware_is_its_model_where_lines_hold_several_vectors():
    (verdict,) = verify(MACHINE, WIDE, simulator="icarus", seeds=[2])
    assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])


def test_a_start_without_tokens_begins_nothing():
    registers = TINY.map
    words = [*write(registers, "layer", queries=1), *write(registers, "control", start=1)]
    run = scenario(
        "empty",
        sources=beats(words) | {"s_axil_ar": [registers.offsets["status"]]},
        expected={"s_axil_b": [0] * len(words), "s_axil_r": [0]},
        after={"s_axil_ar": [["s_axil_b", len(words)]]},
        patience=100,
    )
    names = [name for name in columns(ports(MACHINE.component(TINY))) if name.startswith("s_axil")]
    drive = Drive(run, names)
    idle = dict.fromkeys(columns(ports(MACHINE.component(TINY))), 0)

    class Alone:
        """The machine with a quiet bus of memory."""

        def __init__(self):
            self._model = Model(TINY)

        def step(self, inputs):
            quiet = {name.replace("_ready", "_valid"): 0 for name in idle} | {
                f"{name.rpartition('_')[0]}_{word}": 0
                for name in idle
                for word in ("ready", "payload", "valid")
            }
            return self._model.step(quiet | inputs)

        def reset(self):
            self._model.reset()

    replay(Alone(), drive)
    assert not wrong_beats(run["expected"], drive.taken)


def test_slices_of_a_workload_end_as_golden_says():
    layers = synthetic.attention(keys=40, values=13, queries=1, heads=3, layers=3)
    eighth = PRESETS["eighth"]
    work = MACHINE.replay(eighth, layers, np.random.default_rng(1))
    assert "6 rows of 3 of 3 layers" in work.sentence
    assert MACHINE.expected(eighth, work.transactions)["done"] == [0, 0, 0]


def test_verify_replays_a_workload(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = synthetic.attention(keys=8, values=3, queries=1, heads=1, layers=1, dim=4)
    layers.save(file := tmp_path / "attention.npz")
    assert isinstance(Workload.load(file), Workload)
    arguments = ["verify", "spatten:tiny", "--simulator", "amaranth", "--workload", str(file)]
    settings = ["--set", "widths=2,3,5,6", "--set", "head.operand_bits=6"]
    assert main([*arguments, *settings, "--json", "-"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["mismatches"] == verdict["cycle_difference"] == 0
    assert "1 rows of 1 of 1 layers" in verdict["replayed"]
