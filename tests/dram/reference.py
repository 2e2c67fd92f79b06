"""The controller's rules once more, clock by clock in plain Python: lists that are searched, nothing kept.

The checker's rules say when a command may be sent; this file says which one is.
"""

from collections import deque
from dataclasses import dataclass, field

from traffic import decode

from accelsim.dram.checker import ACT, PRE, PREA, RD, REF, REFPB, WR, _Channel
from accelsim.dram.timing import Device
from accelsim.dram.trace import Chunk


@dataclass(eq=False)
class Request:
    write: bool
    line: int
    rank: int
    bank: int
    row: int
    column: int
    arrived: int


@dataclass(eq=False)
class Controller:
    """One channel."""

    device: Device
    number: int
    reads: list[Request] = field(default_factory=list)
    writes: list[Request] = field(default_factory=list)
    active: list[Request] = field(default_factory=list)
    writing: bool = False
    refresh: deque[tuple[int, int]] = field(default_factory=deque)
    turn: int = 0
    used: dict[tuple[int, int], int] = field(default_factory=dict)
    sent: list[tuple[int, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.past = _Channel(self.device)

    def accept(self, request: Request) -> bool:
        """Before the clock's commands are chosen."""
        if any(other.line == request.line for other in self.writes):
            return True
        queue = self.writes if request.write else self.reads
        if len(queue) == self.device.queue:
            return False
        queue.append(request)
        return True

    def tick(self, clock: int) -> None:
        device = self.device
        if device.refresh == "all-bank":
            if clock % device.tREFI == 0:
                self.refresh.extend((rank, 0) for rank in range(device.units))
        elif clock % (device.tREFI // device.banks_per_channel) == 0:
            self.refresh.append(divmod(self.turn, device.bank_groups * device.banks))
            self.turn = (self.turn + 1) % device.banks_per_channel
        if device.buses == 1:
            if self.past.bus(ACT)[1] > clock:
                return
            if not self._send_active(clock):
                self._choose_mode()
                _ = self._send_refresh(clock) or self._send_queued(clock, None) or self._send_idle(clock)
            return
        if not self._send_active(clock):
            self._choose_mode()
            self._send_queued(clock, (RD, WR))
        self._choose_mode()
        _ = self._send_refresh(clock) or self._send_queued(clock, (ACT, PRE)) or self._send_idle(clock)

    def _ready(self, clock: int, command: int, rank: int, bank: int) -> bool:
        return all(clock >= earliest for _, earliest in self.past.earliest(command, rank, bank))

    def _send(self, clock: int, command: int, rank: int, bank: int, place: int) -> None:
        broken = self.past.send(clock, command, rank, bank, place)
        assert not broken
        if command in (RD, WR):
            self.used[rank, bank] = clock
        self.sent.append((clock, self.number, command, rank, bank, place))

    def _send_active(self, clock: int) -> bool:
        for request in sorted(self.active, key=lambda request: request.arrived):
            command = WR if request.write else RD
            if self._ready(clock, command, request.rank, request.bank):
                self.active.remove(request)
                self._send(clock, command, request.rank, request.bank, request.column)
                return True
        return False

    def _send_refresh(self, clock: int) -> bool:
        if not self.refresh:
            return False
        rank, bank = self.refresh[0]
        single = self.device.refresh == "per-bank"
        is_open = (rank, bank) in self.past.rows if single else any(r == rank for r, _ in self.past.rows)
        if is_open and any(a.rank == rank and (a.bank == bank or not single) for a in self.active):
            return False
        command = (PRE if single else PREA) if is_open else (REFPB if single else REF)
        if not self._ready(clock, command, rank, bank):
            return False
        self._send(clock, command, rank, bank, 0)
        if not is_open:
            self.refresh.popleft()
        return True

    def _choose_mode(self) -> None:
        if self.refresh and self.device.refresh == "all-bank":
            return
        high, low = self.device.write_high * self.device.queue, self.device.write_low * self.device.queue
        if not self.writing:
            self.writing = len(self.writes) > high or not self.reads
        elif len(self.writes) < low and self.reads:
            self.writing = False

    def _send_idle(self, clock: int) -> bool:
        """Close a row that nothing queued wants, the bank of the lowest number first."""
        device = self.device
        if device.page == "open" or (self.refresh and device.refresh == "all-bank"):
            return False
        timeout = device.row_timeout if device.page == "timeout" else 0
        for (rank, bank), row in sorted(self.past.rows.items()):
            if any((a.rank, a.bank) == (rank, bank) for a in self.active):
                continue
            queued = [r for r in self.reads + self.writes if (r.rank, r.bank, r.row) == (rank, bank, row)]
            if queued and (rank, bank) not in self._held():
                continue
            if clock >= self.used[rank, bank] + timeout and self._ready(clock, PRE, rank, bank):
                self._send(clock, PRE, rank, bank, 0)
                return True
        return False

    def _held(self) -> set[tuple[int, int]]:
        """The bank that waits for its refresh: nothing is asked of it."""
        return {self.refresh[0]} if self.refresh and self.device.refresh == "per-bank" else set()

    def _send_queued(self, clock: int, allowed: tuple[int, int] | None) -> bool:
        if self.refresh and self.device.refresh == "all-bank":
            return False
        queue = self.writes if self.writing else self.reads
        for request in queue:
            row = self.past.rows.get((request.rank, request.bank))
            command = ACT if row is None else PRE if row != request.row else WR if request.write else RD
            if (allowed and command not in allowed) or (request.rank, request.bank) in self._held():
                continue
            if command == PRE and any(
                (other.rank, other.bank) == (request.rank, request.bank) for other in self.active
            ):
                continue
            if not self._ready(clock, command, request.rank, request.bank):
                continue
            if command != PRE:
                queue.remove(request)
            if command == ACT:
                self.active.append(request)
            place = {ACT: request.row, PRE: 0}.get(command, request.column)
            self._send(clock, command, request.rank, request.bank, place)
            return True
        return False


def simulate(device: Device, requests: Chunk) -> tuple[int, list[tuple[int, ...]]]:
    """The clock in which the last request is accepted, and the commands until all are served."""
    channels = [Controller(device, number) for number in range(device.channels)]
    waiting = deque(
        zip(requests.lines.tolist(), requests.writes.tolist(), requests.earliest.tolist(), strict=True)
    )
    clock = last = 0
    while waiting or any(c.reads or c.writes or c.active for c in channels):
        clock += 1
        for _ in range(1 if clock == 1 else device.offers_per_clock):
            if not waiting or waiting[0][2] > clock:
                break
            line, write, _ = waiting[0]
            channel, rank, bank, row, column = decode(device, line)
            if not channels[channel].accept(Request(bool(write), line, rank, bank, row, column, clock)):
                break
            waiting.popleft()
            last = clock
        for channel in channels:
            channel.tick(clock)
    return last, [command for channel in channels for command in channel.sent]
