"""The layers of a training step, from those of a forward pass; the networks against the published shapes."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.golden.formats import Bitmap, nm_pattern
from accelsim.models.networks import workload
from accelsim.stages import Directions, Optimiser, Step, training_step
from accelsim.workload import Attention, Matmul, Update, Workload


def work(step: Workload) -> float:
    """Products of the dense step over those that the masks leave."""
    left = sum(layer.m * layer.kept for layer in step.layers if isinstance(layer, Matmul))
    return step.macs / left


@pytest.mark.parametrize(
    ("name", "gigamacs", "ideal"),
    [
        ("resnet-9", 1.1360, (1.498, 1.994, 2.390)),
        ("vit-cifar", 1.9214, (1.469, 1.919, 2.266)),
        ("vit-cifar-2048", 3.7617, (1.484, 1.958, 2.330)),
        ("vgg-19-cifar", 1.1928, (1.498, 1.994, 2.390)),
        ("resnet-18-tiny", 0.4348, (1.467, 1.914, 2.258)),
        ("resnet-18-tiny-3x3", 6.6582, (1.498, 1.996, 2.393)),
        ("resnet-50", 12.1495, (1.485, 1.961, 2.335)),
    ],
)
def test_steps_of_the_networks_have_the_counted_work(
    name: str, gigamacs: float, ideal: tuple[float, ...]
) -> None:
    for m, expected in zip((4, 8, 16), ideal, strict=True):
        step = workload(name, f"bdwp,2:{m}", train=True, batch=2)
        assert step.synthetic
        assert step.macs / 2e9 == pytest.approx(gigamacs, abs=5e-5)
        assert work(step) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("recipe", "ratio"),
    [("bdwp,2:8", 2.0), ("srste,2:8", 4 / 3), ("sdgp,2:8", 4 / 3), ("transposable,2:8", 2.0), ("", 1.0)],
)
def test_each_method_saves_in_its_products(recipe: str, ratio: float) -> None:
    step = workload("resnet-9", recipe or None, train=True)
    pruned = [layer for layer in step.layers if isinstance(layer, Matmul) and layer.layer == "features.6"]
    assert sum(layer.macs for layer in pruned) / sum(layer.m * layer.kept for layer in pruned) == ratio


def test_the_three_products_of_a_grouped_strided_convolution() -> None:
    geometry = {"kernel": "3x3", "input_channels": 12, "output_channels": 20, "groups": 2, "stride": "2x2"}
    generator = np.random.default_rng(0)
    backward = generator.random((2, 10, 54)) < 0.5
    layer = Matmul(name="c", m=30, n=10, k=54, count=2, geometry=geometry)
    other = Matmul(name="d", m=3, n=4, k=5)
    directions = {"c": Directions(forward="2:4", backward="2:5", backward_mask=Bitmap.pack(backward))}
    step = Step(
        directions=directions,
        without_input_gradient={"d"},
        optimiser=Optimiser(state=2, decay=True, loss_scale=8),
        other_parameters=7,
    )
    layers = training_step((other, layer), step)
    assert [layer.name for layer in layers] == [
        "d.ff", "c.ff", "c.bp", "c.wu", "d.wu", "d.update", "c.update", "other parameters.update"
    ]  # fmt: skip
    by_name = {layer.name: layer for layer in layers}
    bp, wu, update = by_name["c.bp"], by_name["c.wu"], by_name["c.update"]
    assert isinstance(bp, Matmul)
    assert isinstance(wu, Matmul)
    assert isinstance(update, Update)
    assert (bp.m, bp.n, bp.k, bp.count, bp.group_span) == (30, 54, 10, 2, 10)
    assert bp.mask is not None
    np.testing.assert_array_equal(bp.mask.unpack(), backward.swapaxes(1, 2))
    assert (wu.m, wu.n, wu.k, wu.count, wu.weights, wu.mask) == (54, 10, 30, 2, False, None)
    assert bp.geometry["pattern"] == "2:5"
    assert by_name["c.ff"].geometry["pattern"] == "2:4"
    assert (update.forward, update.backward, update.decay, update.parameters) == ("2:4", "2:5", True, 1080)
    assert not by_name["d.update"].decay
    assert by_name["other parameters.update"].parameters == 7
    assert Workload(model="m", layers=layers).dense().is_dense


def test_attention_has_two_products_forward_and_four_backward() -> None:
    attention = Attention(name="a", heads=2, kv_heads=2, queries=3, keys=5, dim=7, value_dim=11, batch=4)
    layers = training_step((attention,), Step())
    shapes = {layer.name: (layer.m, layer.n, layer.k, layer.count) for layer in layers}  # type: ignore[union-attr]
    assert shapes == {
        "a.qk.ff": (3, 5, 7, 8),
        "a.pv.ff": (3, 11, 5, 8),
        "a.pv.left.bp": (3, 5, 11, 8),
        "a.pv.right.bp": (11, 5, 3, 8),
        "a.qk.left.bp": (3, 7, 5, 8),
        "a.qk.right.bp": (5, 7, 3, 8),
    }


def test_a_weight_that_runs_twice_is_updated_once() -> None:
    layers = training_step(
        (Matmul(name="a", m=2, n=3, k=4), Matmul(name="a#2", m=2, n=3, k=4)),
        Step(directions={"a": Directions()}),
    )
    assert [layer.name for layer in layers if isinstance(layer, Update)] == ["a.update"]


def test_drawn_masks_keep_to_their_groups_in_both_directions() -> None:
    step = workload("resnet-9", "bdwp,2:16", train=True)
    seen = 0
    for layer in step.layers:
        if isinstance(layer, Matmul) and layer.mask is not None:
            kept = layer.mask.unpack().reshape(layer.n, -1, layer.group_span)
            assert nm_pattern(kept, [16]) == {16: 2}
            seen += 1
    assert seen == 14


def test_a_recipe_of_inference_is_refused_in_a_step() -> None:
    with pytest.raises(ValueError, match="takes bdwp, srste, sdgp or transposable, not magnitude"):
        workload("resnet-9", "magnitude,2:8", train=True)
    with pytest.raises(ValueError, match="sdgp,2:8 prunes gradients alone"):
        workload("resnet-9", "sdgp,2:8")
