"""N:M masks and straight-through products of training against plain loops and the golden rule."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.golden.formats import reduce_nm, select_nm  # noqa: E402
from accelsim.prune.nm_layers import choose  # noqa: E402
from accelsim.prune.nm_masks import backward_mask, forward_mask, keep_largest, transposable_mask  # noqa: E402
from accelsim.prune.recipes import NmTraining, parse  # noqa: E402
from accelsim.training.masking import Masking  # noqa: E402

pytestmark = pytest.mark.torch

PATTERNS = [(2, 4), (2, 8), (2, 16), (1, 4), (4, 8), (3, 5), (4, 4)]


def tensor(kind: str, *shape: int) -> torch.Tensor:
    """FP16 numbers in FP32: normal ones, ones with few magnitudes, or zeros of both signs."""
    generator = np.random.default_rng([*kind.encode(), *shape])
    if kind == "normal":
        values = generator.standard_normal(shape)
    elif kind == "ties":
        values = generator.choice([-0.5, 0.5, 1.0, -1.0, 0.0, 6e-8], shape)
    else:
        values = generator.choice([0.0, -0.0], shape)
    return torch.from_numpy(values.astype(np.float16).astype(np.float32))


def plain_mask(row: list[float], n: int, m: int) -> list[bool]:
    """One row, group by group: a newcomer replaces the weakest only if it is strictly larger."""
    kept: list[bool] = []
    for start in range(0, len(row), m):
        group = row[start : start + m]
        store: list[int] = []
        for index in range(len(group)):
            if len(store) < n:
                store.append(index)
                continue
            weakest = min(store, key=lambda i: (abs(group[i]), -i))
            if abs(group[index]) > abs(group[weakest]):
                store[store.index(weakest)] = index
        kept += [index in store for index in range(len(group))]
    return kept


@pytest.mark.parametrize("kind", ["normal", "ties", "zeros"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_masks_of_both_directions_are_those_of_a_plain_loop(kind: str, pattern: tuple[int, int]) -> None:
    for shape, groups in (((12, 16), 1), ((7, 13), 1), ((10, 6, 3, 3), 2), ((6, 9, 2), 3), ((4, 1, 3, 3), 4)):
        weight = tensor(kind, *shape)
        forward, backward = forward_mask(weight, *pattern), backward_mask(weight, *pattern, groups)
        taps = weight.reshape(shape[0], shape[1], -1)
        for tap in range(taps.shape[2]):
            for row in range(shape[0]):
                expected = plain_mask(taps[row, :, tap].tolist(), *pattern)
                assert forward.reshape(taps.shape)[row, :, tap].tolist() == expected
            size = shape[0] // groups
            for column in range(shape[1]):
                for group in range(groups):
                    inside = slice(group * size, (group + 1) * size)
                    expected = plain_mask(taps[inside, column, tap].tolist(), *pattern)
                    assert backward.reshape(taps.shape)[inside, column, tap].tolist() == expected


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_fast_form_is_the_golden_one_on_all_bits_of_fp16(pattern: tuple[int, int]) -> None:
    words = np.random.default_rng(7).integers(0, 2**16, (200, 21), dtype=np.uint16)
    fast = keep_largest(torch.from_numpy(words.view(np.float16).copy()), *pattern).numpy()
    # Infinities and NaN among them, which the golden rule of words ranks and that of numbers refuses.
    golden = reduce_nm(words | 1, *pattern)
    shown = keep_largest(torch.from_numpy((words | 1).view(np.float16).copy()), *pattern).numpy()
    np.testing.assert_array_equal(np.where(shown, words | 1, 0), golden.decode())
    finite = np.where(np.isfinite(words.view(np.float16)), words.view(np.float16), np.float16(1))
    again = keep_largest(torch.from_numpy(finite.copy()), *pattern).numpy()
    np.testing.assert_array_equal(again, select_nm(finite, *pattern))
    assert fast.shape == words.shape


def test_a_rule_that_keeps_the_highest_of_equals_is_told_apart() -> None:
    equal = torch.ones(1, 8)
    assert forward_mask(equal, 2, 8).tolist() == [[True, True, *[False] * 6]]
    assert backward_mask(equal.t(), 2, 8).flatten().tolist() == [True, True, *[False] * 6]


@pytest.mark.parametrize("kind", ["normal", "ties"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_transposable_masks_are_a_plain_greedy_choice(kind: str, pattern: tuple[int, int]) -> None:
    n, m = pattern
    weight = tensor(kind, 9, 14)
    mask = transposable_mask(weight, n, m)
    for top in range(0, 9, m):
        for left in range(0, 14, m):
            block = weight[top : top + m, left : left + m]
            places = [(r, c) for r in range(block.shape[0]) for c in range(block.shape[1])]
            rows, columns, kept = [0] * m, [0] * m, set()
            for r, c in sorted(places, key=lambda rc: (-abs(float(block[rc])), rc)):
                if rows[r] < n and columns[c] < n:
                    kept.add((r, c))
                    rows[r] += 1
                    columns[c] += 1
            found = mask[top : top + m, left : left + m]
            assert {(r, c) for r, c in places if found[r, c]} == kept


def convolution(**settings: object) -> nn.Module:
    return nn.Conv2d(6, 8, 3, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(9, 10), (5, 9)),
        (nn.Linear(9, 10, bias=False), (2, 5, 9)),
        (convolution(padding=1), (2, 6, 7, 7)),
        (convolution(stride=2, groups=2, bias=False), (2, 6, 7, 8)),
        (convolution(padding="same", dilation=2, padding_mode="circular"), (2, 6, 9, 9)),
        (nn.Conv2d(6, 8, 4, padding="same"), (1, 6, 7, 7)),
        (nn.Conv1d(4, 8, 3, padding=2), (4, 11)),
        (nn.Conv3d(4, 4, 2), (1, 4, 3, 3, 3)),
    ],
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("recipe", ["bdwp,2:4", "srste,2:4", "sdgp,2:4", "transposable,2:4"])
def test_gradients_are_those_of_the_definition(layer: nn.Module, shape: tuple[int, ...], recipe: str) -> None:
    parsed = parse(f"{recipe},first=1,last=1")
    assert isinstance(parsed, NmTraining)
    layer = copy.deepcopy(layer)
    generator = torch.Generator().manual_seed(3)
    given = torch.randn(shape, generator=generator, requires_grad=True)
    masking = Masking(layer, parsed)
    with masking:
        output = layer(given)
    gradient = torch.randn(output.shape, generator=generator)
    output.backward(gradient)  # type: ignore[no-untyped-call]
    weight, (pruned,) = layer.weight.detach().clone(), masking.layers  # type: ignore[union-attr,operator]
    found_weight, found_input = layer.weight.grad.clone(), given.grad  # type: ignore[union-attr,operator]
    forward = weight if pruned.forward is None else weight * pruned.forward
    backward = weight if pruned.backward is None else weight * pruned.backward

    def by_torch(kernel: torch.Tensor, outputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        own = given.detach().clone().requires_grad_()
        with torch.no_grad():
            layer.weight.copy_(kernel)  # type: ignore[union-attr,operator]
        result = layer(own)
        (to_input,) = torch.autograd.grad(result, own, outputs, retain_graph=True)
        (to_weight,) = torch.autograd.grad(result, layer.weight, outputs)  # type: ignore[arg-type]
        return result.detach(), to_input, to_weight

    read = gradient
    if pruned.gradient is not None:
        # Kept with the channels last, and with a batch.
        is_convolution = not isinstance(layer, nn.Linear)
        kept = pruned.gradient.movedim(-1, 1) if is_convolution else pruned.gradient
        read = gradient * kept.reshape(gradient.shape)
    expected, _, to_weight = by_torch(forward, gradient)
    torch.testing.assert_close(output.detach(), expected)
    # The gradient of the weight is dense: it does not depend on what was pruned.
    torch.testing.assert_close(found_weight, to_weight)
    torch.testing.assert_close(found_input, by_torch(backward, read)[1])
    if parsed.method == "bdwp":
        assert pruned.forward is not None
        assert not torch.equal(pruned.forward, pruned.backward)
    assert "forward" not in vars(layer)


def test_a_linear_layer_worked_out_by_hand() -> None:
    layer = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -2.0, 3.0, 0.5], [4.0, 1.0, -1.0, 2.0]]))
    masking = Masking(layer, NmTraining(method="bdwp", n=1, m=2, decay=0.5, first=True, last=True))
    given = torch.tensor([[1.0, 2.0, 3.0, 4.0]], requires_grad=True)
    with masking:
        output = layer(given)
        # Forward keeps -2 and 3, 4 and 2; backward keeps 4, -2, 3 and 2 of the columns.
        assert output.tolist() == [[-2 * 2 + 3 * 3, 4 * 1 + 2 * 4]]
        output.backward(torch.tensor([[10.0, 100.0]]))  # type: ignore[no-untyped-call]
    assert given.grad is not None
    assert given.grad.tolist() == [[400.0, -20.0, 30.0, 200.0]]
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[10, 20, 30, 40], [100, 200, 300, 400]]
    masking.add_decay()
    assert layer.weight.grad.tolist() == [[10.5, 20, 30, 40.25], [100, 200.5, 299.5, 400]]


def test_first_last_depthwise_and_tied_layers_stay_dense_and_say_why() -> None:
    class Network(nn.Sequential):
        pass

    network = Network(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 12, 1), nn.ConvTranspose2d(12, 4, 2),
        nn.Linear(4, 2),
    )  # fmt: skip
    chosen = choose(network, NmTraining(method="bdwp", n=2, m=8))
    assert list(chosen.layers) == ["2"]
    assert chosen.left_dense == {
        "0": "the first layer",
        "1": "one channel in each group",
        "3": "ConvTranspose2d is neither linear nor a plain convolution",
        "4": "the last layer",
    }
    with pytest.raises(ValueError, match=r"bdwp,2:8 must fit at least one .* \(0: the first layer"):
        choose(nn.Sequential(nn.Linear(4, 4)), NmTraining(method="bdwp", n=2, m=8))
    with pytest.raises(ValueError, match="none here"):
        choose(nn.ReLU(), NmTraining(method="bdwp", n=2, m=8))
