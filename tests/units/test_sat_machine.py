"""The machine `sat` by its step model: images, results in memory, the clocks of the folds, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim.accelerators.folds import output_stationary, weight_stationary
from accelsim.accelerators.gemm import Gemm
from accelsim.accelerators.products import Pattern
from accelsim.accelerators.sat import Sat
from accelsim.accelerators.sat.schedule import Choice
from accelsim.golden.formats import NM, select_nm
from accelsim.golden.matmul import matmul_fp16, matmul_nm
from accelsim.golden.momentum import Momentum, step
from accelsim.units.sat.images import Memory, dense, grouped, matrix, product
from accelsim.units.sat.jobs import Job, Product, pack_job, unpack_job, works
from accelsim.units.sat.layer import Layer, copy, spanned, training_step
from accelsim.units.sat.machine import PRESETS, Machine
from accelsim.units.sat.model import Model
from accelsim_rtl.bench.drive import Drive, replay, scenario
from accelsim_rtl.bench.memory import memory as bench_memory
from accelsim_rtl.entries.sat_golden import run as golden

TINY = PRESETS["tiny"]
FLOWS = ("os", "ws")
QUIET = {
    f"{stream}_{part}": 0
    for stream, parts in {
        **dict.fromkeys(("s_axil_aw", "s_axil_w", "s_axil_ar", "m_axi_r", "m_axi_b"), ("valid", "payload")),
        **dict.fromkeys(("s_axil_b", "s_axil_r", "m_axi_ar", "m_axi_aw", "m_axi_w", "done"), ("ready",)),
    }.items()
    for part in parts
}
"""Nothing is given, nothing taken."""


def numbers(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float16)


def pruned(shape: tuple[int, int], kept: int, group: int) -> NM:
    weights = numbers(shape, seed=2)
    if kept == group:
        return dense(weights, group)
    return NM.encode(np.where(select_nm(weights, kept, group), weights, np.float16(0)), kept, group)


def word(flow: str, kept: int, group: int, rows: int = TINY.rows) -> int:
    return int(Choice(flow=flow).word(Pattern(kept=kept, group=group), rows), 16)


def result(parameters: Machine, lines: dict[int, int], job: Product, rows: int, columns: int) -> np.ndarray:
    return matrix(
        parameters, lines, job.out, rows=rows, columns=columns, pitch=job.out_slot, narrow=job.narrow
    )


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("kept", [1, 2, 4])
@pytest.mark.parametrize("shape", [(6, 9, 11), (1, 1, 1), (9, 4, 40)], ids=str)
@pytest.mark.parametrize("changes", [{}, {"rows": 3, "cols": 8, "interleave": 1}], ids=str)
def test_images_hold_the_operands_of_the_product(flow, kept, shape, changes):
    parameters = replace(TINY, **changes)
    m, n, k = shape
    memory, activations, code = Memory(parameters), numbers((m, k)), pruned((n, k), kept, 4)
    job = product(memory, activations, code, word=word(flow, kept, 4), narrow=False)
    lines = golden(parameters, memory.lines, [job])
    assert np.array_equal(result(parameters, lines, job, m, n), matmul_nm(activations, code))


def test_smaller_groups_are_groups_of_the_array():
    code = pruned((5, 22), 1, 2)
    wide = grouped(code, 8)
    assert (wide.n, wide.m) == (4, 8)
    assert np.array_equal(wide.decode(), code.decode())
    with pytest.raises(ValueError, match="M must divide the array's group=8, not 3"):
        grouped(pruned((5, 9), 1, 3), 8)


def test_no_group_straddles_two_taps():
    padded = spanned(np.arange(12).reshape(2, 6), 3, 4)
    assert padded.tolist() == [[0, 1, 2, 0, 3, 4, 5, 0], [6, 7, 8, 0, 9, 10, 11, 0]]


def run(parameters: Machine, memory: Memory, jobs: list[Job]) -> tuple[dict[int, int], dict[str, list[Any]]]:
    """Lines of memory behind a list of jobs, and every output clock by clock."""
    first, map_ = memory.jobs(jobs), parameters.map
    settings = {"list": first, "jobs": len(jobs), "control": 1}
    ranks = {"ready": 0, "valid": 1, "payload": 2}
    names = sorted(Model(parameters).step(QUIET), key=lambda name: ranks.get(name.rpartition("_")[2], 3))
    port, size = parameters.reader.port, parameters.line_bytes
    held = bench_memory(
        ["m_axi"],
        address_bits=port.address_bits,
        data_bits=port.data_bits,
        id_bits=port.id_bits,
        write_id_bits=parameters.writer.port.id_bits,
        words=[(line * size, value) for line, value in memory.lines.items()],
    )
    drive = Drive(
        scenario(
            "run",
            sources={
                "s_axil_aw": [map_.offsets[name] for name in settings],
                "s_axil_w": [value | 15 << 32 for value in settings.values()],
                "s_axil_ar": [],
            },
            expected={"s_axil_b": [0] * len(settings), "s_axil_r": [], "done": [0] * len(jobs)},
            memories=[held],
        ),
        names,
    )
    replay(Model(parameters), drive)
    assert not drive.broken
    lines = {address // size: value for address, value in drive.memories[0].words.items()}
    shown = dict(zip(names, zip(*drive.rows, strict=True), strict=True))
    return lines, {name: list(values) for name, values in shown.items()}


@pytest.mark.parametrize("flows", [("os", "ws"), ("ws", "os")], ids=str)
def test_a_training_step_leaves_weights_and_both_copies_in_memory(flows):
    constants = Momentum(rate=0.05, weight_decay=0.01)
    parameters = replace(TINY, constants=constants)
    m, k, n = 5, 8, 6
    layer = Layer(
        activations=numbers((m, k)),
        gradients=numbers((m, n), seed=3),
        weights=numbers((k, n), seed=4).astype(np.float32),
        velocities=numbers((k, n), seed=5).astype(np.float32),
    )
    memory = Memory(parameters)
    words = {"ff": word(flows[0], 2, 4), "bp": word(flows[1], 2, 4), "wu": word("os", 1, 1)}
    made = training_step(memory, layer, words)
    jobs = [made.forward, made.backward, made.gradients, made.update]
    lines, shown = run(parameters, memory, jobs)

    halves = layer.weights.astype(np.float16)
    forward, backward = copy(np.ascontiguousarray(halves.T), 2, 4), copy(halves, 2, 4)
    wanted = matmul_nm(layer.activations, forward).astype(np.float16)
    assert np.array_equal(result(parameters, lines, made.forward, m, n), wanted)
    wanted = matmul_nm(layer.gradients, backward).astype(np.float16)
    assert np.array_equal(result(parameters, lines, made.backward, m, k), wanted)
    gradients = matmul_fp16(*(np.ascontiguousarray(each.T) for each in (layer.activations, layer.gradients)))
    assert np.array_equal(result(parameters, lines, made.gradients, k, n), gradients)
    kept = np.ones((k, n), np.bool_)
    updated = step(constants, gradients, layer.weights, layer.velocities, kept)
    places = (made.update.weights, made.update.velocities)
    for first, numbers_ in zip(places, updated, strict=False):
        found = matrix(parameters, lines, first, rows=k, columns=n, pitch=made.update.pitch, narrow=False)
        assert np.array_equal(found, numbers_)

    # The next step's products read the copies where they were written.
    again = Memory(parameters, lines=dict(lines), end=memory.end)
    columns = np.eye(k, dtype=np.float16)
    code = copy(np.ascontiguousarray(updated[2].T), 2, 4)
    next_ = product(again, columns, code, word=words["ff"], north=made.update.forward, narrow=False)
    found = result(parameters, golden(parameters, again.lines, [next_]), next_, k, n)
    assert np.array_equal(found, code.decode().T.astype(np.float32))
    assert sum(shown["works"]) == works(parameters, jobs)


def array_of(parameters: Machine):
    return Sat(
        rows=parameters.rows,
        cols=parameters.cols,
        adder_latency=parameters.adder_latency,
        multiplier_latency=parameters.multiplier_latency,
    ).array()


@pytest.mark.parametrize("kept", [1, 2, 4])
@pytest.mark.parametrize("shape", [(5, 7, 24), (16, 9, 64), (1, 1, 8), (7, 20, 40)], ids=str)
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("adder", [1, 4])
def test_the_array_works_as_long_as_the_machines_model_says(kept, shape, flow, adder):
    parameters = replace(TINY, interleave=1, adder_latency=adder, depth=16)
    m, n, k = shape
    gemm = Gemm(m=m, n=n, k=k, kept=1 if kept == 4 else kept, group=1 if kept == 4 else 4)
    make = output_stationary if flow == "os" else weight_stationary
    job = product(Memory(parameters), numbers((m, k)), pruned((n, k), kept, 4), word=word(flow, kept, 4))
    assert works(parameters, [job]) == make(gemm, array_of(parameters)).compute_cycles


def test_jobs_are_packed_and_unpacked():
    memory = Memory(TINY)
    job = product(memory, numbers((3, 5)), pruned((4, 5), 2, 4), word=word("ws", 2, 4))
    assert unpack_job(pack_job(job)) == job
    assert job.stationary
    with pytest.raises(ValueError, match="chunks of a job must fit 16 bits, not 65536"):
        pack_job(replace(job, chunks=1 << 16))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cols": 6}, "cols must be a power of two from 1 to 64, not 6"),
        ({"group": 8}, "group must be from 2 to 4, not 8"),
        ({"kept": 4}, "kept must be from 1 to 3, not 4"),
        ({"depth": 1}, "depth must be from 2 to 4096, not 1"),
        ({"constants": Momentum(decay=0.1)}, "constants.decay must be 0 for a machine, not 0.1"),
    ],
    ids=str,
)
def test_a_machine_that_cannot_be_built_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        replace(TINY, **changes)


def test_images_that_memory_cannot_hold_are_refused():
    memory = Memory(replace(TINY, address_bits=12))
    with pytest.raises(ValueError, match="address_bits must be more for 600 lines, not 12"):
        memory.put([0] * 600)


def test_operands_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"must be of \(m, 5\) and groups of 4, not \(3, 6\) and 4"):
        product(Memory(TINY), numbers((3, 6)), pruned((4, 5), 2, 4), word=0)
