"""Energy and area: the table is met where it was measured, events are counted as by hand."""

import dataclasses

import numpy as np
import pytest

from accelsim.accelerators import ACCELERATORS, Sat, SparseTensorCore, SpAtten, Systolic
from accelsim.energy import Energy, Part, area_mm2, energy_pj
from accelsim.energy.scaling import NODES, area_factor, energy_factor
from accelsim.parameters import replace_by_path
from accelsim.run import run
from accelsim.synthetic import gemm
from accelsim.workload import Attention, Matmul, Workload


def workload(layer: Matmul | Attention) -> Workload:
    return Workload(model="m", layers=(layer,))


def test_at_its_own_node_the_table_is_met() -> None:
    energy = Energy()
    for operation, dtype in [("add", "int8"), ("add", "int32"), ("multiply", "int8"), ("multiply", "int32")]:
        cost = getattr(energy, operation)(dtype)
        assert cost.pj == pytest.approx(getattr(energy, f"{operation}_{dtype}_pj"))
        assert cost.um2 == pytest.approx(getattr(energy, f"{operation}_{dtype}_um2"))
    for operation in ("add", "multiply"):
        for dtype in ("fp16", "fp32"):
            cost = getattr(energy, operation)(dtype)
            assert cost.pj == pytest.approx(getattr(energy, f"{operation}_{dtype}_pj"))
    sizes = {8 << 10: 10.0, 32 << 10: 20.0, 1 << 20: 100.0}
    assert {size: pytest.approx(energy.sram(size, 64).pj) for size in sizes} == sizes


def test_a_multiplier_grows_with_the_square_of_its_width_and_an_adder_about_linearly() -> None:
    energy = Energy()
    assert energy.multiply("int16").pj / energy.multiply("int8").pj == pytest.approx(4, rel=0.03)
    # The table of ISSCC 2014 has 0.05 pJ for 16 bits, which is not an entry here.
    assert energy.add("int16").pj == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("node", NODES, ids=lambda node: f"{node.nm:g} nm")
def test_scaling_there_and_back_is_none(node) -> None:
    there = energy_factor(node.nm, 0.8, 45, 0.9) * area_factor(node.nm, 45)
    back = energy_factor(45, 0.9, node.nm, 0.8) * area_factor(45, node.nm)
    assert there * back == pytest.approx(1)


def test_smaller_nodes_and_lower_voltages_take_less() -> None:
    nodes = [node.nm for node in NODES]
    for quantity in (
        [energy_factor(nm, 0.9, 45, 0.9) for nm in nodes],
        [area_factor(nm, 45) for nm in nodes],
    ):
        assert quantity == sorted(quantity)
    assert energy_factor(16, 0.7, 16, 0.8) < 1


def test_a_bank_costs_less_than_the_whole_memory_and_more_than_its_share() -> None:
    energy = Energy()
    whole, banked = energy.sram(196_608, 64), energy.sram(196_608, 64, banks=12)
    assert whole.pj / 12 < banked.pj < whole.pj
    assert banked.um2 == whole.um2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"node_nm": 5.0}, "energy.node_nm must be 7..130, not 5"),
        ({"volts": 2.0}, "energy.volts must be 0.5..1.3, not 2"),
        ({"add_int8_pj": 0.0}, "energy.add_int8_pj must be > 0, not 0"),
        ({"sram_efficiency": 1.5}, "energy.sram_efficiency must be 0..1, not 1.5"),
        ({"fabric": "wood"}, "energy.fabric must be asic or fpga, not 'wood'"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        Energy(**changes)


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="energy knows intN and fp32, tf32, fp16, bf16, fp8, not 'posit'"):
        Energy().multiply("posit")


def test_one_fold_of_an_array_is_counted_as_by_hand() -> None:
    # 4 x 4 elements; 3 rows of 4 activations, 4 outputs, in FP16; sums leave as FP16.
    machine = Systolic(rows=4, cols=4, dataflow="ws")
    events = machine.plan(Matmul(name="g", m=3, n=4, k=4)).events
    assert events == {
        "multipliers": 48,
        "adders": 48,
        "element registers": 48,
        "activation buffer": 2 * 3,  # in and out, a row of four at a time
        "weight buffer": 2 * 4,
        "output buffer": 3 + 3 / 2,  # four sums of 32 bits in, four of 16 bits out
    }


