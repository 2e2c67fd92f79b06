"""A GPU's tensor cores as instructions and k-steps: how long each takes, dense and 2:4.

The sparse operand is A (m x k); an instruction skips every second product of it, so 2:4 does twice the k in
the same clocks. Two things can take longer than the products: the shared-memory port, because B is read
whole (mma: by the kernel's loads, wgmma: by the instruction itself), and the least interval of short
instructions. Sources: NVIDIA A100 and H100 white papers (rates); Sun et al., arXiv 2206.02874 (A100 mma and
mma.sp); Luo et al., arXiv 2402.13499 (H800 mma, wgmma and their sparse forms, 128 B/clk of the port).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from accelsim.golden.fragments import shape_of, wgmma_columns
from accelsim.golden.two_four import FORMATS

Generation = Literal["ampere", "hopper"]

Source = Literal["registers", "shared"]
"""Where an instruction takes A from; B comes from registers in mma and from shared memory in wgmma."""

RATES = {
    "ampere": {"fp16": 1024, "bf16": 1024, "tf32": 512, "int8": 2048, "int4": 4096},
    "hopper": {"fp16": 2048, "bf16": 2048, "tf32": 1024, "int8": 4096, "fp8": 4096},
}
"""Multiply-adds a clock and SM: dense ones, and as many stored ones of 2:4."""

TENSOR_CORES = 4
"""Of an SM. A warp's mma runs on one of them, the wgmma of four warps on all."""

SHARED_PORT_BYTES = 128
"""Read from or written to an SM's shared memory in a clock."""

AMPERE_LEAST_SPARSE = TENSOR_CORES * 16 * 8 * 16 / 1290.5
"""Clocks from one mma.sp to the next, at least: m16n8k16 FP16 reaches 1290.5 of 2048 products a clock.
Taken for all types."""

HOPPER_LEAST = 64 * 8 * 16 / (2048 * 217 / 728.5)
"""Clocks from one wgmma to the next, at least: m64n8k16 FP16 with A in registers reaches 217 TFLOPS where
m64n256k16, which takes its 128 clocks, reaches 728.5. Taken for all types."""

HOPPER_MMA_SHARE = 0.629
"""Of the peak, what the older mma reaches on Hopper."""

HOPPER_MMA_SPARSE_GAIN = 1.42
"""Mean gain of mma.sp over mma on Hopper."""

