"""The memory behind the AXI ports of a unit: what it holds, when it answers, and the rules it watches.

The step model, Amaranth's simulator and cocotb meet this one class, as they meet `Drive`. Standard library
only; where a description names a device, its clocks come from `accelsim.dram`, or from those that were
recorded when they did. A memory is plain data (see `memory`), so that it can be written to a file.
"""

from __future__ import annotations

import hashlib

PLAIN_LATENCY = 12
"""Clocks from the one that takes an address to the first beat, where nothing is drawn."""
PAGE_BYTES = 4096
"""No burst crosses a multiple of it (AXI4, A3.4.1)."""
SLAVE_ERROR = 2


def memory(
    ports,
    *,
    address_bits,
    data_bits,
    id_bits,
    write_id_bits=None,
    words=(),
    written=(),
    errors=(),
    device=None,
):
    """One memory behind all `ports` (names of AXI ports, such as m_axi), which deal its addresses in turn.

    Granule g of the memory, of data_bits, is granule g // len(ports) of port g % len(ports). words: [address,
    beat] that it holds; elsewhere `content`. written: [address, beat] that it must hold at the end. errors:
    [first, end] of addresses that are answered with an error. device: None, or a name of `accelsim.dram`
    with changes of it and the clock: its banks then say when an access is done. id_bits: of reads, and of
    writes unless `write_id_bits` says otherwise.
    Added by whoever runs it: latency, clocks from address to data, burst by burst, over and over; ready and
    idle as of streams; interleaves: beats of several bursts come in turn, the earliest due first.
    """
    return {
        "ports": list(ports),
        "address_bits": address_bits,
        "data_bits": data_bits,
        "id_bits": id_bits,
        "write_id_bits": id_bits if write_id_bits is None else write_id_bits,
        "words": [list(word) for word in words],
        "written": [list(word) for word in written],
        "errors": [list(one) for one in errors],
        "device": device,
        "recorded": None,
        "latency": [PLAIN_LATENCY],
        "ready": "1",
        "idle": "0",
        "interleaves": False,
    }


def content(address, data_bits):
    """What a memory holds at an address that nobody wrote: noise, but always the same."""
    digest, noise = hashlib.sha256(str(address).encode()).digest(), b""
    while len(noise) * 8 < data_bits:
        noise += digest
    return int.from_bytes(noise, "little") & ((1 << data_bits) - 1)


class Burst:
    """One address that was taken. back: of each beat the clock from which it may be given, or None."""

    def __init__(self, port, identity, addresses, write):
        self.port, self.identity, self.addresses, self.write = port, identity, addresses, write
        self.back = [None] * len(addresses)
        self.given = 0

    def due(self, clock):
        """Whether the next beat, of a write the answer, may be given."""
        wanted = self.back[-1] if self.write else self.back[self.given]
        return wanted is not None and wanted <= clock