def test_sums_of_several_folds_are_read_back() -> None:
    machine = Systolic(rows=4, cols=4, dataflow="ws", out_dtype="fp32")
    events = machine.plan(Matmul(name="g", m=3, n=4, k=12)).events
    # Each of three folds writes 3 rows of sums, the last two read them, and they leave once.
    assert events["output buffer"] == 3 * (3 + 2 + 1)
    assert events["activation buffer"] == 3 * (3 + 3)


def test_attention_is_counted_as_by_hand() -> None:
    rng = np.random.default_rng(0)
    rows = (1, 2, 5)
    layer = Attention(
        name="a",
        heads=2,
        kv_heads=2,
        queries=5,
        keys=64,
        dim=64,
        value_dim=64,
        values=np.full(rows, 16, np.int32),
        scores=rng.integers(0, 4097, (*rows, 64)).astype(np.uint16),
    )
    events = SpAtten().plan(layer).events
    assert events["QxK multipliers"] == 10 * 64 * 64
    assert events["PxV multipliers"] == 10 * 16 * 64
    assert events["exponents"] == events["divisions"] == 10 * 64
    # A store is filled once for a head, eight vectors a line, and read by every row.
    assert events["K store"] == 2 * 8 + 10 * 8
    assert events["V store"] == 2 * 8 + 10 * 2
    assert events["score FIFOs"] == 10 * 2 * (8 + 8)


@pytest.mark.parametrize("name", ACCELERATORS)
def test_every_event_has_a_part_and_no_part_a_double(name) -> None:
    for machine in ACCELERATORS[name].presets.values():
        names = [part.name for part in machine.parts()]
        assert len(names) == len(set(names))
        heads = Attention(name="a", heads=2, kv_heads=2, queries=3, keys=8, dim=16, value_dim=16)
        assert set(machine.plan(heads).events) <= set(names)


def test_an_event_without_a_part_is_a_fault() -> None:
    part = Part(name="adder", group="logic", cost=Energy().add("int8"), count=3)
    assert energy_pj([part], {"adder": 10}) == {"adder": pytest.approx(0.3)}
    assert area_mm2([part]) == pytest.approx(3 * 36e-6)
    with pytest.raises(KeyError, match="ghost"):
        energy_pj([part], {"ghost": 1})


def test_half_the_products_take_half_the_energy_of_the_multipliers() -> None:
    pruned = gemm(64, 64, 64, pattern=(4, 8), dtype="fp16", generator=np.random.default_rng(0))
    report = run(pruned, Sat())
    assert report.baseline is not None
    assert report.part_pj["multipliers"] == pytest.approx(report.baseline.part_pj["multipliers"] / 2)
    assert report.logic_pj == pytest.approx(
        sum(report.part_pj[name] for name in ("multipliers", "adders", "element registers"))
    )
    assert report.area_mm2 is None, "an FPGA has no area of its own"


def test_energy_is_in_the_json_and_in_the_table() -> None:
    report = run(workload(Matmul(name="g", m=8, n=8, k=8)), Systolic(), baseline=False)
    values = report.to_dict()
    assert values["energy_pj"]["sram"] > 0
    assert values["energy_pj"]["logic"] > 0
    assert values["area_mm2"] > 0
    assert "energy logic" in str(report)


def test_the_larger_chip_has_the_larger_area() -> None:
    sizes = [area_mm2(machine.parts()) for machine in (SpAtten(), ACCELERATORS["spatten"].presets["tiny"])]
    assert sizes[0] > sizes[1]
    doubled = dataclasses.replace(SparseTensorCore(), sms=216)
    assert area_mm2(doubled.parts()) > area_mm2(SparseTensorCore().parts())


def test_the_energy_table_is_set_by_dotted_names() -> None:
    cheap = replace_by_path(Systolic(), "energy.multiply_fp16_pj", "0.55")
    layer = Matmul(name="g", m=8, n=8, k=8)
    before, after = (run(workload(layer), machine, baseline=False) for machine in (Systolic(), cheap))
    assert after.part_pj["multipliers"] == pytest.approx(before.part_pj["multipliers"] / 2)


@pytest.mark.parametrize("name", ["sat", "spatten", "stc", "systolic"])
def test_the_whole_is_dram_sram_and_logic(name) -> None:
    layer = Attention(name="a", heads=2, kv_heads=2, queries=3, keys=64, dim=32, value_dim=32)
    for machine in ACCELERATORS[name].presets.values():
        report = run(workload(layer), machine)
        assert report.dram_pj is not None
        assert report.dram_pj > 0
        assert report.total_pj == pytest.approx(report.dram_pj + report.sram_pj + report.logic_pj)
        assert report.energy_saving == 1
