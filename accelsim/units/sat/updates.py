"""Updates on SAT's machine clock by clock: WUVE and the compact copies between memory and memory."""

from __future__ import annotations

from accelsim.units import fifo, wuve
from accelsim.units.fifo import Fifo
from accelsim.units.sat.copies import Copies
from accelsim.units.sat.engine import Arrival, Request, Transfer
from accelsim.units.sat.jobs import Update, walks
from accelsim.units.sat.machine import HALF, Machine
from accelsim.units.step import pack, unpack
from accelsim.units.walk import addresses
from accelsim.units.wuve import pack_beat, unpack_result

SOURCES = ("gradients", "weights", "velocities")
TARGETS = ("weights", "velocities", "forward", "backward")
WHOLE = 2
"""The first targets are whole rows of FP32 numbers, the others compact copies."""


def rows_fifo(parameters: Machine) -> Fifo:
    """Rows of two tiles of FP32 numbers."""
    return Fifo(depth=2 * parameters.cols, bits=2 * parameters.line_bits, memory="block")


def copies_fifo(parameters: Machine) -> Fifo:
    """FP16 copies on their way to SORE."""
    return Fifo(depth=2, bits=parameters.line_bits)


class Updates:
    """One update after the other; see `accelsim.units.sat.engine` for what it shows and takes.

    Tile by tile, a block of columns after the other: what is read is a tile of each of `SOURCES`, what is
    written one of each of `TARGETS`.
    """

    def __init__(self, parameters: Machine) -> None:
        self.parameters = parameters
        self._wuve = wuve.Model(parameters.wuve)
        self._copies = Copies(parameters)
        self._read = [fifo.Model(rows_fifo(parameters)) for _ in SOURCES]
        self._updated = [fifo.Model(rows_fifo(parameters)) for _ in TARGETS[:WHOLE]]
        self._narrowed = fifo.Model(copies_fifo(parameters))
        self._job: Update | None = None
        self._walks: dict[str, list[int]] = {name: [] for name in ("tiles", "written", "forward", "backward")}
        # What is asked for next, of which two tiles may be on their way or here.
        self._source = self._reserved = self._taken = 0
        self._held: int | None = None
        # What is asked to be written, and what is sent; a line of it.
        self._asked = self._sent = self._line = 0

    @property
    def infinite(self) -> int:
        """WUVE's probe."""
        return self._wuve.infinite

    def begin(self, job: Update) -> None:
        """The clock edge behind which a job is under way."""
        self._job = job
        self._walks = {
            name: list(addresses(*walk))[::-1] for name, walk in walks(self.parameters, job).items()
        }

    @property
    def is_written(self) -> bool:
        """Whether all results have been asked to be written."""
        return not self._walks["written"]

    @property
    def request(self) -> Request | None:
        """A tile of the next source, if there is room for one of each."""
        job = self._job
        if job is None or not self._walks["tiles"] or (not self._source and self._reserved == 2):
            return None
        first = getattr(job, SOURCES[self._source]) + self._walks["tiles"][-1]
        return Request(self._source, Transfer(first, 2 * self.parameters.cols))

    @property
    def write_request(self) -> Transfer | None:
        """Where the next tile of results goes."""
        job = self._job
        if job is None or not self._walks["written"]:
            return None
        name = TARGETS[self._asked]
        if self._asked < WHOLE:
            return Transfer(getattr(job, name) + self._walks["written"][-1], 2 * self.parameters.cols)
        return Transfer(self._walks[name][-1], job.tile_lines)

    @property
    def line(self) -> int | None:
        """Of results, the next one; a row of FP32 numbers is two lines."""
        if self._sent >= WHOLE:
            return self._copies.line
        shown, bits = self._updated[self._sent].shown(), self.parameters.line_bits
        half = shown["leaving_payload"] >> self._line % 2 * bits & (1 << bits) - 1
        return half if shown["leaving_valid"] else None

    def step(self, *, asked: bool, arrival: Arrival | None, sends: bool, requests: bool) -> None:
        """The clock edge: see `accelsim.units.sat.engine`."""
        parameters = self.parameters
        waiting = [each.shown() for each in self._read]
        there = all(each["leaving_valid"] for each in waiting)
        fields = [unpack(each["leaving_payload"], 2 * HALF, parameters.cols) for each in waiting]
        room = all(each.shown()["entering_ready"] for each in [*self._updated, self._narrowed])
        result = self._wuve.offered if room else None
        row = self._wuve.step(
            {
                "beats_valid": int(there),
                "beats_payload": pack_beat(fields[0], fields[1], fields[2], 0),
                "updated_ready": int(room),
            }
        )
        takes = there and bool(row["beats_ready"])
        self._gather(arrival, takes)
        self._give(result, sends)
        self._count(asked, requests, sends, takes)

    def _gather(self, arrival: Arrival | None, takes: bool) -> None:
        """Two lines are a row of what was read."""
        row, held = None, self._held
        if arrival is not None:
            row = None if held is None else held | arrival.line << self.parameters.line_bits
            self._held = arrival.line if held is None else None
        for number, each in enumerate(self._read):
            enters = arrival is not None and arrival.target == number
            each.step(_queued(row if enters else None, takes))

    def _give(self, result: int | None, sends: bool) -> None:
        """WUVE's result into three queues, and lines out of them."""
        parameters, job = self.parameters, self._job
        weights, velocities, copies = unpack_result(parameters.cols, result or 0)
        narrowed = self._narrowed.shown()
        row = narrowed["leaving_payload"] if narrowed["leaving_valid"] else None
        takes_row = self._copies.step(row, run=job.run if job else 1, takes=sends and self._sent >= WHOLE)
        self._narrowed.step(_queued(None if result is None else pack(copies, HALF), takes_row))
        for number, (each, words) in enumerate(zip(self._updated, (weights, velocities), strict=True)):
            entering = None if result is None else pack(words, 2 * HALF)
            each.step(_queued(entering, sends and self._sent == number and self._line % 2 == 1))

    def _count(self, asked: bool, requests: bool, sends: bool, takes: bool) -> None:
        """What has been asked for, taken and sent."""
        job, cols = self._job, self.parameters.cols
        if asked:
            self._reserved += not self._source
            self._source = (self._source + 1) % len(SOURCES)
            if not self._source:
                self._walks["tiles"].pop()
        if takes:
            self._taken = (self._taken + 1) % cols
            self._reserved -= not self._taken
        if requests:
            name = TARGETS[self._asked]
            if self._asked >= WHOLE:
                self._walks[name].pop()
            self._asked = (self._asked + 1) % len(TARGETS)
            if not self._asked:
                self._walks["written"].pop()
        if sends and job is not None:
            self._line += 1
            if self._line == (2 * cols if self._sent < WHOLE else job.tile_lines):
                self._line, self._sent = 0, (self._sent + 1) % len(TARGETS)


def _queued(entering: int | None, leaves: bool) -> dict[str, int]:
    """What a queue is told in a clock."""
    return {
        "entering_valid": int(entering is not None),
        "entering_payload": entering or 0,
        "leaving_ready": int(leaves),
    }
