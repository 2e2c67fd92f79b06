"""Drives one scenario into anything that has a clock, and keeps what came out.

The step model, Amaranth's simulator and cocotb are driven by this one class, so that a difference
between their rows is a difference between the designs. Standard library only.

A scenario is plain data (see `scenario`); a row is what the outputs of a unit are just before a clock edge.
"""

from __future__ import annotations

from .memory import Memory

Row = list  # of int, or None for a payload that is not valid, or "x" for an unknown value
DRAIN = 12
"""Clocks that are watched after the last expected beat: a beat too many is seen."""


def scenario(
    name,
    *,
    sources,
    expected,
    idle=None,
    ready=None,
    resets=(),
    junk=None,
    merged=None,
    patience=10_000,
    memories=(),
    after=None,
):
    """One run of a unit, from a synchronous reset on.

    sources: payloads of every input stream; expected: payloads of every output stream, both in order.
    idle: for an input stream a text of 0 and 1, used over and over: at 1 no new beat is offered.
    ready: the same for an output stream: at 1 a beat is taken. resets: clocks in which reset is high; the
    sources then begin anew. junk: what an input's payload is while it is not valid.
    merged: for an output stream that several sources share, [offset, bits] of the field of its payload that
    names the source: only the beats of one source have an order.
    patience: clocks without any beat after which a run is given up.
    memories: what is behind the AXI ports (`memory.memory`). after: of each beat of an input stream [stream,
    count]: it is offered only when so many beats of that other stream have passed.
    """
    return {
        "name": name,
        "sources": {stream: list(payloads) for stream, payloads in sources.items()},
        "expected": {stream: list(payloads) for stream, payloads in expected.items()},
        "idle": {stream: (idle or {}).get(stream, "0") for stream in sources},
        "ready": {stream: (ready or {}).get(stream, "1") for stream in expected},
        "resets": list(resets),
        "junk": {stream: (junk or {}).get(stream, 0) for stream in sources},
        "merged": {stream: list(field) for stream, field in (merged or {}).items()},
        "patience": patience,
        "memories": list(memories),
        "after": dict(after or {}),
    }


