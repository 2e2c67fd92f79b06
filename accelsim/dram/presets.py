"""Devices with their sources. One that is not here is refused: its timings would be guesses."""

from __future__ import annotations

from dataclasses import replace

from accelsim.dram.timing import Device
from accelsim.words import unknown

# JESD79-4, 8 Gb x8, speed bin 2400U (17-17-17). tFAW 21 ns, tRFC 360 ns and the two clocks of a change of
# rank are those of Ramulator 2.1's preset DDR4_2400U, with which the cycles are compared.
DDR4_2400 = Device(
    device="DDR4-2400",
    clock_ps=833,
    burst_bytes=64,
    channels=1,
    ranks=1,
    pseudo_channels=1,
    bank_groups=4,
    banks=4,
    rows=1 << 16,
    columns=1 << 7,
    BL=4,
    CL=17,
    CWL=12,
    tRCDRD=17,
    tRCDWR=17,
    tRP=17,
    tRAS=39,
    tRC=56,
    tWR=18,
    tRTP=9,
    tCCD_S=4,
    tCCD_L=6,
    tRRD_S=4,
    tRRD_L=6,
    tWTR_S=3,
    tWTR_L=9,
    tFAW=26,
    tRFC=433,
    tREFI=9364,
    tCS=2,
    source="JEDEC JESD79-4, 8 Gb x8, 2400U 17-17-17, as Ramulator 2.1 sets it (tRFC 360 ns)",
)

# 19-19-19 and 22-22-22: tWTR_S 2.5 ns, tWTR_L 7.5 ns, tRTP 7.5 ns, tWR 15 ns, tRRD_L 4.9 ns, tFAW 21 ns,
# tRAS 32 ns, tRFC 350 ns, tREFI 7.8 us.
DDR4_2666 = replace(
    DDR4_2400,
    device="DDR4-2666",
    clock_ps=750,
    CL=19,
    CWL=14,
    tRCDRD=19,
    tRCDWR=19,
    tRP=19,
    tRAS=43,
    tRC=62,
    tWR=20,
    tRTP=10,
    tCCD_L=7,
    tRRD_L=7,
    tWTR_S=4,
    tWTR_L=10,
    tFAW=28,
    tRFC=467,
    tREFI=10400,
    source="JEDEC JESD79-4, 8 Gb x8, 2666V 19-19-19 (tRFC 350 ns)",
)

DDR4_3200 = replace(
    DDR4_2400,
    device="DDR4-3200",
    clock_ps=625,
    CL=22,
    CWL=16,
    tRCDRD=22,
    tRCDWR=22,
    tRP=22,
    tRAS=52,
    tRC=74,
    tWR=24,
    tRTP=12,
    tCCD_L=8,
    tRRD_L=8,
    tWTR_S=4,
    tWTR_L=12,
    tFAW=34,
    tRFC=560,
    tREFI=12480,
    source="JEDEC JESD79-4, 8 Gb x8, 3200AA 22-22-22 (tRFC 350 ns)",
)

# JESD235 leaves most analogue timings to the vendor: these are Ramulator 2.1's HBM2_2000Mbps, 8 Gb.
HBM2_2000 = Device(
    device="HBM2-2000",
    clock_ps=1000,
    burst_bytes=32,
    channels=8,
    ranks=1,
    pseudo_channels=2,
    bank_groups=4,
    banks=4,
    rows=1 << 16,
    columns=1 << 5,
    BL=2,
    CL=14,
    CWL=5,
    tRCDRD=14,
    tRCDWR=12,
    tRP=14,
    tRAS=34,
    tRC=48,
    tWR=16,
    tRTP=5,
    tCCD_S=2,
    tCCD_L=4,
    tRRD_S=4,
    tRRD_L=4,
    tWTR_S=6,
    tWTR_L=8,
    tFAW=15,
    tRFC=350,
    tREFI=3900,
    buses=2,
    activate_clocks=2,
    source="JEDEC JESD235, 8 Gb, 2.0 Gb/s a pin, as Ramulator 2.1 sets it (tFAW 15 ns)",
)

DEVICES: dict[str, Device] = {
    preset.device: preset for preset in (DDR4_2400, DDR4_2666, DDR4_3200, HBM2_2000)
}


def find(name: str) -> Device:
    """The preset of that name, in any case; `HBM2` alone is the first of its kind.

    Raises ValueError for an unknown word, with the nearest known one.
    """
    for known, device in DEVICES.items():
        if name.lower() == known.lower():
            return device
    for known, device in DEVICES.items():
        if name.lower() == known.lower().partition("-")[0]:
            return device
    raise ValueError(unknown("--device", name, DEVICES))


def sentence(device: Device) -> str:
    """One line: what it is, its peak, and where its timings come from."""
    ranks = f"{device.pseudo_channels} pseudo-channels" if device.pseudo_channels > 1 else "1 rank"
    channels = "1 channel" if device.channels == 1 else f"{device.channels} channels"
    return (
        f"{channels}, {ranks}, {device.burst_bytes} B bursts,"
        f" {device.peak_bandwidth / 1e9:.1f} GB/s peak; {device.source}"
    )
