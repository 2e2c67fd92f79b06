"""No command comes too early: a checker that shares no code looks at all, and finds what is planted."""

from collections import Counter
from dataclasses import replace

import pytest
from traffic import PLAIN, chunk, decode, mixed, run, scattered, sequential

from accelsim.dram.checker import ACT, RD, WR, violations
from accelsim.dram.presets import DDR4_2400, DEVICES, HBM2_2000
from accelsim.dram.timing import TIMINGS, Device

TWO_RANKS = replace(DDR4_2400, ranks=2)
ALL = [*DEVICES.values(), TWO_RANKS]

# What shortening by a clock cannot change, and why.
IMPLIED = {
    "DDR4": {"tRC": "tRAS + tRP", "tCCD_S": "BL"},
    "HBM2": {"tRC": "tRAS + tRP", "tCCD_S": "BL", "tRRD_L": "tRRD_S", "tFAW": "4 tRRD_S"},
}


@pytest.mark.parametrize("device", ALL, ids=lambda d: f"{d.device}x{d.ranks}")
def test_no_command_of_100_000_requests_breaks_a_rule(device: Device) -> None:
    count = 300 if PLAIN else 33_400
    parts = [sequential(count), scattered(device, count, 1), mixed(device, count, 2)]
    totals, log = run(device, *parts)
    assert totals.reads + totals.writes == 3 * count
    found = violations(device, log.tolist())
    assert not found, str(found[0])


@pytest.mark.parametrize("device", [TWO_RANKS, HBM2_2000], ids=lambda d: d.device)
def test_every_request_is_served_once_in_its_own_row(device: Device) -> None:
    requests = scattered(device, 300 if PLAIN else 5_000, 4)
    _, log = run(device, requests)
    rows: dict[tuple[int, int, int], int] = {}
    served: Counter[tuple[int, int, int, int, int]] = Counter()
    for _, channel, command, rank, bank, place in log.tolist():
        if command == ACT:
            rows[channel, rank, bank] = place
        elif command in (RD, WR):
            served[channel, rank, bank, rows[channel, rank, bank], place] += 1
    assert served == Counter(decode(device, line) for line in requests.lines.tolist())


MUTATIONS = [
    (device, name)
    for device in (TWO_RANKS, HBM2_2000)
    for name in (*TIMINGS, "tCS")
    if name != "tREFI" and not (name == "tCS" and device is HBM2_2000)
]


@pytest.mark.parametrize(("device", "name"), MUTATIONS, ids=lambda v: v if isinstance(v, str) else v.device)
def test_a_timing_that_is_a_clock_short_is_noticed_unless_others_imply_it(device: Device, name: str) -> None:
    short = replace(device, **{name: getattr(device, name) - 1})
    found = False
    for seed in range(1 if PLAIN else 3):
        for requests in (mixed(device, 3_000, seed), scattered(device, 3_000, seed, write_share=0.4)):
            _, log = run(short, requests)
            found = found or bool(violations(device, log.tolist()))
    assert found == (name not in IMPLIED[device.device[:4]])


def test_a_refresh_that_is_left_out_is_noticed() -> None:
    device = replace(DDR4_2400, tREFI=1500)
    _, log = run(replace(device, tREFI=3000), scattered(device, 6_000, 0))
    assert {violation.rule for violation in violations(device, log.tolist())} == {"tREFI"}


def test_commands_of_a_closed_row_and_two_in_a_clock_are_noticed() -> None:
    _, log = run(DDR4_2400, chunk(sequential(4).lines))
    rows = log.tolist()
    assert violations(DDR4_2400, rows) == []
    assert "column command to a closed bank" in {v.rule for v in violations(DDR4_2400, rows[1:])}
    assert "command bus" in {v.rule for v in violations(DDR4_2400, [rows[0], rows[0]])}
