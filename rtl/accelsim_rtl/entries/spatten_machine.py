"""`spatten` for the kit: layers as a driver runs them, and what golden says that memory holds then."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.golden.attention import accumulated, head_importance
from accelsim.golden.integer_attention import LayerResult, attend
from accelsim.units import spatten as unit
from accelsim.units.spatten import Machine as Parameters
from accelsim.units.step import pack
from accelsim.workload import Workload
from accelsim_rtl.bench.memory import memory
from accelsim_rtl.entries.register_writes import write
from accelsim_rtl.entries.spatten_layers import Asked, Room, asked_of, drawn, transaction
from accelsim_rtl.entries.spatten_slices import slices
from accelsim_rtl.kit.replay import Replayed
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.spatten import Machine

LAYERS = 2
COUNTERS = ("bursts", "rows", "again", "lines", "values", "written", "errors")
"""That are read behind each layer; how long it took is what the rows are compared for."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Layers of drawn shapes; behind each the driver reads what there is to be read."""
    room = Room(parameters)
    return [
        _read(parameters, transaction(parameters, drawn(parameters, number, generator), room))
        for number in range(LAYERS)
    ]


def replay(parameters: Parameters, workload: Workload, generator: np.random.Generator) -> Replayed:
    """Slices of the layers of a workload."""
    layers, sentence = slices(parameters, workload, generator)
    room = Room(parameters)
    return Replayed(
        transactions=[_read(parameters, transaction(parameters, layer, room)) for layer in layers],
        sentence=sentence,
    )


def _read(parameters: Parameters, layer: Transaction) -> Transaction:
    names = ("status", *(f"count_{name}" for name in COUNTERS))
    return layer | {"s_axil_ar": [parameters.map.offsets[name] for name in names]}


