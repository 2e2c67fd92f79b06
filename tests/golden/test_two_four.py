"""2:4 codes against the PTX table, PyTorch's conversion and its reordered metadata."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from accelsim.golden import two_four
from accelsim.golden.formats import select_nm

PAIRS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
# Group c of row r keeps the positions PAIRS[(r + c) % 6]: reordered metadata as PyTorch 2.13 gives it.
GOLDEN_FP16 = """
9c84 ed9c 84ed 9c84 84ed 9c84 ed9c 84ed d9c8 4ed9 c84e d9c8 c84e d9c8 4ed9 c84e ed9c 84ed 9c84 ed9c
9c84 ed9c 84ed 9c84 4ed9 c84e d9c8 4ed9 d9c8 4ed9 c84e d9c8 84ed 9c84 ed9c 84ed ed9c 84ed 9c84 ed9c
c84e d9c8 4ed9 c84e 4ed9 c84e d9c8 4ed9 9c84 ed9c 84ed 9c84 84ed 9c84 ed9c 84ed d9c8 4ed9 c84e d9c8
c84e d9c8 4ed9 c84e
"""
GOLDEN_INT8 = """
84ed9c84 9c84ed9c 9c84ed9c ed9c84ed c84ed9c8 d9c84ed9 d9c84ed9 4ed9c84e 9c84ed9c ed9c84ed ed9c84ed
84ed9c84 d9c84ed9 4ed9c84e 4ed9c84e c84ed9c8 ed9c84ed 84ed9c84 84ed9c84 9c84ed9c 4ed9c84e c84ed9c8
c84ed9c8 d9c84ed9 84ed9c84 9c84ed9c 9c84ed9c ed9c84ed c84ed9c8 d9c84ed9 d9c84ed9 4ed9c84e
"""


# Positions of a group's non-zeros and its code: the PTX table (sheet 1.2) and PyTorch's filler (sheet 1.5).
CODES = {
    (0, 1): 0x4,
    (0, 2): 0x8,
    (0, 3): 0xC,
    (1, 2): 0x9,
    (1, 3): 0xD,
    (2, 3): 0xE,
    (): 0xE,
    (0,): 0x8,
    (1,): 0x9,
    (2,): 0xE,
    (3,): 0xE,
}


def sheet_pattern(rows: int, columns: int) -> np.ndarray:
    dense = np.zeros((rows, columns), np.float16)
    for row, group in np.ndindex(rows, columns // 4):
        dense[row, [4 * group + position for position in PAIRS[(row + group) % 6]]] = 1
    return dense


@pytest.mark.parametrize(
    ("shape", "word_bits", "golden"), [((32, 32), 16, GOLDEN_FP16), ((16, 64), 32, GOLDEN_INT8)]
)
def test_reordered_metadata_equals_the_golden_words(shape, word_bits, golden):
    _, codes = two_four.encode(sheet_pattern(*shape))
    words = two_four.lane_order(two_four.pack_codes(codes, word_bits), word_bits)
    assert words.tolist() == [int(word, 16) for word in golden.split()]


def test_the_golden_words_tell_the_plain_order_apart():
    _, codes = two_four.encode(sheet_pattern(32, 32))
    plain = two_four.pack_codes(codes, 16).ravel().tolist()
    assert plain != [int(word, 16) for word in GOLDEN_FP16.split()]


@pytest.mark.parametrize(("positions", "code"), CODES.items())
def test_codes_and_filler_of_every_occupancy_are_those_of_the_sheet(positions, code):
    group = np.zeros(4)
    group[list(positions)] = [3.0, 5.0][: len(positions)]
    values, codes = two_four.encode(group)
    assert codes.tolist() == [code]
    assert values.tolist() == [[group[code & 3], group[code >> 2]]]
    assert two_four.decode(values, codes).tolist() == group.tolist()


def test_ordered_codes_are_those_whose_positions_ascend():
    assert sorted(two_four.ORDERED_CODES) == [code for code in range(16) if code & 3 < code >> 2]
    assert set(CODES.values()) == set(two_four.ORDERED_CODES)


@pytest.mark.parametrize("code", range(16))
def test_decoding_takes_the_twelve_codes_with_two_positions_and_refuses_the_rest(code):
    values, codes = np.array([[3, 5]]), np.array([code], np.uint8)
    if code in (0x0, 0x5, 0xA, 0xF):
        with pytest.raises(ValueError, match="two different positions"):
            two_four.decode(values, codes)
    else:
        dense = two_four.decode(values, codes)
        assert (dense[code & 3], dense[code >> 2], dense.sum()) == (3, 5, 8)


@pytest.mark.parametrize("positions", [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3), (0, 1, 2, 3)])
def test_an_illegal_group_is_refused_by_name_and_place(positions):
    dense = np.zeros((2, 8))
    dense[1, [4 + position for position in positions]] = 1
    count = len(positions)
    with pytest.raises(ValueError, match=rf"2:4 .* not {count} \(row \(1,\), elements 4 to 7\)"):
        two_four.encode(dense)


@given(hnp.arrays(np.float32, (3, 10), elements={"min_value": -2, "max_value": 2}))
def test_a_pruned_array_survives_and_a_ragged_tail_is_padded(array):
    pruned = np.where(select_nm(array, 2, 4), array, np.float32(0))
    dense = two_four.decode(*two_four.encode(pruned))
    assert np.array_equal(dense[:, :10], pruned)
    assert dense.shape == (3, 12)
    assert not dense[:, 10:].any()


def test_metadata_that_does_not_fill_its_words_or_tiles_is_refused():
    codes = np.full((16, 6), 0x4, np.uint8)
    with pytest.raises(ValueError, match="must fill 16-bit words, not be 6"):
        two_four.pack_codes(codes, 16)
    with pytest.raises(ValueError, match="multiple of 32 rows by 2 columns"):
        two_four.lane_order(np.zeros((16, 2), np.uint32), 16)


@pytest.mark.torch
@pytest.mark.parametrize("seed", range(3))
def test_values_and_reordered_metadata_equal_pytorch(seed):
    torch = pytest.importorskip("torch")
    conversions = pytest.importorskip("torch.sparse._semi_structured_conversions")
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((64, 128)).astype(np.float16)
    pruned = np.where(select_nm(weights, 2, 4) & (rng.random(weights.shape) < 0.7), weights, np.float16(0))
    theirs, meta = conversions.sparse_semi_structured_from_dense_cutlass(torch.from_numpy(pruned))
    values, codes = two_four.encode(pruned)
    words = two_four.lane_order(two_four.pack_codes(codes, 16), 16)
    assert np.array_equal(values.reshape(64, 64), theirs.numpy())
    assert np.array_equal(words.astype(np.uint16), meta.numpy().view(np.uint16).ravel())
