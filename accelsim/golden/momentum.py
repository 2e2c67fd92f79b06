"""The optimiser's step in FP32 with a stated order of operations: momentum SGD, as SAT's WUVE does it.

Each operation rounds to nearest even, none is fused. Every argument is float32 of one shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float16 = npt.NDArray[np.float16]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Momentum:
    """Constants of the step. `decay` pulls weights that are pruned forward to zero (SR-STE's lambda).

    Gradients are divided by `loss_scale`, a power of two, so that the division is exact but for underflow.
    """

    rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    decay: float = 0.0
    loss_scale: int = 1

    def __post_init__(self) -> None:
        for name in ("rate", "momentum", "weight_decay", "decay"):
            if not (getattr(self, name) >= 0 and np.isfinite(getattr(self, name))):
                raise ValueError(f"{name} must be >= 0, not {getattr(self, name)}")
        scale = self.loss_scale
        if not (0 < scale <= 2**63 and scale & (scale - 1) == 0):
            raise ValueError(f"loss_scale must be a power of two, not {scale}")


def step(
    constants: Momentum, gradient: Float32, weight: Float32, velocity: Float32, kept: npt.NDArray[np.bool_]
) -> tuple[Float32, Float32, Float16]:
    """Weight, velocity and the FP16 copy after one step.

        g = gradient / loss_scale        g = g + weight_decay * weight
        g = g + decay * weight, where not `kept`
        velocity = momentum * velocity + g        weight = weight - rate * velocity

    A term whose constant is 0 is left out. Whoever calls asks `is_finite` first: a step with Inf or NaN is
    skipped.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        gradient = gradient * np.float32(1 / constants.loss_scale)
        if constants.weight_decay:
            gradient = gradient + np.float32(constants.weight_decay) * weight
        if constants.decay:
            gradient = np.where(kept, gradient, gradient + np.float32(constants.decay) * weight)
        velocity = np.float32(constants.momentum) * velocity + gradient
        weight = weight - np.float32(constants.rate) * velocity
        return weight, velocity, weight.astype(np.float16)


def is_finite(gradient: Float32) -> bool:
    """No Inf and no NaN: the step may be taken."""
    return bool(np.isfinite(gradient).all())
