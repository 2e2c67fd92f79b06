"""Why a layer is as fast as it is: the facts of its kernel, and a sentence with figures.

The sentence says the gain over dense and what stands between it and two: the shared-memory port, memory, the
launch, the tail of the last wave, padding, the board's power.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.accelerators.sparse_tensor_core.grids import grid_of
from accelsim.golden.two_four import FORMATS
from accelsim.workload import Matmul

if TYPE_CHECKING:
    from accelsim.accelerators.base import Timed
    from accelsim.accelerators.sparse_tensor_core.kernels import Kernel
    from accelsim.accelerators.sparse_tensor_core.machine import SparseTensorCore

WORTH_SAYING = 0.02


def facts(kernel: Kernel, products: tuple[Matmul, ...]) -> dict[str, int | float | str]:
    """What the report line says of the kernel."""
    grids = [grid_of(kernel, product) for product in products]
    blocks = sum(grid.blocks for grid in grids)
    pattern = FORMATS[kernel.core.dtype].pattern if kernel.sparse else "dense"
    done = sum(p.count * p.m * p.n * p.k for p in products)
    steps = sum(grid.tiles * grid.deep for grid in grids)
    padded = steps * kernel.tile.weights * kernel.tile.activations * kernel.tile_k
    return {
        "pattern": pattern,
        "tile": str(kernel.tile),
        "splits": max(grid.splits for grid in grids),
        "tile_k": kernel.tile_k,
        "stages": kernel.tile.stages,
        "tiles": sum(grid.tiles for grid in grids),
        "waves": blocks / kernel.slots,
        "tail_filled": (blocks / kernel.core.sms) / -(-blocks // kernel.core.sms),
        "blocks_per_sm": kernel.blocks_per_sm,
        "blocks_limited_by": kernel.limit_of_blocks,
        "tile_cycles_mma": kernel.mma_cycles,
        "tile_cycles_port": kernel.port_cycles,
        "tile_cycles_l2": round(kernel.copy_cycles, 1),
        "metadata_share": round(kernel.metadata_share, 4),
        "padding": 1 - done / padded,
    }


def verdict(core: SparseTensorCore, layer: Timed, dense: Timed | None) -> str:
    """One sentence of parts, the most important first."""
    parts = [_binding(core, layer)]
    if dense is not None and dense.seconds and layer.facts["pattern"] != "dense":
        gain = dense.seconds / layer.seconds
        parts[0] = f"{gain:.2f}x: {parts[0]}"
        parts += _against(layer, dense)
    tail = float(layer.facts["tail_filled"])
    if tail < 1 - WORTH_SAYING:
        parts.append(f"SMs filled {tail:.0%} over {_waves(layer)}")
    if (metadata := float(layer.facts["metadata_share"])) > 0:
        parts.append(f"metadata {metadata:.0%} of the operands' bytes")
    if (padding := float(layer.facts["padding"])) > WORTH_SAYING / 2:
        parts.append(f"padding {padding:.0%}")
    return "; ".join(parts)


def _waves(layer: Timed) -> str:
    waves = float(layer.facts["waves"])
    return "one wave" if waves <= 1 else f"{waves:.2f} waves"


def _binding(core: SparseTensorCore, layer: Timed) -> str:
    """What most of the time goes to."""
    launch = layer.launch_seconds / layer.seconds
    if launch > 0.4:
        us = 1e6 * layer.launch_seconds, 1e6 * layer.seconds
        return f"the launch is {us[0]:.1f} us of {us[1]:.1f} us ({launch:.0%})"
    if layer.power_seconds > layer.cycles / core.clock_hz + layer.launch_seconds:
        slower = layer.cycles / core.clock_hz / (layer.power_seconds - layer.launch_seconds)
        return f"the power limit of {core.power.watts:g} W binds (clock at {slower:.0%})"
    moved = (layer.read_bytes + layer.write_bytes) / core.dram.peak_bandwidth
    share = moved / (layer.cycles / core.clock_hz)
    mma, port = int(layer.facts["tile_cycles_mma"]), int(layer.facts["tile_cycles_port"])
    if share > 0.6:
        return f"memory binds (DRAM at {share:.0%} of its peak)"
    if layer.compute_cycles < 0.8 * layer.cycles:
        waits = 1 - layer.compute_cycles / layer.cycles
        return f"memory binds (latency and L2: {waits:.0%} of the cycles, DRAM at {share:.0%} of its peak)"
    if port > mma:
        why = "B reads do not halve" if layer.facts["pattern"] != "dense" else "operand reads"
        return f"the shared-memory port binds ({port} clk a k-step, tensor core {mma}: {why})"
    return f"the tensor core binds ({mma} clk a k-step, shared-memory port {port})"


def _against(layer: Timed, dense: Timed) -> list[str]:
    """What does not halve."""
    parts = []
    launches = layer.launch_seconds, dense.launch_seconds
    rest = layer.seconds - launches[0], dense.seconds - launches[1]
    if max(launches[0] / layer.seconds, launches[1] / dense.seconds) > 0.1:
        parts.append(
            f"launch {launches[1] * 1e6:.1f} us dense, {launches[0] * 1e6:.1f} us 2:4; "
            f"without it {rest[1] * 1e6:.1f} us dense, {rest[0] * 1e6:.1f} us 2:4"
        )
        if layer.seconds > dense.seconds and launches[0] > launches[1]:
            lost, won = launches[0] - launches[1], rest[1] - rest[0]
            parts.append(
                f"2:4 loses: its launch costs {lost * 1e6:.1f} us more, its kernel wins {won * 1e6:.1f} us"
            )
    if layer.facts["tile"] != dense.facts["tile"]:
        parts.append(f"tile {layer.facts['tile']}, dense {dense.facts['tile']}")
    ideal = _pace(dense) / _pace(layer)
    if ideal < 2 - WORTH_SAYING:
        parts.append(f"at best {ideal:.2f}x by tensor cores and port")
    return parts


def _pace(layer: Timed) -> float:
    """Least clocks for a product of an SM, from its tensor cores and its shared-memory port."""
    rows, columns = (int(size) for size in str(layer.facts["tile"]).split("x"))
    step = max(float(layer.facts["tile_cycles_mma"]), float(layer.facts["tile_cycles_port"]))
    return step / (rows * columns * int(layer.facts["tile_k"]))
