"""The compact copies of updated weights clock by clock: SORE in both directions, and lines of memory."""

from __future__ import annotations

from typing import NamedTuple

from accelsim.units import fifo, sore, transpose
from accelsim.units.fifo import Fifo
from accelsim.units.sat.machine import HALF, Machine
from accelsim.units.sore import pack_beat
from accelsim.units.step import pack, unpack


def values_fifo(parameters: Machine) -> Fifo:
    """Rows of two tiles of a copy, or lines of their indices."""
    return Fifo(depth=2 * parameters.update_rows, bits=parameters.line_bits)


class Copies:
    """Tiles of `cols` rows of FP16 weights in, of each the lines of both copies out, forward ones first.

    Rows pass SORE as they come and go into the transposing tile; then its columns pass SORE.
    """

    def __init__(self, parameters: Machine) -> None:
        self.parameters = parameters
        self._sore = sore.Model(parameters.sore)
        self._turned = transpose.Model(parameters.transpose)
        self._values = fifo.Model(values_fifo(parameters))
        self._indices = fifo.Model(values_fifo(parameters))
        self._reduced = 0
        self._backward = False
        self._pair = 0
        self._open: list[int] = []
        self._run_left = 0

    @property
    def line(self) -> int | None:
        """The next line: one of indices before each run of rows."""
        shown = (self._values if self._run_left else self._indices).shown()
        return shown["leaving_payload"] if shown["leaving_valid"] else None

    def step(self, row: int | None, *, run: int, takes: bool) -> bool:
        """The clock edge: whether the row is taken. run: rows that share a line of indices."""
        parameters = self.parameters
        moved = self._kept(run)
        forward = row if self._turned.room else None
        offered = self._turned.offered if self._backward else forward
        values = unpack(offered or 0, HALF, parameters.cols)
        reduced = self._sore.step(
            {
                "weights_valid": int(offered is not None),
                "weights_payload": pack_beat(parameters.sore, values, last=False),
                "kept_ready": int(moved is not None and self._pair == parameters.kept - 1),
            }
        )
        passes = offered is not None and bool(reduced["weights_ready"])
        takes_row = passes and not self._backward
        self._turned.step(
            {
                "rows_valid": int(takes_row),
                "rows_payload": offered or 0,
                "columns_ready": int(passes and self._backward),
            }
        )
        if passes:
            self._reduced = (self._reduced + 1) % parameters.cols
            self._backward ^= not self._reduced
        self._queue(moved, run, takes)
        return takes_row

    def _kept(self, run: int) -> _Row | None:
        """The next row of SORE's groups, with the indices of its run if it ends one, if all has room."""
        parameters, kept = self.parameters, self._sore.offered
        if kept is None or not self._values.shown()["entering_ready"]:
            return None
        width = HALF + parameters.index_bits
        pairs = unpack(kept, width, parameters.cols * parameters.kept)[self._pair :: parameters.kept]
        found = _Row(
            values=pack([pair & 0xFFFF for pair in pairs], HALF),
            indices=[*self._open, *(pair >> HALF for pair in pairs)],
            ends=len(self._open) == (run - 1) * parameters.cols,
        )
        return None if found.ends and not self._indices.shown()["entering_ready"] else found

    def _queue(self, moved: _Row | None, run: int, takes: bool) -> None:
        """Into the queues, and out of one."""
        parameters = self.parameters
        ends = moved is not None and moved.ends
        self._values.step(
            {
                "entering_valid": int(moved is not None),
                "entering_payload": moved.values if moved is not None else 0,
                "leaving_ready": int(takes and self._run_left > 0),
            }
        )
        self._indices.step(
            {
                "entering_valid": int(ends),
                "entering_payload": pack(moved.indices, parameters.stored_index_bits) if moved else 0,
                "leaving_ready": int(takes and self._run_left == 0),
            }
        )
        if moved is not None:
            self._open = [] if ends else moved.indices
            self._pair = (self._pair + 1) % parameters.kept
        if takes:
            self._run_left = self._run_left - 1 if self._run_left else run


class _Row(NamedTuple):
    """A row of a copy; indices of its run up to it, and whether it is the last one of the run."""

    values: int
    indices: list[int]
    ends: bool
