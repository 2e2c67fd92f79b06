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
    tRFCpb=160,
    tRREFD=8,
    buses=2,
    activate_clocks=2,
    source="JEDEC JESD235, 8 Gb, 2.0 Gb/s a pin, as Ramulator 2.1 sets it (tFAW 15 ns)",
)

# SpAtten (HPCA 2021), table I: 16 channels, 512 GB/s.
HBM2_2000X16 = replace(
    HBM2_2000,
    device="HBM2-2000x16",
    channels=16,
    source="SpAtten (HPCA 2021) table I: 16 channels of JESD235 at 2.0 Gb/s a pin; timings of HBM2-2000",
)

HBM2_2400 = replace(
    HBM2_2000,
    device="HBM2-2400",
    clock_ps=833,
    CL=17,
    CWL=6,
    tRCDRD=17,
    tRCDWR=14,
    tRP=17,
    tRAS=40,
    tRC=57,
    tWR=19,
    tRTP=6,
    tRRD_S=5,
    tRRD_L=5,
    tWTR_S=8,
    tWTR_L=10,
    tFAW=19,
    tRFC=421,
    tREFI=4682,
    tRFCpb=193,
    tRREFD=10,
    source="JEDEC JESD235, 8 Gb, 2.4 Gb/s a pin, as Ramulator 2.1's HBM2_2400Mbps",
)

# The nanoseconds of HBM2-2000 in clocks of 0.625 ns; tCCD_L is that of Ramulator 2.1's 3.8 Gb/s, tRFC 450 ns
# and tRFCpb 200 ns are those of 16 Gb.
HBM2E_3200 = replace(
    HBM2_2000,
    device="HBM2E-3200",
    clock_ps=625,
    CL=23,
    CWL=8,
    tRCDRD=23,
    tRCDWR=20,
    tRP=23,
    tRAS=55,
    tRC=78,
    tWR=26,
    tRTP=8,
    tCCD_L=6,
    tRRD_S=7,
    tRRD_L=7,
    tWTR_S=10,
    tWTR_L=13,
    tFAW=24,
    tRFC=720,
    tREFI=6240,
    tRFCpb=320,
    tRREFD=13,
    source="JEDEC JESD235D, 16 Gb, 3.2 Gb/s a pin: nanoseconds of Ramulator 2.1's HBM2 presets (tFAW 15 ns)",
)

# An activate takes 1.5 clocks of the row bus and other row commands half a clock: both are rounded up.
HBM3_6400 = Device(
    device="HBM3-6400",
    clock_ps=625,
    burst_bytes=32,
    channels=16,
    ranks=1,
    pseudo_channels=2,
    bank_groups=4,
    banks=4,
    rows=1 << 15,
    columns=1 << 5,
    BL=2,
    CL=26,
    CWL=8,
    tRCDRD=26,
    tRCDWR=14,
    tRP=26,
    tRAS=48,
    tRC=74,
    tWR=24,
    tRTP=6,
    tCCD_S=2,
    tCCD_L=4,
    tRRD_S=8,
    tRRD_L=8,
    tWTR_S=8,
    tWTR_L=12,
    tFAW=24,
    tRFC=560,
    tREFI=6240,
    tPPD=2,
    tRFCpb=320,
    tRREFD=13,
    buses=2,
    activate_clocks=2,
    source="JEDEC JESD238, 8 Gb a channel, 6.4 Gb/s a pin, as Ramulator 2.1's HBM3_6400Mbps (tFAW 15 ns)",
)

# H100's speed: the nanoseconds of Ramulator 2.1's HBM3_5600Mbps in clocks of 0.769 ns.
HBM3_5200 = replace(
    HBM3_6400,
    device="HBM3-5200",
    clock_ps=769,
    CL=21,
    tRCDRD=21,
    tRCDWR=12,
    tRP=21,
    tRAS=39,
    tRC=60,
    tWR=19,
    tRTP=5,
    tRRD_S=7,
    tRRD_L=7,
    tWTR_L=10,
    tFAW=20,
    tRFC=456,
    tREFI=5072,
    tRFCpb=261,
    tRREFD=11,
    source="JEDEC JESD238, 8 Gb a channel, 5.2 Gb/s a pin: nanoseconds of Ramulator 2.1's HBM3_5600Mbps",
)

# One channel has 16 pins. Commands of two parts take 4 clocks of the one bus, precharge and refresh 2. CL is
# RL 36 and tDQSCK 4; CWL is WL 18 and the clock of tDQSS that JEDEC adds before tWR and tWTR, which tBTR
# (tWPRE 2) gives back. The refresh of a bank is tRFCpb from that of the next.
LPDDR4_4266 = Device(
    device="LPDDR4-4266",
    clock_ps=469,
    burst_bytes=32,
    channels=2,
    ranks=1,
    pseudo_channels=1,
    bank_groups=1,
    banks=8,
    rows=1 << 17,
    columns=1 << 6,
    BL=8,
    CL=40,
    CWL=19,
    tRCDRD=39,
    tRCDWR=39,
    tRP=39,
    tRAS=90,
    tRC=129,
    tWR=39,
    tRTP=17,
    tCCD_S=8,
    tCCD_L=8,
    tRRD_S=22,
    tRRD_L=22,
    tWTR_S=22,
    tWTR_L=22,
    tFAW=86,
    tRFC=812,
    tREFI=8341,
    tBTR=3,
    tCS=1,
    tPPD=4,
    tRPab=45,
    tRFCpb=406,
    tRREFD=22,
    tPBR2PBR=406,
    activate_clocks=4,
    column_clocks=4,
    precharge_clocks=2,
    refresh_clocks=2,
    source="JEDEC JESD209-4, 16 Gb x16, as DRAMSys's JEDEC_1Gbx16_LPDDR4-4266",
)

# Two channels of 16 pins in a device, each with its own command bus; an even tREFI of 1.9 us.
GDDR6_14000 = Device(
    device="GDDR6-14000",
    clock_ps=571,
    burst_bytes=32,
    channels=2,
    ranks=1,
    pseudo_channels=1,
    bank_groups=4,
    banks=4,
    rows=1 << 14,
    columns=1 << 6,
    BL=2,
    CL=24,
    CWL=6,
    tRCDRD=27,
    tRCDWR=16,
    tRP=27,
    tRAS=53,
    tRC=79,
    tWR=27,
    tRTP=4,
    tCCD_S=2,
    tCCD_L=4,
    tRRD_S=8,
    tRRD_L=8,
    tWTR_S=10,
    tWTR_L=12,
    tFAW=29,
    tRFC=211,
    tREFI=3333,
    tPPD=1,
    tRFCpb=106,
    tRREFD=15,
    most_ranks=1,
    source="JEDEC JESD250, 8 Gb x16, 14 Gb/s a pin, as Ramulator 2.1's GDDR6_14000_1350mV_double",
)

DEVICES: dict[str, Device] = {
    preset.device: preset
    for preset in (
        DDR4_2400,
        DDR4_2666,
        DDR4_3200,
        LPDDR4_4266,
        HBM2_2000,
        HBM2_2000X16,
        HBM2_2400,
        HBM2E_3200,
        HBM3_5200,
        HBM3_6400,
        GDDR6_14000,
    )
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