class Memory:
    """One memory of a scenario, from a reset on.

    `inputs` are what it drives in a clock, `sampled` what it is told of it. words: what it holds, by address.
    bursts: all that it was asked for, in order. broken: a line for each rule of AXI that the unit broke.
    life: how many resets there were; of a recorded memory each has its own record.
    """

    def __init__(self, description, columns, life=0):
        self.description, self.broken, self.bursts = description, [], []
        self.words = dict(description["words"])
        self.bytes = description["data_bits"] // 8
        self.timing = _timing(description, life)
        reads = [port for port in description["ports"] if f"{port}_ar_valid" in columns]
        writes = [port for port in description["ports"] if f"{port}_aw_valid" in columns]
        self.readers = [Reader(self, port, description["ports"].index(port)) for port in reads]
        self.writers = [Writer(self, port, description["ports"].index(port)) for port in writes]

    @property
    def drives(self):
        """Streams into the unit."""
        return [f"{one.port}_r" for one in self.readers] + [f"{one.port}_b" for one in self.writers]

    @property
    def takes(self):
        """Streams out of the unit."""
        return [f"{one.port}_ar" for one in self.readers] + [
            f"{one.port}_{channel}" for one in self.writers for channel in ("aw", "w")
        ]

    def inputs(self, clock):
        """What it drives in this clock."""
        self.timing.advance(clock)
        values = {}
        for one in self.readers + self.writers:
            values |= one.inputs(clock)
        return values

    def sampled(self, clock, row):
        """Take what the unit drives in this clock. Whether a beat passed."""
        passed = [one.sampled(clock, row) for one in self.readers + self.writers]
        return any(passed)

    def wrong_words(self):
        """A line for each word that must be there and is not."""
        return [
            f"memory at {address:#x} holds {self.words.get(address, 0):#x}, not {beat:#x}"
            for address, beat in self.description["written"]
            if self.words.get(address) != beat
        ]

    def bit(self, kind, clock):
        """A pattern's value."""
        bits = self.description[kind]
        return int(bits[clock % len(bits)])

    def known(self, clock, row, name):
        """What the unit drives there; of what is unknown a complaint, and zero."""
        if isinstance(row[name], int):
            return row[name]
        self.broken.append(f"clock {clock}: {name} is unknown where it is valid")
        return 0

    def asked(self, clock, port, payload, *, write):
        """The burst of a payload of `ar` or `aw`; it is offered to the memory from the next clock on."""
        description = self.description
        address = payload & ((1 << description["address_bits"]) - 1)
        payload >>= description["address_bits"]
        id_bits = description["write_id_bits" if write else "id_bits"]
        identity = payload & ((1 << id_bits) - 1)
        beats = (payload >> id_bits & 255) + 1
        if address % self.bytes:
            self.broken.append(f"clock {clock}: address {address:#x} is not a multiple of {self.bytes}")
        if address // PAGE_BYTES != (address + beats * self.bytes - 1) // PAGE_BYTES:
            self.broken.append(f"clock {clock}: {beats} beats from {address:#x} on cross 4 KiB")
        ports = len(description["ports"])
        first = address // self.bytes
        addresses = [((first + beat) * ports + port) * self.bytes for beat in range(beats)]
        burst = Burst(port, identity, addresses, write)
        self.bursts.append(burst)
        if not write:
            self.timing.offer(clock + 1, burst)
        return burst

    def read(self, address):
        """A beat, and whether it is an error."""
        beat = self.words.get(address)
        wrong = any(first <= address < end for first, end in self.description["errors"])
        return content(address, self.description["data_bits"]) if beat is None else beat, wrong

    def write(self, address, beat, strobes):
        """Bytes of a beat."""
        before, _ = self.read(address)
        mask = sum(255 << 8 * byte for byte in range(self.bytes) if strobes >> byte & 1)
        self.words[address] = before & ~mask | beat & mask


class Reader:
    """Addresses and data of one port."""

    def __init__(self, memory, port, number):
        self.memory, self.port, self.number = memory, port, number
        self.open = []
        self.current = self.offered = None

    def inputs(self, clock):
        memory = self.memory
        if self.offered is None and not memory.bit("idle", clock):
            self.offered = self._next(clock)
        return {
            f"{self.port}_ar_ready": memory.bit("ready", clock),
            f"{self.port}_r_valid": int(self.offered is not None),
            f"{self.port}_r_payload": self.offered or 0,
        }

    def sampled(self, clock, row):
        passed = False
        if self.offered is not None and row[f"{self.port}_r_ready"] == 1:
            self.offered, passed = None, True
        if row[f"{self.port}_ar_valid"] == 1 and self.memory.bit("ready", clock):
            payload = self.memory.known(clock, row, f"{self.port}_ar_payload")
            self.open.append(self.memory.asked(clock, self.number, payload, write=False))
            passed = True
        return passed

    def _next(self, clock):
        """The payload of the next beat, if one is due: bursts of one number stay in order."""
        if self.current is None or self.memory.description["interleaves"]:
            due, seen = [], set()
            for burst in self.open:
                if burst.identity not in seen and burst.due(clock):
                    due.append(burst)
                seen.add(burst.identity)
            self.current = min(due, key=lambda burst: burst.back[burst.given], default=None)
        burst = self.current
        if burst is None or not burst.due(clock):
            return None
        beat, wrong = self.memory.read(burst.addresses[burst.given])
        burst.given += 1
        last = burst.given == len(burst.addresses)
        if last:
            self.open.remove(burst)
            self.current = None
        description = self.memory.description
        above = burst.identity | (SLAVE_ERROR * wrong | last << 2) << description["id_bits"]
        return beat | above << description["data_bits"]


