"""RTL against model and golden on three simulators; and each of the checks fails when something is broken."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim_rtl.kit import simulators
from accelsim_rtl.kit.scenarios import Prepared
from accelsim_rtl.kit.simulators import SIMULATORS, FailedToolError
from accelsim_rtl.kit.unit import Unit
from accelsim_rtl.kit.verify import Bench, Verdict, verify
from accelsim_rtl.kit.verilog import verilog
from accelsim_rtl.units import UNITS, find
from accelsim_rtl.zero_eliminator import ZeroEliminator

pytestmark = pytest.mark.rtl

ELIMINATOR = find("spatten.zero_eliminator")
TINY = ELIMINATOR.presets["tiny"]


def assert_passed(verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        lines = "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])
        assert verdict.passed, lines
        assert verdict.checked > 100, lines


FEWER_SEEDS = {machine: [1, 2] for machine in ("spatten", "sat", "stc")}
"""Of machines, whose every seed is as long as several of a unit, and has all that there is."""


@functools.lru_cache(maxsize=1)
def ready(name: str) -> tuple[Bench, list[Prepared]]:
    """A unit and its scenarios, which the simulators run one after the other."""
    unit = find(name)
    bench = Bench(unit, unit.least)
    return bench, [bench.prepare(seed) for seed in FEWER_SEEDS.get(name, [0, 1, 2])]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("name", UNITS)
def test_every_unit_is_its_model_cycle_by_cycle(name: str, simulator: str) -> None:
    bench, prepared = ready(name)
    if simulator == "amaranth":
        # The same rows as on the others, at a tenth of their speed: one seed shows whether it agrees.
        prepared = [each for each in prepared if each.seed == 1]
    assert_passed(bench.run(prepared, simulator))


@pytest.mark.parametrize("registers", ["low_latency", "max_frequency"])
@pytest.mark.parametrize("lanes", [1, 2, 16])
@pytest.mark.parametrize("name", ["spatten.prefix_sum", "spatten.zero_eliminator"])
def test_every_width_and_register_policy_is_its_model(name: str, lanes: int, registers: str) -> None:
    unit = find(name)
    parameters = replace(unit.presets["tiny"], lanes=lanes, registers=registers)
    assert_passed(verify(unit, parameters, simulator="icarus", seeds=[3, 4]))


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_waves_are_written_on_request(tmp_path: Path, simulator: str) -> None:
    waves = tmp_path / ("waves.fst" if simulator == "icarus" else "waves.vcd")
    unit = find("spatten.prefix_sum")
    assert_passed(verify(unit, unit.presets["tiny"], simulator=simulator, seeds=[0], waves=waves))
    assert waves.stat().st_size > 1000
    if simulator != "icarus":
        assert "sums" in waves.read_text()


class Unheeding(ZeroEliminator):
    """Advances whether there is room or not: beats are lost under back-pressure."""

    def _queued(self, m: Any, advance: Any, first: Any, second: Any) -> None:
        super()._queued(m, advance, first, second)
        m.d.comb += advance.eq(1)


class Crossed(ZeroEliminator):
    """The first two lanes of the butterfly's result are exchanged: a wrong payload, in time."""

    def _routed(self, m: Any, advance: Any, beat: Any) -> Any:
        routed = super()._routed(m, advance, beat)
        return replace(routed, lanes=[routed.lanes[1], routed.lanes[0], *routed.lanes[2:]])


class Forgetting(ZeroEliminator):
    """What waits is not counted: the probe alone is wrong."""

    def _joined(self, m: Any, advance: Any, beat: Any) -> Any:
        rows = super()._joined(m, advance, beat)
        m.d.sync += self.waiting.eq(0)
        return rows


def deeper(parameters: Any) -> Any:
    return ZeroEliminator(replace(parameters, registers="max_frequency"))


