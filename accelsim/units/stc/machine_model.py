"""The machine `stc` clock by clock, and its time at once: registers, masters and what is between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accelsim.golden.fragments import COLUMNS, ROWS
from accelsim.units import fifo, read_master, write_master
from accelsim.units.axi import Transfer, pack_transfer
from accelsim.units.registers import Slave
from accelsim.units.stc import gemm
from accelsim.units.stc.gemm import LINE_BITS, LINE_BYTES, WORDS_OF_A_LINE, Job, pack_job
from accelsim.units.stc.machine import FAILED, UNDEFINED, Machine, job_of
from accelsim.units.step import Row

SOURCES = {"r": ("valid", "payload"), "b": ("valid", "payload")}
"""Channels of a port that the memory fills; of them it sees `ready`."""
CHANNELS = {name: ("aw", "w", "b") if name == "d" else ("ar", "r") for name in ("a", "b", "codes", "d")}
BUS_INPUTS = {
    name: {
        f"m_axi_{name}_{channel}_{part}": f"m_axi_{channel}_{part}"
        for channel in channels
        for part in SOURCES.get(channel, ("ready",))
    }
    for name, channels in CHANNELS.items()
}
"""Of a master's inputs, their names at the machine and at the master; BUS_OUTPUTS the other way round."""
BUS_OUTPUTS = {
    name: {
        f"m_axi_{channel}_{part}": f"m_axi_{name}_{channel}_{part}"
        for channel in channels
        for part in (("ready",) if channel in SOURCES else ("valid", "payload"))
    }
    for name, channels in CHANNELS.items()
}


