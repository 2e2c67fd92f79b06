"""A DRAM device as an architect reads it: organisation, timings in clocks, and the controller's queues.

`accelsim.dram.presets` has the devices with their sources; `gaps` says how many clocks must lie between
two commands, for the compiled controller. The checker derives its own from the same timings.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

MOST_BANKS = 64


class Gaps(NamedTuple):
    """Least clocks from one command to another. `_rank`: same rank (or pseudo-channel); `_other`: another.

    A `_rank` gap holds inside a bank group as well; a gap of 0 is no constraint.
    """

    read_read_group: int
    read_read_rank: int
    read_read_other: int
    read_write_rank: int
    read_write_other: int
    write_write_group: int
    write_write_rank: int
    write_write_other: int
    write_read_group: int
    write_read_rank: int
    write_read_other: int
    read_precharge: int
    write_precharge: int
    activate_read: int
    activate_write: int
    activate_precharge: int
    activate_activate_bank: int
    activate_activate_group: int
    activate_activate_rank: int
    four_activates: int
    precharge_activate: int
    precharge_refresh: int
    activate_refresh: int
    refresh_activate: int
    refresh_interval: int
    read_done: int
    write_done: int


@dataclass(frozen=True, kw_only=True)
class Device:
    """A memory of `channels` equal channels. Timings (`t...`, `BL`, `CL`, `CWL`) are in clocks of `clock_ps`.

    `BL` is the burst in clocks; `columns` counts bursts in a row. A channel has `ranks` ranks, or
    `pseudo_channels` pseudo-channels with data pins of their own behind one command bus. With `buses` = 2
    a column and a row command may be sent in one clock; an activate takes `activate_clocks` of the row bus.
    """

    device: str
    clock_ps: int
    burst_bytes: int
    channels: int
    ranks: int
    pseudo_channels: int
    bank_groups: int
    banks: int
    rows: int
    columns: int
    BL: int
    CL: int
    CWL: int
    tRCDRD: int  # noqa: N815
    tRCDWR: int  # noqa: N815
    tRP: int  # noqa: N815
    tRAS: int  # noqa: N815
    tRC: int  # noqa: N815
    tWR: int  # noqa: N815
    tRTP: int  # noqa: N815
    tCCD_S: int  # noqa: N815
    tCCD_L: int  # noqa: N815
    tRRD_S: int  # noqa: N815
    tRRD_L: int  # noqa: N815
    tWTR_S: int  # noqa: N815
    tWTR_L: int  # noqa: N815
    tFAW: int  # noqa: N815
    tRFC: int  # noqa: N815
    tREFI: int  # noqa: N815
    tCS: int = 0  # noqa: N815
    buses: Literal[1, 2] = 1
    activate_clocks: int = 1
    queue: int = 32
    write_high: float = 0.8
    write_low: float = 0.2
    offers: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("channels", "ranks", "bank_groups", "banks", "rows", "columns", "burst_bytes"):
            value = getattr(self, name)
            if value < 1 or value & (value - 1):
                raise ValueError(f"{self.device}: {name} must be a power of two, not {value}")
        for name in COUNTED:
            if getattr(self, name) < 1:
                raise ValueError(f"{self.device}: {name} must be >= 1, not {getattr(self, name)}")
        for name in ("tCS", "offers"):
            if getattr(self, name) < 0:
                raise ValueError(f"{self.device}: {name} must be >= 0, not {getattr(self, name)}")
        if self.pseudo_channels not in (1, 2):
            raise ValueError(f"{self.device}: pseudo_channels must be 1 or 2, not {self.pseudo_channels}")
        if self.pseudo_channels > 1 and self.ranks > 1:
            raise ValueError(
                f"{self.device}: ranks must be 1 with pseudo-channels (stacks of ranks are not modelled),"
                f" not {self.ranks}"
            )
        if self.buses not in (1, 2):
            raise ValueError(f"{self.device}: buses must be 1 or 2, not {self.buses}")
        if self.buses == 1 and self.activate_clocks > 1:
            raise ValueError(
                f"{self.device}: activate_clocks must be 1 on one command bus, not {self.activate_clocks}"
            )
        if self.banks_per_channel > MOST_BANKS:
            raise ValueError(
                f"{self.device}: banks of a channel must be <= {MOST_BANKS}, not {self.banks_per_channel}"
            )
        if not 1 <= self.queue <= 256:
            raise ValueError(f"{self.device}: queue must be from 1 to 256, not {self.queue}")
        if not 0 <= self.write_low < self.write_high <= 1:
            raise ValueError(
                f"{self.device}: write_low must be below write_high, both from 0 to 1,"
                f" not {self.write_low} and {self.write_high}"
            )
        self._check_refresh()

    def _check_refresh(self) -> None:
        # The ranks of a channel are refreshed one after the other before the next round is due.
        busy = self.units * (self.tRAS + self.tWR + self.CWL + self.BL + self.tRP + 2) + self.tRFC
        if self.tREFI <= busy:
            raise ValueError(
                f"{self.device}: tREFI must be > {busy}, the clocks that a round of refresh can take,"
                f" not {self.tREFI}"
            )

    @property
    def units(self) -> int:
        """Ranks or pseudo-channels of a channel."""
        return self.ranks * self.pseudo_channels

    @property
    def banks_per_channel(self) -> int:
        """Banks of all ranks or pseudo-channels of a channel."""
        return self.units * self.bank_groups * self.banks

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all channels."""
        return self.channels * self.banks_per_channel * self.rows * self.columns * self.burst_bytes

    @property
    def clock_hz(self) -> Fraction:
        """Command clocks a second."""
        return Fraction(10**12, self.clock_ps)

    @property
    def offers_per_clock(self) -> int:
        """Requests that may be offered in a clock: `offers`, or one for each data bus."""
        return self.offers or self.channels * self.pseudo_channels

    @property
    def peak_bandwidth(self) -> float:
        """Bytes a second over all channels with every data pin busy."""
        return float(self.clock_hz * self.channels * self.pseudo_channels * self.burst_bytes / self.BL)

    def gaps(self) -> Gaps:
        """Clocks between commands. An activate counts from its last clock, the others have but one.

        Read to write leaves two clocks between the bursts on the data pins; pseudo-channels share no pins.
        """
        late = self.activate_clocks - 1
        shared = self.pseudo_channels == 1
        write_end = self.CWL + self.BL
        read_rank, write_rank = max(self.tCCD_S, self.BL), max(self.tCCD_S, self.BL)
        to_read = write_end + self.tWTR_S
        return Gaps(
            read_read_group=max(self.tCCD_L, read_rank),
            read_read_rank=read_rank,
            read_read_other=self.BL + self.tCS if shared else 0,
            read_write_rank=max(1, self.CL + self.BL + 2 - self.CWL),
            read_write_other=self.BL + self.tCS if shared else 0,
            write_write_group=max(self.tCCD_L, write_rank),
            write_write_rank=write_rank,
            write_write_other=self.BL if shared else 0,
            write_read_group=max(to_read, write_end + self.tWTR_L),
            write_read_rank=to_read,
            write_read_other=max(0, write_end + self.tCS - self.CL) if shared else 0,
            read_precharge=self.tRTP,
            write_precharge=write_end + self.tWR,
            activate_read=self.tRCDRD + late,
            activate_write=self.tRCDWR + late,
            activate_precharge=self.tRAS + late,
            activate_activate_bank=self.tRC,
            activate_activate_group=max(self.tRRD_L, self.tRRD_S),
            activate_activate_rank=self.tRRD_S,
            four_activates=self.tFAW,
            precharge_activate=self.tRP - late,
            precharge_refresh=self.tRP,
            activate_refresh=self.tRC + late,
            refresh_activate=self.tRFC - late,
            refresh_interval=self.tREFI,
            read_done=self.CL + self.BL,
            write_done=write_end,
        )


TIMINGS = (
    "BL",
    "CL",
    "CWL",
    "tRCDRD",
    "tRCDWR",
    "tRP",
    "tRAS",
    "tRC",
    "tWR",
    "tRTP",
    "tCCD_S",
    "tCCD_L",
    "tRRD_S",
    "tRRD_L",
    "tWTR_S",
    "tWTR_L",
    "tFAW",
    "tRFC",
    "tREFI",
)
COUNTED = ("clock_ps", "activate_clocks", *TIMINGS)
