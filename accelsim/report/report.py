"""What came out of a run: rows, one per layer, and everything that adds up from them.

`accelsim.run` fills the rows. The totals are properties, so they cannot disagree with their parts;
`to_dict()` is the JSON of the command line.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from accelsim import __version__
from accelsim.files import as_json, write_atomically
from accelsim.report.ablation import AblationStep, to_list
from accelsim.report.rows import Accuracy, LayerRow, ratio
from accelsim.workload import Workload


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a machine makes of a workload, and of the same workload unpruned (`baseline`).

    `preset` is None for parameters that have no name; `changes` are those that differ from the preset.
    `area_mm2` is that of the parts whose energy is counted; None on an FPGA. `start_cycles`: before the first
    layer. `ablation`: techniques one by one. `workload`: what was run, for pictures of its masks and tokens.
    """

    model: str
    accelerator: str
    preset: str | None
    parameters: Mapping[str, Any]
    clock_hz: float
    device: str
    peak_bytes_per_second: float
    launch_seconds: float
    layers: tuple[LayerRow, ...]
    start_cycles: int = 0
    area_mm2: float | None = None
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    baseline: Report | None = None
    accuracy: Accuracy | None = None
    ablation: tuple[AblationStep, ...] = ()
    peak_ops_per_second: float | None = None
    workload: Workload | None = field(default=None, repr=False, compare=False)

    @property
    def cycles(self) -> int:
        """Cycles of the simulated layers, one after the other, and of the start before them."""
        return self._started(_sum(row.cycles for row in self.layers))

    @property
    def compute_cycles(self) -> int:
        """The same with unlimited memory."""
        return self._started(_sum(row.compute_cycles for row in self.layers))

    def _started(self, cycles: int) -> int:
        return self.start_cycles + cycles if cycles else 0

    @property
    def launches(self) -> int:
        """Kernel launches, each of which costs `launch_seconds`."""
        return _sum(row.launches for row in self.layers)

    @property
    def seconds(self) -> float:
        """Of the layers, one after the other, with their launches."""
        return math.fsum(row.seconds or 0.0 for row in self.layers)

    @property
    def read_bytes(self) -> int:
        """Bytes read from DRAM."""
        return _sum(row.read_bytes for row in self.layers)

    @property
    def write_bytes(self) -> int:
        """Bytes written to DRAM."""
        return _sum(row.write_bytes for row in self.layers)

    @property
    def dram_bytes(self) -> int:
        """Bytes read and written."""
        return self.read_bytes + self.write_bytes

    @property
    def gbps(self) -> float | None:
        """10^9 bytes a second over all channels, on average."""
        return self.dram_bytes / self.seconds / 1e9 if self.seconds else None

    @property
    def pin_clocks(self) -> dict[str, int]:
        """Where the clocks of the data pins went; `refused`: those in which a channel had no room."""
        total: dict[str, int] = {}
        for row in self.layers:
            for cause, clocks in (row.traffic.pins.by_cause() if row.traffic else {}).items():
                total[cause] = total.get(cause, 0) + clocks
        return total

    @property
    def macs_dense(self) -> int:
        """Multiply-accumulates of the unpruned model, in the simulated layers."""
        return _sum(row.macs_dense for row in self.layers if row.simulated)

    @property
    def macs_done(self) -> int:
        """Multiply-accumulates that were executed."""
        return _sum(row.macs_done for row in self.layers)

    @property
    def gops_done(self) -> float | None:
        """10^9 operations a second that were executed; a multiply-accumulate is two."""
        return 2 * self.macs_done / self.seconds / 1e9 if self.seconds else None

    @property
    def gops_dense(self) -> float | None:
        """10^9 operations of the unpruned model a second, those that were skipped included."""
        return 2 * self.macs_dense / self.seconds / 1e9 if self.seconds else None

    @property
    def sram_pj(self) -> float | None:
        """Energy of the memories on chip. None where nothing was simulated."""
        return _energy(row.sram_pj for row in self.layers)

    @property
    def logic_pj(self) -> float | None:
        """Energy of the arithmetic. None where nothing was simulated."""
        return _energy(row.logic_pj for row in self.layers)

    @property
    def dram_pj(self) -> float | None:
        """Energy of the memory devices. None where it is not known of all layers."""
        found = [row.dram_pj for row in self.layers if row.simulated]
        return None if None in found else _energy(found)

    @property
    def total_pj(self) -> float | None:
        """All three; None where one is missing."""
        parts = (self.dram_pj, self.sram_pj, self.logic_pj)
        return None if any(part is None for part in parts) else math.fsum(part or 0 for part in parts)

    @property
    def part_pj(self) -> dict[str, float]:
        """Energy of each part of the machine, over all layers."""
        total: dict[str, float] = {}
        for row in self.layers:
            for name, pj in row.part_pj.items():
                total[name] = total.get(name, 0.0) + pj
        return total

    @property
    def energy_saving(self) -> float | None:
        """Energy of the dense model over that of this one. None without a baseline."""
        return ratio(self.baseline.total_pj, self.total_pj) if self.baseline else None

    @property
    def skipped_layers(self) -> tuple[LayerRow, ...]:
        """Layers that this machine cannot run; they are in no total."""
        return tuple(row for row in self.layers if not row.simulated)

    @property
    def speedup(self) -> float | None:
        """Seconds of the dense model over seconds of this one. None without a baseline."""
        return ratio(self.baseline.seconds, self.seconds) if self.baseline else None

    @property
    def dram_reduction(self) -> float | None:
        """DRAM bytes of the dense model over those of this one. None without a baseline."""
        return ratio(self.baseline.dram_bytes, self.dram_bytes) if self.baseline else None

    @property
    def stalls(self) -> dict[str, dict[str, int]]:
        """Stalled cycles by stage and cause, over all layers and lanes."""
        total: dict[str, dict[str, int]] = {}
        for row in self.layers:
            for stage in row.stages:
                causes = total.setdefault(stage.name, dict.fromkeys(stage.stalled, 0))
                for cause, cycles in stage.stalled.items():
                    causes[cause] += cycles
        return total

    @property
    def bottleneck(self) -> str | None:
        """What the time is spent on, in one sentence with its share. None when nothing was simulated."""
        shares = self.shares()
        if not shares:
            return None
        (kind, unit), share = max(shares.items(), key=lambda item: item[1])
        used = self.dram_bytes / (self.peak_bytes_per_second * self.seconds)
        load = f"DRAM at {used:.1%} of {self.peak_bytes_per_second / 1e9:.4g} GB/s{self._lost()}"
        if kind == "launch":
            return f"launch: starting kernels takes {share:.0%} of the time; {load}"
        if kind == "memory":
            return f"memory: {unit} sends or waits for bursts {share:.0%} of the time; {load}"
        return f"{unit}: busy {share:.0%} of the time; {load}"

    def _lost(self) -> str:
        """The largest shares of the pins' time that were lost while something waited for data."""
        clocks = self.pin_clocks
        causes = ("conflicts", "activates", "refresh", "bus")
        lost = sorted(((clocks.get(cause, 0), cause) for cause in causes), reverse=True)
        told = [
            f"{cause} {count / clocks['clocks']:.0%}"
            for count, cause in lost
            if 100 * count >= clocks.get("clocks", 0) > 0
        ]
        return f", pins waiting for {', '.join(told)}" if told else ""

    def shares(self) -> dict[tuple[str, str], float]:
        """Share of the time that each unit works, as {(kind, unit): share}; kind is unit, memory or launch.

        A memory unit works, too, while its operation waits for the memory to take its bursts.
        """
        if not self.cycles:
            return {}
        work: dict[tuple[str, str], float] = {}
        for row in self.layers:
            for stage in row.stages:
                key = ("memory" if stage.memory else "unit", stage.unit)
                cycles = stage.busy + (stage.stalled["memory"] if stage.memory else 0)
                work[key] = work.get(key, 0.0) + cycles / stage.instances
        shares = {key: cycles / self.clock_hz / self.seconds for key, cycles in work.items()}
        if self.launches:
            shares["launch", ""] = math.fsum(row.launch_seconds or 0.0 for row in self.layers) / self.seconds
        return shares

    def pairs(self) -> list[tuple[LayerRow, LayerRow | None]]:
        """Each layer beside the same layer of the dense model."""
        if self.baseline is None:
            return [(row, None) for row in self.layers]
        return list(zip(self.layers, self.baseline.layers, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command line as plain values; what is not modelled is None, never 0."""
        simulated_macs = _sum(row.macs_dense for row in self.layers)
        return {
            "accelsim": __version__,
            "model": self.model,
            "accelerator": self.accelerator,
            "preset": self.preset,
            "parameters": dict(self.parameters),
            "synthetic": self.synthetic,
            "cycles": self.cycles,
            "compute_cycles": self.compute_cycles,
            **({"start_cycles": self.start_cycles} if self.start_cycles else {}),
            "seconds": self.seconds,
            "clock_hz": self.clock_hz,
            "dram": {
                "device": self.device,
                "read_bytes": self.read_bytes,
                "write_bytes": self.write_bytes,
                "row_hits": _sum(row.row_hits for row in self.layers),
                "row_misses": _sum(row.row_misses for row in self.layers),
                "row_conflicts": _sum(row.row_conflicts for row in self.layers),
                "gbps": self.gbps,
                "pin_clocks": self.pin_clocks,
            },
            "macs": {"dense": self.macs_dense, "done": self.macs_done},
            "gops": {"dense": self.gops_dense, "done": self.gops_done},
            "peak": {
                "gops": None if self.peak_ops_per_second is None else self.peak_ops_per_second / 1e9,
                "gbps": self.peak_bytes_per_second / 1e9,
            },
            "energy_pj": {
                "dram": self.dram_pj,
                "sram": self.sram_pj,
                "logic": self.logic_pj,
                "total": self.total_pj,
            },
            "area_mm2": self.area_mm2,
            "stalls": self.stalls,
            "bottleneck": self.bottleneck,
            "assumptions": [*self.notes, *self.assumptions],
            "baseline": self.baseline.to_dict() if self.baseline else None,
            "speedup": self.speedup,
            "dram_reduction": self.dram_reduction,
            "energy_saving": self.energy_saving,
            "accuracy": asdict(self.accuracy) if self.accuracy else None,
            **({"ablation": to_list(self.ablation)} if self.ablation else {}),
            "layers": [_layer_dict(row, dense, simulated_macs) for row, dense in self.pairs()],
        }

    def json(self) -> str:
        """`to_dict()` as text: the same report gives the same bytes."""
        return as_json(self.to_dict())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `json()` to a file, whole or not at all."""
        write_atomically(path, self.json())

    def html(self, path: str | os.PathLike[str], *, command: str = "") -> None:
        """Write the report as one page that needs nothing else, whole or not at all.

        `command`: what it was made with. Needs jinja2; MissingExtraError without.
        """
        from accelsim.report.page import page

        write_atomically(path, page([self], command=command))

    def table(self) -> None:
        """Print the report for reading."""
        from accelsim.report.table import print_report

        print_report(self)

    def __str__(self) -> str:
        from accelsim.report.table import as_text

        return as_text(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For IPython, which shows this where there is no HTML."""
        printer.text("Report(...)" if cycle else str(self))

    def _repr_html_(self) -> str:
        from accelsim.report.table import as_html

        return as_html(self)


def _energy(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return math.fsum(found) if found else None


def _sum(values: Iterable[int | None]) -> int:
    return sum(value for value in values if value is not None)


def _layer_dict(row: LayerRow, dense: LayerRow | None, all_macs: int) -> dict[str, Any]:
    return {
        "name": row.name,
        "op": row.op,
        "simulated": row.simulated,
        "reason": row.reason,
        "cycles": row.cycles,
        "compute_cycles": row.compute_cycles,
        "seconds": row.seconds,
        "read_bytes": row.read_bytes,
        "write_bytes": row.write_bytes,
        "operand_bytes": dict(row.operand_bytes),
        "row_hits": row.row_hits,
        "row_misses": row.row_misses,
        "row_conflicts": row.row_conflicts,
        "macs_dense": row.macs_dense,
        "macs_done": row.macs_done,
        "macs_share": row.macs_dense / all_macs if all_macs else None,
        "launches": row.launches,
        "energy_pj": {
            "dram": row.dram_pj,
            "sram": row.sram_pj,
            "logic": row.logic_pj,
            "parts": dict(row.part_pj),
        },
        "dense_cycles": dense.cycles if dense else None,
        "speedup": ratio(dense.seconds, row.seconds) if dense else None,
        "notes": list(row.notes),
        **({"verdict": row.verdict} if row.verdict else {}),
        "facts": dict(row.facts),
    }
