"""The compiled controller: against a reference that goes clock by clock, and against published figures."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from traffic import GIBIBYTE, PLAIN, chunk, mixed, run, scattered, sequential

from accelsim.dram.banks import ACTIVATE, READ_COMMAND, WRITE_COMMAND
from accelsim.dram.presets import DDR4_2400, DEVICES, HBM2_2000
from accelsim.dram.simulation import simulate
from accelsim.dram.timing import Device
from accelsim.dram.trace import Chunk

TWO_RANKS = replace(DDR4_2400, ranks=2)
# Short refresh intervals and shallow queues, so that every rule is met within few requests.
SMALL_DDR4 = replace(TWO_RANKS, device="small DDR4", tREFI=900, tRFC=120, queue=8)
SMALL_HBM2 = replace(HBM2_2000, device="small HBM2", channels=2, tREFI=700, tRFC=90, queue=8)
# Uncompiled, many requests take minutes.
MANY = pytest.mark.slow if PLAIN else pytest.mark.filterwarnings("error")
DEEP_HBM2 = replace(HBM2_2000, device="HBM2 of 2 channels", channels=2)
# The next round of refresh is due as soon as one can be over, and many open banks make rounds late.
PRESSED = replace(DDR4_2400, device="pressed DDR4", tRRD_S=1, tRRD_L=1, tFAW=4, tRFC=120, tREFI=213, queue=16)
SHORT = {"HBM3-6400": 1500, "LPDDR4-4266": 3400, "GDDR6-14000": 800}
OTHERS = [replace(DEVICES[name], channels=1, tREFI=interval, queue=16) for name, interval in SHORT.items()]
POLICIES = [
    replace(device, device=f"{device.device}, {refresh}, {page}", channels=1, **choice)
    for device in (DEEP_HBM2, *OTHERS)
    for refresh, page in (("all-bank", "closed"), ("per-bank", "open"), ("per-bank", "timeout"))
    for choice in [{"refresh": refresh, "page": page, "row_timeout": 60}]
]


@pytest.mark.parametrize(
    "device",
    [
        DDR4_2400,
        SMALL_DDR4,
        SMALL_HBM2,
        DEEP_HBM2,
        PRESSED,
        *OTHERS,
        *POLICIES,
        replace(TWO_RANKS, device="DDR4, closed", page="closed"),
    ],
    ids=lambda d: d.device,
)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_command_has_the_clock_of_the_reference(device: Device, seed: int) -> None:
    requests = mixed(device, 600 if PLAIN else 900, seed)
    last, commands = reference.simulate(device, requests)
    totals, log = run(device, requests)
    ours = [tuple(row) for row in log[np.argsort(log[:, 1], kind="stable")].tolist()]
    # A served memory goes on refreshing in the reference until the slowest channel is done.
    for number in range(device.channels):
        expected = [command for command in commands if command[1] == number]
        found = [command for command in ours if command[1] == number]
        assert found == expected[: len(found)]
        # Nothing is left to serve: rows may still close, and refreshes go on.
        serving = {ACTIVATE, READ_COMMAND, WRITE_COMMAND}
        assert not serving & {command[2] for command in expected[len(found) :]}
    assert totals.cycles == last


# Ramulator 2.1, 1,000,000 reads, FR-FCFS, RoBaRaCoCh: GB/s in order and at random over 1 GiB.
PUBLISHED = [(DDR4_2400, 14.33, 11.08), (TWO_RANKS, 12.16, 17.66), (HBM2_2000, 129.3, 72.1)]


@MANY
@pytest.mark.parametrize(("device", "in_order", "at_random"), PUBLISHED)
def test_bandwidth_is_within_one_percent_of_ramulator(
    device: Device, in_order: float, at_random: float
) -> None:
    count = 1_000_000
    assert simulate(device, [sequential(count)]).gbps == pytest.approx(in_order, rel=0.01)
    assert simulate(device, [scattered(device, count, 0)]).gbps == pytest.approx(at_random, rel=0.01)


@MANY
@pytest.mark.parametrize(
    ("device", "change", "random", "least", "most"),
    [
        (DDR4_2400, {"tCCD_L": 4}, False, 1.2, 1.35),
        (HBM2_2000, {"tCCD_L": 2}, False, 1.4, 1.6),
        (DDR4_2400, {"tFAW": 1}, True, 1.25, 1.5),
        (HBM2_2000, {"tFAW": 30}, True, 0.75, 0.85),
        (HBM2_2000, {"activate_clocks": 1}, True, 1.15, 1.3),
        (TWO_RANKS, {"tCS": 0}, False, 1.0, 1.5),
        (HBM2_2000, {"queue": 16}, True, 0.55, 0.9),
        (HBM2_2000, {"offers": 1}, False, 0.2, 0.5),
    ],
)
def test_each_choice_moves_the_bandwidth_as_it_must(
    device: Device, change: dict[str, int], random: bool, least: float, most: float
) -> None:
    requests = scattered(device, 100_000, 3) if random else sequential(100_000)
    before, after = simulate(device, [requests]).gbps, simulate(replace(device, **change), [requests]).gbps
    assert before is not None
    assert after is not None
    assert least <= after / before <= most


@pytest.mark.parametrize("device", [*DEVICES.values(), TWO_RANKS], ids=lambda d: f"{d.device}x{d.ranks}")
def test_no_more_than_the_pins_can_carry(device: Device) -> None:
    totals = simulate(device, [sequential(400 if PLAIN else 20_000)])
    bits = (totals.reads + totals.writes) * device.burst_bytes
    assert bits / float(totals.drained / device.clock_hz) < device.peak_bandwidth


@MANY
@pytest.mark.parametrize(
    "device", [*DEVICES.values(), replace(HBM2_2000, mapping="MOP4CLXOR")], ids=lambda d: d.device + d.mapping
)
def test_the_bandwidth_of_a_stream_is_near_its_formula(device: Device) -> None:
    measured = simulate(device, [sequential(100_000)]).gbps
    # The formula promises GDDR6 1.29 times what it reaches.
    near = 0.3 if device.device == "GDDR6-14000" else 0.12
    assert device.stream_bandwidth / 1e9 == pytest.approx(measured, rel=near)
    assert device.stream_bandwidth < device.peak_bandwidth


def test_closed_pages_spare_random_requests_their_conflicts() -> None:
    late = np.arange(2_000) * 100  # long apart: nothing queued wants the row
    alone = chunk(scattered(DDR4_2400, 2_000, 2).lines, earliest=late)
    conflicts = run(DDR4_2400, alone)[0].row_conflicts
    assert conflicts > 1_000
    # But for those that gather during a refresh.
    closed, _ = run(replace(DDR4_2400, page="closed"), alone)
    assert closed.row_conflicts < 20
    assert closed.row_misses > 1_980
    kept, _ = run(replace(DDR4_2400, page="timeout", row_timeout=1 << 30), alone)
    assert kept.row_conflicts == conflicts


def test_a_trace_in_pieces_is_the_same_trace() -> None:
    whole = mixed(DDR4_2400, 999, 5)
    pieces = [
        Chunk(
            lines=whole.lines[i : i + 100],
            writes=whole.writes[i : i + 100],
            earliest=whole.earliest[i : i + 100],
        )
        for i in range(0, 999, 100)
    ]
    first, log = run(DDR4_2400, whole)
    second, other = run(DDR4_2400, *pieces)
    assert first == second
    assert (log == other).all()


def test_the_log_changes_nothing() -> None:
    requests = mixed(HBM2_2000, 900, 6)
    assert run(HBM2_2000, requests)[0] == simulate(HBM2_2000, [requests])


def test_a_read_of_a_waiting_write_is_answered_and_a_second_write_replaces_it() -> None:
    totals, log = run(DDR4_2400, chunk(np.array([0, 999, 999, 999]), np.array([0, 1, 0, 1])))
    assert (totals.forwarded, totals.merged) == (1, 1)
    assert [row[2] for row in log.tolist()].count(4) == 1


def test_a_request_waits_for_its_cycle() -> None:
    totals, log = run(DDR4_2400, chunk(np.array([0, 1]), earliest=np.array([500, 0])))
    assert log[0, 0] == 500
    assert totals.cycles == 501


def test_nothing_asked_takes_no_time() -> None:
    totals = simulate(DDR4_2400, [])
    assert (totals.cycles, totals.reads, totals.gbps) == (0, 0, None)


def test_ages_are_renumbered_without_a_change_of_order() -> None:
    # More requests than there are numbers for ages, of which a few old ones wait all the time.
    count = 300 if PLAIN else 40_000
    requests = scattered(DDR4_2400, count, 9, write_share=0.3)
    assert requests.lines.max() < GIBIBYTE // 64
    totals, log = run(DDR4_2400, requests)
    columns = int(np.isin(log[:, 2], (3, 4)).sum())
    assert columns + totals.forwarded + totals.merged == count
