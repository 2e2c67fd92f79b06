"""SpAtten's terms of traffic beside K and V: each adds its own bytes and no others."""

from dataclasses import replace

import numpy as np
import pytest

from accelsim.accelerators.base import memory_of
from accelsim.accelerators.spatten import PRESETS, SpAtten
from accelsim.machine import simulate
from accelsim.run import run
from accelsim.workload import Attention, Workload

FULL = PRESETS["full"]
TERMS = ("fetch_queries", "write_newest", "store_scores", "write_back")


def attention(*, bits: tuple[int, int] | None = (8, 4), queries: int = 1, batch: int = 2) -> Attention:
    """Four heads on two KV heads, 50 of 60 tokens left; every row of the first head re-fetches."""
    rows = (batch, 4, queries)
    again = np.zeros(rows, np.bool_)
    again[:, 0] = bool(bits and bits[1])
    return Attention(
        name="attention",
        batch=batch,
        heads=4,
        kv_heads=2,
        queries=queries,
        keys=50,
        dense_keys=60,
        dim=64,
        value_dim=64,
        bits=bits,
        refetch=again,
        tokens=np.tile(np.arange(10, 60, dtype=np.int32), (batch, 1)),
        token_scores=np.arange(50 * batch, dtype=np.uint32).reshape(batch, 50),
        token_keep=40,
    )


def moved(machine: SpAtten, layer: Attention) -> tuple[int, int]:
    """Bytes read and written, with the books closed."""
    plan = machine.plan(layer).plan
    plan.check()
    timeline = simulate(plan, memory_of(machine))
    asked = plan.bursts(write=False), plan.bursts(write=True)
    assert asked == (timeline.traffic.read_bursts, timeline.traffic.write_bursts)
    return 32 * asked[0], 32 * asked[1]


@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize(
    ("bits", "msb", "lsb", "value"), [((8, 4), 64, 32, 64), ((6, 4), 64, 32, 48), (None, 96, 0, 96)]
)
def test_each_term_adds_its_own_bytes(
    bits: tuple[int, int] | None, msb: int, lsb: int, value: int, queries: int
) -> None:
    layer = attention(bits=bits, queries=queries)
    rows, again = 2 * 4 * queries, 2 * queries if lsb else 0
    key = 48 if bits == (6, 4) else msb
    packed = 32 * -(-50 * 4 // 32)
    expected = {
        "fetch_queries": (rows * msb + again * lsb, 0),
        "write_newest": (0, 2 * 2 * (key + lsb + value) if queries == 1 else 0),
        "store_scores": (2 * packed, 2 * packed),
        "write_back": (0, rows * 96),
    }
    without = np.array(moved(FULL, layer))
    assert without[1] == 0
    together = np.array(moved(replace(FULL, **dict.fromkeys(TERMS, True)), layer))
    added = {name: moved(replace(FULL, **{name: True}), layer) - without for name in TERMS}
    assert {name: tuple(added[name].tolist()) for name in TERMS} == expected
    assert (together - without == sum(added.values())).all()


@pytest.mark.parametrize("name", TERMS)
def test_a_report_says_of_each_term_whether_it_is_on(name: str) -> None:
    on = replace(FULL, **{name: True}).assumptions()
    assert any(f"({name})" in line for line in on)
    off = set(FULL.assumptions()) - set(on)
    assert len(off) == 1
    assert f"{name} is off" in off.pop()


@pytest.mark.parametrize(("preset", "cycles"), [("full", 128), ("eighth", 1024)])
def test_the_stores_are_cleared_once_in_a_run_as_in_the_artefact(preset: str, cycles: int) -> None:
    machine = PRESETS[preset]
    work = Workload(model="two layers", layers=(attention(), attention(bits=None)))
    plain, cleared = (run(work, replace(machine, clear_stores=on)) for on in (False, True))
    assert cleared.cycles - plain.cycles == cleared.start_cycles == cycles
    assert cleared.compute_cycles - plain.compute_cycles == cycles
    assert plain.baseline is not None
    assert cleared.baseline is not None
    assert cleared.baseline.cycles - plain.baseline.cycles == cycles
    assert cleared.dram_bytes == plain.dram_bytes
    assert cleared.to_dict()["start_cycles"] == cycles
    assert "start_cycles" not in plain.to_dict()


def test_the_newest_token_is_written_where_it_lies() -> None:
    layer = attention(batch=1)
    machine = replace(FULL, write_newest=True)
    plan = machine.plan(layer).plan
    write = plan.layout.stage("write")
    runs = plan.runs[plan.runs["stage"] == write]
    # K of two heads, 64 bytes a token, behind it the LSBs and V.
    keys, lsb = 2 * 60 * 64, 2 * 60 * 32
    first = [59 * 64, keys + 59 * 32, keys + lsb + 59 * 64]
    assert sorted(runs["address"].tolist()) == sorted(
        first + [a + 60 * s for a, s in zip(first, (64, 32, 64), strict=True)]
    )
