"""A network with whole zero outputs, inputs or channels costs what the physically smaller one costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.accelerators.sat import Sat  # noqa: E402
from accelsim.accelerators.sparse_tensor_core import SparseTensorCore  # noqa: E402
from accelsim.accelerators.systolic import Systolic  # noqa: E402
from accelsim.run import run  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.training import trace_step  # noqa: E402
from accelsim.workload import Layer, Matmul, Workload  # noqa: E402

pytestmark = pytest.mark.torch


def drawn(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def some(count: int, of: int) -> Any:
    """Which of so many stay, at drawn places."""
    places = torch.randperm(of, generator=torch.Generator().manual_seed(of))[:count]
    return torch.zeros(of, dtype=torch.bool).index_fill(0, places, True)


def without_unpruned_sizes(workload: Workload) -> list[Layer]:
    return [
        replace(layer, dense_n=0, dense_k=0) if isinstance(layer, Matmul) else layer
        for layer in workload.layers
    ]


CASES: dict[str, tuple[Any, Any, int, int, Any, Any]] = {
    # The layer and the smaller one; axes of outputs and inputs in the weight; the inputs of both.
    "linear": (lambda: nn.Linear(64, 48), lambda: nn.Linear(40, 24), 0, 1, (5, 64), (5, 40)),
    "convolution": (
        lambda: nn.Conv2d(64, 48, 3, stride=2, padding=1),
        lambda: nn.Conv2d(40, 24, 3, stride=2, padding=1),
        0,
        1,
        (2, 64, 9, 7),
        (2, 40, 9, 7),
    ),
    "transposed convolution": (
        lambda: nn.ConvTranspose2d(64, 48, 2, stride=2),
        lambda: nn.ConvTranspose2d(40, 24, 2, stride=2),
        1,
        0,
        (2, 64, 4, 3),
        (2, 40, 4, 3),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_zeros_in_place_are_the_smaller_layer(case: str) -> None:
    large, small, outputs, inputs, shape, less = CASES[case]
    layer = large()
    with torch.no_grad():
        layer.weight.index_fill_(outputs, (~some(24, 48)).nonzero().flatten(), 0)
        layer.weight.index_fill_(inputs, (~some(40, 64)).nonzero().flatten(), 0)
    found, wanted = trace(layer, drawn(*shape)), trace(small(), drawn(*less))
    assert [each.renamed("a") for each in without_unpruned_sizes(found)] == [
        each.renamed("a") for each in wanted.layers
    ]
    dense = trace(large(), drawn(*shape))
    assert [each.renamed("a") for each in found.dense().layers] == [
        each.renamed("a") for each in dense.layers
    ]
    assert any("taken out of 1 of 1 products" in note for note in found.notes)
    for machine in (Sat(), Systolic(rows=8, cols=8), SparseTensorCore()):
        report, smaller, whole = run(found, machine), run(wanted, machine), run(dense, machine)
        assert report.baseline is not None
        assert (report.cycles, report.dram_bytes) == (smaller.cycles, smaller.dram_bytes)
        assert (report.baseline.cycles, report.macs_dense) == (whole.cycles, whole.macs_done)
        assert report.macs_done == smaller.macs_done
        assert report.layers[0].notes[0].endswith("inputs are left: the others have no weight")


def test_half_a_channel_and_groups_stay() -> None:
    half, grouped = nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3, groups=8)
    with torch.no_grad():
        half.weight[:, 3, 0] = 0
        grouped.weight[3] = 0
    for module in (half, grouped):
        (layer,) = trace(module, drawn(1, 8, 6, 6)).layers
        assert isinstance(layer, Matmul)
        assert (layer.dense_n, layer.dense_k) == (0, 0)
        assert layer.mask is not None


def test_a_network_of_smaller_layers_is_the_one_with_zeros() -> None:
    large = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 16))
    small = nn.Sequential(nn.Linear(32, 40), nn.ReLU(), nn.Linear(40, 16))
    stays = some(40, 64)
    with torch.no_grad():
        large[0].weight[~stays], large[0].bias[~stays], large[2].weight[:, ~stays] = 0, 0, 0
        for name in ("weight", "bias"):
            getattr(small[0], name).copy_(getattr(large[0], name)[stays])
        small[2].weight.copy_(large[2].weight[:, stays])
        small[2].bias.copy_(large[2].bias)
    rows = drawn(7, 32)
    torch.testing.assert_close(small(rows), large(rows))
    assert without_unpruned_sizes(trace(large, rows)) == list(trace(small, rows).layers)


def test_columns_of_a_recipe_are_taken_out_and_said() -> None:
    network = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 32))
    found = trace(network, drawn(7, 64), prune="magnitude,0.5,columns")
    assert [(layer.k, layer.dense_k, layer.mask) for layer in found.layers if isinstance(layer, Matmul)] == [
        (32, 64, None)
    ] * 2
    assert [" ".join(line.split()) for line in str(found).splitlines()[2:4]] == [
        "0 matmul 7 x 64 x 32/64 0.500 7",
        "1 matmul 7 x 32 x 32/64 0.500 7",
    ]
    assert not any("left dense" in note for note in found.notes)
    (wide, one) = trace(nn.Sequential(network[0], nn.Linear(64, 1)), drawn(7, 64)).layers
    assert (wide.is_dense, one.is_dense) == (True, True)


def test_a_layer_that_is_whole_is_named_beside_one_that_is_not() -> None:
    network = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 32))
    with torch.no_grad():
        network[0].weight[:32] = 0
    notes = trace(network, drawn(7, 64)).notes
    assert "left dense: 1 (no zeros)" in notes


def test_a_training_step_keeps_its_shapes() -> None:
    network = nn.Sequential(nn.Linear(16, 32), nn.Linear(32, 8))
    with torch.no_grad():
        network[0].weight[:16] = 0
    step = trace_step(network, drawn(7, 16))
    assert {(layer.dense_n, layer.dense_k) for layer in step.layers if isinstance(layer, Matmul)} == {(0, 0)}
    assert step.layers[0] == replace(step.layers[0], n=32, k=16)
