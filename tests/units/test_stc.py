"""The sparse tensor core by its step models: intervals, the formula of a GPU's instruction, and refusals."""

from collections import deque
from typing import Any

import numpy as np
import pytest

from accelsim.golden.formats import select_nm
from accelsim.units.stc.dot_product import DotProduct
from accelsim.units.stc.gemm import LINE_BITS, Gemm, Job, Model, pack_job
from accelsim.units.stc.gemm import cycles as gemm_cycles
from accelsim.units.stc.images import Images, images
from accelsim.units.stc.lane import Types
from accelsim.units.stc.metadata import Metadata
from accelsim.units.stc.selector import Selector
from accelsim.units.stc.tile import FROM_C, KEPT, ZERO, Pass, Tile, cycles, pack_pass, unpack_pass
from accelsim.units.tensor_core import RATES, TENSOR_CORES, Instruction

FP16 = {"a_type": "f16", "b_type": "f16"}


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("dtype", "types"), [("int8", {}), ("fp16", FP16)])
def test_a_pass_takes_as_long_as_a_gpus_instruction_at_its_rate(
    lanes: int, sparse: bool, dtype: str, types: dict[str, str]
) -> None:
    tile = Tile(lanes=lanes, sparse=sparse, **types)
    k = tile.metadata.shape.k // (1 if sparse else 2)
    instruction = Instruction(generation="ampere", dtype=dtype, k=k, sparse=sparse)
    rate = lanes * tile.lane.multipliers
    at_their_rate = instruction.compute_clocks * (RATES["ampere"][dtype] / TENSOR_CORES)
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


def run(gemm: Gemm, work: Images, latency: int) -> tuple[np.ndarray, int]:
    """Words of D that are left in a memory that answers `latency` clocks later, and the clocks."""
    job = work.job
    begins = {"a": job.a, "b": job.b, "codes": job.codes}
    memory = {
        begins[name] + place: line for name, lines in work.lines.items() for place, line in enumerate(lines)
    }
    answers: dict[str, deque[tuple[int, int]]] = {name: deque() for name in begins}
    written: dict[int, int] = {}
    model, clock, asks = Model(gemm), 0, True
    while len(written) < job.row_tiles * job.column_tiles * 32:
        inputs = {"jobs_valid": int(asks), "jobs_payload": pack_job(gemm, job), "writes_ready": 1}
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
    return work.result(written), clock


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize(("rows", "columns", "k"), [(16, 8, 64), (21, 9, 70), (3, 17, 130)])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_gemm_in_memory_is_multiplied(lanes: int, rows: int, columns: int, k: int, sparse: bool) -> None:
    rng = np.random.default_rng(rows)
    a, b = (rng.integers(-128, 128, (count, k)).astype(np.int8) for count in (rows, columns))
    if sparse:
        a = np.where(select_nm(a.astype(np.float32), 2, 4), a, 0).astype(np.int8)
    gemm = Gemm(lanes=lanes)
    work = images(gemm, a, b, sparse=sparse, base=5)
    result, clocks = run(gemm, work, latency=1)
    assert np.array_equal(result.view(np.int32), a.astype(np.int32) @ b.T.astype(np.int32))
    # The first lines come with the instruction.
    assert clocks == gemm_cycles(gemm, [work.job])
    assert np.array_equal(run(gemm, work, latency=90)[0], result)


@pytest.mark.parametrize("lanes", [4, 16])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_gemm_of_fp16_is_as_close_as_fp32_sums_are(lanes: int, sparse: bool) -> None:
    rng = np.random.default_rng(lanes)
    a, b = (rng.standard_normal((count, 70)).astype(np.float16) for count in (35, 9))
    if sparse:
        a = np.where(select_nm(a.astype(np.float32), 2, 4), a, 0).astype(np.float16)
    gemm = Gemm(lanes=lanes, **FP16, multiplier_latency=3, adder_latency=5)
    work = images(gemm, a, b, sparse=sparse)
    result, clocks = run(gemm, work, latency=1)
    left, right = a.astype(np.float64), b.T.astype(np.float64)
    terms = np.abs(left) @ np.abs(right)
    # A sum of n terms is off by n units in the last place of their magnitudes' sum, at most.
    assert np.all(np.abs(result.view(np.float32) - left @ right) <= 70 * 2.0**-24 * terms)
    assert clocks == gemm_cycles(gemm, [work.job])


def test_elements_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="elements of A must be 16 bits wide, not int8"):
        images(Gemm(**FP16), np.ones((4, 8), np.int8), np.ones((4, 8), np.int8), sparse=False)


def test_sparse_tiles_of_fp16_that_are_not_even_are_refused() -> None:
    odd = Job(row_tiles=3, column_tiles=1, passes=2, sparse=True)
    with pytest.raises(ValueError, match="row_tiles must be even in a sparse job of f16, not 3"):
        pack_job(Gemm(**FP16), odd)


def test_weights_that_are_not_sparse_are_refused() -> None:
    full = np.ones((4, 8), np.int8)
    with pytest.raises(ValueError, match="int8 weights must be 2:4, not elements 0, 1, 2, 3 of row 0 kept"):
        images(Gemm(), full, full, sparse=True)


def test_a_sparse_job_with_half_a_pair_of_passes_is_refused() -> None:
    with pytest.raises(ValueError, match="passes must be even in a sparse job, not 3"):
        Job(row_tiles=1, column_tiles=1, passes=3, sparse=True)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        (Tile, {"lanes": 2}, "lanes must be 4, 8 or 16, not 2"),
        (Tile, {"codes": "sorted"}, "codes must be ordered or any, not 'sorted'"),
        (Types, {"a_type": "s4"}, "a_type must be one of s8, u8, f16, not 's4'"),
        (Types, {"b_type": "f16"}, "b_type must be s8 or u8 for s8, not 'f16'"),
        (Types, {"adder_latency": 2}, "adder_latency must be from 1 to 1 for s8, not 2"),
        (
            DotProduct,
            FP16 | {"adder_latency": 5, "sums": 5},
            "sums must be more than the 5 clocks",
        ),
        (Gemm, {"count_bits": 30}, "count_bits must be from 2 to 24, not 30"),
        (DotProduct, {"multipliers": 3}, "multipliers must be a power of two from 2 to 64, not 3"),
        (DotProduct, {"sums": 0}, "sums must be from 1 to 64, not 0"),
        (Selector, {"groups": 65}, "groups must be from 1 to 64, not 65"),
        (Metadata, {"element_bits": 4}, "element_bits must be 8 or 16, not 4"),
    ],
)
def test_what_cannot_be_built_is_refused(kind: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kind(**changes)
