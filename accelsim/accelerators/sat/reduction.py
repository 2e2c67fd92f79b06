"""How long SORE takes to reduce dense weights to N:M, and how many bytes the stored copies have.

Groups of the forward copy lie along the reduction of the forward product, those of the backward copy across
it. A lane takes a group, one weight a clock. Weights arrive in rows along one of the two directions; groups
along it lie in a row and must be turned, in a transposing buffer of M x lanes weights. Without one, a row of
weights has all its groups at once and only lanes / M of the lanes get a weight in a clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.units import sore
from accelsim.workload import Update

HALF_BITS = 16


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A copy of the weights: `spans` runs of `span` weights, each in groups of `group` that keep `kept`."""

    spans: int
    span: int
    kept: int = 1
    group: int = 1

    @property
    def is_dense(self) -> bool:
        """Nothing is left out."""
        return self.kept == self.group

    @property
    def groups(self) -> int:
        """Groups, the ragged last one of every span among them."""
        return self.spans * -(-self.span // self.group)

    @property
    def stored_bytes(self) -> int:
        """Values and indices of the compact form; two bytes a weight if dense."""
        if self.is_dense:
            return HALF_BITS // 8 * self.spans * self.span
        index_bits = (self.group - 1).bit_length()
        return -(-self.groups * self.kept * (HALF_BITS + index_bits) // 8)

    def clocks(self, lanes: int, turned: bool) -> int:
        """Of SORE, for the whole copy; `turned`: rows must be transposed, and there is no buffer for it."""
        if self.is_dense:
            return 0
        working = max(1, lanes // self.group) if turned else lanes
        return sore.cycles(-(-self.groups // working) * self.group)


def copies(update: Update) -> tuple[Copy, Copy]:
    """The copies that the next forward and backward pass read."""
    forward, backward = update.group_span, update.backward_span
    return (
        _copy(update.forward, update.parameters // forward, forward),
        _copy(update.backward, update.parameters // backward, backward),
    )


def _copy(pattern: str, spans: int, span: int) -> Copy:
    kept, _, group = pattern.partition(":")
    if not group or kept == group:
        return Copy(spans=spans, span=span)
    return Copy(spans=spans, span=span, kept=int(kept), group=int(group))