LATENCIES = {"ampere": {128: 17.7, 256: 24.7}, "hopper": {128: 24.1, 256: 24.1}}
"""Clocks from issue to result of one mma, by the bits of a row of A that it multiplies. Sparse is as dense:
24.7 on A100, 24.0 on H800. Hopper's short form is not published; the long form's bounds it from above."""


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One mma (a warp, m16n8) or wgmma (four warps, m64), dense or sparse; k counts dense elements.

    Accumulators are 32 bits wide. Raises ValueError on a type the generation lacks or a shape PTX lacks.
    """

    generation: Generation
    kind: Literal["mma", "wgmma"] = "mma"
    dtype: str = "fp16"
    m: int = 16
    n: int = 8
    k: int = 16
    sparse: bool = False
    a_source: Source = "registers"

    def __post_init__(self) -> None:
        check_dtype(self.generation, self.dtype)
        if self.kind == "wgmma" and self.generation != "hopper":
            raise ValueError(f"wgmma must run on hopper, not on {self.generation}")
        if self.kind == "mma" and self.a_source != "registers":
            raise ValueError(f"a_source must be registers for mma, not {self.a_source!r}")
        rows = 16 if self.kind == "mma" else 64
        if self.m != rows:
            raise ValueError(f"m must be {rows} for {self.kind}, not {self.m}")
        depths = self.depths()
        if self.k not in depths:
            allowed = " or ".join(str(depth) for depth in depths)
            raise ValueError(f"k must be {allowed} for {self}, not {self.k}")
        columns = (
            (8,) if self.kind == "mma" else wgmma_columns(shape_of(self.dtype, self.k * (2 - self.sparse)))
        )
        if self.n not in columns:
            raise ValueError(f"n must be one that {self.kind} has for {self.dtype}, not {self.n}")

    def __str__(self) -> str:
        return f"{self.kind}{'.sp' * self.sparse}.m{self.m}n{self.n}k{self.k} {self.dtype}"

    def depths(self) -> tuple[int, ...]:
        """The k of PTX for this kind and type: rows of A of 128 (mma only) or 256 bits, as stored."""
        whole = 256 // FORMATS[self.dtype].element_bits * (2 if self.sparse else 1)
        if self.kind == "wgmma" or self.dtype == "fp8":
            return (whole,)
        return (whole // 2, whole)

    @property
    def products(self) -> int:
        """Multiply-adds that are done: those with stored elements of A."""
        return self.m * self.n * self.k // (2 if self.sparse else 1)

    @property
    def compute_clocks(self) -> float:
        """Clocks of the products alone at the generation's rate."""
        rate = RATES[self.generation][self.dtype]
        return self.products / (rate / TENSOR_CORES if self.kind == "mma" else rate)

    @property
    def port_bytes(self) -> int:
        """What the instruction itself reads of shared memory; metadata always comes from registers."""
        if self.kind == "mma":
            return 0
        operands = Tile(dtype=self.dtype, m=self.m, n=self.n, k=self.k, sparse=self.sparse)
        return operands.b_bytes + (operands.a_value_bytes if self.a_source == "shared" else 0)

    def issue_interval(self) -> float:
        """Clocks until the next one of its kind can start on the same tensor core (wgmma: on all four)."""
        if self.kind == "wgmma":
            return max(self.compute_clocks, self.port_bytes / SHARED_PORT_BYTES, HOPPER_LEAST)
        if self.generation == "hopper":
            gain = HOPPER_MMA_SPARSE_GAIN / 2 if self.sparse else 1.0
            return self.compute_clocks / (HOPPER_MMA_SHARE * gain)
        return max(self.compute_clocks, AMPERE_LEAST_SPARSE) if self.sparse else self.compute_clocks

    def latency(self) -> float:
        """Clocks from issue to the result; a wgmma's is its interval, as measured (128.0 of m64n256k16)."""
        if self.kind == "wgmma":
            return self.issue_interval()
        stored = self.k // (2 if self.sparse else 1) * FORMATS[self.dtype].element_bits
        return LATENCIES[self.generation][stored]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One k-step of a thread block: m rows of A by n columns of B over k dense elements.

    `warps_m` x `warps_n` warps (warp groups for wgmma) share it out; each reads its rows of A and its columns
    of B from shared memory, so A is read `warps_n` times and B `warps_m` times. Bytes are whole: a row's
    bits are rounded up over the operand. If sparse, A counts its ragged last group as padded.
    """

    dtype: str
    m: int
    n: int
    k: int
    sparse: bool = False
    warps_m: int = 1
    warps_n: int = 1

    def __post_init__(self) -> None:
        if self.dtype not in FORMATS:
            raise ValueError(f"dtype must be one of {', '.join(FORMATS)}, not {self.dtype!r}")
        for name in ("m", "n", "k", "warps_m", "warps_n"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be > 0, not {getattr(self, name)}")

    @property
    def a_value_bytes(self) -> int:
        """Elements of A as stored: half of them if sparse."""
        form = FORMATS[self.dtype]
        stored = -(-self.k // form.group) * form.kept if self.sparse else self.k
        return _bytes(self.m * stored * form.element_bits)

    @property
    def metadata_bytes(self) -> int:
        """Codes of A, four bits a group; none if dense."""
        return _bytes(self.m * -(-self.k // FORMATS[self.dtype].group) * 4) if self.sparse else 0

    @property
    def a_bytes(self) -> int:
        """Values and metadata of A."""
        return self.a_value_bytes + self.metadata_bytes

    @property
    def b_bytes(self) -> int:
        """B, always whole."""
        return _bytes(self.n * self.k * FORMATS[self.dtype].element_bits)

    @property
    def fill_bytes(self) -> int:
        """Copied into shared memory, and the room that the step takes there."""
        return self.a_bytes + self.b_bytes

    @property
    def read_bytes(self) -> int:
        """Read from shared memory by all warps together."""
        return self.warps_n * self.a_bytes + self.warps_m * self.b_bytes

    def mma_clocks(self, generation: Generation) -> int:
        """Tensor-core clocks of an SM at its full rate."""
        check_dtype(generation, self.dtype)
        products = self.m * self.n * self.k // (2 if self.sparse else 1)
        return -(-products // RATES[generation][self.dtype])

    def port_clocks(self, fill_on_port: bool, port_bytes: int = SHARED_PORT_BYTES) -> int:
        """Shared-memory clocks: the reads, and the copy if it goes through the port (cp.async, not TMA)."""
        return -(-(self.read_bytes + (self.fill_bytes if fill_on_port else 0)) // port_bytes)

    def clocks(self, generation: Generation, fill_on_port: bool) -> int:
        """The slower of tensor cores and port: what a steady k-step takes at least."""
        return max(self.mma_clocks(generation), self.port_clocks(fill_on_port))


def check_dtype(generation: str, dtype: str) -> None:
    """Refuse a generation that is not modelled and a type that its tensor cores do not multiply."""
    if generation not in get_args(Generation):
        raise ValueError(f"generation must be one of {', '.join(RATES)}, not {generation!r}")
    if dtype not in RATES[generation]:
        known = ", ".join(RATES[generation])
        raise ValueError(f"dtype must be one of {known} on {generation}, not {dtype!r}")


def _bytes(bits: int) -> int:
    return -(-bits // 8)
