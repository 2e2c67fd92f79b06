"""What is fetched, and when: Q, K and V of head after head, and least significant parts of K between.

A job is what one request brings: its tokens, its conversion, and the store where its pieces go. It is begun
only if its half of a store is free, or will be without any other job: nothing that the fetcher brings ever
waits for something that it has yet to bring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from accelsim.units.bit_width_converter import Request as Conversion
from accelsim.units.bit_width_converter import pack_request as pack_conversion
from accelsim.units.fetcher import Request, pack_request
from accelsim.units.spatten.parameters import ASKED, COUNTED, KEY, KINDS, LEAST, LISTED, QUERY, VALUE, Machine

HALVES = 2

Settings = Mapping[str, int]
"""Fields of the registers, by their signals."""


class Job(NamedTuple):
    """Payloads: of the fetcher's requests, of what tokens it has, of the converter, of the way to a store."""

    fetch: int
    listing: int
    conversion: int
    route: int


class Begun(NamedTuple):
    """Of the wishes of rows those whose job was begun in a clock."""

    least: bool
    values: bool


class Jobs:
    """The order of the jobs. `offered`: the next one, taken when all that it is for have room."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.reset()

    def reset(self) -> None:
        """No layer."""
        self.offered: Job | None = None
        self._head = self._kind = self._left = 0
        self._claims = [0] * len(KINDS)

    @property
    def ready(self) -> bool:
        """Whether a job is begun in this clock; least significant parts come before a row's V."""
        return self.offered is None

    def step(
        self,
        settings: Settings,
        *,
        begins: bool,
        tokens: int,
        heads: Sequence[tuple[int, int]],
        least: int | None,
        values: int | None,
        releases: Mapping[int, bool],
        takes: bool,
    ) -> None:
        """The clock edge. heads: (query, stored); least: place of a head in that list whose least significant
        parts are wanted; values: of one whose row wants V. releases: of each store, whether one is free."""
        chosen: tuple[int, int] | None = None
        streamed = bool(settings["layer_streamed"])
        if self.offered is None:
            if least is not None:
                chosen = LEAST, least
            elif values is not None:
                chosen = VALUE, values
            elif self._left and self._claims[self._kind] < HALVES:
                chosen = self._kind, self._head
                self._claims[self._kind] += 1
                last = KEY if streamed else VALUE
                if self._kind == last:
                    self._kind, self._head, self._left = QUERY, self._head + 1, self._left - 1
                else:
                    self._kind += 1
        elif takes:
            self.offered = None
        for kind, free in releases.items():
            self._claims[kind] -= free
        if chosen is not None:
            self.offered = self._job(settings, chosen[0], heads[chosen[1]], tokens)
        if begins:
            self._head, self._kind, self._left = 0, QUERY, len(heads)

    def _job(self, settings: Settings, kind: int, head: tuple[int, int], tokens: int) -> Job:
        machine, name = self._machine, KINDS[kind]
        streamed = kind == VALUE and settings["layer_streamed"]
        beats, width = settings[f"{name}_record_beats"], settings[f"{name}_record_width"]
        base = settings[f"{name}_base"] + head[kind != QUERY] * settings[f"{name}_head_stride"]
        base &= (1 << machine.fetcher.beat_address_bits) - 1
        count = settings["layer_queries"] if kind == QUERY else tokens
        source = LISTED if kind != QUERY or settings["layer_listed"] else COUNTED
        if streamed:
            count, source = settings["layer_values"], ASKED
        valued = kind == VALUE
        level = settings["vectors_value_level" if valued else "vectors_level"]
        conversion = Conversion(
            width=width,
            elements=settings["vectors_value_dim" if valued else "vectors_dim"],
            beats=beats,
            records=count,
            shift=settings["score_ignored"] if kind == KEY else 0,
            least=kind == LEAST,
        )
        return Job(
            fetch=pack_request(machine.fetcher, Request(base, beats, (0, 0), (beats, beats))),
            listing=machine.listing.pack(count=count, source=source),
            conversion=pack_conversion(conversion),
            route=machine.route.pack(kind=kind, pieces=count << level - machine.lane_level),
        )


class Tokens:
    """The tokens of the jobs, in their order: numbers, or positions of a list, which a row may ask for."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.reset()

    def reset(self) -> None:
        """Before the first token of a job."""
        self._number = 0

    def offered(self, listing: int | None, positions: Sequence[int], asked: int | None) -> int | None:
        """A payload of the fetcher's tokens. listing: of the job in work; asked: what a row wants."""
        if listing is None:
            return None
        job: dict[str, int] = self._machine.listing.unpack(listing)
        place = self._number
        if job["source"] == ASKED:
            if asked is None:
                return None
            place = asked
        position = place if job["source"] == COUNTED else positions[place]
        last = self._number + 1 == job["count"]
        return position & (1 << self._machine.position_bits) - 1 | last << self._machine.position_bits

    def step(self, takes: bool, last: bool) -> None:
        """The clock edge: whether a token was taken, and whether it was its job's last."""
        if takes:
            self._number = 0 if last else self._number + 1
