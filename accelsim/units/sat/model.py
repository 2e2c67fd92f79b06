"""The machine `sat` clock by clock: its controller and its masters around the two engines."""

from __future__ import annotations

from collections.abc import Mapping

from accelsim.units import read_master, write_master
from accelsim.units.axi import Transfer as BusTransfer
from accelsim.units.axi import pack_transfer
from accelsim.units.registers import Slave
from accelsim.units.sat.engine import Arrival, Request, Transfer
from accelsim.units.sat.jobs import Product, unpack_job
from accelsim.units.sat.machine import JOB_BITS, Machine
from accelsim.units.sat.products import Products
from accelsim.units.sat.updates import Updates
from accelsim.units.step import Row, pack

BUS = "m_axi_"


class Model:
    """Streams: s_axil (registers), m_axi (memory), `done` out: of each job whether memory failed.

    Probes: state, of the controller; works: the array neither waits for operands nor for room; infinite, of
    WUVE. A job ends when all that it wrote has been answered, so that the next one may read it.
    """

    def __init__(self, parameters: Machine) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No job."""
        parameters = self.parameters
        self._slave = Slave(parameters.map)
        self._reader = read_master.Model(parameters.reader)
        self._writer = write_master.Model(parameters.writer)
        self._products, self._updates = Products(parameters), Updates(parameters)
        self._engine: Products | Updates = self._products
        self._state, self._next, self._left = "idle", 0, 0
        self._words: list[int] = []
        self._targets: list[int] = []
        self._unanswered, self._failed = 0, False

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        engine, state = self._engine, self._state
        infinite = self._updates.infinite
        running = state == "run"
        finished = running and engine.is_written and not self._unanswered

        # Memory: what is asked for, what comes, what goes.
        request = self._request()
        asks = None if request is None else self._transfer(request.transfer)
        read = self._reader.step({**inputs, **_offer("requests", asks), "beats_ready": 1})
        asked = request is not None and bool(read["requests_ready"])
        arrival, wrong = self._arrival(read)
        target = engine.write_request if running else None
        goes = None if target is None else self._transfer(target)
        line = engine.line
        written = self._writer.step(
            {**inputs, **_offer("requests", goes), **_offer("beats", line), "done_ready": 1}
        )
        row = {
            name: value
            for source in (read, written)
            for name, value in source.items()
            if name.startswith(BUS)
        }
        requests = target is not None and bool(written["requests_ready"])
        sends = line is not None and bool(written["beats_ready"])

        # The engines; of the other one nothing is wanted.
        own = {"arrival": arrival if running else None, "asked": asked and running}
        own |= {"sends": sends, "requests": requests}
        none = {"arrival": None, "asked": False, "sends": False, "requests": False}
        found = self._products.step(**(own if engine is self._products else none))
        self._updates.step(**(own if engine is self._updates else none))
        row |= {
            "done_valid": int(state == "done"),
            "done_payload": int(self._failed),
            "state": STATES.index(state),
            "works": found["works"],
            "infinite": infinite,
        }
        failed = wrong or bool(written["done_valid"] and written["done_payload"])
        takes_done = bool(row["done_valid"] and inputs["done_ready"])
        counts = {
            "jobs": takes_done,
            "errors": failed,
            "folds": found["folds"],
            "works": found["works"],
            "busy": state != "idle",
        }
        starts = "control_start" in self._slave.pulses
        settings = dict(self._slave.values)
        row |= self._slave.step(
            inputs,
            {"status_busy": int(state != "idle"), "status_infinite": infinite},
            [f"count_{name}_value" for name, counted in counts.items() if counted],
        )

        # The clock edge.
        if asked and running and request is not None:
            self._targets.append(request.target)
        if arrival is not None and arrival.last and running:
            self._targets.pop(0)
        self._unanswered += requests - written["done_valid"]
        self._failed |= failed and state != "done"
        if state == "idle" and starts and settings["jobs_count"]:
            self._state, self._next, self._left = "ask", settings["list_line"], settings["jobs_count"]
        self._control(asked, arrival, finished, takes_done)
        return row

    def _request(self) -> Request | None:
        if self._state == "ask":
            return Request(0, Transfer(self._next, self.parameters.job_lines))
        return self._engine.request if self._state == "run" else None

    def _transfer(self, transfer: Transfer) -> int:
        """Payload of a master's requests."""
        port = self.parameters.reader.port
        mask = (1 << self.parameters.line_address_bits) - 1
        address = (transfer.first & mask) * self.parameters.line_bytes
        return pack_transfer(port, BusTransfer(address, transfer.lines))

    def _arrival(self, read: Row) -> tuple[Arrival | None, bool]:
        """A line that memory gives, and whether it came with an error."""
        if not read["beats_valid"]:
            return None, False
        bits, payload = self.parameters.line_bits, read["beats_payload"]
        target = self._targets[0] if self._targets else 0
        arrival = Arrival(target, payload & (1 << bits) - 1, bool(payload >> bits + 1))
        return arrival, bool(payload >> bits & 1)

    def _control(self, asked: bool, arrival: Arrival | None, finished: bool, takes_done: bool) -> None:
        """From the words of a job to its end, and to the next one."""
        state, parameters = self._state, self.parameters
        if state == "ask" and asked:
            self._state, self._words = "read", []
        elif state == "read" and arrival is not None:
            self._words.append(arrival.line)
            if arrival.last:
                self._state = "begin"
        elif state == "begin":
            packed = pack(self._words, parameters.line_bits) & (1 << JOB_BITS) - 1
            job = unpack_job(packed)
            if isinstance(job, Product):
                self._engine = self._products
                self._products.begin(job)
            else:
                self._engine = self._updates
                self._updates.begin(job)
            self._state = "run"
        elif state == "run" and finished:
            self._state = "done"
        elif state == "done" and takes_done:
            self._left -= 1
            self._next += parameters.job_lines
            self._state, self._failed = "ask" if self._left else "idle", False


STATES = ("idle", "ask", "read", "begin", "run", "done")


def _offer(stream: str, payload: int | None) -> dict[str, int]:
    return {f"{stream}_valid": int(payload is not None), f"{stream}_payload": payload or 0}
