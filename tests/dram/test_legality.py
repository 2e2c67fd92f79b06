"""No command comes too early: a checker that shares no code looks at all, and finds what is planted."""

from collections import Counter
from dataclasses import replace

import pytest
from traffic import PLAIN, chunk, decode, mixed, run, scattered, sequential

from accelsim.dram.checker import ACT, RD, WR, violations
from accelsim.dram.presets import DDR4_2400, DEVICES, HBM2_2000
from accelsim.dram.timing import OPTIONAL_TIMINGS, TIMINGS, Device
from accelsim.dram.trace import Chunk

TWO_RANKS = replace(DDR4_2400, ranks=2)
ALL = [*DEVICES.values(), TWO_RANKS, replace(DEVICES["LPDDR4-4266"], ranks=2)]
PER_BANK = [replace(device, refresh="per-bank") for device in DEVICES.values() if device.tRFCpb]
CHOSEN = [
    replace(TWO_RANKS, page="closed"),
    replace(TWO_RANKS, page="timeout", mapping="MOP4CLXOR"),
    replace(HBM2_2000, page="closed", refresh="per-bank", mapping="RoCoRaBaCh"),
    replace(DEVICES["LPDDR4-4266"], page="closed", refresh="per-bank", queue=64, ranks=2),
]
MANY = pytest.mark.slow if PLAIN else pytest.mark.filterwarnings("error")


def name(device: Device) -> str:
    return f"{device.device}x{device.ranks} {device.refresh} {device.page}"


def lively(device: Device) -> Device:
    """The device refreshed as often as may be, so that few requests meet every rule of refresh."""
    if device.refresh == "per-bank":
        apart = max(device.tPBR2PBR, device.tRREFD, device.tRRD_S, device.tFAW) + 200
        interval = max(apart * device.banks_per_channel, 2 * device.tRFC)
    else:
        interval = 3 * device.tRFC + 400
    return replace(device, tREFI=interval)


def implied(device: Device) -> dict[str, str]:
    """Timings that can be a clock shorter without any command coming earlier, and what keeps it."""
    d, found = device, {}
    if d.tRC <= d.tRAS + d.tRP:
        found["tRC"] = "tRAS + tRP"
    if d.tCCD_S <= d.BL:
        found["tCCD_S"] = "BL"
    if d.tCCD_L <= max(d.tCCD_S, d.BL):
        found["tCCD_L"] = "tCCD_S or BL"
    if d.tRRD_L <= d.tRRD_S:
        found["tRRD_L"] = "tRRD_S"
    if d.tWTR_L <= d.tWTR_S:
        found["tWTR_L"] = "tWTR_S"
    if d.bank_groups == 1:  # every bank is in the group of every other
        found |= {"tRRD_S": "tRRD_L", "tWTR_S": "tWTR_L", "tCCD_S": "tCCD_L"}
    if d.tFAW <= 4 * d.tRRD_S:
        found["tFAW"] = "4 tRRD_S"
    if d.tPPD <= d.precharge_clocks:
        found["tPPD"] = "the command bus"
    if d.tRPab <= d.tRP or d.refresh == "per-bank":
        found["tRPab"] = "tRP, or no precharge of all banks"
    if d.refresh == "all-bank":
        found |= dict.fromkeys(("tRFCpb", "tRREFD", "tPBR2PBR"), "no refresh of a bank")
    else:
        found["tRFC"] = "no refresh of all banks"
        if d.tRREFD <= d.tRRD_S:
            found["tRREFD"] = "tRRD_S"
        if d.tPBR2PBR <= max(d.tRREFD, d.tRRD_S):
            found["tPBR2PBR"] = "tRREFD"
    if d.units == 1 or d.pseudo_channels > 1:
        found["tCS"] = "no second rank behind the pins"
    return found


@MANY
@pytest.mark.parametrize("device", [*ALL, *PER_BANK, *CHOSEN], ids=name)
def test_no_command_of_100_000_requests_breaks_a_rule(device: Device) -> None:
    count = 300 if PLAIN else 33_400 if device.refresh == "all-bank" else 10_000
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


@MANY
@pytest.mark.parametrize("device", [*DEVICES.values(), TWO_RANKS, *PER_BANK], ids=name)
def test_each_timing_that_is_a_clock_short_is_noticed_unless_others_imply_it(device: Device) -> None:
    device, missed = replace(lively(device), channels=1), set()
    for timing in (*TIMINGS, *OPTIONAL_TIMINGS):
        if timing == "tREFI" or getattr(device, timing) == 0:
            continue
        short = replace(device, **{timing: getattr(device, timing) - 1})
        seeds = range(1) if timing in implied(device) else range(6)
        traffic = (requests for seed in seeds for requests in both(device, seed))
        if not any(violations(device, run(short, requests)[1].tolist()) for requests in traffic):
            missed.add(timing)
    assert missed == {timing for timing in implied(device) if getattr(device, timing) > 0}


def both(device: Device, seed: int) -> list[Chunk]:
    return [mixed(device, 3_000, seed), scattered(device, 3_000, seed, write_share=0.4)]


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
