"""Is a stream of commands legal? A second opinion in plain Python that shares no code with the controller.

It knows a device's timings by their JEDEC names and looks, for every command, at the commands before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from accelsim.dram.timing import Device

ACT, PRE, PREA, RD, WR, REF, REFPB = range(7)
NAMES = ("ACT", "PRE", "PREA", "RD", "WR", "REF", "REFpb")
COLUMN_COMMANDS = (RD, WR)
# What those are called that find a row open.
OPENED = {ACT: "activate of an open bank", REFPB: "refresh of an open bank", REF: "refresh with an open row"}
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


# What a rule looks at: what was sent to the same bank, to its group, to its rank, or to another rank.
BANK, GROUP, RANK, OTHERS = range(4)
NEVER = -(1 << 60)

# Name, the last clocks by place, which place, and the least clocks since then.
_Rule = tuple[str, list[int], int, int]


class _Channel:
    """What was sent to one channel so far: the last clock of each command by bank, group and rank.

    A command of several clocks counts from the last of them, to the last of the next.
    """

    def __init__(self, device: Device) -> None:
        self.device = d = device
        self.clocks = [d.activate_clocks, d.precharge_clocks, d.precharge_clocks]
        self.clocks += [d.column_clocks, d.column_clocks, d.refresh_clocks, d.refresh_clocks]
        self.group_banks, self.rank_banks = d.banks, d.banks * d.bank_groups
        self.rows: dict[tuple[int, int], int] = {}
        counts = {
            BANK: d.units * self.rank_banks,
            GROUP: d.units * d.bank_groups,
            RANK: d.units,
            OTHERS: d.units,
        }
        # [place][command][its number]
        self.last = [[[NEVER] * counts[place] for _ in NAMES] for place in range(4)]
        self.activates = [deque([NEVER] * 4, maxlen=4) for _ in range(d.units)]
        self.fourth = [NEVER] * d.units
        # The clock by which each bank must have been refreshed once more.
        self.refreshed_until = [(LATE_REFRESHES + 1) * d.tREFI] * counts[BANK]
        self.is_open = [False] * counts[BANK]
        self.others = [
            [o for o in range(d.units) if o != r and d.pseudo_channels == 1] for r in range(d.units)
        ]
        self.on_column_bus = [command in COLUMN_COMMANDS and d.buses == 2 for command in range(len(NAMES))]
        self.row_bus_free = self.column_bus_free = NEVER
        self.rules = [self._rules(command) for command in range(len(NAMES))]

    def send(self, clock: int, command: int, rank: int, bank: int, place: int) -> list[str]:
        """Names of the rules that this command breaks; then it counts as sent."""
        broken = []
        number = rank * self.rank_banks + bank
        numbers = number, number // self.group_banks, rank, rank
        if clock < (self.column_bus_free if self.on_column_bus[command] else self.row_bus_free):
            broken.append(self.bus(command)[0])
        at = clock + self.clocks[command] - 1
        if command == PREA:
            broken += [rule for rule, earliest in self.earliest(PREA, rank, bank)[1:] if clock < earliest]
        else:
            for rule, last, where, clocks in self.rules[command]:
                if at < last[numbers[where]] + clocks:
                    broken.append(rule)
        if command in COLUMN_COMMANDS:
            if not self.is_open[number]:
                broken.append("column command to a closed bank")
        elif command in OPENED and (self.is_open[number] or (command == REF and self._is_any_open(rank))):
            broken.append(OPENED[command])
        if clock >= self.refreshed_until[number]:
            broken.append("tREFI")
        self._sent(at, command, rank, bank, numbers, place)
        return broken

    def _is_any_open(self, rank: int) -> bool:
        return any(open_rank == rank for open_rank, _ in self.rows)

    def earliest(self, command: int, rank: int, bank: int) -> list[tuple[str, int]]:
        """Each rule's name and the first clock in which the command may begin."""
        late, found = self.clocks[command] - 1, [self.bus(command)]
        banks = [bank] if command != PREA else [b for r, b in self.rows if r == rank]
        for one in banks:
            number = rank * self.rank_banks + one
            numbers = number, number // self.group_banks, rank, rank
            for rule, last, where, clocks in self.rules[command]:
                found.append((rule, last[numbers[where]] + clocks - late))
        return found

    def bus(self, command: int) -> tuple[str, int]:
        """The command's bus, and the first clock in which it is free."""
        if command in COLUMN_COMMANDS and self.device.buses == 2:
            return "column bus", self.column_bus_free
        return "row bus" if self.device.buses == 2 else "command bus", self.row_bus_free

    def _sent(
        self, at: int, command: int, rank: int, bank: int, numbers: tuple[int, int, int, int], place: int
    ) -> None:
        if self.on_column_bus[command]:
            self.column_bus_free = at + 1
        else:
            self.row_bus_free = at + 1
        by_bank, by_group, by_rank, by_others = self.last
        by_bank[command][numbers[BANK]] = by_rank[command][rank] = at
        if command in COLUMN_COMMANDS:
            by_group[command][numbers[GROUP]] = at
            for other in self.others[rank]:
                by_others[command][other] = at
        elif command in (ACT, REFPB):
            # To the other banks of its rank a bank's refresh is what an activate is.
            by_group[ACT][numbers[GROUP]] = by_rank[ACT][rank] = at
            self.activates[rank].append(at)
            self.fourth[rank] = self.activates[rank][0]
            if command == ACT:
                self.rows[rank, bank], self.is_open[numbers[BANK]] = place, True
        if command in (PRE, PREA):
            for one in [bank] if command == PRE else [b for r, b in self.rows if r == rank]:
                number = rank * self.rank_banks + one
                self.rows.pop((rank, one), None)
                self.is_open[number], by_bank[PRE][number] = False, at
        elif command in (REF, REFPB):
            banks = [bank] if command == REFPB else range(self.rank_banks)
            for one in banks:
                self.refreshed_until[rank * self.rank_banks + one] += self.device.tREFI

    def _rules(self, command: int) -> list[_Rule]:
        if command in COLUMN_COMMANDS:
            return self._column(command)
        if command == ACT:
            return self._activate()
        if command == REF:
            return self._refresh()
        return self._refresh_bank() if command == REFPB else self._precharge()

    def _rule(self, name: str, place: int, command: int, clocks: int) -> _Rule:
        return name, self.last[place][command], place, clocks

    def _column(self, command: int) -> list[_Rule]:
        """A read or write against activates, reads and writes. Data lies on the pins CL or CWL later."""
        d, rule = self.device, self._rule
        written = d.CWL + d.BL
        rules = [
            rule("tCCD_L", GROUP, command, d.tCCD_L),
            rule("tCCD_S", RANK, command, d.tCCD_S),
            rule("BL", RANK, command, d.BL),
        ]
        if command == RD:
            rules += [
                rule("tRCDRD", BANK, ACT, d.tRCDRD),
                rule("tWTR_S", RANK, WR, written + d.tWTR_S),
                rule("tWTR_L", GROUP, WR, written + d.tWTR_L),
            ]
        else:
            rules += [
                rule("tRCDWR", BANK, ACT, d.tRCDWR),
                rule("tBTR", RANK, RD, d.CL + d.BL + d.tBTR - d.CWL),
            ]
        if d.units > 1 and d.pseudo_channels == 1:
            rules.append(rule("tCS", OTHERS, RD, d.BL + d.tCS))
            after_write = ("tCS", written + d.tCS - d.CL) if command == RD else ("BL", d.BL)
            rules.append(rule(after_write[0], OTHERS, WR, after_write[1]))
        return rules

    def _precharge(self) -> list[_Rule]:
        d, rule = self.device, self._rule
        return [
            rule("tRAS", BANK, ACT, d.tRAS),
            rule("tRTP", BANK, RD, d.tRTP),
            rule("tWR", BANK, WR, d.CWL + d.BL + d.tWR),
            rule("tPPD", RANK, PRE, d.tPPD),
            rule("tPPD", RANK, PREA, d.tPPD),
        ]

    def _activate(self) -> list[_Rule]:
        d, rule = self.device, self._rule
        return [
            rule("tRC", BANK, ACT, d.tRC),
            rule("tRP", BANK, PRE, d.tRP),
            rule("tRFC", RANK, REF, d.tRFC),
            rule("tRFCpb", BANK, REFPB, d.tRFCpb),
            rule("tRREFD", RANK, REFPB, d.tRREFD),
            *self._together(),
        ]

    def _together(self) -> list[_Rule]:
        """So many activates at once, of whatever banks."""
        d, rule = self.device, self._rule
        return [
            rule("tRRD_L", GROUP, ACT, d.tRRD_L),
            rule("tRRD_S", RANK, ACT, d.tRRD_S),
            ("tFAW", self.fourth, RANK, d.tFAW),
        ]

    def _refresh(self) -> list[_Rule]:
        d, rule = self.device, self._rule
        return [
            rule("tRP", RANK, PRE, d.tRP),
            rule("tRPab", RANK, PREA, d.tRPab or d.tRP),
            rule("tRC", RANK, ACT, d.tRC),
            rule("tRFC", RANK, REF, d.tRFC),
        ]

    def _refresh_bank(self) -> list[_Rule]:
        d, rule = self.device, self._rule
        return [
            rule("tRP", BANK, PRE, d.tRP),
            rule("tRC", BANK, ACT, d.tRC),
            rule("tRFCpb", BANK, REFPB, d.tRFCpb),
            rule("tRREFD", RANK, REFPB, d.tRREFD),
            rule("tPBR2PBR", RANK, REFPB, d.tPBR2PBR),
            *self._together(),
        ]
