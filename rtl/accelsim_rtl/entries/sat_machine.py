"""`sat` for the kit: lists of jobs in memory, what golden makes of them, and the clocks of the array."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.accelerators.products import Pattern, find_pattern, products
from accelsim.accelerators.sat.schedule import Choice
from accelsim.golden.formats import NM, select_nm
from accelsim.units.registers import WORD_BITS
from accelsim.units.sat import machine as unit
from accelsim.units.sat.images import Memory, dense, grouped, product
from accelsim.units.sat.jobs import Job, Product, works
from accelsim.units.sat.layer import Layer, training_step
from accelsim.units.sat.machine import Machine as Parameters
from accelsim.units.sat.model import Model
from accelsim.workload import Attention, Matmul, Workload
from accelsim_rtl.bench.memory import memory
from accelsim_rtl.entries.register_writes import beats, write
from accelsim_rtl.entries.sat_golden import Lines, jobs_of, run
from accelsim_rtl.entries.sat_slices import LARGEST_GROUP, by_stage, numbers, weights_of
from accelsim_rtl.kit.replay import Replayed, UnfitError, spread
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.sat.machine import Machine

COUNTERS = ("jobs", "errors", "folds", "works")
"""Those whose values golden knows, however memory and driver wait."""
FLOWS = ("os", "ws")
MOST_STEPS = 64
"""Along k of the longest product; buffers that hold more are not filled."""
MOST_JOBS = 9
"""Pieces of a workload's products that a seed draws."""
MOST_ROWS = 6
"""Of activations of a piece."""
MOST_TILES = 2
"""Of C weights along k, of a piece."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Products of both dataflows, dense and N:M, in several chunks; then a step, which has the rest."""
    memory = Memory(parameters)
    depth, group = parameters.depth, parameters.group
    longer = min(MOST_STEPS, int(generator.integers(group * depth + 1, group * (depth + 2))))
    shapes = [
        ("os", parameters.kept, parameters.rows + 2, longer),
        ("ws", parameters.kept, min(MOST_STEPS // 4, depth + 1), int(generator.integers(1, 3 * group))),
        ("ws", group, 2, int(generator.integers(1, 2 * group))),
    ]
    generator.shuffle(shapes)
    found: list[Job] = []
    for flow, kept, rows, k in shapes:
        columns = int(generator.integers(1, parameters.cols * parameters.interleave + 2))
        weights = _numbers(generator, (columns, k))
        if kept == group:
            code = dense(weights, group)
        else:
            mask = select_nm(weights, kept, group)
            code = NM.encode(np.where(mask, weights, np.float16(0)), kept, group)
        found.append(
            product(
                memory,
                _numbers(generator, (rows, k)),
                code,
                word=word(parameters, flow, kept),
                narrow=bool(generator.integers(2)),
            )
        )
    first = _transaction(memory, found, {})
    before = dict(memory.lines)
    # Enough tiles for an update to be held up by what it writes.
    cols = parameters.cols
    m, k, n = (
        int(generator.integers(*ends)) for ends in ((1, cols + 3), (2 * cols, 3 * cols), (cols, 2 * cols))
    )
    layer = Layer(
        activations=_numbers(generator, (m, k)),
        gradients=_numbers(generator, (m, n)),
        weights=_numbers(generator, (k, n)).astype(np.float32),
        velocities=_numbers(generator, (k, n)).astype(np.float32),
    )
    flows = [str(flow) for flow in generator.permutation(FLOWS)]
    step = training_step(
        memory,
        layer,
        {
            "ff": word(parameters, flows[0], parameters.kept),
            "bp": word(parameters, flows[1], parameters.kept),
            "wu": word(parameters, "os", group),
        },
    )
    return [first, _transaction(memory, [step.forward, step.backward, step.gradients, step.update], before)]


def replay(parameters: Parameters, workload: Workload, generator: np.random.Generator) -> Replayed:
    """Pieces of the workload's products as a list of jobs, dataflows in turn; numbers are drawn.

    Raises UnfitError if nothing of the workload is a matrix product that the machine can take.
    """
    layers = [layer for layer in workload.layers if isinstance(layer, (Matmul, Attention))]
    found = [(one, find_pattern(one, LARGEST_GROUP)) for layer in layers for one in products(layer)]
    fitting = [
        (one, pattern) for one, pattern in found if pattern.is_dense or parameters.group % pattern.group == 0
    ]
    if not fitting:
        raise UnfitError(
            f"{workload.model!r} must have products whose groups divide group={parameters.group}; it has none"
        )
    memory, jobs, said = Memory(parameters), [], []
    stages = by_stage(fitting)
    for (stage, members), share in zip(
        stages.items(), spread([2 * len(each) for each in stages.values()], MOST_JOBS), strict=True
    ):
        for place, number in enumerate(generator.permutation(2 * len(members))[:share]):
            flow = FLOWS[(int(number) + place) % 2]
            jobs.append(_piece(memory, *members[int(number) // 2], flow, generator))
        sparse = sum(not pattern.is_dense for _, pattern in members)
        said.append(f"{share} of {stage or 'inference'} ({sparse} of {len(members)} products are N:M)")
    sentence = f"pieces of {len(jobs)} products of {workload.model}: {', '.join(said)}; numbers are drawn"
    return Replayed(transactions=[_transaction(memory, jobs, {})], sentence=sentence)


def _piece(
    memory: Memory, one: Matmul, pattern: Pattern, flow: str, generator: np.random.Generator
) -> Product:
    """A place in a product, drawn: some groups of k within a span, and as many columns as the array has."""
    parameters, span = memory.parameters, one.group_span
    width = min(span, MOST_TILES * parameters.cols)
    first = int(generator.integers((span - width) // pattern.group + 1)) * pattern.group
    begin = int(generator.integers(one.k // span)) * span + first
    weights = weights_of(one, begin, width, parameters.cols * parameters.interleave, generator)
    if pattern.is_dense:
        code = dense(weights, parameters.group)
    else:
        code = grouped(NM.encode(weights, pattern.kept, pattern.group), parameters.group)
    rows = min(one.m, MOST_ROWS)
    choice = Choice(flow=flow).word(pattern, parameters.rows)
    return product(
        memory,
        numbers(generator, (rows, width)),
        code,
        word=int(choice, 16),
        narrow=one.stage != "wu",
    )


def word(parameters: Parameters, flow: str, kept: int) -> int:
    """The scheduler's configuration word of a product whose blocks are whole."""
    pattern = Pattern(kept=kept, group=parameters.group)
    return int(Choice(flow=flow).word(pattern, parameters.rows), 16)


def _numbers(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers, now and then one so large that sums leave FP16."""
    drawn = generator.normal(0, 1, shape)
    return np.where(generator.random(shape) < 0.02, drawn * 2000, drawn).astype(np.float16)


def _transaction(memory: Memory, jobs: list[Job], before: Lines) -> Transaction:
    """A list of jobs, what a driver writes to begin it, and the lines that are new in memory."""
    parameters = memory.parameters
    first = memory.jobs(jobs)
    words = [
        *write(parameters.map, "list", line=first),
        *write(parameters.map, "jobs", count=len(jobs)),
        *write(parameters.map, "control", start=1),
    ]
    new = [entry for entry in memory.lines.items() if entry[0] not in before]
    return beats(words) | {
        "s_axil_ar": [parameters.map.offsets[f"count_{name}"] for name in COUNTERS],
        "memory": [number for entry in new for number in entry],
    }


def _lines(transactions: list[Transaction]) -> Lines:
    """What memory holds before."""
    found: Lines = {}
    for each in transactions:
        found |= dict(zip(each["memory"][::2], each["memory"][1::2], strict=True))
    return found


def _jobs(parameters: Parameters, transaction: Transaction, lines: Lines) -> list[Job]:
    """The jobs that a driver begins."""
    written = dict(zip(transaction["s_axil_aw"], transaction["s_axil_w"], strict=True))
    first, count = (written[parameters.map.offsets[name]] & (1 << WORD_BITS) - 1 for name in ("list", "jobs"))
    return jobs_of(parameters, lines, first, count)


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Answers of the bus, and counters behind each list; no job fails. Results are expected in memory."""
    found: dict[str, list[int]] = {name: [] for name in ("done", "s_axil_b", "s_axil_r")}
    lines, counted = _lines(transactions), dict.fromkeys(COUNTERS, 0)
    for each in transactions:
        jobs = _jobs(parameters, each, lines)
        counted["jobs"] += len(jobs)
        counted["folds"] += sum(job.folds for job in jobs if isinstance(job, Product))
        counted["works"] += works(parameters, jobs)
        found["done"] += [0] * len(jobs)
        found["s_axil_b"] += [0] * len(each["s_axil_aw"])
        found["s_axil_r"] += counted.values()
    return found


def memories(parameters: Parameters, transactions: list[Transaction]) -> list[dict[str, Any]]:
    """The memory with the images, in which golden's results must stand."""
    lines, written = _lines(transactions), {}
    for each in transactions:
        written |= run(parameters, lines | written, _jobs(parameters, each, lines))
    port, size = parameters.reader.port, parameters.line_bytes
    return [
        memory(
            ["m_axi"],
            address_bits=port.address_bits,
            data_bits=port.data_bits,
            id_bits=port.id_bits,
            write_id_bits=parameters.writer.port.id_bits,
            words=[(line * size, value) for line, value in lines.items()],
            written=[(line * size, value) for line, value in written.items()],
        )
    ]


def after(parameters: Parameters, transactions: list[Transaction]) -> dict[str, Any]:
    """A word waits for the answer to the one before, counters for the jobs, and a list for the counters."""
    waits: dict[str, list[list[Any]]] = {"s_axil_aw": [], "s_axil_w": [], "s_axil_ar": []}
    lines, answers, ended, reads = _lines(transactions), 0, 0, 0
    for each in transactions:
        waiting: list[Any] = ["s_axil_r", reads]
        for _ in each["s_axil_aw"]:
            waits["s_axil_aw"].append(waiting)
            waits["s_axil_w"].append(waiting)
            answers += 1
            waiting = ["s_axil_b", answers]
        ended += len(_jobs(parameters, each, lines))
        waits["s_axil_ar"] += [["done", ended]] * len(COUNTERS)
        reads += len(COUNTERS)
    return waits


def cycles(parameters: Parameters, transactions: list[Transaction]) -> int:
    """Clocks in which the array works; see `accelsim.units.sat.jobs.works`."""
    lines = _lines(transactions)
    return sum(works(parameters, _jobs(parameters, each, lines)) for each in transactions)


def _worked(drive: Any) -> int | None:
    """Clocks of a run in which the array worked."""
    if drive.cycles is None:
        return None
    place = drive.columns.index("works")
    return sum(row[place] for row in drive.rows)


UNIT = Unit(
    name="sat",
    sentence="SAT: a training step's products and updates from memory images, job by job",
    presets=unit.PRESETS,
    component=Machine,
    model=Model,
    stimulus=stimulus,
    expected=expected,
    cycles=cycles,
    took=_worked,
    latency=lambda parameters: {"lines_per_clock": 1, "control_cycles_per_job": 3},
    memories=memories,
    after=after,
    replay=replay,
    register_map=lambda parameters: parameters.map,
)
