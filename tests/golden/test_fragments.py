"""Where a lane's elements stand, against the PTX tables written out element by element."""

import numpy as np
import pytest

from accelsim.golden import fragments, metadata, two_four
from accelsim.golden.fragments import LANES, SHAPES, Shape, shape_of
from accelsim.golden.two_four import FORMATS, ORDERED_CODES

ALL = pytest.mark.parametrize("shape", SHAPES, ids=str)

# By bits of an element and k: is element i of a lane in row g (else g + 8), and in which compressed column.
A_TABLE = {
    (16, 16): (lambda i: i < 2, lambda t, i: 2 * t + i % 2),
    (16, 32): (lambda i: i in (0, 1, 4, 5), lambda t, i: 2 * t + i % 2 + 8 * (i >= 4)),
    (32, 8): (lambda i: i == 0, lambda t, i: t),
    (32, 16): (lambda i: i in (0, 2), lambda t, i: t + 4 * (i >= 2)),
    (8, 32): (lambda i: i < 4, lambda t, i: 4 * t + i % 4),
    (8, 64): (lambda i: i < 4 or 8 <= i < 12, lambda t, i: 4 * t + i % 4 + 16 * (i >= 8)),
    (4, 64): (lambda i: i < 8, lambda t, i: 8 * t + i % 8),
    (4, 128): (lambda i: i < 8 or 16 <= i < 24, lambda t, i: 8 * t + i % 8 + 32 * (i >= 16)),
}
# By bits of an element: which k has element i of a lane.
B_TABLE = {
    16: lambda t, i: 8 * (i // 2) + 2 * t + i % 2,
    32: lambda t, i: 4 * i + t,
    8: lambda t, i: 16 * (i // 4) + 4 * t + i % 4,
    4: lambda t, i: 32 * (i // 8) + 8 * t + i % 8,
}
# Registers of A and B, selectors.
COUNTS = {
    ("fp16", 16): (2, 4),
    ("fp16", 32): (4, 2),
    ("bf16", 16): (2, 4),
    ("bf16", 32): (4, 2),
    ("tf32", 8): (2, 4),
    ("tf32", 16): (4, 2),
    ("int8", 32): (2, 2),
    ("int8", 64): (4, 1),
    ("fp8", 64): (4, 1),
    ("int4", 64): (2, 2),
    ("int4", 128): (4, 1),
}


def test_the_shapes_are_those_of_the_sheet():
    found = {(shape.form.name, shape.k): (shape.a_registers, shape.selectors) for shape in SHAPES}
    assert found == COUNTS


@ALL
def test_a_lane_holds_the_elements_of_a_that_ptx_names(shape):
    bits, words = shape.form.element_bits, shape.b_words // 2
    matrix = distinct(16, words * 32 // bits, bits)
    lanes = elements(fragments.a_to_lanes(to_words(matrix, bits), shape), bits)
    upper, column = A_TABLE[bits, shape.k]
    for lane, i in np.ndindex(lanes.shape):
        row = lane // 4 + (0 if upper(i) else 8)
        assert lanes[lane, i] == matrix[row, column(lane % 4, i)], (lane, i)


@ALL
def test_a_lane_holds_the_elements_of_b_that_ptx_names(shape):
    bits = shape.form.element_bits
    columns = distinct(8, shape.k, bits)
    lanes = elements(fragments.b_to_lanes(to_words(columns, bits), shape), bits)
    for lane, i in np.ndindex(lanes.shape):
        assert lanes[lane, i] == columns[lane // 4, B_TABLE[bits](lane % 4, i)], (lane, i)


def test_a_lane_holds_two_columns_of_two_rows_of_the_accumulators():
    matrix = np.arange(128).reshape(16, 8)
    lanes = fragments.c_to_lanes(matrix)
    for lane in range(LANES):
        g, t = divmod(lane, 4)
        expected = [matrix[g, 2 * t], matrix[g, 2 * t + 1], matrix[g + 8, 2 * t], matrix[g + 8, 2 * t + 1]]
        assert lanes[lane].tolist() == expected
    assert np.array_equal(fragments.c_from_lanes(lanes), matrix)


# By form and k: lane of the quad that has the codes of (lower half of rows, group), and which nibble.
METADATA_TABLE = {
    (16, 4): lambda s, lower, j: (s, 4 * lower + j),
    (16, 8): lambda s, lower, j: (2 * s + j // 4, 4 * lower + j % 4),
    (32, 8): lambda s, lower, j: (2 * s + lower, j),
    (32, 16): lambda s, lower, j: ([0, 2][j // 8] + lower, j % 8),
}


@ALL
def test_metadata_stands_in_the_lanes_that_the_selector_names_and_reads_back(shape):
    rng = np.random.default_rng(0)
    place = METADATA_TABLE[shape.form.word_bits, shape.groups]
    for selector in range(shape.selectors):
        codes = rng.choice(ORDERED_CODES, (16, shape.groups)).astype(np.uint8)
        poison = np.full(LANES, 0x99999999, np.uint32)
        registers = fragments.metadata_to_lanes(codes, shape, selector, poison)
        used = set()
        for row, group in np.ndindex(codes.shape):
            quad_lane, nibble = place(selector, row // 8, group)
            lane = row % 8 * 4 + quad_lane
            used.add(lane)
            assert registers[lane] >> (4 * nibble) & 0xF == codes[row, group]
        assert len(used) == 8 * shape.metadata_lanes
        assert all(registers[lane] == 0x99999999 for lane in range(LANES) if lane not in used)
        assert np.array_equal(fragments.metadata_from_lanes(registers, shape, selector), codes)


@ALL
def test_one_register_holds_the_metadata_of_every_selector(shape):
    rng = np.random.default_rng(1)
    tiles = rng.choice(ORDERED_CODES, (shape.selectors, 16, shape.groups)).astype(np.uint8)
    registers = None
    for selector, codes in enumerate(tiles):
        registers = fragments.metadata_to_lanes(codes, shape, selector, registers)
    assert (registers != 0).all()
    for selector, codes in enumerate(tiles):
        assert np.array_equal(fragments.metadata_from_lanes(registers, shape, selector), codes)


@pytest.mark.parametrize(
    ("name", "k"), [("fp16", 32), ("bf16", 32), ("tf32", 16), ("int8", 64), ("fp8", 64), ("int4", 128)]
)
def test_reordered_metadata_are_the_registers_of_the_long_form(name, k):
    # Blocks of 32 rows take selectors 0 and 1, blocks of 16 rows selector 0.
    shape, form = shape_of(name, k), FORMATS[name]
    codes = np.random.default_rng(2).choice(ORDERED_CODES, (64, 3 * shape.groups)).astype(np.uint8)
    registers = metadata.warp_registers(metadata.to_cutlass(codes, form), form)
    assert registers.shape == (3, 64 // 16 // shape.selectors, LANES)
    for step, block, selector in np.ndindex(3, registers.shape[1], shape.selectors):
        row = 16 * (block * shape.selectors + selector)
        expected = codes[row : row + 16, step * shape.groups : (step + 1) * shape.groups]
        found = fragments.metadata_from_lanes(registers[step, block], shape, selector)
        assert np.array_equal(found, expected)


@ALL
def test_registers_read_back_what_was_put_in(shape):
    rng = np.random.default_rng(3)
    a = rng.integers(0, 1 << 32, (16, shape.b_words // 2), dtype=np.uint32)
    b = rng.integers(0, 1 << 32, (8, shape.b_words), dtype=np.uint32)
    assert np.array_equal(fragments.a_from_lanes(fragments.a_to_lanes(a, shape), shape), a)
    assert np.array_equal(fragments.b_from_lanes(fragments.b_to_lanes(b, shape), shape), b)
    assert np.array_equal(fragments.to_words(fragments.from_words(a, shape.form), shape.form), a)


def test_words_take_numbers_as_numpy_holds_them():
    assert fragments.to_words(np.array([1, -0.0], np.float16), FORMATS["fp16"]).tolist() == [0x80003C00]
    assert fragments.to_words(np.array([1, -2, 3, -4], np.int8), FORMATS["int8"]).tolist() == [0xFC03FE01]
    nibbles = np.array([1, -1, 2, -8, 7, 0, 15, 3], np.int8)
    assert fragments.to_words(nibbles, FORMATS["int4"]).tolist() == [0x3F0782F1]


def test_what_no_fragment_is_is_refused():
    shape, form = shape_of("int4", 64), FORMATS["int4"]
    with pytest.raises(ValueError, match="int4 must be from -8 to 15, not -9 to 0"):
        fragments.to_words(np.array([-9, 0] * 4, np.int8), form)
    with pytest.raises(ValueError, match="elements of int4 must be 8 bits wide, not float16"):
        fragments.to_words(np.zeros(8, np.float16), form)
    with pytest.raises(ValueError, match="elements of a row must fill 32-bit words, not be 6"):
        fragments.to_words(np.zeros(6, np.int8), form)
    with pytest.raises(ValueError, match=r"registers of A must have the shape \(32, 2\), not \(32, 4\)"):
        fragments.a_from_lanes(np.zeros((32, 4), np.uint32), shape)
    with pytest.raises(ValueError, match="selector of m16n8k64 int4 must be from 0 to 1, not 2"):
        fragments.metadata_from_lanes(np.zeros(32, np.uint32), shape, 2)
    with pytest.raises(ValueError, match=r"k must be 16 or 32 for mma\.sp of fp16, not 64"):
        shape_of("fp16", 64)
    with pytest.raises(ValueError, match=r"dtype must be one of fp16, .*, not 'fp64'"):
        shape_of("fp64", 16)


def test_codes_of_a_matrix_go_to_the_lanes_tile_by_tile():
    shape = Shape(FORMATS["fp16"], 32)
    dense = np.zeros((16, 32), np.float16)
    dense[:, 1::4] = dense[:, 3::4] = 1
    _, codes = two_four.encode(dense)
    assert fragments.metadata_to_lanes(codes, shape, 1).tolist() == [0, 0, 0xDDDDDDDD, 0xDDDDDDDD] * 8


def distinct(rows: int, columns: int, bits: int) -> np.ndarray:
    """Elements of `bits` bits that all differ, or, as far as 4 bits can, from those about them."""
    if bits == 4:
        row, column = np.indices((rows, columns))
        return (column + 5 * row + 3 * (column // 16)).astype(np.uint8) % 16
    return np.random.default_rng(4).permutation(rows * columns).reshape(rows, columns).astype(f"u{bits // 8}")


def to_words(matrix: np.ndarray, bits: int) -> np.ndarray:
    """32-bit words by shifts, one element at a time."""
    words = np.zeros((len(matrix), matrix.shape[1] * bits // 32), np.uint32)
    for row, column in np.ndindex(matrix.shape):
        word, place = divmod(column * bits, 32)
        words[row, word] |= np.uint32(int(matrix[row, column]) << place)
    return words


def elements(registers: np.ndarray, bits: int) -> np.ndarray:
    """Elements of a lane's registers, in the order of PTX."""
    per_register = 32 // bits
    out = np.zeros((len(registers), registers.shape[1] * per_register), np.int64)
    for lane, i in np.ndindex(out.shape):
        out[lane, i] = int(registers[lane, i // per_register]) >> (i % per_register * bits) & (
            (1 << bits) - 1
        )
    return out
