"""The tile that turns weights between WUVE and SORE: rows go in, columns come out, a beat a clock.

Weights arrive in rows of one direction of groups; the groups of the other direction need columns. Two tiles
are held: one fills while the other leaves. Which buffer the paper has is not known: this one is a choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelsim.units.checks import check_lanes, require_range
from accelsim.units.step import Row, pack, unpack


@dataclass(frozen=True, kw_only=True)
class Transpose:
    """Tiles of `side` x `side` numbers of `value_bits` bits; `side` a power of two."""

    side: int = 32
    value_bits: int = 16

    def __post_init__(self) -> None:
        check_lanes(self.side, "side")
        require_range("side", self.side, 2, 64)
        require_range("value_bits", self.value_bits, 1, 64)


PRESETS = {"paper": Transpose(), "tiny": Transpose(side=4, value_bits=5)}


class Model:
    """Streams: `rows` in, `columns` out; probe `tiles`: whole tiles that are held."""

    def __init__(self, parameters: Transpose) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No tile."""
        self._rows: list[list[int]] = []
        self._columns: list[int] = []

    @property
    def tiles(self) -> int:
        """Whole ones that are held."""
        return -(-len(self._columns) // self.parameters.side)

    @property
    def room(self) -> bool:
        """Whether a row is taken."""
        return self.tiles < 2

    @property
    def offered(self) -> int | None:
        """The column that stands before its sink."""
        return self._columns[0] if self._columns else None

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        side, bits = self.parameters.side, self.parameters.value_bits
        row = {
            "rows_ready": int(self.room),
            "columns_valid": int(self.offered is not None),
            "columns_payload": self.offered or 0,
            "tiles": self.tiles,
        }
        if self._columns and inputs["columns_ready"]:
            self._columns.pop(0)
        if row["rows_ready"] and inputs["rows_valid"]:
            self._rows.append(unpack(inputs["rows_payload"], bits, side))
            if len(self._rows) == side:
                self._columns += turned(self.parameters, self._rows)
                self._rows = []
        return row


def turned(parameters: Transpose, rows: Sequence[Sequence[int]]) -> list[int]:
    """Payloads of the columns of a tile."""
    return [pack(column, parameters.value_bits) for column in zip(*rows, strict=True)]


def cycles(parameters: Transpose, tiles: int) -> int:
    """Clocks from the first row offered to the last column taken, when source and sink never wait."""
    return (tiles + 1) * parameters.side if tiles else 0
