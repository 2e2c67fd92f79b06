"""The operand buffers of SAT's machine clock by clock: two halves each, one that fills while one is read."""

from __future__ import annotations

from accelsim.units.sat.jobs import Product
from accelsim.units.sat.machine import HALF, Machine
from accelsim.units.step import pack, unpack


class Halves:
    """Words in two halves. `there`: the word of the place that was asked for is on `shown`.

    A half is reserved, filled word by word, read in any order, and free again when it is released.
    """

    def __init__(self) -> None:
        self._words: list[dict[int, int]] = [{}, {}]
        self._reserved = self._filled = self._write_half = self._read_half = 0
        self.there = False
        self.shown = 0

    @property
    def room(self) -> bool:
        """Whether a half may be reserved."""
        return self._reserved != 2

    def write(self, place: int, word: int) -> None:
        """Into the half that fills; what is shown in the next clock was there before."""
        self._words[self._write_half][place] = word

    def step(self, *, reserves: bool, fills: bool, place: int, releases: bool) -> None:
        """The clock edge. place: what is read, of the half that is read from then on."""
        self._read_half ^= releases
        self.there = self._filled - releases > 0
        self.shown = self._words[self._read_half].get(place, 0)
        self._filled += fills - releases
        self._reserved += reserves - releases
        self._write_half ^= fills


class Activations:
    """Beats for the rows of the array, each of `beat_lines` lines that come one by one."""

    def __init__(self, parameters: Machine) -> None:
        self.parameters, self.halves = parameters, Halves()
        self._lines: list[int] = []
        self._place = 0

    def take(self, line: int, last: bool) -> bool:
        """A line comes; whether it fills the half."""
        self._lines.append(line)
        if len(self._lines) == self.parameters.beat_lines:
            self.halves.write(self._place, pack(self._lines, self.parameters.line_bits))
            self._lines, self._place = [], self._place + 1
        if last:
            self._lines, self._place = [], 0
        return last


class Weights:
    """Rows of weights with indices, which come in a line before each `run` of them; dense ones count."""

    def __init__(self, parameters: Machine) -> None:
        self.parameters, self.halves = parameters, Halves()
        self._indices: list[list[int]] = []
        self._place = self._slot = self._chunk = 0
        # Of a dense row its index: a strip begins with 0, and goes on from chunk to chunk.
        self._turn = 0

    def take(self, job: Product, line: int, last: bool) -> bool:
        """A line comes, of the strips of all sums one after the other; whether it fills the half."""
        parameters = self.parameters
        if job.dense or self._indices:
            index = [self._turn] * parameters.cols if job.dense else self._indices.pop(0)
            self._turn = (self._turn + job.dense) % parameters.group
            values = unpack(line, HALF, parameters.cols)
            weights = [value | place << HALF for value, place in zip(values, index, strict=True)]
            self.halves.write(self._place, pack(weights, HALF + parameters.index_bits))
            self._place += 1
        else:
            bits, mask = parameters.stored_index_bits, (1 << parameters.index_bits) - 1
            indices = [place & mask for place in unpack(line, bits, parameters.cols * job.run)]
            self._indices = [
                indices[first : first + parameters.cols] for first in range(0, len(indices), parameters.cols)
            ]
        fills = last and self._slot == (1 if job.stationary else parameters.interleave) - 1
        if last:
            self._slot = 0 if fills else self._slot + 1
            if fills:
                self._place, self._indices = 0, []
                self._chunk = (self._chunk + 1) % job.chunks
                if not self._chunk:
                    self._turn = 0
        return fills


class Feeder:
    """Which beat and which row of weights the array has before it, chunk after chunk."""

    def __init__(self, parameters: Machine, job: Product) -> None:
        self.parameters, self.job = parameters, job
        self._chunk = self._use = 0
        self._begin()

    def _begin(self) -> None:
        self._beat = self._slot = 0
        self._row = self.parameters.rows - 1 if self.job.stationary else 0
        self._loads = self.job.stationary

    @property
    def offers_weights(self) -> bool:
        """Whether a row of weights is due, and not beats alone."""
        return self._loads or not self.job.stationary

    @property
    def is_padding(self) -> bool:
        """Whether the row of weights that is due lies behind the last one."""
        last = self._chunk == self.job.chunks - 1
        return self.job.stationary and last and self._row >= self.job.last_rows

    @property
    def beat(self) -> int:
        """Place of the beat."""
        return self._beat

    @property
    def row(self) -> int:
        """Place of the row of weights."""
        return self._slot * self.job.slot_rows + self._row

    def step(self, west: bool, north: bool) -> tuple[bool, bool]:
        """The array takes a beat, a row of weights: whether this releases a half of either."""
        job = self.job
        last = not job.stationary and self._chunk == job.chunks - 1
        ends = west and self._beat == (job.last_beats if last else job.beats) - 1
        if ends:
            self._begin()
            self._chunk = (self._chunk + 1) % job.chunks
            self._use = (self._use + 1) % job.uses
            return self._use == 0, True
        self._beat += west
        if north and job.stationary:
            self._loads = self._row != 0
            self._row = max(0, self._row - 1)
        elif north:
            self._slot = (self._slot + 1) % self.parameters.interleave
            self._row += self._slot == 0
        return False, False
