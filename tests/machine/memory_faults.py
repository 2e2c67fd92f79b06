"""The reference's memory with one rule broken each; see `machine.faults`."""

from __future__ import annotations

from machine.reference import Machine
from machine.reference_memory import Channel, Memory


class LowestPortFirst(Memory):
    """The lowest port is accepted, however long others wait."""

    def offer_rank(self, key):
        return (key[0],)


class HighestPortFirst(Memory):
    """Of equal offers the highest port is accepted."""

    def offer_rank(self, key):
        return (self.since[key], -key[0])


class OfferedInTheClockBefore(Memory):
    """A queue offers its next access one clock too late."""

    def next_since(self, tick):
        return super().next_since(tick) + self.ticks


class ClockEarly(Memory):
    """What starts in a cycle is offered in the clock before."""

    def first_clock(self, cycle):
        return max(1, super().first_clock(cycle) - 1)


class SeenEarly(Memory):
    """What a clock did is seen in a cycle that begins before it is over."""

    def cycle_after(self, clock):
        return super().cycle_after(clock - 1)


class OneMoreOutstanding(Memory):
    """A channel has one burst more under way than it may."""

    def is_full(self, channel):
        self.flying[channel].append(-1)
        full = super().is_full(channel)
        self.flying[channel].pop()
        return full and len(self.channels[channel].reads) + len(self.channels[channel].writes) > 0


class ChannelsByBurst(Memory):
    """Channels change with every burst."""

    def place(self, number):
        channel = number % self.device.channels
        return (channel, *super().place(number)[1:])


class HitAtOnce(Memory):
    """A hit does not wait for the read that brings the line."""

    def hit(self, channel, burst, line, clock):
        super().hit(channel, burst, line, clock)
        burst.back = self.cycle_after(clock)


class OldestLineReplaced(Memory):
    """Lines leave in the order in which they came."""

    def hit(self, channel, burst, line, clock):
        used = line.used
        super().hit(channel, burst, line, clock)
        line.used = used


class MissesUncounted(Memory):
    """Any number of accesses waits for DRAM."""

    def accept(self, channel, burst, tick):
        waiting, self.waiting[channel] = self.waiting[channel], []
        taken = super().accept(channel, burst, tick)
        self.waiting[channel] = waiting + self.waiting[channel]
        return taken


class WritesUnanswered(Memory):
    """A read does not see that a write of its burst waits."""

    def ask(self, channel, burst, number):
        if burst.write:
            return super().ask(channel, burst, number)
        controller = self.channels[channel]
        writes, controller.writes = controller.writes, []
        taken = super().ask(channel, burst, number)
        controller.writes = writes
        return taken


class NeverWriting(Channel):
    """Reads go first while there is one."""

    def _choose_mode(self):
        self.writing = not self.reads


class YoungestFirst(Channel):
    """Of the active requests the one that arrived last goes first."""

    def _send_active(self, clock):
        for request in self.active:
            request.arrived = -request.arrived
        sent = super()._send_active(clock)
        for request in self.active:
            request.arrived = -request.arrived
        return sent


class ConflictsAreMisses(Channel):
    """A request that finds another row open is counted as if the bank had been closed."""

    def _send(self, clock, command, rank, bank, place):
        super()._send(clock, command, rank, bank, place)
        self.kinds = {r: "activates" if kind == "conflicts" else kind for r, kind in self.kinds.items()}


def with_memory(memory_type: type[Memory]) -> type[Machine]:
    """The reference machine on a faulty memory."""
    return type(
        memory_type.__name__, (Machine,), {"memory_type": memory_type, "__doc__": memory_type.__doc__}
    )


def with_channel(channel_type: type[Channel]) -> type[Memory]:
    """A memory of faulty channels."""
    return type(
        channel_type.__name__, (Memory,), {"channel_type": channel_type, "__doc__": channel_type.__doc__}
    )


MEMORIES = Memory.__subclasses__() + [with_channel(channel) for channel in Channel.__subclasses__()]