class Writer:
    """Addresses, data and answers of one port. Data may come before its address."""

    def __init__(self, memory, port, number):
        self.memory, self.port, self.number = memory, port, number
        self.open, self.beats, self.answers = [], [], []
        self.offered = None

    def inputs(self, clock):
        memory = self.memory
        if self.offered is None and not memory.bit("idle", clock):
            ready = next((burst for burst in self.answers if burst.due(clock)), None)
            older = {burst.identity for burst in self.answers[: self.answers.index(ready)]} if ready else ()
            if ready and ready.identity not in older:
                self.answers.remove(ready)
                wrong = any(memory.read(address)[1] for address in ready.addresses)
                self.offered = ready.identity | SLAVE_ERROR * wrong << memory.description["write_id_bits"]
        return {
            f"{self.port}_aw_ready": memory.bit("ready", clock),
            f"{self.port}_w_ready": memory.bit("ready", clock + 1),
            f"{self.port}_b_valid": int(self.offered is not None),
            f"{self.port}_b_payload": self.offered or 0,
        }

    def sampled(self, clock, row):
        memory, passed = self.memory, False
        if self.offered is not None and row[f"{self.port}_b_ready"] == 1:
            self.offered, passed = None, True
        if row[f"{self.port}_aw_valid"] == 1 and memory.bit("ready", clock):
            payload, passed = memory.known(clock, row, f"{self.port}_aw_payload"), True
            self.open.append(memory.asked(clock, self.number, payload, write=True))
        if row[f"{self.port}_w_valid"] == 1 and memory.bit("ready", clock + 1):
            self.beats.append(memory.known(clock, row, f"{self.port}_w_payload"))
            passed = True
        self._store(clock)
        return passed

    def _store(self, clock):
        """Beats whose address is there."""
        memory, bits = self.memory, self.memory.description["data_bits"]
        while self.open and self.beats:
            burst, payload = self.open[0], self.beats.pop(0)
            strobes = payload >> bits & ((1 << memory.bytes) - 1)
            memory.write(burst.addresses[burst.given], payload & ((1 << bits) - 1), strobes)
            burst.given += 1
            ends = burst.given == len(burst.addresses)
            if payload >> bits + memory.bytes & 1 != ends:
                where = f"beat {burst.given} of {len(burst.addresses)}"
                memory.broken.append(f"clock {clock}: {self.port}_w last is {int(not ends)} in {where}")
            if ends:
                memory.timing.offer(clock + 1, burst)
                self.answers.append(self.open.pop(0))


def _timing(description, life):
    if description["recorded"] is not None:
        return Recorded(description["recorded"][life])
    if description["device"] is not None:
        return Banks(description)
    return Drawn(description["latency"])


class Drawn:
    """Latencies that were drawn beforehand: a beat a clock of each burst behind its latency."""

    def __init__(self, latency):
        self.latency, self.count = latency, 0

    def offer(self, clock, burst):
        """A burst is on offer from this clock on."""
        first = clock - 1 + max(1, self.latency[self.count % len(self.latency)])
        burst.back = [first + (0 if burst.write else beat) for beat in range(len(burst.back))]
        self.count += 1

    def advance(self, clock):
        """Nothing is left to find out."""


class Recorded:
    """The clocks that another timing found for the same bursts in the same order."""

    def __init__(self, record):
        self.record = iter(record)

    def offer(self, clock, burst):
        """As of `Drawn`. Of a burst that was never asked for, nothing comes back."""
        burst.back = next(self.record, burst.back)

    def advance(self, clock):
        """Nothing is left to find out."""


class Banks:
    """The controller and the banks of a device, by `accelsim.dram`: accesses are its bursts."""

    def __init__(self, description):
        from accelsim.dram.clocked import ClockedMemory, described

        self.memory = ClockedMemory(described(description["device"]))
        self.access_bytes = self.memory.access_bytes
        self.waiting = {}

    def offer(self, clock, burst):
        """As of `Drawn`. Beats of one access come back together."""
        beats = {}
        for beat, address in enumerate(burst.addresses):
            beats.setdefault(address // self.access_bytes, []).append(beat)
        for access, found in beats.items():
            owner = self.memory.offer(clock, access * self.access_bytes, write=burst.write)
            self.waiting[owner] = burst, found

    def advance(self, clock):
        """Accesses that are back when this clock begins."""
        for owner in self.memory.advance(clock):
            burst, beats = self.waiting.pop(owner)
            for beat in beats:
                burst.back[beat] = clock
