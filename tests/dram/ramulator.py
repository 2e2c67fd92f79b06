"""Ramulator 2.1's rules, clock by clock: a tree of nodes that each remember what they must wait for.

Written from its published configuration (DDR4_2400U and HBM2_2000Mbps of 8 Gb, controllers GenericDDR and
HBM12, FRFCFS, Open, AllBank, CacheLineInterleave, front end LoadStoreTrace). It shares nothing with the
model: timings, rules, address order and state are its own.
"""

from collections import deque
from dataclasses import dataclass, field
from itertools import count

CHANNEL, RANK, GROUP, BANK = range(4)
ACT, PRE, PREA, RD, WR, REF = range(6)
ROW_COMMANDS, COLUMN_COMMANDS = (ACT, PRE, PREA, REF), (RD, WR)
# As the model's log numbers them.
LOGGED = {ACT: 0, PRE: 1, PREA: 2, RD: 3, WR: 4, REF: 5}

NAMES = ["BL", "CL", "CWL", "RCDRD", "RCDWR", "RP", "RAS", "RC", "WR", "RTP", "CCDS", "CCDL", "RRDS", "RRDL"]
NAMES += ["WTRS", "WTRL", "FAW", "RFC", "REFI"]
# Bits of a column's and a burst's number, counts, clocks of an activate on its bus.
NAMES += ["column", "offset", "channels", "ranks", "activate"]
_DDR4 = [4, 17, 12, 17, 17, 17, 39, 56, 18, 9, 4, 6, 4, 6, 3, 9, 26, 433, 9364, 7, 6, 1, 1, 1]
_HBM2 = [2, 14, 5, 14, 12, 14, 34, 48, 16, 5, 2, 4, 4, 4, 6, 8, 15, 350, 3900, 5, 5, 8, 2, 2]
DDR4 = {**dict(zip(NAMES, _DDR4, strict=True)), "CS": 2}
HBM2 = dict(zip(NAMES, _HBM2, strict=True))


def rules(t: dict[str, int]) -> list[tuple[int, int, int, int, int, bool]]:
    """(level, command, later command, clocks, of the last so many, to the other nodes of the level)."""
    written = t["CWL"] + t["BL"]
    table = [
        (RANK, RD, RD, t["CCDS"]),
        (RANK, WR, WR, t["CCDS"]),
        (RANK, RD, WR, t["CL"] + t["BL"] + 2 - t["CWL"]),
        (RANK, WR, RD, written + t["WTRS"]),
        (RANK, RD, PREA, t["RTP"]),
        (RANK, WR, PREA, written + t["WR"]),
        (RANK, ACT, ACT, t["RRDS"]),
        (RANK, ACT, PREA, t["RAS"]),
        (RANK, PREA, ACT, t["RP"]),
        (RANK, ACT, REF, t["RC"]),
        (RANK, PRE, REF, t["RP"]),
        (RANK, PREA, REF, t["RP"]),
        (RANK, REF, ACT, t["RFC"]),
        (RANK, REF, PREA, t["RFC"]),
        (GROUP, RD, RD, t["CCDL"]),
        (GROUP, WR, WR, t["CCDL"]),
        (GROUP, WR, RD, written + t["WTRL"]),
        (GROUP, ACT, ACT, t["RRDL"]),
        (BANK, ACT, ACT, t["RC"]),
        (BANK, ACT, RD, t["RCDRD"]),
        (BANK, ACT, WR, t["RCDWR"]),
        (BANK, ACT, PRE, t["RAS"]),
        (BANK, PRE, ACT, t["RP"]),
        (BANK, RD, PRE, t["RTP"]),
        (BANK, WR, PRE, written + t["WR"]),
        *[(CHANNEL if "CS" in t else RANK, command, command, t["BL"]) for command in COLUMN_COMMANDS],
    ]
    # A command counts from its last clock, and is sent in its first.
    late = {ACT: t["activate"] - 1}
    found = [(*rule[:3], rule[3] + late.get(rule[1], 0) - late.get(rule[2], 0), 1, False) for rule in table]
    found.append((RANK, ACT, ACT, t["FAW"], 4, False))
    if t["activate"] > 1:
        found += [(CHANNEL, ACT, command, t["activate"], 1, False) for command in ROW_COMMANDS]
    if "CS" in t:
        found += [(RANK, RD, command, t["BL"] + t["CS"], 1, True) for command in COLUMN_COMMANDS]
        found.append((RANK, WR, RD, written + t["CS"] - t["CL"], 1, True))
    return found


class Node:
    """A channel, rank (pseudo-channel), group or bank, and what it knows of each command's first clock."""

    def __init__(self, level: int, number: int, counts: list[int], table: list) -> None:
        self.level, self.number = level, number
        self.rules = [rule[1:] for rule in table if rule[0] == level]
        self.ready = [0] * 6
        self.past: list[deque[int]] = [deque(maxlen=4) for _ in range(6)]
        below = counts[level + 1] if level < BANK else 0
        self.below = [Node(level + 1, n, counts, table) for n in range(below)]

    def sent(self, command: int, path: tuple[int | None, ...], clock: int) -> None:
        mine = path[self.level] in (None, self.number)
        if mine:
            self.past[command].appendleft(clock)
        for before, after, clocks, window, other in self.rules:
            if before == command and other != mine and (other or len(self.past[command]) >= window):
                since = clock if other else self.past[command][window - 1]
                self.ready[after] = max(self.ready[after], since + clocks)
        if mine:
            for node in self.below:
                node.sent(command, path, clock)

    def is_ready(self, command: int, path: tuple[int | None, ...], clock: int) -> bool:
        if clock < self.ready[command]:
            return False
        if not self.below:
            return True
        number = path[self.level + 1]
        nodes = self.below if number is None else [self.below[number]]
        return all(node.is_ready(command, path, clock) for node in nodes)


