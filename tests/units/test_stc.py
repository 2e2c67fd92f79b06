"""The sparse tensor core by its step models: intervals, the formula of a GPU's instruction, and refusals."""

from collections import deque
from typing import Any

import numpy as np
import pytest

from accelsim.golden.formats import select_nm
from accelsim.units.stc.dot_product import DotProduct
from accelsim.units.stc.images import Images, images
from accelsim.units.stc.lane import Types
from accelsim.units.stc.machine import LINE_BITS, Job, Machine, Model, pack_job
from accelsim.units.stc.machine import cycles as machine_cycles
from accelsim.units.stc.metadata import Metadata
from accelsim.units.stc.selector import Selector
from accelsim.units.stc.tile import FROM_C, KEPT, ZERO, Pass, Tile, cycles, pack_pass, unpack_pass
from accelsim.units.tensor_core import RATES, TENSOR_CORES, Instruction


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_pass_takes_as_long_as_a_gpus_instruction_at_its_rate(lanes: int, sparse: bool) -> None:
    tile = Tile(lanes=lanes, sparse=sparse)
    instruction = Instruction(generation="ampere", dtype="int8", k=32 if sparse else 16, sparse=sparse)
    rate = lanes * tile.lane.multipliers
    at_their_rate = instruction.compute_clocks * (RATES["ampere"]["int8"] / TENSOR_CORES)
    assert tile.pass_cycles == instruction.products / rate == at_their_rate / rate
    passes = [Pass(sparse=sparse)] * 5
    interval = cycles(tile, passes) - cycles(tile, passes[:-1])
    assert interval == tile.pass_cycles


def test_what_gives_no_results_takes_no_time() -> None:
    assert cycles(Tile(), []) == cycles(Tile(), [Pass(gives=False)]) == 0


@pytest.mark.parametrize("begins", [ZERO, FROM_C, KEPT])
@pytest.mark.parametrize("sparse", [False, True])
def test_an_instruction_is_packed_and_unpacked(begins: int, sparse: bool) -> None:
    step = Pass(begins=begins, gives=False, sparse=sparse, selector=int(sparse))
    assert unpack_pass(Tile(), pack_pass(Tile(), step)) == step


def run(machine: Machine, work: Images, latency: int) -> tuple[np.ndarray, int]:
    """D that the machine leaves in a memory that answers `latency` clocks later, and the clocks."""
    job = work.job
    begins = {"a": job.a, "b": job.b, "codes": job.codes}
    memory = {
        begins[name] + place: line for name, lines in work.lines.items() for place, line in enumerate(lines)
    }
    answers: dict[str, deque[tuple[int, int]]] = {name: deque() for name in begins}
    written: dict[int, int] = {}
    model, clock, asks = Model(machine), 0, True
    while len(written) < job.row_tiles * job.column_tiles * 32:
        inputs = {"jobs_valid": int(asks), "jobs_payload": pack_job(machine, job), "writes_ready": 1}
        for name, queue in answers.items():
            there = bool(queue) and queue[0][0] <= clock
            inputs |= {f"{name}_reads_ready": 1, f"{name}_lines_valid": int(there)}
            inputs[f"{name}_lines_payload"] = queue[0][1] if there else 0
        row = model.step(inputs)
        asks &= not row["jobs_ready"]
        for name, queue in answers.items():
            if inputs[f"{name}_lines_valid"] and row.get(f"{name}_lines_ready"):
                queue.popleft()
            if row.get(f"{name}_reads_valid"):
                queue.append((clock + latency, memory[row[f"{name}_reads_payload"]]))
        if row["writes_valid"]:
            written[row["writes_payload"] >> LINE_BITS] = row["writes_payload"] & (1 << LINE_BITS) - 1
        clock += 1
    return work.result(written).view(np.int32), clock


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize(("rows", "columns", "k"), [(16, 8, 64), (21, 9, 70), (3, 17, 130)])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_gemm_in_memory_is_multiplied(lanes: int, rows: int, columns: int, k: int, sparse: bool) -> None:
    rng = np.random.default_rng(rows)
    a, b = (rng.integers(-128, 128, (count, k)).astype(np.int8) for count in (rows, columns))
    if sparse:
        a = np.where(select_nm(a.astype(np.float32), 2, 4), a, 0).astype(np.int8)
    machine = Machine(lanes=lanes)
    work = images(machine, a, b, sparse=sparse, base=5)
    result, clocks = run(machine, work, latency=1)
    assert np.array_equal(result, a.astype(np.int32) @ b.T.astype(np.int32))
    # The first lines come with the instruction.
    assert clocks == machine_cycles(machine, [work.job])
    assert np.array_equal(run(machine, work, latency=90)[0], result)


def test_weights_that_are_not_sparse_are_refused() -> None:
    full = np.ones((4, 8), np.int8)
    with pytest.raises(ValueError, match="int8 weights must be 2:4, not elements 0, 1, 2, 3 of row 0 kept"):
        images(Machine(), full, full, sparse=True)


def test_a_sparse_job_with_half_a_pair_of_passes_is_refused() -> None:
    with pytest.raises(ValueError, match="passes must be even in a sparse job, not 3"):
        Job(row_tiles=1, column_tiles=1, passes=3, sparse=True)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        (Tile, {"lanes": 2}, "lanes must be 4, 8 or 16, not 2"),
        (Tile, {"codes": "sorted"}, "codes must be ordered or any, not 'sorted'"),
        (Types, {"a_type": "s4"}, "a_type must be one of s8, u8, not 's4'"),
        (Machine, {"count_bits": 30}, "count_bits must be from 2 to 24, not 30"),
        (DotProduct, {"multipliers": 3}, "multipliers must be a power of two from 2 to 64, not 3"),
        (DotProduct, {"sums": 0}, "sums must be from 1 to 64, not 0"),
        (Selector, {"groups": 65}, "groups must be from 1 to 64, not 65"),
        (Metadata, {"element_bits": 4}, "element_bits must be 8 or 16, not 4"),
    ],
)
def test_what_cannot_be_built_is_refused(kind: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kind(**changes)
