"""SAT's closed forms: the table of ResNet-9 cell by cell, sample shapes, peaks, ratios of the methods."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.accelerators.folds import output_stationary, weight_stationary
from accelsim.accelerators.gemm import Array, Gemm
from accelsim.accelerators.sat import PAPER, methods

ROOMY = Array(rows=32, cols=32, activation_buffer=1 << 40, weight_buffer=1 << 40, output_buffer=1 << 40)
FLOWS = {"os": output_stationary, "ws": weight_stationary}

Cells = tuple[int, int]

# ResNet-9, batch 512, 32 x 32, slot model: stage, m x n x k, (OS, WS) dense and 2:8, the better one of each.
RESNET9: list[tuple[str, tuple[int, int, int], Cells, Cells | None, tuple[str, str]]] = [
    ("c1.ff", (524288, 64, 27), (2916352, 1048764), None, ("ws", "ws")),
    ("c1.wu", (27, 64, 524288), (1048700, 3964928), None, ("os", "os")),
    ("c2.ff", (524288, 128, 576), (41811968, 37755504), (13500416, 10487640), ("ws", "ws")),
    ("c2.bp", (524288, 576, 128), (56033280, 37755504), (27721728, 9438876), ("ws", "ws")),
    ("c2.wu", (576, 128, 524288), (37753200, 43909120), None, ("os", "os")),
    ("r1a.ff", (131072, 128, 1152), (19890176, 18887904), (5734400, 4721976), ("ws", "ws")),
    ("r1a.bp", (131072, 1152, 128), (28016640, 18887904), (13860864, 4721976), ("ws", "ws")),
    ("r1a.wu", (1152, 128, 131072), (18883296, 20414464), None, ("os", "os")),
    ("r1b.ff", (131072, 128, 1152), (19890176, 18887904), (5734400, 4721976), ("ws", "ws")),
    ("r1b.bp", (131072, 1152, 128), (28016640, 18887904), (13860864, 4721976), ("ws", "ws")),
    ("r1b.wu", (1152, 128, 131072), (18883296, 20414464), None, ("os", "os")),
    ("c3.ff", (131072, 256, 1152), (39780352, 37775808), (11468800, 9443952), ("ws", "ws")),
    ("c3.bp", (131072, 1152, 256), (46891008, 37775808), (18579456, 9443952), ("ws", "ws")),
    ("c3.wu", (1152, 256, 131072), (37766592, 40828928), None, ("os", "os")),
    ("c4.ff", (32768, 512, 2304), (38764544, 37857024), (10452992, 9464256), ("ws", "ws")),
    ("c4.bp", (32768, 2304, 512), (42319872, 37857024), (14008320, 9464256), ("ws", "ws")),
    ("c4.wu", (2304, 512, 32768), (37820160, 39288832), None, ("os", "os")),
    ("r2a.ff", (8192, 512, 4608), (19128320, 19090944), (4972544, 4772736), ("ws", "ws")),
    ("r2a.bp", (8192, 4608, 512), (21159936, 19090944), (7004160, 4772736), ("ws", "ws")),
    ("r2a.wu", (4608, 512, 8192), (19017216, 19259392), None, ("os", "os")),
    ("r2b.ff", (8192, 512, 4608), (19128320, 19090944), (4972544, 4772736), ("ws", "ws")),
    ("r2b.bp", (8192, 4608, 512), (21159936, 19090944), (7004160, 4772736), ("ws", "ws")),
    ("r2b.wu", (4608, 512, 8192), (19017216, 19259392), None, ("os", "os")),
    ("fc.ff", (512, 10, 512), (9184, 9696), None, ("os", "os")),
    ("fc.bp", (512, 512, 10), (18432, 9696), None, ("ws", "ws")),
    ("fc.wu", (512, 10, 512), (9184, 9696), None, ("os", "os")),
]


def gemm(m: int, n: int, k: int, kept: int = 1, group: int = 1, held: int = 1) -> Gemm:
    index = (group - 1).bit_length()
    return Gemm(m=m, n=n, k=k, kept=kept, group=group, held=held, weight_bits=16 + index)


def cycles(work: Gemm, array: Array = ROOMY) -> Cells:
    return output_stationary(work, array).compute_cycles, weight_stationary(work, array).compute_cycles


@pytest.mark.parametrize(("stage", "shape", "dense", "sparse", "picks"), RESNET9)
def test_every_cell_of_the_table_of_resnet_9(
    stage: str,
    shape: tuple[int, int, int],
    dense: Cells,
    sparse: Cells | None,
    picks: tuple[str, str],
) -> None:
    assert cycles(gemm(*shape)) == dense
    found = cycles(gemm(*shape, kept=2, group=8)) if sparse else dense
    assert found == (sparse or dense)
    assert picks == tuple("os" if os <= ws else "ws" for os, ws in (dense, found))


# m x n x k: OS and WS dense, then 2:8 with OS, WS in the slot model, WS time-multiplexed.
SAMPLES = [
    ((256, 128, 576), 20416, 25200, 6592, 7000, 7656),
    ((512, 96, 512), 27552, 29088, 9120, 7272, 6900),
    ((8192, 256, 1152), 2486272, 2386368, 716800, 596592, 660400),
]


@pytest.mark.parametrize(("shape", "os", "ws", "sparse_os", "slot", "time"), SAMPLES)
def test_the_sample_shapes(
    shape: tuple[int, int, int], os: int, ws: int, sparse_os: int, slot: int, time: int
) -> None:
    assert cycles(gemm(*shape)) == (os, ws)
    assert cycles(gemm(*shape, kept=2, group=8)) == (sparse_os, slot)
    assert cycles(gemm(*shape, kept=2, group=8, held=2)) == (sparse_os, time)


@pytest.mark.parametrize("seed", range(100))
def test_any_shape_array_and_pattern_has_the_cycles_of_the_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n, k = (int(2**power) for power in rng.uniform(0, 11, 3))
    rows, cols = (int(2**power) for power in rng.uniform(0, 7, 2))
    group = int(rng.integers(1, 33))
    kept = int(rng.integers(1, group + 1))
    held = kept if rng.random() < 0.5 else 1
    array = Array(
        rows=rows, cols=cols, activation_buffer=1 << 40, weight_buffer=1 << 40, output_buffer=1 << 40
    )
    stored = -(-k // group) * kept
    os = -(-m // rows) * -(-n // cols) * (stored + rows + cols - 2)
    ws = -(-stored // (held * rows)) * -(-n // cols) * (held * m + held * rows + rows + cols - 2)
    assert cycles(gemm(m, n, k, kept, group, held), array) == (os, ws)


def test_the_check_tells_a_formula_that_is_one_cycle_off() -> None:
    (_, shape, dense, _, _) = RESNET9[0]
    longer = Array(
        rows=32, cols=32, activation_buffer=1 << 40, weight_buffer=1 << 40, output_buffer=1 << 40, latency=1
    )
    assert all(found > told for found, told in zip(cycles(gemm(*shape), longer), dense, strict=True))


@pytest.mark.parametrize(
    ("pattern", "gflops"), [((1, 1), 409.6), ((2, 4), 819.2), ((2, 8), 1638.4), ((2, 16), 3276.8)]
)
def test_the_peak_of_32_x_32_elements_at_200_mhz(pattern: Cells, gflops: float) -> None:
    assert PAPER.peak_gflops(*pattern) == pytest.approx(gflops, rel=1e-12)


@pytest.mark.parametrize(
    ("pattern", "one_sided", "both"),
    [((2, 4), 1.20, 1.50), ((2, 8), 4 / 3, 2.00), ((2, 16), 1.41, 2.40)],
)
def test_the_ratios_of_the_methods(pattern: Cells, one_sided: float, both: float) -> None:
    ratios = methods.ideal_speedups(*pattern)
    assert ratios["dense"] == 1
    for name in ("srste", "sdgp", "sdwp"):
        assert ratios[name] == pytest.approx(one_sided, abs=0.005)
    assert ratios["bdwp"] == pytest.approx(both, rel=1e-12)


@pytest.mark.parametrize(
    ("pattern", "bits", "ratio"),
    [
        ((2, 4), 36, 0.562),
        ((2, 8), 38, 0.297),
        ((2, 16), 40, 0.156),
        ((1, 4), 18, 0.281),
        ((4, 8), 76, 0.594),
    ],
)
def test_the_bits_of_a_stored_group(pattern: Cells, bits: int, ratio: float) -> None:
    kept, group = pattern
    stored = kept * gemm(1, 1, group, kept, group).weight_bits
    assert stored == bits
    assert stored / (16 * group) == pytest.approx(ratio, abs=0.0007)
