"""Operators that no machine here understands: which of them multiply, and how often.

What torch's own counter knows is asked there; of the others the counts are those of the definition, and of a
Fourier transform those of butterflies with two inputs (Cooley and Tukey, 1965).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import log2
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

Bound = Mapping[str, Any]
"""Arguments of an operator by their names in its schema, defaults filled in."""

MULTIPLIES = re.compile(
    r"mm(_|$)|matmul|mv_?$|dot|conv(?!ert)|attention|rnn|lstm|gru|linear|fft_[cr]2|_dist|dist_forward"
    r"|transformer|linalg_|cholesky|solve|^svd$|^qr$|geqrf|ormqr|orgqr"
)
DOES_NOT = re.compile(
    r"upsample|prepack(?!ed)|unpack|fbgemm_pack|quantize_weight|reorder|backward|histogram|flatten_weight"
    r"|norm|copy|prelu|search|gamma|diagonal|linalg_cross|check_errors"
)
"""Names of the operators of torch 2.13 that multiply and accumulate, and what else their words are in."""

OURS = ("aten", "prim", "prims", "profiler", "inductor", "quantized", "_quantized")
"""Whose operators are told by their names; any other library's may hide products."""


def may_hide_products(packet: Any) -> bool:
    """Whether an operator that is not written down here has to be listed."""
    namespace, _, op = str(packet._qualified_op_name).partition("::")
    return packet in flop_registry or namespace not in OURS or multiplies(op)


def multiplies(name: str) -> bool:
    """Whether an operator of torch that is not written down here multiplies and accumulates, by its name."""
    return bool(MULTIPLIES.search(name)) and not DOES_NOT.search(name)


def counted(packet: Any, call: Bound, result: Any) -> int:
    """Multiply-accumulates of an operator; 0 if nobody knows."""
    formula = flop_registry.get(packet)
    if formula is not None:
        return int(formula(*call.values(), out_val=result)) // 2
    op = str(packet._qualified_op_name).partition("::")[2]
    if not isinstance(result, torch.Tensor):
        return _of_recurrent(op, call, result)
    for pattern, count in COUNTS:
        if re.fullmatch(pattern, op):
            return count(call, result)
    return 0


def _sums_of_last_axis(call: Bound, result: torch.Tensor) -> int:
    """A row by a weight, or a row's distance from another: a term for each element of the row."""
    return int(result.numel()) * _length(call)


def _trilinear(call: Bound, result: torch.Tensor) -> int:
    """Three tensors are multiplied over all their axes, and some of these are summed."""
    sizes = [1] * 16
    for index in ("1", "2", "3"):
        shape = list(call[f"i{index}"].shape)
        for axis in sorted(call[f"expand{index}"]):
            shape.insert(axis, 1)
        sizes = [max(pair) for pair in zip(sizes, [*shape, *[1] * (16 - len(shape))], strict=True)]
    return 2 * int(torch.Size(sizes).numel())


def _substitution(call: Bound, result: torch.Tensor) -> int:
    """Every unknown takes one product for each that was found before."""
    size = int(call["self"].shape[-1])
    return int(result.numel()) * (size - 1) // 2


def _fourier(call: Bound, result: torch.Tensor, complex_sides: int = 2) -> int:
    """Four real products for each complex one, n/2 log2 n of these; half as many if one side is real."""
    whole = max(call["self"], result, key=torch.Tensor.numel)
    levels = sum(log2(whole.shape[axis]) for axis in call["dim"])
    return round(int(whole.numel()) * levels * complex_sides)


def _fourier_of_reals(call: Bound, result: torch.Tensor) -> int:
    return _fourier(call, result, 1)


COUNTS: Sequence[tuple[str, Callable[[Bound, torch.Tensor], int]]] = (
    (r"_trilinear", _trilinear),
    (r"_fft_c2c", _fourier),
    (r"_fft_r2c|_fft_c2r", _fourier_of_reals),
    (r"_cdist_forward|_euclidean_dist|_pdist_forward", _sums_of_last_axis),
    (r"linalg_solve_triangular", _substitution),
    (
        r".*linear(?!_combination).*|.*grouped_mm.*|_weight_int4pack_mm.*|_dyn_quant_matmul_4bit",
        _sums_of_last_axis,
    ),
)


def _length(call: Bound) -> int:
    """Of the last axis of the first tensor."""
    rows = next((value for value in call.values() if isinstance(value, torch.Tensor)), None)
    return int(rows.shape[-1]) if rows is not None and rows.dim() else 0


def _of_recurrent(op: str, call: Bound, result: Any) -> int:
    """Layers of a quantised LSTM or GRU, whose weights lie in packed parameters: told from the shapes."""
    gates = {"quantized_lstm": 4, "quantized_gru": 3}.get(op, 0)
    if not gates or "num_layers" not in call:
        return 0
    rows, state = call["input"], result[1]
    count = int(rows.numel()) // int(rows.shape[-1])
    hidden, both = int(state.shape[-1]), 2 if call["bidirectional"] else 1
    layers = int(call["num_layers"])
    inputs = int(rows.shape[-1]) + (layers - 1) * hidden * both
    return count * both * gates * hidden * (inputs + layers * hidden)
