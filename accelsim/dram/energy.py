"""Energy of a memory from its counts: activates, reads, writes, refreshes, and what stands open meanwhile.

Each entry is made of public currents by the usual rule: an activate is what IDD0 takes beyond standby in a
tRC, a read IDD4R beyond active standby in a burst, a refresh IDD5 in a tRFC, and standby runs all the time.
Drivers and termination of the pins are not in such currents, so they are not in these figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from accelsim.dram.timing import Device


class Energy(NamedTuple):
    """Picojoules by cause."""

    activate: float
    read: float
    write: float
    refresh: float
    background: float

    @property
    def total(self) -> float:
        """Their sum."""
        return sum(self)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a rank (or pseudo-channel) takes: picojoules for each command, milliwatts beside them.

    `refresh_mw` lies on top of active standby while a refresh lasts.
    """

    activate_pj: float
    read_pj: float
    write_pj: float
    refresh_mw: float
    active_mw: float
    standby_mw: float
    source: str


def entry(
    *,
    milliwatts: dict[str, float],
    share: float,
    clock_ns: float,
    row_clocks: tuple[int, int],
    burst_clocks: int,
    source: str,
) -> Entry:
    """From the power of the test loops IDD0, 2N, 3N, 4R, 4W and 5 of a die, at the source's own timings.

    `share`: dies in a rank, or the part of a die in a pseudo-channel; `row_clocks`: tRAS and tRP.
    """
    p = {name: share * value for name, value in milliwatts.items()}
    ras, rp = (clocks * clock_ns for clocks in row_clocks)
    return Entry(
        activate_pj=p["0"] * (ras + rp) - p["3N"] * ras - p["2N"] * rp,
        read_pj=(p["4R"] - p["3N"]) * burst_clocks * clock_ns,
        write_pj=(p["4W"] - p["3N"]) * burst_clocks * clock_ns,
        refresh_mw=p["5"] - p["3N"],
        active_mw=p["3N"],
        standby_mw=p["2N"],
        source=source,
    )


def supply(volts: float, **milliamperes: float) -> dict[str, float]:
    """Milliwatts of test loops on one supply: `supply(1.2, IDD0=48, ...)`."""
    return {name.removeprefix("IDD"): volts * current for name, current in milliamperes.items()}


def energy(
    device: Device,
    *,
    activates: int,
    reads: int,
    writes: int,
    refreshes: int,
    clocks: int,
    open_clocks: int,
) -> Energy | None:
    """Energy of these counts, over all channels; None for a device that has no entry.

    `clocks`: how long it ran; `open_clocks`: clocks in which a rank had an open row, summed over the ranks.
    """
    if device.burst_pj:
        read, write = reads * device.burst_pj, writes * device.burst_pj
        return Energy(activate=0.0, read=read, write=write, refresh=0.0, background=0.0)
    e = ENTRIES.get(device.device)
    if e is None:
        return None
    clock_ns = device.clock_ps / 1000
    refresh_clocks = float(device.tRFC)
    if device.refresh == "per-bank":
        # A bank's share of what a refresh of all banks takes.
        refresh_clocks = device.tRFC / (device.bank_groups * device.banks)
    idle_clocks = clocks * device.channels * device.units - open_clocks
    return Energy(
        activate=activates * e.activate_pj,
        read=reads * e.read_pj,
        write=writes * e.write_pj,
        refresh=refreshes * e.refresh_mw * refresh_clocks * clock_ns,
        background=(open_clocks * e.active_mw + idle_clocks * e.standby_mw) * clock_ns,
    )


# Eight dies of 8 bits in a rank of 64.
_DDR4_2400 = entry(
    milliwatts=supply(1.2, IDD0=48, IDD2N=34, IDD3N=43, IDD4R=135, IDD4W=123, IDD5=250),
    share=8,
    clock_ns=0.833,
    row_clocks=(39, 16),
    burst_clocks=4,
    source="Micron 8 Gb x8 DDR4-2400 (MT40A1G8), as in DRAMsim3's DDR4_8Gb_x8_2400",
)
_DDR4_2666 = entry(
    milliwatts=supply(1.2, IDD0=51, IDD2N=35, IDD3N=46, IDD4R=146, IDD4W=132, IDD5=250),
    share=8,
    clock_ns=0.75,
    row_clocks=(43, 19),
    burst_clocks=4,
    source="Micron 8 Gb x8 DDR4-2666, as in DRAMsim3's DDR4_8Gb_x8_2666",
)
_DDR4_3200 = entry(
    milliwatts=supply(1.2, IDD0=57, IDD2N=37, IDD3N=52, IDD4R=168, IDD4W=150, IDD5=250),
    share=8,
    clock_ns=0.63,
    row_clocks=(52, 22),
    burst_clocks=4,
    source="Micron 8 Gb x8 DDR4-3200, as in DRAMsim3's DDR4_8Gb_x8_3200",
)
# Milliamperes of the supplies VDD1 (1.8 V) and VDD2 (1.1 V).
_LPDDR4 = entry(
    milliwatts={
        name: 1.8 * first + 1.1 * second
        for name, first, second in (
            ("0", 3.5, 45.0),
            ("2N", 2.0, 27.0),
            ("3N", 2.25, 30.0),
            ("4R", 2.25, 275.0),
            ("4W", 2.25, 210.0),
            ("5", 10.0, 90.0),
        )
    },
    share=1,
    clock_ns=0.625,
    row_clocks=(68, 29),
    burst_clocks=8,
    source="Micron 6 Gb x16 LPDDR4-3200, as in DRAMSys's MICRON_6Gb_LPDDR4-3200_32bit_A; energy a burst",
)
# The currents are those of a channel of 128 bits: half of it is a pseudo-channel.
_HBM2 = entry(
    milliwatts=supply(1.2, IDD0=65, IDD2N=40, IDD3N=55, IDD4R=390, IDD4W=500, IDD5=250),
    share=0.5,
    clock_ns=1.0,
    row_clocks=(34, 14),
    burst_clocks=2,
    source="HBM2 8 Gb, as in DRAMsim3's HBM2_8Gb_x128; energy a burst",
)
# No public currents: HBM2's, by the ratio of 4.05 to 6.25 pJ a bit, an estimator's figures for the two.
_HBM3 = replace(
    _HBM2,
    source=f"{_HBM2.source}; times 4.05 / 6.25, the pJ a bit that hwcomponents gives for HBM3 and HBM2",
    **{
        name: getattr(_HBM2, name) * 4.05 / 6.25
        for name in ("activate_pj", "read_pj", "write_pj", "refresh_mw", "active_mw", "standby_mw")
    },
)
_GDDR6 = entry(
    milliwatts=supply(1.35, IDD0=71, IDD2N=60, IDD3N=61, IDD4R=248, IDD4W=231, IDD5=286),
    share=1,
    clock_ns=0.66,
    row_clocks=(54, 24),
    burst_clocks=2,
    source="GDDR6 8 Gb x16, as in a DRAMsim3 configuration GDDR6_8Gb_x16; energy a burst",
)

ENTRIES: dict[str, Entry] = {
    "DDR4-2400": _DDR4_2400,
    "DDR4-2666": _DDR4_2666,
    "DDR4-3200": _DDR4_3200,
    "LPDDR4-4266": _LPDDR4,
    "HBM2-2000": _HBM2,
    "HBM2-2000x16": _HBM2,
    "HBM2-2400": _HBM2,
    "HBM2E-3200": _HBM2,
    "HBM3-5200": _HBM3,
    "HBM3-6400": _HBM3,
    "GDDR6-14000": _GDDR6,
}
