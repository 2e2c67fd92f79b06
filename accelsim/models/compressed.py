"""Checkpoints of the format compressed-tensors: sparse weights filled in, quantised ones scaled back.

Format: as the public library of that name writes it (0.4 to 0.20). A weight `x.weight` is stored as
`x.bitmask` (one bit a weight, the lowest first) with `x.compressed` (those that are kept, row by row), as
integers or floats of 8 bits with `x.weight_scale`, or with its integers packed in words of 32 bits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from accelsim.golden.two_four import FORMATS, full_group

METHOD = "compressed-tensors"
SPARSE_FORMATS = ("dense", "sparse-bitmask", "sparse-24-bitmask")
QUANTISED_FORMATS = (
    "dense",
    "pack-quantized",
    "naive-quantized",
    "int-quantized",
    "float-quantized",
    "mixed-precision",
)
PARTS = re.compile(
    r"(.*?)\.(?:(?:weight\.)?(bitmask|compressed|shape|row_offsets)"
    r"|(weight(?:_packed|_shape|_scale|_zero_point|_g_idx)?))"
)
OF_ACTIVATIONS = re.compile(r"(input|output|[qkv])_(scale|zero_point)")
WHOLE_BITS = (1, 2, 4, 8)
"""Widths of which a word of 32 bits holds a whole number: here old and new files pack alike."""

Parts = Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """What the configuration says of quantised weights: all widths, and all spans of one scale."""

    bits: frozenset[int]
    spans: frozenset[int]


def check(settings: Mapping[str, Any]) -> None:
    """ValueError, in one line, for a format that is not read here."""
    sparsity = settings.get("sparsity_config") or {}
    groups = (settings.get("config_groups") or {}).values()
    pairs: list[tuple[str, Any, tuple[str, ...]]] = [
        ("sparsity_config.format", sparsity.get("format", "dense"), SPARSE_FORMATS)
    ]
    formats = [settings.get("format", "dense"), *(group.get("format") or "dense" for group in groups)]
    pairs += [("format", each, QUANTISED_FORMATS) for each in formats]
    for key, found, known in pairs:
        if found not in known:
            raise ValueError(f"{key} of {METHOD} must be one of {', '.join(known)}, not {found!r}")


def decompressed(
    tensors: Mapping[str, torch.Tensor], settings: Mapping[str, Any]
) -> tuple[dict[str, torch.Tensor], str]:
    """All weights as plain matrices under their plain names, and a line that says what was done.

    Scaled weights have the type of their scales. ValueError if parts of a weight do not fit each other.
    """
    check(settings)
    scheme = _scheme(settings)
    two_four = (settings.get("sparsity_config") or {}).get("format") == "sparse-24-bitmask"
    plain: dict[str, torch.Tensor] = {}
    filled = scaled = 0
    for name, parts in _gathered(tensors, plain):
        if "bitmask" in parts:
            parts = {**parts, "weight": _filled(name, parts, two_four)}
            filled += 1
        if "weight_scale" in parts:
            parts = {**parts, "weight": _scaled(name, parts, scheme)}
            scaled += 1
        if "weight" not in parts:
            raise ValueError(f"{name}.weight must be there, not only {', '.join(sorted(parts))}")
        plain[f"{name}.weight"] = parts["weight"]
    return plain, (
        f"weights from {METHOD}: {filled} sparse ones filled in, {scaled} quantised ones scaled back; "
        "activations are not quantised"
    )


def _gathered(
    tensors: Mapping[str, torch.Tensor], plain: dict[str, torch.Tensor]
) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """The parts of each weight by its layer; what is no part of any goes into `plain` as it is."""
    layers: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        found = PARTS.fullmatch(name)
        if found:
            layers.setdefault(found[1], {})[found[2] or found[3]] = tensor
        elif not OF_ACTIVATIONS.fullmatch(name.rpartition(".")[2]):
            plain[name] = tensor
    yield from layers.items()


def _scheme(settings: Mapping[str, Any]) -> Scheme:
    """Gathered over all groups of layers: the shapes of the parts tell which one a layer follows."""
    bits, spans = set(), set()
    for group in (settings.get("config_groups") or {}).values():
        weights = group.get("weights") or {}
        numbers = [weights.get("group_size"), *(weights.get("block_structure") or ())]
        bits |= {weights["num_bits"]} if isinstance(weights.get("num_bits"), int) else set()
        spans |= {number for number in numbers if isinstance(number, int) and number > 0}
    return Scheme(bits=frozenset(bits), spans=frozenset(spans))


def _filled(name: str, parts: Parts, two_four: bool) -> torch.Tensor:
    """Kept weights at the places of the bits, zeros elsewhere; `two_four`: the bits claim to be 2:4."""
    for part in ("compressed", "shape"):
        if part not in parts:
            raise ValueError(f"{name}.{part} must be there beside {name}.bitmask")
    kept, bits = parts["compressed"].flatten(), parts["bitmask"]
    shape = _shape(f"{name}.shape", parts["shape"])
    wanted = (*shape[:-1], -(-shape[-1] // 8))
    if bits.dtype != torch.uint8 or tuple(bits.shape) != wanted:
        raise ValueError(f"{name}.bitmask must be {wanted} bytes, not {tuple(bits.shape)} of {bits.dtype}")
    unpacked = np.unpackbits(bits.numpy(), axis=-1, count=shape[-1], bitorder="little")
    if two_four and (full := full_group(unpacked.view(np.bool_), FORMATS["fp16"])):
        raise ValueError(f"{name}.bitmask must be 2:4, not {full}")
    mask = torch.from_numpy(unpacked).bool()
    if int(mask.sum()) != kept.numel():
        raise ValueError(
            f"{name}.compressed must hold the {int(mask.sum())} weights of the bitmask, not {kept.numel()}"
        )
    # Types of one byte are moved as bytes: torch does not scatter all of them.
    moved = kept.view(torch.uint8) if kept.element_size() == 1 else kept
    dense = torch.zeros(shape, dtype=moved.dtype)
    dense[mask] = moved
    return dense.view(kept.dtype)


def _scaled(name: str, parts: Parts, scheme: Scheme) -> torch.Tensor:
    """(weight - zero point) x scale, in the type of the scale."""
    scale = parts["weight_scale"]
    if not scale.is_floating_point():
        raise ValueError(f"{name}.weight_scale must be of floats, not {scale.dtype}")
    weight, zero = parts.get("weight"), parts.get("weight_zero_point")
    if weight is None:
        if "weight_packed" not in parts or "weight_shape" not in parts:
            raise ValueError(f"{name} must have a weight, or weight_packed with weight_shape")
        shape = _shape(f"{name}.weight_shape", parts["weight_shape"])
        bits = _width(f"{name}.weight_packed", parts["weight_packed"], shape, scheme)
        weight = unpacked(parts["weight_packed"], bits, shape[-1])
        if zero is not None and zero.dtype == torch.int32 and zero.shape != scale.shape:
            zero = unpacked(zero.transpose(-1, -2), bits, shape[-2]).transpose(-1, -2)
    values = weight.to(scale.dtype)
    group_of_column = parts.get("weight_g_idx")
    if zero is not None:
        values = values - _spread(f"{name}.weight_zero_point", zero, values, scheme, group_of_column)
    return values * _spread(f"{name}.weight_scale", scale, values, scheme, group_of_column)


def unpacked(words: torch.Tensor, bits: int, count: int) -> torch.Tensor:
    """Signed integers along the last axis, the lowest bits first; stored with 2^(bits-1) added."""
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    fields = (words.unsqueeze(-1) >> shifts) & ((1 << bits) - 1)
    return (fields - (1 << (bits - 1))).flatten(-2)[..., :count].to(torch.int16)


def _width(name: str, words: torch.Tensor, shape: tuple[int, ...], scheme: Scheme) -> int:
    """Bits of a packed integer: the width in the configuration for which the words are as many as needed."""
    fitting = [
        bits
        for bits in WHOLE_BITS
        if bits in scheme.bits and tuple(words.shape) == (*shape[:-1], -(-shape[-1] * bits // 32))
    ]
    if words.dtype != torch.int32 or len(fitting) != 1:
        widths = ", ".join(map(str, sorted(scheme.bits))) or "unknown"
        raise ValueError(
            f"{name} must be words of 32 bits for {shape} integers of 1, 2, 4 or 8 bits, "
            f"not {tuple(words.shape)} of {words.dtype} ({widths} bits configured)"
        )
    return fitting[0]


def _spread(
    name: str, each: torch.Tensor, values: torch.Tensor, scheme: Scheme, group_of_column: torch.Tensor | None
) -> torch.Tensor:
    """Scales or zero points, of the whole weight or of rows, groups or blocks, so that they fit `values`."""
    each = each.to(values.dtype)
    if each.numel() == 1:
        return each.reshape(())
    if each.dim() == values.dim() - 1:
        each = each.unsqueeze(-1)
    if each.dim() != values.dim() or each.shape[:-2] != values.shape[:-2]:
        raise ValueError(f"{name} must fit a weight of {tuple(values.shape)}, not be {tuple(each.shape)}")
    if group_of_column is not None and bool((group_of_column >= 0).all()):
        if group_of_column.shape != values.shape[-1:] or int(group_of_column.max()) >= each.shape[-1]:
            raise ValueError(f"{name} must have a group for every column of {tuple(values.shape)}")
        return each[..., group_of_column.long()]
    for axis in (-2, -1):
        size, count = int(values.shape[axis]), int(each.shape[axis])
        if count in (1, size):
            continue
        # The configured span first: the last group or block may be a short one.
        spans = [span for span in scheme.spans if -(-size // span) == count]
        span = min(spans) if spans else size // count if size % count == 0 else 0
        if not span:
            raise ValueError(f"{name} must fit a weight of {tuple(values.shape)}, not be {tuple(each.shape)}")
        each = each.repeat_interleave(span, axis).narrow(axis, 0, size)
    return each


def _shape(name: str, stored: torch.Tensor) -> tuple[int, ...]:
    """A shape that was stored as a tensor."""
    if stored.is_floating_point() or not 2 <= stored.numel() <= 4 or bool((stored < 1).any()):
        raise ValueError(
            f"{name} must hold the 2 to 4 sizes of a weight, not {stored.flatten()[:5].tolist()}"
        )
    return tuple(int(size) for size in stored.flatten())
