"""Where the time of the data pins goes: data, or lost to refresh, conflicts, activates or the bus; compiled.

A *bus* is the pins of a pseudo-channel, or those that the ranks of a channel share. Its clocks hold data, or
are lost between the clock in which data could have come at the earliest and that in which it came; the rest
is idle. `docs/dram.md`, Time of the pins, has the rule. `c` is a channel (`banks`).
"""

from __future__ import annotations

from accelsim.compiled import inlined
from accelsim.dram.banks import LOST_TO_BUS, LOST_TO_REFRESH, PINS_FREE, REFRESHED, SINCE, WAITING

# What a request is counted as; also the cause that it stands for, from LOST_TO_BUS on.
HIT, MISS, CONFLICT = range(3)


@inlined
def bus_of(m, unit):
    """The bus of a rank or pseudo-channel, within its channel."""
    return unit if m.shape.own_pins else 0


@inlined
def begin_wait(c, bus, clock):
    """A request begins to wait for the bus."""
    if c[WAITING + bus] == 0:
        c[SINCE + bus] = clock
    c[WAITING + bus] += 1


@inlined
def end_wait(m, c, bus, clock, latency, counted):
    """Its command is sent; its data is on the pins `latency` clocks later."""
    begin = max(c[PINS_FREE + bus], c[SINCE + bus] + latency)
    lost = clock + latency - begin
    if lost > 0:
        late = c[REFRESHED + bus] + latency > begin
        c[LOST_TO_REFRESH if late else LOST_TO_BUS + counted] += lost
    c[PINS_FREE + bus] = clock + latency + m.shape.burst_clocks
    c[WAITING + bus] -= 1
