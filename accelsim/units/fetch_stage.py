"""The fetcher before one channel of a device: what must take as long as the fetch stage of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accelsim.dram import DEVICES
from accelsim.units.fetcher import Fetcher, Model

__all__ = ["PRESETS", "FetchStage", "Model"]


@dataclass(frozen=True, kw_only=True)
class FetchStage(Fetcher):
    """A fetcher whose clock is that of `device`, of which it has one channel; a beat is a burst of it.

    outstanding: bursts of the channel that are accepted and not back. slots: bursts whose address is sent and
    whose turn has not come, in the engine a buffer that sending takes from and taking gives back to. Nothing
    else is between fetcher and channel that a plan does not say: an address is sent a clock and the channel
    takes one. Data of both pseudo-channels may be back in one clock and the bus carries a beat: the younger
    comes later, whose turn is later too, and neither brings another before the next clock.

    No number of slots that there can be suffices for every list: while a row has hits, a burst of another row
    of its bank waits (`docs/dram.md`, Which command, 3), until the next refresh closes all rows, and what was
    asked for after it holds its slots.
    """

    channels: int = 1
    ports: int = 1
    slots: int = 256
    device: str = "HBM2-2000x16"
    outstanding: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.device not in DEVICES:
            raise ValueError(f"device must be one of {sorted(DEVICES)}, not {self.device!r}")
        if self.channels > 1 or self.ports > 1:
            raise ValueError(f"channels and ports must be 1, not {self.channels} and {self.ports}")
        burst = DEVICES[self.device].burst_bytes * 8
        if self.beat_bits != burst:
            raise ValueError(f"beat_bits must be a burst of {self.device}, {burst}, not {self.beat_bits}")

    @property
    def memory(self) -> dict[str, Any]:
        """The device as plain data (`accelsim.dram.clocked.described`)."""
        device = DEVICES[self.device]
        changes = {"channels": 1, "outstanding": self.outstanding}
        return {"device": self.device, "changes": changes, "clock_hz": float(device.clock_hz)}


PRESETS = {
    "hbm2": FetchStage(),
    "ddr4": FetchStage(device="DDR4-2400", beat_bits=512),
    "tiny": FetchStage(address_bits=20, position_bits=8),
}
