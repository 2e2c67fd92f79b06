"""A machine of each kind with layers that reach all of it, a value for each parameter, and what shows."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from accelsim.accelerators import A3, MnnFast, Sat, SpAtten, Systolic
from accelsim.accelerators.base import Accelerator, memory_of
from accelsim.accelerators.sparse_tensor_core.presets import TINY as TINY_STC
from accelsim.energy import area_mm2, energy_pj
from accelsim.golden.formats import Bitmap, select_nm
from accelsim.machine import simulate
from accelsim.workload import Attention, Layer, Matmul, Update


def matmul(m: int, n: int, k: int, pattern: tuple[int, int] | None = None) -> Matmul:
    if pattern is None:
        return Matmul(name="gemm", m=m, n=n, k=k)
    mask = select_nm(np.random.default_rng(0).random((n, k)), *pattern)
    return Matmul(name="gemm", m=m, n=n, k=k, mask=Bitmap.pack(mask))


def attention(keys: int, queries: int, bits: tuple[int, int] | None, **changes: Any) -> Attention:
    """Four heads on two KV heads; a third of the values is kept, every other row re-fetches."""
    rng = np.random.default_rng(keys)
    rows = (1, 4, queries)
    again = np.arange(4 * queries).reshape(rows) % 2 == 0
    given: dict[str, Any] = {
        "heads": 4,
        "kv_heads": 2,
        "values": np.full(rows, keys // 3, np.int32),
        "scores": rng.integers(0, 4097, (*rows, keys)).astype(np.uint16),
        "refetch": again if bits and bits[1] else None,
    }
    return Attention(
        name="a", queries=queries, keys=keys, dim=64, value_dim=64, bits=bits, **(given | changes)
    )


GEMMS = (matmul(70, 50, 90), matmul(70, 50, 96, (2, 4)), matmul(90, 80, 128, (2, 8)), matmul(3, 4, 5))

CONVOLUTION = {
    "kind": "convolution", "kernel": "3x3", "batch": 2, "input_channels": 8, "output_channels": 16,
    "groups": 1, "input": "8x8", "output": "8x8", "stride": "1x1", "pattern": "2:8",
}  # fmt: skip

STEP = (
    replace(matmul(128, 16, 72, (2, 8)), name="conv.ff", stage="ff", geometry=CONVOLUTION),
    replace(matmul(128, 72, 16, (2, 8)), name="conv.bp", stage="bp", geometry=CONVOLUTION),
    replace(matmul(72, 16, 128), name="conv.wu", stage="wu", geometry=CONVOLUTION, weights=False),
    Update(name="conv.update", n=16, k=72, forward="2:8", backward="2:8", state=1, geometry=CONVOLUTION),
)

PINS = Path(__file__).with_name("pins.json")

HEADS = (
    attention(300, 1, (6, 4)),
    attention(300, 1, None),
    attention(90, 40, (8, 4)),
    attention(1024, 6, None),
    attention(1025, 1, None, values=None),
    attention(200, 1, None, token_scores=np.arange(200, dtype=np.uint32)[None, :], token_keep=50),
)


def with_vectors(layer: Attention) -> Attention:
    """The layer with Q and K, whatever its scores are."""
    rng = np.random.default_rng(1)
    query = rng.normal(0, 256, (1, layer.heads, layer.queries, layer.dim)).astype(np.int16)
    key = rng.normal(0, 256, (1, layer.kv_heads, layer.keys, layer.dim)).astype(np.int16)
    return replace(layer, query_vectors=query, key_vectors=key)


SEVERAL = (
    with_vectors(attention(90, 40, None, values=None)),
    attention(80, 30, None, values=None, scores=None),
    with_vectors(attention(200, 6, None, values=None)),
)


@cache
def before(name: str) -> list[tuple[object, ...]]:
    """What the unchanged machine of a case shows."""
    machine, layers, _ = CASES[name]
    return behaviour(machine, layers)


def behaviour(machine: Accelerator, layers: tuple[Layer, ...]) -> list[tuple[object, ...]]:
    """What a report would show of each layer."""
    shown: list[tuple[object, ...]] = [(getattr(machine, "start_cycles", 0),)]
    for layer in layers:
        if reason := machine.refuse(layer):
            shown.append((reason,))
            continue
        work = machine.plan(layer)
        timeline = simulate(work.plan, memory_of(machine), work.held)
        bursts = work.plan.bursts(write=False) + work.plan.bursts(write=True)
        sampled = 0 < work.most_bursts < bursts
        traffic = timeline.traffic
        moved = traffic.read_bursts, traffic.write_bursts, traffic.cache_hits
        launches = work.launches * machine.launch_seconds
        seconds = timeline.cycles / machine.clock_hz + (work.launch_seconds or launches)
        bytes_ = [count * machine.dram.burst_bytes for count in moved]
        energy = energy_pj(machine.parts(), work.events)
        area = area_mm2(machine.parts())
        power = work.power and work.power.seconds(sum(energy.values()), 0.0, sum(bytes_[:2]))
        least = simulate(work.plan, None).cycles
        sampled |= bool(work.samples)
        shown.append((timeline.cycles, bytes_, seconds, least, energy, area, sampled, power))
    return shown


# The machine that is changed, and a value for each parameter; several settings where one needs another.
SMALL = {"activation_buffer": 1 << 14, "weight_buffer": 1 << 13, "output_buffer": 1 << 14}

ARRAY_VALUES = {
    "rows": "16",
    "cols": "16",
    "clock_hz": "123e6",
    "dataflow": "ws",
    "dtype": "bf16",
    "out_dtype": "fp32",
    "activation_buffer": "5000",
    "weight_buffer": "3000",
    "output_buffer": "3000",
    "group_limit": "4",
    "launch_seconds": "1e-6",
}

CASES: dict[str, tuple[Accelerator, tuple[Layer, ...], dict[str, str]]] = {
    "systolic": (Systolic(**SMALL), GEMMS, {**ARRAY_VALUES, "dtype": "int8"}),
    "sat": (
        Sat(**SMALL, adder_latency=4, interleave=2),
        (*GEMMS, matmul(128, 8, 32, (3, 4)), *STEP),
        {
            **ARRAY_VALUES,
            "sparse_mode": "slot",
            "expand": "false",
            "adder_latency": "5",
            "multiplier_latency": "3",
            "interleave": "3",
            "overlapped": "true",
            "schedule": str(PINS),
            "reduction": "on-the-fly",
            "transpose_buffer": "false",
            "gradients": "on-chip",
            "sore_lanes": "2",
            "wuve_lanes": "2",
            "passes": "relu",
            "most_bursts": "50",
        },
    ),
    "stc": (
        replace(TINY_STC, sms=1, shared_port_bytes=240, l2=replace(TINY_STC.l2, bytes=1 << 13)),
        GEMMS,
        {
            "sms": "2",
            "clock_hz": "1e9",
            "dtype": "int8",
            "out_dtype": "fp32",
            "generation": "hopper",
            "tile_weights": "64",
            "tile_activations": "64",
            "tile_k_bits": "256",
            "readers_m": "2",
            "readers_n": "2",
            "pipeline_stages": "2",
            "tiles": "search",
            "most_splits": "4",
            "swizzle": "1",
            "wide_sparse_swizzle": "1",
            "dense_tiles": "fine",
            "sparse_kernels": "mma",
            "row_stagger": "2",
            "cluster": "2",
            "fill_on_port": "false",
            "weights_from": "registers",
            "shared_memory": "13000",
            "registers": "8192",
            "spare_registers": "200",
            "most_bursts": "50",
            "shared_port_bytes": "64",
            "shared_latency": "60",
            "l2_port_bytes": "16",
            "mma_latency": "60",
            "blocks_limit": "1",
            "launch.wide": "1e-3",
            "launch.wide_sparse": "1e-3",
            "launch.narrow": "1e-3",
            "launch.narrow_sparse": "1e-3",
            "power.watts": "1",
            "power.idle_watts": "0.5",
            "power.wide": "2",
            "power.narrow": "2",
            "power.memory_bit_pj": "1e5",
            "l2_holds": "operands",
            "l2.bytes": "16384",
            "l2.line_bytes": "64",
            "l2.ways": "1",
            "l2.bandwidth": "1e9",
            "l2.hit_latency": "1e-6",
            "l2.miss_latency": "1e-6",
            "l2.pending": "1",
        },
    ),
    "spatten": (
        SpAtten(),
        (*HEADS, GEMMS[0]),
        {
            "clock_hz": "2e9",
            "multipliers": "256",
            "tree_outputs": "4",
            "word_bits": "16",
            "sram_bytes": "98304",
            "qk_latency": "20",
            "pv_latency": "20",
            "softmax.parallelism": "4",
            "softmax.fifo_depth": "64",
            "softmax.fifos": "1",
            "softmax.rows_wait": "true",
            "softmax.largest": "40",
            "softmax.decide": "40",
            "softmax.dequantise": "20",
            "softmax.exponent": "40",
            "softmax.accumulate": "40",
            "softmax.divide": "50",
            "softmax.quantise": "20",
            "topk.width": "4",
            "topk.engine": "radix",
            "topk.pivot": "uniform",
            "topk.form": "deep",
            "topk.bits": "16",
            "topk.capacity": "256",
            "topk.digit_bits": "2",
            "published_topk": "true",
            "published_model": "true",
            "importance_bits": "16",
            "spilled_bits": "12",
            "dense_bits": "8",
            "value_bits": "12",
            "weight_bits": "8",
            "address_ports": "4",
            "share_kv": "false",
            "fetch_queries": "true",
            "hold_queries": "true",
            "write_newest": "true",
            "store_scores": "true",
            "write_back": "true",
            "clear_stores": "true",
            "launch_seconds": "1e-6",
        },
    ),
    "a3": (
        A3(iterations=0.5, threshold=0.2),
        SEVERAL,
        {
            "clock_hz": "2e9",
            "lanes": "32",
            "arrays": "in_turn",
            "capacity": "70",
            "pairs": "2",
            "overhead": "5",
            "iterations": "0.25",
            "threshold": "0.5",
            "sorters": "7",
            "candidate_share": "0.5",
            "kept_share": "0.5",
            "element_bits": "7",
            "fraction_bits": "1",
            "query_rows": "1",
            "score_rows": "1",
            "share_kv": "false",
            "write_back": "true",
            "launch_seconds": "1e-6",
        },
    ),
    "mnnfast": (
        MnnFast(),
        SEVERAL,
        {
            "clock_hz": "2e9",
            "multipliers": "128",
            "arrays": "in_turn",
            "threshold": "0.01",
            "kept_share": "0.5",
            "chunk_keys": "16",
            "chunks": "1",
            "query_rows": "9",
            "dividers": "1",
            "qk_latency": "20",
            "exponent_latency": "50",
            "pv_latency": "20",
            "divide_latency": "50",
            "element_bits": "16",
            "share_kv": "false",
            "write_back": "true",
            "launch_seconds": "1e-6",
        },
    ),
}
