"""The floating-point units for the kit: stimulus, what golden expects of it, and their latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.floating import Format
from accelsim.units import floating as unit
from accelsim.units.floating import Operation
from accelsim_rtl.float.unit import FloatUnit
from accelsim_rtl.kit.unit import Transaction, Unit

MOST_CORNERS = 160
DRAWN = 80


def corners(form: Format) -> list[int]:
    """Words at which an operation may go wrong: zeros, least and largest of each kind, neighbours of 1."""
    one = form.bias << form.fraction_bits
    half = 1 << (form.fraction_bits - 1)
    least_normal = 1 << form.fraction_bits
    words = [0, 1, 2, half, least_normal - 1, least_normal, least_normal + 1, one - 1, one, one + 1]
    words += [one + half, form.infinity - 1, form.infinity, form.infinity + 1, form.nan]
    return words + [word | 1 << (form.bits - 1) for word in words]


def drawn(form: Format, generator: np.random.Generator, count: int) -> np.ndarray:
    """Words of which a third are any bits, a third near 1, a third whose fraction is mostly zeros or ones."""
    words = generator.integers(0, 1 << form.bits, count, dtype=np.int64)
    fraction = (1 << form.fraction_bits) - 1
    sign = words >> (form.bits - 1) << (form.bits - 1)
    near = generator.integers(-form.significand_bits - 2, form.significand_bits + 3, count) + form.bias
    low = generator.integers(0, 4, count)
    straight = np.where(words & 1, low, fraction - low)
    kind = generator.integers(0, 3, count)
    exponent = np.clip(near, 0, (1 << form.exponent_bits) - 1) << form.fraction_bits
    return np.choose(
        kind, [words, sign | exponent | (words & fraction), sign | (words & form.infinity) | straight]
    )


def stimulus(parameters: Operation, generator: np.random.Generator) -> list[Transaction]:
    """Corners with corners, all of them where they are few, then drawn words, related and not."""
    forms = parameters.operands
    lists = [corners(form) for form in forms]
    count = int(np.prod([len(words) for words in lists]))
    chosen = generator.choice(count, min(count, MOST_CORNERS), replace=False)
    places = np.unravel_index(chosen, [len(words) for words in lists])
    groups = [[words[place] for place in each] for words, each in zip(lists, places, strict=True)]
    columns = [
        np.concatenate([np.array(words, np.int64), drawn(form, generator, DRAWN)])
        for words, form in zip(groups, forms, strict=True)
    ]
    if len(forms) > 1:
        # Two operands that nearly cancel.
        last, close = columns[-2], generator.integers(0, 4, len(columns[-1])) == 0
        columns[-1] = np.where(
            close, last ^ (1 << (forms[-1].bits - 1)) ^ generator.integers(0, 4), columns[-1]
        )
    return [
        {"operands": [parameters.pack([int(word) for word in words])]} for words in zip(*columns, strict=True)
    ]


def expected(parameters: Operation, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Golden's results of all operands at once."""
    return {"results": parameters.results([each["operands"][0] for each in transactions])}


def _unit(name: str, sentence: str, parameters: Operation, tiny: Operation) -> Unit:
    return Unit(
        name=name,
        sentence=sentence,
        presets={"full": parameters, "tiny": tiny},
        component=FloatUnit,
        model=unit.Model,
        stimulus=stimulus,
        expected=expected,
        cycles=lambda parameters, transactions: unit.cycles(parameters, len(transactions)),
        latency=lambda parameters: {
            "latency_cycles": parameters.latency_cycles,
            "operations_per_clock": 1,
        },
    )


UNITS = (
    _unit(
        "kit.fp16_multiplier",
        "FP16 products, exact in FP32 or rounded to FP16",
        unit.HalfMultiplier(),
        unit.HalfMultiplier(latency=2),
    ),
    _unit(
        "kit.fp32_multiplier",
        "FP32 products, rounded to nearest even",
        unit.SingleMultiplier(),
        unit.SingleMultiplier(latency=2),
    ),
    _unit(
        "kit.fp32_adder",
        "FP32 sums, rounded to nearest even",
        unit.SingleAdder(latency=6),
        unit.SingleAdder(latency=1),
    ),
    _unit("kit.fp16_to_fp32", "FP16 numbers as FP32", unit.Widening(), unit.Widening(latency=0)),
    _unit("kit.fp32_to_fp16", "FP32 numbers rounded to FP16", unit.Narrowing(), unit.Narrowing(latency=1)),
    _unit(
        "kit.fp32_multiply_add",
        "FP32 product and sum, each rounded, as the weight update is defined",
        unit.MultiplyAdd(multiplier_latency=4, adder_latency=6),
        unit.MultiplyAdd(multiplier_latency=1, adder_latency=2),
    ),
)
