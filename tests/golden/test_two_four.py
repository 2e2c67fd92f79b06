"""2:4, 1:2 and pair-wise 4:8: codes, filler, exactness, and what is refused, against the PTX tables."""

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from accelsim.golden import two_four
from accelsim.golden.formats import select_nm
from accelsim.golden.two_four import FORMATS

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
FOURS = [form for form in FORMATS.values() if form.group == 4]
# How numpy holds each element type: bf16 and fp8 as words, int4 as one number each.
TYPES = {"fp16": "f2", "bf16": "u2", "tf32": "f4", "int8": "i1", "fp8": "u1", "int4": "i1"}


@pytest.mark.parametrize(("positions", "code"), CODES.items())
@pytest.mark.parametrize("form", FOURS, ids=lambda form: form.name)
def test_codes_and_filler_of_every_occupancy_are_those_of_the_sheet(form, positions, code):
    group = np.zeros(4, TYPES[form.name])
    group[list(positions)] = [3, 5][: len(positions)]
    values, codes = two_four.encode(group, form)
    assert codes.tolist() == [code]
    assert values.tolist() == [[group[code & 3], group[code >> 2]]]
    assert two_four.decode(values, codes, form).tolist() == group.tolist()


@pytest.mark.parametrize(("group", "code", "stored"), [((0, 0), 0xE, 0), ((3, 0), 0x4, 3), ((0, 5), 0xE, 5)])
def test_tf32_keeps_one_of_two_with_the_code_of_its_halves(group, code, stored):
    values, codes = two_four.encode(np.array(group, np.float32), FORMATS["tf32"])
    assert (codes.tolist(), values.tolist()) == ([code], [[stored]])
    assert two_four.decode(values, codes, FORMATS["tf32"]).tolist() == list(group)


@pytest.mark.parametrize("occupied", list(product((0, 1), repeat=8)))
def test_int4_keeps_two_of_four_aligned_pairs_and_refuses_all_else(occupied):
    form, group = FORMATS["int4"], np.array(occupied, np.int8) * np.arange(1, 9, dtype=np.int8)
    pairs = tuple(pair for pair in range(4) if any(occupied[2 * pair : 2 * pair + 2]))
    if len(pairs) > 2:
        with pytest.raises(ValueError, match="int4 weights must be 4:8 in pairs"):
            two_four.encode(group, form)
        return
    values, codes = two_four.encode(group, form)
    assert codes.tolist() == [CODES[pairs]]
    low, high = CODES[pairs] & 3, CODES[pairs] >> 2
    assert values[0].tolist() == [*group[2 * low : 2 * low + 2], *group[2 * high : 2 * high + 2]]
    assert two_four.decode(values, codes, form).tolist() == group.tolist()


@pytest.mark.parametrize("form", FOURS, ids=lambda form: form.name)
def test_all_sixteen_occupancies_are_kept_exactly_or_refused_with_their_positions(form):
    refused = 0
    for occupied in product((0, 1), repeat=4):
        dense = np.zeros((3, 12), TYPES[form.name])
        dense[1, 4:8] = np.array(occupied) * np.array([1, 2, 3, 4])
        if sum(occupied) <= 2:
            assert np.array_equal(two_four.decode(*two_four.encode(dense, form), form), dense)
            continue
        refused += 1
        elements = ", ".join(str(4 + i) for i in range(4) if occupied[i])
        line = f"{form.name} weights must be 2:4, not elements {elements} of row 1 kept in one group"
        with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
            two_four.encode(dense, form)
    assert refused == 5


def test_a_full_pair_of_tf32_is_refused():
    dense = np.zeros((2, 6), np.float32)
    dense[:, 2:4] = 1
    with pytest.raises(
        ValueError, match="tf32 weights must be 1:2, not elements 2, 3 of row 0 kept in one group and 1 more"
    ):
        two_four.encode(dense, FORMATS["tf32"])


def test_ordered_codes_are_those_whose_positions_ascend():
    assert sorted(two_four.ORDERED_CODES) == [code for code in range(16) if code & 3 < code >> 2]
    assert set(CODES.values()) == set(two_four.ORDERED_CODES)


