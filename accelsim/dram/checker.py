"""Is a stream of commands legal? A second opinion in plain Python that shares no code with the controller.

It knows a device's timings by their JEDEC names and looks, for every command, at the commands before it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from accelsim.dram.timing import Device

ACT, PRE, PREA, RD, WR, REF = range(6)
COLUMN_COMMANDS = (RD, WR)
# Refreshes may be late: JEDEC lets eight of them wait.
LATE_REFRESHES = 8


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A rule that a command broke: the rule's name and the command."""

    rule: str
    clock: int
    channel: int
    command: int
    rank: int
    bank: int

    def __str__(self) -> str:
        name = ("ACT", "PRE", "PREA", "RD", "WR", "REF")[self.command]
        place = f"channel {self.channel}, rank {self.rank}, bank {self.bank}"
        return f"{self.rule}: {name} at clock {self.clock}, {place}"


def violations(device: Device, commands: Iterable[Sequence[int]]) -> list[Violation]:
    """Every rule that the rows (clock, channel, command, rank, bank in the rank, row or column) break.

    The rows of one channel must be in the order of their clocks.
    """
    channels: dict[int, _Channel] = {}
    found: list[Violation] = []
    for clock, channel, command, rank, bank, place in commands:
        if channel not in channels:
            channels[channel] = _Channel(device)
        for rule in channels[channel].send(clock, command, rank, bank, place):
            found.append(
                Violation(rule=rule, clock=clock, channel=channel, command=command, rank=rank, bank=bank)
            )
    return found


class _Channel:
    """What was sent to one channel so far: the last clock of each command by bank, group and rank."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.rows: dict[tuple[int, int], int] = {}
        never = -(1 << 60)
        self.by_bank: dict[tuple[int, int, int], int] = defaultdict(lambda: never)
        self.by_group: dict[tuple[int, int, int], int] = defaultdict(lambda: never)
        self.by_rank: dict[tuple[int, int], int] = defaultdict(lambda: never)
        self.activates: dict[int, deque[int]] = defaultdict(lambda: deque(maxlen=4))
        self.refreshes: dict[int, int] = defaultdict(int)
        self.row_bus_free = self.column_bus_free = never

    def send(self, clock: int, command: int, rank: int, bank: int, place: int) -> list[str]:
        """Names of the rules that this command breaks; then it counts as sent."""
        group = bank // self.device.banks
        least: list[tuple[str, int]] = self._buses(command)
        broken = []
        if command in COLUMN_COMMANDS:
            least += self._column(command, rank, group, bank)
            if (rank, bank) not in self.rows:
                broken.append("column command to a closed bank")
        elif command == ACT:
            least += self._activate(rank, group, bank)
            if (rank, bank) in self.rows:
                broken.append("activate of an open bank")
            self.rows[rank, bank] = place
            self.activates[rank].append(clock)
        elif command == REF:
            least += self._refresh(rank)
            if any(open_rank == rank for open_rank, _ in self.rows):
                broken.append("refresh with an open row")
            self.refreshes[rank] += 1
        else:
            banks = [bank] if command == PRE else [b for r, b in self.rows if r == rank]
            for one in banks:
                least += self._precharge(rank, one)
                self.rows.pop((rank, one), None)
                self.by_bank[PRE, rank, one] = clock
        if (clock // self.device.tREFI) - self.refreshes[rank] > LATE_REFRESHES:
            broken.append("tREFI")
        broken += [rule for rule, earliest in least if clock < earliest]
        self._sent(clock, command, rank, group, bank)
        return broken

    def _buses(self, command: int) -> list[tuple[str, int]]:
        if command in COLUMN_COMMANDS and self.device.buses == 2:
            return [("column bus", self.column_bus_free)]
        return [("row bus" if self.device.buses == 2 else "command bus", self.row_bus_free)]

    def _sent(self, clock: int, command: int, rank: int, group: int, bank: int) -> None:
        self.by_bank[command, rank, bank] = clock
        self.by_group[command, rank, group] = clock
        self.by_rank[PRE if command == PREA else command, rank] = clock
        if command in COLUMN_COMMANDS and self.device.buses == 2:
            self.column_bus_free = clock + 1
        else:
            self.row_bus_free = clock + (self.device.activate_clocks if command == ACT else 1)

    def _column(self, command: int, rank: int, group: int, bank: int) -> list[tuple[str, int]]:
        """A read or write against activates, reads and writes. Data lies on the pins CL or CWL later."""
        d = self.device
        activated = self.by_bank[ACT, rank, bank] + d.activate_clocks - 1
        read, write = self.by_rank[RD, rank], self.by_rank[WR, rank]
        same = self.by_rank[command, rank]
        rules = [
            ("tCCD_L", self.by_group[command, rank, group] + d.tCCD_L),
            ("tCCD_S", same + d.tCCD_S),
            ("BL", same + d.BL),
        ]
        others = [r for r in range(d.units) if r != rank] if d.pseudo_channels == 1 else []
        if command == RD:
            rules += [
                ("tRCDRD", activated + d.tRCDRD),
                ("tWTR_S", write + d.CWL + d.BL + d.tWTR_S),
                ("tWTR_L", self.by_group[WR, rank, group] + d.CWL + d.BL + d.tWTR_L),
            ]
            rules += [("tCS", self.by_rank[RD, other] + d.BL + d.tCS) for other in others]
            rules += [("tCS", self.by_rank[WR, other] + d.CWL + d.BL + d.tCS - d.CL) for other in others]
        else:
            rules += [
                ("tRCDWR", activated + d.tRCDWR),
                ("read to write", read + d.CL + d.BL + 2 - d.CWL),
            ]
            rules += [("tCS", self.by_rank[RD, other] + d.BL + d.tCS) for other in others]
            rules += [("BL", self.by_rank[WR, other] + d.BL) for other in others]
        return rules

    def _precharge(self, rank: int, bank: int) -> list[tuple[str, int]]:
        d = self.device
        return [
            ("tRAS", self.by_bank[ACT, rank, bank] + d.activate_clocks - 1 + d.tRAS),
            ("tRTP", self.by_bank[RD, rank, bank] + d.tRTP),
            ("tWR", self.by_bank[WR, rank, bank] + d.CWL + d.BL + d.tWR),
        ]

    def _activate(self, rank: int, group: int, bank: int) -> list[tuple[str, int]]:
        """An activate counts from its last clock, so that its first may be closer to what was before."""
        d = self.device
        late = d.activate_clocks - 1
        rules = [
            ("tRC", self.by_bank[ACT, rank, bank] + d.tRC),
            ("tRRD_L", self.by_group[ACT, rank, group] + d.tRRD_L),
            ("tRRD_S", self.by_rank[ACT, rank] + d.tRRD_S),
            ("tRP", self.by_bank[PRE, rank, bank] + d.tRP - late),
            ("tRFC", self.by_rank[REF, rank] + d.tRFC - late),
        ]
        if len(self.activates[rank]) == 4:
            rules.append(("tFAW", self.activates[rank][0] + d.tFAW))
        return rules

    def _refresh(self, rank: int) -> list[tuple[str, int]]:
        d = self.device
        return [
            ("tRP", self.by_rank[PRE, rank] + d.tRP),
            ("tRC", self.by_rank[ACT, rank] + d.activate_clocks - 1 + d.tRC),
            ("tRFC", self.by_rank[REF, rank] + d.tRFC),
        ]
