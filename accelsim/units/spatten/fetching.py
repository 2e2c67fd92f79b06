"""From jobs to pieces in the stores: fetcher, converter, and the buffers between them, in which jobs wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from accelsim.units import bit_width_converter, fetcher
from accelsim.units.fifo import Model as FifoModel
from accelsim.units.spatten.jobs import Job, Settings, Tokens
from accelsim.units.spatten.parameters import ASKED, KEY, LEAST, VALUE, Machine
from accelsim.units.spatten.stores import offer
from accelsim.units.step import Row
from accelsim.units.value_selection import clock_fifo
from accelsim.units.vector_store import Fill, pack_fill


class Fetched(NamedTuple):
    """What happened in a clock. row: the ports of memory. piece: operands for a store, or for the line of a
    row, and whether they are the job's last; token: one was taken; asked: that a row asked for; error: a beat
    came with one."""

    row: Row
    piece: tuple[int, bool] | None
    token: bool
    asked: bool
    error: bool


class Fetching:
    """Jobs in, pieces out. `kind`: where those go that come now, or None; `streams`: to the line of a row."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._fetcher = fetcher.Model(machine.fetcher)
        self._converter = bit_width_converter.Model(machine.converter)
        self._tokens = Tokens(machine)
        self._waiting = {name: FifoModel(fifo) for name, fifo in machine.jobs.items()}
        self.reset()

    def reset(self) -> None:
        """No job."""
        for fifo in self._waiting.values():
            fifo.reset()
        self._fetcher.reset()
        self._converter.reset()
        self._tokens.reset()
        self._open = False
        self._left = 0
        self._next: int | None = None

    @property
    def room(self) -> bool:
        """Whether a job is taken in this clock, if there is one."""
        return all(fifo.shown()["entering_ready"] for fifo in self._waiting.values())

    @property
    def moved(self) -> bool:
        """Whether a burst was asked for."""
        return self._fetcher.moved

    @property
    def store(self) -> int | None:
        """The store where the pieces go that come now."""
        route = self._first("route")
        if route is None:
            return None
        kind = self._machine.route.field_of(route, "kind")
        return KEY if kind == LEAST else kind

    def fill(self, settings: Settings) -> int | None:
        """What its store is asked for before the first piece comes."""
        route = self._first("route")
        if route is None or self._open or self._streams(settings):
            return None
        fields = self._machine.route.unpack(route)
        return pack_fill(self._machine.store, Fill(fields["pieces"], fields["kind"] == LEAST))

    def step(
        self,
        inputs: Mapping[str, int],
        settings: Settings,
        *,
        positions: Sequence[int],
        asked: int | None,
        line_ready: bool,
        job: Job | None,
    ) -> Fetched:
        """One clock. asked: the place that a row wants; line_ready: of the line of a row; job: one that is
        taken. `begin` follows in the same clock."""
        machine = self._machine
        streams = self._streams(settings)
        beat = self._fetcher.offered
        converted = self._converter.step(
            {
                **offer("request", self._first("conversion")),
                "beats_valid": int(beat is not None),
                "beats_payload": (beat or 0) & (1 << machine.beat_bits) - 1,
                "operands_ready": int(self._open and (line_ready or not streams)),
            }
        )
        listing = self._first("listing")
        token = self._tokens.offered(listing, positions, asked)
        row = self._fetcher.step(
            {
                **inputs,
                **offer("requests", self._first("fetch")),
                **offer("tokens", token),
                "beats_ready": converted["beats_ready"],
            }
        )
        takes = token is not None and bool(row["tokens_ready"])
        last = takes and token is not None and bool(token >> machine.position_bits)
        self._tokens.step(takes, last)
        self._next = None if self._open else self._first("route")
        piece = None
        ends = False
        if self._open and converted["operands_valid"] and (line_ready or not streams):
            self._left -= 1
            ends = self._left == 0
            piece = converted["operands_payload"] & (1 << machine.store.piece_bits) - 1, ends
        self._open &= not ends
        pops = {
            "fetch": bool(self._first("fetch") is not None and row["requests_ready"]),
            "conversion": bool(self._first("conversion") is not None and converted["request_ready"]),
            "listing": last,
            "route": ends,
        }
        from_row = listing is not None and machine.listing.field_of(listing, "source") == ASKED
        for name, fifo in self._waiting.items():
            clock_fifo(fifo, None if job is None else getattr(job, name), pops[name])
        return Fetched(
            row={name: value for name, value in row.items() if name.startswith("m_axi")},
            piece=piece,
            token=takes,
            asked=takes and from_row,
            error=bool(beat is not None and converted["beats_ready"] and beat >> machine.beat_bits & 1),
        )

    def begin(self, settings: Settings, fill_taken: bool) -> None:
        """A store took the fill of the next job, or there is none to be taken."""
        if self._next is None:
            return
        kind = self._machine.route.field_of(self._next, "kind")
        if fill_taken or (kind == VALUE and settings["layer_streamed"]):
            self._open, self._left = True, self._machine.route.field_of(self._next, "pieces")

    def _first(self, name: str) -> int | None:
        shown = self._waiting[name].shown()
        return shown["leaving_payload"] if shown["leaving_valid"] else None

    def _streams(self, settings: Settings) -> bool:
        return bool(self.store == VALUE and settings["layer_streamed"])
