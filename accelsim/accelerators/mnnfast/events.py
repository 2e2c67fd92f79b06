"""What MnnFast is made of, and how often each part works in a layer: for energy and area."""

from __future__ import annotations

from accelsim.accelerators.mnnfast.parameters import ROWS, Parameters
from accelsim.accelerators.whole import Whole
from accelsim.energy import Part
from accelsim.plan import Flags, Integers

EXPONENT_STEPS = 5  # multiply-adds of a fifth-order Taylor series, as in SpAtten's softmax
DIVISION_STEPS = 4  # two Newton steps of two multiply-adds each
SUM_BITS = 32


def parts(machine: Parameters) -> tuple[Part, ...]:
    """Both arrays, exponents, dividers, the chunks, the queries and their sums."""
    cost, bits, lanes = machine.energy, machine.element_bits, machine.multipliers
    word, sums = f"int{bits}", f"int{2 * bits}"
    multiply, add = cost.multiply("fp32"), cost.add("fp32")
    fused = multiply._replace(pj=multiply.pj + add.pj, um2=multiply.um2 + add.um2)
    chunk = cost.sram(-(-machine.chunk_keys * lanes * bits // 8), lanes * bits)
    row = cost.sram(-(-machine.chunk_keys * 2 * bits // 8), 2 * bits)
    queries = cost.sram(-(-machine.query_rows * lanes * bits // 8), lanes * bits)
    outputs = cost.sram(-(-machine.query_rows * lanes * SUM_BITS // 8), lanes * SUM_BITS)
    return (
        Part(name="QxK multipliers", group="logic", cost=cost.multiply(word), count=lanes),
        Part(name="QxK adders", group="logic", cost=cost.add(sums), count=lanes),
        Part(name="PxV multipliers", group="logic", cost=cost.multiply(word), count=lanes),
        Part(name="PxV adders", group="logic", cost=cost.add(sums), count=lanes),
        Part(name="exponents", group="logic", cost=fused.times(EXPONENT_STEPS)),
        Part(name="divisions", group="logic", cost=fused.times(DIVISION_STEPS), count=machine.dividers),
        Part(name="K chunks", group="sram", cost=chunk, count=machine.chunks),
        Part(name="V chunks", group="sram", cost=chunk, count=machine.chunks),
        Part(name="score rows", group="sram", cost=row, count=2 * ROWS),
        Part(name="queries", group="sram", cost=queries),
        Part(name="sums", group="sram", cost=outputs),
    )


def count_events(
    machine: Parameters, whole: Whole, opens: Flags, keys: Integers, kept: int
) -> dict[str, float]:
    """Events of one layer; opens, keys: (jobs,), whether a job brings its chunk, and how long that is."""
    layer = whole.layer
    products = int(keys.sum())
    lines = int((-(-keys // machine.vectors_per_cycle(layer.dim))).sum())
    loaded = int(keys[opens].sum())
    return {
        "QxK multipliers": products * layer.dim,
        "QxK adders": products * layer.dim,
        "PxV multipliers": kept * layer.value_dim,
        "PxV adders": kept * layer.value_dim,
        "exponents": products,
        "divisions": whole.rows * layer.value_dim,
        "K chunks": loaded + lines,
        "V chunks": loaded + kept,
        "score rows": 4 * products,
        # A query is written once and read for every chunk, its sums are read and written for every chunk.
        "queries": whole.rows + keys.size,
        "sums": 2 * keys.size,
    }
