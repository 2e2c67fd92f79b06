"""A model in the arithmetic of the machine: Linear, Conv1D and attention in fixed point, exactly as golden.

Linear (and Conv1D of `transformers`, its transpose): weights and activations symmetrically quantised,
products and sums exact, one factor behind them. Attention: Q and K of MSBs and perhaps LSBs, golden's
softmax, probabilities and V in integers. All between (norms, activations, residuals, embeddings, position)
stays the model's own, convolutions too. What is near to these and not the same is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from accelsim.golden.fixed import check_between, symmetric_quantise
from accelsim.golden.integer_attention import AttentionFormat
from accelsim_kernels.extras import require
from accelsim_kernels.fixed_products import pack_pairs, safe_pairs
from accelsim_kernels.operators import fixed_attention, fixed_linear, numbers_of

IMPLEMENTATION = "accelsim_hardware"
"""Name under which the attention is registered with `transformers` while it is swapped, with a number."""

WITHOUT_EFFECT = (
    "cache_position",
    "dropout",
    "is_causal",
    "num_items_in_batch",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "position_ids",
    "return_dict",
    "sliding_window",
    "use_cache",
)
"""What models give to their attention and what is in the mask already, or no part of the arithmetic."""

MSB_BITS, LSB_BITS = 6, 4
"""Progressive quantisation as the paper has it most often (SpAtten, section 3.4)."""


class Machine(Protocol):
    """What is asked of an accelerator: the words of `accelsim.accelerators.spatten.SpAtten`."""

    word_bits: int
    weight_bits: int
    value_bits: int


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """What the whole model is computed in.

    weight_bits: of Linear weights, 0 leaves Linear layers as they are; activation_bits: of their inputs.
    scales: one for each row of activations and each output of weights (row), or one for a tensor (tensor);
    the papers do not say. attention: None leaves attention as it is. value_keep: fraction of the keys whose V
    a row uses.
    """

    weight_bits: int = 12
    activation_bits: int = 12
    scales: str = "row"
    attention: AttentionFormat | None = field(default_factory=lambda: AttentionFormat(value_bits=12))
    value_keep: float = 1.0

    def __post_init__(self) -> None:
        if self.weight_bits:
            check_between("weight_bits", self.weight_bits, 2, 16)
        check_between("activation_bits", self.activation_bits, 2, 16)
        if self.scales not in ("row", "tensor"):
            raise ValueError(f"scales must be row or tensor, not {self.scales!r}")
        if not 0 < self.value_keep <= 1:
            raise ValueError(f"value_keep must be above 0 and at most 1, not {self.value_keep}")

    @classmethod
    def of(
        cls, machine: Machine, *, bits: tuple[int, int] = (MSB_BITS, LSB_BITS), value_keep: float = 1.0
    ) -> Arithmetic:
        """Of a machine's words, with Q and K of `bits` (MSB, LSB).

        A machine without FC layers leaves Linear layers as they are; one without a width of V has it as wide
        as the MSBs.
        """
        value_bits = machine.value_bits or bits[0]
        form = AttentionFormat(
            msb_bits=bits[0], lsb_bits=bits[1], value_bits=min(value_bits, machine.word_bits)
        )
        return cls(
            weight_bits=machine.weight_bits,
            activation_bits=machine.word_bits,
            attention=form,
            value_keep=value_keep,
        )


@contextmanager
def hardware_arithmetic(model: nn.Module, machine: Machine | Arithmetic) -> Iterator[nn.Module]:
    """Inside the `with`, `model` computes as the machine does; afterwards it is as before.

    machine: an accelerator (`Arithmetic.of` it), or an `Arithmetic`. Linear and Conv1D layers are replaced by
    `FixedLinear`, and the attention of all `transformers` models inside by `accelsim::fixed_attention`.
    ValueError where there is nothing to replace, for a layer derived from these or an attention that cannot
    be reached, for a model whose layers are replaced already, and, when the model runs, for an attention with
    more than a mask and a scale (softcap, sinks, a bias of positions).
    """
    arithmetic = machine if isinstance(machine, Arithmetic) else Arithmetic.of(machine)
    with ExitStack() as undo:
        swapped = 0
        if arithmetic.attention is not None:
            swapped = undo.enter_context(_attention_swapped(model, arithmetic))
        if arithmetic.weight_bits:
            swapped += undo.enter_context(_linear_swapped(model, arithmetic))
        if not swapped:
            raise ValueError(f"{type(model).__name__} must have Linear layers or attention to compute")
        with torch.no_grad():
            yield model


class FixedLinear(nn.Module):
    """A Linear or Conv1D layer in fixed point: `accelsim::fixed_linear` on weights quantised once."""

    def __init__(self, layer: nn.Module, arithmetic: Arithmetic) -> None:
        super().__init__()
        weight = layer.weight.detach()
        if not isinstance(layer, nn.Linear):
            weight = weight.T  # Conv1D has (in_features, out_features)
        self.out_features, self.in_features = weight.shape
        self.weight, self.bias = layer.weight, layer.bias
        self._bits, self._by_row = arithmetic.activation_bits, arithmetic.scales == "row"
        real = weight.float().contiguous().numpy()
        over = (1,) if self._by_row else None
        raw, scales = symmetric_quantise(real, arithmetic.weight_bits, over=over)
        highest = np.array([(1 << (self._bits - 1)) - 1])
        self._safe = safe_pairs(raw, highest)
        each = np.broadcast_to(np.asarray(scales, np.float64).reshape(-1), (self.out_features,)).copy()
        self.register_buffer("_words", torch.from_numpy(pack_pairs(raw)), persistent=False)
        self.register_buffer("_scales", torch.from_numpy(each), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., in_features) to (..., out_features)."""
        found = fixed_linear(x, self._words, self._scales, self._bits, self._safe, self._by_row)
        return found if self.bias is None else found + self.bias


