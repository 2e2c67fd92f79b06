"""ARMOR's cores: what the blocks around them add, and what that leaves of the gain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import accelsim
from accelsim.accelerators import find
from accelsim.golden.formats import Bitmap, select_nm
from accelsim.models.armor import Overhead, overhead, with_cores
from accelsim.models.networks import workload
from accelsim.workload import Matmul, Workload


def linear(n: int, k: int, m: int = 1) -> Workload:
    mask = Bitmap.pack(select_nm(np.random.default_rng(0).random((n, k)), 2, 4))
    return Workload(model="linear", layers=(Matmul(name="fc", m=m, n=n, k=k, mask=mask),))


def blocks(name: str) -> Workload:
    """One block of a decoder, its matrices with the first two weights of every four."""
    made = workload(name, tokens=1)
    return replace(
        made,
        layers=tuple(
            replace(layer, mask=Bitmap((layer.n, layer.k), np.full(layer.n * layer.k // 8, 0x33, np.uint8)))
            if isinstance(layer, Matmul)
            else layer
            for layer in made.layers
            if layer.name.startswith("model.layers.0.")
        ),
    )


@pytest.mark.parametrize(
    ("name", "share", "bound"), [("qwen2.5-7b", 0.0495, 1.82), ("qwen2.5-32b", 0.0344, 1.87)]
)
def test_overhead_and_bound_are_the_published_ones(name: str, share: float, bound: float) -> None:
    found = overhead(blocks(name))
    assert round(found.share, 4) == share
    assert round(found.bound(), 2) == bound


@pytest.mark.parametrize(("n", "k", "block"), [(256, 512, 128), (768, 768, 32), (4096, 1024, 64)])
def test_the_overhead_of_a_matrix_is_the_formula(n: int, k: int, block: int) -> None:
    found = overhead(linear(n, k, m=7), block)
    assert found.share == pytest.approx(block * (1 / k + 1 / n))
    assert found.dense == 7 * n * k


def test_indices_lower_the_bound_where_bytes_bind() -> None:
    found = Overhead(dense=10_000, blocks=495)
    assert found.bound(9 / 16) == pytest.approx(1.634, abs=0.001)
    assert Overhead(dense=1, blocks=0).bound() == 2


def test_blocks_stand_before_and_behind_each_core_in_order() -> None:
    made = with_cores(blocks("qwen2.5-7b"))
    names = [layer.name.removeprefix("model.layers.0.") for layer in made.layers]
    assert names[:3] == ["self_attn.q_proj.before", "self_attn.q_proj", "self_attn.q_proj.behind"]
    # Seven matrices and the attention.
    assert len(names) == 7 * 3 + 1
    down = next(layer for layer in made.layers if layer.name.endswith("down_proj.before"))
    assert isinstance(down, Matmul)
    assert (down.count, down.m, down.n, down.k) == (18944 // 128, 1, 128, 128)


@pytest.mark.parametrize("machine", ["stc:tiny", "stc:sparseloop"])
def test_a_machine_charges_the_blocks(machine: str) -> None:
    core = find(machine)[2]
    plain = linear(512, 512, m=64)
    cycles = [accelsim.run(work, core, baseline=False).cycles for work in (plain, with_cores(plain))]
    assert cycles[0] < cycles[1]
    report = accelsim.run(with_cores(plain), core, baseline=False)
    assert report.macs_done == 64 * (512 * 512 // 2 + 2 * 4 * 128 * 128)


def test_what_cannot_be_cut_is_refused_in_one_line() -> None:
    with pytest.raises(
        ValueError, match=r"^layer 'fc': block must divide its 96 inputs and 128 outputs, not 64$"
    ):
        with_cores(linear(128, 96), 64)
    with pytest.raises(ValueError, match=r"^block must be >= 1, not 0$"):
        with_cores(linear(128, 96), 0)
    with pytest.raises(
        ValueError, match=r"^linear must have a pruned matrix to put blocks around, and has none$"
    ):
        with_cores(linear(128, 96).dense())
