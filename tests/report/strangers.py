"""A small workload, whose names would like to be script."""

from __future__ import annotations

import numpy as np

from accelsim import Attention, Matmul, Unknown, Workload
from accelsim.golden.formats import Bitmap

SCRIPT = "<script>window.hacked = 1</script>"
IMAGE = "\"'><img src=x onerror='window.hacked = 1'>"
LAYERS = 4
WORDS = ("[CLS]", "the", "river", "##bank", SCRIPT, "</del>", "sea", "[SEP]")
LEFT = ((0, 1, 2, 3, 4, 5, 6, 7), (0, 2, 3, 4, 5, 7), (0, 2, 4, 5), (2, 4))


def hostile() -> Workload:
    """Pruned products and a cascade over 8 words in four layers, one layer nobody runs, and hostile names."""
    kept = np.zeros((40, 64), np.bool_)
    kept[:, ::4] = kept[:, 1::4] = True
    layers: list[Matmul | Attention | Unknown] = []
    for index, tokens in enumerate(LEFT):
        count = len(tokens)
        layers.append(
            Attention(
                name=f"block.{index}.attention{SCRIPT if index == 1 else ''}",
                heads=2,
                kv_heads=2,
                queries=count,
                keys=count,
                dim=32,
                value_dim=32,
                dense_queries=8,
                dense_keys=8,
                tokens=np.array([tokens], np.int32),
                token_scores=np.arange(1, count + 1, dtype=np.uint32)[None] * 100,
                token_keep=len(LEFT[index + 1]) if index + 1 < len(LEFT) else 0,
            )
        )
        name = (SCRIPT, IMAGE, "block.2.up", "block.3.up")[index]
        layers.append(Matmul(name=name, m=8 + 8 * index, n=40, k=64, mask=Bitmap.pack(kept)))
    layers.append(Unknown(name="block.3.scan", op="scan", macs=100, reason=f"nobody runs {SCRIPT}"))
    return Workload(model=IMAGE, layers=tuple(layers), notes=(f"inputs: {SCRIPT}",), words=WORDS)
