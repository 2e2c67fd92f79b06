"""What goes back to memory: outputs row by row, a beat a head of their magnitudes, importance of tokens.

A row leaves when it is kept, so that each has a transfer of its own; heads leave in their order.
"""

from __future__ import annotations

from typing import NamedTuple

from accelsim.units.axi import Transfer, pack_transfer
from accelsim.units.fifo import Fifo
from accelsim.units.fifo import Model as FifoModel
from accelsim.units.spatten.jobs import Settings
from accelsim.units.spatten.parameters import BEATS, Machine
from accelsim.units.step import Row, pack, unpack
from accelsim.units.value_selection import clock_fifo


class Taken(NamedTuple):
    """What was taken in a clock: payloads of results and of sums, or None; whether the write master took a
    transfer and a beat; its answer to a transfer, 1 if something went wrong, or None; the layer's answer."""

    result: int | None
    sums: int | None
    transfer: bool
    beat: bool
    answer: int | None
    done: bool


class Results:
    """Streams: results and sums of the pipeline in; transfers and beats for the write master, `done` out.

    done: of a layer, 1 if a beat came or went with an error.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._transfers = FifoModel(Fifo(depth=BEATS, bits=machine.transfer_bits))
        self._beats = FifoModel(Fifo(depth=BEATS, bits=machine.beat_bits))
        self.reset()

    def reset(self) -> None:
        """No layer."""
        self._transfers.reset()
        self._beats.reset()
        self.busy = False
        self.failed = False
        self._written = False
        self._rows_left = self._heads_left = self._head = self._magnitude = self._open = 0
        self._owes = False
        self._groups: list[int] = []
        self._begun = False

    def shown(self) -> Row:
        """All that is offered or may be taken in this clock."""
        transfers, beats = self._transfers.shown(), self._beats.shown()
        rooms = transfers["entering_ready"] and beats["entering_ready"]
        in_work = self.busy and not self._owes and not self._written
        return {
            "results_ready": int(rooms and in_work and self._heads_left > 0),
            "sums_ready": int(rooms and in_work and self._heads_left == 0),
            "transfers_valid": transfers["leaving_valid"],
            "transfers_payload": transfers["leaving_payload"],
            "beats_valid": beats["leaving_valid"],
            "beats_payload": beats["leaving_payload"],
            "done_valid": int(self._written and self._open == 0),
            "done_payload": int(self.failed),
        }

    def step(
        self, settings: Settings, taken: Taken, *, begins: bool, tokens: int, heads: int, error: bool
    ) -> None:
        """The clock edge. error: a beat came with one."""
        rooms = self._rooms()
        transfer = beat = None
        if taken.result is not None:
            transfer, beat = self._output(settings, taken.result)
        elif taken.sums is not None:
            transfer, beat = self._importance(settings, taken.sums, tokens)
        elif self._owes and rooms:
            transfer = self._transfer(settings["magnitudes_address"], self._head, 1)
            beat = self._magnitude
            self._owes, self._magnitude = False, 0
            self._head, self._heads_left = self._head + 1, self._heads_left - 1
            self._rows_left = settings["layer_queries"]
        clock_fifo(self._transfers, transfer, taken.transfer)
        clock_fifo(self._beats, beat, taken.beat)
        self._open += (transfer is not None) - (taken.answer is not None)
        self.failed |= error or bool(taken.answer)
        if taken.done:
            self.busy = self._written = False
        if begins:
            self.busy, self.failed = True, False
            self._heads_left, self._head, self._rows_left = heads, 0, settings["layer_queries"]

    def _rooms(self) -> bool:
        return bool(self._transfers.shown()["entering_ready"] and self._beats.shown()["entering_ready"])

    def _transfer(self, address: int, place: int, beats: int) -> int:
        """A payload for the write master: `beats` beats, `place` times as many behind an address."""
        port = self._machine.writer.port
        address = address + place * beats * port.bytes & (1 << port.address_bits) - 1
        return pack_transfer(port, Transfer(address, beats))

    def _output(self, settings: Settings, payload: int) -> tuple[int | None, int | None]:
        """A beat of a row's outputs."""
        machine, results = self._machine, self._machine.head.product.results
        fields = results.unpack(payload)
        outputs = fields["outputs"]
        transfer = None
        if not self._begun:
            transfer = self._transfer(
                settings["outputs_address"],
                fields["number"],
                machine.row_beats(settings["vectors_value_level"]),
            )
        beat = self._grouped(
            pack(
                [output & (1 << machine.output_word_bits) - 1 for output in outputs], machine.output_word_bits
            ),
            machine.output_groups,
            machine.head.output_lanes * machine.output_word_bits,
            last=bool(fields["last"]),
        )
        self._begun = not fields["last"]
        if fields["last"]:
            self._magnitude += fields["magnitude"]
            self._rows_left -= 1
            self._owes = self._rows_left == 0
        return transfer, beat

    def _importance(self, settings: Settings, payload: int, tokens: int) -> tuple[int | None, int | None]:
        """A line of sums."""
        machine, accumulator = self._machine, self._machine.head.accumulator
        last = bool(payload >> accumulator.width * accumulator.sum_bits + accumulator.width.bit_length())
        sums = unpack(payload, accumulator.sum_bits, accumulator.width)
        transfer = None
        if not self._begun:
            transfer = self._transfer(settings["importance_address"], 0, machine.sum_beats(tokens))
        beat = self._grouped(
            pack(sums, machine.sum_word_bits),
            machine.sum_groups,
            accumulator.width * machine.sum_word_bits,
            last=last,
        )
        self._begun = not last
        self._written = last
        return transfer, beat

    def _grouped(self, group: int, groups: int, bits: int, *, last: bool) -> int | None:
        """A beat of memory, if this group is the last that fits or comes."""
        self._groups.append(group)
        if len(self._groups) < groups and not last:
            return None
        beat = pack(self._groups, bits)
        self._groups = []
        return beat
