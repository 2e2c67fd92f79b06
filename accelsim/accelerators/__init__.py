"""The machines by name: `find("sat:paper")` is a set of parameters that `accelsim.run` can run on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from accelsim.accelerators.a3 import A3
from accelsim.accelerators.a3 import PRESETS as A3_PRESETS
from accelsim.accelerators.base import Accelerator
from accelsim.accelerators.mnnfast import PRESETS as MNNFAST
from accelsim.accelerators.mnnfast import MnnFast
from accelsim.accelerators.sat import PRESETS as SAT
from accelsim.accelerators.sat import Sat
from accelsim.accelerators.sparse_tensor_core import PRESETS as STC
from accelsim.accelerators.sparse_tensor_core import SparseTensorCore
from accelsim.accelerators.spatten import PRESETS as SPATTEN
from accelsim.accelerators.spatten import SpAtten
from accelsim.accelerators.systolic import PRESETS as SYSTOLIC
from accelsim.accelerators.systolic import Systolic, square
from accelsim.words import unknown

__all__ = [
    "A3",
    "ACCELERATORS",
    "AcceleratorKind",
    "MnnFast",
    "Sat",
    "SpAtten",
    "SparseTensorCore",
    "Systolic",
    "find",
]


@dataclass(frozen=True, kw_only=True)
class AcceleratorKind:
    """A machine, what it is in one sentence, and its presets, the default first.

    `decides`: it decides on the model's own Q, K and scores, which a trace for it should hold.
    `parse` makes parameters of a preset that is not a fixed name (`systolic:32`); it raises ValueError.
    """

    sentence: str
    cls: type
    presets: Mapping[str, Accelerator]
    parse: Callable[[str], Accelerator] | None = None
    decides: bool = False


def _systolic(size: str) -> Systolic:
    if not re.fullmatch(r"\d{1,6}", size, re.ASCII):
        raise ValueError(f"preset of systolic must be the size of the array, such as 32, not {size!r}")
    return square(int(size))


ACCELERATORS: dict[str, AcceleratorKind] = {
    "systolic": AcceleratorKind(
        sentence="A plain systolic array (systolic:N is N x N) with exposed fill and drain; dense or N:M.",
        cls=Systolic,
        presets=SYSTOLIC,
        parse=_systolic,
    ),
    "sat": AcceleratorKind(
        sentence="SAT: a systolic array on an FPGA for N:M weights, output or weight stationary.",
        cls=Sat,
        presets=SAT,
    ),
    "stc": AcceleratorKind(
        sentence="A GPU's tensor cores, one GEMM as thread-block tiles; 2:4 weights with their metadata.",
        cls=SparseTensorCore,
        presets=STC,
    ),
    "spatten": AcceleratorKind(
        sentence="SpAtten: attention with token, head and value pruning and progressive quantisation.",
        cls=SpAtten,
        presets=SPATTEN,
    ),
    "a3": AcceleratorKind(
        sentence="A3: attention in three modules, exact or among candidates found by a greedy search.",
        cls=A3,
        presets=A3_PRESETS,
        decides=True,
    ),
    "mnnfast": AcceleratorKind(
        sentence="MnnFast: attention chunk by chunk, divided at the end; V of small probability are skipped.",
        cls=MnnFast,
        presets=MNNFAST,
        decides=True,
    ),
}


def find(text: str) -> tuple[str, str, Accelerator]:
    """Name, preset and parameters of `NAME` (its default preset) or `NAME:PRESET`.

    Raises ValueError with the nearest known word.
    """
    name, colon, preset = text.partition(":")
    if name not in ACCELERATORS:
        raise ValueError(unknown("accelerator", name, ACCELERATORS))
    kind = ACCELERATORS[name]
    if not colon:
        preset = next(iter(kind.presets))
    if preset in kind.presets:
        return name, preset, kind.presets[preset]
    if kind.parse is not None:
        return name, preset, kind.parse(preset)
    raise ValueError(unknown(f"preset of {name}", preset, kind.presets))