@contextmanager
def _linear_swapped(model: nn.Module, arithmetic: Arithmetic) -> Iterator[int]:
    """Every Linear and Conv1D below the model is a FixedLinear for a while; shared ones stay shared."""
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent._modules.items()
        if isinstance(child, nn.Linear) or _is_conv1d(type(child))
    ]
    for _, name, child in places:
        if type(child) is not nn.Linear and not _is_conv1d(type(child)):
            raise ValueError(
                f"hardware_arithmetic computes Linear layers, not the {type(child).__name__} {name!r}"
            )
    if any(isinstance(child, FixedLinear) for child in model.modules()):
        raise ValueError(f"{type(model).__name__} is in the arithmetic of a machine already")
    made = {id(child): FixedLinear(child, arithmetic) for _, _, child in places}
    try:
        for parent, name, child in places:
            setattr(parent, name, made[id(child)])
        yield len(places)
    finally:
        for parent, name, child in places:
            setattr(parent, name, child)


def _is_conv1d(kind: type) -> bool:
    """Without an import of `transformers`, which may not be there."""
    return kind.__module__ == "transformers.pytorch_utils" and kind.__name__ == "Conv1D"


_NUMBERS = count()


@contextmanager
def _attention_swapped(model: nn.Module, arithmetic: Arithmetic) -> Iterator[int]:
    """The attention of every `transformers` model inside is ours for a while."""
    require("hardware_arithmetic", "transformers")
    from transformers import AttentionInterface, PreTrainedModel
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    found = [child for child in model.modules() if isinstance(child, PreTrainedModel)]
    if not found:
        if any(isinstance(child, nn.MultiheadAttention) for child in model.modules()):
            raise ValueError(f"hardware_arithmetic cannot reach the attention of {type(model).__name__}")
        yield 0
        return
    for child in found:
        if not child._can_set_attn_implementation():
            raise ValueError(f"hardware_arithmetic cannot reach the attention of {type(child).__name__}")
    before = [child.config._attn_implementation for child in found]
    # A name of its own: other models may be in other arithmetic at the same time.
    name = f"{IMPLEMENTATION}_{next(_NUMBERS)}"
    with ExitStack() as undo:
        AttentionInterface.register(name, _Attention(arithmetic))
        undo.callback(AttentionInterface._global_mapping.pop, name)
        AttentionMaskInterface.register(name, eager_mask)
        undo.callback(AttentionMaskInterface._global_mapping.pop, name)
        # A model sets those inside, too, so the outer ones are set back first: their calls come last here.
        for child, implementation in reversed(list(zip(found, before, strict=True))):
            undo.callback(child.set_attn_implementation, implementation)
        for child in found:
            child.set_attn_implementation(name)
        yield len(found)


class _Attention:
    """Stands in for the model's attention, as `transformers` calls it."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        assert arithmetic.attention is not None
        self._form, self._threshold = numbers_of(arithmetic.attention), arithmetic.attention.threshold
        self._value_keep = arithmetic.value_keep

    def __call__(
        self,
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float | None = None,
        **more: Any,
    ) -> tuple[torch.Tensor, None]:
        for name, given in more.items():
            if given is not None and name not in WITHOUT_EFFECT:
                raise ValueError(f"hardware_arithmetic cannot compute the {name} of {type(module).__name__}")
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        valid = None
        if attention_mask is not None:
            valid = attention_mask
            if valid.dtype != torch.bool:
                valid = valid > torch.finfo(valid.dtype).min / 2
        return fixed_attention(
            query, key, value, valid, scale, self._form, self._threshold, self._value_keep
        ), None
