"""Instructions of the tensor cores beside what was measured on A100 and H800.

    python benchmarks/tensor_core.py [--date YYYY-MM-DD] [-o benchmarks/results/tensor_core.json]

Measured figures are of microbenchmarks: one instruction over and over, operands in place. Rows of kind
`parameter` are where the model takes the figure from and show nothing; those of kind `prediction` follow from
the rates and from 128 bytes a clock of the shared-memory port. TFLOPS count skipped products, and ours are at
the clock of the published peak, 756.5 TFLOPS of dense FP16.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from experiment import finish, options

from accelsim.units.tensor_core import RATES, TENSOR_CORES, Instruction, Tile

SUN = "Sun et al., arXiv 2206.02874"
LUO = "Luo et al., arXiv 2402.13499"
H800_PEAK = 756.5

DENSE = Instruction(generation="hopper", kind="wgmma", m=64, n=256, k=16, a_source="shared")
SPARSE = replace(DENSE, k=32, sparse=True)
MMA_SP = Instruction(generation="ampere", k=32, sparse=True)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published figure beside ours."""

    source: str
    kind: str
    quantity: str
    claim: float
    ours: float
    ratio: float
    why_different: str


def main() -> None:
    parser = options(__file__, __doc__)
    given = parser.parse_args()
    found = rows()
    print(f"{'quantity':<58} {'claim':>8} {'ours':>8} {'ratio':>6}  why different")
    for row in found:
        print(
            f"{row.quantity:<58} {row.claim:>8.4g} {row.ours:>8.4g} {row.ratio:>6.3f}  "
            f"{'(parameter) ' * (row.kind == 'parameter')}{row.why_different}"
        )
    finish(given, "numpy", rows=[asdict(row) for row in found])


def rows() -> list[Row]:
    """Clocks and throughput of instructions, then the bounds of A100's tiles."""
    return [*_ampere(), *_hopper_clocks(), *_hopper_tflops(), *_tiles()]


def _ampere() -> list[Row]:
    short, dense = replace(MMA_SP, k=16), replace(MMA_SP, k=16, sparse=False)

    def rate(instruction: Instruction) -> float:
        macs = instruction.m * instruction.n * instruction.k
        return TENSOR_CORES * macs / instruction.issue_interval()

    unit = "products/clk/SM, A100 FP16"
    loss = "8 warps with two in flight leave 3 % of the rate unused"
    return [
        _row(SUN, "prediction", f"{MMA_SP}: {unit}", 1979.1, rate(MMA_SP), loss),
        _row(SUN, "parameter", f"{short}: {unit}", 1290.5, rate(short), ""),
        _row(SUN, "parameter", f"{MMA_SP}: clocks to the result, A100", 24.7, MMA_SP.latency(), ""),
        _row(SUN, "parameter", f"{dense}: clocks to the result, A100", 24.7, dense.latency(), ""),
    ]


def _hopper_clocks() -> list[Row]:
    made = []
    for instruction, source, clocks in (
        (DENSE, "registers", 128.0),
        (DENSE, "shared", 128.0),
        (SPARSE, "registers", 128.0),
        (SPARSE, "shared", 144.0),
    ):
        one = replace(instruction, a_source=source)
        made.append(
            _row(LUO, "prediction", f"{one}, A from {source}: clocks, H800", clocks, one.issue_interval(), "")
        )
    return made


def _hopper_tflops() -> list[Row]:
    def tflops(instruction: Instruction) -> float:
        macs = instruction.m * instruction.n * instruction.k
        return macs / instruction.issue_interval() / RATES["hopper"]["fp16"] * H800_PEAK

    loss = "3 to 5 % of clock or issue are lost in every type; ours are none"
    from_registers = {"a_source": "registers"}
    known = [
        (DENSE, 729.3, "prediction", loss),
        (replace(DENSE, dtype="tf32", k=8), 364.0, "prediction", loss),
        (replace(DENSE, dtype="fp8", k=32), 1448.0, "prediction", loss),
        (replace(DENSE, dtype="int8", k=32), 1449.0, "prediction", loss),
        (replace(SPARSE, **from_registers), 1472.0, "prediction", loss),
        (SPARSE, 1308.0, "prediction", loss),
        (replace(SPARSE, dtype="fp8", k=64, **from_registers), 2945.0, "prediction", loss),
        (replace(DENSE, n=128), 728.5, "prediction", loss),
        (replace(DENSE, n=64), 719.6, "prediction", loss),
        (replace(DENSE, n=8), 158.0, "prediction", "reading A takes 16 of 18 clocks; the loss, as above"),
        (replace(DENSE, n=8, **from_registers), 217.0, "parameter", loss),
    ]
    return [
        _row(LUO, kind, f"{one}, A from {one.a_source}: TFLOPS, H800", claim, tflops(one), why)
        for one, claim, kind, why in known
    ]


def _tiles() -> list[Row]:
    """Bounds by hand: clocks of the core against those of the shared-memory port."""
    made = []
    for dtype, k, bounds in (("fp16", 64, (1.71, 1.82, 1.91)), ("int8", 128, (1.64, 1.75, 1.83))):
        for (m, n), bound in zip(((128, 128), (128, 256), (256, 128)), bounds, strict=True):
            dense = Tile(dtype=dtype, m=m, n=n, k=k, warps_m=m // 64, warps_n=n // 64)
            clocks = [replace(dense, sparse=sparse).clocks("ampere", True) for sparse in (False, True)]
            quantity = f"2:4 over dense, {dtype} {m} x {n} x {k}, warps of 64 x 64: bound, A100"
            made.append(_row("by hand", "prediction", quantity, bound, clocks[0] / clocks[1], ""))
    return made


def _row(source: str, kind: str, quantity: str, claim: float, ours: float, why: str) -> Row:
    return Row(
        source=source,
        kind=kind,
        quantity=quantity,
        claim=claim,
        ours=ours,
        ratio=ours / claim,
        why_different=why,
    )


if __name__ == "__main__":
    main()
