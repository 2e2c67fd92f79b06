"""`sat.sore` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.formats import reduce_nm
from accelsim.units import sore as unit
from accelsim.units.sore import Pair, pack_beat, pack_groups, unpack_beat
from accelsim.units.sore import Sore as Parameters
from accelsim.workload import Workload
from accelsim_rtl.kit.replay import Replayed, group_tiles
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.sore import Sore

BEATS = 240
"""Least beats of a stimulus; every kind of group comes at least twice in some lane."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Groups of every kind of `KINDS`, another in every lane; each sixth group ends early."""
    transactions: list[Transaction] = []
    for number in range(max(2 * len(KINDS), BEATS // parameters.m)):
        length = parameters.m if number % 6 else int(generator.integers(1, parameters.m + 1))
        lanes = [
            KINDS[(number + lane) % len(KINDS)](parameters, length, generator)
            for lane in range(parameters.lanes)
        ]
        # The mark of a full group's last beat may be there or not.
        marked = length < parameters.m or bool(generator.integers(2))
        beats = [
            pack_beat(parameters, [lane[beat] for lane in lanes], last=marked and beat == length - 1)
            for beat in range(length)
        ]
        transactions.append({"weights": beats})
    return transactions


def _drawn(parameters: Parameters, length: int, generator: np.random.Generator) -> list[int]:
    """Any bits."""
    words = generator.integers(0, 1 << 64, size=length, dtype=np.uint64)
    return [int(word) >> (64 - parameters.value_bits) for word in words]


def _special(parameters: Parameters, length: int, generator: np.random.Generator) -> list[int]:
    """Zero, subnormals, the least normal, infinity and NaN of formats with 5 or 8 bits of exponent."""
    mask = parameters.magnitude_mask
    magnitudes = [0, 0, 1, mask]
    for exponent_bits in (5, 8):
        infinity = mask ^ (mask >> exponent_bits)
        smallest_normal = (mask >> exponent_bits) + 1
        magnitudes += [infinity, infinity + 1, infinity - 1, smallest_normal, smallest_normal - 1]
    chosen = generator.choice(len(magnitudes), size=length)
    return _signed(parameters, [magnitudes[place] & mask for place in chosen], generator)


def _ties(parameters: Parameters, length: int, generator: np.random.Generator) -> list[int]:
    """Two magnitudes that differ by one, with both signs."""
    base = _drawn(parameters, 1, generator)[0] & parameters.magnitude_mask & ~1
    return _signed(parameters, [base + int(bit) for bit in generator.integers(0, 2, length)], generator)


def _constant(parameters: Parameters, length: int, generator: np.random.Generator) -> list[int]:
    """One number, signs drawn."""
    magnitude = _drawn(parameters, 1, generator)[0] & parameters.magnitude_mask
    return _signed(parameters, [magnitude] * length, generator)


def _zeros(parameters: Parameters, length: int, generator: np.random.Generator) -> list[int]:
    """Plus and minus zero."""
    return _signed(parameters, [0] * length, generator)


def _ascending(parameters: Parameters, length: int, generator: np.random.Generator) -> list[int]:
    """Every newcomer replaces."""
    mask = parameters.magnitude_mask
    return _signed(
        parameters, sorted(word & mask for word in _drawn(parameters, length, generator)), generator
    )


def _descending(parameters: Parameters, length: int, generator: np.random.Generator) -> list[int]:
    """No newcomer replaces."""
    return _ascending(parameters, length, generator)[::-1]


def _lone(parameters: Parameters, length: int, generator: np.random.Generator) -> list[int]:
    """One number that is not zero, anywhere: the rest of the result is filler."""
    words = [0] * length
    words[int(generator.integers(length))] = 1
    return _signed(parameters, words, generator)


def _signed(parameters: Parameters, magnitudes: list[int], generator: np.random.Generator) -> list[int]:
    signs = generator.integers(0, 2, len(magnitudes))
    return [
        magnitude | int(sign) << (parameters.value_bits - 1)
        for magnitude, sign in zip(magnitudes, signs, strict=True)
    ]


KINDS = (_drawn, _special, _ties, _constant, _zeros, _ascending, _descending, _lone)


def replay(parameters: Parameters, workload: Workload, generator: np.random.Generator) -> Replayed:
    """Groups of weights out of which SORE must find those that the workload's mask keeps.

    A workload says which weights stay, not how large they were: magnitudes are drawn, the kept ones from the
    upper half, the others from the lower half, or zero where a group keeps fewer than N.
    """
    tiles, sentence = group_tiles(workload, generator, n=parameters.n, m=parameters.m, lanes=parameters.lanes)
    transactions = []
    for tile in tiles:
        lanes = [_weights(parameters, kept, generator) for kept in tile]
        beats = [
            pack_beat(parameters, [lane[beat] for lane in lanes], last=beat == parameters.m - 1)
            for beat in range(parameters.m)
        ]
        transactions.append({"weights": beats})
    return Replayed(transactions=transactions, sentence=sentence)


def _weights(parameters: Parameters, kept: np.ndarray, generator: np.random.Generator) -> list[int]:
    """A group whose strongest numbers are those that are kept."""
    upper = (parameters.magnitude_mask >> 1) + 1
    full = kept.sum() == parameters.n
    words = _drawn(parameters, len(kept), generator)
    magnitudes = [
        word % upper + upper if stays else word % upper * int(full)
        for word, stays in zip(words, kept, strict=True)
    ]
    return _signed(parameters, magnitudes, generator)


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """What golden keeps of every lane's group, a group by itself."""
    return {"kept": [_kept(parameters, transaction["weights"]) for transaction in transactions]}


def _kept(parameters: Parameters, beats: list[int]) -> int:
    columns = [unpack_beat(parameters, beat)[:-1] for beat in beats]
    words = np.array(columns, dtype=_word(parameters.value_bits)).T
    code = reduce_nm(words, parameters.n, parameters.m, parameters.value_bits)
    return pack_groups(
        parameters,
        [
            [Pair(int(value), int(index)) for value, index in zip(values[0], indices[0], strict=True)]
            for values, indices in zip(code.values, code.indices, strict=True)
        ],
    )


def _word(bits: int) -> type[np.unsignedinteger]:
    return next(kind for kind in (np.uint8, np.uint16, np.uint32, np.uint64) if bits <= np.iinfo(kind).bits)


UNIT = Unit(
    name="sat.sore",
    sentence="Reduces dense weights to N:M: the N largest magnitudes of M, 32 groups at a time",
    presets=unit.PRESETS,
    component=Sore,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        sum(len(transaction["weights"]) for transaction in transactions)
    ),
    replay=replay,
    latency=lambda parameters: {
        "latency_cycles": parameters.m,
        "beats_per_clock": 1,
        "cycles_per_group": parameters.m,
    },
)
