"""Workloads by counts: masks that keep their pattern, rows that re-fetch evenly, scores that add to one."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.golden.formats import nm_pattern
from accelsim.golden.two_four import FORMATS, full_group
from accelsim.synthetic import attention, draw_mask, draw_scores, gemm, parse_bits, parse_pattern, spread


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(
    n=st.integers(1, 20),
    k=st.integers(1, 70),
    group=st.integers(1, 17),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_group_keeps_n_of_m_and_a_ragged_last_one_what_fits(
    n: int, k: int, group: int, share: float, seed: int
) -> None:
    kept = max(1, round(share * group))
    mask = draw_mask(n, k, (kept, group), generator(seed)).unpack()
    for start in range(0, k, group):
        part = mask[:, start : start + group]
        assert (part.sum(axis=1) == min(kept, part.shape[1])).all()


def test_every_place_of_a_group_is_as_likely() -> None:
    mask = draw_mask(2000, 80, (2, 8), generator()).unpack().reshape(-1, 8)
    # 20,000 groups: a place is kept 5,000 times, give or take 5 standard deviations of 61.
    assert np.abs(mask.sum(axis=0) - 5000).max() < 306


@pytest.mark.parametrize(("pattern", "k"), [((4, 8), 64), ((2, 4), 64), ((4, 8), 61), ((2, 6), 61)])
def test_int4_keeps_or_drops_pairs_and_still_keeps_its_pattern(pattern: tuple[int, int], k: int) -> None:
    layer = gemm(4, 32, k, pattern=pattern, dtype="int4").layers[0]
    assert layer.mask is not None
    mask = layer.mask.unpack()
    pairs = mask[:, : k // 2 * 2].reshape(32, -1, 2)
    assert np.array_equal(pairs[..., 0], pairs[..., 1])
    assert nm_pattern(mask, [pattern[1]]) == {pattern[1]: pattern[0]}
    assert full_group(mask, FORMATS["int4"]) == ""
    odd = gemm(4, 32, k, pattern=(1, 2), dtype="int4").layers[0]
    assert odd.mask is not None
    assert odd.mask.unpack()[:, : k // 2 * 2].reshape(32, -1, 2).sum(axis=2).max() == 1


def test_the_seed_decides_the_mask() -> None:
    masks = [gemm(4, 64, 64, pattern=(2, 4), generator=generator(seed)) for seed in (1, 1, 2)]
    assert masks[0] == masks[1]
    assert masks[0] != masks[2]


def test_a_large_mask_is_cheap() -> None:
    start = time.process_time()
    gemm(1, 4096, 4096, pattern=(2, 8))
    assert time.process_time() - start < 3


def test_a_dense_gemm_has_no_mask_and_n_of_n_keeps_all() -> None:
    dense, whole = gemm(2, 3, 5), gemm(2, 3, 5, pattern=(4, 4))
    assert dense.is_dense
    assert not dense.synthetic
    assert whole.layers[0].mask is not None
    assert whole.is_dense
    assert not whole.synthetic
    assert gemm(2, 3, 5, pattern=(1, 4)).synthetic


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, -1, 1)])
def test_a_gemm_without_size_is_refused(sizes: tuple[int, int, int]) -> None:
    for pattern in (None, (2, 4)):
        with pytest.raises(ValueError, match="must be a whole number from 1"):
            gemm(*sizes, pattern=pattern)


@pytest.mark.parametrize(
    ("text", "expected"), [("dense", None), ("2:4", (2, 4)), ("4:4", (4, 4)), ("1:16", (1, 16))]
)
def test_patterns_are_read(text: str, expected: tuple[int, int] | None) -> None:
    assert parse_pattern(text) == expected


@pytest.mark.parametrize("text", ["4:2", "0:4", "2", "2:", ":4", "a:b", "2:4:8", "-2:4", "Dense", "0.5"])
def test_wrong_patterns_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"pattern .*{text}"):
        parse_pattern(text)


def test_bits_are_read_and_wrong_ones_refused() -> None:
    assert [parse_bits(text) for text in ("6+4", "12+0")] == [(6, 4), (12, 0)]
    for text in ("5+4", "6+3", "6", "6+", "+4", "a+b"):
        with pytest.raises(ValueError, match="bits must"):
            parse_bits(text)


@given(rows=st.integers(1, 500), fraction=st.floats(0, 1))
def test_rows_that_refetch_are_counted_and_spread(rows: int, fraction: float) -> None:
    again = spread(rows, fraction)
    assert again.shape == (rows,)
    assert abs(again.sum() - rows * fraction) <= 0.5 + 1e-6
    places = np.flatnonzero(again)
    if len(places) > 1:
        assert np.ptp(np.diff(places)) <= 1


def test_attention_says_what_it_was_asked() -> None:
    workload = attention(keys=96, values=32, queries=3, heads=4, layers=5, dim=16, bits=(6, 4), refetch=0.25)
    assert len(workload.layers) == 5
    assert workload.synthetic
    layers = [layer for layer in workload.layers if layer.op == "attention"]
    refetched = sum(int(layer.refetch.sum()) for layer in layers)  # type: ignore[union-attr]
    assert refetched == 5 * 4 * 3 // 4
    for layer in layers:
        assert (layer.values == 32).all()  # type: ignore[union-attr]
        assert layer.scores.shape == (1, 4, 3, 96)  # type: ignore[union-attr]
        assert (layer.keys, layer.dim, layer.bits) == (96, 16, (6, 4))  # type: ignore[union-attr]
    assert layers[0] != layers[1]


def test_as_many_values_as_keys_is_no_decision() -> None:
    layer = attention(keys=8, values=8).layers[0]
    assert layer.values is None
    assert layer.refetch is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": 9}, r"values must be <= keys \(8\), not 9"),
        ({"values": 0}, "values must be >= 1, not 0"),
        ({"keys": 0}, "keys must be >= 1, not 0"),
        ({"queries": 0}, "queries must be >= 1, not 0"),
        ({"heads": -1}, "heads must be >= 1, not -1"),
        ({"layers": 0}, "layers must be >= 1, not 0"),
        ({"dim": 0}, "dim must be >= 1, not 0"),
        ({"refetch": 0.5}, "refetch must be 0 without LSBs"),
        ({"refetch": 0.5, "bits": (8, 0)}, "refetch must be 0 without LSBs"),
        ({"refetch": 1.5, "bits": (8, 4)}, r"refetch must lie in 0\.\.1, not 1\.5"),
    ],
)
def test_counts_that_cannot_be_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attention(**{"keys": 8, "values": 4, **change})  # type: ignore[arg-type]


def test_scores_are_probabilities_of_one() -> None:
    scores = draw_scores((1, 2, 5, 64), generator())
    # Each of 64 roundings is off by at most a half.
    assert np.abs(scores.sum(axis=-1, dtype=np.int64) - 4096).max() <= 32
    assert np.array_equal(scores, draw_scores((1, 2, 5, 64), generator()))