class Model:
    """The machine clock by clock: the models of its units, and what is between them.

    Streams: s_axil, m_axi_a, m_axi_b, m_axi_codes, m_axi_d; `done` out, a beat a job. Probes as of the GEMM.
    """

    def __init__(self, parameters: Machine) -> None:
        self.parameters = parameters
        self._port = parameters.port
        self.reset()

    def reset(self) -> None:
        """No job, nothing under way."""
        parameters = self.parameters
        self._slave = Slave(parameters.map)
        self._gemm = gemm.Model(parameters)
        self._readers = {name: read_master.Model(parameters.reader(name)) for name in parameters.operands}
        self._buffer = fifo.Model(parameters.buffer)
        self._writer = write_master.Model(parameters.writer)
        self._place = dict.fromkeys((*parameters.operands, "d"), 0)
        self._pending: Job | None = None
        self._busy = self._failed = False
        self._unanswered = 0
        self._done: int | None = None

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        core = self._gemm.shown()
        row: Row = {"running": core["running"], "undefined": core["undefined"]}
        inner: Row = {}
        wrong, counts = False, []
        for name in self.parameters.operands:
            read = self._read(name, core, inputs, row, inner)
            if read["beats_valid"] and core[f"{name}_lines_ready"]:
                counts.append(f"count_read_{name}_value")
                wrong |= bool(read["beats_payload"] >> LINE_BITS & 1)
        written = self._write(core, inputs, row, inner)
        wrong |= bool(written["done_valid"] and written["done_payload"])
        if row["m_axi_d_w_valid"] and inputs["m_axi_d_w_ready"]:
            counts.append("count_written_value")

        # A job begins when the one before it has ended: all its lines are written, and answered.
        begins = self._pending is not None and not self._busy
        if begins and self._pending is not None:
            inner |= {"jobs_valid": 1, "jobs_payload": pack_job(self.parameters, self._pending)}
        free = self._done is None or bool(inputs["done_ready"])
        ends = self._busy and bool(core["jobs_ready"]) and self._unanswered == 0 and free
        row |= {"done_valid": int(self._done is not None), "done_payload": self._done or 0}
        asked = core["writes_valid"] and inner["writes_ready"] and self._place["d"] == 0
        if core["writes_valid"] and inner["writes_ready"]:
            self._place["d"] = (self._place["d"] + 1) % self.parameters.together("d")
        self._unanswered += int(asked) - written["done_valid"]
        row |= self._registers(inputs, core, begins, ends, counts)
        self._gemm.step({"jobs_valid": 0, "jobs_payload": 0} | inner)

        if free:
            self._done = FAILED * self._failed | UNDEFINED * core["undefined"] if ends else None
        self._failed = not begins and (self._failed or wrong)
        self._busy = begins or (self._busy and not ends)
        return row

    def _read(self, name: str, core: Row, inputs: Mapping[str, int], row: Row, inner: Row) -> Row:
        """A port's clock: of lines that follow each other the first asks for all."""
        reader, lines = self._readers[name], self.parameters.together(name)
        first, offers = self._place[name] == 0, core[f"{name}_reads_valid"]
        transfer = Transfer(core[f"{name}_reads_payload"] * LINE_BYTES, lines)
        read = reader.step(
            _renamed(inputs, BUS_INPUTS[name])
            | {
                "requests_valid": int(offers and first),
                "requests_payload": pack_transfer(self._port, transfer),
                "beats_ready": core[f"{name}_lines_ready"],
            }
        )
        taken = not first or bool(read["requests_ready"])
        if offers and taken:
            self._place[name] = (self._place[name] + 1) % lines
        row |= _renamed(read, BUS_OUTPUTS[name])
        inner[f"{name}_reads_ready"] = int(taken)
        inner[f"{name}_lines_valid"] = read["beats_valid"]
        inner[f"{name}_lines_payload"] = read["beats_payload"] & (1 << LINE_BITS) - 1
        return read

    def _write(self, core: Row, inputs: Mapping[str, int], row: Row, inner: Row) -> Row:
        """The clock of the port of D."""
        waiting = self._buffer.shown()
        address, line = divmod(core["writes_payload"], 1 << LINE_BITS)
        first, offers = self._place["d"] == 0, core["writes_valid"] and waiting["entering_ready"]
        transfer = Transfer(address * LINE_BYTES, self.parameters.together("d"))
        written = self._writer.step(
            _renamed(inputs, BUS_INPUTS["d"])
            | {
                "requests_valid": int(offers and first),
                "requests_payload": pack_transfer(self._port, transfer),
                "beats_valid": waiting["leaving_valid"],
                "beats_payload": waiting["leaving_payload"],
                "done_ready": 1,
            }
        )
        inner["writes_ready"] = int(waiting["entering_ready"] and (not first or written["requests_ready"]))
        self._buffer.step(
            {
                "entering_valid": int(core["writes_valid"] and inner["writes_ready"]),
                "entering_payload": line,
                "leaving_ready": written["beats_ready"],
            }
        )
        row |= _renamed(written, BUS_OUTPUTS["d"])
        return written

    def _registers(
        self, inputs: Mapping[str, int], core: Row, begins: bool, ends: bool, counts: list[str]
    ) -> Row:
        """The slave's clock, and the job that its pulse leaves."""
        slave = self._slave
        shown = {
            "status_pending": int(self._pending is not None),
            "status_running": int(self._busy),
            "status_failed": int(self._failed),
            "status_undefined": core["undefined"],
        }
        counts += ["count_multiplying_value"] if core["running"] else []
        counts += ["count_busy_value"] if self._busy else []
        counts += ["count_jobs_value"] if ends else []
        counts += ["count_failed_value"] if ends and self._failed else []
        told = job_of(slave.values) if "control_begin" in slave.pulses else None
        bus = slave.step(inputs, shown, counts)
        if self._pending is None:
            self._pending = told
        elif begins:
            self._pending = None
        return bus


def _renamed(row: Mapping[str, int], names: Mapping[str, str]) -> Row:
    """The entries of `names`, by their new names."""
    return {new: row[old] for old, new in names.items()}


def cycles(parameters: Machine, jobs: Sequence[Job], words: int, reads: int, latency: int) -> int:
    """Clocks from the first register written to the last one read, `reads` of them after all jobs.

    words: of the registers of a job. latency: as of the masters' own `cycles`. Nobody waits; job by job:
    the first pass's lines of A; passes; the last step's results, from the first one on their way to memory
    and the answer to the last; a clock between each of these. The next job begins with the `done` of the one
    before.
    """
    a, d = parameters.reader("a"), parameters.writer
    loads = read_master.cycles(a, [Transfer(row * LINE_BYTES, 1) for row in range(ROWS)], latency)
    lines = parameters.together("d")
    bursts = [Transfer(0, lines)] * (ROWS * COLUMNS // WORDS_OF_A_LINE // lines)
    writes = write_master.cycles(d, bursts, latency)
    total = words + reads + 3
    for job in jobs:
        passes = job.row_tiles * job.column_tiles * job.passes
        total += loads + 3 + passes * parameters.pass_cycles - parameters.places
        total += parameters.latency_cycles + writes
    return total
