"""The memory of `docs/engine.md`, clock by clock: queues, slices of a cache, controllers of `tests/dram`.

Plain Python for `reference.py`. Nothing here is fast: an access is an object, a queue is a list, and every
clock looks at every queue. Each rule is a method, so that a test can plant a fault in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from reference import ACT, PRE, RD, REF, WR, Controller, Request

from accelsim.dram import Memory as Parameters


@dataclass(eq=False)
class Burst:
    """One access: where it goes, and the cycles in which it was accepted and comes back."""

    address: int
    write: bool
    port: int
    accepted: int | None = None
    back: int | None = None
    # With a cache: not before this clock. Its requests that no command was sent for, and their last clock.
    earliest: int = 0
    left: int = 0
    latest: int = 0


@dataclass(eq=False)
class Line:
    """A cache line: the access that brings it (None: it is there since clock `filled`), and its last use."""

    number: int
    brings: Burst | None
    filled: int
    used: int


class Channel(Controller):
    """A controller that remembers what each request was served for, and when."""

    def __post_init__(self) -> None:
        """Nothing was sent."""
        super().__post_init__()
        self.kinds: dict[Request, str] = {}
        self.served: list[tuple[int, Request]] = []
        self.refreshed: list[tuple[int, int]] = []
        self.present: list[Request] = []

    def tick(self, clock: int) -> None:
        """One clock of commands."""
        self.present = self.reads + self.writes + self.active
        super().tick(clock)

    def _send(self, clock: int, command: int, rank: int, bank: int, place: int) -> None:
        if command == PRE:
            open_row = self.past.rows[rank, bank]
            queue = self.writes if self.writing else self.reads
            wants = [r for r in queue if (r.rank, r.bank) == (rank, bank) and r.row != open_row]
            self.kinds.setdefault(wants[0], "conflicts")
        elif command == ACT:
            self.kinds.setdefault(self.active[-1], "activates")
        elif command in (RD, WR):
            still = self.reads + self.writes + self.active
            request = next(r for r in self.present if r not in still)
            self.present.remove(request)
            self.kinds.setdefault(request, "bus")
            self.served.append((clock, request))
        elif command == REF:
            self.refreshed.append((clock, rank))
        super()._send(clock, command, rank, bank, place)


class Memory:
    """Channels that accept accesses, and tell when each is back."""

    channel_type = Channel

    def __init__(self, parameters: Parameters) -> None:
        """All queues are empty, all rows closed, the cache holds nothing."""
        self.device, self.cache = parameters.dram, parameters.cache
        self.clocks = parameters.clocks
        count = self.device.channels
        self.bursts, self.ticks, self.service = 1, 1, 1
        if self.cache:
            self.bursts = self.cache.line_bytes // self.device.burst_bytes
            wanted = self.cache.line_bytes * count * self.device.clock_hz / Fraction(self.cache.bandwidth)
            pace = max(wanted.limit_denominator(240), Fraction(1, 240))
            self.ticks, self.service = pace.denominator, pace.numerator
            self.hit_ticks = round(Fraction(self.cache.hit_latency) * self.device.clock_hz * self.ticks)
            self.miss_clocks = round(Fraction(self.cache.miss_latency) * self.device.clock_hz)
            self.sets = self.cache.bytes // (self.cache.line_bytes * count * self.cache.ways)
        self.clock = 0
        self.channels = [self.channel_type(self.device, number) for number in range(count)]
        self.queues: dict[tuple[int, int], list[Burst]] = {}
        self.since: dict[tuple[int, int], int] = {}
        self.open = [0] * count
        self.owners: dict[Request, Burst] = {}
        self.flying: list[list[int]] = [[] for _ in range(count)]
        self.waiting: list[list[tuple[Burst, Burst]]] = [[] for _ in range(count)]
        self.lines: dict[tuple[int, int], list[Line]] = {}
        self.arrivals: list[list[Request]] = [[] for _ in range(count)]
        self.uses = self.cache_hits = self.forwarded = self.merged = self.refused = 0

    # Crossings

    def first_clock(self, cycle: int) -> int:
        """The first clock that begins in this cycle or after."""
        return ceil(cycle * self.clocks) + 1

    def cycle_after(self, clock: int) -> int:
        """The first cycle that begins when the clock is over."""
        return ceil(clock / self.clocks)

    # Offers

    def send(self, bursts: list[Burst], cycle: int) -> None:
        """Queue the accesses of one operation that started in this cycle."""
        for burst in bursts:
            key = (burst.port, self.place(burst.address // self.device.burst_bytes)[0])
            queue = self.queues.setdefault(key, [])
            if not queue:
                self.since[key] = (self.first_clock(cycle) - 1) * self.ticks
            queue.append(burst)

    def run_to(self, clock: int) -> None:
        """All clocks before this one."""
        while self.clock + 1 < clock:
            self.clock += 1
            for channel in range(self.device.channels):
                self.accept_all(channel)
            for channel in self.channels:
                channel.tick(self.clock)
                self.settle(channel)

    def is_busy(self) -> bool:
        """Is anything not back that was asked for?"""
        queued = any(self.queues.values())
        return queued or any(c.reads or c.writes or c.active for c in self.channels)

    def accept_all(self, channel: int) -> None:
        """What the channel takes in this clock."""
        while True:
            offers = [key for key, queue in self.queues.items() if key[1] == channel and queue]
            if not offers:
                return
            key = min(offers, key=self.offer_rank)
            tick = max(self.since[key], self.open[channel])
            if tick // self.ticks + 1 > self.clock:
                return
            if not self.accept(channel, self.queues[key][0], tick):
                self.refused += 1
                self.open[channel] = self.clock * self.ticks
                return
            self.queues[key].pop(0).accepted = self.cycle_after(self.clock)
            self.open[channel] = tick + self.service
            self.since[key] = self.next_since(tick)

    def offer_rank(self, key: tuple[int, int]) -> tuple[int, ...]:
        """The least is accepted: on offer for the longest, then the lowest port."""
        return (self.since[key], key[0])

    def next_since(self, tick: int) -> int:
        """From when the access behind one accepted at this tick is on offer."""
        return tick + self.service

    def accept(self, channel: int, burst: Burst, tick: int) -> bool:
        """Is there room for it?"""
        if self.is_full(channel):
            return False
        if self.cache is None:
            burst.left = 1
            return self.ask(channel, burst, burst.address // self.device.burst_bytes)
        number = burst.address // self.cache.line_bytes
        places = self.lines.setdefault((channel, number // self.device.channels % self.sets), [])
        found = None if burst.write else next((line for line in places if line.number == number), None)
        if (found is None or found.brings) and len(self.waiting[channel]) >= self.cache.pending:
            return False
        if found is not None:
            self.hit(channel, burst, found, ceil((tick + self.service + self.hit_ticks) / self.ticks))
            return True
        controller = self.channels[channel]
        queue = controller.writes if burst.write else controller.reads
        if len(queue) + self.bursts > self.device.queue:
            return False
        if not burst.write:
            self.bring(places, number, burst)
        self.waiting[channel].append((burst, burst))
        burst.left = self.bursts
        for n in range(self.bursts):
            self.ask(channel, burst, number * self.bursts + n)
        return True

    def is_full(self, channel: int) -> bool:
        """Are as many bursts accepted and not back as may be?"""
        controller = self.channels[channel]
        flying = [done for done in self.flying[channel] if done >= self.clock]
        count = len(controller.reads) + len(controller.writes) + len(controller.active) + len(flying)
        return 0 < self.device.outstanding <= count

    # The cache

    def hit(self, channel: int, burst: Burst, line: Line, clock: int) -> None:
        """A read finds its line, or one that is being brought."""
        self.uses += 1
        self.cache_hits += 1
        line.used, burst.earliest = self.uses, clock
        if line.brings:
            self.waiting[channel].append((burst, line.brings))
        else:
            burst.back = self.cycle_after(max(clock, line.filled))

    def bring(self, places: list[Line], number: int, burst: Burst) -> None:
        """A line is asked for; it takes the place of the least recently used."""
        self.uses += 1
        assert self.cache
        if len(places) == self.cache.ways:
            places.remove(min(places, key=lambda line: line.used))
        places.append(Line(number, burst, 0, self.uses))

    # DRAM

    def place(self, number: int) -> tuple[int, int, int, int, int]:
        """Channel, rank, bank in the rank, row and column of a burst, by division (RoBaRaCoCh)."""
        device, together = self.device, max(1, self.device.interleave // self.device.burst_bytes)
        number, low = divmod(number, together)
        number, channel = divmod(number, device.channels)
        number, high = divmod(number, device.columns // together)
        number, rank = divmod(number, device.units)
        number, group = divmod(number, device.bank_groups)
        row, bank = divmod(number, device.banks)
        return channel, rank, group * device.banks + bank, row, high * together + low

    def ask(self, channel: int, burst: Burst, number: int) -> bool:
        """One burst to the controller; a queued write of it answers it."""
        controller = self.channels[channel]
        if any(other.line == number for other in controller.writes):
            self.forwarded += not burst.write
            self.merged += burst.write
            self.done(channel, burst, self.clock + 1)
            return True
        _, rank, bank, row, column = self.place(number)
        request = Request(burst.write, number, rank, bank, row, column, self.clock)
        if not controller.accept(request):
            return False
        self.owners[request] = burst
        self.arrivals[channel].append(request)
        return True

    def settle(self, controller: Channel) -> None:
        """The column command that was sent in this clock, if one was."""
        if controller.served and controller.served[-1][0] == self.clock:
            request = controller.served[-1][1]
            latency = self.device.CWL if request.write else self.device.CL
            self.done(controller.number, self.owners[request], self.clock + latency + self.device.BL)

    def done(self, channel: int, burst: Burst, clock: int) -> None:
        """DRAM is done with one burst of an access in that clock."""
        self.flying[channel].append(clock)
        burst.left -= 1
        burst.latest = max(burst.latest, clock)
        if burst.left:
            return
        if self.cache is None:
            burst.back = self.cycle_after(clock)
            return
        filled = burst.latest + (0 if burst.write else self.miss_clocks)
        for place in (line for places in self.lines.values() for line in places if line.brings is burst):
            place.brings, place.filled = None, filled
        for waiter, asked in self.waiting[channel]:
            if asked is burst:
                waiter.back = self.cycle_after(max(waiter.earliest, filled))
        self.waiting[channel] = [pair for pair in self.waiting[channel] if pair[1] is not burst]

    # Books

    def counts(self, cycles: int) -> dict[str, int]:
        """What was moved, and the clocks of the pins."""
        served = [pair for channel in self.channels for pair in channel.served]
        kinds = [channel.kinds[request] for channel in self.channels for _, request in channel.served]
        end = self.first_clock(cycles) - 1
        buses = self.device.pseudo_channels
        lost = dict.fromkeys(("conflicts", "activates", "refresh", "bus"), 0)
        for channel in self.channels:
            for bus in range(buses):
                self.lose(channel, bus, lost)
        return {
            "read_bursts": sum(not request.write for _, request in served),
            "write_bursts": sum(request.write for _, request in served),
            "forwarded": self.forwarded,
            "merged": self.merged,
            "cache_hits": self.cache_hits,
            "row_hits": kinds.count("bus"),
            "row_misses": kinds.count("activates"),
            "row_conflicts": kinds.count("conflicts"),
            "activates": sum(row[2] == ACT for channel in self.channels for row in channel.sent),
            "refreshes": sum(len(channel.refreshed) for channel in self.channels),
            "clocks": end * buses * len(self.channels),
            "data": len(served) * self.device.BL,
            **{f"lost to {cause}": clocks for cause, clocks in lost.items()},
            "refused": self.refused,
        }

    def lose(self, channel: Channel, bus: int, lost: dict[str, int]) -> None:
        """Of one bus: the clocks before each command in which the pins could have had its data."""
        device, free = self.device, 0
        on_bus = [
            (clock, request)
            for clock, request in channel.served
            if device.pseudo_channels == 1 or request.rank == bus
        ]
        ends = [
            clock + device.tRFC
            for clock, rank in channel.refreshed
            if device.pseudo_channels == 1 or rank == bus
        ]
        for clock, request in on_bus:
            latency = device.CWL if request.write else device.CL
            since = clock
            while any(r.arrived <= since - 1 < sent for sent, r in on_bus):
                since -= 1
            began = max(free - latency, since)
            if began < clock:
                late = any(began < end for end in ends if end - device.tRFC < clock)
                lost["refresh" if late else channel.kinds[request]] += clock - began
            free = clock + latency + device.BL
