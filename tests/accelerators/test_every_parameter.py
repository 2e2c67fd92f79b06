"""Every parameter of every machine changes something: cycles, bytes, seconds, energy, area or refusals."""

from __future__ import annotations

import pytest
from small_machines import CASES, before, behaviour

from accelsim.accelerators import ACCELERATORS, Sat
from accelsim.accelerators.base import Accelerator
from accelsim.parameters import paths, replace_by_path

# Parameters that need another one to matter: quick-select takes the same time for words of any width.
RADIX, NARROW = {"topk.engine": "radix"}, {"dtype": "int8"}

WITH: dict[str, dict[str, str]] = {
    "topk.bits": RADIX,
    "topk.digit_bits": RADIX,
    "importance_bits": RADIX,
    "softmax.largest": {"softmax.rows_wait": "true"},
    "softmax.decide": {"softmax.rows_wait": "true"},
    "hold_queries": {"fetch_queries": "true"},
    "launch.narrow": NARROW,
    "launch.narrow_sparse": NARROW,
    "power.idle_watts": {"power.watts": "1"},
    "power.wide": {"power.watts": "1"},
    "power.narrow": NARROW | {"power.watts": "1"},
    "power.memory_bit_pj": {"power.watts": "1"},
    "cluster": {"generation": "hopper"},
    "weights_from": {"generation": "hopper"},
    "sparse_kernels": {"generation": "hopper"},
    "l2_holds": {"l2.bytes": "1048576"},
    "dense_tiles": {"generation": "hopper", "tiles": "search"},
    "most_splits": {
        "sms": "32",
        "tile_k_bits": "128",
        "shared_port_bytes": "32",
        "dram.channels": "40",
        "l2.hit_latency": "0",
        "l2.miss_latency": "0",
        "l2.bytes": "163840",
    },
    "most_bursts": {"blocks_limit": "1"},
}


def own_paths(machine: Accelerator) -> list[str]:
    """Dotted names that hold a value, but for the memory, a word for readers, and what stops a run."""
    groups = [
        path for path in paths(machine) if any(other.startswith(path + ".") for other in paths(machine))
    ]
    tables = ("dram", "energy")
    return [
        path
        for path in paths(machine)
        if path not in groups and not path.startswith(tables) and path not in ("l2.source", "misfits")
    ]


@pytest.mark.parametrize("name", CASES)
def test_every_parameter_has_a_value_to_try(name: str) -> None:
    assert set(CASES) == set(ACCELERATORS)
    machine, _, values = CASES[name]
    assert sorted(values) == sorted(own_paths(machine))


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name, (_, _, values) in CASES.items() for path in values]
)
def test_a_changed_parameter_is_seen_from_outside(name: str, path: str) -> None:
    machine, layers, values = CASES[name]
    needs = WITH.get(path, {}) if name == "stc" or path != "most_bursts" else {}
    for other, value in needs.items():
        machine = replace_by_path(machine, other, value)
    changed = replace_by_path(machine, path, values[path])
    known = behaviour(machine, layers) if needs else before(name)
    assert behaviour(changed, layers) != known


def test_sat_takes_types_of_16_bits_alone() -> None:
    with pytest.raises(ValueError, match="dtype must be one of fp16, bf16"):
        replace_by_path(Sat(), "dtype", "int8")
