"""A memory that is asked clock by clock, as the engine asks it, does what it does for a trace."""

from dataclasses import replace

import numpy as np
import pytest
from traffic import Integers, mixed, run

from accelsim.compiled import kernel
from accelsim.dram.banks import LOGGED, Banks, banks
from accelsim.dram.presets import DDR4_2400, HBM2_2000
from accelsim.dram.seat import accept, advance, is_idle, next_return, take_return
from accelsim.dram.timing import Device

NEVER = 1 << 60


@kernel
def ask(
    m: Banks, lines: Integers, writes: Integers, earliest: Integers, taken: Integers, back: Integers
) -> None:
    """Every clock: what is back, then the offers. `taken` and `back` are the clocks of each request."""
    clock, accepted, left = 0, 0, lines.shape[0]
    while left > 0:
        clock += 1
        for channel in range(m.shape.channels):
            advance(m, channel, clock)
            while next_return(m, channel, NEVER) <= clock:
                back[take_return(m, channel)] = clock
                left -= 1
        for _ in range(1 if clock == 1 else m.shape.offers):
            if accepted == lines.shape[0] or earliest[accepted] > clock:
                break
            if not accept(m, lines[accepted], writes[accepted], accepted, clock):
                break
            taken[accepted] = clock
            accepted += 1
    for channel in range(m.shape.channels):
        if not is_idle(m, channel):
            back[0] = -1


@pytest.mark.slow  # a kernel of its own is compiled
@pytest.mark.parametrize("device", [replace(DDR4_2400, ranks=2), HBM2_2000], ids=lambda d: d.device)
def test_the_seat_gives_the_commands_of_the_trace_and_every_owner_back_once(device: Device) -> None:
    requests = mixed(device, 600, 8)
    totals, expected = run(device, requests)
    memory = banks(device, "RoBaRaCoCh", log_rows=100_000)
    taken, back = np.zeros(600, np.int64), np.zeros(600, np.int64)
    ask(memory, requests.lines, requests.writes, requests.earliest, taken, back)
    log = memory.log[: memory.run[LOGGED]]
    for channel in range(device.channels):
        ours, theirs = log[log[:, 1] == channel], expected[expected[:, 1] == channel]
        assert (ours[: len(theirs)] == theirs).all()
    assert totals.cycles == taken[-1]
    assert totals.drained == back.max()
    assert (back > taken).all()
    reads = requests.writes == 0
    assert totals.read_latency == pytest.approx((back - taken)[reads].mean())
