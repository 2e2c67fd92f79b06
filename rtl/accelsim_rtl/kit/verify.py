"""Holds a unit's RTL against its model and golden: the work of `accelsim verify`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from accelsim_rtl.bench.drive import differences, wrong_beats
from accelsim_rtl.kit import amaranth_simulator, simulators
from accelsim_rtl.kit.ports import columns, ports
from accelsim_rtl.kit.scenarios import Prepared, prepare, total
from accelsim_rtl.kit.unit import Unit
from accelsim_rtl.kit.verilog import verilog


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one simulator said of one seed.

    checked: rows and beats that were compared. mismatches: those that differ, between RTL and step model,
    RTL and golden, step model and golden, step model and `cycles()`. complaints: a line for each.
    replayed: what of a workload was run, if one was.
    """

    unit: str
    simulator: str
    seed: int
    checked: int
    complaints: list[str]
    model_cycles: int | None
    rtl_cycles: int | None
    replayed: str | None = None

    @property
    def passed(self) -> bool:
        """Nothing differs."""
        return not self.complaints and self.cycle_difference == 0

    @property
    def cycle_difference(self) -> int | None:
        """RTL minus model; None if one of them did not end."""
        if self.model_cycles is None or self.rtl_cycles is None:
            return None
        return self.rtl_cycles - self.model_cycles

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {
            "unit": self.unit,
            "simulator": self.simulator,
            "seed": self.seed,
            "checked": self.checked,
            "mismatches": len(self.complaints),
            "model_cycles": self.model_cycles,
            "rtl_cycles": self.rtl_cycles,
            "cycle_difference": self.cycle_difference,
        }
        return values if self.replayed is None else values | {"replayed": self.replayed}


class Bench:
    """A unit with its parameters, ready to be run: scenarios are prepared once for all simulators."""

    def __init__(self, unit: Unit, parameters: Any) -> None:
        self.unit, self.parameters = unit, parameters
        self.component = unit.instance(parameters)
        self.ports = ports(self.component)

    @cached_property
    def text(self) -> str:
        """The Verilog."""
        return verilog(self.component, self.unit.top)

    def prepare(self, seed: int, workload: Any = None) -> Prepared:
        """The scenarios of a seed. workload: replayed in place of the unit's stimulus. Raises UnfitError."""
        return prepare(self.unit, self.parameters, self.ports, seed, workload)

    def build(self, simulator: str, *, waves: bool = False, clocks: int = 0) -> Path:
        """Folder of the simulation, built if there is none yet; not for Amaranth's, which needs none.

        clocks: as in `simulators.build`.
        """
        return simulators.build(self.text, self.unit.top, simulator, waves=waves, clocks=clocks)

    def run(self, prepared: Sequence[Prepared], simulator: str, waves: Path | None = None) -> list[Verdict]:
        """One verdict a seed, from one run of the simulator.

        waves: a file for the waves of all scenarios. Raises MissingToolError, FailedToolError.
        """
        simulators.require(simulator)
        scenarios = [scenario for each in prepared for scenario in each.scenarios]
        if simulator == "amaranth":
            results = amaranth_simulator.run(self.component, scenarios, waves)
        else:
            results = self._in_cocotb(scenarios, simulator, waves)
        verdicts, names = [], columns(self.ports)
        for each in prepared:
            own, results = results[: len(each.scenarios)], results[len(each.scenarios) :]
            verdicts.append(_verdict(self.unit, simulator, names, each, own))
        return verdicts

    def _in_cocotb(self, scenarios, simulator, waves) -> list[dict[str, Any]]:
        clocks = sum(len(scenario["rows"]) for scenario in scenarios)
        folder = self.build(simulator, waves=waves is not None, clocks=clocks)
        with tempfile.TemporaryDirectory(prefix="accelsim-") as place:
            bench, results = Path(place) / "bench.json", Path(place) / "results.json"
            bench.write_text(json.dumps({"columns": columns(self.ports), "scenarios": scenarios}))
            simulators.run(folder, self.unit.top, simulator, bench=bench, results=results, waves=waves)
            return json.loads(results.read_text())


def verify(
    unit: Unit,
    parameters: Any,
    *,
    simulator: str,
    seeds: Sequence[int],
    waves: Path | None = None,
    workload: Any = None,
) -> list[Verdict]:
    """One verdict a seed; arguments and errors as in `Bench`."""
    simulators.require(simulator)
    bench = Bench(unit, parameters)
    return bench.run([bench.prepare(seed, workload) for seed in seeds], simulator, waves)


def _verdict(unit, simulator, names, prepared: Prepared, results) -> Verdict:
    complaints, checked = list(prepared.complaints), 0
    for scenario, result in zip(prepared.scenarios, results, strict=True):
        lines = differences(names, scenario["rows"], result["rows"])
        lines += wrong_beats(scenario["expected"], result["taken"], scenario["merged"])
        lines += result["broken"]
        complaints += [f"{scenario['name']}: {line}" for line in lines]
        checked += len(scenario["rows"]) + sum(map(len, scenario["expected"].values()))
    return Verdict(
        unit=unit.name,
        simulator=simulator,
        seed=prepared.seed,
        checked=checked,
        complaints=complaints,
        model_cycles=prepared.cycles,
        replayed=prepared.replayed,
        rtl_cycles=total(result["cycles"] for result in results),
    )
