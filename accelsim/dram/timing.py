"""A DRAM device as an architect reads it: organisation, timings in clocks, and the controller's choices.

`accelsim.dram.presets` has the devices with their sources; `gaps` says how many clocks must lie between
two commands, for the compiled controller. The checker derives its own from the same timings.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple, get_args, get_type_hints

from accelsim.dram.mapping import check_mapping, run_length
from accelsim.words import unknown

MOST_BANKS = 64
MOST_UNITS = 8
UNIT_MASK = MOST_UNITS - 1


class Gaps(NamedTuple):
    """Least clocks from one command to another, first clock to first clock.

    `_rank`: same rank (or pseudo-channel), `_other`: another. A `_rank` gap holds inside a bank group as
    well; a gap that is not positive is no constraint.
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
    precharge_precharge: int
    precharge_activate: int
    precharge_refresh: int
    precharge_all_refresh: int
    activate_refresh: int
    refresh_activate: int
    refresh_bank_activate: int
    refresh_bank_other: int
    refresh_bank_refresh: int
    activate_refresh_bank: int
    refresh_interval: int
    refresh_done: int
    read_done: int
    write_done: int


@dataclass(frozen=True, kw_only=True)
class Device:
    """A memory of `channels` equal channels. Timings (`t...`, `BL`, `CL`, `CWL`) are in clocks of `clock_ps`.

    `BL` is the burst in clocks; `columns` counts bursts in a row. A channel has `ranks` ranks, or
    `pseudo_channels` pseudo-channels with data pins of their own behind one command bus. With `buses` = 2
    a column and a row command may be sent in one clock. A command holds its bus for its `..._clocks`, and
    timings count from the last of them. `tBTR` lies between the data of a read and of a write. A `tRPab` of 0
    is tRP; `tPPD`, `tRREFD` and `tPBR2PBR` (from one bank's refresh to the next bank's) of 0 are none; a
    `tRFCpb` of 0 means that banks cannot be refreshed one by one.

    `page`: rows stay open; are closed once nothing queued wants them; or so `row_timeout` clocks after their
    last column command. `mapping` is a word of `accelsim.dram.mapping`; neighbouring `interleave` bytes stay
    in one channel (0: as the mapping says). In an accelerator a channel has at most `outstanding` bursts
    accepted and not back (0: no limit but the queues). `burst_pj`: energy of any burst, where a source
    counts no other (0: that of the device's currents).
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
    tBTR: int = 2  # noqa: N815
    tCS: int = 0  # noqa: N815
    tPPD: int = 0  # noqa: N815
    tRPab: int = 0  # noqa: N815
    tRFCpb: int = 0  # noqa: N815
    tRREFD: int = 0  # noqa: N815
    tPBR2PBR: int = 0  # noqa: N815
    buses: Literal[1, 2] = 1
    activate_clocks: int = 1
    column_clocks: int = 1
    precharge_clocks: int = 1
    refresh_clocks: int = 1
    refresh: Literal["all-bank", "per-bank"] = "all-bank"
    page: Literal["open", "closed", "timeout"] = "open"
    row_timeout: int = 100
    queue: int = 32
    write_high: float = 0.8
    write_low: float = 0.2
    offers: int = 0
    mapping: str = "RoBaRaCoCh"
    interleave: int = 0
    outstanding: int = 0
    most_ranks: int = 4
    burst_pj: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("ranks", "bank_groups", "banks", "rows", "columns", "burst_bytes"):
            value = getattr(self, name)
            if value < 1 or value & (value - 1):
                raise ValueError(f"{self.device}: {name} must be a power of two, not {value}")
        for name in COUNTED:
            if getattr(self, name) < 1:
                raise ValueError(f"{self.device}: {name} must be >= 1, not {getattr(self, name)}")
        for name in (*OPTIONAL_TIMINGS, "row_timeout", "offers", "interleave", "outstanding", "burst_pj"):
            if getattr(self, name) < 0:
                raise ValueError(f"{self.device}: {name} must be >= 0, not {getattr(self, name)}")
        for name, kind in CHOICES.items():
            if getattr(self, name) not in kind:
                raise ValueError(unknown(f"{self.device}: {name}", getattr(self, name), kind))
        self._check_organisation()
        if not 1 <= self.queue <= 256:
            raise ValueError(f"{self.device}: queue must be from 1 to 256, not {self.queue}")
        if not 0 <= self.write_low < self.write_high <= 1:
            raise ValueError(
                f"{self.device}: write_low must be below write_high, both from 0 to 1,"
                f" not {self.write_low} and {self.write_high}"
            )
        self._check_refresh()
        check_mapping(self)

    def _check_organisation(self) -> None:
        if self.pseudo_channels not in (1, 2):
            raise ValueError(f"{self.device}: pseudo_channels must be 1 or 2, not {self.pseudo_channels}")
        if self.pseudo_channels > 1 and self.ranks > 1:
            raise ValueError(
                f"{self.device}: ranks must be 1 with pseudo-channels (stacks of ranks are not modelled),"
                f" not {self.ranks}"
            )
        if self.ranks > min(self.most_ranks, MOST_UNITS):
            raise ValueError(
                f"{self.device}: ranks must be <= {min(self.most_ranks, MOST_UNITS)}, not {self.ranks}"
            )
        if self.buses not in (1, 2):
            raise ValueError(f"{self.device}: buses must be 1 or 2, not {self.buses}")
        if self.banks_per_channel > MOST_BANKS:
            raise ValueError(
                f"{self.device}: banks of a channel must be <= {MOST_BANKS}, not {self.banks_per_channel}"
            )

    def _check_refresh(self) -> None:
        # The ranks of a channel are refreshed one after the other before the next round is due.
        close = self.tRAS + self.tWR + self.CWL + self.BL + max(self.tRP, self.tRPab) + 2
        busy = self.units * close + self.tRFC
        if self.tREFI <= busy:
            raise ValueError(
                f"{self.device}: tREFI must be > {busy}, the clocks that a round of refresh can take,"
                f" not {self.tREFI}"
            )
        if self.refresh == "all-bank":
            return
        if self.tRFCpb == 0:
            raise ValueError(f"{self.device}: refresh must be 'all-bank' (it has no tRFCpb), not 'per-bank'")
        apart = max(self.tPBR2PBR, self.tRREFD, self.tRRD_S, -(-self.tFAW // 4))
        if self.tREFI // self.banks_per_channel <= apart:
            raise ValueError(
                f"{self.device}: tREFI must be >= {(apart + 1) * self.banks_per_channel} with 'per-bank'"
                f" refresh of {self.banks_per_channel} banks, not {self.tREFI}"
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

    @property
    def stream_bandwidth(self) -> float:
        """Bytes a second of reads in order of address, as far as bank groups, queue and refresh let them.

        `run` bursts of a channel lie in one bank group and are `apart` clocks apart; the queue reaches into
        so many runs that `pace` bursts a clock go on together. The last of a run, as many as the queue holds,
        take `queue * apart` clocks, in which `ahead` bursts of the next are served already. Turns from reads
        to writes and back are not in it.
        """
        run, apart = run_length(self), max(self.tCCD_S, self.tCCD_L, self.BL)
        together = min(self.units * self.bank_groups, 1 + -(-self.queue // run))
        pace = min(self.pseudo_channels / self.BL, together / apart)
        ahead = self.queue * (apart * pace - 1)
        clocks = max(run / pace, (run - ahead) * apart)
        refreshed = self.tRFC / self.tREFI if self.refresh == "all-bank" else 0.0
        bursts_per_clock = self.channels * run / clocks * (1 - refreshed)
        return float(self.clock_hz) * self.burst_bytes * bursts_per_clock

    def gaps(self) -> Gaps:
        """Clocks between the first clocks of commands; the timings count between their last clocks.

        Ranks share pins, with `tCS` between their bursts; pseudo-channels share none. The refresh of one bank
        is to the others of its rank what an activate is.
        """
        activate, column = self.activate_clocks, self.column_clocks
        precharge, refresh = self.precharge_clocks, self.refresh_clocks
        shared = self.pseudo_channels == 1
        same = max(self.tCCD_S, self.BL)
        write_end = self.CWL + self.BL
        to_read = write_end + self.tWTR_S
        return Gaps(
            read_read_group=max(self.tCCD_L, same),
            read_read_rank=same,
            read_read_other=self.BL + self.tCS if shared else 0,
            read_write_rank=max(1, self.CL + self.BL + self.tBTR - self.CWL),
            read_write_other=self.BL + self.tCS if shared else 0,
            write_write_group=max(self.tCCD_L, same),
            write_write_rank=same,
            write_write_other=self.BL if shared else 0,
            write_read_group=max(to_read, write_end + self.tWTR_L),
            write_read_rank=to_read,
            write_read_other=max(0, write_end + self.tCS - self.CL) if shared else 0,
            read_precharge=self.tRTP + column - precharge,
            write_precharge=write_end + self.tWR + column - precharge,
            activate_read=self.tRCDRD + activate - column,
            activate_write=self.tRCDWR + activate - column,
            activate_precharge=self.tRAS + activate - precharge,
            activate_activate_bank=self.tRC,
            activate_activate_group=max(self.tRRD_L, self.tRRD_S),
            activate_activate_rank=self.tRRD_S,
            four_activates=self.tFAW,
            precharge_precharge=self.tPPD,
            precharge_activate=self.tRP + precharge - activate,
            precharge_refresh=self.tRP + precharge - refresh,
            precharge_all_refresh=max(self.tRP, self.tRPab) + precharge - refresh,
            activate_refresh=self.tRC + activate - refresh,
            refresh_activate=self.tRFC + refresh - activate,
            refresh_bank_activate=self.tRFCpb + refresh - activate,
            refresh_bank_other=max(self.tRREFD, self.tRRD_S) + refresh - activate,
            refresh_bank_refresh=max(self.tPBR2PBR, self.tRREFD),
            activate_refresh_bank=self.tRRD_S + activate - refresh,
            refresh_interval=self.tREFI // (1 if self.refresh == "all-bank" else self.banks_per_channel),
            refresh_done=self.tRFC if self.refresh == "all-bank" else self.tRFCpb,
            read_done=self.CL + self.BL + column - 1,
            write_done=write_end + column - 1,
        )


CHOICES = {name: get_args(get_type_hints(Device)[name]) for name in ("refresh", "page")}
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
OPTIONAL_TIMINGS = ("tBTR", "tCS", "tPPD", "tRPab", "tRFCpb", "tRREFD", "tPBR2PBR")
COMMAND_CLOCKS = ("activate_clocks", "column_clocks", "precharge_clocks", "refresh_clocks")
COUNTED = ("clock_ps", "channels", *COMMAND_CLOCKS, *TIMINGS)
