"""`mma.sp` and `wgmma.sp` on registers against the dense product: every shape, selector and type."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from accelsim.golden import fragments, metadata, two_four
from accelsim.golden.elements import ELEMENTS, numbers
from accelsim.golden.formats import select_nm
from accelsim.golden.fragments import LANES, SHAPES
from accelsim.golden.sparse_mma import ACCUMULATORS, Multiply, mma_sp, tolerance, wgmma_sp
from accelsim.golden.two_four import FORMATS, LEGAL_CODES, ORDERED_CODES, TF32_CODES


def all_multiplies() -> list[Multiply]:
    """Every shape with every selector, pair of types and accumulator that go together."""
    found = []
    for shape in SHAPES:
        names = [name for name, element in ELEMENTS.items() if element.form == shape.form.name]
        for a_type, b_type, accumulator, selector in product(
            names, names, ACCUMULATORS[shape.form.name], range(shape.selectors)
        ):
            found.append(
                Multiply(k=shape.k, a_type=a_type, b_type=b_type, accumulator=accumulator, selector=selector)
            )
    return found


EVERY = pytest.mark.parametrize("multiply", all_multiplies(), ids=lambda m: words_of(m))


class Operands:
    """Random operands of one instruction as matrices of raw elements, and as registers."""

    def __init__(self, multiply: Multiply, seed: int, legal: tuple[int, ...] = LEGAL_CODES) -> None:
        rng, shape, form = np.random.default_rng(seed), multiply.shape, multiply.shape.form
        self.multiply = multiply
        codes = TF32_CODES if form.name == "tf32" else legal
        self.codes = rng.choice(codes, (16, shape.groups)).astype(np.uint8)
        self.stored = random_elements(rng, multiply.a_type, (16, shape.k // 2))
        self.columns = random_elements(rng, multiply.b_type, (8, shape.k))
        # The other lanes hold codes as well, legal ones and not these.
        poison = np.full(LANES, 0x44444444 if form.name == "tf32" else 0x9E4D8C9E, np.uint32)
        self.metadata = fragments.metadata_to_lanes(self.codes, shape, multiply.selector, poison)
        self.a = fragments.a_to_lanes(fragments.to_words(self.stored, form), shape)
        self.b = fragments.b_to_lanes(fragments.to_words(self.columns, form), shape)
        if multiply.accumulator == "s32":
            self.c = rng.integers(-(2**31), 2**31, (16, 8)).astype(np.int32)
        else:
            self.c = rng.standard_normal((16, 8)).astype(np.float16).astype(kind_of(multiply))

    def run(self, registers: np.ndarray | None = None) -> np.ndarray:
        metadata_ = self.metadata if registers is None else registers
        return fragments.c_from_lanes(
            mma_sp(self.multiply, self.a, self.b, fragments.c_to_lanes(self.c), metadata_)
        )

    def dense(self) -> tuple[np.ndarray, np.ndarray]:
        """A (16, k) and B (k, 8) as numbers, A put together one element at a time."""
        form = self.multiply.shape.form
        raw, columns = (
            numbers(x.view(f"u{x.dtype.itemsize}") & mask_of(form), t)
            for x, t in ((self.stored, self.multiply.a_type), (self.columns, self.multiply.b_type))
        )
        dense = np.zeros((16, self.multiply.k), raw.dtype)
        for row, group in np.ndindex(self.codes.shape):
            code = int(self.codes[row, group])
            for place, element in enumerate(places_of(form.group, code)):
                dense[row, group * form.group + element] = raw[row, group * form.kept + place]
        return dense, columns.T


def places_of(group: int, code: int) -> list[int]:
    """Positions in the group, in the order in which its elements are stored."""
    first, second = code & 3, code >> 2
    return {
        4: [first, second],
        2: [first // 2],
        8: [2 * first, 2 * first + 1, 2 * second, 2 * second + 1],
    }[group]


def random_elements(rng: np.random.Generator, name: str, shape: tuple[int, int]) -> np.ndarray:
    element = ELEMENTS[name]
    if element.exponent == 0:
        low = -(1 << element.bits - 1) if element.signed else 0
        return rng.integers(low, low + (1 << element.bits), shape).astype("i1" if element.signed else "u1")
    values = rng.standard_normal(shape).astype(np.float32)
    if name == "f16":
        return values.astype(np.float16)
    if name == "bf16":
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    if name == "tf32":
        return values
    raw = rng.integers(0, 256, shape).astype(np.uint8)
    # Small enough that sums in f16 stay finite.
    return np.where(np.abs(numbers(raw, name)) <= 8, raw, 0).astype(np.uint8)


def kind_of(multiply: Multiply) -> type:
    return {"f32": np.float32, "f16": np.float16, "s32": np.int32}[multiply.accumulator]


def mask_of(form: two_four.Format) -> int:
    return (1 << form.element_bits) - 1


def words_of(multiply: Multiply) -> str:
    types = f"{multiply.accumulator}.{multiply.a_type}.{multiply.b_type}"
    return f"k{multiply.k}.{types}-{multiply.selector}"


def assert_is_dense_product(operands: Operands) -> None:
    """Integers exactly, modulo 2^32; floats against float32 and float64, within the bound for any order."""
    multiply, (a, b), c = operands.multiply, operands.dense(), operands.c
    found = operands.run()
    assert found.dtype == kind_of(multiply)
    if multiply.accumulator == "s32":
        assert np.array_equal(found, (a @ b + c.astype(np.int64)).astype(np.int32))
        return
    magnitude = np.abs(a) @ np.abs(b) + np.abs(c)
    in_float32 = a.astype(np.float32) @ b.astype(np.float32) + c.astype(np.float32)
    for expected in (in_float32, a @ b + c):
        assert (np.abs(found.astype(np.float64) - expected) <= tolerance(multiply, magnitude)).all()


@EVERY
def test_every_instruction_equals_the_dense_product(multiply):
    for seed in range(3):
        assert_is_dense_product(Operands(multiply, seed))


@EVERY
def test_only_the_selected_lanes_are_read_and_every_code_of_them_counts(multiply):
    operands = Operands(multiply, seed=9)
    shape, form, expected = multiply.shape, multiply.shape.form, operands.run()
    other = fragments.metadata_to_lanes(
        operands.codes, shape, multiply.selector, np.full(LANES, 0xFFFFFFFF, np.uint32)
    )
    assert np.array_equal(operands.run(other), expected)  # 0xF is no code at all, and is not read
    row, group = (int(i) for i in np.random.default_rng(9).integers(0, operands.codes.shape))
    others = set(TF32_CODES if form.name == "tf32" else LEGAL_CODES) - {int(operands.codes[row, group])}
    operands.codes[row, group] = min(others)
    changed = fragments.metadata_to_lanes(operands.codes, shape, multiply.selector, operands.metadata)
    found = operands.run(changed)
    assert not np.array_equal(found[row], expected[row])
    assert np.array_equal(np.delete(found, row, axis=0), np.delete(expected, row, axis=0))


@EVERY
def test_ordered_metadata_takes_six_codes_and_refuses_the_other_order(multiply):
    ordered = replace(multiply, ordered=True)
    operands = Operands(ordered, seed=1, legal=ORDERED_CODES)
    assert_is_dense_product(operands)
    operands.codes[3, 2] = 0x1
    swapped = fragments.metadata_to_lanes(operands.codes, ordered.shape, ordered.selector, operands.metadata)
    with pytest.raises(ValueError, match=r"must name .*, not be 0x1 \(group \(3, 2\)\)"):
        operands.run(swapped)


@pytest.mark.parametrize("code", LEGAL_CODES)
def test_each_of_the_twelve_codes_selects_its_two_positions(code):
    # B varies with k alone, so that every wrong position shows.
    multiply = Multiply(k=64, a_type="s8", b_type="s8", accumulator="s32")
    operands = Operands(multiply, seed=0, legal=(code,))
    operands.columns[:] = np.arange(64)
    operands.b = fragments.b_to_lanes(
        fragments.to_words(operands.columns, multiply.shape.form), multiply.shape
    )
    assert_is_dense_product(operands)


@pytest.mark.parametrize("code", [0x0, 0x5, 0xA, 0xF])
def test_a_code_that_names_a_position_twice_is_refused(code):
    operands = Operands(Multiply(k=32), seed=0)
    operands.codes[15, 7] = code
    registers = fragments.metadata_to_lanes(operands.codes, operands.multiply.shape)
    with pytest.raises(
        ValueError, match=rf"fp16 must name two positions, not be {code:#x} \(group \(15, 7\)"
    ):
        operands.run(registers)


def test_integers_wrap_unless_they_saturate():
    for saturate, expected in ((False, np.int32(-(2**31) + 64 * 127 * 127 // 2 - 1)), (True, 2**31 - 1)):
        multiply = Multiply(k=64, a_type="s8", b_type="s8", accumulator="s32", saturate=saturate)
        operands = Operands(multiply, seed=0)
        full = np.full((LANES, 4), 0x7F7F7F7F, np.uint32)
        c = np.full((LANES, 4), 2**31 - 1, np.int32)
        found = mma_sp(multiply, full, full, c, operands.metadata)
        assert np.unique(found).tolist() == [expected]


def test_tf32_ignores_the_bits_that_it_does_not_have():
    multiply = Multiply(k=16, a_type="tf32", b_type="tf32")
    operands = Operands(multiply, seed=0)
    expected = operands.run()
    operands.a, operands.b = operands.a | np.uint32(0x1FFF), operands.b & ~np.uint32(0x1FFF)
    assert np.array_equal(operands.run(), expected)


@pytest.mark.parametrize(
    ("name", "word", "number"),
    [
        ("e4m3", 0x38, 1.0),
        ("e4m3", 0x7E, 448.0),
        ("e4m3", 0x01, 2.0**-9),
        ("e4m3", 0xFF, np.nan),
        ("e4m3", 0x78, 256.0),
        ("e5m2", 0x3C, 1.0),
        ("e5m2", 0x7B, 57344.0),
        ("e5m2", 0x01, 2.0**-16),
        ("e5m2", 0xFC, -np.inf),
        ("e5m2", 0x7D, np.nan),
        ("s4", 0x8, -8),
        ("u4", 0x8, 8),
        ("bf16", 0xC000, -2.0),
    ],
)
def test_words_are_the_numbers_of_their_type(name, word, number):
    width = max(ELEMENTS[name].bits, 8) // 8
    found = numbers(np.array([word], f"u{width}"), name)[0]
    assert found == number or (np.isnan(found) and np.isnan(number))


@pytest.mark.torch
@pytest.mark.parametrize("name", ["e4m3", "e5m2", "bf16", "f16"])
def test_every_word_of_a_short_float_is_the_number_that_pytorch_reads(name):
    torch = pytest.importorskip("torch")
    kinds = {"e4m3": "float8_e4m3fn", "e5m2": "float8_e5m2", "bf16": "bfloat16", "f16": "float16"}
    bits = ELEMENTS[name].bits
    words = np.arange(1 << bits, dtype=f"u{bits // 8}")
    theirs = torch.from_numpy(words.copy()).view(getattr(torch, kinds[name])).to(torch.float64).numpy()
    assert np.array_equal(numbers(words, name), theirs, equal_nan=True)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "a_type", "k", "kind"),
    [
        ("fp16", "f16", 32, "float16"),
        ("bf16", "bf16", 32, "bfloat16"),
        ("tf32", "tf32", 16, "float32"),
        ("int8", "s8", 64, "int8"),
    ],
)
def test_pytorchs_words_are_lane_registers_that_reproduce_the_dense_product(name, a_type, k, kind):
    torch = pytest.importorskip("torch")
    convert = pytest.importorskip("torch.sparse._semi_structured_conversions")
    form, rng, rows, depth, n = FORMATS[name], np.random.default_rng(5), 64, 128, 16
    elements = random_elements(rng, a_type, (rows, depth))
    elements = np.where(select_nm(rng.random((rows, depth)), form.kept, form.group), elements, 0)
    elements = elements.astype(random_elements(rng, a_type, (1, 1)).dtype)
    columns = random_elements(rng, a_type, (n, depth))
    values, words = convert.sparse_semi_structured_from_dense_cutlass(
        torch.from_numpy(elements).view(getattr(torch, kind))
    )
    stored = fragments.to_words(values.view(torch.uint8).numpy().view(elements.dtype), form)
    b_words = fragments.to_words(columns, form)
    registers = metadata.warp_registers(words.numpy(), form)
    integer = a_type == "s8"
    sums = np.zeros((rows, n), np.int32 if integer else np.float32)
    multiply = Multiply(k=k, a_type=a_type, b_type=a_type, accumulator="s32" if integer else "f32")
    shape, half = multiply.shape, multiply.shape.b_words // 2
    for step in range(depth // k):
        for row, column in product(range(0, rows, 16), range(0, n, 8)):
            block, selector = divmod(row // 16, shape.selectors)
            tile = np.s_[row : row + 16, column : column + 8]
            a = fragments.a_to_lanes(stored[row : row + 16, step * half : (step + 1) * half], shape)
            b = fragments.b_to_lanes(
                b_words[column : column + 8, 2 * step * half : 2 * (step + 1) * half], shape
            )
            c = fragments.c_to_lanes(sums[tile])
            selected = replace(multiply, selector=selector)
            sums[tile] = fragments.c_from_lanes(mma_sp(selected, a, b, c, registers[step, block]))
    raw = elements.view(f"u{elements.dtype.itemsize}"), columns.view(f"u{columns.dtype.itemsize}")
    dense, b_dense = (numbers(x, a_type) for x in raw)
    expected, magnitude = dense @ b_dense.T, np.abs(dense) @ np.abs(b_dense).T
    bound = tolerance(multiply, magnitude) * (depth // k)
    assert (np.abs(sums - expected) <= bound).all()


@pytest.mark.parametrize("from_registers", [True, False])
@pytest.mark.parametrize(
    ("a_type", "k", "n"),
    [("f16", 32, 256), ("bf16", 32, 8), ("tf32", 16, 40), ("e4m3", 64, 24), ("s8", 64, 48)],
)
def test_wgmma_equals_the_dense_product_with_a_from_registers_and_from_shared_memory(
    a_type, k, n, from_registers
):
    accumulator = "s32" if a_type == "s8" else "f32"
    first = Multiply(k=k, a_type=a_type, b_type=a_type, accumulator=accumulator)
    form = first.shape.form
    for multiply in [replace(first, selector=selector) for selector in range(first.shape.selectors)]:
        warps = [Operands(multiply, seed) for seed in range(4)]
        columns = random_elements(np.random.default_rng(6), a_type, (n, k))
        c = np.arange(4 * LANES * n // 2).reshape(4, LANES, n // 2).astype(kind_of(multiply))
        rows = np.concatenate([fragments.to_words(warp.stored, form) for warp in warps])
        a = np.stack([warp.a for warp in warps]) if from_registers else rows
        found = wgmma_sp(
            multiply, a, fragments.to_words(columns, form), c, np.stack([w.metadata for w in warps])
        )
        b = numbers(columns.view(f"u{columns.dtype.itemsize}"), a_type).T
        for warp, j in product(range(4), range(n // 8)):
            dense, _ = warps[warp].dense()
            tile, eight = np.s_[warp, :, 4 * j : 4 * j + 4], np.s_[:, 8 * j : 8 * j + 8]
            start = fragments.c_from_lanes(c[tile])
            magnitude = np.abs(dense) @ np.abs(b[eight]) + np.abs(start)
            error = np.abs(fragments.c_from_lanes(found[tile]) - (dense @ b[eight] + start))
            assert (error <= tolerance(multiply, magnitude)).all()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"k": 64}, "k must be 16 or 32 for mma.sp of fp16, not 64"),
        ({"k": 32, "selector": 2}, "selector of m16n8k32 fp16 must be from 0 to 1, not 2"),
        ({"k": 32, "a_type": "f8"}, "a_type must be one of f16, .*, not 'f8'"),
        ({"k": 32, "b_type": "bf16"}, "b_type must be f16 for f16, not 'bf16'"),
        ({"k": 32, "accumulator": "s32"}, "accumulator must be f32 or f16 for f16, not 's32'"),
        ({"k": 64, "a_type": "s8", "b_type": "u8"}, "accumulator must be s32 for s8, not 'f32'"),
    ],
)
def test_what_no_instruction_is_is_refused(settings, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        Multiply(**settings)


def test_a_wgmma_that_does_not_exist_is_refused():
    registers, words = np.zeros((4, 32, 4), np.uint32), np.zeros((4, 32), np.uint32)
    multiply = Multiply(k=64, a_type="s8", b_type="s8", accumulator="s32")
    with pytest.raises(ValueError, match=r"n must be one that wgmma\.sp has for m16n8k64 int8, not 40"):
        wgmma_sp(multiply, registers, np.zeros((40, 16), np.uint32), np.zeros((4, 32, 20), np.int32), words)
    with pytest.raises(ValueError, match=r"b, c and metadata of an m64n16 wgmma\.sp must have the shapes"):
        wgmma_sp(multiply, registers, np.zeros((16, 16), np.uint32), np.zeros((4, 32, 4), np.int32), words)
    int4 = Multiply(k=128, a_type="s4", b_type="s4", accumulator="s32")
    with pytest.raises(ValueError, match="not 8"):
        wgmma_sp(int4, registers, np.zeros((8, 16), np.uint32), np.zeros((4, 32, 4), np.int32), words)
