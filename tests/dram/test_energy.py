"""Energy by cause: made of the counts and of public currents, for every device."""

import dataclasses

import pytest
from traffic import run, scattered, sequential

from accelsim.dram.energy import ENTRIES, energy
from accelsim.dram.presets import DDR4_2400, DEVICES, HBM2_2000


def test_every_device_has_an_entry_with_a_source() -> None:
    assert list(ENTRIES) == list(DEVICES)
    assert all(entry.source and min(dataclasses.astuple(entry)[:-1]) > 0 for entry in ENTRIES.values())


def test_an_activate_takes_what_idd0_takes_beyond_standby() -> None:
    milliamperes = 48 * (39 + 16) - 43 * 39 - 34 * 16
    assert ENTRIES["DDR4-2400"].activate_pj == pytest.approx(8 * 1.2 * 0.833 * milliamperes)
    assert ENTRIES["HBM2-2000"].read_pj == pytest.approx(0.5 * 1.2 * (390 - 55) * 2)


def test_energy_is_a_sum_over_counts() -> None:
    none = {"activates": 0, "reads": 0, "writes": 0, "refreshes": 0, "clocks": 0, "open_clocks": 0}
    for count, cause in (
        ("activates", "activate"),
        ("reads", "read"),
        ("writes", "write"),
        ("refreshes", "refresh"),
    ):
        one = energy(DDR4_2400, **(none | {count: 1}))
        many = energy(DDR4_2400, **(none | {count: 7}))
        assert one is not None
        assert many is not None
        assert many.total == pytest.approx(7 * getattr(one, cause))
    per_bank = dataclasses.replace(HBM2_2000, refresh="per-bank")
    every = energy(HBM2_2000, **(none | {"refreshes": 1}))
    single = energy(per_bank, **(none | {"refreshes": 16}))
    assert every is not None
    assert single is not None
    assert single.refresh == pytest.approx(every.refresh)


def test_a_device_without_an_entry_has_none() -> None:
    totals, _ = run(dataclasses.replace(DDR4_2400, device="mine"), sequential(10))
    assert totals.energy is None


def test_random_traffic_takes_more_energy_a_bit_than_sequential() -> None:
    for device in DEVICES.values():
        ordered, _ = run(device, sequential(600))
        random, _ = run(device, scattered(device, 600, 0))
        assert ordered.energy is not None
        assert random.energy is not None
        assert random.energy.activate > ordered.energy.activate
        assert 0 <= random.open_clocks <= random.drained * device.channels * device.units
