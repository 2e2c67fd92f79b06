"""Scores, second order and refinements against small plain implementations of their formulae."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.prune import parse, pruned  # noqa: E402
from accelsim.prune.composed import Composed  # noqa: E402
from accelsim.prune.factors import fitted as armor_fitted  # noqa: E402
from accelsim.prune.factors import product  # noqa: E402
from accelsim.prune.fitting import cut_layer, fit  # noqa: E402
from accelsim.prune.matrices import matrices  # noqa: E402
from accelsim.prune.patterns.base import Amount  # noqa: E402
from accelsim.prune.patterns.nm import nm  # noqa: E402
from accelsim.prune.refinements.dsnot import swapped  # noqa: E402
from accelsim.prune.refinements.update import update  # noqa: E402
from accelsim.prune.second_order import damped, inverse_factor  # noqa: E402
from accelsim.prune.statistics import Seen  # noqa: E402

pytestmark = pytest.mark.torch

EVERYTHING = frozenset({"squares", "moments", "gram"})


def layer(
    seed: int, rows: int = 6, columns: int = 16, tokens: int = 50
) -> tuple[torch.Tensor, Seen, np.ndarray]:
    """A weight (1, rows, columns), statistics of correlated inputs, and the inputs."""
    print("seed", seed)
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(1, rows, columns, generator=generator)
    mixed = torch.randn(columns, columns, generator=generator)
    given = torch.randn(tokens, columns, generator=generator) @ mixed + torch.randn(
        columns, generator=generator
    )
    seen = Seen(name="fc")
    seen.add(given[None, :20], EVERYTHING)
    seen.add(given[None, 20:], EVERYTHING)
    seen.with_loss({"gradients": torch.randn(1, rows, columns, generator=generator).abs()})
    return weight, seen, given.double().numpy()


def scored(recipe: str, weight: torch.Tensor, seen: Seen) -> np.ndarray:
    made = parse(recipe)
    assert isinstance(made, Composed)
    word = made.words[1]
    return word.of(weight, seen, made.scoring())[0].double().numpy()  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(3))
def test_each_score_is_its_formula(seed: int) -> None:
    weight, seen, x = layer(seed)
    w, gradient = weight[0].double().numpy(), seen.gradient[0].double().numpy()
    rms = np.array([np.sqrt(np.mean([row[j] ** 2 for row in x])) for j in range(x.shape[1])])
    hessian = sum(np.outer(row, row) for row in x) * 2 / len(x)
    hessian += 0.01 * np.mean(np.diag(hessian)) * np.eye(len(hessian))
    inverse = np.linalg.inv(hessian)
    remaining = [np.linalg.inv(hessian[j:, j:])[0, 0] for j in range(len(hessian))]
    columns = w / np.sqrt((w**2).sum(axis=0))
    even = columns / np.sqrt((columns**2).sum(axis=1))[:, None]
    expected = {
        "wanda,0.5": np.abs(w) * rms,
        "gblm,0.5": np.abs(w) * rms * 2048**0.5 + 100 * np.abs(w) * gradient * 128**0.5,
        "gblm,0.5,alpha=0": np.abs(w) * rms * 2048**0.5,
        "obs,0.5": w**2 / np.diag(inverse),
        "sparsegpt,0.5": w**2 / np.array(remaining),
        "nowag,2:4": even**2 * rms**2,
        "taylor,0.5": np.abs(w) * gradient,
    }
    for recipe, values in expected.items():
        np.testing.assert_allclose(scored(recipe, weight, seen), values, rtol=1e-4, err_msg=recipe)


@pytest.mark.parametrize("seed", range(3))
def test_dimap_is_the_share_of_the_energy_that_is_left_when_the_turn_comes(seed: int) -> None:
    weight, seen, _ = layer(seed)
    weight[0, 2, 3] = -weight[0, 0, 1]
    found, w = scored("dimap,0.5", weight, seen), weight[0].double().numpy()
    for row, column in np.ndindex(w.shape):
        larger = w**2 > w[row, column] ** 2
        equal_before = (w**2 == w[row, column] ** 2) & (np.arange(w.size) <= row * 16 + column).reshape(
            w.shape
        )
        expected = w[row, column] ** 2 / (w**2)[larger | equal_before].sum()
        assert found[row, column] == pytest.approx(expected, rel=1e-5)
    assert found.max() == 1
    np.testing.assert_allclose(scored("dimap,0.5", weight * 1000, seen), found, rtol=1e-5)
    assert not scored("dimap,0.5", torch.zeros_like(weight), seen).any()


def test_random_scores_are_those_of_seed_and_name() -> None:
    weight, seen, _ = layer(0)
    first = scored("random,0.5,seed=0", weight, seen)
    assert np.array_equal(first, scored("random,0.5,seed=0", weight, seen))
    assert not np.array_equal(first, scored("random,0.5,seed=1", weight, seen))
    assert not np.array_equal(first, scored("random,0.5,seed=0", weight, Seen(name="other")))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("pattern", "block"), [("2:4", 16), ("1:4", 8), ("0.5", 16), ("0.3", 8)])
def test_the_sweep_loses_what_it_says_and_is_the_plain_loop(seed: int, pattern: str, block: int) -> None:
    weight, seen, _ = layer(seed)
    made = parse(f"sparsegpt,{pattern},block={block}")
    assert isinstance(made, Composed)
    cut = cut_layer("fc", weight, seen, made, made.amount)
    hessian = damped(seen.gram, 0.01)[0].numpy()
    expected, kept, error = plain_sparsegpt(weight[0].double().numpy(), hessian, made, block)
    np.testing.assert_array_equal(cut.kept[0].numpy(), kept)
    np.testing.assert_allclose(cut.weight[0].numpy(), expected, atol=1e-4)
    changed = expected - weight[0].double().numpy()
    assert error == pytest.approx(np.trace(changed @ hessian @ changed.T), rel=1e-6)


def plain_sparsegpt(
    w: np.ndarray, hessian: np.ndarray, recipe: Composed, block: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Weight by weight; after each column, exact least squares steps with the columns before it frozen."""
    w, kept, error = w.copy(), np.ones(w.shape, bool), 0.0
    columns = w.shape[1]
    at_once = recipe.m or block
    # The errors wait at a block's end in the original, which is the same arithmetic: scores see them anyway.
    for column in range(columns):
        inverse = np.linalg.inv(hessian[column:, column:])
        if column % at_once == 0:
            width = min(at_once, columns - column)
            # Scores look at the curvature of each column with those before it frozen.
            curvature = [np.linalg.inv(hessian[j:, j:])[0, 0] for j in range(column, column + width)]
            scores = w[:, column : column + width] ** 2 / np.array(curvature)
            if recipe.m:
                for row in range(len(w)):
                    order = sorted(range(width), key=lambda j: (-scores[row, j], j))
                    kept[row, [column + j for j in order[recipe.n :]]] = False
            else:
                count = int(scores.size * recipe.keep + 1e-9)
                order = sorted(range(scores.size), key=lambda i: (-scores.ravel()[i], i))
                for index in order[count:]:
                    kept[index // width, column + index % width] = False
        for row in range(len(w)):
            if not kept[row, column]:
                scale = w[row, column] / inverse[0, 0]
                error += w[row, column] * scale
                w[row, column:] -= scale * inverse[0]
                w[row, column] = 0.0
    return w, kept, error


@pytest.mark.parametrize(("recipe", "block"), [("magnitude,2:4,update", 8), ("random,0.6,update", 5)])
def test_update_is_the_plain_loop_over_the_mask_that_is_there(recipe: str, block: int) -> None:
    weight, seen, _ = layer(4)
    made = parse(f"{recipe},block={block}")
    assert isinstance(made, Composed)
    cut = cut_layer("fc", weight, seen, made, made.amount)
    masked = cut.weight.clone()
    update(cut, made.set(made.words[3]))
    expected, hessian = weight[0].double().numpy().copy(), damped(seen.gram, 0.01)[0].numpy()
    for row, kept in zip(expected, cut.kept[0].numpy(), strict=True):
        for column in np.nonzero(~kept)[0]:
            inverse = np.linalg.inv(hessian[column:, column:])
            row[column:] -= row[column] / inverse[0, 0] * inverse[0]
            row[column] = 0.0
    np.testing.assert_allclose(cut.weight[0].numpy(), expected, atol=1e-4)
    assert not torch.allclose(cut.weight, masked, atol=1e-2)


def test_damping_keeps_inputs_that_are_always_zero_from_breaking_the_inverse() -> None:
    _, seen, _ = layer(1)
    gram = seen.gram.clone()
    gram[:, 3] = gram[:, :, 3] = 0
    assert torch.isfinite(inverse_factor(gram, 0.01)).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("m", [0, 4])
def test_dsnot_keeps_the_counts_and_never_widens_the_gap(seed: int, m: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight, means = torch.randn(9, 32, generator=generator), torch.randn(32, generator=generator)
    order = torch.rand(9, 32, generator=generator)
    kept = nm(order[None], Amount(n=2, m=4), {})[0]
    added = weight * means
    gaps = []
    for cycles in range(6):
        mask = swapped(kept, added, growth=added, order=order, limit=0.0, cycles=cycles, m=m)
        assert torch.equal(mask.sum(dim=1), kept.sum(dim=1))
        if m:
            assert (mask.reshape(9, -1, 4).sum(dim=2) == 2).all()
        gaps.append((added * ~mask).sum(dim=1).abs())
    for before, after in itertools.pairwise(gaps):
        assert (after <= before + 1e-5).all()
    assert (gaps[-1] < gaps[0]).any()


def test_one_swap_of_dsnot_is_the_one_by_hand() -> None:
    added = torch.tensor([[3.0, 1.0, -2.0, 0.5]])
    kept = torch.tensor([[False, True, True, True]])
    # The row lacks 3: grow the first; of what it keeps, only the third gives less than nothing.
    order = torch.tensor([[9.0, 1.0, 5.0, 2.0]])
    # 3 - 3 + (-2) = -2 is nearer to 0 than 3.
    mask = swapped(kept, added, growth=added, order=order, limit=0.0, cycles=1, m=0)
    assert mask.tolist() == [[True, True, False, True]]
    # In a group of four the cheapest goes, whatever its sign: 3 - 3 + 1.
    grouped = swapped(kept, added, growth=added, order=order, limit=0.0, cycles=1, m=4)
    assert grouped.tolist() == [[True, False, True, True]]
    # 3 - 3 - 1 is nearer to 0, too, but beyond it: the row is done as it is.
    beyond = torch.tensor([[3.0, -1.0, -2.0, 0.5]])
    stays = swapped(kept, beyond, growth=beyond, order=order, limit=0.0, cycles=9, m=4)
    assert stays.tolist() == kept.tolist()
    # Within a tolerance of 3 the row is left alone.
    assert swapped(kept, added, growth=added, order=order, limit=3.0, cycles=9, m=0).tolist() == kept.tolist()


@pytest.mark.parametrize(("block", "below"), [(4, 0.085), (8, 0.07), (16, 0.056), (32, 0.035)])
def test_armor_ends_below_its_start_as_its_reference_does(block: int, below: float) -> None:
    generator = torch.Generator().manual_seed(0)
    weight, importance = torch.randn(128, 256, generator=generator), torch.rand(256, generator=generator)
    weight = weight / weight.norm(dim=0)
    weight = weight / weight.norm(dim=1, keepdim=True)
    kept = nm((weight.square() * importance)[None], Amount(n=2, m=4), {})[0]
    behind, core, before, losses = armor_fitted(
        weight, kept, importance, n=2, m=4, block=block, steps=100, rate=1e-3, generator=generator
    )
    assert losses[0] == pytest.approx(0.11, abs=0.01)
    assert min(losses) < below
    assert ((core != 0).reshape(128, -1, 4).sum(dim=2) <= 2).all()
    error = (product(behind, core, before) - weight).square() @ importance
    assert float(error.sum() / (weight.square() @ importance).sum()) == pytest.approx(min(losses), rel=1e-4)


def test_armor_chooses_the_best_values_of_a_group() -> None:
    generator = torch.Generator().manual_seed(3)
    weight, importance = torch.randn(4, 4, generator=generator), torch.rand(4, generator=generator) + 0.1
    kept = torch.tensor([[True, True, False, False]] * 4)
    from accelsim.prune.factors import Core, choose_groups

    core = Core(
        weight=weight,
        importance=importance,
        behind=torch.randn(1, 4, 4, generator=generator),
        values=torch.randn(4, 4, generator=generator),
        kept=kept.clone(),
        before=torch.randn(1, 4, 4, generator=generator),
    )
    start, behind, before = core.values * core.kept, core.behind[0], core.before[0]
    gradient = torch.zeros(4, 4)
    gradient[2] = 1.0
    choose_groups(core, gradient, 2, 4, generator)
    assert torch.equal((core.values * core.kept)[[0, 1, 3]], start[[0, 1, 3]])
    # By hand: least squares of the values of row 2 for each pair of its group.
    best = np.inf
    rest = start.clone()
    rest[2] = 0
    target = (weight - behind @ rest @ before) * importance.sqrt()
    for pair in itertools.combinations(range(4), 2):
        basis = torch.stack(
            [(torch.outer(behind[:, 2], before[j]) * importance.sqrt()).ravel() for j in pair], 1
        )
        solved = torch.linalg.lstsq(basis.double(), target.double().ravel()[:, None])
        best = min(
            best, float((basis.double() @ solved.solution - target.double().ravel()[:, None]).square().sum())
        )
    assert core.error() == pytest.approx(best, rel=1e-4)
    residual, halfway = core.residual.clone(), core.halfway.clone()
    core.refresh()
    torch.testing.assert_close(residual, core.residual, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(halfway, core.halfway, atol=1e-5, rtol=1e-4)


def test_a_convolution_is_the_product_of_its_matrix_and_its_columns() -> None:
    torch.manual_seed(0)
    for made, given in (
        (nn.Conv2d(6, 4, (3, 2), stride=2, padding=1, dilation=(1, 2), groups=2, bias=False), (2, 6, 9, 8)),
        (nn.Conv2d(3, 5, 3, padding="same", bias=False), (1, 3, 7, 7)),
        (nn.Conv1d(4, 6, 3, padding=2, bias=False), (2, 4, 11)),
        (nn.Linear(5, 3, bias=False), (2, 4, 5)),
    ):
        (matrix,) = matrices(nn.Sequential(made))
        picture = torch.randn(given)
        output = matrix.read() @ matrix.columns(picture).transpose(1, 2)
        expected = made(picture)
        expected = expected.movedim(-1, 1) if isinstance(made, nn.Linear) else expected
        flat = expected.transpose(0, 1).reshape(matrix.groups, -1, matrix.columns(picture).shape[1])
        torch.testing.assert_close(output, flat, atol=1e-4, rtol=1e-4)
        before = made.weight.detach().clone()
        matrix.write(matrix.read())
        assert torch.equal(before, made.weight)


def test_bias_makes_up_for_the_mean() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 4, bias=False))
    given = torch.randn(64, 8) + 3
    dense = module(given).mean(dim=0)
    with pruned(module, "magnitude,2:4", samples=[given]):
        without = (module(given).mean(dim=0) - dense).abs().max()
    with pruned(module, "magnitude,2:4,bias", samples=[given]):
        torch.testing.assert_close(module(given).mean(dim=0), dense, atol=1e-4, rtol=1e-4)
    assert without > 0.1
    assert module[0].bias is None


@pytest.mark.parametrize("bits", [4, 8])
def test_bits_leave_so_many_levels_and_zeros(bits: int) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 4))
    found = fit(module, parse(f"random,2:4,bits={bits}"), [])  # type: ignore[arg-type]
    weight = found.weights["0"]
    assert ((weight != 0).reshape(4, -1, 4).sum(dim=2) <= 2).all()
    for row in weight:
        steps = row / (row.abs().max() / (2 ** (bits - 1) - 1))
        torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)


