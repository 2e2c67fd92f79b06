"""A small register file with a field of every kind, and a stream that hardware's side of it follows.

It is the unit by which `accelsim.units.registers` is verified; machines have maps of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelsim.units.checks import require_range
from accelsim.units.registers import Field, Register, RegisterMap, Slave
from accelsim.units.step import Row

EVENT_BITS = 4


@dataclass(frozen=True, kw_only=True)
class RegisterBench:
    """`extra` registers of a word behind the others; count_bits: of the counter."""

    extra: int = 2
    count_bits: int = 32

    def __post_init__(self) -> None:
        require_range("extra", self.extra, 1, 64)
        require_range("count_bits", self.count_bits, 1, 64)

    @property
    def map(self) -> RegisterMap:
        """The registers."""
        spare = [
            Register(name=f"spare_{number}", fields=(Field(name="word", bits=32, reset=number),))
            for number in range(self.extra)
        ]
        return RegisterMap(
            name="bench",
            sentence="A field of every kind.",
            registers=(
                Register(
                    name="control",
                    sentence="Starts and settings.",
                    fields=(
                        Field(name="start", access="pulse", sentence="Begin."),
                        Field(name="stop", access="pulse", sentence="End."),
                        Field(name="mode", bits=6, reset=5, sentence="How."),
                        Field(name="limit", bits=16, reset=0x1234, sentence="How far."),
                    ),
                ),
                Register(name="base", fields=(Field(name="address", bits=40, sentence="First byte."),)),
                Register(
                    name="status",
                    fields=(Field(name="event", bits=EVENT_BITS, access="ro", sentence="The last one."),),
                ),
                Register(
                    name="events",
                    fields=(Field(name="count", bits=self.count_bits, access="counter", sentence="So far."),),
                ),
                *spare,
            ),
        )


PRESETS = {"words": RegisterBench(), "tiny": RegisterBench(extra=1, count_bits=2)}


class Model:
    """The bench clock by clock. Streams: those of `s_axil`, and `events` in, which is always taken.

    Probes: the fields that are rw or pulses.
    """

    def __init__(self, parameters: RegisterBench) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """All fields as after a reset, no event."""
        self._slave, self._event = Slave(self.parameters.map), 0

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        slave = self._slave
        probes = {name: value for name, value in slave.values.items() if name != "events_count"}
        probes |= {f"control_{name}": int(f"control_{name}" in slave.pulses) for name in ("start", "stop")}
        happens = bool(inputs["events_valid"])
        row = slave.step(inputs, {"status_event": self._event}, ["events_count"] if happens else [])
        if happens:
            self._event = inputs["events_payload"]
        return row | probes | {"events_ready": 1}


def cycles(groups: Sequence[tuple[str, int]]) -> int:
    """Clocks of groups of beats (stream, count), each begun when the one before is answered; nobody waits."""
    return sum(count + (stream != "events") for stream, count in groups)
