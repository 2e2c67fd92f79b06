"""GPUSQ-ViT (arXiv 2305.10727) beside our rules and our A100: sizes, operations, gains by batch.

    python benchmarks/gpusq.py [--date YYYY-MM-DD] [-o benchmarks/results/gpusq.json]

Shapes of DeiT and Swin with regular masks (time does not depend on which weights are kept), and the real
ViT-S of `accelsim models` pruned by magnitude. Nothing is fitted. The paper's rows by model could not be had:
its ranges are the claims.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain

import numpy as np
from experiment import finish, options

import accelsim
from accelsim.accelerators import find
from accelsim.golden.formats import Bitmap
from accelsim.models import load
from accelsim.models.footprint import Footprint, Operations, footprint, operations, parameters
from accelsim.models.networks import workload
from accelsim.parameters import replace_by_path
from accelsim.report import Report
from accelsim.workload import Matmul, Workload

NETWORKS = ("deit-tiny", "deit-small", "deit-base", "swin-tiny", "swin-small", "swin-base")
TIMED = ("deit-small", "deit-base", "swin-tiny", "swin-base")
LARGE_BATCH = 32

# Bytes that repeat along k: two of four, and two aligned pairs of four.
MASKS = {"int8": 0x33, "int4": 0x0F}
# A dense int8 or int4 multiply-add counts as 1/16 or 1/32 of one in FP32: A100's tensor cores in FP16 against
# its FP32 units, once and twice more. The paper does not say what it counts.
RATES = {"int8": 16, "int4": 32}
SIZES = {"int8": 6.4, "int4": 12.7}
REDUCTIONS = {"int8": "30.3..31", "int4": "62"}
GAINS = {"latency": "1.39..1.79", "throughput": "3.22..3.43"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published figure or range beside ours."""

    network: str
    quantity: str
    claim: str
    ours: float
    why_different: str


def main() -> None:
    parser = options(__file__, __doc__)
    given = parser.parse_args()
    rows = []
    print(f"{'network':<12} {'quantity':<34} {'claim':>11} {'ours':>7}  why different")
    for row in chain(counted(), timed()):
        rows.append(row)
        print(
            f"{row.network:<12} {row.quantity:<34} {row.claim:>11} {row.ours:>7.4g}  {row.why_different}",
            flush=True,
        )
    finish(
        given,
        "numpy",
        "numba",
        "torch",
        rows=[asdict(row) for row in rows],
        assumptions=list(find("stc:a100")[2].assumptions()),
    )


def counted() -> Iterator[Row]:
    """Sizes and operations of every network by rule."""
    for name in NETWORKS:
        made = pruned(workload(name), MASKS["int8"])
        yield from by_rule(name, footprint(made, parameters(name)), operations(made))
    yield from by_rule("vit-s (real)", *real_vit())


def by_rule(name: str, size: Footprint, done: Operations) -> Iterator[Row]:
    """The rule alone, what is left of it, and the operations."""
    left = f"{1 - size.pruned / size.parameters:.1%} of the parameters are not pruned"
    for dtype, claim in SIZES.items():
        matrices = Footprint(pruned=size.pruned, whole=0, beside=0)
        why = f"the rule, for pruned matrices alone; {left}"
        yield _row(name, f"size, {dtype}, pruned matrices", claim, matrices.reduction(dtype), why)
        for bits in (32, 8):
            why = f"patches whole; biases, norms and positions in {bits} bits"
            yield _row(name, f"size, {dtype}, all, rest {bits} bits", claim, size.reduction(dtype, bits), why)
    products = done.activations / done.dense
    yield _row(name, "MACs", "", done.reduction, f"QK^T and PV are not pruned: {products:.1%} of the MACs")
    for dtype, rate in RATES.items():
        why = f"MACs at 1/{rate} of FP32's; the paper's definition is not known"
        yield _row(name, f"operations, {dtype}", REDUCTIONS[dtype], rate * done.reduction, why)


def real_vit() -> tuple[Footprint, Operations]:
    """The real model, pruned by magnitude and traced."""
    from accelsim.trace import trace

    model = load("vit-s")
    count = sum(parameter.numel() for parameter in model.module.parameters())
    made = trace(model.module, model.inputs, "magnitude,2:4", name=model.name)
    return footprint(made, count), operations(made)


def timed() -> Iterator[Row]:
    """Dense TF32 (what TensorRT runs for FP32 on an A100) against 2:4 integers, on our A100."""
    for name in TIMED:
        for kind, batch in (("latency", 1), ("throughput", LARGE_BATCH)):
            dense = workload(name, batch=batch)
            before = run(dense, "tf32")
            for dtype, byte in MASKS.items():
                after = run(pruned(dense, byte), dtype)
                alone = before.cycles / after.cycles
                launches = 1 - after.cycles / after.clock_hz / after.seconds
                why = (
                    f"products alone, without softmax, norms and copies; {alone:.2f} without launches "
                    f"({launches:.0%} of the time)"
                )
                yield Row(
                    network=name,
                    quantity=f"{kind}, {dtype}, batch {batch}",
                    claim=GAINS[kind],
                    ours=before.seconds / after.seconds,
                    why_different=why,
                )


def run(made: Workload, dtype: str) -> Report:
    """One forward pass on our A100; between quantised layers outputs are as narrow as their inputs."""
    machine = replace_by_path(find("stc:a100")[2], "dtype", dtype)
    if dtype in MASKS:
        machine = replace_by_path(machine, "out_dtype", dtype)
    return accelsim.run(made, machine, baseline=False)


def pruned(made: Workload, byte: int) -> Workload:
    """Every matrix of whole groups with a mask of this byte over and over."""
    layers = [
        replace(layer, mask=Bitmap((layer.n, layer.k), np.full(layer.n * layer.k // 8, byte, np.uint8)))
        if isinstance(layer, Matmul) and layer.weights and layer.group_span % 8 == 0
        else layer
        for layer in made.layers
    ]
    return replace(made, layers=tuple(layers))


def _row(network: str, quantity: str, claim: float | str, ours: float, why: str) -> Row:
    return Row(network=network, quantity=quantity, claim=str(claim), ours=ours, why_different=why)


if __name__ == "__main__":
    main()