@dataclass(eq=False)
class Request:
    final: int
    path: tuple[int | None, ...]
    row: int = 0
    column: int = 0
    address: int = -1
    arrived: int = 0


@dataclass(eq=False)
class Controller:
    timings: dict[str, int]
    number: int
    clock: int = 0
    writing: bool = False
    rows: dict[tuple[int | None, ...], int] = field(default_factory=dict)
    active: list[Request] = field(default_factory=list)
    refreshes: deque[Request] = field(default_factory=deque)
    queues: dict[int, list[Request]] = field(default_factory=lambda: {RD: [], WR: []})
    log: list[tuple[int, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tree = Node(CHANNEL, 0, [1, self.timings["ranks"], 4, 4], rules(self.timings))

    def take(self, request: Request) -> bool:
        if any(write.address == request.address for write in self.queues[WR]):
            return True
        request.arrived = self.clock
        if len(self.queues[request.final]) == 32:
            return False
        self.queues[request.final].append(request)
        return True

    def tick(self) -> None:
        self.clock += 1
        if self.clock % self.timings["REFI"] == 0:
            ranks = range(self.timings["ranks"])
            self.refreshes.extend(Request(REF, (0, rank, None, None)) for rank in ranks)
        for allowed in [COLUMN_COMMANDS, ROW_COMMANDS] if "CS" not in self.timings else [range(6)]:
            self._issue(allowed)

    def _issue(self, allowed) -> None:
        """The active requests, else the first refresh, else (if none is due) the queue in use."""
        found = self._best(self.active, allowed)
        if not found and self.refreshes:
            found = self._best([self.refreshes[0]], allowed)
        elif not found:
            reads, writes = len(self.queues[RD]), len(self.queues[WR])
            if not self.writing:
                self.writing = writes > 0.8 * 32 or not reads
            elif writes < 0.2 * 32 and reads:
                self.writing = False
            found = self._best(self.queues[WR if self.writing else RD], allowed)
        if not found:
            return
        request, command = found
        self.tree.sent(command, request.path, self.clock)
        place = {ACT: request.row, RD: request.column, WR: request.column}.get(command, 0)
        rank, group, bank = (part or 0 for part in request.path[1:])
        self.log.append((self.clock, self.number, LOGGED[command], rank, group * 4 + bank, place))
        if command == ACT:
            self.rows[request.path] = request.row
            self.queues[request.final].remove(request)
            self.active.append(request)
        elif command in (PRE, PREA):
            self.rows = {path: row for path, row in self.rows.items() if not self._within(path, request.path)}
        elif command == REF:
            self.refreshes.popleft()
        else:
            (self.active if request in self.active else self.queues[request.final]).remove(request)

    def _best(self, requests, allowed) -> tuple[Request, int] | None:
        """The earliest arrival among those whose next command is allowed, harmless and ready."""
        known: dict[tuple, bool] = {}
        for request in sorted(requests, key=lambda request: request.arrived):
            command = self._next(request)
            if (request.path, command) not in known:
                harms = command in (PRE, PREA) and any(
                    self._within(other.path, request.path) for other in self.active
                )
                ready = not harms and self.tree.is_ready(command, request.path, self.clock)
                known[request.path, command] = command in allowed and ready
            if known[request.path, command]:
                return request, command
        return None

    def _next(self, request: Request) -> int:
        if request.final == REF:
            return PREA if any(self._within(path, request.path) for path in self.rows) else REF
        row = self.rows.get(request.path)
        return ACT if row is None else request.final if row == request.row else PRE

    @staticmethod
    def _within(path: tuple[int | None, ...], target: tuple[int | None, ...]) -> bool:
        return all(there is None or here == there for here, there in zip(path, target, strict=True))


def place(t: dict[str, int], address: int, mapper: str) -> tuple[int, tuple[int, ...], int, int]:
    """Channel, path, row, column of a byte address."""

    def cut(parts: int) -> int:
        nonlocal address
        address, low = divmod(address, parts)
        return low

    columns = 1 << t["column"]
    cut(1 << t["offset"])
    channel = cut(t["channels"])
    column = cut(4 if mapper == "MOP4CLXOR" else columns)
    path = [cut(t["ranks"]), cut(4), cut(4)]
    if mapper == "MOP4CLXOR":
        column += 4 * cut(columns // 4)
        mask = column
        for level, parts in enumerate([t["ranks"], 4, 4]):
            path[level] ^= mask % parts
            mask //= parts
    return channel, (0, *path), cut(1 << 16), column


def simulate(
    t: dict[str, int], requests: list[tuple[int, bool]], mapper: str = "RoBaRaCoCh", ratio: int = 1
) -> tuple[int, list[tuple[int, ...]]]:
    """Its `cycles` and the commands until then, for requests (byte address, is a write).

    `ratio` is the front end's clock to the memory's: it sends one request, or the refused one again, in each
    of its clocks, and the run ends when the last is accepted.
    """
    controllers = [Controller(t, number) for number in range(t["channels"])]
    done = 0
    for step in count():
        address, is_write = requests[done]
        channel, path, row, column = place(t, address, mapper)
        if controllers[channel].take(Request(WR if is_write else RD, path, row, column, address)):
            done += 1
        if done == len(requests):
            break
        if step % ratio == 0:
            for controller in controllers:
                controller.tick()
    return controllers[0].clock, [row for controller in controllers for row in controller.log]
