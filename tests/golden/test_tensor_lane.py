"""What the tile engine computes, beside `mma_sp` and plain products; what multiplexers pick of no code."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.golden import fragments
from accelsim.golden.fragments import COLUMNS, LANES, ROWS
from accelsim.golden.sparse_mma import Multiply, mma_sp
from accelsim.golden.tensor_lane import multiply_pass, picked_positions, undefined
from accelsim.golden.two_four import FORMATS, LEGAL_CODES, ORDERED_CODES, stored_positions

ALL = np.arange(16, dtype=np.uint8)


def words(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.integers(0, 1 << 32, shape, dtype=np.uint32)


@pytest.mark.parametrize("types", [("s8", "s8"), ("u8", "s8"), ("s8", "u8"), ("u8", "u8")])
@pytest.mark.parametrize("selector", [0, 1])
def test_a_pass_is_an_instruction_of_the_short_form(types: tuple[str, str], selector: int) -> None:
    generator, shape = np.random.default_rng(selector), fragments.shape_of("int8", 32)
    a, b, c = words(generator, LANES, 2), words(generator, LANES, 2), words(generator, LANES, 4)
    codes = generator.choice(LEGAL_CODES, (ROWS, shape.groups)).astype(np.uint8)
    registers = fragments.metadata_to_lanes(codes, shape, selector, words(generator, LANES))
    multiply = Multiply(k=32, a_type=types[0], b_type=types[1], accumulator="s32", selector=selector)
    result = multiply_pass(
        types,
        fragments.a_from_lanes(a, shape),
        fragments.b_from_lanes(b, shape),
        fragments.c_from_lanes(c),
        fragments.metadata_from_lanes(registers, shape, selector),
        ordered=False,
    )
    whole = mma_sp(multiply, a, b, c.view(np.int32), registers)
    assert np.array_equal(result.view(np.int32), fragments.c_from_lanes(whole))


def test_two_passes_are_an_instruction_of_the_long_form() -> None:
    generator, long = np.random.default_rng(3), fragments.shape_of("int8", 64)
    short = fragments.shape_of("int8", 32)
    a, b = words(generator, LANES, 4), words(generator, LANES, 4)
    codes = generator.choice(ORDERED_CODES, (ROWS, long.groups)).astype(np.uint8)
    registers = fragments.metadata_to_lanes(codes, long)
    multiply = Multiply(k=64, a_type="s8", b_type="s8", accumulator="s32")
    whole = mma_sp(multiply, a, b, np.zeros((LANES, 4), np.int32), registers)
    sums = np.zeros((ROWS, COLUMNS), np.uint32)
    for half in range(2):
        part = slice(2 * half, 2 * half + 2)
        sums = multiply_pass(
            ("s8", "s8"),
            fragments.a_from_lanes(a[:, part], short),
            fragments.b_from_lanes(b[:, part], short),
            sums,
            fragments.metadata_from_lanes(registers, short, half),
        )
    assert np.array_equal(sums.view(np.int32), fragments.c_from_lanes(whole))


def test_a_dense_pass_is_a_plain_product() -> None:
    generator = np.random.default_rng(4)
    rows, columns = words(generator, ROWS, 4), words(generator, COLUMNS, 4)
    sums = multiply_pass(("s8", "s8"), rows, columns, np.zeros((ROWS, COLUMNS), np.uint32))
    left, right = (each.view(np.int8).astype(np.int64) for each in (rows, columns))
    assert np.array_equal(sums.view(np.int32), left @ right.T)


@pytest.mark.parametrize(("ordered", "legal"), [(True, ORDERED_CODES), (False, LEGAL_CODES)])
def test_codes_are_picked_as_they_are_stored_and_the_others_flagged(ordered: bool, legal: list[int]) -> None:
    flags = undefined(ALL, ordered=ordered)
    assert set(ALL[~flags].tolist()) == set(legal)
    positions = picked_positions(ALL, ordered=ordered)
    assert np.array_equal(positions[~flags], stored_positions(ALL[~flags], FORMATS["int8"]))
    if ordered:
        assert positions[:, 0].max() == 2
        assert positions[:, 1].min() == 1