class Drive:
    """The sources and sinks of one scenario.

    While `running`: give `inputs()` to the unit, let it settle, hand the outputs to `sampled()`, clock it.
    `columns`: names of the outputs, in the order of a row; of a stream, `valid` comes before `payload`.
    `broken`: a line for every beat that was offered and did not stay until it was taken, for every rule that
    an AXI port broke, and for every word that a memory must hold at the end and does not.
    `records`: of each memory, from reset to reset, the clocks in which its bursts were back.
    """

    def __init__(self, scenario, columns):
        self.scenario, self.columns = scenario, list(columns)
        self.rows = []
        self.broken = []
        self.running = True
        self.clock = 0
        self.memories = []
        self.records = [[] for _ in scenario["memories"]]
        self._begin()

    def _begin(self):
        """What a reset does to the sources and sinks."""
        self.position = dict.fromkeys(self.scenario["sources"], 0)
        self.offered = dict.fromkeys(self.scenario["sources"], False)
        self.taken = {stream: [] for stream in self.scenario["expected"]}
        self._leave()
        life = len(self.records[0]) if self.records else 0
        self.memories = [Memory(each, self.columns, life) for each in self.scenario["memories"]]
        served = [stream for memory in self.memories for stream in memory.takes]
        self.held = dict.fromkeys([*self.scenario["expected"], *served])
        self.cycles = None
        self.started = self.clock
        self.last_beat = self.clock

    def inputs(self):
        """Values of all inputs of the unit in this clock, reset among them."""
        values = {"rst": int(self.clock in self.scenario["resets"])}
        for stream, payloads in self.scenario["sources"].items():
            # A beat that was offered stays until it is taken.
            if not self.offered[stream] and self.position[stream] < len(payloads) and self._may(stream):
                self.offered[stream] = not self._bit("idle", stream)
            values[f"{stream}_valid"] = int(self.offered[stream])
            values[f"{stream}_payload"] = (
                payloads[self.position[stream]] if self.offered[stream] else self.scenario["junk"][stream]
            )
        for stream in self.scenario["expected"]:
            values[f"{stream}_ready"] = self._bit("ready", stream)
        for memory in self.memories:
            values |= memory.inputs(self.clock - self.started)
        self.given = values
        return values

    def sampled(self, outputs):
        """Take the row that stands before the clock edge: `outputs` by name."""
        row = self._row(outputs)
        self.rows.append(list(row.values()))
        beat = False
        for stream in self.scenario["sources"]:
            if self.offered[stream] and row[f"{stream}_ready"] == 1:
                self.offered[stream] = False
                self.position[stream] += 1
                beat = True
        for stream, held in self.held.items():
            payload = row[f"{stream}_payload"]
            if held not in (None, payload):
                self.broken.append(
                    f"clock {self.clock}: {stream} offered {shown(held)}, then {shown(payload)}"
                )
            taken = payload is not None and self.given[f"{stream}_ready"]
            self.held[stream] = None if taken else payload
            if taken and stream in self.taken:
                self.taken[stream].append(payload)
                beat = True
        for memory in self.memories:
            beat |= memory.sampled(self.clock - self.started, row)
        reset = self.clock in self.scenario["resets"]
        self.clock += 1
        if reset:
            self._begin()
            return
        if beat:
            self.last_beat = self.clock
        self._end()

    def result(self):
        """What came out, as plain data."""
        return {"rows": self.rows, "taken": self.taken, "cycles": self.cycles, "broken": self.broken}

    def _end(self):
        expected = self.scenario["expected"]
        if self.cycles is None and all(len(self.taken[s]) >= len(expected[s]) for s in expected):
            self.cycles = self.clock - self.started
        exhausted = all(self.position[s] == len(p) for s, p in self.scenario["sources"].items())
        quiet = self.clock - self.last_beat
        finished = self.cycles is not None and exhausted and quiet >= DRAIN
        pending = any(self.clock <= clock for clock in self.scenario["resets"])
        self.running = pending or not (finished or quiet >= self.scenario["patience"])
        if not self.running:
            self.broken += [line for memory in self.memories for line in memory.wrong_words()]
            self._leave()

    def _leave(self):
        """What the memories found until a reset or the end."""
        for memory, record in zip(self.memories, self.records, strict=False):
            self.broken += memory.broken
            record.append([burst.back for burst in memory.bursts])

    def _may(self, stream):
        """Whether what the next beat of a source waits for has passed."""
        waits = self.scenario["after"].get(stream)
        if waits is None:
            return True
        other, count = waits[self.position[stream]]
        passed = len(self.taken[other]) if other in self.taken else self.position[other]
        return passed >= count

    def _bit(self, kind, stream):
        bits = self.scenario[kind][stream]
        return int(bits[self.clock % len(bits)])

    def _row(self, outputs):
        """The outputs by name; a payload that is not valid is None."""
        row = {}
        for name in self.columns:
            stream, _, part = name.rpartition("_")
            idle = part == "payload" and row[f"{stream}_valid"] != 1
            row[name] = None if idle else outputs[name]
        return row


def replay(model, drive):
    """Run a step model: `step(inputs)` gives the row and clocks it, `reset()` is the edge of a reset."""
    while drive.running:
        inputs = drive.inputs()
        row = model.step(inputs)
        if inputs["rst"]:
            model.reset()
        drive.sampled(row)


def differences(columns, expected, found):
    """One line for every row that is not as expected, in order."""
    lines = []
    for clock, (right, row) in enumerate(zip(expected, found, strict=False)):
        wrong = [
            f"{name} is {shown(value)}, not {shown(wanted)}"
            for name, wanted, value in zip(columns, right, row, strict=False)
            if wanted != value and not (name.endswith("_payload") and wanted is None)
        ]
        if wrong:
            lines.append(f"clock {clock}: {', '.join(wrong)}")
    if len(expected) != len(found):
        lines.append(f"{len(found)} clocks, not {len(expected)}")
    return lines


def wrong_beats(expected, taken, merged=None):
    """One line for every output beat that is not the expected one, in order; `merged` as in a scenario."""
    lines = []
    for stream, payloads in expected.items():
        field = (merged or {}).get(stream, (0, 0))
        payloads, beats = _by_source(payloads, *field), _by_source(taken[stream], *field)
        lines += [
            f"{stream} beat {number} is {shown(value)}, not {shown(wanted)}"
            for number, (wanted, value) in enumerate(zip(payloads, beats, strict=False))
            if wanted != value
        ]
        if len(beats) != len(payloads):
            lines.append(f"{stream} gave {len(beats)} beats, not {len(payloads)}")
    return lines


def _by_source(payloads, offset, bits):
    """Source by source, if the stream has several: those of one stay in order."""
    return sorted(payloads, key=lambda payload: payload >> offset & ((1 << bits) - 1)) if bits else payloads


def shown(value):
    """A value as text: payloads in hexadecimal."""
    return f"0x{value:x}" if isinstance(value, int) and value > 1 else str(value)
