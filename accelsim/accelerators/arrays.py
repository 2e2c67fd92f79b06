"""What `systolic` and `sat` share: an array of processing elements with buffers, fed by GEMMs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from accelsim.accelerators.base import LayerPlan, require
from accelsim.accelerators.folds import ACCUMULATOR_BYTES, Folds, output_stationary, weight_stationary
from accelsim.accelerators.gemm import Array, Gemm
from accelsim.accelerators.products import ELEMENT_BITS, Pattern, find_pattern, products, refuse
from accelsim.dram import DDR4_2400, Cache, Dram
from accelsim.energy import Energy, Part
from accelsim.workload import Layer, Matmul

Dataflow = Literal["auto", "os", "ws"]

DATAFLOWS: dict[str, Callable[[Gemm, Array], Folds]] = {"os": output_stationary, "ws": weight_stationary}


@dataclass(frozen=True, kw_only=True)
class ArrayMachine:
    """A rows x cols array; buffers in bytes.

    `dataflow`: `auto` takes the better one for each product. `out_dtype`: of the stored outputs, "" as
    `dtype`. `group_limit`: the largest M of an N:M pattern. `launch_seconds`: of each product.
    """

    cache: ClassVar[Cache | None] = None

    rows: int = 32
    cols: int = 32
    clock_hz: float = 1e9
    dataflow: Dataflow = "auto"
    dtype: str = "fp16"
    out_dtype: str = ""
    activation_buffer: int = 1 << 20
    weight_buffer: int = 1 << 20
    output_buffer: int = 1 << 20
    group_limit: int = 32
    launch_seconds: float = 0.0
    dram: Dram = DDR4_2400
    energy: Energy = field(default_factory=Energy)

    def __post_init__(self) -> None:
        for name in ("rows", "cols", "clock_hz", "activation_buffer", "weight_buffer", "output_buffer"):
            require(getattr(self, name) > 0, name, "> 0", getattr(self, name))
        flows = get_args(Dataflow)
        require(self.dataflow in flows, "dataflow", f"one of {', '.join(flows)}", self.dataflow)
        require(self.dtype in ELEMENT_BITS, "dtype", f"one of {', '.join(ELEMENT_BITS)}", self.dtype)
        outputs = ("", *ELEMENT_BITS)
        require(self.out_dtype in outputs, "out_dtype", f"one of {', '.join(ELEMENT_BITS)}", self.out_dtype)
        require(2 <= self.group_limit <= 256, "group_limit", "2..256", self.group_limit)
        require(self.launch_seconds >= 0, "launch_seconds", ">= 0", self.launch_seconds)

    def array(self) -> Array:
        """The array as folds see it: fill and drain exposed, one cycle for a product and its sum."""
        return Array(
            rows=self.rows,
            cols=self.cols,
            activation_buffer=self.activation_buffer,
            weight_buffer=self.weight_buffer,
            output_buffer=self.output_buffer,
        )

    @property
    def peak_ops_per_second(self) -> float:
        """Multiplications and additions of all elements."""
        return 2 * self.rows * self.cols * self.clock_hz

    @property
    def sum_dtype(self) -> str:
        """Type of the sums on chip."""
        return "int32" if self.dtype.startswith("int") else "fp32"

    def parts(self) -> tuple[Part, ...]:
        """The elements of the array, and its buffers, each as wide as the array's side."""
        bits, elements = ELEMENT_BITS[self.dtype], self.rows * self.cols
        sums = 8 * ACCUMULATOR_BYTES
        cost = self.energy

        def buffer(name: str, size: int, width: int) -> Part:
            return Part(name=name, group="sram", cost=cost.sram(size, width))

        return (
            Part(name="multipliers", group="logic", cost=cost.multiply(self.dtype), count=elements),
            Part(name="adders", group="logic", cost=cost.add(self.sum_dtype), count=elements),
            Part(name="element registers", group="logic", cost=cost.register(bits + sums), count=elements),
            buffer("activation buffer", self.activation_buffer, self.rows * bits),
            buffer("weight buffer", self.weight_buffer, self.cols * bits),
            buffer("output buffer", self.output_buffer, self.cols * sums),
        )

    def _events(self, macs: int, total: Callable[[str], int]) -> dict[str, float]:
        """A buffer is written as it is filled from memory and read as the array asks for it.

        `total`: sum of a column of the folds, by name.
        """
        bits = ELEMENT_BITS[self.dtype]
        activations = total("activations") + total("activations_read")
        weights = total("weights") + total("weights_read")
        return {
            "multipliers": macs,
            "adders": macs,
            "element registers": macs,
            "activation buffer": 8 * activations / (self.rows * bits),
            "weight buffer": 8 * weights / (self.cols * bits),
            "output buffer": total("sums_moved") / (self.cols * ACCUMULATOR_BYTES),
        }

    def held(self, pattern: Pattern) -> int:
        """Stored weights that share a processing element when weights are stationary."""
        return 1

    def refuse(self, layer: Layer) -> str:
        """Everything that is a matrix product runs."""
        return refuse(layer)

    def plan(self, layer: Layer) -> LayerPlan:
        """The layer's products one after the other, each in its better dataflow."""
        parts: list[Folds] = []
        flows: list[str] = []
        notes: list[str] = []
        pattern = Pattern()
        dense = done = 0
        for product in products(layer):
            pattern = find_pattern(product, self.group_limit)
            gemm = self.gemm(product, pattern)
            flow, folds = self.choose(gemm)
            parts += [folds] * product.count
            flows.append(flow)
            notes += self.remarks(product, pattern, folds.compute_cycles)
            dense += product.dense().macs
            done += product.m * product.n * min(gemm.stream, product.k) * product.count
        joined = Folds.join(parts)
        return LayerPlan(
            plan=joined.plan(self.array(), self.dram.burst_bytes),
            macs_dense=dense,
            macs_done=done,
            launches=len(flows),
            notes=tuple(notes),
            facts={
                "pattern": str(pattern),
                "dataflow": "+".join(flows),
                "utilisation": done / (joined.compute_cycles * self.rows * self.cols),
            },
            events=self._events(done, joined.total),
        )

    def gemm(self, product: Matmul, pattern: Pattern) -> Gemm:
        """Widths of the operands; an index of ceil(log2 M) bits lies beside each stored weight."""
        bits = ELEMENT_BITS[self.dtype]
        index = 0 if pattern.is_dense else (pattern.group - 1).bit_length()
        return Gemm(
            m=product.m,
            n=product.n,
            k=product.k,
            kept=1 if pattern.is_dense else pattern.kept,
            group=1 if pattern.is_dense else pattern.group,
            span=product.group_span,
            held=self.held(pattern),
            activation_bits=bits,
            weight_bits=bits + index,
            output_bits=ELEMENT_BITS[self.out_dtype or self.dtype],
        )

    def choose(self, gemm: Gemm) -> tuple[str, Folds]:
        """The dataflow that was asked for, or the one that `Folds.estimate` expects to end first."""
        flows = DATAFLOWS if self.dataflow == "auto" else {self.dataflow: DATAFLOWS[self.dataflow]}
        bytes_per_cycle = self.dram.stream_bandwidth / self.clock_hz
        options: list[tuple[str, Folds]] = []
        refusals: list[ValueError] = []
        for flow, make in flows.items():
            # One dataflow may be impossible (a buffer too small for it) where the other is not.
            try:
                options.append((flow, make(gemm, self.array())))
            except ValueError as error:
                refusals.append(error)
        if not options:
            raise refusals[0]
        return min(options, key=lambda option: option[1].estimate(bytes_per_cycle))

    def remarks(self, product: Matmul, pattern: Pattern, compute_cycles: int) -> list[str]:
        """Lines about one product: why it runs dense, what another mode would take."""
        return [pattern.note] if pattern.note else []

    def assumptions(self) -> tuple[str, ...]:
        """What every array machine here assumes."""
        return (
            "operands lie packed in memory in the order of first use; convolutions read their im2col columns",
            "attention runs as QK^T and PV for each head; softmax, norms and activations are not counted",
            f"all operands are {self.dtype}, sums on chip 32 bits; every layer begins on an idle machine",
            *self.energy.assumptions(),
        )
