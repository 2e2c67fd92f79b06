"""Metadata words: golden vectors bit for bit, both directions, and PyTorch's own conversion."""

import numpy as np
import pytest

from accelsim.golden import metadata, two_four
from accelsim.golden.formats import select_nm
from accelsim.golden.two_four import FORMATS

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
GOLDEN = [("fp16", (32, 32), GOLDEN_FP16), ("int8", (16, 64), GOLDEN_INT8)]


def sheet_pattern(rows: int, columns: int) -> np.ndarray:
    dense = np.zeros((rows, columns), np.float16)
    for row, group in np.ndindex(rows, columns // 4):
        dense[row, [4 * group + position for position in PAIRS[(row + group) % 6]]] = 1
    return dense


def random_codes(rng: np.random.Generator, rows: int, groups: int) -> np.ndarray:
    return rng.choice(two_four.LEGAL_CODES, (rows, groups)).astype(np.uint8)


@pytest.mark.parametrize(("name", "shape", "golden"), GOLDEN)
def test_reordered_metadata_equals_the_golden_words_and_reads_back(name, shape, golden):
    form = FORMATS[name]
    _, codes = two_four.encode(sheet_pattern(*shape), form)
    words = metadata.to_cutlass(codes, form)
    assert words.view(f"u{form.word_bits // 8}").ravel().tolist() == [
        int(word, 16) for word in golden.split()
    ]
    assert np.array_equal(metadata.from_cutlass(words, form), codes)


@pytest.mark.parametrize(("name", "shape", "golden"), GOLDEN)
def test_the_golden_words_tell_the_plain_order_apart(name, shape, golden):
    form = FORMATS[name]
    _, codes = two_four.encode(sheet_pattern(*shape), form)
    plain = metadata.pack_codes(codes, form.word_bits).ravel().tolist()
    assert plain != [int(word, 16) for word in golden.split()]


def test_plain_order_has_the_first_group_lowest():
    codes = np.array([[0x4, 0x8, 0xC, 0x9, 0xD, 0xE, 0x1, 0x2]], np.uint8)
    assert metadata.pack_codes(codes, 16).tolist() == [[0x9C84, 0x21ED]]
    assert metadata.pack_codes(codes, 32).tolist() == [[0x21ED9C84]]


@pytest.mark.parametrize("form", FORMATS.values(), ids=lambda form: form.name)
@pytest.mark.parametrize("seed", range(5))
def test_both_orders_read_back_any_codes(form, seed):
    rng = np.random.default_rng(seed)
    block, per_word = (32, 4) if form.word_bits == 16 else (16, 8)
    codes = random_codes(rng, block * rng.integers(1, 5), 2 * per_word * rng.integers(1, 5))
    plain = metadata.pack_codes(codes, form.word_bits)
    assert np.array_equal(metadata.unpack_codes(plain, form.word_bits), codes)
    words = metadata.to_cutlass(codes, form)
    assert words.dtype == np.dtype(f"i{form.word_bits // 8}")
    assert np.array_equal(metadata.from_cutlass(words, form), codes)
    assert metadata.warp_registers(words, form).tobytes() == words.tobytes()


def test_metadata_that_does_not_fill_its_words_or_tiles_is_refused():
    codes = np.full((16, 6), 0x4, np.uint8)
    with pytest.raises(ValueError, match="must fill 16-bit words, not be 6"):
        metadata.pack_codes(codes, 16)
    with pytest.raises(ValueError, match="must have 16 or 32 bits, not 8"):
        metadata.unpack_codes(codes, 8)
    with pytest.raises(ValueError, match="multiple of 32 rows by 2 columns"):
        metadata.to_cutlass(codes[:, :4], FORMATS["fp16"])
    with pytest.raises(ValueError, match="must be a matrix of words"):
        metadata.to_cutlass(codes[0, :4], FORMATS["fp16"])
    with pytest.raises(ValueError, match="metadata of int8 must be a matrix of int32, not int16"):
        metadata.from_cutlass(np.zeros((16, 2), np.int16), FORMATS["int8"])


def pruned_words(rng: np.random.Generator, name: str) -> np.ndarray:
    """A random legal matrix as raw words, some groups with fewer values than they may have."""
    form = FORMATS[name]
    step = 8 * form.group if form.word_bits == 16 else 64
    shape = (int(rng.integers(1, 3)) * 32, int(rng.integers(1, 4)) * step)
    word = f"u{form.element_bits // 8}"
    raw = rng.integers(0, 1 << form.element_bits, shape, dtype=word)
    kept = select_nm(rng.random(shape), form.kept, form.group) & (rng.random(shape) < rng.random())
    if name in ("fp16", "bf16"):
        # PyTorch's gather turns NaNs of 16 bits into others; ours keeps them (test_two_four.py).
        infinity = 0x7C00 if name == "fp16" else 0x7F80
        raw[raw & 0x7FFF > infinity] = infinity
    return np.where(kept, raw, 0).astype(word)


def differences_from_pytorch(name: str, count: int, seed: int) -> int:
    """Matrices of `count` whose values or reordered metadata are not PyTorch's, bit for bit."""
    torch = pytest.importorskip("torch")
    convert = pytest.importorskip(
        "torch.sparse._semi_structured_conversions"
    ).sparse_semi_structured_from_dense_cutlass
    kinds = {"fp16": torch.float16, "bf16": torch.bfloat16, "int8": torch.int8, "tf32": torch.float32}
    rng, form, wrong = np.random.default_rng(seed), FORMATS[name], 0
    for _ in range(count):
        words = pruned_words(rng, name)
        weights = words.view(np.int8) if name == "int8" else words
        theirs, their_words = convert(torch.from_numpy(words).view(kinds[name]))
        values, codes = two_four.encode(weights, form)
        our_words = metadata.to_cutlass(codes, form)
        same = values.tobytes() == theirs.view(torch.uint8).numpy().tobytes()
        same &= our_words.dtype == their_words.numpy().dtype
        wrong += not (same and np.array_equal(our_words, their_words.numpy()))
    return wrong


@pytest.mark.torch
@pytest.mark.parametrize("name", ["fp16", "bf16", "int8", "tf32"])
def test_values_and_reordered_metadata_equal_pytorch(name):
    assert differences_from_pytorch(name, count=100, seed=0) == 0


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("name", ["fp16", "bf16", "int8", "tf32"])
def test_ten_thousand_random_matrices_equal_pytorch(name):
    assert differences_from_pytorch(name, count=10_000, seed=1) == 0


@pytest.mark.torch
def test_the_comparison_with_pytorch_sees_another_filler(monkeypatch):
    monkeypatch.setitem(two_four.FILLED_CODES, (), 0x4)
    assert differences_from_pytorch("fp16", count=10, seed=2) > 0
