"""Sixteen lanes as one value inside kernels: a numba type for LLVM's vectors, and the operations on it.

Lanes hold float32 or int32. Everything is plain LLVM IR, which suits every processor, but for the look-up in
a table of 16 (`multiplied`), which is one instruction with AVX-512 and a few with AVX2. Without compilation
the operations are the numpy functions that stand beside them, which also say what they mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

WIDTH = 16
"""Lanes."""

FLOAT = ir.VectorType(ir.FloatType(), WIDTH)
INTEGER = ir.VectorType(ir.IntType(32), WIDTH)
SHORT = ir.VectorType(ir.IntType(16), WIDTH)
BYTE = ir.VectorType(ir.IntType(8), WIDTH)
HALF = ir.VectorType(ir.HalfType(), WIDTH)
LONG = ir.VectorType(ir.IntType(64), WIDTH)


class Lanes(types.Type):
    """Numba's type of 16 lanes; `vector` is LLVM's."""

    def __init__(self, name: str, vector: ir.VectorType) -> None:
        self.vector = vector
        super().__init__(name=f"Lanes({name})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, lanes.vector)


FLOATS = Lanes("float32", FLOAT)
INTEGERS = Lanes("int32", INTEGER)

# What lies in memory, and the lanes that it becomes. Numba has no 16-bit floats: FP16 comes as int16 words,
# BF16 as uint16 words.
STORED = {
    types.float32: (FLOAT, FLOATS),
    types.int16: (SHORT, FLOATS),
    types.uint16: (SHORT, FLOATS),
    types.int32: (INTEGER, INTEGERS),
    types.uint32: (INTEGER, INTEGERS),
    types.int8: (BYTE, INTEGERS),
}


def _operation(plain: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """The compiled operation, or its plain meaning where nothing is compiled."""
    return lambda typed: plain if numba.config.DISABLE_JIT else intrinsic(typed)


def _plain_load(array: Any, at: int) -> Any:
    stored = array[at : at + WIDTH]
    if array.dtype == np.int16:
        return stored.view(np.float16).astype(np.float32)
    if array.dtype == np.uint16:
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return stored.astype(np.float32 if array.dtype == np.float32 else np.int32)


@_operation(_plain_load)
def load(_context: Any, array: Any, _at: Any) -> Any:
    """Sixteen neighbours of a flat array, widened to lanes."""
    vector, lanes = STORED[array.dtype]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(_pointer(context, builder, signature, arguments, vector), align=1)
        if array.dtype == types.int8:
            return builder.sext(value, INTEGER)
        if array.dtype == types.int16:
            return builder.fpext(builder.bitcast(value, HALF), FLOAT)
        if array.dtype == types.uint16:
            return builder.bitcast(builder.shl(builder.zext(value, INTEGER), _splat(16)), FLOAT)
        return value

    return lanes(array, types.intp), generate


def _plain_store(array: Any, at: int, lanes: Any) -> None:
    array[at : at + WIDTH] = lanes


@_operation(_plain_store)
def store(_context: Any, array: Any, _at: Any, lanes: Any) -> Any:
    """Lanes to sixteen neighbours of a flat array of float32 or int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature, arguments, lanes.vector)
        builder.store(arguments[2], pointer, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


def _plain_add_long(array: Any, at: int, lanes: Any) -> None:
    array[at : at + WIDTH] += lanes


@_operation(_plain_add_long)
def add_long(_context: Any, array: Any, _at: Any, _lanes: Any) -> Any:
    """Integer lanes added to sixteen neighbours of a flat array of int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature, arguments, LONG)
        total = builder.add(builder.load(pointer, align=1), builder.sext(arguments[2], LONG))
        builder.store(total, pointer, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, INTEGERS), generate


def _plain_loads(array: Any, at: int, step: int, like: tuple[Any, ...]) -> Any:
    return tuple(_plain_load(array, at + row * step) for row in range(len(like)))


@_operation(_plain_loads)
def loads(_context: Any, array: Any, _at: Any, _step: Any, like: Any) -> Any:
    """As many lanes as the tuple `like` is long, `step` elements apart."""
    vector, lanes = STORED[array.dtype]
    several = types.UniTuple(lanes, len(like))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature, arguments, vector.element)
        found = []
        for row in range(len(like)):
            place = builder.gep(pointer, [builder.mul(arguments[2], arguments[2].type(row))])
            found.append(builder.load(builder.bitcast(place, vector.as_pointer()), align=1))
        return context.make_tuple(builder, several, found)

    return several(array, types.intp, types.intp, like), generate


def _plain_zeros(array: Any, like: tuple[Any, ...]) -> Any:
    kind = np.float32 if array.dtype == np.float32 else np.int32
    return tuple(np.zeros(WIDTH, kind) for _ in like)


@_operation(_plain_zeros)
def zeros(_context: Any, array: Any, like: Any) -> Any:
    """As many zero lanes as `like` is long, of the element of `array`."""
    vector, lanes = STORED[array.dtype]
    several = types.UniTuple(lanes, len(like))

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        return context.make_tuple(builder, several, [ir.Constant(vector, None)] * len(like))

    return several(array, like), generate


def _plain_shifted(words: Any, bits: int) -> Any:
    return (words.view(np.uint32) >> np.uint32(bits)).view(np.int32)


@_operation(_plain_shifted)
def shifted(_context: Any, _words: Any, _bits: Any) -> Any:
    """Words shifted right by the same number of bits, zeros from above."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.lshr(arguments[0], _broadcast(builder, arguments[1]))

    return INTEGERS(INTEGERS, types.intp), generate


def _plain_multiplied(sums: Any, tables: Any, index: Any, values: Any) -> Any:
    return tuple(
        total + table[index & (WIDTH - 1)] * values for total, table in zip(sums, tables, strict=True)
    )


@_operation(_plain_multiplied)
def multiplied(_context: Any, sums: Any, tables: Any, _index: Any, values: Any) -> Any:
    """Each sum plus values x what the low four bits of `index` find in its table, lane by lane."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        totals, several, index, factors = arguments
        found = []
        for row in range(len(sums)):
            picked = _picked(context, builder, builder.extract_value(several, row), index)
            found.append(_fused(builder, picked, factors, builder.extract_value(totals, row)))
        return context.make_tuple(builder, sums, found)

    return sums(sums, tables, INTEGERS, values), generate


def _plain_multiplied_wide(sums: Any, tables: Any, uppers: Any, index: Any, values: Any) -> Any:
    return tuple(
        total + np.concatenate([table, upper])[index & (2 * WIDTH - 1)] * values
        for total, table, upper in zip(sums, tables, uppers, strict=True)
    )


@_operation(_plain_multiplied_wide)
def multiplied_wide(_context: Any, sums: Any, tables: Any, _uppers: Any, _index: Any, values: Any) -> Any:
    """`multiplied` with tables of 32 in two halves, which five bits of the index look up."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        totals, lower, upper, index, factors = arguments
        above = builder.icmp_signed("!=", builder.and_(index, _splat(WIDTH)), _splat(0))
        found = []
        for row in range(len(sums)):
            low, high = (
                _picked(context, builder, builder.extract_value(half, row), index) for half in (lower, upper)
            )
            picked = builder.select(above, high, low)
            found.append(_fused(builder, picked, factors, builder.extract_value(totals, row)))
        return context.make_tuple(builder, sums, found)

    return sums(sums, tables, tables, INTEGERS, values), generate


def _plain_added(lanes: Any, others: Any) -> Any:
    return tuple(one + other for one, other in zip(lanes, others, strict=True))


@_operation(_plain_added)
def added(_context: Any, several: Any, _others: Any) -> Any:
    """Sums of two tuples of lanes."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        add = builder.fadd if several.dtype == FLOATS else builder.add
        found = [
            add(*(builder.extract_value(each, row) for each in arguments)) for row in range(len(several))
        ]
        return context.make_tuple(builder, several, found)

    return several(several, several), generate


def _plain_paired(sums: Any, pairs: Any, at: int, step: int, words: Any) -> Any:
    low, high = words.astype(np.int16).astype(np.int32), words >> 16
    found = []
    for row, total in enumerate(sums):
        pair = pairs[at + row * step : at + row * step + 1]
        found.append(total + low * pair.astype(np.int16).astype(np.int32) + high * (pair >> 16))
    return tuple(found)


@_operation(_plain_paired)
def paired(_context: Any, sums: Any, pairs: Any, _at: Any, _step: Any, _words: Any) -> Any:
    """Each sum plus both products of the 16-bit halves of every word and of `pairs[at + row x step]`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        totals, array, at, step, words = arguments
        base = context.make_array(signature.args[1])(context, builder, array).data
        found = []
        for row in range(len(sums)):
            place = builder.add(at, builder.mul(step, step.type(row)))
            pair = _broadcast(builder, builder.load(builder.gep(base, [place])))
            product = _pair_products(context, builder, words, pair)
            found.append(builder.add(product, builder.extract_value(totals, row)))
        return context.make_tuple(builder, sums, found)

    return sums(sums, pairs, types.intp, types.intp, INTEGERS), generate


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any, pointee: Any) -> Any:
    """Of the element at the second argument in the array that is the first."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), pointee.as_pointer())


def _splat(number: int) -> ir.Constant:
    return ir.Constant(INTEGER, [number] * WIDTH)


def _broadcast(builder: Any, scalar: Any) -> Any:
    """The low 32 bits of an integer in every lane."""
    if scalar.type.width > 32:
        scalar = builder.trunc(scalar, ir.IntType(32))
    single = builder.insert_element(ir.Constant(INTEGER, ir.Undefined), scalar, ir.IntType(32)(0))
    return builder.shuffle_vector(single, single, _splat(0))


def _fused(builder: Any, left: Any, right: Any, total: Any) -> Any:
    if left.type == INTEGER:
        return builder.add(builder.mul(left, right), total)
    # Fused where the processor does so quickly, else two operations.
    function = _function(builder, FLOAT, [FLOAT] * 3, "llvm.fmuladd.v16f32")
    return builder.call(function, [left, right, total])


def _has(context: Any, feature: str) -> bool:
    """Whether code for the processor at hand may use an instruction set."""
    return f"+{feature}" in context.codegen().magic_tuple()[2].split(",")


def _picked(context: Any, builder: Any, table: Any, index: Any) -> Any:
    """table[index mod 16] in every lane."""
    kind = "sf" if table.type == FLOAT else "si"
    if _has(context, "avx512f"):
        name = f"llvm.x86.avx512.permvar.{kind}.512"
        return builder.call(_function(builder, table.type, [table.type, INTEGER], name), [table, index])
    if _has(context, "avx2"):
        return _picked_in_halves(builder, table, index, "ps" if kind == "sf" else "d")
    memory = cgutils.alloca_once(builder, table.type)
    builder.store(table, memory)
    elements = builder.bitcast(memory, table.type.element.as_pointer())
    low = builder.and_(index, _splat(WIDTH - 1))
    found = ir.Constant(table.type, ir.Undefined)
    for lane in range(WIDTH):
        number = ir.IntType(32)(lane)
        place = builder.gep(elements, [builder.extract_element(low, number)])
        found = builder.insert_element(found, builder.load(place), number)
    return found


def _picked_in_halves(builder: Any, table: Any, index: Any, suffix: str) -> Any:
    """With AVX2: look-ups in eight, for each half of the lanes in both halves of the table."""
    element = table.type.element
    eight, integers = ir.VectorType(element, 8), ir.VectorType(ir.IntType(32), 8)
    permute = _function(builder, eight, [eight, integers], f"llvm.x86.avx2.perm{suffix}")
    halves = [ir.Constant(integers, list(range(first, first + 8))) for first in (0, 8)]
    lower, upper = (builder.shuffle_vector(table, table, half) for half in halves)
    found = []
    for half in halves:
        some = builder.shuffle_vector(index, index, half)
        above = builder.icmp_signed(
            "!=", builder.and_(some, ir.Constant(integers, [8] * 8)), ir.Constant(integers, [0] * 8)
        )
        low, high = (builder.call(permute, [part, some]) for part in (lower, upper))
        found.append(builder.select(above, high, low))
    return builder.shuffle_vector(*found, ir.Constant(INTEGER, list(range(WIDTH))))


def _pair_products(context: Any, builder: Any, left: Any, right: Any) -> Any:
    """Low x low + high x high of the 16-bit halves of every word."""
    if _has(context, "avx512bw"):
        shorts = ir.VectorType(ir.IntType(16), 2 * WIDTH)
        function = _function(builder, INTEGER, [shorts, shorts], "llvm.x86.avx512.pmaddw.d.512")
        return builder.call(function, [builder.bitcast(each, shorts) for each in (left, right)])
    lows = (builder.ashr(builder.shl(each, _splat(16)), _splat(16)) for each in (left, right))
    highs = (builder.ashr(each, _splat(16)) for each in (left, right))
    return builder.add(builder.mul(*lows), builder.mul(*highs))


def _function(builder: Any, result: Any, arguments: list[Any], name: str) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)
