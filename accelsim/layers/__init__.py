"""The layers of a workload: shapes, real masks, real decisions, each checked once, where it is made.

Read them through `accelsim.workload`. Whole numbers become int, arrays become read-only views, and what is
wrong is refused in one line that names the layer.
"""

from __future__ import annotations

from accelsim.layers.attention import Attention
from accelsim.layers.base import split
from accelsim.layers.decisions import DECISIONS, SCORE_ONE, VECTOR_ONE
from accelsim.layers.matmul import STAGES, Matmul
from accelsim.layers.unknown import Unknown
from accelsim.layers.update import Update

__all__ = [
    "DECISIONS",
    "LAYERS",
    "SCORE_ONE",
    "STAGES",
    "VECTOR_ONE",
    "Attention",
    "Layer",
    "Matmul",
    "Unknown",
    "Update",
    "split",
]

Layer = Matmul | Attention | Unknown | Update
LAYERS: dict[str, type[Layer]] = {
    "matmul": Matmul,
    "attention": Attention,
    "unknown": Unknown,
    "update": Update,
}
