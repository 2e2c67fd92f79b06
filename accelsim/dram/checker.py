"""Is a stream of commands legal? A second opinion in plain Python that shares no code with the controller.

It knows a device's timings by their JEDEC names and looks, for every command, at the commands before it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from accelsim.dram.timing import Device

ACT, PRE, PREA, RD, WR, REF, REFPB = range(7)
NAMES = ("ACT", "PRE", "PREA", "RD", "WR", "REF", "REFpb")
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
        place = f"channel {self.channel}, rank {self.rank}, bank {self.bank}"
        return f"{self.rule}: {NAMES[self.command]} at clock {self.clock}, {place}"


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
    """What was sent to one channel so far: the last clock of each command by bank, group and rank.

    A command of several clocks counts from the last of them, to the last of the next.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        d = device
        self.clocks = {ACT: d.activate_clocks, RD: d.column_clocks, WR: d.column_clocks}
        self.clocks |= {PRE: d.precharge_clocks, PREA: d.precharge_clocks}
        self.clocks |= {REF: d.refresh_clocks, REFPB: d.refresh_clocks}
        self.rows: dict[tuple[int, int], int] = {}
        never = -(1 << 60)
        self.by_bank: dict[tuple[int, int, int], int] = defaultdict(lambda: never)
        self.by_group: dict[tuple[int, int, int], int] = defaultdict(lambda: never)
        self.by_rank: dict[tuple[int, int], int] = defaultdict(lambda: never)
        self.activates: dict[int, deque[int]] = defaultdict(lambda: deque(maxlen=4))
        self.refreshes: dict[tuple[int, int], int] = defaultdict(int)
        self.row_bus_free = self.column_bus_free = never

    def send(self, clock: int, command: int, rank: int, bank: int, place: int) -> list[str]:
        """Names of the rules that this command breaks; then it counts as sent."""
        broken = [rule for rule, earliest in self.earliest(command, rank, bank) if clock < earliest]
        is_open = (rank, bank) in self.rows
        if command in COLUMN_COMMANDS and not is_open:
            broken.append("column command to a closed bank")
        elif command == ACT and is_open:
            broken.append("activate of an open bank")
        elif command == REFPB and is_open:
            broken.append("refresh of an open bank")
        elif command == REF and any(open_rank == rank for open_rank, _ in self.rows):
            broken.append("refresh with an open row")
        refreshed = (rank, bank if self.device.refresh == "per-bank" else 0)
        if (clock // self.device.tREFI) - self.refreshes[refreshed] > LATE_REFRESHES:
            broken.append("tREFI")
        self._sent(clock, command, rank, bank, place)
        return broken

    def earliest(self, command: int, rank: int, bank: int) -> list[tuple[str, int]]:
        """Each rule's name and the first clock in which the command may begin."""
        group = bank // self.device.banks
        if command in COLUMN_COMMANDS:
            rules = self._column(command, rank, group, bank)
        elif command == ACT:
            rules = self._activate(rank, group, bank)
        elif command == REF:
            rules = self._refresh(rank)
        elif command == REFPB:
            rules = self._refresh_bank(rank, group, bank)
        else:
            banks = [bank] if command == PRE else [b for r, b in self.rows if r == rank]
            rules = [rule for one in banks for rule in self._precharge(rank, one)]
        late = self.clocks[command] - 1
        return [self.bus(command), *((rule, at - late) for rule, at in rules)]

    def bus(self, command: int) -> tuple[str, int]:
        """The command's bus, and the first clock in which it is free."""
        if command in COLUMN_COMMANDS and self.device.buses == 2:
            return "column bus", self.column_bus_free
        return "row bus" if self.device.buses == 2 else "command bus", self.row_bus_free

    def _sent(self, clock: int, command: int, rank: int, bank: int, place: int) -> None:
        group, at = bank // self.device.banks, clock + self.clocks[command] - 1
        if command in COLUMN_COMMANDS and self.device.buses == 2:
            self.column_bus_free = at + 1
        else:
            self.row_bus_free = at + 1
        self.by_bank[command, rank, bank] = at
        self.by_rank[command, rank] = at
        if command in (ACT, REFPB):
            # To the other banks of its rank a bank's refresh is what an activate is.
            self.by_group[ACT, rank, group] = self.by_rank[ACT, rank] = at
            self.activates[rank].append(at)
        else:
            self.by_group[command, rank, group] = at
        if command == ACT:
            self.rows[rank, bank] = place
        elif command in (REF, REFPB):
            self.refreshes[rank, bank if command == REFPB else 0] += 1
        elif command in (PRE, PREA):
            for one in [bank] if command == PRE else [b for r, b in self.rows if r == rank]:
                self.rows.pop((rank, one), None)
                self.by_bank[PRE, rank, one] = at

    def _column(self, command: int, rank: int, group: int, bank: int) -> list[tuple[str, int]]:
        """A read or write against activates, reads and writes. Data lies on the pins CL or CWL later."""
        d = self.device
        activated = self.by_bank[ACT, rank, bank]
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
                ("tBTR", read + d.CL + d.BL + d.tBTR - d.CWL),
            ]
            rules += [("tCS", self.by_rank[RD, other] + d.BL + d.tCS) for other in others]
            rules += [("BL", self.by_rank[WR, other] + d.BL) for other in others]
        return rules

    def _precharge(self, rank: int, bank: int) -> list[tuple[str, int]]:
        d = self.device
        return [
            ("tRAS", self.by_bank[ACT, rank, bank] + d.tRAS),
            ("tRTP", self.by_bank[RD, rank, bank] + d.tRTP),
            ("tWR", self.by_bank[WR, rank, bank] + d.CWL + d.BL + d.tWR),
            ("tPPD", max(self.by_rank[PRE, rank], self.by_rank[PREA, rank]) + d.tPPD),
        ]

    def _activate(self, rank: int, group: int, bank: int) -> list[tuple[str, int]]:
        d = self.device
        return [
            ("tRC", self.by_bank[ACT, rank, bank] + d.tRC),
            ("tRP", self.by_bank[PRE, rank, bank] + d.tRP),
            ("tRFC", self.by_rank[REF, rank] + d.tRFC),
            ("tRFCpb", self.by_bank[REFPB, rank, bank] + d.tRFCpb),
            ("tRREFD", self.by_rank[REFPB, rank] + d.tRREFD),
            *self._together(rank, group),
        ]

    def _together(self, rank: int, group: int) -> list[tuple[str, int]]:
        """So many activates at once, of whatever banks."""
        d = self.device
        rules = [
            ("tRRD_L", self.by_group[ACT, rank, group] + d.tRRD_L),
            ("tRRD_S", self.by_rank[ACT, rank] + d.tRRD_S),
        ]
        if len(self.activates[rank]) == 4:
            rules.append(("tFAW", self.activates[rank][0] + d.tFAW))
        return rules

    def _refresh(self, rank: int) -> list[tuple[str, int]]:
        d = self.device
        return [
            ("tRP", self.by_rank[PRE, rank] + d.tRP),
            ("tRPab", self.by_rank[PREA, rank] + (d.tRPab or d.tRP)),
            ("tRC", self.by_rank[ACT, rank] + d.tRC),
            ("tRFC", self.by_rank[REF, rank] + d.tRFC),
        ]

    def _refresh_bank(self, rank: int, group: int, bank: int) -> list[tuple[str, int]]:
        d = self.device
        return [
            ("tRP", self.by_bank[PRE, rank, bank] + d.tRP),
            ("tRC", self.by_bank[ACT, rank, bank] + d.tRC),
            ("tRFCpb", self.by_bank[REFPB, rank, bank] + d.tRFCpb),
            ("tRREFD", self.by_rank[REFPB, rank] + d.tRREFD),
            ("tPBR2PBR", self.by_rank[REFPB, rank] + d.tPBR2PBR),
            *self._together(rank, group),
        ]
