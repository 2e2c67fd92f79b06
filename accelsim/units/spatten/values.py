"""Requests for V, and what becomes of them: vectors of the store, or, row by row, of memory."""

from __future__ import annotations

from accelsim.units.fifo import Model as FifoModel
from accelsim.units.spatten.jobs import Settings
from accelsim.units.spatten.parameters import Machine
from accelsim.units.value_selection import clock_fifo


class Requests:
    """Lines of V that the pipeline asks for. They are gathered from the store, or fetched row by row."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._waiting = FifoModel(machine.asked)
        self.reset()

    def reset(self) -> None:
        """No layer."""
        self._waiting.reset()
        self.head = self._rows = self._place = 0
        self._begun = False

    @property
    def ready(self) -> bool:
        """Whether a request is taken in this clock."""
        return bool(self._waiting.shown()["entering_ready"])

    def gathering(self, settings: Settings) -> int | None:
        """What the store of values is asked for; with the last line of a head its half is free."""
        waiting = self._waiting.shown()
        if settings["layer_streamed"] or not waiting["leaving_valid"]:
            return None
        request = self._machine.head.value_requests.unpack(waiting["leaving_payload"])
        releases = request["last"] and self._rows + 1 == settings["layer_queries"]
        return self._machine.gathering.pack(
            indices=request["indices"][: self._machine.vectors],
            count=request["count"],
            releases=int(releases),
        )

    def wants_values(self, settings: Settings) -> int | None:
        """The head of a row whose V is to be fetched."""
        valid = self._waiting.shown()["leaving_valid"]
        return self.head if valid and settings["layer_streamed"] and not self._begun else None

    @property
    def asked(self) -> int | None:
        """The next place among the head's keys that a row wants, once its job is there."""
        waiting = self._waiting.shown()
        if not self._begun or not waiting["leaving_valid"]:
            return None
        request = self._machine.head.value_requests.unpack(waiting["leaving_payload"])
        return int(request["indices"][self._place])

    def step(
        self,
        settings: Settings,
        *,
        request: int | None,
        gathers: bool,
        begins_row: bool,
        token: bool,
        begins: bool,
    ) -> None:
        """The clock edge: a request comes; the one before is gathered; a row's job begins; a token leaves."""
        waiting, pops = self._waiting.shown(), gathers
        if begins_row:
            self._begun = True
        if waiting["leaving_valid"]:
            fields = self._machine.head.value_requests.unpack(waiting["leaving_payload"])
            if token:
                self._place += 1
                if self._place == fields["count"]:
                    self._place, pops = 0, True
            if pops and fields["last"]:
                self._begun = False
                self._rows += 1
                if self._rows == settings["layer_queries"]:
                    self._rows, self.head = 0, self.head + 1
        clock_fifo(self._waiting, request, pops)
        if begins:
            self.head = 0
