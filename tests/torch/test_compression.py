"""2:4 and integer weights while training: masks stay, grids hold, and a student comes near its teacher."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.accelerators import find  # noqa: E402
from accelsim.golden.formats import select_nm  # noqa: E402
from accelsim.models.small_vit import SmallVit  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.training.compression import Compression, rounded, top, two_four  # noqa: E402
from accelsim.training.distilling import Settings, accuracy, aware, distil  # noqa: E402

pytestmark = pytest.mark.torch

FEATURES = ("blocks.0", "blocks.1")


def vit(seed: int = 0) -> SmallVit:
    torch.manual_seed(seed)
    return SmallVit(width=32, blocks=2, heads=2, inner=64)


def pictures(count: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


def lessons(count: int = 384) -> tuple[SmallVit, torch.Tensor, torch.Tensor]:
    """A teacher that somewhat knows its own labels, which are those of another network."""
    teacher, given = vit(), pictures(count)
    with torch.no_grad():
        labels = vit(seed=9)(given).argmax(1)
    return teacher, given, labels


def fours(weight: torch.Tensor, m: int = 4) -> int:
    """Most non-zeros in any aligned group along axis 1."""
    groups = (weight.detach() != 0).movedim(1, -1).unflatten(-1, (-1, m))
    return int(groups.sum(-1).max())


def test_masks_are_the_golden_rules() -> None:
    weight = torch.randn(16, 32, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(two_four(weight).numpy(), select_nm(weight.numpy(), 2, 4))
    pairs = two_four(weight, pairs=True).numpy()
    summed = np.abs(weight.numpy()).reshape(16, 16, 2).sum(-1)
    assert np.array_equal(pairs.reshape(16, 16, 2).all(-1), select_nm(summed, 2, 4))
    assert np.array_equal(pairs.reshape(16, 16, 2).any(-1), pairs.reshape(16, 16, 2).all(-1))


@pytest.mark.parametrize("bits", [4, 8])
def test_rounding_is_to_symmetric_integers_and_its_gradient_stops_where_it_clips(bits: int) -> None:
    values = torch.tensor([-9.0, -0.26, 0.1, 0.24, 0.26, 3.0, 70.0], requires_grad=True)
    found = rounded(values, torch.tensor(0.5), bits)
    whole = (found / 0.5).round()
    assert torch.equal(whole * 0.5, found.detach())
    assert int(whole.abs().max()) <= top(bits) == 2 ** (bits - 1) - 1
    found.sum().backward()  # type: ignore[no-untyped-call]
    inside = values.detach().abs() <= 0.5 * top(bits)
    assert values.grad is not None
    assert torch.equal(values.grad, inside.float())


@pytest.mark.parametrize("dtype", ["fp32", "int8", "int4"])
def test_a_student_stays_sparse_and_on_its_grid_while_it_learns(dtype: str) -> None:
    teacher, given, labels = lessons(128)
    student = copy.deepcopy(teacher)
    compression = Compression(student, dtype)
    before = {found.name: found.mask for found in compression.layers}
    assert compression.left_dense == {
        "patches": f"1 weights along the reduction are no multiple of {8 if dtype == 'int4' else 4}"
    }
    with compression:
        distil(student, teacher, given, labels, Settings(features=FEATURES, epochs=1, batch=64))
        compressed = student.eval()(given[:4])
    compression.write()
    for found in compression.layers:
        assert found.mask is before[found.name]
        weight = found.layer.weight.detach()
        if found.mask is not None:
            assert fours(weight) <= (4 if dtype == "int4" else 2)
            assert fours(weight, 8) <= 4
        if found.bits:
            assert all(len(row.unique()) <= 2 * top(found.bits) + 1 for row in weight.flatten(1))
    # Written weights are what the products read: without quantised activations nothing changes.
    if dtype == "fp32":
        assert torch.allclose(student(given[:4]), compressed, atol=1e-6)


def test_distilling_brings_a_pruned_student_nearer_to_its_teacher() -> None:
    teacher, given, labels = lessons()
    near: dict[str, float] = {}
    for name, settings in {
        "pruned": None,
        "without labels": Settings(features=FEATURES, hard=0, epochs=3, batch=64),
    }.items():
        student = copy.deepcopy(teacher)
        with Compression(student, "fp32"):
            if settings:
                missing = distil(student, teacher, given, labels, settings)
                assert len(missing) == 2
            with torch.no_grad():
                near[name] = float((student.eval()(given) - teacher.eval()(given)).square().mean())
    assert near["without labels"] < 0.5 * near["pruned"]


def test_quantising_keeps_the_masks_of_the_pruning_before_it() -> None:
    teacher, given, labels = lessons(64)
    student = copy.deepcopy(teacher)
    first = Compression(student, "fp32", pairs=True)
    with first:
        distil(student, teacher, given, labels, Settings(features=FEATURES, epochs=1, batch=32))
    second = Compression(student, "int4", sparse=False)
    assert not any(found.mask is not None for found in second.layers)
    second.keep_masks_of(first)
    second.write()
    for found in first.layers:
        if found.mask is not None:
            assert not found.layer.weight.detach()[~found.mask].any()
            assert (
                fours(found.layer.weight.reshape(-1, found.layer.weight.shape[1] // 2, 2).abs().sum(-1)) <= 2
            )


def test_the_same_seed_gives_the_same_student() -> None:
    teacher, given, labels = lessons(96)
    weights = []
    for _ in range(2):
        student = copy.deepcopy(teacher)
        with Compression(student, "int8"):
            distil(student, teacher, given, labels, Settings(features=FEATURES, epochs=1, batch=32, seed=3))
        weights.append(student.head.weight.detach().clone())
    assert torch.equal(*weights)


def test_a_whole_copy_of_the_teacher_misses_nothing_at_first() -> None:
    teacher, given, labels = lessons(64)
    student = copy.deepcopy(teacher)
    settings = Settings(features=FEATURES, hard=0, soft=0, epochs=1, batch=64, learning_rate=1e-9)
    assert max(distil(student, teacher, given, labels, settings)) < 1e-9


def test_aware_factors_are_one_in_the_mean_and_largest_where_most_is_missing() -> None:
    assert aware([1.0, 3.0]) == [0.5, 1.5]
    assert aware([0.0, 0.0]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("dtype", "machine"), [("int8", "stc:tiny"), ("int4", "stc:tiny"), ("int8", "stc:sparseloop")]
)
def test_what_was_learnt_runs_sparse_on_the_machine(dtype: str, machine: str) -> None:
    from accelsim.parameters import replace_by_path

    student = vit()
    compression = Compression(student, dtype)
    compression.write()
    core = replace_by_path(find(machine)[2], "dtype", dtype)
    patterns = [
        core.plan(layer).facts["pattern"]
        for layer in trace(student, pictures(2)).layers
        if layer.op == "matmul"
    ]
    assert patterns == ["4:8 in pairs" if dtype == "int4" else "2:4"] * 13


def test_a_layer_of_whole_groups_in_a_convolution_is_pruned_along_its_channels() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(8, 4, 3), nn.Conv2d(4, 4, 1))
    compression = Compression(module, "int8")
    with compression:
        module(torch.randn(1, 8, 5, 5)).sum().backward()
    assert [found.mask is not None for found in compression.layers] == [True, True]
    assert fours(module[0].weight * compression.layers[0].mask) == 2
    dropped = module[0].weight.grad[~compression.layers[0].mask]
    assert not dropped.any()


def learn(settings: Settings, factors: list[float] | None = None) -> None:
    distil(vit(), vit(), pictures(2), torch.zeros(2).long(), settings, factors)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Compression(vit(), "int5"), "dtype must be one of fp32, int8, int4, not 'int5'; did you"),
        (lambda: Compression(nn.Linear(3, 3), "fp32"), "compression must fit at least one layer (Linear: 3"),
        (lambda: Settings(features=(), soft=-1), "soft must be >= 0, not -1"),
        (lambda: Settings(features=(), hard=0, soft=0, feature=0), "hard, soft and feature must not all be"),
        (lambda: learn(Settings(features=("x",))), "feature must be a module of SmallVit, not 'x'"),
        (lambda: learn(Settings(features=FEATURES), [1.0]), "factors must be 2, one for each feature, not 1"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        make()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_accuracy_counts_right_classes() -> None:
    teacher, given, _ = lessons(32)
    with torch.no_grad():
        own = teacher.eval()(given).argmax(1)
    assert accuracy(teacher, given, own, batch=5) == 1
    assert accuracy(teacher, given, (own + 1) % 10) == 0
