"""How long the fetcher sends a request: through its ports, in the clocks of `accelsim.units.crossbar`.

The burst of number b of a request waits at port b mod `address_ports`. A channel takes a burst a clock, which
the engine's memory keeps by itself; here stands what ports add that ask for a channel another one has.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelsim.accelerators.spatten.parameters import Parameters
from accelsim.dram import Dram
from accelsim.dram.mapping import CHANNEL, HIGH, HIGH_MASK, MASK, PLACE, SHIFT, cut, mapping, spread_all
from accelsim.plan import Integers, Plan
from accelsim.units.crossbar import PRESETS, issue_cycles


def channels_of(device: Dram, addresses: Integers) -> Integers:
    """The channel of each address."""
    mapped = mapping(device)[CHANNEL]
    line = spread_all(cut(device), addresses // device.burst_bytes)
    low = line >> mapped[SHIFT] & mapped[MASK]
    return np.asarray(low | (line >> mapped[HIGH] & mapped[HIGH_MASK]) << mapped[PLACE], np.int64)


def hold_fetcher(machine: Parameters, plan: Plan) -> None:
    """A fetch whose ports are in each other's way holds the fetcher until its last address is sent."""
    fetching = [number for number, stage in enumerate(plan.layout.stages) if stage.unit == "fetcher"]
    runs = plan.runs[np.isin(plan.runs["stage"], fetching)]
    if not len(runs):
        return
    runs = runs[np.lexsort((runs["stage"], runs["job"]))]
    counts, bursts = runs["count"], int(runs["count"].sum())
    begins = np.cumsum(counts) - counts
    number = np.arange(bursts) - np.repeat(begins, counts)
    addresses = np.repeat(runs["address"], counts) + number * np.repeat(runs["stride"], counts)
    operation = runs["job"] * len(plan.layout.stages) + runs["stage"]
    first = np.flatnonzero(np.append(True, operation[1:] != operation[:-1]))
    bounds = np.append(begins[first], bursts)
    channels = channels_of(machine.dram, addresses)
    outputs = machine.dram.channels
    fetcher = replace(PRESETS["addresses"], inputs=machine.address_ports, outputs=outputs)
    sent = issue_cycles(fetcher, channels, bounds)
    request = np.repeat(np.arange(first.size), np.diff(bounds))
    busiest = np.bincount(request * outputs + channels, minlength=first.size * outputs)
    # An address is in its FIFO for a clock before it can be sent.
    held = np.where(sent - 1 > busiest.reshape(-1, outputs).max(axis=1), sent - 1, 0)
    plan.busy[runs["job"][first], runs["stage"][first]] = held