@pytest.mark.parametrize("code", range(16))
def test_decoding_takes_the_twelve_codes_with_two_positions_and_refuses_the_rest(code):
    values, codes = np.array([[3, 5]]), np.array([code], np.uint8)
    if code in (0x0, 0x5, 0xA, 0xF):
        with pytest.raises(ValueError, match="must name two positions"):
            two_four.decode(values, codes)
    else:
        dense = two_four.decode(values, codes)
        assert (dense[code & 3], dense[code >> 2], dense.sum()) == (3, 5, 8)


@pytest.mark.parametrize("code", range(16))
def test_tf32_has_the_codes_of_its_two_elements_only(code):
    values, codes = np.ones((1, 1), np.float32), np.array([code], np.uint8)
    if code in (0x4, 0xE):
        assert two_four.decode(values, codes, FORMATS["tf32"]).tolist() == [code == 0x4, code == 0xE]
    else:
        with pytest.raises(ValueError, match=rf"must name one element \(0x4 or 0xE\), not be {code:#x}"):
            two_four.decode(values, codes, FORMATS["tf32"])


@given(hnp.arrays(np.float32, (3, 10), elements={"min_value": -2, "max_value": 2}))
def test_a_pruned_array_survives_and_a_ragged_tail_is_padded(array):
    pruned = np.where(select_nm(array, 2, 4), array, np.float32(0))
    dense = two_four.decode(*two_four.encode(pruned))
    assert np.array_equal(dense[:, :10], pruned)
    assert dense.shape == (3, 12)
    assert not dense[:, 10:].any()


@pytest.mark.parametrize("name", ["fp16", "bf16", "tf32", "fp8"])
def test_every_word_comes_back_bit_for_bit(name):
    # All NaN payloads, subnormals, infinities; zeros of both signs stand for empty places.
    form = FORMATS[name]
    bits = min(form.element_bits, 16)
    words = np.arange(1 << bits, dtype=f"u{form.element_bits // 8}")
    if name == "tf32":
        words = words << 16 | 0x1234
    rng = np.random.default_rng(0)
    pruned = np.where(select_nm(rng.random(words.shape), form.kept, form.group), words, 0).astype(words.dtype)
    sign = 1 << (form.element_bits - 1)
    pruned[pruned == sign] = 0
    values, codes = two_four.encode(pruned, form)
    assert np.array_equal(two_four.decode(values, codes, form), pruned)
    if name in ("fp16", "tf32"):
        floats = pruned.view(TYPES[name])
        values, codes = two_four.encode(floats, form)
        assert np.array_equal(two_four.decode(values, codes, form).view(pruned.dtype), pruned)


def test_minus_zero_is_a_zero_unless_the_mask_keeps_it():
    weights = np.array([1, -0.0, 0, 0], np.float16)
    values, codes = two_four.encode(weights)
    assert codes.tolist() == [0x8]
    kept = np.array([True, True, False, False])
    values, codes = two_four.encode(weights, kept=kept)
    assert codes.tolist() == [0x4]
    assert np.array_equal(two_four.decode(values, codes).view(np.uint16), weights.view(np.uint16))
    assert two_four.encode(weights.view(np.uint16), FORMATS["bf16"])[1].tolist() == [0x8]


def test_a_mask_decides_over_zeros_and_over_what_it_drops():
    weights, kept = np.arange(8), np.array([True, False, False, True] * 2)
    values, codes = two_four.encode(weights, kept=kept)
    assert (values.tolist(), codes.tolist()) == ([[0, 3], [4, 7]], [0xC, 0xC])
    with pytest.raises(ValueError, match=r"not elements 4, 5, 6, 7 kept in one group$"):
        two_four.encode(weights, kept=np.arange(8) > 3)


def test_values_and_codes_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"values of fp16 must have the shape \(3, 2\), not \(3, 1\)"):
        two_four.decode(np.zeros((3, 1)), np.full(3, 0x4, np.uint8))
    with pytest.raises(ValueError, match="weights must be numbers or unsigned words of them, not complex64"):
        two_four.encode(np.zeros(4, np.complex64))
