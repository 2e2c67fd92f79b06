# amaranth: UnusedElaboratable=no
"""What the kit must know of a unit to write, verify and list it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Transaction = dict[str, list[int]]
"""Payloads of every input stream, in order: one piece of work for a unit.

Other entries, such as the images in memory, are for the unit's own functions.
"""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit by its dotted name.

    presets: parameters by name, `tiny` among them; the first is what `verilog` and `synth` take by default.
    component: from parameters to an Amaranth component, whose members are streams and plain probes.
    replay: from parameters, a workload (`accelsim.workload`) and a generator to the work that its decisions
    are for this unit (`kit.replay`); None: no workload has any.
    targets: of `synthesis.TARGETS` those for which `component` also takes `target=` and then instantiates
    that family's own cells; such a form is for synthesis alone, no simulator knows the cells.
    model: from parameters to the step model (`accelsim.units`).
    stimulus: from parameters and a generator to transactions, corner cases among them. They are offered
    back to back, stream by stream.
    expected: from parameters and transactions to the payloads of every output stream, in order, by
    `accelsim.golden` alone.
    cycles: from parameters and transactions to the clocks from the first input beat offered to the last
    output beat taken, if no source idles and every sink is always ready.
    latency: from parameters to what the documents say of latency and throughput, by name.
    merged: from parameters to the output streams that several sources share, {stream: (offset, bits)} of the
    field of the payload that names the source; `expected` then has an order only within a source.
    patience: clocks that may pass without any beat.
    memories: from parameters and transactions to what is behind the AXI ports (`bench.memory.memory`); their
    streams are neither in transactions nor in what is expected.
    after: from parameters and transactions to what beats of a source wait for (`bench.drive.scenario`).
    took: from a run in which nothing waits to the clocks that `cycles` must say; None if it did not end.
    register_map: from parameters to the registers of an AXI4-Lite port, if the unit has one.
    """

    name: str
    sentence: str
    presets: Mapping[str, Any]
    component: Callable[..., Any]
    model: Callable[[Any], Any]
    stimulus: Callable[[Any, np.random.Generator], list[Transaction]]
    expected: Callable[[Any, list[Transaction]], dict[str, list[int]]]
    cycles: Callable[[Any, list[Transaction]], int]
    latency: Callable[[Any], dict[str, int]]
    replay: Callable[[Any, Any, np.random.Generator], Any] | None = None
    targets: Collection[str] = ()
    merged: Callable[[Any], Mapping[str, tuple[int, int]]] = lambda parameters: {}
    patience: int = 10_000
    memories: Callable[[Any, list[Transaction]], list[dict[str, Any]]] = lambda parameters, transactions: []
    after: Callable[[Any, list[Transaction]], dict[str, Any]] = lambda parameters, transactions: {}
    took: Callable[[Any], int | None] = lambda drive: drive.cycles
    register_map: Callable[[Any], Any] | None = None

    def instance(self, parameters: Any, *, target: str | None = None) -> Any:
        """A component, with the cells of a target if it has a form for it.

        One that only tells its ports is never elaborated, and the first line of this file allows that.
        """
        if target in self.targets:
            return self.component(parameters, target=target)
        return self.component(parameters)

    @property
    def least(self) -> Any:
        """The parameters at which all simulators are quick: a preset of that name, or `tiny`."""
        return self.presets.get("least", self.presets["tiny"])

    @property
    def top(self) -> str:
        """Name of the Verilog module: `spatten.topk` is `spatten_topk`."""
        return self.name.replace(".", "_")
