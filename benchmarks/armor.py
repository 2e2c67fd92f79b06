"""ARMOR (arXiv 2510.05528) beside ours: overhead, bound, and why a product with one row gains less than it.

    python benchmarks/armor.py [--date YYYY-MM-DD] [-o benchmarks/results/armor.json]

The matrices of one block of Qwen2.5-7B and 32B with regular 2:4 masks, one token (the published product of a
matrix and a vector) and, of the smaller, a prompt of 128, on our A100 and H100 in FP16. Which GPU and kernels
the paper measured is not in our sources. Nothing is fitted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
from experiment import finish, options

import accelsim
from accelsim.accelerators import find
from accelsim.golden.formats import Bitmap
from accelsim.models.armor import overhead, with_cores
from accelsim.models.networks import workload
from accelsim.report import Report
from accelsim.workload import Matmul, Workload

SHARES = {"qwen2.5-7b": (0.0495, 1.82), "qwen2.5-32b": (0.0344, 1.87)}
MEASURED = {"plain 2:4": 1.86, "ARMOR": 1.57}
MACHINES = ("stc:a100", "stc:h100")
PROMPTED, PROMPT = "qwen2.5-7b", 128
TWO_OF_FOUR = 0x33


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published figure beside ours; `claim` is None where none is published."""

    work: str
    quantity: str
    claim: float | None
    ours: float
    why_different: str


def main() -> None:
    parser = options(__file__, __doc__)
    given = parser.parse_args()
    rows = []
    print(f"{'work':<30} {'quantity':<28} {'claim':>6} {'ours':>7}  why different")
    for name in SHARES:
        for row in [*counted(name), *timed(name)]:
            rows.append(row)
            claim = "-" if row.claim is None else f"{row.claim:.4g}"
            print(
                f"{row.work:<30} {row.quantity:<28} {claim:>6} {row.ours:>7.4g}  {row.why_different}",
                flush=True,
            )
    finish(
        given,
        "numpy",
        "numba",
        rows=[asdict(row) for row in rows],
        assumptions={machine: list(find(machine)[2].assumptions()) for machine in MACHINES},
    )


def counted(name: str) -> list[Row]:
    """Overhead of the blocks and the gain that they leave, where MACs bind and where bytes do."""
    found = overhead(block(name, 1))
    share, bound = SHARES[name]
    return [
        Row(work=name, quantity="overhead", claim=share, ours=found.share, why_different=""),
        Row(work=name, quantity="bound by MACs", claim=bound, ours=found.bound(), why_different=""),
        Row(
            work=name,
            quantity="bound by FP16 bytes",
            claim=None,
            ours=found.bound(9 / 16),
            why_different="a 2:4 weight of 16 bits takes 9/16 of its bytes, not half: plain 2:4 ends at 1.78",
        ),
    ]


def timed(name: str) -> list[Row]:
    """One block of the network, dense, 2:4 and ARMOR."""
    rows = []
    for machine in MACHINES:
        for tokens in (1, PROMPT) if name == PROMPTED else (1,):
            core = block(name, tokens)
            dense = run(core.dense(), machine)
            for kind, made in (("plain 2:4", core), ("ARMOR", with_cores(core))):
                report = run(made, machine)
                rows.append(
                    Row(
                        work=f"{name}, {machine}, {tokens} rows",
                        quantity=f"gain, {kind}",
                        claim=MEASURED[kind] if tokens == 1 else None,
                        ours=dense.seconds / report.seconds,
                        why_different=reason(dense, report),
                    )
                )
    return rows


def reason(dense: Report, report: Report) -> str:
    """What is left of the gain without launches, and by bytes alone."""
    launches = 1 - report.cycles / report.clock_hz / report.seconds
    around = [row for row in report.layers if row.name.endswith((".before", ".behind"))]
    words = (
        f"without launches {dense.cycles / report.cycles:.2f}; bytes of DRAM "
        f"{dense.dram_bytes / report.dram_bytes:.2f} times fewer; launches take {launches:.0%}"
    )
    if not around:
        return words
    share = sum(row.cycles or 0 for row in around) / report.cycles
    moved = sum(row.dram_bytes or 0 for row in around) / report.dram_bytes
    return f"{words}; the blocks {share:.0%} of the cycles for {moved:.0%} of the bytes"


def block(name: str, tokens: int) -> Workload:
    """The seven matrices of one block, masked."""
    made = workload(name, tokens=tokens)
    layers = [
        replace(
            layer, mask=Bitmap((layer.n, layer.k), np.full(layer.n * layer.k // 8, TWO_OF_FOUR, np.uint8))
        )
        for layer in made.layers
        if isinstance(layer, Matmul) and layer.name.startswith("model.layers.0.")
    ]
    return replace(made, layers=tuple(layers))


def run(made: Workload, machine: str) -> Report:
    """On a machine by name."""
    return accelsim.run(made, find(machine)[2], baseline=False)


if __name__ == "__main__":
    main()
