"""The stores of Q, K and V: pieces in; a query, lines of keys and gathered lines of values out."""

from __future__ import annotations

from typing import NamedTuple

from accelsim.units import vector_store
from accelsim.units.spatten.gather import Gather
from accelsim.units.spatten.jobs import Settings
from accelsim.units.spatten.parameters import KEY, QUERY, VALUE, Machine
from accelsim.units.step import Row, pack


class Asked(NamedTuple):
    """What the stores are asked for in a clock: payloads, or None. piece: operands, and whether they are the
    last of a job; for `store`, as `fill` is. Of queries and values requests to gather, of keys a read."""

    store: int | None
    fill: int | None
    piece: tuple[int, bool] | None
    query: int | None
    keys: int | None
    values: int | None


class Taken(NamedTuple):
    """Lines that the head pipeline takes in a clock."""

    query: bool
    keys: bool
    values: bool


class Stored(NamedTuple):
    """What of the wishes of a clock was taken."""

    fill: bool
    query: bool
    keys: bool
    values: bool


class Stores:
    """Three stores, two gatherers, and the line of a row whose V is fetched for it alone."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._stores = {kind: vector_store.Model(machine.store) for kind in (QUERY, KEY, VALUE)}
        self._gathers = {kind: Gather(machine) for kind in (QUERY, VALUE)}
        self._line = Line(machine)

    def reset(self) -> None:
        """Empty."""
        for store in self._stores.values():
            store.reset()
        for gather in self._gathers.values():
            gather.reset()
        self._line.reset()

    @property
    def query(self) -> int | None:
        """The query that is offered in this clock."""
        return self._gathers[QUERY].offered

    @property
    def keys(self) -> int | None:
        """The line of keys that is offered in this clock, and whether it is the last of its read."""
        return self._stores[KEY].offered

    def values(self, settings: Settings) -> int | None:
        """The line of values that is offered in this clock."""
        return self._line.offered if settings["layer_streamed"] else self._gathers[VALUE].offered

    def takes_row_pieces(self, values_taken: bool) -> bool:
        """Whether the line of a row takes a piece in this clock."""
        return self._line.ready(values_taken)

    def step(self, settings: Settings, asked: Asked, taken: Taken) -> Stored:
        """The clock edge."""
        machine, streamed = self._machine, bool(settings["layer_streamed"])
        shifts = {
            QUERY: settings["vectors_level"] - machine.lane_level,
            VALUE: settings["vectors_value_level"] - machine.lane_level,
        }
        lines_taken = {QUERY: taken.query, VALUE: taken.values and not streamed}
        reads = {kind: gather.reads(shifts[kind]) for kind, gather in self._gathers.items()}
        reads[KEY] = offer("reads", asked.keys)
        ready = {kind: gather.takes_lines(lines_taken[kind]) for kind, gather in self._gathers.items()}
        ready[KEY] = taken.keys
        lines = {kind: store.offered for kind, store in self._stores.items()}
        rows: dict[int, Row] = {}
        for kind, store in self._stores.items():
            here = kind == asked.store and not (kind == VALUE and streamed)
            piece = asked.piece[0] if here and asked.piece is not None else None
            rows[kind] = store.step(
                {
                    **offer("fills", asked.fill if here else None),
                    **offer("pieces", piece),
                    **reads[kind],
                    "lines_ready": int(ready[kind]),
                }
            )
        requests = {QUERY: asked.query, VALUE: asked.values}
        gathered = {
            kind: gather.step(
                request=requests[kind],
                shift=shifts[kind],
                reads_ready=rows[kind]["reads_ready"],
                line=lines[kind],
                vectors_ready=lines_taken[kind],
            )
            for kind, gather in self._gathers.items()
        }
        self._line.step(asked.piece if asked.store == VALUE and streamed else None, taken.values and streamed)
        return Stored(
            fill=bool(
                asked.fill is not None and asked.store is not None and rows[asked.store]["fills_ready"]
            ),
            query=gathered[QUERY],
            keys=bool(asked.keys is not None and rows[KEY]["reads_ready"]),
            values=gathered[VALUE],
        )


class Line:
    """Pieces that come for one row, side by side; `offered` when a line is whole, or the row's last."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.reset()

    def reset(self) -> None:
        """Empty."""
        self._pieces: list[int] = []
        self._full = False

    @property
    def offered(self) -> int | None:
        """The line that is offered in this clock."""
        return pack(self._pieces, self._machine.store.piece_bits) if self._full else None

    def ready(self, taken: bool) -> bool:
        """Whether a piece is taken in this clock; `taken`: the line is."""
        return not self._full or taken

    def step(self, piece: tuple[int, bool] | None, taken: bool) -> None:
        """The clock edge."""
        if self._full and taken:
            self._pieces, self._full = [], False
        if piece is not None:
            self._pieces.append(piece[0])
            self._full = piece[1] or len(self._pieces) == self._machine.banks


def offer(stream: str, payload: int | None) -> Row:
    """A stream's `valid` and payload."""
    return {f"{stream}_valid": int(payload is not None), f"{stream}_payload": payload or 0}
