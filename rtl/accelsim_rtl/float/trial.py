"""All floating-point operations side by side in a compiled simulation, for millions of operands.

The bench of the kit drives a stream clock by clock from Python; here a program of Verilator's runs through
a file of operands, one set a clock, and writes what every pipeline shows.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.floating import FP16, FP32, Format
from accelsim.units.floating import Operation
from accelsim_rtl.entries.floating import corners, drawn
from accelsim_rtl.float.unit import NAMES, core
from accelsim_rtl.kit import simulators
from accelsim_rtl.kit.simulators import FailedToolError
from accelsim_rtl.kit.verilog import verilog

TOP = "float_trial"
HALVES, SINGLES = 2, 3
"""FP16 and FP32 operands of a set; an operation takes the first ones of its format."""

Operands = npt.NDArray[np.uint32]
"""(sets, HALVES + SINGLES): FP16 words, then FP32 words."""

PROGRAM = """
#include <cstdint>
#include <cstdio>
#include "V@TOP@.h"
int main(int, char **words) {
  V@TOP@ *unit = new V@TOP@;
  FILE *from = fopen(words[1], "rb"), *to = fopen(words[2], "wb");
  uint32_t in[@INPUTS@], out[@OUTPUTS@];
  unit->rst = 0;
  while (fread(in, sizeof in, 1, from) == 1) {
    @LOADS@
    unit->clk = 0; unit->eval();
    @READS@
    fwrite(out, sizeof out, 1, to);
    unit->clk = 1; unit->eval();
  }
  return fclose(to);
}
"""


class Trial(Component):
    """Ports `half_0`, ..., `single_0`, ...; `result_n` of operation n."""

    def __init__(self, operations: Sequence[Operation]):
        self.operations = operations
        members = {f"half_{place}": In(16) for place in range(HALVES)}
        members |= {f"single_{place}": In(32) for place in range(SINGLES)}
        members |= {f"result_{place}": Out(each.result.bits) for place, each in enumerate(operations)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        for place, operation in enumerate(self.operations):
            m.submodules[f"operation_{place}"] = pipeline = core(operation)
            names = NAMES[: len(operation.operands)] if len(operation.operands) > 1 else ("operand",)
            kind = "half" if operation.operands[0] == FP16 else "single"
            m.d.comb += [
                getattr(pipeline, name).eq(getattr(self, f"{kind}_{number}"))
                for number, name in enumerate(names)
            ]
            m.d.comb += getattr(self, f"result_{place}").eq(pipeline.result)
        return m


def build(operations: Sequence[Operation], folder: Path) -> Path:
    """The program, built in `folder`. Raises MissingToolError, FailedToolError."""
    simulators.require("verilator")
    ports = [f"half_{place}" for place in range(HALVES)] + [f"single_{place}" for place in range(SINGLES)]
    results = [f"result_{place}" for place in range(len(operations))]
    filled = {
        "TOP": TOP,
        "INPUTS": str(len(ports)),
        "OUTPUTS": str(len(results)),
        "LOADS": " ".join(f"unit->{port} = in[{place}];" for place, port in enumerate(ports)),
        "READS": " ".join(f"out[{place}] = unit->{port};" for place, port in enumerate(results)),
    }
    program = PROGRAM
    for word, text in filled.items():
        program = program.replace(f"@{word}@", text)
    (folder / f"{TOP}.v").write_text(verilog(Trial(operations), TOP))
    (folder / "main.cpp").write_text(program)
    words = ["--cc", "--exe", "--build", "-O3", "--top-module", TOP, "-Wno-lint", "-Wno-fatal"]
    words += ["-CFLAGS", "-O1", f"{TOP}.v", "main.cpp"]
    simulators.verilate(words, folder)
    return folder / "obj_dir" / f"V{TOP}"


def run(program: Path, operations: Sequence[Operation], operands: Operands) -> list[npt.NDArray[np.uint32]]:
    """What each operation makes of all sets of operands, in their order. Raises FailedToolError."""
    folder = program.parent
    slowest = max(operation.clocks for operation in operations)
    flushed = np.concatenate([operands, np.zeros((slowest, operands.shape[1]), np.uint32)])
    (folder / "operands").write_bytes(flushed.tobytes())
    done = subprocess.run(
        [program, folder / "operands", folder / "results"], capture_output=True, text=True, errors="replace"
    )
    if done.returncode:
        raise FailedToolError(program.name, done.stderr)
    shown = np.frombuffer((folder / "results").read_bytes(), np.uint32).reshape(-1, len(operations))
    return [shown[operation.clocks :, place][: len(operands)] for place, operation in enumerate(operations)]


def golden(operation: Operation, operands: Operands) -> npt.NDArray[np.uint32]:
    """The same by golden."""
    first = 0 if operation.operands[0] == FP16 else HALVES
    columns = [operands[:, first + place].astype(form.word) for place, form in enumerate(operation.operands)]
    return operation.compute(*columns).astype(np.uint32)


def drawn_operands(begin: int, count: int, generator: np.random.Generator) -> Operands:
    """Sets `begin` and on: the first FP16 operand counts through all words, the others are drawn."""
    halves = [(np.arange(begin, begin + count) & 0xFFFF), _drawn(FP16, count, generator)]
    singles = [_drawn(FP32, count, generator) for _ in range(SINGLES)]
    # Sums that nearly cancel, of two operands and of a product with a third.
    close = generator.integers(0, 8, count)
    flipped = singles[0] ^ (1 << 31) ^ generator.integers(0, 16, count)
    singles[1] = np.where(close == 0, flipped, singles[1])
    numbers = [words.astype(np.uint32).view(np.float32) for words in singles[:2]]
    with np.errstate(all="ignore"):
        product = -(numbers[0] * numbers[1])
    near = product.view(np.uint32).astype(np.int64) ^ generator.integers(0, 16, count)
    singles[2] = np.where(close == 1, near, singles[2])
    return np.stack([*halves, *singles], axis=1).astype(np.uint32)


def _drawn(form: Format, count: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Words as the bench draws them, an eighth of them corner cases."""
    corner = generator.choice(np.array(corners(form), np.int64), count)
    return np.where(generator.integers(0, 8, count) == 0, corner, drawn(form, generator, count))
