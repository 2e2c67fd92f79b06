"""The tile engine clock by clock: a loader fills one half of the buffers, a sequencer reads the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden import fragments
from accelsim.golden.fragments import COLUMNS, ROWS, Registers
from accelsim.golden.tensor_lane import accumulate, form_of, pass_operands, undefined
from accelsim.golden.two_four import BITS_OF_A_CODE
from accelsim.units.promises import Promises
from accelsim.units.stc.lane import ACCUMULATOR_BITS
from accelsim.units.stc.metadata import pack_quad, row_words
from accelsim.units.stc.tile import (
    A_BEATS,
    FROM_C,
    METADATA_CLOCKS,
    QUADS,
    ZERO,
    Pass,
    Tile,
    pack_result,
    quad_registers,
    unpack_pass,
)
from accelsim.units.step import Row, unpack


@dataclass
class Loading:
    """A pass whose operands come."""

    step: Pass
    a: list[int] = field(default_factory=list)
    b: list[int] = field(default_factory=list)
    metadata: list[int] = field(default_factory=list)
    clocks: int = 0
    """In which a beat of metadata was offered."""

    @property
    def complete(self) -> bool:
        """Everything is there."""
        decoded = not self.step.sparse or self.clocks == METADATA_CLOCKS
        return len(self.a) == A_BEATS and len(self.b) == self.step.b_beats and decoded


@dataclass
class Running:
    """A pass that is multiplied. a, b: operands that meet, by step."""

    step: Pass
    a: npt.NDArray[Any]
    b: npt.NDArray[Any]
    undefined: bool
    position: int = 0


class Model:
    """Streams: `instructions`, `a`, `b`, `codes`, `c` in, `d` out; probes `running`, `promised`.

    `running`: a pass is multiplied; `promised`: results on their way or at the output. A dense engine has no
    `codes`.
    """

    def __init__(self, parameters: Tile) -> None:
        self.parameters = parameters
        self._c_depth = parameters.c_depth
        self.reset()

    def reset(self) -> None:
        """No pass, nothing under way."""
        parameters = self.parameters
        self._loading: Loading | None = None
        self._running: Running | None = None
        self._undefined = False
        self._accumulators: Registers = np.zeros((ROWS, COLUMNS), np.uint32)
        self._results = Promises(parameters.latency_cycles, parameters.d_depth)
        self._c: deque[int] = deque()
        self._c_held = 0
        self._c_moving: deque[bool] = deque([False] * parameters.step_cycles)

    def shown(self) -> Row:
        """The outputs, all of which follow from the state alone."""
        parameters, loading, results = self.parameters, self._loading, self._results
        hands = loading is not None and loading.complete and (self._running is None or self._ends())
        row = {
            "instructions_ready": int(loading is None or hands),
            "a_ready": int(loading is not None and len(loading.a) < A_BEATS),
            "b_ready": int(loading is not None and len(loading.b) < loading.step.b_beats),
            "c_ready": int(self._c_held < self._c_depth),
            "d_valid": int(results.offered is not None),
            "d_payload": results.offered or 0,
            "running": int(self._running is not None),
            "promised": results.promised,
        }
        if parameters.sparse:
            row["codes_ready"] = int(loading is not None and loading.step.sparse and loading.clocks % 2)
        return row

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        parameters, loading, running, results = self.parameters, self._loading, self._running, self._results
        row, ends = self.shown(), self._ends()
        hands = loading is not None and bool(row["instructions_ready"])
        goes = running is not None and self._may_go(running)
        takes_c = goes and running is not None and self._takes_c(running)
        results.step(self._issue(running) if goes and running is not None else None, inputs["d_ready"])
        self._c_moving.append(takes_c)
        self._c_held -= self._c_moving.popleft()
        if row["c_ready"] and inputs["c_valid"]:
            self._c.append(inputs["c_payload"])
            self._c_held += 1
        if loading is not None:
            self._load(loading, row, inputs)
        if ends:
            self._running = None
        if hands and loading is not None:
            self._running = self._handed(loading)
        if row["instructions_ready"]:
            step = unpack_pass(parameters, inputs["instructions_payload"])
            self._loading = Loading(step) if inputs["instructions_valid"] else None
        return row

    def _ends(self) -> bool:
        """Whether the pass's last step goes."""
        running = self._running
        last = self.parameters.pass_cycles - 1
        return running is not None and running.position == last and self._may_go(running)

    def _load(self, loading: Loading, row: Row, inputs: Mapping[str, int]) -> None:
        for name, beats in (("a", loading.a), ("b", loading.b)):
            if row[f"{name}_ready"] and inputs[f"{name}_valid"]:
                beats.append(inputs[f"{name}_payload"])
        wanted = loading.step.sparse and loading.clocks < METADATA_CLOCKS
        if wanted and inputs["codes_valid"]:
            loading.clocks += 1
            if row["codes_ready"]:
                loading.metadata.append(inputs["codes_payload"])

    def _handed(self, loading: Loading) -> Running:
        """The pass with the operands that its steps multiply."""
        parameters, step = self.parameters, loading.step
        form = form_of(parameters.a_type)
        shape = parameters.metadata.shape
        ordered = parameters.codes == "ordered"
        rows = fragments.a_from_lanes(quad_registers(loading.a), shape)
        b = quad_registers(loading.b)
        columns = b.reshape(COLUMNS, 4, -1).swapaxes(1, 2).reshape(COLUMNS, -1)
        codes = self._codes(loading) if step.sparse else None
        flawed = codes is not None and bool(undefined(codes, ordered=ordered).any())
        self._undefined = flawed or (step.begins not in (ZERO, FROM_C) and self._undefined)
        operands = pass_operands(form, rows, columns, codes, ordered=ordered)
        return Running(step, *operands, undefined=self._undefined)

    def _codes(self, loading: Loading) -> npt.NDArray[np.uint8]:
        parameters = self.parameters.metadata
        codes = np.empty((ROWS, parameters.row_codes), np.uint8)
        for quad, beat in enumerate(loading.metadata):
            registers = unpack(beat, 32, 4)
            for half, word in enumerate(row_words(parameters, pack_quad(registers, loading.step.selector))):
                codes[quad + QUADS * half] = unpack(word, BITS_OF_A_CODE, parameters.row_codes)
        return codes

    def _takes_c(self, running: Running) -> bool:
        return running.step.begins == FROM_C and running.position < self.parameters.places

    def _gives(self, running: Running) -> bool:
        first = self.parameters.pass_cycles - self.parameters.places
        return running.step.gives and running.position >= first

    def _may_go(self, running: Running) -> bool:
        """Whether the step at hand has its part of C, and room for its results."""
        there = not self._takes_c(running) or bool(self._c)
        return there and (not self._gives(running) or self._results.room)

    def _issue(self, running: Running) -> int | None:
        """A step of one column of a block of rows; its results if it is the pass's last."""
        parameters = self.parameters
        step, place = divmod(running.position, parameters.places)
        block, column = divmod(place, COLUMNS)
        rows = slice(block * parameters.lanes, (block + 1) * parameters.lanes)
        start = self._accumulators[rows, column]
        if step == 0 and running.step.begins == FROM_C:
            start = np.array(unpack(self._c.popleft(), ACCUMULATOR_BITS, parameters.lanes), np.uint32)
        elif step == 0 and running.step.begins == ZERO:
            start = np.zeros(parameters.lanes, np.uint32)
        sums = accumulate(
            parameters.a_type,
            parameters.b_type,
            running.a[step, rows, 0],
            running.b[step, rows, column],
            start,
        )
        self._accumulators[rows, column] = sums
        gives = self._gives(running)
        running.position += 1
        return pack_result(parameters, sums.tolist(), running.undefined) if gives else None
