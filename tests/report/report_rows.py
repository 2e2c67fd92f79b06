"""Reports of a toy machine, layer by layer and stage by stage."""

from typing import Any

from accelsim.machine import CAUSES
from accelsim.report import LayerRow, Report, StageRow


def stage(name: str, *, busy: int = 0, sends: bool = False, unit: str = "", **stalled: int) -> StageRow:
    return StageRow(
        name=name,
        unit=unit or name,
        instances=1,
        memory=sends,
        busy=busy,
        idle=0,
        stalled={cause: stalled.get(cause, 0) for cause in CAUSES},
    )


def layer(name: str, cycles: int, *stages: StageRow, **rest: Any) -> LayerRow:
    return LayerRow(
        name=name,
        op="matmul",
        **{
            "cycles": cycles,
            "compute_cycles": cycles // 2,
            "seconds": cycles / 1e9,
            "read_bytes": 640,
            "write_bytes": 64,
            "macs_dense": 1000,
            "macs_done": 250,
            "launches": 0,
            "stages": stages,
            **rest,
        },
    )


def report(*layers: LayerRow, **rest: Any) -> Report:
    values: dict[str, Any] = {
        "model": "m",
        "accelerator": "toy",
        "preset": "small",
        "parameters": {"rows": 4, "dram": {"device": "d"}},
        "clock_hz": 1e9,
        "device": "d",
        "peak_bytes_per_second": 20e9,
        "launch_seconds": 0.0,
        "layers": layers,
        "notes": ("inputs: 1x4",),
        "assumptions": ("all is well",),
    }
    return Report(**{**values, **rest})
