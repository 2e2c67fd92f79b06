"""The controller's rules once more, clock by clock in plain Python: lists that are searched, nothing kept.

The checker's rules say when a command may be sent; this file says which one is.
"""

from collections import deque
from dataclasses import dataclass, field

from traffic import decode

from accelsim.dram.checker import ACT, PRE, PREA, RD, REF, WR, _Channel
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
    refresh: deque[int] = field(default_factory=deque)
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
        if clock % self.device.tREFI == 0:
            self.refresh.extend(range(self.device.units))
        if self.device.buses == 1:
            _ = self._send_active(clock) or self._send_refresh(clock) or self._send_queued(clock, None)
        else:
            _ = self._send_active(clock) or self._send_queued(clock, (RD, WR))
            _ = self._send_refresh(clock) or self._send_queued(clock, (ACT, PRE))

    def _ready(self, clock: int, command: int, rank: int, bank: int) -> bool:
        past, group = self.past, bank // self.device.banks
        rules = past._buses(command)
        if command in (RD, WR):
            rules = rules + past._column(command, rank, group, bank)
        elif command == ACT:
            rules = rules + past._activate(rank, group, bank)
        elif command == REF:
            rules = rules + past._refresh(rank)
        else:
            banks = [bank] if command == PRE else [b for r, b in past.rows if r == rank]
            for one in banks:
                rules = rules + past._precharge(rank, one)
        return all(clock >= earliest for _, earliest in rules)

    def _send(self, clock: int, command: int, rank: int, bank: int, place: int) -> None:
        broken = self.past.send(clock, command, rank, bank, place)
        assert not broken
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
        rank = self.refresh[0]
        is_open = any(open_rank == rank for open_rank, _ in self.past.rows)
        if is_open and any(request.rank == rank for request in self.active):
            return False
        command = PREA if is_open else REF
        if not self._ready(clock, command, rank, 0):
            return False
        self._send(clock, command, rank, 0, 0)
        if command == REF:
            self.refresh.popleft()
        return True

    def _send_queued(self, clock: int, allowed: tuple[int, int] | None) -> bool:
        if self.refresh:
            return False
        high, low = 0.8 * self.device.queue, 0.2 * self.device.queue
        if not self.writing:
            self.writing = len(self.writes) > high or not self.reads
        elif len(self.writes) < low and self.reads:
            self.writing = False
        queue = self.writes if self.writing else self.reads
        for request in queue:
            row = self.past.rows.get((request.rank, request.bank))
            command = ACT if row is None else PRE if row != request.row else WR if request.write else RD
            if allowed and command not in allowed:
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