def test_blocks_go_as_a_whole_and_the_heaviest_stay() -> None:
    weight = torch.ones(1, 4, 8)
    weight[0, 1, 4:] = 5
    recipe = parse("magnitude,0.25,blocks,rows=2,columns=4")
    assert isinstance(recipe, Composed)
    cut = cut_layer("fc", weight, Seen(name="fc"), recipe, recipe.amount)
    expected = torch.zeros(4, 8, dtype=torch.bool)
    expected[:2, 4:] = True
    assert torch.equal(cut.kept[0], expected)


def test_equal_inputs_make_wanda_magnitude_by_row_and_exactly_so_many_stay() -> None:
    weight, _, _ = layer(7)
    even = Seen(name="fc")
    even.add(torch.ones(1, 10, 16), EVERYTHING)
    recipe = parse("wanda,0.3")
    assert isinstance(recipe, Composed)
    cut = cut_layer("fc", weight, even, recipe, recipe.amount)
    by_row = cut_layer(
        "fc", weight, even, parse("magnitude,0.3,per=row"), parse("magnitude,0.3,per=row").amount
    )  # type: ignore[union-attr,arg-type]
    assert torch.equal(cut.kept, by_row.kept)
    assert cut.kept.sum(dim=2).unique().tolist() == [4]


