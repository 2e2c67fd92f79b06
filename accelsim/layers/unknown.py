"""Operators that no machine here understands."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.layers.base import LARGEST_COUNT, LayerBase
from accelsim.plain import check_plain


@dataclass(frozen=True, kw_only=True, eq=False)
class Unknown(LayerBase):
    """An operator that no machine here understands, with its multiply-accumulates (0: not countable)."""

    name: str
    op: str
    macs: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        check_plain(self, self._refusal, largest=LARGEST_COUNT)

    @property
    def is_dense(self) -> bool:
        """Always: what is not understood is not known to be pruned."""
        return True

    def dense(self) -> Unknown:
        """The same."""
        return self

    def columns(self) -> tuple[str, str, str]:
        """Nothing is known for a table's line."""
        return "-", "-", "-"