def golden(parameters: Parameters, asked: Asked) -> LayerResult:
    """The layer by golden attention."""
    fields, one = asked.fields, parameters.head.form.one
    form = parameters.head.attention(
        lsb_bits=fields["score_ignored"], threshold=fields["score_threshold"] / one
    )
    return attend(asked.operands, form, fields["layer_values"] / len(asked.tokens), asked.valid)


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Answers of the bus, and counters that grow from layer to layer; what is written: see `memories`."""
    found: dict[str, list[int]] = {name: [] for name in ("done", "s_axil_b", "s_axil_r")}
    counted = dict.fromkeys(COUNTERS, 0)
    for each in transactions:
        asked = asked_of(parameters, each)
        result = golden(parameters, asked)
        errors = _errors(parameters, each, asked)
        for name, count in (_counts(parameters, asked, result) | {"errors": errors}).items():
            counted[name] += count
        found["done"].append(int(errors > 0))
        found["s_axil_b"] += [0] * len(each["s_axil_aw"])
        tokens = len(asked.tokens)
        shown = {"tokens": tokens, "heads": len(asked.heads), "failed": int(errors > 0)}
        ((_, status),) = write(parameters.map, "status", **shown)
        found["s_axil_r"] += [status, *(counted[name] for name in COUNTERS)]
    return found


def _counts(parameters: Parameters, asked: Asked, result: LayerResult) -> dict[str, int]:
    """What a layer adds to the counters."""
    fields, tokens, heads = asked.fields, len(asked.tokens), len(asked.heads)
    rows, again = heads * fields["layer_queries"], int(result.refetch.sum())
    beats = {kind: fields[f"{kind}_record_beats"] for kind in ("query", "key", "value", "least")}
    kept = rows * fields["layer_values"] if fields["layer_streamed"] else heads * tokens
    wanting = int(result.refetch.any(axis=1).sum())
    key_lines = -(-(tokens << fields["vectors_level"]) // parameters.head.multipliers)
    value_lines = -(-(fields["layer_values"] << fields["vectors_value_level"]) // parameters.head.multipliers)
    return {
        "bursts": rows * beats["query"]
        + heads * tokens * beats["key"]
        + kept * beats["value"]
        + wanting * tokens * beats["least"],
        "rows": rows + again,
        "again": again,
        "lines": (rows + again) * key_lines,
        "values": rows * value_lines,
        "written": rows * parameters.row_beats(fields["vectors_value_level"])
        + heads
        + parameters.sum_beats(tokens),
    }


def _errors(parameters: Parameters, each: Transaction, asked: Asked) -> int:
    """Beats that come with an error: those of K of a kept token, once for each head that uses them."""
    fields, found = asked.fields, 0
    for _, stored in asked.heads:
        for token in asked.tokens:
            first = (
                fields["key_base"] + stored * fields["key_head_stride"] + token * fields["key_record_beats"]
            )
            beats = range(first, first + fields["key_record_beats"])
            found += sum(beat * parameters.beat_bits // 8 in each["errors"] for beat in beats)
    return found


def written(parameters: Parameters, asked: Asked) -> dict[int, int]:
    """What a layer leaves in memory: outputs, importance of tokens and of heads, by address."""
    result, fields = golden(parameters, asked), asked.fields
    words: dict[int, int] = {}

    def put(address: int, numbers: list[int], bits: int) -> None:
        many = parameters.beat_bits // bits
        for first in range(0, len(numbers), many):
            beat = pack([number & (1 << bits) - 1 for number in numbers[first : first + many]], bits)
            words[address + first // many * parameters.beat_bits // 8] = beat

    heads, queries, dim = result.outputs.shape
    pitch = parameters.row_beats(fields["vectors_value_level"]) * parameters.beat_bits // 8
    padding = [0] * ((1 << fields["vectors_value_level"]) - dim)
    for number, outputs in enumerate(result.outputs.reshape(heads * queries, dim).tolist()):
        put(fields["outputs_address"] + number * pitch, outputs + padding, parameters.output_word_bits)
    sums = np.zeros(len(asked.tokens), np.int64)
    for row in result.probabilities.reshape(heads * queries, -1):
        sums = accumulated(sums, row, parameters.head.importance_bits)
    put(fields["importance_address"], [int(one) for one in sums], parameters.sum_word_bits)
    magnitudes = head_importance(np.zeros(heads, np.int64), result.outputs)
    put(fields["magnitudes_address"], magnitudes.tolist(), parameters.beat_bits)
    return words


def after(parameters: Parameters, transactions: list[Transaction]) -> dict[str, Any]:
    """A word waits for the answer to the one before; reads wait for the layer, and the next one for them."""
    waits: dict[str, list[list[Any]]] = {"s_axil_aw": [], "s_axil_w": [], "s_axil_ar": []}
    answers = reads = 0
    for number, each in enumerate(transactions):
        waiting: list[Any] = ["s_axil_r", reads]
        for _ in each["s_axil_aw"]:
            waits["s_axil_aw"].append(waiting)
            waits["s_axil_w"].append(waiting)
            answers += 1
            waiting = ["s_axil_b", answers]
        waits["s_axil_ar"] += [["done", number + 1]] * len(each["s_axil_ar"])
        reads += len(each["s_axil_ar"])
    return waits


def memories(parameters: Parameters, transactions: list[Transaction]) -> list[dict[str, Any]]:
    """One memory to read from, another that results must stand in."""
    source, target, bits = parameters.fetcher.port, parameters.writer.port, parameters.beat_bits
    words = [(word >> bits, word & (1 << bits) - 1) for each in transactions for word in each["memory"]]
    results: dict[int, int] = {}
    for each in transactions:
        results |= written(parameters, asked_of(parameters, each))
    return [
        memory(
            [f"m_axi_{channel}" for channel in range(parameters.channels)],
            address_bits=source.address_bits,
            data_bits=source.data_bits,
            id_bits=source.id_bits,
            words=words,
            errors=[(first, first + bits // 8) for each in transactions for first in each["errors"]],
            device=parameters.memory,
        ),
        memory(
            ["m_axi_out"],
            address_bits=target.address_bits,
            data_bits=target.data_bits,
            id_bits=target.id_bits,
            written=results.items(),
        ),
    ]


UNIT = Unit(
    name="spatten",
    sentence="SpAtten on a bus: attention of a layer from memory to memory, with pruning and re-fetched LSBs",
    presets=unit.PRESETS,
    component=Machine,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    # A driver's steps have no closed form; rows and beats are compared all the same.
    cycles=lambda parameters, transactions: 0,
    took=lambda drive: 0,
    latency=lambda parameters: parameters.head.latencies,
    replay=replay,
    memories=memories,
    after=after,
    register_map=lambda parameters: parameters.map,
    targets=("ecp5",),
)