def test_a_column_of_flap_scores_what_its_removal_costs_when_its_mean_becomes_bias() -> None:
    weight, seen, x = layer(5)
    w = weight[0].double().numpy()
    sums = scored("flap,0.5,columns", weight, seen).sum(axis=0)
    for column in range(x.shape[1]):
        lost = np.outer(x[:, column] - x[:, column].mean(), w[:, column])
        assert sums[column] == pytest.approx((lost**2).sum(axis=1).mean(), rel=1e-4)


def test_columns_and_heads_go_whole_and_a_network_without_heads_says_so() -> None:
    weight, seen, _ = layer(6)
    recipe = parse("flap,0.5,columns")
    assert isinstance(recipe, Composed)
    kept = cut_layer("fc", weight, seen, recipe, recipe.amount).kept[0]
    assert torch.equal(kept, kept[:1].expand(kept.shape))
    assert int(kept[0].sum()) == 8

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.o_proj = nn.Linear(16, 6, bias=False)
            self.other = nn.Linear(6, 6)
            self.config = type("Config", (), {"num_attention_heads": 4, "hidden_size": 16})()

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return self.other(self.o_proj(given))

    found = fit(Attention(), parse("flap,0.5,heads,bias"), [torch.randn(9, 16)])  # type: ignore[arg-type]
    by_head = (found.weights["o_proj"] != 0).reshape(6, 4, 4).sum(dim=(0, 2))
    assert sorted(by_head.tolist()) == [0, 0, 24, 24]
    assert found.left_dense == {"other": "no projection behind attention"}
    with pytest.raises(ValueError, match=r"must fit at least one .* heads how wide") as refusal:
        fit(nn.Sequential(nn.Conv2d(3, 8, 3)), parse("flap,0.5,heads"), [torch.randn(1, 3, 9, 9)])  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)
    with pytest.raises(ValueError, match="at least one") as refusal:
        fit(nn.Sequential(*[nn.Linear(6, 6) for _ in range(9)]), parse("wanda,2:4"), [torch.randn(9, 6)])  # type: ignore[arg-type]
    assert str(refusal.value).endswith("(0 and 8 more: 6 weights along the reduction are no multiple of 4)")
