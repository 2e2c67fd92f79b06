"""Where K and V lie in memory, and the bursts that bring them.

A vector is stored by head and token, in whole bursts. Where two heads together need a burst less than
each alone (6 bits x 64: 1.5 bursts of 32 bytes), the pair shares a record, as in the artefact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from accelsim.plan import Integers


def stored_bits(bits: int) -> int:
    """Width in memory: 10 bits are stored as 8 + 4 (artefact, MatrixFetcher)."""
    return 12 if bits == 10 else bits


@dataclass(frozen=True, kw_only=True)
class Region:
    """Vectors of one kind: records by sequence, pair of heads (or head), token position.

    base: first byte; heads: stored KV heads; positions: tokens of a sequence, pruned ones included.
    """

    base: int
    burst_bytes: int
    vector_bits: int
    batch: int
    heads: int
    positions: int
    may_fuse: bool = True

    @property
    def vector_bytes(self) -> int:
        """Bytes of a vector, rounded up."""
        return -(-self.vector_bits // 8)

    @cached_property
    def fused(self) -> int:
        """Heads that share a record: 2 where that saves a burst."""
        alone = -(-self.vector_bytes // self.burst_bytes)
        paired = -(-2 * self.vector_bytes // self.burst_bytes)
        return 2 if self.may_fuse and paired < 2 * alone else 1

    @cached_property
    def record_bursts(self) -> int:
        """Bursts of a record."""
        return -(-self.fused * self.vector_bytes // self.burst_bytes)

    @property
    def end(self) -> int:
        """First byte behind the region."""
        records = self.batch * -(-self.heads // self.fused) * self.positions
        return self.base + records * self.record_bursts * self.burst_bytes

    def record(self, sequence: int, head: int, positions: Integers) -> Integers:
        """Addresses of the records that hold a head's vectors."""
        first = (sequence * -(-self.heads // self.fused) + head // self.fused) * self.positions
        return self.base + (first + positions) * self.record_bursts * self.burst_bytes

    def whole(self, sequence: int, heads: Integers, positions: Integers) -> tuple[Integers, Integers]:
        """Address and count of the runs for all `positions` (ascending) of the heads of one record.

        Of a pair with one head left, only the bursts that hold it come.
        """
        first = int(heads.min()) % self.fused * self.vector_bytes // self.burst_bytes
        last = -(-(int(heads.max()) % self.fused + 1) * self.vector_bytes // self.burst_bytes)
        addresses = self.record(sequence, int(heads[0]), positions) + first * self.burst_bytes
        if last - first < self.record_bursts:
            return addresses, np.full(addresses.size, last - first)
        begins = np.concatenate([[0], np.flatnonzero(positions[1:] != positions[:-1] + 1) + 1])
        lengths = np.append(begins[1:], positions.size) - begins
        return addresses[begins], lengths * self.record_bursts

    def some(self, sequence: int, head: int, positions: Integers) -> tuple[Integers, Integers]:
        """Address and count of the runs for the vectors that one row of one head asks for.

        Of a shared record of an odd number of bursts, the rows of its two heads ask for the larger and the
        smaller part in turn: 1.5 bursts a vector, as the artefact counts them, and never none.
        """
        addresses = self.record(sequence, head, positions)
        if self.fused == 1:
            return addresses, np.full(addresses.size, self.record_bursts)
        half = np.maximum(1, (self.record_bursts + (np.arange(positions.size) + head + 1) % 2) // 2)
        upper = (self.record_bursts - half) * (head % 2)
        return addresses + upper * self.burst_bytes, half
