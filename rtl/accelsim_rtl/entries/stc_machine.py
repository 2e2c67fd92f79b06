"""`stc` for the kit: a driver's work, from registers to D in memory, and what golden expects of it.

A job is told as soon as another may wait; counters are read when all are done. Of one job the bus refuses a
line of D, of another a line of A, and the metadata of a third holds codes that are none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.units.registers import WORD_BYTES
from accelsim.units.stc import machine_model
from accelsim.units.stc.gemm import LINE_BITS, LINE_BYTES, Job
from accelsim.units.stc.images import Images
from accelsim.units.stc.machine import FAILED, PRESETS, UNDEFINED, job_of, register_values
from accelsim.units.stc.machine import Machine as Parameters
from accelsim.workload import Workload
from accelsim_rtl.bench.memory import PLAIN_LATENCY, memory
from accelsim_rtl.entries.register_writes import beats, write
from accelsim_rtl.entries.stc_gemm import drawn_images, product, read_addresses, spoil, writes
from accelsim_rtl.entries.stc_slices import pruned_images
from accelsim_rtl.kit.replay import Replayed
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.stc.machine import Machine

REFUSED = {"d": 0, "a": -2}
"""Of which job the bus refuses the first line of an image."""

SIZES = ((5, 3, 7, True), (3, 9, 16, False), (16, 8, 16, False), (5, 3, 7, True))
"""As of `stc.gemm`, which draws larger ones: here it is the way to memory that counts."""

WAITING = 2
"""Jobs under way at most: one runs, one waits."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """GEMMs with their images in one memory; behind the last one registers are read."""
    drawn = drawn_images(parameters, generator, SIZES)
    spoil(drawn[-1], generator)
    return _work(parameters, drawn)


def replay(parameters: Parameters, workload: Workload, generator: np.random.Generator) -> Replayed:
    """GEMMs of pieces of the workload's 2:4 weights, as `entries.stc_slices` draws them."""
    drawn, sentence = pruned_images(parameters, workload, generator)
    return Replayed(transactions=_work(parameters, drawn), sentence=sentence)


def _work(parameters: Parameters, drawn: list[Images]) -> list[Transaction]:
    """A job after the other; behind the last one registers are read."""
    work = [_transaction(parameters, made) for made in drawn]
    work[-1]["s_axil_ar"] = [parameters.map.offsets[name] for name in _read_registers(parameters)]
    return work


def _transaction(parameters: Parameters, made: Images) -> Transaction:
    """What software writes, and the images."""
    words = [
        word
        for register, fields in register_values(parameters, made.job).items()
        for word in write(parameters.map, register, **fields)
    ]
    return beats(words) | dict(made.lines)


def _read_registers(parameters: Parameters) -> list[str]:
    """Those whose values golden knows."""
    names = ("jobs", "failed", *(f"read_{name}" for name in parameters.operands), "written")
    return ["status", *(f"count_{name}" for name in names)]


