"""A channel's description tells apart whatever could still matter, and nothing that only lies elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from traffic import scattered

from accelsim.dram import banks as b
from accelsim.dram.offering import offer
from accelsim.dram.presets import DDR4_2400, HBM2_2000
from accelsim.dram.snapshots import describe, restore
from accelsim.dram.turns import turns

# Far queues, so that requests wait; banks with and without open rows.
DEVICE = replace(DDR4_2400, ranks=2, mapping="RoBaRaCoCh")
BANK, UNIT, AHEAD = 3, 1, 1_000


@pytest.fixture(scope="module")
def busy() -> tuple[b.Banks, b.Integers, int]:
    """A memory in mid-traffic, its only channel's state, and its clock."""
    memory = b.banks(DEVICE)
    requests = scattered(DEVICE, 3_000, 7, write_share=0.4)
    offer(memory, requests.lines, requests.writes, requests.earliest, 0, 3_000, b.FAR)
    state = memory.memory[0]
    assert state[b.REFRESHING] < 0
    assert state[b.SIZE + b.READ] > 1
    return memory, state, int(memory.run[b.CLOCK])


def described(memory: b.Banks, state: b.Integers, clock: int, steps: int = 0) -> list[int]:
    room = np.zeros(8192, np.int64)
    way = turns(DEVICE)
    assert way is not None
    length = describe(memory, way, state.copy(), clock, steps, room)
    assert length
    found: list[int] = room[:length].tolist()
    return found


CLOCKS = {
    "column bus": b.COLUMN_BUS,
    "row bus": b.ROW_BUS,
    "next refresh": b.NEXT_REFRESH,
    "read of a bank": b.DUE_READ + BANK,
    "write of a bank": b.DUE_WRITE + BANK,
    "activate of a bank": b.DUE_ACTIVATE + BANK,
    "precharge of a bank": b.DUE_PRECHARGE + BANK,
    "closing of a bank": b.CLOSING + BANK,
    "idle bank": b.IDLE_FROM + BANK,
    "an activate of a rank": b.RECENT + 4 * UNIT + 2,
    "refresh of a rank": b.REFRESH_DUE + UNIT,
    "precharge of a rank": b.PRECHARGE_FREE + UNIT,
    "pins": b.PINS_FREE + UNIT,
}


@pytest.mark.parametrize("name", CLOCKS)
def test_a_clock_that_is_to_come_is_part_of_the_state(
    name: str, busy: tuple[b.Banks, b.Integers, int]
) -> None:
    memory, state, clock = busy
    one, other = state.copy(), state.copy()
    one[CLOCKS[name]], other[CLOCKS[name]] = clock + AHEAD, clock + AHEAD + 1
    assert described(memory, one, clock) != described(memory, other, clock)


PLACES = {
    "writes or reads": b.WRITING,
    "open row": b.OPEN_ROW + BANK,
    "open banks": b.OPEN_BANKS + UNIT,
    "waiting requests": b.WAITING + UNIT,
    "column of the active request": b.ACTIVE_COLUMN + BANK,
    "age of the active request": b.ACTIVE_ARRIVED + BANK,
    "count of the active request": b.ACTIVE_COUNTED + BANK,
    "kind of the active request": b.ACTIVE_WRITE + BANK,
}


@pytest.mark.parametrize("name", PLACES)
def test_what_a_bank_or_rank_is_at_is_part_of_the_state(
    name: str, busy: tuple[b.Banks, b.Integers, int]
) -> None:
    memory, state, clock = busy
    one, other = state.copy(), state.copy()
    for each in (one, other):
        each[b.OPEN_ROW + BANK], each[b.ACTIVE_WRITE + BANK] = 5, 0
    other[PLACES[name]] += 1
    assert described(memory, one, clock) != described(memory, other, clock)


@pytest.mark.parametrize("part", ["SLOT_ROW", "SLOT_COLUMN", "SLOT_ARRIVED", "SLOT_COUNTED"])
def test_a_waiting_request_is_part_of_the_state(part: str, busy: tuple[b.Banks, b.Integers, int]) -> None:
    memory, state, clock = busy
    firsts = state[b.FIRST : b.FIRST + memory.shape.banks]
    slot = int(firsts[firsts > 0][0])
    other = state.copy()
    other[slot + getattr(b, part)] += 1
    assert described(memory, state, clock) != described(memory, other, clock)


@pytest.mark.parametrize("device", [DEVICE, HBM2_2000], ids=lambda device: device.device)
@pytest.mark.parametrize(("clocks", "steps"), [(777, 0), (0, 3), (12_345, 8)])
def test_a_state_moved_in_time_and_address_is_the_same(device: object, clocks: int, steps: int) -> None:
    assert isinstance(device, type(DEVICE))
    memory, way = b.banks(device), turns(device)
    assert way is not None
    requests = scattered(device, 2_000, 5, write_share=0.3)
    offer(memory, requests.lines, requests.writes, requests.earliest, 0, 2_000, b.FAR)
    clock, room = int(memory.run[b.CLOCK]), np.zeros((2, 8192), np.int64)
    for channel in range(memory.shape.channels):
        kept = memory.memory[channel]
        before = describe(memory, way, kept, clock, 0, room[0])
        moved = kept.copy()
        restore(memory, way, kept, moved, clocks, steps)
        after = describe(memory, way, moved, clock + clocks, steps, room[1])
        assert before == after
        assert np.array_equal(room[0, :before], room[1, :after])
