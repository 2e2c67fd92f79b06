"""The memory of `docs/engine.md`, round by round: queues, channels, cache, DRAM.

Plain Python for `reference.py`. Nothing here is fast: a burst is an object, a queue is a list, and
every round looks at every queue. Each rule is a method, so that a test can plant a fault in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.dram.device import Ticks


@dataclass
class Burst:
    """One burst: where it goes, and the cycles in which it was accepted and comes back."""

    address: int
    write: bool
    port: int
    accepted: int | None = None
    back: int | None = None


@dataclass
class Line:
    """A cache line, the tick at which the read that brought it is done, and its last use."""

    number: int
    done: int
    used: int


class Memory:
    """Channels that accept bursts, and tell when each is back."""

    def __init__(self, ticks: Ticks) -> None:
        """All queues are empty, all ways are free, the cache holds nothing."""
        self.ticks = ticks
        self.queues: dict[tuple[int, int], list[Burst]] = {}
        self.on_offer_since: dict[tuple[int, int], int] = {}
        self.in_flight: list[list[Burst]] = [[] for _ in range(ticks.channels)]
        self.slice_free = [0] * ticks.channels
        self.way_free = [[0] * ticks.ways for _ in range(ticks.channels)]
        self.lines: dict[tuple[int, int], list[Line]] = {}
        self.uses = self.read_bursts = self.write_bursts = self.cache_hits = 0

    def send(self, bursts: list[Burst], cycle: int) -> None:
        """Queue the bursts of one operation that started in this cycle."""
        for burst in bursts:
            key = (burst.port, self.channel(burst.address))
            queue = self.queues.setdefault(key, [])
            if not queue:
                self.on_offer_since[key] = cycle * self.ticks.accepts
            queue.append(burst)

    def accept(self, cycle: int) -> bool:
        """All rounds of this cycle. True if any burst was accepted."""
        any_accepted = False
        for round_ in range(cycle * self.ticks.accepts, (cycle + 1) * self.ticks.accepts):
            for channel in range(self.ticks.channels):
                flying = [b for b in self.in_flight[channel] if b.back is not None and b.back > cycle]
                self.in_flight[channel] = flying
                offers = [
                    key
                    for key, queue in self.queues.items()
                    if key[1] == channel and queue and self.on_offer_since[key] <= round_
                ]
                if not offers or not self.has_room(len(flying)):
                    continue
                key = min(offers, key=self.offer_rank)
                burst = self.queues[key].pop(0)
                self.on_offer_since[key] = self.next_round(round_)
                burst.accepted = cycle
                burst.back = -(-self.done(burst, channel, cycle * self.ticks.ticks) // self.ticks.ticks)
                flying.append(burst)
                any_accepted = True
        return any_accepted

    def has_room(self, flying: int) -> bool:
        """May a channel with so many bursts accepted and not back accept one more?"""
        return flying < self.ticks.outstanding

    def offer_rank(self, key: tuple[int, int]) -> tuple[int, ...]:
        """The least is accepted: on offer for the longest, then the lowest port."""
        return (self.on_offer_since[key], key[0])

    def next_round(self, round_: int) -> int:
        """From when the burst behind one accepted in this round is on offer."""
        return round_ + 1

    def channel(self, address: int) -> int:
        """The channel of an address."""
        return address // self.ticks.interleave % self.ticks.channels

    def line(self, address: int) -> int:
        """The line of an address inside its channel."""
        interleave = self.ticks.interleave
        local = address // (interleave * self.ticks.channels) * interleave + address % interleave
        return local // self.ticks.burst_bytes

    def done(self, burst: Burst, channel: int, now: int) -> int:
        """The tick at which a burst accepted at tick `now` is done."""
        line = self.line(burst.address)
        if self.ticks.sets == 0:
            self.count(burst)
            return self.dram(channel, line, now)
        begin = max(now, self.slice_free[channel])
        self.slice_free[channel] = begin + self.ticks.cache_service
        places = self.lines.setdefault((channel, line % self.ticks.sets), [])
        found = [place for place in places if place.number == line]
        self.uses += 1
        if burst.write:
            self.count(burst)
            self.write_touches(found)
            return self.dram(channel, line, begin)
        if found:
            self.cache_hits += 1
            return self.hit(found[0], begin)
        self.count(burst)
        done = self.dram(channel, line, begin)
        if len(places) == self.ticks.assoc:
            places.remove(min(places, key=lambda place: place.used))
        places.append(Line(line, done, self.uses))
        return done

    def hit(self, line: Line, begin: int) -> int:
        """A read finds its line: not before the read that brought it is done."""
        line.used = self.uses
        return max(begin + self.ticks.cache_service + self.ticks.cache_latency, line.done)

    def write_touches(self, found: list[Line]) -> None:
        """A write changes neither the lines nor their age."""

    def count(self, burst: Burst) -> None:
        """DRAM moves this burst."""
        if burst.write:
            self.write_bursts += 1
        else:
            self.read_bursts += 1

    def dram(self, channel: int, line: int, now: int) -> int:
        """The tick at which DRAM is done with a burst that reaches it at tick `now`."""
        way = self.way(line)
        begin = self.after_refresh(max(now, self.way_free[channel][way]))
        self.way_free[channel][way] = begin + self.ticks.service
        return begin + self.ticks.service + self.ticks.latency

    def way(self, line: int) -> int:
        """The way of a line."""
        return line % self.ticks.ways

    def after_refresh(self, begin: int) -> int:
        """The end of the refresh window in which `begin` lies, or `begin` itself."""
        interval = self.ticks.refresh_interval
        if interval > 0:
            window = begin // interval
            if window >= 1 and begin < window * interval + self.ticks.refresh_ticks:
                return window * interval + self.ticks.refresh_ticks
        return begin