def _job(parameters: Parameters, transaction: Transaction) -> Job:
    """The job of the registers as they are written."""
    values: dict[str, int] = {}
    for address, payload in zip(transaction["s_axil_aw"], transaction["s_axil_w"], strict=True):
        for part in parameters.map.words[address // WORD_BYTES]:
            bits = payload >> part.place & (1 << part.bits) - 1
            values[part.signal] = values.get(part.signal, 0) | bits << part.first
    return job_of(values)


def _images(parameters: Parameters, job: Job, transaction: Transaction) -> dict[str, dict[int, int]]:
    """Lines of the images by their addresses."""
    begins = {"a": job.a, "b": job.b, "codes": job.codes}
    return {
        name: {begins[name] + place: line for place, line in enumerate(transaction.get(name, []))}
        for name in parameters.operands
    }


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """What is told of each job, answers of the bus, and counters."""
    found: dict[str, list[int]] = {name: [] for name in ("done", "s_axil_b", "s_axil_r")}
    refused = {number % len(transactions) for number in REFUSED.values()}
    counted = dict.fromkeys(_read_registers(parameters), 0)
    for number, transaction in enumerate(transactions):
        job = _job(parameters, transaction)
        _, undefined = product(parameters, job, _images(parameters, job, transaction))
        for name, addresses in read_addresses(parameters, job).items():
            counted[f"count_read_{name}"] += len(addresses)
        counted["count_written"] += len(_written(parameters, transaction))
        counted["count_jobs"] += 1
        counted["count_failed"] += number in refused
        told = FAILED * (number in refused) | UNDEFINED * undefined
        found["done"].append(told)
        found["s_axil_b"] += [0] * len(transaction["s_axil_aw"])
        # `status` says nothing else of the last job, once it is done.
        status = dict(zip(("failed", "undefined"), (told & FAILED, told // UNDEFINED), strict=True))
        places = next(one for one in parameters.map.registers if one.name == "status").places()
        counted["status"] = sum(status.get(field.name, 0) << place for field, place in places)
        names = {offset: name for name, offset in parameters.map.offsets.items()}
        found["s_axil_r"] += [counted[names[address]] for address in transaction.get("s_axil_ar", [])]
    return found


def _written(parameters: Parameters, transaction: Transaction) -> dict[int, int]:
    """Lines of D by their addresses."""
    job = _job(parameters, transaction)
    words, _ = product(parameters, job, _images(parameters, job, transaction))
    return {beat >> LINE_BITS: beat & (1 << LINE_BITS) - 1 for beat in writes(parameters, job, words)}


def after(parameters: Parameters, transactions: list[Transaction]) -> dict[str, Any]:
    """A job is told when at most one before it is not done; registers are read when all are."""
    control = parameters.map.offsets["control"]
    waits: list[list[Any]] = []
    for number, transaction in enumerate(transactions):
        done = max(0, number + 1 - WAITING)
        waits += [["done", done if address == control else 0] for address in transaction["s_axil_aw"]]
    reads = sum(len(transaction.get("s_axil_ar", [])) for transaction in transactions)
    return {
        "s_axil_aw": waits,
        "s_axil_w": waits,
        "s_axil_ar": [["done", len(transactions)]] * reads,
    }


def memories(parameters: Parameters, transactions: list[Transaction]) -> list[dict[str, Any]]:
    """A memory for each port."""
    jobs = [_job(parameters, transaction) for transaction in transactions]
    held: dict[str, dict[int, int]] = {name: {} for name in parameters.operands}
    results: dict[int, int] = {}
    for job, transaction in zip(jobs, transactions, strict=True):
        for name, lines in _images(parameters, job, transaction).items():
            held[name] |= lines
        results |= _written(parameters, transaction)
    refused = {name: getattr(jobs[number % len(jobs)], name) for name, number in REFUSED.items()}

    def behind(name: str, port: Any, **lines: dict[int, int]) -> dict[str, Any]:
        first = refused.get(name, 0) * LINE_BYTES
        return memory(
            [f"m_axi_{name}"],
            address_bits=port.address_bits,
            data_bits=port.data_bits,
            id_bits=port.id_bits,
            errors=[[first, first + LINE_BYTES]] if name in refused else [],
            **{
                kind: [(address * LINE_BYTES, line) for address, line in each.items()]
                for kind, each in lines.items()
            },
        )

    return [
        *(behind(name, parameters.reader(name).port, words=held[name]) for name in parameters.operands),
        behind("d", parameters.writer.port, written=results),
    ]


def _cycles(parameters: Parameters, transactions: list[Transaction]) -> int:
    return machine_model.cycles(
        parameters,
        [_job(parameters, transaction) for transaction in transactions],
        words=len(transactions[0]["s_axil_aw"]),
        reads=sum(len(transaction.get("s_axil_ar", [])) for transaction in transactions),
        latency=PLAIN_LATENCY,
    )


UNIT = Unit(
    name="stc",
    sentence="The sparse tensor core on a bus: registers, GEMMs dense or 2:4 from memory to memory",
    presets=PRESETS,
    component=Machine,
    model=machine_model.Model,
    stimulus=stimulus,
    replay=replay,
    expected=expected,
    cycles=_cycles,
    latency=lambda parameters: {"cycles_per_pass": parameters.pass_cycles, "lines_per_clock": 1},
    memories=memories,
    after=after,
    register_map=lambda parameters: parameters.map,
)
