"""The fetcher beside its smallest preset, its addresses against the accelerator's model, and real fetches."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim import synthetic
from accelsim.accelerators.spatten.fetch import Region
from accelsim.cli import main
from accelsim.units.fetcher import PRESETS, Fetcher
from accelsim.units.vector_store import PRESETS as STORES
from accelsim_rtl.entries.fetcher import addresses_of, transaction
from accelsim_rtl.kit.ports import ports
from accelsim_rtl.kit.scenarios import prepare
from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl


def assert_passes(name: str, parameters, seeds: list[int], simulator: str = "icarus") -> None:
    for verdict in verify(find(name), parameters, simulator=simulator, seeds=seeds):
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])


def expanded(addresses, counts, burst_bytes: int) -> list[int]:
    return [
        address + burst * burst_bytes
        for address, count in zip(addresses.tolist(), counts.tolist(), strict=True)
        for burst in range(count)
    ]


def test_the_bursts_of_a_request_are_those_of_the_accelerators_model():
    generator, parameters = np.random.default_rng(5), Fetcher()
    for _ in range(300):
        region = Region(
            base=int(generator.integers(1000)) * 32,
            burst_bytes=32,
            vector_bits=int(generator.choice([4, 6, 8, 12])) * int(generator.choice([16, 32, 64, 80])),
            batch=3,
            heads=int(generator.integers(1, 6)),
            positions=int(generator.integers(1, 200)),
            may_fuse=bool(generator.integers(4)),
        )
        sequence, head = int(generator.integers(3)), int(generator.integers(region.heads))
        tokens = np.flatnonzero(generator.random(region.positions) < generator.random())
        tokens = tokens if tokens.size else np.array([0])
        pair = np.arange(head - head % region.fused, head - head % region.fused + region.fused)
        for heads in (np.array([head]), pair[pair < region.heads]):
            made = transaction(parameters, region, 0, sequence, tuple(map(int, heads)), tokens)
            model = expanded(*region.whole(sequence, heads, tokens), 32)
            assert addresses_of(parameters, made) == model
        made = transaction(parameters, region, 0, sequence, head, tokens)
        assert addresses_of(parameters, made) == expanded(*region.some(sequence, head, tokens), 32)


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": 1, "ports": 1},
        {"channels": 1, "ports": 4, "slots": 2},
        {"channels": 4, "ports": 1, "slots": 16},
        {"channels": 4, "ports": 8, "slots": 2, "fifo_depth": 3},
        {"channels": 2, "beat_bits": 128, "slots": 8, "address_bits": 18, "burst_bits": 4},
    ],
    ids=str,
)
def test_the_fetcher_is_its_model_at_every_shape(changes):
    assert_passes("spatten.fetcher", replace(PRESETS["tiny"], **changes), [3])


@pytest.mark.parametrize(
    "changes",
    [
        {"banks": 1, "lanes": 1, "operand_bits": 2, "lsb_bits": 1, "lines": 2},
        {"banks": 2, "lanes": 16, "operand_bits": 12, "lsb_bits": 4, "lines": 64},
        {"banks": 16, "lanes": 1, "lines": 2},
    ],
    ids=str,
)
def test_the_store_is_its_model_at_every_shape(changes):
    assert_passes("spatten.vector_store", replace(STORES["tiny"], **changes), [3])


@pytest.mark.parametrize("slots", [2, 8, 16, 64, 256])
@pytest.mark.parametrize(("preset", "seed"), [("tiny", 17), ("hbm2", 4), ("ddr4", 3)])
def test_the_engine_waits_for_slots_as_the_fetcher_does(preset: str, seed: int, slots: int):
    unit = find("spatten.fetch_stage")
    parameters = replace(unit.presets[preset], slots=slots)
    prepared = prepare(unit, parameters, ports(unit.instance(parameters)), seed)
    assert not prepared.complaints, prepared.complaints


@pytest.mark.parametrize("slots", [8, 64])
def test_rtl_of_the_fetch_stage_takes_as_long_as_the_engine_says(slots: int):
    few = {"position_bits": 6, "burst_bits": 2}
    parameters = replace(find("spatten.fetch_stage").presets["tiny"], slots=slots, **few)
    assert_passes("spatten.fetch_stage", parameters, [29])


def test_fetches_of_a_workload_take_as_long_as_the_engine_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = synthetic.attention(keys=40, values=13, queries=1, heads=3, layers=3)
    layer.save(file := tmp_path / "attention.npz")
    arguments = ["verify", "spatten.fetch_stage:tiny", "--simulator", "amaranth", "--workload", str(file)]
    assert main([*arguments, "--json", "-"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["mismatches"] == verdict["cycle_difference"] == 0
    assert "fetches" in verdict["replayed"]
