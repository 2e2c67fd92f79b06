"""What a bench runs for one seed: the unit's stimulus under several patterns of idling and back-pressure.

The rows that are right come from the step model, the beats from golden; here the two are compared as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from accelsim_rtl.bench.drive import Drive, replay, scenario, wrong_beats
from accelsim_rtl.kit.ports import Port, columns, streams
from accelsim_rtl.kit.replay import UnfitError
from accelsim_rtl.kit.unit import Transaction, Unit

PATTERN_CLOCKS = 251
"""Length of a random pattern: prime, so that it does not fall into step with the stimulus."""
RATES = (0.1, 0.5, 0.9)
BURSTS = (1, 4, 40)
STALL_CLOCKS = 64
"""Long enough to fill or empty the buffers of most units."""
LATENCIES = 61
"""Of a drawn memory: a prime number of them, up to LONGEST_LATENCY each."""
LONGEST_LATENCY = 40


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """All scenarios of a seed. `complaints`: where the step model is not as golden or `cycles` say.

    replayed: what of a workload the transactions are; None where they were drawn.
    """

    seed: int
    transactions: list[Transaction]
    scenarios: list[dict[str, Any]]
    complaints: list[str]
    replayed: str | None = None

    @property
    def cycles(self) -> int | None:
        """Cycles of the step model over all scenarios; None if one did not end."""
        return total(scenario["cycles"] for scenario in self.scenarios)


def prepare(unit: Unit, parameters: Any, found: list[Port], seed: int, workload: Any = None) -> Prepared:
    """The scenarios of a seed, with the rows and cycles of the step model.

    workload: what to replay in place of the unit's own stimulus. Raises UnfitError.
    """
    generator = np.random.default_rng(seed)
    transactions, replayed = _work(unit, parameters, generator, workload)
    expected = unit.expected(parameters, transactions)
    scenarios = _scenarios(unit, parameters, found, transactions, expected, generator)
    names, complaints = columns(found), []
    for number, each in enumerate(scenarios):
        if each["name"].endswith("reset"):
            # In mid-stream: within what the run before took.
            end = max(2, scenarios[0]["cycles"] or 2)
            each["resets"] = sorted({int(clock) for clock in generator.integers(1, end, size=2)})
        drive = Drive(each, names)
        replay(unit.model(parameters), drive)
        each["records"] = drive.records
        each["rows"], each["cycles"] = drive.rows, drive.cycles
        lines = wrong_beats(expected, drive.taken, each["merged"]) + drive.broken
        complaints += [f"{each['name']}: model: {line}" for line in lines]
        if number == 0 and (took := unit.took(drive)) != (fast := unit.cycles(parameters, transactions)):
            complaints.append(f"{each['name']}: cycles() says {fast}, the model takes {took}")
    return Prepared(
        seed=seed,
        transactions=transactions,
        scenarios=scenarios,
        complaints=complaints,
        replayed=replayed,
    )


def _work(unit, parameters, generator, workload) -> tuple[list[Transaction], str | None]:
    if workload is None:
        return unit.stimulus(parameters, generator), None
    if unit.replay is None:
        raise UnfitError(f"no workload holds work for {unit.name}: verify it without --workload")
    work = unit.replay(parameters, workload, generator)
    return work.transactions, work.sentence


def _scenarios(unit, parameters, found, transactions, expected, generator) -> list[dict[str, Any]]:
    memories = unit.memories(parameters, transactions)
    served = tuple(f"{port}_" for memory in memories for port in memory["ports"])
    sources = {
        stream: [payload for transaction in transactions for payload in transaction.get(stream, [])]
        for stream in streams(found, "input")
        if not stream.startswith(served)
    }
    widths = {port.stream: port.width for port in found if port.name.endswith("_payload")}
    kinds = {
        "plain": (["never"], ["always"]),
        "random": (["random"], ["random"]),
        "bursts": (["never", "random", "bursts", "stalls"], ["always", "random", "bursts", "stalls"]),
        "reset": (["never", "random", "bursts"], ["always", "random", "bursts"]),
    }
    after = unit.after(parameters, transactions)
    return [
        scenario(
            name,
            sources=sources,
            expected=expected,
            idle={stream: pattern(generator, str(generator.choice(idle))) for stream in sources},
            ready={stream: pattern(generator, str(generator.choice(ready))) for stream in expected},
            junk={
                stream: int.from_bytes(generator.bytes(-(-widths[stream] // 8)), "little")
                & ((1 << widths[stream]) - 1)
                for stream in sources
            },
            merged=unit.merged(parameters),
            patience=unit.patience,
            memories=[_behaving(each, name, idle, ready, generator) for each in memories],
            after=after,
        )
        for name, (idle, ready) in kinds.items()
    ]


def _behaving(memory, name, idle, ready, generator) -> dict[str, Any]:
    """A memory that answers as a scenario has it: at once and in order, or when and as it likes."""
    if memory["device"] is not None or name == "plain":
        return memory
    return memory | {
        "latency": generator.integers(1, generator.choice([3, LONGEST_LATENCY]), LATENCIES).tolist(),
        "ready": pattern(generator, str(generator.choice(ready))),
        "idle": pattern(generator, str(generator.choice(idle))),
        "interleaves": bool(generator.integers(2)),
    }


def pattern(generator: np.random.Generator, kind: str) -> str:
    """A text of 0 and 1: `never`, `always`, `random` at a random rate, `bursts` of random lengths, `stalls`.

    1 is ready for a sink and idle for a source.
    """
    if kind in ("never", "always"):
        return "01"[kind == "always"]
    if kind == "stalls":
        return "0" * STALL_CLOCKS + "1" * STALL_CLOCKS
    if kind == "random":
        drawn = generator.random(PATTERN_CLOCKS) < generator.choice(RATES)
        # Both values occur, so that no pattern is for ever.
        return "".join("01"[int(bit)] for bit in drawn) + "01"
    text = ""
    while len(text) < PATTERN_CLOCKS:
        longest = int(generator.choice(BURSTS))
        text += "".join(bit * int(generator.integers(1, longest + 1)) for bit in "01")
    return text


def total(cycles) -> int | None:
    """A sum that is None if a part of it is."""
    parts = list(cycles)
    return None if None in parts else sum(parts)
