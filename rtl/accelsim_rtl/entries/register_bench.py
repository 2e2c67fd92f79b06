"""`axi.registers` for the kit: writes, reads and events one after the other, and many writes back to back."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.units import register_bench as unit
from accelsim.units.register_bench import EVENT_BITS
from accelsim.units.register_bench import RegisterBench as Parameters
from accelsim.units.registers import WORD_BITS, WORD_BYTES
from accelsim_rtl.axi.register_bench import RegisterBench
from accelsim_rtl.kit.unit import Transaction, Unit

GROUPS = 60
MOST_BEATS = 4
ANSWERS = {"s_axil_aw": "s_axil_b", "s_axil_ar": "s_axil_r", "events": "events"}


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Groups of writes, reads or events; first every word is read, last one is, some are beyond the end."""
    # A word beyond the last, if the address reaches one.
    words = min(len(parameters.map.words) + 1, 1 << parameters.map.address_bits - 2)
    groups = [_group("s_axil_ar", [4 * word for word in range(words)], generator)]
    for _ in range(GROUPS):
        stream = str(generator.choice(list(ANSWERS)))
        count = int(generator.integers(1, MOST_BEATS + 1))
        beats = 4 * generator.integers(0, words, count)
        if stream == "events":
            beats = generator.integers(0, 1 << EVENT_BITS, count)
        groups.append(_group(stream, [int(beat) for beat in beats], generator))
    return [*groups, _group("s_axil_ar", [0], generator)]


def _group(stream: str, beats: list[int], generator: np.random.Generator) -> Transaction:
    if stream != "s_axil_aw":
        return {stream: beats}
    drawn = [int(generator.integers(1 << WORD_BITS)) for _ in beats]
    strobes = [int(generator.choice([15, 15, generator.integers(1 << WORD_BYTES)])) for _ in beats]
    return {
        stream: beats,
        "s_axil_w": [word | strobe << WORD_BITS for word, strobe in zip(drawn, strobes, strict=True)],
    }


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Registers as numbers that are read and written whole: what a driver believes."""
    words = [0] * len(parameters.map.words)
    kinds: list[dict[str, int]] = [{} for _ in words]
    for word, parts in enumerate(parameters.map.words):
        for part in parts:
            ones = ((1 << part.bits) - 1) << part.place
            kinds[word][part.field.access] = kinds[word].get(part.field.access, 0) | ones
            words[word] |= part.field.reset >> part.first << part.place & ones
    status, event, seen = parameters.map.offsets["status"] // 4, 0, 0
    events = parameters.map.offsets["events"] // 4
    answers: dict[str, list[int]] = {"s_axil_b": [], "s_axil_r": []}
    for transaction in transactions:
        for beat in transaction.get("events", []):
            event, seen = beat, (seen + 1) % (1 << parameters.count_bits)
        for address, payload in zip(
            transaction.get("s_axil_aw", []), transaction.get("s_axil_w", []), strict=True
        ):
            word = address // 4
            answers["s_axil_b"].append(2 * (word >= len(words)))
            if word < len(words):
                written = "".join("ff" if payload >> WORD_BITS + byte & 1 else "00" for byte in (3, 2, 1, 0))
                mask = int(written, 16) & kinds[word].get("rw", 0)
                words[word] = words[word] & ~mask | payload & mask
                seen = 0 if "counter" in kinds[word] else seen
        for address in transaction.get("s_axil_ar", []):
            shown = dict(enumerate(words)) | {status: event, events: seen % (1 << WORD_BITS)}
            if parameters.count_bits > WORD_BITS:
                shown[events + 1] = seen >> WORD_BITS
            answers["s_axil_r"].append(shown.get(address // 4, 2 << WORD_BITS))
    return answers


def after(parameters: Parameters, transactions: list[Transaction]) -> dict[str, Any]:
    """Each group waits for all answers to the one before."""
    waits: dict[str, list[list[Any]]] = {}
    answered, before = dict.fromkeys(ANSWERS.values(), 0), ["events", 0]
    for transaction in transactions:
        for stream, beats in transaction.items():
            waits.setdefault(stream, []).extend([before] * len(beats))
        first = next(iter(transaction))
        answered[ANSWERS[first]] += len(transaction[first])
        before = [ANSWERS[first], answered[ANSWERS[first]]]
    return waits


UNIT = Unit(
    name="axi.registers",
    sentence="AXI4-Lite registers from one description: settings, pulses, status and counters",
    presets=unit.PRESETS,
    component=RegisterBench,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        [(stream := next(iter(each)), len(each[stream])) for each in transactions]
    ),
    latency=lambda parameters: {"latency_cycles": 1, "reads_per_clock": 1, "writes_per_clock": 1},
    after=after,
    register_map=lambda parameters: parameters.map,
)
