"""What the two engines of SAT's machine, products and updates, share with the memory's masters.

An engine shows a `request` (lines to be read, for one of its buffers), a `write_request` and a `line` to be
written, all of which follow from its state alone. Lines that were asked for always have room. `step` is told
what of these was taken: asked, requests, sends; and what arrives.
"""

from __future__ import annotations

from typing import NamedTuple


class Transfer(NamedTuple):
    """`lines` lines from line `first` on."""

    first: int
    lines: int


class Request(NamedTuple):
    """A transfer for the buffer `target` of an engine."""

    target: int
    transfer: Transfer


class Arrival(NamedTuple):
    """A line for a buffer, and whether it is the last of its transfer."""

    target: int
    line: int
    last: bool
