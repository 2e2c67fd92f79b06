"""Regular requests advanced in closed form: the same clocks, counts and energy as burst by burst."""

import random
from dataclasses import replace

import numpy as np
import pytest
from traffic import PLAIN, chunk, scattered, sequential

from accelsim.dram import repeats
from accelsim.dram.intervals import Interval, State, passed
from accelsim.dram.presets import DDR4_2400, DEVICES, HBM2_2000
from accelsim.dram.simulation import simulate
from accelsim.dram.timing import Device
from accelsim.dram.trace import Chunk

# Uncompiled, many requests take minutes.
pytestmark = pytest.mark.slow if PLAIN else []
MAPPINGS = [
    "RoBaRaCoCh",
    "RoChRaBaBgCo",
    "RoCoRaBaCh",
    "MOP4CLXOR",
    "RoBgBaRaCoCh",
    "RoBaCoRaCh",
    "RaRoBaCoCh",
]
TWO_RANKS = replace(DDR4_2400, ranks=2)


def any_device(dice: random.Random) -> Device:
    """A preset, often with other choices, and with refreshes close to each other."""
    device = dice.choice([*DEVICES.values(), TWO_RANKS, replace(DDR4_2400, ranks=4)])
    changes: dict[str, object] = {"tREFI": dice.choice([1_200, 2_000, 3_900]), "tRFC": dice.choice([60, 200])}
    for name, values in (
        ("mapping", MAPPINGS),
        ("channels", [1, 2, 3, 8, 12]),
        ("queue", [4, 16, 48]),
        ("page", ["closed", "timeout"]),
        ("offers", [1, 4, 16]),
        ("interleave", [device.burst_bytes, 4 * device.burst_bytes]),
        ("refresh", ["per-bank"]),
    ):
        if dice.random() < 0.3:
            changes[name] = dice.choice(values)
    try:
        return replace(device, **changes)  # type: ignore[arg-type]
    except ValueError:
        return any_device(dice)


def any_run(dice: random.Random, device: Device) -> Chunk:
    """A run of one stride, or several in turns, of reads or writes or both; seldom with a flaw."""
    count, bursts = dice.choice([10_000, 80_000]), device.capacity_bytes // device.burst_bytes
    period = dice.choice([1, 1, 1, 2, 3, 7])
    step = dice.choice([1, 1, 1, period, 2, 3, 16, 64, 1024, -1, 0, dice.randrange(1, 5_000)])
    begins = np.array([dice.randrange(bursts // 4, bursts // 2) for _ in range(period)])
    writes = np.array([dice.random() < dice.choice([0, 0, 0.4, 1]) for _ in range(period)])
    i, earliest = np.arange(count), np.zeros(count)
    if dice.random() < 0.2:
        earliest[dice.randrange(count)] = 10_000
    return chunk((begins[i % period] + i // period * step) % bursts, writes[i % period], earliest)


def any_chunks(dice: random.Random, device: Device) -> list[Chunk]:
    """Runs, at times with others between them, cut anywhere."""
    parts = [any_run(dice, device) for _ in range(dice.choice([1, 1, 2]))]
    if dice.random() < 0.3:
        parts.insert(1, scattered(device, dice.choice([10, 3_000]), dice.randrange(99), write_share=0.5))
    columns = [
        np.concatenate([getattr(part, name) for part in parts]) for name in ("lines", "writes", "earliest")
    ]
    cuts = sorted(dice.randrange(len(columns[0])) for _ in range(dice.choice([0, 1, 5, 30])))
    pieces = zip(*(np.split(column, cuts) for column in columns), strict=True)
    return [Chunk(lines=lines, writes=writes, earliest=earliest) for lines, writes, earliest in pieces]


@pytest.mark.parametrize("seed", range(8))
def test_random_runs_take_what_they_take_burst_by_burst(seed: int) -> None:
    advanced = 0
    for case in range(12):
        dice = random.Random(100 * seed + case)
        device = any_device(dice)
        chunks = any_chunks(dice, device)
        totals = simulate(device, chunks)
        expected = simulate(device, chunks, every_burst=True)
        assert totals == expected
        assert totals.energy == expected.energy
        advanced += totals.advanced
    assert advanced > 20_000


@pytest.mark.parametrize("device", [*DEVICES.values(), TWO_RANKS], ids=lambda d: f"{d.device}x{d.ranks}")
@pytest.mark.parametrize("step", [1, 2])
def test_a_long_run_is_hardly_simulated(device: Device, step: int) -> None:
    count = 3_000_000
    run = chunk(np.arange(count) * step)
    totals = simulate(device, [run])
    assert totals == simulate(device, [run], every_burst=True)
    assert totals.advanced > 0.5 * count


def test_a_run_in_many_chunks_is_one_run() -> None:
    whole = sequential(1_000_000)
    nothing = np.zeros(50_000, np.int64)
    pieces = [
        replace(whole, lines=lines, writes=nothing, earliest=nothing) for lines in np.split(whole.lines, 20)
    ]
    totals = simulate(HBM2_2000, pieces)
    assert totals == simulate(HBM2_2000, [whole])
    assert totals.advanced > 500_000


def test_scattered_requests_are_simulated() -> None:
    assert simulate(DDR4_2400, [scattered(DDR4_2400, 50_000, 1)]).advanced == 0


def test_a_request_that_must_wait_is_in_no_pattern() -> None:
    run = sequential(200_000)
    run.earliest[:] = np.arange(200_000) * 20
    totals = simulate(DDR4_2400, [run])
    assert totals == simulate(DDR4_2400, [run], every_burst=True)
    assert totals.advanced == 0


def test_states_are_forgotten_where_they_would_take_too_much_room(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = simulate(TWO_RANKS, [sequential(500_000)])
    monkeypatch.setattr(repeats, "MOST_BYTES", 150_000)
    totals = simulate(TWO_RANKS, [sequential(500_000)])
    assert totals == expected
    assert totals.advanced < expected.advanced


def test_an_interval_that_lies_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above sees a single clock."""
    expected = simulate(DDR4_2400, [sequential(500_000)], every_burst=True)

    def wrong(state: State, most: int, shape: tuple[int, ...]) -> object:
        found = passed(state, most, shape)
        return replace(found, clocks=found.clocks + 1) if found.requests else found

    monkeypatch.setattr(repeats, "passed", wrong)
    assert simulate(DDR4_2400, [sequential(500_000)]) != expected


def test_intervals_that_repeat_are_multiplied() -> None:
    nothing = np.zeros(0, np.int64)
    first, second, third = (State(nothing, nothing, 0, 0, 0) for _ in range(3))
    first.then = Interval(second, 7, 50, np.array([[1]]))
    second.then = Interval(third, 5, 20, np.array([[2]]))
    third.then = Interval(second, 6, 30, np.array([[4]]))
    found = passed(first, 7 + 11 * 1000 + 5, (1, 1))
    assert found.state is third
    assert (found.requests, found.clocks) == (7 + 11_000 + 5, 50 + 50_000 + 20)
    assert found.counts.tolist() == [[1 + 6_000 + 2]]
