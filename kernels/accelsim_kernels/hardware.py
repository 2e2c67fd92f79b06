"""A whole model in the arithmetic of the machine: Linear and attention in fixed point, exactly as golden.

Linear: weights and activations symmetrically quantised, products and sums exact, one factor behind them.
Attention: Q and K of MSBs and perhaps LSBs, golden's softmax, probabilities and V in integers. All between
(norms, activations, residuals, embeddings, position) stays the model's own: the machines do not have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
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
"""Name under which the attention is registered with `transformers` while it is swapped."""

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

        A machine without FC layers leaves Linear layers as they are.
        """
        value_bits = machine.value_bits or machine.word_bits
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

    machine: an accelerator (`Arithmetic.of` it), or an `Arithmetic`. Linear layers are replaced by
    `FixedLinear`, and the attention of `transformers` models by `accelsim::fixed_attention`. ValueError where
    there is nothing to replace, or an attention that cannot be reached.
    """
    arithmetic = machine if isinstance(machine, Arithmetic) else Arithmetic.of(machine)
    with ExitStack() as undo:
        swapped = 0
        if arithmetic.weight_bits:
            swapped = undo.enter_context(_linear_swapped(model, arithmetic))
        if arithmetic.attention is not None:
            swapped += undo.enter_context(_attention_swapped(model, arithmetic))
        if not swapped:
            raise ValueError(f"{type(model).__name__} must have Linear layers or attention to compute")
        with torch.no_grad():
            yield model


class FixedLinear(nn.Module):
    """A Linear layer in fixed point: `accelsim::fixed_linear` on weights that are quantised once."""

    def __init__(self, layer: nn.Linear, arithmetic: Arithmetic) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self._bits, self._by_row = arithmetic.activation_bits, arithmetic.scales == "row"
        real = layer.weight.detach().float().numpy()
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
    """Every Linear below the model is another module for a while; those that are shared stay shared."""
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent._modules.items()
        if type(child) is nn.Linear
    ]
    made = {id(child): FixedLinear(child, arithmetic) for _, _, child in places}
    try:
        for parent, name, child in places:
            setattr(parent, name, made[id(child)])
        yield len(places)
    finally:
        for parent, name, child in places:
            setattr(parent, name, child)


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
    top = found[0]
    before = top.config._attn_implementation
    with ExitStack() as undo:
        AttentionInterface.register(IMPLEMENTATION, _Attention(arithmetic))
        undo.callback(AttentionInterface._global_mapping.pop, IMPLEMENTATION)
        AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
        undo.callback(AttentionMaskInterface._global_mapping.pop, IMPLEMENTATION)
        if not top._can_set_attn_implementation():
            raise ValueError(f"hardware_arithmetic cannot reach the attention of {type(top).__name__}")
        top.set_attn_implementation(IMPLEMENTATION)
        undo.callback(top.set_attn_implementation, before)
        yield 1


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
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        valid = None
        if attention_mask is not None:
            valid = attention_mask
            if valid.dtype != torch.bool:
                valid = valid > torch.finfo(valid.dtype).min / 2
        return fixed_attention(
            query, key, value, valid, scale, self._form, self._threshold, self._value_keep
        ), None
