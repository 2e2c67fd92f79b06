"""Layers of attention as the machine `spatten` finds them: images in memory, lists, and registers."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.attention import keep_count
from accelsim.golden.fixed import split_lsb
from accelsim.golden.integer_attention import Operands, score_scaling
from accelsim.units.spatten import Machine as Parameters
from accelsim.units.spatten.parameters import KINDS
from accelsim.units.step import pack, unpack
from accelsim_rtl.entries.register_writes import Written, beats, write
from accelsim_rtl.kit.unit import Transaction

MOST_KEYS, MOST_QUERIES, MOST_HEADS = 10, 3, 2
SPREAD = 2.0
"""Standard deviation of the scores of a drawn head."""

Raw = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """Q (heads, positions, dim), K (stored heads, positions, dim), V (stored heads, positions, value_dim).

    tokens, heads: kept ones, of each head whose K and V it uses. widths: bits in memory of an element of Q,
    of the most significant part of K, of V, and of the least significant part of K, which may be 0.
    fails: memory answers with an error where the first kept token has its K.
    """

    query: Raw
    key: Raw
    value: Raw
    tokens: list[int]
    heads: list[tuple[int, int]]
    queries: int
    widths: dict[str, int]
    score_scale: float
    values: int
    threshold: int
    visible: int | None = None
    listed: bool = False
    streamed: bool = False
    fails: bool = False


class Room:
    """Memory that layers share: beats are given away from below, of what is read and of what is written."""

    def __init__(self, parameters: Parameters) -> None:
        self._bits, self._most = parameters.address_bits, 1 << parameters.fetcher.beat_address_bits
        self._given = {"read": 0, "written": 0}

    def take(self, beats: int, kind: str = "read") -> int:
        """The first of so many beats. ValueError if there are no more."""
        first = self._given[kind]
        self._given[kind] += beats
        if self._given[kind] > self._most:
            raise ValueError(f"address_bits must reach all layers of the bench, not {self._bits}")
        return first


def drawn(parameters: Parameters, number: int, generator: np.random.Generator) -> Layer:
    """A layer of any shape that the machine takes: the first without pruning, the second with all of it."""
    head = parameters.head
    dims = [_drawn_dim(parameters, generator) for _ in range(2)]
    longest = max(parameters.least_level, (max(dims) - 1).bit_length())
    fits = parameters.store.pieces * parameters.lanes >> longest
    positions = min(1 << parameters.position_bits, 2 * MOST_KEYS, 2 * head.keys)
    most = min(MOST_KEYS, head.keys, fits, positions)
    keys = {0: most, 1: most}.get(number, int(generator.integers(1, most + 1)))
    tokens = sorted(generator.permutation(positions)[:keys].tolist())
    total = min(parameters.heads, MOST_HEADS + 1)
    groups = int(generator.integers(1, 3))
    kept = sorted(generator.permutation(total)[: int(generator.integers(1, MOST_HEADS + 1))].tolist())
    queries = int(generator.integers(1, min(MOST_QUERIES, keys) + 1))
    widths = _widths(parameters, number, generator)
    lsb = widths["least"]
    half = {kind: 1 << (bits - 1) for kind, bits in widths.items() if bits}
    whole = 1 << (widths["key"] + lsb - 1)
    stored = -(-total // groups)
    return Layer(
        query=generator.integers(-half["query"], half["query"], (total, positions, dims[0])),
        key=generator.integers(-whole, whole, (stored, positions, dims[0])),
        value=generator.integers(-half["value"], half["value"], (stored, positions, dims[1])),
        tokens=tokens,
        heads=[(one, one // groups) for one in kept],
        queries=queries,
        widths=widths,
        score_scale=SPREAD / (sqrt(dims[0]) * half["query"] * whole / 3),
        values=keys if number == 0 else keep_count(keys, float(generator.choice([0.2, 0.5, 0.9]))),
        threshold=int(generator.integers(1, head.form.one // 2 + 1)) if lsb else 0,
        visible=None if generator.integers(3) else int(generator.integers(1, keys + 1)),
        listed=bool(generator.integers(2)),
        streamed=number == 1 or not generator.integers(3),
        fails=not generator.integers(3),
    )


def _drawn_dim(parameters: Parameters, generator: np.random.Generator) -> int:
    """A length of vectors that fills all pieces of its places, and whose record a request can name."""
    most = ((1 << parameters.burst_bits) - 1) * parameters.beat_bits // parameters.widths[-1]
    spans = []
    for level in range(parameters.least_level, parameters.head.dot.levels + 1):
        least, end = (1 << level) - parameters.lanes + 1, min(1 << level, most)
        if least <= end:
            spans.append((least, end))
    if not spans:
        raise ValueError(f"burst_bits must allow a record of a vector, not {parameters.burst_bits}")
    least, end = spans[int(generator.integers(len(spans)))]
    return int(generator.integers(least, end + 1))


def _widths(parameters: Parameters, number: int, generator: np.random.Generator) -> dict[str, int]:
    """Of Q, K, its least significant part and V; the second layer has such parts."""
    most = min(parameters.lsb_bits, 4)
    pairs = [
        (key, lsb)
        for key in parameters.widths
        for lsb in (0, *parameters.widths)
        if lsb <= most and key + lsb in parameters.widths and key > 1
    ]
    choices = [pair for pair in pairs if bool(pair[1]) == (number == 1)] or pairs
    key, lsb = choices[int(generator.integers(len(choices)))]
    return {"query": key + lsb, "key": key, "value": int(generator.choice(parameters.widths)), "least": lsb}


def transaction(parameters: Parameters, layer: Layer, room: Room) -> Transaction:
    """What software does, and what memory is: `memory` has beats with their addresses above them, `errors`
    addresses that it answers with an error."""
    registers, words = parameters.map, write(parameters.map, "control", clear=1)
    for position in layer.tokens:
        words += write(registers, "token", position=position, append=1)
    for query, stored in layer.heads:
        words += write(registers, "head", query=query, stored=stored, append=1)
    lsb = layer.widths["least"]
    msb, rest = split_lsb(layer.key, lsb)
    memory: list[int] = []
    errors: list[int] = []
    planes = {"query": layer.query, "key": msb, "value": layer.value, "least": rest}
    for kind in KINDS:
        width = layer.widths[kind]
        if not width:
            continue
        heads, positions, dim = planes[kind].shape
        record = -(-dim * width // parameters.beat_bits)
        base = room.take(heads * positions * record)
        words += write(registers, kind, base=base)
        words += write(registers, f"{kind}_head", stride=positions * record)
        words += write(registers, f"{kind}_record", width=width, beats=record)
        memory += _image(parameters, planes[kind], width, base)
        if kind == "key" and layer.fails:
            first = base + (layer.heads[0][1] * positions + layer.tokens[0]) * record
            errors.append(first * parameters.beat_bits // 8)
    dim, value_dim = layer.key.shape[2], layer.value.shape[2]
    level, value_level = (max(parameters.least_level, (one - 1).bit_length()) for one in (dim, value_dim))
    scale, shift = score_scaling(layer.score_scale, parameters.head.attention())
    words += write(
        registers,
        "layer",
        queries=layer.queries,
        values=layer.values,
        visible=layer.visible or 0,
        causal=layer.visible is not None,
        listed=layer.listed,
        streamed=layer.streamed,
    )
    words += write(registers, "vectors", dim=dim, value_dim=value_dim, level=level, value_level=value_level)
    words += write(registers, "score", scale=scale, shift=shift, threshold=layer.threshold, ignored=lsb)
    rows = len(layer.heads) * layer.queries
    for name, count in (
        ("outputs", rows * parameters.row_beats(value_level)),
        ("importance", parameters.sum_beats(len(layer.tokens))),
        ("magnitudes", len(layer.heads)),
    ):
        words += write(registers, name, address=room.take(count, "written") * parameters.writer.port.bytes)
    work = beats(words + write(registers, "control", start=1))
    return work | {"memory": memory, "errors": errors}


def _image(parameters: Parameters, vectors: Raw, width: int, base: int) -> list[int]:
    """Beats of all records, one behind the other."""
    found = []
    mask, bits = (1 << parameters.beat_bits) - 1, parameters.beat_bits
    record = -(-vectors.shape[2] * width // bits)
    for number, vector in enumerate(vectors.reshape(-1, vectors.shape[2]).tolist()):
        packed = pack([element & (1 << width) - 1 for element in vector], width)
        for beat in range(record):
            address = (base + number * record + beat) * (bits // 8)
            found.append(address << bits | packed >> beat * bits & mask)
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """A layer as registers, lists and memory tell it: what golden gets. fields: of all registers."""

    operands: Operands
    valid: npt.NDArray[np.bool_]
    tokens: list[int]
    heads: list[tuple[int, int]]
    fields: dict[str, int]


def asked_of(parameters: Parameters, transaction: Transaction) -> Asked:
    """Read a transaction as the machine must."""
    written = Written(parameters.map)
    tokens: list[int] = []
    heads: list[tuple[int, int]] = []
    for address, payload in zip(transaction["s_axil_aw"], transaction["s_axil_w"], strict=True):
        register = written.put(address, payload)
        if register == "token" and written.value("token", "append"):
            tokens.append(written.value("token", "position"))
        if register == "head" and written.value("head", "append"):
            heads.append((written.value("head", "query"), written.value("head", "stored")))
    fields = {
        f"{register.name}_{field.name}": written.value(register.name, field.name)
        for register, field in parameters.map.fields()
    }
    bits = parameters.beat_bits
    words = {word >> bits: word & (1 << bits) - 1 for word in transaction["memory"]}

    def vectors(kind: str, which: int, positions: list[int], dim: int, signed: bool) -> Raw:
        return np.array(
            [_vectors(parameters, words, fields, kind, head[which], positions, dim, signed) for head in heads]
        )

    queries, lsb = fields["layer_queries"], fields["score_ignored"]
    dim = fields["vectors_dim"]
    own = tokens[:queries] if fields["layer_listed"] else list(range(queries))
    key = vectors("key", 1, tokens, dim, True) << lsb
    if lsb:
        key |= vectors("least", 1, tokens, dim, False)
    sees = (
        fields["layer_visible"] + np.arange(queries) if fields["layer_causal"] else np.full(queries, 1 << 30)
    )
    fraction = parameters.head.score.fraction_bits
    return Asked(
        operands=Operands(
            query=vectors("query", 0, own, dim, True),
            key=key,
            value=vectors("value", 1, tokens, fields["vectors_value_dim"], True),
            score_scale=fields["score_scale"] / 2.0 ** (fields["score_shift"] + fraction),
            value_scale=1.0,
        ),
        valid=(np.arange(len(tokens)) < sees[:, None])[None],
        tokens=tokens,
        heads=heads,
        fields=fields,
    )


def _vectors(
    parameters: Parameters,
    words: dict[int, int],
    fields: dict[str, int],
    kind: str,
    head: int,
    positions: list[int],
    dim: int,
    signed: bool,
) -> Any:
    """Vectors of a head as its records hold them."""
    beats, width = fields[f"{kind}_record_beats"], fields[f"{kind}_record_width"]
    first = fields[f"{kind}_base"] + head * fields[f"{kind}_head_stride"]
    found = []
    for position in positions:
        addresses = [(first + position * beats + beat) * parameters.beat_bits // 8 for beat in range(beats)]
        elements = np.array(unpack(pack([words[one] for one in addresses], parameters.beat_bits), width, dim))
        sign = 1 << (width - 1)
        found.append((elements ^ sign) - sign if signed else elements)
    return np.array(found)
