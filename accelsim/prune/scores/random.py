"""No importance at all: the control that every score must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Score, Settings, whole

if TYPE_CHECKING:
    import torch

    from accelsim.prune.statistics import Seen


def random(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """Uniform numbers, drawn from the seed and the layer's name."""
    import zlib

    import numpy as np
    import torch

    # Not torch's generator: it reads 32 bits of a seed.
    generator = np.random.default_rng([whole(settings, "seed"), zlib.crc32(seen.name.encode())])
    return torch.from_numpy(generator.random(tuple(weight.shape), np.float32))


WORD = Score(
    name="random",
    sentence="Zeros weights drawn by lot, the control of all scores.",
    source="Gale et al., 2019, arXiv 1902.09574",
    settings={"seed": 0},
    of=random,
)