@pytest.mark.parametrize(
    ("component", "said"),
    [
        (Unheeding, "kept_payload is"),
        (Crossed, "kept beat"),
        (Forgetting, "waiting is"),
        (deeper, "kept_valid is 0, not 1"),
    ],
)
def test_a_planted_bug_is_found(component: Any, said: str) -> None:
    (verdict,) = verify(replace(ELIMINATOR, component=component), TINY, simulator="amaranth", seeds=[0])
    assert not verdict.passed
    assert any(said in line for line in verdict.complaints), verdict.complaints[:5]


def test_one_more_register_is_a_difference_in_cycles() -> None:
    (verdict,) = verify(replace(ELIMINATOR, component=deeper), TINY, simulator="amaranth", seeds=[0])
    assert verdict.cycle_difference is not None
    assert verdict.cycle_difference > 0


def swapped(parameters: Any, transactions: Any) -> dict[str, list[int]]:
    expected = ELIMINATOR.expected(parameters, transactions)["kept"]
    return {"kept": [expected[1], expected[0], *expected[2:]]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"expected": swapped}, "plain: model: kept beat 0 is"),
        ({"cycles": lambda parameters, work: ELIMINATOR.cycles(parameters, work) + 1}, "cycles() says"),
    ],
)
def test_a_model_that_is_not_as_golden_or_its_own_cycles_say_is_found(
    changed: dict[str, Any], said: str
) -> None:
    unit: Unit = replace(ELIMINATOR, **changed)
    (verdict,) = verify(unit, TINY, simulator="amaranth", seeds=[0])
    assert verdict.cycle_difference == 0
    assert not verdict.passed
    assert any(said in line for line in verdict.complaints)


def test_a_unit_that_never_answers_ends_and_fails() -> None:
    class Silent(ZeroEliminator):
        def _queued(self, m: Any, advance: Any, first: Any, second: Any) -> None:
            super()._queued(m, advance, first, second)
            m.d.comb += advance.eq(0)

    unit = replace(ELIMINATOR, component=Silent, patience=200)
    (verdict,) = verify(unit, TINY, simulator="amaranth", seeds=[0])
    assert verdict.rtl_cycles is None
    assert verdict.as_dict()["cycle_difference"] is None
    assert not verdict.passed


def test_a_simulator_from_which_nothing_comes_is_an_error(tmp_path: Path) -> None:
    unit = find("spatten.prefix_sum")
    text = verilog(unit.instance(unit.presets["tiny"]), unit.top)
    folder = simulators.build(text, unit.top, "icarus", waves=False)
    missing = tmp_path / "missing.json"
    with pytest.raises(FailedToolError, match="simulator icarus failed: "):
        simulators.run(
            folder, unit.top, "icarus", bench=missing, results=tmp_path / "results.json", waves=None
        )


def test_a_long_run_alone_is_built_for_speed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(simulators, "_call", lambda simulator, action, *more: asked.append(action))
    folders = [
        simulators.build("module m; endmodule", "m", "verilator", waves=False, clocks=clocks)
        for clocks in (simulators.SHORT_CLOCKS, simulators.SHORT_CLOCKS + 1)
    ]
    assert folders[0] != folders[1]
    assert ["'-O0'" in action for action in asked] == [True, False]


def test_verilator_keeps_no_signal_that_the_bench_does_not_look_at(tmp_path: Path) -> None:
    """The runner makes all signals public before our arguments take that back."""
    unit = find("kit.fifo")
    (tmp_path / "kit_fifo.v").write_text(verilog(unit.instance(unit.presets["distributed"]), unit.top))
    words = ["--cc", "--vpi", "--public-flat-rw", "--Mdir", ".", "--prefix", "Vtop"]
    simulators.verilate([*words, *simulators.BUILD_ARGUMENTS["verilator"], "kit_fifo.v"], tmp_path)
    scopes = "".join(file.read_text() for file in tmp_path.glob("Vtop__Syms*.cpp"))
    assert '"level"' in scopes
    assert '"produce"' not in scopes
