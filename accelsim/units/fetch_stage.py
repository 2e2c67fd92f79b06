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

    outstanding: bursts of the channel that are accepted and not back. The fetcher sends an address a clock
    and the channel takes one, so nothing is between them that the engine does not know, as long as `slots`
    suffice for what waits for its turn. Found, not proven: twice `outstanding` are too few for one drawn list
    in 20, four times for none of 190.
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
